/// tvl1 — TV-L1 optical flow of a batch of pairs (include/tandem/flow/tvl1.hpp).
///
/// Pyramid, gradient and warp: a thread a pixel. Iterations: a block has a region of 64 × 32 pixels
/// of u and p in shared memory and the data term in registers, and takes up to five iterations
/// there; each needs one more pixel around, so of the region 54 × 22 pixels are results. Places are
/// read and written once per launch. Each pair stops for itself, where the CPU does: its change is
/// known after a launch, and when it was small enough before the last iteration, the wanted ones
/// are done again from what the launch began with. The host reads how many pairs still run, after
/// the first median filter's iterations of each warp.
///
/// Bound by memory outside of the iterations; in them 2 barriers, two square roots and a division a
/// pixel.

#include <utility>

#include "tandem/cuda/host_copy.hpp"
#include "tvl1_sweep.cuh"

namespace tandem_kernels {

using tandem::flow::TvL1Options;

/// to (planes, height, width, stride): from (planes, from_height, from_width, stride), resized.
template <class Place>
__global__ void __launch_bounds__(256)
    tvl1_resize_kernel(float* to, const float* from, std::int64_t n, std::int64_t height,
                       std::int64_t width, std::int64_t from_height, std::int64_t from_width,
                       std::int64_t stride, Place scale, float factor) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const Pixel at(i / stride, height, width);
    const LinearPoint<Place> row(at.y, from_height, scale), column(at.x, from_width, scale);
    to[i] = resized(from + at.pair * from_height * from_width * stride + i % stride, from_width,
                    stride, row, column, factor);
  }
}

/// The flow that a scale starts from, where u is not: the coarser one resized, `initial` (pairs,
/// height, width, 2), or zero; and p = 0.
template <class Place>
__global__ void __launch_bounds__(256)
    tvl1_start_kernel(TvL1Planes planes, const TvL1State* states, const float* initial,
                      std::int64_t n, std::int64_t height, std::int64_t width,
                      std::int64_t from_height, std::int64_t from_width, Place scale_y,
                      Place scale_x, float factor) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const Pixel at(i, height, width);
    const std::int64_t place = at.y * width + at.x;
    const int from = states[at.pair].u_at;
    for (int c = 0; c < 2; ++c) {
      float value = initial != nullptr ? initial[2 * i + c] : 0.0F;
      if (from_height > 0) {
        const LinearPoint<Place> row(at.y, from_height, scale_y), column(at.x, from_width, scale_x);
        value = resized(planes.flow(from, c, at.pair), from_width, 1, row, column, factor);
      }
      planes.flow(1 - from, c, at.pair)[place] = value;
    }
    for (int c = 0; c < 4; ++c) planes.dual(0, c, at.pair)[place] = 0;
  }
}

/// What begins: everything, a scale (after tvl1_start_kernel), or the next warp.
enum class TvL1Begin : int { first, scale, warp };

/// States and the number of running pairs at such a beginning; at that of a warp, the iterations of
/// the one before are written to counts[pair · per_pair].
template <class Count>
__global__ void __launch_bounds__(256)
    tvl1_begin_kernel(TvL1State* states, Count* running, Count* counts, std::int64_t pairs,
                      std::int64_t per_pair, TvL1Begin what) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < pairs; i += step) {
    TvL1State state{};
    if (what != TvL1Begin::first) {
      state.u_at = states[i].u_at;
      state.p_at = states[i].p_at;
    }
    if (what == TvL1Begin::scale) {
      state.u_at = 1 - state.u_at;
      state.p_at = 0;
    }
    if (what == TvL1Begin::warp) counts[i * per_pair] = states[i].done;
    states[i] = state;
    if (i == 0) *running = static_cast<Count>(pairs);
  }
}

/// ∂I/∂x and ∂I/∂y: half of the difference of the neighbours, the pixel itself for a missing one.
template <class T>
__global__ void __launch_bounds__(256)
    tvl1_gradient_kernel(T* dx, T* dy, const T* image, std::int64_t n, std::int64_t height,
                         std::int64_t width) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const Pixel at(i, height, width);
    const F right = image[at.x + 1 < width ? i + 1 : i], left = image[at.x > 0 ? i - 1 : i];
    const F lower = image[at.y + 1 < height ? i + width : i],
            upper = image[at.y > 0 ? i - width : i];
    dx[i] = (F(0.5F) * (right - left)).v;
    dy[i] = (F(0.5F) * (lower - upper)).v;
  }
}

