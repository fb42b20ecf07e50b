#include "tandem/ops/isnan.hpp"

#include <limits>

#include "check.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;
using Bits = std::vector<bool>;

TEST_CASE("isnan, isinf, isfinite") {
  const auto test = []<class T>(T) {
    constexpr float inf = std::numeric_limits<float>::infinity();
    const Tensor<T> x = tensor<float>({0, NAN, inf, -inf, 3e38F, -1, 1e-45F}).to<T>();
    CHECK(isnan(x).to_vector() == Bits{false, true, false, false, false, false, false});
    CHECK(isinf(x).to_vector() == Bits{false, false, true, true, false, false, false});
    CHECK(isfinite(x).to_vector() == Bits{true, false, false, false, true, true, true});
    const Tensor<T> wide = x.unsqueeze(1).expand({7, 3});
    CHECK(check::same(isnan(wide.transpose(0, 1)),
                      isnan(x).unsqueeze(0).expand({3, 7}).contiguous()));
    CHECK(isfinite(zeros<T>({0, 2})).shape() == Shape{0, 2});
  };
  test(float());
  test(double());
  test(bfloat16());
}

TEST_CASE("isnan refuses to cut the graph") {
  const Tensor<float> x = zeros<float>({2});
  x.requires_grad_();
  CHECK(check::message([&] { (void)isnan(x); }) ==
        "[isnan] has no backward, but an input needs a gradient: detach() it or use NoGrad");
  CHECK(isfinite(x.detach()).to_vector() == Bits{true, true});
}
