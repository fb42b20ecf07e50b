// Attention under Precision::bfloat16: kernels/attention_mma.cu up to 128 columns,
// kernels/attention.cu with rounded factors beyond; the CPU's own. Bounds are worked out for each
// element from what is rounded.

#include <algorithm>
#include <cmath>
#include <limits>

#include "devices.hpp"
#include "tandem/ops/attention.hpp"

using namespace tandem;

namespace {

/// Under ThreadSanitizer, which takes minutes for more, sizes stay small.
#if defined(__SANITIZE_THREAD__)
constexpr bool small_only = true;
#else
constexpr bool small_only = false;
#endif

/// (batch·heads, positions, columns) of doubles.
struct Heads {
  std::int64_t heads, rows, columns;
  std::vector<double> at;
  Heads(std::int64_t h, std::int64_t r, std::int64_t c)
      : heads(h), rows(r), columns(c), at(static_cast<std::size_t>(h * r * c), 0) {}
  double& operator()(std::int64_t h, std::int64_t r, std::int64_t c) {
    return at[static_cast<std::size_t>((h * rows + r) * columns + c)];
  }
};
Heads rounded(Heads x) {
  for (double& v : x.at) v = static_cast<double>(bfloat16(v));
  return x;
}

struct Problem {
  std::int64_t batch, heads, queries, keys, width;
  bool causal = false, masked = false;
};
/// What is attended to: the masks that tests give to the op.
bool wanted(const Problem& p, std::int64_t b, std::int64_t i) {
  return !p.masked || (i + b) % 3 != 2;
}
bool seen(const Problem& p, std::int64_t b, std::int64_t j) {
  return !p.masked || ((j + b) % 5 != 1 && (j < 64 || j >= 128 || b == 1));  // a tile without keys
}

/// A result, exact but for the rounding of q, k, v and dO as factors, and how far the op may be
/// from it.
struct Exact {
  Heads value, bound;
  Exact(std::int64_t h, std::int64_t r, std::int64_t c) : value(h, r, c), bound(h, r, c) {}
};

/// Attention and its gradients by the formulas, in double; q, k, v, g: the numbers that the op
/// gets.
///
/// Bounds: a weight, as a factor, is off by a rounding (2⁻⁸), an exponential and a score; a score
/// s·Σ q·k by d roundings of its sum, s and L, all of them relative to s·Σ|q·k| (float_eps each).
/// Everything else is a sum whose terms are off by that, and D by what O is off by. Sums of n
/// floats add n·float_eps of their absolute terms.
std::vector<Exact> by_formulas(const Problem& p, const Heads& q, const Heads& k, const Heads& v,
                               const Heads& g) {
  const std::int64_t n = p.batch * p.heads, d = p.width;
  const double eps = devices::float_eps, scale = 1 / std::sqrt(static_cast<double>(d));
  std::vector<Exact> out{Exact(n, p.queries, d), Exact(n, p.queries, d), Exact(n, p.keys, d),
                         Exact(n, p.keys, d)};
  Heads ql = rounded(q), kl = rounded(k), vl = rounded(v), gl = rounded(g), whole = g;
  const double terms = static_cast<double>(d + std::max(p.queries, p.keys)) + 8;
  for (std::int64_t h = 0; h < n; ++h) {
    const std::int64_t b = h / p.heads;
    for (std::int64_t i = 0; i < p.queries; ++i) {
      if (!wanted(p, b, i)) continue;
      std::vector<std::int64_t> keys;
      for (std::int64_t j = 0; j < (p.causal ? std::min(i + 1, p.keys) : p.keys); ++j) {
        if (seen(p, b, j)) keys.push_back(j);
      }
      std::vector<double> w, dp, dp_size;
      double top = -INFINITY, sum = 0, size = 0;
      for (const std::int64_t j : keys) {
        double s = 0, absolute = 0, along = 0, along_size = 0;
        for (std::int64_t c = 0; c < d; ++c) {
          s += scale * ql(h, i, c) * kl(h, j, c);
          absolute += scale * std::fabs(ql(h, i, c) * kl(h, j, c));
          along += gl(h, i, c) * vl(h, j, c);
          along_size += std::fabs(gl(h, i, c) * vl(h, j, c));
        }
        w.push_back(s);
        dp.push_back(along);
        dp_size.push_back(along_size);
        top = std::max(top, s);
        size = std::max(size, absolute);
      }
      for (double& x : w) sum += x = std::exp(x - top);
      for (double& x : w) x /= sum;
      // Of a weight, before and after it is rounded: its own score, L's, and L itself
      const double exact_weight = (2 * terms * (size + 4) + 2 * devices::function_error) * eps,
                   weight = 0x1p-8 + exact_weight;
      double dot = 0, dot_off = 0;
      for (std::int64_t c = 0; c < d; ++c) {
        double o = 0, absolute = 0;
        for (std::size_t l = 0; l < keys.size(); ++l) {
          o += w[l] * vl(h, keys[l], c);
          absolute += w[l] * std::fabs(vl(h, keys[l], c));
        }
        out[0].value(h, i, c) = o;
        out[0].bound(h, i, c) = (weight + terms * eps) * absolute;
        dot += whole(h, i, c) * o;
        dot_off += std::fabs(whole(h, i, c)) * (out[0].bound(h, i, c) + terms * eps * absolute);
      }
      for (std::size_t l = 0; l < keys.size(); ++l) {
        const std::int64_t j = keys[l];
        const double ds = scale * w[l] * (dp[l] - dot);
        const double ds_off =
            std::fabs(ds) * weight + scale * w[l] * 1.01 * (dot_off + terms * eps * dp_size[l]);
        for (std::int64_t c = 0; c < d; ++c) {
          out[1].value(h, i, c) += ds * kl(h, j, c);
          out[1].bound(h, i, c) += (ds_off + terms * eps * std::fabs(ds)) * std::fabs(kl(h, j, c));
          out[2].value(h, j, c) += ds * ql(h, i, c);
          out[2].bound(h, j, c) += (ds_off + terms * eps * std::fabs(ds)) * std::fabs(ql(h, i, c));
          out[3].value(h, j, c) += w[l] * gl(h, i, c);
          out[3].bound(h, j, c) += w[l] * (weight + terms * eps) * std::fabs(gl(h, i, c));
        }
      }
    }
  }
  return out;
}

Heads heads_of(const Tensor<float>& x) {
  Heads out(x.size(0) * x.size(1), x.size(2), x.size(3));
  for (std::size_t i = 0; i < out.at.size(); ++i) out.at[i] = static_cast<double>(x.data()[i]);
  return out;
}
Tensor<bool> mask_of(const Problem& p, std::int64_t n,
                     bool (*takes_part)(const Problem&, std::int64_t, std::int64_t)) {
  Tensor<bool> mask(Shape{p.batch, n});
  for (std::int64_t i = 0; i < mask.numel(); ++i)
    mask.mutable_data()[i] = takes_part(p, i / n, i % n);
  return mask;
}

/// The output and the three gradients of attention under bfloat16.
std::vector<Tensor<float>> low(const Problem& p, Device device, std::uint64_t seed = 1,
                               std::vector<Tensor<float>>* inputs = nullptr) {
  std::vector<Tensor<float>> x;
  for (const std::uint64_t i : {0U, 1U, 2U, 3U}) {
    const std::int64_t rows = i % 3 == 0 ? p.queries : p.keys;
    x.push_back(check::cast<float>(devices::normal({p.batch, p.heads, rows, p.width}, seed + i)));
    if (inputs != nullptr) inputs->push_back(x.back());
    x.back() = x.back().to(device).clone();
    if (i < 3) x.back().requires_grad_();
  }
  AttentionOptions options{.causal = p.causal};
  if (p.masked) {
    options.key_mask = mask_of(p, p.keys, seen).to(device);
    options.query_mask = mask_of(p, p.queries, wanted).to(device);
  }
  Tensor<float> y;
  {
    const PrecisionScope products(Precision::bfloat16);
    y = scaled_dot_product_attention(x[0], x[1], x[2], options);
  }
  y.backward(x[3]);  // multiplies as the forward did
  return {y.detach(), x[0].grad(), x[1].grad(), x[2].grad()};
}

/// Within the bounds everywhere; and, somewhere, farther off than floats would be.
void follows(const std::vector<Tensor<float>>& got, const std::vector<Exact>& exact,
             bool is_rounded = true) {
  for (std::size_t which = 0; which < exact.size(); ++which) {
    CAPTURE(which);
    const Tensor<float> there = got[which].to(Device::cpu());
    const Heads &value = exact[which].value, &bound = exact[which].bound;
    REQUIRE(there.numel() == static_cast<std::int64_t>(value.at.size()));
    std::int64_t outside = 0, far = 0;
    for (std::size_t i = 0; i < value.at.size(); ++i) {
      const double error = std::fabs(static_cast<double>(there.data()[i]) - value.at[i]);
      outside += !(error <= bound.at[i]);
      far += error > 0x1p-6 * bound.at[i];
    }
    CHECK(outside == 0);
    if (is_rounded) CHECK(far > 0);
  }
}

}  // namespace

