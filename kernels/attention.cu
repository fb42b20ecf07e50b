/// attention — O = softmax(s·Q·Kᵀ)·V per head, L = log Σ_j e^{S_ij} per query, and their gradients:
///   P = e^{S − L};  D_i = Σ_c dO_ic·O_ic;  dS = s·P∘(dO·Vᵀ − D)
///   dV = Pᵀ·dO;  dK = dSᵀ·Q;  dQ = dS·K
///
/// A block owns a tile of queries (forward, dQ) or of keys (dK and dV) and walks the tiles of the
/// other side in their order, without atomics: the same bits every time. Scores exist only as a
/// tile in registers, weights as one in shared memory; the forward keeps a running maximum and sum.
/// Heads wider than 64 are read 64 columns at a time, and a block makes 64 columns of its result,
/// so that any width works; each such block computes the scores again. Tiles in which no query is
/// wanted or no key may be seen are skipped; rows that take no part are zeros in shared memory and
/// never read, so they may hold anything.
///
/// Forward takes 2·T_q·T_k·d multiplications with additions, backward 7 (S and dO·Vᵀ are made
/// twice, so that dQ needs no atomics). A tile of the other side is read once per 64 rows, mostly
/// from the L2 cache: bound by float arithmetic and by shared memory, from which 64 multiplications
/// take 8 packs.
///
/// Under Precision::bfloat16 heads of at most 128 columns are attention_mma.cu's; the factors of
/// wider ones are rounded here on their way to shared memory.

#include "attention.cuh"
#include "tandem/formula/number.hpp"

namespace tandem_kernels {

namespace formula = tandem::formula;

constexpr unsigned every_lane = 0xffffffffu;

/// Blocks have 16 × 16 threads. Thread (x, y) has the scores of the rows y + 16·i and columns x +
/// 16·j of a tile, i, j < each, and of these rows 4 columns of the result.
template <class T>
struct Tile {
  static constexpr int pack = pack_size<T>;
  static constexpr int each = sizeof(T) == 4 ? 4 : 2;
  static constexpr int rows = 16 * each;      ///< positions
  static constexpr int width = 64;            ///< columns of a head
  static constexpr int columns = width / 16;  ///< of the result, a thread
  /// 16 threads that read packs of 16 rows meet all banks alike
  static constexpr int stride = width + pack;
  static constexpr int weight_stride = rows + pack;
  /// That registers and shared memory of an SM must have room for
  static constexpr int blocks = sizeof(T) == 4 ? 2 : 1;
  static constexpr int size = rows * stride, weights = rows * weight_stride;
  static constexpr int bytes(int tiles) {
    return (tiles * size + weights) * static_cast<int>(sizeof(T));
  }
  /// Where the c-th of the result's columns of this thread lies: 16 threads read packs beside each
  /// other.
  static __device__ int column(int c) {
    return (c / pack * 16 + static_cast<int>(threadIdx.x)) * pack + c % pack;
  }
};

/// Position i, of `count`, takes part where the mask is true, if there is one; where `lse` is not
/// −∞.
struct Chosen {
  const bool* mask;
  __device__ bool operator()(std::int64_t i) const { return mask == nullptr || mask[i]; }
};
template <class T>
struct Attended {
  const T* lse;
  __device__ bool operator()(std::int64_t i) const { return lse[i] != -INFINITY; }
};

/// A factor of a product.
template <bool rounded, class T>
__device__ T factor(T x) {
  if constexpr (rounded) x = static_cast<float>(tandem::bfloat16(x));
  return x;
}

/// The positions from `first` on, at most a tile of them, of a matrix of one head.
template <class T, bool rounded, class Part>
struct Rows {
  const T* data;
  std::int64_t step, first, count, width;
  Part part;

