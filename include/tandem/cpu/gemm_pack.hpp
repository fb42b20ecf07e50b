#pragma once
/// Packing for the matrix product: the memory that packed operands live in, how a dimension is cut
/// into panels, and the loops that pack them. How a single panel looks is said at Kernels.

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>

#include "tandem/cpu/gemm_types.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::gemm_detail {

/// Memory that only grows, kept from call to call: fresh pages would cost more than packing.
class Scratch {
 public:
  Scratch() = default;
  ~Scratch() { release(); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// At least `bytes` bytes with unspecified content, aligned to 4 KiB or more.
  std::byte* get(std::int64_t bytes) {
    if (bytes > size_) grow(bytes, bytes >= huge_page / 2 ? huge_page : page);
    return data_;
  }
  /// The same for memory that will not grow again: no more than whole small pages.
  std::byte* get_exactly(std::int64_t bytes) {
    if (bytes > size_) grow(bytes, page);
    return data_;
  }

 private:
  static constexpr std::int64_t page = 4096, huge_page = std::int64_t{2} << 20;

  TANDEM_NOINLINE void grow(std::int64_t bytes, std::int64_t unit) {
    release();
    const bool huge = bytes >= huge_page / 2;
    const std::int64_t rounded = round_up(bytes, unit);
    void* memory = nullptr;
    if (posix_memalign(&memory, static_cast<std::size_t>(huge ? huge_page : page),
                       static_cast<std::size_t>(rounded)) != 0) {
      throw std::bad_alloc();
    }
#if defined(MADV_HUGEPAGE)
    if (huge) madvise(memory, static_cast<std::size_t>(rounded), MADV_HUGEPAGE);
#endif
    data_ = static_cast<std::byte*>(memory);
    size_ = rounded;
  }
  void release() {
    std::free(data_);
    data_ = nullptr;
    size_ = 0;
  }

  std::byte* data_ = nullptr;
  std::int64_t size_ = 0;
};

/// What a call needs at the same time: both operands shared by its threads, and a block of A and a
/// panel of B for the calling thread's part of the work.
struct ThreadScratch {
  Scratch a, b, block, panel;
};
inline ThreadScratch& thread_scratch() {
  thread_local ThreadScratch scratch;
  return scratch;
}

/// A dimension of `size` cut into the fewest panels of at most `width`. Rows are shared out evenly
/// (197 = 10·12 + 7·11), so no panel is so low that its kernel waits for its own results; columns
/// come in full vectors and the last panel has the rest.
struct Panels {
  std::int64_t size = 0, count = 0, width = 0,
               longer = 0;  // the first `longer` have `width`, not − 1

  static Panels even(std::int64_t size, std::int64_t width) {
    const std::int64_t count = ceil_div(size, width), most = count > 0 ? ceil_div(size, count) : 0;
    return {size, count, most, count - (most * count - size)};
  }
  static Panels full(std::int64_t size, std::int64_t width) {
    const std::int64_t count = ceil_div(size, width);
    return {size, count, width, count};
  }
  std::int64_t begin(std::int64_t i) const {
    const std::int64_t at = i * width - (i > longer ? i - longer : 0);
    return at < size ? at : size;
  }
  std::int64_t end(std::int64_t i) const { return begin(i + 1); }
};

/// How `rows` rows of A are cut for these kernels.
template <class In, class Out>
Panels row_panels(const Kernels<In, Out>& kernels, std::int64_t rows) {
  return kernels.even_rows ? Panels::even(rows, kernels.rows) : Panels::full(rows, kernels.rows);
}

/// One operand on its way into panels. A: `transposed` as called; B: the other way round, so that
/// `along_k` always says whether the source is contiguous along the inner dimension.
template <class In>
struct PackSource {
  const In* data;
  std::int64_t ld;
  bool along_k;
  PackFunction<In> pack;
  std::int64_t width;  // of the packed panels
  std::int64_t k_multiple;
  Panels panels;

  const In* at(std::int64_t index, std::int64_t k) const {
    return along_k ? data + index * ld + k : data + k * ld + index;
  }

  /// Packs panels [begin, end) and inner indices [k0, k0 + k); panel `begin` goes to `packed`.
  /// `step_bytes` is the size of `width` packed elements.
  void operator()(std::int64_t begin, std::int64_t end, std::int64_t k0, std::int64_t k, int k_unit,
                  std::int64_t steps, std::int64_t step_bytes, std::byte* packed) const {
    // Across k, a few rows of the source are read from end to end, for all panels, before the next
    // ones: more rows than ways of the first-level cache would evict each other's lines.
    const std::int64_t chunk = along_k ? k : (k_multiple > 8 ? k_multiple : 8);
    for (std::int64_t p = 0; p < k; p += chunk) {
      const std::int64_t length = k - p < chunk ? k - p : chunk;
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t first = panels.begin(i);
        pack(at(first, k0 + p), ld, panels.end(i) - first, length,
             packed + ((i - begin) * steps + p / k_unit) * step_bytes);
      }
    }
  }
};

}  // namespace cpu::gemm_detail
TANDEM_NAMESPACE_END
