// The matrix product against a naive reference in double: transposes × odd sizes × padded rows ×
// alpha and beta × epilogues × every instruction set of this machine, and AMX on emulated tiles.
//
// Tolerance. In floating point with unit roundoff u, a sum of k products in any order differs from
// the exact one by at most γ·Σ|a||b| with γ = (k + 2)u (Higham, Accuracy and Stability, 2nd ed.,
// section 3.1; a fused multiply-add only rounds less). Scaling by alpha and adding beta·C round
// three more times. AVX512-BF16 and AMX may round a product and its sum separately: the same bound.
// The first-order terms of the epilogue are added where it is used.

#include "tandem/cpu/gemm.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "shared.hpp"

using namespace tandem;
using namespace tandem::cpu;
using namespace tandem_test;

namespace {

constexpr double sentinel = 12345;

/// rows × cols numbers in [−1, 1], rows ld apart, sentinels between them.
template <class T>
struct Matrix {
  std::int64_t rows, cols, ld;
  std::vector<T> data;

  Matrix(std::int64_t rows_, std::int64_t cols_, std::int64_t padding, Random& random)
      : rows(rows_),
        cols(cols_),
        ld(cols_ + padding),
        data(static_cast<std::size_t>(rows * ld), T(sentinel)) {
    for (std::int64_t i = 0; i < rows; ++i) {
      T* row = data.data() + i * ld;
      for (std::int64_t j = 0; j < cols; ++j) row[j] = T(random.number());
    }
  }
  double get(std::int64_t i, std::int64_t j) const {
    return as_double(data[static_cast<std::size_t>(i * ld + j)]);
  }
  bool padding_untouched() const {
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = cols; j < ld; ++j) {
        if (get(i, j) != as_double(T(sentinel))) return false;
      }
    }
    return true;
  }
};

struct Shape {
  std::int64_t m, n, k;
};
struct Scalars {
  double alpha, beta;
};

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::gelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
  }
  return x;
}

/// Which of the public forms computes the product.
enum class Form { parallel, serial, batched, packed };

template <class In, class Out>
using Kernels = gemm_detail::Kernels<In, Out>;

/// op(X) as rows of doubles along k: what the reference multiplies, without a conversion per
/// product.
template <class T>
std::vector<double> along_k(const Matrix<T>& x, bool k_is_column) {
  const std::int64_t k = k_is_column ? x.cols : x.rows, count = k_is_column ? x.rows : x.cols;
  std::vector<double> out(static_cast<std::size_t>(count * k));
  double* to = out.data();
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t p = 0; p < k; ++p) *to++ = k_is_column ? x.get(i, p) : x.get(p, i);
  }
  return out;
}

