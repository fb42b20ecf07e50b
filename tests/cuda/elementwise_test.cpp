/// Every elementwise op of one input on every device: values, gradients, bfloat16, layouts.

#include <cmath>
#include <limits>
#include <string>

#include "devices.hpp"
#include "tandem/ops.hpp"

using namespace tandem;

namespace {

/// Calls test(name, f, positive): f for tensors of any floating type; `positive` when f needs
/// numbers above 0: at −1 it is not finite. The ops of one input come from their headers
/// (tests/ops/list_unary_ops.py).
template <class F>
void each_unary(F&& test) {
#define UNARY_OP(op, argument, elementwise)                          \
  if constexpr (elementwise) {                                       \
    const auto f = [](const auto& x) { return op(x); };              \
    test(#op, f, !std::isfinite(f(full<double>({1}, -1.0)).item())); \
  }
#include "unary_ops.inc"
#undef UNARY_OP
  test(
      "clamp", [](const auto& x) { return clamp(x, -0.5, 0.75); }, false);
  test(
      "leaky_relu", [](const auto& x) { return leaky_relu(x, 0.25); }, false);
  test(
      "gelu tanh", [](const auto& x) { return gelu(x, GeluForm::tanh); }, false);
  test(
      "neg", [](const auto& x) { return neg(x); }, false);
  test(
      "pow 3", [](const auto& x) { return pow(x, 3); }, false);
  test(
      "pow -2", [](const auto& x) { return pow(x, -2); }, true);
  test(
      "pow 0", [](const auto& x) { return pow(x, 0); }, true);
  test(
      "pow 2.5", [](const auto& x) { return pow(x, 2.5); }, true);
  test(
      "x + 2", [](const auto& x) { return x + 2; }, false);
  test(
      "x - 2", [](const auto& x) { return x - 2; }, false);
  test(
      "2 - x", [](const auto& x) { return 2 - x; }, false);
  test(
      "x * 3", [](const auto& x) { return x * 3; }, false);
  test(
      "x / 3", [](const auto& x) { return x / 3; }, false);
  test(
      "3 / x", [](const auto& x) { return 3 / x; }, true);
}

/// Normal numbers, or their distance from 0 moved beyond ½.
Tensor<double> input(const Shape& shape, bool positive, std::uint64_t seed) {
  const Tensor<double> x = devices::normal(shape, seed);
  return positive ? check::cast<double>(check::cast<float>(abs(x) + 0.5)) : x;
}

}  // namespace

TEST_CASE("elementwise: float follows double on every device, every size") {
  each_unary([](const char* name, const auto& f, bool positive) {
    CAPTURE(std::string(name));
    const auto op = [&f](const auto& x) { return f(x[0]); };
    for (const std::int64_t n : devices::sizes) {
      const Tensor<double> x = input({n}, positive, 1);
      devices::each([&](Device device) {
        // |x| < 5. The largest value and slope are e⁵ and 3·5²; 2.5·5^1.5 and 3/½² lie below. A few
        // roundings of the value (function_error of them, and more, below 16), of its slope and of
        // the argument (relative 2⁻²⁴, which e^x multiplies by |x|), times |dy| < 5.
        devices::float_follows_double(device, op, {x}, 150.0 * 16 * 5 * devices::float_eps);
      });
    }
  });
}

TEST_CASE("elementwise: gradients on every device, any layout") {
  each_unary([](const char* name, const auto& f, bool positive) {
    CAPTURE(std::string(name));
    devices::each([&](Device device) {
      if (std::string(name) != "pow 0")
        devices::gradients(device, [&f](const auto& x) { return f(x[0]); },
                           {input({3, 11}, positive, 2)});
      CHECK(f(zeros<float>({0}, device)).shape() == Shape{0});
      CHECK(f(ones<double>({}, device)).shape() == Shape());
    });
  });
}

TEST_CASE(
    "elementwise: bfloat16 is computed in float and rounded once, also from strided tensors") {
  each_unary([](const char* name, const auto& f, bool positive) {
    CAPTURE(std::string(name));
    const Tensor<bfloat16> x = check::cast<bfloat16>(input({7, 33}, positive, 3));
    const Tensor<double> expected = f(check::cast<double>(x)),
                         flipped = f(check::cast<double>(x.transpose(0, 1)));
    devices::each([&](Device device) {
      // A rounding to 8 bits of values below e⁵.
      const Tensor<bfloat16> there = x.to(device);
      CHECK(check::distance(f(there), expected) <= 150 * 0x1p-8);
      CHECK(check::distance(f(there.transpose(0, 1)), flipped) <= 150 * 0x1p-8);
      // And its gradient, against the CPU's of the same type: two roundings to 8 bits of slopes
      // below e⁵.
      const auto slope = [&](Device where) {
        Tensor<bfloat16> leaf = x.to(where).clone();
        leaf.requires_grad_();
        f(leaf).backward(ones<bfloat16>(x.shape(), where));
        return leaf.grad();
      };
      CHECK(check::distance(slope(device), slope(Device::cpu())) <= 150 * 0x1p-7);
    });
  });
}

TEST_CASE("elementwise: abs and clamp of integers: the CPU's values on every device") {
  const auto test = []<class T>(T) {
    Tensor<T> x = check::cast<T>(check::cast<std::int64_t>(devices::normal({5, 77}, 5) * 40));
    x.set({0, 0}, std::numeric_limits<T>::max());
    x.set({0, 1}, std::numeric_limits<T>::min());
    devices::each([&](Device device) {
      for (const Tensor<T>& here : {x, x.transpose(0, 1)}) {
        const Tensor<T> there = here.to(device);
        CHECK(check::same(abs(there).to(Device::cpu()), abs(here)));
        CHECK(check::same(clamp(there, 0.5, 30).to(Device::cpu()), clamp(here, 0.5, 30)));
        CHECK(check::same(clamp_min(there, 7).to(Device::cpu()), clamp_min(here, 7)));
        CHECK(check::same(clamp_max(there, 7).to(Device::cpu()), clamp_max(here, 7)));
      }
    });
  };
  test(std::int64_t());
  test(std::int32_t());
  test(std::uint8_t());
}

TEST_CASE("elementwise: special values on every device") {
  constexpr float inf = std::numeric_limits<float>::infinity(),
                  nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor<float> x =
      from_vector<float>({0, -0.0F, 1, -1, 30, -30, 3000, -3000, inf, -inf, nan, 1e-30F});
  each_unary([&](const char* name, const auto& f, bool) {
    CAPTURE(std::string(name));
    const std::vector<float> expected = f(x).to_vector();
    devices::each([&](Device device) {
      const std::vector<float> got = f(x.to(device)).to_vector();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        CAPTURE(i);
        const float a = got[i], b = expected[i];
        const bool agree =
            a == b || (a != a && b != b) || std::fabs(a - b) <= 64 * 0x1p-24F * std::fabs(b);
        CHECK_MESSAGE(agree, a, " is not ", b);
      }
    });
  });
}

