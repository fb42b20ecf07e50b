// Decoded frames with their numbers and time stamps, in order or by number.

#include "video_frames.hpp"

extern "C" {
#include <libavutil/imgutils.h>
#include <libavutil/mathematics.h>
#include <libavutil/pixdesc.h>
}

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tandem/io/checksum.hpp"
#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io::video {
namespace {

constexpr std::size_t most_warnings = 32;
constexpr std::int64_t largest_stamp = std::int64_t{1} << 60;  // sums of two stay numbers
// One after the other; then this file is read from the beginning each time
constexpr int most_failed_seeks = 3;
constexpr int most_skipped = 600;  // frames after a seek that are none of those expected

std::int64_t duration_of(const AVFrame& frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 2, 100)
  return frame.duration;
#else
  return frame.pkt_duration;
#endif
}

bool usable(std::int64_t stamp) {
  return stamp != AV_NOPTS_VALUE && stamp < largest_stamp && stamp > -largest_stamp;
}

std::int64_t raw_stamp(const AVFrame& frame) {
  const std::int64_t stamp = usable(frame.pts) ? frame.pts : frame.best_effort_timestamp;
  return usable(stamp) ? stamp : AV_NOPTS_VALUE;
}

bool is_key(const AVFrame& frame) {
#ifdef AV_FRAME_FLAG_KEY
  return (frame.flags & AV_FRAME_FLAG_KEY) != 0;
#else
  return frame.key_frame != 0;
#endif
}

/// Of everything that decides the bytes of the RGB picture.
std::uint64_t hash_of(const AVFrame& frame) {
  const int form[] = {frame.width, frame.height, frame.format, static_cast<int>(frame.colorspace),
                      static_cast<int>(frame.color_range)};
  std::uint64_t hash = checksum(form, sizeof form);
  const auto format = static_cast<AVPixelFormat>(frame.format);
  const AVPixFmtDescriptor* about = av_pix_fmt_desc_get(format);
  if (about == nullptr) return hash;
  const int planes = av_pix_fmt_count_planes(format);
  for (int plane = 0; plane < planes && frame.data[plane] != nullptr; ++plane) {
    const int row = av_image_get_linesize(format, frame.width, plane);
    const bool chroma = (plane == 1 || plane == 2) && about->nb_components > 2;
    const int rows = chroma ? AV_CEIL_RSHIFT(frame.height, about->log2_chroma_h) : frame.height;
    for (int y = 0; y < rows && row > 0; ++y) {
      hash = checksum(frame.data[plane] + std::ptrdiff_t{y} * frame.linesize[plane],
                      static_cast<std::size_t>(row), hash);
    }
  }
  const bool palette = (about->flags & AV_PIX_FMT_FLAG_PAL) != 0 && frame.data[1] != nullptr;
  return palette ? checksum(frame.data[1], AVPALETTE_SIZE, hash) : hash;
}

}  // namespace

Source::Source(const std::string& path, const VideoOptions& options, VideoReport& report)
    : path_(path), options_(options), report_(report) {
  restart();
  const AVStream& stream = *demuxer().stream();
  base_ = stream.time_base;
  TANDEM_CHECK(base_.num > 0 && base_.den > 0, "read_video", path, ": the time base is ", base_.num,
               "/", base_.den);
  if (stream.avg_frame_rate.num > 0 && stream.avg_frame_rate.den > 0) {
    step_ = std::max<std::int64_t>(1, av_rescale_q(1, av_inv_q(stream.avg_frame_rate), base_));
  }
}

void Source::restart() {
  const LogScope scope(log_);
  log_.take();
  front_ = std::make_unique<Decoder>(path_, options_, log_);
  const std::vector<std::string> known = std::move(report_.warnings);
  report_ = VideoReport{};
  report_.warnings = known;
  front_at_ = 0;
  last_ = AV_NOPTS_VALUE;
  shift_ = 0;
  on_side_ = untimed_ = false;
}

void Source::warn(const std::string& sentence) {
  auto& all = report_.warnings;
  if (all.size() < most_warnings && std::find(all.begin(), all.end(), sentence) == all.end())
    all.push_back(sentence);
}

/// The longest time between two frames that is believed. Broadcast formats begin to count anew now
/// and then.
std::int64_t Source::longest_gap() const {
  const AVFormatContext& format = *demuxer().format();
  std::int64_t seconds = 3600;
  if ((format.iformat->flags & AVFMT_TS_DISCONT) != 0) {
    seconds = 10;
  } else if (format.duration > 0) {
    seconds = std::min<std::int64_t>(format.duration / AV_TIME_BASE + 1, 24 * 3600);
  }
  return av_rescale_q(seconds, AVRational{1, 1}, base_);
}

