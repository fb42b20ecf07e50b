// The products of attention's tiles against a naive reference in double: every way in which a
// factor is laid out × odd sizes × alpha and beta × cuts of the inner dimension × every instruction
// set of this machine, and AMX on emulated tiles. The tolerance is that of the matrix product
// (gemm_test.cpp).

#include "tandem/cpu/attention_product.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "shared.hpp"
#include "tandem/cpu/transpose.hpp"

using namespace tandem;
using namespace tandem::cpu;
using namespace tandem_test;
using tandem::detail::LeftTile, tandem::detail::RightTile, tandem::detail::TileProduct;

namespace {

constexpr double sentinel = 12345;

template <class T>
std::vector<T> numbers(std::int64_t count, Random& random) {
  std::vector<T> x(static_cast<std::size_t>(count));
  for (T& value : x) value = static_cast<T>(random.number());
  return x;
}

/// What a product with `product` takes x for.
template <class T>
double factor(T x, bool rounds) {
  return as_double(rounds ? static_cast<T>(static_cast<float>(bfloat16(static_cast<float>(x))))
                          : x);
}

/// A (m, k) by rows, B (k, n) by rows of pairs or as panels of its transpose.
enum class Right { across, transposed };

template <class T>
void check_product(const TileProduct<T>& product, bool rounds, std::int64_t m, std::int64_t n,
                   std::int64_t k, Right form, bool left_across, T alpha, T beta) {
  Random random(static_cast<std::uint64_t>(m * 1000003 + n * 1009 + k));
  // The product is of the inner indices from `first` on: what is before it is of no matter.
  const std::int64_t first = product.k_multiple(), all = first + k, wide = product.padded(n);
  const std::vector<T> a = numbers<T>(all * std::max(m, product.padded(m)), random);
  const std::int64_t a_ld = left_across ? product.padded(m) : all + 3;
  const std::vector<T> a_rows = left_across ? a : numbers<T>(m * a_ld, random);
  const std::vector<T> b = numbers<T>(std::max(all * wide, n * (all + 5)), random);
  const auto a_at = [&](std::int64_t i, std::int64_t l) {
    return left_across ? a_rows[static_cast<std::size_t>(l * a_ld + i)]
                       : a_rows[static_cast<std::size_t>(i * a_ld + l)];
  };
  const auto b_at = [&](std::int64_t l, std::int64_t j) {
    return form == Right::across ? b[static_cast<std::size_t>(l * wide + j)]
                                 : b[static_cast<std::size_t>(j * (all + 5) + l)];
  };
  const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count + 1); };
  // What is not written must not count, whatever it holds.
  const T nan = static_cast<T>(NAN);
  std::vector<T> a_low(size(std::max(product.along_size(m, all), product.across_size(all, a_ld))),
                       nan);
  std::vector<T> b_low(size(product.across_size(all, wide)), nan);
  LeftTile<T> left =
      left_across
          ? product.across_left(product.across(a_rows.data(), a_ld, all, m, a_low.data()), a_ld)
          : product.along(a_rows.data(), a_ld, m, all, a_low.data());
  // Panels hold whole rows, so the transposed form is used from the first inner index on.
  const std::int64_t begin = form == Right::across ? first : 0;
  left = product.inner_from(left, begin);
  std::vector<T> panels(size(product.padded(n) * product.units(all)));
  RightTile<T> right;
  if (form == Right::across) {
    right =
        product.across_right(product.across(b.data(), wide, all, wide, b_low.data()), wide, begin);
  } else {
    product.pack_transposed(b.data(), all + 5, n, all, panels.data());
    right = product.transposed(panels.data(), all);
  }
  const std::int64_t ldc = n + 2;
  std::vector<T> c = numbers<T>(m * ldc, random);
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = n; j < ldc; ++j) c[static_cast<std::size_t>(i * ldc + j)] = T(sentinel);
    for (std::int64_t j = 0; beta == 0 && j < n; ++j)
      c[static_cast<std::size_t>(i * ldc + j)] = nan;  // is not read
  }
  const std::vector<T> before = c;
  {
    const auto tiles = product.begun();
    product(m, n, all - begin, alpha, left, right, beta, c.data(), ldc);
  }
  const double u = sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;
  double worst = 0;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < ldc; ++j) {
      const double got = as_double(c[static_cast<std::size_t>(i * ldc + j)]);
      if (j >= n) {
        REQUIRE(got == sentinel);
        continue;
      }
      double sum = 0, magnitude = 0;
      for (std::int64_t l = begin; l < all; ++l) {
        const double term = factor(a_at(i, l), rounds) * factor(b_at(l, j), rounds);
        sum += term;
        magnitude += std::fabs(term);
      }
      const double old = beta == 0 ? 0 : as_double(before[static_cast<std::size_t>(i * ldc + j)]);
      const double want = as_double(alpha) * sum + as_double(beta) * old;
      const double most = static_cast<double>(all - begin + 5) * u *
                          (std::fabs(as_double(alpha)) * magnitude + std::fabs(old * beta));
      worst = std::max(worst, std::fabs(got - want) / (most + 1e-300));
      if (!(std::fabs(got - want) <= most)) {
        CAPTURE(i);
        CAPTURE(j);
        REQUIRE(got == doctest::Approx(want));
        FAIL("outside the bound by a factor of ", worst);
      }
    }
  }
  CHECK(worst <= 1);
}

