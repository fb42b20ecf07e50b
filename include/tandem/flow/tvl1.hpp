#pragma once
/// TV-L1 optical flow.   [Zach, Pock, Bischof 2007; Sánchez, Meinhardt-Llopis, Facciolo, IPOL 2013]
///
///   min over u of ∫ |∇u1| + |∇u2| + λ |I1(x + u) − I0(x)|
///
///   Tensor<float> flow = flow::tvl1(first, second);      // grey (H, W) in [0, 255] → (H, W, 2)
///
/// flow.at({y, x, 0}) and flow.at({y, x, 1}) say how far, in pixels to the right and down, the
/// point (x, y) of the first image has moved in the second.
///
/// Coarse to fine; at each scale `warps` times: I1 and its gradient are warped by the flow so far
/// and linearised, then the convex problem is solved by alternating a threshold in v and a
/// projection of the dual variable p of u (tvl1_sweep.hpp), with a median filter of the flow every
/// inner_iterations. The result does not depend on the number of threads. docs/flow.md has the
/// formulas one by one.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/cuda/kernel.hpp"
#include "tandem/flow/bands.hpp"
#include "tandem/flow/median.hpp"
#include "tandem/flow/planes.hpp"
#include "tandem/flow/pyramid.hpp"
#include "tandem/flow/tvl1_options.hpp"
#include "tandem/flow/tvl1_sweep.hpp"
#include "tandem/flow/warp.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow {

/// What was done: iterations[(pair · scales + scale) · warps + warp], coarsest scale first.
struct TvL1Report {
  int scales = 0;
  std::vector<int> iterations;
};

namespace detail {

/// One pair of images on its way through the pyramid.
class TvL1Solver {
 public:
  TvL1Solver(const TvL1Options& options, std::int64_t height, std::int64_t width)
      : options_(options),
        sizes_(pyramid_sizes(height, width, options.scales, options.scale_step)) {}

  int scales() const { return static_cast<int>(sizes_.size()); }

  /// Two images of height × width, and the flow to start from or null, to a flow of height × width
  /// × 2;
  /// iterations has room for scales() · warps numbers.
  void run(const float* first, const float* second, const float* initial, float* flow,
           int* iterations) const {
    const auto factor = static_cast<float>(options_.scale_step);
    // Planes of a pyramid level: the images, and the flow to start from.
    std::vector<Planes> levels;
    for (std::size_t s = 0; s < sizes_.size(); ++s) {
      levels.emplace_back(initial != nullptr ? image_plane_count : initial_u1, sizes_[s].height,
                          sizes_[s].width);
      if (s == 0) {
        load(levels[0], first, second, initial);
        continue;
      }
      const double scale = 1 / options_.scale_step;
      for (const int plane : {first_image, second_image}) {
        resize_linear(levels[s - 1], plane, scale, scale, levels[s], plane, 1.0F);
      }
      for (const int plane : {initial_u1, initial_u2}) {
        if (initial != nullptr)
          resize_linear(levels[s - 1], plane, scale, scale, levels[s], plane, factor);
      }
    }
    Planes coarser;
    for (std::size_t s = sizes_.size(); s-- > 0;) {
      const ScaleSize size = sizes_[s];
      Planes work(plane_count, size.height, size.width);
      if (s + 1 < sizes_.size()) {
        const double y = ratio(coarser.height(), size.height),
                     x = ratio(coarser.width(), size.width);
        for (const int plane : {u1, u2}) {
          resize_linear(coarser, plane, y, x, work, plane, 1 / factor);
        }
      } else if (initial != nullptr) {
        for (std::int64_t y = 0; y < size.height; ++y) {
          for (const int plane : {u1, u2}) {
            const float* from = levels[s].row(initial_u1 + plane, y);
            std::copy(from, from + size.width, work.row(plane, y));
          }
        }
      }
      iterations = solve_scale(levels[s], work, iterations);
      coarser = std::move(work);
    }
    for (std::int64_t y = 0; y < sizes_[0].height; ++y) {
      const float* u = coarser.row(u1, y);
      const float* v = coarser.row(u2, y);
      for (std::int64_t x = 0; x < sizes_[0].width; ++x, flow += 2) {
        flow[0] = u[x];
        flow[1] = v[x];
      }
    }
  }

 private:
  static double ratio(std::int64_t from, std::int64_t to) {
    return static_cast<double>(from) / static_cast<double>(to);
  }

  void load(const Planes& level, const float* first, const float* second,
            const float* initial) const {
    const std::int64_t width = level.width();
    for (std::int64_t y = 0; y < level.height(); ++y) {
      std::copy(first + y * width, first + (y + 1) * width, level.row(first_image, y));
      std::copy(second + y * width, second + (y + 1) * width, level.row(second_image, y));
      for (std::int64_t x = 0; initial != nullptr && x < width; ++x) {
        level.row(initial_u1, y)[x] = initial[2 * (y * width + x)];
        level.row(initial_u2, y)[x] = initial[2 * (y * width + x) + 1];
      }
    }
  }

