#pragma once
/// Where a page finds a video: beside it, or inside it.

#include <cstddef>
#include <filesystem>
#include <string>

#include "page.hpp"
#include "tandem/io/file.hpp"

namespace report {

/// "data:video/mp4;base64,…": the video inside the page.
inline std::string video_data_url(const std::string& path) {
  const auto file = io::MappedFile::open(path);
  const std::string extension = std::filesystem::path(path).extension().string();
  const std::string type = extension == ".webm"  ? "video/webm"
                           : extension == ".ogv" ? "video/ogg"
                           : extension == ".mkv" ? "video/x-matroska"
                                                 : "video/mp4";
  std::string out = "data:" + type + ";base64,";
  constexpr const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char* p = file->data();
  for (std::size_t i = 0; i < file->size(); i += 3) {
    const std::size_t left = file->size() - i;
    const unsigned b = unsigned{p[i]} << 16 | (left > 1 ? unsigned{p[i + 1]} << 8 : 0U) |
                       (left > 2 ? unsigned{p[i + 2]} : 0U);
    out += {digits[b >> 18], digits[b >> 12 & 63], left > 1 ? digits[b >> 6 & 63] : '=',
            left > 2 ? digits[b & 63] : '='};
  }
  return out;
}

/// The way from the folder of `page` to `video`, as a URL.
inline std::string video_link(const std::string& video, const std::string& page) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::absolute(page).parent_path();
  return page_url(fs::absolute(video).lexically_proximate(folder).generic_string());
}

}  // namespace report
