#pragma once
/// The W-TALC layout of annotations, used by most repositories of the field: a folder of npy files
/// with one row per video.                                                           [method §8, C]
///   classlist |S (C,)   videoname |S (N,)   subset |S (N,)   duration <f8 (N,) or (N, 1)
///   segments |O: per video a list of [start, end]   labels |O: per video one name per segment
///   labels_all |O: per video its video-level names   Ambiguous_test.txt: "video  start end" lines
/// In |O files an array, or np.float64 and np.str_ values, may stand where a list of plain ones is
/// usual, and where all videos have equally many segments the whole may be one array (N, k, 2):
/// what today's NumPy writes.

#include "tandem/io/nested.hpp"
#include "tandem/io/pickle_writer.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/wtal/data/annotations.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

namespace detail {

/// One file of the layout that holds a list per video, with messages that name the file and the
/// video.
class WtalcLists {
 public:
  WtalcLists(const std::string& path, const std::vector<std::string>& ids)
      : file_(path), ids_(ids), root_(file_.root()) {
    TANDEM_CHECK(root_.is_list() && root_.size() == ids.size(), "wtalc", path, ": expected ",
                 ids.size(), " lists, one per video, found ",
                 root_.is_list() ? concat(root_.size()) : root_.kind_name());
    TANDEM_CHECK(file_.expanded_size() / 4 <= file_.bytes(), "wtalc", path,
                 ": its shared lists expand to ", file_.expanded_size(),
                 " values, more than a file of ", file_.bytes(), " bytes can mean");
  }
  io::Nested at(std::size_t video) const {
    io::Nested value = root_[video];
    TANDEM_CHECK(value.is_list(), "wtalc", file_.path(), ": ", ids_[video],
                 ": expected a list, found ", value.kind_name());
    return value;
  }
  template <class... Pieces>
  [[noreturn]] void error(std::size_t video, const Pieces&... pieces) const {
    fail("wtalc", file_.path(), ": ", ids_[video], ": ", pieces...);
  }
  std::string name(std::size_t video, const io::Nested& value) const {
    if (!value.is_string()) error(video, "expected a class name, found ", value.kind_name());
    return value.string();
  }

 private:
  io::NestedFile file_;
  const std::vector<std::string>& ids_;
  io::Nested root_;
};

/// One number per video: (N,), (N, 1), or objects.
inline std::vector<double> wtalc_numbers(const std::string& path, std::size_t videos) {
  const io::NestedFile file(path);
  const io::Nested root = file.root();
  TANDEM_CHECK(root.is_list() && root.size() == videos, "wtalc", path, ": expected ", videos,
               " numbers, one per video, found ",
               root.is_list() ? concat(root.size()) : root.kind_name());
  std::vector<double> out;
  for (std::size_t v = 0; v < videos; ++v) {
    io::Nested value = root[v];
    if (value.is_list() && value.size() == 1) value = value[0];
    TANDEM_CHECK(value.is_number(), "wtalc", path, ": video ", v, ": expected a number, found ",
                 value.kind_name());
    out.push_back(value.number());
  }
  return out;
}

}  // namespace detail

/// True when the folder holds W-TALC annotations; segments need not be among them.
inline bool is_wtalc_folder(const std::string& folder) {
  const auto has = [&](const char* name) { return io::is_file(io::join_path(folder, name)); };
  return has("classlist.npy") &&
         (has("segments.npy") || has("labels_all.npy") || has("labels.npy"));
}

