#pragma once
/// What a data set is, in a few bytes per video, so that a run that goes on finds out when it was
/// given other data.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/io/checksum.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/tensor/tensor.hpp"
#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The checksum of a tensor's elements, row by row, and of its sizes.
template <Element T>
std::uint64_t tensor_checksum(const Tensor<T>& x) {
  const Tensor<T> dense = x.detach().contiguous();
  const std::vector<std::int64_t> shape(x.shape().begin(), x.shape().end());
  return io::checksum(dense.data(), static_cast<std::size_t>(dense.numel()) * sizeof(T),
                      io::checksum(shape.data(), shape.size() * sizeof(std::int64_t)));
}

/// One video of a fingerprint. Checksums are hexadecimal; "" where the run did not read the rows.
struct VideoFingerprint {
  std::string id, subset;
  std::int64_t rows = 0;
  std::vector<int> labels = {};     ///< video-level classes
  std::string i3d = {}, clip = {};  ///< of all rows, as float32
  /// Of duration, instances and ambiguous stretches: what an evaluation reads
  std::string segments = {};
};

/// Classes in their order, videos in theirs. All rows enter: they are read before the first step
/// anyway, to find those that are not finite, and the checksum runs at the speed of memory.
///
///     DataFingerprint now;
///     now.add(train);   // a VideoSource, or anything with truth(), i3d(v), clip(v)
///     now.add(test);
///     DataFingerprint::parse(saved, "checkpoint").check(now, "run1/checkpoint.safetensors");
struct DataFingerprint {
  std::vector<std::string> classes;      ///< names, in their order
  std::vector<VideoFingerprint> videos;  ///< in their order

  /// Appends the videos of a source. Rows that are undefined there are not read by this run.
  /// `visit()` after each video.
  template <class Source, class Visit>
  void add(const Source& source, const Visit& visit) {
    const GroundTruth& truth = source.truth();
    classes = truth.classes;
    for (std::size_t v = 0; v < truth.videos.size(); ++v) {
      const VideoTruth& video = truth.videos[v];
      VideoFingerprint out{.id = video.id, .subset = video.subset, .labels = video.labels};
      const auto read = [&out](const Tensor<float>& rows) {
        if (!rows.defined()) return std::string();
        out.rows = rows.size(0);
        return io::hexadecimal(tensor_checksum(rows));
      };
      out.i3d = read(source.i3d(v));
      out.clip = read(source.clip(v));
      out.segments = io::hexadecimal(segments_of(video));
      videos.push_back(std::move(out));
      visit();
    }
  }
  template <class Source>
  void add(const Source& source) {
    add(source, [] {});
  }

  /// {"classes": [names], "videos": [[id, subset, rows, [classes], I3D, CLIP, segments], …]}
  std::string json() const {
    io::Json::array_t list;
    for (const VideoFingerprint& v : videos) {
      io::Json::array_t entry{v.id, v.subset, v.rows, v.labels, v.i3d, v.clip, v.segments};
      list.emplace_back(std::move(entry));
    }
    io::Json root = io::Json::object();
    root["classes"] = classes;
    root["videos"] = io::Json(std::move(list));
    return io::json_text(root);
  }
  /// The inverse of json(); `name` is for messages.
  static DataFingerprint parse(std::string_view text, const std::string& name) {
    const auto document = io::JsonDocument::parse(text, name);
    DataFingerprint out;
    const io::JsonRef classes = document.root().at("classes"),
                      videos = document.root().at("videos");
    for (const auto& one : classes.array()) out.classes.push_back(classes.of(one).string());
    for (const auto& one : videos.array()) {
      const io::JsonRef entry = videos.of(one);
      VideoFingerprint v{.id = entry.at(std::size_t{0}).string(),
                         .subset = entry.at(1).string(),
                         .rows = entry.at(2).integer(0)};
      const io::JsonRef labels = entry.at(3);
      for (const auto& label : labels.array()) {
        v.labels.push_back(static_cast<int>(
            labels.of(label).integer(0, static_cast<std::int64_t>(out.classes.size()) - 1)));
      }
      v.i3d = entry.at(4).string();
      v.clip = entry.at(5).string();
      v.segments = entry.at(6).string();
      out.videos.push_back(std::move(v));
    }
    return out;
  }

  /// Refuses data other than these, in one sentence that says what differs first and, of rows, in
  /// how many videos.
  void check(const DataFingerprint& now, const std::string& run) const {
    const std::string what = difference(now);
    TANDEM_CHECK(what.empty(), "data", run, " belongs to other data: ", what,
                 "; a run goes on with the data that it began with, --fresh or another --out "
                 "begins a new one");
  }

