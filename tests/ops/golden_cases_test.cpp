/// Arithmetic, reductions and shape ops against PyTorch in float64 (tests/golden/ops.npz), gradients by
/// differences at odd shapes in dense and strided layouts, messages, thread counts.

#include "golden.hpp"
#include "tandem/ops/argmax.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/clamp.hpp"
#include "tandem/ops/compare.hpp"
#include "tandem/ops/cumsum.hpp"
#include "tandem/ops/dropout.hpp"
#include "tandem/ops/logsumexp.hpp"
#include "tandem/ops/max.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/min.hpp"
#include "tandem/ops/pad.hpp"
#include "tandem/ops/stack.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/ops/where.hpp"

using namespace tandem;
using Inputs = std::vector<Tensor<double>>;

TEST_CASE("arithmetic: PyTorch's values and gradients under broadcasting") {
  const std::vector<std::string> ab{"a", "b"};
  golden::compare("add.broadcast", ab, [](const Inputs& x) { return x[0] + x[1]; });
  golden::compare("sub.broadcast", ab, [](const Inputs& x) { return x[0] - x[1]; });
  golden::compare("mul.broadcast", ab, [](const Inputs& x) { return x[0] * x[1]; });
  golden::compare("div.broadcast", ab, [](const Inputs& x) { return x[0] / x[1]; });
  golden::compare("div.same", ab, [](const Inputs& x) { return x[0] / x[1]; });
}

TEST_CASE("arithmetic: gradients by differences, every broadcast, dense and strided") {
  const std::vector<std::pair<Shape, Shape>> shapes{
      {{1}, {1}},    {{33}, {33}},      {{3, 7}, {7}},    {{3, 7}, {3, 1}},
      {{3, 7}, {}},  {{2, 1, 5}, {3, 1}}, {{1, 31}, {2, 1}}, {{4, 1, 3}, {4, 5, 3}}};
  std::uint64_t seed = 0;
  for (const auto& [a, b] : shapes) {
    INFO(a.str(), " and ", b.str());
    const Tensor<double> x = check::normal(a, ++seed), y = check::normal(b, ++seed);
    const Tensor<double> away = y * y + 0.5;  // a divisor that is never near 0
    check::gradients([](const auto& in) { return in[0] + in[1]; }, {x, y});
    check::gradients([](const auto& in) { return in[0] - in[1]; }, {x, y});
    check::gradients([](const auto& in) { return in[0] * in[1]; }, {x, y});
    check::gradients([](const auto& in) { return in[0] / in[1]; }, {x, away});
    check::gradients([](const auto& in) { return -in[0] * 3 + 1; }, {x});
  }
  CHECK(check::message([] { zeros<float>({2, 3}) + zeros<float>({4}); }) ==
        "[add] shapes do not broadcast: (2, 3) and (4,)");
  CHECK((zeros<float>({0, 3}) + zeros<float>({3})).shape() == Shape{0, 3});
  CHECK((tensor<std::int64_t>({7, -7}) / tensor<std::int64_t>({2, 2})).to_vector() ==
        std::vector<std::int64_t>{3, -3});
  CHECK(check::message([] { tensor<std::int64_t>({1}) / tensor<std::int64_t>({0}); }) != "");
}

TEST_CASE("compare and where: values, PyTorch's gradients") {
  const Tensor<double> x = tensor<double>({1, 2, NAN}), y = tensor<double>({2, 2, 2});
  CHECK(lt(x, y).to_vector() == std::vector<bool>{true, false, false});
  CHECK(le(x, y).to_vector() == std::vector<bool>{true, true, false});
  CHECK(eq(x, y).to_vector() == std::vector<bool>{false, true, false});
  CHECK(ne(x, y).to_vector() == std::vector<bool>{true, false, true});
  CHECK(gt(x, y).to_vector() == std::vector<bool>{false, false, false});
  CHECK(ge(x, y).to_vector() == std::vector<bool>{false, true, false});
  const Tensor<bool> mask = golden::mask("where.broadcast.mask");
  golden::compare("where.broadcast", {"a", "b"}, [&](const Inputs& in) { return where(mask, in[0], in[1]); });
  golden::compare("clamp.both", {"x"}, [](const Inputs& in) { return clamp(in[0], -0.5, 0.7); });
}

TEST_CASE("sum and mean: PyTorch, differences, precision, thread counts") {
  golden::compare("sum.all", {"x"}, [](const Inputs& in) { return sum(in[0]); });
  golden::compare("sum.dim1", {"x"}, [](const Inputs& in) { return sum(in[0], 1); });
  golden::compare("sum.dims02_keepdim", {"x"}, [](const Inputs& in) { return sum(in[0], Shape{0, 2}, true); });
  golden::compare("mean.all", {"x"}, [](const Inputs& in) { return mean(in[0]); });
  golden::compare("mean.dim2_keepdim", {"x"}, [](const Inputs& in) { return mean(in[0], 2, true); });
  for (const Shape& shape : {Shape{1}, Shape{31}, Shape{3, 7}, Shape{5, 33, 2}}) {
    const Tensor<double> x = check::normal(shape, 3);
    for (int d = 0; d < shape.rank(); ++d) {
      check::gradients([d](const auto& in) { return sum(in[0], d); }, {x});
      check::gradients([d](const auto& in) { return mean(in[0], d, true); }, {x});
    }
  }
  Generator random(4);
  const Tensor<float> big = rand<float>({300000}, random);
  double exact = 0;
  for (float v : big.to_vector()) exact += static_cast<double>(v);
  // Wide and pairwise accumulation: the error grows like log n·ε of the sum, not like n·ε.
  CHECK(std::fabs(static_cast<double>(sum(big).item()) - exact) < 20 * 6e-8 * exact);
  check::any_thread_count([&] {
    const Tensor<float> x = big.view({300, 1000});
    return std::vector<Tensor<float>>{sum(big), sum(x, 0), sum(x, 1), mean(x)};
  });
  CHECK(sum(zeros<float>({0, 3})).item() == 0);
}

