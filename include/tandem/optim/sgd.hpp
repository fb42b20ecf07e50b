#pragma once
/// Stochastic gradient descent with momentum.

#include "tandem/formula/sgd.hpp"
#include "tandem/optim/optimizer.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {

/// The numbers of the formula of Sgd.
struct SgdOptions {
  double learning_rate = 1e-2;  ///< lr
  double momentum = 0;          ///< μ; 0: none
  double dampening = 0;         ///< of the gradient in b; not with nesterov
  double weight_decay = 0;      ///< L2: added to the gradient
  bool nesterov = false;        ///< takes g + μ·b in place of b; needs momentum
};

namespace detail {

using formula::SgdTensor;

template <class T>
void sgd_on_cpu(const SgdTensor<T>* tensors, std::int64_t count, const formula::Sgd<T>& given,
                const formula::Sgd<T>* in_memory) {
  const formula::Sgd<T> step = in_memory != nullptr ? *in_memory : given;
  for_each_piece(
      count, [=](std::int64_t k) { return tensors[k].size; },
      [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
        T* TANDEM_RESTRICT p = tensors[k].parameter;
        const T* TANDEM_RESTRICT g = tensors[k].gradient;
        T* TANDEM_RESTRICT b = tensors[k].buffer;
        if (b == nullptr) {
          for (std::int64_t i = begin; i < end; ++i) step.update(p[i], g[i]);
        } else {
          for (std::int64_t i = begin; i < end; ++i) step.update(p[i], g[i], b[i]);
        }
      });
}

/// As adam_step.
template <class T>
inline const Kernel<void(Queue&, const SgdTensor<T>* tensors, std::int64_t count,
                         const formula::Sgd<T>& given, const formula::Sgd<T>* in_memory)>
    sgd_step{"sgd_step", sgd_on_cpu<T>};

}  // namespace detail

/// SGD with momentum, as PyTorch defines it:                       [Sutskever et al. 2013, §2]
///   g ← g + wd·θ;   b ← g at a parameter's first step, then μ·b + (1 − dampening)·g;
///   g ← g + μ·b (Nesterov) or b;   θ ← θ − lr·g.
///
///   Tensor<float> w = tensor<float>({1, 2}).requires_grad_();
///   optim::Sgd<float> sgd({w}, {.learning_rate = 0.1, .momentum = 0.9});
///   sum(square(w)).backward();
///   sgd.step();
///   w;   // → [0.8, 1.6]
template <FloatingElement T>
class Sgd final : public Optimizer<T> {
 public:
  explicit Sgd(const std::vector<Tensor<T>>& parameters, const SgdOptions& options = {})
      : Sgd(detail::numbered(parameters), options) {}
  explicit Sgd(const std::vector<nn::Named<T>>& parameters, const SgdOptions& options = {})
      : Sgd(std::vector<ParameterGroup<T>>{{.parameters = parameters}}, options) {}
  Sgd(const nn::Module<T>&, SgdOptions = {}) = delete;  // give module.named_parameters()
  explicit Sgd(const std::vector<ParameterGroup<T>>& groups, const SgdOptions& options = {})
      : Optimizer<T>(groups, options.learning_rate), options_(options) {
    detail::require_number("sgd", "momentum", options.momentum);
    detail::require_number("sgd", "weight decay", options.weight_decay);
    TANDEM_CHECK(is_finite(options.dampening), "sgd", "dampening must be finite, it is ",
                 options.dampening);
    TANDEM_CHECK(!options.nesterov || (options.momentum > 0 && options.dampening == 0), "sgd",
                 "Nesterov momentum needs momentum > 0 and no dampening");
    if (options.momentum > 0) momentum_ = this->zeros_like_parameters();
  }

  /// As Adam's, also while a graph is captured.
  void step() override {
    this->template update_groups<detail::SgdTensor<T>, formula::Sgd<T>>(
        "sgd", detail::sgd_step<T>,
        [&](std::size_t k) -> detail::SgdTensor<T> {
          const Tensor<T>& p = this->parameters_[k];
          return {p.mutable_device_data(), this->gradients_[k].device_data(),
                  momentum_.empty() ? nullptr : momentum_[k].mutable_device_data(), p.numel()};
        },
        [&](std::int64_t t, std::size_t group) { return step_number(t, group); });
  }
  void prepare_replay() override {
    this->write_numbers("sgd",
                        [&](std::int64_t t, std::size_t group) { return step_number(t, group); });
  }
  std::vector<nn::Named<T>> state() const override {
    std::vector<nn::Named<T>> out = Optimizer<T>::state();
    this->name_state(out, "momentum_buffer", momentum_);
    return out;
  }

 private:
  formula::Sgd<T> step_number(std::int64_t t, std::size_t group) const {
    return {.rate = T(this->rate_of(group)),
            .decay = T(this->decay_of(group, options_.weight_decay)),
            .momentum = T(options_.momentum),
            .share = T(1 - options_.dampening),
            .nesterov = options_.nesterov,
            .first = t == 1};
  }

  SgdOptions options_;
  std::vector<Tensor<T>> momentum_;
};

}  // namespace optim
TANDEM_NAMESPACE_END
