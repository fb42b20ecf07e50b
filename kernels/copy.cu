/// copy — to[i] = from[i] between two layouts of one shape, for elements of 1, 2, 4 or 8 bytes,
/// whose values are not looked at. Serves contiguous(), permuted and expanded tensors, slices of a
/// gradient; fill — to[i] = a value. Reads and writes every element once: bound by memory.

#include "map.cuh"
#include "runtime.cuh"

namespace tandem_kernels {

struct Same {
  template <class U>
  __device__ U operator()(U x) const {
    return x;
  }
};

/// U has the size of the elements.
template <class U>
void copy_elements(Queue& queue, const tandem::StridedCopy& copy) {
  tandem::detail::Loop<2> loop;
  loop.rows = 1;
  for (int d = 0; d + 1 < copy.rank; ++d) {
    loop.shape.push_back(copy.sizes[d]);
    loop.strides[0].push_back(copy.to_strides[d]);
    loop.strides[1].push_back(copy.from_strides[d]);
    loop.rows *= copy.sizes[d];
  }
  loop.inner = copy.sizes[copy.rank - 1];
  loop.inner_strides[0] = copy.to_strides[copy.rank - 1];
  loop.inner_strides[1] = copy.from_strides[copy.rank - 1];
  map_on_gpu<Same, U, 1>(queue, Same(),
                         {static_cast<U*>(copy.to), {static_cast<const U*>(copy.from)}, loop});
}

/// W elements a thread; what is left over of n one by one.
template <class U, int W>
__global__ void fill_kernel(U* to, U value, std::int64_t n) {
  const std::int64_t first = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x,
                     step = std::int64_t{blockDim.x} * gridDim.x, packs = n / W;
  Pack<U, W> values;
  TANDEM_UNROLLED
  for (int w = 0; w < W; ++w) values.value[w] = value;
  for (std::int64_t i = first; i < packs; i += step) reinterpret_cast<Pack<U, W>*>(to)[i] = values;
  for (std::int64_t i = packs * W + first; i < n; i += step) to[i] = value;
}

namespace {

/// Calls f(U()) for the unsigned type of so many bytes.
template <class F>
void with_bits(std::int64_t bytes, F&& f) {
  switch (bytes) {
    case 1:
      return f(std::uint8_t());
    case 2:
      return f(std::uint16_t());
    case 4:
      return f(std::uint32_t());
    case 8:
      return f(std::uint64_t());
    default:
      tandem::fail("copy", "elements of ", bytes, " bytes cannot be copied on a device");
  }
}

}  // namespace

void copy_strided(Queue& queue, const tandem::StridedCopy& copy) {
  with_bits(copy.element_bytes, [&]<class U>(U) { copy_elements<U>(queue, copy); });
}
void fill(Queue& queue, void* to, std::int64_t element_bytes, std::uint64_t bits, std::int64_t n) {
  with_bits(element_bytes, [&]<class U>(U) {
    const auto start = [&]<int W>() {
      launch("fill", fill_kernel<U, W>, dim3(blocks_for((n + W - 1) / W, 256)), dim3(256), 0, queue,
             static_cast<U*>(to), static_cast<U>(bits), n);
    };
    aligned(static_cast<U*>(to)) ? start.template operator()<pack_size<U>>()
                                 : start.template operator()<1>();
  });
}

}  // namespace tandem_kernels
