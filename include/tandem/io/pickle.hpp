#pragma once
/// A reader for the pickles inside npy object arrays. It is not an interpreter: a pickle is a
/// program, and this accepts only the opcodes and the six globals that such files use.
///
/// Accepted values: None, booleans, integers, floats, byte and unicode strings, lists, tuples,
/// NumPy scalars (np.float64(2.5), np.str_("Run"), read as the plain values) and NumPy arrays (of
/// numbers, strings or objects), pickled by Python 2 or 3 with protocol 0 to 5.
/// Globals: numpy.ndarray, numpy.dtype, numpy.core.multiarray._reconstruct and .scalar,
/// numpy.core.numeric._frombuffer (also spelled numpy._core), _codecs.encode. Nothing is ever
/// imported or called; these six are recognised by name and acted out here.

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "tandem/io/npy.hpp"
#include "tandem/io/pickle_opcodes.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

class PickleValue;

/// A loaded pickle: a graph of nodes without cycles. Shared references stay shared, so a file of n
/// bytes needs memory proportional to n whatever its references multiply to; `expanded_size` says
/// how large the tree is that a reader would walk. Strings and array data are views into the file.
class Pickle final : public RefCounted {
 public:
  enum class Kind : std::uint8_t {
    none,
    boolean,
    integer,
    real,
    bytes,
    text,
    list,
    tuple,
    array,  // values
    type,
    global  // parts of an array
  };
  /// Deeper nesting is refused.
  static constexpr int max_depth = 64;

  /// `data` starts `offset` bytes into the file `name`; messages count from the file's start.
  /// Errors name the opcode and its offset: anything that is not in the lists above, sizes that run
  /// past the end, cycles, nesting deeper than max_depth, bytes after the end of the pickle.
  Pickle(const unsigned char* data, std::size_t size, std::string name, std::size_t offset,
         Ref<RefCounted> owner)
      : data_(data), size_(size), base_(offset), name_(std::move(name)), owner_(std::move(owner)) {
    // KNoneNode, kFalseNode, kFalseNode + 1: shared by everything that holds them
    nodes_.resize(3);
    nodes_[kFalseNode].kind = nodes_[kFalseNode + 1].kind = Kind::boolean;
    nodes_[kFalseNode + 1].integer = 1;
    while (step()) {
    }
    finish();
  }

  /// The value that was pickled.
  PickleValue root() const;
  const std::string& name() const { return name_; }
  /// Nodes of the tree with shared references written out; saturates at 2⁶⁴ − 2. A reader that
  /// copies the tree should refuse more than it could have been given honestly.
  std::uint64_t expanded_size() const { return expanded_size_; }

 private:
  friend class PickleValue;
  using Index = std::uint32_t;
  static constexpr Index kNoneNode = 0, kFalseNode = 1;

  struct Node {
    Kind kind = Kind::none;
    Index link = 0;  // list, tuple: index of its items; array, type: of its description; string:
                     // 1 + index of the memory that owns it, 0 for the file
    union {
      std::int64_t integer = 0;
      double real;
      const char* chars;
    };
    std::size_t length = 0;
  };
  struct ArrayNode {
    Array array;
    bool built = false;
    Index items = 0;  // the list of an object array
  };

  template <class... Pieces>
  [[noreturn]] void error(const Pieces&... pieces) const {
    const std::string_view opcode = detail::opcode_name(opcode_);
    fail("pickle", name_, ": opcode ",
         opcode.empty() ? concat("0x", detail::hex(opcode_)) : std::string(opcode), " at offset ",
         base_ + opcode_at_, ": ", pieces...);
  }

