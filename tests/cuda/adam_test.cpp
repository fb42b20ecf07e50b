#include "tandem/optim/adam.hpp"

#include "devices.hpp"
#include "tandem/nn/layer_norm.hpp"
#include "tandem/nn/linear.hpp"
#include "tandem/ops/layer_norm.hpp"
#include "tandem/ops/linear.hpp"
#include "tandem/optim/clip_grad.hpp"
#include "tandem/optim/sgd.hpp"

using namespace tandem;

namespace {

/// Parameters of the given sizes after some steps on fixed gradients, the second parameter without
/// one.
template <class Adam, class T>
std::vector<Tensor<T>> trained(Device device, const std::vector<std::int64_t>& sizes,
                               const optim::AdamOptions& options, int steps) {
  std::vector<Tensor<T>> parameters;
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    parameters.push_back(check::cast<T>(devices::normal({sizes[k]}, k)).to(device));
    parameters.back().requires_grad_();
  }
  Adam adam(parameters, options);
  for (int step = 0; step < steps; ++step) {
    adam.zero_grad();
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      if (k == 1) continue;
      const std::uint64_t seed = 1000 * static_cast<std::uint64_t>(step + 1) + k;
      parameters[k].set_grad(check::cast<T>(devices::normal({sizes[k]}, seed)).to(device));
    }
    adam.step();
  }
  std::vector<Tensor<T>> out;
  for (const Tensor<T>& p : parameters) out.push_back(p.detach());
  for (const nn::Named<T>& state : adam.state()) {
    const bool count = state.name.ends_with(".step");  // the host counts, wherever the parameter is
    if (count) CHECK(state.tensor.device().is_cpu());
    out.push_back(count ? state.tensor.to(device) : state.tensor);
  }
  return out;
}

template <class Adam, class T>
void agrees(const std::vector<std::int64_t>& sizes, const optim::AdamOptions& options, double eps) {
  constexpr int steps = 5;
  const auto expected = trained<Adam, T>(Device::cpu(), sizes, options, steps);
  devices::each([&](Device device) {
    const auto got = trained<Adam, T>(device, sizes, options, steps);
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CHECK(got[i].device() == device);
      // Ten roundings a step of numbers below 5 (parameters) or 25 (squares); a GPU may fuse some.
      CHECK(check::distance(got[i], expected[i]) <= steps * 10 * 25 * eps);
    }
    if (sizes.size() > 1) CHECK(check::same(got[1], expected[1]));  // no gradient, no change
  });
}

}  // namespace

TEST_CASE("adam and adamw: the CPU's trajectory on every device, every size") {
  const std::vector<std::int64_t>& sizes = devices::sizes;
  for (const double decay : {0.0, 0.1}) {
    const optim::AdamOptions options{.learning_rate = 0.01, .weight_decay = decay};
    agrees<optim::Adam<float>, float>(sizes, options, devices::float_eps);
    agrees<optim::Adam<double>, double>(sizes, options, 0x1p-53);
    agrees<optim::AdamW<float>, float>(sizes, options, devices::float_eps);
    agrees<optim::AdamW<double>, double>(sizes, options, 0x1p-53);
  }
}

TEST_CASE(
    "adam: more tensors than one launch takes, empty ones among them, one longer than a grid") {
  std::vector<std::int64_t> many(150, 3);
  many[0] = 40;
  many[64] = 0;
  many[149] = 1031;
  agrees<optim::Adam<float>, float>(many, {}, devices::float_eps);
  agrees<optim::Adam<float>, float>({1024 * 256 + 7}, {}, devices::float_eps);
}

