#pragma once
/// The files that the VLP branch's text side comes from: a text encoder's weights and the token ids of
/// the class names.

#include <cstdint>
#include <string>
#include <vector>

#include "tandem/clip/text_encoder.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/io/safetensors.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Reads a CLIP text encoder from a safetensors file with the names of OpenAI's release; tensors of the
/// image side ("visual.…", "logit_scale") are left alone. Sizes follow from the shapes; the number of
/// heads from the metadata "heads", else width/64 as in every released model.
/// Errors: a tensor that is missing or has another shape, by name.
template <FloatingElement T>
Ref<clip::TextEncoder<T>> load_text_encoder(const std::string& path) {
  const io::SafetensorsFile file(path);
  const auto shape = [&](const char* name, std::size_t rank) {
    TANDEM_CHECK(file.contains(name), "text_encoder", path, " has no tensor '", name, "'");
    const std::vector<std::int64_t>& sizes = file.at(name).shape;
    TANDEM_CHECK(sizes.size() == rank, "text_encoder", "'", name, "' in ", path, " has ", sizes.size(),
                 " dimensions, expected ", rank);
    return sizes;
  };
  clip::TextEncoderOptions options;
  options.vocabulary = shape("token_embedding.weight", 2)[0];
  options.width = shape("token_embedding.weight", 2)[1];
  options.context = shape("positional_embedding", 2)[0];
  options.output = shape("text_projection", 2)[1];
  options.layers = 0;
  while (file.contains(concat("transformer.resblocks.", options.layers, ".ln_1.weight"))) ++options.layers;
  const auto heads = file.metadata().find("heads");
  if (heads != file.metadata().end()) {
    options.heads = io::JsonDocument::parse(heads->second, path + " (heads)").root().integer(1, 1 << 20);
  } else {
    options.heads = options.width >= 64 ? options.width / 64 : 1;
  }
  Generator unused(0);
  auto encoder = make_ref<clip::TextEncoder<T>>(options, unused);
  std::vector<nn::Named<T>> state;
  for (const nn::Named<T>& own : encoder->state_dict()) {
    if (file.contains(own.name)) state.push_back({own.name, file.get_as<T>(own.name)});
  }
  encoder->load_state_dict(state);  // strict: a missing tensor is named
  encoder->freeze();
  return encoder;
}

/// Writes a text encoder as load_text_encoder reads it.
template <FloatingElement T>
void save_text_encoder(const std::string& path, const clip::TextEncoder<T>& encoder,
                       const std::string& note) {
  io::SafetensorsWriter out;
  for (const nn::Named<T>& named : encoder.state_dict()) out.add(named.name, named.tensor);
  out.metadata["heads"] = std::to_string(encoder.options().heads);
  out.metadata["note"] = note;
  out.save(path);
}

/// The token ids of class names:
///   {"start": 49406, "end": 49407, "classes": {"BaseballPitch": [9263, 4561], …}}
struct ClassTokens {
  std::int64_t start = 49406, end = 49407;
  std::vector<std::vector<std::int64_t>> names;  ///< in the order of the classes
};

/// Reads the token ids of `classes`. Errors: a class that is missing, an id outside the vocabulary.
inline ClassTokens load_class_tokens(const std::string& path, const std::vector<std::string>& classes,
                                     std::int64_t vocabulary) {
  const io::JsonDocument document = io::JsonDocument::load(path);
  const io::JsonRef root = document.root();
  ClassTokens out;
  out.start = root["start"].integer(0, vocabulary - 1);
  out.end = root["end"].integer(0, vocabulary - 1);
  const io::JsonRef table = root["classes"];
  for (const std::string& name : classes) {
    const io::JsonRef ids = table[name];
    std::vector<std::int64_t> tokens;
    for (const auto& id : ids.array()) tokens.push_back(ids.of(id).integer(0, vocabulary - 1));
    if (tokens.empty()) ids.error("expected the token ids of the class name, found none");
    out.names.push_back(std::move(tokens));
  }
  return out;
}

/// Writes token ids as load_class_tokens reads them.
inline void save_class_tokens(const std::string& path, const std::vector<std::string>& classes,
                              const ClassTokens& tokens) {
  io::Json root = io::Json::object();
  root["start"] = tokens.start;
  root["end"] = tokens.end;
  io::Json table = io::Json::object();
  for (std::size_t c = 0; c < classes.size(); ++c) table[classes[c]] = tokens.names.at(c);
  root["classes"] = std::move(table);
  io::save_json(path, root);
}

}  // namespace wtal
TANDEM_NAMESPACE_END
