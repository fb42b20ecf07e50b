#include "tandem/ops/cross_entropy.hpp"

#include "golden.hpp"

using namespace tandem;

TEST_CASE("cross_entropy agrees with PyTorch") {
  const Tensor<std::int64_t> target = golden::ids("cross_entropy.mean.target");
  golden::compare("cross_entropy.mean", {"input"},
                  [&](const auto& x) { return cross_entropy(x[0], target); });
  const Tensor<std::int64_t> some = golden::ids("cross_entropy.ignore_sum.target");
  golden::compare("cross_entropy.ignore_sum", {"input"}, [&](const auto& x) {
    return cross_entropy(x[0], some, {.reduction = Reduction::sum, .ignore_index = 1});
  });
  const Tensor<double> p = golden::get("cross_entropy.probabilities.target");
  golden::compare("cross_entropy.probabilities", {"input"},
                  [&](const auto& x) { return cross_entropy(x[0], p, Reduction::none); });
}

TEST_CASE("cross_entropy: gradients for ids and probabilities, every reduction, odd sizes") {
  for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
    for (const std::int64_t classes : {2, 3, 7, 31, 33, 77}) {
      const Tensor<double> x = check::normal({2, 3, classes}, 1);
      const Tensor<std::int64_t> ids = tensor<std::int64_t>({{0, 1, 0}, {1, 1, 0}});
      check::gradients(
          [&](const auto& v) { return cross_entropy(v[0], ids, {.reduction = reduction}); }, {x});
      check::gradients(
          [&](const auto& v) {
            return cross_entropy(v[0], ids, {.reduction = reduction, .ignore_index = 1});
          },
          {x});
      Generator random(2);
      const Tensor<double> p = rand<double>(x.shape(), random);
      check::gradients([&](const auto& v) { return cross_entropy(v[0], p, reduction); }, {x});
    }
  }
}

TEST_CASE("cross_entropy: class ids are one-hot probabilities") {
  const Tensor<double> x = check::normal({4, 5}, 3);
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({4, 0, 2, 2});
  const Tensor<double> hot = zeros<double>({4, 5});
  for (std::int64_t r = 0; r < 4; ++r) hot.set({r, ids.at({r})}, 1);
  CHECK(check::distance(cross_entropy(x, ids), cross_entropy(x, hot)) < 1e-15);
}

TEST_CASE("cross_entropy: ignored rows and large logits") {
  const Tensor<float> x = tensor<float>({{1e4F, 0, -1e4F}, {NAN, 1, 2}});
  x.requires_grad_();
  const Tensor<float> loss =
      cross_entropy(x, tensor<std::int64_t>({1, -100}), {.ignore_index = -100});
  CHECK(loss.item() == 1e4F);
  loss.backward();
  CHECK(x.grad().to_vector() == std::vector<float>{1, -1, 0, 0, 0, 0});
  // Every row ignored: 0, not 0/0.
  CHECK(cross_entropy(x, tensor<std::int64_t>({7, 7}), {.ignore_index = 7}).item() == 0);
  // A class of probability 0 may have the logit −∞.
  CHECK(cross_entropy(tensor<float>({{0, -INFINITY}}), tensor<float>({{1, 0}})).item() == 0);
}

TEST_CASE("cross_entropy: thread counts and messages") {
  const Tensor<double> x = check::normal({5003, 20}, 4);
  const Tensor<std::int64_t> ids(Shape{5003});
  for (std::int64_t i = 0; i < 5003; ++i) ids.mutable_data()[i] = i % 20;
  check::any_thread_count([&] {
    Tensor<double> leaf = x.clone();
    leaf.requires_grad_();
    const Tensor<double> loss = cross_entropy(leaf, ids);
    loss.backward();
    return std::vector{loss, leaf.grad()};
  });
  CHECK(check::message([] {
          cross_entropy(zeros<float>({2, 3}), tensor<std::int64_t>({0}));
        }) ==
        "[cross_entropy] logits of shape (2, 3) need class ids of shape (2,), these are (1,)");
  CHECK(check::message([] {
          cross_entropy(zeros<float>({2, 3}), tensor<std::int64_t>({0, 3}));
        }) == "[cross_entropy] class id 3 of row 1 is out of range: there are 3 classes");
  CHECK(check::message([] {
          cross_entropy(zeros<float>({2, 3}), zeros<float>({3}));
        }) ==
        "[cross_entropy] the logits have shape (2, 3), the target has shape (3,): floating targets "
        "are "
        "probabilities of every class, class ids are int64");
  CHECK(check::message([] {
          cross_entropy(zeros<float>({2, 3}), tensor<std::int64_t>({0, -100}));
        }) ==
        "[cross_entropy] class id -100 of row 1 is out of range: there are 3 classes (rows are "
        "left out "
        "by the option ignore_index)");
  CHECK(
      check::message([] {
        cross_entropy(zeros<float>({2, 3, 5}), zeros<std::int64_t>({2, 5}));
      }) ==
      "[cross_entropy] logits of shape (2, 3, 5) need class ids of shape (2, 3), these are (2, 5): "
      "classes lie along the last axis, permute() them there");
}
