#include "tandem/io/lock.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include "temp_dir.hpp"
#include "util.hpp"

using namespace tandem;
using namespace tandem::io;
using tandem_test::contains;
using tandem_test::error_of;

TEST_CASE("lock: one owner at a time; the message names it and the folder") {
  const tandem_test::TempDir dir;
  {
    const FolderLock lock(dir.path(""), "train_dcl");
    lock.check();
    const std::string said = error_of([&] { FolderLock(dir.path(""), "other"); });
    CHECK(contains(said, dir.path("") + " is in use by train_dcl, process " +
                             std::to_string(::getpid()) + " on "));
  }
  CHECK(dir.entries().empty());  // nothing stays
  const FolderLock again(dir.path(""), "train_dcl");
}

TEST_CASE("lock: what a killed process leaves behind does not block") {
  const tandem_test::TempDir dir;
  int pipe_ends[2];
  REQUIRE(::pipe(pipe_ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(dir.path(""), "victim");
    static_cast<void>(!::write(pipe_ends[1], "x", 1));
    for (;;) ::pause();
  }
  char byte = 0;
  REQUIRE(::read(pipe_ends[0], &byte, 1) == 1);
  CHECK(contains(error_of([&] { FolderLock(dir.path(""), "other"); }),
                 "victim, process " + std::to_string(child)));
  REQUIRE(::kill(child, SIGKILL) == 0);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(dir.entries() == std::vector<std::string>{".lock"});
  const FolderLock lock(dir.path(""), "next");
  lock.check();
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

TEST_CASE("lock: a waiting process gets the folder when it is free") {
  const tandem_test::TempDir dir;
  pid_t children[4];
  for (pid_t& child : children) {
    child = ::fork();
    if (child != 0) continue;
    for (int i = 0; i < 25; ++i) {  // a read and a write that mix when two are inside
      const FolderLock lock(dir.path(""), "child", FolderLock::Busy::wait);
      const std::string count = is_file(dir.path("count")) ? read_text(dir.path("count")) : "0";
      std::FILE* file = std::fopen(dir.path("count").c_str(), "wb");
      std::fprintf(file, "%d", std::atoi(count.c_str()) + 1);
      std::fclose(file);
    }
    ::_exit(0);
  }
  for (const pid_t child : children) {
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  CHECK(read_text(dir.path("count")) == "100");
}

TEST_CASE("lock: a folder that is missing, removed or replaced is named") {
  const tandem_test::TempDir dir;
  CHECK(contains(error_of([&] { FolderLock(dir.path("no"), "p"); }),
                 dir.path("no") + ": cannot write into the folder: No such"));
  make_directories(dir.path("run"));
  const FolderLock lock(dir.path("run"), "p");
  std::filesystem::remove_all(dir.path("run"));
  CHECK(contains(error_of([&] { lock.check(); }), "was removed or replaced"));
  make_directories(dir.path("run"));
  const FolderLock other(dir.path("run"), "p");
  CHECK(contains(error_of([&] { lock.check(); }), "was removed or replaced"));
  other.check();
}