void Source::stamp(Picture& picture) {
  const AVFrame& frame = *picture.frame;
  std::int64_t stamp = usable(frame.pts) ? frame.pts : frame.best_effort_timestamp;
  const bool first = last_ == AV_NOPTS_VALUE;
  if (first && !usable(frame.pts)) {
    // A container such as AVI, which tells the order of decoding only: its first frame is at zero.
    untimed_ = true;
    if (usable(stamp)) shift_ = demuxer().origin() - stamp;
  }
  if (!usable(stamp)) {
    stamp = first ? 0 : last_ + step_;
    if (!untimed_)
      warn("Some frames have no time stamp; they were given the one that the frame rate suggests.");
  } else {
    stamp += shift_ - demuxer().origin();
    if (!first && stamp <= last_) {
      shift_ += last_ + step_ - stamp;
      stamp = last_ + step_;
      warn(
          "Some time stamps do not rise; the frames from there on were moved behind those before.");
    } else if (stamp - (first ? 0 : last_) > longest_gap()) {
      const std::int64_t wanted = first ? 0 : last_ + step_;
      shift_ += wanted - stamp;
      stamp = wanted;
      warn("The time stamps leap further than the video is long; the gap was closed.");
    }
  }
  picture.pts = last_ = stamp;
  const std::int64_t duration = duration_of(frame);
  picture.end = end_ = stamp + (duration > 0 && duration < longest_gap() ? duration : step_);
}

bool Source::pull_front(Picture& picture) {
  picture.reset();
  if (!front_->read(*picture.frame, report_)) {
    finish();
    return false;
  }
  stamp(picture);
  picture.index = front_at_++;
  picture.valid = true;
  if (remembering_ && picture.index == list_.size()) record(picture);
  collect();
  return true;
}

void Source::record(const Picture& picture) {
  const std::int64_t raw = raw_stamp(*picture.frame);
  if (raw == AV_NOPTS_VALUE || (!list_.raw.empty() && raw <= list_.raw.back()))
    list_.raw_rises = false;
  list_.pts.push_back(picture.pts);
  list_.raw.push_back(raw);
  list_.hashes.push_back(hash_of(*picture.frame));
  list_.end = picture.end;
  if (is_key(*picture.frame))
    list_.keys.push_back({picture.index, front_->seek_stamp(*picture.frame)});
}

bool Source::pull(Picture& picture) {
  if (on_side_) {
    if (side_at_ < list_.size() && side_at_ != front_at_) {
      return read_side(picture) || replay(side_at_, picture);
    }
    if (side_at_ == list_.size() && list_.complete) {
      picture.reset();
      report_.at_end = true;
      return false;
    }
    on_side_ = false;
    while (front_at_ < side_at_) {
      if (!pull_front(picture)) return false;
    }
  }
  return pull_front(picture);
}

bool Source::remember() {
  if (remembering_) return false;
  remembering_ = true;
  if (front_at_ == 0) return false;
  restart();
  return true;
}

bool Source::fetch(std::int64_t index, Picture& picture) {
  if (!remembering_ && (front_at_ == 0 || index < front_at_)) remember();
  if (index < list_.size()) {
    const std::int64_t at = on_side_ ? side_at_ : front_at_;
    const auto after =
        std::upper_bound(list_.keys.begin(), list_.keys.end(), index,
                         [](std::int64_t i, const FrameList::Key& key) { return i < key.index; });
    const bool have_key = after != list_.keys.begin();
    if (at > index || (have_key && std::prev(after)->index > at)) {
      if (have_key &&
          seek_side(static_cast<std::size_t>(after - list_.keys.begin()) - 1, index, picture))
        return true;
      return replay(index, picture);
    }
  } else if (list_.complete) {
    picture.reset();
    on_side_ = true, side_at_ = list_.size();
    return false;
  } else {
    on_side_ = false;  // only decoding from the beginning tells what comes there
  }
  do {
    if (!pull(picture)) return false;
  } while (picture.index != index);
  return true;
}

/// From the beginning, or from where the first decoder stands.
bool Source::replay(std::int64_t index, Picture& picture) {
  if (front_at_ > index) restart();
  on_side_ = false;
  do {
    if (!pull_front(picture)) return false;
  } while (picture.index != index);
  return true;
}

/// The second decoder's picture is frame `index`.
void Source::hand_out(std::int64_t index, Picture& picture) const {
  const auto i = static_cast<std::size_t>(index);
  picture.index = index;
  picture.pts = list_.pts[i];
  picture.end = i + 1 < list_.pts.size() ? list_.pts[i + 1] : list_.end;
  picture.valid = true;
}

/// Which frame a picture after a seek is, or -1: by its time stamp, and by the hash among the key
/// frames up to `most`.
std::int64_t Source::place(const AVFrame& frame, std::uint64_t hash, std::int64_t most) const {
  const std::int64_t raw = raw_stamp(frame);
  if (list_.raw_rises && raw != AV_NOPTS_VALUE) {
    const auto found = std::lower_bound(list_.raw.begin(), list_.raw.end(), raw);
    if (found != list_.raw.end() && *found == raw &&
        list_.hashes[static_cast<std::size_t>(found - list_.raw.begin())] == hash) {
      return found - list_.raw.begin();
    }
  }
  if (!is_key(frame)) return -1;
  for (auto key = list_.keys.rbegin(); key != list_.keys.rend(); ++key) {
    if (key->index <= most && list_.hashes[static_cast<std::size_t>(key->index)] == hash)
      return key->index;
  }
  return -1;
}

