/// Boosting-WTAL against a recorded run of its public code in float64 (the golden files
/// rivals/boosting_*.npz of the test data) and, always, against a PyTorch form that was written
/// from its description (tests/golden/generate_boosting.py): networks, losses, gradients,
/// iterations; and what neither can show.

#include <optional>

#include "rivals_golden.hpp"
#include "tandem/ops/compare.hpp"
#include "tandem/wtal/model/tsm.hpp"
#include "tandem/wtal/train/boosting_trainer.hpp"
#include "test_data.hpp"

using namespace tandem;
using namespace tandem::wtal;
using namespace tandem::wtal::rivals;
using Golden = tandem_test::RivalsGolden;

namespace {

CrossModalOptions tiny_streams(ConvInit init) {
  return {.stream = 12, .hidden = 8, .encoded = 6, .autoencoder = true, .init = init};
}
/// The sizes of a state.
template <class T>
CrossModalOptions streams_of(const std::vector<nn::Named<T>>& state, ConvInit init) {
  CrossModalOptions o = tiny_streams(init);
  for (const auto& [name, tensor] : state) {
    if (name == "vAttn.AE_e.0.weight") o.encoded = tensor.size(0), o.stream = tensor.size(1);
    if (name == "vAttn.attention.0.weight") o.hidden = tensor.size(0);
  }
  return o;
}
template <class T>
Ref<Tsm<T>> tiny_tsm(const Tensor<T>& words, const std::vector<nn::Named<T>>& state = {}) {
  Generator random(1);
  TsmOptions o{.streams = streams_of(state, ConvInit::kaiming),
               .word_width = 6,
               .prompts = 3,
               .mlp_hidden = 40};
  for (const auto& [name, tensor] : state) {
    if (name == "weight") o.word_width = tensor.size(1), o.prompts = tensor.size(2);
    if (name == "mlp.0.bias") o.mlp_hidden = tensor.size(0);
  }
  auto tsm = make_ref<Tsm<T>>(o, words, random);
  if (!state.empty()) tsm->load_state_dict(state);
  return tsm;
}
template <class T>
Ref<Vlc<T>> tiny_vlc(bool real_masking = false, const std::vector<nn::Named<T>>& state = {}) {
  Generator random(2);
  VlcOptions o{.streams = streams_of(state, ConvInit::standard),
               .width = 8,
               .hidden = 16,
               .word_width = 6,
               .vocabulary = 13,
               .real_masking = real_masking};
  for (const auto& [name, tensor] : state) {
    if (name == "frame_fc.bias") o.width = tensor.size(0);
    if (name == "word_fc.weight") o.word_width = tensor.size(1);
    if (name == "fc_rec.bias") o.vocabulary = tensor.size(0);
    if (name == "trans.decoder1.decoder_layers.0.fc1.bias") o.hidden = tensor.size(0);
  }
  auto vlc = make_ref<Vlc<T>>(o, random);
  if (state.empty()) return vlc;
  const nn::LoadReport loaded = vlc->load_state_dict(state, false);
  CHECK(loaded.missing.empty());
  for (const std::string& name : loaded.unused) CHECK(name.starts_with("trans_a."));
  return vlc;
}

/// The batch of both files.
template <class T>
struct Recorded {
  explicit Recorded(Golden& golden)
      : x(golden.get<T>("in.x")),
        y(golden.get<T>("in.label")),
        glove(golden.get<T>("in.glove")),
        valid(ones<bool>({x.size(0), x.size(1)})),
        frames(mask_of(golden.integers("in.frames_len"), x.size(1))) {
    sentences.words = golden.get<T>("in.words_feat");
    sentences.ids = golden.get<std::int64_t>("in.words_id");
    sentences.weights = golden.get<T>("in.words_weights");
    sentences.lengths = golden.integers("in.words_len");
    std::vector<std::int64_t> counted;
    for (const std::int64_t l : sentences.lengths)
      counted.push_back(std::min(l + 1, sentences.ids.size(1)));
    sentences.counted = mask_of(counted, sentences.ids.size(1));
    CHECK(golden.number("in.n_pro2") == golden.number("in.n_pro") + 2);
  }
  Tensor<T> x, y, glove;
  Tensor<bool> valid, frames;
  Sentences<T> sentences;
};

template <class T>
void compare_tsm(const std::string& path) {
  Golden golden(path);
  const Recorded<T> in(golden);
  const Ref<Tsm<T>> tsm = tiny_tsm<T>(in.glove, golden.state<T>("tsm.state."));
  tsm->eval();
  const std::int64_t stream = tsm->options().streams.stream;
  const TsmOutput<T> out = tsm->forward(in.x, in.valid);
  golden.compare("tsm.out.feat", out.features);
  golden.compare("tsm.out.feat_final", out.final_features);
  golden.compare("tsm.out.cas", out.cas);
  golden.compare("tsm.out.attn", out.attention);
  golden.compare("tsm.out.v_atn", out.rgb_attention);
  golden.compare("tsm.out.f_atn", out.flow_attention);
  golden.compare("tsm.out.n_rfeat", out.rgb);
  golden.compare("tsm.out.n_ffeat", out.flow);
  golden.compare("tsm.out.o_rfeat", in.x.slice(2, 0, stream));
  golden.compare("tsm.out.o_ffeat", in.x.slice(2, stream, 2 * stream));
  golden.compare("tsm.out.pos", halves_sinusoid<T>(golden.integer("in.n_pro2"), 2 * stream));
  const TsmText<T> text = tsm->text();
  golden.compare("tsm.out.tokens0", text.before.transpose(1, 2));
  golden.compare("tsm.out.tokens1", text.attended.transpose(1, 2));
  golden.compare("tsm.out.text", text.after.select(1, 0));

  const TsmLosses<T> loss = tsm_losses(out, in.y, in.valid, golden.get<T>("vlc.out.gauss_weight"));
  golden.compare("tsm.out.cas_supp", loss.co2.suppressed);
  golden.compare("tsm.loss.mil_orig_per_video", loss.co2.mil);
  golden.compare("tsm.loss.mil_supp_per_video", loss.co2.mil_suppressed);
  golden.compare("tsm.loss.contrastive", loss.co2.pair);
  golden.compare("tsm.loss.criterion", loss.co2.total);
  golden.compare("tsm.loss.ae", loss.autoencoder);
  golden.compare("tsm.loss.mutual", loss.attention);
  golden.compare("tsm.loss.total", loss.total);
  loss.total.backward();
  // In exact arithmetic a bias of the keys changes nothing: noise is no larger than rounding
  const std::string noise = "tsm.grad.MHA.key.bias";
  CHECK(check::distance(tsm->key.bias.grad(), golden.get(noise)) < (sizeof(T) == 8 ? 1e-15 : 1e-6));
  tsm->key.bias.set_grad(golden.get<T>(noise));
  golden.compare_gradients("tsm.grad.", *tsm);
  golden.finish();
}

template <class T>
void compare_vlc(const std::string& path, const std::string& tsm_path) {
  Golden golden(path), of_tsm(tsm_path);
  const Recorded<T> in(golden);
  const Sentences<T>& s = in.sentences;
  const std::vector<nn::Named<T>> state = golden.state<T>("vlc.state.");
  const Ref<Vlc<T>> vlc = tiny_vlc<T>(false, state);
  vlc->eval();
  {
    const HeldGradients<T> held(vlc->attention_parameters());
    const VlcOutput<T> out = vlc->forward(in.x, in.frames, s.words, s.counted);
    golden.compare("vlc.out.words_logit", out.positive);
    golden.compare("vlc.out.easy_neg_words_logit", out.easy);
    golden.compare("vlc.out.hard_neg_words_logit", out.hard);
    golden.compare("vlc.out.gauss_weight", out.attention);
    golden.compare("vlc.out.words_mask", s.counted.template to<T>());
    golden.compare("vlc.out.n_rfeat", out.rgb);
    golden.compare("vlc.out.n_ffeat", out.flow);
    golden.compare("vlc.out.attn_weight",
                   vlc->attention_weights(in.x, in.frames, s.words, s.counted));
    const VlcLosses<T> loss = vlc_losses(out, s.ids, s.counted);
    golden.compare("vlc.step1.loss.rec", loss.reconstruction);
    golden.compare("vlc.step1.loss.nll_pos", loss.positive);
    golden.compare("vlc.step1.loss.nll_hardneg", loss.hard_negative);
    loss.reconstruction.backward();
  }
  golden.compare_gradients("vlc.step1.grad.", *vlc);
  golden.compare("vlc.step1.grad_norm_before_clip10",
                 tensor<T>(static_cast<T>(optim::grad_norm(vlc->parameters()))));
  vlc->zero_grad();
  {
    const HeldGradients<T> held(vlc->language_parameters());
    const VlcOutput<T> out = vlc->forward(in.x, in.frames, s.words, s.counted);
    const VlcLosses<T> loss = vlc_losses(out, s.ids, s.counted);
    const Tensor<T> ae = autoencoder_loss(out, in.valid),
                    mutual =
                        mul(BoostingTrainer<T>::attention_mse(
                                out.attention, golden.get<T>("tsm.out.attn").squeeze(2), in.valid),
                            T(1.5)),
                    total = add(loss.contrast, add(mul(ae, T(1.5)), mutual));
    golden.compare("vlc.step2.loss.ivc", loss.contrast);
    golden.compare("vlc.step2.loss.hard", loss.hard);
    golden.compare("vlc.step2.loss.easy", loss.easy);
    golden.compare("vlc.step2.loss.ae", ae);
    golden.compare("vlc.step2.loss.mutual", mutual);
    golden.compare("vlc.step2.loss.total", total);
    total.backward();
  }
  golden.compare_gradients("vlc.step2.grad.", *vlc);

  const BoostingOptions published;
  const std::vector<double> updates = golden.get<double>("vlc.lr_schedule.updates").to_vector();
  std::vector<double> rates;
  for (const double i : updates)
    rates.push_back(vlc_learning_rate(published, static_cast<std::int64_t>(i)));
  golden.compare("vlc.lr_schedule.lr", from_vector<double>(rates));

  const Tensor<T> p = golden.get<T>("vlc.adam.p0");
  p.requires_grad_();
  optim::Adam<T> adam(std::vector<Tensor<T>>{p}, {.learning_rate = golden.number("vlc.adam.lr"),
                                                  .epsilon_before_correction = true});
  const Tensor<T> grads = golden.get<T>("vlc.adam.grads");
  std::vector<Tensor<T>> after;
  for (std::int64_t t = 0; t < 3; ++t) {
    p.set_grad(grads[t].clone());
    adam.step();
    after.push_back(p.detach().clone());
  }
  golden.compare("vlc.adam.p", stack(after, 0));

  // Six whole iterations, all frames valid
  const Ref<Tsm<T>> tsm = tiny_tsm<T>(in.glove, of_tsm.state<T>("tsm.state."));
  tsm->eval();
  vlc->load_state_dict(state, false);
  vlc->zero_grad();
  BoostingTrainer<T> trainer({.steps = 6, .vlc_warmup = golden.integer("vlc.iter.warmup_updates")},
                             *tsm, *vlc);
  std::vector<T> totals, norms;
  while (!trainer.finished()) {
    const BoostingReport report = trainer.step(in.x, in.y, in.valid, s);
    totals.push_back(T(report.tsm));
    norms.push_back(T(report.language_norm));
    norms.push_back(T(report.attention_norm));
  }
  golden.compare("vlc.iter.tsm_total", from_vector<T>(totals));
  golden.compare("vlc.iter.clip_norms", from_vector<T>(norms, {6, 2}));
  const auto compare_some = [&](const std::string& prefix, const nn::Module<T>& module) {
    std::size_t compared = 0;
    for (const nn::Named<T>& named : module.named_parameters()) {
      if (!golden.has(prefix + named.name)) continue;
      golden.compare(prefix + named.name, named.tensor);
      ++compared;
    }
    CHECK(compared >= 3);
  };
  compare_some("vlc.iter.final.", *vlc);
  compare_some("vlc.iter.tsm_final.", *tsm);
  golden.finish();
}

template <class T>
void compare_activity_net() {
  Golden golden(TANDEM_GOLDEN_DIR "/boosting_activitynet.npz");
  const auto state = golden.state<T>("state.");
  const Tensor<T> x = golden.get<T>("in.x"), words = golden.get<T>("in.words");
  const Tensor<bool> valid = ones<bool>({x.size(0), x.size(1)});
  TsmOptions o = TsmOptions::activity_net(x.size(2) / 2);
  o.word_width = words.size(2);
  o.prompts = golden.integer("in.n_pro");
  o.pool = golden.integer("in.window");
  CHECK(o.heads == golden.integer("in.heads"));
  for (const auto& [name, tensor] : state) {
    if (name == "vAttn.attention.0.weight") o.streams.hidden = tensor.size(0);
    if (name == "mlp.0.bias") o.mlp_hidden = tensor.size(0);
  }
  Generator random(1);
  const auto tsm = make_ref<Tsm<T>>(o, words, random);
  tsm->load_state_dict(state);
  tsm->eval();
  const TsmOutput<T> out = tsm->forward(x, valid);
  golden.compare("out.feat", out.features);
  golden.compare("out.cas", out.cas);
  golden.compare("out.attn", out.attention);
  golden.compare("out.v_atn", out.rgb_attention);
  golden.compare("out.f_atn", out.flow_attention);
  golden.compare("out.n_rfeat", out.rgb);
  golden.compare("out.n_ffeat", out.flow);
  golden.compare("out.o_rfeat", out.rgb_main);
  golden.compare("out.o_ffeat", out.flow_main);
  const TsmLosses<T> loss = tsm_losses(out, golden.get<T>("in.label"), valid,
                                       golden.get<T>("in.vlc"), TsmLossOptions::activity_net());
  golden.compare("loss.contrastive", loss.co2.pair);
  golden.compare("loss.ae", loss.autoencoder);
  golden.compare("loss.mutual", loss.attention);
  golden.compare("loss.criterion", loss.co2.total);
  golden.compare("loss.total", loss.total);
  loss.total.backward();
  for (const auto& p : tsm->named_parameters()) {
    if (p.name != "MHA.key.bias") golden.compare("grad." + p.name, p.tensor.grad());
  }
  golden.finish();
}

/// Two networks, a batch and its sentences, of random numbers.
struct TinyRun {
  explicit TinyRun(bool real_masking = false)
      : tsm(tiny_tsm<double>(check::normal({4, 2, 6}, 5))), vlc(tiny_vlc<double>(real_masking)) {
    sentences.words = check::normal({4, 6, 6}, 6);
    sentences.ids = from_vector<std::int64_t>(
        std::vector<std::int64_t>{1, 2, 3, 4, 0, 5, 6, 7, 0, 0, 8, 9, 10, 11, 12, 1, 3, 5, 7, 0},
        {4, 5});
    sentences.lengths = {4, 3, 5, 4};
    sentences.counted = mask_of({5, 4, 5, 5}, 5);
    sentences.weights = where(gt(sentences.ids, 0), ones<double>({4, 5}), 0.0);
    trainer.emplace(
        BoostingOptions{
            .steps = 8, .vlc_warmup = 3, .tsm = {.co2 = {.mutual = 0, .pairs = 2}}, .seed = 11},
        *tsm, *vlc);
  }
  BoostingReport step() { return trainer->step(x, y, valid, sentences); }
  Tensor<double> x = check::normal({4, 9, 24}, 3);
  Tensor<double> y = tensor<double>({{1, 0, 0, 0}, {1, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 1, 0}});
  Tensor<bool> valid = ones<bool>({4, 9});
  Sentences<double> sentences;
  Ref<Tsm<double>> tsm;
  Ref<Vlc<double>> vlc;
  std::optional<BoostingTrainer<double>> trainer;
};

std::vector<nn::Named<double>> copied(std::vector<nn::Named<double>> state) {
  for (nn::Named<double>& named : state) named.tensor = named.tensor.detach().clone();
  return state;
}

}  // namespace

