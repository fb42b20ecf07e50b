#include "tandem/ops/topk.hpp"

#include <limits>

#include "devices.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/gather.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

/// Few different numbers, NaN, infinities and both zeros among them: many ties.
template <class T>
Tensor<T> with_ties(const Shape& shape, std::uint64_t seed) {
  std::vector<double> values = check::normal(shape, seed).to_vector();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = std::round(2 * values[i]);  // −0 too
    values[i] = x > 3 ? std::numeric_limits<double>::infinity() : x < -3 ? std::nan("") : x;
  }
  return check::cast<T>(from_vector<double>(values, shape));
}

template <class T>
void as_on_the_cpu(const Tensor<T>& x, std::int64_t k, std::int64_t dim, bool largest) {
  CAPTURE(x.shape());
  CAPTURE(k);
  const TopK<T> expected = topk(x, k, dim, largest);
  devices::each([&](Device device) {
    const TopK<T> got = topk(x.to(device), k, dim, largest);
    CHECK(check::same(got.values.to(Device::cpu()), expected.values));
    CHECK(check::same(got.indices.to(Device::cpu()), expected.indices));
    const std::vector<T> a = got.values.to(Device::cpu()).to_vector(),
                         b = expected.values.to_vector();
    for (std::size_t i = 0; i < a.size(); ++i)
      CHECK(std::signbit(double(a[i])) == std::signbit(double(b[i])));
  });
}

}  // namespace

TEST_CASE("topk: the CPU's values and places on every device, every size, ties and NaN") {
  for (const std::int64_t n : {1, 2, 31, 33, 64, 257, 1031}) {
    for (const std::int64_t k : {std::int64_t{0}, std::int64_t{1}, (n + 7) / 8, n}) {
      as_on_the_cpu(with_ties<float>({2, n}, 1), k, 1, k % 2 == 0);
      as_on_the_cpu(check::cast<float>(devices::normal({2, n}, 2)), k, 1, true);
    }
  }
  for (const std::int64_t dim : {0, 1, 2}) {
    for (const bool largest : {false, true}) {
      as_on_the_cpu(with_ties<float>({5, 9, 7}, 3), 4, dim, largest);
      as_on_the_cpu(with_ties<double>({5, 9, 7}, 4), 4, dim, largest);
      as_on_the_cpu(with_ties<bfloat16>({5, 9, 7}, 5), 4, dim, largest);
      as_on_the_cpu(check::cast<std::int64_t>(devices::normal({5, 9, 7}, 6) * 3), 4, dim, largest);
      as_on_the_cpu(check::cast<std::int32_t>(devices::normal({5, 9, 7}, 7) * 3), 4, dim, largest);
    }
  }
}

TEST_CASE("topk: columns that are too long for shared memory") {
  const Tensor<float> x = with_ties<float>({4099, 3}, 7);
  const TopK<float> expected = topk(x, 513, 0);
  for (int order : {0, 2}) {
    backend::set_order(order);
    const TopK<float> got = topk(x.to(Device::cuda()), 513, 0);
    CHECK(check::same(got.indices.to(Device::cpu()), expected.indices));
  }
  backend::set_order(0);
}

TEST_CASE("topk: gradients on every device, along every dimension; nothing to choose from") {
  devices::each([](Device device) {
    for (const std::int64_t dim : {0, 1, -1}) {
      devices::gradients(device, [dim](const auto& x) { return topk(x[0], 2, dim).values; },
                         {check::normal({2, 5, 3}, 8)});
    }
    // More gradients than three blocks have threads.
    Tensor<float> many = check::cast<float>(check::normal({5, 9, 101}, 10)).to(device);
    many.requires_grad_();
    topk(many, 2, 1).values.backward(full<float>({5, 2, 101}, 3, device));
    CHECK(sum(many.grad().to(Device::cpu())).item() == 3 * 5 * 2 * 101);
    CHECK(check::same(topk(many.detach(), 2, 1).values.to(Device::cpu()) * 0 + 3,
                      gather(many.grad(), 1, topk(many.detach(), 2, 1).indices).to(Device::cpu())));
    Tensor<bfloat16> x = check::cast<bfloat16>(check::normal({5}, 9)).to(device);
    x.requires_grad_();
    topk(x, 5).values.backward(ones<bfloat16>({5}, device));
    CHECK(check::same(x.grad().to(Device::cpu()), ones<bfloat16>({5})));
    CHECK(topk(zeros<float>({0, 3}, device), 2).values.shape() == Shape{0, 2});
    CHECK(topk(zeros<float>({3, 0}, device), 0).indices.shape() == Shape{3, 0});
  });
}
