#include <cmath>

#include "cuda/cublasLt.h"
#include "simt_check.hpp"
#include "tandem/tensor/dtype.hpp"

using namespace simt_check;

namespace {

constexpr double nan_value = __builtin_nan("");

/// One product D = op(A)·op(B) + beta·C with C = D, and how it is described.
struct Product {
  cudaDataType_t in = CUDA_R_32F, out = CUDA_R_32F;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F_PEDANTIC;
  std::int32_t op_a = CUBLAS_OP_N, op_b = CUBLAS_OP_N;
  std::int64_t m = 2, n = 2, k = 3, lda = 2, ldb = 3, ldc = 2;
  std::int64_t stride_a = 0, stride_b = 0, stride_c = 0;
  std::int32_t batch = 1;
  const void* bias = nullptr;
  std::uint32_t alignment = 4;
  std::size_t workspace = 4096;  // bytes that are given

  cublasStatus_t run(const void* a, const void* b, void* c, double beta = 0) const {
    cublasLtHandle_t handle = nullptr;
    REQUIRE(cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS);
    cublasLtMatmulDesc_t desc = nullptr;
    REQUIRE(cublasLtMatmulDescCreate(&desc, compute, out) == CUBLAS_STATUS_SUCCESS);
    const std::int32_t epilogue =
        bias != nullptr ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    const auto describe = [&](cublasLtMatmulDescAttributes_t what, const auto& value) {
      REQUIRE(cublasLtMatmulDescSetAttribute(desc, what, &value, sizeof value) ==
              CUBLAS_STATUS_SUCCESS);
    };
    describe(CUBLASLT_MATMUL_DESC_TRANSA, op_a);
    describe(CUBLASLT_MATMUL_DESC_TRANSB, op_b);
    describe(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    CHECK(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, 8) ==
          CUBLAS_STATUS_INVALID_VALUE);
    const auto layout = [&](cudaDataType_t type, std::int32_t op, std::int64_t rows,
                            std::int64_t columns, std::int64_t ld, std::int64_t stride) {
      const bool turned = op == CUBLAS_OP_T;
      cublasLtMatrixLayout_t made = nullptr;
      REQUIRE(cublasLtMatrixLayoutCreate(&made, type,
                                         static_cast<std::uint64_t>(turned ? columns : rows),
                                         static_cast<std::uint64_t>(turned ? rows : columns),
                                         ld) == CUBLAS_STATUS_SUCCESS);
      REQUIRE(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch,
                                               sizeof batch) == CUBLAS_STATUS_SUCCESS);
      REQUIRE(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                               &stride, sizeof stride) == CUBLAS_STATUS_SUCCESS);
      return made;
    };
    cublasLtMatrixLayout_t la = layout(in, op_a, m, k, lda, stride_a),
                           lb = layout(in, op_b, k, n, ldb, stride_b),
                           lc = layout(out, CUBLAS_OP_N, m, n, ldc, stride_c);
    cublasLtMatmulPreference_t preference = nullptr;
    REQUIRE(cublasLtMatmulPreferenceCreate(&preference) == CUBLAS_STATUS_SUCCESS);
    const std::uint64_t most = 1 << 20;
    REQUIRE(cublasLtMatmulPreferenceSetAttribute(preference,
                                                 CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most,
                                                 sizeof most) == CUBLAS_STATUS_SUCCESS);
    for (const auto which :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      REQUIRE(cublasLtMatmulPreferenceSetAttribute(preference, which, &alignment,
                                                   sizeof alignment) == CUBLAS_STATUS_SUCCESS);
    }
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, desc, la, lb, lc, lc, preference, 1, &found, &count);
    CHECK((count == 1) == (status == CUBLAS_STATUS_SUCCESS));
    if (status == CUBLAS_STATUS_SUCCESS) {
      const Buffer<float> room(std::vector<float>(1024, 0));
      const float one = 1, other = static_cast<float>(beta);
      const double one_double = 1;
      const bool wide = out == CUDA_R_64F;
      status = cublasLtMatmul(handle, desc, wide ? static_cast<const void*>(&one_double) : &one, a,
                              la, b, lb, wide ? static_cast<const void*>(&beta) : &other, c, lc, c,
                              lc, &found.algo, room.data, workspace, nullptr);
      REQUIRE(cudaStreamSynchronize(nullptr) == cudaSuccess);
    }
    (void)cublasLtMatmulPreferenceDestroy(preference);
    for (const auto made : {la, lb, lc}) (void)cublasLtMatrixLayoutDestroy(made);
    (void)cublasLtMatmulDescDestroy(desc);
    (void)cublasLtDestroy(handle);
    return status;
  }
};

}  // namespace

TEST_CASE("a product is column-major, as one worked out by hand") {
  // A = [1 3 5; 2 4 6] by columns, B = [1 4; 2 5; 3 6] by columns: A·B = [22 49; 28 64].
  const Buffer<double> a({1, 2, 3, 4, 5, 6}), b({1, 2, 3, 4, 5, 6});
  // Leading dimension 3: one row of padding
  const Buffer<double> c(std::vector<double>(6, nan_value));
  Product p{.in = CUDA_R_64F, .out = CUDA_R_64F, .compute = CUBLAS_COMPUTE_64F, .ldc = 3};
  REQUIRE(p.run(a.data, b.data, c.data) == CUBLAS_STATUS_SUCCESS);
  const std::vector<double> values = c.values();
  CHECK(values[0] == 22);
  CHECK(values[1] == 28);
  CHECK(values[2] != values[2]);  // the padding is not touched
  CHECK(values[3] == 49);
  CHECK(values[4] == 64);
  REQUIRE(p.run(a.data, b.data, c.data, 2) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.values()[0] == 66);
  // Aᵀ: A is 3 × 2 by columns, so its transpose is [1 2 3; 4 5 6].
  p.op_a = CUBLAS_OP_T;
  p.lda = 3;
  REQUIRE(p.run(a.data, b.data, c.data) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.values()[0] == 14);
  CHECK(c.values()[1] == 32);
}

