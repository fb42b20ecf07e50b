/// localize — when which action happens in a video: detections, a table, and a page to look at.
///
///   localize video.mp4 --checkpoint run1/checkpoint.safetensors --features data/mine --page
///   video.html

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dcl_checkpoint.hpp"
#if defined(TANDEM_VIDEO)
#include "extract_options.hpp"
#endif
#include "report/page.hpp"
#include "report/page_html.hpp"  // made of report/page.html by the build
#include "report/video_url.hpp"
#include "tandem/clip/class_names.hpp"
#include "tandem/features/provenance.hpp"
#include "tandem/wtal/data/detections_json.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;

struct Options {
  std::string video, checkpoint, features, clip_features, classes, id, annotations, out, page;
  std::vector<std::string> truth;
  double duration = 0;
  std::int64_t show_classes = 10, threads = 0;
  bool embed = false;
  dcl::TextFiles text;
  dcl::Options inference;  // those of train_dcl: what is given replaces what the checkpoint says
  cli::OptionTable inference_table = dcl::option_table(inference);
#if defined(TANDEM_VIDEO)
  extract::Options extraction;
#endif
};

/// The rows of one video.
struct Rows {
  Tensor<float> i3d, clip;
  std::string source;
  std::vector<std::string> warnings;
  double seconds_per_row = 0, seconds = 0;  // of a row, of the video; 0: not said
  std::string length_source;                // who says how long a row is

  std::int64_t count() const { return (i3d.defined() ? i3d : clip).size(0); }
};

const char* random_warning =
    "The features come from encoders with RANDOM weights: this shows that the programs work "
    "together, not how good "
    "they are.";

/// What extract_features wrote beside its arrays: how long a row is, and whether the weights were
/// random.
void add_provenance(const std::string& features, const std::string& id, Rows& rows) {
  const std::optional<RowProvenance> found = read_provenance(features, id);
  if (!found) return;
  rows.seconds_per_row = found->seconds_per_row;
  rows.length_source = "as " + found->path + " says";
  rows.seconds = found->seconds;
  if (found->random_weights) rows.warnings.push_back(random_warning);
}

/// What the scores read.
struct Need {
  bool i3d = true, clip = false;
  // The model was trained on rows of both kinds, so that the shorter kind ends a video
  bool both = true;
};

void check_columns(std::int64_t columns, const dcl::Model& model) {
  TANDEM_CHECK(columns == model.input(), "localize", "the rows have ", columns,
               " columns, the model reads ", model.input());
}

#if defined(TANDEM_VIDEO)
/// The rows of the video itself.
Rows extract_rows(Options& o, const Need& need, const dcl::Model& model) {
  extract::Options& e = o.extraction;
  TANDEM_CHECK(e.random() || (((!e.i3d_rgb.empty() && !e.i3d_flow.empty()) || !need.i3d) &&
                              (!need.clip || !e.clip.empty())),
               "localize", "give the video's rows, --features, or the weights to make them: ",
               need.i3d ? "--i3d-rgb and --i3d-flow" : "", need.i3d && need.clip ? " and " : "",
               need.clip ? "--clip-weights" : "");
  e.streams.clear();
  if (need.clip) e.streams.push_back("clip");
  if (need.i3d) e.streams.insert(e.streams.end(), {"flow", "rgb"});
  extract::finish_options(e);
  extract::Extractor extractor(e);
  if (need.i3d) {
    const bool with_clip = model.options().concat_clip;
    check_columns(extractor.columns("rgb") + extractor.columns("flow") +
                      (with_clip ? extractor.columns("clip") : 0),
                  model);
  }
  const SnippetOptions& s = e.extraction.snippets;
  const io::VideoInfo info = io::VideoReader(o.video, {.threads = 1}).info();
  const double fps = s.fps > 0 ? s.fps : info.fps;
  cli::Progress progress("frames", static_cast<std::size_t>(std::max(info.duration * fps, 1.0)));
  const VideoFeatures f = extractor.extract(o.video, e.streams, [&](std::int64_t done) {
    progress.update(static_cast<std::size_t>(done));
  });
  progress.finish();
  Rows rows;
  rows.source = concat(o.video, ", read here");
  if (need.i3d) rows.i3d = cat(std::vector<Tensor<float>>{f.rgb, f.flow}, 1);
  if (need.clip) rows.clip = f.clip;
  rows.seconds_per_row = f.seconds_per_row;
  rows.length_source = "as the video was read";
  rows.seconds = f.seconds;
  rows.warnings = f.warnings;
  if (e.random()) rows.warnings.push_back(random_warning);
  return rows;
}
#endif

