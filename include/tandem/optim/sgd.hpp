#pragma once

#include "tandem/formula/sgd.hpp"
#include "tandem/optim/optimizer.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {

struct SgdOptions {
  double learning_rate = 1e-2;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;  ///< L2: added to the gradient
  bool nesterov = false;
};

/// SGD with momentum, as PyTorch defines it:                       [Sutskever et al. 2013, §2]
///   g ← g + wd·θ;   b ← g at a parameter's first step, then μ·b + (1 − dampening)·g;
///   g ← g + μ·b (Nesterov) or b;   θ ← θ − lr·g.
template <FloatingElement T>
class Sgd final : public Optimizer<T> {
 public:
  explicit Sgd(const std::vector<Tensor<T>>& parameters, const SgdOptions& options = {})
      : Sgd(detail::numbered(parameters), options) {}
  explicit Sgd(const std::vector<nn::Named<T>>& parameters, const SgdOptions& options = {})
      : Optimizer<T>(parameters, options.learning_rate), options_(options) {
    TANDEM_CHECK(options.momentum >= 0 && options.weight_decay >= 0, "sgd",
                 "momentum and weight decay must not be negative");
    TANDEM_CHECK(!options.nesterov || (options.momentum > 0 && options.dampening == 0), "sgd",
                 "Nesterov momentum needs momentum > 0 and no dampening");
    if (options.momentum > 0) momentum_ = this->zeros_like_parameters();
  }

  void step() override {
    for (const Tensor<T>& p : this->parameters_) tandem::detail::require_cpu("sgd", p);
    this->collect_gradients();
    std::vector<T*> theta, velocity;
    for (const Tensor<T>& p : this->parameters_) theta.push_back(p.mutable_data());
    for (const Tensor<T>& b : momentum_) velocity.push_back(b.mutable_data());
    std::vector<formula::Sgd<T>> numbers;
    for (std::size_t k = 0; k < this->parameters_.size(); ++k) {
      numbers.push_back({.rate = T(this->learning_rate_),
                         .decay = T(options_.weight_decay),
                         .momentum = T(options_.momentum),
                         .share = T(1 - options_.dampening),
                         .nesterov = options_.nesterov,
                         .first = this->steps_of(k) == 0});
    }
    const auto size = [&](std::int64_t k) {
      return this->gradients_[index(k)].defined() ? this->parameters_[index(k)].numel() : 0;
    };
    detail::for_each_piece(static_cast<std::int64_t>(theta.size()), size,
                           [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
                             T* TANDEM_RESTRICT p = theta[index(k)];
                             const T* TANDEM_RESTRICT g = this->gradients_[index(k)].data();
                             const formula::Sgd<T> step = numbers[index(k)];
                             if (velocity.empty()) {
                               for (std::int64_t i = begin; i < end; ++i) step.update(p[i], g[i]);
                             } else {
                               T* TANDEM_RESTRICT b = velocity[index(k)];
                               for (std::int64_t i = begin; i < end; ++i)
                                 step.update(p[i], g[i], b[i]);
                             }
                           });
    this->count_step();
  }
  std::vector<nn::Named<T>> state() const override {
    std::vector<nn::Named<T>> out = Optimizer<T>::state();
    this->name_state(out, "momentum_buffer", momentum_);
    return out;
  }

 private:
  static std::size_t index(std::int64_t k) { return static_cast<std::size_t>(k); }

  SgdOptions options_;
  std::vector<Tensor<T>> momentum_;
};

}  // namespace optim
TANDEM_NAMESPACE_END
