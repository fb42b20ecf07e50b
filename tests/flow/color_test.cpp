#include "tandem/flow/color.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "../io/util.hpp"
#include "golden.hpp"

using namespace tandem;
using namespace tandem_test;

TEST_CASE("colours: the wheel and the pictures of another implementation") {
  const Tensor<float> wheel = flow_golden<float>("color.wheel");
  REQUIRE(wheel.shape() == Shape{55, 3});
  for (std::int64_t k = 0; k < 55; ++k) {
    for (int c = 0; c < 3; ++c) CHECK(flow::detail::color_wheel.color[k][c] == wheel.at({k, c}));
  }
  const Tensor<float> flow = flow_golden<float>("color.flow");
  const Tensor<std::uint8_t> expected = flow_golden<std::uint8_t>("color.out");
  const Tensor<std::uint8_t> colors = flow::flow_to_color(flow);
  REQUIRE(colors.shape() == expected.shape());
  for (std::int64_t i = 0; i < colors.numel(); ++i) {
    // It divides by the largest length plus 1e-5 and computes in double: rounding down may part by
    // one.
    CHECK(std::abs(static_cast<int>(colors.data()[i]) - static_cast<int>(expected.data()[i])) <= 1);
  }
}

TEST_CASE("colours: scale, unknown and still") {
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  const Tensor<float> flow = from_vector<float>(
      std::vector<float>{0, 0, nan, 1, 1, inf, flow::unknown_flow, 0, 2, 0, 8, 0}, Shape{6, 2});
  CHECK(flow::max_motion(flow) == 8);
  const Tensor<std::uint8_t> colors = flow::flow_to_color(flow, 4);
  CHECK(colors.shape() == Shape{6, 3});
  const auto color = [&](std::int64_t i) {
    return std::vector<int>{colors.at({i, 0}), colors.at({i, 1}), colors.at({i, 2})};
  };
  CHECK(color(0) == std::vector<int>{255, 255, 255});
  for (const std::int64_t unknown : {1, 2, 3}) CHECK(color(unknown) == std::vector<int>{0, 0, 0});
  CHECK(color(4) == std::vector<int>{255, 127, 127});  // half the way from white to red
  CHECK(color(5) == std::vector<int>{191, 0, 0});      // beyond the scale: darker
  CHECK(flow::flow_to_color(zeros<float>({2, 3, 2})).to_vector() ==
        std::vector<std::uint8_t>(18, 255));
  CHECK(flow::flow_to_color(zeros<float>({0, 3, 2})).shape() == Shape{0, 3, 3});
  CHECK(contains(error_of([&] { flow::flow_to_color(flow, -1); }), "from 0, it is -1"));
  CHECK(contains(error_of([&] { flow::flow_to_color(flow, nan); }), "from 0"));
  CHECK(contains(error_of([&] { flow::flow_to_color(zeros<float>({2, 3})); }), "(…, 2)"));
  CHECK(contains(error_of([&] { flow::flow_to_color(Tensor<float>(), 1); }), "(…, 2)"));
}
