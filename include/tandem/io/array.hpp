#pragma once
/// Array: what every array file format gives, before it is a Tensor: an element kind, a shape and a
/// view of bytes with whoever keeps them alive.

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/io/utf8.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

static_assert(std::endian::native == std::endian::little,
              "tandem::io needs a little-endian machine");

/// Element kinds of the file formats: more than a Tensor can hold.
enum class ElementKind : std::uint8_t {
  boolean,
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  u64,
  i64,
  f16,
  bf16,
  f32,
  f64,
  bytes,
  unicode,
  object
};

/// "float32", "bytes" …
inline const char* kind_name(ElementKind kind) {
  constexpr const char* names[] = {"bool",    "uint8",  "int8",    "uint16",  "int16",    "uint32",
                                   "int32",   "uint64", "int64",   "float16", "bfloat16", "float32",
                                   "float64", "bytes",  "unicode", "object"};
  return names[static_cast<int>(kind)];
}

/// Bytes per element; 0 for bytes, unicode and object, whose size is not fixed.
constexpr std::size_t kind_size(ElementKind kind) {
  constexpr std::uint8_t sizes[] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8, 0, 0, 0};
  return sizes[static_cast<int>(kind)];
}

namespace detail {

template <class T>
constexpr ElementKind kind_of() {
  if constexpr (std::is_same_v<T, bool>) return ElementKind::boolean;
  if constexpr (std::is_same_v<T, std::uint8_t>) return ElementKind::u8;
  if constexpr (std::is_same_v<T, std::int32_t>) return ElementKind::i32;
  if constexpr (std::is_same_v<T, std::int64_t>) return ElementKind::i64;
  if constexpr (std::is_same_v<T, bfloat16>) return ElementKind::bf16;
  if constexpr (std::is_same_v<T, float>) return ElementKind::f32;
  if constexpr (std::is_same_v<T, double>) return ElementKind::f64;
}

/// IEEE half precision, only ever read; converts exactly to float.
struct Half {
  std::uint16_t bits;
  operator float() const {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
    const std::uint32_t exponent = (bits >> 10) & 31u, fraction = bits & 0x3FFu;
    if (exponent == 0) {  // zero and subnormal: fraction · 2⁻²⁴
      const float value = static_cast<float>(fraction) * 0x1p-24f;
      return sign != 0 ? -value : value;
    }
    const std::uint32_t wide = exponent == 31 ? 0x7F800000u : (exponent + 112) << 23;
    return std::bit_cast<float>(sign | wide | fraction << 13);
  }
};

/// Calls f(From{}) with the C++ type of a numeric kind.
template <class F>
void with_type(ElementKind kind, F&& f) {
  switch (kind) {
    case ElementKind::boolean:
      return f(bool{});
    case ElementKind::u8:
      return f(std::uint8_t{});
    case ElementKind::i8:
      return f(std::int8_t{});
    case ElementKind::u16:
      return f(std::uint16_t{});
    case ElementKind::i16:
      return f(std::int16_t{});
    case ElementKind::u32:
      return f(std::uint32_t{});
    case ElementKind::i32:
      return f(std::int32_t{});
    case ElementKind::u64:
      return f(std::uint64_t{});
    case ElementKind::i64:
      return f(std::int64_t{});
    case ElementKind::f16:
      return f(Half{});
    case ElementKind::bf16:
      return f(bfloat16{});
    case ElementKind::f32:
      return f(float{});
    case ElementKind::f64:
      return f(double{});
    default:
      break;
  }
}

template <class From>
From load(const unsigned char* p, bool swapped) {
  unsigned char buffer[sizeof(From)];
  for (std::size_t i = 0; i < sizeof(From); ++i) buffer[swapped ? sizeof(From) - 1 - i : i] = p[i];
  if constexpr (std::is_same_v<From, bool>) {
    return buffer[0] != 0;
  } else {
    From value;
    std::memcpy(&value, buffer, sizeof value);
    return value;
  }
}

/// True when an element of one type may become another without losing its meaning: anything to a
/// floating type, integers to integers (with a range check), booleans only from booleans.
template <class From, class To>
constexpr bool convertible() {
  constexpr bool from_float = std::is_floating_point_v<From> || std::is_same_v<From, Half> ||
                              std::is_same_v<From, bfloat16>;
  if constexpr (std::is_same_v<To, bool>) return std::is_same_v<From, bool>;
  if constexpr (std::is_integral_v<To>) return !from_float;
  return true;
}

}  // namespace detail

