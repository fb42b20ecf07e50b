#pragma once
/// launch(kernel, grid, block, shared bytes, stream, arguments…): the only way to start a kernel.
///
/// Included by kernels/*.cu only. Every launch is checked here, and kernel sources contain no triple
/// brackets, so that one place decides how a kernel is started: these sources are also ordinary C++, and
/// tests/simt runs them without a GPU.

#include <cstdint>
#include <type_traits>

#include <cuda_runtime.h>

#include "tandem/cuda/kernels.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cuda {

/// Throws when a CUDA call failed.
inline void check(cudaError_t status, const char* what) {
  TANDEM_CHECK(status == cudaSuccess, "cuda", what, " failed: ", cudaGetErrorString(status));
}

/// Makes `device` current for a scope.
class DeviceScope {
 public:
  explicit DeviceScope(int device) {
    check(cudaGetDevice(&before_), "cudaGetDevice");
    if (device != before_) check(cudaSetDevice(device), "cudaSetDevice");
    changed_ = device != before_;
  }
  ~DeviceScope() {
    if (changed_) (void)cudaSetDevice(before_);
  }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

template <class... Parameters>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            Stream stream, std::type_identity_t<Parameters>... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;  // nothing to do is not an error
  const DeviceScope scope(stream.device);
  if (shared_bytes > 48 * 1024) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)),
          "cudaFuncSetAttribute");
  }
  void* pointers[] = {static_cast<void*>(&arguments)..., nullptr};
  const cudaError_t status = cudaLaunchKernel(kernel, grid, block, pointers, shared_bytes,
                                              static_cast<cudaStream_t>(stream.handle));
  if (status != cudaSuccess) (void)cudaGetLastError();  // reported here, not again by the next call
  check(status, "a kernel launch");
}

}  // namespace cuda
TANDEM_NAMESPACE_END
