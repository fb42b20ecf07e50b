#pragma once
/// CLIP's text encoder, with gradients to vectors put in place of tokens.     [Radford et al. 2021]

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tandem/clip/transformer.hpp"
#include "tandem/nn/embedding.hpp"
#include "tandem/ops/matmul.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

/// The sizes of a text encoder; the defaults are those of ViT-B/16 and ViT-B/32.
struct TextEncoderOptions {
  std::int64_t vocabulary = 49408;
  std::int64_t context = 77;
  std::int64_t width = 512;
  std::int64_t layers = 12;
  std::int64_t heads = 8;
  std::int64_t hidden = 0;  ///< width inside the perceptrons; 0: 4·width
  std::int64_t output = 512;
  Activation activation = Activation::quick_gelu;  ///< gelu for most models trained by open_clip
  double epsilon = 1e-5;                           ///< of the layer norms
  /// Position i sees 0 … i; false: all see all, also the padding up to the context
  bool causal = true;
};

/// TextEncoder — causal transformer over token embeddings; the feature of a text is read at its
/// EOT, after ln_final, times text_projection.
///   embedded (N, L, width), end (N) positions of EOT → (N, output), not normalised.
/// Causal: positions after a text's EOT change nothing and are not computed, and rows that all
/// texts begin with (SOS, the learned vectors in front) are computed once for all
/// (nn/packed_rows.hpp). Not causal (open_clip's no_causal_mask): embedded is as long as the
/// context, token 0 after EOT. Parameter names are those of OpenAI's release
/// (token_embedding.weight, positional_embedding, transformer.resblocks.0.attn.in_proj_weight …,
/// ln_final.weight, text_projection). The initial values are those of the release too: N(0, 0.02)
/// tokens, N(0, 0.01) positions, and the blocks' weights scaled by width and depth.
template <FloatingElement T>
class TextEncoder final : public nn::Module<T> {
 public:
  TextEncoder(const TextEncoderOptions& options, Generator& random)
      : token_embedding(options.vocabulary, options.width, random, 0.02),
        positional_embedding(nn::normal<T>({options.context, options.width}, random, 0.01)),
        transformer(options.width, options.layers, options.heads, options.hidden,
                    options.activation, random, true, options.epsilon),
        ln_final(options.width, options.epsilon),
        text_projection(nn::normal<T>({options.width, options.output}, random,
                                      1 / __builtin_sqrt(static_cast<double>(options.width)))),
        options_(options) {
    this->add("token_embedding", token_embedding);
    this->add("positional_embedding", positional_embedding);
    this->add("transformer", transformer);
    this->add("ln_final", ln_final);
    this->add("text_projection", text_projection);
  }

