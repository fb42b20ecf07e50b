/// avg_pool3d — y = (Σ over a window)/m;   dx[q] = Σ dy/m over the windows that contain q.
///
/// A thread has an output, and adds its window column by column, as the CPU does. Backward: a
/// thread has an element of x and adds dy/m of the windows over it, row by row of them: without
/// atomics. Elements are read once for each window over them, mostly from the cache: bound by
/// memory.

#include "pool3d.cuh"

namespace tandem_kernels {

/// 1/m of an output whose taps inside the input are these; `whole`, unless it is 0: of every one.
template <class T>
__device__ T window_scale(T whole, const Range3d& d, const Range3d& h, const Range3d& w) {
  const std::int64_t taps = (d.last - d.first) * (h.last - h.first) * (w.last - w.first);
  return whole != 0 ? whole : T(1) / static_cast<T>(taps);
}

template <class T, class Index>
__global__ void __launch_bounds__(256)
    avg_pool3d_kernel(T* y, const T* x, Window3d window, Volumes<Index> outputs, std::int64_t n,
                      T whole) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  const WindowAxis &d = window[0], &h = window[1], &w = window[2];
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    std::int64_t plane, o[3];
    outputs.find(i, plane, o);
    const Range3d td = taps_inside(d, o[0]), th = taps_inside(h, o[1]), tw = taps_inside(w, o[2]);
    const T* const from =
        x + plane * window.inputs() + (d.start(o[0]) * h.in + h.start(o[1])) * w.in + w.start(o[2]);
    T sum = 0;
    for (std::int64_t kw = tw.first; kw < tw.last; ++kw) {
      T column = 0;
      for (std::int64_t kd = td.first; kd < td.last; ++kd) {
        for (std::int64_t kh = th.first; kh < th.last; ++kh)
          column += from[(kd * h.in + kh) * w.in + kw];
      }
      sum += column;
    }
    y[i] = sum * window_scale(whole, td, th, tw);
  }
}

template <class T, class Index>
__global__ void __launch_bounds__(256)
    avg_pool3d_backward_kernel(T* dx, const T* dy, Window3d window, Volumes<Index> inputs,
                               std::int64_t n, T whole) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  const WindowAxis &d = window[0], &h = window[1], &w = window[2];
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    std::int64_t plane, q[3];
    inputs.find(i, plane, q);
    const T* const from = dy + plane * window.outputs();
    const Range3d od = outputs_over(d, q[0]), oh = outputs_over(h, q[1]),
                  ow = outputs_over(w, q[2]);
    T sum = 0;
    for (std::int64_t a = od.first; a < od.last; ++a) {
      const Range3d td = taps_inside(d, a);
      for (std::int64_t b = oh.first; b < oh.last; ++b) {
        const Range3d th = taps_inside(h, b);
        T row = 0;
        for (std::int64_t c = ow.first; c < ow.last; ++c) {
          row += from[(a * h.out + b) * w.out + c] * window_scale(whole, td, th, taps_inside(w, c));
        }
        sum += row;
      }
    }
    dx[i] = sum;
  }
}

/// 1/m of every window where padding counts, 0 where it does not.
template <class T>
T whole_scale(const Window3d& window, bool count_padding) {
  return count_padding ? static_cast<T>(1 / static_cast<double>(window.taps())) : T(0);
}

template <class T>
void avg_pool3d_forward(Queue& queue, T* y, const T* x, std::int64_t planes, const Window3d& window,
                        bool count_padding) {
  const std::int64_t n = planes * window.outputs();
  with_index(n, [&]<class Index>() {
    launch("avg_pool3d", avg_pool3d_kernel<T, Index>, dim3(blocks_for(n, 256)), dim3(256), 0, queue,
           y, x, window, output_volumes<Index>(window), n, whole_scale<T>(window, count_padding));
  });
}
template <class T>
void avg_pool3d_backward(Queue& queue, T* dx, const T* dy, std::int64_t planes,
                         const Window3d& window, bool count_padding) {
  const std::int64_t n = planes * window.inputs();
  with_index(n, [&]<class Index>() {
    launch("avg_pool3d_backward", avg_pool3d_backward_kernel<T, Index>, dim3(blocks_for(n, 256)),
           dim3(256), 0, queue, dx, dy, window, input_volumes<Index>(window), n,
           whole_scale<T>(window, count_padding));
  });
}
TANDEM_KERNEL(avg_pool3d_forward, float, double);
TANDEM_KERNEL(avg_pool3d_backward, float, double);

}  // namespace tandem_kernels
