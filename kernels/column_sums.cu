/// column_sums — to[j] = Σ x[i, j] over the rows: the gradient of what was broadcast over them.

#include "reduce.cuh"

namespace tandem_kernels {

template <class T>
struct Element {
  const T* x;
  std::int64_t n;
  __device__ void operator()(std::int64_t row, std::int64_t column, T (&out)[1]) const {
    out[0] = x[row * n + column];
  }
};

template <class T>
void column_sums(Queue& queue, T* to, const T* x, std::int64_t rows, std::int64_t n) {
  columns<T, 1>(queue, Element<T>{x, n}, to, rows, n);
}
TANDEM_KERNEL(column_sums, float, double);

}  // namespace tandem_kernels
