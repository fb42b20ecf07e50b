#pragma once
/// The safetensors format (github.com/huggingface/safetensors, "Format"): named tensors in one flat
/// file that Python reads too.
///   8 bytes  N, little-endian
///   N bytes  JSON {"name": {"dtype": "F32", "shape": […], "data_offsets": [begin, end]}, …,
///                  "__metadata__": {string: string}}, padded with spaces
///   data     offsets count from here; the tensors cover it without gaps or overlaps
/// A model too large for one file is several of them and an index, "model.safetensors.index.json":
///   {"metadata": {…}, "weight_map": {tensor: file beside the index, …}}

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/io/array.hpp"
#include "tandem/io/json_reader.hpp"
#include "tandem/io/known_format.hpp"
#include "tandem/nn/module.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// String pairs stored beside the tensors, in the order of their keys.
using Metadata = std::map<std::string, std::string>;

namespace detail {

struct SafetensorsType {
  const char* name;
  ElementKind kind;
};
/// In the order in which the reference implementation sorts tensors: widest first.
inline constexpr SafetensorsType safetensors_types[] = {
    {"U64", ElementKind::u64},     {"I64", ElementKind::i64}, {"F64", ElementKind::f64},
    {"F32", ElementKind::f32},     {"U32", ElementKind::u32}, {"I32", ElementKind::i32},
    {"BF16", ElementKind::bf16},   {"F16", ElementKind::f16}, {"U16", ElementKind::u16},
    {"I16", ElementKind::i16},     {"I8", ElementKind::i8},   {"U8", ElementKind::u8},
    {"BOOL", ElementKind::boolean}};

constexpr std::size_t kMaxSafetensorsHeader = 100'000'000;  // the reference implementation's limit

}  // namespace detail

