#pragma once
/// The test that every unary op goes through; the op's name is in every failure.

#include <cmath>
#include <cstdint>
#include <string>

#include "check.hpp"
#include "golden.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/to.hpp"

namespace unary {

using tandem::Shape;
using tandem::Tensor;

/// n points spread over [low, high] in an order that mixes them.
inline Tensor<double> points(const Shape& shape, double low, double high) {
  tandem::Generator random(7);
  return tandem::rand<double>(shape, random, low, high);
}

/// `f` is the op for tensors of any floating type, `reference` the formula on long double, written
/// independently. Values must agree within `ulps` units of the result, or of `floor` where the
/// result is smaller than that (an op that subtracts near a zero promises no more).
template <class F, class R>
void check(const std::string& name, const F& f, const R& reference, double low, double high,
           double ulps, double floor = 0) {
  INFO(name);
  for (const tandem::cpu::Isa isa : tandem::cpu::supported_isas()) {
    const tandem::cpu::IsaScope scope(isa);
    INFO(tandem::cpu::name(isa));
    for (const std::int64_t n : {0, 1, 3, 7, 31, 33, 300}) {
      const Tensor<double> x = points({2, n}, low, high);
      const Tensor<float> xf = x.to<float>();
      const Tensor<double> y = f(x);
      const Tensor<float> yf = f(xf);
      REQUIRE(y.shape() == x.shape());
      REQUIRE(yf.shape() == x.shape());
      for (std::int64_t i = 0; i < x.numel(); ++i) {
        const auto near = [&](double got, long double want, double epsilon) {
          const double size = std::fmax(std::fabs(static_cast<double>(want)), floor);
          INFO("x = ", x.data()[i], ", got ", got, ", expected ", static_cast<double>(want));
          CHECK(std::fabs(static_cast<double>(got - want)) <= ulps * epsilon * size);
        };
        near(y.data()[i], reference(static_cast<long double>(x.data()[i])), 0x1p-52);
        near(static_cast<double>(yf.data()[i]), reference(static_cast<long double>(xf.data()[i])),
             0x1p-23);
      }
      // Neither the layout nor a conversion on the way changes a bit.
      CHECK(check::same(f(tandem::autograd::make_strided(xf)), yf));
      CHECK(check::same(f(xf.transpose(0, 1)), yf.transpose(0, 1).contiguous()));
      const Tensor<tandem::bfloat16> half = xf.to<tandem::bfloat16>();
      CHECK(check::same(f(half), f(half.to<float>()).template to<tandem::bfloat16>()));
    }
  }
  const auto first = [&](const auto& x) { return f(x[0]); };
  for (const Shape& shape : {Shape{1}, Shape{7}, Shape{33}, Shape{2, 3, 5}}) {
    check::gradients(first, {points(shape, low, high)});
  }
  // A gradient that arrives as an expanded view, and one of size 0.
  const Tensor<double> x = points({3, 5}, low, high);
  x.requires_grad_();
  f(x).backward(tandem::ones<double>({1, 1}).expand({3, 5}));
  const Tensor<double> again = x.detach().clone();
  again.requires_grad_();
  f(again).backward(tandem::ones<double>({3, 5}));
  CHECK(check::same(x.grad(), again.grad()));
  const Tensor<double> none = tandem::zeros<double>({0, 3});
  none.requires_grad_();
  f(none).backward(tandem::zeros<double>({0, 3}));
  CHECK(none.grad().shape() == Shape{0, 3});
}

/// The golden case `<name>.tails`: 4 roundings relative to the value, and as much absolutely (the
/// golden file's own formulas cancel in the tails).
template <class F>
void golden(const std::string& name, const F& f) {
  INFO(name);
  const std::string key = name + ".tails";
  const Tensor<double> x = ::golden::get(key + ".x");
  x.requires_grad_();
  const Tensor<double> y = f(x);
  y.backward(::golden::get(key + ".cot"));
  const auto compare = [](const Tensor<double>& got, const Tensor<double>& want) {
    REQUIRE(got.shape() == want.shape());
    for (std::int64_t i = 0; i < got.numel(); ++i) {
      const double a = got.at({i}), b = want.at({i});
      INFO("element ", i, ": ", a, " and ", b);
      CHECK(std::fabs(a - b) <= 16 * 0x1p-52 * (1 + std::fabs(b)));
    }
  };
  compare(y.detach(), ::golden::get(key + ".out"));
  compare(x.grad(), ::golden::get(key + ".d_x"));
}

}  // namespace unary
