#pragma once
/// Word vectors from a text file as GloVe publishes them, and the words of class names and of the
/// sentences that Boosting-WTAL completes.                                       [method §11, C, R]

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tandem/clip/class_names.hpp"
#include "tandem/io/checksum.hpp"
#include "tandem/io/file.hpp"
#include "tandem/tensor/factory.hpp"
#include "tandem/tensor/finite.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// GloveVectors — the vectors of some words, and the words with which the file begins.
///
/// The file has a line per word: the word, then its numbers, with single spaces between them, such
/// as glove.6B.300d.txt. Words come by falling frequency there, so that the first n of them are the
/// n most frequent.                                                        [Pennington et al. 2014]
///
///   const GloveVectors glove = GloveVectors::load("glove.6B.300d.txt", {"cliff", "diving"}, 8000);
///   glove.id("the");        // its line, from 1, if that is at most 8000; else 0
///   glove.vector("cliff");  // 300 numbers
class GloveVectors {
 public:
  /// Keeps the vectors of `words` and of the first `frequent` words of the file, and reads no
  /// further than it must. A word that the file does not have has no vector: has() says so.
  /// Errors, which name the line: a line without numbers, with another count of them than the line
  /// before, a number that is none or not finite.
  static GloveVectors load(const std::string& path, const std::vector<std::string>& words,
                           std::int64_t frequent = 0) {
    GloveVectors out;
    std::unordered_map<std::string_view, bool> wanted;
    for (const std::string& word : words) wanted.emplace(word, false);
    std::size_t missing = wanted.size();
    const auto file = io::MappedFile::open(path);
    const std::string_view text = file->text();
    std::int64_t line = 0;
    for (std::size_t at = 0; at < text.size() && (missing > 0 || line < frequent);) {
      const std::size_t stop = std::min(text.find('\n', at), text.size());
      std::string_view row = text.substr(at, stop - at);
      at = stop + 1;
      ++line;
      if (!row.empty() && row.back() == '\r') row.remove_suffix(1);
      const std::size_t space = row.find(' ');
      TANDEM_CHECK(space != std::string_view::npos && space > 0, "glove", path, ", line ", line,
                   ": expected a word and its numbers with a space between them");
      const std::string_view word = row.substr(0, space);
      const auto asked = wanted.find(word);
      const bool first = asked != wanted.end() && !asked->second;
      if (line > frequent && !first) continue;
      if (first) {
        asked->second = true;
        --missing;
      }
      out.add(std::string(word), row.substr(space + 1), path, line, line <= frequent);
    }
    TANDEM_CHECK(out.width_ > 0, "glove", path, ": none of the ", words.size(),
                 " words asked for is in the file");
    return out;
  }

  /// Numbers of a vector: 300 in the files of the published code.
  std::int64_t width() const { return width_; }
  /// Whether there is a vector of the word.
  bool has(std::string_view word) const { return rows_.contains(std::string(word)); }
  /// The vector of a word, `width()` numbers.  Errors: there is none.
  const float* vector(std::string_view word) const {
    const auto found = rows_.find(std::string(word));
    TANDEM_CHECK(found != rows_.end(), "glove", "the word vectors have no \"", word, "\"");
    return numbers_.data() + found->second.at;
  }
  /// The place of a word among the frequent ones, from 1; 0 for all others.
  std::int64_t id(std::string_view word) const {
    const auto found = rows_.find(std::string(word));
    return found == rows_.end() ? 0 : found->second.id;
  }
  /// Of all that is kept, words, places and numbers: a run that goes on compares it.
  std::uint64_t checksum() const {
    std::uint64_t words = 0;
    for (const auto& [word, row] : rows_)
      words += io::checksum(word, static_cast<std::uint64_t>(row.id) + row.at);
    return io::checksum(numbers_.data(), numbers_.size() * sizeof(float), words);
  }

