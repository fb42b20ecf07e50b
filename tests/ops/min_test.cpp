#include "tandem/ops/min.hpp"

#include "golden.hpp"
#include "tandem/cpu/isa.hpp"

using namespace tandem;

TEST_CASE("min agrees with PyTorch") {
  golden::compare("min.dim1", {"x"}, [](const auto& x) { return min(x[0], 1).values; });
  CHECK(check::same(min(golden::get("min.dim1.x"), 1).indices, golden::ids("min.dim1.indices")));
}

TEST_CASE("min: gradients along every dimension, values and places") {
  for (const Shape& shape : {Shape{1}, Shape{33}, Shape{3, 7}, Shape{2, 5, 31}}) {
    // Values far apart, so that the step of the difference quotient changes no order.
    const Tensor<double> x(shape);
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      x.mutable_data()[i] = static_cast<double>(i * 89 % 311) / 50 - 3;
    }
    for (int d = 0; d < shape.rank(); ++d) {
      check::gradients([d](const auto& v) { return min(v[0], d).values; }, {x});
      check::gradients([d](const auto& v) { return min(v[0], d, true).values; }, {x});
      CHECK(check::same(min(autograd::make_strided(x), d).indices, min(x, d).indices));
    }
    check::gradients([](const auto& v) { return min(v[0]); }, {x});
  }
}

TEST_CASE("min: the first of equals, NaN first of all, on every instruction set") {
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    for (const std::int64_t n : {3, 7, 31, 33, 77}) {
      const Tensor<float> x = zeros<float>({2, n});
      x.set({0, 1}, -5);
      x.set({0, n - 1}, -5);
      x.set({1, n - 1}, NAN);
      CHECK(min(x, 1).indices.to_vector() == std::vector<std::int64_t>{1, n - 1});
      CHECK(std::isnan(min(x, 1).values.at({1})));
      const Tensor<float> t = x.transpose(0, 1).contiguous();
      CHECK(min(t, 0).indices.to_vector() == std::vector<std::int64_t>{1, n - 1});
    }
  }
  const Tensor<float> equal = tensor<float>({2, -5, -5});
  equal.requires_grad_();
  min(equal, 0).values.backward();
  CHECK(equal.grad().to_vector() == std::vector<float>{0, 1, 0});
  CHECK(min(tensor<std::int64_t>({3, 9, -1})).item() == -1);
  CHECK(check::message([] {
          min(zeros<float>({2, 0}), 1);
        }) == "[min] dimension 1 of shape (2, 0) is empty: there is nothing to choose from");
}
