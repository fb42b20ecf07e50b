#pragma once
// Decoded frames with their numbers and time stamps, in order or by number. Not installed.

#include "video_decoder.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io::video {

/// A decoded frame. Time stamps are in the stream's time base, and count from the reader's time zero.
struct Picture {
  FramePtr frame = new_frame();
  std::int64_t index = -1, pts = 0, end = 0;
  bool valid = false;
  void reset() {
    valid = false;
    av_frame_unref(frame.get());
  }
};

/// What the packets of a file say about its frames, without decoding them.
struct FrameList {
  std::vector<std::int64_t> pts;         ///< ascending
  struct Key {
    std::int64_t pts, seek;              ///< time stamps: of the frame, to seek to
  };
  std::vector<Key> keys;                 ///< ascending
  std::int64_t end = 0;                  ///< of the last frame
  bool trusted = false;                  ///< every frame has a time stamp of its own, and decoding agreed so far
  std::int64_t size() const { return static_cast<std::int64_t>(pts.size()); }
  std::int64_t at(std::int64_t i) const { return pts[static_cast<std::size_t>(i)]; }
  std::int64_t find(std::int64_t stamp) const;  ///< its position, or -1
};

/// The frames of a stream, numbered. Time stamps rise strictly: those that are missing, repeated or jump back
/// are replaced (and the report says so), and so are leaps that no video makes.
class Source {
 public:
  Source(const std::string& path, const VideoOptions& options, VideoReport& report);

  const Demuxer& demuxer() const { return decoder_->demuxer(); }
  LogSink& log() { return log_; }
  AVRational time_base() const { return base_; }
  int threads() const { return decoder_->codec().thread_count; }

  /// The next frame; false at the end.
  bool pull(Picture& picture);
  /// Frame `index` of the list, by way of a key frame; false when the list turns out to be wrong: call restart().
  bool pull_at(std::int64_t index, Picture& picture);
  void restart();
  /// True if frames before the position were passed over.
  bool sought() const { return sought_; }
  const FrameList& list();
  /// Adds a sentence to the report, once.
  void warn(const std::string& sentence);

 private:
  void stamp(Picture& picture);
  void finish();
  void collect();
  void make_list();
  bool seek_to(const FrameList::Key& key);
  std::int64_t longest_gap() const;

  std::string path_;
  VideoOptions options_;
  VideoReport& report_;
  LogSink log_;
  std::unique_ptr<Decoder> decoder_;
  AVRational base_{1, 1};
  std::int64_t step_ = 1;              // a frame's usual duration
  FrameList list_;
  bool listed_ = false;
  std::int64_t position_ = 0;          // of the next frame; −1 right after a seek
  std::int64_t last_ = AV_NOPTS_VALUE, shift_ = 0;
  bool sought_ = false;                // the frames before position_ were not all decoded
  bool untimed_ = false;               // the container knows no time stamps of presentation
};

}  // namespace io::video
TANDEM_NAMESPACE_END
