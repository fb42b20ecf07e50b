#include "simt_check.hpp"

using namespace simt_check;

namespace runtime_kernels {

__global__ void add_one(int* x) { x[threadIdx.x] += 1; }
__global__ void times_two(int* x) { x[threadIdx.x] *= 2; }
__global__ void add_one_behind(int** x) { **x += 1; }

}  // namespace runtime_kernels

using runtime_kernels::add_one;
using runtime_kernels::add_one_behind;
using runtime_kernels::times_two;

namespace {

class NewStream {
 public:
  NewStream() { REQUIRE(cudaStreamCreate(&handle) == cudaSuccess); }
  ~NewStream() { (void)cudaStreamDestroy(handle); }
  NewStream(const NewStream&) = delete;
  NewStream& operator=(const NewStream&) = delete;
  operator Stream() const { return {0, handle}; }
  cudaStream_t handle = nullptr;
};

int fetch(const int* from, cudaStream_t stream, bool wait) {
  int value = -1;
  REQUIRE(cudaMemcpyAsync(&value, from, sizeof value, cudaMemcpyDeviceToHost, stream) ==
          cudaSuccess);
  if (wait) REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
  const int seen = value;
  // What was queued writes into this frame, so it must happen before the frame is gone.
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  return seen;
}

}  // namespace

TEST_CASE("nothing happens before a synchronization: a missing one shows") {
  const Buffer<int> x({5});
  launch(add_one, dim3(1), dim3(1), 0, Stream(), x.data);
  CHECK(fetch(x.data, nullptr, false) == -1);
  CHECK(fetch(x.data, nullptr, true) == 6);
}

TEST_CASE("host memory is read when a copy is queued, as CUDA does with pageable memory") {
  const Buffer<int> x({0});
  int value = 7;
  REQUIRE(cudaMemcpyAsync(x.data, &value, sizeof value, cudaMemcpyHostToDevice, nullptr) ==
          cudaSuccess);
  value = 8;
  CHECK(x.values()[0] == 7);
}

TEST_CASE("streams: own order each; the default stream waits for all and all wait for it") {
  const Buffer<int> x({1}), y({1});
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  {
    const NewStream a, b;
    launch(add_one, dim3(1), dim3(1), 0, a, x.data);
    launch(times_two, dim3(1), dim3(1), 0, a, x.data);
    launch(add_one, dim3(1), dim3(1), 0, b, y.data);
    CHECK(cudaStreamSynchronize(a.handle) == cudaSuccess);
    CHECK(fetch(x.data, a.handle, true) == 4);  // (1 + 1)·2
  }
  {
    const NewStream a;
    launch(add_one, dim3(1), dim3(1), 0, a, x.data);           // 5
    launch(times_two, dim3(1), dim3(1), 0, Stream(), x.data);  // after it: 10
    launch(add_one, dim3(1), dim3(1), 0, a, x.data);           // after that: 11
    CHECK(cudaStreamSynchronize(a.handle) == cudaSuccess);
    CHECK(fetch(x.data, a.handle, true) == 11);
  }
  // Two streams do not wait for each other: b's copy sees x before a's work, which nobody waited
  // for.
  const NewStream a, b;
  launch(add_one, dim3(1), dim3(1), 0, a, x.data);
  CHECK(fetch(x.data, b.handle, true) == 11);
  CHECK(fetch(x.data, nullptr, true) == 12);
}

