#pragma once
/// The loops around the micro kernels: what is packed when, what stays in which cache, and how
/// threads share the work.
///
///   for each group of columns and inner indices whose packed B is at most 8 MB   (third level)
///     pack B, and A too if that also fits               all threads
///     for each block of ≤ 16 row panels                 threads take blocks, larger ones first
///       for each k block of ≤ 512                       pack the block of A if it is not yet
///         for each column panel                         32 × 512 of B pass through the first level
///           for each row panel                          A block stays in the second level
///             micro kernel: C tile (12 × 32) += A panel · B panel
///
/// With few rows (≤ 32 panels) B is not packed ahead: each column panel is packed by the thread
/// that needs it, just before. Small or hardly reused operands are read in place, and products with
/// a side of at most 24 (AMX: 4) along two contiguous inner dimensions are dot products (dot_gemm).
///
/// An element of C is a sum over k blocks in increasing order, each the result of one micro kernel
/// that adds in increasing order (or one dot kernel's sum over all of k). Neither depends on the
/// tile's height or place or on the thread that computes it, so the bits are the same for every
/// number of threads.

#include <atomic>

#include "tandem/cpu/gemm_kernels.hpp"
#include "tandem/cpu/gemm_pack.hpp"
#include "tandem/cpu/threads.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::gemm_detail {

inline constexpr std::int64_t shared_bytes = std::int64_t{8} << 20;  // of packed A and of packed B
inline constexpr std::int64_t block_panels = 16;                     // row panels per block
inline constexpr std::int64_t in_place_size =
    8192;                                          // elements of B: one first-level cache of floats
inline constexpr double flops_per_thread = 1.5e6;  // below, a thread is not worth waking

/// How many threads `flops` operations are worth.
inline int useful_threads(double flops) {
  if (flops < 2 * flops_per_thread || in_parallel_region()) return 1;
  const double limit = flops / flops_per_thread;
  const int threads = num_threads();
  return limit < threads ? static_cast<int>(limit) : threads;
}

/// Calls f(begin, end) on pieces of [0, units) until all are done. Threads help themselves to half
/// of their share of what is left, so the pieces get smaller towards the end and all threads finish
/// at about the same time, also when one of them was interrupted.
template <class F>
void share_out(int threads, std::int64_t units, F&& f) {
  if (threads <= 1 || units <= 1) {
    for (std::int64_t u = 0; u < units; u += block_panels) {
      f(u, units - u < block_panels ? units : u + block_panels);
    }
    return;
  }
  std::atomic<std::int64_t> next{0};
  parallel_chunks(threads, 1, [&](std::int64_t, std::int64_t, std::int64_t) {
    for (std::int64_t begin = next.load(std::memory_order_relaxed); begin < units;) {
      std::int64_t take = ceil_div(units - begin, 2 * threads);
      if (take > block_panels) take = block_panels;
      if (next.compare_exchange_weak(begin, begin + take, std::memory_order_relaxed)) {
        f(begin, begin + take);
        begin = next.load(std::memory_order_relaxed);
      }
    }
  });
}

/// How the inner dimension is cut: a function of k alone.
struct KBlocks {
  std::int64_t k, length, count;

  KBlocks(std::int64_t k_total, std::int64_t longest) : k(k_total), length(0), count(1) {
    if (k == 0) return;  // one empty block: C = beta·C and the epilogue
    length = round_up(ceil_div(k, ceil_div(k, longest)), 32);
    count = ceil_div(k, length);
  }
  std::int64_t begin(std::int64_t block) const { return block * length < k ? block * length : k; }
  std::int64_t size(std::int64_t block) const { return begin(block + 1) - begin(block); }
};

/// One product. `packed_b`, if set, is all of B, packed by pack_all_b.
template <class In, class Out>
struct Problem {
  const Kernels<In, Out>& kernels;
  Trans trans_a, trans_b;
  std::int64_t m, n, k;
  Out alpha;
  const In* a;
  std::int64_t lda;
  const In* b;
  std::int64_t ldb;
  Out beta;
  Out* c;
  std::int64_t ldc;
  const Epilogue<Out>& epilogue;
  int threads;
  const std::byte* packed_b = nullptr;
};

template <class In, class Out>
PackSource<In> source_of_b(const Kernels<In, Out>& kernels, Trans trans, std::int64_t n,
                           const In* b, std::int64_t ldb) {
  const bool along_k = trans == Trans::yes;
  return {.data = b,
          .ld = ldb,
          .along_k = along_k,
          .pack = along_k ? kernels.pack_b_along_k : kernels.pack_b_across_k,
          .width = kernels.cols,
          .k_multiple = kernels.k_multiple,
          .panels = Panels::full(n, kernels.cols)};
}

