#include "tandem/ops/group_norm.hpp"

#include "golden.hpp"
#include "tandem/ops/rms_norm.hpp"

using namespace tandem;

namespace {
auto normed(std::int64_t groups, double eps) {
  return [=](const std::vector<Tensor<double>>& v) {
    return group_norm(v[0], groups, v[1], v[2], eps);
  };
}
}  // namespace

TEST_CASE("group_norm agrees with PyTorch; gradients in every layout") {
  const std::vector<std::string> all{"x", "weight", "bias"};
  golden::compare("group_norm.image", all, normed(3, 1e-3));
  golden::compare("group_norm.rows", all, normed(2, 1e-3));
  golden::compare("group_norm.instance", all, normed(3, 1e-3));
  const Tensor<double> x = check::normal({2, 4, 3, 2}, 1), w = check::normal({4}, 2),
                       b = check::normal({4}, 3);
  check::gradients(normed(2, 1e-2), {x, w, b});
  gradcheck([](const auto& v) { return group_norm(v[0], 1); }, {x});
}

TEST_CASE("group_norm: one element per group, nothing, float; what is wrong") {
  const Tensor<float> x = check::cast<float>(check::normal({3, 6, 5}, 1));
  // x − μ is 0.
  CHECK(check::same(group_norm(x.slice(2, 0, 1), 6), zeros<float>({3, 6, 1})));
  CHECK(group_norm(zeros<float>({0, 4, 3}), 2, ones<float>({4})).shape() == Shape{0, 4, 3});
  CHECK(group_norm(zeros<float>({2, 4, 0}), 2).shape() == Shape{2, 4, 0});
  // Numbers below 4 and rows of 15: a few roundings each.
  CHECK(check::distance(group_norm(x, 2), group_norm(check::cast<double>(x), 2)) <
        4 * 20 * 0x1p-24);
  CHECK(check::message([&] { group_norm(x[0][0], 1); }) ==
        "[group_norm] expected x of shape (N, C, …), got (5,)");
  CHECK(check::message([&] { group_norm(x, 4); }) ==
        "[group_norm] 6 channels do not divide into 4 groups");
  CHECK(check::message([&] { group_norm(x, 0); }) ==
        "[group_norm] 6 channels do not divide into 0 groups");
  CHECK(check::message([&] { group_norm(x, 2, zeros<float>({5})); }) ==
        "[group_norm] scale and shift must have shape (6,), one has (5,)");
  CHECK(check::message([&] { group_norm(x, 2, {}, {}, 0); }) ==
        "[group_norm] eps must be positive, it is 0");
}

TEST_CASE("rms_norm agrees with PyTorch; gradients in every layout") {
  golden::compare("rms_norm.default", {"x", "weight"},
                  [](const auto& v) { return rms_norm(v[0], v[1]); });
  golden::compare("rms_norm.bare", {"x"}, [](const auto& v) { return rms_norm(v[0], {}, 1e-2); });
  check::gradients([](const auto& v) { return rms_norm(v[0], v[1], 1e-2); },
                   {check::normal({2, 3, 4}, 1), check::normal({4}, 2)});
}

TEST_CASE("rms_norm: zeros, no rows, float; what is wrong") {
  CHECK(check::same(rms_norm(zeros<float>({2, 3})), zeros<float>({2, 3})));
  CHECK(rms_norm(zeros<float>({0, 3}), ones<float>({3})).shape() == Shape{0, 3});
  const Tensor<float> x = check::cast<float>(check::normal({4, 33}, 1));
  CHECK(check::distance(rms_norm(x), rms_norm(check::cast<double>(x), {}, 0x1p-23)) <
        4 * 40 * 0x1p-24);
  CHECK(check::message([&] {
          rms_norm(zeros<float>({2, 0}));
        }) == "[rms_norm] expected x of shape (…, n), n > 0, got (2, 0)");
  CHECK(check::message([&] { rms_norm(x, ones<float>({4})); }) ==
        "[rms_norm] the scale must have shape (33,), it has (4,)");
  CHECK(check::message([&] { rms_norm(x, {}, 0.0); }) ==
        "[rms_norm] eps must be positive, it is 0");
}
