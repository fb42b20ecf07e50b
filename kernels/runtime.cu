/// The CUDA side of tandem's device interface: memory, copies, streams, cuBLAS handles.
///
/// Memory comes from a caching pool per device, as on the CPU: cudaMalloc and cudaFree synchronize, so a
/// training loop must not call them. Blocks of one size class are reused in stream order: everything
/// that tandem queues goes through the default stream or through streams that the caller orders.
/// -DTANDEM_CUDA_POOL_KEEPS=0 gives every request to CUDA as it is, for tools that watch the memory.

#include "runtime.cuh"

#include <map>
#include <mutex>
#include <vector>

#ifndef TANDEM_CUDA_POOL_KEEPS
#define TANDEM_CUDA_POOL_KEEPS 1
#endif

namespace tandem_kernels {
namespace {

using tandem::cuda::check;
using tandem::cuda::DeviceScope;

class Pool {
 public:
  void* allocate(int device, std::int64_t bytes) {
    const std::int64_t size = rounded(bytes);
    const std::lock_guard<std::mutex> guard(mutex_);
    std::vector<void*>& kept = kept_[{device, size}];
    if (!kept.empty()) {
      void* block = kept.back();
      kept.pop_back();
      return block;
    }
    const DeviceScope scope(device);
    void* block = nullptr;
    if (cudaMalloc(&block, static_cast<std::size_t>(size)) != cudaSuccess) {
      (void)cudaGetLastError();
      release(device);
      check(cudaMalloc(&block, static_cast<std::size_t>(size)), "cudaMalloc");
    }
    return block;
  }
  void deallocate(int device, void* block, std::int64_t bytes) {
    if (!TANDEM_CUDA_POOL_KEEPS) {
      const DeviceScope scope(device);
      (void)cudaFree(block);
      return;
    }
    const std::lock_guard<std::mutex> guard(mutex_);
    kept_[{device, rounded(bytes)}].push_back(block);
  }

 private:
  static std::int64_t rounded(std::int64_t bytes) {
    return TANDEM_CUDA_POOL_KEEPS ? (bytes + 511) / 512 * 512 : bytes;
  }
  void release(int device) {
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    for (auto& [key, blocks] : kept_) {
      if (key.first != device) continue;
      for (void* block : blocks) (void)cudaFree(block);
      blocks.clear();
    }
  }
  std::mutex mutex_;
  std::map<std::pair<int, std::int64_t>, std::vector<void*>> kept_;
};

/// Never destroyed: tensors in static storage may be released after any static object.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

int device_count() {
  int count = 0;
  // Without a driver or a device this fails; that is an answer, not an error.
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return count;
}

cudaStream_t new_stream(int device) {
  const DeviceScope scope(device);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return stream;
}
/// The queue of a device that ops use as long as nobody chose another.
cudaStream_t default_stream(int device) {
  static std::mutex mutex;
  static std::map<int, cudaStream_t>& streams = *new std::map<int, cudaStream_t>;  // outlives static tensors
  const std::lock_guard<std::mutex> guard(mutex);
  cudaStream_t& stream = streams[device];
  if (stream == nullptr) stream = new_stream(device);
  return stream;
}
cudaStream_t stream_on(int device) {
  return static_cast<cudaStream_t>(tandem::current_queue(tandem::Device::cuda(device)).stream);
}
void count_wait() { tandem::detail::wait_counter().fetch_add(1, std::memory_order_relaxed); }

void copy(int device, void* to, const void* from, std::int64_t bytes, cudaMemcpyKind kind) {
  if (bytes == 0) return;
  const DeviceScope scope(device);
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind, stream_on(device)), "a copy");
  if (kind != cudaMemcpyDeviceToDevice) {
    count_wait();
    check(cudaStreamSynchronize(stream_on(device)), "cudaStreamSynchronize");
  }
}

/// Fills the table while the program starts; the library is linked whole, so this object is kept.
const bool registered = [] {
  tandem::DeviceInterface& table = tandem::cuda_interface();
  table.name = "CUDA";
  table.device_count = device_count;
  table.allocate = [](int device, std::int64_t bytes) { return pool().allocate(device, bytes); };
  table.deallocate = [](int device, void* block, std::int64_t bytes) {
    pool().deallocate(device, block, bytes);
  };
  table.copy_to_device = [](int device, void* to, const void* from, std::int64_t bytes) {
    copy(device, to, from, bytes, cudaMemcpyHostToDevice);
  };
  table.copy_to_host = [](int device, void* to, const void* from, std::int64_t bytes) {
    copy(device, to, from, bytes, cudaMemcpyDeviceToHost);
  };
  table.copy_on_device = [](int device, void* to, const void* from, std::int64_t bytes) {
    copy(device, to, from, bytes, cudaMemcpyDeviceToDevice);
  };
  table.copy_strided = [](int device, const tandem::StridedCopy& copy) {
    Queue queue = tandem::current_queue(tandem::Device::cuda(device));
    copy_strided(queue, copy);
  };
  table.fill = [](int device, void* to, std::int64_t element_bytes, std::uint64_t bits, std::int64_t n) {
    Queue queue = tandem::current_queue(tandem::Device::cuda(device));
    fill(queue, to, element_bytes, bits, n);
  };
  table.synchronize = [](int device) {
    const DeviceScope scope(device);
    count_wait();
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  };
  table.default_stream = [](int device) -> void* { return default_stream(device); };
  table.create_stream = [](int device) -> void* { return new_stream(device); };
  table.create_event = [](int device) -> void* {
    const DeviceScope scope(device);
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
    return event;
  };
  table.destroy_event = [](void* event) { (void)cudaEventDestroy(static_cast<cudaEvent_t>(event)); };
  table.record_event = [](void* event, int device, void* stream) {
    const DeviceScope scope(device);
    check(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)), "cudaEventRecord");
  };
  table.wait_event = [](void* event, int device, void* stream) {
    const DeviceScope scope(device);
    check(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(event), 0),
          "cudaStreamWaitEvent");
  };
  table.synchronize_event = [](void* event) {
    count_wait();
    check(cudaEventSynchronize(static_cast<cudaEvent_t>(event)), "cudaEventSynchronize");
  };
  return true;
}();

}  // namespace

cublasHandle_t blas_handle(const Queue& queue) {
  struct Handles {
    std::map<int, cublasHandle_t> of_device;
    ~Handles() {
      for (const auto& [device, handle] : of_device) (void)cublasDestroy(handle);
    }
  };
  thread_local Handles handles;
  auto found = handles.of_device.find(queue.device.index());
  if (found == handles.of_device.end()) {
    cublasHandle_t handle = nullptr;
    check_blas(cublasCreate(&handle), "cublasCreate");
    check_blas(cublasSetMathMode(handle, CUBLAS_PEDANTIC_MATH), "cublasSetMathMode");
    found = handles.of_device.emplace(queue.device.index(), handle).first;
  }
  check_blas(cublasSetStream(found->second, static_cast<cudaStream_t>(queue.stream)), "cublasSetStream");
  return found->second;
}

}  // namespace tandem_kernels