/// An open safetensors file, or all files of an index; tensors are views into the mapped files.
///
///     io::SafetensorsFile file("clip.safetensors");               // or its index.json
///     Tensor<float> w = file.get<float>("text_projection");       // exactly float32, shared
///     Tensor<float> x = file.get_as<float>("logit_scale");        // converted, copied
///     for (const std::string& name : file.names()) file.at(name).shape;
///
/// Errors, each with the tensor's name: a header that runs past the file or is not JSON of the form
/// above, offsets that lie outside the data, do not match shape × dtype, overlap or leave gaps,
/// names that appear twice; of an index, files that are not beside it, or hold other tensors than
/// it says. A tensor of a type that is not read here (F8_E4M3, C64 …) is listed, and refused when
/// it is used.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path) : path_(path) {
    if (path.ends_with(".index.json")) {
      read_index();
    } else {
      read_file(path);
    }
  }

  /// The path that was opened.
  const std::string& path() const { return path_; }
  /// The string pairs of the header.
  const Metadata& metadata() const { return metadata_; }
  /// Names in alphabetical order.
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [name, entry] : entries_) out.push_back(name);
    return out;
  }
  /// Whether there is a tensor of that name, and how many there are.
  bool contains(const std::string& name) const { return entries_.count(name) > 0; }
  std::size_t size() const { return entries_.size(); }

  /// Element kind, shape and bytes of a tensor.
  const Array& at(const std::string& name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
      fail("safetensors", path(), ": there is no tensor \"", name, "\"",
           did_you_mean(name, names()));
    }
    const Entry& entry = found->second;
    if (!entry.unread_type.empty()) {
      std::string known;
      for (const auto& type : detail::safetensors_types)
        known += concat(known.empty() ? "" : ", ", type.name);
      fail("safetensors", entry.array.name, ": the tensor has the type \"", entry.unread_type,
           "\", which is not read here; these are: ", known);
    }
    return entry.array;
  }
  /// Whether the elements of a tensor are floating numbers.
  bool is_floating(const std::string& name) const {
    switch (at(name).kind) {
      case ElementKind::f16:
      case ElementKind::bf16:
      case ElementKind::f32:
      case ElementKind::f64:
        return true;
      default:
        return false;
    }
  }
  /// A tensor whose elements are exactly T. Shares the file's bytes when they are aligned (clone()
  /// it to change it), copies otherwise.
  template <Element T>
  Tensor<T> get(const std::string& name) const {
    return at(name).tensor<T>();
  }
  /// A copy converted to T.
  template <Element T>
  Tensor<T> get_as(const std::string& name) const {
    return at(name).tensor_as<T>();
  }

 private:
  struct Entry {
    Array array;
    std::string unread_type;  ///< the type, where it is none of safetensors_types
  };

  /// Adds the tensors and the metadata of one file; returns the tensors' names.
  std::set<std::string> read_file(const std::string& path) {
    const Ref<MappedFile> file = MappedFile::open(path);
    const auto error = [&path](const auto&... words) { fail("safetensors", path, ": ", words...); };
    const std::size_t size = file->size();
    if (size < 8) {
      error("the file has ", size, " bytes, expected at least 8", looks_like(file->text()));
    }
    std::uint64_t length = 0;
    std::memcpy(&length, file->data(), 8);
    if (length > size - 8) {
      error("the header of ", length, " bytes runs past the end of the file (", size, " bytes)",
            length > detail::kMaxSafetensorsHeader ? ", so it is no safetensors file" : "",
            looks_like(file->text()));
    }
    if (length > detail::kMaxSafetensorsHeader) {
      error("the header has ", length, " bytes, at most ", detail::kMaxSafetensorsHeader,
            " are allowed", looks_like(file->text()));
    }
    const std::string_view header = file->text().substr(8, length);
    if (!header.starts_with('{')) {
      error("expected '{' at offset 8, the start of the header", looks_like(file->text()));
    }
    const JsonDocument document = JsonDocument::parse(header, path + " (header)", {.max_depth = 4});
    const std::size_t data_start = 8 + static_cast<std::size_t>(length);
    struct Span {
      std::size_t begin, end;
      const std::string* name;
    };
    std::vector<Span> spans;
    std::set<std::string> names;
    for (const auto& [name, value] : document.root().members()) {
      const JsonRef entry = document.root().of(value);
      if (name == "__metadata__") {
        if (entry.is_null()) continue;
        for (const auto& [key, text] : entry.members()) metadata_[key] = entry.of(text).string();
        continue;
      }
      const auto [place, is_new] =
          entries_.emplace(name, read_entry(*file, name, entry, data_start));
      if (!is_new) error("tensor \"", name, "\" is also in ", place->second.array.name);
      place->second.array.owner = file;
      names.insert(name);
      const std::size_t begin = place->second.array.data_offset - data_start;
      spans.push_back({begin, begin + place->second.array.bytes, &place->first});
    }
    std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
    });
    std::size_t covered = 0;
    for (const Span& span : spans) {
      if (span.begin != covered) {
        error("tensor \"", *span.name, "\" starts at data offset ", span.begin, ", expected ",
              covered, span.begin < covered ? " (tensors overlap)" : " (a gap between tensors)");
      }
      covered = span.end;
    }
    if (covered != size - data_start) {
      error("the tensors cover ", covered, " bytes of data, the file has ", size - data_start);
    }
    return names;
  }

  static Entry read_entry(const MappedFile& file, const std::string& name, const JsonRef& entry,
                          std::size_t data_start) {
    const auto error = [&file](const auto&... words) {
      fail("safetensors", file.path(), ": ", words...);
    };
    entry.only_keys({"dtype", "shape", "data_offsets"});
    Entry out;
    Array& array = out.array;
    array.name = concat(file.path(), ": ", name);
    const std::string& dtype = entry.at("dtype").string();
    out.unread_type = dtype.empty() ? "(none)" : dtype.substr(0, 40);
    for (const auto& type : detail::safetensors_types) {
      if (dtype != type.name) continue;
      out.unread_type.clear();
      array.kind = type.kind;
      array.item_size = kind_size(type.kind);
    }
    const bool known = out.unread_type.empty();
    const JsonRef shape = entry.at("shape");
    if (shape.array().size() > 32) error("tensor \"", name, "\" has ", shape.size(), " dimensions");
    for (const Json& value : shape.array()) array.shape.push_back(shape.of(value).integer(0));
    const JsonRef offsets = entry.at("data_offsets");
    if (offsets.array().size() != 2) offsets.error("expected [begin, end]");
    const auto begin = static_cast<std::size_t>(offsets[0].integer(0));
    const auto end = static_cast<std::size_t>(offsets[1].integer(0));
    const std::size_t available = file.size() - data_start;
    if (begin > end || end > available) {
      error("tensor \"", name, "\" lies at data offsets ", begin, " to ", end, ", the file has ",
            available, " bytes of data");
    }
    if (known) {
      const std::size_t needed =
          static_cast<std::size_t>(element_count(array.shape, array.item_size, array.name)) *
          array.item_size;
      if (end - begin != needed) {
        error("tensor \"", name, "\" of shape ", shape_text(array.shape), " and dtype ", dtype,
              " needs ", needed, " bytes, its data offsets give ", end - begin);
      }
    }
    array.bytes = end - begin;
    array.data_offset = data_start + begin;
    array.data = file.data() + array.data_offset;
    return out;
  }

  /// The files that an index names, each of which must hold just the tensors that it says.
  void read_index() {
    const JsonDocument index = JsonDocument::load(path_);
    const JsonRef map = index.root().at("weight_map");
    if (map.members().empty()) map.error("the index names no tensors");
    std::map<std::string, std::set<std::string>> files;
    for (const auto& [name, value] : map.members()) {
      const std::string& file = map.of(value).string();
      // Only what lies beside the index: an index from a stranger opens no other files.
      if (file.empty() || file == "." || file == ".." || file.find('/') != std::string::npos ||
          file.find('\0') != std::string::npos) {
        map.of(value).error("expected the name of a file beside the index, found \"",
                            file.substr(0, 80), "\"");
      }
      files[file].insert(name);
    }
    const std::string folder = path_.substr(0, path_.rfind('/') + 1);
    for (const auto& [file, expected] : files) {
      const std::set<std::string> found = read_file(folder + file);
      for (const std::string& name : expected) {
        if (found.count(name) == 0) {
          fail("safetensors", path_, ": tensor \"", name, "\" is not in ", file,
               ", where the index has it");
        }
      }
      for (const std::string& name : found) {
        if (expected.count(name) == 0) {
          fail("safetensors", path_, ": ", file, " holds the tensor \"", name,
               "\", which the index does not have there");
        }
      }
    }
  }

  std::string path_;
  Metadata metadata_;
  std::map<std::string, Entry> entries_;
};

