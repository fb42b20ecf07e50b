#pragma once
/// Ground truth from single files: ActivityNet-style JSON and the THUMOS14 table (CSV).

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tandem/clip/fix_text.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/io/utf8.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/wtal/data/detections_json.hpp"
#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The 20 THUMOS14 detection classes in alphabetical order, which is their index everywhere.
inline const std::vector<std::string>& thumos14_classes() {
  static const std::vector<std::string> names = {
      "BaseballPitch",  "BasketballDunk", "Billiards",    "CleanAndJerk", "CliffDiving",
      "CricketBowling", "CricketShot",    "Diving",       "FrisbeeCatch", "GolfSwing",
      "HammerThrow",    "HighJump",       "JavelinThrow", "LongJump",     "PoleVault",
      "Shotput",        "SoccerPenalty",  "TennisSwing",  "ThrowDiscus",  "VolleyballSpiking"};
  return names;
}

namespace detail {

/// What is left of a class name without case, spaces and the punctuation of names: "Baseball_pitch"
/// → "baseballpitch". Signs that tell names apart ("C", "C++", "C#") stay. Composed, full-width and
/// invisible characters are told apart as little as the tokenizer does.
inline std::string spelling_key(std::string_view name) {
  std::string text;
  if (std::all_of(name.begin(), name.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 128; })) {
    text = name;
  } else {
    std::u32string wide;
    for (std::string_view rest = name; !rest.empty();) {
      std::uint32_t code = 0;
      const std::size_t length = io::decode_utf8(rest, code);
      if (length == 0)
        code = 0xDC00u +
               static_cast<unsigned char>(rest[0]);  // no character: stays different from all
      rest.remove_prefix(length > 0 ? length : 1);
      const bool invisible = (code >= 0x200B && code <= 0x200D) || code == 0x2060 || code == 0xFEFF;
      if (!invisible) wide += static_cast<char32_t>(code);
    }
    for (const char32_t c : clip::fix_text(wide))
      io::append_utf8(text, static_cast<std::uint32_t>(c));
  }
  std::string key;
  for (const char c : text) {
    if (std::string_view(" \t_-.,:;'\"/").find(c) != std::string_view::npos) continue;
    key += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return key;
}

/// Two of the names that differ only in their spelling.
inline std::optional<std::pair<std::size_t, std::size_t>> same_but_for_spelling(
    const std::vector<std::string>& names) {
  std::unordered_map<std::string, std::size_t> known;
  for (std::size_t c = 0; c < names.size(); ++c) {
    const std::string key = spelling_key(names[c]);
    if (key.empty()) continue;
    const auto [entry, added] = known.emplace(key, c);
    if (!added) return std::pair(entry->second, c);
  }
  return std::nullopt;
}

inline std::string twin_message(const std::vector<std::string>& names,
                                std::pair<std::size_t, std::size_t> twins) {
  return concat(
      "the classes \"", names[twins.first].substr(0, 60), "\" and \"",
      names[twins.second].substr(0, 60),
      "\" differ only in case, spaces or punctuation; to the program they would be two classes: "
      "spell them alike");
}

/// Puts classes in alphabetical order, so that every layout of a data set gives the same indices,
/// and adds the classes of the instances to `labels`.
inline void finish_ground_truth(GroundTruth& truth) {
  for (const std::string& name : truth.classes) {
    TANDEM_CHECK(!name.empty(), "annotations",
                 "a label is empty: every action needs the name of its class");
  }
  std::vector<int> order(truth.classes.size());
  for (std::size_t c = 0; c < order.size(); ++c) order[c] = static_cast<int>(c);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return truth.classes[static_cast<std::size_t>(a)] < truth.classes[static_cast<std::size_t>(b)];
  });
  std::vector<int> place(order.size());
  std::vector<std::string> names(order.size());
  for (std::size_t c = 0; c < order.size(); ++c) {
    const auto old = static_cast<std::size_t>(order[c]);
    place[old] = static_cast<int>(c);
    names[c] = std::move(truth.classes[old]);
  }
  truth.classes = std::move(names);
  for (VideoTruth& video : truth.videos) {
    for (int& label : video.labels) label = place[static_cast<std::size_t>(label)];
    for (Instance& instance : video.instances) {
      instance.cls = place[static_cast<std::size_t>(instance.cls)];
      video.labels.push_back(instance.cls);
    }
    std::sort(video.labels.begin(), video.labels.end());
    video.labels.erase(std::unique(video.labels.begin(), video.labels.end()), video.labels.end());
  }
}

}  // namespace detail

