#pragma once
/// Σ over the rows of a dense matrix: the gradient of a bias.

#include <cstdint>

#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/cuda/kernel.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// to[j] = Σ x[i, j] over the given rows, in their order; x has rows `cols` apart.
struct AddRows {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(const T* x, std::int64_t rows, std::int64_t cols, T* to) {
    constexpr std::int64_t N = V::size;
    std::int64_t j = 0;
    for (; j + 4 * N <= cols; j += 4 * N) {
      V s0(T(0)), s1(T(0)), s2(T(0)), s3(T(0));
      const T* p = x + j;
      for (std::int64_t i = 0; i < rows; ++i, p += cols) {
        s0 += V::load(p);
        s1 += V::load(p + N);
        s2 += V::load(p + 2 * N);
        s3 += V::load(p + 3 * N);
      }
      s0.store(to + j);
      s1.store(to + j + N);
      s2.store(to + j + 2 * N);
      s3.store(to + j + 3 * N);
    }
    for (; j < cols; j += N) {
      const std::int64_t count = cols - j < N ? cols - j : N;
      V sum(T(0));
      for (std::int64_t i = 0; i < rows; ++i) sum += V::load_partial(x + i * cols + j, count);
      sum.store_partial(to + j, count);
    }
  }
};

template <class T>
void column_sums_on_cpu(T* to, const T* x, std::int64_t rows, std::int64_t cols) {
  constexpr std::int64_t block = 128;
  const std::int64_t blocks = cpu::num_chunks(rows, block);
  if (blocks <= 1) {
    cpu::simd_dispatch<AddRows, T>(x, rows, cols, to);
    return;
  }
  const Tensor<T> parts({blocks, cols});
  T* part = parts.mutable_data();
  cpu::parallel_chunks(rows, block, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    cpu::simd_dispatch<AddRows, T>(x + begin * cols, end - begin, cols, part + i * cols);
  });
  cpu::simd_dispatch<AddRows, T>(parts.data(), blocks, cols, to);
}

template <class T>
inline const Kernel<void(Queue&, T* to, const T* x, std::int64_t rows, std::int64_t cols)>
    column_sums_kernel{"column_sums", column_sums_on_cpu<T>};

/// Σ over the rows of x (rows, cols), dense. Blocks of 128 rows are added up first and then the
/// blocks in their order: same bits for any thread count, and a rounding error of about (128 +
/// rows/128)·ε.
template <class T>
Tensor<T> column_sums(const Tensor<T>& x) {
  const Tensor<T> sums({x.size(1)}, x.device());
  column_sums_kernel<T>(x.device(), sums.mutable_device_data(), x.device_data(), x.size(0),
                        x.size(1));
  return sums;
}

}  // namespace detail
TANDEM_NAMESPACE_END
