#pragma once
/// CapturedEncoder — the inference of an image encoder on a GPU with fixed buffers and one graph a
/// batch size (cuda/graph.hpp): a batch is a copy of its images and one replay.
///
///   clip::CapturedEncoder<float> encoder(loaded);            // a Ref<ImageEncoder<float>>
///   HostCopy<float> features;
///   for (const Tensor<std::uint8_t>& batch : batches) {
///     features.start(encoder.forward(clip::preprocess(batch.to(Device::cuda()))));
///     use(features.get());                                   // the only wait of a batch
///   }

#include <cstddef>
#include <cstdint>
#include <utility>

#include "tandem/clip/captured_forwards.hpp"
#include "tandem/clip/image_encoder.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {
namespace detail {

/// The key where the shape of the input says all.
struct ShapeAlone {
  bool operator==(const ShapeAlone&) const { return true; }
};

}  // namespace detail

/// The first batch of a size runs as usual, the second is captured, and from then on a batch is a
/// replay, whose bits are those of the usual forward. No graph is recorded for gradients. On the
/// CPU every batch runs as usual. Graphs are made anew after the encoder has moved or its weights
/// are kept in another form; weights that change in place are seen. Not for several threads at
/// once.
template <FloatingElement T>
class CapturedEncoder {
 public:
  /// Each graph keeps memory of its own; batches of further sizes run as usual, until one of these
  /// has not come for long.
  static constexpr std::size_t most_graphs =
      detail::CapturedForwards<T, detail::ShapeAlone>::most_graphs;

  explicit CapturedEncoder(Ref<ImageEncoder<T>> encoder) : encoder_(std::move(encoder)) {
    TANDEM_CHECK(encoder_, "captured_encoder", "there is no encoder");
  }

  /// images (B, 3, resolution, resolution), preprocessed, on the CPU or the encoder's device → (B,
  /// output) there, not normalised. Of a replay they stay what they are until the next batch of
  /// this size. Nothing waits.
  Tensor<T> forward(const Tensor<T>& images) {
    return forwards_.forward(
        *encoder_, encoder_->class_embedding.device(), images, {},
        [this](const Tensor<T>& x, const detail::ShapeAlone&) { return encoder_->forward(x); });
  }

  /// The encoder that it was made with.
  const ImageEncoder<T>& encoder() const { return *encoder_; }
  /// Graphs that exist, and what their memory is, in bytes.
  std::int64_t graphs() const { return forwards_.graphs(); }
  std::int64_t graph_bytes() const { return forwards_.graph_bytes(); }

 private:
  Ref<ImageEncoder<T>> encoder_;
  detail::CapturedForwards<T, detail::ShapeAlone> forwards_;
};

}  // namespace clip
TANDEM_NAMESPACE_END
