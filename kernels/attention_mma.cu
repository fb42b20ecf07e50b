/// attention on tensor cores — what attention.cu computes, for Precision::bfloat16 and heads of at
/// most 128 columns: the factors of every product are rounded to bfloat16, sums and everything
/// between products are float.               [Dao 2023, "FlashAttention-2", algorithms 1 and 2]
///   O = P·V, P = e^{S − L}, S = s·Q·Kᵀ, with a running maximum and sum instead of L;
///   dP = dO·Vᵀ;  dS = s·P∘(dP − D);  dV = Pᵀ·dO;  dK = dSᵀ·Q;  dQ = dS·K
///
/// First a pass rounds Q, K, V and dO to dense matrices of 32, 64 or 128 columns, whose positions
/// are a multiple of 64; columns and positions that do not exist or take no part are zeros, and are
/// never read. So tiles need no tests when they are copied, and arrive by cp.async, the next one
/// while this one is multiplied. For a position and column that reads 4 bytes and writes 2.
///
/// Then a block of four warps owns 64 queries (O, dQ) or 64 keys (dK and dV), a warp 16 of them,
/// whose rows are fragments in its registers, and walks the tiles of the other side in their order;
/// tiles in which nothing takes part are skipped. The weights of 16 × 16 pairs never leave the
/// registers of their warp: the C fragments of one product are, rounded, the A fragment of the
/// next. No matrix of positions × positions exists anywhere, and nothing is added by atomics: the
/// same bits every time.
///
/// Forward takes 2·T_q·T_k·d multiplications with additions, backward 7 (S and dP are made twice,
/// so that dQ needs no atomics), and T_q·T_k exponentials each time S is made. A tile of the other
/// side, 4·64·d bytes, is read once per 64 rows, mostly from the L2 cache: bound by tensor cores
/// and by exponentials, for short sequences by the rounding pass. Not measured.

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

// --- forward -------------------------------------------------------------------------------------

