#pragma once
/// The detections that a run wrote after its last step, and how they stand to those made anew.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/wtal/data/detections_json.hpp"

namespace report {

using namespace tandem;

inline std::string detections_file(const std::string& run) {
  return io::join_path(run, "detections.json");
}

/// What the run wrote, its classes as positions in `classes`; nothing where there is no file.
/// Error: a class that is none of these.
inline std::optional<wtal::DetectionSet> read_written(const std::string& run,
                                                      const std::vector<std::string>& classes) {
  const std::string file = detections_file(run);
  if (!io::is_file(file)) return std::nullopt;
  wtal::DetectionSet out = wtal::read_detections(file);
  std::vector<int> place;
  for (const std::string& name : out.classes) {
    const auto found = std::find(classes.begin(), classes.end(), name);
    TANDEM_CHECK(found != classes.end(), "report", "the run in ", run, " detected the class '",
                 name, "', which is none of its checkpoint's");
    place.push_back(static_cast<int>(found - classes.begin()));
  }
  for (wtal::VideoDetections& video : out.videos) {
    for (wtal::Detection& d : video.detections) d.cls = place[static_cast<std::size_t>(d.cls)];
  }
  out.classes = classes;
  return out;
}

/// Another processor or build rounds scores otherwise in the last digits, so one in a hundred may
/// have no counterpart.
inline bool same_detections(const wtal::DetectionSet& wrote, const wtal::DetectionSet& found) {
  std::map<std::string_view, const std::vector<wtal::Detection>*> by_id;
  for (const wtal::VideoDetections& video : wrote.videos) by_id[video.id] = &video.detections;
  std::size_t unmatched = 0;
  for (const wtal::VideoDetections& video : found.videos) {
    const auto there = by_id.find(video.id);
    for (const wtal::Detection& one : video.detections) {
      const auto same = [&one](const wtal::Detection& other) {
        return other.cls == one.cls && std::fabs(other.score - one.score) < 1e-3 &&
               std::fabs(other.segment.start - one.segment.start) < 1e-6 &&
               std::fabs(other.segment.end - one.segment.end) < 1e-6;
      };
      unmatched +=
          there == by_id.end() || std::none_of(there->second->begin(), there->second->end(), same);
    }
  }
  const std::size_t all = found.size(), before = wrote.size();
  return 100 * unmatched <= all && before * 100 <= all * 101 && all * 100 <= before * 101;
}

}  // namespace report
