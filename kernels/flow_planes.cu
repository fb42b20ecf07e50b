/// flow_planes — flow as I3D takes it (include/tandem/i3d/preprocess.hpp): resized like an image of
/// floats, cropped, cut off at ±bound and divided by it.
///
/// A thread has a vector's component and walks its taps, along rows first, each sum in double and
/// rounded to float as on the CPU; products and sums round one by one, so the bits are the CPU's.
/// Which places count and their weights come from the host, a few KB, where an axis is resized;
/// where it is not, as for flow that was computed at I3D's size, places are only shifted. Reads
/// each vector about once for every row of taps over it, mostly from the cache: bound by memory.

#include <vector>

#include "rounded.cuh"
#include "tandem/i3d/flow_axis.hpp"
#include "tandem/tensor/factory.hpp"

namespace tandem_kernels {

using tandem::i3d::detail::FlowAxis;
using tandem::i3d::detail::FlowJob;

/// An axis in device memory: of output i the first input, how many, and their weights; null where
/// output i is input first + i.
template <class Sum>
struct FlowTable {
  const std::int32_t *begin, *taps;
  const Sum* weights;
  std::int64_t first, width;

  /// Output i of the inputs in(place), as a float.
  template <class In>
  __device__ float at(std::int64_t i, const In& in) const {
    if (begin == nullptr) return in(first + i);
    Rounded<Sum> sum = Sum(0);
    for (std::int32_t k = 0; k < taps[i]; ++k)
      sum = sum + Rounded<Sum>(Sum(in(begin[i] + k))) * Rounded<Sum>(weights[i * width + k]);
    return static_cast<float>(sum.v);
  }
};

template <class Sum>
__global__ void __launch_bounds__(256)
    flow_planes_kernel(float* to, const float* from, FlowTable<Sum> rows, FlowTable<Sum> columns,
                       std::int64_t n, std::int64_t count, std::int64_t height, std::int64_t width,
                       std::int64_t crop, float row_scale, float column_scale, float bound) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const std::int64_t line = i / crop, x = i - line * crop, plane = line / crop,
                       y = line - plane * crop, c = plane / count, t = plane - c * count;
    const float* const field = from + t * height * width * 2 + c;
    const float sum = rows.at(y, [&](std::int64_t row) {
      return columns.at(x, [&](std::int64_t column) { return field[(row * width + column) * 2]; });
    });
    const float v = sum * (c == 0 ? column_scale : row_scale);
    to[i] = (v < -bound ? -bound : v > bound ? bound : v) / bound;
  }
}

template <class T>
void flow_planes(Queue& queue, T* to, const T* from, const FlowJob& job) {
  std::vector<std::int32_t> places;
  std::vector<double> weights;
  for (const FlowAxis* axis : {&job.rows, &job.columns}) {
    if (axis->identity) continue;
    for (const auto* numbers : {&axis->taps.begin, &axis->taps.taps}) {
      for (const std::int64_t number : *numbers)
        places.push_back(static_cast<std::int32_t>(number));
    }
    weights.insert(weights.end(), axis->taps.weights.begin(), axis->taps.weights.end());
  }
  tandem::Tensor<std::int32_t> places_there;
  tandem::Tensor<double> weights_there;
  if (!places.empty()) {
    places_there =
        tandem::Tensor<std::int32_t>({static_cast<std::int64_t>(places.size())}, queue.device);
    places_there.copy_elements(tandem::from_vector<std::int32_t>(places));
    weights_there =
        tandem::Tensor<double>({static_cast<std::int64_t>(weights.size())}, queue.device);
    weights_there.copy_elements(tandem::from_vector<double>(weights));
  }
  std::int64_t place = 0, weight = 0;
  const auto table = [&](const FlowAxis& axis) {
    FlowTable<double> out{.begin = nullptr,
                          .taps = nullptr,
                          .weights = nullptr,
                          .first = axis.first,
                          .width = axis.taps.width};
    if (axis.identity) return out;
    out.begin = places_there.device_data() + place;
    out.taps = out.begin + job.crop;
    out.weights = weights_there.device_data() + weight;
    place += 2 * job.crop;
    weight += job.crop * axis.taps.width;
    return out;
  };
  const FlowTable<double> rows = table(job.rows), columns = table(job.columns);
  const std::int64_t n = 2 * job.count * job.crop * job.crop;
  launch("flow_planes", flow_planes_kernel<double>, dim3(blocks_for(n, 256)), dim3(256), 0, queue,
         to, from, rows, columns, n, job.count, job.height, job.width, job.crop,
         static_cast<float>(job.rows.factor), static_cast<float>(job.columns.factor), job.bound);
}
TANDEM_KERNEL(flow_planes, float);

}  // namespace tandem_kernels
