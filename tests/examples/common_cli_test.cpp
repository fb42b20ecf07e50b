#include "../../examples/common_cli.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "../io/temp_dir.hpp"

namespace {

/// A program with a few options, parsed from words and, perhaps, a config file.
struct Program {
  CLI::App app{"A program.", "program"};
  int epochs = 10;
  double rate = 1e-4;
  std::vector<double> thresholds;
  std::string kind = "mean";
  bool quiet = false;
  bool ran = false;
  std::function<void()> body = [this] { ran = true; };

  Program() {
    app.add_option("--epochs", epochs, "Passes");
    app.add_option("-r,--learning-rate", rate, "Step");
    app.add_option("--thresholds", thresholds, "Several")->delimiter(',');
    cli::add_choice(app, "--kind", kind, {"mean", "weighted"}, "How");
    app.add_flag("--quiet", quiet, "Say less");
    cli::add_config(app);
  }

  /// The exit status; what was said on stderr ends up in `said`.
  int run(std::vector<std::string> words, std::string* said = nullptr) {
    words.insert(words.begin(), "program");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    tandem_test::TempDir dir;
    std::fflush(stderr);
    const int saved = ::dup(2);
    std::FILE* file = std::fopen(dir.path("err").c_str(), "w");
    ::dup2(::fileno(file), 2);
    const int status = cli::run(app, static_cast<int>(argv.size()), argv.data(), body);
    std::fflush(stderr);
    ::dup2(saved, 2);
    ::close(saved);
    std::fclose(file);
    if (said != nullptr) *said = tandem::io::read_text(dir.path("err"));
    return status;
  }
};

std::string message(std::vector<std::string> words) {
  Program program;
  std::string said;
  CHECK(program.run(std::move(words), &said) == 2);
  CHECK_FALSE(program.ran);
  return said.substr(0, said.find('\n'));
}

}  // namespace

TEST_CASE("common_cli: options and their errors") {
  Program program;
  CHECK(program.run({"--epochs", "3", "-r", "0.5", "--thresholds", "0.1,0.2", "--quiet",
                     "--kind=weighted"}) == 0);
  CHECK(program.ran);
  CHECK(program.epochs == 3);
  CHECK(program.rate == 0.5);
  CHECK(program.thresholds == std::vector<double>{0.1, 0.2});
  CHECK(program.kind == "weighted");
  CHECK(program.quiet);

  CHECK(message({"--epoch", "3"}) == "program: unknown option --epoch; did you mean --epochs?");
  CHECK(message({"--learnin-rate=3"}) ==
        "program: unknown option --learnin-rate; did you mean --learning-rate?");
  CHECK(message({"--xyzzy"}) == "program: unknown option --xyzzy");
  CHECK(message({"--kind", "wieghted"}) ==
        "program: --kind: 'wieghted' is none of mean|weighted; did you mean \"weighted\"?");
  CHECK(message({"--epochs", "many"}).find("--epochs") != std::string::npos);
}

TEST_CASE("common_cli: an option with one value may be given once") {
  CHECK(message({"--epochs", "3", "--kind", "mean", "--epochs=4"}) ==
        "program: --epochs was given 2 times, with the values '3' and '4'; it may be given once");
  CHECK(message({"-r", "1", "--learning-rate", "1", "-r2"}) ==
        "program: --learning-rate was given 3 times, with the values '1', '1' and '2'; it may be "
        "given once");
  CHECK(message({"--quiet", "--quiet=false"}) ==
        "program: --quiet was given 2 times, with the values 'true' and 'false'; it may be given "
        "once");
  // A list grows, a flag says the same again.
  Program program;
  CHECK(program.run({"--thresholds", "0.1", "--quiet", "--thresholds", "0.2", "--quiet"}) == 0);
  CHECK(program.thresholds == std::vector<double>{0.1, 0.2});
  CHECK(program.quiet);
  // Once in the config file and once on the command line is not twice.
  tandem_test::TempDir dir;
  tandem::io::write_text(dir.path("c.json"), R"({"epochs": 20})");
  Program both;
  CHECK(both.run({"--config", dir.path("c.json"), "--epochs", "7"}) == 0);
  CHECK(both.epochs == 7);
}

TEST_CASE("common_cli: a program that fails says why and returns 1") {
  CLI::App app("x", "program");
  std::string word = "program";
  char* argv[] = {word.data(), nullptr};
  std::fflush(stderr);
  CHECK(cli::run(app, 1, argv, [] { tandem::fail("op", "a reason (expected in this test)"); }) ==
        1);
}

