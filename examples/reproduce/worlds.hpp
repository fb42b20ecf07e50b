#pragma once
/// The data sets that the tables are measured on: folders, or simulated rows that are made for it.

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "../dcl_start.hpp"
#include "../simulated_folder.hpp"
#include "../simulation_options.hpp"
#include "cell.hpp"

namespace reproduce {

/// The files of a data set that is made here, with what is in them: {"gt.json":
/// "00000000000004d2"}.
inline constexpr const char* checksums_file = "checksums.json";

inline std::string checksum_of_file(const std::string& path) {
  return io::hexadecimal(io::checksum(io::MappedFile::open(path)->text()));
}
/// Writes the checksums of a data set's files: those in a folder and below, by their endings.
inline void save_checksums(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::filesystem::path name = std::filesystem::relative(entry.path(), folder);
    const std::string kind = name.extension().string();  // the half of a file, after a kill: .tmp0
    const bool whole =
        kind == ".npy" || kind == ".json" || kind == ".txt" || kind == ".safetensors";
    if (entry.is_regular_file() && whole && name != checksums_file)
      files[name.generic_string()] = checksum_of_file(entry.path().string());
  }
  io::save_json(io::join_path(folder, checksums_file), io::Json(files));
}
/// Errors: a file that is missing, or is not as save_checksums() found it. Others may lie there.
inline void check_checksums(const std::string& folder) {
  const auto refuse = [&](const std::string& file, const std::string& why) {
    fail("reproduce", "the simulated world ", folder, " is not as it was made (", file, ": ", why,
         "): remove it, and the same command makes it again");
  };
  std::string now = checksums_file;
  try {
    const auto document = io::JsonDocument::load(io::join_path(folder, checksums_file));
    const io::JsonRef root = document.root();
    for (const auto& [file, sum] : root.members()) {
      now = file;
      if (checksum_of_file(io::join_path(folder, file)) == root.of(sum).string()) continue;
      throw Error("its checksum differs");
    }
  } catch (const Error& error) {
    refuse(now, error.what());
  }
}

/// Finds a simulated data set in `folder`, or makes it in `made_in`. Returns its path, which has a
/// checksum of all options in its name.  Error: what is there was changed after it was made.
inline std::string simulated_world(const std::string& folder, const std::string& made_in,
                                   SimulationOptions simulation, std::uint64_t seed,
                                   std::int64_t prompt_vectors) {
  simulation.seed = seed;
  io::Json key = io::Json::object();
  key["version"] = TANDEM_VERSION_STRING;
  key["seed"] = seed;
  key["prompt-vectors"] = prompt_vectors;
  cli::each_simulation_option(simulation,
                              [&](const char* name, auto& value, auto&&...) { key[name] = value; });
  const std::string name = concat("simulated-", seed, "-", digest(key)),
                    there = io::join_path(folder, name), path = io::join_path(made_in, name);
  if (io::is_file(io::join_path(there, "SIMULATED.txt"))) {
    if (io::is_file(io::join_path(there, checksums_file))) {
      check_checksums(there);
      return there;
    }
    // Killed before the last file, or of an older program: made again.
    if (made_in == folder) std::filesystem::remove(io::join_path(there, "SIMULATED.txt"));
  }
  // Room for the sweep of the number of vectors.
  simulated::write_simulated({.out = path,
                              .annotations = "",
                              .simulation = simulation,
                              .prompt_vectors = prompt_vectors,
                              .context = 2 * std::max<std::int64_t>(prompt_vectors, 16) + 4});
  save_checksums(path);
  return path;
}

/// The same of seeds first, first + 1, …: made in `folder`, or in `scratch` where there is one,
/// which goes after a signal too.
inline std::vector<std::string> simulated_worlds(const std::string& folder,
                                                 const std::optional<cli::ScratchFolder>& scratch,
                                                 const SimulationOptions& simulation,
                                                 std::int64_t first, std::int64_t count,
                                                 std::int64_t prompt_vectors) {
  std::optional<cli::StopSignals> stop;
  if (scratch) stop.emplace();
  std::vector<std::string> out;
  for (std::int64_t w = 0; w < count; ++w) {
    out.push_back(simulated_world(folder, scratch ? scratch->path() : folder, simulation,
                                  static_cast<std::uint64_t>(first + w), prompt_vectors));
    if (stop) stop->check();
  }
  return out;
}

/// Mean Euclidean norm of the CLIP rows of the training videos.
inline double mean_clip_norm(const VideoSource& train) {
  double sum = 0;
  std::int64_t rows = 0;
  for (std::size_t v = 0; v < train.size(); ++v) {
    const Tensor<float> clip = train.clip(v).contiguous();
    const std::int64_t width = clip.size(1);
    for (std::int64_t t = 0; t < clip.size(0); ++t, ++rows) {
      double square = 0;
      for (std::int64_t d = 0; d < width; ++d) {
        const auto x = static_cast<double>(clip.data()[t * width + d]);
        square += x * x;
      }
      sum += std::sqrt(square);
    }
  }
  return rows == 0 ? 0 : sum / static_cast<double>(rows);
}

/// Reads a world once: what its data and text encoder are, and what its options lack. With
/// `clip_norm` > 0 VLP's rows are scaled to that mean norm, to three digits.
/// Errors: data that train_dcl would refuse, or in which no mAP can be computed.
/// `glove`: word vectors for Boosting-WTAL, else those in the data's folder, if there are any.
inline World open_world(std::string name, const dcl::Options& given, double clip_norm,
                        const std::string& glove) {
  World out{.name = std::move(name), .options = given};
  dcl::Options& o = out.options;
  o.fusion = "mean";  // both branches, unless a row needs one alone
  dcl::finish_options(o);
  const dcl::Data data = dcl::open_data(o);
  TANDEM_CHECK(data.no_map.empty(), "reproduce", "the world '", out.name,
               "' has no mAP: ", data.no_map);
  const std::string rows = dcl::check_features(o, data).json();
  const dcl::Text text = dcl::open_text(o, data.train->truth().classes, data.all->clip_columns());
  out.data = io::hexadecimal(io::checksum(rows, io::checksum(rows)));
  out.text = dcl::text_fingerprint(text);
  out.note = data.note;
  boosting::Options words;
  words.data.data = o.data;
  words.glove = glove;
  out.glove = boosting::glove_path(words);
  if (!out.glove.empty()) {  // read now: what is wrong with it is not for after hours of training
    (void)GloveVectors::load(out.glove, boosting::words_of(data.train->truth().classes, false));
    out.words = io::hexadecimal(io::checksum(io::MappedFile::open(out.glove)->text()));
  }
  out.protocol = std::string(protocol_name(data.protocol));
  out.row_seconds = data.index_seconds;
  std::size_t longest = 0;
  for (const auto& ids : text.tokens.names) longest = std::max(longest, ids.size());
  out.most_prompts = std::max<std::int64_t>(
      0, (text.encoder->options().context - 2 - static_cast<std::int64_t>(longest)) / 2);
  if (const double norm = clip_norm > 0 ? mean_clip_norm(*data.train) : 0; norm > 0) {
    const double scale = clip_norm / norm, unit = std::pow(10.0, std::floor(std::log10(scale)) - 2);
    o.vlp.scale = std::round(scale / unit) * unit;
  }
  return out;
}

}  // namespace reproduce
