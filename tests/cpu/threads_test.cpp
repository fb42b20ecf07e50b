#include "tandem/cpu/threads.hpp"

#include <doctest/doctest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shared.hpp"

using namespace tandem::cpu;
using namespace tandem_test;

namespace {

template <class F>
std::string message(F f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

/// Processor time of the whole process in seconds.
double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// The sum as a reduction ought to be written: one part per chunk, added up in order.
double chunked_sum(const std::vector<double>& x, std::int64_t chunk) {
  const std::int64_t n = static_cast<std::int64_t>(x.size());
  std::vector<double> parts(static_cast<std::size_t>(num_chunks(n, chunk)));
  parallel_chunks(n, chunk, [&](std::int64_t index, std::int64_t begin, std::int64_t end) {
    double sum = 0;
    for (std::int64_t i = begin; i < end; ++i) sum += x[static_cast<std::size_t>(i)];
    parts[static_cast<std::size_t>(index)] = sum;
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

}  // namespace

TEST_CASE("threads: parallel_for covers every index once, at any count and grain") {
  for (const int threads : {1, 2, 4, 7}) {
    const Threads scope(threads);
    for (const std::int64_t n : {0, 1, 2, 31, 77, 1000, 1023, 1024, 10007, 100000}) {
      for (const std::int64_t grain : {1, 3, 100, 5000, 1000000}) {
        std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
        std::atomic<bool> empty_range{false};
        parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
          if (begin >= end) empty_range = true;
          for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
        });
        CAPTURE(threads);
        CAPTURE(n);
        CAPTURE(grain);
        CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& count) { return count == 1; }));
        CHECK(!empty_range);
      }
    }
  }
}

TEST_CASE("threads: less than two grains of work stay on the calling thread, in one piece") {
  const Threads scope(4);
  int calls = 0;
  bool in_region = true;
  const std::thread::id caller = std::this_thread::get_id();
  std::thread::id runner;
  parallel_for(199, 100, [&](std::int64_t begin, std::int64_t end) {
    ++calls;
    runner = std::this_thread::get_id();
    in_region = in_parallel_region();
    CHECK(begin == 0);
    CHECK(end == 199);
  });
  CHECK(calls == 1);
  CHECK(runner == caller);
  CHECK(!in_region);
}

TEST_CASE("threads: several threads really take part, never more than set") {
  for (const int threads : {2, 4}) {
    const Threads scope(threads);
    // Every piece waits until as many threads as allowed have met: a pool that runs pieces one
    // after the other would not get past the first, so time out instead of hanging.
    std::atomic<int> inside{0}, most{0};
    parallel_chunks(threads, 1, [&](std::int64_t, std::int64_t, std::int64_t) {
      const int now = ++inside;
      int before = most.load();
      while (before < now && !most.compare_exchange_weak(before, now)) {
      }
      for (int i = 0; i < 20000 && most < threads; ++i) {
        const timespec pause{0, 1000000};
        nanosleep(&pause, nullptr);
      }
      --inside;
    });
    CHECK(most == threads);
    most = 0;
    parallel_for(100000, 1, [&](std::int64_t, std::int64_t) {
      const int now = ++inside;
      int before = most.load();
      while (before < now && !most.compare_exchange_weak(before, now)) {
      }
      --inside;
    });
    CHECK(most >= 1);
    CHECK(most <= threads);
  }
}

TEST_CASE("threads: chunks depend on n and chunk only, and so do sums over them") {
  std::vector<double> x(54321);
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = std::sin(static_cast<double>(i)) * 1e6 / (1.0 + static_cast<double>(i % 97));
  std::vector<double> sums;
  for (const int threads : {1, 2, 4}) {
    const Threads scope(threads);
    for (const std::int64_t chunk : {1000, 1024, 60000}) {
      std::vector<std::pair<std::int64_t, std::int64_t>> bounds(
          static_cast<std::size_t>(num_chunks(54321, chunk)), {-1, -1});
      parallel_chunks(54321, chunk, [&](std::int64_t index, std::int64_t begin, std::int64_t end) {
        bounds[static_cast<std::size_t>(index)] = {begin, end};
      });
      for (std::size_t i = 0; i < bounds.size(); ++i) {
        CHECK(bounds[i].first == static_cast<std::int64_t>(i) * chunk);
        CHECK(bounds[i].second ==
              std::min<std::int64_t>(54321, static_cast<std::int64_t>(i + 1) * chunk));
      }
    }
    for (int repeat = 0; repeat < 20; ++repeat) sums.push_back(chunked_sum(x, 777));
  }
  for (const double sum : sums) CHECK(std::memcmp(&sum, &sums[0], sizeof(sum)) == 0);
}

