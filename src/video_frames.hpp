#pragma once
// Decoded frames with their numbers and time stamps, in order or by number. Not installed.

#include "video_decoder.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io::video {

/// A decoded frame. Time stamps are in the stream's time base, and count from the reader's time
/// zero.
struct Picture {
  FramePtr frame = new_frame();
  std::int64_t index = -1, pts = 0, end = 0;
  bool valid = false;
  void reset() {
    valid = false;
    av_frame_unref(frame.get());
  }
};

/// What decoding from the beginning has shown so far: the truth that random access is held against.
/// What the packets of a file announce is no such truth: some code no frame, some two, some are
/// damaged.
struct FrameList {
  std::vector<std::int64_t> pts;      ///< ascending
  std::vector<std::int64_t> raw;      ///< the decoder's own time stamps, or AV_NOPTS_VALUE
  std::vector<std::uint64_t> hashes;  ///< of the decoded pictures
  struct Key {
    std::int64_t index, seek;  ///< its number, the time stamp to seek to
  };
  std::vector<Key> keys;  ///< ascending
  std::int64_t end = 0;   ///< of the last frame
  bool raw_rises = true;  ///< the decoder's time stamps name the frames
  bool complete = false;  ///< to the end of the video
  std::int64_t size() const { return static_cast<std::int64_t>(pts.size()); }
};

/// The frames of a stream, numbered. Time stamps rise strictly: those that are missing, repeated or
/// jump back are replaced (and the report says so), and so are leaps that no video makes.
///
/// Two decoders: one goes through the file from the beginning, and so defines which frame is the
/// i-th, its bytes and its time. The other seeks; every picture that it decodes must have the hash
/// of the frame that it stands for, and where one has not, the first decoder goes the whole way
/// instead.
class Source {
 public:
  Source(const std::string& path, const VideoOptions& options, VideoReport& report);

  const Demuxer& demuxer() const { return front_->demuxer(); }
  LogSink& log() { return log_; }
  AVRational time_base() const { return base_; }
  int threads() const { return front_->codec().thread_count; }

  /// The next frame; false at the end.
  bool pull(Picture& picture);
  /// Frame `index`, after which pull() goes on; false when the video ends before it: pull() is at
  /// the end then.
  bool fetch(std::int64_t index, Picture& picture);
  /// From now on the frames are remembered. True if pull() begins with the first one again because
  /// of that.
  bool remember();
  const FrameList& list() const { return list_; }
  /// The number of frames; only after pull() or fetch() has returned false.
  std::int64_t count() const { return count_; }
  /// pull() begins with the first frame again.
  void restart();
  /// Adds a sentence to the report, once.
  void warn(const std::string& sentence);

 private:
  bool pull_front(Picture& picture);
  bool replay(std::int64_t index, Picture& picture);
  bool seek_side(std::size_t key, std::int64_t index, Picture& picture);
  bool read_side(Picture& picture);
  std::int64_t place(const AVFrame& frame, std::uint64_t hash, std::int64_t most) const;
  void hand_out(std::int64_t index, Picture& picture) const;
  void record(const Picture& picture);
  void stamp(Picture& picture);
  void finish();
  void collect();
  std::int64_t longest_gap() const;
  double declared_end() const;

  std::string path_;
  VideoOptions options_;
  VideoReport& report_;
  LogSink log_;
  AVRational base_{1, 1};
  std::int64_t step_ = 1;  // a frame's usual duration

  std::unique_ptr<Decoder> front_;  // from the beginning
  std::int64_t front_at_ = 0;       // the frame that it reads next
  std::int64_t last_ = AV_NOPTS_VALUE, end_ = 0, shift_ = 0;
  bool untimed_ = false;  // the container knows no time stamps of presentation
  std::int64_t count_ = 0;

  FrameList list_;
  bool remembering_ = false;  // then front_at_ <= list_.size()

  LogSink side_log_;  // the other decoder meets again what the first has reported
  VideoReport side_report_;
  std::unique_ptr<Decoder> side_;  // where a seek led
  std::int64_t side_at_ = -1;
  bool on_side_ = false;  // pull() goes on there
  int failed_seeks_ = 0;  // one after the other
};

}  // namespace io::video
TANDEM_NAMESPACE_END
