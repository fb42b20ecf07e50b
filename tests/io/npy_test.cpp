#include "tandem/io/npy.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "tandem/tensor/factory.hpp"
#include "temp_dir.hpp"
#include "util.hpp"

using namespace tandem;
using namespace tandem_test;

namespace {

io::Array parse(const std::string& bytes) {
  auto owner = make_ref<io::OwnedBytes>(bytes);
  const unsigned char* data = owner->data();
  return io::parse_npy(data, bytes.size(), "x.npy", std::move(owner));
}

/// An npy file of version 1.0 with this header text.
std::string npy(const std::string& header, const std::string& data) {
  std::string out("\x93NUMPY\x01\0", 8);
  out += static_cast<char>(header.size() & 255);
  out += static_cast<char>(header.size() >> 8);
  return out + header + data;
}
std::string dict(const std::string& descr, const std::string& shape,
                 const char* fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

}  // namespace

TEST_CASE("npy: files that NumPy wrote") {
  const io::Array f4 = io::load_npy(golden("f4.npy"));
  CHECK(f4.kind == io::ElementKind::f32);
  CHECK(f4.tensor<float>().to_vector() == std::vector<float>{0, 0.5, 1, 1.5, 2, 2.5});
  CHECK(f4.tensor<float>().shape() == Shape{2, 3});
  CHECK(io::load_npy(golden("i8.npy")).to_vector<std::int64_t>() ==
        std::vector<std::int64_t>{-3, -2, -1, 0, 1, 2});
  CHECK(io::load_npy(golden("b1.npy")).tensor<bool>().at({1, 0}));
  CHECK_FALSE(io::load_npy(golden("b1.npy")).tensor<bool>().at({1, 1}));
  CHECK(io::load_npy(golden("scalar.npy")).tensor<double>().item() == 1.5);
  CHECK(io::load_npy(golden("bytes.npy")).strings() ==
        std::vector<std::string>{"Diving", "", "CliffDiving"});
  for (const char* name : {"version2.npy", "version3.npy"}) {
    CHECK(io::load_npy(golden(name)).to_vector<float>() == f4.to_vector<float>());
  }
}

TEST_CASE("npy: written byte for byte as NumPy writes") {
  const TempDir dir;
  const Tensor<float> f4 = from_vector<float>(std::vector<float>{0, 0.5, 1, 1.5, 2, 2.5}, {2, 3});
  io::save_npy(dir.path("a"), f4);
  CHECK(io::read_text(dir.path("a")) == io::read_text(golden("f4.npy")));
  CHECK(io::npy_bytes(f4) == io::read_text(golden("f4.npy")));
  io::save_npy(dir.path("a"),
               from_vector<std::int64_t>(std::vector<int>{-3, -2, -1, 0, 1, 2}, {2, 3}));
  CHECK(io::read_text(dir.path("a")) == io::read_text(golden("i8.npy")));
  io::save_npy(dir.path("a"), tensor<double>(1.5));
  CHECK(io::read_text(dir.path("a")) == io::read_text(golden("scalar.npy")));
  io::save_npy(dir.path("a"), tensor<bool>({{false, true, false}, {true, false, true}}));
  CHECK(io::read_text(dir.path("a")) == io::read_text(golden("b1.npy")));
  io::save_npy_strings(dir.path("a"), {"Diving", "", "CliffDiving"});
  CHECK(io::read_text(dir.path("a")) == io::read_text(golden("bytes.npy")));
  // A view is written in its own order.
  io::save_npy(dir.path("a"), f4.transpose(0, 1));
  CHECK(io::load_npy(dir.path("a")).to_vector<float>() ==
        std::vector<float>{0, 1.5, 0.5, 2, 1, 2.5});
}

TEST_CASE("npy: an aligned tensor shares the mapped file, read-only, and keeps it open") {
  const TempDir dir;
  io::save_npy(dir.path("a"), arange<float>(6));
  Tensor<float> x;
  {
    const io::Array array = io::load_npy(dir.path("a"));
    CHECK(array.shareable<float>());
    x = array.tensor<float>();
    CHECK(static_cast<const void*>(x.data()) == array.data);
  }
  io::write_text(dir.path("a"), "gone");
  CHECK(x.to_vector() == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK_THROWS_AS(x.mutable_data(), Error);
  x.clone().fill_(1);
  // Unaligned bytes are copied.
  const std::string file = npy(dict("<f4", "(1,)") + " ", std::string("\0\0\x80\x3f", 4));
  for (std::size_t shift = 0; shift < 4; ++shift) {
    const std::string moved = std::string(shift, ' ') + file;
    auto owner = make_ref<io::OwnedBytes>(moved);
    const unsigned char* data = owner->data() + shift;
    CHECK(io::parse_npy(data, file.size(), "m", owner).tensor<float>().item() == 1.0f);
  }
}

TEST_CASE("npy: conversions are explicit and checked") {
  const io::Array f4 = io::load_npy(golden("f4.npy"));
  CHECK(error_of([&] { f4.tensor<double>(); }) ==
        "[read] " + golden("f4.npy") + ": expected float64 elements, found float32");
  CHECK(f4.tensor_as<double>().to_vector()[5] == 2.5);
  CHECK(
      contains(error_of([&] { f4.tensor_as<std::int64_t>(); }), "float32 elements do not become"));
  CHECK(contains(error_of([&] { f4.tensor_as<bool>(); }), "float32 elements do not become bool"));
  const io::Array i8 = io::load_npy(golden("i8.npy"));
  CHECK(i8.tensor_as<std::int32_t>().to_vector()[0] == -3);
  CHECK(contains(error_of([&] { i8.tensor_as<std::uint8_t>(); }),
                 "element 0 is -3, which does not fit uint8"));
  CHECK(contains(error_of([&] { io::load_npy(golden("bytes.npy")).to_vector<float>(); }),
                 "expected numbers"));
  CHECK(contains(error_of([&] { f4.strings(); }), "expected strings"));
  const io::Array bad_bool = parse(npy(dict("|b1", "(3,)"), std::string("\0\1\2", 3)));
  CHECK(contains(error_of([&] { bad_bool.tensor<bool>(); }), "element 2 of a bool array is 2"));
  CHECK(contains(error_of([&] { bad_bool.tensor_as<float>(); }), "element 2 of a bool array is 2"));
}

TEST_CASE("npy: headers as other programs write them") {
  const std::string data(24, '\0');
  CHECK(parse(npy("{\"shape\":(2,3),\"descr\":\"<f4\",\"fortran_order\":False}", data)).rank() ==
        2);
  CHECK(parse(npy(dict("<f8", "(3L,)"), data)).shape == std::vector<std::int64_t>{3});
  CHECK(parse(npy(dict("<f8", "(3, 1, )"), data)).rank() == 2);
  CHECK(parse(npy(dict("<f4", "(0, 5)"), "")).tensor<float>().numel() == 0);
  CHECK(parse(npy(dict(">i4", "(1,)"), std::string("\0\0\1\2", 4))).to_vector<std::int32_t>()[0] ==
        258);
}

TEST_CASE("npy: what a header may not be") {
  const auto header_error = [](const std::string& header, std::size_t bytes = 0) {
    return error_of([&] { parse(npy(header, std::string(bytes, '\0'))); });
  };
  CHECK(
      contains(header_error(dict("<f4", "(2, 3)"), 23), "needs 24 bytes of data, the file has 23"));
  CHECK(
      contains(header_error(dict("<f4", "(2, 3)"), 25), "needs 24 bytes of data, the file has 25"));
  CHECK(contains(header_error(dict("<f4", "(-1,)")), "expected a size of the shape"));
  CHECK(contains(header_error(dict("<f4", "(3)"), 12), "needs a comma"));
  CHECK(contains(header_error(dict("<f4", "(3 4)")), "expected ',' or ')'"));
  CHECK(contains(header_error(dict("<f8", "(9223372036854775807,)")), "more than 2^63 bytes"));
  CHECK(contains(header_error(dict("<f8", "(4294967296, 4294967296)")), "more than 2^63 elements"));
  CHECK(contains(header_error(dict("<f8", "(99999999999999999999,)")), "expected a size"));
  CHECK(contains(header_error(dict("<c8", "(1,)")), "is not supported"));
  CHECK(contains(header_error(dict("<M8[ns]", "(1,)")), "is not understood"));
  CHECK(contains(header_error(dict("=f4", "(1,)")), "does not start with"));
  CHECK(contains(header_error(dict("|S0", "(1000000000000,)")), "elements of no size"));
  CHECK(contains(header_error(dict("|V4", "(1,)")), "is not supported"));
  CHECK(contains(header_error(dict("|S99999999999999999", "(1,)")), "larger than any file"));
  CHECK(contains(header_error("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"),
                 "structured element types"));
  CHECK(contains(header_error("{'descr': '<f4', 'shape': (1,)}"), "'fortran_order' is missing"));
  CHECK(contains(header_error("{'descr': '<f4', 'descr': '<f4'}"), "appears twice"));
  CHECK(contains(header_error("{'descr': '<f4', 'x': 1}"), "unknown key 'x'"));
  CHECK(contains(header_error("{'descr': __import__('os')}"), "expected a quoted string"));
  CHECK(contains(header_error("{'fortran_order': Maybe}"), "expected True or False"));
  CHECK(contains(header_error(dict("<f4", "(1,)") + "x", 4), "expected the end of the header"));
  std::string many = "(";
  for (int i = 0; i < 33; ++i) many += "1,";
  CHECK(contains(header_error(dict("<f4", many + ")"), 4), "more than 32 dimensions"));
  std::string nine = "(";
  for (int i = 0; i < 9; ++i) nine += "1,";
  CHECK(contains(
      error_of([&] { parse(npy(dict("<f4", nine + ")"), std::string(4, 0))).tensor<float>(); }),
      "at most 8 dimensions"));
  CHECK(contains(error_of([&] { parse("\x93NUMPY\x04" + std::string(20, '\0')); }), "version 4.0"));
  CHECK(contains(error_of([&] { parse("not a npy file at all"); }), "not an npy file"));
}

TEST_CASE("npy: every truncation, and every header length, is an error") {
  const std::string whole = io::read_text(golden("f4.npy"));
  for (std::size_t n = 1; n < whole.size(); ++n) {
    CAPTURE(n);
    CHECK_THROWS_AS(parse(whole.substr(0, n)), Error);
  }
  for (int low = 0; low < 256; ++low) {
    std::string lying = whole;
    if (lying[8] == static_cast<char>(low)) continue;
    lying[8] = static_cast<char>(low);
    CHECK_THROWS_AS(parse(lying), Error);
  }
}
