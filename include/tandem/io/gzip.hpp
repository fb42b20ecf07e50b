#pragma once
/// Files compressed by gzip, through zlib (link tandem::io, or -lz).

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// True when the bytes begin like a gzip file.
inline bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1F\x8B"); }

/// The content of a gzip file; several members one after the other give one text, as gunzip does
/// it. `name` is for messages; more than `max_bytes` of content are an error, not a full memory.
///
///     const auto file = io::MappedFile::open("words.txt.gz");
///     std::string words = io::gunzip(file->text(), 1 << 20, file->path());
///
/// Errors: damaged or incomplete data (checksum and length are compared), bytes after the end.
inline std::string gunzip(std::string_view bytes, std::size_t max_bytes, std::string_view name) {
  struct Stream {
    z_stream z{};
    ~Stream() { inflateEnd(&z); }
  } stream;
  z_stream& z = stream.z;
  constexpr int gzip_only = 16 + MAX_WBITS;
  TANDEM_CHECK(inflateInit2(&z, gzip_only) == Z_OK, "gunzip", name, ": zlib cannot start");
  std::string out;
  std::size_t used = 0, made = 0;
  for (;;) {
    if (made == out.size()) {
      out.resize(std::clamp<std::size_t>(2 * made, 1 << 16, max_bytes + 1));
    }
    // zlib counts in 32 bits.
    constexpr std::size_t most = std::size_t{1} << 30;
    const std::size_t in = std::min(bytes.size() - used, most);
    const std::size_t room = std::min(out.size() - made, most);
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + used));
    z.avail_in = static_cast<uInt>(in);
    z.next_out = reinterpret_cast<Bytef*>(out.data() + made);
    z.avail_out = static_cast<uInt>(room);
    const int state = ::inflate(&z, Z_NO_FLUSH);
    used += in - z.avail_in;
    made += room - z.avail_out;
    TANDEM_CHECK(made <= max_bytes, "gunzip", name, ": the content has more than the ", max_bytes,
                 " bytes that are expected here");
    if (state == Z_STREAM_END) {
      if (used == bytes.size()) break;
      TANDEM_CHECK(is_gzip(bytes.substr(used)), "gunzip", name, ": ", bytes.size() - used,
                   " bytes follow the end of the compressed data at byte ", used);
      inflateReset(&z);
    } else if (state != Z_OK && state != Z_BUF_ERROR) {
      fail("gunzip", name, ": bad compressed data near byte ", used, ": ",
           z.msg != nullptr ? z.msg : "not a gzip file");
    } else {
      TANDEM_CHECK(used < bytes.size() || z.avail_out == 0, "gunzip", name,
                   ": the compressed data ends too early, after ", made, " bytes of content");
    }
  }
  out.resize(made);
  return out;
}

}  // namespace io
TANDEM_NAMESPACE_END
