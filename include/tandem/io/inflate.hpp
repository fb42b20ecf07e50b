#pragma once
/// CRC-32 and the DEFLATE decoder (RFC 1951), for the compressed entries of npz files.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

namespace detail {

constexpr std::array<std::array<std::uint32_t, 256>, 4> crc32_tables() {
  std::array<std::array<std::uint32_t, 256>, 4> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = c >> 1 ^ ((c & 1u) != 0 ? 0xEDB88320u : 0u);
    tables[0][i] = c;
  }
  for (std::size_t t = 1; t < 4; ++t) {
    for (std::size_t i = 0; i < 256; ++i) {
      const std::uint32_t c = tables[t - 1][i];
      tables[t][i] = tables[0][c & 255u] ^ c >> 8;
    }
  }
  return tables;
}

}  // namespace detail

/// CRC-32 (polynomial 0x04C11DB7 reflected) as zip, gzip and PNG use it. `crc` continues a checksum:
///   crc32("ab") == crc32("b", crc32("a")).
inline std::uint32_t crc32(std::string_view bytes, std::uint32_t crc = 0) {
  static constexpr auto t = detail::crc32_tables();
  std::uint32_t c = ~crc;
  std::size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    std::uint32_t word;
    std::memcpy(&word, bytes.data() + i, 4);
    c ^= word;
    c = t[3][c & 255u] ^ t[2][c >> 8 & 255u] ^ t[1][c >> 16 & 255u] ^ t[0][c >> 24];
  }
  for (; i < bytes.size(); ++i) c = t[0][(c ^ static_cast<unsigned char>(bytes[i])) & 255u] ^ c >> 8;
  return ~c;
}

namespace detail {

/// A canonical Huffman code: a table answers codes of up to kFast bits, counting answers the others.
class Huffman {
 public:
  static constexpr int kFast = 10, kLongest = 15;

  /// False when the lengths over-subscribe the code, or leave it incomplete (one code of one bit
  /// and no codes at all are allowed, as in zlib).
  bool build(const std::uint8_t* lengths, int count) {
    std::uint16_t offsets[kLongest + 2] = {};
    for (auto& c : count_) c = 0;
    for (int i = 0; i < count; ++i) ++count_[lengths[i]];
    const int used = count - count_[0];
    count_[0] = 0;
    int left = 1;
    for (int length = 1; length <= kLongest; ++length) {
      left = 2 * left - count_[length];
      if (left < 0) return false;
      offsets[length + 1] = static_cast<std::uint16_t>(offsets[length] + count_[length]);
    }
    if (left > 0 && (used > 1 || count_[1] != used)) return false;
    for (int i = 0; i < count; ++i) {
      if (lengths[i] != 0) symbols_[offsets[lengths[i]]++] = static_cast<std::uint16_t>(i);
    }
    for (auto& entry : fast_) entry = 0;
    int code = 0, index = 0;
    for (int length = 1; length <= kFast; ++length, code <<= 1) {
      for (int i = 0; i < count_[length]; ++i, ++code, ++index) {
        int reversed = 0;
        for (int bit = 0; bit < length; ++bit) reversed |= (code >> bit & 1) << (length - 1 - bit);
        for (int at = reversed; at < 1 << kFast; at += 1 << length) {
          fast_[at] = static_cast<std::uint16_t>(symbols_[index] << 4 | length);
        }
      }
    }
    return true;
  }

  /// The symbol at the start of `bits` (first bit lowest); `length` receives its length. −1 when the
  /// bits are no code.
  int decode(std::uint64_t bits, int& length) const {
    if (const std::uint16_t entry = fast_[bits & ((1u << kFast) - 1)]; entry != 0) {
      length = entry & 15;
      return entry >> 4;
    }
    int code = 0, first = 0, index = 0;
    for (length = 1; length <= kLongest; ++length) {
      code |= static_cast<int>(bits & 1u);
      bits >>= 1;
      if (code - count_[length] < first) return symbols_[index + (code - first)];
      index += count_[length];
      first = (first + count_[length]) << 1;
      code <<= 1;
    }
    return -1;
  }

 private:
  std::uint16_t count_[kLongest + 1] = {};
  std::uint16_t symbols_[288] = {};
  std::uint16_t fast_[1 << kFast] = {};  // symbol << 4 | length, 0 for none
};

class Inflater {
 public:
  Inflater(std::string_view in, std::string& out, std::string_view name)
      : in_(in), out_(out), name_(name) {}

  void run() {
    bool last = false;
    while (!last) {
      last = take(1) != 0;
      const std::uint32_t type = take(2);
      if (type == 0) {
        stored();
      } else if (type == 1) {
        fixed();
      } else if (type == 2) {
        dynamic();
      } else {
        error("unknown block type 3");
      }
    }
    if (produced_ != out_.size()) {
      error("the data ends after ", produced_, " of ", out_.size(), " bytes");
    }
    if (at_ - static_cast<std::size_t>(held_ / 8) != in_.size()) {
      error("bytes follow the end of the compressed data");
    }
  }

