#pragma once
/// The graph: one node per recorded operation, each holding the edges to the nodes of its inputs,
/// the gradient that has arrived so far, and the closure that turns it into the inputs' gradients.
///
/// A tensor points to the node that made it; nodes point to the nodes of their inputs; nothing
/// points back, so dropping the last tensor of a graph frees it. Saved tensors (autograd/record.hpp)
/// hold memory, never nodes.

#include <cstdint>
#include <string>
#include <vector>

#include "tandem/autograd/accumulate.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN

namespace autograd {

/// Checks every result and every gradient for NaN and Inf and names the op and module where the
/// first one appears. Costs a pass over each tensor: for finding a fault, not for training.
inline bool& anomaly_mode() {
  thread_local bool enabled = false;
  return enabled;
}

/// Switches anomaly mode on (or off) for a scope: `AnomalyMode guard;`.
class AnomalyMode {
 public:
  explicit AnomalyMode(bool on = true) : before_(anomaly_mode()) { anomaly_mode() = on; }
  ~AnomalyMode() { anomaly_mode() = before_; }
  AnomalyMode(const AnomalyMode&) = delete;
  AnomalyMode& operator=(const AnomalyMode&) = delete;

 private:
  bool before_;
};

/// A node of unknown element type: what the engine needs to walk the graph.
class Node : public GradNode {
 public:
  explicit Node(const char* op) : op_(op), sequence_(next_sequence()) {
    if (anomaly_mode()) module_path_ = tandem::detail::module_path();
  }
  ~Node() override { drop_inputs(); }

  bool is_leaf() const override { return false; }
  const char* op() const { return op_; }
  /// The module that ran the op; recorded in anomaly mode only.
  const std::string& module_path() const { return module_path_; }
  /// Inputs always have smaller numbers than what was computed from them.
  std::uint64_t sequence() const { return sequence_; }
  /// The nodes of the inputs; null for an input that needs no gradient.
  const std::vector<Ref<Node>>& inputs() const { return inputs_; }

  /// Turns the gradient that has arrived into those of the inputs and forgets it; unless the graph
  /// is retained, frees what was saved and cuts the edges.
  virtual void run(bool retain_graph) = 0;
  virtual bool has_gradient() const = 0;
  virtual void drop_gradient() = 0;

  bool queued = false;  ///< the engine's mark

 protected:
  void add_input(const Ref<GradNode>& input) {
    inputs_.push_back(Ref<Node>(static_cast<Node*>(input.get())));
  }

  /// Frees the chain of inputs without recursion, so that a graph of a million nodes in a row does
  /// not overflow the stack.
  void drop_inputs() {
    std::vector<Ref<Node>> pending;
    pending.swap(inputs_);
    while (!pending.empty()) {
      const Ref<Node> node = static_cast<Ref<Node>&&>(pending.back());
      pending.pop_back();
      if (!node || node->use_count() != 1) continue;
      for (Ref<Node>& input : node->inputs_) pending.push_back(static_cast<Ref<Node>&&>(input));
      node->inputs_.clear();
    }
  }

  std::vector<Ref<Node>> inputs_;

 private:
  static std::uint64_t next_sequence() {
    static std::uint64_t counter = 0;
    return __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
  }

  const char* op_;
  std::uint64_t sequence_;
  std::string module_path_;
};

/// Throws when `x` holds NaN or Inf (tensors of floating type, on any device).
template <Element T>
void check_finite(const char* op, const char* what, const std::string& path, const Tensor<T>& x) {
  if constexpr (FloatingElement<T>) {
    if (!x.defined()) return;
    const std::vector<T> values = x.to_vector();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double v = static_cast<double>(values[i]);
      if (v - v == 0) continue;
      throw Error(concat("[", op, "] the ", what, " is ", v != v ? "NaN" : "Inf", " at element ", i,
                         " of shape ", x.shape(),
                         path.empty() ? std::string() : concat(" (in module ", path, ")")));
    }
  }
}

/// A node whose result has element type T; keeps the sum of the gradients that have arrived.
template <FloatingElement T>
class TypedNode : public Node {
 public:
  /// Shape and device of the op's result, and so of the gradients that arrive.
  TypedNode(const char* op, const Shape& shape, Device device)
      : Node(op), shape_(shape), device_(device) {}

  bool has_gradient() const override { return gradient_.defined(); }
  void drop_gradient() override { gradient_ = Tensor<T>(); }

