#pragma once
/// The max pool inside a Mixed block, 3×3×3 with stride 1 and "SAME" padding, for inference.
///
///   y(d, h, w) = max of x over the ≤ 27 neighbours of (d, h, w), itself included; NaN wins
///
/// One axis after the other: over width and over height in frames with a margin of −∞, where the
/// whole frame is one array and every vector is full, then over depth.

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "tandem/cpu/convert.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace i3d::detail {

/// y[i] = max(a[i], b[i], c[i]); up to a vector more than n is read and written. y may be a.
struct MaxOfThree {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const float* a, const float* b, const float* c, float* y,
                                       std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += V::size) {
      cpu::max_nan(cpu::max_nan(V::load(a + i), V::load(b + i)), V::load(c + i)).store(y + i);
    }
  }
};

/// x (channels, D, H, W) → y of the same shape, float or bfloat16.
template <class E>
void neighbour_max(const E* x, std::int64_t channels, std::int64_t depth, std::int64_t height,
                   std::int64_t width, E* y) {
  constexpr bool low = !std::is_same_v<E, float>;
  constexpr std::int64_t slack = 128;
  const std::int64_t columns = width + 2, pixels = height * width;
  const std::int64_t frame = (height + 2) * columns, inner = height * columns;
  cpu::parallel_for(
      channels, 1 + 16384 / (depth * frame), [&](std::int64_t begin, std::int64_t end) {
        const Tensor<float> memory =
            full<float>({2 * (frame + slack) + depth * inner + slack + pixels},
                        -std::numeric_limits<double>::infinity());
        float* const padded = memory.mutable_data();  // its margin stays −∞
        float* const across = padded + frame + slack;
        float* const best = across + frame + slack;  // (depth, height, columns)
        float* const dense = best + depth * inner + slack;
        const auto three = [](const float* a, const float* b, const float* c, float* to,
                              std::int64_t n) {
          cpu::simd_dispatch<MaxOfThree, float>(a, b, c, to, n);
        };
        const auto bytes = static_cast<std::size_t>(width) * sizeof(float);
        for (std::int64_t c = begin; c < end; ++c) {
          const E* const from = x + c * depth * pixels;
          E* const to = y + c * depth * pixels;
          for (std::int64_t d = 0; d < depth; ++d) {
            const float* picture = dense;
            if constexpr (low) {
              cpu::widen(from + d * pixels, dense, pixels);
            } else {
              picture = from + d * pixels;
            }
            for (std::int64_t h = 0; h < height; ++h) {
              std::memcpy(padded + (h + 1) * columns + 1, picture + h * width, bytes);
            }
            three(padded, padded + 1, padded + 2, across, frame);
            three(across, across + columns, across + 2 * columns, best + d * inner, inner);
          }
          for (std::int64_t d = 0; d < depth; ++d) {
            const float* const here = best + d * inner;
            three(d > 0 ? here - inner : here, here, d + 1 < depth ? here + inner : here, across,
                  inner);
            float* picture = dense;
            if constexpr (!low) picture = to + d * pixels;
            for (std::int64_t h = 0; h < height; ++h) {
              std::memcpy(picture + h * width, across + h * columns, bytes);
            }
            if constexpr (low) cpu::round_to_bfloat16(dense, to + d * pixels, pixels);
          }
        }
      });
}

}  // namespace i3d::detail
TANDEM_NAMESPACE_END
