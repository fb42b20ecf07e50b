#pragma once
/// The CPU's caching allocator: freed blocks are kept and handed out again.
///
/// Training allocates the same sizes in every step. Memory fresh from the system costs a page fault
/// per 4 KiB, which is more than many ops cost; a kept block costs nothing. Blocks from 1 MiB on
/// are cut from an arena (arena.hpp), where any free bytes serve any request. Smaller sizes are
/// rounded up to one of eight steps per power of two (at most 12.5 % lost), and a request takes a
/// kept block of its own class. Live and kept bytes together never pass the peak of the live bytes
/// by more than 64 MiB (see `keep_limit`), so a program's footprint stays close to its live data.

#include <cstdint>
#include <cstdlib>
#include <new>

#include "tandem/tensor/arena.hpp"
#include "tandem/tensor/config.hpp"
#include "tandem/tensor/device.hpp"
#include "tandem/tensor/error.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define TANDEM_ALLOCATOR_KEEPS 0  // AddressSanitizer must see every allocation and release
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TANDEM_ALLOCATOR_KEEPS 0
#endif
#endif
#ifndef TANDEM_ALLOCATOR_KEEPS
#define TANDEM_ALLOCATOR_KEEPS 1
#endif

TANDEM_NAMESPACE_BEGIN

namespace detail {

class SpinLock {
 public:
  void lock() {
    while (__atomic_exchange_n(&taken_, true, __ATOMIC_ACQUIRE)) {
      while (__atomic_load_n(&taken_, __ATOMIC_RELAXED)) {
#if TANDEM_X86
        __builtin_ia32_pause();
#endif
      }
    }
  }
  void unlock() { __atomic_store_n(&taken_, false, __ATOMIC_RELEASE); }

 private:
  bool taken_ = false;
};

struct SpinGuard {
  explicit SpinGuard(SpinLock& lock) : lock_(lock) { lock_.lock(); }
  ~SpinGuard() { lock_.unlock(); }
  SpinGuard(const SpinGuard&) = delete;
  SpinGuard& operator=(const SpinGuard&) = delete;
  SpinLock& lock_;
};

class CpuAllocator {
 public:
  static constexpr std::int64_t alignment = 64;
  static constexpr std::int64_t large = 1 << 20;  ///< from here on blocks come from the arena

  /// Never destroyed: tensors in static storage may outlive any static object.
  static CpuAllocator& instance() {
    static CpuAllocator* allocator = new CpuAllocator;
    return *allocator;
  }

  /// The bytes that a request really takes.
  static std::int64_t rounded(std::int64_t bytes) {
    if (bytes <= 512) return (bytes + 63) / 64 * 64;
    if (bytes >= large) return Arena::rounded(bytes);
    int shift = 63 - __builtin_clzll(static_cast<unsigned long long>(bytes - 1));  // floor log2
    const std::int64_t step = std::int64_t{1} << (shift - 3);
    return (bytes + step - 1) / step * step;
  }

  void* allocate(std::int64_t bytes) {
    // What no address space holds is not asked for: sanitizers would end the program.
    TANDEM_CHECK(bytes >= 0 && bytes < (std::int64_t{1} << 47), "allocate", "cannot allocate ",
                 bytes, " bytes: the system does not have them");
    const std::int64_t size = rounded(bytes);
    {
      SpinGuard guard(lock_);
      if (void* block = take_kept(size)) return block;
    }
    void* block =
        std::aligned_alloc(static_cast<std::size_t>(alignment), static_cast<std::size_t>(size));
    if (block == nullptr) {
      release_kept();
      block =
          std::aligned_alloc(static_cast<std::size_t>(alignment), static_cast<std::size_t>(size));
    }
    TANDEM_CHECK(block != nullptr, "allocate", "cannot allocate ", bytes,
                 " bytes: the system does not have them");
    SpinGuard guard(lock_);
    note_use(size);
    return block;
  }

  void deallocate(void* block, std::int64_t bytes) {
    const std::int64_t size = rounded(bytes);
    {
      SpinGuard guard(lock_);
      stats_.current -= size;
      if (arena_.owns(block)) {
        arena_.deallocate(block, size);
        keep_within_limit();
        return;
      }
      if (TANDEM_ALLOCATOR_KEEPS && size < large &&
          size >= static_cast<std::int64_t>(sizeof(Kept)) &&
          stats_.kept + arena_.resident() + size <= keep_limit()) {
        auto* kept = static_cast<Kept*>(block);
        kept->size = size;
        kept->next = bins_[bin(size)];
        bins_[bin(size)] = kept;
        stats_.kept += size;
        return;
      }
    }
    std::free(block);
  }

  MemoryStats stats() {
    SpinGuard guard(lock_);
    MemoryStats stats = stats_;
    stats.kept += arena_.resident();
    return stats;
  }
  void reset_peak() {
    SpinGuard guard(lock_);
    stats_.peak = stats_.current;
  }
  /// Gives every kept block back to the system.
  void release_kept() {
    Kept* list = nullptr;
    {
      SpinGuard guard(lock_);
      for (Kept*& head : bins_) {
        while (head != nullptr) {
          Kept* block = head;
          head = block->next;
          block->next = list;
          list = block;
        }
      }
      stats_.kept = 0;
      arena_.give_back(0);
    }
    while (list != nullptr) {
      Kept* next = list->next;
      std::free(list);
      list = next;
    }
  }

 private:
  struct Kept {
    Kept* next;
    std::int64_t size;
  };
  static constexpr int bin_count = 512;

  /// Live plus kept never passes the peak of the live data plus 64 MiB.
  std::int64_t keep_limit() const {
    return stats_.peak - stats_.current + (std::int64_t{64} << 20);
  }

  /// One bin per size class: 64-byte steps up to 512, then eight per power of two.
  static int bin(std::int64_t size) {
    if (size <= 512) return static_cast<int>(size / 64);
    const int shift = 63 - __builtin_clzll(static_cast<unsigned long long>(size));
    const auto eighth = static_cast<int>((size >> (shift - 3)) & 7);
    return 9 + (shift - 9) * 8 + eighth;
  }

  void note_use(std::int64_t size) {
    stats_.current += size;
    if (stats_.current > stats_.peak) stats_.peak = stats_.current;
  }

  /// The arena's free bytes count as kept; what is too much goes back to the system.
  void keep_within_limit() {
    const std::int64_t most = keep_limit() - stats_.kept;
    if (arena_.resident() > most) arena_.give_back(most);
  }

  void* take_kept(std::int64_t size) {
    if (size >= large) {
      if (!TANDEM_ALLOCATOR_KEEPS) return nullptr;
      void* const block = arena_.allocate(size);
      if (block == nullptr) return nullptr;
      note_use(size);
      keep_within_limit();
      return block;
    }
    // Only the exact class may serve: deallocate() is told the requested size, not the block's.
    Kept*& head = bins_[bin(size)];
    if (head == nullptr) return nullptr;
    Kept* block = head;
    head = block->next;
    stats_.kept -= size;
    note_use(size);
    return block;
  }

  SpinLock lock_;
  MemoryStats stats_;
  Arena arena_;
  Kept* bins_[bin_count] = {};
};

}  // namespace detail

/// Bytes held by CPU tensors now and at most.
inline MemoryStats memory_stats() { return detail::CpuAllocator::instance().stats(); }
/// Starts a new measurement of the peak.
inline void reset_peak_memory() { detail::CpuAllocator::instance().reset_peak(); }
/// Returns kept blocks to the system.
inline void release_kept_memory() { detail::CpuAllocator::instance().release_kept(); }

TANDEM_NAMESPACE_END
