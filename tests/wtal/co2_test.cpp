/// CO2-Net against a recorded run of its public code in float64 (the golden file rivals/co2.npz of
/// the test data) and, always, against a PyTorch form that was written from its description
/// (tests/golden/generate_co2.py); and what neither can show: padding, DCL's reading of it,
/// seconds.

#include "tandem/wtal/model/co2.hpp"

#include "rivals_golden.hpp"
#include "tandem/optim/adam.hpp"
#include "test_data.hpp"

using namespace tandem;
using namespace tandem::wtal;
using tandem_test::RivalsGolden;

namespace {

Co2Options tiny(double alpha_pair = 1, std::int64_t pool = 0, double dropout = 0) {
  Co2Options o;
  o.streams = {.stream = 12, .hidden = 8, .dropout = dropout > 0 ? 0.5 : 0};
  o.classes = 4;
  o.dropout = dropout;
  o.loss.pair = alpha_pair;
  o.pool = pool;
  return o;
}
template <class T>
Ref<Co2Branch<T>> tiny_co2(const Co2Options& options, const std::vector<nn::Named<T>>& state = {}) {
  Generator random(1);
  if (state.empty()) return make_ref<Co2Branch<T>>(options, random);
  Co2Options sized = options;
  for (const auto& named : state) {
    if (named.name == "vAttn.attention.0.weight")
      sized.streams.hidden = named.tensor.size(0), sized.streams.stream = named.tensor.size(1);
    if (named.name == "classifier.4.bias") sized.classes = named.tensor.size(0) - 1;
  }
  auto net = make_ref<Co2Branch<T>>(sized, random);
  const nn::LoadReport loaded = net->load_state_dict(state, false);
  CHECK(loaded.missing.empty());
  CHECK(loaded.unused == std::vector<std::string>{"feat_encoder.0.weight", "feat_encoder.0.bias"});
  return net;
}

template <class T>
void compare_losses(RivalsGolden& golden, const std::string& prefix,
                    const rivals::Co2Losses<T>& loss) {
  golden.compare(prefix + "out.cas_supp", loss.suppressed);
  golden.compare(prefix + "loss.mil_orig_per_video", loss.mil);
  golden.compare(prefix + "loss.mil_supp_per_video", loss.mil_suppressed);
  golden.compare(prefix + "loss.contrastive", loss.pair);
  golden.compare(prefix + "loss.mutual", loss.mutual);
  golden.compare(prefix + "loss.norm", loss.norm);
  golden.compare(prefix + "loss.v_norm", loss.rgb_norm);
  golden.compare(prefix + "loss.f_norm", loss.flow_norm);
  golden.compare(prefix + "loss.guide", loss.guide);
  golden.compare(prefix + "loss.v_guide", loss.rgb_guide);
  golden.compare(prefix + "loss.f_guide", loss.flow_guide);
  golden.compare(prefix + "loss.total", loss.total);
}

template <class T>
void compare_steps(RivalsGolden& golden, const std::string& key, Co2Branch<T>& net,
                   const Tensor<T>& x, const Tensor<T>& y) {
  const Tensor<bool> valid = ones<bool>({x.size(0), x.size(1)});
  optim::Adam<T> adam(net.trainable_parameters(), {.learning_rate = net.recipe()->learning_rate,
                                                   .weight_decay = net.recipe()->weight_decay});
  std::vector<T> losses;
  for (std::int64_t i = 0; i < golden.get(key).numel(); ++i) {
    const Tensor<T> total = net.own_loss(x, valid, y);
    losses.push_back(total.item());
    adam.zero_grad();
    total.backward();
    adam.step();
  }
  golden.compare(key, from_vector<T>(losses));
}

template <class T>
void compare_network(RivalsGolden& golden) {
  INFO(sizeof(T), " bytes a number");
  const Tensor<T> x = golden.get<T>("in.x"), y = golden.get<T>("in.label");
  const Tensor<bool> valid = ones<bool>({x.size(0), x.size(1)});
  const auto state = golden.state<T>("state.");
  const rivals::Co2LossOptions published;
  for (const std::string& prefix : {std::string(), std::string("ant.")}) {
    const bool pooled = !prefix.empty();
    CHECK(golden.number(prefix + "in.alpha1") == published.norm);
    CHECK(golden.number(prefix + "in.alpha2") == published.guide);
    CHECK(golden.number(prefix + "in.alpha3") == published.pair);
    CHECK(golden.number(prefix + "in.alpha4") == published.mutual);
    Co2Options options = tiny(1, pooled ? golden.integer("ant.in.pool_kernel") : 0);
    options.loss.divisor = golden.integer(prefix + "in.k");
    const auto net = tiny_co2<T>(options, state);
    const auto pass = net->classify(x, valid);
    const rivals::Co2Scores<T> scores = net->pooled(pass.scores);
    golden.compare(prefix + "out.feat", scores.features);
    golden.compare(prefix + "out.cas", scores.cas);
    golden.compare(prefix + "out.attn", scores.attention);
    golden.compare(prefix + "out.v_atn", scores.rgb_attention);
    golden.compare(prefix + "out.f_atn", scores.flow_attention);
    golden.compare(prefix + "out.vAttn.filter_feat", pass.rgb.filtered);
    golden.compare(prefix + "out.fAttn.filter_feat", pass.flow.filtered);
    golden.compare(prefix + "out.vAttn.attn_raw", pass.rgb.attention);  // not pooled
    golden.compare(prefix + "out.fAttn.attn_raw", pass.flow.attention);
    const rivals::Co2Losses<T> loss = net->loss(pass, y, valid);
    compare_losses(golden, prefix, loss);
    loss.total.backward();
    golden.compare_gradients(prefix + "grad.", *net);
    compare_steps<T>(golden, prefix + "traj.total", *tiny_co2<T>(options, state), x, y);
  }
  const auto net = tiny_co2<T>(tiny(1, 0, 0.7), state);
  std::vector<Tensor<T>> keep;
  for (const char* name :
       {"vAttn.channel_conv.2", "vAttn.bit_wise_attn.2", "vAttn.attention.2", "vAttn.attention.6",
        "fAttn.channel_conv.2", "fAttn.bit_wise_attn.2", "fAttn.attention.2", "fAttn.attention.6",
        "fusion.2", "classifier.0", "classifier.3"}) {
    keep.push_back(golden.get<T>(concat("drop.keep.", name, ".0")).transpose(1, 2).contiguous());
  }
  const rivals::DropoutMasks<T> masks(keep);
  const auto pass = net->classify(x, valid);
  golden.compare("drop.out.feat", pass.scores.features);
  golden.compare("drop.out.cas", pass.scores.cas);
  golden.compare("drop.out.attn", pass.scores.attention);
  const Tensor<T> total = net->loss(pass, y, valid).total;
  golden.compare("drop.loss.total", total);
  total.backward();
  golden.compare_some_gradients("drop.grad.", *net);
  CHECK(masks.left() == 0);
}

void compare_inference(RivalsGolden& golden) {
  const Co2Options options;
  CHECK(check::distance(golden.get("infer.act_thresh"), from_vector<double>(options.thresholds)) <
        1e-15);
  for (int i = 0; golden.has(concat("infer.", i, ".det")); ++i) {
    const std::string video = concat("infer.", i, ".");
    const std::vector<double> cas = golden.get(video + "cas").to_vector(),
                              attention = golden.get(video + "attn").to_vector();
    golden.compare(video + "video_score", from_vector<double>(co2_video_scores(cas, attention)));
    golden.compare_detections(video + "det", co2_detections(cas, attention, options));
  }
}

void compare(const std::string& path) {
  RivalsGolden golden(path);
  compare_network<double>(golden);
  compare_network<float>(golden);
  compare_inference(golden);
  golden.finish();
}

}  // namespace

