#include "tandem/io/npz.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "tandem/tensor/factory.hpp"
#include "temp_dir.hpp"
#include "util.hpp"

using namespace tandem;
using namespace tandem_test;

namespace {

std::string le(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 255);
  return out;
}

/// A zip archive of one stored entry, with room for lies.
struct Zip {
  std::string name = "x.npy", data;
  std::uint64_t method = 0, flags = 0, crc = 0, stored_size = 0, size = 0, header = 0, count = 1;
  std::string extra;

  explicit Zip(const std::string& bytes)
      : data(bytes), crc(io::crc32(bytes)), stored_size(bytes.size()), size(bytes.size()) {}
  std::string bytes() const {
    const std::string common = le(20, 2) + le(flags, 2) + le(method, 2) + le(0, 4) + le(crc, 4) +
                               le(stored_size, 4) + le(size, 4) + le(name.size(), 2);
    const std::string local = le(0x04034b50, 4) + common + le(0, 2) + name + data;
    const std::string directory = le(0x02014b50, 4) + le(20, 2) + common + le(extra.size(), 2) +
                                  le(0, 8) + le(0, 2) + le(header, 4) + name + extra;
    return local + directory + le(0x06054b50, 4) + le(0, 4) + le(count, 2) + le(count, 2) +
           le(directory.size(), 4) + le(local.size(), 4) + le(0, 2);
  }
};

std::string open_error(const std::string& bytes) {
  const TempDir dir;
  io::write_text(dir.path("a.npz"), bytes);
  return error_of([&] {
    const auto npz = io::Npz::open(dir.path("a.npz"));
    for (const std::string& name : npz.names()) npz.at(name);
  });
}

}  // namespace

TEST_CASE("npz: the same arrays, stored and deflated, as NumPy wrote them") {
  for (const char* file : {"stored.npz", "deflated.npz"}) {
    CAPTURE(file);
    const auto npz = io::Npz::open(golden(file));
    CHECK(npz.names().size() == 22);
    std::vector<double> ramp{0, 1, 2, 3, 4, 5}, half{0, 0.5, 1, 1.5, 2, 2.5},
        low{-3, -2, -1, 0, 1, 2};
    for (const char* name : {"u1", "u2", "u4", "u8"})
      CHECK(npz.at(name).to_vector<double>() == ramp);
    for (const char* name : {"i1", "i2", "i4", "i8"})
      CHECK(npz.at(name).to_vector<double>() == low);
    for (const char* name : {"f2", "f4", "f8", "big", "fortran"}) {
      CHECK(npz.at(name).to_vector<double>() == half);
      CHECK(npz.at(name).tensor_as<float>().shape() == Shape{2, 3});
    }
    CHECK(npz.at("big").swapped);
    CHECK(npz.at("big").tensor<float>().at({1, 2}) == 2.5f);
    CHECK(npz.at("fortran").tensor<double>().at({1, 0}) == 1.5);
    CHECK(npz.at("i4").to_vector<std::int64_t>() == std::vector<std::int64_t>{-3, -2, -1, 0, 1, 2});
    CHECK(npz.at("b1").tensor<bool>().to_vector() ==
          std::vector<bool>{false, true, false, true, false, true});
    CHECK(npz.at("bytes").strings() == std::vector<std::string>{"Diving", "", "CliffDiving"});
    CHECK(npz.at("text").strings() ==
          std::vector<std::string>{"caf\xC3\xA9", "", "\xF0\x9F\x98\x80"});
    CHECK(npz.at("scalar").tensor<double>().item() == 1.5);
    CHECK(npz.at("none").tensor<double>().shape() == Shape{0, 3});
    const auto cube = npz.at("cube").to_vector<float>();
    for (std::size_t i = 0; i < 24; ++i) CHECK(cube[i] == static_cast<float>(i));
    const auto f16 = npz.at("half").to_vector<float>(),
               f32 = npz.at("half_as_f4").to_vector<float>();
    for (std::size_t i = 0; i < f16.size(); ++i) {
      CHECK((f16[i] == f32[i] || (std::isnan(f16[i]) && std::isnan(f32[i]))));
    }
    // numpy: np.sin(np.arange(3000)).astype("<f4") * (np.arange(3000) % 7 == 0)
    const auto wave = npz.at("long").to_vector<double>();
    REQUIRE(wave.size() == 3000);
    // One float32 rounding of a value in [-1, 1], and a libm's last bit.
    for (std::size_t i = 0; i < 3000; ++i) {
      CHECK(std::abs(wave[i] - (i % 7 == 0 ? std::sin(static_cast<double>(i)) : 0.0)) < 1e-7);
    }
    CHECK(contains(error_of([&] { npz.at("nothing"); }), "there is no array \"nothing\""));
  }
}

TEST_CASE("npz: a round trip, and the same bytes every time") {
  const TempDir dir;
  for (const char* name : {"a", "b"}) {
    io::NpzWriter out(dir.path(name));
    out.add("x", arange<float>(0, 12).view({3, 4}));
    out.add("ids/y", tensor<std::int64_t>({1, 2}));
    CHECK_THROWS_AS(out.add("x", tensor<float>(1)), Error);
    out.commit();
  }
  CHECK(io::read_text(dir.path("a")) == io::read_text(dir.path("b")));
  const auto npz = io::Npz::open(dir.path("a"));
  CHECK(npz.names() == std::vector<std::string>{"x", "ids/y"});
  CHECK(npz.at("x").tensor<float>().at({2, 3}) == 11.0f);
  CHECK(npz.at("ids/y").tensor<std::int64_t>().to_vector() == std::vector<std::int64_t>{1, 2});
}

