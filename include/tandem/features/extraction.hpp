#pragma once
/// From a video to feature rows: decode → flow → networks, at the same time, in bounded memory.
///                                                                                  [method §2, §9]
///   FeatureEncoders encoders{.rgb = rgb.model, .flow = flow.model, .clip = clip};
///   FeatureExtractor extractor(encoders, {});
///   const VideoFeatures f = extractor.extract("video.mp4");  // f.rgb (T, 1024), f.clip (T, 512) …
///
/// One thread decodes and resizes, several compute flow, each a pair of frames, and the calling
/// thread runs the networks on as many threads as are free: all of them when flow is ahead, one
/// when it is behind. The rows do not depend on the number of threads. Link tandem::video.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/clip/image_encoder.hpp"
#include "tandem/cpu/pipeline.hpp"
#include "tandem/features/video_features.hpp"
#include "tandem/i3d/inception.hpp"
#include "tandem/image/gray.hpp"
#include "tandem/image/resize_and_crop.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/stack.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// The frozen networks; a stream without one is not extracted.
struct FeatureEncoders {
  Ref<i3d::InceptionI3d<float>> rgb, flow;
  Ref<clip::ImageEncoder<float>> clip;
};

namespace detail {

/// A frame on its way. Flow is that to the frame behind it, undefined for the last frame.
struct ExtractionFrame {
  std::int64_t index = 0;
  double seconds = 0, next_seconds = 0;
  Tensor<std::uint8_t> crop;       // (crop, crop, 3) for the RGB stream
  Tensor<std::uint8_t> gray;       // for flow
  Tensor<std::uint8_t> next_gray;  // of the frame behind; undefined for the last
  Tensor<std::uint8_t> picture;    // the whole frame, where CLIP may need it later
  Tensor<float> clip;              // (3, 224, 224)
  Tensor<float> flow;              // (2, 1, crop, crop), prepared
  bool last = false;
};

/// Adds the time of its life, of `threads` threads, to a counter.
class StageTimer {
 public:
  explicit StageTimer(std::atomic<double>& counter, int threads = 1)
      : counter_(counter), threads_(threads) {}
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;
  ~StageTimer() {
    counter_ += threads_ * std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::atomic<double>& counter_;
  int threads_;
  Clock::time_point start_ = Clock::now();
};

struct StageClock {
  std::atomic<double> decode{0}, prepare{0}, flow{0}, i3d_rgb{0}, i3d_flow{0}, clip{0};
  StageSeconds read() const { return {decode, prepare, flow, i3d_rgb, i3d_flow, clip}; }
};

/// Rows of features as they come.
class RowCollector {
 public:
  void add(const Tensor<float>& row) {
    const Tensor<float> dense = row.contiguous();
    columns_ = dense.numel();
    values_.insert(values_.end(), dense.data(), dense.data() + columns_);
  }
  Tensor<float> rows() const {
    if (values_.empty()) return {};
    const Tensor<float> out({static_cast<std::int64_t>(values_.size()) / columns_, columns_});
    std::memcpy(out.mutable_data(), values_.data(), values_.size() * sizeof(float));
    return out;
  }

 private:
  std::vector<float> values_;
  std::int64_t columns_ = 0;
};

}  // namespace detail

/// Extracts videos one after the other. Not for several threads at once. Without any network it
/// gives the time stamps.
class FeatureExtractor {
 public:
  /// Called with the number of frames that have gone through.
  using Progress = std::function<void(std::int64_t)>;

  FeatureExtractor(FeatureEncoders encoders, const ExtractionOptions& options)
      : encoders_(std::move(encoders)),
        options_(options),
        budget_(options.threads > 0 ? options.threads : cpu::num_threads()),
        offsets_(clip_offsets(options.snippets.stack, options.clip_frames)) {
    snippet_count(0, options.snippets);  // checks
    TANDEM_CHECK(options.flow_size >= 16 && options.flow_size < 1 << 14, "extract",
                 "the frames for flow need a short side from 16, got ", options.flow_size);
  }

