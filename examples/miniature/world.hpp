#pragma once
/// The miniature world: a person who handles one of ten objects in one of eight ways, seen by a
/// small camera. Made so that the paper's premise arises by itself, from pixels:
///   - a class is a way of handling an object ("shaking a ball"); neither the object nor the person
///     says which, since each object is handled in three ways, of which one or two are target
///     classes;
///   - only the core of an instance, about a third of it, shows the motion: what classifies motion
///     finds that part and misses the rest;
///   - all through an instance the person holds the object, and before and after it lies idle: what
///     knows objects and scenes sees where an instance begins and ends, and cannot tell the motion;
///   - target objects also lie around in videos of other classes, and in every video somebody
///     handles one in a way that is not labelled, in three of ten twice: who holds what is no
///     evidence.
/// Everything follows from a seed.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "draw.hpp"
#include "tandem/tensor/random.hpp"
#include "tandem/wtal/data/types.hpp"

namespace miniature {

constexpr std::int64_t side = 64;  ///< of the square picture, in pixels
constexpr double frames_per_second = 12.5;
constexpr std::int64_t frames_per_row = 8;  ///< 0.64 s
constexpr int objects = 10, motions = 8, targets = 12, pairs = 30;

enum class Motion { shaking, lifting, circling, swinging, bouncing, pushing, spinning, tossing };

inline const char* motion_name(Motion m) {
  constexpr const char* names[] = {"shaking",  "lifting", "circling", "swinging",
                                   "bouncing", "pushing", "spinning", "tossing"};
  return names[static_cast<int>(m)];
}
inline const char* object_name(int object) {
  constexpr const char* names[] = {"ball",  "box", "star", "ring", "kite",
                                   "cross", "bat", "cone", "drum", "moon"};
  return names[object];
}

/// A way of handling an object.
struct Pair {
  Motion motion = Motion::shaking;
  int object = 0;
  std::string name() const {
    return std::string(motion_name(motion)) + " a " + object_name(object);
  }
  bool operator==(const Pair&) const = default;
};
/// Pairs 0 … 11 are the target classes, 12 … 29 the other ones that encoders are trained on: each
/// object has three of the thirty.
inline Pair pair(int index) {
  // Object o is handled in the ways 3·o, 3·o + 1 and 3·o + 2, turned by a step that keeps them
  // apart.
  const auto way = [](int object, int k) {
    return static_cast<Motion>((3 * object + (object >= 8 ? 1 : 0) + 3 * k) % motions);
  };
  if (index < 10) return {way(index, 0), index};
  if (index < 12) return {way(index - 10, 1), index - 10};
  if (index < 14) return {way(index - 12, 2), index - 12};
  const int rest = index - 14;  // objects 2 … 9, two each
  return {way(2 + rest / 2, 1 + rest % 2), 2 + rest / 2};
}

/// Somebody handles an object in frames [begin, end); the motion is seen in [core_begin, core_end).
struct Episode {
  Pair what;
  std::int64_t begin = 0, core_begin = 0, core_end = 0, end = 0;
  bool labelled = true;
};

/// A person, and how he looks.
struct Person {
  Color shirt, trousers, skin;
  double height = 30;  ///< pixels
};

/// All that there is in one video.
struct Scene {
  std::int64_t frames = 0;
  Color sky, floor;
  double horizon = 40;
  Person person;
  struct Lying {
    int object = 0;
    double x = 0;
  };
  std::vector<Lying> lying;       ///< what lies around, with the objects of the episodes
  std::vector<Episode> episodes;  ///< in order, apart
  std::uint64_t noise = 0;  ///< seed of the sensor's noise and of the hand that holds the camera
  int target = 0;           ///< the class of the labelled episodes
};

struct WorldOptions {
  std::uint64_t seed = 0;
  std::int64_t rows = 64;   ///< of a video
  double unlabelled = 1.3;  ///< episodes of a video that are not labelled, on average
};

namespace detail {

inline double uniform(Generator& random, double low, double high) {
  return low + (high - low) * random.next_double();
}
inline int below(Generator& random, int n) {
  return static_cast<int>(random.next_below(static_cast<std::uint64_t>(n)));
}
inline Color muted(Generator& random) {
  const auto level = [&] { return static_cast<float>(uniform(random, 70, 170)); };
  return {level(), level(), level()};
}

inline const Color& object_color(int object) {
  static const Color colors[] = {{225, 40, 40}, {45, 80, 230},   {245, 225, 40}, {220, 50, 220},
                                 {40, 190, 60}, {250, 250, 250}, {245, 140, 20}, {40, 215, 225},
                                 {120, 70, 30}, {250, 150, 180}};
  return colors[object];
}
/// The distance to an object at the origin.
inline double object_distance(int object, Point p) {
  switch (object) {
    case 0:
      return length(p) - 4.5;
    case 1:
      return box(p, 4, 4);
    case 2:
      return star(p, 10, 5.8, 2.5);
    case 3:
      return std::abs(length(p) - 4.2) - 1.4;
    case 4:
      return star(p, 4, 6, 6) + std::abs(p.x) * 0.25;
    case 5:
      return std::min(box(p, 5, 1.6), box(p, 1.6, 5));
    case 6:
      return capsule(p, {0, -6.5}, {0, 6.5}, 1.5);
    case 7:
      return star(p, 3 * 2, 5.6, 2.8);
    case 8:
      return star(p, 6, 4.9, 4.9);
    default:
      return std::max(length(p) - 5, 3.8 - length(p - Point{2.6, -0.8}));
  }
}
inline void draw_object(Canvas& canvas, int object, Point at, double angle) {
  const Color& color = object_color(object);
  canvas.paint(at, 9, blend(color, {0, 0, 0}, 0.65),
               [&](Point p) { return object_distance(object, turned(p - at, -angle)) - 0.9; });
  canvas.paint(at, 9, color,
               [&](Point p) { return object_distance(object, turned(p - at, -angle)); });
  // A mark off the middle, so that a turn is seen whatever the shape.
  const Point mark = at + turned({0, -2.6}, angle);
  canvas.paint(mark, 2, blend(color, {0, 0, 0}, 0.6),
               [&](Point p) { return length(p - mark) - 1.1; });
}

/// Where the object is during the core of an episode, relative to where the hand rests, and how it
/// is turned; t in seconds.
inline std::pair<Point, double> moved(Motion motion, double t) {
  const auto wave = [&](double hertz) { return std::sin(2 * M_PI * hertz * t); };
  switch (motion) {
    case Motion::shaking:
      return {{4.5 * wave(3), 0}, 0};
    case Motion::lifting:
      return {{0, -7 + 8 * std::cos(2 * M_PI * 0.8 * t)}, 0};
    case Motion::circling:
      return {{6 * std::sin(2 * M_PI * 1.1 * t), 6 * std::cos(2 * M_PI * 1.1 * t) - 6}, 0};
    case Motion::swinging: {
      const double angle = 1.1 * wave(0.9);
      return {{11 * std::sin(angle), 11 * std::cos(angle) - 11}, -angle};
    }
    case Motion::bouncing:
      return {{0, 9 - 11 * std::abs(wave(1))}, 0};
    case Motion::pushing:
      return {{10 * wave(0.55), 4}, 0};
    case Motion::spinning:
      return {{0, -3}, 2 * M_PI * 1.3 * t};
    case Motion::tossing: {
      const double phase = t * 1.1 - std::floor(t * 1.1);  // a throw
      return {{1.5 * wave(1.1), -52 * phase * (1 - phase)}, 2 * M_PI * phase};
    }
  }
  return {{0, 0}, 0};
}

}  // namespace detail

/// What happens in a video of target class `target`, by `random`.
inline Scene make_scene(int target, const WorldOptions& options, Generator& random) {
  using detail::below;
  using detail::uniform;
  Scene scene;
  scene.target = target;
  scene.frames = options.rows * frames_per_row;
  scene.sky = blend(detail::muted(random), {200, 215, 235}, 0.5);
  scene.floor = blend(detail::muted(random), {120, 110, 100}, 0.5);
  scene.horizon = uniform(random, 36, 44);
  scene.person.shirt = detail::muted(random);
  scene.person.trousers = blend(detail::muted(random), {30, 30, 40}, 0.5);
  scene.person.skin = blend({235, 195, 165}, {110, 75, 55}, random.next_double());
  scene.person.height = uniform(random, 27, 33);
  scene.noise = random.next_u64();
  const int instances = 2 + below(random, 2);
  const double whole = std::floor(options.unlabelled);
  const int strangers =
      static_cast<int>(whole) + (random.next_double() < options.unlabelled - whole ? 1 : 0);
  std::vector<Episode> wanted;
  for (int i = 0; i < instances; ++i) wanted.push_back({.what = pair(target)});
  for (int k = 0; k < strangers; ++k) {
    // A target object, not in a way of a target class.
    int other = 12 + below(random, pairs - 12);
    wanted.push_back({.what = pair(other), .labelled = false});
    std::swap(wanted.back(),
              wanted[static_cast<std::size_t>(below(random, static_cast<int>(wanted.size())))]);
  }
  // Each takes a stretch of its own of the video, with idle time around.
  const auto count = static_cast<std::int64_t>(wanted.size());
  const std::int64_t stretch = scene.frames / count;
  for (std::int64_t i = 0; i < count; ++i) {
    Episode e = wanted[static_cast<std::size_t>(i)];
    const auto frames = static_cast<std::int64_t>(uniform(random, 0.75, 1.25) * 0.23 *
                                                  static_cast<double>(scene.frames) / instances);
    const std::int64_t length = std::min(frames, stretch - 16);
    e.begin = i * stretch + 8 +
              static_cast<std::int64_t>(
                  random.next_below(static_cast<std::uint64_t>(stretch - 16 - length + 1)));
    e.end = e.begin + length;
    const auto core =
        static_cast<std::int64_t>(uniform(random, 0.31, 0.39) * static_cast<double>(length));
    e.core_begin = e.begin + static_cast<std::int64_t>(uniform(random, 0.4, 0.6) *
                                                       static_cast<double>(length - core));
    e.core_end = e.core_begin + core;
    scene.episodes.push_back(e);
  }
  // Everything that is handled lies at a place of its own; one or two strangers lie there as well.
  std::vector<int> there;
  for (const Episode& e : scene.episodes) {
    if (std::find(there.begin(), there.end(), e.what.object) == there.end())
      there.push_back(e.what.object);
  }
  for (int extra = 1 + below(random, 2); extra > 0;) {
    const int object = below(random, objects);
    if (std::find(there.begin(), there.end(), object) != there.end()) continue;
    there.push_back(object);
    --extra;
  }
  const double first = uniform(random, 8, 12),
               step = (side - 2 * first) / static_cast<double>(there.size());
  for (std::size_t i = there.size(); i > 1; --i)
    std::swap(there[i - 1], there[static_cast<std::size_t>(below(random, static_cast<int>(i)))]);
  for (std::size_t i = 0; i < there.size(); ++i)
    scene.lying.push_back({there[i], first + step * (static_cast<double>(i) + 0.5)});
  return scene;
}

/// The frame of a scene, (64, 64, 3).
inline Tensor<std::uint8_t> render(const Scene& scene, std::int64_t frame) {
  const double t = static_cast<double>(frame) / frames_per_second;
  const double floor_y = side - 7.0;
  Generator noise = Generator(scene.noise).split(static_cast<std::uint64_t>(frame));
  const Generator hand(scene.noise);  // the camera's: slow waves of its own
  const auto wave = [&](std::uint64_t k, double hertz) {
    const double phase = static_cast<double>(hand.block(k).word[0]) * 0x1p-32;
    return std::sin(2 * M_PI * (hertz * t + phase));
  };
  const Point shake{0.8 * wave(1, 0.31) + 0.4 * wave(2, 0.9), 0.5 * wave(3, 0.43)};
  const auto light = static_cast<float>(1 + 0.06 * wave(4, 0.07));

  Canvas canvas(side, side);
  for (std::int64_t y = 0; y < side; ++y) {
    for (std::int64_t x = 0; x < side; ++x) {
      const double edge = std::clamp(static_cast<double>(y) - scene.horizon - shake.y, 0.0, 1.0);
      const double depth = static_cast<double>(y) / side - 0.5;
      const Color far = blend(scene.sky, {255, 255, 255}, 0.2 * (0.5 - depth));
      canvas.at(y, x) = blend(far, blend(scene.floor, {0, 0, 0}, 0.25 * depth), edge);
    }
  }

  // Where the person stands: at the place of what is handled, on the way to it, or strolling.
  const auto place = [&](int object) {
    for (const Scene::Lying& l : scene.lying) {
      if (l.object == object) return l.x;
    }
    return side / 2.0;
  };
  const Episode* now = nullptr;
  double stand = side / 2.0 + 14 * wave(5, 0.03);
  for (const Episode& e : scene.episodes) {
    const double at = place(e.what.object) + (place(e.what.object) < side / 2.0 ? 9 : -9);
    const double away = frame < e.begin  ? static_cast<double>(e.begin - frame)
                        : frame >= e.end ? static_cast<double>(frame - e.end + 1)
                                         : 0.0;
    const double near = std::clamp(1 - away / 14, 0.0, 1.0);
    stand += (at - stand) * near * near * (3 - 2 * near);
    if (frame >= e.begin && frame < e.end) now = &e;
  }

  for (const Scene::Lying& l : scene.lying) {
    if (now != nullptr && now->what.object == l.object) continue;
    detail::draw_object(canvas, l.object, Point{l.x, floor_y - 3} + shake,
                        l.object == 6 ? M_PI / 2 : 0);
  }

  const double h = scene.person.height;
  const Point feet{stand + shake.x, floor_y - 4 + shake.y}, hip = feet + Point{0, -0.42 * h},
                                                            neck = feet + Point{0, -0.8 * h},
                                                            head = feet + Point{0, -0.9 * h};
  const double stride = now == nullptr ? 2 * wave(6, 1.0) : 2;
  canvas.line(hip, feet + Point{-stride, 0}, 1.5, scene.person.trousers);
  canvas.line(hip, feet + Point{stride, 0}, 1.5, scene.person.trousers);
  canvas.line(hip, neck, 3, scene.person.shirt);
  canvas.paint(head, 4, scene.person.skin, [&](Point p) { return length(p - head) - 0.1 * h; });
  const double facing = now != nullptr && place(now->what.object) < stand ? -1 : 1;
  const Point shoulder = neck + Point{0, 2};
  canvas.line(shoulder, shoulder + Point{-facing * 3, 9}, 1.2, scene.person.shirt);
  if (now == nullptr) {
    canvas.line(shoulder, shoulder + Point{facing * 3, 9}, 1.2, scene.person.shirt);
  } else {
    // The hand takes the object up, holds it, moves it in the core, and puts it back.
    const Point lying = Point{place(now->what.object), floor_y - 3} + shake,
                held = shoulder + Point{facing * 10, 5};
    const auto since = static_cast<double>(frame - now->begin),
               left = static_cast<double>(now->end - frame);
    const double lift = std::clamp(std::min(since, left) / 7, 0.0, 1.0);
    Point at = lying + (held - lying) * (lift * lift * (3 - 2 * lift)) +
               Point{0.5 * wave(7, 0.5), 0.5 * wave(8, 0.37)};
    double angle = now->what.object == 6 ? M_PI / 2 * (1 - lift) : 0;
    if (frame >= now->core_begin && frame < now->core_end) {
      const auto [offset, turn] = detail::moved(
          now->what.motion, static_cast<double>(frame - now->core_begin) / frames_per_second);
      at = at + offset;
      angle += turn;
    }
    // A thrown or bounced object leaves the hand.
    const bool free =
        (now->what.motion == Motion::tossing || now->what.motion == Motion::bouncing) &&
        frame >= now->core_begin && frame < now->core_end;
    const Point hand_at = free ? held : at;
    canvas.line(shoulder, hand_at, 1.2, scene.person.shirt);
    detail::draw_object(canvas, now->what.object, at, angle);
    canvas.paint(hand_at, 2, scene.person.skin, [&](Point p) { return length(p - hand_at) - 1.4; });
  }

  for (std::int64_t y = 0; y < side; ++y) {
    for (std::int64_t x = 0; x < side; ++x) {
      const Philox block = noise.block(static_cast<std::uint64_t>(y * side + x));
      const auto grain = [&](int k) {
        return static_cast<float>(block.word[k] >> 8) * 0x1p-24F * 10.0F - 5.0F;
      };
      Color& c = canvas.at(y, x);
      c = {c.r * light + grain(0), c.g * light + grain(1), c.b * light + grain(2)};
    }
  }
  return canvas.bytes();
}

/// "train_0012": the id of training video 11.
inline std::string video_id(bool training, std::int64_t index) {
  const std::string number = std::to_string(index + 1);
  return (training ? "train_" : "test_") +
         std::string(4 - std::min<std::size_t>(4, number.size()), '0') + number;
}

/// The videos of a world: `train` and then `test` of them, the classes in turn.
struct World {
  wtal::GroundTruth truth;
  std::vector<Scene> scenes;  ///< of truth.videos
};
inline World make_world(const WorldOptions& options, std::int64_t train, std::int64_t test) {
  World world;
  for (int c = 0; c < targets; ++c) world.truth.classes.push_back(pair(c).name());
  for (std::int64_t v = 0; v < train + test; ++v) {
    Generator random = Generator(options.seed, 0x3A11).split(static_cast<std::uint64_t>(v));
    const auto index = v < train ? v : v - train;
    const Scene scene = make_scene(static_cast<int>(index % targets), options, random);
    wtal::VideoTruth video;
    video.id = video_id(v < train, index);
    video.subset = v < train ? "train" : "test";
    video.duration = static_cast<double>(scene.frames) / frames_per_second;
    video.labels = {scene.target};
    for (const Episode& e : scene.episodes) {
      if (e.labelled)
        video.instances.push_back({{static_cast<double>(e.begin) / frames_per_second,
                                    static_cast<double>(e.end) / frames_per_second},
                                   scene.target});
    }
    world.truth.videos.push_back(std::move(video));
    world.scenes.push_back(scene);
  }
  return world;
}

}  // namespace miniature
