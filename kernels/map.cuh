#pragma once
/// map — out[i] = f(in[i]…) for a formula f (include/tandem/formula), over dense or strided
/// operands.
///
/// Dense operands are read and written 16 bytes at a time where they are aligned; others find their
/// place by dividing the index by the sizes, by multiplication in 32 bits where the loop has fewer
/// than 2³¹ elements. bfloat16 is computed in float. Reads and writes every operand once: bound by
/// memory.

#include "common.cuh"
#include "tandem/tensor/loop.hpp"

namespace tandem_kernels {

using tandem::MapOperands;
using tandem::cuda::map_name;
using tandem::detail::compute_t;

/// n / d and n % d for 0 ≤ n < 2³¹ by a multiplication.          [Warren, Hacker's Delight, ch. 10]
struct Divider {
  std::uint32_t d = 1, factor = 1, shift = 0, unused = 0;  // 16 bytes, read together

  Divider() = default;
  explicit Divider(std::uint32_t divisor) : d(divisor) {
    while ((std::uint64_t{1} << shift) < d) ++shift;
    factor = static_cast<std::uint32_t>(((((std::uint64_t{1} << shift) - d) << 32) / d) + 1);
  }
  __device__ std::uint32_t divide(std::uint32_t n) const {
    return static_cast<std::uint32_t>(((std::uint64_t{n} * factor >> 32) + n) >> shift);
  }
};
/// The same for any 64-bit index, by division.
struct WideDivider {
  std::int64_t d = 1;
  WideDivider() = default;
  explicit WideDivider(std::int64_t divisor) : d(divisor) {}
  __device__ std::int64_t divide(std::int64_t n) const { return n / d; }
};

/// Where element i of a loop over N operands lies in each of them.
template <int N, bool wide>
struct Places {
  using Index = std::conditional_t<wide, std::int64_t, std::uint32_t>;
  using Division = std::conditional_t<wide, WideDivider, Divider>;
  static constexpr int most = tandem::Shape::max_rank + 1;
  std::int64_t rank;  // of 64 bits, so that there are no bytes in between
  Division sizes[most];
  std::int64_t strides[N][most] = {};

  explicit Places(const tandem::detail::Loop<N>& loop) : rank(loop.shape.rank() + 1) {
    for (int d = 0; d < static_cast<int>(rank); ++d) {
      const bool inner = d + 1 == rank;
      sizes[d] = Division(static_cast<Index>(inner ? loop.inner : loop.shape[d]));
      for (int k = 0; k < N; ++k)
        strides[k][d] = inner ? loop.inner_strides[k] : loop.strides[k][d];
    }
  }
  __device__ void find(Index i, std::int64_t (&at)[N]) const {
    for (int k = 0; k < N; ++k) at[k] = 0;
    for (int d = static_cast<int>(rank) - 1; d >= 0; --d) {
      const Index next = sizes[d].divide(i), here = i - next * sizes[d].d;
      for (int k = 0; k < N; ++k) at[k] += static_cast<std::int64_t>(here) * strides[k][d];
      i = next;
    }
  }
};

template <class T, int N>
struct Inputs {
  const T* pointer[N];
};

/// f of N numbers.
template <class T, class F, int N>
__device__ T apply(const F& f, const T (&x)[N]) {
  using C = compute_t<T>;
  if constexpr (N == 1) {
    return T(f(C(x[0])));
  } else if constexpr (N == 2) {
    return T(f(C(x[0]), C(x[1])));
  } else {
    return T(f(C(x[0]), C(x[1]), C(x[2])));
  }
}

/// W elements a thread; what is left over of n one by one.
template <class F, class T, int N, int W>
__global__ void map_dense_kernel(F f, T* out, Inputs<T, N> in, std::int64_t n) {
  const std::int64_t first = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x,
                     step = std::int64_t{blockDim.x} * gridDim.x, packs = n / W;
  for (std::int64_t i = first; i < packs; i += step) {
    Pack<T, W> x[N], y;
    for (int k = 0; k < N; ++k) x[k] = reinterpret_cast<const Pack<T, W>*>(in.pointer[k])[i];
    for (int w = 0; w < W; ++w) {
      T one[N];
      for (int k = 0; k < N; ++k) one[k] = x[k].value[w];
      y.value[w] = apply<T>(f, one);
    }
    reinterpret_cast<Pack<T, W>*>(out)[i] = y;
  }
  for (std::int64_t i = packs * W + first; i < n; i += step) {
    T one[N];
    for (int k = 0; k < N; ++k) one[k] = in.pointer[k][i];
    out[i] = apply<T>(f, one);
  }
}

template <class F, class T, int N, bool wide>
__global__ void map_strided_kernel(F f, T* out, Inputs<T, N> in, Places<N + 1, wide> places,
                                   std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    std::int64_t at[N + 1];
    places.find(static_cast<typename Places<N + 1, wide>::Index>(i), at);
    T one[N];
    for (int k = 0; k < N; ++k) one[k] = in.pointer[k][at[k + 1]];
    out[at[0]] = apply<T>(f, one);
  }
}

