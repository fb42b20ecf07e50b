#pragma once
/// Winograd's tiles: rows of the image into the transformed domain and products out of it, with the
/// one-dimensional transforms of conv3d_toom.hpp applied along the height and along the width.
///
/// With stride s > 1 the kernel is s × s kernels of every sth tap, each of which meets every sth
/// row and column of the image ("phases") with stride 1; the transformed phases are added up like
/// channels.

#include <cstring>

#include "tandem/cpu/conv3d_shape.hpp"
#include "tandem/cpu/conv3d_toom.hpp"
#include "tandem/cpu/gemm_pack.hpp"
#include "tandem/cpu/transpose.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::conv3d_detail {

inline constexpr std::int64_t max_lanes = 16;  // of a vector, in every instruction set
// Output channels that lie side by side, see OutputArgs
inline constexpr std::int64_t product_width = 32;

/// Some rows of tiles of one frame of one channel.
template <class T>
struct TileRows {
  const T* frame;  // height × width
  std::int64_t height, width;
  std::int64_t first_row, first_column;  // of the image, may be negative
  std::int64_t rows;                     // to be staged
  std::int64_t phases;                   // along the width: s·m, so that tiles are neighbours
  std::int64_t columns;                  // of each phase, a multiple of max_lanes
};

/// The reverse of interleave: a's and b's even lanes, then their odd ones.
template <class T, int N, int... I>
TANDEM_ALWAYS_INLINE void separate(Vec<T, N> a, Vec<T, N> b, Vec<T, N>& even, Vec<T, N>& odd,
                                   std::integer_sequence<int, I...>) {
  even = Vec<T, N>::from_raw(__builtin_shufflevector(a.raw, b.raw, (2 * I)...));
  odd = Vec<T, N>::from_raw(__builtin_shufflevector(a.raw, b.raw, (2 * I + 1)...));
}

/// Deals P·N consecutive elements to P vectors, element i to vector i mod P: log₂ P times, pairs of
/// vectors are separated, even lanes to the first half of the vectors.
template <class V, std::size_t Count>
TANDEM_ALWAYS_INLINE void deal(V (&v)[Count]) {
  constexpr int P = static_cast<int>(Count);
  V t[Count];
  TANDEM_UNROLL_TILE for (int step = P; step > 1; step /= 2) {
    TANDEM_UNROLL_TILE for (int i = 0; i < P / 2; ++i) {
      separate(v[2 * i], v[2 * i + 1], t[i], t[P / 2 + i],
               std::make_integer_sequence<int, V::size>());
    }
    TANDEM_UNROLL_TILE for (int i = 0; i < P; ++i) v[i] = t[i];
  }
}

/// Copies the rows as [row][phase][column], zeros outside the image: element q of phase p is column
/// q·phases + p. `stage` has one more such row in front, in which a row is first completed by
/// zeros.
template <class T, int phases>
struct StageRows {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(TileRows<T> t, typename V::value_type* stage) {
    using Acc = typename V::value_type;
    const std::int64_t size = phases * t.columns;
    Acc* line = stage;
    std::memset(static_cast<void*>(line), 0, static_cast<std::size_t>(size) * sizeof(Acc));
    // Columns [from, from + count) of the image are columns [at, at + count) of the line.
    const std::int64_t at = t.first_column < 0 ? -t.first_column : 0, from = t.first_column + at;
    std::int64_t count = t.width - from < size - at ? t.width - from : size - at;
    if (count < 0) count = 0;
    for (std::int64_t r = 0; r < t.rows; ++r) {
      Acc* out = stage + (r + 1) * size;
      const std::int64_t h = t.first_row + r;
      if (h < 0 || h >= t.height) {
        std::memset(static_cast<void*>(out), 0, static_cast<std::size_t>(size) * sizeof(Acc));
        continue;
      }
      const T* row = t.frame + h * t.width + from;
      if constexpr (std::is_same_v<T, bfloat16>) {
        vec_map<V>(
            count, line + at,
            [](Vec<std::uint16_t, V::size> x) TANDEM_INLINE_LAMBDA { return from_bf16(x); },
            &row->bits);
      } else {
        vec_map<V>(
            count, line + at, [](V x) TANDEM_INLINE_LAMBDA { return x; }, row);
      }
      for (std::int64_t q = 0; q < t.columns; q += V::size) {
        V v[extent(phases)];
        TANDEM_UNROLL_TILE for (int p = 0; p < phases; ++p) v[p] =
            V::load(line + q * phases + p * V::size);
        deal(v);
        TANDEM_UNROLL_TILE for (int p = 0; p < phases; ++p) v[p].store(out + p * t.columns + q);
      }
    }
  }
};

