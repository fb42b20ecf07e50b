// Kernels with a planted fault each: the executor must find it and say where it is.

#include <cstdio>
#include <cstdlib>

#include "fragments.cuh"
#include "simt_check.hpp"

using namespace simt_check;

// Not in an unnamed namespace: messages name kernels by the program's symbols.
namespace planted {

__global__ void no_barrier(float* out) {
  TANDEM_SHARED(float, tile, 64);
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);
  out[threadIdx.x] = tile[(threadIdx.x + 1) % 64];  // the neighbour may not have written yet
}

/// The second sum may start to overwrite `partial` while a slow warp still adds up the first.
__global__ void no_barrier_between_sums(float* out) {
  TANDEM_SHARED(float, partial, 2);
  for (int round = 0; round < 2; ++round) {
    const float sum = tandem_kernels::warp_sum(static_cast<float>(round + 1));
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
    __syncthreads();
    out[round * 64 + threadIdx.x] = partial[0] + partial[1];
  }
}

__global__ void exits_early(int* out, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= n) return;
  __syncthreads();
  out[i] = i;
}

__global__ void two_barriers(int* out) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1;
}

__global__ void divergent_shuffle(int* out) {
  int value = static_cast<int>(threadIdx.x);
  if (threadIdx.x < 20) {
    value = __shfl_xor_sync(0xffffffffu, value, 1);
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = value;
}

__global__ void not_in_mask(int* out) {
  out[threadIdx.x] = __shfl_sync(0x0000ffffu, static_cast<int>(threadIdx.x), 0);
}

__global__ void masks_differ(int* out) {
  const unsigned mask = threadIdx.x == 3 ? 0x0000000fu : 0xffffffffu;
  out[threadIdx.x] = __shfl_sync(mask, static_cast<int>(threadIdx.x), 0);
}

__global__ void operations_differ(int* out) {
  out[threadIdx.x] = threadIdx.x == 3 ? __any_sync(0xffffffffu, 1)
                                      : __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x), 0);
}

__global__ void reads_outside_mask(int* out) {
  if (threadIdx.x < 16)
    out[threadIdx.x] = __shfl_down_sync(0x0000ffffu, static_cast<int>(threadIdx.x), 1);
}

__global__ void reads_exited(int* out) {
  if (threadIdx.x == 31) return;
  out[threadIdx.x] = __shfl_down_sync(0xffffffffu, static_cast<int>(threadIdx.x), 1);
}

__global__ void odd_width(int* out) {
  out[threadIdx.x] = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x), 0, 12);
}

__global__ void writes_behind_shared(int offset) {
  TANDEM_SHARED(float, tile, 8);
  (&tile[0])[offset] = 1;
}

__global__ void writes_outside(float* data, std::int64_t at) { data[at] = 1; }
__global__ void reads_outside(float* out, const float* data, std::int64_t at) { out[0] = data[at]; }

/// Counts in an integer that nobody has set, in global and in shared memory.
__global__ void counts_from_nothing(int* out, const int* never_written) {
  TANDEM_SHARED(int, count, 1);
  ++count[0];
  out[0] = never_written[0] + 1;
  out[1] = count[0];
}

__global__ void large_array(int* out) {
  TANDEM_SHARED(double, tile, 6145);
  out[0] = tile[0] != tile[0];
}
__global__ void large_with_launch(int* out) {
  TANDEM_SHARED(double, tile, 6000);
  out[0] = tile[0] != tile[0];
}
__global__ void some_with_launch(int* out) {
  TANDEM_SHARED(double, tile, 64);
  out[0] = tile[0] != tile[0];
}
__global__ void nothing(int*) {}

struct Operands {
  int count;
  const float* from;
};
__global__ void takes_structure(int* out, Operands x) { out[0] = x.count; }

__global__ void waits_for_a_flag(const volatile int* flag) {
  while (*flag == 0) {
  }
}
__global__ void meets_for_ever(int* out) {
  while (out[0] == 0) __syncthreads();
}

/// Each block adds to what the block before it has written: right only while blocks run one after
/// the other.
__global__ void reads_other_block(int* out) {
  if (threadIdx.x == 0) out[0] += 1;
}
/// The same with a barrier in it: barriers order the threads of one block only.
__global__ void reads_other_block_after_barrier(int* out) {
  __syncthreads();
  if (threadIdx.x == 0) out[0] += 1;
  __syncthreads();
}
/// Correct: shared memory between barriers, several blocks.
__global__ void reverses(int* out) {
  TANDEM_SHARED(int, tile, 64);
  for (int round = 0; round < 3; ++round) {
    tile[threadIdx.x] = static_cast<int>(threadIdx.x) + round;
    __syncthreads();
    out[blockIdx.x * 64 + threadIdx.x] = tile[63 - threadIdx.x];
    __syncthreads();
  }
}

