/// matmul — C = op(A)·op(B) for `batch` matrices a stride apart, through cuBLASLt.
///
/// cuBLAS is column-major: a row-major C = A·B is its Cᵀ = Bᵀ·Aᵀ, so the operands change places and
/// no matrix is transposed. The kind of arithmetic is stated for each product:
///   float      CUBLAS_COMPUTE_32F_PEDANTIC: every product and sum is a float's
///   tf32       CUBLAS_COMPUTE_32F_FAST_TF32, if asked for: factors have 10 bits of fraction
///   bfloat16   CUBLAS_COMPUTE_32F of bfloat16 factors: products are exact, sums are float
///   double     CUBLAS_COMPUTE_64F
/// The bias of a linear layer is added on the way out, which is one float addition more for each
/// element, as if it were added later. cuBLAS's other epilogues are not ours (its GELU is the tanh
/// form). What algorithm is taken depends on sizes and alignments only, so results repeat bit for
/// bit on a device; its workspace is scratch of the arena, in the order of the queue, so products
/// can be captured in a graph.

#include "runtime.cuh"

namespace tandem_kernels {

using tandem::bfloat16;
using tandem::Precision;
using tandem::cpu::Trans;

namespace {

template <class T>
constexpr cudaDataType_t type_of = std::is_same_v<T, double>  ? CUDA_R_64F
                                   : std::is_same_v<T, float> ? CUDA_R_32F
                                                              : CUDA_R_16BF;
template <class In>
cublasComputeType_t arithmetic(Precision precision) {
  if (std::is_same_v<In, double>) return CUBLAS_COMPUTE_64F;
  if (std::is_same_v<In, bfloat16>) return CUBLAS_COMPUTE_32F;
  return precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F_PEDANTIC;
}

/// An object of cuBLASLt's, destroyed in the end.
template <class Handle, cublasStatus_t (*destroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  ~Owned() { (void)destroy(handle); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Handle handle = nullptr;
};

struct Layout : Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy> {
  /// A matrix by columns.
  Layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns, std::int64_t ld,
         std::int64_t stride, std::int64_t batch) {
    check_blas(cublasLtMatrixLayoutCreate(&handle, type, static_cast<std::uint64_t>(rows),
                                          static_cast<std::uint64_t>(columns), ld > 0 ? ld : 1),
               "a matrix layout");
    set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<std::int32_t>(batch));
    set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride);
  }
  template <class V>
  void set(cublasLtMatrixLayoutAttribute_t attribute, V value) {
    check_blas(cublasLtMatrixLayoutSetAttribute(handle, attribute, &value, sizeof value),
               "a matrix layout");
  }
};

struct Operation : Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> {
  Operation(cublasComputeType_t compute, cudaDataType_t scale, Trans ta, Trans tb) {
    check_blas(cublasLtMatmulDescCreate(&handle, compute, scale), "a product");
    const auto turn = [](Trans t) -> std::int32_t {
      return t == Trans::yes ? CUBLAS_OP_T : CUBLAS_OP_N;
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, turn(ta));
    set(CUBLASLT_MATMUL_DESC_TRANSB, turn(tb));
  }
  /// bias[row] is added to each element; null: nothing is.
  void add(const void* bias) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE,
        static_cast<std::int32_t>(bias != nullptr ? CUBLASLT_EPILOGUE_BIAS
                                                  : CUBLASLT_EPILOGUE_DEFAULT));
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  template <class V>
  void set(cublasLtMatmulDescAttributes_t attribute, V value) {
    check_blas(cublasLtMatmulDescSetAttribute(handle, attribute, &value, sizeof value),
               "a product");
  }
};

struct Preference : Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> {
  static constexpr std::uint64_t most_workspace = std::uint64_t{32} << 20;  // as NVIDIA advises

  Preference(const void* a, const void* b, const void* c) {
    check_blas(cublasLtMatmulPreferenceCreate(&handle), "a choice of algorithms");
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(a));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(b));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(c));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(c));
  }
  /// The largest power of two up to 256 that divides the address; of a batch its first matrix's.
  static std::uint32_t alignment(const void* pointer) {
    std::uint32_t bytes = 256;
    while (reinterpret_cast<std::uintptr_t>(pointer) % bytes != 0) bytes /= 2;
    return bytes;
  }
  template <class V>
  void set(cublasLtMatmulPreferenceAttributes_t attribute, V value) {
    check_blas(cublasLtMatmulPreferenceSetAttribute(handle, attribute, &value, sizeof value),
               "a choice of algorithms");
  }
};

}  // namespace

