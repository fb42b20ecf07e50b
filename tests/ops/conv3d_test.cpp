#include "tandem/ops/conv3d.hpp"

#include <fstream>

#include "golden.hpp"

using namespace tandem;

namespace {

/// The definition, with loops over everything; y in double.
Tensor<double> conv_by_definition(const Tensor<double>& x, const Tensor<double>& w,
                                  const Tensor<double>& b, const Triple& stride,
                                  const Padding3d& p) {
  const Shape &in = x.shape(), &k = w.shape();
  Shape out{in[0], k[0]};
  for (int a = 0; a < 3; ++a) {
    out.push_back((in[a + 2] + p[a].before + p[a].after - k[a + 2]) / stride[a] + 1);
  }
  const Tensor<double> y(out);
  for (std::int64_t n = 0; n < out[0]; ++n) {
    for (std::int64_t o = 0; o < out[1]; ++o) {
      for (std::int64_t i = 0; i < out[2] * out[3] * out[4]; ++i) {
        const std::int64_t at[3] = {i / (out[3] * out[4]), i / out[4] % out[3], i % out[4]};
        double sum = b.defined() ? b.at({o}) : 0;
        for (std::int64_t j = 0; j < k[1] * k[2] * k[3] * k[4]; ++j) {
          const std::int64_t tap[3] = {j / (k[3] * k[4]) % k[2], j / k[4] % k[3], j % k[4]};
          const std::int64_t c = j / (k[2] * k[3] * k[4]);
          std::int64_t q[3];
          bool inside = true;
          for (int a = 0; a < 3; ++a) {
            q[a] = at[a] * stride[a] + tap[a] - p[a].before;
            inside = inside && q[a] >= 0 && q[a] < in[a + 2];
          }
          if (inside) sum += w.at({o, c, tap[0], tap[1], tap[2]}) * x.at({n, c, q[0], q[1], q[2]});
        }
        y.set({n, o, at[0], at[1], at[2]}, sum);
      }
    }
  }
  return y;
}

auto conv_with(const Conv3dOptions& options) {
  return [options](const std::vector<Tensor<double>>& v) {
    return conv3d(v[0], v[1], v.size() > 2 ? v[2] : Tensor<double>(), options);
  };
}

constexpr Padding3d uneven_padding = {{2, 1}, {0, 2}, {1, 0}};

}  // namespace

TEST_CASE("conv3d agrees with PyTorch") {
  const std::vector<std::string> all{"x", "weight", "bias"};
  const Padding3d same = Padding3d::same();
  golden::compare("conv3d.pointwise", all, conv_with({}));
  golden::compare("conv3d.same333", all, conv_with({.padding = same}));
  golden::compare("conv3d.same333_relu", all, conv_with({.padding = same, .relu = true}));
  golden::compare("conv3d.same777s2", {"x", "weight"},
                  conv_with({.stride = Triple::all(2), .padding = same}));
  golden::compare("conv3d.uneven", all,
                  conv_with({.stride = {1, 2, 3}, .padding = {{1, 0}, {0, 2}, {2, 1}}}));
  golden::compare("conv3d.larger_than_input", all,
                  conv_with({.stride = {2, 1, 1}, .padding = {{2, 1}, {2, 2}, {2, 1}}}));
  golden::compare(
      "conv3d.dilated", all,
      conv_with({.stride = {2, 1, 1}, .padding = {{1, 1}, {2, 2}, {0, 0}}, .dilation = {3, 2, 1}}));
  golden::compare("conv3d.grouped", all,
                  conv_with({.padding = {{0, 0}, {1, 1}, {1, 1}}, .groups = 2}));
}

TEST_CASE("conv3d: gradients of every input in every layout") {
  struct Case {
    Shape x, weight;
    Conv3dOptions options;
  };
  const Case cases[] = {
      {{2, 3, 2, 3, 5}, {5, 3, 1, 1, 1}, {}},
      {{2, 3, 2, 3, 5}, {2, 3, 1, 1, 1}, {.stride = {1, 2, 2}}},
      {{1, 2, 3, 4, 5}, {3, 2, 3, 3, 3}, {.padding = Padding3d::same()}},
      {{1, 2, 3, 4, 5}, {3, 2, 3, 3, 3}, {.padding = Padding3d::same(), .relu = true}},
      {{2, 9, 2, 3, 4}, {2, 9, 2, 3, 1}, {.padding = uneven_padding}},
      {{1, 1, 5, 6, 3}, {1, 1, 7, 7, 7}, {Triple::all(2), Padding3d::same()}},
      {{2, 2, 4, 3, 5}, {3, 2, 2, 3, 1}, {{1, 2, 3}, uneven_padding}},
      {{1, 1, 1, 1, 2}, {1, 1, 4, 2, 3}, {{1, 1, 2}, Padding3d::all(2)}},
      {{1, 4, 4, 3, 5}, {2, 2, 2, 2, 2}, {{1, 1, 2}, uneven_padding, {2, 1, 3}, 2}}};
  for (const Case& c : cases) {
    const Tensor<double> x = check::normal(c.x, 1), w = check::normal(c.weight, 2),
                         b = check::normal({c.weight[0]}, 3);
    check::gradients(conv_with(c.options), {x, w, b});
    gradcheck([&](const auto& v) { return conv3d(x, v[0], b, c.options); }, {w});
    gradcheck([&](const auto& v) { return conv3d(v[0], w, {}, c.options); }, {x});
    gradcheck([&](const auto& v) { return conv3d(x, w, v[0], c.options); }, {b});
  }
}

