#include "tandem/cpu/convert.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "tandem/cpu/isa.hpp"
#include "tandem/io/array.hpp"

using namespace tandem;

namespace {

/// Runs f with every instruction set that this CPU has.
template <class F>
void on_every_isa(F&& f) {
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::IsaScope scope(isa);
    INFO("instruction set ", cpu::name(isa));
    f();
  }
}

bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

}  // namespace

TEST_CASE("every half-precision number widens to its value, every bfloat16 too") {
  std::vector<std::uint16_t> bits(65536);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
  on_every_isa([&] {
    std::vector<float> half(bits.size()), brain(bits.size());
    cpu::widen_half(bits.data(), half.data(), 65536);
    std::vector<bfloat16> numbers;
    for (const std::uint16_t b : bits) numbers.push_back(bfloat16::from_bits(b));
    cpu::widen(numbers.data(), brain.data(), 65536);
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < bits.size(); ++i) {
      wrong += !same(half[i], static_cast<float>(io::detail::Half{bits[i]}));
      wrong += !same(brain[i], static_cast<float>(numbers[i]));
    }
    CHECK(wrong == 0);
    CHECK(half[0x3C00] == 1);
    CHECK(half[0x0001] == 0x1p-24F);
    CHECK(half[0xFBFF] == -65504);
    CHECK(std::isinf(half[0x7C00]));
    CHECK(std::isnan(half[0x7C01]));
  });
}

TEST_CASE("rounding to bfloat16 is bfloat16(x) for ties, carries, NaN, infinities and any length") {
  std::vector<float> x;
  for (std::uint32_t upper = 0; upper < 0x10000; upper += 0x11) {
    for (const std::uint32_t lower : {0x0U, 0x1U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
      x.push_back(std::bit_cast<float>(upper << 16 | lower));
    }
  }
  for (const std::uint32_t b : {0x7F7FFFFFU, 0x7F800000U, 0x7F800001U, 0x7FFFFFFFU, 0xFF800001U}) {
    x.push_back(std::bit_cast<float>(b));
  }
  on_every_isa([&] {
    for (const std::size_t n : {x.size(), std::size_t{1}, std::size_t{31}, std::size_t{0}}) {
      const std::vector<float> some(x.end() - static_cast<std::ptrdiff_t>(n), x.end());
      std::vector<bfloat16> y(n + 1, bfloat16::from_bits(0xABCD));
      cpu::round_to_bfloat16(some.data(), y.data(), static_cast<std::int64_t>(n));
      std::int64_t wrong = 0;
      for (std::size_t i = 0; i < n; ++i) wrong += y[i].bits != bfloat16(some[i]).bits;
      CHECK(wrong == 0);
      CHECK(y[n].bits == 0xABCD);
    }
  });
}
