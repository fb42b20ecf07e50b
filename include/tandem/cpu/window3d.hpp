#pragma once
/// How a window moves over a volume (depth, height, width): what the convolutions and the pools
/// share. An image is a volume of depth 1, a sequence one of height 1 too.
///
///   Per axis, output o sees the positions o·stride − front + k·dilation, k = 0 … kernel − 1, of
///   the input; those outside [0, in) are padding. With extent = (kernel − 1)·dilation + 1:
///     explicit padding:  out = ⌊(in + front + back − extent)/stride⌋ + 1
///     same (TensorFlow): out = ⌈in/stride⌉,  front + back = max((out − 1)·stride + extent − in,
///     0),
///                        front = ⌊(front + back)/2⌋: one more at the back when that is odd; with
///                        stride 1 this is PyTorch's padding="same"

#include <cstdint>

#include "tandem/tensor/error.hpp"
#include "tandem/tensor/shape.hpp"

TANDEM_NAMESPACE_BEGIN

/// How many elements are put before and after those of a dimension.
struct Margin {
  std::int64_t before = 0;
  std::int64_t after = 0;
};

/// A number for each axis of a volume.
struct Triple {
  std::int64_t depth = 1, height = 1, width = 1;

  /// The same number for the three axes.
  static constexpr Triple all(std::int64_t n) { return {n, n, n}; }
  std::int64_t operator[](int axis) const { return axis == 0 ? depth : axis == 1 ? height : width; }
};

/// The padding of each axis, or TensorFlow's "SAME", which follows from the sizes.
struct Padding3d {
  Margin depth, height, width;
  bool automatic = false;  ///< same(); the margins are not used

  /// n elements before and after, on each axis.
  static constexpr Padding3d all(std::int64_t n) { return {{n, n}, {n, n}, {n, n}}; }
  /// As many as make the output ⌈size / stride⌉ long.
  static constexpr Padding3d same() { return {{}, {}, {}, true}; }
  const Margin& operator[](int axis) const {
    return axis == 0 ? depth : axis == 1 ? height : width;
  }
};

/// A number for each axis of an image; one number alone is both.
struct Pair {
  std::int64_t height = 1, width = 1;

  constexpr Pair() = default;
  constexpr Pair(std::int64_t both) : height(both), width(both) {}
  constexpr Pair(std::int64_t high, std::int64_t wide) : height(high), width(wide) {}
};

/// The padding of an image: n on every side, {n, m} above and below and at both sides, margins of
/// their own, or same(), as Padding3d's.
struct Padding2d {
  Margin height, width;
  bool automatic = false;  ///< same(); the margins are not used

  constexpr Padding2d() = default;
  constexpr Padding2d(std::int64_t n) : height{n, n}, width{n, n} {}
  constexpr Padding2d(std::int64_t n, std::int64_t m) : height{n, n}, width{m, m} {}
  constexpr Padding2d(Margin high, Margin wide) : height(high), width(wide) {}
  /// As many as make the output ⌈size / stride⌉ long.
  static constexpr Padding2d same() {
    Padding2d padding;
    padding.automatic = true;
    return padding;
  }
};

/// The padding of a sequence: n at both ends, {n, m} at the front and the back, or same().
struct Padding1d {
  Margin width;
  bool automatic = false;  ///< same(); the margin is not used

  constexpr Padding1d() = default;
  constexpr Padding1d(std::int64_t n) : width{n, n} {}
  constexpr Padding1d(std::int64_t front, std::int64_t back) : width{front, back} {}
  /// As many as make the output ⌈size / stride⌉ long.
  static constexpr Padding1d same() {
    Padding1d padding;
    padding.automatic = true;
    return padding;
  }
};

namespace detail {

/// What an image's and a sequence's numbers are of a volume.
inline Triple as_volume(const Pair& p) { return {1, p.height, p.width}; }
inline Padding3d as_volume(const Padding2d& p) { return {{}, p.height, p.width, p.automatic}; }
inline Padding3d as_volume(const Padding1d& p) { return {{}, {}, p.width, p.automatic}; }

/// One axis of a moving window.
struct WindowAxis {
  std::int64_t in, kernel, stride, front, back, out, dilation = 1;