  /// What annotations say of these videos and not these: classes, and of each video its subset,
  /// labels, duration and segments. Rows are not asked, and videos that are none of these neither.
  /// "" when there is none.
  std::string annotation_difference(const GroundTruth& truth) const {
    DataFingerprint mine = *this, its{.classes = truth.classes, .videos = {}};
    const auto places = truth.index();
    for (VideoFingerprint& v : mine.videos) {
      v.rows = 0, v.i3d.clear(), v.clip.clear();
      const auto at = places.find(v.id);
      if (at == places.end()) continue;
      const VideoTruth& video = truth.videos[at->second];
      its.videos.push_back({.id = video.id,
                            .subset = video.subset,
                            .labels = video.labels,
                            .segments = io::hexadecimal(segments_of(video))});
    }
    return mine.difference(its);
  }

  /// "" when there is none.
  std::string difference(const DataFingerprint& now) const {
    if (std::string text = class_difference(classes, now.classes); !text.empty()) return text;
    // Which videos, and in which order.
    const auto place = [](const std::vector<VideoFingerprint>& list, const std::string& id) {
      for (std::size_t v = 0; v < list.size(); ++v) {
        if (list[v].id == id) return v;
      }
      return list.size();
    };
    bool same_ids = videos.size() == now.videos.size();
    for (std::size_t v = 0; same_ids && v < videos.size(); ++v)
      same_ids = videos[v].id == now.videos[v].id;
    if (!same_ids) {
      for (const VideoFingerprint& v : videos) {
        if (place(now.videos, v.id) == now.videos.size())
          return concat("the video '", v.id, "' is not among them");
      }
      for (const VideoFingerprint& v : now.videos) {
        if (place(videos, v.id) == videos.size()) return concat("the video '", v.id, "' is new");
      }
      for (std::size_t v = 0; v < videos.size() && v < now.videos.size(); ++v) {
        if (videos[v].id != now.videos[v].id) {
          return concat("video ", v + 1, " was '", videos[v].id, "' and is '", now.videos[v].id,
                        "', so their order changed");
        }
      }
      return concat("there were ", videos.size(), " videos and are ", now.videos.size());
    }
    for (std::size_t v = 0; v < videos.size(); ++v) {
      const VideoFingerprint &a = videos[v], &b = now.videos[v];
      if (a.subset != b.subset)
        return concat("the video '", a.id, "' was in the subset '", a.subset, "' and is in '",
                      b.subset, "'");
      if (a.rows != b.rows && a.rows > 0 && b.rows > 0) {
        return concat("the video '", a.id, "' had ", a.rows, " rows and has ", b.rows);
      }
      if (a.labels != b.labels) {
        return concat("the video '", a.id, "' was labelled ", names(a.labels), " and is labelled ",
                      names(b.labels));
      }
    }
    if (std::string text = other_values(now, "I3D rows", &VideoFingerprint::i3d); !text.empty())
      return text;
    if (std::string text = other_values(now, "CLIP rows", &VideoFingerprint::clip); !text.empty())
      return text;
    return other_values(now, "segments or durations", &VideoFingerprint::segments);
  }

  /// "" when the lists are the same, else what differs first: "class 3 of 20 was 'Diving' and is
  /// 'Shotput'".
  static std::string class_difference(const std::vector<std::string>& before,
                                      const std::vector<std::string>& now) {
    for (std::size_t c = 0; c < before.size() && c < now.size(); ++c) {
      if (before[c] == now[c]) continue;
      const bool moved = std::find(now.begin(), now.end(), before[c]) != now.end();
      return concat("class ", c + 1, " of ", before.size(), " was '", before[c], "' and is '",
                    now[c], "'", moved ? ", so their order changed" : "");
    }
    if (before.size() == now.size()) return "";
    return concat("there were ", before.size(), " classes and are ", now.size());
  }

 private:
  static std::uint64_t segments_of(const VideoTruth& video) {
    std::vector<double> numbers{video.duration};
    for (const Instance& one : video.instances) {
      numbers.insert(numbers.end(),
                     {one.segment.start, one.segment.end, static_cast<double>(one.cls)});
    }
    for (const Segment& one : video.ambiguous)
      numbers.insert(numbers.end(), {one.start, one.end, -1});
    return io::checksum(numbers.data(), numbers.size() * sizeof(double));
  }

  std::string names(const std::vector<int>& labels) const {
    std::string out;
    for (const int label : labels)
      out += concat(out.empty() ? "'" : ", '", classes[static_cast<std::size_t>(label)], "'");
    return out.empty() ? "nothing" : out;
  }

  std::string other_values(const DataFingerprint& now, const char* what,
                           std::string VideoFingerprint::*value) const {
    std::string first;
    std::size_t count = 0;
    for (std::size_t v = 0; v < videos.size(); ++v) {
      const std::string &a = videos[v].*value, &b = now.videos[v].*value;
      if (a == b || a.empty() || b.empty()) continue;
      if (count++ == 0) first = videos[v].id;
    }
    if (count == 0) return "";
    return concat("the ", what, " of ", count, " of ", videos.size(),
                  " videos are not what they were, first those of '", first, "'");
  }
};

}  // namespace wtal
TANDEM_NAMESPACE_END
