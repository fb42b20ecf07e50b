#include "runtime.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "sanitizers.hpp"

struct Work {
  std::uint64_t sequence;
  const char* what;
  const void* kernel;
  std::function<void()> run;
};

struct SimtStream {
  int device;
  std::deque<Work> queue;
};

namespace simt {
namespace {

constexpr std::size_t arena_bytes = std::size_t{256} << 20, red_zone = 256, alignment = 256;

struct Allocation {
  std::size_t bytes, room;
};

struct DeviceState {
  unsigned char* arena = nullptr;
  std::size_t used = 0;
  int open = 0;
  std::map<unsigned char*, Allocation> live;
  std::deque<std::pair<unsigned char*, std::size_t>> freed;  // oldest first
  SimtStream default_stream{0, {}};
  std::set<SimtStream*> streams;
};

class Runtime {
 public:
  static Runtime& instance() {
    static Runtime* const runtime = new Runtime;  // tensors in static storage may outlive it otherwise
    return *runtime;
  }

  std::recursive_mutex mutex;
  DeviceState devices[device_count];
  std::map<const void*, int> shared_allowed;
  std::set<std::string> kernels;
  std::exception_ptr pending;
  std::uint64_t sequence = 0;

  DeviceState& current();

  /// A kernel's fault that could not be thrown where it was found.
  void raise_pending() {
    if (pending) std::rethrow_exception(std::exchange(pending, nullptr));
  }

  /// Executes a stream's work up to a number, in the order that CUDA's legacy default stream promises: its
  /// work waits for all earlier work of the device, and all later work waits for it.
  void drain(SimtStream& stream, std::uint64_t last) {
    DeviceState& device = devices[stream.device];
    while (!stream.queue.empty() && stream.queue.front().sequence <= last) {
      const Work work = std::move(stream.queue.front());
      stream.queue.pop_front();
      if (&stream == &device.default_stream) {
        for (SimtStream* other : device.streams) drain(*other, work.sequence);
      } else {
        drain(device.default_stream, work.sequence);
      }
      execute(device, work);
    }
  }
  void synchronize(int index) {
    DeviceState& device = devices[index];
    try {
      drain(device.default_stream, ~std::uint64_t{0});
      for (SimtStream* stream : device.streams) drain(*stream, ~std::uint64_t{0});
    } catch (...) {  // what was queued behind a fault never runs
      drop(device);
      throw;
    }
  }
  void synchronize(SimtStream& stream) {
    try {
      drain(stream, ~std::uint64_t{0});
    } catch (...) {
      drop(devices[stream.device]);
      throw;
    }
  }

  /// The allocation of `device` in which all of [pointer, pointer + bytes) lies?
  bool holds(const DeviceState& device, const void* pointer, std::size_t bytes) const {
    auto* const p = static_cast<unsigned char*>(const_cast<void*>(pointer));
    auto found = device.live.upper_bound(p);
    if (found == device.live.begin()) return false;
    --found;
    return p + bytes <= found->first + found->second.bytes;
  }
  bool in_an_arena(const void* pointer) const {
    const auto* p = static_cast<const unsigned char*>(pointer);
    for (const DeviceState& device : devices) {
      if (device.arena != nullptr && p >= device.arena && p < device.arena + arena_bytes) return true;
    }
    return false;
  }

  /// Makes a device's memory accessible for a scope.
  class Open {
   public:
    explicit Open(DeviceState& device) : device_(device) { protect(++device_.open); }
    ~Open() { protect(--device_.open); }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    void protect(int open) const {
      if (device_.used == 0) return;
      mprotect(device_.arena, arena_bytes, open > 0 ? PROT_READ | PROT_WRITE : PROT_NONE);
    }
    DeviceState& device_;
  };

