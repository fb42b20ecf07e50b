#pragma once
/// The videos of a run, as the page of a run wants them.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../cli_table.hpp"
#include "../dcl_rounds.hpp"
#include "run_page.hpp"
#include "tandem/wtal/detect/false_positives.hpp"
#include "tandem/wtal/detect/inference.hpp"
#include "video_url.hpp"

namespace report {

using namespace tandem::wtal;

/// What is detected with one fusion in all test videos, and what that is worth.
struct FusionResult {
  Fusion fusion = Fusion::cbp;
  DetectionSet detections;
  std::optional<Evaluation> evaluation;
  std::optional<FalsePositives> errors;
};

/// The table of mAP that report prints; `cbp_name`: what speaks in CBP's place, or "".
inline void print_map(const std::vector<FusionResult>& results, const std::string& cbp_name) {
  if (results.empty() || !results.front().evaluation) return;
  std::vector<std::string> header{"mAP %"};
  for (const double t : results.front().evaluation->thresholds) header.push_back(concat(t));
  for (const AverageMap& a : results.front().evaluation->averages) header.push_back(a.range);
  cli::Table table(std::move(header));
  for (const FusionResult& one : results) {
    std::vector<std::string> row{std::string(fusion_name(one.fusion))};
    if (one.fusion == Fusion::cbp && !cbp_name.empty()) row[0] = cbp_name;
    for (const double map : one.evaluation->map) row.push_back(cli::percent(map));
    for (const AverageMap& a : one.evaluation->averages) row.push_back(cli::percent(a.value));
    table.row(std::move(row));
  }
  table.print();
}

/// About `most` of `all` numbers from 0, spread evenly: all of them where there are no more.
inline std::vector<std::size_t> spread(std::size_t all, std::size_t most) {
  std::vector<std::size_t> out;
  const std::size_t count = std::min(all, most);
  for (std::size_t i = 0; i < count; ++i) out.push_back(i * all / count);
  return out;
}

namespace detail {

inline io::Json numbers(const std::vector<std::size_t>& values) {
  io::Json::array_t out;
  for (const std::size_t value : values) out.emplace_back(value);
  return io::Json(std::move(out));
}

/// What both kinds of videos have. The timeline reaches as far as anything that lies on it.
inline io::Json video_json(const VideoTruth& video, const char* kind, std::int64_t rows,
                           double seconds, const VideoFile& file, double longest) {
  io::Json out = io::Json::object();
  double duration = std::max({video.duration, seconds * static_cast<double>(rows), longest});
  io::Json::array_t truth, labels;
  for (const Instance& one : video.instances) {
    if (!(one.segment.end >= one.segment.start)) continue;
    duration = std::max(duration, one.segment.end);
    truth.push_back(io::Json({one.cls, one.segment.start, one.segment.end}));
  }
  for (const int c : video.labels) labels.emplace_back(c);
  out["id"] = video.id;
  out["kind"] = kind;
  out["subset"] = video.subset;
  out["duration"] = duration > 0 ? duration : 1.0;
  out["secondsPerRow"] = seconds;
  out["rows"] = rows;
  out["video"] = file.url;
  out["videoName"] = file.name;
  out["labels"] = io::Json(std::move(labels));
  out["truth"] = io::Json(std::move(truth));
  return out;
}

}  // namespace detail

/// The classes of a test video whose scores the page has, `most` at most: first those that are
/// annotated, then those detected in any way, then those with the highest video scores.
inline std::vector<std::size_t> shown_classes(const VideoTruth& video, const BranchScores& scores,
                                              const std::vector<const VideoDetections*>& found,
                                              std::size_t classes, std::size_t most) {
  std::vector<double> rank(classes, 0);  // the integer part tells the three groups apart
  for (std::size_t c = 0; c < classes; ++c) {
    for (const VideoScores* one : {&scores.cbp, &scores.vlp}) {
      if (!one->video.defined()) continue;
      rank[c] = std::max(rank[c], 0.5 * static_cast<double>(one->video.data()[c]));
    }
  }
  std::vector<bool> detected(classes, false), annotated(classes, false);
  for (const VideoDetections* one : found) {
    for (const Detection& d : one->detections) detected[static_cast<std::size_t>(d.cls)] = true;
  }
  for (const int c : video.labels) annotated[static_cast<std::size_t>(c)] = true;
  std::vector<std::size_t> order(classes);
  for (std::size_t c = 0; c < classes; ++c) {
    order[c] = c;
    rank[c] += (annotated[c] ? 2 : 0) + (detected[c] ? 1 : 0);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return rank[a] > rank[b]; });
  // What neither happens nor is found is of little interest: one such class at most.
  std::size_t kept = 0;
  while (kept < std::min(order.size(), most) && (rank[order[kept]] >= 1 || kept == 0)) ++kept;
  order.resize(kept);
  return order;
}

