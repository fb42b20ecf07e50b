#pragma once
/// What evaluation and the analysis of its errors share: the protocols, instances and detections
/// brought into one unit, and their matching.

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

/// Which protocol, thresholds and videos.
struct EvaluationOptions {
  Protocol protocol = Protocol::activitynet;  ///< whose rules
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
  std::size_t entry = 0, index = 0;  ///< of a detection: its place in the DetectionSet
};

/// Which of two equals comes first: among detections of one score, and among instances that one
/// detection overlaps equally.
enum class TieOrder { last_first, first_first };

/// The detections of one class by falling score, which of them are true positives, and how often
/// order in the input was all there was to go by.
struct ClassMatches {
  std::vector<std::size_t> order;               ///< [rank] → detection
  std::vector<std::vector<std::uint8_t>> hits;  ///< [threshold][rank]
  std::size_t tied_scores = 0;                  ///< detections whose score another one has too
  std::size_t tied_overlaps = 0;  ///< detections whose highest IoU ≥ t several instances have
};

/// Matches one class at every threshold, as evaluate() says. `detections` and `truth` in input
/// order.
inline ClassMatches match_class(const std::vector<Placed>& truth,
                                const std::vector<Placed>& detections,
                                const std::vector<double>& thresholds, TieOrder ties) {
  std::unordered_map<std::size_t, std::vector<std::size_t>> truth_of_video;
  for (std::size_t g = 0; g < truth.size(); ++g) truth_of_video[truth[g].video].push_back(g);

  // Stable sorts keep equals as they stand before: in input order, or turned round.
  ClassMatches result;
  std::vector<std::size_t>& order = result.order;
  order.resize(detections.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (ties == TieOrder::last_first) {
    std::reverse(order.begin(), order.end());
    for (auto& [video, instances] : truth_of_video)
      std::reverse(instances.begin(), instances.end());
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return detections[a].score > detections[b].score;
  });

  for (std::size_t i = 0; i < order.size(); ++i) {
    const double score = detections[order[i]].score;
    const bool before = i > 0 && detections[order[i - 1]].score == score;
    const bool after = i + 1 < order.size() && detections[order[i + 1]].score == score;
    if (before || after) ++result.tied_scores;
  }

  const double lowest = *std::min_element(thresholds.begin(), thresholds.end());
  std::vector<std::vector<std::uint8_t>> taken(thresholds.size(),
                                               std::vector<std::uint8_t>(truth.size()));
  result.hits.assign(thresholds.size(), std::vector<std::uint8_t>(detections.size()));
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
        result.hits[t][rank] = 1;
        break;
      }
    }
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

/// Instances and detections by the ground truth's class, in the protocol's unit.
struct Placement {
  std::vector<std::vector<Placed>> truth, detections;  ///< [class]
  /// What evaluate() tells of them under the same names.
  std::size_t empty_instances = 0, empty_detections = 0, reversed_instances = 0,
              reversed_detections = 0, ambiguous_removed = 0, unknown_class = 0;
  std::vector<std::string> unknown_classes, unknown_videos, undetected_videos, instanceless_videos;
};

/// Finds out which detections and instances take part. Errors: those of evaluate().
inline Placement place_detections(const GroundTruth& truth, const DetectionSet& detected,
                                  const EvaluationOptions& options) {
  Placement result;
  TANDEM_CHECK(options.seconds_per_row > 0 && is_finite(options.seconds_per_row), "evaluate",
               "a row lasts longer than 0 seconds, got ", options.seconds_per_row);
  const bool index_units = options.protocol == Protocol::thumos_index;

  // Ground truth of the subset, by class.
  std::vector<std::vector<Placed>>& truth_of = result.truth;
  truth_of.resize(truth.classes.size());
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
        segment.start = round_half_even(to_index(segment.start, options.seconds_per_row));
        segment.end = round_half_even(to_index(segment.end, options.seconds_per_row));
      }
      if (!(segment.end > segment.start)) ++result.empty_instances;
      if (instance.segment.end < instance.segment.start) ++result.reversed_instances;
      truth_of[static_cast<std::size_t>(instance.cls)].push_back({.video = v, .segment = segment});
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
  std::vector<std::vector<Placed>>& detections_of = result.detections;
  detections_of.resize(truth.classes.size());
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
        segment.start = snap_to_row(to_index(segment.start, options.seconds_per_row));
        segment.end = snap_to_row(to_index(segment.end, options.seconds_per_row));
        if (known != video_of.end()) {
          const auto& ambiguous = truth.videos[known->second].ambiguous;
          if (std::any_of(ambiguous.begin(), ambiguous.end(), [&](const Segment& stretch) {
                return touches_ambiguous(segment, stretch, options.seconds_per_row);
              })) {
            ++result.ambiguous_removed;
            continue;
          }
        }
      }
      if (!(segment.end > segment.start)) ++result.empty_detections;
      if (detection.segment.end < detection.segment.start) ++result.reversed_detections;
      detections_of[static_cast<std::size_t>(cls)].push_back({.video = position,
                                                              .segment = segment,
                                                              .score = detection.score,
                                                              .entry = d,
                                                              .index = i});
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

  return result;
}

}  // namespace detail
}  // namespace wtal
TANDEM_NAMESPACE_END
