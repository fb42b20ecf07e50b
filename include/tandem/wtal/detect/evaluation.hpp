#pragma once
/// Mean average precision of temporal localization, by the three protocols in use.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/wtal/detect/matching.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Mean of the mAP over a range of thresholds, such as "0.3:0.7".
struct AverageMap {
  std::string range;
  double value = 0;
};

/// The result of evaluate(). AP and mAP are fractions (0.408 is 40.8 %).
struct Evaluation {
  Protocol protocol = Protocol::activitynet;
  std::vector<double> thresholds;
  std::vector<std::string> classes;     ///< those present in the ground truth, in its order
  std::vector<std::size_t> instances;   ///< ground-truth instances of each of `classes`
  std::vector<std::size_t> detections;  ///< evaluated detections of each of `classes`
  std::vector<std::vector<double>> ap;  ///< [threshold][class]
  std::vector<double> map;              ///< [threshold]: mean of ap over classes
  std::vector<AverageMap> averages;     ///< what papers report

  std::vector<double> map_ties_first;  ///< [threshold]: `map` with equals the other way round

  std::size_t tied_scores = 0;    ///< detections that share their score with another of their class
  std::size_t tied_overlaps = 0;  ///< detections that overlap several instances equally, and most
  std::size_t empty_instances = 0;     ///< instances of no length: nothing matches them; they count
  std::size_t empty_detections = 0;    ///< detections of no length: false positives
  std::size_t reversed_instances = 0;  ///< of empty_instances, those that end before they start
  std::size_t reversed_detections = 0;  ///< the same of empty_detections
  std::size_t ambiguous_removed = 0;  ///< index units: detections that touched an ambiguous stretch
  std::size_t unknown_class = 0;      ///< detections whose class has no instance: left out
  std::vector<std::string> unknown_classes;    ///< the names of those classes
  std::vector<std::string> unknown_videos;     ///< with detections, not in the ground truth
  std::vector<std::string> undetected_videos;  ///< with instances, without any detection entry
  std::vector<std::string>
      instanceless_videos;  ///< with detections, in the ground truth, no instance

  /// True when another order of equals would give another mAP.
  bool ties_decide() const { return map_ties_first != map; }

  /// The average over a range by its name; error when it was not computed.
  double average(std::string_view range) const {
    for (const AverageMap& entry : averages) {
      if (entry.range == range) return entry.value;
    }
    fail("evaluate", "no average over '", range, "' was computed");
  }
};

/// interpolated_average_precision — all-point interpolation (VOC 2011) of a ranked list:
///   P_i = TP_i/(TP_i + FP_i), R_i = TP_i/n;  AP = Σ_i (R_i − R_{i−1}) · max_{j≥i} P_j.
/// `hits[i]` tells whether the i-th ranked detection is a true positive; `positives` = n > 0.
///   interpolated_average_precision({1, 0, 1}, 2) == 0.5·1 + 0.5·(2/3)
inline double interpolated_average_precision(const std::vector<std::uint8_t>& hits,
                                             std::size_t positives) {
  TANDEM_CHECK(positives > 0, "average_precision", "needs at least one positive");
  std::size_t true_positives = 0;
  for (std::uint8_t hit : hits) true_positives += hit;
  // Walk from the last rank: the running maximum of the precision is the interpolated one.
  double best = 0;
  double ap = 0;
  std::size_t tp = true_positives;
  for (std::size_t i = hits.size(); i-- > 0;) {
    best = std::max(best, static_cast<double>(tp) / static_cast<double>(i + 1));
    if (hits[i]) {
      ap += best;  // recall rises by 1/n here and nowhere else
      --tp;
    }
  }
  return ap / static_cast<double>(positives);
}

namespace detail {

/// The averages that papers report, and "mean" where the thresholds are the caller's own.
inline std::vector<AverageMap> reported_averages(const Evaluation& e, bool own_thresholds) {
  auto mean_between = [&](double low, double high) {
    double sum = 0;
    int n = 0;
    for (std::size_t t = 0; t < e.thresholds.size(); ++t) {
      if (e.thresholds[t] < low - 1e-9 || e.thresholds[t] > high + 1e-9) continue;
      sum += e.map[t];
      ++n;
    }
    return sum / n;
  };
  if (own_thresholds) return {{"mean", mean_between(0, 1)}};
  if (e.protocol == Protocol::activitynet) return {{"0.5:0.95", mean_between(0.5, 0.95)}};
  return {{"0.1:0.5", mean_between(0.1, 0.5)},
          {"0.3:0.7", mean_between(0.3, 0.7)},
          {"0.1:0.7", mean_between(0.1, 0.7)}};
}

}  // namespace detail

