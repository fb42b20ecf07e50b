/// localize — when which action happens in a video: detections, a table, and a page to look at.
///
///   localize video.mp4 --checkpoint run1/checkpoint.safetensors --features data/mine --page
///   video.html
///   localize videos/ --checkpoint run1/checkpoint.safetensors --features data/mine --pages found

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "inference_cli.hpp"
#include "report/video_index.hpp"
#include "report/video_index_html.hpp"  // made of report/video_index.html by the build
#include "tandem/wtal/data/detections_json.hpp"
#include "video_page.hpp"

namespace {

using namespace tandem;
using namespace tandem::wtal;

struct Options : dcl::InferenceCli {
  std::string id, out, page, pages;
  std::vector<std::string> truth;
  double duration = 0;
  std::int64_t show_classes = 10;
  bool embed = false;
};

/// What one video came to.
struct Localized {
  std::vector<Detection> found;
  double seconds = 0;
  std::vector<std::string> warnings;
};

/// The videos of a run, one after the other.
class Session {
 public:
  Session(const Options& o, dcl::Model& model, const InferenceOptions& how, bool several)
      : o_(o), model_(model), how_(how), several_(several) {
    o.prepare(model, {&how_, 1});
    rows_.emplace(o.open_rows(model, {&how_, 1}));
    if (!o.annotations.empty()) annotations_ = read_ground_truth(o.annotations);
  }

  /// Scores a video, prints what was found, and writes its page to `page` unless that is empty.
  Localized localize_one(const videos::Found& video, const std::string& page) {
    const truth::Truth known = read_truth(video);
    dcl::Rows rows = rows_->read(video.id, video.path);
    rows.warnings.insert(rows.warnings.end(), known.warnings.begin(), known.warnings.end());
    check_length(video, std::max(known.duration, o_.duration), rows);
    const VideoScores scores = fuse(model_.score(rows.i3d, rows.clip, {&how_, 1}), how_);
    InferenceOptions how = how_;
    how.localization.seconds_per_row = rows.seconds_per_row;
    const auto frames = static_cast<std::size_t>(scores.frames.size(0)),
               count = model_.classes().size();
    Localized out;
    out.found = how.own
                    ? std::move(model_.localize(rows.i3d, rows.clip, {}, {&how, 1},
                                                rows.seconds_per_row)[0])
                    : wtal::localize(std::span(scores.frames.data(), frames * count), frames, count,
                                     std::span(scores.video.data(), count), how.localization);
    out.warnings = rows.warnings;
    print(video, rows, known, out);
    out.seconds = std::max(rows.seconds, rows.seconds_per_row * static_cast<double>(frames));
    if (!page.empty()) {
      const dcl::PageOptions options{.video = video.path,
                                     .embed = o_.embed,
                                     .duration = o_.duration,
                                     .show_classes = o_.show_classes};
      const report::Page shown =
          dcl::make_page(video.id, page, options, model_, rows, scores, out.found, known, how);
      io::write_text(page, report::localization_page(shown, report::page_html));
      std::printf("page: %s\n", cli::printable(page).c_str());
      out.seconds = shown.duration;
    }
    return out;
  }

 private:
  truth::Truth read_truth(const videos::Found& video) const {
    truth::Truth out;
    if (annotations_) {
      const VideoTruth* found = truth::find_annotation(*annotations_, video.id, video.path);
      std::vector<std::string> ids;
      for (const VideoTruth& one : annotations_->videos) ids.push_back(one.id);
      // Of a whole folder, some may not be annotated.
      TANDEM_CHECK(found != nullptr || several_, "localize", o_.annotations,
                   " does not name the video '", video.id, "'", did_you_mean(video.id, ids),
                   "; --id names it");
      if (found == nullptr) {
        out.warnings.push_back(concat(o_.annotations, " does not name this video."));
      } else {
        out = truth::from_annotation(*annotations_, *found);
      }
    }
    for (const std::string& text : o_.truth) out.segments.push_back(truth::from_words(text));
    return out;
  }

