#include "tandem/ops/conv2d.hpp"

#include "golden.hpp"

using namespace tandem;

namespace {

auto conv2d_with(const Conv2dOptions& options) {
  return [options](const std::vector<Tensor<double>>& v) {
    return conv2d(v[0], v[1], v.size() > 2 ? v[2] : Tensor<double>(), options);
  };
}

}  // namespace

TEST_CASE("conv2d agrees with PyTorch") {
  const std::vector<std::string> all{"x", "weight", "bias"};
  golden::compare("conv2d.plain", all, conv2d_with({.padding = 1}));
  golden::compare("conv2d.strided", all, conv2d_with({.stride = {2, 3}, .padding = {2, 1}}));
  golden::compare("conv2d.same", all,
                  conv2d_with({.padding = Padding2d::same(), .dilation = {1, 2}}));
  golden::compare("conv2d.dilated", {"x", "weight"},
                  conv2d_with({.stride = {1, 2}, .padding = {2, 0}, .dilation = {2, 3}}));
  golden::compare("conv2d.grouped", all, conv2d_with({.padding = 1, .groups = 3}));
  golden::compare("conv2d.depthwise", all, conv2d_with({.padding = 2, .dilation = 2, .groups = 4}));
  golden::compare("conv2d.pointwise_grouped", all, conv2d_with({.groups = 2}));
}

TEST_CASE("conv2d: gradients of every input in every layout") {
  struct Case {
    Shape x, weight;
    Conv2dOptions options;
  };
  const Case cases[] = {
      {{1, 3, 4, 5}, {2, 3, 3, 3}, {.padding = Padding2d::same(), .relu = true}},
      {{2, 2, 5, 3}, {4, 1, 2, 2}, {.padding = {{1, 0}, {0, 2}}, .dilation = {2, 1}, .groups = 2}},
      {{2, 4, 3, 3}, {4, 2, 1, 1}, {.stride = 2, .groups = 2, .relu = true}},
      {{1, 3, 5, 4}, {3, 1, 3, 3}, {.padding = 1, .groups = 3}}};
  for (const Case& c : cases) {
    CAPTURE(c.weight);
    check::gradients(conv2d_with(c.options), {check::normal(c.x, 1), check::normal(c.weight, 2),
                                              check::normal({c.weight[0]}, 3)});
  }
}

TEST_CASE("conv2d: several tiles with groups and dilation, against groups and gaps made by hand") {
  // 2·300 taps of a group and 29·27 outputs: tiles of rows and of columns.
  const Tensor<double> x = check::normal({2, 200, 31, 29}, 1), w = check::normal({6, 100, 3, 2}, 2),
                       b = check::normal({6}, 3);
  const Conv2dOptions options{.padding = {1, 0}, .dilation = 2, .groups = 2, .relu = true};
  const Tensor<double> y = conv2d(x, w, b, options);
  // A kernel with zeros in its gaps, for each group alone.
  Tensor<double> wide = zeros<double>({6, 100, 5, 3});
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t j = 0; j < 2; ++j) {
      wide.select(2, 2 * i).select(2, 2 * j).copy_elements(w.select(2, i).select(2, j));
    }
  }
  for (std::int64_t group = 0; group < 2; ++group) {
    const Tensor<double> alone =
        conv2d(x.slice(1, 100 * group, 100 * group + 100), wide.slice(0, 3 * group, 3 * group + 3),
               b.slice(0, 3 * group, 3 * group + 3), {.padding = {1, 0}, .relu = true});
    // 600 products below 25 in size, added up in another order, and Winograd's tiles (conv3d).
    CHECK(check::distance(y.slice(1, 3 * group, 3 * group + 3), alone) < 2 * 25 * 600 * 0x1p-53);
  }
}

