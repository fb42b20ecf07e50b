#pragma once
/// Which way a convolution is computed: an estimate of the time of each.

#include "tandem/cpu/conv3d_direct.hpp"
#include "tandem/cpu/conv3d_winograd.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::conv3d_detail {

/// The tile that `method` means for the shape, none for the direct method. Throws Error if the shape
/// makes no sense, or the method asks for a tile that does not fit the kernel.
template <class T>
TileKind choose_tile(const Conv3dShape& s, Conv3dMethod method, const Kernels<T, Accumulator<T>>& kernels,
                     bool packed_once) {
  static_cast<void>(packed_once);
  s.check("conv3d_forward");
  if (method == Conv3dMethod::direct) return TileKind::none;
  const int64_t taps = winograd_taps(s);
  if (method == Conv3dMethod::automatic) {
    if (kernels.k_multiple > 2) return TileKind::none;
    if (taps == 0) return TileKind::none;
    return taps == 3 ? TileKind::f43 : TileKind::f44;
  }
  const bool two = method == Conv3dMethod::winograd2;
  TANDEM_CHECK(taps == 3 || (taps == 4 && !two), "conv3d_forward", "no tile of ", two ? 2 : 4, " × ",
               two ? 2 : 4, " outputs for a kernel of ", s.kernel[1], " × ", s.kernel[2], " with stride ",
               s.stride[1], " × ", s.stride[2]);
  return taps == 4 ? TileKind::f44 : two ? TileKind::f23 : TileKind::f43;
}

}  // namespace cpu::conv3d_detail
TANDEM_NAMESPACE_END
