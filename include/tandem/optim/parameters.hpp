#pragma once
/// The parameters that an optimizer is given: a list, or groups with numbers of their own; and what
/// is asked of them before they are updated, or their gradients are.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/nn/module.hpp"
#include "tandem/tensor/finite.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {

/// What a group holds: parameters with names, as named_parameters() gives them, or tensors alone,
/// as parameters() does, which the optimizer calls by their place among all.
template <FloatingElement T>
struct ParameterList : std::vector<nn::Named<T>> {
  using std::vector<nn::Named<T>>::vector;
  ParameterList(const std::vector<nn::Named<T>>& named) : std::vector<nn::Named<T>>(named) {}
  ParameterList(const std::vector<Tensor<T>>& tensors) {
    for (const Tensor<T>& p : tensors) this->push_back({"", p});
  }
};

/// Parameters with numbers of their own. The learning rate of a group is the optimizer's times the
/// group's factor, so that a schedule, which sets the optimizer's, moves all groups.
///
///   optim::AdamW<float> adam({{.parameters = backbone.named_parameters(),
///                              .learning_rate_factor = 0.1},
///                             {.parameters = head.named_parameters(), .weight_decay = 0}},
///                            {.learning_rate = 1e-4, .weight_decay = 0.05});
///
/// Names must differ between groups as in one list.
template <FloatingElement T>
struct ParameterGroup {
  ParameterList<T> parameters;
  double learning_rate_factor = 1;          ///< times the optimizer's learning rate
  std::optional<double> weight_decay = {};  ///< none: the optimizer's
};

/// Two groups, as transformers are trained: matrices and kernels, which decay as the optimizer
/// says, and what has fewer than two dimensions (biases, scales of norms), which does not. A group
/// that would be empty is left out.
template <FloatingElement T>
std::vector<ParameterGroup<T>> decay_matrices_only(const std::vector<nn::Named<T>>& parameters) {
  ParameterGroup<T> matrices, others;
  others.weight_decay = 0;
  for (const nn::Named<T>& p : parameters) {
    (p.tensor.rank() >= 2 ? matrices : others).parameters.push_back(p);
  }
  std::vector<ParameterGroup<T>> groups;
  for (ParameterGroup<T>* group : {&matrices, &others}) {
    if (!group->parameters.empty()) groups.push_back(std::move(*group));
  }
  return groups;
}

namespace detail {

/// Throws unless an option is a number from 0 on: neither negative nor infinite nor NaN.
inline void require_number(const char* op, const char* what, double value) {
  TANDEM_CHECK(!(value < 0), op, what, " must not be negative, it is ", value);
  TANDEM_CHECK(is_finite(value), op, what, " must be finite, it is ", value);
}

/// Throws when two of the parameters are one tensor, or share memory: two threads would update it
/// at once, and it would be updated twice.
template <FloatingElement T>
void refuse_shared(const char* op, const std::vector<nn::Named<T>>& parameters) {
  struct Block {
    std::uintptr_t begin, end;
    std::size_t k;
  };
  std::vector<Block> blocks;
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    const Tensor<T>& p = parameters[k].tensor;
    const auto reach = tandem::detail::reach_of(p.shape(), p.strides());
    if (p.numel() == 0) continue;
    const T* const data = p.device_data();
    blocks.push_back({reinterpret_cast<std::uintptr_t>(data + reach.first),
                      reinterpret_cast<std::uintptr_t>(data + reach.last + 1), k});
  }
  std::sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.k < b.k;
  });
  for (std::size_t i = 1; i < blocks.size(); ++i) {
    const Block &a = blocks[i - 1], &b = blocks[i];
    if (b.begin >= a.end) continue;
    const nn::Named<T>&first = parameters[a.k < b.k ? a.k : b.k],
          &second = parameters[a.k < b.k ? b.k : a.k];
    fail(op, "parameters ", first.name, " and ", second.name,
         first.tensor.is_same(second.tensor) ? " are one tensor" : " share memory", " (of shape ",
         first.tensor.shape(), "): each must be given once");
  }
}

/// Parameters without names of their own are called by their place in the list.
template <FloatingElement T>
std::vector<nn::Named<T>> numbered(const std::vector<Tensor<T>>& parameters) {
  std::vector<nn::Named<T>> out;
  for (const Tensor<T>& p : parameters) out.push_back({std::to_string(out.size()), p});
  return out;
}

}  // namespace detail

}  // namespace optim
TANDEM_NAMESPACE_END
