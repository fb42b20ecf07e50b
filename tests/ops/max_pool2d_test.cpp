/// The pools over images and sequences: those over volumes are tested in depth.

#include "tandem/ops/max_pool2d.hpp"

#include "golden.hpp"
#include "tandem/ops/avg_pool1d.hpp"
#include "tandem/ops/avg_pool2d.hpp"
#include "tandem/ops/max_pool1d.hpp"

using namespace tandem;

namespace {
auto flat_pool(const MaxPool1dOptions& o) {
  return [o](const auto& v) { return max_pool1d(v[0], o); };
}
auto flat_pool(const MaxPool2dOptions& o) {
  return [o](const auto& v) { return max_pool2d(v[0], o); };
}
auto flat_pool(const AvgPool1dOptions& o) {
  return [o](const auto& v) { return avg_pool1d(v[0], o); };
}
auto flat_pool(const AvgPool2dOptions& o) {
  return [o](const auto& v) { return avg_pool2d(v[0], o); };
}
}  // namespace

TEST_CASE("max_pool1d, avg_pool1d, max_pool2d and avg_pool2d agree with PyTorch") {
  golden::compare("max_pool1d.padded", {"x"},
                  flat_pool(MaxPool1dOptions{.kernel = 3, .stride = 2, .padding = 1}));
  golden::compare("avg_pool1d.padded", {"x"},
                  flat_pool(AvgPool1dOptions{.kernel = 4, .stride = 3, .padding = 2}));
  golden::compare("max_pool2d.plain", {"x"}, flat_pool(MaxPool2dOptions{.kernel = 2}));
  golden::compare(
      "max_pool2d.padded", {"x"},
      flat_pool(MaxPool2dOptions{.kernel = {3, 2}, .stride = {1, 2}, .padding = {1, 0}}));
  golden::compare("avg_pool2d.padded", {"x"},
                  flat_pool(AvgPool2dOptions{.kernel = 3, .stride = 2, .padding = 1}));
  golden::compare("avg_pool2d.inside", {"x"},
                  flat_pool(AvgPool2dOptions{
                      .kernel = 3, .stride = {1, 2}, .padding = 1, .count_padding = false}));
}

TEST_CASE("pools of images and sequences: gradients in every layout, also with same()") {
  const Tensor<double> line = check::normal({2, 3, 7}, 1), image = check::normal({2, 2, 5, 4}, 2);
  check::gradients(
      flat_pool(MaxPool1dOptions{.kernel = 3, .stride = 2, .padding = Padding1d::same()}), {line});
  check::gradients(flat_pool(AvgPool1dOptions{.kernel = 2, .stride = 1, .padding = {1, 0}}),
                   {line});
  check::gradients(flat_pool(MaxPool2dOptions{.kernel = {2, 3}, .padding = Padding2d::same()}),
                   {image});
  check::gradients(flat_pool(AvgPool2dOptions{.kernel = 2, .padding = {{1, 0}, {0, 1}}}), {image});
}

TEST_CASE("pools of images and sequences: padding's value, NaN, no samples, what is wrong") {
  const Tensor<float> x = tensor<float>({-3, -1, -2}).reshape({1, 1, 3});
  CHECK(max_pool1d(x, {.kernel = 2, .stride = 1, .padding = {1, 0}, .padding_value = 0})
            .to_vector() == std::vector<float>{0, -1, -1});
  CHECK(std::isnan(max_pool1d(full<float>({1, 1, 2}, NAN), {.kernel = 2}).item()));
  CHECK(max_pool2d(zeros<float>({0, 3, 4, 6}), {.kernel = 2}).shape() == Shape{0, 3, 2, 3});
  CHECK(avg_pool1d(zeros<float>({2, 0, 4}), {.kernel = 2}).shape() == Shape{2, 0, 2});
  const Tensor<float> image = zeros<float>({1, 2, 3, 4});
  CHECK(check::message([&] { max_pool2d(x, {.kernel = 2}); }) ==
        "[max_pool2d] expected x of shape (N, C, height, width), got (1, 1, 3)");
  CHECK(check::message([&] { avg_pool1d(image, {.kernel = 2}); }) ==
        "[avg_pool1d] expected x of shape (N, C, width), got (1, 2, 3, 4)");
  CHECK(check::message([&] {
          avg_pool2d(image, {.kernel = {4, 1}});
        }) == "[avg_pool2d] the kernel's height, 4, is larger than that of x with its padding, 3");
  CHECK(check::message([&] {
          max_pool2d(image, {.kernel = 2, .padding = {2, 0}});
        }) ==
        "[max_pool2d] the padding along the height, 2 and 2, must be smaller than the kernel, 2");
  CHECK(check::message([&] {
          max_pool1d(zeros<float>({1, 2, 0}), {.kernel = 2});
        }) == "[max_pool1d] the width of x is 0: (1, 2, 0)");
  CHECK(check::message([&] { max_pool1d(x, {.kernel = 2, .padding_value = NAN}); }) ==
        "[max_pool1d] the padding value is NaN");
}
