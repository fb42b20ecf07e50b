/// extract_features — I3D and CLIP rows of videos, as train_dcl and localize read them.
///
///   extract_features videos/ --out data --i3d-rgb i3d_rgb.safetensors --i3d-flow i3d_flow.safetensors
///       --clip-weights clip.safetensors
///
/// Writes into --out: features/<id>.npy (T, 2048), clip/<id>.npy (T, 512), timestamps/<id>_timestamps_ms.npy
/// (T,), provenance/<id>.json. docs/features.md has the conventions.

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "extract_options.hpp"
#include "tandem/io/npy.hpp"
#include "tandem/ops/cat.hpp"

namespace {

namespace fs = std::filesystem;
using namespace tandem;
using namespace tandem::wtal;

struct Options : extract::Options {
  std::vector<std::string> inputs;
  std::string out, shard;
  bool recursive = false, separate = false, overwrite = false, profile = false;
};

struct Video {
  std::string id, path;
  std::uintmax_t bytes = 0;
  std::vector<std::string> wanted = {};  // streams that are to be extracted
  double frames = 0;                     // about
};

struct Failure {
  std::string path, message;
};

// ---------------------------------------------------------------- which videos

bool looks_like_video(const fs::path& path) {
  static const char* const extensions[] = {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg",
                                           ".wmv", ".flv", ".ts",  ".3gp", ".ogv", ".mts",  ".m2ts"};
  std::string extension = path.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::find(std::begin(extensions), std::end(extensions), extension) != std::end(extensions);
}

std::vector<Video> find_videos(const Options& o) {
  std::vector<Video> videos;
  const auto add = [&](const fs::path& path) {
    std::error_code unknown;
    const std::uintmax_t bytes = fs::file_size(path, unknown);
    videos.push_back({.id = path.stem().string(), .path = path.string(), .bytes = unknown ? 0 : bytes});
  };
  for (const std::string& input : o.inputs) {
    if (!fs::is_directory(input)) {
      add(input);
      continue;
    }
    const std::size_t before = videos.size();
    const auto consider = [&](const fs::directory_entry& entry) {
      if (looks_like_video(entry.path()) && !entry.is_directory()) add(entry.path());
    };
    if (o.recursive) {
      for (const auto& entry : fs::recursive_directory_iterator(input, fs::directory_options::skip_permission_denied)) consider(entry);
    } else {
      for (const auto& entry : fs::directory_iterator(input)) consider(entry);
    }
    TANDEM_CHECK(videos.size() > before, "extract_features", input, ": the folder holds no video",
                 o.recursive ? "" : "; --recursive looks into the folders below it");
  }
  std::sort(videos.begin(), videos.end(), [](const Video& a, const Video& b) {
    return a.id != b.id ? a.id < b.id : a.path < b.path;
  });
  for (std::size_t i = 1; i < videos.size(); ++i) {
    TANDEM_CHECK(videos[i].id != videos[i - 1].id, "extract_features", videos[i - 1].path, " and ", videos[i].path,
                 " would both become ", videos[i].id, ".npy; give them different names or --out folders");
  }
  if (o.shard.empty()) return videos;
  std::size_t part = 0, parts = 0;
  const std::string wrong = cli::read_part(o.shard, part, parts);
  TANDEM_CHECK(wrong.empty(), "extract_features", "--shard: ", wrong);
  std::vector<Video> mine;
  for (std::size_t i = part - 1; i < videos.size(); i += parts) mine.push_back(videos[i]);
  return mine;
}

// ---------------------------------------------------------------- what is there already

class Output {
 public:
  Output(const Options& o, const io::Json& weights) : o_(o) {
    for (const std::string& stream : o.streams) settings_[stream] = extract::settings(o, stream, weights.at(stream));
  }

  std::string provenance(const std::string& id) const { return io::join_path(o_.out, concat("provenance/", id, ".json")); }
  bool joint() const { return !o_.separate && o_.has("rgb") && o_.has("flow"); }
  /// Below --out.
  std::string file(const std::string& id, const std::string& stream) const {
    if (stream == "clip") return concat("clip/", id, ".npy");
    return joint() ? concat("features/", id, ".npy") : concat("features/", stream, "/", id, ".npy");
  }
  std::string timestamps(const std::string& id) const { return concat("timestamps/", id, "_timestamps_ms.npy"); }

