#pragma once
/// Blind damage: what a transfer, a full disk or a hostile hand does to a file.

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace fuzz {

using Random = std::mt19937_64;

inline std::size_t below(Random& random, std::size_t n) { return n == 0 ? 0 : random() % n; }

/// Damages `text` in one to six places.
inline std::string mutate(std::string text, const std::vector<std::string>& corpus,
                          Random& random) {
  static const std::uint64_t numbers[] = {0,
                                          1,
                                          2,
                                          7,
                                          8,
                                          127,
                                          128,
                                          255,
                                          256,
                                          0x7FFF,
                                          0xFFFF,
                                          0x10000,
                                          0x7FFFFFFF,
                                          0x80000000,
                                          0xFFFFFFFE,
                                          0xFFFFFFFF,
                                          0x100000000,
                                          0x7FFFFFFFFFFFFFFF,
                                          0x8000000000000000,
                                          ~std::uint64_t{0}};
  static const char* words[] = {"-1",
                                "0",
                                "99999999999999999999",
                                "9223372036854775807",
                                "1e999",
                                "nan",
                                "{",
                                "}",
                                "[",
                                "]",
                                "\"",
                                "\\u",
                                "null",
                                ",",
                                ":",
                                "(",
                                ")",
                                "'",
                                ".",
                                "N",
                                "cos\nsystem\n",
                                "R",
                                "b",
                                "e",
                                "t",
                                "q\1",
                                "h\1",
                                "\x85",
                                "\x94",
                                "]q\1h\1a"};
  for (std::size_t count = 1 + below(random, 1 + below(random, 6)); count > 0; --count) {
    const std::size_t at = below(random, text.size() + 1);
    const std::size_t length = below(random, 1 + below(random, 64));
    switch (below(random, 9)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ 1 << below(random, 8));
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 2: {  // a number, little-endian, 1 to 8 bytes
        const std::uint64_t number = numbers[below(random, 20)] + below(random, 3) - 1;
        const std::size_t width = std::size_t{1} << below(random, 4);
        if (at + width <= text.size()) std::memcpy(text.data() + at, &number, width);
        break;
      }
      case 3:
        text.erase(at, length);
        break;
      case 4:
        text.insert(at, text.substr(below(random, text.size() + 1), length));
        break;
      case 5:
        text.insert(at, words[below(random, sizeof words / sizeof *words)]);
        break;
      case 6:
        if (below(random, 4) == 0) text.resize(at);
        break;
      case 7: {  // a piece of another input
        const std::string& other = corpus[below(random, corpus.size())];
        const std::string piece = other.substr(below(random, other.size() + 1), length);
        text.replace(at, std::min(length, text.size() - at), piece);
        break;
      }
      case 8:  // the same byte many times: depth, long numbers
        text.insert(at, below(random, 8) == 0 ? 5000 : length, at < text.size() ? text[at] : '[');
        break;
    }
  }
  return text;
}

}  // namespace fuzz