  /// The columns from `column` on as a tile; zeros outside of the matrix and in rows that take no
  /// part.
  __device__ void load(T* tile, std::int64_t column) const {
    for (int i = threadIdx.y * 16 + threadIdx.x; i < Tile<T>::rows * Tile<T>::width; i += 256) {
      const int row = i / Tile<T>::width, c = i % Tile<T>::width;
      const std::int64_t position = first + row;
      const bool inside = position < count && column + c < width && part(position);
      tile[row * Tile<T>::stride + c] =
          inside ? factor<rounded>(data[position * step + column + c]) : T(0);
    }
  }
  /// Whether any of them takes part; the same in every thread.
  __device__ bool any() const {
    const int lane = (threadIdx.y * 16 + threadIdx.x) % 32;
    bool found = false;
    for (int row = lane; row < Tile<T>::rows && first + row < count; row += 32)
      found = found || part(first + row);
    return __any_sync(every_lane, found);
  }
};
template <bool rounded, class T, class Part>
__device__ Rows<T, rounded, Part> rows_of(const HeadView<const T>& x, std::int64_t b,
                                          std::int64_t h, std::int64_t first, std::int64_t count,
                                          std::int64_t width, Part part) {
  return {x.at(b, h), x.row_step, first, count, width, part};
}

template <class T>
using Scores = T[Tile<T>::each][Tile<T>::each];
template <class T>
using Result = T[Tile<T>::each][Tile<T>::columns];

/// s = A·Bᵀ for two tiles of rows. `a` holds A already if a tile has room for its width; `b` holds
/// B's last columns afterwards, and other threads may still be reading it.
template <class T, class RowsA, class RowsB>
__device__ void scores(Scores<T>& s, T* a, const RowsA& A, T* b, const RowsB& B) {
  constexpr int each = Tile<T>::each, pack = Tile<T>::pack, stride = Tile<T>::stride;
  using P = Pack<T, pack>;
  for (int i = 0; i < each; ++i) {
    for (int j = 0; j < each; ++j) s[i][j] = 0;
  }
  for (std::int64_t column = 0; column < A.width; column += Tile<T>::width) {
    __syncthreads();  // the last product of these tiles is over
    if (A.width > Tile<T>::width) A.load(a, column);
    B.load(b, column);
    __syncthreads();
    const std::int64_t left = A.width - column;
    const int width = left < Tile<T>::width ? static_cast<int>(left) : Tile<T>::width;
    for (int c = 0; c < width; c += pack) {
      P p[each], q[each];
      TANDEM_UNROLLED
      for (int i = 0; i < each; ++i) {
        p[i] = *reinterpret_cast<const P*>(a + (threadIdx.y + 16 * i) * stride + c);
        q[i] = *reinterpret_cast<const P*>(b + (threadIdx.x + 16 * i) * stride + c);
      }
      TANDEM_UNROLLED
      for (int l = 0; l < pack; ++l) {
        TANDEM_UNROLLED
        for (int i = 0; i < each; ++i) {
          TANDEM_UNROLLED
          for (int j = 0; j < each; ++j) s[i][j] += p[i].value[l] * q[j].value[l];
        }
      }
    }
  }
}

/// The weights of this thread into their tile.
template <class T, bool rounded>
__device__ void store_weights(T* w, const Scores<T>& s) {
  for (int i = 0; i < Tile<T>::each; ++i) {
    T* const row = w + (threadIdx.y + 16 * i) * Tile<T>::weight_stride + threadIdx.x;
    for (int j = 0; j < Tile<T>::each; ++j) row[16 * j] = factor<rounded>(s[i][j]);
  }
}

/// out += W·B for the columns from `column` on. W has just been stored; `loaded`: `b` holds these
/// columns of B already.
template <class T, class Rows>
__device__ void add_weighted(Result<T>& out, const T* w, T* b, const Rows& B, std::int64_t column,
                             bool loaded) {
  constexpr int each = Tile<T>::each, pack = Tile<T>::pack, columns = Tile<T>::columns;
  using P = Pack<T, pack>;
  __syncthreads();  // W is complete, and nobody reads b
  if (!loaded) {
    B.load(b, column);
    __syncthreads();
  }
  const std::int64_t left = B.count - B.first;
  const int count = left < Tile<T>::rows ? static_cast<int>(left) : Tile<T>::rows;
  for (int l = 0; l < count; l += pack) {
    P p[each];
    TANDEM_UNROLLED
    for (int i = 0; i < each; ++i) {
      p[i] = *reinterpret_cast<const P*>(w + (threadIdx.y + 16 * i) * Tile<T>::weight_stride + l);
    }
    TANDEM_UNROLLED
    for (int m = 0; m < pack; ++m) {
      TANDEM_UNROLLED
      for (int c = 0; c < columns; c += pack) {
        const P q = *reinterpret_cast<const P*>(b + (l + m) * Tile<T>::stride + Tile<T>::column(c));
        TANDEM_UNROLLED
        for (int i = 0; i < each; ++i) {
          TANDEM_UNROLLED
          for (int k = 0; k < pack; ++k) out[i][c + k] += p[i].value[m] * q.value[k];
        }
      }
    }
  }
}

/// What a block makes: 64 columns of the result of a tile of positions of one head. Neighbours
/// share what they read.
struct Piece {
  std::int64_t b, h, first, column;
  __device__ Piece(std::int64_t index, std::int64_t positions, int tile, std::int64_t width,
                   std::int64_t heads) {
    const std::int64_t parts = (width + 63) / 64, tiles = (positions + tile - 1) / tile;
    column = index % parts * 64;
    first = index / parts % tiles * tile;
    h = index / parts / tiles % heads;
    b = index / parts / tiles / heads;
  }
};
template <class T>
std::int64_t pieces(const AttentionProblem<T>& p, std::int64_t positions) {
  return p.batch * p.heads * ((positions + Tile<T>::rows - 1) / Tile<T>::rows) *
         ((p.width + 63) / 64);
}

/// The rows of the result that take part.
template <class T, class Part>
__device__ void write_rows(const HeadView<T>& to, const Piece& piece, std::int64_t count,
                           std::int64_t width, const Result<T>& out, const Part& part) {
  for (int i = 0; i < Tile<T>::each; ++i) {
    const std::int64_t position = piece.first + threadIdx.y + 16 * i;
    if (position >= count || !part(position)) continue;
    T* const row = to.at(piece.b, piece.h) + position * to.row_step;
    for (int c = 0; c < Tile<T>::columns; ++c) {
      const std::int64_t column = piece.column + Tile<T>::column(c);
      if (column < width) row[column] = out[i][c];
    }
  }
}

template <class T, bool rounded>
__global__ void __launch_bounds__(256)
    attention_kernel(AttentionProblem<T> p, HeadView<const T> q, HeadView<const T> k,
                     HeadView<const T> v, HeadView<T> out, T* lse, std::int64_t count) {
  constexpr int each = Tile<T>::each, columns = Tile<T>::columns;
  TANDEM_SHARED_BYTES(T, shared);
  T *const a = shared, *const b = a + Tile<T>::size, *const w = b + Tile<T>::size;
  for (std::int64_t index = blockIdx.x; index < count; index += gridDim.x) {
    const Piece at(index, p.queries, Tile<T>::rows, p.width, p.heads);
    const Chosen wanted{p.query_mask == nullptr ? nullptr : p.query_mask + at.b * p.queries},
        seen{p.key_mask == nullptr ? nullptr : p.key_mask + at.b * p.keys};
    const auto queries = rows_of<rounded>(q, at.b, at.h, at.first, p.queries, p.width, wanted);
    if (!queries.any()) continue;
    if (p.width <= Tile<T>::width)
      queries.load(a, 0);    // nobody reads a: the last piece ended with a product with w
    T top[each], sum[each];  // the sum over this thread's columns only
    Result<T> result = {};
    for (int i = 0; i < each; ++i) {
      top[i] = -INFINITY;
      sum[i] = 0;
    }
    const std::int64_t last =
        p.causal && at.first + Tile<T>::rows < p.keys ? at.first + Tile<T>::rows : p.keys;
    for (std::int64_t first = 0; first < last; first += Tile<T>::rows) {
      const auto keys = rows_of<rounded>(k, at.b, at.h, first, p.keys, p.width, seen);
      if (!keys.any()) continue;
      Scores<T> s;
      scores(s, a, queries, b, keys);
      TANDEM_UNROLLED
      for (int j = 0; j < each; ++j) {
        const std::int64_t key = first + threadIdx.x + 16 * j;
        const bool takes_part = key < p.keys && seen(key);
        TANDEM_UNROLLED
        for (int i = 0; i < each; ++i) {
          const bool visible = takes_part && (!p.causal || key <= at.first + threadIdx.y + 16 * i);
          s[i][j] = visible ? p.scale * s[i][j] : T(-INFINITY);
        }
      }
      TANDEM_UNROLLED
      for (int i = 0; i < each; ++i) {
        T largest = top[i];
        for (int j = 0; j < each; ++j) largest = formula::max_nan(largest, s[i][j]);
        for (int step = 8; step > 0; step /= 2) {  // over the 16 threads that share the row
          largest = formula::max_nan(largest, __shfl_xor_sync(every_lane, largest, step));
        }
        const T shift = largest == -INFINITY ? T(0) : largest;  // nothing was seen
        const T scale = formula::exp(top[i] - shift);
        top[i] = largest;
        sum[i] *= scale;
        for (int c = 0; c < columns; ++c) result[i][c] *= scale;
        for (int j = 0; j < each; ++j) {
          s[i][j] = formula::exp(s[i][j] - shift);
          sum[i] += s[i][j];
        }
      }
      store_weights<T, rounded>(w, s);
      add_weighted<T>(result, w, b, rows_of<rounded>(v, at.b, at.h, first, p.keys, p.width, seen),
                      at.column, false);
    }
    for (int i = 0; i < each; ++i) {
      for (int step = 8; step > 0; step /= 2) sum[i] += __shfl_xor_sync(every_lane, sum[i], step);
      const T scale = 1 / sum[i];
      for (int c = 0; c < columns; ++c) result[i][c] = sum[i] == 0 ? T(0) : scale * result[i][c];
      const std::int64_t query = at.first + threadIdx.y + 16 * i;
      if (at.column == 0 && threadIdx.x == 0 && query < p.queries && wanted(query)) {
        lse[(at.b * p.heads + at.h) * p.queries + query] =
            sum[i] == 0 ? T(-INFINITY) : top[i] + formula::log(sum[i]);
      }
    }
    write_rows(out, at, p.queries, p.width, result, wanted);
  }
}

/// dots[row] = D, for the rows (batch, heads, queries) where lse is not −∞; a warp per row, eight
/// in a block.
template <class T>
__global__ void __launch_bounds__(256)
    attention_dots_kernel(AttentionProblem<T> p, HeadView<const T> out, HeadView<const T> dout,
                          const T* lse, T* dots) {
  const std::int64_t rows = p.batch * p.heads * p.queries, step = std::int64_t{gridDim.x} * 8;
  for (std::int64_t r = std::int64_t{blockIdx.x} * 8 + threadIdx.y; r < rows; r += step) {
    if (lse[r] == -INFINITY) continue;
    const std::int64_t i = r % p.queries, h = r / p.queries % p.heads, b = r / p.queries / p.heads;
    const T *const o = out.at(b, h) + i * out.row_step, *const g =
                                                            dout.at(b, h) + i * dout.row_step;
    T sum = 0;
    for (std::int64_t c = threadIdx.x; c < p.width; c += 32) sum += g[c] * o[c];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) dots[r] = sum;
  }
}

