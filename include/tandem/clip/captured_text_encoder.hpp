#pragma once
/// CapturedTextEncoder — the inference of a text encoder on a GPU with fixed buffers and one graph
/// a layout of texts (cuda/graph.hpp): texts of these lengths are a copy of their embeddings and
/// one replay.
///
///   clip::CapturedTextEncoder<float> encoder(loaded);        // a Ref<TextEncoder<float>>
///   auto embeddings = prompts.forward(loaded->token_embedding);
///   auto features = encoder.forward_packed(embeddings, prompts.packed());

#include <cstddef>
#include <cstdint>
#include <utility>

#include "tandem/clip/captured_forwards.hpp"
#include "tandem/clip/text_encoder.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {
namespace detail {

/// Where texts lie in their rows: equal if the tensors are the same ones, which are held here, so
/// that no others come to lie at their addresses.
struct TextLayout {
  nn::PackedRows packed;
  bool operator==(const TextLayout& other) const {
    return packed.place.storage() == other.packed.place.storage();
  }
};

}  // namespace detail

/// Texts of a layout run as usual the first time, are captured the second, and from then on are a
/// replay, whose bits are those of the usual forward: their lengths say what is launched, their
/// embeddings may change. A layout is known by its tensors, so it has to be the same PackedRows, or
/// a copy of it, each time (PromptLearner::packed() is). So VlpBranch encodes class names anew
/// whenever their prompts have learned. No graph is recorded for gradients; on the CPU all runs as
/// usual. Graphs are made anew after the encoder has moved or its weights are kept in another form;
/// weights that change in place are seen. Not for several threads at once.
template <FloatingElement T>
class CapturedTextEncoder {
 public:
  /// Each graph keeps memory of its own; further layouts run as usual, until one of these has not
  /// come for long.
  static constexpr std::size_t most_graphs =
      detail::CapturedForwards<T, detail::TextLayout>::most_graphs;

  explicit CapturedTextEncoder(Ref<TextEncoder<T>> encoder) : encoder_(std::move(encoder)) {
    TANDEM_CHECK(encoder_, "captured_text_encoder", "there is no encoder");
  }

  /// TextEncoder::forward_packed: embedded (rows, width) and `packed` on the encoder's device → (N,
  /// output) there, not normalised. Of a replay they stay what they are until the next one of this
  /// layout. Nothing waits.
  Tensor<T> forward_packed(const Tensor<T>& embedded, const nn::PackedRows& packed) {
    return forwards_.forward(*encoder_, encoder_->positional_embedding.device(), embedded, {packed},
                             [this](const Tensor<T>& x, const detail::TextLayout& layout) {
                               return encoder_->forward_packed(x, layout.packed);
                             });
  }

  /// The encoder that it was made with.
  const TextEncoder<T>& encoder() const { return *encoder_; }
  /// Graphs that exist, and what their memory is, in bytes.
  std::int64_t graphs() const { return forwards_.graphs(); }
  std::int64_t graph_bytes() const { return forwards_.graph_bytes(); }

 private:
  Ref<TextEncoder<T>> encoder_;
  detail::CapturedForwards<T, detail::TextLayout> forwards_;
};

}  // namespace clip
TANDEM_NAMESPACE_END
