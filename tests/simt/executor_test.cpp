#include "common.cuh"
#include "simt_check.hpp"

using namespace simt_check;

namespace {

__global__ void where_kernel(int* out) {
  const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * static_cast<int>(blockDim.x * blockDim.y * blockDim.z) + thread] +=
      1000 * block + thread;
}

__global__ void order_kernel(int* order, int* next) {
  order[atomicAdd(next, 1)] = static_cast<int>(threadIdx.x + 100 * blockIdx.x);
}

template <class T>
__global__ void warp_kernel(T* out, int operand, int width) {
  const int lane = threadIdx.x;
  const T value = T(100 + lane);
  out[lane] = __shfl_sync(0xffffffffu, value, operand, width);
  out[32 + lane] = __shfl_up_sync(0xffffffffu, value, operand, width);
  out[64 + lane] = __shfl_down_sync(0xffffffffu, value, operand, width);
  out[96 + lane] = __shfl_xor_sync(0xffffffffu, value, operand, width);
}

__global__ void vote_kernel(unsigned* out) {
  const unsigned lane = threadIdx.x, mask = lane % 2 == 0 ? 0x55555555u : 0xaaaaaaaau;
  out[lane] = __ballot_sync(mask, lane < 10);
  out[32 + lane] = __any_sync(mask, lane == 5);
  out[64 + lane] = __all_sync(mask, lane % 2 == 1 || lane < 20);
}

__global__ void sums_kernel(double* out) {
  TANDEM_SHARED(double, partial, 32);
  for (int round = 0; round < 3; ++round) {
    const double sum = tandem_kernels::block_sum(double(threadIdx.x + round), partial);
    const double top = tandem_kernels::block_max(double(threadIdx.x) - round, partial);
    out[(blockIdx.x * 3 + round) * blockDim.x + threadIdx.x] = sum + 1e6 * top;
  }
}

/// Reverses a block's values through the launch's shared bytes.
__global__ void reverse_kernel(float* data) {
  TANDEM_SHARED_BYTES(float, tile);
  tile[threadIdx.x] = data[threadIdx.x];
  __syncthreads();
  data[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

/// How many of the block's unwritten numbers are NaN, and how many unwritten integers odd and
/// large.
__global__ void poison_kernel(int* nan, int* odd) {
  TANDEM_SHARED(float, first, 7);
  TANDEM_SHARED(double, second, 3);
  TANDEM_SHARED(int, whole, 5);
  TANDEM_SHARED_BYTES(float, third);
  int n = 0, o = 0;
  for (int i = 0; i < 7; ++i) n += first[i] != first[i];
  for (int i = 0; i < 3; ++i) n += second[i] != second[i];
  for (int i = 0; i < 5; ++i) n += third[i] != third[i];
  for (int i = 0; i < 5; ++i) o += whole[i] % 2 == 1 && whole[i] > 1000000;
  nan[blockIdx.x] = n;
  odd[blockIdx.x] = o;
  for (int i = 0; i < 7; ++i) first[i] = 0;  // the next block must find poison again
}

/// A sum of the lanes' numbers, as an instruction of the whole warp.
SIMT_UNSEEN void sum_of_lanes(void* const (&lanes)[32]) {
  int sum = 0;
  for (void* lane : lanes) sum += static_cast<int*>(lane)[0];
  for (void* lane : lanes) static_cast<int*>(lane)[1] = sum;
}
__global__ void together_kernel(int* out) {
  int mine[2] = {static_cast<int>(threadIdx.x), 0};
  simt::together(mine, sum_of_lanes, SimtHere::current());
  out[threadIdx.x] = mine[1];
}

__global__ void vectors_kernel(float4* out, const float4* in, int* bits) {
  const float4 v = __ldg(in + threadIdx.x);
  out[threadIdx.x] = make_float4(v.w, v.z, v.y, v.x);
  if (threadIdx.x == 0) {
    bits[0] = __popc(0xf0u) + 100 * __clz(1) + 10000 * __ffs(8);
    bits[1] = static_cast<int>(__umulhi(0x80000000u, 6u));
    bits[2] = __float_as_int(1.0F);
  }
}

__global__ void atomics_kernel(int* sum, float* total, unsigned* most, int* least, int* swapped) {
  atomicAdd(sum, 1);
  atomicAdd(total, 0.5F);
  atomicMax(most, threadIdx.x);
  atomicMin(least, -static_cast<int>(threadIdx.x));
  atomicCAS(swapped, 0, static_cast<int>(threadIdx.x) + 1);
}

__global__ void syncwarp_kernel(int* out) {
  TANDEM_SHARED(int, box, 32);
  box[threadIdx.x] = threadIdx.x;
  __syncwarp();
  out[threadIdx.x] = box[31 - threadIdx.x];
}

}  // namespace

TEST_CASE("every thread of every block runs once and knows its place") {
  const dim3 grid(3, 2, 2), block(5, 3, 2);
  const Buffer<int> out(std::vector<int>(12 * 30, 0));
  CHECK(outcome(where_kernel, grid, block, 0, out.data) == "");
  const std::vector<int> values = out.values();
  for (int i = 0; i < 12 * 30; ++i) CHECK(values[i] == 1000 * (i / 30) + i % 30);
}

TEST_CASE("the seed shuffles threads and blocks, and repeats") {
  const auto run = [](std::uint64_t seed) {
    simt::set_seed(seed);
    const Buffer<int> order(std::vector<int>(40, -1)), next({0});
    CHECK(outcome(order_kernel, dim3(4), dim3(10), 0, order.data, next.data) == "");
    return order.values();
  };
  const std::vector<int> first = run(1);
  CHECK(first == run(1));
  CHECK(first != run(2));
  // Blocks come in another order than 0, 1, 2, 3, and threads too, for one of a few seeds.
  bool blocks = false, threads = false;
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    const std::vector<int> order = run(seed);
    blocks = blocks || order[0] / 100 != 0;
    threads = threads || order[0] % 100 != 0;
  }
  CHECK(blocks);
  CHECK(threads);
  simt::set_seed(1);
}

