#pragma once
/// scaled_dot_product_attention — O = softmax(s·Q·Kᵀ)·V per head, s = 1/√d.
///                                                                     [Vaswani et al. 2017, eq. 1]
///   L_i = log Σ_j e^{S_ij};   P_ij = e^{S_ij − L_i};   D_i = Σ_c dO_ic·O_ic
///   dV = Pᵀ·dO;   dS = P∘(dO·Vᵀ − D);   dQ = s·dS·K;   dK = s·dSᵀ·Q    [Dao et al. 2022, App. B.4]
///   q (…, T_q, d), k and v (…, T_k, d) → (…, T_q, d), with up to two leading dimensions (B,
///   heads). Saves q, k, v, the output and L, one number per query: no matrix of size T_q × T_k
///   exists. Under PrecisionScope(Precision::bfloat16) the products round their factors
///   (cpu/precision.hpp).
///
/// self_attention — O from the packed projections Q, K, V that a transformer layer makes.
///   dqkv = (dQ, dK, dV) as above, in the layout of qkv
///   qkv (B, T, 3·H·d): all of Q, then K, then V, each split into H heads → (B, T, H·d).  No copy.
///
///   key_mask (B, T_k) bool, true = may be seen: a masked key has weight 0 and gradient 0, and is
///   left out of the computation altogether. query_mask (B, T_q) bool, true = wanted: the others
///   give zeros, take no gradient and cost nothing. causal: query i sees keys 0 … i.
///   A query that sees no key, or only keys whose scores are −∞, gives zeros and takes no gradient.
///
///   const auto q = tensor<float>({{1, 0}, {0, 1}}), v = tensor<float>({{1, 2}, {3, 4}});
///   scaled_dot_product_attention(q, q, v, {.causal = true, .scale = 1});
///   // → [[1., 2.], [2.4621, 3.4621]]
///   const auto qkv = randn<float>({2, 5, 3 * 8}, random);   // of 2 heads of 4
///   self_attention(qkv, 2);                                 // → (2, 5, 8)
///
/// How it works on the CPU: tiles of 48 queries (128 with AMX) × 256 keys stay in the cache; each
/// tile of scores is turned into weights under a running maximum and sum, and multiplied by V at
/// once (attention_tiles.hpp). The backward recomputes the tiles. A task is one head; tiles go in a
/// fixed order: same bits for any thread count. On a GPU: kernels/attention.cu. Errors: shapes that
/// do not fit; tensors on different devices.

#include <algorithm>
#include <cstdint>
#include <tuple>

#include "tandem/cpu/attention_product.hpp"
#include "tandem/cpu/attention_tiles.hpp"
#include "tandem/cpu/dim_split.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/cpu/transpose.hpp"
#include "tandem/ops/parts/common.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

inline constexpr std::int64_t key_tile = 256;

/// [0, n) in equal tiles of at most `most`, rounded up to a multiple of `unit`.
inline std::int64_t even_tile(std::int64_t n, std::int64_t most, std::int64_t unit) {
  const std::int64_t tiles = (n + most - 1) / most;
  const std::int64_t size = tiles > 0 ? (n + tiles - 1) / tiles : 1;
  return (size + unit - 1) / unit * unit;
}

/// What one head reads and writes.
template <class T>
struct ForwardHead {
  HeadMatrix<const T> q, k, v;
  HeadMatrix<T> out;
  T* lse;
};
template <class T>
struct BackwardHead {
  HeadMatrix<const T> q, k, v, out, dout;
  const T* lse;
  HeadMatrix<T> dq, dk, dv;
};