TEST_CASE(
    "attention under bfloat16: every size, masks and causal, against the formulas in double") {
  for (const Problem p :
       {Problem{1, 1, 1, 1, 64}, Problem{1, 2, 16, 16, 64}, Problem{2, 1, 31, 31, 64},
        Problem{1, 1, 64, 64, 64}, Problem{1, 2, 77, 77, 64}, Problem{1, 1, 197, 197, 64},
        Problem{1, 1, 33, 130, 64}, Problem{1, 1, 130, 33, 64}, Problem{1, 1, 70, 70, 1},
        Problem{1, 2, 65, 66, 17}, Problem{1, 1, 77, 77, 32}, Problem{1, 1, 77, 77, 80},
        Problem{1, 1, 70, 65, 128}, Problem{1, 1, 33, 65, 129}}) {
    for (const int which : {0, 1, 2, 3}) {
      if (which % 3 != 0 && p.width != 64) continue;
      if (small_only && (p.queries * p.keys > 1000 || which != 3)) continue;
      Problem q = p;
      q.causal = (which & 1) != 0;
      q.masked = (which & 2) != 0;
      CAPTURE(q.queries);
      CAPTURE(q.keys);
      CAPTURE(q.width);
      CAPTURE(which);
      std::vector<Tensor<float>> x;
      low(q, Device::cpu(), 1, &x);
      const std::vector<Exact> expected =
          by_formulas(q, heads_of(x[0]), heads_of(x[1]), heads_of(x[2]), heads_of(x[3]));
      // One weight of 1 is not rounded: then nothing is but what by_formulas rounds too.
      devices::each([&](Device device) { follows(low(q, device), expected, q.keys > 1); });
    }
  }
}

