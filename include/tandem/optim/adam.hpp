#pragma once
/// Adam and AdamW.

#include "tandem/cpu/simd.hpp"
#include "tandem/formula/adam.hpp"
#include "tandem/optim/optimizer.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {

/// The numbers of the formula of Adam and AdamW.
struct AdamOptions {
  double learning_rate = 1e-3;  ///< lr
  double beta1 = 0.9;           ///< β₁
  double beta2 = 0.999;         ///< β₂
  double epsilon = 1e-8;        ///< ε
  double weight_decay = 0;      ///< wd
  /// ε is added to √v as it is, before the bias correction: θ ← θ − lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ)·m/(√v +
  /// ε), the form of the paper's end of section 2, and of fairseq
  bool epsilon_before_correction = false;
};

namespace detail {

using formula::AdamTensor;

template <class T>
struct AdamUpdate {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const formula::Adam<T>& numbers, T* TANDEM_RESTRICT p,
                                       const T* TANDEM_RESTRICT g, T* TANDEM_RESTRICT m,
                                       T* TANDEM_RESTRICT v, std::int64_t n) {
    constexpr int w = V::size;
    const formula::Adam<V> step = numbers.template as<V>();
    std::int64_t i = 0;
    for (; i + w <= n; i += w) {
      V theta = V::load(p + i), first = V::load(m + i), second = V::load(v + i);
      step.update(theta, V::load(g + i), first, second);
      theta.store(p + i);
      first.store(m + i);
      second.store(v + i);
    }
    if (i < n) {
      const std::int64_t rest = n - i;
      V theta = V::load_partial(p + i, rest), first = V::load_partial(m + i, rest),
        second = V::load_partial(v + i, rest);
      step.update(theta, V::load_partial(g + i, rest), first, second);
      theta.store_partial(p + i, rest);
      first.store_partial(m + i, rest);
      second.store_partial(v + i, rest);
    }
  }
};

template <class T>
void adam_on_cpu(const AdamTensor<T>* tensors, std::int64_t count, const formula::Adam<T>& given,
                 const formula::Adam<T>* in_memory) {
  const formula::Adam<T> numbers = in_memory != nullptr ? *in_memory : given;
  for_each_piece(
      count, [=](std::int64_t k) { return tensors[k].size; },
      [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
        const AdamTensor<T>& t = tensors[k];
        cpu::simd_dispatch<AdamUpdate<T>, T>(numbers, t.parameter + begin, t.gradient + begin,
                                             t.first + begin, t.second + begin, end - begin);
      });
}

/// One update of `count` tensors with the numbers `given`, or, where `in_memory` is not null, with
/// those that lie there (in the device's memory) when the work is done.
template <class T>
inline const Kernel<void(Queue&, const AdamTensor<T>* tensors, std::int64_t count,
                         const formula::Adam<T>& given, const formula::Adam<T>* in_memory)>
    adam_step{"adam_step", adam_on_cpu<T>};

}  // namespace detail

/// Adam — m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²;  θ ← θ − lr·m̂/(√v̂ + ε),
///   m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ), t counts θ's own gradients.
///                                                                  [Kingma & Ba 2015, algorithm 1]
/// Weight decay adds wd·θ to the gradient (L2), as torch.optim.Adam does.
/// AdamW — decoupled: θ ← θ·(1 − lr·wd) first, the gradient stays as it is.
///                                                                       [Loshchilov & Hutter 2019]
///
///   Tensor<float> w = tensor<float>({1, 2}).requires_grad_();
///   optim::AdamW<float> adam({w}, {.learning_rate = 0.1, .weight_decay = 0.01});
///   sum(square(w)).backward();
///   adam.step();
///   w;   // → [0.899, 1.898]
template <FloatingElement T, bool decoupled>
class AdamBase final : public Optimizer<T> {
 public:
  explicit AdamBase(const std::vector<Tensor<T>>& parameters, const AdamOptions& options = {})
      : AdamBase(detail::numbered(parameters), options) {}
  explicit AdamBase(const std::vector<nn::Named<T>>& parameters, const AdamOptions& options = {})
      : AdamBase(std::vector<ParameterGroup<T>>{{.parameters = parameters}}, options) {}
  AdamBase(const nn::Module<T>&, AdamOptions = {}) = delete;  // give module.named_parameters()
  explicit AdamBase(const std::vector<ParameterGroup<T>>& groups, const AdamOptions& options = {})
      : Optimizer<T>(groups, options.learning_rate), options_(options) {
    TANDEM_CHECK(options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1,
                 "adam", "betas must lie in [0, 1), they are ", options.beta1, " and ",
                 options.beta2);
    detail::require_number("adam", "epsilon", options.epsilon);
    detail::require_number("adam", "weight decay", options.weight_decay);
    first_ = this->zeros_like_parameters();
    second_ = this->zeros_like_parameters();
  }