/// Elements of a shape; throws when a size is negative or the count or byte count overflows.
inline std::int64_t element_count(const std::vector<std::int64_t>& shape, std::size_t item_size,
                                  std::string_view name) {
  std::int64_t n = 1, bytes = 0;
  for (const std::int64_t size : shape) {
    TANDEM_CHECK(size >= 0, "read", name, ": a size of the shape is negative: ", size);
    TANDEM_CHECK(!__builtin_mul_overflow(n, size, &n), "read", name,
                 ": the shape has more than 2^63 elements");
  }
  TANDEM_CHECK(!__builtin_mul_overflow(n, static_cast<std::int64_t>(item_size), &bytes), "read",
               name, ": the shape needs more than 2^63 bytes");
  return n;
}

/// "(3, 4)", "(5,)", "()", as NumPy writes a shape.
inline std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string out = "(";
  for (std::size_t d = 0; d < shape.size(); ++d) out += concat(d > 0 ? ", " : "", shape[d]);
  return out + (shape.size() == 1 ? ",)" : ")");
}

/// A typed view of bytes that live elsewhere (a mapped file, an inflated zip entry).
///
///     io::Array a = io::load_npy("x.npy");
///     Tensor<float> exact = a.tensor<float>();      // throws when the file is not float32
///     Tensor<float> any = a.tensor_as<float>();     // converts
///
/// tensor() shares the bytes when they are aligned, little-endian and row-major, and copies
/// otherwise. A shared tensor is read-only (clone() it to change it) and keeps the file mapped.
struct Array {
  std::string name;  ///< file, and entry within it: what messages call this array
  ElementKind kind = ElementKind::f32;
  std::size_t item_size = 0;
  bool swapped = false;       ///< big-endian elements
  bool column_major = false;  ///< Fortran order
  std::vector<std::int64_t> shape;
  const unsigned char* data = nullptr;
  std::size_t bytes = 0;        ///< numel · item_size; for `object` the length of the pickle
  std::size_t data_offset = 0;  ///< of `data` in its file
  Ref<RefCounted> owner;

  /// Number of elements and of dimensions.
  std::int64_t numel() const { return element_count(shape, 1, name); }
  int rank() const { return static_cast<int>(shape.size()); }
  /// True for numbers and bool, false for text, bytes and objects.
  bool is_numeric() const { return kind_size(kind) > 0; }

  /// True when the elements are exactly of type T.
  template <Element T>
  bool holds() const {
    return kind == detail::kind_of<T>();
  }
  /// True when tensor<T>() shares the bytes instead of copying them.
  template <Element T>
  bool shareable() const {
    return holds<T>() && !swapped && (!column_major || rank() < 2) &&
           reinterpret_cast<std::uintptr_t>(data) % alignof(T) == 0;
  }

  /// The elements as they are; throws when they are not of type T.
  template <Element T>
  Tensor<T> tensor() const {
    TANDEM_CHECK(holds<T>(), "read", name, ": expected ", dtype_of<T>, " elements, found ",
                 kind_name(kind));
    if (!shareable<T>() || numel() == 0) return tensor_as<T>();
    if constexpr (std::is_same_v<T, bool>) check_booleans();
    const Shape sizes(shape);
    // The tensor is marked read-only, so that nothing is written through the pointer.
    auto storage = make_ref<Storage>(const_cast<unsigned char*>(data),
                                     static_cast<std::int64_t>(bytes), owner, false);
    return Tensor<T>(std::move(storage), Layout{sizes, contiguous_strides(sizes), 0});
  }

  /// Frees the physical memory behind a mapped array until it is read again, where nobody needs it
  /// for now:
  /// after it was converted, say. The bytes stay what they are.
  void give_back_pages() const {
    tandem::give_back_pages(owner.get(), data, static_cast<std::int64_t>(bytes));
  }

  /// A copy converted to T: any number to a floating type, integers to integers that hold them.
  template <Element T>
  Tensor<T> tensor_as() const {
    Tensor<T> out{Shape(shape)};
    if (out.numel() > 0) copy_to(out.mutable_data());
    return out;
  }

  /// tensor_as into a vector, in row-major order.
  template <Element T>
  requires(!std::is_same_v<T, bool>) std::vector<T> to_vector()
  const {
    check_numeric();
    std::vector<T> out(static_cast<std::size_t>(numel()));
    if (!out.empty()) copy_to(out.data());
    return out;
  }

