#pragma once
/// From frame scores to detections: thresholds, proposals, outer–inner contrast, soft-NMS.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tandem/tensor/config.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/wtal/data/types.hpp"
#include "tandem/wtal/detect/nms.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// How frame scores become detections: thresholds, scores, suppression.
struct LocalizationOptions {
  /// Min–max normalize each class over time before thresholding (reading). A constant curve cannot
  /// be normalized and is used as it is; so is a video of one row.
  bool normalize = true;
  /// θ_loc: frames above form proposals. One value in the paper; several give the proposals of each
  /// (reading), and suppression sorts them out.
  std::vector<double> thresholds = {0.45};
  /// θ_cls: classes whose video score exceeds it are localized.
  double class_threshold = 0.85;
  /// If no class passes θ_cls, localize the best one (reading); false gives no detections then.
  bool keep_best_class = true;
  /// Width of each outer margin, as a part of the proposal's length (field convention).
  double margin = 0.25;
  /// Weight of the video's class score in a proposal's score (field convention).
  double class_weight = 0.2;
  /// Shorter proposals are dropped (reading: 1, none is). Public code that first stretches the
  /// scores 24 times drops single stretched rows.
  std::size_t min_rows = 1;
  /// Row t covers seconds [s·t, s·(t+1)); the field's convention, where the features do not say.
  double seconds_per_row = conventional_seconds_per_row;
  /// Gaussian soft-NMS per class, σ = 0.3 (field convention).
  NmsOptions nms = {};
};

/// A run of rows [first, last] above a threshold.
struct RowRun {
  std::size_t first = 0;
  std::size_t last = 0;
  std::size_t rows() const { return last - first + 1; }
  bool operator==(const RowRun&) const = default;
};

/// runs_above — the maximal runs of rows with curve > threshold, in order.
///   const auto runs = runs_above(std::vector<double>{0, 1, 1, 0, 1}, 0.5);
///   runs == std::vector<RowRun>{{1, 2}, {4, 4}};   // → true
inline std::vector<RowRun> runs_above(std::span<const double> curve, double threshold) {
  std::vector<RowRun> runs;
  for (std::size_t t = 0; t < curve.size(); ++t) {
    if (!(curve[t] > threshold)) continue;
    if (!runs.empty() && runs.back().last + 1 == t) {
      runs.back().last = t;
    } else {
      runs.push_back({t, t});
    }
  }
  return runs;
}

/// min_max_normalize — (x − min)/(max − min) in place; a constant or empty curve is left as it is.
inline void min_max_normalize(std::span<double> curve) {
  if (curve.empty()) return;
  const auto [low, high] = std::minmax_element(curve.begin(), curve.end());
  const double base = *low;
  const double range = *high - base;
  if (!(range > 0)) return;
  for (double& x : curve) x = (x - base) / range;
}

/// outer_inner_contrast — how much a run stands out from its surroundings:
///                                                                      [AutoLoc, Shou et al. 2018]
///   mean(curve inside) − mean(curve over both margins).
/// With L rows, the margins are rows [⌊first − m·L⌋, first) and (last, ⌊last + m·L⌋], cut at the
/// ends of the video; the rounding is that of the public code bases. Both margins are pooled in one
/// mean;
/// without any margin row its mean is 0.
inline double outer_inner_contrast(std::span<const double> curve, RowRun run, double margin) {
  TANDEM_CHECK(run.first <= run.last && run.last < curve.size(), "outer_inner_contrast", "rows ",
               run.first, " to ", run.last, " are not inside a curve of ", curve.size(), " rows");
  const double reach = margin * static_cast<double>(run.rows());
  const double left = std::max(0.0, std::floor(static_cast<double>(run.first) - reach));
  const double right = std::min(static_cast<double>(curve.size() - 1),
                                std::floor(static_cast<double>(run.last) + reach));
  double inside = 0;
  for (std::size_t t = run.first; t <= run.last; ++t) inside += curve[t];
  double outside = 0;
  std::size_t outside_rows = 0;
  for (auto t = static_cast<std::size_t>(left); t < run.first; ++t, ++outside_rows) {
    outside += curve[t];
  }
  for (std::size_t t = run.last + 1; t <= static_cast<std::size_t>(right); ++t, ++outside_rows) {
    outside += curve[t];
  }
  const double inner_mean = inside / static_cast<double>(run.rows());
  return outside_rows == 0 ? inner_mean : inner_mean - outside / static_cast<double>(outside_rows);
}

