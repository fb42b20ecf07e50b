#include "tandem/io/file.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "temp_dir.hpp"
#include "util.hpp"

using tandem::Error;
using namespace tandem::io;

namespace {

template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("file: a mapped file shows the bytes and outlives a replacement") {
  const tandem_test::TempDir dir;
  write_text(dir.path("a.bin"), "hello");
  const auto file = MappedFile::open(dir.path("a.bin"));
  CHECK(file->text() == "hello");
  CHECK(file->path() == dir.path("a.bin"));
  write_text(dir.path("a.bin"), "x");
  CHECK(file->text() == "hello");
  CHECK(read_text(dir.path("a.bin")) == "x");
}

TEST_CASE("file: what is not a file with bytes in it is refused in one sentence") {
  const tandem_test::TempDir dir;
  CHECK(contains(message([&] { MappedFile::open(dir.path("no")); }), "No such file"));
  CHECK(contains(message([&] { MappedFile::open(dir.path("")); }), "this is a directory"));
  REQUIRE(::mkfifo(dir.path("fifo").c_str(), 0600) == 0);
  CHECK(contains(message([&] { MappedFile::open(dir.path("fifo")); }), "this is a pipe"));
  CHECK(contains(message([&] { MappedFile::open("/dev/zero"); }), "this is a device"));
  write_text(dir.path("empty"), "");
  CHECK(contains(message([&] { MappedFile::open(dir.path("empty")); }), "the file is empty"));
  CHECK(read_text(dir.path("empty")).empty());
  write_text(dir.path("long"), "12345");
  CHECK(contains(message([&] { read_text(dir.path("long"), 4); }), "at most 4"));
}

TEST_CASE("file: a writer that does not commit leaves nothing behind") {
  const tandem_test::TempDir dir;
  write_text(dir.path("f"), "old");
  {
    AtomicFile out(dir.path("f"));
    out.write("new");
    CHECK(dir.entries() == std::vector<std::string>{"f", "f.tmp0"});
  }
  CHECK(read_text(dir.path("f")) == "old");
  CHECK(dir.entries() == std::vector<std::string>{"f"});
  AtomicFile out(dir.path("f"));
  out.write("new");
  out.commit();
  CHECK(read_text(dir.path("f")) == "new");
  CHECK(dir.entries() == std::vector<std::string>{"f"});
  CHECK_THROWS_AS(out.write("more"), Error);
  CHECK_THROWS_AS(out.commit(), Error);
}

TEST_CASE("file: two writers of one file do not mix, and a leftover is used again") {
  const tandem_test::TempDir dir;
  write_text(dir.path("f.tmp0"), "left behind by a killed process, longer than the new text");
  AtomicFile a(dir.path("f"));
  AtomicFile b(dir.path("f"));
  a.write("aaaa");
  b.write("bb");
  a.commit();
  CHECK(read_text(dir.path("f")) == "aaaa");
  b.commit();
  CHECK(read_text(dir.path("f")) == "bb");
  CHECK(dir.entries() == std::vector<std::string>{"f"});
}

TEST_CASE("file: long writes, positions, links and permissions") {
  const tandem_test::TempDir dir;
  std::string big(1000003, 'x');
  for (std::size_t i = 0; i < big.size(); i += 997) big[i] = static_cast<char>('a' + i % 26);
  {
    AtomicFile out(dir.path("real"));
    out.write("ab");
    out.write(big);
    CHECK(out.position() == big.size() + 2);
    out.write("c");
    out.commit();
  }
  CHECK(read_text(dir.path("real")) == "ab" + big + "c");
  REQUIRE(::chmod(dir.path("real").c_str(), 0640) == 0);
  REQUIRE(::symlink("real", dir.path("link").c_str()) == 0);
  write_text(dir.path("link"), "through");
  CHECK(read_text(dir.path("real")) == "through");
  struct stat info {};
  REQUIRE(::lstat(dir.path("link").c_str(), &info) == 0);
  CHECK(S_ISLNK(info.st_mode));
  REQUIRE(::stat(dir.path("real").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0640);
  CHECK(contains(message([&] { AtomicFile out(dir.path("")); }), "directory"));
  CHECK(contains(message([&] { AtomicFile out(dir.path("no/such/folder")); }), "does not exist"));
}

TEST_CASE("file: a full disk is an error and the old file stays") {
  const tandem_test::TempDir dir;
  write_text(dir.path("f"), "old");
  // A file size limit makes write fail as a full disk does; in a child, so that only it is limited.
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string text = message([&] {
      AtomicFile out(dir.path("f"));
      out.write(std::string(1 << 20, 'x'));
      out.commit();
    });
    ::_exit(contains(text, "nothing was replaced") ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(read_text(dir.path("f")) == "old");
  CHECK(dir.entries() == std::vector<std::string>{"f"});
}

TEST_CASE("file: folders and names") {
  const tandem_test::TempDir dir;
  make_directories(dir.path("a/b/c"));
  make_directories(dir.path("a/b/c"));
  CHECK(is_directory(dir.path("a/b/c")));
  CHECK_FALSE(is_file(dir.path("a")));
  write_text(dir.path("a/f"), "x");
  CHECK(is_file(dir.path("a/f")));
  CHECK_THROWS_AS(make_directories(dir.path("a/f/g")), Error);
  // Where nothing may be made, the reason is not that nothing is there yet.
  const std::string refused =
      tandem_test::error_of([] { make_directories("/sys/tandem_test/below"); });
  CHECK(refused.find("/sys/tandem_test: cannot create the directory: ") != std::string::npos);
  CHECK(refused.find("No such file") == std::string::npos);
  CHECK(join_path("a", "b") == "a/b");
  CHECK(join_path("a/", "b") == "a/b");
  CHECK(join_path("", "b") == "b");
}

namespace {

/// Runs f in a child; its exit status (negative: the signal that ended it) and what it wrote to
/// stderr.
template <class F>
int in_child(const tandem_test::TempDir& dir, std::string& said, const F& f) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int number : {SIGBUS, SIGSEGV})
      ::signal(number, SIG_DFL);  // not the test program's handlers
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    const int fd = ::open(dir.path("said").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(fd, 2);
    f();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  said = read_text(dir.path("said"));
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/// Reads every page.
unsigned sum_of(const MappedFile& file) {
  unsigned sum = 0;
  for (std::size_t i = 0; i < file.size(); i += 512)
    sum += *static_cast<const volatile unsigned char*>(file.data() + i);
  return sum;
}

}  // namespace

TEST_CASE("file: one that is shortened while it is mapped is named in a sentence") {
  const tandem_test::TempDir dir;
  write_text(dir.path("other"), "still here");
  write_text(dir.path("rows\t.npy"), std::string(1 << 16, 'x'));
  std::string said;
  const int status = in_child(dir, said, [&] {
    name_shortened_files("program");
    name_shortened_files("program");  // again: not its own predecessor
    const auto before = MappedFile::open(dir.path("other"));
    const auto file = MappedFile::open(dir.path("rows\t.npy"));
    const auto after = MappedFile::open(dir.path("other"));
    sum_of(*file);
    if (::truncate(dir.path("rows\t.npy").c_str(), 100) != 0) ::_exit(2);
    sum_of(*file);
  });
  CHECK(status == 1);
  CHECK(said == "program: error: [read] " + dir.path("rows?.npy") +
                    ": the file was shortened by another program while "
                    "it was being read, or its disk cannot be read\n");
  // Faults elsewhere, and signals that somebody sends, end the program as they always did.
  CHECK(in_child(dir, said, [&] {
          name_shortened_files("program");
          const int fd = ::open(dir.path("other").c_str(), O_RDONLY);
          const void* wild = ::mmap(nullptr, 1 << 16, PROT_READ, MAP_PRIVATE, fd, 0);
          static_cast<void>(*(static_cast<const volatile char*>(wild) + 8192));
        }) == -SIGBUS);
  CHECK(in_child(dir, said, [&] {
          name_shortened_files("program");
          ::raise(SIGBUS);
        }) == -SIGBUS);
  CHECK(said.empty());
}

TEST_CASE("file: shortened within its last page there is no signal, so it is looked for") {
  const tandem_test::TempDir dir;
  write_text(dir.path("a"), "0123456789");
  write_text(dir.path("b"), "0123456789");
  const auto a = MappedFile::open(dir.path("a")), b = MappedFile::open(dir.path("b"));
  check_mapped_files();
  write_text(dir.path("b"), "new");  // replaced, not shortened: the mapping is that of the old file
  check_mapped_files();
  CHECK(b->text() == "0123456789");
  REQUIRE(::truncate(dir.path("a").c_str(), 4) == 0);
  CHECK(message([] { check_mapped_files(); }) ==
        "[read] " + dir.path("a") +
            ": the file had 10 bytes when it was opened and has 4 now: another program shortened "
            "it while it was being read");
}

TEST_CASE("an output file is looked at before the work: its folder, and what has its name") {
  const tandem_test::TempDir dir;
  CHECK(message([&] { check_output_file("op", dir.path("new.json")); }) == "no error");
  CHECK(message([&] { check_output_file("op", "new.json"); }) == "no error");
  const std::string inside = dir.path("no/such.json");
  CHECK(message([&] { check_output_file("op", inside); }) ==
        "[op] " + inside + ": the folder " + dir.path("no") + " does not exist");
  CHECK(message([&] { check_output_file("op", dir.path("")); }).find("this is a directory") !=
        std::string::npos);
  CHECK(message([&] { write_text(inside, "x"); }) ==
        "[write] " + inside + ": the folder " + dir.path("no") + " does not exist");
}
