#pragma once
/// What kind of mistake each false positive is: the analysis of DETAD.
///                                                 [Alwassel, Caba Heilbron, Escorcia, Ghanem 2018]

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tandem/wtal/detect/evaluation.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// What a detection is at tIoU threshold α. Let g be the instance of its video, of whatever class,
/// with the highest tIoU to the detection, and u that tIoU. A detection that evaluate() does not
/// match is
///   a double detection    if u ≥ α and g has the detection's class (its instance is taken),
///   a wrong label         if u ≥ α and g has another class,
///   a localization error  if β ≤ u < α and g has the detection's class,
///   a confusion           if β ≤ u < α and g has another class,
///   background            if u < β, or the video has no instance;            β = 0.1 in the paper.
enum class DetectionKind : std::uint8_t {
  true_positive,
  double_detection,
  wrong_label,
  localization,
  confusion,
  background,
  left_out,  ///< evaluate() does not count it: no instance of its class, ambiguous ground …
};

inline constexpr std::size_t detection_kinds = 6;  ///< those before left_out

/// "true positive", "double detection" …
inline std::string_view kind_name(DetectionKind kind) {
  constexpr std::string_view names[] = {
      "true positive", "double detection", "wrong label", "localization error",
      "confusion",     "background",       "left out"};
  return names[static_cast<std::size_t>(kind)];
}

/// The thresholds that tell the kinds apart, and the groups by rank.
struct FalsePositiveOptions {
  double tiou = 0.5;        ///< α
  double background = 0.1;  ///< β  [P]
  /// Detections of a class are taken by rank in groups as large as the class has instances (G of
  /// the paper): the first G, the second G …  [P: 10]
  std::size_t groups = 10;
};

/// The kinds of all detections of a set, counted.
struct FalsePositives {
  using Counts = std::array<std::size_t, detection_kinds>;
  double tiou = 0;  ///< α
  /// [video][detection], as the DetectionSet has them
  std::vector<std::vector<DetectionKind>> kinds;
  Counts counts = {};           ///< by kind, of all detections that evaluate() counts
  std::vector<Counts> by_rank;  ///< [group]: of the detections of that group, over all classes
  double map = 0;               ///< mAP at α, as evaluate() has it
  /// mAP at α without the false positives of one kind, minus `map`: what that kind of error costs.
  /// 0 for true positives.
  std::array<double, detection_kinds> impact = {};
};

namespace detail {

/// The kind of a detection that is no true positive. `near`: the instances of its video, with
/// their classes.
inline DetectionKind false_positive_kind(const Segment& detection, std::size_t cls,
                                         const std::vector<std::pair<Segment, std::size_t>>& near,
                                         const FalsePositiveOptions& options) {
  double best = 0;
  bool own = false;
  for (const auto& [segment, other] : near) {
    const double iou = temporal_iou(detection, segment);
    // Of equal overlaps that with the detection's own class counts (reading).
    if (iou > best || (iou == best && other == cls)) best = iou, own = other == cls;
  }
  if (best < options.background || best == 0) return DetectionKind::background;
  if (best >= options.tiou)
    return own ? DetectionKind::double_detection : DetectionKind::wrong_label;
  return own ? DetectionKind::localization : DetectionKind::confusion;
}

}  // namespace detail

/// find_false_positives — the kind of every detection, how often each occurs, and what it costs.
///
/// True positives are those of evaluate() with the same protocol, subset and α: in its units, with
/// its order of equals. The paper's own figures use AP with normalised precision; `impact` is of
/// the mAP that evaluate() reports (reading). Errors: those of evaluate(); thresholds that are not
/// 0 ≤ β ≤ α.
///   const FalsePositives f = find_false_positives(truth, detections, {.protocol = p});
///   f.counts[static_cast<std::size_t>(DetectionKind::background)];   // → 0
inline FalsePositives find_false_positives(const GroundTruth& truth, const DetectionSet& detected,
                                           const EvaluationOptions& evaluation,
                                           const FalsePositiveOptions& options = {}) {
  TANDEM_CHECK(options.tiou > 0 && options.tiou <= 1 && options.background >= 0 &&
                   options.background <= options.tiou,
               "false_positives", "expected 0 <= background <= tiou in (0, 1], got ",
               options.background, " and ", options.tiou);
  FalsePositives out;
  out.tiou = options.tiou;
  for (const VideoDetections& video : detected.videos)
    out.kinds.emplace_back(video.detections.size(), DetectionKind::left_out);
  const detail::Placement placed = detail::place_detections(truth, detected, evaluation);
  std::unordered_map<std::size_t, std::vector<std::pair<Segment, std::size_t>>> near;
  for (std::size_t c = 0; c < placed.truth.size(); ++c) {
    for (const detail::Placed& instance : placed.truth[c])
      near[instance.video].emplace_back(instance.segment, c);
  }

  std::array<double, detection_kinds> without = {};  // sums of AP
  std::size_t classes = 0;
  out.by_rank.resize(options.groups);
  for (std::size_t c = 0; c < placed.truth.size(); ++c) {
    const std::vector<detail::Placed>& instances = placed.truth[c];
    if (instances.empty()) continue;
    ++classes;
    const detail::ClassMatches matches = detail::match_class(
        instances, placed.detections[c], {options.tiou}, detail::TieOrder::last_first);
    const std::vector<std::uint8_t>& hits = matches.hits[0];
    std::vector<DetectionKind> ranked;
    for (std::size_t rank = 0; rank < hits.size(); ++rank) {
      const detail::Placed& one = placed.detections[c][matches.order[rank]];
      const auto found = near.find(one.video);
      const DetectionKind kind =
          hits[rank] != 0 ? DetectionKind::true_positive
          : found == near.end()
              ? DetectionKind::background
              : detail::false_positive_kind(one.segment, c, found->second, options);
      ranked.push_back(kind);
      out.kinds[one.entry][one.index] = kind;
      const auto k = static_cast<std::size_t>(kind);
      ++out.counts[k];
      if (const std::size_t group = rank / instances.size(); group < options.groups)
        ++out.by_rank[group][k];
    }
    out.map += interpolated_average_precision(hits, instances.size());
    for (std::size_t k = 1; k < detection_kinds; ++k) {
      std::vector<std::uint8_t> kept;
      for (std::size_t rank = 0; rank < hits.size(); ++rank) {
        if (static_cast<std::size_t>(ranked[rank]) != k) kept.push_back(hits[rank]);
      }
      without[k] += interpolated_average_precision(kept, instances.size());
    }
  }
  const auto count = static_cast<double>(classes);
  out.map /= count;
  for (std::size_t k = 1; k < detection_kinds; ++k) out.impact[k] = without[k] / count - out.map;
  return out;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
