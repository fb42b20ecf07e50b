#pragma once
/// The inner iteration of TV-L1: thresholding, primal update and dual update in one sweep over the
/// image.

#include <cstdint>

#include "tandem/cpu/simd.hpp"
#include "tandem/flow/planes.hpp"
#include "tandem/flow/tvl1_options.hpp"
#include "tandem/flow/warp.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow::detail {

/// Rows [begin, end) of one iteration.             [Zach et al. 2007, eq. 10–12; IPOL 2013, alg. 1]
///
///   ρ(u) = I1w + ∇I1w·(u − u0) − I0
///   v = u − ∇I1w · clamp(ρ(u)/|∇I1w|², −λθ, λθ)           thresholding
///   u ← v + θ div p                                        primal
///   p ← (p + τ/θ ∇u)/(1 + τ/θ |∇u|)                        dual, for both components of u
///
/// div by backward, ∇ by forward differences; p is zero before the first pixel, ∇ at the last one.
///
/// u of row y needs p of the rows y − 1 and y before their update, and p of row y needs the new u
/// of the rows y and y + 1: so the dual update follows one row behind, and each row is in the cache
/// for both. The dual update of the last row, end − 1, is left to finish_row, because it needs the
/// row after it.
struct Sweep {
  /// errors[y] = Σ |u_new − u_old|² of row y.
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const Planes* planes, std::int64_t begin, std::int64_t end,
                                       SweepConstants c, const float* zero_row, double* errors) {
    for (std::int64_t y = begin; y < end; ++y) {
      errors[y] = static_cast<double>(primal<V>(*planes, y, c, zero_row));
      if (y > begin) dual<V>(*planes, y - 1, y, c.tau_theta);
    }
  }

  template <class V>
  static TANDEM_ALWAYS_INLINE float primal(const Planes& planes, std::int64_t y, SweepConstants c,
                                           const float* zero_row) {
    float* const u = planes.row(u1, y);
    float* const v = planes.row(u2, y);
    const float* const a = planes.row(p11, y);
    const float* const b = planes.row(p12, y);
    const float* const d = planes.row(p21, y);
    const float* const e = planes.row(p22, y);
    const float* const b_up = y > 0 ? planes.row(p12, y - 1) : zero_row;
    const float* const e_up = y > 0 ? planes.row(p22, y - 1) : zero_row;
    const float* const ix = planes.row(gx, y);
    const float* const iy = planes.row(gy, y);
    const float* const constant = planes.row(rho0, y);
    const float* const inverse = planes.row(inv, y);
    const V limit(c.lambda_theta), theta(c.theta);
    V error(0.0F);
    for (std::int64_t x = 0; x < planes.width(); x += V::size) {
      const V s = V::load(u + x), t = V::load(v + x), i = V::load(ix + x), j = V::load(iy + x);
      const V rho = V::load(constant + x) + fma(i, s, j * t);
      const V step = min(max(rho * V::load(inverse + x), -limit), limit);
      const V div1 = (V::load(a + x) - V::load(a + x - 1)) + (V::load(b + x) - V::load(b_up + x));
      const V div2 = (V::load(d + x) - V::load(d + x - 1)) + (V::load(e + x) - V::load(e_up + x));
      const V new_s = fma(theta, div1, s - step * i);
      const V new_t = fma(theta, div2, t - step * j);
      new_s.store(u + x);
      new_t.store(v + x);
      const V ds = new_s - s, dt = new_t - t;
      error = fma(ds, ds, fma(dt, dt, error));
    }
    return reduce_sum(error);
  }

  /// Row y; `down` is the row after it, or y itself for the last one.
  template <class V>
  static TANDEM_ALWAYS_INLINE void dual(const Planes& planes, std::int64_t y, std::int64_t down,
                                        float tau_theta) {
    const float* const u = planes.row(u1, y);
    const float* const v = planes.row(u2, y);
    const float* const u_down = planes.row(u1, down);
    const float* const v_down = planes.row(u2, down);
    float* const a = planes.row(p11, y);
    float* const b = planes.row(p12, y);
    float* const d = planes.row(p21, y);
    float* const e = planes.row(p22, y);
    const V tau(tau_theta), one(1.0F);
    const auto step = [&](std::int64_t x, auto mask) TANDEM_INLINE_LAMBDA {
      const V s = V::load(u + x), t = V::load(v + x);
      const V sx = mask(V::load(u + x + 1) - s), sy = V::load(u_down + x) - s;
      const V tx = mask(V::load(v + x + 1) - t), ty = V::load(v_down + x) - t;
      const V n1 = fma(tau, sqrt(fma(sx, sx, sy * sy)), one);
      const V n2 = fma(tau, sqrt(fma(tx, tx, ty * ty)), one);
      // One division for both.
      const V both = one / (n1 * n2), r1 = both * n2, r2 = both * n1;
      (fma(tau, sx, V::load(a + x)) * r1).store(a + x);
      (fma(tau, sy, V::load(b + x)) * r1).store(b + x);
      (fma(tau, tx, V::load(d + x)) * r2).store(d + x);
      (fma(tau, ty, V::load(e + x)) * r2).store(e + x);
    };
    const std::int64_t last = (planes.width() - 1) / V::size * V::size;
    for (std::int64_t x = 0; x < last; x += V::size) {
      step(x, [](V difference) TANDEM_INLINE_LAMBDA { return difference; });
    }
    const auto inside = cpu::Mask<float, V::size>::first(planes.width() - 1 - last);
    step(last, [inside](V difference)
                   TANDEM_INLINE_LAMBDA { return select(inside, difference, V(0.0F)); });
  }
};

/// The dual update that Sweep leaves out.
struct FinishRow {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const Planes* planes, std::int64_t y, SweepConstants c) {
    Sweep::dual<V>(*planes, y, y + 1 < planes->height() ? y + 1 : y, c.tau_theta);
  }
};

}  // namespace flow::detail
TANDEM_NAMESPACE_END