  /// Refines the flow in the planes u1 and u2 of `work`.
  int* solve_scale(const Planes& images, Planes& work, int* iterations) const {
    const std::int64_t height = work.height(), width = work.width();
    Bands bands(height, width);
    make_gradient(images, bands);
    const std::vector<float> zero_row(static_cast<std::size_t>(Planes::padded(width)), 0.0F);
    std::vector<double> errors(static_cast<std::size_t>(height));
    const SweepConstants constants = sweep_constants(options_);
    constexpr int flows[] = {u1, u2}, spares[] = {spare1, spare2};
    const double stop = options_.epsilon * options_.epsilon * static_cast<double>(height * width);

    const Planes* const planes = &work;
    const float* const zeros = zero_row.data();
    double* const row_errors = errors.data();
    for (int warp = 0; warp < options_.warps; ++warp) {
      linearise(images, work, options_.sampling_steps, bands);
      int done = 0;
      bool converged = false;
      for (int outer = 0; outer < options_.outer_iterations && !converged; ++outer) {
        if (options_.median == 3) median_filter<3>(work, flows, spares, 2, bands);
        if (options_.median == 5) median_filter<5>(work, flows, spares, 2, bands);
        for (int inner = 0; inner < options_.inner_iterations && !converged; ++inner, ++done) {
          bands.run([&](std::int64_t begin, std::int64_t end) {
            cpu::simd_dispatch<Sweep, float>(planes, begin, end, constants, zeros, row_errors);
          });
          for (std::int64_t band = 0; band < bands.count(); ++band) {
            cpu::simd_dispatch<FinishRow, float>(planes, bands.end(band) - 1, constants);
          }
          double error = 0;
          for (const double e : errors) error += e;
          converged = error <= stop;
        }
      }
      *iterations++ = done;
    }
    return iterations;
  }

  TvL1Options options_;
  std::vector<ScaleSize> sizes_;
};

inline void check_options(const TvL1Options& o) {
  const auto positive = [](double value, const char* name, double most) {
    TANDEM_CHECK(value > 0 && value <= most, "tvl1", name, " must lie in (0, ", most, "], it is ",
                 value);
  };
  positive(o.tau, "tau", 1e3);
  positive(o.lambda, "lambda", 1e6);
  positive(o.theta, "theta", 1e3);
  TANDEM_CHECK(o.scale_step >= 0.1 && o.scale_step <= 0.99, "tvl1",
               "scale_step must lie in [0.1, 0.99], it is ", o.scale_step);
  TANDEM_CHECK(o.epsilon >= 0 && o.epsilon <= 1e6, "tvl1",
               "epsilon must lie in [0, 1000000], it is ", o.epsilon);
  const auto count = [](int value, const char* name) {
    TANDEM_CHECK(value >= 1 && value <= 1'000'000, "tvl1", name,
                 " must be a number from 1 to 1000000, it is ", value);
  };
  count(o.scales, "scales");
  count(o.warps, "warps");
  count(o.inner_iterations, "inner_iterations");
  count(o.outer_iterations, "outer_iterations");
  TANDEM_CHECK(o.sampling_steps >= 0 && o.sampling_steps <= 1024, "tvl1",
               "sampling_steps must be a number from 0 to 1024, it is ", o.sampling_steps);
  TANDEM_CHECK(o.median == 1 || o.median == 3 || o.median == 5, "tvl1",
               "median must be 1, 3 or 5, it is ", o.median);
}

/// Grey values up to here are accepted; λ is meant for 255.
inline constexpr float largest_grey = 65535.0F;
inline constexpr float largest_flow = 1e6F;

inline void check_range(const Tensor<float>& dense, float largest, const char* what) {
  const float* p = dense.data();
  for (std::int64_t i = 0; i < dense.numel(); ++i) {
    TANDEM_CHECK(std::fabs(p[i]) <= largest, "tvl1", "element ", i, " of the ", what, " is ", p[i],
                 ": expected numbers of at most ", largest, " in magnitude");
  }
}

/// `pairs` pairs of images of height × width, one after the other, and the flows to start from or
/// null; iterations has room for pairs · scales · warps numbers.
inline void tvl1_on_cpu(float* flow, std::int32_t* iterations, const float* first,
                        const float* second, const float* initial, std::int64_t pairs,
                        std::int64_t height, std::int64_t width, const TvL1Options& options) {
  const TvL1Solver solver(options, height, width);
  const std::int64_t per_pair = static_cast<std::int64_t>(solver.scales()) * options.warps;
  const std::int64_t pixels = height * width;
  const auto run = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      solver.run(first + i * pixels, second + i * pixels,
                 initial != nullptr ? initial + 2 * i * pixels : nullptr, flow + 2 * i * pixels,
                 iterations + i * per_pair);
    }
  };
  // As many pairs as possible one per thread; the threads share each of the others.
  const std::int64_t threads = cpu::num_threads();
  const std::int64_t apart = pairs - pairs % threads;
  cpu::parallel_chunks(
      apart, 1, [&](std::int64_t, std::int64_t begin, std::int64_t end) { run(begin, end); });
  run(apart, pairs);
}
inline void tvl1_floats_on_cpu(float* to, const std::uint8_t* from, std::int64_t n) {
  std::copy(from, from + n, to);
}