namespace detail {

/// Whether a tensor of this name is a count, which is an int64 in PyTorch's files and an element of
/// T among the tensors of our modules.
inline bool is_count(std::string_view name) {
  constexpr std::string_view count = "num_batches_tracked";
  return name.ends_with(count) &&
         (name.size() == count.size() || name[name.size() - count.size() - 1] == '.');
}

}  // namespace detail

/// All floating tensors of a file, or of an index, by name, converted to T: copies that may be
/// changed. `prefix` reads the names that start with it only, without it.
///
///     net.load_state_dict(io::load_safetensors<float>("net.safetensors"));
///     auto head = io::load_safetensors<float>("model.safetensors", "head.");
///
/// So are the counts of batch norms, "num_batches_tracked", which PyTorch saves as int64. Other
/// tensors (masks, indices) are left out; SafetensorsFile reads those. Errors: those of
/// SafetensorsFile; a file, or a prefix, without a floating tensor.
template <FloatingElement T>
std::vector<nn::Named<T>> load_safetensors(const std::string& path, std::string_view prefix = {}) {
  const SafetensorsFile file(path);
  std::vector<nn::Named<T>> out;
  bool any_floating = false;
  for (const std::string& name : file.names()) {
    if (!name.starts_with(prefix)) continue;
    const bool floating = file.is_floating(name);
    if (!floating && !detail::is_count(name)) continue;
    any_floating = any_floating || floating;
    if (name.size() == prefix.size() && !prefix.empty()) {
      fail("load_safetensors", path, ": a tensor is called \"", name,
           "\", which is all prefix: no name is left");
    }
    out.push_back({name.substr(prefix.size()), file.get_as<T>(name)});
  }
  if (!any_floating) {
    fail("load_safetensors", path, " has no floating tensor",
         prefix.empty() ? std::string() : concat(" whose name starts with \"", prefix, "\""),
         did_you_mean(prefix, file.names()));
  }
  return out;
}

/// Tensors of any element types, by name, to be saved. Holds references, not copies: an in-place
/// change before saving is saved.
///
///     io::SafetensorsWriter out;
///     out.add("weight", weight);
///     out.metadata["step"] = "1000";
///     out.save("model.safetensors");
///
/// The file is written atomically and is a function of names, values and metadata alone: tensors
/// are ordered by element size, then dtype, then name, as the reference implementation orders them,
/// so that each is aligned to its element size.
class SafetensorsWriter {
 public:
  Metadata metadata;

