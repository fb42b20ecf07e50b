/// render_world — renders the videos of a miniature world, with exact annotations.
///
///   render_world --out world
///   extract_features --videos world/videos …
///
/// A person handles one of ten objects in one of eight ways; twelve of these (shaking a ball,
/// bouncing a box …) are the classes. miniature/world.hpp says what the videos are made to have.
/// Writes into --out: videos/<id>.mp4, gt.json, contact_sheet.png (a picture of every class) and
/// world.json (the options, and what each frame of each video shows).

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "common_cli.hpp"
#include "miniature/video_folder.hpp"
#include "miniature/world.hpp"
#include "tandem/image/image.hpp"
#include "tandem/image/video_writer.hpp"
#include "word_vectors.hpp"

namespace {

using namespace tandem;
using namespace miniature;

struct Options {
  std::string out;
  WorldOptions world;
  std::int64_t train = 160, test = 60;
};

/// A row for each class: the object lies, is taken up, five frames of the motion, is held, lies
/// again.
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

void render_video(const std::string& path, const Scene& scene) {
  io::VideoWriter writer(path, side, side,
                         {.fps = frames_per_second, .quality = 23, .preset = "superfast"});
  for (std::int64_t f = 0; f < scene.frames; ++f) writer.add(render(scene, f));
  writer.close();
}

void run(const Options& o) {
  const World world = make_world(o.world, o.train, o.test);
  VideoFolder folder{
      .program = "render_world",
      .out = o.out,
      .making = "rendering",
      .made = "rendered",
      .about = world_json(o, world),
      .truth = world.truth,
      .frames = {},
      .write_video = [&](const std::string& path,
                         std::size_t v) { render_video(path, world.scenes[v]); },
      .others = {"contact_sheet.png", "glove.txt"},
      .write_others =
          [&](const std::string& out) {
            io::write_png(io::join_path(out, "contact_sheet.png"), contact_sheet(world));
            // Made up: what Boosting-WTAL reads of the class names.
            Generator random(static_cast<std::uint64_t>(o.world.seed));
            cli::write_word_vectors(io::join_path(out, "glove.txt"), world.truth.classes, random);
          }};
  for (const Scene& scene : world.scenes) folder.frames.push_back(scene.frames);
  const std::size_t kept = write_video_folder(folder);
  if (kept > 0) std::printf("%zu videos were there already\n", kept);
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
