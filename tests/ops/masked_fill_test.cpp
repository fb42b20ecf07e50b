#include "tandem/ops/masked_fill.hpp"

#include "golden.hpp"
#include "tandem/ops/compare.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

TEST_CASE("masked_fill agrees with PyTorch") {
  const Tensor<bool> mask = golden::mask("masked_fill.row.mask");
  golden::compare("masked_fill.row", {"x"},
                  [&](const auto& x) { return masked_fill(x[0], mask, 2.5); });
}

TEST_CASE("masked_fill: gradients, types, what lies under the mask") {
  const Tensor<double> x = check::normal({3, 5}, 1);
  check::gradients([&](const auto& in) { return masked_fill(in[0], x > 0, 2.5); }, {x});
  check::gradients([&](const auto& in) { return masked_fill(in[0], x[0] > 0, 0); }, {x});
  CHECK(masked_fill(tensor<float>({NAN, 1}), tensor<bool>({true, false}), 3).to_vector() ==
        std::vector<float>{3, 1});
  CHECK(masked_fill(tensor<std::uint8_t>({1, 2}), tensor<bool>({false, true}), 255).to_vector() ==
        std::vector<std::uint8_t>{1, 255});
  CHECK(masked_fill(tensor<bool>({false, false}), tensor<bool>({false, true}), true).to_vector() ==
        std::vector<bool>{false, true});
  const Tensor<bfloat16> half = tensor<float>({1, 2}).to<bfloat16>();
  CHECK(masked_fill(half, tensor<bool>({false, true}), -0.5).to<float>().to_vector() ==
        std::vector<float>{1, -0.5F});
}

TEST_CASE("masked_fill: messages") {
  const Tensor<float> x = zeros<float>({2, 3});
  CHECK(check::message([&] {
          masked_fill(x, zeros<bool>({4, 2, 3}), 0);
        }) == "[masked_fill] a mask of shape (4, 2, 3) does not broadcast to shape (2, 3)");
  CHECK(check::message([&] { masked_fill(x, zeros<bool>({2}), 0); }) ==
        "[masked_fill] shapes do not broadcast: (2, 3) and (2,)");
  CHECK(check::message([] {
          masked_fill(zeros<std::uint8_t>({1}), zeros<bool>({1}), 300);
        }).rfind("[masked_fill]", 0) == 0);
}
