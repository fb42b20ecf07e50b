#pragma once
/// From the frame scores of the other methods to their detections, as their public codes do it. The
/// numbers of DCL's own inference (wtal/detect/) differ in details; here the details are theirs.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tandem/tensor/error.hpp"
#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {

/// min_max_zero — (x − m)/δ with M = max(0, max), m = max(0, min), δ = M − m, or 1 where that is 0:
/// what is below 0 stays below 0, and nothing is clipped.                                       [C]
inline std::vector<double> min_max_zero(std::span<const double> curve) {
  if (curve.empty()) return {};
  const auto [low, high] = std::minmax_element(curve.begin(), curve.end());
  const double least = std::max(0.0, *low), most = std::max(0.0, *high);
  const double range = most - least > 0 ? most - least : 1;
  std::vector<double> out;
  for (const double x : curve) out.push_back((x - least) / range);
  return out;
}

/// stretch — linear interpolation at positions j/factor, j = 0 … factor·T − 1; those beyond T − 1
/// go on with the slope of the last two samples. One sample: constant (reading).               [C]
inline std::vector<double> stretch(std::span<const double> curve, std::int64_t factor = 24) {
  TANDEM_CHECK(factor >= 1, "stretch", "the factor must be at least 1, it is ", factor);
  const std::size_t n = curve.size();
  const auto by = static_cast<std::size_t>(factor);
  std::vector<double> out;
  for (std::size_t j = 0; j < n * by; ++j) {
    if (n == 1) {
      out.push_back(curve[0]);
      continue;
    }
    const std::size_t low = std::min(j / by, n - 2);
    const double at = static_cast<double>(j) / static_cast<double>(factor),
                 share = at - static_cast<double>(low);
    out.push_back(curve[low] + (curve[low + 1] - curve[low]) * share);
  }
  return out;
}

/// Consecutive indices from first to last, both among them.
struct IndexRun {
  std::size_t first = 0, last = 0;
  /// How many.
  std::size_t size() const { return last - first + 1; }
  bool operator==(const IndexRun&) const = default;
};

/// runs_of — the runs of the indices i < n with selected(i). Quirk of the public code: if the
/// selected set is exactly {0}, there are none.                                                [C]
template <class Selected>
std::vector<IndexRun> runs_of(std::size_t n, Selected&& selected) {
  std::vector<IndexRun> runs;
  for (std::size_t i = 0; i < n; ++i) {
    if (!selected(i)) continue;
    if (!runs.empty() && runs.back().last + 1 == i) {
      runs.back().last = i;
    } else {
      runs.push_back({i, i});
    }
  }
  if (runs.size() == 1 && runs[0].last == 0) runs.clear();
  return runs;
}

/// contrast_score — inner − outer + 0.2·class_score: of a run of L indices, inner is the map's mean
/// in it, outer that over [max(0, trunc(first − L/4)), first) and (last, min(N − 1, trunc(last +
/// L/4))] together, 0 where both are empty.                                     [AutoLoc; C]
inline double contrast_score(std::span<const double> map, IndexRun run, double class_score) {
  TANDEM_CHECK(run.first <= run.last && run.last < map.size(), "contrast_score", "indices ",
               run.first, " to ", run.last, " are not inside a map of ", map.size());
  const double reach = 0.25 * static_cast<double>(run.size());
  const auto low =
      static_cast<std::size_t>(std::max(0.0, std::trunc(static_cast<double>(run.first) - reach)));
  const std::size_t high = std::min(
      map.size() - 1, static_cast<std::size_t>(std::trunc(static_cast<double>(run.last) + reach)));
  double inner = 0, outer = 0;
  for (std::size_t i = run.first; i <= run.last; ++i) inner += map[i];
  for (std::size_t i = low; i < run.first; ++i) outer += map[i];
  for (std::size_t i = run.last + 1; i <= high; ++i) outer += map[i];
  const std::size_t margin = run.first - low + (high - run.last);
  inner /= static_cast<double>(run.size());
  if (margin > 0) outer /= static_cast<double>(margin);
  return inner - outer + 0.2 * class_score;
}

/// iou_plus_one — the IoU of image code, max(0, min(e) − max(s) + 1) over (e₁ − s₁ + 1) +
/// (e₂ − s₂ + 1) − inter: the + 1 of pixels, used on rows and on seconds alike.                 [C]
inline double iou_plus_one(const Segment& a, const Segment& b) {
  const double inter = std::max(0.0, std::min(a.end, b.end) - std::max(a.start, b.start) + 1);
  return inter / ((a.end - a.start + 1) + (b.end - b.start + 1) - inter);
}

namespace detail {
/// Takes the highest, the first of equal ones, lets change(chosen, rest) act on the others, and so
/// on. Each class on its own, in the order in which the classes first come; within a class in the
/// order of choice.
template <class Change>
std::vector<Detection> choose_by_score(const std::vector<Detection>& given, Change&& change) {
  std::vector<int> classes;
  for (const Detection& d : given) {
    if (std::find(classes.begin(), classes.end(), d.cls) == classes.end()) classes.push_back(d.cls);
  }
  std::vector<Detection> out;
  for (const int cls : classes) {
    std::vector<Detection> rest;
    for (const Detection& d : given) {
      if (d.cls == cls) rest.push_back(d);
    }
    while (!rest.empty()) {
      const auto best = std::max_element(
          rest.begin(), rest.end(),
          [](const Detection& a, const Detection& b) { return a.score < b.score; });
      const Detection chosen = *best;
      rest.erase(best);
      out.push_back(chosen);
      change(chosen, rest);
    }
  }
  return out;
}
}  // namespace detail

/// hard_nms — per class by falling score; others with iou_plus_one ≥ threshold are dropped.     [C]
inline std::vector<Detection> hard_nms(const std::vector<Detection>& detections, double threshold) {
  return detail::choose_by_score(
      detections, [threshold](const Detection& chosen, std::vector<Detection>& rest) {
        std::erase_if(rest, [&](const Detection& other) {
          return iou_plus_one(chosen.segment, other.segment) >= threshold;
        });
      });
}

/// soft_nms — per class: take the highest, multiply the scores of all that remain by
/// exp(−iou_plus_one²/σ), and so on. Nothing is dropped.                                        [C]
inline std::vector<Detection> soft_nms(const std::vector<Detection>& detections, double sigma) {
  TANDEM_CHECK(sigma > 0, "soft_nms", "sigma must be positive, it is ", sigma);
  return detail::choose_by_score(detections,
                                 [sigma](const Detection& chosen, std::vector<Detection>& rest) {
                                   for (Detection& other : rest) {
                                     const double iou = iou_plus_one(chosen.segment, other.segment);
                                     other.score *= std::exp(-iou * iou / sigma);
                                   }
                                 });
}

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END
