#include "tandem/cpu/pipeline.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>

using namespace tandem;
using namespace tandem::cpu;

namespace {

void nap(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

/// A thread that pushes 0 … count − 1 and then closes or fails.
StageThread source(BoundedQueue<int>& queue, int count, const char* error = nullptr,
                   std::atomic<int>* pushed = nullptr) {
  return StageThread([&queue, count, error, pushed] {
    for (int i = 0; i < count; ++i) {
      if (!queue.push(i)) return;
      if (pushed != nullptr) ++*pushed;
    }
    if (error != nullptr) {
      queue.fail(std::make_exception_ptr(std::runtime_error(error)));
    } else {
      queue.close();
    }
  });
}

}  // namespace

TEST_CASE("pipeline: a queue keeps the order and never holds more than its capacity") {
  BoundedQueue<int> queue(3);
  std::atomic<int> pushed{0};
  const StageThread thread = source(queue, 50, nullptr, &pushed);
  nap(20);
  CHECK(pushed <= 3);
  CHECK(queue.size() <= 3);
  for (int i = 0; i < 50; ++i) {
    CHECK(queue.pop() == i);
    CHECK(pushed <= i + 1 + 3 + 1);  // one may be counted between its push and our pop
  }
  CHECK_FALSE(queue.pop());
  CHECK_FALSE(queue.push(1));
}

TEST_CASE(
    "pipeline: an error comes after the values before it; stopping frees a waiting producer") {
  {
    BoundedQueue<int> queue(8);
    const StageThread thread = source(queue, 5, "the disk is gone");
    for (int i = 0; i < 5; ++i) CHECK(queue.pop() == i);
    CHECK_THROWS_WITH(queue.pop(), "the disk is gone");
    CHECK_THROWS_WITH(queue.pop(), "the disk is gone");
  }
  BoundedQueue<int> queue(1);
  {
    const StageThread thread = source(queue, 1000);
    CHECK(queue.pop() == 0);
    queue.stop();
  }  // joined: the producer ended
  CHECK_FALSE(queue.pop());
}

TEST_CASE("pipeline: a stage of several threads hands out results in order") {
  for (int workers : {1, 3}) {
    for (std::size_t window : {1U, 5U}) {
      BoundedQueue<int> queue(2);
      ThreadBudget budget(2);
      std::atomic<int> computing{0}, most{0};
      OrderedStage<int, std::string> stage(queue, budget, workers, window, [&](int i) {
        const int now = ++computing;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        if (i % 3 == 0) nap(1);  // later ones overtake
        --computing;
        return std::to_string(i);
      });
      const StageThread thread = source(queue, 60);
      for (int i = 0; i < 60; ++i) CHECK(stage.pop() == std::to_string(i));
      CHECK_FALSE(stage.pop());
      CHECK_FALSE(stage.pop());
      CHECK(most <= 2);  // the budget
      CHECK(stage.backlog() == 0);
    }
  }
}

TEST_CASE("pipeline: the results that wait are bounded") {
  BoundedQueue<int> queue(2);
  ThreadBudget budget(4);
  std::atomic<int> done{0};
  OrderedStage<int, int> stage(queue, budget, 4, 3, [&](int i) {
    ++done;
    return i;
  });
  const StageThread thread = source(queue, 100);
  nap(30);
  CHECK(done <= 3 + 4);  // in the window, and one in the hand of each thread
  for (int i = 0; i < 100; ++i) CHECK(stage.pop() == i);
  CHECK_FALSE(stage.pop());
}

TEST_CASE("pipeline: errors of a stage and of its source reach the reader") {
  {
    BoundedQueue<int> queue(2);
    ThreadBudget budget(2);
    OrderedStage<int, int> stage(queue, budget, 3, 4, [](int i) {
      if (i == 7) throw std::runtime_error("frame 7 is bad");
      return i;
    });
    const StageThread thread = source(queue, 1000);
    int seen = 0;
    const auto read = [&] {
      while (stage.pop()) ++seen;
    };
    CHECK_THROWS_WITH(read(), "frame 7 is bad");
    CHECK(seen <= 7);
  }
  {
    BoundedQueue<int> queue(2);
    ThreadBudget budget(1);
    OrderedStage<int, int> stage(queue, budget, 2, 2, [](int i) { return i; });
    const StageThread thread = source(queue, 9, "the video ends amid a packet");
    const auto read = [&] {
      while (stage.pop()) {
      }
    };
    CHECK_THROWS_WITH(read(), "the video ends amid a packet");
  }
}

TEST_CASE("pipeline: a reader that gives up ends everything before it") {
  for (int round = 0; round < 20; ++round) {
    BoundedQueue<int> queue(2);
    ThreadBudget budget(2);
    const StageThread thread = source(queue, 1'000'000);
    OrderedStage<int, int> stage(queue, budget, 3, 2, [](int i) { return i; });
    for (int i = 0; i < round; ++i) CHECK(stage.pop() == i);
  }  // all joined
}

TEST_CASE("pipeline: the budget is never exceeded and serves who came first") {
  ThreadBudget budget(3);
  std::atomic<int> used{0}, most{0};
  {
    std::vector<StageThread> threads;
    for (int t = 0; t < 5; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 50; ++i) {
          const ThreadBudget::Lease lease = budget.acquire(1 + t % 3, 1 + (t + i) % 4);
          const int now = used += lease.threads();
          for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
          }
          used -= lease.threads();
        }
      });
    }
  }
  CHECK(used == 0);
  CHECK(most <= 3);
  CHECK(budget.acquire(10, 20).threads() == 3);  // never more than there are
  CHECK_THROWS_WITH_AS(ThreadBudget(0), "[threads] a budget has at least one thread, got 0", Error);
}
