#pragma once
/// The first two stages of extraction on a GPU: what frame_source.hpp and flow_stage.hpp make of
/// frames one by one on the CPU, for some at a time.                                [method §2, §9]
///
///   DeviceFrames stage(options, {.flow = true}, Device::cuda());
///   for (ExtractionFrame& frame : stage.add(pictures)) use(frame);  // pictures: on the host
///
/// Pictures are uploaded as they were decoded; resizing, cropping, grey, TV-L1 of all pairs at once
/// and what I3D and CLIP take are made there. Resized bytes are the CPU's, flow that of the CPU's
/// portable instruction set.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "tandem/clip/preprocess.hpp"
#include "tandem/features/extraction_frame.hpp"
#include "tandem/features/snippets.hpp"
#include "tandem/flow/tvl1.hpp"
#include "tandem/i3d/preprocess.hpp"
#include "tandem/image/gray.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/index_select.hpp"
#include "tandem/ops/to.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Not for several threads at once.
class DeviceFrames {
 public:
  /// So many frames are worth a call: the pairs of a batch share TV-L1's launches and its waits.
  static constexpr std::size_t batch = 16;

  DeviceFrames(const ExtractionOptions& options, Streams streams, Device device)
      : o_(options),
        streams_(streams),
        device_(device),
        offsets_(clip_offsets(options.snippets.stack, options.clip_frames)) {}

  /// The next frames, whose pictures are on the host and of one size; gives those that are
  /// complete, in their order, with tensors on the device, made on its current queue. Flow leads to
  /// the frame behind, so that the last one stays here until that has come, or is `last` itself.
  /// Waits where flow::tvl1 does.
  std::vector<ExtractionFrame> add(std::vector<ExtractionFrame> frames) {
    if (frames.empty()) return {};
    const NoGrad no_grad;
    const auto count = static_cast<std::int64_t>(frames.size());
    const Tensor<std::uint8_t>& first = frames[0].picture;
    const Tensor<std::uint8_t> pictures({count, first.size(0), first.size(1), 3}, device_);
    for (std::int64_t i = 0; i < count; ++i) pictures[i].copy_(at(frames, i).picture);
    if (streams_.rgb) {
      const std::vector<std::int64_t> used = positions(
          frames, [this](const ExtractionFrame& f) { return frame_is_used(f.index, o_.snippets); });
      const Tensor<std::uint8_t> crops =
          io::resize_and_crop(some(pictures, used), o_.i3d.size, o_.i3d.crop, o_.i3d.filter);
      for (std::size_t k = 0; k < used.size(); ++k)
        at(frames, used[k]).crop = crops[static_cast<std::int64_t>(k)];
    }
    if (streams_.clip) {
      const std::vector<std::int64_t> seen = positions(frames, [this](const ExtractionFrame& f) {
        return clip_sees(f.index, offsets_, o_.snippets) ||
               (f.last && o_.snippets.tail == Tail::repeat);  // which repeats the last frame
      });
      const Tensor<float> images = clip::preprocess(some(pictures, seen), o_.clip);
      for (std::size_t k = 0; k < seen.size(); ++k)
        at(frames, seen[k]).clip = images[static_cast<std::int64_t>(k)];
    }
    for (ExtractionFrame& frame : frames) frame.picture = {};
    if (!streams_.flow) return frames;

    const io::ImageSize size = io::resized_size(pictures.size(1), pictures.size(2), o_.flow_size);
    Tensor<std::uint8_t> gray =
        io::rgb_to_gray(io::resize(pictures, size.height, size.width, o_.i3d.filter));
    if (held_) {
      gray = cat(std::vector<Tensor<std::uint8_t>>{held_gray_.unsqueeze(0), gray}, 0);
      frames.insert(frames.begin(), std::move(*held_));
      held_.reset();
    }
    const auto all = static_cast<std::int64_t>(frames.size());
    const std::vector<std::int64_t> from = positions(frames, [&](const ExtractionFrame& f) {
      return &f != &frames.back() && frame_is_used(f.index, o_.snippets);
    });
    if (!from.empty()) {
      std::vector<std::int64_t> to = from;
      for (std::int64_t& position : to) ++position;
      const Tensor<float> field = flow::tvl1(some(gray, from), some(gray, to), o_.tvl1);
      const Tensor<float> flows = i3d::preprocess_flow(field, o_.i3d);
      for (std::size_t k = 0; k < from.size(); ++k) {
        const auto place = static_cast<std::int64_t>(k);
        at(frames, from[k]).flow = flows.slice(1, place, place + 1);
      }
    }
    if (!frames.back().last) {
      held_gray_ = gray[all - 1].clone();
      held_ = std::move(frames.back());
      frames.pop_back();
    }
    return frames;
  }

 private:
  static ExtractionFrame& at(std::vector<ExtractionFrame>& frames, std::int64_t i) {
    return frames[static_cast<std::size_t>(i)];
  }
  template <class Wanted>
  static std::vector<std::int64_t> positions(const std::vector<ExtractionFrame>& frames,
                                             const Wanted& wanted) {
    std::vector<std::int64_t> out;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      if (wanted(frames[i])) out.push_back(static_cast<std::int64_t>(i));
    }
    return out;
  }
  /// The pictures at increasing `places`: mostly neighbours, which need no copy.
  static Tensor<std::uint8_t> some(const Tensor<std::uint8_t>& pictures,
                                   const std::vector<std::int64_t>& places) {
    const auto count = static_cast<std::int64_t>(places.size());
    if (count == 0) return pictures.slice(0, 0, 0);
    if (places.back() - places.front() + 1 == count)
      return pictures.slice(0, places.front(), places.back() + 1);
    return index_select(pictures, 0, from_vector<std::int64_t>(places).to(pictures.device()));
  }

  const ExtractionOptions o_;
  const Streams streams_;
  const Device device_;
  const std::vector<std::int64_t> offsets_;
  std::optional<ExtractionFrame> held_;  // the last frame, as long as its flow is not known
  Tensor<std::uint8_t> held_gray_;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
