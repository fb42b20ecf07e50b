#pragma once
/// CRC-32 and DEFLATE (RFC 1951) through zlib, for the compressed entries of npz files. Programs
/// that include this link zlib: tandem::io does.

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// CRC-32 (polynomial 0x04C11DB7 reflected) as zip, gzip and PNG use it. `crc` continues a
/// checksum:
///   crc32("ab") == crc32("b", crc32("a")).
inline std::uint32_t crc32(std::string_view bytes, std::uint32_t crc = 0) {
  return static_cast<std::uint32_t>(
      ::crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

namespace detail {

/// zlib's state, freed whatever happens.
class Inflater {
 public:
  explicit Inflater(std::string_view name) : name_(name) {
    // A negative window size: raw data, without zlib's own header and checksum.
    TANDEM_CHECK(::inflateInit2(&stream_, -MAX_WBITS) == Z_OK, "inflate", name,
                 ": zlib has no memory for its state");
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { ::inflateEnd(&stream_); }

  void run(std::string_view in, std::string& out) {
    // Counters of our own: zlib takes 32-bit sizes at a time.
    std::size_t read = 0, written = 0;
    unsigned char beyond = 0;  // where a byte more than promised would go
    for (;;) {
      const uInt give = piece(in.size() - read);
      const uInt room = written < out.size() ? piece(out.size() - written) : 1;
      // zlib does not write through next_in; its interface is older than const.
      stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data() + read));
      stream_.avail_in = give;
      stream_.next_out =
          written < out.size() ? reinterpret_cast<Bytef*>(out.data() + written) : &beyond;
      stream_.avail_out = room;
      const int status = ::inflate(&stream_, Z_NO_FLUSH);
      const bool over = written == out.size() && stream_.avail_out == 0;
      read += give - stream_.avail_in;
      if (over) error(read, "more data than the ", out.size(), " bytes promised");
      written += room - stream_.avail_out;
      if (status == Z_STREAM_END) break;
      if (status == Z_BUF_ERROR) error(read, "the compressed data ends too early");
      if (status != Z_OK) error(read, stream_.msg != nullptr ? stream_.msg : "zlib refuses it");
    }
    if (written != out.size()) {
      error(read, "the data ends after ", written, " of ", out.size(), " bytes");
    }
    if (read != in.size()) error(read, "bytes follow the end of the compressed data");
  }

 private:
  static uInt piece(std::size_t bytes) {
    return static_cast<uInt>(std::min<std::size_t>(bytes, std::numeric_limits<uInt>::max()));
  }
  template <class... Pieces>
  [[noreturn]] void error(std::size_t at, const Pieces&... pieces) const {
    fail("inflate", name_, ": bad compressed data near byte ", at, ": ", pieces...);
  }

  std::string_view name_;
  z_stream stream_{};
};

}  // namespace detail

/// Decodes raw DEFLATE data that must give exactly `size` bytes. DEFLATE expands at most 1032
/// times, so a larger promise is refused before anything is allocated.
inline std::string inflate(std::string_view compressed, std::uint64_t size, std::string_view name) {
  TANDEM_CHECK(size / 1032 <= compressed.size(), "inflate", name, ": ", compressed.size(),
               " compressed bytes cannot hold the ", size, " bytes promised");
  std::string out(static_cast<std::size_t>(size), '\0');
  detail::Inflater(name).run(compressed, out);
  return out;
}

}  // namespace io
TANDEM_NAMESPACE_END
