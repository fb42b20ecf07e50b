#pragma once
/// From a video to feature rows: decode → flow → networks, at the same time, in bounded memory.
///                                                                                  [method §2, §9]
///   FeatureEncoders encoders{.rgb = rgb.model, .flow = flow.model, .clip = clip};
///   FeatureExtractor extractor(encoders, {});
///   const VideoFeatures f = extractor.extract("video.mp4");  // f.rgb (T, 1024), f.clip (T, 512) …
///
/// One thread decodes and resizes, several compute flow, each a pair of frames, and the calling
/// thread runs the networks on as many threads as are free: all of them when flow is ahead, one
/// when it is behind. The rows do not depend on the number of threads.
///
/// Where the networks are on a GPU, one thread decodes, and the calling one puts everything else
/// into two queues of the GPU: pictures and flow of the frames to come into one, the networks of
/// the row before into the other. Rows come to the host two behind. Link tandem::video.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/clip/captured_encoder.hpp"
#include "tandem/cpu/pipeline.hpp"
#include "tandem/cuda/host_copy.hpp"
#include "tandem/cuda/memory.hpp"
#include "tandem/features/device_frames.hpp"
#include "tandem/features/flow_stage.hpp"
#include "tandem/features/frame_source.hpp"
#include "tandem/features/row_assembler.hpp"
#include "tandem/features/video_features.hpp"
#include "tandem/i3d/inception.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/stack.hpp"
#include "tandem/tensor/restore.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

using cpu::BoundedQueue, cpu::OrderedStage, cpu::StageThread, cpu::ThreadBudget;

/// The frozen networks; a stream without one is not extracted. Each runs on the device that it is
/// on. Where all are on one GPU, frames are resized and flow is computed there, else on the CPU.
struct FeatureEncoders {
  Ref<i3d::InceptionI3d<float>> rgb, flow;
  Ref<clip::ImageEncoder<float>> clip;

  /// Which streams there is a network for.
  Streams streams() const { return {bool(rgb), bool(flow), bool(clip)}; }
  /// The GPU that all of them are on, or the CPU.
  Device device() const {
    std::vector<Device> devices;
    for (const auto* i3d : {&rgb, &flow}) {
      if (*i3d) devices.push_back((*i3d)->logits.conv3d.weight.device());
    }
    if (clip) devices.push_back(clip->class_embedding.device());
    for (const Device& d : devices) {
      if (d != devices[0]) return Device::cpu();
    }
    return devices.empty() ? Device::cpu() : devices[0];
  }
};

namespace detail {

/// Rows of features as they come. Those of a GPU are taken two later, so that it goes on meanwhile.
class RowCollector {
 public:
  void add(const Tensor<float>& row) {
    const Tensor<float> dense = row.contiguous();
    columns_ = dense.numel();
    take(turn_);
    copies_[turn_].start(dense);
    if (dense.device().is_cpu()) return take(turn_);
    turn_ = 1 - turn_;
  }
  Tensor<float> rows() {
    for (const std::size_t turn : {turn_, 1 - turn_}) take(turn);
    if (values_.empty()) return {};
    const Tensor<float> out({static_cast<std::int64_t>(values_.size()) / columns_, columns_});
    std::memcpy(out.mutable_data(), values_.data(), values_.size() * sizeof(float));
    return out;
  }

 private:
  /// What the copy brought, if there is one.
  void take(std::size_t turn) {
    if (!copies_[turn].started()) return;
    const std::vector<float>& row = copies_[turn].get();
    values_.insert(values_.end(), row.begin(), row.end());
  }

  std::vector<float> values_;
  std::int64_t columns_ = 0;
  HostCopy<float> copies_[2];
  std::size_t turn_ = 0;  // of the older one
};

/// What the networks make of rows.
class RowEncoder {
 public:
  /// `clip_encoder`: of encoders.clip, null where there is none. Its graphs serve all videos.
  RowEncoder(const FeatureEncoders& encoders, clip::CapturedEncoder<float>* clip_encoder,
             const ExtractionOptions& options, StageClock& clock)
      : encoders_(encoders),
        clip_encoder_(clip_encoder),
        o_(options),
        offsets_(clip_offsets(options.snippets.stack, options.clip_frames)),
        clock_(clock) {}