  /// Converts all elements into `out`, in row-major order.
  template <Element T>
  void copy_to(T* out) const {
    check_numeric();
    if (kind == ElementKind::boolean) check_booleans();
    if (holds<T>() && !swapped && (!column_major || rank() < 2)) {
      std::memcpy(static_cast<void*>(out), data, bytes);
      return;
    }
    detail::with_type(kind, [&](auto from) {
      using From = decltype(from);
      if constexpr (detail::convertible<From, T>()) {
        for_each_item([&](std::int64_t i, const unsigned char* p) {
          out[i] = convert<T>(detail::load<From>(p, swapped), i);
        });
      } else {
        fail("read", name, ": ", kind_name(kind), " elements do not become ", dtype_of<T>);
      }
    });
  }

  /// The elements of a bytes or unicode array as UTF-8, without the zero padding.
  std::vector<std::string> strings() const {
    TANDEM_CHECK(kind == ElementKind::bytes || kind == ElementKind::unicode, "read", name,
                 ": expected strings, found ", kind_name(kind), " elements");
    std::vector<std::string> out(static_cast<std::size_t>(numel()));
    for_each_item([&](std::int64_t i, const unsigned char* p) {
      std::string& text = out[static_cast<std::size_t>(i)];
      if (kind == ElementKind::bytes) {
        text.assign(reinterpret_cast<const char*>(p), item_size);
        text.resize(text.find_last_not_of('\0') + 1);
      } else {
        text = from_utf32(p, i);
      }
    });
    return out;
  }

 private:
  void check_numeric() const {
    TANDEM_CHECK(is_numeric(), "read", name, ": expected numbers, found ", kind_name(kind),
                 " elements");
  }
  /// Only 0 and 1 are booleans to C++; anything else in memory is undefined behaviour.
  void check_booleans() const {
    for (std::size_t i = 0; i < bytes; ++i) {
      TANDEM_CHECK(data[i] <= 1, "read", name, ": element ", i, " of a bool array is ",
                   static_cast<int>(data[i]), ", expected 0 or 1");
    }
  }

  template <class T, class From>
  T convert(From value, std::int64_t index) const {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool> &&
                  !std::is_same_v<From, bool>) {
      TANDEM_CHECK(std::in_range<T>(value), "read", name, ": element ", index, " is ", value,
                   ", which does not fit ", dtype_of<T>);
      return static_cast<T>(value);
    } else if constexpr (std::is_same_v<T, bfloat16>) {
      return bfloat16(static_cast<float>(value));
    } else {
      return static_cast<T>(value);
    }
  }

  /// Calls f(row-major index, address) for every element, in row-major order.
  template <class F>
  void for_each_item(F&& f) const {
    const std::int64_t n = numel();
    if (!column_major || rank() < 2) {
      for (std::int64_t i = 0; i < n; ++i) f(i, data + static_cast<std::size_t>(i) * item_size);
      return;
    }
    std::vector<std::int64_t> index(shape.size(), 0), stride(shape.size(), 1);
    for (std::size_t d = 1; d < shape.size(); ++d) stride[d] = stride[d - 1] * shape[d - 1];
    std::int64_t at = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      f(i, data + static_cast<std::size_t>(at) * item_size);
      for (std::size_t d = shape.size(); d-- > 0;) {
        at += stride[d];
        if (++index[d] < shape[d]) break;
        at -= stride[d] * shape[d];
        index[d] = 0;
      }
    }
  }

  std::string from_utf32(const unsigned char* p, std::int64_t index) const {
    std::string out;
    std::size_t pending_zeros = 0;  // zeros at the end are padding
    for (std::size_t i = 0; i < item_size / 4; ++i) {
      const std::uint32_t code = detail::load<std::uint32_t>(p + 4 * i, swapped);
      if (code == 0) {
        ++pending_zeros;
        continue;
      }
      TANDEM_CHECK(code < 0x110000 && (code < 0xD800 || code > 0xDFFF), "read", name, ": element ",
                   index, " holds ", code, ", which is not a Unicode character");
      out.append(std::exchange(pending_zeros, 0), '\0');
      append_utf8(out, code);
    }
    return out;
  }
};

namespace detail {

/// The elements as a file gets them: dense, on the CPU; a GPU is waited for. x itself if it is so.
template <Element T>
Tensor<T> on_host(const Tensor<T>& x) {
  const Tensor<T> dense = x.detach().contiguous();
  if (dense.device().is_cpu()) return dense;
  const Tensor<T> here(dense.shape());
  here.copy_elements(dense);
  return here;
}

}  // namespace detail

}  // namespace io
TANDEM_NAMESPACE_END