inline const Kernel<void(Queue&, float* flow, std::int32_t* iterations, const float* first,
                         const float* second, const float* initial, std::int64_t pairs,
                         std::int64_t height, std::int64_t width, const TvL1Options& options)>
    tvl1_forward{"tvl1_forward", tvl1_on_cpu};
/// to[i] = from[i].
inline const Kernel<void(Queue&, float* to, const std::uint8_t* from, std::int64_t n)> tvl1_floats{
    "tvl1_floats", tvl1_floats_on_cpu};

inline void require_tvl1(Device device) {
  TANDEM_CHECK(tvl1_forward.runs_on(device) && tvl1_floats.runs_on(device), "tvl1",
               "has no CUDA kernel (an image is on ", device, ")");
}

}  // namespace detail

/// The flow from `first` to `second`: (H, W), (H, W) → (H, W, 2), or N pairs (N, H, W) → (N, H, W,
/// 2), on the device of the images. Errors: other shapes or devices, options out of range; on the
/// CPU, values that are NaN or beyond ±65535 (on a GPU they are not looked at, and NaN gives NaN or
/// flows that mean nothing).
inline Tensor<float> tvl1(const Tensor<float>& first, const Tensor<float>& second,
                          const TvL1Options& options = {}, TvL1Report* report = nullptr) {
  TANDEM_CHECK(first.defined() && second.defined(), "tvl1", "an image is undefined");
  const int rank = first.rank();
  TANDEM_CHECK((rank == 2 || rank == 3) && first.shape() == second.shape(), "tvl1",
               "expected two grey images (H, W) or two batches (N, H, W) of one size, got ",
               first.shape(), " and ", second.shape());
  const Device device = first.device();
  TANDEM_CHECK(second.device() == device, "tvl1", "the images are on different devices: ", device,
               " and ", second.device());
  detail::require_tvl1(device);
  const std::int64_t height = first.size(-2), width = first.size(-1);
  const std::int64_t pairs = rank == 3 ? first.size(0) : 1;
  TANDEM_CHECK(height > 0 && width > 0, "tvl1", "the images ", first.shape(), " have no pixels");
  TANDEM_CHECK(height <= 32768 && width <= 32768, "tvl1", "the images ", first.shape(),
               " are larger than 32768 pixels");
  detail::check_options(options);
  Shape shape = first.shape();
  shape.push_back(2);
  const Tensor<float> a = first.detach().contiguous(), b = second.detach().contiguous();
  const auto check_range = [&](const Tensor<float>& dense, float largest, const char* what) {
    if (device.is_cpu()) detail::check_range(dense, largest, what);
  };
  check_range(a, detail::largest_grey, "first image");
  check_range(b, detail::largest_grey, "second image");
  Tensor<float> initial;
  if (options.initial.defined()) {
    TANDEM_CHECK(options.initial.shape() == shape && options.initial.device() == device, "tvl1",
                 "the initial flow must be ", shape, " on ", device, ", it is ",
                 options.initial.shape(), " on ", options.initial.device());
    initial = options.initial.detach().contiguous();
    check_range(initial, detail::largest_flow, "initial flow");
  }

  const Tensor<float> flow(shape, device);
  const int scales = static_cast<int>(
      detail::pyramid_sizes(height, width, options.scales, options.scale_step).size());
  const Tensor<std::int32_t> iterations({pairs, scales, options.warps}, device);
  detail::tvl1_forward(device, flow.mutable_device_data(), iterations.mutable_device_data(),
                       a.device_data(), b.device_data(),
                       initial.defined() ? initial.device_data() : nullptr, pairs, height, width,
                       options);
  if (report != nullptr) {
    Tensor<std::int32_t> here(iterations.shape());
    here.copy_(iterations);
    report->scales = scales;
    report->iterations.assign(here.data(), here.data() + here.numel());
  }
  return flow;
}

/// The same for grey bytes.
inline Tensor<float> tvl1(const Tensor<std::uint8_t>& first, const Tensor<std::uint8_t>& second,
                          const TvL1Options& options = {}, TvL1Report* report = nullptr) {
  const auto floats = [](const Tensor<std::uint8_t>& bytes) {
    TANDEM_CHECK(bytes.defined(), "tvl1", "an image is undefined");
    detail::require_tvl1(bytes.device());
    const Tensor<std::uint8_t> dense = bytes.contiguous();
    const Tensor<float> out(dense.shape(), dense.device());
    detail::tvl1_floats(dense.device(), out.mutable_device_data(), dense.device_data(),
                        dense.numel());
    return out;
  };
  return tvl1(floats(first), floats(second), options, report);
}

}  // namespace flow
TANDEM_NAMESPACE_END