template <class In, class Out>
class BlockedGemm {
 public:
  explicit BlockedGemm(const Problem<In, Out>& problem)
      : p_(problem), kernels_(problem.kernels), k_blocks_(problem.k, problem.kernels.k_block) {
    const bool a_along_k = p_.trans_a == Trans::no;
    a_ = {p_.a,
          p_.lda,
          a_along_k,
          a_along_k ? kernels_.pack_a_along_k : kernels_.pack_a_across_k,
          kernels_.rows,
          kernels_.k_multiple,
          row_panels(kernels_, p_.m)};
    b_ = source_of_b(kernels_, p_.trans_b, p_.n, p_.b, p_.ldb);
    // Packing pays by repeated use.
    const bool small = p_.k * p_.n <= in_place_size;
    read_a_in_place_ = kernels_.reads_unpacked && b_.panels.count <= 4;
    read_b_in_place_ = kernels_.reads_unpacked && p_.packed_b == nullptr && !b_.along_k &&
                       (a_.panels.count <= 3 || small);
    pack_b_late_ = p_.packed_b == nullptr && !read_b_in_place_ &&
                   a_.panels.count <= 2 * block_panels &&
                   (p_.threads == 1 || b_.panels.count >= 4 * p_.threads);
  }

  void run() {
    const std::int64_t column_bytes = packed_bytes(k_blocks_.length) * kernels_.cols;
    std::int64_t columns = b_.panels.count, k_group = k_blocks_.count;
    if (p_.packed_b == nullptr && !read_b_in_place_ && !pack_b_late_) {
      // As many columns as one k block allows, since A is packed again for each group of them, then
      // as many k blocks as those columns allow.
      const auto fit = [](std::int64_t count, std::int64_t bytes) {
        std::int64_t most = bytes > 0 ? shared_bytes / bytes : count;
        if (most < 1) most = 1;
        return count <= most ? count : ceil_div(count, ceil_div(count, most));
      };
      columns = fit(columns, column_bytes);
      k_group = fit(k_group, column_bytes * columns);
    }
    for (col0_ = 0; col0_ < b_.panels.count; col0_ = col1_) {
      col1_ = b_.panels.count - col0_ < columns ? b_.panels.count : col0_ + columns;
      for (block0_ = 0; block0_ < k_blocks_.count; block0_ = block1_) {
        block1_ = k_blocks_.count - block0_ < k_group ? k_blocks_.count : block0_ + k_group;
        pack();
        multiply();
      }
    }
  }

 private:
  /// Steps of the micro kernel for k inner indices, and the bytes that those take per row or
  /// column.
  std::int64_t steps(std::int64_t k) const {
    return round_up(k, kernels_.k_multiple) / kernels_.k_unit;
  }
  std::int64_t packed_bytes(std::int64_t k) const { return steps(k) * kernels_.element_size; }

  /// Where a panel of the packed group is: k blocks one after the other, in each all panels.
  std::int64_t offset(const PackSource<In>& source, std::int64_t panels, std::int64_t block,
                      std::int64_t panel) const {
    const std::int64_t before = packed_bytes(k_blocks_.begin(block) - k_blocks_.begin(block0_));
    return (before * panels + packed_bytes(k_blocks_.size(block)) * panel) * source.width;
  }