/// Reads what the neighbour has copied: right with a barrier, after the neighbour's wait. And
/// copies over what others may still read, unless there is a barrier before that, too.
__global__ void copies(float4* out, const float4* in, bool before, bool after) {
  TANDEM_SHARED(float4, box, 64);
  for (int round = 0; round < 2; ++round) {
    tandem_kernels::cp_async_16(box + threadIdx.x, in + threadIdx.x);
    tandem_kernels::cp_async_commit();
    tandem_kernels::cp_async_wait<0>();
    if (after) __syncthreads();
    out[threadIdx.x] = box[63 - threadIdx.x];
    if (before) __syncthreads();
  }
}

}  // namespace planted

namespace {

const dim3 one(1);

template <class... P, class... A>
void expect(const std::string& begin, const std::string& part, void (*kernel)(P...), dim3 block,
            std::size_t shared, A... arguments) {
  const std::string message = outcome(kernel, one, block, shared, arguments...);
  CAPTURE(message);
  CHECK(message.substr(0, begin.size()) == begin);
  CHECK(contains(message, part));
}

}  // namespace

TEST_CASE("a missing barrier shows in the numbers: the neighbour's value is still poison") {
  if (SIMT_TSAN) return;  // races on purpose run in child processes there, see below
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    simt::set_seed(seed);
    const Buffer<float> out(std::vector<float>(64, 0));
    CHECK(outcome(planted::no_barrier, one, dim3(64), 0, out.data) == "");
    int unwritten = 0;
    for (const float value : out.values()) unwritten += !(value >= 0 && value < 64);
    CHECK(unwritten > 0);
  }
  simt::set_seed(1);
}

TEST_CASE("a missing barrier between two sums shows under some order of the threads") {
  if (SIMT_TSAN) return;
  int wrong = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    simt::set_seed(seed);
    const Buffer<float> out(std::vector<float>(128, 0));
    CHECK(outcome(planted::no_barrier_between_sums, one, dim3(64), 0, out.data) == "");
    const std::vector<float> values = out.values();
    for (int i = 0; i < 128; ++i) wrong += values[i] != (i < 64 ? 64.0F : 128.0F);
  }
  CHECK(wrong > 0);
  simt::set_seed(1);
}

TEST_CASE("barriers: early exit and divergence") {
  const Buffer<int> out(std::vector<int>(64, 0));
  expect("[simt] kernel exits_early, block (0, 0, 0), thread (",
         "exited before the barrier of faults_test.cpp:", planted::exits_early, dim3(64), 0,
         out.data, 33);
  expect("[simt] kernel exits_early", "at which 33 threads wait", planted::exits_early, dim3(64), 0,
         out.data, 33);
  expect("[simt] kernel two_barriers",
         "waits at the barrier of faults_test.cpp:", planted::two_barriers, dim3(64), 0, out.data);
}

TEST_CASE("warp operations: divergence, masks, sources") {
  const Buffer<int> out(std::vector<int>(64, 0));
  expect("[simt] kernel divergent_shuffle, block (0, 0, 0), thread (",
         "deadlock: __shfl_xor_sync at faults_test.cpp:", planted::divergent_shuffle, dim3(32), 0,
         out.data);
  expect("[simt] kernel divergent_shuffle",
         "waits for lane 20, which waits at the barrier of faults_test", planted::divergent_shuffle,
         dim3(32), 0, out.data);
  expect("[simt] kernel not_in_mask", "mask 0x0000ffff, which does not contain the caller",
         planted::not_in_mask, dim3(32), 0, out.data);
  expect("[simt] kernel masks_differ", "with another mask, 0x", planted::masks_differ, dim3(32), 0,
         out.data);
  expect("[simt] kernel operations_differ", "in another operation, __", planted::operations_differ,
         dim3(32), 0, out.data);
  expect("[simt] kernel reads_outside_mask, block (0, 0, 0), thread (15, 0, 0) (lane 15 of warp 0)",
         "reads lane 16, which is not in the mask 0x0000ffff", planted::reads_outside_mask,
         dim3(32), 0, out.data);
  expect("[simt] kernel reads_exited, block (0, 0, 0), thread (30, 0, 0)",
         "reads lane 31, which has exited or does not exist", planted::reads_exited, dim3(32), 0,
         out.data);
  expect("[simt] kernel odd_width", "with width 12", planted::odd_width, dim3(32), 0, out.data);
  // A block that is not made of whole warps: its last lanes do not exist.
  expect("[simt] kernel reads_exited", "does not exist", planted::reads_exited, dim3(20), 0,
         out.data);
}

