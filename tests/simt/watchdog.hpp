#pragma once
/// Notices a kernel thread that computes on and on, and stops it.

#include <cstdint>

namespace simt {

/// Watches one launch on the OS thread that made it. While it exists, `stop(context)` is called
/// from a signal handler of that thread, on the stack of what runs there, when step() has not been
/// called for the patience; it need not return.
class Watch {
 public:
  Watch(void (*stop)(void*), void* context);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void block_starts();
  /// The block goes on.
  void step();
  /// It has gone on for twenty times the patience.
  bool exhausted() const;
};

}  // namespace simt
