#pragma once
/// The byte-pair tokenizer of the CLIP release (simple_tokenizer.py).         [Radford et al. 2021]
///
///   const auto tokenizer = clip::Tokenizer::load("bpe_simple_vocab_16e6.txt.gz");
///   tokenizer.encode("a photo of a cat");          // → {320, 1125, 539, 320, 2368}
///   tokenizer.tokenize({"a photo of a cat"});      // (1, 77): 49406, the ids, 49407, zeros
///
/// Text is cleaned (clean_text), cut into pieces, and every piece, as UTF-8, is merged pair by pair
/// in the order of the vocabulary file. Ids equal those of OpenAI's code for every text, with one
/// exception:
/// ftfy.fix_text, which is called first there, also repairs text that it believes to have been
/// decoded with a wrong encoding ("cafÃ©"). Here that is taken as it is; mojibake_note says where.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tandem/clip/fix_text.hpp"
#include "tandem/clip/html.hpp"
#include "tandem/clip/unicode.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/gzip.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {

namespace detail {

/// UTF-8 to characters. Two surrogates that were written as three bytes each (CESU-8) are the one
/// character that they stand for, as ftfy has it; all else that is not valid becomes U+FFFD.
inline std::u32string decode_loosely(std::string_view text) {
  if (text.find('\xED') == std::string_view::npos) return decode_text(text);
  const auto half = [&](std::size_t at, unsigned char low) -> int {  // ten bits of a surrogate
    if (at + 3 > text.size() || text[at] != '\xED') return -1;
    const unsigned second = static_cast<unsigned char>(text[at + 1]),
                   third = static_cast<unsigned char>(text[at + 2]);
    if (second < low || second > low + 0xFu || (third & 0xC0u) != 0x80u) return -1;
    return static_cast<int>((second - low) << 6 | (third & 0x3Fu));
  };
  std::string valid;
  for (std::size_t i = 0; i < text.size();) {
    const int high = half(i, 0xA0), low = high < 0 ? -1 : half(i + 3, 0xB0);
    if (low >= 0) {
      io::append_utf8(valid, 0x10000u + (static_cast<std::uint32_t>(high) << 10 |
                                         static_cast<std::uint32_t>(low)));
      i += 6;
    } else {
      valid += text[i++];
    }
  }
  return decode_text(valid);
}

inline std::u32string clean_characters(std::string_view text) {
  const std::u32string characters = unescape_html(unescape_html(fix_text(decode_loosely(text))));
  const auto is_space = [](char32_t c) { return character_kind(c) == CharacterKind::space; };
  std::u32string out;
  out.reserve(characters.size());
  bool space = false;
  for (char32_t c : characters) {
    if (is_space(c)) {
      space = true;
      continue;
    }
    if (space && !out.empty()) out += U' ';
    space = false;
    out += c;
  }
  return lower(out);
}

inline constexpr std::u32string_view start_text = U"<|startoftext|>", end_text = U"<|endoftext|>";

/// Calls f(piece) for everything that the tokenizer's expression finds, ignoring case:
///   <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
template <class F>
void for_each_piece(std::u32string_view text, F&& f) {
  const auto starts_with = [&](std::size_t at, std::u32string_view word) {
    if (text.size() - at < word.size()) return false;
    for (std::size_t i = 0; i < word.size(); ++i) {
      const char32_t c = text[at + i] == U'\u017F' ? U's' : lower_character(text[at + i]);  // ſ
      if (c != word[i]) return false;
    }
    return true;
  };
  static constexpr std::u32string_view words[] = {start_text, end_text, U"'s",  U"'t", U"'re",
                                                  U"'ve",     U"'m",    U"'ll", U"'d"};
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = 0;
    if (text[at] == U'<' || text[at] == U'\'') {
      for (std::u32string_view word : words) {
        if (length == 0 && starts_with(at, word)) length = word.size();
      }
    }
    if (length == 0) {
      const CharacterKind kind = character_kind(text[at]);
      length = 1;
      if (kind == CharacterKind::none || kind == CharacterKind::space) {
        ++at;
        continue;
      }
      if (kind != CharacterKind::number) {
        while (at + length < text.size() && character_kind(text[at + length]) == kind) ++length;
      }
    }
    f(text.substr(at, length));
    at += length;
  }
}

}  // namespace detail

/// What the tokenizer sees of a text: fixed as fix_text has it, HTML unescaped twice, spaces at the
/// ends removed, every other run of spaces made one, lower case. UTF-8 that is not valid becomes
/// U+FFFD.
///
///     clip::clean_text("  Salt &amp;amp;\n “Pepper” ");   // → "salt & \"pepper\""
inline std::string clean_text(std::string_view text) {
  return encode_text(detail::clean_characters(text));
}

