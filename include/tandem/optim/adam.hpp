#pragma once

#include "tandem/cpu/simd.hpp"
#include "tandem/optim/optimizer.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

namespace detail {

/// The numbers of one Adam step, on every device: rate = lr/(1 − β₁ᵗ), root_scale = 1/√(1 − β₂ᵗ), decay
/// is added to the gradient (Adam), θ is first multiplied by shrink = 1 − lr·wd (AdamW).
template <class T>
using AdamStep = cuda::AdamNumbers<T>;

template <class T>
struct AdamUpdate {
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const AdamStep<T>& s, T* TANDEM_RESTRICT p,
                                       const T* TANDEM_RESTRICT g, T* TANDEM_RESTRICT m,
                                       T* TANDEM_RESTRICT v, std::int64_t n) {
    constexpr int w = V::size;
    const V beta1(s.beta1), beta2(s.beta2), rest1(T(1) - s.beta1), rest2(T(1) - s.beta2),
        rate(s.rate), root_scale(s.root_scale), epsilon(s.epsilon), decay(s.decay), shrink(s.shrink);
    const auto update = [&](V& theta, V grad, V& first, V& second) TANDEM_INLINE_LAMBDA {
      theta = theta * shrink;
      grad = grad + decay * theta;
      first = beta1 * first + rest1 * grad;
      second = beta2 * second + rest2 * (grad * grad);
      theta = theta - rate * (first / (sqrt(second) * root_scale + epsilon));
    };
    std::int64_t i = 0;
    for (; i + w <= n; i += w) {
      V theta = V::load(p + i), first = V::load(m + i), second = V::load(v + i);
      update(theta, V::load(g + i), first, second);
      theta.store(p + i);
      first.store(m + i);
      second.store(v + i);
    }
    if (i < n) {
      V theta = V::load_partial(p + i, n - i), first = V::load_partial(m + i, n - i), second = V::load_partial(v + i, n - i);
      update(theta, V::load_partial(g + i, n - i), first, second);
      theta.store_partial(p + i, n - i);
      first.store_partial(m + i, n - i);
      second.store_partial(v + i, n - i);
    }
  }
};

}  // namespace detail

/// Adam — m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²;  θ ← θ − lr·m̂/(√v̂ + ε),
///   m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ), t counts θ's own gradients. [Kingma & Ba 2015, algorithm 1]
/// Weight decay adds wd·θ to the gradient (L2), as torch.optim.Adam does.
/// AdamW — decoupled: θ ← θ·(1 − lr·wd) first, the gradient stays as it is. [Loshchilov & Hutter 2019]
template <FloatingElement T, bool decoupled>
class AdamBase final : public Optimizer<T> {
 public:
  explicit AdamBase(const std::vector<Tensor<T>>& parameters, const AdamOptions& options = {})
      : AdamBase(detail::numbered(parameters), options) {}
  explicit AdamBase(const std::vector<nn::Named<T>>& parameters, const AdamOptions& options = {})
      : Optimizer<T>(parameters, options.learning_rate), options_(options) {
    TANDEM_CHECK(options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1,
                 "adam", "betas must lie in [0, 1), they are ", options.beta1, " and ", options.beta2);
    TANDEM_CHECK(options.epsilon >= 0 && options.weight_decay >= 0, "adam",
                 "epsilon and weight decay must not be negative");
    first_ = this->zeros_like_parameters();
    second_ = this->zeros_like_parameters();
  }

  void step() override {
    this->collect_gradients();
    // Parameters with equally many gradients, as a rule all, share their numbers.
    std::vector<std::int64_t> counts;
    std::vector<detail::AdamStep<T>> numbers;
    std::vector<std::size_t> which;
    for (std::size_t k = 0; k < this->parameters_.size(); ++k) {
      const std::int64_t t = this->steps_of(k) + 1;
      std::size_t i = 0;
      while (i < counts.size() && counts[i] != t) ++i;
      if (i == counts.size()) {
        counts.push_back(t);
        numbers.push_back(step_number(t));
      }
      which.push_back(i);
    }
    step_on_devices(numbers, which);
    std::vector<T*> theta, first, second;
    for (std::size_t k = 0; k < this->parameters_.size(); ++k) {
      theta.push_back(this->parameters_[k].mutable_device_data());
      first.push_back(first_[k].mutable_device_data());
      second.push_back(second_[k].mutable_device_data());
    }
    this->for_each_piece([&](std::size_t k, std::int64_t begin, std::int64_t end) {
      cpu::simd_dispatch<detail::AdamUpdate<T>, T>(numbers[which[k]], theta[k] + begin,
                                                   this->gradients_[k].data() + begin,
                                                   first[k] + begin, second[k] + begin, end - begin);
    });
    this->count_step();
  }
  std::vector<nn::Named<T>> state() const override {
    std::vector<nn::Named<T>> out = Optimizer<T>::state();
    this->name_state(out, "exp_avg", first_);
    this->name_state(out, "exp_avg_sq", second_);
    return out;
  }

 private:
  /// The numbers of a parameter's t-th update.
  detail::AdamStep<T> step_number(std::int64_t t) const {
    const double rate = this->learning_rate_, decay = options_.weight_decay;
    const double correction1 = 1 - __builtin_pow(options_.beta1, static_cast<double>(t)),
                 correction2 = 1 - __builtin_pow(options_.beta2, static_cast<double>(t));
    return {T(options_.beta1),
            T(options_.beta2),
            T(options_.epsilon),
            T(rate / correction1),
            T(1 / __builtin_sqrt(correction2)),
            T(decoupled ? 0 : decay),
            T(decoupled ? 1 - rate * decay : 1)};
  }

  /// The parameters that are not on the CPU: one call of kernels/adam.cu updates all of a device that have the
  /// same numbers.
  void step_on_devices(const std::vector<detail::AdamStep<T>>& numbers, const std::vector<std::size_t>& which) {
    struct Group {
      Device device;
      std::size_t number;
      std::vector<cuda::AdamTensor<T>> tensors;
    };
    std::vector<Group> groups;
    for (std::size_t k = 0; k < this->parameters_.size(); ++k) {
      const Tensor<T>&p = this->parameters_[k], &g = this->gradients_[k];
      if (p.device().is_cpu() || !g.defined()) continue;
      std::size_t i = 0;
      while (i < groups.size() && !(groups[i].device == p.device() && groups[i].number == which[k])) ++i;
      if (i == groups.size()) groups.push_back({p.device(), which[k], {}});
      groups[i].tensors.push_back({p.mutable_device_data(), g.device_data(),
                                   first_[k].mutable_device_data(),
                                   second_[k].mutable_device_data(), p.numel()});
    }
    for (const Group& group : groups) {
      const auto adam = cuda::kernels<T>().adam;
      TANDEM_CHECK(adam != nullptr, "adam", "has no CUDA kernel for ", dtype_of<T>,
                   " (a parameter is on ", group.device, ")");
      adam(cuda::stream_of(group.device), group.tensors.data(),
           static_cast<std::int64_t>(group.tensors.size()), numbers[group.number]);
    }
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
