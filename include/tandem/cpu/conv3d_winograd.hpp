#pragma once
/// Convolution through Winograd's short ones: along height and width in tiles of m × m outputs,
/// along depth as a plain sum.                                              [Lavin & Gray 2016]
///
///   y tile (d) = Aᵀ [ Σ_{kd, c} U(kd, c) ⊙ V(d + kd, c) ] A,   U = G g Gᵀ,  V = Bᵀ x B
///
/// For each of the n × n points the sum is a matrix product (tiles × out_channels, inner dimension
/// (kd, c)), so F(4, 3) needs 36 products where the direct sum needs 144. With V stored as
/// [point][frame][c][tile], the inner indices of an output frame are neighbours in memory: nothing
/// is copied for depth, and taps that would meet the padding in front or behind are left out.
///
///   for each block of tile rows (and frames) whose V takes at most 4 MB
///     transform the image                            all threads, by frame and channel
///     for each 32 output channels of some frames     all threads
///       for each point: multiply                     at most 512 KB: the second-level cache
///       transform the products
///
/// Everything is computed in Acc (float for bfloat16). Each element of y is computed by one thread
/// in an order that does not depend on the threads.

#include <cstdint>

#include "tandem/cpu/conv3d_tiles.hpp"
#include "tandem/cpu/gemm_blocking.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::conv3d_detail {

using gemm_detail::ceil_div;
using gemm_detail::Kernels;
using gemm_detail::MicroArgs;
using gemm_detail::Panels;
using gemm_detail::round_up;
using gemm_detail::Scratch;

struct WinogradScratch {
  Scratch transformed;      // shared by a call's threads
  Scratch stage, products;  // of a thread
};
inline WinogradScratch& winograd_scratch() {
  thread_local WinogradScratch scratch;
  return scratch;
}

/// Which tile a layer can use.
enum class TileKind { none, f23, f43, f44 };

/// Taps per phase, if the kernel is square with equal strides; 0 if no tile fits.
inline std::int64_t winograd_taps(const Conv3dShape& s) {
  if (s.kernel[1] != s.kernel[2] || s.stride[1] != s.stride[2] || s.stride[1] > 2) return 0;
  const std::int64_t taps = ceil_div(s.kernel[1], s.stride[1]);
  return taps == 3 || taps == 4 ? taps : 0;
}

/// G g Gᵀ for all points, as [point][panel][k][cols] with k = (kd, c, phase).
template <class Acc>
class WinogradWeights {
 public:
  WinogradWeights(const Kernels<Acc, Acc>& kernels, const Conv3dShape& s, TileKind kind)
      : kernels_(&kernels),
        kind_(kind),
        out_channels_(s.out_channels),
        phases_(s.stride[1] * s.stride[1]),
        depth_k_(s.channels * phases_),
        k_(s.kernel[0] * depth_k_),
        panels_(ceil_div(s.out_channels, kernels.cols)),
        points_(kind == TileKind::f23   ? 16
                : kind == TileKind::f43 ? 36
                                        : 49) {}

  std::int64_t bytes() const {
    return points_ * panels_ * k_ * kernels_->cols * static_cast<std::int64_t>(sizeof(Acc));
  }
  template <class T>
  void pack(const Conv3dShape& s, const T* w, std::byte* packed) {
    Acc* out = reinterpret_cast<Acc*>(packed);
    data_ = out;
    if (kind_ == TileKind::f23) return transform<Toom<2, 3>>(s, w, out);
    if (kind_ == TileKind::f43) return transform<Toom<4, 3>>(s, w, out);
    transform<Toom<4, 4>>(s, w, out);
  }

  const Kernels<Acc, Acc>& kernels() const { return *kernels_; }
  TileKind kind() const { return kind_; }
  std::int64_t panels() const { return panels_; }
  std::int64_t depth_k() const { return depth_k_; }  // inner indices of one depth tap
  std::int64_t panel_size() const { return k_ * kernels_->cols; }
  const Acc* at(std::int64_t point, std::int64_t panel) const {
    return data_ + (point * panels_ + panel) * panel_size();
  }