/// One sentence for people where a text holds what may be the trace of a wrong encoding, which
/// OpenAI's code might repair and the tokenizer does not; else empty.
///
///     clip::mojibake_note("café").empty();    // → true
///     clip::mojibake_note("cafÃ©").empty();   // → false
inline std::string mojibake_note(std::string_view text) {
  const auto found = find_mojibake(unescape_html(unescape_html(detail::decode_loosely(text))));
  if (!found) return "";
  std::string shown;
  for (char32_t c : *found) {
    const bool control = c < 0xA0;  // C1: a terminal may obey it
    shown +=
        control ? concat("<", static_cast<unsigned>(c), ">") : encode_text(std::u32string(1, c));
  }
  return concat(
      "\"", shown,
      "\" looks like UTF-8 read in a wrong encoding and is taken as it is; OpenAI's tokenizer "
      "may repair it first");
}

/// How texts become rows of one length.
struct TokenizeOptions {
  std::int64_t context = 77;  ///< length of a row
  bool truncate = true;  ///< cut a text that is too long, keeping the end token; false: an error
};

/// CLIP's vocabulary, and texts in its ids.
class Tokenizer {
 public:
  /// Reads a vocabulary: bpe_simple_vocab_16e6.txt.gz of the release, the same text uncompressed,
  /// or the merges.txt of converted models. The first line tells the version; each further line is
  /// a merge, "part part", and the first 48,894 of them count.
  static Tokenizer load(const std::string& path) {
    constexpr std::size_t most = std::size_t{1} << 26;
    const auto file = io::MappedFile::open(path);
    if (io::is_gzip(file->text())) return parse(io::gunzip(file->text(), most, path), path);
    TANDEM_CHECK(file->size() <= most, "tokenizer", path, ": the file has ", file->size(),
                 " bytes, a vocabulary has at most ", most);
    return parse(file->text(), path);
  }

  /// The same from the text itself; `name` is for messages.
  static Tokenizer parse(std::string_view text, std::string_view name) {
    Tokenizer out;
    out.read_merges(text, name);
    return out;
  }

  std::int64_t vocabulary() const { return static_cast<std::int64_t>(ends_.size()); }
  /// The ids of SOS and EOT, the last two.
  std::int64_t start_token() const { return vocabulary() - 2; }
  std::int64_t end_token() const { return vocabulary() - 1; }

  /// The ids of a text of any length, without start and end token. Time grows as n log n.
  std::vector<std::int64_t> encode(std::string_view text) const {
    std::vector<std::int64_t> ids;
    Word word;
    detail::for_each_piece(detail::clean_characters(text), [&](std::u32string_view piece) {
      if (piece == detail::start_text) {
        ids.push_back(start_token());
      } else if (piece == detail::end_text) {
        ids.push_back(end_token());
      } else {
        merge_piece(encode_text(piece), word, ids);
      }
    });
    return ids;
  }

  /// Rows of start token, ids, end token and zeros: N texts → (N, context).
  Tensor<std::int64_t> tokenize(const std::vector<std::string>& texts,
                                const TokenizeOptions& options = {}) const {
    TANDEM_CHECK(options.context >= 2, "tokenize",
                 "the context must hold start and end: at least 2, it is ", options.context);
    const std::size_t room = static_cast<std::size_t>(options.context) - 2;
    Tensor<std::int64_t> out(Shape{static_cast<std::int64_t>(texts.size()), options.context});
    std::int64_t* row = out.mutable_data();
    for (std::size_t n = 0; n < texts.size(); ++n, row += options.context) {
      std::vector<std::int64_t> ids = encode(texts[n]);
      TANDEM_CHECK(ids.size() <= room || options.truncate, "tokenize", "text ", n, " has ",
                   ids.size() + 2, " tokens, the context holds ", options.context);
      if (ids.size() > room) ids.resize(room);
      row[0] = start_token();
      std::int64_t* rest = std::copy(ids.begin(), ids.end(), row + 1);
      *rest++ = end_token();
      std::fill(rest, row + options.context, 0);
    }
    return out;
  }

