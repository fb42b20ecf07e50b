#pragma once
/// Non-maximum suppression of detections along time.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "tandem/tensor/config.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// What becomes of detections that overlap a better one of their class.
enum class Suppression {
  soft,  ///< Gaussian: an overlapped detection loses score
  hard,  ///< a detection that overlaps a better one by more than `max_iou` is dropped
  none,  ///< only sorts, and applies `min_score` and `max_detections`
};

/// The kind of suppression and its numbers.
struct NmsOptions {
  Suppression kind = Suppression::soft;  ///< which one
  /// Soft: width of the Gaussian, > 0. The field's value.
  double sigma = 0.3;
  /// Hard: the largest IoU that two kept detections of a class may have (reading: 0.5).
  double max_iou = 0.5;
  /// Detections whose final score is below are dropped (reading: none is).
  double min_score = -std::numeric_limits<double>::infinity();
  /// At most this many of one class are kept, the best ones; 0: all (reading: 0).
  std::size_t max_detections = 0;
  /// Soft: added to every length and intersection before IoU. Copies of this function that come
  /// from image code add 1 (pixels); time has no pixels, so 0 (reading).
  double length_offset = 0;
};

namespace detail {

/// IoU of soft-NMS, with the optional offset of image code.
inline double suppression_iou(const Segment& a, const Segment& b, double offset) {
  if (offset == 0) return temporal_iou(a, b);
  const double inter = std::min(a.end, b.end) - std::max(a.start, b.start) + offset;
  if (!(inter > 0)) return 0;
  return inter / (a.length() + b.length() + 2 * offset - inter);
}

/// Suppresses within one class; the result is in order of selection.
inline std::vector<Detection> suppress_class(std::vector<Detection> rest,
                                             const NmsOptions& options) {
  std::vector<Detection> kept;
  while (!rest.empty()) {
    if (options.max_detections > 0 && kept.size() == options.max_detections) break;
    // The first of the best, so equal scores keep their input order.
    const auto best =
        std::max_element(rest.begin(), rest.end(),
                         [](const Detection& a, const Detection& b) { return a.score < b.score; });
    const Detection chosen = *best;
    rest.erase(best);
    if (chosen.score < options.min_score) break;  // all others are lower still
    kept.push_back(chosen);
    if (options.kind == Suppression::hard) {
      std::erase_if(rest, [&](const Detection& other) {
        return temporal_iou(chosen.segment, other.segment) > options.max_iou;
      });
    } else if (options.kind == Suppression::soft) {
      for (Detection& other : rest) {
        const double iou = suppression_iou(chosen.segment, other.segment, options.length_offset);
        // A factor below 1 would raise a negative score, which has nothing left to lose.
        other.score = std::min(other.score, other.score * std::exp(-(iou * iou) / options.sigma));
      }
    }
  }
  return kept;
}

}  // namespace detail

/// nms — suppression within each class.                      [Bodla et al. 2017, Gaussian form]
///   soft: repeatedly take the detection with the highest score; every remaining one of its class
///   gets  score ← min(score, score · exp(−IoU² / σ)), so a negative score stays as it is.
///   hard: those with IoU > max_iou are dropped instead. No kind ever raises a score.
///
/// Returns all classes together by falling final score; equal scores keep the order of selection,
/// which starts from the input order. O(n²) per class. Errors: a NaN score, σ ≤ 0.
///   std::vector<Detection> kept = nms(proposals);                       // soft, σ = 0.3
///   std::vector<Detection> few = nms(proposals, {.kind = Suppression::hard});
inline std::vector<Detection> nms(const std::vector<Detection>& detections,
                                  const NmsOptions& options = {}) {
  TANDEM_CHECK(options.sigma > 0, "nms", "sigma must be positive, got ", options.sigma);
  std::vector<int> classes;
  for (std::size_t i = 0; i < detections.size(); ++i) {
    TANDEM_CHECK(!is_nan(detections[i].score), "nms", "the score of detection ", i, " is NaN");
    classes.push_back(detections[i].cls);
  }
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());

  std::vector<Detection> result;
  for (int cls : classes) {
    std::vector<Detection> members;
    for (const Detection& d : detections) {
      if (d.cls == cls) members.push_back(d);
    }
    for (const Detection& d : detail::suppress_class(std::move(members), options)) {
      result.push_back(d);
    }
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  return result;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
