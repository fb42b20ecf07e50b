#include "cuda/cublas_v2.h"
#include "simt_check.hpp"

using namespace simt_check;

namespace {

class Blas {
 public:
  Blas() { REQUIRE(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS); }
  ~Blas() { (void)cublasDestroy(handle); }
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;
  cublasHandle_t handle = nullptr;
};

constexpr double nan_value = __builtin_nan("");

}  // namespace

TEST_CASE("gemm is column-major: a product worked out by hand") {
  // A = [1 3 5; 2 4 6] by columns, B = [1 4; 2 5; 3 6] by columns: A·B = [22 49; 28 64].
  const Buffer<double> a({1, 2, 3, 4, 5, 6}), b({1, 2, 3, 4, 5, 6});
  // Leading dimension 3: one row of padding
  const Buffer<double> c(std::vector<double>(6, nan_value));
  const Blas blas;
  const double alpha = 1, zero = 0, two = 2;
  const auto run = [&](cublasOperation_t op_a, std::int64_t lda, const double* beta) {
    return cublasDgemmStridedBatched_64(blas.handle, op_a, CUBLAS_OP_N, 2, 2, 3, &alpha, a.data,
                                        lda, 0, b.data, 3, 0, beta, c.data, 3, 0, 1);
  };
  REQUIRE(run(CUBLAS_OP_N, 2, &zero) == CUBLAS_STATUS_SUCCESS);
  const std::vector<double> values = c.values();
  CHECK(values[0] == 22);
  CHECK(values[1] == 28);
  CHECK(values[2] != values[2]);  // the padding is not touched
  CHECK(values[3] == 49);
  CHECK(values[4] == 64);
  REQUIRE(run(CUBLAS_OP_N, 2, &two) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.values()[0] == 66);
  // Aᵀ: A is 3 × 2 by columns, so its transpose is [1 2 3; 4 5 6].
  REQUIRE(run(CUBLAS_OP_T, 3, &zero) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.values()[0] == 14);
  CHECK(c.values()[1] == 32);
}

TEST_CASE("gemm refuses leading dimensions that are too small, and results that overlap") {
  const Buffer<float> x(std::vector<float>(64, 1)), c(std::vector<float>(64, 0));
  const Blas blas;
  const float one = 1, zero = 0;
  const auto run = [&](cublasOperation_t op_a, cublasOperation_t op_b, std::int64_t lda,
                       std::int64_t ldb, std::int64_t ldc, std::int64_t stride_c,
                       std::int64_t batch) {
    return cublasSgemmStridedBatched_64(blas.handle, op_a, op_b, 2, 3, 4, &one, x.data, lda, 8,
                                        x.data, ldb, 12, &zero, c.data, ldc, stride_c, batch);
  };
  CHECK(run(CUBLAS_OP_N, CUBLAS_OP_N, 2, 4, 2, 6, 2) == CUBLAS_STATUS_SUCCESS);
  CHECK(run(CUBLAS_OP_N, CUBLAS_OP_N, 1, 4, 2, 6, 2) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(run(CUBLAS_OP_T, CUBLAS_OP_N, 3, 4, 2, 6, 2) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(run(CUBLAS_OP_N, CUBLAS_OP_N, 2, 3, 2, 6, 2) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(run(CUBLAS_OP_N, CUBLAS_OP_T, 2, 2, 2, 6, 2) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(run(CUBLAS_OP_N, CUBLAS_OP_N, 2, 4, 1, 6, 2) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(run(CUBLAS_OP_N, CUBLAS_OP_N, 2, 4, 2, 5, 2) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(run(CUBLAS_OP_N, CUBLAS_OP_N, 2, 4, 2, 0, 1) == CUBLAS_STATUS_SUCCESS);
  for (std::size_t i = 0; i < 6; ++i) CHECK(c.values()[i] == 4);
}
