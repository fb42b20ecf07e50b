/// Untrimmed videos of trimmed clips (examples/miniature/composition.hpp, composed_video.hpp,
/// trimmed_clips.hpp). The clips are made here: each is of one colour, which says class, split and
/// clip.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "../../examples/miniature/composed_video.hpp"
#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "tandem/io/file.hpp"

using namespace tandem;
using namespace miniature;
using tandem_test::contains;
using tandem_test::error_of;

namespace {

constexpr double rate = 25;
const std::vector<std::string> all_classes{"Red", "Green", "Blue",
                                           "Gray"};  // Blue, Gray: background

/// The colour of clip `number` (0 … 3) of a class, darker for training than for testing.
std::array<int, 3> colour(const std::string& cls, bool training, int number) {
  const int light = (training ? 60 : 160) + 20 * number;
  if (cls == "Red") return {light, 20, 20};
  if (cls == "Green") return {20, light, 20};
  if (cls == "Blue") return {20, 20, light};
  return {light, light, light};
}

void write_clip(const std::string& path, const std::array<int, 3>& rgb, int frames) {
  io::VideoWriter writer(path, 64, 48, {.fps = rate, .quality = 4, .preset = "ultrafast"});
  Tensor<std::uint8_t> frame(Shape{48, 64, 3});
  for (std::int64_t i = 0; i < frame.numel(); ++i)
    frame.mutable_data()[i] = static_cast<std::uint8_t>(rgb[static_cast<std::size_t>(i % 3)]);
  for (int f = 0; f < frames; ++f) writer.add(frame);
  writer.close();
}

/// Four clips of each class for training and four for testing, of 24 to 66 frames.
void write_clips(const std::string& folder) {
  std::string lists[2];
  for (const std::string& cls : all_classes) {
    io::make_directories(io::join_path(folder, cls));
    for (int k = 0; k < 8; ++k) {
      const bool training = k < 4;
      const std::string name = concat("v_", cls, "_g0", k + 1, "_c01");
      write_clip(io::join_path(folder, cls + "/" + name + ".mp4"), colour(cls, training, k % 4),
                 24 + 6 * k);
      lists[training ? 0 : 1] += cls + "/" + name + (training ? ".avi 1\n" : ".avi\n");
    }
  }
  io::write_text(io::join_path(folder, "trainlist01.txt"), lists[0]);
  io::write_text(io::join_path(folder, "testlist01.txt"), lists[1]);
}

TrimmedClips read(const std::string& folder) {
  return read_trimmed_clips("test", folder, "01", all_classes);
}
Compositions plan(const std::string& folder, const CompositionOptions& options) {
  return compose("test", read(folder), 2, options,
                 [&](const TrimmedClip& clip) { return count_frames(clip, options.fps); });
}

}  // namespace

TEST_CASE("group_of: the group of a UCF101 clip, and a clip of another name alone") {
  CHECK(group_of("v_Archery_g08_c01") == "g08");
  CHECK(group_of("v_ApplyEyeMakeup_g25_c07") == "g25");
  CHECK(group_of("big_game_g3_c1") == "g3");
  CHECK(group_of("my_garden") == "my_garden");
  CHECK(group_of("x_g_1") == "x_g_1");
  CHECK(group_of("x_g1") == "x_g1");
}

