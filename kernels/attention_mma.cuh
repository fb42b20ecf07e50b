#pragma once
/// The pieces of attention_mma.cu: the passes before its products, tiles in shared memory, and the
/// products of a warp. The passes read and write their operands once: bound by memory.

#include "attention.cuh"
#include "fragments.cuh"
#include "tandem/formula/number.hpp"

namespace tandem_kernels {
namespace tensor_cores {

namespace formula = tandem::formula;
using tandem::bfloat16;

constexpr unsigned every_lane = 0xffffffffu;
constexpr int tile = 64, threads = 128;

__host__ __device__ inline std::int64_t padded(std::int64_t positions) {
  return (positions + tile - 1) / tile * tile;
}

/// 64 positions in shared memory. Eight rows that ldmatrix reads together start in different banks.
template <int D>
struct Rows {
  static constexpr int stride = D + 8, size = tile * stride;
  static constexpr int bytes(int count) {
    return count * size * static_cast<int>(sizeof(bfloat16));
  }
};
/// A query's L and D; {∞, 0} if it takes no part.
struct alignas(8) Numbers {
  float shift, dot;
};

/// A position takes part where the mask is true, if there is one; where its L is not ∞.
struct ByMask {
  const bool* mask;
  std::int64_t positions;
  __device__ bool operator()(std::int64_t b, std::int64_t, std::int64_t i) const {
    return mask == nullptr || mask[b * positions + i];
  }
};
struct ByNumbers {
  const Numbers* numbers;
  std::int64_t heads, padded;
  __device__ bool operator()(std::int64_t b, std::int64_t h, std::int64_t i) const {
    return numbers[(b * heads + h) * padded + i].shift != INFINITY;
  }
};

// --- before the products -------------------------------------------------------------------------

/// to (batch, heads, padded(positions), D) = `from`, rounded, zeros where there is nothing; a warp
/// per row, eight in a block.
template <int D, class Part>
__global__ void __launch_bounds__(256)
    attention_round_kernel(AttentionProblem<float> p, HeadView<const float> from,
                           std::int64_t positions, Part part, bfloat16* to) {
  const std::int64_t length = padded(positions), rows = p.batch * p.heads * length;
  const std::int64_t step = std::int64_t{gridDim.x} * 8;
  for (std::int64_t r = std::int64_t{blockIdx.x} * 8 + threadIdx.y; r < rows; r += step) {
    const std::int64_t i = r % length, h = r / length % p.heads, b = r / length / p.heads;
    const bool inside = i < positions && part(b, h, i);
    const float* const row = from.at(b, h) + i * from.row_step;
    auto* const pairs = reinterpret_cast<std::uint32_t*>(to + r * D);
    for (int pair = threadIdx.x; pair < D / 2; pair += 32) {
      const int c = 2 * pair;
      pairs[pair] = rounded_pair(inside && c < p.width ? row[c] : 0.0F,
                                 inside && c + 1 < p.width ? row[c + 1] : 0.0F);
    }
  }
}

/// numbers (batch, heads, padded(queries)); a warp per row, eight in a block.
template <class T>
__global__ void __launch_bounds__(256)
    attention_numbers_kernel(AttentionProblem<T> p, HeadView<const T> out, HeadView<const T> dout,
                             const T* lse, Numbers* numbers) {
  const std::int64_t length = padded(p.queries), rows = p.batch * p.heads * length;
  const std::int64_t step = std::int64_t{gridDim.x} * 8;
  for (std::int64_t r = std::int64_t{blockIdx.x} * 8 + threadIdx.y; r < rows; r += step) {
    const std::int64_t i = r % length, h = r / length % p.heads, b = r / length / p.heads;
    const T shift = i < p.queries ? lse[(b * p.heads + h) * p.queries + i] : -INFINITY;
    T sum = 0;
    if (shift != -INFINITY) {
      const T *const o = out.at(b, h) + i * out.row_step, *const g =
                                                              dout.at(b, h) + i * dout.row_step;
      for (std::int64_t c = threadIdx.x; c < p.width; c += 32) sum += g[c] * o[c];
    }
    sum = warp_sum(sum);
    if (threadIdx.x == 0) numbers[r] = {shift != -INFINITY ? shift : INFINITY, sum};
  }
}

// --- tiles ---------------------------------------------------------------------------------------

/// Starts to copy 64 rows of D columns that lie one after the other.
template <int D>
__device__ void start_rows(bfloat16* to, const bfloat16* from) {
  constexpr int chunks = D / 8;  // of 16 bytes
  TANDEM_UNROLLED
  for (int l = 0; l < tile * chunks / threads; ++l) {
    const int i = l * threads + static_cast<int>(threadIdx.x);
    cp_async_16(to + i / chunks * Rows<D>::stride + i % chunks * 8, from + i * 8);
  }
}

/// The tiles [first, first + 64) up to `end` in which a position takes part; bit i of `bits` says
/// whether first + i does. The same in every thread.
template <class Part>
struct Walk {
  std::int64_t b, h, count, end;
  Part part;
  std::int64_t first;
  std::uint64_t bits = 0;

