/// The steps of DCL's alternation on every device: loss and gradients against the CPU, ten steps of
/// warm-up, B and F by every rule of the pseudo-labels, one wait a step, and the same bits as
/// captured graphs.

#include <map>
#include <string>

#include "alternation_run.hpp"
#include "tandem/tensor/print.hpp"

using namespace tandem;
// In a namespace of its own, since tests are compiled together and wtal has a detail too.
namespace alternation_test {

using namespace tandem::wtal;
using alternation_run::Run;
using alternation_run::videos;
using alternation_run::Way;

namespace {

/// Loss, its parts and the gradients of the student of a B or F step, H as the host made it.
template <class T>
std::vector<Tensor<T>> student_gradients(const Way& way, Phase::Kind kind,
                                         const Tensor<std::int32_t>& h, Device device) {
  Run<T> run(way, device);
  const Batch<T> batch = run.batch().to(device);
  const bool b = kind == Phase::Kind::b;
  const Branch<T>& student = b ? static_cast<const Branch<T>&>(run.vlp) : run.cbp;
  const BranchOutput<T> out = student.forward(b ? batch.clip : batch.i3d, batch.valid);
  const Tensor<std::int32_t> there = h.to(device);
  const Tensor<T> kd = loss_kd(out.logits, there, batch.valid, {.reading = way.reading}),
                  fb = loss_fb(normalize(out.features, -1), there, batch.valid),
                  loss = add(kd, mul(fb, T(way.lambda)));
  loss.backward();
  std::vector<Tensor<T>> result{loss.detach(), kd.detach(), fb.detach()};
  for (const Tensor<T>& p : student.trainable_parameters()) result.push_back(p.grad());
  for (Tensor<T>& x : result) x = x.to(Device::cpu());
  return result;
}
/// H by the CPU in double, the other branch as it is at the start.
Tensor<std::int32_t> host_labels(const Way& way, Phase::Kind kind) {
  Run<double> run(way, Device::cpu());
  const NoGrad no_grad;
  const Batch<double> batch = run.batch();
  const bool b = kind == Phase::Kind::b;
  const BranchOutput<double> out =
      b ? run.cbp.forward(batch.i3d, batch.valid) : run.vlp.forward(batch.clip, batch.valid);
  return pseudo_labels(frame_probabilities(out.logits, way.reading), batch.labels, batch.valid,
                       way.pseudo);
}
double largest_of(const Tensor<double>& x) {
  double largest = 0;
  for (const double v : x.contiguous().to_vector()) largest = std::max(largest, std::fabs(v));
  return largest;
}

}  // namespace

TEST_CASE("alternation: loss and gradients of B and F steps are the CPU's, the same in any order") {
  for (const Phase::Kind kind : {Phase::Kind::b, Phase::Kind::f}) {
    for (const Way& way : {Way{}, Way{.reading = Reading::softmax, .per_class = true}}) {
      CAPTURE(static_cast<int>(kind));
      const Tensor<std::int32_t> h = host_labels(way, kind);
      const auto exact = student_gradients<double>(way, kind, h, Device::cpu());
      CHECK(exact[1].item() > 0.1);
      CHECK(exact[2].item() > 0.1);
      const auto got = devices::same_in_every_order(
          [&](Device device) { return student_gradients<float>(way, kind, h, device); });
      const auto in_double = student_gradients<double>(way, kind, h, Device::cuda());
      REQUIRE(got.size() == exact.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        // As for the warm-up, sums of at most 90 rows and 24 columns in each of up to 4 blocks:
        // below 1000 roundings of the largest number times a condition of 4; and what a cosine is
        // wrong by counts 14-fold in a score over τ = 0.07, and that in an exponential.
        const double bound = 14 * 4000 * (largest_of(exact[i]) + 1e-3);
        CHECK(check::distance(got[i], exact[i]) <= bound * devices::float_eps);
        CHECK(check::distance(in_double[i], exact[i]) <= bound * 0x1p-53);
      }
    }
  }
}

TEST_CASE("alternation: ten steps on a GPU go the way of the CPU's, by every rule") {
  for (const Way& way :
       {Way{.pseudo = {.high = 0.55, .low = 0.45}, .dropout = 0.25, .max_grad_norm = 0.5},
        Way{.pseudo = {.high = 0.55, .low = 0.45, .rule = PseudoLabelRule::calibrated},
        .learned_scale = true},
        Way{.reading = Reading::softmax, .per_class = true},
        Way{.pseudo = {.rule = PseudoLabelRule::min_max}, .lambda = 0},
        Way{.pseudo = {.rule = PseudoLabelRule::oracle}}, Way{.variant = Variant::self_training}}) {
    CAPTURE(static_cast<int>(way.pseudo.rule));
    CAPTURE(static_cast<int>(way.variant));
    Run<double> cpu(way, Device::cpu()), gpu(way, Device::cuda());
    backend::set_order(1);
    double contrast = 0;
    while (!cpu.trainer.finished()) {
      CAPTURE(cpu.trainer.steps());
      const StepReport expected = cpu.step(), got = gpu.step();
      CHECK(got.total == doctest::Approx(expected.total).epsilon(1e-8));
      CHECK(got.cls == doctest::Approx(expected.cls).epsilon(1e-8));
      CHECK(got.kd == doctest::Approx(expected.kd).epsilon(1e-8));
      CHECK(got.fb == doctest::Approx(expected.fb).epsilon(1e-8));
      CHECK(got.grad_norm == doctest::Approx(expected.grad_norm).epsilon(1e-8));
      CHECK(std::isfinite(expected.total));
      contrast += expected.fb;
    }
    CHECK((contrast > 0) == (way.lambda > 0));
    backend::set_order(0);
    CHECK(gpu.trainer.finished());
    // Those of the warm-up are gone with it
    CHECK(gpu.trainer.graphs() == (way.variant == Variant::both ? 2 : 1));
    const auto expected = cpu.weights(), got = gpu.weights();
    REQUIRE(got.size() == expected.size());
    // Adam divides by the size of a gradient: the error of one that is nearly zero counts a
    // thousandfold.
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK(check::distance(got[i], expected[i]) <= 1e-7);
  }
}

TEST_CASE("alternation: captured and replayed, the bits of the usual steps, in every order") {
  std::vector<Tensor<float>> first;
  for (int run = 0; run < 2 * backend::orders; ++run) {
    const int order = run % backend::orders;
    backend::set_order(order);
    CAPTURE(order);
    const Variant variant = run < backend::orders ? Variant::both : Variant::self_training;
    CAPTURE(static_cast<int>(variant));
    const Way way{.variant = variant, .dropout = 0.25, .max_grad_norm = 0.5};
    Way eager = way;
    eager.graphs = false;
    Run<float> a(eager, Device::cuda()), b(way, Device::cuda());
    while (!a.trainer.finished()) {
      CAPTURE(a.trainer.steps());
      const StepReport expected = a.step(), got = b.step();
      CHECK(got.total == expected.total);
      CHECK(got.kd == expected.kd);
      CHECK(got.fb == expected.fb);
      CHECK(got.grad_norm == expected.grad_norm);
    }
    CHECK(a.trainer.graphs() == 0);
    CHECK(b.trainer.graphs() == (variant == Variant::both ? 2 : 1));
    const auto left = a.weights(), right = b.weights();
    for (std::size_t i = 0; i < left.size(); ++i) CHECK(check::same(left[i], right[i]));
    if (order == 0) first = left;
    for (std::size_t i = 0; i < left.size(); ++i) CHECK(check::same(left[i], first[i]));
  }
  backend::set_order(0);
}

TEST_CASE("alternation: one wait a step, for the report of the step before; launches") {
  const Device gpu = Device::cuda();
  for (const auto& [variant, graphs] :
       {std::pair(Variant::both, false), std::pair(Variant::both, true),
        std::pair(Variant::self_training, false), std::pair(Variant::self_training, true)}) {
    CAPTURE(graphs);
    Run<float> run(Way{.variant = variant, .graphs = graphs, .max_grad_norm = 1}, gpu);
    PendingReport<float> before = run.trainer.start_step(run.batch());
    while (!run.trainer.finished()) {
      const Phase phase = run.trainer.current_phase();
      CAPTURE(run.trainer.steps());
      const Batch<float> batch = run.batch();
      const std::int64_t waited = waits(), launched = kernel_launches();
      reset_peak_memory(gpu);
      PendingReport<float> now = run.trainer.start_step(batch);
      CHECK(waits() == waited);
      (void)before.get();
      CHECK(waits() == waited + 1);
      before = now;
      const std::int64_t count = kernel_launches() - launched;
      if (run.trainer.steps() == phase.end) {
        MESSAGE("a step of ", std::string(phase.name()), " in round ", phase.round,
                std::string(graphs ? ", graphs" : ""), ": ", count, " launches, 1 wait, ",
                memory_stats(gpu).peak, " bytes at most");
      }
      // The second round replays; where a phase begins, an F step then makes the text features
      // anew, and one of self-training copies the teacher
      if (graphs && phase.round == 2) {
        CHECK(count <=
              (run.trainer.steps() == phase.begin + 1 && phase.kind != Phase::Kind::b ? 40 : 0));
      } else {
        CHECK(count > 0);
        CHECK(count <= 250);
      }
    }
    (void)before.get();
  }
}

TEST_CASE("alternation: crops that come again in a phase are not asked about again") {
  for (const bool graphs : {false, true}) {
    CAPTURE(graphs);
    // B: two batches are asked about, once each, and recalled four times; F the same.
    const Way way{.graphs = graphs, .steps = 6, .repeat = true};
    Run<double> cpu(way, Device::cpu()), gpu(way, Device::cuda());
    std::map<std::string, std::vector<std::int64_t>> launches;
    while (!gpu.trainer.finished()) {
      CAPTURE(gpu.trainer.steps());
      const std::string name = gpu.trainer.current_phase().name();
      const std::int64_t launched = kernel_launches();
      const StepReport expected = cpu.step(), got = gpu.step();
      launches[name].push_back(kernel_launches() - launched);
      CHECK(got.total == doctest::Approx(expected.total).epsilon(1e-8));
      CHECK(got.fb == doctest::Approx(expected.fb).epsilon(1e-8));
      CHECK(got.grad_norm == doctest::Approx(expected.grad_norm).epsilon(1e-8));
    }
    const auto expected = cpu.weights(), got = gpu.weights();
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK(check::distance(got[i], expected[i]) <= 1e-7);
    for (const char* const name : {"B", "F"}) {
      const std::vector<std::int64_t>& count = launches[name];
      REQUIRE(count.size() == 12);
      MESSAGE("launches of ", std::string(name), " steps: ", count[0],
              " where the teacher is asked, ", count[2], " where its labels are recalled");
      CHECK(count[2] <= count[0] - 15);  // two blocks of the teacher, or one and the texts
      if (graphs) {
        for (const std::size_t i : {4U, 5U, 7U, 8U, 9U, 10U, 11U}) CHECK(count[i] == 0);
      } else {
        CHECK(count[5] == count[2]);
        CHECK(count[7] == count[1]);  // asked again: it is another phase
        CHECK(count[8] == count[2]);
      }
    }
  }
}

TEST_CASE("label memory: what was kept is recalled, padding is -1; a memory that is full asks") {
  devices::each([&](Device device) {
    DeviceLabelMemory memory;
    Generator random(3);
    const Tensor<std::int32_t> h = randint<std::int32_t>({3, 7, 2}, -1, 2, random);
    Tensor<bool> valid = full<bool>({3, 7}, true);
    valid.select(0, 1).slice(0, 4, 7).fill_(false);
    const std::vector<Crop> crops{{0, 0, 7}, {5, 2, 4}, {0, 0, 7}};
    DeviceLabelMemory::Plan plan = memory.plan(crops, 9, 2, device);
    CHECK(!plan.recalls);
    CHECK(plan.places.to_vector() == std::vector<std::int64_t>{0, 1, -1});  // one place a crop
    memory.keep(h.to(device), plan.places.to(device));
    memory.know(plan);
    const DeviceLabelMemory::Plan again = memory.plan({crops[1], crops[0]}, 9, 2, device);
    CHECK(again.recalls);
    CHECK(again.places.to_vector() == std::vector<std::int64_t>{1, 0});
    const Tensor<bool> turned = cat(std::vector{valid.slice(0, 1, 2), valid.slice(0, 0, 1)}, 0);
    const Tensor<std::int32_t> got =
        memory.recall<std::int32_t>(again.places.to(device), turned.to(device)).to(Device::cpu());
    for (std::int64_t t = 0; t < 7; ++t) {
      for (std::int64_t c = 0; c < 2; ++c) {
        CHECK(got.at({0, t, c}) == (t < 4 ? h.at({1, t, c}) : -1));
        CHECK(got.at({1, t, c}) == h.at({0, t, c}));
      }
    }
    CHECK(!memory.plan({crops[0], {5, 1, 4}}, 9, 2, device).recalls);
    memory.clear();
    CHECK(!memory.plan({crops[0]}, 9, 2, device).recalls);
  });
  DeviceLabelMemory small;
  const std::int64_t frames = DeviceLabelMemory::most_bytes / 2;
  DeviceLabelMemory::Plan plan =
      small.plan({{0, 0, 3}, {1, 0, 3}, {2, 0, 3}}, frames, 1, Device::cpu());
  CHECK(plan.places.to_vector() == std::vector<std::int64_t>{0, 1, -1});
  small.know(plan);
  CHECK(small.plan({{1, 0, 3}, {0, 0, 3}}, frames, 1, Device::cpu()).recalls);
  CHECK(!small.plan({{2, 0, 3}}, frames, 1, Device::cpu()).recalls);
}

TEST_CASE("alternation: a branch that was left behind is told of") {
  Run<float> run(Way{}, Device::cuda());
  (void)run.step(), (void)run.step();
  run.cbp.to(Device::cpu());
  CHECK(check::message([&] { (void)run.step(); }) ==
        "[trainer] the branch that B steps train is on cuda:0, the one that teaches on cpu");
  run.cbp.to(Device::cuda());
  run.text->to(Device::cpu());
  CHECK(check::message([&] {
          (void)run.step();
        }).find("[vlp] the text encoder is on cpu, the prompts are on cuda:0") == 0);
}

}  // namespace alternation_test
