/// linear — C = op(A)·op(B) by cuBLAS, then, if there is anything else to do, one pass over C:
///   c += bias[j];  pre_activation[i, j] = c;  c = act(c);  c += residual[i, j]
/// and dz = dy·act′(z) for its backward. Products are float for every Precision
/// (cpu/precision.hpp).

#include "map.cuh"
#include "runtime.cuh"
#include "tandem/cpu/precision.hpp"
#include "tandem/formula/activation.hpp"

namespace tandem_kernels {

using tandem::Activation;
using tandem::cpu::Epilogue;
using tandem::cpu::Trans;

/// W neighbours of a row a thread; n, the leading dimensions and the pointers are multiples of W.
template <class T, int W>
__global__ void linear_epilogue_kernel(T* c, std::int64_t ldc, std::int64_t rows, std::int64_t n,
                                       Epilogue<T> e) {
  using P = Pack<T, W>;
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x, across = n / W;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < rows * across;
       i += step) {
    const std::int64_t row = i / across, column = i % across * W;
    P x = *reinterpret_cast<const P*>(c + row * ldc + column);
    if (e.bias != nullptr) {
      const P b = *reinterpret_cast<const P*>(e.bias + column);
      for (int w = 0; w < W; ++w) x.value[w] += b.value[w];
    }
    if (e.pre_activation != nullptr)
      *reinterpret_cast<P*>(e.pre_activation + row * e.ld_pre + column) = x;
    for (int w = 0; w < W; ++w) x.value[w] = tandem::formula::activate(e.activation, x.value[w]);
    if (e.residual != nullptr) {
      const P r = *reinterpret_cast<const P*>(e.residual + row * e.ld_residual + column);
      for (int w = 0; w < W; ++w) x.value[w] += r.value[w];
    }
    *reinterpret_cast<P*>(c + row * ldc + column) = x;
  }
}

template <class T>
void linear_product(Queue& queue, tandem::Precision, Trans ta, Trans tb, std::int64_t m,
                    std::int64_t n, std::int64_t k, const T* a, std::int64_t lda, const T* b,
                    std::int64_t ldb, T* c, std::int64_t ldc, const Epilogue<T>& epilogue) {
  gemm(queue, ta, tb, m, n, k, a, lda, 0, b, ldb, 0, c, ldc, 0, 1);
  if (epilogue.empty()) return;
  constexpr int W = pack_size<T>;
  const bool packs = aligned(c, epilogue.bias, epilogue.pre_activation, epilogue.residual) &&
                     n % W == 0 && ldc % W == 0 && epilogue.ld_pre % W == 0 &&
                     epilogue.ld_residual % W == 0;
  launch("linear_epilogue", packs ? linear_epilogue_kernel<T, W> : linear_epilogue_kernel<T, 1>,
         dim3(blocks_for(m * n, packs ? 256 * W : 256)), dim3(256), 0, queue, c, ldc, m, n,
         epilogue);
}
TANDEM_KERNEL(linear_product, float, double);

template <class T>
void activation_backward(Queue& queue, Activation activation, const T* z, const T* dy, T* dz,
                         std::int64_t n) {
  tandem::formula::with_activation_gradient(activation, [&]<class F>(const F& gradient) {
    map_dense<F, T, 2>(queue, gradient, dz, {dy, z}, n);
  });
}
TANDEM_KERNEL(activation_backward, float, double);

}  // namespace tandem_kernels
