#pragma once
/// Stages that work at the same time: bounded queues between threads, a stage of several threads
/// that keeps the order, and one budget of threads for all of them.
///
/// Errors travel downstream: what a stage throws is thrown by the pop() of whoever reads from it. A
/// reader that gives up stops its sources: their push() returns false. Nothing waits for ever.

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "tandem/cpu/threads.hpp"
#include "tandem/tensor/restore.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu {

/// At most `capacity` values on their way from one or more threads to one or more others.
///
///   BoundedQueue<int> queue(4);
///   std::jthread producer([&] {
///     for (int i = 0; i < 9; ++i) if (!queue.push(i)) return;
///     queue.close();
///   });
///   int sum = 0;
///   while (auto value = queue.pop()) sum += *value;
///   sum;   // → 36
template <class V>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {
    TANDEM_CHECK(capacity >= 1, "queue", "the capacity must be at least 1");
  }
  BoundedQueue(const BoundedQueue&) = delete;
  BoundedQueue& operator=(const BoundedQueue&) = delete;

  /// Waits for room. False when nobody will read any more: the value is dropped.
  bool push(V value) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return values_.size() < capacity_ || over(); });
    if (over()) return false;
    values_.push_back(std::move(value));
    lock.unlock();
    filled_.notify_one();
    return true;
  }
  /// Waits for a value. Nothing when the queue is closed and empty, or stopped. Throws what fail()
  /// was given, after the values before it.
  std::optional<V> pop() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [this] { return !values_.empty() || over(); });
    if (stopped_) return std::nullopt;
    if (values_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return std::nullopt;
    }
    std::optional<V> value(std::move(values_.front()));
    values_.pop_front();
    lock.unlock();
    room_.notify_one();
    return value;
  }
  /// No more values will come.
  void close() {
    end([this] { closed_ = true; });
  }
  /// No more values will come, because of this error.
  void fail(std::exception_ptr error) {
    end([&] {
      if (!error_ && !closed_) error_ = std::move(error);
      closed_ = true;
    });
  }
  /// Nobody will read any more.
  void stop() {
    end([this] {
      stopped_ = true;
      values_.clear();
    });
  }
  /// How many values wait, and how many may.
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return values_.size();
  }
  std::size_t capacity() const { return capacity_; }

 private:
  bool over() const { return closed_ || stopped_; }
  template <class Change>
  void end(Change&& change) {
    {
      const std::lock_guard lock(mutex_);
      change();
    }
    room_.notify_all();
    filled_.notify_all();
  }

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable room_, filled_;
  std::deque<V> values_;
  std::exception_ptr error_;
  bool closed_ = false, stopped_ = false;
};

/// How many threads may compute at a time, over all stages. Who waits is served in the order of
/// coming.
///
///   { const auto lease = budget.acquire(); work(); }   // one thread
///   const auto lease = budget.acquire(2, 8);           // as many as there are of 2 to 8
///   lease.threads();                                   // → 4
///
/// Never wait for a queue while holding a lease.
class ThreadBudget {
 public:
  /// Threads that were given out: they go back when it ends.
  class Lease {
   public:
    Lease(Lease&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), threads_(other.threads_) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (budget_ != nullptr) budget_->release(threads_);
    }
    /// How many they are.
    int threads() const { return threads_; }

   private:
    friend class ThreadBudget;
    Lease(ThreadBudget* budget, int threads) : budget_(budget), threads_(threads) {}
    ThreadBudget* budget_;
    int threads_;
  };

  explicit ThreadBudget(int total) : total_(total), free_(total) {
    TANDEM_CHECK(total >= 1, "threads", "a budget has at least one thread, got ", total);
  }
  /// How many threads the budget has.
  int total() const { return total_; }

  /// Waits until `least` threads are free and takes up to `most` of them.
  Lease acquire(int least = 1, int most = 1) {
    least = std::clamp(least, 1, total_);
    std::unique_lock lock(mutex_);
    const std::uint64_t ticket = next_ticket_++;
    changed_.wait(lock, [&] { return ticket == serving_ && free_ >= least; });
    const int taken = std::clamp(most, least, free_);
    free_ -= taken;
    ++serving_;
    lock.unlock();
    changed_.notify_all();
    return {this, taken};
  }

 private:
  void release(int threads) {
    {
      const std::lock_guard lock(mutex_);
      free_ += threads;
    }
    changed_.notify_all();
  }

  const int total_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int free_;
  std::uint64_t next_ticket_ = 0, serving_ = 0;
};

