#pragma once
/// How good pseudo-labels are: IoU of their foreground and background with the annotation.

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "tandem/tensor/config.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/wtal/data/foreground_rows.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// What a frame with h = −1 (undecided) means for the IoU.
enum class Undecided {
  miss,  ///< it belongs to neither side: it lowers the IoU of the side it truly is on
  skip,  ///< it is left out, so only confident frames are judged
};

/// Sums up the quality of pseudo-labels H ∈ {1, 0, −1} (rows × classes) over videos.
///
/// For every video and every class of its label that has an instance there:
///   foreground IoU = |H = 1 ∧ action| / |H = 1 ∨ action|,
///   background IoU = |H = 0 ∧ no action| / |H = 0 ∨ no action|,
/// and mIoU is their mean over those (video, class) pairs (reading; the paper reports "mIoU of the
/// foreground class and of the background class" without a formula). A pair whose union is empty is
/// left out of that mean. Undecided frames count as misses by default (reading): a branch that
/// decides little is then incomplete on both sides, one that calls everything foreground has a low
/// background IoU. `pooled` values divide the sums over all frames instead.
///   PseudoLabelQuality quality;
///   quality.add(h, rows, classes, truth.videos[v]);      // h: span of −1, 0, 1
///   quality.foreground(), quality.background(), quality.decided();
class PseudoLabelQuality {
 public:
  explicit PseudoLabelQuality(Undecided undecided = Undecided::miss,
                              double seconds_per_row = conventional_seconds_per_row)
      : undecided_(undecided), seconds_per_row_(seconds_per_row) {
    TANDEM_CHECK(seconds_per_row > 0, "pseudo_label_quality", "seconds_per_row must be positive");
  }

  /// Adds one video. `labels` is row-major: a vector, array or span of any number type.
  /// `seconds_per_row` above 0 is the length of this video's rows. Errors: a size that does not
  /// fit, a value that is not −1, 0 or 1.
  template <class Labels>
  void add(const Labels& labels, std::size_t rows, std::size_t classes, const VideoTruth& video,
           double seconds_per_row = 0) {
    if (!(seconds_per_row > 0)) seconds_per_row = seconds_per_row_;
    const std::span h(labels);
    using Label = std::remove_cv_t<typename decltype(h)::element_type>;
    TANDEM_CHECK(classes > 0 && h.size() % classes == 0 && h.size() / classes == rows,
                 "pseudo_label_quality", "expected ", rows, " × ", classes, " labels, got ",
                 h.size());
    for (int cls : video.labels) {
      TANDEM_CHECK(cls >= 0 && static_cast<std::size_t>(cls) < classes, "pseudo_label_quality",
                   "video '", video.id, "' has class ", cls, ", but H has ", classes, " classes");
      bool annotated = false;
      for (const Instance& instance : video.instances) annotated |= instance.cls == cls;
      if (!annotated) continue;
      const std::vector<std::uint8_t> action = foreground_rows(video, cls, rows, seconds_per_row);
      Side foreground, background;
      for (std::size_t t = 0; t < rows; ++t) {
        const Label value = h[t * classes + static_cast<std::size_t>(cls)];
        const bool one = value == Label{1};
        const bool zero = value == Label{0};
        TANDEM_CHECK(one || zero || value == static_cast<Label>(-1), "pseudo_label_quality", "row ",
                     t, ", class ", cls, " of video '", video.id, "' is neither 1, 0 nor -1");
        ++frames_;
        decided_ += one || zero;
        if (!one && !zero && undecided_ == Undecided::skip) continue;
        foreground.count(one, action[t] != 0);
        background.count(zero, action[t] == 0);
      }
      foreground_.add(foreground);
      background_.add(background);
    }
  }

  /// mIoU of the foreground over (video, class) pairs; NaN before any pair.
  double foreground() const { return foreground_.mean(); }
  /// mIoU of the background over (video, class) pairs; NaN before any pair.
  double background() const { return background_.mean(); }
  /// The same over all frames at once.
  double foreground_pooled() const { return foreground_.total.iou(); }
  double background_pooled() const { return background_.total.iou(); }
  /// The part of the frames (of annotated classes) with h ≠ −1; NaN before any frame.
  double decided() const { return static_cast<double>(decided_) / static_cast<double>(frames_); }
  /// Number of (video, class) pairs in the foreground mean.
  std::size_t pairs() const { return foreground_.pairs; }

 private:
  struct Side {
    std::size_t both = 0;
    std::size_t either = 0;
    void count(bool predicted, bool actual) {
      both += predicted && actual;
      either += predicted || actual;
    }
    double iou() const { return static_cast<double>(both) / static_cast<double>(either); }
  };
  struct Sums {
    double iou = 0;
    std::size_t pairs = 0;
    Side total;
    void add(const Side& side) {
      total.both += side.both;
      total.either += side.either;
      if (side.either == 0) return;
      iou += side.iou();
      ++pairs;
    }
    double mean() const { return iou / static_cast<double>(pairs); }
  };

  Undecided undecided_;
  double seconds_per_row_;
  Sums foreground_, background_;
  std::size_t frames_ = 0;
  std::size_t decided_ = 0;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
