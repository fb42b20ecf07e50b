#pragma once
/// Data sets on disk: annotations in any layout of the field, joined with I3D and CLIP features.
///                                                                                  [method §2, §8]
///   THUMOS14 and ActivityNet1.2, W-TALC layout   <name>-Annotations/, <name>-I3D-JOINTFeatures.npy
///   THUMOS14, BaS-Net layout                      gt.json, split_*.txt, features/{train,test}/…
///   either with CLIP features in                  clip/<id>.npy of (T, 512)

#include <dirent.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "tandem/wtal/data/batch.hpp"
#include "tandem/wtal/data/features.hpp"
#include "tandem/wtal/data/row_lengths.hpp"
#include "tandem/wtal/data/wtalc.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Test videos that the BaS-Net family leaves out: 270 and 1496 are wrongly annotated, 1292 has no
/// instance. Its published gt.json and split lists do not name them either.
inline constexpr const char* basnet_excluded[] = {"video_test_0000270", "video_test_0001292",
                                                  "video_test_0001496"};

/// read_basnet — ground truth of a folder with gt.json and, optionally, split_train.txt and
/// split_test.txt. Videos outside the split lists and those of basnet_excluded are left out, and
/// each is said in `notes`. A video of a list that gt.json does not know is an error.
inline GroundTruth read_basnet(const std::string& folder,
                               std::vector<std::string>* notes = nullptr) {
  const std::string json = io::join_path(folder, "gt.json");
  GroundTruth truth = read_annotations(json);
  std::unordered_set<std::string> listed;
  bool has_lists = false;
  for (const char* name : {"split_train.txt", "split_test.txt"}) {
    const std::string path = io::join_path(folder, name);
    if (!io::is_file(path)) continue;
    has_lists = true;
    const auto known = truth.index();
    const std::string text = io::read_text(path);
    for (std::size_t at = 0; at < text.size();) {
      std::size_t end = text.find('\n', at);
      if (end == std::string::npos) end = text.size();
      std::string id = text.substr(at, end - at);
      at = end + 1;
      while (!id.empty() && (id.back() == '\r' || id.back() == ' ')) id.pop_back();
      if (id.empty()) continue;
      TANDEM_CHECK(known.contains(id), "basnet", path, ": the video ", id.substr(0, 80),
                   " is not in ", json);
      listed.insert(std::move(id));
    }
  }
  std::size_t outside = 0;
  std::erase_if(truth.videos, [&](const VideoTruth& video) {
    for (const char* id : basnet_excluded) {
      if (video.id == id) {
        if (notes != nullptr)
          notes->push_back(concat(id, " is left out, as the BaS-Net family does"));
        return true;
      }
    }
    const bool drop = has_lists && !listed.contains(video.id);
    outside += drop;
    return drop;
  });
  if (outside > 0 && notes != nullptr) {
    notes->push_back(concat(outside, " videos of ", json, " are in no split list and left out"));
  }
  return truth;
}

