#include "tandem/ops/attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "devices.hpp"
#include "tandem/ops/to.hpp"

using namespace tandem;

namespace {

Tensor<bool> some(const Shape& shape, std::int64_t every, std::int64_t out) {
  Tensor<bool> mask(shape);
  for (std::int64_t i = 0; i < mask.numel(); ++i) mask.mutable_data()[i] = i % every != out;
  return mask;
}

/// scaled_dot_product_attention with masks that follow the inputs to their device.
auto attention(const AttentionOptions& options) {
  return [options](const auto& x) {
    AttentionOptions there = options;
    const Device device = x[0].device();
    if (options.key_mask.defined()) there.key_mask = options.key_mask.to(device);
    if (options.query_mask.defined()) there.query_mask = options.query_mask.to(device);
    return scaled_dot_product_attention(x[0], x[1], x[2], there);
  };
}

/// How far results and gradients, all < 8 here, may be from exact ones, in units of `eps`, for
/// heads of d columns, at most n positions, and normal inputs. A score s·Σ q·k has partial sums
/// below 5·√c after c products, so d roundings, which are independent of each other, leave 4·√d; a
/// weight is off by twice that (its own score and L), two functions and ten more, a sum of n such
/// terms, and the d columns of dO·Vᵀ, by √n and another 4·√d.
double bound(std::int64_t d, std::int64_t n, double eps = devices::float_eps) {
  return 8 *
         (12 * std::sqrt(static_cast<double>(d)) + 10 + 2 * devices::function_error +
          std::sqrt(static_cast<double>(n))) *
         eps;
}

}  // namespace

TEST_CASE("attention: float follows double on every device, every size") {
  struct Size {
    std::int64_t queries, keys, width;
  };
  for (const Size size : {Size{1, 1, 64}, Size{31, 31, 64}, Size{33, 77, 64}, Size{77, 33, 32},
                          Size{197, 197, 64}, Size{65, 130, 3}, Size{5, 66, 129}}) {
    CAPTURE(size.queries);
    CAPTURE(size.keys);
    std::vector<Tensor<double>> x;
    for (const std::uint64_t i : {1U, 2U, 3U}) {
      x.push_back(devices::normal({1, 2, i == 1 ? size.queries : size.keys, size.width}, i));
    }
    for (const int which : {0, 3}) {
      AttentionOptions options;
      options.causal = (which & 1) != 0;
      if ((which & 2) != 0) {
        options.key_mask = some({1, size.keys}, 5, 1);
        options.query_mask = some({1, size.queries}, 3, 2);
      }
      devices::each([&](Device device) {
        devices::float_follows_double(device, attention(options), x,
                                      bound(size.width, std::max(size.queries, size.keys)));
      });
    }
  }
}

