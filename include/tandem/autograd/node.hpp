#pragma once
/// The graph: one node per recorded operation, each holding the edges to the nodes of its inputs,
/// the gradient that has arrived so far, and the closure that turns it into the inputs' gradients.
///
/// A tensor points to the node that made it; nodes point to the nodes of their inputs; nothing
/// points back, so dropping the last tensor of a graph frees it. Saved tensors
/// (autograd/record.hpp) hold memory, never nodes.

#include <pthread.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tandem/autograd/accumulate.hpp"
#include "tandem/tensor/factory.hpp"
#include "tandem/tensor/restore.hpp"

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
  explicit AnomalyMode(bool on = true) : outer_(anomaly_mode(), on) {}

 private:
  const tandem::detail::Restore<bool> outer_;
};

namespace detail {

/// The number of the backward() that runs on this thread, 0 when none does: what arrives at a node
/// is kept by it, so that the backwards of several threads can meet in the leaves of their graphs.
inline std::uint64_t& current_backward() {
  thread_local std::uint64_t number = 0;
  return number;
}

/// What has arrived at a node in one backward.
template <class T>
struct Arrived {
  Tensor<T> gradient;
  bool queued = false;      ///< the engine's mark
  std::uint64_t owner = 0;  ///< the backward; 0: free
};

}  // namespace detail

/// A node of unknown element type: what the engine needs to walk the graph.
class Node : public GradNode {
 public:
  explicit Node(const char* op) : op_(op), sequence_(next_sequence()) {
    if (anomaly_mode()) module_path_ = tandem::detail::module_path();
  }
  ~Node() override { drop_inputs(); }

  bool is_leaf() const override { return false; }
  /// The name of the op, for messages.
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
  /// True once in each backward: when a gradient has arrived and the node was not queued before.
  virtual bool enqueue() = 0;
  /// Forgets what has arrived in this thread's backward; the node is free for others.
  virtual void forget() = 0;

 protected:
  /// Adds an edge to the node of the next input; null where it needs no gradient.
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

  /// The edges, in the order of the op's inputs.
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

  /// Of the op's result.
  const Shape& shape() const { return shape_; }
  Device device() const { return device_; }

  /// Adds `g`: in place when nobody else can see the sum so far.
  void accumulate(Tensor<T> g) {
    check(g.shape(), g.device());
    Tensor<T>& sum = arrived().gradient;
    if (!sum.defined()) {
      sum = static_cast<Tensor<T>&&>(g);
      return;
    }
    make_own(sum);
    add_into(sum, g);
  }

  /// Adds `g` to the part of the gradient that `view` of a tensor of shape `base` covers, so that
  /// the slices of one tensor share one buffer.
  void accumulate_view(const View& view, const Shape& base, const Tensor<T>& g) {
    check(base, g.device());
    Tensor<T>& sum = arrived().gradient;
    const bool fresh = !sum.defined();
    if (fresh) {
      sum = zeros<T>(base, g.device());
    } else {
      make_own(sum);
    }
    const Tensor<T> part = sum.alias(tandem::detail::apply_view(view, sum.layout()));
    if (fresh) {
      part.copy_elements(g);
    } else {
      add_into(part, g);
    }
  }

  bool enqueue() override {
    detail::Arrived<T>* const at = find_arrived();
    if (at == nullptr || at->queued || !at->gradient.defined()) return false;
    return at->queued = true;
  }

  Ref<GradNode> record_view(const View& view, const Shape& base) override;

 protected:
  /// What has arrived in this thread's backward; makes a place for it first when it is the first.
  virtual detail::Arrived<T>& arrived() = 0;
  /// As arrived(), or null when nothing has.
  virtual detail::Arrived<T>* find_arrived() = 0;
  /// What has arrived, which is then forgotten.
  Tensor<T> take_gradient() { return static_cast<Tensor<T>&&>(arrived().gradient); }

  /// Of the op's result.
  Shape shape_;
  Device device_;

 private:
  void check(const Shape& shape, Device device) const {
    TANDEM_CHECK(shape == shape_, "backward", "a gradient of shape ", shape,
                 " arrived at the result of '", op(), "', whose shape is ", shape_);
    TANDEM_CHECK(device == device_, "backward", "a gradient on ", device,
                 " arrived at the result of '", op(), "', which is on ", device_);
  }
  static void make_own(Tensor<T>& sum) {
    if (!sum.is_unshared() || !sum.is_contiguous()) sum = sum.clone();
  }
};

/// The node of an op's result: one backward at a time goes through it.
template <FloatingElement T>
class InnerNode : public TypedNode<T> {
 public:
  using TypedNode<T>::TypedNode;
  void forget() final {
    if (find_arrived() == nullptr) return;
    arrived_.gradient = Tensor<T>();
    arrived_.queued = false;
    __atomic_store_n(&arrived_.owner, 0, __ATOMIC_RELEASE);
  }

