#include "tandem/ops/arithmetic.hpp"

#include <cstdint>
#include <limits>

#include "golden.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {
/// x + sign(x)/2: a divisor that keeps away from zero.
Tensor<double> away_from_zero(const Tensor<double>& x) {
  const Tensor<double> out = x.clone();
  double* p = out.mutable_data();
  for (std::int64_t i = 0; i < out.numel(); ++i) p[i] += p[i] < 0 ? -0.5 : 0.5;
  return out;
}
}  // namespace

TEST_CASE("add, sub, mul, div agree with PyTorch") {
  golden::compare("add.broadcast", {"a", "b"}, [](const auto& x) { return x[0] + x[1]; });
  golden::compare("sub.broadcast", {"a", "b"}, [](const auto& x) { return x[0] - x[1]; });
  golden::compare("mul.broadcast", {"a", "b"}, [](const auto& x) { return x[0] * x[1]; });
  golden::compare("div.broadcast", {"a", "b"}, [](const auto& x) { return x[0] / x[1]; });
  golden::compare("div.same", {"a", "b"}, [](const auto& x) { return x[0] / x[1]; });
  golden::compare("neg.tails", {"x"}, [](const auto& x) { return -x[0]; });
}

TEST_CASE("arithmetic: gradients for every way of broadcasting") {
  const std::vector<std::pair<Shape, Shape>> pairs = {
      {{7}, {7}},       {{3, 5}, {5}},    {{5}, {3, 5}},
      {{3, 5}, {3, 1}}, {{3, 1}, {1, 5}}, {{2, 1, 5}, {3, 1}},
      {{}, {3}},        {{31}, {1}},      {{2, 3, 1, 2}, {3, 4, 1}},
      {{33}, {33}},     {{1}, {1}}};
  for (const auto& [a, b] : pairs) {
    INFO(a.str(), " and ", b.str());
    const Tensor<double> x = check::normal(a, 1);
    const Tensor<double> y = away_from_zero(check::normal(b, 2));
    check::gradients([](const auto& v) { return add(v[0], v[1]); }, {x, y});
    check::gradients([](const auto& v) { return sub(v[0], v[1]); }, {x, y});
    check::gradients([](const auto& v) { return mul(v[0], v[1]); }, {x, y});
    check::gradients([](const auto& v) { return div(v[0], v[1]); }, {x, y});
  }
  const Tensor<double> x = away_from_zero(check::normal({3, 7}, 3));
  check::gradients([](const auto& v) { return 2.5 - (v[0] * 3 + 1) / 4 - 2; }, {x});
  check::gradients([](const auto& v) { return 3.0 / v[0]; }, {x});
  check::gradients([](const auto& v) { return v[0] * v[0] + v[0]; }, {x});  // one input twice
}

TEST_CASE("arithmetic: a broadcast operand gives the bits of an expanded copy") {
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    for (const std::int64_t n : {1, 3, 31, 33, 300}) {
      const Tensor<float> x = check::cast<float>(check::normal({5, n}, 1));
      for (const Shape& shape : {Shape{n}, Shape{5, 1}, Shape{}, Shape{1, n}}) {
        const Tensor<float> y = check::cast<float>(check::normal(shape, 2));
        const Tensor<float> full = y.expand({5, n}).clone();
        CHECK(check::same(x - y, x - full));
        CHECK(check::same(y - x, full - x));
        CHECK(check::same(x.transpose(0, 1) / full.transpose(0, 1),
                          (x / y).transpose(0, 1).contiguous()));
      }
    }
  }
}

TEST_CASE("arithmetic: results of empty tensors are empty and carry gradients") {
  const Tensor<double> x = zeros<double>({0, 3}), b = check::normal({3}, 1);
  x.requires_grad_();
  b.requires_grad_();
  const Tensor<double> y = x * b + b;
  CHECK(y.shape() == Shape{0, 3});
  y.backward(y.detach());
  CHECK(x.grad().shape() == Shape{0, 3});
  CHECK(b.grad().to_vector() == std::vector<double>{0, 0, 0});
}

TEST_CASE("arithmetic: integers wrap around, division truncates and refuses zero") {
  const std::int32_t most = std::numeric_limits<std::int32_t>::max(), least = -most - 1;
  const Tensor<std::int32_t> x = tensor<std::int32_t>({most, least, -7});
  CHECK((x + 1).to_vector() == std::vector<std::int32_t>{least, least + 1, -6});
  CHECK((x - tensor<std::int32_t>({-1, 1, 0})).to_vector() ==
        std::vector<std::int32_t>{least, most, -7});
  CHECK((x * 2).to_vector() == std::vector<std::int32_t>{-2, 0, -14});
  CHECK((x / 2).to_vector() == std::vector<std::int32_t>{most / 2, least / 2, -3});
  CHECK((x / -1).to_vector() == std::vector<std::int32_t>{-most, least, 7});
  CHECK((-x).to_vector() == std::vector<std::int32_t>{-most, least, 7});
  const Tensor<std::uint8_t> bytes = tensor<std::uint8_t>({200, 3});
  CHECK((bytes + bytes).to_vector() == std::vector<std::uint8_t>{144, 6});
  CHECK(check::message([&] { x / 0; }) == "[div] an integer was divided by zero");
  CHECK(check::message([&] { x * 0.5; }) == "[mul] the scalar 0.5 is not a value of int32");
  CHECK(check::message([&] { bytes + 256; }) == "[add] the scalar 256 is not a value of uint8");
}

