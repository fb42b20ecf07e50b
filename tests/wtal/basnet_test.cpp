/// BaS-Net against its public code (the golden file rivals/basnet.npz of the test data) and,
/// always, against a PyTorch form that was written from its description
/// (tests/golden/generate_basnet.py); and what neither can show: padding, DCL's reading of it.

#include "tandem/wtal/model/basnet.hpp"

#include "rivals_golden.hpp"
#include "tandem/optim/adam.hpp"
#include "test_data.hpp"

using namespace tandem;
using namespace tandem::wtal;
using tandem_test::RivalsGolden;

namespace {

/// A branch of the golden file's sizes with its state.
template <class T>
Ref<BasNetBranch<T>> golden_basnet(RivalsGolden& golden, double alpha, bool dropout = false) {
  const auto state = golden.state<T>("state.");
  BasNetOptions o;
  for (const auto& named : state) {
    const auto size = [&](int d) { return named.tensor.size(d); };
    if (named.name == "filter_module.conv_1.0.weight") o.filter_width = size(0), o.input = size(1);
    if (named.name == "cas_module.conv_1.0.weight") o.width = size(0);
    if (named.name == "cas_module.conv_3.0.weight") o.classes = size(0) - 1;
  }
  o.alpha = alpha;
  if (!dropout) o.dropout = 0;
  o.recipe.frames = golden.integer("in.num_segments");
  Generator random(1);
  const auto branch = make_ref<BasNetBranch<T>>(o, random);
  branch->load_state_dict(state);
  return branch;
}

template <class T>
void check_basnet_network(RivalsGolden& golden) {
  INFO(sizeof(T), " bytes a number");
  const Tensor<T> x = golden.get<T>("in.x"), y = golden.get<T>("in.label");
  const Tensor<bool> valid = ones<bool>({x.size(0), x.size(1)});
  const double alpha = golden.number("in.alpha");
  {
    const auto net = golden_basnet<T>(golden, alpha);
    const Tensor<T> w = net->filter(x);
    const auto base = net->classify(x, valid), supp = net->classify(mul(w, x), valid);
    golden.compare("out.fore_weights", w);
    golden.compare("out.cas_base", base.scores);
    golden.compare("out.cas_supp", supp.scores);
    golden.compare("out.score_base", base.video);
    golden.compare("out.score_supp", supp.video);
    const auto loss = net->loss(w, base, supp, y, valid);
    golden.compare("loss.base", loss.base);
    golden.compare("loss.supp", loss.supp);
    golden.compare("loss.norm", loss.norm);
    golden.compare("loss.total", net->own_loss(x, valid, y));
    loss.total.backward();
    golden.compare_gradients("grad.", *net);
    // In training both passes share the products of the first convolution.
    const auto trained = golden_basnet<T>(golden, alpha);
    const auto both = trained->classify_both(x, trained->filter(x), valid);
    golden.compare("out.cas_base", both.base.scores);
    golden.compare("out.cas_supp", both.supp.scores);
    trained->own_loss(x, valid, y).backward();
    golden.compare_gradients("grad.", *trained);
  }
  {
    const auto net = golden_basnet<T>(golden, 1);
    const Tensor<T> total = net->own_loss(x, valid, y);
    golden.compare("loss_alpha1.total", total);
    total.backward();
    golden.compare_some_gradients("grad_alpha1.", *net);
  }
  {
    const auto net = golden_basnet<T>(golden, alpha, true);
    const auto mask = [&](const char* which) {  // (B, channel, T) → (B, T, channel)
      return golden.get<T>(concat("drop.keep.cas_module.drop_out.", which))
          .transpose(1, 2)
          .contiguous();
    };
    rivals::DropoutMasks<T> masks({mask("0"), mask("1"), mask("0"), mask("1")});
    const Tensor<T> w = net->filter(x);
    golden.compare("drop.out.cas_base", net->classify(x, valid).scores);
    golden.compare("drop.out.cas_supp", net->classify(mul(w, x), valid).scores);
    const Tensor<T> total = net->own_loss(x, valid, y);
    golden.compare("drop.loss.total", total);
    total.backward();
    golden.compare_some_gradients("drop.grad.", *net);
    CHECK(masks.left() == 0);
  }
  {
    const auto net = golden_basnet<T>(golden, alpha);
    const rivals::Recipe& recipe = *net->recipe();
    optim::Adam<T> adam(net->trainable_parameters(), {.learning_rate = recipe.learning_rate,
                                                      .weight_decay = recipe.weight_decay});
    std::vector<T> losses;
    for (std::int64_t i = 0; i < golden.get("traj.total").numel(); ++i) {
      const Tensor<T> total = net->own_loss(x, valid, y);
      losses.push_back(total.item());
      adam.zero_grad();
      total.backward();
      adam.step();
    }
    golden.compare("traj.total",
                   from_vector<T>(losses, {static_cast<std::int64_t>(losses.size())}));
  }
}

void check_basnet_parts(RivalsGolden& golden) {
  const Tensor<double> p = golden.get("bce.p");
  p.requires_grad_();
  const Tensor<double> loss = rivals::clamped_bce(p, golden.get("bce.y"));
  golden.compare("bce.loss", loss);
  loss.backward();
  golden.compare("bce.grad", p.grad());

  for (const std::string& key : golden.names("sample.uniform.")) {
    const std::string sizes = key.substr(std::string("sample.uniform.").size());
    const std::size_t bar = sizes.find('_');
    const std::int64_t wanted = std::stoll(sizes.substr(0, bar)),
                       n = std::stoll(sizes.substr(bar + 1));
    INFO("sample ", sizes);
    std::vector<std::int64_t> low, high;
    for (const rivals::IndexRange& range : rivals::stratified_ranges(n, wanted)) {
      low.push_back(range.low);
      high.push_back(range.high);
    }
    CHECK(golden.integers("sample.random_lo." + sizes) == low);
    CHECK(golden.integers("sample.random_hi." + sizes) == high);
    CHECK(golden.integers(key) == rivals::uniform_rows(n, wanted));
  }

  const BasNetOptions options;
  CHECK(check::distance(golden.get("infer.act_thresh"), from_vector<double>(options.thresholds)) <
        1e-15);
  for (int i = 0; golden.has(concat("infer.", i, ".det")); ++i) {
    const std::string video = concat("infer.", i, ".");
    golden.compare_detections(video + "det",
                              basnet_detections(golden.get(video + "cas_supp").to_vector(),
                                                golden.get(video + "score_supp").to_vector(),
                                                golden.integer(video + "v_len"), 0.64, options));
  }
}

void check_basnet(const std::string& path) {
  RivalsGolden golden(path);
  check_basnet_network<double>(golden);
  check_basnet_network<float>(golden);
  check_basnet_parts(golden);
  golden.finish();
}

}  // namespace

