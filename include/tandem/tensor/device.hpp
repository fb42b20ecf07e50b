#pragma once
/// Where a tensor's memory is, and the few functions through which another device is reached.

#include <cstdint>
#include <cstring>
#include <string>

#include "tandem/tensor/config.hpp"
#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN

/// A device tag: Device::cpu() or Device::cuda(index).
class Device {
 public:
  enum Type : std::uint8_t { cpu_type, cuda_type };
  constexpr Device() = default;
  /// The CPU.
  static constexpr Device cpu() { return Device(); }
  /// GPU number `index`. Nothing is asked of it yet.
  static constexpr Device cuda(int index = 0) { return Device(cuda_type, index); }

  /// The kind of the device, and its number among those of its kind.
  constexpr Type type() const { return type_; }
  constexpr int index() const { return index_; }
  /// Whether it is the CPU, or a GPU.
  constexpr bool is_cpu() const { return type_ == cpu_type; }
  constexpr bool is_cuda() const { return type_ == cuda_type; }
  constexpr bool operator==(const Device&) const = default;
  /// "cpu" or "cuda:0".
  std::string str() const { return is_cpu() ? "cpu" : "cuda:" + std::to_string(index_); }

 private:
  constexpr Device(Type type, int index) : type_(type), index_(index) {}
  Type type_ = cpu_type;
  int index_ = 0;
};

/// One copy between two layouts of one shape, for any element type of `element_bytes` (1, 2, 4 or
/// 8).
struct StridedCopy {
  static constexpr int max_rank = 8;
  void* to;
  const void* from;
  std::int64_t element_bytes;
  std::int64_t numel;
  int rank;
  std::int64_t sizes[max_rank];
  std::int64_t to_strides[max_rank];    ///< in elements
  std::int64_t from_strides[max_rank];  ///< 0 where elements are repeated
};

/// What tandem holds of a device's memory, in bytes. (memory_stats(); of a GPU: cuda/memory.hpp)
struct MemoryStats {
  std::int64_t current = 0;  ///< in live tensors
  std::int64_t peak = 0;  ///< the largest `current` since the start or the last reset_peak_memory()
  std::int64_t kept = 0;  ///< released and kept for reuse, and, on a GPU, reserved by graphs
  std::int64_t largest_kept = 0;  ///< the largest block that can be reused, on a GPU
  /// All that is taken from the device.
  std::int64_t reserved() const { return current + kept; }
};

/// What tensor/ needs from a device other than the CPU. The library `tandem::cuda` fills the table
/// when it is linked; without it every pointer is null and using the device says so.
struct DeviceInterface {
  /// TANDEM_VERSION_STRING of the headers that the library was compiled with. The first member, in
  /// every version, since the others are not always where these headers think.
  const char* version = nullptr;
  const char* name = nullptr;  ///< what messages call it
  /// How many devices there are.
  int (*device_count)() = nullptr;
  /// Memory for the work of the current stream.
  void* (*allocate)(int device, std::int64_t bytes) = nullptr;
  void (*deallocate)(int device, void* pointer, std::int64_t bytes) = nullptr;
  /// Copies are ordered after the work queued on the current stream; one to the host is complete on
  /// return, and the source of one to the device may be changed then.
  void (*copy_to_device)(int device, void* to, const void* from, std::int64_t bytes) = nullptr;
  void (*copy_to_host)(int device, void* to, const void* from, std::int64_t bytes) = nullptr;
  void (*copy_on_device)(int device, void* to, const void* from, std::int64_t bytes) = nullptr;
  /// Memory of the host that a copy can go to while the host goes on (cuda/host_copy.hpp), and such
  /// a copy.
  void* (*allocate_pinned)(int device, std::int64_t bytes) = nullptr;
  void (*free_pinned)(void* pinned) = nullptr;
  void (*copy_to_pinned)(int device, void* pinned, const void* from, std::int64_t bytes) = nullptr;
  /// As copy_on_device, between two layouts.                                    kernels/copy.cu
  void (*copy_strided)(int device, const StridedCopy& copy) = nullptr;
  /// n elements of 1, 2, 4 or 8 bytes, each with these bits.
  void (*fill)(int device, void* to, std::int64_t element_bytes, std::uint64_t bits,
               std::int64_t n) = nullptr;
  /// Waits for all work of the device.
  void (*synchronize)(int device) = nullptr;
  /// Streams and events (cudaStream_t, cudaEvent_t); cuda/queue.hpp says what they are for.
  void* (*default_stream)(int device) = nullptr;
  void* (*create_stream)(int device) = nullptr;
  void* (*create_event)(int device) = nullptr;
  void (*destroy_event)(void* event) = nullptr;
  void (*record_event)(void* event, int device, void* stream) = nullptr;
  void (*wait_event)(void* event, int device, void* stream) = nullptr;
  void (*synchronize_event)(void* event) = nullptr;
  /// cuda/memory.hpp.
  MemoryStats (*memory_stats)(int device) = nullptr;
  std::int64_t (*free_memory)(int device) = nullptr;
  void (*reset_peak_memory)(int device) = nullptr;
  void (*release_kept_memory)(int device) = nullptr;
  void (*record_use)(int device, const void* pointer, void* stream) = nullptr;
  /// cuda/graph.hpp. A capture ends well, or with an error, or is abandoned; only in the first case
  /// the graph lives on. `beside`: null, or a graph of the stream whose pool it shares.
  bool (*is_capturing)(int device, void* stream) = nullptr;
  void* (*begin_capture)(int device, void* stream, void* beside) = nullptr;
  void (*end_capture)(void* graph) = nullptr;
  void (*abandon_capture)(void* graph) = nullptr;
  /// Sets whether this thread allocates from the pool of the graph that it captures, and gives back
  /// what was set.
  bool (*use_graph_pool)(bool use) = nullptr;
  /// Replays a graph, says what memory it holds, lets it go.
  void (*launch_graph)(void* graph) = nullptr;
  std::int64_t (*graph_bytes)(void* graph) = nullptr;
  void (*destroy_graph)(void* graph) = nullptr;
};

/// The one CUDA table of the program.
inline DeviceInterface& cuda_interface() {
  static DeviceInterface table;
  return table;
}

namespace detail {
/// Throws where kernels are of another version of tandem than the headers. Of the table, a library
/// that is not linked has none.
inline void require_own_version(const char* version) {
  if (version == nullptr) return;
  TANDEM_CHECK(std::strcmp(version, TANDEM_VERSION_STRING) == 0, "cuda",
               "the kernels that are linked into this program are those of tandem ", version,
               ", its headers those of ", TANDEM_VERSION_STRING,
               ": build tandem::cuda from the same version");
}
}  // namespace detail

/// True when tandem::cuda is linked and sees at least one device. Errors: it is of another version
/// than the headers.
inline bool cuda_available() {
  const DeviceInterface& table = cuda_interface();
  detail::require_own_version(table.version);
  return table.device_count != nullptr && table.device_count() > 0;
}

/// Throws unless tensors can live on `device` in this program.
inline void require_device(const char* op, Device device) {
  if (device.is_cpu()) return;
  const DeviceInterface& table = cuda_interface();
  detail::require_own_version(table.version);
  TANDEM_CHECK(table.allocate != nullptr, op, "device ", device,
               " needs the library tandem::cuda, which is not linked into this program");
  TANDEM_CHECK(device.index() >= 0 && device.index() < table.device_count(), op, "there is no ",
               device, ": this machine has ", table.device_count(), " CUDA device(s)");
}

TANDEM_NAMESPACE_END
