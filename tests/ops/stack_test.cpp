#include "tandem/ops/stack.hpp"

#include "golden.hpp"

using namespace tandem;
using Inputs = std::vector<Tensor<double>>;

TEST_CASE("stack agrees with PyTorch") {
  golden::compare("stack.dim1", {"a", "b"}, [](const Inputs& x) { return stack(x, 1); });
  golden::compare("stack.last", {"a", "b"}, [](const Inputs& x) { return stack(x, -1); });
}

TEST_CASE("stack: gradients at every place of the new dimension") {
  for (const std::int64_t n : {1, 3, 7, 33}) {
    for (const int d : {0, 1, 2, -1, -3}) {
      check::gradients(
          [d](const Inputs& x) {
            return stack(Inputs{x[0], x[1], x[0]}, d);
          },
          {check::normal({2, n}, 1), check::normal({2, n}, 2)});
    }
  }
}

TEST_CASE("stack: scalars, one tensor, messages") {
  CHECK(stack<float>({tensor<float>(1), tensor<float>(2)}).to_vector() == std::vector<float>{1, 2});
  CHECK(stack<float>({zeros<float>({2, 3})}, 1).shape() == Shape{2, 1, 3});
  CHECK(check::message([] { stack(std::vector<Tensor<float>>{}, 0); }) ==
        "[stack] there is nothing to stack: the list is empty");
  CHECK(check::message([] {
          stack<float>({zeros<float>({2}), zeros<float>({3})});
        }) == "[stack] shapes must be equal: the first is (2,), number 1 is (3,)");
  CHECK(check::message([] { stack<float>({zeros<float>({2})}, 2); }).find("is out of range") !=
        std::string::npos);
}