/// read_wtalc — ground truth of a W-TALC folder. Videos and classes keep the order of the files
/// (row i of a joint feature file belongs to video i); values are kept as they are: segments may
/// run past the duration, be empty or be listed under two classes, and `labels` (labels_all) may
/// disagree with the instances or be empty, as in the published THUMOS14 files.
///
/// Video-level labels alone are enough: segments.npy may be missing, or a video may have labels and
/// no segments. A missing labels_all.npy means the names in labels.npy, a missing duration.npy or
/// Ambiguous_test.txt means none.
///   const GroundTruth truth = read_wtalc("Thumos14reduced-Annotations");
/// Errors name file and video: arrays of different length, a name that is not in classlist, two
/// names there that differ only in their spelling, a segment that is not two finite numbers, as
/// many labels as segments, ids that repeat.
inline GroundTruth read_wtalc(const std::string& folder) {
  const auto path = [&](const char* name) { return io::join_path(folder, name); };
  GroundTruth truth;
  truth.classes = io::load_npy_names(path("classlist.npy"));
  const std::vector<std::string> ids = io::load_npy_names(path("videoname.npy"));
  const std::vector<std::string> subsets = io::load_npy_names(path("subset.npy"));
  TANDEM_CHECK(subsets.size() == ids.size(), "wtalc", path("subset.npy"), ": expected ", ids.size(),
               " names, one per video, found ", subsets.size());
  std::vector<double> durations(ids.size(), 0);
  if (io::is_file(path("duration.npy")))
    durations = detail::wtalc_numbers(path("duration.npy"), ids.size());
  std::unordered_map<std::string, int> class_index;
  for (std::size_t c = 0; c < truth.classes.size(); ++c) {
    TANDEM_CHECK(class_index.emplace(truth.classes[c], static_cast<int>(c)).second, "wtalc",
                 path("classlist.npy"), ": the class ", truth.classes[c], " appears twice");
  }
  if (const auto twins = detail::same_but_for_spelling(truth.classes)) {
    fail("wtalc", path("classlist.npy"), ": ", detail::twin_message(truth.classes, *twins));
  }
  const auto class_of = [&](const detail::WtalcLists& lists, std::size_t v,
                            const io::Nested& value) {
    const std::string name = lists.name(v, value);
    const auto found = class_index.find(name);
    if (found == class_index.end()) {
      lists.error(v, "the class ", name.substr(0, 60), " is not in classlist.npy",
                  did_you_mean(name, truth.classes));
    }
    return found->second;
  };
  const bool has_all = io::is_file(path("labels_all.npy")),
             has_segments = io::is_file(path("segments.npy"));
  const bool has_labels = has_segments || io::is_file(path("labels.npy"));
  std::optional<detail::WtalcLists> segments, labels, all;
  if (has_segments) segments.emplace(path("segments.npy"), ids);
  if (has_labels) labels.emplace(path("labels.npy"), ids);
  if (has_all) all.emplace(path("labels_all.npy"), ids);
  std::unordered_set<std::string_view> seen;
  for (std::size_t v = 0; v < ids.size(); ++v) {
    TANDEM_CHECK(seen.insert(ids[v]).second, "wtalc", path("videoname.npy"), ": the video ", ids[v],
                 " appears twice");
    VideoTruth video{.id = ids[v], .subset = subsets[v], .duration = durations[v]};
    TANDEM_CHECK(is_finite(video.duration) && video.duration >= 0, "wtalc", path("duration.npy"),
                 ": ", ids[v], ": the duration is not a length of time");
    if (segments) {
      const io::Nested when = segments->at(v), what = labels->at(v);
      if (when.size() != what.size() && when.size() > 0) {
        labels->error(v, "expected one label for each of ", when.size(), " segments, found ",
                      what.size());
      }
      for (std::size_t i = 0; i < when.size(); ++i) {
        const io::Nested pair = when[i];
        if (!pair.is_list() || pair.size() != 2 || !pair[0].is_number() || !pair[1].is_number() ||
            !is_finite(pair[0].number()) || !is_finite(pair[1].number())) {
          segments->error(v, "segment ", i, " is not a pair of times");
        }
        video.instances.push_back(
            {{pair[0].number(), pair[1].number()}, class_of(*labels, v, what[i])});
      }
    }
    const detail::WtalcLists& names = all ? *all : *labels;
    const io::Nested own = names.at(v);
    for (std::size_t i = 0; i < own.size(); ++i) video.labels.push_back(class_of(names, v, own[i]));
    std::sort(video.labels.begin(), video.labels.end());
    video.labels.erase(std::unique(video.labels.begin(), video.labels.end()), video.labels.end());
    truth.videos.push_back(std::move(video));
  }
  TANDEM_CHECK(!truth.videos.empty(), "wtalc", path("videoname.npy"),
               ": the folder names no video");
  if (const std::string ambiguous = path("Ambiguous_test.txt"); io::is_file(ambiguous)) {
    add_ambiguous(truth, io::read_text(ambiguous), ambiguous);
  }
  return truth;
}

/// write_wtalc — the same folder from ground truth: what read_wtalc reads back equal.
inline void write_wtalc(const std::string& folder, const GroundTruth& truth) {
  io::make_directories(folder);
  const auto path = [&](const char* name) { return io::join_path(folder, name); };
  std::vector<std::string> ids, subsets;
  Tensor<double> durations(Shape{static_cast<std::int64_t>(truth.videos.size())});
  io::Json segments = io::Json::array(), labels = io::Json::array(), all = io::Json::array();
  std::string ambiguous;
  for (const VideoTruth& video : truth.videos) {
    durations.mutable_data()[ids.size()] = video.duration;
    ids.push_back(video.id);
    subsets.push_back(video.subset);
    io::Json times = io::Json::array(), names = io::Json::array(), distinct = io::Json::array();
    for (const Instance& instance : video.instances) {
      times.push_back(std::vector<double>{instance.segment.start, instance.segment.end});
      names.push_back(truth.classes.at(static_cast<std::size_t>(instance.cls)));
    }
    for (const int c : video.labels)
      distinct.push_back(truth.classes.at(static_cast<std::size_t>(c)));
    segments.push_back(std::move(times));
    labels.push_back(std::move(names));
    all.push_back(std::move(distinct));
    for (const Segment& s : video.ambiguous) {
      ambiguous += concat(video.id, "  ", io::json_text(s.start), " ", io::json_text(s.end), "\n");
    }
  }
  io::save_npy_strings(path("classlist.npy"), truth.classes);
  io::save_npy_strings(path("videoname.npy"), ids);
  io::save_npy_strings(path("subset.npy"), subsets);
  io::save_npy(path("duration.npy"), durations);
  io::save_npy_objects(path("segments.npy"), segments);
  io::save_npy_objects(path("labels.npy"), labels);
  io::save_npy_objects(path("labels_all.npy"), all);
  io::write_text(path("Ambiguous_test.txt"), ambiguous);
}

}  // namespace wtal
TANDEM_NAMESPACE_END
