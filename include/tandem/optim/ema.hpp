#pragma once
/// Exponential moving averages of parameters.

#include <cstdint>
#include <utility>
#include <vector>

#include "tandem/nn/module.hpp"
#include "tandem/ops/arithmetic.hpp"
#include "tandem/optim/parameters.hpp"

TANDEM_NAMESPACE_BEGIN
namespace optim {

/// How fast the averages follow.
struct EmaOptions {
  double decay = 0.999;  ///< d, what remains of an average in an update
  /// The t-th update, from 1, takes min(d, (1 + t)/(10 + t)): the beginning is soon forgotten.
  bool warmup = false;
};

/// Ema — a ← d·a + (1 − d)·θ for every parameter θ at each update; a starts as θ.
///                                               [Polyak & Juditsky 1992; Tarvainen & Valpola 2017]
///   optim::Ema<float> ema(net.named_parameters());
///   adam.step();
///   ema.update();
///   { const optim::EmaScope<float> scope(ema); net.forward(x); }      // with the averages
///
/// Given as state_dict(), buffers are averaged too. The averages stand on the devices of their
/// parameters, as these are when the Ema is made. Errors: no parameters, two that share memory, a
/// decay outside [0, 1].
template <FloatingElement T>
class Ema {
 public:
  explicit Ema(const std::vector<nn::Named<T>>& parameters, const EmaOptions& options = {})
      : options_(options), updates_(zeros<T>({})) {
    TANDEM_CHECK(options.decay >= 0 && options.decay <= 1, "ema",
                 "the decay must be from 0 to 1, it is ", options.decay);
    TANDEM_CHECK(!parameters.empty(), "ema", "no parameters: the list is empty");
    for (const nn::Named<T>& p : parameters) {
      tandem::detail::require_defined("ema", p.name, p.tensor);
      for (const nn::Named<T>& other : parameters_) {
        TANDEM_CHECK(other.name != p.name, "ema", "two parameters are called ", p.name);
      }
      parameters_.push_back(p);
      averages_.push_back({p.name, p.tensor.detach().clone()});
    }
    detail::refuse_shared("ema", parameters);
  }
  Ema(const Ema&) = delete;
  Ema& operator=(const Ema&) = delete;

  /// Lets the averages follow the parameters as they are now; after each step of the optimizer.
  /// Errors: while they are swapped.
  void update() {
    TANDEM_CHECK(!swapped_, "ema",
                 "update() while the averages are in the place of the parameters");
    const NoGrad no_grad;
    const std::int64_t t = updates() + 1;
    double decay = options_.decay;
    if (options_.warmup) {
      const double start = static_cast<double>(1 + t) / static_cast<double>(10 + t);
      if (start < decay) decay = start;
    }
    for (std::size_t i = 0; i < averages_.size(); ++i) {
      const Tensor<T>& a = averages_[i].tensor;
      a.copy_(add(mul(a, decay), mul(parameters_[i].tensor.detach(), 1 - decay)));
    }
    updates_.fill_(static_cast<T>(t));
  }
  /// Updates done so far.
  std::int64_t updates() const {
    return static_cast<std::int64_t>(static_cast<double>(updates_.item()));
  }

  /// Exchanges the values of the parameters and of the averages. EmaScope does it for a scope.
  /// Errors, which change nothing: a parameter that is read-only or expanded.
  void swap() {
    const NoGrad no_grad;
    for (const nn::Named<T>& p : parameters_)
      p.tensor.require_target("ema", concat("'", p.name, "'"));
    for (std::size_t i = 0; i < averages_.size(); ++i) {
      const Tensor<T> p = parameters_[i].tensor.detach(), before = p.clone();
      p.copy_(averages_[i].tensor);
      averages_[i].tensor.copy_(before);
    }
    swapped_ = !swapped_;
  }
  /// Whether the averages are in the place of the parameters.
  bool swapped() const { return swapped_; }

  /// The averages under the names of their parameters, for load_state_dict or a file. They share
  /// memory with the Ema.  Errors: while they are swapped.
  std::vector<nn::Named<T>> averages() const {
    TANDEM_CHECK(!swapped_, "ema",
                 "averages() while the averages are in the place of the parameters");
    return averages_;
  }
  /// The averages and their number of updates ("ema.updates", of shape ()), for a checkpoint.
  std::vector<nn::Named<T>> state() const {
    std::vector<nn::Named<T>> out = averages();
    out.push_back({"ema.updates", updates_});
    return out;
  }
  /// Copies a saved state in, by name, in any order.  Errors, which change nothing: a name that is
  /// missing, unknown or there twice; another shape; a number of updates that is no count.
  void load_state(const std::vector<nn::Named<T>>& saved) {
    const std::vector<nn::Named<T>> own = state();
    std::vector<std::pair<Tensor<T>, Tensor<T>>> copies;
    for (const nn::Named<T>& to : own) {
      const nn::Named<T>* from = nullptr;
      for (const nn::Named<T>& candidate : saved) {
        if (candidate.name != to.name) continue;
        TANDEM_CHECK(from == nullptr, "ema", "the saved state has '", to.name, "' twice");
        from = &candidate;
      }
      TANDEM_CHECK(from != nullptr, "ema", "the saved state has no '", to.name, "'");
      tandem::detail::require_defined("ema", from->name, from->tensor);
      TANDEM_CHECK(from->tensor.shape() == to.tensor.shape(), "ema", "'", to.name, "' has shape ",
                   to.tensor.shape(), " here and ", from->tensor.shape(), " in the saved state");
      copies.emplace_back(to.tensor, from->tensor);
    }
    for (const nn::Named<T>& from : saved) {
      bool known = false;
      for (const nn::Named<T>& to : own) known = known || to.name == from.name;
      TANDEM_CHECK(known, "ema", "the saved state has '", from.name,
                   "', which is not averaged here");
    }
    const auto count = static_cast<double>(copies.back().second.item());
    TANDEM_CHECK(count >= 0 && count < 0x1p62 && count == __builtin_floor(count), "ema",
                 "'ema.updates' is ", count, ", not a number of updates");
    nn::detail::copy_all(std::move(copies));
  }

 private:
  EmaOptions options_;
  std::vector<nn::Named<T>> parameters_, averages_;
  Tensor<T> updates_;  // of shape (), on the CPU
  bool swapped_ = false;
};

/// Has the averages in the place of the parameters for a scope: to evaluate, or to save a module as
/// it is to be used. The Ema outlives the scope.
template <FloatingElement T>
class EmaScope {
 public:
  explicit EmaScope(Ema<T>& ema) : ema_(ema) {
    TANDEM_CHECK(!ema.swapped(), "ema", "the averages are in the place of the parameters already");
    ema_.swap();
  }
  ~EmaScope() { ema_.swap(); }
  EmaScope(const EmaScope&) = delete;
  EmaScope& operator=(const EmaScope&) = delete;

 private:
  Ema<T>& ema_;
};

}  // namespace optim
TANDEM_NAMESPACE_END