TEST_CASE("conv2d: float follows double, same bits for any thread count") {
  const Tensor<double> x = check::normal({3, 18, 13, 11}, 1), w = check::normal({12, 9, 3, 3}, 2),
                       b = check::normal({12}, 3);
  const Tensor<float> xf = check::cast<float>(x), wf = check::cast<float>(w),
                      bf = check::cast<float>(b);
  const Conv2dOptions options{.stride = {1, 2}, .padding = 2, .dilation = 2, .groups = 2};
  // 81 products of size about 1, their sum below 60, each rounded on the way.
  CHECK(check::distance(conv2d(xf, wf, bf, options), conv2d(x, w, b, options)) < 81 * 60 * 0x1p-24);
  check::any_thread_count([&] {
    const Tensor<float> p = xf.clone(), q = wf.clone(), r = bf.clone();
    for (const Tensor<float>& leaf : {p, q, r}) leaf.requires_grad_();
    const Tensor<float> y = conv2d(p, q, r, options);
    y.backward(y.detach());
    return std::vector{y, p.grad(), q.grad(), r.grad()};
  });
}

TEST_CASE("conv2d: nothing to do, NaN") {
  for (const std::int64_t groups : {1, 2}) {
    const Conv2dOptions options{.dilation = 2, .groups = groups};
    const Tensor<float> none = zeros<float>({0, 2, 5, 5}), w = ones<float>({4, 2 / groups, 3, 3});
    for (const Tensor<float>& leaf : {none, w}) leaf.requires_grad_();
    const Tensor<float> y = conv2d(none, w, {}, options);
    CHECK(y.shape() == Shape{0, 4, 1, 1});
    y.backward(zeros<float>(y.shape()));
    CHECK(check::same(w.grad(), zeros<float>(w.shape())));
    // No channels: the bias alone.
    CHECK(conv2d(zeros<float>({1, 0, 5, 5}), zeros<float>({2, 0, 3, 3}), tensor<float>({3, -2}),
                 {.dilation = 2, .groups = groups, .relu = true})
              .to_vector() == std::vector<float>{3, 0});
  }
  const Tensor<float> nan = full<float>({1, 2, 1, 1}, NAN);
  CHECK(std::isnan(
      conv2d(nan, ones<float>({2, 1, 1, 1}), {}, {.groups = 2, .relu = true}).at({0, 0, 0, 0})));
}

TEST_CASE("conv2d says what is wrong") {
  const Tensor<float> x = zeros<float>({1, 4, 3, 5}), w = zeros<float>({6, 4, 3, 3});
  CHECK(check::message([&] { conv2d(x[0], w); }) ==
        "[conv2d] expected x of shape (N, C, height, width), got (4, 3, 5)");
  CHECK(check::message([&] { conv2d(x, w[0]); }) ==
        "[conv2d] expected a weight of shape (out, in, height, width), got (4, 3, 3)");
  CHECK(check::message([&] { conv2d(x, w, {}, {.groups = 2}); }) ==
        "[conv2d] x has 4 channels, the weight of shape (6, 4, 3, 3) takes 4 in each of 2 groups");
  for (const std::int64_t groups : {0, 4}) {
    CHECK(check::message([&] { conv2d(x, w, {}, {.groups = groups}); }) ==
          concat("[conv2d] the weight of shape (6, 4, 3, 3) does not divide into ", groups,
                 " groups of outputs"));
  }
  CHECK(check::message([&] {
          conv2d(x, w, {}, {.dilation = {2, 1}});
        }) == "[conv2d] the kernel's height, 5, is larger than that of x with its padding, 3");
  CHECK(check::message([&] {
          conv2d(x, w, {}, {.dilation = {1, 0}});
        }) == "[conv2d] the dilation along the width must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([&] {
          conv2d(zeros<float>({1, 4, 0, 5}), w);
        }) == "[conv2d] the height of x is 0: (1, 4, 0, 5)");
  CHECK(check::message([&] { conv2d(x, w, zeros<float>({4})); }) ==
        "[conv2d] the bias has shape (4,), expected (6,)");
}