/// Test video v: the scores of the shown classes, which the page fuses itself, and the detections
/// of every fusion with their kinds, the best `most_detections`. Scores that are not there are left
/// out.
inline io::Json test_video_json(const VideoTruth& video, std::size_t v, std::int64_t rows,
                                double seconds, const BranchScores& scores,
                                const std::vector<FusionResult>& results, std::size_t classes,
                                std::size_t most_classes, const VideoFile& file,
                                std::size_t most_detections = 200) {
  std::vector<const VideoDetections*> found;
  double longest = 0;
  for (const FusionResult& one : results) {
    found.push_back(&one.detections.videos[v]);
    for (const Detection& d : found.back()->detections) longest = std::max(longest, d.segment.end);
  }
  io::Json out = detail::video_json(video, "test", rows, seconds, file, longest);
  const std::vector<std::size_t> shown = shown_classes(video, scores, found, classes, most_classes);
  out["shown"] = detail::numbers(shown);
  io::Json video_scores = io::Json::object();
  for (const auto& [name, one] : {std::pair("cbp", &scores.cbp), std::pair("vlp", &scores.vlp)}) {
    if (!one->frames.defined()) continue;
    std::vector<float> values;
    io::Json::array_t whole;
    for (const std::size_t c : shown) {
      for (std::int64_t t = 0; t < rows; ++t)
        values.push_back(one->frames.data()[static_cast<std::size_t>(t) * classes + c]);
      whole.emplace_back(static_cast<double>(one->video.data()[c]));
    }
    out[name] = base64(values);
    video_scores[name] = io::Json(std::move(whole));
  }
  out["videoScores"] = std::move(video_scores);
  io::Json detections = io::Json::object(), more = io::Json::object();
  for (std::size_t r = 0; r < results.size(); ++r) {
    const std::string name(fusion_name(results[r].fusion));
    const std::vector<Detection>& all = found[r]->detections;
    std::vector<std::size_t> order(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return all[a].score > all[b].score; });
    io::Json::array_t list;
    for (const std::size_t i : order) {
      const Detection& d = all[i];
      const bool in_view =
          std::find(shown.begin(), shown.end(), static_cast<std::size_t>(d.cls)) != shown.end();
      if (!in_view || list.size() >= most_detections) continue;
      const DetectionKind kind =
          results[r].errors ? results[r].errors->kinds[v][i] : DetectionKind::left_out;
      list.push_back(
          io::Json({d.cls, d.segment.start, d.segment.end, d.score, static_cast<int>(kind)}));
    }
    more[name] = all.size() - list.size();
    detections[name] = io::Json(std::move(list));
  }
  out["detections"] = std::move(detections);
  out["more"] = std::move(more);
  out["rounds"] = io::Json(io::Json::array_t());
  return out;
}

