#pragma once
/// Where a Hugging Face CLIPModel keeps its tensors: OpenAI's names → theirs.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tandem/io/filler.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

using io::Pieces;

namespace detail {

/// "12" of "12.ln_1.weight", and what follows the dot.
inline std::pair<std::string_view, std::string_view> split_layer(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return {text, ""};
  return {text.substr(0, dot), text.substr(dot + 1)};
}

/// The first pair whose key starts `text`, as its value and the rest of the text.
struct Renamed {
  std::string_view from, to;
};
template <std::size_t N>
std::optional<std::string> rename(std::string_view text, const Renamed (&table)[N]) {
  for (const Renamed& row : table) {
    if (text.starts_with(row.from)) return std::string(row.to) += text.substr(row.from.size());
  }
  return std::nullopt;
}

inline constexpr Renamed hugging_face_tensors[] = {
    {"visual.class_embedding", "vision_model.embeddings.class_embedding"},
    {"visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"},
    {"visual.conv1.", "vision_model.embeddings.patch_embedding."},
    {"visual.ln_pre.", "vision_model.pre_layrnorm."},  // their spelling
    {"visual.ln_post.", "vision_model.post_layernorm."},
    {"visual.proj", "visual_projection.weight"},
    {"token_embedding.", "text_model.embeddings.token_embedding."},
    {"positional_embedding", "text_model.embeddings.position_embedding.weight"},
    {"ln_final.", "text_model.final_layer_norm."},
    {"text_projection", "text_projection.weight"}};
inline constexpr Renamed hugging_face_layers[] = {
    {"visual.transformer.resblocks.", "vision_model.encoder.layers."},
    {"transformer.resblocks.", "text_model.encoder.layers."}};
inline constexpr Renamed hugging_face_parts[] = {{"ln_1.", "layer_norm1."},
                                                 {"ln_2.", "layer_norm2."},
                                                 {"attn.out_proj.", "self_attn.out_proj."},
                                                 {"mlp.c_fc.", "mlp.fc1."},
                                                 {"mlp.c_proj.", "mlp.fc2."}};

}  // namespace detail

/// Where a Hugging Face CLIPModel keeps the tensor that OpenAI's release calls `name`.
inline Pieces hugging_face_pieces(const std::string& name) {
  if (const auto layer = detail::rename(name, detail::hugging_face_layers)) {
    const std::size_t digits = layer->find("layers.") + 7;
    const auto [number, part] = detail::split_layer(std::string_view(*layer).substr(digits));
    const std::string before = layer->substr(0, digits) + std::string(number) + ".";
    constexpr std::string_view joint = "attn.in_proj_";
    if (part.starts_with(joint)) {
      Pieces out;
      for (const char* which : {"q", "k", "v"}) {
        out.names.push_back(
            concat(before, "self_attn.", which, "_proj.", part.substr(joint.size())));
      }
      return out;
    }
    if (const auto renamed = detail::rename(part, detail::hugging_face_parts))
      return {{before + *renamed}};
    return {{name}};
  }
  const auto renamed = detail::rename(name, detail::hugging_face_tensors);
  return {{renamed ? *renamed : name}, name == "visual.proj" || name == "text_projection"};
}

}  // namespace clip
TANDEM_NAMESPACE_END