TEST_CASE("Boosting: a PyTorch form written from the description") {
  const std::string tsm = TANDEM_GOLDEN_DIR "/boosting_tsm.npz";
  compare_tsm<double>(tsm);
  compare_tsm<float>(tsm);
  compare_vlc<double>(TANDEM_GOLDEN_DIR "/boosting_vlc.npz", tsm);
  compare_vlc<float>(TANDEM_GOLDEN_DIR "/boosting_vlc.npz", tsm);
}

TEST_CASE("Boosting: the public code") {
  const std::string tsm = tandem_test::test_data("rivals/boosting_tsm.npz"),
                    vlc = tandem_test::test_data("rivals/boosting_vlc.npz");
  if (vlc.empty() || tsm.empty()) return;
  compare_tsm<double>(tsm);
  compare_tsm<float>(tsm);
  compare_vlc<double>(vlc, tsm);
  compare_vlc<float>(vlc, tsm);
}

TEST_CASE("Boosting-WTAL on ActivityNet-1.3: TSM by a PyTorch form written from the description") {
  compare_activity_net<double>();
  compare_activity_net<float>();
  const TsmOptions o = TsmOptions::activity_net();
  CHECK(o.streams.encoded == 1024);
  CHECK(o.prompts == 3);
  CHECK(o.pool == 13);
  const BoostingOptions b = BoostingOptions::activity_net();
  CHECK(b.steps == 50001);
  CHECK(b.tsm_learning_rate == 3e-5);
  CHECK(b.vlc_autoencoder == 0.15);
  CHECK(b.vlc_attention == 0.25);
  CHECK(check::message([] {
          Generator random(1);
          CrossModal<float>({.stream = 4, .hidden = 4, .gated_main = true}, random);
        }) == "[cross_modal] only the module with an auto-encoder gates its main stream");
}

