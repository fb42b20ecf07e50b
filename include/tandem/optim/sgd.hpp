#pragma once

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
    const T rate = T(this->learning_rate_), decay = T(options_.weight_decay),
            mu = T(options_.momentum), share = T(1 - options_.dampening);
    std::vector<T*> theta, velocity;
    std::vector<char> fresh;  // no gradient before
    for (std::size_t k = 0; k < this->parameters_.size(); ++k) fresh.push_back(this->steps_of(k) == 0);
    for (const Tensor<T>& p : this->parameters_) theta.push_back(p.mutable_data());
    for (const Tensor<T>& b : momentum_) velocity.push_back(b.mutable_data());
    this->for_each_piece([&](std::size_t k, std::int64_t begin, std::int64_t end) {
      T* TANDEM_RESTRICT p = theta[k];
      const T* TANDEM_RESTRICT g = this->gradients_[k].data();
      if (velocity.empty()) {
        for (std::int64_t i = begin; i < end; ++i) p[i] -= rate * (g[i] + decay * p[i]);
        return;
      }
      T* TANDEM_RESTRICT b = velocity[k];
      const bool first = fresh[k] != 0;
      for (std::int64_t i = begin; i < end; ++i) {
        const T full = g[i] + decay * p[i];
        b[i] = first ? full : mu * b[i] + share * full;
        p[i] -= rate * (options_.nesterov ? full + mu * b[i] : b[i]);
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
  SgdOptions options_;
  std::vector<Tensor<T>> momentum_;
};

}  // namespace optim
TANDEM_NAMESPACE_END