/// Wanted queries [begin, end) of one head.
template <class T>
void attend(const AttentionProblem<T>& p, const TileProduct<T>& product, const Visible& visible,
            const ForwardHead<T>& head, std::int64_t begin, std::int64_t end) {
  const RowSet& keys = visible.keys;
  const std::int64_t n = keys.count(), d = p.width, padded = product.padded(d);
  const std::int64_t rows = even_tile(end - begin, product.queries(), product.row_multiple());
  const std::int64_t width = even_tile(n, key_tile, product.cols());
  const std::int64_t panels = product.padded(n) * product.units(d);
  T *kt, *vs, *v_low, *ks, *qs, *s, *s_low, *q_low, *acc, *m, *l;
  const TileMemory<T> memory({{&kt, panels},
                              {&vs, n * padded},
                              {&v_low, product.across_size(n, padded)},
                              {&ks, keys.masked() ? n * d : 0},
                              {&qs, rows * d},
                              {&s, rows * width},
                              {&s_low, product.along_size(rows, width)},
                              {&q_low, product.along_size(rows, d)},
                              {&acc, rows * d},
                              {&m, rows},
                              {&l, rows}});
  const auto tiles = product.begun();
  if (keys.masked()) copy_rows(head.k, n, d, ks, d, keys);
  product.pack_transposed(keys.masked() ? ks : head.k.data, keys.masked() ? d : head.k.step, n, d,
                          kt);
  copy_rows(head.v, n, d, vs, padded, keys);
  const T* const vp = product.across(vs, padded, n, padded, v_low);

  for (std::int64_t i0 = begin; i0 < end; i0 += rows) {
    const std::int64_t i1 = i0 + rows < end ? i0 + rows : end;
    const auto position = [&](std::int64_t i) { return visible.queries(i0 + i); };
    copy_rows(head.q, i1 - i0, d, qs, d, position);
    for (std::int64_t r = 0; r < rows; ++r) {
      m[r] = static_cast<T>(-__builtin_inf());
      l[r] = 0;
    }
    // Limits only grow: later tiles are all masked
    const std::int64_t last = visible.limit(i1 - 1);
    const LeftTile<T> queries = product.along(qs, d, i1 - i0, d, q_low);
    for (std::int64_t j0 = 0; j0 < last; j0 += width) {
      const std::int64_t w = last - j0 < width ? last - j0 : width;
      product(i1 - i0, w, d, p.scale, queries, product.transposed(kt, d, j0), T(0), s, width);
      cpu::simd_dispatch<SoftmaxTile, T>(i1 - i0, w, s, width, visible.limits(i0), j0, acc, d, m,
                                         l);
      product(i1 - i0, d, w, T(1), product.along(s, width, i1 - i0, w, s_low),
              product.across_right(vp, padded, j0), j0 == 0 ? T(0) : T(1), acc, d);
    }
    if (!visible.queries.masked()) {
      cpu::simd_dispatch<FinishRows, T>(i1 - i0, d, acc, m, l, head.out.row(i0), head.out.step,
                                        head.lse + i0);
      continue;
    }
    for (std::int64_t r = 0; r < i1 - i0; ++r) {
      cpu::simd_dispatch<FinishRows, T>(std::int64_t{1}, d, acc + r * d, m + r, l + r,
                                        head.out.row(position(r)), head.out.step,
                                        head.lse + position(r));
    }
  }
}

template <class T>
void attention_forward_with(const TileProduct<T>& product, const AttentionProblem<T>& p,
                            const HeadView<const T>& q, const HeadView<const T>& k,
                            const HeadView<const T>& v, const HeadView<T>& out, T* lse) {
  // Few heads: split the queries too (in fixed pieces), at the price of packing the keys again.
  const std::int64_t heads = p.batch * p.heads;
  const std::int64_t piece = heads < 16 ? 8 * product.queries() : p.queries;
  const std::int64_t pieces = p.queries > 0 ? (p.queries + piece - 1) / piece : 0;
  const std::int64_t work = (p.queries < piece ? p.queries : piece) * p.keys * p.width;
  cpu::parallel_for(heads * pieces, grain_for(work, 500'000),
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t task = begin; task < end; ++task) {
                        const std::int64_t head = task / pieces, b = head / p.heads,
                                           h = head % p.heads, first = task % pieces * piece;
                        const Visible visible(p, b);
                        const std::int64_t count = visible.queries.count();
                        const std::int64_t last = first + piece < count ? first + piece : count;
                        if (first >= last) continue;
                        attend(p, product, visible,
                               ForwardHead<T>{.q = {q, b, h},
                                              .k = {k, b, h},
                                              .v = {v, b, h},
                                              .out = {out, b, h},
                                              .lse = lse + head * p.queries},
                               first, last);
                      }
                    });
}

