#pragma once
/// The folder that extract_features writes: what is there already, what is still to be made, and
/// the writing of it.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "extract_options.hpp"
#include "feature_outputs.hpp"
#include "tandem/io/lock.hpp"
#include "tandem/io/npy.hpp"
#include "tandem/ops/cat.hpp"

namespace extract {

/// What the program is asked to do.
struct Task : Options {
  std::vector<std::string> inputs;
  std::string out, shard;
  bool recursive = false, separate = false, overwrite = false, profile = false;
};

struct Video {
  std::string id, path;
  std::vector<std::string> wanted = {};  // streams that are to be extracted
  bool times = false;                    // the time stamps are to be made
  io::Json kept = io::Json::object();    // entries of other streams that hold
  io::Json source = {};                  // the record of the file that is being read
  double frames = 0;                     // about
  bool done() const { return wanted.empty() && !times; }
};

class Output {
 public:
  Output(const Task& o, const io::Json& weights) : o_(o) {
    for (const std::string& stream : o.streams)
      settings_[stream] = settings(o, stream, weights.at(stream));
  }

  std::string provenance(const std::string& id) const {
    return io::join_path(o_.out, concat("provenance/", id, ".json"));
  }
  bool joint() const { return !o_.separate && o_.has("rgb") && o_.has("flow"); }
  /// Below --out.
  std::string file(const std::string& id, const std::string& stream) const {
    if (stream == "clip") return concat("clip/", id, ".npy");
    return joint() ? concat("features/", id, ".npy") : concat("features/", stream, "/", id, ".npy");
  }
  std::string timestamps(const std::string& id) const {
    return concat("timestamps/", id, "_timestamps_ms.npy");
  }

  struct Verdict {
    std::string otherwise;  ///< there are features that other options made: what differs
    std::string note;       ///< why something is made again
  };

