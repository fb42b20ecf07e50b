#pragma once
/// Long arrays from one floating format to another, on all threads: what weights and the operands
/// of bfloat16 products go through.
///
///   round_to_bfloat16   float → bfloat16, to nearest, ties to even, NaN stays NaN: bfloat16(x)
///   widen               bfloat16 or IEEE half (its bits) → float, exact
///
///   std::vector<bfloat16> y(x.size());
///   cpu::round_to_bfloat16(x.data(), y.data(), static_cast<std::int64_t>(x.size()));

#include <cstdint>

#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/tensor/dtype.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

namespace convert_detail {

inline constexpr std::int64_t grain = 65536;  // elements, about 10 µs

struct Round {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const float* x, std::uint16_t* y, std::int64_t n) {
    using U = typename V::Uint;
    const auto round = [](V value) TANDEM_INLINE_LAMBDA {
      const U bits = bit_cast<U>(value);
      const U nearest = (bits + U(0x7FFFU) + ((bits >> 16) & U(1U))) >> 16;
      const U quiet = (bits >> 16) | U(0x40U);
      return convert<std::uint16_t>(
          select((bits & U(0x7FFFFFFFU)) > U(0x7F800000U), quiet, nearest));
    };
    vec_map<typename V::template As<std::uint16_t>>(n, y, round, x);
  }
};

struct WidenBfloat16 {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const std::uint16_t* x, float* y, std::int64_t n) {
    using Bits = typename V::template As<std::uint16_t>;
    vec_map<V>(
        n, y,
        [](Bits bits)
            TANDEM_INLINE_LAMBDA { return bit_cast<V>(convert<std::uint32_t>(bits) << 16); },
        x);
  }
};

/// Exponent and fraction moved into place make a float that is 2¹¹² too small, subnormals included;
/// infinity and NaN get the largest exponent instead.
struct WidenHalf {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const std::uint16_t* x, float* y, std::int64_t n) {
    using U = typename V::Uint;
    using Bits = typename V::template As<std::uint16_t>;
    const auto widen = [](Bits half) TANDEM_INLINE_LAMBDA {
      const U bits = convert<std::uint32_t>(half);
      const U magnitude = (bits & U(0x7FFFU)) << 13;
      const U finite = bit_cast<U>(bit_cast<V>(magnitude) * V(0x1p112F));
      const U wide = select(magnitude >= U(0x7C00U << 13), magnitude | U(0x7F800000U), finite);
      return bit_cast<V>(wide | ((bits & U(0x8000U)) << 16));
    };
    vec_map<V>(n, y, widen, x);
  }
};

}  // namespace convert_detail

/// y[i] = bfloat16(x[i]) for n elements.
inline void round_to_bfloat16(const float* x, bfloat16* y, std::int64_t n) {
  static_assert(sizeof(bfloat16) == sizeof(std::uint16_t) &&
                alignof(bfloat16) == alignof(std::uint16_t));
  parallel_for(n, convert_detail::grain, [&](std::int64_t begin, std::int64_t end) {
    simd_dispatch<convert_detail::Round, float>(x + begin, &y[begin].bits, end - begin);
  });
}

/// y[i] = x[i] for n elements of bfloat16.
inline void widen(const bfloat16* x, float* y, std::int64_t n) {
  parallel_for(n, convert_detail::grain, [&](std::int64_t begin, std::int64_t end) {
    simd_dispatch<convert_detail::WidenBfloat16, float>(&x[begin].bits, y + begin, end - begin);
  });
}

/// y[i] = the value of the half-precision number with the bits x[i], for n elements.
inline void widen_half(const std::uint16_t* x, float* y, std::int64_t n) {
  parallel_for(n, convert_detail::grain, [&](std::int64_t begin, std::int64_t end) {
    simd_dispatch<convert_detail::WidenHalf, float>(x + begin, y + begin, end - begin);
  });
}

}  // namespace cpu
TANDEM_NAMESPACE_END