template <class T>
void check_all(const TileProduct<T>& product, bool rounds) {
  struct Size {
    std::int64_t m, n, k;
  };
  for (const Size s : {Size{1, 1, 1}, Size{3, 7, 5}, Size{16, 32, 32}, Size{17, 33, 31},
                       Size{32, 64, 64}, Size{33, 31, 65}, Size{49, 70, 33}, Size{64, 40, 97}}) {
    for (const Right form : {Right::across, Right::transposed}) {
      for (const bool left_across : {false, true}) {
        if (left_across && product.in_rows()) continue;
        for (const double alpha : {1.0, 0.125, -0.7}) {
          for (const double beta : {0.0, 1.0, -0.5}) {
            INFO("m ", s.m, " n ", s.n, " k ", s.k, " alpha ", alpha, " beta ", beta, " across ",
                 left_across, " ", form == Right::across);
            check_product<T>(product, rounds, s.m, s.n, s.k, form, left_across, T(alpha), T(beta));
          }
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("attention's products: every layout, size, factor and instruction set") {
  on_each_isa([] {
    check_all(TileProduct<float>(Precision::full), false);
    check_all(TileProduct<double>(Precision::full), false);
    check_all(TileProduct<float>(Precision::bfloat16), true);
  });
}

TEST_CASE("attention's products: AMX on emulated tiles") {
  const auto kernels = gemm_detail::amx::make_emulated_kernels<Rounded>();
  check_all(TileProduct<float>(kernels), true);
}

TEST_CASE("transposing in vectors: every size") {
  on_each_isa([] {
    for (const std::int64_t rows : {0, 1, 3, 4, 8, 15, 16, 17, 33}) {
      for (const std::int64_t columns : {0, 1, 5, 8, 16, 31, 32, 50}) {
        const auto check = [&]<class T>(T) {
          Random random(7);
          const std::int64_t x_step = columns + 3, to_step = rows + 2;
          const std::vector<T> x = numbers<T>(rows * x_step + 1, random);
          std::vector<T> to(static_cast<std::size_t>(columns * to_step + 1), T(sentinel));
          simd_dispatch<TransposeRows, T>(rows, columns, x.data(), x_step, to.data(), to_step);
          for (std::int64_t j = 0; j < columns; ++j) {
            for (std::int64_t i = 0; i < to_step; ++i) {
              const T want = i < rows ? x[static_cast<std::size_t>(i * x_step + j)] : T(sentinel);
              REQUIRE(to[static_cast<std::size_t>(j * to_step + i)] == want);
            }
          }
        };
        check(float{});
        check(double{});
      }
    }
  });
}
