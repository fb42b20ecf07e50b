// kernels/arena.hpp and kernels/staging.hpp over a driver that only counts: its streams go as far
// as the test lets them.

#include "arena.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "staging.hpp"
#include "tandem/tensor/random.hpp"

using tandem_kernels::Arena;
using tandem_kernels::MemoryDriver;
using tandem_kernels::Staging;

namespace {

constexpr std::int64_t mib = std::int64_t{1} << 20;

MemoryDriver::Stream stream(std::intptr_t number) { return reinterpret_cast<void*>(number); }

/// Addresses that nobody may touch, `limit` bytes of them. Work is a number per stream, and how far
/// each has come.
class FakeDriver final : public MemoryDriver {
 public:
  explicit FakeDriver(std::int64_t most) : limit(most) {}
  ~FakeDriver() override { CHECK(marks == 0); }

  void* allocate(std::int64_t bytes) override {
    if (held + bytes > limit) return nullptr;
    held += bytes;
    char* const at = next;
    next += bytes + 4096;
    segments[at] = bytes;
    return at;
  }
  void release(void* memory) noexcept override {
    const auto found = segments.find(static_cast<char*>(memory));
    if (found == segments.end()) std::abort();
    held -= found->second;
    segments.erase(found);
  }
  std::int64_t free_bytes() override { return limit - held; }
  bool wait_for_all() override {
    if (no_waiting) return false;
    ++waits;
    for (auto& [s, work] : streams) work.second = work.first;
    return true;
  }
  Mark mark(Stream s) override {
    if (captured.count(s) > 0) return nullptr;
    ++marks;
    return new std::pair<Stream, std::int64_t>(s, streams[s].first);
  }
  bool passed(Mark m) override { return streams[point(m).first].second >= point(m).second; }
  void wait(Mark m) override {
    ++waits;
    streams[point(m).first].second = std::max(streams[point(m).first].second, point(m).second);
    if (advanced) advanced();
  }
  void forget(Mark m) override {
    --marks;
    delete &point(m);
  }
  std::uint64_t capture_here() override { return capture; }

  /// Work that is put into a stream; its number.
  std::int64_t put(Stream s) { return ++streams[s].first; }
  void finish(Stream s) { streams[s].second = streams[s].first; }

  std::int64_t limit, held = 0, waits = 0, marks = 0;
  bool no_waiting = false;
  std::uint64_t capture = 0;
  std::function<void()> advanced;  ///< called when something has been waited for
  std::set<Stream> captured;
  std::map<Stream, std::pair<std::int64_t, std::int64_t>> streams;  // put, done

 private:
  static std::pair<Stream, std::int64_t>& point(Mark m) {
    return *static_cast<std::pair<Stream, std::int64_t>*>(m);
  }
  std::map<char*, std::int64_t> segments;
  char* next = reinterpret_cast<char*>(std::intptr_t{1} << 30);
};

template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const tandem::Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a freed block is used again at once by its own stream, and not by another") {
  FakeDriver driver(1000 * mib);
  Arena arena(driver, "cuda:0");
  void* const first = arena.allocate(1000, stream(1));
  driver.put(stream(1));
  arena.deallocate(first);
  void* const other = arena.allocate(1000, stream(2));
  CHECK(other != first);
  CHECK(arena.allocate(600, stream(1)) == first);
  CHECK(driver.held == 2 * Arena::small_segment);
  CHECK(driver.waits == 0);
  CHECK(arena.problem() == "");
}

TEST_CASE("blocks are cut from segments and joined to whole ones again") {
  FakeDriver driver(1000 * mib);
  Arena arena(driver, "cuda:0");
  std::vector<void*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(arena.allocate(10000, stream(1)));
  for (int i = 0; i < 8; ++i) blocks.push_back(arena.allocate(4 * mib, stream(1)));
  CHECK(driver.held == Arena::small_segment + Arena::medium_segment);
  for (std::size_t i = 1; i < 100; ++i)
    CHECK(static_cast<char*>(blocks[i]) - static_cast<char*>(blocks[i - 1]) == 10240);
  for (std::size_t i = 0; i < blocks.size(); i += 2) arena.deallocate(blocks[i]);
  CHECK(arena.problem() == "");
  for (std::size_t i = 1; i < blocks.size(); i += 2) arena.deallocate(blocks[i]);
  CHECK(arena.problem() == "");
  CHECK(arena.stats().largest_kept == Arena::medium_segment);
  CHECK(arena.stats().current == 0);
  CHECK(arena.stats().peak == 100 * 10000 + 8 * 4 * mib);
  // One allocation of all that.
  void* const all = arena.allocate(Arena::medium_segment, stream(1));
  CHECK(driver.held == Arena::small_segment + Arena::medium_segment);
  arena.deallocate(all);
  arena.release_kept_memory();
  CHECK(driver.held == 0);
  CHECK(arena.stats().reserved() == 0);
}

