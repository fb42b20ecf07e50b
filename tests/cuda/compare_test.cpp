#include "tandem/ops/compare.hpp"

#include <cmath>
#include <limits>

#include "devices.hpp"
#include "tandem/ops/isnan.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

/// All six comparisons of a and b.
template <class T, class B>
std::vector<Tensor<bool>> all_of(const Tensor<T>& a, const B& b) {
  std::vector<Tensor<bool>> out{eq(a, b), ne(a, b), lt(a, b), le(a, b), gt(a, b), ge(a, b)};
  for (Tensor<bool>& x : out) x = x.to(Device::cpu());
  return out;
}
void same(const std::vector<Tensor<bool>>& a, const std::vector<Tensor<bool>>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(check::same(a[i], b[i]));
}

}  // namespace

TEST_CASE("comparisons: the CPU's bits on every device, sizes, layouts, NaN and infinity") {
  const auto test = []<class T>(T) {
    Generator random(1);
    for (const std::int64_t n : {1, 33, 1031}) {
      const Tensor<T> a = randint<T>({n}, 0, 4, random), b = randint<T>({n}, 0, 4, random);
      devices::each([&](Device device) { same(all_of(a.to(device), b.to(device)), all_of(a, b)); });
    }
    const Tensor<T> a = randint<T>({5, 7}, 0, 4, random), b = randint<T>({3, 7, 1}, 0, 4, random);
    devices::each([&](Device device) {
      same(all_of(a.to(device).transpose(0, 1), b.to(device)), all_of(a.transpose(0, 1), b));
      CHECK(eq(zeros<T>({0, 3}, device), zeros<T>({3}, device)).shape() == Shape{0, 3});
    });
  };
  test(float());
  test(double());
  test(bfloat16());
  test(std::int64_t());
  test(std::int32_t());
  test(std::uint8_t());
  const Tensor<bool> bits = tensor<bool>({{false, true}}), turned = bits.transpose(0, 1);
  devices::each([&](Device device) {
    same(all_of(bits.to(device), turned.contiguous().to(device)), all_of(bits, turned));
  });
  constexpr float inf = std::numeric_limits<float>::infinity(),
                  nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor<float> odd = tensor<float>({nan, inf, -inf, 0.1F, -0.0F, 3e38F});
  devices::each([&](Device device) {
    const Tensor<float> there = odd.to(device);
    same(all_of(there, odd.slice(0, 0, 1).to(device)), all_of(odd, odd.slice(0, 0, 1)));
    for (const double s : {0.1, 0.0, double{inf}, double{nan}, 7.5})
      same(all_of(there, s), all_of(odd, s));
    same(all_of(there, 3), all_of(odd, 3));
    same(all_of(there.to(device), 2.0F), all_of(odd, 2.0F));
  });
  CHECK(check::message([&] { (void)lt(odd.to(Device::cuda()), odd); }) ==
        "[lt] inputs are on different devices: cuda:0 and cpu");
}

TEST_CASE("comparisons with a number mean its value on every device, whatever the type holds") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const auto test = [&]<class T>(const Tensor<T>& x) {
    devices::each([&](Device device) {
      const Tensor<T> there = x.to(device);
      for (const double s : {0.0, 1.0, 0.5, -0.5, 2.5, 255.0, 255.5, 256.0, -1e10, 1e10, -9.3e18,
                             9.3e18, -1e300, 1e300, inf, -inf, double{NAN}}) {
        CAPTURE(s);
        same(all_of(there, s), all_of(x, s));
      }
      for (const std::int64_t s :
           {std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}, std::int64_t{256},
            std::int64_t{1} << 40, std::numeric_limits<std::int64_t>::min()})
        same(all_of(there, s), all_of(x, s));
      same(all_of(there, ~std::uint64_t{0}), all_of(x, ~std::uint64_t{0}));
      same(all_of(there, true), all_of(x, true));
    });
  };
  test(tensor<bool>({false, true}));
  test(tensor<std::uint8_t>({0, 1, 2, 3, 255}));
  test(tensor<std::int32_t>({0, 1, -1, 2, 3, 255, 256, 2147483647, -2147483647 - 1}));
  test(tensor<std::int64_t>({0, 1, -1, 2, 3, 255, 256}));
  test(full<std::int64_t>({3}, std::numeric_limits<std::int64_t>::max()));
  const Tensor<float> odd = tensor<float>({NAN, INFINITY, -INFINITY, 0.5F, -0.0F, 3.4028235e38F});
  test(odd);
  test(odd.to<double>());
  test(odd.to<bfloat16>());
}

TEST_CASE("isnan, isinf, isfinite: the CPU's bits on every device, any layout") {
  constexpr float inf = std::numeric_limits<float>::infinity(),
                  nan = std::numeric_limits<float>::quiet_NaN();
  const auto test = []<class T>(T) {
    const Tensor<T> x = tensor<float>({{nan, inf, 1}, {-inf, -nan, 0}}).to<T>();
    devices::each([&](Device device) {
      const Tensor<T> there = x.to(device), flipped = there.transpose(0, 1);
      CHECK(check::same(isnan(there).to(Device::cpu()), isnan(x)));
      CHECK(check::same(isinf(there).to(Device::cpu()), isinf(x)));
      CHECK(check::same(isfinite(there).to(Device::cpu()), isfinite(x)));
      CHECK(check::same(isinf(flipped).to(Device::cpu()), isinf(x).transpose(0, 1).contiguous()));
      CHECK(isnan(zeros<T>({0, 3}, device)).shape() == Shape{0, 3});
    });
  };
  test(float());
  test(double());
  test(bfloat16());
}

TEST_CASE("logical operations on every device") {
  const Tensor<bool> a = tensor<bool>({false, false, true, true}),
                     b = tensor<bool>({false, true, false, true});
  devices::each([&](Device device) {
    CHECK(
        check::same(logical_and(a.to(device), b.to(device)).to(Device::cpu()), logical_and(a, b)));
    CHECK(check::same(logical_or(a.to(device), b.to(device)).to(Device::cpu()), logical_or(a, b)));
    CHECK(check::same(logical_not(a.to(device)).to(Device::cpu()), logical_not(a)));
  });
}