TEST_CASE("kinds of arithmetic: float, factors of 10 bits, bfloat16, and what does not fit") {
  const auto of_one = [](cudaDataType_t in, cublasComputeType_t compute, const void* x,
                         float* result) {
    const Product p{.in = in,
                    .compute = compute,
                    .m = 1,
                    .n = 1,
                    .k = 1,
                    .lda = 1,
                    .ldb = 1,
                    .ldc = 1,
                    .alignment = 2};
    const Buffer<float> c({0});
    const cublasStatus_t status = p.run(x, x, c.data);
    if (result != nullptr) *result = c.values()[0];
    return status;
  };
  // 1 + 2⁻¹⁰ has 10 bits of fraction; 2⁻¹² more rounds away, 2⁻¹¹ up.
  const Buffer<float> exact({1.0F + 0x1p-10F}), less({1.0F + 0x1p-10F + 0x1p-12F}),
      more({1.0F + 0x1p-11F});
  float y = 0;
  CHECK(of_one(CUDA_R_32F, CUBLAS_COMPUTE_32F_PEDANTIC, less.data, &y) == CUBLAS_STATUS_SUCCESS);
  CHECK(y == (1.0F + 0x1p-10F + 0x1p-12F) * (1.0F + 0x1p-10F + 0x1p-12F));
  for (const float* x : {exact.data, less.data, more.data}) {
    CHECK(of_one(CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32, x, &y) == CUBLAS_STATUS_SUCCESS);
    CHECK(y == (1.0F + 0x1p-10F) * (1.0F + 0x1p-10F));
  }
  const Buffer<std::uint16_t> low({tandem::bfloat16(1.5F).bits});
  CHECK(of_one(CUDA_R_16BF, CUBLAS_COMPUTE_32F, low.data, &y) == CUBLAS_STATUS_SUCCESS);
  CHECK(y == 2.25F);
  CHECK(of_one(CUDA_R_16BF, CUBLAS_COMPUTE_32F_FAST_TF32, low.data, nullptr) ==
        CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(of_one(CUDA_R_64F, CUBLAS_COMPUTE_64F, low.data, nullptr) == CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST_CASE("a bias is added along the columns") {
  const Buffer<float> a({1, 2, 3, 4}), b({1, 10}), bias({100, 200, 300, 400}),
      c(std::vector<float>(8, 0));
  Product p{.m = 4, .n = 2, .k = 1, .lda = 4, .ldb = 1, .ldc = 4, .bias = bias.data};
  CHECK(p.run(a.data, b.data, c.data) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.values() == std::vector<float>{101, 202, 303, 404, 110, 220, 330, 440});
  p.m = 3;  // too few: no algorithm, as cuBLAS may say
  CHECK(p.run(a.data, b.data, c.data) == CUBLAS_STATUS_NOT_SUPPORTED);
  p.m = 4;
  p.bias = reinterpret_cast<const char*>(bias.data) + 2;
  CHECK(p.run(a.data, b.data, c.data) == CUBLAS_STATUS_INVALID_VALUE);
}

TEST_CASE("refused: small leading dimensions, results that overlap, false alignments, no room") {
  const Buffer<float> x(std::vector<float>(64, 1)), c(std::vector<float>(64, 0));
  const Product right{.m = 2,
                      .n = 3,
                      .k = 4,
                      .lda = 2,
                      .ldb = 4,
                      .ldc = 2,
                      .stride_a = 8,
                      .stride_b = 12,
                      .stride_c = 6,
                      .batch = 2};
  const auto status = [&](const auto& change) {
    Product p = right;
    change(p);
    return p.run(x.data, x.data, c.data);
  };
  const auto same = [&](const auto& change) { return status(change) == CUBLAS_STATUS_SUCCESS; };
  CHECK(same([](Product&) {}));
  for (std::size_t i = 0; i < 12; ++i) CHECK(c.values()[i] == 4);
  CHECK_FALSE(same([](Product& p) { p.lda = 1; }));
  CHECK_FALSE(same([](Product& p) { p.op_a = CUBLAS_OP_T, p.lda = 3; }));
  CHECK_FALSE(same([](Product& p) { p.ldb = 3; }));
  CHECK_FALSE(same([](Product& p) { p.op_b = CUBLAS_OP_T, p.ldb = 2; }));
  CHECK_FALSE(same([](Product& p) { p.ldc = 1; }));
  CHECK_FALSE(same([](Product& p) { p.stride_c = 5; }));
  CHECK_FALSE(same([](Product& p) { p.batch = 65536; }));
  CHECK(same([](Product& p) { p.batch = 1, p.stride_c = 0; }));
  CHECK(same([](Product& p) { p.batch = 1, p.workspace = 256; }));
  CHECK_FALSE(same([](Product& p) { p.batch = 1, p.workspace = 255; }));
  Product p = right;
  p.alignment = 8;
  CHECK(p.run(x.data, x.data + 2, c.data) == CUBLAS_STATUS_SUCCESS);
  CHECK(p.run(x.data, x.data + 1, c.data) == CUBLAS_STATUS_INVALID_VALUE);
}
