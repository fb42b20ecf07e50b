#include "tandem/ops/interpolate.hpp"

#include "golden.hpp"

using namespace tandem;

namespace {
constexpr InterpolateOptions nearest_mode = {}, linear_mode = {.mode = Interpolation::linear},
                             aligned_mode = {.mode = Interpolation::linear, .align_corners = true};
}  // namespace

TEST_CASE("interpolate agrees with PyTorch") {
  const struct {
    const char* name;
    InterpolateOptions options;
  } modes[] = {
      {"nearest", nearest_mode}, {"linear", linear_mode}, {"linear_aligned", aligned_mode}};
  for (const auto& mode : modes) {
    for (const Shape& size : {Shape{7}, Shape{3}, Shape{1}, Shape{13}, Shape{7, 3}, Shape{4, 9}}) {
      std::string key = concat("interpolate.", mode.name);
      for (int a = 0; a < size.rank(); ++a) key += concat("_", size[a]);
      golden::compare(key, {"x"},
                      [&](const auto& v) { return interpolate(v[0], size, mode.options); });
    }
  }
  golden::compare("interpolate.trilinear", {"x"}, [](const auto& v) {
    return interpolate(v[0], {3, 5, 2}, linear_mode);
  });
}

TEST_CASE("interpolate: gradients in every layout; the same size is a copy") {
  const Tensor<double> x = check::normal({2, 2, 3, 4}, 1);
  for (const InterpolateOptions& options : {nearest_mode, linear_mode, aligned_mode}) {
    check::gradients([&](const auto& v) { return interpolate(v[0], {5, 2}, options); }, {x});
    const Tensor<double> same = interpolate(x, {3, 4}, options);
    CHECK(check::same(same, x));
    CHECK_FALSE(same.storage() == x.storage());
    check::gradients([&](const auto& v) { return interpolate(v[0], {3, 4}, options); }, {x});
  }
  // From one element everything is that element.
  CHECK(check::same(interpolate(x.slice(2, 0, 1).slice(3, 0, 1), {2, 3}, aligned_mode),
                    x.slice(2, 0, 1).slice(3, 0, 1).expand({2, 2, 2, 3})));
}

TEST_CASE("interpolate: float, no samples; what is wrong") {
  const Tensor<float> x = check::cast<float>(check::normal({1, 2, 9}, 1));
  // A weight, two products and their sum are rounded, of numbers below 4.
  CHECK(check::distance(interpolate(x, {23}, linear_mode),
                        interpolate(check::cast<double>(x), {23}, linear_mode)) < 6 * 4 * 0x1p-24);
  CHECK(interpolate(zeros<float>({0, 2, 9}), {4}, linear_mode).shape() == Shape{0, 2, 4});
  CHECK(check::message([&] {
          interpolate(x, {4, 4});
        }) ==
        "[interpolate] expected x of shape (N, C, …) and a size for each axis after these, got "
        "(1, 2, 9) and (4, 4)");
  CHECK(check::message([&] { interpolate(x, {0}); }) ==
        "[interpolate] sizes must be at least 1, got (0,) for x of shape (1, 2, 9)");
  CHECK(check::message([&] {
          interpolate(zeros<float>({1, 2, 0}), {3});
        }) == "[interpolate] sizes must be at least 1, got (3,) for x of shape (1, 2, 0)");
  CHECK(check::message([&] { interpolate(x, {3}, {.align_corners = true}); }) ==
        "[interpolate] align_corners is for linear interpolation only");
}
