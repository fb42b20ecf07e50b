#include "tandem/ops/max_pool3d.hpp"

#include "golden.hpp"
#include "tandem/ops/pad.hpp"

using namespace tandem;

namespace {

auto max_pool_with(const MaxPool3dOptions& options) {
  return [options](const std::vector<Tensor<double>>& v) { return max_pool3d(v[0], options); };
}

const MaxPool3dOptions zero_same{.kernel = Triple::all(3),
                                 .stride = {2, 2, 1},
                                 .padding = Padding3d::same(),
                                 .padding_value = 0};

/// Values from {−1, 0, 1} and sometimes NaN: ties everywhere.
template <class T>
Tensor<T> coarse_values(const Shape& shape, bool nan) {
  const Tensor<double> normal = check::normal(shape, 5);
  const Tensor<T> x(shape);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const double v = normal.data()[i];
    x.mutable_data()[i] = nan && v > 1.2 ? static_cast<T>(NAN)
                                         : static_cast<T>(v < -0.5  ? -1
                                                          : v < 0.5 ? 0
                                                                    : 1);
  }
  return x;
}

/// y and dx of an unpadded pool by the definition: the first of equals in order, the first NaN
/// before all.
template <class T>
std::pair<Tensor<T>, Tensor<T>> max_pool_by_definition(const Tensor<T>& x, const Triple& kernel,
                                                       const Triple& stride, const Tensor<T>& dy) {
  const Tensor<T> y(dy.shape()), dx = zeros<T>(x.shape());
  const Shape& out = dy.shape();
  for (std::int64_t i = 0; i < dy.numel(); ++i) {
    const std::int64_t plane = i / (out[2] * out[3] * out[4]), n = plane / out[1],
                       c = plane % out[1];
    const std::int64_t o[3] = {i / (out[3] * out[4]) % out[2], i / out[4] % out[3], i % out[4]};
    T best{};
    std::int64_t at[3] = {-1, -1, -1};
    for (std::int64_t k = 0; k < kernel[0] * kernel[1] * kernel[2]; ++k) {
      const std::int64_t q[3] = {o[0] * stride[0] + k / (kernel[1] * kernel[2]),
                                 o[1] * stride[1] + k / kernel[2] % kernel[1],
                                 o[2] * stride[2] + k % kernel[2]};
      const T v = x.at({n, c, q[0], q[1], q[2]});
      if (at[0] < 0 || v > best || (std::isnan(v) && !std::isnan(best))) {
        best = v;
        for (int a = 0; a < 3; ++a) at[a] = q[a];
      }
    }
    y.mutable_data()[i] = best;
    dx.set({n, c, at[0], at[1], at[2]}, dx.at({n, c, at[0], at[1], at[2]}) + dy.data()[i]);
  }
  return {y, dx};
}

}  // namespace

TEST_CASE("max_pool3d agrees with PyTorch") {
  golden::compare("max_pool3d.valid", {"x"}, max_pool_with({.kernel = Triple::all(2)}));
  golden::compare(
      "max_pool3d.infinite", {"x"},
      max_pool_with({.kernel = Triple::all(3), .stride = {1, 2, 1}, .padding = Padding3d::all(1)}));
  golden::compare("max_pool3d.same_zero", {"x"}, max_pool_with(zero_same));
  golden::compare("max_pool3d.same_133", {"x"},
                  max_pool_with({{1, 3, 3}, {1, 2, 2}, Padding3d::same(), 0}));
}

TEST_CASE("max_pool3d: gradients, odd shapes, in every layout") {
  for (const std::int64_t n : {1, 3, 7, 33}) {
    const Tensor<double> x = check::normal({2, 1, 3, 2, n}, 1);
    check::gradients(max_pool_with(zero_same), {x});
    check::gradients(max_pool_with({.kernel = {3, 2, 1}, .padding = {{1, 2}, {0, 1}, {0, 0}}}),
                     {x});
    check::gradients(max_pool_with({.kernel = {1, 2, 1}, .stride = {2, 1, 3}}), {x});
    check::gradients(
        max_pool_with({.kernel = {2, 1, n}, .stride = {1, 1, 1}, .padding = Padding3d::same()}),
        {x});
  }
}