TEST_CASE_TEMPLATE("warp exchanges: every operand and width, by the definition", T, int, float,
                   double, std::int64_t) {
  for (const int width : {32, 16, 8, 1}) {
    for (int operand = 0; operand < 32; ++operand) {
      const Buffer<T> out(std::vector<T>(128, T(0)));
      REQUIRE(outcome(warp_kernel<T>, dim3(1), dim3(32), 0, out.data, operand, width) == "");
      const std::vector<T> values = out.values();
      for (int lane = 0; lane < 32; ++lane) {
        const int at = lane % width, begin = lane - at;
        CHECK(values[lane] == T(100 + begin + operand % width));
        CHECK(values[32 + lane] == T(100 + (at >= operand ? lane - operand : lane)));
        CHECK(values[64 + lane] == T(100 + (at + operand < width ? lane + operand : lane)));
        CHECK(values[96 + lane] ==
              T(100 + ((lane ^ operand) < begin + width ? lane ^ operand : lane)));
      }
    }
  }
}

TEST_CASE("votes count the lanes of their mask only, and two masks of a warp meet apart") {
  const Buffer<unsigned> out(std::vector<unsigned>(96, 9));
  REQUIRE(outcome(vote_kernel, dim3(1), dim3(32), 0, out.data) == "");
  const std::vector<unsigned> values = out.values();
  for (unsigned lane = 0; lane < 32; ++lane) {
    const bool odd = lane % 2 == 1;
    CHECK(values[lane] == (odd ? 0x2aau : 0x155u));  // lanes below 10
    CHECK(values[32 + lane] == odd);
    CHECK(values[64 + lane] == odd);
  }
}

