#pragma once
/// Arena: the memory of one GPU, for work that is done in the order of queues. Plain C++ over a
/// MemoryDriver: memory.cu has CUDA's, tests/simt/arena_test.cpp one with a limit.
///
/// Large segments come from the driver and are cut into blocks; a freed block joins its free
/// neighbours. Allocating and freeing never wait. Everything in a segment belongs to one stream,
/// whose order makes it safe to use a block again at once. Other streams get
///   - a block that was freed while they read it (record_use): its own stream uses it again once
///     they have come past;
///   - a whole segment that another stream has no use for, once that stream has come past the point
///     where this was seen.
///
/// While a graph is captured, the capturing thread allocates from a pool of that graph, or of
/// several whose replays come one after another. Its blocks are used again within the capture and
/// by later captures of the pool, and are then reserved until the last of the graphs goes, since
/// each replay writes them. What this thread frees meanwhile of other memory is kept as well: the
/// graph may read it.
///
/// When the driver has no more memory, the arena waits for the device, gives unused segments back,
/// and tries again.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tandem/tensor/device.hpp"

namespace tandem_kernels {

/// What an arena asks of a device. Only `release`, which destructors call, must not throw.
class MemoryDriver {
 public:
  using Stream = void*;
  using Mark = void*;
  virtual ~MemoryDriver() = default;
  /// Null when there is not that much.
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  /// What the device has left, in bytes.
  virtual std::int64_t free_bytes() = 0;
  /// Waits until the device has nothing to do. False where nothing may wait, since a graph is
  /// captured.
  virtual bool wait_for_all() = 0;
  /// The point after all work of the stream; null while the stream is captured and has none.
  virtual Mark mark(Stream stream) = 0;
  virtual bool passed(Mark mark) = 0;
  /// The CPU waits for it.
  virtual void wait(Mark mark) = 0;
  virtual void forget(Mark mark) = 0;
  /// The number of the capture from whose pool this thread allocates, or 0.
  virtual std::uint64_t capture_here() = 0;
};

class Arena {
 public:
  using Stream = MemoryDriver::Stream;
  using Mark = MemoryDriver::Mark;

  static constexpr std::int64_t unit = 512;  ///< block sizes are multiples of it
  /// Blocks of at most `small_most` are cut from segments of `small_segment`, those of at most
  /// `medium_most` from segments of `medium_segment`; larger ones have a segment of their own, a
  /// multiple of `small_segment`.
  static constexpr std::int64_t small_most = std::int64_t{1} << 20,
                                small_segment = std::int64_t{2} << 20,
                                medium_most = std::int64_t{16} << 20,
                                medium_segment = std::int64_t{32} << 20;