bool Source::seek_side(std::size_t key, std::int64_t index, Picture& picture) {
  if (failed_seeks_ >= most_failed_seeks) return false;
  const LogScope scope(side_log_);
  if (!side_) side_ = std::make_unique<Decoder>(path_, options_, side_log_);
  // The container's seek may land behind the key frame, and not every key frame is a place to
  // begin: then the one before is tried.
  for (int attempt = 0; attempt < 3 && side_->seek(list_.keys[key].seek); ++attempt) {
    side_at_ = -1;
    picture.reset();
    for (int skipped = 0; skipped < most_skipped && side_->read(*picture.frame, side_report_);) {
      const std::uint64_t hash = hash_of(*picture.frame);
      if (side_at_ < 0) side_at_ = place(*picture.frame, hash, index);
      if (side_at_ < 0) {
        ++skipped;  // shown before the key frame, and perhaps built on what is not there
        continue;
      }
      if (side_at_ > index || hash != list_.hashes[static_cast<std::size_t>(side_at_)]) break;
      if (side_at_++ == index) {
        hand_out(index, picture);
        on_side_ = true, failed_seeks_ = 0;
        return true;
      }
    }
    if (key == 0) break;
    --key;
  }
  ++failed_seeks_;
  return false;
}

bool Source::read_side(Picture& picture) {
  const LogScope scope(side_log_);
  picture.reset();
  if (!side_->read(*picture.frame, side_report_)) return false;
  if (hash_of(*picture.frame) != list_.hashes[static_cast<std::size_t>(side_at_)]) return false;
  hand_out(side_at_++, picture);
  return true;
}

/// Where the stream should end, in seconds, if the file says so without a number of frames.
double Source::declared_end() const {
  const AVFormatContext& format = *demuxer().format();
  if (format.duration_estimation_method != AVFMT_DURATION_FROM_STREAM)
    return -1;  // found by looking
  if (const AVDictionaryEntry* tag =
          av_dict_get(demuxer().stream()->metadata, "DURATION", nullptr, 0)) {
    int hours = 0, minutes = 0;
    double seconds = 0;
    if (std::sscanf(tag->value, "%d:%d:%lf", &hours, &minutes, &seconds) == 3 && hours >= 0 &&
        minutes >= 0) {
      return hours * 3600.0 + minutes * 60.0 + seconds;
    }
  }
  return format.nb_streams == 1 ? static_cast<double>(format.duration) / AV_TIME_BASE : -1;
}

/// Turns what has happened into sentences.
void Source::collect() {
  for (const std::string& line : log_.take())
    warn(concat("FFmpeg: ", line, line.ends_with('.') ? "" : "."));
}

void Source::finish() {
  collect();
  count_ = front_at_;
  if (remembering_ && front_at_ == list_.size()) list_.complete = true;
  if (report_.at_end) return;
  report_.at_end = true;
  const Demuxer& file = demuxer();
  if (file.errors > 0) {
    warn(concat("The file cannot be read to its end: ", error_text(file.last_error), "."));
  }
  report_.truncated = report_.truncated || file.short_packet || file.errors > 0;
  const std::int64_t declared = file.stream()->nb_frames;
  if (declared > report_.packets) report_.truncated = true;
  if (file.short_packet) warn("The file ends in the middle of a packet, or a packet is damaged.");
  if (report_.skipped_packets > 0) {
    warn(
        concat(report_.skipped_packets, " of ", report_.packets, " packets could not be decoded."));
  }
  if (report_.damaged_frames > 0) {
    warn(concat(report_.damaged_frames, " of ", report_.frames,
                " frames were decoded with errors."));
  }
  if (declared > front_at_) {
    warn(concat("The file declares ", declared, " frames, ", front_at_, " were decoded."));
  }
  // Matroska declares no number but a duration, of the stream or of the whole file.
  if (const double end = declared_end(); declared <= 0 && end > 0 && front_at_ > 0) {
    const double reached = static_cast<double>(end_) * av_q2d(base_);
    if (reached < end - std::max(0.1, 2.5 * static_cast<double>(step_) * av_q2d(base_))) {
      report_.truncated = true;
      const auto milliseconds = [](double seconds) { return std::round(seconds * 1000) / 1000; };
      warn(concat("The file declares ", milliseconds(end), " seconds, the last frame ends at ",
                  milliseconds(reached), "."));
    }
  }
  if (front_at_ == 0) warn("No frame could be decoded.");
}

}  // namespace io::video
TANDEM_NAMESPACE_END
