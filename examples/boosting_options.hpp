#pragma once
/// The options of train_boosting, and the networks that follow from them.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "dcl_options.hpp"
#include "tandem/wtal/train/boosting_trainer.hpp"

namespace boosting {

using namespace tandem;
using namespace tandem::wtal;

/// What a checkpoint says it is of, in its note "method".
inline constexpr const char* method_name = "Boosting-WTAL";
/// The tensor of a checkpoint with the word vectors of the classes (C, n, width): TSM reads them,
/// and they do not learn.
inline constexpr const char* class_words_name = "class_words";

struct Options {
  dcl::Options data;  ///< its options of the data are read, no others
  std::string glove, out = "out";
  bool resume = false, fresh = false, blank_joined = false, real_masking = false,
       activitynet = false, concat_clip = false;
  std::int64_t checkpoint_every = 100, best_of_test = 0, threads = 0;
  std::int64_t frequent = 8000, longest = 14, hidden = 0, encoded = 0, mlp_hidden = 0, prompts = 9,
               width = 512, decoder_hidden = 1024;
  rivals::Recipe recipe = {.videos = rivals::VideoOrder::pairs,
                           .rows = rivals::RowChoice::stratified,
                           .batch = 10,
                           .pairs = 3,
                           .frames = 320};
  BoostingOptions train;
};

/// Every option of a run of train_boosting. The variables are those of `o`, which must outlive the
/// table.
inline cli::OptionTable option_table(Options& o) {
  using cli::Part;
  cli::OptionTable t;
  t.part(Part::data);
  t.add("data", o.data.data,
        "Folder with annotations and I3D features, with --concat-clip also CLIP's")
      .path();
  t.add("annotations", o.data.annotations,
        "Annotations elsewhere: a W-TALC folder, or a JSON file (gt.json)")
      .path();
  t.add("i3d", o.data.i3d, "I3D features elsewhere: an object array .npy, or a folder of <id>.npy")
      .path();
  t.add("clip", o.data.clip, "CLIP features elsewhere: a folder of <id>.npy").path();
  t.add("glove", o.glove,
        "Word vectors: a text file with a line per word, such as glove.6B.300d.txt; else glove.txt "
        "in --data")
      .path();
  t.add("train-subset", o.data.train_subset, "Subset to train on; empty: found by its name");
  t.add("test-subset", o.data.test_subset, "Subset to test on; empty: found by its name");
  t.add("seconds-per-row", o.data.seconds_per_row, "Length of a row; 0: as the features say")
      .from(0, 1e6);
  t.part(Part::model);
  t.add(
      "activitynet", o.activitynet,
      "Its code for ActivityNet-1.3: gated streams, encoders as wide as a stream, five words a "
      "class, whole names in sentences, scores pooled over time; and that code's numbers, where "
      "no others are given: 3 prompt vectors, 10 words a sentence, 60 rows, 50001 steps, learning "
      "rate 3e-5, weight decay 5e-4");
  t.add("concat-clip", o.concat_clip,
        "CLIP rows beside the I3D rows (the paper's naive combination): their columns join the RGB "
        "stream of both networks");
  t.add("hidden", o.hidden, "Width inside the attentions; 0: half a stream, 512").from(0, 65536);
  t.add("encoded", o.encoded,
        "Width of the auto-encoders; 0: half a stream, 512, with --activitynet a whole one")
      .from(0, 65536);
  t.add("mlp-hidden", o.mlp_hidden, "TSM: width of the perceptron; 0: 4 times both streams, 8192")
      .from(0, 1e6);
  t.add("prompt-vectors", o.prompts, "TSM: learned vectors before the words of a class")
      .from(1, 1000);
  t.add("width", o.width, "VLC: width of the decoders, a multiple of 4").from(4, 65536);
  t.add("decoder-hidden", o.decoder_hidden, "VLC: width of their perceptrons").from(1, 1e6);
  t.add("frequent-words", o.frequent, "VLC: words of the file that sentences know, from its top")
      .from(1, 1e7);
  t.add("sentence-words", o.longest, "VLC: most words of a sentence").from(1, 1000);
  t.add("blank-joined-names", o.blank_joined,
        "VLC: two class names in a sentence have blanks around their \"and\"; the public code has "
        "none, and loses a word");
  t.add("real-masking", o.real_masking,
        "VLC: a third of the words is hidden, as its paper says; the public code reads them all");
  t.part(Part::training);
  t.add("steps", o.train.steps, "Steps").from(0, 1e9).may_grow();
  t.add("batch", o.recipe.batch, "Videos per step").from(1, 1e6);
  t.add("pairs", o.recipe.pairs, "Pairs of one class among them").from(1, 1e6);
  t.add("rows", o.recipe.frames, "Rows of a video").from(1, 1e6);
  t.add("learning-rate", o.train.tsm_learning_rate, "TSM: Adam's learning rate").from(0, 1);
  t.add("weight-decay", o.train.tsm_weight_decay, "TSM: L2 weight decay").from(0, 1);
  t.add("vlc-learning-rate", o.train.vlc_learning_rate, "VLC: highest learning rate").from(0, 1);
  t.add("vlc-warm-up", o.train.vlc_warmup, "VLC: updates until then").from(1, 1e9);
  t.add("seed", o.train.seed, "Everything random follows from it");
  t.part(Part::inference);
  t.add("protocol", o.data.protocol,
        "thumos-index, thumos-seconds or activitynet; empty: by the data")
      .words({"", "thumos-index", "thumos-seconds", "activitynet"});
  t.part(Part::running);
  t.add("out", o.out, "Folder for checkpoint, metrics, detections").not_recorded();
  t.add("resume", o.resume, "Continue the run in --out, with its options").not_recorded();
  t.add("fresh", o.fresh, "Start anew although --out holds a run").not_recorded();
  t.add("checkpoint-every", o.checkpoint_every, "Steps between checkpoints").from(1, 1e9);
  dcl::add_best_of_test(t, o.best_of_test);
  t.add("threads", o.threads, "Threads; 0: all that the machine offers").from(0, cpu::max_threads);
  return t;
}

/// What --activitynet sets of the options that are not given.
inline void take_activity_net(cli::OptionTable& table) {
  const BoostingOptions b = BoostingOptions::activity_net();
  const rivals::TsmOptions t = rivals::TsmOptions::activity_net();
  const std::vector<std::pair<const char*, io::Json>> values{{"prompt-vectors", t.prompts},
                                                             {"sentence-words", 10},
                                                             {"rows", 60},
                                                             {"steps", b.steps},
                                                             {"learning-rate", b.tsm_learning_rate},
                                                             {"weight-decay", b.tsm_weight_decay}};
  for (const auto& [name, value] : values) {
    cli::TableOption* option = table.find(name);
    if (!option->given()) option->set(value);
  }
}

/// The sizes of TSM for I3D rows of two streams of `stream` columns, `clip` columns of CLIP beside
/// them and word vectors of `word_width`.
inline rivals::TsmOptions tsm_options(const Options& o, std::int64_t stream, std::int64_t clip,
                                      std::int64_t word_width) {
  const std::int64_t half = std::max<std::int64_t>(1, stream / 2);
  rivals::TsmOptions tsm =
      o.activitynet ? rivals::TsmOptions::activity_net(stream, clip) : rivals::TsmOptions();
  tsm.streams.stream = stream;
  tsm.clip = clip;
  tsm.streams.hidden = o.hidden > 0 ? o.hidden : half;
  if (o.encoded > 0 || !o.activitynet) tsm.streams.encoded = o.encoded > 0 ? o.encoded : half;
  tsm.word_width = word_width;
  tsm.prompts = o.prompts;
  tsm.mlp_hidden = o.mlp_hidden > 0 ? o.mlp_hidden : 4 * tsm.width();
  return tsm;
}

}  // namespace boosting
