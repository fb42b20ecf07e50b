/// The matrix product on the shapes of the models. Speaks the contract of benchmarks/README.md;
/// works:
///
///     gemm_<f32|f64|bf16>_<nn|nt|tn|tt>/<m>x<n>x<k>   C = op(A)·op(B)
///     gemm_packed_f32_nt/…                            with B packed before
///     gemm_gelu_f32_nt/…                              with bias and exact GELU in the epilogue
///
/// and a table of its own, where the FMA peak, our product and, if compiled with
/// TANDEM_BENCH_OPENBLAS and linked with -lopenblas, cblas_sgemm take turns in one process, so that
/// what else the machine does hits all of them:
///
///     gemm_bench --table [threads] [seconds per shape]
///
/// On a machine that others use, the table's `cpu` columns are the ones to read: operations per
/// second of processor time of all threads, against the peak of one thread.

#include <time.h>

#include <array>
#include <memory>

#include "harness.hpp"
#include "tandem/cpu/gemm.hpp"
#include "tandem/tensor/factory.hpp"

#ifdef TANDEM_BENCH_OPENBLAS
#include <cblas.h>
#endif

namespace {

using namespace tandem::cpu;
using tandem::bfloat16;

struct Shape {
  const char* transposes;
  std::int64_t m, n, k;

  Trans ta() const { return Trans(transposes[0] == 't'); }
  Trans tb() const { return Trans(transposes[1] == 't'); }
  std::int64_t lda() const { return ta() == Trans::no ? k : m; }
  std::int64_t ldb() const { return tb() == Trans::no ? n : k; }
  double flops() const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
  double elements() const { return static_cast<double>(m * k + n * k); }
  std::string str() const {
    return std::string(transposes) + "/" + std::to_string(m) + "x" + std::to_string(n) + "x" +
           std::to_string(k);
  }
};

// Linear layers forward (nt), their gradients by the input (nn) and by the weight (tn), squares,
// attention tiles, heads with few rows or columns.
constexpr Shape shapes[] = {
    {"nt", 1576, 2304, 768},  {"nt", 1576, 768, 3072}, {"nt", 1000, 2048, 512},
    {"nt", 10000, 512, 2048}, {"nt", 197, 768, 768},   {"nt", 900, 512, 512},
    {"nn", 1576, 2304, 768},  {"nn", 1576, 768, 2304}, {"tn", 2304, 768, 1576},
    {"tn", 512, 2048, 10000}, {"tt", 768, 768, 768},   {"nn", 1024, 1024, 1024},
    {"nn", 64, 64, 64},       {"nt", 64, 64, 64},      {"nt", 128, 1000, 64},
    {"nn", 128, 64, 1000},    {"nt", 20, 512, 2048},   {"nt", 1000, 20, 2048},
    {"nt", 1, 768, 768},      {"nn", 8, 768, 768}};

template <class T>
struct Operands {
  using Out = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;
  /// Memory as tensors have it: large ones on huge pages.
  template <class U>
  struct Memory {
    tandem::Tensor<U> x;
    Memory(std::int64_t n, U value) : x(tandem::full<U>({n}, value)) {}
    U* data() { return x.mutable_data(); }
  };
  Memory<T> a, b;
  Memory<Out> c, bias;