  /// Warns where the rows are not as long as the video.
  void check_length(const videos::Found& video, double annotated, dcl::Rows& rows) const {
#if defined(TANDEM_VIDEO)
    if (annotated == 0 && !video.path.empty() && !rows_->extracting()) {
      try {  // the page shows it, so the rows should be its own
        annotated = io::VideoReader(video.path, {.threads = 1}).info().duration;
      } catch (const Error& error) {
        rows.warnings.push_back(concat("The length of the video is not known: ", error.what()));
      }
    }
#else
    (void)video;
#endif
    const double lasts = rows.seconds_per_row * static_cast<double>(rows.count());
    if (annotated > 0 &&
        std::fabs(lasts - annotated) > 0.1 * annotated + 2 * rows.seconds_per_row) {
      rows.warnings.push_back(
          concat("The rows last ", lasts, " s, the video is said to last ", annotated, " s."));
    }
  }

  void print(const videos::Found& video, const dcl::Rows& rows, const truth::Truth& known,
             const Localized& result) const {
    std::printf("%s: %lld rows of %s s, %zu detections\n", cli::printable(video.id).c_str(),
                static_cast<long long>(rows.count()), cli::fixed(rows.seconds_per_row, 3).c_str(),
                result.found.size());
    std::printf("the length of a row: %s\n", cli::printable(rows.length_source).c_str());
    for (const std::string& warning : rows.warnings)
      std::printf("%s\n", cli::printable(warning).c_str());
    for (const std::string& label : truth::unknown_labels(known, model_.classes())) {
      std::printf("note: '%s' is annotated, which the model does not know%s\n",
                  cli::printable(label).c_str(), did_you_mean(label, model_.classes()).c_str());
    }
    cli::Table table({"class", "start s", "end s", "score"});
    for (const Detection& one : result.found) {
      table.row({model_.classes()[static_cast<std::size_t>(one.cls)],
                 cli::fixed(one.segment.start, 2), cli::fixed(one.segment.end, 2),
                 cli::fixed(one.score, 3)});
    }
    table.print();
  }

