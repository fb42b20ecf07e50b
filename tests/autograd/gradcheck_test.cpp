#include "tandem/autograd/gradcheck.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/square.hpp"
#include "tandem/ops/sum.hpp"

using namespace tandem;

namespace {

/// x² whose backward is `slope`·x·dy: right for 2 only.
Tensor<double> planted(const Tensor<double>& x, double slope) {
  return autograd::record(
      "planted", detail::map("planted", formula::Square(), x),
      [x = autograd::save(x), slope](const Tensor<double>& dy, autograd::Needs) {
        return std::tuple(dy * x.get() * slope);
      },
      x);
}

template <class F>
std::string complaint(const F& f, const std::vector<Tensor<double>>& inputs) {
  try {
    gradcheck(f, inputs);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

Tensor<double> sample(const Shape& shape) {
  Generator random(11);
  return randn<double>(shape, random);
}

}  // namespace

TEST_CASE("gradcheck passes a right backward and fails a planted wrong one") {
  for (const Tensor<double>& x :
       {sample({1}), sample({7}), sample({3, 33}), autograd::make_strided(sample({3, 5}))}) {
    CHECK(complaint([](const auto& v) { return planted(v[0], 2); }, {x}) == "");
    // Wrong in the fifth digit is found, and so is a wrong sign.
    for (const double slope : {2.0001, -2.0, 1.0}) {
      const std::string text = complaint([&](const auto& v) { return planted(v[0], slope); }, {x});
      CHECK(text.find("[gradcheck] input 0, element 0 of shape " + x.shape().str()) == 0);
    }
  }
}

TEST_CASE("gradcheck finds what a sum with gradient 1 would hide") {
  // y − mean(y) has a gradient that sums to zero: a backward of zeros would pass with dy = 1.
  const auto wrong = [](const auto& v) {
    const Tensor<double>& x = v[0];
    const Tensor<double> mean = sum(x.detach()) / static_cast<double>(x.numel());
    return autograd::record(
        "centre", x.detach() - mean,
        [](const Tensor<double>& dy, autograd::Needs) { return std::tuple(zeros_like(dy)); }, x);
  };
  CHECK(complaint(wrong, {sample({5})}).find("[gradcheck] input 0, element 0") == 0);
}

TEST_CASE("gradcheck refuses what proves nothing") {
  CHECK(complaint([](const auto& v) { return v[0].detach(); }, {sample({3})}) ==
        "[gradcheck] the result does not depend on any input");
  CHECK(complaint([](const auto& v) { return v[0] * 0.0; }, {sample({3})}) ==
        "[gradcheck] every gradient is zero, which proves nothing");
  CHECK(complaint([](const auto& v) { return square(v[0]); }, {sample({3}), sample({2})}) ==
        "[gradcheck] input 1 received no gradient");
  CHECK(complaint(
            [](const auto& v) {
              const Tensor<double> nan = v[0].detach() * __builtin_nan("");
              return v[0] * nan;
            },
            {sample({3})})
            .find("[gradcheck] input 0, element 0") == 0);
}
