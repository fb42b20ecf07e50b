#pragma once
/// OracleLabels — H from the annotated segments of the training videos: what a teacher that makes
/// no mistake would say. For ceilings only.

#include <cstdint>
#include <vector>

#include "tandem/tensor/factory.hpp"
#include "tandem/wtal/data/batch.hpp"
#include "tandem/wtal/data/foreground_rows.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Labels of crops from annotated segments, in place of a teacher's.
class OracleLabels {
 public:
  /// The annotations of `source`, whose videos are numbered as the crops are.  Errors: no video has
  /// a segment of a class of its label.
  explicit OracleLabels(const VideoSource& source) : truth_(source.truth()) {
    bool any = false;
    for (std::size_t v = 0; v < source.size(); ++v) {
      const double seconds = source.seconds_per_row(v);
      seconds_.push_back(seconds > 0 ? seconds : conventional_seconds_per_row);
      for (const int c : truth_.videos[v].labels) any = any || annotated(v, c);
    }
    TANDEM_CHECK(any, "oracle_labels", "none of the ", source.size(),
                 " training videos has an annotated segment: labels of whole videos cannot say ",
                 "where an action is");
  }

  /// H (B, T, C) of crops: for a class of the label h = 1 where the middle of the row lies in a
  /// segment of it and 0 elsewhere, −1 everywhere if the video has none; 0 for every other class;
  /// −1 on padding.
  Tensor<std::int32_t> operator()(const std::vector<Crop>& crops, std::int64_t frames) const {
    const auto classes = static_cast<std::int64_t>(truth_.classes.size());
    const Tensor<std::int32_t> h =
        zeros<std::int32_t>({static_cast<std::int64_t>(crops.size()), frames, classes});
    std::int32_t* out = h.mutable_data();
    for (const Crop& crop : crops) {
      TANDEM_CHECK(crop.video < truth_.videos.size() && crop.rows <= frames, "oracle_labels",
                   "the crop of ", crop.rows, " rows of video ", crop.video, " does not fit ",
                   truth_.videos.size(), " videos and ", frames, " frames");
      const VideoTruth& video = truth_.videos[crop.video];
      for (std::int64_t i = crop.rows * classes; i < frames * classes; ++i) out[i] = -1;
      for (const int c : video.labels) {
        const auto action = foreground_rows(
            video, c, static_cast<std::size_t>(crop.begin + crop.rows), seconds_[crop.video]);
        const bool known = annotated(crop.video, c);
        for (std::int64_t t = 0; t < crop.rows; ++t) {
          const bool inside = action[static_cast<std::size_t>(crop.begin + t)] != 0;
          out[t * classes + c] = !known ? -1 : inside ? 1 : 0;
        }
      }
      out += frames * classes;
    }
    return h;
  }

 private:
  bool annotated(std::size_t video, int cls) const {
    for (const Instance& instance : truth_.videos[video].instances) {
      if (instance.cls == cls) return true;
    }
    return false;
  }

  GroundTruth truth_;
  std::vector<double> seconds_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
