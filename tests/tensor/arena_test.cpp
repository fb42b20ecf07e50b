/// The arena of large blocks: nothing overlaps, nothing is lost, memory goes back when it should.

#include "tandem/tensor/arena.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "tandem/tensor/random.hpp"

using namespace tandem;
using tandem::detail::Arena;

#if defined(__linux__)

namespace {
struct Block {
  unsigned char* data;
  std::int64_t size;
  unsigned char mark;
};
void fill(const Block& b) {
  for (std::int64_t i = 0; i < b.size; i += 512) b.data[i] = b.mark;
  b.data[b.size - 1] = b.mark;
}
bool intact(const Block& b) {
  for (std::int64_t i = 0; i < b.size; i += 512) {
    if (b.data[i] != b.mark) return false;
  }
  return b.data[b.size - 1] == b.mark;
}
}  // namespace

TEST_CASE("arena: blocks of random sizes never overlap, whatever the order of their release") {
  static Arena& arena = *new Arena;  // as the allocator's: its addresses live until the end
  Generator random(1);
  std::vector<Block> live;
  std::int64_t in_use = 0, most = 0;
  for (int step = 0; step < 4000; ++step) {
    if (live.empty() || (live.size() < 40 && random.next_below(2) == 0)) {
      const std::int64_t size =
          Arena::rounded(static_cast<std::int64_t>(1 + random.next_below(300'000)));
      auto* const data = static_cast<unsigned char*>(arena.allocate(size));
      REQUIRE(data != nullptr);
      REQUIRE(arena.owns(data));
      REQUIRE(reinterpret_cast<std::uintptr_t>(data) % Arena::page == 0);
      live.push_back({data, size, static_cast<unsigned char>(random.next_below(256))});
      fill(live.back());
      in_use += size;
      most = in_use > most ? in_use : most;
    } else {
      const std::size_t at = random.next_below(live.size());
      REQUIRE(intact(live[at]));
      arena.deallocate(live[at].data, live[at].size);
      in_use -= live[at].size;
      live[at] = live.back();
      live.pop_back();
    }
    if (step % 97 == 0) {
      arena.give_back(most / 4);
      REQUIRE(arena.resident() <= most / 4);
    }
  }
  for (const Block& b : live) {
    CHECK(intact(b));
    arena.deallocate(b.data, b.size);
  }
  // Everything is free again, so one block can have all of it: neighbours were merged.
  const std::int64_t all = Arena::rounded(most);
  auto* const whole = static_cast<unsigned char*>(arena.allocate(all));
  CHECK(arena.resident() >= 0);
  fill({whole, all, 7});
  arena.deallocate(whole, all);
  arena.give_back(0);
  CHECK(arena.resident() == 0);
}

TEST_CASE("arena: released bytes serve requests of other sizes; given back, they read as zero") {
  static Arena& arena = *new Arena;
  const std::int64_t mb = 1 << 20;
  auto* const a = static_cast<unsigned char*>(arena.allocate(mb));
  auto* const b = static_cast<unsigned char*>(arena.allocate(2 * mb));
  auto* const c = static_cast<unsigned char*>(arena.allocate(mb));
  CHECK(b == a + mb);
  CHECK(c == b + 2 * mb);
  arena.deallocate(a, mb);
  arena.deallocate(b, 2 * mb);
  CHECK(arena.resident() == 3 * mb);
  CHECK(arena.allocate(3 * mb) == a);  // merged
  CHECK(arena.resident() == 0);
  arena.deallocate(c, mb);
  CHECK(arena.allocate(5 * mb) == c);  // the free end grows instead of being left over
  a[5] = 9;
  arena.deallocate(a, 3 * mb);
  arena.give_back(0);
  CHECK(arena.allocate(2 * mb) == a);
  CHECK(a[5] == 0);
  CHECK(arena.allocate(std::int64_t{1} << 60) == nullptr);
  int elsewhere = 0;
  CHECK_FALSE(arena.owns(&elsewhere));
}

#endif
