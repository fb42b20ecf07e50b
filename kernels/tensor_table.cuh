#pragma once
/// TensorTable — many tensors for one kernel, without a copy to the device and without waiting: a
/// list of them travels by value among the kernel's arguments, of which CUDA takes 4 KiB.
///
/// The tensors are cut into chunks of `chunk_size` elements; a block takes every gridDim.x-th
/// chunk. Item is whatever a kernel has to know of a tensor, `size` elements among it.

#include "common.cuh"

namespace tandem_kernels {

template <class Item, std::int64_t chunk_size>
struct TensorTable {
  static constexpr std::int64_t chunk = chunk_size;
  /// What is left of 4 KiB is for the other arguments.
  static constexpr int capacity =
      static_cast<int>(3840 / static_cast<std::int64_t>(sizeof(Item) + sizeof(std::int64_t)));
  Item tensor[capacity];
  std::int64_t chunks_before[capacity + 1];
  std::int64_t count;

  __device__ std::int64_t chunks() const { return chunks_before[count]; }
  /// The tensor of chunk c, of which the chunk is the elements [begin, end).
  __device__ const Item& find(std::int64_t c, std::int64_t& begin, std::int64_t& end) const {
    int which = 0;
    while (chunks_before[which + 1] <= c) ++which;
    const Item& t = tensor[which];
    begin = (c - chunks_before[which]) * chunk;
    end = begin + chunk < t.size ? begin + chunk : t.size;
    return t;
  }
};

/// The array as packs of W elements.
template <int W, class T>
__device__ auto packs_of(T* array) {
  using U = Pack<std::remove_const_t<T>, W>;
  return reinterpret_cast<std::conditional_t<std::is_const_v<T>, const U*, U*>>(array);
}
/// The elements [begin, end) of a chunk by the threads of a block: f.operator()<W>(i) for the packs
/// i of 16 bytes, where all arrays begin at a multiple of that (chunks then do, too), and
/// f.operator()<1>(i) for the elements that are left.
template <class T, class F, class... P>
__device__ void each_pack(std::int64_t begin, std::int64_t end, const F& f, const P*... arrays) {
  constexpr int W = pack_size<T>;
  if (((reinterpret_cast<std::uintptr_t>(arrays) % 16 == 0) && ...)) {
    for (std::int64_t i = begin / W + threadIdx.x; i < end / W; i += blockDim.x)
      f.template operator()<W>(i);
    begin = end / W * W;
  }
  for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) f.template operator()<1>(i);
}

/// Calls start(table, chunks) for as many tables as hold all tensors that have elements.
template <class Table, class Item, class F>
void for_each_table(const Item* tensors, std::int64_t count, const F& start) {
  for (std::int64_t at = 0; at < count;) {
    Table table = {};
    for (; table.count < Table::capacity && at < count; ++at) {
      if (tensors[at].size == 0) continue;
      table.tensor[table.count] = tensors[at];
      table.chunks_before[table.count + 1] =
          table.chunks_before[table.count] + (tensors[at].size + Table::chunk - 1) / Table::chunk;
      ++table.count;
    }
    start(table, table.chunks_before[table.count]);
  }
}

}  // namespace tandem_kernels
