#pragma once
/// HostCopy — a tensor's elements on their way to the host, while the host goes on.
///
///   HostCopy<float> loss;
///   loss.start(step(batch_1));        // put into the queue behind what makes it
///   const Tensor<float> next = step(batch_2);
///   std::printf("%f\n", loss.get()[0]);  // waits for step 1 only: the GPU has step 2 to do
///
/// item() and to(Device::cpu()) wait for everything that is in the queue.

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "tandem/cuda/queue.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
class HostCopy {
 public:
  HostCopy() = default;
  ~HostCopy() { release(); }
  HostCopy(const HostCopy&) = delete;
  HostCopy& operator=(const HostCopy&) = delete;

  /// Puts a copy of x, which must be dense, into the current queue of x's device. From the CPU it
  /// is made at once. A copy before that was not taken is forgotten. Errors: x is not dense; a graph
  /// is captured.
  void start(const Tensor<T>& x) {
    TANDEM_CHECK(x.is_contiguous(), "host_copy", "a tensor of shape ", x.shape(), " is not dense");
    const Device device = x.device();
    const Queue queue = current_queue(device);
    TANDEM_CHECK(!capturing(queue), "host_copy",
                 "nothing is copied to the host while a graph is captured");
    if (travels_ && !(queue == queue_)) ready_.synchronize();  // the other queue may write later
    started_ = travels_ = false;
    count_ = x.numel();
    queue_ = queue;
    const std::int64_t bytes = count_ * static_cast<std::int64_t>(sizeof(T));
    if (device.is_cpu() || bytes == 0) {
      values_.assign(x.device_data(), x.device_data() + count_);
    } else {
      if (bytes > capacity_) {
        release();
        pinned_ = cuda_interface().allocate_pinned(device.index(), bytes);
        capacity_ = bytes;
      }
      cuda_interface().copy_to_pinned(device.index(), pinned_, x.device_data(), bytes);
      ready_.record(queue);
      travels_ = true;
    }
    started_ = true;
  }
  /// Whether a copy was started and not taken.
  bool started() const { return started_; }
  /// The elements, after waiting until they are there.  Errors: nothing was started.
  const std::vector<T>& get() {
    TANDEM_CHECK(started_, "host_copy", "get() without a start()");
    if (travels_) {
      ready_.synchronize();
      values_.resize(static_cast<std::size_t>(count_));
      std::memcpy(values_.data(), pinned_, static_cast<std::size_t>(count_) * sizeof(T));
    }
    started_ = travels_ = false;
    return values_;
  }

 private:
  void release() {
    if (pinned_ == nullptr) return;
    try {
      if (travels_) ready_.synchronize();  // the GPU may still write there
      cuda_interface().free_pinned(pinned_);
    } catch (...) {  // a graph is captured, and nothing may wait: the memory stays
    }
    pinned_ = nullptr;
    travels_ = false;
  }

  std::vector<T> values_;
  void* pinned_ = nullptr;
  std::int64_t capacity_ = 0, count_ = 0;
  bool started_ = false, travels_ = false;
  Queue queue_;
  Event ready_;
};

TANDEM_NAMESPACE_END
