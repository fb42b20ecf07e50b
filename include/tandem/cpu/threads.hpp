#pragma once
/// One thread pool for everything that runs on the CPU.
///
///   parallel_for(n, grain, f)     f(begin, end) on disjoint pieces that cover [0, n)
///   parallel_chunks(n, chunk, f)  f(index, begin, end); the boundaries depend on n and chunk only
///
/// A reduction that must give the same bits for every thread count puts one partial result per
/// chunk into an array with `parallel_chunks` and adds the array up in order afterwards.
///
/// The pool starts with the first region that needs it. Its workers spin for a few microseconds
/// after a region, so that consecutive regions start quickly, and then sleep. A region inside a
/// region, or one that starts while another thread's region has the workers, runs on the calling
/// thread: there is no oversubscription and nothing to deadlock on.
///
/// Process exit: the pool is never destroyed and its workers are detached, so regions also work in
/// static destructors. fork(): the child starts a pool of its own at its first region; forking from
/// inside a region and then finishing that region in the child is not supported.
///
/// Built on pthreads directly: <thread>, <mutex> and <condition_variable> would triple what this
/// header costs to include.

#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <type_traits>
#include <utility>

#include "tandem/tensor/config.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/restore.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

/// The largest accepted thread count.
inline constexpr int max_threads = 1024;

namespace detail {

/// How long a thread polls before it sleeps.
inline constexpr std::int64_t spin_nanoseconds = 30'000;

/// How many CPUs the scheduler lets this process use, at least 1.
inline int available_cpus() {
#if defined(__linux__)
  // The kernel refuses a mask shorter than its own, so grow it until it fits.
  for (int cpus = 1024; cpus <= (1 << 20); cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(cpus));
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
    const int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
#endif
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<int>(online) : 1;
}

/// The thread count to start with: min(available, TANDEM_NUM_THREADS), where `text` is the
/// variable's value and null or empty means that it is not set.
inline int default_num_threads(int available, const char* text) {
  int limit = max_threads;
  if (text != nullptr && *text != '\0') {
    int value = 0;
    for (const char* p = text; *p != '\0' && value >= 0; ++p) {
      value = *p >= '0' && *p <= '9' ? value * 10 + (*p - '0') : -1;
      if (value > max_threads) value = -1;
    }
    TANDEM_CHECK(value >= 1, "threads", "TANDEM_NUM_THREADS must be a whole number from 1 to ",
                 max_threads, ", got \"", text, "\"");
    limit = value;
  }
  return available < limit ? available : limit;
}

/// The current setting. Throws, every time, while the environment variable is malformed.
inline std::atomic<int>& thread_setting() {
  static std::atomic<int> setting{
      default_num_threads(available_cpus(), std::getenv("TANDEM_NUM_THREADS"))};
  return setting;
}

/// True while this thread runs a piece of some region.
inline thread_local constinit bool in_region = false;

inline void cpu_relax() {
#if TANDEM_X86
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

/// Polls `ready` until it is true (returns true) or `nanoseconds` have passed (returns false).
template <class Ready>
bool spin_until(Ready ready, std::int64_t nanoseconds) {
  const auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
  };
  if (ready()) return true;
  if (nanoseconds <= 0) return false;
  const std::int64_t stop = now() + nanoseconds;
  do {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      cpu_relax();
    }
  } while (now() < stop);
  return false;
}

/// One task of a region: `context` is the caller's closure, passed without allocating.
using TaskFunction = void (*)(void* context, std::int64_t task);

