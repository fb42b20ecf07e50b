#include "tandem/ops/attention.hpp"

#include "golden.hpp"
#include "tandem/ops/matmul.hpp"
#include "tandem/ops/softmax.hpp"

using namespace tandem;

namespace {

/// softmax(s·Q·Kᵀ)·V from its parts, for (B, H, T, d), with the masks of the fused op.
template <class T>
Tensor<T> composed(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
                   const AttentionOptions& options) {
  const std::int64_t batch = q.size(0), queries = q.size(2), keys = k.size(2);
  Tensor<bool> mask(Shape{batch, 1, queries, keys});
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t i = 0; i < queries; ++i) {
      for (std::int64_t j = 0; j < keys; ++j) {
        mask.set({b, 0, i, j}, (!options.causal || j <= i) &&
                                   (!options.key_mask.defined() || options.key_mask.at({b, j})));
      }
    }
  }
  const T scale = T(1 / std::sqrt(static_cast<double>(q.size(3))));
  const Tensor<T> scaled = matmul(q, eye<T>(q.size(3)).transpose(0, 1));
  const Tensor<T> s = matmul(scaled, matmul(k,
                                            [&] {
                                              Tensor<T> diagonal = eye<T>(k.size(3));
                                              for (std::int64_t c = 0; c < k.size(3); ++c)
                                                diagonal.set({c, c}, scale);
                                              return diagonal;
                                            }())
                                         .transpose(-1, -2));
  return matmul(softmax(s, -1, mask), v);
}

Tensor<bool> some_keys(std::int64_t batch, std::int64_t keys) {
  Tensor<bool> mask(Shape{batch, keys});
  for (std::int64_t i = 0; i < mask.numel(); ++i) mask.mutable_data()[i] = i % 5 != 1 && i % 7 != 3;
  return mask;
}

Tensor<double> fused(const std::vector<Tensor<double>>& x, const AttentionOptions& options) {
  return scaled_dot_product_attention(x[0], x[1], x[2], options);
}

}  // namespace

TEST_CASE("attention agrees with PyTorch") {
  const std::vector<std::string> names{"q", "k", "v"};
  golden::compare("sdpa.plain", names, [](const auto& x) { return fused(x, {}); });
  golden::compare("sdpa.cross", names, [](const auto& x) { return fused(x, {}); });
  golden::compare("sdpa.causal", names, [](const auto& x) { return fused(x, {.causal = true}); });
  const Tensor<bool> mask = golden::mask("sdpa.padding.mask");
  golden::compare("sdpa.padding", names,
                  [&](const auto& x) { return fused(x, {.key_mask = mask}); });
}

TEST_CASE("attention equals its parts at odd sizes, across tile borders, with every mask") {
  struct Size {
    std::int64_t queries, keys, width;
  };
  for (const Size size : {Size{1, 1, 1}, Size{3, 7, 3}, Size{31, 33, 7}, Size{77, 77, 16},
                          Size{97, 129, 33}, Size{197, 197, 64}, Size{300, 260, 40}}) {
    for (const int which : {0, 1, 2, 3}) {
      AttentionOptions options;
      options.causal = (which & 1) != 0;
      if ((which & 2) != 0) options.key_mask = some_keys(2, size.keys);
      std::vector<Tensor<double>> a, b;
      for (const std::uint64_t i : {1U, 2U, 3U}) {
        const std::int64_t length = i == 1 ? size.queries : size.keys;
        const Tensor<double> x = check::normal({2, 2, length, size.width}, i);
        a.push_back(x.clone());
        b.push_back(x.clone());
        a.back().requires_grad_();
        b.back().requires_grad_();
      }
      const Tensor<double> y = fused(a, options), z = composed(b[0], b[1], b[2], options);
      // Weighted means of numbers below 6 under scores below 60: a few hundred roundings.
      CHECK(check::distance(y, z) < 6 * 60 * 100 * 0x1p-53);
      const Tensor<double> g = check::normal(y.shape(), 4);
      y.backward(g);
      z.backward(g);
      for (std::size_t i = 0; i < 3; ++i) {
        INFO("input ", i, " masks ", which, " queries ", size.queries);
        // Sums of up to 300 terms, each a product of numbers below 6, 6 and 6.
        CHECK(check::distance(a[i].grad(), b[i].grad()) < 6 * 6 * 6 * 300 * 100 * 0x1p-53);
      }
    }
  }
}