TEST_CASE("conv3d: several tiles of rows and columns, against the definition") {
  // 17·27 = 459 and 3·343 = 1029 rows, up to 9·11·13 = 1287 columns; dx of the second in tiles, of
  // the fourth as one product, of the others as a convolution.
  struct Case {
    Shape x, weight;
    Triple stride;
  };
  const Case cases[] = {{{2, 17, 9, 11, 13}, {5, 17, 3, 3, 3}, {}},
                        {{1, 3, 9, 14, 13}, {4, 3, 7, 7, 7}, Triple::all(2)},
                        {{2, 37, 3, 25, 26}, {29, 37, 1, 3, 3}, {}},
                        {{1, 300, 3, 14, 17}, {3, 300, 1, 1, 1}, {}}};
  for (const Case& c : cases) {
    const Tensor<double> x = check::normal(c.x, 1), w = check::normal(c.weight, 2),
                         b = check::normal({c.weight[0]}, 3);
    const std::int64_t front = c.weight[2] / 2, terms = c.weight.numel() / c.weight[0];
    const Padding3d padding = Padding3d::all(front);
    const Tensor<double> expected = conv_by_definition(x, w, b, c.stride, padding);
    // Products below 25 in size, `terms` additions on either side.
    const double tolerance = 2 * 25 * static_cast<double>(terms) * 0x1p-53;
    CHECK(check::distance(conv3d(x, w, b, {c.stride, padding}), expected) < tolerance);
    // The bilinear form Σ dy·conv(x, w) is Σ dw·w and Σ dx·x: each gradient element counts once.
    for (const Tensor<double>& leaf : {x, w}) leaf.requires_grad_();
    const Tensor<double> y = conv3d(x, w, {}, {c.stride, padding}),
                         dy = check::normal(y.shape(), 4);
    y.backward(dy);
    const auto dot = [](const Tensor<double>& p, const Tensor<double>& q) {
      const auto u = p.to_vector(), v = q.to_vector();
      double sum = 0;
      for (std::size_t i = 0; i < u.size(); ++i) sum += u[i] * v[i];
      return sum;
    };
    const double form = dot(dy, y);
    const double scale = 25 * std::sqrt(static_cast<double>(terms * y.numel()));
    CHECK(std::fabs(dot(w.grad(), w) - form) < scale * 1e3 * 0x1p-53);
    CHECK(std::fabs(dot(x.grad(), x) - form) < scale * 1e3 * 0x1p-53);
  }
}

TEST_CASE("conv3d: float follows double, same bits for any thread count") {
  const Tensor<double> x = check::normal({3, 17, 5, 13, 11}, 1),
                       w = check::normal({19, 17, 3, 3, 3}, 2), b = check::normal({19}, 3);
  const Tensor<float> xf = check::cast<float>(x), wf = check::cast<float>(w),
                      bf = check::cast<float>(b);
  const Conv3dOptions options{.stride = {1, 2, 1}, .padding = Padding3d::same(), .relu = true};
  // 459 products of size about 1 (their sum about √459 = 21, below 120), each rounded on the way.
  CHECK(check::distance(conv3d(xf, wf, bf, options), conv3d(x, w, b, options)) <
        459 * 120 * 0x1p-24);
  check::any_thread_count([&] {
    const Tensor<float> p = xf.clone(), q = wf.clone(), r = bf.clone();
    for (const Tensor<float>& leaf : {p, q, r}) leaf.requires_grad_();
    const Tensor<float> y = conv3d(p, q, r, options);
    y.backward(y.detach());
    return std::vector{y, p.grad(), q.grad(), r.grad()};
  });
}

