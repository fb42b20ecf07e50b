#pragma once
/// Where a page finds a video: beside it, or inside it.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

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

/// A video as a page finds it; an empty URL: not at all.
struct VideoFile {
  std::string url = {}, name = {};
};

/// The videos of a folder by their names without ending. Small ones lie inside the page, as long as
/// all of them together are not large.
class VideoFolder {
 public:
  /// Embeds files of at most `small` bytes. An empty `folder` has none. Error: a folder without
  /// videos.
  VideoFolder(const std::string& folder, std::string page, std::int64_t small)
      : page_(std::move(page)), small_(small) {
    if (folder.empty()) return;
    namespace fs = std::filesystem;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      for (const char* known : {".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".ogv", ".mpg"}) {
        if (entry.path().extension() == known && entry.is_regular_file())
          paths_[entry.path().stem().string()] = entry.path().string();
      }
    }
    TANDEM_CHECK(!paths_.empty(), "report", "the folder --videos ", folder, " holds no video");
  }

  VideoFile find(const std::string& id) {
    const auto found = paths_.find(id);
    if (found == paths_.end()) return {};
    const std::string& path = found->second;
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path));
    ++shown_;
    VideoFile out{.url = "", .name = std::filesystem::path(path).filename().string()};
    if (size > 0 && size <= small_ && bytes_ + size <= most_bytes) {
      bytes_ += size;
      embedded_.emplace_back(concat("video-", embedded_.size()), video_data_url(path));
      out.url = "#" + embedded_.back().first;
    } else {
      out.url = video_link(path, page_);
    }
    return out;
  }
  /// Ids and data: URLs of those that lie inside the page.
  const std::vector<std::pair<std::string, std::string>>& embedded() const { return embedded_; }
  std::size_t shown() const { return shown_; }

 private:
  static constexpr std::int64_t most_bytes = std::int64_t{24} << 20;
  std::string page_;
  std::int64_t small_, bytes_ = 0;
  std::map<std::string, std::string> paths_;
  std::vector<std::pair<std::string, std::string>> embedded_;
  std::size_t shown_ = 0;
};

}  // namespace report
