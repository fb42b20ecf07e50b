#pragma once
/// A simulated data set as files, in the field's own layout.

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "common_cli.hpp"
#include "output_folder.hpp"
#include "tandem/io/npy.hpp"
#include "tandem/wtal/data/datasets.hpp"
#include "tandem/wtal/data/ground_truth_json.hpp"
#include "tandem/wtal/data/simulate.hpp"
#include "tandem/wtal/data/text_files.hpp"
#include "tandem/wtal/model/branches.hpp"
#include "word_vectors.hpp"

namespace simulated {

using namespace tandem;
using namespace tandem::wtal;

struct SimulatedFolder {
  std::string out;          ///< the folder
  std::string annotations;  ///< real ones, whose videos and instances are taken; "": simulated too
  SimulationOptions simulation;
  /// Of the untrained text encoder. CLIP rows point where it puts prompts of so many vectors.
  std::int64_t prompt_vectors = 16, text_layers = 2, text_width = 64;
  std::int64_t context = 0;  ///< its positions; 0: what these prompts take
};

/// Writes annotations, rows, a text encoder, class tokens and word vectors; SIMULATED.txt last, so
/// that a folder that has it is complete. Returns the annotations.  Errors: the folder is complete
/// already.
inline GroundTruth write_simulated(SimulatedFolder o) {
  TANDEM_CHECK(!o.out.empty(), "simulate_features", "--out is empty: name a folder");
  const cli::OutputFolder output(o.out, "simulate_features");
  TANDEM_CHECK(!io::is_file(io::join_path(o.out, "SIMULATED.txt")), "simulate_features", o.out,
               " holds a data set already; name another folder with --out");
  if (!o.annotations.empty()) {
    std::vector<std::string> files;
    for (const char* name :
         {"gt.json", "class_tokens.json", "glove.txt", "SIMULATED.txt", "text_encoder.safetensors"})
      files.push_back(io::join_path(o.out, name));
    cli::check_outputs("simulate_features", files, {o.annotations});
  }
  GroundTruth truth;
  if (o.annotations.empty()) {
    truth = simulate_annotations(o.simulation);
  } else {
    std::vector<std::string> notes;
    truth = read_ground_truth(o.annotations, &notes);
    for (const std::string& note : notes)
      std::printf("note: %s\n", cli::printable(note, true).c_str());
    // A video without instances has nothing to simulate an action from, but stays: so it is in
    // reality.
    o.simulation.classes = static_cast<std::int64_t>(truth.classes.size());
  }
  // An untrained text encoder of the right width: what matters is that CLIP rows and class texts
  // agree.
  Generator random(o.simulation.seed + 1);
  const auto count = static_cast<std::int64_t>(truth.classes.size());
  const auto encoder = make_ref<clip::TextEncoder<float>>(
      clip::TextEncoderOptions{.vocabulary = 2 + 2 * count,
                               .context = o.context > 0 ? o.context : 2 * o.prompt_vectors + 4,
                               .width = o.text_width,
                               .layers = o.text_layers,
                               .heads = 4,
                               .output = o.simulation.clip_width},
      random);
  ClassTokens tokens;
  tokens.start = 0;
  tokens.end = 1;
  for (std::int64_t c = 0; c < count; ++c) tokens.names.push_back({2 + 2 * c, 3 + 2 * c});
  PromptLearner<float>::Options prompts;
  prompts.vectors = o.prompt_vectors;
  prompts.start_token = 0;
  prompts.end_token = 1;
  const NoGrad no_grad;
  const VlpBranch<float> probe({.width = o.simulation.clip_width, .layers = 0}, encoder,
                               tokens.names, prompts, random);
  const Simulator simulator(o.simulation, probe.text_features());

  for (const char* folder : {"", "i3d", "clip"}) io::make_directories(io::join_path(o.out, folder));
  cli::Progress progress("videos", truth.videos.size());
  for (std::size_t v = 0; v < truth.videos.size(); ++v) {
    const SimulatedRows rows = simulator.draw(truth, v);
    io::save_npy(io::join_path(o.out, "i3d/" + truth.videos[v].id + ".npy"), rows.i3d);
    io::save_npy(io::join_path(o.out, "clip/" + truth.videos[v].id + ".npy"), rows.clip);
    progress.update(v + 1);
  }
  progress.finish();
  save_text_encoder(io::join_path(o.out, "text_encoder.safetensors"), *encoder,
                    "untrained, made by simulate_features");
  save_class_tokens(io::join_path(o.out, "class_tokens.json"), truth.classes, tokens);
  // W-TALC annotations stay in their own layout: the readers of the other one leave videos out, and
  // it has no place for ambiguous segments.
  if (!o.annotations.empty() && is_wtalc_folder(o.annotations)) {
    write_wtalc(io::join_path(o.out, "Simulated-Annotations"), truth);
  } else {
    io::save_json(io::join_path(o.out, "gt.json"), ground_truth_json(truth));
  }
  Generator of_words(o.simulation.seed + 2);
  cli::write_word_vectors(io::join_path(o.out, "glove.txt"), truth.classes, of_words);
  output.lock().check();
  // Last, so that a folder that has it is complete.
  io::write_text(io::join_path(o.out, "SIMULATED.txt"),
                 "The features, the text encoder and the word vectors in this folder are simulated "
                 "(simulate_features).\n"
                 "Numbers measured on them say nothing about real videos.\n");
  return truth;
}

}  // namespace simulated
