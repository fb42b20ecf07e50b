#pragma once
/// metrics.jsonl of a run, a line per step, round and evaluation, and metrics.csv, the same as a
/// table.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "csv.hpp"
#include "dcl_start.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/json_reader.hpp"

namespace dcl {

/// Now, in UTC: "2026-11-30T04:35:42Z".
inline std::string iso_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&now, &parts) != nullptr)
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

/// Rounded to `digits` behind the point, so that a number that is only roughly known is short.
inline double rounded(double value, int digits) {
  const double unit = std::pow(10.0, digits);
  return std::round(value * unit) / unit;
}

/// The lines of metrics.jsonl. A resumed run drops what was written after its checkpoint, and the
/// final evaluation, which it will write again, so that the file of an interrupted run equals that
/// of an uninterrupted one but for the times. Options that it changes have a line. A file that is
/// removed or replaced under the run, and a full disk, are errors.
///
/// Every line ends with "seconds", since the start of the run (those of an interrupted run count up
/// to the checkpoint, the pause does not), and "time", the wall clock; with "frames_per_second" of
/// the steps they are all that two equal runs may differ in.
class Metrics {
 public:
  /// `steps`: those of the checkpoint. `unjudged`: the end of the round at that step is to be
  /// judged again.
  Metrics(const std::string& path, bool resume, std::int64_t steps, bool unjudged,
          const std::vector<Change>& changes)
      : path_(path) {
    std::string kept;
    std::int64_t lines = 0;
    if (resume && tandem::io::is_file(path)) {
      const std::string text = tandem::io::read_text(path);
      tandem::io::JsonStart start;
      for (std::size_t at = 0; at < text.size(); ++start.lines) {
        const std::size_t end = text.find('\n', at);
        if (end == std::string::npos) break;  // a line that was cut short
        const std::string line = text.substr(at, end - at);
        start.bytes = at;
        at = end + 1;
        const tandem::io::JsonDocument document(tandem::concat(path, ":", start.lines + 1),
                                                tandem::io::parse_json(line, path, {}, start));
        const auto root = document.root();
        const std::int64_t step = root["step"].integer();
        const bool of_a_step = root.find("loss").has_value();
        if (step > steps || root.get("evaluation", "") == "final") continue;
        const bool of_changes = root.find("changed_options").has_value();
        // The checkpoint does not have these changes, so they were written and then lost to a kill.
        if (step == steps && of_changes && !changes.empty()) continue;
        const bool of_a_round = !root.get("evaluation", "").starts_with("step ");
        if (unjudged && step == steps && !of_a_step && !of_changes && of_a_round) continue;
        lines += of_a_step;
        before_ = std::max(before_, root.get("seconds", 0.0));
        kept += line + "\n";
      }
    }
    if (resume && lines != steps) {
      note_ = tandem::concat(path, " has lines of ", lines, " of the ", steps,
                             " steps before the checkpoint: it was ", "removed or changed since");
    }
    tandem::io::write_text(path, kept);
    size_ = static_cast<std::int64_t>(kept.size());
    fd_.reset(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    if (fd_.get() < 0) give_up("cannot append to it", errno);
    if (changes.empty()) return;
    tandem::io::Json line = tandem::io::Json::object();
    line["step"] = steps;
    for (const Change& change : changes) {
      line["changed_options"][change.name] = {{"before", change.before}, {"after", change.after}};
    }
    add(line);
  }

  /// What is wrong with the lines of the earlier run, or "".
  const std::string& note() const { return note_; }

  /// Writes a line, to which it adds the times.
  void add(tandem::io::Json line) {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
    line["seconds"] = rounded(before_ + spent.count(), 3);
    line["time"] = iso_time();
    const std::string text = tandem::io::json_text(line) + "\n";
    TANDEM_CHECK(tandem::io::detail::is_named(fd_.get(), path_), "metrics", path_,
                 ": the file was removed or replaced while the run was writing it");
    struct stat info {};
    TANDEM_CHECK(::fstat(fd_.get(), &info) == 0 && info.st_size == size_, "metrics", path_,
                 ": the file was changed ", "while the run was writing it: it has ", info.st_size,
                 " bytes, ", size_, " were written");
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t done = ::write(fd_.get(), text.data() + at, text.size() - at);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) give_up("cannot write to it", errno);
      at += static_cast<std::size_t>(done);
      size_ += done;
    }
  }
  /// Onto the disk, before a checkpoint counts on it.
  void sync() const { ::fdatasync(fd_.get()); }

 private:
  [[noreturn]] void give_up(const char* what, int code) const {
    tandem::fail("metrics", path_, ": ", what, ": ", tandem::io::detail::system_message(code));
  }

  std::string path_, note_;
  tandem::io::detail::Descriptor fd_{-1};
  std::int64_t size_ = 0;
  double before_ = 0;  // seconds of the run before this process
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// metrics.jsonl as one table: a row for each line, a column for each number that any line has
/// ("map.0.50" is the one called 0.50 in "map"), in the order in which they come first; blank where
/// a line has none.
inline void write_metrics_csv(const std::string& lines_path, const std::string& csv_path) {
  const std::string text = tandem::io::read_text(lines_path);
  const auto each_line = [&](const auto& use) {
    std::vector<std::pair<std::string, std::string>> cells;
    for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != text.npos; at = end + 1) {
      cells.clear();
      cli::flatten(tandem::io::parse_json(text.substr(at, end - at), lines_path), "", cells);
      use(cells);
    }
  };
  std::vector<std::string> columns;
  std::unordered_map<std::string, std::size_t> place;
  each_line([&](const auto& cells) {
    for (const auto& [name, value] : cells) {
      if (place.emplace(name, columns.size()).second) columns.push_back(name);
    }
  });
  std::string out = cli::csv_line(columns);
  each_line([&](const auto& cells) {
    std::vector<std::string> row(columns.size());
    for (const auto& [name, value] : cells) row[place.at(name)] = value;
    out += cli::csv_line(row);
  });
  tandem::io::write_text(csv_path, out);
}

}  // namespace dcl
