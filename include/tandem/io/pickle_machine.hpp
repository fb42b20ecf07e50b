#pragma once
/// The stack machine of pickle.hpp: what each accepted opcode does.

#include "tandem/io/pickle.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

namespace detail {

enum class PickleGlobal : std::int64_t { ndarray, dtype, reconstruct, from_buffer, scalar, encode };

}  // namespace detail

inline bool Pickle::step() {
  using namespace detail;
  opcode_at_ = at_;
  if (at_ == size_) {
    fail("pickle", name_, ": the pickle ends at offset ", base_ + at_, " without a STOP opcode");
  }
  opcode_ = data_[at_++];
  switch (opcode_) {
    case kProto:
      if (const std::uint64_t version = number(1); version > 5) {
        error("protocol ", version, " is unknown, expected 0 to 5");
      }
      return true;
    case kFrame: {
      const std::uint64_t length = number(8);
      if (length > size_ - at_) {
        error("a frame of ", length, " bytes, the file has ", size_ - at_, " left");
      }
      return true;
    }
    case kStop:
      return false;

    case kNone:
      push(kNoneNode);
      return true;
    case kNewTrue:
      push(kFalseNode + 1);
      return true;
    case kNewFalse:
      push(kFalseNode);
      return true;
    case kInt:
      integer_line(false);
      return true;
    case kLong:
      integer_line(true);
      return true;
    case kBinInt:
      push_integer(static_cast<std::int32_t>(number(4)));
      return true;
    case kBinInt1:
      push_integer(static_cast<std::int64_t>(number(1)));
      return true;
    case kBinInt2:
      push_integer(static_cast<std::int64_t>(number(2)));
      return true;
    case kLong1:
      long_integer();
      return true;
    case kFloat:
      push_real(parse<double>(line(), "a float"));
      return true;
    case kBinFloat: {  // big-endian
      const std::uint64_t bits = __builtin_bswap64(number(8));
      push_real(std::bit_cast<double>(bits));
      return true;
    }

    case kString:
      quoted_string();
      return true;
    case kUnicode:
      raw_unicode();
      return true;
    case kShortBinString:
    case kShortBinBytes:
      push_string(Kind::bytes, take(number(1)));
      return true;
    case kBinString:  // a signed length, but no writer can mean a negative one
    case kBinBytes:
      push_string(Kind::bytes, take(number(4)));
      return true;
    case kBinBytes8:
    case kByteArray8:
      push_string(Kind::bytes, take(number(8)));
      return true;
    case kShortBinUnicode:
      push_string(Kind::text, take(number(1)));
      return true;
    case kBinUnicode:
      push_string(Kind::text, take(number(4)));
      return true;
    case kBinUnicode8:
      push_string(Kind::text, take(number(8)));
      return true;

    case kMark:
      marks_.push_back(stack_.size());
      return true;
    case kEmptyList:
      push_items(Kind::list, {});
      return true;
    case kEmptyTuple:
      push_items(Kind::tuple, {});
      return true;
    case kList:
      push_items(Kind::list, pop_mark());
      return true;
    case kTuple:
      push_items(Kind::tuple, pop_mark());
      return true;
    case kTuple1:
    case kTuple2:
    case kTuple3: {
      std::vector<Index> values(static_cast<std::size_t>(opcode_ - kTuple1 + 1));
      for (std::size_t i = values.size(); i-- > 0;) values[i] = pop();
      push_items(Kind::tuple, std::move(values));
      return true;
    }
    case kAppend:
      append_to_list({pop()});
      return true;
    case kAppends:
      append_to_list(pop_mark());
      return true;

    case kPut:
      put(parse<std::uint64_t>(line(), "a memo index"));
      return true;
    case kBinPut:
      put(number(1));
      return true;
    case kLongBinPut:
      put(number(4));
      return true;
    case kMemoize:
      put(memo_.size());
      return true;
    case kGet:
      get(parse<std::uint64_t>(line(), "a memo index"));
      return true;
    case kBinGet:
      get(number(1));
      return true;
    case kLongBinGet:
      get(number(4));
      return true;

    case kGlobal: {
      const std::string_view module = line();
      push_global(module, line());
      return true;
    }
    case kStackGlobal: {
      const Index function = pop(), module = pop();
      if (!is_string(function) || !is_string(module)) error("the name of a global is not a string");
      push_global(chars(module), chars(function));
      return true;
    }
    case kReduce:
      reduce();
      return true;
    case kBuild:
      build();
      return true;
    default:
      error("this opcode is not allowed");
  }
}