TEST_CASE("attention: double is the CPU's on every device, across the borders of tiles") {
  const std::vector<Tensor<double>> x{
      check::normal({2, 2, 40, 70}, 1), check::normal({2, 2, 77, 70}, 2),
      check::normal({2, 2, 77, 70}, 3), check::normal({2, 2, 40, 70}, 4)};
  const AttentionOptions options{
      .key_mask = some({2, 77}, 5, 1), .causal = true, .query_mask = some({2, 40}, 3, 2)};
  const auto run = [&](Device device) {
    std::vector<Tensor<double>> leaves;
    for (int i = 0; i < 3; ++i) {
      leaves.push_back(x[static_cast<std::size_t>(i)].to(device).clone());
      leaves.back().requires_grad_();
    }
    const Tensor<double> y = attention(options)(leaves);
    y.backward(x[3].to(device));
    return std::vector{y.detach(), leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
  };
  const auto expected = run(Device::cpu());
  devices::each([&](Device device) {
    const auto got = run(device);
    for (std::size_t i = 0; i < 4; ++i)
      CHECK(check::distance(got[i], expected[i]) <= bound(70, 77, 0x1p-53));
  });
}

TEST_CASE(
    "attention: gradients on every device, strided, ranks two to four, cross attention, masks and "
    "causal") {
  const Tensor<bool> seen = tensor<bool>({{true, false, true, true}, {false, false, false, false}}),
                     wanted = tensor<bool>({{true, false, true}, {false, true, true}});
  for (const Device device : {Device::cpu(), Device::cuda()}) {  // the orders of the threads: above
    devices::gradients(
        device, attention({}),
        {check::normal({3, 2}, 1), check::normal({4, 2}, 2), check::normal({4, 2}, 3)});
    for (const bool causal : {false, true}) {
      devices::gradients(
          device, attention({.key_mask = seen, .causal = causal, .query_mask = wanted}),
          {check::normal({2, 3, 1}, 1), check::normal({2, 4, 1}, 2), check::normal({2, 4, 1}, 3)});
    }
    const auto permuted = [&](const auto& in) {  // (B, T, H, d) seen as (B, H, T, d)
      return attention({.scale = 0.7})(std::vector{
          in[0].permute({0, 2, 1, 3}), in[1].permute({0, 2, 1, 3}), in[2].permute({0, 2, 1, 3})});
    };
    devices::gradients(device, permuted,
                       {check::normal({1, 2, 2, 2}, 4), check::normal({1, 3, 2, 2}, 5),
                        check::normal({1, 3, 2, 2}, 6)});
    const auto packed = [&](const auto& x) {
      return self_attention(x[0], 2, tensor<bool>({{true, false, true}}).to(x[0].device()), true);
    };
    devices::gradients(device, packed, {check::normal({1, 3, 12}, 7)});
  }
}

TEST_CASE("self_attention: float follows double on every device, with and without masks") {
  const Tensor<double> x = devices::normal({2, 77, 3 * 2 * 16}, 1);
  const Tensor<bool> seen = some({2, 77}, 7, 3), wanted = some({2, 77}, 4, 0);
  for (const bool masked : {false, true}) {
    const auto f = [&](const auto& in) {
      const Device device = in[0].device();
      return masked ? self_attention(in[0], 2, seen.to(device), false, wanted.to(device))
                    : self_attention(in[0], 2);
    };
    devices::each(
        [&](Device device) { devices::float_follows_double(device, f, {x}, bound(16, 77)); });
  }
}

TEST_CASE("attention: the same bits in any order of the threads") {
  for (const std::int64_t t : {33, 130}) {
    devices::same_in_every_order([&](Device device) {
      Tensor<float> x = check::cast<float>(devices::normal({2, t, 3 * 2 * 64}, 3)).to(device);
      x.requires_grad_();
      const Tensor<float> y = self_attention(x, 2, some({2, t}, 5, 1).to(device), t == 130);
      y.backward(check::cast<float>(devices::normal({2, t, 2 * 64}, 4)).to(device));
      return std::vector{y.detach(), x.grad()};
    });
  }
}

TEST_CASE(
    "attention: what takes no part may hold anything, rows in which nothing does give zeros, tiles "
    "are skipped") {
  constexpr std::int64_t t = 190;
  Tensor<float> x = check::cast<float>(devices::normal({2, t, 3 * 16}, 1)),
                dy = check::cast<float>(devices::normal({2, t, 16}, 2));
  Tensor<bool> seen = full<bool>({2, t}, true), wanted = full<bool>({2, t}, true);
  for (std::int64_t i = 0; i < t; ++i) {
    seen.set({0, i},
             i % 3 != 0 && i < 60);  // later tiles have no key; if causal, query 0 sees none
    seen.set({1, i}, i > 170);       // the second half of a tile
    wanted.set({0, i}, i == 0 || i >= 70);
    wanted.set({1, i}, i < 10 || i == 189);
    for (std::int64_t b = 0; b < 2; ++b) {
      for (std::int64_t c = 0; c < 16; ++c) {
        if (!wanted.at({b, i})) {
          x.set({b, i, c}, NAN);
          dy.set({b, i, c}, NAN);
        }
        if (!seen.at({b, i})) {
          x.set({b, i, 16 + c}, INFINITY);
          x.set({b, i, 32 + c}, NAN);
        }
      }
    }
  }
  for (const bool causal : {false, true}) {
    const auto run = [&](Device device, const Tensor<bool>& queries) {
      Tensor<float> leaf = x.to(device).clone();
      leaf.requires_grad_();
      const Tensor<float> y = self_attention(leaf, 1, seen.to(device), causal, queries.to(device));
      y.backward(dy.to(device));
      return std::vector{y.detach().to(Device::cpu()), leaf.grad().to(Device::cpu())};
    };
    const auto expected = run(Device::cpu(), wanted);
    devices::each([&](Device device) {
      const auto got = run(device, wanted);
      for (std::size_t i = 0; i < 2; ++i) {
        CHECK(std::isfinite(check::distance(got[i], full<float>(got[i].shape(), 0.0F))));
        CHECK(check::distance(got[i], expected[i]) <= bound(16, t));
      }
      for (std::int64_t i = 0; i < t; ++i) {
        for (std::int64_t c = 0; c < 16; ++c) {
          for (const std::int64_t b : {0, 1}) {
            const bool nothing = !wanted.at({b, i}) || (causal && i < (b == 0 ? 1 : 171));
            if (nothing) {
              REQUIRE(got[0].at({b, i, c}) == 0);
              REQUIRE(got[1].at({b, i, c}) == 0);
            }
            if (!seen.at({b, i}))
              REQUIRE((got[1].at({b, i, 16 + c}) == 0 && got[1].at({b, i, 32 + c}) == 0));
          }
        }
      }
    });
  }
}

TEST_CASE(
    "attention: large scores, infinities, NaN and nothing at all mean the same on every device") {
  constexpr float inf = std::numeric_limits<float>::infinity(),
                  nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& keys : {std::vector<float>{100, -100, 0},
                                         {inf, 1, 2},
                                         {-inf, 1, 2},
                                         {nan, 1, 2},
                                         {3e38F, -3e38F, 0}}) {
    const Tensor<float> q = tensor<float>({{100}, {-100}}), k = from_vector<float>(keys, {3, 1}),
                        v = tensor<float>({{1}, {2}, {4}});
    const Tensor<float> expected = scaled_dot_product_attention(q, k, v);
    devices::each([&](Device device) {
      const Tensor<float> got =
          scaled_dot_product_attention(q.to(device), k.to(device), v.to(device));
      CHECK(check::distance(got, expected) <= 4 * 8 * devices::float_eps);  // means of numbers ≤ 4
    });
  }
  devices::each([](Device device) {
    const Tensor<float> q = ones<float>({3, 2}, device), none = zeros<float>({0, 2}, device);
    CHECK(scaled_dot_product_attention(none, q, q).shape() == Shape{0, 2});
    CHECK(check::same(scaled_dot_product_attention(q, none, none).to(Device::cpu()),
                      zeros<float>({3, 2})));
    CHECK(self_attention(zeros<float>({0, 5, 6}, device), 2).shape() == Shape{0, 5, 2});
    const Tensor<float> leaf = none.clone();
    leaf.requires_grad_();
    scaled_dot_product_attention(leaf, q, q).backward(none);
    CHECK(leaf.grad().shape() == Shape{0, 2});
    for (const bool keys : {false, true}) {  // no query: keys get zeros; no key: queries do
      const Tensor<float> there = ones<float>({3, 2}, device);
      there.requires_grad_();
      const Tensor<float> y = keys ? scaled_dot_product_attention(none, there, q)
                                   : scaled_dot_product_attention(there, none, none);
      y.backward(ones<float>(y.shape(), device));
      CHECK(check::same(there.grad().to(Device::cpu()), zeros<float>({3, 2})));
    }
  });
}

TEST_CASE("attention: tensors on different devices") {
  const Tensor<float> x = ones<float>({1, 2, 6}), there = ones<float>({1, 2, 6}, Device::cuda());
  const Tensor<bool> mask = full<bool>({1, 2}, true);
  CHECK(check::message([&] { scaled_dot_product_attention(there, there, x); }) ==
        "[scaled_dot_product_attention] inputs are on different devices: cuda:0 and cpu");
  CHECK(check::message([&] { self_attention(there, 1, mask); }) ==
        "[self_attention] inputs are on different devices: cuda:0 and cpu");
}
