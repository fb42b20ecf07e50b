#pragma once
/// conv3d's loops, and its gradients in the ways that their shapes allow:
///
///   y   the fast loops of cpu/conv3d.hpp;  with groups or gaps between the taps: tiles
///   dx  pointwise: one product;  large, with stride 1: those loops with the weight turned around;
///       with groups or gaps, and else: tiles
///   dW  pointwise: one product;  else tiles
///
/// Tiles are pieces of the matrix that turns the convolution into a product, y = W·col:
///
///   col[k, l] = x under tap k of output l, 0 where that is padding;   k = (c, kd, kh, kw) in the
///   weight's order, l = (od, oh, ow) in the result's.  dW = dy·colᵀ,  dcol = Wᵀ·dy
///
/// The whole matrix would take taps times the memory of the result, so only tiles of at most
/// conv_tile_rows × conv_tile_cols elements exist, one per thread. Their bounds depend on sizes
/// alone, and each result is summed by one thread in a fixed order: same bits for any thread count.

#include <cstdint>
#include <cstring>

#include "tandem/cpu/conv3d.hpp"
#include "tandem/cpu/dim_split.hpp"
#include "tandem/cpu/gemm.hpp"
#include "tandem/cpu/window3d.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

inline constexpr std::int64_t conv_tile_rows = 256;
inline constexpr std::int64_t conv_tile_cols = 512;

/// Calls f(row, col, count, first, last, at) for every piece of an output row in [l0, l1) and every
/// tap row in [k0, k1): `count` neighbouring outputs from column `col` of the tile's row `row`, of
/// which
/// [first, last) see an element of x, the first of them that at position `at`.
template <class F>
TANDEM_ALWAYS_INLINE void each_segment(const Window3d& window, std::int64_t k0, std::int64_t k1,
                                       std::int64_t l0, std::int64_t l1, F f) {
  const WindowAxis &d = window[0], &h = window[1], &w = window[2];
  for (std::int64_t k = k0; k < k1; ++k) {
    const std::int64_t kw = k % w.kernel, kh = k / w.kernel % h.kernel;
    const std::int64_t kd = k / (w.kernel * h.kernel) % d.kernel, c = k / window.taps();
    const std::int64_t w_first = w.first(kw), w_last = w.last(kw);
    std::int64_t ow = l0 % w.out, oh = l0 / w.out % h.out, od = l0 / (w.out * h.out);
    for (std::int64_t l = l0; l < l1;) {
      const std::int64_t count = w.out - ow < l1 - l ? w.out - ow : l1 - l;
      const std::int64_t z = d.start(od) + kd * d.dilation, y = h.start(oh) + kh * h.dilation;
      std::int64_t first = w_first > ow ? w_first - ow : 0;
      std::int64_t last = w_last > ow ? w_last - ow : 0;
      if (last > count) last = count;
      if (z < 0 || z >= d.in || y < 0 || y >= h.in || first >= last) first = last = 0;
      const std::int64_t x = w.start(ow + first) + kw * w.dilation;
      f(k - k0, l - l0, count, first, last, ((c * d.in + z) * h.in + y) * w.in + x);
      l += count;
      ow = 0;
      if (++oh == h.out) {
        oh = 0;
        ++od;
      }
    }
  }
}

/// tile[k − k0, l − l0] = col[k, l]; rows l1 − l0 apart; x is one sample.
template <class T>
void gather_tile(const Window3d& window, const T* x, std::int64_t k0, std::int64_t k1,
                 std::int64_t l0, std::int64_t l1, T* tile) {
  const std::int64_t ld = l1 - l0, step = window[2].stride;
  each_segment(window, k0, k1, l0, l1,
               [&](std::int64_t row, std::int64_t col, std::int64_t count, std::int64_t first,
                   std::int64_t last, std::int64_t at) {
                 T* to = tile + row * ld + col;
                 const T* from = x + (first < last ? at : 0);
                 for (std::int64_t i = 0; i < first; ++i) to[i] = T(0);
                 if (step == 1) {
                   std::memcpy(to + first, from,
                               static_cast<std::size_t>(last - first) * sizeof(T));
                 } else {
                   for (std::int64_t i = first; i < last; ++i, from += step) to[i] = *from;
                 }
                 for (std::int64_t i = last; i < count; ++i) to[i] = T(0);
               });
}

