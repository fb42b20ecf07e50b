#include "tandem/ops/layer_norm.hpp"

#include "golden.hpp"

using namespace tandem;

namespace {
Tensor<double> normed_rows(const std::vector<Tensor<double>>& x) {
  return layer_norm(x[0], x.size() > 1 ? x[1] : Tensor<double>(),
                    x.size() > 2 ? x[2] : Tensor<double>());
}
}  // namespace

TEST_CASE("layer_norm agrees with PyTorch") {
  golden::compare("layer_norm.affine", {"x", "weight", "bias"}, normed_rows);
  golden::compare("layer_norm.plain", {"x"}, normed_rows);
}

TEST_CASE("layer_norm: gradients at odd lengths, with and without scale and shift") {
  for (const std::int64_t n : {2, 3, 7, 31, 33, 77}) {
    const Tensor<double> x = check::normal({2, 3, n}, 1);
    const Tensor<double> weight = check::normal({n}, 2), bias = check::normal({n}, 3);
    check::gradients(normed_rows, {x, weight, bias});
    check::gradients(normed_rows, {x, weight});
    check::gradients(normed_rows, {x});
    check::gradients([&](const auto& v) { return layer_norm(x, v[0], v[1]); }, {weight, bias});
    check::gradients([&](const auto& v) { return layer_norm(x, {}, v[0]); }, {bias});
  }
  CHECK(layer_norm(zeros<float>({0, 3})).shape() == Shape{0, 3});
  CHECK(layer_norm(zeros<float>({3, 0})).shape() == Shape{3, 0});
  CHECK(layer_norm(full<float>({1}, 5)).item() == 0);
}

TEST_CASE("layer_norm: frozen scale and shift change no bit of dx") {
  for (const std::int64_t n : {1, 31, 129}) {
    const Tensor<double> x = check::normal({300, n}, 1), weight = check::normal({n}, 2),
                         bias = check::normal({n}, 3), g = check::normal({300, n}, 4);
    const auto dx = [&](bool learns) {
      const std::vector<Tensor<double>> leaves{x.clone(), weight.clone(), bias.clone()};
      leaves[0].requires_grad_();
      for (int i : {1, 2}) leaves[static_cast<std::size_t>(i)].requires_grad_(learns);
      layer_norm(leaves[0], leaves[1], leaves[2]).backward(g);
      return leaves[0].grad();
    };
    CHECK(check::same(dx(false), dx(true)));
  }
}

TEST_CASE("layer_norm keeps its digits far from zero") {
  // x = 1000 + u with |u| ≤ 2: float holds x to 2⁻¹⁵, so u/σ is known to about 2⁻¹⁵/σ; σ > 0.5 and
  // x̂ < 5. The one-pass formula E[x²] − μ² would be off by 0.1.
  const Tensor<double> u = check::normal({5, 512}, 4);
  Tensor<float> x(u.shape());
  Tensor<double> exact(u.shape());
  for (std::int64_t i = 0; i < u.numel(); ++i) {
    x.mutable_data()[i] = static_cast<float>(1000 + u.data()[i]);
    exact.mutable_data()[i] = static_cast<double>(x.data()[i]);
  }
  CHECK(check::distance(layer_norm(x), layer_norm(exact)) < 4 * 0x1p-15);
}

TEST_CASE("layer_norm: float follows double, same bits for any thread count") {
  const Tensor<double> x = check::normal({300, 129}, 5), weight = check::normal({129}, 6),
                       bias = check::normal({129}, 7);
  const Tensor<float> xf = check::cast<float>(x), wf = check::cast<float>(weight),
                      bf = check::cast<float>(bias);
  // μ and σ are sums of 129 terms in at least 16 lanes: about 12 roundings each; |x̂·γ| < 20.
  CHECK(check::distance(layer_norm(xf, wf, bf), layer_norm(x, weight, bias)) < 20 * 32 * 0x1p-24);
  check::any_thread_count([&] {
    const Tensor<float> a = xf.clone(), b = wf.clone(), c = bf.clone();
    for (const Tensor<float>& leaf : {a, b, c}) leaf.requires_grad_();
    const Tensor<float> y = layer_norm(a, b, c);
    y.backward(xf);
    return std::vector{y, a.grad(), b.grad(), c.grad()};
  });
}

TEST_CASE("layer_norm says what is wrong") {
  CHECK(check::message([] {
          layer_norm(zeros<float>({2, 3}), zeros<float>({2}));
        }) == "[layer_norm] scale and shift must have shape (3,), one has (2,)");
  CHECK(check::message([] { layer_norm(zeros<float>({})); }) ==
        "[layer_norm] a scalar has no axis to normalise");
  CHECK(check::message([] { layer_norm(zeros<float>({2}), {}, {}, -1); }) ==
        "[layer_norm] eps must be positive, it is -1");
}
