/// Graphs: what is put into a stream between begin_capture and end_capture, started by one call
/// (cuda/graph.hpp).

#include <atomic>
#include <exception>
#include <string>
#include <utility>

#include "runtime.cuh"

namespace tandem_kernels {
namespace {

using tandem::cuda::check;
using tandem::cuda::DeviceScope;

struct Captured {
  int device;
  cudaStream_t stream;
  std::uint64_t number;  // of its pool
  cudaGraphExec_t exec = nullptr;
};

std::atomic<int> running = 0;

std::uint64_t& this_thread() {
  thread_local std::uint64_t number = 0;
  return number;
}

bool is_capturing(int device, void* stream) {
  const DeviceScope scope(device);
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(static_cast<cudaStream_t>(stream), &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

bool& uses_pool() {
  thread_local bool uses = true;
  return uses;
}

void* begin_capture(int device, void* stream, void* beside) {
  static std::atomic<std::uint64_t> last = 0;
  TANDEM_CHECK(capture_here() == 0, "graph", "this thread captures a graph already");
  TANDEM_CHECK(!is_capturing(device, stream), "graph",
               "the queue is captured already, by another thread");
  const auto* const other = static_cast<const Captured*>(beside);
  TANDEM_CHECK(other == nullptr || (other->device == device && other->stream == stream), "graph",
               "memory is shared with a graph of another queue, whose replays may come meanwhile");
  const Queue queue{tandem::Device::cuda(device), stream};
  (void)blas_handle(queue);  // is made by waiting calls
  const DeviceScope scope(device);
  auto* const graph = new Captured{device, static_cast<cudaStream_t>(stream),
                                   other != nullptr ? other->number : ++last};
  const cudaError_t status =
      cudaStreamBeginCapture(graph->stream, cudaStreamCaptureModeThreadLocal);
  if (status != cudaSuccess) {
    delete graph;
    check(status, "cudaStreamBeginCapture");
  }
  this_thread() = graph->number;
  ++running;
  arena(device).begin_capture(graph->number);
  return graph;
}

void destroy_graph(void* handle) {
  auto* const graph = static_cast<Captured*>(handle);
  if (graph->exec != nullptr) (void)cudaGraphExecDestroy(graph->exec);
  arena(graph->device).end_graph(graph->number, graph->stream);
  delete graph;
}
/// One that has come to nothing.
void forget_graph(Captured* graph) {
  arena(graph->device).abandon_capture(graph->number, graph->stream);
  delete graph;
}

void abandon_capture(void* handle) {
  auto* const graph = static_cast<Captured*>(handle);
  const DeviceScope scope(graph->device);
  cudaGraph_t recorded = nullptr;
  (void)cudaStreamEndCapture(graph->stream, &recorded);
  if (recorded != nullptr) (void)cudaGraphDestroy(recorded);
  (void)cudaGetLastError();
  this_thread() = 0;
  --running;
  forget_graph(graph);
}

void end_capture(void* handle) {
  auto* const graph = static_cast<Captured*>(handle);
  const DeviceScope scope(graph->device);
  cudaGraph_t recorded = nullptr;
  cudaError_t status = cudaStreamEndCapture(graph->stream, &recorded);
  if (status == cudaSuccess) status = cudaGraphInstantiate(&graph->exec, recorded, 0);
  if (recorded != nullptr) (void)cudaGraphDestroy(recorded);
  this_thread() = 0;
  --running;
  if (status == cudaSuccess) return;
  const std::string why =
      tandem::concat("the work could not be captured: ", cudaGetErrorString(status));
  (void)cudaGetLastError();
  forget_graph(graph);
  if (status == cudaErrorMemoryAllocation) throw tandem::OutOfMemory("[graph] " + why);
  tandem::fail("graph", why);
}

void launch_graph(void* handle) {
  const auto* const graph = static_cast<const Captured*>(handle);
  TANDEM_CHECK(!is_capturing(graph->device, graph->stream), "graph",
               "replay while its queue is captured");
  const DeviceScope scope(graph->device);
  const tandem::cuda::Range range("graph");
  check(cudaGraphLaunch(graph->exec, graph->stream), "the replay of a graph");
}

[[maybe_unused]] const bool registered = [] {
  tandem::DeviceInterface& table = tandem::cuda_interface();
  table.is_capturing = is_capturing;
  table.begin_capture = begin_capture;
  table.end_capture = end_capture;
  table.abandon_capture = abandon_capture;
  table.use_graph_pool = [](bool use) { return std::exchange(uses_pool(), use); };
  table.launch_graph = launch_graph;
  table.destroy_graph = destroy_graph;
  table.graph_bytes = [](void* graph) {
    return arena(static_cast<const Captured*>(graph)->device)
        .reserved_by(static_cast<const Captured*>(graph)->number);
  };
  return true;
}();

}  // namespace

std::uint64_t capture_here() { return this_thread(); }
std::uint64_t graph_pool_here() { return uses_pool() ? this_thread() : 0; }

int captures_running() { return running; }

void refuse_waiting(const char* what) {
  TANDEM_CHECK(capture_here() == 0, "graph", what,
               " waits for the GPU, and nothing may wait while a graph is captured");
}

}  // namespace tandem_kernels
