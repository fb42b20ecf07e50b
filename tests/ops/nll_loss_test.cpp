#include "tandem/ops/nll_loss.hpp"

#include "golden.hpp"
#include "tandem/ops/cross_entropy.hpp"

using namespace tandem;

namespace {

struct RowReduction {
  const char* name;
  Reduction reduction;
};
constexpr RowReduction row_reductions[] = {
    {"mean", Reduction::mean}, {"sum", Reduction::sum}, {"none", Reduction::none}};

}  // namespace

TEST_CASE("nll_loss and cross_entropy with weights and smoothing agree with PyTorch") {
  const Tensor<std::int64_t> ids = golden::ids("class_ids");
  for (const auto& [reduction_name, reduction] : row_reductions) {
    const Tensor<double> w = golden::get(concat("class_weight.", reduction_name));
    for (const std::string name : {"plain", "weighted", "ignored", "bare_ignored"}) {
      NllOptions<double> options{.reduction = reduction};
      if (name == "weighted" || name == "ignored") options.weight = w;
      if (name == "ignored") options.ignore_index = 2;
      if (name == "bare_ignored") options.ignore_index = 4;
      golden::compare(concat("nll_loss.", name, "_", reduction_name), {"x"},
                      [&](const auto& v) { return nll_loss(v[0], ids, options); });
      for (const double smoothing : {0.0, 0.2}) {
        options.label_smoothing = smoothing;
        if (smoothing == 0 && !options.weight.defined()) continue;
        golden::compare(
            concat("cross_entropy.", name, smoothing > 0 ? "_2_" : "_0_", reduction_name), {"x"},
            [&](const auto& v) { return cross_entropy(v[0], ids, options); });
      }
    }
  }
}

TEST_CASE("nll_loss: gradients in every layout; ids of more dimensions") {
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({{0, 1, 2}, {3, 1, -7}});
  const Tensor<double> x = check::normal({2, 3, 4}, 1), w = tensor<double>({1, 0.5, 2, 0});
  for (const auto& [name, reduction] : row_reductions) {
    const NllOptions<double> options{
        .reduction = reduction, .ignore_index = -7, .weight = w, .label_smoothing = 0.1};
    check::gradients([&](const auto& v) { return nll_loss(v[0], ids, options); }, {x});
    check::gradients([&](const auto& v) { return cross_entropy(v[0], ids, options); }, {x});
  }
}

TEST_CASE("nll_loss: nothing takes part; what is wrong") {
  const Tensor<float> x = zeros<float>({2, 3});
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({0, 2});
  x.requires_grad_();
  const Tensor<std::int64_t> same = tensor<std::int64_t>({9, 9});
  const Tensor<float> loss = nll_loss(x, same, {.ignore_index = 9});
  CHECK(loss.item() == 0);
  loss.backward();
  CHECK(check::same(x.grad(), zeros<float>({2, 3})));
  CHECK(nll_loss(x, ids, {.weight = zeros<float>({3})}).item() == 0);
  CHECK(nll_loss(zeros<float>({0, 3}), zeros<std::int64_t>({0}), {.label_smoothing = 0.1}).item() ==
        0);
  CHECK(check::message([&] { nll_loss(x, same); }) ==
        "[nll_loss] class id 9 of row 0 is out of range: there are 3 classes");
  CHECK(check::message([&] { nll_loss(x, ids.unsqueeze(0)); }) ==
        "[nll_loss] log-probabilities of shape (2, 3) need class ids of shape (2,), these are (1, "
        "2)");
  CHECK(check::message([&] { cross_entropy(x, ids, {.weight = ones<float>({2})}); }) ==
        "[cross_entropy] the weights of the classes must have shape (3,), they have (2,)");
  CHECK(check::message([&] { cross_entropy(x, ids, {.label_smoothing = 1.5}); }) ==
        "[cross_entropy] the label smoothing must be from 0 to 1, it is 1.5");
  const Tensor<float> learned = ones<float>({3});
  learned.requires_grad_();
  CHECK(check::message([&] { nll_loss(x, ids, {.weight = learned}); }).find("[nll_loss]") == 0);
}
