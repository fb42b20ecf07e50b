#pragma once
/// Writes npy object arrays as the files of the field are: pickle protocol 2 with Python 2 byte
/// strings. Python 3 reads them with numpy.load(path, allow_pickle=True, encoding="latin1").

#include "tandem/io/json.hpp"
#include "tandem/io/npy.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

namespace detail {

/// Emits opcodes; nothing is memoized, so every value is written out where it stands.
class PickleWriter {
 public:
  explicit PickleWriter(AtomicFile& out) : out_(out) {}

  /// An object array of shape (count,): call, then the items, then end_objects().
  void begin_objects(std::size_t count) {
    out_.write("\x80\x02");
    begin_array({static_cast<std::int64_t>(count)}, "O8", '|');
    out_.write("](");
  }
  void end_objects() { out_.write("etb."); }

  void number(double value) {
    const std::uint64_t bits = __builtin_bswap64(std::bit_cast<std::uint64_t>(value));
    out_.write("G");
    out_.write(&bits, 8);
  }
  void integer(std::int64_t value) {
    if (std::in_range<std::int32_t>(value)) {
      const auto narrow = static_cast<std::int32_t>(value);
      out_.write("J");
      out_.write(&narrow, 4);
    } else {
      out_.write("\x8a\x08");
      out_.write(&value, 8);
    }
  }
  void bytes(std::string_view value) {
    TANDEM_CHECK(value.size() < (std::size_t{1} << 31), "pickle", "a string of ", value.size(),
                 " bytes does not fit protocol 2");
    const auto length = static_cast<std::uint32_t>(value.size());
    if (length < 256) {
      const auto narrow = static_cast<unsigned char>(length);
      out_.write("U");
      out_.write(&narrow, 1);
    } else {
      out_.write("T");
      out_.write(&length, 4);
    }
    out_.write(value);
  }
  void value(const Json& json) {
    switch (json.kind()) {
      case Json::Kind::null: out_.write("N"); return;
      case Json::Kind::boolean: out_.write(json.as_boolean() ? "\x88" : "\x89"); return;
      case Json::Kind::integer: integer(json.as_integer()); return;
      case Json::Kind::real: number(json.as_number()); return;
      case Json::Kind::string: bytes(json.as_string()); return;
      case Json::Kind::object: fail("pickle", "dictionaries are not written");
      case Json::Kind::array: break;
    }
    out_.write("](");
    for (const Json& item : json.as_array()) value(item);
    out_.write("e");
  }
  template <Element T>
  void array(const Tensor<T>& x) {
    const Tensor<T> dense = x.detach().contiguous();
    const std::string_view descr = npy_descr<T>();
    begin_array({x.shape().begin(), x.shape().end()}, descr.substr(1), descr[0]);
    bytes({reinterpret_cast<const char*>(dense.data()),
           static_cast<std::size_t>(dense.numel()) * sizeof(T)});
    out_.write("tb");
  }

 private:
  /// Up to the data: _reconstruct(ndarray, (0,), 'b') and (1, shape, dtype, False, …
  void begin_array(const std::vector<std::int64_t>& shape, std::string_view type, char order) {
    out_.write("cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK");
    out_.write(std::string_view("\0\x85U\x01" "b\x87R(K\x01(", 11));
    for (const std::int64_t size : shape) integer(size);
    out_.write("tcnumpy\ndtype\n");
    bytes(type);
    // dtype(type, 0, 1) with state (3, order, None, None, None, -1, -1, flags)
    out_.write(std::string_view("K\0K\x01\x87R(K\x03", 9));
    bytes({&order, 1});
    out_.write("NNN");
    integer(-1);
    integer(-1);
    integer(type == "O8" ? 63 : 0);
    out_.write("tb\x89");
  }

  AtomicFile& out_;
};

}  // namespace detail

/// Writes a JSON array as an object array: nested lists of numbers, strings, booleans and null.
///
///     io::save_npy_objects("labels.npy", io::parse_json("[[\"Diving\"], []]"));
inline void save_npy_objects(const std::string& path, const Json& values) {
  AtomicFile out(path);
  out.write(npy_header("|O", {static_cast<std::int64_t>(values.as_array().size())}));
  detail::PickleWriter pickle(out);
  pickle.begin_objects(values.size());
  for (const Json& value : values.as_array()) pickle.value(value);
  pickle.end_objects();
  out.commit();
}

/// Writes tensors of any shapes as an object array of arrays, the form of joint feature files.
template <Element T>
void save_npy_objects(const std::string& path, const std::vector<Tensor<T>>& arrays) {
  AtomicFile out(path);
  out.write(npy_header("|O", {static_cast<std::int64_t>(arrays.size())}));
  detail::PickleWriter pickle(out);
  pickle.begin_objects(arrays.size());
  for (const Tensor<T>& array : arrays) pickle.array(array);
  pickle.end_objects();
  out.commit();
}

}  // namespace io
TANDEM_NAMESPACE_END
