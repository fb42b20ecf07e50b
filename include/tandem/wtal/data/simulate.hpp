#pragma once
/// A simulated data set with the paper's premise built in, for tests, demonstrations and timings.
/// **Nothing measured on it says anything about real videos.**
///
/// The premise: I3D features separate the discriminative core of an action from everything else (so
/// a classifier trained on them is incomplete), CLIP features agree with the class text over the
/// action and its surroundings (so they are over-complete). Row t of video v:
///
///   i3d(t)  = i3d_scale·(Σ_instances e(t)·a_c + scene·s_v + noise·ε),  e = 1 in the core, `edge`
///   outside clip(t) = clip_scale·(Σ_instances 1[t within `spill` rows]·text·u_c + noise·ε)
///
/// a_c, s_v: random unit directions; u_c: the unit direction of the class text, which the caller
/// takes from the text encoder that will be trained with, minus the mean of all classes (texts have
/// much in common that images of different actions do not share); ε: normal, scaled so that the
/// noise vector has norm `noise`.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tandem/wtal/data/batch.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The numbers of videos, labels and the share of action are near those of THUMOS14's training half
/// (200 videos, 20 classes, 13.5 % with two, 29 % action per class); docs/simulation.md says how
/// the strengths were found and what happens with others.
struct SimulationOptions {
  std::int64_t classes = 20;
  std::int64_t train_videos = 200, test_videos = 60;
  std::int64_t rows_low = 60, rows_high = 100;  ///< video length in snippets, uniform
  double second_class = 0.135;                  ///< share of videos with two classes
  double instances = 4;        ///< mean number of instances per class and video, at least 1
  double length_median = 8;    ///< of an instance, in rows (log-normal)
  double length_spread = 0.6;  ///< standard deviation of the logarithm
  std::int64_t i3d_width = 2048, clip_width = 512;
  double core = 0.5;       ///< the middle share of an instance that is discriminative
  double edge = 0.25;      ///< strength of the class direction outside the core
  double action = 1.0;     ///< strength of the class direction in the core
  double scene = 0.5;      ///< strength of the video's own direction
  double i3d_noise = 1.0;  ///< norm of the noise of a row
  double text = 1.0;       ///< strength of the class-text direction in CLIP rows
  std::int64_t spill = 2;  ///< rows before and after an instance that CLIP also calls the action
  double clip_noise = 1.0;
  double i3d_scale = 16, clip_scale = 1;  ///< factors of the rows
  double seconds_per_row = conventional_seconds_per_row;
  std::uint64_t seed = 0;
};

namespace detail {
/// A random direction of length 1.
inline std::vector<float> unit_direction(std::int64_t width, Generator& random) {
  const Tensor<double> x = randn<double>({width}, random);
  double square = 0;
  for (std::int64_t d = 0; d < width; ++d) square += x.data()[d] * x.data()[d];
  std::vector<float> out;
  for (std::int64_t d = 0; d < width; ++d) {
    out.push_back(static_cast<float>(x.data()[d] / std::sqrt(square)));
  }
  return out;
}
}  // namespace detail

