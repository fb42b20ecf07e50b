#pragma once
/// What one frame carries from stage to stage of the extraction, and the clock of the stages.

#include <atomic>
#include <chrono>
#include <cstdint>

#include "tandem/features/video_features.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Which streams are extracted.
struct Streams {
  bool rgb = false, flow = false, clip = false;
};

/// A frame on its way: frame_source.hpp fills it, flow_stage.hpp turns the pair of grey frames into
/// flow, row_assembler.hpp makes rows of frames. What a stream does not need is undefined.
struct ExtractionFrame {
  std::int64_t index = 0;
  double seconds = 0, next_seconds = 0;  ///< when it and the frame behind it are shown
  Tensor<std::uint8_t> crop;             ///< (crop, crop, 3) for the RGB stream
  Tensor<std::uint8_t> gray;             ///< (h, w), for flow
  Tensor<std::uint8_t> next_gray;        ///< of the frame behind; undefined for the last
  /// The whole frame, where CLIP may need it later or a GPU prepares it
  Tensor<std::uint8_t> picture;
  Tensor<float> clip;  ///< (3, 224, 224)
  /// (2, 1, crop, crop), prepared: to the frame behind; undefined for the last
  Tensor<float> flow;
  bool last = false;
};

/// Seconds of each stage, counted by several threads.
struct StageClock {
  std::atomic<double> decode{0}, prepare{0}, flow{0}, i3d_rgb{0}, i3d_flow{0}, clip{0};
  StageSeconds read() const {
    return {.decode = decode,
            .prepare = prepare,
            .flow = flow,
            .i3d_rgb = i3d_rgb,
            .i3d_flow = i3d_flow,
            .clip = clip};
  }
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

}  // namespace wtal
TANDEM_NAMESPACE_END
