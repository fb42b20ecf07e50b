#pragma once
/// The door from an op to its CUDA kernel: one table of function pointers per element type.
///
/// The headers never include CUDA. The static library `tandem::cuda` fills the tables when it is
/// linked; a null entry means that the op has no kernel, and the op says so by name.

#include <cstdint>

#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cuda {

/// Where a launch goes: a device and a stream of it (a cudaStream_t, null for the default stream).
struct Stream {
  int device = 0;
  void* handle = nullptr;
};

/// The stream that ops of this thread use.
inline Stream& current_stream() {
  thread_local Stream stream;
  return stream;
}
/// The current stream if it belongs to `device`, else that device's default stream.
inline Stream stream_of(Device device) {
  const Stream stream = current_stream();
  return stream.device == device.index() ? stream : Stream{device.index(), nullptr};
}

/// Makes ops of this thread use `stream` for a scope.
class StreamScope {
 public:
  explicit StreamScope(Stream stream) : before_(current_stream()) { current_stream() = stream; }
  ~StreamScope() { current_stream() = before_; }
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  Stream before_;
};

/// One tensor of a multi-tensor Adam step.
template <class T>
struct AdamTensor {
  T* parameter;
  const T* gradient;
  T* first;
  T* second;
  std::int64_t size;
};
/// The numbers of one Adam step; see optim/adam.hpp for their meaning.
template <class T>
struct AdamNumbers {
  T beta1, beta2, epsilon, rate, root_scale, decay, shrink;
};

/// The kernels for element type T. Every function only queues work on the stream. Matrices are
/// row-major and dense unless a leading dimension is given.
template <class T>
struct Kernels {
  /// out = a + b, n elements.                                                   kernels/add.cu
  void (*add)(Stream, T* out, const T* a, const T* b, std::int64_t n) = nullptr;
  /// to[j] = Σ x[i, j] over the rows of x (rows, n).                     kernels/column_sums.cu
  void (*column_sums)(Stream, T* to, const T* x, std::int64_t rows, std::int64_t n) = nullptr;
  /// y = x·σ(1.702x);  dx = dy·y′(x).                                    kernels/quick_gelu.cu
  void (*quick_gelu)(Stream, T* y, const T* x, std::int64_t n) = nullptr;
  void (*quick_gelu_backward)(Stream, T* dx, const T* dy, const T* x, std::int64_t n) = nullptr;
  /// y, mean and 1/σ of each of `rows` rows of n; gamma and beta may be null.  kernels/layer_norm.cu
  void (*layer_norm)(Stream, T* y, T* mean, T* inverse, const T* x, const T* gamma, const T* beta,
                     std::int64_t rows, std::int64_t n, T epsilon) = nullptr;
  /// dx may be null, dgamma and dbeta may be null together.
  void (*layer_norm_backward)(Stream, T* dx, T* dgamma, T* dbeta, const T* dy, const T* x,
                              const T* mean, const T* inverse, const T* gamma, std::int64_t rows,
                              std::int64_t n) = nullptr;
  /// y = softmax of each row of n.                                          kernels/softmax.cu
  void (*softmax)(Stream, T* y, const T* x, std::int64_t rows, std::int64_t n) = nullptr;
  void (*softmax_backward)(Stream, T* dx, const T* y, const T* dy, std::int64_t rows,
                           std::int64_t n) = nullptr;
  /// One Adam update of `count` tensors.                                       kernels/adam.cu
  void (*adam)(Stream, const AdamTensor<T>* tensors, std::int64_t count,
               const AdamNumbers<T>& numbers) = nullptr;
  /// C = alpha·op(A)·op(B) + beta·C for `batch` matrices a stride apart.     kernels/matmul.cu
  void (*gemm)(Stream, bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
               std::int64_t k, T alpha, const T* a, std::int64_t lda, std::int64_t stride_a, const T* b,
               std::int64_t ldb, std::int64_t stride_b, T beta, T* c, std::int64_t ldc,
               std::int64_t stride_c, std::int64_t batch) = nullptr;
};

/// The table for T.
template <class T>
Kernels<T>& kernels() {
  static Kernels<T> table;
  return table;
}

/// The entry `kernel` of the table, which must be filled: cuda::require("softmax", kernels<T>().softmax, x).
template <class F, Element T>
F require(const char* op, F kernel, const Tensor<T>& x) {
  TANDEM_CHECK(kernel != nullptr, op, "has no CUDA kernel for ", x.dtype(), " (an input is on ",
               x.device(), ")");
  return kernel;
}

}  // namespace cuda
TANDEM_NAMESPACE_END
