/// loss_fb — the contrast of foreground and background in two passes over tiles of 64 × 64 pairs of
/// frames, without a matrix of them in memory.
///
/// Which frames take part is found on the device: states and classes by a warp a frame, then one
/// block puts their numbers in order. Pass 1 has log Σ exp of Ψ⁺ (P) and of Ψ⁻ (N) of every anchor,
/// so its loss log(1 + e^(N − P)) = softplus(N − P) and the share of the background ρ = σ(N − P).
/// Pass 2 owns rows of df: with
///   w_ij = −ρ_i e^(s_ij − P_i) − ρ_j e^(s_ij − P_j) of a positive pair,
///          +ρ_i e^(s_ij − N_i) for an anchor i and a background frame j, and the other way round,
/// df_i = Σ_j w_ij f_j/τ, s computed again. No difference of large numbers, no atomics, every sum
/// in a fixed order. Tiles without a related pair are left out. Bound by arithmetic: 2 products a
/// pair and column in pass 1, 4 (or, of more than 256 columns, more) in pass 2.

#include "loss_fb.cuh"
#include "runtime.cuh"
#include "tandem/formula/sigmoid.hpp"
#include "tandem/formula/softplus.hpp"
#include "tandem/wtal/train/teaching_options.hpp"

namespace tandem_kernels {

using tandem::wtal::ContrastOptions;

/// states: 1 foreground, 2 background, 0 neither; classes: the bits of h = 1. A warp a frame.
template <class Label>
__global__ void contrast_states_kernel(std::uint8_t* states, std::uint32_t* classes, const Label* h,
                                       const bool* valid, std::int64_t rows, std::int64_t count,
                                       std::int64_t words) {
  const int lane = threadIdx.x % 32;
  const std::int64_t warps = std::int64_t{gridDim.x} * (blockDim.x / 32);
  for (std::int64_t r = std::int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32; r < rows;
       r += warps) {
    std::uint32_t one = 0, open = 0;
    for (std::int64_t w = 0; w < words; ++w) {
      const std::int64_t c = w * 32 + lane;
      const Label label = c < count ? h[r * count + c] : 0;
      const std::uint32_t bits = __ballot_sync(0xffffffffu, label == 1);
      open |= __ballot_sync(0xffffffffu, label == -1);
      one |= bits;
      if (lane == 0) classes[r * words + w] = bits;
    }
    if (lane == 0)
      states[r] = static_cast<std::uint8_t>(!valid[r] ? 0 : one != 0 ? 1 : open == 0 ? 2 : 0);
  }
}

/// order: the numbers of the foreground frames, then of the background frames; counts: foreground,
/// all. One block of 256: a thread has a stretch of frames.
template <class State>
__global__ void __launch_bounds__(256)
    contrast_order_kernel(std::int64_t* order, std::int64_t* counts, const State* states,
                          std::int64_t rows) {
  TANDEM_SHARED(std::int64_t, fronts, 256);
  TANDEM_SHARED(std::int64_t, backs, 256);
  const std::int64_t each = (rows + blockDim.x - 1) / blockDim.x, begin = each * threadIdx.x,
                     end = begin + each < rows ? begin + each : rows;
  std::int64_t front = 0, back = 0;
  for (std::int64_t r = begin; r < end; ++r) {
    front += states[r] == 1 ? 1 : 0;
    back += states[r] == 2 ? 1 : 0;
  }
  fronts[threadIdx.x] = front;
  backs[threadIdx.x] = back;
  __syncthreads();
  std::int64_t front_at = 0, back_at = 0, all_front = 0, all_back = 0;
  for (unsigned t = 0; t < blockDim.x; ++t) {
    if (t == threadIdx.x) front_at = all_front, back_at = all_back;
    all_front += fronts[t];
    all_back += backs[t];
  }
  back_at += all_front;
  for (std::int64_t r = begin; r < end; ++r) {
    if (states[r] == 1) order[front_at++] = r;
    if (states[r] == 2) order[back_at++] = r;
  }
  if (threadIdx.x == 0) counts[0] = all_front, counts[1] = all_front + all_back;
}

/// Pass 1: of the anchors of a tile, log Σ exp over the columns of a slice: parts (slices, rows, 4)
/// = top and sum over Ψ⁺, top and sum over Ψ⁻. Slice y has every gridDim.y-th tile of columns.
template <class T>
__global__ void __launch_bounds__(256)
    contrast_sums_kernel(T* parts, const T* f, ContrastFrames set, std::int64_t rows,
                         std::int64_t width, T inverse_tau) {
  using Tile = ContrastTile<T>;
  TANDEM_SHARED(T, tile, 2 * Tile::depth * Tile::stride);
  TANDEM_SHARED(std::int64_t, left, Tile::side);
  TANDEM_SHARED(std::int64_t, right, Tile::side);
  TANDEM_SHARED(int, partial, 32);
  const int down = threadIdx.x / 16, across = threadIdx.x % 16;
  const std::int64_t foreground = set.counts[0], all = set.counts[1];
  for (std::int64_t i0 = std::int64_t{blockIdx.x} * Tile::side; i0 < foreground;
       i0 += std::int64_t{gridDim.x} * Tile::side) {
    Tile::find(left, set, i0);
    LogSum<T> over_positive[4], over_negative[4];
    for (std::int64_t j0 = std::int64_t{blockIdx.y} * Tile::side; j0 < all;
         j0 += std::int64_t{gridDim.y} * Tile::side) {
      Tile::find(right, set, j0);
      typename Tile::Pair pairs[4][4];
      if (!Tile::relate(pairs, set, left, right, i0, j0, partial)) continue;
      T s[4][4];
      Tile::multiply(s, tile, f, width, left, right, inverse_tau);
      TANDEM_UNROLLED
      for (int a = 0; a < 4; ++a) {
        TANDEM_UNROLLED
        for (int b = 0; b < 4; ++b) {
          if (pairs[a][b] == Tile::positive) over_positive[a].add(s[a][b]);
          if (pairs[a][b] == Tile::negative) over_negative[a].add(s[a][b]);
        }
      }
    }
    TANDEM_UNROLLED
    for (int a = 0; a < 4; ++a) {
      over_positive[a].gather();  // from the 16 threads that have the same rows
      over_negative[a].gather();
      const std::int64_t i = i0 + 4 * down + a;
      if (across != 0 || i >= foreground) continue;
      T* const to = parts + (std::int64_t{blockIdx.y} * rows + i) * 4;
      to[0] = over_positive[a].top;
      to[1] = over_positive[a].sum;
      to[2] = over_negative[a].top;
      to[3] = over_negative[a].sum;
    }
  }
}

/// anchors (rows, 3) = P, N and ρ at each position; 0 for ρ where there is no anchor. sums[part]:
/// the losses of 256 positions, counts[part]: how many of them are anchors; of a single part the
/// result.
template <class T>
__global__ void __launch_bounds__(256)
    contrast_losses_kernel(T* anchors, T* sums, std::int64_t* counts, const T* parts,
                           const std::int64_t* found, std::int64_t rows, std::int64_t slices,
                           std::int64_t part_count) {
  TANDEM_SHARED(T, partial, 32);
  TANDEM_SHARED(std::int64_t, partial_count, 32);
  for (std::int64_t part = blockIdx.x; part < part_count; part += gridDim.x) {
    const std::int64_t i = part * blockDim.x + threadIdx.x;
    T loss = 0, positive = INFINITY, negative = INFINITY, share = 0;
    std::int64_t anchor = 0;
    if (i < found[0]) {
      LogSum<T> over_positive, over_negative;
      for (std::int64_t slice = 0; slice < slices; ++slice) {
        const T* const from = parts + (slice * rows + i) * 4;
        LogSum<T> x, y;
        x.top = from[0], x.sum = from[1], y.top = from[2], y.sum = from[3];
        over_positive.add(x);
        over_negative.add(y);
      }
      if (!over_positive.empty()) {
        anchor = 1;
        positive = over_positive.value();
        if (!over_negative.empty()) {
          negative = over_negative.value();
          loss = formula::Softplus()(negative - positive);
          share = formula::sigmoid(negative - positive);
        }
      }
    }
    if (i < rows) {
      anchors[i * 3] = positive;
      anchors[i * 3 + 1] = negative;
      anchors[i * 3 + 2] = share;
    }
    loss = block_sum(loss, partial);
    anchor = block_sum(anchor, partial_count);
    if (threadIdx.x != 0) continue;
    sums[part] = part_count == 1 ? reduced_loss(loss, anchor, Reduction::mean) : loss;
    counts[part] = anchor;
  }
}

/// How many columns of df a block of pass 2 has: in its registers 4 × columns/16 a thread.
template <class T>
inline constexpr int contrast_columns = sizeof(T) == 4 ? 256 : 128;
/// Bytes of shared memory of pass 2: the tiles of products, or a stretch of f, and the weights.
template <class T>
constexpr std::size_t contrast_shared_bytes() {
  using Tile = ContrastTile<T>;
  const int products = 2 * Tile::depth * Tile::stride, stretch = Tile::depth * contrast_columns<T>;
  return static_cast<std::size_t>((products > stretch ? products : stretch) +
                                  Tile::side * Tile::stride) *
         sizeof(T);
}

/// Pass 2: rows of df = Σ_j w_ij f_j/τ, a tile of positions and contrast_columns columns a block;
/// df is 0 so far at the frames that take no part.
template <class T>
__global__ void __launch_bounds__(256)
    contrast_gradient_kernel(T* df, const T* f, const T* anchors, ContrastFrames set,
                             std::int64_t width, T inverse_tau) {
  using Tile = ContrastTile<T>;
  constexpr int columns = contrast_columns<T>, groups = columns / 64;
  TANDEM_SHARED_BYTES(T, shared);
  TANDEM_SHARED(std::int64_t, left, Tile::side);
  TANDEM_SHARED(std::int64_t, right, Tile::side);
  TANDEM_SHARED(int, partial, 32);
  T* const weights = shared;  // (j, i)
  T* const tile = shared + Tile::side * Tile::stride;
  const int down = threadIdx.x / 16, across = threadIdx.x % 16;
  const std::int64_t all = set.counts[1], first = std::int64_t{blockIdx.y} * columns;
  for (std::int64_t i0 = std::int64_t{blockIdx.x} * Tile::side; i0 < all;
       i0 += std::int64_t{gridDim.x} * Tile::side) {
    Tile::find(left, set, i0);
    T sum[4][4 * groups] = {};
    for (std::int64_t j0 = 0; j0 < all; j0 += Tile::side) {
      Tile::find(right, set, j0);
      typename Tile::Pair pairs[4][4];
      if (!Tile::relate(pairs, set, left, right, i0, j0, partial)) continue;
      T s[4][4];
      Tile::multiply(s, tile, f, width, left, right, inverse_tau);
      TANDEM_UNROLLED
      for (int a = 0; a < 4; ++a) {
        TANDEM_UNROLLED
        for (int b = 0; b < 4; ++b) {
          const std::int64_t i = i0 + 4 * down + a, j = j0 + 4 * across + b;
          T w = 0;
          if (pairs[a][b] != Tile::unrelated) {
            const T *const mine = anchors + i * 3, *const theirs = anchors + j * 3;
            if (pairs[a][b] == Tile::positive) {
              w = -(mine[2] * formula::exp(s[a][b] - mine[0]) +
                    theirs[2] * formula::exp(s[a][b] - theirs[0]));
            } else {
              const T* const anchor = i < j ? mine : theirs;  // foreground comes first
              w = anchor[2] * formula::exp(s[a][b] - anchor[1]);
            }
          }
          weights[(4 * across + b) * Tile::stride + 4 * down + a] = w;
        }
      }
      for (int j1 = 0; j1 < Tile::side; j1 += Tile::depth) {
        __syncthreads();  // the products are done, the weights written, the last stretch used
        for (int at = static_cast<int>(threadIdx.x); at < Tile::depth * columns;
             at += Tile::threads) {
          const int j = at / columns, c = at % columns;
          const std::int64_t row = right[j1 + j];
          tile[at] = row >= 0 && first + c < width ? f[row * width + first + c] : T(0);
        }
        __syncthreads();
        for (int j = 0; j < Tile::depth; ++j) {
          T w[4];
          Tile::load4(w, weights + (j1 + j) * Tile::stride + 4 * down);
          TANDEM_UNROLLED
          for (int g = 0; g < groups; ++g) {
            T x[4];
            Tile::load4(x, tile + j * columns + g * 64 + 4 * across);
            TANDEM_UNROLLED
            for (int a = 0; a < 4; ++a) {
              TANDEM_UNROLLED
              for (int b = 0; b < 4; ++b) sum[a][4 * g + b] += w[a] * x[b];
            }
          }
        }
      }
    }
    TANDEM_UNROLLED
    for (int a = 0; a < 4; ++a) {
      const std::int64_t row = left[4 * down + a];
      TANDEM_UNROLLED
      for (int g = 0; g < groups; ++g) {
        TANDEM_UNROLLED
        for (int b = 0; b < 4; ++b) {
          const std::int64_t c = first + g * 64 + 4 * across + b;
          if (row >= 0 && c < width) df[row * width + c] = sum[a][4 * g + b] * inverse_tau;
        }
      }
    }
  }
}

template <class T>
void loss_fb_forward(Queue& queue, T* loss, T* gradient, std::int64_t* anchors, const T* f,
                     const std::int32_t* h, const bool* valid, std::int64_t videos,
                     std::int64_t frames, std::int64_t classes, std::int64_t width,
                     const ContrastOptions& options) {
  const std::int64_t rows = videos * frames, words = (classes + 31) / 32;
  const std::int64_t tiles = (rows + ContrastTile<T>::side - 1) / ContrastTile<T>::side;
  const Scratch<std::uint8_t> states(queue, rows);
  const Scratch<std::uint32_t> bits(queue, rows * words);
  const Scratch<std::int64_t> order(queue, rows), counts(queue, 2);
  launch("contrast_states", contrast_states_kernel<std::int32_t>, dim3(blocks_for(rows, 8)),
         dim3(256), 0, queue, states.data(), bits.data(), h, valid, rows, classes, words);
  launch("contrast_order", contrast_order_kernel<std::uint8_t>, dim3(1), dim3(256), 0, queue,
         order.data(), counts.data(), states.data(), rows);
  const ContrastFrames set{order.data(), counts.data(), bits.data(),
                           words,        frames,        options.same_video};
  const T inverse_tau = T(1 / options.temperature);
  // Enough blocks for a GPU also where few frames are foreground, each with two tiles of columns or
  // more; by the sizes alone.
  const std::int64_t wanted = tiles > 0 ? (1024 + tiles - 1) / tiles : 1, most = tiles / 2,
                     slices = wanted < most ? wanted
                              : most > 0    ? most
                                            : 1;
  const Scratch<T> parts(queue, slices * rows * 4), values(queue, rows * 3);
  launch("contrast_sums", contrast_sums_kernel<T>,
         dim3(blocks_for(tiles, 1), static_cast<unsigned>(slices)), dim3(256), 0, queue,
         parts.data(), f, set, rows, width, inverse_tau);
  const std::int64_t part_count = rows > 256 ? (rows + 255) / 256 : 1;
  const Scratch<T> sums(queue, part_count > 1 ? part_count : 0);
  const Scratch<std::int64_t> found(queue, part_count > 1 ? part_count : 0);
  launch("contrast_losses", contrast_losses_kernel<T>, dim3(blocks_for(part_count, 1)), dim3(256),
         0, queue, values.data(), part_count > 1 ? sums.data() : loss,
         part_count > 1 ? found.data() : anchors, parts.data(), counts.data(), rows, slices,
         part_count);
  if (part_count > 1) {
    launch("contrast_losses", loss_result_kernel<T>, dim3(1), dim3(256), 0, queue, loss, anchors,
           sums.data(), found.data(), part_count, rows, Reduction::mean);
  }
  if (gradient == nullptr || rows * width == 0) return;
  fill(queue, gradient, sizeof(T), 0, rows * width);
  const std::int64_t across = (width + contrast_columns<T> - 1) / contrast_columns<T>;
  launch("contrast_gradient", contrast_gradient_kernel<T>,
         dim3(blocks_for(tiles, 1), static_cast<unsigned>(across)), dim3(256),
         contrast_shared_bytes<T>(), queue, gradient, f, values.data(), set, width, inverse_tau);
}
TANDEM_KERNEL(loss_fb_forward, float, double);

}  // namespace tandem_kernels