TEST_CASE_TEMPLATE(
    "max_pool3d: the first of equals and the first NaN win, padding counts in its place", T, float,
    double) {
  struct Case {
    Triple kernel, stride;
    std::vector<Margin> margins;
  };
  const Case cases[] = {{{2, 3, 2}, {1, 1, 1}, {{}, {}, {}, {}, {}}},
                        {{3, 3, 3}, {1, 2, 2}, {{}, {}, {1, 1}, {2, 0}, {0, 2}}},
                        {{2, 2, 3}, {2, 1, 1}, {{}, {}, {0, 1}, {0, 1}, {2, 2}}},
                        {{2, 2, 3}, {1, 1, 1}, {{}, {}, {0, 1}, {0, 0}, {0, 0}}}};
  for (const bool nan : {false, true}) {
    for (const Case& c : cases) {
      for (const double value : {0.0, 1.0}) {
        const Tensor<T> x = coarse_values<T>({2, 2, 4, 5, 37}, nan);
        const MaxPool3dOptions options{
            c.kernel, c.stride, {c.margins[2], c.margins[3], c.margins[4]}, value};
        const Tensor<T> plain = max_pool3d(x, options);
        x.requires_grad_();
        const Tensor<T> y = max_pool3d(x, options);
        const Tensor<T> dy = check::cast<T>(check::normal(y.shape(), 6));
        y.backward(dy);
        const auto [expected, padded] =
            max_pool_by_definition(pad(x.detach(), c.margins, value), c.kernel, c.stride, dy);
        CHECK(check::same(y.detach(), expected));
        CHECK(check::same(plain, expected));
        Tensor<T> dx = padded;
        for (int d = 2; d < 5; ++d) {
          const std::int64_t before = c.margins[static_cast<std::size_t>(d)].before;
          dx = dx.slice(d, before, before + x.size(d));
        }
        CHECK(check::same(x.grad(), dx.contiguous()));
      }
    }
  }
}

TEST_CASE("max_pool3d: −∞ loses ties against elements; the same bits for any thread count") {
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor<float> x = full<float>({1, 1, 2, 2, 2}, -infinity);
  x.requires_grad_();
  const Tensor<float> y = max_pool3d(x, {.kernel = Triple::all(2), .padding = Padding3d::all(1)});
  CHECK(check::same(y.detach(), full<float>({1, 1, 2, 2, 2}, -infinity)));
  y.backward(ones<float>(y.shape()));
  CHECK(check::same(x.grad(), ones<float>(x.shape())));
  check::any_thread_count([] {
    const Tensor<float> leaf = check::cast<float>(check::normal({4, 5, 6, 17, 23}, 2));
    leaf.requires_grad_();
    const Tensor<float> out =
        max_pool3d(leaf, {.kernel = Triple::all(3), .stride = Triple::all(1)});
    out.backward(out.detach());
    return std::vector{out.detach(), leaf.grad()};
  });
  CHECK(max_pool3d(zeros<float>({0, 2, 3, 3, 3}), {.kernel = Triple::all(2)}).shape() ==
        Shape{0, 2, 1, 1, 1});
  // Kernels far larger than x end at once.
  const std::int64_t far = (std::int64_t{1} << 31) - 1;
  CHECK(
      max_pool3d(ones<float>({1, 1, 1, 1, 2}), {{far, far, 2}, {far, far, 1}, Padding3d::same(), 0})
          .to_vector() == std::vector<float>{1, 1});
}

TEST_CASE("max_pool3d says what is wrong") {
  const Tensor<float> x = zeros<float>({1, 2, 3, 4, 5});
  CHECK(check::message([&] { max_pool3d(x[0], {.kernel = {}}); }) ==
        "[max_pool3d] expected x of shape (N, C, depth, height, width), got (2, 3, 4, 5)");
  CHECK(check::message([&] {
          max_pool3d(x, {.kernel = {4, 1, 1}});
        }) == "[max_pool3d] the kernel's depth, 4, is larger than that of x with its padding, 3");
  CHECK(check::message(
            [&] { max_pool3d(x, {.kernel = Triple::all(2), .padding = Padding3d::all(2)}); }) ==
        "[max_pool3d] the padding along the depth, 2 and 2, must be smaller than the kernel, 2");
  CHECK(check::message([&] { max_pool3d(x, {.kernel = {}, .padding_value = NAN}); }) ==
        "[max_pool3d] the padding value is NaN");
}
