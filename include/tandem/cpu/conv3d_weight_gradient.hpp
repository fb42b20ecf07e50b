#pragma once
/// The gradient of a convolution's weight, for stride 1, as one matrix product per tap and no
/// copies of windows:
///
///   dW[o, c, t] = Σ_{n, p} dy[n, o, p] · x[n, c, p + offset(t)]
///
/// x is packed once, with its padding, as [channel panel][position][channel], dy as [output panel]
/// [position][output] on the same grid of rows. A tap is then an offset into the packed x, and the
/// micro kernels of gemm.hpp walk both from position to position:
///
///   for each (panel of ≤ 32 channels, kd, kh)                          threads take these
///     for each sample and output frame, in blocks of ≤ 512 positions
///       for each kw, for each panel of ≤ 12 outputs:   dW tile (12 × 32) += dy block · x block at
///       (kd, kh, kw)
///
/// Between the rows of a frame dy has the zeros of the x grid's margin, which cost (width + kw −
/// 1)/width times the work. Each element of dW is one thread's, added up in a fixed order: the bits
/// do not depend on the number of threads.

#include <cstring>

#include "tandem/cpu/conv3d_shape.hpp"
#include "tandem/cpu/gemm_blocking.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {
namespace conv3d_detail {

/// Kept from call to call.
struct GradientScratch {
  gemm_detail::Scratch x, dy, dw;
};
inline GradientScratch& gradient_scratch() {
  thread_local GradientScratch scratch;
  return scratch;
}

template <class T>
class WeightGradient {
 public:
  WeightGradient(const Conv3dShape& shape, T* dw)
      : s_(shape),
        kernels_(gemm_detail::kernels<T, T>(isa())),
        dw_(dw),
        frames_(shape.out(0) + shape.kernel[0] - 1),
        rows_(shape.out(1) + shape.kernel[1] - 1),
        columns_(shape.out(2) + shape.kernel[2] - 1),
        steps_((shape.out(1) - 1) * columns_ + shape.out(2)),
        channels_(gemm_detail::Panels::full(shape.channels, kernels_.cols)),
        outputs_(gemm_detail::Panels::even(shape.out_channels, kernels_.rows)) {}

