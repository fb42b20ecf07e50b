#pragma once
/// Convolution as a matrix product whose right-hand side, the image's windows, never exists as a
/// whole ("implicit GEMM"): y (out_channels, positions) = w (out_channels, fan_in) · windows.
///
///   for each group of ≤ 16 column panels (32 output positions each)     threads take groups
///     for each k block of ≤ 512 taps
///       for each column panel of the group
///         pack the panel from the image (conv3d_pack.hpp)
///         for each row panel: micro kernel, C tile (12 × 32) += weights · panel
///
/// The weights are packed once (Conv3dWeights), a block of them stays in the second-level cache
/// while it meets the columns of a group. As for gemm, an element of y is a sum over k blocks in
/// increasing order, so its bits do not depend on threads or groups.
/// After Chetlur et al. 2014, "cuDNN: Efficient Primitives for Deep Learning", section 3.

#include "tandem/cpu/conv3d_pack.hpp"
#include "tandem/cpu/gemm_blocking.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::conv3d_detail {

using gemm_detail::ceil_div;
using gemm_detail::KBlocks;
using gemm_detail::Kernels;
using gemm_detail::MicroArgs;
using gemm_detail::Panels;
using gemm_detail::round_up;
using gemm_detail::Scratch;

/// Kept from call to call: what a call shares among its threads, and what each thread needs.
struct ConvScratch {
  Scratch image, weights, taps;  // shared
  Scratch panel, result;         // of a thread
};
inline ConvScratch& conv_scratch() {
  thread_local ConvScratch scratch;
  return scratch;
}

/// Rows of weights (rows, k), packed for the micro kernels: k blocks one after the other, in each
/// all row panels.
template <class T>
class PackedRows {
 public:
  using Acc = Accumulator<T>;

  PackedRows(const Kernels<T, Acc>& kernels, std::int64_t rows, std::int64_t k)
      : kernels_(&kernels),
        k_(k),
        blocks_(k, kernels.k_block),
        panels_(gemm_detail::row_panels(kernels, rows)) {}

  std::int64_t bytes() const { return offset(blocks_.count, 0); }
  void pack(const T* rows, std::byte* packed) {
    data_ = packed;
    const gemm_detail::PackSource<T> source{.data = rows,
                                            .ld = k_,
                                            .along_k = true,
                                            .pack = kernels_->pack_a_along_k,
                                            .width = kernels_->rows,
                                            .k_multiple = kernels_->k_multiple,
                                            .panels = panels_};
    parallel_for(blocks_.count * panels_.count, 4, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t block = i / panels_.count, panel = i % panels_.count;
        source(panel, panel + 1, blocks_.begin(block), blocks_.size(block), kernels_->k_unit,
               steps(block), step_bytes(), packed + offset(block, panel));
      }
    });
  }

  const Kernels<T, Acc>& kernels() const { return *kernels_; }
  const KBlocks& blocks() const { return blocks_; }
  const Panels& panels() const { return panels_; }
  std::int64_t steps(std::int64_t block) const {
    return round_up(blocks_.size(block), kernels_->k_multiple) / kernels_->k_unit;
  }
  const std::byte* at(std::int64_t block, std::int64_t panel) const {
    return data_ + offset(block, panel);
  }

 private:
  std::int64_t step_bytes() const { return std::int64_t{kernels_->rows} * kernels_->element_size; }
  std::int64_t offset(std::int64_t block, std::int64_t panel) const {
    const std::int64_t before =
        round_up(blocks_.begin(block), kernels_->k_multiple) / kernels_->k_unit;
    const std::int64_t panel_bytes = block < blocks_.count ? steps(block) * step_bytes() : 0;
    return before * step_bytes() * panels_.count + panel_bytes * panel;
  }

  const Kernels<T, Acc>* kernels_;
  std::int64_t k_;
  KBlocks blocks_;
  Panels panels_;
  const std::byte* data_ = nullptr;
};

/// y = max(c + bias, 0) or c + bias along a row; y may be c.
template <class Out>
struct FinishRow {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const typename V::value_type* c, Out* y, std::int64_t n,
                                       typename V::value_type bias, bool relu) {
    const V b(bias), floor(relu ? 0 : static_cast<typename V::value_type>(-__builtin_inf()));
    // max gives its second argument if either is NaN.
    if constexpr (std::is_same_v<Out, bfloat16>) {
      vec_map<Vec<std::uint16_t, V::size>>(
          n, &y->bits, [=](V x) TANDEM_INLINE_LAMBDA { return to_bf16(max(floor, x + b)); }, c);
    } else {
      vec_map<V>(
          n, y, [=](V x) TANDEM_INLINE_LAMBDA { return max(floor, x + b); }, c);
    }
  }
};

/// One call of the direct method.
template <class T, class Out>
class DirectConv {
 public:
  using Acc = Accumulator<T>;
  static constexpr bool in_place = std::is_same_v<Out, Acc>;  // sums grow in y itself

  DirectConv(const Conv3dShape& shape, const PackedRows<T>& weights, const Acc* bias, bool relu)
      : s_(shape),
        layout_(shape),
        w_(weights),
        kernels_(weights.kernels()),
        bias_(bias),
        relu_(relu),
        positions_(shape.out_positions()),
        columns_(Panels::full(positions_, kernels_.cols)) {}