TEST_CASE("attention: gradcheck, strided inputs, ranks two to four, a scale of one's own") {
  for (const bool causal : {false, true}) {
    const auto op = [&](const auto& x) { return fused(x, {.causal = causal}); };
    check::gradients(
        op, {check::normal({5, 3}, 1), check::normal({5, 3}, 2), check::normal({5, 3}, 3)});
    check::gradients(op, {check::normal({2, 3, 7}, 1), check::normal({2, 4, 7}, 2),
                          check::normal({2, 4, 7}, 3)});
    check::gradients(
        [&](const auto& x) {  // (B, T, H, d) seen as (B, H, T, d) without a copy
          return scaled_dot_product_attention(
              x[0].permute({0, 2, 1, 3}), x[1].permute({0, 2, 1, 3}), x[2].permute({0, 2, 1, 3}),
              {.causal = causal, .scale = 0.7});
        },
        {check::normal({2, 3, 2, 4}, 1), check::normal({2, 3, 2, 4}, 2),
         check::normal({2, 3, 2, 4}, 3)});
  }
}

TEST_CASE("self_attention is attention on the three parts of qkv") {
  const std::int64_t heads = 3, d = 5, t = 13;
  const Tensor<double> qkv = check::normal({2, t, 3 * heads * d}, 1);
  const Tensor<bool> mask = some_keys(2, t);
  const auto part = [&](const Tensor<double>& x, std::int64_t i) {
    return x.slice(2, i * heads * d, (i + 1) * heads * d).reshape({2, t, heads, d}).transpose(1, 2);
  };
  for (const bool causal : {false, true}) {
    const Tensor<double> expected = scaled_dot_product_attention(
        part(qkv, 0), part(qkv, 1), part(qkv, 2), {.key_mask = mask, .causal = causal});
    CHECK(check::same(self_attention(qkv, heads, mask, causal),
                      expected.transpose(1, 2).reshape({2, t, heads * d})));
    check::gradients([&](const auto& x) { return self_attention(x[0], 1, mask, causal); },
                     {check::normal({2, t, 6}, 2)});
  }
  check::gradients([&](const auto& x) { return self_attention(x[0], 2); },
                   {check::normal({2, 4, 12}, 3)});
}

TEST_CASE("unwanted queries give zeros, take no gradient and change nothing else") {
  for (const std::int64_t t : {1, 13, 150}) {
    for (const bool causal : {false, true}) {
      for (const bool masked : {false, true}) {
        const Tensor<bool> keys = masked ? some_keys(2, t) : Tensor<bool>();
        Tensor<bool> wanted(Shape{2, t});  // the second sequence wants nothing of its first half
        for (std::int64_t i = 0; i < 2 * t; ++i)
          wanted.mutable_data()[i] = i % 3 != 1 && (i < t || i > t + t / 2);
        Tensor<double> g = check::normal({2, t, 2 * 16}, 2), kept = g.clone();
        for (std::int64_t i = 0; i < 2 * t; ++i) {
          if (!wanted.data()[i]) kept.select(0, i / t).select(0, i % t).fill_(0);
        }
        const Tensor<double> all = check::normal({2, t, 3 * 2 * 16}, 1), some = all.clone();
        all.requires_grad_();
        some.requires_grad_();
        const Tensor<double> y = self_attention(all, 2, keys, causal),
                             z = self_attention(some, 2, keys, causal, wanted);
        y.backward(kept);
        z.backward(g);  // what arrives at unwanted rows is not used
        for (std::int64_t i = 0; i < 2 * t; ++i) {
          const auto row = [&](const Tensor<double>& x) {
            return x.detach().select(0, i / t).select(0, i % t);
          };
          if (wanted.data()[i]) {
            REQUIRE(check::same(row(z), row(y)));
          } else {
            for (const double v : row(z).contiguous().to_vector()) REQUIRE(v == 0);
          }
        }
        INFO("t ", t, " causal ", causal, " masked ", masked);
        // The same sums without their zero terms, in tiles cut elsewhere: see the sizes above.
        CHECK(check::distance(all.grad(), some.grad()) < 6 * 6 * 6 * 150 * 100 * 0x1p-53);
      }
    }
  }
  const Tensor<bool> wanted = tensor<bool>({{true, false, true}, {false, false, false}});
  for (const bool causal : {false, true}) {
    check::gradients(
        [&](const auto& x) { return fused(x, {.causal = causal, .query_mask = wanted}); },
        {check::normal({2, 2, 3, 4}, 1), check::normal({2, 2, 5, 4}, 2),
         check::normal({2, 2, 5, 4}, 3)});
  }
}

