#pragma once
/// What every op's door checks, and how it walks its elements.

#include <cstdint>
#include <vector>

#include "tandem/autograd/record.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/cuda/kernel.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// What the operators of tensors of two element types are deleted with, so that the compiler says
/// it: types are not mixed silently, x.to<double>() says where one is converted.
struct element_types_differ_convert_one;
/// The same for masks, integers and pixels given to an op that computes with fractions.
struct these_are_not_floats_convert_by_to_float;
/// The same for class ids and indices that are no int64.
struct ids_are_int64_convert_by_to_int64;

/// require_defined for a list.
template <Element T>
void require_each_defined(const char* op, const char* name, const std::vector<Tensor<T>>& list) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].defined()) fail_absent(op, concat(name, "[", i, "]"), list[i].absence());
  }
}

/// For an op (or a case of it) that has CPU loops only: throws by name on any other device.
template <Element... In>
void require_cpu(const char* op, const Tensor<In>&... inputs) {
  const auto check = [op](Device device) {
    TANDEM_CHECK(device.is_cpu(), op, "has no CUDA kernel (an input is on ", device, ")");
  };
  ((inputs.defined() ? check(inputs.device()) : void()), ...);
}

/// Throws unless all inputs that are defined live on one device.
template <Element A, Element... In>
void require_same_device(const char* op, const Tensor<A>& first, const Tensor<In>&... rest) {
  [[maybe_unused]] const auto check = [&](Device device) {
    TANDEM_CHECK(device == first.device(), op, "inputs are on different devices: ", first.device(),
                 " and ", device);
  };
  ((rest.defined() ? check(rest.device()) : void()), ...);
}

/// Throws unless each of the slots has a function for the device of x.
template <Element T, class... Slots>
void require_kernels(const char* op, const Tensor<T>& x, const Slots&... slots) {
  const Device device = x.device();
  if (device.is_cpu()) return;
  TANDEM_CHECK((slots.runs_on(device) && ...), op, "has no CUDA kernel for ", x.dtype(),
               " (an input is on ", device, ")");
}

}  // namespace detail

// What an op of floats, and one of tensors of one type, says of others.
#define TANDEM_FLOATS_ONLY(op)                                                       \
  template <Element T, class... Rest>                                                \
  requires(!FloatingElement<T>) detail::these_are_not_floats_convert_by_to_float op( \
      const Tensor<T>&, const Rest&...)                                              \
  = delete;
#define TANDEM_ONE_TYPE_ONLY(op)                                               \
  template <Element A, Element B, class... Rest>                               \
  requires(!std::is_same_v<A, B>) detail::element_types_differ_convert_one op( \
      const Tensor<A>&, const Tensor<B>&, const Rest&...)                      \
  = delete;

TANDEM_NAMESPACE_END