  /// One sample: x (channels, …) to y (out_channels, …).
  void run(const T* x, Out* y, int threads) {
    x_ = x;
    y_ = y;
    if (!layout_.in_place) {
      const std::int64_t size = s_.channels * layout_.channel;
      T* copy = reinterpret_cast<T*>(
          conv_scratch().image.get((size + slack) * static_cast<std::int64_t>(sizeof(T))));
      copy_image(s_, layout_, x, copy);
      x_ = copy;
    }
    taps_ = find_taps();
    // Few columns for many threads: cut the rows into stripes, too.
    const std::int64_t columns = columns_.count, rows = w_.panels().count;
    std::int64_t stripes = threads > 1 ? ceil_div(4 * threads, columns) : 1;
    if (stripes > rows) stripes = rows;
    gemm_detail::share_out(threads, columns * stripes, [&](std::int64_t begin, std::int64_t end) {
      if (kernels_.begin != nullptr) kernels_.begin();
      while (begin < end) {
        const std::int64_t stripe = begin / columns, column = begin % columns;
        const std::int64_t count = end - begin < columns - column ? end - begin : columns - column;
        multiply(rows * stripe / stripes, rows * (stripe + 1) / stripes, column, column + count);
        begin += count;
      }
      if (kernels_.end != nullptr) kernels_.end();
    });
  }

 private:
  const std::int64_t* find_taps() {
    std::int64_t* taps = reinterpret_cast<std::int64_t*>(
        conv_scratch().taps.get(s_.fan_in() * static_cast<std::int64_t>(sizeof(std::int64_t))));
    std::int64_t* next = taps;
    for (std::int64_t c = 0; c < s_.channels; ++c) {
      for (std::int64_t kd = 0; kd < s_.kernel[0]; ++kd) {
        for (std::int64_t kh = 0; kh < s_.kernel[1]; ++kh) {
          for (std::int64_t kw = 0; kw < s_.kernel[2]; ++kw) *next++ = layout_.tap(c, kd, kh, kw);
        }
      }
    }
    return taps;
  }

  /// Row panels [row0, row1) × column panels [col0, col1).
  void multiply(std::int64_t row0, std::int64_t row1, std::int64_t col0, std::int64_t col1) {
    const Panels& rows = w_.panels();
    const std::int64_t i0 = rows.begin(row0), j0 = columns_.begin(col0);
    const std::int64_t step_bytes = std::int64_t{kernels_.cols} * kernels_.element_size;
    Acc* c;
    std::int64_t ldc;
    if constexpr (in_place) {
      c = y_ + i0 * positions_ + j0;
      ldc = positions_;
    } else {
      ldc = (col1 - col0) * kernels_.cols;
      c = reinterpret_cast<Acc*>(conv_scratch().result.get((rows.begin(row1) - i0) * ldc *
                                                           static_cast<std::int64_t>(sizeof(Acc))));
    }
    MicroArgs<Acc> args{};
    args.alpha = 1;
    args.a_row = 1;
    args.a_step = kernels_.rows;
    args.b_step = kernels_.cols;
    args.ldc = ldc;
    for (std::int64_t block = 0; block < w_.blocks().count; ++block) {
      args.steps = w_.steps(block);
      args.beta = block == 0 ? 0 : 1;
      const bool last = block == w_.blocks().count - 1;
      std::byte* panel = conv_scratch().panel.get((args.steps + slack) * step_bytes);
      args.b = panel;
      args.prefetch = reinterpret_cast<const char*>(panel);
      for (std::int64_t col = col0; col < col1; ++col) {
        const std::int64_t j = columns_.begin(col);
        args.cols = columns_.end(col) - j;
        Run runs[max_columns];
        const std::int64_t run_count = find_runs(s_, layout_, j, args.cols, runs);
        pack_columns<T>({x_, taps_ + w_.blocks().begin(block), w_.blocks().size(block), runs,
                         run_count, panel, kernels_.cols, layout_.in_place},
                        kernels_.k_unit, args.steps, step_bytes);
        for (std::int64_t row = row0; row < row1; ++row) {
          const std::int64_t i = rows.begin(row);
          args.rows = rows.end(row) - i;
          args.a = w_.at(block, row);
          args.c = c + (i - i0) * ldc + (j - j0);
          kernels_.micro[args.rows - 1](args);
          if (last) finish(i, j, args.rows, args.cols, args.c, ldc);
        }
      }
    }
  }

  void finish(std::int64_t i0, std::int64_t j0, std::int64_t rows, std::int64_t cols, const Acc* c,
              std::int64_t ldc) {
    if (in_place && bias_ == nullptr && !relu_) return;
    for (std::int64_t i = 0; i < rows; ++i) {
      simd_dispatch<FinishRow<Out>, Acc>(c + i * ldc, y_ + (i0 + i) * positions_ + j0, cols,
                                         bias_ != nullptr ? bias_[i0 + i] : Acc(0), relu_);
    }
  }

  const Conv3dShape& s_;
  const ImageLayout layout_;
  const PackedRows<T>& w_;
  const Kernels<T, Acc>& kernels_;
  const Acc* bias_;
  bool relu_;
  std::int64_t positions_;
  Panels columns_;
  const T* x_ = nullptr;
  Out* y_ = nullptr;
  const std::int64_t* taps_ = nullptr;
};

}  // namespace cpu::conv3d_detail
TANDEM_NAMESPACE_END
