#pragma once
/// Suggestions for misspelt words, to end an error message with.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN

/// Edits (insert, delete, replace, swap of neighbours) that turn one word into the other.
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

/// The candidate nearest to a misspelt word, or "" when none is near (a third of its letters, or a
/// candidate that starts with the word).
template <class Words>
std::string_view closest_word(std::string_view word, const Words& candidates) {
  std::string_view best;
  word = word.substr(0, 64);
  std::size_t best_distance = word.size() / 3 + 2;
  std::size_t left = 10'000;  // a hostile file can have millions
  for (const auto& item : candidates) {
    if (left-- == 0) break;
    const std::string_view candidate(item);
    std::size_t distance = edit_distance(word, candidate.substr(0, 128));
    if (word.size() >= 3 && candidate.starts_with(word))
      distance = std::min<std::size_t>(distance, 1);
    if (distance < best_distance && distance < candidate.size()) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

/// `; did you mean "x"?` or nothing, to end an error message with.
template <class Words>
std::string did_you_mean(std::string_view word, const Words& candidates) {
  const std::string_view best = closest_word(word, candidates);
  return best.empty() ? std::string() : concat("; did you mean \"", best, "\"?");
}

TANDEM_NAMESPACE_END
