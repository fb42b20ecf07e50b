// Decoded frames with their numbers and time stamps, in order or by number.

#include "video_frames.hpp"

extern "C" {
#include <libavutil/mathematics.h>
}

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io::video {
namespace {

constexpr std::size_t most_warnings = 32;
constexpr std::int64_t largest_stamp = std::int64_t{1} << 60;  // sums of two stay numbers

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

}  // namespace

std::int64_t FrameList::find(std::int64_t stamp) const {
  const auto at = std::lower_bound(pts.begin(), pts.end(), stamp);
  return at != pts.end() && *at == stamp ? at - pts.begin() : -1;
}

Source::Source(const std::string& path, const VideoOptions& options, VideoReport& report)
    : path_(path), options_(options), report_(report) {
  restart();
  const AVStream& stream = *demuxer().stream();
  base_ = stream.time_base;
  TANDEM_CHECK(base_.num > 0 && base_.den > 0, "read_video", path, ": the time base is ", base_.num, "/", base_.den);
  if (stream.avg_frame_rate.num > 0 && stream.avg_frame_rate.den > 0) {
    step_ = std::max<std::int64_t>(1, av_rescale_q(1, av_inv_q(stream.avg_frame_rate), base_));
  }
}

void Source::restart() {
  const LogScope scope(log_);
  log_.take();
  decoder_ = std::make_unique<Decoder>(path_, options_, log_);
  const std::vector<std::string> known = std::move(report_.warnings);
  report_ = VideoReport{};
  report_.warnings = known;
  position_ = 0;
  last_ = AV_NOPTS_VALUE;
  shift_ = 0;
  sought_ = untimed_ = false;
}

void Source::warn(const std::string& sentence) {
  auto& all = report_.warnings;
  if (all.size() < most_warnings && std::find(all.begin(), all.end(), sentence) == all.end()) all.push_back(sentence);
}

/// The longest time between two frames that is believed. Broadcast formats begin to count anew now and then.
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
  if (first && !sought_ && !usable(frame.pts)) {
    // A container such as AVI, which tells the order of decoding only: its first frame is at zero.
    untimed_ = true;
    if (usable(stamp)) shift_ = demuxer().origin() - stamp;
  }
  if (!usable(stamp)) {
    stamp = first ? 0 : last_ + step_;
    if (!untimed_) warn("Some frames have no time stamp; they were given the one that the frame rate suggests.");
  } else {
    stamp += shift_ - demuxer().origin();
    if (!first && stamp <= last_) {
      shift_ += last_ + step_ - stamp;
      stamp = last_ + step_;
      warn("Some time stamps do not rise; the frames from there on were moved behind those before.");
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

bool Source::pull(Picture& picture) {
  picture.reset();
  if (!decoder_->read(*picture.frame, report_)) {
    finish();
    return false;
  }
  stamp(picture);
  picture.index = position_++;
  picture.valid = true;
  if (listed_ && list_.trusted &&
      (picture.index >= list_.size() || list_.at(picture.index) != picture.pts)) {
    list_.trusted = false;
  }
  collect();
  return true;
}

/// Where the stream should end, in seconds, if the file says so without a number of frames.
double Source::declared_end() const {
  const AVFormatContext& format = *demuxer().format();
  if (format.duration_estimation_method != AVFMT_DURATION_FROM_STREAM) return -1;  // found by looking
  if (const AVDictionaryEntry* tag = av_dict_get(demuxer().stream()->metadata, "DURATION", nullptr, 0)) {
    int hours = 0, minutes = 0;
    double seconds = 0;
    if (std::sscanf(tag->value, "%d:%d:%lf", &hours, &minutes, &seconds) == 3 && hours >= 0 && minutes >= 0) {
      return hours * 3600.0 + minutes * 60.0 + seconds;
    }
  }
  return format.nb_streams == 1 ? static_cast<double>(format.duration) / AV_TIME_BASE : -1;
}

/// Turns what has happened into sentences.
void Source::collect() {
  for (const std::string& line : log_.take()) warn(concat("FFmpeg: ", line, line.ends_with('.') ? "" : "."));
}

void Source::finish() {
  collect();
  if (report_.at_end) return;
  report_.at_end = true;
  const Demuxer& file = demuxer();
  if (file.errors > 0) {
    warn(concat("The file cannot be read to its end: ", error_text(file.last_error), "."));
  }
  report_.truncated = report_.truncated || file.short_packet || file.errors > 0;
  if (sought_) return;
  const std::int64_t declared = file.stream()->nb_frames;
  if (declared > report_.packets) report_.truncated = true;
  if (file.short_packet) warn("The file ends in the middle of a packet, or a packet is damaged.");
  if (report_.skipped_packets > 0) {
    warn(concat(report_.skipped_packets, " of ", report_.packets, " packets could not be decoded."));
  }
  if (report_.damaged_frames > 0) {
    warn(concat(report_.damaged_frames, " of ", report_.frames, " frames were decoded with errors."));
  }
  if (declared > position_) {
    warn(concat("The file declares ", declared, " frames, ", position_, " were decoded."));
  }
  // Matroska declares no number but a duration, of the stream or of the whole file.
  if (const double end = declared_end(); declared <= 0 && end > 0 && position_ > 0) {
    const double reached = static_cast<double>(end_) * av_q2d(base_);
    if (reached < end - std::max(0.1, 2.5 * static_cast<double>(step_) * av_q2d(base_))) {
      report_.truncated = true;
      const auto milliseconds = [](double seconds) { return std::round(seconds * 1000) / 1000; };
      warn(concat("The file declares ", milliseconds(end), " seconds, the last frame ends at ", milliseconds(reached),
                  "."));
    }
  }
  if (position_ == 0) warn("No frame could be decoded.");
  if (listed_ && position_ != list_.size()) list_.trusted = false;
}

const FrameList& Source::list() {
  if (!listed_) make_list();
  return list_;
}

void Source::make_list() {
  listed_ = true;
  LogSink ignored;  // the decoder's own reading of the file reports
  const LogScope scope(ignored);
  Demuxer file(path_, options_, ignored);
  PacketPtr packet = new_packet();
  bool good = true;
  std::int64_t last_duration = 0, last_pts = AV_NOPTS_VALUE;
  while (good && file.read(*packet)) {
    if ((packet->flags & AV_PKT_FLAG_CORRUPT) != 0) good = false;
    if (!usable(packet->pts)) {
      good = false;
      break;
    }
    const std::int64_t pts = packet->pts - file.origin();
    if ((packet->flags & AV_PKT_FLAG_KEY) != 0) {
      list_.keys.push_back({pts, usable(packet->dts) ? packet->dts : packet->pts});
    }
    if ((packet->flags & AV_PKT_FLAG_DISCARD) != 0) continue;
    list_.pts.push_back(pts);
    if (last_pts == AV_NOPTS_VALUE || pts > last_pts) last_pts = pts, last_duration = packet->duration;
  }
  good = good && file.errors == 0 && !list_.pts.empty() && !list_.keys.empty();
  good = good && std::is_sorted(list_.keys.begin(), list_.keys.end(),
                                [](const auto& a, const auto& b) { return a.pts < b.pts; });
  std::sort(list_.pts.begin(), list_.pts.end());
  good = good && std::adjacent_find(list_.pts.begin(), list_.pts.end()) == list_.pts.end();
  const std::int64_t longest = longest_gap();
  if (good) {
    good = list_.pts.front() <= longest &&
           std::adjacent_find(list_.pts.begin(), list_.pts.end(),
                              [&](auto a, auto b) { return b - a > longest; }) == list_.pts.end();
  }
  if (good) list_.end = last_pts + (last_duration > 0 && last_duration < longest ? last_duration : step_);
  list_.trusted = good;
  if (!good) list_.pts = {}, list_.keys = {};
}

bool Source::seek_to(const FrameList::Key& key) {
  if (!decoder_->seek(key.seek)) return false;
  sought_ = true;
  report_.at_end = false;
  return true;
}

bool Source::pull_at(std::int64_t index, Picture& picture) {
  const std::int64_t wanted = list_.at(index);
  const auto after = std::upper_bound(list_.keys.begin(), list_.keys.end(), wanted,
                                      [](std::int64_t stamp, const auto& key) { return stamp < key.pts; });
  if (after == list_.keys.begin()) {
    // Frames before the first key frame exist only where decoding began at the beginning.
    if (position_ > index || sought_) return false;
  }
  const bool from_here =
      position_ <= index && (after == list_.keys.begin() || position_ >= list_.size() ||
                             list_.at(position_) >= std::prev(after)->pts);
  if (from_here) {
    while (pull(picture)) {
      if (!list_.trusted) return false;
      if (picture.index == index) return true;
    }
    list_.trusted = false;
    return false;
  }
  // The container's seek may land behind the key frame: then the key frame before is tried, then the beginning.
  auto key = std::prev(after);
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (!seek_to(*key)) break;
    last_ = AV_NOPTS_VALUE, shift_ = 0;
    bool begun = false;
    for (;;) {
      picture.reset();
      if (!decoder_->read(*picture.frame, report_)) break;
      const std::int64_t first = decoder_->first_key();
      const std::int64_t raw =
          usable(picture.frame->pts) ? picture.frame->pts : picture.frame->best_effort_timestamp;
      if (!usable(raw) || first == AV_NOPTS_VALUE) break;
      if (!begun && raw < first) continue;  // shown before the key frame and perhaps built on what was skipped
      if (!begun) {
        position_ = list_.find(raw - demuxer().origin());
        if (position_ < 0 || position_ > index) break;
        begun = true;
      }
      stamp(picture);
      picture.index = position_++;
      if (picture.index >= list_.size() || list_.at(picture.index) != picture.pts) break;
      if (picture.index == index) {
        picture.valid = true;
        collect();
        return true;
      }
    }
    if (begun || key == list_.keys.begin()) break;
    --key;
  }
  list_.trusted = false;
  return false;
}

}  // namespace io::video
TANDEM_NAMESPACE_END
