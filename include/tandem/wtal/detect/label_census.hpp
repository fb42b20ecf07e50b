#pragma once
/// LabelCensus — how a branch labels the training videos, without any truth: what an alternation
/// that runs away shows first.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tandem/tensor/tensor.hpp"
#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Counts over the frames of each video, for the classes of its label, by the two thresholds of the
/// paper: p > δ_h is called foreground, p < δ_l background, whatever rule makes the pseudo-labels.
class LabelCensus {
 public:
  explicit LabelCensus(double high = 0.3, double low = 0.1) : high_(high), low_(low) {}

  /// The next video: p (T, C) and its label.
  void add(const Tensor<float>& p, const VideoTruth& video) {
    const std::int64_t rows = p.size(0), classes = p.size(1);
    const Tensor<float> dense = p.contiguous();
    for (const int c : video.labels) {
      std::int64_t called = 0;
      for (std::int64_t t = 0; t < rows; ++t) {
        const auto value = static_cast<double>(dense.data()[t * classes + c]);
        said_.push_back(static_cast<std::int8_t>(value > high_ ? 1 : value < low_ ? 0 : -1));
        called += value > high_ ? 1 : 0;
      }
      if (rows == 0) continue;
      frames_ += rows;
      foreground_ += called;
      ++pairs_;
      all_or_none_ += called == 0 || 20 * called > 19 * rows ? 1 : 0;
    }
  }

  /// Of the frames, the share called foreground; NaN before any frame.
  double foreground() const { return ratio(foreground_, frames_); }
  /// Of the videos, counted once for each class of their label, the share in which no frame or more
  /// than 95 % are called foreground.
  double all_or_none() const { return ratio(all_or_none_, pairs_); }
  /// Of the frames on which both decide, the share on which they say the same; NaN if there is
  /// none. Both have seen the same videos.  Errors: they have not.
  double agreement(const LabelCensus& other) const {
    TANDEM_CHECK(said_.size() == other.said_.size(), "label_census", "the branches labelled ",
                 said_.size(), " and ", other.said_.size(), " frames");
    std::int64_t both = 0, same = 0;
    for (std::size_t i = 0; i < said_.size(); ++i) {
      if (said_[i] < 0 || other.said_[i] < 0) continue;
      ++both;
      same += said_[i] == other.said_[i] ? 1 : 0;
    }
    return ratio(same, both);
  }
  /// Whether the labels have run away since the two shares were those: half as
  /// many frames again are foreground, or one video in ten more is all or none.
  bool ran_away_since(double foreground_then, double all_or_none_then) const {
    return foreground() > 1.5 * foreground_then || all_or_none() > all_or_none_then + 0.1;
  }

 private:
  static double ratio(std::int64_t a, std::int64_t b) {
    return static_cast<double>(a) / static_cast<double>(b);
  }
  double high_, low_;
  std::vector<std::int8_t> said_;
  std::int64_t frames_ = 0, foreground_ = 0, pairs_ = 0, all_or_none_ = 0;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
