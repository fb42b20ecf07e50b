#include "tandem/flow/tvl1.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "../flow/golden.hpp"
#include "../wtal/test_data.hpp"
#include "devices.hpp"
#include "tandem/cuda/graph.hpp"
#include "tandem/cuda/queue.hpp"
#include "tandem/flow/flo.hpp"
#include "tandem/image/image.hpp"

using namespace tandem;
using tandem_test::flow_golden;

namespace {

using flow::TvL1Options;

/// Numbers in [0, 255] with detail of a few pixels; `t` is the time.
Tensor<float> tvl1_images(std::int64_t pairs, std::int64_t height, std::int64_t width, double t) {
  Tensor<float> images({pairs, height, width});
  float* p = images.mutable_data();
  for (std::int64_t k = 0; k < pairs; ++k) {
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        const double a = static_cast<double>(x) - t * (0.7 + static_cast<double>(k)),
                     b = static_cast<double>(y) + t * (1.2 - static_cast<double>(k));
        *p++ = static_cast<float>(128 + 50 * std::sin(0.41 * a + 0.17 * b) +
                                  40 * std::cos(0.33 * b - 0.29 * a) +
                                  30 * std::sin(0.71 * a - 0.2) * std::cos(0.63 * b + 0.4));
      }
    }
  }
  return images;
}

/// Flows of a few pixels, some far outside of the picture.
Tensor<float> tvl1_start(const Shape& shape, std::uint64_t seed) {
  const Tensor<float> flow = check::cast<float>(check::normal(shape, seed));
  float* p = flow.mutable_data();
  for (std::int64_t i = 0; i < flow.numel(); ++i) {
    if (i % 17 == 5) p[i] *= 40;
    if (i % 101 == 50) p[i] *= 1e4F;
  }
  return flow;
}

struct Tvl1Result {
  Tensor<float> flow;
  std::vector<int> iterations;
};
Tvl1Result tvl1_run(Device device, const Tensor<float>& first, const Tensor<float>& second,
                    TvL1Options options) {
  if (options.initial.defined()) options.initial = options.initial.to(device);
  flow::TvL1Report report;
  const Tensor<float> flow = flow::tvl1(first.to(device), second.to(device), options, &report);
  CHECK(flow.device() == device);
  return {flow.to(Device::cpu()), report.iterations};
}

/// Whether a GPU's arithmetic is that of the CPU's portable instruction set: products and sums that
/// round one by one. A compiler that is told to use fma, as for ARM, makes others of the CPU's.
#if defined(__x86_64__) && !defined(__FMA__)
constexpr bool tvl1_equal_bits = true;
#else
constexpr bool tvl1_equal_bits = false;
#endif

/// Every device against the CPU's portable instruction set.
void tvl1_follows_cpu(const Tensor<float>& first, const Tensor<float>& second,
                      const TvL1Options& options) {
  const cpu::IsaScope scope(cpu::Isa::portable);
  const Tvl1Result expected = tvl1_run(Device::cpu(), first, second, options);
  devices::each([&](Device device) {
    const Tvl1Result got = tvl1_run(device, first, second, options);
    if (tvl1_equal_bits) {
      CHECK(check::same(got.flow, expected.flow));
      CHECK(got.iterations == expected.iterations);
    } else {
      // What tests/flow/tvl1_test.cpp allows between instruction sets.
      CHECK(flow::endpoint_error(got.flow, expected.flow) < 0.005);
    }
  });
}

}  // namespace

TEST_CASE("tvl1: the bits and the iterations of the CPU's portable instruction set") {
  const Shape sizes[] = {{1, 1, 1}, {1, 1, 9}, {1, 6, 2}, {1, 17, 16}, {1, 23, 131}, {1, 51, 37}};
  for (const Shape& size : sizes) {
    CAPTURE(size);
    const Tensor<float> first = tvl1_images(1, size[1], size[2], 0),
                        second = tvl1_images(1, size[1], size[2], 1);
    tvl1_follows_cpu(first, second, {});
    tvl1_follows_cpu(first, second,
                     {.tau = 0.2,
                      .lambda = 0.05,
                      .theta = 0.4,
                      .scales = 3,
                      .scale_step = 0.7,
                      .warps = 2,
                      .epsilon = 0.003,
                      .inner_iterations = 13,
                      .outer_iterations = 3,
                      .median = 3,
                      .sampling_steps = 3});
  }
}