TEST_CASE("block_sum and block_max of kernels/common.cuh, used again and again") {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    simt::set_seed(seed);
    for (const int threads : {32, 64, 256, 1024}) {
      const Buffer<double> out(std::vector<double>(2 * 3 * threads, 0));
      REQUIRE(outcome(sums_kernel, dim3(2), dim3(threads), 0, out.data) == "");
      const std::vector<double> values = out.values();
      for (int i = 0; i < 6 * threads; ++i) {
        const int round = i / threads % 3;
        // Sums of whole numbers are exact.
        CHECK(values[i] ==
              threads * (threads - 1) / 2.0 + threads * round + 1e6 * (threads - 1 - round));
      }
    }
  }
  simt::set_seed(1);
}

namespace names {
struct Gelu {};
template <class F, class C>
struct Right {};
}  // namespace names

TEST_CASE("elementwise launches are named after their formula, without namespaces") {
  CHECK(std::string(tandem::cuda::map_name<names::Gelu>()) == "map Gelu");
  CHECK(std::string(tandem::cuda::map_name<names::Right<names::Gelu, float>>()) ==
        "map Right<Gelu, float>");
}

TEST_CASE("the launch's shared bytes, also beyond 48 KB") {
  std::vector<float> values(1024);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const Buffer<float> data(values);
  CHECK(outcome(reverse_kernel, dim3(1), dim3(1024), 4096, data.data) == "");
  CHECK(data.values()[0] == 1023);
  CHECK(outcome(reverse_kernel, dim3(1), dim3(1024), 200 << 10, data.data) == "");
  CHECK(data.values()[0] == 0);
}

TEST_CASE("shared memory is poisoned when a block starts, with NaN or with large odd integers") {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    simt::set_seed(seed);
    const Buffer<int> nan(std::vector<int>(4, 0)), odd(std::vector<int>(4, 0));
    CHECK(outcome(poison_kernel, dim3(4), dim3(1), 20, nan.data, odd.data) == "");
    CHECK(nan.values() == std::vector<int>(4, seed % 2 == 1 ? 15 : 0));
    CHECK(odd.values() == std::vector<int>(4, 5));
  }
  simt::set_seed(1);
}

TEST_CASE("an instruction of a whole warp is carried out once, with what every lane brings") {
  const Buffer<int> out(std::vector<int>(64, 0));
  CHECK(outcome(together_kernel, dim3(1), dim3(64), 0, out.data) == "");
  for (int i = 0; i < 64; ++i) CHECK(out.values()[i] == (i < 32 ? 496 : 496 + 1024));
}

TEST_CASE("vectors of 16 bytes and bits of numbers") {
  const Buffer<float4> in({{1, 2, 3, 4}, {5, 6, 7, 8}}), out(std::vector<float4>(2));
  const Buffer<int> bits(std::vector<int>(3, 0));
  CHECK(outcome(vectors_kernel, dim3(1), dim3(2), 0, out.data, in.data, bits.data) == "");
  CHECK(out.values()[1].x == 8);
  CHECK(out.values()[1].w == 5);
  CHECK(bits.values() == std::vector<int>{4 + 3100 + 40000, 3, 0x3f800000});
}

TEST_CASE("atomics") {
  const Buffer<int> sum({0}), least({7}), swapped({0});
  const Buffer<float> total({0});
  const Buffer<unsigned> most({0});
  CHECK(outcome(atomics_kernel, dim3(3), dim3(40), 0, sum.data, total.data, most.data, least.data,
                swapped.data) == "");
  CHECK(sum.values()[0] == 120);
  CHECK(total.values()[0] == 60);
  CHECK(most.values()[0] == 39);
  CHECK(least.values()[0] == -39);
  CHECK(swapped.values()[0] >= 1);
}

TEST_CASE("__syncwarp is a barrier of a warp") {
  const Buffer<int> out(std::vector<int>(32, 0));
  CHECK(outcome(syncwarp_kernel, dim3(1), dim3(32), 0, out.data) == "");
  for (int i = 0; i < 32; ++i) CHECK(out.values()[i] == 31 - i);
}

TEST_CASE("kernels have names") {
  CHECK(simt::kernel_name(reinterpret_cast<const void*>(&simt::set_seed)) == "set_seed");
}
