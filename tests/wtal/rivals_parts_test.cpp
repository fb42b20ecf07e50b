/// The common parts of the other methods: samplers, losses, proposals, suppression, the temporal
/// convolution, log odds. What golden files of the public code say of them is in basnet_test.cpp
/// and wtalc_branch_test.cpp.

#include <limits>
#include <map>
#include <set>

#include "../ops/check.hpp"
#include "tandem/ops/sigmoid.hpp"
#include "tandem/wtal/rivals/dropout.hpp"
#include "tandem/wtal/rivals/log_odds.hpp"
#include "tandem/wtal/rivals/losses.hpp"
#include "tandem/wtal/rivals/proposals.hpp"
#include "tandem/wtal/rivals/sampling.hpp"
#include "tandem/wtal/rivals/temporal_conv.hpp"

using namespace tandem;
using namespace tandem::wtal;
using namespace tandem::wtal::rivals;

namespace {
template <class T>
Tensor<T> values(const std::vector<double>& of, const Shape& shape) {
  return from_vector<T>(of, shape);
}
}  // namespace

TEST_CASE("rivals: stratified and uniform rows lie in their ranges and reach both ends") {
  for (const auto& [n, wanted] :
       {std::pair<std::int64_t, std::int64_t>{1, 4}, {7, 7}, {5, 12}, {23, 6}, {750, 1}}) {
    INFO(n, " rows, ", wanted, " wanted");
    const std::vector<IndexRange> ranges = stratified_ranges(n, wanted);
    REQUIRE(ranges.size() == static_cast<std::size_t>(wanted));
    std::vector<std::set<std::int64_t>> seen(ranges.size());
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      Generator random(seed);
      const std::vector<std::int64_t> rows = stratified_rows(n, wanted, random);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        CHECK((ranges[i].low <= rows[i] && rows[i] <= ranges[i].high && rows[i] < n));
        seen[i].insert(rows[i]);
      }
    }
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      if (ranges[i].high - ranges[i].low > 8) continue;
      CHECK((seen[i].contains(ranges[i].low) && seen[i].contains(ranges[i].high)));
    }
  }
  CHECK(uniform_rows(5, 12) == std::vector<std::int64_t>{0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4});
  CHECK(stratified_ranges(7, 7)[3] == IndexRange{3, 3});
  CHECK_THROWS_WITH_AS(uniform_rows(0, 3), doctest::Contains("at least one row"), Error);
}

TEST_CASE("rivals: RecipeSampler gives epochs, one epoch and pairs, by the step alone") {
  const std::vector<std::int64_t> lengths{30, 4, 12, 9, 50, 7, 20};
  const std::vector<std::vector<int>> labels{{0}, {1}, {0, 1}, {2}, {1}, {0}, {}};
  const auto videos = [](const std::vector<Crop>& crops) {
    std::multiset<std::size_t> out;
    for (const Crop& crop : crops) out.insert(crop.video);
    return out;
  };
  Recipe recipe{.videos = VideoOrder::epochs, .batch = 3, .frames = 10};
  const RecipeSampler epochs(recipe, lengths, labels, Generator(4));
  recipe.videos = VideoOrder::one_epoch;
  const RecipeSampler once(recipe, lengths, labels, Generator(4));
  for (const RecipeSampler* sampler : {&epochs, &once}) {
    std::multiset<std::size_t> all;
    for (std::int64_t step = 0; step < 3; ++step) {
      const std::vector<Crop> crops = sampler->crops(step);
      CHECK(crops.size() == (step < 2 ? 3U : 1U));  // 7 = 3 + 3 + 1
      for (const Crop& crop : crops) {
        all.insert(crop.video);
        CHECK((crop.rows == 10 && crop.index.size() == 10));
      }
    }
    CHECK(all == std::multiset<std::size_t>{0, 1, 2, 3, 4, 5, 6});
  }
  CHECK(epochs.crops(5).size() == 1);
  CHECK(once.crops(5).size() == 3);  // from the whole set, again and again
  CHECK(videos(once.crops(5)).size() == 3);
  CHECK(once.crops(7)[1].index == once.crops(7)[1].index);

  recipe = {
      .videos = VideoOrder::pairs, .rows = RowChoice::crop, .batch = 7, .pairs = 2, .frames = 10};
  std::map<std::size_t, int> twins;
  for (const VideoOrder order : {VideoOrder::pairs, VideoOrder::pairs_with_repeats}) {
    recipe.videos = order;
    const RecipeSampler sampler(recipe, lengths, labels, Generator(4));
    bool same_video = false;
    std::set<std::size_t> first;
    for (std::int64_t step = 0; step < 80; ++step) {
      const std::vector<Crop> crops = sampler.crops(step);
      REQUIRE(crops.size() == 7);
      for (std::size_t i = 0; i < 4; i += 2) {
        bool shared = false;
        for (const int a : labels[crops[i].video]) {
          for (const int b : labels[crops[i + 1].video]) shared = shared || a == b;
        }
        CHECK(shared);
        same_video = same_video || crops[i].video == crops[i + 1].video;
        first.insert(crops[i].video);
      }
      for (const Crop& crop : crops) {
        CHECK(crop.rows == std::min<std::int64_t>(10, lengths[crop.video]));
        CHECK((crop.begin >= 0 && (crop.rows < 10 || crop.begin < lengths[crop.video] - 10 ||
                                   lengths[crop.video] == 10)));
      }
    }
    CHECK(same_video == (order == VideoOrder::pairs_with_repeats));
    // Class 2 has one video: only a pair of it with itself is possible
    CHECK(first.contains(3) == (order == VideoOrder::pairs_with_repeats));
  }
  recipe.videos = VideoOrder::pairs;
  CHECK_THROWS_WITH_AS(RecipeSampler(recipe, {3, 4}, {{0}, {1}}, Generator(1)),
                       doctest::Contains("no class has 2"), Error);
  recipe.batch = 3;
  CHECK_THROWS_WITH_AS(RecipeSampler(recipe, lengths, labels, Generator(1)),
                       doctest::Contains("2 pairs do not fit into a batch of 3"), Error);
}

