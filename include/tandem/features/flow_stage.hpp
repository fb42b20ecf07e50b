#pragma once
/// The second stage of extraction: the pair of grey frames becomes flow, as I3D reads it.
///                                                                                      [method §2]
///
///   const FlowStage flow(options, clock);
///   frame = flow(std::move(frame));       // frame.flow (2, 1, crop, crop)

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tandem/features/extraction_frame.hpp"
#include "tandem/features/row_assembler.hpp"
#include "tandem/features/snippets.hpp"
#include "tandem/flow/tvl1.hpp"
#include "tandem/i3d/preprocess.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// May be called by several threads at a time: a frame needs nothing of the others.
class FlowStage {
 public:
  FlowStage(const ExtractionOptions& options, StageClock& clock) : o_(options), clock_(clock) {}

  /// The frame with its flow and without the grey pictures; the last frame, and those that lie in
  /// no row, get none.
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

/// The flow of a row as I3D takes it, (1, 2, stack, crop, crop), where the frames' flow is; where a
/// frame has none, that of the frame before it, at the very beginning zeros.
inline Tensor<float> row_flow(const FrameRow<ExtractionFrame>& row, std::int64_t crop) {
  const ExtractionFrame* const before = row.before();
  Tensor<float> known = before != nullptr ? before->flow : Tensor<float>();
  Device device = known.defined() ? known.device() : Device::cpu();
  for (std::int64_t i = 0; i < row.size(); ++i) {
    if (row[i].flow.defined()) device = row[i].flow.device();
  }
  std::vector<Tensor<float>> flows;
  for (std::int64_t i = 0; i < row.size(); ++i) {
    if (row[i].flow.defined()) known = row[i].flow;
    flows.push_back(known.defined() ? known : zeros<float>({2, 1, crop, crop}, device));
  }
  return cat(flows, 1).unsqueeze(0);
}

}  // namespace wtal
TANDEM_NAMESPACE_END
