#pragma once
/// The data of the page over two runs, made of those of the pages of each.
///
/// pair.html says by its example what the keys are; pair.js makes the page of them in the browser.

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "tandem/io/json.hpp"
#include "tandem/tensor/error.hpp"

namespace report {

using namespace tandem;

/// An option that is not the same in both runs.
struct OptionDifference {
  std::string name, first, second;
};

/// The data of the page of one run (run_page.hpp).
struct NamedPage {
  std::string name;
  io::Json page;
};

namespace detail {

inline io::Json taken(const io::Json& from, std::initializer_list<const char*> keys) {
  io::Json out = io::Json::object();
  for (const char* key : keys) {
    if (from.contains(key)) out[key] = from.at(key);
  }
  return out;
}

}  // namespace detail

/// pair_json — test videos stand once, with what either run says of them in "runs"; training videos
/// are left out. Errors: a test video that the other page does not have, or with another
/// annotation.
inline io::Json pair_json(const NamedPage& first, const NamedPage& second,
                          const std::vector<OptionDifference>& differences) {
  const io::Json &a = first.page, &b = second.page;
  io::Json out = detail::taken(
      a, {"classes", "kinds", "protocol", "tiou", "testVideos", "instances", "hidden"});
  if (out["tiou"].empty()) out["tiou"] = b.at("tiou");
  out["title"] = first.name + " beside " + second.name;
  io::Json::array_t runs, warnings, videos, options;
  for (const NamedPage* one : {&first, &second}) {
    io::Json run = detail::taken(one->page, {"fusions", "trained", "cbpWeight", "names", "method",
                                             "results", "training", "facts"});
    run["name"] = one->name;
    runs.push_back(std::move(run));
    for (const io::Json& text : one->page.at("warnings"))
      warnings.emplace_back(one->name + ": " + text.get<std::string>());
  }
  for (const io::Json& mine : a.at("videos")) {
    if (mine.at("kind") != "test") continue;
    const io::Json& all = b.at("videos");
    const auto its = std::find_if(all.begin(), all.end(), [&](const io::Json& video) {
      return video.at("kind") == "test" && video.at("id") == mine.at("id");
    });
    TANDEM_CHECK(its != all.end() && its->at("truth") == mine.at("truth"), "report",
                 "the test video ", io::json_text(mine.at("id")), " of ", first.name,
                 its == all.end() ? " is none of " : " is annotated otherwise in ", second.name);
    io::Json video =
        detail::taken(mine, {"id", "subset", "duration", "video", "videoName", "labels", "truth"});
    video["duration"] =
        std::max(mine.at("duration").get<double>(), its->at("duration").get<double>());
    io::Json::array_t of;
    for (const io::Json* one : {&mine, &*its}) {
      of.push_back(detail::taken(*one, {"secondsPerRow", "rows", "shown", "cbp", "vlp",
                                        "videoScores", "detections", "more"}));
    }
    video["runs"] = io::Json(std::move(of));
    videos.push_back(std::move(video));
  }
  for (const OptionDifference& one : differences)
    options.push_back(io::Json({one.name, one.first, one.second}));
  out["runs"] = io::Json(std::move(runs));
  out["warnings"] = io::Json(std::move(warnings));
  out["videos"] = io::Json(std::move(videos));
  out["differences"] = io::Json(std::move(options));
  return out;
}

}  // namespace report
