#include "tandem/ops/matmul.hpp"

#include <algorithm>
#include <cmath>

#include "devices.hpp"
#include "tandem/ops/linear.hpp"

using namespace tandem;

namespace {
const auto product = [](const auto& x) { return matmul(x[0], x[1]); };

/// How the factors of a product are rounded: to float, to `bits` bits of fraction, or to bfloat16.
double as_factor(double x, Precision precision) {
  if (precision == Precision::bfloat16) return static_cast<double>(bfloat16(x));
  return x;
}
/// Elements of `got` (on any device) against those of a·b, a (m, k) and b (k, n) rounded as said:
/// sums of k products add k float roundings of their absolute terms, one more for a bias; `more` of
/// these terms is allowed on top. Returns how many elements are farther off than that.
std::int64_t outside(const Tensor<float>& got, const Tensor<double>& a, const Tensor<double>& b,
                     Precision precision, double more = 0) {
  const Tensor<float> here = got.to(Device::cpu());
  const std::int64_t m = a.size(0), k = a.size(1), n = b.size(1);
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0, size = 0;
      for (std::int64_t l = 0; l < k; ++l) {
        const double term = as_factor(a.at({i, l}), precision) * as_factor(b.at({l, j}), precision);
        sum += term;
        size += std::fabs(term);
      }
      const double bound = (static_cast<double>(k + 1) * devices::float_eps + more) * size;
      count += !(std::fabs(static_cast<double>(here.at({i, j})) - sum) <= bound);
    }
  }
  return count;
}
}  // namespace

TEST_CASE("matmul: float follows double on every device, odd sizes") {
  const std::vector<std::vector<std::int64_t>> shapes = {{1, 1, 1},    {31, 33, 77}, {33, 31, 1},
                                                         {1, 77, 197}, {197, 2, 31}, {64, 64, 64}};
  for (const auto& s : shapes) {
    const std::int64_t m = s[0], n = s[1], k = s[2];
    CAPTURE(m);
    CAPTURE(n);
    CAPTURE(k);
    const Tensor<double> a = devices::normal({m, k}, 1), b = devices::normal({k, n}, 2);
    devices::each([&](Device device) {
      // Each entry adds at most max(m, n, k) products of |a|, |b|, |dc| < 5, one rounding each of a
      // partial sum whose absolute terms average under 1.
      const double terms = static_cast<double>(std::max({m, n, k})) + 1;
      devices::float_follows_double(device, product, {a, b},
                                    terms * terms * 2 * devices::float_eps);
    });
  }
}

TEST_CASE(
    "matmul: gradients on every device, batches, broadcasting, transposed and strided operands") {
  devices::each([](Device device) {
    devices::gradients(device, product, {check::normal({3, 5}, 1), check::normal({5, 7}, 2)});
    devices::gradients(device, product, {check::normal({2, 3, 5}, 1), check::normal({2, 5, 4}, 2)});
    devices::gradients(device, product, {check::normal({2, 3, 5}, 1), check::normal({5, 4}, 2)});
    devices::gradients(device, product, {check::normal({3, 5}, 1), check::normal({2, 5, 4}, 2)});
    devices::gradients(device, product,
                       {check::normal({2, 1, 3, 5}, 1), check::normal({3, 5, 4}, 2)});
    devices::gradients(device, product, {check::normal({5}, 1), check::normal({5, 4}, 2)});
    devices::gradients(device, product, {check::normal({3, 5}, 1), check::normal({5}, 2)});
    devices::gradients(
        device,
        [](const auto& x) { return matmul(x[0].transpose(-1, -2), x[1].transpose(-1, -2)); },
        {check::normal({2, 5, 3}, 1), check::normal({2, 4, 5}, 2)});
  });
}

TEST_CASE("matmul: empty dimensions on every device") {
  devices::each([](Device device) {
    CHECK(matmul(zeros<float>({0, 3}, device), zeros<float>({3, 2}, device)).shape() ==
          Shape{0, 2});
    CHECK(matmul(zeros<float>({2, 3}, device), zeros<float>({3, 0}, device)).shape() ==
          Shape{2, 0});
    CHECK(check::same(matmul(zeros<float>({2, 0}, device), zeros<float>({0, 3}, device)),
                      zeros<float>({2, 3})));
  });
}

TEST_CASE("linear: every combination of bias, residual and activation") {
  const Tensor<double> x = devices::normal({2, 3, 7}, 1), w = devices::normal({5, 7}, 2),
                       b = devices::normal({5}, 3), r = devices::normal({2, 3, 5}, 4);
  devices::each([&](Device device) {
    for (const Activation activation :
         {Activation::none, Activation::relu, Activation::gelu, Activation::quick_gelu}) {
      const auto with = [&](const std::vector<Tensor<double>>& inputs, int bias, int residual) {
        const auto f = [=](const auto& v) {
          using X = std::decay_t<decltype(v[0])>;
          return linear(v[0], v[1], bias > 0 ? v[static_cast<std::size_t>(bias)] : X(), activation,
                        residual > 0 ? v[static_cast<std::size_t>(residual)] : X());
        };
        devices::gradients(device, f, inputs);
        // Sums of 7 (forward) or 6 (weights) products; the activation adds 8 roundings. |values| <
        // 50.
        devices::float_follows_double(device, f, inputs, 20 * 50 * devices::float_eps);
      };
      with({x, w}, 0, 0);
      with({x, w, b}, 2, 0);
      with({x, w, r}, 0, 2);
      with({x, w, b, r}, 2, 3);
    }
    CHECK(check::same(linear(zeros<float>({2, 0}, device), zeros<float>({3, 0}, device)),
                      zeros<float>({2, 3})));
    CHECK(linear(zeros<float>({0, 4}, device), zeros<float>({3, 4}, device)).shape() ==
          Shape{0, 3});
  });
}

