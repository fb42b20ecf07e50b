#include "tandem/ops/mse.hpp"

#include "golden.hpp"

using namespace tandem;

TEST_CASE("mse agrees with PyTorch") {
  golden::compare("mse.mean", {"input", "target"}, [](const auto& x) { return mse(x[0], x[1]); });
  golden::compare("mse.sum", {"input", "target"},
                  [](const auto& x) { return mse(x[0], x[1], Reduction::sum); });
}

TEST_CASE("mse: gradients with every reduction") {
  for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
    for (const Shape& shape : {Shape{1}, Shape{3, 7}, Shape{31}, Shape{2, 3, 11}}) {
      check::gradients([&](const auto& x) { return mse(x[0], x[1], reduction); },
                       {check::normal(shape, 1), check::normal(shape, 2)});
    }
  }
}

TEST_CASE("mse: empty, thread counts, messages") {
  CHECK(mse(zeros<float>({0, 3}), zeros<float>({0, 3})).item() == 0);
  const Tensor<float> x = check::cast<float>(check::normal({40001}, 3)), zero = zeros_like(x);
  check::any_thread_count([&] { return std::vector{mse(x, zero)}; });
  CHECK(check::message([] {
          mse(zeros<float>({2, 1}), zeros<float>({2}));
        }) == "[mse] shapes must be equal: prediction (2, 1), target (2,)");
}