/// The workers and the one region that they can run at a time.
///
/// `gate_` holds the whole protocol in one word: the upper half counts the places still open to
/// workers, the lower half the workers inside. The caller writes the region's fields and then opens
/// the gate; a worker enters by moving one count from the upper half to the lower, hands out tasks
/// from `next_` in increasing order and leaves. Whoever finds that no task is left closes the gate,
/// so a worker that comes late cannot enter, and the caller returns once nobody is inside.
class Pool {
 public:
  /// Runs function(context, 0 … tasks−1) on up to `threads` threads, this one included. Rethrows
  /// the exception of the smallest task that threw; tasks that were not begun by then are skipped.
  void run(std::int64_t tasks, int threads, TaskFunction function, void* context) {
    if (pthread_mutex_trylock(&region_mutex_) != 0) return run_inline(tasks, function, context);
    const int workers = start_workers(threads - 1);
    function_ = function;
    context_ = context;
    tasks_ = tasks;
    failed_task_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    // Polling while another thread waits for this very CPU only delays that thread.
    spin_.store(threads <= cpus_ ? spin_nanoseconds : 0, std::memory_order_relaxed);
    gate_.store(static_cast<std::uint32_t>(workers) << 16, std::memory_order_seq_cst);
    wake(workers);
    work();
    const auto all_left = [this] { return gate_.load(std::memory_order_seq_cst) == 0; };
    if (!spin_until(all_left, spin_.load(std::memory_order_relaxed))) {
      pthread_mutex_lock(&sleep_mutex_);
      caller_sleeps_.store(true, std::memory_order_seq_cst);
      while (!all_left()) pthread_cond_wait(&all_left_, &sleep_mutex_);
      caller_sleeps_.store(false, std::memory_order_relaxed);
      pthread_mutex_unlock(&sleep_mutex_);
    }
    const std::exception_ptr error = std::move(error_);
    error_ = nullptr;
    pthread_mutex_unlock(&region_mutex_);
    if (error) std::rethrow_exception(error);
  }

  static void run_inline(std::int64_t tasks, TaskFunction function, void* context) {
    for (std::int64_t task = 0; task < tasks; ++task) function(context, task);
  }

 private:
  static constexpr std::uint32_t inside_mask = 0xffff;

  /// Runs tasks until none is left, then closes the gate.
  void work() {
    const tandem::detail::Restore outer(in_region, true);
    for (;;) {
      const std::int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks_) break;
      try {
        function_(context_, task);
      } catch (...) {
        // Tasks are handed out in order, so every smaller one has begun and gets its say: which
        // error is reported does not depend on timing.
        next_.store(tasks_, std::memory_order_relaxed);
        pthread_mutex_lock(&error_mutex_);
        if (task < failed_task_) {
          failed_task_ = task;
          error_ = std::current_exception();
        }
        pthread_mutex_unlock(&error_mutex_);
      }
    }
    gate_.fetch_and(inside_mask, std::memory_order_acq_rel);
  }

  bool is_open() const { return (gate_.load(std::memory_order_seq_cst) & ~inside_mask) != 0; }

  bool enter() {
    std::uint32_t gate = gate_.load(std::memory_order_acquire);
    while ((gate & ~inside_mask) != 0) {
      if (gate_.compare_exchange_weak(gate, gate - inside_mask, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        return true;  // − 2^16 + 1: one place fewer, one worker more
      }
    }
    return false;
  }

  void leave() {
    if (gate_.fetch_sub(1, std::memory_order_seq_cst) == 1 &&
        caller_sleeps_.load(std::memory_order_seq_cst)) {
      pthread_mutex_lock(&sleep_mutex_);
      pthread_cond_signal(&all_left_);
      pthread_mutex_unlock(&sleep_mutex_);
    }
  }

  [[noreturn]] void worker_loop() {
    for (;;) {
      while (enter()) {
        work();
        leave();
      }
      const std::int64_t spin = spin_.load(std::memory_order_relaxed);
      if (spin_until([this] { return is_open(); }, spin)) continue;
      pthread_mutex_lock(&sleep_mutex_);
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      while (!is_open()) pthread_cond_wait(&opened_, &sleep_mutex_);
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
      pthread_mutex_unlock(&sleep_mutex_);
    }
  }

  /// A worker counts itself among the sleepers before it looks at the gate for the last time, and
  /// this looks at the sleepers after opening the gate: one of the two sees the other.
  void wake(int workers) {
    const int sleepers = sleepers_.load(std::memory_order_seq_cst);
    if (sleepers == 0) return;
    pthread_mutex_lock(&sleep_mutex_);
    if (workers >= sleepers) {
      pthread_cond_broadcast(&opened_);
    } else {
      for (int i = 0; i < workers; ++i) pthread_cond_signal(&opened_);
    }
    pthread_mutex_unlock(&sleep_mutex_);
  }

  /// Makes sure that `wanted` workers exist; returns how many of them really do.
  int start_workers(int wanted) {
    const auto entry = [](void* pool) -> void* { static_cast<Pool*>(pool)->worker_loop(); };
    while (workers_ < wanted) {
      pthread_t thread;
      if (pthread_create(&thread, nullptr, entry, this) != 0) return workers_;
      pthread_detach(thread);
      ++workers_;
    }
    return wanted;
  }

  // The region's fields: written by the caller while the gate is shut and nobody is inside.
  TaskFunction function_ = nullptr;
  void* context_ = nullptr;
  std::int64_t tasks_ = 0;
  std::int64_t failed_task_ = 0;  // with error_ under error_mutex_
  std::exception_ptr error_;
  int workers_ = 0;  // under region_mutex_
  const int cpus_ = available_cpus();

  pthread_mutex_t region_mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_t error_mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_t sleep_mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t opened_ = PTHREAD_COND_INITIALIZER;
  pthread_cond_t all_left_ = PTHREAD_COND_INITIALIZER;

  alignas(64) std::atomic<std::uint32_t> gate_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<std::int64_t> spin_{spin_nanoseconds};
  alignas(64) std::atomic<std::int64_t> next_{0};
};

