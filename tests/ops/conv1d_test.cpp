#include "tandem/ops/conv1d.hpp"

#include "golden.hpp"

using namespace tandem;

namespace {

auto conv1d_with(const Conv1dOptions& options) {
  return [options](const std::vector<Tensor<double>>& v) {
    return conv1d(v[0], v[1], v.size() > 2 ? v[2] : Tensor<double>(), options);
  };
}

}  // namespace

TEST_CASE("conv1d agrees with PyTorch") {
  const std::vector<std::string> all{"x", "weight", "bias"};
  const Padding1d same = Padding1d::same();
  golden::compare("conv1d.plain", all, conv1d_with({}));
  golden::compare("conv1d.same_even", all, conv1d_with({.padding = same}));
  golden::compare("conv1d.dilated", all, conv1d_with({.stride = 2, .padding = 4, .dilation = 3}));
  golden::compare("conv1d.same_dilated", all, conv1d_with({.padding = same, .dilation = 4}));
  golden::compare("conv1d.grouped", {"x", "weight"}, conv1d_with({.padding = 1, .groups = 2}));
  golden::compare("conv1d.depthwise", all,
                  conv1d_with({.padding = same, .dilation = 2, .groups = 5}));
}

TEST_CASE("conv1d: gradients of every input in every layout") {
  struct Case {
    Shape x, weight;
    Conv1dOptions options;
  };
  const Case cases[] = {
      {{2, 3, 7}, {2, 3, 1}, {}},
      {{2, 3, 7}, {2, 3, 4}, {.padding = Padding1d::same(), .relu = true}},
      {{1, 4, 9}, {4, 2, 3}, {.stride = 2, .padding = {4, 1}, .dilation = 2, .groups = 2}},
      {{2, 3, 1}, {3, 1, 5}, {.padding = 3, .groups = 3}}};
  for (const Case& c : cases) {
    CAPTURE(c.weight);
    check::gradients(conv1d_with(c.options), {check::normal(c.x, 1), check::normal(c.weight, 2),
                                              check::normal({c.weight[0]}, 3)});
  }
}

TEST_CASE("conv1d: padded at the front alone, an output sees nothing later; long sequences") {
  const Conv1dOptions causal{.padding = {6, 0}, .dilation = 3};
  const Tensor<float> w = check::cast<float>(check::normal({5, 4, 3}, 2));
  Tensor<float> x = check::cast<float>(check::normal({1, 4, 1200}, 1));
  const Tensor<float> y = conv1d(x, w, {}, causal);
  REQUIRE(y.shape() == Shape{1, 5, 1200});
  for (std::int64_t c = 0; c < 4; ++c) x.set({0, c, 700}, NAN);
  const Tensor<float> z = conv1d(x, w, {}, causal);
  for (std::int64_t t = 0; t < 1200; ++t) {
    const bool sees = t == 700 || t == 703 || t == 706;
    CHECK(std::isnan(z.at({0, 2, t})) == sees);
    if (!sees) CHECK(z.at({0, 2, t}) == y.at({0, 2, t}));
  }
}

TEST_CASE("conv1d: a stride beyond x costs nothing") {
  const Tensor<double> x = check::normal({2, 3, 5}, 1), w = check::normal({4, 3, 3}, 2);
  const Conv1dOptions far{.stride = (std::int64_t{1} << 31) - 1, .padding = 2};
  const Tensor<double> first = conv1d(x, w, {}, {.padding = 2}).slice(2, 0, 1);
  CHECK(conv1d(x, w, {}, far).to_vector() == first.to_vector());
  check::gradients(conv1d_with(far), {x, w});
}

TEST_CASE("conv1d says what is wrong; no samples") {
  const Tensor<float> x = zeros<float>({1, 4, 5}), w = zeros<float>({6, 4, 3});
  CHECK(check::message([&] { conv1d(x[0], w); }) ==
        "[conv1d] expected x of shape (N, C, width), got (4, 5)");
  CHECK(check::message([&] { conv1d(x, w[0]); }) ==
        "[conv1d] expected a weight of shape (out, in, width), got (4, 3)");
  CHECK(check::message([&] {
          conv1d(x, zeros<float>({6, 3, 3}));
        }) == "[conv1d] x has 4 channels, the weight of shape (6, 3, 3) takes 3");
  CHECK(check::message([&] { conv1d(x, w, {}, {.stride = 0}); }) ==
        "[conv1d] the stride along the width must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([&] {
          conv1d(zeros<float>({1, 4, 0}), w);
        }) == "[conv1d] the width of x is 0: (1, 4, 0)");
  CHECK(conv1d(zeros<float>({0, 4, 5}), w).shape() == Shape{0, 6, 3});
}
