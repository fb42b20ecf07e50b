#include "tandem/ops/softmax.hpp"

#include <limits>

#include "devices.hpp"

using namespace tandem;

namespace {
const auto softmax_of = [](const auto& x) { return softmax(x[0]); };
const auto log_softmax_of = [](const auto& x) { return log_softmax(x[0]); };
}  // namespace

TEST_CASE("softmax: float follows double on every device, every size") {
  for (const std::int64_t rows : {1, 5, 33}) {
    for (const std::int64_t n : devices::sizes) {
      CAPTURE(rows);
      CAPTURE(n);
      const Tensor<double> x = devices::normal({rows, n}, 1);
      devices::each([&](Device device) {
        // The exponent's rounding (|x − max| < 10), the sum's n/32 + 10, two functions and four
        // more, relative to probabilities of at most 1; the gradient multiplies by sums of |dy| <
        // 5.
        const double roundings =
            10 + static_cast<double>(n) / 32 + 14 + 2 * devices::function_error;
        devices::float_follows_double(device, softmax_of, {x},
                                      roundings * 5 * 2 * devices::float_eps);
        // Its values reach 20 and Σ|dy| 5·n.
        devices::float_follows_double(
            device, log_softmax_of, {x},
            roundings * (20 + 5 * static_cast<double>(n)) * devices::float_eps);
      });
    }
  }
}

TEST_CASE("softmax: gradients on every device, along every dimension") {
  devices::each([](Device device) {
    devices::gradients(device, softmax_of, {check::normal({3, 31}, 1)});
    devices::gradients(device, log_softmax_of, {check::normal({3, 31}, 1)});
    for (const std::int64_t dim : {0, 1, 2, -1, -3}) {
      devices::gradients(device, [dim](const auto& x) { return softmax(x[0], dim); },
                         {check::normal({3, 5, 7}, 2)});
      devices::gradients(device, [dim](const auto& x) { return log_softmax(x[0], dim); },
                         {check::normal({3, 5, 7}, 2)});
    }
    CHECK(softmax(zeros<float>({0, 3}, device)).shape() == Shape{0, 3});
    CHECK(softmax(zeros<float>({3, 0}, device)).shape() == Shape{3, 0});
    CHECK(softmax(zeros<float>({1}, device)).item() == 1);
  });
}

TEST_CASE("softmax: infinities and NaN mean the same on every device") {
  constexpr float inf = std::numeric_limits<float>::infinity(),
                  nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& row : {std::vector<float>{-inf, -inf, -inf},
                                        {-inf, 1, 2},
                                        {1, inf, 2},
                                        {nan, 1, 2},
                                        {nan, -inf, -inf},
                                        {nan, nan, nan},
                                        {1000, 999, -1000},
                                        {3e38F, -3e38F, 0}}) {
    const Tensor<float> x = from_vector<float>(row);
    const Tensor<float> expected = softmax(x), logarithm = log_softmax(x);
    // The differences from the largest are exact here, or round to a float.
    const double bound = (4 + devices::function_error) * devices::float_eps;
    devices::each([&](Device device) {
      CHECK(check::distance(softmax(x.to(device)), expected) <= bound);
      CHECK(check::distance(log_softmax(x.to(device)), logarithm) <= bound);
    });
  }
}

