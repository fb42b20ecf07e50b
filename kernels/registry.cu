/// Puts every kernel into the tables of cuda/kernels.hpp while the program starts.

#include "registry.cuh"

namespace tandem_kernels {
namespace {

template <class T>
void fill() {
  tandem::cuda::Kernels<T>& table = tandem::cuda::kernels<T>();
  table.add = add<T>;
  table.column_sums = column_sums<T>;
  table.quick_gelu = quick_gelu<T>;
  table.quick_gelu_backward = quick_gelu_backward<T>;
  table.layer_norm = layer_norm<T>;
  table.layer_norm_backward = layer_norm_backward<T>;
  table.softmax = softmax<T>;
  table.softmax_backward = softmax_backward<T>;
  table.adam = adam<T>;
  table.gemm = gemm<T>;
}

const bool registered = [] {
  fill<float>();
  fill<double>();
  return true;
}();

}  // namespace
}  // namespace tandem_kernels