/// x += what each element of dcol's tile belongs to: the transpose of gather_tile.
struct ScatterTile {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(const Window3d* window, const T* tile, std::int64_t k0,
                                       std::int64_t k1, std::int64_t l0, std::int64_t l1, T* x) {
    const std::int64_t ld = l1 - l0, step = (*window)[2].stride;
    each_segment(*window, k0, k1, l0, l1,
                 [&](std::int64_t row, std::int64_t col, std::int64_t, std::int64_t first,
                     std::int64_t last, std::int64_t at) TANDEM_INLINE_LAMBDA {
                   if (first >= last) return;
                   const T* from = tile + row * ld + col + first;
                   T* to = x + at;
                   if (step == 1) {
                     cpu::vec_map<V>(
                         last - first, to, [](V a, V b) TANDEM_INLINE_LAMBDA { return a + b; }, to,
                         from);
                   } else {
                     for (std::int64_t i = first; i < last; ++i, to += step) *to += *from++;
                   }
                 });
  }
};

/// What a convolution of dense tensors works on. Each group of channels is a convolution of its
/// own: `in`, `out` and the sizes are of one group of one sample, which lie one behind the other.
struct ConvShape {
  Window3d window;
  std::int64_t samples, in, out;  // N, C / groups, O / groups
  std::int64_t groups = 1;

  std::int64_t k() const { return in * window.taps(); }
  std::int64_t x_size() const { return in * window.inputs(); }
  std::int64_t y_size() const { return out * window.outputs(); }
  /// Whether the loops of cpu/conv3d.hpp have it: one group, no gaps.
  bool is_plain() const { return groups == 1 && !window.is_dilated(); }
  /// The same for the loops in cpu/.
  cpu::Conv3dShape cpu_shape() const {
    const Window3d& w = window;
    return {.n = samples,
            .channels = in,
            .depth = w[0].in,
            .height = w[1].in,
            .width = w[2].in,
            .out_channels = out,
            .kernel = {w[0].kernel, w[1].kernel, w[2].kernel},
            .stride = {w[0].stride, w[1].stride, w[2].stride},
            .pad_front = {w[0].front, w[1].front, w[2].front},
            .pad_back = {w[0].back, w[1].back, w[2].back}};
  }
};

/// How many elements a tile of at most `rows` rows takes.
inline Shape conv_tile(const ConvShape& s, std::int64_t rows) {
  const std::int64_t l = s.window.outputs();
  return {(rows < conv_tile_rows ? rows : conv_tile_rows) *
          (l < conv_tile_cols ? l : conv_tile_cols)};
}

/// Below so many outputs per channel, all samples together, Winograd's tiles are left out whatever
/// conv3d_choose.hpp estimates: its constants are AVX-512's. With AVX2, transforming a weight that
/// is packed for one call alone can take longer there than the products that it saves.
inline constexpr std::int64_t conv_few = 350;

/// y = act(W·x + b).
template <class T>
void conv_forward(const cpu::Conv3dShape& s, const T* x, const T* w, const T* bias, bool relu,
                  T* y) {
  const bool few = s.n * s.out_positions() < conv_few;
  const cpu::Conv3dWeights<T> packed(
      s, w, few ? cpu::Conv3dMethod::direct : cpu::Conv3dMethod::automatic,
      cpu::gemm_detail::kernels<T, T>(cpu::isa()), cpu::conv3d_detail::conv_scratch().weights);
  cpu::conv3d_forward(s, x, packed, bias, relu, y);
}

