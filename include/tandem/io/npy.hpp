#pragma once
/// The .npy format of NumPy, versions 1.0, 2.0 and 3.0: reading (memory-mapped) and writing.
/// Format: numpy/lib/format.py, "Format Version 1.0" and following.

#include <charconv>

#include "tandem/io/array.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/known_format.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

namespace detail {

/// Parses an element type as NumPy spells it ("<f4", "|S17", "|O") into `array`.
inline void parse_npy_type(std::string_view descr, Array& array) {
  const auto refuse = [&](const char* why) {
    fail("npy", array.name, ": element type '", descr.substr(0, 40), "' ", why);
  };
  if (descr.size() < 2) refuse("is not understood");
  const char order = descr[0], letter = descr[1];
  const std::string_view digits = descr.substr(2);
  std::size_t count = 0;
  if (!digits.empty()) {
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) {
      refuse("is not understood");
    }
  }
  if (order != '<' && order != '>' && order != '|') refuse("does not start with '<', '>' or '|'");
  array.swapped = order == '>';
  if (letter == 'O') {
    if (count != 0 && count != 8 && count != 4) refuse("is not understood");
    array.kind = ElementKind::object;
    array.item_size = 0;
    return;
  }
  if (letter == 'S' || letter == 'a' || letter == 'U') {
    if (count == 0) refuse("has elements of no size");
    if (count > (std::size_t{1} << 40)) refuse("has elements larger than any file");
    array.kind = letter == 'U' ? ElementKind::unicode : ElementKind::bytes;
    array.item_size = letter == 'U' ? 4 * count : count;
    return;
  }
  struct Known {
    char letter;
    std::size_t size;
    ElementKind kind;
  };
  constexpr Known table[] = {
      {'b', 1, ElementKind::boolean}, {'u', 1, ElementKind::u8},  {'i', 1, ElementKind::i8},
      {'u', 2, ElementKind::u16},     {'i', 2, ElementKind::i16}, {'u', 4, ElementKind::u32},
      {'i', 4, ElementKind::i32},     {'u', 8, ElementKind::u64}, {'i', 8, ElementKind::i64},
      {'f', 2, ElementKind::f16},     {'f', 4, ElementKind::f32}, {'f', 8, ElementKind::f64}};
  for (const Known& known : table) {
    if (known.letter != letter || known.size != count) continue;
    if (order == '|' && count > 1) refuse("has no byte order");
    array.kind = known.kind;
    array.item_size = count;
    if (count == 1) array.swapped = false;
    return;
  }
  refuse("is not supported (bool, integers, float16/32/64, strings and objects are)");
}

/// The header is a Python dict literal with three keys; this reads exactly that and nothing more.
class NpyHeader {
 public:
  NpyHeader(std::string_view text, std::size_t offset, Array& array)
      : text_(text), offset_(offset), array_(array) {}

  void parse() {
    bool have[3] = {false, false, false};
    expect('{');
    while (!take('}')) {
      const std::string_view key = quoted();
      expect(':');
      const int which = key == "descr" ? 0 : key == "fortran_order" ? 1 : key == "shape" ? 2 : -1;
      if (which < 0) error("unknown key '", key.substr(0, 40), "'");
      if (std::exchange(have[which], true)) error("the key '", key, "' appears twice");
      if (which == 0) {
        if (peek() == '[') error("structured element types are not supported");
        parse_npy_type(quoted(), array_);
      } else if (which == 1) {
        array_.column_major = boolean();
      } else {
        shape();
      }
      if (!take(',') && peek() != '}') error("expected ',' or '}'");
    }
    if (!have[0] || !have[1] || !have[2]) {
      error("the key '", !have[0] ? "descr" : !have[1] ? "fortran_order" : "shape", "' is missing");
    }
    skip_space();
    if (at_ != text_.size()) error("expected the end of the header");
  }

 private:
  template <class... Pieces>
  [[noreturn]] void error(const Pieces&... pieces) const {
    fail("npy", array_.name, ": bad header at offset ", offset_ + at_, ": ", pieces...);
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) error("expected '", c, "'");
  }
  std::string_view quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') error("expected a quoted string");
    const std::size_t start = ++at_;
    const std::size_t end = text_.find(quote, start);
    if (end == std::string_view::npos) error("the string does not end");
    at_ = end + 1;
    const std::string_view out = text_.substr(start, end - start);
    if (out.find('\\') != std::string_view::npos) error("escapes are not expected here");
    return out;
  }
  bool boolean() {
    skip_space();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    error("expected True or False");
  }
  void shape() {
    expect('(');
    array_.shape.clear();
    bool comma = true;
    while (!take(')')) {
      if (!comma) error("expected ',' or ')' in the shape");
      if (array_.shape.size() == 32) error("a shape of more than 32 dimensions");
      skip_space();
      std::int64_t size = 0;
      const char* first = text_.data() + at_;
      const auto result = std::from_chars(first, text_.data() + text_.size(), size);
      if (result.ec != std::errc() || size < 0) error("expected a size of the shape");
      at_ += static_cast<std::size_t>(result.ptr - first);
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // a Python 2 long
      array_.shape.push_back(size);
      comma = take(',');
    }
    // (3) is a number in parentheses, not a tuple.
    if (array_.shape.size() == 1 && !comma) error("a shape of one dimension needs a comma");
  }

  std::string_view text_;
  std::size_t offset_;
  Array& array_;
  std::size_t at_ = 0;
};

}  // namespace detail

