#pragma once
/// What a checkpoint of train_dcl remembers of the data and the class texts it was trained with,
/// and how that is held against what a program is given now.

#include <string>
#include <utility>
#include <vector>

#include "common_cli.hpp"
#include "dcl_data.hpp"
#include "tandem/io/checkpoint.hpp"
#include "tandem/wtal/data/fingerprint.hpp"

namespace dcl {

/// Of the text encoder's weights and the class names' tokens: they are not in the checkpoint.
inline std::string text_fingerprint(const Text& text) {
  std::uint64_t sum =
      io::checksum(std::string_view(), static_cast<std::uint64_t>(text.tokens.start));
  const auto add = [&sum](std::uint64_t more) { sum = io::checksum(&more, sizeof more, sum); };
  add(static_cast<std::uint64_t>(text.tokens.end));
  for (const auto& name : text.tokens.names)
    add(io::checksum(name.data(), name.size() * sizeof name[0]));
  if (!text.encoder) return io::hexadecimal(sum);  // a variant without class texts
  for (const nn::Slot<float>& slot : text.encoder->slots()) {
    add(io::checksum(slot.name));
    add(slot.tensor->defined() ? tensor_checksum(slot.tensor->detach().to(Device::cpu()))
                               : tensor_checksum(slot.matrix->bf16().to(Device::cpu())));
  }
  return io::hexadecimal(sum);
}

/// What a checkpoint says of its data, so that who uses it can name what it finds: its classes,
/// seconds of a row where they are the same everywhere, and what the numbers are worth.
inline io::Metadata data_notes(const Data& data) {
  io::Json::array_t classes;
  for (const std::string& name : data.train->truth().classes) classes.emplace_back(name);
  io::Metadata out;
  out["classes"] = io::json_text(io::Json(std::move(classes)));
  if (!data.note.empty()) out["data"] = data.note;
  if (const double seconds = data.all->row_lengths().uniform(); seconds > 0)
    out["seconds_per_row"] = io::json_text(io::Json(seconds));
  return out;
}

/// Refuses a text encoder or class tokens other than the checkpoint's.
inline void check_text(const io::Metadata& notes, const Text& text, const std::string& path) {
  const auto saved = notes.find("text_fingerprint");
  TANDEM_CHECK(saved == notes.end() || saved->second == text_fingerprint(text), "clip", path,
               " was trained with another text encoder, or with other tokens of the class names, "
               "than those given now: ",
               "name the CLIP weights and the vocabulary of that run");
}

/// Refuses data other than the checkpoint's.
inline void check_data(const io::Metadata& notes, const DataFingerprint& now,
                       const std::string& path) {
  const auto saved = notes.find("data_fingerprint");
  if (saved == notes.end()) return;  // of an older version
  DataFingerprint::parse(saved->second, path + " (data_fingerprint)").check(now, path);
}

}  // namespace dcl
