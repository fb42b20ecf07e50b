/// The memory of CUDA's devices: an arena (arena.hpp) and a way from the host (staging.hpp) for
/// each.
///
/// TANDEM_CUDA_POOL=0 in the environment, read when a device is first used, gives every request to
/// CUDA as it is, for tools that watch the memory.

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime.cuh"

namespace tandem_kernels {

void count_wait() { tandem::detail::wait_counter().fetch_add(1, std::memory_order_relaxed); }

namespace {

using tandem::cuda::check;
using tandem::cuda::DeviceScope;

class CudaMemory final : public MemoryDriver {
 public:
  explicit CudaMemory(int device) : device_(device) {}

  void* allocate(std::int64_t bytes) override {
    const Here here(device_);
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, static_cast<std::size_t>(bytes));
    if (status == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      return nullptr;
    }
    check(status, "cudaMalloc");
    return memory;
  }
  void release(void* memory) noexcept override {
    const RelaxedCapture relaxed;
    (void)cudaFree(memory);  // of whichever device
  }
  std::int64_t free_bytes() override {
    const Here here(device_);
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    return static_cast<std::int64_t>(free);
  }
  bool wait_for_all() override {
    if (captures_running() > 0)
      return false;  // of any thread: waiting for the device would break it
    const DeviceScope scope(device_);
    count_wait();
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    return true;
  }
  Mark mark(Stream stream) override {
    const Here here(device_);
    const auto target = static_cast<cudaStream_t>(stream);
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(target, &status), "cudaStreamIsCapturing");
    if (status != cudaStreamCaptureStatusNone) return nullptr;
    cudaEvent_t event = nullptr;
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      if (!spare_.empty()) {
        event = spare_.back();
        spare_.pop_back();
      }
    }
    if (event == nullptr)
      check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
    check(cudaEventRecord(event, target), "cudaEventRecord");
    return event;
  }
  bool passed(Mark mark) override {
    const Here here(device_);
    const cudaError_t status = cudaEventQuery(static_cast<cudaEvent_t>(mark));
    if (status == cudaErrorNotReady) {
      (void)cudaGetLastError();
      return false;
    }
    check(status, "cudaEventQuery");
    return true;
  }
  void wait(Mark mark) override {
    const Here here(device_);
    count_wait();
    check(cudaEventSynchronize(static_cast<cudaEvent_t>(mark)), "cudaEventSynchronize");
  }
  void forget(Mark mark) override {
    const std::lock_guard<std::mutex> guard(mutex_);
    spare_.push_back(static_cast<cudaEvent_t>(mark));
  }
  std::uint64_t capture_here() override { return graph_pool_here(); }

 private:
  struct Here {
    explicit Here(int device) : scope(device) {}
    DeviceScope scope;
    RelaxedCapture relaxed;
  };
  const int device_;
  std::mutex mutex_;
  std::vector<cudaEvent_t> spare_;
};

bool pool_keeps() {
  const char* const value = std::getenv("TANDEM_CUDA_POOL");
  return value == nullptr || value[0] != '0';
}

struct Memory {
  explicit Memory(int device)
      : driver(device), arena(driver, tandem::Device::cuda(device).str(), pool_keeps()) {}
  CudaMemory driver;
  Arena arena;
  std::once_flag pinned_once;
  std::unique_ptr<Staging> pinned;
};

/// Never destroyed: tensors in static storage may be released after any static object.
Memory& memory(int device) {
  static std::mutex& mutex = *new std::mutex;
  static auto& all = *new std::map<int, std::unique_ptr<Memory>>;
  const std::lock_guard<std::mutex> guard(mutex);
  std::unique_ptr<Memory>& found = all[device];
  if (found == nullptr) found = std::make_unique<Memory>(device);
  return *found;
}

[[maybe_unused]] const bool registered = [] {
  tandem::DeviceInterface& table = tandem::cuda_interface();
  table.allocate = [](int device, std::int64_t bytes) {
    return arena(device).allocate(bytes,
                                  tandem::current_queue(tandem::Device::cuda(device)).stream);
  };
  table.deallocate = [](int device, void* block, std::int64_t) { arena(device).deallocate(block); };
  table.memory_stats = [](int device) { return arena(device).stats(); };
  table.free_memory = [](int device) { return memory(device).driver.free_bytes(); };
  table.reset_peak_memory = [](int device) { arena(device).reset_peak_memory(); };
  table.release_kept_memory = [](int device) { arena(device).release_kept_memory(); };
  table.record_use = [](int device, const void* pointer, void* stream) {
    arena(device).record_use(pointer, stream);
  };
  return true;
}();

}  // namespace

Arena& arena(int device) { return memory(device).arena; }

Staging& staging(int device) {
  Memory& there = memory(device);
  std::call_once(there.pinned_once, [&] {
    constexpr std::int64_t bytes = std::int64_t{8} << 20;
    const DeviceScope scope(device);
    const RelaxedCapture relaxed;
    void* pinned = nullptr;
    check(cudaHostAlloc(&pinned, static_cast<std::size_t>(bytes), cudaHostAllocDefault),
          "cudaHostAlloc");
    there.pinned = std::make_unique<Staging>(there.driver, pinned, bytes);
  });
  return *there.pinned;
}

}  // namespace tandem_kernels