/// annotations_from_json — ground truth in the ActivityNet form and its relatives:
///   {"database": {id: {"subset", "duration", "annotations": [{"segment": [s, e], "label"}]}}}
/// as ActivityNet and BaS-Net's gt.json have it, or the inner object alone (mmaction2). Segments
/// may be numbers or strings of numbers; "subset", "duration" and "annotations" may be missing;
/// other keys are not looked at. Classes are put in alphabetical order.
///
/// Labels of a whole video need no segment: {"label": "Diving"} or just "Diving" in "annotations",
/// or "labels": ["Diving", …] beside them (one name, or "label", does too). A video's labels are
/// these and those of its segments.
///
/// Errors name the place in the file; two classes that differ only in case, spaces or punctuation
/// ("BaseballPitch", "baseball pitch") are one: a single odd label would otherwise become a class
/// of its own.
inline GroundTruth annotations_from_json(const io::JsonDocument& document) {
  GroundTruth truth;
  detail::ClassNames class_index(truth.classes);
  std::vector<const io::Json*> first;  // where each class occurs first
  const auto class_of = [&](const io::JsonRef& name) {
    const int cls = class_index(name.string());
    if (truth.classes.size() > first.size()) first.push_back(&name.json());
    return cls;
  };
  const io::JsonRef root = document.root();
  if (root.json().is_object() && root.json().contains("results")) {
    root.error("this looks like a file of detections (it has \"results\"), not of ground truth");
  }
  const io::JsonRef database =
      root.json().is_object() && root.json().contains("database") ? root.at("database") : root;
  for (const auto& [id, value] : database.members()) {
    const io::JsonRef entry = database.of(value);
    if (!entry.json().is_object()) {
      entry.error("expected a video with \"annotations\", found ", entry.kind_name());
    }
    VideoTruth video{.id = id};
    video.subset = entry.get("subset", "");
    if (const auto duration = entry.find("duration")) {
      video.duration = duration->number_or_text();
      if (!(video.duration >= 0)) duration->error("a duration cannot be negative");
    }
    if (const auto list = entry.find("annotations")) {
      for (const io::Json& element : list->array()) {
        const io::JsonRef annotation = list->of(element);
        if (annotation.json().is_string()) {
          video.labels.push_back(class_of(annotation));
          continue;
        }
        const int cls = class_of(annotation.at("label"));
        if (const auto segment = annotation.find("segment")) {
          video.instances.push_back({detail::segment_from_json(*segment), cls});
        } else {
          video.labels.push_back(cls);
        }
      }
    }
    for (const char* key : {"labels", "label"}) {
      const auto own = entry.find(key);
      if (!own) continue;
      if (own->json().is_string()) {
        video.labels.push_back(class_of(*own));
      } else {
        for (const io::Json& element : own->array())
          video.labels.push_back(class_of(own->of(element)));
      }
    }
    truth.videos.push_back(std::move(video));
  }
  if (truth.videos.empty()) root.error("the file names no video");
  if (const auto twins = detail::same_but_for_spelling(truth.classes)) {
    root.of(*first[twins->second]).error(detail::twin_message(truth.classes, *twins));
  }
  detail::finish_ground_truth(truth);
  return truth;
}