TEST_CASE("tvl1: fixed numbers of iterations; no median filter; one iteration") {
  const Tensor<float> first = tvl1_images(1, 29, 75, 0), second = tvl1_images(1, 29, 75, 1);
  for (const int inner : {1, 4, 5, 6, 11}) {
    CAPTURE(inner);
    tvl1_follows_cpu(first, second,
                     {.scales = 2,
                      .warps = 2,
                      .epsilon = 0,
                      .inner_iterations = inner,
                      .outer_iterations = 2,
                      .median = inner == 4 ? 1 : 5,
                      .sampling_steps = inner == 6 ? 0 : 32});
  }
}

TEST_CASE("tvl1: a pair stops after each number of iterations of a launch") {
  // ε from what stops at once to what never does: ends at every place of a launch and of a round.
  const Tensor<float> first = tvl1_images(1, 25, 33, 0), second = tvl1_images(1, 25, 33, 1);
  std::vector<bool> ends(5);
  for (int k = 0; k < 24; ++k) {
    CAPTURE(k);
    const TvL1Options options{.scales = 1,
                              .warps = 2,
                              .epsilon = 0.5 * std::pow(0.82, k),
                              .inner_iterations = 7,
                              .outer_iterations = 4};
    tvl1_follows_cpu(first, second, options);
    for (const int n : tvl1_run(Device::cpu(), first, second, options).iterations)
      ends[static_cast<std::size_t>(n % 7 % 5)] = true;
  }
  CHECK(ends == std::vector<bool>(5, true));
}

TEST_CASE("tvl1: medians, pyramid and regularisation alone, on images without detail") {
  // The data term is zero: what is left of `initial` is what filters, resizing and p make of it.
  const Tensor<float> flat = full<float>({1, 45, 67}, 77.0F);
  for (const int median : {1, 3, 5}) {
    for (const int scales : {1, 3}) {
      CAPTURE(median);
      CAPTURE(scales);
      tvl1_follows_cpu(flat, flat,
                       {.scales = scales,
                        .warps = 2,
                        .epsilon = 0,
                        .inner_iterations = 1,
                        .outer_iterations = 2,
                        .median = median,
                        .initial = tvl1_start({1, 45, 67, 2}, 3)});
    }
  }
}

TEST_CASE("tvl1: the algorithm in float64, every iteration counted, on every device") {
  struct Case {
    const char* name;
    TvL1Options options;
  };
  // Those of tests/flow/tvl1_test.cpp, with its bounds.
  const Case cases[] = {
      {"fixed",
       {.warps = 3,
        .epsilon = 0,
        .inner_iterations = 7,
        .outer_iterations = 2,
        .sampling_steps = 0}},
      {"other",
       {.tau = 0.2,
        .lambda = 0.05,
        .theta = 0.4,
        .scales = 3,
        .scale_step = 0.5,
        .warps = 2,
        .epsilon = 0.003,
        .inner_iterations = 12,
        .outer_iterations = 3,
        .median = 3,
        .sampling_steps = 0}},
      {"plain", {.scales = 2, .epsilon = 0.02, .median = 1, .sampling_steps = 0}},
      {"initial",
       {.scales = 2, .sampling_steps = 0, .initial = flow_golden<float>("tvl1.initial")}},
      {"exact", {.sampling_steps = 0}},
      {"defaults", {}},
  };
  const Tensor<float> first = flow_golden<float>("tvl1.first"),
                      second = flow_golden<float>("tvl1.second");
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const std::string name = std::string("tvl1.") + c.name;
    const auto counts = flow_golden<std::int64_t>(name + ".iterations").to_vector();
    const Tensor<float> expected = flow_golden<float>(name + ".out");
    devices::each([&](Device device) {
      const Tvl1Result got = tvl1_run(device, first, second, c.options);
      CHECK(std::vector<std::int64_t>(got.iterations.begin(), got.iterations.end()) == counts);
      const bool rounded = c.options.sampling_steps != 0;
      CHECK(flow::endpoint_error(got.flow, expected) < (rounded ? 2e-4 : 1e-5));
      CHECK(check::distance(got.flow, expected) < (rounded ? 1.0 / 32 : 2e-4));
    });
  }
}

