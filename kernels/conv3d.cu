/// conv3d — y[n, o, p] = b[o] + Σ_{c, k} W[o, c, k]·x[n, c, p·stride + k·dilation − front], and dx,
/// dW, db.
///
/// Each is a matrix product whose right factor is never in memory: its elements are found in x or
/// dy where they are asked for (an implicit product).          [Chetlur et al. 2014, section 3]
///   y    (O × N·P)   W · x under the taps           rows of the right factor (c, k)
///   dx   (C × N·Q)   Wᵀ · dy over the positions     (o, k)
///   dW   (O × C·k)   dy · (x under the taps)ᵀ       (n, p)
/// A block has a tile of 64 × 64 of the result, a thread 4 × 4 of it; 16 terms at a time of both
/// factors go through shared memory. The terms are added in their order; those of dW in slices,
/// and these in theirs: the same bits every time. Bound by arithmetic: 16 multiplications and
/// additions for 8 reads of shared memory. Groups of channels are products of their own, of one
/// launch; those of few outputs leave rows of their tiles idle. Where a kernel of one tap sees
/// every element in its place, y and dx are products of cuBLASLt (matmul.cu). y in bfloat16 is made
/// by conv3d_mma.cu.

#include "channels.cuh"
#include "conv3d.cuh"
#include "runtime.cuh"

namespace tandem_kernels {

using tandem::Precision;
using tandem::cpu::Trans;

/// The right factor of dW.
template <class T>
struct OutputsOfTaps {
  const T* x;
  ConvSizes sizes;
  __device__ Spot row(std::int64_t j) const { return sizes.output(j); }
  __device__ Spot column(std::int64_t k) const { return sizes.tap(k, sizes.window.inputs(), k, 1); }
  __device__ T at(const Spot& row, const Spot& column) const {
    return seen(x, sizes.window, row, column);
  }
};
/// The right factor of dx: dy of the output that sees position q with tap k, 0 where none does.
template <class T>
struct OutputsOfInputs {
  const T* dy;
  ConvSizes sizes;
  __device__ Spot row(std::int64_t k) const {
    const std::int64_t taps = sizes.window.taps(), o = k / taps;
    return sizes.tap(k, sizes.window.outputs(), o * sizes.in * taps + k - o * taps, -1);
  }
  __device__ Spot column(std::int64_t j) const {
    const WindowAxis &d = sizes.window[0], &h = sizes.window[1], &w = sizes.window[2];
    const std::int64_t a = j / w.in, b = a / h.in, n = b / d.in, q = j - n * sizes.window.inputs();
    return spot(n * sizes.groups * sizes.out * sizes.window.outputs(),
                n * sizes.groups * sizes.in * sizes.window.inputs() + q, b - n * d.in + d.front,
                a - b * h.in + h.front, j - a * w.in + w.front);
  }
  __device__ T at(const Spot& row, const Spot& column) const {
    const WindowAxis &d = sizes.window[0], &h = sizes.window[1], &w = sizes.window[2];
    std::int32_t z = row.z + column.z, y = row.y + column.y, x = row.x + column.x;
    if (z < 0 || y < 0 || x < 0 || !exact(z, d) || !exact(y, h) || !exact(x, w)) return T(0);
    return dy[row.base + column.base + (z * h.out + y) * w.out + x];
  }

