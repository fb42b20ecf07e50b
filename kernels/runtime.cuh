#pragma once
/// What launchers use of each other and of runtime.cu.

#include <cublasLt.h>

#include "common.cuh"
#include "staging.hpp"
#include "tandem/cpu/epilogue.hpp"
#include "tandem/cpu/precision.hpp"

namespace tandem_kernels {

/// Throws when a call of cuBLASLt failed.
inline void check_blas(cublasStatus_t status, const char* what) {
  TANDEM_CHECK(status == CUBLAS_STATUS_SUCCESS, "cublas", what,
               " failed: ", cublasLtGetStatusString(status));
}

/// memory.cu: the memory of a device, the way there from the host; CUDA's waits, counted.
Arena& arena(int device);
Staging& staging(int device);
void count_wait();

/// graph.cu: the number of the capture that this thread is in, or 0.
std::uint64_t capture_here();
/// The same, or 0 while this thread does not want to allocate from the graph's pool.
std::uint64_t graph_pool_here();
/// How many captures of all threads are going on.
int captures_running();
/// Throws when this thread is in a capture, since `what` waits.
void refuse_waiting(const char* what);

/// For a scope, this thread may do what CUDA forbids while some stream is captured, because a graph
/// cannot repeat it.
class RelaxedCapture {
 public:
  RelaxedCapture() { (void)cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~RelaxedCapture() { (void)cudaThreadExchangeStreamCaptureMode(&mode_); }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

/// This thread's cuBLASLt handle for the queue's device.
cublasLtHandle_t blas_handle(const Queue& queue);

/// copy.cu: a copy between layouts; n elements of 1, 2, 4 or 8 bytes, each with these bits.
void copy_strided(Queue& queue, const tandem::StridedCopy& copy);
void fill(Queue& queue, void* to, std::int64_t element_bytes, std::uint64_t bits, std::int64_t n);

/// matmul.cu: C = op(A)·op(B) for `batch` matrices a stride apart, C (m, n). In and Out: float,
/// double, or bfloat16 and float; Precision::tf32 concerns float only. bias (n), or null: added to
/// each row of a single product if it can be on the way; true if nothing is left to be added.
template <class In, class Out>
bool gemm(Queue& queue, tandem::Precision precision, tandem::cpu::Trans ta, tandem::cpu::Trans tb,
          std::int64_t m, std::int64_t n, std::int64_t k, const In* a, std::int64_t lda,
          std::int64_t stride_a, const In* b, std::int64_t ldb, std::int64_t stride_b, Out* c,
          std::int64_t ldc, std::int64_t stride_c, std::int64_t batch, const Out* bias);

}  // namespace tandem_kernels
