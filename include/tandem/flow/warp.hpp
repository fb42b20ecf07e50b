#pragma once
/// Warping by cubic convolution: I(x + u) and its gradient for every pixel.

#include <cstdint>
#include <utility>

#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/flow/planes.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow::detail {

/// Parameter of the cubic convolution kernel.                                  [Keys 1981, eq. 4]
inline constexpr float cubic_a = -0.75F;

/// An image and its gradient, pixel by pixel: (I, ∂I/∂x, ∂I/∂y, 0); around them the nearest pixel is repeated.
///   ∂I/∂x = ½(I(x+1) − I(x−1)); at the first and last pixel the missing neighbour is the pixel itself.
class GradientImage {
 public:
  static constexpr std::int64_t before = 1, after = 2;  // pixels that taps reach beyond the image

  GradientImage(const Planes& image, int plane)
      : height(image.height()), width(image.width()), pitch(4 * (before + width + after)),
        memory_({before + height + after, pitch}) {
    float* const data = memory_.mutable_data();
    cpu::parallel_for(memory_.size(0), 1 + 10000 / width, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t line = begin; line < end; ++line) {
        const std::int64_t above = line - before;
        const std::int64_t y = above < 0 ? 0 : above < height ? above : height - 1;
        const float* here = image.row(plane, y);
        const float* up = image.row(plane, y > 0 ? y - 1 : y);
        const float* down = image.row(plane, y + 1 < height ? y + 1 : y);
        float* out = data + line * pitch;
        for (std::int64_t i = -before; i < width + after; ++i, out += 4) {
          const std::int64_t x = i < 0 ? 0 : i < width ? i : width - 1;
          const float left = here[x > 0 ? x - 1 : x], right = here[x + 1 < width ? x + 1 : x];
          out[0] = here[x];
          out[1] = 0.5F * (right - left);
          out[2] = 0.5F * (down[x] - up[x]);
          out[3] = 0;
        }
      }
    });
  }

  const std::int64_t height, width, pitch;
  /// Pixel (0, 0).
  const float* origin() const { return memory_.data() + before * pitch + 4 * before; }

 private:
  Tensor<float> memory_;
};

/// The weights of the four neighbours of a point that lies t after the second one, as polynomials of t:
/// column k holds the coefficients of t^k.
inline constexpr float cubic_coefficients[4][4] = {
    {0, 1, 0, 0},
    {cubic_a, 0, -cubic_a, 0},
    {-2 * cubic_a, -(cubic_a + 3), 2 * cubic_a + 3, cubic_a},
    {cubic_a, cubic_a + 2, -(cubic_a + 2), -cubic_a}};

/// The warped image and gradient for a row of pixels: out[4·x …] = Σ w_i w_j (I, Ix, Iy, 0) at
/// (x + u1[x], y + u2[x]), rounded to multiples of 1/steps of a pixel (0: not rounded). For points outside it
/// is the nearest point of the border.
struct WarpRow {
  static constexpr std::int64_t block = 64;  // pixels

  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const float* image, std::int64_t pitch, std::int64_t height,
                                       std::int64_t width, std::int64_t y, float steps,
                                       const float* u1, const float* u2, float* out) {
    alignas(64) float tx[block], ty[block];
    alignas(64) std::int32_t column[block], line[block];
    // The order of min and max makes a number of NaN, so that nothing outside is ever read.
    const V zero(0.0F), right(static_cast<float>(width - 1)), bottom(static_cast<float>(height - 1));
    const auto split = [&](V at, V most, float* t, std::int32_t* whole) TANDEM_INLINE_LAMBDA {
      at = min(max(at, zero), most);
      if (steps > 0) at = round_even(at * V(steps)) * V(1 / steps);
      const V below = floor(at);
      (at - below).store(t);
      cpu::convert<std::int32_t>(below).store(whole);
    };
    for (std::int64_t first = 0; first < width; first += block) {
      const std::int64_t count = width - first < block ? width - first : block;
      for (std::int64_t i = 0; i < count; i += V::size) {
        const V x = V(static_cast<float>(first + i)) + cpu::convert<float>(V::Int::iota());
        split(x + V::load(u1 + first + i), right, tx + i, column + i);
        split(V(static_cast<float>(y)) + V::load(u2 + first + i), bottom, ty + i, line + i);
      }
      for (std::int64_t i = 0; i < count; ++i) {
        const Vec4 wx = weights(tx[i]), wy = weights(ty[i]);
        const float* p = image + (line[i] - 1) * pitch + 4 * (column[i] - 1);
        taps<Pixels<V>>(p, pitch, wx, wy).store(out + 4 * (first + i));
      }
    }
  }

 private:
  using Vec4 = cpu::Vec<float, 4>;
  /// Of 64 bytes at a multiple of 16 most would lie on two lines of the cache.
  template <class V>
  using Pixels = cpu::Vec<float, (V::size < 8 ? V::size : 8)>;

  static TANDEM_ALWAYS_INLINE Vec4 weights(float at) {
    const Vec4 t(at);
    const auto k = [](int power) TANDEM_INLINE_LAMBDA { return Vec4::load(cubic_coefficients[power]); };
    return fma(fma(fma(k(3), t, k(2)), t, k(1)), t, k(0));
  }

  /// A pixel is four lanes. First the rows are added up, a vector of pixels at a time, then its pixels.
  template <class V>
  static TANDEM_ALWAYS_INLINE Vec4 taps(const float* p, std::int64_t pitch, Vec4 wx, Vec4 wy) {
    if constexpr (V::size == 8) {
      return fold(fma(rows<V>(p, pitch, wy), spread<V, 0>(wx, std::make_integer_sequence<int, 8>()),
                      rows<V>(p + 8, pitch, wy) * spread<V, 2>(wx, std::make_integer_sequence<int, 8>())));
    } else {
      return fma(rows<V>(p, pitch, wy), V(wx[0]), rows<V>(p + 4, pitch, wy) * V(wx[1])) +
             fma(rows<V>(p + 8, pitch, wy), V(wx[2]), rows<V>(p + 12, pitch, wy) * V(wx[3]));
    }
  }
  template <class V>
  static TANDEM_ALWAYS_INLINE V rows(const float* p, std::int64_t pitch, Vec4 wy) {
    const V low = fma(V(wy[1]), V::load(p + pitch), V(wy[0]) * V::load(p));
    return low + fma(V(wy[3]), V::load(p + 3 * pitch), V(wy[2]) * V::load(p + 2 * pitch));
  }
  /// Four lanes of each weight from the first on.
  template <class V, int First, int... I>
  static TANDEM_ALWAYS_INLINE V spread(Vec4 w, std::integer_sequence<int, I...>) {
    return V::from_raw(__builtin_shufflevector(w.raw, w.raw, (First + I / 4)...));
  }
  template <int N>
  static TANDEM_ALWAYS_INLINE Vec4 fold(cpu::Vec<float, N> v) {
    if constexpr (N == 4) {
      return v;
    } else {
      return fold(v.low() + v.high());
    }
  }
};

}  // namespace flow::detail
TANDEM_NAMESPACE_END
