#pragma once
/// Will a training step fit into this machine's memory? A step that does not is refused with a
/// sentence before the first one; else the system would kill the process in the middle of it.
///
/// What is counted, at 4 bytes a number, is what must exist at one time and nothing else (copies
/// that come and go in the backward are not), so that no step that fits is refused:
///
///   parameters   4·P: values, gradients and Adam's two moments
///     P = layers·(4 + 2·ratio)·W² + W·(input + classes)
///   frames       of a batch of B videos, padded to the longest crop of T rows:
///     B·T·(I3D columns + CLIP columns)           the rows
///     B·T·(8 + 2·ratio)·W·layers                 what a block keeps for the backward: its input,
///                                                two norms, q, k, v, attention, sum, perceptron
///     B·T·(1 + ratio)·W                          the gradient inside the last perceptron
///     (where the last block leaves frames out, 5·W for it and no such gradient)
///     B·T·4·classes                              scores, their gradient, H and the loss
///     Of another method in CBP's place: P and what it keeps of a row by its layers
///     (method_memory.hpp), and so of Boosting-WTAL (boosting_memory.hpp).
///   texts        rows of all prompts · 10·width·layers of the frozen text encoder: B steps only

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "common_cli.hpp"
#include "layer_memory.hpp"

namespace cli {

/// A limit on memory, and who sets it.
struct MemoryLimit {
  double bytes = std::numeric_limits<double>::infinity();
  std::string source;
};

/// The memory that a process here may have: the machine's, or less where a control group says so.
/// `root` stands before the paths of files, for tests.
inline MemoryLimit memory_limit(const std::string& root = "") {
  MemoryLimit limit;
  const auto least = [&limit](double bytes, const char* source) {
    if (bytes < limit.bytes) limit = {bytes, source};
  };
  std::ifstream machine(root + "/proc/meminfo");
  for (std::string line; std::getline(machine, line);) {
    double kilobytes = 0;
    if (line.starts_with("MemTotal:") && std::sscanf(line.c_str() + 9, "%lf", &kilobytes) == 1) {
      least(kilobytes * 1024, "this machine has");
    }
  }
  const auto group_limit = [&](const std::string& path) {
    std::ifstream file(root + path);
    double bytes = 0;
    if (file >> bytes) least(bytes, "this process's control group allows");  // not for "max"
  };
  // A group is limited by its own file and by those of all groups around it.
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool unified = controllers == ",,";
    if (!unified && controllers.find(",memory,") == std::string::npos) continue;
    const std::string folder = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const std::string file = unified ? "/memory.max" : "/memory.limit_in_bytes";
    std::string group = line.substr(second + 1);
    while (!group.empty() && group != "/") {
      group_limit(folder + group + file);
      group.erase(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
    }
    group_limit(folder + file);  // a container sees its own group here
  }
  return limit;
}

/// A branch that learns, as the formula above has it; with `layers_of` by its layers.
struct StudentSize {
  std::int64_t input = 0, classes = 0, width = 0, layers = 0, mlp_ratio = 4;
  bool all_frames = true;  ///< in its last block too; not so when it is taught decided frames only
  LayerMemory layers_of = {};  ///< where it has parameters: they and what it keeps
};

/// What decides the size of a step.
struct StepSize {
  std::int64_t videos = 0, rows = 0;           ///< B and T
  std::int64_t columns = 0;                    ///< of I3D and CLIP rows together
  std::int64_t text_rows = 0, text_width = 0;  ///< of all prompts
  std::int64_t text_layers = 0;
  std::optional<StudentSize> cbp = {}, vlp = {};
};

/// Bytes by the formula above.
struct StepMemory {
  double parameters = 0, rows = 0, cbp = 0, vlp = 0, texts = 0;
  /// Of frames; one branch learns at a time.
  double frames() const { return rows + std::max(cbp, vlp); }
  double total() const { return parameters + rows + std::max(cbp, vlp + texts); }
};

inline StepMemory step_memory(const StepSize& size) {
  const auto number = [](std::int64_t n) { return static_cast<double>(n); };
  const double rows = number(size.videos) * number(size.rows);
  StepMemory out;
  const auto add = [&](const StudentSize& s, double& activations) {
    if (s.layers_of.parameters > 0) {
      out.parameters += 16 * s.layers_of.parameters;
      activations = 4 * rows * s.layers_of.per_row;
      return;
    }
    const double w = number(s.width), layers = number(s.layers), ratio = number(s.mlp_ratio);
    out.parameters +=
        16 * (layers * (4 + 2 * ratio) * w * w + w * (number(s.input) + number(s.classes)));
    const double block = (8 + 2 * ratio) * w, last = s.all_frames ? block + (1 + ratio) * w : 5 * w,
                 blocks = layers > 0 ? block * (layers - 1) + last : w;
    activations = 4 * rows * (blocks + 4 * number(s.classes));
  };
  if (size.cbp) add(*size.cbp, out.cbp);
  if (size.vlp) add(*size.vlp, out.vlp);
  out.rows = 4 * rows * number(size.columns);
  out.texts = 4 * number(size.text_rows) * 10 * number(size.text_width) * number(size.text_layers);
  return out;
}

/// A part of what a step needs, and the options that make it smaller.
struct MemoryPart {
  double bytes;
  const char* options;
};

/// Throws where the sum of the parts does not fit, and says what to make smaller: the options of
/// the largest part, the first one of them.
inline void check_memory_parts(const char* program, const std::string& what, double total,
                               std::initializer_list<MemoryPart> parts, const MemoryLimit& limit) {
  if (total <= limit.bytes) return;
  const MemoryPart* largest = parts.begin();
  for (const MemoryPart& part : parts) {
    if (part.bytes > largest->bytes) largest = &part;
  }
  const auto gigabytes = [](double bytes) { return fixed(bytes / 1e9, bytes < 1e12 ? 1 : 0); };
  tandem::fail(program, what, " at least ", gigabytes(total), " GB of memory, ", limit.source, " ",
               gigabytes(limit.bytes), " GB: reduce ", largest->options);
}

/// "a step on 10 videos of 1000 rows needs"
inline std::string a_step_needs(std::int64_t videos, std::int64_t rows) {
  return tandem::concat("a step on ", videos, " videos of ", rows, " rows needs");
}

/// Throws where a step does not fit, and says what to make smaller. `options` are the names of the
/// options that decide each part.
struct MemoryOptions {
  const char *frames = "--batch or --crop", *parameters = "--width or --layers",
             *texts = "--prompt-vectors";
};
inline void check_step_memory(const char* program, const StepSize& size, const MemoryLimit& limit,
                              const MemoryOptions& options = {}) {
  const StepMemory memory = step_memory(size);
  check_memory_parts(program, a_step_needs(size.videos, size.rows), memory.total(),
                     {{memory.frames(), options.frames},
                      {memory.parameters, options.parameters},
                      {memory.texts, options.texts}},
                     limit);
}

/// The same of a run without a step: the values of the parameters must fit, nothing else.
inline void check_parameter_memory(const char* program, const StepSize& size,
                                   const MemoryLimit& limit, const MemoryOptions& options = {}) {
  const double values = step_memory(size).parameters / 4;
  check_memory_parts(program, "the parameters need", values, {{values, options.parameters}}, limit);
}

}  // namespace cli
