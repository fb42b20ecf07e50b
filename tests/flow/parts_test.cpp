// The parts of TV-L1: median filter, pyramid, warping; and grey images.

#include <cstring>
#include <vector>

#include "../io/util.hpp"
#include "golden.hpp"
#include "tandem/flow/median.hpp"
#include "tandem/flow/pyramid.hpp"
#include "tandem/flow/tvl1_sweep.hpp"
#include "tandem/flow/warp.hpp"
#include "tandem/image/gray.hpp"

using namespace tandem;
using namespace tandem_test;
using flow::detail::Planes;

namespace {

template <int Side>
Tensor<float> filtered(const Tensor<float>& image) {
  Planes planes(2, image.size(0), image.size(1));
  put(image, planes, 0);
  const int plane = 0, spare = 1;
  flow::detail::Bands bands(image.size(0), image.size(1));
  flow::detail::median_filter<Side>(planes, &plane, &spare, 1, bands);
  return get(planes, 0);
}

/// The median of every 0-1 window whose columns are sorted: by the 0-1 principle, that is all there
/// is.
template <int Side>
int wrong_medians() {
  using Network = flow::detail::MedianNetwork<Side>;
  int wrong = 0, ones[Side] = {};
  for (;;) {
    int w[Side * Side], total = 0;
    for (int c = 0; c < Side; ++c) {
      total += ones[c];
      for (int r = 0; r < Side; ++r) w[r * Side + c] = r >= Side - ones[c];
    }
    for (const auto [low, high] : Network::window) {
      const int a = w[low], b = w[high];
      w[low] = std::min(a, b);
      w[high] = std::max(a, b);
    }
    wrong += w[Network::median] != (2 * total > Side * Side);
    int c = 0;
    while (c < Side && ++ones[c] > Side) ones[c++] = 0;
    if (c == Side) return wrong;
  }
}

template <int Side>
int unsorted_columns() {
  int wrong = 0;
  for (int bits = 0; bits < 1 << Side; ++bits) {
    int w[Side];
    for (int r = 0; r < Side; ++r) w[r] = bits >> r & 1;
    for (const auto [low, high] : flow::detail::MedianNetwork<Side>::column) {
      const int a = w[low], b = w[high];
      w[low] = std::min(a, b);
      w[high] = std::max(a, b);
    }
    wrong += !std::is_sorted(w, w + Side);
  }
  return wrong;
}

}  // namespace

TEST_CASE("median networks: every input of zeros and ones") {
  CHECK(unsorted_columns<3>() == 0);
  CHECK(unsorted_columns<5>() == 0);
  CHECK(wrong_medians<3>() == 0);
  CHECK(wrong_medians<5>() == 0);
}

TEST_CASE("median filter: the numbers of OpenCV's medianBlur") {
  on_every_isa([] {
    for (const char* size : {"1x1", "1x9", "6x2", "13x37"}) {
      CAPTURE(size);
      const std::string name = std::string(".") + size;
      CHECK(largest_difference(filtered<3>(flow_golden<float>("median.3" + name + ".in")),
                               flow_golden<float>("median.3" + name + ".out")) == 0);
      CHECK(largest_difference(filtered<5>(flow_golden<float>("median.5" + name + ".in")),
                               flow_golden<float>("median.5" + name + ".out")) == 0);
    }
  });
}

TEST_CASE("bands: every row once in every round") {
  const Threads restore(cpu::num_threads());
  for (const int threads : {1, 2, 3, 7}) {
    cpu::set_num_threads(threads);
    for (const std::int64_t height : {1, 2, 5, 64, 101}) {
      flow::detail::Bands bands(height, 4000);
      CHECK(bands.count() <= threads);
      std::vector<int> rows(static_cast<std::size_t>(height));
      for (int round = 1; round <= 50; ++round) {
        bands.run([&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t y = begin; y < end; ++y) ++rows[static_cast<std::size_t>(y)];
        });
        REQUIRE(rows == std::vector<int>(static_cast<std::size_t>(height), round));
      }
      CHECK(bands.end(bands.count() - 1) == height);
    }
  }
}

