#pragma once
/// The pixels of a composition.

#include <string>

#include "composition.hpp"
#include "tandem/image/resize_and_crop.hpp"
#include "tandem/image/video.hpp"
#include "tandem/image/video_writer.hpp"

namespace miniature {

/// How many frames a clip has at a rate. Errors: those of io::VideoReader.
inline std::int64_t count_frames(const TrimmedClip& clip, double fps) {
  return io::VideoReader(clip.path, {.fps = fps, .threads = 1}).count_frames();
}

/// Writes the parts one after the other: the short side of every frame scaled to `size`, of the
/// long one the middle. Errors: those of the reader and the writer; a clip that has become shorter.
inline void write_composition(const std::string& path, const Composition& video, double fps,
                              std::int64_t size) {
  io::VideoWriter writer(path, size, size, {.fps = fps, .preset = "superfast"});
  for (const Part& part : video.parts) {
    io::VideoReader reader(part.clip.path, {.fps = fps, .threads = 1});
    io::VideoFrame frame;
    for (std::int64_t f = 0; f < part.first + part.count; ++f) {
      TANDEM_CHECK(reader.next(frame), "write_composition", part.clip.path, " ends at frame ", f,
                   ", it had more before");
      if (f >= part.first)
        writer.add(io::resize_and_crop(frame.rgb, size, size, io::ResizeFilter::bilinear));
    }
  }
  writer.close();
}

}  // namespace miniature
