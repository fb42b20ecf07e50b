#pragma once
/// matmul — C = A·B over the last two dimensions, NumPy's rules for the rest.
///   dA = dC·Bᵀ,   dB = Aᵀ·dC,   each summed over the batch dimensions in which it was broadcast
///   a (…, m, k), b (…, k, n) → (…, m, n), batch dimensions broadcast; a (k) is one row, b (k) one
///   column, and that dimension is dropped from the result.  Saves a and b.
///   bfloat16 inputs are multiplied exactly and added up in float: the result is float.
///
///   const auto a = tensor<float>({{1, 2}, {3, 4}});
///   matmul(a, tensor<float>({{1}, {10}}));                  // → [[21.], [43.]]
///   matmul(a, a.transpose(-1, -2));                         // → [[5., 11.], [11., 25.]]   no copy
///   matmul(ones<float>({8, 1, 3, 4}), ones<float>({5, 4, 2}));   // → (8, 5, 3, 2)
///
/// Errors: inner dimensions differ, batch dimensions do not broadcast, a scalar.

#include <cstdint>
#include <tuple>
#include <type_traits>

#include "tandem/cpu/gemm.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// How GEMM may read a matrix of `rows` × `cols` with these strides; `copy` when it cannot.
struct MatrixLayout {
  cpu::Trans trans = cpu::Trans::no;
  std::int64_t ld = 1;
  bool copy = false;
};

inline MatrixLayout matrix_layout(std::int64_t rows, std::int64_t cols, std::int64_t row_stride,
                                  std::int64_t col_stride) {
  // A dimension of size 1 has no stride to speak of.
  if (rows <= 1) row_stride = cols > 1 ? col_stride * cols : 1;
  if (cols <= 1) col_stride = 1;
  if ((col_stride == 1 || cols <= 1) && row_stride >= (cols > 1 ? cols : 1)) {
    return {cpu::Trans::no, row_stride, false};
  }
  if ((row_stride == 1 || rows <= 1) && col_stride >= (rows > 1 ? rows : 1)) {
    return {cpu::Trans::yes, col_stride, false};
  }
  return {cpu::Trans::no, cols > 1 ? cols : 1, true};
}

/// The matrices of a batch as GEMM reads them: `x` itself, or a dense copy when it must be.
template <class T>
struct MatrixBatch {
  explicit MatrixBatch(const Tensor<T>& given) : x(given) {
    const int d = x.rank();
    layout =
        matrix_layout(x.shape()[d - 2], x.shape()[d - 1], x.strides()[d - 2], x.strides()[d - 1]);
    if (layout.copy) x = x.contiguous();
    shape = x.shape();
    strides = x.strides();
    for (Shape* list : {&shape, &strides}) {
      list->erase(d - 1);
      list->erase(d - 2);
    }
  }
  Tensor<T> x;
  MatrixLayout layout;
  Shape shape;      // of the batch dimensions
  Strides strides;  // of the batch dimensions
};

template <class In, class Out>
void matmul_on_cpu(cpu::Trans ta, cpu::Trans tb, std::int64_t m, std::int64_t n, std::int64_t k,
                   const In* a, std::int64_t lda, std::int64_t stride_a, const In* b,
                   std::int64_t ldb, std::int64_t stride_b, Out* c, std::int64_t ldc,
                   std::int64_t stride_c, std::int64_t batch) {
  cpu::gemm_batched<In, Out>(ta, tb, m, n, k, Out(1), a, lda, stride_a, b, ldb, stride_b, Out(0), c,
                             ldc, stride_c, batch);
}

/// C = op(A)·op(B) for `batch` matrices a stride apart: C (m, n), the inner dimension k.
template <class In, class Out>
inline const Kernel<void(Queue&, cpu::Trans ta, cpu::Trans tb, std::int64_t m, std::int64_t n,
                         std::int64_t k, const In* a, std::int64_t lda, std::int64_t stride_a,
                         const In* b, std::int64_t ldb, std::int64_t stride_b, Out* c,
                         std::int64_t ldc, std::int64_t stride_c, std::int64_t batch)>
    matmul_kernel{"matmul", matmul_on_cpu<In, Out>};