/// Runs one product and counts the elements of C outside their error bound. With `kernels`, exactly
/// those are used (AMX on emulated tiles), otherwise those of the current instruction set. Of large
/// products every `stride`th element is looked at, a number that no panel width is a multiple of.
template <class In, class Out>
std::int64_t wrong_elements(Trans ta, Trans tb, Shape s, Scalars scalars, Form form,
                            std::uint32_t seed, const Kernels<In, Out>* kernels = nullptr,
                            Activation activation = Activation::none, bool full_epilogue = false,
                            std::int64_t stride = 1) {
  Random random(seed);
  const auto padding = [&] { return static_cast<std::int64_t>(random() % 4); };
  Matrix<In> a(ta == Trans::no ? s.m : s.k, ta == Trans::no ? s.k : s.m, padding(), random);
  Matrix<In> b(tb == Trans::no ? s.k : s.n, tb == Trans::no ? s.n : s.k, padding(), random);
  Matrix<Out> c(s.m, s.n, padding(), random), pre(s.m, s.n, padding(), random);
  Matrix<Out> residual(s.m, s.n, padding(), random), bias(1, s.n, 0, random);
  const Matrix<Out> before = c;
  const Out alpha = static_cast<Out>(scalars.alpha), beta = static_cast<Out>(scalars.beta);

  Epilogue<Out> epilogue;
  epilogue.activation = activation;
  if (full_epilogue) {
    epilogue.bias = bias.data.data();
    epilogue.pre_activation = pre.data.data();
    epilogue.ld_pre = pre.ld;
    epilogue.residual = residual.data.data();
    epilogue.ld_residual = residual.ld;
  }
  const In *pa = a.data.data(), *pb = b.data.data();
  Out* pc = c.data.data();
  if (kernels != nullptr) {
    gemm_detail::run<In, Out>({*kernels, ta, tb, s.m, s.n, s.k, alpha, pa, a.ld, pb, b.ld, beta, pc,
                               c.ld, epilogue, form == Form::parallel ? num_threads() : 1});
  } else if (form == Form::parallel) {
    gemm<In, Out>(ta, tb, s.m, s.n, s.k, alpha, pa, a.ld, pb, b.ld, beta, pc, c.ld, epilogue);
  } else if (form == Form::serial) {
    gemm_serial<In, Out>(ta, tb, s.m, s.n, s.k, alpha, pa, a.ld, pb, b.ld, beta, pc, c.ld,
                         epilogue);
  } else if (form == Form::batched) {
    gemm_batched<In, Out>(ta, tb, s.m, s.n, s.k, alpha, pa, a.ld, 0, pb, b.ld, 0, beta, pc, c.ld, 0,
                          1);
  } else {
    const PackedMatrix<In, Out> packed(tb, s.n, s.k, pb, b.ld);
    gemm_packed<In, Out>(ta, s.m, alpha, pa, a.ld, packed, beta, pc, c.ld, epilogue);
  }

  const double u = std::numeric_limits<Out>::epsilon() / 2;
  const std::vector<double> left = along_k(a, ta == Trans::no),
                            right = along_k(b, tb == Trans::yes);
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < s.m; ++i) {
    for (std::int64_t j = i % stride; j < s.n; j += stride) {
      const double *row = left.data() + i * s.k, *column = right.data() + j * s.k;
      double sum = 0, magnitude = 0;
      for (std::int64_t p = 0; p < s.k; ++p) {
        const double term = row[p] * column[p];
        sum += term;
        magnitude += std::fabs(term);
      }
      double x = as_double(alpha) * sum;
      double size = std::fabs(as_double(alpha)) * magnitude;
      if (scalars.beta != 0) {
        x += as_double(beta) * before.get(i, j);
        size += std::fabs(as_double(beta) * before.get(i, j));
      }
      double bound = (static_cast<double>(s.k) + 5) * u * size;
      if (full_epilogue) {
        x += bias.get(0, j);
        bound += u * std::fabs(x);
        wrong += !(std::fabs(pre.get(i, j) - x) <= bound);
      }
      if (activation != Activation::none) {
        // Slopes are at most 1.13. gelu is x·(½ + ½ erf) with erf off by 1.5 ulp (3u) of at most 1
        // and three more roundings, so within 8u|x|; quick_gelu, with sigmoid off by 2 ulp, as
        // well.
        bound = 1.13 * bound + 8 * u * std::fabs(x);
        x = activate(activation, x);
      }
      if (full_epilogue) {
        x += residual.get(i, j);
        bound += u * std::fabs(x);
      }
      bound *= 1 + 1e-9;  // the reference's own rounding, in double
      if constexpr (std::is_same_v<Out, double>) bound *= 2;
      wrong += !(std::fabs(c.get(i, j) - x) <= bound);
    }
  }
  wrong += !c.padding_untouched();
  wrong += !pre.padding_untouched();
  return wrong;
}

constexpr std::int64_t odd_sizes[] = {1, 2, 3, 5, 7, 13, 31, 33, 77, 197};
constexpr Trans both[] = {Trans::no, Trans::yes};
constexpr Scalars scalar_pairs[] = {{1, 0}, {1, 1}, {-0.5, 0}, {2, 0.75}, {0, 0.5}, {0, 0}};

