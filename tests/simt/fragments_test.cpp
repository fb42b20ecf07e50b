#include "fragments.cuh"

#include <cmath>

#include "simt_check.hpp"

using namespace simt_check;
using tandem::bfloat16;

namespace {

/// D = A·B + C of a warp, A (16 × 16), B (16 × 8), C (16 × 8), all by rows.
__global__ void mma_kernel(float* d, const float* a, const float* b, const float* c) {
  using namespace tandem_kernels;
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4;
  std::uint32_t left[4], right[2];
  float sums[4];
  for (int i = 0; i < 4; ++i) {
    const int at = (g + 8 * (i % 2)) * 16 + 2 * t + 8 * (i / 2);
    left[i] = rounded_pair(a[at], a[at + 1]);
    sums[i] = c[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2];
  }
  for (int i = 0; i < 2; ++i) {
    const int at = (2 * t + 8 * i) * 8 + g;
    right[i] = rounded_pair(b[at], b[at + 8]);
  }
  mma_m16n8k16(sums, left, right[0], right[1]);
  for (int i = 0; i < 4; ++i) d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = sums[i];
}

/// Four 8 × 8 matrices, rows of 8 one after the other, as the lanes get them.
__global__ void ldmatrix_kernel(std::uint32_t* out, const std::uint16_t* in, bool turned) {
  TANDEM_SHARED(uint4, rows, 32);
  std::memcpy(static_cast<void*>(rows + threadIdx.x), in + 8 * threadIdx.x, 16);
  __syncthreads();
  std::uint32_t fragment[4];
  if (turned) {
    tandem_kernels::ldmatrix_x4_trans(fragment, rows + threadIdx.x);
  } else {
    tandem_kernels::ldmatrix_x4(fragment, rows + threadIdx.x);
  }
  for (int m = 0; m < 4; ++m) out[32 * m + threadIdx.x] = fragment[m];
}

/// Copies in two groups, and reads what has arrived when all but `pending` groups have.
template <int pending>
__global__ void copy_kernel(float4* out, const float4* in) {
  using namespace tandem_kernels;
  TANDEM_SHARED(float4, box, 64);
  for (int group = 0; group < 2; ++group) {
    cp_async_16(box + 32 * group + threadIdx.x, in + 32 * group + threadIdx.x);
    cp_async_commit();
  }
  cp_async_wait<pending>();
  __syncthreads();
  for (int group = 0; group < 2; ++group)
    out[32 * group + threadIdx.x] = box[32 * group + 31 - threadIdx.x];
  __syncthreads();
  cp_async_wait<0>();
}
/// The wait comes before the copy's group is closed.
__global__ void open_group_kernel(float4* out, const float4* in) {
  using namespace tandem_kernels;
  TANDEM_SHARED(float4, box, 32);
  cp_async_16(box + threadIdx.x, in + threadIdx.x);
  cp_async_wait<0>();
  out[threadIdx.x] = box[threadIdx.x];
  cp_async_commit();
  cp_async_wait<0>();
}
__global__ void overwriting_kernel(float* out, const float4* in) {
  using namespace tandem_kernels;
  TANDEM_SHARED(float4, box, 1);
  box[0] = in[0];
  cp_async_16(box, in);
  out[0] = box[0].x;  // too late
  cp_async_commit();
  cp_async_wait<0>();
  out[1] = box[0].x;
}
__global__ void without_wait_kernel(const float4* in) {
  TANDEM_SHARED(float4, box, 32);
  tandem_kernels::cp_async_16(box + threadIdx.x, in + threadIdx.x);
  tandem_kernels::cp_async_commit();
}
__global__ void misplaced_kernel(const float* in, float4* elsewhere, int what) {
  using namespace tandem_kernels;
  TANDEM_SHARED(float4, box, 32);
  char* const inside = reinterpret_cast<char*>(box);
  std::uint32_t fragment[4];
  if (what == 0) cp_async_16(inside + 8, in);
  if (what == 1) cp_async_16(inside, in + 1);
  if (what == 2) cp_async_16(elsewhere, in);
  if (what == 3) ldmatrix_x4(fragment, inside + 2 * threadIdx.x);
  if (what == 4) ldmatrix_x4_trans(fragment, elsewhere);
  if (what == 5) ldmatrix_x4(fragment, box + 32);
  if (what == 6) {
    for (int i = 0; i < 200; ++i) cp_async_16(inside, in);
  }
  if (what == 7 && threadIdx.x != 3) ldmatrix_x4(fragment, box);
}

std::vector<float> numbers(std::size_t n, double step) {
  std::vector<float> out(n);
  for (std::size_t i = 0; i < n; ++i)
    out[i] = static_cast<float>(std::sin(step * (static_cast<double>(i) + 1)));
  return out;
}

}  // namespace

TEST_CASE("rounded_pair rounds as bfloat16 does") {
  for (const float x : {1.0F, 0.1F, -3.14159F, 1e-40F, 3.4e38F, 1.00390625F, 1.01171875F}) {
    const std::uint32_t pair = tandem_kernels::rounded_pair(x, 2 * x);
    CHECK((pair & 0xffffu) == bfloat16(x).bits);
    CHECK((pair >> 16) == bfloat16(2 * x).bits);
  }
}