/// A thread of a pipeline: it is joined when this goes. Its function must not throw.
class StageThread {
 public:
  template <class F>
  explicit StageThread(F&& f)
      : thread_([run = std::forward<F>(f)]() mutable {
          // Loops inside a stage stay on its thread; only who leases several threads uses the pool.
          const tandem::detail::Restore alone(cpu::detail::in_region, true);
          run();
        }) {}
  StageThread(StageThread&&) = default;
  StageThread& operator=(StageThread&&) = delete;
  ~StageThread() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

/// OrderedStage — out = f(in) by several threads at a time, handed out in the order in which `in`
/// came. At most `window` results wait. Each call of f has one thread of the budget.
///
///   OrderedStage<int, double> stage(numbers, budget, 4, 8, [](int n) { return std::sqrt(n); });
///   double sum = 0;
///   while (auto root = stage.pop()) sum += *root;
template <class In, class Out>
class OrderedStage {
 public:
  OrderedStage(BoundedQueue<In>& in, ThreadBudget& budget, int workers, std::size_t window,
               std::function<Out(In)> f)
      : in_(in), budget_(budget), window_(window), f_(std::move(f)) {
    TANDEM_CHECK(workers >= 1 && window >= 1, "stage",
                 "needs at least one thread and room for one result");
    running_ = workers;
    threads_.reserve(static_cast<std::size_t>(workers));
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }
  OrderedStage(const OrderedStage&) = delete;
  OrderedStage& operator=(const OrderedStage&) = delete;
  ~OrderedStage() { stop(); }

  /// Waits for the next result. Nothing at the end; throws what f or the source threw.
  std::optional<Out> pop() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return done_.count(next_out_) > 0 || error_ || running_ == 0; });
    if (error_) std::rethrow_exception(error_);
    const auto found = done_.find(next_out_);
    if (found == done_.end()) return std::nullopt;
    std::optional<Out> out(std::move(found->second));
    done_.erase(found);
    ++next_out_;
    lock.unlock();
    room_.notify_all();
    return out;
  }
  /// How full the window of results is, from 0 to 1.
  double backlog() const {
    const std::lock_guard lock(mutex_);
    return static_cast<double>(done_.size()) / static_cast<double>(window_);
  }
  /// Nobody will read any more.
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    in_.stop();
    room_.notify_all();
  }

 private:
  void work() {
    try {
      for (;;) {
        std::uint64_t number = 0;
        std::optional<In> value;
        {
          // So that numbers are given in the order of the queue
          const std::lock_guard taking(take_);
          value = in_.pop();
          if (!value) break;
          number = next_in_++;
        }
        std::optional<Out> out;
        {
          const ThreadBudget::Lease lease = budget_.acquire();
          out.emplace(f_(std::move(*value)));
        }
        std::unique_lock lock(mutex_);
        // The smallest number that is missing always has room, so the order cannot block itself.
        room_.wait(lock, [&] { return number < next_out_ + window_ || stopped_ || error_; });
        if (stopped_ || error_) break;
        done_.emplace(number, std::move(*out));
        lock.unlock();
        ready_.notify_all();
      }
    } catch (...) {
      {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
      }
      in_.stop();
      room_.notify_all();
    }
    {
      const std::lock_guard lock(mutex_);
      --running_;
    }
    ready_.notify_all();
  }

  BoundedQueue<In>& in_;
  ThreadBudget& budget_;
  const std::size_t window_;
  const std::function<Out(In)> f_;
  std::mutex take_;
  std::uint64_t next_in_ = 0;  // under take_
  mutable std::mutex mutex_;
  std::condition_variable ready_, room_;
  std::map<std::uint64_t, Out> done_;
  std::uint64_t next_out_ = 0;
  std::exception_ptr error_;
  int running_ = 0;
  bool stopped_ = false;
  std::vector<StageThread> threads_;  // last: joined first, while everything else still exists
};

}  // namespace cpu
TANDEM_NAMESPACE_END
