#include "tandem/ops/logsumexp.hpp"

#include "golden.hpp"
#include "tandem/cpu/isa.hpp"

using namespace tandem;

TEST_CASE("logsumexp agrees with PyTorch") {
  golden::compare("logsumexp.dim1", {"x"}, [](const auto& x) { return logsumexp(x[0], 1); });
  golden::compare("logsumexp.dim2_large", {"x"}, [](const auto& x) { return logsumexp(x[0], 2); });
}

TEST_CASE("logsumexp: gradients along every dimension") {
  for (const Shape& shape : {Shape{1}, Shape{33}, Shape{3, 7}, Shape{2, 5, 31}}) {
    const Tensor<double> x = check::normal(shape, 8);
    for (int d = 0; d < shape.rank(); ++d) {
      check::gradients([d](const auto& v) { return logsumexp(v[0], d); }, {x});
      check::gradients([d](const auto& v) { return logsumexp(v[0], d, true); }, {x});
    }
  }
}

TEST_CASE("logsumexp: infinities, large numbers, nothing, on every instruction set") {
  const double inf = INFINITY;
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    CHECK(logsumexp(tensor<double>({-inf, -inf}), 0).item() == -inf);
    CHECK(logsumexp(tensor<double>({1, inf}), 0).item() == inf);
    CHECK(std::isnan(logsumexp(tensor<double>({1, NAN, inf}), 0).item()));
    CHECK(logsumexp(tensor<double>({1000, 1000}), 0).item() ==
          doctest::Approx(1000 + std::log(2.0)));
    CHECK(logsumexp(tensor<float>({-1000, -1000, -1000}), 0).item() ==
          doctest::Approx(-1000 + std::log(3.0)));
  }
  CHECK(logsumexp(zeros<float>({2, 0}), 1).to_vector() == std::vector<float>{-INFINITY, -INFINITY});
  const Tensor<double> masked = tensor<double>({{-inf, -inf}, {-inf, 2}});
  masked.requires_grad_();
  logsumexp(masked, 1).backward(ones<double>({2}));
  CHECK(masked.grad().to_vector() == std::vector<double>{0, 0, 0, 1});
}

TEST_CASE("logsumexp: float follows double, same bits for any thread count, messages") {
  const Tensor<double> x = check::normal({301, 129}, 5);
  const Tensor<float> xf = check::cast<float>(x);
  // |y| < 10: m and ln Σ are rounded to 2⁻²⁴ each, and Σ, a sum of positive numbers, to 20 units.
  CHECK(check::distance(logsumexp(xf, 1), logsumexp(x, 1)) < (2 * 10 + 20) * 0x1p-24);
  check::any_thread_count([&] {
    const Tensor<float> leaf = xf.clone();
    leaf.requires_grad_();
    const Tensor<float> y = logsumexp(leaf, 0);
    y.backward(y.detach());
    return std::vector{y, leaf.grad()};
  });
  CHECK(check::message([] { logsumexp(zeros<float>({2}), 1); }) ==
        "[logsumexp] dimension 1 is out of range for a tensor of 1 dimensions");
}