/// A spread of shapes: all pairs would take minutes, so that each size meets several others.
std::vector<Shape> shapes() {
  std::vector<Shape> all;
  std::uint32_t state = 1;
  for (std::int64_t m : odd_sizes) {
    for (std::int64_t n : odd_sizes) {
      state = state * 1664525U + 1013904223U;
      all.push_back({m, n, odd_sizes[(state >> 16) % std::size(odd_sizes)]});
    }
  }
  for (std::int64_t k : {127, 211, 513, 1031}) {  // several k blocks, primes
    all.push_back({29, 67, k});
    all.push_back({5, 40, k});
    all.push_back({41, 3, k});
  }
  all.push_back({12, 32, 512});  // exactly one tile
  all.push_back({64, 64, 64});
  return all;
}

template <class In, class Out>
void check_all(const Kernels<In, Out>* kernels = nullptr) {
  std::uint32_t seed = 1;
  for (Trans ta : both) {
    for (Trans tb : both) {
      for (const Shape& s : shapes()) {
        const Scalars scalars = scalar_pairs[seed % std::size(scalar_pairs)];
        const Form form = kernels == nullptr ? static_cast<Form>(seed % 4) : Form::serial;
        ++seed;
        CAPTURE(static_cast<int>(ta));
        CAPTURE(static_cast<int>(tb));
        CAPTURE(s.m);
        CAPTURE(s.n);
        CAPTURE(s.k);
        CAPTURE(scalars.alpha);
        CAPTURE(scalars.beta);
        CAPTURE(static_cast<int>(form));
        REQUIRE(wrong_elements<In, Out>(ta, tb, s, scalars, form, seed, kernels) == 0);
      }
    }
  }
}

}  // namespace

TEST_CASE("gemm: float, all transposes and odd shapes") {
  on_each_isa([] { check_all<float, float>(); });
}

TEST_CASE("gemm: double, all transposes and odd shapes") {
  on_each_isa([] { check_all<double, double>(); });
}

TEST_CASE("gemm: bfloat16, all transposes and odd shapes") {
  on_each_isa([] { check_all<bfloat16, float>(); });
}

TEST_CASE("gemm: floats that are rounded on the way give the bits of bfloat16 operands") {
  on_each_isa([] {
    if (isa() > Isa::avx512_bf16) return;  // tiles add in another order than the vectors of Rounded
    std::uint32_t seed = 1;
    for (const Shape& s : {Shape{1, 1, 1}, {5, 9, 3}, {13, 33, 31}, {40, 3, 65}, {197, 96, 1100}}) {
      for (Trans ta : {Trans::no, Trans::yes}) {
        for (Trans tb : {Trans::no, Trans::yes}) {
          CAPTURE(s.m);
          Random random(++seed);
          const auto numbers = [&random](std::int64_t n) {
            std::vector<float> out(static_cast<std::size_t>(n));
            for (float& x : out) x = static_cast<float>(random.number());
            return out;
          };
          const auto narrow = [](const std::vector<float>& x) {
            std::vector<bfloat16> out;
            for (float value : x) out.push_back(static_cast<bfloat16>(value));
            return out;
          };
          std::vector<float> a = numbers(s.m * s.k), b = numbers(s.k * s.n);
          a[0] = 1.00390625F;  // halfway between two bfloat16: to the even one
          if (s.k > 2) b[1] = std::numeric_limits<float>::quiet_NaN();
          const std::int64_t lda = ta == Trans::no ? s.k : s.m, ldb = tb == Trans::no ? s.n : s.k;
          std::vector<float> c(static_cast<std::size_t>(s.m * s.n)), d = c;
          gemm<Rounded, float>(ta, tb, s.m, s.n, s.k, 1, rounded(a.data()), lda, rounded(b.data()),
                               ldb, 0, c.data(), s.n);
          const std::vector<bfloat16> a_low = narrow(a), b_low = narrow(b);
          gemm<bfloat16, float>(ta, tb, s.m, s.n, s.k, 1, a_low.data(), lda, b_low.data(), ldb, 0,
                                d.data(), s.n);
          std::int64_t different = 0, nans = 0;
          for (std::size_t i = 0; i < c.size(); ++i) {
            different += std::isnan(c[i]) ? !std::isnan(d[i]) : c[i] != d[i];
            nans += std::isnan(c[i]);
          }
          CHECK(different == 0);
          CHECK((nans > 0) == (s.k > 2));
        }
      }
    }
  });
}

