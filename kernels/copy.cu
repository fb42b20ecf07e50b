/// copy — to[i] = from[i] between two layouts of one shape, for elements of 1, 2, 4 or 8 bytes.
/// Serves contiguous(), permuted and expanded tensors, slices of a gradient, and fill_.

#include "registry.cuh"

#include "common.cuh"

namespace tandem_kernels {

/// U has the size of the elements; their values are not looked at.
template <class U>
__global__ void copy_kernel(tandem::StridedCopy copy) {
  U* to = static_cast<U*>(copy.to);
  const U* from = static_cast<const U*>(copy.from);
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < copy.numel; i += step) {
    std::int64_t rest = i, to_at = 0, from_at = 0;
    for (int d = copy.rank - 1; d >= 0; --d) {
      const std::int64_t index = rest % copy.sizes[d];
      rest /= copy.sizes[d];
      to_at += index * copy.to_strides[d];
      from_at += index * copy.from_strides[d];
    }
    to[to_at] = from[from_at];
  }
}

void copy_strided(Stream stream, const tandem::StridedCopy& copy) {
  const dim3 grid(blocks_for(copy.numel, 256)), block(256);
  switch (copy.element_bytes) {
    case 1:
      return tandem::cuda::launch(copy_kernel<std::uint8_t>, grid, block, 0, stream, copy);
    case 2:
      return tandem::cuda::launch(copy_kernel<std::uint16_t>, grid, block, 0, stream, copy);
    case 4:
      return tandem::cuda::launch(copy_kernel<std::uint32_t>, grid, block, 0, stream, copy);
    case 8:
      return tandem::cuda::launch(copy_kernel<std::uint64_t>, grid, block, 0, stream, copy);
    default:
      tandem::fail("copy", "elements of ", copy.element_bytes, " bytes cannot be copied on a device");
  }
}

}  // namespace tandem_kernels
