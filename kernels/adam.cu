/// adam — one update of many tensors in few launches; the formula is in optim/adam.hpp.
/// The list of tensors travels by value in the kernel's arguments (4 KiB at most), so no copy to the
/// device and no synchronization is needed. blockIdx.y is the tensor, blockIdx.x strides over it.

#include "common.cuh"

namespace tandem_kernels {

template <class T>
struct AdamList {
  static constexpr int capacity = 64;
  tandem::cuda::AdamTensor<T> tensor[capacity];
};

template <class T>
__global__ void adam_kernel(AdamList<T> list, tandem::cuda::AdamNumbers<T> s) {
  const tandem::cuda::AdamTensor<T> t = list.tensor[blockIdx.y];
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < t.size; i += step) {
    T theta = t.parameter[i] * s.shrink;
    const T g = t.gradient[i] + s.decay * theta;
    const T m = s.beta1 * t.first[i] + (T(1) - s.beta1) * g;
    const T v = s.beta2 * t.second[i] + (T(1) - s.beta2) * (g * g);
    theta -= s.rate * (m / (sqrt(v) * s.root_scale + s.epsilon));
    t.parameter[i] = theta;
    t.first[i] = m;
    t.second[i] = v;
  }
}

template <class T>
void adam(tandem::cuda::Stream stream, const tandem::cuda::AdamTensor<T>* tensors, std::int64_t count,
          const tandem::cuda::AdamNumbers<T>& numbers) {
  for (std::int64_t first = 0; first < count; first += AdamList<T>::capacity) {
    AdamList<T> list = {};
    std::int64_t longest = 0, taken = 0;
    for (; taken < AdamList<T>::capacity && first + taken < count; ++taken) {
      list.tensor[taken] = tensors[first + taken];
      longest = list.tensor[taken].size > longest ? list.tensor[taken].size : longest;
    }
    tandem::cuda::launch(adam_kernel<T>,
                         dim3(blocks_for(longest, 256, 1024), static_cast<unsigned>(taken)), dim3(256), 0,
                         stream, list, numbers);
  }
}

template void adam<float>(tandem::cuda::Stream, const tandem::cuda::AdamTensor<float>*, std::int64_t,
                          const tandem::cuda::AdamNumbers<float>&);
template void adam<double>(tandem::cuda::Stream, const tandem::cuda::AdamTensor<double>*, std::int64_t,
                           const tandem::cuda::AdamNumbers<double>&);

}  // namespace tandem_kernels
