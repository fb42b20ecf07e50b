#pragma once
/// Sums over any dimensions of a strided array: the same bits for every thread count and every
/// instruction set, with an error that hardly grows with the number of terms.
///
///   float  values are added in blocks of 1024 (64 running sums of 16 terms each), blocks in
///   double;
///   over leading dimensions, blocks of 256 rows (in 32 groups of 8) in float, blocks in double.
///   double the same, all in double.  Integers are added as std::int64_t, which wraps around.

#include <cstdint>
#include <type_traits>
#include <vector>

#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/tensor/dtype.hpp"
#include "tandem/tensor/loop.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

/// What a sum over T is: T for floating types, std::int64_t for integers and bool.
template <class T>
using SumOf = tandem::detail::sum_t<T>;

namespace detail {

/// What partial sums are kept in.
template <class T>
using PartOf = std::conditional_t<std::is_floating_point_v<T>, double, std::int64_t>;

/// A sum of integers that wraps around instead of overflowing.
template <class P>
TANDEM_ALWAYS_INLINE P plus(P a, P b) {
  if constexpr (std::is_integral_v<P>) {
    return static_cast<P>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  } else {
    return a + b;
  }
}

/// Σ x[i], i < n, dense. The vectors have 64 bytes whatever the instruction set, so the order of
/// the additions does not depend on it.
struct SumDense {
  template <class, class T>
  static TANDEM_ALWAYS_INLINE double run(const T* x, std::int64_t n) {
    using V = Vec<T, 64 / sizeof(T)>;
    constexpr std::int64_t N = V::size, block = 1024;
    double total = 0;
    for (std::int64_t begin = 0; begin < n; begin += block) {
      const std::int64_t count = n - begin < block ? n - begin : block;
      const T* p = x + begin;
      V s0(T(0)), s1(T(0)), s2(T(0)), s3(T(0));
      std::int64_t i = 0;
      for (; i + 4 * N <= count; i += 4 * N) {
        s0 += V::load(p + i);
        s1 += V::load(p + i + N);
        s2 += V::load(p + i + 2 * N);
        s3 += V::load(p + i + 3 * N);
      }
      for (; i + N <= count; i += N) s0 += V::load(p + i);
      if (i < count) s1 += V::load_partial(p + i, count - i);
      total += static_cast<double>(reduce_sum((s0 + s1) + (s2 + s3)));
    }
    return total;
  }
};

/// sums[j] += Σ_r x[r·step + j] for r < rows, j < n: eight rows are added up pairwise at a time.
struct SumRows {
  template <class, class T>
  static TANDEM_ALWAYS_INLINE void run(const T* x, std::int64_t step, std::int64_t rows, T* sums,
                                       std::int64_t n) {
    using V = Vec<T, 64 / sizeof(T)>;
    std::int64_t r = 0;
    for (; r + 8 <= rows; r += 8) {
      const T* p = x + r * step;
      for_each_vec<V>(n, [&](std::int64_t j, std::int64_t count) TANDEM_INLINE_LAMBDA {
        const T* q = p + j;
        if (count == V::size) {
          const V a =
              (V::load(q) + V::load(q + step)) + (V::load(q + 2 * step) + V::load(q + 3 * step));
          q += 4 * step;
          const V b =
              (V::load(q) + V::load(q + step)) + (V::load(q + 2 * step) + V::load(q + 3 * step));
          (V::load(sums + j) + (a + b)).store(sums + j);
        } else {
          for (std::int64_t i = 0; i < count; ++i) {
            const T* c = q + i;
            const T a = (c[0] + c[step]) + (c[2 * step] + c[3 * step]);
            c += 4 * step;
            sums[j + i] += a + ((c[0] + c[step]) + (c[2 * step] + c[3 * step]));
          }
        }
      });
    }
    for (; r < rows; ++r) {
      const T* p = x + r * step;
      vec_map<Vec<T, 64 / sizeof(T)>>(
          n, sums, [](V a, V b) TANDEM_INLINE_LAMBDA { return a + b; }, sums, p);
    }
  }
};

/// Σ x[i·step], i < n.
template <class T>
PartOf<T> sum_run(const T* x, std::int64_t n, std::int64_t step) {
  if constexpr (std::is_floating_point_v<T>) {
    if (step == 1) return simd_dispatch<SumDense, T>(x, n);
  }
  PartOf<T> lanes[4] = {};
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (int l = 0; l < 4; ++l)
      lanes[l] = plus(lanes[l], static_cast<PartOf<T>>(x[(i + l) * step]));
  }
  for (; i < n; ++i) lanes[0] = plus(lanes[0], static_cast<PartOf<T>>(x[i * step]));
  return plus(plus(lanes[0], lanes[1]), plus(lanes[2], lanes[3]));
}

/// Calls f(offset, n) for the pieces of rows that make up elements [begin, end) of the loop.
template <class F>
void for_elements(const tandem::detail::Loop<1>& loop, std::int64_t begin, std::int64_t end,
                  F&& f) {
  if (begin >= end) return;
  std::int64_t column = begin % loop.inner;
  loop.for_rows(begin / loop.inner, (end - 1) / loop.inner + 1, [&](const std::int64_t(&row)[1]) {
    const std::int64_t n = loop.inner - column < end - begin ? loop.inner - column : end - begin;
    f(row[0] + column * loop.inner_strides[0], n);
    begin += n;
    column = 0;
  });
}

}  // namespace detail

