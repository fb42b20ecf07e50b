#include "executor.hpp"

#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <vector>

#include "fiber.hpp"
#include "sanitizers.hpp"
#include "shared_memory.hpp"
#include "watchdog.hpp"

namespace simt {
namespace {

std::uint64_t seed_value = 1;

/// splitmix64: any state gives a good next number.
struct Shuffle {
  std::uint64_t state;
  std::uint64_t next() {
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
};

std::string text(const uint3& v) {
  return "(" + std::to_string(v.x) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")";
}
std::string text(const SimtHere& at) {
  const std::string file = at.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(at.line());
}
std::string hex(unsigned mask) {
  char out[16];
  std::snprintf(out, sizeof out, "0x%08x", mask);
  return out;
}
const char* name_of(WarpOp op) {
  constexpr const char* names[] = {"__shfl_sync",     "__shfl_up_sync", "__shfl_down_sync",
                                   "__shfl_xor_sync", "__ballot_sync",  "__any_sync",
                                   "__all_sync",      "__syncwarp",     "a warp-wide instruction"};
  return names[static_cast<int>(op)];
}

/// The asynchronous copies that a thread has started and not waited for, oldest first. (No
/// container: its memory would be shared by the fibers of many blocks.)
class AsyncCopies {
 public:
  void clear() { begin_ = end_ = group_ = 0; }
  bool full() const { return end_ - begin_ == most; }
  std::uint32_t count() const { return end_ - begin_; }
  const SimtHere& started() const { return entries_[begin_ % most].at; }
  void add(const AsyncCopy& copy, const SimtHere& at) {
    entries_[end_++ % most] = {copy, group_, at};
  }
  void commit() { ++group_; }
  bool next(unsigned pending, AsyncCopy& copy) {
    if (begin_ == end_ || entries_[begin_ % most].group + pending >= group_) return false;
    copy = entries_[begin_++ % most].copy;
    return true;
  }
  static constexpr std::uint32_t most = 128;

 private:
  struct Entry {
    AsyncCopy copy;
    std::uint32_t group;
    SimtHere at;
  };
  Entry entries_[most] = {};
  std::uint32_t begin_ = 0, end_ = 0, group_ = 0;  // group_: the one that is open
};

enum class State : std::uint8_t { ready, at_barrier, at_warp, exited };

struct Thread {
  std::unique_ptr<Fiber> fiber;
  State state = State::exited;
  std::size_t id = 0;
  uint3 index;
  SimtHere at;  // where it waits
  WarpOp op{};
  unsigned mask = 0;
  std::uint64_t bits = 0;
  int operand = 0, width = 32;
  Together together = nullptr;
  AsyncCopies copies;
};

/// Runs one block after the other; there is one per OS thread.
class Executor {
 public:
  void run(const Launch& launch) {
    launch_ = &launch;
    count_ = std::size_t{launch.block.x} * launch.block.y * launch.block.z;
    while (pool_.size() < count_) {
      pool_.push_back(std::make_unique<Thread>());
      pool_.back()->fiber = std::make_unique<Fiber>(&Executor::entry, pool_.back().get());
    }
    threads_.clear();
    for (std::size_t i = 0; i < count_; ++i) threads_.push_back(pool_[i].get());
    shuffle_ = {seed_value};
    by_rank_ = seed_value % 2 == 0;
    blockDim = launch.block;
    gridDim = launch.grid;
    const std::size_t blocks = std::size_t{launch.grid.x} * launch.grid.y * launch.grid.z;
    std::vector<std::size_t> order(blocks);
    for (std::size_t i = 0; i < blocks; ++i) order[i] = i;
    for (std::size_t i = blocks; i > 1; --i) std::swap(order[i - 1], order[shuffle_.below(i)]);
    struct End {  // also when a fault ends the launch
      Executor& self;
      ~End() {
        acquire(&self.launch_end_);
        self.shared_.launch_done();
      }
    } const end{*this};
    Watch watch([](void* self) { static_cast<Executor*>(self)->stop_running_thread(); }, this);
    for (const std::size_t block : order) {
      block_.x = static_cast<unsigned>(block % launch.grid.x);
      block_.y = static_cast<unsigned>(block / launch.grid.x % launch.grid.y);
      block_.z = static_cast<unsigned>(block / launch.grid.x / launch.grid.y);
      run_block(watch);
    }
  }