TEST_CASE("gemm: AMX on emulated tiles") {
  auto kernels = gemm_detail::amx::make_emulated_kernels<bfloat16>();
  check_all<bfloat16, float>(&kernels);
#if TANDEM_X86
  if (supported_isas().back() >= Isa::avx512_bf16) {  // with the packing of the real kernels
    const auto real = gemm_detail::amx::make_kernels<bfloat16>();
    kernels.pack_a_along_k = real.pack_a_along_k;
    kernels.pack_a_across_k = real.pack_a_across_k;
    kernels.pack_b_along_k = real.pack_b_along_k;
    kernels.pack_b_across_k = real.pack_b_across_k;
    check_all<bfloat16, float>(&kernels);
  }
#endif
}

#if TANDEM_X86
TEST_CASE(
    "gemm: AMX's packing, in vectors and one by one, of bfloat16 and of floats that it rounds") {
  using namespace gemm_detail::amx;
  if (supported_isas().back() < Isa::avx512_bf16) return;
  const auto real = make_kernels<bfloat16>(), plain = make_emulated_kernels<bfloat16>();
  const auto real_rounded = make_kernels<Rounded>(),
             plain_rounded = make_emulated_kernels<Rounded>();
  Random random(77);
  for (const std::int64_t count : {1, 15, 16, 17, 31, 32}) {
    for (const std::int64_t k : {1, 2, 31, 32, 33, 64, 95}) {
      CAPTURE(count);
      CAPTURE(k);
      const std::int64_t ld = (k > width ? k : width) + 3;
      std::vector<float> x(static_cast<std::size_t>(ld * ld));
      for (float& value : x) value = static_cast<float>(random.number());
      const std::vector<bfloat16> low(x.begin(), x.end());
      const auto packed = [&](auto pack, const auto* source) {
        std::vector<std::uint16_t> to(
            static_cast<std::size_t>(gemm_detail::round_up(k, tile_k) * width), 0xABCD);
        pack(source, ld, count, k, to.data());
        return to;
      };
      const Rounded* floats = rounded(x.data());
      const auto same = [&](auto member, auto rounded_member) {
        const auto want = packed(plain.*member, low.data());
        CHECK(packed(real.*member, low.data()) == want);
        CHECK(packed(real_rounded.*rounded_member, floats) == want);
        CHECK(packed(plain_rounded.*rounded_member, floats) == want);
      };
      using Low = gemm_detail::Kernels<bfloat16, float>;
      using Wide = gemm_detail::Kernels<Rounded, float>;
      same(&Low::pack_a_along_k, &Wide::pack_a_along_k);
      same(&Low::pack_a_across_k, &Wide::pack_a_across_k);
      same(&Low::pack_b_along_k, &Wide::pack_b_along_k);
      same(&Low::pack_b_across_k, &Wide::pack_b_across_k);
    }
  }
}
#endif

TEST_CASE("gemm: emulated tiles insist on their configuration") {
  using Tiles = gemm_detail::amx::EmulatedTiles;
  Tiles::release();
  CHECK_THROWS_AS(Tiles::zero<0>(), Error);
  Tiles::configure(gemm_detail::amx::TileConfig::full());
  CHECK_NOTHROW(Tiles::zero<7>());
  Tiles::release();
}

