#pragma once
/// Runs CUDA kernels on the CPU: the same sources, compiled as C++ against tests/simt/cuda/.
///
/// The threads of a block are fibers on one OS thread. Those that can run take turns in an order
/// that the seed shuffles, as it does the blocks, until all have exited: in every second block a
/// random one goes on, in the others the warps have ranks and the first runs as far as it can. A
/// barrier waits for every thread of the block, a warp operation for the lanes of its mask, and
/// what a GPU would answer with a hang or a wrong number is a Fault that names thread, operation
/// and source line:
///   - a lane that is not in the mask it passes; lanes that pass different masks or meet in
///     different operations; a source lane that is not in the mask or has exited; a warp operation
///     that some lane of its mask never reaches
///   - a thread that exits before a barrier at which others wait; threads at different barriers
///   - shared memory beyond 48 KB, declared and the launch's together, or beyond 227 KB where
///     cudaFuncSetAttribute was asked, and writes outside its arrays
///   - ldmatrix and cp.async at addresses that are not multiples of 16 or not shared; a thread that
///     exits before it has waited for its asynchronous copies
///   - a thread that computes for longer than set_patience() without meeting any other, as a wait
///     for a flag that nobody sets does; a block that goes on for twenty times as long (not under
///     ThreadSanitizer, which holds signals back).
/// Shared memory is poisoned before every block, so a read that no barrier orders after its write
/// shows. The poison alternates with the seed: NaN (odd seeds), or a number that is large and, as
/// an integer, odd (even seeds), so that neither code that skips NaN nor a sum of integers looks
/// right twice.
/// An asynchronous copy poisons its target where it starts and takes place in the wait that
/// completes it (cuda/tensor_cores.hpp).
/// AddressSanitizer and ThreadSanitizer know the fibers: out-of-bounds reads and races are theirs.
/// A thread is another fiber in every block, so accesses of two blocks to one address are seen as
/// the race that they are.

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "cuda/cuda_runtime.h"

namespace simt {

class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr std::size_t static_shared_limit = 48 << 10, shared_limit = 227 << 10;

/// The order of threads and blocks, and the poison, from now on.
void set_seed(std::uint64_t seed);
/// What unwritten memory holds, as 32-bit words. As float and double NaN, or 6e16 and 4e132; odd as
/// an integer.
std::uint32_t poison();
/// CPU seconds that a thread may compute without meeting any other (10 at first).
void set_patience(double seconds);

/// A kernel's name with its template arguments, as far as the program's symbols tell.
std::string kernel_name(const void* kernel);

struct Launch {
  const void* kernel;
  dim3 grid, block;
  std::size_t shared;
  std::function<void()> thread;  ///< what each thread runs
  /// What cudaFuncSetAttribute has allowed; 0: the declared arrays share 48 KB with `shared`.
  std::size_t granted = 0;
};
/// Runs every block of a launch whose dimensions are valid. Throws Fault.
void run(const Launch& launch);

}  // namespace simt