template <class T>
void attention_forward_on_cpu(const AttentionProblem<T>& p, const HeadView<const T>& q,
                              const HeadView<const T>& k, const HeadView<const T>& v,
                              const HeadView<T>& out, T* lse) {
  attention_forward_with(TileProduct<T>(p.precision), p, q, k, v, out, lse);
}

/// The gradients of one head.
template <class T>
void attend_backward(const AttentionProblem<T>& p, const TileProduct<T>& product,
                     const Visible& visible, const BackwardHead<T>& head) {
  const RowSet &queries = visible.queries, &keys = visible.keys;
  const std::int64_t n = keys.count(), t = queries.count(), d = p.width, padded = product.padded(d);
  const std::int64_t rows = even_tile(t, product.queries(), product.k_multiple());
  const std::int64_t width = even_tile(n, key_tile, product.cols());
  const std::int64_t panels = product.padded(n) * product.units(d);
  // dV = Pᵀ·dO and dK = dSᵀ·Q. Where A must lie in rows, dVᵀ = dOᵀ·P and dKᵀ = Qᵀ·dS: then the
  // tile just computed is the right factor, which is read as it lies. (Vector kernels, whose tiles
  // are 12 rows high, lose 5 to 15 % by that: Xeon, Emerald Rapids.) Rows are not a multiple of
  // 4 KB apart.
  const bool turned = product.in_rows();
  const std::int64_t t_step = (t + 15) / 16 * 16 + 16, n_step = (n + 15) / 16 * 16 + 16;
  const std::int64_t sums = turned ? d * n_step : n * d;
  T *kt, *vt, *ks, *vs, *qs, *gs, *qt, *gt, *dqs, *dks, *dvs, *s, *ds, *along, *shifts;
  T *k_low, *q_low, *g_low, *q_left, *g_left, *s_low;
  const std::int64_t across = turned ? product.along_size(d, t) : product.across_size(t, padded);
  const TileMemory<T> memory(
      {{&kt, panels},
       {&vt, panels},
       {&ks, n * padded},
       {&vs, n * padded},
       {&qs, t * padded},
       {&gs, t * padded},
       {&qt, turned ? d * t_step : 0},
       {&gt, turned ? d * t_step : 0},
       {&dqs, t * d},
       {&dks, sums},
       {&dvs, sums},
       {&s, rows * width},
       {&ds, rows * width},
       {&along, t},
       {&shifts, t},
       {&k_low, product.across_size(n, padded)},
       {&q_low, across},
       {&g_low, across},
       {&q_left, product.along_size(t, d)},
       {&g_left, product.along_size(t, d)},
       {&s_low, std::max(product.along_size(rows, width), product.across_size(rows, width))}});
  const auto tiles = product.begun();

  copy_rows(head.k, n, d, ks, padded, keys);
  copy_rows(head.v, n, d, vs, padded, keys);
  copy_rows(head.q, t, d, qs, padded, queries);
  copy_rows(head.dout, t, d, gs, padded, queries);
  product.pack_transposed(ks, padded, n, d, kt);
  product.pack_transposed(vs, padded, n, d, vt);
  copy_rows(head.out, t, d, dqs, d, queries);  // dqs is free until the sums begin
  cpu::simd_dispatch<RowDots, T>(t, d, static_cast<const T*>(gs), padded,
                                 static_cast<const T*>(dqs), d, along);
  for (std::int64_t i = 0; i < t * d; ++i) dqs[i] = 0;
  for (std::int64_t i = 0; i < sums; ++i) dks[i] = dvs[i] = 0;
  for (std::int64_t i = 0; i < t; ++i) shifts[i] = head.lse[queries(i)];
  const auto transpose = [](std::int64_t height, std::int64_t wide, const T* x, std::int64_t x_step,
                            T* to, std::int64_t to_step) {
    cpu::simd_dispatch<cpu::TransposeRows, T>(height, wide, x, x_step, to, to_step);
  };
  // K, Q and dO with their positions as the inner dimension, and Q and dO with their columns as it.
  struct Sides {
    LeftTile<T> turned;
    const T* across;
  };
  const auto sides = [&](const T* x, T* xt, T* low) -> Sides {
    if (!turned) return {{}, product.across(x, padded, t, padded, low)};
    transpose(t, d, x, padded, xt, t_step);
    return {product.along(xt, t_step, d, t, low), nullptr};
  };
  const T* const kp = product.across(ks, padded, n, padded, k_low);
  const Sides qp = sides(qs, qt, q_low), gp = sides(gs, gt, g_low);
  const LeftTile<T> ql = product.along(qs, padded, t, d, q_left),
                    gl = product.along(gs, padded, t, d, g_left);

  for (std::int64_t j0 = 0; j0 < n; j0 += width) {
    for (std::int64_t i0 = 0; i0 < t; i0 += rows) {
      const std::int64_t i1 = i0 + rows < t ? i0 + rows : t, m = i1 - i0;
      const std::int64_t left = visible.limit(i1 - 1) - j0, w = left < width ? left : width;
      if (w <= 0) continue;  // none of these queries sees any of these keys
      product(m, w, d, p.scale, ql.from(i0), product.transposed(kt, d, j0), T(0), s, width);
      product(m, w, d, T(1), gl.from(i0), product.transposed(vt, d, j0), T(0), ds, width);
      cpu::simd_dispatch<SoftmaxTileBackward, T>(m, w, s, ds, width, visible.limits(i0), j0,
                                                 static_cast<const T*>(shifts + i0),
                                                 static_cast<const T*>(along + i0), p.scale);
      const auto add_up = [&](const T* tile, const Sides& x, T* to) {
        const T* const xs = product.across(tile, width, m, w, s_low);
        if (turned) {
          product(d, w, m, T(1), product.inner_from(x.turned, i0), product.across_right(xs, width),
                  T(1), to + j0, n_step);
        } else {
          product(w, d, m, T(1), product.across_left(xs, width),
                  product.across_right(x.across, padded, i0), T(1), to + j0 * d, d);
        }
      };
      add_up(s, gp, dvs);
      add_up(ds, qp, dks);
      product(m, d, w, T(1), product.along(ds, width, m, w, s_low),
              product.across_right(kp, padded, j0), T(1), dqs + i0 * d, d);
    }
  }
  for (std::int64_t i = 0; i < t; ++i) {  // no gradient, also where 0·K is not 0
    for (std::int64_t c = 0; shifts[i] == static_cast<T>(-__builtin_inf()) && c < d; ++c)
      dqs[i * d + c] = 0;
  }
  scatter_rows(dqs, d, d, p.queries, queries, head.dq);
  if (turned) {  // ks and vs are free
    transpose(d, n, dks, n_step, ks, padded);
    transpose(d, n, dvs, n_step, vs, padded);
    scatter_rows(ks, padded, d, p.keys, keys, head.dk);
    scatter_rows(vs, padded, d, p.keys, keys, head.dv);
  } else {
    scatter_rows(dks, d, d, p.keys, keys, head.dk);
    scatter_rows(dvs, d, d, p.keys, keys, head.dv);
  }
}

