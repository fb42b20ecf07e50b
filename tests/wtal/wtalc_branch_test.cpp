/// W-TALC against its public code (the golden file rivals/wtalc.npz of the test data) and, always,
/// against a PyTorch form that was written from its description (tests/golden/generate_wtalc.py);
/// and what neither can show: padding, DCL's reading of it.

#include "rivals_golden.hpp"
#include "tandem/optim/adam.hpp"
#include "tandem/wtal/detect/matching.hpp"
#include "tandem/wtal/detect/wtalc_evaluation.hpp"
#include "tandem/wtal/model/wtalc.hpp"
#include "test_data.hpp"

using namespace tandem;
using namespace tandem::wtal;
using tandem_test::RivalsGolden;

namespace {

template <class T>
Ref<WtalcBranch<T>> golden_wtalc(RivalsGolden& golden, bool dropout = false) {
  const auto state = golden.state<T>("state.");
  WtalcOptions o;
  for (const auto& named : state) {
    if (named.name == "classifier.weight") {
      o.classes = named.tensor.size(0);
      o.input = named.tensor.size(1);
    }
  }
  o.share = golden.number("in.Lambda");
  o.recipe.pairs = golden.integer("in.n_similar");
  if (!dropout) o.dropout = 0;
  Generator random(1);
  const auto branch = make_ref<WtalcBranch<T>>(o, random);
  branch->load_state_dict(state);
  return branch;
}

template <class T>
void check_wtalc_network(RivalsGolden& golden) {
  INFO(sizeof(T), " bytes a number");
  const Tensor<T> x = golden.get<T>("in.x"), y = golden.get<T>("in.label");
  const std::vector<std::int64_t> lengths = golden.integers("in.seq_len");
  CHECK(rows_with_content(x) == lengths);
  const Tensor<bool> valid = rivals::mask_of(lengths, x.size(1));
  {
    const auto net = golden_wtalc<T>(golden);
    const BranchOutput<T> out = net->forward(x, valid);
    golden.compare("out.feat", out.features);
    golden.compare("out.logits", out.logits);
    const auto loss = net->loss(out, y, lengths);
    golden.compare("loss.mill", loss.mil);
    golden.compare("loss.casl", loss.pair);
    const Tensor<T> total = net->own_loss(x, valid, y);
    golden.compare("loss.total", total);
    total.backward();
    golden.compare_gradients("grad.", *net);
  }
  {
    const auto net = golden_wtalc<T>(golden, true);
    const Tensor<T> mask = golden.get<T>("drop.keep.dropout.0");
    rivals::DropoutMasks<T> masks({mask, mask});
    const BranchOutput<T> out = net->forward(x, valid);
    golden.compare("drop.out.feat", out.features);
    golden.compare("drop.out.logits", out.logits);
    const Tensor<T> total = net->own_loss(x, valid, y);
    golden.compare("drop.loss.total", total);
    total.backward();
    golden.compare_some_gradients("drop.grad.", *net);
  }
  {
    const auto net = golden_wtalc<T>(golden);
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

void check_wtalc_detections(RivalsGolden& golden) {
  std::vector<VideoTruth> truth;
  std::vector<std::vector<Detection>> found;  // in rows
  for (int v = 0; golden.has(concat("infer.", v, ".logits")); ++v) {
    const Tensor<double> logits = golden.get(concat("infer.", v, ".logits"));
    found.push_back(wtalc_detections(logits.to_vector(), static_cast<std::size_t>(logits.size(1)),
                                     1, WtalcOptions()));
    truth.push_back({.id = concat("video ", v)});
  }
  const auto rows_of = [&](const std::string& key, auto&& use) {
    const Tensor<double> rows = golden.get(key);
    for (std::int64_t r = 0; r < rows.size(0); ++r) use(rows.select(0, r).clone().to_vector());
  };
  rows_of("infer.gt", [&](const std::vector<double>& row) {
    truth[static_cast<std::size_t>(row[0])].instances.push_back(
        {{row[2], row[3]}, static_cast<int>(row[1])});
  });
  rows_of("infer.ambiguous", [&](const std::vector<double>& row) {
    truth[static_cast<std::size_t>(row[0])].ambiguous.push_back({row[1], row[2]});
  });
  const auto table = [&](int cls) {
    std::vector<std::vector<double>> rows;
    for (std::size_t v = 0; v < found.size(); ++v) {
      for (const Detection& d : found[v]) {
        if (d.cls == cls)
          rows.push_back({static_cast<double>(v), d.segment.start, d.segment.end, d.score});
      }
    }
    return rows;
  };
  for (int c = 0; golden.has(concat("infer.class", c, ".before_filter")); ++c)
    golden.compare_rows(concat("infer.class", c, ".before_filter"), table(c));
  for (std::size_t v = 0; v < found.size(); ++v) {
    std::erase_if(found[v], [&](const Detection& d) {
      for (const Segment& stretch : truth[v].ambiguous) {
        if (wtal::detail::touches_ambiguous(d.segment, stretch, 0.64)) return true;
      }
      return false;
    });
  }
  int classes = 0;
  for (; golden.has(concat("infer.class", classes, ".after_filter")); ++classes)
    golden.compare_rows(concat("infer.class", classes, ".after_filter"), table(classes));
  std::vector<double> map;
  for (int t = 1; t <= 9; ++t)
    map.push_back(100 * wtalc_map(truth, found, static_cast<std::size_t>(classes), 0.1 * t));
  golden.compare("infer.map_01_09", from_vector<double>(map));
}

void check_wtalc(const std::string& path) {
  RivalsGolden golden(path);
  check_wtalc_network<double>(golden);
  check_wtalc_network<float>(golden);
  check_wtalc_detections(golden);
  golden.finish();
}

}  // namespace

TEST_CASE("W-TALC: a PyTorch form written from the description") {
  check_wtalc(TANDEM_GOLDEN_DIR "/wtalc.npz");
}

TEST_CASE("W-TALC: the public code") {
  const std::string path = tandem_test::test_data("rivals/wtalc.npz");
  if (!path.empty()) check_wtalc(path);
}

TEST_CASE("W-TALC: padding costs nothing, every parameter but fc1 learns, Xavier starts") {
  Generator random(3);
  WtalcOptions o{.input = 5, .classes = 3, .dropout = 0};
  o.recipe.pairs = 1;
  const WtalcBranch<double> net(o, random);
  const double bound = std::sqrt(6.0 / 10);
  for (const double w : net.fc.weight.tensor().detach().to_vector()) CHECK(std::fabs(w) <= bound);
  CHECK(check::distance(net.fc.bias.detach(), zeros<double>({5})) == 0);
  const Tensor<double> x = check::normal({3, 9, 5}, 1);
  x.slice(0, 1, 2).slice(1, 4, 9).fill_(0);
  x.slice(0, 2, 3).slice(1, 8, 9).fill_(0);
  const Tensor<double> y =
      from_vector<double>(std::vector<double>{1, 0, 1, 1, 0, 0, 0, 1, 0}, {3, 3});
  const std::vector<std::int64_t> lengths{9, 4, 8};
  const Tensor<double> loss = net.own_loss(x, rivals::mask_of(lengths, 9), y);
  const Tensor<double> wider = zeros<double>({3, 12, 5});
  wider.slice(1, 0, 9).copy_(x);
  CHECK(net.own_loss(wider, rivals::mask_of(lengths, 12), y).item() ==
        doctest::Approx(loss.item()).epsilon(1e-14));
  loss.backward();
  for (const auto& p : net.named_parameters()) {
    INFO(p.name);
    if (p.name.starts_with("fc1.")) {
      CHECK_FALSE(p.tensor.grad().defined());
      continue;
    }
    REQUIRE(p.tensor.grad().defined());
    CHECK(check::distance(p.tensor.grad(), zeros<double>(p.tensor.shape())) > 0);
  }
  CHECK(rows_with_content(zeros<double>({1, 3, 2})) == std::vector<std::int64_t>{1});
  // No pair shares a class: only L_mil teaches
  const Tensor<double> apart =
      from_vector<double>(std::vector<double>{1, 0, 0, 0, 1, 0, 0, 1, 0}, {3, 3});
  const auto parts = net.loss(net.forward(x, rivals::mask_of(lengths, 9)), apart, lengths);
  CHECK(parts.pair.item() == 0);
  CHECK(parts.total.item() == doctest::Approx(0.5 * parts.mil.item()).epsilon(1e-15));
}

TEST_CASE("W-TALC: its inference, by hand, and in seconds") {
  // Class 0: middle of 0 and 8 is 4, runs of 5 6 and 8 7; a single row is none; class 1 is below 0.
  const std::vector<double> scores{0, -1, 5, -1, 6, -2, 1, -1, 8, -1, 7, -1, 0, -1, 9, -1, 0, -1};
  const std::vector<Detection> found = wtalc_detections(scores, 2, 0.5, WtalcOptions());
  REQUIRE(found.size() == 2);
  CHECK(found[0].segment == Segment{0.5, 1.5});
  CHECK(found[0].score == doctest::Approx(6 + 0.7 * 9).epsilon(1e-15));
  CHECK(found[1].segment == Segment{2, 3});
  CHECK_THROWS_WITH_AS(wtalc_detections({}, 2, 1, WtalcOptions()), doctest::Contains("[wtalc]"),
                       Error);
  Generator random(5);
  WtalcBranch<float> net({.input = 4, .classes = 3}, random);
  net.eval();
  const Tensor<float> x = check::cast<float>(check::normal({40, 4}, 6));
  const Tensor<float> logits = net.forward(x.unsqueeze(0), ones<bool>({1, 40})).logits.detach();
  const auto doubles = check::cast<double>(logits.clone()).to_vector();
  CHECK(net.own_detections(x, 2) == wtalc_detections(doubles, 3, 2, net.options()));
}

TEST_CASE("W-TALC's evaluator: the first free instance in the list, no interpolation") {
  std::vector<VideoTruth> truth{{.id = "a"}};
  truth[0].instances = {{{0, 6.4}, 0}, {{0.64, 6.4}, 0}, {{0, 3.2}, 1}};  // rows 0-10, 1-10, 0-5
  // Row for row the second instance; the first is the first in the list
  std::vector<std::vector<Detection>> found{
      {{{1, 10}, 0, 0.9}, {{20, 30}, 0, 0.8}, {{1, 10}, 0, 0.7}, {{0, 5}, 1, 0.1}}};
  CHECK(wtalc_map(truth, found, 2, 0.5) ==
        doctest::Approx(0.5 * ((1 + 2.0 / 3) / 2 + 1)).epsilon(1e-15));
  CHECK(wtalc_map(truth, found, 2, 0.95) == doctest::Approx(0.5 * (0.5 + 1)).epsilon(1e-15));
  found[0].pop_back();
  CHECK(wtalc_map(truth, found, 2, 0.5) == 0);  // a class without detections: all is 0
}