TEST_CASE("a block that another stream reads waits for it") {
  FakeDriver driver(1000 * mib);
  Arena arena(driver, "cuda:0");
  void* const x = arena.allocate(1000, stream(1));
  arena.record_use(x, stream(2));
  arena.record_use(x, stream(2));
  arena.record_use(x, stream(1));  // its own, which is no other
  driver.put(stream(2));
  arena.deallocate(x);
  void* const y = arena.allocate(1000, stream(1));
  CHECK(y != x);
  driver.put(stream(2));  // later work does not matter
  driver.streams[stream(2)].second = 1;
  CHECK(arena.allocate(1000, stream(1)) == x);
  CHECK(driver.waits == 0);
  CHECK(arena.problem() == "");
  // A stream that is captured has no point to wait for; the block waits until it has.
  arena.record_use(x, stream(3));
  driver.captured.insert(stream(3));
  arena.deallocate(x);
  CHECK(arena.allocate(1000, stream(1)) != x);
  driver.captured.clear();
  CHECK(arena.allocate(1000, stream(1)) == x);
  CHECK(message([&] { arena.record_use(&driver, stream(2)); }) ==
        "[record_use] the pointer is not one that tandem allocated on cuda:0");
}

TEST_CASE("a whole segment goes to another stream when its own has come past") {
  FakeDriver driver(1000 * mib);
  Arena arena(driver, "cuda:0");
  void* const x = arena.allocate(20 * mib, stream(1));
  driver.put(stream(1));
  arena.deallocate(x);
  void* const y = arena.allocate(20 * mib, stream(2));
  CHECK(y != x);
  driver.finish(stream(1));
  CHECK(arena.allocate(20 * mib, stream(2)) == x);
  // The first stream takes its segment back, so that the point of before means nothing.
  arena.deallocate(x);
  driver.put(stream(2));
  CHECK(arena.allocate(20 * mib, stream(3)) != x);
  CHECK(arena.allocate(20 * mib, stream(2)) == x);
  driver.finish(stream(2));
  driver.put(stream(2));
  arena.deallocate(x);
  CHECK(arena.allocate(20 * mib, stream(3)) != x);
  driver.finish(stream(2));
  CHECK(arena.allocate(20 * mib, stream(3)) == x);
  CHECK(arena.problem() == "");
}

TEST_CASE("out of memory: unused segments are given back first, and the message has the numbers") {
  FakeDriver driver(100 * mib);
  Arena arena(driver, "cuda:1");
  void* const a = arena.allocate(60 * mib, stream(1));
  arena.deallocate(a);
  void* const b = arena.allocate(80 * mib, stream(1));  // 60 MiB are given back for it
  CHECK(driver.waits == 1);
  CHECK(driver.held == 80 * mib);
  // A medium segment does not fit any more; the block alone does.
  void* const c = arena.allocate(10 * mib, stream(1));
  CHECK(driver.held == 90 * mib);
  arena.record_use(c, stream(2));
  driver.put(stream(2));
  arena.deallocate(c);
  CHECK(arena.allocate(10 * mib, stream(1)) != nullptr);  // waited for the other stream
  CHECK(driver.held == 90 * mib);
  CHECK(message([&] { (void)arena.allocate(11 * mib + 1, stream(1)); }) ==
        "[cuda] out of memory on cuda:1: 11.0 MiB were asked for, tensors hold 90.0 MiB of the "
        "90.0 MiB that are "
        "reserved, the largest free block has 0 bytes, the device has 10.0 MiB left");
  arena.deallocate(b);
  CHECK(message([&] { (void)arena.allocate(std::int64_t{1} << 40, stream(1)); }) ==
        "[cuda] out of memory on cuda:1: 1024.0 GiB were asked for, tensors hold 10.0 MiB of the "
        "10.0 MiB that are "
        "reserved, the largest free block has 0 bytes, the device has 90.0 MiB left");
  CHECK(arena.problem() == "");
  driver.no_waiting = true;
  CHECK(message([&] { arena.release_kept_memory(); }) ==
        "[release_kept_memory] waits for cuda:1, and nothing may wait while a graph is captured");
  CHECK(message([&] { (void)arena.allocate(1000 * mib, stream(1)); }) != "");
}