TEST_CASE("make_batch: rows by index, of both kinds of features") {
  class Source final : public VideoSource {
   public:
    Source() {
      truth_.add_class("a");
      truth_.videos.push_back({.id = "v", .labels = {0}});
      truth_.videos.push_back({.id = "w"});
    }
    const GroundTruth& truth() const override { return truth_; }
    Tensor<float> i3d(std::size_t) const override {
      return values<float>({0, 1, 2, 3, 4, 5}, {3, 2});
    }
    Tensor<float> clip(std::size_t) const override { return values<float>({7, 8, 9}, {3, 1}); }
    GroundTruth truth_;
  };
  const Source source;
  const Batch<double> batch = make_batch<double>(
      source,
      {{.video = 0, .rows = 4, .index = {0, 2, 2, 1}}, {.video = 1, .begin = 1, .rows = 2}});
  CHECK(batch.i3d.to_vector() ==
        std::vector<double>{0, 1, 4, 5, 4, 5, 2, 3, 2, 3, 4, 5, 0, 0, 0, 0});
  CHECK(batch.clip.to_vector() == std::vector<double>{7, 9, 9, 8, 8, 9, 0, 0});
  CHECK(batch.valid.select(0, 0).clone().to_vector() == std::vector<bool>{true, true, true, true});
  CHECK_THROWS_WITH_AS(make_batch<double>(source, {{.rows = 1, .index = {3}}}),
                       doctest::Contains("row 3 was asked for"), Error);
  CHECK_THROWS_WITH_AS(make_batch<double>(source, {{.rows = 2, .index = {0}}}),
                       doctest::Contains("lists 1"), Error);
}

