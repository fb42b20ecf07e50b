#pragma once
/// Feature rows of videos from the layouts of the field, opened lazily.             [method §2, §8]

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tandem/io/nested.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

namespace detail {

inline void check_rows(const io::Array& array, const char* what) {
  TANDEM_CHECK(array.rank() == 2 && array.shape[0] > 0 && array.shape[1] > 0, "features",
               array.name, ": expected ", what, " of shape (rows, columns), found shape ",
               io::shape_text(array.shape));
  TANDEM_CHECK(array.is_numeric() && array.kind != io::ElementKind::boolean, "features", array.name,
               ": expected numbers, found ", io::kind_name(array.kind), " elements");
}

/// Float rows; shared with the file where they are float32 already. NaN and infinity are refused.
inline Tensor<float> float_rows(const io::Array& array) {
  const Tensor<float> rows =
      array.shareable<float>() ? array.tensor<float>() : array.tensor_as<float>();
  const std::int64_t bad = find_not_finite(rows.data(), rows.numel());
  TANDEM_CHECK(bad < 0, "features", array.name, ": row ", bad / rows.size(1), ", column ",
               bad % rows.size(1), " is not a finite number");
  return rows;
}

}  // namespace detail

/// The rows of one npy file, (T, columns). Errors: another shape, elements that are no finite
/// numbers.
inline Tensor<float> read_rows(const std::string& path) {
  const io::Array array = io::load_npy(path);
  detail::check_rows(array, "features");
  return detail::float_rows(array);
}

/// The feature files of a list of videos. Everything is checked when it is opened (files exist,
/// shapes are (T, columns) with the same columns everywhere); rows are read when they are asked
/// for.
///
/// `path` is one of
///   an npy object array with one (T, columns) array per video, in the order of the annotations
///   (Thumos14reduced-I3D-JOINTFeatures.npy; written by Python 2 or 3, float32 or float64), or,
///   where all videos have equally many rows, what NumPy makes of them then: an array (videos, T,
///   columns) of numbers or objects;
///   a folder with <id>.npy of (T, columns), or rgb/<id>.npy and flow/<id>.npy of (T, columns/2),
///   either directly or in a folder train, test, or the subset's name. "v_<id>.npy" is found too.
///
///     FeatureFiles i3d("Thumos14reduced-I3D-JOINTFeatures.npy", truth);
///     i3d.rows(7); i3d.columns(); Tensor<float> x = i3d.read(7);
class FeatureFiles {
 public:
  FeatureFiles(const std::string& path, const GroundTruth& truth) : path_(path) {
    if (io::is_directory(path)) {
      open_folder(truth);
    } else {
      open_joint(truth);
    }
  }

  /// The file or folder, and the number of videos.
  const std::string& path() const { return path_; }
  std::size_t size() const { return videos_.size(); }
  /// False when the layout has no file for the video.
  bool has(std::size_t video) const { return videos_.at(video).rows > 0; }
  /// T of a video.
  std::int64_t rows(std::size_t video) const { return videos_.at(video).rows; }
  /// Columns of every row.
  std::int64_t columns() const { return columns_; }

  /// (T, columns) of a video. Shares the mapped file when that holds aligned float32 rows.
  Tensor<float> read(std::size_t video) const {
    const Video& v = videos_.at(video);
    TANDEM_CHECK(v.rows > 0, "features", path_, ": there are no features of video ", v.id);
    if (plain_) return detail::float_rows(plain_rows(video));
    if (joint_ && joint_->root().shape().size() == 1 && joint_->root()[video].is_array()) {
      return detail::float_rows(joint_->root()[video].array());
    }
    if (joint_) return nested_rows(video);
    const Tensor<float> first = detail::float_rows(io::load_npy(v.first));
    if (v.second.empty()) return checked(first, v);
    const Tensor<float> second = detail::float_rows(io::load_npy(v.second));
    Tensor<float> both({first.size(0), first.size(1) + second.size(1)});
    both.slice(1, 0, first.size(1)).copy_elements(first);
    both.slice(1, first.size(1), both.size(1)).copy_elements(second);
    return checked(both, v);
  }

 private:
  struct Video {
    std::string id, first, second;  // second: the flow file of an rgb, flow pair
    std::int64_t rows = 0;
  };

  /// The files may have been replaced since they were opened.
  const Tensor<float>& checked(const Tensor<float>& x, const Video& v) const {
    TANDEM_CHECK(x.size(0) == v.rows && x.size(1) == columns_, "features", v.first, ": had shape (",
                 v.rows, ", ", columns_, ") when it was opened, has ", x.shape(), " now");
    return x;
  }

  void add(Video video, std::int64_t rows, std::int64_t columns, const std::string& name) {
    TANDEM_CHECK(columns_ == 0 || columns == columns_, "features", name, ": has ", columns,
                 " columns, the videos before it ", columns_);
    columns_ = columns;
    video.rows = rows;
    videos_.push_back(std::move(video));
  }

