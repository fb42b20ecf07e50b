#pragma once
/// Warping by cubic convolution, and the linear data term around the warped image.

#include <cstdint>
#include <vector>

#include "tandem/cpu/simd.hpp"
#include "tandem/flow/bands.hpp"
#include "tandem/flow/planes.hpp"
#include "tandem/flow/tvl1_options.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow::detail {

/// The planes of an image at one scale; the flow to start from only where there is one.
enum ImagePlane : int {
  first_image,
  second_image,
  second_x,
  second_y,
  initial_u1,
  initial_u2,
  image_plane_count
};

/// The planes that an iteration of TV-L1 works on.
enum Plane : int {
  u1,
  u2,  // flow
  p11,
  p12,
  p21,
  p22,  // dual variables: p1 = (p11, p12) of u1, p2 of u2
  gx,
  gy,    // gradient of the warped image
  rho0,  // the part of ρ that does not change: I1w − ∇I1w·u0 − I0
  inv,   // 1/|∇I1w|²
  spare1,
  spare2,  // for the median filter
  plane_count
};

/// ∂I/∂x = ½(I(x+1) − I(x−1)) and ∂I/∂y of a row; at the first and last pixel the missing neighbour
/// is the pixel itself. The image and its gradient get the nearest pixel where the taps of WarpRow
/// reach beyond.
struct GradientRow {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const Planes* images, std::int64_t y) {
    const std::int64_t width = images->width(), last = images->height() - 1;
    const auto extend = [width](float* row) TANDEM_INLINE_LAMBDA {
      row[-1] = row[0];
      row[width] = row[width + 1] = row[width - 1];
    };
    float* const here = images->row(second_image, y);
    const float* const up = images->row(second_image, y > 0 ? y - 1 : 0);
    const float* const down = images->row(second_image, y < last ? y + 1 : last);
    float* const dx = images->row(second_x, y);
    float* const dy = images->row(second_y, y);
    extend(here);
    const V half(0.5F);
    for (std::int64_t x = 0; x < width; x += V::size) {
      (half * (V::load(here + x + 1) - V::load(here + x - 1))).store(dx + x);
      (half * (V::load(down + x) - V::load(up + x))).store(dy + x);
    }
    extend(dx);
    extend(dy);
  }
};

inline void make_gradient(const Planes& images, Bands& bands) {
  const Planes* const planes = &images;
  bands.run([=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t y = begin; y < end; ++y) cpu::simd_dispatch<GradientRow, float>(planes, y);
  });
}

/// w(−1), w(0), w(1), w(2): the weights of the four neighbours of a point that lies t after the
/// second one.
template <class V>
TANDEM_ALWAYS_INLINE void cubic_weights(V t, V (&w)[4]) {
  const V a(cubic_a), one(1.0F), s = one - t;
  w[0] = a * t * s * s;
  w[1] = fma(fma(a + V(2.0F), t, -(a + V(3.0F))) * t, t, one);
  w[2] = fma(fma(a + V(2.0F), s, -(a + V(3.0F))) * s, s, one);
  w[3] = a * s * t * t;
}

/// The data term of a row, linear around the present flow u0:
///   gx, gy = ∇I1(x + u0),  rho0 = I1(x + u0) − ∇I1·u0 − I0,  inv = 1/|∇I1|²
/// The point x + u0 is rounded to multiples of 1/steps of a pixel (0: not rounded). Where it lies
/// outside of the image, nothing is known: gx, gy and rho0 are zero.
///
/// Neighbours mostly move alike, so that the taps of a vector of pixels are vectors in the image;
/// pixels that move otherwise are computed in further passes of the same vector, one for each
/// movement. Where all pixels of a block come from is computed first, because that takes long but
/// many can be on the way at once.
struct WarpRow {
  static constexpr std::int64_t block = 64;  // pixels

