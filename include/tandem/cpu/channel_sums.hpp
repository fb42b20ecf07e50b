#pragma once
/// Σ over everything but the channels of a dense tensor: the gradient of a convolution's bias.

#include <cstdint>

#include "tandem/cpu/dim_split.hpp"
#include "tandem/cpu/sum.hpp"
#include "tandem/cpu/threads.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// to[c] = Σ x[n, c, i] over n and i for x (outer, n, inner) split at its channels. Rows in blocks
/// and the blocks in double, as sum does it; a channel is one thread's: same bits for any thread
/// count.
template <class T>
void channel_sums(T* to, const T* x, const DimSplit& s) {
  cpu::parallel_for(s.n, grain_for(s.outer * s.inner), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      double total = 0;
      for (std::int64_t n = 0; n < s.outer; ++n) {
        total += cpu::simd_dispatch<cpu::detail::SumDense, T>(x + (n * s.n + c) * s.inner, s.inner);
      }
      to[c] = static_cast<T>(total);
    }
  });
}

}  // namespace detail
TANDEM_NAMESPACE_END