  // --- called by the kernel's threads
  // ---------------------------------------------------------------

  void barrier(const SimtHere& at) {
    Thread& me = *running_;
    me.state = State::at_barrier;
    me.at = at;
    void* const meeting = shared_.meeting_place(barriers_ % 2);
    release(meeting);
    give_way(me);
    acquire(meeting);
  }

  std::uint64_t meet(WarpOp op, unsigned mask, std::uint64_t bits, int operand, int width,
                     const SimtHere& at, Together together = nullptr) {
    Thread& me = *running_;
    me.together = together;
    me.at = at;
    me.op = op;
    me.mask = mask;
    me.bits = bits;
    me.operand = operand;
    me.width = width;
    if ((mask >> (me.id % 32) & 1u) == 0) {
      fault(me, std::string(name_of(op)) + " at " + text(at) + " with mask " + hex(mask) +
                    ", which does not contain the caller");
    }
    if (width < 1 || width > 32 || (width & (width - 1)) != 0) {
      fault(me, std::string(name_of(op)) + " at " + text(at) + " with width " +
                    std::to_string(width) + ", which is not a power of two up to 32");
    }
    me.state = State::at_warp;
    Warp& warp = warps_[me.id / 32];
    // Only __syncwarp orders memory; the exchanges carry their values and nothing else.
    void* const meeting = shared_.meeting_place(2 + me.id / 32 * 2 + warp.meetings % 2);
    if (op == WarpOp::sync) release(meeting);
    finish_meeting(me);
    give_way(me);
    if (op == WarpOp::sync) acquire(meeting);
    return me.bits;
  }

  /// 16 bytes of shared memory, as ldmatrix and cp.async take them.
  void check_row(const char* instruction, const void* row, const SimtHere& at) {
    const bool whole = reinterpret_cast<std::uintptr_t>(row) % 16 == 0;
    if (whole && shared_.holds(row, 16)) return;
    fault(*running_, std::string(instruction) + " at " + text(at) + " takes 16 bytes " +
                         (whole ? "outside of the shared arrays"
                                : "of shared memory at an address that is no multiple of 16"));
  }
  void async_copy(const AsyncCopy& copy, const SimtHere& at) {
    AsyncCopies& copies = running_->copies;
    check_row("cp.async", copy.to, at);
    if (reinterpret_cast<std::uintptr_t>(copy.from) % 16 != 0) {
      fault(*running_, "cp.async at " + text(at) + " reads 16 bytes at an address that is no " +
                           "multiple of 16");
    }
    if (copies.full()) {
      fault(*running_, "cp.async at " + text(at) + ": more than " +
                           std::to_string(AsyncCopies::most) + " copies are under way");
    }
    copies.add(copy, at);
  }
  AsyncCopies& copies() { return running_->copies; }

  void* shared_array(const void* declaration, const char* name, std::size_t bytes) {
    const std::string problem = shared_.limit_problem(declaration, bytes);
    if (!problem.empty()) fault(*running_, problem);
    return shared_.array(declaration, name, bytes);
  }
  void* shared_bytes() { return shared_.dynamic(); }

 private:
  struct Warp {
    std::uint64_t meetings = 0;
    std::size_t ready_count = 0;
    Thread* ready[32] = {};
  };

  static void entry(void* opaque);

  void run_block(Watch& watch) {
    shared_.block_starts(launch_->shared, launch_->granted);
    blockIdx = block_;
    exited_ = 0;
    barriers_ = 0;
    fault_.clear();
    // A thread gets another fiber in every block, so that no order between blocks is implied.
    for (Thread* thread : threads_) thread->fiber->restart();
    for (std::size_t i = count_; i > 1; --i)
      std::swap(threads_[i - 1], threads_[shuffle_.below(i)]);
    warps_.assign((count_ + 31) / 32, Warp());
    ranks_.resize(warps_.size());
    for (std::size_t w = 0; w < ranks_.size(); ++w) ranks_[w] = w;
    for (std::size_t w = ranks_.size(); w > 1; --w)
      std::swap(ranks_[w - 1], ranks_[shuffle_.below(w)]);
    by_rank_ = !by_rank_;
    ready_ = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      Thread& thread = *threads_[i];
      thread.id = i;
      thread.copies.clear();
      thread.index.x = static_cast<unsigned>(i % launch_->block.x);
      thread.index.y = static_cast<unsigned>(i / launch_->block.x % launch_->block.y);
      thread.index.z = static_cast<unsigned>(i / launch_->block.x / launch_->block.y);
      make_ready(thread);
    }
    release(&block_start_);
    watch.block_starts();
    while (exited_ < count_) {
      if (ready_ == 0 && !release_barrier()) explain_stall();
      if (watch.exhausted()) set_fault(*threads_[0], "the block does not come to an end");
      watch.step();
      if (fault_.empty()) continue_one();
      if (stopped_) {
        stopped_ = false;
        set_fault(*running_, "computes on and on without meeting any other thread");
      }
      if (!fault_.empty()) {
        acquire(&launch_end_);  // the thread at fault has written the text
        abandon();
        throw Fault(fault_);
      }
    }
    const std::string damage = shared_.block_ends();
    if (!damage.empty()) throw Fault(where() + ": " + damage);
  }