  explicit Operands(const Shape& s)
      : a(s.m * s.k, T(0)), b(s.n * s.k, T(0)), c(s.m * s.n, Out(0)), bias(s.n, Out(0.1)) {
    std::uint32_t state = 1;
    for (Memory<T>* operand : {&a, &b}) {
      T* const x = operand->data();
      for (std::int64_t i = 0; i < operand->x.numel(); ++i) {
        state = state * 1664525U + 1013904223U;
        x[i] = T(static_cast<float>(state >> 8) * 0x1p-23F - 1);
      }
    }
  }
  void multiply(const Shape& s, const Epilogue<Out>& epilogue = {}) {
    gemm<T, Out>(s.ta(), s.tb(), s.m, s.n, s.k, 1, a.data(), s.lda(), b.data(), s.ldb(), 0,
                 c.data(), s.n, epilogue);
  }
};

template <class T>
void add_product(bench::Suite& suite, const char* type, const Shape& s) {
  const double bytes =
      s.elements() * sizeof(T) + static_cast<double>(s.m * s.n) * sizeof(typename Operands<T>::Out);
  suite.add(std::string("gemm_") + type + "_" + s.str(),
            {.flops = s.flops(), .bytes = bytes, .unit = type}, [s] {
              auto x = std::make_shared<Operands<T>>(s);
              return [=] {
                x->multiply(s);
                bench::keep(*x->c.data());
              };
            });
}

void add_all(bench::Suite& suite) {
  for (const Shape& s : shapes) add_product<float>(suite, "f32", s);
  for (const Shape& s : {shapes[0], shapes[5], shapes[9]}) add_product<double>(suite, "f64", s);
  for (const Shape& s : {shapes[0], shapes[1], shapes[6], shapes[8]}) {
    add_product<bfloat16>(suite, "bf16", s);
  }
  for (const Shape& s : {shapes[0], shapes[4]}) {
    suite.add("gemm_packed_f32_" + s.str(), {.flops = s.flops(), .bytes = 4 * s.elements()}, [s] {
      auto x = std::make_shared<Operands<float>>(s);
      auto packed = std::make_shared<PackedMatrix<float>>(s.tb(), s.n, s.k, x->b.data(), s.ldb());
      return [=] {
        gemm_packed<float, float>(s.ta(), s.m, 1, x->a.data(), s.lda(), *packed, 0, x->c.data(),
                                  s.n);
        bench::keep(*x->c.data());
      };
    });
    suite.add("gemm_gelu_f32_" + s.str(), {.flops = s.flops(), .bytes = 4 * s.elements()}, [s] {
      auto x = std::make_shared<Operands<float>>(s);
      return [=] {
        x->multiply(s, {.bias = x->bias.data(), .activation = Activation::gelu});
        bench::keep(*x->c.data());
      };
    });
  }
}

// --- the table ---------------------------------------------------------------------------------

double now(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Multiply-adds that never leave the registers: 12 chains hide a latency of 4 to 6 cycles.
struct Peak {
  static constexpr std::int64_t rounds = 100'000;
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(float* out) {
    V a0(0.0F), a1(1.0F), a2(2.0F), a3(3.0F), a4(4.0F), a5(5.0F), a6(6.0F), a7(7.0F), a8(8.0F),
        a9(9.0F), a10(10.0F), a11(11.0F);
    const V x(0.999F), y(0.5F);
    for (std::int64_t i = 0; i < rounds; ++i) {
      a0 = fma(a0, x, y), a1 = fma(a1, x, y), a2 = fma(a2, x, y), a3 = fma(a3, x, y);
      a4 = fma(a4, x, y), a5 = fma(a5, x, y), a6 = fma(a6, x, y), a7 = fma(a7, x, y);
      a8 = fma(a8, x, y), a9 = fma(a9, x, y), a10 = fma(a10, x, y), a11 = fma(a11, x, y);
    }
    out[0] =
        reduce_sum(((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7)) + ((a8 + a9) + (a10 + a11)));
    out[1] = static_cast<float>(V::size);
  }
};

/// The best rates of one contestant: by the clock on the wall and by processor time.
struct Rate {
  double wall = 0, cpu = 0;

  template <class F>
  void measure(double flops, const F& f) {
    const double wall0 = now(CLOCK_MONOTONIC), cpu0 = now(CLOCK_PROCESS_CPUTIME_ID);
    f();
    wall = std::max(wall, flops / (now(CLOCK_MONOTONIC) - wall0));
    cpu = std::max(cpu, flops / (now(CLOCK_PROCESS_CPUTIME_ID) - cpu0));
  }
};

void print_table(int threads, double seconds) {
  set_num_threads(threads);
  std::printf("float, %d thread(s), %s; GFLOP/s (%% of the peak): wall time | processor time\n",
              threads, name(isa()));
  for (const Shape& s : shapes) {
    Operands<float> x(s);
    Rate peak, ours, other;
    const int calls = std::max(1, static_cast<int>(3e8 / s.flops()));
    const double start = now(CLOCK_MONOTONIC);
    for (int i = 0; i < 3 || now(CLOCK_MONOTONIC) - start < seconds; ++i) {
      std::array<float, 2> sink{};
      simd_dispatch<Peak, float>(sink.data());
      const double peak_flops =
          2.0 * 12 * static_cast<double>(Peak::rounds * std::int64_t(sink[1]));
      peak.measure(peak_flops, [&] { simd_dispatch<Peak, float>(sink.data()); });
      bench::keep(sink);
      ours.measure(s.flops() * calls, [&] {
        for (int call = 0; call < calls; ++call) x.multiply(s);
      });
#ifdef TANDEM_BENCH_OPENBLAS
      const auto blas = [](Trans t) { return t == Trans::no ? CblasNoTrans : CblasTrans; };
      const auto narrow = [](std::int64_t size) { return static_cast<blasint>(size); };
      openblas_set_num_threads(threads);
      other.measure(s.flops() * calls, [&] {
        for (int call = 0; call < calls; ++call) {
          cblas_sgemm(CblasRowMajor, blas(s.ta()), blas(s.tb()), narrow(s.m), narrow(s.n),
                      narrow(s.k), 1, x.a.data(), narrow(s.lda()), x.b.data(), narrow(s.ldb()), 0,
                      x.c.data(), narrow(s.n));
        }
      });
#endif
    }
    const auto show = [&](const char* who, const Rate& rate) {
      std::printf("  %s %6.1f (%5.1f%%) | %6.1f (%5.1f%%)", who, rate.wall * 1e-9,
                  100 * rate.wall / (peak.cpu * threads), rate.cpu * 1e-9,
                  100 * rate.cpu / peak.cpu);
    };
    std::printf("%-20s", s.str().c_str());
    show("tandem", ours);
    if (other.wall > 0) show(" openblas", other);
    std::printf("  peak %.1f each\n", peak.cpu * 1e-9);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--table") == 0) {
    print_table(argc > 2 ? std::atoi(argv[2]) : 1, argc > 3 ? std::atof(argv[3]) : 1.0);
    return 0;
  }
  bench::Suite suite(argc, argv);
  add_all(suite);
  return suite.run();
}