inline void Pickle::append_to_list(const std::vector<Index>& values) {
  const Index list = top();
  if (kind(list) != Kind::list) error("the value to append to is not a list");
  items(list).insert(items(list).end(), values.begin(), values.end());
}

inline void Pickle::integer_line(bool is_long) {
  std::string_view text = line();
  if (!is_long && (text == "00" || text == "01"))
    return push(text == "01" ? kFalseNode + 1 : kFalseNode);
  if (is_long && text.ends_with('L')) text.remove_suffix(1);
  push_integer(parse<std::int64_t>(text, "a 64-bit integer"));
}

inline void Pickle::long_integer() {
  const std::string_view raw = take(number(1));
  if (raw.size() > 8) error("an integer of ", raw.size(), " bytes, at most 8 are supported");
  std::uint64_t value = !raw.empty() && (raw.back() & 0x80) != 0 ? ~std::uint64_t{0} : 0;
  for (std::size_t i = raw.size(); i-- > 0;)
    value = value << 8 | static_cast<unsigned char>(raw[i]);
  push_integer(static_cast<std::int64_t>(value));
}

// Protocol 0: what repr() of a Python 2 string prints.
inline void Pickle::quoted_string() {
  const std::string_view text = line();
  if (text.size() < 2 || (text[0] != '\'' && text[0] != '"') || text.back() != text[0]) {
    error("the string is not in quotes");
  }
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    constexpr std::string_view letters = "\\'\"nrt", meanings = "\\'\"\n\r\t";
    const char c = text[++i];
    if (const std::size_t which = letters.find(c); which != std::string_view::npos) {
      // The closing quote is not part of the string, even after a backslash.
      if (i + 1 == text.size()) error("the string ends inside an escape");
      out += meanings[which];
    } else {
      unsigned code = 0;
      const std::string_view digits = text.substr(i + 1, 2);
      const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16).ptr;
      if (c != 'x' || digits.size() != 2 || end != digits.data() + 2) error("unknown escape");
      out += static_cast<char>(code);
      i += 2;
    }
  }
  push_owned(Kind::bytes, std::move(out));
}

// Protocol 0: Latin-1 bytes with \uXXXX and \UXXXXXXXX.
inline void Pickle::raw_unicode() {
  const std::string_view text = line();
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool wide = text.substr(i).starts_with("\\U");
    if (!wide && !text.substr(i).starts_with("\\u")) {
      append_utf8(out, static_cast<unsigned char>(text[i]));
      continue;
    }
    const std::string_view digits = text.substr(i + 2, wide ? 8 : 4);
    std::uint32_t code = 0;
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16).ptr;
    if (digits.size() != (wide ? 8 : 4) || end != digits.data() + digits.size() ||
        code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
      error("bad escape in a unicode string");
    }
    append_utf8(out, code);
    i += digits.size() + 1;
  }
  push_owned(Kind::text, std::move(out));
}

inline void Pickle::push_global(std::string_view module, std::string_view function) {
  using detail::PickleGlobal;
  std::string path(module);
  if (path.starts_with("numpy._core.")) path.erase(6, 1);  // numpy 2 renamed numpy.core
  path += '.';
  path += function;
  constexpr std::pair<std::string_view, PickleGlobal> allowed[] = {
      {"numpy.ndarray", PickleGlobal::ndarray},
      {"numpy.dtype", PickleGlobal::dtype},
      {"numpy.core.multiarray._reconstruct", PickleGlobal::reconstruct},
      {"numpy.core.numeric._frombuffer", PickleGlobal::from_buffer},
      {"numpy.core.multiarray.scalar", PickleGlobal::scalar},
      {"_codecs.encode", PickleGlobal::encode}};
  for (const auto& [name, global] : allowed) {
    if (path == name) {
      push_node(Kind::global).integer = static_cast<std::int64_t>(global);
      return;
    }
  }
  error("global ", module.substr(0, 80), ".", function.substr(0, 80), " is not allowed");
}