 private:
  template <class Tile, class T>
  void transform(const Conv3dShape& s, const T* w, Acc* packed) {
    const std::int64_t cols = kernels_->cols, taps = s.kernel[1] * s.kernel[2];
    parallel_for(panels_ * s.channels, 4, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t panel = item / s.channels, c = item % s.channels, o = panel * cols;
        FilterArgs<T, Acc> a;
        a.channel_stride = s.fan_in();
        a.count = out_channels_ - o < cols ? out_channels_ - o : cols;
        a.cols = cols;
        a.size = s.kernel[1];
        a.stride = s.stride[1];
        a.point_stride = panels_ * panel_size();
        for (std::int64_t kd = 0; kd < s.kernel[0]; ++kd) {
          a.w = w + ((o * s.channels + c) * s.kernel[0] + kd) * taps;
          a.out = packed + panel * panel_size() + (kd * s.channels + c) * phases_ * cols;
          simd_dispatch<FilterTransform<Tile, T>, double>(a);
        }
      }
    });
  }

  const Kernels<Acc, Acc>* kernels_;
  TileKind kind_;
  std::int64_t out_channels_, phases_, depth_k_, k_, panels_, points_;
  const Acc* data_ = nullptr;
};

/// One call with tiles of kind Tile.
template <class Tile, class T, class Out>
class WinogradConv {
 public:
  using Acc = Accumulator<T>;
  static constexpr int m = Tile::m, n = Tile::n, points = n * n;
  static constexpr std::int64_t product_stride = points * product_width;
  static constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(Acc));
  static constexpr std::int64_t block_bytes = std::int64_t{4} << 20;      // of V
  static constexpr std::int64_t product_bytes = std::int64_t{512} << 10;  // of an item's products
  static constexpr std::int64_t item_tiles =
      product_bytes / (product_stride * static_cast<std::int64_t>(sizeof(Acc)));

  WinogradConv(const Conv3dShape& shape, const WinogradWeights<Acc>& weights, const Acc* bias,
               bool relu, ChannelSlice slice)
      : s_(shape),
        w_(weights),
        bias_(bias),
        relu_(relu),
        slice_(slice),
        tiles_x_(ceil_div(s_.out(2), m)),
        tiles_y_(ceil_div(s_.out(1), m)),
        slices_(s_.n * s_.out(0)),
        chunks_(ceil_div(s_.out_channels, product_width)) {}

  void run(const T* x, Out* y, int threads) {
    x_ = x;
    y_ = y;
    // As many tile rows as fit with all frames; where not even one does, fewer frames.
    std::int64_t rows = tiles_y_, slices = slices_;
    while (rows > 1 && (block_size(rows, slices) > block_bytes || rows * tiles_x_ > item_tiles))
      --rows;
    while (slices > 1 && block_size(rows, slices) > block_bytes) --slices;
    rows = ceil_div(tiles_y_, ceil_div(tiles_y_, rows));
    slices = ceil_div(slices_, ceil_div(slices_, slices));
    for (slice0_ = 0; slice0_ < slices_; slice0_ = slice1_) {
      slice1_ = slices_ - slice0_ < slices ? slices_ : slice0_ + slices;
      for (row0_ = 0; row0_ < tiles_y_; row0_ = row1_) {
        row1_ = tiles_y_ - row0_ < rows ? tiles_y_ : row0_ + rows;
        tiles_ = (row1_ - row0_) * tiles_x_;
        tile_stride_ = padded_tiles(row1_ - row0_);
        frame0_ = taps(slice0_).frame;
        frame1_ = frame0_;
        for (std::int64_t i = slice0_; i < slice1_; ++i) {
          const Taps t = taps(i);
          if (t.frame + t.count > frame1_) frame1_ = t.frame + t.count;
        }
        transform_image(threads);
        multiply(threads);
      }
    }
  }

 private:
  /// The depth taps [first, first + count) of an output frame meet frames of the image, counted
  /// through the batch, from `frame` on.
  struct Taps {
    std::int64_t first, count, frame;
  };
  Taps taps(std::int64_t slice) const {
    const std::int64_t begin = slice % s_.out(0) * s_.stride[0] - s_.pad_front[0];
    std::int64_t first = begin < 0 ? -begin : 0;
    std::int64_t last = s_.depth - begin < s_.kernel[0] ? s_.depth - begin : s_.kernel[0];
    if (last < first) first = last = 0;  // all of them meet padding
    std::int64_t frame = begin + first;
    if (first == last) frame = begin < 0 ? 0 : s_.depth;
    return {first, last - first, slice / s_.out(0) * s_.depth + frame};
  }

  /// Vectors of tiles reach beyond the last tile row's end.
  std::int64_t padded_tiles(std::int64_t rows) const {
    return (rows - 1) * tiles_x_ + round_up(tiles_x_, max_lanes);
  }
  std::int64_t block_size(std::int64_t rows, std::int64_t slices) const {
    const std::int64_t frames = slices * s_.stride[0] + s_.kernel[0] - s_.stride[0];
    return points * static_cast<std::int64_t>(sizeof(Acc)) * frames * w_.depth_k() *
           padded_tiles(rows);
  }

  void transform_image(int threads) {
    const std::int64_t stride = s_.stride[1], rows = row1_ - row0_, frames = frame1_ - frame0_;
    const std::int64_t k = frames * w_.depth_k();
    // An odd number of cache lines: the points of a tile must not compete for the same sets.
    point_stride_ = (ceil_div(k * tile_stride_, line) | 1) * line;
    transformed_ = reinterpret_cast<Acc*>(winograd_scratch().transformed.get(
        points * point_stride_ * static_cast<std::int64_t>(sizeof(Acc))));
    TileRows<T> t{};
    t.height = s_.height;
    t.width = s_.width;
    t.first_row = row0_ * m * stride - s_.pad_front[1];
    t.first_column = -s_.pad_front[2];
    t.rows = ((rows - 1) * m + n) * stride;
    t.phases = stride * m;
    t.columns = round_up(tiles_x_ + (n * stride - 1) / t.phases, max_lanes);
    const std::int64_t row_size = t.phases * t.columns;
    const std::int64_t stage_size =
        row_size + t.rows * row_size + max_lanes;  // a line, then the rows
    gemm_detail::share_out(
        threads, frames * s_.channels, [&](std::int64_t begin, std::int64_t end) {
          Acc* stage = reinterpret_cast<Acc*>(
              winograd_scratch().stage.get(stage_size * static_cast<std::int64_t>(sizeof(Acc))));
          for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t frame = frame0_ + i / s_.channels, c = i % s_.channels;
            TileRows<T> here = t;
            here.frame = x_ + ((frame / s_.depth * s_.channels + c) * s_.depth + frame % s_.depth) *
                                  s_.height * s_.width;
            if (stride == 1) {
              simd_dispatch<StageRows<T, m>, Acc>(here, stage);
            } else {
              simd_dispatch<StageRows<T, 2 * m>, Acc>(here, stage);
            }
            simd_dispatch<InputTransform<Tile>, Acc>(
                InputArgs<Acc>{.stage = stage + row_size,
                               .columns = t.columns,
                               .stride = stride,
                               .tiles_x = tiles_x_,
                               .tiles_y = rows,
                               .out = transformed_ + i * stride * stride * tile_stride_,
                               .row_stride = tile_stride_,
                               .point_stride = point_stride_});
          }
        });
  }

  void multiply(int threads) {
    // An item: 32 output channels of some slices, fewer of these where threads would have nothing
    // to do.
    const std::int64_t slices = slice1_ - slice0_;
    std::int64_t together = item_tiles / tiles_;
    if (together < 1) together = 1;
    if (together > slices) together = slices;
    while (together > 1 && together * tiles_ > 32 &&
           chunks_ * ceil_div(slices, together) < 8 * threads)
      --together;
    const std::int64_t groups = ceil_div(slices, together);
    gemm_detail::share_out(threads, chunks_ * groups, [&](std::int64_t begin, std::int64_t end) {
      Acc* products = reinterpret_cast<Acc*>(winograd_scratch().products.get(
          together * tiles_ * product_stride * static_cast<std::int64_t>(sizeof(Acc))));
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t first = slice0_ + item % groups * together;
        const std::int64_t last = slice1_ - first < together ? slice1_ : first + together;
        multiply(item / groups, first, last, products);
        transform_products(item / groups, first, last, products);
      }
    });
  }

  /// Products of one chunk of 32 output channels are [slice][tile][point][32].
  void multiply(std::int64_t chunk, std::int64_t first, std::int64_t last, Acc* products) {
    const Kernels<Acc, Acc>& kernels = w_.kernels();
    const Panels rows = gemm_detail::row_panels(kernels, tiles_);
    MicroArgs<Acc> args{};
    args.alpha = 1;
    args.beta = 0;
    args.a_row = 1;
    args.a_step = tile_stride_;
    args.b_step = kernels.cols;
    args.ldc = product_stride;
    args.cols = kernels.cols;
    // Each micro kernel fetches its share of the next point's panel.
    const std::int64_t share =
        w_.panel_size() * static_cast<std::int64_t>(sizeof(Acc)) / (rows.count * (last - first));
    const std::int64_t panel1 = (chunk + 1) * product_width / kernels.cols;
    for (std::int64_t panel = chunk * product_width / kernels.cols;
         panel < panel1 && panel < w_.panels(); ++panel) {
      for (std::int64_t point = 0; point < points; ++point) {
        const bool fetch = point + 1 < points;
        args.prefetch = reinterpret_cast<const char*>(w_.at(fetch ? point + 1 : point, panel));
        Acc* c = products + point * product_width + panel * kernels.cols % product_width;
        for (std::int64_t slice = first; slice < last; ++slice) {
          const Taps t = taps(slice);
          args.steps = t.count * w_.depth_k();
          args.prefetch_step = fetch && args.steps > 0 ? share / args.steps : 0;
          args.b = w_.at(point, panel) + t.first * w_.depth_k() * kernels.cols;
          const Acc* a = transformed_ + point * point_stride_ +
                         (t.frame - frame0_) * w_.depth_k() * tile_stride_;
          for (std::int64_t row = 0; row < rows.count; ++row) {
            args.a = a + rows.begin(row);
            args.rows = rows.end(row) - rows.begin(row);
            args.c = c + ((slice - first) * tiles_ + rows.begin(row)) * product_stride;
            kernels.micro[args.rows - 1](args);
            if (fetch) args.prefetch += share;
          }
        }
      }
    }
  }

  void transform_products(std::int64_t chunk, std::int64_t first, std::int64_t last,
                          const Acc* products) {
    const std::int64_t o = chunk * product_width, left = s_.out_channels - o;
    OutputArgs<Acc, Out> a;
    a.tile_stride = product_stride;
    a.channels = left < product_width ? left : product_width;
    a.bias = bias_ != nullptr ? bias_ + o : nullptr;
    a.relu = relu_;
    a.channel_stride = s_.out_positions();
    a.row_stride = s_.out(2);
    a.columns = s_.out(2);
    for (std::int64_t slice = first; slice < last; ++slice) {
      const std::int64_t sample = slice / s_.out(0), d = slice % s_.out(0);
      for (std::int64_t row = row0_; row < row1_; ++row) {
        const std::int64_t h = row * m, below = s_.out(1) - h;
        a.products =
            products + ((slice - first) * tiles_ + (row - row0_) * tiles_x_) * product_stride;
        a.y = y_ + (((sample * slice_.total + slice_.first + o) * s_.out(0) + d) * s_.out(1) + h) *
                       s_.out(2);
        a.rows = below < m ? below : m;
        simd_dispatch<OutputTransform<Tile, Out>, Acc>(a);
      }
    }
  }

  const Conv3dShape& s_;
  const WinogradWeights<Acc>& w_;
  const Acc* bias_;
  bool relu_;
  ChannelSlice slice_;
  std::int64_t tiles_x_, tiles_y_, slices_, chunks_;
  const T* x_ = nullptr;
  Out* y_ = nullptr;
  // The block at hand.
  std::int64_t slice0_ = 0, slice1_ = 0, row0_ = 0, row1_ = 0, frame0_ = 0, frame1_ = 0;
  std::int64_t tiles_ = 0, tile_stride_ = 0, point_stride_ = 0;
  Acc* transformed_ = nullptr;
};

template <class T, class Out>
void winograd(const Conv3dShape& s, const T* x, const WinogradWeights<Accumulator<T>>& weights,
              const Accumulator<T>* bias, bool relu, Out* y, ChannelSlice slice, int threads) {
  switch (weights.kind()) {
    case TileKind::none:
      break;
    case TileKind::f23:
      return WinogradConv<Toom<2, 3>, T, Out>(s, weights, bias, relu, slice).run(x, y, threads);
    case TileKind::f43:
      return WinogradConv<Toom<4, 3>, T, Out>(s, weights, bias, relu, slice).run(x, y, threads);
    case TileKind::f44:
      return WinogradConv<Toom<4, 4>, T, Out>(s, weights, bias, relu, slice).run(x, y, threads);
  }
}

}  // namespace cpu::conv3d_detail
TANDEM_NAMESPACE_END
