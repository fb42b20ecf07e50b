#pragma once
/// Sorting of up to any number of entries (a key and its place) by one block: a bitonic network, in
/// shared memory where they fit. The order is total, so the result does not depend on how it was
/// reached.  [Batcher 1968, "Sorting networks and their applications"]

#include "common.cuh"

namespace tandem_kernels {

/// Which entry comes first: the larger (or smaller) key, NaN above all numbers; of equal ones the
/// lower place. Places from n on come last, in their order, whatever their keys.
template <class T, class Index>
__device__ bool comes_before(T a, Index i, T b, Index j, Index n, bool largest) {
  if (i >= n || j >= n) return i < j;
  const bool less = a < b || (b != b && a == a), more = b < a || (a != a && b == b);
  if (less == more) return i < j;
  return largest ? more : less;
}

/// Sorts `count` entries, a power of two, that all threads of the block have written before a
/// barrier.
template <class T, class Index>
__device__ void sort_entries(T* keys, Index* places, std::int64_t count, Index n, bool largest) {
  for (std::int64_t size = 2; size <= count; size *= 2) {
    for (std::int64_t stride = size / 2; stride > 0; stride /= 2) {
      for (std::int64_t t = threadIdx.x; t < count / 2; t += blockDim.x) {
        const std::int64_t rest = t & (stride - 1), i = 2 * (t - rest) + rest, j = i + stride;
        const bool rising = (i & size) == 0;
        const T a = keys[i], b = keys[j];
        const Index p = places[i], q = places[j];
        if (comes_before(b, q, a, p, n, largest) == rising) {
          keys[i] = b;
          keys[j] = a;
          places[i] = q;
          places[j] = p;
        }
      }
      __syncthreads();
    }
  }
}

/// How columns of n entries are sorted: by a block each, in shared memory or in scratch memory of
/// the grid's blocks.
struct SortPlan {
  std::int64_t count;  ///< n, up to a power of two
  bool shared;
  dim3 grid, threads;

  SortPlan(std::int64_t n, std::int64_t columns) : count(1) {
    while (count < n) count *= 2;
    shared = count <= 4096;
    grid = dim3(shared ? blocks_for(columns, 1) : blocks_for(columns, 1, 256));
    const std::int64_t pairs = count / 2;
    threads = dim3(static_cast<unsigned>(pairs < 32 ? 32 : pairs < 512 ? pairs : 512));
  }
  /// Bytes of shared memory for keys of T and places of int.
  template <class T>
  std::size_t shared_bytes() const {
    return shared ? static_cast<std::size_t>(count) * (sizeof(T) + sizeof(int)) : 0;
  }
  /// Entries of scratch memory.
  std::int64_t scratch() const { return shared ? 0 : count * grid.x; }
};

/// Where a block's entries are: in its shared memory, or in its part of the scratch memory.
template <class T, bool in_shared>
struct Entries;
template <class T>
struct Entries<T, true> {
  using Index = int;
  T* keys;
  int* places;
  __device__ Entries(T* shared, T*, std::int64_t*, std::int64_t count)
      : keys(shared), places(reinterpret_cast<int*>(shared + count)) {}
};
template <class T>
struct Entries<T, false> {
  using Index = std::int64_t;
  T* keys;
  std::int64_t* places;
  __device__ Entries(T*, T* scratch, std::int64_t* scratch_places, std::int64_t count)
      : keys(scratch + blockIdx.x * count), places(scratch_places + blockIdx.x * count) {}
};

}  // namespace tandem_kernels
