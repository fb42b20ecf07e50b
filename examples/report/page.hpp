#pragma once
/// A page that shows where actions were found in one video: the player, and under it a timeline
/// with the frame scores, the predicted and the true segments of each class. One HTML file, nothing
/// loaded from elsewhere but the video.
///
///     report::Page page{.title = "GGSY1Qvo990", .video = "GGSY1Qvo990.mp4", .duration = 18.1};
///     page.tracks.push_back({.name = "CleanAndJerk", .scores = p, .predicted = d});
///     io::write_text("page.html", report::localization_page(page, report::page_html));
///
/// What it looks like and does is page.html, which stands beside this file and can be opened and
/// edited as it is. The build makes the constant report::page_html of it (page_html.hpp), so that
/// programs carry it. Here its data is checked and put into it, as JSON.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/io/utf8.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/wtal/data/types.hpp"

namespace report {

using namespace tandem;

/// What the page shows of one class.
struct Track {
  std::string name;
  double video_score = std::numeric_limits<double>::quiet_NaN();  ///< ŷ; not a number: not shown
  std::vector<float> scores = {};  ///< P of each row, in [0, 1]; empty: no curve
  /// Drawn into the curve if a number
  double threshold = std::numeric_limits<double>::quiet_NaN();
  std::vector<wtal::Detection> predicted = {};
  std::vector<wtal::Segment> truth = {};
};

struct Page {
  std::string title;
  /// The player's source, a URL (page_url makes one of a path); empty: none
  std::string video = {};
  std::string video_name = {};  ///< how the video is called in a message
  double duration = 0;          ///< seconds that the timeline spans
  double seconds_per_row = wtal::conventional_seconds_per_row;
  std::vector<Track> tracks = {};
  std::vector<std::pair<std::string, std::string>> facts = {};  ///< shown under the title
  std::vector<std::string> warnings = {};                       ///< shown prominently
};

/// The length of the character at the front of `text` if it is one that turns the direction in
/// which what stands beside it is read (U+061C, U+200E, U+200F, U+202A–E, U+2066–9), else 0.
inline std::size_t bidi_control(std::string_view text, std::uint32_t& code) {
  if (text.empty() || static_cast<unsigned char>(text[0]) < 0xD8) return 0;
  const std::size_t length = io::decode_utf8(text, code);
  const bool turns = code == 0x061C || code == 0x200E || code == 0x200F ||
                     (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
  return length > 0 && turns ? length : 0;
}
/// "u202e", in small letters as printable() writes it.
inline std::string code_name(std::uint32_t code) {
  char name[8];
  std::snprintf(name, sizeof name, "u%04x", static_cast<unsigned>(code & 0xFFFF));
  return name;
}

/// A text as a JSON string that may stand inside a script element: what could end the element or
/// the string, or begin a comment (< > & " ' \, U+2028, U+2029), is written as \uXXXX. Control
/// characters that HTML does not have become U+FFFD, as a browser makes them; those that would turn
/// the text beside them are written out, visibly: \u202e.
inline std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const std::string_view rest = text.substr(i, 3);
    std::uint32_t code = 0;
    if (const std::size_t length = bidi_control(text.substr(i), code); length > 0) {
      out += "\\u005C" + code_name(code);
      i += length - 1;
    } else if (c == '\n' || c == '\t') {
      out += c == '\n' ? "\\n" : "\\t";
    } else if ((c >= 0 && c < 32) || c == 127) {
      out += "\xEF\xBF\xBD";
    } else if (std::string_view("<>&\"'\\").find(c) != std::string_view::npos) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04X", static_cast<unsigned>(c));
      out += escaped;
    } else if (rest == "\xE2\x80\xA8" || rest == "\xE2\x80\xA9") {
      out += rest == "\xE2\x80\xA8" ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += c;
    }
  }
  return out + '"';
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

/// The shortest text that is read back as the same number; null for what is none.
inline std::string json_number(double value) {
  if (!is_finite(value)) return "null";
  char text[32];
  const std::to_chars_result end = std::to_chars(text, text + sizeof text, value);
  return {text, end.ptr};
}

