// What check_flags.py compiles under many options: prints numbers that arithmetic other than IEEE's
// changes.
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "tandem/cpu/vmath.hpp"
#include "tandem/tensor/scalar.hpp"

namespace {

template <class T, int N, class F>
void print(const char* name, F f) {
  using V = tandem::cpu::Vec<T, N>;
  const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const T inputs[] = {T(1),    T(-1),   T(0.3),     T(-0.3), T(0),   T(-0.0),  T(1e-7),   T(2.5),
                      T(-2.5), T(87.5), T(-86.125), T(1e-4), T(7e4), infinity, -infinity, nan};
  std::printf("%s", name);
  for (const T& input : inputs) {
    volatile T hidden = input;  // from the compiler, which would fold it
    const V y = f(V(static_cast<T>(hidden)));
    std::printf(" %.9g", static_cast<double>(y[0]));
  }
  std::printf("\n");
}

template <class T, int N>
void print_all() {
  using V = tandem::cpu::Vec<T, N>;
  print<T, N>("exp", [](V x) TANDEM_INLINE_LAMBDA { return tandem::cpu::exp(x); });
  print<T, N>("expm1", [](V x) TANDEM_INLINE_LAMBDA { return tandem::cpu::expm1(x); });
  print<T, N>("log", [](V x) TANDEM_INLINE_LAMBDA { return tandem::cpu::log(x); });
  print<T, N>("log1p", [](V x) TANDEM_INLINE_LAMBDA { return tandem::cpu::log1p(x); });
  print<T, N>("tanh", [](V x) TANDEM_INLINE_LAMBDA { return tandem::cpu::tanh(x); });
  print<T, N>("sigmoid", [](V x) TANDEM_INLINE_LAMBDA { return tandem::cpu::sigmoid(x); });
  print<T, N>("round", [](V x) TANDEM_INLINE_LAMBDA { return tandem::cpu::round_even(x); });
  print<T, N>("floor", [](V x) TANDEM_INLINE_LAMBDA { return tandem::cpu::floor(x); });
  print<T, N>("third", [](V x) TANDEM_INLINE_LAMBDA { return x / V(T(3)); });
  print<T, N>("max_nan", [](V x) TANDEM_INLINE_LAMBDA { return max_nan(x, V(T(0))); });
}

}  // namespace

int main(int argc, char**) {
  print_all<float, 4>();
  print_all<double, 2>();
  volatile double nan = std::numeric_limits<double>::quiet_NaN(),
                  infinity = std::numeric_limits<double>::infinity();
  std::printf("scalars %d %d %d %d %d\n", tandem::is_nan(double(nan)),
              tandem::is_finite(double(nan)), tandem::is_finite(double(infinity)),
              static_cast<int>(tandem::detail::convert_element<std::uint8_t>(double(nan))),
              static_cast<int>(tandem::detail::convert_element<std::uint8_t>(double(infinity))));
  return argc > 1;
}
