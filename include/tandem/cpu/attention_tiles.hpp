#pragma once
/// The pieces of fused attention (attention.hpp): small matrix products on tiles, the running
/// softmax of a tile, its backward, and which keys a query may see.

#include <cstdint>
#include <cstring>
#include <vector>

#include "tandem/cpu/attention_problem.hpp"
#include "tandem/cpu/convert.hpp"
#include "tandem/cpu/gemm_kernels.hpp"
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

/// The factors of a product on tiles as the micro kernels read them.
///   Left: element (i, l) of A is data[i·row + l·step].
///   Right: B in panels of `cols` columns, panel p at data + p·panel, its rows `step` apart; a
///   panel must be readable over its full width.
/// Indices l count packed elements, `unit` inner indices each: a float, or two bfloat16 in its
/// place.
template <class T>
struct LeftTile {
  const T* data;
  std::int64_t row, step;

  LeftTile from(std::int64_t i) const { return {data + i * row, row, step}; }
};
template <class T>
struct RightTile {
  const T* data;
  std::int64_t panel, step;
};

/// Products of tiles with GEMM's micro kernels, without GEMM's packing: attention packs what it
/// uses many times itself. With Precision::bfloat16 the factors are rounded; where the kernels
/// multiply pairs of bfloat16, two inner indices share the place of one float.
template <class T>
class TileProduct {
 public:
  explicit TileProduct(Precision precision) : unit_(1) {
    const auto& full = cpu::gemm_detail::kernels<T, T>(cpu::isa());
    micro_ = full.micro;
    rows_ = full.rows;
    cols_ = full.cols;
    pack_ = [](const T* x, std::int64_t ld, std::int64_t count, std::int64_t k, T* to) {
      cpu::gemm_detail::kernels<T, T>(cpu::isa()).pack_b_along_k(x, ld, count, k, to);
    };
    if constexpr (std::is_same_v<T, float>) {
      rounds_ = precision == Precision::bfloat16;
      if (!rounds_) return;
      const auto& rounding = rounding_kernels();
      micro_ = rounding.micro;
      rows_ = rounding.rows;
      cols_ = rounding.cols;
      unit_ = rounding.k_unit;
      pack_ = [](const float* x, std::int64_t ld, std::int64_t count, std::int64_t k, float* to) {
        rounding_kernels().pack_b_along_k(cpu::rounded(x), ld, count, k, to);
      };
    }
  }

  bool rounds() const { return rounds_; }
  std::int64_t cols() const { return cols_; }
  std::int64_t padded(std::int64_t width) const { return cpu::gemm_detail::round_up(width, cols_); }
  /// Packed elements that k inner indices take.
  std::int64_t units(std::int64_t k) const { return (k + unit_ - 1) / unit_; }
  std::int64_t unit() const { return unit_; }

  /// C (m, n) = alpha·A·B + beta·C for k inner indices.
  void operator()(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, const LeftTile<T>& a,
                  const RightTile<T>& b, T beta, T* c, std::int64_t ldc) const {
    const std::int64_t blocks = cpu::gemm_detail::ceil_div(m, rows_);
    const T* panel = b.data;
    for (std::int64_t j = 0; j < n; j += cols_, panel += b.panel) {
      const std::int64_t width = n - j < cols_ ? n - j : cols_;
      std::int64_t row = 0;
      for (std::int64_t block = 0; block < blocks; ++block) {  // heights differ by at most one
        const std::int64_t end = m * (block + 1) / blocks;
        cpu::gemm_detail::MicroArgs<T> args{};
        args.steps = units(k);
        args.a = a.data + row * a.row;
        args.a_row = a.row;
        args.a_step = a.step;
        args.b = panel;
        args.b_step = b.step;
        args.c = c + row * ldc + j;
        args.ldc = ldc;
        args.cols = width;
        args.alpha = alpha;
        args.beta = beta;
        args.prefetch = reinterpret_cast<const char*>(panel);
        micro_[end - row - 1](args);
        row = end;
      }
    }
  }

  /// x (count, width), rows `step` apart, as the panels of its transpose.
  void pack_transposed(const T* x, std::int64_t step, std::int64_t count, std::int64_t width,
                       T* panels) const {
    for (std::int64_t j = 0; j < count; j += cols_, panels += units(width) * cols_) {
      pack_(x + j * step, step, count - j < cols_ ? count - j : cols_, width, panels);
    }
  }
  /// Panel first/cols of what pack_transposed made of rows of `width`, and those after it.
  RightTile<T> transposed(const T* panels, std::int64_t width, std::int64_t first = 0) const {
    const std::int64_t panel = units(width) * cols_;
    return {panels + first / cols_ * panel, panel, cols_};
  }

