#pragma once
/// The second stage of extraction: the pair of grey frames becomes flow, as I3D reads it.  [method §2]
///
///   const FlowStage flow(options, clock);
///   frame = flow(std::move(frame));       // frame.flow (2, 1, crop, crop)

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tandem/features/extraction_frame.hpp"
#include "tandem/features/row_assembler.hpp"
#include "tandem/features/snippets.hpp"
#include "tandem/flow/tvl1.hpp"
#include "tandem/i3d/preprocess.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// May be called by several threads at a time: a frame needs nothing of the others.
class FlowStage {
 public:
  FlowStage(const ExtractionOptions& options, StageClock& clock) : o_(options), clock_(clock) {}

  /// The frame with its flow and without the grey pictures; the last frame, and those that lie in no
  /// row, get none.
  ExtractionFrame operator()(ExtractionFrame frame) const {
    if (frame.next_gray.defined() && frame_is_used(frame.index, o_.snippets)) {
      const StageTimer timer(clock_.flow);
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

 private:
  const ExtractionOptions o_;
  StageClock& clock_;
};

/// The flow of a row as I3D takes it, (1, 2, stack, crop, crop); where a frame has none, that of
/// the frame before it, at the very beginning zeros.
inline Tensor<float> row_flow(const FrameRow<ExtractionFrame>& row, std::int64_t crop) {
  const std::int64_t pixels = crop * crop;
  const Tensor<float> out({1, 2, row.size(), crop, crop});
  const ExtractionFrame* before = row.before();
  const float* known = before != nullptr && before->flow.defined() ? before->flow.data() : nullptr;
  for (std::int64_t i = 0; i < row.size(); ++i) {
    if (row[i].flow.defined()) known = row[i].flow.data();
    for (std::int64_t c = 0; c < 2; ++c) {
      float* to = out.mutable_data() + (c * row.size() + i) * pixels;
      if (known != nullptr) {
        std::memcpy(to, known + c * pixels, static_cast<std::size_t>(pixels) * sizeof(float));
      } else {
        std::memset(to, 0, static_cast<std::size_t>(pixels) * sizeof(float));
      }
    }
  }
  return out;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