  /// Adds a tensor with its own element type. The counts of batch norms, "num_batches_tracked", are
  /// of the module's type and stay it; save_safetensors() writes them as int64, as PyTorch does.
  /// A tensor on a GPU comes to the host when it is saved. Errors: an undefined tensor, a name that
  /// was added already.
  template <Element T>
  void add(const std::string& name, const Tensor<T>& x) {
    tandem::detail::require_defined("safetensors", concat("'", name, "'"), x);
    TANDEM_CHECK(name != "__metadata__", "safetensors", "a tensor cannot be named __metadata__");
    for (const Item& item : items_) {
      TANDEM_CHECK(item.name != name, "safetensors", "the name \"", name, "\" was added already");
    }
    const ElementKind kind = detail::kind_of<T>();
    int order = 0;
    while (detail::safetensors_types[order].kind != kind) ++order;
    const std::vector<std::int64_t> shape(x.shape().begin(), x.shape().end());
    // Dense data is written from where it is; anything else is made dense when its turn comes.
    const Tensor<T> held = x.detach();
    items_.push_back({name, order, shape, static_cast<std::size_t>(x.numel()) * sizeof(T),
                      make_ref<Held<T>>(held)});
  }

  void save(const std::string& path) const {
    std::vector<const Item*> sorted;
    for (const Item& item : items_) sorted.push_back(&item);
    std::sort(sorted.begin(), sorted.end(), [](const Item* a, const Item* b) {
      return a->order != b->order ? a->order < b->order : a->name < b->name;
    });
    Json::object_t header;
    if (!metadata.empty()) header.emplace_back("__metadata__", Json(metadata));
    std::size_t offset = 0;
    for (const Item* item : sorted) {
      Json entry = Json::object();
      entry["dtype"] = detail::safetensors_types[item->order].name;
      entry["shape"] = item->shape;
      entry["data_offsets"] = {offset, offset + item->bytes};
      offset += item->bytes;
      header.emplace_back(item->name, std::move(entry));
    }
    std::string text = json_text(Json(std::move(header)));
    text.append((8 - text.size() % 8) % 8, ' ');
    const std::uint64_t length = text.size();
    AtomicFile out(path);
    out.write(&length, 8);
    out.write(text);
    for (const Item* item : sorted) item->data->write(out);
    out.commit();
  }

 private:
  struct HeldTensor : RefCounted {
    virtual void write(AtomicFile& out) const = 0;
  };
  template <class T>
  struct Held final : HeldTensor {
    explicit Held(const Tensor<T>& x) : tensor(x) {}
    void write(AtomicFile& out) const override {
      const Tensor<T> dense = detail::on_host(tensor);
      out.write(dense.data(), static_cast<std::size_t>(dense.numel()) * sizeof(T));
    }
    Tensor<T> tensor;
  };
  struct Item {
    std::string name;
    int order;  // index into safetensors_types
    std::vector<std::int64_t> shape;
    std::size_t bytes;
    Ref<HeldTensor> data;
  };
  std::vector<Item> items_;
};

namespace detail {

/// Adds a tensor as it is, and a count of batches as the int64 that PyTorch has.
template <Element T>
void add_named(SafetensorsWriter& out, const std::string& name, const Tensor<T>& x) {
  if constexpr (FloatingElement<T>) {
    if (is_count(name) && x.defined() && x.rank() == 0) {
      const double count = static_cast<double>(x.item());
      if (count >= 0 && count <= 0x1p53 && count == std::floor(count)) {
        out.add(name, full<std::int64_t>({}, static_cast<std::int64_t>(count)));
        return;
      }
    }
  }
  out.add(name, x);
}

}  // namespace detail

/// Writes tensors of one element type: a map or a vector of (name, tensor) pairs.
///
///     io::save_safetensors("model.safetensors", model.state_dict(), {{"epoch", "3"}});
///
/// The counts of batch norms, "num_batches_tracked", become int64, as PyTorch saves them.
template <class NamedTensors>
void save_safetensors(const std::string& path, const NamedTensors& tensors,
                      const Metadata& metadata = {}) {
  SafetensorsWriter out;
  out.metadata = metadata;
  for (const auto& [name, tensor] : tensors) detail::add_named(out, name, tensor);
  out.save(path);
}

}  // namespace io
TANDEM_NAMESPACE_END