  /// Runs the networks on one row, by `threads` threads.
  void add(const FrameRow<ExtractionFrame>& row, int threads) {
    const PrecisionScope products(o_.precision);
    if (encoders_.rgb) {
      const StageTimer timer(clock_.i3d_rgb, threads);
      std::vector<Tensor<std::uint8_t>> crops;
      for (std::int64_t i = 0; i < row.size(); ++i) crops.push_back(row[i].crop);
      // They have their size already.
      i3d::PreprocessOptions prepared = o_.i3d;
      prepared.size = prepared.crop;
      const Device device = device_of(*encoders_.rgb);
      const Tensor<float> clip = i3d::preprocess_rgb(stack(crops, 0).to(device), prepared);
      rgb_.add(encoders_.rgb->features(clip.unsqueeze(0)));
    }
    if (encoders_.flow) {
      const StageTimer timer(clock_.i3d_flow, threads);
      const Tensor<float> clip = row_flow(row, o_.i3d.crop).to(device_of(*encoders_.flow));
      flow_.add(encoders_.flow->features(clip));
    }
    if (encoders_.clip) {
      const StageTimer timer(clock_.clip, threads);
      std::vector<Tensor<float>> images;
      for (const std::int64_t offset : offsets_) images.push_back(row[offset].clip);
      clip_.add(mean(clip_encoder_->forward(stack(images, 0)), 0));
    }
  }

  void write(VideoFeatures& out) {
    out.rgb = rgb_.rows();
    out.flow = flow_.rows();
    out.clip = clip_.rows();
  }

 private:
  static Device device_of(const i3d::InceptionI3d<float>& network) {
    return network.logits.conv3d.weight.device();
  }

  const FeatureEncoders& encoders_;
  clip::CapturedEncoder<float>* const clip_encoder_;
  const ExtractionOptions& o_;
  const std::vector<std::int64_t> offsets_;
  StageClock& clock_;
  RowCollector rgb_, flow_, clip_;
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
        clip_encoder_(encoders_.clip
                          ? std::make_unique<clip::CapturedEncoder<float>>(encoders_.clip)
                          : nullptr),
        o_(options),
        budget_(options.threads > 0 ? options.threads : cpu::num_threads()) {
    clip_offsets(options.snippets.stack, options.clip_frames);  // checks
    snippet_count(0, options.snippets);                         // checks
    TANDEM_CHECK(options.flow_size >= 16 && options.flow_size < 1 << 14, "extract",
                 "the frames for flow need a short side from 16, got ", options.flow_size);
  }

  /// The rows of one video. Errors: those of io::VideoReader; a video without a whole row.
  VideoFeatures extract(const std::string& path, const Progress& progress = {}) {
    const auto start = std::chrono::steady_clock::now();
    io::VideoReader reader(path,
                           {.fps = o_.snippets.fps, .threads = std::max(1, o_.decoding_threads)});
    StageClock clock;
    RowAssembler<Frame> rows(o_.snippets);
    detail::RowEncoder encoder(encoders_, clip_encoder_.get(), o_, clock);
    if (const Device device = encoders_.device(); device.is_cpu()) {
      flow_through(reader, clock, rows, encoder, progress);
    } else {
      flow_through_device(device, reader, clock, rows, encoder, progress);
    }
    VideoFeatures out = facts(path, reader, rows);
    encoder.write(out);
    out.stages = clock.read();
    out.wall_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return out;
  }

 private:
  using Frame = ExtractionFrame;
  using Flowed = OrderedStage<Frame, Frame>;

  /// Decoding, flow and networks at the same time.
  void flow_through(io::VideoReader& reader, StageClock& clock, RowAssembler<Frame>& rows,
                    detail::RowEncoder& encoder, const Progress& progress) {
    const NoGrad no_grad;
    // The thread count of the process is lent to whoever runs a network.
    const tandem::detail::AtExit restore(
        [before = cpu::num_threads()] { cpu::set_num_threads(before); });
    FrameSource source(o_, encoders_.streams(), reader.info().fps, clock,
                       [&reader](io::VideoFrame& frame) { return reader.next(frame); });
    const auto threads = static_cast<std::size_t>(budget_.total());
    BoundedQueue<Frame> decoded(2 * threads);
    const int workers = encoders_.flow ? budget_.total() : 1;
    // Room for two rows: while one is taken out for the networks, what is left says who is ahead.
    const std::size_t window = 2 * threads + 2 * static_cast<std::size_t>(o_.snippets.stack);
    Flowed flowed(decoded, budget_, workers, window, FlowStage(o_, clock));
    const StageThread decoder([&] { decode(source, decoded); });
    // Before the decoder's thread is waited for
    const tandem::detail::AtExit stop([&] { flowed.stop(); });

    double backlog = 0;
    const auto emit = [&](const FrameRow<Frame>& row) {
      const auto least = static_cast<int>(backlog * budget_.total() + 0.999);
      const ThreadBudget::Lease lease = budget_.acquire(least, budget_.total());
      cpu::set_num_threads(lease.threads());
      encoder.add(row, lease.threads());
    };
    while (std::optional<Frame> frame = flowed.pop()) {
      backlog = flowed.backlog();
      const double seconds = frame->seconds, next_seconds = frame->next_seconds;
      const bool last = frame->last;
      rows.add(std::move(*frame), seconds, next_seconds, last, emit);
      if (progress) progress(rows.frames());
    }
    backlog = 1;
    rows.finish(emit);
  }

