/// gather_crops — a batch of crops from rows that lie on the GPU: crop b has crops[2b + 1] rows,
/// from row crops[2b] of all, and zeros behind; valid says which rows are there. Both kinds of
/// features in one launch; a kind that is not wanted has no columns.
///
/// Reads the rows of the crops once and writes the batch once: bound by memory. 16 bytes a load
/// where rows are aligned to that.

#include "common.cuh"

namespace tandem_kernels {

/// Row `row` of y (…, packs) = row `from` of x; zeros where there is none.
template <class T, int W>
__device__ void gather_row(T* y, const T* x, std::int64_t row, std::int64_t from, bool there,
                           std::int64_t packs) {
  const auto* const source = reinterpret_cast<const Pack<T, W>*>(x) + from * packs;
  auto* const to = reinterpret_cast<Pack<T, W>*>(y) + row * packs;
  for (std::int64_t k = threadIdx.x; k < packs; k += blockDim.x) {
    Pack<T, W> v;
    if (there) {
      v = source[k];
    } else {
      for (int w = 0; w < W; ++w) v.value[w] = T(0);
    }
    to[k] = v;
  }
}

/// A row of the batch belongs to blockDim.x threads. With each, a pack has one element.
template <class T, int W>
__global__ void gather_crops_kernel(T* i3d, T* clip, bool* valid, const T* i3d_rows,
                                    const T* clip_rows, const std::int64_t* crops,
                                    std::int64_t rows, std::int64_t frames, std::int64_t i3d_packs,
                                    std::int64_t clip_packs) {
  const std::int64_t step = std::int64_t{blockDim.y} * gridDim.x;
  for (std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y; row < rows;
       row += step) {
    const std::int64_t b = row / frames, t = row - b * frames, from = crops[2 * b] + t;
    const bool there = t < crops[2 * b + 1];
    if (threadIdx.x == 0) valid[row] = there;
    gather_row<T, W>(i3d, i3d_rows, row, from, there, i3d_packs);
    gather_row<T, W>(clip, clip_rows, row, from, there, clip_packs);
  }
}

template <class T>
void gather_crops(Queue& queue, T* i3d, T* clip, bool* valid, const T* i3d_rows, const T* clip_rows,
                  const std::int64_t* crops, std::int64_t videos, std::int64_t frames,
                  std::int64_t i3d_columns, std::int64_t clip_columns) {
  constexpr int W = pack_size<T>;
  const bool packs =
      i3d_columns % W == 0 && clip_columns % W == 0 && aligned(i3d, clip, i3d_rows, clip_rows);
  const std::int64_t each = packs ? W : 1, i3d_packs = i3d_columns / each,
                     clip_packs = clip_columns / each, rows = videos * frames;
  unsigned across = 1;
  while (across < 256 && across < (i3d_packs > clip_packs ? i3d_packs : clip_packs)) across *= 2;
  const dim3 block(across, 256 / across), grid(blocks_for(rows, 256 / across));
  if (packs) {
    launch("gather_crops", gather_crops_kernel<T, W>, grid, block, 0, queue, i3d, clip, valid,
           i3d_rows, clip_rows, crops, rows, frames, i3d_packs, clip_packs);
  } else {
    launch("gather_crops", gather_crops_kernel<T, 1>, grid, block, 0, queue, i3d, clip, valid,
           i3d_rows, clip_rows, crops, rows, frames, i3d_packs, clip_packs);
  }
}
TANDEM_KERNEL(gather_crops, float, double);

}  // namespace tandem_kernels