/// annotations_from_csv — the THUMOS14 table with the header
///   video-name,t-init,t-end,f-init,f-end,video-duration,frame-rate,video-frames,label-idx
/// label-idx counts thumos14_classes(); −1 marks an ambiguous stretch. Where both times are empty,
/// the label is the video's. Columns are found by name, in
/// any order; only the four that are read must be there. The subset is taken from the video's name
/// ("video_test_…"). `name` is what messages call the text.
inline GroundTruth annotations_from_csv(std::string_view text, const std::string& name) {
  GroundTruth truth;
  truth.classes = thumos14_classes();
  std::unordered_map<std::string, std::size_t> place;
  constexpr std::string_view wanted[] = {"video-name", "t-init", "t-end", "label-idx",
                                         "video-duration"};
  std::size_t column[5];
  std::fill(std::begin(column), std::end(column), std::string_view::npos);
  std::vector<std::string_view> fields;
  for (std::size_t line_number = 1; !text.empty(); ++line_number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    fields.clear();
    for (std::size_t from = 0; from <= line.size();) {
      const std::size_t comma = std::min(line.find(',', from), line.size());
      fields.push_back(line.substr(from, comma - from));
      from = comma + 1;
    }
    if (line_number == 1) {
      for (std::size_t w = 0; w < 5; ++w) {
        for (std::size_t f = 0; f < fields.size(); ++f) {
          if (fields[f] == wanted[w]) column[w] = f;
        }
        TANDEM_CHECK(column[w] != std::string_view::npos || w == 4, "csv", name,
                     ":1: the header has no column '", wanted[w], "'");
      }
      continue;
    }
    auto field = [&](std::size_t w) {
      TANDEM_CHECK(column[w] < fields.size(), "csv", name, ":", line_number, ": expected column '",
                   wanted[w], "', the line has ", fields.size(), " fields");
      return fields[column[w]];
    };
    auto number = [&](std::size_t w) {
      const std::string_view digits = field(w);
      double value = 0;
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), value);
      TANDEM_CHECK(error == std::errc() && end == digits.data() + digits.size() && is_finite(value),
                   "csv", name, ":", line_number, ": expected a number in column '", wanted[w],
                   "', got '", digits.substr(0, 40), "'");
      return value;
    };
    const std::string id(field(0));
    const bool timed = !field(1).empty() || !field(2).empty();
    const Segment segment = timed ? Segment{number(1), number(2)} : Segment{};
    const double label = number(3);
    const double classes = static_cast<double>(truth.classes.size());
    TANDEM_CHECK(label == std::trunc(label) && label >= -1 && label < classes, "csv", name, ":",
                 line_number, ": label-idx counts from -1 to ", truth.classes.size() - 1, ", got ",
                 label);
    const auto [entry, added] = place.emplace(id, truth.videos.size());
    if (added) {
      const bool test = id.starts_with("video_test");
      const bool validation = id.starts_with("video_validation");
      truth.videos.push_back({.id = id,
                              .subset = test         ? "test"
                                        : validation ? "validation"
                                                     : "",
                              .duration = column[4] < fields.size() ? number(4) : 0});
    }
    VideoTruth& video = truth.videos[entry->second];
    if (!timed) {
      TANDEM_CHECK(label >= 0, "csv", name, ":", line_number,
                   ": an ambiguous stretch needs its times");
      video.labels.push_back(static_cast<int>(label));
    } else if (label < 0) {
      video.ambiguous.push_back(segment);
    } else {
      video.instances.push_back({segment, static_cast<int>(label)});
    }
  }
  TANDEM_CHECK(!truth.videos.empty(), "csv", name, ": the file names no video");
  detail::finish_ground_truth(truth);
  return truth;
}

/// add_ambiguous — ambiguous stretches in the form of Ambiguous_test.txt: lines of
/// "video start end", separated by any white space, with or without carriage returns. Videos that
/// are not in the ground truth are passed over. Returns how many stretches were added; `notes` has
/// those that end before they start, by their lines.
inline std::size_t add_ambiguous(GroundTruth& truth, std::string_view text, const std::string& name,
                                 std::vector<std::string>* notes = nullptr) {
  const auto place = truth.index();
  std::size_t added = 0;
  for (std::size_t line_number = 1; !text.empty(); ++line_number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    std::string_view words[3];
    std::size_t n = 0;
    for (;;) {
      const std::size_t from = line.find_first_not_of(" \t\r");
      if (from == std::string_view::npos) break;
      line.remove_prefix(from);
      const std::size_t length = std::min(line.find_first_of(" \t\r"), line.size());
      TANDEM_CHECK(n < 3, "ambiguous", name, ":", line_number,
                   ": expected 'video start end', found more");
      words[n++] = line.substr(0, length);
      line.remove_prefix(length);
    }
    if (n == 0) continue;
    double times[2] = {0, 0};
    for (std::size_t i = 0; i < 2; ++i) {
      const std::string_view digits = words[i + 1];
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), times[i]);
      TANDEM_CHECK(n == 3 && error == std::errc() && end == digits.data() + digits.size() &&
                       is_finite(times[i]),
                   "ambiguous", name, ":", line_number,
                   ": expected 'video start end' with times in seconds");
    }
    if (const auto found = place.find(words[0]); found != place.end()) {
      truth.videos[found->second].ambiguous.push_back({times[0], times[1]});
      if (notes != nullptr && times[1] < times[0]) {
        notes->push_back(concat(name, ":", line_number, ": the ambiguous segment [", times[0], ", ",
                                times[1], "] of ", words[0],
                                " ends before it starts; nothing touches it"));
      }
      ++added;
    }
  }
  return added;
}

