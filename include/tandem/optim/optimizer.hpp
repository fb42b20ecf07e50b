#pragma once
/// What all optimizers share: the parameters, their state tensors, and saving both.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tandem/autograd/backward.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/ops/common.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {

/// Base of SGD, Adam and AdamW. Parameters without a gradient are left alone by step().
///
/// One step is one pass over all parameters: they are cut into pieces of `piece` elements, and the
/// pieces of all tensors together are shared among the threads, so that many small tensors cost no
/// more than one large one. Each element is updated on its own: any thread count gives the same bits.
template <FloatingElement T>
class Optimizer {
 public:
  explicit Optimizer(std::vector<Tensor<T>> parameters, double learning_rate)
      : parameters_(std::move(parameters)), learning_rate_(learning_rate) {
    TANDEM_CHECK(learning_rate >= 0, "optimizer", "the learning rate must not be negative, it is ",
                 learning_rate);
    for (const Tensor<T>& p : parameters_) {
      TANDEM_CHECK(p.requires_grad() && p.is_leaf(), "optimizer",
                   "a parameter of shape ", p.shape(), " does not collect a gradient");
      TANDEM_CHECK(p.is_contiguous(), "optimizer", "a parameter of shape ", p.shape(), " is not dense");
    }
  }
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Applies one update with the gradients that the parameters hold.
  virtual void step() = 0;
  void zero_grad() const {
    for (const Tensor<T>& p : parameters_) p.zero_grad();
  }
  double learning_rate() const { return learning_rate_; }
  void set_learning_rate(double value) { learning_rate_ = value; }
  const std::vector<Tensor<T>>& parameters() const { return parameters_; }
  /// Updates done so far.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }

  /// The state tensors ("0.exp_avg" …), for a checkpoint; they share memory with the optimizer.
  /// All of them exist from the start, so that a loaded state always finds its place.
  virtual std::vector<nn::Named<T>> state() const = 0;
  /// Copies a saved state in; names and shapes must be those of state().
  void load_state(const std::vector<nn::Named<T>>& saved) {
    const std::vector<nn::Named<T>> own = state();
    TANDEM_CHECK(saved.size() == own.size(), "optimizer", "the saved state has ", saved.size(),
                 " tensors, this optimizer has ", own.size());
    for (std::size_t i = 0; i < own.size(); ++i) {
      TANDEM_CHECK(saved[i].name == own[i].name && saved[i].tensor.shape() == own[i].tensor.shape(),
                   "optimizer", "expected '", own[i].name, "' of shape ", own[i].tensor.shape(),
                   " in the saved state, found '", saved[i].name, "' of shape ",
                   saved[i].tensor.shape());
    }
    for (std::size_t i = 0; i < own.size(); ++i) own[i].tensor.copy_elements(saved[i].tensor);
  }

 protected:
  /// Calls update(k, begin, end) for pieces of parameter k, for every parameter on the CPU with a
  /// gradient.
  template <class F>
  void for_each_piece(F&& update) const {
    constexpr std::int64_t piece = 1 << 15;
    struct Piece {
      std::size_t k;
      std::int64_t begin, end;
    };
    std::vector<Piece> pieces;
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      if (!gradients_[k].defined() || !parameters_[k].device().is_cpu()) continue;
      const std::int64_t n = parameters_[k].numel();
      for (std::int64_t at = 0; at < n; at += piece) {
        pieces.push_back({k, at, at + piece < n ? at + piece : n});
      }
    }
    cpu::parallel_for(static_cast<std::int64_t>(pieces.size()), 1,
                      [&](std::int64_t begin, std::int64_t end) {
                        for (std::int64_t i = begin; i < end; ++i) {
                          const Piece& p = pieces[static_cast<std::size_t>(i)];
                          update(p.k, p.begin, p.end);
                        }
                      });
  }
  /// Takes the dense gradients of this step.
  void collect_gradients() {
    gradients_.clear();
    for (const Tensor<T>& p : parameters_) {
      const Tensor<T> g = p.grad();
      gradients_.push_back(g.defined() ? g.contiguous() : g);
    }
  }
  std::vector<Tensor<T>> zeros_like_parameters() const {
    std::vector<Tensor<T>> out;
    for (const Tensor<T>& p : parameters_) out.push_back(zeros_like(p.detach()));
    return out;
  }
  static void name_state(std::vector<nn::Named<T>>& out, const char* what,
                         const std::vector<Tensor<T>>& tensors) {
    for (std::size_t k = 0; k < tensors.size(); ++k) out.push_back({concat(k, ".", what), tensors[k]});
  }

  std::vector<Tensor<T>> parameters_;
  std::vector<Tensor<T>> gradients_;
  double learning_rate_;
  std::int64_t steps_ = 0;
};

}  // namespace optim
TANDEM_NAMESPACE_END
