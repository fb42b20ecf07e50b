#pragma once
/// What the encoders of the miniature are trained on: clips and captioned pictures of people who
/// handle objects in any of the thirty ways, drawn one by one from a seed. No video of a world is
/// among them.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tandem/flow/tvl1.hpp"
#include "tandem/image/gray.hpp"
#include "tandem/ops/stack.hpp"
#include "world.hpp"

namespace miniature {

/// How TV-L1 runs on these small pictures: weights/mini/extract.json says the same to
/// extract_features.
inline flow::TvL1Options flow_options() {
  flow::TvL1Options out;
  out.scales = 3;
  out.warps = 3;
  out.inner_iterations = 10;
  out.outer_iterations = 1;
  return out;
}
constexpr float flow_bound = 8;  ///< pixels from one frame to the next that become 1

/// Which part of an episode a moment lies in.
enum class Stage { idle, around, core };

inline Stage stage_of(const Episode& e, std::int64_t frame) {
  if (frame < e.begin || frame >= e.end) return Stage::idle;
  return frame >= e.core_begin && frame < e.core_end ? Stage::core : Stage::around;
}

/// A scene with episodes of one pair, and a moment in it.
struct Moment {
  Scene scene;
  int pair = 0;  ///< 0 … 29
  std::int64_t frame = 0;
  Stage stage = Stage::idle;
};

namespace detail {
inline Moment scene_of_any_pair(Generator& random) {
  Moment out;
  out.pair = below(random, pairs);
  out.scene = make_scene(out.pair, {.unlabelled = 0}, random);
  return out;
}
}  // namespace detail

/// The clip that begins at `frame`, all of it inside an episode. Its stage is that of its middle.
inline Moment draw_clip(Generator random) {
  Moment out = detail::scene_of_any_pair(random);
  const auto count = static_cast<int>(out.scene.episodes.size());
  const Episode& e = out.scene.episodes[static_cast<std::size_t>(detail::below(random, count))];
  const std::int64_t places = std::max<std::int64_t>(e.end - e.begin - frames_per_row, 0) + 1;
  out.frame = e.begin + detail::below(random, static_cast<int>(places));
  out.stage = stage_of(e, out.frame + frames_per_row / 2);
  return out;
}

/// A picture: in half of the draws of somebody who handles the object, else of any moment.
inline Moment draw_picture(Generator random) {
  Moment out = detail::scene_of_any_pair(random);
  const auto count = static_cast<int>(out.scene.episodes.size());
  const Episode& e = out.scene.episodes[static_cast<std::size_t>(detail::below(random, count))];
  if (random.next_double() < 0.5) {
    out.frame = e.begin + detail::below(random, static_cast<int>(e.end - e.begin));
  } else {
    out.frame = detail::below(random, static_cast<int>(out.scene.frames));
  }
  for (const Episode& any : out.scene.episodes)
    out.stage = std::max(out.stage, stage_of(any, out.frame));
  return out;
}

/// The frames of a clip and the one after it.   → (9, 64, 64, 3)
inline Tensor<std::uint8_t> render_clip(const Moment& m) {
  std::vector<Tensor<std::uint8_t>> frames;
  for (std::int64_t t = 0; t <= frames_per_row; ++t)
    frames.push_back(render(m.scene, std::min(m.frame + t, m.scene.frames - 1)));
  return stack(frames, 0);
}

/// The flow from each of a clip's frames to the next, in pixels.   (9, 64, 64, 3) → (8, 64, 64, 2)
inline Tensor<float> flow_of(const Tensor<std::uint8_t>& frames) {
  const flow::TvL1Options options = flow_options();
  std::vector<Tensor<float>> out;
  Tensor<std::uint8_t> before = io::rgb_to_gray(frames.select(0, 0).contiguous());
  for (std::int64_t t = 1; t < frames.size(0); ++t) {
    const Tensor<std::uint8_t> now = io::rgb_to_gray(frames.select(0, t).contiguous());
    out.push_back(flow::tvl1(before, now, options));
    before = now;
  }
  return stack(out, 0);
}

/// What somebody would write under a picture. People name what they see, and sometimes more than
/// that: the motion with probability 0.6 in the core of an episode, 0.5 around it, 0.35 where the
/// object only lies there.
inline std::string caption(const Moment& m, Generator random) {
  const Pair what = pair(m.pair);
  const double named = m.stage == Stage::core ? 0.6 : m.stage == Stage::around ? 0.5 : 0.35;
  const bool motion = random.next_double() < named;
  const char* const object = object_name(what.object);
  const auto one_of = [&](const std::vector<std::string>& texts) {
    return texts[static_cast<std::size_t>(detail::below(random, static_cast<int>(texts.size())))];
  };
  if (motion) {
    const std::string name = what.name();
    return one_of({name, "a person " + name, "a video of somebody " + name,
                   "a photo of a person " + name,
                   "in this video one can see a person " + name + " in a room"});
  }
  const std::string thing = std::string("a ") + object;
  if (m.stage == Stage::idle)
    return one_of({thing, thing + " on the floor", "a photo of " + thing, "a room with " + thing,
                   "in this video one can see " + thing + " on the floor of a room"});
  return one_of({thing, "a person with " + thing, "somebody holding " + thing,
                 "a photo of a person and " + thing,
                 "in this video one can see a person with " + thing + " in a room"});
}

}  // namespace miniature
