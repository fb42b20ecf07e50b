/// Optimizers, schedules and clipping against PyTorch in float64 (tests/golden/generate_optim.py).

#include "tandem/optim.hpp"

#include <memory>

#include "../io/temp_dir.hpp"
#include "../nn/copy_only_device.hpp"
#include "../ops/check.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/io/safetensors.hpp"

using namespace tandem;
using tandem_test::TempDir;

namespace {

const io::Npz& golden() {
  static const io::Npz file = io::Npz::open(TANDEM_GOLDEN_DIR "/optim.npz");
  return file;
}
Tensor<double> get(const std::string& key) { return golden().at(key).tensor_as<double>().clone(); }

/// Runs 20 steps on the golden gradients, the parameters split in two tensors, and compares every
/// step. Each step adds a handful of roundings of numbers of order 1: 20 steps stay below 1e-13.
template <class Optimizer, class Options>
void trajectory(const std::string& name, const Options& options) {
  INFO(name);
  const Tensor<double> gradients = get("grads"), start = get("start"),
                       expected = get(name + ".params");
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

/// PyTorch counts the gradients of each parameter by itself: one that has its first at the
/// optimizer's fourth step, and then some but not all, walks as it would alone. Both follow the
/// golden trajectory, each at its own pace.
template <class Optimizer, class Options>
void late_trajectory(const std::string& name, const Options& options) {
  INFO(name);
  const Tensor<double> gradients = get("grads"), start = get("start"),
                       expected = get(name + ".params");
  const Tensor<double> a = start.slice(0, 0, 4).clone(), b = start.slice(0, 4, 11).clone();
  a.requires_grad_();
  b.requires_grad_();
  Optimizer optimizer(std::vector<Tensor<double>>{a, b}, options);
  std::int64_t done = 0;
  for (std::int64_t step = 0; step < 20; ++step) {
    optimizer.zero_grad();
    a.set_grad(gradients[step].slice(0, 0, 4));
    const bool has = step >= 3 && step % 3 != 1;
    if (has) b.set_grad(gradients[done++].slice(0, 4, 11));
    optimizer.step();
    CHECK(check::distance(a.detach(), expected[step].slice(0, 0, 4).contiguous()) < 1e-13);
    if (has)
      CHECK(check::distance(b.detach(), expected[done - 1].slice(0, 4, 11).contiguous()) < 1e-13);
  }
  CHECK(done == 11);
  CHECK(optimizer.steps() == 20);
  CHECK(optimizer.state()[0].tensor.item() == 20);
  CHECK(optimizer.state()[1].name == "1.step");
  CHECK(optimizer.state()[1].tensor.item() == 11);
}

}  // namespace

TEST_CASE("sgd: PyTorch's trajectories") {
  for (const char* name : {"sgd.plain", "sgd.momentum", "sgd.nesterov", "sgd.nesterov_decay"}) {
    const Tensor<double> o = get(std::string(name) + ".options");
    const optim::SgdOptions options{.learning_rate = o.at({0}),
                                    .momentum = o.at({1}),
                                    .weight_decay = o.at({3}),
                                    .nesterov = o.at({2}) != 0};
    trajectory<optim::Sgd<double>>(name, options);
    late_trajectory<optim::Sgd<double>>(name, options);
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
  CHECK(sgd.state()[1].name == "0.momentum_buffer");
  CHECK(sgd.state()[1].tensor.at({0}) == 2.5);
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
    late_trajectory<optim::Adam<double>>("adam.default", options("adam.default"));
    late_trajectory<optim::AdamW<double>>("adamw.decay", options("adamw.decay"));
  }
}

TEST_CASE(
    "a parameter's first gradient at step 2 is its first step: Adam moves it by the rate, SGD "
    "takes it whole") {
  const Tensor<double> early = tensor<double>({1}), late = tensor<double>({1});
  early.requires_grad_();
  late.requires_grad_();
  {
    optim::Adam<double> adam({early, late}, {.learning_rate = 0.01});
    early.set_grad(tensor<double>({3}));
    adam.step();
    late.set_grad(tensor<double>({-5}));
    adam.step();
    // m̂/√v̂ of one gradient is its sign, whatever β: θ moves by 0.01/(1 + ε/|g|).
    CHECK(late.at({0}) == doctest::Approx(1.01).epsilon(1e-10));
  }
  early.zero_grad();
  late.zero_grad();
  optim::Sgd<double> sgd({early, late}, {.learning_rate = 0.5, .momentum = 0.5, .dampening = 0.25});
  early.set_grad(tensor<double>({3}));
  sgd.step();
  late.set_grad(tensor<double>({2}));
  sgd.step();
  CHECK(sgd.state()[3].name == "1.momentum_buffer");
  CHECK(sgd.state()[3].tensor.at({0}) == 2);  // not 0.75·2
}

namespace {
std::vector<std::int64_t> launches;  // how many tensors each had

/// Stands for kernels/adam.cu.
void adam_step(Queue&, const optim::detail::AdamTensor<double>* tensors, std::int64_t count,
               const formula::Adam<double>& numbers, const formula::Adam<double>* in_memory) {
  launches.push_back(count);
  optim::detail::adam_on_cpu(tensors, count, numbers, in_memory);
}
const bool registered = tandem::detail::register_kernel<&adam_step>("adam_step");
}  // namespace

TEST_CASE(
    "adam: on a device, parameters with as many gradients share a launch, and each has its own "
    "numbers") {
  const tandem_test::CopyOnlyDevice device;
  REQUIRE(registered);
  const auto on = [](Device where, const Tensor<double>& x) {
    const Tensor<double> there(x.shape(), where);
    there.copy_elements(x);
    return there;
  };
  const auto train = [&](Device where) {
    std::vector<Tensor<double>> parameters;
    for (std::uint64_t k = 0; k < 3; ++k) parameters.push_back(on(where, check::normal({5}, k)));
    for (const Tensor<double>& p : parameters) p.requires_grad_();
    optim::Adam<double> adam(parameters);
    for (std::uint64_t step = 0; step < 3; ++step) {
      for (std::uint64_t k = 0; k < 3; ++k) {
        if (step > 0 || k != 1)
          parameters[k].set_grad(on(where, check::normal({5}, 10 * step + k)));
      }
      adam.step();
    }
    for (Tensor<double>& p : parameters) p = on(Device::cpu(), p.detach());
    return parameters;
  };
  launches.clear();
  const auto there = train(Device::cuda()), here = train(Device::cpu());
  for (std::size_t k = 0; k < 3; ++k) CHECK(check::same(there[k], here[k]));
  CHECK(launches == std::vector<std::int64_t>{2, 2, 1, 2, 1});
}

TEST_CASE(
    "adam: a captured step reads its numbers from the device, where prepare_replay writes them") {
  const tandem_test::CopyOnlyDevice device;
  static bool captured = false;
  cuda_interface().is_capturing = [](int, void*) { return captured; };
  const Tensor<double> p(Shape{3}, Device::cuda()), q(Shape{3}, Device::cuda());
  for (const Tensor<double>& x : {p, q}) {
    x.fill_(1);
    x.requires_grad_();
    x.set_grad(ones<double>({3}, Device::cuda()));
  }
  optim::Adam<double> adam({p, q});
  CHECK(check::message([&] { adam.prepare_replay(); }) ==
        "[adam] prepare_replay() without a step() that a graph has captured");
  captured = true;
  adam.step();
  captured = false;
  adam.prepare_replay();
  CHECK(adam.steps() == 1);
  q.zero_grad();
  adam.step();
  CHECK(check::message([&] { adam.prepare_replay(); }) ==
        "[adam] the captured step updates parameters 0 and 1 with the same numbers, but they have "
        "had 2 and 1 steps: "
        "capture it again");
  optim::Sgd<double> sgd({p});
  CHECK(check::message([&] { sgd.prepare_replay(); }) ==
        "[sgd] prepare_replay() without a step() that a graph has captured");
  // One whose numbers are the host's cannot be replayed.
  struct Plain final : optim::Optimizer<double> {
    explicit Plain(const Tensor<double>& x) : Optimizer({{"x", x}}, 0.1) {}
    void step() override {}
  } plain(p);
  CHECK(check::message([&] { plain.prepare_replay(); }) ==
        "[optimizer] the steps of this optimizer cannot be replayed: their numbers do not lie in a "
        "GPU's memory");
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
        io::SafetensorsWriter out;
        for (const auto& named : optimizer->state()) out.add(named.name, named.tensor);
        const TempDir dir;
        out.save(dir.path("optimizer.safetensors"));
        optimizer = std::make_unique<optim::Adam<float>>(std::vector<Tensor<float>>{p});
        const io::SafetensorsFile file(dir.path("optimizer.safetensors"));
        std::vector<nn::Named<float>> saved;  // in the file's order, which is another
        for (const std::string& name : file.names())
          saved.push_back({name, file.get<float>(name).clone()});
        optimizer->load_state(saved);
        CHECK(optimizer->steps() == 3);
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

TEST_CASE("adam: a weight decay that is set counts from the next step on, as one that was given") {
  const auto run = [](double given, double set) {
    Generator random(3);
    const Tensor<double> p = randn<double>({7}, random), g = randn<double>({7}, random);
    p.requires_grad_();
    optim::Adam<double> adam({p}, {.learning_rate = 0.1, .weight_decay = given});
    for (int step = 0; step < 2; ++step) {
      adam.set_weight_decay(set);
      CHECK(adam.weight_decay() == set);
      p.set_grad(g);
      adam.step();
    }
    return p.detach().clone();
  };
  CHECK(check::same(run(0, 0.5), run(0.5, 0.5)));
  CHECK(check::same(run(0.5, 0), run(0, 0)));
  CHECK_FALSE(check::same(run(0, 0.5), run(0, 0)));
  CHECK(check::message([&] { run(0, -1); }) ==
        "[adam] weight decay must not be negative, it is -1");
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

TEST_CASE("optimizers: numbers that are negative, infinite or NaN are refused, wherever given") {
  Tensor<float> p = zeros<float>({3});
  p.requires_grad_();
  optim::Sgd<float> sgd({p}, {.learning_rate = 0.5});
  optim::Adam<float> adam({p});
  const std::vector<nn::Named<float>> named{{"p", p}};
  for (const double bad : {-1.0, static_cast<double>(INFINITY), static_cast<double>(NAN)}) {
    CAPTURE(bad);
    const auto refuses = [&](const char* op, const char* what, auto&& f) {
      const std::string why = bad < 0 ? "must not be negative" : "must be finite";
      CHECK(check::message(f).rfind(concat("[", op, "] ", what, " ", why), 0) == 0);
    };
    refuses("optimizer", "the learning rate", [&] { sgd.set_learning_rate(bad); });
    refuses("optimizer", "the learning rate",
            [&] { optim::Adam<float> a({p}, {.learning_rate = bad}); });
    refuses("optimizer", "a factor of the learning rate", [&] {
      optim::Sgd<float> s(std::vector<optim::ParameterGroup<float>>{
          {.parameters = named, .learning_rate_factor = bad}});
    });
    refuses("optimizer", "a weight decay", [&] {
      optim::Sgd<float> s(
          std::vector<optim::ParameterGroup<float>>{{.parameters = named, .weight_decay = bad}});
    });
    refuses("adam", "epsilon", [&] { optim::Adam<float> a({p}, {.epsilon = bad}); });
    refuses("adam", "weight decay", [&] { optim::AdamW<float> a({p}, {.weight_decay = bad}); });
    refuses("adam", "weight decay", [&] { adam.set_weight_decay(bad); });
    refuses("sgd", "momentum", [&] { optim::Sgd<float> s({p}, {.momentum = bad}); });
    refuses("sgd", "weight decay", [&] { optim::Sgd<float> s({p}, {.weight_decay = bad}); });
    CHECK(check::message([&] { optim::Adam<float> a({p}, {.beta1 = bad}); }) != "");
    CHECK(check::message([&] { optim::Adam<float> a({p}, {.beta2 = bad}); }) != "");
    CHECK(check::message([&] { optim::Ema<float> e(named, {.decay = bad}); }) != "");
  }
  CHECK(check::message([&] { optim::Sgd<float> s({p}, {.dampening = NAN}); }) ==
        "[sgd] dampening must be finite, it is nan");
  CHECK(sgd.learning_rate() == 0.5);
  sgd.set_learning_rate(0);
  CHECK(sgd.learning_rate() == 0);
}

TEST_CASE("optimizers: wrong use is refused") {
  Tensor<float> p = zeros<float>({3});
  CHECK(check::message([&] { optim::Adam<float> adam({p}); }) ==
        "[optimizer] parameter 0 of shape (3,) does not collect a gradient");
  p.requires_grad_();
  CHECK(check::message([&] { optim::Adam<float> adam({p}, {.beta1 = 1}); }) ==
        "[adam] betas must lie in [0, 1), they are 1 and 0.999");
  CHECK(check::message([&] { optim::Sgd<float> sgd({p}, {.nesterov = true}); }) ==
        "[sgd] Nesterov momentum needs momentum > 0 and no dampening");
  const std::string none =
      "[optimizer] no parameters: the list is empty, so no step would change anything (a module "
      "that is frozen, or has registered none?)";
  CHECK(check::message([] { optim::Adam<float> adam(std::vector<Tensor<float>>{}); }) == none);
  CHECK(check::message([] { optim::Sgd<float> sgd(std::vector<nn::Named<float>>{}, {}); }) == none);
  optim::Sgd<float> sgd({p}, {.momentum = 0.9});
  sgd.step();  // no gradient: nothing happens
  CHECK(p.at({0}) == 0);
  CHECK(sgd.steps() == 0);
}

TEST_CASE("optimizers: one tensor twice is refused by name, in whatever disguise") {
  const Tensor<float> block = zeros<float>({4, 2}), p = block.slice(0, 0, 2).detach(),
                      q = zeros<float>({3});
  const Tensor<float> handle = p, alias = p.detach(), overlapping = block.slice(0, 1, 3).detach(),
                      beside = block.slice(0, 2, 4).detach(), none = zeros<float>({0});
  for (const Tensor<float>& t : {p, q, alias, overlapping, beside, none}) t.requires_grad_();
  CHECK(check::message([&] {
          optim::Adam<float> adam({q, p, beside, handle});
        }) ==
        "[optimizer] parameters 1 and 3 are one tensor (of shape (2, 2)): each must be given once");
  CHECK(check::message([&] {
          optim::Sgd<float> sgd({alias, q, p});
        }) ==
        "[optimizer] parameters 0 and 2 share memory (of shape (2, 2)): each must be given once");
  CHECK(check::message([&] {
          optim::AdamW<float> adam({p, overlapping});
        }) ==
        "[optimizer] parameters 0 and 1 share memory (of shape (2, 2)): each must be given once");
  CHECK(check::message([&] {
          optim::Adam<float> adam(
              std::vector<nn::Named<float>>{{"head.weight", p}, {"tail.weight", handle}});
        }) ==
        "[optimizer] parameters head.weight and tail.weight are one tensor (of shape (2, 2)): each "
        "must be "
        "given once");
  CHECK(check::message([&] {
          optim::Adam<float> adam(std::vector<nn::Named<float>>{{"w", p}, {"w", q}});
        }) == "[optimizer] two parameters are called w");
  optim::Adam<float> fine({p, beside, q, none});
  CHECK(check::message([&] {
          optim::clip_grad_norm<float>({q, q}, 1);
        }) ==
        "[grad_norm] parameters 0 and 1 are one tensor (of shape (3,)): each must be given once");
}

TEST_CASE(
    "clip_grad_norm: a gradient that two parameters or somebody else hold is scaled once, for "
    "each") {
  const Tensor<float> a = zeros<float>({2}), b = zeros<float>({2}), mine = tensor<float>({3, 4});
  a.requires_grad_();
  b.requires_grad_();
  a.set_grad(mine);
  b.set_grad(mine);
  CHECK(optim::clip_grad_norm<float>({a, b}, 1) == doctest::Approx(std::sqrt(50.0)));
  CHECK(a.grad().at({0}) == doctest::Approx(3 / std::sqrt(50.0)).epsilon(1e-5));
  CHECK(check::same(a.grad(), b.grad()));
  CHECK(mine.to_vector() == std::vector<float>{3, 4});
}

TEST_CASE("load_state: by name, in any order, all or nothing") {
  const Tensor<double> a = zeros<double>({2}), b = zeros<double>({2});
  a.requires_grad_();
  b.requires_grad_();
  const std::vector<nn::Named<double>> named{{"first", a}, {"second", b}};
  optim::Sgd<double> sgd(named, {.momentum = 0.9});
  a.set_grad(ones<double>({2}));
  sgd.step();
  std::vector<nn::Named<double>> saved;
  for (const auto& each : sgd.state()) saved.push_back({each.name, each.tensor.clone()});
  std::vector<std::string> names;
  for (const auto& each : saved) names.push_back(each.name);
  CHECK(names == std::vector<std::string>{"first.step", "second.step", "first.momentum_buffer",
                                          "second.momentum_buffer"});
  std::reverse(saved.begin(), saved.end());
  // The same parameters in another order: each finds its own.
  optim::Sgd<double> other({named[1], named[0]}, {.momentum = 0.9});
  other.load_state(saved);
  for (const auto& each : other.state()) {
    for (const auto& from : saved) {
      if (from.name == each.name) CHECK_MESSAGE(check::same(from.tensor, each.tensor), each.name);
    }
  }
  CHECK(other.steps() == 1);
  const auto refused = [&](auto change) {
    auto state = saved;
    for (auto& each : state) each.tensor = full<double>(each.tensor.shape(), 7);
    change(state);
    return check::message([&] { other.load_state(state); });
  };
  CHECK(refused([](auto& state) { state.pop_back(); }) ==
        "[optimizer] the saved state has no 'first.step'");
  CHECK(refused([](auto& state) { state[0].name = "x"; }) ==
        "[optimizer] the saved state has 'x', which this optimizer does not have");
  CHECK(refused([](auto& state) { state[1].name = state[0].name; }) ==
        "[optimizer] the saved state has 'second.momentum_buffer' twice");
  CHECK(refused([](auto& state) { state[0].tensor = zeros<double>({3}); }) ==
        "[optimizer] 'second.momentum_buffer' has shape (2,) here and (3,) in the saved state");
  CHECK(
      refused([](auto& state) { state[0].tensor = {}; }) ==
      "[optimizer] argument 'second.momentum_buffer' is an undefined tensor (default-constructed)");
  for (const double bad : {-1.0, 0.5, 1e300, static_cast<double>(NAN)}) {
    CHECK(refused([&](auto& state) {
            state[3].tensor = tensor<double>(bad);
          }).find("not a number of steps") != std::string::npos);
  }
  CHECK(other.state()[0].tensor.item() == 0);  // second.step: nothing was changed
  CHECK(other.state()[3].tensor.at({0}) == 1);
}

TEST_CASE("a step without a gradient anywhere is warned of, once") {
  static std::vector<std::string> said;
  const auto before = warning_handler();
  warning_handler() = [](const std::string& message) { said.push_back(message); };
  Tensor<double> a = ones<double>({2}), b = ones<double>({3});
  a.requires_grad_(), b.requires_grad_();
  optim::Sgd<double> sgd({a, b}, {.learning_rate = 0.5});
  a.set_grad(ones<double>({2}));
  sgd.step();  // one of them has one
  CHECK(said.empty());
  sgd.zero_grad();
  sgd.step();
  sgd.step();
  warning_handler() = before;
  REQUIRE(said.size() == 1);
  CHECK(said[0].starts_with("[step] no parameter of 2 has a gradient, so nothing changes"));
  CHECK(a.at({0}) == 0.5);
}
