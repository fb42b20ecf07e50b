#pragma once
/// What a file is, by its first bytes: for the message of a reader that was given another format.

#include <cstdint>
#include <string>
#include <string_view>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// "; it looks like … : what reads it", to end an error message with; "" for bytes of no format
/// that is known here.
inline std::string looks_like(std::string_view bytes) {
  const auto starts = [bytes](std::string_view magic) { return bytes.starts_with(magic); };
  const auto note = [](std::string_view what) { return "; it looks like " + std::string(what); };
  using namespace std::string_view_literals;
  if (starts("\x93NUMPY")) return note("an npy file, which io::load_npy reads");
  if (starts("PK\x03\x04")) {
    // torch.save writes NAME/data.pkl first (or NAME/version …), NumPy NAME.npy.
    const std::string_view head = bytes.substr(0, 256);
    if (head.find("/data.pkl") != head.npos || head.find("/.format_version") != head.npos ||
        head.find("/byteorder") != head.npos) {
      return note(
          "what torch.save writes: save_file(model.state_dict(), …) of Python's package "
          "safetensors makes a file that is read here");
    }
    if (head.find(".npy") != head.npos) return note("an npz archive, which io::Npz::open reads");
    return note("a zip archive");
  }
  if (starts("\x80\x02"sv) || starts("\x80\x03"sv) || starts("\x80\x04"sv) || starts("\x80\x05"sv))
    return note("a Python pickle (torch.save of old, or numpy.save of objects)");
  if (starts("GGUF")) return note("a GGUF file, which is not read here");
  if (starts("\x89HDF")) return note("an HDF5 file, which is not read here");
  if (starts("\x1f\x8b")) return note("something compressed by gzip");
  if (starts("<!DOCTYPE") || starts("<html"))
    return note("an HTML page: was the download refused?");
  if (starts("version https://git-lfs"))
    return note("a pointer of Git LFS: `git lfs pull` fetches the file itself");
  if (bytes.size() > 9 && bytes[8] == '{') {  // 8 bytes of length, then JSON
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i) {
      length = length << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
    }
    if (length < 100'000'000) return note("a safetensors file, which io::load_safetensors reads");
  }
  bool text = bytes.size() >= 8;
  for (const char c : bytes.substr(0, 256))
    text = text && ((c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t');
  return text ? note("a text file") : std::string();
}

}  // namespace io
TANDEM_NAMESPACE_END
