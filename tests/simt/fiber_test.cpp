#include "fiber.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "sanitizers.hpp"

using simt::Fiber;

namespace {

struct Pair {
  Fiber main;
  Fiber* fiber = nullptr;
  std::vector<int> order;
};

}  // namespace

// Switching orders nothing for ThreadSanitizer (that is what lets it see races of kernels), and
// these fibers share what they count in.

TEST_CASE("fibers take turns, keep their locals and can start again") {
  if (SIMT_TSAN) return;
  Pair pair;
  const auto entry = [](void* opaque) {
    Pair& p = *static_cast<Pair*>(opaque);
    for (int i = 1;; ++i) {
      p.order.push_back(i);
      p.fiber->switch_to(p.main);
    }
  };
  Fiber fiber(entry, &pair);
  pair.fiber = &fiber;
  for (int i = 0; i < 3; ++i) {
    pair.order.push_back(-1);
    pair.main.switch_to(fiber);
  }
  fiber.restart();
  pair.main.switch_to(fiber);
  CHECK(pair.order == std::vector{-1, 1, -1, 2, -1, 3, 1});
}

TEST_CASE("exceptions are thrown and caught inside a fiber, deep in its stack") {
  if (SIMT_TSAN) return;
  struct State : Pair {
    std::string caught;
    static int deep(int n) {
      volatile char room[64] = {};
      room[n % 64] = 1;
      if (n == 0) throw std::runtime_error("from below");
      return deep(n - 1) + room[n % 64];
    }
  } state;
  Fiber fiber(
      [](void* opaque) {
        State& s = *static_cast<State*>(opaque);
        for (;;) {
          try {
            State::deep(100);
          } catch (const std::exception& error) {
            s.caught += error.what();
          }
          s.fiber->switch_to(s.main);
        }
      },
      static_cast<void*>(&state));
  state.fiber = &fiber;
  state.main.switch_to(fiber);
  state.main.switch_to(fiber);
  CHECK(state.caught == "from belowfrom below");
}

TEST_CASE("a stack is aligned as the ABI wants it") {
  if (SIMT_TSAN) return;
  struct State : Pair {
    std::uintptr_t remainder = 1;
  } state;
  Fiber fiber(
      [](void* opaque) {
        State& s = *static_cast<State*>(opaque);
        alignas(16) volatile char aligned[16] = {};
        s.remainder = reinterpret_cast<std::uintptr_t>(&aligned[0]) % 16;
        for (;;) s.fiber->switch_to(s.main);
      },
      static_cast<void*>(&state));
  state.fiber = &fiber;
  state.main.switch_to(fiber);
  CHECK(state.remainder == 0);
}
