#include "tandem/ops/topk.hpp"

#include "golden.hpp"

using namespace tandem;

TEST_CASE("topk agrees with PyTorch") {
  golden::compare("topk.k4", {"x"}, [](const auto& x) { return topk(x[0], 4, 1).values; });
  CHECK(check::same(topk(golden::get("topk.k4.x"), 4, 1).indices, golden::ids("topk.k4.indices")));
  golden::compare("topk.smallest3", {"x"},
                  [](const auto& x) { return topk(x[0], 3, 0, false).values; });
}

TEST_CASE("topk: ties take the lower index, NaN is largest") {
  const Tensor<float> x = tensor<float>({2, 5, NAN, 5, 1, 5, NAN});
  const auto [values, indices] = topk(x, 5);
  CHECK(indices.to_vector() == std::vector<std::int64_t>{2, 6, 1, 3, 5});
  CHECK(topk(x, 3, 0, false).indices.to_vector() == std::vector<std::int64_t>{4, 0, 1});
  CHECK(topk(x, 7, 0, false).indices.to_vector() == std::vector<std::int64_t>{4, 0, 1, 3, 5, 2, 6});
  CHECK(topk(x, 0).values.shape() == Shape{0});
}

TEST_CASE("topk equals a full sort at every k and on every dimension") {
  const Tensor<double> x = check::normal({3, 33, 2}, 1);
  for (const int dim : {0, 1, 2}) {
    const std::int64_t n = x.size(dim);
    const Tensor<double> all = topk(x, n, dim).values;
    for (std::int64_t i = 0; i + 1 < n; ++i) {
      const auto above = all.select(dim, i).to_vector(), below = all.select(dim, i + 1).to_vector();
      for (std::size_t j = 0; j < above.size(); ++j) CHECK(above[j] >= below[j]);
    }
    for (std::int64_t k = 1; k < n; ++k) {
      CHECK(check::same(topk(x, k, dim).values, all.slice(dim, 0, k)));
    }
  }
}

TEST_CASE("topk: gradients, strided inputs, thread counts") {
  // Values far apart, so that the step of the difference quotient changes no order.
  Tensor<double> x(Shape{7, 31});
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    x.mutable_data()[i] = static_cast<double>(i * 89 % 217) / 50;
  }
  for (const int dim : {0, 1}) {
    check::gradients([&](const auto& v) { return topk(v[0], 3, dim).values; }, {x});
    check::gradients([&](const auto& v) { return topk(v[0], 2, dim, false).values; }, {x});
  }
  const Tensor<double> big = check::normal({9, 100, 20}, 2);
  check::any_thread_count([&] { return std::vector{topk(big, 12, 1).values}; });
}

TEST_CASE("topk says what is wrong") {
  CHECK(check::message([] {
          topk(zeros<float>({2, 3}), 4);
        }) == "[topk] k = 4 is out of range for dimension 1 of shape (2, 3)");
  CHECK(check::message([] {
          topk(zeros<float>({2, 3}), -1, 0);
        }) == "[topk] k = -1 is out of range for dimension 0 of shape (2, 3)");
}