template <class T>
void attention_backward_with(const TileProduct<T>& product, const AttentionProblem<T>& p,
                             const HeadView<const T>& q, const HeadView<const T>& k,
                             const HeadView<const T>& v, const HeadView<const T>& out,
                             const HeadView<const T>& dout, const T* lse, const HeadView<T>& dq,
                             const HeadView<T>& dk, const HeadView<T>& dv) {
  cpu::parallel_for(p.batch * p.heads, grain_for(p.queries * p.keys * p.width, 250'000),
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t head = begin; head < end; ++head) {
                        const std::int64_t b = head / p.heads, h = head % p.heads;
                        attend_backward(p, product, Visible(p, b),
                                        BackwardHead<T>{.q = {q, b, h},
                                                        .k = {k, b, h},
                                                        .v = {v, b, h},
                                                        .out = {out, b, h},
                                                        .dout = {dout, b, h},
                                                        .lse = lse + head * p.queries,
                                                        .dq = {dq, b, h},
                                                        .dk = {dk, b, h},
                                                        .dv = {dv, b, h}});
                      }
                    });
}

template <class T>
void attention_backward_on_cpu(const AttentionProblem<T>& p, const HeadView<const T>& q,
                               const HeadView<const T>& k, const HeadView<const T>& v,
                               const HeadView<const T>& out, const HeadView<const T>& dout,
                               const T* lse, const HeadView<T>& dq, const HeadView<T>& dk,
                               const HeadView<T>& dv) {
  attention_backward_with(TileProduct<T>(p.precision), p, q, k, v, out, dout, lse, dq, dk, dv);
}

