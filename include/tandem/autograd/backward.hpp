#pragma once
/// The engine: walks the graph from a result to the leaves, each node once, in the reverse order of
/// recording, and frees what it has passed. Defines Tensor's gradient members.

#include <algorithm>
#include <vector>

#include "tandem/autograd/record.hpp"

TANDEM_NAMESPACE_BEGIN

namespace autograd {

namespace detail {

/// A number that no backward has had.
inline std::uint64_t next_backward() {
  static std::uint64_t counter = 0;
  return __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
}

}  // namespace detail

/// Back-propagates `cotangent` from `root`, the node of a tensor of its shape.
template <FloatingElement T>
void run_backward(const Ref<TypedNode<T>>& root, const Tensor<T>& cotangent, bool retain_graph) {
  const NoGrad no_grad;
  // The one that nodes see. A backward may begin another one.
  const tandem::detail::Restore outer(detail::current_backward(), detail::next_backward());
  const auto earlier = [](const Ref<Node>& a, const Ref<Node>& b) {
    return a->sequence() < b->sequence();
  };
  std::vector<Ref<Node>> heap;
  // Whatever happens, no node keeps a mark or a half-finished gradient.
  const tandem::detail::AtExit forget_all([&] {
    for (const Ref<Node>& node : heap) node->forget();
  });
  root->accumulate(cotangent);
  root->enqueue();
  heap.push_back(root);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), earlier);
    const Ref<Node> node = std::move(heap.back());
    heap.pop_back();
    // run() may cut the edges, so they are copied first.
    const std::vector<Ref<Node>> inputs = node->inputs();
    bool failed = true;
    const tandem::detail::AtExit forget([&] {
      node->forget();
      for (const Ref<Node>& input : inputs) {
        if (failed && input) input->forget();
      }
    });
    node->run(retain_graph);
    failed = false;
    for (const Ref<Node>& input : inputs) {
      if (!input || !input->enqueue()) continue;
      heap.push_back(input);
      std::push_heap(heap.begin(), heap.end(), earlier);
    }
  }
}

namespace detail {
template <Element T>
LeafNode<T>& leaf_of(const char* op, const Tensor<T>& x) {
  TANDEM_CHECK(x.requires_grad() && x.is_leaf(), op,
               x.requires_grad() ? "only leaves keep a gradient; this tensor is the result of an op"
                                 : "this tensor does not collect a gradient");
  return static_cast<LeafNode<T>&>(*x.node());
}
}  // namespace detail

}  // namespace autograd

namespace detail {
template <class T>
struct include_tandem_autograd_hpp {};
}  // namespace detail

template <Element T>
const Tensor<T>& Tensor<T>::requires_grad_(bool on, NeedsAutograd) const {
  (void)impl("requires_grad_");
  TANDEM_CHECK(is_leaf(), "requires_grad_",
               "this tensor is the result of an op; detach() it first");
  if constexpr (FloatingElement<T>) {
    if (!on) {
      set_node(nullptr);
    } else if (!requires_grad()) {
      set_node(make_ref<autograd::LeafNode<T>>(shape(), device()));
    }
  } else {
    TANDEM_CHECK(!on, "requires_grad_", "a tensor of ", dtype(), " cannot carry a gradient");
  }
  return *this;
}

template <Element T>
Tensor<T> Tensor<T>::grad(NeedsAutograd) const {
  if constexpr (FloatingElement<T>) {
    const bool collects = static_cast<bool>(impl("grad").node);
    Tensor out = collects ? autograd::detail::leaf_of("grad", *this).collected() : Tensor();
    out.absent_ =
        collects ? tandem::detail::Absent::no_gradient : tandem::detail::Absent::not_collected;
    return out;
  } else {
    return Tensor<T>();
  }
}

template <Element T>
void Tensor<T>::set_grad(const Tensor& gradient, NeedsAutograd) const {
  if constexpr (FloatingElement<T>) {
    (void)impl("set_grad");
    if (gradient.absence() == tandem::detail::Absent::moved) {
      tandem::detail::require_defined("set_grad", "gradient", gradient);
    }
    if (!gradient.defined() && !requires_grad()) return;
    TANDEM_CHECK(!gradient.defined() || gradient.shape() == shape(), "set_grad",
                 "a gradient of shape ", gradient.shape(), " was given for a tensor of shape ",
                 shape());
    TANDEM_CHECK(!gradient.defined() || gradient.device() == device(), "set_grad", "a gradient on ",
                 gradient.device(), " was given for a tensor on ", device());
    autograd::detail::leaf_of("set_grad", *this)
        .set_collected(gradient.defined() ? gradient.detach() : gradient);
  } else {
    TANDEM_CHECK(!gradient.defined(), "set_grad", "a tensor of ", dtype(), " carries no gradient");
  }
}

template <Element T>
const Tensor<T>& Tensor<T>::replace_(const Tensor& other, NeedsAutograd) const {
  TANDEM_CHECK(is_leaf(), "replace_", "this tensor is the result of an op; detach() it first");
  TANDEM_CHECK(other.shape() == shape(), "replace_", "a tensor of shape ", shape(),
               " cannot get the memory of one of shape ", other.shape());
  if constexpr (FloatingElement<T>) {
    if (requires_grad()) autograd::detail::leaf_of("replace_", *this).move_to(other.device());
  }
  if (is_same(other)) return *this;
  impl().storage = other.storage();
  set_layout(other.layout());
  return *this;
}

template <Element T>
void Tensor<T>::backward(bool retain_graph, NeedsAutograd) const {
  TANDEM_CHECK(impl("backward").numel == 1, "backward", "a tensor of shape ", shape(),
               " is not one number: give the gradient to start from");
  backward(ones_like(*this), retain_graph);
}

template <Element T>
void Tensor<T>::backward(const Tensor& cotangent, bool retain_graph, NeedsAutograd) const {
  tandem::detail::require_defined("backward", "cotangent", cotangent);
  TANDEM_CHECK(impl("backward").node, "backward",
               "this tensor does not depend on anything that requires a gradient (or was computed "
               "under NoGrad)");
  TANDEM_CHECK(cotangent.shape() == shape(), "backward", "the cotangent has shape ",
               cotangent.shape(), ", the tensor ", shape());
  if constexpr (FloatingElement<T>) {
    const Ref<autograd::TypedNode<T>> typed(static_cast<autograd::TypedNode<T>*>(node().get()));
    autograd::run_backward(typed, cotangent.detach(), retain_graph);
  }
}

TANDEM_NAMESPACE_END