/// Staged rows to the transformed domain: for each phase (e_h, e_w) of the stride, point (i, j) of
/// tile t goes to out[point · point_stride + (e_h·s + e_w) · row_stride + t].
template <class Acc>
struct InputArgs {
  const Acc* stage;
  std::int64_t columns, stride, tiles_x, tiles_y;
  Acc* out;
  std::int64_t row_stride, point_stride;
};

template <class Tile>
struct InputTransform {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(InputArgs<typename V::value_type> a) {
    constexpr int n = Tile::n, m = Tile::m;
    const std::int64_t s = a.stride, phases = s * m, row = phases * a.columns;
    for (std::int64_t eh = 0; eh < s; ++eh) {
      for (std::int64_t ew = 0; ew < s; ++ew, a.out += a.row_stride) {
        std::int64_t column[extent(n)];
        for (std::int64_t j = 0; j < n; ++j) {
          column[j] = (j * s + ew) % phases * a.columns + (j * s + ew) / phases;
        }
        for (std::int64_t y = 0; y < a.tiles_y; ++y) {
          // A vector may reach beyond the last tile of the row; the next row's tiles overwrite
          // that.
          for (std::int64_t x = 0; x < a.tiles_x; x += V::size) {
            const auto* from = a.stage + (y * m * s + eh) * row + x;
            V half[extent(n)][extent(n)], d[extent(n)], v[extent(n)];
            for (int j = 0; j < n; ++j) {
              TANDEM_UNROLL_TILE for (int i = 0; i < n; ++i) d[i] =
                  V::load(from + column[j] + i * s * row);
              Tile::input(d, v);
              TANDEM_UNROLL_TILE for (int i = 0; i < n; ++i) half[i][j] = v[i];
            }
            auto* to = a.out + y * a.tiles_x + x;
            for (int i = 0; i < n; ++i) {
              Tile::input(half[i], v);
              TANDEM_UNROLL_TILE for (int j = 0; j < n; ++j) v[j].store(to + (i * n + j) *
                                                                                 a.point_stride);
            }
          }
        }
      }
    }
  }
};

/// The filters of `count` ≤ `cols` output channels for one channel and depth tap, size × size each,
/// into the transformed domain, in double: point p of phase e goes to out[p · point_stride + e ·
/// cols + channel], zeros where there is no channel.
template <class T, class Acc>
struct FilterArgs {
  const T* w;
  std::int64_t channel_stride, count, cols, size, stride;
  Acc* out;
  std::int64_t point_stride;
};

template <class Tile, class T>
struct FilterTransform {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(FilterArgs<T, Accumulator<T>> f) {
    constexpr int n = Tile::n, r = Tile::r, N = V::size;
    using Acc = Accumulator<T>;
    for (std::int64_t phase = 0; phase < f.stride * f.stride; ++phase, f.out += f.cols) {
      for (std::int64_t lane = 0; lane < f.cols; lane += N) {
        const std::int64_t have = f.count - lane < N ? f.count - lane : N;
        const std::int64_t want = f.cols - lane < N ? f.cols - lane : N;
        V half[extent(n)][extent(r)];
        for (int b = 0; b < r; ++b) {
          V g[extent(r)];
          for (int a = 0; a < r; ++a) {
            const std::int64_t h = a * f.stride + phase / f.stride,
                               w = b * f.stride + phase % f.stride;
            double taps[extent(N)] = {};
            if (h < f.size && w < f.size) {
              const T* from = f.w + lane * f.channel_stride + h * f.size + w;
              for (std::int64_t o = 0; o < have; ++o) {
                taps[o] = static_cast<double>(static_cast<Acc>(from[o * f.channel_stride]));
              }
            }
            g[a] = V::load(taps);
          }
          TANDEM_UNROLL_TILE for (int i = 0; i < n; ++i) half[i][b] = filter_row<V>(i, g);
        }
        for (int i = 0; i < n; ++i) {
          TANDEM_UNROLL_TILE for (int j = 0; j < n; ++j) {
            const auto u = convert<Acc>(filter_row<V>(j, half[i]));
            u.store_partial(f.out + (i * n + j) * f.point_stride + lane, want);
          }
        }
      }
    }
  }

