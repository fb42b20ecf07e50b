#pragma once
/// How the other methods choose rows of a video and videos of a batch in their own training.

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "tandem/tensor/error.hpp"
#include "tandem/tensor/random.hpp"
#include "tandem/wtal/data/batch.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {

/// The integers from low to high, both among them.
struct IndexRange {
  std::int64_t low = 0, high = 0;
  bool operator==(const IndexRange&) const = default;
};

/// stratified_ranges — where each of T rows is drawn from in a video of n: with a_i = ⌊i·n/T⌋,
///   [a_i, a_{i+1}], both ends, and [a_{T−1}, n − 1] for the last; n = T: row i is i.           [C]
/// So there are always T rows, repeated where n < T.  Errors: n or T below 1.
inline std::vector<IndexRange> stratified_ranges(std::int64_t n, std::int64_t wanted) {
  TANDEM_CHECK(n >= 1 && wanted >= 1, "stratified_ranges", "a video has at least one row and at ",
               "least one is wanted, not ", n, " and ", wanted);
  std::vector<IndexRange> out;
  for (std::int64_t i = 0; i < wanted; ++i) {
    const std::int64_t low = i * n / wanted;
    const std::int64_t next = i + 1 < wanted ? (i + 1) * n / wanted : n - 1;
    out.push_back({low, n == wanted ? low : std::max(low, next)});
  }
  return out;
}

/// Rows drawn from stratified_ranges: the sampler of BaS-Net, UM, CO2-Net and Boosting.
inline std::vector<std::int64_t> stratified_rows(std::int64_t n, std::int64_t wanted,
                                                 Generator& random) {
  std::vector<std::int64_t> out;
  for (const IndexRange& range : stratified_ranges(n, wanted)) {
    const auto width = static_cast<std::uint64_t>(range.high - range.low + 1);
    out.push_back(range.low + static_cast<std::int64_t>(random.next_below(width)));
  }
  return out;
}

/// uniform_rows — row i is ⌊i·n/T⌋: what BaS-Net and UM test on.                                [C]
inline std::vector<std::int64_t> uniform_rows(std::int64_t n, std::int64_t wanted) {
  std::vector<std::int64_t> out;
  for (const IndexRange& range : stratified_ranges(n, wanted)) out.push_back(range.low);
  return out;
}

/// How videos come into the batches of a method's own training.
enum class VideoOrder {
  epochs,              ///< each video once an epoch, in a new order; the last batch may be small
  one_epoch,           ///< one epoch, then each step shuffles all videos and takes the first ones
  pairs,               ///< pairs of one class, two different videos, then single videos
  pairs_with_repeats,  ///< the same, but a pair may be one video twice
};

/// Which rows of a video come into a batch.
enum class RowChoice {
  stratified,  ///< stratified_rows
  crop,        ///< consecutive rows from a place in [0, n − T); a video of T or fewer is whole
};

/// How a method trains when it stands alone.
struct Recipe {
  VideoOrder videos = VideoOrder::epochs;
  RowChoice rows = RowChoice::stratified;
  std::int64_t batch = 16;      ///< videos of a step; with pairs, those of the pairs among them
  std::int64_t pairs = 0;       ///< rows (0, 1), (2, 3), … of the batch share a class
  std::int64_t frames = 750;    ///< T
  double learning_rate = 1e-4;  ///< of Adam
  double weight_decay = 5e-4;   ///< added to the gradient
  std::int64_t steps = 0;       ///< of the published training
};