TEST_CASE("gemm: epilogues") {
  on_each_isa([] {
    std::uint32_t seed = 1;
    for (Activation activation :
         {Activation::none, Activation::relu, Activation::gelu, Activation::quick_gelu}) {
      for (const Shape& s : {Shape{1, 1, 1},
                             {7, 5, 3},
                             {13, 77, 31},
                             {33, 197, 600},
                             {3, 40, 64},
                             {40, 3, 64},
                             {5, 33, 0}}) {
        for (bool full : {false, true}) {
          for (Form form : {Form::parallel, Form::serial, Form::packed}) {
            for (Trans tb : both) {
              CAPTURE(static_cast<int>(activation));
              CAPTURE(s.m);
              CAPTURE(s.n);
              CAPTURE(s.k);
              CAPTURE(full);
              ++seed;
              REQUIRE(wrong_elements<float, float>(Trans::no, tb, s, {1, 0}, form, seed, nullptr,
                                                   activation, full) == 0);
              REQUIRE(wrong_elements<double, double>(Trans::yes, tb, s, {2, 1}, form, seed, nullptr,
                                                     activation, full) == 0);
              REQUIRE(wrong_elements<bfloat16, float>(Trans::no, tb, s, {1, 0.5}, form, seed,
                                                      nullptr, activation, full) == 0);
            }
          }
        }
      }
    }
  });
}

TEST_CASE("gemm: beta = 0 does not read C, alpha = 0 does not read A and B") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  on_each_isa([nan] {
    for (const Shape& s : {Shape{2, 3, 4}, {40, 50, 700}, {3, 100, 30}}) {
      const auto size = [](std::int64_t rows, std::int64_t cols) {
        return static_cast<std::size_t>(rows * cols);
      };
      std::vector<float> a(size(s.m, s.k), 1), b(size(s.n, s.k), 1), c(size(s.m, s.n), nan);
      for (Trans tb : both) {
        const std::int64_t ldb = tb == Trans::no ? s.n : s.k;
        gemm<float, float>(Trans::no, tb, s.m, s.n, s.k, 1, a.data(), s.k, b.data(), ldb, 0,
                           c.data(), s.n);
        for (float x : c) REQUIRE(x == static_cast<float>(s.k));
        std::vector<float> bad_a(a.size(), nan), bad_b(b.size(), nan);
        gemm<float, float>(Trans::no, tb, s.m, s.n, s.k, 0, bad_a.data(), s.k, bad_b.data(), ldb, 2,
                           c.data(), s.n);
        for (float x : c) REQUIRE(x == 2 * static_cast<float>(s.k));
        c.assign(c.size(), nan);
      }
    }
  });
}

TEST_CASE("gemm: NaN and infinity pass through") {
  const float inf = std::numeric_limits<float>::infinity();
  on_each_isa([inf] {
    std::vector<float> a(20 * 30, 1), b(30 * 40, 1), c(20 * 40);
    a[3 * 30 + 7] = inf;
    b[7 * 40 + 39] = 0;  // inf · 0
    gemm<float, float>(Trans::no, Trans::no, 20, 40, 30, 1, a.data(), 30, b.data(), 40, 0, c.data(),
                       40, {.activation = Activation::relu});
    CHECK(c[3 * 40 + 38] == inf);
    CHECK(std::isnan(c[3 * 40 + 39]));
    CHECK(c[4 * 40 + 39] == 29);
  });
}