/// out = softmax(s·Q·Kᵀ)·V and lse = L (batch, heads, queries), for wanted queries only.
template <class T>
inline const Kernel<void(Queue&, const AttentionProblem<T>& p, const HeadView<const T>& q,
                         const HeadView<const T>& k, const HeadView<const T>& v,
                         const HeadView<T>& out, T* lse)>
    attention_forward{"attention_forward", attention_forward_on_cpu<T>};
/// All of dq, dk and dv, given what the forward took and made. lse is −∞ where a query is
/// not wanted.
template <class T>
inline const Kernel<void(Queue&, const AttentionProblem<T>& p, const HeadView<const T>& q,
                         const HeadView<const T>& k, const HeadView<const T>& v,
                         const HeadView<const T>& out, const HeadView<const T>& dout, const T* lse,
                         const HeadView<T>& dq, const HeadView<T>& dk, const HeadView<T>& dv)>
    attention_backward{"attention_backward", attention_backward_on_cpu<T>};

/// A tensor (…, T, d) as heads; its last dimension must be contiguous.
template <class T, class P>
HeadView<P> head_view(const Tensor<T>& x, P* data) {
  const int r = x.rank();
  return {.data = data,
          .batch_step = r > 2 ? x.strides()[0] : 0,
          .head_step = r > 3 ? x.strides()[1] : 0,
          .row_step = x.strides()[r - 2]};
}

/// x itself if the elements of a row are neighbours, a dense copy otherwise.
template <class T>
Tensor<T> with_dense_rows(const Tensor<T>& x) {
  return x.size(-1) <= 1 || x.strides().back() == 1 ? x : x.contiguous();
}

/// Throws unless q (…, T_q, d), k and v (…, T_k, d) fit each other, with up to two dimensions
/// before.
template <class T>
void require_heads(const char* op, const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v) {
  const int r = q.rank();
  bool fits =
      r >= 2 && r <= 4 && k.rank() == r && k.shape() == v.shape() && q.size(-1) == k.size(-1);
  for (int dim = 0; fits && dim < r - 2; ++dim) fits = q.shape()[dim] == k.shape()[dim];
  TANDEM_CHECK(fits && q.size(-1) > 0, op, "expected q (…, T_q, d), k and v (…, T_k, d), got ",
               q.shape(), ", ", k.shape(), " and ", v.shape());
}

/// Checks and densifies a mask for (B, n) of what `of` says; undefined stays undefined.
inline Tensor<bool> checked_mask(const char* op, const char* of, const Tensor<bool>& mask,
                                 std::int64_t batch, std::int64_t n) {
  if (!mask.defined()) return mask;
  TANDEM_CHECK((mask.shape() == Shape{batch, n}), op, "the ", of, " mask has shape ", mask.shape(),
               ", expected (", batch, ", ", n, ")");
  return mask.contiguous();
}
inline const bool* data_or_null(const Tensor<bool>& mask) {
  return mask.defined() ? mask.device_data() : nullptr;
}

