#include "tandem/wtal/detect/nms.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

namespace {

using namespace tandem::wtal;

/// The definition, written without the library's helpers: n rounds, each scans everything.
std::vector<Detection> soft_by_definition(std::vector<Detection> all, double sigma) {
  std::vector<bool> used(all.size());
  std::vector<Detection> out;
  for (std::size_t round = 0; round < all.size(); ++round) {
    std::size_t best = all.size();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!used[i] && (best == all.size() || all[i].score > all[best].score)) best = i;
    }
    used[best] = true;
    out.push_back(all[best]);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (used[i] || all[i].cls != all[best].cls) continue;
      const double left = std::max(all[i].segment.start, all[best].segment.start);
      const double right = std::min(all[i].segment.end, all[best].segment.end);
      const double low = std::min(all[i].segment.start, all[best].segment.start);
      const double high = std::max(all[i].segment.end, all[best].segment.end);
      const double iou = right > left ? (right - left) / (high - low) : 0;
      if (all[i].score > 0) all[i].score *= std::exp(-iou * iou / sigma);
    }
  }
  return out;
}

std::vector<Detection> random_detections(std::mt19937& rng, int n, int classes) {
  std::uniform_real_distribution<double> time(0, 30), length(0.5, 12), score(0, 1);
  std::vector<Detection> out;
  for (int i = 0; i < n; ++i) {
    const double start = time(rng);
    out.push_back({{start, start + length(rng)},
                   static_cast<int>(rng() % static_cast<unsigned>(classes)),
                   score(rng)});
  }
  return out;
}

}  // namespace

TEST_CASE("nms: soft agrees with the definition") {
  std::mt19937 rng(3);
  for (int n : {0, 1, 2, 17, 60}) {
    for (double sigma : {0.1, 0.3, 0.5}) {
      const std::vector<Detection> input = random_detections(rng, n, 3);
      const std::vector<Detection> expected = soft_by_definition(input, sigma);
      const std::vector<Detection> got = nms(input, {.sigma = sigma});
      REQUIRE(got.size() == expected.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        CHECK(got[i].segment == expected[i].segment);
        CHECK(got[i].cls == expected[i].cls);
        // At most n products of exp, whose arguments differ by a few ε: relative error ≲ n·4ε/σ.
        CHECK(std::fabs(got[i].score - expected[i].score) <=
              expected[i].score * 60 * 4 * 2.3e-16 / sigma);
      }
    }
  }
}

TEST_CASE("nms: one decay by hand, and only within a class") {
  // IoU([0,10], [5,15]) = 5/15.
  const std::vector<Detection> input = {{{0, 10}, 0, 0.9}, {{5, 15}, 0, 0.8}, {{0, 10}, 1, 0.7}};
  const std::vector<Detection> kept = nms(input);
  REQUIRE(kept.size() == 3);
  CHECK(kept[0] == input[0]);
  CHECK(kept[1] == input[2]);
  CHECK(kept[2].score == doctest::Approx(0.8 * std::exp(-(1.0 / 9) / 0.3)));
  // Image code measures [0, 10] as 11 long: intersection 6, union 16.
  const std::vector<Detection> pixels = nms(input, {.length_offset = 1});
  CHECK(pixels[2].score == doctest::Approx(0.8 * std::exp(-std::pow(6.0 / 16, 2) / 0.3)));
}

TEST_CASE("nms: hard keeps a set without large overlaps, the best first") {
  std::mt19937 rng(5);
  const std::vector<Detection> input = random_detections(rng, 80, 2);
  const NmsOptions options{.kind = Suppression::hard, .max_iou = 0.3};
  const std::vector<Detection> kept = nms(input, options);
  CHECK(kept.size() > 2);
  CHECK(kept.size() < input.size());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (i > 0) CHECK(kept[i - 1].score >= kept[i].score);
    for (std::size_t j = 0; j < i; ++j) {
      if (kept[i].cls == kept[j].cls) CHECK(temporal_iou(kept[i].segment, kept[j].segment) <= 0.3);
    }
  }
  // Whatever is missing overlaps a better one that was kept.
  for (const Detection& d : input) {
    bool explained = false;
    for (const Detection& k : kept) {
      explained |= k.cls == d.cls && k.score >= d.score &&
                   (k == d || temporal_iou(k.segment, d.segment) > 0.3);
    }
    CHECK(explained);
  }
}

TEST_CASE("nms: limits, ties, negative scores") {
  const std::vector<Detection> equal = {{{0, 1}, 0, 0.5}, {{5, 6}, 0, 0.5}, {{9, 10}, 0, 0.5}};
  CHECK(nms(equal) == equal);
  CHECK(nms(equal, {.max_detections = 2}).size() == 2);
  CHECK(nms({{{0, 1}, 0, 0.5}, {{0, 1}, 0, 0.4}}, {.min_score = 0.1}).size() == 1);
  CHECK(nms({{{0, 1}, 0, 0.5}, {{0, 1}, 0, 0.4}}, {.kind = Suppression::none, .min_score = 0.1})
            .size() == 2);
  const auto negative = nms({{{0, 1}, 0, 0.5}, {{0, 1}, 0, -0.4}});
  CHECK(negative[1].score == -0.4);  // times exp(−1/σ) it would rise to −0.014
  CHECK(nms({}).empty());
}

TEST_CASE("nms: no kind raises a score, whatever its sign") {
  std::mt19937 rng(9);
  std::vector<Detection> input = random_detections(rng, 120, 2);
  for (Detection& d : input) d.score = 3 * d.score - 2;  // two thirds below zero
  input.push_back({{0, 30}, 0, -INFINITY});
  input.push_back({{0, 30}, 0, INFINITY});
  input.push_back({{0, 30}, 1, 0.0});
  const auto before = [&](const Detection& kept) {
    for (const Detection& d : input) {
      if (d.segment == kept.segment && d.cls == kept.cls) {
        if (d.score >= kept.score) return true;
      }
    }
    return false;
  };
  for (const Suppression kind : {Suppression::soft, Suppression::hard, Suppression::none}) {
    for (const double offset : {0.0, 1.0}) {
      for (const double sigma : {1e-300, 0.3, 1e300}) {
        const std::vector<Detection> kept =
            nms(input, {.kind = kind, .sigma = sigma, .length_offset = offset});
        REQUIRE(!kept.empty());
        bool ok = true;
        for (const Detection& d : kept) ok = ok && before(d);
        CHECK(ok);
        if (kind != Suppression::hard) CHECK(kept.size() == input.size());
      }
    }
  }
}

TEST_CASE("nms: bad input") {
  CHECK_THROWS_WITH_AS(nms({{{0, 1}, 0, NAN}}), "[nms] the score of detection 0 is NaN",
                       tandem::Error);
  CHECK_THROWS_AS(nms({}, {.sigma = 0}), tandem::Error);
}