/// dQ; rows of scores are queries.
template <class T, bool rounded>
__global__ void __launch_bounds__(256)
    attention_dq_kernel(AttentionProblem<T> p, HeadView<const T> q, HeadView<const T> k,
                        HeadView<const T> v, HeadView<const T> dout, const T* lse, const T* dots,
                        HeadView<T> dq, std::int64_t count) {
  constexpr int each = Tile<T>::each;
  TANDEM_SHARED_BYTES(T, shared);
  T *const a = shared, *const g = a + Tile<T>::size, *const b = g + Tile<T>::size,
           *const w = b + Tile<T>::size;
  const bool whole = p.width <= Tile<T>::width;
  for (std::int64_t index = blockIdx.x; index < count; index += gridDim.x) {
    const Piece at(index, p.queries, Tile<T>::rows, p.width, p.heads);
    const std::int64_t head = (at.b * p.heads + at.h) * p.queries;
    const Attended<T> attended{lse + head};
    const Chosen seen{p.key_mask == nullptr ? nullptr : p.key_mask + at.b * p.keys};
    const auto queries = rows_of<rounded>(q, at.b, at.h, at.first, p.queries, p.width, attended),
               grads = rows_of<rounded>(dout, at.b, at.h, at.first, p.queries, p.width, attended);
    if (whole) {  // nobody reads a and g: the last piece ended with a product with w
      queries.load(a, 0);
      grads.load(g, 0);
    }
    bool takes_part[each];
    T shift[each], dot[each];
    for (int i = 0; i < each; ++i) {
      const std::int64_t query = at.first + threadIdx.y + 16 * i;
      takes_part[i] = query < p.queries && attended(query);
      shift[i] = takes_part[i] ? lse[head + query] : T(0);
      dot[i] = takes_part[i] ? dots[head + query] : T(0);
    }
    Result<T> result = {};
    std::int64_t last =
        p.causal && at.first + Tile<T>::rows < p.keys ? at.first + Tile<T>::rows : p.keys;
    if (!queries.any()) last = 0;
    for (std::int64_t first = 0; first < last; first += Tile<T>::rows) {
      const auto keys = rows_of<rounded>(k, at.b, at.h, first, p.keys, p.width, seen);
      if (!keys.any()) continue;
      Scores<T> s, ds;
      scores(ds, g, grads, b, rows_of<rounded>(v, at.b, at.h, first, p.keys, p.width, seen));
      scores(s, a, queries, b, keys);
      TANDEM_UNROLLED
      for (int j = 0; j < each; ++j) {
        const std::int64_t key = first + threadIdx.x + 16 * j;
        const bool can_be_seen = key < p.keys && seen(key);
        TANDEM_UNROLLED
        for (int i = 0; i < each; ++i) {
          const bool visible =
              can_be_seen && takes_part[i] && (!p.causal || key <= at.first + threadIdx.y + 16 * i);
          ds[i][j] =
              visible ? p.scale * formula::exp(p.scale * s[i][j] - shift[i]) * (ds[i][j] - dot[i])
                      : T(0);
        }
      }
      store_weights<T, rounded>(w, ds);
      add_weighted<T>(result, w, b, keys, at.column, whole);
    }
    for (int i = 0; i < each; ++i) {  // 0·K is not 0 where K is not finite
      for (int c = 0; c < Tile<T>::columns; ++c) result[i][c] = takes_part[i] ? result[i][c] : T(0);
    }
    write_rows(dq, at, p.queries, p.width, result, Chosen{nullptr});
  }
}