/// Room for the output, which is 0, and for L, which is −∞, where a query is not wanted: no one
/// writes there.
template <class T>
Tensor<T> room_for_output(const Shape& shape, Device device, const Tensor<bool>& wanted) {
  return wanted.defined() ? zeros<T>(shape, device) : Tensor<T>(shape, device);
}
template <class T>
Tensor<T> room_for_lse(const AttentionProblem<T>& p, Device device, const Tensor<bool>& wanted) {
  const Shape shape{p.batch, p.heads, p.queries};
  return wanted.defined() ? full<T>(shape, static_cast<T>(-__builtin_inf()), device)
                          : Tensor<T>(shape, device);
}

}  // namespace detail

/// What a query may see, which queries are wanted, and the scale.
struct AttentionOptions {
  Tensor<bool> key_mask = {};    ///< (B, T_k), true = may be seen; undefined: all keys
  bool causal = false;           ///< query i sees keys 0 … i only
  double scale = 0;              ///< s; 0 means 1/√d
  Tensor<bool> query_mask = {};  ///< (B, T_q), true = wanted; undefined: all queries
};

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> scaled_dot_product_attention(
    const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
    const AttentionOptions& options = {}) {
  const char* const op = "scaled_dot_product_attention";
  detail::require_defined(op, "q", q, "k", k, "v", v);
  detail::require_given_or_none(op, "key_mask", options.key_mask, "query_mask", options.query_mask);
  detail::require_same_device(op, q, k, v, options.key_mask, options.query_mask);
  detail::require_kernels(op, q, detail::attention_forward<T>, detail::attention_backward<T>);
  detail::require_heads(op, q, k, v);
  const int r = q.rank();
  const std::int64_t d = q.size(-1), batch = r > 2 ? q.shape()[0] : 1;
  const Tensor<bool> mask = detail::checked_mask(op, "key", options.key_mask, batch, k.size(-2)),
                     wanted =
                         detail::checked_mask(op, "query", options.query_mask, batch, q.size(-2));
  const double scale =
      options.scale != 0 ? options.scale : 1 / __builtin_sqrt(static_cast<double>(d));
  const detail::AttentionProblem<T> p{.batch = batch,
                                      .heads = r > 3 ? q.shape()[1] : 1,
                                      .queries = q.size(-2),
                                      .keys = k.size(-2),
                                      .width = d,
                                      .scale = static_cast<T>(scale),
                                      .causal = options.causal,
                                      .key_mask = detail::data_or_null(mask),
                                      .query_mask = detail::data_or_null(wanted),
                                      .precision = product_precision()};
  const Tensor<T> qs = detail::with_dense_rows(q.detach()),
                  ks = detail::with_dense_rows(k.detach()),
                  vs = detail::with_dense_rows(v.detach());
  const Device device = q.device();
  const Tensor<T> out = detail::room_for_output<T>(q.shape(), device, wanted),
                  lse = detail::room_for_lse(p, device, wanted);
  const auto view = [](const Tensor<T>& x) { return detail::head_view(x, x.device_data()); };
  const auto target = [](const Tensor<T>& x) {
    return detail::head_view(x, x.mutable_device_data());
  };
  detail::attention_forward<T>(device, p, view(qs), view(ks), view(vs), target(out),
                               lse.mutable_device_data());
  return autograd::record(
      op, out,
      [p, view, target, qs = autograd::save(qs), ks = autograd::save(ks), vs = autograd::save(vs),
       out = autograd::save(out), lse = autograd::save(lse), mask = autograd::save(mask),
       wanted = autograd::save(wanted)](const Tensor<T>& dy, autograd::Needs) {
        const Device where = dy.device();
        detail::AttentionProblem<T> problem = p;
        if (mask.defined()) problem.key_mask = mask.get().device_data();
        if (wanted.defined()) problem.query_mask = wanted.get().device_data();
        const Tensor<T> g = detail::with_dense_rows(dy);
        const Tensor<T> dq(qs.get().shape(), where), dk(ks.get().shape(), where),
            dv(vs.get().shape(), where);
        detail::attention_backward<T>(where, problem, view(qs.get()), view(ks.get()),
                                      view(vs.get()), view(out.get()), view(g),
                                      lse.get().device_data(), target(dq), target(dk), target(dv));
        return std::tuple(dq, dk, dv);
      },
      q, k, v);
}

