#pragma once
/// launch("name", kernel, grid, block, shared bytes, queue, arguments…): the only way to start a
/// kernel.
///
/// Included by kernels/*.cu only. Every launch is checked here, and kernel sources contain no
/// triple brackets, so that one place decides how a kernel is started: these sources are also
/// ordinary C++, and tests/simt runs them without a GPU.
///
/// TANDEM_CUDA_SYNC=1 in the environment waits after each launch, so that an error inside of a
/// kernel is reported with its name. Profilers see the name as an NVTX range, where the toolkit has
/// NVTX.

#include <cuda_runtime.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define TANDEM_NVTX 1
#else
#define TANDEM_NVTX 0
#endif

#include "tandem/cuda/kernel.hpp"

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

/// The name as a range of NVTX for a scope.
class Range {
 public:
  explicit Range(const char* name) {
#if TANDEM_NVTX
    nvtxRangePushA(name);
#else
    (void)name;
#endif
  }
  ~Range() {
#if TANDEM_NVTX
    nvtxRangePop();
#endif
  }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

/// ⌈n / size⌉ blocks, capped: a kernel with a grid-stride loop needs no more than keep a GPU busy.
inline unsigned blocks_for(std::int64_t n, std::int64_t size, std::int64_t most = 65535) {
  const std::int64_t blocks = (n + size - 1) / size, cap = grid_cap() < most ? grid_cap() : most;
  return static_cast<unsigned>(blocks < cap ? blocks : cap);
}

/// What an elementwise launch is called: "map" and the formula F, "map Gelu" or "map
/// ScalarRight<Add, float>".
template <class F>
const char* map_name() {
  static const std::string name = [](std::string_view whole) {
    std::string out = "map ";
    const std::size_t at =
        whole.find("F = ") != whole.npos ? whole.find("F = ") + 4 : whole.find("F=") + 2;
    for (std::size_t i = at, word = out.size(); i + 1 < whole.size() && whole[i] != ';'; ++i) {
      const char c = whole[i];
      if (c == ':') {  // what stands before is a namespace
        out.resize(word);
        continue;
      }
      out += c;
      const bool letter =
          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
      if (!letter) word = out.size();
    }
    return out;
  }(__PRETTY_FUNCTION__);
  return name.c_str();
}

inline bool sync_after_launch() {
  static const bool wanted = [] {
    const char* const value = std::getenv("TANDEM_CUDA_SYNC");
    return value != nullptr && value[0] == '1';
  }();
  return wanted;
}

/// Lets `kernel` have so many shared bytes from its launches on `device`. Without that CUDA grants
/// 48 KiB, of which the arrays that the kernel declares are a part: a launch may fail with less.
/// What was granted only grows, so that one thread's launch does not take from another's.
template <class... Parameters>
cudaError_t grant_shared_bytes(void (*kernel)(Parameters...), int device, std::size_t bytes) {
  static std::mutex mutex;
  // Outlives static tensors
  static std::map<std::pair<void (*)(), int>, std::size_t>& granted =
      *new std::map<std::pair<void (*)(), int>, std::size_t>;
  const std::lock_guard<std::mutex> guard(mutex);
  std::size_t& most = granted[{reinterpret_cast<void (*)()>(kernel), device}];
  if (bytes <= most) return cudaSuccess;
  const cudaError_t status = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (status == cudaSuccess) most = bytes;
  return status;
}

template <class... Parameters>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            std::size_t shared_bytes, const Queue& queue,
            std::type_identity_t<Parameters>... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;  // nothing to do is not an error
  const DeviceScope scope(queue.device.index());
  const Range range(name);
  tandem::detail::launch_counter().fetch_add(1, std::memory_order_relaxed);
  cudaError_t status = cudaSuccess;
  if (shared_bytes > 0) status = grant_shared_bytes(kernel, queue.device.index(), shared_bytes);
  const auto stream = static_cast<cudaStream_t>(queue.stream);
  if (status == cudaSuccess) {
    void* pointers[] = {static_cast<void*>(&arguments)..., nullptr};
    status = cudaLaunchKernel(kernel, grid, block, pointers, shared_bytes, stream);
  }
  if (status == cudaSuccess && sync_after_launch() && !tandem::capturing(queue))
    status = cudaStreamSynchronize(stream);
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // reported here, not again by the next call
  fail("cuda", "the kernel ", name, " failed: ", cudaGetErrorString(status), " (grid ", grid.x,
       " x ", grid.y, " x ", grid.z, ", block ", block.x, " x ", block.y, " x ", block.z, ", ",
       shared_bytes, " bytes of shared memory)");
}

}  // namespace cuda
TANDEM_NAMESPACE_END
