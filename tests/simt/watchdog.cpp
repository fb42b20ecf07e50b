#include "watchdog.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include <atomic>

#include "executor.hpp"

namespace simt {
namespace {

// The timer counts the CPU time of the process, so a machine that is busy with other things stops
// nothing.
constexpr double tick_seconds = 0.05;
std::atomic<long> patience_ticks{static_cast<long>(10 / tick_seconds)};
std::atomic<void (*)(void*)> stop_function{nullptr};
std::atomic<void*> stop_context{nullptr};
std::atomic<long> idle_ticks{0}, block_ticks{0};
pthread_t watched;

void tick(int) {
  if (pthread_equal(pthread_self(), watched) ==
      0) {  // the signal goes to any thread of the process
    pthread_kill(watched, SIGVTALRM);
    return;
  }
  ++block_ticks;
  if (++idle_ticks < patience_ticks) return;
  idle_ticks = 0;
  if (const auto stop = stop_function.load()) stop(stop_context);
}

void start_timer() {
  struct sigaction action {};
  action.sa_handler = tick;
  action.sa_flags = SA_RESTART | SA_NODEFER;  // the handler may be left for good
  sigaction(SIGVTALRM, &action, nullptr);
  const auto microseconds = static_cast<long>(tick_seconds * 1e6);
  const itimerval every{{0, microseconds}, {0, microseconds}};
  setitimer(ITIMER_VIRTUAL, &every, nullptr);
}
void stop_timer() {
  const itimerval never{};
  setitimer(ITIMER_VIRTUAL, &never, nullptr);
}

}  // namespace

Watch::Watch(void (*stop)(void*), void* context) {
  watched = pthread_self();
  block_starts();
  stop_context = context;
  stop_function = stop;
  start_timer();
}
Watch::~Watch() {
  stop_timer();
  stop_function = nullptr;
}
void Watch::block_starts() { idle_ticks = block_ticks = 0; }
void Watch::step() { idle_ticks = 0; }
bool Watch::exhausted() const { return block_ticks > 20 * patience_ticks; }

void set_patience(double seconds) {
  // Two at least: a tick may come right after a step, while the executor itself is at work.
  patience_ticks = seconds < 2 * tick_seconds ? 2 : static_cast<long>(seconds / tick_seconds);
}

}  // namespace simt