TEST_CASE("a graph has memory of its own until it goes") {
  for (const bool keeps : {true, false}) {
    CAPTURE(keeps);
    FakeDriver driver(1000 * mib);
    Arena arena(driver, "cuda:0", keeps);
    const auto use = [&](std::int64_t bytes, MemoryDriver::Stream s) {
      void* const at = arena.allocate(bytes, s);
      arena.deallocate(at);
      return at;
    };
    void* const read = arena.allocate(2000, stream(1));
    void* const alive = arena.allocate(2000, stream(1));
    arena.begin_capture(7);
    (void)use(1000, stream(1));  // another thread
    CHECK(arena.reserved_by(7) == 0);
    driver.capture = 7;
    driver.no_waiting = true;
    void* const inside = arena.allocate(1000, stream(1));
    arena.deallocate(inside);
    CHECK((use(1000, stream(1)) == inside) == keeps);
    void* const left = arena.allocate(3000, stream(1));
    void* const crossing = arena.allocate(3000, stream(2));
    arena.record_use(crossing, stream(1));
    arena.deallocate(crossing);  // and is not used again within the capture
    CHECK(arena.allocate(3000, stream(2)) != crossing);
    void* const result = arena.allocate(5000, stream(2));
    arena.deallocate(read);
    const std::int64_t reserved = arena.reserved_by(7);
    CHECK(reserved >= 9000);
    driver.capture = 0;
    driver.no_waiting = false;
    CHECK(arena.problem() == "");
    // Between replays: what the graph left can go, what it uses is used by nobody else.
    arena.deallocate(left);
    for (const std::int64_t bytes : {1000, 2000, 3000, 5000}) {
      for (int s : {1, 2}) {
        void* const at = arena.allocate(bytes, stream(s));
        for (void* const taken : {inside, left, crossing, result, read, alive}) CHECK(at != taken);
      }
    }
    CHECK(arena.reserved_by(7) == reserved);
    driver.put(stream(1));  // the last replay
    arena.end_graph(7, stream(1));
    CHECK(arena.problem() == "");
    arena.record_use(result, stream(1));
    arena.deallocate(result);
    arena.deallocate(alive);
    CHECK(arena.problem() == "");
    const std::int64_t held = driver.held;
    arena.release_kept_memory();
    CHECK(arena.problem() == "");
    if (keeps) CHECK(driver.held < held);
    CHECK(arena.stats().current == 3000 + 2 * 11000);  // what this test has not freed
  }
}

TEST_CASE("two graphs: what one leaves and the other reads is kept for it") {
  FakeDriver driver(1000 * mib);
  Arena arena(driver, "cuda:0");
  arena.begin_capture(1);
  driver.capture = 1;
  void* const left = arena.allocate(1000, stream(1));
  arena.begin_capture(2);
  driver.capture = 2;
  void* const own = arena.allocate(1000, stream(1));
  arena.deallocate(left);
  driver.capture = 0;
  SUBCASE("the first goes first") {
    arena.end_graph(1, stream(1));
    CHECK(arena.problem() == "");
    CHECK(arena.allocate(1000, stream(1)) != left);
    arena.end_graph(2, stream(1));
  }
  SUBCASE("the second goes first") {
    arena.end_graph(2, stream(1));
    CHECK(arena.problem() == "");
    CHECK(arena.allocate(1000, stream(1)) != left);
    arena.end_graph(1, stream(1));
  }
  CHECK(arena.problem() == "");
  arena.deallocate(own);
  std::set<void*> got;
  for (int i = 0; i < 20000; ++i) got.insert(arena.allocate(500, stream(1)));
  CHECK(got.count(left) == 1);
  CHECK(got.count(own) == 1);
}

