#pragma once
/// What a run of train_dcl keeps of its pseudo-labels: a file per round, rounds/07.safetensors,
/// with how both branches score and label a number of training videos. The report shows them.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dcl_options.hpp"
#include "tandem/io/safetensors.hpp"
#include "tandem/wtal/detect/inference.hpp"

namespace dcl {

/// One branch's row of one class in one video: scores in steps of 1/255, labels 0, 1, or 2 for
/// undecided.
struct RecordedCurve {
  std::vector<std::uint8_t> scores, labels;
};

/// A file of the folder rounds, read.
struct RecordedRound {
  struct Video {
    std::string id;
    double seconds_per_row = 0;
    std::vector<std::string> classes;     ///< those of its label
    std::vector<RecordedCurve> cbp, vlp;  ///< of each of `classes`; empty: no such branch
  };
  std::int64_t round = 0, step = 0;
  std::vector<Video> videos;
};

inline std::string rounds_folder(const std::string& run) { return io::join_path(run, "rounds"); }

/// The number of "07.safetensors", or nothing for the name of another file.
inline std::optional<std::int64_t> recorded_round(const std::string& name) {
  const std::string ending = ".safetensors";
  if (!name.ends_with(ending)) return std::nullopt;
  std::int64_t round = 0;
  const std::string digits = name.substr(0, name.size() - ending.size());
  if (digits.size() < 2 || !cli::read_number(digits, round).empty() || round < 0)
    return std::nullopt;
  return round;
}

/// Writes the files of the folder rounds. What it writes is a function of the data, the options and
/// the branches, so that a run that was killed and resumed leaves the same bytes.
class RoundRecorder {
 public:
  /// Bytes of scores and labels that a file may hold. Of THUMOS14's 200 training videos, whose
  /// label has 1.1 classes and which last 330 rows, 60 come to 90 kB.
  static constexpr std::int64_t most_bytes = std::int64_t{512} << 10;

  /// `most`: how many videos at most; 0: no file is written. They are spread over the data set's
  /// order; those that do not fit into most_bytes are passed over.
  RoundRecorder(const VideoSource& source, const std::vector<std::int64_t>& rows, std::int64_t most)
      : source_(source), chosen_(source.size(), false) {
    const auto all = static_cast<std::int64_t>(source.size());
    const std::int64_t count = std::min(most, all);
    std::int64_t bytes = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto v = static_cast<std::size_t>(i * all / count);
      const auto labels = static_cast<std::int64_t>(source.truth().videos[v].labels.size());
      const std::int64_t more = 4 * labels * rows[v];  // scores and labels of two branches
      if (more == 0 || bytes + more > most_bytes) continue;
      bytes += more;
      chosen_[v] = true;
    }
    on_ = count > 0;
  }

  bool on() const { return on_; }

  /// Whether a round has a file. The first hundred all have, then every tenth, from 1000 on every
  /// hundredth: however long a run is, its files remain a few hundred.
  bool due(std::int64_t round) const {
    std::int64_t step = 1;
    for (std::int64_t r = round; r >= 100; r /= 10) step *= 10;
    return on_ && round % step == 0;
  }

  /// Makes the folder, and removes the files of rounds that the run will come to.
  void prepare(const std::string& run, std::int64_t next_round) const {
    const std::string folder = rounds_folder(run);
    if (on_) io::make_directories(folder);
    if (!io::is_directory(folder)) return;
    for (const std::string& name : list_folder(folder)) {
      const std::optional<std::int64_t> round = recorded_round(name);
      if (round && *round >= next_round) std::filesystem::remove(io::join_path(folder, name));
    }
  }

  /// What a branch says of video v: p (T, C), labelled by `rule`.
  void add(std::vector<std::vector<RecordedCurve>>& to, std::size_t v, const Tensor<float>& p,
           const PseudoLabelOptions& rule, const Tensor<float>& shares) const {
    if (!chosen_[v]) return;
    const Tensor<std::int32_t> h = video_pseudo_labels(source_, v, p, rule, shares);
    const Tensor<float> dense = p.contiguous();
    const std::int64_t rows = p.size(0), classes = p.size(1);
    std::vector<RecordedCurve> curves;
    for (const int c : source_.truth().videos[v].labels) {
      RecordedCurve& curve = curves.emplace_back();
      for (std::int64_t t = 0; t < rows; ++t) {
        const float score = std::clamp(dense.data()[t * classes + c], 0.0F, 1.0F);
        curve.scores.push_back(static_cast<std::uint8_t>(std::lround(255 * score)));
        const std::int32_t label = h.data()[t * classes + c];
        curve.labels.push_back(static_cast<std::uint8_t>(label < 0 ? 2 : label));
      }
    }
    to.push_back(std::move(curves));
  }

