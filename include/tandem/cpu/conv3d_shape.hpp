#pragma once
/// What the parts of the convolution on the CPU share: its sizes, and where its result goes.

#include <cstdint>
#include <string>
#include <type_traits>

#include "tandem/tensor/config.hpp"
#include "tandem/tensor/dtype.hpp"
#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

/// The sizes of a convolution in PyTorch's layout: x (n, channels, depth, height, width), weight
/// (out_channels, channels, kernel[0], kernel[1], kernel[2]), y (n, out_channels, out(0), out(1),
/// out(2)). Axes are depth, height, width; padding may differ at the front and the back.
///
///   const Conv3dShape shape{.n = 1, .channels = 64, .depth = 8, .height = 56, .width = 56,
///                           .out_channels = 192, .kernel = {3, 3, 3}, .pad_front = {1, 1, 1},
///                           .pad_back = {1, 1, 1}};
struct Conv3dShape {
  std::int64_t n = 1, channels = 1, depth = 1, height = 1, width = 1, out_channels = 1;
  std::int64_t kernel[3] = {1, 1, 1};
  std::int64_t stride[3] = {1, 1, 1};
  std::int64_t pad_front[3] = {0, 0, 0};
  std::int64_t pad_back[3] = {0, 0, 0};

  std::int64_t in(int axis) const { return axis == 0 ? depth : axis == 1 ? height : width; }
  /// ⌊(in + pad_front + pad_back − kernel) / stride⌋ + 1.
  std::int64_t out(int axis) const {
    return (in(axis) + pad_front[axis] + pad_back[axis] - kernel[axis]) / stride[axis] + 1;
  }
  std::int64_t in_positions() const { return depth * height * width; }
  std::int64_t out_positions() const { return out(0) * out(1) * out(2); }
  std::int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  /// Weights of one output channel: the length of the sums.
  std::int64_t fan_in() const { return channels * taps(); }
  double flops() const {
    return 2.0 * static_cast<double>(n * out_positions()) * static_cast<double>(out_channels) *
           static_cast<double>(fan_in());
  }
  /// Every tap meets exactly one element: a matrix product of the weight and the image as it is.
  bool is_pointwise() const {
    for (int i = 0; i < 3; ++i) {
      if (kernel[i] != 1 || stride[i] != 1 || pad_front[i] != 0 || pad_back[i] != 0) return false;
    }
    return true;
  }

  /// Throws Error unless the sizes make sense together.
  void check(const char* op) const {
    TANDEM_CHECK(
        n >= 0 && channels >= 0 && out_channels >= 0 && depth >= 0 && height >= 0 && width >= 0, op,
        "sizes must not be negative, got x (", n, ", ", channels, ", ", depth, ", ", height, ", ",
        width, ") and ", out_channels, " output channels");
    constexpr const char* axes[3] = {"depth", "height", "width"};
    for (int i = 0; i < 3; ++i) {
      TANDEM_CHECK(kernel[i] >= 1 && stride[i] >= 1, op,
                   "kernel and stride must be at least 1, got ", kernel[i], " and ", stride[i],
                   " along the ", axes[i]);
      TANDEM_CHECK(pad_front[i] >= 0 && pad_back[i] >= 0, op, "padding must not be negative, got ",
                   pad_front[i], " and ", pad_back[i], " along the ", axes[i]);
      TANDEM_CHECK(kernel[i] <= in(i) + pad_front[i] + pad_back[i], op, "the kernel is ", kernel[i],
                   " along the ", axes[i], ", longer than the padded image: ", pad_front[i], " + ",
                   in(i), " + ", pad_back[i]);
    }
  }
};

/// Which of y's channels a convolution fills: y has `total` (0: exactly the convolution's), and the
/// convolution's begin at `first`. Branches write side by side into one tensor this way.
struct ChannelSlice {
  std::int64_t total = 0;
  std::int64_t first = 0;
};

/// How to compute: as a matrix product with the image's windows (direct), through Winograd's short
/// convolutions with tiles of 2 × 2 or 4 × 4 outputs, where kernel and stride allow them, or what
/// is expected to be fastest for the shape (automatic).
enum class Conv3dMethod { automatic, direct, winograd2, winograd4 };

/// What products of T are added up in, and what a bias is.
template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

}  // namespace cpu
TANDEM_NAMESPACE_END
