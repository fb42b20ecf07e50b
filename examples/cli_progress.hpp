#pragma once
/// How far a loop is: a bar on a terminal, a line now and then in a log.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "cli_text.hpp"

namespace cli {

/// One line: "warm-up [=====>    ]  120/200  0:42 left  loss 0.31".
/// `seconds` were spent on the last `done − first` of `total` steps; the rest is estimated from
/// them.
inline std::string progress_line(std::string_view label, std::size_t done, std::size_t total,
                                 std::size_t first, double seconds, std::string_view note) {
  constexpr std::size_t width = 24;
  done = std::min(done, total);
  const std::size_t filled = total == 0 ? width : done * width / total;
  std::string bar(width, ' ');
  std::fill_n(bar.begin(), filled, '=');
  if (filled < width && done > 0) bar[filled] = '>';
  const std::string count = std::to_string(done);
  const std::string all = std::to_string(total);
  std::string line(label);
  line += " [" + bar + "]  " + std::string(all.size() - std::min(all.size(), count.size()), ' ') +
          count + "/" + all + "  ";
  if (done >= total) {
    line += duration(seconds);
  } else if (done > first) {
    const double each = seconds / static_cast<double>(done - first);
    line += duration(each * static_cast<double>(total - done)) + " left";
  } else {
    line += "starting";
  }
  if (!note.empty()) {
    line += "  ";
    line += note;
  }
  return line;
}

/// Shows how far a loop is, on stderr: a bar that is redrawn on a terminal, a line every 15 seconds
/// into a file or pipe.
///   cli::Progress progress("warm-up", steps);
///   for (…) progress.update(step + 1, "loss " + cli::fixed(loss, 3));
///   progress.finish();
class Progress {
 public:
  /// `first`: steps done before, by an earlier run; they do not count for the time.
  Progress(std::string label, std::size_t total, std::size_t first = 0, std::FILE* file = stderr)
      : label_(printable(label)),
        total_(total),
        first_(first),
        file_(file),
        terminal_(::isatty(::fileno(file)) != 0),
        done_(first) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { leave_line(); }

  void update(std::size_t done, std::string_view note = "") {
    done_ = done;
    note_ = printable(note);
    const Clock::time_point now = Clock::now();
    const double pause = terminal_ ? 0.1 : 15.0;
    if (std::chrono::duration<double>(now - drawn_).count() < pause) return;
    draw(now);
  }

  /// Shows the last state and ends the line.
  void finish(std::string_view note = "") {
    if (!note.empty()) note_ = printable(note);
    draw(Clock::now());
    leave_line();
  }

  /// Prints a line above the bar.
  void print(const std::string& line) {
    if (terminal_) std::fputs("\r\x1b[K", file_);
    std::fprintf(file_, "%s\n", printable(line).c_str());
    if (open_) draw(Clock::now());
  }

 private:
  using Clock = std::chrono::steady_clock;

  void draw(Clock::time_point now) {
    drawn_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const std::string line = progress_line(label_, done_, total_, first_, seconds, note_);
    std::fprintf(file_, terminal_ ? "\r\x1b[K%s" : "%s\n", line.c_str());
    std::fflush(file_);
    open_ = terminal_;
  }
  void leave_line() {
    if (std::exchange(open_, false)) std::fputc('\n', file_);
  }

  std::string label_;
  std::size_t total_;
  std::size_t first_;
  std::FILE* file_;
  bool terminal_;
  std::size_t done_;
  std::string note_;
  bool open_ = false;  // a bar stands on the current line of the terminal
  Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_ = start_;
};

}  // namespace cli