/// Reads an npy file that is already in memory; `owner` keeps the bytes alive. For an object array
/// the result holds the pickle (see pickle.hpp).
inline Array parse_npy(const unsigned char* data, std::size_t size, std::string name,
                       Ref<RefCounted> owner) {
  Array array;
  array.name = std::move(name);
  array.owner = std::move(owner);
  TANDEM_CHECK(size >= 10 && std::memcmp(data, "\x93NUMPY", 6) == 0, "npy", array.name,
               ": this is not an npy file (expected it to start with \\x93NUMPY)",
               looks_like({reinterpret_cast<const char*>(data), size}));
  const int version = data[6];
  TANDEM_CHECK(version >= 1 && version <= 3 && data[7] == 0, "npy", array.name, ": format version ",
               version, ".", static_cast<int>(data[7]), " is unknown, expected 1.0, 2.0 or 3.0");
  const std::size_t start = version == 1 ? 10 : 12;
  TANDEM_CHECK(size >= start, "npy", array.name, ": the file ends inside its header");
  std::size_t length = 0;
  for (std::size_t i = start; i-- > 8;) length = length << 8 | data[i];
  TANDEM_CHECK(length <= size - start, "npy", array.name, ": the header of ", length,
               " bytes runs past the end of the file (", size, " bytes)");
  detail::NpyHeader({reinterpret_cast<const char*>(data) + start, length}, start, array).parse();
  const std::int64_t numel = element_count(array.shape, array.item_size, array.name);
  array.data_offset = start + length;
  array.data = data + array.data_offset;
  array.bytes = size - start - length;
  if (array.kind == ElementKind::object) return array;
  const std::size_t needed = static_cast<std::size_t>(numel) * array.item_size;
  TANDEM_CHECK(array.bytes == needed, "npy", array.name, ": shape ", shape_text(array.shape),
               " of ", kind_name(array.kind), " needs ", needed, " bytes of data, the file has ",
               array.bytes);
  return array;
}

/// Opens an npy file; numeric data stays in the mapped file.
///
///     Tensor<float> x = io::load_npy("features.npy").tensor_as<float>();
///
/// Errors: not an npy file, a bad header, an element type that is not supported, a data size that
/// is not exactly what the shape needs.
inline Array load_npy(const std::string& path) {
  auto file = MappedFile::open(path);
  const unsigned char* data = file->data();
  const std::size_t size = file->size();
  return parse_npy(data, size, path, std::move(file));
}

/// The header that NumPy (1.23 and later) writes for this element type and shape.
inline std::string npy_header(std::string_view descr, const std::vector<std::int64_t>& shape) {
  std::string dict = concat("{'descr': '", descr,
                            "', 'fortran_order': False, 'shape': ", shape_text(shape), ", }");
  // NumPy leaves room for the first size to grow to 21 digits, then pads the data to 64 bytes.
  if (!shape.empty()) dict.append(21 - std::to_string(shape[0]).size(), ' ');
  const std::size_t prefix = 10;
  const std::size_t total = (prefix + dict.size() + 1 + 63) / 64 * 64;
  dict.append(total - prefix - dict.size() - 1, ' ');
  dict += '\n';
  TANDEM_CHECK(dict.size() < 65536, "npy", "the header has ", dict.size(), " bytes");
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(dict.size() & 255);
  out += static_cast<char>(dict.size() >> 8);
  return out + dict;
}

/// NumPy's spelling of a tensor's element type; bfloat16 has none.
template <Element T>
constexpr const char* npy_descr() {
  static_assert(!std::is_same_v<T, bfloat16>, "npy has no bfloat16: convert to float first");
  switch (dtype_of<T>.kind()) {
    case DType::f32:
      return "<f4";
    case DType::f64:
      return "<f8";
    case DType::i64:
      return "<i8";
    case DType::i32:
      return "<i4";
    case DType::u8:
      return "|u1";
    default:
      return "|b1";
  }
}

/// The bytes of an npy file, as NumPy writes them.
template <Element T>
std::string npy_bytes(const Tensor<T>& x) {
  tandem::detail::require_defined("npy_bytes", "x", x);
  const Tensor<T> dense = detail::on_host(x);
  const std::vector<std::int64_t> shape(x.shape().begin(), x.shape().end());
  std::string out = npy_header(npy_descr<T>(), shape);
  out.append(reinterpret_cast<const char*>(dense.data()),
             static_cast<std::size_t>(dense.numel()) * sizeof(T));
  return out;
}

/// Writes a tensor as an npy file, atomically.
template <Element T>
void save_npy(const std::string& path, const Tensor<T>& x) {
  tandem::detail::require_defined("save_npy", "x", x);
  const Tensor<T> dense = detail::on_host(x);
  const std::vector<std::int64_t> shape(x.shape().begin(), x.shape().end());
  AtomicFile out(path);
  out.write(npy_header(npy_descr<T>(), shape));
  out.write(dense.data(), static_cast<std::size_t>(dense.numel()) * sizeof(T));
  out.commit();
}

/// Writes strings as a one-dimensional |S array, the way the field stores names.
inline void save_npy_strings(const std::string& path, const std::vector<std::string>& values) {
  std::size_t width = 1;
  for (const std::string& value : values) width = value.size() > width ? value.size() : width;
  AtomicFile out(path);
  out.write(npy_header(concat("|S", width), {static_cast<std::int64_t>(values.size())}));
  for (std::string value : values) {
    TANDEM_CHECK(value.empty() || value.back() != '\0', "npy", path,
                 ": a string that ends with a zero byte cannot be stored");
    value.resize(width, '\0');
    out.write(value);
  }
  out.commit();
}

}  // namespace io
TANDEM_NAMESPACE_END
