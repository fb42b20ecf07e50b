#pragma once
/// conv3d_forward — convolution over depth, height and width on the CPU, in PyTorch's layout.
///
///   y[n, o, p] = act( bias[o] + Σ_{c, kd, kh, kw} w[o, c, kd, kh, kw] · x[n, c, p·stride + k − pad_front] )
///
///   x (n, c, D, H, W), w (o, c, kd, kh, kw), bias (o) or null → y (n, o, D', H', W'); act is the identity
///   or max(·, 0). Elements outside x count as zeros.
///
/// for float, double and bfloat16; products of bfloat16 are added up in float, bias is float then, and
/// y float or bfloat16. The bits of the result do not depend on the number of threads.
///
///   const Conv3dShape shape{.channels = 64, .depth = 8, .height = 56, .width = 56, .out_channels = 192,
///                           .kernel = {3, 3, 3}, .pad_front = {1, 1, 1}, .pad_back = {1, 1, 1}};
///   conv3d_forward(shape, x, w, bias, true, y);
///
///   const Conv3dWeights<float> packed(shape, w);             // once, for weights that do not change
///   conv3d_forward(shape, x, packed, bias, true, y, {.total = 480, .first = 128});
///
/// How it works: conv3d_direct.hpp (as a matrix product), conv3d_pack.hpp (its right-hand side).

#include "tandem/cpu/conv3d_direct.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

/// A convolution's weights, packed once for many calls. They keep the instruction set and the method
/// that were chosen when they were packed; sizes of the image and of the batch may differ later.
template <class T>
class Conv3dWeights {
 public:
  using Acc = Accumulator<T>;

  /// Throws Error if the sizes do not make sense together.
  Conv3dWeights(const Conv3dShape& shape, const T* w)
      : Conv3dWeights(shape, w, gemm_detail::kernels<T, Acc>(isa())) {}

  /// With the kernels given: for tests.
  Conv3dWeights(const Conv3dShape& shape, const T* w, const gemm_detail::Kernels<T, Acc>& kernels)
      : shape_(shape), rows_(kernels, shape.out_channels, shape.fan_in()) {
    shape.check("Conv3dWeights");
    rows_.pack(w, memory_.get(rows_.bytes()));
  }

  const Conv3dShape& shape() const { return shape_; }
  const conv3d_detail::PackedRows<T>& rows() const { return rows_; }

 private:
  Conv3dShape shape_;
  gemm_detail::Scratch memory_;
  conv3d_detail::PackedRows<T> rows_;
};

namespace conv3d_detail {

template <class T, class Out>
void forward(const Conv3dShape& s, const T* x, const PackedRows<T>& weights, const Accumulator<T>* bias,
             bool relu, Out* y, ChannelSlice slice) {
  const int64_t total = slice.total == 0 ? s.out_channels : slice.total;
  TANDEM_CHECK(slice.first >= 0 && slice.first + s.out_channels <= total, "conv3d_forward",
               "y has ", total, " channels, ", s.out_channels, " do not fit from channel ", slice.first);
  const int64_t positions = s.out_positions();
  if (s.n == 0 || s.out_channels == 0 || positions == 0) return;
  const int threads = gemm_detail::useful_threads(s.flops() / static_cast<double>(s.n));
  DirectConv<T, Out> conv(s, weights, bias, relu);
  for (int64_t i = 0; i < s.n; ++i) {
    conv.run(x + i * s.channels * s.in_positions(), y + (i * total + slice.first) * positions, threads);
  }
}

}  // namespace conv3d_detail

/// The convolution with packed weights. Throws Error if `shape` is not that of the weights (sizes of
/// the image and padding aside) or the slice does not fit.
template <class T, class Out>
void conv3d_forward(const Conv3dShape& shape, const T* x, const Conv3dWeights<T>& w,
                    const Accumulator<T>* bias, bool relu, Out* y, ChannelSlice slice = {}) {
  shape.check("conv3d_forward");
  const Conv3dShape& packed = w.shape();
  bool same = shape.channels == packed.channels && shape.out_channels == packed.out_channels;
  for (int i = 0; i < 3; ++i) {
    same = same && shape.kernel[i] == packed.kernel[i] && shape.stride[i] == packed.stride[i];
  }
  TANDEM_CHECK(same, "conv3d_forward", "the weights were packed for another layer: ", packed.channels,
               " → ", packed.out_channels, " channels, not ", shape.channels, " → ", shape.out_channels,
               ", or for another kernel or stride");
  conv3d_detail::forward(shape, x, w.rows(), bias, relu, y, slice);
}

/// The convolution with the weights as they are. Throws Error if the sizes do not make sense together.
template <class T, class Out>
void conv3d_forward(const Conv3dShape& shape, const T* x, const T* w, const Accumulator<T>* bias,
                    bool relu, Out* y, ChannelSlice slice = {}) {
  shape.check("conv3d_forward");
  conv3d_detail::PackedRows<T> rows(gemm_detail::kernels<T, Accumulator<T>>(isa()), shape.out_channels,
                                    shape.fan_in());
  rows.pack(w, conv3d_detail::conv_scratch().weights.get(rows.bytes()));
  conv3d_detail::forward(shape, x, rows, bias, relu, y, slice);
}

}  // namespace cpu
TANDEM_NAMESPACE_END