TEST_CASE("matmul: more matrices than a grid has room for, repeated operands") {
  const Tensor<float> a = ones<float>({65537, 1, 2}), b = tensor<float>({{2}, {3}});
  devices::each([&](Device device) {
    const Tensor<float> left = a.to(device), right = b.to(device).expand({65537, 2, 1});
    CHECK(check::same(matmul(left, right).to(Device::cpu()), full<float>({65537, 1, 1}, 5.0F)));
  });
}

TEST_CASE("matmul of bfloat16: exact products, float sums, gradients, on every device") {
  const Tensor<double> x = check::cast<double>(
                           check::cast<bfloat16>(devices::normal({3, 5, 33}, 7))),
                       w = check::cast<double>(check::cast<bfloat16>(devices::normal({33, 7}, 8)));
  const auto run = [&]<class T>(Device device, T) {
    Tensor<T> a = check::cast<T>(x).to(device), b = check::cast<T>(w).to(device);
    a.requires_grad_();
    b.requires_grad_();
    const auto y = matmul(a, b);
    y.backward(ones<detail::compute_t<T>>(y.shape(), device));
    return std::vector{check::cast<double>(y.detach().to(Device::cpu())),
                       check::cast<double>(a.grad().to(Device::cpu())),
                       check::cast<double>(b.grad().to(Device::cpu()))};
  };
  const auto exact = run(Device::cpu(), double());
  devices::each([&](Device device) {
    const auto got = run(device, bfloat16());
    // 33 terms below 25 in float; gradients are sums of 7 or 15 numbers below 5, rounded to
    // bfloat16.
    CHECK(check::distance(got[0], exact[0]) <= 33 * 33 * 25 * devices::float_eps);
    CHECK(check::distance(got[1], exact[1]) <= 7 * 5 * 0x1.1p-9);
    CHECK(check::distance(got[2], exact[2]) <= 15 * 5 * 0x1.1p-9);
  });
}

TEST_CASE("linear: full is float, bfloat16 rounds the factors, tf32 does so on a GPU") {
  const Tensor<double> x = devices::normal({21, 33}, 1), dy = devices::normal({21, 29}, 4);
  for (const bool turned : {false, true}) {
    const Tensor<double> w = devices::normal({29, 33}, 2),
                         stored = turned ? w.transpose(0, 1).contiguous() : w;
    devices::each([&](Device device) {
      const auto run = [&](Precision precision) {
        std::vector<Tensor<float>> leaves;
        for (const Tensor<double>& input : {x, stored}) {
          leaves.push_back(check::cast<float>(input).to(device));
          leaves.back().requires_grad_();
        }
        Tensor<float> y;
        {
          const PrecisionScope products(precision);
          y = linear(leaves[0], turned ? leaves[1].transpose(0, 1) : leaves[1]);
        }
        y.backward(check::cast<float>(dy).to(device));  // outside the scope: as the forward
        const Tensor<float> dw = leaves[1].grad();
        return std::vector{y.detach(), leaves[0].grad(),
                           (turned ? dw.transpose(0, 1) : dw).contiguous()};
      };
      const Tensor<double> wt = w.transpose(0, 1).contiguous(),
                           dyt = dy.transpose(0, 1).contiguous();
      for (const Precision precision : {Precision::full, Precision::bfloat16}) {
        CAPTURE(static_cast<int>(precision));
        const auto got = run(precision);
        CHECK(outside(got[0], x, wt, precision) == 0);
        CHECK(outside(got[1], dy, w, precision) == 0);
        CHECK(outside(got[2], dyt, x, precision) == 0);
        const Precision other =
            precision == Precision::full ? Precision::bfloat16 : Precision::full;
        CHECK(outside(got[0], x, wt, other) > 0);
        CHECK(outside(got[1], dy, w, other) > 0);
        CHECK(outside(got[2], dyt, x, other) > 0);
      }
      // Two factors with 10 bits of fraction: (1 + 2⁻¹¹)² − 1
      const auto got = run(Precision::tf32), exact = run(Precision::full);
      CHECK(outside(got[0], x, wt, Precision::full, 0x1.01p-10) == 0);
      CHECK(outside(got[1], dy, w, Precision::full, 0x1.01p-10) == 0);
      CHECK(outside(got[2], dyt, x, Precision::full, 0x1.01p-10) == 0);
      for (std::size_t i = 0; i < 3; ++i) {
        // On a GPU they may be float's too: cuBLASLt chooses by sizes and alignments.
        if (device.is_cpu()) CHECK(check::same(got[i], exact[i]));
      }
    });
  }
}

TEST_CASE("linear: a bias beside any width, rounded or not, is added once") {
  for (const std::int64_t out : {1, 3, 4, 29}) {  // the executor's cuBLAS takes it from 4 on
    const Tensor<float> bias = check::cast<float>(devices::normal({out}, 3));
    devices::each([&](Device device) {
      for (const Precision precision : {Precision::full, Precision::tf32, Precision::bfloat16}) {
        const PrecisionScope products(precision);
        for (const std::int64_t in : {0, 7}) {  // factors of zeros: the bias alone is left
          const Tensor<float> y =
              linear(zeros<float>({5, in}, device), ones<float>({out, in}, device), bias.to(device))
                  .to(Device::cpu());
          for (std::int64_t i = 0; i < 5; ++i) CHECK(check::same(y[i].contiguous(), bias));
        }
      }
    });
  }
}