/// A training video with what the rounds recorded of it. `truth` may know it no more.
inline io::Json training_video_json(const std::string& id,
                                    const std::vector<dcl::RecordedRound>& rounds,
                                    const GroundTruth& truth, const VideoFile& file) {
  VideoTruth video{.id = id, .subset = "training"};
  if (const auto index = truth.index(); index.contains(id)) video = truth.videos[index.at(id)];
  video.labels.clear();
  io::Json::array_t recorded;
  std::int64_t rows = 0;
  double seconds = 0;
  for (const dcl::RecordedRound& round : rounds) {
    const auto found =
        std::find_if(round.videos.begin(), round.videos.end(),
                     [&](const dcl::RecordedRound::Video& one) { return one.id == id; });
    if (found == round.videos.end()) continue;
    seconds = found->seconds_per_row;
    rows =
        static_cast<std::int64_t>((found->cbp.empty() ? found->vlp : found->cbp)[0].scores.size());
    video.labels.clear();
    for (const std::string& name : found->classes) {
      const int c = truth.class_index(name);
      TANDEM_CHECK(c >= 0, "report", "the recorded rounds name the class '", name,
                   "', which is none of the checkpoint's: they are not of one run");
      video.labels.push_back(c);
    }
    io::Json one = io::Json::object();
    one["round"] = round.round;
    std::vector<unsigned char> labels;
    for (const auto& [name, curves] :
         {std::pair("cbp", &found->cbp), std::pair("vlp", &found->vlp)}) {
      if (curves->empty()) continue;
      std::vector<unsigned char> scores;
      std::size_t at = 0;
      for (const dcl::RecordedCurve& curve : *curves) {
        scores.insert(scores.end(), curve.scores.begin(), curve.scores.end());
        labels.resize(std::max(labels.size(), at + curve.labels.size()), 0);
        const unsigned shift = name == std::string_view("cbp") ? 0 : 2;
        for (const std::uint8_t label : curve.labels)
          labels[at] = static_cast<unsigned char>(labels[at] | label << shift), ++at;
      }
      one[name] = base64(std::span<const unsigned char>(scores));
    }
    one["labels"] = base64(std::span<const unsigned char>(labels));
    recorded.push_back(std::move(one));
  }
  io::Json out = detail::video_json(video, "training", rows, seconds, file, 0);
  std::vector<std::size_t> shown(video.labels.begin(), video.labels.end());
  out["shown"] = detail::numbers(shown);
  out["note"] = "scores and pseudo-labels as recorded in training, scores in steps of 1/255";
  out["rounds"] = io::Json(std::move(recorded));
  return out;
}

/// "results" of the page's data, of one fusion.
inline io::Json result_json(const FusionResult& result) {
  io::Json out = io::Json::object();
  const Evaluation& e = *result.evaluation;
  out["map"] = e.map;
  io::Json averages = io::Json::object();
  for (const AverageMap& one : e.averages) averages[one.range] = one.value;
  out["averages"] = std::move(averages);
  out["detections"] = result.detections.size();
  io::Json::array_t classes;
  for (std::size_t c = 0; c < e.classes.size(); ++c) {
    io::Json one = io::Json::object();
    one["name"] = e.classes[c];
    one["instances"] = e.instances[c];
    one["detections"] = e.detections[c];
    io::Json::array_t ap;
    for (const std::vector<double>& at : e.ap) ap.emplace_back(at[c]);
    one["ap"] = io::Json(std::move(ap));
    classes.push_back(std::move(one));
  }
  out["classes"] = io::Json(std::move(classes));
  const FalsePositives& f = *result.errors;
  io::Json errors = io::Json::object(), ranks = io::Json(io::Json::array_t());
  errors["tiou"] = f.tiou;
  errors["map"] = f.map;
  errors["counts"] = f.counts;
  errors["impact"] = f.impact;
  for (const FalsePositives::Counts& group : f.by_rank) ranks.push_back(io::Json(group));
  errors["byRank"] = std::move(ranks);
  out["errors"] = std::move(errors);
  return out;
}

}  // namespace report