TEST_CASE("conv3d never holds the matrix of all taps") {
  // That matrix has 343 rows per channel and 8·30·30 columns: 9.9 MB for each of 12 channels, 118
  // MB. x, y, W and the gradients together take 3.7 MB, x with its padding 0.7 MB, a tile 0.5 MB.
  const auto resident = [] {
    std::ifstream file("/proc/self/statm");
    std::int64_t pages = 0;
    file >> pages >> pages;
    return pages * 4096;
  };
  const Tensor<float> x = check::cast<float>(check::normal({1, 12, 8, 30, 30}, 1));
  const Tensor<float> w = check::cast<float>(check::normal({16, 12, 7, 7, 7}, 2));
  for (const Tensor<float>& leaf : {x, w}) leaf.requires_grad_();
  for (const std::int64_t stride : {1, 2}) {
    reset_peak_memory();
    const std::int64_t current = memory_stats().current, before = resident();
    const Tensor<float> y =
        conv3d(x, w, {}, {.stride = Triple::all(stride), .padding = Padding3d::same()});
    y.backward(y.detach());
    CHECK(memory_stats().peak - current < (24 << 20));
    // What the loops keep outside the allocator stays resident for the next call.
    if (TANDEM_ALLOCATOR_KEEPS) CHECK(resident() - before < (48 << 20));
  }
}

TEST_CASE("conv3d: nothing to do, NaN, what is saved") {
  CHECK(conv3d(zeros<float>({0, 2, 3, 3, 3}), zeros<float>({4, 2, 3, 3, 3})).shape() ==
        Shape{0, 4, 1, 1, 1});
  CHECK(conv3d(zeros<float>({1, 2, 3, 3, 3}), zeros<float>({0, 2, 3, 3, 3})).shape() ==
        Shape{1, 0, 1, 1, 1});
  for (const std::int64_t kernel : {1, 3}) {
    const Tensor<float> none = zeros<float>({0, 2, 3, 3, 3});
    const Tensor<float> w = ones<float>({4, 2, kernel, kernel, kernel});
    for (const Tensor<float>& leaf : {none, w}) leaf.requires_grad_();
    const Tensor<float> y = conv3d(none, w);
    y.backward(zeros<float>(y.shape()));
    CHECK(check::same(w.grad(), zeros<float>(w.shape())));
    CHECK(none.grad().shape() == none.shape());
  }
  // No channels: the bias alone.
  CHECK(conv3d(zeros<float>({1, 0, 1, 1, 2}), zeros<float>({1, 0, 1, 1, 1}), tensor<float>({3}))
            .to_vector() == std::vector<float>{3, 3});
  const Tensor<float> nan = full<float>({1, 1, 1, 1, 1}, NAN);
  CHECK(std::isnan(conv3d(nan, ones<float>({1, 1, 1, 1, 1}), {}, {.relu = true}).item()));
  // A frozen weight saves x from being kept: changing it in place is allowed.
  const Tensor<float> x = ones<float>({1, 2, 3, 3, 3}), frozen = ones<float>({1, 2, 3, 3, 3});
  x.requires_grad_();
  const Tensor<float> y = conv3d(x, frozen);
  {
    const NoGrad no_grad;
    x.fill_(7);
  }
  y.backward(ones<float>(y.shape()));
  // Sums of ones, up to the rounding of Winograd's transforms.
  CHECK(check::distance(x.grad(), frozen) < 64 * 0x1p-24);
}

TEST_CASE("conv3d says what is wrong") {
  const Tensor<float> x = zeros<float>({1, 2, 3, 4, 5}), w = zeros<float>({4, 2, 3, 3, 3});
  CHECK(check::message([&] { conv3d(x[0], w); }) ==
        "[conv3d] expected x of shape (N, C, depth, height, width), got (2, 3, 4, 5)");
  CHECK(check::message([&] { conv3d(x, w[0]); }) ==
        "[conv3d] expected a weight of shape (out, in, depth, height, width), got (2, 3, 3, 3)");
  CHECK(check::message([&] {
          conv3d(x, zeros<float>({4, 3, 3, 3, 3}));
        }) == "[conv3d] x has 2 channels, the weight of shape (4, 3, 3, 3, 3) takes 3");
  CHECK(check::message([&] { conv3d(x, w, zeros<float>({3})); }) ==
        "[conv3d] the bias has shape (3,), expected (4,)");
  CHECK(check::message([&] {
          conv3d(x, zeros<float>({4, 2, 3, 5, 3}));
        }) == "[conv3d] the kernel's height, 5, is larger than that of x with its padding, 4");
  CHECK(check::message([&] {
          conv3d(x, zeros<float>({4, 2, 3, 0, 3}));
        }) == "[conv3d] the kernel's height must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([&] {
          conv3d(x, w, {}, {.stride = {1, 0, 1}});
        }) == "[conv3d] the stride along the height must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([&] {
          conv3d(x, w, {}, {.padding = {{0, 0}, {0, 0}, {1, -1}}});
        }) == "[conv3d] the padding along the width must be from 0 to 2^31 - 1, it is 1 and -1");
  CHECK(check::message([&] {
          conv3d(zeros<float>({1, 2, 3, 0, 5}), w);
        }) == "[conv3d] the height of x is 0: (1, 2, 3, 0, 5)");
}