TEST_CASE("after a fault the executor goes on") {
  const Buffer<int> out(std::vector<int>(64, 0));
  CHECK(outcome(planted::exits_early, one, dim3(64), 0, out.data, 33) != "");
  CHECK(outcome(planted::exits_early, one, dim3(64), 0, out.data, 64) == "");
  CHECK(out.values()[63] == 63);
}

TEST_CASE("limits: threads, grid, shared memory") {
  const Buffer<int> out(std::vector<int>(1, 0));
  const auto launch_of = [&](dim3 grid, dim3 block, std::size_t shared) {
    return outcome(planted::nothing, grid, block, shared, out.data);
  };
  CHECK(launch_of(1, dim3(1024), 0) == "");
  CHECK(contains(launch_of(1, dim3(1025), 0), "a block of 1025 x 1 x 1 threads, at most 1024"));
  CHECK(contains(launch_of(1, dim3(32, 33), 0), "a block of 32 x 33 x 1 threads"));
  CHECK(contains(launch_of(1, dim3(1, 1, 65), 0), "a block of 1 x 1 x 65 threads"));
  CHECK(contains(launch_of(1, dim3(0), 0), "a block of 0 x 1 x 1 threads"));
  CHECK(contains(launch_of(dim3(1, 65536), dim3(1), 0), "a grid of 1 x 65536 x 1 blocks"));
  CHECK(launch_of(dim3(0), dim3(1), 0) == "");  // launch() has nothing to do
  CHECK(launch_of(1, dim3(1), 227 << 10) == "");
  CHECK(contains(launch_of(1, dim3(1), (227 << 10) + 1), "at most 232448 are allowed"));
  // Without cudaFuncSetAttribute, which launch() calls, 48 KB is the limit.
  int* pointer = out.data;
  void* arguments[] = {&pointer};
  CHECK(cudaLaunchKernel(planted::two_barriers, one, one, arguments, (48 << 10) + 1, nullptr) ==
        cudaErrorInvalidValue);
  expect("[simt] kernel large_array", "declares 49160 bytes of shared arrays, at most 49152",
         planted::large_array, one, 0, out.data);
  expect("[simt] kernel large_with_launch",
         "needs 248000 bytes of shared memory, of which it declares 48000, at most 232448",
         planted::large_with_launch, one, 200000, out.data);
}

TEST_CASE("limits: what a kernel declares counts beside what the launch asks for") {
  const Buffer<int> out(std::vector<int>(1, 0));
  int* pointer = out.data;
  void* arguments[] = {&pointer};
  // 48 KB in all are free to use; one byte more is not, until cudaFuncSetAttribute was asked.
  const auto bare = [&](std::size_t shared) {
    CHECK(cudaLaunchKernel(planted::some_with_launch, one, one, arguments, shared, nullptr) ==
          cudaSuccess);
    try {
      (void)cudaDeviceSynchronize();
    } catch (const simt::Fault& fault) {
      return std::string(fault.what());
    }
    return std::string();
  };
  CHECK(bare((48 << 10) - 512) == "");
  CHECK(contains(bare((48 << 10) - 511),
                 "needs 49153 bytes of shared memory, of which it declares 512, at most 49152 are "
                 "allowed without cudaFuncSetAttribute"));
  // launch() asks.
  CHECK(outcome(planted::some_with_launch, one, one, (48 << 10) - 511, out.data) == "");
  CHECK(outcome(planted::some_with_launch, one, one, 48 << 10, out.data) == "");
  CHECK(bare(48 << 10) == "");
  CHECK(outcome(planted::some_with_launch, one, one, (227 << 10) - 512, out.data) == "");
  CHECK(outcome(planted::some_with_launch, one, one, 16, out.data) == "");
}

