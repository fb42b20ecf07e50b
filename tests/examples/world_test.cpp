/// The miniature world has what its page says (examples/miniature/world.hpp).

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "../../examples/miniature/merges.hpp"
#include "../../examples/miniature/samples.hpp"
#include "../ops/check.hpp"
#include "tandem/clip/tokenizer.hpp"
#include "tandem/wtal/data/annotations.hpp"
#include "tandem/wtal/data/ground_truth_json.hpp"

using namespace tandem;
using namespace miniature;

TEST_CASE(
    "miniature world: thirty ways of handling ten objects, three of each, twelve of them classes") {
  std::set<std::string> names;
  int of_object[objects] = {}, target_of_object[objects] = {}, of_motion[motions] = {};
  for (int i = 0; i < pairs; ++i) {
    names.insert(pair(i).name());
    ++of_object[pair(i).object];
    if (i < targets) ++target_of_object[pair(i).object];
    ++of_motion[static_cast<int>(pair(i).motion)];
  }
  CHECK(names.size() == pairs);
  for (int o = 0; o < objects; ++o) {
    CHECK(of_object[o] == 3);
    CHECK((target_of_object[o] == 1 || target_of_object[o] == 2));
  }
  for (const int count : of_motion) CHECK(count >= 2);
  CHECK(pair(0).name() == "shaking a ball");
}

TEST_CASE("miniature world: shares of foreground, of the core, and of what is not labelled") {
  for (const std::uint64_t seed : {0U, 1U, 2U}) {
    const World world = make_world({.seed = seed}, 160, 60);
    REQUIRE(world.scenes.size() == 220);
    double foreground = 0, total = 0, core = 0, strangers = 0, instances = 0;
    for (std::size_t v = 0; v < world.scenes.size(); ++v) {
      const Scene& scene = world.scenes[v];
      const wtal::VideoTruth& truth = world.truth.videos[v];
      CHECK(truth.labels == std::vector<int>{scene.target});
      CHECK(truth.duration == 40.96);
      std::int64_t last = 0;
      std::size_t labelled = 0;
      for (const Episode& e : scene.episodes) {
        CHECK(e.begin > last);  // idle before and after
        CHECK(e.begin < e.core_begin);
        CHECK(e.core_begin < e.core_end);
        CHECK(e.core_end < e.end);
        CHECK(e.end < scene.frames);
        last = e.end;
        // What is handled lies there, and nothing lies on another.
        int found = 0;
        for (const Scene::Lying& l : scene.lying) found += l.object == e.what.object ? 1 : 0;
        CHECK(found == 1);
        bool is_target = false;
        for (int c = 0; c < targets; ++c) is_target = is_target || pair(c) == e.what;
        CHECK(is_target == e.labelled);
        if (!e.labelled) continue;
        CHECK(truth.instances[labelled++].segment.start ==
              doctest::Approx(static_cast<double>(e.begin) / 12.5));
        foreground += static_cast<double>(e.end - e.begin);
        core += static_cast<double>(e.core_end - e.core_begin);
      }
      CHECK(labelled == truth.instances.size());
      CHECK(scene.lying.size() >= 2);  // a bystander at least
      instances += static_cast<double>(labelled);
      strangers += static_cast<double>(scene.episodes.size() - labelled);
      total += static_cast<double>(scene.frames);
    }
    // Four standard deviations of 220 videos around what is drawn.
    CHECK(foreground / total == doctest::Approx(0.23).epsilon(0.04));
    CHECK(core / foreground == doctest::Approx(0.35).epsilon(0.04));
    CHECK(std::abs(strangers / 220 - 1.3) < 4 * std::sqrt(0.3 * 0.7 / 220));
    CHECK(std::abs(instances / 220 - 2.5) < 4 * 0.5 / std::sqrt(220.0));
  }
}

TEST_CASE(
    "miniature world: pictures follow from the seed, and show the core's motion and nothing "
    "else's") {
  const World a = make_world({.seed = 4}, 12, 12), b = make_world({.seed = 4}, 12, 12),
              other = make_world({.seed = 5}, 12, 12);
  CHECK(check::same(render(a.scenes[3], 100), render(b.scenes[3], 100)));
  CHECK(!check::same(render(a.scenes[3], 100), render(other.scenes[3], 100)));
  // How much a picture changes over two frames, in the core, where it is held, and where it lies.
  double core = 0, held = 0, idle = 0;
  for (const Scene& scene : a.scenes) {
    const auto change = [&](std::int64_t f) {
      const Tensor<std::uint8_t> x = render(scene, f), y = render(scene, f + 2);
      double sum = 0;
      for (std::int64_t i = 0; i < x.numel(); ++i)
        sum += std::abs(int{x.data()[i]} - int{y.data()[i]}) > 40 ? 1 : 0;
      return sum;
    };
    for (const Episode& e : scene.episodes) {
      core += change((e.core_begin + e.core_end) / 2 - 1);
      held += change(e.core_end);
    }
    idle += change(1);
  }
  CHECK(core > 3 * held);
  CHECK(core > 3 * idle);
}