TEST_CASE("CO2-Net: a PyTorch form written from the description") {
  compare(TANDEM_GOLDEN_DIR "/co2.npz");
}

TEST_CASE("CO2-Net: the public code") {
  const std::string path = tandem_test::test_data("rivals/co2.npz");
  if (!path.empty()) compare(path);
}

TEST_CASE("CO2-Net in DCL: P and the background share each frame; padding changes nothing") {
  for (const bool suppressed : {false, true}) {
    INFO("from S~: ", suppressed);
    Co2Options options = tiny();
    options.suppressed_frames = suppressed;
    const auto net = tiny_co2<double>(options);
    const Tensor<double> x = check::normal({2, 9, 24}, 3);
    const Tensor<bool> all = ones<bool>({2, 9});
    const BranchOutput<double> out = net->forward(x, all);
    const auto sigma = [](const Tensor<double>& s) { return sigmoid(s.detach()); };
    const Tensor<double> p = sigma(out.logits), b = sigma(out.background);
    CHECK(check::distance(add(sum(p, 2, true), b), ones<double>({2, 9, 1})) < 1e-12);
    const auto scores = net->classify(x, all).scores;
    const Tensor<double> expected =
        suppressed ? softmax(rivals::suppressed_cas(scores.cas, scores.attention), -1)
                   : mul(scores.attention, softmax(scores.cas, -1));
    CHECK(check::distance(p, expected.slice(2, 0, 4)) < 1e-12);
    CHECK(check::same(out.features, scores.features));

    // A shorter video with padding of any content has the scores of the video alone
    const Tensor<bool> valid = rivals::mask_of({9, 6}, 9);
    const BranchOutput<double> padded = net->forward(x, valid);
    const BranchOutput<double> alone =
        net->forward(x.slice(0, 1, 2).slice(1, 0, 6), ones<bool>({1, 6}));
    CHECK(check::distance(padded.logits.slice(0, 1, 2).slice(1, 0, 6), alone.logits) < 1e-12);
    CHECK(check::distance(padded.background.slice(0, 1, 2).slice(1, 0, 6), alone.background) <
          1e-12);
    // and the label-free terms those of the valid frames
    const Tensor<double> other = x.clone();
    other.slice(0, 1, 2).slice(1, 6, 9).fill_(7);
    CHECK(check::distance(net->forward(other, valid).label_free, padded.label_free) < 1e-12);
    CHECK(padded.label_free.item() != doctest::Approx(out.label_free.item()));
  }
}

