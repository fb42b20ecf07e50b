#pragma once
/// Writes npy object arrays as the files of the field are: pickle protocol 2 with Python 2 byte
/// strings. Python 3 reads them with numpy.load(path, allow_pickle=True, encoding="latin1").

#include <utility>

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
  /// A value of nlohmann-json, or of any class that answers the same questions.
  template <class Value>
  void value(const Value& json) {
    if (json.is_null()) {
      out_.write("N");
    } else if (json.is_boolean()) {
      out_.write(json.template get<bool>() ? "\x88" : "\x89");
    } else if (json.is_number_float()) {
      number(json.template get<double>());
    } else if (json.is_number()) {
      TANDEM_CHECK(!json.is_number_unsigned() ||
                       std::in_range<std::int64_t>(json.template get<std::uint64_t>()),
                   "pickle", "expected an integer of 64 bits with a sign, found ",
                   json.template get<std::uint64_t>());
      integer(json.template get<std::int64_t>());
    } else if (json.is_string()) {
      bytes(json.template get_ref<const std::string&>());
    } else {
      TANDEM_CHECK(json.is_array(), "pickle", "dictionaries are not written");
      out_.write("](");
      for (const Value& item : json) value(item);
      out_.write("e");
    }
  }
  template <Element T>
  void array(const Tensor<T>& x) {
    tandem::detail::require_defined("pickle", "array", x);
    const Tensor<T> dense = detail::on_host(x);
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
    out_.write(
        std::string_view("\0\x85U\x01"
                         "b\x87R(K\x01(",
                         11));
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

/// Writes a JSON array (io/json.hpp) as an object array: nested lists of numbers, strings, booleans
/// and null.
///
///     io::save_npy_objects("labels.npy", io::parse_json("[[\"Diving\"], []]"));
template <class Value>
requires requires(const Value& value) { value.is_array(); }
void save_npy_objects(const std::string& path, const Value& values) {
  TANDEM_CHECK(values.is_array(), "pickle", path, ": expected a JSON array to write");
  AtomicFile out(path);
  out.write(npy_header("|O", {static_cast<std::int64_t>(values.size())}));
  detail::PickleWriter pickle(out);
  pickle.begin_objects(values.size());
  for (const Value& value : values) pickle.value(value);
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
