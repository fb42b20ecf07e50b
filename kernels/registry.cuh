#pragma once
/// The launchers, one per kernel file; what they take is written in cuda/kernels.hpp.

#include "tandem/cuda/kernels.hpp"

namespace tandem_kernels {

using tandem::cuda::Stream;

template <class T>
void add(Stream, T*, const T*, const T*, std::int64_t);
/// For the device interface of tensor/device.hpp.
void copy_strided(Stream, const tandem::StridedCopy&);
template <class T>
void column_sums(Stream, T*, const T*, std::int64_t, std::int64_t);
template <class T>
void quick_gelu(Stream, T*, const T*, std::int64_t);
template <class T>
void quick_gelu_backward(Stream, T*, const T*, const T*, std::int64_t);
template <class T>
void layer_norm(Stream, T*, T*, T*, const T*, const T*, const T*, std::int64_t, std::int64_t, T);
template <class T>
void layer_norm_backward(Stream, T*, T*, T*, const T*, const T*, const T*, const T*, const T*,
                         std::int64_t, std::int64_t);
template <class T>
void softmax(Stream, T*, const T*, std::int64_t, std::int64_t);
template <class T>
void softmax_backward(Stream, T*, const T*, const T*, std::int64_t, std::int64_t);
template <class T>
void adam(Stream, const tandem::cuda::AdamTensor<T>*, std::int64_t,
          const tandem::cuda::AdamNumbers<T>&);
template <class T>
void gemm(Stream, bool, bool, std::int64_t, std::int64_t, std::int64_t, T, const T*, std::int64_t,
          std::int64_t, const T*, std::int64_t, std::int64_t, T, T*, std::int64_t, std::int64_t,
          std::int64_t);

}  // namespace tandem_kernels
