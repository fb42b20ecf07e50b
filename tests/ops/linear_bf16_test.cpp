#include "tandem/ops/linear_bf16.hpp"

#include "check.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

constexpr Activation every_activation[] = {Activation::none, Activation::relu, Activation::gelu,
                                           Activation::quick_gelu};

/// Values and gradients of one call: y, dx, dw, db, dr.
struct Outcome {
  Tensor<double> y, dx, dw, db, dr;
};

Tensor<float> leaf(const Tensor<double>& x) {
  const Tensor<float> out = check::cast<float>(x);
  out.requires_grad_();
  return out;
}

Outcome run(const Tensor<double>& x, const Tensor<double>& w, const Tensor<double>& b,
            const Tensor<double>& r, Activation activation, const Tensor<double>& cotangent) {
  const Tensor<float> xs = leaf(x), bs = leaf(b), rs = leaf(r);
  const Tensor<bfloat16> ws = check::cast<float>(w).to<bfloat16>();
  ws.requires_grad_();
  const Tensor<float> y = linear_bf16(xs, ws, bs, activation, rs);
  y.backward(check::cast<float>(cotangent));
  return {check::cast<double>(y.detach()), check::cast<double>(xs.grad()),
          check::cast<double>(ws.grad()), check::cast<double>(bs.grad()),
          check::cast<double>(rs.grad())};
}

Outcome reference(const Tensor<double>& x, const Tensor<double>& w, const Tensor<double>& b,
                  const Tensor<double>& r, Activation activation, const Tensor<double>& cotangent) {
  const std::vector<Tensor<double>> leaves{x.clone(), w.clone(), b.clone(), r.clone()};
  for (const Tensor<double>& t : leaves) t.requires_grad_();
  const Tensor<double> y = linear(leaves[0], leaves[1], leaves[2], activation, leaves[3]);
  y.backward(cotangent);
  return {y.detach(), leaves[0].grad(), leaves[1].grad(), leaves[2].grad(), leaves[3].grad()};
}

/// Small integers: exact in bfloat16, and so are all sums of their products in float.
Tensor<double> integers(const Shape& shape, std::uint64_t seed, std::uint64_t range) {
  Generator random(seed);
  const Tensor<double> out(shape);
  double* p = out.mutable_data();
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    p[i] = static_cast<double>(random.next_below(2 * range + 1)) - static_cast<double>(range);
  }
  return out;
}

}  // namespace

TEST_CASE("linear_bf16 is linear, bit for bit, where bfloat16 is exact") {
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    INFO("instruction set ", cpu::name(isa));
    for (const Shape& shape : {Shape{1, 7}, Shape{3, 33}, Shape{2, 5, 64}, Shape{19}}) {
      const std::int64_t in = shape.back(), out = 17;
      Shape result = shape;
      result[result.rank() - 1] = out;
      const Tensor<double> x = integers(shape, 1, 3), w = integers({out, in}, 2, 2),
                           b = integers({out}, 3, 9), r = integers(result, 4, 9),
                           g = integers(result, 5, 1);
      for (const Activation activation : {Activation::none, Activation::relu}) {
        const Outcome ours = run(x, w, b, r, activation, g),
                      exact = reference(x, w, b, r, activation, g);
        CHECK(check::same(ours.y, exact.y));
        CHECK(check::same(ours.dx, exact.dx));
        CHECK(check::same(ours.dw, exact.dw));
        CHECK(check::same(ours.db, exact.db));
        CHECK(check::same(ours.dr, exact.dr));
      }
    }
  }
}

