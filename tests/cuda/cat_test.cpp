/// cat, stack and pad: copies between layouts.

#include "tandem/ops/cat.hpp"

#include "devices.hpp"
#include "tandem/ops/pad.hpp"
#include "tandem/ops/stack.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

TEST_CASE(
    "cat, stack and pad: the CPU's values on every device, every element type and dimension") {
  const auto test = []<class T>(T) {
    const auto values = [](const Shape& shape, std::uint64_t seed) {
      Generator random(seed);
      return randint<T>(shape, 0, std::is_same_v<T, bool> ? 2 : 100, random);
    };
    for (const std::int64_t dim : {0, 1, 2}) {
      Shape wider{3, 5, 7}, none{3, 5, 7};
      wider[static_cast<int>(dim)] = 33;
      none[static_cast<int>(dim)] = 0;
      const std::vector<Tensor<T>> parts{values({3, 5, 7}, 1), values(wider, 2), values(none, 3),
                                         values({3, 5, 7}, 4)},
          alike{parts[0], parts[3], parts[0]};
      devices::each([&](Device device) {
        const auto there = [&](const std::vector<Tensor<T>>& list) {
          std::vector<Tensor<T>> out;
          for (const Tensor<T>& x : list) out.push_back(x.to(device));
          return out;
        };
        CHECK(check::same(cat(there(parts), dim).to(Device::cpu()), cat(parts, dim)));
        CHECK(check::same(stack(there(alike), dim).to(Device::cpu()), stack(alike, dim)));
        const std::vector<Margin> margins{{1, 0}, {0, 2}, {3, 1}};
        CHECK(check::same(pad(parts[1].to(device), margins, 1).to(Device::cpu()),
                          pad(parts[1], margins, 1)));
        // Transposed parts.
        CHECK(check::same(
            cat<T>({parts[0].to(device).transpose(0, 2), parts[3].to(device).transpose(0, 2)}, dim)
                .to(Device::cpu()),
            cat<T>({parts[0].transpose(0, 2), parts[3].transpose(0, 2)}, dim)));
      });
    }
  };
  test(float());
  test(double());
  test(bfloat16());
  test(std::int64_t());
  test(std::int32_t());
  test(std::uint8_t());
  test(bool());
}

TEST_CASE("cat, stack and pad: gradients on every device; devices do not mix") {
  devices::each([](Device device) {
    for (const std::int64_t dim : {0, 1}) {
      devices::gradients(device,
                         [dim](const auto& x) {
                           return cat<double>({x[0], x[1]}, dim);
                         },
                         {check::normal({2, 3}, 1), check::normal({2, 3}, 2)});
      devices::gradients(device,
                         [dim](const auto& x) {
                           return stack<double>({x[0], x[1]}, dim);
                         },
                         {check::normal({2, 3}, 1), check::normal({2, 3}, 2)});
    }
    devices::gradients(device,
                       [](const auto& x) {
                         return pad(x[0], {{1, 0}, {2, 1}}, 0.5);
                       },
                       {check::normal({2, 3}, 3)});
  });
  const Tensor<float> here = ones<float>({2}), there = ones<float>({2}, Device::cuda());
  CHECK(check::message([&] {
          (void)cat<float>({here, there});
        }) == "[cat] inputs are on different devices: cpu and cuda:0");
  CHECK(check::message([&] {
          (void)stack<float>({there, here});
        }) == "[stack] inputs are on different devices: cuda:0 and cpu");
}
