#pragma once
/// Mean average precision of temporal localization, by the three protocols in use.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tandem/tensor/config.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Which rules turn seconds into matches. Numbers of different protocols must not be compared:
/// the two THUMOS14 ones differ by up to 1.2 mAP on the same detections.
enum class Protocol {
  /// Seconds as they are; tIoU 0.5:0.05:0.95. The official ActivityNet evaluator.
  activitynet,
  /// The W-TALC family (W-TALC, CO2-Net …): boundaries in rows of 16 frames at 25 per second,
  /// ground truth rounded half to even, detections that touch an ambiguous stretch removed; tIoU
  /// 0.1:0.1:0.9.
  thumos_index,
  /// The BaS-Net family: seconds as they are, ambiguous stretches ignored; tIoU 0.1:0.1:0.9.
  thumos_seconds,
};

/// The name that the command line uses.
inline std::string_view protocol_name(Protocol protocol) {
  switch (protocol) {
    case Protocol::activitynet:
      return "activitynet";
    case Protocol::thumos_index:
      return "thumos-index";
    case Protocol::thumos_seconds:
      return "thumos-seconds";
  }
  return "unknown";
}

/// The protocol of a name; error when there is none.
inline Protocol protocol_from_name(std::string_view name) {
  for (Protocol p : {Protocol::activitynet, Protocol::thumos_index, Protocol::thumos_seconds}) {
    if (protocol_name(p) == name) return p;
  }
  fail("evaluate", "no protocol is called '", name,
       "': expected activitynet, thumos-index or thumos-seconds");
}

/// The tIoU thresholds of a protocol.
///
/// They are the doubles nearest to the decimals. NumPy's linspace(0.1, 0.9, 9) holds
/// 0.30000000000000004 for 0.3, by which an overlap of exactly 3/10 (common in index units) would
/// miss; "IoU ≥ t" is kept as written instead (reading).
inline std::vector<double> default_thresholds(Protocol protocol) {
  if (protocol == Protocol::activitynet) {
    return {0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95};
  }
  return {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
}

struct EvaluationOptions {
  Protocol protocol = Protocol::activitynet;
  /// tIoU thresholds in (0, 1]; empty: those of the protocol.
  std::vector<double> thresholds = {};
  /// Only videos of this subset are ground truth; empty: all of them.
  std::string subset = {};
  /// Detections in videos without any ground-truth instance in the subset are false positives, as
  /// in the official evaluator; true drops them, as W-TALC's own script does (reading: false).
  bool ignore_videos_without_instances = false;
  /// Index units: seconds of a row. Published numbers are of rows of the conventional length;
  /// others must not be compared with them.
  double seconds_per_row = conventional_seconds_per_row;
};

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
  std::size_t empty_instances = 0;    ///< instances of no length: nothing matches them; they count
  std::size_t empty_detections = 0;   ///< detections of no length: false positives
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

namespace detail {

/// Seconds → rows. Those of the convention, 16 frames at 25 per second, are counted as the field's
/// code does:
/// seconds/0.64 would round otherwise.
inline double to_index(double seconds, double seconds_per_row) {
  return seconds_per_row == conventional_seconds_per_row ? seconds * 25 / 16
                                                         : seconds / seconds_per_row;
}

/// Round half to even without depending on the rounding mode (Python's round).
inline double round_half_even(double x) {
  const double below = std::floor(x);
  const double rest = x - below;
  if (rest < 0.5) return below;
  if (rest > 0.5) return below + 1;
  return std::fmod(below, 2.0) == 0 ? below : below + 1;
}

/// A detection made on rows carries 0.64·t; back in rows that is t up to rounding. Values that
/// close to a whole row are that row (t·ε·few ≪ 1e-6 for any video), so "touches" and "IoU ≥ t" are
/// exact.
inline double snap_to_row(double x) {
  const double nearest = std::nearbyint(x);
  return std::fabs(x - nearest) < 1e-6 ? nearest : x;
}

/// One detection or instance of the class at hand.
struct Placed {
  std::size_t video = 0;
  Segment segment;
  double score = 0;
};

}  // namespace detail

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

/// Which of two equals comes first: among detections of one score, and among instances that one
/// detection overlaps equally.
enum class TieOrder { last_first, first_first };

/// AP of one class, and how often order in the input was all there was to go by.
struct ClassResult {
  std::vector<double> ap;         ///< [threshold]
  std::size_t tied_scores = 0;    ///< detections whose score another one has too
  std::size_t tied_overlaps = 0;  ///< detections whose highest IoU ≥ t several instances have
};

/// AP of one class at every threshold. `detections` in input order; `truth` in input order.
inline ClassResult class_average_precision(const std::vector<Placed>& truth,
                                           const std::vector<Placed>& detections,
                                           const std::vector<double>& thresholds, TieOrder ties) {
  std::unordered_map<std::size_t, std::vector<std::size_t>> truth_of_video;
  for (std::size_t g = 0; g < truth.size(); ++g) truth_of_video[truth[g].video].push_back(g);

  // Stable sorts keep equals as they stand before: in input order, or turned round.
  std::vector<std::size_t> order(detections.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (ties == TieOrder::last_first) {
    std::reverse(order.begin(), order.end());
    for (auto& [video, instances] : truth_of_video)
      std::reverse(instances.begin(), instances.end());
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return detections[a].score > detections[b].score;
  });

  ClassResult result;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double score = detections[order[i]].score;
    const bool before = i > 0 && detections[order[i - 1]].score == score;
    const bool after = i + 1 < order.size() && detections[order[i + 1]].score == score;
    if (before || after) ++result.tied_scores;
  }

  const double lowest = *std::min_element(thresholds.begin(), thresholds.end());
  std::vector<std::vector<std::uint8_t>> taken(thresholds.size(),
                                               std::vector<std::uint8_t>(truth.size()));
  std::vector<std::vector<std::uint8_t>> hits(thresholds.size(),
                                              std::vector<std::uint8_t>(detections.size()));
  std::vector<std::pair<double, std::size_t>> candidates;  // (IoU, instance)
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const Placed& detection = detections[order[rank]];
    const auto found = truth_of_video.find(detection.video);
    if (found == truth_of_video.end()) continue;
    candidates.clear();
    for (std::size_t g : found->second) {
      const double iou = temporal_iou(detection.segment, truth[g].segment);
      if (iou >= lowest) candidates.emplace_back(iou, g);
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    if (candidates.size() > 1 && candidates[0].first == candidates[1].first) ++result.tied_overlaps;
    for (std::size_t t = 0; t < thresholds.size(); ++t) {
      for (const auto& [iou, g] : candidates) {
        if (iou < thresholds[t]) break;
        if (taken[t][g]) continue;
        taken[t][g] = 1;
        hits[t][rank] = 1;
        break;
      }
    }
  }

  for (const auto& ranked : hits) {
    result.ap.push_back(interpolated_average_precision(ranked, truth.size()));
  }
  return result;
}