template <int D>
__global__ void __launch_bounds__(128)
    attention_mma_kernel(AttentionProblem<float> p, const bfloat16* q, const bfloat16* k,
                         const bfloat16* v, HeadView<float> out, float* lse, std::int64_t count) {
  TANDEM_SHARED_BYTES(bfloat16, shared);  // K and V of two tiles
  constexpr int size = Rows<D>::size;
  for (std::int64_t index = blockIdx.x; index < count; index += gridDim.x) {
    const Piece at(index, p.queries, p.heads);
    Walk<ByMask> wanted{at.b,    at.h, p.queries, at.first + tile, {p.query_mask, p.queries},
                        at.first};
    if (!wanted.find()) continue;
    const std::int64_t last = p.causal && at.first + tile < p.keys ? at.first + tile : p.keys;
    Walk<ByMask> keys{at.b, at.h, p.keys, last, {p.key_mask, p.keys}, 0};
    float sums[D / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, total[2] = {};
    std::uint32_t queries[D / 16][4] = {};
    int now = 0;  // where the tile is that is multiplied
    const auto start = [&](int place) {
      start_rows<D>(shared + 2 * place * size, at.rows<D>(k, p.keys, keys.first));
      start_rows<D>(shared + (2 * place + 1) * size, at.rows<D>(v, p.keys, keys.first));
    };
    bool more = keys.find();
    if (more) {  // the queries come by the place of the second tile
      start_rows<D>(shared + 2 * size, at.rows<D>(q, p.queries, at.first));
      cp_async_commit();
      start(0);
      cp_async_commit();
      cp_async_wait<1>();
      __syncthreads();
      load_left<D>(queries, shared + 2 * size);
      __syncthreads();
    }
    while (more) {
      const Walk<ByMask> here = keys;
      keys.first += tile;
      more = keys.find();
      if (more) start(1 - now);
      cp_async_commit();  // an empty group in the end, so that the wait is always the same
      cp_async_wait<1>();
      __syncthreads();
      float s[tile / 16][2][4], largest[2] = {top[0], top[1]};
      TANDEM_UNROLLED
      for (int j = 0; j < tile / 16; ++j) {
        multiply<D>(s[j], queries, shared + 2 * now * size, 16 * j);
        TANDEM_UNROLLED
        for (int n = 0; n < 2; ++n) {
          TANDEM_UNROLLED
          for (int i = 0; i < 4; ++i) {
            const int key = 16 * j + 8 * n + fragment_column(i);
            const bool visible =
                here.has(key) && (!p.causal || here.first + key <= at.first + fragment_row(i));
            s[j][n][i] = visible ? p.scale * s[j][n][i] : -INFINITY;
            largest[i / 2] = formula::max_nan(largest[i / 2], s[j][n][i]);
          }
        }
      }
      float shift[2];
      for (int r = 0; r < 2; ++r) {
        for (int step = 1; step < 4; step *= 2) {  // over the four lanes that share the row
          largest[r] = formula::max_nan(largest[r], __shfl_xor_sync(every_lane, largest[r], step));
        }
        shift[r] = largest[r] == -INFINITY ? 0.0F : largest[r];  // nothing was seen
        const float factor = formula::exp(top[r] - shift[r]);
        top[r] = largest[r];
        total[r] *= factor;
        TANDEM_UNROLLED
        for (int n = 0; n < D / 8; ++n) {
          sums[n][2 * r] *= factor;
          sums[n][2 * r + 1] *= factor;
        }
      }
      TANDEM_UNROLLED
      for (int j = 0; j < tile / 16; ++j) {
        TANDEM_UNROLLED
        for (int n = 0; n < 2; ++n) {
          TANDEM_UNROLLED
          for (int i = 0; i < 4; ++i) {
            s[j][n][i] = formula::exp(s[j][n][i] - shift[i / 2]);
            total[i / 2] += s[j][n][i];
          }
        }
        add_weighted<D>(sums, s[j], shared + (2 * now + 1) * size, 16 * j);
      }
      __syncthreads();  // the next tile but one goes where this one was
      now = 1 - now;
    }
    for (int r = 0; r < 2; ++r) {
      for (int step = 1; step < 4; step *= 2)
        total[r] += __shfl_xor_sync(every_lane, total[r], step);
      const float factor = 1 / total[r];
      TANDEM_UNROLLED
      for (int n = 0; n < D / 8; ++n) {
        sums[n][2 * r] *= factor;
        sums[n][2 * r + 1] *= factor;
      }
      const int row = fragment_row(2 * r);
      if (threadIdx.x % 4 == 0 && wanted.has(row)) {
        lse[at.head * p.queries + at.first + row] =
            total[r] == 0 ? -INFINITY : top[r] + formula::log(total[r]);
      }
    }
    write_rows<D>(out, at, p.queries, p.width, sums,
                  [&](int r) { return total[r] != 0 && wanted.has(fragment_row(2 * r)); });
  }
}

// --- backward ------------------------------------------------------------------------------------

/// dQ; rows of scores are queries.
template <int D>
__global__ void __launch_bounds__(128)
    attention_mma_dq_kernel(AttentionProblem<float> p, const bfloat16* q, const bfloat16* k,
                            const bfloat16* v, const bfloat16* dout, const Numbers* numbers,
                            HeadView<float> dq, std::int64_t count) {
  TANDEM_SHARED_BYTES(bfloat16, shared);  // K and V of two tiles
  constexpr int size = Rows<D>::size;
  for (std::int64_t index = blockIdx.x; index < count; index += gridDim.x) {
    const Piece at(index, p.queries, p.heads);
    const std::int64_t length = padded(p.queries);
    Walk<ByNumbers> attended{at.b,    at.h, p.queries, at.first + tile, {numbers, p.heads, length},
                             at.first};
    const bool any = attended.find();
    const std::int64_t last = p.causal && at.first + tile < p.keys ? at.first + tile : p.keys;
    Walk<ByMask> keys{at.b, at.h, p.keys, any ? last : 0, {p.key_mask, p.keys}, 0};
    float sums[D / 8][4] = {};
    std::uint32_t queries[D / 16][4] = {}, grads[D / 16][4] = {};
    Numbers mine[2] = {};
    int now = 0;
    const auto start = [&](int place) {
      start_rows<D>(shared + 2 * place * size, at.rows<D>(k, p.keys, keys.first));
      start_rows<D>(shared + (2 * place + 1) * size, at.rows<D>(v, p.keys, keys.first));
    };
    bool more = keys.find();
    if (more) {  // Q and dO come by the place of the second tile
      start_rows<D>(shared + 2 * size, at.rows<D>(q, p.queries, at.first));
      start_rows<D>(shared + 3 * size, at.rows<D>(dout, p.queries, at.first));
      cp_async_commit();
      start(0);
      cp_async_commit();
      for (int r = 0; r < 2; ++r)
        mine[r] = numbers[at.head * length + at.first + fragment_row(2 * r)];
      cp_async_wait<1>();
      __syncthreads();
      load_left<D>(queries, shared + 2 * size);
      load_left<D>(grads, shared + 3 * size);
      __syncthreads();
    }
    while (more) {
      const Walk<ByMask> here = keys;
      keys.first += tile;
      more = keys.find();
      if (more) start(1 - now);
      cp_async_commit();
      cp_async_wait<1>();
      __syncthreads();
      for (int j = 0; j < tile; j += 16) {
        float s[2][4], ds[2][4];
        multiply<D>(s, queries, shared + 2 * now * size, j);
        multiply<D>(ds, grads, shared + (2 * now + 1) * size, j);
        TANDEM_UNROLLED
        for (int n = 0; n < 2; ++n) {
          TANDEM_UNROLLED
          for (int i = 0; i < 4; ++i) {
            const int key = j + 8 * n + fragment_column(i);
            const Numbers& row = mine[i / 2];
            const bool visible =
                here.has(key) && (!p.causal || here.first + key <= at.first + fragment_row(i));
            ds[n][i] = visible ? p.scale * formula::exp(p.scale * s[n][i] - row.shift) *
                                     (ds[n][i] - row.dot)
                               : 0.0F;
          }
        }
        add_weighted<D>(sums, ds, shared + 2 * now * size, j);
      }
      __syncthreads();
      now = 1 - now;
    }
    write_rows<D>(dq, at, p.queries, p.width, sums,
                  [&](int r) { return any && attended.has(fragment_row(2 * r)); });
  }
}

/// dK and dV; rows of scores are keys, columns queries.
template <int D>
__global__ void __launch_bounds__(128)
    attention_mma_dkv_kernel(AttentionProblem<float> p, const bfloat16* q, const bfloat16* k,
                             const bfloat16* v, const bfloat16* dout, const Numbers* numbers,
                             HeadView<float> dk, HeadView<float> dv, std::int64_t count) {
  TANDEM_SHARED_BYTES(bfloat16, shared);  // Q and dO of two tiles, then L and D of two
  constexpr int size = Rows<D>::size;
  auto* const columns = reinterpret_cast<Numbers*>(shared + 4 * size);
  for (std::int64_t index = blockIdx.x; index < count; index += gridDim.x) {
    const Piece at(index, p.keys, p.heads);
    const std::int64_t length = padded(p.queries);
    Walk<ByMask> seen{at.b, at.h, p.keys, at.first + tile, {p.key_mask, p.keys}, at.first};
    const bool any = seen.find();
    Walk<ByNumbers> queries{at.b,
                            at.h,
                            p.queries,
                            any ? p.queries : 0,
                            {numbers, p.heads, length},
                            p.causal ? at.first : 0};  // tiles are of one size
    float key_sums[D / 8][4] = {}, value_sums[D / 8][4] = {};
    std::uint32_t keys[D / 16][4] = {}, values[D / 16][4] = {};
    int now = 0;
    const auto start = [&](int place) {
      start_rows<D>(shared + 2 * place * size, at.rows<D>(q, p.queries, queries.first));
      start_rows<D>(shared + (2 * place + 1) * size, at.rows<D>(dout, p.queries, queries.first));
      if (threadIdx.x < tile / 2) {
        cp_async_16(columns + place * tile + 2 * threadIdx.x,
                    numbers + at.head * length + queries.first + 2 * threadIdx.x);
      }
    };
    bool more = queries.find();
    if (more) {  // K and V come by the place of the second tile
      start_rows<D>(shared + 2 * size, at.rows<D>(k, p.keys, at.first));
      start_rows<D>(shared + 3 * size, at.rows<D>(v, p.keys, at.first));
      cp_async_commit();
      start(0);
      cp_async_commit();
      cp_async_wait<1>();
      __syncthreads();
      load_left<D>(keys, shared + 2 * size);
      load_left<D>(values, shared + 3 * size);
      __syncthreads();
    }
    while (more) {
      const std::int64_t first = queries.first;
      queries.first += tile;
      more = queries.find();
      if (more) start(1 - now);
      cp_async_commit();
      cp_async_wait<1>();
      __syncthreads();
      for (int j = 0; j < tile; j += 16) {
        float s[2][4], ds[2][4];
        multiply<D>(s, keys, shared + 2 * now * size, j);
        multiply<D>(ds, values, shared + (2 * now + 1) * size, j);
        TANDEM_UNROLLED
        for (int n = 0; n < 2; ++n) {
          TANDEM_UNROLLED
          for (int i = 0; i < 4; ++i) {
            const int query = j + 8 * n + fragment_column(i);
            const Numbers column = columns[now * tile + query];
            const bool visible = column.shift != INFINITY &&
                                 (!p.causal || at.first + fragment_row(i) <= first + query);
            s[n][i] = visible ? formula::exp(p.scale * s[n][i] - column.shift) : 0.0F;
            ds[n][i] = visible ? p.scale * s[n][i] * (ds[n][i] - column.dot) : 0.0F;
          }
        }
        add_weighted<D>(value_sums, s, shared + (2 * now + 1) * size, j);
        add_weighted<D>(key_sums, ds, shared + 2 * now * size, j);
      }
      __syncthreads();
      now = 1 - now;
    }
    const auto counts = [&](int r) { return any && seen.has(fragment_row(2 * r)); };
    write_rows<D>(dk, at, p.keys, p.width, key_sums, counts);
    write_rows<D>(dv, at, p.keys, p.width, value_sums, counts);
  }
}

// --- launches ------------------------------------------------------------------------------------

/// f(D) for the columns of a head's tile, as a type.
template <class F>
void with_columns(std::int64_t width, const F& f) {
  if (width <= 32) return f(std::integral_constant<int, 32>());
  if (width <= 64) return f(std::integral_constant<int, 64>());
  f(std::integral_constant<int, 128>());
}

/// A matrix (batch, heads, positions, width) rounded, as long as what is queued needs it.
template <int D>
class Rounded {
 public:
  template <class Part>
  Rounded(Queue& queue, const AttentionProblem<float>& p, const HeadView<const float>& from,
          std::int64_t positions, const Part& part)
      : memory_(queue, p.batch * p.heads * padded(positions) * D) {
    launch("attention_round", attention_round_kernel<D, Part>,
           dim3(blocks_for(p.batch * p.heads * padded(positions), 8)), dim3(32, 8), 0, queue, p,
           from, positions, part, memory_.data());
  }
  const bfloat16* data() const { return memory_.data(); }

 private:
  Scratch<bfloat16> memory_;
};

std::int64_t pieces(const AttentionProblem<float>& p, std::int64_t positions) {
  return p.batch * p.heads * (padded(positions) / tile);
}

}  // namespace tensor_cores

