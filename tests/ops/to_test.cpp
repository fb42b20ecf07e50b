#include "tandem/ops/to.hpp"

#include <limits>

#include "check.hpp"

using namespace tandem;

TEST_CASE("to: floating types there and back, gradients converted back") {
  for (const Shape& shape : {Shape{1}, Shape{33}, Shape{3, 7}}) {
    const Tensor<double> dense = check::normal(shape, 1), g = check::normal(shape, 2);
    for (const Tensor<double>& in : {dense, autograd::make_strided(dense)}) {
      const Tensor<double> x = in.clone();
      x.requires_grad_();
      const Tensor<float> y = x.to<float>();
      CHECK(check::same(y.detach(), check::cast<float>(dense)));
      const Tensor<float> narrow = check::cast<float>(g);
      y.backward(narrow);
      CHECK(check::same(x.grad(), check::cast<double>(narrow)));
    }
    // A float survives the way through double, and so does its gradient.
    const Tensor<float> leaf = check::cast<float>(dense);
    leaf.requires_grad_();
    leaf.to<double>().to<float>().backward(check::cast<float>(g));
    CHECK(check::same(leaf.grad(), check::cast<float>(g)));
  }
}

TEST_CASE("to: the same type is the tensor itself; bfloat16 rounds; integers cut") {
  const Tensor<float> x = tensor<float>({1, -2.5F, 1.00390625F, NAN});
  CHECK(x.to<float>().is_same(x));
  CHECK(x.to(Device::cpu()).is_same(x));
  CHECK(x.to<bfloat16>().to<float>().at({2}) == 1);  // halfway: to even
  CHECK(x.to<std::int64_t>().to_vector() == std::vector<std::int64_t>{1, -2, 1, 0});
  CHECK(x.to<std::uint8_t>().to_vector() == std::vector<std::uint8_t>{1, 0, 1, 0});
  CHECK(tensor<float>({0, 0.5F, NAN}).to<bool>().to_vector() ==
        std::vector<bool>{false, true, true});
  CHECK(tensor<bool>({true, false}).to<double>().to_vector() == std::vector<double>{1, 0});
  CHECK(tensor<double>({1e300}).to<float>().item() == std::numeric_limits<float>::infinity());
  CHECK(x.slice(0, 0, 4, 2).to<double>().to_vector()[1] == 1.00390625);
  CHECK(zeros<float>({0, 3}).to<double>().shape() == Shape{0, 3});
}

TEST_CASE("to: what would cut the graph, or has no device, is refused") {
  const Tensor<float> x = tensor<float>({1});
  x.requires_grad_();
  CHECK(check::message([&] { x.to<std::int64_t>(); }) ==
        "[to] has no backward, but an input needs a gradient: detach() it or use NoGrad");
  CHECK(check::message([&] { x.to<bool>(); }).find("[to] has no backward") == 0);
  CHECK(check::message([&] { x.to(Device::cuda(0)); }) != "");
}