TEST_CASE(
    "compose: every frame is of the annotated class, of the right split, as long as it says") {
  const tandem_test::TempDir dir;
  const std::string folder = dir.path("clips");
  write_clips(folder);
  const CompositionOptions options{.seed = 3, .train = 4, .test = 4, .gap = 4};
  const Compositions made = plan(folder, options);
  REQUIRE(made.videos.size() == 8);
  CHECK(made.truth.classes == std::vector<std::string>{"Red", "Green"});
  for (std::size_t v = 0; v < 8; ++v) {
    const wtal::VideoTruth& truth = made.truth.videos[v];
    const bool training = v < 4;
    CHECK(truth.id == concat(training ? "train_000" : "test_000", v % 4 + 1));
    CHECK(truth.subset == (training ? "train" : "test"));
    REQUIRE(truth.labels == std::vector<int>{static_cast<int>(v % 2)});
    REQUIRE(!truth.instances.empty());
    const std::string path = dir.path(truth.id + ".mp4");
    write_composition(path, made.videos[v], options.fps, 32);
    io::VideoReader reader(path, {.threads = 1});
    io::VideoFrame frame;
    std::int64_t frames = 0;
    std::size_t wrong_class = 0, wrong_split = 0;
    for (; reader.next(frame); ++frames) {
      REQUIRE(frame.rgb.shape() == Shape{32, 32, 3});
      const std::uint8_t* p = frame.rgb.data() + (16 * 32 + 16) * 3;  // the middle
      const bool red = p[0] > p[1] + 25 && p[0] > p[2] + 25,
                 green = p[1] > p[0] + 25 && p[1] > p[2] + 25;
      // Half a frame inside, so that no rounding decides.
      const double middle = (static_cast<double>(frames) + 0.5) / options.fps;
      bool inside = false;
      for (const wtal::Instance& i : truth.instances) {
        CHECK(i.cls == truth.labels[0]);
        inside = inside || (middle > i.segment.start && middle < i.segment.end);
      }
      wrong_class += (truth.labels[0] == 0 ? red : green) != inside;
      wrong_class += truth.labels[0] == 0 ? green : red;  // another class is never there
      wrong_split += (std::max({p[0], p[1], p[2]}) < 140) != training;
    }
    CHECK(wrong_class == 0);
    CHECK(wrong_split == 0);
    CHECK(frames == made.videos[v].frames());
    CHECK(truth.duration == static_cast<double>(frames) / options.fps);
  }
}

TEST_CASE("compose: an instance is a whole clip, gaps lie around it, no clip twice in a video") {
  const tandem_test::TempDir dir;
  const std::string folder = dir.path("clips");
  write_clips(folder);
  const CompositionOptions options{.train = 40, .test = 2, .instances = 4, .gap = 3};
  const Compositions made = plan(folder, options);
  std::map<std::size_t, int> counts;
  std::map<std::string, int> times;  // of each clip of an instance
  for (std::size_t v = 0; v < 40; ++v) {
    const std::vector<Part>& parts = made.videos[v].parts;
    CHECK(!parts.front().labelled);
    CHECK(!parts.back().labelled);
    std::set<std::string> seen;
    std::int64_t background = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Part& p = parts[i];
      CHECK(p.count >= options.least_frames);
      const std::int64_t length = count_frames(p.clip, options.fps);
      CHECK(p.first + p.count <= length);
      if (!p.labelled) {
        background += p.count;
        CHECK(p.clip.cls >= 2);
        continue;
      }
      // 3 s at 12.5 a second are 37 frames; what is left of a stretch below 8 frames is not filled.
      CHECK(background <= 37);
      CHECK(background >= 12 - 7);
      background = 0;
      CHECK(p.first == 0);
      CHECK(p.count == length);
      CHECK(seen.insert(p.clip.name).second);
      ++times[p.clip.name];
      CHECK(!parts[i - 1].labelled);
    }
    ++counts[made.truth.videos[v].instances.size()];
  }
  for (std::size_t n = 1; n <= 4; ++n) CHECK(counts[n] > 0);
  // Dealt from a deck: clips of a class are used equally often, but for one time and what a video
  // with the same clip in hand leaves aside.
  CHECK(times.size() == 8);
  for (const char* cls : {"Red", "Green"}) {
    int least = 1000, most = 0;
    for (const auto& [name, count] : times) {
      if (name.find(cls) == std::string::npos) continue;
      least = std::min(least, count), most = std::max(most, count);
    }
    CHECK(most > 5);
    CHECK(least > most / 2);
  }
}