  /// Decides which streams of a video are still to be made. Returns what is wrong with those that are there,
  /// "" if nothing is.
  std::string plan(Video& video) const {
    video.wanted = o_.streams;
    const std::string path = provenance(video.id);
    if (!io::is_file(path) || o_.overwrite) return "";
    const auto document = io::JsonDocument::load(path);
    const io::JsonRef root = document.root();
    const auto bytes = static_cast<std::uintmax_t>(root.at("video").at("bytes").integer(0));
    if (bytes != video.bytes) return concat("the video had ", bytes, " bytes then and has ", video.bytes, " now");
    const io::JsonRef streams = root.at("streams");
    std::vector<std::string> missing;
    for (const std::string& stream : o_.streams) {
      const io::Json& now = settings_.at(stream);
      // All streams of a video have the same rows.
      for (const auto& [other, entry] : streams.members()) {
        for (const char* key : {"stack", "step", "fps", "tail", "last_flow"}) {
          const io::Json& was = streams.of(entry).at("settings").at(key).json();
          if (was != now.at(key)) return concat(other, " has ", key, " ", io::json_text(was), ", not ", io::json_text(now.at(key)));
        }
      }
      const auto entry = streams.find(stream);
      if (!entry || entry->at("file").string() != file(video.id, stream) || !intact(*entry)) {
        missing.push_back(stream);
        continue;
      }
      const io::Json& was = entry->at("settings").json();
      if (was == now) continue;
      for (const auto& [key, value] : now.items()) {
        if (!was.contains(key) || was.at(key) != value) {
          return concat(stream, " has ", key, " ", was.contains(key) ? io::json_text(was.at(key)) : std::string("unknown"),
                        ", not ", io::json_text(value));
        }
      }
      return concat(stream, " was made with other options");
    }
    // The two halves of a joint file are made together.
    const auto lacks = [&](const char* stream) { return std::find(missing.begin(), missing.end(), stream) != missing.end(); };
    if (joint() && lacks("rgb") != lacks("flow")) missing.push_back(lacks("rgb") ? "flow" : "rgb");
    video.wanted = missing;
    return "";
  }

  /// Writes arrays, then the provenance: a video that has one is complete.
  void write(const Video& video, const VideoFeatures& f) const {
    io::Json streams = io::Json::object();
    const std::string path = provenance(video.id);
    if (io::is_file(path)) {
      if (!o_.overwrite) streams = io::load_json(path).at("streams");
      fs::remove(path);
    }
    const auto save = [&](const std::string& name, const Tensor<float>& rows) {
      const std::string to = io::join_path(o_.out, name);
      io::make_directories(fs::path(to).parent_path().string());
      io::save_npy(to, rows);
    };
    for (const std::string& stream : video.wanted) {
      const Tensor<float>& rows = stream == "rgb" ? f.rgb : stream == "flow" ? f.flow : f.clip;
      io::Json entry = io::Json::object();
      entry["file"] = file(video.id, stream);
      entry["rows"] = rows.size(0);
      entry["columns"] = rows.size(1);
      entry["settings"] = settings_.at(stream);
      streams[stream] = std::move(entry);
      if (stream == "clip" || !joint()) save(file(video.id, stream), rows);
    }
    if (f.rgb.defined() && f.flow.defined() && joint()) {
      save(file(video.id, "rgb"), cat(std::vector<Tensor<float>>{f.rgb, f.flow}, 1));
    }
    io::make_directories(io::join_path(o_.out, "timestamps"));
    io::save_npy(io::join_path(o_.out, timestamps(video.id)), from_vector<double>(f.timestamps_ms));

    io::Json root = io::Json::object();
    root["program"] = "extract_features";
    root["version"] = TANDEM_VERSION_STRING;
    bool random = false;
    for (const auto& [name, entry] : streams.items()) random = random || entry.at("settings").at("weights").contains("random_seed");
    root["random_weights"] = random;
    if (random) root["warning"] = "the encoders had RANDOM weights: these features mean nothing";
    io::Json about = io::Json::object();
    about["file"] = video.path;
    about["bytes"] = video.bytes;
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
    root["streams"] = std::move(streams);
    root["reader_warnings"] = f.warnings;
    io::make_directories(io::join_path(o_.out, "provenance"));
    io::save_json(path, root);
  }

