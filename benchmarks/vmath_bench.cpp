/// The elementary functions of tandem/cpu/vmath.hpp on every instruction set, beside the C library
/// called element by element. Works are <function>_f32/<isa>, <function>_f32/std and the same for
/// f64, on arrays that fit the first-level cache; elements per second = elements ÷ seconds_min.

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness.hpp"
#include "tandem/cpu/isa.hpp"
#include "tandem/cpu/vmath.hpp"

namespace {

using namespace tandem::cpu;

constexpr std::int64_t elements = 1999;  // with a rest, as rows have

#define FUNCTION(Name, ours, theirs)                                         \
  struct Name {                                                              \
    static constexpr const char* name = #ours;                               \
    template <class V, class T = typename V::value_type>                     \
    static TANDEM_ALWAYS_INLINE void run(const T* x, T* y, std::int64_t n) { \
      vec_map<V>(                                                            \
          n, y, [](V a) TANDEM_INLINE_LAMBDA { return ours(a); }, x);        \
    }                                                                        \
    template <class T>                                                       \
    static T scalar(T a) {                                                   \
      return theirs;                                                         \
    }                                                                        \
  };
FUNCTION(Exp, exp, std::exp(a))
FUNCTION(Expm1, expm1, std::expm1(a))
FUNCTION(Log, log, std::log(a))
FUNCTION(Log1p, log1p, std::log1p(a))
FUNCTION(Tanh, tanh, std::tanh(a))
FUNCTION(Sigmoid, sigmoid, 1 / (1 + std::exp(-a)))
FUNCTION(Erf, erf, std::erf(a))

template <class T>
struct Data {
  std::vector<T> x, y;
  Data() : x(elements), y(elements) {
    // Positive for log, on both sides of every function's thresholds, no runs of equal branches.
    for (std::int64_t i = 0; i < elements; ++i) {
      x[static_cast<std::size_t>(i)] =
          static_cast<T>((i * 7919) % elements) * T(8.0 / elements) + T(0.01);
    }
  }
};

template <class Function, class T>
void add(bench::Suite& suite, const char* type) {
  const std::string prefix = std::string(Function::name) + "_" + type + "/";
  const bench::Cost cost{.bytes = 2.0 * elements * sizeof(T)};
  for (const Isa isa : supported_isas()) {
    if (isa > Isa::avx512) continue;  // the same vector code
    suite.add(prefix + name(isa), cost, [isa] {
      auto data = std::make_shared<Data<T>>();
      return [isa, data] {
        const IsaScope scope(isa);
        simd_dispatch<Function, T>(data->x.data(), data->y.data(), std::int64_t{elements});
        bench::keep(data->y[0]);
      };
    });
  }
  suite.add(prefix + "std", cost, [] {
    auto data = std::make_shared<Data<T>>();
    return [data] {
      for (std::size_t i = 0; i < data->x.size(); ++i) data->y[i] = Function::scalar(data->x[i]);
      bench::keep(data->y[0]);
    };
  });
}

template <class... Functions>
void add_all(bench::Suite& suite) {
  (add<Functions, float>(suite, "f32"), ...);
  (add<Functions, double>(suite, "f64"), ...);
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  add_all<Exp, Expm1, Log, Log1p, Tanh, Sigmoid, Erf>(suite);
  return suite.run();
}
