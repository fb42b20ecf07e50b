#pragma once
/// Which file lies where in memory: so that a file that another program shortens while it is mapped
/// is named, where the system alone would end the program with "Bus error".

#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {
namespace detail {

/// One mapped file in the list of all. Its owner, MappedFile, does not move.
struct MappedRange {
  const unsigned char* begin = nullptr;
  std::size_t size = 0;
  const char* path = nullptr;
  dev_t device = 0;
  ino_t inode = 0;
  MappedRange* previous = nullptr;
  MappedRange* next = nullptr;
};

/// The list. A spin lock, because the signal handler needs it too: nobody touches mapped memory
/// while holding it, so the thread that faults is never the one that holds it.
class MappedRanges {
 public:
  void add(MappedRange& range) {
    const Guard guard(*this);
    range.next = first_;
    if (first_ != nullptr) first_->previous = &range;
    first_ = &range;
  }
  void remove(MappedRange& range) {
    const Guard guard(*this);
    (range.previous != nullptr ? range.previous->next : first_) = range.next;
    if (range.next != nullptr) range.next->previous = range.previous;
    range.previous = range.next = nullptr;
  }
  /// Calls f(range) for each until it returns true.
  template <class F>
  void visit(const F& f) {
    const Guard guard(*this);
    for (const MappedRange* range = first_; range != nullptr && !f(*range);) range = range->next;
  }

 private:
  struct Guard {
    explicit Guard(MappedRanges& ranges) : of(ranges) {
      while (__atomic_test_and_set(&of.busy_, __ATOMIC_ACQUIRE)) ::sched_yield();
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard() { __atomic_clear(&of.busy_, __ATOMIC_RELEASE); }
    MappedRanges& of;
  };

  MappedRange* first_ = nullptr;
  bool busy_ = false;
};

inline constinit MappedRanges mapped_ranges;

struct BusErrors {
  struct sigaction before {};
  char program[64] = "";
};
inline constinit BusErrors bus_errors;

/// Text to stderr, without the control bytes that a file name may hold.
inline void say(const char* text) {
  for (; *text != '\0'; ++text) {
    const char c = static_cast<unsigned char>(*text) < 32 && *text != '\n' ? '?' : *text;
    if (::write(2, &c, 1) != 1) return;
  }
}

/// Only what POSIX allows in a signal handler happens here.
inline void on_bus_error(int number, siginfo_t* info, void*) {
  const auto* address = static_cast<const unsigned char*>(info->si_addr);
  bool found = false;
  if (info->si_code > 0) {  // a fault, not a signal that somebody sent
    mapped_ranges.visit([&](const MappedRange& range) {
      if (address < range.begin || address >= range.begin + range.size) return false;
      say(bus_errors.program);
      say(": error: [read] ");
      say(range.path);
      say(": the file was shortened by another program while it was being read, or its disk cannot "
          "be read\n");
      return found = true;
    });
  }
  if (found) ::_exit(1);
  // Not ours: whoever was there before gets it, when the instruction is run again.
  ::sigaction(SIGBUS, &bus_errors.before, nullptr);
  if (info->si_code <= 0) ::raise(number);
}

}  // namespace detail

/// From now on a mapped file that is shortened under the program ends it with exit status 1 and a
/// sentence on stderr that names the file, "PROGRAM: error: [read] a.npy: …", instead of a bare
/// SIGBUS. Faults elsewhere go to the handler that was there before. A library does not take
/// signals unasked: call it in main, once. The programs of examples/ do.
inline void name_shortened_files(const std::string& program) {
  const std::size_t size =
      program.copy(detail::bus_errors.program, sizeof detail::bus_errors.program - 1);
  detail::bus_errors.program[size] = '\0';
  struct sigaction action {
  }, now{};
  action.sa_sigaction = detail::on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  if (::sigaction(SIGBUS, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
      now.sa_sigaction == detail::on_bus_error) {
    return;
  }
  ::sigaction(SIGBUS, &action, &detail::bus_errors.before);
}

/// Refuses when a file that is mapped now has become shorter than it was: up to the end of its last
/// page the system gives zeros for what is gone, and no signal. A file that was replaced or removed
/// is still read as it was.
inline void check_mapped_files() {
  std::string shortened;
  detail::mapped_ranges.visit([&](const detail::MappedRange& range) {
    struct stat now {};
    if (::stat(range.path, &now) != 0 || now.st_dev != range.device || now.st_ino != range.inode)
      return false;
    if (static_cast<std::size_t>(now.st_size) >= range.size) return false;
    shortened =
        concat(range.path, ": the file had ", range.size, " bytes when it was opened and has ",
               now.st_size, " now: another program shortened it while it was being read");
    return true;
  });
  if (!shortened.empty()) fail("read", shortened);
}

}  // namespace io
TANDEM_NAMESPACE_END