TEST_CASE("tvl1: a batch, of which each pair stops for itself") {
  const Tensor<float> first = tvl1_images(4, 27, 60, 0), second = tvl1_images(4, 27, 60, 1);
  first[2].copy_(second[2]);  // nothing moves: one iteration a warp
  const TvL1Options options{.scales = 2,
                            .warps = 2,
                            .inner_iterations = 12,
                            .outer_iterations = 2,
                            .initial = zeros<float>({4, 27, 60, 2})};
  options.initial[1].copy_(tvl1_start({27, 60, 2}, 8));
  tvl1_follows_cpu(first, second, options);
  devices::each([&](Device device) {
    const Tvl1Result batch = tvl1_run(device, first, second, options);
    const std::size_t each = batch.iterations.size() / 4;
    std::vector<std::vector<int>> counts;
    for (std::int64_t k = 0; k < 4; ++k) {
      CAPTURE(k);
      TvL1Options alone = options;
      alone.initial = options.initial[k];
      const Tvl1Result one = tvl1_run(device, first[k], second[k], alone);
      CHECK(check::same(batch.flow[k].contiguous(), one.flow));
      const auto begin = batch.iterations.begin() + static_cast<std::ptrdiff_t>(each) * k;
      CHECK(std::vector<int>(begin, begin + static_cast<std::ptrdiff_t>(each)) == one.iterations);
      counts.push_back(one.iterations);
    }
    CHECK(counts[0] != counts[1]);
    CHECK(counts[0] != counts[2]);
  });
}

TEST_CASE("tvl1: the same bits in any order of the threads") {
  devices::same_in_every_order([](Device device) {
    const Tensor<float> first = tvl1_images(2, 40, 70, 0), second = tvl1_images(2, 40, 70, 1);
    return std::vector<Tensor<float>>{
        tvl1_run(device, first, second, {.scales = 3, .warps = 2}).flow};
  });
}

TEST_CASE("tvl1: bytes, views, no pairs, and flows from outside of the picture") {
  const Tensor<std::uint8_t> first({19, 40}), second({19, 40});
  for (std::int64_t i = 0; i < first.numel(); ++i) {
    first.mutable_data()[i] = static_cast<std::uint8_t>(i * i % 251);
    second.mutable_data()[i] = static_cast<std::uint8_t>(i * i % 247);
  }
  const TvL1Options options{.scales = 2, .warps = 2};
  const cpu::IsaScope scope(cpu::Isa::portable);
  const Tensor<float> expected = flow::tvl1(first, second, options);
  const Tensor<float> image = tvl1_images(1, 33, 21, 0)[0];
  const Tensor<float> turned =
      flow::tvl1(image.transpose(0, 1).contiguous(), image.transpose(0, 1).contiguous(), options);
  devices::each([&](Device device) {
    const auto same = [](const Tensor<float>& a, const Tensor<float>& b) {
      const Tensor<float> x = a.to(Device::cpu());
      return tvl1_equal_bits ? check::same(x, b) : flow::endpoint_error(x, b) < 0.005;
    };
    CHECK(same(flow::tvl1(first.to(device), second.to(device), options), expected));
    const Tensor<float> there = image.to(device).transpose(0, 1);
    CHECK(same(flow::tvl1(there, there, options), turned));
    const Tensor<float> none({0, 5, 6}, device);
    flow::TvL1Report report;
    CHECK(flow::tvl1(none, none, {}, &report).shape() == Shape{0, 5, 6, 2});
    CHECK(report.iterations.empty());
    CHECK(report.scales == 1);
    Tensor<float> far = full<float>({33, 21, 2}, 1e6F);
    far.set({3, 4, 0}, -1e6F);
    const Tvl1Result moved =
        tvl1_run(device, image, image, {.scales = 2, .warps = 1, .initial = far});
    for (std::int64_t i = 0; i < moved.flow.numel(); ++i)
      REQUIRE(std::isfinite(moved.flow.data()[i]));
  });
}

TEST_CASE("tvl1: NaN on a GPU ends, and stays with its pair") {
  const Tensor<float> first = tvl1_images(2, 18, 22, 0), second = tvl1_images(2, 18, 22, 1);
  const TvL1Options options{.scales = 1, .warps = 2, .inner_iterations = 6, .outer_iterations = 2};
  first.set({0, 3, 4}, NAN);
  devices::each([&](Device device) {
    if (device.is_cpu()) return;  // refuses it
    const Tvl1Result batch = tvl1_run(device, first, second, options);
    const Tvl1Result alone = tvl1_run(device, first[1], second[1], options);
    CHECK(check::same(batch.flow[1].contiguous(), alone.flow));
    CHECK(batch.iterations[0] == 12);
  });
}

