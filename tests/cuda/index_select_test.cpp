#include "tandem/ops/index_select.hpp"

#include "devices.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/embedding.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

/// m ids below n, with many repeats: among the few, in the tail of a tile, and of one id only.
Tensor<std::int64_t> some_ids(std::int64_t m, std::int64_t n, std::uint64_t seed) {
  Generator random(seed);
  return randint<std::int64_t>({m}, 0, n, random);
}

/// y and dx of index_select along dim 1 of x (outer, n, inner).
template <class T>
std::vector<Tensor<T>> run(Device device, std::int64_t outer, std::int64_t n, std::int64_t inner,
                           const Tensor<std::int64_t>& ids) {
  Tensor<T> x = check::cast<T>(devices::normal({outer, n, inner}, 1)).to(device);
  x.requires_grad_();
  const Tensor<T> y = index_select(x, 1, ids.to(device));
  y.backward(check::cast<T>(devices::normal({outer, ids.numel(), inner}, 2)).to(device));
  return {y.detach(), x.grad()};
}

template <class T>
void the_bits_of_the_cpu(std::int64_t outer, std::int64_t n, std::int64_t inner,
                         const Tensor<std::int64_t>& ids) {
  CAPTURE(outer);
  CAPTURE(n);
  CAPTURE(inner);
  CAPTURE(ids.numel());
  const auto expected = run<T>(Device::cpu(), outer, n, inner, ids);
  devices::each([&](Device device) {
    const auto got = run<T>(device, outer, n, inner, ids);
    for (std::size_t i = 0; i < 2; ++i) {
      CHECK(got[i].device() == device);
      CHECK(check::same(got[i].to(Device::cpu()), expected[i]));
    }
  });
}

}  // namespace

TEST_CASE(
    "index_select: the CPU's bits on every device, values and gradients, any size and repeats") {
  for (const std::int64_t n : {1, 31, 33, 77}) {
    for (const std::int64_t m : {1, 255, 257, 600}) {
      the_bits_of_the_cpu<float>(1, n, 5, some_ids(m, n, 3));
      the_bits_of_the_cpu<float>(3, n, 1, some_ids(m, n, 4));
    }
  }
  the_bits_of_the_cpu<float>(2, 35, 130, some_ids(300, 35, 5));
  the_bits_of_the_cpu<float>(1, 40, 300, full<std::int64_t>({513}, 39));  // one row gets all
  the_bits_of_the_cpu<float>(1, 40, 8, some_ids(9, 40, 6));
  the_bits_of_the_cpu<float>(1, 5, 1100, some_ids(7, 5, 10));  // rows of more packs than a block
  the_bits_of_the_cpu<float>(1, 5, 1027, some_ids(7, 5, 11));  // and of more elements
  the_bits_of_the_cpu<float>(200, 3, 1, some_ids(5, 3, 12));   // many outer rows
  the_bits_of_the_cpu<float>(1, 300, 2, some_ids(290, 300, 13));
  the_bits_of_the_cpu<double>(3, 33, 7, some_ids(270, 33, 7));
  the_bits_of_the_cpu<double>(3, 33, 4, some_ids(270, 33, 7));
  the_bits_of_the_cpu<bfloat16>(3, 33, 7, some_ids(270, 33, 8));
  the_bits_of_the_cpu<bfloat16>(1, 33, 16, some_ids(270, 33, 9));
}

TEST_CASE("index_select: gradients on every device, along every dimension; nothing to select") {
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({1, 0, 1});
  devices::each([&](Device device) {
    for (const std::int64_t dim : {0, 1, -1}) {
      devices::gradients(device,
                         [&](const auto& x) { return index_select(x[0], dim, ids.to(device)); },
                         {check::normal({2, 3, 5}, 1)});
    }
    const Tensor<float> x = ones<float>({2, 3}, device);
    CHECK(index_select(x, 0, zeros<std::int64_t>({0}, device)).shape() == Shape{0, 3});
    CHECK(index_select(zeros<float>({2, 0}, device), 0, zeros<std::int64_t>({3}, device)).shape() ==
          Shape{3, 0});
  });
}

