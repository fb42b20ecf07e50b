#pragma once
/// Filling the slots of a module from a safetensors file: what the loaders of CLIP and I3D share.
/// It is not in nn/ because that needs the standard library alone.

#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/cpu/convert.hpp"
#include "tandem/cpu/finite.hpp"
#include "tandem/io/safetensors.hpp"
#include "tandem/nn/module.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// The tensors of a checkpoint that make up one tensor of ours: one, or the query, key and value
/// projections of a Hugging Face file one below the other.
struct Pieces {
  std::vector<std::string> names;
  bool transposed = false;  ///< Hugging Face keeps projections as (output, width)
};

/// What became of a checkpoint's tensors.
struct WeightsReport {
  std::vector<std::string> used;     ///< names in the file
  std::vector<std::string> missing;  ///< the encoders have it, the file does not (allow_missing)
  std::vector<std::string> unused;   ///< the file has it, no encoder does
  std::int64_t mapped_bytes = 0;     ///< used as they lie in the mapped file
  std::int64_t copied_bytes = 0;     ///< converted, joined or transposed into memory of their own
  /// One line for people.
  std::string str() const {
    std::string out = concat(used.size(), " tensors used, ", mapped_bytes / 1000000, " MB mapped, ",
                             copied_bytes / 1000000, " MB converted");
    for (const auto& [what, names] :
         {std::pair{"missing", &missing}, std::pair{"unused", &unused}}) {
      if (names->empty()) continue;
      out += concat("; ", names->size(), " ", what, ":");
      for (const std::string& name : *names) out += " " + name;
    }
    return out;
  }
};

namespace detail {

/// The elements of `from` as T at `to`, in row-major order.
template <FloatingElement T>
void copy_elements(const Array& from, T* to) {
  const std::int64_t n = from.numel();
  const bool plain = !from.swapped && !from.column_major &&
                     reinterpret_cast<std::uintptr_t>(from.data) % from.item_size == 0;
  const auto* half = reinterpret_cast<const std::uint16_t*>(from.data);
  if constexpr (std::is_same_v<T, float>) {
    if (plain && from.kind == ElementKind::f16) return cpu::widen_half(half, to, n);
    if (plain && from.kind == ElementKind::bf16) {
      return cpu::widen(reinterpret_cast<const bfloat16*>(from.data), to, n);
    }
  }
  if constexpr (std::is_same_v<T, bfloat16>) {
    if (plain && from.kind == ElementKind::f32) {
      return cpu::round_to_bfloat16(reinterpret_cast<const float*>(from.data), to, n);
    }
    if (plain && from.kind == ElementKind::f16) {
      const Tensor<float> wide(Shape{n});
      cpu::widen_half(half, wide.mutable_data(), n);
      return cpu::round_to_bfloat16(wide.data(), to, n);
    }
  }
  from.copy_to(to);
}

}  // namespace detail

/// Puts the tensors of a checkpoint into the slots of a module. The checkpoint says by `pieces`
/// which of its tensors make up one of ours (none: it keeps its initial value), by `error` what is
/// wrong, and has the `file`. With `bfloat16`, slots that allow it are kept that way; without
/// `allow_missing`, tensors that are missing are an error, and always those with a number that is
/// not finite, in the file or once it is T.
template <class Checkpoint>
class Filler {
 public:
  Filler(const Checkpoint& file, bool bfloat16, bool allow_missing, WeightsReport& report)
      : file_(file), bfloat16_(bfloat16), allow_missing_(allow_missing), report_(report) {}

  /// Fills the slots of `module`, whose tensors are called `prefix` + name; freezes it, in
  /// evaluation mode.
  template <FloatingElement T>
  void fill(nn::Module<T>& module, const std::string& prefix) {
    for (const nn::Slot<T>& slot : module.slots()) {
      const std::string name = prefix + slot.name;
      if (!slot.tensor->defined()) continue;
      const Pieces pieces = file_.pieces(name);
      if (pieces.names.empty() || !usable(pieces, slot.tensor->shape())) continue;
      put(slot, pieces);
      for (const std::string& piece : pieces.names) use(piece);
    }
    module.freeze();
    module.eval();
  }
  /// Notes that a tensor of the file was used.
  void use(const std::string& name) {
    used_.insert(name);
    report_.used.push_back(name);
  }

