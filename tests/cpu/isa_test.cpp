#include "tandem/cpu/isa.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace tandem::cpu;

namespace {

std::string message(const detail::CpuInfo& cpu, const char* text) {
  try {
    static_cast<void>(detail::choose_isa(cpu, text));
  } catch (const tandem::Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("isa: names are distinct and in the order of the enumeration") {
  CHECK(std::string(name(Isa::portable)) == "portable");
  CHECK(std::string(name(Isa::avx2)) == "avx2");
  CHECK(std::string(name(Isa::avx512)) == "avx512");
  CHECK(std::string(name(Isa::avx512_bf16)) == "avx512_bf16");
  CHECK(std::string(name(Isa::amx_bf16)) == "amx_bf16");
  CHECK(Isa::portable < Isa::avx2);
  CHECK(Isa::avx512 < Isa::avx512_bf16);
  CHECK(Isa::avx512_bf16 < Isa::amx_bf16);
}

TEST_CASE("isa: without a wish the best one is taken") {
  for (int i = 0; i < isa_count; ++i) {
    const Isa best = static_cast<Isa>(i);
    CHECK(detail::choose_isa({best, false}, nullptr) == best);
    CHECK(detail::choose_isa({best, false}, "") == best);
  }
  // Intel without usable tiles: its bfloat16 products are slower than float.
  CHECK(detail::choose_isa({Isa::avx512_bf16, true}, nullptr) == Isa::avx512);
  CHECK(detail::choose_isa({Isa::amx_bf16, true}, nullptr) == Isa::amx_bf16);
}

TEST_CASE("isa: TANDEM_ISA takes every name up to what the CPU has") {
  for (int best = 0; best < isa_count; ++best) {
    for (int wish = 0; wish < isa_count; ++wish) {
      const detail::CpuInfo cpu{static_cast<Isa>(best), true};
      const char* text = name(static_cast<Isa>(wish));
      if (wish <= best) {
        CHECK(detail::choose_isa(cpu, text) == static_cast<Isa>(wish));
      } else {
        CHECK(message(cpu, text) == std::string("[isa] TANDEM_ISA asks for ") + text +
                                        ", this CPU has " + detail::isa_names(cpu.best));
      }
    }
  }
}

TEST_CASE("isa: an unknown TANDEM_ISA names the valid ones and what the CPU has") {
  for (const char* text : {"avx", "AVX2", "avx512 ", "1"}) {
    CHECK(message({Isa::avx2, false}, text) ==
          std::string("[isa] TANDEM_ISA must be one of portable, avx2, avx512, avx512_bf16, "
                      "amx_bf16, got \"") +
              text + "\"; this CPU has portable, avx2");
  }
}

TEST_CASE("isa: the active one is supported and scopes restore it") {
  const std::vector<Isa> all = supported_isas();
  REQUIRE(!all.empty());
  CHECK(all.front() == Isa::portable);
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i] == static_cast<Isa>(i));
  const Isa before = isa();
  CHECK(before <= all.back());
  for (const Isa outer : all) {
    const IsaScope outer_scope(outer);
    CHECK(isa() == outer);
    for (const Isa inner : all) {
      const IsaScope inner_scope(inner);
      CHECK(isa() == inner);
    }
    CHECK(isa() == outer);
  }
  CHECK(isa() == before);
  if (all.back() != Isa::amx_bf16) CHECK_THROWS_AS(IsaScope{Isa::amx_bf16}, tandem::Error);
  CHECK(isa() == before);
}