TEST_CASE("writes outside shared and global memory") {
  const Buffer<float> data(std::vector<float>(77, 0));
  if (SIMT_ASAN) {
    // AddressSanitizer stops at the access itself, reads too.
    const Buffer<float> out({0});
    const auto stops = [](auto&& f) {
      const Ended ended = in_child(f);
      return !ended.normally && contains(ended.errors, "AddressSanitizer: use-after-poison");
    };
    CHECK(stops([&] { (void)outcome(planted::writes_behind_shared, one, one, 0, 8); }));
    CHECK(stops([&] { (void)outcome(planted::writes_outside, one, one, 0, data.data, 77); }));
    CHECK(stops([&] { (void)outcome(planted::writes_outside, one, one, 0, data.data, -1); }));
    CHECK(stops(
        [&] { (void)outcome(planted::reads_outside, one, one, 0, out.data, data.data, 77); }));
    return;
  }
  expect(
      "[simt] kernel writes_behind_shared, block (0, 0, 0): a write outside the shared array "
      "'tile' "
      "of 32 bytes, 0 bytes behind its end",
      "", planted::writes_behind_shared, one, 0, 8);
  expect("[simt] kernel writes_behind_shared",
         "a write outside the shared array 'tile' of 32 bytes", planted::writes_behind_shared, one,
         0, 20);
  for (const std::int64_t at : {77, 100, -1, -10}) {
    const Buffer<float> target(std::vector<float>(77, 0));
    expect("[simt] kernel writes_outside wrote outside an allocation of 308 bytes",
           at < 0 ? "bytes before it" : "bytes behind its end", planted::writes_outside, one, 0,
           target.data, at);
    // Repaired, so that the next kernel is not blamed.
    expect("[simt]", "", planted::writes_outside, one, 0, target.data, at);
    const auto repair = [&] {
      float* p = target.data + at;
      return simt::queue_work(nullptr, "repair", [p] { std::memset(p, 0xff, sizeof(float)); });
    };
    CHECK(repair() == cudaSuccess);
    CHECK(cudaDeviceSynchronize() == cudaSuccess);
  }
}

TEST_CASE("host pointers, freed memory and memory of another device are refused as arguments") {
  const Buffer<int> out({0});
  const Buffer<float> data({0});
  float host = 0;
  static float at_rest = 0;
  const std::vector<float> heap(4);
  const auto pass = [&](const float* pointer) {
    return outcome(planted::takes_structure, one, one, 0, out.data, planted::Operands{7, pointer});
  };
  CHECK(pass(data.data) == "");
  CHECK(pass(nullptr) == "");
  CHECK(pass(data.data + 1) == "");  // one behind the end, where a loop stops
  for (const float* pointer :
       {static_cast<const float*>(&host), static_cast<const float*>(&at_rest), heap.data()}) {
    if (SIMT_LOOKS_INTO_STRUCTURES)
      CHECK(contains(pass(pointer),
                     "kernel takes_structure: argument 2 holds, at byte 8, a host pointer"));
  }
  const auto reads = [&](const float* pointer) {
    return outcome(planted::reads_outside, one, one, 0, data.data, pointer, 0);
  };
  CHECK(contains(reads(&host), "kernel reads_outside: argument 2 is a host pointer"));
  CHECK(contains(reads(reinterpret_cast<const float*>(std::uintptr_t{64})),
                 "argument 2 is no pointer to device memory"));
  void* freed = nullptr;
  REQUIRE(cudaMalloc(&freed, 16) == cudaSuccess);
  REQUIRE(cudaFree(freed) == cudaSuccess);
  CHECK(contains(reads(static_cast<float*>(freed)),
                 "is a pointer to memory that is not allocated on the current"));
  if (SIMT_LOOKS_INTO_STRUCTURES) {
    CHECK(contains(pass(static_cast<float*>(freed)),
                   "at byte 8, a pointer to memory that is not allocated"));
  }
  REQUIRE(cudaSetDevice(1) == cudaSuccess);
  void* other = nullptr;
  REQUIRE(cudaMalloc(&other, 16) == cudaSuccess);
  REQUIRE(cudaSetDevice(0) == cudaSuccess);
  CHECK(contains(reads(static_cast<float*>(other)), "not allocated on the current device"));
  REQUIRE(cudaFree(other) == cudaSuccess);
}

TEST_CASE("a thread that computes on and on is stopped, and so is a block that never ends") {
  if (SIMT_TSAN) return;  // it holds signals back until the next call of the C library
  simt::set_patience(0.2);
  const Buffer<int> flag({0});
  expect("[simt] kernel waits_for_a_flag, block (0, 0, 0), thread (",
         "computes on and on without meeting any other thread", planted::waits_for_a_flag, dim3(3),
         0, flag.data);
  expect("[simt] kernel meets_for_ever, block (0, 0, 0)", "the block does not come to an end",
         planted::meets_for_ever, dim3(3), 0, flag.data);
  simt::set_patience(10);
  CHECK(outcome(planted::exits_early, one, dim3(1), 0, flag.data, 1) == "");  // and it goes on
}