TEST_CASE("tvl1: one wait a warp at most, none where the number of iterations is given") {
  const Tensor<float> first = tvl1_images(2, 30, 34, 0), second = tvl1_images(2, 30, 34, 1);
  const Device gpu = Device::cuda();
  const Tensor<float> a = first.to(gpu), b = second.to(gpu);
  const auto waited = [&](const TvL1Options& options) {
    const std::int64_t before = waits();
    const Tensor<float> flow = flow::tvl1(a, b, options);
    return waits() - before;
  };
  CHECK(waited({.scales = 2, .warps = 3}) == 6);
  CHECK(waited({.scales = 2, .warps = 3, .outer_iterations = 1}) == 0);
  CHECK(waited({.scales = 1, .warps = 2, .epsilon = 0, .inner_iterations = 3}) == 0);
  // Nothing is put into the queue for pairs that have stopped, but for the rest of a round.
  const std::int64_t before = kernel_launches();
  (void)flow::tvl1(a, a, {.scales = 1, .warps = 1, .outer_iterations = 1000});
  // Four to begin with, the warp, the filter, 30 iterations by five and what was too many, two to
  // end.
  CHECK(kernel_launches() - before == 4 + 2 + 2 * (6 + 1) + 2);
}

TEST_CASE("tvl1: thousands of launches are not queued for pairs that have stopped") {
  const Tensor<float> flat = full<float>({9, 8}, 5.0F, Device::cuda());
  const std::int64_t launches = kernel_launches();
  const Tensor<float> flow =
      flow::tvl1(flat, flat, {.scales = 1, .warps = 1, .inner_iterations = 1'000'000});
  CHECK(kernel_launches() - launches < 5000);
  CHECK(check::same(flow.to(Device::cpu()), zeros<float>({9, 8, 2})));
}

TEST_CASE("tvl1: in a graph") {
  const Tensor<float> first = tvl1_images(2, 18, 22, 0), second = tvl1_images(2, 18, 22, 1);
  const TvL1Options options{.scales = 1, .warps = 2, .inner_iterations = 6, .outer_iterations = 3};
  const Device gpu = Device::cuda();
  const Tensor<float> a = first.to(gpu), b = second.to(gpu);
  Tensor<float> flow;
  const Queue queue = new_queue(gpu);
  const Graph graph = Graph::capture(queue, [&] { flow = flow::tvl1(a, b, options); });
  for (const bool turned : {false, true}) {
    CAPTURE(turned);
    const Tensor<float>& from = turned ? second : first;
    const Tensor<float>& to = turned ? first : second;
    {
      const QueueScope scope(queue);
      a.copy_(from);
      b.copy_(to);
      graph.replay();
      CHECK(check::same(flow.to(Device::cpu()), tvl1_run(gpu, from, to, options).flow));
    }
  }
}

#ifdef TANDEM_IMAGE  // what reads pictures is built
TEST_CASE("tvl1: a part of a real pair") {
  const std::string folder = "flow/video_pair/v_BaseballPitch_g01_c01_f0040_";
  const std::string path = tandem_test::test_data(folder + "gray0.png");
  if (path.empty()) return;
  const auto part = [](const std::string& file) {
    const Tensor<std::uint8_t> image = io::read_image(file).select(2, 0);
    const Tensor<std::uint8_t> cut = image.slice(0, 90, 153).slice(1, 120, 215).contiguous();
    return check::cast<float>(cut);
  };
  tvl1_follows_cpu(part(path), part(tandem_test::test_data(folder + "gray1.png")), {});
}
#endif

TEST_CASE("tvl1: what is refused on a GPU") {
  const Tensor<float> image = tvl1_images(1, 20, 24, 0)[0];
  const Tensor<float> there = image.to(Device::cuda());
  CHECK(check::message([&] { flow::tvl1(there, image); }) ==
        "[tvl1] the images are on different devices: cuda:0 and cpu");
  CHECK(check::message([&] {
          flow::tvl1(there, there, {.initial = zeros<float>({20, 24, 2})});
        }) == "[tvl1] the initial flow must be (20, 24, 2) on cuda:0, it is (20, 24, 2) on cpu");
  CHECK(check::message([&] {
          flow::tvl1(there, there, {.tau = 0});
        }).rfind("[tvl1] tau must lie in", 0) == 0);
}