  /// Decides what of a video is still to be made: what is missing, damaged, or of another video by
  /// that name. Errors: the video cannot be read; it has changed, and this run makes only some of
  /// its streams.
  Verdict plan(Video& video) const {
    Verdict out;
    video.wanted = o_.streams;
    video.times = true;
    std::string why;
    const auto document = outputs::load_record(provenance(video.id), why);
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
      outputs::stamp_of({video.path});  // is it the video that cannot be read?
      video.wanted = o_.streams;
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
  void check_writable(const Video& video) const {
    for (const std::string& stream : video.wanted)
      outputs::check_writable(io::join_path(o_.out, file(video.id, stream)));
    outputs::check_writable(io::join_path(o_.out, timestamps(video.id)));
    outputs::check_writable(provenance(video.id));
  }

  /// Writes arrays, then the provenance, which holds the checksums of all: a video that has it is
  /// complete. Other processes (of another shard, or for other streams) may write into the folder:
  /// one at a time does, and what they have written since the plan was made is kept.
  /// Errors: rows that are not finite; another number of rows than the streams that are kept;
  /// another process has made the same with other options.
  void write(const Video& planned, const VideoFeatures& f) const {
    io::make_directories(io::join_path(o_.out, "provenance"));
    const io::FolderLock lock(io::join_path(o_.out, "provenance"), "extract_features",
                              io::FolderLock::Busy::wait);
    const Video video = with_news(planned);
    const auto rows_of = [&](const std::string& stream) -> const Tensor<float>& {
      return stream == "rgb" ? f.rgb : stream == "flow" ? f.flow : f.clip;
    };
    for (const std::string& stream : video.wanted) outputs::check_finite(stream, rows_of(stream));
    const auto rows = static_cast<std::int64_t>(f.timestamps_ms.size());
    for (const auto& [stream, entry] : video.kept.items()) {
      TANDEM_CHECK(entry.at("rows") == rows, "extract", "there are ", rows, " rows now, ", stream,
                   " has ", io::json_text(entry.at("rows")),
                   "; --overwrite with all streams makes them again");
    }
    TANDEM_CHECK(
        outputs::stamp_of({video.path}).text == video.source.at("stamp").get<std::string>(),
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
      const std::string to = io::join_path(o_.out, name);
      io::make_directories(std::filesystem::path(to).parent_path().string());
      io::save_npy(to, array);
      return outputs::record_of({to});
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
      entry["settings"] = settings_.at(stream);
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
  Video with_news(const Video& planned) const {
    std::string why, conflict;
    Video video = planned;
    try {
      const auto document = outputs::load_record(provenance(video.id), why);
      if (!document || o_.overwrite) return planned;
      const io::JsonRef root = document->root(), streams = root.at("streams");
      if (outputs::compare(root.at("video"), {video.path}) == outputs::Same::no) return planned;
      for (const auto& [stream, json] : streams.members()) {
        const bool ours =
            std::find(video.wanted.begin(), video.wanted.end(), stream) != video.wanted.end();
        if (!ours) {
          video.kept[stream] = json;
        } else if (const std::string other = differs(stream, json.at("settings"));
                   !other.empty() && intact(streams.of(json)) != outputs::Same::no) {
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

  io::Json about(const Video& video, const VideoFeatures& f) const {
    io::Json root = io::Json::object();
    root["program"] = "extract_features";
    root["version"] = TANDEM_VERSION_STRING;
    io::Json about = io::Json::object();
    about["file"] = outputs::safe_name(video.path);
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
    root["stack"] = o_.extraction.snippets.stack;
    root["step"] = o_.extraction.snippets.step;
    root["seconds_per_row"] = f.seconds_per_row;
    root["timestamps"] = timestamps(video.id);
    root["reader_warnings"] = f.warnings;
    return root;
  }

  Verdict judge(const io::JsonDocument& document, Video& video) const {
    Verdict out;
    const io::JsonRef root = document.root(), streams = root.at("streams"), was = root.at("video");
    io::Json renewed = document.json();
    bool touched = false;

    // The video itself. Earlier versions wrote down only how many bytes it has.
    outputs::Same same = outputs::Same::yes;
    if (was.find("checksum")) {
      same = outputs::compare(was, {video.path});
    } else if (static_cast<std::uint64_t>(was.at("bytes").integer(0)) !=
               outputs::stamp_of({video.path}).bytes) {
      same = outputs::Same::no;
    }
    if (same == outputs::Same::no) {
      std::string others;
      for (const auto& [other, entry] : streams.members()) {
        if (!o_.has(other)) others += concat(others.empty() ? "" : ", ", other);
      }
      if (!others.empty()) {
        throw Replaced(concat("[extract] the file has changed since its ", others,
                              " rows were made: name ", others,
                              " in --streams as well, so that all rows are of one video"));
      }
      out.note = "the file has changed, so its features are made again";
      return out;
    }
    if (same == outputs::Same::touched) {
      renewed["video"]["stamp"] = outputs::stamp_of({video.path}).text;
      touched = true;
    }

    // All streams of a video have the same rows.
    std::vector<std::string> missing;
    std::string damaged;
    for (const auto& [stream, json] : streams.members()) {
      const io::JsonRef entry = streams.of(json);
      const bool ours = o_.has(stream);
      if (ours && o_.overwrite) continue;
      for (const char* key : {"stack", "step", "fps", "tail", "last_flow"}) {
        const io::Json& then = entry.at("settings").at(key).json();
        const io::Json& now = settings_.begin()->second.at(key);
        if (then == now) continue;
        out.otherwise = concat(
            stream, " has ", key, " ", io::json_text(then), ", not ", io::json_text(now),
            ours ? "" : concat(" (name ", stream, " in --streams as well to make it again)"));
        return out;
      }
      if (!ours) video.kept[stream] = json;
    }
    for (const std::string& stream : o_.streams) {
      const auto entry = streams.find(stream);
      if (o_.overwrite || !entry || entry->at("file").string() != file(video.id, stream)) {
        missing.push_back(stream);
        continue;
      }
      const outputs::Same state = intact(*entry);
      if (state == outputs::Same::no) {
        missing.push_back(stream);
        const std::string name = entry->at("file").string();
        if (damaged.find(name) == std::string::npos)
          damaged += concat(damaged.empty() ? "" : ", ", name);
        continue;
      }
      if (out.otherwise = differs(stream, entry->at("settings").json()); !out.otherwise.empty())
        return out;
      video.kept[stream] = entry->json();
      if (state == outputs::Same::touched) {
        const std::string stamp =
            outputs::stamp_of({io::join_path(o_.out, entry->at("file").string())}).text;
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
    const io::Json& now = settings_.at(stream);
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
  outputs::Same intact(const io::JsonRef& entry) const {
    const std::string path = io::join_path(o_.out, entry.at("file").string());
    if (!io::is_file(path)) return outputs::Same::no;
    if (const auto written = entry.find("written")) return outputs::compare(*written, {path});
    return outputs::plain_array_is_good(path, entry.at("rows").integer(1),
                                        entry.at("columns").integer(1))
               ? outputs::Same::yes
               : outputs::Same::no;
  }

  bool times_are_intact(const io::JsonRef& root, const std::string& id, io::Json& renewed,
                        bool& touched) const {
    const std::string path = io::join_path(o_.out, timestamps(id));
    if (!io::is_file(path)) return false;
    if (const auto written = root.find("timestamps_written")) {
      const outputs::Same same = outputs::compare(*written, {path});
      if (same == outputs::Same::touched) {
        renewed["timestamps_written"]["stamp"] = outputs::stamp_of({path}).text;
        touched = true;
      }
      return same != outputs::Same::no;
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

  const Task& o_;
  std::map<std::string, io::Json> settings_;
};

}  // namespace extract
