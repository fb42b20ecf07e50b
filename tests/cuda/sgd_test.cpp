#include "tandem/optim/sgd.hpp"

#include "devices.hpp"
#include "tandem/cuda/graph.hpp"

using namespace tandem;

namespace {

struct SgdRun {
  std::vector<std::int64_t> sizes;
  optim::SgdOptions options;
};

/// Parameters with fixed gradients, the second one without.
template <class T>
std::vector<Tensor<T>> sgd_parameters(Device device, const std::vector<std::int64_t>& sizes) {
  std::vector<Tensor<T>> out;
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    out.push_back(check::cast<T>(devices::normal({sizes[k]}, k)).to(device));
    out.back().requires_grad_();
  }
  return out;
}
template <class T>
void set_gradients(const std::vector<Tensor<T>>& parameters, int step) {
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    if (k == 1) continue;
    const std::uint64_t seed = 1000 * static_cast<std::uint64_t>(step + 1) + k;
    const Tensor<T> g = check::cast<T>(devices::normal(parameters[k].shape(), seed));
    parameters[k].set_grad(g.to(parameters[k].device()));
  }
}

template <class T>
std::vector<Tensor<T>> after_sgd(Device device, const SgdRun& run, int steps) {
  const auto parameters = sgd_parameters<T>(device, run.sizes);
  optim::Sgd<T> sgd(parameters, run.options);
  for (int step = 0; step < steps; ++step) {
    set_gradients(parameters, step);
    sgd.step();
  }
  std::vector<Tensor<T>> out;
  for (const Tensor<T>& p : parameters) out.push_back(p.detach());
  for (const nn::Named<T>& state : sgd.state()) out.push_back(state.tensor.to(device));
  return out;
}

template <class T>
void sgd_agrees(const SgdRun& run, double eps) {
  constexpr int steps = 4;
  const auto expected = after_sgd<T>(Device::cpu(), run, steps);
  devices::each([&](Device device) {
    const auto got = after_sgd<T>(device, run, steps);
    REQUIRE(got.size() == expected.size());
    // Seven roundings a step of numbers below 20 (buffers of four gradients below 5).
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK(check::distance(got[i], expected[i]) <= steps * 7 * 20 * eps);
    if (run.sizes.size() > 1) CHECK(check::same(got[1], expected[1]));
  });
}

}  // namespace

TEST_CASE("sgd: the CPU's trajectory on every device, every kind of momentum, every size") {
  for (const optim::SgdOptions& options :
       {optim::SgdOptions{.learning_rate = 0.1},
        optim::SgdOptions{.learning_rate = 0.1, .weight_decay = 0.01},
        optim::SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.3},
        optim::SgdOptions{
            .learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true}}) {
    sgd_agrees<float>({devices::sizes, options}, devices::float_eps);
    sgd_agrees<double>({devices::sizes, options}, 0x1p-53);
  }
  std::vector<std::int64_t> many(170, 3);  // more than two tables
  many[0] = 4099;
  many[100] = 0;
  sgd_agrees<float>({many, {.learning_rate = 0.1, .momentum = 0.9}}, devices::float_eps);
}

TEST_CASE("sgd: steps that a graph has captured, the first of a parameter among them") {
  const Device gpu = Device::cuda();
  for (int order = 0; order < backend::orders; ++order) {
    backend::set_order(order);
    const SgdRun run{{33, 3, 257}, {.learning_rate = 0.1, .momentum = 0.9}};
    const auto expected = after_sgd<float>(gpu, run, 3);
    const auto parameters = sgd_parameters<float>(gpu, run.sizes);
    optim::Sgd<float> sgd(parameters, run.options);
    set_gradients(parameters, 0);
    const Graph graph = Graph::capture(current_queue(gpu), [&] { sgd.step(); });
    for (int step = 0; step < 3; ++step) {
      for (std::size_t k : {0U, 2U}) {
        const std::uint64_t seed = 1000 * static_cast<std::uint64_t>(step + 1) + k;
        parameters[k].grad().copy_(check::cast<float>(devices::normal({run.sizes[k]}, seed)));
      }
      sgd.prepare_replay();
      graph.replay();
    }
    for (std::size_t k = 0; k < 3; ++k) CHECK(check::same(parameters[k].detach(), expected[k]));
    CHECK(sgd.steps() == 3);
  }
  backend::set_order(0);
}
