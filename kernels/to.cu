/// to — elements of one type as another, as the CPU converts them (tensor/copy.hpp). Reads and
/// writes each once: bound by memory.

#include "common.cuh"
#include "tandem/tensor/copy.hpp"

namespace tandem_kernels {

template <class Out, class In>
__global__ void convert_kernel(Out* to, const In* from, std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step)
    to[i] = tandem::detail::convert_element<Out>(from[i]);
}
template <class Out, class In>
void convert_elements(Queue& queue, Out* to, const In* from, std::int64_t n) {
  launch("convert", convert_kernel<Out, In>, dim3(blocks_for(n, 256)), dim3(256), 0, queue, to,
         from, n);
}

namespace {
template <class Out, class In>
bool register_conversion() {
  if constexpr (!std::is_same_v<Out, In>)
    return tandem::detail::register_kernel<&convert_elements<Out, In>>("convert_elements");
  return true;
}
/// From each of the types to each other one.
template <class... T>
bool register_conversions(Types<T...>) {
  const auto to = []<class Out>(Out) { return (register_conversion<Out, T>() && ...); };
  return (to(T()) && ...);
}
[[maybe_unused]] const bool registered = register_conversions(
    Types<float, double, tandem::bfloat16, std::int64_t, std::int32_t, std::uint8_t, bool>());
}  // namespace

}  // namespace tandem_kernels