/// dK and dV; rows of scores are keys, columns queries.
template <class T, bool rounded>
__global__ void __launch_bounds__(256, Tile<T>::blocks)
    attention_dkv_kernel(AttentionProblem<T> p, HeadView<const T> q, HeadView<const T> k,
                         HeadView<const T> v, HeadView<const T> dout, const T* lse, const T* dots,
                         HeadView<T> dk, HeadView<T> dv, std::int64_t count) {
  constexpr int each = Tile<T>::each;
  TANDEM_SHARED_BYTES(T, shared);
  T *const a = shared, *const g = a + Tile<T>::size, *const b = g + Tile<T>::size,
           *const w = b + Tile<T>::size;
  const bool whole = p.width <= Tile<T>::width;
  for (std::int64_t index = blockIdx.x; index < count; index += gridDim.x) {
    const Piece at(index, p.keys, Tile<T>::rows, p.width, p.heads);
    const std::int64_t head = (at.b * p.heads + at.h) * p.queries;
    const Attended<T> attended{lse + head};
    const Chosen seen{p.key_mask == nullptr ? nullptr : p.key_mask + at.b * p.keys};
    const auto keys = rows_of<rounded>(k, at.b, at.h, at.first, p.keys, p.width, seen),
               values = rows_of<rounded>(v, at.b, at.h, at.first, p.keys, p.width, seen);
    if (whole) {  // as above
      keys.load(a, 0);
      values.load(g, 0);
    }
    Result<T> key_result = {}, value_result = {};
    const std::int64_t begin = p.causal ? at.first : 0,  // tiles are of one size
        end = keys.any() ? p.queries : 0;
    for (std::int64_t first = begin; first < end; first += Tile<T>::rows) {
      const auto queries = rows_of<rounded>(q, at.b, at.h, first, p.queries, p.width, attended),
                 grads = rows_of<rounded>(dout, at.b, at.h, first, p.queries, p.width, attended);
      if (!queries.any()) continue;
      Scores<T> s, ds;
      scores(s, a, keys, b, queries);
      scores(ds, g, values, b, grads);
      TANDEM_UNROLLED
      for (int j = 0; j < each; ++j) {
        const std::int64_t query = first + threadIdx.x + 16 * j;
        const bool takes_part = query < p.queries && attended(query);
        const T shift = takes_part ? lse[head + query] : T(0),
                dot = takes_part ? dots[head + query] : T(0);
        TANDEM_UNROLLED
        for (int i = 0; i < each; ++i) {
          const std::int64_t key = at.first + threadIdx.y + 16 * i;
          const bool visible =
              takes_part && key < p.keys && seen(key) && (!p.causal || key <= query);
          s[i][j] = visible ? formula::exp(p.scale * s[i][j] - shift) : T(0);
          ds[i][j] = visible ? p.scale * s[i][j] * (ds[i][j] - dot) : T(0);
        }
      }
      store_weights<T, rounded>(w, s);
      add_weighted<T>(value_result, w, b, grads, at.column, whole);
      __syncthreads();  // w is read
      store_weights<T, rounded>(w, ds);
      add_weighted<T>(key_result, w, b, queries, at.column, false);
    }
    write_rows(dk, at, p.keys, p.width, key_result, Chosen{nullptr});
    write_rows(dv, at, p.keys, p.width, value_result, Chosen{nullptr});
  }
}

