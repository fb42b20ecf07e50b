#pragma once
/// Word vectors for data that are made up themselves.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cli_text.hpp"
#include "tandem/tensor/random.hpp"
#include "tandem/wtal/data/glove.hpp"

namespace cli {

/// A text file of made-up word vectors, 50 numbers each, for train_boosting: of what sentences and
/// class names are made of.
inline void write_word_vectors(const std::string& path, const std::vector<std::string>& classes,
                               tandem::Generator& random) {
  std::vector<std::string> words;
  for (const std::string& name : classes) {
    for (const bool whole : {false, true}) {
      for (std::string& word : tandem::wtal::sentence_words({name}, true, whole)) {
        if (std::find(words.begin(), words.end(), word) == words.end())
          words.push_back(std::move(word));
      }
    }
  }
  std::string text;
  for (const std::string& word : words) {
    text += word;
    for (int i = 0; i < 50; ++i) text += " " + fixed(random.next_normal(), 4);
    text += "\n";
  }
  tandem::io::write_text(path, text);
}

}  // namespace cli