void mma_attention_forward(Queue& queue, const AttentionProblem<float>& p,
                           const HeadView<const float>& q, const HeadView<const float>& k,
                           const HeadView<const float>& v, const HeadView<float>& out, float* lse) {
  using namespace tensor_cores;
  with_columns(p.width, [&]<int D>(std::integral_constant<int, D>) {
    const ByMask wanted{p.query_mask, p.queries}, seen{p.key_mask, p.keys};
    const Rounded<D> queries(queue, p, q, p.queries, wanted), keys(queue, p, k, p.keys, seen),
        values(queue, p, v, p.keys, seen);
    const std::int64_t count = pieces(p, p.queries);
    launch("attention_mma", attention_mma_kernel<D>, dim3(blocks_for(count, 1)), dim3(threads),
           Rows<D>::bytes(4), queue, p, queries.data(), keys.data(), values.data(), out, lse,
           count);
  });
}

void mma_attention_backward(Queue& queue, const AttentionProblem<float>& p,
                            const HeadView<const float>& q, const HeadView<const float>& k,
                            const HeadView<const float>& v, const HeadView<const float>& out,
                            const HeadView<const float>& dout, const float* lse,
                            const HeadView<float>& dq, const HeadView<float>& dk,
                            const HeadView<float>& dv) {
  using namespace tensor_cores;
  const std::int64_t length = padded(p.queries), rows = p.batch * p.heads * length;
  const Scratch<Numbers> numbers(queue, rows);
  launch("attention_numbers", attention_numbers_kernel<float>, dim3(blocks_for(rows, 8)),
         dim3(32, 8), 0, queue, p, out, dout, lse, numbers.data());
  with_columns(p.width, [&]<int D>(std::integral_constant<int, D>) {
    const ByNumbers attended{numbers.data(), p.heads, length};
    const ByMask seen{p.key_mask, p.keys};
    const Rounded<D> queries(queue, p, q, p.queries, attended),
        grads(queue, p, dout, p.queries, attended), keys(queue, p, k, p.keys, seen),
        values(queue, p, v, p.keys, seen);
    const std::int64_t of_queries = pieces(p, p.queries), of_keys = pieces(p, p.keys);
    launch("attention_mma_dq", attention_mma_dq_kernel<D>, dim3(blocks_for(of_queries, 1)),
           dim3(threads), Rows<D>::bytes(4), queue, p, queries.data(), keys.data(), values.data(),
           grads.data(), numbers.data(), dq, of_queries);
    launch("attention_mma_dkv", attention_mma_dkv_kernel<D>, dim3(blocks_for(of_keys, 1)),
           dim3(threads), Rows<D>::bytes(4) + 2 * tile * static_cast<int>(sizeof(Numbers)), queue,
           p, queries.data(), keys.data(), values.data(), grads.data(), numbers.data(), dk, dv,
           of_keys);
  });
}

}  // namespace tandem_kernels