  void continue_one() {
    std::size_t skip = by_rank_ ? 0 : shuffle_.below(ready_), w = 0;
    while (skip >= warps_[ranks_[w]].ready_count) skip -= warps_[ranks_[w++]].ready_count;
    Warp& warp = warps_[ranks_[w]];
    std::swap(warp.ready[shuffle_.below(warp.ready_count)], warp.ready[warp.ready_count - 1]);
    running_ = warp.ready[--warp.ready_count];
    --ready_;
    threadIdx = running_->index;
    thread_runs_ = true;
    scheduler_.switch_to(*running_->fiber);
    thread_runs_ = false;
  }

  /// What a thread has done has happened before the end of the launch, also when a fault ends it
  /// here.
  void give_way(Thread& me) {
    release(&launch_end_);
    me.fiber->switch_to(scheduler_);
  }

  /// Called by the watchdog's signal on the stack of the thread that runs; does not return there.
  void stop_running_thread() {
    if (!thread_runs_) return;
    stopped_ = true;
    give_way(*running_);
  }

  /// Lets the threads go on when all that have not exited wait at one barrier.
  bool release_barrier() {
    const Thread *first = nullptr, *gone = nullptr;
    std::size_t waiting = 0;
    for (const Thread* thread : threads_) {
      if (thread->state == State::at_warp) return false;
      if (thread->state == State::exited) gone = thread;
      if (thread->state != State::at_barrier) continue;
      ++waiting;
      if (first == nullptr) first = thread;
      if (thread->at.line() != first->at.line() ||
          std::strcmp(thread->at.file_name(), first->at.file_name()) != 0) {
        set_fault(*thread, "waits at the barrier of " + text(thread->at) + " while thread " +
                               text(first->index) + " waits at that of " + text(first->at));
        return true;
      }
    }
    if (gone != nullptr) {
      set_fault(*gone, "exited before the barrier of " + text(first->at) + ", at which " +
                           std::to_string(waiting) + " threads wait");
      return true;
    }
    ++barriers_;
    for (Thread* thread : threads_) make_ready(*thread);
    return true;
  }

  void make_ready(Thread& thread) {
    Warp& warp = warps_[thread.id / 32];
    thread.state = State::ready;
    warp.ready[warp.ready_count++] = &thread;
    ++ready_;
  }

  /// Completes the warp operation at which `me` has arrived, or for which it need not be waited any
  /// more since it has exited, when all lanes of the mask that live are there.
  void finish_meeting(const Thread& me) {
    const std::size_t base = me.id / 32 * 32, lanes = std::min<std::size_t>(32, count_ - base);
    const Thread* leader = &me;
    if (me.state == State::exited) {
      leader = nullptr;
      for (std::size_t lane = 0; lane < lanes && leader == nullptr; ++lane) {
        const Thread& other = *threads_[base + lane];
        if (other.state == State::at_warp && (other.mask >> (me.id % 32) & 1u) != 0)
          leader = &other;
      }
      if (leader == nullptr) return;
    }
    Thread* there[32] = {};
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      if ((leader->mask >> lane & 1u) == 0) continue;
      Thread& other = *threads_[base + lane];
      if (other.state == State::exited) continue;
      if (other.state != State::at_warp) return;
      const auto differs = [&](const std::string& what) {
        fault(*leader, std::string(name_of(leader->op)) + " at " + text(leader->at) +
                           " with mask " + hex(leader->mask) + " meets lane " +
                           std::to_string(lane) + " " + what);
      };
      if (other.mask != leader->mask) {
        differs("with another mask, " + hex(other.mask) + ", at " + text(other.at));
      }
      if (other.op != leader->op) {
        differs(std::string("in another operation, ") + name_of(other.op) + " at " +
                text(other.at));
      }
      there[lane] = &other;
    }
    publish(there);
    ++warps_[me.id / 32].meetings;
    for (Thread* thread : there) {
      if (thread != nullptr) make_ready(*thread);
    }
  }