  void open_joint(const GroundTruth& truth) {
    const io::Array file = io::load_npy(path_);
    const bool objects = file.kind == io::ElementKind::object;
    TANDEM_CHECK(!file.shape.empty() &&
                     file.shape[0] == static_cast<std::int64_t>(truth.videos.size()) &&
                     (file.shape.size() == 3 || (objects && file.shape.size() == 1)),
                 "features", path_, ": expected ", truth.videos.size(),
                 " arrays (rows, columns), one per annotated video, found shape ",
                 io::shape_text(file.shape), " of ", io::kind_name(file.kind), " elements");
    if (!objects) {
      TANDEM_CHECK(!file.column_major, "features", path_,
                   ": is in Fortran order, which parts the rows of a video; save it in C order");
      plain_ = file;
    } else {
      joint_ = io::parse_npy_objects(file);
    }
    for (std::size_t v = 0; v < truth.videos.size(); ++v) {
      io::Array array;
      if (plain_) {
        array = plain_rows(v);
      } else if (file.shape.size() == 1 && joint_->root()[v].is_array()) {
        array = joint_->root()[v].array();
      } else {
        const io::Nested rows = io::Nested(joint_->root())[v];
        TANDEM_CHECK(rows.is_list() && rows.size() > 0 && rows[0].is_list(), "features", path_,
                     ": video ", truth.videos[v].id, ": expected an array (rows, columns), found ",
                     rows.is_list() ? "a list without rows" : rows.kind_name());
        array.shape = {static_cast<std::int64_t>(rows.size()),
                       static_cast<std::int64_t>(rows[0].size())};
        array.kind = io::ElementKind::f64;
        array.name = concat(path_, ": video ", truth.videos[v].id);
      }
      detail::check_rows(array, "features");
      add({truth.videos[v].id, {}, {}}, array.shape[0], array.shape[1], array.name);
    }
  }

  /// The rows of a video in an array (videos, T, columns).
  io::Array plain_rows(std::size_t video) const {
    io::Array rows = *plain_;
    rows.shape.erase(rows.shape.begin());
    rows.bytes = static_cast<std::size_t>(rows.numel()) * rows.item_size;
    rows.data += video * rows.bytes;
    rows.data_offset += video * rows.bytes;
    rows.name = concat(path_, ": array ", video);
    return rows;
  }
  /// The rows of a video that are lists or objects.
  Tensor<float> nested_rows(std::size_t video) const {
    const Video& v = videos_[video];
    const io::Nested rows = io::Nested(joint_->root())[video];
    Tensor<float> out({v.rows, columns_});
    float* to = out.mutable_data();
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const io::Nested row = rows[r];
      TANDEM_CHECK(row.is_list() && row.size() == static_cast<std::size_t>(columns_), "features",
                   path_, ": video ", v.id, ", row ", r, ": expected ", columns_, " numbers");
      for (std::size_t c = 0; c < row.size(); ++c) {
        const io::Nested value = row[c];
        TANDEM_CHECK(value.is_number() && is_finite(value.number()), "features", path_, ": video ",
                     v.id, ": row ", r, ", column ", c, " is not a finite number");
        *to++ = static_cast<float>(value.number());
      }
    }
    return out;
  }

  void open_folder(const GroundTruth& truth) {
    std::vector<std::string> inner{""};
    for (const std::string& subset : truth.subsets()) inner.push_back(subset);
    for (const char* name : {"train", "test"}) inner.push_back(name);
    // Most folders do not exist: look once, not once per video.
    std::vector<std::string> plain, pairs;
    for (const std::string& name : inner) {
      const std::string folder = name.empty() ? path_ : io::join_path(path_, name);
      if (name.empty() || io::is_directory(folder)) plain.push_back(folder);
      if (io::is_directory(io::join_path(folder, "rgb"))) pairs.push_back(folder);
    }
    for (const VideoTruth& truth_video : truth.videos) {
      Video video{truth_video.id, {}, {}};
      TANDEM_CHECK(video.id.find('/') == std::string::npos, "features", "the video id \"", video.id,
                   "\" holds a slash, so it names no file");
      if (!find(video, plain, pairs)) {
        videos_.push_back(std::move(video));
        continue;
      }
      const io::Array first = io::load_npy(video.first);
      detail::check_rows(first, "features");
      std::int64_t columns = first.shape[1];
      if (!video.second.empty()) {
        const io::Array second = io::load_npy(video.second);
        detail::check_rows(second, "features");
        TANDEM_CHECK(first.shape == second.shape, "features", video.first, " has shape ",
                     io::shape_text(first.shape), ", its flow file ", io::shape_text(second.shape));
        columns += second.shape[1];
      }
      const std::string name = video.first;
      add(std::move(video), first.shape[0], columns, name);
    }
  }

  static bool find(Video& video, const std::vector<std::string>& plain,
                   const std::vector<std::string>& pairs) {
    for (const char* prefix : {"", "v_"}) {
      const std::string file = concat(prefix, video.id, ".npy");
      for (const std::string& folder : plain) {
        video.first = io::join_path(folder, file);
        if (io::is_file(video.first)) return true;
      }
      for (const std::string& folder : pairs) {
        video.first = io::join_path(folder, "rgb/" + file);
        video.second = io::join_path(folder, "flow/" + file);
        if (io::is_file(video.first) && io::is_file(video.second)) return true;
        TANDEM_CHECK(!io::is_file(video.first) && !io::is_file(video.second), "features", "video ",
                     video.id, " has only one of ", video.first, " and ", video.second);
        video.second.clear();
      }
    }
    video.first.clear();
    return false;
  }

  std::string path_;
  Ref<io::Pickle> joint_;
  std::optional<io::Array> plain_;  // (videos, T, columns)
  std::vector<Video> videos_;
  std::int64_t columns_ = 0;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
