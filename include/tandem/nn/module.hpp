#pragma once
/// Module: named parameters and sub-modules, train/eval, freezing, state dictionaries.
///
///   struct Net : nn::Module<float> {
///     explicit Net(Generator& random) : hidden(784, 128, random), out(128, 10, random) {
///       add("hidden", hidden);
///       add("out", out);
///     }
///     Tensor<float> forward(const Tensor<float>& x) const {
///       return out.forward(hidden.forward(x, Activation::relu));
///     }
///     nn::Linear<float> hidden, out;
///   };
///   Net net(random);
///   net.named_parameters().at(0).name;    // → "hidden.weight"
///   net.forward(ones<float>({5, 784}));   // → (5, 10)
///
/// Names are PyTorch's ("hidden.weight"), so a state dict maps one to one. A module refers to the
/// variables that it registered, so `out.weight = embedding.weight` ties two of them at any time; a
/// variable that moves, as in a vector that grows, is followed, and one that ends leaves its tensor
/// to the module. What is assigned later is not registered again: `net.w = other` puts a tensor
/// there that collects no gradient unless it did before, and an optimizer that exists goes on with
/// the old one; `net.w.copy_(other)` under NoGrad changes the values only. Modules are neither
/// copied nor moved, Ref<M> shares one and load_state_dict() copies values; a sub-module that ended
/// before its parent is an error by name.
///
/// The matrices of frozen layers (matrix.hpp) can be kept as bfloat16 (keep_bfloat16 in
/// weight.hpp): half the memory, products in bfloat16. Such a matrix is no parameter and not part
/// of the state dict. And they can be packed (pack_weights in weight.hpp), for faster products.

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/autograd/backward.hpp"
#include "tandem/nn/matrix.hpp"
#include "tandem/nn/state_dict.hpp"
#include "tandem/tensor/random.hpp"
#include "tandem/tensor/restore.hpp"
#include "tandem/tensor/suggest.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Where a module keeps one of its tensors, for loaders that put another tensor there instead of
/// copying into it. `matrix`, whose tensor it then is, is null unless the module can also compute
/// with it as bfloat16: then the tensor may be undefined.
template <FloatingElement T>
struct Slot {
  std::string name;
  Tensor<T>* tensor;
  Matrix<T>* matrix;
};

namespace detail {
/// Copies every second tensor into the first beside it as if all had been read before the first was
/// written: a state may consist of the very tensors that it is loaded into, under other names.
template <FloatingElement T>
void copy_all(std::vector<std::pair<Tensor<T>, Tensor<T>>> copies) {
  for (auto& [to, from] : copies) {
    from = from.detach();
    for (const auto& other : copies) {
      const bool same_place =
          other.first.storage() == to.storage() && other.first.offset() == to.offset();
      if (same_place || !(from.device() == other.first.device())) continue;
      if (!tandem::detail::may_share_memory(from, other.first)) continue;
      from = from.clone();
      break;
    }
  }
  for (const auto& [to, from] : copies) to.copy_elements(from);
}
}  // namespace detail

/// What load_state_dict found.
struct LoadReport {
  std::vector<std::string> used;
  std::vector<std::string> missing;  ///< the module has it, the state dict does not
  std::vector<std::string> unused;   ///< the state dict has it, the module does not
  /// One line for people.
  std::string str() const { return text("loaded"); }
  /// As str(), with another word for what happened to `used`.
  std::string text(const char* what_happened) const {
    std::string out =
        concat(used.size(), used.size() == 1 ? " tensor " : " tensors ", what_happened);
    const auto list = [&out](const char* what, const std::vector<std::string>& names) {
      if (names.empty()) return;
      out += concat(", ", names.size(), " ", what, ":");
      for (std::size_t i = 0; i < names.size() && i < 8; ++i)
        out += concat(i > 0 ? ", " : " ", names[i]);
      if (names.size() > 8) out += ", …";
    };
    list("missing", missing);
    list("unused", unused);
    return out;
  }
  /// What the unused names may have been meant to be: `; is "fc.weigth" …?`, or nothing.
  std::string guess() const {
    const auto is_missing = [this](std::string_view name) {
      return std::find(missing.begin(), missing.end(), name) != missing.end();
    };
    for (const std::string& name : unused) {  // "module.fc.weight", as wrappers of modules save it
      for (std::size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) {
        if (!is_missing(std::string_view(name).substr(dot + 1))) continue;
        return concat("; is the \"", name.substr(0, dot + 1),
                      "\" in front of names there too much?");
      }
    }
    for (const std::string& name : unused) {
      const std::string_view best = closest_word(name, missing);
      if (!best.empty()) return concat("; is \"", name, "\" there what is \"", best, "\" here?");
    }
    return {};
  }
};