 private:
  /// Divides a distance from the first output's first tap by the stride; true if an output is
  /// there.
  static __device__ bool exact(std::int32_t& distance, const WindowAxis& axis) {
    const auto stride = static_cast<std::int32_t>(axis.stride);
    const std::int32_t o = stride == 1 ? distance : distance / stride;
    const bool there = o * stride == distance && o < axis.out;
    distance = o;
    return there;
  }
};

template <class T, class Right>
__global__ void __launch_bounds__(256)
    implicit_product_kernel(ImplicitProduct<T> product, Right right) {
  constexpr int tile = 64, depth = 16, ld = tile + 1;
  TANDEM_SHARED(T, a, depth * ld);
  TANDEM_SHARED(T, b, depth * tile);
  TANDEM_SHARED(Spot, rows, depth);
  TANDEM_SHARED(std::int64_t, places, tile);
  const int t = threadIdx.x, tx = t % 16, ty = t / 16;
  const std::int64_t group = product.first_group + blockIdx.y;
  const std::int64_t tiles_m = (product.m + tile - 1) / tile,
                     tiles_n = (product.n + tile - 1) / tile;
  for (std::int64_t work = blockIdx.x; work < tiles_m * tiles_n * product.slices;
       work += gridDim.x) {
    const std::int64_t first_m = work % tiles_m * tile, first_n = work / tiles_m % tiles_n * tile,
                       slice = work / (tiles_m * tiles_n), begin = slice * product.slice_rows,
                       end = begin + product.slice_rows < product.k ? begin + product.slice_rows
                                                                    : product.k;
    Spot column = first_n + t % tile < product.n ? right.column(first_n + t % tile) : no_spot();
    column.base += group * product.right_group;
    const T* const left = product.a + group * product.a_group + first_m * product.a_step;
    if (t < tile) places[t] = column.other;
    const auto prepare = [&](std::int64_t from) {
      if (t < depth) rows[t] = from + t < end ? right.row(from + t) : no_spot();
    };
    prepare(begin);
    T sum[4][4] = {};
    for (std::int64_t from = begin; from < end; from += depth) {
      __syncthreads();
      {
        const Spot row = rows[tx];
        for (int i = ty; i < tile; i += 16) {
          a[tx * ld + i] = row.other >= 0 && first_m + i < product.m
                               ? left[row.other + i * product.a_step]
                               : T(0);
        }
      }
      for (int l = t / tile; l < depth; l += 4) b[l * tile + t % tile] = right.at(rows[l], column);
      __syncthreads();
      prepare(from + depth);
      for (int l = 0; l < depth; ++l) {
        T u[4], v[4];
        for (int i = 0; i < 4; ++i) {
          u[i] = a[l * ld + 4 * ty + i];
          v[i] = b[l * tile + tx + 16 * i];
        }
        for (int i = 0; i < 4; ++i) {
          for (int j = 0; j < 4; ++j) sum[i][j] += u[i] * v[j];
        }
      }
    }
    __syncthreads();  // the places are written, also where there is nothing to add
    T* const to =
        product.to + slice * product.groups * product.m * product.n + group * product.to_group;
    for (int i = 0; i < 4; ++i) {
      const std::int64_t at = first_m + 4 * ty + i;
      if (at >= product.m) continue;
      const T shift = product.bias != nullptr ? product.bias[group * product.m + at] : T(0);
      for (int j = 0; j < 4; ++j) {
        const std::int64_t place = places[tx + 16 * j];
        if (place < 0) continue;
        const T y = sum[i][j] + shift;
        to[place + at * product.to_step] = product.relu && y <= 0 ? T(0) : y;
      }
    }
    __syncthreads();
  }
}

template <class T, class Right>
void implicit_product(Queue& queue, ImplicitProduct<T> product, const Right& right) {
  check_spots(right.sizes.window);
  for_groups(product, [&](dim3 grid) {
    launch("conv3d", implicit_product_kernel<T, Right>, grid, dim3(256), 0, queue, product, right);
  });
}

/// After a product: y + bias, cut off.
template <class T>
struct BiasAndRelu {
  const T *y, *bias;
  bool relu;
  __device__ T operator()(std::int64_t at, std::int64_t c) const {
    const T sum = y[at] + (bias != nullptr ? bias[c] : T(0));
    return relu && sum <= 0 ? T(0) : sum;
  }
};

template <class T>
void conv3d_forward(Queue& queue, Precision precision, T* y, const T* x, const T* weight,
                    const T* bias, bool relu, const Window3d& window, std::int64_t samples,
                    std::int64_t in, std::int64_t out, std::int64_t groups) {
  const std::int64_t positions = window.outputs(), k = in * window.taps();
  const ImplicitProduct<T> product{.to = y,
                                   .a = weight,
                                   .bias = bias,
                                   .to_step = positions,
                                   .a_step = k,
                                   .m = out,
                                   .n = samples * positions,
                                   .k = k,
                                   .slices = 1,
                                   .slice_rows = k,
                                   .relu = relu,
                                   .groups = groups,
                                   .to_group = out * positions,
                                   .a_group = out * k,
                                   .right_group = in * window.inputs()};
  const TapsOfOutputs<T> taps{x, {window, in, out, groups}};
  if constexpr (std::is_same_v<T, float>) {
    if (precision == Precision::bfloat16) return conv3d_in_bfloat16(queue, product, taps);
  }
  if (!window.is_pointwise() || groups > 1) return implicit_product(queue, product, taps);
  gemm<T, T>(queue, precision, Trans::no, Trans::no, out, positions, in, weight, in, 0, x,
             positions, in * positions, y, positions, out * positions, samples, nullptr);
  if (bias != nullptr || relu)
    channel_map(queue, BiasAndRelu<T>{y, bias, relu}, y, samples, out, positions);
}

template <class T>
void conv3d_input_gradient(Queue& queue, T* dx, const T* dz, const T* weight,
                           const Window3d& window, std::int64_t samples, std::int64_t in,
                           std::int64_t out, std::int64_t groups) {
  const std::int64_t positions = window.inputs(), k = out * window.taps();
  if (!window.is_pointwise() || groups > 1) {
    return implicit_product(queue,
                            ImplicitProduct<T>{.to = dx,
                                               .a = weight,
                                               .bias = nullptr,
                                               .to_step = positions,
                                               .a_step = window.taps(),
                                               .m = in,
                                               .n = samples * positions,
                                               .k = k,
                                               .slices = 1,
                                               .slice_rows = k,
                                               .relu = false,
                                               .groups = groups,
                                               .to_group = in * positions,
                                               .a_group = in * k,
                                               .right_group = out * window.outputs()},
                            OutputsOfInputs<T>{dz, {window, in, out, groups}});
  }
  gemm<T, T>(queue, Precision::full, Trans::yes, Trans::no, in, positions, out, weight, in, 0, dz,
             positions, out * positions, dx, positions, in * positions, samples, nullptr);
}

template <class T>
void conv3d_weight_gradient(Queue& queue, T* dw, const T* dz, const T* x, const Window3d& window,
                            std::int64_t samples, std::int64_t in, std::int64_t out,
                            std::int64_t groups) {
  const std::int64_t columns = in * window.taps(), k = samples * window.outputs();
  const std::int64_t tiles = groups * ((out + 63) / 64) * ((columns + 63) / 64);
  if (tiles == 0) return;
  const std::int64_t wanted = (512 + tiles - 1) / tiles, most = (k + 2047) / 2048;
  const std::int64_t slices = wanted < most ? wanted : most > 0 ? most : 1;
  const std::int64_t weights = groups * out * columns;
  const Scratch<T> parts(queue, slices > 1 ? slices * weights : 0);
  implicit_product(queue,
                   ImplicitProduct<T>{.to = slices > 1 ? parts.data() : dw,
                                      .a = dz,
                                      .bias = nullptr,
                                      .to_step = columns,
                                      .a_step = window.outputs(),
                                      .m = out,
                                      .n = columns,
                                      .k = k,
                                      .slices = slices,
                                      .slice_rows = (k + slices - 1) / slices,
                                      .relu = false,
                                      .groups = groups,
                                      .to_group = out * columns,
                                      .a_group = out * window.outputs(),
                                      .right_group = in * window.inputs()},
                   OutputsOfTaps<T>{x, {window, in, out, groups}});
  if (slices > 1) {
    launch("add_slices", add_slices_kernel<T>, dim3(blocks_for(weights, 256)), dim3(256), 0, queue,
           dw, parts.data(), slices, weights);
  }
}

template <class T>
void conv3d_bias_gradient(Queue& queue, T* db, const T* dz, std::int64_t samples, std::int64_t out,
                          std::int64_t positions) {
  channel_sums<T, 1>(queue, ChannelElement<T>{dz}, db, samples, out, positions);
}
TANDEM_KERNEL(conv3d_forward, float, double);
TANDEM_KERNEL(conv3d_input_gradient, float, double);
TANDEM_KERNEL(conv3d_weight_gradient, float, double);
TANDEM_KERNEL(conv3d_bias_gradient, float, double);

}  // namespace tandem_kernels
