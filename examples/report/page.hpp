#pragma once
/// A page that shows where actions were found in one video: the player, and under it a timeline
/// with the frame scores, the predicted and the true segments of each class. One HTML file, nothing
/// loaded from elsewhere but the video; every text in it is escaped.
///
///     LocalizationPage page{.title = "GGSY1Qvo990", .video = "GGSY1Qvo990.mp4", .duration = 18.1};
///     page.tracks.push_back({.name = "CleanAndJerk", .scores = p, .predicted = d});
///     io::write_text("page.html", localization_page(page));

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/tensor/error.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/wtal/data/types.hpp"
#include "tandem/wtal/html_page_assets.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// What the page shows of one class.
struct PageTrack {
  std::string name;
  double video_score = std::numeric_limits<double>::quiet_NaN();  ///< ŷ; not a number: not shown
  std::vector<float> scores = {};  ///< P of each row, in [0, 1]; empty: no curve
  /// Drawn into the curve if a number
  double threshold = std::numeric_limits<double>::quiet_NaN();
  std::vector<Detection> predicted = {};
  std::vector<Segment> truth = {};
};

struct LocalizationPage {
  std::string title;
  /// The player's source, a URL (page_url makes one of a path); empty: none
  std::string video = {};
  std::string video_name = {};  ///< how the video is called in a message
  double duration = 0;          ///< seconds that the timeline spans
  double seconds_per_row = conventional_seconds_per_row;
  std::vector<PageTrack> tracks = {};
  std::vector<std::pair<std::string, std::string>> facts = {};  ///< shown under the title
  std::vector<std::string> warnings = {};                       ///< shown prominently
};

/// Text for HTML, inside an element or a quoted attribute: & < > " ' become character references,
/// control characters that HTML does not have become U+FFFD.
inline std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if ((c >= 0 && c < 32 && c != '\t' && c != '\n') || c == 127) {
          out += "\xEF\xBF\xBD";
        } else {
          out += c;
        }
    }
  }
  return out;
}

