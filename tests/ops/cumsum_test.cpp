#include "tandem/ops/cumsum.hpp"

#include "golden.hpp"

using namespace tandem;

TEST_CASE("cumsum agrees with PyTorch") {
  golden::compare("cumsum.dim1", {"x"}, [](const auto& x) { return cumsum(x[0], 1); });
  golden::compare("cumsum.dim0", {"x"}, [](const auto& x) { return cumsum(x[0], 0); });
}

TEST_CASE("cumsum: gradients along every dimension") {
  for (const Shape& shape : {Shape{1}, Shape{33}, Shape{3, 7}, Shape{2, 5, 31}, Shape{3, 77}}) {
    const Tensor<double> x = check::normal(shape, 8);
    for (int d = 0; d < shape.rank(); ++d) {
      check::gradients([d](const auto& v) { return cumsum(v[0], d); }, {x});
      CHECK(check::same(cumsum(autograd::make_strided(x), d), cumsum(x, d)));
    }
  }
}

TEST_CASE("cumsum: integers, precision, thread counts, messages") {
  CHECK(cumsum(tensor<std::int64_t>({{1, 2}, {3, 4}}), 0).to_vector() ==
        std::vector<std::int64_t>{1, 2, 4, 6});
  CHECK(cumsum(tensor<std::int32_t>({2147483647, 1}), 0).at({1}) == -2147483647 - 1);
  CHECK(cumsum(tensor<std::uint8_t>({200, 100}), 0).at({1}) == 44);
  // 2²⁴ ones: a sum kept in float would stop one short of the end.
  const Tensor<float> ones_ = ones<float>({(1 << 24) + 2});
  CHECK(cumsum(ones_, 0).at({-1}) == static_cast<float>((1 << 24) + 2));
  CHECK(cumsum(zeros<float>({0, 3}), 0).shape() == Shape{0, 3});
  const Tensor<float> x = check::cast<float>(check::normal({100, 130, 3}, 2));
  check::any_thread_count([&] { return std::vector{cumsum(x, 0), cumsum(x, 1), cumsum(x, 2)}; });
  CHECK(check::message([] { cumsum(zeros<float>({2}), -2); }) ==
        "[cumsum] dimension -2 is out of range for a tensor of 1 dimensions");
}
