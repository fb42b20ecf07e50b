#include "tandem/cpu/precision.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "check.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/ops/attention.hpp"
#include "tandem/ops/linear_bf16.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

/// A product of two factors rounded to bfloat16, to nearest with 8 bits: (1 + 2⁻⁸)² − 1, and as
/// much again as hundreds of float roundings take (2⁻²⁴ each) to stay below one per cent of it.
constexpr double two_roundings = 0x1p-7 * 1.01;

Tensor<float> leaf(const Tensor<float>& x) {
  const Tensor<float> out = x.detach().clone();
  out.requires_grad_();
  return out;
}

/// A matrix of doubles.
struct Matrix {
  std::int64_t rows, cols;
  std::vector<double> at;

  Matrix(std::int64_t r, std::int64_t c)
      : rows(r), cols(c), at(static_cast<std::size_t>(r * c), 0) {}
  explicit Matrix(const Tensor<float>& x) : Matrix(x.size(-2), x.size(-1)) {
    for (std::size_t i = 0; i < at.size(); ++i) at[i] = static_cast<double>(x.data()[i]);
  }
  double& operator()(std::int64_t i, std::int64_t j) {
    return at[static_cast<std::size_t>(i * cols + j)];
  }
  double operator()(std::int64_t i, std::int64_t j) const {
    return at[static_cast<std::size_t>(i * cols + j)];
  }
  Matrix abs() const {
    Matrix out = *this;
    for (double& x : out.at) x = std::fabs(x);
    return out;
  }
  Matrix transposed() const {
    Matrix out(cols, rows);
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < cols; ++j) out(j, i) = (*this)(i, j);
    }
    return out;
  }
  Matrix operator*(const Matrix& b) const {
    Matrix out(rows, b.cols);
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t k = 0; k < cols; ++k) {
        for (std::int64_t j = 0; j < b.cols; ++j) out(i, j) += (*this)(i, k) * b(k, j);
      }
    }
    return out;
  }
};
template <class F>
Matrix each(const Matrix& a, const Matrix& b, F f) {
  Matrix out = a;
  for (std::size_t i = 0; i < out.at.size(); ++i) out.at[i] = f(a.at[i], b.at[i]);
  return out;
}
Matrix sum(const Matrix& a, const Matrix& b) {
  return each(a, b, [](double x, double y) { return x + y; });
}
Matrix scaled(const Matrix& a, double by) {
  return each(a, a, [by](double x, double) { return by * x; });
}

/// Everything of `found` within `bound` of `exact`, and somewhere farther than float alone would
/// be.
void check_near(const Tensor<float>& found, const Matrix& exact, const Matrix& bound) {
  double largest = 0, off = 0;
  std::int64_t outside = 0;
  for (std::size_t i = 0; i < exact.at.size(); ++i) {
    const double error = std::fabs(static_cast<double>(found.data()[i]) - exact.at[i]);
    if (!(error <= bound.at[i] + 1e-6)) ++outside;
    off = std::fmax(off, error);
    largest = std::fmax(largest, std::fabs(exact.at[i]));
  }
  CHECK(outside == 0);
  CHECK(off > 1e-5 * largest);  // the products were rounded
}

}  // namespace

TEST_CASE("precision: linear under bfloat16 multiplies as linear_bf16 does, bit for bit") {
  for (const cpu::Isa isa : cpu::supported_isas()) {
    if (isa > cpu::Isa::avx512_bf16) continue;  // there the two have different kernels
    const cpu::IsaScope scope(isa);
    CAPTURE(std::string(cpu::name(isa)));
    struct Size {
      std::int64_t rows, in, out;
    };
    for (const Size s : {Size{1, 1, 1}, {3, 40, 7}, {37, 33, 29}, {61, 1100, 75}, {197, 64, 130}}) {
      Generator random(3);
      const Tensor<float> x = leaf(randn<float>({s.rows, s.in}, random)), x2 = leaf(x),
                          w = leaf(randn<float>({s.out, s.in}, random)),
                          b = leaf(randn<float>({s.out}, random)), b2 = leaf(b);
      const Tensor<bfloat16> low = w.detach().to<bfloat16>();
      low.requires_grad_();
      const Tensor<float> dy = randn<float>({s.rows, s.out}, random);
      Tensor<float> y;
      {
        const PrecisionScope products(Precision::bfloat16);
        y = linear(x, w, b, Activation::quick_gelu);
      }
      y.backward(dy);  // outside the scope: as the forward
      const Tensor<float> z = linear_bf16(x2, low, b2, Activation::quick_gelu);
      z.backward(dy);
      CHECK(check::same(y, z));
      CHECK(check::same(x.grad(), x2.grad()));
      CHECK(check::same(b.grad(), b2.grad()));
      CHECK(check::same(w.grad().to<bfloat16>(), low.grad()));
    }
  }
}

TEST_CASE(
    "precision: linear's results and gradients lie within bfloat16's bound of the exact ones") {
  Generator random(4);
  const Tensor<float> x = leaf(randn<float>({45, 71}, random)),
                      w = leaf(randn<float>({33, 71}, random)), dy = randn<float>({45, 33}, random);
  {
    const PrecisionScope products(Precision::bfloat16);
    const Tensor<float> y = linear(x, w);
    const Matrix xs(x.detach()), ws(w.detach());
    check_near(y.detach(), xs * ws.transposed(),
               scaled(xs.abs() * ws.abs().transposed(), two_roundings));
    y.backward(dy);
  }
  const Matrix xs(x.detach()), ws(w.detach()), g(dy);
  check_near(x.grad(), g * ws, scaled(g.abs() * ws.abs(), two_roundings));
  check_near(w.grad(), g.transposed() * xs, scaled(g.abs().transposed() * xs.abs(), two_roundings));
}

