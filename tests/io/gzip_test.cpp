#include "tandem/io/gzip.hpp"

#include <doctest/doctest.h>

#include "util.hpp"

using namespace tandem;
using namespace tandem_test;

namespace {

/// "tandem\n" by `printf 'tandem\n' | gzip -n`.
const std::string kMember(
    "\x1F\x8B\x08\0\0\0\0\0\0\x03\x2B\x49\xCC\x4B\x49\xCD\xE5\x02\0\xFE\xAB\x3F\xAA\x07\0\0\0", 27);

std::string gunzip_error(const std::string& bytes, std::size_t most = 100) {
  return error_of([&] { io::gunzip(bytes, most, "a.gz"); });
}

}  // namespace

TEST_CASE("gzip: one member and several") {
  CHECK(io::is_gzip(kMember));
  CHECK_FALSE(io::is_gzip("PK"));
  CHECK(io::gunzip(kMember, 7, "a.gz") == "tandem\n");
  CHECK(io::gunzip(kMember + kMember, 100, "a.gz") == "tandem\ntandem\n");
}

TEST_CASE("gzip: damaged, cut and too large data") {
  CHECK(gunzip_error(kMember, 6) ==
        "[gunzip] a.gz: the content has more than the 6 bytes that are expected here");
  for (std::size_t size = 0; size < kMember.size(); ++size) {
    CHECK(contains(gunzip_error(kMember.substr(0, size)), "ends too early"));
  }
  std::string wrong = kMember;
  wrong[20] ^= 1;
  CHECK(contains(gunzip_error(wrong), "bad compressed data near byte"));
  CHECK(contains(gunzip_error("not gzip at all"), "bad compressed data"));
  CHECK(gunzip_error(kMember + "rest") ==
        "[gunzip] a.gz: 4 bytes follow the end of the compressed data at byte 27");
}
