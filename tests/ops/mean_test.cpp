#include "tandem/ops/mean.hpp"

#include "golden.hpp"

using namespace tandem;

TEST_CASE("mean agrees with PyTorch") {
  golden::compare("mean.all", {"x"}, [](const auto& x) { return mean(x[0]); });
  golden::compare("mean.dim2_keepdim", {"x"}, [](const auto& x) { return mean(x[0], 2, true); });
}

TEST_CASE("mean: values, gradients, messages") {
  const Tensor<double> x = tensor<double>({{1, 2, 6}, {3, 5, 4}});
  CHECK(mean(x).item() == 3.5);
  CHECK(mean(x, 0).to_vector() == std::vector<double>{2, 3.5, 5});
  CHECK(mean(x, {0, 1}, true).shape() == Shape{1, 1});
  for (const std::int64_t n : {1, 3, 7, 33}) {
    const Tensor<double> y = check::normal({2, n}, static_cast<std::uint64_t>(n));
    check::gradients([](const auto& v) { return mean(v[0]); }, {y});
    check::gradients([](const auto& v) { return mean(v[0], -1); }, {y});
  }
  CHECK(check::message([] {
          mean(zeros<float>({0, 3}));
        }) == "[mean] there is nothing to average in shape (0, 3)");
  CHECK(check::message([&] { mean(x, 5); }).find("[mean] dimension 5 is out of range") == 0);
}
