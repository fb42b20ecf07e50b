#include "tandem/io/file_record.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "temp_dir.hpp"

using namespace tandem;
using tandem_test::TempDir;

namespace {

io::Same compare(const io::Json& record, const std::vector<std::string>& paths) {
  const TempDir dir;
  io::save_json(dir.path("record.json"), record);
  const auto document = io::JsonDocument::load(dir.path("record.json"));
  return io::compare_record(document.root(), paths);
}

}  // namespace

TEST_CASE("file_record: a file is known again, moved or not, and another is not") {
  const TempDir dir;
  const std::string path = dir.path("a");
  io::write_text(path, "some bytes");
  const io::Json record = io::record_of({path});
  CHECK(record.at("bytes") == 10);
  CHECK(compare(record, {path}) == io::Same::yes);
  std::filesystem::copy_file(path, dir.path("b"));
  CHECK(compare(record, {dir.path("b")}) == io::Same::touched);
  std::filesystem::last_write_time(
      path, std::filesystem::last_write_time(path) + std::chrono::seconds(5));
  CHECK(compare(record, {path}) == io::Same::touched);
  io::write_text(path, "some bytez");
  CHECK(compare(record, {path}) == io::Same::no);
  io::write_text(path, "some bytes more");
  CHECK(compare(record, {path}) == io::Same::no);
  CHECK_THROWS_AS(compare(record, {dir.path("missing")}), Error);
  CHECK_THROWS_AS(io::record_of({dir.path("")}), Error);
}

TEST_CASE("file_record: of several files, the names and the order count") {
  const TempDir dir;
  for (const char* name : {"a", "b", "c"}) io::write_text(dir.path(name), "same");
  const io::Json record = io::record_of({dir.path("a"), dir.path("b")});
  CHECK(record.at("bytes") == 8);
  CHECK(compare(record, {dir.path("a"), dir.path("b")}) == io::Same::yes);
  CHECK(compare(record, {dir.path("a"), dir.path("c")}) == io::Same::no);
  CHECK(compare(record, {dir.path("b"), dir.path("a")}) == io::Same::no);
}

TEST_CASE("file_record: names of outputs") {
  CHECK(io::safe_name("a b.mp4") == "a b.mp4");
  CHECK(io::safe_name("Übung ↔") == "Übung ↔");
  CHECK(io::safe_name("caf\xE9\n\x7F") == "caf%E9%0A%7F");
  CHECK(io::safe_name("\xC2\x85") == "%C2%85");  // a control character in UTF-8
  CHECK(io::safe_name("") == "");
}

TEST_CASE("file_record: a record that is not there, and one that is damaged") {
  const TempDir dir;
  std::string why;
  CHECK(!io::load_record(dir.path("none.json"), why));
  CHECK(why == "");
  for (const char* text : {"{", "[]", ""}) {
    why.clear();
    io::write_text(dir.path("bad.json"), text);
    CHECK(!io::load_record(dir.path("bad.json"), why));
    CHECK(why.find("bad.json") != std::string::npos);
  }
  io::write_text(dir.path("good.json"), "{\"a\": 1}");
  CHECK(io::load_record(dir.path("good.json"), why)->root().at("a").integer(0) == 1);
}

TEST_CASE("file_record: what could not be written is refused, and nothing is left behind") {
  const TempDir dir;
  io::check_writable(dir.path("new/folder/a.npy"));
  CHECK(std::filesystem::is_empty(dir.path("new/folder")));
  io::write_text(dir.path("file"), "x");
  CHECK_THROWS_AS(io::check_writable(dir.path("file/a.npy")), Error);
  CHECK_THROWS_AS(io::check_writable(dir.path(std::string(300, 'a'))), Error);
}
