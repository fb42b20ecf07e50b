#pragma once
/// Detections as ActivityNet JSON, the form that the official evaluators read:
///   {"version": …, "results": {video: [{"label", "score", "segment": [start, end]}]},
///    "external_data": …}

#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tandem/io/json_reader.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

namespace detail {

/// A [start, end] pair in seconds; numbers or strings of numbers (the field's files have both).
inline Segment segment_from_json(const io::JsonRef& value) {
  if (!value.json().is_array() || value.size() != 2) {
    value.error("expected two numbers, got ", value.json().is_array()
                                                  ? concat("an array of ", value.size())
                                                  : std::string(value.kind_name()));
  }
  return {value[0].number_or_text(), value[1].number_or_text()};
}

/// Counts the segments of one oddity, and remembers the first.
class OddSegments {
 public:
  explicit OddSegments(const char* noun) : noun_(noun) {}
  void add(const std::string& video, std::size_t index, const Segment& s) {
    if (count_++ == 0)
      first_ = concat(video, ", ", noun_, " ", index, ": [", s.start, ", ", s.end, "]");
  }
  /// "2 segments end before they start (first gt.json: a, segment 0: [5, 3])", where there are any;
  /// `one` and `many` are what they do.
  void note(std::vector<std::string>& notes, const std::string& file, const char* one,
            const char* many) const {
    if (count_ == 0) return;
    notes.push_back(concat(count_, " ", noun_, count_ == 1 ? one : concat("s", many), " (",
                           count_ > 1 ? "first " : "", file, file.empty() ? "" : ": ", first_,
                           ")"));
  }

 private:
  const char* noun_;
  std::size_t count_ = 0;
  std::string first_;
};

/// Class name → index, remembering the order of appearance.
class ClassNames {
 public:
  explicit ClassNames(std::vector<std::string>& names) : names_(names) {
    for (std::size_t c = 0; c < names.size(); ++c) index_.emplace(names[c], static_cast<int>(c));
  }
  int operator()(const std::string& name) {
    const auto [entry, added] = index_.emplace(name, static_cast<int>(names_.size()));
    if (added) names_.push_back(name);
    return entry->second;
  }

 private:
  std::vector<std::string>& names_;
  std::unordered_map<std::string, int> index_;
};

}  // namespace detail

/// Reads detections out of a parsed document. Only "results" is needed: "version" and
/// "external_data" may be missing (mmaction2 writes neither) and other keys are not looked at.
/// Videos and detections keep the order of the file, classes that of their first appearance.
inline DetectionSet detections_from_json(const io::JsonDocument& document) {
  DetectionSet set;
  detail::ClassNames class_index(set.classes);
  const io::JsonRef results = document.root().at("results");
  for (const auto& [id, value] : results.members()) {
    VideoDetections out{id, {}};
    const io::JsonRef list = results.of(value);
    out.detections.reserve(list.array().size());
    for (const io::Json& element : list.array()) {
      const io::JsonRef entry = list.of(element);
      Detection detection;
      detection.segment = detail::segment_from_json(entry.at("segment"));
      detection.score = entry.at("score").number();
      detection.cls = class_index(entry.at("label").string());
      out.detections.push_back(detection);
    }
    set.videos.push_back(std::move(out));
  }
  return set;
}

/// read_detections — an ActivityNet JSON file. Errors name the file and the place in it:
///   [json] out.json: results.video_3[2].segment: expected two numbers, got an array of 3
///
///   const DetectionSet detections = read_detections("detections.json");
inline DetectionSet read_detections(const std::string& path) {
  return detections_from_json(io::JsonDocument::load(path));
}

/// Says in `notes` how many detections end before they start, and where the first of them is, by
/// `file`, video and place. They stay what they are: false positives.
inline void note_detections(const DetectionSet& set, std::vector<std::string>& notes,
                            const std::string& file = "") {
  detail::OddSegments reversed("detection");
  for (const VideoDetections& video : set.videos) {
    for (std::size_t i = 0; i < video.detections.size(); ++i) {
      const Segment& s = video.detections[i].segment;
      if (s.end < s.start) reversed.add(video.id, i, s);
    }
  }
  reversed.note(notes, file, " ends before it starts; it can match nothing",
                " end before they start; they can match nothing");
}

/// What the file says beside the detections.
struct DetectionsJsonOptions {
  std::string version = "VERSION 1.3";  ///< what the official evaluator's own sample says
  bool external_data = false;           ///< "external_data": {"used": …}
  std::string details = "";             ///< "external_data": {"details": …}
};

/// detections_to_json — the inverse of detections_from_json. Errors: a class index out of range, a
/// video id that occurs twice, a number that is not finite (JSON has no form for it).
inline io::Json detections_to_json(const DetectionSet& set,
                                   const DetectionsJsonOptions& options = {}) {
  io::Json::object_t results;
  results.reserve(set.videos.size());
  std::unordered_set<std::string_view> ids;
  for (const VideoDetections& video : set.videos) {
    TANDEM_CHECK(ids.insert(video.id).second, "write_detections", "video '", video.id,
                 "' occurs twice");
    io::Json::array_t list;
    list.reserve(video.detections.size());
    for (std::size_t i = 0; i < video.detections.size(); ++i) {
      const Detection& detection = video.detections[i];
      TANDEM_CHECK(
          detection.cls >= 0 && static_cast<std::size_t>(detection.cls) < set.classes.size(),
          "write_detections", "detection ", i, " of video '", video.id, "' has class ",
          detection.cls, ", but there are ", set.classes.size(), " classes");
      TANDEM_CHECK(is_finite(detection.score) && is_finite(detection.segment.start) &&
                       is_finite(detection.segment.end),
                   "write_detections", "detection ", i, " of video '", video.id,
                   "' has a score or time that is not finite");
      io::Json entry = io::Json::object();
      entry["label"] = set.classes[static_cast<std::size_t>(detection.cls)];
      entry["score"] = detection.score;
      entry["segment"] = {detection.segment.start, detection.segment.end};
      list.push_back(std::move(entry));
    }
    results.emplace_back(video.id, io::Json(std::move(list)));
  }
  io::Json root = io::Json::object();
  root["version"] = options.version;
  root["results"] = io::Json(std::move(results));
  io::Json external = io::Json::object();
  external["used"] = options.external_data;
  external["details"] = options.details;
  root["external_data"] = std::move(external);
  return root;
}

/// write_detections — writes an ActivityNet JSON file in one step (temporary file, fsync, rename).
/// Numbers carry the digits that give back the same doubles.
///   write_detections("detections.json", detections);
inline void write_detections(const std::string& path, const DetectionSet& set,
                             const DetectionsJsonOptions& options = {}) {
  io::write_text(path, io::json_text(detections_to_json(set, options)) + "\n");
}

}  // namespace wtal
TANDEM_NAMESPACE_END
