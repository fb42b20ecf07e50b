#pragma once
/// The place of a Tensor variable: how a module finds the tensors that were registered with it.
///
/// A module must see `net.weight = other`, so it cannot keep what the variable referred to when it
/// was registered; a plain pointer to the variable dangles when the variable lives in a vector that
/// grows. A variable with a place tells it where it is: a move to new memory takes the place along,
/// and a variable that ends leaves there what it referred to.

#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

template <class T>
struct TensorPlace final : RefCounted {
  Tensor<T>* home = nullptr;  ///< the variable, or `kept` once there is none; never null
  Tensor<T>* heir = nullptr;  ///< the variable that `home` was moved to
  Tensor<T> kept;             ///< what the variable referred to when it ended
};

}  // namespace detail

template <Element T>
const Ref<detail::TensorPlace<T>>& Tensor<T>::place() {
  if (!place_ || place_->home != this) {
    if (place_ && place_->heir == this) place_->heir = nullptr;
    place_ = make_ref<detail::TensorPlace<T>>();
    place_->home = this;
  }
  return place_;
}

/// `std::move` alone keeps the place where it is: `w = f(std::move(w))` goes on as the same
/// variable. Only when a variable ends that was moved from, as in a vector that grows, the place
/// goes to the one it was moved to.
template <Element T>
void Tensor<T>::inherit_place(Tensor& other) noexcept {
  detail::TensorPlace<T>& place = *other.place_;
  if (place.home != &other && place.heir != &other) return;
  place.heir = this;
  place_ = other.place_;
}

template <Element T>
void Tensor<T>::leave_place() noexcept {
  detail::TensorPlace<T>& place = *place_;
  if (place.heir == this) place.heir = nullptr;
  if (place.home != this) return;
  if (impl_ || place.heir == nullptr) {
    place.kept.impl_ = static_cast<Ref<detail::TensorImpl<T>>&&>(impl_);
    place.home = &place.kept;
  } else {
    place.home = place.heir;
    place.heir = nullptr;
  }
}

TANDEM_NAMESPACE_END