TEST_CASE("threads: the exception of the smallest failing index reaches the caller") {
  for (const int threads : {1, 2, 4}) {
    const Threads scope(threads);
    for (int repeat = 0; repeat < 50; ++repeat) {
      CHECK(message([] {
              parallel_chunks(200, 1, [](std::int64_t index, std::int64_t, std::int64_t) {
                if (index >= 17) throw std::runtime_error("chunk " + std::to_string(index));
              });
            }) == "chunk 17");
      CHECK(message([] {
              parallel_for(1000, 1, [](std::int64_t begin, std::int64_t end) {
                for (std::int64_t i = begin; i < end; ++i) {
                  if (i % 300 == 123) tandem::fail("test", "index ", i);
                }
              });
            }) == "[test] index 123");
    }
    // The pool is in order afterwards.
    std::atomic<std::int64_t> covered{0};
    parallel_for(1000, 1, [&](std::int64_t begin, std::int64_t end) { covered += end - begin; });
    CHECK(covered == 1000);
  }
}

TEST_CASE("threads: a region inside a region runs on its thread") {
  const Threads scope(4);
  std::atomic<std::int64_t> covered{0};
  std::atomic<bool> moved{false}, unmarked{false};
  parallel_for(64, 1, [&](std::int64_t begin, std::int64_t end) {
    if (!in_parallel_region()) unmarked = true;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::thread::id outer = std::this_thread::get_id();
      parallel_for(100, 1, [&](std::int64_t inner_begin, std::int64_t inner_end) {
        if (std::this_thread::get_id() != outer) moved = true;
        covered += inner_end - inner_begin;
      });
      parallel_chunks(10, 1, [&](std::int64_t, std::int64_t, std::int64_t) {
        if (std::this_thread::get_id() != outer) moved = true;
        ++covered;
      });
    }
  });
  CHECK(covered == 64 * 110);
  CHECK(!moved);
  CHECK(!unmarked);
  CHECK(!in_parallel_region());

  // An error from the inner region passes through the outer one.
  CHECK(message([] {
          parallel_chunks(8, 1, [](std::int64_t outer, std::int64_t, std::int64_t) {
            parallel_chunks(8, 1, [outer](std::int64_t inner, std::int64_t, std::int64_t) {
              if (outer >= 2 && inner >= 3) {
                throw std::runtime_error(std::to_string(outer) + "." + std::to_string(inner));
              }
            });
          });
        }) == "2.3");
  CHECK(!in_parallel_region());
}

TEST_CASE("threads: regions of several user threads do not disturb each other") {
  const Threads scope(3);
  std::vector<std::thread> users;
  std::vector<std::int64_t> wrong(4, 0);
  for (std::size_t user = 0; user < 4; ++user) {
    users.emplace_back([user, &wrong] {
      std::vector<std::int64_t> x(5000);
      for (int repeat = 0; repeat < 200; ++repeat) {
        const std::int64_t value = static_cast<std::int64_t>(user) * 1000 + repeat;
        parallel_for(5000, 100, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) x[static_cast<std::size_t>(i)] = value + i;
        });
        for (std::int64_t i = 0; i < 5000; ++i) {
          wrong[user] += x[static_cast<std::size_t>(i)] == value + i ? 0 : 1;
        }
        if (message([&] {
              parallel_chunks(20, 1, [&](std::int64_t index, std::int64_t, std::int64_t) {
                if (index == 5) throw std::runtime_error(std::to_string(user));
              });
            }) != std::to_string(user)) {
          ++wrong[user];
        }
      }
    });
  }
  for (std::thread& user : users) user.join();
  for (const std::int64_t count : wrong) CHECK(count == 0);
}

TEST_CASE("threads: results are visible to the caller, region after region") {
  const Threads scope(4);
  std::vector<std::int64_t> x(4096, 0);
  for (int repeat = 0; repeat < 1000; ++repeat) {
    parallel_for(4096, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) x[static_cast<std::size_t>(i)] += i;
    });
  }
  bool right = true;
  for (std::int64_t i = 0; i < 4096; ++i)
    right = right && x[static_cast<std::size_t>(i)] == 1000 * i;
  CHECK(right);
}

TEST_CASE("threads: idle workers sleep") {
  const Threads scope(4);
  parallel_for(4096, 1, [](std::int64_t, std::int64_t) {});
  const timespec settle{0, 20000000}, nap{0, 200000000};
  nanosleep(&settle, nullptr);
  const double before = cpu_seconds();
  nanosleep(&nap, nullptr);
  // One spinning worker would use 0.2 s, or half of that on a busy machine.
  CHECK(cpu_seconds() - before < 0.02);
}

