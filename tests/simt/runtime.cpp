#include "runtime.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "runtime_state.hpp"
#include "sanitizers.hpp"

namespace simt {

thread_local int current_device = 0;
thread_local cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;

namespace {
thread_local cudaError_t last_error = cudaSuccess;
thread_local std::string last_detail;
}  // namespace

cudaError_t failed(cudaError_t status, std::string detail) {
  last_error = status;
  last_detail = std::move(detail);
  return status;
}

SimtStream* find(Runtime& runtime, cudaStream_t stream) {
  DeviceState& device = runtime.current();
  device.default_stream.device = current_device;
  if (stream == nullptr) return &device.default_stream;
  return device.streams.count(stream) > 0 ? stream : nullptr;
}

bool breaks_capture(Runtime& runtime, const char* what, bool unless_relaxed) {
  if (unless_relaxed && capture_mode == cudaStreamCaptureModeRelaxed) return false;
  bool captured = false;
  for (SimtStream* stream : runtime.current().streams) {
    if (stream->capture == nullptr) continue;
    captured = true;
    if (stream->capture->broken.empty()) stream->capture->broken = what;
  }
  return captured;
}

cudaError_t queue(cudaStream_t handle, const char* what, const void* kernel,
                  std::function<void()> work) {
  Runtime& runtime = Runtime::instance();
  runtime.raise_pending();
  SimtStream* const stream = find(runtime, handle);
  if (stream == nullptr) {
    return failed(cudaErrorInvalidResourceHandle, "the stream is not one of the current device");
  }
  if (stream->capture != nullptr) {
    stream->capture->work.push_back({0, what, kernel, std::move(work)});
    return cudaSuccess;
  }
  if (handle == nullptr && breaks_capture(runtime, "work on the default stream")) {
    return failed(cudaErrorStreamCaptureUnsupported,
                  "the default stream while another one is captured");
  }
  stream->queue.push_back({++runtime.sequence, what, kernel, std::move(work)});
  return cudaSuccess;
}

cudaError_t queue_work(cudaStream_t stream, const char* what, std::function<void()> work) {
  const std::lock_guard<std::recursive_mutex> guard(Runtime::instance().mutex);
  return queue(stream, what, nullptr, std::move(work));
}

void leave_memory(std::int64_t bytes) {
  static const std::size_t all = device_bytes();
  const std::size_t used = Runtime::instance().current().used;
  device_bytes() = bytes < 0 ? all : std::min(all, used + static_cast<std::size_t>(bytes));
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

std::string argument_problem(std::size_t number, const void* bytes, std::size_t size,
                             bool pointer) {
  const Runtime& runtime = Runtime::instance();
  const DeviceState& device = runtime.devices[current_device];
  const std::string which = "argument " + std::to_string(number + 1);
  // A structure is looked through for what can only be an address: of an arena, or of mapped host
  // memory.
  for (std::size_t at = 0; at + sizeof(void*) <= size; at += sizeof(void*)) {
    const void* value = nullptr;
    std::memcpy(&value, static_cast<const char*>(bytes) + at, sizeof value);
    if (value == nullptr) continue;
    const std::string place =
        pointer ? which + " is" : which + " holds, at byte " + std::to_string(at) + ",";
    if (runtime.in_an_arena(value)) {
      if (!runtime.holds(device, value, 0)) {
        return place + " a pointer to memory that is not allocated on the current device";
      }
      continue;
    }
    const auto address = reinterpret_cast<std::uintptr_t>(value);
    const std::uintptr_t page = address & ~std::uintptr_t{4095};
    unsigned char resident = 0;
    // AddressSanitizer's shadow is mapped, but nobody points there; two numbers of 32 bits look as
    // if they did.
    const bool shadow = SIMT_ASAN != 0 && address >= 0x7fff8000 && address < 0x10007fff8000;
    const bool mapped =
        address >= 65536 && !shadow && mincore(reinterpret_cast<void*>(page), 1, &resident) == 0;
    if (mapped) return place + " a host pointer";
    if (pointer) return place + " no pointer to device memory";
  }
  return "";
}

cudaError_t refuse_launch(const void* kernel, const std::string& problem) {
  return failed(cudaErrorInvalidValue, "kernel " + kernel_name(kernel) + ": " + problem);
}

cudaError_t allow_shared(const void* kernel, int bytes) {
  Runtime& runtime = Runtime::instance();
  const std::lock_guard<std::recursive_mutex> guard(runtime.mutex);
  if (bytes < 0 || static_cast<std::size_t>(bytes) > shared_limit) {
    return failed(cudaErrorInvalidValue, std::to_string(bytes) +
                                             " bytes of shared memory, at most " +
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
  // What the kernel declares itself is known, and counted with this, when a block meets it.
  const auto allowed = runtime.shared_allowed.find(kernel);
  const std::size_t granted = allowed != runtime.shared_allowed.end()
                                  ? static_cast<std::size_t>(allowed->second)
                                  : 0,
                    limit = granted > 0 ? granted : static_shared_limit;
  if (shared > limit) {
    return failed(cudaErrorInvalidValue, std::to_string(shared) + " bytes of shared memory, " +
                                             std::to_string(limit) +
                                             " are allowed for this kernel");
  }
  runtime.kernels.insert(kernel_name(kernel));
  return queue(
      stream, "a launch", kernel,
      [launch = Launch{kernel, grid, block, shared, std::move(thread), granted}] { run(launch); });
}

}  // namespace simt

using simt::failed;
using simt::Guard;
using simt::Runtime;

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
    case cudaErrorIllegalState:
      text = "the operation cannot be performed in the present state";
      break;
    case cudaErrorNotReady:
      text = "device not ready";
      break;
    case cudaErrorStreamCaptureUnsupported:
      text = "operation not permitted when stream is capturing";
      break;
    case cudaErrorStreamCaptureInvalidated:
      text = "operation failed due to a previous error during capture";
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
cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  if (simt::breaks_capture(runtime, "cudaMalloc", true)) {
    return failed(cudaErrorStreamCaptureUnsupported, "cudaMalloc while a stream is captured");
  }
  const cudaError_t status = runtime.allocate(runtime.current(), pointer, bytes);
  return status == cudaSuccess ? status : failed(status);
}
cudaError_t cudaFree(void* pointer) {
  if (pointer == nullptr) return cudaSuccess;
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  if (simt::breaks_capture(runtime, "cudaFree", true)) {
    return failed(cudaErrorStreamCaptureUnsupported, "cudaFree while a stream is captured");
  }
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
cudaError_t cudaMallocAsync(void** pointer, std::size_t bytes, cudaStream_t stream) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  if (simt::find(runtime, stream) == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (simt::breaks_capture(runtime, "cudaMallocAsync")) {
    return failed(cudaErrorStreamCaptureUnsupported, "cudaMallocAsync while a stream is captured");
  }
  const cudaError_t status = runtime.allocate(runtime.current(), pointer, bytes);
  return status == cudaSuccess ? status : failed(status);
}
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  if (pointer == nullptr) return cudaSuccess;
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  simt::DeviceState& device = runtime.current();
  if (device.live.count(static_cast<unsigned char*>(pointer)) == 0) {
    return failed(cudaErrorInvalidValue,
                  "cudaFreeAsync of what is not allocated on the current device");
  }
  return simt::queue(stream, "cudaFreeAsync", nullptr,
                     [&runtime, &device, pointer] { runtime.release(device, pointer); });
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  const std::size_t used = runtime.current().used;
  *total = simt::device_bytes();
  *free = used < *total ? *total - used : 0;
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  void* const memory =
      std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096 + (bytes == 0 ? 4096 : 0));
  if (memory == nullptr) return failed(cudaErrorMemoryAllocation);
  simt::fill_unseen(memory, simt::poison(), bytes);
  runtime.pinned[static_cast<unsigned char*>(memory)] = bytes;
  *pointer = memory;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* pointer) {
  if (pointer == nullptr) return cudaSuccess;
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  if (runtime.pinned.erase(static_cast<unsigned char*>(pointer)) == 0) {
    return failed(cudaErrorInvalidValue, "cudaFreeHost of what is not pinned memory");
  }
  for (int index = 0; index < simt::device_count; ++index) runtime.synchronize(index);
  std::free(pointer);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  const simt::DeviceState& device = runtime.current();
  const bool to_device = kind != cudaMemcpyDeviceToHost,
             from_device = kind != cudaMemcpyHostToDevice;
  if (to_device ? !runtime.holds(device, to, bytes) : runtime.in_an_arena(to)) {
    return failed(cudaErrorInvalidValue, "the target of a copy does not lie where its kind says");
  }
  if (from_device ? !runtime.holds(device, from, bytes) : runtime.in_an_arena(from)) {
    return failed(cudaErrorInvalidValue, "the source of a copy does not lie where its kind says");
  }
  const void* const host = kind == cudaMemcpyHostToDevice   ? from
                           : kind == cudaMemcpyDeviceToHost ? to
                                                            : nullptr;
  const bool pinned = host != nullptr && runtime.is_pinned(host, bytes);
  const SimtStream* const target = simt::find(runtime, stream);
  if (host != nullptr && !pinned && target != nullptr && target->capture != nullptr) {
    target->capture->broken = "a copy of pageable host memory";
    return failed(cudaErrorStreamCaptureUnsupported, "a copy of pageable host memory");
  }
  if (from_device || pinned) {
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