/// The product itself, for tensors of at least two dimensions; records nothing.
template <class In, class Out>
Tensor<Out> matrix_product(const char* op, const Tensor<In>& a, const Tensor<In>& b) {
  require_kernels(op, a, matmul_kernel<In, Out>);
  const MatrixBatch<In> left(a.detach()), right(b.detach());
  const std::int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  const Shape batch = broadcast_shapes(op, left.shape, right.shape);
  Shape shape = batch;
  shape.push_back(m);
  shape.push_back(n);
  Tensor<Out> c(shape, a.device());
  Strides to = contiguous_strides(batch);
  for (int d = 0; d < to.rank(); ++d) to[d] *= m * n;
  const Loop<3> loop = make_loop<3>(batch, {to, broadcast_strides(left.shape, left.strides, batch),
                                            broadcast_strides(right.shape, right.strides, batch)});
  const In *pa = left.x.device_data(), *pb = right.x.device_data();
  Out* pc = c.mutable_device_data();
  loop.for_rows(0, loop.rows, [&](const std::int64_t(&at)[3]) {
    matmul_kernel<In, Out>(a.device(), left.layout.trans, right.layout.trans, m, n, k, pa + at[1],
                           left.layout.ld, loop.inner_strides[1], pb + at[2], right.layout.ld,
                           loop.inner_strides[2], pc + at[0], n, loop.inner_strides[0], loop.inner);
  });
  return c;
}

/// What a product of T adds up in.
template <class T>
using product_t = compute_t<T>;

}  // namespace detail

template <FloatingElement T>
Tensor<detail::product_t<T>> matmul(const Tensor<T>& a, const Tensor<T>& b) {
  using Out = detail::product_t<T>;
  const char* const op = "matmul";
  detail::require_defined(op, "a", a, "b", b);
  TANDEM_CHECK(a.rank() > 0 && b.rank() > 0, op, "inputs must have at least one dimension: a is ",
               a.shape(), ", b is ", b.shape());
  detail::require_same_device(op, a, b);
  TANDEM_CHECK(a.size(-1) == b.size(b.rank() > 1 ? -2 : 0), op, "inner dimensions differ: a is ",
               a.shape(), ", b is ", b.shape());
  if (a.rank() == 1) return matmul(a.unsqueeze(0), b).squeeze(b.rank() == 1 ? 0 : -2);
  if (b.rank() == 1) return matmul(a, b.unsqueeze(1)).squeeze(-1);
  if (a.rank() > 2 && b.rank() == 2) {  // one tall product instead of a batch of small ones
    Shape shape = a.shape();
    shape[a.rank() - 1] = b.size(1);
    std::int64_t rows = 1;
    for (int d = 0; d + 1 < a.rank(); ++d) rows *= a.shape()[d];
    return matmul(a.reshape({rows, a.size(-1)}), b).reshape(shape);
  }
  return autograd::record(
      op, detail::matrix_product<T, Out>(op, a, b),
      [op, a = autograd::save(a), b = autograd::save(b)](const Tensor<Out>& dc,
                                                         autograd::Needs need) {
        const Tensor<Out> left = detail::converted<Out>(a.get()),
                          right = detail::converted<Out>(b.get());
        Tensor<T> da, db;
        if (need[0]) {
          da = detail::converted<T>(autograd::sum_to_shape(
              detail::matrix_product<Out, Out>(op, dc, right.transpose(-1, -2)), left.shape()));
        }
        if (need[1]) {
          db = detail::converted<T>(autograd::sum_to_shape(
              detail::matrix_product<Out, Out>(op, left.transpose(-1, -2), dc), right.shape()));
        }
        return std::tuple(da, db);
      },
      a, b);
}
TANDEM_ONE_TYPE_ONLY(matmul)

TANDEM_NAMESPACE_END
