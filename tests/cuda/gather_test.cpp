/// gather and scatter_add.

#include "tandem/ops/gather.hpp"

#include <limits>

#include "devices.hpp"
#include "tandem/ops/abs.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/scatter_add.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

template <class T>
void the_bits_of_the_cpu(const Shape& shape, const Shape& index_shape, std::int64_t dim) {
  CAPTURE(shape);
  CAPTURE(index_shape);
  Generator random(1);
  const Tensor<std::int64_t> index =
      randint<std::int64_t>(index_shape, 0, shape[static_cast<int>(dim)], random);
  const Tensor<T> values = check::cast<T>(devices::normal(shape, 2)),
                  source = check::cast<T>(devices::normal(index_shape, 3));
  const auto run = [&](Device device) {
    std::vector<Tensor<T>> out;
    Tensor<T> x = values.to(device).clone(), src = source.to(device).clone();
    const Tensor<std::int64_t> at = index.to(device);
    if constexpr (FloatingElement<T>) {
      x.requires_grad_();
      src.requires_grad_();
      const Tensor<T> y = gather(x, dim, at), z = scatter_add(x, dim, at, src);
      y.backward(source.to(device));
      out = {y.detach(), z.detach(), x.grad()};
      z.backward(values.to(device));
      out.push_back(x.grad());
      out.push_back(src.grad());
    } else {
      out = {gather(x, dim, at), scatter_add(x, dim, at, src)};
    }
    for (Tensor<T>& t : out) t = t.to(Device::cpu());
    return out;
  };
  const auto expected = run(Device::cpu());
  devices::each([&](Device device) {
    const auto got = run(device);
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK_MESSAGE(check::same(got[i], expected[i]), "result ", i);
  });
}

}  // namespace

TEST_CASE("gather and scatter_add: the CPU's bits on every device, values and gradients") {
  const auto gathered = []<class T>(T) {
    const Tensor<T> x =
        check::cast<T>(check::cast<std::int64_t>(abs(devices::normal({7, 5}, 4)) * 3));
    Generator random(2);
    const Tensor<std::int64_t> index = randint<std::int64_t>({3, 5}, 0, 7, random);
    devices::each([&](Device device) {
      CHECK(check::same(gather(x.to(device), 0, index.to(device)).to(Device::cpu()),
                        gather(x, 0, index)));
    });
  };
  gathered(std::int32_t());
  gathered(std::uint8_t());
  gathered(bool());
  the_bits_of_the_cpu<float>({5}, {300}, 0);
  the_bits_of_the_cpu<float>({33, 7}, {77, 7}, 0);
  the_bits_of_the_cpu<float>({7, 33}, {5, 40}, 1);
  the_bits_of_the_cpu<float>({3, 5, 7}, {2, 9, 7}, 1);
  the_bits_of_the_cpu<float>({300, 2}, {31, 2}, 0);  // more elements than three blocks have threads
  the_bits_of_the_cpu<float>({3, 300}, {5, 300}, 0);
  the_bits_of_the_cpu<float>({5, 4099}, {9, 4099}, 0);  // a thread for a column
  the_bits_of_the_cpu<double>({3, 5, 7}, {3, 5, 9}, 2);
  the_bits_of_the_cpu<bfloat16>({3, 5, 7}, {3, 9, 7}, 1);
  the_bits_of_the_cpu<std::int64_t>({3, 5, 7}, {3, 9, 7}, 1);
}