TEST_CASE("a stream belongs to its device") {
  const NewStream a;
  REQUIRE(cudaSetDevice(1) == cudaSuccess);
  CHECK(cudaStreamSynchronize(a.handle) == cudaErrorInvalidResourceHandle);
  REQUIRE(cudaSetDevice(0) == cudaSuccess);
  CHECK(cudaSetDevice(2) == cudaErrorInvalidDevice);
  CHECK(std::string(cudaGetErrorString(cudaErrorInvalidDevice)) == "invalid device ordinal");
  CHECK(cudaGetLastError() == cudaErrorInvalidDevice);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("copies check where their memory is and how much there is") {
  const Buffer<int> x({1, 2, 3});
  int host[4] = {};
  const auto copy = [](void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  };
  CHECK(copy(host, x.data, 12, cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(copy(host, x.data, 13, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(copy(x.data + 1, host, 12, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(copy(host, x.data, 12, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(copy(host, host + 1, 4, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(x.data, 0, 13, nullptr) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(x.data, 0, 12, nullptr) == cudaSuccess);
  CHECK(x.values() == std::vector<int>(3, 0));
  CHECK(cudaFree(host) == cudaErrorInvalidValue);
  void* huge = nullptr;
  CHECK(cudaMalloc(&huge, std::size_t{1} << 40) == cudaErrorMemoryAllocation);
  (void)cudaGetLastError();
}

TEST_CASE("events order streams, and work that nobody waits for has not happened") {
  const Buffer<int> x({1});
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  const NewStream a, b;
  cudaEvent_t event = nullptr;
  REQUIRE(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
  CHECK(cudaEventQuery(event) == cudaSuccess);  // never recorded: complete
  launch(add_one, dim3(1), dim3(1), 0, a, x.data);
  REQUIRE(cudaEventRecord(event, a.handle) == cudaSuccess);
  launch(times_two, dim3(1), dim3(1), 0, a, x.data);
  REQUIRE(cudaStreamWaitEvent(b.handle, event) == cudaSuccess);
  int value = -1;
  REQUIRE(cudaMemcpyAsync(&value, x.data, sizeof value, cudaMemcpyDeviceToHost, b.handle) ==
          cudaSuccess);
  REQUIRE(cudaStreamSynchronize(b.handle) == cudaSuccess);
  CHECK(value == 2);  // behind the event, before what a queued after it
  CHECK(cudaEventQuery(event) == cudaSuccess);
  CHECK(fetch(x.data, a.handle, true) == 4);
  // Asking again and again lets the stream go on.
  launch(add_one, dim3(1), dim3(1), 0, a, x.data);
  REQUIRE(cudaEventRecord(event, a.handle) == cudaSuccess);
  CHECK(cudaEventQuery(event) == cudaErrorNotReady);
  int asked = 1;
  while (cudaEventQuery(event) == cudaErrorNotReady) ++asked;
  CHECK(asked < 4);
  launch(add_one, dim3(1), dim3(1), 0, a, x.data);
  REQUIRE(cudaEventRecord(event, a.handle) == cudaSuccess);
  CHECK(cudaEventSynchronize(event) == cudaSuccess);
  CHECK(cudaStreamQuery(a.handle) == cudaSuccess);
  CHECK(cudaEventDestroy(event) == cudaSuccess);
  (void)cudaGetLastError();
}

TEST_CASE("a stream that does not block is not ordered with the default stream") {
  const Buffer<int> x({1});
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  cudaStream_t free = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&free, cudaStreamNonBlocking) == cudaSuccess);
  launch(add_one, dim3(1), dim3(1), 0, Stream{0, free}, x.data);
  CHECK(fetch(x.data, nullptr, true) == 1);  // did not wait
  CHECK(cudaStreamDestroy(free) == cudaSuccess);
}

TEST_CASE(
    "pinned memory is read when the copy is carried out: a buffer used again too early shows") {
  const Buffer<int> x({0});
  void* memory = nullptr;
  REQUIRE(cudaHostAlloc(&memory, sizeof(int), 0) == cudaSuccess);
  int& value = *static_cast<int*>(memory);
  value = 7;
  REQUIRE(cudaMemcpyAsync(x.data, &value, sizeof value, cudaMemcpyHostToDevice, nullptr) ==
          cudaSuccess);
  value = 8;
  CHECK(x.values()[0] == 8);
  CHECK(cudaFreeHost(memory) == cudaSuccess);
  CHECK(cudaFreeHost(memory) == cudaErrorInvalidValue);
  (void)cudaGetLastError();
}

TEST_CASE("memory of a stream is given back when the stream comes to it") {
  const std::size_t before = simt::live_bytes();
  const NewStream a;
  void* memory = nullptr;
  REQUIRE(cudaMallocAsync(&memory, 4, a.handle) == cudaSuccess);
  launch(add_one, dim3(1), dim3(1), 0, a, static_cast<int*>(memory));
  REQUIRE(cudaFreeAsync(memory, a.handle) == cudaSuccess);
  CHECK(simt::live_bytes() == before + 4);
  CHECK(cudaStreamSynchronize(a.handle) == cudaSuccess);
  CHECK(simt::live_bytes() == before);
  CHECK(cudaFreeAsync(memory, a.handle) == cudaErrorInvalidValue);
  (void)cudaGetLastError();
}

TEST_CASE("captured work happens when the graph is launched, again and again") {
  const Buffer<int> x({1});
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  const NewStream a, b;
  cudaEvent_t event = nullptr;
  REQUIRE(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
  REQUIRE(cudaStreamBeginCapture(a.handle, cudaStreamCaptureModeGlobal) == cudaSuccess);
  cudaStreamCaptureStatus status{};
  CHECK(cudaStreamIsCapturing(a.handle, &status) == cudaSuccess);
  CHECK(status == cudaStreamCaptureStatusActive);
  launch(add_one, dim3(1), dim3(1), 0, a, x.data);
  REQUIRE(cudaEventRecord(event, a.handle) == cudaSuccess);
  REQUIRE(cudaStreamWaitEvent(b.handle, event) == cudaSuccess);  // b joins
  launch(times_two, dim3(1), dim3(1), 0, b, x.data);
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamEndCapture(a.handle, &graph) == cudaSuccess);
  CHECK(fetch(x.data, nullptr, true) == 1);  // nothing has happened
  cudaGraphExec_t exec = nullptr;
  REQUIRE(cudaGraphInstantiate(&exec, graph) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  for (int expected : {4, 10, 22}) {
    CHECK(cudaGraphLaunch(exec, a.handle) == cudaSuccess);
    CHECK(cudaStreamSynchronize(a.handle) == cudaSuccess);
    CHECK(fetch(x.data, a.handle, true) == expected);
  }
  CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
  CHECK(cudaEventDestroy(event) == cudaSuccess);
}

TEST_CASE("waiting, allocating, the default stream and pageable memory break a capture") {
  const Buffer<int> x({1});
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  const NewStream a;
  const auto breaks = [&](const char* why, auto&& f) {
    REQUIRE(cudaStreamBeginCapture(a.handle, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(f() == cudaErrorStreamCaptureUnsupported);
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamEndCapture(a.handle, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(contains(cudaGetErrorString(cudaErrorStreamCaptureInvalidated), why));
    (void)cudaGetLastError();
  };
  int host = 0;
  void* memory = nullptr;
  breaks("cudaStreamSynchronize", [&] { return cudaStreamSynchronize(a.handle); });
  breaks("cudaDeviceSynchronize", [&] { return cudaDeviceSynchronize(); });
  breaks("cudaMalloc", [&] { return cudaMalloc(&memory, 4); });
  REQUIRE(cudaMalloc(&memory, 4) == cudaSuccess);
  breaks("cudaFree", [&] { return cudaFree(memory); });
  REQUIRE(cudaFree(memory) == cudaSuccess);
  breaks("the default stream", [&] { return cudaMemsetAsync(x.data, 0, 4, nullptr); });
  breaks("pageable",
         [&] { return cudaMemcpyAsync(x.data, &host, 4, cudaMemcpyHostToDevice, a.handle); });
  CHECK(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal) ==
        cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(a.handle, &graph) == cudaErrorIllegalState);
  (void)cudaGetLastError();
}

TEST_CASE("a relaxed thread may allocate and free while a stream is captured") {
  const NewStream a;
  REQUIRE(cudaStreamBeginCapture(a.handle, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  REQUIRE(cudaThreadExchangeStreamCaptureMode(&mode) == cudaSuccess);
  void* memory = nullptr;
  CHECK(cudaMalloc(&memory, 4) == cudaSuccess);
  CHECK(cudaFree(memory) == cudaSuccess);
  REQUIRE(cudaThreadExchangeStreamCaptureMode(&mode) == cudaSuccess);
  CHECK(mode == cudaStreamCaptureModeRelaxed);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(a.handle, &graph) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
}

TEST_CASE("memory is NaN when it is fresh, and is not given out again soon") {
  const std::size_t before = simt::live_bytes();
  void *first = nullptr, *second = nullptr;
  REQUIRE(cudaMalloc(&first, 12) == cudaSuccess);
  CHECK(simt::live_bytes() == before + 12);
  float values[3] = {};
  REQUIRE(cudaMemcpyAsync(values, first, 12, cudaMemcpyDeviceToHost, nullptr) == cudaSuccess);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  for (const float value : values) CHECK(value != value);
  REQUIRE(cudaFree(first) == cudaSuccess);
  CHECK(cudaFree(first) == cudaErrorInvalidValue);  // twice
  REQUIRE(cudaMalloc(&second, 12) == cudaSuccess);
  CHECK(second != first);
  REQUIRE(cudaFree(second) == cudaSuccess);
  CHECK(simt::live_bytes() == before);
  (void)cudaGetLastError();
}

TEST_CASE("the CPU cannot touch device memory, nor a kernel that of another device") {
  const Buffer<int> x({1});
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  const int* const pointer = x.data;
  const auto stopped = [](const Ended& ended) {
    // The sanitizers turn the signal into a report and an exit status.
    return ended.signal == SIGSEGV || (!ended.normally && contains(ended.errors, "SEGV"));
  };
  CHECK(stopped(in_child([&] {
    const volatile int* seen = pointer;
    (void)*seen;
  })));
  // Refused among the arguments already (faults_test.cpp); behind a pointer in memory it is stopped
  // here.
  CHECK(stopped(in_child([&] {
    (void)cudaSetDevice(1);
    void* there = nullptr;
    (void)cudaMalloc(&there, 8);
    int* const elsewhere = x.data;
    (void)cudaMemcpyAsync(there, &elsewhere, 8, cudaMemcpyHostToDevice, nullptr);
    launch(add_one_behind, dim3(1), dim3(1), 0, Stream{1, nullptr}, static_cast<int**>(there));
    (void)cudaDeviceSynchronize();
  })));
}
