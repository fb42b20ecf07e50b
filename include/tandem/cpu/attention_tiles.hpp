#pragma once
/// The pieces of fused attention (attention.hpp) around its products (attention_product.hpp): the
/// running softmax of a tile, its backward, and which keys a query may see.

#include <cstdint>
#include <cstring>
#include <vector>

#include "tandem/cpu/attention_problem.hpp"
#include "tandem/cpu/simd.hpp"
#include "tandem/cpu/vmath.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// The (positions, width) matrix of one batch entry and head.
template <class T>
struct HeadMatrix {
  T* data;
  std::int64_t step;  // from one row to the next

  HeadMatrix(const HeadView<T>& all, std::int64_t b, std::int64_t h)
      : data(all.at(b, h)), step(all.row_step) {}
  T* row(std::int64_t i) const { return data + i * step; }
};

/// The positions where a mask is true, or all of them without a mask.
class RowSet {
 public:
  RowSet(const bool* mask, std::int64_t n) : count_(n), masked_(mask != nullptr) {
    if (!masked_) return;
    for (std::int64_t i = 0; i < n; ++i) {
      if (mask[i]) at_.push_back(i);
    }
    count_ = static_cast<std::int64_t>(at_.size());
  }
  std::int64_t count() const { return count_; }
  bool masked() const { return masked_; }
  std::int64_t operator()(std::int64_t i) const {
    return masked_ ? at_[static_cast<std::size_t>(i)] : i;
  }

 private:
  std::int64_t count_;
  bool masked_;
  std::vector<std::int64_t> at_;
};

/// The queries and keys of one batch entry that take part, and how many of the keys each query
/// sees:
/// the i-th wanted query sees the first limit(i) ones. Masked keys and unwanted queries are left
/// out when rows are packed, so no tile knows of masks.
class Visible {
 public:
  template <class T>
  Visible(const AttentionProblem<T>& p, std::int64_t b)
      : queries(p.query_mask == nullptr ? nullptr : p.query_mask + b * p.queries, p.queries),
        keys(p.key_mask == nullptr ? nullptr : p.key_mask + b * p.keys, p.keys) {
    if (!p.causal) return;
    limits_.resize(static_cast<std::size_t>(queries.count()));
    std::int64_t seen = 0;
    for (std::int64_t i = 0; i < queries.count(); ++i) {
      while (seen < keys.count() && keys(seen) <= queries(i)) ++seen;
      limits_[static_cast<std::size_t>(i)] = seen;
    }
  }
  std::int64_t limit(std::int64_t query) const {
    return limits_.empty() ? keys.count() : limits_[static_cast<std::size_t>(query)];
  }
  /// limit(query), limit(query + 1), …; null when every query sees all.
  const std::int64_t* limits(std::int64_t query) const {
    return limits_.empty() ? nullptr : limits_.data() + query;
  }

  const RowSet queries, keys;

 private:
  std::vector<std::int64_t> limits_;
};

/// Rows of x to dense rows `to_step` apart, the rest of each filled with zeros.
template <class T, class Position>
void copy_rows(const HeadMatrix<const T>& x, std::int64_t count, std::int64_t width, T* to,
               std::int64_t to_step, const Position& position) {
  for (std::int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * to_step, x.row(position(i)), static_cast<std::size_t>(width) * sizeof(T));
    for (std::int64_t c = width; c < to_step; ++c) to[i * to_step + c] = 0;
  }
}

/// The opposite: rows of x, `step` apart, to their positions among `all` rows, zeros to the others.
template <class T>
void scatter_rows(const T* x, std::int64_t step, std::int64_t width, std::int64_t all,
                  const RowSet& position, const HeadMatrix<T>& to) {
  for (std::int64_t i = 0, next = 0; i < all; ++i) {
    if (next < position.count() && position(next) == i) {
      std::memcpy(to.row(i), x + next++ * step, static_cast<std::size_t>(width) * sizeof(T));
    } else {
      for (std::int64_t c = 0; c < width; ++c) to.row(i)[c] = 0;
    }
  }
}

/// Memory of one task, in pieces of whole cache lines, one behind the other.
///   T *rows, *sums;
///   const TileMemory<T> memory({{&rows, n * d}, {&sums, n}});
template <class T>
class TileMemory {
 public:
  struct Piece {
    T** start;  // set to where its `size` elements begin
    std::int64_t size;
  };
  explicit TileMemory(std::initializer_list<Piece> pieces) {
    std::int64_t total = 0;
    for (const Piece& piece : pieces) total += rounded(piece.size);
    memory_ = Tensor<T>(Shape{total});
    T* next = memory_.mutable_data();
    for (const Piece& piece : pieces) {
      *piece.start = next;
      next += rounded(piece.size);
    }
  }

 private:
  static std::int64_t rounded(std::int64_t size) { return (size + 63) / 64 * 64; }
  Tensor<T> memory_;
};

/// How many of the `width` keys from `first` on a row with this limit sees.
TANDEM_ALWAYS_INLINE std::int64_t seen(const std::int64_t* limits, std::int64_t row,
                                       std::int64_t first, std::int64_t width) {
  if (limits == nullptr) return width;
  const std::int64_t left = limits[row] - first;
  return left < 0 ? 0 : left < width ? left : width;
}

