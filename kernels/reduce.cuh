#pragma once
/// Sums along rows and down columns in a fixed order, without atomics: the same bits every time.
///
/// Row<T, W, K> holds a row of n in the registers of a warp or of a block, K packs of W elements a
/// thread, so that memory is read once however often the row is walked; W = 0 leaves rows that are
/// too long in memory. columns() adds up what a function gives for each element of a matrix, down
/// its columns: slices of rows in parallel, then the slices in their order. Bound by memory.

#include "common.cuh"
#include "tandem/formula/number.hpp"

namespace tandem_kernels {

/// The threads that share a row: a warp (blocks of 32 × 4, a row for each warp), or a block.
template <bool block>
struct Team {
  static constexpr int most = block ? 512 : 128;  ///< threads of a block of such kernels
  /// The second number of the launch bounds where ptxas would rather spill doubles than take more
  /// than 64 registers: so many blocks leave a thread 128.
  static constexpr int least_of_double = 512 / most;
  static __device__ int rank() { return threadIdx.x; }
  static __device__ int size() { return block ? blockDim.x : 32; }
  static __device__ std::int64_t first_row() {
    return block ? std::int64_t{blockIdx.x} : std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  }
  static __device__ std::int64_t row_step() {
    return block ? std::int64_t{gridDim.x} : std::int64_t{gridDim.x} * blockDim.y;
  }
  template <class T>
  static __device__ T sum(T value, T* partial) {
    if constexpr (block) {
      return block_sum(value, partial);
    } else {
      return warp_sum(value);
    }
  }
  template <class T>
  static __device__ T max(T value, T* partial) {
    if constexpr (block) {
      return block_max(value, partial);
    } else {
      return warp_max(value);
    }
  }
};

/// A row in registers. n is a multiple of W.
template <class T, int W, int K>
struct Row {
  T value[K * W];

  __device__ void load(const T* from, std::int64_t n, int rank, int size) {
    TANDEM_UNROLLED
    for (int k = 0; k < K; ++k) {
      const std::int64_t pack = std::int64_t{k} * size + rank;
      if (pack * W < n) {
        const Pack<T, W> x = reinterpret_cast<const Pack<T, W>*>(from)[pack];
        TANDEM_UNROLLED
        for (int w = 0; w < W; ++w) value[k * W + w] = x.value[w];
      }
    }
  }
  /// Element i of the row, which is in this thread's `slot`.
  __device__ T get(std::int64_t, int slot) const { return value[slot]; }
  /// Calls f(i, slot) for the elements of this thread.
  template <class F>
  __device__ void each(std::int64_t n, int rank, int size, const F& f) const {
    TANDEM_UNROLLED
    for (int k = 0; k < K; ++k) {
      const std::int64_t begin = (std::int64_t{k} * size + rank) * W;
      if (begin < n) {
        TANDEM_UNROLLED
        for (int w = 0; w < W; ++w) f(begin + w, k * W + w);
      }
    }
  }
  /// to[i] = f(i, slot) for the elements of this thread.
  template <class F>
  __device__ void write(T* to, std::int64_t n, int rank, int size, const F& f) const {
    TANDEM_UNROLLED
    for (int k = 0; k < K; ++k) {
      const std::int64_t pack = std::int64_t{k} * size + rank;
      if (pack * W < n) {
        Pack<T, W> x;
        TANDEM_UNROLLED
        for (int w = 0; w < W; ++w) x.value[w] = f(pack * W + w, k * W + w);
        reinterpret_cast<Pack<T, W>*>(to)[pack] = x;
      }
    }
  }
};
/// The same for a row of any length: it stays in memory and is read again each time.
template <class T, int K>
struct Row<T, 0, K> {
  const T* value;
  __device__ void load(const T* from, std::int64_t, int, int) { value = from; }
  __device__ T get(std::int64_t i, int) const { return value[i]; }
  template <class F>
  __device__ void each(std::int64_t n, int rank, int size, const F& f) const {
    for (std::int64_t i = rank; i < n; i += size) f(i, 0);
  }
  template <class F>
  __device__ void write(T* to, std::int64_t n, int rank, int size, const F& f) const {
    for (std::int64_t i = rank; i < n; i += size) to[i] = f(i, 0);
  }
};

/// How a row kernel is started: W of its Row, whether a block or a warp has a row, and the grid.
struct RowPlan {
  int pack;
  bool block;
  dim3 grid, threads;
};
inline constexpr int row_packs = 4;  ///< K of the Row of all row kernels

/// The threads that have a row of n numbers together, as for_rows() hands them to a row kernel.
template <class T, int W, bool block>
class RowTeam {
 public:
  using Threads = Team<block>;
  using Held = Row<T, W, row_packs>;