/// The classes to localize: those whose video score exceeds θ_cls, else the best (the first of
/// equal ones) when `keep_best_class`.
inline std::vector<std::size_t> selected_classes(std::span<const float> video_scores,
                                                 const LocalizationOptions& options = {}) {
  std::vector<std::size_t> chosen;
  std::size_t best = 0;
  for (std::size_t c = 0; c < video_scores.size(); ++c) {
    TANDEM_CHECK(is_finite(video_scores[c]), "localize", "the video score of class ", c,
                 " is not finite");
    // In float, so that a score of 0.85f does not exceed 0.85.
    if (video_scores[c] > static_cast<float>(options.class_threshold)) chosen.push_back(c);
    if (video_scores[c] > video_scores[best]) best = c;
  }
  if (chosen.empty() && options.keep_best_class && !video_scores.empty()) chosen.push_back(best);
  return chosen;
}

/// localize — the detections of one video.
///
/// Per selected class: frame scores, min–max normalized over time → runs above each θ_loc →
/// score = outer–inner contrast + class_weight · video score → Gaussian soft-NMS.
///   [the paper: θ_loc, θ_cls, soft-NMS; the rest: see LocalizationOptions]
///
/// `scores` (rows × classes, row-major) are the frame scores P of the whole video, usually of the
/// CBP branch; `video_scores` (classes) are ŷ. Contrast is taken on the scores that were
/// thresholded (reading). Returns detections by falling score, times in seconds; none for a video
/// without rows. Errors: sizes that do not fit, a score that is NaN or infinite (its row and class
/// are named).
///   std::vector<Detection> d = localize(p, rows, classes, y, {.thresholds = {0.3, 0.45, 0.6}});
inline std::vector<Detection> localize(std::span<const float> scores, std::size_t rows,
                                       std::size_t classes, std::span<const float> video_scores,
                                       const LocalizationOptions& options = {}) {
  TANDEM_CHECK(video_scores.size() == classes, "localize", "expected ", classes,
               " video scores, got ", video_scores.size());
  TANDEM_CHECK(classes == 0 ? scores.empty()
                            : scores.size() % classes == 0 && scores.size() / classes == rows,
               "localize", "expected ", rows, " × ", classes, " frame scores, got ", scores.size());
  TANDEM_CHECK(!options.thresholds.empty(), "localize", "needs at least one threshold");
  TANDEM_CHECK(options.seconds_per_row > 0 && options.margin >= 0, "localize",
               "seconds_per_row must be positive and margin not negative");
  for (std::size_t i = 0; i < scores.size(); ++i) {
    TANDEM_CHECK(is_finite(scores[i]), "localize", "the frame score of row ", i / classes,
                 ", class ", i % classes, " is not finite");
  }
  const std::vector<std::size_t> chosen = selected_classes(video_scores, options);
  std::vector<Detection> proposals;
  std::vector<double> curve(rows);
  for (std::size_t c : chosen) {
    for (std::size_t t = 0; t < rows; ++t) curve[t] = static_cast<double>(scores[t * classes + c]);
    if (options.normalize) min_max_normalize(curve);
    const double class_score = options.class_weight * static_cast<double>(video_scores[c]);
    for (double threshold : options.thresholds) {
      for (const RowRun& run : runs_above(curve, threshold)) {
        if (run.rows() < options.min_rows) continue;
        proposals.push_back({{options.seconds_per_row * static_cast<double>(run.first),
                              options.seconds_per_row * static_cast<double>(run.last + 1)},
                             static_cast<int>(c),
                             outer_inner_contrast(curve, run, options.margin) + class_score});
      }
    }
  }
  return nms(proposals, options.nms);
}

}  // namespace wtal
TANDEM_NAMESPACE_END
