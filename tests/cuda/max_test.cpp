/// max, min, argmax and argmin: one search, one file of kernels.

#include "tandem/ops/max.hpp"

#include <limits>

#include "devices.hpp"
#include "tandem/ops/argmax.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/min.hpp"

using namespace tandem;

namespace {

/// Few different numbers, and of the floating types NaN, infinities and both zeros: many ties.
template <class T>
Tensor<T> tied(const Shape& shape, std::uint64_t seed) {
  std::vector<double> values = check::normal(shape, seed).to_vector();
  for (double& value : values) {
    value = std::round(2 * value);
    if constexpr (FloatingElement<T>) {
      if (value > 4) value = std::numeric_limits<double>::infinity();
      if (value < -4) value = std::nan("");
    } else {
      value = std::fabs(value);
    }
  }
  return check::cast<T>(from_vector<double>(values, shape));
}

template <class T>
void extremum_as_on_the_cpu(const Tensor<T>& x, std::int64_t dim, bool keepdim = false) {
  CAPTURE(x.shape());
  CAPTURE(dim);
  const Extremum<T> most = max(x, dim, keepdim), least = min(x, dim, keepdim);
  devices::each([&](Device device) {
    const Tensor<T> there = x.to(device);
    const auto equal = [](const Extremum<T>& got, const Extremum<T>& expected) {
      CHECK(check::same(got.indices.to(Device::cpu()), expected.indices));
      const std::vector<T> a = got.values.to(Device::cpu()).to_vector(),
                           b = expected.values.to_vector();
      REQUIRE(a.size() == b.size());
      for (std::size_t i = 0; i < a.size(); ++i) {
        const double u = double(a[i]), v = double(b[i]);
        CHECK((u == v || (u != u && v != v)));
        CHECK(std::signbit(u) == std::signbit(v));
      }
    };
    equal(max(there, dim, keepdim), most);
    equal(min(there, dim, keepdim), least);
    CHECK(check::same(argmax(there, dim, keepdim).to(Device::cpu()), most.indices));
    CHECK(check::same(argmin(there, dim, keepdim).to(Device::cpu()), least.indices));
  });
}

}  // namespace

TEST_CASE("max, min, argmax, argmin: the CPU's values and places on every device, every size") {
  for (const std::int64_t n : devices::sizes) {
    extremum_as_on_the_cpu(tied<float>({5, n}, 1), 1);
    extremum_as_on_the_cpu(tied<float>({n, 7}, 2), 0);
    extremum_as_on_the_cpu(check::cast<float>(devices::normal({5, n}, 3)), 1);
  }
  for (const std::int64_t dim : {0, 1, 2, -1}) {
    for (const bool keepdim : {false, true}) {
      extremum_as_on_the_cpu(tied<float>({5, 9, 7}, 4), dim, keepdim);
      extremum_as_on_the_cpu(tied<double>({5, 9, 7}, 5), dim, keepdim);
      extremum_as_on_the_cpu(tied<bfloat16>({5, 9, 7}, 6), dim, keepdim);
      extremum_as_on_the_cpu(check::cast<std::int64_t>(devices::normal({5, 9, 7}, 7) * 3), dim,
                             keepdim);
      extremum_as_on_the_cpu(tied<std::int32_t>({5, 9, 7}, 8), dim, keepdim);
      extremum_as_on_the_cpu(tied<std::uint8_t>({5, 9, 7}, 9), dim, keepdim);
    }
    extremum_as_on_the_cpu(tied<float>({5, 9, 7}, 10).transpose(0, 2), dim);
  }
  // More columns than three blocks have threads; extremes of integers.
  extremum_as_on_the_cpu(tied<float>({3, 4, 201}, 11), 1);
  extremum_as_on_the_cpu(tensor<std::int64_t>({std::numeric_limits<std::int64_t>::max(),
                                               std::numeric_limits<std::int64_t>::min(),
                                               std::numeric_limits<std::int64_t>::max() - 1}),
                         0);
}

TEST_CASE("max, min: long rows in slices, ties and NaN in other slices than the first") {
  for (const std::int64_t n : {4097, 20001}) {
    Tensor<float> x = check::cast<float>(devices::normal({3, n}, 12));
    x.set({0, n - 1}, NAN);
    x.set({0, n / 2}, NAN);
    for (const std::int64_t i : {n - 1, n - 2, n / 3}) {
      x.set({1, i}, 10);
      x.set({2, i}, -10);
    }
    extremum_as_on_the_cpu(x, 1);
    devices::each([&](Device device) {
      const Tensor<float> there = x.to(device);
      CHECK(std::isnan(max(there).item()));
      CHECK(max(there.slice(0, 1, 3)).item() == 10);
      CHECK(min(there.slice(0, 1, 3)).item() == -10);
    });
  }
}

TEST_CASE("max, min: gradients on every device, along every dimension; nothing to choose from") {
  // Values far apart, so that the step of the difference quotient changes no order.
  const Tensor<double> x(Shape{3, 5, 7});
  for (std::int64_t i = 0; i < x.numel(); ++i)
    x.mutable_data()[i] = static_cast<double>(i * 89 % 311) / 50 - 3;
  devices::each([&](Device device) {
    for (const std::int64_t dim : {0, 1, -1}) {
      devices::gradients(device, [dim](const auto& v) { return max(v[0], dim).values; }, {x});
      devices::gradients(device, [dim](const auto& v) { return min(v[0], dim, true).values; }, {x});
    }
    devices::gradients(device, [](const auto& v) { return max(v[0]); }, {x});
    const auto scattered = [&]<class T>(T, std::int64_t dim) {
      const auto gradient = [&](Device where) {
        Tensor<T> leaf = tied<T>({5, 9, 101}, 13).to(where);
        leaf.requires_grad_();
        const Tensor<T> y = max(leaf, dim).values;
        y.backward(check::cast<T>(devices::normal(y.shape(), 14)).to(where));
        return leaf.grad().to(Device::cpu());
      };
      CHECK(check::same(gradient(device), gradient(Device::cpu())));
    };
    for (const std::int64_t dim : {0, 1, 2}) {
      scattered(float(), dim);
      scattered(bfloat16(), dim);
    }
    CHECK(max(zeros<float>({0, 3}, device), 1).values.shape() == Shape{0});
    CHECK(argmin(zeros<float>({3, 0}, device), 0).shape() == Shape{0});
    CHECK(check::message([&] {
            max(zeros<float>({2, 0}, device), 1);
          }) == "[max] dimension 1 of shape (2, 0) is empty: there is nothing to choose from");
  });
}
