#pragma once
/// The folder of features that extract_features writes: what is there already, what is still to be
/// made, and the writing of it. provenance.hpp reads what others need of it.
///
///   <folder>/features/<id>.npy (T, 2048): RGB and flow beside each other; or features/rgb/<id>.npy
///   and features/flow/<id>.npy;  clip/<id>.npy (T, 512);  timestamps/<id>_timestamps_ms.npy (T,);
///   provenance/<id>.json: which file the rows were made of, with which settings, and the checksums
///   of what was written. It is written last: a video that has it is complete.
///
///     const FeatureFolder out({.folder = "data", .settings = settings});
///     FolderVideo video{.id = "a", .path = "a.mp4"};
///     out.plan(video);                            // video.wanted: the streams that are to be made
///     video.source = io::record_of({video.path});
///     out.write(video, extractor.extract(video.path));

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tandem/features/video_features.hpp"
#include "tandem/io/file_record.hpp"
#include "tandem/io/lock.hpp"
#include "tandem/io/npy.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/tensor/finite.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// A video and what of it is to be made.
struct FolderVideo {
  std::string id, path;
  std::vector<std::string> wanted = {};  ///< streams that are to be extracted
  bool times = false;                    ///< the time stamps are to be made
  io::Json kept = io::Json::object();    ///< entries of other streams that hold
  io::Json source = {};                  ///< the record of the file that is being read
  /// True when nothing of the video is to be made.
  bool done() const { return wanted.empty() && !times; }
};

