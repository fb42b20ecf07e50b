#pragma once
/// What the programs owe to the system that runs them: signals that ask to stop, a standard output
/// that can fail, files that shrink.

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>

#include "tandem/io/mapped_ranges.hpp"

namespace cli {

/// Thrown where a program notices that it was asked to stop; run() says so and returns 128 +
/// signal, as shells do.
class Stopped : public std::exception {
 public:
  explicit Stopped(int signal, std::string message = "")
      : signal_(signal), message_(std::move(message)) {}
  int signal() const { return signal_; }
  std::string name() const {
    return signal_ == SIGINT    ? "SIGINT"
           : signal_ == SIGTERM ? "SIGTERM"
           : signal_ == SIGHUP  ? "SIGHUP"
                                : "a signal";
  }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  int signal_;
  std::string message_;
};

namespace detail {
inline volatile sig_atomic_t stop_signal = 0;
inline void on_stop(int signal) {
  if (stop_signal != 0) ::_exit(128 + signal);
  stop_signal = signal;
}
}  // namespace detail

/// While it lives, the first SIGINT (Ctrl-C), SIGTERM (kill, a job scheduler) or SIGHUP (a closed
/// terminal) is only noted, so that the program can save its work at the next check(); the second
/// ends the program at once. A signal that was ignored before (nohup, a background job) stays
/// ignored.
///   cli::StopSignals stop;
///   while (…) { work(); stop.check(); }
class StopSignals {
 public:
  StopSignals() {
    detail::stop_signal = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      struct sigaction action {};
      action.sa_handler = detail::on_stop;
      ::sigemptyset(&action.sa_mask);
      action.sa_flags = SA_RESTART;
      if (::sigaction(signals[i], nullptr, &before_[i]) == 0 && before_[i].sa_handler != SIG_IGN) {
        ::sigaction(signals[i], &action, nullptr);
      }
    }
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals() {
    for (std::size_t i = 0; i < 3; ++i) ::sigaction(signals[i], &before_[i], nullptr);
  }

  /// The signal that came, or 0.
  int received() const { return detail::stop_signal; }
  /// Throws Stopped when one came.
  void check() const {
    if (received() != 0) throw Stopped(received());
  }

 private:
  static constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction before_[3] = {};
};

/// Once at the start of a program: a mapped file that shrinks, and a file that may not grow further
/// (RLIMIT_FSIZE), are named in a sentence instead of ending the program with a signal.
inline void prepare_process(const std::string& name) {
  tandem::io::name_shortened_files(name);
  ::signal(SIGXFSZ, SIG_IGN);
}

/// Hands what was printed to the system. Throws when it, or something before it, could not be
/// written: a full disk, /dev/full. A program that works for long calls it after its first lines.
inline void flush_output() {
  std::cout.flush();
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good()) return;
  const int code = errno;
  tandem::fail("stdout", "cannot write to the standard output", code != 0 ? ": " : "",
               code != 0 ? std::strerror(code) : "");
}

}  // namespace cli