  /// Σ_k G_jk g_k.
  template <class V>
  static TANDEM_ALWAYS_INLINE V filter_row(int j, const V (&g)[Tile::r]) {
    V sum = V(Tile::matrices.g[j][0]) * g[0];
    TANDEM_UNROLL_TILE for (int k = 1; k < Tile::r; ++k) sum =
        fma(V(Tile::matrices.g[j][k]), g[k], sum);
    return sum;
  }
};

/// A row of tiles, `channels` ≤ product_width output channels, out of the transformed domain: point
/// (i, j) of tile t, channel o is products[t · tile_stride + (i·n + j) · product_width + o].
template <class Acc, class Out>
struct OutputArgs {
  const Acc* products;
  std::int64_t tile_stride;
  std::int64_t channels;
  const Acc* bias;  // null: none
  bool relu;
  Out* y;  // of the first channel, row and column
  std::int64_t channel_stride, row_stride;
  std::int64_t rows, columns;  // of y that there are: ≤ m and ≤ m · tiles
};

template <class Tile, class Out>
struct OutputTransform {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(OutputArgs<typename V::value_type, Out> a) {
    using Acc = typename V::value_type;
    constexpr int n = Tile::n, m = Tile::m, N = V::size;
    constexpr int tiles = N > m ? N / m : 1, width = tiles * m;  // positions turned at a time
    static_assert(width % N == 0);
    const V floor(a.relu ? Acc(0) : static_cast<Acc>(-__builtin_inf()));
    for (std::int64_t o = 0; o < a.channels; o += N) {
      const std::int64_t channels = a.channels - o < N ? a.channels - o : N;
      const V bias = a.bias != nullptr ? V::load_partial(a.bias + o, channels) : V(Acc(0));
      for (std::int64_t x0 = 0; x0 < a.columns; x0 += width) {
        const std::int64_t columns = a.columns - x0 < width ? a.columns - x0 : width;
        V block[extent(m)][extent(width)];  // lanes are channels
        const Acc* from = a.products + x0 / m * a.tile_stride + o;
        for (std::int64_t t = 0; t * m < columns; ++t, from += a.tile_stride) {
          V half[extent(m)][extent(n)], s[extent(n)], y[extent(m)];
          for (int j = 0; j < n; ++j) {
            TANDEM_UNROLL_TILE for (int i = 0; i < n; ++i) {
              s[i] = V::load(from + (i * n + j) * product_width);
            }
            Tile::output(s, y);
            TANDEM_UNROLL_TILE for (int i = 0; i < m; ++i) half[i][j] = y[i];
          }
          for (int i = 0; i < m; ++i) {
            Tile::output(half[i], y);
            // max gives its second argument if either is NaN.
            TANDEM_UNROLL_TILE for (int j = 0; j < m; ++j) block[i][t * m + j] =
                max(floor, y[j] + bias);
          }
        }
        for (std::int64_t i = 0; i < a.rows; ++i) {
          for (std::int64_t x = 0; x < columns; x += N) {
            const std::int64_t count = columns - x < N ? columns - x : N;
            V turned[extent(N)];
            TANDEM_UNROLL_TILE for (int k = 0; k < N; ++k) turned[k] = block[i][x + k];
            transpose(turned);
            Out* to = a.y + o * a.channel_stride + i * a.row_stride + x0 + x;
            for (std::int64_t c = 0; c < channels; ++c)
              store(turned[c], to + c * a.channel_stride, count);
          }
        }
      }
    }
  }

  template <class V>
  static TANDEM_ALWAYS_INLINE void store(V v, Out* to, std::int64_t count) {
    if constexpr (std::is_same_v<Out, bfloat16>) {
      if (count == V::size) {
        to_bf16(v).store(&to->bits);
      } else {
        to_bf16(v).store_partial(&to->bits, count);
      }
    } else if (count == V::size) {
      v.store(to);
    } else {
      v.store_partial(to, count);
    }
  }
};

}  // namespace cpu::conv3d_detail
TANDEM_NAMESPACE_END
