#pragma once
/// How an op enters the graph: `record(name, result, backward, inputs…)` and `save(tensor)`.
///
///   template <FloatingElement T>
///   Tensor<T> cube(const Tensor<T>& x) {
///     const Tensor<T> y = pow(x.detach(), 3);                   // forward
///     return autograd::record("cube", y,
///         [x = autograd::save(x)](const Tensor<T>& dy, autograd::Needs) {
///           return std::tuple(3.0 * square(x.get()) * dy);      // backward, right under it
///         }, x);
///   }

#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/autograd/node.hpp"

TANDEM_NAMESPACE_BEGIN

namespace autograd {

namespace detail {
/// The op whose backward is running on this thread, for messages.
inline const char*& running_op() {
  thread_local const char* op = "backward";
  return op;
}
}  // namespace detail

/// A tensor kept for backward: its memory without its node, and the version it had.
template <Element T>
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor<T>& x) {
    if (!x.defined()) return;
    tensor_ = x.detach();
    version_ = x.version();
  }
  /// False when an undefined tensor was saved.
  bool defined() const { return tensor_.defined(); }
  /// The tensor; throws when it was changed in place since it was saved.
  const Tensor<T>& get() const {
    TANDEM_CHECK(!tensor_.defined() || tensor_.version() == version_, detail::running_op(),
                 "a tensor of shape ", tensor_.shape(),
                 " that backward needs was changed in place after the forward pass");
    return tensor_;
  }

 private:
  Tensor<T> tensor_;
  std::uint64_t version_ = 0;
};

/// Keeps `x` for the closure of record().
template <Element T>
Saved<T> save(const Tensor<T>& x) {
  return Saved<T>(x);
}

/// Which inputs of an op need a gradient; `need[i]` is false where computing one would be wasted.
class Needs {
 public:
  explicit Needs(std::uint64_t bits) : bits_(bits) {}
  bool operator[](int input) const { return input >= 64 || ((bits_ >> input) & 1u) != 0; }

 private:
  std::uint64_t bits_;
};

/// True when a gradient must be recorded for an op on these inputs.
template <Element... In>
bool needs_grad(const Tensor<In>&... inputs) {
  return grad_mode() && ((inputs.defined() && inputs.requires_grad()) || ...);
}

/// For an op whose result has no useful derivative: throws instead of cutting the graph silently.
template <Element... In>
void refuse_grad(const char* op, const Tensor<In>&... inputs) {
  TANDEM_CHECK(!needs_grad(inputs...), op,
               "has no backward, but an input needs a gradient: detach() it or use NoGrad");
}

namespace detail {

template <FloatingElement T, class F, class Given>
class OpNode final : public InnerNode<T> {
 public:
  OpNode(const char* op, const Tensor<T>& out, F&& backward)
      : InnerNode<T>(op, out.shape(), out.device()),
        backward_(make_ref<Backward>(static_cast<F&&>(backward))) {}
  using Node::add_input;

  void run(bool retain_graph) override {
    TANDEM_CHECK(bool(backward_), "backward", "the graph of '", this->op(),
                 "' was freed by an earlier backward: pass retain_graph = true to that one");
    const tandem::detail::Restore outer(running_op(), this->op());
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < this->inputs_.size() && i < 64; ++i) {
      if (this->inputs_[i]) bits |= std::uint64_t{1} << i;
    }
    Tensor<T> g = this->take_gradient();
    auto gradients = backward_->run(g, Needs(bits));
    g = Tensor<T>();
    if (!retain_graph) backward_ = nullptr;
    hand_out(gradients);
    if (!retain_graph) this->inputs_.clear();
  }