TEST_CASE("common_cli: nothing from a file commands the terminal") {
  const std::string evil = "a\x1b[2J\nb";
  tandem_test::TempDir dir;
  std::string said;
  Program failing;
  failing.body = [&] { tandem::fail("open", evil, ": no such file"); };
  CHECK(failing.run({}, &said) == 1);
  CHECK(said == "program: error: [open] a\\x1b[2J\\nb: no such file\n");
  Program wrong;
  CHECK(wrong.run({"--kind", evil}, &said) == 2);
  CHECK(said.find('\x1b') == std::string::npos);
  CHECK(cli::Table({evil, evil}).row({evil}).str().find('\x1b') == std::string::npos);
  std::FILE* file = std::fopen(dir.path("log").c_str(), "w");
  {
    cli::Progress progress(evil, 10, 0, file);
    progress.update(3, evil);
    progress.print(evil);
    progress.finish(evil);
  }
  std::fclose(file);
  const std::string log = tandem::io::read_text(dir.path("log"));
  CHECK(log.find("a\\x1b[2J\\nb") != std::string::npos);
  CHECK(log.find('\x1b') == std::string::npos);
}

TEST_CASE("common_cli: the config file") {
  tandem_test::TempDir dir;
  const std::string path = dir.path("c.json");
  tandem::io::write_text(path, R"({"epochs": 20, "learning_rate": 0.25, "thresholds": [0.3, 0.45],
                                   "kind": "weighted", "quiet": true})");
  Program program;
  CHECK(program.run({"--config", path, "--epochs", "7"}) == 0);
  CHECK(program.epochs == 7);  // the command line wins
  CHECK(program.rate == 0.25);
  CHECK(program.thresholds == std::vector<double>{0.3, 0.45});
  CHECK(program.kind == "weighted");
  CHECK(program.quiet);

  // What is in effect can be written as a config and read again.
  tandem::io::write_text(path, program.app.config_to_str());
  Program again;
  CHECK(again.run({"--config", path}) == 0);
  CHECK(again.epochs == 7);
  CHECK(again.thresholds == program.thresholds);
  CHECK(again.quiet);

  // The file is typed, and an unset flag is false.
  CHECK(program.app.config_to_str() ==
        "{\n  \"epochs\": 7,\n  \"learning-rate\": 0.25,\n  \"thresholds\": [\n    0.3,"
        "\n    0.45\n  ],\n  \"kind\": \"weighted\",\n  \"quiet\": true\n}\n");
  tandem::io::write_text(path, R"({"version": "0.1.0", "quiet": false})");
  Program loud;
  CHECK(loud.run({"--config", path}) == 0);
  CHECK_FALSE(loud.quiet);

  const auto with = [&](const char* text) {
    tandem::io::write_text(path, text);
    return message({"--config", path});
  };
  CHECK(with(R"({"epoch": 3})") ==
        "program: [json] " + path + ": unknown key \"epoch\"; did you mean \"epochs\"?");
  CHECK(with(R"({"epochs": {"a": 1}})") ==
        "program: [json] " + path + ": epochs: expected an integer, found an object");
  CHECK(with(R"({"learning-rate": 1, "learning_rate": 2})").find("another spelling") !=
        std::string::npos);
  CHECK(with(R"({"quiet": ""})").ends_with("quiet: expected true or false, found a string \"\""));
  CHECK(with(R"({"quiet": "false"})")
            .ends_with("quiet: expected true or false, found a string \"false\""));
  CHECK(with(R"({"epochs": "3"})").ends_with("epochs: expected an integer, found a string \"3\""));
  CHECK(with(R"({"kind": "men"})").find("did you mean \"mean\"?") != std::string::npos);
  CHECK(with("{").find(path + ":1:2") != std::string::npos);
  CHECK(message({"--config", dir.path("missing.json")}).find("missing.json") != std::string::npos);
}

TEST_CASE("common_cli: help is wrapped") {
  CHECK(cli::wrap("one two three", 4, 11) == "one two\n    three");
  CHECK(cli::wrap("ααα βββ", 0, 7) == "ααα βββ");
  CHECK(cli::wrap("unbreakable", 2, 5) == "unbreakable");
  CHECK(cli::wrap("", 2, 5).empty());
}

TEST_CASE("common_cli: numbers and tables") {
  CHECK(cli::fixed(40.825, 1) == "40.8");
  CHECK(cli::percent(0.408) == "40.80");
  CHECK(cli::duration(0.44) == "0.4 s");
  CHECK(cli::duration(42.4) == "42 s");
  CHECK(cli::duration(59.7) == "1:00");
  CHECK(cli::duration(185) == "3:05");
  CHECK(cli::duration(7385) == "2:03:05");
  CHECK(cli::duration(-1) == "?");
  CHECK(cli::duration(1e300) == "?");
  cli::Table table({"tIoU", "0.5", "0.75"});
  table.row({"mAP %", "41.20", "9.03"}).row({"µ"});
  CHECK(table.str() ==
        "tIoU     0.5  0.75\n"
        "------------------\n"
        "mAP %  41.20  9.03\n"
        "µ\n");
}

