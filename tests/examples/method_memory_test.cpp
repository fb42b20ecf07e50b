/// What a step of each method needs, against what one takes: the estimate must not be above it,
/// since a step that fits would be refused, and not far below.

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "../../examples/boosting_memory.hpp"
#include "../../examples/dcl_cbp.hpp"
#include "../io/util.hpp"
#include "tandem/wtal/train/boosting_trainer.hpp"
#include "tandem/wtal/train/trainer.hpp"

using namespace tandem;
using namespace tandem::wtal;
using namespace tandem_test;

namespace {

/// Bytes that a training takes at its peak, all told.
template <class F>
double peak_of(F&& train) {
  const std::int64_t before = memory_stats().current;
  reset_peak_memory();
  train();
  return static_cast<double>(memory_stats().peak - before);
}

void check_between(double estimate, double peak) {
  MESSAGE("estimate ", estimate / 1e6, " MB, peak ", peak / 1e6, " MB, factor ", peak / estimate);
  CHECK(estimate <= peak);
  CHECK(peak < 2 * estimate);
}

}  // namespace

TEST_CASE("cbp_size: the parameters are those of the method, the step takes what it says") {
  struct Case {
    const char* method;
    std::int64_t width, videos, rows;
  };
  for (const Case& c : {Case{"basnet", 64, 8, 200}, Case{"basnet", 1024, 2, 16},
                        Case{"um", 64, 8, 200}, Case{"um", 2048, 2, 16}, Case{"co2", 64, 8, 200},
                        Case{"co2", 1024, 6, 16}, Case{"wtalc", 0, 8, 200}}) {
    for (const bool own : {true, false}) {
      const std::string name = concat(c.method, " ", c.width, own ? ", own loss" : "");
      INFO(name);
      dcl::Options o;
      o.cbp_method = c.method;
      o.method.width = c.width;
      o.method.batch = c.videos;
      const std::int64_t input = 256, clip = 64, classes = 5;
      const dcl::CbpSize size = dcl::cbp_size(o, input, clip, classes);
      REQUIRE(size.own);
      Generator random(1);
      std::unique_ptr<Branch<float>> cbp;
      const double peak = peak_of([&] {
        cbp = dcl::make_cbp(o, input, clip, classes, random);
        CHECK(size.scores.layers_of.parameters == static_cast<double>(cbp->parameter_count()));
        CHECK(size.own->layers_of.parameters == static_cast<double>(cbp->parameter_count()));
        Batch<float> batch;
        batch.i3d = randn<float>({c.videos, c.rows, input}, random);
        batch.valid = ones<bool>({c.videos, c.rows});
        batch.labels = zeros<float>({c.videos, classes});
        for (std::int64_t v = 0; v < c.videos; ++v) batch.labels.set({v, v / 2 % classes}, 1.0F);
        TrainerOptions train;
        train.variant = Variant::warm_up;
        train.warm_up_steps = 2;
        train.own_warm_up = own;
        Trainer<float> trainer(train, cbp.get(), nullptr);
        trainer.step(batch);
        trainer.step(batch);
      });
      check_between(cli::step_memory({.videos = c.videos,
                                      .rows = c.rows,
                                      .columns = input,
                                      .cbp = own ? *size.own : size.scores})
                        .total(),
                    peak);
    }
  }
}

TEST_CASE("cbp_size: no --method-width asks for more than is told") {
  for (const char* method : {"basnet", "um", "co2"}) {
    const std::string name = method;
    INFO(name);
    dcl::Options o;
    o.cbp_method = method;
    o.method.width = 65536;
    const auto said = error_of([&] {
      cli::check_step_memory(
          "train_dcl",
          {.videos = 4, .rows = 64, .columns = 2048, .cbp = dcl::cbp_size(o, 2048, 0, 20).scores},
          {5e9, "this machine has"}, {.parameters = "--method-width"});
    });
    CHECK(contains(said, "reduce --method-width"));
  }
}

