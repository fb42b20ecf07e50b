#pragma once
/// The mutants of scripts/mutate_kernels.py, which writes the kernels once so that each of their
/// small faults can be chosen when the program runs: TANDEM_MUTANT=17 in the environment. Included
/// before everything else in kernels that it has rewritten, and nowhere else.
///
/// An operator `a < b` has become `a < Op<17, Kind::less>() < b`: two steps of the operator's own
/// precedence, so that nobody has to know where its operands begin and end.

#include <cstdint>
#include <limits>
#include <type_traits>

namespace mutants {

/// The mutant that runs, or 0; which ones the tests have come past (mutants.cpp).
extern int chosen;
extern unsigned char reached[];

inline bool on(int number) {
#if !defined(SIMT_TSAN)
  reached[number] = 1;
#endif
  return chosen == number;
}

enum class Kind {
  less,
  less_equal,
  greater,
  greater_equal,
  equal,
  not_equal,
  plus,
  minus,
  times,
  divide,
  rest
};

template <int number, Kind kind>
struct Op {};
template <int number, Kind kind, class L>
struct Left {
  const L& value;  // lives as long as the expression
};

#define MUTANTS_OPERATOR(symbol, kind, healthy, faulty)                             \
  template <int number, class L>                                                    \
  Left<number, Kind::kind, L> operator symbol(const L& a, Op<number, Kind::kind>) { \
    return {a};                                                                     \
  }                                                                                 \
  template <int number, class L, class R>                                           \
  auto operator symbol(const Left<number, Kind::kind, L>& left, const R& b) {       \
    const L& a = left.value;                                                        \
    if constexpr (requires { static_cast<decltype(healthy)>(faulty); }) {           \
      if (on(number)) return static_cast<decltype(healthy)>(faulty);                \
    }                                                                               \
    return healthy;                                                                 \
  }
MUTANTS_OPERATOR(<, less, a < b, a <= b)
MUTANTS_OPERATOR(<=, less_equal, a <= b, a < b)
MUTANTS_OPERATOR(>, greater, a > b, a >= b)
MUTANTS_OPERATOR(>=, greater_equal, a >= b, a > b)
MUTANTS_OPERATOR(==, equal, a == b, a != b)
MUTANTS_OPERATOR(!=, not_equal, a != b, a == b)
MUTANTS_OPERATOR(+, plus, a + b, a - b)
MUTANTS_OPERATOR(*, times, a* b, a + b)
MUTANTS_OPERATOR(/, divide, a / b, b / a)
MUTANTS_OPERATOR(%, rest, a % b, a / b)
#undef MUTANTS_OPERATOR

/// a − b: a + b, and with the next number b − a.
template <int number, class L>
Left<number, Kind::minus, L> operator-(const L& a, Op<number, Kind::minus>) {
  return {a};
}
template <int number, class L, class R>
auto operator-(const Left<number, Kind::minus, L>& left, const R& b) {
  const L& a = left.value;
  using Result = decltype(a - b);
  if constexpr (requires { static_cast<Result>(a + b); }) {
    if (on(number)) return static_cast<Result>(a + b);
  }
  if constexpr (requires { static_cast<Result>(b - a); }) {
    if (on(number + 1)) return static_cast<Result>(b - a);
  }
  return a - b;
}

/// A condition that is always true, and with the next number never.
template <int number>
struct Force {};
template <int number, class L>
bool operator||(const L& condition, Force<number>) {
  if (on(number)) return true;
  if (on(number + 1)) return false;
  return static_cast<bool>(condition);
}

/// A number: one more, and with the next number one less.
template <int number, class T>
T constant(T value) {
  if (on(number)) return static_cast<T>(value + T(1));
  if (on(number + 1)) return static_cast<T>(value - T(1));
  return value;
}

/// What a loop adds to its index: so much that this turn is the last, and with the next number one
/// more than it should.
template <int number, class T>
T stride(T step) {
  using Wide = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
  if (on(number)) return static_cast<T>(std::numeric_limits<Wide>::max() / 2);
  if (on(number + 1)) return static_cast<T>(step + T(1));
  return step;
}

/// What is added: taken away.
template <int number, class T>
T added(T value) {
  return on(number) ? static_cast<T>(-value) : value;
}
/// What is multiplied by: 1.
template <int number, class T>
T factor(T value) {
  return on(number) ? T(1) : value;
}

/// An index: cut to its low eight bits, since no test has 2³¹ elements.
template <int number, class T>
T index(T value) {
  return on(number) ? static_cast<T>(static_cast<std::int8_t>(value)) : value;
}

}  // namespace mutants