/// Appends a module's name to the path that error messages show, for a scope.
class ModuleScope {
 public:
  explicit ModuleScope(std::string_view name) : before_(tandem::detail::module_path().size()) {
    std::string& path = tandem::detail::module_path();
    if (!path.empty() && !name.empty()) path += '.';
    path += name;
  }
  ~ModuleScope() { tandem::detail::module_path().resize(before_); }
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;

 private:
  std::size_t before_;
};

/// The generator that Dropout draws from on this thread, if a RandomScope set one.
inline Generator*& current_generator() {
  thread_local Generator* generator = nullptr;
  return generator;
}

/// Makes random layers draw from `generator` for a scope. A trainer gives every step a stream of
/// its own (`generator.split(step)`), so a resumed run draws what the uninterrupted one would have
/// drawn.
///
///   const nn::RandomScope scope(random);
///   nn::Dropout<float>(0.5).forward(ones<float>({8}));   // → [0., 2., 2., 2., 2., 0., 2., 0.]
class RandomScope {
 public:
  explicit RandomScope(Generator& generator) : outer_(current_generator(), &generator) {}

 private:
  const tandem::detail::Restore<Generator*> outer_;
};

template <FloatingElement T>
class Evaluating;

template <FloatingElement T>
class Module : public RefCounted {
 public:
  Module() = default;
  Module(const Module&) = delete;  // not copied: share it by Ref, or load_state_dict() into another
  Module& operator=(const Module&) = delete;  // not copied: load_state_dict() takes the values
  ~Module() override {
    if (place_) place_->module = nullptr;
  }

  /// All parameters with their full names, own ones first, in order of registration. One that is
  /// shared (`out.weight = embedding.weight`) appears once, under its first name: an optimizer must
  /// not step it twice. A state dict has it under every name.
  std::vector<Named<T>> named_parameters() const {
    std::vector<Named<T>> all, out;
    collect(all, "", true, false);
    for (Named<T>& named : all) {
      bool seen = false;
      for (const Named<T>& earlier : out) seen = seen || earlier.tensor.is_same(named.tensor);
      if (!seen) out.push_back(std::move(named));
    }
    return out;
  }
  /// The same without names.
  std::vector<Tensor<T>> parameters() const {
    std::vector<Tensor<T>> out;
    for (Named<T>& named : named_parameters()) out.push_back(std::move(named.tensor));
    return out;
  }
  /// Parameters that are not frozen.
  std::vector<Tensor<T>> trainable_parameters() const {
    std::vector<Tensor<T>> out;
    for (const Tensor<T>& p : parameters()) {
      if (p.requires_grad()) out.push_back(p);
    }
    return out;
  }
  /// Parameters and buffers: what a weight file holds. The tensors share memory with the module.
  std::vector<Named<T>> state_dict() const {
    std::vector<Named<T>> out;
    collect(out, "", true, true);
    for (Named<T>& named : out) named.tensor = named.tensor.detach();
    require_unique("state_dict", "the module", out);
    return out;
  }
  /// Every parameter and buffer with the place it is kept in.
  std::vector<Slot<T>> slots() {
    std::vector<Slot<T>> out;
    collect_slots(out, "");
    return out;
  }
  /// Copies tensors in by name; shapes must agree. With `strict`, a missing or unused name throws,
  /// and the message suggests what was meant.
  /// Errors: also a name that the state dict has twice, an undefined tensor, a parameter in
  /// read-only memory. Whatever is wrong is found before the first copy: then nothing has been
  /// changed.
  LoadReport load_state_dict(const std::vector<Named<T>>& state, bool strict = true) {
    LoadReport report;
    require_unique("load_state_dict", "the state dict", state);
    std::vector<Named<T>> own = state_dict();
    std::vector<std::pair<Tensor<T>, Tensor<T>>> copies;
    std::vector<bool> taken(state.size(), false);
    for (const Named<T>& target : own) {
      bool found = false;
      for (std::size_t i = 0; i < state.size(); ++i) {
        if (state[i].name != target.name) continue;
        tandem::detail::require_defined("load_state_dict", concat("'", target.name, "'"),
                                        state[i].tensor);
        TANDEM_CHECK(target.tensor.storage()->writable(), "load_state_dict", "'", target.name,
                     "' lies in read-only memory, such as a mapped file: nothing was loaded");
        TANDEM_CHECK(state[i].tensor.shape() == target.tensor.shape(), "load_state_dict", "'",
                     target.name, "' has shape ", target.tensor.shape(), " here and ",
                     state[i].tensor.shape(), " in the state dict");
        target.tensor.refuse_shared_elements("load_state_dict");
        copies.emplace_back(target.tensor, state[i].tensor);
        taken[i] = found = true;
      }
      (found ? report.used : report.missing).push_back(target.name);
    }
    for (std::size_t i = 0; i < state.size(); ++i) {
      if (!taken[i]) report.unused.push_back(state[i].name);
    }
    TANDEM_CHECK(!strict || (report.missing.empty() && report.unused.empty()), "load_state_dict",
                 "the names do not match, so nothing was loaded: ", report.text("agree"),
                 report.guess());
    detail::copy_all(std::move(copies));
    return report;
  }