TEST_CASE("CO2-Net with CLIP's columns: they are part of the RGB stream, whatever else is so") {
  Co2Options options = tiny();
  options.clip = 5;
  const auto net = tiny_co2<double>(options);
  CHECK(net->fusion.weight.size(1) == 29);
  // By hand: the modules on [rgb; clip] and flow
  const Tensor<double> x = check::normal({2, 9, 29}, 7);
  const Tensor<bool> all = ones<bool>({2, 9});
  const Tensor<double> pictures = cat(
                           std::vector<Tensor<double>>{x.slice(2, 0, 12), x.slice(2, 24, 29)}, 2),
                       motion = x.slice(2, 12, 24);
  const auto pass = net->classify(x, all);
  CHECK(check::same(pass.rgb.filtered, net->rgb.forward(pictures, motion, all).filtered));
  CHECK(check::same(pass.flow.filtered, net->flow.forward(motion, pictures, all).filtered));
  CHECK(pass.rgb.filtered.shape() == Shape{2, 9, 17});
  CHECK(pass.scores.features.shape() == Shape{2, 9, 29});

  // Without weights from CLIP's columns it says what CO2-Net says without them
  const auto plain = tiny_co2<double>(tiny());
  const auto copy = [](const Tensor<double>& from, const Tensor<double>& to,
                       std::int64_t clip_from) {
    // Dimensions that have CLIP's columns get those of plain around them, and zeros in them.
    const NoGrad no_grad;
    to.fill_(0);
    const auto parts = [clip_from](std::int64_t n, std::int64_t wide) {
      std::vector<std::int64_t> at;  // where plain's index lies
      for (std::int64_t i = 0; i < n; ++i)
        at.push_back(n == wide || i < clip_from ? i : i + wide - n);
      return at;
    };
    const auto out = parts(from.size(0), to.size(0)), in = parts(from.size(1), to.size(1));
    for (std::int64_t o = 0; o < from.size(0); ++o) {
      for (std::int64_t i = 0; i < from.size(1); ++i) {
        for (std::int64_t k = 0; k < from.size(2); ++k)
          to.set({out[static_cast<std::size_t>(o)], in[static_cast<std::size_t>(i)], k},
                 from.at({o, i, k}));
      }
    }
  };
  const auto copy_layer = [&](const auto& from, const auto& to) {
    copy(from.weight, to.weight, 12);
    const NoGrad no_grad;
    const Tensor<double>& bias = to.bias;
    bias.fill_(0);
    const std::int64_t n = from.bias.size(0), wide = bias.size(0);
    for (std::int64_t i = 0; i < n; ++i)
      bias.set({n == wide || i < 12 ? i : i + wide - n}, from.bias.at({i}));
  };
  for (const bool rgb : {true, false}) {
    const auto &from = rgb ? plain->rgb : plain->flow, &to = rgb ? net->rgb : net->flow;
    copy_layer(from.local, to.local);
    copy_layer(from.global, to.global);
    copy_layer(from.attention0, to.attention0);
    copy_layer(from.attention3, to.attention3);
    copy_layer(from.attention5, to.attention5);
  }
  copy_layer(plain->fusion, net->fusion);
  copy_layer(plain->classifier_1, net->classifier_1);
  copy_layer(plain->classifier_4, net->classifier_4);
  const auto same = plain->classify(x.slice(2, 0, 24), all), with = net->classify(x, all);
  CHECK(check::distance(with.scores.cas, same.scores.cas) < 1e-12);
  CHECK(check::distance(with.scores.attention, same.scores.attention) < 1e-12);
  // and with them the columns are read, with a gradient of their own
  const Tensor<double> leaf = x.clone().requires_grad_();
  Tensor<double> y = zeros<double>({2, 4});
  y.set({0, 1}, 1), y.set({1, 1}, 1);
  tiny_co2<double>(options)->own_loss(leaf, all, y).backward();
  CHECK(sum(square(leaf.grad().slice(2, 24, 29))).item() > 0);
  CHECK(check::message([&] {
          Co2Options wrong = options;
          wrong.streams.aux = 3;
          tiny_co2<double>(wrong);
        }) ==
        "[co2] expected clip >= 0 columns of CLIP and no streams.aux, which follows from them; got "
        "5 and 3");
}

