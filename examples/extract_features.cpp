/// extract_features — I3D and CLIP rows of videos, as train_dcl and localize read them.
///
///   extract_features videos/ --out data --i3d-rgb i3d_rgb.safetensors --i3d-flow
///   i3d_flow.safetensors
///       --clip-weights clip.safetensors
///
/// Writes into --out: features/<id>.npy (T, 2048), clip/<id>.npy (T, 512),
/// timestamps/<id>_timestamps_ms.npy (T,), provenance/<id>.json. docs/features.md has the
/// conventions.

#include <cstdio>
#include <string>
#include <vector>

#include "extract_options.hpp"
#include "feature_outputs.hpp"
#include "tandem/features/feature_folder.hpp"
#include "video_search.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;

/// What the program is asked to do.
struct Options : extract::Options {
  std::vector<std::string> inputs;
  std::string out, shard;
  bool recursive = false, separate = false, overwrite = false, profile = false;
};

struct Video : FolderVideo {
  double frames = 0;  // about
};

/// The videos that the command line names, or part --shard of them.
std::vector<Video> find_videos(const Options& o, outputs::Failures& failures) {
  const std::vector<videos::Found> found =
      videos::find(o.inputs, o.recursive, failures, "extract_features");
  std::size_t part = 1, parts = 1;
  if (!o.shard.empty()) {
    const std::string wrong = cli::read_part(o.shard, part, parts);
    TANDEM_CHECK(wrong.empty(), "extract_features", "--shard: ", wrong);
  }
  std::vector<Video> mine;
  for (std::size_t i = part - 1; i < found.size(); i += parts)
    mine.push_back({{.id = found[i].id, .path = found[i].path}});
  return mine;
}

// ---------------------------------------------------------------- the run

void print_profile(const StageSeconds& s, double video_seconds, double wall) {
  cli::Table table({"stage", "thread seconds", "share %"});
  const double total = std::max(s.total(), 1e-9);
  const std::pair<const char*, double> rows[] = {
      {"decode", s.decode},   {"resize, prepare", s.prepare}, {"flow", s.flow},
      {"I3D RGB", s.i3d_rgb}, {"I3D flow", s.i3d_flow},       {"CLIP", s.clip}};
  for (const auto& [name, seconds] : rows) {
    table.row({name, cli::fixed(seconds, 2), cli::percent(seconds / total, 1)});
  }
  table.print();
  std::printf("%s s of video in %s s: %s s of video per second\n",
              cli::fixed(video_seconds, 1).c_str(), cli::fixed(wall, 1).c_str(),
              cli::fixed(video_seconds / std::max(wall, 1e-9), 3).c_str());
}

const char* random_warning =
    "RANDOM WEIGHTS (--random-weights): these features show that the programs work together, they "
    "mean nothing";

FeatureFolder open_folder(const Options& o, const io::Json& weights) {
  FolderTask task{.folder = o.out, .separate = o.separate, .overwrite = o.overwrite};
  for (const std::string& stream : o.streams)
    task.settings[stream] = extract::settings(o, stream, weights.at(stream));
  return FeatureFolder(std::move(task));
}