TEST_CASE("rivals: TemporalConv is the sum over its taps, padding enters as zeros, gradients") {
  for (const std::int64_t kernel : {1, 3, 5}) {
    for (const ConvInit init : {ConvInit::standard, ConvInit::kaiming}) {
      Generator random(static_cast<std::uint64_t>(kernel));
      const TemporalConv<double> conv(3, 2, kernel, random, true, init);
      const double bound = std::sqrt((init == ConvInit::kaiming ? 6.0 : 1.0) / double(3 * kernel));
      for (const double w : conv.weight.detach().to_vector()) CHECK(std::fabs(w) <= bound);
      const bool has_bias = check::distance(conv.bias.detach(), zeros<double>({2})) > 0;
      CHECK(has_bias == (init == ConvInit::standard));
      const Tensor<double> x = check::normal({2, 4, 3}, 7);
      const std::vector<std::int64_t> lengths{4, 2};
      const Tensor<double> y = conv.forward(x, mask_of(lengths, 4)).detach();
      for (std::int64_t b = 0; b < 2; ++b) {
        for (std::int64_t t = 0; t < 4; ++t) {
          for (std::int64_t o = 0; o < 2; ++o) {
            double expected = conv.bias.at({o});
            for (std::int64_t j = 0; j < kernel; ++j) {
              const std::int64_t from = t + j - (kernel - 1) / 2;
              // A kernel of one reads nothing but the frame itself
              const std::int64_t end = kernel == 1 ? 4 : lengths[static_cast<std::size_t>(b)];
              if (from < 0 || from >= end) continue;
              for (std::int64_t i = 0; i < 3; ++i)
                expected += conv.weight.at({o, i, j}) * x.at({b, from, i});
            }
            CHECK(std::fabs(y.at({b, t, o}) - expected) < 1e-13);
          }
        }
      }
      check::gradients([&](const std::vector<Tensor<double>>& in) { return conv.forward(in[0]); },
                       {x});
      // The same from the products of its taps, also where a tap reaches over the whole video
      const auto by_taps = [&conv](const Tensor<double>& rows, const Tensor<bool>& valid) {
        return conv.gathered(conv.products(rows, valid));
      };
      CHECK(check::distance(by_taps(x, mask_of(lengths, 4)).detach(), y) < 1e-13);
      const Tensor<double> one = x.slice(1, 0, 1);
      CHECK(check::distance(by_taps(one, {}).detach(), conv.forward(one).detach()) < 1e-13);
      check::gradients([&](const std::vector<Tensor<double>>& in) { return by_taps(in[0], {}); },
                       {x});
    }
  }
  Generator random(1);
  CHECK_THROWS_WITH_AS(TemporalConv<float>(2, 2, 2, random), doctest::Contains("must be odd"),
                       Error);
  const TemporalConv<float> conv(2, 2, 3, random);
  CHECK_THROWS_WITH_AS(conv.forward(zeros<float>({1, 4, 3})), doctest::Contains("(B, T, 2)"),
                       Error);
  CHECK(conv.forward(zeros<float>({1, 1, 2})).shape() == Shape({1, 1, 2}));
  const Tensor<double> x = values<double>({-2, 0, 3}, {3});
  CHECK(check::distance(leaky_relu(x, 0.2), values<double>({-0.4, 0, 3}, {3})) < 1e-15);
}

TEST_CASE("rivals: lengths and masks") {
  const Tensor<bool> valid = mask_of({2, 0, 3}, 3);
  CHECK(lengths_of(valid) == std::vector<std::int64_t>{2, 0, 3});
  const Tensor<bool> hole = values<bool>({true, false, true}, {1, 3});
  CHECK_THROWS_WITH_AS(lengths_of(hole), doctest::Contains("frame 2 of video 0"), Error);
  const Tensor<double> x = full<double>({3, 3, 1}, 5.0);
  CHECK(without_padding(x, valid).to_vector() == std::vector<double>{5, 5, 0, 0, 0, 0, 5, 5, 5});
}

TEST_CASE("rivals: Dropout takes given masks in order, and draws without them") {
  const rivals::Dropout<double> drop(0.5);
  const Tensor<double> x = values<double>({1, 2, 3}, {3});
  {
    DropoutMasks<double> masks({values<double>({1, 0, 1}, {3}), ones<double>({2})});
    CHECK(drop.forward(x).to_vector() == std::vector<double>{2, 0, 6});
    CHECK(masks.left() == 1);
    CHECK_THROWS_WITH_AS(drop.forward(x), doctest::Contains("mask 1 has shape"), Error);
    CHECK_THROWS_WITH_AS(drop.forward(x), doctest::Contains("all 2 masks are used"), Error);
  }
  Generator random(3);
  const nn::RandomScope scope(random);
  bool zero = false, twice = false;
  for (const double y : drop.forward(ones<double>({64})).to_vector()) {
    CHECK((y == 0 || y == 2));
    (y == 0 ? zero : twice) = true;
  }
  CHECK((zero && twice));
}

TEST_CASE("rivals: top_mean counts the valid frames of each video") {
  const Tensor<double> s = check::normal({2, 5, 3}, 2);
  const auto all = [](std::int64_t n) { return n; };
  const Tensor<double> means = top_mean(s, {5, 2}, all);
  CHECK(check::distance(means.select(0, 0).clone(), mean(s.select(0, 0), 0)) < 1e-15);
  CHECK(check::distance(means.select(0, 1).clone(), mean(s.select(0, 1).slice(0, 0, 2), 0)) <
        1e-15);
  const auto one = [](std::int64_t) { return std::int64_t{1}; };
  CHECK(check::distance(top_mean(s, {5, 5}, one), top_mean(s, {5, 5}, one)) == 0);
  CHECK(top_mean(s, {1, 5}, one).at({0, 1}) == s.at({0, 0, 1}));
  for (const std::int64_t n : {5, 3}) {
    check::gradients(
        [&](const std::vector<Tensor<double>>& in) {
          return top_mean(in[0], {5, n}, [](std::int64_t k) { return k / 2; });
        },
        {s});
  }
  CHECK_THROWS_WITH_AS(top_mean(s, {5, 1}, [](std::int64_t n) { return n / 2; }),
                       doctest::Contains("of 1 frames 0 are asked for"), Error);
}