  /// The rows of one video. Errors: those of io::VideoReader; a video without a whole row.
  VideoFeatures extract(const std::string& path, const Progress& progress = {}) {
    const auto start = std::chrono::steady_clock::now();
    Run run(*this, path);
    VideoFeatures out = run.extract(progress);
    out.wall_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return out;
  }

 private:
  using Frame = detail::ExtractionFrame;

  /// What one video needs.
  class Run {
   public:
    Run(FeatureExtractor& owner, const std::string& path)
        : encoders_(owner.encoders_),
          o_(owner.options_),
          s_(owner.options_.snippets),
          budget_(owner.budget_),
          offsets_(owner.offsets_),
          path_(path),
          reader_(path, {.fps = o_.snippets.fps, .threads = std::max(1, o_.decoding_threads)}) {}

    VideoFeatures extract(const Progress& progress) {
      const NoGrad no_grad;
      const ThreadSetting restore;
      const auto threads = static_cast<std::size_t>(budget_.total());
      BoundedQueue<Frame> decoded(2 * threads);
      const int workers = encoders_.flow ? budget_.total() : 1;
      // Room for two rows: while one is taken out for the networks, what is left says who is ahead.
      OrderedStage<Frame, Frame> flowed(decoded, budget_, workers,
                                        2 * threads + 2 * static_cast<std::size_t>(s_.stack),
                                        [this](Frame frame) { return add_flow(std::move(frame)); });
      const StageThread decoder([&] { decode(decoded); });
      const StopAtEnd stop{flowed};  // before the decoder's thread is waited for
      while (std::optional<Frame> frame = flowed.pop()) {
        take(std::move(*frame), flowed.backlog());
        if (progress) progress(frames_);
      }
      TANDEM_CHECK(frames_ > 0, "extract", path_, ": no frame could be decoded");
      if (s_.tail == Tail::repeat) {
        while (row_ < snippet_count(frames_, s_)) emit(1);
      }
      TANDEM_CHECK(row_ > 0, "extract", path_, ": the video has ", frames_, " frame",
                   frames_ == 1 ? "" : "s", s_.fps > 0 ? concat(" at ", s_.fps, " per second") : "",
                   ", a row takes ", s_.stack + (s_.last_flow == LastFlow::drop ? 1 : 0));
      return result();
    }

   private:
    struct StopAtEnd {
      OrderedStage<Frame, Frame>& stage;
      ~StopAtEnd() { stage.stop(); }
    };
    /// The thread count of the process is lent to whoever runs a network.
    struct ThreadSetting {
      int before = cpu::num_threads();
      ThreadSetting() = default;
      ThreadSetting(const ThreadSetting&) = delete;
      ThreadSetting& operator=(const ThreadSetting&) = delete;
      ~ThreadSetting() { cpu::set_num_threads(before); }
    };

    // ---- the decoder's thread

    void decode(BoundedQueue<Frame>& queue) {
      try {
        std::optional<Frame> held;
        io::VideoFrame picture;
        for (;;) {
          std::optional<Frame> next;
          {
            const ThreadBudget::Lease lease = budget_.acquire();
            bool more = false;
            {
              const detail::StageTimer timer(clock_.decode);
              more = reader_.next(picture);
            }
            const detail::StageTimer timer(clock_.prepare);
            if (more) next = prepare(picture);
            if (held) complete(*held, next ? &*next : nullptr);
          }
          if (held && !queue.push(std::move(*held))) return;
          if (!next) break;
          held = std::move(next);
        }
        queue.close();
      } catch (...) {
        queue.fail(std::current_exception());
      }
    }

