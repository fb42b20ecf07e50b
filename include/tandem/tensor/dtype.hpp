#pragma once
/// Element types: bfloat16, the DType tag, and what maps one to the other.

#include <cstdint>
#include <cstring>
#include <string>

#include "tandem/tensor/config.hpp"
#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN

/// bfloat16: the upper half of a float. A storage type; arithmetic happens in float.
/// Conversion rounds to nearest, ties to even; NaN stays NaN.
struct bfloat16 {
  std::uint16_t bits = 0;  ///< the upper 16 bits of the float

  bfloat16() = default;
  TANDEM_HOST_DEVICE explicit bfloat16(float value) : bits(round_bits(value)) {}
  TANDEM_HOST_DEVICE explicit bfloat16(double value) : bfloat16(static_cast<float>(value)) {}
  TANDEM_HOST_DEVICE explicit bfloat16(std::int64_t value) : bfloat16(static_cast<float>(value)) {}
  TANDEM_HOST_DEVICE explicit bfloat16(int value) : bfloat16(static_cast<float>(value)) {}
  /// The number with these bits.
  TANDEM_HOST_DEVICE static bfloat16 from_bits(std::uint16_t bits) {
    bfloat16 out;
    out.bits = bits;
    return out;
  }

  TANDEM_HOST_DEVICE operator float() const {
    const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
    float out;
    std::memcpy(&out, &wide, sizeof out);
    return out;
  }

  /// The bits of `value`, rounded.
  TANDEM_HOST_DEVICE static std::uint16_t round_bits(float value) {
    std::uint32_t wide;
    std::memcpy(&wide, &value, sizeof wide);
    if ((wide & 0x7fffffffu) > 0x7f800000u) {  // NaN: keep it quiet and keep its sign
      return static_cast<std::uint16_t>((wide >> 16) | 0x0040u);
    }
    return static_cast<std::uint16_t>((wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16);
  }
};
static_assert(sizeof(bfloat16) == 2);

/// The run-time tag of an element type.
class DType {
 public:
  enum Kind : std::uint8_t { f32, f64, bf16, i64, i32, u8, boolean };
  constexpr DType(Kind kind) : kind_(kind) {}
  /// Which type it is, for a switch.
  constexpr Kind kind() const { return kind_; }
  constexpr bool operator==(const DType&) const = default;
  /// Bytes of an element.
  constexpr std::int64_t size() const {
    switch (kind_) {
      case f64:
      case i64:
        return 8;
      case f32:
      case i32:
        return 4;
      case bf16:
        return 2;
      case u8:
      case boolean:
        return 1;
    }
    return 0;
  }
  /// True for float, double and bfloat16.
  constexpr bool is_floating() const { return kind_ == f32 || kind_ == f64 || kind_ == bf16; }
  /// The name that NumPy and PyTorch use: "float32", "bfloat16", "bool" …
  constexpr const char* name() const {
    switch (kind_) {
      case f32:
        return "float32";
      case f64:
        return "float64";
      case bf16:
        return "bfloat16";
      case i64:
        return "int64";
      case i32:
        return "int32";
      case u8:
        return "uint8";
      case boolean:
        return "bool";
    }
    return "?";
  }
  /// The same as a string.
  std::string str() const { return name(); }

 private:
  Kind kind_;
};

namespace detail {
template <class T>
struct dtype_tag;
template <>
struct dtype_tag<float> {
  static constexpr DType::Kind kind = DType::f32;
};
template <>
struct dtype_tag<double> {
  static constexpr DType::Kind kind = DType::f64;
};
template <>
struct dtype_tag<bfloat16> {
  static constexpr DType::Kind kind = DType::bf16;
};
template <>
struct dtype_tag<std::int64_t> {
  static constexpr DType::Kind kind = DType::i64;
};
template <>
struct dtype_tag<std::int32_t> {
  static constexpr DType::Kind kind = DType::i32;
};
template <>
struct dtype_tag<std::uint8_t> {
  static constexpr DType::Kind kind = DType::u8;
};
template <>
struct dtype_tag<bool> {
  static constexpr DType::Kind kind = DType::boolean;
};
}  // namespace detail

/// Types that a Tensor can hold.
template <class T>
concept Element = requires {
  detail::dtype_tag<T>::kind;
};
/// Types that can carry a gradient.
template <class T>
concept FloatingElement = Element<T> &&
    (std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, bfloat16>);

namespace detail {
template <class T>
struct ComputeType {
  using type = T;
};
template <>
struct ComputeType<bfloat16> {
  using type = float;
};
/// What arithmetic on T happens in: float for bfloat16, T otherwise.
template <class T>
using compute_t = typename ComputeType<T>::type;

/// What a sum of T is: T itself where it is floating, int64 for integers and bool. Specialized,
/// since compilers give functions of a condition over a concept different symbols.
template <class T>
struct SumType {
  using type = std::int64_t;
};
template <>
struct SumType<float> {
  using type = float;
};
template <>
struct SumType<double> {
  using type = double;
};
template <>
struct SumType<bfloat16> {
  using type = bfloat16;
};
template <class T>
using sum_t = typename SumType<T>::type;
}  // namespace detail

/// dtype_of<float> is DType::f32, and so on.
template <Element T>
inline constexpr DType dtype_of = DType(detail::dtype_tag<T>::kind);

TANDEM_NAMESPACE_END