TEST_CASE("TsmBranch: P is a·softmax and the rest is background; its inference is CO2-Net's") {
  Generator random(6);
  const TsmOptions o{
      .streams = tiny_streams(ConvInit::kaiming), .word_width = 6, .prompts = 3, .mlp_hidden = 40};
  TsmBranch<double> branch(o, check::normal({4, 2, 6}, 8), random);
  branch.eval();
  CHECK((branch.localizes() && branch.recipe() == nullptr));
  const Tensor<double> x = check::normal({2, 9, 24}, 9);
  const Tensor<bool> valid = mask_of({9, 5}, 9);
  const NoGrad no_grad;
  const TsmOutput<double> tsm = branch.tsm.forward(x, valid);
  const BranchOutput<double> out = branch.forward(x, valid);
  const Tensor<double> p = sigmoid(out.logits);
  CHECK(check::distance(p, mul(tsm.attention, softmax(tsm.cas, -1).slice(2, 0, 4))) < 1e-14);
  CHECK(check::distance(add(sum(p, -1, true), sigmoid(out.background)), ones<double>({2, 9, 1})) <
        1e-14);
  CHECK(check::same(out.features, tsm.features));
  CHECK(check::same(out.attention, tsm.attention));
  // The second video, without its padding
  const Tensor<double> five = x.slice(0, 1, 2).slice(1, 0, 5).contiguous();
  CHECK(check::distance(branch.forward(five, ones<bool>({1, 5})).logits,
                        out.logits.slice(0, 1, 2).slice(1, 0, 5)) < 1e-12);
  const Tensor<float> rows = check::cast<float>(five.squeeze(0));
  const TsmOutput<double> alone =
      branch.tsm.forward(rows.to<double>().unsqueeze(0), ones<bool>({1, 5}));
  const auto expected =
                 co2_detections(alone.cas.to_vector(), alone.attention.to_vector(), Co2Options()),
             found = branch.own_detections(rows, 0.5);
  REQUIRE(found.size() == expected.size());
  REQUIRE(!found.empty());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].cls == expected[i].cls);
    CHECK(found[i].score == expected[i].score);
    CHECK(found[i].segment.start == expected[i].segment.start * 0.5);
    CHECK(found[i].segment.end == expected[i].segment.end * 0.5);
  }
}