    Frame prepare(const io::VideoFrame& picture) const {
      Frame frame;
      frame.index = picture.index;
      frame.seconds = picture.seconds;
      if (encoders_.rgb && frame_is_used(frame.index, s_)) {
        frame.crop = io::resize_and_crop(picture.rgb, o_.i3d.size, o_.i3d.crop, o_.i3d.filter);
      }
      if (encoders_.flow) {
        const io::ImageSize size =
            io::resized_size(picture.rgb.size(0), picture.rgb.size(1), o_.flow_size);
        frame.gray =
            flow::rgb_to_gray(io::resize(picture.rgb, size.height, size.width, o_.i3d.filter));
      }
      if (encoders_.clip) {
        if (clip_sees(frame.index, offsets_, s_)) {
          frame.clip = clip::preprocess(picture.rgb, o_.clip);
        } else if (s_.tail == Tail::repeat) {
          frame.picture = picture.rgb;
        }
      }
      return frame;
    }

    void complete(Frame& frame, const Frame* next) const {
      frame.last = next == nullptr;
      if (next != nullptr) {
        frame.next_gray = next->gray;
        frame.next_seconds = next->seconds;
      } else {
        const double fps = s_.fps > 0 ? s_.fps : reader_.info().fps;
        frame.next_seconds = frame.seconds + (fps > 0 ? 1 / fps : 0);
        // What repeats at the end is the last frame, which CLIP may see then.
        if (frame.picture.defined()) frame.clip = clip::preprocess(frame.picture, o_.clip);
      }
      frame.picture = {};
    }

    // ---- the threads of flow

    Frame add_flow(Frame frame) {
      if (frame.next_gray.defined() && frame_is_used(frame.index, s_)) {
        const detail::StageTimer timer(clock_.flow);
        const std::int64_t pixels = frame.gray.numel();
        // A frame that resampling repeats: nothing moves, and TV-L1 would say so.
        const bool same = std::memcmp(frame.gray.data(), frame.next_gray.data(),
                                      static_cast<std::size_t>(pixels)) == 0;
        const Tensor<float> field = same ? zeros<float>({frame.gray.size(0), frame.gray.size(1), 2})
                                         : flow::tvl1(frame.gray, frame.next_gray, o_.tvl1);
        frame.flow = i3d::preprocess_flow(field.unsqueeze(0), o_.i3d);
      }
      frame.gray = frame.next_gray = {};
      return frame;
    }

    // ---- the calling thread

    void take(Frame frame, double backlog) {
      ++frames_;
      last_seconds_ = frame.seconds;
      end_seconds_ = frame.next_seconds;
      if (frames_ == 1) first_seconds_ = frame.seconds;
      const std::int64_t index = frames_ - 1;
      const bool last = frame.last;
      window_.push_back(std::move(frame));
      const bool complete = index == row_ * s_.step + s_.stack - 1;
      if (complete && !(last && s_.last_flow == LastFlow::drop && s_.tail == Tail::drop))
        emit(backlog);
      forget();
    }

    /// Frames before the next row are needed no more, but the last one may have to repeat.
    void forget() {
      while (window_.size() > 1 && first_ < row_ * s_.step) {
        window_.pop_front();
        ++first_;
      }
    }

    const Frame& frame(std::int64_t index) const {
      const std::int64_t at =
          std::min(index - first_, static_cast<std::int64_t>(window_.size()) - 1);
      return window_[static_cast<std::size_t>(std::max<std::int64_t>(at, 0))];
    }

