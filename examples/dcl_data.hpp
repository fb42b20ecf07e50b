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
#include "tandem/wtal/data/datasets.hpp"
#include "tandem/wtal/data/text_files.hpp"
#include "tandem/wtal/detect/evaluation.hpp"

namespace dcl {

/// How detections are judged.
struct Judged {
  Protocol protocol = Protocol::thumos_seconds;
  double index_seconds = conventional_seconds_per_row;  ///< a row of Protocol::thumos_index
  std::string no_map;  ///< why there can be no mAP; empty where a test video has a segment

  EvaluationOptions options() const {
    return {.protocol = protocol, .seconds_per_row = index_seconds};
  }
  /// What keeps the numbers from being compared with published ones, or "".
  std::string protocol_note() const {
    if (protocol != Protocol::thumos_index || index_seconds == conventional_seconds_per_row)
      return "";
    return concat("thumos-index in rows of ", index_seconds,
                  " s: its published numbers are of rows of ", conventional_seconds_per_row,
                  " s and must not be compared with these");
  }
};

/// A data set with its two subsets.
struct Data : Judged {
  std::unique_ptr<Dataset> all;
  std::unique_ptr<SubsetSource> train, test;  ///< test may have no videos; train may be null
  std::vector<std::int64_t> train_lengths;
  std::string description;
  std::string note;  ///< "simulated data" where a file SIMULATED.txt says so
};

/// What is odd about labels, one sentence each. Error: nothing can be learned.
inline std::vector<std::string> label_notes(const Data& data) {
  const GroundTruth& train = data.train->truth();
  std::vector<std::size_t> videos(train.classes.size());
  for (const VideoTruth& video : train.videos) {
    for (const int c : video.labels) ++videos[static_cast<std::size_t>(c)];
  }
  std::string unseen;
  std::size_t count = 0;
  for (std::size_t c = 0; c < videos.size(); ++c) {
    if (videos[c] > 0 || ++count > 3) continue;
    unseen += concat(unseen.empty() ? "" : ", ", train.classes[c]);
  }
  TANDEM_CHECK(count < videos.size(), "labels", "none of the ", train.videos.size(),
               " training videos has a label: there is nothing to learn");
  std::vector<std::string> notes;
  if (count > 0) {
    notes.push_back(concat(count, count == 1 ? " class has" : " classes have",
                           " no training video and will not be learned: ", unseen,
                           count > 3 ? ", …" : ""));
  }
  return notes;
}

/// What is odd about the videos that are judged, one sentence each.
inline std::vector<std::string> test_notes(const GroundTruth& test, const Judged& judged) {
  std::vector<std::string> notes;
  std::size_t blank = 0;
  for (const VideoTruth& video : test.videos) blank += video.instances.empty();
  if (judged.no_map.empty() && blank > 0) {
    notes.push_back(concat(blank, " of ", test.videos.size(),
                           " test videos have no segment: all that is found in them counts as "
                           "wrong"));
  }
  if (!judged.no_map.empty()) notes.push_back(judged.no_map + ", so no mAP can be computed");
  if (std::string note = judged.protocol_note(); !note.empty()) notes.push_back(std::move(note));
  return notes;
}

/// How detections in `test` are judged: by the protocol of that name or, where it is empty, of the
/// data set. `rows` are the lengths of all rows.
inline void choose_protocol(const std::string& name, const GroundTruth& test,
                            const RowLengths& rows, Judged& judged) {
  bool ambiguous = false, annotated = false;
  for (const VideoTruth& video : test.videos) {
    ambiguous = ambiguous || !video.ambiguous.empty();
    annotated = annotated || !video.instances.empty();
  }
  if (test.videos.empty()) {
    judged.no_map = "there are no test videos";
  } else if (!annotated) {
    judged.no_map = "no test video has an annotated segment";
  }
  const double seconds = rows.uniform();
  const bool usual = same_row_length(seconds, conventional_seconds_per_row);
  if (!usual) judged.index_seconds = seconds;
  if (!name.empty()) {
    judged.protocol = protocol_from_name(name);
    TANDEM_CHECK(judged.protocol != Protocol::thumos_index || seconds > 0, "protocol",
                 "--protocol thumos-index counts in rows, which are not equally long here (",
                 rows.description(), "); use thumos-seconds");
  } else {
    // 100 or 200 classes: ActivityNet; 20: THUMOS14, by the protocol of the annotations' layout.
    judged.protocol = test.classes.size() >= 100 ? Protocol::activitynet
                      : ambiguous && usual       ? Protocol::thumos_index
                                                 : Protocol::thumos_seconds;
  }
}

/// Where annotations and the rows of `need` lie.
inline DatasetOptions find_files(const Options& o, const Reads& need) {
  TANDEM_CHECK(!o.data.empty() || (!o.annotations.empty() && (!o.i3d.empty() || !need.i3d) &&
                                   (!o.clip.empty() || !need.clip)),
               "data", "give --data DIR, or --annotations", need.i3d ? " and --i3d" : "",
               need.clip ? " and --clip" : "",
               " one by one; simulate_features makes a folder to try the program on");
  DatasetOptions where{.annotations = o.annotations,
                       .i3d = need.i3d ? o.i3d : "",
                       .clip = need.clip ? o.clip : "",
                       .need_i3d = need.i3d,
                       .need_clip = need.clip,
                       .seconds_per_row = o.seconds_per_row};
  return o.data.empty() ? where : find_dataset(o.data, where);
}

/// What is known of the origin of a data set: "simulated data", or "".
inline std::string origin_note(const Options& o) {
  const bool simulated = !o.data.empty() && io::is_file(io::join_path(o.data, "SIMULATED.txt"));
  return simulated ? "simulated data" : "";
}

/// "10 test videos (validation)"
inline std::string count_videos(const SubsetSource& source, const char* kind,
                                const std::string& subset) {
  return concat(source.size(), " ", kind, " videos", subset.empty() ? "" : " (" + subset + ")");
}

/// Refuses a subset that has no videos.
inline void check_subset(const GroundTruth& truth, const std::string& name, const char* program) {
  const auto known = truth.subsets();
  TANDEM_CHECK(std::find(known.begin(), known.end(), name) != known.end(), program, "the subset '",
               name, "' has no videos", did_you_mean(name, known));
}

inline Data open_data(const Options& o) {
  const Reads need = reads(o);
  DatasetOptions where = find_files(o, need);
  std::vector<std::string> notes;
  GroundTruth truth = read_ground_truth(where.annotations, &notes);
  SubsetNames subsets;
  if (o.train_subset.empty() || o.test_subset.empty()) {
    const bool alone = !o.train_subset.empty() && truth.subsets().size() == 1;
    subsets = alone ? SubsetNames{.has_test = false} : find_subsets(truth);
  }
  if (!o.train_subset.empty()) subsets.train = o.train_subset;
  if (!o.test_subset.empty()) {
    subsets.test = o.test_subset;
    subsets.has_test = true;
  }
  std::size_t others = 0;
  std::vector<std::string> other_names;
  for (const VideoTruth& video : truth.videos) {
    if (video.subset == subsets.train || (subsets.has_test && video.subset == subsets.test))
      continue;
    ++others;
    const std::string name = "'" + video.subset + "'";
    if (std::find(other_names.begin(), other_names.end(), name) == other_names.end())
      other_names.push_back(name);
  }
  if (others > 0) {
    std::string list;
    for (const std::string& name : other_names) list += (list.empty() ? "" : ", ") + name;
    notes.push_back(concat(others, " of ", truth.videos.size(),
                           others == 1 ? " videos is" : " videos are", " of other subsets (", list,
                           ") and left out"));
  }
  check_subset(truth, subsets.train, "data");
  where.subsets = {subsets.train};
  if (subsets.has_test) {
    check_subset(truth, subsets.test, "data");
    where.subsets.push_back(subsets.test);
  }
  Data data;
  data.all = std::make_unique<Dataset>(where, std::move(truth), std::move(notes));
  data.train = std::make_unique<SubsetSource>(*data.all, subsets.train);
  data.test = subsets.has_test ? std::make_unique<SubsetSource>(*data.all, subsets.test)
                               : std::make_unique<SubsetSource>(*data.all);
  for (std::size_t v = 0; v < data.train->size(); ++v)
    data.train_lengths.push_back(data.train->rows(v));
  choose_protocol(o.protocol, data.test->truth(), data.all->row_lengths(), data);
  data.note = origin_note(o);
  data.description = concat(
      count_videos(*data.train, "training", subsets.train), ", ",
      count_videos(*data.test, "test", subsets.has_test ? subsets.test : ""), ", ",
      data.train->classes(), " classes", need.i3d ? concat(", I3D ", data.all->i3d_columns()) : "",
      need.clip ? concat(need.i3d ? " and" : ",", " CLIP ", data.all->clip_columns()) : "",
      " columns\n", data.all->row_lengths().description());
  for (const std::string& note : data.all->notes()) data.description += "\nnote: " + note;
  for (const std::string& note : label_notes(data)) data.description += "\nnote: " + note;
  for (const std::string& note : test_notes(data.test->truth(), data))
    data.description += "\nnote: " + note;
  return data;
}

/// The text side of VLP.
struct Text {
  Ref<clip::TextEncoder<float>> encoder;
  ClassTokens tokens;
  std::string note;
};

/// A file of the texts, as it is named, else the first of `names` that is in --data, else "".
/// class_tokens.json goes with simulated text encoders.
inline std::string text_file(const Options& o, const std::string& named,
                             std::initializer_list<const char*> names) {
  if (!named.empty() || o.data.empty()) return named;
  for (const char* name : names) {
    if (std::string path = io::join_path(o.data, name); io::is_file(path)) return path;
  }
  return "";
}
/// The trained text encoder.  Errors: there are no weights.
inline Ref<clip::TextEncoder<float>> open_text_encoder(const Options& o) {
  const std::string weights =
      text_file(o, o.clip_weights, {"clip.safetensors", "text_encoder.safetensors"});
  TANDEM_CHECK(!weights.empty(), "class texts",
               "there are no CLIP weights: name them with --clip-weights, or put ",
               "clip.safetensors or text_encoder.safetensors into --data (train_dcl also takes "
               "--random-text-encoder, which ",
               "needs none)");
  // Frozen matrices that products round anyway are kept rounded.
  const bool rounded = o.clip_bfloat16 || o.vlp.precision == Precision::bfloat16;
  return clip::load_text_encoder<float>(
      weights, {.bfloat16 = rounded, .activation = clip::activation_named(o.clip_activation)});
}

inline Text open_text(const Options& o, const std::vector<std::string>& classes,
                      std::int64_t columns) {
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
    text.note =
        "the text encoder is UNTRAINED (--random-text-encoder): this run shows that data and "
        "program fit, not how good the method is";
    return text;
  }
  const std::string vocabulary =
      text_file(o, o.vocabulary, {"bpe_simple_vocab_16e6.txt.gz", "merges.txt"});
  const std::string tokens =
      o.vocabulary.empty() ? text_file(o, o.tokens, {"class_tokens.json"}) : o.tokens;
  text.encoder = open_text_encoder(o);
  TANDEM_CHECK(!vocabulary.empty() || !tokens.empty(), "class texts",
               "there is neither a vocabulary nor a file of token ids: name one with --vocabulary "
               "or --tokens");
  const std::int64_t known = text.encoder->options().vocabulary;
  if (!tokens.empty()) {
    text.tokens = load_class_tokens(tokens, classes, known);
    return text;
  }
  const auto tokenizer = clip::Tokenizer::load(vocabulary);
  TANDEM_CHECK(tokenizer.vocabulary() == known, "class texts", vocabulary, " has ",
               tokenizer.vocabulary(), " tokens, the text encoder ", known);
  for (const std::string& name : classes) {
    if (const std::string note = clip::mojibake_note(name); !note.empty()) {
      std::fprintf(stderr, "note: the class name \"%s\": %s\n", cli::printable(name).c_str(),
                   cli::printable(note).c_str());
    }
  }
  text.tokens = tokenize_classes(tokenizer, classes);
  return text;
}

}  // namespace dcl
