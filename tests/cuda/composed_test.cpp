/// Ops that are made of others, or are others on flat volumes: on every device as on the CPU in
/// double, with their gradients.

#include "devices.hpp"
#include "tandem/ops/avg_pool2d.hpp"
#include "tandem/ops/biased_attention.hpp"
#include "tandem/ops/cosine_similarity.hpp"
#include "tandem/ops/cross_entropy.hpp"
#include "tandem/ops/group_norm.hpp"
#include "tandem/ops/huber_loss.hpp"
#include "tandem/ops/interpolate.hpp"
#include "tandem/ops/kl_div.hpp"
#include "tandem/ops/max_pool1d.hpp"
#include "tandem/ops/rms_norm.hpp"
#include "tandem/ops/rotary.hpp"

using namespace tandem;

TEST_CASE("pools of images and sequences, interpolate, group_norm, rms_norm on every device") {
  const auto image = devices::normal({2, 4, 5, 7}, 1), line = devices::normal({2, 4, 9}, 2),
             gamma = devices::normal({4}, 3), beta = devices::normal({4}, 4);
  devices::each([&](Device device) {
    const auto follows = [&](const auto& f, const std::vector<Tensor<double>>& inputs,
                             double bound) {
      devices::float_follows_double(device, f, inputs, bound);
    };
    // Sums of two gradients, or of at most nine numbers below 4.
    follows(
        [](const auto& v) { return max_pool1d(v[0], {.kernel = 3, .stride = 2, .padding = 1}); },
        {line}, 2 * 8 * devices::float_eps);
    follows(
        [](const auto& v) { return avg_pool2d(v[0], {.kernel = 3, .stride = 2, .padding = 1}); },
        {image}, 9 * 4 * devices::float_eps);
    // Two weights a number, along two axes; up to nine of them meet in a gradient.
    const InterpolateOptions linear{.mode = Interpolation::linear};
    follows(
        [&](const auto& v) {
          return interpolate(v[0], {8, 3}, linear);
        },
        {image}, 9 * 8 * 4 * devices::float_eps);
    // Rows of 70 numbers, scaled by about 1, with gradients that are sums of 70.
    follows([](const auto& v) { return group_norm(v[0], 2, v[1], v[2]); }, {image, gamma, beta},
            70 * 4 * 8 * devices::float_eps);
    follows([](const auto& v) { return rms_norm(v[0].transpose(1, 2), v[1], 1e-3); }, {line, gamma},
            18 * 4 * 16 * devices::float_eps);
  });
}

TEST_CASE("composed losses on every device") {
  const auto x = devices::normal({6, 5}, 1), t = devices::normal({6, 5}, 2);
  const Tensor<std::int64_t> ids = tensor<std::int64_t>({4, 0, -1, 2, 1, 4});
  const auto weight = devices::normal({5}, 3);
  devices::each([&](Device device) {
    // Up to thirty terms below 16, each with a few roundings.
    const double bound = 30 * 16 * 8 * devices::float_eps;
    const auto follows = [&](const auto& f, const std::vector<Tensor<double>>& inputs) {
      devices::float_follows_double(device, f, inputs, bound);
    };
    follows([](const auto& v) { return huber_loss(v[0], v[1], 0.5, Reduction::sum); }, {x, t});
    follows([](const auto& v) { return smooth_l1_loss(v[0], v[1], 0); }, {x, t});
    follows([](const auto& v) { return kl_div(v[0], mul(v[1], v[1])); }, {x, t});
    follows([](const auto& v) { return cosine_similarity(v[0], v[1]); }, {x, t});
    follows(
        [&]<class T>(const std::vector<Tensor<T>>& v) {
          const Device where = v[0].device();
          const Tensor<T> w = check::cast<T>(weight).to(where);
          return cross_entropy(v[0], ids.to(where),
                               {.ignore_index = -1, .weight = mul(w, w), .label_smoothing = 0.1});
        },
        {x});
  });
}

TEST_CASE("biased_attention and rotary on every device") {
  const auto q = devices::normal({2, 2, 3, 4}, 1), k = devices::normal({2, 2, 5, 4}, 2),
             v = devices::normal({2, 2, 5, 4}, 3), bias = devices::normal({2, 3, 5}, 4);
  devices::each([&](Device device) {
    // Chains of sums of 4, 5 and 4 products of numbers below 4.
    devices::float_follows_double(
        device,
        [](const auto& x) {
          return biased_attention(rotary(x[0]), rotary(x[1], {.interleaved = true}), x[2], x[3],
                                  {.causal = true});
        },
        {q, k, v, bias}, 100 * 16 * devices::float_eps);
  });
}
