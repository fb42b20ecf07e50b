/// Optimizers, schedules and clipping against PyTorch in float64 (tests/golden/generate_optim.py).

#include "../ops/check.hpp"
#include <memory>

#include "tandem/io/npz.hpp"
#include "tandem/optim.hpp"

using namespace tandem;

namespace {

const io::Npz& golden() {
  static const io::Npz file = io::Npz::open(TANDEM_GOLDEN_DIR "/optim.npz");
  return file;
}
Tensor<double> get(const std::string& key) { return golden().at(key).tensor_as<double>().clone(); }

/// Runs 20 steps on the golden gradients, the parameters split in two tensors, and compares every step.
/// Each step adds a handful of roundings of numbers of order 1: 20 steps stay below 1e-13.
template <class Optimizer, class Options>
void trajectory(const std::string& name, const Options& options) {
  INFO(name);
  const Tensor<double> gradients = get("grads"), start = get("start"), expected = get(name + ".params");
  Tensor<double> a = start.slice(0, 0, 4).clone(), b = start.slice(0, 4, 11).clone();
  a.requires_grad_();
  b.requires_grad_();
  Optimizer optimizer({a, b}, options);
  for (std::int64_t step = 0; step < 20; ++step) {
    a.set_grad(gradients[step].slice(0, 0, 4));
    b.set_grad(gradients[step].slice(0, 4, 11));  // a strided or shared gradient is fine too
    optimizer.step();
    CHECK(check::distance(a.detach(), expected[step].slice(0, 0, 4).contiguous()) < 1e-13);
    CHECK(check::distance(b.detach(), expected[step].slice(0, 4, 11).contiguous()) < 1e-13);
  }
  CHECK(optimizer.steps() == 20);
}

}  // namespace

TEST_CASE("sgd: PyTorch's trajectories") {
  for (const char* name : {"sgd.plain", "sgd.momentum", "sgd.nesterov", "sgd.nesterov_decay"}) {
    const Tensor<double> o = get(std::string(name) + ".options");
    trajectory<optim::Sgd<double>>(name, optim::SgdOptions{.learning_rate = o.at({0}),
                                                           .momentum = o.at({1}),
                                                           .weight_decay = o.at({3}),
                                                           .nesterov = o.at({2}) != 0});
  }
}

TEST_CASE("sgd: dampening, by hand") {
  Tensor<double> p = tensor<double>({1});
  p.requires_grad_();
  optim::Sgd<double> sgd({p}, {.learning_rate = 0.5, .momentum = 0.5, .dampening = 0.25});
  p.set_grad(tensor<double>({2}));
  sgd.step();  // the first step takes the gradient whole: b = 2
  CHECK(p.at({0}) == 0);
  sgd.step();  // b = 0.5·2 + 0.75·2 = 2.5
  CHECK(p.at({0}) == -1.25);
  CHECK(sgd.state()[0].tensor.at({0}) == 2.5);
}

TEST_CASE("adam and adamw: PyTorch's trajectories, on every instruction set") {
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    INFO(cpu::name(isa));
    const auto options = [](const char* name) {
      const Tensor<double> o = get(std::string(name) + ".options");
      return optim::AdamOptions{.learning_rate = o.at({0}),
                                .beta1 = o.at({1}),
                                .beta2 = o.at({2}),
                                .epsilon = o.at({3}),
                                .weight_decay = o.at({4})};
    };
    trajectory<optim::Adam<double>>("adam.default", options("adam.default"));
    trajectory<optim::Adam<double>>("adam.decay", options("adam.decay"));
    trajectory<optim::AdamW<double>>("adamw.decay", options("adamw.decay"));
  }
}

