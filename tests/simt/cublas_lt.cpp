#include <cmath>
#include <cstring>

#include "cuda/cublasLt.h"
#include "runtime.hpp"

struct SimtBlas {};
struct SimtOperation {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  std::int32_t turn_a = CUBLAS_OP_N, turn_b = CUBLAS_OP_N, epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct SimtLayout {
  cudaDataType_t type;
  std::uint64_t rows, columns;
  std::int64_t ld, stride = 0;
  std::int32_t batch = 1;
};
struct SimtPreference {
  std::uint64_t workspace = 0;
  std::uint32_t alignment[4] = {256, 256, 256, 256};
};

namespace {

template <class T>
cublasStatus_t set(T& to, const void* value, std::size_t bytes) {
  if (value == nullptr || bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
template <class T, class... A>
cublasStatus_t create(T** out, A... values) {
  *out = new T{values...};
  return CUBLAS_STATUS_SUCCESS;
}
template <class T>
cublasStatus_t destroy(T* object) {
  delete object;
  return CUBLAS_STATUS_SUCCESS;
}

std::uint64_t size_of(cudaDataType_t type) {
  return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2;
}
bool aligned(const void* pointer, std::uint64_t bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

/// Types that belong together: cuBLAS's table, as far as kernels/ need it.
bool fits(const SimtOperation& op, const SimtLayout& a, const SimtLayout& b, const SimtLayout& c,
          const SimtLayout& d) {
  if (a.type != b.type || c.type != d.type || op.scale != d.type) return false;
  switch (op.compute) {
    case CUBLAS_COMPUTE_64F:
      return a.type == CUDA_R_64F && d.type == CUDA_R_64F;
    case CUBLAS_COMPUTE_32F_FAST_TF32:
      return a.type == CUDA_R_32F && d.type == CUDA_R_32F;
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC:
      return (a.type == CUDA_R_32F || a.type == CUDA_R_16BF) && d.type == CUDA_R_32F;
  }
  return false;
}

/// Sizes, leading dimensions and batches.
bool consistent(const SimtOperation& op, const SimtLayout& a, const SimtLayout& b,
                const SimtLayout& c, const SimtLayout& d) {
  const auto rows = [](const SimtLayout& x, std::int32_t turn) {
    return turn == CUBLAS_OP_T ? x.columns : x.rows;
  };
  const auto columns = [](const SimtLayout& x, std::int32_t turn) {
    return turn == CUBLAS_OP_T ? x.rows : x.columns;
  };
  if (rows(a, op.turn_a) != d.rows || columns(b, op.turn_b) != d.columns ||
      columns(a, op.turn_a) != rows(b, op.turn_b) || c.rows != d.rows || c.columns != d.columns) {
    return false;
  }
  for (const SimtLayout* x : {&a, &b, &c, &d}) {
    if (x->rows == 0 || x->columns == 0 || x->ld < static_cast<std::int64_t>(x->rows) ||
        x->batch != d.batch || x->batch < 1 || x->batch > 65535) {
      return false;
    }
  }
  // The results of a batch must not overlap.
  const auto reach =
      static_cast<std::int64_t>(d.columns - 1) * d.ld + static_cast<std::int64_t>(d.rows);
  return d.batch == 1 || (d.stride < 0 ? -d.stride : d.stride) >= reach;
}

/// A float as TF32 has it: 10 bits of fraction, to nearest, ties away from zero.
float tf32(float x) {
  if (!std::isfinite(x)) return x;
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, x) + 0x1000u;
  return __builtin_bit_cast(float, bits & 0xffffe000u);
}
template <class T>
T number(const void* data, std::int64_t at, const SimtLayout& layout, cublasComputeType_t compute) {
  if (layout.type == CUDA_R_16BF) {
    const auto bits = static_cast<const std::uint16_t*>(data)[at];
    return static_cast<T>(__builtin_bit_cast(float, static_cast<std::uint32_t>(bits) << 16));
  }
  const T x = static_cast<const T*>(data)[at];
  if (compute == CUBLAS_COMPUTE_32F_FAST_TF32) return static_cast<T>(tf32(static_cast<float>(x)));
  return x;
}

/// D = alpha·op(A)·op(B) + beta·C, plus bias[row]. As cuBLAS, C is not read when beta is 0.
template <class T>
void multiply(const SimtOperation& op, T alpha, const void* a, const SimtLayout& la, const void* b,
              const SimtLayout& lb, T beta, const void* c, const SimtLayout& lc, void* d,
              const SimtLayout& ld) {
  const auto rows = static_cast<std::int64_t>(ld.rows),
             columns = static_cast<std::int64_t>(ld.columns);
  const bool turn_a = op.turn_a == CUBLAS_OP_T, turn_b = op.turn_b == CUBLAS_OP_T;
  const auto inner = static_cast<std::int64_t>(turn_a ? la.rows : la.columns);
  for (std::int64_t p = 0; p < ld.batch; ++p) {
    for (std::int64_t j = 0; j < columns; ++j) {
      for (std::int64_t i = 0; i < rows; ++i) {
        T sum = 0;
        for (std::int64_t l = 0; l < inner; ++l) {
          sum += number<T>(a, p * la.stride + (turn_a ? l + i * la.ld : i + l * la.ld), la,
                           op.compute) *
                 number<T>(b, p * lb.stride + (turn_b ? j + l * lb.ld : l + j * lb.ld), lb,
                           op.compute);
        }
        sum *= alpha;
        if (beta != T(0)) sum += beta * static_cast<const T*>(c)[p * lc.stride + i + j * lc.ld];
        if (op.epilogue == CUBLASLT_EPILOGUE_BIAS) sum += static_cast<const T*>(op.bias)[i];
        static_cast<T*>(d)[p * ld.stride + i + j * ld.ld] = sum;
      }
    }
  }
}

}  // namespace

const char* cublasLtGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "the library was not initialized";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "the function failed to launch on the GPU";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "the requested functionality is not supported";
  }
  return "?";
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return create(handle); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy(handle); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  return create(desc, compute, scale);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) { return destroy(desc); }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return set(desc->turn_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return set(desc->turn_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return set(desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return set(desc->bias, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t ld) {
  return create(layout, type, rows, columns, ld);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return destroy(layout);
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, std::size_t bytes) {
  return attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT ? set(layout->batch, value, bytes)
                                                         : set(layout->stride, value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return create(preference);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy(preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t bytes) {
  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
    return set(preference->workspace, value, bytes);
  return set(preference->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value,
             bytes);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t* results,
                                              int* found) {
  *found = 0;
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (most < 1 || !consistent(*desc, *a, *b, *c, *d)) return CUBLAS_STATUS_INVALID_VALUE;
  const bool odd_bias = desc->epilogue == CUBLASLT_EPILOGUE_BIAS && d->rows < 4;
  if (!fits(*desc, *a, *b, *c, *d) || odd_bias) return CUBLAS_STATUS_NOT_SUPPORTED;
  cublasLtMatmulHeuristicResult_t& result = results[0];
  result.workspaceSize = d->batch == 1 && preference->workspace >= 256 ? 256 : 0;
  result.algo.workspace = result.workspaceSize;
  for (int i = 0; i < 4; ++i) result.algo.alignment[i] = preference->alignment[i];
  result.state = CUBLAS_STATUS_SUCCESS;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,
                              void* workspace, std::size_t workspace_bytes, cudaStream_t stream) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const SimtOperation op = *desc;  // all is read at the call
  const SimtLayout la = *a_layout, lb = *b_layout, lc = *c_layout, ld = *d_layout;
  if (algo == nullptr || !consistent(op, la, lb, lc, ld) || !fits(op, la, lb, lc, ld))
    return CUBLAS_STATUS_INVALID_VALUE;
  const void* const matrices[4] = {a, b, c, d};
  for (int i = 0; i < 4; ++i) {
    if (!aligned(matrices[i], algo->alignment[i])) return CUBLAS_STATUS_INVALID_VALUE;
  }
  const bool biased = op.epilogue == CUBLASLT_EPILOGUE_BIAS;
  if ((biased && (op.bias == nullptr || !aligned(op.bias, size_of(ld.type)))) ||
      workspace_bytes < algo->workspace || (algo->workspace > 0 && !aligned(workspace, 16))) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const auto product = [&]<class T>(T one, T other) {
    return simt::queue_work(stream, "a matrix product", [=, used = algo->workspace] {
      auto* const words =
          static_cast<std::uint32_t*>(workspace);  // it may hold anything afterwards
      for (std::size_t i = 0; i < used / sizeof *words; ++i) words[i] = simt::poison();
      multiply<T>(op, one, a, la, b, lb, other, c, lc, d, ld);
    });
  };
  const cudaError_t status =
      ld.type == CUDA_R_64F
          ? product(*static_cast<const double*>(alpha), *static_cast<const double*>(beta))
          : product(*static_cast<const float*>(alpha), *static_cast<const float*>(beta));
  return status == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