  /// The same on a GPU.
  void flow_through_device(Device device, io::VideoReader& reader, StageClock& clock,
                           RowAssembler<Frame>& rows, detail::RowEncoder& encoder,
                           const Progress& progress) {
    const NoGrad no_grad;
    const Queue pictures = current_queue(device);
    if (networks_.device != device) networks_ = new_queue(device);
    FrameSource source(
        o_, encoders_.streams(), reader.info().fps, clock,
        [&reader](io::VideoFrame& frame) { return reader.next(frame); },
        FrameSource::Pictures::whole);
    BoundedQueue<Frame> decoded(2 * DeviceFrames::batch);
    const StageThread decoder([&] { decode(source, decoded); });
    const tandem::detail::AtExit stop([&] { decoded.stop(); });
    DeviceFrames stage(o_, encoders_.streams(), device);
    Event ready;
    const auto emit = [&](const FrameRow<Frame>& row) {
      ready.record(pictures);
      ready.wait(networks_);
      const QueueScope scope(networks_);
      encoder.add(row, 1);
      // What the other queue has made must stay until this one has read it.
      for (std::int64_t i = -1; i < row.size(); ++i) {
        const Frame* const frame = i < 0 ? row.before() : &row[i];
        if (frame == nullptr) continue;
        if (frame->crop.defined()) record_use(frame->crop, networks_);
        if (frame->flow.defined()) record_use(frame->flow, networks_);
        if (frame->clip.defined()) record_use(frame->clip, networks_);
      }
    };
    for (bool more = true; more;) {
      std::vector<Frame> frames;
      while (more && frames.size() < DeviceFrames::batch) {
        std::optional<Frame> frame = decoded.pop();
        more = frame.has_value();
        if (more) frames.push_back(std::move(*frame));
      }
      std::vector<Frame> complete;
      {
        const StageTimer timer(encoders_.flow ? clock.flow : clock.prepare);
        complete = stage.add(std::move(frames));
      }
      for (Frame& frame : complete) {
        const double seconds = frame.seconds, next_seconds = frame.next_seconds;
        const bool last = frame.last;
        rows.add(std::move(frame), seconds, next_seconds, last, emit);
        if (progress) progress(rows.frames());
      }
    }
    rows.finish(emit);
  }

  /// The decoder's thread.
  void decode(FrameSource& source, BoundedQueue<Frame>& queue) {
    try {
      for (;;) {
        std::optional<Frame> frame;
        {
          const ThreadBudget::Lease lease = budget_.acquire();
          frame = source.next();
        }
        if (!frame) break;
        if (!queue.push(std::move(*frame))) return;
      }
      queue.close();
    } catch (...) {
      queue.fail(std::current_exception());
    }
  }

  /// What is known of a video beside its rows. Errors: it has none.
  VideoFeatures facts(const std::string& path, const io::VideoReader& reader,
                      const RowAssembler<Frame>& rows) const {
    const SnippetOptions& s = o_.snippets;
    const std::int64_t frames = rows.frames();
    TANDEM_CHECK(frames > 0, "extract", path, ": no frame could be decoded");
    TANDEM_CHECK(rows.rows() > 0, "extract", path, ": the video has ", frames, " frame",
                 frames == 1 ? "" : "s", s.fps > 0 ? concat(" at ", s.fps, " per second") : "",
                 ", a row takes ", s.stack + (s.last_flow == LastFlow::drop ? 1 : 0));
    VideoFeatures out;
    out.timestamps_ms = rows.timestamps_ms();
    out.frames = frames;
    out.info = reader.info();
    out.fps = s.fps > 0 ? s.fps : out.info.fps;
    out.seconds = rows.seconds();
    out.seconds_per_row =
        out.fps > 0 ? static_cast<double>(s.step) / out.fps
                    : out.seconds / static_cast<double>(frames) * static_cast<double>(s.step);
    out.warnings = reader.report().warnings;
    return out;
  }

  FeatureEncoders encoders_;
  const std::unique_ptr<clip::CapturedEncoder<float>> clip_encoder_;
  ExtractionOptions o_;
  ThreadBudget budget_;
  Queue networks_;  // of a GPU
};

}  // namespace wtal
TANDEM_NAMESPACE_END
