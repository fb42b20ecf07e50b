#pragma once
/// The feature rows of single videos: read from files, or from the videos themselves as
/// extract_features does.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dcl_checkpoint.hpp"
#if defined(TANDEM_VIDEO)
#include "extract_options.hpp"
#endif
#include "tandem/features/provenance.hpp"

namespace dcl {

/// The rows of one video.
struct Rows {
  Tensor<float> i3d, clip;
  std::string source;
  std::vector<std::string> warnings;
  double seconds_per_row = 0, seconds = 0;  ///< of a row, of the video; 0: not said
  std::string length_source;                ///< who says how long a row is

  std::int64_t count() const { return (i3d.defined() ? i3d : clip).size(0); }
};

/// What the scores read.
struct Need {
  bool i3d = true, clip = false;
  /// The model was trained on rows of both kinds, so that the shorter kind ends a video
  bool both = true;
};

/// What scores in any of these ways read.
inline Need needed_rows(const Model& model, std::span<const InferenceOptions> ways) {
  bool cbp = false, vlp = false;
  for (const InferenceOptions& way : ways) {
    cbp = cbp || asks_cbp(way.fusion);
    vlp = vlp || asks_vlp(way.fusion);
  }
  const Reads trained = reads(model.options());
  return {.i3d = cbp,
          .clip = vlp || (cbp && model.options().concat_clip),
          .both = trained.i3d && trained.clip};
}

/// Where rows are, or what they are made with.
struct RowOptions {
  std::string features;        ///< a file (T, columns), or a folder; empty: read the videos
  std::string clip_features;   ///< a file of CLIP rows
  double seconds_per_row = 0;  ///< 0: as the features say
#if defined(TANDEM_VIDEO)
  extract::Options extraction;
#endif
};

namespace detail {

inline std::string inner_folder(const std::string& features,
                                std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::string path = io::join_path(features, name); io::is_directory(path)) return path;
  }
  return features;
}

inline const char* random_warning =
    "The features come from encoders with RANDOM weights: this shows that the programs work "
    "together, not how good they are.";

/// What extract_features wrote beside its arrays: how long a row is, and whether the weights were
/// random.
inline void add_provenance(const std::string& features, const std::string& id, Rows& rows) {
  const std::optional<RowProvenance> found = read_provenance(features, id);
  if (!found) return;
  rows.seconds_per_row = found->seconds_per_row;
  rows.length_source = "as " + found->path + " says";
  rows.seconds = found->seconds;
  if (found->random_weights) rows.warnings.emplace_back(random_warning);
}

}  // namespace detail

/// The folder of I3D or CLIP rows in one that extract_features or somebody else wrote: itself,
/// where it has no such folder.
inline std::string i3d_folder(const std::string& features) {
  return detail::inner_folder(features, {"features", "i3d", "i3d_features"});
}
inline std::string clip_folder(const std::string& features) {
  return detail::inner_folder(features, {"clip", "clip_features"});
}

