#include "tandem/ops/maximum.hpp"

#include <cmath>

#include "devices.hpp"
#include "tandem/ops/remainder.hpp"

using namespace tandem;

namespace {

/// Result and gradients of f on `device`.
template <class T, class F>
std::vector<Tensor<T>> result_and_gradients(Device device, const F& f,
                                            const std::vector<Tensor<T>>& inputs) {
  std::vector<Tensor<T>> leaves;
  for (const Tensor<T>& x : inputs) {
    leaves.push_back(x.to(device).clone());
    leaves.back().requires_grad_();
  }
  const Tensor<T> y = f(leaves);
  y.backward(check::cast<T>(check::normal(y.shape(), 9)).to(device));
  std::vector<Tensor<T>> out{y.detach().to(Device::cpu())};
  for (const Tensor<T>& leaf : leaves) out.push_back(leaf.grad().to(Device::cpu()));
  return out;
}

/// The CPU's bits, of results and gradients, in the three floating types.
template <class F>
void has_the_cpus_bits(const F& f, const Tensor<double>& a, const Tensor<double>& b) {
  const auto test = [&]<class T>(T) {
    const std::vector<Tensor<T>> inputs{check::cast<T>(a), check::cast<T>(b)};
    const auto expected = result_and_gradients<T>(Device::cpu(), f, inputs);
    devices::each([&](Device device) {
      const auto got = result_and_gradients<T>(device, f, inputs);
      for (std::size_t i = 0; i < got.size(); ++i) CHECK(check::same(got[i], expected[i]));
    });
  };
  test(float());
  test(double());
  test(bfloat16());
}

}  // namespace

TEST_CASE("maximum, minimum: the CPU's bits on every device, ties, broadcasting, NaN") {
  Generator random(1);
  const Tensor<double> a = randint<double>({3, 77}, 0, 4, random),
                       b = randint<double>({3, 77}, 0, 4, random);
  a.set({1, 5}, NAN);
  b.set({2, 6}, NAN);
  has_the_cpus_bits([](const auto& x) { return maximum(x[0], x[1]); }, a, b);
  has_the_cpus_bits([](const auto& x) { return minimum(x[0], x[1].transpose(0, 1)); },
                    a.slice(1, 0, 3), b.slice(1, 0, 3));
  devices::each([&](Device device) {
    devices::gradients(device, [](const auto& x) { return maximum(x[0], x[1]); },
                       {devices::normal({5, 7}, 1), devices::normal({7}, 2)});
    devices::gradients(device, [](const auto& x) { return minimum(x[0], x[1]); },
                       {devices::normal({5, 7}, 3), devices::normal({5, 1}, 4)});
  });
}

TEST_CASE("remainder: the CPU's bits on every device, of tensors and numbers") {
  const Tensor<double> a = devices::normal({3, 77}, 5) * 10, b = devices::normal({3, 77}, 6);
  has_the_cpus_bits([](const auto& x) { return remainder(x[0], x[1]); }, a, b);
  has_the_cpus_bits([](const auto& x) { return remainder(x[0], -1.5) + x[1]; }, a, b);
  CHECK(check::message([] {
          (void)remainder(ones<std::int64_t>({2}, Device::cuda()),
                          ones<std::int64_t>({2}, Device::cuda()));
        }) == "[remainder] has no CUDA kernel (an input is on cuda:0)");
}