  /// While a graph is captured (cuda/graph.hpp), the step is recorded only, and reads its numbers,
  /// which vary, from a small tensor on the GPU: prepare_replay() writes it. The parameters must
  /// have come as far as each other by groups.
  void step() override {
    this->template update_groups<detail::AdamTensor<T>, formula::Adam<T>>(
        "adam", detail::adam_step<T>,
        [&](std::size_t k) -> detail::AdamTensor<T> {
          const Tensor<T>& p = this->parameters_[k];
          return {.parameter = p.mutable_device_data(),
                  .gradient = this->gradients_[k].device_data(),
                  .first = first_[k].mutable_device_data(),
                  .second = second_[k].mutable_device_data(),
                  .size = p.numel()};
        },
        [&](std::int64_t t, std::size_t group) { return step_number(t, group); });
  }
  /// Call before each replay of a graph that has captured step(): counts the step and writes its
  /// numbers, with the present learning rate, for what is put into the current queue from now on.
  /// Does not wait. Errors: no step was captured; the parameters of a group no longer have had
  /// equally many steps.
  void prepare_replay() override {
    this->write_numbers("adam",
                        [&](std::int64_t t, std::size_t group) { return step_number(t, group); });
  }
  /// For the steps from here on; a phase of training may decay otherwise than another.
  void set_weight_decay(double weight_decay) {
    detail::require_number("adam", "weight decay", weight_decay);
    options_.weight_decay = weight_decay;
  }
  double weight_decay() const { return options_.weight_decay; }
  std::vector<nn::Named<T>> state() const override {
    std::vector<nn::Named<T>> out = Optimizer<T>::state();
    this->name_state(out, "exp_avg", first_);
    this->name_state(out, "exp_avg_sq", second_);
    return out;
  }

 private:
  /// The numbers of a parameter's t-th update.
  formula::Adam<T> step_number(std::int64_t t, std::size_t group) const {
    const double rate = this->rate_of(group), decay = this->decay_of(group, options_.weight_decay);
    const double correction1 = 1 - __builtin_pow(options_.beta1, static_cast<double>(t)),
                 correction2 = 1 - __builtin_pow(options_.beta2, static_cast<double>(t));
    const T beta1 = T(options_.beta1), beta2 = T(options_.beta2);
    return {.beta1 = beta1,
            .rest1 = T(1) - beta1,
            .beta2 = beta2,
            .rest2 = T(1) - beta2,
            .epsilon = T(options_.epsilon_before_correction
                             ? options_.epsilon / __builtin_sqrt(correction2)
                             : options_.epsilon),
            .rate = T(rate / correction1),
            .root_scale = T(1 / __builtin_sqrt(correction2)),
            .decay = T(decoupled ? 0 : decay),
            .shrink = T(decoupled ? 1 - rate * decay : 1)};
  }

  AdamOptions options_;
  std::vector<Tensor<T>> first_, second_;
};

template <FloatingElement T>
using Adam = AdamBase<T, false>;
template <FloatingElement T>
using AdamW = AdamBase<T, true>;

}  // namespace optim
TANDEM_NAMESPACE_END