  // --- bytes -----------------------------------------------------------------------------------
  std::string_view take(std::uint64_t count) {
    if (count > size_ - at_) {
      error("needs ", count, " more bytes, the file has ", size_ - at_, " left");
    }
    const std::string_view out(reinterpret_cast<const char*>(data_) + at_,
                               static_cast<std::size_t>(count));
    at_ += static_cast<std::size_t>(count);
    return out;
  }
  std::uint64_t number(int bytes) {
    const std::string_view raw = take(static_cast<std::uint64_t>(bytes));
    std::uint64_t value = 0;
    for (int i = bytes; i-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(raw[static_cast<std::size_t>(i)]);
    }
    return value;
  }
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(data_) + at_, size_ - at_);
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) error("the line does not end");
    at_ += end + 1;
    return rest.substr(0, end);
  }
  template <class V>
  V parse(std::string_view text, const char* what) const {
    V value{};
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
      error("expected ", what, ", found \"", text.substr(0, 40), "\"");
    }
    return value;
  }

  // --- stack and memo --------------------------------------------------------------------------
  void push(Index node) { stack_.push_back(node); }
  Node& push_node(Kind kind, std::size_t link = 0) {
    if (nodes_.size() >= std::numeric_limits<Index>::max()) error("the pickle has too many values");
    nodes_.emplace_back();
    nodes_.back().kind = kind;
    nodes_.back().link = static_cast<Index>(link);
    push(static_cast<Index>(nodes_.size() - 1));
    return nodes_.back();
  }
  void push_integer(std::int64_t value) { push_node(Kind::integer).integer = value; }
  void push_real(double value) { push_node(Kind::real).real = value; }
  void push_string(Kind kind, std::string_view chars) {
    std::uint32_t code = 0;
    for (std::string_view rest = chars; kind == Kind::text && !rest.empty();) {
      const std::size_t length = decode_utf8(rest, code);
      if (length == 0) error("the string is not valid UTF-8");
      rest.remove_prefix(length);
    }
    set_chars(push_node(kind), chars);
  }
  void push_owned(Kind kind, std::string chars) {
    owned_.push_back(make_ref<OwnedBytes>(std::move(chars)));
    const OwnedBytes& bytes = *owned_.back();
    set_chars(push_node(kind, owned_.size()),
              {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  static void set_chars(Node& node, std::string_view chars) {
    node.chars = chars.data();
    node.length = chars.size();
  }
  void push_items(Kind kind, std::vector<Index> items) {
    items_.push_back(std::move(items));
    push_node(kind, items_.size() - 1);
  }
  Index top() const {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) error("the stack is empty");
    return stack_.back();
  }
  Index pop() {
    const Index node = top();
    stack_.pop_back();
    return node;
  }
  /// Everything above the last mark.
  std::vector<Index> pop_mark() {
    if (marks_.empty()) error("there is no mark on the stack");
    const auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Index> items(from, stack_.end());
    stack_.erase(from, stack_.end());
    marks_.pop_back();
    return items;
  }
  void put(std::uint64_t slot) { memo_[slot] = top(); }
  void get(std::uint64_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) error("nothing was stored under ", slot);
    push(found->second);
  }
  std::vector<Index>& items(Index node) { return items_[nodes_[node].link]; }
  const std::vector<Index>& items(Index node) const { return items_[nodes_[node].link]; }
  std::string_view chars(Index node) const { return {nodes_[node].chars, nodes_[node].length}; }
  Kind kind(Index node) const { return nodes_[node].kind; }
  bool is_string(Index node) const { return kind(node) == Kind::bytes || kind(node) == Kind::text; }
  bool is_integer(Index node) const {
    return kind(node) == Kind::integer || kind(node) == Kind::boolean;
  }

  bool step();
  void append_to_list(const std::vector<Index>& values);
  void integer_line(bool is_long);
  void long_integer();
  void quoted_string();
  void raw_unicode();
  void push_global(std::string_view module, std::string_view function);
  void reduce();
  void encode(const std::vector<Index>& arguments);
  void make_type(const std::vector<Index>& arguments);
  void from_buffer(const std::vector<Index>& arguments);
  void make_scalar(const std::vector<Index>& arguments);
  void build();
  void build_type(Node& node, const std::vector<Index>& state);
  void build_array(ArrayNode& node, Index shape, Index type, bool column_major, Index data);
  void finish();

  const unsigned char* data_;
  std::size_t size_, base_;
  std::string name_;
  Ref<RefCounted> owner_;
  std::size_t at_ = 0, opcode_at_ = 0;
  unsigned char opcode_ = 0;
  std::vector<Node> nodes_;
  std::vector<std::vector<Index>> items_;
  std::vector<ArrayNode> arrays_;
  std::vector<Array> types_;  // only kind, item_size and swapped are used
  std::vector<Ref<OwnedBytes>> owned_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Index> memo_;
  std::unordered_map<Index, Index> encoded_;        // text → its bytes
  std::unordered_map<std::uint64_t, Index> texts_;  // 2·bytes (+ 1: swapped) → the text in UTF-32
  Index root_ = 0;
  std::uint64_t expanded_size_ = 0;
};

