#include "tandem/ops/any.hpp"

#include "check.hpp"

using namespace tandem;

TEST_CASE("any, all: every pattern of three bits, along both dimensions") {
  using Bits = std::vector<bool>;
  const Tensor<bool> x(Shape{8, 3});
  Bits some, every;
  for (std::int64_t i = 0; i < 8; ++i) {
    for (std::int64_t j = 0; j < 3; ++j) x.set({i, j}, (i >> j & 1) != 0);
    some.push_back(i != 0);
    every.push_back(i == 7);
  }
  CHECK(any(x, 1).to_vector() == some);
  CHECK(all(x, -1).to_vector() == every);
  CHECK(any(x.transpose(0, 1), 0).to_vector() == some);
  CHECK(all(x.transpose(0, 1), 0, true).shape() == Shape{1, 8});
  CHECK(any(x).item());
  CHECK(!all(x).item());
  CHECK(!any(x[0]).item());
  CHECK(all(x[7]).item());
  CHECK(any(tensor<bool>(true)).shape() == Shape{});
}

TEST_CASE("any, all: of none; messages") {
  CHECK(!any(zeros<bool>({0})).item());
  CHECK(all(zeros<bool>({0})).item());
  CHECK(any(zeros<bool>({2, 0}), 1).to_vector() == std::vector<bool>{false, false});
  CHECK(all(zeros<bool>({2, 0}), 1, true).to_vector() == std::vector<bool>{true, true});
  CHECK(all(zeros<bool>({2, 0}), 0).shape() == Shape{0});
  CHECK(check::message([] { (void)any(zeros<bool>({2}), 1); }) ==
        "[any] dimension 1 is out of range for a tensor of 1 dimensions");
}
