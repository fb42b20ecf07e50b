#pragma once
/// Fibers: functions with a stack of their own that give way to each other on one OS thread.

#include <cstddef>

namespace simt {

/// A place where execution can be continued. A default-constructed one stands for the OS thread
/// itself.
class Fiber {
 public:
  Fiber();
  /// A fiber that will run entry(context), which must not return.
  Fiber(void (*entry)(void*), void* context);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Makes the fiber start from its entry again; what was on its stack is gone, and ThreadSanitizer
  /// takes it for another one, which no earlier work of this fiber has happened before.
  void restart();
  /// Continues `to`; returns when somebody continues this fiber, which must be the running one.
  void switch_to(Fiber& to);

 private:
  static void start(void* fiber);
#if defined(SIMT_UCONTEXT) || !defined(__x86_64__)
  static void start_from_halves(unsigned high, unsigned low);
#endif
  void finish_switch();

  void (*entry_)(void*) = nullptr;
  void* context_ = nullptr;
  void* stack_ = nullptr;  // lowest address, above the guard page
  bool owns_stack_ = false;
  std::size_t stack_bytes_ = 0;
  void* saved_ = nullptr;  // the stack pointer, or a ucontext_t
  void* asan_fake_stack_ = nullptr;
  void* tsan_fiber_ = nullptr;
  Fiber* from_ = nullptr;  // who continued this one
};

}  // namespace simt
