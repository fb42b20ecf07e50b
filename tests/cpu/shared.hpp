#pragma once
/// What the cpu tests share, and the thread count also those of the ops.

#include <doctest/doctest.h>

#include <cstdint>
#include <type_traits>

#include "tandem/cpu/isa.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/tensor/dtype.hpp"

namespace tandem_test {

template <class T>
double as_double(T x) {
  if constexpr (std::is_same_v<T, tandem::bfloat16>) {
    return static_cast<double>(static_cast<float>(x));
  } else {
    return static_cast<double>(x);
  }
}

/// A linear congruential generator: cheap, also under a sanitizer.  [Knuth, TAOCP 2, section 3.3.4]
struct Random {
  std::uint64_t state;
  explicit Random(std::uint64_t seed) : state(seed) {}
  std::uint32_t operator()() {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::uint32_t>(state >> 32);
  }
  double number() { return (*this)() * 0x1p-31 - 1; }  // in [−1, 1)
};

/// Sets the thread count for a scope.
class Threads {
 public:
  explicit Threads(int count) : before_(tandem::cpu::num_threads()) {
    tandem::cpu::set_num_threads(count);
  }
  ~Threads() { tandem::cpu::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

/// Runs f with every instruction set of this machine.
template <class F>
void on_each_isa(F f) {
  for (const tandem::cpu::Isa isa : tandem::cpu::supported_isas()) {
    const tandem::cpu::IsaScope scope(isa);
    CAPTURE(tandem::cpu::name(isa));
    f();
  }
}

}  // namespace tandem_test