TEST_CASE("masked keys weigh nothing whatever they hold; a query without keys gives zeros") {
  Tensor<float> qkv = check::cast<float>(check::normal({2, 4, 6}, 1));
  Tensor<bool> mask = ones<bool>({2, 4});
  mask.set({0, 2}, false);
  for (std::int64_t j = 0; j < 4; ++j) mask.set({1, j}, false);
  for (std::int64_t c = 2; c < 6; ++c) qkv.set({0, 2, c}, NAN);  // its key and its value
  qkv.requires_grad_();
  const Tensor<float> y = self_attention(qkv, 1, mask);
  y.backward(ones_like(y));
  const Tensor<float> dx = qkv.grad();
  for (std::int64_t t = 0; t < 4; ++t) {
    for (std::int64_t c = 0; c < 2; ++c) CHECK(std::isfinite(y.at({0, t, c})));
    for (std::int64_t c = 0; c < 2; ++c) CHECK(y.at({1, t, c}) == 0);
    for (std::int64_t c = 0; c < 6; ++c) {
      CHECK(std::isfinite(dx.at({0, t, c})));
      if (t == 2 && c >= 2) CHECK(dx.at({0, t, c}) == 0);
      CHECK(dx.at({1, t, c}) == 0);
    }
  }
  // The other rows are those of the sequence without the masked key.
  const Tensor<float> four = qkv.detach();
  Tensor<float> three(Shape{1, 3, 6});
  for (std::int64_t t = 0; t < 3; ++t) {
    three.select(1, t).copy_(four.slice(0, 0, 1).select(1, t < 2 ? t : 3));
  }
  const Tensor<float> z = self_attention(three, 1);
  for (std::int64_t t = 0; t < 3; ++t) {
    for (std::int64_t c = 0; c < 2; ++c) CHECK(z.at({0, t, c}) == y.at({0, t < 2 ? t : 3, c}));
  }
}

TEST_CASE("attention under large scores, and with nothing to attend to") {
  // Scores of ±10⁴: the weights are 0 or 1, nothing overflows.
  const Tensor<float> q = tensor<float>({{100}, {-100}}), k = tensor<float>({{100}, {-100}});
  const Tensor<float> v = tensor<float>({{1}, {2}});
  CHECK(scaled_dot_product_attention(q, k, v).to_vector() == std::vector<float>{1, 2});
  const Tensor<float> none = zeros<float>({0, 1});
  CHECK(scaled_dot_product_attention(none, k, v).shape() == Shape{0, 1});
  CHECK(scaled_dot_product_attention(q, none, none).to_vector() == std::vector<float>{0, 0});
  CHECK(self_attention(zeros<float>({0, 5, 6}), 2).shape() == Shape{0, 5, 2});
}

TEST_CASE("attention: float follows double, same bits for any thread count") {
  const Tensor<double> qkv = check::normal({2, 150, 3 * 64}, 1);
  const Tensor<float> x = check::cast<float>(qkv);
  // Scores are sums of 16 products, |s| < 40, so exponents are off by at most 40·18·2⁻²⁴; the
  // weighted means of numbers below 5 follow.
  CHECK(check::distance(self_attention(x, 4), self_attention(qkv, 4)) < 5 * 2 * 40 * 18 * 0x1p-24);
  for (const bool causal : {false, true}) {
    check::any_thread_count([&] {
      const Tensor<float> leaf = x.clone();
      leaf.requires_grad_();
      const Tensor<float> y = self_attention(leaf, 4, some_keys(2, 150), causal);
      y.backward(y.detach());
      return std::vector{y, leaf.grad()};
    });
  }
}

namespace {

struct Result {
  Tensor<float> out, dq, dk, dv;
};

/// Attention and its gradients with these products, x = q, k, v, cotangent.
Result with_products(const detail::TileProduct<float>& product, const std::vector<Tensor<float>>& x,
                     const AttentionOptions& options) {
  const detail::AttentionProblem<float> p{.batch = x[0].size(0),
                                          .heads = x[0].size(1),
                                          .queries = x[0].size(2),
                                          .keys = x[1].size(2),
                                          .width = x[0].size(3),
                                          .scale = 0.3F,
                                          .causal = options.causal,
                                          .key_mask = detail::data_or_null(options.key_mask),
                                          .query_mask = detail::data_or_null(options.query_mask),
                                          .precision = Precision::bfloat16};
  const auto view = [](const Tensor<float>& t) { return detail::head_view(t, t.data()); };
  const auto target = [](const Tensor<float>& t) { return detail::head_view(t, t.mutable_data()); };
  const Device cpu;
  const Tensor<float> out = detail::room_for_output<float>(x[0].shape(), cpu, options.query_mask),
                      lse = detail::room_for_lse(p, cpu, options.query_mask);
  detail::attention_forward_with(product, p, view(x[0]), view(x[1]), view(x[2]), target(out),
                                 lse.mutable_data());
  const Tensor<float> dq(x[0].shape()), dk(x[1].shape()), dv(x[2].shape());
  detail::attention_backward_with(product, p, view(x[0]), view(x[1]), view(x[2]), view(out),
                                  view(x[3]), lse.data(), target(dq), target(dk), target(dv));
  return {out, dq, dk, dv};
}

}  // namespace

