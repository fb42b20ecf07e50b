#include "tandem/flow/flo.hpp"

#include <cstring>
#include <limits>
#include <vector>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "golden.hpp"

using namespace tandem;
using namespace tandem_test;

namespace {

std::string header(std::int32_t width, std::int32_t height) {
  std::string bytes("PIEH\0\0\0\0\0\0\0\0", 12);
  std::memcpy(bytes.data() + 4, &width, 4);
  std::memcpy(bytes.data() + 8, &height, 4);
  return bytes;
}

std::string message(const std::string& bytes) {
  return error_of([&] { flow::decode_flo(bytes, "x.flo"); });
}

}  // namespace

TEST_CASE("flo: reads and writes the bytes of OpenCV") {
  const Tensor<std::uint8_t> bytes = flow_golden<std::uint8_t>("flo");
  const Tensor<float> flow = flow_golden<float>("warp.flow");
  const std::string text(reinterpret_cast<const char*>(bytes.data()),
                         static_cast<std::size_t>(bytes.numel()));
  CHECK(flow::decode_flo(text, "golden").to_vector() == flow.to_vector());
  const TempDir folder;
  const std::string path = folder.path("a.flo");
  flow::write_flo(path, flow);
  CHECK(io::read_text(path) == text);
  CHECK(flow::read_flo(path).shape() == Shape{19, 35, 2});
  flow::write_flo(path, flow.transpose(0, 1));  // a view, over the old file
  CHECK(flow::read_flo(path).to_vector() == flow.transpose(0, 1).to_vector());
  CHECK(folder.entries() == std::vector<std::string>{"a.flo"});
}

TEST_CASE("flo: a flow that is not known") {
  const TempDir folder;
  const std::string path = folder.path("a.flo");
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const Tensor<float> flow = from_vector<float>(
      std::vector<float>{1, 2, nan, 3, 4, -inf, 5e9F, 6, 1e9F, -1e9F}, Shape{1, 5, 2});
  flow::write_flo(path, flow);
  const Tensor<float> read = flow::read_flo(path);
  CHECK(read.to_vector() == std::vector<float>{1, 2, flow::unknown_flow, 3, 4, flow::unknown_flow,
                                               5e9F, 6, 1e9F, -1e9F});
  const bool expected[] = {true, false, false, false, true};
  for (std::int64_t x = 0; x < 5; ++x) {
    CHECK(flow::is_known(read.at({0, x, 0}), read.at({0, x, 1})) == expected[x]);
    CHECK(flow::is_known(flow.at({0, x, 0}), flow.at({0, x, 1})) == expected[x]);
  }
  // Of the truth only what is known counts: (0, 3) − (1, 2) and (1e9, −1e9) itself.
  const Tensor<float> guess =
      from_vector<float>(std::vector<float>{4, 6, 0, 0, 0, 0, 0, 0, 1e9F, -1e9F}, Shape{1, 5, 2});
  CHECK(flow::endpoint_error(guess, flow) == doctest::Approx(2.5));
  CHECK(contains(error_of([&] {
                   flow::endpoint_error(guess, full<float>({1, 5, 2}, nan));
                 }),
                 "known nowhere"));
  CHECK(contains(error_of([&] {
                   flow::endpoint_error(guess, zeros<float>({5, 1, 2}));
                 }),
                 "of one size"));
}

TEST_CASE("flo: hostile files") {
  CHECK(contains(message(""), "x.flo: a .flo file has at least 12 bytes, this one has 0"));
  CHECK(contains(message("PIEH"), "this one has 4"));
  CHECK(contains(message(std::string(20, 'P')), "PIEH of a .flo file"));
  CHECK(contains(message(header(1, 1)), "has 20 bytes, the file has 12"));
  CHECK(contains(message(header(1, 1) + std::string(9, '\0')), "the file has 21"));
  CHECK(contains(message(header(2, 3) + std::string(47, '\0')),
                 "a flow of 2 x 3 pixels has 60 bytes"));
  for (const std::int32_t size : {0, -1, 100000, std::numeric_limits<std::int32_t>::max(),
                                  std::numeric_limits<std::int32_t>::min()}) {
    CHECK(contains(message(header(size, 1) + std::string(8, '\0')), "from 1 to 99999"));
    CHECK(contains(message(header(1, size) + std::string(8, '\0')), "from 1 to 99999"));
  }
  CHECK(contains(message(header(99999, 99999) + std::string(8, '\0')), "has 79998400020 bytes"));
  CHECK(message(header(1, 1) + std::string(8, '\xff')) == "no error");  // NaN
  const TempDir folder;
  CHECK(contains(error_of([&] { flow::read_flo(folder.path("none.flo")); }), "cannot open"));
  CHECK(contains(error_of([&] { flow::read_flo(folder.path("")); }), "a directory"));
  for (const Shape& shape : {Shape{3, 2}, Shape{3, 4, 3}, Shape{0, 4, 2}, Shape{4, 0, 2}}) {
    CHECK(contains(error_of([&] { flow::write_flo(folder.path("a.flo"), zeros<float>(shape)); }),
                   "expected a flow (H, W, 2)"));
  }
  CHECK(contains(error_of([&] { flow::write_flo(folder.path("a.flo"), Tensor<float>()); }),
                 "undefined"));
  CHECK(folder.entries().empty());
}
