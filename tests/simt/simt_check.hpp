#pragma once
/// What the executor's own tests share.

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime.hpp"
#include "sanitizers.hpp"
#include "tandem/cuda/launch.hpp"

namespace simt_check {

/// A stream of a device; null is CUDA's default stream.
struct Stream : tandem::Queue {
  Stream(int index = 0, cudaStream_t handle = nullptr)
      : Queue{tandem::Device::cuda(index), handle} {}
};

template <class... P>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes,
            const Stream& stream, std::type_identity_t<P>... arguments) {
  tandem::cuda::launch("a kernel", kernel, grid, block, shared_bytes, stream, arguments...);
}

/// Device memory with given contents.
template <class T>
class Buffer {
 public:
  explicit Buffer(const std::vector<T>& values) : size_(values.size()) {
    void* pointer = nullptr;
    REQUIRE(cudaMalloc(&pointer, size_ * sizeof(T)) == cudaSuccess);
    data = static_cast<T*>(pointer);
    REQUIRE(cudaMemcpyAsync(data, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice,
                            nullptr) == cudaSuccess);
  }
  ~Buffer() { (void)cudaFree(data); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::vector<T> values() const {
    std::vector<T> out(size_);
    REQUIRE(cudaMemcpyAsync(out.data(), data, size_ * sizeof(T), cudaMemcpyDeviceToHost, nullptr) ==
            cudaSuccess);
    REQUIRE(cudaStreamSynchronize(nullptr) == cudaSuccess);
    return out;
  }
  T* data = nullptr;

 private:
  std::size_t size_;
};

/// Launches a kernel, waits for it, and returns the message of what it threw, or "".
template <class... P>
std::string outcome(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared,
                    std::type_identity_t<P>... arguments) {
  try {
    launch(kernel, grid, block, shared, Stream(), arguments...);
    (void)cudaDeviceSynchronize();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// How a child process that runs f ended, with what it printed on stderr.
struct Ended {
  bool normally = false;  ///< exit status 0
  int signal = 0;
  std::string errors;
};
template <class F>
Ended in_child(F&& f) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], 2);
    close(ends[0]);
    signal(SIGSEGV, SIG_DFL);  // not the test framework's
    f();
    _exit(0);
  }
  close(ends[1]);
  Ended ended;
  char piece[4096];
  for (ssize_t n; (n = read(ends[0], piece, sizeof piece)) > 0;) {
    ended.errors.append(piece, static_cast<std::size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  ended.normally = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  ended.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return ended;
}

}  // namespace simt_check