TEST_CASE("adam, sgd, clip_grad_norm: parameters and gradients that begin between packs") {
  const Tensor<float> values = check::cast<float>(devices::normal({77}, 8)),
                      slopes = check::cast<float>(devices::normal({77}, 9));
  const auto run = [&](Device device, std::int64_t first, std::int64_t gradient) {
    std::vector<Tensor<float>> out;
    for (const bool momentum : {false, true}) {
      for (const bool adam : {false, true}) {
        const Tensor<float> whole = values.to(device).clone(), steep = slopes.to(device).clone();
        Tensor<float> p = whole.slice(0, first, first + 70).detach();
        p.requires_grad_();
        p.set_grad(steep.slice(0, gradient, gradient + 70).detach());
        (void)optim::clip_grad_norm(std::vector{p}, 1.0);
        if (adam) {
          optim::Adam<float>({p}, {}).step();
        } else {
          optim::Sgd<float>({p}, {.learning_rate = 0.1, .momentum = momentum ? 0.9 : 0}).step();
        }
        out.push_back(whole.to(Device::cpu()));
        out.push_back(steep.to(Device::cpu()));
      }
    }
    return out;
  };
  for (const std::int64_t first : {0, 1, 4}) {
    for (const std::int64_t gradient : {0, 3}) {
      const auto expected = run(Device::cpu(), first, gradient);
      devices::each([&](Device device) {
        const auto got = run(device, first, gradient);
        for (std::size_t i = 0; i < got.size(); ++i) {
          CHECK(check::distance(got[i], expected[i]) <= 100 * 5 * devices::float_eps);
          for (const std::int64_t beside : {std::int64_t{0}, std::int64_t{75}, std::int64_t{76}}) {
            const std::int64_t begin = i % 2 == 0 ? first : gradient;
            if (beside >= begin && beside < begin + 70) continue;
            CHECK(got[i].at({beside}) == (i % 2 == 0 ? values : slopes).at({beside}));
          }
        }
      });
    }
  }
}

TEST_CASE("adam: parameters on several devices in one optimizer") {
  Tensor<float> here = full<float>({33}, 1), there = full<float>({33}, 1, Device::cuda());
  here.requires_grad_();
  there.requires_grad_();
  optim::Adam<float> adam({here, there});
  here.set_grad(full<float>({33}, 2));
  there.set_grad(full<float>({33}, 2, Device::cuda()));
  adam.step();
  CHECK(check::distance(there.detach(), here.detach()) <= 4 * devices::float_eps);
  CHECK(here.at({0}) < 1);
  // A saved state finds its way to each device.
  std::vector<nn::Named<float>> saved;
  for (const auto& named : adam.state())
    saved.push_back({named.name, named.tensor.to(Device::cpu()).clone()});
  adam.load_state(saved);
  for (std::size_t i = 0; i < saved.size(); ++i)
    CHECK(check::same(adam.state()[i].tensor, saved[i].tensor));
  CHECK(saved[3].name == "1.exp_avg");
  CHECK(saved[3].tensor.at({0}) != 0);
}

TEST_CASE("a small network trains on every device as on the CPU") {
  const Tensor<double> x = devices::normal({19, 7}, 1), cotangent = devices::normal({19, 3}, 2);
  const auto train = [&](Device device) {
    Generator random(5);
    nn::Linear<float> hidden(7, 33, random), out(33, 3, random);
    nn::LayerNorm<float> norm(33);
    std::vector<Tensor<float>> parameters;
    for (nn::Module<float>* module :
         std::initializer_list<nn::Module<float>*>{&hidden, &norm, &out}) {
      module->to(device);
      for (const Tensor<float>& p : module->parameters()) parameters.push_back(p);
    }
    optim::Adam<float> adam(parameters, {.learning_rate = 0.01});
    for (int step = 0; step < 4; ++step) {
      const Tensor<float> h =
          norm.forward(hidden.forward(check::cast<float>(x).to(device), Activation::quick_gelu));
      adam.zero_grad();
      out.forward(h).backward(check::cast<float>(cotangent).to(device));
      adam.step();
    }
    std::vector<Tensor<float>> result;
    for (const Tensor<float>& p : parameters) result.push_back(p.detach());
    return result;
  };
  const auto expected = train(Device::cpu());
  devices::each([&](Device device) {
    const auto got = train(device);
    for (std::size_t i = 0; i < got.size(); ++i) {
      CHECK(got[i].device() == device);
      // Adam divides a gradient by its own size: where that is only a rounding error above zero
      // (the gradient of a bias in front of a layer norm, say) the step of 0.01 has no digits at
      // all. Elsewhere the gradients (sums of 19 terms below 100, 1e-5 off) move a step by at most
      // 1e-2·1e-3.
      CHECK(check::distance(got[i], expected[i]) <= 4 * 1e-2 * 1e-3);
    }
  });
}
