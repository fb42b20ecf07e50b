#pragma once
/// The matrix products of fused attention (attention.hpp), on tiles that stay in the cache.

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tandem/cpu/convert.hpp"
#include "tandem/cpu/gemm_kernels.hpp"
#include "tandem/cpu/gemm_pack.hpp"
#include "tandem/cpu/precision.hpp"
#include "tandem/cpu/simd.hpp"
#include "tandem/tensor/restore.hpp"

TANDEM_NAMESPACE_BEGIN
namespace detail {

/// The factors of a product on tiles as the micro kernels read them.
///   Left: element (i, l) of A is data[i·row + l·step].
///   Right: B in panels of `cols` columns, panel p at data + p·panel, its rows `step` apart; a
///   panel must be readable over its full width.
/// Steps count packed elements, `unit` inner indices each: a float, or two bfloat16 in its place.
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
/// multiply pairs of bfloat16, two inner indices share the place of one float, and on the tiles of
/// AMX inner indices come 32 at a time, zeros behind the last ones.
template <class T>
class TileProduct {
 public:
  explicit TileProduct(Precision precision) {
    if constexpr (std::is_same_v<T, float>) {
      if (precision == Precision::bfloat16) {
        take(cpu::gemm_detail::kernels<cpu::Rounded, float>(cpu::isa()));
        return;
      }
    }
    take(cpu::gemm_detail::kernels<T, T>(cpu::isa()));
  }
  /// With these kernels.
  template <class In>
  explicit TileProduct(const cpu::gemm_detail::Kernels<In, T>& kernels) {
    take(kernels);
  }

  /// To be held around products on this thread, as
  /// `const auto tiles = product.begun();`.
  auto begun() const {
    if (begin_ != nullptr) begin_();
    return AtExit([end = end_] {
      if (end != nullptr) end();
    });
  }

  /// The inner indices of a row of A must be neighbours: AMX.
  bool in_rows() const { return in_rows_; }
  std::int64_t cols() const { return cols_; }
  std::int64_t padded(std::int64_t width) const { return cpu::gemm_detail::round_up(width, cols_); }
  /// Packed elements that k inner indices take.
  std::int64_t units(std::int64_t k) const {
    return cpu::gemm_detail::round_up(k, k_multiple_) / unit_;
  }
  /// Inner indices may be cut here.
  std::int64_t k_multiple() const { return k_multiple_; }
  /// Rows of A may be cut anywhere; here without loss.
  std::int64_t row_multiple() const { return in_rows_ ? rows_ : 1; }
  /// Queries per tile of scores: the rows of a few micro tiles.
  std::int64_t queries() const { return in_rows_ ? 4 * rows_ : 48; }

  /// C (m, n) = alpha·A·B + beta·C for k inner indices.
  void operator()(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, const LeftTile<T>& a,
                  const RightTile<T>& b, T beta, T* c, std::int64_t ldc) const {
    using cpu::gemm_detail::Panels;
    const Panels blocks = even_rows_ ? Panels::even(m, rows_) : Panels::full(m, rows_);
    const T* panel = b.data;
    for (std::int64_t j = 0; j < n; j += cols_, panel += b.panel) {
      for (std::int64_t block = 0; block < blocks.count; ++block) {
        const std::int64_t row = blocks.begin(block), height = blocks.end(block) - row;
        micro_[height - 1]({.steps = units(k),
                            .a = a.data + row * a.row,
                            .a_row = a.row,
                            .a_step = a.step,
                            .b = panel,
                            .b_step = b.step,
                            .c = c + row * ldc + j,
                            .ldc = ldc,
                            .rows = height,
                            .cols = n - j < cols_ ? n - j : cols_,
                            .alpha = alpha,
                            .beta = beta,
                            .prefetch = reinterpret_cast<const char*>(panel),
                            .prefetch_step = 0});
      }
    }
  }

  /// x (count, width), rows `step` apart, as the panels of its transpose.
  void pack_transposed(const T* x, std::int64_t step, std::int64_t count, std::int64_t width,
                       T* panels) const {
    for (std::int64_t j = 0; j < count; j += cols_, panels += units(width) * cols_) {
      const std::int64_t columns = count - j < cols_ ? count - j : cols_;
      if constexpr (std::is_same_v<T, float>) {
        if (rounds_) {
          pack_rounded_(cpu::rounded(x + j * step), step, columns, width, panels);
          continue;
        }
      }
      pack_(x + j * step, step, columns, width, panels);
    }
  }
  /// Panel first/cols of what pack_transposed made of rows of `width`, and those after it.
  RightTile<T> transposed(const T* panels, std::int64_t width, std::int64_t first = 0) const {
    const std::int64_t panel = units(width) * cols_;
    return {panels + first / cols_ * panel, panel, cols_};
  }

