#pragma once
/// The memory that large tensors live in: one range of addresses, reserved once, in which blocks
/// are cut from free extents and merged again.
///
/// A step of training asks for a hundred blocks of a dozen sizes. If released blocks serve only
/// requests of their own size, either much of the memory lies idle or it travels between the
/// program and the system, which clears every page on its way: a tenth of a step's time. Here any
/// neighbouring free bytes serve any request.
///
/// Not thread-safe: the allocator holds its lock. Linux only; elsewhere `allocate` gives null.

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "tandem/tensor/config.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

TANDEM_NAMESPACE_BEGIN
namespace detail {

class Arena {
 public:
  static constexpr std::int64_t page = 4096;
  static std::int64_t rounded(std::int64_t bytes) { return (bytes + page - 1) / page * page; }

  /// A block of `size` bytes (a multiple of the page), or null when the range or the system has no
  /// more.
  void* allocate(std::int64_t size) {
#if defined(__linux__)
    if (base_ == nullptr && !reserve()) return nullptr;
    // The smallest extent that is large enough, one that is still in memory before one that is not.
    int best = -1;
    for (int i = 0; i < count_; ++i) {
      if (extents_[i].size < size) continue;
      if (best < 0 || extents_[i].resident > extents_[best].resident ||
          (extents_[i].resident == extents_[best].resident &&
           extents_[i].size < extents_[best].size)) {
        best = i;
      }
    }
    if (best < 0) return grow(size);
    Extent& extent = extents_[best];
    char* const block = base_ + extent.begin;
    if (extent.resident) resident_ -= size;
    extent.begin += size;
    extent.size -= size;
    if (extent.size == 0) remove(best);
    return block;
#else
    (void)size;
    return nullptr;
#endif
  }

  bool owns(const void* block) const {
    const char* const at = static_cast<const char*>(block);
    return base_ != nullptr && at >= base_ && at < base_ + reserved_;
  }

  void deallocate(void* block, std::int64_t size) {
    const std::int64_t begin = static_cast<char*>(block) - base_;
    int at = 0;
    while (at < count_ && extents_[at].begin < begin) ++at;
    const bool before = at > 0 && extents_[at - 1].begin + extents_[at - 1].size == begin;
    const bool after = at < count_ && begin + size == extents_[at].begin;
    Extent merged{begin, size, true};
    // An extent that was given back counts as resident again once it is merged with one that is.
    resident_ += size;
    if (after) {
      if (!extents_[at].resident) resident_ += extents_[at].size;
      merged.size += extents_[at].size;
      remove(at);
    }
    if (before) {
      Extent& left = extents_[at - 1];
      if (!left.resident) resident_ += left.size;
      merged.begin = left.begin;
      merged.size += left.size;
      left = merged;
    } else if (!insert(at, merged)) {
      resident_ -= merged.size;  // no memory for the list itself: the extent is lost, not the data
    }
  }

  /// Bytes of free extents that may be in memory.
  std::int64_t resident() const { return resident_; }

  /// Gives free extents back to the system, highest addresses first, until at most `most` bytes of
  /// them are in memory.
  void give_back(std::int64_t most) {
#if defined(__linux__)
    for (int i = count_ - 1; i >= 0 && resident_ > most; --i) {
      Extent& extent = extents_[i];
      if (!extent.resident) continue;
      madvise(base_ + extent.begin, static_cast<std::size_t>(extent.size), MADV_DONTNEED);
      extent.resident = false;
      resident_ -= extent.size;
    }
#else
    (void)most;
#endif
  }

 private:
  struct Extent {
    std::int64_t begin, size;
    bool resident;
  };

#if defined(__linux__)
  /// Addresses for twice the machine's memory. They cost nothing until they are made accessible.
  bool reserve() {
    if (failed_) return false;
    const auto memory = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
    for (std::int64_t bytes = 2 * memory; bytes >= (std::int64_t{1} << 30); bytes /= 2) {
      const std::int64_t whole = bytes / commit_step * commit_step;
      void* const base = mmap(nullptr, static_cast<std::size_t>(whole), PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (base == MAP_FAILED) continue;
      base_ = static_cast<char*>(base);
      reserved_ = whole;
#if defined(MADV_HUGEPAGE)
      madvise(base_, static_cast<std::size_t>(whole), MADV_HUGEPAGE);
#endif
      return true;
    }
    failed_ = true;
    return false;
  }

  /// A block at the end of what was used so far, together with a free extent that ends there.
  void* grow(std::int64_t size) {
    const bool at_end =
        count_ > 0 && extents_[count_ - 1].begin + extents_[count_ - 1].size == top_;
    const Extent last = at_end ? extents_[count_ - 1] : Extent{top_, 0, false};
    const std::int64_t end = last.begin + size;
    if (end > reserved_) return nullptr;
    if (end > committed_) {
      const std::int64_t wanted = (end + commit_step - 1) / commit_step * commit_step;
      if (mprotect(base_ + committed_, static_cast<std::size_t>(wanted - committed_),
                   PROT_READ | PROT_WRITE) != 0) {
        return nullptr;
      }
      committed_ = wanted;
    }
    if (at_end) {
      if (last.resident) resident_ -= last.size;
      remove(count_ - 1);
    }
    top_ = end;
    return base_ + last.begin;
  }
#endif

  void remove(int at) {
    std::memmove(extents_ + at, extents_ + at + 1,
                 static_cast<std::size_t>(count_ - at - 1) * sizeof(Extent));
    --count_;
  }
  bool insert(int at, const Extent& extent) {
    if (count_ == capacity_) {
      const int larger = capacity_ == 0 ? 64 : 2 * capacity_;
      void* const moved = std::realloc(extents_, static_cast<std::size_t>(larger) * sizeof(Extent));
      if (moved == nullptr) return false;
      extents_ = static_cast<Extent*>(moved);
      capacity_ = larger;
    }
    std::memmove(extents_ + at + 1, extents_ + at,
                 static_cast<std::size_t>(count_ - at) * sizeof(Extent));
    extents_[at] = extent;
    ++count_;
    return true;
  }

  static constexpr std::int64_t commit_step = std::int64_t{32} << 20;

  char* base_ = nullptr;
  std::int64_t reserved_ = 0, committed_ = 0, top_ = 0;  // top_: everything above was never used
  bool failed_ = false;
  Extent* extents_ = nullptr;  // free, by address
  int count_ = 0, capacity_ = 0;
  std::int64_t resident_ = 0;
};

}  // namespace detail
TANDEM_NAMESPACE_END