  /// Adds `g`: in place when nobody else can see the sum so far.
  void accumulate(Tensor<T> g) {
    TANDEM_CHECK(g.shape() == shape_, "backward", "a gradient of shape ", g.shape(),
                 " arrived at the result of '", op(), "', whose shape is ", shape_);
    TANDEM_CHECK(g.device() == device_, "backward", "a gradient on ", g.device(),
                 " arrived at the result of '", op(), "', which is on ", device_);
    if (!gradient_.defined()) {
      gradient_ = static_cast<Tensor<T>&&>(g);
      return;
    }
    own_gradient();
    add_into(gradient_, g);
  }

  /// Adds `g` to the part of the gradient that `view` of a tensor of shape `base` covers, so that
  /// the slices of one tensor share one buffer.
  void accumulate_view(const View& view, const Shape& base, const Tensor<T>& g) {
    const bool fresh = !gradient_.defined();
    if (fresh) {
      gradient_ = zeros<T>(base, g.device());
    } else {
      own_gradient();
    }
    const Tensor<T> part = gradient_.alias(tandem::detail::apply_view(view, gradient_.layout()));
    if (fresh) {
      part.copy_elements(g);
    } else {
      add_into(part, g);
    }
  }

  Ref<GradNode> record_view(const View& view, const Shape& base) override;

 protected:
  Tensor<T> gradient_;

 private:
  void own_gradient() {
    if (!gradient_.is_unshared() || !gradient_.is_contiguous()) gradient_ = gradient_.clone();
  }

  Shape shape_;
  Device device_;
};

/// The node of a parameter: backward stops here and the gradient is kept.
template <FloatingElement T>
class LeafNode final : public TypedNode<T> {
 public:
  LeafNode(const Shape& shape, Device device) : TypedNode<T>("leaf", shape, device) {}
  bool is_leaf() const override { return true; }
  void run(bool) override {
    Tensor<T> arrived = static_cast<Tensor<T>&&>(this->gradient_);
    if (!collected.defined()) {
      // A dense gradient that nobody else holds is kept as it is; anything else is copied.
      const bool own = arrived.is_contiguous() && arrived.is_unshared();
      collected = own ? static_cast<Tensor<T>&&>(arrived) : arrived.clone();
    } else if (collected.is_unshared()) {
      add_into(collected, arrived);
    } else {  // somebody holds x.grad(): what he sees must not change under him
      collected = collected.clone();
      add_into(collected, arrived);
    }
  }
  Tensor<T> collected;
};

/// The node of a view: its backward is the same view, seen from the gradient's side.
template <FloatingElement T>
class ViewNode final : public TypedNode<T> {
 public:
  ViewNode(const View& view, const Shape& base, Device device, const Ref<GradNode>& input)
      : TypedNode<T>(view.name(), shape_after(view, base), device), view_(view), base_(base) {
    this->add_input(input);
  }
  void run(bool retain_graph) override {
    TANDEM_CHECK(!this->inputs_.empty(), "backward", "the graph of '", this->op(),
                 "' was freed by an earlier backward: pass retain_graph = true to that one");
    Tensor<T> g = static_cast<Tensor<T>&&>(this->gradient_);
    auto& input = static_cast<TypedNode<T>&>(*this->inputs_[0]);
    switch (view_.kind) {
      case View::slice:
      case View::select:
        input.accumulate_view(view_, base_, g);
        break;
      case View::permute: {
        Shape inverse = view_.sizes;
        for (int d = 0; d < inverse.rank(); ++d) inverse[static_cast<int>(view_.sizes[d])] = d;
        input.accumulate(g.permute(inverse));
        break;
      }
      case View::reshape:
        input.accumulate(g.reshape(base_));
        break;
      case View::expand:
        input.accumulate(sum_to_shape(g, base_));
        break;
      case View::copy:
        input.accumulate(static_cast<Tensor<T>&&>(g));
        break;
    }
    if (!retain_graph) this->inputs_.clear();
  }

 private:
  static Shape shape_after(const View& view, const Shape& base) {
    return tandem::detail::apply_view(view, {base, contiguous_strides(base), 0}).shape;
  }
  View view_;
  Shape base_;
};

template <FloatingElement T>
Ref<GradNode> TypedNode<T>::record_view(const View& view, const Shape& base) {
  if (!grad_mode()) return nullptr;
  return make_ref<ViewNode<T>>(view, base, device_, Ref<GradNode>(this));
}

}  // namespace autograd

TANDEM_NAMESPACE_END
