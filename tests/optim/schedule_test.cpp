/// Schedules, groups of parameters and their moving averages against PyTorch in float64
/// (tests/golden/generate_schedules.py).

#include "tandem/optim/schedule.hpp"

#include "../ops/check.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/nn/linear.hpp"
#include "tandem/nn/sequential.hpp"
#include "tandem/optim.hpp"

using namespace tandem;

namespace {

Tensor<double> get(const std::string& key) {
  static const io::Npz file = io::Npz::open(TANDEM_GOLDEN_DIR "/schedules.npz");
  return file.at(key).tensor_as<double>().clone();
}

/// PyTorch has some rates step by step, from the last one: 40 products, each rounded.
template <class S>
void follows(const std::string& name, const S& schedule) {
  INFO(name);
  const Tensor<double> expected = get(name);
  for (std::int64_t step = 0; step < expected.numel(); ++step) {
    CAPTURE(step);
    CHECK(std::fabs(0.1 * schedule.factor(step) - expected.at({step})) < 1e-14);
  }
}

void follows(const std::string& name, const optim::PlateauOptions& options) {
  INFO(name);
  const Tensor<double> expected = get(name), measures = get("measures");
  optim::Plateau plateau(options), resumed(options);
  for (std::int64_t i = 0; i < expected.numel(); ++i) {
    CAPTURE(i);
    resumed.load_state(plateau.state());
    CHECK(std::fabs(0.1 * plateau.update(measures.at({i})) - expected.at({i})) < 1e-15);
    CHECK(resumed.update(measures.at({i})) == plateau.factor());
  }
  CHECK(plateau.factor() < 1);
}

/// Runs the golden gradients with the second tensor in a group of its own.
template <class Optimizer, class Options>
void groups(const std::string& name, const Options& options) {
  INFO(name);
  const Tensor<double> start = get("groups.start"), grads = get("groups.grads"),
                       expected = get("groups." + name);
  const Tensor<double> a = start.slice(0, 0, 4).clone(), b = start.slice(0, 4, 7).clone();
  for (const Tensor<double>& p : {a, b}) p.requires_grad_();
  Optimizer optimizer(
      std::vector<optim::ParameterGroup<double>>{
          {.parameters = {{"a", a}}},
          {.parameters = {{"b", b}}, .learning_rate_factor = 0.1, .weight_decay = 0}},
      options);
  for (std::int64_t step = 0; step < 10; ++step) {
    if (step == 5) optimizer.set_learning_rate(optimizer.learning_rate() / 2);
    a.set_grad(grads[step].slice(0, 0, 4));
    b.set_grad(grads[step].slice(0, 4, 7));
    optimizer.step();
    CHECK(check::distance(a.detach(), expected[step].slice(0, 0, 4)) < 1e-13);
    CHECK(check::distance(b.detach(), expected[step].slice(0, 4, 7)) < 1e-13);
  }
  CHECK(optimizer.state()[0].name == "a.step");
  CHECK(optimizer.state()[1].name == "b.step");
  CHECK(optimizer.steps() == 10);
}

}  // namespace

TEST_CASE("schedules: PyTorch's learning rates") {
  follows("step", optim::StepSchedule{.size = 7, .gamma = 0.3});
  follows("exponential", optim::ExponentialSchedule{.gamma = 0.9});
  follows("restarts", optim::CosineRestarts{.period = 8, .final_factor = 0.1});
  follows("restarts_growing", optim::CosineRestarts{.period = 3, .growth = 2, .final_factor = 0.1});
  follows("one_cycle", optim::OneCycle{.total = 40});
  follows("one_cycle_other",
          optim::OneCycle{.total = 40, .rise = 0.45, .div = 10, .final_div = 100});
  follows("plateau", optim::PlateauOptions{.factor = 0.5, .patience = 3});
  follows("plateau_cooldown",
          optim::PlateauOptions{
              .factor = 0.5, .patience = 1, .threshold = 1e-2, .cooldown = 2, .min_factor = 0.2});
  follows("plateau_max",
          optim::PlateauOptions{.factor = 0.2, .patience = 4, .larger_is_better = true});
}

