#include "tandem/ops/argmax.hpp"

#include "golden.hpp"
#include "tandem/ops/max.hpp"
#include "tandem/ops/min.hpp"

using namespace tandem;
using Places = std::vector<std::int64_t>;

TEST_CASE("argmax and argmin agree with PyTorch") {
  CHECK(check::same(argmax(golden::get("max.dim1.x"), 1), golden::ids("max.dim1.indices")));
  CHECK(check::same(argmin(golden::get("argmin.dim1.x"), 1), golden::ids("argmin.dim1.indices")));
}

TEST_CASE("argmax, argmin: the places of max and min, in every layout") {
  const Tensor<double> x = check::normal({3, 31, 5}, 1);
  for (const int d : {0, 1, -1}) {
    for (const Tensor<double>& in : {x, autograd::make_strided(x), x.transpose(0, 2)}) {
      CHECK(check::same(argmax(in, d), max(in, d).indices));
      CHECK(check::same(argmin(in, d, true), min(in, d, true).indices));
    }
  }
  CHECK(argmax(tensor<float>({1, 3, 3}), 0).item() == 1);
  CHECK(argmin(tensor<float>({1, NAN, 0}), 0).item() == 1);
  CHECK(argmax(tensor<std::uint8_t>({7, 255, 0}), 0).item() == 1);
  CHECK(argmax(zeros<float>({0, 3}), 1).shape() == Shape{0});
}

TEST_CASE("argmax, argmin: no silent cut of the graph, messages") {
  const Tensor<float> x = zeros<float>({2, 3});
  CHECK(check::message([&] { argmax(x, 2); }) ==
        "[argmax] dimension 2 is out of range for a tensor of 2 dimensions");
  CHECK(check::message([] { argmin(zeros<float>({0}), 0); }) ==
        "[argmin] dimension 0 of shape (0,) is empty: there is nothing to choose from");
  x.requires_grad_();
  CHECK(check::message([&] { argmax(x, 0); }) ==
        "[argmax] has no backward, but an input needs a gradient: detach() it or use NoGrad");
  CHECK(check::message([&] { argmin(x, 0); }).find("[argmin] has no backward") == 0);
  CHECK(argmax(x.detach(), 0).to_vector() == Places{0, 0, 0});
}