  /// Gives every lane that is there what it asked for.
  void publish(Thread* const (&there)[32]) {
    if (there[0] != nullptr && there[0]->op == WarpOp::together) return publish_together(there);
    std::uint64_t given[32] = {};
    unsigned votes = 0, present = 0;
    for (unsigned lane = 0; lane < 32; ++lane) {
      if (there[lane] == nullptr) continue;
      given[lane] = there[lane]->bits;
      present |= 1u << lane;
      if (there[lane]->bits != 0) votes |= 1u << lane;
    }
    for (int lane = 0; lane < 32; ++lane) {
      if (there[lane] == nullptr) continue;
      Thread& me = *there[lane];
      const int begin = lane & ~(me.width - 1), end = begin + me.width;
      int source = lane;
      switch (me.op) {
        case WarpOp::shfl:
          source = begin + (me.operand & (me.width - 1));
          break;
        case WarpOp::shfl_up:
          source = lane - me.operand >= begin ? lane - me.operand : lane;
          break;
        case WarpOp::shfl_down:
          source = lane + me.operand < end ? lane + me.operand : lane;
          break;
        case WarpOp::shfl_xor:
          source = (lane ^ me.operand) < end ? lane ^ me.operand : lane;
          break;
        case WarpOp::ballot:
          me.bits = votes;
          continue;
        case WarpOp::any:
          me.bits = votes != 0;
          continue;
        case WarpOp::all:
          me.bits = votes == present;
          continue;
        case WarpOp::sync:
        case WarpOp::together:
          continue;
      }
      if (source < 0 || (present >> source & 1u) == 0) {
        const bool named = source >= 0 && (me.mask >> source & 1u) != 0;
        fault(me, std::string(name_of(me.op)) + " at " + text(me.at) + " reads lane " +
                      std::to_string(source) +
                      (named ? ", which has exited or does not exist"
                             : ", which is not in the mask " + hex(me.mask)));
      }
      me.bits = given[source];
    }
  }

  /// An instruction of all 32 lanes, such as a product on tensor cores: computed once, by the last
  /// to come.
  void publish_together(Thread* const (&there)[32]) {
    void* data[32];
    for (int lane = 0; lane < 32; ++lane) {
      if (there[lane] == nullptr || there[lane]->together != there[0]->together) {
        fault(*there[0],
              "a warp-wide instruction at " + text(there[0]->at) + " finds lane " +
                  std::to_string(lane) +
                  (there[lane] == nullptr ? " gone" : " at another one, " + text(there[lane]->at)));
      }
      data[lane] = reinterpret_cast<void*>(static_cast<std::uintptr_t>(there[lane]->bits));
    }
    there[0]->together(data);
  }

  /// No thread can go on, and some wait in a warp operation.
  void explain_stall() {
    for (const Thread* thread : threads_) {
      if (thread->state != State::at_warp) continue;
      const std::size_t base = thread->id / 32 * 32;
      for (std::size_t lane = 0; lane < 32 && base + lane < count_; ++lane) {
        const Thread& other = *threads_[base + lane];
        if ((thread->mask >> lane & 1u) == 0 || other.state != State::at_barrier) continue;
        set_fault(*thread, std::string("deadlock: ") + name_of(thread->op) + " at " +
                               text(thread->at) + " with mask " + hex(thread->mask) +
                               " waits for lane " + std::to_string(lane) +
                               ", which waits at the barrier of " + text(other.at));
        return;
      }
    }
    set_fault(*threads_[0], "deadlock between warp operations");
  }

  /// After a fault nobody continues the fibers: they start afresh in the next block.
  void abandon() {
    for (Thread* thread : threads_) {
      if (thread->state != State::exited) thread->fiber->restart();
      thread->state = State::exited;
    }
    shared_.block_ends();
  }