/// A path as a relative URL: everything but letters, digits, "-._~" and "/" as %XX. A first part
/// that holds a colon would be taken for a scheme, so "./" stands before a path that is not
/// absolute.
inline std::string page_url(std::string_view path) {
  std::string out = path.starts_with('/') ? "" : "./";
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    constexpr const char* digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    if (plain) {
      out += c;
    } else {
      out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return out;
}

namespace detail {

inline std::string page_number(double value, int digits) {
  char text[64];
  const int n = std::snprintf(text, sizeof text, "%.*f", digits, value);
  return n > 0 && n < 64 ? std::string(text) : std::string("0");
}

/// "1:02.5", as the script writes it.
inline std::string page_clock(double seconds, int digits = 1) {
  const double scale = digits == 0 ? 1 : 10;
  const auto parts = static_cast<long long>(std::llround(seconds * scale));
  const long long whole = parts / static_cast<long long>(scale);
  std::string out =
      std::to_string(whole / 60) + (whole % 60 < 10 ? ":0" : ":") + std::to_string(whole % 60);
  if (digits > 0) out += "." + std::to_string(parts % 10);
  return out;
}

/// Which of the parallel lanes each segment lies in, so that none covers another: the first lane
/// that is free, in the given order.
inline std::vector<std::size_t> page_lanes(const std::vector<Segment>& segments) {
  std::vector<std::vector<Segment>> lanes;
  std::vector<std::size_t> place;
  for (const Segment& segment : segments) {
    std::size_t lane = 0;
    const auto taken = [&](std::size_t i) {
      return std::any_of(lanes[i].begin(), lanes[i].end(), [&](const Segment& other) {
        return segment.start < other.end && other.start < segment.end;
      });
    };
    while (lane < lanes.size() && taken(lane)) ++lane;
    if (lane == lanes.size()) lanes.emplace_back();
    lanes[lane].push_back(segment);
    place.push_back(lane);
  }
  return place;
}

class PageWriter {
 public:
  explicit PageWriter(const LocalizationPage& page) : page_(page) {
    TANDEM_CHECK(page.duration > 0 && is_finite(page.duration) && page.seconds_per_row > 0,
                 "localization_page", "expected a duration and seconds per row above 0, got ",
                 page.duration, " and ", page.seconds_per_row);
    for (const PageTrack& track : page.tracks) {
      for (const float score : track.scores) {
        TANDEM_CHECK(score >= 0 && score <= 1, "localization_page", "the frame scores of ",
                     track.name, " must lie in [0, 1], one is ", score);
      }
      for (const Segment& segment : track.truth) check(track, segment);
      for (const Detection& one : track.predicted) {
        check(track, one.segment);
        TANDEM_CHECK(is_finite(one.score), "localization_page", "a score of ", track.name,
                     " is not finite");
        low_ = std::min(low_, one.score);
        high_ = std::max(high_, one.score);
        ++predicted_;
      }
      truth_ += track.truth.size();
    }
  }

  std::string write() {
    out_ =
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<link rel=\"icon\" href=\"data:,\">\n<title>" +
        html_text(page_.title) + " – localized actions</title>\n<style>" + page_style +
        "</style>\n</head>\n<body>\n<main>\n";
    head();
    stage();
    timeline();
    table();
    out_ +=
        "<p class=\"keys\"><kbd>Space</kbd> play or pause · <kbd>←</kbd> <kbd>→</kbd> one row · "
        "<kbd>n</kbd> <kbd>p</kbd> next and previous prediction · <kbd>Tab</kbd> through the "
        "segments, "
        "<kbd>Enter</kbd> seeks</p>\n</main>\n";
    data();
    out_ += std::string("<script>") + page_script + "</script>\n</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  static void check(const PageTrack& track, const Segment& s) {
    TANDEM_CHECK(is_finite(s.start) && is_finite(s.end) && s.start <= s.end, "localization_page",
                 "a segment of ", track.name, " runs from ", s.start, " to ", s.end);
  }
  /// A place on the timeline in per cent; what lies outside it is cut.
  std::string percent(double seconds) const {
    return page_number(100 * std::clamp(seconds / page_.duration, 0.0, 1.0), 3) + "%";
  }
  /// Colours that differ as much as possible: steps of the golden angle.
  static std::string hue(std::size_t track) {
    return std::to_string(
        static_cast<int>(std::fmod(220 + 137.508 * static_cast<double>(track), 360)));
  }

  void head() {
    out_ += "<header>\n<h1>" + html_text(page_.title) +
            "</h1>\n<button id=\"theme\" class=\"theme\" type=\"button\">Light / "
            "dark</button>\n</header>\n";
    if (!page_.facts.empty()) {
      out_ += "<dl class=\"facts\">";
      for (const auto& [name, value] : page_.facts) {
        out_ += "<div><dt>" + html_text(name) + "</dt><dd>" + html_text(value) + "</dd></div>";
      }
      out_ += "</dl>\n";
    }
    for (const std::string& warning : page_.warnings) {
      out_ += "<p class=\"note\" role=\"note\">" + html_text(warning) + "</p>\n";
    }
  }

  void stage() {
    out_ += "<section class=\"card stage\" aria-label=\"Video\">\n";
    if (!page_.video.empty()) {
      out_ += "<video controls playsinline preload=\"auto\" src=\"" + html_text(page_.video) +
              "\"></video>\n";
    }
    out_ += "<div class=\"side\">\n<div class=\"clock\"><span id=\"now\">0:00.0</span> <small>/ " +
            page_clock(page_.duration) + "</small></div>\n";
    if (!page_.video.empty()) {
      const std::string name = page_.video_name.empty() ? "the video" : page_.video_name;
      out_ += "<p class=\"note\" id=\"unplayable\" hidden>This browser cannot play " +
              html_text(name) +
              ". The timeline still works; a copy as MP4 with H.264 plays everywhere.</p>\n";
    }
    out_ +=
        "<div class=\"controls\"><button type=\"button\" id=\"previous\">‹ Previous</button>"
        "<button type=\"button\" id=\"next\">Next ›</button></div>\n";
    if (predicted_ > 0 && high_ > low_) {
      const double low = std::floor(low_ * 100) / 100, high = std::ceil(high_ * 100) / 100;
      out_ +=
          "<div class=\"minimum\"><label for=\"minimum\">Score at least <output "
          "id=\"minimum-value\" "
          "for=\"minimum\">" +
          page_number(low, 2) +
          "</output></label><input id=\"minimum\" type=\"range\" "
          "step=\"0.01\" min=\"" +
          page_number(low, 2) + "\" max=\"" + page_number(high, 2) + "\" value=\"" +
          page_number(low, 2) + "\"></div>\n";
    }
    out_ +=
        "<div class=\"legend\"><span><i class=\"swatch\"></i>predicted, stronger with its "
        "score</span>";
    if (truth_ > 0) out_ += "<span><i class=\"swatch truth\"></i>annotated</span>";
    out_ +=
        "<span><i class=\"swatch theta\"></i>threshold on the frame "
        "scores</span></div>\n</div>\n</section>\n";
  }

  void timeline() {
    out_ +=
        "<section class=\"card\" aria-labelledby=\"timeline-title\">\n<h2 "
        "id=\"timeline-title\">Timeline</h2>\n"
        "<div class=\"timeline\">\n<div class=\"row\"><div></div><div class=\"axis\" "
        "role=\"slider\" "
        "tabindex=\"0\" aria-label=\"Position\" aria-valuemin=\"0\" aria-valuemax=\"" +
        page_number(page_.duration, 1) + "\" aria-valuenow=\"0\">";
    double step = 3600;
    for (const double nice : {1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0}) {
      if (page_.duration / nice <= 10) {
        step = nice;
        break;
      }
    }
    const auto ticks = std::min(200.0, page_.duration / step);
    for (int i = 0; i <= static_cast<int>(ticks); ++i) {
      out_ +=
          concat("<span class=\"tick", i == 0 ? " first" : "",
                 "\" style=\"left:", percent(i * step), "\">", page_clock(i * step, 0), "</span>");
    }
    out_ += "</div></div>\n";
    for (std::size_t t = 0; t < page_.tracks.size(); ++t) track(page_.tracks[t], t);
    if (page_.tracks.empty()) out_ += "<p>There is no class to show.</p>\n";
    out_ += "<div class=\"over\"><div class=\"head\"></div></div>\n</div>\n</section>\n";
  }

  void track(const PageTrack& track, std::size_t index) {
    out_ += "<div class=\"row\" style=\"--hue:" + hue(index) + "\">\n<div class=\"name\">" +
            html_text(track.name) + "<small>";
    if (is_finite(track.video_score)) out_ += "video " + page_number(track.video_score, 2);
    if (!track.scores.empty()) {
      out_ += concat(is_finite(track.video_score) ? " · " : "", "now <span data-live=\"", index,
                     "\">–</span>");
    }
    out_ += "</small></div>\n<div class=\"lanes\">\n";
    if (!track.scores.empty()) curve(track);
    if (!track.truth.empty()) {
      out_ += "<div class=\"lane\">";
      for (const Segment& s : track.truth) {
        segment("segment truth", s,
                concat(track.name, ", annotated, ", page_clock(s.start), " to ", page_clock(s.end)),
                "", "", "annotated");
      }
      out_ += "</div>\n";
    }
    // Stronger predictions first, so that they lie in the upper lanes.
    std::vector<Detection> sorted = track.predicted;
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const Detection& a, const Detection& b) { return a.score > b.score; });
    std::vector<Segment> segments;
    for (const Detection& one : sorted) segments.push_back(one.segment);
    const std::vector<std::size_t> lanes = page_lanes(segments);
    const std::size_t count = lanes.empty() ? 0 : *std::max_element(lanes.begin(), lanes.end()) + 1;
    for (std::size_t lane = 0; lane < count; ++lane) {
      out_ += "<div class=\"lane\">";
      for (std::size_t i = 0; i < sorted.size(); ++i) {
        if (lanes[i] != lane) continue;
        const Detection& one = sorted[i];
        const double strength = high_ > low_ ? (one.score - low_) / (high_ - low_) : 1;
        const std::string score = page_number(one.score, 2);
        segment(strength < 0.5 ? "segment weak" : "segment", one.segment,
                concat(track.name, ", predicted, ", page_clock(one.segment.start), " to ",
                       page_clock(one.segment.end), ", score ", score),
                ";--strength:" + page_number(0.35 + 0.65 * strength, 2),
                " data-score=\"" + page_number(one.score, 6) + "\"", score);
      }
      out_ += "</div>\n";
    }
    out_ += "</div>\n</div>\n";
  }

  void segment(const char* kind, const Segment& s, const std::string& label,
               const std::string& style, const std::string& attributes, const std::string& text) {
    const double end = std::clamp(s.end, 0.0, page_.duration),
                 start = std::clamp(s.start, 0.0, end);
    out_ += concat("<button type=\"button\" class=\"", kind, "\" data-start=\"",
                   page_number(s.start, 3), "\" data-end=\"", page_number(s.end, 3), "\"",
                   attributes, " style=\"left:", percent(start), ";width:", percent(end - start),
                   style, "\" aria-label=\"", html_text(label), "\" title=\"", html_text(label),
                   "\"><span>", html_text(text), "</span></button>");
  }

  /// The score of a row as a step over the row's time.
  void curve(const PageTrack& track) {
    std::string edge;
    for (std::size_t t = 0; t < track.scores.size(); ++t) {
      const double begin = page_.seconds_per_row * static_cast<double>(t);
      const std::string y = page_number(1 - static_cast<double>(track.scores[t]), 4);
      edge += concat(t == 0 ? "M" : "L", page_number(begin, 3), " ", y, "H",
                     page_number(begin + page_.seconds_per_row, 3));
    }
    const double end = page_.seconds_per_row * static_cast<double>(track.scores.size());
    out_ +=
        concat("<svg class=\"curve\" viewBox=\"0 -0.06 ", page_number(page_.duration, 3),
               " 1.12\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Frame scores of ",
               html_text(track.name), "\"><path class=\"area\" d=\"", edge, "L",
               page_number(end, 3), " 1.06H0Z\"/><path class=\"edge\" d=\"", edge, "\"/>");
    if (is_finite(track.threshold)) {
      const std::string y = page_number(1 - track.threshold, 4);
      out_ += concat("<line class=\"theta\" x1=\"0\" x2=\"", page_number(page_.duration, 3),
                     "\" y1=\"", y, "\" y2=\"", y, "\"/>");
    }
    out_ += "</svg>\n";
  }

  void table() {
    struct Row {
      std::size_t track;
      Segment segment;
      double score;
      bool truth;
    };
    std::vector<Row> rows;
    for (std::size_t t = 0; t < page_.tracks.size(); ++t) {
      for (const Detection& one : page_.tracks[t].predicted)
        rows.push_back({t, one.segment, one.score, false});
      for (const Segment& s : page_.tracks[t].truth) rows.push_back({t, s, 0, true});
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const Row& a, const Row& b) { return a.segment.start < b.segment.start; });
    out_ +=
        "<section class=\"card\" aria-labelledby=\"table-title\">\n<h2 "
        "id=\"table-title\">Segments</h2>\n"
        "<div class=\"scroll\"><table>\n<thead><tr><th>Class</th><th class=\"number\">Start</th>"
        "<th class=\"number\">End</th><th class=\"number\">Seconds</th><th "
        "class=\"number\">Score</th><th></th>"
        "</tr></thead>\n<tbody>\n";
    for (const Row& row : rows) {
      out_ += concat(
          "<tr", row.truth ? "" : " data-score=\"" + page_number(row.score, 6) + "\"",
          " style=\"--hue:", hue(row.track), "\"><td><i class=\"dot", row.truth ? " truth" : "",
          "\"></i>", html_text(page_.tracks[row.track].name), "</td><td class=\"number\">",
          page_clock(row.segment.start), "</td><td class=\"number\">", page_clock(row.segment.end),
          "</td><td class=\"number\">", page_number(row.segment.length(), 2),
          "</td><td class=\"number\">", row.truth ? "annotated" : page_number(row.score, 3),
          "</td><td><button type=\"button\" data-start=\"", page_number(row.segment.start, 3),
          "\" aria-label=\"Go to ", page_clock(row.segment.start), "\">Go</button></td></tr>\n");
    }
    if (rows.empty()) out_ += "<tr><td colspan=\"6\">Nothing was found.</td></tr>\n";
    out_ += "</tbody>\n</table></div>\n</section>\n";
  }

  /// What the script reads: numbers only, so nothing here needs an escape.
  void data() {
    out_ += concat("<script type=\"application/json\" id=\"data\">{\"duration\":",
                   page_number(page_.duration, 3),
                   ",\"secondsPerRow\":", page_number(page_.seconds_per_row, 6), ",\"scores\":[");
    for (std::size_t t = 0; t < page_.tracks.size(); ++t) {
      out_ += t == 0 ? "[" : ",[";
      const std::vector<float>& scores = page_.tracks[t].scores;
      for (std::size_t i = 0; i < scores.size(); ++i) {
        out_ += (i == 0 ? "" : ",") + page_number(static_cast<double>(scores[i]), 3);
      }
      out_ += "]";
    }
    out_ += "]}</script>\n";
  }

  const LocalizationPage& page_;
  std::string out_;
  double low_ = std::numeric_limits<double>::infinity(),
         high_ = -std::numeric_limits<double>::infinity();
  std::size_t predicted_ = 0, truth_ = 0;
};

}  // namespace detail

/// The page as a text. Errors: a duration that is not positive, scores outside [0, 1], segments
/// that are not finite or end before they start.
inline std::string localization_page(const LocalizationPage& page) {
  return detail::PageWriter(page).write();
}

}  // namespace wtal
TANDEM_NAMESPACE_END