Rows open_rows(const Options& o, const Need& need) {
  Rows rows;
  std::int64_t i3d_rows = -1, clip_rows = -1;  // of the kinds that are there
  TANDEM_CHECK(!o.features.empty() || (!need.i3d && !o.clip_features.empty()), "localize",
               "give the video's rows, --features: a file (T, columns), or a folder that "
               "extract_features wrote; ",
               "this program was built without FFmpeg");
  rows.source = o.features.empty() ? o.clip_features : o.features;
  if (io::is_directory(o.features)) {
    GroundTruth one;
    one.videos.push_back({.id = o.id});
    const auto inner = [&](std::initializer_list<const char*> names) {
      for (const char* name : names) {
        if (const std::string path = io::join_path(o.features, name); io::is_directory(path))
          return path;
      }
      return o.features;
    };
    const std::string folder = inner({"features", "i3d", "i3d_features"}),
                      clip = inner({"clip", "clip_features"});
    if (need.i3d || (need.both && folder != o.features)) {
      const FeatureFiles files(folder, one);
      TANDEM_CHECK(!need.i3d || files.has(0), "localize", folder, " holds no features of a video '",
                   o.id, "'; --id names it as the files do");
      if (need.i3d) rows.i3d = files.read(0);
      if (files.has(0)) i3d_rows = files.rows(0);
    }
    if (o.clip_features.empty() && (need.clip || need.both) && (clip != o.features || !need.i3d)) {
      const FeatureFiles clip_files(clip, one);
      TANDEM_CHECK(!need.clip || clip_files.has(0), "localize", clip,
                   " holds no CLIP features of '", o.id, "'; --id names it as the files do");
      if (need.clip) rows.clip = clip_files.read(0);
      if (clip_files.has(0)) clip_rows = clip_files.rows(0);
    }
    add_provenance(o.features, o.id, rows);
  } else if (!o.features.empty()) {
    if (need.i3d) rows.i3d = read_rows(o.features);
    if (need.i3d) i3d_rows = rows.i3d.size(0);
    add_provenance(o.features, o.id, rows);
    if (rows.length_source.empty())
      add_provenance(std::filesystem::path(o.features).parent_path().string(), o.id, rows);
  }
  if (!o.clip_features.empty() && (need.clip || need.both)) {
    rows.clip = read_rows(o.clip_features);
    clip_rows = rows.clip.size(0);
    if (rows.length_source.empty())
      add_provenance(std::filesystem::path(o.clip_features).parent_path().string(), o.id, rows);
  }
  TANDEM_CHECK(!need.clip || rows.clip.defined(), "localize",
               "these scores need CLIP rows: --clip-features");
  // What train_dcl does with a data set: rows of one kind only are left out, whichever kind the
  // scores read.
  if (i3d_rows >= 0 && clip_rows >= 0 && clip_rows != i3d_rows) {
    const std::int64_t shared = std::min(clip_rows, i3d_rows);
    TANDEM_CHECK(std::max(clip_rows, i3d_rows) - shared <= 4, "localize", "there are ", i3d_rows,
                 " I3D rows and ", clip_rows, " CLIP rows of one video");
    if (rows.i3d.defined()) rows.i3d = rows.i3d.slice(0, 0, shared);
    if (rows.clip.defined()) rows.clip = rows.clip.slice(0, 0, shared);
  }
  return rows;
}