TEST_CASE("attention under bfloat16: the same bits in any order of the threads") {
  for (const Problem p :
       {Problem{1, 1, 66, 67, 32, true, true}, Problem{2, 2, 77, 77, 64, true, true},
        Problem{1, 1, 130, 197, 64}, Problem{1, 1, 65, 33, 129, false, true}}) {
    if (small_only && p.width != 32) continue;
    devices::same_in_every_order([&](Device device) { return low(p, device); });
  }
}

TEST_CASE("self_attention under bfloat16 is attention of its three parts, bit for bit") {
  constexpr std::int64_t t = small_only ? 20 : 77, heads = 2, d = 40;
  const Tensor<bool> valid = mask_of({2, heads, t, t, d, true, true}, t, seen);
  devices::each([&](Device device) {
    const PrecisionScope products(Precision::bfloat16);
    const auto run = [&](bool packed) {
      Tensor<float> x = check::cast<float>(devices::normal({2, t, 3 * heads * d}, 5)).to(device);
      x.requires_grad_();
      const auto part = [&](std::int64_t i) {
        return x.slice(2, i * heads * d, (i + 1) * heads * d)
            .reshape({2, t, heads, d})
            .permute({0, 2, 1, 3});
      };
      const Tensor<float> y =
          packed ? self_attention(x, heads, valid.to(device), true)
                 : scaled_dot_product_attention(part(0), part(1), part(2),
                                                {.key_mask = valid.to(device), .causal = true})
                       .permute({0, 2, 1, 3})
                       .reshape({2, t, heads * d});
      y.backward(check::cast<float>(devices::normal({2, t, heads * d}, 6)).to(device));
      return std::vector{y.detach().to(Device::cpu()), x.grad().to(Device::cpu())};
    };
    const auto one = run(true), other = run(false);
    for (std::size_t i = 0; i < 2; ++i) CHECK(check::same(one[i], other[i]));
  });
}