/// Draws annotations: videos "sim_train_0000" …, subsets "train" and "test", instances that do not
/// overlap within a class, at least a row apart.
inline GroundTruth simulate_annotations(const SimulationOptions& o) {
  TANDEM_CHECK(o.classes >= 1 && o.train_videos >= 0 && o.test_videos >= 0 && o.rows_low >= 8 &&
                   o.rows_high >= o.rows_low && o.instances >= 1 && o.length_median >= 1,
               "simulate",
               "needs classes >= 1, rows_low >= 8, rows_high >= rows_low, instances >= 1, "
               "length_median >= 1");
  GroundTruth truth;
  for (std::int64_t c = 0; c < o.classes; ++c) truth.add_class(concat("SimulatedClass", c));
  const Generator root(o.seed);
  for (std::int64_t v = 0; v < o.train_videos + o.test_videos; ++v) {
    Generator random = root.split(static_cast<std::uint64_t>(1000 + v));
    const bool train = v < o.train_videos;
    std::string number = std::to_string(train ? v : v - o.train_videos);
    number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
    VideoTruth video;
    video.subset = train ? "train" : "test";
    video.id = concat("sim_", video.subset, "_", number);
    const std::int64_t rows =
        o.rows_low + static_cast<std::int64_t>(random.next_below(
                         static_cast<std::uint64_t>(o.rows_high - o.rows_low + 1)));
    video.duration = static_cast<double>(rows) * o.seconds_per_row;
    video.labels.push_back(static_cast<int>(v % o.classes));  // every class occurs
    if (o.classes > 1 && random.next_double() < o.second_class) {
      const int other = static_cast<int>(random.next_below(static_cast<std::uint64_t>(o.classes)));
      if (other != video.labels[0]) video.labels.push_back(other);
    }
    for (int label : video.labels) {
      std::vector<std::pair<double, double>> taken;
      // Geometric number of instances with the wanted mean; a place that overlaps is given up.
      std::int64_t wanted = 1;
      while (wanted < 20 && random.next_double() < 1 - 1 / o.instances) ++wanted;
      for (std::int64_t i = 0; i < wanted; ++i) {
        const double drawn = o.length_median * std::exp(o.length_spread * random.next_normal());
        const double length = std::clamp(drawn, 2.0, static_cast<double>(rows) / 3);
        const double begin = random.next_double() * (static_cast<double>(rows) - length);
        bool free = true;
        for (const auto& [a, b] : taken) free = free && (begin + length + 1 < a || begin > b + 1);
        if (!free && i > 0) continue;
        taken.emplace_back(begin, begin + length);
      }
      std::sort(taken.begin(), taken.end());
      for (const auto& [a, b] : taken) {
        video.instances.push_back({{a * o.seconds_per_row, b * o.seconds_per_row}, label});
      }
    }
    std::sort(video.labels.begin(), video.labels.end());
    truth.videos.push_back(std::move(video));
  }
  return truth;
}

/// The feature rows of one video of `truth`, which may also be a real annotation.
struct SimulatedRows {
  Tensor<float> i3d, clip;  ///< (T, i3d_width), (T, clip_width)
};