/// Seconds of a row: what the features say, else --seconds-per-row, else as in training, else the
/// convention. What contradicts the features is refused; a model trained on rows of another length
/// is told.
void settle_row_length(Rows& rows, double given, const dcl::Model& model) {
  TANDEM_CHECK(
      rows.seconds_per_row == 0 || given == 0 || same_row_length(given, rows.seconds_per_row),
      "localize", "a row lasts ", rows.seconds_per_row, " s, ", rows.length_source,
      "; --seconds-per-row says ", given, " s: leave it out");
  const double trained = model.seconds_per_row();
  if (rows.seconds_per_row == 0) {
    const RowLengthSource source = given > 0     ? RowLengthSource::option
                                   : trained > 0 ? RowLengthSource::checkpoint
                                                 : RowLengthSource::convention;
    rows.seconds_per_row = given > 0 ? given : trained > 0 ? trained : conventional_seconds_per_row;
    rows.length_source = row_length_source(source);
  }
  if (trained > 0 && !same_row_length(trained, rows.seconds_per_row)) {
    rows.warnings.push_back(concat("The model was trained on rows of ", trained, " s, these last ",
                                   rows.seconds_per_row, " s."));
  }
}

/// What is known to happen: from annotations, and from --truth "Clean and jerk:5.8-16.2".
struct Truth {
  std::vector<std::pair<std::string, Segment>> segments;
  double duration = 0;
  std::vector<std::string> warnings;
};

Truth read_truth(const Options& o) {
  Truth out;
  if (!o.annotations.empty()) {
    const GroundTruth truth = read_ground_truth(o.annotations);
    const std::string bare = o.id.starts_with("v_") ? o.id.substr(2) : o.id;
    const std::string file = std::filesystem::path(o.video).filename().string();
    const VideoTruth* found = nullptr;
    std::vector<std::string> ids;
    for (const VideoTruth& video : truth.videos) {
      ids.push_back(video.id);
      if (video.id == o.id || video.id == bare || video.id == "v_" + o.id || video.id == file)
        found = &video;
    }
    TANDEM_CHECK(found != nullptr, "localize", o.annotations, " does not name the video '", o.id,
                 "'", io::did_you_mean(o.id, ids), "; --id names it");
    out.duration = found->duration;
    for (const Instance& one : found->instances) {
      const std::string& name = truth.classes[static_cast<std::size_t>(one.cls)];
      if (one.segment.end < one.segment.start) {
        out.warnings.push_back(concat("The annotated segment [", one.segment.start, ", ",
                                      one.segment.end, "] of ", name,
                                      " ends before it starts and is left out."));
        continue;
      }
      out.segments.push_back({name, one.segment});
    }
  }
  for (const std::string& text : o.truth) {
    const std::size_t colon = text.rfind(':'),
                      dash = text.find('-', colon == text.npos ? 0 : colon);
    Segment segment;
    int used = 0;
    const bool good = colon != text.npos && colon > 0 && dash != text.npos &&
                      std::sscanf(text.c_str() + colon + 1, "%lf-%lf%n", &segment.start,
                                  &segment.end, &used) == 2 &&
                      colon + 1 + static_cast<std::size_t>(used) == text.size() &&
                      segment.start >= 0 && segment.end > segment.start &&
                      std::isfinite(segment.end);
    TANDEM_CHECK(good, "localize",
                 "--truth takes CLASS:START-END in seconds, as in 'LongJump:5.8-16.2', got '", text,
                 "'");
    out.segments.push_back({text.substr(0, colon), segment});
  }
  return out;
}

/// Annotated classes that are none of the model's, each once.
std::vector<std::string> unknown_labels(const Truth& truth, const dcl::Model& model) {
  std::vector<std::string> out;
  for (const auto& [label, segment] : truth.segments) {
    const auto same = [&label = label](const std::string& name) {
      return clip::readable_class_name(name) == clip::readable_class_name(label);
    };
    const bool known = std::any_of(model.classes().begin(), model.classes().end(), same);
    if (!known && std::find(out.begin(), out.end(), label) == out.end()) out.push_back(label);
  }
  return out;
}

