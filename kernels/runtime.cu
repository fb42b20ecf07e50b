/// The CUDA side of tandem's device interface: devices, copies, streams, events, cuBLASLt handles.
/// memory.cu has the memory, graph.cu the graphs.

#include <map>
#include <mutex>

#include "runtime.cuh"

namespace tandem_kernels {
namespace {

using tandem::cuda::check;
using tandem::cuda::DeviceScope;

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
  // Outlives static tensors
  static std::map<int, cudaStream_t>& streams = *new std::map<int, cudaStream_t>;
  const std::lock_guard<std::mutex> guard(mutex);
  cudaStream_t& stream = streams[device];
  if (stream == nullptr) stream = new_stream(device);
  return stream;
}
cudaStream_t stream_on(int device) {
  return static_cast<cudaStream_t>(tandem::current_queue(tandem::Device::cuda(device)).stream);
}

void queue_copy(int device, void* to, const void* from, std::int64_t bytes, cudaMemcpyKind kind) {
  const DeviceScope scope(device);
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind, stream_on(device)),
        "a copy");
}
void copy_to_device(int device, void* to, const void* from, std::int64_t bytes) {
  if (bytes == 0) return;
  TANDEM_CHECK(!tandem::capturing(tandem::current_queue(tandem::Device::cuda(device))), "graph",
               "a copy from the host while a graph is captured would repeat the same bytes: do it "
               "before the capture, "
               "into a tensor on the GPU");
  staging(device).upload(
      from, bytes, stream_on(device), [=](const void* pinned, std::int64_t at, std::int64_t n) {
        queue_copy(device, static_cast<char*>(to) + at, pinned, n, cudaMemcpyHostToDevice);
      });
}
void copy_to_host(int device, void* to, const void* from, std::int64_t bytes) {
  if (bytes == 0) return;
  refuse_waiting("a copy to the host (item(), to(cpu), printing)");
  queue_copy(device, to, from, bytes, cudaMemcpyDeviceToHost);
  count_wait();
  const DeviceScope scope(device);
  check(cudaStreamSynchronize(stream_on(device)), "cudaStreamSynchronize");
}

/// Fills the table while the program starts; the library is linked whole, so this object is kept.
const bool registered = [] {
  tandem::DeviceInterface& table = tandem::cuda_interface();
  table.version = TANDEM_VERSION_STRING;
  table.name = "CUDA";
  table.device_count = device_count;
  table.copy_to_device = copy_to_device;
  table.copy_to_host = copy_to_host;
  table.copy_on_device = [](int device, void* to, const void* from, std::int64_t bytes) {
    if (bytes > 0) queue_copy(device, to, from, bytes, cudaMemcpyDeviceToDevice);
  };
  table.allocate_pinned = [](int device, std::int64_t bytes) {
    const DeviceScope scope(device);
    const RelaxedCapture relaxed;
    void* pinned = nullptr;
    check(cudaHostAlloc(&pinned, static_cast<std::size_t>(bytes), cudaHostAllocDefault),
          "cudaHostAlloc");
    return pinned;
  };
  table.free_pinned = [](void* pinned) {
    const RelaxedCapture relaxed;
    (void)cudaFreeHost(pinned);
  };
  table.copy_to_pinned = [](int device, void* pinned, const void* from, std::int64_t bytes) {
    queue_copy(device, pinned, from, bytes, cudaMemcpyDeviceToHost);
  };
  table.copy_strided = [](int device, const tandem::StridedCopy& copy) {
    Queue queue = tandem::current_queue(tandem::Device::cuda(device));
    copy_strided(queue, copy);
  };
  table.fill = [](int device, void* to, std::int64_t element_bytes, std::uint64_t bits,
                  std::int64_t n) {
    Queue queue = tandem::current_queue(tandem::Device::cuda(device));
    fill(queue, to, element_bytes, bits, n);
  };
  table.synchronize = [](int device) {
    TANDEM_CHECK(captures_running() == 0, "graph",
                 "nothing may wait for a whole device while a graph is captured");
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
  table.destroy_event = [](void* event) {
    (void)cudaEventDestroy(static_cast<cudaEvent_t>(event));
  };
  table.record_event = [](void* event, int device, void* stream) {
    const DeviceScope scope(device);
    check(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)),
          "cudaEventRecord");
  };
  table.wait_event = [](void* event, int device, void* stream) {
    const DeviceScope scope(device);
    check(
        cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(event), 0),
        "cudaStreamWaitEvent");
  };
  table.synchronize_event = [](void* event) {
    refuse_waiting("Event::synchronize()");
    count_wait();
    check(cudaEventSynchronize(static_cast<cudaEvent_t>(event)), "cudaEventSynchronize");
  };
  return true;
}();

}  // namespace

cublasLtHandle_t blas_handle(const Queue& queue) {
  struct Handles {
    std::map<int, cublasLtHandle_t> of_device;
    ~Handles() {
      for (const auto& [device, handle] : of_device) (void)cublasLtDestroy(handle);
    }
  };
  thread_local Handles handles;
  auto found = handles.of_device.find(queue.device.index());
  if (found == handles.of_device.end()) {
    const DeviceScope scope(queue.device.index());
    cublasLtHandle_t handle = nullptr;
    check_blas(cublasLtCreate(&handle), "cublasLtCreate");
    found = handles.of_device.emplace(queue.device.index(), handle).first;
  }
  return found->second;
}

}  // namespace tandem_kernels
