#pragma once
/// The page of one video: what report/page.html shows, from the scores and detections of a model.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "dcl_checkpoint.hpp"
#include "report/page.hpp"
#include "report/page_html.hpp"  // made of report/page.html by the build
#include "report/video_url.hpp"
#include "video_rows.hpp"
#include "video_truth.hpp"

namespace dcl {

struct PageOptions {
  std::string video = {};  ///< its file; empty: no player
  bool embed = false;      ///< the video inside the page
  double duration = 0;     ///< seconds of the video, where nothing says more
  std::int64_t show_classes = 10;
};

/// The video inside the page. Error: it is too large for that.
inline std::string embedded_video(const std::string& path) {
  constexpr std::size_t most = std::size_t{64} << 20;
  const std::uintmax_t size = std::filesystem::file_size(path);
  TANDEM_CHECK(size <= most, "localize", path, " has ", size >> 20,
               " MiB, too much to lie inside a page (64); leave --embed-video out");
  return report::video_data_url(path);
}

/// What the timeline shows of a class: its curve, its threshold, and where it was found.
inline report::Track make_track(const Model& model, std::int64_t cls, const VideoScores& scores,
                                const std::vector<Detection>& found,
                                const LocalizationOptions& how) {
  const std::int64_t classes = scores.frames.size(1);
  report::Track track{.name = model.classes()[static_cast<std::size_t>(cls)],
                      .video_score = static_cast<double>(scores.video.data()[cls])};
  float low = 1, high = 0;
  for (std::int64_t t = 0; t < scores.frames.size(0); ++t) {
    const float p = std::clamp(scores.frames.data()[t * classes + cls], 0.0F, 1.0F);
    track.scores.push_back(p);
    low = std::min(low, p);
    high = std::max(high, p);
  }
  const double theta = how.thresholds[0];
  track.threshold = how.normalize && high > low
                        ? static_cast<double>(low) + theta * static_cast<double>(high - low)
                        : theta;
  for (const Detection& one : found) {
    if (one.cls == cls) track.predicted.push_back(one);
  }
  return track;
}

/// What the page of a video shows: the classes that are annotated or found, the annotated and best
/// ones first. `path` is where the page will be, from where it names the video.
inline report::Page make_page(const std::string& id, const std::string& path, const PageOptions& o,
                              const Model& model, const Rows& rows, const VideoScores& scores,
                              const std::vector<Detection>& found, const truth::Truth& known,
                              const InferenceOptions& how) {
  const double seconds = rows.seconds_per_row;
  report::Page page{.title = id, .seconds_per_row = seconds};
  page.duration = std::max({o.duration, rows.seconds, known.duration,
                            seconds * static_cast<double>(scores.frames.size(0))});
  for (const auto& [name, segment] : known.segments)
    page.duration = std::max(page.duration, segment.end);
  if (!o.video.empty()) {
    page.video_name = std::filesystem::path(o.video).filename().string();
    page.video = o.embed ? embedded_video(o.video) : report::video_link(o.video, path);
  }
  page.facts = {{"checkpoint", concat(model.path(), " (step ", model.steps(), ")")},
                {"features", rows.source},
                {"rows", concat(scores.frames.size(0), " of ", cli::fixed(seconds, 3), " s, ",
                                rows.length_source)},
                {"classes", std::to_string(model.classes().size())}};
  page.warnings = rows.warnings;
  for (const std::string& note : model.notes()) page.warnings.push_back(note);

  struct Candidate {
    report::Track track;
    bool annotated;
    double best;
  };
  std::vector<Candidate> order;
  const auto classes = static_cast<std::int64_t>(model.classes().size());
  for (std::int64_t c = 0; c < classes; ++c) {
    report::Track track = make_track(model, c, scores, found, how.localization);
    double best = -1;
    for (const Detection& one : track.predicted) best = std::max(best, one.score);
    for (const auto& [label, segment] : known.segments) {
      if (truth::same_class(label, track.name)) track.truth.push_back(segment);
    }
    const bool annotated = !track.truth.empty();
    if (annotated || !track.predicted.empty())
      order.push_back({.track = std::move(track), .annotated = annotated, .best = best});
  }
  std::stable_sort(order.begin(), order.end(), [](const Candidate& a, const Candidate& b) {
    return a.annotated != b.annotated ? a.annotated : a.best > b.best;
  });
  for (std::size_t i = 0; i < order.size() && i < static_cast<std::size_t>(o.show_classes); ++i)
    page.tracks.push_back(std::move(order[i].track));
  // What is annotated under a name that the model does not know is shown too.
  for (const auto& [label, segment] : known.segments) {
    const auto shown = std::find_if(
        page.tracks.begin(), page.tracks.end(),
        [&label = label](const auto& track) { return truth::same_class(track.name, label); });
    if (shown == page.tracks.end()) {
      page.tracks.push_back({.name = label, .truth = {segment}});
    } else if (shown->scores.empty()) {
      shown->truth.push_back(segment);
    }
  }
  return page;
}

}  // namespace dcl