/// One axis of the cubic convolution: the four taps, the nearest pixel for one outside, and their
/// weights.
struct CubicAxis {
  std::int64_t place[4];
  F weight[4];
  __device__ CubicAxis(float at, std::int64_t size) {
    const std::int64_t second = static_cast<std::int64_t>(at);  // truncated: it is not negative
    TANDEM_UNROLLED
    for (int k = 0; k < 4; ++k) {
      const std::int64_t tap = second + k - 1;
      place[k] = tap < 0 ? 0 : tap < size ? tap : size - 1;
    }
    const float a = tvl1::cubic_a;
    const F one = 1.0F, t = F(at) - F(static_cast<float>(second)), s = one - t;
    weight[0] = F(a) * t * s * s;
    weight[1] = (F(a + 2.0F) * t + F(-(a + 3.0F))) * t * t + one;
    weight[2] = (F(a + 2.0F) * s + F(-(a + 3.0F))) * s * s + one;
    weight[3] = F(a) * s * t * t;
  }
};

/// Σ wy Σ wx I over the taps.
__device__ inline F convolved(const float* image, std::int64_t width, const CubicAxis& x,
                              const CubicAxis& y) {
  const auto row = [&](int k) {
    const float* const p = image + y.place[k] * width;
    return (x.weight[0] * F(p[x.place[0]]) + x.weight[1] * F(p[x.place[1]])) +
           (x.weight[2] * F(p[x.place[2]]) + x.weight[3] * F(p[x.place[3]]));
  };
  const F upper = y.weight[0] * row(0) + y.weight[1] * row(1);
  return upper + (y.weight[2] * row(2) + y.weight[3] * row(3));
}

/// The data term around the present flow: gx, gy, rho0 and inv; zero where the point lies outside.
template <class T>
__global__ void __launch_bounds__(256)
    tvl1_warp_kernel(TvL1Planes planes, const TvL1State* states, const T* first, const T* second,
                     const T* dx, const T* dy, std::int64_t n, std::int64_t height,
                     std::int64_t width, float steps) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  const float right = static_cast<float>(width - 1), bottom = static_cast<float>(height - 1);
  const float unit = steps > 0 ? 1 / steps : 0.0F;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const Pixel at(i, height, width);
    const std::int64_t place = at.y * width + at.x, start = at.pair * height * width;
    const int u_at = states[at.pair].u_at;
    const F u = planes.flow(u_at, 0, at.pair)[place], v = planes.flow(u_at, 1, at.pair)[place];
    const float x = (F(static_cast<float>(at.x)) + u).v, y = (F(static_cast<float>(at.y)) + v).v;
    const bool inside = x >= 0 && x <= right && y >= 0 && y <= bottom;
    // The order of min and max makes a number of NaN, so that nothing outside is ever read.
    float at_x = smaller(larger(x, 0.0F), right), at_y = smaller(larger(y, 0.0F), bottom);
    if (steps > 0) {
      at_x = (F(rintf((F(at_x) * F(steps)).v)) * F(unit)).v;
      at_y = (F(rintf((F(at_y) * F(steps)).v)) * F(unit)).v;
    }
    const CubicAxis across(at_x, width), down(at_y, height);
    const F zero = 0.0F, value = convolved(second + start, width, across, down);
    const F ix = inside ? convolved(dx + start, width, across, down) : zero;
    const F iy = inside ? convolved(dy + start, width, across, down) : zero;
    const F rho = inside ? value - F(first[i]) - (ix * u + iy * v) : zero;
    planes.term(0, at.pair)[place] = ix.v;
    planes.term(1, at.pair)[place] = iy.v;
    planes.term(2, at.pair)[place] = rho.v;
    planes.term(3, at.pair)[place] = 1 / larger((ix * ix + iy * iy).v, 1e-30F);
  }
}

/// The numbers of a network's comparators.
template <const auto& Network>
using Steps = std::make_index_sequence<sizeof(Network) / sizeof(tvl1::Comparator)>;

template <int Low, int High>
__device__ void compare(float* w) {
  const float a = w[Low], b = w[High];
  w[Low] = smaller(a, b);
  w[High] = larger(a, b);
}
template <class Network, std::size_t... I>
__device__ void sort_column(float* w, std::index_sequence<I...>) {
  (compare<Network::column[I].low, Network::column[I].high>(w), ...);
}
template <class Network, std::size_t... I>
__device__ void sort_window(float* w, std::index_sequence<I...>) {
  (compare<Network::window[I].low, Network::window[I].high>(w), ...);
}