 private:
  /// The array is there with the rows that it had; a joint one has twice the columns.
  bool intact(const io::JsonRef& entry) const {
    const std::string path = io::join_path(o_.out, entry.at("file").string());
    if (!io::is_file(path)) return false;
    const io::Array array = io::load_npy(path);
    const std::int64_t columns = entry.at("columns").integer(1);
    return array.rank() == 2 && array.shape[0] == entry.at("rows").integer(1) &&
           (array.shape[1] == columns || array.shape[1] == 2 * columns);
  }

  const Options& o_;
  std::map<std::string, io::Json> settings_;
};

// ---------------------------------------------------------------- the run

void print_profile(const StageSeconds& s, double video_seconds, double wall) {
  cli::Table table({"stage", "thread seconds", "share %"});
  const double total = std::max(s.total(), 1e-9);
  const std::pair<const char*, double> rows[] = {{"decode", s.decode},   {"resize, prepare", s.prepare},
                                                 {"flow", s.flow},       {"I3D RGB", s.i3d_rgb},
                                                 {"I3D flow", s.i3d_flow}, {"CLIP", s.clip}};
  for (const auto& [name, seconds] : rows) {
    table.row({name, cli::fixed(seconds, 2), cli::percent(seconds / total, 1)});
  }
  table.print();
  std::printf("%s s of video in %s s: %s s of video per second\n", cli::fixed(video_seconds, 1).c_str(),
              cli::fixed(wall, 1).c_str(), cli::fixed(video_seconds / std::max(wall, 1e-9), 3).c_str());
}

const char* random_warning =
    "RANDOM WEIGHTS (--random-weights): these features show that the programs work together, they mean nothing";

/// Returns 0, or 3 when some videos failed.
int run(Options& o) {
  extract::finish_options(o);
  std::vector<Video> videos = find_videos(o);
  extract::Extractor extractor(o);
  o.extraction = extractor.options().extraction;
  const Output output(o, extractor.weights());
  if (o.random()) std::printf("%s\n", random_warning);

  std::size_t finished = 0, different = 0;
  std::string example;
  std::vector<Video> todo;
  for (Video& video : videos) {
    const std::string wrong = output.plan(video);
    if (!wrong.empty()) {
      if (different++ == 0) example = concat(output.provenance(video.id), " says that ", wrong);
    } else if (video.wanted.empty()) {
      ++finished;
    } else {
      todo.push_back(video);
    }
  }
  TANDEM_CHECK(different == 0, "extract_features", different, different == 1 ? " video has" : " videos have",
               " features in ", o.out, " that were made otherwise: ", example,
               "; --overwrite makes them again, another --out keeps both");
  std::printf("%zu video%s, %zu finished before; streams", videos.size(), videos.size() == 1 ? "" : "s", finished);
  for (const std::string& stream : o.streams) std::printf(" %s", stream.c_str());
  std::printf("; %d thread(s)\n", o.extraction.threads);
  std::fflush(stdout);

  // A first look: what cannot be opened, and how much there is to do.
  std::vector<Failure> failures;
  double frames = 0;
  std::erase_if(todo, [&](Video& video) {
    try {
      const io::VideoReader reader(video.path, {.threads = 1});
      const io::VideoInfo& info = reader.info();
      const double seconds = info.duration > 0                      ? info.duration
                             : info.fps > 0 && info.frames > 0 ? static_cast<double>(info.frames) / info.fps
                                                               : 60;
      video.frames = seconds * (o.extraction.snippets.fps > 0 ? o.extraction.snippets.fps : std::max(info.fps, 1.0));
      frames += video.frames;
      return false;
    } catch (const std::exception& error) {
      failures.push_back({video.path, error.what()});
      return true;
    }
  });

  cli::Progress progress("frames", static_cast<std::size_t>(frames));
  for (const Failure& failure : failures) progress.print(concat("failed: ", failure.message));
  StageSeconds stages;
  double before = 0, video_seconds = 0, wall = 0;
  std::size_t number = 0;
  for (const Video& video : todo) {
    ++number;
    try {
      const auto start = std::chrono::steady_clock::now();
      const VideoFeatures f = extractor.extract(video.path, video.wanted, [&](std::int64_t done) {
        const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        progress.update(static_cast<std::size_t>(before + std::min(static_cast<double>(done), video.frames)),
                        concat(video.id, " (", number, "/", todo.size(), "), ",
                               cli::fixed(static_cast<double>(done) / std::max(passed, 1e-9), 1), " frames/s"));
      });
      output.write(video, f);
      stages.decode += f.stages.decode;
      stages.prepare += f.stages.prepare;
      stages.flow += f.stages.flow;
      stages.i3d_rgb += f.stages.i3d_rgb;
      stages.i3d_flow += f.stages.i3d_flow;
      stages.clip += f.stages.clip;
      video_seconds += f.seconds;
      wall += f.wall_seconds;
      for (const std::string& warning : f.warnings) progress.print(concat("note: ", video.path, ": ", warning));
    } catch (const std::exception& error) {
      failures.push_back({video.path, error.what()});
      progress.print(concat("failed: ", error.what()));
    }
    before += video.frames;
    progress.update(static_cast<std::size_t>(before), concat(number, "/", todo.size(), " videos"));
  }
  if (!todo.empty()) progress.finish();
  std::printf("%zu extracted, %zu finished before, %zu failed; in %s\n", videos.size() - finished - failures.size(),
              finished, failures.size(), o.out.c_str());
  if (o.profile && video_seconds > 0) print_profile(stages, video_seconds, wall);
  if (o.random()) std::printf("%s\n", random_warning);
  std::fflush(stdout);
  if (failures.empty()) return 0;
  std::fprintf(stderr, "%zu of %zu videos failed:\n", failures.size(), videos.size());
  for (const Failure& failure : failures) std::fprintf(stderr, "  %s: %s\n", failure.path.c_str(), failure.message.c_str());
  return 3;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "I3D rows (RGB and TV-L1 flow, 1024 columns each) and CLIP rows (512) of videos, in the layout that\n"
      "train_dcl and localize read. A row is 16 frames at 25 per second, 0.64 s, unless told otherwise.\n\n"
      "  extract_features videos/ --out data --i3d-rgb i3d_rgb.safetensors --i3d-flow i3d_flow.safetensors \\\n"
      "      --clip-weights clip.safetensors\n"
      "  extract_features a.mp4 b.avi --out data --streams clip --clip-weights clip.safetensors\n"
      "  extract_features videos/ --out try --random-weights 0 --random-narrow 16 --flow-size 64   # no weights\n\n"
      "Run again, it goes on where it was; videos that are finished are not touched. A video that fails does\n"
      "not stop the others. Exit status: 0, 1 for an error, 2 for a wrong command line, 3 when some videos failed.",
      "extract_features");
  Options o;
  app.add_option("inputs", o.inputs, "Videos, or folders of them")->required()->check(CLI::ExistingPath);
  app.add_option("--out", o.out, "Folder to write")->required();
  app.add_flag("--recursive", o.recursive, "Look into the folders below as well");
  app.add_flag("--separate", o.separate, "features/rgb/<id>.npy and features/flow/<id>.npy instead of one joint array");
  app.add_flag("--overwrite", o.overwrite, "Make features again although they are there");
  app.add_option("--shard", o.shard, "Part i of n of the videos, i/n from 1/n on, for several machines or job arrays")
      ->check(cli::part_of_parts());
  app.add_flag("--profile", o.profile, "At the end, how the time was spent");
  extract::add_options(app, o);
  cli::add_config(app);
  int status = 0;
  const int ran = cli::run(app, argc, argv, [&] { status = run(o); });
  return ran != 0 ? ran : status;
}
