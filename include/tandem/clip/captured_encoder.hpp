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

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tandem/clip/image_encoder.hpp"
#include "tandem/cpu/precision.hpp"
#include "tandem/cuda/graph.hpp"
#include "tandem/ops/to.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

/// The first batch of a size runs as usual, the second is captured, and from then on a batch is a
/// replay, whose bits are those of the usual forward. No graph is recorded for gradients. On the
/// CPU every batch runs as usual. Graphs are made anew after the encoder has moved or its weights
/// are kept in another form; weights that change in place are seen. Not for several threads at once.
template <FloatingElement T>
class CapturedEncoder {
 public:
  /// Each graph keeps memory of its own; batches of further sizes run as usual.
  static constexpr std::size_t most_graphs = 8;

  explicit CapturedEncoder(Ref<ImageEncoder<T>> encoder) : encoder_(std::move(encoder)) {
    TANDEM_CHECK(encoder_, "captured_encoder", "there is no encoder");
  }

  /// images (B, 3, resolution, resolution), preprocessed, on the CPU or the encoder's device → (B,
  /// output) there, not normalised. Of a replay they stay what they are until the next batch of
  /// this size. Nothing waits.
  Tensor<T> forward(const Tensor<T>& images) {
    const NoGrad no_grad;
    const Device device = encoder_->class_embedding.device();
    if (device.is_cpu()) return encoder_->forward(images);
    std::vector<const void*> addresses;
    for (const nn::Slot<T>& slot : encoder_->slots()) {
      if (slot.tensor->defined()) addresses.push_back(slot.tensor->device_data());
      if (slot.matrix != nullptr && slot.matrix->is_bfloat16())
        addresses.push_back(slot.matrix->bf16().device_data());
    }
    if (addresses != addresses_) entries_.clear();
    addresses_ = std::move(addresses);
    const Precision precision = product_precision();
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
      return e.images.shape() == images.shape() && e.precision == precision;
    });
    if (found == entries_.end()) {
      const Tensor<T> there = images.to(device);
      const Tensor<T> features = encoder_->forward(there);
      if (entries_.size() < most_graphs && images.size(0) > 0) {
        const Tensor<T> room(images.shape(), device);
        entries_.push_back({precision, room, {}, {}});
      }
      return features;
    }
    found->images.copy_(images);
    if (!found->graph.captured()) {
      found->graph = Graph::capture(current_queue(device),
                                    [&] { found->features = encoder_->forward(found->images); });
    }
    found->graph.replay();
    return found->features;
  }

  /// The encoder that it was made with.
  const ImageEncoder<T>& encoder() const { return *encoder_; }
  /// Graphs that exist, and what their memory is, in bytes.
  std::int64_t graphs() const {
    std::int64_t count = 0;
    for (const Entry& entry : entries_) count += entry.graph.captured() ? 1 : 0;
    return count;
  }
  std::int64_t graph_bytes() const {
    std::int64_t bytes = 0;
    for (const Entry& entry : entries_) bytes += entry.graph.bytes();
    return bytes;
  }

 private:
  struct Entry {
    Precision precision;
    Tensor<T> images;
    Tensor<T> features;
    Graph graph;
  };

  Ref<ImageEncoder<T>> encoder_;
  std::vector<const void*> addresses_;
  std::vector<Entry> entries_;
};

}  // namespace clip
TANDEM_NAMESPACE_END