TEST_CASE("graphs that share a pool: one after another uses its memory, the last gives it back") {
  for (const bool keeps : {true, false}) {
    CAPTURE(keeps);
    FakeDriver driver(1000 * mib);
    Arena arena(driver, "cuda:0", keeps);
    const auto capture = [&](bool well, const std::vector<std::int64_t>& sizes) {
      arena.begin_capture(7);
      driver.capture = 7;
      std::vector<void*> blocks;
      for (const std::int64_t bytes : sizes) blocks.push_back(arena.allocate(bytes, stream(1)));
      for (void* const block : blocks) arena.deallocate(block);
      driver.capture = 0;
      if (!well) arena.abandon_capture(7, stream(1));
      CHECK(arena.problem() == "");
      return blocks;
    };
    const std::vector<void*> first = capture(true, {20 * mib, 30 * mib});
    const std::int64_t one = arena.reserved_by(7);
    const std::vector<void*> second = capture(true, {30 * mib, 20 * mib});
    CHECK((second[0] == first[1] && second[1] == first[0]) == keeps);
    CHECK(arena.reserved_by(7) == (keeps ? one : 2 * one));
    // One that comes to nothing: what it has added goes, what the others need stays.
    const std::int64_t before = arena.reserved_by(7), held = driver.held;
    void* const crossing = arena.allocate(5000, stream(2));
    arena.begin_capture(7);
    driver.capture = 7;
    void* const more = arena.allocate(40 * mib, stream(1));
    void* const again = arena.allocate(20 * mib, stream(1));
    CHECK((again == first[0] || again == second[0]) == keeps);
    arena.deallocate(again);
    arena.deallocate(crossing);  // kept for this capture
    driver.capture = 0;
    arena.abandon_capture(7, stream(1));
    CHECK(arena.problem() == "");
    CHECK(arena.reserved_by(7) == before);
    arena.deallocate(more);
    arena.release_kept_memory();
    CHECK(driver.held == held);
    // The first two go; the third time there is a graph alone.
    arena.end_graph(7, stream(1));
    CHECK(arena.reserved_by(7) == before);
    CHECK(arena.problem() == "");
    arena.end_graph(7, stream(1));
    arena.release_kept_memory();
    CHECK(driver.held == 0);
    (void)capture(false, {mib});
    arena.release_kept_memory();
    CHECK(driver.held == 0);
    CHECK(arena.problem() == "");
  }
}

TEST_CASE("without keeping, every request goes to the driver as it is") {
  FakeDriver driver(10 * mib);
  Arena arena(driver, "cuda:0", false);
  void* const x = arena.allocate(1001, stream(1));
  CHECK(driver.held == 1001);
  CHECK(arena.stats().current == 1001);
  CHECK(arena.stats().reserved() == 1001);
  arena.record_use(x, stream(2));
  arena.deallocate(x);
  CHECK(driver.held == 0);
  CHECK(message([&] { (void)arena.allocate(11 * mib, stream(1)); }) != "");
}

