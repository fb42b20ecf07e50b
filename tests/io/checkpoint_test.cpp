#include "tandem/io/checkpoint.hpp"

#include <doctest/doctest.h>

#include <set>

#include "tandem/tensor/factory.hpp"
#include "temp_dir.hpp"
#include "util.hpp"

using namespace tandem;
using namespace tandem::io;

namespace {

std::string message_of(const std::string& path) {
  try {
    load_checkpoint<float>(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

Checkpoint<float> example() {
  return {{{"cbp.weight", arange<float>(35).view({5, 7})},
           {"vlp.bias", arange<float>(6)},
           {"empty", zeros<float>({0, 3})}},
          {12, 8, 4},
          R"({"seed": 3})",
          {{"classes", "[\"é\"]"}}};
}

}  // namespace

TEST_CASE("checksum: values of an independent implementation") {
  // Python: def m(x): x = x * 0x9E3779B97F4A7C15 % 2**64; return x ^ (x >> 32), and the lanes as
  // checksum.hpp has them.
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += static_cast<char>(i);
  CHECK(hexadecimal(checksum(std::string_view(bytes).substr(0, 0))) == "d694f53c11d605f8");
  CHECK(hexadecimal(checksum(std::string_view(bytes).substr(0, 5))) == "755e927a0433a58a");
  CHECK(hexadecimal(checksum(std::string_view(bytes).substr(0, 32))) == "bc0afc7a6ccb2bae");
  CHECK(hexadecimal(checksum(bytes)) == "e2955915b66aeb7e");
  CHECK(hexadecimal(checksum(bytes, 7)) == "84033f14160918bc");
}

TEST_CASE("checksum: every bit, the length and the order of words count") {
  std::set<std::uint64_t> seen;
  std::size_t made = 0;
  const auto see = [&](std::string_view text) {
    seen.insert(checksum(text));
    ++made;
  };
  std::string bytes(75, '\0');
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] = static_cast<char>(1 << bit % 8);
    see(bytes);
    bytes[bit / 8] = 0;
  }
  for (std::size_t length = 0; length <= bytes.size(); ++length)
    see(std::string_view(bytes).substr(0, length));
  CHECK(seen.size() == made);
  std::string a(64, 'a');
  a.replace(8, 8, "bbbbbbbb");
  std::string b(64, 'a');
  b.replace(40, 8, "bbbbbbbb");
  CHECK(checksum(a) != checksum(b));
}

TEST_CASE("checkpoint: what is saved is read back, and its checksums agree") {
  const tandem_test::TempDir dir;
  save_checkpoint(dir.path("c"), example());
  const auto read = load_checkpoint<float>(dir.path("c"));
  CHECK(read.tested);
  CHECK(untested_note(read, "c").empty());
  CHECK(read.counters == std::vector<std::int64_t>{12, 8, 4});
  CHECK(read.options == R"({"seed": 3})");
  CHECK(read.notes == Metadata{{"classes", "[\"é\"]"}});
  REQUIRE(read.tensors.size() == 3);
  CHECK(read.tensors[0].name == "cbp.weight");
  CHECK(read.tensors[0].tensor.at({4, 6}) == 34);
  // A view is hashed as it is written.
  Checkpoint<float> view = example();
  view.tensors[0].tensor = view.tensors[0].tensor.transpose(0, 1);
  save_checkpoint(dir.path("view"), view);
  CHECK(load_checkpoint<float>(dir.path("view")).tensors[0].tensor.at({6, 4}) == 34);
  // Another element type.
  save_checkpoint(dir.path("double"), Checkpoint<double>{{{"w", ones<double>({2})}}, {}, ""});
  CHECK(message_of(dir.path("double")) ==
        "[checkpoint] " + dir.path("double") +
            ": \"w\" has float64 elements, float32 was asked for: call load_checkpoint<double>");
}

TEST_CASE("checkpoint: each flipped bit is noticed, and the tensor named where it is in one") {
  const tandem_test::TempDir dir;
  save_checkpoint(dir.path("c"), example());
  const std::string good = read_text(dir.path("c"));
  std::uint64_t header = 0;
  std::memcpy(&header, good.data(), 8);
  std::size_t unnoticed = 0, unnamed = 0;
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    {  // in place: AtomicFile would flush each of the many files to the disk
      std::FILE* file = std::fopen(dir.path("bad").c_str(), "wb");
      REQUIRE(std::fwrite(bad.data(), 1, bad.size(), file) == bad.size());
      std::fclose(file);
    }
    const std::string said = message_of(dir.path("bad"));
    unnoticed += said.empty();
    const bool in_data = bit / 8 >= 8 + header;
    unnamed += in_data ? said.find(" is damaged: the tensor \"") == said.npos
                       : said.find(dir.path("bad")) == said.npos;
    if (said.empty())
      MESSAGE("bit " << bit << " of " << 8 * good.size() << ": "
                     << good.substr(bit / 8 < 20 ? 0 : bit / 8 - 20, 40));
  }
  CHECK(unnoticed == 0);
  CHECK(unnamed == 0);
}

TEST_CASE("checkpoint: one of format 1 has no checksums; it is read and says so") {
  const tandem_test::TempDir dir;
  SafetensorsWriter old;
  old.add("w", arange<float>(3));
  old.metadata = {
      {"format", "tandem checkpoint 1"}, {"version", "0"}, {"counters", "[1]"}, {"options", "{}"}};
  old.save(dir.path("old"));
  const auto read = load_checkpoint<float>(dir.path("old"));
  CHECK_FALSE(read.tested);
  CHECK(untested_note(read, "old").find("before checkpoints had checksums") != std::string::npos);
  CHECK(read.notes.empty());
  // But one that lost its format is not taken for an old one, and a later format is named.
  old.metadata["checksum"] = "0";
  old.save(dir.path("old"));
  CHECK(message_of(dir.path("old")).find("is damaged") != std::string::npos);
  old.metadata["format"] = "tandem checkpoint 3";
  old.save(dir.path("old"));
  CHECK(message_of(dir.path("old")).find("has format \"tandem checkpoint 3\"") !=
        std::string::npos);
}
