#pragma once
/// The evaluator of W-TALC's first script, for comparison with the numbers of its paper. evaluate()
/// (evaluation.hpp) is what later papers report.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "tandem/wtal/detect/matching.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// wtalc_map — mAP in [0, 1] at a tIoU of detections in rows.          [Paul et al. 2018's code, C]
///   Ground truth in rows round-half-even(25/16·seconds); IoU of sets of whole rows. By falling
///   score a detection takes the first free instance of its video and class, in the list's order,
///   with IoU ≥ t. AP = Σ precision at true positives/instances, not interpolated; mean over the
///   classes that have instances; 0 in all if any of the `classes` has no detection.
///   found[v] are those of truth[v].  Errors: not as many lists as videos.
inline double wtalc_map(std::span<const VideoTruth> truth,
                        const std::vector<std::vector<Detection>>& found, std::size_t classes,
                        double tiou) {
  TANDEM_CHECK(found.size() == truth.size(), "wtalc_map", "detections of ", found.size(),
               " videos, annotations of ", truth.size());
  struct Ranked {
    std::size_t video;
    Segment rows;
    double score;
  };
  const auto overlap = [](const Segment& a, const Segment& b) {
    const double inter = std::max(0.0, std::min(a.end, b.end) - std::max(a.start, b.start));
    const double both = std::max(0.0, a.length()) + std::max(0.0, b.length()) - inter;
    return both > 0 ? inter / both : 0;
  };
  double total = 0;
  std::size_t counted = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    std::vector<Ranked> ranked;
    std::vector<std::vector<Segment>> instances(truth.size());
    std::size_t positives = 0;
    for (std::size_t v = 0; v < truth.size(); ++v) {
      for (const Detection& d : found[v]) {
        if (static_cast<std::size_t>(d.cls) != c) continue;
        ranked.push_back({v, {std::trunc(d.segment.start), std::trunc(d.segment.end)}, d.score});
      }
      for (const Instance& one : truth[v].instances) {
        if (static_cast<std::size_t>(one.cls) != c) continue;
        ++positives;
        instances[v].push_back({detail::round_half_even(detail::to_index(
                                    one.segment.start, conventional_seconds_per_row)),
                                detail::round_half_even(detail::to_index(
                                    one.segment.end, conventional_seconds_per_row))});
      }
    }
    if (ranked.empty()) return 0;
    if (positives == 0) continue;
    ++counted;
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const Ranked& a, const Ranked& b) { return a.score > b.score; });
    double hits = 0, precisions = 0;
    for (std::size_t i = 0; i < ranked.size(); ++i) {
      std::vector<Segment>& free = instances[ranked[i].video];
      const auto taken = std::find_if(free.begin(), free.end(), [&](const Segment& one) {
        return overlap(ranked[i].rows, one) >= tiou;
      });
      if (taken == free.end()) continue;
      free.erase(taken);
      precisions += ++hits / static_cast<double>(i + 1);
    }
    total += precisions / static_cast<double>(positives);
  }
  return counted == 0 ? 0 : total / static_cast<double>(counted);
}

}  // namespace wtal
TANDEM_NAMESPACE_END