TEST_CASE("Boosting-WTAL with CLIP's columns: they are part of the RGB stream of both networks") {
  for (const bool gated : {false, true}) {
    INFO("gated ", gated);
    Generator random(6);
    CrossModalOptions streams = tiny_streams(ConvInit::kaiming);
    streams.gated_main = gated;
    const TsmOptions o{
        .streams = streams, .clip = 8, .word_width = 6, .prompts = 3, .mlp_hidden = 40};
    const VlcOptions v{
        .streams = streams, .clip = 8, .width = 8, .hidden = 16, .word_width = 6, .vocabulary = 13};
    const auto tsm = make_ref<Tsm<double>>(o, check::normal({4, 2, 6}, 5), random);
    const auto vlc = make_ref<Vlc<double>>(v, random);
    CHECK(o.width() == 32);
    CHECK(tsm->fusion.weight.shape() == Shape{32, 32, 3});
    CHECK(vlc->frame_fc.weight.tensor().shape() == Shape{8, 32});
    // The modules by hand, on [rgb; clip] and flow
    const Tensor<double> x = check::normal({4, 9, 32}, 7);
    const Tensor<bool> all = ones<bool>({4, 9});
    const Tensor<double> pictures = cat(
                             std::vector<Tensor<double>>{x.slice(2, 0, 12), x.slice(2, 24, 32)}, 2),
                         motion = x.slice(2, 12, 24);
    tsm->eval(), vlc->eval();
    TinyRun run;
    const Sentences<double>& s = run.sentences;
    const TsmOutput<double> a = tsm->forward(x, all);
    const VlcOutput<double> b = vlc->forward(x, all, s.words, s.counted);
    const auto check_pair = [&](const auto& net, const auto& out) {
      const CrossModalOutput<double> rgb = net.rgb.forward(pictures, motion, all),
                                     flow = net.flow.forward(motion, pictures, all);
      CHECK(check::distance(out.rgb, rgb.decoded) < 1e-14);
      CHECK(check::distance(out.flow, flow.decoded) < 1e-14);
      CHECK(out.rgb.shape() == Shape{4, 9, 20});
      CHECK(out.flow.shape() == Shape{4, 9, 12});
      if (!gated)
        CHECK((check::same(out.rgb_main, pictures) && check::same(out.flow_main, motion)));
      return mul(add(rgb.attention, flow.attention), 0.5);
    };
    CHECK(check::distance(a.attention, check_pair(*tsm, a)) < 1e-14);
    CHECK(check::distance(b.attention, check_pair(*vlc, b).squeeze(2)) < 1e-14);
    CHECK(a.features.shape() == Shape{4, 9, 32});
    CHECK(a.cas.shape() == Shape{4, 9, 5});
    // A step reads CLIP's columns: each filter that sees them learns
    tsm->train(), vlc->train();
    BoostingTrainer<double> trainer({.steps = 2, .tsm = {.co2 = {.mutual = 0, .pairs = 2}}}, *tsm,
                                    *vlc);
    const Tensor<double> before = tsm->flow.encode.weight.detach().clone();
    CHECK(std::isfinite(trainer.step(x, run.y, all, s).tsm));
    CHECK(!check::same(before.slice(1, 12, 20), tsm->flow.encode.weight.slice(1, 12, 20)));
    TsmOptions wrong = o;
    wrong.clip = -1;
    CHECK(check::message([&] {
            Tsm<double>(wrong, check::normal({4, 2, 6}, 5), random);
          }) ==
          "[tsm] expected clip >= 0 columns of CLIP and no streams.aux, which follows from them; "
          "got -1 and 0");
  }
}