/// Sums the dimensions d of an array of `shape` and `strides` whose bit d of `summed` is set, into
/// `out`, which is dense over the remaining dimensions in their order.
///
///   sum_dims(x.shape(), x.data(), x.strides(), 0b01, out);   // (m, n) → (n,)
template <class T>
void sum_dims(const Shape& shape, const T* x, const Strides& strides, unsigned summed,
              SumOf<T>* out) {
  using Part = detail::PartOf<T>;
  Shape kept_shape, summed_shape;
  Strides kept_strides, summed_strides;
  for (int d = 0; d < shape.rank(); ++d) {
    const bool is_summed = (summed >> d & 1u) != 0;
    (is_summed ? summed_shape : kept_shape).push_back(shape[d]);
    (is_summed ? summed_strides : kept_strides).push_back(strides[d]);
  }
  // Both loops number their elements in row-major order, so that of `kept` is the index into out.
  const auto kept = tandem::detail::make_loop<1>(kept_shape, {kept_strides});
  const auto terms = tandem::detail::make_loop<1>(summed_shape, {summed_strides});
  const std::int64_t outputs = kept.rows * kept.inner, count = terms.rows * terms.inner;
  if (outputs == 0) return;
  const std::int64_t step = terms.inner_strides[0];
  constexpr std::int64_t grain = 16384;

  if constexpr (std::is_floating_point_v<T>) {
    if (kept.inner_strides[0] == 1 && kept.inner >= 8 && step != 1 && count > 0) {
      // Columns: whole rows of `kept` are added up. A task is a tile of columns and a block of
      // terms.
      constexpr std::int64_t block = 256, width = 2048;
      const std::int64_t blocks = num_chunks(count, block), tiles = num_chunks(kept.inner, width);
      std::vector<T> parts(static_cast<std::size_t>(blocks > 1 ? blocks * outputs : 0));
      const std::int64_t work =
          (kept.inner < width ? kept.inner : width) * (count < block ? count : block);
      parallel_for(
          kept.rows * tiles * blocks, work < grain ? grain / work : 1,
          [&](std::int64_t first, std::int64_t last) {
            std::int64_t row = first / blocks / tiles;
            kept.for_rows(row, (last - 1) / blocks / tiles + 1, [&](const std::int64_t(&at)[1]) {
              for (; first < last && first / blocks / tiles == row; ++first) {
                const std::int64_t b = first % blocks, from = first / blocks % tiles * width;
                const std::int64_t n = kept.inner - from < width ? kept.inner - from : width;
                T* sums = (blocks > 1 ? parts.data() + b * outputs : out) + row * kept.inner + from;
                for (std::int64_t j = 0; j < n; ++j) sums[j] = 0;
                const std::int64_t end = (b + 1) * block < count ? (b + 1) * block : count;
                detail::for_elements(terms, b * block, end, [&](std::int64_t term, std::int64_t m) {
                  simd_dispatch<detail::SumRows, T>(x + at[0] + from + term, step, m, sums, n);
                });
              }
              ++row;
            });
          });
      if (blocks == 1) return;
      parallel_for(outputs, grain / 4, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t j = first; j < last; ++j) {
          double total = 0;
          for (std::int64_t b = 0; b < blocks; ++b) {
            total += static_cast<double>(parts[static_cast<std::size_t>(b * outputs + j)]);
          }
          out[j] = static_cast<T>(total);
        }
      });
      return;
    }
  }

  // Rows: every output is a sum of its own, cut into chunks when it is long.
  constexpr std::int64_t chunk = 32768;
  const std::int64_t chunks = count > chunk ? num_chunks(count, chunk) : 1;
  std::vector<Part> parts(static_cast<std::size_t>(chunks > 1 ? chunks * outputs : 0));
  const std::int64_t work = count < chunk ? count + 1 : chunk;
  parallel_for(
      outputs * chunks, work < grain ? grain / work : 1,
      [&](std::int64_t first, std::int64_t last) {
        std::int64_t task = first;
        detail::for_elements(
            kept, first / chunks, (last - 1) / chunks + 1, [&](std::int64_t row, std::int64_t n) {
              for (std::int64_t j = 0; j < n; ++j) {
                const T* base = x + row + j * kept.inner_strides[0];
                const std::int64_t output = task / chunks;
                for (; task < last && task / chunks == output; ++task) {
                  const std::int64_t begin = task % chunks * chunk;
                  const std::int64_t end = count - begin < chunk ? count : begin + chunk;
                  Part total = 0;
                  detail::for_elements(terms, begin, end, [&](std::int64_t at, std::int64_t m) {
                    total = detail::plus(total, detail::sum_run(base + at, m, step));
                  });
                  if (chunks > 1) {
                    parts[static_cast<std::size_t>(task)] = total;
                  } else {
                    out[task] = static_cast<SumOf<T>>(total);
                  }
                }
              }
            });
      });
  for (std::int64_t j = 0; chunks > 1 && j < outputs; ++j) {
    Part total = 0;
    for (std::int64_t c = 0; c < chunks; ++c) {
      total = detail::plus(total, parts[static_cast<std::size_t>(j * chunks + c)]);
    }
    out[j] = static_cast<SumOf<T>>(total);
  }
}

}  // namespace cpu
TANDEM_NAMESPACE_END