/// Draws feature rows for annotated videos. `text` (C, clip_width) holds the class-text directions.
class Simulator {
 public:
  Simulator(const SimulationOptions& options, const Tensor<float>& text)
      : options_(options), text_(text.detach().clone()), root_(options.seed) {
    TANDEM_CHECK(text.rank() == 2 && text.size(1) == options.clip_width, "simulate",
                 "expected class-text directions (C, ", options.clip_width, "), got ",
                 text.shape());
    centre_directions();
    Generator random = root_.split(1);
    for (std::int64_t c = 0; c < text.size(0); ++c) {
      actions_.push_back(detail::unit_direction(options.i3d_width, random));
    }
  }
  /// Seconds of a row, from the options.
  double seconds_per_row() const { return options_.seconds_per_row; }
  /// The rows of video number `v`: the same for the same seed, whatever was drawn before. A video
  /// without a known duration ends with its last instance.
  SimulatedRows draw(const GroundTruth& truth, std::size_t v) const {
    const VideoTruth& video = truth.videos[v];
    TANDEM_CHECK(truth.classes.size() == actions_.size(), "simulate", "there are ", actions_.size(),
                 " class-text directions for ", truth.classes.size(), " classes");
    double end = video.duration;
    for (const Instance& i : video.instances)
      end = video.duration > 0 ? end : std::max(end, i.segment.end);
    const std::int64_t rows =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(end / options_.seconds_per_row + 1e-9));
    Generator random = root_.split(1000000 + v);
    const std::vector<float> scene = detail::unit_direction(options_.i3d_width, random);
    const auto noise = [&random](std::int64_t n, std::int64_t width, double norm) {
      return randn<float>({n, width}, random, 0, norm / std::sqrt(static_cast<double>(width)));
    };
    SimulatedRows out{noise(rows, options_.i3d_width, options_.i3d_noise),
                      noise(rows, options_.clip_width, options_.clip_noise)};
    float* i3d = out.i3d.mutable_data();
    float* clip = out.clip.mutable_data();
    for (std::int64_t t = 0; t < rows; ++t) {
      add_direction(i3d + t * options_.i3d_width, scene.data(), options_.i3d_width, options_.scene);
      const double centre = (static_cast<double>(t) + 0.5) * options_.seconds_per_row;
      // A class counts once per row, however many of its instances are near.
      std::vector<double> strength(actions_.size(), 0.0), near(actions_.size(), 0.0);
      for (const Instance& instance : video.instances) {
        const auto c = static_cast<std::size_t>(instance.cls);
        const Segment& s = instance.segment;
        const double reach = static_cast<double>(options_.spill) * options_.seconds_per_row;
        if (centre >= s.start - reach && centre < s.end + reach) near[c] = 1;
        if (centre < s.start || centre >= s.end) continue;
        const double from_middle = std::abs(centre - (s.start + s.end) / 2) / (s.length() / 2);
        strength[c] = std::max(strength[c], from_middle <= options_.core ? 1.0 : options_.edge);
      }
      for (std::size_t c = 0; c < actions_.size(); ++c) {
        if (strength[c] > 0) {
          add_direction(i3d + t * options_.i3d_width, actions_[c].data(), options_.i3d_width,
                        options_.action * strength[c]);
        }
        if (near[c] > 0) {
          add_direction(clip + t * options_.clip_width,
                        text_.data() + static_cast<std::int64_t>(c) * options_.clip_width,
                        options_.clip_width, options_.text);
        }
      }
      for (std::int64_t d = 0; d < options_.i3d_width; ++d) {
        i3d[t * options_.i3d_width + d] *= static_cast<float>(options_.i3d_scale);
      }
      for (std::int64_t d = 0; d < options_.clip_width; ++d) {
        clip[t * options_.clip_width + d] *= static_cast<float>(options_.clip_scale);
      }
    }
    return out;
  }

 private:
  /// u_c − mean of all, scaled to length 1.
  void centre_directions() {
    const std::int64_t classes = text_.size(0), width = text_.size(1);
    float* u = text_.mutable_data();
    for (std::int64_t d = 0; classes > 1 && d < width; ++d) {
      double mean = 0;
      for (std::int64_t c = 0; c < classes; ++c) {
        mean += static_cast<double>(u[c * width + d]) / static_cast<double>(classes);
      }
      for (std::int64_t c = 0; c < classes; ++c) u[c * width + d] -= static_cast<float>(mean);
    }
    for (std::int64_t c = 0; c < classes; ++c) {
      double square = 1e-30;
      for (std::int64_t d = 0; d < width; ++d) {
        square += static_cast<double>(u[c * width + d]) * static_cast<double>(u[c * width + d]);
      }
      for (std::int64_t d = 0; d < width; ++d)
        u[c * width + d] /= static_cast<float>(std::sqrt(square));
    }
  }
  static void add_direction(float* row, const float* direction, std::int64_t width,
                            double strength) {
    for (std::int64_t d = 0; d < width; ++d) row[d] += static_cast<float>(strength) * direction[d];
  }
  SimulationOptions options_;
  Tensor<float> text_;
  Generator root_;
  std::vector<std::vector<float>> actions_;
};

/// A subset of a simulated data set, held in memory.
class SimulatedSource final : public VideoSource {
 public:
  SimulatedSource(const GroundTruth& all, std::string_view subset, const Simulator& simulator)
      : truth_(all.only(subset)), seconds_per_row_(simulator.seconds_per_row()) {
    for (std::size_t v = 0; v < all.videos.size(); ++v) {
      if (all.videos[v].subset == subset) rows_.push_back(simulator.draw(all, v));
    }
  }
  const GroundTruth& truth() const override { return truth_; }
  Tensor<float> i3d(std::size_t video) const override { return rows_.at(video).i3d; }
  Tensor<float> clip(std::size_t video) const override { return rows_.at(video).clip; }
  double seconds_per_row(std::size_t) const override { return seconds_per_row_; }

 private:
  GroundTruth truth_;
  double seconds_per_row_;
  std::vector<SimulatedRows> rows_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
