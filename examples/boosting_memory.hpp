#pragma once
/// What an iteration of Boosting-WTAL needs of memory, by the layers of its two networks, so that
/// one that does not fit is refused before the first. The rule is that of step_memory.hpp: what
/// must exist at one time, which is VLC's second step, while TSM's forward waits for its own.
///
///   parameters   16 bytes each: values, gradients and Adam's two moments, of both networks
///   rows         of a batch of B videos of T rows: the D columns, TSM, the modules A of VLC
///   decoder 1    B·T·layers·3 passes·(6·W + hidden): q, k, v, what they bring, two norms, and the
///                perceptron, of each row
///   words        B·n·3 passes·(layers·(10·W + hidden) + 2·V): decoder 2, logits, log p of V words
///   tokens       (C + 1)·(n_p + n_c)·(8·D + 2·hidden of the perceptron): TSM's text

#include <cstdint>

#include "method_memory.hpp"
#include "step_memory.hpp"
#include "tandem/wtal/rivals/boosting_tsm.hpp"
#include "tandem/wtal/rivals/boosting_vlc.hpp"

namespace boosting {

/// What decides the size of an iteration.
struct StepSize {
  std::int64_t videos = 0, rows = 0;             ///< B and T
  std::int64_t sentence = 0;                     ///< n: words of a sentence
  std::int64_t classes = 0, words_of_class = 2;  ///< C and n_c
  tandem::wtal::rivals::TsmOptions tsm = {};
  tandem::wtal::rivals::VlcOptions vlc = {};
};

/// Bytes, by what decides them.
struct StepMemory {
  double modules = 0;     ///< parameters of the modules A and of what is as wide as a row
  double perceptron = 0;  ///< TSM's, and its tokens
  double decoders = 0;    ///< parameters of VLC's decoders
  double vocabulary = 0;  ///< parameters of the layer that tells words
  double rows = 0;        ///< of all frames, but for decoder 1
  double decoded = 0;     ///< decoder 1
  double words = 0;       ///< decoder 2, logits
  double parameters = 0;  ///< the number of them
  double total() const {
    return modules + perceptron + decoders + vocabulary + rows + decoded + words;
  }
};

inline StepMemory step_memory(const StepSize& size) {
  using tandem::wtal::rivals::CrossModalPair;
  const auto number = [](std::int64_t n) { return static_cast<double>(n); };
  const auto& t = size.tsm;
  const auto& v = size.vlc;
  const std::int64_t d = t.width();
  const double classes = number(size.classes + 1),
               tokens = classes * number(t.prompts + size.words_of_class);
  StepMemory out;
  double at_rows = number(d);
  const auto modules = [&](const char* name, const auto& o) {
    const CrossModalPair pair = CrossModalPair::of(name, o.streams, o.clip);
    cli::LayerMemory both = cli::cross_modal_memory(pair.rgb);
    both += cli::cross_modal_memory(pair.flow);
    return both;
  };
  // TSM
  cli::LayerMemory tsm = modules("tsm", t);
  tsm.layer(d, d, t.fusion_kernel).keep(d).layer(d, d, 3).keep(d);
  at_rows += tsm.per_row + classes;
  cli::LayerMemory text, perceptron;
  text.layer(t.word_width, d).layer(d, d).layer(d, d).layer(d, d).layer(d, d);
  perceptron.layer(d, t.mlp_hidden).layer(t.mlp_hidden, d);
  const double learned = classes * number(t.word_width * t.prompts) +
                         number(size.words_of_class * t.word_width) + tokens * number(d) +
                         2 * number(d);
  // VLC
  const cli::LayerMemory vlc = modules("vlc", v);
  at_rows += vlc.per_row + number(d);  // and r of both streams, behind its dropout
  const double w = number(v.width), hidden = number(v.hidden), layers = number(v.layers);
  const double layer = 2 * (4 * w * w + 4 * w) + 2 * w * hidden + hidden + w + 6 * w;
  const double decoders =
      2 * layers * layer +
      cli::LayerMemory().layer(d, v.width).layer(v.word_width, v.width).parameters +
      2 * number(v.word_width);
  const double vocabulary = cli::LayerMemory().layer(v.width, v.vocabulary).parameters;

  out.parameters = tsm.parameters + text.parameters + perceptron.parameters + learned +
                   vlc.parameters + decoders + vocabulary;
  const double frames = number(size.videos) * number(size.rows),
               told = number(size.videos) * number(size.sentence);
  out.modules = 16 * (tsm.parameters + text.parameters + learned + vlc.parameters);
  out.perceptron =
      16 * perceptron.parameters + 4 * tokens * (8 * number(d) + 2 * number(t.mlp_hidden));
  out.decoders = 16 * decoders;
  out.vocabulary = 16 * vocabulary;
  out.rows = 4 * frames * at_rows;
  out.decoded = 4 * frames * 3 * layers * (6 * w + hidden);
  out.words = 4 * told * 3 * (layers * (10 * w + hidden) + 2 * number(v.vocabulary));
  return out;
}

/// Throws where an iteration does not fit, and says what to make smaller.
inline void check_step_memory(const StepSize& size, const cli::MemoryLimit& limit) {
  const StepMemory m = step_memory(size);
  cli::check_memory_parts("train_boosting", cli::a_step_needs(size.videos, size.rows), m.total(),
                          {{m.rows, "--batch or --rows"},
                           {m.decoded, "--batch, --rows, --width or --decoder-hidden"},
                           {m.words, "--batch, --sentence-words or --frequent-words"},
                           {m.modules, "--hidden or --encoded"},
                           {m.perceptron, "--mlp-hidden or --prompt-vectors"},
                           {m.decoders, "--width or --decoder-hidden"},
                           {m.vocabulary, "--frequent-words or --width"}},
                          limit);
}

}  // namespace boosting
