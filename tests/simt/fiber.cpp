#include "fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <stdexcept>

#include "sanitizers.hpp"

#if defined(SIMT_UCONTEXT) || !defined(__x86_64__)
#include <ucontext.h>
#else
// Saves the registers that a call must keep, exchanges the stacks, and returns on the other one.
extern "C" void simt_switch_stacks(void** save, void* load);
asm(R"(
  .text
  .globl simt_switch_stacks
  .type simt_switch_stacks, @function
simt_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size simt_switch_stacks, .-simt_switch_stacks
  .globl simt_first_frame
  .type simt_first_frame, @function
simt_first_frame:
  movq %r12, %rdi
  callq *%rbx
  ud2
  .size simt_first_frame, .-simt_first_frame
)");
extern "C" void simt_first_frame();
#endif

namespace simt {

namespace {
// Instrumented code keeps red zones on the stack.
constexpr std::size_t stack_bytes = SIMT_ASAN || SIMT_TSAN ? 256 << 10 : 64 << 10;
std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }
}  // namespace

Fiber::Fiber() {
#if SIMT_TSAN
  tsan_fiber_ = __tsan_get_current_fiber();
#endif
#if defined(SIMT_UCONTEXT) || !defined(__x86_64__)
  saved_ = new ucontext_t;
#endif
}

Fiber::Fiber(void (*entry)(void*), void* context) : entry_(entry), context_(context) {
  const std::size_t page = page_bytes();
  void* const memory = mmap(nullptr, page + stack_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("[simt] no memory for a fiber's stack");
  mprotect(memory, page, PROT_NONE);  // an overflow must not reach a neighbour
  stack_ = static_cast<char*>(memory) + page;
  stack_bytes_ = stack_bytes;
  owns_stack_ = true;
#if defined(SIMT_UCONTEXT) || !defined(__x86_64__)
  saved_ = new ucontext_t;
#endif
  restart();
}

Fiber::~Fiber() {
#if defined(SIMT_UCONTEXT) || !defined(__x86_64__)
  delete static_cast<ucontext_t*>(saved_);
#endif
  if (!owns_stack_) return;
#if SIMT_TSAN
  __tsan_destroy_fiber(tsan_fiber_);
#endif
  permit(stack_, stack_bytes_);
  munmap(static_cast<char*>(stack_) - page_bytes(), page_bytes() + stack_bytes_);
}

void Fiber::restart() {
  permit(stack_, stack_bytes_);
  asan_fake_stack_ = nullptr;
#if SIMT_TSAN
  if (tsan_fiber_ != nullptr) __tsan_destroy_fiber(tsan_fiber_);
  tsan_fiber_ = __tsan_create_fiber(0);
  // Fresh pages: what the fiber before has written on this stack would look like a race with this
  // one.
  mmap(stack_, stack_bytes_, PROT_READ | PROT_WRITE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
#endif
#if defined(SIMT_UCONTEXT) || !defined(__x86_64__)
  auto* const context = static_cast<ucontext_t*>(saved_);
  getcontext(context);
  context->uc_stack.ss_sp = stack_;
  context->uc_stack.ss_size = stack_bytes_;
  context->uc_link = nullptr;
  const auto bits = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(this));
  makecontext(context, reinterpret_cast<void (*)()>(&Fiber::start_from_halves), 2,
              static_cast<unsigned>(bits >> 32), static_cast<unsigned>(bits));
#else
  // As simt_switch_stacks() leaves a stack: r15, r14, r13, r12, rbx, rbp, where to return to. A
  // stack is a multiple of 16 at the call in simt_first_frame.
  auto* top = reinterpret_cast<void**>(static_cast<char*>(stack_) + stack_bytes_) - 2;
  *--top = reinterpret_cast<void*>(&simt_first_frame);
  *--top = nullptr;                                 // rbp
  *--top = reinterpret_cast<void*>(&Fiber::start);  // rbx
  *--top = this;                                    // r12
  for (int i = 0; i < 3; ++i) *--top = nullptr;     // r13, r14, r15
  saved_ = top;
#endif
}

#if defined(SIMT_UCONTEXT) || !defined(__x86_64__)
void Fiber::start_from_halves(unsigned high, unsigned low) {
  start(reinterpret_cast<void*>(static_cast<std::uintptr_t>((std::uint64_t{high} << 32) | low)));
}
#endif

void Fiber::start(void* opaque) {
  auto* const fiber = static_cast<Fiber*>(opaque);
  fiber->finish_switch();
  fiber->entry_(fiber->context_);
  std::abort();  // an entry never returns
}

void Fiber::switch_to(Fiber& to) {
  to.from_ = this;
#if SIMT_ASAN
  __sanitizer_start_switch_fiber(&asan_fake_stack_, to.stack_, to.stack_bytes_);
#endif
#if SIMT_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber_, 1);  // 1: a switch orders nothing
#endif
#if defined(SIMT_UCONTEXT) || !defined(__x86_64__)
  swapcontext(static_cast<ucontext_t*>(saved_), static_cast<ucontext_t*>(to.saved_));
#else
  simt_switch_stacks(&saved_, to.saved_);
#endif
  finish_switch();
}

void Fiber::finish_switch() {
#if SIMT_ASAN
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(asan_fake_stack_, &bottom, &bytes);
  // The OS thread's stack becomes known when it is left for the first time.
  if (from_->stack_ == nullptr) {
    from_->stack_ = const_cast<void*>(bottom);
    from_->stack_bytes_ = bytes;
  }
#endif
}

}  // namespace simt