  /// Training mode (dropout on) for this module and all below it.
  void train(bool on = true) {
    training_ = on;
    for (const Child& child : children_) child.get().train(on);
  }
  /// As train(false).
  void eval() { train(false); }
  /// The mode that this module is in.
  bool training() const { return training_; }
  /// Whether the parameters collect gradients. A frozen module records no graph for its parameters.
  void requires_grad(bool on) {
    for (const Tensor<T>& p : parameters()) p.requires_grad_(on);
  }
  /// As requires_grad(false).
  void freeze() { requires_grad(false); }
  /// Forgets the gradients of all parameters.
  void zero_grad() {
    for (const Tensor<T>& p : parameters()) p.zero_grad();
  }
  /// Moves every parameter and buffer, with its gradient, to `device`. The tensors stay the same
  /// and get new memory (Tensor::replace_): optimizers go on with them, and tied ones stay tied. So
  /// do matrices that are kept as bfloat16. What has no tensor (a batch norm that was folded) is
  /// passed over.
  void to(Device device) {
    const NoGrad no_grad;
    std::vector<std::pair<Tensor<T>, Tensor<T>>> moves;
    std::vector<std::pair<Tensor<bfloat16>, Tensor<bfloat16>>> low;
    std::vector<Matrix<T>*> matrices;  // each becomes low[i].second
    for (const Slot<T>& slot : slots()) {
      if (slot.matrix != nullptr && slot.matrix->is_bfloat16()) {
        const Tensor<bfloat16>& own = slot.matrix->bf16();
        Tensor<bfloat16> there = own.device() == device ? own : Tensor<bfloat16>();
        for (const auto& [from, to] : low) {
          if (from.is_same(own)) there = to;
        }
        if (!there.defined()) {
          there = Tensor<bfloat16>(own.shape(), device);
          there.copy_elements(own.contiguous());
        }
        low.emplace_back(own, there);
        matrices.push_back(slot.matrix);
      }
      const Tensor<T>& own = *slot.tensor;
      if (!own.defined()) continue;
      TANDEM_CHECK(own.is_leaf(), "to", "'", slot.name, "' is the result of an op");
      bool known = own.device() == device;
      Tensor<T> there;
      for (std::size_t i = 0; i < moves.size() && !known; ++i) {
        const Tensor<T>& other = moves[i].first;
        known = other.is_same(own);
        if (other.storage() == own.storage() && other.offset() == own.offset() &&
            other.shape() == own.shape() && other.strides() == own.strides()) {
          there = moves[i].second;
        }
      }
      if (known) continue;
      if (!there.defined()) {
        there = Tensor<T>(own.shape(), device);
        there.copy_elements(own.detach().contiguous());
      }
      moves.emplace_back(own, there);
    }
    for (const auto& [own, there] : moves) own.replace_(there);
    if constexpr (std::is_same_v<T, float>) {
      for (std::size_t i = 0; i < matrices.size(); ++i) matrices[i]->keep(low[i].second);
    }
  }
  /// Number of elements in all parameters.
  std::int64_t parameter_count() const {
    std::int64_t n = 0;
    for (const Tensor<T>& p : parameters()) n += p.numel();
    return n;
  }
  /// The name under which the parent registered this module.
  const std::string& name() const { return name_; }

 protected:
  /// Registers a parameter: it collects a gradient from now on. Names are not empty and, among all
  /// that are registered here, different: this holds for every add.
  void add(std::string name, Tensor<T>& parameter) { enter(std::move(name), parameter, nullptr); }
  /// Registers a parameter that may be kept as bfloat16 instead, where T is float, and packed.
  void add(std::string name, Matrix<T>& matrix) { enter(std::move(name), matrix.tensor_, &matrix); }
  /// Registers a tensor that is saved but not learned.
  void add_buffer(std::string name, Tensor<T>& buffer) {
    require_new(name);
    entries_.push_back({.name = std::move(name), .place = buffer.place(), .parameter = false});
  }
  /// Registers a sub-module, which must live as long as this one (a member or a Ref member).
  void add(std::string name, Module& child) {
    require_new(name);
    TANDEM_CHECK(&child != this, "add", "'", name, "' is the module itself");
    if (!child.place_) {
      child.place_ = make_ref<Place>();
      child.place_->module = &child;
    }
    child.name_ = name;
    children_.push_back({std::move(name), child.place_});
  }
  /// First line of a forward: puts this module's name into error messages.
  ModuleScope scope() const { return ModuleScope(name_); }