TEST_CASE("npz: lies about sizes, offsets and checksums") {
  const Zip good(io::npy_bytes(arange<float>(4)));
  CHECK(open_error(good.bytes()) == "no error");
  const auto with = [&](auto change) {
    Zip zip = good;
    change(zip);
    return open_error(zip.bytes());
  };
  CHECK(contains(with([](Zip& z) { z.crc ^= 1; }), "the CRC of the data is wrong"));
  CHECK(contains(with([](Zip& z) {
                   z.stored_size += 1000;
                   z.size += 1000;
                 }),
                 "run past the end"));
  CHECK(contains(with([](Zip& z) { z.size += 1; }), "two different sizes"));
  CHECK(contains(with([](Zip& z) { z.header = 7; }), "no entry at offset 7"));
  CHECK(contains(with([](Zip& z) { z.header = 0xFFFFFFF0u; }), "ends inside a header"));
  CHECK(contains(with([](Zip& z) { z.method = 12; }), "compression method 12"));
  CHECK(contains(with([](Zip& z) { z.flags = 1; }), "encrypted"));
  CHECK(contains(with([](Zip& z) { z.count = 2; }), "cannot hold 2 entries"));
  CHECK(contains(with([](Zip& z) { z.count = 9999; }), "cannot hold 9999 entries"));
  CHECK(contains(with([](Zip& z) {
                   z.method = 8;
                   z.size = 0xFFFFFFF0u;
                 }),
                 "cannot hold the 4294967280"));
  CHECK(contains(with([](Zip& z) {
                   z.size = 0xFFFFFFFFu;
                   z.stored_size = 0xFFFFFFFFu;
                   z.extra =
                       le(1, 2) + le(16, 2) + le(~std::uint64_t{0}, 8) + le(~std::uint64_t{0}, 8);
                 }),
                 "run past the end"));
  CHECK(contains(with([](Zip& z) {
                   z.size = 0xFFFFFFFFu;
                   z.extra = le(1, 2) + le(4, 2) + le(0, 4);
                 }),
                 "zip64 field is too short"));
  // The zip64 form of the true sizes.
  CHECK(with([](Zip& z) {
          z.extra = le(1, 2) + le(16, 2) + le(z.size, 8) + le(z.stored_size, 8);
          z.size = 0xFFFFFFFFu;
          z.stored_size = 0xFFFFFFFFu;
        }) == "no error");
  CHECK(contains(open_error("PK, but nothing else"), "not an npz file"));
}

TEST_CASE("npz: two entries over the same data are refused") {
  const Zip zip(io::npy_bytes(arange<float>(4)));
  const std::string one = zip.bytes();
  const std::size_t local = 30 + zip.name.size() + zip.data.size();
  std::string directory = one.substr(local, 46 + zip.name.size());
  std::string second = directory;
  second[46] = 'y';
  const std::string bytes = one.substr(0, local) + directory + second + le(0x06054b50, 4) +
                            le(0, 4) + le(2, 2) + le(2, 2) + le(2 * directory.size(), 4) +
                            le(local, 4) + le(0, 2);
  CHECK(contains(open_error(bytes), "two entries overlap"));
}

TEST_CASE("npz: every truncation and every changed byte is noticed or harmless") {
  for (const char* file : {"deflated.npz"}) {
    const std::string whole = io::read_text(golden(file));
    for (std::size_t n = 1; n < whole.size(); n += 7) {
      CAPTURE(n);
      CHECK(open_error(whole.substr(0, n)) != "no error");
    }
    for (std::size_t n = 0; n < whole.size(); n += 5) {
      std::string changed = whole;
      changed[n] = static_cast<char>(changed[n] ^ 0x55);
      open_error(changed);  // an Error or nothing; anything else fails the test
    }
  }
}

TEST_CASE("inflate: CRC and blocks of every type") {
  CHECK(io::crc32("123456789") == 0xCBF43926u);
  CHECK(io::crc32("6789", io::crc32("12345")) == 0xCBF43926u);
  const std::string stored(
      "\x01\x03\x00\xFC\xFF"
      "abc",
      8);
  CHECK(io::inflate(stored, 3, "s") == "abc");
  const std::string fixed("\x4B\x4C\x04\x02\x00", 5);  // zlib: compress "aaaaa" without the wrapper
  CHECK(io::inflate(fixed, 5, "f") == "aaaaa");
  CHECK(contains(error_of([&] { io::inflate(stored, 2, "s"); }),
                 "more data than the 2 bytes promised"));
  CHECK(contains(error_of([&] { io::inflate(stored, 4, "s"); }), "ends after 3 of 4 bytes"));
  CHECK(contains(error_of([&] { io::inflate(stored + "x", 3, "s"); }), "bytes follow the end"));
  CHECK(contains(error_of([&] { io::inflate(fixed, 4, "f"); }), "more data than the 4"));
  CHECK(contains(error_of([&] { io::inflate(std::string("\x07", 1), 1, "t"); }),
                 "invalid block type"));
  CHECK(contains(error_of([&] { io::inflate(fixed, 7000, "f"); }), "cannot hold the 7000 bytes"));
  for (std::size_t n = 0; n < fixed.size(); ++n) {
    CHECK_THROWS_AS(io::inflate(std::string_view(fixed).substr(0, n), 5, "f"), Error);
  }
}
