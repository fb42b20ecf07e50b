/// What the methods in CBP's place have of their own, on every device, and their training steps
/// there.

#include <functional>
#include <string>

#include "../wtal/trainer_setup.hpp"
#include "devices.hpp"
#include "tandem/wtal/model/basnet.hpp"
#include "tandem/wtal/model/co2.hpp"
#include "tandem/wtal/model/um.hpp"
#include "tandem/wtal/model/wtalc.hpp"

using namespace tandem;
namespace rivals_device_test {
using namespace tandem::wtal;

namespace {

template <class T>
Ref<Branch<T>> method(const std::string& name) {
  if (name == "basnet") {
    BasNetOptions o{.input = 24, .classes = 5, .width = 12, .filter_width = 6, .dropout = 0.3};
    o.alpha = 1e-2;
    o.recipe.batch = 3;
    o.recipe.frames = 14;
    Generator random(5);
    return make_ref<BasNetBranch<T>>(o, random);
  }
  if (name == "wtalc") {
    WtalcOptions o{.input = 24, .classes = 5, .dropout = 0.3};
    o.recipe.batch = 5;
    o.recipe.pairs = 2;
    o.recipe.frames = 20;
    Generator random(6);
    return make_ref<WtalcBranch<T>>(o, random);
  }
  if (name == "co2") {
    Co2Options o{
        .streams = {.stream = 12, .hidden = 6, .dropout = 0.3}, .classes = 5, .dropout = 0.3};
    o.recipe.batch = 5;
    o.recipe.pairs = 2;
    o.recipe.frames = 16;
    Generator random(7);
    return make_ref<Co2Branch<T>>(o, random);
  }
  UmOptions o{.input = 24, .classes = 5, .width = 12, .dropout = 0.3};
  o.margin = 5;
  o.recipe.batch = 3;
  o.recipe.frames = 18;
  Generator random(8);
  return make_ref<UmBranch<T>>(o, random);
}

TrainerOptions trainer_options() {
  TrainerOptions t = trainer_setup::options();
  t.warm_up_steps = 2, t.rounds = 1, t.b_steps = t.f_steps = 2;
  t.learning_rate = 1e-3;
  t.weight_decay = 0.01;
  t.pseudo.rule = PseudoLabelRule::ranked;
  t.teach_attention = t.keep_regularisers = true;
  return t;
}

/// A method beside VLP, in double.
struct Run {
  Run(const std::string& name, Device device)
      : random(3),
        text(make_ref<clip::TextEncoder<double>>(clip::TextEncoderOptions{.vocabulary = 12,
                                                                          .context = 10,
                                                                          .width = 16,
                                                                          .layers = 1,
                                                                          .heads = 2,
                                                                          .output = 16},
                                                 random)),
        cbp(method<double>(name)),
        vlp({.width = 16, .layers = 1, .heads = 2, .table = 30, .identity_start = false}, text,
            {{2, 3}, {4, 5}, {6, 7}, {8, 9}, {10, 11}},
            {.vectors = 3, .deviation = 0.1, .start_token = 0, .end_token = 1}, random),
        trainer(trainer_options(), *moved(*cbp, device), *moved(vlp, device)) {
    moved(*text, device);
  }
  template <class M>
  static M* moved(M& module, Device device) {
    module.to(device);
    return &module;
  }
  StepReport step(const trainer_setup::Data& data) {
    const TrainingSampler sampler = trainer.sampler(data.lengths, data.train->truth());
    return trainer.step(make_batch<double>(*data.train, sampler.crops(trainer.steps())));
  }
  Generator random;
  Ref<clip::TextEncoder<double>> text;
  Ref<Branch<double>> cbp;
  VlpBranch<double> vlp;
  Trainer<double> trainer;
};

}  // namespace

TEST_CASE("lengths_of and background labels of a GPU are the CPU's") {
  const Tensor<bool> valid = wtal::rivals::mask_of({3, 0, 5}, 5), there = valid.to(Device::cuda());
  CHECK(wtal::rivals::lengths_of(there) == std::vector<std::int64_t>{3, 0, 5});
  const Tensor<double> x = check::normal({3, 5, 2}, 3);
  CHECK(check::same(wtal::rivals::without_padding(x.to(Device::cuda()), there).to(Device::cpu()),
                    wtal::rivals::without_padding(x, valid)));
  const Tensor<bool> hole = zeros<bool>({1, 3});
  hole.set({0, 2}, true);
  CHECK(check::message([&] {
          (void)wtal::rivals::lengths_of(hole.to(Device::cuda()));
        }).find("comes after padding") != std::string::npos);
  const Tensor<double> rows = check::normal({2, 4, 3}, 5);
  rows.slice(1, 2, 3).zero_();
  CHECK(rows_with_content(rows.to(Device::cuda())) == rows_with_content(rows));
  CHECK(rows_with_content(rows) == std::vector<std::int64_t>{3, 3});
}

TEST_CASE("other methods: warm-up, B and F steps on a GPU go the way of the CPU's") {
  const trainer_setup::Data data;
  for (const std::string name : {"basnet", "co2", "um", "wtalc"}) {
    INFO(name);
    Run cpu(name, Device::cpu()), gpu(name, Device::cuda());
    while (!cpu.trainer.finished()) {
      backend::set_order(static_cast<int>(cpu.trainer.steps() % backend::orders));
      CAPTURE(cpu.trainer.steps());
      const StepReport expected = cpu.step(data), got = gpu.step(data);
      CHECK(std::isfinite(expected.total));
      CHECK(got.total == doctest::Approx(expected.total).epsilon(1e-8));
      CHECK(got.kd == doctest::Approx(expected.kd).epsilon(1e-8));
      CHECK(got.fb == doctest::Approx(expected.fb).epsilon(1e-8));
      CHECK(got.grad_norm == doctest::Approx(expected.grad_norm).epsilon(1e-8));
    }
    backend::set_order(0);
    CHECK(gpu.trainer.graphs() == 0);  // they count frames on the host
    const auto left = cpu.trainer.state(), right = gpu.trainer.state();
    REQUIRE(left.size() == right.size());
    for (std::size_t i = 0; i < left.size(); ++i) {
      INFO(left[i].name);
      CHECK(check::distance(right[i].tensor.to(Device::cpu()), left[i].tensor) <= 1e-7);
    }
    // Its own inference takes the CPU's rows, and gives the CPU's detections.
    const Tensor<float> rows = data.train->i3d(0);
    cpu.cbp->eval(), gpu.cbp->eval();
    const auto here = cpu.cbp->own_detections(rows, 0.5),
               there = gpu.cbp->own_detections(rows, 0.5);
    REQUIRE(here.size() == there.size());
    for (std::size_t i = 0; i < here.size(); ++i) {
      CHECK(here[i].cls == there[i].cls);
      CHECK(there[i].score == doctest::Approx(here[i].score).epsilon(1e-6));
    }
  }
}

}  // namespace rivals_device_test
