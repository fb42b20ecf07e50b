/// compose_videos — makes untrimmed videos, with exact annotations, of a folder of trimmed clips.
///
///   compose_videos --clips ucf101 --classes Archery,BasketballDunk --out world
///   extract_features world/videos --out world …
///
/// Background, a whole clip of a class, background, another clip of it …: every frame is of real
/// video, and where an instance begins and ends is known to the frame. Training videos are made of
/// the clips of trainlist01.txt, test videos of those of testlist01.txt, and a group of clips
/// (…_g08_…) may be in one of the two lists only. Writes into --out: videos/<id>.mp4, gt.json, and
/// world.json (the options, and which frames of which clips each video is made of).
/// miniature/composition.hpp says how clips are chosen.

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "common_cli.hpp"
#include "miniature/composed_video.hpp"
#include "miniature/video_folder.hpp"

namespace {

using namespace tandem;
using namespace miniature;

constexpr const char* program = "compose_videos";

struct Options {
  std::string clips, out, split = "01";
  std::vector<std::string> classes, background;
  std::int64_t size = 64;
  CompositionOptions of;
};

io::Json words(const std::vector<std::string>& list) {
  return io::Json(io::Json::array_t(list.begin(), list.end()));
}

/// The options, and of every video its parts in frames.
io::Json world_json(const Options& o, const TrimmedClips& clips, const Compositions& made) {
  io::Json root = io::Json::object();
  root["seed"] = o.of.seed;
  root["split"] = o.split;
  root["classes"] = words(o.classes);
  root["background"] = words(o.background);
  root["instances"] = o.of.instances;
  root["gap"] = o.of.gap;
  root["frames_per_second"] = o.of.fps;
  root["size"] = o.size;
  io::Json videos = io::Json::object();
  for (std::size_t v = 0; v < made.videos.size(); ++v) {
    io::Json list = io::Json(io::Json::array_t());
    std::int64_t at = 0;
    for (const Part& part : made.videos[v].parts) {
      io::Json item = io::Json::object();
      item["clip"] = clips.classes[static_cast<std::size_t>(part.clip.cls)] + "/" + part.clip.name;
      item["labelled"] = part.labelled;
      item["frames"] = {at, at + part.count};
      item["first_of_clip"] = part.first;
      at += part.count;
      list.push_back(std::move(item));
    }
    videos[made.truth.videos[v].id] = std::move(list);
  }
  root["videos"] = std::move(videos);
  return root;
}

void run(Options o) {
  TANDEM_CHECK(io::is_directory(o.clips), program, "there is no folder ", o.clips);
  TANDEM_CHECK(o.size % 2 == 0, program, "--size must be even, it is ", o.size);
  if (o.background.empty()) {
    for (const std::string& name : class_folders(o.clips)) {
      if (std::find(o.classes.begin(), o.classes.end(), name) == o.classes.end())
        o.background.push_back(name);
    }
    TANDEM_CHECK(!o.background.empty(), program, "every folder of ", o.clips,
                 " is one of --classes: nothing is left for the background");
  }
  std::vector<std::string> all = o.classes;
  all.insert(all.end(), o.background.begin(), o.background.end());
  const TrimmedClips clips = read_trimmed_clips(program, o.clips, o.split, all);
  std::map<std::string, std::int64_t> known;
  const auto frames_of = [&](const TrimmedClip& clip) {
    const auto [at, is_new] = known.try_emplace(clip.path, 0);
    if (is_new) at->second = count_frames(clip, o.of.fps);
    return at->second;
  };
  const Compositions made = compose(program, clips, o.classes.size(), o.of, frames_of);
  VideoFolder folder{.program = program,
                     .out = o.out,
                     .making = "composing",
                     .made = "composed",
                     .about = world_json(o, clips, made),
                     .truth = made.truth,
                     .frames = {},
                     .write_video =
                         [&](const std::string& path, std::size_t v) {
                           write_composition(path, made.videos[v], o.of.fps, o.size);
                         },
                     .others = {},
                     .write_others = {}};
  double seconds = 0, labelled = 0;
  for (std::size_t v = 0; v < made.videos.size(); ++v) {
    folder.frames.push_back(made.videos[v].frames());
    seconds += made.truth.videos[v].duration;
    for (const wtal::Instance& i : made.truth.videos[v].instances) labelled += i.segment.length();
  }
  const std::size_t kept = write_video_folder(folder);
  if (kept > 0) std::printf("%zu videos were there already\n", kept);
  std::printf(
      "%zu videos of %s s on average, %zu instances of %zu classes in %s %% of the time, made of "
      "%zu clips, in %s\n",
      made.videos.size(), cli::fixed(seconds / static_cast<double>(made.videos.size()), 1).c_str(),
      made.truth.instance_count(), o.classes.size(), cli::percent(labelled / seconds, 1).c_str(),
      known.size(), cli::printable(o.out).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Makes untrimmed videos, with exact annotations, of trimmed clips: background, a clip of a "
      "class, "
      "background,\nanother clip of it ... Clips lie in folders named after their classes, and two "
      "lists "
      "say which are for training\nand which for testing, as in UCF101:\n\n"
      "  CLIPS/<Class>/<clip>.mp4    CLIPS/trainlist01.txt, CLIPS/testlist01.txt: "
      "<Class>/<clip>.avi\n\n"
      "  compose_videos --clips ucf101 --classes Archery,BasketballDunk --out world\n",
      program);
  Options o;
  app.add_option("--clips", o.clips, "Folder of the clips and lists")->required();
  app.add_option("--classes", o.classes, "Classes of the instances, as CLASS,CLASS")
      ->required()
      ->delimiter(',');
  app.add_option("--background", o.background,
                 "Classes that the background is made of, as CLASS,CLASS; all others if not given")
      ->delimiter(',');
  app.add_option("--split", o.split, "The lists: trainlist<SPLIT>.txt and testlist<SPLIT>.txt")
      ->capture_default_str();
  app.add_option("--out", o.out, "Folder for the videos and annotations")->required();
  app.add_option("--seed", o.of.seed, "Which clips, in what order, and how much background")
      ->capture_default_str();
  app.add_option("--train", o.of.train, "Training videos")
      ->capture_default_str()
      ->check(cli::range(1, 100000));
  app.add_option("--test", o.of.test, "Test videos")
      ->capture_default_str()
      ->check(cli::range(1, 100000));
  app.add_option("--instances", o.of.instances, "Instances of a video, at most; one at least")
      ->capture_default_str()
      ->check(cli::range(1, 100));
  app.add_option(
         "--gap", o.of.gap,
         "Seconds of background before, between and after instances, at most; a third of it "
         "at least")
      ->capture_default_str()
      ->check(cli::range(0.1, 3600));
  app.add_option("--fps", o.of.fps, "Frames per second of the videos")
      ->capture_default_str()
      ->check(cli::range(1, 120));
  app.add_option(
         "--size", o.size,
         "Width and height of the videos: the short side is scaled to it, the middle is kept")
      ->capture_default_str()
      ->check(cli::range(16, 1024));
  return cli::run(app, argc, argv, [&] { run(o); });
}