  /// `partial`: 32 values of shared memory.
  __device__ RowTeam(std::int64_t n, T* partial)
      : n_(n), partial_(partial), rank_(Threads::rank()), size_(Threads::size()) {}
  /// Whether this is the thread that writes what there is once in a row.
  __device__ bool leads() const { return rank_ == 0; }
  /// Row r of a matrix (rows, n).
  __device__ Held load(const T* matrix, std::int64_t r) const {
    Held row;
    row.load(matrix + r * n_, n_, rank_, size_);
    return row;
  }
  /// Calls f(i, x…) for the elements of this thread, x… the element i of each of the rows.
  template <class F, class... More>
  __device__ void each(const F& f, const Held& row, const More&... more) const {
    row.each(n_, rank_, size_,
             [&](std::int64_t i, int slot) { f(i, row.get(i, slot), more.get(i, slot)...); });
  }
  /// Row r of matrix (rows, n): element i is f(i, x…).
  template <class F, class... More>
  __device__ void write(T* matrix, std::int64_t r, const F& f, const Held& row,
                        const More&... more) const {
    row.write(matrix + r * n_, n_, rank_, size_, [&](std::int64_t i, int slot) {
      return f(i, row.get(i, slot), more.get(i, slot)...);
    });
  }
  /// Of what each thread gives, the same in all of them.
  __device__ T sum(T value) const { return Threads::sum(value, partial_); }
  __device__ T max(T value) const { return Threads::max(value, partial_); }

  /// The largest element, NaN if one is; −∞ where there is none above.
  __device__ T top(const Held& row) const {
    T most = -INFINITY;
    each([&](std::int64_t, T x) { most = tandem::formula::max_nan(most, x); }, row);
    return max(most);
  }
  /// Σ e^(x − shift).
  __device__ T exponentials(const Held& row, T shift) const {
    T total = 0;
    each([&](std::int64_t, T x) { total += tandem::formula::exp(x - shift); }, row);
    return sum(total);
  }