TEST_CASE("BoostingTrainer: dropout on, every parameter that is read learns") {
  for (const bool real_masking : {false, true}) {
    INFO("real masking ", real_masking);
    TinyRun run(real_masking);
    const std::vector<nn::Named<double>> tsm = copied(run.tsm->state_dict()),
                                         vlc = copied(run.vlc->state_dict());
    for (int i = 0; i < 3; ++i) CHECK(std::isfinite(run.step().tsm));
    const auto changed = [](const auto& before, const auto& after, auto&& still) {
      for (std::size_t i = 0; i < before.size(); ++i) {
        INFO(before[i].name);
        CHECK(check::same(before[i].tensor, after[i].tensor) == still(before[i].name));
      }
    };
    changed(tsm, run.tsm->state_dict(), [](const std::string&) { return false; });
    changed(vlc, run.vlc->state_dict(), [&](const std::string& name) {
      return (name == "mask_vec" && !real_masking) ||
             (name.starts_with("trans.decoder1") && name.find("encoder_attn") != std::string::npos);
    });
  }
}

TEST_CASE("BoostingTrainer: a resumed run has the bits of one that went through") {
  TinyRun whole, first, second;
  for (int i = 0; i < 5; ++i) whole.step();
  for (int i = 0; i < 2; ++i) first.step();
  second.trainer->load(copied(first.trainer->state()), 2);
  for (int i = 0; i < 3; ++i) second.step();
  const auto expected = whole.trainer->state(), found = second.trainer->state();
  REQUIRE(expected.size() == found.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO(expected[i].name);
    CHECK(expected[i].name == found[i].name);
    CHECK(check::same(expected[i].tensor, found[i].tensor));
  }
  CHECK(second.trainer->steps() == 5);
  CHECK_THROWS_WITH_AS(second.trainer->load(first.trainer->state(), 9),
                       "[boosting] the checkpoint is after step 9, this run has 8 steps", Error);
  auto incomplete = first.trainer->state();
  incomplete.erase(incomplete.begin());
  CHECK_THROWS_AS(second.trainer->load(incomplete, 2), Error);
}

