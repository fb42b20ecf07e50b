#pragma once
/// What the files of the runtime share: devices, their memory, their streams. runtime.hpp says what
/// it promises.

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime.hpp"
#include "sanitizers.hpp"

struct Work {
  std::uint64_t sequence;
  const char* what;
  const void* kernel;
  std::function<void()> run;
};

/// Counts the graphs that live.
struct CountedGraph {
  static inline std::atomic<int> live = 0;
  CountedGraph() { ++live; }
  CountedGraph(const CountedGraph&) = delete;
  CountedGraph& operator=(const CountedGraph&) = delete;
  ~CountedGraph() { --live; }
};

struct SimtGraph : CountedGraph {
  std::vector<Work> work;
  std::string broken;  ///< why the capture cannot be ended
};

struct SimtStream {
  int device;
  std::deque<Work> queue;
  bool waits_for_default = true;  ///< not cudaStreamNonBlocking
  SimtGraph* capture = nullptr;   ///< where queued work goes instead
};

namespace simt {

inline constexpr std::size_t arena_bytes = std::size_t{256} << 20, red_zone = 256, alignment = 256;
/// What a device has: less where SIMT_DEVICE_MIB in the environment says so, for tests of programs
/// that run out of it, or leave_memory().
inline std::size_t& device_bytes() {
  static std::size_t bytes = [] {
    const char* const given = std::getenv("SIMT_DEVICE_MIB");
    const std::size_t wanted =
        given == nullptr ? arena_bytes : std::strtoull(given, nullptr, 10) << 20;
    return wanted < arena_bytes ? wanted : arena_bytes;
  }();
  return bytes;
}

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
    // Tensors in static storage may outlive it otherwise
    static Runtime* const runtime = new Runtime;
    return *runtime;
  }

  std::recursive_mutex mutex;
  DeviceState devices[device_count];
  std::map<const void*, int> shared_allowed;
  std::set<std::string> kernels;
  std::map<unsigned char*, std::size_t> pinned;  // host memory of cudaHostAlloc
  std::exception_ptr pending;
  std::uint64_t sequence = 0;

  DeviceState& current();

  /// A kernel's fault that could not be thrown where it was found.
  void raise_pending() {
    if (pending) std::rethrow_exception(std::exchange(pending, nullptr));
  }

  /// Executes a stream's work up to a number, in the order that CUDA's legacy default stream
  /// promises: its work waits for all earlier work of the device, and all later work waits for it.
  void drain(SimtStream& stream, std::uint64_t last) {
    DeviceState& device = devices[stream.device];
    while (!stream.queue.empty() && stream.queue.front().sequence <= last) {
      const Work work = std::move(stream.queue.front());
      stream.queue.pop_front();
      if (&stream == &device.default_stream) {
        for (SimtStream* other : device.streams) {
          if (other->waits_for_default) drain(*other, work.sequence);
        }
      } else if (stream.waits_for_default) {
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
  bool is_pinned(const void* pointer, std::size_t bytes) const {
    auto* const p = static_cast<unsigned char*>(const_cast<void*>(pointer));
    auto found = pinned.upper_bound(p);
    if (found == pinned.begin()) return false;
    --found;
    return p + bytes <= found->first + found->second;
  }
  bool in_an_arena(const void* pointer) const {
    const auto* p = static_cast<const unsigned char*>(pointer);
    for (const DeviceState& device : devices) {
      if (device.arena != nullptr && p >= device.arena && p < device.arena + arena_bytes)
        return true;
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
      void* const arena =
          mmap(nullptr, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (arena == MAP_FAILED) return cudaErrorMemoryAllocation;
      device.arena = static_cast<unsigned char*>(arena);
#if defined(MADV_HUGEPAGE)
      madvise(arena, arena_bytes,
              MADV_HUGEPAGE);  // opened and closed for every queued item: few pages
#endif
    }
    unsigned char* block = nullptr;
    for (auto it = device.freed.begin(); it != device.freed.end(); ++it) {
      // Memory is not given out again soon, so that a use after free finds nothing that looks
      // right.
      if (it->second != room || device.freed.size() < 64) continue;
      block = it->first;
      device.freed.erase(it);
      break;
    }
    if (block == nullptr) {
      if (device.used == 0) device.used = red_zone;
      if (bytes > arena_bytes || device.used + room > device_bytes())
        return cudaErrorMemoryAllocation;
      block = device.arena + device.used;
      device.used += room;
      const Open open(device);
      if (block == device.arena + red_zone) {
        fill_unseen(device.arena, fence(), red_zone);
        forbid(device.arena, red_zone);
      }
    }
    permit(block, room);
    {
      const Open open(device);
      fill_unseen(block, fence(), room);
      fill_unseen(block, poison(), bytes);
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
    fill_unseen(found->first, poison(), found->second.bytes);
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

  /// What lies in red zones. NaN shows what is read; a sum that is added to it leaves it as it is,
  /// so with even seeds it is a number of ordinary size.
  static constexpr std::uint32_t fences[] = {0x3f9d3f9du, 0xffffffffu};
  static std::uint32_t fence() { return fences[poison() == 0x5b5b5b5bu ? 0 : 1]; }
  /// The first byte of [begin, end) that differs from both fences, or `end`. (The seed may have
  /// changed since it was filled.)
  static const unsigned char* damage(const unsigned char* begin, const unsigned char* end) {
    const unsigned char* furthest = begin;
    for (const std::uint32_t fence : fences) {
      const unsigned char* p = begin;
      while (p < end && *p == (fence >> (reinterpret_cast<std::uintptr_t>(p) % 4 * 8) & 0xffu)) {
        ++p;
      }
      if (p > furthest) furthest = p;
    }
    return furthest;
  }

  void check_red_zones(const DeviceState& device, const Work& work) const {
    if (SIMT_ASAN) return;  // which has stopped at the write itself
    const auto check = [&](const unsigned char* begin, const unsigned char* end,
                           const unsigned char* from, const char* side, std::size_t bytes) {
      if (const unsigned char* const p = damage(begin, end); p != end) {
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

extern thread_local int current_device;
extern thread_local cudaStreamCaptureMode capture_mode;

inline DeviceState& Runtime::current() { return devices[current_device]; }

/// Remembers a failure for cudaGetLastError and cudaGetErrorString, and gives it back.
cudaError_t failed(cudaError_t status, std::string detail = "");
/// The stream behind a handle, which must belong to the current device; null otherwise.
SimtStream* find(Runtime& runtime, cudaStream_t stream);
/// Queues work on a stream, or records it where the stream is captured.
cudaError_t queue(cudaStream_t handle, const char* what, const void* kernel,
                  std::function<void()> work);
/// Whether some stream of the current device is captured; then nothing may wait, nor touch the
/// default stream. The capture that `what` breaks is told so. `unless_relaxed`: a relaxed thread
/// may do it.
bool breaks_capture(Runtime& runtime, const char* what, bool unless_relaxed = false);

using Guard = std::lock_guard<std::recursive_mutex>;

}  // namespace simt