TEST_CASE("rivals: clamped_bce is finite with finite gradients, and the plain one inside") {
  const Tensor<double> p = values<double>({0.2, 0.7, 0.5, 0.9}, {2, 2}),
                       y = values<double>({0.5, 0, 1, 0.25}, {2, 2});
  check::gradients([&](const std::vector<Tensor<double>>& in) { return clamped_bce(in[0], y); },
                   {p});
  const Tensor<float> sure = values<float>({0, 1}, {2});
  sure.requires_grad_();
  const Tensor<float> loss = clamped_bce(sure, values<float>({1, 0}, {2}));
  CHECK(loss.item() == 100);
  loss.backward();
  CHECK(check::distance(sure.grad(), values<float>({-5e11F, 5e11F}, {2})) < 1e6);
  CHECK_THROWS_WITH_AS(clamped_bce(p, ones<double>({2, 1})), doctest::Contains("one shape"), Error);
}

TEST_CASE("rivals: pair_loss takes valid rows only, is 0 without a shared class, gradients") {
  const Tensor<double> x = check::normal({5, 6, 4}, 1), s = check::normal({5, 6, 3}, 2);
  const Tensor<double> y = values<double>({1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1}, {5, 3});
  const std::vector<std::int64_t> lengths{6, 3, 4, 5, 2};
  const Tensor<double> loss = pair_loss(x, s, y, lengths, 2);
  // Padding and the videos behind the pairs do not count
  Tensor<double> other = x.clone(), other_s = s.clone();
  other.select(0, 1).slice(0, 3, 6).fill_(9);
  other_s.select(0, 2).slice(0, 4, 6).fill_(9);
  other.select(0, 4).fill_(9);
  CHECK(pair_loss(other, other_s, y, lengths, 2).item() == loss.item());
  check::gradients(
      [&](const std::vector<Tensor<double>>& in) { return pair_loss(in[0], in[1], y, lengths, 2); },
      {x, s});
  const Tensor<double> alone = values<double>({1, 0, 0, 0, 1, 0}, {2, 3});
  const Tensor<double> nothing = pair_loss(x.slice(0, 0, 2), s.slice(0, 0, 2), alone, {6, 3}, 1);
  CHECK(nothing.item() == 0);
  // One frame: nothing is left for the low activations
  const Tensor<double> learns = x.clone();
  learns.requires_grad_();
  const Tensor<double> short_loss = pair_loss(learns, s, y, {1, 1, 4, 5, 2}, 2);
  short_loss.backward();
  CHECK(std::isfinite(short_loss.item()));
  for (const double g : learns.grad().to_vector()) CHECK(std::isfinite(g));
  CHECK_THROWS_WITH_AS(pair_loss(x, s, y, lengths, 3), doctest::Contains("do not fit"), Error);
}

TEST_CASE("rivals: min_max_zero, stretch, runs, contrast") {
  using V = std::vector<double>;
  CHECK(min_max_zero(V{1, 2, 5}) == V{0, 0.25, 1});
  CHECK(min_max_zero(V{-1, 2}) == V{-0.5, 1});
  CHECK(min_max_zero(V{3, 3}) == V{0, 0});
  CHECK(min_max_zero(V{-2, -1}) == V{-2, -1});
  CHECK(min_max_zero(V{}).empty());
  CHECK(stretch(V{0, 2, 3}, 2) == V{0, 1, 2, 2.5, 3, 3.5});
  CHECK(stretch(V{4}, 3) == V{4, 4, 4});
  CHECK(stretch(V{}, 3).empty());
  const V map{1, 0, 1, 1, 1, 1, 0, 1};
  const auto positive = [&](std::size_t i) { return map[i] > 0; };
  CHECK(runs_of(8, positive) == std::vector<IndexRun>{{0, 0}, {2, 5}, {7, 7}});
  CHECK(runs_of(3, [](std::size_t i) { return i == 0; }).empty());  // the quirk
  CHECK(runs_of(3, [](std::size_t i) { return i == 1; }).size() == 1);
  CHECK(runs_of(3, [](std::size_t i) { return i < 2; }).size() == 1);
  // 4 indices: a margin of one on both sides
  CHECK(contrast_score(map, {2, 5}, 1) == doctest::Approx(1 - 0 + 0.2).epsilon(1e-15));
  CHECK(contrast_score(map, {0, 7}, 0) == doctest::Approx(0.75).epsilon(1e-15));
  CHECK_THROWS_WITH_AS(contrast_score(map, {2, 8}, 0), doctest::Contains("not inside"), Error);
}

