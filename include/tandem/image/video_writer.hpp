#pragma once
/// Videos from frames of (H, W, 3) bytes.
///
///   io::VideoWriter writer("out.mp4", 64, 48, {.fps = 12.5});
///   for (const Tensor<std::uint8_t>& frame : frames) writer.add(frame);
///   writer.close();                                   // the file is there now, and complete
///
/// This header only declares; link tandem::video, whose src/video_writer.cpp has the definitions
/// over FFmpeg's libraries.

#include <cstdint>
#include <memory>
#include <string>

#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// Rate, encoder and quality of a file that is written.
struct VideoWriterOptions {
  double fps = 25;  ///< frames per second
  /// FFmpeg's name of the encoder; empty: the first of libx264, libopenh264, libvpx-vp9 and mpeg4
  /// that is there and that the container takes.
  std::string encoder = {};
  /// 0 (best) to 51 (smallest), as x264's constant rate factor; other encoders get what is nearest
  /// to it on their own scale.
  int quality = 18;
  /// libx264's preset, from "ultrafast" to "placebo": time for size; other encoders do without.
  std::string preset = "medium";
  /// Frames between key frames, at most: a seek decodes so many.
  int key_frame_every = 50;
};

/// One video stream into a file, whose name chooses the container: .mp4, .m4v, .mov, .mkv, .webm,
/// .avi or .nut. Frames are converted to 4:2:0 (BT.601, limited range) by swscale; the same frames
/// give the same bytes, since one thread encodes. The file has another name until close(); a writer
/// that goes before that leaves what was there before. Not for several threads at once.
/// Errors: a container or an encoder that does not exist or does not fit; odd, empty or too large
/// pictures; a frame of another shape; a full disk.
class VideoWriter {
 public:
  VideoWriter(const std::string& path, std::int64_t width, std::int64_t height,
              const VideoWriterOptions& options = {});
  ~VideoWriter();
  VideoWriter(VideoWriter&&) noexcept;
  VideoWriter& operator=(VideoWriter&&) noexcept;

  /// The next frame, (height, width, 3), at frames()/fps seconds.
  void add(const Tensor<std::uint8_t>& rgb);
  /// Ends the stream and puts the file in place. A video without frames is an error.
  void close();
  /// Frames so far.
  std::int64_t frames() const;
  /// The encoder that was taken.
  const std::string& encoder() const;

 private:
  class Impl;
  Impl& impl() const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace io
TANDEM_NAMESPACE_END
