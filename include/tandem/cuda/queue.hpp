#pragma once
/// Queue: where the work of an op goes. On the CPU it is done at once; on a GPU it is put on a
/// stream.
///
///   const Queue usual = current_queue(Device::cuda()), side = new_queue(Device::cuda());
///   Event made, ready;
///   made.record(usual);
///   made.wait(side);                                  // a and b come first
///   { const QueueScope scope(side); y = matmul(a, b); ready.record(side); }
///   record_use(a, side);                              // their memory stays theirs as long as
///   record_use(b, side);                              // `side` reads them (cuda/memory.hpp)
///   ready.wait(usual);                                // what is queued here now comes after y
///
/// Every device has a queue that ops use unless a QueueScope chose another; it is never CUDA's
/// legacy default stream, which would wait for all others. Work of one queue is done in its order.
/// Only item(), to(Device::cpu()), printing, Event::synchronize(), release_kept_memory() and
/// uploads that come faster than they travel make the CPU wait; waits() counts how often it did.

#include <atomic>
#include <cstdint>

#include "tandem/tensor/device.hpp"
#include "tandem/tensor/restore.hpp"

TANDEM_NAMESPACE_BEGIN

/// A device and, on a GPU, one of its streams (a cudaStream_t).
struct Queue {
  Device device;
  void* stream = nullptr;
  bool operator==(const Queue&) const = default;
};

namespace detail {
/// What a QueueScope of this thread chose; its device is the CPU when nothing was chosen.
inline Queue& chosen_queue() {
  thread_local Queue queue;
  return queue;
}
}  // namespace detail

/// The queue that ops on `device` use in this thread.
inline Queue current_queue(Device device) {
  if (device.is_cpu()) return {};
  const Queue& chosen = detail::chosen_queue();
  return chosen.device == device ? chosen
                                 : Queue{device, cuda_interface().default_stream(device.index())};
}

/// Whether work of the queue is recorded for a graph now (cuda/graph.hpp) instead of being done.
inline bool capturing(const Queue& queue) {
  return queue.device.is_cuda() && cuda_interface().is_capturing != nullptr &&
         cuda_interface().is_capturing(queue.device.index(), queue.stream);
}

/// For a scope, what this thread allocates does not come from the pool of the graph that it
/// captures, whose memory has other uses earlier in a replay: for tensors that are written between
/// replays.
class OutsideGraphPool {
 public:
  OutsideGraphPool() : before_(set(false)) {}
  ~OutsideGraphPool() { (void)set(before_); }
  OutsideGraphPool(const OutsideGraphPool&) = delete;
  OutsideGraphPool& operator=(const OutsideGraphPool&) = delete;

 private:
  static bool set(bool use) {
    return cuda_interface().use_graph_pool == nullptr || cuda_interface().use_graph_pool(use);
  }
  bool before_;
};

/// A further queue of a GPU. Its stream lives as long as the program.
inline Queue new_queue(Device device) {
  TANDEM_CHECK(device.is_cuda(), "new_queue", "only a GPU has more than one queue, the device is ",
               device);
  require_device("new_queue", device);
  return {device, cuda_interface().create_stream(device.index())};
}

/// Makes ops of this thread use `queue` for a scope.
class QueueScope {
 public:
  explicit QueueScope(const Queue& queue) : outer_(detail::chosen_queue(), queue) {}

 private:
  const detail::Restore<Queue> outer_;
};

/// A point in the work of a queue.
class Event {
 public:
  Event() = default;
  ~Event() {
    if (event_ != nullptr) cuda_interface().destroy_event(event_);
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  /// The point after all that is in `queue` now. On the CPU that has already happened.
  void record(const Queue& queue) {
    if (queue.device.is_cpu()) return;
    if (event_ == nullptr || device_ != queue.device) {
      if (event_ != nullptr) cuda_interface().destroy_event(event_);
      event_ = cuda_interface().create_event(queue.device.index());
      device_ = queue.device;
    }
    cuda_interface().record_event(event_, queue.device.index(), queue.stream);
  }
  /// What is put into `queue` from now on waits for the point; the CPU does not.
  void wait(const Queue& queue) const {
    if (event_ == nullptr) return;
    if (queue.device.is_cpu()) return synchronize();
    cuda_interface().wait_event(event_, queue.device.index(), queue.stream);
  }
  /// The CPU waits for the point.
  void synchronize() const {
    if (event_ != nullptr) cuda_interface().synchronize_event(event_);
  }

 private:
  void* event_ = nullptr;
  Device device_;
};

namespace detail {
inline std::atomic<std::int64_t>& wait_counter() {
  static std::atomic<std::int64_t> count = 0;
  return count;
}
}  // namespace detail

/// How often the CPU has waited for a GPU so far.
inline std::int64_t waits() { return detail::wait_counter().load(std::memory_order_relaxed); }

namespace detail {
inline std::atomic<std::int64_t>& launch_counter() {
  static std::atomic<std::int64_t> count = 0;
  return count;
}
}  // namespace detail

/// How many kernels of tandem's have been put into queues so far, or recorded for a graph; a replay
/// adds nothing. What cuBLAS launches and copies are not counted.
inline std::int64_t kernel_launches() {
  return detail::launch_counter().load(std::memory_order_relaxed);
}

TANDEM_NAMESPACE_END
