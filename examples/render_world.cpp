/// render_world — renders the videos of a miniature world, with exact annotations.
///
///   render_world --out world
///   extract_features --videos world/videos …
///
/// A person handles one of ten objects in one of eight ways; twelve of these (shaking a ball, bouncing
/// a box …) are the classes. miniature/world.hpp says what the videos are made to have. Writes into
/// --out: videos/<id>.mp4, gt.json, contact_sheet.png (a picture of every class) and world.json (the
/// options, and what each frame of each video shows).

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "common_cli.hpp"
#include "miniature/world.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/image/image.hpp"
#include "tandem/image/video.hpp"
#include "tandem/image/video_writer.hpp"
#include "tandem/io/lock.hpp"
#include "tandem/wtal/data/ground_truth_json.hpp"

namespace {

using namespace tandem;
using namespace miniature;

struct Options {
  std::string out;
  WorldOptions world;
  std::int64_t train = 160, test = 60;
};

/// A row for each class: the object lies, is taken up, five frames of the motion, is held, lies again.
Tensor<std::uint8_t> contact_sheet(const World& world) {
  constexpr std::int64_t columns = 9, gap = 2, cell = side + gap;
  const auto rows = std::min<std::int64_t>(targets, static_cast<std::int64_t>(world.scenes.size()));
  Tensor<std::uint8_t> sheet =
      full<std::uint8_t>({rows * cell + gap, columns * cell + gap, 3}, 255);
  for (std::int64_t r = 0; r < rows; ++r) {
    const Scene& scene = world.scenes[static_cast<std::size_t>(r)];
    const auto found = std::find_if(scene.episodes.begin(), scene.episodes.end(),
                                    [](const Episode& e) { return e.labelled; });
    const Episode& e = *found;
    const std::int64_t core = e.core_end - e.core_begin;
    std::vector<std::int64_t> frames{e.begin - 4, (e.begin + e.core_begin) / 2};
    for (std::int64_t k = 0; k < 5; ++k) frames.push_back(e.core_begin + k * (core - 1) / 4);
    frames.push_back((e.core_end + e.end) / 2);
    frames.push_back(std::min(e.end + 4, scene.frames - 1));
    for (std::int64_t c = 0; c < columns; ++c) {
      const std::int64_t y = gap + r * cell, x = gap + c * cell;
      sheet.slice(0, y, y + side)
          .slice(1, x, x + side)
          .copy_(render(scene, frames[static_cast<std::size_t>(c)]));
    }
  }
  return sheet;
}

/// The options, and the episodes of every video in frames.
io::Json world_json(const Options& o, const World& world) {
  io::Json root = io::Json::object();
  root["seed"] = o.world.seed;
  root["rows"] = o.world.rows;
  root["unlabelled"] = o.world.unlabelled;
  root["frames_per_second"] = frames_per_second;
  root["frames_per_row"] = frames_per_row;
  io::Json videos = io::Json::object();
  for (std::size_t v = 0; v < world.scenes.size(); ++v) {
    io::Json list = io::Json(io::Json::array_t());
    for (const Episode& e : world.scenes[v].episodes) {
      io::Json item = io::Json::object();
      item["action"] = e.what.name();
      item["labelled"] = e.labelled;
      item["frames"] = {e.begin, e.core_begin, e.core_end, e.end};
      list.push_back(std::move(item));
    }
    videos[world.truth.videos[v].id] = std::move(list);
  }
  root["videos"] = std::move(videos);
  return root;
}

bool holds_files(const std::string& folder) {
  std::error_code error;
  return std::filesystem::is_directory(folder, error) && !std::filesystem::is_empty(folder, error);
}
/// Whether a video of so many frames is there, as far as its container says.
bool is_complete(const std::string& path, std::int64_t frames) {
  if (!io::is_file(path)) return false;
  try {
    return io::VideoReader(path, {.threads = 1}).info().frames == frames;
  } catch (const Error&) {
    return false;
  }
}

void render_video(const std::string& path, const Scene& scene) {
  io::VideoWriter writer(path, side, side,
                         {.fps = frames_per_second, .quality = 23, .preset = "superfast"});
  for (std::int64_t f = 0; f < scene.frames; ++f) writer.add(render(scene, f));
  writer.close();
}

void run(const Options& o) {
  TANDEM_CHECK(!o.out.empty(), "render_world", "--out is empty: name a folder");
  const std::string videos = io::join_path(o.out, "videos"),
                    done = io::join_path(o.out, "world.json"),
                    begun =
                        io::join_path(o.out, "rendering.json");  // in place of `done` until then
  io::make_directories(videos);
  const io::FolderLock lock(o.out, "render_world");
  const World world = make_world(o.world, o.train, o.test);
  const io::Json about = world_json(o, world);
  const std::string text = io::json_text(about) + "\n";
  const bool known = io::is_file(done) || io::is_file(begun);
  for (const std::string& path : {done, begun}) {
    TANDEM_CHECK(!io::is_file(path) || io::read_text(path) == text, "render_world", o.out,
                 " holds a world of other options already; name another folder with --out");
  }
  for (const char* name : {"gt.json", "contact_sheet.png", "videos"}) {
    const std::string path = io::join_path(o.out, name);
    TANDEM_CHECK(known || !(io::is_file(path) || holds_files(path)), "render_world", path,
                 " is there and was not rendered here; name another folder with --out");
  }
  if (!known) io::write_text(begun, text);
  cli::Progress progress("rendering", world.scenes.size());
  std::atomic<std::size_t> kept = 0;
  const auto count = static_cast<std::int64_t>(world.scenes.size());
  const std::int64_t at_once = std::max(cpu::num_threads(), 1);
  for (std::int64_t first = 0; first < count; first += at_once) {
    const std::int64_t last = std::min(first + at_once, count);
    cpu::parallel_for(last - first, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t v = first + begin; v < first + end; ++v) {
        const auto i = static_cast<std::size_t>(v);
        const std::string path = io::join_path(videos, world.truth.videos[i].id + ".mp4");
        if (is_complete(path, world.scenes[i].frames))
          ++kept;
        else
          render_video(path, world.scenes[i]);
      }
    });
    progress.update(static_cast<std::size_t>(last));
  }
  progress.finish();
  io::write_png(io::join_path(o.out, "contact_sheet.png"), contact_sheet(world));
  io::save_json(io::join_path(o.out, "gt.json"), wtal::ground_truth_json(world.truth));
  lock.check();
  io::write_text(done, text);  // last: a folder that has it is complete
  std::filesystem::remove(begun);
  if (kept > 0) std::printf("%zu videos were there already\n", kept.load());
  std::printf("%zu videos, %d classes in %s; a picture of each class: %s\n", world.scenes.size(),
              targets, cli::printable(o.out).c_str(),
              cli::printable(io::join_path(o.out, "contact_sheet.png")).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Renders the videos of a miniature world, 64 x 64 pixels at 12.5 frames a second, with exact "
      "annotations:\na person handles one of ten objects in one of eight ways; twelve of these are "
      "the classes.\n\n  render_world --out world\n",
      "render_world");
  Options o;
  app.add_option("--out", o.out, "Folder for the videos and annotations")->required();
  app.add_option("--seed", o.world.seed, "The world: other people, places, times and noise")
      ->capture_default_str();
  app.add_option("--train", o.train, "Training videos")
      ->capture_default_str()
      ->check(cli::range(targets, 100000));
  app.add_option("--test", o.test, "Test videos")
      ->capture_default_str()
      ->check(cli::range(targets, 100000));
  app.add_option("--rows", o.world.rows, "Length of a video in rows of 0.64 s")
      ->capture_default_str()
      ->check(cli::range(32, 10000));
  app.add_option("--unlabelled", o.world.unlabelled,
                 "Mean number of times in a video that somebody does something else with an object")
      ->capture_default_str()
      ->check(cli::range(0, 3));
  return cli::run(app, argc, argv, [&] { run(o); });
}
