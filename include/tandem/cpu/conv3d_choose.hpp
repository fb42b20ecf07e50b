#pragma once
/// Which way a convolution is computed: an estimate of the time of each, in the time of one
/// multiply-add of a float matrix product at its peak.
///
/// The constants were measured on a Zen 4 core with AVX-512 (59 multiply-adds per ns), where the
/// estimates for eight layers of I3D were within a quarter of the measured times. On other machines
/// they need not be right, only in the right order where the difference is large.

#include "tandem/cpu/conv3d_direct.hpp"
#include "tandem/cpu/conv3d_winograd.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::conv3d_detail {

/// Of the direct method: multiply-adds with whole panels of columns, packing an element of the
/// windows, reading a weight. bfloat16 in pairs runs at twice the speed of float, in tiles at 16
/// times.
template <class T>
double direct_cost(const Conv3dShape& s, const Kernels<T, Accumulator<T>>& kernels) {
  const double speed = kernels.k_unit == 1 ? 1 : kernels.k_multiple == 2 ? 2 : 16;
  const double fan_in = static_cast<double>(s.fan_in()),
               outputs = static_cast<double>(s.out_channels);
  const double columns = static_cast<double>(s.n * round_up(s.out_positions(), kernels.cols));
  return columns * fan_in * (1.25 * outputs / speed + 6) + 5 * fan_in * outputs;
}

/// Of Winograd's: multiply-adds, transforming an element of the image and of the products to or
/// from one point, reading a transformed weight; and transforming it, unless that is done once for
/// many calls.
template <class Tile, class Acc>
double winograd_cost(const Conv3dShape& s, const Kernels<Acc, Acc>& kernels, bool packed_once) {
  constexpr double points = Tile::n * Tile::n;
  const std::int64_t tiles = ceil_div(s.out(1), Tile::m) * ceil_div(s.out(2), Tile::m);
  const Panels rows = gemm_detail::row_panels(kernels, tiles);
  // Below two thirds of its height a micro kernel waits for its own results.
  const std::int64_t least = 2 * kernels.rows / 3, height = rows.width < least ? least : rows.width;
  std::int64_t taps = 0;  // that meet a frame, over all output frames
  for (std::int64_t d = 0; d < s.out(0); ++d) {
    const std::int64_t begin = d * s.stride[0] - s.pad_front[0], end = begin + s.kernel[0];
    const std::int64_t met = (end < s.depth ? end : s.depth) - (begin > 0 ? begin : 0);
    if (met > 0) taps += met;
  }
  const double phases = static_cast<double>(s.stride[1] * s.stride[1] * s.channels);
  const double outputs = static_cast<double>(round_up(s.out_channels, kernels.cols));
  const double products = static_cast<double>(s.n * taps * rows.count * height) * phases * outputs;
  const double image = static_cast<double>(s.n * s.depth * tiles) * phases;
  const double result = static_cast<double>(s.n * s.out(0) * tiles) * outputs;
  const double weights = static_cast<double>(s.kernel[0]) * phases * outputs;
  return points * (1.1 * products + 50 * image + 25 * result + (packed_once ? 10 : 70) * weights);
}

/// The tile that `method` means for the shape, none for the direct method. Throws Error if the
/// method asks for a tile that does not fit the kernel.
template <class T>
TileKind choose_tile(const Conv3dShape& s, Conv3dMethod method,
                     const Kernels<T, Accumulator<T>>& kernels, bool packed_once) {
  using Acc = Accumulator<T>;
  if (method == Conv3dMethod::direct) return TileKind::none;
  const std::int64_t taps = winograd_taps(s);
  if (method == Conv3dMethod::automatic) {
    if (taps == 0) return TileKind::none;
    const Kernels<Acc, Acc>& products = gemm_detail::kernels<Acc, Acc>(isa());
    const double direct = direct_cost<T>(s, kernels);
    if (taps == 4) {
      return winograd_cost<Toom<4, 4>>(s, products, packed_once) < direct ? TileKind::f44
                                                                          : TileKind::none;
    }
    const double two = winograd_cost<Toom<2, 3>>(s, products, packed_once);
    const double four = winograd_cost<Toom<4, 3>>(s, products, packed_once);
    if (direct <= two && direct <= four) return TileKind::none;
    return two < four ? TileKind::f23 : TileKind::f43;
  }
  const bool two = method == Conv3dMethod::winograd2;
  TANDEM_CHECK(taps == 3 || (taps == 4 && !two), "conv3d_forward", "no tile of ", two ? 2 : 4,
               " × ", two ? 2 : 4, " outputs for a kernel of ", s.kernel[1], " × ", s.kernel[2],
               " with stride ", s.stride[1], " × ", s.stride[2]);
  return taps == 4 ? TileKind::f44 : two ? TileKind::f23 : TileKind::f43;
}

}  // namespace cpu::conv3d_detail
TANDEM_NAMESPACE_END