TEST_CASE("BaS-Net: a PyTorch form written from the description") {
  check_basnet(TANDEM_GOLDEN_DIR "/basnet.npz");
}

TEST_CASE("BaS-Net: the public code") {
  const std::string path = tandem_test::test_data("rivals/basnet.npz");
  if (!path.empty()) check_basnet(path);
}

TEST_CASE("BaS-Net: a padded video says and costs what it does alone, and every parameter learns") {
  Generator random(3);
  const BasNetBranch<double> net(
      {.input = 5, .classes = 3, .width = 6, .filter_width = 4, .dropout = 0, .topk_divisor = 2},
      random);
  const Tensor<double> a = check::normal({1, 8, 5}, 1), b = check::normal({1, 5, 5}, 2);
  Tensor<double> both = full<double>({2, 8, 5}, 7.0);  // what padding holds does not matter
  both.slice(0, 0, 1).copy_(a);
  both.slice(0, 1, 2).slice(1, 0, 5).copy_(b);
  const Tensor<bool> valid = rivals::mask_of({8, 5}, 8);
  const BranchOutput<double> out = net.forward(both, valid),
                             alone = net.forward(b, ones<bool>({1, 5}));
  const auto second = [](const Tensor<double>& x) {
    return x.detach().slice(0, 1, 2).slice(1, 0, 5).contiguous();
  };
  CHECK(check::distance(second(out.logits), alone.logits.detach()) < 1e-14);
  CHECK(check::distance(second(out.features), alone.features.detach()) < 1e-14);
  CHECK(check::distance(second(out.background), alone.background.detach()) < 1e-14);
  const Tensor<double> y = from_vector<double>(std::vector<double>{1, 0, 0, 0, 1, 1}, {2, 3});
  // The losses of the videos have their mean
  const double apart = net.own_loss(a, ones<bool>({1, 8}), y.slice(0, 0, 1)).item() +
                       net.own_loss(b, ones<bool>({1, 5}), y.slice(0, 1, 2)).item();
  const Tensor<double> loss = net.own_loss(both, valid, y);
  CHECK(std::fabs(loss.item() - apart / 2) < 1e-14);
  loss.backward();
  for (const auto& p : net.named_parameters()) {
    INFO(p.name);
    REQUIRE(p.tensor.grad().defined());
    CHECK(check::distance(p.tensor.grad(), zeros<double>(p.tensor.shape())) > 0);
    for (const double g : p.tensor.grad().to_vector()) CHECK(std::isfinite(g));
  }
}

