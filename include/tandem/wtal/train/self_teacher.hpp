#pragma once
/// The teacher of a self-training phase: CBP's parameters as they were when the phase began, which
/// are put into CBP while it teaches.

#include <string_view>
#include <utility>
#include <vector>

#include "tandem/wtal/model/branches.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// Copies of the parameters of a branch, by name.
template <FloatingElement T>
std::vector<nn::Named<T>> state_copy(const Branch<T>& branch) {
  std::vector<nn::Named<T>> state = branch.state_dict();
  for (nn::Named<T>& named : state) named.tensor = named.tensor.detach().clone();
  return state;
}

/// Puts the parameters that teach into a branch for a scope, and the learning ones back. Nothing to
/// teach: nothing is done.
template <FloatingElement T>
class Teaching {
 public:
  Teaching(Branch<T>& branch, const std::vector<nn::Named<T>>& teacher) : branch_(branch) {
    if (teacher.empty()) return;
    learning_ = state_copy(branch);
    branch.load_state_dict(teacher);
  }
  Teaching(const Teaching&) = delete;
  Teaching& operator=(const Teaching&) = delete;
  ~Teaching() {
    if (!learning_.empty()) branch_.load_state_dict(learning_);
  }

 private:
  Branch<T>& branch_;
  std::vector<nn::Named<T>> learning_;
};

/// The teacher of the phase that a checkpoint is inside of: of each parameter of `branch` what
/// `saved` has under its name behind `prefix`. Errors: one that is missing or has another shape.
template <FloatingElement T>
std::vector<nn::Named<T>> saved_teacher(const Branch<T>& branch,
                                        const std::vector<nn::Named<T>>& saved,
                                        std::string_view prefix) {
  std::vector<nn::Named<T>> out;
  for (const nn::Named<T>& own : branch.state_dict()) {
    const nn::Named<T>* found = nullptr;
    for (const nn::Named<T>& candidate : saved) {
      if (candidate.name == concat(prefix, own.name)) found = &candidate;
    }
    TANDEM_CHECK(found != nullptr && found->tensor.shape() == own.tensor.shape(), "trainer",
                 "the checkpoint is of a step inside a self-training phase and has no tensor '",
                 prefix, own.name, "' of shape ", own.tensor.shape());
    out.push_back({own.name, found->tensor.clone()});
  }
  return out;
}

}  // namespace wtal
TANDEM_NAMESPACE_END