 private:
  template <class... Pieces>
  [[noreturn]] void error(const Pieces&... pieces) const {
    fail("inflate", name_, ": bad compressed data near byte ", at_, ": ", pieces...);
  }
  /// At least `count` (≤ 48) bits in `bits_`; past the end of the input there are zeros.
  void need(int count) {
    while (held_ < count) {
      if (at_ < in_.size()) {
        bits_ |= std::uint64_t{static_cast<unsigned char>(in_[at_])} << held_;
      } else if (at_ > in_.size() + 8) {
        error("the compressed data ends too early");
      }
      ++at_;
      held_ += 8;
    }
  }
  void drop(int count) {
    bits_ >>= count;
    held_ -= count;
    if (at_ > in_.size() && static_cast<std::size_t>(held_ / 8) < at_ - in_.size()) {
      error("the compressed data ends too early");
    }
  }
  std::uint32_t take(int count) {
    if (count == 0) return 0;
    need(count);
    const auto value = static_cast<std::uint32_t>(bits_ & ((std::uint64_t{1} << count) - 1));
    drop(count);
    return value;
  }
  int symbol(const Huffman& code) {
    need(Huffman::kLongest);
    int length = 0;
    const int value = code.decode(bits_, length);
    if (value < 0) error("a code that is not in the table");
    drop(length);
    return value;
  }

  void stored() {
    drop(held_ % 8);
    const std::uint32_t length = take(16);
    if ((take(16) ^ 0xFFFFu) != length) error("the two lengths of a stored block differ");
    const std::size_t from = at_ - static_cast<std::size_t>(held_ / 8);
    if (length > in_.size() - from) error("a stored block runs past the end");
    if (length > out_.size() - produced_) error("more data than the ", out_.size(), " bytes promised");
    std::memcpy(out_.data() + produced_, in_.data() + from, length);
    produced_ += length;
    at_ = from + length;
    bits_ = 0;
    held_ = 0;
  }

  void fixed() {
    std::uint8_t lengths[288];
    for (int i = 0; i < 288; ++i) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    literals_.build(lengths, 288);
    fixed_distances_ = true;  // five plain bits each
    block();
  }

  void dynamic() {
    const int literals = static_cast<int>(take(5)) + 257, distances = static_cast<int>(take(5)) + 1;
    const int codes = static_cast<int>(take(4)) + 4;
    if (literals > 286 || distances > 30) error("too many codes");
    static constexpr std::uint8_t order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                               11, 4,  12, 3, 13, 2, 14, 1, 15};
    std::uint8_t lengths[320] = {};
    for (int i = 0; i < codes; ++i) lengths[order[i]] = static_cast<std::uint8_t>(take(3));
    if (!literals_.build(lengths, 19)) error("bad code lengths");
    std::uint8_t all[320] = {};
    for (int i = 0; i < literals + distances;) {
      const int value = symbol(literals_);
      if (value < 16) {
        all[i++] = static_cast<std::uint8_t>(value);
        continue;
      }
      if (value == 16 && i == 0) error("a repeat before the first code length");
      const std::uint8_t repeated = value == 16 ? all[i - 1] : std::uint8_t{0};
      int count = static_cast<int>(value == 16   ? 3 + take(2)
                                   : value == 17 ? 3 + take(3)
                                                 : 11 + take(7));
      if (i + count > literals + distances) error("too many code lengths");
      while (count-- > 0) all[i++] = repeated;
    }
    if (all[256] == 0) error("there is no code for the end of the block");
    if (!literals_.build(all, literals) || !distances_.build(all + literals, distances)) {
      error("bad code lengths");
    }
    fixed_distances_ = false;
    block();
  }

  void block() {
    static constexpr std::uint16_t base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,
                                               15, 17, 19, 23, 27, 31, 35, 43, 51,  59,
                                               67, 83, 99, 115, 131, 163, 195, 227, 258};
    static constexpr std::uint8_t extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                               2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    static constexpr std::uint16_t far_base[30] = {
        1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
        193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    static constexpr std::uint8_t far_extra[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                                   6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
    for (;;) {
      const int value = symbol(literals_);
      if (value == 256) return;
      if (value < 256) {
        if (produced_ == out_.size()) error("more data than the ", out_.size(), " bytes promised");
        out_[produced_++] = static_cast<char>(value);
        continue;
      }
      if (value > 285) error("a code that is not in the table");
      const std::size_t length = base[value - 257] + std::size_t{take(extra[value - 257])};
      const int far = fixed_distances_ ? fixed_distance() : symbol(distances_);
      if (far > 29) error("a code that is not in the table");
      const std::size_t distance = far_base[far] + std::size_t{take(far_extra[far])};
      if (distance > produced_) error("a copy from before the beginning");
      if (length > out_.size() - produced_) {
        error("more data than the ", out_.size(), " bytes promised");
      }
      // Byte by byte: a copy may overlap itself.
      for (std::size_t i = 0; i < length; ++i, ++produced_) out_[produced_] = out_[produced_ - distance];
    }
  }

  int fixed_distance() {
    const std::uint32_t bits = take(5);
    int value = 0;
    for (int bit = 0; bit < 5; ++bit) value |= static_cast<int>(bits >> bit & 1u) << (4 - bit);
    return value;
  }

  std::string_view in_;
  std::string& out_;
  std::string_view name_;
  std::size_t at_ = 0, produced_ = 0;
  std::uint64_t bits_ = 0;
  int held_ = 0;
  Huffman literals_, distances_;
  bool fixed_distances_ = false;
};

}  // namespace detail

/// Decodes raw DEFLATE data that must give exactly `size` bytes. DEFLATE expands at most 1032 times,
/// so a larger promise is refused before anything is allocated.
inline std::string inflate(std::string_view compressed, std::uint64_t size, std::string_view name) {
  TANDEM_CHECK(size / 1032 <= compressed.size(), "inflate", name, ": ", compressed.size(),
               " compressed bytes cannot hold the ", size, " bytes promised");
  std::string out(static_cast<std::size_t>(size), '\0');
  detail::Inflater(compressed, out, name).run();
  return out;
}

}  // namespace io
TANDEM_NAMESPACE_END
