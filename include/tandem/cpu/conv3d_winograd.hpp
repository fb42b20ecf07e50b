#pragma once
/// Convolution through Winograd's short ones: along height and width in tiles of m × m outputs, along
/// depth as a plain sum.                                                    [Lavin & Gray 2016]
///
///   y tile (d) = Aᵀ [ Σ_{kd, c} U(kd, c) ⊙ V(d + kd, c) ] A,   U = G g Gᵀ,  V = Bᵀ x B
///
/// For each of the n × n points the sum is a matrix product (tiles × out_channels, inner dimension
/// (kd, c)), so F(4, 3) needs 36 products where the direct sum needs 144. With V stored as
/// [point][frame][c][tile], the inner indices of an output frame are neighbours in memory: nothing is
/// copied for depth, and taps that would meet the padding in front or behind are left out.
///
///   for each block of tile rows (and frames) whose V and products take at most 8 MB
///     transform the image                             all threads, by frame and channel
///     for each point, 32 output channels: multiply    all threads
///     transform the products                          all threads, by frame, tile row and 32 channels
///
/// Everything is computed in Acc (float for bfloat16). Each element of y is computed by one thread in
/// an order that does not depend on the threads.

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
  Scratch transformed, products;  // shared by a call's threads
  Scratch stage;                  // of a thread
};
inline WinogradScratch& winograd_scratch() {
  thread_local WinogradScratch scratch;
  return scratch;
}

/// Which tile a layer can use.
enum class TileKind { none, f23, f43, f44 };

/// Taps per phase, if the kernel is square with equal strides; 0 if no tile fits.
inline int64_t winograd_taps(const Conv3dShape& s) {
  if (s.kernel[1] != s.kernel[2] || s.stride[1] != s.stride[2] || s.stride[1] > 2) return 0;
  const int64_t taps = ceil_div(s.kernel[1], s.stride[1]);
  return taps == 3 || taps == 4 ? taps : 0;
}

/// G g Gᵀ for all points, as [point][panel][k][cols] with k = (kd, c, phase).
template <class Acc>
class WinogradWeights {
 public:
  WinogradWeights(const Kernels<Acc, Acc>& kernels, const Conv3dShape& s, TileKind kind)
      : kernels_(&kernels), kind_(kind), out_channels_(s.out_channels),
        phases_(s.stride[1] * s.stride[1]), depth_k_(s.channels * phases_), k_(s.kernel[0] * depth_k_),
        panels_(ceil_div(s.out_channels, kernels.cols)),
        points_(kind == TileKind::f23 ? 16 : kind == TileKind::f43 ? 36 : 49) {}

  int64_t bytes() const {
    return points_ * panels_ * k_ * kernels_->cols * static_cast<int64_t>(sizeof(Acc));
  }
  template <class T>
  void pack(const Conv3dShape& s, const T* w, std::byte* packed) {
    data_ = reinterpret_cast<Acc*>(packed);
    if (kind_ == TileKind::f23) return transform<Toom<2, 3>>(s, w, reinterpret_cast<Acc*>(packed));
    if (kind_ == TileKind::f43) return transform<Toom<4, 3>>(s, w, reinterpret_cast<Acc*>(packed));
    transform<Toom<4, 4>>(s, w, reinterpret_cast<Acc*>(packed));
  }

  const Kernels<Acc, Acc>& kernels() const { return *kernels_; }
  TileKind kind() const { return kind_; }
  int64_t panels() const { return panels_; }
  int64_t depth_k() const { return depth_k_; }  // inner indices of one depth tap
  int64_t panel_size() const { return k_ * kernels_->cols; }
  const Acc* at(int64_t point, int64_t panel) const {
    return data_ + (point * panels_ + panel) * panel_size();
  }

 private:
  template <class Tile, class T>
  void transform(const Conv3dShape& s, const T* w, Acc* packed) {
    constexpr int n = Tile::n, r = Tile::r;
    const int64_t cols = kernels_->cols, stride = s.stride[1], size = s.kernel[1];
    parallel_for(panels_ * s.channels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; ++item) {
        const int64_t panel = item / s.channels, c = item % s.channels;
        for (int64_t kd = 0; kd < s.kernel[0]; ++kd) {
          for (int64_t phase = 0; phase < phases_; ++phase) {
            const int64_t eh = phase / stride, ew = phase % stride;
            Acc* out = packed + panel * panel_size() + ((kd * s.channels + c) * phases_ + phase) * cols;
            for (int64_t lane = 0; lane < cols; ++lane) {
              const int64_t o = panel * cols + lane;
              double g[r][r] = {}, half[n][r], u[n][n];
              if (o < out_channels_) {
                const T* from = w + ((o * s.channels + c) * s.kernel[0] + kd) * size * size;
                for (int a = 0; a < r; ++a) {
                  for (int b = 0; b < r; ++b) {
                    const int64_t h = a * stride + eh, v = b * stride + ew;
                    if (h < size && v < size) g[a][b] = static_cast<double>(static_cast<Acc>(from[h * size + v]));
                  }
                }
              }
              for (int i = 0; i < n; ++i) {
                for (int b = 0; b < r; ++b) {
                  half[i][b] = 0;
                  for (int a = 0; a < r; ++a) half[i][b] += Tile::matrices.g[i][a] * g[a][b];
                }
              }
              for (int i = 0; i < n; ++i) {
                for (int j = 0; j < n; ++j) {
                  u[i][j] = 0;
                  for (int b = 0; b < r; ++b) u[i][j] += Tile::matrices.g[j][b] * half[i][b];
                  out[(i * n + j) * panels_ * panel_size() + lane] = static_cast<Acc>(u[i][j]);
                }
              }
            }
          }
        }
      }
    });
  }

  const Kernels<Acc, Acc>* kernels_;
  TileKind kind_;
  int64_t out_channels_, phases_, depth_k_, k_, panels_, points_;
  const Acc* data_ = nullptr;
};

