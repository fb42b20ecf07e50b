/// index_select — rows of a table by their ids; the gradient adds each row's summands in the order
/// of the ids.
///
/// Forward: bound by memory. Backward: a block has 32 rows of dx and 256 of its columns. It looks
/// through all ids, 256 at a time; those that name one of its rows are listed in their order
/// (ballots, no atomics), and each thread adds up its column, in a register as long as the row
/// stays the same. The same bits as on the CPU. Reads ids n/32 · columns/256 times, dy once, writes
/// dx once. An id outside of the table reads nothing: its row becomes NaN, or 0 for integers, and
/// gets no gradient.

#include "common.cuh"

namespace tandem_kernels {

using tandem::bfloat16;
using tandem::detail::compute_t;

/// y (outer, m, packs) of x (outer, n, packs); a row belongs to blockDim.x threads. With each, a
/// pack has one element.
template <class T, int W>
__global__ void select_rows_kernel(T* y, const T* x, const std::int64_t* ids, std::int64_t outer,
                                   std::int64_t n, std::int64_t m, std::int64_t packs) {
  const auto* from = reinterpret_cast<const Pack<T, W>*>(x);
  auto* to = reinterpret_cast<Pack<T, W>*>(y);
  const std::int64_t rows = outer * m, step = std::int64_t{blockDim.y} * gridDim.x;
  for (std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y; row < rows;
       row += step) {
    const std::int64_t o = row / m, id = ids[row - o * m];
    const bool exists = id >= 0 && id < n;
    for (std::int64_t k = threadIdx.x; k < packs; k += blockDim.x) {
      Pack<T, W> v;
      if (exists) {
        v = from[(o * n + id) * packs + k];
      } else {
        for (int w = 0; w < W; ++w) v.value[w] = missing<T>();
      }
      to[row * packs + k] = v;
    }
  }
}

/// dx (outer, n, inner) from dy (outer, m, inner).
template <class T>
__global__ void __launch_bounds__(256)
    add_rows_kernel(T* dx, const T* dy, const std::int64_t* ids, std::int64_t outer, std::int64_t n,
                    std::int64_t m, std::int64_t inner) {
  using C = compute_t<T>;
  constexpr std::int64_t group = 32;
  TANDEM_SHARED(int, found, 256);  // row of the group · 256 + place in the tile
  TANDEM_SHARED(int, counts, 8);
  const int t = threadIdx.x, lane = t % 32, warp = t / 32;
  const std::int64_t columns = outer * inner, slices = (columns + 255) / 256,
                     groups = (n + group - 1) / group;
  for (std::int64_t task = blockIdx.x; task < groups * slices; task += gridDim.x) {
    const std::int64_t first = task / slices * group, column = task % slices * 256 + t;
    const bool mine = column < columns;
    const std::int64_t o = column / inner, k = column - o * inner;
    T* const to = dx + (o * n + first) * inner + k;
    const T* const from = dy + o * m * inner + k;
    if (mine) {
      for (std::int64_t r = 0; r < group && first + r < n; ++r) to[r * inner] = T(C(0));
    }
    int row = 0;  // whose sum is in the register
    C sum = 0;
    for (std::int64_t tile = 0; tile < m; tile += 256) {
      const std::int64_t id = tile + t < m ? ids[tile + t] : -1, at = id - first;
      const bool hit = id < n && at >= 0 && at < group;
      const unsigned hits = __ballot_sync(0xffffffffu, hit);
      if (lane == 0) counts[warp] = __popc(hits);
      __syncthreads();
      int offset = 0, count = 0;
      for (int w = 0; w < 8; ++w) {
        if (w == warp) offset = count;
        count += counts[w];
      }
      if (hit) found[offset + __popc(hits & ((1u << lane) - 1))] = static_cast<int>(at) * 256 + t;
      __syncthreads();
      if (mine) {
        for (int i = 0; i < count; i += 4) {
          C value[4];
          TANDEM_UNROLLED
          for (int u = 0; u < 4; ++u) {  // under way together
            if (i + u < count) value[u] = C(from[(tile + found[i + u] % 256) * inner]);
          }
          TANDEM_UNROLLED
          for (int u = 0; u < 4; ++u) {
            if (i + u >= count) continue;
            const int r = found[i + u] / 256;
            if (r != row) {
              to[row * inner] = T(sum);
              sum = C(to[r * inner]);
              row = r;
            }
            sum = C(T(sum + value[u]));
          }
        }
      }
      // The list is filled again behind the next tile's first barrier, which nobody passes before
      // all have read it.
    }
    if (mine) to[row * inner] = T(sum);
  }
}

template <class T>
void select_rows(Queue& queue, T* y, const T* x, const std::int64_t* ids, std::int64_t outer,
                 std::int64_t n, std::int64_t m, std::int64_t inner) {
  constexpr int W = pack_size<T>;
  const bool packs = inner % W == 0 && aligned(x, y);
  const std::int64_t each = packs ? inner / W : inner;
  unsigned across = 1;
  while (across < 256 && across < each) across *= 2;
  const dim3 block(across, 256 / across), grid(each == 0 ? 0 : blocks_for(outer * m, 256 / across));
  if (packs) {
    launch("select_rows", select_rows_kernel<T, W>, grid, block, 0, queue, y, x, ids, outer, n, m,
           each);
  } else {
    launch("select_rows", select_rows_kernel<T, 1>, grid, block, 0, queue, y, x, ids, outer, n, m,
           each);
  }
}
template <class T>
void add_rows(Queue& queue, T* dx, const T* dy, const std::int64_t* ids, std::int64_t outer,
              std::int64_t n, std::int64_t m, std::int64_t inner) {
  const std::int64_t tasks = (n + 31) / 32 * ((outer * inner + 255) / 256);
  launch("add_rows", add_rows_kernel<T>, dim3(blocks_for(tasks, 1)), dim3(256), 0, queue, dx, dy,
         ids, outer, n, m, inner);
}
TANDEM_KERNEL(select_rows, float, double, bfloat16, std::int64_t, std::int32_t, std::uint8_t, bool);
TANDEM_KERNEL(add_rows, float, double, bfloat16);

}  // namespace tandem_kernels