  /// `keeps` false: every request goes to the driver as it is, and back at once, for tools that
  /// watch the memory.
  Arena(MemoryDriver& driver, std::string device, bool keeps = true)
      : driver_(driver), device_(std::move(device)), keeps_(keeps) {}
  /// Only tests end one; the memory is the driver's.
  ~Arena() {
    const auto drop = [&](const Pool& pool) {
      for (Block* b : pool.segments) {
        while (b != nullptr) {
          for (const Mark mark : b->marks) driver_.forget(mark);
          delete std::exchange(b, b->behind);
        }
      }
    };
    drop(ordinary_);
    for (const auto& [number, pool] : captures_) drop(*pool);
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Memory for work of `stream`.
  void* allocate(std::int64_t bytes, Stream stream) {
    const std::lock_guard<std::mutex> guard(mutex_);
    collect();
    Pool& pool = pool_here();
    const std::int64_t size = keeps_ ? round_up(std::max<std::int64_t>(bytes, 1), unit) : bytes;
    Block* block = find(pool, stream, size);
    if (block == nullptr) block = grow(pool, stream, size);
    if (block == nullptr && give_back()) {
      block = find(pool, stream, size);
      if (block == nullptr) block = grow(pool, stream, size);
    }
    if (block == nullptr) block = grow(pool, stream, size, true);
    if (block == nullptr) out_of_memory(bytes, pool);
    if (keeps_) split(block, size);
    block->state = State::live;
    block->asked = bytes;
    live_[block->at] = block;
    allocated_ += bytes;
    peak_ = std::max(peak_, allocated_);
    return block->at;
  }

  /// The block may be used again by what is put into its stream from now on, and by nothing else
  /// before those who read it have come past. Asks nothing of the driver but release().
  void deallocate(void* pointer) {
    const std::lock_guard<std::mutex> guard(mutex_);
    const auto found = live_.find(static_cast<char*>(pointer));
    if (found == live_.end()) return;
    Block* const block = found->second;
    live_.erase(found);
    allocated_ -= block->asked;
    block->asked = 0;
    block->state = State::waiting;
    Pool& here = pool_here();
    here.capture != 0 && block->pool != &here ? here.kept.push_back(block) : retire(block);
  }

  /// Says that what is in `stream` now reads or writes the memory at `pointer`, which another
  /// stream allocated.
  void record_use(const void* pointer, Stream stream) {
    const std::lock_guard<std::mutex> guard(mutex_);
    const auto found = live_.find(static_cast<char*>(const_cast<void*>(pointer)));
    TANDEM_CHECK(found != live_.end(), "record_use",
                 "the pointer is not one that tandem allocated on ", device_);
    add_user(found->second, stream);
  }

  tandem::MemoryStats stats() const {
    const std::lock_guard<std::mutex> guard(mutex_);
    return {allocated_, peak_, reserved_ - allocated_, largest_free(ordinary_)};
  }
  void reset_peak_memory() {
    const std::lock_guard<std::mutex> guard(mutex_);
    peak_ = allocated_;
  }
  /// Waits for the device and gives unused segments back.
  void release_kept_memory() {
    const std::lock_guard<std::mutex> guard(mutex_);
    TANDEM_CHECK(give_back(), "release_kept_memory", "waits for ", device_,
                 ", and nothing may wait while a graph is captured");
  }

  /// From now on the thread whose capture_here() is this number allocates from the pool of this
  /// number, which one graph more needs; captures of one pool come one after another.
  void begin_capture(std::uint64_t capture) {
    const std::lock_guard<std::mutex> guard(mutex_);
    std::unique_ptr<Pool>& pool = captures_[capture];
    if (pool == nullptr) pool = std::make_unique<Pool>(capture);
    ++pool->graphs;
    pool->earlier = pool->segments;
    pool->kept_earlier = pool->kept.size();
  }
  /// What the pool has reserved, in bytes.
  std::int64_t reserved_by(std::uint64_t capture) const {
    const std::lock_guard<std::mutex> guard(mutex_);
    std::int64_t bytes = 0;
    for (const Block* first : captures_.at(capture)->segments) {
      for (const Block* b = first; b != nullptr; b = b->behind) bytes += b->bytes;
    }
    return bytes;
  }
  /// A graph is gone; it was replayed in `stream`. With the last one of its pool the memory is the
  /// arena's again, in the order of that stream.
  void end_graph(std::uint64_t capture, Stream stream) {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (--captures_.at(capture)->graphs > 0) return;
    const std::unique_ptr<Pool> pool = std::move(captures_.at(capture));
    captures_.erase(capture);
    const std::set<Block*> segments = pool->segments;
    take_over(*pool, segments, pool->kept, stream);
  }
  /// The capture that began last came to nothing: what it has added to its pool is the arena's
  /// again, so that those who have asked in vain can have it.
  void abandon_capture(std::uint64_t capture, Stream stream) {
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      Pool& pool = *captures_.at(capture);
      if (pool.graphs > 1) {
        --pool.graphs;
        std::set<Block*> added;
        for (Block* first : pool.segments) {
          if (pool.earlier.count(first) == 0) added.insert(first);
        }
        const auto middle = pool.kept.begin() + static_cast<std::ptrdiff_t>(pool.kept_earlier);
        const std::vector<Block*> kept(middle, pool.kept.end());
        pool.kept.erase(middle, pool.kept.end());
        return take_over(pool, added, kept, stream);
      }
    }
    end_graph(capture, stream);
  }

  /// "" or which property of the blocks does not hold. For tests.
  std::string problem() const {
    const std::lock_guard<std::mutex> guard(mutex_);
    std::int64_t bytes = 0, live = 0;
    const auto look = [&](const Pool& pool) -> std::string {
      std::size_t free = 0;
      for (const Block* first : pool.segments) {
        if (first->before != nullptr) return "a segment does not begin with its first block";
        for (const Block* b = first; b != nullptr; b = b->behind) {
          bytes += b->bytes;
          live += b->asked;
          free += b->state == State::free ? 1 : 0;
          if (b->pool != &pool || b->stream != first->stream)
            return "a segment of two pools or streams";
          if (b->asked > b->bytes) return "a block smaller than what was asked for";
          if (b->behind == nullptr) continue;
          if (b->behind->before != b || b->at + b->bytes != b->behind->at)
            return "neighbours that do not meet";
          if (b->state == State::free && b->behind->state == State::free)
            return "free neighbours that are not joined";
        }
      }
      return free == pool.free.size() ? "" : "the list of free blocks is wrong";
    };
    std::string wrong = look(ordinary_);
    for (const auto& [number, pool] : captures_) wrong = wrong.empty() ? look(*pool) : wrong;
    if (wrong.empty() && bytes != reserved_) wrong = "reserved bytes";
    if (wrong.empty() && live != allocated_) wrong = "allocated bytes";
    return wrong;
  }