TEST_CASE("common_cli: progress") {
  // 20 of 100 done, 10 of them in this run, in 5 seconds: 80 to go at half a second each.
  CHECK(cli::progress_line("warm-up", 20, 100, 10, 5, "loss 0.31") ==
        "warm-up [====>                   ]   20/100  40 s left  loss 0.31");
  CHECK(cli::progress_line("x", 10, 100, 10, 5, "") ==
        "x [==>                     ]   10/100  starting");
  CHECK(cli::progress_line("x", 100, 100, 0, 90, "") ==
        "x [========================]  100/100  1:30");
  CHECK(cli::progress_line("x", 0, 0, 0, 0, "") == "x [========================]  0/0  0.0 s");

  // Into a file: no control characters, and the last state is there.
  tandem_test::TempDir dir;
  std::FILE* file = std::fopen(dir.path("log").c_str(), "w");
  {
    cli::Progress progress("steps", 1000, 0, file);
    for (std::size_t i = 1; i <= 1000; ++i) progress.update(i);
    progress.finish("done");
  }
  std::fclose(file);
  const std::string log = tandem::io::read_text(dir.path("log"));
  CHECK(log.find("1000/1000") != std::string::npos);
  CHECK(log.ends_with("  done\n"));
  CHECK(log.find('\r') == std::string::npos);
}

TEST_CASE("outputs: a file that another option names is refused, however it is spelled") {
  const tandem_test::TempDir dir;
  tandem::io::write_text(dir.path("in.npy"), "rows");
  std::filesystem::create_symlink(dir.path("in.npy"), dir.path("link.npy"));
  const auto clash = [&](std::vector<std::string> words) {
    CLI::App app("p");
    std::string in, out, page;
    app.add_option("in", in);
    cli::add_output(app, "--out", out, "o");
    cli::add_output(app, "--page", page, "p");
    std::reverse(words.begin(), words.end());
    app.parse(words);
    return cli::clash_of_outputs(app);
  };
  const std::string in = dir.path("in.npy"), other = dir.path("other.npy");
  CHECK(clash({in, "--out", other}).empty());
  CHECK(clash({in, "--out", other, "--page", dir.path("p.html")}).empty());
  CHECK(clash({"7", "--out", dir.path("7")}).empty());
  CHECK(clash({in, "--out", in}) ==
        "--out and in name one file, " + in + ": it would be overwritten");
  CHECK(!clash({in, "--page", dir.path("link.npy")}).empty());
  CHECK(!clash({in, "--out", dir.path("./in.npy")}).empty());
  CHECK(!clash({in, "--out", other, "--page", dir.path("./other.npy")}).empty());
  CHECK(tandem::io::read_text(in) == "rows");
}

TEST_CASE(
    "outputs: a file of a folder that is read is refused, and one of a run beside its checkpoint") {
  const tandem_test::TempDir dir;
  for (const char* folder : {"data", "data/i3d", "run"})
    tandem::io::make_directories(dir.path(folder));
  for (const char* name : {"data/i3d/v.npy", "data/gt.json", "data/page.html", "data/found.json",
                           "run/checkpoint.safetensors", "run/metrics.jsonl", "run/options.json",
                           "run/detections.json", "run/metrics.csv", "run/mine.json"})
    tandem::io::write_text(dir.path(name), "kept");
  const std::string data = dir.path("data"), run = dir.path("run/checkpoint.safetensors");
  const auto lost = [&](const char* output, const std::string& input) {
    return !cli::lost_input(dir.path(output), input).empty();
  };
  for (const char* name : {"data/i3d/v.npy", "data/gt.json", "data/../data/./gt.json"})
    CHECK_MESSAGE(lost(name, data), name);
  // What programs write themselves may be written again, and what is not there is not lost.
  for (const char* name : {"data/page.html", "data/found.json", "data/new.npy", "run/options.json"})
    CHECK_FALSE_MESSAGE(lost(name, data), name);
  for (const char* name : {"run/metrics.jsonl", "run/options.json", "run/detections.json",
                           "run/metrics.csv", "run/checkpoint.safetensors"}) {
    CHECK_MESSAGE(lost(name, run), name);
    CHECK_MESSAGE(lost(name, dir.path("run")), name);
  }
  CHECK_FALSE(lost("run/mine.json", run));
  CHECK_FALSE(lost("data/gt.json", run));
  CHECK_FALSE(lost("data/gt.json", "a word"));
  CHECK_FALSE(lost("data/gt.json", dir.path("dat")));  // not by the letters of the name

  const auto clash = [&](std::vector<std::string> words) {
    CLI::App app("p");
    std::string from, out;
    app.add_option("--features", from);
    cli::add_output(app, "--out", out, "o");
    std::reverse(words.begin(), words.end());
    app.parse(words);
    return cli::clash_of_outputs(app);
  };
  const std::string gt = dir.path("data/gt.json");
  CHECK(clash({"--features", data, "--out", gt}) == "--out names " + gt +
                                                        ", a file of what --features reads, " +
                                                        data + ": it would be overwritten");
  CHECK(clash({"--features", data, "--out", dir.path("data/found.json")}).empty());
  CHECK_THROWS_AS(cli::check_outputs("p", {gt}, {"", data}), tandem::Error);
  cli::check_outputs("p", {dir.path("data/found.json")}, {"", data});
}
