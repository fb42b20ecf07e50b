#pragma once
/// Lists within lists, however NumPy stored them.
///
/// One and the same [[[0, 10], [20, 30]], [[5, 15]]] is a (2,) object array of lists, of arrays, or
/// of lists of np.float64; where all lists are equally long, np.array makes an object array (n, k,
/// 2) or plain floats of it. Nested reads them all alike.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/io/pickle.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// A list, a number, a string, or something else. Cheap to copy; the NestedFile it came from must
/// outlive it.
class Nested {
 public:
  explicit Nested(const PickleValue& value) : value_(value) {
    if (value.is_array()) {
      open(value.array());
    } else if (value.is_object_array()) {
      if (value.shape().empty()) {
        *this = Nested(value[0]);
      } else {
        shape_ = &value.shape();
      }
    }
  }
  /// An array of numbers or strings, which must outlive this.
  explicit Nested(const Array& array) { open(array); }

  /// What stands here: a list (or a dimension of an array), a number, or a string.
  bool is_list() const {
    return shape_ != nullptr ? dim_ < shape_->size() : value_ && value_->is_list();
  }
  bool is_number() const {
    return shape_ != nullptr ? leaf() && !elements_->text : value_ && value_->is_number();
  }
  bool is_string() const {
    return shape_ != nullptr ? leaf() && elements_->text : value_ && value_->is_string();
  }

  /// The items of a list, and one of them. Errors: no list; an index beyond them.
  std::size_t size() const {
    if (!is_list()) wrong("a list");
    return shape_ != nullptr ? static_cast<std::size_t>((*shape_)[dim_]) : value_->size();
  }
  Nested operator[](std::size_t index) const {
    TANDEM_CHECK(index < size(), "read", "there is no item ", index, " of ", size());
    if (shape_ == nullptr) return Nested((*value_)[index]);
    Nested inner = *this;
    inner.offset_ = offset_ * size() + index;  // row-major: digits of a mixed radix
    ++inner.dim_;
    if (elements_ == nullptr && inner.dim_ == shape_->size())
      return Nested((*value_)[inner.offset_]);
    return inner;
  }
  /// The number or the text that stands here. Errors: something else does.
  double number() const {
    if (!is_number()) wrong("a number");
    return shape_ != nullptr ? elements_->numbers[offset_] : value_->number();
  }
  std::string string() const {
    if (!is_string()) wrong("a string");
    return shape_ != nullptr ? elements_->strings[offset_] : std::string(value_->string());
  }
  /// "a list", "a string" …
  const char* kind_name() const {
    if (is_list()) return value_ && value_->is_list() ? value_->kind_name() : "a list";
    if (shape_ != nullptr) return elements_->text ? "a string" : "a number";
    return value_->kind_name();
  }

 private:
  struct Elements {
    bool text = false;
    std::vector<double> numbers;
    std::vector<std::string> strings;
  };
  void open(const Array& array) {
    auto elements = std::make_shared<Elements>();
    elements->text = !array.is_numeric();
    if (elements->text) {
      elements->strings = array.strings();
    } else {
      elements->numbers = array.to_vector<double>();
    }
    elements_ = std::move(elements);
    shape_ = &array.shape;
  }
  bool leaf() const { return elements_ != nullptr && dim_ == shape_->size(); }
  [[noreturn]] void wrong(const char* expected) const {
    fail("read", "expected ", expected, ", found ", kind_name());
  }

  std::optional<PickleValue> value_;          // of a pickle; beside shape_: the object array
  std::shared_ptr<const Elements> elements_;  // of an array of numbers or strings, all of them
  const std::vector<std::int64_t>* shape_ = nullptr;
  std::size_t dim_ = 0, offset_ = 0;  // dimensions passed; row-major index within them
};

/// An npy file of any element type, opened as nested lists.
///
///     const io::NestedFile file("segments.npy");
///     file.root()[0][2][1].number();   // → 1.5
class NestedFile {
 public:
  explicit NestedFile(const std::string& path) : path_(path), array_(load_npy(path)) {
    if (array_.kind == ElementKind::object) pickle_ = parse_npy_objects(array_);
  }
  NestedFile(const NestedFile&) = delete;
  NestedFile& operator=(const NestedFile&) = delete;

  Nested root() const { return pickle_ ? Nested(pickle_->root()) : Nested(array_); }
  /// The path that was opened.
  const std::string& path() const { return path_; }
  /// The bytes of the file, and the values that a reader of the whole would meet: shared references
  /// may stand for more values than any honest file of this size holds.
  std::size_t bytes() const { return array_.data_offset + array_.bytes; }
  /// The values that a reader of the whole would meet.
  std::uint64_t expanded_size() const {
    return pickle_ ? pickle_->expanded_size() : static_cast<std::uint64_t>(array_.numel());
  }

 private:
  std::string path_;
  Array array_;
  Ref<Pickle> pickle_;
};

/// The strings of an npy file that holds one list of them: an array of strings, or of objects.
inline std::vector<std::string> load_npy_names(const std::string& path) {
  const NestedFile file(path);
  const Nested root = file.root();
  TANDEM_CHECK(root.is_list(), "read", path, ": expected a list of names, found ",
               root.kind_name());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < root.size(); ++i) {
    Nested name = root[i];
    if (name.is_list() && name.size() == 1) name = name[0];  // (N, 1)
    TANDEM_CHECK(name.is_string(), "read", path, ": name ", i, ": expected a string, found ",
                 name.kind_name());
    out.push_back(name.string());
  }
  return out;
}

}  // namespace io
TANDEM_NAMESPACE_END
