#include "tandem/ops/cumsum.hpp"

#include <limits>

#include "devices.hpp"
#include "tandem/ops/arithmetic.hpp"

using namespace tandem;

namespace {

template <class T>
Tensor<T> running(Device device, const Tensor<T>& x, std::int64_t dim) {
  return cumsum(x.to(device), dim).to(Device::cpu());
}
/// The gradient for cotangents of few bits, whose sums are exact.
template <class T>
Tensor<T> cumsum_gradient(Device device, const Shape& shape, std::int64_t dim) {
  Tensor<T> x = zeros<T>(shape, device);
  x.requires_grad_();
  cumsum(x, dim).backward(
      check::cast<T>(check::cast<std::int64_t>(devices::normal(shape, 7) * 2)).to(device));
  return x.grad().to(Device::cpu());
}

}  // namespace

TEST_CASE("cumsum: float follows double on every device, every size, rows and columns") {
  std::vector<std::int64_t> sizes = devices::sizes;
  for (const std::int64_t n : {128, 129, 256, 4099}) sizes.push_back(n);
  for (const std::int64_t n : sizes) {
    for (const std::int64_t dim : {0, 1}) {
      CAPTURE(n);
      CAPTURE(dim);
      const Tensor<double> x = devices::normal(dim == 1 ? Shape{5, n} : Shape{n, 7}, 1);
      double largest = 5;  // of the sums of x and of dy
      for (const std::uint64_t seed : {1U, 99U}) {
        for (const bool from_end : {false, true}) {
          const Tensor<double> rows =
              dim == 1 ? devices::normal({5, n}, seed)
                       : devices::normal({n, 7}, seed).transpose(0, 1).contiguous();
          for (std::int64_t r = 0; r < rows.size(0); ++r) {
            double sum = 0;
            for (std::int64_t i = 0; i < n; ++i) {
              sum += rows.data()[r * n + (from_end ? n - 1 - i : i)];
              largest = std::fmax(largest, std::fabs(sum));
            }
          }
        }
      }
      devices::each([&](Device device) {
        // Sums in double, rounded once.
        devices::float_follows_double(
            device, [dim](const auto& v) { return cumsum(v[0], dim); }, {x},
            1.0001 * largest * devices::float_eps);
      });
    }
  }
}

TEST_CASE("cumsum: exact sums have the CPU's bits, of every type, in both directions") {
  for (const std::int64_t dim : {0, 1, 2, -1}) {
    const Tensor<double> x = devices::normal({3, 131, 5}, 2) * 3,
                         y = devices::normal({7, 3, 261}, 3);
    const auto equal = [&]<class T>(T) {
      for (const Tensor<double>& numbers : {x, y}) {
        const Tensor<T> in = check::cast<T>(check::cast<std::int64_t>(numbers));
        const Tensor<T> expected = cumsum(in, dim);
        devices::each([&](Device device) {
          CHECK(check::same(running(device, in, dim), expected));
          CHECK(check::same(running(device, in.transpose(0, 2), dim),
                            cumsum(in.transpose(0, 2).contiguous(), dim)));
        });
      }
    };
    equal(float());
    equal(double());
    equal(bfloat16());
    equal(std::int64_t());
    equal(std::int32_t());
    equal(std::uint8_t());  // sums of numbers modulo 256
    devices::each([&](Device device) {
      const auto backward = [&]<class T>(T) {
        for (const Shape& shape : {Shape{3, 131, 5}, Shape{7, 3, 261}}) {
          CHECK(check::same(cumsum_gradient<T>(device, shape, dim),
                            cumsum_gradient<T>(Device::cpu(), shape, dim)));
        }
      };
      backward(float());
      backward(bfloat16());
    });
  }
}

TEST_CASE("cumsum: gradients on every device, along every dimension; more columns than threads") {
  devices::each([](Device device) {
    for (const std::int64_t dim : {0, 1, -1}) {
      devices::gradients(device, [dim](const auto& x) { return cumsum(x[0], dim); },
                         {check::normal({3, 5, 7}, 4)});
    }
    CHECK(cumsum(zeros<float>({0, 3}, device), 0).shape() == Shape{0, 3});
    CHECK(cumsum(zeros<float>({3, 0}, device), 1).shape() == Shape{3, 0});
    CHECK(cumsum(zeros<float>({0, 3}, device), 1).shape() == Shape{0, 3});
    const Tensor<double> many = devices::normal({2, 3, 401}, 5),
                         rows = devices::normal({401, 3}, 6);
    CHECK(check::same(running(device, many, 1), cumsum(many, 1)));  // added as the CPU does
    CHECK(check::distance(running(device, rows, 1), cumsum(rows, 1)) <= 2 * 15 * 0x1p-53);
  });
}

TEST_CASE("cumsum: infinities and NaN reach what comes after them, and nothing else") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  Tensor<float> x = ones<float>({4, 300});
  x.set({0, 130}, NAN);
  x.set({1, 40}, inf);
  x.set({2, 7}, -inf);
  x.set({2, 290}, inf);
  x.set({3, 299}, 3e38F);
  for (const Tensor<float>& in : {x, x.transpose(0, 1).contiguous()}) {
    const std::int64_t dim = in.size(0) == 4 ? 1 : 0;
    const Tensor<float> expected = cumsum(in, dim);
    devices::each([&](Device device) { CHECK(check::same(running(device, in, dim), expected)); });
  }
}

TEST_CASE("cumsum: the same bits in any order of the threads") {
  for (const Shape& shape : {Shape{9, 31}, Shape{9, 1031}, Shape{257, 9}}) {
    for (const std::int64_t dim : {0, 1}) {
      devices::same_in_every_order([&](Device device) {
        Tensor<float> x = check::cast<float>(devices::normal(shape, 8)).to(device);
        x.requires_grad_();
        const Tensor<float> y = cumsum(x, dim);
        y.backward(check::cast<float>(devices::normal(shape, 9)).to(device));
        return std::vector{y.detach(), x.grad()};
      });
    }
  }
}