/// evaluate — mAP of detections against a ground truth.
///
/// Matching is that of the official ActivityNet evaluator, in all three protocols: per class,
/// detections by falling score; for each, the ground truths of its video by falling IoU, skipping
/// those already taken; true positive if IoU ≥ t, else false positive; detections in videos without
/// that class are false positives; AP by all-point interpolation (VOC 2011); mean over the classes
/// present in the ground truth; a class without detections has AP 0. Of equal scores, and of equal
/// overlaps, the last in the file comes first: the official code sorts upwards and reads backwards.
/// The result counts such ties and holds the mAP of the other order, so that it is seen when they
/// decide.
///
/// An instance or a detection without length (start ≥ end) matches nothing: it is a missed
/// positive, or a false positive. The result counts both. (The official code divides 0 by 0 for two
/// equal points and takes that for a match.)
///
/// Index units (Protocol::thumos_index):
///   - ground truth: start and end → round-half-to-even(seconds·25/16). 17 instances of the
///     THUMOS14 test set become empty; nothing can match them and they count as positives, as in
///     W-TALC.
///   - detections: seconds·25/16, set to a whole row when within 1e-6 of one, otherwise not rounded
///     (W-TALC's detections are made on rows; how to treat others is a reading).
///   - a detection that shares a row with an ambiguous stretch of its video is removed before the
///     ranking: stretch [round(a·25/16), round(b·25/16)), detection [trunc(s), trunc(e)).
///   - on whole rows IoU of intervals equals W-TALC's IoU of sets of rows. W-TALC's first script
///     took the first instance with IoU ≥ t and the non-interpolated AP; its successors (CO2-Net,
///     …), whose numbers papers report, use the matching above.
///
/// Detections are matched to classes and videos by name. Those of a class without any instance are
/// left out and named in the result; those of an unknown video count as false positives and are
/// named too. Errors: no instance in the subset, a repeated video id in the ground truth, a score
/// or time that is NaN, a class index out of range, a threshold outside (0, 1].
///   const Evaluation e = evaluate(truth, detections, {.protocol = Protocol::thumos_seconds});
///   e.average("0.3:0.7");
inline Evaluation evaluate(const GroundTruth& truth, const DetectionSet& detected,
                           const EvaluationOptions& options = {}) {
  Evaluation result;
  result.protocol = options.protocol;
  result.thresholds =
      options.thresholds.empty() ? default_thresholds(options.protocol) : options.thresholds;
  for (double t : result.thresholds) {
    TANDEM_CHECK(t > 0 && t <= 1, "evaluate", "tIoU thresholds lie in (0, 1], got ", t);
  }
  detail::Placement placed = detail::place_detections(truth, detected, options);
  const auto& truth_of = placed.truth;
  const auto& detections_of = placed.detections;
  result.empty_instances = placed.empty_instances;
  result.empty_detections = placed.empty_detections;
  result.reversed_instances = placed.reversed_instances;
  result.reversed_detections = placed.reversed_detections;
  result.ambiguous_removed = placed.ambiguous_removed;
  result.unknown_class = placed.unknown_class;
  result.unknown_classes = std::move(placed.unknown_classes);
  result.unknown_videos = std::move(placed.unknown_videos);
  result.undetected_videos = std::move(placed.undetected_videos);
  result.instanceless_videos = std::move(placed.instanceless_videos);

  result.ap.resize(result.thresholds.size());
  result.map.assign(result.thresholds.size(), 0);
  result.map_ties_first = result.map;
  for (std::size_t c = 0; c < truth.classes.size(); ++c) {
    if (truth_of[c].empty()) continue;
    result.classes.push_back(truth.classes[c]);
    result.instances.push_back(truth_of[c].size());
    result.detections.push_back(detections_of[c].size());
    const auto match = [&](detail::TieOrder ties) {
      return detail::match_class(truth_of[c], detections_of[c], result.thresholds, ties);
    };
    const detail::ClassMatches ranked = match(detail::TieOrder::last_first);
    result.tied_scores += ranked.tied_scores;
    result.tied_overlaps += ranked.tied_overlaps;
    const bool tied = ranked.tied_scores + ranked.tied_overlaps > 0;
    const detail::ClassMatches other = tied ? match(detail::TieOrder::first_first) : ranked;
    for (std::size_t t = 0; t < ranked.hits.size(); ++t) {
      const double ap = interpolated_average_precision(ranked.hits[t], truth_of[c].size());
      result.ap[t].push_back(ap);
      result.map[t] += ap;
      result.map_ties_first[t] += interpolated_average_precision(other.hits[t], truth_of[c].size());
    }
  }
  for (double& map : result.map) map /= static_cast<double>(result.classes.size());
  for (double& map : result.map_ties_first) map /= static_cast<double>(result.classes.size());
  result.averages = detail::reported_averages(result, !options.thresholds.empty());
  return result;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