TEST_CASE("ground_truth_json: what read_ground_truth reads back") {
  const World world = make_world({}, 12, 12);
  const std::string text = io::json_text(wtal::ground_truth_json(world.truth));
  const auto at = text.find("\"train_0001\"");
  REQUIRE(at != std::string::npos);
  CHECK(text.find("\"shaking a ball\"", at) != std::string::npos);
}

TEST_CASE("learn_merges: the most frequent pair first, words end, every word becomes one token") {
  // "ab" 3 times, "abc" once: a b</w> is seen 3 times, a b once; then ab and c</w>.
  CHECK(learn_merges({"ab ab", "ab abc"}, 100) == "#version: 0.2\na b</w>\na b\nab c</w>\n");
  CHECK(learn_merges({"ab ab", "ab abc"}, 1) == "#version: 0.2\na b</w>\n");
  CHECK(learn_merges({"cd ab"}, 1) == "#version: 0.2\na b</w>\n");  // equally frequent: the first
  CHECK(learn_merges({"aaa"}, 100) == "#version: 0.2\na a\naa a</w>\n");
  CHECK_THROWS_WITH(static_cast<void>(learn_merges({"A b"}, 1)),
                    doctest::Contains("expected lower-case letters and blanks, got \"A b\""));

  std::vector<std::string> texts;
  for (std::uint64_t i = 0; i < 600; ++i) {
    Moment m;
    m.pair = static_cast<int>(i % pairs);
    m.stage = static_cast<Stage>(i / pairs % 3);
    texts.push_back(caption(m, Generator(5).split(i)));
  }
  const clip::Tokenizer tokenizer = clip::Tokenizer::parse(learn_merges(texts, 512), "learned");
  for (const std::string& text : texts) {
    CHECK(tokenizer.encode(text).size() ==
          1 + static_cast<std::size_t>(std::count(text.begin(), text.end(), ' ')));
    CHECK(tokenizer.decode(tokenizer.encode(text)) == text + " ");
  }
}

TEST_CASE("captions name the object always, and the motion as often as samples.hpp says") {
  constexpr std::uint64_t count = 4000;
  for (const auto& [stage, share] :
       {std::pair{Stage::core, 0.6}, {Stage::around, 0.5}, {Stage::idle, 0.35}}) {
    std::uint64_t named = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      Moment m;
      m.pair = static_cast<int>(i % pairs);
      m.stage = stage;
      const std::string text = caption(m, Generator(8).split(i));
      CHECK(text.find(object_name(pair(m.pair).object)) != std::string::npos);
      named += text.find(motion_name(pair(m.pair).motion)) != std::string::npos;
    }
    const double seen = static_cast<double>(named) / count;
    CHECK(std::abs(seen - share) < 4.5 * std::sqrt(share * (1 - share) / count));
  }
}

TEST_CASE("clips lie inside an episode of their pair; pictures show idle moments, too") {
  std::set<int> seen;
  for (std::uint64_t i = 0; i < 120; ++i) {
    const Moment m = draw_clip(Generator(2).split(i));
    seen.insert(m.pair);
    const auto inside = [&](const Episode& e) {
      return e.what == pair(m.pair) && m.frame >= e.begin && m.frame + frames_per_row <= e.end;
    };
    CHECK(std::any_of(m.scene.episodes.begin(), m.scene.episodes.end(), inside));
    CHECK(m.stage != Stage::idle);
  }
  CHECK(seen.size() > 25);
  CHECK(render_clip(draw_clip(Generator(2))).shape() == Shape{9, side, side, 3});
  int idle = 0;
  for (std::uint64_t i = 0; i < 400; ++i)
    idle += draw_picture(Generator(3).split(i)).stage == Stage::idle;
  CHECK(idle > 100);
  CHECK(idle < 240);
}

TEST_CASE("flow_of: a texture that moves by one pixel a frame") {
  std::vector<Tensor<std::uint8_t>> frames;
  for (int t = 0; t < 3; ++t) {
    const Tensor<std::uint8_t> frame({side, side, 3});
    for (std::int64_t y = 0; y < side; ++y) {
      for (std::int64_t x = 0; x < side; ++x) {
        const double level = 128 + 60 * std::sin(0.5 * static_cast<double>(x - t)) +
                             50 * std::cos(0.4 * static_cast<double>(y));
        for (std::int64_t c = 0; c < 3; ++c)
          frame.mutable_data()[(y * side + x) * 3 + c] = static_cast<std::uint8_t>(level);
      }
    }
    frames.push_back(frame);
  }
  const Tensor<float> flow = flow_of(stack(frames, 0));
  REQUIRE(flow.shape() == Shape{2, side, side, 2});
  double u = 0, v = 0, n = 0;
  for (std::int64_t t = 0; t < 2; ++t) {
    for (std::int64_t y = 12; y < side - 12; ++y) {
      for (std::int64_t x = 12; x < side - 12; ++x, ++n) {
        const float* at = flow.data() + ((t * side + y) * side + x) * 2;
        u += static_cast<double>(at[0]);
        v += std::abs(static_cast<double>(at[1]));
      }
    }
  }
  CHECK(u / n == doctest::Approx(1).epsilon(0.1));
  CHECK(v / n < 0.1);
}
