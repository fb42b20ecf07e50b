#pragma once
/// State dicts: tensors with names, and what changes the names.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// A tensor with its full name.
template <FloatingElement T>
struct Named {
  std::string name;
  Tensor<T> tensor;
};

/// The same tensors under longer names, "prefix" + name: several states in one file.
///
///   auto all = nn::with_prefix("net.", net.state_dict());
///   for (auto& named : nn::with_prefix("adam.", adam.state())) all.push_back(std::move(named));
///   all.front().name;   // → "net.weight"
///   net.load_state_dict(nn::without_prefix("net.", all));
///   adam.load_state(nn::without_prefix("adam.", all));
template <FloatingElement T>
std::vector<Named<T>> with_prefix(std::string_view prefix, std::vector<Named<T>> state) {
  for (Named<T>& named : state) named.name.insert(0, prefix);
  return state;
}
/// Those whose names start with a prefix, without it.  Errors: a name that is the prefix itself, so
/// that none would be left.
template <FloatingElement T>
std::vector<Named<T>> without_prefix(std::string_view prefix, const std::vector<Named<T>>& state) {
  std::vector<Named<T>> out;
  for (const Named<T>& named : state) {
    if (!named.name.starts_with(prefix)) continue;
    TANDEM_CHECK(named.name.size() > prefix.size() || prefix.empty(), "without_prefix",
                 "a tensor is called \"", prefix, "\", which is all prefix: no name is left");
    out.push_back({named.name.substr(prefix.size()), named.tensor});
  }
  return out;
}

/// The same tensors under other names: a part of a name, one or more of the words between its dots,
/// becomes another. For states whose names are another module's, and with the pairs the other way
/// round, back:
///
///   // torch.nn.TransformerEncoder(…, norm_first=True) → nn::TransformerBlock as "layers.0" …
///   const auto state = nn::renamed(
///       io::load_safetensors<float>("encoder.safetensors"),
///       {{"self_attn", "attn"}, {"norm1", "ln_1"}, {"norm2", "ln_2"},
///        {"linear1", "mlp.c_fc"}, {"linear2", "mlp.c_proj"}});
///
/// "norm1" is no part of "norm10.weight". Where several parts begin at one place the first of the
/// list is taken; what has been renamed is not looked at again. A part may be written with the dot
/// behind it, as must its new name then, which may also be nothing: {"module.", ""}.
/// Errors: a part that is empty or in no name; dots that do not match.
template <FloatingElement T>
std::vector<Named<T>> renamed(std::vector<Named<T>> state,
                              const std::vector<std::pair<std::string, std::string>>& parts) {
  std::vector<bool> found(parts.size(), false);
  for (const auto& [from, to] : parts) {
    TANDEM_CHECK(!from.empty(), "renamed", "the part to be renamed \"", to, "\" is empty");
    const bool dotted = from.ends_with('.');
    TANDEM_CHECK(dotted ? to.empty() || to.ends_with('.') : !to.empty() && !to.ends_with('.'),
                 "renamed", "a part and its new name end in a dot both or neither, got \"", from,
                 "\" and \"", to, "\"");
  }
  for (Named<T>& named : state) {
    std::string out;
    std::string_view rest = named.name;  // always from the start of a word
    while (!rest.empty()) {
      std::size_t length = 0;
      for (std::size_t i = 0; i < parts.size() && length == 0; ++i) {
        const std::string& from = parts[i].first;
        if (!rest.starts_with(from)) continue;
        if (!from.ends_with('.') && rest.size() > from.size() && rest[from.size()] != '.') continue;
        length = from.size();
        out += parts[i].second;
        found[i] = true;
      }
      std::size_t end = length;  // up to here, and with its dot, the word stays as it is
      if (length == 0 || rest[length - 1] != '.') {
        const std::size_t dot = rest.find('.', length);
        end = dot == rest.npos ? rest.size() : dot + 1;
      }
      out += rest.substr(length, end - length);
      rest.remove_prefix(end);
    }
    named.name = std::move(out);
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    TANDEM_CHECK(found[i], "renamed", "no name of the state has the part \"", parts[i].first, "\"");
  }
  return state;
}

}  // namespace nn
TANDEM_NAMESPACE_END
