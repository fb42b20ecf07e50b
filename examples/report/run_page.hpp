#pragma once
/// The page of a whole run as a text: run.html with the run's data in place of its example.
///
///     io::write_text("report.html", report::run_page(data, {{"video-0", "data:video/mp4;…"}},
///                                                    report::run_html));
///
/// `data` is one JSON object with the keys of the example in run.html, which says by it what they
/// are. run.js, plots.js and run_results.js make the page of it in the browser.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "page.hpp"
#include "tandem/io/json.hpp"

namespace report {

/// Base64 (RFC 4648) of bytes.
inline std::string base64(std::span<const unsigned char> bytes) {
  constexpr const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const unsigned b = unsigned{bytes[i]} << 16 | (left > 1 ? unsigned{bytes[i + 1]} << 8 : 0U) |
                       (left > 2 ? unsigned{bytes[i + 2]} : 0U);
    out += {digits[b >> 18], digits[b >> 12 & 63], left > 1 ? digits[b >> 6 & 63] : '=',
            left > 2 ? digits[b & 63] : '='};
  }
  return out;
}

/// Of numbers, as the bytes of little-endian float32: nothing is lost on the way to the page.
inline std::string base64(const std::vector<float>& values) {
  std::vector<unsigned char> bytes;
  bytes.reserve(4 * values.size());
  for (const float value : values) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    for (const unsigned shift : {0U, 8U, 16U, 24U})
      bytes.push_back(static_cast<unsigned char>(bits >> shift & 255));
  }
  return base64(std::span<const unsigned char>(bytes));
}

/// JSON as it may stand inside a script element. Outside of strings none of these characters occurs
/// in JSON, so that they can be written as escapes wherever they are: < > & U+2028 U+2029. What
/// would turn the direction of the text beside it becomes visible, as in json_text().
inline std::string script_safe(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    const std::string_view rest = json.substr(i, 3);
    std::uint32_t code = 0;
    if (c == '<' || c == '>' || c == '&') {
      out += c == '<' ? "\\u003C" : c == '>' ? "\\u003E" : "\\u0026";
    } else if (const std::size_t length = bidi_control(json.substr(i), code); length > 0) {
      out += "\\\\" + code_name(code);
      i += length - 1;
    } else if (rest == "\xE2\x80\xA8" || rest == "\xE2\x80\xA9") {
      out += rest == "\xE2\x80\xA8" ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += c;
    }
  }
  return out;
}

/// `embedded`: ids and data: URLs of videos that the page carries, each in an element of its own,
/// so that the data are read without them; a video of the data names one as "#id".
inline std::string run_page(const io::Json& data,
                            const std::vector<std::pair<std::string, std::string>>& embedded,
                            std::string_view html) {
  std::string page = fill_page(html, script_safe(io::json_text(data)), "run_page");
  std::string videos;
  for (const auto& [id, url] : embedded)
    videos += concat("<script type=\"text/plain\" id=\"", id, "\">", url, "</script>\n");
  // In front of the data, as the scripts behind them read both.
  return page.insert(page.find(R"(<script type="application/json" id="data">)"), videos);
}

}  // namespace report