  cudaError_t allocate(DeviceState& device, void** out, std::size_t bytes) {
    const std::size_t room = (bytes + alignment - 1) / alignment * alignment + red_zone;
    if (device.arena == nullptr) {
      void* const arena = mmap(nullptr, arena_bytes, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (arena == MAP_FAILED) return cudaErrorMemoryAllocation;
      device.arena = static_cast<unsigned char*>(arena);
#if defined(MADV_HUGEPAGE)
      madvise(arena, arena_bytes, MADV_HUGEPAGE);  // opened and closed for every queued item: few pages
#endif
    }
    unsigned char* block = nullptr;
    for (auto it = device.freed.begin(); it != device.freed.end(); ++it) {
      // Memory is not given out again soon, so that a use after free finds nothing that looks right.
      if (it->second != room || device.freed.size() < 64) continue;
      block = it->first;
      device.freed.erase(it);
      break;
    }
    if (block == nullptr) {
      if (device.used == 0) device.used = red_zone;
      if (bytes > arena_bytes || device.used + room > arena_bytes) return cudaErrorMemoryAllocation;
      block = device.arena + device.used;
      device.used += room;
      const Open open(device);
      if (block == device.arena + red_zone) {
        std::memset(device.arena, 0xff, red_zone);
        forbid(device.arena, red_zone);
      }
      std::memset(block, 0xff, room);
    }
    forbid(block, room);
    permit(block, bytes);
    device.live[block] = {bytes, room};
    *out = block;
    return cudaSuccess;
  }

  bool release(DeviceState& device, void* pointer) {
    const auto found = device.live.find(static_cast<unsigned char*>(pointer));
    if (found == device.live.end()) return false;
    const Open open(device);
    std::memset(found->first, 0xff, found->second.bytes);
    forbid(found->first, found->second.room);
    device.freed.emplace_back(found->first, found->second.room);
    device.live.erase(found);
    return true;
  }

 private:
  void execute(DeviceState& device, const Work& work) {
    const Open open(device);
    work.run();
    check_red_zones(device, work);
  }

  void check_red_zones(const DeviceState& device, const Work& work) const {
    if (SIMT_ASAN) return;  // which has stopped at the write itself
    const auto check = [&](const unsigned char* begin, const unsigned char* end,
                           const unsigned char* from, const char* side, std::size_t bytes) {
      for (const unsigned char* p = begin; p < end; ++p) {
        if (*p == 0xff) continue;
        throw Fault(std::string("[simt] ") +
                    (work.kernel != nullptr ? "kernel " + kernel_name(work.kernel) : work.what) +
                    " wrote outside an allocation of " + std::to_string(bytes) + " bytes, " +
                    std::to_string(p < from ? from - p : p - from) + " bytes " + side);
      }
    };
    for (const auto& [block, allocation] : device.live) {
      const unsigned char* const end = block + allocation.bytes;
      check(block - red_zone, block, block, "before it", allocation.bytes);
      check(end, block + allocation.room, end, "behind its end", allocation.bytes);
    }
  }

  void drop(DeviceState& device) {
    device.default_stream.queue.clear();
    for (SimtStream* stream : device.streams) stream->queue.clear();
  }
};

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;
thread_local std::string last_detail;

DeviceState& Runtime::current() { return devices[current_device]; }

cudaError_t failed(cudaError_t status, std::string detail = "") {
  last_error = status;
  last_detail = std::move(detail);
  return status;
}

/// The stream behind a handle, which must belong to the current device; null otherwise.
SimtStream* find(Runtime& runtime, cudaStream_t stream) {
  DeviceState& device = runtime.current();
  device.default_stream.device = current_device;
  if (stream == nullptr) return &device.default_stream;
  return device.streams.count(stream) > 0 ? stream : nullptr;
}

cudaError_t queue(cudaStream_t handle, const char* what, const void* kernel,
                  std::function<void()> work) {
  Runtime& runtime = Runtime::instance();
  runtime.raise_pending();
  SimtStream* const stream = find(runtime, handle);
  if (stream == nullptr) {
    return failed(cudaErrorInvalidResourceHandle, "the stream is not one of the current device");
  }
  stream->queue.push_back({++runtime.sequence, what, kernel, std::move(work)});
  return cudaSuccess;
}

}  // namespace

cudaError_t queue_work(cudaStream_t stream, const char* what, std::function<void()> work) {
  const std::lock_guard<std::recursive_mutex> guard(Runtime::instance().mutex);
  return queue(stream, what, nullptr, std::move(work));
}

std::size_t live_bytes() {
  std::size_t bytes = 0;
  for (const DeviceState& device : Runtime::instance().devices) {
    for (const auto& entry : device.live) bytes += entry.second.bytes;
  }
  return bytes;
}

std::string launched_kernels() {
  std::string out;
  for (const std::string& name : Runtime::instance().kernels) out += name + "\n";
  return out;
}

cudaError_t allow_shared(const void* kernel, int bytes) {
  Runtime& runtime = Runtime::instance();
  const std::lock_guard<std::recursive_mutex> guard(runtime.mutex);
  if (bytes < 0 || static_cast<std::size_t>(bytes) > shared_limit) {
    return failed(cudaErrorInvalidValue, std::to_string(bytes) + " bytes of shared memory, at most " +
                                             std::to_string(shared_limit) + " are allowed");
  }
  runtime.shared_allowed[kernel] = bytes;
  return cudaSuccess;
}

cudaError_t queue_launch(const void* kernel, dim3 grid, dim3 block, std::size_t shared,
                         cudaStream_t stream, std::function<void()> thread) {
  Runtime& runtime = Runtime::instance();
  const std::lock_guard<std::recursive_mutex> guard(runtime.mutex);
  const auto shape = [](const dim3& d) {
    return std::to_string(d.x) + " x " + std::to_string(d.y) + " x " + std::to_string(d.z);
  };
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || block.x > 1024 || block.y > 1024 || block.z > 64 || threads > 1024) {
    return failed(cudaErrorInvalidConfiguration,
                  "a block of " + shape(block) + " threads, at most 1024 are allowed");
  }
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 ||
      grid.z > 65535) {
    return failed(cudaErrorInvalidConfiguration, "a grid of " + shape(grid) + " blocks");
  }
  const auto allowed = runtime.shared_allowed.find(kernel);
  const std::size_t limit = allowed != runtime.shared_allowed.end()
                                ? std::max<std::size_t>(static_shared_limit,
                                                        static_cast<std::size_t>(allowed->second))
                                : static_shared_limit;
  if (shared > limit) {
    return failed(cudaErrorInvalidValue, std::to_string(shared) + " bytes of shared memory, " +
                                             std::to_string(limit) + " are allowed for this kernel");
  }
  runtime.kernels.insert(kernel_name(kernel));
  return queue(stream, "a launch", kernel,
               [launch = Launch{kernel, grid, block, shared, std::move(thread)}] { run(launch); });
}

}  // namespace simt