  void pack() {
    const std::int64_t k = packed_bytes(k_blocks_.begin(block1_) - k_blocks_.begin(block0_));
    // In place, only a last panel with missing columns is packed, to make it complete.
    first_packed_ = col0_;
    if (read_b_in_place_) {
      const bool ragged = col1_ == b_.panels.count && p_.n % kernels_.cols != 0;
      first_packed_ = ragged ? col1_ - 1 : col1_;
    }
    const bool b_now = p_.packed_b == nullptr && !pack_b_late_;
    const std::int64_t b_panels = b_now ? col1_ - first_packed_ : 0;
    const std::int64_t a_bytes = k * a_.panels.count * a_.width;
    share_a_ = !read_a_in_place_ && a_bytes <= shared_bytes;
    const std::int64_t a_panels = share_a_ ? a_.panels.count : 0;

    ThreadScratch& scratch = thread_scratch();
    packed_a_ = a_panels > 0 ? scratch.a.get(a_bytes) : nullptr;
    packed_b_ = b_panels > 0 ? scratch.b.get(k * b_panels * b_.width) : nullptr;

    // Items of some panels and one k block, first of B, then of A.
    std::int64_t together = (a_panels + b_panels) / (8 * p_.threads);
    if (together < 4) together = 4;
    if (together > 16) together = 16;
    const std::int64_t b_items = ceil_div(b_panels, together),
                       a_items = ceil_div(a_panels, together);
    const std::int64_t items = (b_items + a_items) * (block1_ - block0_);
    const auto pack_items = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t block = block0_ + item / (b_items + a_items);
        const std::int64_t index = item % (b_items + a_items);
        if (index < b_items) {
          pack_some(b_, first_packed_, b_panels, block, index * together, together, packed_b_);
        } else {
          pack_some(a_, 0, a_panels, block, (index - b_items) * together, together, packed_a_);
        }
      }
    };
    if (p_.threads > 1) {
      parallel_for(items, 2, pack_items);
    } else {
      pack_items(0, items);
    }
  }

  void pack_some(const PackSource<In>& source, std::int64_t first, std::int64_t panels,
                 std::int64_t block, std::int64_t from, std::int64_t count, std::byte* packed) {
    const std::int64_t to = panels - from < count ? panels : from + count;
    const std::int64_t k = k_blocks_.size(block);
    source(first + from, first + to, k_blocks_.begin(block), k, kernels_.k_unit, steps(k),
           source.width * kernels_.element_size, packed + offset(source, panels, block, from));
  }

  void multiply() {
    // Few rows for many threads: cut the columns into stripes, until there are pieces enough.
    const std::int64_t rows = a_.panels.count, columns = col1_ - col0_;
    if (pack_b_late_) {
      share_out(p_.threads, columns, [&](std::int64_t begin, std::int64_t end) {
        if (kernels_.begin != nullptr) kernels_.begin();
        multiply_block(0, rows, col0_ + begin, col0_ + end);
        if (kernels_.end != nullptr) kernels_.end();
      });
      return;
    }
    std::int64_t stripes = p_.threads > 1 ? ceil_div(32 * p_.threads, rows) : 1;
    if (stripes > columns) stripes = columns;
    share_out(p_.threads, stripes * rows, [&](std::int64_t begin, std::int64_t end) {
      if (kernels_.begin != nullptr) kernels_.begin();
      while (begin < end) {
        const std::int64_t stripe = begin / rows, row = begin % rows;
        const std::int64_t count = end - begin < rows - row ? end - begin : rows - row;
        multiply_block(row, row + count, col0_ + columns * stripe / stripes,
                       col0_ + columns * (stripe + 1) / stripes);
        begin += count;
      }
      if (kernels_.end != nullptr) kernels_.end();
    });
  }

  /// Row panels [row0, row1) × column panels [col0, col1).
  void multiply_block(std::int64_t row0, std::int64_t row1, std::int64_t col0, std::int64_t col1) {
    MicroArgs<Out> args{};
    args.alpha = p_.alpha;
    args.ldc = p_.ldc;
    for (std::int64_t block = block0_; block < block1_; ++block) {
      const std::int64_t k0 = k_blocks_.begin(block), k = k_blocks_.size(block);
      const bool last = block == k_blocks_.count - 1;
      args.steps = steps(k);
      args.beta = block == 0 ? p_.beta : Out(1);
      const std::byte* packed_a = packed_a_;
      std::int64_t a_offset = 0;
      if (share_a_) {
        a_offset = offset(a_, a_.panels.count, block, row0);
      } else if (!read_a_in_place_) {
        const std::int64_t panels = row1 - row0 > block_panels ? row1 - row0 : block_panels;
        std::byte* packed = thread_scratch().block.get(packed_bytes(k) * a_.width * panels);
        a_(row0, row1, k0, k, kernels_.k_unit, steps(k), a_.width * kernels_.element_size, packed);
        packed_a = packed;
      }
      for (std::int64_t col = col0; col < col1; ++col) {
        const std::int64_t j = b_.panels.begin(col);
        args.cols = b_.panels.end(col) - j;
        const std::int64_t panel_bytes = packed_bytes(k) * b_.width;
        if (p_.packed_b != nullptr) {
          args.b = p_.packed_b + b_offset_in_all(block, col);
          args.b_step = b_.width;
        } else if (pack_b_late_) {
          std::byte* packed = thread_scratch().panel.get(panel_bytes);
          b_(col, col + 1, k0, k, kernels_.k_unit, args.steps, b_.width * kernels_.element_size,
             packed);
          args.b = packed;
          args.b_step = b_.width;
        } else if (col < first_packed_) {
          args.b = b_.at(j, k0);
          args.b_step = b_.ld;
        } else {
          args.b = packed_b_ + offset(b_, col1_ - first_packed_, block, col - first_packed_);
          args.b_step = b_.width;
        }
        // Each row panel of this column fetches its share of the next column's panel of B.
        const bool fetch =
            !pack_b_late_ && col >= first_packed_ && col + 1 < col1 && args.steps > 0;
        const std::int64_t share = fetch ? panel_bytes / (row1 - row0) : 0;
        args.prefetch = static_cast<const char*>(args.b) + (fetch ? panel_bytes : 0);
        args.prefetch_step = fetch ? share / args.steps : 0;
        for (std::int64_t row = row0; row < row1; ++row, args.prefetch += share) {
          const std::int64_t i = a_.panels.begin(row), height = a_.panels.end(row) - i;
          if (read_a_in_place_) {
            args.a = a_.at(i, k0);
            args.a_row = a_.along_k ? a_.ld : 1;
            args.a_step = a_.along_k ? 1 : a_.ld;
          } else {
            args.a = packed_a + a_offset + (row - row0) * packed_bytes(k) * a_.width;
            args.a_row = 1;
            args.a_step = a_.width;
          }
          args.c = p_.c + i * p_.ldc + j;
          args.rows = height;
          kernels_.micro[height - 1](args);
          if (last && !p_.epilogue.empty()) {
            kernels_.finish(p_.epilogue, i, j, height, args.cols, args.c, p_.ldc);
          }
        }
      }
    }
  }

  std::int64_t b_offset_in_all(std::int64_t block, std::int64_t col) const {
    return (packed_bytes(k_blocks_.begin(block)) * b_.panels.count +
            packed_bytes(k_blocks_.size(block)) * col) *
           b_.width;
  }

  const Problem<In, Out>& p_;
  const Kernels<In, Out>& kernels_;
  const KBlocks k_blocks_;
  PackSource<In> a_{}, b_{};
  bool read_a_in_place_ = false, read_b_in_place_ = false;
  bool pack_b_late_ = false;  // few rows: each panel of B just before its use, by its thread
  // The group at hand: column panels [col0_, col1_), k blocks [block0_, block1_).
  std::int64_t col0_ = 0, col1_ = 0, block0_ = 0, block1_ = 0;
  std::int64_t first_packed_ = 0;  // column panels before it are read in place
  bool share_a_ = false;
  std::byte *packed_a_ = nullptr, *packed_b_ = nullptr;
};