template <class In, class Out>
bool gemm(Queue& queue, Precision precision, Trans ta, Trans tb, std::int64_t m, std::int64_t n,
          std::int64_t k, const In* a, std::int64_t lda, std::int64_t stride_a, const In* b,
          std::int64_t ldb, std::int64_t stride_b, Out* c, std::int64_t ldc, std::int64_t stride_c,
          std::int64_t batch, const Out* bias) {
  if (m == 0 || n == 0 || batch == 0) return bias == nullptr;
  if (k == 0) {
    for (std::int64_t i = 0; i < batch * m; ++i)
      fill(queue, c + i / m * stride_c + i % m * ldc, sizeof(Out), 0, n);
    return bias == nullptr;
  }
  constexpr std::int64_t most = 65535;  // matrices of a batch that a grid has room for
  if (batch > most) {
    for (std::int64_t p = 0; p < batch; p += most) {
      gemm<In, Out>(queue, precision, ta, tb, m, n, k, a + p * stride_a, lda, stride_a,
                    b + p * stride_b, ldb, stride_b, c + p * stride_c, ldc, stride_c,
                    batch - p < most ? batch - p : most, nullptr);
    }
    return bias == nullptr;
  }
  const tandem::cuda::DeviceScope scope(queue.device.index());
  const cublasLtHandle_t handle = blas_handle(queue);
  Operation operation(arithmetic<In>(precision), type_of<Out>, tb, ta);
  const auto layout = [batch](Trans t, std::int64_t rows, std::int64_t columns, std::int64_t ld,
                              std::int64_t stride) {
    const bool turned = t == Trans::yes;
    return Layout(type_of<In>, turned ? rows : columns, turned ? columns : rows, ld, stride, batch);
  };
  const Layout first = layout(tb, k, n, ldb, stride_b), second = layout(ta, m, k, lda, stride_a),
               result(type_of<Out>, n, m, ldc, stride_c, batch);
  const Preference preference(b, a, c);
  cublasLtMatmulHeuristicResult_t found{};
  const auto choose = [&](const Out* added) {
    operation.add(added);
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle, operation.handle, first.handle, second.handle, result.handle, result.handle,
        preference.handle, 1, &found, &count);
    if (status == CUBLAS_STATUS_SUCCESS && count > 0) return found.state;
    return status == CUBLAS_STATUS_SUCCESS ? CUBLAS_STATUS_NOT_SUPPORTED : status;
  };
  cublasStatus_t status = choose(bias);
  const bool biased = status == CUBLAS_STATUS_SUCCESS;
  if (!biased && bias != nullptr) status = choose(nullptr);
  check_blas(status, "a matrix product");
  const Scratch<unsigned char> workspace(queue, static_cast<std::int64_t>(found.workspaceSize));
  const Out alpha = 1, beta = 0;
  check_blas(
      cublasLtMatmul(handle, operation.handle, &alpha, b, first.handle, a, second.handle, &beta, c,
                     result.handle, c, result.handle, &found.algo, workspace.data(),
                     found.workspaceSize, static_cast<cudaStream_t>(queue.stream)),
      "a matrix product");
  return biased;
}
#define TANDEM_GEMM(In, Out)                                                                  \
  template bool gemm<In, Out>(Queue&, Precision, Trans, Trans, std::int64_t, std::int64_t,    \
                              std::int64_t, const In*, std::int64_t, std::int64_t, const In*, \
                              std::int64_t, std::int64_t, Out*, std::int64_t, std::int64_t,   \
                              std::int64_t, const Out*)
TANDEM_GEMM(float, float);
TANDEM_GEMM(double, double);
TANDEM_GEMM(bfloat16, float);
#undef TANDEM_GEMM

template <class T>
void matmul(Queue& queue, Trans ta, Trans tb, std::int64_t m, std::int64_t n, std::int64_t k,
            const T* a, std::int64_t lda, std::int64_t stride_a, const T* b, std::int64_t ldb,
            std::int64_t stride_b, tandem::detail::compute_t<T>* c, std::int64_t ldc,
            std::int64_t stride_c, std::int64_t batch) {
  gemm<T, tandem::detail::compute_t<T>>(queue, Precision::full, ta, tb, m, n, k, a, lda, stride_a,
                                        b, ldb, stride_b, c, ldc, stride_c, batch, nullptr);
}
TANDEM_KERNEL(matmul, float, double, bfloat16);

}  // namespace tandem_kernels