/// The running softmax on a tile of scores, row by row:
///   m′ = max(m, max s);  s ← e^{s − m′};  l ← l·e^{m − m′} + Σ s;  acc ← acc·e^{m − m′}
struct SoftmaxTile {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t rows, std::int64_t width, T* s,
                                       std::int64_t s_step, const std::int64_t* limits,
                                       std::int64_t first_key, T* acc, std::int64_t acc_width, T* m,
                                       T* l) {
    constexpr std::int64_t N = V::size;
    const T none = static_cast<T>(-__builtin_inf());
    for (std::int64_t r = 0; r < rows; ++r, s += s_step, acc += acc_width) {
      const std::int64_t count = seen(limits, r, first_key, width);
      for (std::int64_t c = count; c < width; ++c) s[c] = 0;
      if (count == 0) continue;
      T largest = cpu::row_max<V>(s, count);
      if (m[r] > largest || m[r] != m[r]) largest = m[r];
      if (largest == none) {  // scores of −∞ are as good as not seen (e^{−∞} of no sum)
        for (std::int64_t c = 0; c < count; ++c) s[c] = 0;
        continue;
      }
      const V by(largest);
      V sum0(T(0)), sum1(T(0));
      std::int64_t c = 0;
      for (; c + 2 * N <= count; c += 2 * N) {
        const V e0 = cpu::exp_normal(V::load(s + c) - by),
                e1 = cpu::exp_normal(V::load(s + c + N) - by);
        e0.store(s + c);
        e1.store(s + c + N);
        sum0 += e0;
        sum1 += e1;
      }
      for (; c < count; c += N) {
        const std::int64_t part = count - c < N ? count - c : N;
        const V e = cpu::exp_normal(V::load_partial(s + c, part) - by);
        e.store_partial(s + c, part);
        sum0 += cpu::select(cpu::Mask<T, V::size>::first(part), e, V(T(0)));
      }
      const T sum = cpu::reduce_sum(sum0 + sum1);
      if (m[r] == none) {  // nothing was seen before
        l[r] = sum;
      } else if (m[r] == largest) {
        l[r] += sum;
      } else {
        const V factor = cpu::exp_normal(V(m[r] - largest));
        l[r] = l[r] * factor[0] + sum;
        cpu::vec_map<V>(
            acc_width, acc, [factor](V x) TANDEM_INLINE_LAMBDA { return x * factor; }, acc);
      }
      m[r] = largest;
    }
  }
};

/// The end of the running softmax: out = acc/l and lse = m + log l; 0 and −∞ where nothing was
/// seen.
struct FinishRows {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t rows, std::int64_t width, const T* acc,
                                       const T* m, const T* l, T* out, std::int64_t out_step,
                                       T* lse) {
    for (std::int64_t r = 0; r < rows; ++r, acc += width, out += out_step) {
      const bool empty = l[r] == 0;
      lse[r] = empty ? static_cast<T>(-__builtin_inf())
                     : m[r] + static_cast<T>(__builtin_log(static_cast<double>(l[r])));
      const V scale(empty ? T(0) : 1 / l[r]);
      const auto scaled = [scale](V x) TANDEM_INLINE_LAMBDA { return x * scale; };
      if (empty) {
        for (std::int64_t c = 0; c < width; ++c) out[c] = 0;
      } else {
        cpu::vec_map<V>(width, out, scaled, acc);
      }
    }
  }
};

/// d_i = Σ dO∘O per row.
struct RowDots {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t rows, std::int64_t width, const T* a,
                                       std::int64_t a_step, const T* b, std::int64_t b_step, T* d) {
    for (std::int64_t r = 0; r < rows; ++r) {
      d[r] = cpu::row_dot<V>(a + r * a_step, b + r * b_step, width);
    }
  }
};

/// s ← p = e^{s − lse};  dp ← scale·p·(dp − d)
struct SoftmaxTileBackward {
  template <class V, class T>
  static TANDEM_ALWAYS_INLINE void run(std::int64_t rows, std::int64_t width, T* s, T* dp,
                                       std::int64_t step, const std::int64_t* limits,
                                       std::int64_t first_key, const T* lse, const T* d, T scale) {
    constexpr std::int64_t N = V::size;
    const V factor(scale);
    for (std::int64_t r = 0; r < rows; ++r, s += step, dp += step) {
      const bool empty = lse[r] == static_cast<T>(-__builtin_inf());
      const std::int64_t count = empty ? 0 : seen(limits, r, first_key, width);
      const V shift(lse[r]), along(d[r]);
      std::int64_t c = 0;
      for (; c + N <= count; c += N) {
        const V p = cpu::exp_normal(V::load(s + c) - shift);
        p.store(s + c);
        (p * (V::load(dp + c) - along) * factor).store(dp + c);
      }
      if (c < count) {
        const std::int64_t part = count - c;
        const V p = cpu::exp_normal(V::load_partial(s + c, part) - shift);
        p.store_partial(s + c, part);
        (p * (V::load_partial(dp + c, part) - along) * factor).store_partial(dp + c, part);
      }
      for (c = count; c < width; ++c) s[c] = dp[c] = 0;
    }
  }
};

}  // namespace detail
TANDEM_NAMESPACE_END
