#include "tandem/flow/tvl1.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "../io/util.hpp"
#include "../wtal/test_data.hpp"
#include "golden.hpp"
#include "tandem/flow/flo.hpp"
#include "tandem/image/image.hpp"

using namespace tandem;
using namespace tandem_test;

namespace {

/// Grey bytes of a PNG file.
Tensor<std::uint8_t> read_gray(const std::string& path) {
  return io::read_image(path).select(2, 0).contiguous();
}

/// A smooth texture with detail of about 6 to 40 pixels, sampled at (x − dx, y − dy).
Tensor<float> texture(std::int64_t height, std::int64_t width, double dx, double dy) {
  Tensor<float> image({height, width});
  float* p = image.mutable_data();
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      const double a = static_cast<double>(x) - dx, b = static_cast<double>(y) - dy;
      const double value = 128 + 40 * std::sin(0.31 * a + 0.17 * b) +
                           35 * std::cos(0.23 * b - 0.29 * a) +
                           25 * std::sin(0.61 * a - 0.2) * std::cos(0.53 * b + 0.4) +
                           20 * std::sin(0.08 * a + 0.05 * b);
      *p++ = static_cast<float>(value);
    }
  }
  return image;
}

bool same_bits(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.numel()) * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("tvl1: real pairs against the truth and against OpenCV") {
  struct Pair {
    const char *first, *second, *truth, *opencv;
    double most_error, most_distance;
  };
  // OpenCV 4.6 itself: 0.1565 and 1.168 from the truth. Where the flow is ambiguous, rounding
  // errors decide:
  // noise of 1e-7 in the image moves the error of chairs1 by 0.002 (standard deviation, around
  // 1.165) and of rubberwhale by 0.0001. From OpenCV's flow this one differs at the borders, see
  // docs/flow.md.
  const Pair pairs[] = {
      {"rubberwhale/gray0.png", "rubberwhale/gray1.png", "rubberwhale/flow10.flo",
       "rubberwhale/opencv46_dualtvl1_default.flo", 0.16, 0.03},
      {"chairs1/0000001-gray0.png", "chairs1/0000001-gray1.png", "chairs1/0000001-gt.flo",
       "chairs1/0000001-opencv46_dualtvl1_default.flo", 1.175, 0.1},
      {"video_pair/v_BaseballPitch_g01_c01_f0040_gray0.png",
       "video_pair/v_BaseballPitch_g01_c01_f0040_gray1.png", "",
       "video_pair/v_BaseballPitch_g01_c01_f0040_opencv46_dualtvl1_default.flo", 0, 0.03},
  };
  for (const Pair& pair : pairs) {
    const std::string first = test_data(std::string("flow/") + pair.first);
    if (first.empty()) return;
    CAPTURE(first);
    const Tensor<float> flow =
        flow::tvl1(read_gray(first), read_gray(test_data(std::string("flow/") + pair.second)));
    const auto distance = [&](const char* name) {
      return flow::endpoint_error(flow, flow::read_flo(test_data(std::string("flow/") + name)));
    };
    if (*pair.truth != '\0') CHECK(distance(pair.truth) <= pair.most_error);
    CHECK(distance(pair.opencv) <= pair.most_distance);
  }
}

TEST_CASE("tvl1: the algorithm in float64, every iteration counted") {
  struct Case {
    const char* name;
    flow::TvL1Options options;
  };
  const Tensor<float> first = flow_golden<float>("tvl1.first"),
                      second = flow_golden<float>("tvl1.second");
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
  on_every_isa([&] {
    for (const Case& c : cases) {
      CAPTURE(c.name);
      flow::TvL1Report report;
      const Tensor<float> flow = flow::tvl1(first, second, c.options, &report);
      const auto counts =
          flow_golden<std::int64_t>(concat("tvl1.", c.name, ".iterations")).to_vector();
      REQUIRE(report.iterations.size() == counts.size());
      CHECK(report.scales * c.options.warps == static_cast<int>(counts.size()));
      for (std::size_t i = 0; i < counts.size(); ++i) {
        CAPTURE(i);
        CHECK(report.iterations[i] == counts[i]);
      }
      // Float carries grey values to 2^-17, which the data term divides by gradients of about 1;
      // iterations contract errors, so they do not add up. A point that is sampled at multiples of
      // 1/32 of a pixel can fall on the other side of a rounding, which moves some pixels by a
      // fraction of that.
      const bool rounded = c.options.sampling_steps != 0;
      const Tensor<float> expected = flow_golden<float>(concat("tvl1.", c.name, ".out"));
      CHECK(flow::endpoint_error(flow, expected) < (rounded ? 2e-4 : 1e-5));
      CHECK(largest_difference(flow, expected) < (rounded ? 1.0 / 32 : 2e-4));
    }
  });
}