TEST_CASE("compose: a seed decides, and more videos leave the first as they are") {
  const tandem_test::TempDir dir;
  const std::string folder = dir.path("clips");
  write_clips(folder);
  const auto words = [](const Compositions& made, std::size_t count) {
    std::string out;
    for (std::size_t v = 0; v < count; ++v) {
      for (const Part& p : made.videos[v].parts)
        out += concat(p.clip.name, " ", p.first, " ", p.count, "; ");
    }
    return out;
  };
  const Compositions a = plan(folder, {.seed = 1, .train = 4, .test = 2}),
                     b = plan(folder, {.seed = 1, .train = 8, .test = 2}),
                     c = plan(folder, {.seed = 2, .train = 4, .test = 2});
  CHECK(words(a, 4) == words(b, 4));
  CHECK(words(a, 4) != words(c, 4));
}

TEST_CASE("trimmed clips: what is wrong is named") {
  const tandem_test::TempDir dir;
  const std::string folder = dir.path("clips"), train = io::join_path(folder, "trainlist01.txt"),
                    test = io::join_path(folder, "testlist01.txt");
  CHECK(contains(error_of([&] { read(folder); }), "there is no folder " + folder));
  write_clips(folder);
  const std::string of_train = io::read_text(train), of_test = io::read_text(test);
  CHECK(read(folder).train.size() == 16);

  CHECK(contains(error_of([&] {
                   read_trimmed_clips("test", folder, "01", {"Rad", "Blue"});
                 }),
                 "there is no class Rad"));
  CHECK(contains(error_of([&] {
                   read_trimmed_clips("test", folder, "01", {"Red", "Red"});
                 }),
                 "class Red is named twice"));
  CHECK(contains(error_of([&] { read_trimmed_clips("test", folder, "02", {}); }),
                 "there is no " + io::join_path(folder, "trainlist02.txt")));

  io::write_text(test, of_test + "Red/v_Red_g01_c01.avi\n");
  CHECK(contains(error_of([&] { read(folder); }), "of the same group is for training"));
  io::write_text(test, of_test + "v_Red_g01_c01.avi\n");
  CHECK(contains(error_of([&] { read(folder); }), "line 17: expected <Class>/<clip>"));
  io::write_text(test, "Red/v_Red_g77_c01.avi\n");
  CHECK(
      contains(error_of([&] { read(folder); }), "no clip that " + test + " names is in " + folder));
  io::write_text(test, "\n");
  CHECK(contains(error_of([&] { read(folder); }), test + " names no clip"));
  // Clips that the lists name and that are not there, and clips in no list, are left out.
  io::write_text(test, of_test + "Red/v_Red_g77_c01.avi\nPurple/v_Purple_g01_c01.avi\n");
  CHECK(read(folder).test.size() == 16);

  io::write_text(test, "Blue/v_Blue_g05_c01.avi\nRed/v_Red_g05_c01.avi\n");
  CHECK(contains(error_of([&] { plan(folder, {.train = 2, .test = 2}); }),
                 "class Green has no clip for testing"));
  CHECK(contains(error_of([&] { require_clips("test", read(folder)); }),
                 "class Green has no clip for testing"));
  io::write_text(test, "Green/v_Green_g05_c01.avi\nRed/v_Red_g05_c01.avi\n");
  CHECK(contains(error_of([&] { plan(folder, {.train = 2, .test = 2}); }),
                 "no clip of the background's classes is for testing"));
  io::write_text(test, of_test);
  CHECK(
      contains(error_of([&] { plan(folder, {.train = 1, .test = 2}); }), "each of the 2 classes"));
  const std::string broken = io::join_path(folder, "Red/v_Red_g01_c01.mp4");
  io::write_text(broken, "no video");
  CHECK(contains(error_of([&] { plan(folder, {.train = 8, .test = 2}); }), broken));
  write_clip(broken, {90, 20, 20}, 3);
  CHECK(contains(error_of([&] { plan(folder, {.train = 8, .test = 2}); }),
                 broken + " has 2 frames at 12.5 a second; an instance has 8 at least"));
  std::filesystem::copy(broken, io::join_path(folder, "Red/v_Red_g01_c01.mkv"));
  CHECK(contains(error_of([&] { read(folder); }), "are two files of one clip"));
}