  /// The outputs [first, last) whose tap `tap` falls on an element of the input.
  std::int64_t first(std::int64_t tap) const {
    const std::int64_t before = front - tap * dilation;  // o·stride ≥ before
    const std::int64_t o = before > 0 ? (before + stride - 1) / stride : 0;
    return o < out ? o : out;
  }
  std::int64_t last(std::int64_t tap) const {
    const std::int64_t end = in + front - tap * dilation;  // o·stride < end
    const std::int64_t o = end > 0 ? (end + stride - 1) / stride : 0;
    return o < out ? o : out;
  }
  /// The input's position under tap 0 of output o; negative or ≥ in where that is padding.
  TANDEM_HOST_DEVICE std::int64_t start(std::int64_t o) const { return o * stride - front; }
};

/// A window over a volume.
struct Window3d {
  WindowAxis axis[3];

  TANDEM_HOST_DEVICE const WindowAxis& operator[](int a) const { return axis[a]; }
  TANDEM_HOST_DEVICE std::int64_t inputs() const { return axis[0].in * axis[1].in * axis[2].in; }
  TANDEM_HOST_DEVICE std::int64_t taps() const {
    return axis[0].kernel * axis[1].kernel * axis[2].kernel;
  }
  TANDEM_HOST_DEVICE std::int64_t outputs() const {
    return axis[0].out * axis[1].out * axis[2].out;
  }
  bool has_stride_one() const {
    return axis[0].stride == 1 && axis[1].stride == 1 && axis[2].stride == 1;
  }
  /// Whether there are gaps between the taps.
  bool is_dilated() const {
    bool gaps = false;
    for (const WindowAxis& a : axis) gaps = gaps || (a.dilation > 1 && a.kernel > 1);
    return gaps;
  }
  /// One tap, no step, no padding: every output sees the input at its own place.
  bool is_pointwise() const {
    bool one = has_stride_one();
    for (const WindowAxis& a : axis) one = one && a.kernel == 1 && a.front == 0 && a.back == 0;
    return one;
  }
};

inline constexpr const char* axis_names[3] = {"depth", "height", "width"};

inline constexpr std::int64_t window_limit = std::int64_t{1} << 31;  // no sum of them overflows

/// Throws unless these are numbers of a window, whatever it moves over: what a layer asks when it
/// is made.
inline void require_window(const char* op, const Triple& kernel, const Triple& stride,
                           const Padding3d& padding, const Triple& dilation = {}) {
  for (int a = 0; a < 3; ++a) {
    const auto require = [&](const char* what, std::int64_t n) {
      TANDEM_CHECK(n >= 1 && n < window_limit, op, what, axis_names[a],
                   " must be from 1 to 2^31 - 1, it is ", n);
    };
    require("the kernel's ", kernel[a]);
    require("the stride along the ", stride[a]);
    require("the dilation along the ", dilation[a]);
    const Margin& margin = padding[a];
    TANDEM_CHECK(padding.automatic || (margin.before >= 0 && margin.before < window_limit &&
                                       margin.after >= 0 && margin.after < window_limit),
                 op, "the padding along the ", axis_names[a], " must be from 0 to 2^31 - 1, it is ",
                 margin.before, " and ", margin.after);
  }
}

/// The window over the last three dimensions of `shape`; throws unless everything fits.
inline Window3d window3d(const char* op, const Shape& shape, const Triple& kernel,
                         const Triple& stride, const Padding3d& padding,
                         const Triple& dilation = {}) {
  TANDEM_CHECK(shape.rank() == 5, op, "expected x of shape (N, C, depth, height, width), got ",
               shape);
  require_window(op, kernel, stride, padding, dilation);
  Window3d window{};
  for (int a = 0; a < 3; ++a) {
    const std::int64_t in = shape[a + 2], k = kernel[a], s = stride[a], gap = dilation[a];
    const char* const name = axis_names[a];
    TANDEM_CHECK(in >= 1, op, "the ", name, " of x is 0: ", shape);
    const std::int64_t extent = (k - 1) * gap + 1;
    WindowAxis& axis = window.axis[a];
    axis = {in, k, s, padding[a].before, padding[a].after, 0, gap};
    if (padding.automatic) {
      axis.out = (in - 1) / s + 1;
      const std::int64_t total = (axis.out - 1) * s + extent - in;
      axis.front = total > 0 ? total / 2 : 0;
      axis.back = total > 0 ? total - axis.front : 0;
    } else {
      const std::int64_t padded = in + axis.front + axis.back;
      TANDEM_CHECK(extent <= padded, op, "the kernel's ", name, ", ", extent,
                   ", is larger than that of x with its padding, ", padded);
      axis.out = (padded - extent) / s + 1;
    }
    // The one step of a stride beyond x leads nowhere; loops that lie in memory by it stay small.
    const std::int64_t whole = in + axis.front + axis.back;
    if (s > whole) axis.stride = whole;
  }
  return window;
}

}  // namespace detail

TANDEM_NAMESPACE_END
