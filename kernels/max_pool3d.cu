/// max_pool3d — y = max over a window;   dx[q] = Σ dy over the windows that chose q.
///
/// A thread has an output, and goes through its window in the order of depth, height, width: the
/// first of equals, the first NaN before all, as on the CPU. Backward: a thread has an element of
/// x and adds dy of the windows that contain and chose it, in their order: the CPU's bits, without
/// atomics. Elements are read once for each window over them, mostly from the cache: bound by
/// memory.

#include "pool3d.cuh"

namespace tandem_kernels {

template <class T, class Index>
__global__ void __launch_bounds__(256)
    max_pool3d_kernel(T* y, std::int32_t* at, const T* x, Window3d window, Volumes<Index> outputs,
                      std::int64_t n, T padding) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  const WindowAxis &d = window[0], &h = window[1], &w = window[2];
  const std::int64_t rows = h.in + h.front + h.back, columns = w.in + w.front + w.back;
  const bool never = padding == -INFINITY;  // padding wins nothing
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    std::int64_t plane, o[3];
    outputs.find(i, plane, o);
    const T* const from = x + plane * window.inputs();
    const Range3d everything[3] = {{0, d.kernel}, {0, h.kernel}, {0, w.kernel}};
    const Range3d td = never ? taps_inside(d, o[0]) : everything[0],
                  th = never ? taps_inside(h, o[1]) : everything[1],
                  tw = never ? taps_inside(w, o[2]) : everything[2];
    T best = 0;
    std::int64_t place = -1;
    for (std::int64_t kd = td.first; kd < td.last; ++kd) {
      const std::int64_t z = d.start(o[0]) + kd;
      for (std::int64_t kh = th.first; kh < th.last; ++kh) {
        const std::int64_t row = h.start(o[1]) + kh;
        const bool inside = z >= 0 && z < d.in && row >= 0 && row < h.in;
        for (std::int64_t kw = tw.first; kw < tw.last; ++kw) {
          const std::int64_t column = w.start(o[2]) + kw;
          const T v = inside && column >= 0 && column < w.in
                          ? from[(z * h.in + row) * w.in + column]
                          : padding;
          if (place >= 0 && !(v > best || (v != v && best == best))) continue;
          best = v;
          place = ((z + d.front) * rows + row + h.front) * columns + column + w.front;
        }
      }
    }
    y[i] = best;
    if (at != nullptr) at[i] = static_cast<std::int32_t>(place);
  }
}

template <class T, class Index>
__global__ void __launch_bounds__(256)
    max_pool3d_backward_kernel(T* dx, const T* dy, const std::int32_t* at, Window3d window,
                               Volumes<Index> inputs, std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  const WindowAxis &d = window[0], &h = window[1], &w = window[2];
  const std::int64_t rows = h.in + h.front + h.back, columns = w.in + w.front + w.back;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    std::int64_t plane, q[3];
    inputs.find(i, plane, q);
    const auto place = static_cast<std::int32_t>(
        ((q[0] + d.front) * rows + q[1] + h.front) * columns + q[2] + w.front);
    const std::int64_t first = plane * window.outputs();
    const Range3d od = outputs_over(d, q[0]), oh = outputs_over(h, q[1]),
                  ow = outputs_over(w, q[2]);
    T sum = 0;
    for (std::int64_t a = od.first; a < od.last; ++a) {
      for (std::int64_t b = oh.first; b < oh.last; ++b) {
        const std::int64_t row = first + (a * h.out + b) * w.out;
        for (std::int64_t o = row + ow.first; o < row + ow.last; ++o) {
          if (at[o] == place) sum += dy[o];
        }
      }
    }
    dx[i] = sum;
  }
}

template <class T>
void max_pool3d_forward(Queue& queue, T* y, std::int32_t* at, const T* x, std::int64_t planes,
                        const Window3d& window, T padding) {
  const std::int64_t n = planes * window.outputs();
  with_index(n, [&]<class Index>() {
    launch("max_pool3d", max_pool3d_kernel<T, Index>, dim3(blocks_for(n, 256)), dim3(256), 0, queue,
           y, at, x, window, output_volumes<Index>(window), n, padding);
  });
}
template <class T>
void max_pool3d_backward(Queue& queue, T* dx, const T* dy, const std::int32_t* at,
                         std::int64_t planes, const Window3d& window) {
  const std::int64_t n = planes * window.inputs();
  with_index(n, [&]<class Index>() {
    launch("max_pool3d_backward", max_pool3d_backward_kernel<T, Index>, dim3(blocks_for(n, 256)),
           dim3(256), 0, queue, dx, dy, at, window, input_volumes<Index>(window), n);
  });
}
TANDEM_KERNEL(max_pool3d_forward, float, double);
TANDEM_KERNEL(max_pool3d_backward, float, double);

}  // namespace tandem_kernels