TEST_CASE("linear_bf16: values and gradients follow double within the rounding of the operands") {
  const std::int64_t rows = 40, in = 129, out = 65;
  const Tensor<double> x = check::normal({rows, in}, 1), w = check::normal({out, in}, 2),
                       b = check::normal({out}, 3), r = check::normal({rows, out}, 4),
                       g = check::normal({rows, out}, 5);
  // An operand is off by at most 2⁻⁹ of itself; the errors of a sum of n products of normal numbers
  // are independent: √2·2⁻⁹/√3·√n standard deviations, of which six are allowed for 2600 numbers.
  const auto bound = [](std::int64_t n) {
    return 6 * 1.4143 * 0x1p-9 / 1.732 * std::sqrt(double(n));
  };
  for (const Activation activation : every_activation) {
    const Outcome ours = run(x, w, b, r, activation, g),
                  exact = reference(x, w, b, r, activation, g);
    // The steepest of the every_activation
    const double slope = activation == Activation::none ? 1 : 1.2;
    CHECK(check::distance(ours.y, exact.y) < slope * bound(in));
    if (activation != Activation::relu) {  // whose slope jumps where z is rounded to the other side
      // dz carries z's error times the curvature (below 0.9) and is rounded itself.
      const double dz = bound(in) * (activation == Activation::none ? 0 : 0.9) * 4;
      CHECK(check::distance(ours.dx, exact.dx) < slope * bound(out) + dz * std::sqrt(double(out)));
      CHECK(check::distance(ours.dw, exact.dw) <
            slope * bound(rows) + dz * std::sqrt(double(rows)) + 30 * 0x1p-9);
      CHECK(check::distance(ours.db, exact.db) < 1e-5 + dz * std::sqrt(double(rows)));
    }
    CHECK(check::distance(ours.dr, exact.dr) < 1e-6);
    double largest = 0;
    for (const double v : ours.dx.to_vector()) largest = std::max(largest, std::fabs(v));
    CHECK(largest > 1);  // of √65 expected
  }
}

TEST_CASE("linear_bf16: a frozen weight, strided operands, thread counts, nothing") {
  const Tensor<float> x = check::cast<float>(check::normal({300, 129}, 1)),
                      b = check::cast<float>(check::normal({65}, 3));
  const Tensor<bfloat16> w = check::cast<float>(check::normal({65, 129}, 2)).to<bfloat16>();
  check::any_thread_count([&] {
    const Tensor<float> a = x.clone();
    a.requires_grad_();
    const Tensor<float> y = linear_bf16(a, w, b, Activation::quick_gelu);
    y.backward(y.detach());
    return std::vector{y, a.grad()};
  });
  CHECK_FALSE(linear_bf16(x, w, b).requires_grad());
  const Tensor<float> y = linear_bf16(x, w, b);
  CHECK(check::same(linear_bf16(autograd::make_strided(x), autograd::make_strided(w), b), y));
  CHECK(check::same(linear_bf16(x.view({3, 100, 129}), w, b), y.view({3, 100, 65})));
  CHECK(linear_bf16(zeros<float>({0, 129}), w, b).shape() == Shape{0, 65});
}

TEST_CASE("linear and linear_bf16 keep the input only for a weight that learns") {
  const Tensor<float> x = zeros<float>({512, 1024});
  x.requires_grad_();
  const Tensor<float> w = zeros<float>({8, 1024});
  const Tensor<bfloat16> low = zeros<bfloat16>({8, 1024});
  const auto kept = [&](auto&& call) {
    const Tensor<float> h = x.clone();  // part of the graph, so that nobody else holds it
    const std::int64_t before = memory_stats().current;
    Tensor<float> y = call(h.clone());
    const std::int64_t during = memory_stats().current;
    static_cast<void>(y);
    return during - before;
  };
  constexpr std::int64_t one = 512 * 1024 * 4;
  CHECK(kept([&](const Tensor<float>& h) { return linear(h, w); }) < one / 4);
  CHECK(kept([&](const Tensor<float>& h) { return linear_bf16(h, low); }) < one / 4);
  w.requires_grad_();
  low.requires_grad_();
  CHECK(kept([&](const Tensor<float>& h) { return linear(h, w); }) >= one);
  CHECK(kept([&](const Tensor<float>& h) { return linear_bf16(h, low); }) >= one / 2);
}

TEST_CASE("linear_bf16 says what is wrong") {
  const Tensor<bfloat16> w = zeros<bfloat16>({3, 2});
  CHECK(check::message([&] {
          linear_bf16(zeros<float>({4, 3}), w);
        }) == "[linear_bf16] x of shape (4, 3) does not fit a weight (out, in) of shape (3, 2)");
  CHECK(check::message([&] {
          linear_bf16(zeros<float>({4, 2}), w, zeros<float>({2}));
        }) == "[linear_bf16] the bias has shape (2,), expected (3,)");
  CHECK(check::message([&] {
          linear_bf16(zeros<float>({4, 2}), w, {}, Activation::none, zeros<float>({3}));
        }) == "[linear_bf16] the residual has shape (3,), the result (4, 3)");
}