  /// The text of ids: every word is followed by a space. Bytes that are no UTF-8 become U+FFFD.
  std::string decode(const std::vector<std::int64_t>& ids) const {
    std::string bytes;
    for (std::int64_t id : ids) {
      TANDEM_CHECK(id >= 0 && id < vocabulary(), "decode", "the token id ", id,
                   " lies outside the vocabulary of ", vocabulary());
      bytes += token(static_cast<std::size_t>(id));
    }
    std::string out;
    const std::string text = encode_text(decode_text(bytes));
    for (std::size_t at = 0;;) {
      const std::size_t mark = text.find(word_end, at);
      out += std::string_view(text).substr(at, mark - at);
      if (mark == std::string::npos) return out;
      out += ' ';
      at = mark + word_end.size();
    }
  }

 private:
  static constexpr std::string_view word_end = "</w>";
  static constexpr std::size_t most_merges = 49152 - 256 - 2;

  /// A piece while it is merged: a list of symbols, and the pairs that may be merged.
  struct Word {
    struct Symbol {
      std::int32_t id, before, after;  // −1: none; id −1: merged into the one before it
    };
    struct Pair {
      std::int32_t rank, at, left, right;
    };
    std::vector<Symbol> symbols;
    std::vector<Pair> heap, same;
  };