  __device__ bool find() {
    const int lane = threadIdx.x % 32;
    for (; first < end; first += tile) {
      const std::int64_t low = first + lane, high = low + 32;
      bits = __ballot_sync(every_lane, low < count && part(b, h, low));
      bits |= std::uint64_t{__ballot_sync(every_lane, high < count && part(b, h, high))} << 32;
      if (bits != 0) return true;
    }
    return false;
  }
  __device__ bool has(int i) const { return (bits >> i & 1) != 0; }
};

/// The walk of a block over the tiles of the other side, two in shared memory: the next one comes
/// while this one is multiplied. start(place) starts the copies of the tile at walk.first to place
/// 0 or 1. start_own() starts those of the block's own rows, to place 1, and load_own() takes them
/// from there before the first tile; then body(here, place) multiplies each, `here` being the walk
/// as it stood there. Ends behind a barrier, where a tile was found.
template <class Part, class StartOwn, class LoadOwn, class Start, class Body>
__device__ __forceinline__ void for_each_tile(Walk<Part>& walk, const StartOwn& start_own,
                                              const LoadOwn& load_own, const Start& start,
                                              const Body& body) {
  if (!walk.find()) return;
  start_own();
  cp_async_commit();
  start(0);
  cp_async_commit();
  cp_async_wait<1>();
  __syncthreads();
  load_own();
  __syncthreads();
  bool more = true;
  for (int now = 0; more; now = 1 - now) {
    const Walk<Part> here = walk;
    walk.first += tile;
    more = walk.find();
    if (more) start(1 - now);
    cp_async_commit();  // an empty group in the end, so that the wait is always the same
    cp_async_wait<1>();
    __syncthreads();
    body(here, now);
    __syncthreads();  // the next tile but one goes where this one was
  }
}

/// What a block makes: 64 positions of a head, from `first` on.
struct Piece {
  std::int64_t first, head, b, h;
  __device__ Piece(std::int64_t index, std::int64_t positions, std::int64_t heads) {
    const std::int64_t tiles = padded(positions) / tile;
    first = index % tiles * tile;
    head = index / tiles;
    h = head % heads;
    b = head / heads;
  }
  /// These positions of a rounded matrix, or others of this head.
  template <int D>
  __device__ const bfloat16* rows(const bfloat16* x, std::int64_t positions,
                                  std::int64_t at) const {
    return x + (head * padded(positions) + at) * D;
  }
};

/// Where the i-th number of a C fragment lies: its row among the block's 64, its column among 8.
__device__ inline int fragment_row(int i) {
  return static_cast<int>(threadIdx.x) / 32 * 16 + static_cast<int>(threadIdx.x) % 32 / 4 +
         i / 2 * 8;
}
__device__ inline int fragment_column(int i) {
  return static_cast<int>(threadIdx.x) % 4 * 2 + i % 2;
}

/// This warp's 16 rows of a tile as A fragments, 16 columns each.
template <int D>
__device__ void load_left(std::uint32_t (&a)[D / 16][4], const bfloat16* rows) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const bfloat16* const at = rows + (warp * 16 + lane % 16) * Rows<D>::stride + lane / 16 * 8;
  TANDEM_UNROLLED
  for (int c = 0; c < D / 16; ++c) ldmatrix_x4(a[c], at + 16 * c);
}

/// s = A·Bᵀ for 16 rows of a tile from `first` on.
template <int D>
__device__ void multiply(float (&s)[2][4], const std::uint32_t (&a)[D / 16][4],
                         const bfloat16* rows, int first) {
  const int lane = threadIdx.x % 32;
  const bfloat16* const at =
      rows + (first + lane / 16 * 8 + lane % 8) * Rows<D>::stride + lane / 8 % 2 * 8;
  for (int i = 0; i < 4; ++i) s[0][i] = s[1][i] = 0;
  TANDEM_UNROLLED
  for (int c = 0; c < D / 16; ++c) {
    std::uint32_t b[4];
    ldmatrix_x4(b, at + 16 * c);
    mma_m16n8k16(s[0], a[c], b[0], b[1]);
    mma_m16n8k16(s[1], a[c], b[2], b[3]);
  }
}

/// sums += W·B for the weights of 16 rows of a tile from `first` on, rounded.
template <int D>
__device__ void add_weighted(float (&sums)[D / 8][4], const float (&w)[2][4], const bfloat16* rows,
                             int first) {
  const int lane = threadIdx.x % 32;
  const bfloat16* const at = rows + (first + lane % 16) * Rows<D>::stride + lane / 16 * 8;
  const std::uint32_t a[4] = {rounded_pair(w[0][0], w[0][1]), rounded_pair(w[0][2], w[0][3]),
                              rounded_pair(w[1][0], w[1][1]), rounded_pair(w[1][2], w[1][3])};
  TANDEM_UNROLLED
  for (int n = 0; n < D / 16; ++n) {
    std::uint32_t b[4];
    ldmatrix_x4_trans(b, at + 16 * n);
    mma_m16n8k16(sums[2 * n], a, b[0], b[1]);
    mma_m16n8k16(sums[2 * n + 1], a, b[2], b[3]);
  }
}

/// The sums, or zeros where a row does not count, to this lane's two rows (r = 0, 1), as far as
/// there are such positions and columns.
template <int D, class Counts>
__device__ void write_rows(const HeadView<float>& to, const Piece& at, std::int64_t positions,
                           std::int64_t width, const float (&sums)[D / 8][4],
                           const Counts& counts) {
  TANDEM_UNROLLED
  for (int i = 0; i < 4; ++i) {
    const std::int64_t position = at.first + fragment_row(i);
    if (position >= positions) continue;
    const bool take = counts(i / 2);
    float* const row = to.at(at.b, at.h) + position * to.row_step;
    TANDEM_UNROLLED
    for (int n = 0; n < D / 8; ++n) {
      const int column = 8 * n + fragment_column(i);
      if (column < width) row[column] = take ? sums[n][i] : 0.0F;
    }
  }
}

}  // namespace tensor_cores
}  // namespace tandem_kernels
