#pragma once
/// Videos, crops and batches: what a training step sees.                            [method §2, §5]

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tandem/ops/cat.hpp"
#include "tandem/ops/index_select.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/tensor/random.hpp"
#include "tandem/wtal/data/types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Where videos come from: annotations and, per video, the two feature arrays of equal length. A
/// source may have one kind only: the other is an undefined tensor, and what needs it says so.
class VideoSource {
 public:
  VideoSource() = default;
  VideoSource(const VideoSource&) = delete;
  VideoSource& operator=(const VideoSource&) = delete;
  virtual ~VideoSource() = default;
  /// The annotations; videos are numbered as here.
  virtual const GroundTruth& truth() const = 0;
  /// F_i3d of a video: (T, 2D), columns RGB then flow.
  virtual Tensor<float> i3d(std::size_t video) const = 0;
  /// F_vis of a video: (T, W), one CLIP row per snippet.
  virtual Tensor<float> clip(std::size_t video) const = 0;
  /// Seconds of a row of the video; 0: the source does not know, and the caller's options say it.
  virtual double seconds_per_row(std::size_t video) const {
    static_cast<void>(video);
    return 0;
  }

  /// Number of videos, and of classes.
  std::size_t size() const { return truth().videos.size(); }
  std::size_t classes() const { return truth().classes.size(); }
};

/// Rows [begin, begin + rows) of a video; or, where `index` is not empty, the rows that it lists,
/// some of them perhaps twice, of both kinds of features: `rows` is then how many.
struct Crop {
  std::size_t video = 0;
  std::int64_t begin = 0;
  std::int64_t rows = 0;
  std::vector<std::int64_t> index = {};
};

/// What CBP reads of a video in the paper's naive combination: i3d (T, 2D) and clip (T, W), side by
/// side.
inline Tensor<float> concat_rows(const Tensor<float>& i3d, const Tensor<float>& clip) {
  return cat(std::vector<Tensor<float>>{i3d, clip}, 1);
}

/// A source whose I3D rows are what CBP reads: as `source` has them, or with `concat` the CLIP rows
/// beside them.
class ConcatSource final : public VideoSource {
 public:
  ConcatSource(const VideoSource& source, bool concat) : source_(source), concat_(concat) {}
  const GroundTruth& truth() const override { return source_.truth(); }
  Tensor<float> i3d(std::size_t video) const override {
    const Tensor<float> rows = source_.i3d(video);
    return concat_ ? concat_rows(rows, source_.clip(video)) : rows;
  }
  Tensor<float> clip(std::size_t video) const override { return source_.clip(video); }
  double seconds_per_row(std::size_t video) const override {
    return source_.seconds_per_row(video);
  }

 private:
  const VideoSource& source_;
  bool concat_;
};

/// B videos, cut or padded to one length. Padding is zero and false in `valid`. Rows of a kind that
/// the source does not have are undefined. CBP reads i3d, VLP clip.
template <FloatingElement T>
struct Batch {
  Tensor<T> i3d;            ///< (B, T, 2D), or wider from a ConcatSource
  Tensor<T> clip;           ///< (B, T, W)
  Tensor<T> labels;         ///< (B, C) in {0, 1}
  Tensor<bool> valid;       ///< (B, T)
  std::vector<Crop> crops;  ///< where the rows come from; empty for a batch made by hand

  /// On another device.
  Batch to(Device device) const {
    const auto there = [&](const auto& x) { return x.defined() ? x.to(device) : x; };
    return {.i3d = there(i3d),
            .clip = there(clip),
            .labels = there(labels),
            .valid = there(valid),
            .crops = crops};
  }
  /// With padding behind, so that all videos have `frames` rows.
  Batch padded_to(std::int64_t frames) const {
    const auto longer = [&]<class U>(const Tensor<U>& x) {
      if (!x.defined() || x.size(1) == frames) return x;
      Shape shape = x.shape();
      shape[1] = frames;
      const Tensor<U> out = zeros<U>(shape, x.device());
      out.slice(1, 0, x.size(1)).copy_(x);
      return out;
    };
    return {.i3d = longer(i3d),
            .clip = longer(clip),
            .labels = labels,
            .valid = longer(valid),
            .crops = crops};
  }
};

/// The rows of the longest crop.
inline std::int64_t longest_crop(const std::vector<Crop>& crops) {
  std::int64_t longest = 0;
  for (const Crop& crop : crops) longest = crop.rows > longest ? crop.rows : longest;
  return longest;
}

/// The labels of the videos that crops are of, (B, C) in {0, 1}.
template <FloatingElement T>
Tensor<T> crop_labels(const VideoSource& source, const std::vector<Crop>& crops) {
  const auto classes = static_cast<std::int64_t>(source.classes());
  Tensor<T> out = zeros<T>({static_cast<std::int64_t>(crops.size()), classes});
  T* row = out.mutable_data();
  for (const Crop& crop : crops) {
    for (const int c : source.truth().videos[crop.video].labels) row[c] = T(1);
    row += classes;
  }
  return out;
}