TEST_CASE("mma_m16n8k16 is a product of matrices with rounded factors") {
  const std::vector<float> a = numbers(256, 0.7), b = numbers(128, 1.3), c = numbers(128, 2.1);
  const Buffer<float> left(a), right(b), plus(c), out(std::vector<float>(128, 0));
  REQUIRE(outcome(mma_kernel, dim3(1), dim3(32), 0, out.data, left.data, right.data, plus.data) ==
          "");
  const std::vector<float> values = out.values();
  for (std::size_t i = 0; i < 16; ++i) {
    for (std::size_t j = 0; j < 8; ++j) {
      double sum = static_cast<double>(c[i * 8 + j]);
      for (std::size_t k = 0; k < 16; ++k) {
        sum += static_cast<double>(bfloat16(a[i * 16 + k])) *
               static_cast<double>(bfloat16(b[k * 8 + j]));
      }
      // 16 sums of numbers below 17
      CHECK(std::fabs(static_cast<double>(values[i * 8 + j]) - sum) <= 16 * 17 * 0x1p-24);
    }
  }
}

TEST_CASE("ldmatrix_x4 gives rows and _trans columns, in every order of the lanes") {
  std::vector<std::uint16_t> in(256);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::uint16_t>(1000 + i);
  const Buffer<std::uint16_t> rows(in);
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    simt::set_seed(seed);
    for (const bool turned : {false, true}) {
      const Buffer<std::uint32_t> out(std::vector<std::uint32_t>(128, 0));
      REQUIRE(outcome(ldmatrix_kernel, dim3(1), dim3(32), 0, out.data, rows.data, turned) == "");
      const std::vector<std::uint32_t> values = out.values();
      for (std::size_t m = 0; m < 4; ++m) {
        for (std::size_t lane = 0; lane < 32; ++lane) {
          for (std::size_t i = 0; i < 2; ++i) {
            const std::size_t major = lane / 4, minor = lane % 4 * 2 + i;
            const std::size_t at = turned ? minor * 8 + major : major * 8 + minor;
            CHECK(((values[32 * m + lane] >> 16 * i) & 0xffffu) == in[64 * m + at]);
          }
        }
      }
    }
  }
  simt::set_seed(1);
}

TEST_CASE("an asynchronous copy arrives in the wait for its group, and not before") {
  std::vector<float4> in(64);
  for (std::size_t i = 0; i < 64; ++i) in[i] = {static_cast<float>(i), 0, 0, -1};
  const Buffer<float4> from(in);
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    simt::set_seed(seed);
    const auto arrived = [&](auto kernel) {  // elements of each group that are right
      const Buffer<float4> out(std::vector<float4>(64, float4{0, 0, 0, 0}));
      CHECK(outcome(kernel, dim3(1), dim3(32), 0, out.data, from.data) == "");
      const std::vector<float4> values = out.values();
      int first = 0, second = 0;
      for (std::size_t i = 0; i < 32; ++i) {
        first += values[i].x == static_cast<float>(31 - i) && values[i].w == -1;
        second += values[32 + i].x == static_cast<float>(63 - i) && values[32 + i].w == -1;
      }
      return std::pair(first, second);
    };
    CHECK(arrived(copy_kernel<0>) == std::pair(32, 32));
    CHECK(arrived(copy_kernel<1>) == std::pair(32, 0));
    CHECK(arrived(copy_kernel<2>) == std::pair(0, 0));
    const Buffer<float4> out(std::vector<float4>(32, float4{0, 0, 0, 0}));
    CHECK(outcome(open_group_kernel, dim3(1), dim3(32), 0, out.data, from.data) == "");
    for (const float4& value : out.values()) CHECK(value.w != -1);
    const Buffer<float> late({0, 0});
    CHECK(outcome(overwriting_kernel, dim3(1), dim3(1), 0, late.data, from.data) == "");
    CHECK(late.values()[0] != in[0].x);
    CHECK(late.values()[1] == in[0].x);
  }
  simt::set_seed(1);
}

TEST_CASE("copies that nobody waits for, and rows that are misaligned or elsewhere, are faults") {
  const Buffer<float4> in(std::vector<float4>(64, float4{1, 2, 3, 4}));
  const auto message = [&](int what) {
    return outcome(misplaced_kernel, dim3(1), dim3(32), 0, reinterpret_cast<const float*>(in.data),
                   in.data, what);
  };
  CHECK(contains(outcome(without_wait_kernel, dim3(1), dim3(32), 0, in.data),
                 "exited while 1 asynchronous copies, the first one started at "
                 "fragments_test.cpp:"));
  CHECK(contains(message(0), "cp.async at fragments_test.cpp:"));
  CHECK(contains(message(0), "of shared memory at an address that is no multiple of 16"));
  CHECK(contains(message(1), "reads 16 bytes at an address that is no multiple of 16"));
  CHECK(contains(message(2), "outside of the shared arrays"));
  CHECK(contains(message(3), "ldmatrix at fragments_test.cpp:"));
  CHECK(contains(message(3), "no multiple of 16"));
  CHECK(contains(message(4), "outside of the shared arrays"));
  CHECK(contains(message(5), "outside of the shared arrays"));
  CHECK(contains(message(6), "copies are under way"));
  CHECK(contains(message(7), "a warp-wide instruction"));
  CHECK(message(8) == "");
}