  const Options& o_;
  dcl::Model& model_;
  InferenceOptions how_;
  bool several_;
  std::optional<dcl::RowReader> rows_;
  std::optional<GroundTruth> annotations_;
};

/// The one video of a command line, or all of its folders.
std::vector<videos::Found> find_videos(const Options& o, const dcl::Need& need, bool several,
                                       outputs::Failures& failures) {
  if (several) return dcl::find_inputs(o, need, failures, "localize");
  const std::string path = o.inputs.empty() ? "" : o.inputs[0];
  const std::string& named = !path.empty()         ? path
                             : !o.features.empty() ? o.features
                                                   : o.clip_features;
  return {{.id = o.id.empty() ? std::filesystem::path(named).stem().string() : o.id, .path = path}};
}

/// A row of the index.
report::VideoEntry index_entry(const videos::Found& video, const Localized& result,
                               const dcl::Model& model) {
  report::VideoEntry entry{.id = video.id,
                           .page = report::page_url("videos/" + video.id + ".html"),
                           .seconds = result.seconds};
  for (const Detection& one : result.found) {
    entry.found.push_back({.name = model.classes()[static_cast<std::size_t>(one.cls)],
                           .start = one.segment.start,
                           .end = one.segment.end,
                           .score = one.score});
  }
  entry.warnings = result.warnings;
  return entry;
}

/// Returns 0, or 3 when some of several videos failed.
int run(Options& o) {
  o.finish();
  TANDEM_CHECK(!o.inputs.empty() || !o.features.empty() || !o.clip_features.empty(), "localize",
               "name a video, or --features");
  const bool folder = o.inputs.empty() ? o.id.empty() && io::is_directory(o.features)
                                       : o.inputs.size() > 1 || io::is_directory(o.inputs[0]);
  // What is of one video cannot be said of several.
  const struct {
    const char* name;
    bool given;
    const char* instead;
  } single[] = {{"--id", !o.id.empty(), ""},
                {"--truth", !o.truth.empty(), "; --annotations names each"},
                {"--page", !o.page.empty(), "; --pages FOLDER has one of each"},
                {"--duration", o.duration > 0, ""},
                {"--clip-features", !o.clip_features.empty(), "; --features FOLDER has all"},
                {"--features", !o.features.empty() && !io::is_directory(o.features),
                 " where it is a file; name a folder"}};
  for (const auto& one : single) {
    TANDEM_CHECK(!folder || !one.given, "localize", one.name, " is for one video", one.instead);
  }
  dcl::Model model = o.open_model();
  const InferenceOptions how = dcl::with_given(model.options(), o.table).inference;
  Session session(o, model, how, folder);
  outputs::Failures failures;
  const std::vector<videos::Found> found =
      find_videos(o, dcl::needed_rows(model, {&how, 1}), folder, failures);
  const std::size_t all = found.size() + failures.size();
  if (!o.pages.empty()) io::make_directories(io::join_path(o.pages, "videos"));

  for (const std::string& note : model.notes()) std::printf("%s\n", cli::printable(note).c_str());
  cli::IdleOptions idle = o.idle(model, {&how, 1}, true);
  o.add_idle(idle, {"--embed-video", "--show-classes"}, !o.page.empty() || !o.pages.empty(),
             "--page or --pages");
  if (const std::string text = idle.sentence("what is found here"); !text.empty())
    std::printf("note: %s\n", cli::printable(text).c_str());
  DetectionSet detections{.classes = model.classes(), .videos = {}};
  report::VideoIndex index{.title = "Localized actions"};
  std::string details;
  for (const videos::Found& video : found) {
    const std::string page =
        o.pages.empty() ? o.page : io::join_path(o.pages, "videos/" + video.id + ".html");
    try {
      const Localized result = session.localize_one(video, page);
      detections.videos.push_back({.id = video.id, .detections = result.found});
      index.videos.push_back(index_entry(video, result, model));
      for (const std::string& warning : result.warnings) {
        if (details.find(warning) == details.npos)
          details += (details.empty() ? "" : " ") + warning;
      }
    } catch (const std::exception& error) {
      if (!folder) throw;
      failures.add(video.id, error.what());
      std::printf("%s: failed: %s\n", cli::printable(video.id).c_str(),
                  cli::printable(error.what()).c_str());
    }
    if (folder) std::printf("\n");
  }
  if (!o.out.empty()) {
    write_detections(o.out, detections, {.details = details});
    std::printf("detections: %s\n", cli::printable(o.out).c_str());
  }
  if (!o.pages.empty()) {
    failures.each([&](const std::string& name, const std::string& message) {
      index.failed.emplace_back(name, message);
    });
    index.facts = {{"checkpoint", concat(model.path(), " (step ", model.steps(), ")")},
                   {"scores", std::string(fusion_name(how.fusion))},
                   {"classes", std::to_string(model.classes().size())}};
    index.warnings = model.notes();
    const std::string path = io::join_path(o.pages, "index.html");
    io::write_text(path, report::video_index_page(index, report::video_index_html));
    std::printf("pages: %s\n", cli::printable(path).c_str());
  }
  return failures.print(all, "videos");
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
      "      --i3d-rgb i3d_rgb.safetensors --i3d-flow i3d_flow.safetensors\n"
      "  localize videos/ --checkpoint run1/checkpoint.safetensors --features data --pages "
      "found\n\n"
      "Rows come from --features, or are read from the video as extract_features does.\n"
      "A click on the timeline of the page moves the video there; it needs nothing but the page "
      "and the video.\n"
      "Of a folder of videos (or, without videos, of features) each is localized; --pages writes "
      "an index.html\n"
      "that links the page of each. Exit status: 0, 1 for an error, 2 for a wrong command line, 3 "
      "when some of\n"
      "several videos failed.",
      "localize");
  Options o;
  o.add_to(app);
  app.add_option("--features", o.features,
                 "I3D rows: a file (T, 2048), or the --out folder of extract_features")
      ->check(CLI::ExistingPath);
  app.add_option("--clip-features", o.clip_features,
                 "CLIP rows (T, 512), where the scores need them")
      ->check(CLI::ExistingFile);
  app.add_option("--id", o.id,
                 "The video's name in features, annotations and detections (default: the file's)");
  cli::add_output(app, "--out", o.out, "Detections, ActivityNet JSON");
  cli::add_output(app, "--page", o.page, "The page of one video, HTML");
  app.add_option("--pages", o.pages, "Folder for an index.html and a page of each video");
  app.add_flag("--embed-video", o.embed,
               "The video inside the page instead of beside it, up to 64 MiB");
  app.add_option("--annotations", o.annotations, "What really happens: gt.json, a W-TALC folder …")
      ->check(CLI::ExistingPath);
  app.add_option("--truth", o.truth,
                 "What really happens: CLASS:START-END in seconds, once or more");
  app.add_option("--duration", o.duration, "Seconds of the video, where the rows end before it")
      ->check(cli::positive());
  app.add_option("--show-classes", o.show_classes, "Most classes on the page")
      ->capture_default_str()
      ->check(cli::range(1, 1000));
  o.add_config(app);
  int status = 0;
  const int ran = cli::run(app, argc, argv, [&] { status = run(o); });
  return ran != 0 ? ran : status;
}