  /// The file of a round. `cbp` and `vlp`: what add() made of the videos, or nothing where there is
  /// no such branch.
  void write(const std::string& run, std::int64_t round, std::int64_t step,
             const std::vector<std::vector<RecordedCurve>>& cbp,
             const std::vector<std::vector<RecordedCurve>>& vlp) const {
    io::SafetensorsWriter out;
    io::Json::array_t videos;
    for (std::size_t v = 0, n = 0; v < chosen_.size(); ++v) {
      if (!chosen_[v]) continue;
      const VideoTruth& truth = source_.truth().videos[v];
      const std::vector<RecordedCurve>& curves = (cbp.empty() ? vlp : cbp).at(n++);
      io::Json video = io::Json::object();
      video["id"] = truth.id;
      video["rows"] = curves[0].scores.size();
      video["seconds_per_row"] = source_.seconds_per_row(v);
      io::Json::array_t classes;
      for (const int c : truth.labels)
        classes.emplace_back(source_.truth().classes[static_cast<std::size_t>(c)]);
      video["classes"] = io::Json(std::move(classes));
      videos.push_back(std::move(video));
    }
    out.metadata = {{"format", "tandem rounds 1"},
                    {"round", concat(round)},
                    {"step", concat(step)},
                    {"videos", io::json_text(io::Json(std::move(videos)))}};
    const auto add_branch = [&](const char* branch, const auto& curves) {
      for (const bool labels : {false, true}) {
        std::vector<std::uint8_t> all;
        for (const auto& video : curves) {
          for (const RecordedCurve& one : video) {
            const auto& values = labels ? one.labels : one.scores;
            all.insert(all.end(), values.begin(), values.end());
          }
        }
        const auto size = static_cast<std::int64_t>(all.size());
        if (size > 0)
          out.add(concat(branch, labels ? ".labels" : ".scores"),
                  from_vector<std::uint8_t>(all, Shape{size}));
      }
    };
    add_branch("cbp", cbp);
    add_branch("vlp", vlp);
    char name[32];
    std::snprintf(name, sizeof name, "%02lld.safetensors", static_cast<long long>(round));
    out.save(io::join_path(rounds_folder(run), name));
  }

 private:
  const VideoSource& source_;
  std::vector<bool> chosen_;
  bool on_ = false;
};

/// One file of the folder rounds. Errors: tensors whose sizes are not those that the file says, a
/// label that is none.
inline RecordedRound read_round(const std::string& path) {
  const io::SafetensorsFile file(path);
  const auto note = [&](const char* key) {
    const auto found = file.metadata().find(key);
    TANDEM_CHECK(found != file.metadata().end(), "rounds", path, " does not say its ", key,
                 ": it is not a file that train_dcl wrote");
    return io::JsonDocument::parse(found->second, concat(path, " (", key, ")"));
  };
  RecordedRound out;
  out.round = note("round").root().integer(0, 1'000'000'000);
  out.step = note("step").root().integer(0, 1'000'000'000'000);
  const io::JsonDocument videos = note("videos");
  std::vector<std::size_t> rows;
  std::size_t total = 0;
  for (const io::Json& one : videos.root().array()) {
    const io::JsonRef entry = videos.root().of(one);
    RecordedRound::Video& video = out.videos.emplace_back();
    video.id = entry["id"].string();
    video.seconds_per_row = entry["seconds_per_row"].number();
    rows.push_back(static_cast<std::size_t>(entry["rows"].integer(1, 1'000'000'000)));
    const io::JsonRef classes = entry["classes"];
    for (const io::Json& name : classes.array()) video.classes.push_back(classes.of(name).string());
    total += rows.back() * video.classes.size();
  }
  for (const bool cbp : {true, false}) {
    const std::string branch = cbp ? "cbp" : "vlp";
    if (!file.contains(branch + ".scores")) continue;
    const Tensor<std::uint8_t> scores = file.get<std::uint8_t>(branch + ".scores"),
                               labels = file.get<std::uint8_t>(branch + ".labels");
    TANDEM_CHECK(
        static_cast<std::size_t>(scores.numel()) == total && labels.numel() == scores.numel(),
        "rounds", path, ": ", branch, " has ", scores.numel(), " scores and ", labels.numel(),
        " labels, its videos have ", total);
    const std::uint8_t* score = scores.data();
    const std::uint8_t* label = labels.data();
    for (std::size_t v = 0; v < out.videos.size(); ++v) {
      RecordedRound::Video& video = out.videos[v];
      for (std::size_t c = 0; c < video.classes.size(); ++c) {
        RecordedCurve curve{{score, score + rows[v]}, {label, label + rows[v]}};
        for (const std::uint8_t one : curve.labels)
          TANDEM_CHECK(one <= 2, "rounds", path, ": a label of ", video.id, " is ",
                       static_cast<int>(one), ", expected 0, 1 or 2");
        (cbp ? video.cbp : video.vlp).push_back(std::move(curve));
        score += rows[v];
        label += rows[v];
      }
    }
  }
  return out;
}

/// All rounds that a run recorded, by their numbers; none where it recorded nothing.
inline std::vector<RecordedRound> read_rounds(const std::string& run) {
  std::vector<RecordedRound> out;
  const std::string folder = rounds_folder(run);
  if (!io::is_directory(folder)) return out;
  for (const std::string& name : list_folder(folder)) {
    if (recorded_round(name)) out.push_back(read_round(io::join_path(folder, name)));
  }
  std::sort(out.begin(), out.end(),
            [](const RecordedRound& a, const RecordedRound& b) { return a.round < b.round; });
  return out;
}

}  // namespace dcl