/// The video inside the page.
std::string embedded(const std::string& path) {
  constexpr std::size_t most = std::size_t{64} << 20;
  const std::uintmax_t size = std::filesystem::file_size(path);
  TANDEM_CHECK(size <= most, "localize", path, " has ", size >> 20,
               " MiB, too much to lie inside a page (64); leave --embed-video out");
  return report::video_data_url(path);
}

report::Page make_page(const Options& o, const dcl::Model& model, const Rows& rows,
                       const VideoScores& scores, const std::vector<Detection>& found,
                       const Truth& truth, const InferenceOptions& how) {
  const double seconds = how.localization.seconds_per_row;
  report::Page page{.title = o.id, .seconds_per_row = seconds};
  page.duration = std::max({o.duration, rows.seconds, truth.duration,
                            seconds * static_cast<double>(scores.frames.size(0))});
  for (const auto& [name, segment] : truth.segments)
    page.duration = std::max(page.duration, segment.end);
  if (!o.video.empty()) {
    page.video_name = std::filesystem::path(o.video).filename().string();
    page.video = o.embed ? embedded(o.video) : report::video_link(o.video, o.page);
  }
  page.facts = {{"checkpoint", concat(o.checkpoint, " (step ", model.steps(), ")")},
                {"features", rows.source},
                {"rows", concat(scores.frames.size(0), " of ", cli::fixed(seconds, 3), " s, ",
                                rows.length_source)},
                {"classes", std::to_string(model.classes().size())}};
  page.warnings = rows.warnings;
  for (const std::string& note : model.notes()) page.warnings.push_back(note);

  const std::int64_t frames = scores.frames.size(0);
  const auto classes = static_cast<std::int64_t>(model.classes().size());
  struct Candidate {
    std::int64_t cls;
    bool annotated;
    double best;
  };
  std::vector<Candidate> order;
  std::vector<report::Track> tracks;
  for (std::int64_t c = 0; c < classes; ++c) {
    const std::string& name = model.classes()[static_cast<std::size_t>(c)];
    report::Track track{.name = name, .video_score = static_cast<double>(scores.video.data()[c])};
    float low = 1, high = 0;
    for (std::int64_t t = 0; t < frames; ++t) {
      const float p = std::clamp(scores.frames.data()[t * classes + c], 0.0F, 1.0F);
      track.scores.push_back(p);
      low = std::min(low, p);
      high = std::max(high, p);
    }
    const double theta = how.localization.thresholds[0];
    const bool stretched = how.localization.normalize && high > low;
    track.threshold =
        stretched ? static_cast<double>(low) + theta * static_cast<double>(high - low) : theta;
    double best = -1;
    for (const Detection& one : found) {
      if (one.cls == c) track.predicted.push_back(one), best = std::max(best, one.score);
    }
    for (const auto& [label, segment] : truth.segments) {
      if (clip::readable_class_name(label) == clip::readable_class_name(name))
        track.truth.push_back(segment);
    }
    const bool annotated = !track.truth.empty();
    if (annotated || !track.predicted.empty())
      order.push_back({.cls = c, .annotated = annotated, .best = best});
    tracks.push_back(std::move(track));
  }
  std::stable_sort(order.begin(), order.end(), [](const Candidate& a, const Candidate& b) {
    return a.annotated != b.annotated ? a.annotated : a.best > b.best;
  });
  for (std::size_t i = 0; i < order.size() && i < static_cast<std::size_t>(o.show_classes); ++i) {
    page.tracks.push_back(std::move(tracks[static_cast<std::size_t>(order[i].cls)]));
  }
  // What is annotated under a name that the model does not know is shown too.
  for (const auto& [label, segment] : truth.segments) {
    const auto same = [&label = label](const auto& track) {
      return clip::readable_class_name(track.name) == clip::readable_class_name(label);
    };
    const auto shown = std::find_if(page.tracks.begin(), page.tracks.end(), same);
    if (shown == page.tracks.end()) {
      page.tracks.push_back({.name = label, .truth = {segment}});
    } else if (shown->scores.empty()) {
      shown->truth.push_back(segment);
    }
  }
  return page;
}