  /// Bytes in the order of their ids: those that print first, then the others.
  static const std::array<std::uint8_t, 256>& bytes_in_order() {
    static constexpr auto order = [] {
      std::array<std::uint8_t, 256> out{};
      std::size_t n = 0;
      for (const bool want : {true, false}) {
        for (unsigned b = 0; b < 256; ++b) {
          const bool prints = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD);
          if (prints == want) out[n++] = static_cast<std::uint8_t>(b);
        }
      }
      return out;
    }();
    return order;
  }
  static const std::array<std::int32_t, 256>& id_of_byte() {
    static const auto ids = [] {
      std::array<std::int32_t, 256> out{};
      for (std::size_t i = 0; i < 256; ++i) out[bytes_in_order()[i]] = static_cast<std::int32_t>(i);
      return out;
    }();
    return ids;
  }

  std::string_view token(std::size_t id) const {
    const std::size_t begin = id == 0 ? 0 : ends_[id - 1];
    return std::string_view(bytes_).substr(begin, ends_[id] - begin);
  }
  void add_token(std::string_view bytes) {
    bytes_ += bytes;
    ends_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  }

  void read_merges(std::string_view text, std::string_view name) {
    for (const std::string_view end : {std::string_view(), word_end}) {
      for (std::uint8_t b : bytes_in_order()) {
        add_token(std::string(1, static_cast<char>(b)).append(end));
      }
    }
    std::unordered_map<std::string, std::int32_t> ids;
    for (std::size_t i = 0; i < ends_.size(); ++i) {
      ids.emplace(token(i), static_cast<std::int32_t>(i));
    }
    std::vector<std::pair<std::string, std::string>> merges;
    std::size_t line_number = 0;
    while (!text.empty() && merges.size() < most_merges) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (++line_number == 1) {
        TANDEM_CHECK(line.find("#version:") != std::string_view::npos, "tokenizer", name,
                     ":1: expected a line with \"#version:\", as a file of merges begins");
        continue;
      }
      const std::size_t space = line.find(' ');
      TANDEM_CHECK(space != std::string_view::npos && space > 0 && space + 1 < line.size(),
                   "tokenizer", name, ":", line_number,
                   ": expected two parts with a space between them");
      std::string parts[2] = {unmapped(line.substr(0, space), name, line_number),
                              unmapped(line.substr(space + 1), name, line_number)};
      for (const std::string& part : parts) {
        TANDEM_CHECK(ids.contains(part), "tokenizer", name, ":", line_number,
                     ": merges a part that no earlier line makes");
      }
      const std::string merged = parts[0] + parts[1];
      TANDEM_CHECK(merged.size() <= 1024, "tokenizer", name, ":", line_number,
                   ": makes a token of ", merged.size(), " bytes, at most 1024 are expected");
      ids[merged] = static_cast<std::int32_t>(ends_.size());
      add_token(merged);
      merges.emplace_back(std::move(parts[0]), std::move(parts[1]));
    }
    TANDEM_CHECK(!merges.empty(), "tokenizer", name, ": there are no merges in the file");
    for (const std::u32string_view special : {detail::start_text, detail::end_text}) {
      const std::string bytes = encode_text(special);
      ids[bytes] = static_cast<std::int32_t>(ends_.size());
      add_token(bytes);
    }
    // Of two equal tokens or merges the later one counts, as in a Python dict.
    std::size_t slots = 2;
    while (slots < 2 * merges.size()) slots *= 2;
    table_.assign(slots, Merge{});
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      const auto& [left, right] = merges[rank];
      Merge& slot = table_[slot_of(ids[left], ids[right])];
      slot = {ids[left], ids[right], static_cast<std::int32_t>(rank), ids[left + right]};
    }
  }

  /// The bytes that a part of the file stands for: bytes that do not print are written as the
  /// characters U+0100 ….
  static std::string unmapped(std::string_view part, std::string_view name,
                              std::size_t line_number) {
    static const auto byte_of_character = [] {
      std::array<std::int16_t, 256 + 68> out;
      out.fill(-1);
      for (std::size_t i = 0; i < 256; ++i) {
        const std::uint8_t byte = bytes_in_order()[i];
        out[i < 188 ? byte : 256 + i - 188] = byte;
      }
      return out;
    }();
    std::string out;
    for (char32_t c : decode_text(part)) {
      const int byte = c < byte_of_character.size() ? byte_of_character[c] : -1;
      TANDEM_CHECK(byte >= 0, "tokenizer", name, ":", line_number,
                   ": a character that stands for no byte");
      out += static_cast<char>(byte);
    }
    return out;
  }

  struct Merge {
    std::int32_t left = -1, right = -1, rank = -1, merged = -1;
  };
  /// Where the merge of a pair is, or the empty slot where it would be.
  std::size_t slot_of(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
                              static_cast<std::uint32_t>(right);
    std::size_t slot =
        static_cast<std::size_t>((key * 0x9E3779B97F4A7C15u) >> 32) & (table_.size() - 1);
    while (table_[slot].left >= 0 && (table_[slot].left != left || table_[slot].right != right)) {
      slot = (slot + 1) & (table_.size() - 1);
    }
    return slot;
  }

  /// Merges the bytes of one piece and appends the ids. Of all pairs that the vocabulary knows the
  /// one of the lowest rank is merged, everywhere from left to right, until none is left.
  void merge_piece(std::string_view piece, Word& word, std::vector<std::int64_t>& ids) const {
    auto& [symbols, heap, same] = word;
    const auto later = [](const Word::Pair& a, const Word::Pair& b) {
      return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
    };
    TANDEM_CHECK(piece.size() < std::size_t{1} << 31, "tokenizer", "a word has ", piece.size(),
                 " bytes, at most 2^31 - 1 are possible");
    const std::int32_t n = static_cast<std::int32_t>(piece.size());
    symbols.clear();
    heap.clear();
    for (std::int32_t i = 0; i < n; ++i) {
      const std::uint8_t byte = static_cast<std::uint8_t>(piece[static_cast<std::size_t>(i)]);
      symbols.push_back(
          {id_of_byte()[byte] + (i == n - 1 ? 256 : 0), i - 1, i == n - 1 ? -1 : i + 1});
    }
    const auto symbol = [&](std::int32_t i) -> Word::Symbol& {
      return symbols[static_cast<std::size_t>(i)];
    };
    const auto add_pair = [&](std::int32_t at) {
      if (at < 0 || symbol(at).after < 0) return false;
      const std::int32_t left = symbol(at).id, right = symbol(symbol(at).after).id;
      const Merge& merge = table_[slot_of(left, right)];
      if (merge.rank >= 0) heap.push_back({merge.rank, at, left, right});
      return merge.rank >= 0;
    };
    for (std::int32_t i = 0; i < n; ++i) add_pair(i);
    std::make_heap(heap.begin(), heap.end(), later);

    while (!heap.empty()) {
      // All places of one merge come out together, before the pairs that it makes go in.
      const std::int32_t rank = heap.front().rank;
      same.clear();
      while (!heap.empty() && heap.front().rank == rank) {
        std::pop_heap(heap.begin(), heap.end(), later);
        same.push_back(heap.back());
        heap.pop_back();
      }
      for (const Word::Pair& pair : same) {
        Word::Symbol& left = symbol(pair.at);
        if (left.id != pair.left || left.after < 0 || symbol(left.after).id != pair.right) continue;
        Word::Symbol& right = symbol(left.after);
        left.id = table_[slot_of(pair.left, pair.right)].merged;
        left.after = right.after;
        right.id = -1;
        if (left.after >= 0) symbol(left.after).before = pair.at;
        for (const std::int32_t at : {left.before, pair.at}) {
          if (add_pair(at)) std::push_heap(heap.begin(), heap.end(), later);
        }
      }
    }
    for (std::int32_t i = 0; i >= 0; i = symbol(i).after) ids.push_back(symbol(i).id);
  }

  std::string bytes_;                // all tokens, one after the other, with their word ends
  std::vector<std::uint32_t> ends_;  // where each token ends in bytes_
  std::vector<Merge> table_;         // a hash table of pairs, at most half full
};

}  // namespace clip
TANDEM_NAMESPACE_END