TEST_CASE("rivals: suppression with the + 1 of pixels, per class") {
  CHECK(iou_plus_one({0, 4}, {0, 4}) == 1);
  CHECK(iou_plus_one({0, 4}, {4.5, 9}) == doctest::Approx(0.5 / (5 + 5.5 - 0.5)).epsilon(1e-15));
  CHECK(iou_plus_one({0, 1}, {9, 10}) == 0);
  const std::vector<Detection> found{
      {{0, 9}, 0, 0.5}, {{0, 8}, 0, 0.9}, {{20, 30}, 0, 0.7}, {{0, 9}, 1, 0.1}};
  const std::vector<Detection> hard = hard_nms(found, 0.7);
  REQUIRE(hard.size() == 3);
  CHECK((hard[0].score == 0.9 && hard[1].score == 0.7 && hard[2].cls == 1));
  CHECK(hard_nms(found, 0.91).size() == 4);  // (9)/(10) is below
  CHECK(hard_nms(found, 0.9).size() == 3);   // and reaches 0.9
  const std::vector<Detection> soft = soft_nms(found, 0.3);
  REQUIRE(soft.size() == 4);
  CHECK(soft[2].score == doctest::Approx(0.5 * std::exp(-0.81 / 0.3)).epsilon(1e-15));
  CHECK_THROWS_WITH_AS(soft_nms(found, 0), doctest::Contains("sigma"), Error);
}

TEST_CASE("rivals: log_odds are the logits of a softmax, where it saturates too") {
  const Tensor<double> s = check::normal({4, 3, 5}, 9);
  CHECK(check::distance(sigmoid(log_odds(s)), softmax(s, -1)) < 1e-15);
  check::gradients([](const std::vector<Tensor<double>>& in) { return log_odds(in[0]); }, {s});
  const Tensor<double> sure = values<double>({0, -30, 60, 2, 3, 200}, {2, 3});
  const Tensor<double> odds = log_odds(sure);
  CHECK(odds.at({0, 2}) == doctest::Approx(60).epsilon(1e-14));
  CHECK(odds.at({1, 2}) == doctest::Approx(200 - std::log(std::exp(2.0) + std::exp(3.0))));
  CHECK(odds.at({0, 0}) == doctest::Approx(-60).epsilon(1e-14));
  // However far the others lie behind: the odds of one are its distance, and its gradient goes to
  // them by their softmax among themselves, theirs to it.
  const Tensor<float> large = values<float>({1e4F, -1e4F, -1e4F, 3}, {2, 2});
  large.requires_grad_();
  const Tensor<float> y = log_odds(large);
  CHECK(y.to_vector() == std::vector<float>{2e4F, -2e4F, -10003, 10003});
  y.backward(values<float>({2, 3, 5, 7}, {2, 2}));
  CHECK(large.grad().to_vector() == std::vector<float>{-1, 1, -2, 2});
  const Tensor<double> far = values<double>({900, 0, std::log(3.0)}, {1, 3});
  far.requires_grad_();
  const Tensor<double> z = log_odds(far);
  CHECK(z.at({0, 0}) == doctest::Approx(900 - std::log(4.0)).epsilon(1e-15));
  z.backward(values<double>({4, 0, 0}, {1, 3}));
  const std::vector<double> pulled = far.grad().to_vector();
  CHECK(pulled[0] == 4);
  CHECK(pulled[1] == doctest::Approx(-1).epsilon(1e-14));
  CHECK(pulled[2] == doctest::Approx(-3).epsilon(1e-14));
  // Only beside those that take no part at all are they infinite.
  const double none = -std::numeric_limits<double>::infinity();
  CHECK(log_odds(values<double>({1, none}, {1, 2})).to_vector() ==
        std::vector<double>{-none, none});
  CHECK_THROWS_WITH_AS(log_odds(ones<float>({3, 1})), doctest::Contains("two classes"), Error);
}