TEST_CASE("gather and scatter_add: ids outside touch nothing, also where there is something") {
  // Rows of an index, and of what it points into, between others that must not be seen.
  const auto test = []<class T>(T, std::int64_t columns) {
    const std::int64_t n = 3;
    Tensor<std::int64_t> ids(Shape{5, columns});
    Tensor<T> expected(Shape{5, columns}), sums(Shape{n, columns});
    for (std::int64_t j = 0; j < columns; ++j) {
      std::int64_t row = 0;
      for (const std::int64_t id : {n, std::int64_t{-1}, n - 1, std::int64_t{0}, n + 1}) {
        const bool exists = id >= 0 && id < n;
        ids.set({row, j}, id);
        if constexpr (std::is_same_v<T, std::int64_t>) {
          expected.set({row, j}, exists ? id + 10 : 0);
        } else {
          expected.set({row, j}, exists ? T(static_cast<float>(id) + 10)
                                        : T(std::numeric_limits<float>::quiet_NaN()));
        }
        ++row;
      }
      for (std::int64_t i = 0; i < n; ++i) {
        const bool added = i == 0 || i == n - 1;
        sums.set({i, j}, T(static_cast<float>(i + 10 + (added ? 1 : 0))));
      }
    }
    for (int order = 0; order < backend::orders; ++order) {
      backend::set_order(order);
      Tensor<T> table(Shape{n, columns});
      for (std::int64_t i = 0; i < n * columns; ++i)
        table.mutable_data()[i] = T(static_cast<float>(i / columns + 10));
      const devices::Inside<T> x(table, Device::cuda(), T(7));
      const devices::Inside<std::int64_t> at(ids, Device::cuda(), 1);
      const Tensor<T> got = gather(x.part, 0, at.part).to(Device::cpu());
      for (std::int64_t i = 0; i < got.numel(); ++i) {
        const T a = got.data()[i], b = expected.data()[i];
        CHECK((a == b || (a != a && b != b)));
      }
      const Tensor<T> z = scatter_add(x.part, 0, at.part, ones<T>(ids.shape(), Device::cuda()));
      CHECK(check::same(z.to(Device::cpu()), sums));
      CHECK(x.margins_stand());
    }
    backend::set_order(0);
  };
  for (const std::int64_t columns : {1, 7, 4097}) {  // scatter_add: by elements, by columns
    test(float(), columns);
    test(std::int64_t(), columns);
  }
  test(bfloat16(), 7);
}

TEST_CASE("gather and scatter_add: gradients on every device; strided indices; ids outside") {
  const Tensor<std::int64_t> index = tensor<std::int64_t>({{1, 0, 1}, {2, 2, 0}});
  devices::each([&](Device device) {
    const Tensor<std::int64_t> at = index.to(device), turned = at.transpose(0, 1);
    devices::gradients(device, [&](const auto& x) { return gather(x[0], 1, at); },
                       {check::normal({2, 3}, 1)});
    devices::gradients(device, [&](const auto& x) { return gather(x[0], 0, turned); },
                       {check::normal({3, 2}, 1)});
    devices::gradients(device, [&](const auto& x) { return scatter_add(x[0], 1, at, x[1]); },
                       {check::normal({2, 4}, 1), check::normal({2, 3}, 2)});
    CHECK(gather(zeros<float>({3, 2}, device), 0, zeros<std::int64_t>({0, 2}, device)).shape() ==
          Shape{0, 2});
    CHECK(check::same(scatter_add(ones<float>({3, 2}, device), 0,
                                  zeros<std::int64_t>({0, 2}, device), zeros<float>({0, 2}, device))
                          .to(Device::cpu()),
                      ones<float>({3, 2})));
  });
  const Device gpu = Device::cuda();
  const Tensor<std::int64_t> outside = tensor<std::int64_t>({3, -1, 1}).to(gpu);
  const std::int64_t before = waits();
  const Tensor<float> y = gather(ones<float>({3}, gpu), 0, outside),
                      z = scatter_add(zeros<float>({3}, gpu), 0, outside, ones<float>({3}, gpu));
  CHECK(waits() == before);
  CHECK(y.to(Device::cpu()).at({0}) != y.to(Device::cpu()).at({0}));
  CHECK(y.to(Device::cpu()).at({2}) == 1);
  CHECK(check::same(z.to(Device::cpu()), tensor<float>({0, 1, 0})));
  CHECK(check::message([&] { (void)gather(y, 0, tensor<std::int64_t>({1})); }) ==
        "[gather] inputs are on different devices: cuda:0 and cpu");
}