TEST_CASE("gemm: empty sizes") {
  float c = 3;
  gemm<float, float>(Trans::no, Trans::no, 0, 1, 1, 1, nullptr, 1, nullptr, 1, 0, nullptr, 1);
  gemm<float, float>(Trans::no, Trans::no, 1, 0, 1, 1, nullptr, 1, nullptr, 0, 0, nullptr, 0);
  CHECK(c == 3);
  gemm<float, float>(Trans::no, Trans::no, 1, 1, 0, 1, nullptr, 0, nullptr, 1, 0.5F, &c, 1);
  CHECK(c == 1.5F);
  const float bias = 4;
  gemm<float, float>(Trans::no, Trans::yes, 1, 1, 0, 1, nullptr, 0, nullptr, 0, 0, &c, 1,
                     {.bias = &bias});
  CHECK(c == 4);
  gemm_batched<float, float>(Trans::no, Trans::no, 1, 1, 1, 1, &bias, 1, 0, &bias, 1, 0, 0, &c, 1,
                             0, 0);
  CHECK(c == 4);
}

TEST_CASE("gemm: the same bits for every number of threads, in every form") {
  Random random(7);
  on_each_isa([&] {
    for (const Shape& s :
         {Shape{197, 300, 600}, {1000, 70, 130}, {20, 900, 800}, {900, 20, 800}, {9, 2100, 300}}) {
      for (Trans ta : both) {
        for (Trans tb : both) {
          Matrix<float> a(ta == Trans::no ? s.m : s.k, ta == Trans::no ? s.k : s.m, 1, random);
          Matrix<float> b(tb == Trans::no ? s.k : s.n, tb == Trans::no ? s.n : s.k, 0, random);
          Matrix<float> bias(1, s.n, 0, random), c(s.m, s.n, 0, random);
          const auto product = [&](auto&& call) {
            Matrix<float> out = c;
            call(out.data.data());
            return out.data;
          };
          const Epilogue<float> epilogue{.bias = bias.data.data(), .activation = Activation::gelu};
          const auto serial = product([&](float* out) {
            gemm_serial<float, float>(ta, tb, s.m, s.n, s.k, 1, a.data.data(), a.ld, b.data.data(),
                                      b.ld, 0.5F, out, s.n, epilogue);
          });
          for (int threads : {1, 2, 3, 4}) {
            const Threads scope(threads);
            CAPTURE(threads);
            REQUIRE(product([&](float* out) {
                      gemm<float, float>(ta, tb, s.m, s.n, s.k, 1, a.data.data(), a.ld,
                                         b.data.data(), b.ld, 0.5F, out, s.n, epilogue);
                    }) == serial);
          }
        }
      }
    }
  });
}

TEST_CASE("gemm: groups of columns and k blocks beyond the packing memory") {
  // Packed B of more than 8 MB, packed A as well: several groups, A packed block by block.
  const Threads threads(2);
  for (Trans ta : both) {
    for (Trans tb : both) {
      const Shape s{26, 2500, 3100};
      CHECK(wrong_elements<float, float>(ta, tb, s, {1, 1}, Form::parallel, 5, nullptr,
                                         Activation::none, false, 7) == 0);
    }
    CHECK(wrong_elements<float, float>(ta, Trans::no, {2800, 35, 1600}, {1, 0}, Form::parallel, 6,
                                       nullptr, Activation::none, false, 7) == 0);
  }
}

TEST_CASE("gemm_batched: strides, shared operands, threads") {
  Random random(5);
  for (int threads : {1, 3}) {
    const Threads scope(threads);
    for (std::int64_t batch : {1, 2, 30}) {
      const Shape s{17, 45, 64};
      for (bool shared_b : {false, true}) {
        Matrix<float> a(batch * s.m, s.k, 2, random),
            b((shared_b ? 1 : batch) * s.k, s.n, 3, random);
        Matrix<float> c(batch * s.m, s.n, 1, random);
        Matrix<float> expected = c;
        const std::int64_t stride_a = s.m * a.ld, stride_b = shared_b ? 0 : s.k * b.ld;
        const std::int64_t stride_c = s.m * c.ld;
        gemm_batched<float, float>(Trans::no, Trans::no, s.m, s.n, s.k, 2, a.data.data(), a.ld,
                                   stride_a, b.data.data(), b.ld, stride_b, 1, c.data.data(), c.ld,
                                   stride_c, batch);
        for (std::int64_t i = 0; i < batch; ++i) {
          gemm_serial<float, float>(
              Trans::no, Trans::no, s.m, s.n, s.k, 2, a.data.data() + i * stride_a, a.ld,
              b.data.data() + i * stride_b, b.ld, 1, expected.data.data() + i * stride_c, c.ld);
        }
        CHECK(c.data == expected.data);
      }
    }
  }
}

