/// The layers for sequences and images as modules: names, PyTorch's first values, gradients
/// everywhere, Sequential, what goes with them to another type and device.

#include "../ops/check.hpp"
#include "tandem/nn/batch_norm.hpp"
#include "tandem/nn/conv1d.hpp"
#include "tandem/nn/conv2d.hpp"
#include "tandem/nn/conv3d.hpp"
#include "tandem/nn/embedding.hpp"
#include "tandem/nn/group_norm.hpp"
#include "tandem/nn/layer_norm.hpp"
#include "tandem/nn/pool1d.hpp"
#include "tandem/nn/pool2d.hpp"
#include "tandem/nn/pool3d.hpp"
#include "tandem/nn/rms_norm.hpp"
#include "tandem/nn/sequential.hpp"
#include "tandem/ops/relu.hpp"

using namespace tandem;

namespace {

template <class T>
std::vector<std::string> names_of(const nn::Module<T>& module) {
  std::vector<std::string> names;
  for (const auto& named : module.state_dict()) names.push_back(named.name);
  return names;
}

/// Every parameter has a finite gradient that is not all zero.
template <class T>
void check_learns(const nn::Module<T>& module) {
  for (const auto& p : module.named_parameters()) {
    INFO(p.name);
    double largest = 0;
    for (const T g : p.tensor.grad().to_vector()) {
      REQUIRE(std::isfinite(g));
      largest = std::max(largest, static_cast<double>(std::fabs(g)));
    }
    CHECK(largest > 0);
  }
}

}  // namespace

