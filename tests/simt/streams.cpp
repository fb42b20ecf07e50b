// Streams, events and graphs of the runtime.

#include "runtime_state.hpp"

/// What an event stands for: the work of a stream up to a number. Shared with the work that waits
/// for it.
struct SimtEvent {
  struct Mark {
    SimtStream* stream = nullptr;
    std::uint64_t sequence = 0;
    bool done = true;  ///< an event that was never recorded is complete
    bool captured = false;
  };
  std::shared_ptr<Mark> mark = std::make_shared<Mark>();
};

struct SimtGraphExec : CountedGraph {
  int device;
  std::vector<Work> work;
};

using simt::failed;
using simt::Guard;
using simt::Runtime;

namespace {

cudaError_t waiting_in_capture() {
  return failed(cudaErrorStreamCaptureUnsupported,
                "nothing may be waited for while a stream is captured");
}

}  // namespace

cudaError_t cudaDeviceSynchronize() {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  runtime.raise_pending();
  if (simt::breaks_capture(runtime, "cudaDeviceSynchronize")) return waiting_in_capture();
  runtime.synchronize(simt::current_device);
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, 0); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  *stream = new SimtStream{simt::current_device, {}, (flags & cudaStreamNonBlocking) == 0, nullptr};
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
  if (found->capture != nullptr || stream == nullptr) {
    if (simt::breaks_capture(runtime, "cudaStreamSynchronize")) return waiting_in_capture();
  }
  runtime.synchronize(*found);
  return cudaSuccess;
}
/// Whoever asks again and again sees the stream go on: each call carries out one piece of work.
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  runtime.raise_pending();
  SimtStream* const found = simt::find(runtime, stream);
  if (found == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (found->capture != nullptr) return waiting_in_capture();
  if (found->queue.empty()) return cudaSuccess;
  runtime.drain(*found, found->queue.front().sequence);
  return cudaErrorNotReady;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new SimtEvent;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Guard guard(Runtime::instance().mutex);
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  SimtStream* const found = simt::find(runtime, stream);
  if (found == nullptr)
    return failed(cudaErrorInvalidResourceHandle, "the stream is not one of the current device");
  event->mark = std::make_shared<SimtEvent::Mark>();
  event->mark->stream = found;
  if (found->capture != nullptr) {
    event->mark->captured = true;
    return cudaSuccess;
  }
  event->mark->done = false;
  const cudaError_t status =
      simt::queue(stream, "cudaEventRecord", nullptr, [mark = event->mark] { mark->done = true; });
  event->mark->sequence = runtime.sequence;
  return status;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  SimtStream* const found = simt::find(runtime, stream);
  if (found == nullptr)
    return failed(cudaErrorInvalidResourceHandle, "the stream is not one of the current device");
  if (event->mark->captured) {
    // The stream joins the capture: its work is recorded behind what is there.
    if (found->capture == nullptr) found->capture = event->mark->stream->capture;
    return cudaSuccess;
  }
  if (found->capture != nullptr) {
    if (event->mark->done) return cudaSuccess;
    found->capture->broken = "a wait for work outside the capture";
    return failed(cudaErrorStreamCaptureUnsupported,
                  "a captured stream cannot wait for work outside the capture");
  }
  return simt::queue(stream, "cudaStreamWaitEvent", nullptr, [&runtime, mark = event->mark] {
    if (!mark->done) runtime.drain(*mark->stream, mark->sequence);
  });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  runtime.raise_pending();
  if (event->mark->captured) return waiting_in_capture();
  if (event->mark->done) return cudaSuccess;
  SimtStream& stream = *event->mark->stream;
  if (stream.queue.empty()) return cudaSuccess;  // dropped after a fault
  runtime.drain(stream, stream.queue.front().sequence);
  return event->mark->done ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  runtime.raise_pending();
  if (event->mark->captured) return waiting_in_capture();
  if (!event->mark->done) runtime.drain(*event->mark->stream, event->mark->sequence);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  SimtStream* const found = simt::find(runtime, stream);
  if (found == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (stream == nullptr)
    return failed(cudaErrorStreamCaptureUnsupported, "the default stream cannot be captured");
  if (found->capture != nullptr)
    return failed(cudaErrorIllegalState, "the stream is captured already");
  found->capture = new SimtGraph;
  return cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(simt::capture_mode, *mode);
  return cudaSuccess;
}
int simt::live_graphs() { return CountedGraph::live; }
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  SimtStream* const found = simt::find(runtime, stream);
  if (found == nullptr) return failed(cudaErrorInvalidResourceHandle);
  *status = found->capture != nullptr ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  Runtime& runtime = Runtime::instance();
  const Guard guard(runtime.mutex);
  SimtStream* const found = simt::find(runtime, stream);
  if (found == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (found->capture == nullptr) return failed(cudaErrorIllegalState, "the stream is not captured");
  SimtGraph* const captured = found->capture;
  for (SimtStream* other : runtime.current().streams) {  // and those that joined
    if (other->capture == captured) other->capture = nullptr;
  }
  if (!captured->broken.empty()) {
    const std::string why = captured->broken;
    delete captured;
    *graph = nullptr;
    return failed(cudaErrorStreamCaptureInvalidated, why);
  }
  *graph = captured;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (graph == nullptr) return failed(cudaErrorInvalidValue, "there is no graph");
  *exec = new SimtGraphExec{{}, simt::current_device, graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  const Guard guard(Runtime::instance().mutex);
  // Piece by piece, so that a piece that writes outside its memory is named.
  for (const Work& work : exec->work) {
    const cudaError_t status = simt::queue(stream, work.what, work.kernel, work.run);
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  const Guard guard(Runtime::instance().mutex);
  delete exec;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const Guard guard(Runtime::instance().mutex);
  delete graph;
  return cudaSuccess;
}