 protected:
  detail::Arrived<T>& arrived() final {
    const std::uint64_t mine = detail::current_backward();
    std::uint64_t owner = 0;
    TANDEM_CHECK(__atomic_compare_exchange_n(&arrived_.owner, &owner, mine, false, __ATOMIC_ACQUIRE,
                                             __ATOMIC_ACQUIRE) ||
                     owner == mine,
                 "backward", "another backward is at the result of '", this->op(),
                 "' just now: graphs of several threads may share parameters, not results");
    return arrived_;
  }
  /// Null also where another backward's gradient is.
  detail::Arrived<T>* find_arrived() final {
    const bool mine =
        __atomic_load_n(&arrived_.owner, __ATOMIC_ACQUIRE) == detail::current_backward();
    return mine ? &arrived_ : nullptr;
  }

 private:
  detail::Arrived<T> arrived_;
};

/// The node of a parameter: backward stops here and the gradient is kept. Any number of backwards
/// may arrive at once; each adds the sum of what it brought, whole, to the gradient.
template <FloatingElement T>
class LeafNode final : public TypedNode<T> {
 public:
  LeafNode(const Shape& shape, Device device) : TypedNode<T>("leaf", shape, device) {}
  ~LeafNode() override { pthread_mutex_destroy(&mutex_); }
  bool is_leaf() const override { return true; }
  void run(bool) override {
    Tensor<T> arrived = this->take_gradient();
    const Guard guard(mutex_);
    if (!collected_.defined()) {
      // A dense gradient that nobody else holds is kept as it is; anything else is copied.
      const bool own = arrived.is_contiguous() && arrived.is_unshared();
      collected_ = own ? static_cast<Tensor<T>&&>(arrived) : arrived.clone();
    } else if (collected_.is_unshared()) {
      add_into(collected_, arrived);
    } else {  // somebody holds x.grad(): what he sees must not change under him
      collected_ = collected_.clone();
      add_into(collected_, arrived);
    }
  }
  void forget() override {
    Ref<Further> unused;  // what it holds goes once the lock is open again
    {
      const Guard guard(arrivals_mutex_);
      const std::uint64_t mine = detail::current_backward();
      if (first_.owner == mine) {
        first_.gradient = Tensor<T>();
        first_.queued = false;
        first_.owner = 0;
        return;
      }
      for (Ref<Further>* at = &further_; *at; at = &(*at)->next) {
        if ((*at)->arrived.owner != mine) continue;
        unused = std::move(*at);
        *at = std::move(unused->next);
        break;
      }
    }
  }

  /// The gradient so far; set_collected() puts another in its place.
  Tensor<T> collected() const {
    const Guard guard(mutex_);
    return collected_;
  }
  void set_collected(Tensor<T> gradient) {
    const Guard guard(mutex_);
    std::swap(collected_, gradient);
  }
  /// The leaf of a tensor that goes to another device, with its gradient.
  void move_to(Device device) {
    const Guard guard(mutex_);
    if (collected_.defined() && !(collected_.device() == device)) {
      const Tensor<T> there(collected_.shape(), device);
      there.copy_elements(collected_.contiguous());
      collected_ = there;
    }
    this->device_ = device;
  }

 protected:
  detail::Arrived<T>& arrived() override {
    if (detail::Arrived<T>* const known = find_arrived()) return *known;
    const std::uint64_t mine = detail::current_backward();
    {
      const Guard guard(arrivals_mutex_);
      if (first_.owner == 0) {
        first_.owner = mine;
        return first_;
      }
    }
    auto more = make_ref<Further>();
    detail::Arrived<T>& place = more->arrived;
    place.owner = mine;
    const Guard guard(arrivals_mutex_);
    more->next = std::move(further_);
    further_ = std::move(more);
    return place;
  }
  /// Each backward finds only what it put there itself, so the lock is for the list alone.
  detail::Arrived<T>* find_arrived() override {
    const Guard guard(arrivals_mutex_);
    if (first_.owner == detail::current_backward()) return &first_;
    for (Further* at = further_.get(); at != nullptr; at = at->next.get()) {
      if (at->arrived.owner == detail::current_backward()) return &at->arrived;
    }
    return nullptr;
  }

 private:
  struct Guard {
    explicit Guard(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
    ~Guard() { pthread_mutex_unlock(&mutex_); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    pthread_mutex_t& mutex_;
  };
  Tensor<T> collected_;
  mutable pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;  // of collected_
  struct Further final : RefCounted {
    detail::Arrived<T> arrived;
    Ref<Further> next;
  };
  detail::Arrived<T> first_;  // of one backward
  Ref<Further> further_;      // of others at the same time
  pthread_mutex_t arrivals_mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

/// The node of a view: its backward is the same view, seen from the gradient's side.
template <FloatingElement T>
class ViewNode final : public InnerNode<T> {
 public:
  ViewNode(const View& view, const Shape& base, Device device, const Ref<GradNode>& input)
      : InnerNode<T>(view.name(), shape_after(view, base), device), view_(view), base_(base) {
    this->add_input(input);
  }
  void run(bool retain_graph) override {
    TANDEM_CHECK(!this->inputs_.empty(), "backward", "the graph of '", this->op(),
                 "' was freed by an earlier backward: pass retain_graph = true to that one");
    Tensor<T> g = this->take_gradient();
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