void run(Options& o) {
  if (o.threads > 0) cpu::set_num_threads(static_cast<int>(o.threads));
  TANDEM_CHECK(!o.video.empty() || !o.features.empty(), "localize", "name a video, or --features");
  if (o.id.empty())
    o.id = std::filesystem::path(o.video.empty() ? o.features : o.video).stem().string();
  std::vector<std::string> classes;
  if (!o.classes.empty()) classes = read_ground_truth(o.classes).classes;
  dcl::Model model(o.checkpoint, classes);
  const bool concat_clip = model.options().concat_clip;
  InferenceOptions how = dcl::with_given(model.options(), o.inference_table).inference;
  const bool with_vlp = how.fusion != Fusion::cbp, with_cbp = how.fusion != Fusion::vlp;
  TANDEM_CHECK(!with_cbp || model.has_cbp(), "localize", o.checkpoint,
               " has no CBP, since --variant ", model.options().variant,
               " does not train it: its scores are --fusion vlp");
  // What simulate_features and data sets have beside their rows.
  if (o.text.data.empty() && io::is_directory(o.features)) o.text.data = o.features;
  if (with_vlp) model.open_vlp(o.text);
  const dcl::Reads trained = dcl::reads(model.options());
  const Need need{
      .i3d = with_cbp, .clip = with_vlp || concat_clip, .both = trained.i3d && trained.clip};
#if defined(TANDEM_VIDEO)
  const bool extracting = o.features.empty();
  Rows rows = extracting ? extract_rows(o, need, model) : open_rows(o, need);
#else
  Rows rows = open_rows(o, need);
#endif
  if (with_cbp) check_columns(rows.i3d.size(1) + (concat_clip ? rows.clip.size(1) : 0), model);
  settle_row_length(rows, o.inference.seconds_per_row, model);
  how.localization.seconds_per_row = rows.seconds_per_row;
  const Truth truth = read_truth(o);
  rows.warnings.insert(rows.warnings.end(), truth.warnings.begin(), truth.warnings.end());
  double annotated = std::max(truth.duration, o.duration);
#if defined(TANDEM_VIDEO)
  if (annotated == 0 && !o.video.empty() && !extracting) {
    try {  // the page shows it, so the rows should be its own
      annotated = io::VideoReader(o.video, {.threads = 1}).info().duration;
    } catch (const Error& error) {
      rows.warnings.push_back(concat("The length of the video is not known: ", error.what()));
    }
  }
#endif
  const double lasts = rows.seconds_per_row * static_cast<double>(rows.count());
  if (annotated > 0 && std::fabs(lasts - annotated) > 0.1 * annotated + 2 * rows.seconds_per_row) {
    rows.warnings.push_back(
        concat("The rows last ", lasts, " s, the video is said to last ", annotated, " s."));
  }
  const VideoScores scores = model.score(rows.i3d, rows.clip, how);
  const auto frames = static_cast<std::size_t>(scores.frames.size(0)),
             count = model.classes().size();
  const std::vector<Detection> found =
      localize(std::span(scores.frames.data(), frames * count), frames, count,
               std::span(scores.video.data(), count), how.localization);

  std::printf("%s: %zu rows of %s s, %zu detections\n", cli::printable(o.id).c_str(), frames,
              cli::fixed(rows.seconds_per_row, 3).c_str(), found.size());
  std::printf("the length of a row: %s\n", cli::printable(rows.length_source).c_str());
  for (const std::string& warning : rows.warnings)
    std::printf("%s\n", cli::printable(warning).c_str());
  for (const std::string& note : model.notes()) std::printf("%s\n", cli::printable(note).c_str());
  for (const std::string& label : unknown_labels(truth, model)) {
    std::printf("note: '%s' is annotated, which the model does not know%s\n",
                cli::printable(label).c_str(), io::did_you_mean(label, model.classes()).c_str());
  }
  cli::Table table({"class", "start s", "end s", "score"});
  for (const Detection& one : found) {
    table.row({model.classes()[static_cast<std::size_t>(one.cls)], cli::fixed(one.segment.start, 2),
               cli::fixed(one.segment.end, 2), cli::fixed(one.score, 3)});
  }
  table.print();
  if (!o.out.empty()) {
    std::string details;
    for (const std::string& warning : rows.warnings)
      details += (details.empty() ? "" : " ") + warning;
    write_detections(o.out,
                     {.classes = model.classes(), .videos = {{.id = o.id, .detections = found}}},
                     {.details = details});
    std::printf("detections: %s\n", cli::printable(o.out).c_str());
  }
  if (!o.page.empty()) {
    const report::Page page = make_page(o, model, rows, scores, found, truth, how);
    io::write_text(o.page, report::localization_page(page, report::page_html));
    std::printf("page: %s\n", cli::printable(o.page).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "When which action happens in a video: a table, detections as ActivityNet JSON, and a page "
      "with the\n"
      "video, the frame scores and the segments on a timeline.\n\n"
      "  localize video.mp4 --checkpoint run1/checkpoint.safetensors --features data --page "
      "video.html\n"
      "  localize video.mp4 --checkpoint run1/checkpoint.safetensors --page video.html \\\n"
      "      --i3d-rgb i3d_rgb.safetensors --i3d-flow i3d_flow.safetensors\n\n"
      "Rows come from --features, or are read from the video as extract_features does.\n"
      "A click on the timeline of the page moves the video there; it needs nothing but the page "
      "and the video.",
      "localize");
  Options o;
  app.add_option("video", o.video, "The video, for the page and its name")
      ->check(CLI::ExistingFile);
  app.add_option("--checkpoint", o.checkpoint, "checkpoint.safetensors of train_dcl")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--features", o.features,
                 "I3D rows: a file (T, 2048), or the --out folder of extract_features")
      ->check(CLI::ExistingPath);
  app.add_option("--clip-features", o.clip_features,
                 "CLIP rows (T, 512), where the scores need them")
      ->check(CLI::ExistingFile);
  app.add_option("--id", o.id,
                 "The video's name in features, annotations and detections (default: the file's)");
  cli::add_output(app, "--out", o.out, "Detections, ActivityNet JSON");
  cli::add_output(app, "--page", o.page, "The page, HTML");
  app.add_flag("--embed-video", o.embed,
               "The video inside the page instead of beside it, up to 64 MiB");
  app.add_option("--annotations", o.annotations, "What really happens: gt.json, a W-TALC folder …")
      ->check(CLI::ExistingPath);
  app.add_option("--truth", o.truth,
                 "What really happens: CLASS:START-END in seconds, once or more");
  app.add_option("--classes", o.classes,
                 "Annotations with the class names, where the checkpoint lacks them")
      ->check(CLI::ExistingPath);
  o.inference_table.add_to(app, cli::Part::inference, "as trained");
  app.add_option("--duration", o.duration, "Seconds of the video, where the rows end before it")
      ->check(cli::positive());
  app.add_option("--show-classes", o.show_classes, "Most classes on the page")
      ->capture_default_str()
      ->check(cli::range(1, 1000));
  app.add_option("--data", o.text.data,
                 "Folder with the CLIP weights and vocabulary, for --fusion vlp and mean");
  app.add_option("--vocabulary", o.text.vocabulary, "CLIP's vocabulary elsewhere");
  app.add_option("--tokens", o.text.tokens, "Token ids of the class names instead");
#if defined(TANDEM_VIDEO)
  extract::add_options(app, o.extraction);
  app.remove_option(app.get_option("--streams"));  // the model decides
#else
  app.add_option("--clip-weights", o.text.clip_weights, "CLIP weights elsewhere");
  app.add_option("--threads", o.threads, "Threads; 0: all that the machine offers")
      ->check(cli::range(0, cpu::max_threads));
#endif
  cli::add_config(app);
  return cli::run(app, argc, argv, [&] {
#if defined(TANDEM_VIDEO)
    o.text.clip_weights = o.extraction.clip;  // one file has both sides
    o.threads = o.extraction.threads;
#endif
    run(o);
  });
}
