/// UM against a recorded run of its public code in float64 (the golden file rivals/um.npz of the
/// test data) and, always, against a PyTorch form that was written from its description
/// (tests/golden/generate_um.py); and what neither can show: padding, DCL's reading of it, seconds.

#include "tandem/wtal/model/um.hpp"

#include "rivals_golden.hpp"
#include "tandem/ops/sigmoid.hpp"
#include "tandem/optim/adam.hpp"
#include "test_data.hpp"

using namespace tandem;
using namespace tandem::wtal;
using tandem_test::RivalsGolden;

namespace {

UmOptions tiny(double dropout = 0) {
  UmOptions o;
  o.input = 10;
  o.classes = 4;
  o.width = 16;
  o.dropout = dropout;
  return o;
}
template <class T>
Ref<UmBranch<T>> tiny_um(const UmOptions& options, const std::vector<nn::Named<T>>& state = {}) {
  Generator random(1);
  if (state.empty()) return make_ref<UmBranch<T>>(options, random);
  UmOptions sized = options;
  for (const auto& named : state) {
    if (named.name == "cas_module.conv.0.weight")
      sized.width = named.tensor.size(0), sized.input = named.tensor.size(1);
    if (named.name == "cas_module.classifier.0.weight") sized.classes = named.tensor.size(0);
  }
  auto net = make_ref<UmBranch<T>>(sized, random);
  net->load_state_dict(state);
  return net;
}

template <class T>
void compare_pass(RivalsGolden& golden, const std::string& prefix, const UmBranch<T>& net,
                  const Tensor<T>& x, const Tensor<T>& y, const Tensor<T>& selection) {
  const auto pass = net.classify(x, ones<bool>({x.size(0), x.size(1)}), selection);
  golden.compare(prefix + "out.score_act", pass.p_act);
  golden.compare(prefix + "out.score_bkg", pass.p_bkg);
  golden.compare(prefix + "out.feat_act", stack(pass.act_features, 0));
  golden.compare(prefix + "out.feat_bkg", stack(pass.bkg_features, 0));
  golden.compare(prefix + "out.features", pass.features);
  golden.compare(prefix + "out.cas_softmax", softmax(pass.scores, -1));
  const auto loss = net.loss(pass, y);
  golden.compare(prefix + "loss.cls", loss.cls);
  golden.compare(prefix + "loss.be", loss.be);
  golden.compare(prefix + "loss.um", loss.um);
  golden.compare(prefix + "loss.total", loss.total);
  loss.total.backward();
  golden.compare_gradients(prefix + "grad.", net);
}

template <class T>
void compare_network(RivalsGolden& golden) {
  INFO(sizeof(T), " bytes a number");
  const Tensor<T> x = golden.get<T>("in.x"), y = golden.get<T>("in.label");
  const Tensor<bool> valid = ones<bool>({x.size(0), x.size(1)});
  const auto state = golden.state<T>("state.");
  const UmOptions published;
  CHECK(golden.number("in.alpha") == published.alpha);
  CHECK(golden.number("in.beta") == published.beta);
  CHECK(golden.number("in.margin") == published.margin);
  CHECK(golden.integer("in.r_act") == published.action_divisor);
  CHECK(golden.integer("in.r_bkg") == published.background_divisor);
  compare_pass<T>(golden, "", *tiny_um<T>(tiny(), state), x, y, {});
  compare_pass<T>(golden, "sel.", *tiny_um<T>(tiny(), state), x, y,
                  golden.get<T>("sel.in.select_mask"));
  {
    const auto net = tiny_um<T>(tiny(published.dropout), state);
    const rivals::DropoutMasks<T> masks(
        {golden.get<T>("drop.keep.cas_module.drop_out.0").transpose(1, 2).contiguous(),
         golden.get<T>("drop.keep.drop_out.0")});
    const auto pass = net->classify(x, valid);
    golden.compare("drop.out.cas_softmax", softmax(pass.scores, -1));
    golden.compare("drop.out.feat_act", stack(pass.act_features, 0));
    golden.compare("drop.out.feat_bkg", stack(pass.bkg_features, 0));
    const Tensor<T> total = net->loss(pass, y).total;
    golden.compare("drop.loss.total", total);
    total.backward();
    golden.compare_some_gradients("drop.grad.", *net);
    CHECK(masks.left() == 0);
  }
  const auto net = tiny_um<T>(tiny(), state);
  optim::Adam<T> adam(net->trainable_parameters(), {.learning_rate = net->recipe()->learning_rate,
                                                    .weight_decay = net->recipe()->weight_decay});
  std::vector<T> losses;
  for (std::int64_t i = 0; i < golden.get("traj.total").numel(); ++i) {
    const Tensor<T> total = net->own_loss(x, valid, y);
    losses.push_back(total.item());
    adam.zero_grad();
    total.backward();
    adam.step();
  }
  golden.compare("traj.total", from_vector<T>(losses));
}

/// ‖·‖ of the rows.
std::vector<double> norms(const Tensor<double>& rows) {
  return sqrt(sum(square(rows), -1)).to_vector();
}
double average(const std::vector<double>& x) {
  double total = 0;
  for (const double value : x) total += value;
  return total / static_cast<double>(x.size());
}

void compare_inference(RivalsGolden& golden) {
  const UmOptions options;
  CHECK(check::distance(golden.get("infer.act_thresh_cas"),
                        from_vector<double>(options.score_thresholds)) < 1e-15);
  CHECK(check::distance(golden.get("infer.act_thresh_magnitudes"),
                        from_vector<double>(options.magnitude_thresholds)) < 1e-15);
  for (int i = 0; golden.has(concat("infer.", i, ".det")); ++i) {
    const std::string video = concat("infer.", i, ".");
    const UmVideo of{.scores = golden.get(video + "score_act").to_vector(),
                     .cas = golden.get(video + "cas_softmax").to_vector(),
                     .magnitudes = norms(golden.get(video + "features")),
                     .action = average(norms(golden.get(video + "feat_act"))),
                     .background = average(norms(golden.get(video + "feat_bkg")))};
    golden.compare_detections(video + "det",
                              um_detections(of, golden.integer(video + "v_len"), 0.64, options));
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

TEST_CASE("UM: a PyTorch form written from the description") {
  compare(TANDEM_GOLDEN_DIR "/um.npz");
}

TEST_CASE("UM: the public code") {
  const std::string path = tandem_test::test_data("rivals/um.npz");
  if (!path.empty()) compare(path);
}

TEST_CASE("UM in DCL: P and the background share each frame; padding changes nothing") {
  for (const bool relative : {false, true}) {
    INFO("relative magnitudes: ", relative);
    UmOptions options = tiny();
    options.relative_magnitudes = relative;
    options.margin = 3;
    const auto net = tiny_um<double>(options);
    const Tensor<double> x = mul(check::normal({2, 29, 10}, 3), 2.0);
    const Tensor<bool> all = ones<bool>({2, 29});
    const BranchOutput<double> out = net->forward(x, all);
    const auto sigma = [](const Tensor<double>& s) { return sigmoid(s.detach()); };
    const Tensor<double> p = sigma(out.logits), b = sigma(out.background);
    CHECK(check::distance(add(sum(p, 2, true), b), ones<double>({2, 29, 1})) < 1e-9);
    const auto pass = net->classify(x, all);
    Tensor<double> m = clamp(mul(pass.magnitudes, 1 / 3.0), 0, 1);
    if (relative) {
      std::vector<Tensor<double>> videos;
      for (std::int64_t v = 0; v < 2; ++v) {
        const auto i = static_cast<std::size_t>(v);
        videos.push_back(from_vector<double>(
            um_magnitudes({.scores = {},
                           .cas = {},
                           .magnitudes = pass.magnitudes.select(0, v).detach().to_vector(),
                           .action = average(norms(pass.act_features[i].detach())),
                           .background = average(norms(pass.bkg_features[i].detach()))}),
            {29, 1}));
      }
      m = stack(videos, 0);
    }
    CHECK(check::distance(out.attention, m) < 1e-12);
    CHECK(check::distance(p, mul(clamp(m, 1e-6, 1 - 1e-6), softmax(pass.scores, -1))) < 1e-9);
    CHECK(!out.label_free.defined());
    sum(out.logits).backward();
    CHECK(sum(square(net->conv.weight.grad())).item() > 0);

    const Tensor<bool> valid = rivals::mask_of({29, 17}, 29);
    const BranchOutput<double> padded = net->forward(x, valid);
    const Tensor<double> shorter = x.slice(0, 1, 2).slice(1, 0, 17);
    const BranchOutput<double> alone = net->forward(shorter, ones<bool>({1, 17}));
    CHECK(check::distance(padded.logits.slice(0, 1, 2).slice(1, 0, 17), alone.logits) < 1e-9);
    const Tensor<double> y = tensor<double>({{1, 0, 0, 1}});
    const auto whole = net->classify(x, valid), cut = net->classify(shorter, ones<bool>({1, 17}));
    CHECK(check::same(whole.act[1], cut.act[0]));
    CHECK(check::same(whole.bkg[1], cut.bkg[0]));
    CHECK(check::distance(whole.p_act.slice(0, 1, 2), cut.p_act) < 1e-12);
    CHECK(check::distance(whole.p_bkg.slice(0, 1, 2), cut.p_bkg) < 1e-12);
  }
}

TEST_CASE("UM: learns every parameter with dropout; a silent video has a finite loss; seconds") {
  const auto net = tiny_um<double>(tiny(0.7));
  const Tensor<double> x = check::normal({2, 20, 10}, 4),
                       y = tensor<double>({{1, 0, 0, 0}, {0, 1, 1, 0}});
  Generator noise(5);
  const nn::RandomScope random(noise);
  net->own_loss(x, ones<bool>({2, 20}), y).backward();
  for (const auto& p : net->named_parameters()) {
    INFO(p.name);
    REQUIRE(p.tensor.grad().defined());
    CHECK(sum(square(p.tensor.grad())).item() > 0);
  }
  {
    const NoGrad no_grad;
    net->conv.bias.fill_(-1);
  }
  net->zero_grad();
  net->own_loss(zeros<double>({1, 3, 10}), ones<bool>({1, 3}), y.slice(0, 0, 1)).backward();
  CHECK(std::isfinite(sum(net->conv.weight.grad()).item()));

  net->eval();
  const auto other = tiny_um<double>(tiny());
  const Tensor<float> video = check::cast<float>(check::normal({30, 10}, 6));
  const std::vector<Detection> found = other->own_detections(video, 0.64);
  REQUIRE(!found.empty());
  for (const Detection& d : found) {
    CHECK(0 <= d.segment.start);
    CHECK(d.segment.start < d.segment.end);
    CHECK(d.segment.end <= 30 * 0.64 + 1e-9);
  }
}