TEST_CASE("tvl1: a texture that moves by fractions of a pixel") {
  const double moves[][2] = {{0.5, 0}, {-0.3, 0.8}, {2.25, -1.5}, {-4.6, 3.2}};
  for (const auto& move : moves) {
    CAPTURE(move[0]);
    CAPTURE(move[1]);
    const Tensor<float> flow = flow::tvl1(texture(73, 90, 0, 0), texture(73, 90, move[0], move[1]));
    double sum = 0;
    int count = 0;
    for (std::int64_t y = 8; y < 65; ++y) {  // what leaves the picture cannot be seen
      for (std::int64_t x = 8; x < 82; ++x, ++count) {
        sum += std::hypot(static_cast<double>(flow.at({y, x, 0})) - move[0],
                          static_cast<double>(flow.at({y, x, 1})) - move[1]);
      }
    }
    CHECK(sum / count < 0.08);  // ε stops the iterations when they still move by 0.01 pixels
  }
}

TEST_CASE("tvl1: the same bits on 1, 2 and 3 threads, alone and in a batch") {
  const Threads restore(cpu::num_threads());
  const Tensor<float> a = texture(61, 83, 0, 0), b = texture(61, 83, 1.3, -0.4),
                      c = texture(61, 83, -2, 1);
  cpu::set_num_threads(1);
  const Tensor<float> ab = flow::tvl1(a, b), bc = flow::tvl1(b, c), ca = flow::tvl1(c, a);
  Tensor<float> first({3, 61, 83}), second({3, 61, 83});
  first[0].copy_(a), first[1].copy_(b), first[2].copy_(c);
  second[0].copy_(b), second[1].copy_(c), second[2].copy_(a);
  for (const int threads : {1, 2, 3}) {
    CAPTURE(threads);
    cpu::set_num_threads(threads);
    CHECK(same_bits(flow::tvl1(a, b), ab));
    const Tensor<float> batch = flow::tvl1(first, second);
    CHECK(same_bits(batch[0], ab));
    CHECK(same_bits(batch[1], bc));
    CHECK(same_bits(batch[2], ca));
  }
}

TEST_CASE("tvl1: every instruction set, within the growth of rounding errors") {
  const Tensor<float> a = texture(47, 71, 0, 0), b = texture(47, 71, 0.7, -1.2);
  Tensor<float> portable;
  for (const cpu::Isa isa : cpu::supported_isas()) {
    if (isa > cpu::Isa::avx512) break;  // the others compute the same
    CAPTURE(cpu::name(isa));
    const cpu::IsaScope scope(isa);
    const Tensor<float> flow = flow::tvl1(a, b);
    if (!portable.defined()) {
      portable = flow;
      continue;
    }
    // Rounding may move a sampling point to the next 1/32 pixel and an end by an iteration, each of
    // which changes at most 0.01 pixels on average.
    CHECK(flow::endpoint_error(flow, portable) < 0.005);
  }
}

TEST_CASE("tvl1: all sizes, and no motion where nothing can be seen") {
  for (const std::int64_t height : {1, 2, 3, 5, 15, 16, 17, 33}) {
    for (const std::int64_t width : {1, 2, 4, 7, 15, 16, 17, 31, 48}) {
      CAPTURE(height);
      CAPTURE(width);
      const Tensor<float> image = texture(height, width, 0, 0);
      const Tensor<float> still = flow::tvl1(image, image);
      REQUIRE(still.shape() == Shape{height, width, 2});
      const Tensor<float> flat = full<float>({height, width}, 77.0F);
      const Tensor<float> none = flow::tvl1(flat, flat);
      const Tensor<float> moved = flow::tvl1(image, texture(height, width, 0.4, 0.3));
      for (std::int64_t i = 0; i < still.numel(); ++i) {
        REQUIRE(still.data()[i] == 0);
        REQUIRE(none.data()[i] == 0);
        REQUIRE(std::isfinite(moved.data()[i]));
      }
    }
  }
  CHECK(flow::tvl1(Tensor<float>({0, 5, 6}), Tensor<float>({0, 5, 6})).shape() ==
        Shape{0, 5, 6, 2});
}