/// Queues out[i] = f(in[i]…) for n dense elements.
template <class F, class T, int N>
void map_dense(const Queue& queue, const F& f, T* out, const T* const (&in)[N], std::int64_t n) {
  Inputs<T, N> inputs;
  bool packs = aligned(out);
  for (int k = 0; k < N; ++k) {
    inputs.pointer[k] = in[k];
    packs = packs && aligned(in[k]);
  }
  if (packs) {
    constexpr int W = pack_size<T>;
    launch(map_name<F>(), map_dense_kernel<F, T, N, W>, dim3(blocks_for((n + W - 1) / W, 256)),
           dim3(256), 0, queue, f, out, inputs, n);
  } else {
    launch(map_name<F>(), map_dense_kernel<F, T, N, 1>, dim3(blocks_for(n, 256)), dim3(256), 0,
           queue, f, out, inputs, n);
  }
}

template <class F, class T, int N>
void map_on_gpu(Queue& queue, const F& f, const MapOperands<T, N>& operands) {
  const auto& loop = operands.loop;
  const std::int64_t n = loop.numel();
  bool dense = loop.rows == 1;
  for (int k = 0; k <= N; ++k) dense = dense && loop.inner_strides[k] == 1;
  if (n == 0) return;
  if (dense) return map_dense<F, T, N>(queue, f, operands.out, operands.in, n);
  Inputs<T, N> inputs;
  for (int k = 0; k < N; ++k) inputs.pointer[k] = operands.in[k];
  const dim3 grid(blocks_for(n, 256)), block(256);
  if (n < narrow_below()) {
    launch(map_name<F>(), map_strided_kernel<F, T, N, false>, grid, block, 0, queue, f,
           operands.out, inputs, Places<N + 1, false>(loop), n);
  } else {
    launch(map_name<F>(), map_strided_kernel<F, T, N, true>, grid, block, 0, queue, f, operands.out,
           inputs, Places<N + 1, true>(loop), n);
  }
}

/// Registers the formulas, on N operands each, for float, double and bfloat16; as they are, or as
/// templates over what they are computed in.
template <int N, class... F>
bool register_maps() {
  return ((tandem::detail::register_kernel<&map_on_gpu<F, float, N>>("map") &&
           tandem::detail::register_kernel<&map_on_gpu<F, double, N>>("map") &&
           tandem::detail::register_kernel<&map_on_gpu<F, tandem::bfloat16, N>>("map")) &&
          ...);
}
/// The same for the integers.
template <int N, class... F>
bool register_integer_maps() {
  return ((tandem::detail::register_kernel<&map_on_gpu<F, std::int64_t, N>>("map") &&
           tandem::detail::register_kernel<&map_on_gpu<F, std::int32_t, N>>("map") &&
           tandem::detail::register_kernel<&map_on_gpu<F, std::uint8_t, N>>("map")) &&
          ...);
}
template <int N, template <class> class... F>
bool register_integer_map_templates() {
  return ((tandem::detail::register_kernel<&map_on_gpu<F<std::int64_t>, std::int64_t, N>>("map") &&
           tandem::detail::register_kernel<&map_on_gpu<F<std::int32_t>, std::int32_t, N>>("map") &&
           tandem::detail::register_kernel<&map_on_gpu<F<std::uint8_t>, std::uint8_t, N>>("map")) &&
          ...);
}
template <int N, template <class> class... F>
bool register_map_templates() {
  return ((tandem::detail::register_kernel<&map_on_gpu<F<float>, float, N>>("map") &&
           tandem::detail::register_kernel<&map_on_gpu<F<double>, double, N>>("map") &&
           tandem::detail::register_kernel<&map_on_gpu<F<float>, tandem::bfloat16, N>>("map")) &&
          ...);
}

}  // namespace tandem_kernels