TEST_CASE("Conv1d and Conv2d: PyTorch's names, shapes and first values; every parameter learns") {
  Generator random(1);
  nn::Sequential<float> net;
  net.push(make_ref<nn::Conv1d<float>>(4, 6, 3, random,
                                       Conv1dOptions{.padding = Padding1d::same(), .groups = 2}));
  net.push(nn::make_function<float>([](const auto& x) { return x.unsqueeze(1); }));
  net.push(make_ref<nn::Conv2d<float>>(1, 5, Pair(3, 2), random,
                                       Conv2dOptions{.stride = 2, .padding = 1, .relu = true}));
  net.push(make_ref<nn::Conv2d<float>>(5, 2, 1, random, Conv2dOptions{}, false));
  CHECK(names_of(net) ==
        std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias", "3.weight"});
  const auto state = net.state_dict();
  CHECK(state[0].tensor.shape() == Shape{6, 2, 3});
  CHECK(state[2].tensor.shape() == Shape{5, 1, 3, 2});
  CHECK(state[4].tensor.shape() == Shape{2, 5, 1, 1});
  // Kaiming-uniform: ±1/√fan for weight and bias, and near it: of 36 draws one is beyond 4/5.
  for (const std::size_t i : {0U, 2U}) {
    const double bound = 1 / std::sqrt(6.0);
    double largest = 0;
    for (const auto& named : {state[i], state[i + 1]}) {
      for (const float v : named.tensor.to_vector()) {
        largest = std::max(largest, static_cast<double>(std::fabs(v)));
      }
    }
    CHECK(largest <= bound);
    CHECK(largest > 0.8 * bound);
  }
  const Tensor<float> x = randn<float>({2, 4, 9}, random);
  const Tensor<float> y = net.forward(x);
  CHECK(y.shape() == Shape{2, 2, 3, 5});
  y.backward(randn<float>(y.shape(), random));
  check_learns(net);
  net.freeze();
  CHECK_FALSE(net.forward(x).requires_grad());
}

TEST_CASE("Conv1d and Conv2d: states load from double; errors name the module and the groups") {
  Generator random(2);
  nn::Conv2d<double> from(4, 6, 3, random, {.padding = 1, .dilation = 2, .groups = 2});
  nn::Conv2d<float> to(4, 6, 3, random, {.padding = 1, .dilation = 2, .groups = 2});
  std::vector<nn::Named<float>> state;
  for (const auto& named : from.state_dict()) {
    state.push_back({named.name, check::cast<float>(named.tensor)});
  }
  to.load_state_dict(state);
  const Tensor<double> x = check::normal({2, 4, 7, 6}, 3);
  // 18 products of a normal number and a weight below 1/√18, each sum below 10.
  CHECK(check::distance(to.forward(check::cast<float>(x)), from.forward(x)) < 40 * 10 * 0x1p-24);
  nn::Sequential<float> net;
  net.push(make_ref<nn::Conv1d<float>>(3, 3, 2, random));
  CHECK(check::message([&] {
          net.forward(zeros<float>({1, 4, 5}));
        }) == "[conv1d] x has 4 channels, the weight of shape (3, 3, 2) takes 3 (in module 0)");
  CHECK(check::message([&] { nn::Conv1d<float>(3, 4, 2, random, {.groups = 2}); }) ==
        "[conv1d] 3 and 4 channels do not divide into 2 groups");
  CHECK(check::message([&] { nn::Conv2d<float>(4, 3, 2, random, {.groups = 2}); }) ==
        "[conv2d] 4 and 3 channels do not divide into 2 groups");
}

TEST_CASE("layers refuse wrong numbers when they are made") {
  Generator random(3);
  const auto kernel = [&](std::int64_t k) {
    return check::message([&] { nn::Conv1d<float>(3, 4, k, random); });
  };
  CHECK(kernel(0) == "[conv1d] the kernel's width must be from 1 to 2^31 - 1, it is 0");
  CHECK(kernel(-2) == "[conv1d] the kernel's width must be from 1 to 2^31 - 1, it is -2");
  CHECK(check::message([&] { nn::Conv1d<float>(3, 4, 2, random, {.stride = 0}); }) ==
        "[conv1d] the stride along the width must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([&] { nn::Conv1d<float>(3, 4, 2, random, {.padding = -1}); }) ==
        "[conv1d] the padding along the width must be from 0 to 2^31 - 1, it is -1 and -1");
  CHECK(check::message([&] { nn::Conv1d<float>(3, 4, 2, random, {.dilation = 0}); }) ==
        "[conv1d] the dilation along the width must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([&] { nn::Conv1d<float>(-3, 4, 2, random); }) ==
        "[conv1d] channels must not be negative, they are -3 and 4");
  CHECK(check::message([&] { nn::Conv2d<float>(3, 4, Pair(2, 0), random); }) ==
        "[conv2d] the kernel's width must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([&] { nn::Conv2d<float>(3, 4, 2, random, {.stride = Pair(0, 1)}); }) ==
        "[conv2d] the stride along the height must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([&] {
          nn::Conv3d<float>(3, 4, {0, 1, 1}, random);
        }) == "[conv3d] the kernel's depth must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([&] { nn::Conv3d<float>(3, 4, {}, random, {.groups = 0}); }) ==
        "[conv3d] 3 and 4 channels do not divide into 0 groups");
  CHECK(check::message([] { nn::MaxPool1d<float>({.kernel = 0}); }) ==
        "[max_pool1d] the kernel's width must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([] { nn::MaxPool2d<float>({.kernel = 2, .padding = 2}); }) ==
        "[max_pool2d] the padding along the height, 2 and 2, must be smaller than the kernel, 2");
  CHECK(check::message([] { nn::MaxPool2d<float>({.kernel = 2, .padding_value = NAN}); }) ==
        "[max_pool2d] the padding value is NaN");
  CHECK(check::message([] { nn::AvgPool1d<float>({.kernel = 2, .stride = -1}); }) ==
        "[avg_pool1d] the stride along the width must be from 1 to 2^31 - 1, it is -1");
  CHECK(check::message([] { nn::AvgPool2d<float>({.kernel = 0}); }) ==
        "[avg_pool2d] the kernel's height must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([] { nn::MaxPool3d<float>({.kernel = Triple::all(0)}); }) ==
        "[max_pool3d] the kernel's depth must be from 1 to 2^31 - 1, it is 0");
  CHECK(check::message([] {
          nn::AvgPool3d<float>({.kernel = {1, 1, 0}});
        }) == "[avg_pool3d] the kernel's width must be from 1 to 2^31 - 1, it is 0");
  // As before: a stride of 0 is the kernel, "same" fits itself.
  CHECK(nn::MaxPool2d<float>({.kernel = 2, .padding = Padding2d::same()})
            .forward(zeros<float>({1, 1, 5, 4}))
            .shape() == Shape{1, 1, 3, 2});
  for (const double bad : {0.0, -1.0, 1e-60, static_cast<double>(NAN)}) {
    CAPTURE(bad);
    const auto said = [](auto&& f) { return check::message(f).find("epsilon must be positive"); };
    CHECK(said([&] { nn::BatchNorm1d<float>(3, {.epsilon = bad}); }) == 13);
    CHECK(said([&] { nn::LayerNorm<float>(3, bad); }) == 13);
    CHECK(said([&] { nn::GroupNorm<float>(1, 3, bad); }) == 13);
    CHECK(said([&] { nn::RMSNorm<float>(3, bad); }) == 11);
  }
  CHECK(check::message([&] { nn::Embedding<float>(3, 4, random, NAN); }) ==
        "[normal] the deviation must be finite and not negative, it is nan");
  CHECK(check::message([] { nn::BatchNorm2d<float>(3, {.momentum = 1.5}); }) ==
        "[batch_norm] the momentum must be from 0 to 1, it is 1.5");
}