  /// line_offsets: where the rows −1 … height + 1 of a plane begin, see linearise().
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const Planes* images, const Planes* work, std::int64_t y,
                                       float steps, const std::int64_t* line_offsets) {
    // Wider vectors would mostly lie on two lines of the cache.
    using P = cpu::Vec<float, (V::size < 8 ? V::size : 8)>;
    using I = typename P::Int;
    const std::int64_t width = images->width();
    const float* const first = images->row(first_image, y);
    const float* const u = work->row(u1, y);
    const float* const v = work->row(u2, y);
    float* const out_x = work->row(gx, y);
    float* const out_y = work->row(gy, y);
    float* const out_rho = work->row(rho0, y);
    float* const out_inv = work->row(inv, y);
    const float* const planes[3] = {images->row(second_image, 0), images->row(second_x, 0),
                                    images->row(second_y, 0)};
    Block from;
    for (std::int64_t start = 0; start < width; start += block) {
      const std::int64_t count = width - start < block ? width - start : block;
      locate<P>(*images, u, v, start, count, y, steps, from);
      for (std::int64_t i = 0; i < count; i += P::size) {
        P wx[4], wy[4], sum[3];
        cubic_weights(P::load(from.tx + i), wx);
        cubic_weights(P::load(from.ty + i), wy);
        const std::int64_t x = start + i;
        taps(planes, line_offsets + from.line[i], x + from.shift[i], wx, wy, sum);
        if (!from.alike[i / P::size]) {
          const I shift = I::load(from.shift + i), line = I::load(from.line + i);
          std::int32_t left[P::size];
          I rest = I::from_raw(((shift != I(from.shift[i])) | (line != I(from.line[i]))).raw);
          rest.store(left);
          for (std::int64_t k = 1; k < P::size; ++k) {
            if (left[k] == 0) continue;
            const auto same = (shift == I(from.shift[i + k])) & (line == I(from.line[i + k]));
            P other[3];
            taps(planes, line_offsets + from.line[i + k], x + from.shift[i + k], wx, wy, other);
            for (int c = 0; c < 3; ++c)
              sum[c] = select(cpu::mask_cast<float>(same), other[c], sum[c]);
            rest = select(same, I(0), rest);
            rest.store(left);
          }
        }
        const P s = P::load(u + x), t = P::load(v + x), zero(0.0F);
        const auto inside = P::load(from.inside + i) != zero;
        const P ix = select(inside, sum[1], zero), iy = select(inside, sum[2], zero);
        ix.store(out_x + x);
        iy.store(out_y + x);
        select(inside, sum[0] - P::load(first + x) - fma(ix, s, iy * t), zero).store(out_rho + x);
        // Where the gradient is zero, the number does not matter: the step is a multiple of the
        // gradient.
        (P(1.0F) / max(fma(ix, ix, iy * iy), P(1e-30F))).store(out_inv + x);
      }
    }
  }

 private:
  /// Where the pixels of a block come from: the column minus their own and the row of the second of
  /// four taps, how far they lie after it, and 1 if they lie inside of the image. alike: of
  /// vectors, that all their pixels have one shift and line.
  struct Block {
    alignas(64) float tx[block], ty[block], inside[block];
    alignas(64) std::int32_t shift[block], line[block];
    bool alike[block];
  };

  template <class P>
  static TANDEM_ALWAYS_INLINE void locate(const Planes& images, const float* u, const float* v,
                                          std::int64_t start, std::int64_t count, std::int64_t y,
                                          float steps, Block& to) {
    using I = typename P::Int;
    const P zero(0.0F), row(static_cast<float>(y));
    const P right(static_cast<float>(images.width() - 1)),
        bottom(static_cast<float>(images.height() - 1));
    const P scale(steps), unit(steps > 0 ? 1 / steps : 0.0F);
    for (std::int64_t i = 0; i < count; i += P::size) {
      const I lane = I(static_cast<std::int32_t>(start + i)) + I::iota();
      const P x = cpu::convert<float>(lane) + P::load(u + start + i),
              z = row + P::load(v + start + i);
      const auto inside = (x >= zero) & (x <= right) & (z >= zero) & (z <= bottom);
      // The order of min and max makes a number of NaN, so that nothing outside is ever read.
      P at_x = min(max(x, zero), right), at_z = min(max(z, zero), bottom);
      if (steps > 0) {
        at_x = round_even(at_x * scale) * unit;
        at_z = round_even(at_z * scale) * unit;
      }
      // Truncated: they are not negative.
      const I column = cpu::convert<std::int32_t>(at_x), line = cpu::convert<std::int32_t>(at_z);
      (at_x - cpu::convert<float>(column)).store(to.tx + i);
      (at_z - cpu::convert<float>(line)).store(to.ty + i);
      select(inside, P(1.0F), zero).store(to.inside + i);
      // Points outside follow the first of the vector: what they get is not used.
      const auto own = cpu::mask_cast<std::int32_t>(inside);
      const I all_shifts = column - lane, first_shift(all_shifts[0]), first_line(line[0]);
      const I shift = select(own, all_shifts, first_shift), lines = select(own, line, first_line);
      shift.store(to.shift + i);
      lines.store(to.line + i);
      to.alike[i / P::size] = ((shift == first_shift) & (lines == first_line)).all();
    }
  }

  /// Σ wy_k Σ wx_j I(column + j − 1, line + k − 1) of three planes; offsets[k] leads to the row
  /// line + k − 1.
  template <class P>
  static TANDEM_ALWAYS_INLINE void taps(const float* const (&planes)[3],
                                        const std::int64_t* offsets, std::int64_t column,
                                        const P (&wx)[4], const P (&wy)[4], P (&sum)[3]) {
    const auto row = [&](const float* p) TANDEM_INLINE_LAMBDA {
      return fma(wx[0], P::load(p), wx[1] * P::load(p + 1)) +
             fma(wx[2], P::load(p + 2), wx[3] * P::load(p + 3));
    };
    const auto plane = [&](const float* origin) TANDEM_INLINE_LAMBDA {
      const float* const p = origin + column - 1;
      return fma(wy[0], row(p + offsets[0]), wy[1] * row(p + offsets[1])) +
             fma(wy[2], row(p + offsets[2]), wy[3] * row(p + offsets[3]));
    };
    sum[0] = plane(planes[0]);
    sum[1] = plane(planes[1]);
    sum[2] = plane(planes[2]);
  }
};

/// The data term of the whole image.
inline void linearise(const Planes& images, const Planes& work, int sampling_steps, Bands& bands) {
  const auto steps = static_cast<float>(sampling_steps);
  const Planes* const from = &images;
  const Planes* const to = &work;
  const std::int64_t height = images.height();
  std::vector<std::int64_t> offsets;  // of the rows −1 … height + 1, the nearest ones there are
  for (std::int64_t k = -1; k < height + 2; ++k) {
    offsets.push_back((k < 0 ? 0 : k < height ? k : height - 1) * images.pitch());
  }
  const std::int64_t* const lines = offsets.data();
  bands.run([=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t y = begin; y < end; ++y)
      cpu::simd_dispatch<WarpRow, float>(from, to, y, steps, lines);
  });
}

}  // namespace flow::detail
TANDEM_NAMESPACE_END
