#include "tandem/ops/layer_norm.hpp"

#include "devices.hpp"

using namespace tandem;

namespace {

template <class T>
Tensor<T> at_or_none(const std::vector<Tensor<T>>& x, std::size_t i) {
  return i < x.size() ? x[i] : Tensor<T>();
}
const auto layer_norm_of = [](const auto& x) {
  return layer_norm(x[0], at_or_none(x, 1), at_or_none(x, 2));
};

/// Rows with σ near 1, also those of two elements.
Tensor<double> rows_of(std::int64_t rows, std::int64_t n) {
  Tensor<double> x = devices::normal({rows, n}, 5);
  for (std::int64_t r = 0; r < rows; ++r) x.set({r, 0}, x.at({r, 0}) > 0 ? 2 : -2);
  return x;
}

}  // namespace

TEST_CASE("layer_norm: float follows double on every device, every size") {
  for (const std::int64_t rows : {1, 3, 33}) {
    for (const std::int64_t n : devices::sizes) {
      if (n == 1) continue;
      const Tensor<double> x = rows_of(rows, n), gamma = devices::normal({n}, 6),
                           beta = devices::normal({n}, 7);
      CAPTURE(rows);
      CAPTURE(n);
      devices::each([&](Device device) {
        // Sums of n terms in at least 32 lanes, log₂ of the lanes on top: n/32 + 10 roundings of a
        // mean. A row may have σ down to 1/10 and |x̂| < 6; |γ|, |dy| < 5; rows add up to 33 of
        // them for γ.
        const double roundings = static_cast<double>(n) / 32 + 16;
        devices::float_follows_double(device, layer_norm_of, {x, gamma, beta},
                                      roundings * 10 * 6 * 5 * 5 * devices::float_eps);
      });
    }
  }
}

TEST_CASE("layer_norm: gradients on every device, with and without scale and shift") {
  for (const std::int64_t n : {2, 7, 33}) {  // every element costs two runs: the sizes are above
    const Tensor<double> x = check::normal({3, n}, 1), gamma = check::normal({n}, 2),
                         beta = check::normal({n}, 3);
    devices::each([&](Device device) {
      devices::gradients(device, layer_norm_of, {x, gamma, beta});
      devices::gradients(device, layer_norm_of, {x, gamma});
      devices::gradients(device, layer_norm_of, {x});
      devices::gradients(device,
                         [](const auto& v) { return layer_norm(v[1], Tensor<double>(), v[0]); },
                         {beta, x});
      // x needs no gradient: only those of the scale and the shift are computed.
      const Tensor<double> fixed = x.to(device);
      devices::gradients(device, [&](const auto& v) { return layer_norm(fixed, v[0], v[1]); },
                         {gamma, beta});
    });
  }
  devices::each([](Device device) {
    CHECK(layer_norm(zeros<float>({0, 3}, device)).shape() == Shape{0, 3});
    CHECK(layer_norm(zeros<float>({3, 0}, device)).shape() == Shape{3, 0});
    CHECK(layer_norm(full<float>({1}, 5, device)).item() == 0);
  });
}

TEST_CASE("layer_norm keeps its digits far from zero on every device") {
  const Tensor<double> u = check::normal({5, 512}, 4);
  Tensor<float> x(u.shape());
  Tensor<double> exact(u.shape());
  for (std::int64_t i = 0; i < u.numel(); ++i) {
    x.mutable_data()[i] = static_cast<float>(1000 + u.data()[i]);
    exact.mutable_data()[i] = static_cast<double>(x.data()[i]);
  }
  const Tensor<double> expected = layer_norm(exact);
  // As tests/ops/layer_norm_test.cpp: μ is known to 2⁻¹⁵, σ > 0.5.
  devices::each([&](Device device) {
    CHECK(check::distance(layer_norm(x.to(device)), expected) < 4 * 0x1p-15);
  });
}

TEST_CASE("layer_norm: the same bits in any order of the threads") {
  for (const std::int64_t n : {33, 197, 300}) {
    devices::same_in_every_order([&](Device device) {
      Tensor<float> x = check::cast<float>(rows_of(77, n)).to(device),
                    gamma = full<float>({n}, 2, device), beta = zeros<float>({n}, device);
      for (const Tensor<float>& leaf : {x, gamma, beta}) leaf.requires_grad_();
      const Tensor<float> y = layer_norm(x, gamma, beta);
      y.backward(check::cast<float>(devices::normal({77, n}, 8)).to(device));
      return std::vector{y.detach(), x.grad(), gamma.grad(), beta.grad()};
    });
  }
}