TEST_CASE("max, min, argmax, logsumexp, cumsum: PyTorch, ties, NaN, infinities") {
  golden::compare("max.dim1", {"x"}, [](const Inputs& in) { return max(in[0], 1).values; });
  golden::compare("min.dim1", {"x"}, [](const Inputs& in) { return min(in[0], 1).values; });
  CHECK(check::same(max(golden::get("max.dim1.x"), 1).indices, golden::ids("max.dim1.indices")));
  CHECK(check::same(min(golden::get("min.dim1.x"), 1).indices, golden::ids("min.dim1.indices")));
  CHECK(check::same(argmax(golden::get("max.dim1.x"), 1), golden::ids("max.dim1.indices")));
  golden::compare("logsumexp.dim1", {"x"}, [](const Inputs& in) { return logsumexp(in[0], 1); });
  golden::compare("logsumexp.dim2_large", {"x"}, [](const Inputs& in) { return logsumexp(in[0], 2); });
  golden::compare("cumsum.dim1", {"x"}, [](const Inputs& in) { return cumsum(in[0], 1); });
  CHECK(max(tensor<float>({2, 5, 5}), 0).indices.item() == 1);  // equal: the first
  CHECK(std::isnan(max(tensor<float>({2, NAN, 5}), 0).values.item()));
  const double inf = INFINITY;
  CHECK(logsumexp(tensor<double>({-inf, -inf}), 0).item() == -inf);
  CHECK(logsumexp(tensor<double>({1000, 1000}), 0).item() == doctest::Approx(1000 + std::log(2.0)));
  for (const Shape& shape : {Shape{1}, Shape{33}, Shape{3, 7}, Shape{2, 5, 31}}) {
    const Tensor<double> x = check::normal(shape, 8);
    for (int d = 0; d < shape.rank(); ++d) {
      check::gradients([d](const auto& in) { return logsumexp(in[0], d); }, {x});
      check::gradients([d](const auto& in) { return cumsum(in[0], d); }, {x});
      check::gradients([d](const auto& in) { return max(in[0], d).values; }, {x});
    }
  }
}

TEST_CASE("cat, stack, pad, to: PyTorch and differences") {
  golden::compare("cat.dim1", {"a", "b"}, [](const Inputs& in) { return cat(Inputs{in[0], in[1]}, 1); });
  golden::compare("stack.dim1", {"a", "b"}, [](const Inputs& in) { return stack(Inputs{in[0], in[1]}, 1); });
  golden::compare("pad.constant", {"x"}, [](const Inputs& in) { return pad(in[0], {{0, 1}, {1, 2}}, 0.25); });
  check::gradients([](const auto& in) { return cat(Inputs{in[0], in[1], in[0]}, 0); },
                   {check::normal({3, 5}, 1), check::normal({2, 5}, 2)});
  CHECK(check::message([] { cat(std::vector<Tensor<float>>{zeros<float>({2, 3}), zeros<float>({2, 4})}, 0); }) != "");
  CHECK(check::message([] { cat(std::vector<Tensor<float>>{}, 0); }) ==
        "[cat] there is nothing to join: the list is empty");
  const Tensor<float> x = tensor<float>({1, -2.5F});
  x.requires_grad_();
  x.to<double>().backward(tensor<double>({3, 4}));
  CHECK(x.grad().to_vector() == std::vector<float>{3, 4});
  CHECK(x.detach().to<std::int64_t>().to_vector() == std::vector<std::int64_t>{1, -2});
  CHECK(static_cast<float>(x.detach().to<bfloat16>().at({1})) == -2.5F);
}

TEST_CASE("dropout: the same mask for any thread count; gradient is the mask; the mean stays") {
  const Tensor<double> x = ones<double>({50000});
  x.requires_grad_();
  check::any_thread_count([&] {
    Generator random(6);
    return std::vector<Tensor<double>>{dropout(x.detach(), 0.25, random)};
  });
  Generator random(6);
  const Tensor<double> y = dropout(x, 0.25, random);
  y.backward(ones<double>({50000}));
  CHECK(check::same(x.grad(), y.detach()));  // both are mask/(1 − p)
  double total = 0;
  for (double v : y.detach().to_vector()) {
    REQUIRE((v == 0 || v == 1 / 0.75));
    total += v / 50000;
  }
  // One element has variance p/(1 − p) = 1/3.
  CHECK(std::fabs(total - 1) < 5 * std::sqrt(1.0 / 3 / 50000));
}
