#pragma once
/// Warping by cubic convolution: I(x + u) and its gradient for every pixel.

#include <cstdint>

#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/flow/planes.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow::detail {

/// Parameter of the cubic convolution kernel.                                  [Keys 1981, eq. 4]
inline constexpr float cubic_a = -0.75F;

/// An image and its gradient, pixel by pixel: (I, ∂I/∂x, ∂I/∂y, 0), with zeros around them.
///   ∂I/∂x = ½(I(x+1) − I(x−1)); at the first and last pixel the missing neighbour is the pixel itself.
class GradientImage {
 public:
  static constexpr std::int64_t before = 3, after = 4;  // pixels that taps reach beyond the image

  GradientImage(const Planes& image, std::int64_t plane)
      : height(image.height()), width(image.width()), pitch(4 * (width + before + after)),
        memory_(zeros<float>({height + before + after, pitch})), data_(memory_.mutable_data()) {
    cpu::parallel_for(height, 1 + 10000 / width, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t y = begin; y < end; ++y) {
        const float* here = image.row(plane, y);
        const float* up = image.row(plane, y > 0 ? y - 1 : y);
        const float* down = image.row(plane, y + 1 < height ? y + 1 : y);
        float* out = data_ + (y + before) * pitch + 4 * before;
        for (std::int64_t x = 0; x < width; ++x, out += 4) {
          const float left = here[x > 0 ? x - 1 : x], right = here[x + 1 < width ? x + 1 : x];
          out[0] = here[x];
          out[1] = 0.5F * (right - left);
          out[2] = 0.5F * (down[x] - up[x]);
        }
      }
    });
  }

  const std::int64_t height, width, pitch;
  /// Pixel (0, 0).
  const float* origin() const { return data_ + before * pitch + 4 * before; }

 private:
  Tensor<float> memory_;
  float* data_;
};

/// w(−1), w(0), w(1), w(2): the weights of four neighbours of a point that lies t after the second one.
template <class V>
TANDEM_ALWAYS_INLINE void cubic_weights(V t, V (&w)[4]) {
  const V a(cubic_a), one(1.0F), s = one - t;
  w[0] = a * t * s * s;
  w[3] = a * s * t * t;
  w[1] = fma(fma(a + V(2.0F), t, -(a + V(3.0F))) * t, t, one);
  w[2] = one - w[0] - w[1] - w[3];
}

/// The warped image and gradient for a row of pixels: out[4·x …] = Σ w_i w_j (I, Ix, Iy, 0) at
/// (x + u1[x], y + u2[x]), rounded to multiples of 1/steps of a pixel (0: not rounded). Points outside are
/// as zero as what surrounds the image.
struct WarpRow {
  static constexpr std::int64_t block = 64;  // pixels

  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const float* image, std::int64_t pitch, std::int64_t height,
                                       std::int64_t width, std::int64_t y, float steps,
                                       const float* u1, const float* u2, float* out) {
    constexpr int N = V::size, taps = N / 4;
    using I = typename V::Int;
    alignas(64) float wx[4][block], wy[4][block];
    alignas(64) std::int32_t column[block], line[block];
    // The order of min and max makes a number of NaN, so that nothing outside is ever read.
    const V left(-2.0F), right(static_cast<float>(width) + 1.0F), bottom(static_cast<float>(height) + 1.0F);
    for (std::int64_t first = 0; first < width; first += block) {
      const std::int64_t count = width - first < block ? width - first : block;
      for (std::int64_t i = 0; i < count; i += N) {
        const V at = V(static_cast<float>(first + i)) + cpu::convert<float>(I::iota());
        V x = min(max(at + V::load(u1 + first + i), left), right);
        V z = min(max(V(static_cast<float>(y)) + V::load(u2 + first + i), left), bottom);
        if (steps > 0) {
          x = round_even(x * V(steps)) * V(1 / steps);
          z = round_even(z * V(steps)) * V(1 / steps);
        }
        const V fx = floor(x), fz = floor(z);
        V w[4];
        cubic_weights(x - fx, w);
        for (int k = 0; k < 4; ++k) w[k].store(wx[k] + i);
        cubic_weights(z - fz, w);
        for (int k = 0; k < 4; ++k) w[k].store(wy[k] + i);
        cpu::convert<std::int32_t>(fx).store(column + i);
        cpu::convert<std::int32_t>(fz).store(line + i);
      }
      for (std::int64_t i = 0; i < count; ++i) {
        const float* p = image + (line[i] - 1) * pitch + 4 * (column[i] - 1);
        Vec4 sum(0.0F);
        for (int j = 0; j < 4; j += taps) {
          V v(0.0F);
          for (int k = 0; k < 4; ++k) {
            v = fma(V(wy[k][i]), V::load(p + k * pitch + 4 * j), v);
          }
          sum = sum + weigh(v, wx, i, j);
        }
        sum.store(out + 4 * (first + i));
      }
    }
  }

 private:
  using Vec4 = cpu::Vec<float, 4>;
  /// Four lanes belong to a tap: each is weighed, and what remains is their sum.
  template <class V>
  static TANDEM_ALWAYS_INLINE Vec4 weigh(V v, const float (&wx)[4][block], std::int64_t i, int tap) {
    if constexpr (V::size == 4) {
      return v * V(wx[tap][i]);
    } else {
      return weigh(v.low(), wx, i, tap) + weigh(v.high(), wx, i, tap + V::size / 8);
    }
  }
};

}  // namespace flow::detail
TANDEM_NAMESPACE_END
