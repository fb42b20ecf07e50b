#include "devices.hpp"

#include <limits>

#include "tandem/ops/softmax.hpp"

using namespace tandem;

namespace {
const auto softmax_of = [](const auto& x) { return softmax(x[0]); };
}  // namespace

TEST_CASE("softmax: float follows double on every device, every size") {
  for (const std::int64_t rows : {1, 5, 33}) {
    for (const std::int64_t n : devices::sizes) {
      CAPTURE(rows);
      CAPTURE(n);
      const Tensor<double> x = devices::normal({rows, n}, 1);
      devices::each([&](Device device) {
        // The exponent's rounding (|x − max| < 10), the sum's n/32 + 10 and four more, relative to
        // probabilities of at most 1; the gradient multiplies by sums of |dy| < 5.
        const double roundings = 10 + static_cast<double>(n) / 32 + 14;
        devices::float_follows_double(device, softmax_of, {x}, roundings * 5 * 2 * devices::float_eps);
      });
    }
  }
}

TEST_CASE("softmax: gradients on every device, along every dimension") {
  devices::each([](Device device) {
    devices::gradients(device, softmax_of, {check::normal({3, 31}, 1)});
    for (const std::int64_t dim : {0, 1, 2, -1, -3}) {
      devices::gradients(device, [dim](const auto& x) { return softmax(x[0], dim); },
                         {check::normal({3, 5, 7}, 2)});
    }
    CHECK(softmax(zeros<float>({0, 3}, device)).shape() == Shape{0, 3});
    CHECK(softmax(zeros<float>({3, 0}, device)).shape() == Shape{3, 0});
    CHECK(softmax(zeros<float>({1}, device)).item() == 1);
  });
}

TEST_CASE("softmax: infinities and NaN mean the same on every device") {
  constexpr float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& row : {std::vector<float>{-inf, -inf, -inf}, {-inf, 1, 2}, {1, inf, 2},
                                        {nan, 1, 2}, {nan, -inf, -inf}, {nan, nan, nan}, {1000, 999, -1000},
                                        {3e38F, -3e38F, 0}}) {
    const Tensor<float> x = from_vector<float>(row);
    const Tensor<float> expected = softmax(x);
    devices::each([&](Device device) {
      CHECK(check::distance(softmax(x.to(device)), expected) <= 4 * devices::float_eps);
    });
  }
}

TEST_CASE("softmax: the same bits in any order of the threads") {
  for (const std::int64_t n : {31, 77, 197, 1031}) {
    devices::same_in_every_order([&](Device device) {
      Tensor<float> x = check::cast<float>(devices::normal({9, n}, 3)).to(device);
      x.requires_grad_();
      const Tensor<float> y = softmax(x);
      y.backward(check::cast<float>(devices::normal({9, n}, 4)).to(device));
      return std::vector{y.detach(), x.grad()};
    });
  }
}
