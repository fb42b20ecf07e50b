#pragma once
/// Why a Tensor variable refers to no tensor, and what the ops say of it.

#include <cstdint>
#include <string_view>

#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

enum class Absent : std::uint8_t {
  undefined,      ///< Tensor<T>(), never given one
  moved,          ///< it was moved from
  no_gradient,    ///< the result of grad() before backward()
  not_collected,  ///< the result of grad() where no gradient is collected
};

/// "[matmul] argument b was moved from", or "[transpose] this tensor …" without the name of an
/// argument.
[[noreturn]] TANDEM_NOINLINE inline void fail_absent(const char* op, std::string_view argument,
                                                     Absent why) {
  const std::string subject = argument.empty() ? "this" : concat("argument ", argument);
  switch (why) {
    case Absent::moved:
      fail(op, subject, argument.empty() ? " tensor" : "", " was moved from");
    case Absent::no_gradient:
      fail(op, subject, " is the gradient of a tensor that has none yet: call backward() first");
    case Absent::not_collected:
      fail(op, subject,
           " is the gradient of a tensor that collects none: call requires_grad_() on it before "
           "computing");
    case Absent::undefined:
      break;
  }
  fail(op, subject, argument.empty() ? " tensor is undefined" : " is an undefined tensor",
       " (default-constructed)");
}

/// For the door of an op: throws by the names of op and argument unless each argument is a tensor.
///   require_defined("matmul", "a", a, "b", b)
template <class Tensor, class... Rest>
void require_defined(const char* op, std::string_view name, const Tensor& x, const Rest&... rest) {
  if (!x.defined()) [[unlikely]]
    fail_absent(op, name, x.absence());
  if constexpr (sizeof...(rest) > 0) require_defined(op, rest...);
}
/// For arguments that may be left out: Tensor<T>() means none, a tensor that was moved from is a
/// mistake.
template <class Tensor, class... Rest>
void require_given_or_none(const char* op, std::string_view name, const Tensor& x,
                           const Rest&... rest) {
  if (!x.defined() && x.absence() != Absent::undefined) [[unlikely]]
    fail_absent(op, name, x.absence());
  if constexpr (sizeof...(rest) > 0) require_given_or_none(op, rest...);
}

}  // namespace detail

TANDEM_NAMESPACE_END
