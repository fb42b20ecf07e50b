#pragma once
/// What is asked of a list of parameters before it is updated, or its gradients are.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tandem/nn/module.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {
namespace detail {

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