 private:
  friend class Evaluating<T>;
  struct Entry {
    std::string name;
    Ref<tandem::detail::TensorPlace<T>> place;
    bool parameter;
    // Of a Matrix, which does not move: its tensor is here for as long as it lives.
    const Tensor<T>* first_home = nullptr;
    Matrix<T>* matrix = nullptr;
    Tensor<T>& tensor() const { return *place->home; }
    Slot<T> slot(const std::string& prefix) const {
      return {prefix + name, place->home, place->home == first_home ? matrix : nullptr};
    }
  };
  struct Place final : RefCounted {
    Module* module = nullptr;  // null once it has ended
  };
  struct Child {
    std::string name;
    Ref<Place> place;
    Module& get() const {
      TANDEM_CHECK(place->module != nullptr, "module", "the sub-module '", name,
                   "' has ended: it must live as long as the module that it was added to");
      return *place->module;
    }
  };
  void enter(std::string name, Tensor<T>& parameter, Matrix<T>* matrix) {
    require_new(name);
    tandem::detail::require_defined("add", concat("'", name, "'"), parameter);
    parameter.requires_grad_();
    entries_.push_back({.name = std::move(name),
                        .place = parameter.place(),
                        .parameter = true,
                        .first_home = &parameter,
                        .matrix = matrix});
  }
  void require_new(const std::string& name) const {
    TANDEM_CHECK(!name.empty(), "add", "a name must not be empty");
    bool taken = false;
    for (const Entry& entry : entries_) taken = taken || entry.name == name;
    for (const Child& child : children_) taken = taken || child.name == name;
    TANDEM_CHECK(!taken, "add", "the name '", name, "' is registered already");
  }
  /// Names that are equal once they are complete, as "a.b" here and "b" of the sub-module "a".
  static void require_unique(const char* op, const char* where,
                             const std::vector<Named<T>>& state) {
    std::vector<std::string_view> names;
    for (const Named<T>& named : state) names.push_back(named.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    TANDEM_CHECK(twice == names.end(), op, where, " has the name '",
                 twice == names.end() ? "" : *twice, "' twice");
  }
  void collect(std::vector<Named<T>>& out, const std::string& prefix, bool parameters,
               bool buffers) const {
    for (const Entry& entry : entries_) {
      if ((entry.parameter ? parameters : buffers) && entry.tensor().defined()) {
        out.push_back({prefix + entry.name, entry.tensor()});
      }
    }
    for (const Child& child : children_) {
      child.get().collect(out, concat(prefix, child.name, "."), parameters, buffers);
    }
  }

  void collect_slots(std::vector<Slot<T>>& out, const std::string& prefix) const {
    for (const Entry& entry : entries_) out.push_back(entry.slot(prefix));
    for (const Child& child : children_) {
      child.get().collect_slots(out, concat(prefix, child.name, "."));
    }
  }

  std::vector<Entry> entries_;
  std::vector<Child> children_;
  Ref<Place> place_;  // made when a parent needs it
  std::string name_;
  bool training_ = true;
};

/// Evaluates modules for a scope, also in the middle of their training: they and all below them are
/// in eval mode, and this thread records no graph. At the end each has the mode that it had before.
/// What is null is left out; the others outlive the scope.
///
///   const nn::Evaluating<float> evaluating{&net};
///   net.training();   // → false
template <FloatingElement T>
class Evaluating {
 public:
  Evaluating(std::initializer_list<Module<T>*> modules) {
    for (Module<T>* module : modules) {
      if (module != nullptr) remember(*module);
    }
    for (const Mode& mode : before_) mode.module->training_ = false;
  }
  ~Evaluating() {
    for (const Mode& mode : before_) mode.module->training_ = mode.training;
  }
  Evaluating(const Evaluating&) = delete;
  Evaluating& operator=(const Evaluating&) = delete;

 private:
  struct Mode {
    Module<T>* module;
    bool training;
  };
  void remember(Module<T>& module) {
    before_.push_back({.module = &module, .training = module.training_});
    for (const auto& child : module.children_) remember(child.get());
  }

  const NoGrad no_grad_;
  std::vector<Mode> before_;
};

/// A module of one input and one output, which Sequential can hold.
template <FloatingElement T>
class Layer : public Module<T> {
 public:
  virtual Tensor<T> forward(const Tensor<T>& x) const = 0;
  Tensor<T> operator()(const Tensor<T>& x) const { return forward(x); }
};

}  // namespace nn
TANDEM_NAMESPACE_END
