#pragma once
/// Short convolutions with few multiplications, F(m, r): m outputs of a filter of r taps from
/// n = m + r − 1 products instead of m·r.
///
///   y = Aᵀ [ (G g) ⊙ (Bᵀ d) ],   d: n inputs, g: r taps, y_i = Σ_k g_k d_{i+k}
///
/// One product is formed at each of n points p_j, the last of which is ∞ (Toom 1963, Cook 1966;
/// minimal by Winograd 1980, Arithmetic Complexity of Computations; for convolution layers Lavin &
/// Gray 2016, where the filter is transformed once and both transforms are applied along both axes
/// of a tile). With products over the finite points:
///
///   Aᵀ_ij = p_j^i                                last column: 1 in the last row
///   G_jk  = p_j^k / Π_{l≠j} (p_j − p_l)          last row: 1 in the last column
///   Bᵀ_j  = coefficients of Π_{l≠j} (x − p_l)    last row: of Π_l (x − p_l)
///
/// The compiler computes the matrices from the points. For the points 0, ±1 they are, up to signs,
/// those of F(2, 3) in Lavin & Gray:
///
///   Bᵀ =  1  0 −1  0    G =  1   0   0    Aᵀ =  1  1  1  0
///         0  1  1  0         ½   ½   ½          0  1 −1 −1
///         0 −1  1  0         ½  −½   ½
///         0  1  0 −1         0   0   1
///
/// Their F(4, 3) has the points 0, ±1, ±2. We take 0, ±5/8, ±3/2 and, for F(4, 4), ±3/8, ±3/4,
/// ±7/4:
/// A and B are exact in float as well, and the error on random data is about half. (They are among
/// the best of the pairs of eighths from 3/8 to 5/2.)
///
/// Points come in pairs ±p, so the rows of a pair are E + O and E − O with the even and the odd
/// half of one sum, which saves half of the work.

#include "tandem/cpu/gemm_types.hpp"
#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/transpose.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::conv3d_detail {

/// The finite points: ±pair[0], ±pair[1], …, and 0 if n is even.
template <int n>
struct ToomPoints;
template <>
struct ToomPoints<4> {
  static constexpr double pair[] = {1};
};
template <>
struct ToomPoints<6> {
  static constexpr double pair[] = {0.625, 1.5};
};
template <>
struct ToomPoints<7> {
  static constexpr double pair[] = {0.375, 0.75, 1.75};
};

/// F(m, r). Rows and columns are in the order +pair[0], −pair[0], +pair[1], …, 0 if it is a point,
/// ∞.
template <int m_, int r_>
struct Toom {
  static constexpr int m = m_, r = r_, n = m + r - 1;
  static constexpr int pairs = (n - 1) / 2;
  static constexpr bool has_zero = n % 2 == 0;

  struct Matrices {
    double a[extent(m)][extent(n)] = {}, g[extent(n)][extent(r)] = {}, b[extent(n)][extent(n)] = {};
  };

  static constexpr double point(int j) {
    return j >= 2 * pairs ? 0
           : j % 2 == 0   ? ToomPoints<n>::pair[j / 2]
                          : -ToomPoints<n>::pair[j / 2];
  }
  static constexpr Matrices make() {
    Matrices t;
    for (int j = 0; j < n; ++j) {
      const bool finite = j < n - 1;
      const double p = point(j);
      double denominator = 1;
      t.b[j][0] = 1;
      int degree = 0;
      for (int l = 0; l < n - 1; ++l) {
        if (l == j) continue;
        if (finite) denominator *= p - point(l);
        ++degree;  // times (x − p_l)
        for (int k = degree; k >= 0; --k) {
          t.b[j][k] = (k > 0 ? t.b[j][k - 1] : 0) - (k < degree ? point(l) * t.b[j][k] : 0);
        }
      }
      double power = 1;
      for (int i = 0; i < m || i < r; ++i, power *= p) {
        if (i < m) t.a[i][j] = finite ? power : i == m - 1 ? 1 : 0;
        if (i < r) t.g[j][i] = finite ? power / denominator : i == r - 1 ? 1 : 0;
      }
    }
    return t;
  }
  static constexpr Matrices matrices = make();

  /// sum += c·x without what c = 0 and c = ±1 do not need; `empty` says that sum is still nothing.
  template <class V>
  static TANDEM_ALWAYS_INLINE void add(V& sum, bool& empty, double c, V x) {
    using T = typename V::value_type;
    if (c == 0) return;
    if (empty) {
      sum = c == 1 ? x : V(static_cast<T>(c)) * x;
    } else {
      sum = c == 1 ? sum + x : c == -1 ? sum - x : fma(V(static_cast<T>(c)), x, sum);
    }
    empty = false;
  }

  /// v = Bᵀ d.
  template <class V>
  static TANDEM_ALWAYS_INLINE void input(const V (&d)[extent(n)], V (&v)[extent(n)]) {
    TANDEM_UNROLL_TILE for (int j = 0; j < n; ++j) {
      if (j < 2 * pairs && j % 2 == 1) continue;
      V half[2];
      bool empty[2] = {true, true};
      TANDEM_UNROLL_TILE for (int k = 0; k < n; ++k)
          add(half[k % 2], empty[k % 2], matrices.b[j][k], d[k]);
      if (j < 2 * pairs) {
        // The product over the other points is (x + p)·(an even or odd polynomial): its
        // coefficients for −p are those for p with alternating signs, the leading one fixed.
        constexpr int lead = n % 2;  // degree n − 2: the parity of the half that keeps its sign
        v[j] = half[lead] + half[1 - lead];
        v[j + 1] = half[lead] - half[1 - lead];
      } else {
        v[j] = empty[0] ? half[1] : empty[1] ? half[0] : half[0] + half[1];
      }
    }
  }

  /// y = Aᵀ s.
  template <class V>
  static TANDEM_ALWAYS_INLINE void output(const V (&s)[extent(n)], V (&y)[extent(m)]) {
    bool empty[extent(m)] = {};
    TANDEM_UNROLL_TILE for (int i = 0; i < m; ++i) empty[i] = true;
    TANDEM_UNROLL_TILE for (int j = 0; j < 2 * pairs; j += 2) {
      const V half[2] = {s[j] + s[j + 1], s[j] - s[j + 1]};
      TANDEM_UNROLL_TILE for (int i = 0; i < m; ++i)
          add(y[i], empty[i], matrices.a[i][j], half[i % 2]);
    }
    TANDEM_UNROLL_TILE for (int j = 2 * pairs; j < n; ++j) {
      TANDEM_UNROLL_TILE for (int i = 0; i < m; ++i) add(y[i], empty[i], matrices.a[i][j], s[j]);
    }
  }
};

}  // namespace cpu::conv3d_detail
TANDEM_NAMESPACE_END
