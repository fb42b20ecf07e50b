#pragma once
/// find_not_finite — where the first of n numbers stands that is infinite or NaN, −1 when all are
/// finite: what is read from a stranger's file is looked at once, at the speed of memory.
///
///   const std::int64_t bad = cpu::find_not_finite(weight.data(), weight.numel());
///
/// A number is not finite where all bits of its exponent are set, so no arithmetic is done and no
/// compiler option changes the answer. Pieces are shared among the threads.

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "tandem/cpu/threads.hpp"
#include "tandem/tensor/dtype.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

namespace finite_detail {

template <class T>
using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t,
                                std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint16_t>>;
/// The bits of the exponent: those of infinity.
template <class T>
inline constexpr Bits<T> exponent = sizeof(T) == 8   ? Bits<T>(0x7FF0000000000000U)
                                    : sizeof(T) == 4 ? Bits<T>(0x7F800000U)
                                                     : Bits<T>(0x7F80U);

/// Does any of the n numbers have all bits of the exponent set?
template <class T>
bool any_not_finite(const T* x, std::int64_t n) {
  constexpr Bits<T> all = exponent<T>;
  Bits<T> found = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    Bits<T> bits;
    std::memcpy(&bits, x + i, sizeof bits);
    found = static_cast<Bits<T>>(found | static_cast<Bits<T>>((bits & all) == all));
  }
  return found != 0;
}

}  // namespace finite_detail

template <FloatingElement T>
std::int64_t find_not_finite(const T* x, std::int64_t n) {
  constexpr std::int64_t chunk = 1 << 18, block = 4096;
  std::vector<std::int64_t> first(static_cast<std::size_t>(num_chunks(n, chunk)), -1);
  parallel_chunks(n, chunk, [&](std::int64_t index, std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; at += block) {
      const std::int64_t count = end - at < block ? end - at : block;
      // A constant count is what compilers make vectors of.
      if (!(count == block ? finite_detail::any_not_finite(x + at, block)
                           : finite_detail::any_not_finite(x + at, count))) {
        continue;
      }
      while (!finite_detail::any_not_finite(x + at, 1)) ++at;
      first[static_cast<std::size_t>(index)] = at;
      return;
    }
  });
  for (const std::int64_t at : first) {
    if (at >= 0) return at;
  }
  return -1;
}

}  // namespace cpu
TANDEM_NAMESPACE_END
