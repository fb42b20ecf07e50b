#pragma once
/// Where a page finds a video: beside it, or inside it.

#include <filesystem>
#include <span>
#include <string>

#include "page.hpp"
#include "run_page.hpp"
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
  return concat("data:", type, ";base64,",
                base64(std::span<const unsigned char>(file->data(), file->size())));
}

/// The way from the folder of `page` to `video`, as a URL.
inline std::string video_link(const std::string& video, const std::string& page) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::absolute(page).parent_path();
  return page_url(fs::absolute(video).lexically_proximate(folder).generic_string());
}

}  // namespace report
