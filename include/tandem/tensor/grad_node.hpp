#pragma once
/// The tensor's one link to autograd: an abstract node. tensor/ never calls anything but
/// `record_view`, so a view of a tensor that needs a gradient can never lose it silently.

#include "tandem/tensor/ref.hpp"
#include "tandem/tensor/restore.hpp"
#include "tandem/tensor/view.hpp"

TANDEM_NAMESPACE_BEGIN

/// A node of the autograd graph (see autograd/node.hpp).
class GradNode : public RefCounted {
 public:
  /// The node of `view` applied to the tensor of this node, whose shape is `base`;
  /// null when gradients are not being recorded.
  virtual Ref<GradNode> record_view(const View& view, const Shape& base) = 0;
  /// True for the node of a leaf (a parameter), which keeps its gradient.
  virtual bool is_leaf() const = 0;
};

/// True while operations are recorded for backward (the default); see NoGrad.
inline bool& grad_mode() {
  thread_local bool enabled = true;
  return enabled;
}

/// Switches recording off for a scope: `NoGrad guard;`.
class NoGrad {
  const detail::Restore<bool> outer_{grad_mode(), false};
};

/// Switches recording on inside a NoGrad scope.
class EnableGrad {
  const detail::Restore<bool> outer_{grad_mode(), true};
};

TANDEM_NAMESPACE_END