 private:
  template <class U>
  void give(std::size_t i, Tensor<U>&& gradient) {
    if (i >= this->inputs_.size() || !this->inputs_[i]) return;
    TANDEM_CHECK(gradient.defined(), this->op(), "backward gave no gradient for input ", i);
    if (anomaly_mode()) {
      check_finite(this->op(), "gradient", this->module_path(), gradient);
    }
    auto& input = static_cast<TypedNode<U>&>(*this->inputs_[i]);
    TANDEM_CHECK(gradient.shape() == input.shape(), this->op(),
                 "backward gave a gradient of shape ", gradient.shape(), " for input ", i,
                 ", whose shape is ", input.shape());
    TANDEM_CHECK(gradient.device() == input.device(), this->op(), "backward gave a gradient on ",
                 gradient.device(), " for input ", i, ", which is on ", input.device());
    input.accumulate(static_cast<Tensor<U>&&>(gradient));
  }
  template <class... In>
  void hand_out(std::tuple<In...>& gradients) {
    static_assert(std::is_same_v<std::tuple<In...>, Given>,
                  "backward must return one gradient per input of record(), of the same types");
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (give(I, std::move(std::get<I>(gradients))), ...);
    }
    (std::index_sequence_for<In...>());
  }
  void hand_out(std::vector<Tensor<T>>& gradients) {
    TANDEM_CHECK(gradients.size() == this->inputs_.size(), this->op(), "backward gave ",
                 gradients.size(), " gradients for ", this->inputs_.size(), " inputs");
    for (std::size_t i = 0; i < gradients.size(); ++i) give(i, std::move(gradients[i]));
  }

  struct Backward final : RefCounted {
    explicit Backward(F&& f) : run(static_cast<F&&>(f)) {}
    F run;
  };
  Ref<Backward> backward_;  // null once the graph was freed
};

/// Throws where the result of an op is one of its inputs: they would share a node, so that whatever
/// else the input is used for would pass through this op's backward too.
template <class T, class U>
void refuse_input_as_result(const char* op, const Tensor<T>& out, const Tensor<U>& input) {
  if constexpr (std::is_same_v<T, U>) {
    TANDEM_CHECK(!out.is_same(input), op,
                 "the result is one of the inputs itself: give record() input.detach(), which "
                 "shares its memory, or a copy");
  }
}

}  // namespace detail

/// Makes `out` the recorded result of `op` on `inputs` when one of them needs a gradient, and
/// returns it. `backward(dy, need)` returns std::tuple of one gradient per input, in order; the
/// gradient of an input with `!need[i]` may be undefined. It runs with recording switched off.
/// Errors: `out` is one of the inputs.
template <FloatingElement T, class F, FloatingElement... In>
Tensor<T> record(const char* op, Tensor<T> out, F backward, const Tensor<In>&... inputs) {
  if (anomaly_mode()) check_finite(op, "result", tandem::detail::module_path(), out);
  if (!needs_grad(inputs...)) return out;
  (detail::refuse_input_as_result(op, out, inputs), ...);
  using Given = std::tuple<Tensor<In>...>;
  auto node = make_ref<detail::OpNode<T, F, Given>>(op, out, std::move(backward));
  (node->add_input(inputs.defined() ? inputs.node() : Ref<GradNode>()), ...);
  out.set_node(node);
  return out;
}

/// As record(), for an op on a list of tensors of one type; backward returns
/// std::vector<Tensor<T>>.
template <FloatingElement T, class F>
Tensor<T> record_list(const char* op, Tensor<T> out, F backward,
                      const std::vector<Tensor<T>>& inputs) {
  if (anomaly_mode()) check_finite(op, "result", tandem::detail::module_path(), out);
  bool needed = false;
  for (const Tensor<T>& input : inputs) needed = needed || needs_grad(input);
  if (!needed) return out;
  for (const Tensor<T>& input : inputs) detail::refuse_input_as_result(op, out, input);
  using Given = std::vector<Tensor<T>>;
  auto node = make_ref<detail::OpNode<T, F, Given>>(op, out, std::move(backward));
  for (const Tensor<T>& input : inputs) node->add_input(input.node());
  out.set_node(node);
  return out;
}

}  // namespace autograd

TANDEM_NAMESPACE_END