inline void Pickle::reduce() {
  using detail::PickleGlobal;
  const Index arguments = pop(), function = pop();
  if (kind(function) != Kind::global) error("only the allowed globals can be called");
  if (kind(arguments) != Kind::tuple) error("the arguments are not a tuple");
  const std::vector<Index> values = items(arguments);
  switch (static_cast<PickleGlobal>(nodes_[function].integer)) {
    case PickleGlobal::encode:
      return encode(values);
    case PickleGlobal::dtype:
      return make_type(values);
    case PickleGlobal::from_buffer:
      return from_buffer(values);
    case PickleGlobal::scalar:
      return make_scalar(values);
    case PickleGlobal::reconstruct:
      // _reconstruct(ndarray, (0,), b'b'): an empty array that BUILD fills.
      if (values.size() != 3 || kind(values[0]) != Kind::global ||
          nodes_[values[0]].integer != static_cast<std::int64_t>(PickleGlobal::ndarray)) {
        error("_reconstruct is only allowed for numpy.ndarray");
      }
      arrays_.emplace_back();
      push_node(Kind::array, arrays_.size() - 1);
      return;
    case PickleGlobal::ndarray:
      break;
  }
  error("numpy.ndarray is not called in these files");
}

// Python 3 writes bytes in protocols 0 to 2 as encode(text, 'latin1').
inline void Pickle::encode(const std::vector<Index>& arguments) {
  if (arguments.size() != 2 || kind(arguments[0]) != Kind::text || !is_string(arguments[1]) ||
      (chars(arguments[1]) != "latin1" && chars(arguments[1]) != "latin-1")) {
    error("_codecs.encode is only allowed as encode(text, 'latin1')");
  }
  // One copy per string, however often a file encodes it.
  if (const auto known = encoded_.find(arguments[0]); known != encoded_.end()) {
    return push(known->second);
  }
  std::string out;
  for (std::string_view rest = chars(arguments[0]); !rest.empty();) {
    std::uint32_t code = 0;
    rest.remove_prefix(decode_utf8(rest, code));
    if (code > 255) error("the character ", code, " has no Latin-1 form");
    out += static_cast<char>(code);
  }
  push_owned(Kind::bytes, std::move(out));
  encoded_[arguments[0]] = top();
}

// dtype('f8', align, copy)
inline void Pickle::make_type(const std::vector<Index>& arguments) {
  if (arguments.empty() || arguments.size() > 3 || !is_string(arguments[0])) {
    error("numpy.dtype is only allowed with a type name");
  }
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (!is_integer(arguments[i])) error("numpy.dtype has an argument that is not a number");
  }
  const std::string_view spelling = chars(arguments[0]);
  Array type;
  type.name = name_;
  const bool has_order = !spelling.empty() && (spelling[0] == '<' || spelling[0] == '|');
  const bool is_text = !spelling.empty() && (spelling[0] == 'S' || spelling[0] == 'O');
  detail::parse_npy_type(has_order ? std::string(spelling) : concat(is_text ? "|" : "<", spelling),
                         type);
  type.name.clear();
  types_.push_back(std::move(type));
  push_node(Kind::type, types_.size() - 1);
}

// Protocol 5: _frombuffer(bytes, dtype, shape, order)
inline void Pickle::from_buffer(const std::vector<Index>& arguments) {
  if (arguments.size() != 4 || !is_string(arguments[3]) ||
      (chars(arguments[3]) != "C" && chars(arguments[3]) != "F")) {
    error("_frombuffer expects bytes, dtype, shape and order");
  }
  ArrayNode node;
  build_array(node, arguments[2], arguments[1], chars(arguments[3]) == "F", arguments[0]);
  arrays_.push_back(std::move(node));
  push_node(Kind::array, arrays_.size() - 1);
}