    /// Runs the networks on row row_.
    void emit(double backlog) {
      const std::int64_t first = row_ * s_.step;
      const auto least = static_cast<int>(backlog * budget_.total() + 0.999);
      const ThreadBudget::Lease lease = budget_.acquire(least, budget_.total());
      cpu::set_num_threads(lease.threads());
      if (encoders_.rgb) {
        const detail::StageTimer timer(clock_.i3d_rgb, lease.threads());
        std::vector<Tensor<std::uint8_t>> crops;
        for (std::int64_t i = 0; i < s_.stack; ++i) crops.push_back(frame(first + i).crop);
        // They have their size already.
        i3d::PreprocessOptions prepared = o_.i3d;
        prepared.size = prepared.crop;
        rgb_.add(
            encoders_.rgb->features(i3d::preprocess_rgb(stack(crops, 0), prepared).unsqueeze(0)));
      }
      if (encoders_.flow) {
        const detail::StageTimer timer(clock_.i3d_flow, lease.threads());
        flow_.add(encoders_.flow->features(flow_clip(first)));
      }
      if (encoders_.clip) {
        const detail::StageTimer timer(clock_.clip, lease.threads());
        std::vector<Tensor<float>> images;
        for (const std::int64_t offset : offsets_) images.push_back(frame(first + offset).clip);
        clip_.add(mean(encoders_.clip->forward(stack(images, 0)), 0));
      }
      // The last frame that has come is the row's last; where it repeats, each time is an interval
      // more.
      const std::int64_t repeated = first + s_.stack - frames_;
      ends_ms_.push_back(
          1000 * (end_seconds_ + static_cast<double>(repeated) * (end_seconds_ - last_seconds_)));
      ++row_;
    }

    /// (1, 2, stack, crop, crop); where no flow is, the one before it, at the very beginning none.
    Tensor<float> flow_clip(std::int64_t first) const {
      const std::int64_t crop = o_.i3d.crop, pixels = crop * crop;
      const Tensor<float> out({1, 2, s_.stack, crop, crop});
      const float* known = nullptr;
      for (std::int64_t i = 0; i < s_.stack; ++i) {
        const Frame& at = frame(first + i);
        if (at.flow.defined()) known = at.flow.data();
        if (known == nullptr && first + i > first_) known = frame_before(first + i);
        for (std::int64_t c = 0; c < 2; ++c) {
          float* to = out.mutable_data() + (c * s_.stack + i) * pixels;
          if (known != nullptr) {
            std::memcpy(to, known + c * pixels, static_cast<std::size_t>(pixels) * sizeof(float));
          } else {
            std::memset(to, 0, static_cast<std::size_t>(pixels) * sizeof(float));
          }
        }
      }
      return out;
    }
    const float* frame_before(std::int64_t index) const {
      const Tensor<float>& flow = frame(index - 1).flow;
      return flow.defined() ? flow.data() : nullptr;
    }

    VideoFeatures result() const {
      VideoFeatures out;
      out.rgb = rgb_.rows();
      out.flow = flow_.rows();
      out.clip = clip_.rows();
      out.timestamps_ms = ends_ms_;
      out.frames = frames_;
      out.info = reader_.info();
      out.fps = s_.fps > 0 ? s_.fps : out.info.fps;
      out.seconds = end_seconds_ - first_seconds_;
      out.seconds_per_row =
          out.fps > 0 ? static_cast<double>(s_.step) / out.fps
                      : out.seconds / static_cast<double>(frames_) * static_cast<double>(s_.step);
      out.warnings = reader_.report().warnings;
      out.stages = clock_.read();
      return out;
    }

    const FeatureEncoders& encoders_;
    const ExtractionOptions& o_;
    const SnippetOptions& s_;
    ThreadBudget& budget_;
    const std::vector<std::int64_t>& offsets_;
    std::string path_;
    io::VideoReader reader_;
    detail::StageClock clock_;

    std::deque<Frame> window_;  // frames first_, first_ + 1 …
    std::int64_t first_ = 0, frames_ = 0, row_ = 0;
    double first_seconds_ = 0, last_seconds_ = 0, end_seconds_ = 0;
    detail::RowCollector rgb_, flow_, clip_;
    std::vector<double> ends_ms_;
  };

  FeatureEncoders encoders_;
  ExtractionOptions options_;
  ThreadBudget budget_;
  std::vector<std::int64_t> offsets_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