 private:
  enum class State : std::uint8_t { live, free, waiting };
  struct Pool;
  struct Block {
    char* at;
    std::int64_t bytes, asked;
    bool small;  ///< of a segment for small blocks
    State state;
    Stream stream;
    Pool* pool;
    Block *before, *behind;     ///< the neighbours within its segment
    std::vector<Stream> users;  ///< other streams that read it and have no mark yet
    std::vector<Mark>
        marks;  ///< points that other streams must pass (waiting), or its own (a free segment)
    bool whole() const { return before == nullptr && behind == nullptr; }
  };
  using Key = std::tuple<bool, std::uintptr_t, std::int64_t,
                         std::uintptr_t>;  // small, stream, bytes, address
  struct Pool {
    explicit Pool(std::uint64_t number) : capture(number) {}
    std::uint64_t capture;  ///< 0 for the ordinary pool
    std::map<Key, Block*> free;
    std::set<Block*> segments;     ///< their first blocks
    std::vector<Block*> kept;      ///< freed, and perhaps read by the graph or by another stream
    int graphs = 0;                ///< that need it
    std::set<Block*> earlier;      ///< segments, and
    std::size_t kept_earlier = 0;  ///< kept blocks, of the captures before the last
  };

  static std::int64_t round_up(std::int64_t n, std::int64_t step) {
    return (n + step - 1) / step * step;
  }
  static Key key(bool small, Stream stream, std::int64_t bytes, const char* at) {
    return {small, reinterpret_cast<std::uintptr_t>(stream), bytes,
            reinterpret_cast<std::uintptr_t>(at)};
  }
  static Key key(const Block* b) { return key(b->small, b->stream, b->bytes, b->at); }

  Pool& pool_here() {
    if (captures_.empty()) return ordinary_;
    const auto found = captures_.find(driver_.capture_here());
    return found == captures_.end() ? ordinary_ : *found->second;
  }
  /// Some segments of a graph's pool, and what it kept, are the ordinary pool's from now on, in the
  /// order of `stream`.
  void take_over(Pool& pool, const std::set<Block*>& segments, const std::vector<Block*>& kept,
                 Stream stream) {
    std::vector<Block*> loose;
    for (Block* first : segments) {
      pool.segments.erase(first);
      ordinary_.segments.insert(first);
      for (Block* b = first; b != nullptr; b = b->behind) {
        if (b->state == State::free) {
          pool.free.erase(key(b));
          b->state = State::waiting;
          loose.push_back(b);
        }
        const Stream before = std::exchange(b->stream, stream);
        b->pool = &ordinary_;
        std::erase(b->users, stream);
        add_user(b, before);
      }
    }
    for (Block* b : kept) {
      add_user(b, stream);
      loose.push_back(b);
    }
    for (Block* b : loose) retire(b);
  }
  static void add_user(Block* block, Stream stream) {
    if (stream == block->stream) return;
    std::vector<Stream>& users = block->users;
    if (std::find(users.begin(), users.end(), stream) == users.end()) users.push_back(stream);
  }

  /// A free block of the stream, or one that another stream gives up; not in the list any more.
  Block* find(Pool& pool, Stream stream, std::int64_t size) {
    if (!keeps_) return nullptr;
    const bool small = size <= small_most;
    const auto best = pool.free.lower_bound(key(small, stream, size, nullptr));
    if (best != pool.free.end() && best->second->small == small && best->second->stream == stream) {
      return take(best->second);
    }
    if (pool.capture != 0) return nullptr;
    for (const auto& entry : pool.free) {
      Block* const block = entry.second;
      if (block->small != small || block->bytes < size || !block->whole() ||
          block->stream == stream)
        continue;
      if (block->marks.empty()) {
        if (const Mark mark = driver_.mark(block->stream)) block->marks.push_back(mark);
      }
      if (block->marks.empty() || !driver_.passed(block->marks[0])) continue;
      take(block);
      block->stream = stream;
      return block;
    }
    return nullptr;
  }
  Block* take(Block* block) {
    block->pool->free.erase(key(block));
    for (const Mark mark : block->marks) driver_.forget(mark);
    block->marks.clear();
    return block;
  }

  /// A new segment as one block; null when there is no memory. `tight`: no larger than it must be.
  Block* grow(Pool& pool, Stream stream, std::int64_t size, bool tight = false) {
    std::int64_t bytes = size;
    if (keeps_) {
      bytes = size <= small_most              ? small_segment
              : size <= medium_most && !tight ? medium_segment
                                              : round_up(size, small_segment);
    }
    void* const memory = driver_.allocate(bytes);
    if (memory == nullptr) return nullptr;
    reserved_ += bytes;
    auto* const block = new Block{static_cast<char*>(memory),
                                  bytes,
                                  0,
                                  size <= small_most,
                                  State::waiting,
                                  stream,
                                  &pool,
                                  nullptr,
                                  nullptr,
                                  {},
                                  {}};
    pool.segments.insert(block);
    return block;
  }