  /// Embeddings (N, L, width) of N texts, each read up to its `end` → features (N, output).
  Tensor<T> forward(const Tensor<T>& embedded, const std::vector<std::int64_t>& end) const {
    const nn::ModuleScope scope = this->scope();
    TANDEM_CHECK(embedded.rank() == 3 && embedded.size(2) == options_.width, "text_encoder",
                 "expected embeddings (N, L, ", options_.width, "), got ", embedded.shape());
    const std::int64_t texts = embedded.size(0), given = embedded.size(1);
    TANDEM_CHECK(static_cast<std::int64_t>(end.size()) == texts, "text_encoder", "expected ", texts,
                 " end positions, got ", end.size());
    std::vector<std::int64_t> lengths, rows;
    for (std::int64_t n = 0; n < texts; ++n) {
      const std::int64_t at = end[static_cast<std::size_t>(n)];
      TANDEM_CHECK(at >= 0 && at < given, "text_encoder", "the end position ", at, " of text ", n,
                   " lies outside its ", given, " tokens");
      lengths.push_back(at + 1);
      for (std::int64_t t = 0; t <= at; ++t) rows.push_back(n * given + t);
    }
    if (!options_.causal) return forward_all(embedded, end);
    const Tensor<std::int64_t> kept = from_vector<std::int64_t>(rows).to(embedded.device());
    return forward_packed(index_select(embedded.reshape({texts * given, options_.width}), 0, kept),
                          nn::PackedRows(lengths, 0).to(embedded.device()));
  }
  /// The same for embeddings without padding whose common beginning is there once: rows as `packed`
  /// says (rows, width) → (N, output).
  Tensor<T> forward_packed(const Tensor<T>& embedded, const nn::PackedRows& packed) const {
    const nn::ModuleScope scope = this->scope();
    TANDEM_CHECK(
        options_.causal, "text_encoder",
        "texts without padding need a causal encoder, and in this one every position sees all");
    TANDEM_CHECK(embedded.rank() == 2 && embedded.size(1) == options_.width &&
                     embedded.size(0) == packed.rows,
                 "text_encoder", "expected embeddings (", packed.rows, ", ", options_.width,
                 "), got ", embedded.shape());
    TANDEM_CHECK(packed.longest <= options_.context, "text_encoder", "a text of ", packed.longest,
                 " tokens is longer than the context of ", options_.context);
    const Tensor<T> x = add(embedded, index_select(positional_embedding, 0, packed.position));
    return matmul(ln_final.forward(transformer.forward_packed(x, packed)), text_projection);
  }
  /// The features of token ids (SOS … EOT), which may differ in length. What all texts begin with
  /// is computed once. On the device of the parameters.
  Tensor<T> encode(const std::vector<std::vector<std::int64_t>>& texts) const {
    std::vector<std::int64_t> lengths;
    for (std::size_t n = 0; n < texts.size(); ++n) {
      TANDEM_CHECK(!texts[n].empty(), "text_encoder", "text ", n, " has no tokens");
      lengths.push_back(static_cast<std::int64_t>(texts[n].size()));
    }
    TANDEM_CHECK(!texts.empty(), "text_encoder", "there are no texts");
    const Device device = positional_embedding.device();
    if (!options_.causal) {
      std::vector<std::int64_t> padded(texts.size() * static_cast<std::size_t>(options_.context),
                                       0),
          end;
      for (std::size_t n = 0; n < texts.size(); ++n) {
        TANDEM_CHECK(lengths[n] <= options_.context, "text_encoder", "a text of ", lengths[n],
                     " tokens is longer than the context of ", options_.context);
        std::copy(texts[n].begin(), texts[n].end(),
                  padded.begin() + static_cast<std::ptrdiff_t>(n) * options_.context);
        end.push_back(lengths[n] - 1);
      }
      const Shape shape{static_cast<std::int64_t>(texts.size()), options_.context};
      return forward(token_embedding.forward(from_vector<std::int64_t>(padded, shape).to(device)),
                     end);
    }
    // The end of a text is its own, even where a longer text goes on with the same tokens.
    std::size_t prefix = texts[0].size() - 1;
    for (const auto& ids : texts) {
      std::size_t same = 0;
      while (same < prefix && same + 1 < ids.size() && ids[same] == texts[0][same]) ++same;
      prefix = same;
    }
    std::vector<std::int64_t> rows(texts[0].begin(),
                                   texts[0].begin() + static_cast<std::ptrdiff_t>(prefix));
    for (const auto& ids : texts) {
      rows.insert(rows.end(), ids.begin() + static_cast<std::ptrdiff_t>(prefix), ids.end());
    }
    return forward_packed(token_embedding.forward(from_vector<std::int64_t>(rows).to(device)),
                          nn::PackedRows(lengths, static_cast<std::int64_t>(prefix)).to(device));
  }
  /// The sizes it was made with.
  const TextEncoderOptions& options() const { return options_; }

  nn::Embedding<T> token_embedding;
  Tensor<T> positional_embedding;
  Transformer<T> transformer;
  nn::LayerNorm<T> ln_final;
  Tensor<T> text_projection;

 private:
  /// Every position sees all of them.
  Tensor<T> forward_all(const Tensor<T>& embedded, const std::vector<std::int64_t>& end) const {
    TANDEM_CHECK(embedded.size(1) == options_.context, "text_encoder",
                 "where every position sees all, texts must be ", "padded to the context of ",
                 options_.context, ", got ", embedded.shape());
    const Tensor<bool> last = full<bool>({embedded.size(0), embedded.size(1)}, false);
    for (std::size_t n = 0; n < end.size(); ++n) {
      last.mutable_data()[static_cast<std::int64_t>(n) * options_.context + end[n]] = true;
    }
    const Tensor<T> x = add(embedded, positional_embedding);
    return matmul(ln_final.forward(transformer.forward_rows(x, last)), text_projection);
  }

  TextEncoderOptions options_;
};

}  // namespace clip
TANDEM_NAMESPACE_END