TEST_CASE("adam: a saved state continues to the same bits; thread counts agree") {
  const auto run = [](int threads, bool interrupted) {
    const check::Threads scope(threads);
    Generator random(3);
    Tensor<float> p = randn<float>({70001}, random);
    p.requires_grad_();
    auto optimizer = std::make_unique<optim::Adam<float>>(std::vector<Tensor<float>>{p});
    for (int step = 0; step < 6; ++step) {
      if (interrupted && step == 3) {
        std::vector<nn::Named<float>> saved = optimizer->state();
        for (auto& named : saved) named.tensor = named.tensor.clone();
        optimizer = std::make_unique<optim::Adam<float>>(std::vector<Tensor<float>>{p});
        optimizer->load_state(saved);
        optimizer->set_steps(3);
      }
      p.set_grad(randn<float>({70001}, random));
      optimizer->step();
    }
    return p.detach().clone();
  };
  const Tensor<float> reference = run(1, false);
  CHECK(check::same(run(1, true), reference));
  CHECK(check::same(run(2, false), reference));
  CHECK(check::same(run(3, true), reference));
}

TEST_CASE("schedule: warm-up and cosine") {
  const Tensor<double> cosine = get("schedule.cosine"), warm = get("schedule.warmup_cosine");
  const optim::Schedule a{optim::Schedule::Kind::cosine, 0, 20, 0.1};
  const optim::Schedule b{optim::Schedule::Kind::cosine, 5, 20, 0};
  for (std::int64_t step = 0; step < 20; ++step) {
    CHECK(0.1 * a.factor(step) == doctest::Approx(cosine.at({step})).epsilon(1e-12));
    CHECK(0.1 * b.factor(step) == doctest::Approx(warm.at({step})).epsilon(1e-12));
  }
  CHECK(a.factor(1000) == doctest::Approx(0.1));  // past the end it stays
  CHECK(optim::Schedule{}.factor(7) == 1);
  const optim::Schedule short_one{optim::Schedule::Kind::cosine, 5, 5, 0};
  CHECK(check::message([&] { (void)short_one.factor(6); }) != "");
}

TEST_CASE("clip_grad_norm: PyTorch's values, and bad norms") {
  for (const char* name : {"clip.active", "clip.idle"}) {
    INFO(name);
    const std::string key(name);
    Tensor<double> a = zeros<double>({3, 4}), b = zeros<double>({5});
    a.requires_grad_();
    b.requires_grad_();
    a.set_grad(get(key + ".a"));
    b.set_grad(get(key + ".b"));
    const double norm = optim::clip_grad_norm<double>({a, b}, get(key + ".max_norm").item());
    CHECK(norm == doctest::Approx(get(key + ".norm").item()).epsilon(1e-14));
    CHECK(check::distance(a.grad(), get(key + ".out_a")) < 1e-15);
    CHECK(check::distance(b.grad(), get(key + ".out_b")) < 1e-15);
  }
  Tensor<float> p = zeros<float>({3});
  p.requires_grad_();
  CHECK(optim::clip_grad_norm<float>({p}, 1) == 0);  // no gradient yet
  p.set_grad(full<float>({3}, NAN));
  CHECK(check::message([&] { optim::clip_grad_norm<float>({p}, 1); }) ==
        "[clip_grad_norm] the norm of the gradients is not finite");
  CHECK(check::message([&] { optim::clip_grad_norm<float>({p}, 0); }) != "");
}

TEST_CASE("optimizers: wrong use is refused") {
  Tensor<float> p = zeros<float>({3});
  CHECK(check::message([&] { optim::Adam<float> adam({p}); }) ==
        "[optimizer] a parameter of shape (3,) does not collect a gradient");
  p.requires_grad_();
  CHECK(check::message([&] { optim::Adam<float> adam({p}, {.beta1 = 1}); }) ==
        "[adam] betas must lie in [0, 1), they are 1 and 0.999");
  CHECK(check::message([&] { optim::Sgd<float> sgd({p}, {.nesterov = true}); }) ==
        "[sgd] Nesterov momentum needs momentum > 0 and no dampening");
  optim::Sgd<float> sgd({p}, {.momentum = 0.9});
  CHECK(check::message([&] { sgd.load_state({}); }) ==
        "[optimizer] the saved state has 0 tensors, this optimizer has 1");
  sgd.step();  // no gradient: nothing happens
  CHECK(p.at({0}) == 0);
}
