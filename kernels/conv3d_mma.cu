/// conv3d on tensor cores — y of conv3d.cu for Precision::bfloat16: W and x are rounded to bfloat16
/// on their way into shared memory, products and sums are float, and so are bias, relu and y.
///
/// The same implicit product: a block of four warps has 64 outputs × 64 positions, a warp 16 × 64
/// of them in fragments of its registers; 32 terms at a time of both factors go through shared
/// memory, x by positions, so that both are read by ldmatrix as they lie. Terms are added 16 at a
/// time in their order: the same bits every time. Each element of x is read and rounded once for
/// each tap and each 64 outputs, mostly from the cache, W once for each 64 positions: bound by
/// these loads, not by the tensor cores, where taps are few. Not measured.

#include "conv3d.cuh"
#include "fragments.cuh"

namespace tandem_kernels {

using tandem::bfloat16;

constexpr int mma_tile = 64, mma_depth = 32, mma_threads = 128;
/// Of a row of a factor in shared memory; eight rows that ldmatrix reads together start in
/// different banks.
constexpr int mma_stride = mma_depth + 8;
constexpr int mma_shared_bytes = 2 * mma_tile * mma_stride * static_cast<int>(sizeof(bfloat16));

template <class Right>
__global__ void __launch_bounds__(mma_threads)
    conv3d_mma_kernel(ImplicitProduct<float> product, Right right) {
  TANDEM_SHARED_BYTES(bfloat16, a);  // (64 outputs, terms), then (64 positions, terms)
  TANDEM_SHARED(Spot, rows, mma_depth);
  TANDEM_SHARED(std::int64_t, places, mma_tile);
  bfloat16* const b = a + mma_tile * mma_stride;
  const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
  const std::int64_t group = product.first_group + blockIdx.y;
  const std::int64_t tiles_m = (product.m + mma_tile - 1) / mma_tile,
                     tiles_n = (product.n + mma_tile - 1) / mma_tile;
  for (std::int64_t work = blockIdx.x; work < tiles_m * tiles_n; work += gridDim.x) {
    const std::int64_t first_m = work % tiles_m * mma_tile, first_n = work / tiles_m * mma_tile;
    const int own = t % mma_tile;
    Spot column = first_n + own < product.n ? right.column(first_n + own) : no_spot();
    column.base += group * product.right_group;
    const float* const left = product.a + group * product.a_group + first_m * product.a_step;
    if (t < mma_tile) places[t] = column.other;
    float sums[mma_tile / 8][4] = {};
    for (std::int64_t from = 0; from < product.k; from += mma_depth) {
      if (t < mma_depth) rows[t] = from + t < product.k ? right.row(from + t) : no_spot();
      __syncthreads();
      {
        const std::int64_t term = rows[lane].other;
        for (int i = warp; i < mma_tile; i += mma_threads / 32) {
          const bool inside = term >= 0 && first_m + i < product.m;
          a[i * mma_stride + lane] = bfloat16(inside ? left[term + i * product.a_step] : 0.0F);
        }
      }
      for (int l = 2 * (t / mma_tile); l < mma_depth; l += 2 * (mma_threads / mma_tile)) {
        *reinterpret_cast<std::uint32_t*>(b + own * mma_stride + l) =
            rounded_pair(right.at(rows[l], column), right.at(rows[l + 1], column));
      }
      __syncthreads();
      TANDEM_UNROLLED
      for (int c = 0; c < mma_depth; c += 16) {
        std::uint32_t outputs[4];
        ldmatrix_x4(outputs, a + (warp * 16 + lane % 16) * mma_stride + lane / 16 * 8 + c);
        TANDEM_UNROLLED
        for (int n = 0; n < mma_tile; n += 16) {
          std::uint32_t positions[4];
          ldmatrix_x4(positions,
                      b + (n + lane / 16 * 8 + lane % 8) * mma_stride + lane / 8 % 2 * 8 + c);
          mma_m16n8k16(sums[n / 8], outputs, positions[0], positions[1]);
          mma_m16n8k16(sums[n / 8 + 1], outputs, positions[2], positions[3]);
        }
      }
      // The next rows are written beside these products, the next factors behind a barrier.
    }
    __syncthreads();  // the places are written, also where there is nothing to add
    float* const to = product.to + group * product.to_group;
    TANDEM_UNROLLED
    for (int i = 0; i < 4; ++i) {
      const std::int64_t at = first_m + warp * 16 + lane / 4 + i / 2 * 8;
      if (at >= product.m) continue;
      const float shift = product.bias != nullptr ? product.bias[group * product.m + at] : 0.0F;
      TANDEM_UNROLLED
      for (int n = 0; n < mma_tile / 8; ++n) {
        const std::int64_t place = places[8 * n + lane % 4 * 2 + i % 2];
        if (place < 0) continue;
        const float y = sums[n][i] + shift;
        to[place + at * product.to_step] = product.relu && y <= 0 ? 0.0F : y;
      }
    }
    __syncthreads();
  }
}

void conv3d_in_bfloat16(Queue& queue, ImplicitProduct<float> product,
                        const TapsOfOutputs<float>& right) {
  check_spots(right.sizes.window);
  for_groups(product, [&](dim3 grid) {
    launch("conv3d_mma", conv3d_mma_kernel<TapsOfOutputs<float>>, grid, dim3(mma_threads),
           mma_shared_bytes, queue, product, right);
  });
}

}  // namespace tandem_kernels