template <FloatingElement T>
requires(!std::is_same_v<T, bfloat16>) Tensor<T> self_attention(
    const Tensor<T>& qkv, std::int64_t heads, const Tensor<bool>& key_mask = {},
    bool causal = false, const Tensor<bool>& query_mask = {}) {
  const char* const op = "self_attention";
  detail::require_defined(op, "qkv", qkv);
  detail::require_given_or_none(op, "key_mask", key_mask, "query_mask", query_mask);
  detail::require_same_device(op, qkv, key_mask, query_mask);
  detail::require_kernels(op, qkv, detail::attention_forward<T>, detail::attention_backward<T>);
  TANDEM_CHECK(qkv.rank() == 3 && heads >= 1 && qkv.size(2) > 0 && qkv.size(2) % (3 * heads) == 0,
               op, "expected qkv (B, T, 3·heads·d), got ", qkv.shape(), " for ", heads, " heads");
  const std::int64_t batch = qkv.size(0), t = qkv.size(1), all = qkv.size(2) / 3, d = all / heads;
  const Tensor<bool> mask = detail::checked_mask(op, "key", key_mask, batch, t),
                     wanted = detail::checked_mask(op, "query", query_mask, batch, t);
  const detail::AttentionProblem<T> p{
      .batch = batch,
      .heads = heads,
      .queries = t,
      .keys = t,
      .width = d,
      .scale = static_cast<T>(1 / __builtin_sqrt(static_cast<double>(d))),
      .causal = causal,
      .key_mask = detail::data_or_null(mask),
      .query_mask = detail::data_or_null(wanted),
      .precision = product_precision()};
  const Device device = qkv.device();
  const Tensor<T> xs = qkv.detach().contiguous(),
                  out = detail::room_for_output<T>({batch, t, all}, device, wanted),
                  lse = detail::room_for_lse(p, device, wanted);
  // The heads in rows of `row` elements, from `data` on.
  const auto heads_in = [t, d]<class P>(P* data, std::int64_t row) -> detail::HeadView<P> {
    return {.data = data, .batch_step = t * row, .head_step = d, .row_step = row};
  };
  const T* const from = xs.device_data();
  const auto q = heads_in(from, 3 * all), k = heads_in(from + all, 3 * all),
             v = heads_in(from + 2 * all, 3 * all);
  detail::attention_forward<T>(device, p, q, k, v, heads_in(out.mutable_device_data(), all),
                               lse.mutable_device_data());
  return autograd::record(
      op, out,
      [p, q, k, v, all, heads_in, xs = autograd::save(xs), out = autograd::save(out),
       lse = autograd::save(lse), mask = autograd::save(mask),
       wanted = autograd::save(wanted)](const Tensor<T>& dy, autograd::Needs) {
        const Tensor<T> g = dy.contiguous(), dx(xs.get().shape(), dy.device());
        detail::AttentionProblem<T> problem = p;
        if (mask.defined()) problem.key_mask = mask.get().device_data();
        if (wanted.defined()) problem.query_mask = wanted.get().device_data();
        T* const to = dx.mutable_device_data();
        const auto target = [&](std::int64_t part) { return heads_in(to + part * all, 3 * all); };
        detail::attention_backward<T>(dy.device(), problem, q, k, v,
                                      heads_in(out.get().device_data(), all),
                                      heads_in(g.device_data(), all), lse.get().device_data(),
                                      target(0), target(1), target(2));
        return std::tuple(dx);
      },
      qkv);
}

TANDEM_NAMESPACE_END