inline constinit std::atomic<Pool*> pool_pointer{nullptr};

inline Pool& pool() {
  Pool* current = pool_pointer.load(std::memory_order_acquire);
  if (current != nullptr) [[likely]]
    return *current;
  // The workers do not exist in a forked child: it forgets the parent's pool and makes its own.
  static const int registered = pthread_atfork(
      nullptr, nullptr, [] { pool_pointer.store(nullptr, std::memory_order_relaxed); });
  static_cast<void>(registered);
  Pool* created = new Pool;  // without std::unique_ptr: <memory> brings the streams along
  if (pool_pointer.compare_exchange_strong(current, created, std::memory_order_acq_rel))
    return *created;
  delete created;
  return *current;
}

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

/// Where the piece that begins at `begin` ends; written so that nothing overflows.
inline std::int64_t piece_end(std::int64_t begin, std::int64_t piece, std::int64_t n) {
  return n - begin <= piece ? n : begin + piece;
}

}  // namespace detail

/// How many threads a region may use. At first min(CPUs this process may run on,
/// TANDEM_NUM_THREADS). Throws Error if that variable is not a whole number from 1 to max_threads.
///
///   std::printf("%d threads\n", tandem::cpu::num_threads());
inline int num_threads() { return detail::thread_setting().load(std::memory_order_relaxed); }

/// Sets how many threads the regions that start from now on may use, for the whole process. It may
/// exceed the number of CPUs. Throws Error outside 1 … max_threads.
///
///   tandem::cpu::set_num_threads(1);
inline void set_num_threads(int count) {
  TANDEM_CHECK(count >= 1 && count <= max_threads, "set_num_threads",
               "the thread count must be from 1 to ", max_threads, ", got ", count);
  detail::thread_setting().store(count, std::memory_order_relaxed);
}

/// True inside a function that a region of several threads is running.
inline bool in_parallel_region() { return detail::in_region; }

/// The number of chunks that `parallel_chunks(n, chunk, …)` makes: ⌈n / chunk⌉.
inline std::int64_t num_chunks(std::int64_t n, std::int64_t chunk) {
  TANDEM_CHECK(n >= 0 && chunk >= 1, "num_chunks", "expected n >= 0 and chunk >= 1, got n = ", n,
               " and chunk = ", chunk);
  return detail::ceil_div(n, chunk);
}

