#pragma once
/// The few cuBLAS calls that kernels/ use, on the CPU (tests/simt/cublas.cpp): column-major, leading
/// dimensions checked, executed in the order of their stream.

#include <cstdint>

#include "cuda_runtime.h"

enum cublasStatus_t {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_NOT_INITIALIZED = 1,
  CUBLAS_STATUS_INVALID_VALUE = 7,
};
enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
enum cublasMath_t { CUBLAS_PEDANTIC_MATH = 2 };
struct SimtBlas;
using cublasHandle_t = SimtBlas*;

cublasStatus_t cublasCreate(cublasHandle_t* handle);
cublasStatus_t cublasDestroy(cublasHandle_t handle);
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream);
cublasStatus_t cublasSgemmStridedBatched_64(cublasHandle_t handle, cublasOperation_t op_a,
                                            cublasOperation_t op_b, std::int64_t m, std::int64_t n,
                                            std::int64_t k, const float* alpha, const float* a,
                                            std::int64_t lda, std::int64_t stride_a, const float* b,
                                            std::int64_t ldb, std::int64_t stride_b,
                                            const float* beta, float* c, std::int64_t ldc,
                                            std::int64_t stride_c, std::int64_t batch);
cublasStatus_t cublasDgemmStridedBatched_64(cublasHandle_t handle, cublasOperation_t op_a,
                                            cublasOperation_t op_b, std::int64_t m, std::int64_t n,
                                            std::int64_t k, const double* alpha, const double* a,
                                            std::int64_t lda, std::int64_t stride_a,
                                            const double* b, std::int64_t ldb,
                                            std::int64_t stride_b, const double* beta, double* c,
                                            std::int64_t ldc, std::int64_t stride_c,
                                            std::int64_t batch);
