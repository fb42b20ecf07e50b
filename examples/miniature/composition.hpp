#pragma once
/// Untrimmed videos made of trimmed clips: background, a clip of a class, background, another clip
/// of it … Which clips, in what order and how long is drawn from a seed; only the numbers of frames
/// of the clips are looked at.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/tensor/error.hpp"
#include "tandem/tensor/random.hpp"
#include "tandem/wtal/data/types.hpp"
#include "trimmed_clips.hpp"
#include "world.hpp"

namespace miniature {

/// Frames [first, first + count) of a clip.
struct Part {
  TrimmedClip clip;
  std::int64_t first = 0, count = 0;
  bool labelled = false;
};

struct Composition {
  int cls = 0;
  std::vector<Part> parts;
  std::int64_t frames() const {
    std::int64_t sum = 0;
    for (const Part& p : parts) sum += p.count;
    return sum;
  }
};

struct CompositionOptions {
  std::uint64_t seed = 0;
  std::int64_t train = 120, test = 48;  ///< videos
  std::int64_t instances = 3;           ///< of a video: from 1 to so many, equally often
  double gap = 12;  ///< seconds of background between instances: from a third of it to it
  double fps = 12.5;
  std::int64_t least_frames = 8;  ///< a part has so many
};

/// The videos, those for training first.
struct Compositions {
  wtal::GroundTruth truth;
  std::vector<Composition> videos;  ///< of truth.videos
};

/// Deals clips in a random order; when all are dealt, anew.
class Deck {
 public:
  Deck(std::vector<TrimmedClip> clips, Generator random)
      : clips_(std::move(clips)), random_(random), next_(clips_.size()) {}
  /// The next that is not among `not_these`, unless all are.
  TrimmedClip deal(const std::vector<Part>& not_these = {}) {
    const auto used = [&](const TrimmedClip& clip) {
      return std::any_of(not_these.begin(), not_these.end(),
                         [&](const Part& p) { return p.clip.path == clip.path; });
    };
    const bool all = std::all_of(clips_.begin(), clips_.end(), used);
    for (;;) {
      if (next_ == clips_.size()) {
        for (std::size_t i = clips_.size(); i > 1; --i)
          std::swap(clips_[i - 1], clips_[random_.next_below(i)]);
        next_ = 0;
      }
      const TrimmedClip& clip = clips_[next_++];
      if (all || !used(clip)) return clip;
    }
  }

 private:
  std::vector<TrimmedClip> clips_;
  Generator random_;
  std::size_t next_;
};

/// Makes a plan of `clips`, whose first `actions` classes are those of the instances and whose
/// others are background; `frames_of` says how many frames a clip has at options.fps. An instance
/// is a whole clip; a stretch of background is made of clips one after the other, the last of them,
/// or a single one that is too long, cut at random places. A video has one class, the classes in
/// turn; training videos are made of training clips, test videos of test clips. Errors, by name: a
/// target class without clips in one of the lists, no background there, a clip of an instance that
/// is shorter than least_frames, fewer videos than classes.
inline Compositions compose(const char* program, const TrimmedClips& clips, std::size_t actions,
                            const CompositionOptions& options,
                            const std::function<std::int64_t(const TrimmedClip&)>& frames_of) {
  Compositions out;
  out.truth.classes.assign(clips.classes.begin(),
                           clips.classes.begin() + static_cast<std::ptrdiff_t>(actions));
  for (const bool training : {true, false}) {
    const std::vector<TrimmedClip>& all = training ? clips.train : clips.test;
    const char* const what = training ? "training" : "testing";
    const std::int64_t count = training ? options.train : options.test;
    TANDEM_CHECK(count >= static_cast<std::int64_t>(actions), program, "expected a video for ",
                 what, " of each of the ", actions, " classes at least, got ", count);
    const Generator random = Generator(options.seed, 0xC1195).split(training ? 1 : 2);
    std::vector<Deck> decks;
    std::vector<TrimmedClip> rest;
    for (std::size_t c = 0; c < clips.classes.size(); ++c) {
      std::vector<TrimmedClip> own = TrimmedClips::of_class(all, static_cast<int>(c));
      if (c >= actions) {
        rest.insert(rest.end(), own.begin(), own.end());
        continue;
      }
      TANDEM_CHECK(!own.empty(), program, "class ", clips.classes[c], " has no clip for ", what,
                   " in the lists");
      decks.emplace_back(std::move(own), random.split(1000 + c));
    }
    TANDEM_CHECK(!rest.empty(), program, "no clip of the background's classes is for ", what);
    Deck background(std::move(rest), random.split(999));
    for (std::int64_t v = 0; v < count; ++v) {
      Generator draw = random.split(100000 + static_cast<std::uint64_t>(v));
      Composition video{.cls = static_cast<int>(v % static_cast<std::int64_t>(actions)),
                        .parts = {}};
      const auto add_background = [&] {
        auto left = static_cast<std::int64_t>(detail::uniform(draw, options.gap / 3, options.gap) *
                                              options.fps);
        left = std::max(left, options.least_frames);
        for (int tries = 0; left >= options.least_frames; ++tries) {
          const TrimmedClip clip = background.deal();
          const std::int64_t length = frames_of(clip);
          TANDEM_CHECK(tries < 1000, program, "the clips of the background are shorter than ",
                       options.least_frames, " frames");
          if (length < options.least_frames) continue;
          Part part{.clip = clip, .first = 0, .count = std::min(length, left), .labelled = false};
          part.first = static_cast<std::int64_t>(
              draw.next_below(static_cast<std::uint64_t>(length - part.count + 1)));
          left -= part.count;
          video.parts.push_back(std::move(part));
        }
      };
      const std::int64_t instances =
          1 +
          static_cast<std::int64_t>(draw.next_below(static_cast<std::uint64_t>(options.instances)));
      add_background();
      for (std::int64_t i = 0; i < instances; ++i) {
        const TrimmedClip clip = decks[static_cast<std::size_t>(video.cls)].deal(video.parts);
        const std::int64_t length = frames_of(clip);
        TANDEM_CHECK(length >= options.least_frames, program, clip.path, " has ", length,
                     " frames at ", options.fps, " a second; an instance has ",
                     options.least_frames, " at least");
        video.parts.push_back({.clip = clip, .first = 0, .count = length, .labelled = true});
        add_background();
      }
      wtal::VideoTruth truth;
      truth.id = video_id(training, v);
      truth.subset = training ? "train" : "test";
      truth.duration = static_cast<double>(video.frames()) / options.fps;
      truth.labels = {video.cls};
      std::int64_t at = 0;
      for (const Part& part : video.parts) {
        if (part.labelled)
          truth.instances.push_back({{static_cast<double>(at) / options.fps,
                                      static_cast<double>(at + part.count) / options.fps},
                                     video.cls});
        at += part.count;
      }
      out.truth.videos.push_back(std::move(truth));
      out.videos.push_back(std::move(video));
    }
  }
  return out;
}

}  // namespace miniature