TEST_CASE("schedules: the ends, NaN, wrong numbers") {
  CHECK(optim::OneCycle{.total = 40}.factor(1000) == 1 / 25.0 / 1e4);
  CHECK(optim::StepSchedule{.size = 3}.factor(2) == 1);
  optim::Plateau plateau({.patience = 0});
  CHECK(plateau.update(NAN) == 0.1);  // no measure, so no better one
  CHECK(plateau.update(5) == 0.1);
  CHECK(std::fabs(plateau.update(NAN) - 0.01) < 1e-17);
  CHECK(check::message([] { (void)optim::StepSchedule{.size = 0}.factor(1); }) ==
        "[schedule] step 1 of periods of 0: the first must not be negative, the second at least 1");
  CHECK(check::message([] { (void)optim::ExponentialSchedule{}.factor(-1); }) != "");
  CHECK(check::message([] { (void)optim::CosineRestarts{.period = 0}.factor(1); }) ==
        "[schedule] the period and its growth must be at least 1, they are 0 and 1");
  CHECK(check::message([] { (void)optim::OneCycle{}.factor(0); }) ==
        "[schedule] a cycle of 0 steps, 0.3 of them before the top, needs more than one step on "
        "either side");
  CHECK(check::message([] { optim::Plateau({.factor = 1}); }) ==
        "[plateau] the factor must lie between 0 and 1, it is 1");
  // Numbers of which a rate would become negative, infinite, NaN, or grow at a plateau.
  for (const double bad : {-0.5, static_cast<double>(INFINITY), static_cast<double>(NAN)}) {
    CAPTURE(bad);
    const auto refused = [](auto&& f) { return check::message(f) != ""; };
    CHECK(refused([&] { (void)optim::StepSchedule{.gamma = bad}.factor(1); }));
    CHECK(refused([&] { (void)optim::ExponentialSchedule{.gamma = bad}.factor(0); }));
    CHECK(refused([&] { (void)optim::CosineRestarts{.final_factor = bad}.factor(0); }));
    CHECK(refused([&] {
      (void)optim::Schedule{optim::Schedule::Kind::cosine, 0, 20, bad}.factor(0);
    }));
    CHECK(refused([&] { optim::Plateau({.min_factor = bad}); }));
    CHECK(refused([&] { optim::Plateau({.threshold = bad}); }));
    CHECK(refused([&] { optim::Plateau().load_state({.factor = bad}); }));
  }
  CHECK(check::message([] { optim::Plateau({.min_factor = 2}); }) ==
        "[plateau] the smallest factor must be from 0 to 1, it is 2");
  CHECK(check::message([] { (void)optim::OneCycle{.total = 40, .div = 1e-320}.factor(1); }) != "");
  CHECK(check::message([] { (void)optim::OneCycle{.total = 40, .rise = NAN}.factor(1); }) != "");
  // A period that would pass 64 bits stays the last.
  constexpr std::int64_t late = std::numeric_limits<std::int64_t>::max();
  CHECK(optim::CosineRestarts{.period = 1, .growth = 1 << 30}.factor(late) <= 1);
}

TEST_CASE("optimizers: groups with rates and decays of their own, as PyTorch's") {
  groups<optim::AdamW<double>>("adamw",
                               optim::AdamOptions{.learning_rate = 0.02, .weight_decay = 0.3});
  groups<optim::Sgd<double>>(
      "sgd", optim::SgdOptions{.learning_rate = 0.02, .momentum = 0.9, .weight_decay = 0.3});
}

TEST_CASE("optimizers: decay_matrices_only, states of a list and of groups; wrong groups") {
  Generator random(1);
  nn::Linear<float> layer(3, 2, random);
  const auto parts = optim::decay_matrices_only(layer.named_parameters());
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].parameters[0].name == "weight");
  CHECK_FALSE(parts[0].weight_decay.has_value());
  CHECK(parts[1].parameters[0].name == "bias");
  CHECK(parts[1].weight_decay == 0.0);
  optim::AdamW<float> grouped(parts), plain(layer.named_parameters());
  plain.load_state(grouped.state());
  nn::Linear<float> head(2, 2, random, false);
  const optim::AdamW<float> both({{.parameters = {{"head", head.weight.tensor()}}},
                                  {.parameters = layer.named_parameters(), .weight_decay = 0}},
                                 {.weight_decay = 0.1});
  CHECK(both.parameters().size() == 3);
  // Tensors alone have their place for a name.
  const optim::AdamW<float> unnamed(
      {{.parameters = head.parameters()}, {.parameters = layer.parameters(), .weight_decay = 0}});
  CHECK(unnamed.state()[2].name.starts_with("2."));
  using Groups = std::vector<optim::ParameterGroup<float>>;
  const auto named = layer.named_parameters();
  CHECK(check::message([&] {
          optim::Sgd<float>(Groups{{.parameters = named}, {.parameters = named}});
        }) == "[optimizer] two parameters are called weight");
  CHECK(check::message([&] {
          optim::Sgd<float>(Groups{{.parameters = named, .learning_rate_factor = -1}});
        }) == "[optimizer] a factor of the learning rate must not be negative, it is -1");
  CHECK(check::message([&] {
          optim::Sgd<float>(Groups{{.parameters = named, .weight_decay = -1}});
        }) == "[optimizer] a weight decay must not be negative, it is -1");
  CHECK(check::message([&] {
          optim::Sgd<float>(Groups{{}, {}});
        }).find("no parameters") != std::string::npos);
}