  /// x (m, k), rows `ld` apart, as A; `buffer` (m·units(k)) is used when the product rounds.
  LeftTile<T> along(const T* x, std::int64_t ld, std::int64_t m, std::int64_t k, T* buffer) const {
    if (!rounds_) return {x, ld, 1};
    if constexpr (std::is_same_v<T, float>) {
      const std::int64_t row = units(k);
      for (std::int64_t i = 0; i < m; ++i) {
        if (unit_ == 1) {
          cpu::simd_dispatch<RoundRow, float>(x + i * ld, buffer + i * row, k);
          continue;
        }
        auto* to = reinterpret_cast<std::uint16_t*>(buffer + i * row);
        cpu::simd_dispatch<cpu::convert_detail::Round, float>(x + i * ld, to, k);
        if (k % 2 != 0) to[k] = 0;
      }
      return {buffer, row, 1};
    }
    return {};
  }
  /// x (k, width), rows `ld` apart, with k as the inner dimension: as A (width, k), and as B (k,
  /// width). `buffer` (units(k)·ld) is used when the product rounds.
  const T* across(const T* x, std::int64_t ld, std::int64_t k, std::int64_t width,
                  T* buffer) const {
    if (!rounds_) return x;
    if constexpr (std::is_same_v<T, float>) {
      for (std::int64_t l = 0; l < units(k); ++l) {
        const float* first = x + l * unit_ * ld;
        if (unit_ == 1) {
          cpu::simd_dispatch<RoundRow, float>(first, buffer + l * ld, width);
        } else {
          auto* to = reinterpret_cast<std::uint32_t*>(buffer + l * ld);
          const bool last = 2 * l + 1 == k;  // pairs with zeros
          cpu::simd_dispatch<RoundPairs, float>(first, last ? first : first + ld,
                                                last ? 0U : 0xFFFF0000U, to, width);
        }
      }
    }
    return buffer;
  }
  LeftTile<T> across_left(const T* x, std::int64_t ld) const { return {x, 1, ld}; }
  RightTile<T> across_right(const T* x, std::int64_t ld, std::int64_t first = 0) const {
    return {x + first / unit_ * ld, cols_, ld};
  }

 private:
  /// The kernels whose factors are rounded. AMX wants its tiles otherwise than attention lays them
  /// out, and where there is AMX, products of pairs take longer than those of rounded floats (Xeon,
  /// Emerald Rapids: 1.6 times).
  static const cpu::gemm_detail::Kernels<cpu::Rounded, float>& rounding_kernels() {
    const cpu::Isa isa = cpu::isa();
    return cpu::gemm_detail::kernels<cpu::Rounded, float>(
        isa == cpu::Isa::amx_bf16 ? cpu::Isa::avx512 : isa);
  }
  /// to[i] = x[i] rounded to bfloat16, as a float.
  struct RoundRow {
    template <class V>
    static TANDEM_ALWAYS_INLINE void run(const float* x, float* to, std::int64_t n) {
      cpu::vec_map<V>(
          n, to, [](V v) TANDEM_INLINE_LAMBDA { return cpu::from_bf16(cpu::to_bf16(v)); }, x);
    }
  };
  /// to[i] = first[i] in the lower half, second[i] & mask in the upper one, both rounded.
  struct RoundPairs {
    template <class V>
    static TANDEM_ALWAYS_INLINE void run(const float* first, const float* second,
                                         std::uint32_t mask, std::uint32_t* to, std::int64_t n) {
      using U = typename V::Uint;
      cpu::vec_map<U>(
          n, to,
          [mask](V a, V b) TANDEM_INLINE_LAMBDA {
            const U low = cpu::convert<std::uint32_t>(cpu::to_bf16(a));
            const U high = cpu::convert<std::uint32_t>(cpu::to_bf16(b));
            return low | ((high << 16) & U(mask));
          },
          first, second);
    }
  };

  void (*const* micro_)(const cpu::gemm_detail::MicroArgs<T>&);
  void (*pack_)(const T* x, std::int64_t ld, std::int64_t count, std::int64_t k, T* to);
  std::int64_t rows_, cols_, unit_;
  bool rounds_ = false;
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

/// The opposite: dense rows of x to their positions among `all` rows, zeros to the others.
template <class T>
void scatter_rows(const T* x, std::int64_t width, std::int64_t all, const RowSet& position,
                  const HeadMatrix<T>& to) {
  for (std::int64_t i = 0, next = 0; i < all; ++i) {
    if (next < position.count() && position(next) == i) {
      std::memcpy(to.row(i), x + next++ * width, static_cast<std::size_t>(width) * sizeof(T));
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
