#include "tandem/ops/pad.hpp"

#include <limits>

#include "golden.hpp"

using namespace tandem;

TEST_CASE("pad agrees with PyTorch") {
  golden::compare("pad.constant", {"x"}, [](const auto& x) {
    return pad(x[0], {{0, 1}, {1, 2}}, 0.25);
  });
}

TEST_CASE("pad: gradients with margins on every side") {
  for (const std::int64_t n : {1, 3, 7, 33}) {
    check::gradients(
        [](const auto& x) {
          return pad(x[0], {{1, 0}, {2, 3}});
        },
        {check::normal({2, n}, 1)});
    check::gradients(
        [](const auto& x) {
          return pad(x[0], {{0, 0}, {0, 1}, {4, 0}}, -1);
        },
        {check::normal({2, n, 3}, 2)});
    check::gradients(
        [](const auto& x) {
          return pad(x[0].transpose(0, 1), {{1, 1}, {0, 2}});
        },
        {check::normal({n, 2}, 3)});
  }
}

TEST_CASE("pad: values, nothing to pad, messages") {
  CHECK(pad(tensor<float>({1, 2}), {{1, 2}}, 9).to_vector() == std::vector<float>{9, 1, 2, 9, 9});
  CHECK(pad(tensor<std::int64_t>({5}), {{0, 1}}, -3).to_vector() ==
        std::vector<std::int64_t>{5, -3});
  CHECK(pad(zeros<float>({0, 2}), {{1, 0}, {0, 0}}, 4).to_vector() == std::vector<float>{4, 4});
  CHECK(pad(tensor<float>(3), {}).item() == 3);
  const Tensor<float> x = zeros<float>({2, 3});
  CHECK(check::message([&] { pad(x, {{1, 1}}); }) == "[pad] 1 margins were given for shape (2, 3)");
  CHECK(check::message([&] {
          pad(x, {{0, 0}, {-1, 0}});
        }) == "[pad] the margins of dimension 1 must not be negative: -1 and 0");
  CHECK(check::message([&] {
          pad(x, {{0, 0}, {std::numeric_limits<std::int64_t>::max(), 0}});
        }).find("[pad] the margins of dimension 1 are too large") == 0);
}
