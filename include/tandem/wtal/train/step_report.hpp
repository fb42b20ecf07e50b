#pragma once
/// What a training step says of itself, and how it comes from a GPU without the step being waited
/// for.

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "tandem/cuda/host_copy.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// What one step did.
struct StepReport {
  double total = 0;  ///< the loss that was minimised
  /// Its parts: L_cls, or a method's own loss; or L_kd, a background class among its classes, and
  /// L_fb. What a method's regularisers and filter add is in `total` alone.
  double cls = 0, kd = 0, fb = 0;
  double grad_norm = 0;  ///< before clipping
};

/// The numbers of a step where it computed them: scalars on its device; undefined: 0.
template <FloatingElement T>
struct StepNumbers {
  Tensor<T> total = {}, cls = {}, kd = {}, fb = {};
  Tensor<double> squares = {};  ///< Σ g²

  /// bytes of a number in packed(), and numbers
  static constexpr std::int64_t slot = 8, slots = 5;
  /// Of a step on the CPU.
  StepReport report() const {
    const auto value = [](const auto& x) {
      return x.defined() ? static_cast<double>(x.item()) : 0.0;
    };
    return {.total = value(total),
            .cls = value(cls),
            .kd = value(kd),
            .fb = value(fb),
            .grad_norm = __builtin_sqrt(value(squares))};
  }
  /// Of a step on a GPU: all of them side by side there, 8 bytes each, so that one copy brings them
  /// to the host.
  Tensor<std::uint8_t> packed() const {
    const Device device = total.device();
    const Tensor<std::uint8_t> out = zeros<std::uint8_t>({slot * slots}, device);
    std::uint8_t* at = out.mutable_device_data();
    const auto put = [&](const auto& x) {
      if (x.defined()) {
        cuda_interface().copy_on_device(device.index(), at, x.device_data(),
                                        static_cast<std::int64_t>(sizeof(*x.device_data())));
      }
      at += slot;
    };
    put(total), put(cls), put(kd), put(fb), put(squares);
    return out;
  }
  /// The report that packed() holds.
  static StepReport unpack(const std::vector<std::uint8_t>& bytes) {
    const auto take = [&]<class U>(std::int64_t k, U value) {
      std::memcpy(&value, bytes.data() + k * slot, sizeof value);
      return static_cast<double>(value);
    };
    return {.total = take(0, T(0)),
            .cls = take(1, T(0)),
            .kd = take(2, T(0)),
            .fb = take(3, T(0)),
            .grad_norm = __builtin_sqrt(take(4, 0.0))};
  }
};

/// A training that cannot go on: the loss or the gradients of a step are not finite.
class Diverged : public Error {
 public:
  using Error::Error;
};

/// Throws Diverged when the loss of a step or the norm of its gradients is not finite.
inline void check_finite(const StepReport& report, std::int64_t step, double learning_rate) {
  if (report.total - report.total != 0) {
    throw Diverged(concat("[trainer] the loss of step ", step,
                          " is not finite; autograd::AnomalyMode names the op that made it so"));
  }
  if (report.grad_norm - report.grad_norm != 0) {
    throw Diverged(concat("[trainer] the gradients of step ", step,
                          " are not finite; the learning rate, ", learning_rate,
                          ", may be too large"));
  }
}

/// The report of a step that a GPU may still be doing. On the CPU it is there at once.
template <FloatingElement T>
class PendingReport {
 public:
  PendingReport() = default;
  explicit PendingReport(const StepReport& report) : report_(report) {}
  PendingReport(std::shared_ptr<HostCopy<std::uint8_t>> copy, std::int64_t step,
                double learning_rate)
      : copy_(std::move(copy)), step_(step), learning_rate_(learning_rate) {}

  /// Waits, on a GPU, until the step is done: once, and not for the steps after it.  Errors: the
  /// step's loss or gradients are not finite; then the parameters are not, either.
  StepReport get() {
    if (copy_ != nullptr) {
      report_ = StepNumbers<T>::unpack(copy_->get());
      copy_ = nullptr;
      check_finite(report_, step_, learning_rate_);
    }
    return report_;
  }

 private:
  StepReport report_;
  std::shared_ptr<HostCopy<std::uint8_t>> copy_;
  std::int64_t step_ = 0;
  double learning_rate_ = 0;
};

}  // namespace wtal
TANDEM_NAMESPACE_END