// scalar(dtype, bytes): one element, which becomes the plain value.
inline void Pickle::make_scalar(const std::vector<Index>& arguments) {
  if (arguments.size() != 2 || kind(arguments[0]) != Kind::type ||
      kind(arguments[1]) != Kind::bytes) {
    error("numpy.core.multiarray.scalar is only allowed with a dtype and its bytes");
  }
  const Index data = arguments[1];
  const std::string_view raw = chars(data);
  Array element = types_[nodes_[arguments[0]].link];
  if (element.kind == ElementKind::object) error("a scalar cannot hold an object");
  if (raw.size() != element.item_size) {
    error("a scalar of ", io::kind_name(element.kind), " needs ", element.item_size,
          " bytes, the file gives ", raw.size());
  }
  element.data = reinterpret_cast<const unsigned char*>(raw.data());
  element.bytes = raw.size();
  if (element.kind == ElementKind::unicode) {
    // One copy per string, however often a file refers to it.
    const std::uint64_t key = 2 * std::uint64_t{data} + (element.swapped ? 1 : 0);
    if (const auto known = texts_.find(key); known != texts_.end()) return push(known->second);
    element.name = concat(name_, ": scalar at offset ", base_ + opcode_at_);
    push_owned(Kind::text, element.strings()[0]);
    texts_[key] = top();
    return;
  }
  if (element.kind == ElementKind::bytes) {
    const std::size_t length = raw.find_last_not_of('\0') + 1;  // zeros at the end are padding
    return set_chars(push_node(Kind::bytes, nodes_[data].link), raw.substr(0, length));
  }
  detail::with_type(element.kind, [&](auto from) {
    using From = decltype(from);
    const From value = detail::load<From>(element.data, element.swapped);
    if constexpr (std::is_same_v<From, bool>) {
      push(kFalseNode + (value ? 1 : 0));
    } else if constexpr (std::is_integral_v<From>) {
      if (!std::in_range<std::int64_t>(value))
        error("the integer ", value, " needs more than 64 bits");
      push_integer(static_cast<std::int64_t>(value));
    } else {
      push_real(static_cast<double>(
          static_cast<std::conditional_t<std::is_same_v<From, double>, double, float>>(value)));
    }
  });
}

inline void Pickle::build() {
  const Index state = pop(), target = top();
  if (kind(state) != Kind::tuple) error("the state is not a tuple");
  const std::vector<Index>& values = items(state);
  if (kind(target) == Kind::type) return build_type(nodes_[target], values);
  if (kind(target) != Kind::array) error("only arrays and their types have a state");
  // (version, shape, dtype, is_fortran, data)
  if (values.size() != 5 || !is_integer(values[0]) || !is_integer(values[3])) {
    error("the state of an array is not (version, shape, dtype, order, data)");
  }
  ArrayNode& node = arrays_[nodes_[target].link];
  if (node.built) error("the array has a state already");
  build_array(node, values[1], values[2], nodes_[values[3]].integer != 0, values[4]);
}

// (version, byte order, subarray, names, fields, item size, alignment, flags[, metadata])
inline void Pickle::build_type(Node& node, const std::vector<Index>& state) {
  if (state.size() < 8 || state.size() > 9 || !is_integer(state[0]) || !is_string(state[1]) ||
      chars(state[1]).size() != 1 || !is_integer(state[5])) {
    error("the state of a dtype is not understood");
  }
  for (std::size_t i : {std::size_t{2}, std::size_t{3}, std::size_t{4}}) {
    if (kind(state[i]) != Kind::none) error("structured element types are not supported");
  }
  if (state.size() == 9 && kind(state[8]) != Kind::none) error("dtype metadata is not supported");
  Array& type = types_[node.link];
  const char order = chars(state[1])[0];
  if (order != '<' && order != '>' && order != '|' && order != '=') error("unknown byte order");
  const std::int64_t size = nodes_[state[5]].integer;
  if (size != -1 && size != static_cast<std::int64_t>(type.item_size)) {
    error("the item size ", size, " contradicts the type name");
  }
  type.swapped = order == '>' && type.item_size > 1;
}