/// The videos that a folder of features has rows for, by the names of its files, sorted. Error: it
/// has none.
inline std::vector<std::string> list_rows(const std::string& features, const Need& need) {
  const std::string folder = need.i3d ? i3d_folder(features) : clip_folder(features);
  std::vector<std::string> ids;
  for (const char* inner : {"", "rgb", "train", "train/rgb", "test", "test/rgb"}) {
    const std::string path = *inner == '\0' ? folder : io::join_path(folder, inner);
    if (!io::is_directory(path)) continue;
    for (const std::string& name : list_folder(path)) {
      if (name.ends_with(".npy") && !name.ends_with("JOINTFeatures.npy") &&
          io::is_file(io::join_path(path, name)))
        ids.push_back(name.substr(0, name.size() - 4));
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  TANDEM_CHECK(!ids.empty(), "rows", folder, ": the folder holds no features (<id>.npy)");
  return ids;
}

/// Gives the rows of one video after the other.
class RowReader {
 public:
  /// Errors: neither features nor weights to make them; encoders that do not fit the model.
  RowReader(RowOptions options, const Need& need, const Model& model)
      : o_(std::move(options)), need_(need), model_(model) {
    extracting_ = o_.features.empty() && (need_.i3d || o_.clip_features.empty());
    if (!extracting_) return;
#if defined(TANDEM_VIDEO)
    open_encoders();
#else
    fail("rows",
         "give the video's rows, --features: a file (T, columns), or a folder that "
         "extract_features wrote; this program was built without FFmpeg");
#endif
  }

  /// Whether rows are made from the videos.
  bool extracting() const { return extracting_; }

  /// The rows of the video `id`; `video` is its file, read where there are no features.
  Rows read(const std::string& id, const std::string& video) {
#if defined(TANDEM_VIDEO)
    Rows rows = extracting_ ? extract(video) : open(id);
#else
    (void)video;
    Rows rows = open(id);
#endif
    if (need_.i3d)
      check_columns(rows.i3d.size(1) + (model_.options().concat_clip ? rows.clip.size(1) : 0));
    settle_row_length(rows);
    return rows;
  }

 private:
  void check_columns(std::int64_t columns) const {
    TANDEM_CHECK(columns == model_.input(), "rows", "the rows have ", columns,
                 " columns, the model reads ", model_.input());
  }

#if defined(TANDEM_VIDEO)
  void open_encoders() {
    extract::Options& e = o_.extraction;
    TANDEM_CHECK(e.random() || (((!e.i3d_rgb.empty() && !e.i3d_flow.empty()) || !need_.i3d) &&
                                (!need_.clip || !e.clip.empty())),
                 "rows", "give the video's rows, --features, or the weights to make them: ",
                 need_.i3d ? "--i3d-rgb and --i3d-flow" : "",
                 need_.i3d && need_.clip ? " and " : "", need_.clip ? "--clip-weights" : "");
    e.streams.clear();
    if (need_.clip) e.streams.emplace_back("clip");
    if (need_.i3d) e.streams.insert(e.streams.end(), {"flow", "rgb"});
    extract::finish_options(e);
    extractor_ = std::make_unique<extract::Extractor>(e);
    if (need_.i3d) {
      check_columns(extractor_->columns("rgb") + extractor_->columns("flow") +
                    (model_.options().concat_clip ? extractor_->columns("clip") : 0));
    }
  }

  Rows extract(const std::string& video) {
    const extract::Options& e = o_.extraction;
    const SnippetOptions& s = e.extraction.snippets;
    const io::VideoInfo info = io::VideoReader(video, {.threads = 1}).info();
    const double fps = s.fps > 0 ? s.fps : info.fps;
    cli::Progress progress("frames", static_cast<std::size_t>(std::max(info.duration * fps, 1.0)));
    const VideoFeatures f = extractor_->extract(video, e.streams, [&](std::int64_t done) {
      progress.update(static_cast<std::size_t>(done));
    });
    progress.finish();
    Rows rows;
    rows.source = concat(video, ", read here");
    if (need_.i3d) rows.i3d = cat(std::vector<Tensor<float>>{f.rgb, f.flow}, 1);
    if (need_.clip) rows.clip = f.clip;
    rows.seconds_per_row = f.seconds_per_row;
    rows.length_source = "as the video was read";
    rows.seconds = f.seconds;
    rows.warnings = f.warnings;
    if (e.random()) rows.warnings.emplace_back(detail::random_warning);
    return rows;
  }
#endif

  Rows open(const std::string& id) const {
    Rows rows;
    std::int64_t i3d_rows = -1, clip_rows = -1;  // of the kinds that are there
    rows.source = o_.features.empty() ? o_.clip_features : o_.features;
    if (io::is_directory(o_.features)) {
      GroundTruth one;
      one.videos.push_back({.id = id});
      const std::string folder = i3d_folder(o_.features), clip = clip_folder(o_.features);
      if (need_.i3d || (need_.both && folder != o_.features)) {
        const FeatureFiles files(folder, one);
        TANDEM_CHECK(!need_.i3d || files.has(0), "rows", folder, " holds no features of a video '",
                     id, "'; --id names it as the files do");
        if (need_.i3d) rows.i3d = files.read(0);
        if (files.has(0)) i3d_rows = files.rows(0);
      }
      if (o_.clip_features.empty() && (need_.clip || need_.both) &&
          (clip != o_.features || !need_.i3d)) {
        const FeatureFiles clip_files(clip, one);
        TANDEM_CHECK(!need_.clip || clip_files.has(0), "rows", clip, " holds no CLIP features of '",
                     id, "'; --id names it as the files do");
        if (need_.clip) rows.clip = clip_files.read(0);
        if (clip_files.has(0)) clip_rows = clip_files.rows(0);
      }
      detail::add_provenance(o_.features, id, rows);
    } else if (!o_.features.empty()) {
      if (need_.i3d) rows.i3d = read_rows(o_.features);
      if (need_.i3d) i3d_rows = rows.i3d.size(0);
      detail::add_provenance(o_.features, id, rows);
      if (rows.length_source.empty())
        detail::add_provenance(std::filesystem::path(o_.features).parent_path().string(), id, rows);
    }
    if (!o_.clip_features.empty() && (need_.clip || need_.both)) {
      rows.clip = read_rows(o_.clip_features);
      clip_rows = rows.clip.size(0);
      if (rows.length_source.empty()) {
        detail::add_provenance(std::filesystem::path(o_.clip_features).parent_path().string(), id,
                               rows);
      }
    }
    TANDEM_CHECK(!need_.clip || rows.clip.defined(), "rows", "these scores need CLIP rows: ",
                 io::is_directory(o_.features)
                     ? concat("name the folder that has clip/ or clip_features/ beside the I3D "
                              "rows, which ",
                              o_.features, " has not")
                     : std::string("--clip-features"));
    // What train_dcl does with a data set: rows of one kind only are left out, whichever kind the
    // scores read.
    if (i3d_rows >= 0 && clip_rows >= 0 && clip_rows != i3d_rows) {
      const std::int64_t shared = std::min(clip_rows, i3d_rows);
      TANDEM_CHECK(std::max(clip_rows, i3d_rows) - shared <= 4, "rows", "there are ", i3d_rows,
                   " I3D rows and ", clip_rows, " CLIP rows of one video");
      if (rows.i3d.defined()) rows.i3d = rows.i3d.slice(0, 0, shared);
      if (rows.clip.defined()) rows.clip = rows.clip.slice(0, 0, shared);
    }
    return rows;
  }

  /// Seconds of a row: what the features say, else --seconds-per-row, else as in training, else the
  /// convention. What contradicts the features is refused; a model trained on rows of another
  /// length is told.
  void settle_row_length(Rows& rows) const {
    const double given = o_.seconds_per_row;
    TANDEM_CHECK(
        rows.seconds_per_row == 0 || given == 0 || same_row_length(given, rows.seconds_per_row),
        "rows", "a row lasts ", rows.seconds_per_row, " s, ", rows.length_source,
        "; --seconds-per-row says ", given, " s: leave it out");
    const double trained = model_.seconds_per_row();
    if (rows.seconds_per_row == 0) {
      const RowLengthSource source = given > 0     ? RowLengthSource::option
                                     : trained > 0 ? RowLengthSource::checkpoint
                                                   : RowLengthSource::convention;
      rows.seconds_per_row = given > 0     ? given
                             : trained > 0 ? trained
                                           : conventional_seconds_per_row;
      rows.length_source = row_length_source(source);
    }
    if (trained > 0 && !same_row_length(trained, rows.seconds_per_row)) {
      rows.warnings.push_back(concat("The model was trained on rows of ", trained,
                                     " s, these last ", rows.seconds_per_row, " s."));
    }
  }

  RowOptions o_;
  Need need_;
  const Model& model_;
  bool extracting_ = false;
#if defined(TANDEM_VIDEO)
  std::unique_ptr<extract::Extractor> extractor_;
#endif
};

}  // namespace dcl
