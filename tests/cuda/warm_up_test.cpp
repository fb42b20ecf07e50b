/// A whole training step of DCL, the warm-up, on every device: loss, gradients and weights against
/// the CPU, one wait a step, and the same bits as a captured graph.

#include "devices.hpp"
#include "tandem/cuda/memory.hpp"
#include "tandem/tensor/print.hpp"
#include "tandem/wtal/train/trainer.hpp"

using namespace tandem;
using namespace tandem::wtal;

namespace {

/// Small, but with everything: two heads of 64, two blocks, masks, several tiles of frames.
struct WarmUp {
  Positions positions = Positions::none;
  double dropout = 0;
  Reading reading = Reading::sigmoid;
  double max_grad_norm = 0;
  bool graphs = true;
  std::int64_t layers = 1, table = 1000, crop = 40;
};

Batch<double> warm_up_batch(std::uint64_t number, std::int64_t frames) {
  Batch<double> batch;
  batch.i3d = devices::normal({2, frames, 24}, 10 + number);
  batch.labels = from_vector<double>({1, 0, 1, 0, 1, 0}).reshape({2, 3});
  batch.valid = full<bool>({2, frames}, true);
  batch.valid.select(0, 1).slice(0, frames - 7, frames).fill_(false);
  return batch;
}
template <class T>
Batch<T> cast_batch(const Batch<double>& batch) {
  return {check::cast<T>(batch.i3d), {}, check::cast<T>(batch.labels), batch.valid, {}};
}

/// A branch and its trainer on a device; the start is rounded to float, so that all are the same.
template <class T>
struct WarmUpRun {
  WarmUpRun(const WarmUp& w, Device device)
      : cbp(make(w)), options(trainer_options(w)), trainer(options, &moved(device), nullptr) {}
  static Ref<CbpBranch<T>> make(const WarmUp& w) {
    Generator random(5);
    CbpOptions o;
    o.input = 24, o.classes = 3, o.width = 128, o.layers = w.layers, o.heads = 2, o.mlp_ratio = 1;
    o.positions = w.positions, o.dropout = w.dropout, o.table = w.table;
    const Ref<CbpBranch<T>> branch = make_ref<CbpBranch<T>>(o, random);
    const NoGrad no_grad;
    for (const Tensor<T>& p : branch->parameters()) p.copy_(check::cast<T>(check::cast<float>(p)));
    return branch;
  }
  static TrainerOptions trainer_options(const WarmUp& w) {
    TrainerOptions o;
    o.variant = Variant::warm_up;
    o.batch = 2, o.crop = w.crop, o.learning_rate = 1e-3, o.seed = 3;
    o.cbp_reading = w.reading, o.max_grad_norm = w.max_grad_norm, o.graphs = w.graphs;
    return o;
  }
  CbpBranch<T>& moved(Device device) {
    cbp->to(device);
    return *cbp;
  }
  std::vector<Tensor<T>> weights() const {
    std::vector<Tensor<T>> out;
    for (const nn::Named<T>& named : trainer.state())
      out.push_back(named.tensor.to(Device::cpu()).clone());
    return out;
  }
  Ref<CbpBranch<T>> cbp;
  TrainerOptions options;
  Trainer<T> trainer;
};

/// The loss of the first step and its gradients by name.
template <class T>
std::vector<Tensor<T>> warm_up_gradients(const WarmUp& w, Device device) {
  WarmUpRun<T> run(w, device);
  const Batch<T> batch = cast_batch<T>(warm_up_batch(0, 40)).to(device);
  const BranchOutput<T> out = run.cbp->forward(batch.i3d, batch.valid);
  const Tensor<T> loss = loss_cls(out.logits, batch.labels, batch.valid, w.reading);
  loss.backward();
  std::vector<Tensor<T>> result{loss.detach().to(Device::cpu())};
  for (const Tensor<T>& p : run.cbp->parameters()) result.push_back(p.grad().to(Device::cpu()));
  return result;
}

}  // namespace

TEST_CASE("warm-up: loss and gradients of a device are the CPU's") {
  for (const WarmUp& w : {WarmUp{}, WarmUp{.reading = Reading::softmax, .layers = 2}}) {
    const auto exact = warm_up_gradients<double>(w, Device::cpu());
    const auto on_cpu = warm_up_gradients<float>(w, Device::cpu());
    const auto got = devices::same_in_every_order(
        [&](Device device) { return warm_up_gradients<float>(w, device); });
    const auto in_double = warm_up_gradients<double>(w, Device::cuda());
    REQUIRE(got.size() == exact.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(i);
      double largest = 0;
      for (std::int64_t k = 0; k < exact[i].numel(); ++k) {
        const double value = std::abs(exact[i].contiguous().data()[k]);
        largest = value > largest ? value : largest;
      }
      // A number goes through sums of 24, 128 and 40 terms and of 2·40 rows in each block, forward
      // and backward: below 1000 roundings of what is at most the largest number times the
      // condition of the layers, 4.
      CHECK(check::distance(got[i], exact[i]) <= 4000 * devices::float_eps * (largest + 1e-3));
      CHECK(check::distance(on_cpu[i], exact[i]) <= 4000 * devices::float_eps * (largest + 1e-3));
      CHECK(check::distance(in_double[i], exact[i]) <= 4000 * 0x1p-53 * (largest + 1e-3));
    }
  }
}

