#include "tandem/optim/clip_grad.hpp"

#include "devices.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

/// Parameters of the given sizes with gradients; the second one has none.
template <class T>
std::vector<Tensor<T>> parameters(Device device, const std::vector<std::int64_t>& sizes) {
  std::vector<Tensor<T>> out;
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    out.push_back(zeros<T>({sizes[k]}, device));
    out.back().requires_grad_();
    if (k != 1) out.back().set_grad(check::cast<T>(devices::normal({sizes[k]}, k)).to(device));
  }
  return out;
}

/// The norm, and the gradients after clipping to half of it.
template <class T>
std::vector<Tensor<double>> clipped(Device device, const std::vector<std::int64_t>& sizes) {
  const auto list = parameters<T>(device, sizes);
  const double norm = optim::grad_norm(list);
  CHECK(optim::clip_grad_norm(list, norm / 2) == norm);
  std::vector<Tensor<double>> out{tensor<double>(norm)};
  for (const Tensor<T>& p : list) {
    if (!p.grad().defined()) continue;
    CHECK(p.grad().device() == device);
    out.push_back(check::cast<double>(p.grad().to(Device::cpu())));
  }
  return out;
}

template <class T>
void agrees(const std::vector<std::int64_t>& sizes, double eps) {
  const auto exact = clipped<double>(Device::cpu(), sizes);
  devices::each([&](Device device) {
    const auto got = clipped<T>(device, sizes);
    REQUIRE(got.size() == exact.size());
    // The roundings of a thread's 64 squares, of its block's sums and of the square root; then
    // those of a factor.
    CHECK(std::abs(got[0].item() - exact[0].item()) <= 100 * exact[0].item() * eps);
    for (std::size_t k = 1; k < got.size(); ++k)
      CHECK(check::distance(got[k], exact[k]) <= 110 * 5 * eps);
  });
}

}  // namespace

TEST_CASE(
    "grad_norm and clip_grad_norm: the CPU's values on every device, any number of any size") {
  agrees<float>({1, 5, 31, 33, 257, 0, 1031}, devices::float_eps);
  agrees<double>({1, 5, 31, 33, 257, 0, 1031}, 0x1p-53);
  agrees<float>({16385, 1, 20000}, devices::float_eps);
  std::vector<std::int64_t> many(330, 3);  // more than two tables
  many[0] = 0;
  many[149] = 77;
  agrees<float>(many, devices::float_eps);
  CHECK(optim::grad_norm(std::vector<Tensor<float>>{zeros<float>({3}, Device::cuda())}) == 0);
}

TEST_CASE("grad_norm waits once; the same bits in any order of the threads") {
  const auto list = parameters<float>(Device::cuda(), {20000, 1, 300});
  const std::int64_t before = waits();
  (void)optim::clip_grad_norm(list, 1e9);
  CHECK(waits() == before + 1);
  (void)optim::clip_grad_norm(list, 1e-3);
  CHECK(waits() == before + 2);
  devices::same_in_every_order([](Device device) {
    return clipped<float>(device, {20000, 1, 300});
  });
}

TEST_CASE("squared_grad_norm and clip_by_squared_norm: clip_grad_norm's bits, and nothing waits") {
  devices::each([](Device device) {
    const auto expected = parameters<float>(device, {20000, 1, 300}),
               list = parameters<float>(device, {20000, 1, 300});
    const double norm = optim::clip_grad_norm(expected, 3.5);
    const std::int64_t before = waits();
    const Tensor<double> squares = optim::squared_grad_norm(list);
    optim::clip_by_squared_norm(list, 3.5, squares);
    CHECK(waits() == before);
    CHECK(squares.device() == device);
    CHECK(std::sqrt(squares.item()) == norm);
    for (std::size_t k : {0U, 2U}) CHECK(check::same(list[k].grad(), expected[k].grad()));
    // Below the largest norm, and where the squares are not finite, nothing changes.
    for (const double value : {1.0, static_cast<double>(INFINITY), static_cast<double>(NAN)}) {
      optim::clip_by_squared_norm(list, 3.5, full<double>({}, value, device));
      CHECK(check::same(list[0].grad(), expected[0].grad()));
    }
  });
  CHECK(optim::squared_grad_norm(std::vector<Tensor<float>>{zeros<float>({3})}).item() == 0);
  CHECK(check::message([] {
          (void)optim::squared_grad_norm<float>({parameters<float>(Device::cpu(), {3})[0],
                                                 parameters<float>(Device::cuda(), {3})[0]});
        }) == "[grad_norm] inputs are on different devices: cpu and cuda:0");
}

TEST_CASE(
    "clip_grad_norm: gradients on several devices are one vector; what others hold stays; not "
    "finite") {
  const auto here = parameters<float>(Device::cpu(), {33}),
             there = parameters<float>(Device::cuda(), {33});
  const Tensor<float> held = there[0].grad();
  const double norm = optim::clip_grad_norm<float>({here[0], there[0]}, 1);
  CHECK(norm ==
        doctest::Approx(std::sqrt(2.0) * optim::grad_norm(parameters<float>(Device::cpu(), {33}))));
  CHECK(check::distance(there[0].grad(), here[0].grad()) <= devices::float_eps);
  CHECK(check::same(held.to(Device::cpu()), parameters<float>(Device::cpu(), {33})[0].grad()));
  there[0].set_grad(full<float>({33}, INFINITY, Device::cuda()));
  CHECK(check::message([&] { (void)optim::clip_grad_norm(there, 1); }) ==
        "[clip_grad_norm] the norm of the gradients is not finite");
}
