#pragma once
/// Plain structures that annotations, detections and evaluation share. Times are seconds; classes
/// are indices into `GroundTruth::classes`. No tensors: including this header costs next to
/// nothing.

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tandem/features/snippets.hpp"
#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// A half-open stretch of time [start, end) in seconds (in rows where a function says so).
struct Segment {
  double start = 0;
  double end = 0;

  /// end − start; zero or negative for a segment that holds nothing.
  double length() const { return end - start; }
  bool operator==(const Segment&) const = default;
};

/// temporal_iou — |a ∩ b| / |a ∪ b| of two segments in the same unit:
///   inter = max(0, min(end) − max(start)),  union = len(a) + len(b) − inter.
/// 0 when they do not overlap, so an empty or reversed segment has IoU 0 with everything, itself
/// included (the Python evaluators compute 0/0 there).
///   temporal_iou({0, 10}, {5, 10});   // → 0.5
inline double temporal_iou(const Segment& a, const Segment& b) {
  const double inter = std::min(a.end, b.end) - std::max(a.start, b.start);
  if (!(inter > 0)) return 0;
  return inter / (a.length() + b.length() - inter);
}

/// One annotated action: when, and which class.
struct Instance {
  Segment segment;
  int cls = 0;  ///< index into GroundTruth::classes
  bool operator==(const Instance&) const = default;
};

/// One predicted action: when, which class, how sure.
struct Detection {
  Segment segment;
  int cls = 0;  ///< index into the classes that the detector used
  double score = 0;
  bool operator==(const Detection&) const = default;
};

/// The detections of one video, in the order in which they were produced or read.
struct VideoDetections {
  std::string id;  ///< of the video
  std::vector<Detection> detections;
  bool operator==(const VideoDetections&) const = default;
};

/// Detections with the class names that their `cls` index. Orders (of videos, of detections within
/// a video) are kept: they break ties of the score.
struct DetectionSet {
  std::vector<std::string> classes;
  std::vector<VideoDetections> videos;

  /// Number of detections over all videos.
  std::size_t size() const {
    std::size_t n = 0;
    for (const VideoDetections& video : videos) n += video.detections.size();
    return n;
  }
};

/// The annotations of one video. Values are those of the file, unrounded and unclipped: segments
/// may run past `duration`, instances may be duplicated under a second class, `labels` may disagree
/// with `instances`.
struct VideoTruth {
  std::string id;
  std::string subset = {};  ///< as the file names it: "validation", "test", "training", "train" …
  double duration = 0;      ///< seconds; 0 when the file does not say
  std::vector<Instance> instances = {};  ///< in file order
  /// Video-level classes (labels_all where it exists, else what the file calls
  std::vector<int> labels = {};
  ///< the video and the distinct classes of `instances`), ascending; all
  ///< that
  ///< training needs: `instances` may be empty
  /// Stretches marked ambiguous; used by the index protocol only
  std::vector<Segment> ambiguous = {};
};

/// What a data set says: its classes and videos. Filled by the readers of the W-TALC, BaS-Net and
/// ActivityNet layouts; read by training (labels) and evaluation (instances).
struct GroundTruth {
  std::vector<std::string> classes;
  std::vector<VideoTruth> videos;

  /// Index of a class name, or −1.
  int class_index(std::string_view name) const {
    for (std::size_t c = 0; c < classes.size(); ++c) {
      if (classes[c] == name) return static_cast<int>(c);
    }
    return -1;
  }

  /// Index of a class name, which is added when it is new.
  int add_class(std::string_view name) {
    if (const int found = class_index(name); found >= 0) return found;
    classes.emplace_back(name);
    return static_cast<int>(classes.size()) - 1;
  }

  /// Video id → position in `videos` (the first, where an id repeats). Keys view into `videos`.
  std::unordered_map<std::string_view, std::size_t> index() const {
    std::unordered_map<std::string_view, std::size_t> map;
    map.reserve(videos.size());
    for (std::size_t v = 0; v < videos.size(); ++v) map.emplace(videos[v].id, v);
    return map;
  }

  /// The distinct subset names, in order of appearance.
  std::vector<std::string> subsets() const {
    std::vector<std::string> names;
    for (const VideoTruth& video : videos) {
      if (std::find(names.begin(), names.end(), video.subset) == names.end()) {
        names.push_back(video.subset);
      }
    }
    return names;
  }

  /// The same data set with only the videos of one subset; classes keep their indices.
  GroundTruth only(std::string_view subset) const {
    GroundTruth kept;
    kept.classes = classes;
    for (const VideoTruth& video : videos) {
      if (video.subset == subset) kept.videos.push_back(video);
    }
    return kept;
  }

  /// Number of annotated instances over all videos.
  std::size_t instance_count() const {
    std::size_t n = 0;
    for (const VideoTruth& video : videos) n += video.instances.size();
    return n;
  }
};

}  // namespace wtal
TANDEM_NAMESPACE_END