template <class Values, class Write>
std::string json_list(const Values& values, const Write& write) {
  std::string out = "[";
  for (const auto& value : values) {
    if (out.size() > 1) out += ",";
    out += write(value);
  }
  return out + "]";
}

inline void check_segment(const Track& track, const wtal::Segment& s) {
  TANDEM_CHECK(is_finite(s.start) && is_finite(s.end) && s.start <= s.end, "localization_page",
               "a segment of ", track.name, " runs from ", s.start, " to ", s.end);
}

inline void check_page(const Page& page) {
  TANDEM_CHECK(page.duration > 0 && is_finite(page.duration) && page.seconds_per_row > 0 &&
                   is_finite(page.seconds_per_row),
               "localization_page", "expected a duration and seconds per row above 0, got ",
               page.duration, " and ", page.seconds_per_row);
  for (const Track& track : page.tracks) {
    for (const float score : track.scores) {
      TANDEM_CHECK(score >= 0 && score <= 1, "localization_page", "the frame scores of ",
                   track.name, " must lie in [0, 1], one is ", score);
    }
    for (const wtal::Segment& segment : track.truth) check_segment(track, segment);
    for (const wtal::Detection& one : track.predicted) {
      check_segment(track, one.segment);
      TANDEM_CHECK(is_finite(one.score), "localization_page", "a score of ", track.name,
                   " is not finite");
    }
  }
}

inline std::string track_data(const Track& track) {
  const auto score = [](float value) {  // four digits are more than a curve shows
    char text[16];
    std::snprintf(text, sizeof text, "%.4f", static_cast<double>(value));
    return std::string(text);
  };
  const auto truth = [](const wtal::Segment& s) {
    return concat(R"({"start":)", json_number(s.start), R"(,"end":)", json_number(s.end), "}");
  };
  const auto predicted = [](const wtal::Detection& one) {
    return concat(R"({"start":)", json_number(one.segment.start), R"(,"end":)",
                  json_number(one.segment.end), R"(,"score":)", json_number(one.score), "}");
  };
  return concat(R"({"name":)", json_text(track.name), R"(,"videoScore":)",
                json_number(track.video_score), R"(,"threshold":)", json_number(track.threshold),
                R"(,"scores":)", json_list(track.scores, score), R"(,"predicted":)",
                json_list(track.predicted, predicted), R"(,"truth":)",
                json_list(track.truth, truth), "}");
}

}  // namespace detail

/// What page.html reads: one JSON object, with the keys of the example in it.
/// Errors: a duration that is not positive, scores outside [0, 1], segments that are not finite or
/// end before they start.
inline std::string page_data(const Page& page) {
  detail::check_page(page);
  const auto fact = [](const std::pair<std::string, std::string>& one) {
    return concat("[", json_text(one.first), ",", json_text(one.second), "]");
  };
  return concat(R"({"title":)", json_text(page.title), R"(,"video":)", json_text(page.video),
                R"(,"videoName":)", json_text(page.video_name), R"(,"duration":)",
                detail::json_number(page.duration), R"(,"secondsPerRow":)",
                detail::json_number(page.seconds_per_row), R"(,"facts":)",
                detail::json_list(page.facts, fact), R"(,"warnings":)",
                detail::json_list(page.warnings, json_text), R"(,"tracks":)",
                detail::json_list(page.tracks, detail::track_data), "}");
}

/// `html` with `data`, JSON that may stand there, in place of its example. Error: it has no place
/// for the data.
inline std::string fill_page(std::string_view html, std::string_view data,
                             const char* where = "page") {
  constexpr std::string_view begin = R"(<script type="application/json" id="data">)";
  const std::size_t at = html.find(begin), from = at + begin.size();
  const std::size_t to = at == html.npos ? html.npos : html.find("</script>", from);
  TANDEM_CHECK(to != html.npos, where, "the page has no element ", begin);
  return concat(html.substr(0, from), data, html.substr(to));
}

/// The page as a text: `html` is that of page.html, whose example the page's own data replaces.
/// Errors: those of page_data; a text that has no place for the data.
inline std::string localization_page(const Page& page, std::string_view html) {
  return fill_page(html, page_data(page), "localization_page");
}

}  // namespace report