  void run(const T* x, const T* dy) {
    const int64_t taps = s_.taps(), size = s_.out_channels * s_.channels;
    const auto scratch = [](gemm_detail::Scratch& memory, int64_t elements) {
      return reinterpret_cast<T*>(memory.get(elements * static_cast<int64_t>(sizeof(T))));
    };
    GradientScratch& memory = gradient_scratch();
    T* const x_packed = scratch(memory.x, channels_.count * x_panel());
    T* const dy_packed = scratch(memory.dy, outputs_.count * dy_panel());
    T* const by_tap = scratch(memory.dw, taps * size);
    const int threads = gemm_detail::useful_threads(s_.flops());
    for (int64_t n = 0; n < s_.n; ++n) {
      pack(x + n * s_.channels * s_.in_positions(), dy + n * s_.out_channels * s_.out_positions(),
           x_packed, dy_packed);
      gemm_detail::share_out(threads, channels_.count * s_.kernel[0] * s_.kernel[1],
                             [&](int64_t begin, int64_t end) {
                               for (; begin < end; ++begin)
                                 multiply(begin, n > 0, x_packed, dy_packed, by_tap);
                             });
    }
    parallel_for(size, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t t = 0; t < taps; ++t) dw_[i * taps + t] = by_tap[t * size + i];
      }
    });
  }

 private:
  int64_t x_panel() const { return frames_ * rows_ * columns_ * kernels_.cols; }
  int64_t dy_panel() const { return s_.out(0) * steps_ * kernels_.rows; }

  void pack(const T* x, const T* dy, T* x_packed, T* dy_packed) const {
    const auto zeros = [](T* to, int64_t count) {
      std::memset(static_cast<void*>(to), 0, static_cast<size_t>(count) * sizeof(T));
    };
    parallel_for(channels_.count * frames_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t panel = i / frames_, first = channels_.begin(panel);
        const int64_t d = i % frames_ - s_.pad_front[0], step = kernels_.cols;
        T* out = x_packed + panel * x_panel() + i % frames_ * rows_ * columns_ * step;
        for (int64_t r = 0; r < rows_; ++r, out += columns_ * step) {
          const int64_t h = r - s_.pad_front[1], front = s_.pad_front[2];
          // Of the row's columns, [before, last) lie in x.
          const int64_t before = front < columns_ ? front : columns_;
          const int64_t last = front + s_.width < columns_ ? front + s_.width : columns_;
          if (d < 0 || d >= s_.depth || h < 0 || h >= s_.height || before >= last) {
            zeros(out, columns_ * step);
            continue;
          }
          zeros(out, before * step);
          kernels_.pack_b_along_k(x + ((first * s_.depth + d) * s_.height + h) * s_.width,
                                  s_.in_positions(), channels_.end(panel) - first, last - before,
                                  out + before * step);
          zeros(out + last * step, (columns_ - last) * step);
        }
      }
    });
    parallel_for(outputs_.count * s_.out(0), 1, [&](int64_t begin, int64_t end) {
      const int64_t height = s_.out(1), width = s_.out(2), step = kernels_.rows;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t panel = i / s_.out(0), d = i % s_.out(0), first = outputs_.begin(panel);
        T* out = dy_packed + panel * dy_panel() + d * steps_ * step;
        const T* from = dy + first * s_.out_positions() + d * height * width;
        for (int64_t h = 0; h < height; ++h, from += width, out += columns_ * step) {
          kernels_.pack_a_along_k(from, s_.out_positions(), outputs_.end(panel) - first, width,
                                  out);
          if (h + 1 < height) zeros(out + width * step, (columns_ - width) * step);
        }
      }
    });
  }

  /// All of one sample for a panel of channels and the taps of one (kd, kh).
  void multiply(int64_t task, bool add, const T* x_packed, const T* dy_packed, T* by_tap) const {
    constexpr int64_t block = 512;
    const int64_t kw = s_.kernel[2], lines = s_.kernel[0] * s_.kernel[1];
    const int64_t panel = task / lines, kd = task % lines / s_.kernel[1], kh = task % s_.kernel[1];
    gemm_detail::MicroArgs<T> args{};
    args.alpha = 1;
    args.a_row = 1;
    args.a_step = kernels_.rows;
    args.b_step = kernels_.cols;
    args.ldc = s_.channels;
    args.cols = channels_.end(panel) - channels_.begin(panel);
    args.prefetch = reinterpret_cast<const char*>(x_packed);
    for (int64_t d = 0; d < s_.out(0); ++d) {
      const T* x =
          x_packed + panel * x_panel() + ((d + kd) * rows_ + kh) * columns_ * kernels_.cols;
      const T* dy = dy_packed + d * steps_ * kernels_.rows;
      for (int64_t p = 0; p < steps_; p += block) {
        args.steps = steps_ - p < block ? steps_ - p : block;
        args.beta = add || d > 0 || p > 0 ? T(1) : T(0);
        for (int64_t w = 0; w < kw; ++w) {
          args.b = x + (p + w) * kernels_.cols;
          T* const c = by_tap + (task % lines * kw + w) * s_.out_channels * s_.channels +
                       channels_.begin(panel);
          for (int64_t o = 0; o < outputs_.count; ++o) {
            args.a = dy + o * dy_panel() + p * kernels_.rows;
            args.rows = outputs_.end(o) - outputs_.begin(o);
            args.c = c + outputs_.begin(o) * s_.channels;
            kernels_.micro[args.rows - 1](args);
          }
        }
      }
    }
  }

  const Conv3dShape& s_;
  const gemm_detail::Kernels<T, T>& kernels_;
  T* dw_;
  int64_t frames_, rows_, columns_;  // of x with the padding that the kernel reaches
  int64_t steps_;                    // positions from the first to the last output of a frame
  gemm_detail::Panels channels_, outputs_;
};

}  // namespace conv3d_detail

/// dW (out_channels, channels, kd, kh, kw) from x and dy, dense, for stride 1, n ≥ 1.
template <class T>
void conv3d_weight_gradient(const Conv3dShape& shape, const T* x, const T* dy, T* dw) {
  shape.check("conv3d_weight_gradient");
  TANDEM_CHECK(shape.stride[0] == 1 && shape.stride[1] == 1 && shape.stride[2] == 1 && shape.n >= 1,
               "conv3d_weight_gradient", "takes stride 1 and at least one sample");
  conv3d_detail::WeightGradient<T>(shape, dw).run(x, dy);
}

}  // namespace cpu
TANDEM_NAMESPACE_END