/// Returns 0, or 3 when some videos failed.
int run(Options& o) {
  extract::finish_options(o);
  outputs::Failures failures;
  std::vector<Video> videos = find_videos(o, failures);
  const std::size_t all = videos.size() + failures.size();
  extract::Extractor extractor(o);
  o.extraction = extractor.options().extraction;
  const FeatureFolder output = open_folder(o, extractor.weights());
  if (o.random()) std::printf("%s\n", random_warning);

  // Everything that can be judged before the first frame is.
  std::size_t finished = 0, different = 0;
  std::string example;
  std::vector<Video> todo;
  for (Video& video : videos) {
    try {
      const FeatureFolder::Verdict verdict = output.plan(video);
      if (!verdict.otherwise.empty()) {
        if (different++ == 0)
          example = concat(output.provenance(video.id), " says that ", verdict.otherwise);
        continue;
      }
      if (!verdict.note.empty())
        std::printf("note: %s: %s\n", cli::printable(video.path).c_str(),
                    cli::printable(verdict.note).c_str());
      if (video.done()) {
        ++finished;
      } else {
        todo.push_back(std::move(video));
      }
    } catch (const std::exception& error) {
      failures.add(video.path, error.what());
    }
  }
  TANDEM_CHECK(different == 0, "extract_features", different,
               different == 1 ? " video has" : " videos have", " features in ", o.out,
               " that were made otherwise: ", example,
               "; --overwrite makes them again, another --out keeps both");
  std::printf("%zu video%s, %zu finished before; streams", videos.size(),
              videos.size() == 1 ? "" : "s", finished);
  for (const std::string& stream : o.streams) std::printf(" %s", stream.c_str());
  std::printf("; %d thread(s)\n", o.extraction.threads);
  std::fflush(stdout);

  if (!todo.empty()) io::check_writable(io::join_path(o.out, "provenance/.extract_features"));
  double frames = 0;
  std::erase_if(todo, [&](Video& video) {
    try {
      const io::VideoReader reader(video.path, {.threads = 1});
      const io::VideoInfo& info = reader.info();
      const double seconds = info.duration > 0 ? info.duration
                             : info.fps > 0 && info.frames > 0
                                 ? static_cast<double>(info.frames) / info.fps
                                 : 60;
      output.check_writable(video);
      video.frames = seconds * (o.extraction.snippets.fps > 0 ? o.extraction.snippets.fps
                                                              : std::max(info.fps, 1.0));
      frames += video.frames;
      return false;
    } catch (const std::exception& error) {
      failures.add(video.path, error.what());
      return true;
    }
  });

  cli::Progress progress("frames", static_cast<std::size_t>(frames));
  failures.each([&](const std::string& name, const std::string& message) {
    progress.print(concat("failed: ", name, ": ", message));
  });
  StageSeconds stages;
  double before = 0, video_seconds = 0, wall = 0;
  std::size_t number = 0, extracted = 0;
  for (Video& video : todo) {
    ++number;
    try {
      const auto start = std::chrono::steady_clock::now();
      video.source = io::record_of({video.path});
      const VideoFeatures f = extractor.extract(video.path, video.wanted, [&](std::int64_t done) {
        const double passed =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        progress.update(
            static_cast<std::size_t>(before + std::min(static_cast<double>(done), video.frames)),
            concat(video.id, " (", number, "/", todo.size(), "), ",
                   cli::fixed(static_cast<double>(done) / std::max(passed, 1e-9), 1), " frames/s"));
      });
      output.write(video, f);
      ++extracted;
      stages.decode += f.stages.decode;
      stages.prepare += f.stages.prepare;
      stages.flow += f.stages.flow;
      stages.i3d_rgb += f.stages.i3d_rgb;
      stages.i3d_flow += f.stages.i3d_flow;
      stages.clip += f.stages.clip;
      video_seconds += f.seconds;
      wall += f.wall_seconds;
      for (const std::string& warning : f.warnings)
        progress.print(concat("note: ", video.path, ": ", warning));
    } catch (const std::exception& error) {
      failures.add(video.path, error.what());
      progress.print(concat("failed: ", video.path, ": ", error.what()));
    }
    before += video.frames;
    progress.update(static_cast<std::size_t>(before), concat(number, "/", todo.size(), " videos"));
  }
  if (!todo.empty()) progress.finish();
  std::printf("%zu extracted, %zu finished before, %zu failed; in %s\n", extracted, finished,
              failures.size(), cli::printable(o.out).c_str());
  if (o.profile && video_seconds > 0) print_profile(stages, video_seconds, wall);
  if (o.random()) std::printf("%s\n", random_warning);
  return failures.print(all, "videos");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "I3D rows (RGB and TV-L1 flow, 1024 columns each) and CLIP rows (512) of videos, in the "
      "layout that\n"
      "train_dcl and localize read. A row is 16 frames at 25 per second, 0.64 s, unless told "
      "otherwise.\n\n"
      "  extract_features videos/ --out data --i3d-rgb i3d_rgb.safetensors --i3d-flow "
      "i3d_flow.safetensors \\\n"
      "      --clip-weights clip.safetensors\n"
      "  extract_features a.mp4 b.avi --out data --streams clip --clip-weights clip.safetensors\n"
      "  extract_features videos/ --out try --random-weights 0 --random-narrow 16 --flow-size 64   "
      "# no weights\n\n"
      "Run again, it goes on where it was; videos that are finished are not touched. A video that "
      "fails does\n"
      "not stop the others. Exit status: 0, 1 for an error, 2 for a wrong command line, 3 when "
      "some videos failed.",
      "extract_features");
  Options o;
  app.add_option("inputs", o.inputs, "Videos, or folders of them")
      ->required()
      ->check(outputs::existing_entry);
  app.add_option("--out", o.out, "Folder to write")->required();
  app.add_flag("--recursive", o.recursive, "Look into the folders below as well");
  app.add_flag("--separate", o.separate,
               "features/rgb/<id>.npy and features/flow/<id>.npy instead of one joint array");
  app.add_flag("--overwrite", o.overwrite, "Make features again although they are there");
  app.add_option("--shard", o.shard,
                 "Part i of n of the videos, i/n from 1/n on, for several machines or job arrays")
      ->check(cli::part_of_parts());
  app.add_flag("--profile", o.profile, "At the end, how the time was spent");
  extract::add_options(app, o);
  cli::add_config(app);
  int status = 0;
  const int ran = cli::run(app, argc, argv, [&] { status = run(o); });
  return ran != 0 ? ran : status;
}