TEST_CASE("BatchNorm2d and 1d, GroupNorm, RMSNorm and the pools in a Sequential") {
  Generator random(3);
  nn::Sequential<double> net;
  net.push(make_ref<nn::Conv2d<double>>(2, 4, 3, random, Conv2dOptions{.padding = 1}, false));
  net.push(make_ref<nn::BatchNorm2d<double>>(4));
  net.push(make_ref<nn::MaxPool2d<double>>(MaxPool2dOptions{.kernel = 2}));
  net.push(make_ref<nn::AvgPool2d<double>>(
      AvgPool2dOptions{.kernel = 3, .stride = 1, .padding = 1, .count_padding = false}));
  net.push(make_ref<nn::GroupNorm<double>>(2, 4));
  net.push(nn::make_function<double>([](const auto& x) { return x.reshape({x.size(0), 4, -1}); }));
  net.push(make_ref<nn::BatchNorm1d<double>>(4, BatchNormOptions{.momentum = 0.2}));
  net.push(make_ref<nn::MaxPool1d<double>>(MaxPool1dOptions{.kernel = 2}));
  net.push(make_ref<nn::AvgPool1d<double>>(AvgPool1dOptions{.kernel = 2, .stride = 1}));
  net.push(make_ref<nn::RMSNorm<double>>(5));
  net.push(nn::make_function<double>([](const auto& x) { return x.reshape({x.size(0), -1}); }));
  net.push(make_ref<nn::BatchNorm1d<double>>(20));
  const std::vector<std::string> names = names_of(net);
  CHECK(names.size() == 1 + 3 * 5 + 2 + 1);
  CHECK(names[1] == "1.weight");
  CHECK(names[5] == "1.num_batches_tracked");
  CHECK(names[6] == "4.weight");
  const Tensor<double> x = check::normal({3, 2, 8, 6}, 4);
  const Tensor<double> y = net.forward(x);
  CHECK(y.shape() == Shape{3, 20});
  y.backward(check::normal(y.shape(), 5));
  check_learns(net);
  // The running statistics of the first norm: 0.9 of the first values and 0.1 of the batch's.
  const Tensor<double> z = net[0].forward(x).detach();
  const auto& first = dynamic_cast<const nn::BatchNorm2d<double>&>(net[1]);
  for (std::int64_t c = 0; c < 4; ++c) {
    double sum = 0, squares = 0;
    const std::vector<double> v = z.select(1, c).to_vector();
    for (const double a : v) sum += a;
    const double n = static_cast<double>(v.size()), mean = sum / n;
    for (const double a : v) squares += (a - mean) * (a - mean);
    CHECK(std::fabs(first.running_mean.at({c}) - 0.1 * mean) < 1e-14);
    CHECK(std::fabs(first.running_var.at({c}) - (0.9 + 0.1 * squares / (n - 1))) < 1e-14);
  }
  CHECK(first.num_batches_tracked.item() == 1);
  net.eval();
  CHECK(check::same(net.forward(x.slice(0, 0, 1)), net.forward(x).slice(0, 0, 1)));
  CHECK(first.num_batches_tracked.item() == 1);
}

TEST_CASE("norms say what shapes they take") {
  const auto wrong = [](const nn::Layer<float>& layer, const Shape& shape) {
    return check::message([&] { layer.forward(zeros<float>(shape)); });
  };
  CHECK(wrong(nn::BatchNorm1d<float>(2), {3, 2, 1, 1}) ==
        "[batch_norm] expected x of shape (N, C) or (N, C, width), got (3, 2, 1, 1)");
  CHECK(wrong(nn::BatchNorm2d<float>(2), {3, 2}) ==
        "[batch_norm] expected x of shape (N, C, height, width), got (3, 2)");
  CHECK(check::message([] { nn::GroupNorm<float>(4, 6); }) ==
        "[group_norm] 6 channels do not divide into 4 groups");
}