TEST_CASE("Ema: PyTorch's averages, the scope, the state") {
  const Tensor<double> values = get("ema.values"), expected = get("ema.averages");
  Generator random(2);
  nn::Linear<double> layer(3, 2, random);
  const auto set = [&](std::int64_t row) {
    layer.weight.tensor().detach().copy_(values[row].slice(0, 0, 6).reshape({2, 3}));
    layer.bias.detach().copy_(values[row].slice(0, 6, 8));
  };
  const auto flat = [](const std::vector<nn::Named<double>>& state) {
    std::vector<double> all;
    for (const auto& named : state) {
      for (const double v : named.tensor.to_vector()) all.push_back(v);
    }
    return from_vector<double>(all);
  };
  set(0);  // PyTorch's first update copies
  optim::Ema<double> ema(layer.named_parameters(), {.decay = 0.9});
  for (std::int64_t row = 1; row < 6; ++row) {
    set(row);
    ema.update();
    CHECK(check::distance(flat(ema.averages()), expected[row]) < 1e-15);
  }
  CHECK(ema.updates() == 5);
  CHECK(ema.averages()[0].name == "weight");
  {
    const optim::EmaScope<double> scope(ema);
    CHECK(check::distance(flat(layer.state_dict()), expected[5]) < 1e-15);
    CHECK(check::message([&] { ema.update(); }) ==
          "[ema] update() while the averages are in the place of the parameters");
    CHECK(check::message([&] { (void)ema.state(); }) ==
          "[ema] averages() while the averages are in the place of the parameters");
    CHECK(check::message([&] { const optim::EmaScope<double> twice(ema); }) ==
          "[ema] the averages are in the place of the parameters already");
  }
  CHECK(check::same(flat(layer.state_dict()), values[5]));
  CHECK(check::distance(flat(ema.averages()), expected[5]) < 1e-15);

  optim::Ema<double> other(layer.named_parameters(), {.decay = 0.9});
  other.load_state(ema.state());
  CHECK(other.updates() == 5);
  CHECK(check::same(flat(other.averages()), flat(ema.averages())));
  std::vector<nn::Named<double>> state = ema.state();
  state.pop_back();
  CHECK(check::message([&] { other.load_state(state); }) ==
        "[ema] the saved state has no 'ema.updates'");
  state.push_back({"ema.updates", full<double>({}, 0.5)});
  CHECK(check::message([&] { other.load_state(state); }) ==
        "[ema] 'ema.updates' is 0.5, not a number of updates");
  state.push_back(state[0]);
  CHECK(check::message([&] { other.load_state(state); }) ==
        "[ema] the saved state has 'weight' twice");
  state.back().name = "more";
  CHECK(check::message([&] { other.load_state(state); }) ==
        "[ema] the saved state has 'more', which is not averaged here");
}

TEST_CASE("Ema: warm-up; wrong use") {
  const Tensor<double> p = tensor<double>({1});
  optim::Ema<double> ema({{"p", p}}, {.decay = 0.5, .warmup = true});
  p.fill_(3);
  ema.update();  // 2/11 remain
  CHECK(std::fabs(ema.averages()[0].tensor.item() - (2 + 3 * 9) / 11.0) < 1e-15);
  for (int i = 0; i < 7; ++i) ema.update();
  const double before = ema.averages()[0].tensor.item();
  p.fill_(5);
  ema.update();  // 10/19 is more than a half
  CHECK(std::fabs(ema.averages()[0].tensor.item() - (before + 5) / 2) < 1e-15);
  CHECK(check::message([&] {
          optim::Ema<double>({{"p", p}, {"p", p}});
        }) == "[ema] two parameters are called p");
  CHECK(check::message([&] {
          optim::Ema<double>({{"p", p}, {"q", p}});
        }).find("are one tensor") != std::string::npos);
  CHECK(check::message([&] { optim::Ema<double>({}); }) ==
        "[ema] no parameters: the list is empty");
  CHECK(check::message([&] {
          optim::Ema<double>({{"p", p}}, {.decay = 1.5});
        }) == "[ema] the decay must be from 0 to 1, it is 1.5");
  // An expanded parameter cannot be written: that is found before the first exchange.
  const Tensor<double> q = ones<double>({1}).expand({2});
  optim::Ema<double> two({{"p", p}, {"q", q}});
  p.fill_(9);
  CHECK(check::message([&] { two.swap(); }) ==
        "[ema] dimension 0 of shape (2,) was expanded, so its elements share memory: clone() it "
        "first");
  CHECK(p.item() == 9);
  CHECK_FALSE(two.swapped());
}
