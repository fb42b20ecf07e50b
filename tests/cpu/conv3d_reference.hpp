#pragma once
// What convolutions are tested against: naive loops in double, and the magnitudes that bound the
// rounding errors of Winograd's tiles.

#include <cmath>
#include <cstdint>
#include <vector>

#include "shared.hpp"
#include "tandem/cpu/conv3d.hpp"

namespace tandem_test {

using namespace tandem;
using namespace tandem::cpu;

template <class T>
std::vector<T> numbers(std::int64_t count, Random& random) {
  std::vector<T> data(static_cast<std::size_t>(count));
  for (T& x : data) x = T(static_cast<Accumulator<T>>(random.number()));
  return data;
}

/// The sum at one output element and the sum of its terms' magnitudes.
struct Exact {
  double sum = 0, magnitude = 0;
};

template <class T>
std::vector<Exact> reference(const Conv3dShape& s, const std::vector<T>& x,
                             const std::vector<T>& w) {
  std::vector<double> xd(x.size()), wd(w.size());
  for (std::size_t i = 0; i < x.size(); ++i) xd[i] = as_double(x[i]);
  for (std::size_t i = 0; i < w.size(); ++i) wd[i] = as_double(w[i]);
  std::vector<Exact> y(static_cast<std::size_t>(s.n * s.out_channels * s.out_positions()));
  Exact* out = y.data();
  const double* taps = wd.data();
  for (std::int64_t n = 0; n < s.n; ++n) {
    for (std::int64_t o = 0; o < s.out_channels; ++o) {
      for (std::int64_t d = 0; d < s.out(0); ++d) {
        for (std::int64_t h = 0; h < s.out(1); ++h) {
          for (std::int64_t w0 = 0; w0 < s.out(2); ++w0, ++out) {
            for (std::int64_t c = 0; c < s.channels; ++c) {
              for (std::int64_t kd = 0; kd < s.kernel[0]; ++kd) {
                const std::int64_t id = d * s.stride[0] + kd - s.pad_front[0];
                if (id < 0 || id >= s.depth) continue;
                for (std::int64_t kh = 0; kh < s.kernel[1]; ++kh) {
                  const std::int64_t ih = h * s.stride[1] + kh - s.pad_front[1];
                  if (ih < 0 || ih >= s.height) continue;
                  for (std::int64_t kw = 0; kw < s.kernel[2]; ++kw) {
                    const std::int64_t iw = w0 * s.stride[2] + kw - s.pad_front[2];
                    if (iw < 0 || iw >= s.width) continue;
                    const double term =
                        taps[(((o * s.channels + c) * s.kernel[0] + kd) * s.kernel[1] + kh) *
                                 s.kernel[2] +
                             kw] *
                        xd[static_cast<std::size_t>(
                            (((n * s.channels + c) * s.depth + id) * s.height + ih) * s.width +
                            iw)];
                    out->sum += term;
                    out->magnitude += std::fabs(term);
                  }
                }
              }
            }
          }
        }
      }
    }
  }
  return y;
}

/// The magnitudes m above, one for each output element.
template <class Tile, class T>
std::vector<double> tile_magnitudes(const Conv3dShape& s, const std::vector<T>& x,
                                    const std::vector<T>& w) {
  constexpr int n = Tile::n, m = Tile::m, r = Tile::r;
  const auto& t = Tile::matrices;
  const std::int64_t stride = s.stride[1], k = s.channels * s.kernel[0] * stride * stride;
  const auto tile_of = [&](int size, auto get, auto coefficient) {  // |C| |get| |C|ᵀ
    std::vector<double> half(static_cast<std::size_t>(n * size)), out(n * n);
    for (int i = 0; i < n; ++i) {
      for (int b = 0; b < size; ++b) {
        for (int a = 0; a < size; ++a) {
          half[static_cast<std::size_t>(i * size + b)] += std::fabs(coefficient(i, a) * get(a, b));
        }
      }
    }
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < n; ++j) {
        for (int b = 0; b < size; ++b) {
          out[static_cast<std::size_t>(i * n + j)] +=
              half[static_cast<std::size_t>(i * size + b)] * std::fabs(coefficient(j, b));
        }
      }
    }
    return out;
  };
  std::vector<std::vector<double>> u;  // [o][k]
  for (std::int64_t o = 0; o < s.out_channels; ++o) {
    for (std::int64_t i = 0; i < k; ++i) {
      const std::int64_t phase = i % (stride * stride), plane = i / (stride * stride);  // (c, kd)
      u.push_back(tile_of(
          r,
          [&](int a, int b) {
            const std::int64_t h = a * stride + phase / stride, v = b * stride + phase % stride;
            if (h >= s.kernel[1] || v >= s.kernel[2]) return 0.0;
            const std::int64_t taps = s.kernel[1] * s.kernel[2];
            return as_double(w[static_cast<std::size_t>(
                (o * s.channels * s.kernel[0] + plane) * taps + h * s.kernel[2] + v)]);
          },
          [&](int i2, int a) { return t.g[i2][a]; }));
    }
  }
  std::vector<double> y(static_cast<std::size_t>(s.n * s.out_channels * s.out_positions()));
  for (std::int64_t sample = 0; sample < s.n; ++sample) {
    for (std::int64_t d = 0; d < s.out(0); ++d) {
      for (std::int64_t h0 = 0; h0 < s.out(1); h0 += m) {
        for (std::int64_t w0 = 0; w0 < s.out(2); w0 += m) {
          std::vector<std::vector<double>> v;  // [k]
          for (std::int64_t i = 0; i < k; ++i) {
            const std::int64_t phase = i % (stride * stride), plane = i / (stride * stride);
            const std::int64_t c = plane / s.kernel[0], kd = plane % s.kernel[0];
            const std::int64_t depth = d * s.stride[0] + kd - s.pad_front[0];
            v.push_back(tile_of(
                n,
                [&](int a, int b) {
                  const std::int64_t row = (h0 + a) * stride + phase / stride - s.pad_front[1];
                  const std::int64_t column = (w0 + b) * stride + phase % stride - s.pad_front[2];
                  if (depth < 0 || depth >= s.depth || row < 0 || row >= s.height || column < 0 ||
                      column >= s.width) {
                    return 0.0;
                  }
                  return as_double(x[static_cast<std::size_t>(
                      (((sample * s.channels + c) * s.depth + depth) * s.height + row) * s.width +
                      column)]);
                },
                [&](int i2, int a) { return t.b[i2][a]; }));
          }
          for (std::int64_t o = 0; o < s.out_channels; ++o) {
            double product[n][n] = {};
            for (std::int64_t i = 0; i < k; ++i) {
              for (int p = 0; p < n * n; ++p) {
                product[p / n][p % n] +=
                    u[static_cast<std::size_t>(o * k + i)][static_cast<std::size_t>(p)] *
                    v[static_cast<std::size_t>(i)][static_cast<std::size_t>(p)];
              }
            }
            for (std::int64_t i = 0; i < m && h0 + i < s.out(1); ++i) {
              for (std::int64_t j = 0; j < m && w0 + j < s.out(2); ++j) {
                double sum = 0;
                for (int p = 0; p < n; ++p) {
                  for (int q = 0; q < n; ++q)
                    sum += std::fabs(t.a[i][p] * t.a[j][q]) * product[p][q];
                }
                y[static_cast<std::size_t>(
                    (((sample * s.out_channels + o) * s.out(0) + d) * s.out(1) + h0 + i) *
                        s.out(2) +
                    w0 + j)] = sum;
              }
            }
          }
        }
      }
    }
  }
  return y;
}

}  // namespace tandem_test