/// Names of the entries of a folder, sorted.
inline std::vector<std::string> list_folder(const std::string& path) {
  std::vector<std::string> names;
  DIR* folder = ::opendir(path.c_str());
  TANDEM_CHECK(folder != nullptr, "open", path,
               ": cannot read the folder: ", io::detail::system_message(errno));
  while (const dirent* entry = ::readdir(folder)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(folder);
  std::sort(names.begin(), names.end());
  return names;
}

/// read_ground_truth — any of the layouts: a W-TALC folder, a folder with gt.json (BaS-Net), a
/// folder that holds one of these, or a JSON or CSV file. What a user should know goes to `notes`,
/// a sentence each.
///   const GroundTruth truth = read_ground_truth("Thumos14reduced-Annotations");
inline GroundTruth read_ground_truth(const std::string& path,
                                     std::vector<std::string>* notes = nullptr) {
  const auto read = [&]() -> GroundTruth {
    if (!io::is_directory(path)) return read_annotations(path);
    if (is_wtalc_folder(path)) return read_wtalc(path);
    if (io::is_file(io::join_path(path, "gt.json"))) return read_basnet(path, notes);
    std::string found;
    for (const std::string& name : list_folder(path)) {
      const std::string inner = io::join_path(path, name);
      if (!is_wtalc_folder(inner)) continue;
      TANDEM_CHECK(found.empty(), "read_ground_truth", path, ": holds two annotation folders, ",
                   found, " and ", inner, "; name one of them");
      found = inner;
    }
    TANDEM_CHECK(!found.empty(), "read_ground_truth", path,
                 ": the folder has neither gt.json nor W-TALC annotations (classlist.npy with "
                 "segments.npy or "
                 "labels_all.npy)");
    return read_wtalc(found);
  };
  GroundTruth truth = read();
  if (notes != nullptr) note_segments(truth, *notes, path);
  return truth;
}

/// The subsets to train on and to test on.
struct SubsetNames {
  std::string train = {}, test = {};
  bool has_test = true;  ///< false: there are training videos only
};

/// find_subsets — by what the files of the field call them: train and test; validation and test
/// (THUMOS14);
/// training and validation (ActivityNet, whose testing half is not annotated: a pair whose test
/// half has segments goes before one without). A single subset that is not a test subset by its
/// name is trained on, and nothing is tested. Errors: no such pair; names that differ only in case
/// or spaces, or "train" beside "training", of which one would be left out.
inline SubsetNames find_subsets(const GroundTruth& truth) {
  const std::vector<std::string> names = truth.subsets();
  const auto meaning = [](const std::string& name) {
    std::string key = detail::spelling_key(name);
    return key == "training"  ? std::string("train")
           : key == "testing" ? std::string("test")
           : key == "val"     ? std::string("validation")
                              : key;
  };
  for (std::size_t a = 0; a < names.size(); ++a) {
    for (std::size_t b = a + 1; b < names.size(); ++b) {
      TANDEM_CHECK(meaning(names[a]) != meaning(names[b]), "find_subsets",
                   "there are videos of the subset '", names[a], "' and of '", names[b],
                   "', which look like one: spell them alike, or name the subsets that are meant");
    }
  }
  const auto has = [&](const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const char* pairs[][2] = {{"train", "test"},       {"training", "testing"},
                            {"training", "test"},    {"training", "validation"},
                            {"train", "validation"}, {"validation", "test"},
                            {"train", "val"},        {"train", "testing"}};
  std::string all;
  for (const std::string& name : names) all += concat(all.empty() ? "'" : ", '", name, "'");
  if (names.size() == 1) {
    const std::string& only = names[0];
    TANDEM_CHECK(only != "test" && only != "testing", "find_subsets",
                 "all videos are of the subset ", all, ": there is nothing to train on");
    return {only, "", false};
  }
  std::optional<SubsetNames> out;
  for (const auto& [train, test] : pairs) {
    if (!has(train) || !has(test)) continue;
    const bool annotated = std::any_of(
        truth.videos.begin(), truth.videos.end(),
        [&](const VideoTruth& video) { return video.subset == test && !video.instances.empty(); });
    if (!out || annotated) out = SubsetNames{train, test};
    if (annotated) break;
  }
  TANDEM_CHECK(out.has_value(), "find_subsets",
               "cannot tell the training from the test subset among ", all, "; name them");
  return *out;
}

/// Where a data set lies and how strict to be with it.
struct DatasetOptions {
  std::string annotations = {};  ///< what read_ground_truth takes
  std::string i3d = {};  ///< what FeatureFiles takes; empty: there are none, and i3d() is undefined
  std::string clip = {};  ///< likewise
  /// Which kinds of rows will be read; find_dataset neither looks for nor demands the other.
  bool need_i3d = true, need_clip = true;
  /// The subsets that will be used, by name; the others need no features and are left out. Empty:
  /// all.
  std::vector<std::string> subsets = {};
  /// Seconds of a row, where extract_features did not write it; 0: the convention.
  double seconds_per_row = 0;
  /// CLIP and I3D rows of a video may differ by this many, since programs cut the end differently;
  /// the longer is trimmed to the shorter, and a note says so. More is an error.  (reading)
  std::int64_t max_row_difference = 4;
  /// Leave out videos without features instead of refusing them. Leaving out test videos changes
  /// what an mAP means, so it is off; a note says which.
  bool allow_missing = false;
  /// Bytes of converted rows kept in memory, so that each video is converted once; rows that are
  /// shared with a mapped file do not count.
  std::size_t cache_bytes = std::size_t{4} << 30;
};

/// Fills the empty paths from one folder: annotations in it, i3d in a *JOINTFeatures.npy, features/
/// or i3d/, CLIP rows in clip/ or clip_features/. Paths of rows that are not needed become empty.
inline DatasetOptions find_dataset(const std::string& folder, DatasetOptions options = {}) {
  TANDEM_CHECK(io::is_directory(folder), "find_dataset", folder, ": there is no such folder");
  if (options.annotations.empty()) options.annotations = folder;
  const auto try_folders = [&](std::string& path, std::initializer_list<const char*> names) {
    for (const char* name : names) {
      const std::string inner = io::join_path(folder, name);
      if (path.empty() && io::is_directory(inner)) path = inner;
    }
  };
  if (!options.need_i3d) {
    options.i3d.clear();
  } else if (options.i3d.empty()) {
    for (const std::string& name : list_folder(folder)) {
      if (!name.ends_with("JOINTFeatures.npy")) continue;
      TANDEM_CHECK(options.i3d.empty(), "find_dataset", folder, ": holds two joint feature files, ",
                   options.i3d, " and ", name, "; name one of them");
      options.i3d = io::join_path(folder, name);
    }
    try_folders(options.i3d, {"features", "i3d", "i3d_features"});
  }
  if (!options.need_clip) {
    options.clip.clear();
  } else {
    try_folders(options.clip, {"clip", "clip_features"});
  }
  TANDEM_CHECK(!options.i3d.empty() || !options.need_i3d, "find_dataset", folder,
               ": holds no I3D features (a *JOINTFeatures.npy, features/ or i3d/)");
  TANDEM_CHECK(!options.clip.empty() || !options.need_clip, "find_dataset", folder,
               ": holds no CLIP features (clip/); extract_features makes them from the videos");
  return options;
}

/// A data set on disk. Opening it checks everything but the feature values: every video has
/// features of both kinds (of the one, where only one is named), widths agree, row counts fit, and
/// rows × seconds agree with the annotated durations. Values are read, checked and converted when a
/// video is asked for. Not for use by several threads at once.
///
///     Dataset all(find_dataset("data/thumos14"));
///     for (const std::string& note : all.notes()) puts(note.c_str());
///     SubsetSource train(all, find_subsets(all.truth()).train);
class Dataset final : public VideoSource {
 public:
  explicit Dataset(const DatasetOptions& options) : options_(options) {
    truth_ = read_ground_truth(options.annotations, &notes_);
    open();
  }
  /// With annotations that were read already, and what was noted then.
  Dataset(const DatasetOptions& options, GroundTruth truth, std::vector<std::string> notes = {})
      : options_(options), notes_(std::move(notes)), truth_(std::move(truth)) {
    open();
  }

  const GroundTruth& truth() const override { return truth_; }
  Tensor<float> i3d(std::size_t video) const override { return rows_of(i3d_, video, 0); }
  Tensor<float> clip(std::size_t video) const override { return rows_of(clip_, video, 1); }
  /// T of a video, without reading its rows.
  std::int64_t rows(std::size_t video) const { return rows_.at(video); }
  /// Columns of the rows; 0 where that kind is not there.
  std::int64_t i3d_columns() const { return i3d_ ? i3d_->columns() : 0; }
  std::int64_t clip_columns() const { return clip_ ? clip_->columns() : 0; }
  double seconds_per_row(std::size_t video) const override {
    return row_lengths_.seconds.at(video);
  }
  /// The seconds per row of all videos, and where they come from.
  const RowLengths& row_lengths() const { return row_lengths_; }
  /// What was found and done that a user should know, one sentence each.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  static std::string list_ids(const std::vector<std::string>& ids) {
    std::string out;
    for (std::size_t i = 0; i < ids.size() && i < 3; ++i) out += concat(i > 0 ? ", " : "", ids[i]);
    return ids.size() > 3 ? out + ", …" : out;
  }

  void open() {
    TANDEM_CHECK(!options_.i3d.empty() || !options_.clip.empty(), "dataset",
                 "there are no features: name I3D or CLIP "
                 "features");
    if (!options_.i3d.empty()) i3d_ = std::make_unique<FeatureFiles>(options_.i3d, truth_);
    if (!options_.clip.empty()) clip_ = std::make_unique<FeatureFiles>(options_.clip, truth_);
    leave_out_missing();
    match_rows();
    std::vector<std::string> features;
    for (const std::string& path : {options_.i3d, options_.clip}) {
      if (!path.empty()) features.push_back(path);
    }
    row_lengths_ = find_row_lengths(truth_, rows_, features, options_.seconds_per_row,
                                    options_.max_row_difference);
    if (row_lengths_.random_weights) {
      notes_.push_back(
          "the features come from encoders with RANDOM weights: this shows that the programs work "
          "together, not how good they are");
    }
    check_row_lengths(truth_, rows_, row_lengths_, notes_);
    note_oddities();
    cache_.resize(2 * place_.size());
  }

  bool wanted(const VideoTruth& video) const {
    const auto& names = options_.subsets;
    return names.empty() || std::find(names.begin(), names.end(), video.subset) != names.end();
  }

  void leave_out_missing() {
    std::vector<std::string> missing;
    std::vector<VideoTruth> kept;
    for (std::size_t v = 0; v < truth_.videos.size(); ++v) {
      if (!wanted(truth_.videos[v])) continue;
      const bool no_i3d = i3d_ && !i3d_->has(v), no_clip = clip_ && !clip_->has(v);
      if (!no_i3d && !no_clip) {
        place_.push_back(v);
        kept.push_back(truth_.videos[v]);
      } else {
        missing.push_back(concat(truth_.videos[v].id, no_i3d ? " (I3D)" : " (CLIP)"));
      }
    }
    if (!missing.empty()) {
      const std::string what = concat(missing.size(), " of ", missing.size() + kept.size(),
                                      " videos have no features: ", list_ids(missing));
      TANDEM_CHECK(options_.allow_missing && !kept.empty(), "dataset", what, "; looked in ",
                   options_.i3d, i3d_ && clip_ ? " and " : "", options_.clip);
      notes_.push_back(what + "; they are left out");
    }
    TANDEM_CHECK(!kept.empty(), "dataset", "no video is of the subsets that are asked for");
    truth_.videos = std::move(kept);
  }

  void match_rows() {
    std::vector<std::string> trimmed;
    for (std::size_t v = 0; v < place_.size(); ++v) {
      const std::int64_t a = i3d_ ? i3d_->rows(place_[v]) : clip_->rows(place_[v]);
      const std::int64_t b = clip_ ? clip_->rows(place_[v]) : a;
      const std::int64_t difference = a > b ? a - b : b - a;
      TANDEM_CHECK(difference <= options_.max_row_difference, "dataset", "video ",
                   truth_.videos[v].id, " has ", a, " I3D rows and ", b,
                   " CLIP rows; both should have one per snippet, and may differ by ",
                   options_.max_row_difference);
      if (difference > 0) trimmed.push_back(truth_.videos[v].id);
      rows_.push_back(a < b ? a : b);
    }
    if (trimmed.empty()) return;
    notes_.push_back(concat(trimmed.size(),
                            " videos have a few more rows of one kind than of the other, "
                            "which are left out: ",
                            list_ids(trimmed)));
  }

  void note_oddities() {
    std::vector<std::string> unlabelled, disagreeing;
    std::size_t past = 0, pointlike = 0;
    for (const VideoTruth& video : truth_.videos) {
      std::vector<int> own;
      for (const Instance& instance : video.instances) {
        own.push_back(instance.cls);
        past += video.duration > 0 && instance.segment.end > video.duration;
        pointlike += instance.segment.length() == 0;
      }
      std::sort(own.begin(), own.end());
      own.erase(std::unique(own.begin(), own.end()), own.end());
      if (video.labels.empty()) unlabelled.push_back(video.id);
      // Labels without any segment are the task's own definition.
      if (!own.empty() && own != video.labels) disagreeing.push_back(video.id);
    }
    if (!unlabelled.empty()) {
      notes_.push_back(concat(
          unlabelled.size(), unlabelled.size() == 1 ? " video has" : " videos have",
          " no label: ", list_ids(unlabelled), "; to train on it means that no action is there"));
    }
    if (!disagreeing.empty()) {
      notes_.push_back(concat(disagreeing.size(),
                              " videos have labels that differ from the classes of "
                              "their segments: ",
                              list_ids(disagreeing)));
    }
    if (past > 0) notes_.push_back(concat(past, " segments run past the end of their video"));
    if (pointlike > 0) notes_.push_back(concat(pointlike, " segments have no length"));
  }

  Tensor<float> rows_of(const std::unique_ptr<FeatureFiles>& files, std::size_t video,
                        std::size_t kind) const {
    if (!files) return {};
    Tensor<float>& slot = cache_.at(2 * video + kind);
    if (slot.defined()) return slot;
    Tensor<float> x = files->read(place_[video]);
    if (x.size(0) > rows_[video]) x = x.slice(0, 0, rows_[video]);
    const std::size_t bytes =
        x.storage()->writable() ? static_cast<std::size_t>(x.storage()->bytes()) : 0;
    if (cached_ + bytes <= options_.cache_bytes) {
      cached_ += bytes;
      slot = x;
    }
    return x;
  }

  DatasetOptions options_;
  std::vector<std::string> notes_;
  GroundTruth truth_;
  std::unique_ptr<FeatureFiles> i3d_, clip_;
  std::vector<std::size_t> place_;  // video → its position in the feature files
  std::vector<std::int64_t> rows_;
  RowLengths row_lengths_;
  mutable std::vector<Tensor<float>> cache_;
  mutable std::size_t cached_ = 0;
};

/// The videos of one subset of a Dataset, which must outlive it.
class SubsetSource final : public VideoSource {
 public:
  /// No videos, but the classes of the data set: the test half of a data set that has none.
  explicit SubsetSource(const Dataset& all) : all_(all) { truth_.classes = all.truth().classes; }
  SubsetSource(const Dataset& all, const std::string& subset)
      : all_(all), truth_(all.truth().only(subset)) {
    for (std::size_t v = 0; v < all.truth().videos.size(); ++v) {
      if (all.truth().videos[v].subset == subset) videos_.push_back(v);
    }
    TANDEM_CHECK(!videos_.empty(), "dataset", "the subset '", subset, "' has no videos",
                 did_you_mean(subset, all.truth().subsets()));
  }

  const GroundTruth& truth() const override { return truth_; }
  Tensor<float> i3d(std::size_t video) const override { return all_.i3d(videos_.at(video)); }
  Tensor<float> clip(std::size_t video) const override { return all_.clip(videos_.at(video)); }
  /// T of a video.
  std::int64_t rows(std::size_t video) const { return all_.rows(videos_.at(video)); }
  double seconds_per_row(std::size_t video) const override {
    return all_.seconds_per_row(videos_.at(video));
  }

 private:
  const Dataset& all_;
  GroundTruth truth_;
  std::vector<std::size_t> videos_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