TEST_CASE("BaS-Net in DCL: P is the softmax over C + 1 without its last, of either pass") {
  Generator random(4);
  BasNetOptions o{.input = 5, .classes = 3, .width = 6, .filter_width = 4, .dropout = 0};
  const BasNetBranch<double> net(o, random);
  o.base_frames = true;
  BasNetBranch<double> base(o, random);
  base.load_state_dict(net.state_dict());
  const Tensor<double> x = check::normal({2, 9, 5}, 1);
  const Tensor<bool> valid = ones<bool>({2, 9});
  const Tensor<double> w = net.filter(x);
  const auto expect = [&](const BranchOutput<double>& out, const Tensor<double>& scores) {
    const Tensor<double> p = softmax(scores, -1);
    CHECK(check::distance(sigmoid(out.logits).detach(), p.detach().slice(2, 0, 3).contiguous()) <
          1e-14);
    CHECK(check::distance(sigmoid(out.background).detach(),
                          p.detach().slice(2, 3, 4).contiguous()) < 1e-14);
    CHECK(check::same(out.attention.detach(), w.detach()));
  };
  expect(net.forward(x, valid), net.classify(mul(w, x), valid).scores);
  expect(base.forward(x, valid), net.classify(x, valid).scores);
  CHECK(net.forward(x, valid).label_free.item() ==
        doctest::Approx(1e-4 * sum(w).item() / 2).epsilon(1e-13));
  CHECK_THROWS_WITH_AS(net.forward(check::normal({2, 9, 4}, 1), valid),
                       doctest::Contains("[basnet] expected features (B, T, 5)"), Error);
}

TEST_CASE("BaS-Net: its own inference takes rows evenly and knows how long they last") {
  Generator random(5);
  BasNetOptions o{.input = 5, .classes = 3, .width = 6, .filter_width = 4, .class_threshold = 0.1};
  o.recipe.frames = 12;
  BasNetBranch<float> net(o, random);
  net.eval();
  const Tensor<float> x = check::cast<float>(check::normal({30, 5}, 6));
  const std::vector<Detection> found = net.own_detections(x, 0.5);
  REQUIRE(!found.empty());
  for (const Detection& d : found)
    CHECK((0 <= d.segment.start && d.segment.start < d.segment.end && d.segment.end <= 15.0001));
  const std::vector<Detection> twice = net.own_detections(x, 1);
  REQUIRE(twice.size() > 0);
  CHECK(twice[0].segment.start == 2 * found[0].segment.start);
  // One row: every one of the twelve is it
  CHECK_NOTHROW(net.own_detections(x.slice(0, 0, 1), 0.5));
  CHECK_THROWS_WITH_AS(basnet_detections({}, std::vector<double>{1}, 1, 1, o),
                       doctest::Contains("basnet"), Error);
}