TEST_CASE("elementwise: more elements than a pack, unaligned beginnings") {
  const Tensor<float> x = check::cast<float>(devices::normal({1031}, 4));
  devices::each([&](Device device) {
    const Tensor<float> there = x.to(device);
    for (const std::int64_t begin : {0, 1, 2, 3, 4, 5}) {
      const Tensor<float> expected = square(x.slice(0, begin, 1031 - begin));
      CHECK(check::same(square(there.slice(0, begin, 1031 - begin)), expected));
    }
  });
}

TEST_CASE("fill, zeros and full happen on the device, for every element size and layout") {
  devices::each([](Device device) {
    for (const std::int64_t n : {0, 1, 31, 257, 1031}) {
      CHECK(check::same(full<float>({n}, 1.5F, device), full<float>({n}, 1.5F)));
      CHECK(check::same(full<double>({n}, -2.5, device), full<double>({n}, -2.5)));
      CHECK(check::same(full<bfloat16>({n}, bfloat16(3.0F), device),
                        full<bfloat16>({n}, bfloat16(3.0F))));
      CHECK(check::same(full<std::uint8_t>({n}, 200, device), full<std::uint8_t>({n}, 200)));
      CHECK(check::same(full<std::int64_t>({n}, -7, device), full<std::int64_t>({n}, -7)));
    }
    // Beginnings between packs of 16 bytes: nothing beside is written.
    for (const std::int64_t begin : {1, 3, 4}) {
      const Tensor<float> x = zeros<float>({41}, device), y = zeros<float>({41});
      for (const Tensor<float>& t : {x, y}) t.slice(0, begin, 37).fill_(2);
      CHECK(check::same(x, y));
    }
    Tensor<float> grid = zeros<float>({5, 7}, device);
    grid.slice(1, 2, 5).fill_(4);
    Tensor<float> expected = zeros<float>({5, 7});
    expected.slice(1, 2, 5).fill_(4);
    CHECK(check::same(grid, expected));
  });
}