TEST_CASE("WeightedAttention: the weights are those of the formula; gradients by differences") {
  Generator random(4);
  const WeightedAttention<double> attention(8, 2, random);
  const Tensor<double> x = check::normal({2, 3, 8}, 1), source = check::normal({2, 5, 8}, 2),
                       g = rand<double>({2, 5}, random);
  const Tensor<bool> keys = mask_of({5, 3}, 5);
  const NoGrad no_grad;
  const Tensor<double> plain = attention.weights(x, source, {}, keys),
                       by_g = attention.weights(x, source, g, keys);
  CHECK(check::distance(sum(by_g, -1), ones<double>({2, 3})) < 1e-14);
  CHECK(by_g.at({1, 0, 4}) == 0);
  // One head, so that the mean over heads is the head: a∘(g + 1e-10), renormalised
  const WeightedAttention<double> one(8, 1, random);
  const Tensor<double> a = mul(one.weights(x, source, {}, keys), add(g, 1e-10).unsqueeze(1));
  CHECK(check::distance(one.weights(x, source, g, keys), div(a, sum(a, -1, true))) < 1e-14);
  CHECK(check::distance(plain, by_g) > 0.01);
  const EnableGrad grad;
  check::gradients(
      [&](const auto& in) { return attention.forward(in[0], in[1], in[2], keys, false); },
      {x, source, add(g, 0.1)});
}