 private:
  std::int64_t n_;
  T* partial_;
  int rank_, size_;
};

/// The shell of a row kernel with launch bounds Team<block>::most (softmax, logsumexp,
/// cross_entropy, log_odds, layer_norm, normalize): calls f(team, r) in the threads that have row
/// r, for each of the rows.
template <class T, int W, bool block, class F>
__device__ void for_rows(std::int64_t rows, std::int64_t n, const F& f) {
  TANDEM_SHARED(T, partial, 32);
  const RowTeam<T, W, block> team(n, partial);
  for (std::int64_t r = Team<block>::first_row(); r < rows; r += Team<block>::row_step())
    f(team, r);
}

/// `packs`: rows of n elements of T may be read 16 bytes at a time, if n is a multiple of that.
template <class T>
RowPlan plan_rows(std::int64_t rows, std::int64_t n, bool packs) {
  const int pack = packs && n % pack_size<T> == 0 ? pack_size<T> : 1;
  const std::int64_t each = row_packs * pack, threads = (n + 32 * each - 1) / (32 * each) * 32;
  if (threads <= 32) return {pack, false, dim3(blocks_for(rows, 4)), dim3(32, 4)};
  if (threads <= 512)
    return {pack, true, dim3(blocks_for(rows, 1)), dim3(static_cast<unsigned>(threads))};
  return {0, true, dim3(blocks_for(rows, 1)), dim3(512)};
}
/// Calls f with the template arguments <W, block> of the plan.
template <class T, class F>
void with_plan(const RowPlan& plan, const F& f) {
  if (plan.pack == 0) return f.template operator()<0, true>();
  if (plan.pack == 1)
    return plan.block ? f.template operator()<1, true>() : f.template operator()<1, false>();
  plan.block ? f.template operator()<pack_size<T>, true>()
             : f.template operator()<pack_size<T>, false>();
}

/// parts[slice, m, j] = Σ over the rows r of a slice of f(r, j)[m]. Block (32, 8): 32 columns;
/// eight rows at a time. f computes elements one by one, from arrays in any layout: a warp's loads
/// are of neighbouring columns, but not of 16 bytes.
template <class T, int M, class F>
__global__ void columns_kernel(F f, T* parts, std::int64_t rows, std::int64_t n,
                               std::int64_t slice_rows) {
  TANDEM_SHARED(T, sums, 256 * M);
  const std::int64_t column = std::int64_t{blockIdx.x} * 32 + threadIdx.x,
                     begin = blockIdx.y * slice_rows,
                     end = begin + slice_rows < rows ? begin + slice_rows : rows;
  T sum[M] = {};
  if (column < n) {
    for (std::int64_t row = begin + threadIdx.y; row < end; row += 8) {
      T x[M];
      f(row, column, x);
      for (int m = 0; m < M; ++m) sum[m] += x[m];
    }
  }
  for (int m = 0; m < M; ++m) sums[(m * 8 + threadIdx.y) * 32 + threadIdx.x] = sum[m];
  __syncthreads();
  if (threadIdx.y != 0 || column >= n) return;
  for (int m = 0; m < M; ++m) {
    for (int part = 1; part < 8; ++part) sum[m] += sums[(m * 8 + part) * 32 + threadIdx.x];
    parts[(std::int64_t{blockIdx.y} * M + m) * n + column] = sum[m];
  }
}

/// to[j] = Σ over the slices of parts[slice, j].
template <class T>
__global__ void add_slices_kernel(T* to, const T* parts, std::int64_t slices, std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t j = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; j < n; j += step) {
    T sum = parts[j];
    for (std::int64_t slice = 1; slice < slices; ++slice) sum += parts[slice * n + j];
    to[j] = sum;
  }
}

/// Queues to[m, j] = Σ over the rows of f(row, j)[m] for a matrix of n columns; to has M·n
/// elements. The number of slices depends on the sizes only.
template <class T, int M, class F>
void columns(Queue& queue, const F& f, T* to, std::int64_t rows, std::int64_t n) {
  if (n == 0) return;
  const std::int64_t across = (n + 31) / 32, wanted = (512 + across - 1) / across,
                     most = (rows + 63) / 64;
  const std::int64_t slices = wanted < most ? wanted : most > 0 ? most : 1;
  const std::int64_t slice_rows = (rows + slices - 1) / slices;
  const Scratch<T> parts(queue, slices > 1 ? slices * M * n : 0);
  T* const sums = slices > 1 ? parts.data() : to;
  launch("columns", columns_kernel<T, M, F>,
         dim3(static_cast<unsigned>(across), static_cast<unsigned>(slices)), dim3(32, 8), 0, queue,
         f, sums, rows, n, slice_rows);
  if (slices > 1) {
    launch("add_slices", add_slices_kernel<T>, dim3(blocks_for(M * n, 256)), dim3(256), 0, queue,
           to, sums, slices, M * n);
  }
}

}  // namespace tandem_kernels
