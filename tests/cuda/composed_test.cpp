/// Ops that are made of others, or are others on flat volumes: on every device as on the CPU in
/// double, with their gradients.

#include "devices.hpp"
#include "tandem/nn/attention.hpp"
#include "tandem/nn/batch_norm.hpp"
#include "tandem/nn/conv1d.hpp"
#include "tandem/nn/conv2d.hpp"
#include "tandem/nn/group_norm.hpp"
#include "tandem/nn/pool2d.hpp"
#include "tandem/nn/rms_norm.hpp"
#include "tandem/nn/sequential.hpp"
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
#include "tandem/optim/ema.hpp"

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

TEST_CASE("layers of images and sequences move to a device, train and are averaged there") {
  const auto make = [] {
    Generator random(1);
    auto net = make_ref<nn::Sequential<float>>();
    net->push(make_ref<nn::Conv2d<float>>(2, 4, 3, random,
                                          Conv2dOptions{.padding = 1, .dilation = 2, .groups = 2}));
    net->push(make_ref<nn::BatchNorm2d<float>>(4));
    net->push(make_ref<nn::MaxPool2d<float>>(MaxPool2dOptions{.kernel = 2}));
    net->push(make_ref<nn::GroupNorm<float>>(2, 4));
    net->push(nn::make_function<float>([](const auto& x) {
      return x.reshape({x.size(0), 4, -1});
    }));
    net->push(make_ref<nn::Conv1d<float>>(4, 6, 3, random,
                                          Conv1dOptions{.padding = {2, 0}, .dilation = 2}));
    net->push(make_ref<nn::RMSNorm<float>>(2, 1e-3));
    return net;
  };
  const auto run = [&](Device device) {
    const auto net = make();
    net->to(device);
    optim::Ema<float> ema(net->named_parameters(), {.decay = 0.5});
    const Tensor<float> x = check::cast<float>(devices::normal({3, 2, 6, 7}, 2)).to(device);
    const Tensor<float> y = net->forward(x);
    y.backward(check::cast<float>(devices::normal(y.shape(), 3)).to(device));
    std::vector<Tensor<float>> out{y.detach()};
    {
      const NoGrad no_grad;
      for (const Tensor<float>& p : net->parameters()) {
        out.push_back(p.grad());
        p.detach().copy_(add(p.detach(), mul(p.grad(), 0.125)));
      }
    }
    ema.update();
    for (const auto& average : ema.averages()) out.push_back(average.tensor);
    for (const auto& buffer : net->state_dict()) out.push_back(buffer.tensor);
    for (Tensor<float>& t : out) {
      const bool count = t.rank() == 0;
      CHECK((count || t.device() == device));
      t = t.to(Device::cpu());
    }
    return out;
  };
  const auto expected = run(Device::cpu());
  devices::each([&](Device device) {
    const auto got = run(device);
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(i);
      // Three norms in a row and sums of at most 126 terms, gradients below 32.
      CHECK(check::distance(got[i], expected[i]) < 126 * 32 * 4 * devices::float_eps);
    }
  });
}

TEST_CASE("attention to another sequence, with dropout, on every device") {
  const auto query = devices::normal({2, 3, 8}, 1), key = devices::normal({2, 5, 8}, 2);
  const auto run = [&](Device device) {
    Generator random(3), draws(4);
    nn::MultiHeadAttention<float> module(8, 2, random, 0.25);
    module.to(device);
    const Tensor<float> k = check::cast<float>(key).to(device);
    const nn::RandomScope scope(draws);
    const Tensor<float> q = check::cast<float>(query).to(device);
    return module.attend(q, k, k).to(Device::cpu());
  };
  const Tensor<float> expected = run(Device::cpu());
  devices::each([&](Device device) {
    // Sums of 8, 4, 5 and 8 products of numbers below 4; what is dropped is the same everywhere.
    CHECK(check::distance(run(device), expected) < 25 * 16 * 2 * devices::float_eps);
  });
}