TEST_CASE("random use of several streams: no two blocks that may be in use at once overlap") {
  constexpr int streams = 3;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    tandem::Generator random(seed);
    const auto below = [&](std::uint64_t n) {
      return static_cast<std::int64_t>(random.next_below(n));
    };
    FakeDriver driver(160 * mib);
    Arena arena(driver, "cuda:0");
    // The model: of every byte range, which work of which stream may still touch it.
    struct Range {
      char* at;
      std::int64_t bytes;
      MemoryDriver::Stream home;
      bool live;
      std::map<MemoryDriver::Stream, std::int64_t> last;  // number of the last work that touches it
    };
    std::vector<Range> ranges;
    std::int64_t live_bytes = 0, most = 0, refused = 0;
    for (int turn = 0; turn < 3000; ++turn) {
      const MemoryDriver::Stream s = stream(1 + below(streams));
      const std::int64_t what = below(10);
      if (what < 5) {
        const std::int64_t kind = below(20);
        const std::int64_t bytes = 1 + (kind < 14   ? below(5000)
                                        : kind < 17 ? below(2 * mib)
                                        : kind < 19 ? below(18 * mib)
                                                    : below(60 * mib));
        char* at = nullptr;
        const std::string why = message([&] { at = static_cast<char*>(arena.allocate(bytes, s)); });
        if (at == nullptr) {
          CHECK(why.find("out of memory") != std::string::npos);
          ++refused;
          continue;
        }
        live_bytes += bytes;
        most = std::max(most, live_bytes);
        CHECK(reinterpret_cast<std::uintptr_t>(at) % 512 == 0);
        for (const Range& r : ranges) {
          if (at + bytes <= r.at || r.at + r.bytes <= at) continue;
          REQUIRE(!r.live);
          for (const auto& [other, number] : r.last) {
            if (other != s)
              REQUIRE_MESSAGE(driver.streams[other].second >= number,
                              "used again before it is done");
          }
        }
        ranges.push_back({at, bytes, s, true, {{s, driver.put(s)}}});
      } else if (!ranges.empty()) {
        Range& r = ranges[static_cast<std::size_t>(below(ranges.size()))];
        if (what < 6 && r.live) {  // another stream reads it
          arena.record_use(r.at, s);
          r.last[s] = driver.put(s);
        } else if (what < 9 && r.live) {
          r.last[r.home] = driver.put(r.home);
          arena.deallocate(r.at);
          live_bytes -= r.bytes;
          r.live = false;
        } else if (what == 9) {  // a stream goes on
          auto& [put, done] = driver.streams[s];
          done += put > done ? 1 + below(static_cast<std::uint64_t>(put - done)) : 0;
          std::erase_if(ranges, [&](const Range& old) {
            bool over = !old.live;
            for (const auto& [other, number] : old.last)
              over = over && driver.streams[other].second >= number;
            return over;
          });
        }
      }
      if (turn % 50 == 0) REQUIRE(arena.problem() == "");
      CHECK(arena.stats().current == live_bytes);
      CHECK(arena.stats().peak == most);
      CHECK(arena.stats().reserved() == driver.held);
    }
    CHECK(refused > 0);
    for (Range& r : ranges) {
      if (r.live) arena.deallocate(r.at);
    }
    arena.release_kept_memory();
    CHECK(arena.problem() == "");
    CHECK(driver.held == 0);  // all was joined to whole segments
  }
}

TEST_CASE(
    "staging: the ring waits only when it is full, and nothing in it is written before it has "
    "travelled") {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    CAPTURE(seed);
    tandem::Generator random(seed);
    FakeDriver driver(0);
    constexpr std::int64_t ring = 4096;
    std::vector<char> pinned(ring), device(1 << 16), expected(1 << 16), host(1 << 14);
    struct Copy {
      const char* from;
      std::int64_t to, n, number;
      MemoryDriver::Stream s;
    };
    std::vector<Copy> queued;
    const auto carry_out = [&](bool all) {
      std::erase_if(queued, [&](const Copy& c) {
        if (!all && driver.streams[c.s].second < c.number) return false;
        std::memcpy(device.data() + c.to, c.from, static_cast<std::size_t>(c.n));
        return true;
      });
    };
    driver.advanced = [&] { carry_out(false); };
    std::int64_t at = 0;
    {
      Staging staging(driver, pinned.data(), ring);
      for (int turn = 0; at + (1 << 14) < (1 << 16); ++turn) {
        const std::int64_t n =
            1 + static_cast<std::int64_t>(random.next_below(turn % 10 == 9 ? 1 << 14 : 700));
        const MemoryDriver::Stream s = stream(1 + turn % 2);
        for (std::int64_t i = 0; i < n; ++i) {
          host[static_cast<std::size_t>(i)] = expected[static_cast<std::size_t>(at + i)] =
              static_cast<char>(random.next_u64());
        }
        const std::int64_t waits = driver.waits;
        staging.upload(
            host.data(), n, s, [&](const void* from, std::int64_t offset, std::int64_t bytes) {
              const std::int64_t number = driver.put(s);
              queued.push_back({static_cast<const char*>(from), at + offset, bytes, number, s});
            });
        if (turn < 4) CHECK(driver.waits == waits);  // 2800 bytes at most
        at += n;
      }
      CHECK(driver.waits > 0);
      carry_out(true);
    }
    CHECK(std::equal(device.begin(), device.begin() + at, expected.begin()));
  }
}
