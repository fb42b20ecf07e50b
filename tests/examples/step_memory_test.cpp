/// What a step needs, what the machine has, and the sentence where it is too little.

#include "../../examples/step_memory.hpp"

#include <doctest/doctest.h>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "tandem/io/file.hpp"

using namespace tandem;
using namespace tandem_test;

namespace {

cli::StepSize thumos() {
  return {.videos = 10,
          .rows = 1000,
          .columns = 2048 + 512,
          .text_rows = 20 * 20,
          .text_width = 512,
          .text_layers = 12,
          .cbp = cli::StudentSize{.input = 2048, .classes = 20, .width = 512, .layers = 2},
          .vlp = cli::StudentSize{.classes = 20, .width = 512, .layers = 2}};
}

std::string refusal(const cli::StepSize& size, double bytes) {
  return error_of([&] { cli::check_step_memory("train", size, {bytes, "this machine has"}); });
}

}  // namespace

TEST_CASE("step_memory: the formula, by hand") {
  const cli::StepMemory m = cli::step_memory(thumos());
  // 16 bytes for each of 2·12·512² + 512·(2048 + 20) and of 2·12·512² + 512·20.
  CHECK(m.parameters == 16.0 * (2 * 24 * 512 * 512 + 512 * 2068 + 512 * 20));
  // 10000 frames of 2560 columns, and two blocks of 16·512, a gradient of 5·512, and 4 of 20
  // scores.
  CHECK(m.frames() == 4.0 * 10000 * (2560 + 32 * 512 + 5 * 512 + 80));
  CHECK(m.texts == 4.0 * 400 * 10 * 512 * 12);
  CHECK(m.total() == m.parameters + m.frames() + m.texts);  // both branches alike
  cli::StepSize taught = thumos();
  taught.cbp->all_frames = taught.vlp->all_frames = false;
  CHECK(cli::step_memory(taught).vlp == 4.0 * 10000 * (16 * 512 + 5 * 512 + 80));
  taught.cbp->layers = 9;  // a warm-up step reads no texts
  const cli::StepMemory deep = cli::step_memory(taught);
  CHECK(deep.total() == deep.parameters + deep.rows + deep.cbp);
  taught.cbp->layers = 2;
  CHECK(cli::step_memory(taught).frames() == 4.0 * 10000 * (2560 + 16 * 512 + 5 * 512 + 80));
}

TEST_CASE("step_memory: the sentence says what to reduce") {
  CHECK(refusal(thumos(), 16e9) == "no error");
  cli::StepSize size = thumos();
  size.videos = 1000000;
  CHECK(refusal(size, 16e9) ==
        "[train] a step on 1000000 videos of 1000 rows needs at least 86336 GB of memory, this "
        "machine has 16.0 GB: reduce --batch or --crop");
  size = thumos();
  size.cbp->width = 65536;
  CHECK(contains(refusal(size, 16e9), "reduce --width or --layers"));
  size = thumos();
  size.text_rows = 10000000;
  CHECK(contains(refusal(size, 16e9), "reduce --prompt-vectors"));
}

TEST_CASE("step_memory: a run without a step holds the values of its parameters") {
  cli::StepSize size = thumos();
  size.videos = 1000000;  // of no matter
  const auto refused = [&](double bytes) {
    return error_of([&] {
      cli::check_parameter_memory("train", size, {bytes, "this machine has"});
    });
  };
  const double values = cli::step_memory(size).parameters / 4;
  CHECK(refused(values) == "no error");
  CHECK(refused(values - 1) != "no error");
  size.cbp->width = 65536;  // 2·12·65536² + 65536·2068, and VLP's, at 4 bytes
  CHECK(refused(16e9) ==
        "[train] the parameters need at least 412.9 GB of memory, this machine has 16.0 GB: reduce "
        "--width or --layers");
}

TEST_CASE("memory_limit: the least of the machine's and the control groups'") {
  CHECK(cli::memory_limit().bytes > 1e8);  // of this machine
  CHECK(cli::memory_limit().bytes < 1e16);
  const TempDir dir;
  const auto put = [&](const std::string& path, const std::string& text) {
    io::make_directories(dir.path(path.substr(0, path.rfind('/'))));
    io::write_text(dir.path(path), text);
  };
  const std::string root = dir.path("");
  const std::string at = root.ends_with('/') ? root.substr(0, root.size() - 1) : root;
  CHECK(cli::memory_limit(at).bytes > 1e300);  // nothing says anything
  put("proc/meminfo", "MemFree: 1 kB\nMemTotal:       8000000 kB\n");
  CHECK(cli::memory_limit(at).bytes == 8192e6);
  CHECK(cli::memory_limit(at).source == "this machine has");
  put("proc/self/cgroup", "0::/a/b\n");
  put("sys/fs/cgroup/a/b/memory.max", "max\n");
  CHECK(cli::memory_limit(at).bytes == 8192e6);
  put("sys/fs/cgroup/a/memory.max", "4000000\n");  // of the group around it
  CHECK(cli::memory_limit(at).bytes == 4e6);
  CHECK(cli::memory_limit(at).source == "this process's control group allows");
  put("sys/fs/cgroup/memory.max", "3000000\n");
  CHECK(cli::memory_limit(at).bytes == 3e6);
  put("proc/self/cgroup", "5:cpu,memory:/c\n3:pids:/d\n");  // version 1
  put("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "2000000\n");
  put("sys/fs/cgroup/memory/d/memory.limit_in_bytes", "1000000\n");
  CHECK(cli::memory_limit(at).bytes == 2e6);
}