TEST_CASE("a read outside global memory gives NaN where AddressSanitizer is off") {
  if (SIMT_ASAN) return;
  const Buffer<float> data(std::vector<float>(33, 0)), out({0});
  for (const std::int64_t at : {33, -1}) {
    CHECK(outcome(planted::reads_outside, one, one, 0, out.data, data.data, at) == "");
    CHECK(out.values()[0] != out.values()[0]);
  }
}

TEST_CASE("an integer that nobody has set is no small number, in global and in shared memory") {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    simt::set_seed(seed);
    void* fresh = nullptr;
    REQUIRE(cudaMalloc(&fresh, sizeof(int)) == cudaSuccess);
    const Buffer<int> out({0, 0});
    CHECK(outcome(planted::counts_from_nothing, one, one, 0, out.data,
                  static_cast<const int*>(fresh)) == "");
    for (const int count : out.values()) CHECK((count > 1 << 30 && count % 2 == 0));  // odd, and 1
    REQUIRE(cudaFree(fresh) == cudaSuccess);
  }
  simt::set_seed(1);
}

namespace {

/// Kernels for ThreadSanitizer, by name. It stops working in a child of fork() when there are
/// fibers, so each runs in a process that starts from the beginning.
void run_for_thread_sanitizer(const std::string& name) {
  const Buffer<float> out(std::vector<float>(128, 0));
  const Buffer<int> ids(std::vector<int>(256, 0));
  if (name == "no barrier") (void)outcome(planted::no_barrier, one, dim3(64), 0, out.data);
  if (name == "no barrier between sums") {
    (void)outcome(planted::no_barrier_between_sums, one, dim3(64), 0, out.data);
  }
  if (name == "one address")
    (void)outcome(planted::writes_outside, dim3(2), dim3(4), 0, out.data, 5);
  if (name == "two blocks")
    (void)outcome(planted::reads_other_block, dim3(4), dim3(4), 0, ids.data);
  if (name == "two blocks, barrier") {
    (void)outcome(planted::reads_other_block_after_barrier, dim3(4), dim3(4), 0, ids.data);
  }
  if (name == "right: a barrier")
    (void)outcome(planted::exits_early, one, dim3(64), 0, ids.data, 64);
  if (name ==
      "right: blocks, launches") {  // launches are ordered, on the same and on shared memory
    for (int i = 0; i < 3; ++i) (void)outcome(planted::reverses, dim3(4), dim3(64), 0, ids.data);
  }
  const Buffer<float4> from(std::vector<float4>(64)), to(std::vector<float4>(64));
  if (name == "a copy that is read too early")
    (void)outcome(planted::copies, one, dim3(64), 0, to.data, from.data, true, false);
  if (name == "a copy over what is read")
    (void)outcome(planted::copies, one, dim3(64), 0, to.data, from.data, false, true);
  if (name == "right: copies")
    (void)outcome(planted::copies, one, dim3(64), 0, to.data, from.data, true, true);
  std::puts("ran");
}

}  // namespace

// Skipped unless it is asked for: the next test starts it in a process of its own, where it may
// race.
TEST_CASE("one kernel for ThreadSanitizer" * doctest::skip()) {
  if (const char* name = std::getenv("SIMT_KERNEL")) run_for_thread_sanitizer(name);
}

TEST_CASE("ThreadSanitizer sees the missing barriers, and nothing where none is missing") {
  if (!SIMT_TSAN) return;
  char self[4096] = {};
  REQUIRE(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  const auto races = [&](const std::string& name) {
    const std::string command = "SIMT_KERNEL='" + name + "' '" + self +
                                "' --no-skip --test-case='one kernel for ThreadSanitizer' 2>&1";
    std::FILE* const pipe = popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string said;
    char piece[4096];
    while (std::size_t n = std::fread(piece, 1, sizeof piece, pipe)) said.append(piece, n);
    pclose(pipe);
    const bool race = contains(said, "data race");
    CHECK_MESSAGE((race || contains(said, "ran")), said);
    return race;
  };
  for (const char* name :
       {"no barrier", "no barrier between sums", "one address", "two blocks", "two blocks, barrier",
        "a copy that is read too early", "a copy over what is read"}) {
    CAPTURE(name);
    CHECK(races(name));
  }
  CHECK_FALSE(races("right: a barrier"));
  CHECK_FALSE(races("right: blocks, launches"));
  CHECK_FALSE(races("right: copies"));
}