TEST_CASE("index_select: every element type on a device") {
  const auto test = []<class T>(T) {
    for (const std::int64_t inner : {3, 16}) {
      const Tensor<T> x =
          check::cast<T>(check::cast<std::int64_t>(check::normal({5, inner}, 1) * 2));
      const Tensor<std::int64_t> ids = tensor<std::int64_t>({4, 0, 4});
      CHECK(check::same(
          index_select(x.to(Device::cuda()), 0, ids.to(Device::cuda())).to(Device::cpu()),
          index_select(x, 0, ids)));
    }
  };
  test(std::int64_t());
  test(std::int32_t());
  test(std::uint8_t());
  test(bool());
}

TEST_CASE("index_select: ids behind the last one, and rows behind the last one, are not touched") {
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({2, 3, -1, 0, 2});  // of 3 rows
  for (int order = 0; order < backend::orders; ++order) {
    backend::set_order(order);
    const Device gpu = Device::cuda();
    const devices::Inside<std::int64_t> at(ids, gpu, 1);
    Tensor<float> x = ones<float>({3, 2}, gpu);
    x.requires_grad_();
    const Tensor<float> y = index_select(x, 0, at.part);
    const devices::Inside<float> dy(full<float>({5, 2}, 1), gpu, 8.0F);
    y.backward(dy.part);
    CHECK(check::same(x.grad().to(Device::cpu()), tensor<float>({{1, 1}, {0, 0}, {2, 2}})));
    // Read from the middle of a larger table, rows outside would be numbers.
    const devices::Inside<std::int64_t> table(full<std::int64_t>({3, 4}, 5), gpu, 9);
    const Tensor<std::int64_t> rows = index_select(table.part, 0, at.part).to(Device::cpu());
    for (std::int64_t i = 0; i < 5; ++i) {
      for (std::int64_t j = 0; j < 4; ++j) CHECK(rows.at({i, j}) == (i == 1 || i == 2 ? 0 : 5));
    }
  }
  backend::set_order(0);
}

TEST_CASE("index_select: on a device an id outside reads nothing, and nothing waits") {
  const Device gpu = Device::cuda();
  Tensor<float> x = ones<float>({3, 2}, gpu);
  x.requires_grad_();
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({1, -1, 3, 1}).to(gpu);
  const std::int64_t before = waits();
  const Tensor<float> y = index_select(x, 0, ids);
  y.backward(ones<float>({4, 2}, gpu));
  CHECK(waits() == before);
  const Tensor<float> values = y.to(Device::cpu());
  for (std::int64_t j = 0; j < 4; ++j) CHECK((values.at({j, 1}) == 1) == (j == 0 || j == 3));
  CHECK(values.at({1, 0}) != values.at({1, 0}));
  CHECK(check::same(x.grad().to(Device::cpu()), tensor<float>({{0, 0}, {2, 2}, {0, 0}})));
  const Tensor<std::int64_t> whole =
      index_select(ones<std::int64_t>({3}, gpu), 0, ids).to(Device::cpu());
  CHECK(check::same(whole, tensor<std::int64_t>({1, 0, 0, 1})));
  CHECK(check::message([&] { (void)index_select(x, 0, tensor<std::int64_t>({1})); }) ==
        "[index_select] inputs are on different devices: cuda:0 and cpu");
}

TEST_CASE("index_select: the same bits in any order of the threads") {
  const Tensor<std::int64_t> ids = some_ids(700, 70, 9);
  devices::same_in_every_order([&](Device device) { return run<float>(device, 2, 70, 33, ids); });
}

TEST_CASE("embedding: values and gradients on every device") {
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({{1, 4, 1}, {0, 2, 1}});
  const Tensor<double> table = check::normal({6, 5}, 1);
  devices::each([&](Device device) {
    CHECK(check::same(embedding(ids.to(device), table.to(device)).to(Device::cpu()),
                      embedding(ids, table)));
    devices::gradients(device, [&](const auto& w) { return embedding(ids.to(device), w[0]); },
                       {table});
  });
}
