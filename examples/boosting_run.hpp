#pragma once
/// Boosting-WTAL on a data set: its networks, its trainer and what TSM finds.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "boosting_memory.hpp"
#include "boosting_options.hpp"
#include "dcl_data.hpp"
#include "tandem/io/checksum.hpp"
#include "tandem/wtal/data/glove.hpp"
#include "tandem/wtal/model/tsm.hpp"

namespace boosting {

/// What a run reads, in the terms of train_dcl: annotations, I3D rows and, with --concat-clip, CLIP
/// rows.
inline dcl::Options reading_options(const Options& o) {
  dcl::Options of = o.data;
  of.train.variant = Variant::warm_up;  // which reads no CLIP rows by itself
  of.fusion = "cbp";
  of.inference.fusion = Fusion::cbp;
  of.concat_clip = o.concat_clip;
  return of;
}

/// The data that a run reads.
inline dcl::Data open_data(const Options& o) { return dcl::open_data(reading_options(o)); }

/// The file of word vectors: the one that is named, else glove.txt in --data; "" where there is
/// none.
inline std::string glove_path(const Options& o) {
  if (!o.glove.empty()) return o.glove;
  const std::string path = o.data.data.empty() ? "" : io::join_path(o.data.data, "glove.txt");
  return io::is_file(path) ? path : "";
}

/// The words of the classes, of which the file must have vectors.
inline std::vector<std::string> words_of(const std::vector<std::string>& classes,
                                         bool activitynet) {
  std::vector<std::string> out;
  for (const std::string& name : classes) {
    for (std::string& word : activitynet ? class_words(name) : class_word_pair(name))
      out.push_back(std::move(word));
  }
  return out;
}

/// The networks of a run and their trainer. `o` and `data` must outlive it.
class Run {
 public:
  Run(const Options& o, const dcl::Data& data)
      : o_(o),
        data_(data),
        train_(*data.train, o.concat_clip),
        test_(*data.test, o.concat_clip),
        random_(o.train.seed) {
    TANDEM_CHECK(2 * o.recipe.pairs <= o.recipe.batch, "Boosting-WTAL", o.recipe.pairs,
                 " pairs do not fit into a batch of ", o.recipe.batch, ": give --batch ",
                 2 * o.recipe.pairs, " or more, or fewer --pairs");
    const std::vector<std::string>& classes = data.train->truth().classes;
    TANDEM_CHECK(data.all->i3d_columns() % 2 == 0, "Boosting-WTAL", "the I3D rows have ",
                 data.all->i3d_columns(), " columns; two streams of equal width are needed");
    const std::string glove = glove_path(o);
    TANDEM_CHECK(!glove.empty(), "Boosting-WTAL",
                 "there are no word vectors: name a GloVe text file with --glove, or put glove.txt "
                 "into --data");
    glove_ = GloveVectors::load(glove, words_of(classes, o.activitynet), o.frequent);
    const std::int64_t stream = data.all->i3d_columns() / 2,
                       clip = o.concat_clip ? data.all->clip_columns() : 0;
    const rivals::TsmOptions tsm = tsm_options(o, stream, clip, glove_.width());
    class_words_ = o.activitynet ? class_words_vectors<float>(glove_, classes, 5)
                                 : class_word_vectors<float>(glove_, classes);
    rivals::VlcOptions vlc{.streams = tsm.streams,
                           .clip = clip,
                           .width = o.width,
                           .hidden = o.decoder_hidden,
                           .word_width = glove_.width(),
                           .vocabulary = o.frequent + 1,
                           .real_masking = o.real_masking};
    vlc.streams.init = rivals::ConvInit::standard;
    check_step_memory({.videos = o.recipe.batch,
                       .rows = o.recipe.frames,
                       .sentence = o.longest,
                       .classes = class_words_.size(0),
                       .words_of_class = class_words_.size(1),
                       .tsm = tsm,
                       .vlc = vlc},
                      cli::memory_limit());
    tsm_ = std::make_unique<TsmBranch<float>>(tsm, class_words_, random_);
    vlc_ = make_ref<rivals::Vlc<float>>(vlc, random_);
    BoostingOptions train = o.train;
    if (o.activitynet) {
      const BoostingOptions published = BoostingOptions::activity_net();
      train.tsm = published.tsm;
      train.vlc_autoencoder = published.vlc_autoencoder;
      train.vlc_attention = published.vlc_attention;
    }
    train.tsm.co2.pairs = o.recipe.pairs;
    trainer_.emplace(train, tsm_->tsm, *vlc_);
    std::vector<std::vector<int>> labels;
    for (const VideoTruth& video : data.train->truth().videos) labels.push_back(video.labels);
    sampler_.emplace(o.recipe, data.train_lengths, labels, random_.split(crop_stream));
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  BoostingTrainer<float>& trainer() { return *trainer_; }
  const BoostingTrainer<float>& trainer() const { return *trainer_; }
  const TsmBranch<float>& tsm() const { return *tsm_; }
  const rivals::Vlc<float>& vlc() const { return *vlc_; }
  /// Of the word vectors that the run reads.
  std::string words_fingerprint() const { return io::hexadecimal(glove_.checksum()); }
  /// The word vectors of the classes, which do not learn.
  const Tensor<float>& class_words_tensor() const { return class_words_; }

  /// The next iteration, on the next batch.
  BoostingReport step() {
    const std::vector<Crop> crops = sampler_->crops(trainer_->steps());
    const Batch<float> batch = make_batch<float>(train_, crops);
    return trainer_->step(batch.i3d, batch.labels, batch.valid, sentences(crops));
  }

  /// What TSM alone finds in the test videos, by CO2-Net's rule. `visit(v)` before each.
  ///                                                                                [method §11, C]
  template <class Visit>
  DetectionSet detect(Visit&& visit) {
    const nn::Evaluating<float> evaluating{tsm_.get()};
    const GroundTruth& truth = data_.test->truth();
    DetectionSet found;
    found.classes = truth.classes;
    for (std::size_t v = 0; v < data_.test->size(); ++v) {
      visit(v);
      double seconds = data_.test->seconds_per_row(v);
      if (seconds == 0) seconds = conventional_seconds_per_row;
      found.videos.push_back(
          {.id = truth.videos[v].id, .detections = tsm_->own_detections(test_.i3d(v), seconds)});
    }
    return found;
  }

 private:
  static constexpr std::uint64_t crop_stream = 5;
  Sentences<float> sentences(const std::vector<Crop>& crops) const {
    std::vector<std::vector<int>> labels;
    for (const Crop& crop : crops) labels.push_back(data_.train->truth().videos[crop.video].labels);
    return make_sentences<float>(
        glove_, data_.train->truth().classes, labels,
        {.longest = o_.longest, .joined_names = !o_.blank_joined, .whole_names = o_.activitynet});
  }

  const Options& o_;
  const dcl::Data& data_;
  ConcatSource train_, test_;  // what the networks read of them
  Generator random_;
  GloveVectors glove_;
  Tensor<float> class_words_;
  std::unique_ptr<TsmBranch<float>> tsm_;
  Ref<rivals::Vlc<float>> vlc_;
  std::optional<BoostingTrainer<float>> trainer_;
  std::optional<rivals::RecipeSampler> sampler_;
};

}  // namespace boosting
