#pragma once
/// What the kernels of TV-L1 work on: numbers that are rounded one by one, the planes of a batch,
/// and where each pair is in its iterations.

#include "rounded.cuh"
#include "tandem/flow/median_network.hpp"
#include "tandem/flow/pyramid.hpp"
#include "tandem/flow/tvl1_options.hpp"

namespace tandem_kernels {

namespace tvl1 = tandem::flow::detail;

using F = Rounded<float>;

/// The smaller and the larger one, b if either is NaN, as cpu/simd.hpp has them.
__device__ inline float smaller(float a, float b) { return a < b ? a : b; }
__device__ inline float larger(float a, float b) { return a > b ? a : b; }

/// Where a pair is.
struct TvL1State {
  int u_at, p_at;  ///< which of two places u and p are in
  int done;        ///< iterations of this warp
  /// Of the last iterations of a launch, so many were wanted: they are done again, from u_at and
  /// p_at.
  int redo;
  int stopped;  ///< no iteration is left to do in this warp
};

/// The planes of `pairs` pairs, `room` floats from one pair to the next; u and p exist twice.
struct TvL1Planes {
  float *u, *p, *terms;  ///< (2, 2, pairs, room), (2, 4, pairs, room), (4, pairs, room)
  std::int64_t pairs, room;

  __device__ float* flow(int at, int component, std::int64_t pair) const {
    return u + ((at * 2 + component) * pairs + pair) * room;
  }
  /// p11, p12, p21, p22
  __device__ float* dual(int at, int component, std::int64_t pair) const {
    return p + ((at * 4 + component) * pairs + pair) * room;
  }
  /// gx, gy, rho0, inv
  __device__ float* term(int which, std::int64_t pair) const {
    return terms + (which * pairs + pair) * room;
  }
};

/// A pixel of a batch by its number.
struct Pixel {
  std::int64_t pair, y, x;
  __device__ Pixel(std::int64_t i, std::int64_t height, std::int64_t width) {
    const std::int64_t row = i / width;
    x = i - row * width;
    pair = row / height;
    y = row - pair * height;
  }
};

/// Where a pixel of a line of `out` comes from, as flow::detail::LinearAxis has it.
template <class Place>
struct LinearPoint {
  std::int64_t low, high;
  float t;
  __device__ LinearPoint(std::int64_t i, std::int64_t in, Place scale) {
    using P = Rounded<Place>;
    const Place last = static_cast<Place>(in - 1);
    Place x = ((P(static_cast<Place>(i)) + P(Place(0.5))) * P(scale) - P(Place(0.5))).v;
    x = x < 0 ? 0 : x > last ? last : x;
    low = static_cast<std::int64_t>(x);
    high = low + 1 < in ? low + 1 : low;
    t = static_cast<float>(x - static_cast<Place>(low));
  }
};

/// A pixel of a plane of a width, between four, times a factor; `stride` floats from one to the
/// next.
template <class Place>
__device__ float resized(const float* from, std::int64_t width, std::int64_t stride,
                         const LinearPoint<Place>& row, const LinearPoint<Place>& column,
                         float factor) {
  const float* const a = from + row.low * width * stride;
  const float* const b = from + row.high * width * stride;
  const auto middle = [&](std::int64_t x) {
    return F(a[x * stride]) + F(row.t) * (F(b[x * stride]) - F(a[x * stride]));
  };
  const F left = middle(column.low), right = middle(column.high);
  return (F(factor) * (left + F(column.t) * (right - left))).v;
}

}  // namespace tandem_kernels