 private:
  struct Row {
    std::size_t at;
    std::int64_t id;
  };
  void add(std::string word, std::string_view numbers, const std::string& path, std::int64_t line,
           bool frequent) {
    const std::size_t begin = numbers_.size();
    const char *at = numbers.data(), *const end = numbers.data() + numbers.size();
    while (true) {
      while (at < end && *at == ' ') ++at;
      if (at == end) break;
      float value = 0;
      const auto result = std::from_chars(at, end, value);
      TANDEM_CHECK(
          result.ec == std::errc() && is_finite(value) && (result.ptr == end || *result.ptr == ' '),
          "glove", path, ", line ", line, ": number ", numbers_.size() - begin + 1,
          " is not a finite number");
      numbers_.push_back(value);
      at = result.ptr;
    }
    const auto count = static_cast<std::int64_t>(numbers_.size() - begin);
    if (width_ == 0) width_ = count;
    TANDEM_CHECK(count == width_ && count > 0, "glove", path, ", line ", line, ": the word has ",
                 count, " numbers, ", width_ > 0 ? width_ : 1,
                 " are expected, as of the word before it");
    // Of a word that the file has twice the first one counts.
    if (!rows_.emplace(std::move(word), Row{begin, frequent ? line : 0}).second)
      numbers_.resize(begin);
  }

  std::int64_t width_ = 0;
  std::vector<float> numbers_;
  std::unordered_map<std::string, Row> rows_;
};

/// The words of a text in lower case, split at single spaces.
inline std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t stop = std::min(text.find(' ', at), text.size());
    if (stop > at) out.emplace_back(text.substr(at, stop - at));
    at = stop + 1;
  }
  return out;
}

/// The two words that stand for a class: those of its readable name without "and", "CleanAndJerk" →
/// clean, jerk; a name of one word gives it twice; "Shotput" is two words [C]. Of a longer name the
/// first and the last word (reading: the code has names of two words only).
inline std::vector<std::string> class_word_pair(const std::string& name) {
  std::string readable = clip::readable_class_name(name);
  if (readable == "shotput") readable = "shot put";
  std::vector<std::string> words = split_words(readable);
  if (words.size() > 1) std::erase(words, std::string("and"));
  TANDEM_CHECK(!words.empty(), "class_word_pair", "the class name \"", name, "\" has no words");
  return {words.front(), words.back()};
}

/// The vectors of the two words of every class, (C, 2, width).  Errors: a word without a vector.
template <FloatingElement T>
Tensor<T> class_word_vectors(const GloveVectors& glove, const std::vector<std::string>& classes) {
  Tensor<T> out(Shape{static_cast<std::int64_t>(classes.size()), 2, glove.width()});
  T* to = out.mutable_data();
  for (const std::string& name : classes) {
    for (const std::string& word : class_word_pair(name)) {
      TANDEM_CHECK(glove.has(word), "class_word_vectors", "the word vectors have no \"", word,
                   "\", a word of the class ", name);
      to = std::transform(glove.vector(word), glove.vector(word) + glove.width(), to,
                          [](float x) { return T(x); });
    }
  }
  return out;
}

/// The words of a class name as the code for ActivityNet reads them: all of its readable name, of
/// which class_words_vectors takes the first ones.                                              [C]
inline std::vector<std::string> class_words(const std::string& name) {
  std::vector<std::string> words = split_words(clip::readable_class_name(name));
  TANDEM_CHECK(!words.empty(), "class_words", "the class name \"", name, "\" has no words");
  return words;
}

/// The vectors of the first `count` words of every class, (C, count, width), zeros behind the last
/// one. A word without a vector has zeros too (reading: the code takes whatever word its file has
/// in a certain line).
template <FloatingElement T>
Tensor<T> class_words_vectors(const GloveVectors& glove, const std::vector<std::string>& classes,
                              std::int64_t count) {
  const Tensor<T> out = zeros<T>({static_cast<std::int64_t>(classes.size()), count, glove.width()});
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const std::vector<std::string> words = class_words(classes[c]);
    for (std::size_t i = 0; i < words.size() && static_cast<std::int64_t>(i) < count; ++i) {
      if (!glove.has(words[i])) continue;
      T* to = out.mutable_data() +
              (static_cast<std::int64_t>(c) * count + static_cast<std::int64_t>(i)) * glove.width();
      std::transform(glove.vector(words[i]), glove.vector(words[i]) + glove.width(), to,
                     [](float x) { return T(x); });
    }
  }
  return out;
}