/// True when a detection (in rows) shares a row with the ambiguous stretch (in seconds). Both are
/// cut to whole rows as W-TALC does: the stretch rounded half to even, the detection truncated.
inline bool touches_ambiguous(const Segment& rows, const Segment& ambiguous_seconds,
                              double seconds_per_row) {
  const double start = round_half_even(to_index(ambiguous_seconds.start, seconds_per_row));
  const double end = round_half_even(to_index(ambiguous_seconds.end, seconds_per_row));
  return std::min(std::trunc(rows.end), end) > std::max(std::trunc(rows.start), start);
}

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
  TANDEM_CHECK(options.seconds_per_row > 0 && is_finite(options.seconds_per_row), "evaluate",
               "a row lasts longer than 0 seconds, got ", options.seconds_per_row);
  const bool index_units = options.protocol == Protocol::thumos_index;

  // Ground truth of the subset, by class.
  std::vector<std::vector<detail::Placed>> truth_of(truth.classes.size());
  std::unordered_map<std::string_view, std::size_t> video_of;  // the videos of the subset
  for (std::size_t v = 0; v < truth.videos.size(); ++v) {
    const VideoTruth& video = truth.videos[v];
    if (!options.subset.empty() && video.subset != options.subset) continue;
    TANDEM_CHECK(video_of.emplace(video.id, v).second, "evaluate", "the ground truth names video '",
                 video.id, "' twice");
    for (std::size_t i = 0; i < video.instances.size(); ++i) {
      const Instance& instance = video.instances[i];
      TANDEM_CHECK(instance.cls >= 0 && static_cast<std::size_t>(instance.cls) < truth_of.size(),
                   "evaluate", "instance ", i, " of video '", video.id, "' has class ",
                   instance.cls, ", but there are ", truth_of.size(), " classes");
      Segment segment = instance.segment;
      TANDEM_CHECK(is_finite(segment.start) && is_finite(segment.end), "evaluate", "instance ", i,
                   " of video '", video.id, "' has a time that is not finite");
      if (index_units) {
        segment.start =
            detail::round_half_even(detail::to_index(segment.start, options.seconds_per_row));
        segment.end =
            detail::round_half_even(detail::to_index(segment.end, options.seconds_per_row));
      }
      if (!(segment.end > segment.start)) ++result.empty_instances;
      truth_of[static_cast<std::size_t>(instance.cls)].push_back({v, segment, 0});
    }
  }
  std::size_t total = 0;
  for (const auto& of_class : truth_of) total += of_class.size();
  if (total == 0) {
    std::string known;
    for (const std::string& name : truth.subsets()) known += (known.empty() ? "" : ", ") + name;
    fail("evaluate", "the ground truth has no instance",
         options.subset.empty() ? ""
                                : " in subset '" + options.subset + "'; its subsets are: " + known);
  }

  // Detections, by the ground truth's class.
  std::vector<int> class_map;
  for (const std::string& name : detected.classes) class_map.push_back(truth.class_index(name));
  std::vector<std::vector<detail::Placed>> detections_of(truth.classes.size());
  std::vector<std::uint8_t> unknown_seen(detected.classes.size());
  std::unordered_map<std::string_view, std::size_t> detected_ids;
  for (std::size_t d = 0; d < detected.videos.size(); ++d) {
    const VideoDetections& video = detected.videos[d];
    // Unknown videos get positions behind the known ones: no instance is there.
    const bool first = detected_ids.emplace(video.id, truth.videos.size() + d).second;
    const auto known = video_of.find(video.id);
    const bool has_instances =
        known != video_of.end() && !truth.videos[known->second].instances.empty();
    if (first && !video.detections.empty() && !has_instances) {
      (known == video_of.end() ? result.unknown_videos : result.instanceless_videos)
          .push_back(video.id);
    }
    if (!has_instances && options.ignore_videos_without_instances) continue;
    const std::size_t position =
        known != video_of.end() ? known->second : detected_ids.find(video.id)->second;
    for (std::size_t i = 0; i < video.detections.size(); ++i) {
      const Detection& detection = video.detections[i];
      TANDEM_CHECK(detection.cls >= 0 && static_cast<std::size_t>(detection.cls) < class_map.size(),
                   "evaluate", "detection ", i, " of video '", video.id, "' has class ",
                   detection.cls, ", but there are ", class_map.size(), " classes");
      TANDEM_CHECK(!is_nan(detection.score), "evaluate", "detection ", i, " of video '", video.id,
                   "' has the score NaN, which has no rank");
      TANDEM_CHECK(is_finite(detection.segment.start) && is_finite(detection.segment.end),
                   "evaluate", "detection ", i, " of video '", video.id,
                   "' has a time that is not finite");
      const auto own_class = static_cast<std::size_t>(detection.cls);
      const int cls = class_map[own_class];
      if (cls < 0 || truth_of[static_cast<std::size_t>(cls)].empty()) {
        ++result.unknown_class;
        unknown_seen[own_class] = 1;
        continue;
      }
      Segment segment = detection.segment;
      if (index_units) {
        segment.start =
            detail::snap_to_row(detail::to_index(segment.start, options.seconds_per_row));
        segment.end = detail::snap_to_row(detail::to_index(segment.end, options.seconds_per_row));
        if (known != video_of.end()) {
          const auto& ambiguous = truth.videos[known->second].ambiguous;
          if (std::any_of(ambiguous.begin(), ambiguous.end(), [&](const Segment& stretch) {
                return detail::touches_ambiguous(segment, stretch, options.seconds_per_row);
              })) {
            ++result.ambiguous_removed;
            continue;
          }
        }
      }
      if (!(segment.end > segment.start)) ++result.empty_detections;
      detections_of[static_cast<std::size_t>(cls)].push_back({position, segment, detection.score});
    }
  }
  for (std::size_t c = 0; c < unknown_seen.size(); ++c) {
    if (unknown_seen[c]) result.unknown_classes.push_back(detected.classes[c]);
  }
  for (const VideoTruth& video : truth.videos) {
    if (!video_of.contains(video.id) || video.instances.empty()) continue;
    if (!options.subset.empty() && video.subset != options.subset) continue;
    if (!detected_ids.contains(video.id)) result.undetected_videos.push_back(video.id);
  }

  result.ap.resize(result.thresholds.size());
  result.map.assign(result.thresholds.size(), 0);
  result.map_ties_first = result.map;
  for (std::size_t c = 0; c < truth.classes.size(); ++c) {
    if (truth_of[c].empty()) continue;
    result.classes.push_back(truth.classes[c]);
    result.instances.push_back(truth_of[c].size());
    result.detections.push_back(detections_of[c].size());
    const detail::ClassResult ranked = detail::class_average_precision(
        truth_of[c], detections_of[c], result.thresholds, detail::TieOrder::last_first);
    result.tied_scores += ranked.tied_scores;
    result.tied_overlaps += ranked.tied_overlaps;
    const bool tied = ranked.tied_scores + ranked.tied_overlaps > 0;
    const std::vector<double> other =
        tied ? detail::class_average_precision(truth_of[c], detections_of[c], result.thresholds,
                                               detail::TieOrder::first_first)
                   .ap
             : ranked.ap;
    for (std::size_t t = 0; t < ranked.ap.size(); ++t) {
      result.ap[t].push_back(ranked.ap[t]);
      result.map[t] += ranked.ap[t];
      result.map_ties_first[t] += other[t];
    }
  }
  for (double& map : result.map) map /= static_cast<double>(result.classes.size());
  for (double& map : result.map_ties_first) map /= static_cast<double>(result.classes.size());
  result.averages = detail::reported_averages(result, !options.thresholds.empty());
  return result;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