/// y = act(W·col + b) in tiles, for any window and groups. A tile's columns of one group of one
/// sample are one thread's.
template <class T>
void conv_forward_tiles(const ConvShape& s, const T* x, const T* w, const T* bias, bool relu,
                        T* y) {
  const std::int64_t l = s.window.outputs(), k = s.k();
  const std::int64_t blocks = cpu::num_chunks(l, conv_tile_cols);
  cpu::parallel_chunks(
      s.samples * s.groups * blocks, 1, [&](std::int64_t task, std::int64_t, std::int64_t) {
        const std::int64_t part = task / blocks, g = part % s.groups;
        const std::int64_t l0 = task % blocks * conv_tile_cols;
        const std::int64_t l1 = l - l0 < conv_tile_cols ? l : l0 + conv_tile_cols;
        const Tensor<T> buffer(conv_tile(s, k));
        T* const tile = buffer.mutable_data();
        T* const to = y + part * s.y_size() + l0;
        for (std::int64_t k0 = 0; k0 < k; k0 += conv_tile_rows) {
          const std::int64_t k1 = k - k0 < conv_tile_rows ? k : k0 + conv_tile_rows;
          gather_tile(s.window, x + part * s.x_size(), k0, k1, l0, l1, tile);
          cpu::gemm<T, T>(cpu::Trans::no, cpu::Trans::no, s.out, l1 - l0, k1 - k0, T(1),
                          w + g * s.out * k + k0, k, tile, l1 - l0, k0 > 0 ? T(1) : T(0), to, l);
        }
        for (std::int64_t o = 0; o < s.out; ++o) {
          const T shift = bias != nullptr ? bias[g * s.out + o] : T(0);
          for (T *v = to + o * l, *end = v + (l1 - l0); v < end; ++v) {
            const T sum = (k > 0 ? *v : T(0)) + shift;
            *v = relu && sum <= 0 ? T(0) : sum;
          }
        }
      });
}

/// dW = dy·colᵀ in tiles, for any window and groups. A block of 128 columns of a group's dW is one
/// thread's.
template <class T>
void conv_weight_gradient_tiles(const ConvShape& s, const T* x, const T* dy, T* dw) {
  constexpr std::int64_t block = 128;
  const std::int64_t l = s.window.outputs(), k = s.k();
  const std::int64_t blocks = cpu::num_chunks(k, block);
  cpu::parallel_chunks(s.groups * blocks, 1, [&](std::int64_t task, std::int64_t, std::int64_t) {
    const std::int64_t g = task / blocks, begin = task % blocks * block;
    const std::int64_t end = k - begin < block ? k : begin + block;
    const Tensor<T> buffer(conv_tile(s, block));
    T* const tile = buffer.mutable_data();
    for (std::int64_t n = 0; n < s.samples; ++n) {
      const std::int64_t part = n * s.groups + g;
      for (std::int64_t l0 = 0; l0 < l; l0 += conv_tile_cols) {
        const std::int64_t l1 = l - l0 < conv_tile_cols ? l : l0 + conv_tile_cols;
        gather_tile(s.window, x + part * s.x_size(), begin, end, l0, l1, tile);
        cpu::gemm<T, T>(cpu::Trans::no, cpu::Trans::yes, s.out, end - begin, l1 - l0, T(1),
                        dy + part * s.y_size() + l0, l, tile, l1 - l0, n + l0 > 0 ? T(1) : T(0),
                        dw + g * s.out * k + begin, k);
      }
    }
  });
}

/// dW for at least one sample.
template <class T>
void conv_weight_gradient(const ConvShape& s, const T* x, const T* dy, T* dw) {
  const std::int64_t l = s.window.outputs();
  if (s.window.is_pointwise() && s.groups == 1) {
    for (std::int64_t n = 0; n < s.samples; ++n) {
      cpu::gemm<T, T>(cpu::Trans::no, cpu::Trans::yes, s.out, s.in, l, T(1), dy + n * s.y_size(), l,
                      x + n * s.x_size(), l, n > 0 ? T(1) : T(0), dw, s.in > 0 ? s.in : 1);
    }
  } else {
    conv_weight_gradient_tiles(s, x, dy, dw);
  }
}

