#include "tandem/ops/where.hpp"

#include <limits>

#include "devices.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

Tensor<bool> bits(const Shape& shape, std::uint64_t seed) {
  Generator random(seed);
  return randint<bool>(shape, 0, 2, random);
}

}  // namespace

TEST_CASE("where: the CPU's values on every device, every element type, broadcast and strided") {
  const auto test = []<class T>(T) {
    const auto values = [](const Shape& shape, std::uint64_t seed) {
      Generator random(seed);
      return randint<T>(shape, 0, std::is_same_v<T, bool> ? 2 : 100, random);
    };
    devices::each([&](Device device) {
      for (const std::int64_t n : {1, 33, 1031}) {
        const Tensor<bool> c = bits({n}, 1);
        const Tensor<T> a = values({n}, 2), b = values({n}, 3);
        CHECK(check::same(where(c.to(device), a.to(device), b.to(device)).to(Device::cpu()),
                          where(c, a, b)));
      }
      const Tensor<bool> c = bits({3, 1, 5}, 4);
      const Tensor<T> a = values({5, 7}, 5), b = values({3, 7, 1}, 6);
      CHECK(check::same(
          where(c.to(device), a.to(device).transpose(0, 1), b.to(device)).to(Device::cpu()),
          where(c, a.transpose(0, 1), b)));
      CHECK(check::same(where(c.to(device), b.to(device), 1).to(Device::cpu()), where(c, b, 1)));
      CHECK(check::same(where(c.to(device), 0, b.to(device)).to(Device::cpu()), where(c, 0, b)));
    });
  };
  test(float());
  test(double());
  test(bfloat16());
  test(std::int64_t());
  test(std::int32_t());
  test(std::uint8_t());
  test(bool());
}

TEST_CASE("where: gradients on every device; the branch not taken has no influence") {
  const Tensor<bool> c = bits({2, 3}, 1);
  devices::each([&](Device device) {
    devices::gradients(device, [&](const auto& x) { return where(c.to(device), x[0], x[1]); },
                       {check::normal({2, 3}, 2), check::normal({3}, 3)});
    devices::gradients(device, [&](const auto& x) { return where(c.to(device), x[0], 2.5); },
                       {check::normal({2, 1}, 4)});
    const Tensor<float> nan = full<float>({2}, std::numeric_limits<float>::quiet_NaN(), device);
    CHECK(check::same(where(tensor<bool>({true, true}).to(device), ones<float>({2}, device), nan)
                          .to(Device::cpu()),
                      ones<float>({2})));
    CHECK(where(zeros<bool>({0, 3}, device), ones<float>({3}, device), 0).shape() == Shape{0, 3});
  });
  CHECK(check::message([&] { (void)where(c, ones<float>({3}, Device::cuda()), 0); }) ==
        "[where] inputs are on different devices: cpu and cuda:0");
}
