#pragma once
/// The runtime behind the executor: two devices whose memory the CPU cannot touch, and streams that
/// execute nothing before somebody synchronizes with them, so that a missing synchronization shows.
///
/// Device memory is poison() when it is allocated and when it is freed, and lies between red zones
/// (NaN, or an ordinary number, by the seed) that are checked after every kernel. Host code that
/// reads or writes it ends with a segmentation fault, as does a kernel that touches another
/// device's. A launch refuses host pointers, freed memory and other devices' memory among its
/// arguments, also inside structures. A Fault of a kernel arrives where its stream is synchronized.
///
/// Pinned memory is read and written when a copy is carried out. Events and waits order streams as
/// in CUDA;
/// captured work is carried out by cudaGraphLaunch only, and waiting, allocating (unless the
/// thread's capture mode is relaxed) or using the default stream meanwhile breaks the capture.

#include <functional>

#include "executor.hpp"

namespace simt {

inline constexpr int device_count = 2;

/// Queues `work` on a stream of the current device; it may read and write that device's memory.
cudaError_t queue_work(cudaStream_t stream, const char* what, std::function<void()> work);
/// From now on the current device has so many bytes left; −1: all that it had at first. What was
/// freed serves requests of its own size again.
void leave_memory(std::int64_t bytes);
/// Device memory that is allocated now, in bytes.
std::size_t live_bytes();
/// Graphs, captured or ready to be launched, that are not destroyed.
int live_graphs();
/// Kernels that have been launched so far, by name.
std::string launched_kernels();

}  // namespace simt