/// C = alpha·A·Bᵀ + beta·C with few rows or few columns: the wide operand is read once, in place.
template <class In, class Out>
void dot_gemm(const Problem<In, Out>& p) {
  // A strip of C: all rows × 32 columns, or 24 rows × all columns.
  const bool wide = p.m <= p.n;
  const Panels rows = Panels::even(p.m, max_dot_rows);
  const std::int64_t strip_rows = wide ? rows.count : 4, strip_cols = wide ? 32 : p.n;
  const std::int64_t strips = wide ? ceil_div(p.n, strip_cols) : ceil_div(rows.count, strip_rows);
  share_out(p.threads, strips, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t strip = begin; strip < end; ++strip) {
      const std::int64_t row0 = wide ? 0 : strip * strip_rows;
      const std::int64_t row1 = rows.count - row0 < strip_rows ? rows.count : row0 + strip_rows;
      const std::int64_t col0 = wide ? strip * strip_cols : 0;
      const std::int64_t col1 = p.n - col0 < strip_cols ? p.n : col0 + strip_cols;
      for (std::int64_t j = col0; j < col1; j += dot_cols) {
        for (std::int64_t row = row0; row < row1; ++row) {
          const std::int64_t i = rows.begin(row);
          const DotArgs<In, Out> args{.k = p.k,
                                      .a = p.a + i * p.lda,
                                      .lda = p.lda,
                                      .b = p.b + j * p.ldb,
                                      .ldb = p.ldb,
                                      .c = p.c + i * p.ldc + j,
                                      .ldc = p.ldc,
                                      .cols = col1 - j < dot_cols ? col1 - j : dot_cols,
                                      .alpha = p.alpha,
                                      .beta = p.beta};
          p.kernels.dot[rows.end(row) - i - 1](args);
        }
      }
      if (!p.epilogue.empty()) {
        const std::int64_t i = rows.begin(row0);
        p.kernels.finish(p.epilogue, i, col0, rows.begin(row1) - i, col1 - col0,
                         p.c + i * p.ldc + col0, p.ldc);
      }
    }
  });
}

template <class In, class Out>
void run(Problem<In, Out> p) {
  if (p.m <= 0 || p.n <= 0) return;
  if (p.alpha == Out(0)) p.k = 0;  // A and B are not read
  const bool is_narrow = p.m <= p.kernels.dot_side || p.n <= p.kernels.dot_side;
  if (p.kernels.dot[0] != nullptr && p.packed_b == nullptr && is_narrow && p.k > 0 &&
      p.trans_a == Trans::no && p.trans_b == Trans::yes) {
    dot_gemm(p);
  } else {
    BlockedGemm<In, Out>(p).run();
  }
}

}  // namespace cpu::gemm_detail
TANDEM_NAMESPACE_END