/// Of two kernels the one for this problem; double is never rounded.
template <class T, class F>
F chosen(const AttentionProblem<T>& p, F plain, F rounding) {
  return p.precision == tandem::Precision::bfloat16 ? rounding : plain;
}
template <class T>
inline constexpr bool may_round = std::is_same_v<T, float>;

template <class T>
void attention_forward(Queue& queue, const AttentionProblem<T>& p, const HeadView<const T>& q,
                       const HeadView<const T>& k, const HeadView<const T>& v,
                       const HeadView<T>& out, T* lse) {
  if constexpr (std::is_same_v<T, float>) {
    if (on_tensor_cores(p)) return mma_attention_forward(queue, p, q, k, v, out, lse);
  }
  const std::int64_t count = pieces(p, p.queries);
  launch("attention", chosen(p, attention_kernel<T, false>, attention_kernel<T, may_round<T>>),
         dim3(blocks_for(count, 1)), dim3(16, 16), Tile<T>::bytes(2), queue, p, q, k, v, out, lse,
         count);
}
template <class T>
void attention_backward(Queue& queue, const AttentionProblem<T>& p, const HeadView<const T>& q,
                        const HeadView<const T>& k, const HeadView<const T>& v,
                        const HeadView<const T>& out, const HeadView<const T>& dout, const T* lse,
                        const HeadView<T>& dq, const HeadView<T>& dk, const HeadView<T>& dv) {
  if constexpr (std::is_same_v<T, float>) {
    if (on_tensor_cores(p))
      return mma_attention_backward(queue, p, q, k, v, out, dout, lse, dq, dk, dv);
  }
  const std::int64_t rows = p.batch * p.heads * p.queries, of_queries = pieces(p, p.queries),
                     of_keys = pieces(p, p.keys);
  const Scratch<T> dots(queue, rows);
  launch("attention_dots", attention_dots_kernel<T>, dim3(blocks_for(rows, 8)), dim3(32, 8), 0,
         queue, p, out, dout, lse, dots.data());
  launch("attention_dq",
         chosen(p, attention_dq_kernel<T, false>, attention_dq_kernel<T, may_round<T>>),
         dim3(blocks_for(of_queries, 1)), dim3(16, 16), Tile<T>::bytes(3), queue, p, q, k, v, dout,
         lse, dots.data(), dq, of_queries);
  launch("attention_dkv",
         chosen(p, attention_dkv_kernel<T, false>, attention_dkv_kernel<T, may_round<T>>),
         dim3(blocks_for(of_keys, 1)), dim3(16, 16), Tile<T>::bytes(3), queue, p, q, k, v, dout,
         lse, dots.data(), dk, dv, of_keys);
}
TANDEM_KERNEL(attention_forward, float, double);
TANDEM_KERNEL(attention_backward, float, double);

}  // namespace tandem_kernels