TEST_CASE("pyramid: OpenCV's bilinear resize, and its sizes") {
  const Tensor<float> image = flow_golden<float>("resize.in");
  Planes from(1, 29, 41), down(1, 23, 33), up(1, 37, 52);
  put(image, from, 0);
  // Interpolation is three roundings of numbers below 4; OpenCV rounds in another order.
  flow::detail::resize_linear(from, 0, 1.25, 1.25, down, 0, 1.0F);
  CHECK(largest_difference(get(down, 0), flow_golden<float>("resize.down")) < 4e-6);
  flow::detail::resize_linear(from, 0, 29.0 / 37, 41.0 / 52, up, 0, 1.0F);
  CHECK(largest_difference(get(up, 0), flow_golden<float>("resize.up")) < 4e-6);

  const auto sizes = flow::detail::pyramid_sizes(256, 340, 5, 0.8);
  const std::int64_t expected[5][2] = {{256, 340}, {205, 272}, {164, 218}, {131, 174}, {105, 139}};
  REQUIRE(sizes.size() == 5);
  for (std::size_t s = 0; s < 5; ++s) {
    CHECK(sizes[s].height == expected[s][0]);
    CHECK(sizes[s].width == expected[s][1]);
  }
  CHECK(flow::detail::pyramid_sizes(25, 400, 5, 0.8).size() == 3);  // 25, 20, 16
  CHECK(flow::detail::pyramid_sizes(3, 400, 5, 0.8).size() == 1);
  // 50 · 0.99 rounds to 50
  CHECK(flow::detail::pyramid_sizes(60, 52, 1'000'000, 0.99).size() == 11);
}

TEST_CASE("warp and data term: cubic convolution by its definition") {
  namespace d = flow::detail;
  const Tensor<float> image = flow_golden<float>("warp.image"), u = flow_golden<float>("warp.flow");
  const Tensor<float> first = flow_golden<float>("warp.first");
  const std::int64_t height = image.size(0), width = image.size(1);
  on_every_isa([&] {
    Planes work(d::plane_count, height, width), images(d::image_plane_count, height, width);
    put(first, images, d::first_image);
    put(image, images, d::second_image);
    put(u.select(2, 0).contiguous(), work, d::u1);
    put(u.select(2, 1).contiguous(), work, d::u2);
    d::Bands bands(height, width);
    d::make_gradient(images, bands);
    for (const int steps : {0, 32}) {
      CAPTURE(steps);
      const std::string name = concat("warp.", steps);
      const Tensor<float> expected = flow_golden<float>(name + ".out");
      const Tensor<std::uint8_t> inside = flow_golden<std::uint8_t>(name + ".inside");
      d::linearise(images, work, steps, bands);
      double most[4] = {0, 0, 0, 0};  // of Ix, Iy, ρ0, and |∇I|²·inv − 1
      for (std::int64_t y = 0; y < height; ++y) {
        for (std::int64_t x = 0; x < width; ++x) {
          double known[3] = {0, 0, 0};
          if (inside.at({y, x}) != 0) {
            for (int c = 0; c < 2; ++c) {
              known[c] = static_cast<double>(expected.at({y, x, c + 1}));
              known[2] -= known[c] * static_cast<double>(u.at({y, x, c}));
            }
            known[2] +=
                static_cast<double>(expected.at({y, x, 0})) - static_cast<double>(first.at({y, x}));
          }
          const int planes[3] = {d::gx, d::gy, d::rho0};
          for (int c = 0; c < 3; ++c) {
            const double error =
                std::fabs(static_cast<double>(work.row(planes[c], y)[x]) - known[c]);
            most[c] = std::max(most[c], error);
          }
          const double square = known[0] * known[0] + known[1] * known[1];
          if (square > 1) {
            const double product = square * static_cast<double>(work.row(d::inv, y)[x]);
            most[3] = std::max(most[3], std::fabs(product - 1));
          }
        }
        for (std::int64_t x = width; x < Planes::padded(width); ++x) {
          for (const int plane : {d::gx, d::gy, d::rho0}) REQUIRE(work.row(plane, y)[x] == 0);
        }
      }
      // The point itself is known to 2^-20 of a pixel (35 + u in float) where grey changes by up to
      // 60 per pixel, sixteen products of grey values up to 255 round to 2^-17 each, and |∇I·u| is
      // below 500.
      CHECK(most[0] < 1e-3);
      CHECK(most[1] < 1e-3);
      CHECK(most[2] < 3e-3);
      CHECK(most[3] < 2e-3);
    }
  });
}

TEST_CASE("grey: the bytes of cvtColor, in batches and views") {
  const Tensor<std::uint8_t> rgb = flow_golden<std::uint8_t>("gray.rgb");
  const Tensor<std::uint8_t> expected = flow_golden<std::uint8_t>("gray.out");
  CHECK(io::rgb_to_gray(rgb).to_vector() == expected.to_vector());
  const Tensor<std::uint8_t> batch({2, 17, 23, 3});
  batch[0].copy_(rgb);
  batch[1].copy_(rgb);
  const Tensor<std::uint8_t> gray = io::rgb_to_gray(batch);
  CHECK(gray.shape() == Shape{2, 17, 23});
  CHECK(gray[1].to_vector() == expected.to_vector());
  CHECK(io::rgb_to_gray(rgb.transpose(0, 1)).to_vector() == expected.transpose(0, 1).to_vector());
  CHECK(contains(error_of([] { io::rgb_to_gray(Tensor<std::uint8_t>({4, 4})); }), "got (4, 4)"));
  CHECK(contains(error_of([] { io::rgb_to_gray(Tensor<std::uint8_t>()); }), "undefined"));
}