/// One value of a Pickle, which must outlive it. Cheap to copy.
class PickleValue {
 public:
  using Kind = Pickle::Kind;
  PickleValue(const Pickle& pickle, std::uint32_t node) : pickle_(&pickle), node_(node) {}

  /// What stands here.
  Kind kind() const { return pickle_->kind(node_); }
  /// True for a list or a tuple; for text or bytes; for an integer, bool or float.
  bool is_list() const { return kind() == Kind::list || kind() == Kind::tuple; }
  bool is_string() const { return pickle_->is_string(node_); }
  bool is_number() const { return pickle_->is_integer(node_) || kind() == Kind::real; }
  /// True for an array of numbers or strings.
  bool is_array() const {
    return kind() == Kind::array && description().kind != ElementKind::object;
  }
  /// True for an array of objects, whose items are values.
  bool is_object_array() const {
    return kind() == Kind::array && description().kind == ElementKind::object;
  }

  /// Items of a list, a tuple or an object array.
  std::size_t size() const { return items().size(); }
  PickleValue operator[](std::size_t index) const {
    const auto& all = items();
    TANDEM_CHECK(index < all.size(), "pickle", pickle_->name(), ": there is no item ", index,
                 " of ", all.size());
    return {*pickle_, all[index]};
  }
  double number() const {
    if (kind() == Kind::real) return pickle_->nodes_[node_].real;
    return static_cast<double>(integer());
  }
  std::int64_t integer() const {
    if (!pickle_->is_integer(node_)) wrong("a number");
    return pickle_->nodes_[node_].integer;
  }
  std::string_view string() const {
    if (!is_string()) wrong("a string");
    return pickle_->chars(node_);
  }
  /// An array of numbers or strings, which keeps its bytes alive by itself.
  const Array& array() const {
    if (!is_array()) wrong("an array of numbers");
    return description();
  }
  /// The shape of an object array.
  const std::vector<std::int64_t>& shape() const {
    if (kind() != Kind::array) wrong("an array");
    return description().shape;
  }
  /// "a list", "a string" …
  const char* kind_name() const {
    constexpr const char* names[] = {"None",     "a boolean",        "an integer", "a float",
                                     "a string", "a unicode string", "a list",     "a tuple",
                                     "an array", "a dtype",          "a global"};
    return names[static_cast<int>(kind())];
  }

 private:
  const Array& description() const { return pickle_->arrays_[pickle_->nodes_[node_].link].array; }
  const std::vector<std::uint32_t>& items() const {
    if (is_object_array()) {
      return pickle_->items(pickle_->arrays_[pickle_->nodes_[node_].link].items);
    }
    if (!is_list()) wrong("a list");
    return pickle_->items(node_);
  }
  [[noreturn]] void wrong(const char* expected) const {
    fail("pickle", pickle_->name(), ": expected ", expected, ", found ", kind_name());
  }

  const Pickle* pickle_;
  std::uint32_t node_;
};

inline PickleValue Pickle::root() const { return {*this, root_}; }

/// The objects of an npy object array: `root()` is the array.
///
///     auto objects = io::load_npy_objects("segments.npy");
///     objects->root()[0][2][1].number();   // → 1.5
inline Ref<Pickle> parse_npy_objects(const Array& array) {
  TANDEM_CHECK(array.kind == ElementKind::object, "npy", array.name,
               ": expected an array of objects, found ", kind_name(array.kind), " elements");
  auto pickle =
      make_ref<Pickle>(array.data, array.bytes, array.name, array.data_offset, array.owner);
  const PickleValue root = pickle->root();
  TANDEM_CHECK(root.is_object_array() && root.shape() == array.shape, "npy", array.name,
               ": the header promises an object array of shape ", shape_text(array.shape),
               ", the pickle holds ", root.kind_name(),
               root.kind() == Pickle::Kind::array ? " of shape " + shape_text(root.shape()) : "");
  return pickle;
}
inline Ref<Pickle> load_npy_objects(const std::string& path) {
  return parse_npy_objects(load_npy(path));
}

}  // namespace io
TANDEM_NAMESPACE_END

#include "tandem/io/pickle_machine.hpp"
