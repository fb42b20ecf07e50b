#pragma once
/// The page that lists the videos of a folder, with a link to the page of each (page.hpp), and what
/// was found where. What it looks like is video_index.html, of which the build makes the constant
/// report::video_index_html.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "page.hpp"

namespace report {

/// A video of the index.
struct VideoEntry {
  struct Found {
    std::string name;  ///< of the class
    double start = 0, end = 0, score = 0;
  };
  std::string id;
  std::string page;    ///< a URL; page_url makes one of a path
  double seconds = 0;  ///< that its timeline spans
  std::vector<Found> found = {};
  std::vector<std::string> warnings = {};
};

struct VideoIndex {
  std::string title;
  std::vector<VideoEntry> videos = {};
  std::vector<std::pair<std::string, std::string>> failed = {};  ///< videos, and why
  std::vector<std::pair<std::string, std::string>> facts = {};
  std::vector<std::string> warnings = {};
};

/// What video_index.html reads: one JSON object, with the keys of the example in it.
/// Errors: a length or a detection that is not finite.
inline std::string video_index_data(const VideoIndex& index) {
  const auto pair = [](const std::pair<std::string, std::string>& one) {
    return concat("[", json_text(one.first), ",", json_text(one.second), "]");
  };
  const auto entry = [](const VideoEntry& video) {
    TANDEM_CHECK(is_finite(video.seconds) && video.seconds >= 0, "video_index", video.id, " lasts ",
                 video.seconds, " s");
    const auto found = [&](const VideoEntry::Found& one) {
      TANDEM_CHECK(is_finite(one.start) && is_finite(one.end) && is_finite(one.score),
                   "video_index", "a detection in ", video.id, " is not finite");
      return concat(R"({"name":)", json_text(one.name), R"(,"start":)",
                    detail::json_number(one.start), R"(,"end":)", detail::json_number(one.end),
                    R"(,"score":)", detail::json_number(one.score), "}");
    };
    return concat(R"({"id":)", json_text(video.id), R"(,"page":)", json_text(video.page),
                  R"(,"seconds":)", detail::json_number(video.seconds), R"(,"found":)",
                  detail::json_list(video.found, found), R"(,"warnings":)",
                  detail::json_list(video.warnings, json_text), "}");
  };
  return concat(R"({"title":)", json_text(index.title), R"(,"facts":)",
                detail::json_list(index.facts, pair), R"(,"warnings":)",
                detail::json_list(index.warnings, json_text), R"(,"failed":)",
                detail::json_list(index.failed, pair), R"(,"videos":)",
                detail::json_list(index.videos, entry), "}");
}

/// The page as a text: `html` is that of video_index.html.
inline std::string video_index_page(const VideoIndex& index, std::string_view html) {
  return fill_page(html, video_index_data(index), "video_index");
}

}  // namespace report