inline void Pickle::build_array(ArrayNode& node, Index shape, Index type, bool column_major,
                                Index data) {
  if (kind(shape) != Kind::tuple) error("the shape of an array is not a tuple");
  if (kind(type) != Kind::type) error("the element type of an array is not a dtype");
  Array& array = node.array;
  const Array& description = types_[nodes_[type].link];
  array.kind = description.kind;
  array.item_size = description.item_size;
  array.swapped = description.swapped;
  array.column_major = column_major;
  array.name = concat(name_, ": array at offset ", base_ + opcode_at_);
  if (items(shape).size() > 32) error("an array of ", items(shape).size(), " dimensions");
  for (const Index size : items(shape)) {
    if (!is_integer(size)) error("a size in the shape of an array is not an integer");
    array.shape.push_back(nodes_[size].integer);
  }
  const std::int64_t count = element_count(array.shape, array.item_size, array.name);
  if (array.kind == ElementKind::object) {
    if (kind(data) != Kind::list) error("the items of an object array are not a list");
    if (column_major && array.shape.size() > 1) error("an object array in Fortran order");
    node.items = data;  // its length is checked at the end, when nothing can be appended any more
  } else {
    if (kind(data) != Kind::bytes) error("the data of an array is not a byte string");
    const std::uint64_t needed = static_cast<std::uint64_t>(count) * array.item_size;
    if (chars(data).size() != needed) {
      error("an array of shape ", shape_text(array.shape), " of ", io::kind_name(array.kind),
            " needs ", needed, " bytes, the file gives ", chars(data).size());
    }
    array.data = reinterpret_cast<const unsigned char*>(chars(data).data());
    array.bytes = chars(data).size();
    const Index owned = nodes_[data].link;
    array.owner = owned > 0 ? Ref<RefCounted>(owned_[owned - 1]) : owner_;
  }
  node.built = true;
}

// After STOP: one value is left, everything it holds is a value, nothing holds itself.
inline void Pickle::finish() {
  if (at_ != size_) error("the pickle ends here, but ", size_ - at_, " bytes follow");
  if (stack_.size() != 1 || !marks_.empty()) error("expected one value on the stack at the end");
  root_ = stack_[0];
  // Depth-first without recursion; a node is open while its children are being visited.
  struct Open {
    Index node;
    const std::vector<Index>* children;
    std::size_t next;
    std::uint64_t size;
  };
  constexpr std::uint64_t unseen = 0, open = ~std::uint64_t{0};
  std::vector<std::uint64_t> sizes(nodes_.size(), unseen);
  std::vector<Open> path;
  static const std::vector<Index> no_children;
  const auto enter = [&](Index index) {
    const Node& node = nodes_[index];
    const std::vector<Index>* children = &no_children;
    if (node.kind == Kind::list || node.kind == Kind::tuple) children = &items_[node.link];
    if (node.kind == Kind::array) {
      const ArrayNode& array = arrays_[node.link];
      if (!array.built) error("an array was never given its data");
      if (array.array.kind == ElementKind::object) {
        children = &items(array.items);
        if (static_cast<std::uint64_t>(array.array.numel()) != children->size()) {
          error("an object array of shape ", shape_text(array.array.shape), " holds ",
                children->size(), " items");
        }
      }
    }
    if (node.kind == Kind::type || node.kind == Kind::global) {
      error("the value holds a dtype or a global where data is expected");
    }
    if (path.size() >= max_depth) error("values are nested deeper than ", max_depth, " levels");
    sizes[index] = open;
    path.push_back({index, children, 0, 1});
  };
  enter(root_);
  for (;;) {
    Open& here = path.back();
    if (here.next < here.children->size()) {
      const Index child = (*here.children)[here.next];
      if (sizes[child] == unseen) {
        enter(child);  // `here` is stale from now on
        continue;
      }
      if (sizes[child] == open) error("a list holds itself");
      here.size += std::min(sizes[child], open - 1 - here.size);
      ++here.next;
      continue;
    }
    sizes[here.node] = here.size;
    if (path.size() == 1) break;
    path.pop_back();
  }
  expanded_size_ = sizes[root_];
  // What only the machine needed.
  memo_ = {};
  encoded_ = {};
  texts_ = {};
  stack_ = {};
}

}  // namespace io
TANDEM_NAMESPACE_END
