#pragma once
/// The folder that render_world and compose_videos write: videos/<id>.mp4, gt.json and world.json,
/// which is written last and says of which options the folder is. A program that is killed goes on;
/// files of other options, or of somebody else, are refused and stay.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "../common_cli.hpp"
#include "../output_folder.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/image/video.hpp"
#include "tandem/io/json.hpp"
#include "tandem/wtal/data/ground_truth_json.hpp"

namespace miniature {

using namespace tandem;

/// What a program puts into its folder.
struct VideoFolder {
  const char* program;
  std::string out;
  std::string making, made;  ///< "rendering", "rendered"
  io::Json about;            ///< world.json: options, and what each frame of each video shows
  wtal::GroundTruth truth;
  std::vector<std::int64_t> frames;  ///< of truth.videos
  std::function<void(const std::string& path, std::size_t v)> write_video;
  std::vector<std::string> others;                       ///< names of what write_others writes
  std::function<void(const std::string&)> write_others;  ///< into the folder; may be empty
};

namespace detail {

inline bool holds_files(const std::string& folder) {
  std::error_code error;
  return std::filesystem::is_directory(folder, error) && !std::filesystem::is_empty(folder, error);
}
/// Whether a video of so many frames is there, as far as its container says.
inline bool is_complete(const std::string& path, std::int64_t frames) {
  if (!io::is_file(path)) return false;
  try {
    return io::VideoReader(path, {.threads = 1}).info().frames == frames;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace detail

/// Fills the folder; videos that are there already stay.   → how many these are
inline std::size_t write_video_folder(const VideoFolder& folder) {
  const char* const program = folder.program;
  const std::string& out = folder.out;
  TANDEM_CHECK(!out.empty(), program, "--out is empty: name a folder");
  const std::string videos = io::join_path(out, "videos"), done = io::join_path(out, "world.json"),
                    begun = io::join_path(out, folder.making + ".json");  // for `done` until then
  const cli::OutputFolder output(out, program);
  const std::string text = io::json_text(folder.about) + "\n";
  const bool known = io::is_file(done) || io::is_file(begun);
  for (const std::string& path : {done, begun}) {
    TANDEM_CHECK(!io::is_file(path) || io::read_text(path) == text, program, out,
                 " holds a world of other options already; name another folder with --out");
  }
  std::vector<std::string> names = folder.others;
  names.insert(names.end(), {"gt.json", "videos"});
  for (const std::string& name : names) {
    const std::string path = io::join_path(out, name);
    TANDEM_CHECK(known || !(io::is_file(path) || detail::holds_files(path)), program, path,
                 " is there and was not ", folder.made, " here; name another folder with --out");
  }
  if (!known) io::write_text(begun, text);
  io::make_directories(videos);
  const auto count = static_cast<std::int64_t>(folder.frames.size());
  cli::Progress progress(folder.making, folder.frames.size());
  std::atomic<std::size_t> kept = 0;
  const std::int64_t at_once = std::max(cpu::num_threads(), 1);
  for (std::int64_t first = 0; first < count; first += at_once) {
    const std::int64_t last = std::min(first + at_once, count);
    cpu::parallel_for(last - first, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t v = first + begin; v < first + end; ++v) {
        const auto i = static_cast<std::size_t>(v);
        const std::string path = io::join_path(videos, folder.truth.videos[i].id + ".mp4");
        if (detail::is_complete(path, folder.frames[i]))
          ++kept;
        else
          folder.write_video(path, i);
      }
    });
    progress.update(static_cast<std::size_t>(last));
  }
  progress.finish();
  if (folder.write_others) folder.write_others(out);
  io::save_json(io::join_path(out, "gt.json"), wtal::ground_truth_json(folder.truth));
  output.lock().check();
  io::write_text(done, text);  // last: a folder that has it is complete
  std::filesystem::remove(begun);
  return kept;
}

}  // namespace miniature
