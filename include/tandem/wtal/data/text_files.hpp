#pragma once
/// What the VLP branch's text side comes from: a text encoder's weights (read by clip/load.hpp) and
/// the token ids of the class names, from a file or from CLIP's vocabulary.

#include <cstdint>
#include <string>
#include <vector>

#include "tandem/clip/class_names.hpp"
#include "tandem/clip/text_encoder.hpp"
#include "tandem/clip/tokenizer.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/io/safetensors.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Writes a text encoder as clip::load_text_encoder reads it.
template <FloatingElement T>
void save_text_encoder(const std::string& path, const clip::TextEncoder<T>& encoder,
                       const std::string& note) {
  io::SafetensorsWriter out;
  for (const nn::Named<T>& named : encoder.state_dict()) out.add(named.name, named.tensor);
  out.metadata["text_heads"] = std::to_string(encoder.options().heads);
  out.metadata["activation"] =
      encoder.options().activation == Activation::quick_gelu ? "quick_gelu" : "gelu";
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
inline ClassTokens load_class_tokens(const std::string& path,
                                     const std::vector<std::string>& classes,
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

/// The token ids of class names by CLIP's vocabulary: lower-cased, in words ("ThrowDiscus" → "throw
/// discus"), as clip::readable_class_name writes them.                               [method §3, C]
inline ClassTokens tokenize_classes(const clip::Tokenizer& tokenizer,
                                    const std::vector<std::string>& classes) {
  ClassTokens out{tokenizer.start_token(), tokenizer.end_token(), {}};
  for (const std::string& name : classes) {
    out.names.push_back(tokenizer.encode(clip::readable_class_name(name)));
    TANDEM_CHECK(!out.names.back().empty(), "tokenize_classes", "the class name \"", name,
                 "\" has no words");
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