/// Calls f(begin, end) on disjoint ranges that cover [0, n), on min(num_threads(), n / grain)
/// threads: `grain` is the smallest amount of work worth a thread of its own (as a rule of thumb,
/// about 10 µs). The ranges depend on the thread count, so f must treat each index by itself; for
/// reductions see parallel_chunks. An exception thrown by f reaches the caller, that of the
/// smallest range if there are several, after every running range has ended.
///
///   parallel_for(n, 16384, [&](std::int64_t begin, std::int64_t end) {
///     for (std::int64_t i = begin; i < end; ++i) y[i] = 2 * x[i];
///   });
template <class F>
void parallel_for(std::int64_t n, std::int64_t grain, F&& f) {
  TANDEM_CHECK(n >= 0 && grain >= 1, "parallel_for", "expected n >= 0 and grain >= 1, got n = ", n,
               " and grain = ", grain);
  if (n == 0) return;
  const std::int64_t useful = n / grain;
  std::int64_t threads = useful > 1 && !detail::in_region ? num_threads() : 1;
  if (threads > useful) threads = useful;
  if (threads <= 1) {
    f(std::int64_t{0}, n);
    return;
  }
  // A few pieces per thread even out what the system takes away from some of them. Long pieces are
  // cut at multiples of 64, so that no two threads write to one cache line of an aligned array.
  const std::int64_t pieces = useful < 4 * threads ? threads : 4 * threads;
  std::int64_t piece = detail::ceil_div(n, pieces);
  if (piece >= 1024) piece += (64 - piece % 64) % 64;
  struct Context {
    std::remove_reference_t<F>* f;
    std::int64_t n;
    std::int64_t piece;
  } context{__builtin_addressof(f), n, piece};
  detail::pool().run(
      detail::ceil_div(n, piece), static_cast<int>(threads),
      [](void* opaque, std::int64_t task) {
        const Context& c = *static_cast<const Context*>(opaque);
        const std::int64_t begin = task * c.piece;
        (*c.f)(begin, detail::piece_end(begin, c.piece, c.n));
      },
      &context);
}

/// Calls f(index, begin, end) for chunk index = 0 … num_chunks(n, chunk)−1, which is
/// [index·chunk, min(n, (index+1)·chunk)): the same chunks whatever the thread count. Threads take
/// chunks as they become free, so chunks may cost different amounts. Exceptions as in parallel_for.
///
///   std::vector<double> part(static_cast<std::size_t>(num_chunks(n, 4096)));
///   parallel_chunks(n, 4096, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
///     part[static_cast<std::size_t>(i)] = std::accumulate(x + begin, x + end, 0.0);
///   });
///   double sum = std::accumulate(part.begin(), part.end(), 0.0);  // same bits always
template <class F>
void parallel_chunks(std::int64_t n, std::int64_t chunk, F&& f) {
  const std::int64_t chunks = num_chunks(n, chunk);
  struct Context {
    std::remove_reference_t<F>* f;
    std::int64_t n;
    std::int64_t chunk;
  } context{__builtin_addressof(f), n, chunk};
  const detail::TaskFunction task_function = [](void* opaque, std::int64_t task) {
    const Context& c = *static_cast<const Context*>(opaque);
    const std::int64_t begin = task * c.chunk;
    (*c.f)(task, begin, detail::piece_end(begin, c.chunk, c.n));
  };
  std::int64_t threads = chunks > 1 && !detail::in_region ? num_threads() : 1;
  if (threads > chunks) threads = chunks;
  if (threads <= 1) {
    detail::Pool::run_inline(chunks, task_function, &context);
  } else {
    detail::pool().run(chunks, static_cast<int>(threads), task_function, &context);
  }
}

}  // namespace cpu
TANDEM_NAMESPACE_END