/// Puts crops side by side, padded to the longest.
template <FloatingElement T>
Batch<T> make_batch(const VideoSource& source, const std::vector<Crop>& crops) {
  TANDEM_CHECK(!crops.empty(), "make_batch", "a batch needs at least one video");
  const auto videos = static_cast<std::int64_t>(crops.size());
  const std::int64_t longest = longest_crop(crops);
  Batch<T> batch;
  batch.crops = crops;
  batch.labels = crop_labels<T>(source, crops);
  batch.valid = zeros<bool>({videos, longest});
  for (std::int64_t b = 0; b < videos; ++b) {
    const Crop& crop = crops[static_cast<std::size_t>(b)];
    const VideoTruth& truth = source.truth().videos[crop.video];
    const auto place = [&](Tensor<T>& into, const Tensor<float>& rows, const char* what) {
      if (!rows.defined()) return;
      TANDEM_CHECK(rows.rank() == 2 && crop.begin >= 0 &&
                       (!crop.index.empty() || crop.begin + crop.rows <= rows.size(0)),
                   "make_batch", "video '", truth.id, "' has ", what, " of shape ", rows.shape(),
                   "; rows ", crop.begin, " to ", crop.begin + crop.rows, " were asked for");
      for (const std::int64_t row : crop.index) {
        TANDEM_CHECK(row >= 0 && row < rows.size(0), "make_batch", "video '", truth.id, "' has ",
                     what, " of shape ", rows.shape(), "; row ", row, " was asked for");
      }
      TANDEM_CHECK(crop.index.empty() || static_cast<std::int64_t>(crop.index.size()) == crop.rows,
                   "make_batch", "a crop of ", crop.rows, " rows lists ", crop.index.size());
      if (!into.defined()) into = zeros<T>({videos, longest, rows.size(1)});
      TANDEM_CHECK(into.size(2) == rows.size(1), "make_batch", "video '", truth.id, "' has ",
                   rows.size(1), " columns of ", what, ", the videos before it ", into.size(2));
      T* to = into.mutable_data() + b * longest * rows.size(1);
      if (!crop.index.empty()) {
        const Tensor<T> chosen =
            index_select(rows.to<T>(), 0, from_vector<std::int64_t>(crop.index));
        std::copy(chosen.data(), chosen.data() + chosen.numel(), to);
        return;
      }
      const Strides dense = contiguous_strides({crop.rows, rows.size(1)});
      tandem::detail::strided_copy(Shape{crop.rows, rows.size(1)}, to, dense,
                                   rows.data() + crop.begin * rows.strides()[0], rows.strides());
    };
    place(batch.i3d, source.i3d(crop.video), "I3D features");
    place(batch.clip, source.clip(crop.video), "CLIP features");
    batch.valid.select(0, b).slice(0, 0, crop.rows).fill_(true);
  }
  return batch;
}

/// Draws the crops of a step. Everything is a function of (seed, step): videos come in random
/// orders that follow each other without a gap, each video once per order, and the crop's place is
/// drawn from the step's own stream. Nothing has to be saved to resume.
class Sampler {
 public:
  /// `lengths` are the rows of each video; `rows` is T, the longest crop.
  Sampler(std::vector<std::int64_t> lengths, std::int64_t batch, std::int64_t rows,
          const Generator& random)
      : lengths_(std::move(lengths)), batch_(batch), rows_(rows), random_(random) {
    TANDEM_CHECK(!lengths_.empty(), "sampler", "there are no videos to train on");
    TANDEM_CHECK(batch >= 1 && rows >= 1, "sampler", "batch and crop must be at least 1, they are ",
                 batch, " and ", rows);
  }
  /// The crops of a step: the same for the same step, whatever was drawn before.
  std::vector<Crop> crops(std::int64_t step) const {
    std::vector<Crop> out;
    Generator place = random_.split(static_cast<std::uint64_t>(2 * step));
    const auto count = static_cast<std::int64_t>(lengths_.size());
    std::int64_t epoch = -1;
    std::vector<std::int64_t> order;
    for (std::int64_t i = step * batch_; i < (step + 1) * batch_; ++i) {
      if (i / count != epoch) {
        epoch = i / count;
        Generator shuffle = random_.split(static_cast<std::uint64_t>(2 * epoch + 1));
        order = randperm(count, shuffle);
      }
      const auto video = static_cast<std::size_t>(order[static_cast<std::size_t>(i % count)]);
      const std::int64_t length = lengths_[video], rows = length < rows_ ? length : rows_;
      const auto begin = static_cast<std::int64_t>(
          place.next_below(static_cast<std::uint64_t>(length - rows + 1)));
      out.push_back({.video = video, .begin = begin, .rows = rows});
    }
    return out;
  }
  /// Steps in which every video has been seen once.
  std::int64_t steps_per_epoch() const {
    return (static_cast<std::int64_t>(lengths_.size()) + batch_ - 1) / batch_;
  }

 private:
  std::vector<std::int64_t> lengths_;
  std::int64_t batch_;
  std::int64_t rows_;
  Generator random_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
