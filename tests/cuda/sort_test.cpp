/// What sorts, moves and compares without kernels of its own: sort, flip, roll, repeat, tril,
/// one_hot, any …

#include "tandem/ops/sort.hpp"

#include <cmath>

#include "devices.hpp"
#include "tandem/ops/allclose.hpp"
#include "tandem/ops/flip.hpp"
#include "tandem/ops/masked_fill.hpp"
#include "tandem/ops/one_hot.hpp"
#include "tandem/ops/repeat.hpp"
#include "tandem/ops/roll.hpp"
#include "tandem/ops/tril.hpp"

using namespace tandem;

namespace {
/// f has the CPU's bits on every device, and its gradients.
template <class F>
void moves(const F& f, const Tensor<double>& x) {
  const auto run = [&](Device device) {
    const Tensor<double> leaf = x.to(device).clone();
    leaf.requires_grad_();
    const Tensor<double> y = f(leaf);
    y.backward(check::normal(y.shape(), 9).to(device));
    return std::vector<Tensor<double>>{y.detach().to(Device::cpu()), leaf.grad().to(Device::cpu())};
  };
  const auto expected = run(Device::cpu());
  devices::each([&](Device device) {
    const auto got = run(device);
    CHECK(check::same(got[0], expected[0]));
    CHECK(check::same(got[1], expected[1]));
  });
}
}  // namespace

TEST_CASE("sort, flip, roll, repeat, tril, triu, masked_fill: the CPU's bits on every device") {
  Generator random(1);
  const Tensor<double> ties = randint<double>({3, 33}, 0, 5, random), x = check::normal({5, 7}, 2);
  ties.set({1, 4}, NAN);
  moves([](const auto& v) { return sort(v, 1).values; }, ties);
  moves([](const auto& v) { return sort(v, 0, true).values; }, ties);
  moves([](const auto& v) { return flip(v, {0, 1}); }, x);
  moves([](const auto& v) { return roll(v, {2, -3}, {0, 1}); }, x);
  moves([](const auto& v) { return repeat(v, {2, 3}); }, x);
  moves([](const auto& v) { return tril(v, 1); }, x);
  moves([](const auto& v) { return triu(v, -1); }, x);
  moves([](const auto& v) { return masked_fill(v, v.detach() < 0, 2.5); }, x);
  devices::each([&](Device device) {
    CHECK(check::same(argsort(ties.to(device)).to(Device::cpu()), argsort(ties)));
    CHECK(check::same(argsort(ties.to(device), 0, true).to(Device::cpu()), argsort(ties, 0, true)));
  });
}

TEST_CASE("any, all, one_hot, allclose on every device") {
  const Tensor<bool> bits = tensor<bool>({{false, true, false}, {true, true, true}});
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({2, 0, 1});
  devices::each([&](Device device) {
    const Tensor<bool> there = bits.to(device);
    CHECK(check::same(any(there, 0).to(Device::cpu()), any(bits, 0)));
    CHECK(check::same(all(there, 1).to(Device::cpu()), all(bits, 1)));
    CHECK(any(there).item());
    CHECK(!all(there).item());
    CHECK(all(zeros<bool>({2, 0}, device), 1).to(Device::cpu()).to_vector() ==
          std::vector<bool>{true, true});
    CHECK(check::same(one_hot<float>(ids.to(device), 4).to(Device::cpu()), one_hot<float>(ids, 4)));
    const Tensor<float> x = tensor<float>({1, NAN, INFINITY}).to(device);
    CHECK(!allclose(x, x));
    CHECK(allclose(x, x, {.equal_nan = true}));
    CHECK(!allclose(x, x * 2, {.equal_nan = true}));
  });
  const Tensor<std::int64_t> odd = tensor<std::int64_t>({5, -1}).to(Device::cuda());
  CHECK(check::same(one_hot<float>(odd, 4).to(Device::cpu()), zeros<float>({2, 4})));
}