  /// Throws for what was wrong; lists what was not used. Names for which `other` holds belong to an
  /// encoder that was not asked for.
  template <class F>
  void finish(F&& other) {
    if (!wrong_.empty()) file_.error(listed(wrong_, wrong_.size() == 1 ? "tensor " : "tensors "));
    if (!report_.missing.empty() && !allow_missing_) {
      std::vector<std::string> quoted;
      for (const std::string& name : report_.missing) quoted.push_back("\"" + name + "\"");
      file_.error(quoted.size(),
                  quoted.size() == 1 ? " tensor is missing: " : " tensors are missing: ",
                  listed(quoted, ""));
    }
    for (const std::string& name : file_.file().names()) {
      if (used_.count(name) == 0 && !other(name)) report_.unused.push_back(name);
    }
  }

 private:
  static std::string listed(const std::vector<std::string>& items, std::string out) {
    for (std::size_t i = 0; i < items.size() && i < 8; ++i) out += (i > 0 ? ", " : "") + items[i];
    if (items.size() > 8) out += concat(" and ", items.size() - 8, " more");
    return out;
  }

  bool usable(const Pieces& pieces, const Shape& shape) {
    std::vector<std::int64_t> expected(shape.begin(), shape.end());
    if (pieces.names.size() > 1) expected[0] /= static_cast<std::int64_t>(pieces.names.size());
    if (pieces.transposed) std::swap(expected[0], expected[1]);
    bool good = true;
    for (const std::string& name : pieces.names) {
      if (!file_.file().contains(name)) {
        report_.missing.push_back(name);
        good = false;
        continue;
      }
      const Array& array = file_.file().at(name);
      if (array.shape != expected) {
        wrong_.push_back(concat("\"", name, "\" has shape ", shape_text(array.shape), ", expected ",
                                shape_text(expected)));
        good = false;
      } else if (array.kind != ElementKind::f32 && array.kind != ElementKind::f16 &&
                 array.kind != ElementKind::bf16 && array.kind != ElementKind::f64) {
        wrong_.push_back(concat("\"", name, "\" holds ", kind_name(array.kind),
                                " elements, expected float32, float16 or bfloat16"));
        good = false;
      }
    }
    return good;
  }

  template <FloatingElement T>
  void put(const nn::Slot<T>& slot, const Pieces& pieces) {
    if constexpr (std::is_same_v<T, float>) {
      if (bfloat16_ && slot.matrix != nullptr)
        return slot.matrix->keep(make<tandem::bfloat16>(pieces, slot.tensor->shape()));
    }
    slot.tensor->replace_(make<T>(pieces, slot.tensor->shape()));
  }

  template <FloatingElement T>
  Tensor<T> make(const Pieces& pieces, const Shape& shape) {
    const auto bytes = shape.numel() * static_cast<std::int64_t>(sizeof(T));
    const Array& first = file_.file().at(pieces.names[0]);
    if (pieces.names.size() == 1 && !pieces.transposed && first.shareable<T>()) {
      report_.mapped_bytes += bytes;
      const Tensor<T> mapped = first.tensor<T>();
      check_finite(pieces.names[0], first, mapped.data());
      return mapped;
    }
    report_.copied_bytes += bytes;
    const Tensor<T> out(pieces.transposed ? Shape{shape[1], shape[0]} : shape);
    T* to = out.mutable_data();
    for (const std::string& name : pieces.names) {
      const Array& array = file_.file().at(name);
      detail::copy_elements(array, to);
      check_finite(name, array, to);
      array.give_back_pages();  // converted: the file is not read again
      to += array.numel();
    }
    return pieces.transposed ? out.transpose(0, 1).contiguous() : out;
  }

  /// `values` are the elements of `array`, as T.
  template <FloatingElement T>
  void check_finite(const std::string& name, const Array& array, const T* values) {
    const std::int64_t at = cpu::find_not_finite(values, array.numel());
    if (at < 0) return;
    std::vector<double> exact(static_cast<std::size_t>(array.numel()));
    array.copy_to(exact.data());
    const double value = exact[static_cast<std::size_t>(at)];
    wrong_.push_back(concat("\"", name, "\" is ", value, " at element ", at, ", ",
                            is_finite(value) ? concat("which ", dtype_of<T>, " does not hold")
                                             : "expected finite numbers"));
  }

  const Checkpoint& file_;
  bool bfloat16_, allow_missing_;
  WeightsReport& report_;
  std::set<std::string> used_;
  std::vector<std::string> wrong_;
};

}  // namespace io
TANDEM_NAMESPACE_END