/// The median of Side × Side pixels of u, from the place where u is to the other one, of the pairs
/// that still run. A block has 32 × 8 pixels: sorted columns in shared memory, then windows of
/// them.
template <int Side>
__global__ void __launch_bounds__(256)
    tvl1_median_kernel(TvL1Planes planes, const TvL1State* states, std::int64_t height,
                       std::int64_t width) {
  using Network = tvl1::MedianNetwork<Side>;
  constexpr int reach = Side / 2, across = 32 + 2 * reach, column = Side * across;
  TANDEM_SHARED(float, sorted, 8 * column);
  const std::int64_t tiles_x = (width + 31) / 32, tiles = tiles_x * ((height + 7) / 8);
  const int lane = static_cast<int>(threadIdx.x) % 32, line = static_cast<int>(threadIdx.x) / 32;
  for (std::int64_t tile = blockIdx.x; tile < tiles * planes.pairs; tile += gridDim.x) {
    const std::int64_t pair = tile / tiles, within = tile - pair * tiles;
    const TvL1State state = states[pair];
    if (state.stopped != 0 || state.redo > 0) continue;
    const std::int64_t x0 = within % tiles_x * 32, y = within / tiles_x * 8 + line;
    for (int c = 0; c < 2; ++c) {
      const float* const from = planes.flow(state.u_at, c, pair);
      for (int k = lane; k < across; k += 32) {
        const std::int64_t wanted = x0 + k - reach, x = wanted < 0       ? 0
                                                        : wanted < width ? wanted
                                                                         : width - 1;
        float w[Side];
        TANDEM_UNROLLED
        for (int r = 0; r < Side; ++r) {
          const std::int64_t row = y + r - reach;
          w[r] = from[(row < 0 ? 0 : row < height ? row : height - 1) * width + x];
        }
        sort_column<Network>(w, Steps<Network::column>());
        TANDEM_UNROLLED
        for (int r = 0; r < Side; ++r) sorted[line * column + r * across + k] = w[r];
      }
      __syncthreads();
      const std::int64_t x = x0 + lane;
      if (x < width && y < height) {
        float w[Side * Side];
        TANDEM_UNROLLED
        for (int r = 0; r < Side; ++r) {
          TANDEM_UNROLLED
          for (int k = 0; k < Side; ++k) {
            w[r * Side + k] = sorted[line * column + r * across + lane + k];
          }
        }
        sort_window<Network>(w, Steps<Network::window>());
        planes.flow(1 - state.u_at, c, pair)[y * width + x] = w[Network::median];
      }
      __syncthreads();
    }
  }
}

/// flow (pairs, height, width, 2)
template <class T>
__global__ void __launch_bounds__(256)
    tvl1_flow_kernel(T* flow, TvL1Planes planes, const TvL1State* states, std::int64_t n,
                     std::int64_t pixels) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const std::int64_t pair = i / pixels, place = i - pair * pixels;
    const int at = states[pair].u_at;
    flow[2 * i] = planes.flow(at, 0, pair)[place];
    flow[2 * i + 1] = planes.flow(at, 1, pair)[place];
  }
}

template <class T>
__global__ void __launch_bounds__(256)
    tvl1_floats_kernel(T* to, const std::uint8_t* from, std::int64_t n) {
  const std::int64_t step = std::int64_t{blockDim.x} * gridDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step)
    to[i] = static_cast<T>(from[i]);
}

/// The launches of a batch.
class TvL1Launcher {
 public:
  TvL1Launcher(Queue& queue, const TvL1Options& options, std::int64_t pairs, std::int64_t height,
               std::int64_t width)
      : queue_(queue),
        options_(options),
        pairs_(pairs),
        sizes_(tvl1::pyramid_sizes(height, width, options.scales, options.scale_step)),
        states_(queue, pairs),
        running_({1}, queue.device),
        floats_(queue, 18 * pairs * height * width),
        changes_(queue, pairs * tiles(sizes_[0]) * SweepTile::steps) {
    const std::int64_t plane = pairs * height * width;
    planes_ = {floats_.data(), floats_.data() + 4 * plane, floats_.data() + 12 * plane, pairs,
               height * width};
    dx_ = floats_.data() + 16 * plane;
    dy_ = dx_ + plane;
  }