TEST_CASE("attention under bfloat16: what takes no part may hold anything") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(),
                  inf = std::numeric_limits<float>::infinity();
  for (const std::int64_t d : {16, 130}) {
    if (small_only && d != 16) continue;
    const Problem p{2, 1, 150, 150, d, true, true};
    devices::each([&](Device device) {
      const auto run = [&](bool spoilt) {
        std::vector<Tensor<float>> x;
        for (const std::uint64_t i : {1U, 2U, 3U, 4U}) {
          Tensor<float> part = check::cast<float>(devices::normal({2, 1, 150, d}, i));
          for (std::int64_t at = 0; spoilt && at < 300; ++at) {
            const bool is_query = i % 3 == 1;
            if (is_query ? wanted(p, at / 150, at % 150) : seen(p, at / 150, at % 150)) continue;
            for (std::int64_t c = 0; c < d; ++c) {
              part.set({at / 150, 0, at % 150, c}, i == 2 ? inf : nan);
            }
          }
          x.push_back(part.to(device).clone());
          if (i < 4) x.back().requires_grad_();
        }
        const PrecisionScope products(Precision::bfloat16);
        const Tensor<float> y =
            scaled_dot_product_attention(x[0], x[1], x[2],
                                         {.key_mask = mask_of(p, 150, seen).to(device),
                                          .causal = true,
                                          .query_mask = mask_of(p, 150, wanted).to(device)});
        y.backward(x[3]);
        return std::vector{y.detach(), x[0].grad(), x[1].grad(), x[2].grad()};
      };
      const auto clean = run(false), spoilt = run(true);
      for (std::size_t i = 0; i < 4; ++i) {
        const Tensor<float> got = spoilt[i].to(Device::cpu());
        CHECK(check::same(got, clean[i].to(Device::cpu())));
        for (std::int64_t at = 0; at < 300; ++at) {  // nothing where nothing takes part
          if (i < 2 ? wanted(p, at / 150, at % 150) : seen(p, at / 150, at % 150)) continue;
          for (std::int64_t c = 0; c < d; ++c) REQUIRE(got.at({at / 150, 0, at % 150, c}) == 0);
        }
      }
    });
  }
}

TEST_CASE(
    "attention: rows without a key or with scores of −∞ only are zeros and take no gradient") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (const Precision precision : {Precision::full, Precision::bfloat16}) {
    for (const std::int64_t d : {1, 129}) {
      for (const std::int64_t first : {0, 100}) {  // the row that sees a finite score: only beyond
        Tensor<float> q = zeros<float>({2, d}), k = zeros<float>({130, d});
        q.set({0, 0}, 1);
        q.set({1, 0}, 1);
        for (std::int64_t j = 0; j < 130; ++j) k.set({j, 0}, -inf);
        Tensor<bool> nothing = full<bool>({1, 130}, false);
        const Tensor<float> v = check::cast<float>(devices::normal({130, d}, 1));
        devices::each([&](Device device) {
          const PrecisionScope products(precision);
          for (const bool masked : {false, true}) {
            Tensor<float> x = q.to(device).clone(), y = k.to(device).clone(),
                          z = v.to(device).clone();
            for (Tensor<float>* leaf : {&x, &y, &z}) leaf->requires_grad_();
            AttentionOptions options;
            if (masked) options.key_mask = nothing.to(device);
            const Tensor<float> o = scaled_dot_product_attention(x, y, z, options);
            o.backward(ones<float>({2, d}, device));
            CHECK(check::same(o.detach().to(Device::cpu()), zeros<float>({2, d})));
            CHECK(check::same(x.grad().to(Device::cpu()), zeros<float>({2, d})));
            CHECK(check::same(z.grad().to(Device::cpu()), zeros<float>({130, d})));
            CHECK(check::same(y.grad().to(Device::cpu()), zeros<float>({130, d})));
          }
          // One finite score among them has all the weight, wherever it comes.
          Tensor<float> some = k.clone();
          some.set({first, 0}, 2);
          const Tensor<float> o =
              scaled_dot_product_attention(q.to(device), some.to(device), v.to(device))
                  .to(Device::cpu());
          for (std::int64_t c = 0; c < d; ++c) {
            const float value = v.at({first, c});
            const float kept =
                precision == Precision::full ? value : static_cast<float>(bfloat16(value));
            CHECK(std::fabs(o.at({0, c}) - kept) <= 4 * 0x1p-23F * std::fabs(kept));
          }
        });
      }
    }
  }
}