/// The crops of a step by a recipe. A function of (seed, step), as Sampler's are.
class RecipeSampler {
 public:
  /// `lengths` are the rows of each video, `labels` its classes.  Errors: no videos; a batch that
  /// its pairs do not fit into; pairs, but no class that has enough videos.
  RecipeSampler(const Recipe& recipe, std::vector<std::int64_t> lengths,
                const std::vector<std::vector<int>>& labels, const Generator& random)
      : recipe_(recipe), lengths_(std::move(lengths)), random_(random) {
    TANDEM_CHECK(!lengths_.empty() && labels.size() == lengths_.size(), "sampler", "there are ",
                 lengths_.size(), " videos to train on, and labels of ", labels.size());
    TANDEM_CHECK(recipe.batch >= 1 && recipe.frames >= 1, "sampler",
                 "batch and rows must be at least 1, they are ", recipe.batch, " and ",
                 recipe.frames);
    if (!in_pairs()) return;
    TANDEM_CHECK(recipe.pairs >= 1 && 2 * recipe.pairs <= recipe.batch, "sampler", recipe.pairs,
                 " pairs do not fit into a batch of ", recipe.batch);
    std::vector<std::vector<std::size_t>> classes;
    for (std::size_t v = 0; v < labels.size(); ++v) {
      for (const int c : labels[v]) {
        if (classes.size() <= static_cast<std::size_t>(c)) {
          classes.resize(static_cast<std::size_t>(c) + 1);
        }
        classes[static_cast<std::size_t>(c)].push_back(v);
      }
    }
    // A class that has too few videos for a pair is never drawn.  (reading)
    const std::size_t least = recipe.videos == VideoOrder::pairs ? 2 : 1;
    for (auto& videos : classes) {
      if (videos.size() >= least) classes_.push_back(std::move(videos));
    }
    TANDEM_CHECK(!classes_.empty(), "sampler", "no class has ", least,
                 " training videos, so there are no pairs");
  }

  /// The crops of a step: the same for the same step, whatever was drawn before.
  std::vector<Crop> crops(std::int64_t step) const {
    Generator place = random_.split(static_cast<std::uint64_t>(2 * step));
    std::vector<Crop> out;
    for (const std::size_t video : videos(step, place)) out.push_back(crop(video, place));
    return out;
  }

 private:
  bool in_pairs() const {
    return recipe_.videos == VideoOrder::pairs || recipe_.videos == VideoOrder::pairs_with_repeats;
  }

  std::vector<std::size_t> videos(std::int64_t step, Generator& random) const {
    return in_pairs() ? paired(random) : shuffled(step);
  }
  std::vector<std::size_t> paired(Generator& random) const {
    const auto below = [&random](std::size_t n) {
      return static_cast<std::size_t>(random.next_below(static_cast<std::uint64_t>(n)));
    };
    std::vector<std::size_t> chosen, out;
    for (std::int64_t i = 0; i < recipe_.pairs; ++i) chosen.push_back(below(classes_.size()));
    for (const std::size_t c : chosen) {
      const std::vector<std::size_t>& of_class = classes_[c];
      const std::size_t first = below(of_class.size());
      std::size_t second = below(of_class.size());
      if (recipe_.videos == VideoOrder::pairs) {  // any of the others, each as likely
        second = below(of_class.size() - 1);
        second += second >= first ? 1 : 0;
      }
      out.push_back(of_class[first]);
      out.push_back(of_class[second]);
    }
    while (out.size() < static_cast<std::size_t>(recipe_.batch))
      out.push_back(below(lengths_.size()));
    return out;
  }
  std::vector<std::size_t> shuffled(std::int64_t step) const {
    const auto count = static_cast<std::int64_t>(lengths_.size());
    const std::int64_t steps = (count + recipe_.batch - 1) / recipe_.batch;
    const bool again = recipe_.videos == VideoOrder::one_epoch && step >= steps;
    const std::int64_t epoch = again ? step : step / steps,
                       begin = again ? 0 : step % steps * recipe_.batch,
                       end = std::min(count, begin + recipe_.batch);
    Generator shuffle = random_.split(static_cast<std::uint64_t>(2 * epoch + 1));
    const std::vector<std::int64_t> order = randperm(count, shuffle);
    std::vector<std::size_t> out;
    for (std::int64_t i = begin; i < end; ++i)
      out.push_back(static_cast<std::size_t>(order[static_cast<std::size_t>(i)]));
    return out;
  }
  Crop crop(std::size_t video, Generator& random) const {
    const std::int64_t n = lengths_[video], wanted = recipe_.frames;
    if (recipe_.rows == RowChoice::stratified) {
      return {
          .video = video, .begin = 0, .rows = wanted, .index = stratified_rows(n, wanted, random)};
    }
    if (n <= wanted) return {.video = video, .begin = 0, .rows = n};
    const auto begin = random.next_below(static_cast<std::uint64_t>(n - wanted));
    return {.video = video, .begin = static_cast<std::int64_t>(begin), .rows = wanted};
  }

  Recipe recipe_;
  std::vector<std::int64_t> lengths_;
  Generator random_;
  std::vector<std::vector<std::size_t>> classes_;  // videos of each that can make a pair
};

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END