using simt::failed;
using simt::Runtime;
using Guard = std::lock_guard<std::recursive_mutex>;

const char* cudaGetErrorString(cudaError_t status) {
  static thread_local std::string text;
  switch (status) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      text = "invalid argument";
      break;
    case cudaErrorMemoryAllocation:
      text = "out of memory";
      break;
    case cudaErrorInvalidConfiguration:
      text = "invalid configuration argument";
      break;
    case cudaErrorInvalidDevice:
      text = "invalid device ordinal";
      break;
    case cudaErrorInvalidResourceHandle:
      text = "invalid resource handle";
      break;
  }
  if (!simt::last_detail.empty()) text += ": " + simt::last_detail;
  return text.c_str();
}
cudaError_t cudaGetLastError() { return std::exchange(simt::last_error, cudaSuccess); }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = simt::device_count;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = simt::current_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= simt::device_count) return failed(cudaErrorInvalidDevice);
  simt::current_device = device;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  runtime.raise_pending();
  runtime.synchronize(simt::current_device);
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  *stream = new SimtStream{simt::current_device, {}};
  runtime.current().streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  if (stream == nullptr || simt::find(runtime, stream) == nullptr) {
    return failed(cudaErrorInvalidResourceHandle);
  }
  runtime.synchronize(*stream);
  runtime.current().streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  runtime.raise_pending();
  SimtStream* const found = simt::find(runtime, stream);
  if (found == nullptr) return failed(cudaErrorInvalidResourceHandle);
  runtime.synchronize(*found);
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  const cudaError_t status = runtime.allocate(runtime.current(), pointer, bytes);
  return status == cudaSuccess ? status : failed(status);
}
cudaError_t cudaFree(void* pointer) {
  if (pointer == nullptr) return cudaSuccess;
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  for (int index = 0; index < simt::device_count; ++index) {
    simt::DeviceState& device = runtime.devices[index];
    if (device.live.count(static_cast<unsigned char*>(pointer)) == 0) continue;
    try {
      runtime.synchronize(index);
    } catch (...) {  // callers are destructors: the fault is thrown by the next call
      runtime.pending = std::current_exception();
    }
    runtime.release(device, pointer);
    return cudaSuccess;
  }
  return failed(cudaErrorInvalidValue, "cudaFree of what is not allocated");
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  const simt::DeviceState& device = runtime.current();
  const bool to_device = kind != cudaMemcpyDeviceToHost, from_device = kind != cudaMemcpyHostToDevice;
  if (to_device ? !runtime.holds(device, to, bytes) : runtime.in_an_arena(to)) {
    return failed(cudaErrorInvalidValue, "the target of a copy does not lie where its kind says");
  }
  if (from_device ? !runtime.holds(device, from, bytes) : runtime.in_an_arena(from)) {
    return failed(cudaErrorInvalidValue, "the source of a copy does not lie where its kind says");
  }
  if (from_device) {
    return simt::queue(stream, "a copy", nullptr, [=] { std::memmove(to, from, bytes); });
  }
  // Pageable host memory is read before the call returns.
  const auto* bytes_now = static_cast<const char*>(from);
  return simt::queue(stream, "a copy", nullptr,
                     [to, staged = std::vector<char>(bytes_now, bytes_now + bytes)] {
                       std::memcpy(to, staged.data(), staged.size());
                     });
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  if (!runtime.holds(runtime.current(), to, bytes)) {
    return failed(cudaErrorInvalidValue, "cudaMemsetAsync outside an allocation");
  }
  return simt::queue(stream, "cudaMemsetAsync", nullptr, [=] { std::memset(to, value, bytes); });
}