/// dx = Wᵀ·dy in tiles, each row added where its tap was read, for any window and groups. Some
/// channels of one group of one sample are one thread's.
template <class T>
void conv_input_gradient_tiles(const ConvShape& s, const T* w, const T* dy, T* dx) {
  const std::int64_t l = s.window.outputs(), k = s.k(), taps = s.window.taps();
  const std::int64_t channels = taps < 128 ? 128 / taps : 1;
  const std::int64_t blocks = cpu::num_chunks(s.in, channels);
  const std::int64_t tasks = s.samples * s.groups * blocks;
  cpu::parallel_chunks(tasks, 1, [&](std::int64_t task, std::int64_t, std::int64_t) {
    const std::int64_t part = task / blocks, c0 = task % blocks * channels;
    const T* const weight = w + part % s.groups * s.out * k;
    const std::int64_t c1 = s.in - c0 < channels ? s.in : c0 + channels;
    const std::int64_t end = c1 * taps;
    T* const sample = dx + part * s.x_size();
    const T* const from = dy + part * s.y_size();
    std::memset(sample + c0 * s.window.inputs(), 0,
                static_cast<std::size_t>((c1 - c0) * s.window.inputs()) * sizeof(T));
    const Tensor<T> buffer(conv_tile(s, end - c0 * taps));
    T* const tile = buffer.mutable_data();
    for (std::int64_t l0 = 0; l0 < l; l0 += conv_tile_cols) {
      const std::int64_t l1 = l - l0 < conv_tile_cols ? l : l0 + conv_tile_cols;
      for (std::int64_t k0 = c0 * taps; k0 < end; k0 += conv_tile_rows) {
        const std::int64_t k1 = end - k0 < conv_tile_rows ? end : k0 + conv_tile_rows;
        cpu::gemm<T, T>(cpu::Trans::yes, cpu::Trans::no, k1 - k0, l1 - l0, s.out, T(1), weight + k0,
                        k, from + l0, l, T(0), tile, l1 - l0);
        cpu::simd_dispatch<ScatterTile, T>(&s.window, static_cast<const T*>(tile), k0, k1, l0, l1,
                                           sample);
      }
    }
  });
}

/// dx for stride 1: the convolution of dy with the weight, its taps in reverse and its channels
/// swapped; kernel − 1 − padding is what pads dy.
template <class T>
void conv_input_gradient_forward(const ConvShape& s, const T* w, const T* dy, T* dx) {
  const std::int64_t taps = s.window.taps();
  cpu::Conv3dShape shape = s.cpu_shape();
  shape.channels = s.out;
  shape.out_channels = s.in;
  shape.depth = s.window[0].out;
  shape.height = s.window[1].out;
  shape.width = s.window[2].out;
  for (int a = 0; a < 3; ++a) {
    shape.pad_front[a] = s.window[a].kernel - 1 - s.window[a].front;
    shape.pad_back[a] = s.window[a].kernel - 1 - s.window[a].back;
  }
  const Tensor<T> turned({s.in * s.out * taps});
  T* const to = turned.mutable_data();
  cpu::parallel_for(s.in, grain_for(s.out * taps), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      for (std::int64_t o = 0; o < s.out; ++o) {
        for (std::int64_t t = 0; t < taps; ++t) {
          to[(c * s.out + o) * taps + t] = w[(o * s.in + c + 1) * taps - 1 - t];
        }
      }
    }
  });
  conv_forward<T>(shape, dy, to, nullptr, false, dx);
}

/// From how many elements of x per channel, all samples together, dx goes through the loops of
/// cpu/conv3d.hpp. For fewer, turning and packing the weight can take longer than all of the tiles;
/// conv3d_choose.hpp cannot tell, it compares those loops alone.
inline constexpr std::int64_t conv_large = 1500;

template <class T>
void conv_input_gradient(const ConvShape& s, const T* w, const T* dy, T* dx) {
  const std::int64_t l = s.window.outputs();
  bool as_forward = s.is_plain() && s.window.has_stride_one() && s.out > 0 &&
                    s.samples * s.window.inputs() >= conv_large;
  for (const WindowAxis& a : s.window.axis) {
    as_forward = as_forward && a.front < a.kernel && a.back < a.kernel;
  }
  if (s.window.is_pointwise() && s.groups == 1) {
    cpu::gemm_batched<T, T>(cpu::Trans::yes, cpu::Trans::no, s.in, l, s.out, T(1), w,
                            s.in > 0 ? s.in : 1, 0, dy, l, s.y_size(), T(0), dx, l, s.x_size(),
                            s.samples);
  } else if (as_forward) {
    conv_input_gradient_forward(s, w, dy, dx);
  } else {
    conv_input_gradient_tiles(s, w, dy, dx);
  }
}

}  // namespace detail
TANDEM_NAMESPACE_END
