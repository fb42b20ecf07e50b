#include "tandem/ops/dropout.hpp"

#include <limits>

#include "devices.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

template <class T>
std::vector<Tensor<T>> run(Device device, const Tensor<T>& input, double p) {
  Generator random(7, 3);
  random.seek(0xfffffffeull);  // the counter's lower half overflows on the way
  Tensor<T> x = input.to(device);
  x = device.is_cpu() ? x.clone() : x;
  x.requires_grad_();
  const Tensor<T> y = dropout(x, p, random);
  y.backward(check::cast<T>(devices::normal(input.shape(), 2)).to(device));
  CHECK(random.position() == 0xfffffffeull + static_cast<std::uint64_t>((input.numel() + 3) / 4));
  return {y.detach(), x.grad()};
}

}  // namespace

TEST_CASE("dropout: the CPU's bits on every device, every size, forward and backward") {
  const auto test = []<class T>(T) {
    for (std::int64_t n : devices::sizes) {
      CAPTURE(n);
      const Tensor<T> x = check::cast<T>(devices::normal({n}, 1));
      for (const double p : {0.1, 0.5, 1 - 0x1p-40}) {
        const auto expected = run(Device::cpu(), x, p);
        devices::each([&](Device device) {
          const auto got = run(device, x, p);
          CHECK(check::same(got[0].to(Device::cpu()), expected[0]));
          CHECK(check::same(got[1].to(Device::cpu()), expected[1]));
        });
      }
    }
  };
  test(float());
  test(double());
}

TEST_CASE("dropout: slices that are not aligned, strided inputs, dropped infinities") {
  const Tensor<float> x = check::cast<float>(devices::normal({1039}, 1));
  const auto at = [&](Device device, std::int64_t begin) {
    Generator random(5);
    return dropout(x.to(device).slice(0, begin, begin + 1031), 0.3, random).to(Device::cpu());
  };
  const Tensor<float> table = check::cast<float>(devices::normal({31, 33}, 2));
  devices::each([&](Device device) {
    for (const std::int64_t begin : {1, 2, 4})
      CHECK(check::same(at(device, begin), at(Device::cpu(), begin)));
    Generator here(6), there(6);
    CHECK(check::same(dropout(table.to(device).transpose(0, 1), 0.3, there).to(Device::cpu()),
                      dropout(table.transpose(0, 1), 0.3, here)));
    Generator random(8);
    const Tensor<float> infinite =
        full<float>({64}, std::numeric_limits<float>::infinity(), device);
    std::int64_t dropped = 0;
    for (const float value : dropout(infinite, 0.5, random).to(Device::cpu()).to_vector()) {
      CHECK((value == 0 || value > 1));
      dropped += value == 0 ? 1 : 0;
    }
    CHECK(dropped > 16);
    CHECK(dropout(zeros<float>({0}, device), 0.5, random).shape() == Shape{0});
  });
}
