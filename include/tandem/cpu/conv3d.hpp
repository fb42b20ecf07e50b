#pragma once
/// conv3d_forward — convolution over depth, height and width on the CPU, in PyTorch's layout.
///
///   y[n, o, p] = act( bias[o] + Σ w[o, c, kd, kh, kw] · x[n, c, p·stride + k − pad_front] )
///
///   x (n, c, D, H, W), w (o, c, kd, kh, kw), bias (o) or null → y (n, o, D', H', W'); the sum is
///   over c and k = (kd, kh, kw); act is the identity or max(·, 0). Outside x are zeros.
///
/// for float, double and bfloat16; products of bfloat16 are added up in float, bias is float then,
/// and y float or bfloat16. The bits of the result do not depend on the number of threads.
///
///   const Conv3dShape shape{.channels = 64, .depth = 8, .height = 56, .width = 56,
///                           .out_channels = 192, .kernel = {3, 3, 3}, .pad_front = {1, 1, 1},
///                           .pad_back = {1, 1, 1}};
///   conv3d_forward(shape, x, w, bias, true, y);
///
///   const Conv3dWeights<float> packed(shape, w);  // once, for weights that do not change
///   conv3d_forward(shape, x, packed, bias, true, y, {.total = 480, .first = 128});
///
/// How it works: conv3d_direct.hpp (as a matrix product), conv3d_pack.hpp (its right-hand side),
/// conv3d_winograd.hpp (3 × 3 kernels, and up to 8 × 8 with stride 2, with a quarter of the
/// products), conv3d_tiles.hpp and conv3d_toom.hpp (its transforms), conv3d_choose.hpp (which).
///
/// Accuracy: against direct sums in double, the root mean square error of float is 2e-6 of that of
/// y for one layer with Winograd's 4 × 4 tiles (4e-7 with direct sums) and 3e-6 (1.3e-6) after a
/// chain of 20 such layers with ReLU. An infinity or NaN in x spreads over all outputs of a tile.

#include "tandem/cpu/conv3d_choose.hpp"
#include "tandem/cpu/conv3d_direct.hpp"
#include "tandem/cpu/conv3d_winograd.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

/// A convolution's weights, packed once for many calls. They keep the instruction set and the
/// method that were chosen when they were packed; sizes of the image, of the batch and of the
/// padding may differ later.
template <class T>
class Conv3dWeights {
 public:
  using Acc = Accumulator<T>;

  /// Throws Error if the sizes do not make sense together, or the method does not fit the kernel.
  Conv3dWeights(const Conv3dShape& shape, const T* w, Conv3dMethod method = Conv3dMethod::automatic)
      : Conv3dWeights(shape, w, method, gemm_detail::kernels<T, Acc>(isa()), memory_) {}

  /// With the direct method and the kernels given: for tests.
  Conv3dWeights(const Conv3dShape& shape, const T* w, const gemm_detail::Kernels<T, Acc>& kernels)
      : Conv3dWeights(shape, w, Conv3dMethod::direct, kernels, memory_) {}

  /// In memory that outlives the weights and may be used again after them.
  Conv3dWeights(const Conv3dShape& shape, const T* w, Conv3dMethod method,
                const gemm_detail::Kernels<T, Acc>& kernels, gemm_detail::Scratch& memory)
      : shape_(checked(shape)),
        direct_(kernels, shape.out_channels, shape.fan_in()),
        winograd_(gemm_detail::kernels<Acc, Acc>(isa()), shape,
                  conv3d_detail::choose_tile<T>(shape, method, kernels, &memory == &memory_)) {
    if (winograd_.kind() == conv3d_detail::TileKind::none) {
      direct_.pack(w, memory.get(direct_.bytes()));
    } else {
      winograd_.pack(shape, w, memory.get(winograd_.bytes()));
    }
  }

  const Conv3dShape& shape() const { return shape_; }
  const conv3d_detail::PackedRows<T>& direct() const { return direct_; }
  const conv3d_detail::WinogradWeights<Acc>& winograd() const { return winograd_; }

 private:
  static const Conv3dShape& checked(const Conv3dShape& shape) {
    shape.check("Conv3dWeights");
    return shape;
  }

  Conv3dShape shape_;
  gemm_detail::Scratch memory_;
  conv3d_detail::PackedRows<T> direct_;
  conv3d_detail::WinogradWeights<Acc> winograd_;  // of no kind: direct_ is in use
};

/// The convolution with packed weights. Throws Error if `shape` is not that of the weights (sizes
/// of the image, batch and padding aside) or the slice does not fit.
template <class T, class Out>
void conv3d_forward(const Conv3dShape& shape, const T* x, const Conv3dWeights<T>& w,
                    const std::type_identity_t<Accumulator<T>>* bias, bool relu, Out* y,
                    ChannelSlice slice = {}) {
  shape.check("conv3d_forward");
  const Conv3dShape& packed = w.shape();
  bool same = shape.channels == packed.channels && shape.out_channels == packed.out_channels;
  for (int i = 0; i < 3; ++i) {
    same = same && shape.kernel[i] == packed.kernel[i] && shape.stride[i] == packed.stride[i];
  }
  TANDEM_CHECK(same, "conv3d_forward",
               "the weights were packed for another layer: ", packed.channels, " → ",
               packed.out_channels, " channels, not ", shape.channels, " → ", shape.out_channels,
               ", or for another kernel or stride");
  if (slice.total == 0) slice.total = shape.out_channels;
  TANDEM_CHECK(slice.first >= 0 && slice.first + shape.out_channels <= slice.total,
               "conv3d_forward", "y has ", slice.total, " channels, ", shape.out_channels,
               " do not fit from channel ", slice.first);
  const std::int64_t positions = shape.out_positions();
  if (shape.n == 0 || shape.out_channels == 0 || positions == 0) return;
  if (w.winograd().kind() != conv3d_detail::TileKind::none) {
    return conv3d_detail::winograd(shape, x, w.winograd(), bias, relu, y, slice,
                                   gemm_detail::useful_threads(shape.flops()));
  }
  const int threads = gemm_detail::useful_threads(shape.flops() / static_cast<double>(shape.n));
  conv3d_detail::DirectConv<T, Out> conv(shape, w.direct(), bias, relu);
  for (std::int64_t i = 0; i < shape.n; ++i) {
    conv.run(x + i * shape.channels * shape.in_positions(),
             y + (i * slice.total + slice.first) * positions, threads);
  }
}

/// The convolution with the weights as they are. Throws Error if the sizes do not make sense
/// together.
template <class T, class Out>
void conv3d_forward(const Conv3dShape& shape, const T* x, const T* w,
                    const std::type_identity_t<Accumulator<T>>* bias, bool relu, Out* y,
                    ChannelSlice slice = {}) {
  shape.check("conv3d_forward");
  const Conv3dWeights<T> packed(shape, w, Conv3dMethod::automatic,
                                gemm_detail::kernels<T, Accumulator<T>>(isa()),
                                conv3d_detail::conv_scratch().weights);
  conv3d_forward(shape, x, packed, bias, relu, y, slice);
}

}  // namespace cpu
TANDEM_NAMESPACE_END