/// Says in `notes` which segments cannot be meant: those that end before they start, ambiguous ones
/// too, and those that start before the video does; the first of them by `file`, video and place.
/// They stay what they are (no detection can match the former, and they count as missed).
inline void note_segments(const GroundTruth& truth, std::vector<std::string>& notes,
                          const std::string& file = "") {
  detail::OddSegments reversed("segment"), early("segment"), ambiguous("ambiguous segment");
  for (const VideoTruth& video : truth.videos) {
    for (std::size_t i = 0; i < video.instances.size(); ++i) {
      const Segment& s = video.instances[i].segment;
      if (s.end < s.start) reversed.add(video.id, i, s);
      if (s.start < 0 && s.end >= s.start) early.add(video.id, i, s);
    }
    for (std::size_t i = 0; i < video.ambiguous.size(); ++i) {
      const Segment& s = video.ambiguous[i];
      if (s.end < s.start) ambiguous.add(video.id, i, s);
    }
  }
  reversed.note(notes, file, " ends before it starts; nothing can match it",
                " end before they start; nothing can match them");
  ambiguous.note(notes, file, " ends before it starts; nothing touches it",
                 " end before they start; nothing touches them");
  early.note(notes, file, " starts before its video", " start before their video");
}

/// read_annotations — ground truth from a .json or .csv file, by its first character.
///   const GroundTruth truth = read_annotations("gt.json");
inline GroundTruth read_annotations(const std::string& path) {
  const std::string text = io::read_text(path);
  const std::size_t first = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  TANDEM_CHECK(first != std::string::npos, "read_annotations", path, ": the file is empty");
  if (text[first] == '{' || text[first] == '[') {
    return annotations_from_json(io::JsonDocument::parse(text, path));
  }
  TANDEM_CHECK(
      std::string_view(text).substr(0, text.find('\n')).find(',') != std::string_view::npos,
      "read_annotations", path, ": expected JSON or a CSV table with a header");
  return annotations_from_csv(text, path);
}

/// What align_video_ids did.
struct IdAlignment {
  bool stripped = false;    ///< a leading "v_" was removed from all ids on both sides
  std::size_t matched = 0;  ///< detected videos that the ground truth knows, afterwards
  std::size_t exact = 0;    ///< the same before
};

/// align_video_ids — ActivityNet ids are written with and without a leading "v_". When more
/// detected videos are found in the ground truth without that prefix, it is removed on both sides.
inline IdAlignment align_video_ids(GroundTruth& truth, DetectionSet& detected) {
  const auto bare = [](std::string_view id) { return id.starts_with("v_") ? id.substr(2) : id; };
  std::unordered_set<std::string_view> ids, bare_ids;
  for (const VideoTruth& video : truth.videos) {
    ids.insert(video.id);
    bare_ids.insert(bare(video.id));
  }
  IdAlignment result;
  std::size_t without_prefix = 0;
  for (const VideoDetections& video : detected.videos) {
    result.exact += ids.contains(video.id);
    without_prefix += bare_ids.contains(bare(video.id));
  }
  // Two ids that differ only by the prefix would become one.
  std::unordered_set<std::string_view> bare_detected;
  for (const VideoDetections& video : detected.videos) bare_detected.insert(bare(video.id));
  result.stripped = without_prefix > result.exact && bare_ids.size() == ids.size() &&
                    bare_detected.size() == detected.videos.size();
  result.matched = result.stripped ? without_prefix : result.exact;
  if (result.stripped) {
    for (VideoTruth& video : truth.videos) video.id = std::string(bare(video.id));
    for (VideoDetections& video : detected.videos) video.id = std::string(bare(video.id));
  }
  return result;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