/// What Boosting-WTAL completes.
struct SentenceOptions {
  std::int64_t longest = 14;  ///< n: words of a sentence  [C]
  /// Two names are joined without blanks, "diving" + "and" + "cliff diving" =
  /// "divingandcliff diving", whose first word is unknown and lost [C]; false: with blanks
  /// (reading)
  bool joined_names = true;
  /// "one video of " and whole names, as the code for ActivityNet has it; false:
  /// "one video of the " and two words a name
  bool whole_names = false;
};

/// The words of the sentence of a video: "one video of the " and its class names and ".".
inline std::vector<std::string> sentence_words(const std::vector<std::string>& names,
                                               bool joined = true, bool whole = false) {
  std::string all;
  for (const std::string& name : names) {
    if (!all.empty()) all += joined ? "and" : " and ";
    if (whole) {
      std::string text;
      for (const std::string& word : class_words(name)) text += (text.empty() ? "" : " ") + word;
      all += text;
      continue;
    }
    const std::vector<std::string> pair = class_word_pair(name);
    all += pair[0] == pair[1] ? pair[0] : concat(pair[0], " ", pair[1]);
  }
  std::vector<std::string> words{"one", "video", "of"};
  if (!whole) words.emplace_back("the");
  for (std::string& word : split_words(all)) words.push_back(std::move(word));
  words.emplace_back(".");
  return words;
}

/// Sentences as the decoder reads them. Row 0 of `words` is the place of the start vector, rows
/// 1 … l are the vectors of the words, the rest is zero; ids[j] is that of word j + 1, 0 behind the
/// last.
template <FloatingElement T>
struct Sentences {
  Tensor<T> words;                    ///< (B, n + 1, width)
  Tensor<std::int64_t> ids;           ///< (B, n)
  Tensor<bool> counted;               ///< (B, n): the first min(l + 1, n), which enter the loss
  std::vector<std::int64_t> lengths;  ///< l of each
  Tensor<T> weights;  ///< (B, n): how likely real masking hides word j + 1; 0 behind the last
};

/// The sentence of each video, `labels` its classes. Words without an id (not among the frequent
/// ones of the file) are left out, and so is what goes beyond n. The words of class names weigh 2,
/// as nouns and verbs do in the published code, all others 1  (reading: its list of parts of speech
/// is not public).  Errors: a sentence without any known word.
template <FloatingElement T>
Sentences<T> make_sentences(const GloveVectors& glove, const std::vector<std::string>& classes,
                            const std::vector<std::vector<int>>& labels,
                            const SentenceOptions& options = {}) {
  const auto videos = static_cast<std::int64_t>(labels.size());
  const std::int64_t n = options.longest, width = glove.width();
  TANDEM_CHECK(n >= 1, "make_sentences", "a sentence must have room for a word, it has for ", n);
  Sentences<T> out{.words = zeros<T>({videos, n + 1, width}),
                   .ids = zeros<std::int64_t>({videos, n}),
                   .counted = zeros<bool>({videos, n}),
                   .lengths = {},
                   .weights = zeros<T>({videos, n})};
  for (std::int64_t b = 0; b < videos; ++b) {
    std::vector<std::string> names;
    for (const int c : labels[static_cast<std::size_t>(b)])
      names.push_back(classes.at(static_cast<std::size_t>(c)));
    const std::vector<std::string> words =
        sentence_words(names, options.joined_names, options.whole_names);
    const std::size_t before = options.whole_names ? 3 : 4;  // words in front of the names
    std::int64_t l = 0;
    for (std::size_t i = 0; i < words.size() && l < n; ++i) {
      const std::int64_t id = glove.id(words[i]);
      if (id == 0) continue;
      std::transform(glove.vector(words[i]), glove.vector(words[i]) + width,
                     out.words.mutable_data() + (b * (n + 1) + l + 1) * width,
                     [](float x) { return T(x); });
      out.ids.mutable_data()[b * n + l] = id;
      out.weights.mutable_data()[b * n + l] = T(i >= before && i + 1 < words.size() ? 2 : 1);
      ++l;
    }
    TANDEM_CHECK(l > 0, "make_sentences", "none of the words of sentence ", b,
                 " is among the frequent ones");
    for (std::int64_t j = 0; j < std::min(l + 1, n); ++j)
      out.counted.mutable_data()[b * n + j] = true;
    out.lengths.push_back(l);
  }
  return out;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