TEST_CASE("boosting: the parameters are those of both networks, the iteration takes what it says") {
  using boosting::StepSize;
  StepSize usual{.videos = 6, .rows = 40, .sentence = 8, .classes = 4};
  usual.tsm.streams.stream = 32;
  usual.tsm.streams.hidden = usual.tsm.streams.encoded = 16;
  usual.tsm.word_width = 10;
  usual.tsm.prompts = 3;
  usual.tsm.mlp_hidden = 64;
  usual.vlc.width = 16;
  usual.vlc.hidden = 24;
  usual.vlc.word_width = 10;
  usual.vlc.vocabulary = 31;
  std::vector<StepSize> sizes;
  const auto add = [&](auto&& change) { change(sizes.emplace_back(usual)); };
  add([](StepSize& s) { s.rows = 1500; });
  add([](StepSize& s) { s.rows = 1500, s.tsm.clip = s.vlc.clip = 16; });
  add([](StepSize& s) { s.rows = 800, s.vlc.width = 128, s.vlc.hidden = 256; });
  add([](StepSize& s) { s.vlc.width = 768; });
  add([](StepSize& s) { s.vlc.hidden = 40000; });
  add([](StepSize& s) { s.vlc.vocabulary = 100000; });
  add([](StepSize& s) { s.tsm.mlp_hidden = 100000; });
  add([](StepSize& s) { s.tsm.streams.hidden = 768; });
  add([](StepSize& s) { s.tsm.streams.encoded = 4096, s.tsm.streams.gated_main = true; });
  add([](StepSize& s) { s.tsm.prompts = 2000; });
  for (StepSize& s : sizes) {
    s.vlc.streams = s.tsm.streams;
    INFO("rows ", s.rows, ", CLIP ", s.tsm.clip, ", width ", s.vlc.width, ", decoder ",
         s.vlc.hidden, ", words ", s.vlc.vocabulary, ", MLP ", s.tsm.mlp_hidden, ", prompts ",
         s.tsm.prompts, ", hidden ", s.tsm.streams.hidden, ", encoded ", s.tsm.streams.encoded);
    const boosting::StepMemory memory = boosting::step_memory(s);
    Generator random(1);
    const double peak = peak_of([&] {
      rivals::Tsm<float> tsm(s.tsm, randn<float>({s.classes, s.words_of_class, 10}, random),
                             random);
      const auto vlc = make_ref<rivals::Vlc<float>>(s.vlc, random);
      CHECK(memory.parameters ==
            static_cast<double>(tsm.parameter_count() + vlc->parameter_count()));
      BoostingTrainer<float> trainer({.steps = 2}, tsm, *vlc);
      const Tensor<float> x = randn<float>({s.videos, s.rows, s.tsm.width()}, random),
                          y = zeros<float>({s.videos, s.classes});
      Sentences<float> told{.words = randn<float>({s.videos, s.sentence + 1, 10}, random),
                            .ids = zeros<std::int64_t>({s.videos, s.sentence}),
                            .counted = ones<bool>({s.videos, s.sentence}),
                            .lengths = {},
                            .weights = {}};
      for (std::int64_t v = 0; v < s.videos; ++v) y.set({v, v / 2}, 1.0F);
      const Tensor<bool> valid = ones<bool>({s.videos, s.rows});
      trainer.step(x, y, valid, told);
      trainer.step(x, y, valid, told);
    });
    check_between(memory.total(), peak);
  }
}

TEST_CASE("boosting: what to reduce") {
  const auto refusal = [](auto&& change) {
    boosting::StepSize s{.videos = 10, .rows = 320, .sentence = 14, .classes = 20};
    change(s);
    return error_of([&] { boosting::check_step_memory(s, {16e9, "this machine has"}); });
  };
  CHECK(refusal([](auto&) {}) == "no error");
  CHECK(contains(refusal([](auto& s) { s.videos = 100000, s.rows = 1000000; }),
                 "[train_boosting] a step on 100000 videos of 1000000 rows needs at least"));
  CHECK(contains(refusal([](auto& s) { s.rows = 100000; }), "reduce --batch or --rows"));
  CHECK(contains(refusal([](auto& s) { s.vlc.width = 65536; }), "--width or --decoder-hidden"));
  CHECK(contains(refusal([](auto& s) { s.vlc.hidden = 1000000; }), "--width or --decoder-hidden"));
  CHECK(contains(refusal([](auto& s) { s.tsm.mlp_hidden = 1000000; }), "reduce --mlp-hidden"));
  CHECK(contains(refusal([](auto& s) { s.vlc.vocabulary = 10000001; }), "--frequent-words"));
  CHECK(contains(refusal([](auto& s) { s.tsm.streams.hidden = 65536; }), "--hidden or --encoded"));
}
