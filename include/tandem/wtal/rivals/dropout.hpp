#pragma once
/// Dropout of the other methods, whose masks can be given: a recorded run of the public code is
/// repeated to the last bit of its masks.

#include <cstddef>
#include <utility>
#include <vector>

#include "tandem/nn/dropout.hpp"
#include "tandem/ops/arithmetic.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {
namespace rivals {

/// For a scope, the Dropouts of this thread that are in training take these masks, one after the
/// other, instead of drawing. A mask is 1 where an element is kept and 0 where it is not.
template <FloatingElement T>
class DropoutMasks {
 public:
  explicit DropoutMasks(std::vector<Tensor<T>> masks)
      : masks_(std::move(masks)), outer_(current(), this) {}
  /// The masks of this thread's scope, or null.
  static DropoutMasks*& current() {
    thread_local DropoutMasks* scope = nullptr;
    return scope;
  }
  /// Errors: there is none left, or it has another shape than x.
  const Tensor<T>& next(const Tensor<T>& x) {
    TANDEM_CHECK(next_ < masks_.size(), "dropout", "all ", masks_.size(), " masks are used");
    const Tensor<T>& mask = masks_[next_++];
    TANDEM_CHECK(mask.shape() == x.shape(), "dropout", "mask ", next_ - 1, " has shape ",
                 mask.shape(), ", it is asked for ", x.shape());
    return mask;
  }
  /// Masks that nobody has taken yet.
  std::size_t left() const { return masks_.size() - next_; }

 private:
  std::vector<Tensor<T>> masks_;
  std::size_t next_ = 0;
  const tandem::detail::Restore<DropoutMasks*> outer_;
};

/// Dropout — as nn::Dropout: in training keeps with probability 1 − p and divides by 1 − p.
template <FloatingElement T>
class Dropout final : public nn::Layer<T> {
 public:
  explicit Dropout(double p = 0) : draw_(p) { this->add("draw", draw_); }
  Tensor<T> forward(const Tensor<T>& x) const override {
    DropoutMasks<T>* const given = DropoutMasks<T>::current();
    if (!this->training() || draw_.probability() == 0 || given == nullptr) return draw_.forward(x);
    return mul(x, mul(given->next(x), T(1 / (1 - draw_.probability()))));
  }

 private:
  nn::Dropout<T> draw_;
};

}  // namespace rivals
}  // namespace wtal
TANDEM_NAMESPACE_END