TEST_CASE("gemm inside a parallel region") {
  const Threads scope(3);
  Random random(9);
  const std::int64_t m = 150, n = 170, k = 190;
  Matrix<float> a(m, k, 0, random), b(n, k, 0, random), expected(m, n, 0, random);
  const auto product = [&](float* out) {
    gemm<float, float>(Trans::no, Trans::yes, m, n, k, 1, a.data.data(), k, b.data.data(), k, 0,
                       out, n);
  };
  product(expected.data.data());
  std::vector<std::vector<float>> results(7, std::vector<float>(expected.data.size()));
  parallel_chunks(7, 1, [&](std::int64_t i, std::int64_t, std::int64_t) {
    product(results[static_cast<std::size_t>(i)].data());
  });
  for (const auto& result : results) CHECK(result == expected.data);
}

TEST_CASE("PackedMatrix keeps its instruction set") {
  Random random(11);
  const std::int64_t m = 19, n = 37, k = 53;
  Matrix<float> a(m, k, 0, random), b(n, k, 0, random), c(m, n, 0, random), expected = c;
  for (Isa isa : supported_isas()) {
    const auto packed = [&] {
      const IsaScope scope(isa);
      gemm<float, float>(Trans::no, Trans::yes, m, n, k, 1, a.data.data(), k, b.data.data(), k, 0,
                         expected.data.data(), n);
      return std::make_unique<PackedMatrix<float>>(Trans::yes, n, k, b.data.data(), k);
    }();
    gemm_packed<float, float>(Trans::no, m, 1, a.data.data(), k, *packed, 0, c.data.data(), n);
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < c.data.size(); ++i) {
      wrong += !(std::fabs(c.data[i] - expected.data[i]) <= 2 * 53 * 6e-8F * 53);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("gemm refuses sizes that do not fit together") {
  float x[16] = {};
  const auto call = [&](std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t lda,
                        std::int64_t ldb, std::int64_t ldc) {
    gemm<float, float>(Trans::no, Trans::no, m, n, k, 1, x, lda, x, ldb, 0, x, ldc);
  };
  CHECK_THROWS_WITH_AS(call(2, 2, 3, 2, 2, 2), "[gemm] rows of a are 3 long, got lda = 2", Error);
  CHECK_THROWS_WITH_AS(call(2, 3, 2, 2, 2, 3), "[gemm] rows of b are 3 long, got ldb = 2", Error);
  CHECK_THROWS_WITH_AS(call(2, 3, 2, 2, 3, 2), "[gemm] rows of c are 3 long, got ldc = 2", Error);
  CHECK_THROWS_AS(call(-1, 2, 2, 2, 2, 2), Error);
}

TEST_CASE("gemm: panels cut a dimension without gaps") {
  using gemm_detail::Panels;
  for (std::int64_t size : {0, 1, 11, 12, 13, 24, 25, 197, 1000}) {
    for (const Panels& p : {Panels::even(size, 12), Panels::full(size, 12)}) {
      CHECK(p.count == (size + 11) / 12);
      CHECK(p.begin(0) == 0);
      CHECK(p.begin(p.count) == size);
      for (std::int64_t i = 0; i < p.count; ++i) {
        CHECK(p.end(i) - p.begin(i) >= 1);
        CHECK(p.end(i) - p.begin(i) <= 12);
      }
    }
  }
}