  void run(float* flow, std::int32_t* counts, const float* first, const float* second,
           const float* initial) {
    const auto scales = static_cast<std::int64_t>(sizes_.size());
    std::int64_t smaller_pixels = 0;  // of all scales but the finest
    for (const tvl1::ScaleSize& size : sizes_) smaller_pixels += size.height * size.width;
    smaller_pixels -= sizes_[0].height * sizes_[0].width;
    const Scratch<float> pyramid(queue_, 2 * pairs_ * smaller_pixels);
    const Scratch<float> starts(queue_, initial != nullptr ? 2 * pairs_ * smaller_pixels : 0);
    std::vector<const float*> firsts{first}, seconds{second}, initials{initial};
    std::int64_t used = 0;
    for (std::size_t s = 1; s < sizes_.size(); ++s) {
      const std::int64_t level = pairs_ * sizes_[s].height * sizes_[s].width;
      float* const to = pyramid.data() + 2 * used;
      resize(to, firsts.back(), s, 1, 1.0F);
      resize(to + level, seconds.back(), s, 1, 1.0F);
      firsts.push_back(to);
      seconds.push_back(to + level);
      if (initial != nullptr) {
        resize(starts.data() + 2 * used, initials.back(), s, 2,
               static_cast<float>(options_.scale_step));
        initials.push_back(starts.data() + 2 * used);
      }
      used += level;
    }
    const std::int64_t per_pair = scales * options_.warps;
    begin(TvL1Begin::first, nullptr, 0);
    for (std::size_t s = sizes_.size(); s-- > 0;) {
      const bool coarsest = s + 1 == sizes_.size();
      start(s, coarsest && initial != nullptr ? initials.back() : nullptr, coarsest);
      begin(TvL1Begin::scale, nullptr, 0);
      const std::int64_t height = sizes_[s].height, width = sizes_[s].width;
      const std::int64_t n = pairs_ * height * width;
      launch("tvl1_gradient", tvl1_gradient_kernel<float>, dim3(blocks_for(n, 256)), dim3(256), 0,
             queue_, dx_, dy_, seconds[s], n, height, width);
      for (int warp = 0; warp < options_.warps; ++warp) {
        launch("tvl1_warp", tvl1_warp_kernel<float>, dim3(blocks_for(n, 256)), dim3(256), 0, queue_,
               planes_, states_.data(), firsts[s], seconds[s], dx_, dy_, n, height, width,
               static_cast<float>(options_.sampling_steps));
        iterate(sizes_[s]);
        begin(TvL1Begin::warp, counts++, per_pair);
      }
    }
    const std::int64_t pixels = sizes_[0].height * sizes_[0].width, n = pairs_ * pixels;
    launch("tvl1_flow", tvl1_flow_kernel<float>, dim3(blocks_for(n, 256)), dim3(256), 0, queue_,
           flow, planes_, states_.data(), n, pixels);
  }

 private:
  static std::int64_t tiles(const tvl1::ScaleSize& size) {
    return (size.width + SweepTile::inner_across - 1) / SweepTile::inner_across *
           ((size.height + SweepTile::inner_down - 1) / SweepTile::inner_down);
  }

  /// Level s of a pyramid from the one before.
  void resize(float* to, const float* from, std::size_t s, std::int64_t stride, float factor) {
    const tvl1::ScaleSize &size = sizes_[s], &finer = sizes_[s - 1];
    const std::int64_t n = pairs_ * size.height * size.width * stride;
    launch("tvl1_resize", tvl1_resize_kernel<double>, dim3(blocks_for(n, 256)), dim3(256), 0,
           queue_, to, from, n, size.height, size.width, finer.height, finer.width, stride,
           1 / options_.scale_step, factor);
  }

  void start(std::size_t s, const float* initial, bool coarsest) {
    const tvl1::ScaleSize size = sizes_[s];
    const tvl1::ScaleSize coarser = coarsest ? tvl1::ScaleSize{0, 0} : sizes_[s + 1];
    const auto ratio = [](std::int64_t from, std::int64_t to) {
      return static_cast<double>(from) / static_cast<double>(to);
    };
    const std::int64_t n = pairs_ * size.height * size.width;
    launch("tvl1_start", tvl1_start_kernel<double>, dim3(blocks_for(n, 256)), dim3(256), 0, queue_,
           planes_, states_.data(), initial, n, size.height, size.width, coarser.height,
           coarser.width, ratio(coarser.height, size.height), ratio(coarser.width, size.width),
           1 / static_cast<float>(options_.scale_step));
  }