TEST_CASE("CO2-Net: its loss learns every parameter, with dropout; its inference is in seconds") {
  Co2Options options = tiny(1, 0, 0.7);
  const auto net = tiny_co2<double>(options);
  const Tensor<double> x = check::normal({6, 20, 24}, 4);
  Tensor<double> y = zeros<double>({6, 4});
  for (std::int64_t b = 0; b < 6; ++b) y.set({b, b / 2}, 1);
  Generator noise(5);
  const nn::RandomScope random(noise);
  net->own_loss(x, ones<bool>({6, 20}), y).backward();
  for (const auto& p : net->named_parameters()) {
    INFO(p.name);
    REQUIRE(p.tensor.grad().defined());
    CHECK(sum(square(p.tensor.grad())).item() > 0);
  }
  net->eval();
  const Tensor<float> video = check::cast<float>(check::normal({30, 24}, 6));
  const std::vector<Detection> found = net->own_detections(video, 0.64),
                               in_rows = net->own_detections(video, 1);
  REQUIRE(found.size() == in_rows.size());
  REQUIRE(!found.empty());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].segment.end == doctest::Approx(0.64 * in_rows[i].segment.end));
    CHECK(in_rows[i].segment.end <= 30);
    CHECK(found[i].score == in_rows[i].score);
  }
  CHECK(check::message([&] {
          net->forward(zeros<double>({1, 3, 23}), ones<bool>({1, 3}));
        }) ==
        "[co2] expected features (B, T, 24) and valid (B, T), got (1, 3, 23) and (1, 3) (in module "
        "co2)");
  CHECK(Co2Options::activity_net().pool == 13);
  CHECK(Co2Options::activity_net().recipe.frames == 60);
}