TEST_CASE("arithmetic: bfloat16 is computed in float and rounded once") {
  const Tensor<float> a = check::cast<float>(check::normal({3, 33}, 1)),
                      b = check::cast<float>(check::normal({33}, 2));
  const Tensor<bfloat16> x = a.to<bfloat16>(), y = b.to<bfloat16>();
  const auto wide = [](const auto& f, const Tensor<bfloat16>& u, const Tensor<bfloat16>& v) {
    return f(u.to<float>(), v.to<float>()).template to<bfloat16>();
  };
  const auto plus = [](const auto& u, const auto& v) { return u + v; };
  const auto times = [](const auto& u, const auto& v) { return u * v; };
  CHECK(check::same(x + y, wide(plus, x, y)));
  CHECK(check::same(x * y, wide(times, x, y)));
  y.requires_grad_();
  (x * y).backward(x);
  const Tensor<float> exact = autograd::sum_to_shape((x * x).to<float>(), Shape{33});
  CHECK(check::same(y.grad(), exact.to<bfloat16>()));
}

TEST_CASE("arithmetic: the same bits for every thread count") {
  const Tensor<float> x = check::cast<float>(check::normal({300, 130}, 1)),
                      b = check::cast<float>(check::normal({130}, 2)),
                      c = check::cast<float>(check::normal({300, 1}, 3));
  check::any_thread_count([&] {
    const Tensor<float> u = x.clone(), v = b.clone(), w = c.clone();
    for (const Tensor<float>& t : {u, v, w}) t.requires_grad_();
    const Tensor<float> y = u * v / (w * w + 1) - v;
    y.backward(x);
    return std::vector<Tensor<float>>{y.detach(), u.grad(), v.grad(), w.grad()};
  });
}

TEST_CASE("arithmetic in place") {
  const Tensor<float> x = tensor<float>({{1, 2}, {3, 4}});
  const Tensor<float> row = x.select(0, 0);
  x += row;  // reads itself through another view: the old values count
  CHECK(x.to_vector() == std::vector<float>{2, 4, 4, 6});
  CHECK(row.to_vector() == std::vector<float>{2, 4});
  x -= x.transpose(0, 1);
  CHECK(x.to_vector() == std::vector<float>{0, 0, 0, 0});
  x += 3;
  x.select(1, 1) *= 2;
  x /= tensor<float>({3, 2});
  CHECK(x.to_vector() == std::vector<float>{1, 3, 1, 3});

  CHECK(
      check::message([&] { row += x; }) ==
      "[add in place] shape (2, 2) does not broadcast to (2,), which an operation in place cannot "
      "change");
  CHECK(check::message([&] {
          row.expand({3, 2}) += 1;
        }).find("[add in place] dimension 0 of shape (3, 2) was expanded") == 0);
  const Tensor<float> leaf = tensor<float>({1, 2});
  leaf.requires_grad_();
  CHECK(check::message([&] { leaf += 1; }).find("[add in place] a tensor that collects") == 0);
  CHECK(check::message([&] { row += leaf; }).find("[add in place] has no backward") == 0);
  const NoGrad no_grad;
  leaf -= leaf * 0.5;
  CHECK(leaf.to_vector() == std::vector<float>{0.5, 1});
}

TEST_CASE("arithmetic: a changed operand is noticed by backward") {
  const Tensor<double> x = tensor<double>({1, 2}), w = tensor<double>({3, 4});
  w.requires_grad_();
  const Tensor<double> y = x * w;
  x += 1;
  CHECK(check::message([&] {
          y.backward(ones<double>({2}));
        }).find("[mul] a tensor of shape (2,)") == 0);
}

TEST_CASE("arithmetic: messages") {
  const auto of = [](auto f) {
    return check::message([&] { f(zeros<float>({2, 3}), zeros<float>({4})); });
  };
  CHECK(of([](const auto& a, const auto& b) { a + b; }) ==
        "[add] shapes do not broadcast: (2, 3) and (4,)");
  CHECK(of([](const auto& a, const auto& b) { a - b; }) ==
        "[sub] shapes do not broadcast: (2, 3) and (4,)");
  CHECK(of([](const auto& a, const auto& b) { a* b; }) ==
        "[mul] shapes do not broadcast: (2, 3) and (4,)");
  CHECK(of([](const auto& a, const auto& b) { a / b; }) ==
        "[div] shapes do not broadcast: (2, 3) and (4,)");
  CHECK(check::message([] { Tensor<float>() + 1; }) ==
        "[add] argument x is an undefined tensor (default-constructed)");
}