  void begin(TvL1Begin what, std::int32_t* counts, std::int64_t per_pair) {
    launch("tvl1_begin", tvl1_begin_kernel<std::int32_t>, dim3(blocks_for(pairs_, 256)), dim3(256),
           0, queue_, states_.data(), running_.mutable_device_data(), counts, pairs_, per_pair,
           what);
  }

  /// The iterations of a warp. What is left to do is read after those of the first median filter,
  /// and then only before thousands of launches.
  void iterate(const tvl1::ScaleSize& size) {
    const bool may_read = !tandem::capturing(queue_);
    int launches = 0;
    for (int outer = 0; outer < options_.outer_iterations; ++outer) {
      median(size);
      for (int inner = 0; inner < options_.inner_iterations; inner += SweepTile::steps) {
        const int left = options_.inner_iterations - inner;
        sweep(size, left < SweepTile::steps ? left : SweepTile::steps,
              inner == 0 && options_.median > 1, false);
        if (++launches < launches_between_reads || !may_read) continue;
        launches = 0;
        if (!anyone_runs(size)) return;
      }
      const bool last = outer + 1 == options_.outer_iterations;
      if (outer == 0 && !last && may_read && options_.epsilon > 0 && !anyone_runs(size)) return;
    }
    sweep(size, SweepTile::steps, false, true);
  }

  void median(const tvl1::ScaleSize& size) {
    const auto filter = [&]<int Side>() {
      const std::int64_t blocks = pairs_ * ((size.width + 31) / 32) * ((size.height + 7) / 8);
      launch("tvl1_median", tvl1_median_kernel<Side>, dim3(blocks_for(blocks, 1)), dim3(256), 0,
             queue_, planes_, states_.data(), size.height, size.width);
    };
    if (options_.median == 3) filter.template operator()<3>();
    if (options_.median == 5) filter.template operator()<5>();
  }

  void sweep(const tvl1::ScaleSize& size, int steps, bool filtered, bool again) {
    const std::int64_t count = tiles(size);
    launch("tvl1_sweep", tvl1_sweep_kernel<float>, dim3(blocks_for(count * pairs_, 1)),
           dim3(SweepTile::threads), SweepTile::shared_bytes, queue_, planes_, states_.data(),
           changes_.data(), static_cast<int>(size.height), static_cast<int>(size.width),
           tvl1::sweep_constants(options_), steps, filtered, again);
    const double pixels = static_cast<double>(size.height * size.width);
    launch("tvl1_stop", tvl1_stop_kernel<double>, dim3(blocks_for(pairs_, 1)), dim3(256), 0, queue_,
           states_.data(), running_.mutable_device_data(), changes_.data(), pairs_, count,
           options_.epsilon * options_.epsilon * pixels, steps, filtered, again);
  }

  /// Waits for what is queued. Those that have run too far are put right first.
  bool anyone_runs(const tvl1::ScaleSize& size) {
    sweep(size, SweepTile::steps, false, true);
    const tandem::QueueScope scope(queue_);
    read_.start(running_);
    return read_.get()[0] > 0;
  }

  static constexpr int launches_between_reads = 2048;
  Queue& queue_;
  const TvL1Options& options_;
  std::int64_t pairs_;
  std::vector<tvl1::ScaleSize> sizes_;
  Scratch<TvL1State> states_;
  tandem::Tensor<std::int32_t> running_;
  Scratch<float> floats_, changes_;
  TvL1Planes planes_{};
  float *dx_ = nullptr, *dy_ = nullptr;
  tandem::HostCopy<std::int32_t> read_;
};

template <class T>
void tvl1_forward(Queue& queue, T* flow, std::int32_t* iterations, const T* first, const T* second,
                  const T* initial, std::int64_t pairs, std::int64_t height, std::int64_t width,
                  const TvL1Options& options) {
  if (pairs == 0) return;
  const tandem::QueueScope scope(queue);  // running_ is made on it
  TvL1Launcher(queue, options, pairs, height, width).run(flow, iterations, first, second, initial);
}
template <class T>
void tvl1_floats(Queue& queue, T* to, const std::uint8_t* from, std::int64_t n) {
  launch("tvl1_floats", tvl1_floats_kernel<T>, dim3(blocks_for(n, 256)), dim3(256), 0, queue, to,
         from, n);
}
TANDEM_KERNEL(tvl1_forward, float);
TANDEM_KERNEL(tvl1_floats, float);

}  // namespace tandem_kernels
