#pragma once
/// Kernel: a slot beside an op, which joins a name, a signature and the CPU's function, and finds
/// the GPU's.
///
///   // ops/softmax.hpp
///   template <class T>
///   inline const Kernel<void(Queue&, T* y, const T* x, std::int64_t rows, std::int64_t n)>
///       softmax_forward{"softmax_forward", softmax_on_cpu<T>};  // the CPU's has no Queue
///   …
///   softmax_forward<T>(x.device(), y.mutable_device_data(), x.device_data(), rows, n);
///
///   // kernels/softmax.cu
///   template <class T>
///   void softmax_forward(Queue& queue, T* y, const T* x, std::int64_t rows, std::int64_t n) {
///     launch(…);
///   }
///   TANDEM_KERNEL(softmax_forward, float, double);
///
/// Headers never include CUDA. A kernel registers itself by its name and signature when a program
/// starts that has tandem::cuda linked; a slot looks for it at its first call on a GPU. Nothing
/// else lists the kernels.

#include <atomic>
#include <cstring>
#include <type_traits>

#include "tandem/cuda/queue.hpp"

/// Outside of tandem's ABI namespace, and never changed, so that kernels of another version are
/// noticed.
namespace tandem_kernel_registry {
struct Entry {
  const char* name;
  const char* version;  ///< TANDEM_VERSION_STRING of the headers that the kernel was compiled with
  const void* signature;  ///< signature<F>() of its type
  void (*function)();
  Entry* next;
  bool found;  ///< a slot has asked for it
};
inline Entry*& first() {
  static Entry* head = nullptr;
  return head;
}
}  // namespace tandem_kernel_registry

TANDEM_NAMESPACE_BEGIN
namespace cuda {
/// Grids have at most so many blocks in x, where kernels stride. Tests set it to 3, so that every
/// stride is taken.
inline std::int64_t& grid_cap() {
  static std::int64_t most = 65535;
  return most;
}
/// Loops of fewer elements find their places with indices of 32 bits. Tests set it to 0, so that the
/// kernels with 64 bits run too.
inline std::int64_t& narrow_below() {
  static std::int64_t elements = std::int64_t{1} << 31;
  return elements;
}
}  // namespace cuda

namespace detail {

/// An address that stands for the type F, in all parts of a program. (Run-time type information is
/// not needed.)
template <class F>
const void* signature() {
  static const char tag = 0;
  return &tag;
}

/// The kernel of this name and signature, or null.
inline void (*find_kernel(const char* name, const void* signature))() {
  for (auto* e = tandem_kernel_registry::first(); e != nullptr; e = e->next) {
    require_own_version(e->version);
    if (e->signature != signature || std::strcmp(e->name, name) != 0) continue;
    e->found = true;
    return e->function;
  }
  return nullptr;
}

/// Adds a kernel to the list.
template <auto function>
bool register_kernel(const char* name) {
  using F = std::remove_pointer_t<decltype(function)>;
  static tandem_kernel_registry::Entry entry{.name = name,
                                             .version = TANDEM_VERSION_STRING,
                                             .signature = signature<F>(),
                                             .function = reinterpret_cast<void (*)()>(function),
                                             .next = tandem_kernel_registry::first(),
                                             .found = false};
  tandem_kernel_registry::first() = &entry;
  return true;
}

}  // namespace detail

template <class Signature>
class Kernel;

template <class... A>
class Kernel<void(Queue&, A...)> {
 public:
  using OnCpu = void (*)(A...);
  using OnGpu = void (*)(Queue&, A...);

  constexpr Kernel(const char* name, OnCpu on_cpu) : name_(name), on_cpu_(on_cpu) {}

  const char* name() const { return name_; }
  /// Whether a call on `device` finds a function.
  bool runs_on(Device device) const { return device.is_cpu() || on_gpu() != nullptr; }

  /// Does the work on the CPU, or puts it into the device's current queue; or into `queue`.
  void operator()(Device device, std::type_identity_t<A>... arguments) const {
    if (device.is_cpu()) return on_cpu_(arguments...);
    Queue queue = current_queue(device);
    (*this)(queue, arguments...);
  }
  void operator()(Queue& queue, std::type_identity_t<A>... arguments) const {
    if (queue.device.is_cpu()) return on_cpu_(arguments...);
    const OnGpu function = on_gpu();
    TANDEM_CHECK(function != nullptr, name_,
                 "has no CUDA kernel for these element types (the queue is one of ", queue.device,
                 ")");
    function(queue, arguments...);
  }

 private:
  OnGpu on_gpu() const {
    OnGpu function = on_gpu_.load(std::memory_order_relaxed);
    if (function == nullptr) {
      function = reinterpret_cast<OnGpu>(
          detail::find_kernel(name_, detail::signature<void(Queue&, A...)>()));
      on_gpu_.store(function, std::memory_order_relaxed);
    }
    return function;
  }

  const char* name_;
  OnCpu on_cpu_;
  mutable std::atomic<OnGpu> on_gpu_ = nullptr;
};

TANDEM_NAMESPACE_END