  std::string where() const {
    return "[simt] kernel " + kernel_name(launch_->kernel) + ", block " + text(block_);
  }
  void set_fault(const Thread& thread, const std::string& what) {
    if (!fault_.empty()) return;
    fault_ = where() + ", thread " + text(thread.index) + " (lane " +
             std::to_string(thread.id % 32) + " of warp " + std::to_string(thread.id / 32) +
             "): " + what;
  }
  [[noreturn]] void fault(const Thread& thread, const std::string& what) {
    set_fault(thread, what);
    throw Fault(fault_);
  }

  const Launch* launch_ = nullptr;
  std::size_t count_ = 0, exited_ = 0;
  std::uint64_t barriers_ = 0;
  uint3 block_;
  std::vector<std::unique_ptr<Thread>> pool_;
  std::vector<Thread*> threads_;
  std::vector<Warp> warps_;
  std::vector<std::size_t> ranks_;  // of warps
  std::size_t ready_ = 0;
  bool by_rank_ = false;
  Thread* running_ = nullptr;
  Fiber scheduler_;
  SharedMemory shared_;
  Shuffle shuffle_{1};
  std::string fault_;
  std::atomic<bool> thread_runs_{false}, stopped_{false};  // read and set by the watchdog
  char block_start_ = 0, launch_end_ = 0;
};

Executor& executor() {
  static thread_local Executor instance;
  return instance;
}

void Executor::entry(void* opaque) {
  Thread& me = *static_cast<Thread*>(opaque);
  Executor& self = executor();
  for (;;) {
    acquire(&self.block_start_);
    try {
      self.launch_->thread();
      if (me.copies.count() > 0) {
        self.fault(me, "exited while " + std::to_string(me.copies.count()) +
                           " asynchronous copies, the first one started at " +
                           text(me.copies.started()) + ", were not waited for");
      }
      me.state = State::exited;
      self.finish_meeting(me);
    } catch (const Fault&) {  // its text is kept
    } catch (const std::exception& error) {
      self.set_fault(me, std::string("threw ") + error.what());
    }
    me.state = State::exited;
    ++self.exited_;
    self.give_way(me);
  }
}

}  // namespace

void set_seed(std::uint64_t seed) { seed_value = seed; }
std::uint32_t poison() { return seed_value % 2 == 1 ? 0x7ff4b5b5u : 0x5b5b5b5bu; }

std::string kernel_name(const void* kernel) {
  Dl_info info{};
  if (dladdr(const_cast<void*>(kernel), &info) == 0 || info.dli_saddr != kernel) return "?";
  int status = 0;
  char* const readable = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
  std::string name = status == 0 ? readable : info.dli_sname;
  std::free(readable);
  // "void tandem_kernels::add_kernel<float>(float*, …)" → "add_kernel<float>"
  name = name.substr(0, name.find('('));
  const std::size_t space = name.find(' ');
  if (space != std::string::npos && space < name.find('<')) name = name.substr(space + 1);
  const std::size_t scope = name.substr(0, name.find('<')).rfind("::");
  return scope == std::string::npos ? name : name.substr(scope + 2);
}

void run(const Launch& launch) { executor().run(launch); }
void barrier(const SimtHere& at) { executor().barrier(at); }
std::uint64_t meet(WarpOp op, unsigned mask, std::uint64_t bits, int operand, int width,
                   const SimtHere& at) {
  return executor().meet(op, mask, bits, operand, width, at);
}
void together(void* mine, Together run, const SimtHere& at) {
  executor().meet(WarpOp::together, 0xffffffffu, reinterpret_cast<std::uintptr_t>(mine), 0, 32, at,
                  run);
}
void async_copy(const AsyncCopy& copy, const SimtHere& at) { executor().async_copy(copy, at); }
void async_commit() { executor().copies().commit(); }
bool async_next(unsigned pending, AsyncCopy& copy) {
  return executor().copies().next(pending, copy);
}
void check_row(const void* row, const SimtHere& at) { executor().check_row("ldmatrix", row, at); }
void* shared_array(const void* declaration, const char* name, std::size_t bytes) {
  return executor().shared_array(declaration, name, bytes);
}
void* shared_bytes() { return executor().shared_bytes(); }

}  // namespace simt