// The kernels of any CPU round the same factors and add them up in another order, so that a weight
// close to the middle between two bfloat16 may be rounded the other way: then it differs by 2⁻⁸ of
// itself, and so does dS, in a few terms of each sum. Of out that is at most 2⁻⁸·max|v|, since
// weights add up to 1; of the gradients, whose terms have either sign, 2⁻⁷ of the largest one.
TEST_CASE("attention in bfloat16 on AMX is that of any CPU, on emulated tiles and the machine's") {
  const detail::TileProduct<float> plain(
      cpu::gemm_detail::kernels<cpu::Rounded, float>(cpu::Isa::portable));
  std::vector<cpu::gemm_detail::Kernels<cpu::Rounded, float>> tiles{
      cpu::gemm_detail::amx::make_emulated_kernels<cpu::Rounded>()};
  if (cpu::supported_isas().back() == cpu::Isa::amx_bf16)
    tiles.push_back(cpu::gemm_detail::kernels<cpu::Rounded, float>(cpu::Isa::amx_bf16));
  struct Size {
    std::int64_t queries, keys, width;
  };
  for (const Size size : {Size{1, 1, 1}, Size{3, 7, 3}, Size{31, 33, 7}, Size{65, 40, 16},
                          Size{150, 290, 33}, Size{197, 64, 64}}) {
    for (const int which : {0, 1, 2, 5, 7}) {
      AttentionOptions options;
      options.causal = (which & 1) != 0;
      if ((which & 2) != 0) options.key_mask = some_keys(2, size.keys);
      if ((which & 4) != 0) options.query_mask = some_keys(2, size.queries);
      std::vector<Tensor<float>> x;
      for (const std::uint64_t i : {1U, 2U, 3U, 4U}) {
        const std::int64_t length = i == 1 || i == 4 ? size.queries : size.keys;
        x.push_back(check::cast<float>(check::normal({2, 1, length, size.width}, i)));
      }
      const Result want = with_products(plain, x, options);
      for (const auto& kernels : tiles) {
        const Result got = with_products(detail::TileProduct<float>(kernels), x, options);
        INFO(kernels.name, " queries ", size.queries, " keys ", size.keys, " masks ", which);
        CHECK(check::distance(got.out, want.out) < 0x1p-8 * 5);
        const auto close = [](const Tensor<float>& a, const Tensor<float>& b) {
          return check::distance(a, b) <= 0x1p-7 * check::distance(b, zeros_like(b)) + 0x1p-20;
        };
        CHECK(close(got.dv, want.dv));
        CHECK(close(got.dk, want.dk));
        CHECK(close(got.dq, want.dq));
      }
    }
  }
}

TEST_CASE("attention says what is wrong") {
  const Tensor<float> x = zeros<float>({2, 4, 6});
  CHECK(check::message([&] { self_attention(x, 4); }) ==
        "[self_attention] expected qkv (B, T, 3·heads·d), got (2, 4, 6) for 4 heads");
  CHECK(check::message([&] {
          self_attention(x, 2, zeros<bool>({2, 3}));
        }) == "[self_attention] the key mask has shape (2, 3), expected (2, 4)");
  CHECK(check::message([&] {
          self_attention(x, 2, {}, false, zeros<bool>({2, 3}));
        }) == "[self_attention] the query mask has shape (2, 3), expected (2, 4)");
  CHECK(
      check::message([&] {
        scaled_dot_product_attention(x, x, zeros<float>({2, 5, 6}));
      }) ==
      "[scaled_dot_product_attention] expected q (…, T_q, d), k and v (…, T_k, d), got (2, 4, 6), "
      "(2, 4, 6) and (2, 5, 6)");
}