TEST_CASE("log_softmax: entries of −∞ have no gradient and take none from the others") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  Tensor<float> x = check::cast<float>(devices::normal({3, 33}, 5));
  for (const std::int64_t j : {0, 7, 32}) x.set({1, j}, -inf);
  const Tensor<float> dy = check::cast<float>(devices::normal({3, 33}, 6));
  for (const std::int64_t dim : {0, 1}) {
    const auto gradient = [&](Device device) {
      Tensor<float> leaf = x.to(device).clone();
      leaf.requires_grad_();
      log_softmax(leaf, dim).backward(dy.to(device));
      return leaf.grad().to(Device::cpu());
    };
    const Tensor<float> expected = gradient(Device::cpu());
    CHECK(expected.at({1, 7}) == 0);
    // A sum of 33 terms below 5, times at most 1.
    devices::each([&](Device device) {
      CHECK(check::distance(gradient(device), expected) <= 33 * 5 * 8 * devices::float_eps);
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

TEST_CASE("softmax: masks on every device, broadcast and with rows in which nothing takes part") {
  Tensor<bool> mask = full<bool>({3, 1, 7}, true);
  for (const std::int64_t i : {0, 1, 5}) mask.set({0, 0, i}, false);
  for (std::int64_t i = 0; i < 7; ++i) mask.set({1, 0, i}, false);
  const Tensor<double> x = devices::normal({3, 5, 7}, 6);
  devices::each([&](Device device) {
    const Tensor<bool> there = mask.to(device);
    for (const std::int64_t dim : {0, 1, 2}) {
      devices::gradients(device, [&](const auto& v) { return softmax(v[0], dim, there); }, {x});
      CHECK(check::distance(log_softmax(x.to(device), dim, there), log_softmax(x, dim, mask)) <=
            20 * 0x1p-50);
      const Tensor<float> low = check::cast<float>(x);
      CHECK(check::distance(softmax(low.to(device), dim, there), softmax(x, dim, mask)) <=
            16 * devices::float_eps);
    }
  });
  CHECK(check::message([&] { (void)softmax(x.to(Device::cuda()), -1, mask); }) ==
        "[softmax] inputs are on different devices: cuda:0 and cpu");
}

TEST_CASE("softmax: more columns than three blocks have threads, all their entries −∞ in one") {
  Tensor<float> x = check::cast<float>(devices::normal({2, 5, 211}, 9)),
                dy = check::cast<float>(devices::normal({2, 5, 211}, 10));
  for (std::int64_t i = 0; i < 5; ++i) {
    x.set({1, i, 40}, -std::numeric_limits<float>::infinity());
    x.set({0, i, 3}, 1000 + static_cast<float>(i));  // e^1000 is beyond float
  }
  for (const bool log : {false, true}) {
    const auto run = [&](Device device) {
      Tensor<float> leaf = x.to(device).clone();
      leaf.requires_grad_();
      const Tensor<float> y = log ? log_softmax(leaf, 1) : softmax(leaf, 1);
      y.backward(dy.to(device));
      return std::vector{y.detach(), leaf.grad()};
    };
    const auto expected = run(Device::cpu());
    devices::each([&](Device device) {
      const auto got = run(device);
      // Numbers below 10, five terms.
      for (std::size_t i = 0; i < 2; ++i)
        CHECK(check::distance(got[i], expected[i]) <= 10 * 5 * 8 * devices::float_eps);
    });
  }
}

TEST_CASE("softmax: rows in a warp, in a block, and too long for either; packed and not") {
  for (const std::int64_t n : {512, 516, 4096, 4099, 16384, 16388, 20001}) {
    CAPTURE(n);
    const Tensor<float> x = check::cast<float>(devices::normal({2, n}, 7)),
                        dy = check::cast<float>(devices::normal({2, n}, 8));
    const auto run = [&](Device device) {
      Tensor<float> leaf = x.to(device).clone();
      leaf.requires_grad_();
      const Tensor<float> y = softmax(leaf);
      y.backward(dy.to(device));
      return std::vector{y.detach(), leaf.grad()};
    };
    const auto expected = run(Device::cpu()), got = run(Device::cuda());
    for (int i = 0; i < 2; ++i) {
      // Relative to probabilities of at most 0.1: roundings of the sum (n/1024 a thread, and 15
      // more) and a few others.
      CHECK(check::distance(got[static_cast<std::size_t>(i)],
                            expected[static_cast<std::size_t>(i)]) <=
            0.1 * 5 * (static_cast<double>(n) / 128 + 40) * devices::float_eps);
    }
  }
}