TEST_CASE("tvl1: an initial flow") {
  // Too fast for three scales without help.
  const Tensor<float> a = texture(64, 96, 0, 0), b = texture(64, 96, 9.5, 0);
  flow::TvL1Options options{.scales = 1};
  const auto error = [&] {
    const Tensor<float> flow = flow::tvl1(a, b, options);
    double sum = 0;
    for (std::int64_t y = 16; y < 48; ++y) {
      for (std::int64_t x = 24; x < 72; ++x) {
        sum += std::hypot(static_cast<double>(flow.at({y, x, 0})) - 9.5,
                          static_cast<double>(flow.at({y, x, 1})));
      }
    }
    return sum / (32 * 48);
  };
  CHECK(error() > 1);
  options.initial = zeros<float>({64, 96, 2});
  for (std::int64_t y = 0; y < 64; ++y) {
    for (std::int64_t x = 0; x < 96; ++x) options.initial.set({y, x, 0}, 9.0F);
  }
  CHECK(error() < 0.1);
  options.scales = 3;
  CHECK(error() < 0.1);
}

TEST_CASE("tvl1: a start far outside of the picture") {
  const Tensor<float> image = texture(33, 40, 0, 0);
  Tensor<float> start({33, 40, 2});
  float* p = start.mutable_data();
  for (std::int64_t i = 0; i < start.numel(); ++i) {
    p[i] = (i % 3 == 0 ? -1.0F : 1.0F) * std::pow(10.0F, static_cast<float>(i % 7));
  }
  for (const int scales : {1, 3}) {
    const Tensor<float> flow =
        flow::tvl1(image, image, {.scales = scales, .sampling_steps = 3, .initial = start});
    for (std::int64_t i = 0; i < flow.numel(); ++i) REQUIRE(std::isfinite(flow.data()[i]));
  }
}

TEST_CASE("tvl1: what is refused") {
  const Tensor<float> image = texture(20, 24, 0, 0);
  const auto message = [&](const flow::TvL1Options& options) {
    return error_of([&] { flow::tvl1(image, image, options); });
  };
  CHECK(contains(message({.tau = 0}), "tau must lie in (0, 1000], it is 0"));
  CHECK(contains(message({.lambda = std::nan("")}), "lambda"));
  CHECK(contains(message({.theta = -1}), "theta"));
  CHECK(contains(message({.scales = 0}), "scales must be a number from 1"));
  CHECK(contains(message({.scale_step = 1}), "scale_step must lie in [0.1, 0.99]"));
  CHECK(contains(message({.warps = 0}), "warps"));
  CHECK(contains(message({.epsilon = -1}), "epsilon"));
  CHECK(contains(message({.inner_iterations = 0}), "inner_iterations"));
  CHECK(contains(message({.outer_iterations = 0}), "outer_iterations"));
  CHECK(contains(message({.median = 4}), "median must be 1, 3 or 5, it is 4"));
  CHECK(contains(message({.sampling_steps = -1}), "sampling_steps"));
  CHECK(contains(message({.initial = zeros<float>({20, 24})}),
                 "the initial flow must be (20, 24, 2)"));
  CHECK(contains(error_of([&] { flow::tvl1(image, texture(20, 25, 0, 0)); }),
                 "got (20, 24) and (20, 25)"));
  CHECK(contains(error_of([&] { flow::tvl1(zeros<float>({4}), zeros<float>({4})); }), "(H, W)"));
  CHECK(contains(error_of([&] {
                   flow::tvl1(Tensor<float>({0, 4}), Tensor<float>({0, 4}));
                 }),
                 "no pixels"));
  CHECK(contains(error_of([&] { flow::tvl1(Tensor<float>(), image); }), "undefined"));
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(), 1e9F}) {
    const Tensor<float> broken = image.clone();
    broken.set({3, 4}, bad);
    CHECK(contains(error_of([&] { flow::tvl1(broken, image); }), "element 76 of the first image"));
    CHECK(contains(error_of([&] { flow::tvl1(image, broken); }), "element 76 of the second image"));
    const Tensor<float> start = zeros<float>({20, 24, 2});
    start.set({0, 1, 1}, bad);
    CHECK(contains(message({.initial = start}), "element 3 of the initial flow"));
  }
}
