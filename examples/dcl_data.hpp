#pragma once
/// Opening what train_dcl reads: the data set, the text encoder, the class names' tokens.

#include <cstdio>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dcl_options.hpp"
#include "tandem/clip/load.hpp"
#include "tandem/wtal/datasets.hpp"
#include "tandem/wtal/evaluation.hpp"
#include "tandem/wtal/text_files.hpp"

namespace dcl {

/// A data set with its two subsets.
struct Data {
  std::unique_ptr<Dataset> all;
  std::unique_ptr<SubsetSource> train, test;
  std::vector<std::int64_t> train_lengths;
  Protocol protocol = Protocol::thumos_seconds;
  std::string description;
  std::string note;  ///< "simulated data" where a file SIMULATED.txt says so
};

inline Data open_data(const Options& o) {
  TANDEM_CHECK(!o.data.empty() || (!o.annotations.empty() && !o.i3d.empty() && !o.clip.empty()),
               "train_dcl",
               "give --data DIR, or --annotations, --i3d and --clip one by one; simulate_features makes a "
               "folder to try the program on");
  DatasetOptions where;
  where.annotations = o.annotations;
  where.i3d = o.i3d;
  where.clip = o.clip;
  if (!o.data.empty()) where = find_dataset(o.data, where);
  Data data;
  data.all = std::make_unique<Dataset>(where);
  SubsetNames subsets;
  if (o.train_subset.empty() || o.test_subset.empty()) subsets = find_subsets(data.all->truth());
  if (!o.train_subset.empty()) subsets.train = o.train_subset;
  if (!o.test_subset.empty()) subsets.test = o.test_subset;
  data.train = std::make_unique<SubsetSource>(*data.all, subsets.train);
  data.test = std::make_unique<SubsetSource>(*data.all, subsets.test);
  TANDEM_CHECK(data.train->size() > 0 && data.test->size() > 0, "train_dcl", "subset '", subsets.train,
               "' has ", data.train->size(), " videos and '", subsets.test, "' ", data.test->size());
  for (std::size_t v = 0; v < data.train->size(); ++v) data.train_lengths.push_back(data.train->rows(v));
  if (!o.protocol.empty()) {
    data.protocol = protocol_from_name(o.protocol);
  } else {
    // 100 or 200 classes: ActivityNet; 20: THUMOS14, by the protocol of the annotations' layout.
    bool ambiguous = false;
    for (const VideoTruth& video : data.test->truth().videos) ambiguous = ambiguous || !video.ambiguous.empty();
    data.protocol = data.train->classes() >= 100 ? Protocol::activitynet
                    : ambiguous                  ? Protocol::thumos_index
                                                 : Protocol::thumos_seconds;
  }
  if (!o.data.empty() && io::is_file(io::join_path(o.data, "SIMULATED.txt"))) data.note = "simulated data";
  data.description = concat(data.train->size(), " training videos (", subsets.train, "), ",
                            data.test->size(), " test videos (", subsets.test, "), ",
                            data.train->classes(), " classes, I3D ", data.all->i3d_columns(), " and CLIP ",
                            data.all->clip_columns(), " columns");
  for (const std::string& note : data.all->notes()) data.description += "\nnote: " + note;
  return data;
}

/// The text side of VLP.
struct Text {
  Ref<clip::TextEncoder<float>> encoder;
  ClassTokens tokens;
  std::string note;
};

inline Text open_text(const Options& o, const std::vector<std::string>& classes, std::int64_t columns) {
  Text text;
  if (o.random_text_encoder) {
    Generator random(1);
    const auto count = static_cast<std::int64_t>(classes.size());
    text.encoder = make_ref<clip::TextEncoder<float>>(
        clip::TextEncoderOptions{.vocabulary = count + 2,
                                 .context = 2 * o.prompts.vectors + 3,
                                 .width = columns,
                                 .layers = 2,
                                 .heads = columns % 8 == 0 ? 8 : 1,
                                 .output = columns},
        random);
    text.tokens.start = 0;
    text.tokens.end = 1;
    for (std::int64_t c = 0; c < count; ++c) text.tokens.names.push_back({2 + c});
    text.note = "the text encoder is UNTRAINED (--random-text-encoder): this run shows that data and "
                "program fit, not how good the method is";
    return text;
  }
  // What is not named is looked for in --data; class_tokens.json goes with simulated text encoders.
  const auto find = [&](const std::string& given, std::initializer_list<const char*> names) {
    if (!given.empty() || o.data.empty()) return given;
    for (const char* name : names) {
      if (std::string path = io::join_path(o.data, name); io::is_file(path)) return path;
    }
    return std::string();
  };
  const std::string weights = find(o.clip_weights, {"clip.safetensors", "text_encoder.safetensors"});
  const std::string vocabulary = find(o.vocabulary, {"bpe_simple_vocab_16e6.txt.gz", "merges.txt"});
  const std::string tokens = o.vocabulary.empty() ? find(o.tokens, {"class_tokens.json"}) : o.tokens;
  TANDEM_CHECK(!weights.empty(), "train_dcl", "there are no CLIP weights: name them with --clip-weights, or put ",
               "clip.safetensors into --data (or try --random-text-encoder, which needs no weights)");
  TANDEM_CHECK(!vocabulary.empty() || !tokens.empty(), "train_dcl",
               "there is neither a vocabulary nor a file of token ids: name one with --vocabulary or --tokens");
  // Frozen matrices that products round anyway are kept rounded.
  const bool rounded = o.clip_bfloat16 || o.vlp.precision == Precision::bfloat16;
  text.encoder = clip::load_text_encoder<float>(
      weights, {.bfloat16 = rounded, .activation = clip::activation_named(o.clip_activation)});
  const std::int64_t known = text.encoder->options().vocabulary;
  if (!tokens.empty()) {
    text.tokens = load_class_tokens(tokens, classes, known);
    return text;
  }
  const auto tokenizer = clip::Tokenizer::load(vocabulary);
  TANDEM_CHECK(tokenizer.vocabulary() == known, "train_dcl", vocabulary, " has ", tokenizer.vocabulary(),
               " tokens, the text encoder in ", weights, " ", known);
  for (const std::string& name : classes) {
    if (const std::string note = clip::mojibake_note(name); !note.empty()) {
      std::fprintf(stderr, "train_dcl: the class name \"%s\": %s\n", name.c_str(), note.c_str());
    }
  }
  text.tokens = tokenize_classes(tokenizer, classes);
  return text;
}

}  // namespace dcl