  /// Leaves `size` bytes in the block; the rest becomes a free one, where it is large enough to be
  /// of use.
  void split(Block* block, std::int64_t size) {
    const std::int64_t rest = block->bytes - size;
    if (rest < (block->small ? unit : small_most + unit)) return;
    auto* const behind = new Block{
        block->at + size, rest, 0, block->small, State::free, block->stream, block->pool, block,
        block->behind,    {},   {}};
    if (behind->behind != nullptr) behind->behind->before = behind;
    block->behind = behind;
    block->bytes = size;
    block->pool->free.emplace(key(behind), behind);
  }

  /// A freed block becomes free, or waits for those who read it: in a graph's pool until the graph
  /// goes.
  void retire(Block* block) {
    Pool& pool = *block->pool;
    if (!keeps_ && pool.capture == 0) return release(block);
    if (block->users.empty() && block->marks.empty()) return free(block);
    (pool.capture != 0 ? pool.kept : waiting_).push_back(block);
  }
  /// Joins the block with its free neighbours. (None of them is looked at before it is free
  /// itself.)
  void free(Block* block) {
    block->state = State::free;
    if (Block* const next = block->behind; next != nullptr && next->state == State::free) {
      take(next);
      absorb(block, next);
    }
    if (Block* const previous = block->before;
        previous != nullptr && previous->state == State::free) {
      take(previous);
      absorb(previous, block);
      block = previous;
    }
    block->pool->free.emplace(key(block), block);
  }
  static void absorb(Block* block, Block* next) {
    block->bytes += next->bytes;
    block->behind = next->behind;
    if (block->behind != nullptr) block->behind->before = block;
    delete next;
  }
  /// Gives a segment that is one block to the driver.
  void release(Block* block) {
    for (const Mark mark : block->marks) driver_.forget(mark);
    block->pool->segments.erase(block);
    reserved_ -= block->bytes;
    driver_.release(block->at);
    delete block;
  }

  /// Frees the blocks whose readers have come past.
  void collect() {
    for (std::size_t i = 0; i < waiting_.size();) {
      Block* const block = waiting_[i];
      while (!block->users.empty()) {
        const Mark mark = driver_.mark(block->users.back());
        if (mark == nullptr) break;
        block->marks.push_back(mark);
        block->users.pop_back();
      }
      while (!block->marks.empty() && driver_.passed(block->marks.back())) {
        driver_.forget(block->marks.back());
        block->marks.pop_back();
      }
      if (block->users.empty() && block->marks.empty()) {
        waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
        free(block);
      } else {
        ++i;
      }
    }
  }
  /// False when nothing may wait.
  bool give_back() {
    if (!driver_.wait_for_all()) return false;
    collect();
    std::vector<Block*> unused;
    for (const auto& entry : ordinary_.free) {
      if (entry.second->whole()) unused.push_back(entry.second);
    }
    for (Block* block : unused) release(take(block));
    return true;
  }

  static std::int64_t largest_free(const Pool& pool) {
    std::int64_t most = 0;
    for (const auto& entry : pool.free) most = std::max(most, entry.second->bytes);
    return most;
  }
  [[noreturn]] void out_of_memory(std::int64_t bytes, const Pool& pool) {
    const auto text = [](std::int64_t n) {
      if (n < 10240) return tandem::concat(n, " bytes");
      const bool large = n >= std::int64_t{10} << 30;
      const std::int64_t tenths =
          n / (large ? (std::int64_t{1} << 30) / 10 : (std::int64_t{1} << 20) / 10);
      return tandem::concat(tenths / 10, ".", tenths % 10, large ? " GiB" : " MiB");
    };
    const bool captured = pool.capture != 0;
    const std::string& inside = tandem::detail::module_path();
    throw tandem::OutOfMemory(tandem::concat(
        "[cuda] out of memory on ", device_, ": ", text(bytes), " were asked for, tensors hold ",
        text(allocated_), " of the ", text(reserved_),
        " that are reserved, the largest free block has ", text(largest_free(pool)),
        ", the device has ", text(driver_.free_bytes()), " left",
        captured ? "; while a graph is captured unused memory cannot be given back: call "
                   "release_kept_memory() before"
                 : "",
        inside.empty() ? "" : tandem::concat(" (in module ", inside, ")")));
  }

  MemoryDriver& driver_;
  const std::string device_;
  const bool keeps_;
  mutable std::mutex mutex_;
  Pool ordinary_{0};
  std::map<std::uint64_t, std::unique_ptr<Pool>> captures_;
  std::unordered_map<char*, Block*> live_;
  std::vector<Block*> waiting_;
  std::int64_t allocated_ = 0, reserved_ = 0, peak_ = 0;
};

}  // namespace tandem_kernels
