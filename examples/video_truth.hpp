#pragma once
/// What is known to happen in one video: from annotations, and from --truth "Clean and
/// jerk:5.8-16.2".

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tandem/clip/class_names.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/wtal/data/types.hpp"

namespace truth {

using namespace tandem;
using namespace tandem::wtal;

struct Truth {
  std::vector<std::pair<std::string, Segment>> segments = {};
  double duration = 0;
  std::vector<std::string> warnings = {};
};

/// The annotation of a video by its id, with or without "v_", or by the name of its file; null:
/// there is none.
inline const VideoTruth* find_annotation(const GroundTruth& all, const std::string& id,
                                         const std::string& video) {
  const std::string bare = id.starts_with("v_") ? id.substr(2) : id;
  const std::string file = std::filesystem::path(video).filename().string();
  const VideoTruth* found = nullptr;
  for (const VideoTruth& one : all.videos) {
    if (one.id == id || one.id == bare || one.id == "v_" + id || (!file.empty() && one.id == file))
      found = &one;
  }
  return found;
}

/// What annotations say of a video. Segments that end before they start are left out, with a
/// warning.
inline Truth from_annotation(const GroundTruth& all, const VideoTruth& video) {
  Truth out;
  out.duration = video.duration;
  for (const Instance& one : video.instances) {
    const std::string& name = all.classes[static_cast<std::size_t>(one.cls)];
    if (one.segment.end < one.segment.start) {
      out.warnings.push_back(concat("The annotated segment [", one.segment.start, ", ",
                                    one.segment.end, "] of ", name,
                                    " ends before it starts and is left out."));
      continue;
    }
    out.segments.emplace_back(name, one.segment);
  }
  return out;
}

/// "LongJump:5.8-16.2" → its class and segment. Error: anything else.
inline std::pair<std::string, Segment> from_words(const std::string& text) {
  const std::size_t colon = text.rfind(':'), dash = text.find('-', colon == text.npos ? 0 : colon);
  Segment segment;
  int used = 0;
  const bool good = colon != text.npos && colon > 0 && dash != text.npos &&
                    std::sscanf(text.c_str() + colon + 1, "%lf-%lf%n", &segment.start, &segment.end,
                                &used) == 2 &&
                    colon + 1 + static_cast<std::size_t>(used) == text.size() &&
                    segment.start >= 0 && segment.end > segment.start && std::isfinite(segment.end);
  TANDEM_CHECK(good, "localize",
               "--truth takes CLASS:START-END in seconds, as in 'LongJump:5.8-16.2', got '", text,
               "'");
  return {text.substr(0, colon), segment};
}

/// Whether two names are of one class, however they are spelled.
inline bool same_class(const std::string& a, const std::string& b) {
  return clip::readable_class_name(a) == clip::readable_class_name(b);
}

/// Annotated classes that are none of the model's, each once.
inline std::vector<std::string> unknown_labels(const Truth& truth,
                                               const std::vector<std::string>& classes) {
  std::vector<std::string> out;
  for (const auto& [label, segment] : truth.segments) {
    const bool known =
        std::any_of(classes.begin(), classes.end(),
                    [&label = label](const std::string& name) { return same_class(name, label); });
    if (!known && std::find(out.begin(), out.end(), label) == out.end()) out.push_back(label);
  }
  return out;
}

}  // namespace truth