TEST_CASE("threads: the setting is checked, the environment variable too") {
  const int before = num_threads();
  CHECK(before >= 1);
  CHECK(before <= std::max(1, detail::available_cpus()));
  for (const int count : {0, -1, max_threads + 1, std::numeric_limits<int>::max()}) {
    CHECK(message([count] { set_num_threads(count); }) ==
          "[set_num_threads] the thread count must be from 1 to 1024, got " +
              std::to_string(count));
  }
  CHECK(num_threads() == before);
  {
    const Threads scope(max_threads);
    CHECK(num_threads() == max_threads);
  }

  CHECK(detail::default_num_threads(8, nullptr) == 8);
  CHECK(detail::default_num_threads(8, "") == 8);
  CHECK(detail::default_num_threads(8, "3") == 3);
  CHECK(detail::default_num_threads(8, "64") == 8);
  CHECK(detail::default_num_threads(2000, nullptr) == max_threads);
  for (const char* text :
       {"0", "-1", "+2", " 2", "2 ", "two", "2.0", "0x2", "1025", "99999999999999999999", "4\n"}) {
    CHECK(message([text] { static_cast<void>(detail::default_num_threads(8, text)); }) ==
          std::string("[threads] TANDEM_NUM_THREADS must be a whole number from 1 to 1024, got "
                      "\"") +
              text + "\"");
  }
}

TEST_CASE("threads: sizes are checked and do not overflow") {
  const auto nothing = [](std::int64_t, std::int64_t) {};
  CHECK(message([&] { parallel_for(-1, 1, nothing); }) ==
        "[parallel_for] expected n >= 0 and grain >= 1, got n = -1 and grain = 1");
  CHECK(message([&] { parallel_for(1, 0, nothing); }) ==
        "[parallel_for] expected n >= 0 and grain >= 1, got n = 1 and grain = 0");
  CHECK(message([] { parallel_chunks(5, 0, [](std::int64_t, std::int64_t, std::int64_t) {}); }) ==
        "[num_chunks] expected n >= 0 and chunk >= 1, got n = 5 and chunk = 0");
  CHECK(num_chunks(0, 5) == 0);
  CHECK(num_chunks(10, 5) == 2);
  CHECK(num_chunks(11, 5) == 3);

  const Threads scope(4);
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  CHECK(num_chunks(huge, 2) == huge / 2 + 1);
  std::atomic<std::int64_t> covered{0};
  parallel_for(huge, 1, [&](std::int64_t begin, std::int64_t end) { covered += end - begin; });
  CHECK(covered == huge);
  covered = 0;
  parallel_chunks(huge, huge / 3, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    covered += end - begin;
  });
  CHECK(covered == huge);
}

TEST_CASE("threads: functions may be temporaries, const, mutable or move-only") {
  const Threads scope(2);
  const auto constant = [](std::int64_t, std::int64_t) {};
  parallel_for(10, 1, constant);
  std::atomic<int> calls{0};
  auto counting = [&calls, own = std::make_unique<int>(1)](std::int64_t begin,
                                                           std::int64_t end) mutable {
    calls += static_cast<int>(end - begin) * *own;
  };
  parallel_for(10, 1, counting);
  parallel_for(10, 1, std::move(counting));
  CHECK(calls == 20);
}

// ThreadSanitizer does not support threads in a forked child.
#if defined(__SANITIZE_THREAD__)
#define TEST_FORK 0
#elif defined(__has_feature)
#define TEST_FORK !__has_feature(thread_sanitizer)
#else
#define TEST_FORK 1
#endif
#if TEST_FORK
TEST_CASE("threads: a forked child has a pool of its own") {
  const Threads scope(3);
  parallel_for(1000, 1, [](std::int64_t, std::int64_t) {});  // the parent's pool runs
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(60);  // a child that hangs dies instead
    std::atomic<std::int64_t> covered{0};
    std::atomic<int> inside{0}, most{0};
    parallel_chunks(3, 1, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      const int now = ++inside;
      int before = most.load();
      while (before < now && !most.compare_exchange_weak(before, now)) {
      }
      while (most < 3) {
        const timespec pause{0, 1000000};
        nanosleep(&pause, nullptr);
      }
      covered += end - begin;
    });
    _exit(covered == 3 && most == 3 ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  std::atomic<std::int64_t> covered{0};
  parallel_for(1000, 1, [&](std::int64_t begin, std::int64_t end) { covered += end - begin; });
  CHECK(covered == 1000);
}
#endif
