#pragma once
/// Staging: copies from the host's memory to a GPU through a ring of pinned memory. The bytes are
/// copied into the ring at once, so that the caller may change them, and travel in the order of a
/// stream. The CPU waits only while the ring is full. Plain C++ over a MemoryDriver, tested by
/// tests/simt/arena_test.cpp.

#include <cstdint>
#include <cstring>
#include <deque>
#include <mutex>

#include "arena.hpp"

namespace tandem_kernels {

class Staging {
 public:
  /// `memory` is pinned and has `bytes` bytes, a multiple of 256.
  Staging(MemoryDriver& driver, void* memory, std::int64_t bytes)
      : driver_(driver), memory_(static_cast<char*>(memory)), size_(bytes) {}
  ~Staging() {
    for (const Piece& piece : pieces_) driver_.forget(piece.mark);
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Calls copy(pinned, offset, n) for pieces of [from, from + bytes): it puts the copy of n bytes
  /// into `stream`.
  template <class Copy>
  void upload(const void* from, std::int64_t bytes, MemoryDriver::Stream stream, Copy&& copy) {
    const std::lock_guard<std::mutex> guard(mutex_);
    const std::int64_t most = size_ / 4;
    for (std::int64_t at = 0; at < bytes; at += most) {
      const std::int64_t n = bytes - at < most ? bytes - at : most;
      char* const pinned = reserve(n);
      std::memcpy(pinned, static_cast<const char*>(from) + at, static_cast<std::size_t>(n));
      copy(static_cast<const void*>(pinned), at, n);
      pieces_.push_back({next_, driver_.mark(stream)});
      next_ += n;
    }
  }

 private:
  struct Piece {
    std::int64_t begin;  ///< counted on through all laps
    MemoryDriver::Mark mark;
  };
  char* reserve(std::int64_t n) {
    next_ = (next_ + 63) / 64 * 64;
    if (next_ % size_ + n > size_) next_ += size_ - next_ % size_;
    while (!pieces_.empty() && pieces_.front().begin + size_ < next_ + n) {
      const MemoryDriver::Mark mark = pieces_.front().mark;
      if (!driver_.passed(mark)) driver_.wait(mark);
      driver_.forget(mark);
      pieces_.pop_front();
    }
    return memory_ + next_ % size_;
  }

  MemoryDriver& driver_;
  char* const memory_;
  const std::int64_t size_;
  std::mutex mutex_;
  std::deque<Piece> pieces_;  // oldest first
  std::int64_t next_ = 0;
};

}  // namespace tandem_kernels
