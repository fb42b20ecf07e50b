#include "tandem/ops/linear.hpp"

#include "golden.hpp"

using namespace tandem;

namespace {

constexpr Activation activations[] = {Activation::none, Activation::relu, Activation::gelu,
                                      Activation::quick_gelu};

double apply(Activation activation, double z) {
  switch (activation) {
    case Activation::none:
      return z;
    case Activation::relu:
      return z > 0 ? z : 0;
    case Activation::gelu:
      return 0.5 * z * (1 + std::erf(z / std::sqrt(2.0)));
    case Activation::quick_gelu:
      return z / (1 + std::exp(-1.702 * z));
  }
  return z;
}

}  // namespace

TEST_CASE("linear agrees with PyTorch") {
  const char* const names[] = {"none", "relu", "gelu", "quick_gelu"};
  for (std::size_t i = 0; i < 4; ++i) {
    golden::compare(concat("linear.", names[i]), {"x", "weight", "bias", "residual"},
                    [&](const auto& x) { return linear(x[0], x[1], x[2], activations[i], x[3]); });
  }
}

TEST_CASE("linear is its formula, for every activation, with and without bias and residual") {
  for (const std::int64_t n : {1, 3, 33}) {
    const Tensor<double> x = check::normal({n, 7}, 1), w = check::normal({31, 7}, 2),
                         b = check::normal({31}, 3), r = check::normal({n, 31}, 4);
    for (const Activation activation : activations) {
      for (const int which : {0, 1, 2, 3}) {
        const Tensor<double> bias = (which & 1) != 0 ? b : Tensor<double>();
        const Tensor<double> residual = (which & 2) != 0 ? r : Tensor<double>();
        const Tensor<double> y = linear(x, w, bias, activation, residual);
        for (std::int64_t i = 0; i < n; ++i) {
          for (std::int64_t j = 0; j < 31; ++j) {
            double z = bias.defined() ? bias.at({j}) : 0;
            for (std::int64_t l = 0; l < 7; ++l) z += x.at({i, l}) * w.at({j, l});
            const double expected =
                apply(activation, z) + (residual.defined() ? residual.at({i, j}) : 0);
            // |z| stays below 20 and is rounded about ten times.
            CHECK(std::fabs(y.at({i, j}) - expected) < 20 * 10 * 0x1p-53);
          }
        }
      }
    }
  }
}

TEST_CASE("linear: gradients of every input in every layout") {
  for (const Activation activation : activations) {
    check::gradients([&](const auto& x) { return linear(x[0], x[1], x[2], activation, x[3]); },
                     {check::normal({2, 3, 7}, 1), check::normal({5, 7}, 2), check::normal({5}, 3),
                      check::normal({2, 3, 5}, 4)});
    // A transposed weight and permuted rows are read in place or copied, never mixed up.
    check::gradients(
        [&](const auto& x) {
          return linear(x[0].permute({1, 0, 2}), x[1].transpose(0, 1), {}, activation);
        },
        {check::normal({3, 2, 7}, 5), check::normal({7, 5}, 6)});
  }
  check::gradients([](const auto& x) { return linear(x[0], x[1]); },
                   {check::normal({7}, 7), check::normal({1, 7}, 8)});
  check::gradients([](const auto& x) { return linear(x[0], x[1], x[2]); },
                   {check::normal({4, 1}, 7), check::normal({3, 1}, 8), check::normal({3}, 9)});
}

TEST_CASE("linear computes only the gradients that are needed") {
  const Tensor<double> x = check::normal({4, 7}, 1), w = check::normal({5, 7}, 2);
  const Tensor<double> b = check::normal({5}, 3);
  check::gradients([&](const auto& v) { return linear(v[0], w, b, Activation::gelu); }, {x});
  check::gradients([&](const auto& v) { return linear(x, v[0], b, Activation::gelu); }, {w});
  check::gradients([&](const auto& v) { return linear(x, w, v[0], Activation::gelu); }, {b});
  check::gradients([&](const auto& v) { return linear(x, w, b, Activation::gelu, v[0]); },
                   {check::normal({4, 5}, 4)});
}

TEST_CASE("linear of nothing") {
  const Tensor<float> w = ones<float>({3, 2}), b = ones<float>({3});
  CHECK(linear(zeros<float>({0, 2}), w, b).shape() == Shape{0, 3});
  const Tensor<float> x = zeros<float>({0, 2});
  w.requires_grad_();
  b.requires_grad_();
  linear(x, w, b).backward(zeros<float>({0, 3}));
  CHECK(w.grad().to_vector() == std::vector<float>(6, 0));
  CHECK(b.grad().to_vector() == std::vector<float>(3, 0));
}

TEST_CASE("linear: float follows double, same bits for any thread count") {
  const Tensor<double> x = check::normal({300, 129}, 1), w = check::normal({65, 129}, 2),
                       b = check::normal({65}, 3);
  const Tensor<float> xf = check::cast<float>(x), wf = check::cast<float>(w),
                      bf = check::cast<float>(b);
  for (const Activation activation : activations) {
    // z is below 60 and a sum of 130 products, whose |terms| add up to less than 150; the
    // activations have slopes below 1.2 and are exact to a few units in the last place.
    CHECK(check::distance(linear(xf, wf, bf, activation), linear(x, w, b, activation)) <
          1.2 * 150 * 134 * 0x1p-24);
    check::any_thread_count([&] {
      const Tensor<float> a = xf.clone(), c = wf.clone(), d = bf.clone();
      for (const Tensor<float>& leaf : {a, c, d}) leaf.requires_grad_();
      const Tensor<float> y = linear(a, c, d, activation);
      y.backward(y.detach());
      return std::vector{y, a.grad(), c.grad(), d.grad()};
    });
  }
}

TEST_CASE("linear says what is wrong") {
  const Tensor<float> w = zeros<float>({3, 2});
  CHECK(check::message([&] {
          linear(zeros<float>({4, 3}), w);
        }) == "[linear] x of shape (4, 3) does not fit a weight (out, in) of shape (3, 2)");
  CHECK(check::message([&] {
          linear(zeros<float>({4, 2}), w, zeros<float>({2}));
        }) == "[linear] the bias has shape (2,), expected (3,)");
  CHECK(check::message([&] {
          linear(zeros<float>({4, 2}), w, {}, Activation::none, zeros<float>({3}));
        }) == "[linear] the residual has shape (3,), the result (4, 3)");
}
