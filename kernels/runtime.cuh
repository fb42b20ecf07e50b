#pragma once
/// What runtime.cu offers to the launchers: cuBLAS handles.

#include <cublas_v2.h>

#include "common.cuh"

namespace tandem_kernels {

/// Throws when a cuBLAS call failed.
inline void check_blas(cublasStatus_t status, const char* what) {
  TANDEM_CHECK(status == CUBLAS_STATUS_SUCCESS, "cublas", what, " failed with status ",
               static_cast<int>(status));
}

/// This thread's cuBLAS handle for the stream's device, set to the stream.
cublasHandle_t blas_handle(tandem::cuda::Stream stream);

}  // namespace tandem_kernels