TEST_CASE("precision: doubles are multiplied in full, and scopes nest") {
  const PrecisionScope products(Precision::bfloat16);
  const double third = 1.0 / 3;
  CHECK(linear(full<double>({1, 1}, third), full<double>({1, 1}, third)).item() == third * third);
  {
    const PrecisionScope inner(Precision::full);
    CHECK(linear(full<float>({1, 1}, 0.1F), full<float>({1, 1}, 0.1F)).item() == 0.1F * 0.1F);
  }
  CHECK(product_precision() == Precision::bfloat16);
  CHECK(linear(full<float>({1, 1}, 0.1F), full<float>({1, 1}, 0.1F)).item() != 0.1F * 0.1F);
}

// With u = two_roundings, S′ = S ± u·s|Q||K|ᵀ. So P′ = P·(1 ± ρ), ρ = e^{2·max δS} − 1, and
//   δO  ≤ (ρ + u(1 + ρ))·P|V|
//   δdV ≤ (ρ + u(1 + ρ))·Pᵀ|dO|
//   δdP ≤ u·|dO||V|ᵀ,  δD ≤ Σ|dO|·δO
//   δdS ≤ s·P(ρ(|dP| + |D|) + (1 + ρ)(δdP + δD)),  δdQ ≤ δdS·|K| + u(|dS| + δdS)|K|,  δdK likewise.
TEST_CASE(
    "precision: attention's results and gradients lie within bfloat16's bound of the exact ones") {
  struct Size {
    std::int64_t queries, keys, width;
    bool causal, masked;
  };
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    CAPTURE(std::string(cpu::name(isa)));
    for (const Size s : {Size{53, 53, 7, true, false},
                         {5, 301, 64, false, true},
                         {101, 97, 16, false, true},
                         {1, 1, 3, false, false}}) {
      CAPTURE(s.queries);
      Generator random(5);
      const Tensor<float> q = leaf(randn<float>({s.queries, s.width}, random)),
                          k = leaf(randn<float>({s.keys, s.width}, random)),
                          v = leaf(randn<float>({s.keys, s.width}, random)),
                          dy = randn<float>({s.queries, s.width}, random);
      AttentionOptions options{.causal = s.causal};
      if (s.masked) {
        options.key_mask = full<bool>({1, s.keys}, true);
        options.query_mask = full<bool>({1, s.queries}, true);
        for (std::int64_t j = 2; j < s.keys; j += 3) options.key_mask.set({0, j}, false);
        for (std::int64_t i = 1; i < s.queries; i += 4) options.query_mask.set({0, i}, false);
      }
      Tensor<float> y;
      {
        const PrecisionScope products(Precision::bfloat16);
        y = scaled_dot_product_attention(q, k, v, options);
      }
      y.backward(dy);

      const double u = two_roundings, scale = 1 / std::sqrt(static_cast<double>(s.width));
      const Matrix Q(q.detach()), K(k.detach()), V(v.detach());
      Matrix G(dy), P = scaled(Q * K.transposed(), scale);
      const Matrix dS_bound = scaled(Q.abs() * K.abs().transposed(), u * scale);
      double delta = 0;
      for (std::int64_t i = 0; i < s.queries; ++i) {
        const bool wanted = !s.masked || i % 4 != 1;
        double total = 0;
        for (std::int64_t j = 0; j < s.keys; ++j) {
          const bool seen = (!s.masked || j % 3 != 2) && (!s.causal || j <= i) && wanted;
          total += P(i, j) = seen ? std::exp(P(i, j)) : 0;
          if (seen) delta = std::fmax(delta, dS_bound(i, j));
        }
        for (std::int64_t j = 0; j < s.keys && wanted; ++j) P(i, j) /= total;
        for (std::int64_t c = 0; c < s.width && !wanted; ++c) G(i, c) = 0;
      }
      const double rho = std::expm1(2 * delta), weight = rho + u * (1 + rho);
      const Matrix O = P * V, dO = scaled(P * V.abs(), weight), dP = G * V.transposed();
      Matrix dS = dP, dS_off = dP;
      const Matrix dP_off = scaled(G.abs() * V.abs().transposed(), u);
      for (std::int64_t i = 0; i < s.queries; ++i) {
        double along = 0, off = 0;
        for (std::int64_t c = 0; c < s.width; ++c) {
          along += G(i, c) * O(i, c);
          off += std::fabs(G(i, c)) * dO(i, c);
        }
        for (std::int64_t j = 0; j < s.keys; ++j) {
          const double p = scale * P(i, j);
          dS(i, j) = p * (dP(i, j) - along);
          dS_off(i, j) = p * (rho * (std::fabs(dP(i, j)) + std::fabs(along)) +
                              (1 + rho) * (dP_off(i, j) + off));
        }
      }
      const Matrix dS_all = sum(scaled(sum(dS.abs(), dS_off), u), dS_off);
      if (s.keys == 1) {  // one key has all the weight: only V is rounded, and no score matters
        CHECK(y.detach().data()[0] ==
              static_cast<float>(static_cast<bfloat16>(v.detach().data()[0])));
        continue;
      }
      check_near(y.detach(), O, dO);
      check_near(v.grad(), P.transposed() * G, scaled(P.transposed() * G.abs(), weight));
      check_near(q.grad(), dS * K, dS_all * K.abs());
      check_near(k.grad(), dS.transposed() * Q, dS_all.transposed() * Q.abs());
    }
  }
}