TEST_CASE("warm-up: a trainer on a GPU goes the way of the CPU's, whatever the options") {
  for (const WarmUp& w :
       {WarmUp{.positions = Positions::sinusoid, .max_grad_norm = 0.05},
        WarmUp{.positions = Positions::learned, .dropout = 0.25, .reading = Reading::softmax},
        WarmUp{.positions = Positions::learned, .table = 16}}) {
    constexpr std::uint64_t steps = 4;
    WarmUpRun<double> cpu(w, Device::cpu()), gpu(w, Device::cuda());
    backend::set_order(1);
    for (std::uint64_t s = 0; s < steps; ++s) {
      // All lengths below the crop become the crop, where positions depend on it
      const Batch<double> batch = warm_up_batch(s, w.table < w.crop || s != 1 ? w.crop : 25);
      const StepReport expected =
                           cpu.trainer.step(w.table < w.crop ? batch : batch.padded_to(w.crop)),
                       got = gpu.trainer.step(batch);
      CAPTURE(s);
      CHECK(got.total == doctest::Approx(expected.total).epsilon(1e-9));
      CHECK(got.cls == got.total);
      CHECK(got.kd == 0);
      CHECK(got.grad_norm == doctest::Approx(expected.grad_norm).epsilon(1e-9));
    }
    backend::set_order(0);
    CHECK(gpu.trainer.graphs() == 1);
    const auto expected = cpu.weights(), got = gpu.weights();
    REQUIRE(got.size() == expected.size());
    // Adam divides by the size of a gradient: the error of one that is nearly zero counts a
    // thousandfold.
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK(check::distance(got[i], expected[i]) <= 1e-7);
  }
}

TEST_CASE("warm-up: captured and replayed, the bits of the usual steps, in every order") {
  for (int order = 0; order < backend::orders; ++order) {
    backend::set_order(order);
    CAPTURE(order);
    const WarmUp w{.dropout = 0.25, .max_grad_norm = 0.05};
    WarmUp eager = w;
    eager.graphs = false;
    WarmUpRun<float> a(eager, Device::cuda()), b(w, Device::cuda());
    for (std::uint64_t s = 0; s < 4; ++s) {
      const Batch<float> batch = cast_batch<float>(warm_up_batch(s, s == 2 ? 33 : 40));
      const StepReport expected = a.trainer.step(batch), got = b.trainer.step(batch);
      CHECK(got.total == expected.total);
      CHECK(got.grad_norm == expected.grad_norm);
      const auto left = a.weights(), right = b.weights();
      for (std::size_t i = 0; i < left.size(); ++i) CHECK(check::same(left[i], right[i]));
    }
    CHECK(a.trainer.graphs() == 0);
    CHECK(b.trainer.graphs() == 1);
    // A branch that goes to another device takes its graphs with it: they are made again.
    if (order != 0) continue;
    a.cbp->to(Device::cpu()), b.cbp->to(Device::cpu());
    a.cbp->to(Device::cuda()), b.cbp->to(Device::cuda());
    for (std::uint64_t s = 4; s < 7; ++s) {
      const Batch<float> batch = cast_batch<float>(warm_up_batch(s, 40));
      CHECK(a.trainer.step(batch).total == b.trainer.step(batch).total);
    }
  }
  backend::set_order(0);
}

TEST_CASE("warm-up: one wait a step, for the report of the step before; few launches") {
  const Device gpu = Device::cuda();
  for (const bool graphs : {false, true}) {
    CAPTURE(graphs);
    WarmUpRun<float> run(WarmUp{.max_grad_norm = 1, .graphs = graphs, .layers = 2}, gpu);
    PendingReport<float> before = run.trainer.start_step(cast_batch<float>(warm_up_batch(0, 40)));
    double last = 1e9;
    for (std::uint64_t s = 1; s < 5; ++s) {
      const Batch<float> batch = cast_batch<float>(warm_up_batch(0, 40));
      const std::int64_t waited = waits(), launched = kernel_launches();
      reset_peak_memory(gpu);
      PendingReport<float> now = run.trainer.start_step(batch);
      CHECK(waits() == waited);
      const StepReport report = before.get();
      CHECK(waits() == waited + 1);
      before = now;
      const std::int64_t count = kernel_launches() - launched;
      if (s == 4) {
        MESSAGE("a warm-up step of two layers", std::string(graphs ? ", replayed" : ""), ": ",
                count, " launches, 1 wait, ", memory_stats(gpu).peak, " bytes at most");
      }
      // Usual steps and the one that is captured launch; replays do not.
      if (graphs && s > 1) {
        CHECK(count == 0);
      } else {
        CHECK(count > 0);
        CHECK(count <= 120);
      }
      CHECK(report.total < last);  // one batch, again and again
      last = report.total;
    }
    (void)before.get();
  }
}

TEST_CASE("warm-up: a loss that is not finite is told of with the report, by step") {
  WarmUpRun<float> run(WarmUp{}, Device::cuda());
  Batch<float> batch = cast_batch<float>(warm_up_batch(0, 40));
  (void)run.trainer.step(batch);
  batch.i3d.select(0, 0).fill_(INFINITY);
  PendingReport<float> bad = run.trainer.start_step(batch);
  CHECK(check::message([&] {
          (void)bad.get();
        }).find("[trainer] the loss of step 1 is not finite") == 0);
}