namespace detail {

/// The first row with a value that is not finite, or -1.
inline std::int64_t bad_row(const Tensor<float>& rows) {
  const Tensor<float> dense = rows.contiguous();
  const std::int64_t bad = find_not_finite(dense.data(), dense.numel());
  return bad < 0 ? -1 : bad / dense.size(1);
}

/// An array of a record that an earlier version left without one: (rows, columns), finite.
inline bool plain_array_is_good(const std::string& path, std::int64_t rows, std::int64_t columns) {
  try {
    const io::Array array = io::load_npy(path);
    if (array.rank() != 2 || array.shape[0] != rows) return false;
    if (array.shape[1] != columns && array.shape[1] != 2 * columns) return false;
    return bad_row(array.tensor<float>()) < 0;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace detail

/// Refuses rows that are not finite before they are saved.
inline void check_finite_rows(const std::string& name, const Tensor<float>& rows) {
  const std::int64_t row = detail::bad_row(rows);
  TANDEM_CHECK(row < 0, "extract", "the ", name,
               " rows hold values that are not finite, first in row ", row, " of ", rows.size(0),
               "; nothing was saved: are the weights whole?");
}

/// What a run writes into the folder.
struct FolderTask {
  std::string folder;
  /// Stream ("clip", "flow", "rgb") → all that decides the values of its rows: equal settings,
  /// equal rows. Each has "stack", "step", "fps", "tail", "last_flow" and "weights".
  std::map<std::string, io::Json> settings = {};
  bool separate = false;   ///< RGB and flow in files of their own
  bool overwrite = false;  ///< what is there is made again
};

/// The folder, seen by one run of extract_features, whose options (--streams, --overwrite) the
/// messages name.
class FeatureFolder {
 public:
  explicit FeatureFolder(FolderTask task) : task_(std::move(task)) {
    TANDEM_CHECK(!task_.settings.empty(), "extract", "a folder of features needs a stream");
    for (const auto& [stream, settings] : task_.settings) streams_.push_back(stream);
  }

  /// The file that tells about a video.
  std::string provenance(const std::string& id) const {
    return io::join_path(task_.folder, concat("provenance/", id, ".json"));
  }
  /// Whether RGB and flow go into one array.
  bool joint() const { return !task_.separate && has("rgb") && has("flow"); }
  /// The array of a stream, below the folder.
  std::string file(const std::string& id, const std::string& stream) const {
    if (stream == "clip") return concat("clip/", id, ".npy");
    return joint() ? concat("features/", id, ".npy") : concat("features/", stream, "/", id, ".npy");
  }
  /// The time stamps of the rows, below the folder.
  std::string timestamps(const std::string& id) const {
    return concat("timestamps/", id, "_timestamps_ms.npy");
  }

  /// What plan() found about a video.
  struct Verdict {
    std::string otherwise;  ///< there are features that other options made: what differs
    std::string note;       ///< why something is made again
  };

  /// Decides what of a video is still to be made: what is missing, damaged, or of another video by
  /// that name. Errors: the video cannot be read; it has changed, and this run makes only some of
  /// its streams.
  Verdict plan(FolderVideo& video) const {
    Verdict out;
    video.wanted = streams_;
    video.times = true;
    std::string why;
    const auto document = io::load_record(provenance(video.id), why);
    if (!document) {
      if (!why.empty())
        out.note = concat("its provenance cannot be read, so its features are made again: ", why);
      return out;
    }
    try {
      return judge(*document, video);
    } catch (const Replaced&) {
      throw;
    } catch (const std::exception& error) {
      io::stamp_of({video.path});  // is it the video that cannot be read?
      video.wanted = streams_;
      video.times = true;
      video.kept = io::Json::object();
      out.note = concat(
          "its provenance says something else than this program writes, so its features are made "
          "again: ",
          error.what());
      return out;
    }
  }

  /// Refuses what saving would refuse.
  void check_writable(const FolderVideo& video) const {
    for (const std::string& stream : video.wanted)
      io::check_writable(io::join_path(task_.folder, file(video.id, stream)));
    io::check_writable(io::join_path(task_.folder, timestamps(video.id)));
    io::check_writable(provenance(video.id));
  }

  /// Writes arrays, then the provenance, which holds the checksums of all: a video that has it is
  /// complete. Other processes (of another shard, or for other streams) may write into the folder:
  /// one at a time does, and what they have written since the plan was made is kept.
  /// Errors: rows that are not finite; another number of rows than the streams that are kept;
  /// another process has made the same with other options.
  void write(const FolderVideo& planned, const VideoFeatures& f) const {
    io::make_directories(io::join_path(task_.folder, "provenance"));
    const io::FolderLock lock(io::join_path(task_.folder, "provenance"), "extract_features",
                              io::FolderLock::Busy::wait);
    const FolderVideo video = with_news(planned);
    const auto rows_of = [&](const std::string& stream) -> const Tensor<float>& {
      return stream == "rgb" ? f.rgb : stream == "flow" ? f.flow : f.clip;
    };
    for (const std::string& stream : video.wanted) check_finite_rows(stream, rows_of(stream));
    const auto rows = static_cast<std::int64_t>(f.timestamps_ms.size());
    for (const auto& [stream, entry] : video.kept.items()) {
      TANDEM_CHECK(entry.at("rows") == rows, "extract", "there are ", rows, " rows now, ", stream,
                   " has ", io::json_text(entry.at("rows")),
                   "; --overwrite with all streams makes them again");
    }
    TANDEM_CHECK(io::stamp_of({video.path}).text == video.source.at("stamp").get<std::string>(),
                 "extract", "the video was changed while it was read; nothing was saved");

    // Until everything is written, the provenance vouches only for what is not touched.
    io::Json root = about(video, f);
    const std::string path = provenance(video.id);
    if (io::is_file(path)) {
      if (video.kept.empty()) {
        std::filesystem::remove(path);
      } else {
        root["streams"] = video.kept;
        io::save_json(path, root);
      }
    }
    const auto save = [&](const std::string& name, const auto& array) {
      const std::string to = io::join_path(task_.folder, name);
      io::make_directories(std::filesystem::path(to).parent_path().string());
      io::save_npy(to, array);
      return io::record_of({to});
    };
    io::Json streams = video.kept, both;
    if (f.rgb.defined() && f.flow.defined() && joint()) {
      both = save(file(video.id, "rgb"), cat(std::vector<Tensor<float>>{f.rgb, f.flow}, 1));
    }
    for (const std::string& stream : video.wanted) {
      io::Json entry = io::Json::object();
      entry["file"] = file(video.id, stream);
      entry["rows"] = rows;
      entry["columns"] = rows_of(stream).size(1);
      entry["settings"] = task_.settings.at(stream);
      entry["written"] =
          stream != "clip" && joint() ? both : save(file(video.id, stream), rows_of(stream));
      streams[stream] = std::move(entry);
    }
    root["timestamps_written"] = save(timestamps(video.id), from_vector<double>(f.timestamps_ms));
    bool random = false;
    for (const auto& [name, entry] : streams.items())
      random = random || entry.at("settings").at("weights").contains("random_seed");
    root["random_weights"] = random;
    if (random) root["warning"] = "the encoders had RANDOM weights: these features mean nothing";
    root["streams"] = std::move(streams);
    io::save_json(path, root);
  }

 private:
  /// The video with the records of streams that appeared since it was planned. A record that cannot
  /// be read is the one that the plan found so.
  FolderVideo with_news(const FolderVideo& planned) const {
    std::string why, conflict;
    FolderVideo video = planned;
    try {
      const auto document = io::load_record(provenance(video.id), why);
      if (!document || task_.overwrite) return planned;
      const io::JsonRef root = document->root(), streams = root.at("streams");
      if (io::compare_record(root.at("video"), {video.path}) == io::Same::no) return planned;
      for (const auto& [stream, json] : streams.members()) {
        const bool ours =
            std::find(video.wanted.begin(), video.wanted.end(), stream) != video.wanted.end();
        if (!ours) {
          video.kept[stream] = json;
        } else if (const std::string other = differs(stream, json.at("settings"));
                   !other.empty() && intact(streams.of(json)) != io::Same::no) {
          conflict = other;
        }
      }
    } catch (const std::exception&) {
      return planned;
    }
    TANDEM_CHECK(conflict.empty(), "extract",
                 "another process has meanwhile made the same with other options: ", conflict);
    return video;
  }

  struct Replaced : Error {
    using Error::Error;
  };

  io::Json about(const FolderVideo& video, const VideoFeatures& f) const {
    io::Json root = io::Json::object();
    root["program"] = "extract_features";
    root["version"] = TANDEM_VERSION_STRING;
    io::Json about = io::Json::object();
    about["file"] = io::safe_name(video.path);
    about.update(video.source);
    about["codec"] = f.info.codec;
    about["width"] = f.info.width;
    about["height"] = f.info.height;
    about["fps"] = f.info.fps;
    about["seconds"] = f.seconds;
    root["video"] = std::move(about);
    root["rows"] = f.timestamps_ms.size();
    root["frames"] = f.frames;
    root["fps"] = f.fps;
    root["stack"] = task_.settings.begin()->second.at("stack");
    root["step"] = task_.settings.begin()->second.at("step");
    root["seconds_per_row"] = f.seconds_per_row;
    root["timestamps"] = timestamps(video.id);
    root["reader_warnings"] = f.warnings;
    return root;
  }

  Verdict judge(const io::JsonDocument& document, FolderVideo& video) const {
    Verdict out;
    const io::JsonRef root = document.root(), streams = root.at("streams"), was = root.at("video");
    io::Json renewed = document.json();
    bool touched = false;

    // The video itself. Earlier versions wrote down only how many bytes it has.
    io::Same same = io::Same::yes;
    if (was.find("checksum")) {
      same = io::compare_record(was, {video.path});
    } else if (static_cast<std::uint64_t>(was.at("bytes").integer(0)) !=
               io::stamp_of({video.path}).bytes) {
      same = io::Same::no;
    }
    if (same == io::Same::no) {
      std::string others;
      for (const auto& [other, entry] : streams.members()) {
        if (!has(other)) others += concat(others.empty() ? "" : ", ", other);
      }
      if (!others.empty()) {
        throw Replaced(concat("[extract] the file has changed since its ", others,
                              " rows were made: name ", others,
                              " in --streams as well, so that all rows are of one video"));
      }
      out.note = "the file has changed, so its features are made again";
      return out;
    }
    if (same == io::Same::touched) {
      renewed["video"]["stamp"] = io::stamp_of({video.path}).text;
      touched = true;
    }

    // All streams of a video have the same rows.
    std::vector<std::string> missing;
    std::string damaged;
    for (const auto& [stream, json] : streams.members()) {
      const io::JsonRef entry = streams.of(json);
      const bool ours = has(stream);
      if (ours && task_.overwrite) continue;
      for (const char* key : {"stack", "step", "fps", "tail", "last_flow"}) {
        const io::Json& then = entry.at("settings").at(key).json();
        const io::Json& now = task_.settings.begin()->second.at(key);
        if (then == now) continue;
        out.otherwise = concat(
            stream, " has ", key, " ", io::json_text(then), ", not ", io::json_text(now),
            ours ? "" : concat(" (name ", stream, " in --streams as well to make it again)"));
        return out;
      }
      if (!ours) video.kept[stream] = json;
    }
    for (const std::string& stream : streams_) {
      const auto entry = streams.find(stream);
      if (task_.overwrite || !entry || entry->at("file").string() != file(video.id, stream)) {
        missing.push_back(stream);
        continue;
      }
      const io::Same state = intact(*entry);
      if (state == io::Same::no) {
        missing.push_back(stream);
        const std::string name = entry->at("file").string();
        if (damaged.find(name) == std::string::npos)
          damaged += concat(damaged.empty() ? "" : ", ", name);
        continue;
      }
      if (out.otherwise = differs(stream, entry->at("settings").json()); !out.otherwise.empty())
        return out;
      video.kept[stream] = entry->json();
      if (state == io::Same::touched) {
        const std::string stamp =
            io::stamp_of({io::join_path(task_.folder, entry->at("file").string())}).text;
        video.kept[stream]["written"]["stamp"] = renewed["streams"][stream]["written"]["stamp"] =
            stamp;
        touched = true;
      }
    }
    // The two halves of a joint file are made together.
    const auto lacks = [&](const char* stream) {
      return std::find(missing.begin(), missing.end(), stream) != missing.end();
    };
    if (joint() && lacks("rgb") != lacks("flow")) {
      missing.push_back(lacks("rgb") ? "flow" : "rgb");
      video.kept.erase(missing.back());
    }
    video.wanted = missing;
    video.times = !times_are_intact(root, video.id, renewed, touched);
    if (!damaged.empty()) out.note = concat(damaged, " is missing or damaged, and made again");
    if (video.times && missing.empty())
      out.note = concat(timestamps(video.id), " is missing or damaged, and made again");
    if (touched && video.done()) renew(video.id, renewed);
    return out;
  }

  /// "" if a stream was made with the options of this run.
  std::string differs(const std::string& stream, const io::Json& was) const {
    const io::Json& now = task_.settings.at(stream);
    if (was == now) return "";
    for (const auto& [key, value] : now.items()) {
      if (!was.contains(key) || was.at(key) != value) {
        return concat(stream, " has ", key, " ",
                      was.contains(key) ? io::json_text(was.at(key)) : std::string("unknown"),
                      ", not ", io::json_text(value));
      }
    }
    return concat(stream, " was made with other options");
  }

  /// The array is the one that was written.
  io::Same intact(const io::JsonRef& entry) const {
    const std::string path = io::join_path(task_.folder, entry.at("file").string());
    if (!io::is_file(path)) return io::Same::no;
    if (const auto written = entry.find("written")) return io::compare_record(*written, {path});
    return detail::plain_array_is_good(path, entry.at("rows").integer(1),
                                       entry.at("columns").integer(1))
               ? io::Same::yes
               : io::Same::no;
  }

  bool times_are_intact(const io::JsonRef& root, const std::string& id, io::Json& renewed,
                        bool& touched) const {
    const std::string path = io::join_path(task_.folder, timestamps(id));
    if (!io::is_file(path)) return false;
    if (const auto written = root.find("timestamps_written")) {
      const io::Same same = io::compare_record(*written, {path});
      if (same == io::Same::touched) {
        renewed["timestamps_written"]["stamp"] = io::stamp_of({path}).text;
        touched = true;
      }
      return same != io::Same::no;
    }
    try {
      const io::Array array = io::load_npy(path);
      return array.rank() == 1 && array.shape[0] == root.at("rows").integer(1);
    } catch (const std::exception&) {
      return false;
    }
  }

  /// Files that were only moved need not be read again next time; where that cannot be noted, they
  /// will be.
  void renew(const std::string& id, const io::Json& document) const {
    try {
      io::save_json(provenance(id), document);
    } catch (const std::exception&) {
    }
  }

  bool has(const std::string& stream) const { return task_.settings.count(stream) > 0; }

  FolderTask task_;
  std::vector<std::string> streams_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
