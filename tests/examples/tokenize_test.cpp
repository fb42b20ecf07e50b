// The program itself, its main renamed.
#define main tokenize_main
#include "../../examples/tokenize.cpp"
#undef main

#include <doctest/doctest.h>
#include <unistd.h>

#include "../io/temp_dir.hpp"

namespace {

struct Run {
  int status = 0;
  std::string out, err;
};

/// Runs the program with `input` as its standard input, its output going to files.
Run run(const std::string& input, std::vector<std::string> words) {
  words.insert(words.begin(), "tokenize");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  tandem_test::TempDir dir;
  const std::string paths[3] = {dir.path("in"), dir.path("out"), dir.path("err")};
  io::write_text(paths[0], input);
  int saved[3];
  std::fflush(nullptr);
  for (int i = 0; i < 3; ++i) {
    saved[i] = ::dup(i);
    std::FILE* file = std::fopen(paths[i].c_str(), i == 0 ? "r" : "w");
    ::dup2(::fileno(file), i);
    std::fclose(file);
  }
  std::cin.clear();
  std::clearerr(stdin);
  Run result;
  result.status = tokenize_main(static_cast<int>(argv.size()), argv.data());
  std::fflush(nullptr);
  for (int i = 0; i < 3; ++i) {
    ::dup2(saved[i], i);
    ::close(saved[i]);
  }
  result.out = io::read_text(paths[1]);
  result.err = io::read_text(paths[2]);
  return result;
}

/// a b → ab; ab c</w> → abc</w>.  Ids: 512 ab, 513 abc</w>, 514 start, 515 end.
std::string vocabulary(const tandem_test::TempDir& dir) {
  const std::string path = dir.path("merges.txt");
  io::write_text(path, "#version: 0.2\na b\nab c</w>\n");
  return path;
}

}  // namespace

TEST_CASE("tokenize: lines to ids and back, plain and as JSON") {
  const tandem_test::TempDir dir;
  const std::string merges = vocabulary(dir);
  const Run plain = run("abc\n\nABC abb\n", {"--vocabulary", merges});
  CHECK(plain.status == 0);
  const std::string b_at_end = std::to_string('b' - '!' + 256);
  CHECK(plain.out == "513\n\n513 512 " + b_at_end + "\n");
  CHECK(run("\"abc\\nabc\"\n", {"--vocabulary", merges, "--json"}).out == "[513, 513]\n");
  CHECK(run("513 512 " + b_at_end + "\n", {"--vocabulary", merges, "--decode"}).out ==
        "abc abb \n");
  CHECK(run("[513, 513]\n", {"--vocabulary", merges, "--decode", "--json"}).out ==
        "\"abc abc \"\n");
}

TEST_CASE("tokenize: the classes of a data set, as train_dcl reads them") {
  const tandem_test::TempDir dir;
  const std::string truth = dir.path("gt.json"), out = dir.path("tokens.json");
  io::write_text(truth, R"({"database": {
    "v": {"subset": "training", "annotations": [{"segment": [0, 1], "label": "AbcAbb"}]}}})");
  const Run r = run("", {"--vocabulary", vocabulary(dir), "--classes", truth, "--out", out});
  CHECK(r.status == 0);
  CHECK(r.out == "1 classes written to " + out + "\n");
  const wtal::ClassTokens tokens = wtal::load_class_tokens(out, {"AbcAbb"}, 516);
  CHECK(tokens.start == 514);
  CHECK(tokens.end == 515);
  CHECK(tokens.names == std::vector<std::vector<std::int64_t>>{{513, 512, 'b' - '!' + 256}});
}

TEST_CASE("tokenize: what it refuses") {
  const tandem_test::TempDir dir;
  const std::string merges = vocabulary(dir);
  const auto refused = [](const Run& r, const char* why) {
    CHECK(r.status != 0);
    CHECK_MESSAGE(r.err.find(why) != std::string::npos, r.err);
  };
  refused(run("\"a\"\n12\n", {"--vocabulary", merges, "--json"}), "line 2: expected a JSON string");
  refused(run("\"a\n", {"--vocabulary", merges, "--json"}), "line 1");
  refused(run("5 x\n", {"--vocabulary", merges, "--decode"}),
          "expected token ids in the line \"5 x\"");
  refused(run("5 9999\n", {"--vocabulary", merges, "--decode"}), "9999");
  refused(run("", {"--vocabulary", dir.path("none.txt")}), "none.txt");
  refused(run("", {}), "--vocabulary");
}
