#pragma once
/// A vocabulary of byte pairs for clip::Tokenizer, learned from the captions that an encoder is
/// trained on.

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tandem/tensor/error.hpp"

namespace miniature {

/// learn_merges — the pair of neighbouring symbols that is seen most often becomes a symbol (of
/// equally frequent ones the first by the alphabet), again and again, until every word is one
/// symbol or there are `most` of them.                                       [Sennrich et al. 2016]
///   → the text of a file of merges: "#version: 0.2", then "left right" a line; "</w>" ends a word.
/// Texts are lower-case ASCII letters and blanks, anything else is refused.
inline std::string learn_merges(const std::vector<std::string>& texts, std::size_t most) {
  using Word = std::vector<std::string>;
  std::map<std::string, long> counts;
  for (const std::string& text : texts) {
    std::string word;
    for (const char c : text + " ") {
      TANDEM_CHECK((c >= 'a' && c <= 'z') || c == ' ', "learn_merges",
                   "expected lower-case letters and blanks, got \"", text, "\"");
      if (c != ' ') {
        word += c;
      } else if (!word.empty()) {
        ++counts[std::exchange(word, "")];
      }
    }
  }
  std::vector<std::pair<Word, long>> words;
  for (const auto& [text, count] : counts) {
    Word symbols;
    for (const char c : text) symbols.emplace_back(1, c);
    symbols.back() += "</w>";
    words.emplace_back(std::move(symbols), count);
  }
  std::string out = "#version: 0.2\n";
  for (std::size_t made = 0; made < most; ++made) {
    std::map<std::pair<std::string, std::string>, long> pairs;
    for (const auto& [word, count] : words) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) pairs[{word[i], word[i + 1]}] += count;
    }
    if (pairs.empty()) break;
    const auto best =
        std::max_element(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) {
          return a.second < b.second;
        })->first;
    for (auto& [word, count] : words) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) {
        if (word[i] != best.first || word[i + 1] != best.second) continue;
        word[i] += word[i + 1];
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
    out += best.first + " " + best.second + "\n";
  }
  return out;
}

}  // namespace miniature
