/// sum_dims — to[o] = Σ of x over the summed dimensions, o a place in those that are kept,
/// row-major.
///
/// Where the last dimension is kept, neighbouring threads take neighbouring columns (columns() of
/// reduce.cuh); where it is summed, a block adds a slice of an output's elements, and the slices
/// are added in their order. Reads x once: bound by memory.

#include "map.cuh"
#include "reduce.cuh"
#include "runtime.cuh"

namespace tandem_kernels {

/// Element (row, column) of a matrix whose rows run over the summed dimensions and whose columns
/// over the kept ones.
template <class T, bool wide>
struct Summand {
  using Index = typename Places<1, wide>::Index;
  const T* x;
  Places<1, wide> rows, columns;
  __device__ T at(std::int64_t row, std::int64_t column) const {
    std::int64_t r[1], c[1];
    rows.find(static_cast<Index>(row), r);
    columns.find(static_cast<Index>(column), c);
    return x[r[0] + c[0]];
  }
  __device__ void operator()(std::int64_t row, std::int64_t column, T (&out)[1]) const {
    out[0] = at(row, column);
  }
};

/// parts[slice, o] = Σ over the elements i of a slice.
template <class T, bool wide>
__global__ void sum_rows_kernel(T* parts, Summand<T, wide> x, std::int64_t count,
                                std::int64_t outputs, std::int64_t slice_count) {
  TANDEM_SHARED(T, partial, 32);
  const std::int64_t begin = blockIdx.y * slice_count,
                     end = begin + slice_count < count ? begin + slice_count : count;
  for (std::int64_t o = blockIdx.x; o < outputs; o += gridDim.x) {
    T sum = 0;
    for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) sum += x.at(i, o);
    sum = block_sum(sum, partial);
    if (threadIdx.x == 0) parts[std::int64_t{blockIdx.y} * outputs + o] = sum;
  }
}

/// The sums of `count` elements for each of `outputs`; `rows`: neighbours are summed.
template <class T, bool wide>
void sum_all(Queue& queue, const Summand<T, wide>& x, T* to, std::int64_t count,
             std::int64_t outputs, bool rows) {
  if (!rows) return columns<T, 1>(queue, x, to, count, outputs);
  const std::int64_t wanted = outputs < 512 ? (512 + outputs - 1) / outputs : 1,
                     most = (count + 4095) / 4096;
  const std::int64_t slices = wanted < most ? wanted : most,
                     slice_count = (count + slices - 1) / slices;
  const Scratch<T> parts(queue, slices > 1 ? slices * outputs : 0);
  T* const sums = slices > 1 ? parts.data() : to;
  launch("sum_rows", sum_rows_kernel<T, wide>,
         dim3(blocks_for(outputs, 1), static_cast<unsigned>(slices)), dim3(count > 128 ? 256 : 32),
         0, queue, sums, x, count, outputs, slice_count);
  if (slices > 1) {
    launch("add_slices", add_slices_kernel<T>, dim3(blocks_for(outputs, 256)), dim3(256), 0, queue,
           to, sums, slices, outputs);
  }
}

template <class T>
void sum_dims(Queue& queue, const tandem::Shape& shape, const T* x, const tandem::Strides& strides,
              unsigned summed, T* to) {
  tandem::Shape sizes[2];  // of the kept and of the summed dimensions
  tandem::Strides steps[2];
  bool rows = false;
  for (int d = 0; d < shape.rank(); ++d) {
    const int which = (summed >> d & 1u) != 0 ? 1 : 0;
    sizes[which].push_back(shape[d]);
    steps[which].push_back(strides[d]);
    if (shape[d] > 1) rows = which == 1;
  }
  const std::int64_t outputs = sizes[0].numel(), count = sizes[1].numel();
  if (outputs == 0) return;
  if (count == 0) return fill(queue, to, sizeof(T), 0, outputs);
  const auto kept = tandem::detail::make_loop<1>(sizes[0], {steps[0]}),
             inner = tandem::detail::make_loop<1>(sizes[1], {steps[1]});
  if (outputs < narrow_below() && count < narrow_below()) {
    sum_all<T, false>(queue, {x, Places<1, false>(inner), Places<1, false>(kept)}, to, count,
                      outputs, rows);
  } else {
    sum_all<T, true>(queue, {x, Places<1, true>(inner), Places<1, true>(kept)}, to, count, outputs,
                     rows);
  }
}
TANDEM_KERNEL(sum_dims, float, double);

}  // namespace tandem_kernels