/// One call with tiles of kind Tile.
template <class Tile, class T, class Out>
class WinogradConv {
 public:
  using Acc = Accumulator<T>;
  static constexpr int m = Tile::m, n = Tile::n, points = n * n;
  static constexpr int64_t block_bytes = int64_t{8} << 20;

  WinogradConv(const Conv3dShape& shape, const WinogradWeights<Acc>& weights, const Acc* bias, bool relu,
               ChannelSlice slice)
      : s_(shape), w_(weights), bias_(bias), relu_(relu), slice_(slice),
        tiles_x_(ceil_div(s_.out(2), m)), tiles_y_(ceil_div(s_.out(1), m)), slices_(s_.n * s_.out(0)),
        chunks_(ceil_div(s_.out_channels, product_width)) {}

  void run(const T* x, Out* y, int threads) {
    x_ = x;
    y_ = y;
    // As many tile rows as fit with all frames; where not even one does, fewer frames.
    int64_t rows = tiles_y_, slices = slices_;
    while (rows > 1 && block_size(rows, slices) > block_bytes) --rows;
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
        for (int64_t i = slice0_; i < slice1_; ++i) {
          const Taps t = taps(i);
          if (t.frame + t.count > frame1_) frame1_ = t.frame + t.count;
        }
        transform_image(threads);
        multiply(threads);
        transform_products(threads);
      }
    }
  }

 private:
  /// The depth taps [first, first + count) of an output frame meet frames of the image, counted through
  /// the batch, from `frame` on.
  struct Taps {
    int64_t first, count, frame;
  };
  Taps taps(int64_t slice) const {
    const int64_t begin = slice % s_.out(0) * s_.stride[0] - s_.pad_front[0];
    int64_t first = begin < 0 ? -begin : 0;
    int64_t last = s_.depth - begin < s_.kernel[0] ? s_.depth - begin : s_.kernel[0];
    if (last < first) first = last = 0;  // all of them meet padding
    int64_t frame = begin + first;
    if (first == last) frame = begin < 0 ? 0 : s_.depth;
    return {first, last - first, slice / s_.out(0) * s_.depth + frame};
  }

  /// Vectors of tiles reach beyond the last tile row's end.
  int64_t padded_tiles(int64_t rows) const {
    return (rows - 1) * tiles_x_ + round_up(tiles_x_, max_lanes);
  }
  int64_t block_size(int64_t rows, int64_t slices) const {
    const int64_t frames = slices * s_.stride[0] + s_.kernel[0] - s_.stride[0];
    return points * static_cast<int64_t>(sizeof(Acc)) *
           (frames * w_.depth_k() * padded_tiles(rows) + slices * rows * tiles_x_ * chunks_ * product_width);
  }

  void transform_image(int threads) {
    const int64_t stride = s_.stride[1], rows = row1_ - row0_, frames = frame1_ - frame0_;
    const int64_t k = frames * w_.depth_k();
    point_stride_ = k * tile_stride_;
    transformed_ = reinterpret_cast<Acc*>(winograd_scratch().transformed.get(
        points * point_stride_ * static_cast<int64_t>(sizeof(Acc))));
    TileRows<T> t{};
    t.height = s_.height;
    t.width = s_.width;
    t.first_row = row0_ * m * stride - s_.pad_front[1];
    t.first_column = -s_.pad_front[2];
    t.rows = ((rows - 1) * m + n) * stride;
    t.phases = stride * m;
    t.columns = tiles_x_ + (n * stride - 1) / t.phases;
    const int64_t stage_size = t.rows * t.phases * t.columns + max_lanes;
    gemm_detail::share_out(threads, frames * s_.channels, [&](int64_t begin, int64_t end) {
      Acc* stage = reinterpret_cast<Acc*>(
          winograd_scratch().stage.get(stage_size * static_cast<int64_t>(sizeof(Acc))));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t frame = frame0_ + i / s_.channels, c = i % s_.channels;
        TileRows<T> here = t;
        here.frame = x_ + ((frame / s_.depth * s_.channels + c) * s_.depth + frame % s_.depth) *
                              s_.height * s_.width;
        stage_rows(here, stage);
        simd_dispatch<InputTransform<Tile>, Acc>(InputArgs<Acc>{
            stage, t.columns, stride, tiles_x_, rows, transformed_ + i * stride * stride * tile_stride_,
            tile_stride_, point_stride_});
      }
    });
  }

  /// Products are [slice][tile][chunk of 32 channels][point][32].
  int64_t product_stride() const { return chunks_ * points * product_width; }

  void multiply(int threads) {
    products_ = reinterpret_cast<Acc*>(winograd_scratch().products.get(
        (slice1_ - slice0_) * tiles_ * product_stride() * static_cast<int64_t>(sizeof(Acc))));
    const Kernels<Acc, Acc>& kernels = w_.kernels();
    const Panels rows = Panels::even(tiles_, kernels.rows);
    const int64_t calls = rows.count * (slice1_ - slice0_);
    gemm_detail::share_out(threads, points * w_.panels(), [&](int64_t begin, int64_t end) {
      MicroArgs<Acc> args{};
      args.alpha = 1;
      args.beta = 0;
      args.a_row = 1;
      args.a_step = tile_stride_;
      args.b_step = kernels.cols;
      args.ldc = product_stride();
      args.cols = kernels.cols;
      for (int64_t item = begin; item < end; ++item) {
        const int64_t point = item / w_.panels(), panel = item % w_.panels();
        const Acc* b = w_.at(point, panel);
        const int64_t channel = panel * kernels.cols;
        Acc* c = products_ + (channel / product_width * points + point) * product_width + channel % product_width;
        // Each micro kernel fetches its share of the next panel.
        const int64_t share = item + 1 < end ? w_.panel_size() * static_cast<int64_t>(sizeof(Acc)) / calls : 0;
        args.prefetch = reinterpret_cast<const char*>(b + (item + 1 < end ? w_.panel_size() : 0));
        for (int64_t slice = slice0_; slice < slice1_; ++slice) {
          const Taps t = taps(slice);
          args.steps = t.count * w_.depth_k();
          args.prefetch_step = args.steps > 0 ? share / args.steps : 0;
          args.b = b + t.first * w_.depth_k() * kernels.cols;
          const Acc* a = transformed_ + point * point_stride_ + (t.frame - frame0_) * w_.depth_k() * tile_stride_;
          for (int64_t row = 0; row < rows.count; ++row, args.prefetch += share) {
            args.a = a + rows.begin(row);
            args.rows = rows.end(row) - rows.begin(row);
            args.c = c + ((slice - slice0_) * tiles_ + rows.begin(row)) * product_stride();
            kernels.micro[args.rows - 1](args);
          }
        }
      }
    });
  }

  void transform_products(int threads) {
    const int64_t rows = row1_ - row0_, height = s_.out(1), width = s_.out(2);
    gemm_detail::share_out(threads, (slice1_ - slice0_) * rows * chunks_, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t chunk = i % chunks_, row = i / chunks_ % rows, slice = i / chunks_ / rows;
        const int64_t o = chunk * product_width, left = s_.out_channels - o, h = (row0_ + row) * m;
        const int64_t sample = (slice0_ + slice) / s_.out(0), d = (slice0_ + slice) % s_.out(0);
        OutputArgs<Acc, Out> a;
        a.products = products_ + (slice * tiles_ + row * tiles_x_) * product_stride() + chunk * points * product_width;
        a.tile_stride = product_stride();
        a.channels = left < product_width ? left : product_width;
        a.bias = bias_ != nullptr ? bias_ + o : nullptr;
        a.relu = relu_;
        a.y = y_ + (((sample * slice_.total + slice_.first + o) * s_.out(0) + d) * height + h) * width;
        a.channel_stride = s_.out_positions();
        a.row_stride = width;
        a.rows = height - h < m ? height - h : m;
        a.columns = width;
        simd_dispatch<OutputTransform<Tile, Out>, Acc>(a);
      }
    });
  }

  const Conv3dShape& s_;
  const WinogradWeights<Acc>& w_;
  const Acc* bias_;
  bool relu_;
  ChannelSlice slice_;
  int64_t tiles_x_, tiles_y_, slices_, chunks_;
  const T* x_ = nullptr;
  Out* y_ = nullptr;
  // The block at hand.
  int64_t slice0_ = 0, slice1_ = 0, row0_ = 0, row1_ = 0, frame0_ = 0, frame1_ = 0;
  int64_t tiles_ = 0, tile_stride_ = 0, point_stride_ = 0;
  Acc *transformed_ = nullptr, *products_ = nullptr;
};

template <class T, class Out>
void winograd(const Conv3dShape& s, const T* x, const WinogradWeights<Accumulator<T>>& weights,
              const Accumulator<T>* bias, bool relu, Out* y, ChannelSlice slice, int threads) {
  switch (weights.kind()) {
    case TileKind::none: break;
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
