#pragma once
/// What happens at the end of a scope, however it ends: Restore and AtExit.

#include <utility>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// Sets a variable for a scope; then it has the value that it had before.
///   const Restore outer(recording, false);
///   const Restore before(depth);   // the scope itself changes it
template <class T>
class Restore {
 public:
  explicit Restore(T& variable) : variable_(variable), before_(variable) {}
  template <class U>
  Restore(T& variable, U&& value)
      : variable_(variable), before_(std::exchange(variable, std::forward<U>(value))) {}
  ~Restore() { variable_ = std::move(before_); }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  T& variable_;
  T before_;
};

/// Calls f at the end of a scope.
///   const AtExit stop([&] { stage.stop(); });
template <class F>
class AtExit {
 public:
  explicit AtExit(F f) : f_(std::move(f)) {}
  ~AtExit() { f_(); }
  AtExit(const AtExit&) = delete;
  AtExit& operator=(const AtExit&) = delete;

 private:
  F f_;
};

}  // namespace detail
TANDEM_NAMESPACE_END