  /// Elements of `buffer` in `along`.
  std::int64_t along_size(std::int64_t m, std::int64_t k) const {
    return rounds_ ? cpu::gemm_detail::round_up(m, rows_read_) * row_of(k) : 0;
  }
  /// x (m, k), rows `ld` apart, as A; `buffer` is used when the product rounds.
  LeftTile<T> along(const T* x, std::int64_t ld, std::int64_t m, std::int64_t k, T* buffer) const {
    if (!rounds_) return {x, ld, 1};
    if constexpr (std::is_same_v<T, float>) {
      const std::int64_t row = row_of(k);
      for (std::int64_t i = 0; i < m; ++i) {
        float* out = buffer + i * row;
        if (unit_ == 1) {
          cpu::simd_dispatch<RoundRow, float>(x + i * ld, out, k);
          continue;
        }
        auto* to = reinterpret_cast<std::uint16_t*>(out);
        cpu::simd_dispatch<cpu::convert_detail::Round, float>(x + i * ld, to, k);
        for (std::int64_t l = k; l < 2 * units(k); ++l) to[l] = 0;
      }
      return {buffer, row, 1};
    }
    return {};
  }
  /// The same A from inner index `first` on, a multiple of k_multiple.
  LeftTile<T> inner_from(const LeftTile<T>& a, std::int64_t first) const {
    return {a.data + first / unit_ * a.step, a.row, a.step};
  }

  /// Elements of `buffer` in `across`.
  std::int64_t across_size(std::int64_t k, std::int64_t ld) const {
    return rounds_ ? units(k) * ld : 0;
  }
  /// x (k, width), rows `ld` apart, with k as the inner dimension: as B (k, width) and, unless
  /// in_rows(), as A (width, k). `buffer` is used when the product rounds.
  const T* across(const T* x, std::int64_t ld, std::int64_t k, std::int64_t width,
                  T* buffer) const {
    if (!rounds_) return x;
    if constexpr (std::is_same_v<T, float>) {
      for (std::int64_t l = 0; l < units(k); ++l) {
        const float* first = x + l * unit_ * ld;
        if (l * unit_ >= k) {
          std::memset(buffer + l * ld, 0, static_cast<std::size_t>(width) * sizeof(float));
        } else if (unit_ == 1) {
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
  /// What `across` made; of B from inner index `first` on, a multiple of k_multiple.
  LeftTile<T> across_left(const T* x, std::int64_t ld) const { return {x, 1, ld}; }
  RightTile<T> across_right(const T* x, std::int64_t ld, std::int64_t first = 0) const {
    return {x + first / unit_ * ld, cols_, ld};
  }

 private:
  template <class In>
  void take(const cpu::gemm_detail::Kernels<In, T>& kernels) {
    in_rows_ = kernels.micro_in_rows[0] != nullptr;
    micro_ = in_rows_ ? kernels.micro_in_rows : kernels.micro;
    if constexpr (std::is_same_v<In, cpu::Rounded>) {
      rounds_ = true;
      pack_rounded_ = kernels.pack_b_along_k;
    } else {
      pack_ = kernels.pack_b_along_k;
    }
    begin_ = kernels.begin;
    end_ = kernels.end;
    rows_ = kernels.rows;
    cols_ = kernels.cols;
    unit_ = kernels.k_unit;
    k_multiple_ = kernels.k_multiple;
    rows_read_ = kernels.rows_read;
    even_rows_ = kernels.even_rows;
  }

  /// Packed elements from one row to the next in `along`. Rows that are read together must not all
  /// lie a multiple of 4 KB apart, where they would share a few places of the first-level cache.
  std::int64_t row_of(std::int64_t k) const { return units(k) + (in_rows_ ? 16 : 0); }

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
  cpu::gemm_detail::PackFunction<T> pack_ = nullptr;
  cpu::gemm_detail::PackFunction<cpu::Rounded> pack_rounded_ = nullptr;
  void (*begin_)() = nullptr;
  void (*end_)() = nullptr;
  std::int64_t rows_, cols_, unit_, k_multiple_, rows_read_;
  bool even_rows_, in_rows_, rounds_ = false;
};

}  // namespace detail
TANDEM_NAMESPACE_END
