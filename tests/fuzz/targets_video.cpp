/// Videos, by each way of reading them: one after the other, by index, by time, at a constant rate.

#include "targets.hpp"

#if defined(TANDEM_VIDEO)

#include "../video/write_video.hpp"
#include "tandem/image/video.hpp"
#include "tandem/io/file.hpp"

namespace fuzz {
namespace {

/// Tiny clips: what is damaged is the container and the first frames, not a megabyte of pictures.
std::vector<std::string> clips(const std::string& scratch) {
  struct Kind {
    const char *name, *encoder;
    AVPixelFormat format;
    int b_frames;
  };
  std::vector<std::string> out;
  for (const Kind& kind :
       {Kind{"a.mp4", "mpeg4", AV_PIX_FMT_YUV420P, 2},
        Kind{"a.avi", "mpeg4", AV_PIX_FMT_YUV420P, 0}, Kind{"a.mkv", "ffv1", AV_PIX_FMT_YUV420P, 0},
        Kind{"a.ts", "mpeg2video", AV_PIX_FMT_YUV420P, 1},
        Kind{"a.mov", "mjpeg", AV_PIX_FMT_YUVJ420P, 0},
        Kind{"b.mp4", "libx264", AV_PIX_FMT_YUV420P, 2},
        Kind{"a.webm", "libvpx", AV_PIX_FMT_YUV420P, 0}}) {
    if (!tandem_test::has_encoder(kind.encoder)) continue;
    tandem_test::ClipSpec spec;
    spec.encoder = kind.encoder, spec.format = kind.format, spec.b_frames = kind.b_frames;
    spec.width = spec.height = 32, spec.frames = 8, spec.gop = 4;
    const std::string path = scratch + "/" + kind.name;
    tandem_test::write_clip(path, spec);
    out.push_back(io::read_text(path));
  }
  return out;
}

io::VideoOptions options(double fps = 0) {
  return {.fps = fps, .threads = 1, .max_pixels = 1 << 12};
}

}  // namespace

void add_video_targets(Targets& targets, const Places& places) {
  const std::vector<std::string> seeds = clips(places.scratch);
  const std::string path = places.scratch + "/input.video";
  // Damage may promise any length: no more than this many frames are taken.
  constexpr int most = 40;
  const auto add = [&](const char* name, auto&& read) {
    targets.push_back({name, seeds,
                       [path, read](const std::string& s) {
                         put(path, s);
                         read(path);
                       },
                       4096, true});
  };
  add("video_next", [](const std::string& file) {
    io::VideoReader reader(file, options());
    io::VideoFrame frame;
    for (int i = 0; i < most && reader.next(frame); ++i)
      promise(frame.index == i, "frames are numbered from 0");
    reader.rewind();
    reader.next(frame);
  });
  add("video_index", [](const std::string& file) {
    io::VideoReader reader(file, options());
    for (const int i : {5, 0, 3, 7, 6, 1}) {
      attempt(
          [&] { promise(reader.at_index(i).index == i, "the frame of an index has that index"); });
    }
    attempt([&] { reader.count_frames(); });
  });
  add("video_time", [](const std::string& file) {
    io::VideoReader reader(file, options());
    for (const double t : {0.2, 0.0, -1.0, 0.11, 1e9}) attempt([&] { reader.at_time(t); });
    io::VideoFrame frame;
    reader.next(frame);
  });
  add("video_rate", [](const std::string& file) {
    io::VideoReader reader(file, options(10));
    io::VideoFrame frame;
    for (int i = 0; i < most && reader.next(frame); ++i)
      promise(frame.index == i, "frames are numbered from 0");
    attempt([&] { reader.at_index(2); });
    attempt([&] { reader.at_time(0.15); });
  });
}

}  // namespace fuzz

#else

namespace fuzz {
void add_video_targets(Targets&, const Places&) {}  // no FFmpeg, no reader
}  // namespace fuzz

#endif
