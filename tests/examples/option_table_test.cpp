#include "../../examples/option_table.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "../../examples/common_cli.hpp"
#include "../io/temp_dir.hpp"

namespace {

using tandem::io::Json;
using tandem::io::JsonDocument;

/// A program whose options are in a table: every kind of value.
struct Program {
  CLI::App app{"A program.", "program"};
  bool quiet = false, normalize = true, fresh = false;
  std::int64_t steps = 100;
  std::uint64_t seed = 0;
  double rate = 1e-3;
  std::string kind = "mean", name, data;
  std::vector<double> thresholds{0.45};
  cli::OptionTable table;

  Program() {
    table.part(cli::Part::training);
    table.add("quiet", quiet, "Say less");
    table.add("steps", steps, "Steps").from(1, 1e9).may_grow();
    table.add("seed", seed, "Seed");
    table.add("rate", rate, "Rate").from(0, 1e6).only({"--steps above 0", [this] {
                                                         return steps > 1;
                                                       }});
    table.part(cli::Part::inference);
    table.add("no-min-max", normalize, "Scores as they are").opposite();
    table.add("kind", kind, "How").words({"mean", "sum", ""});
    table.add("thresholds", thresholds, "Several").from(0, 1);
    table.part(cli::Part::data);
    table.add("name", name, "Any text");
    table.add("data", data, "Where").path();
    table.part(cli::Part::running);
    table.add("fresh", fresh, "Anew").not_recorded();
    table.add_to(app);
    cli::add_config(app, [this](const tandem::io::JsonRef& root) {
      table.command_line_ends();
      return table.translated(root);
    });
  }

  /// Parses as cli::run does. What is wrong, or "".
  std::string parse(std::vector<std::string> words) {
    std::vector<const char*> argv{"program"};
    for (const std::string& word : words) argv.push_back(word.c_str());
    try {
      cli::make_strict(app);
      app.parse(static_cast<int>(argv.size()), argv.data());
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  }
};

std::string wrong(std::vector<std::string> words) { return Program().parse(std::move(words)); }

}  // namespace

TEST_CASE(
    "option_table: what the command line says without effect is told, a config file's is not") {
  Program p;
  REQUIRE(p.parse({"--steps", "1", "--rate", "0.5", "--kind", "sum"}) == "");
  CHECK(p.table.idle() ==
        "given, but of no effect on what this run trains and finds: --rate 0.5 (counts with "
        "--steps above "
        "0)");
  Program usual;
  REQUIRE(usual.parse({"--steps", "1", "--rate", "0.001"}) == "");  // what it is anyway
  CHECK(usual.table.idle().empty());
  Program used;
  REQUIRE(used.parse({"--steps", "7", "--rate", "0.5"}) == "");
  CHECK(used.table.idle().empty());
  tandem_test::TempDir dir;
  const std::string file = dir.path("options.json");
  tandem::io::write_text(file, R"({"steps": 1, "rate": 0.5})");
  Program configured;
  REQUIRE(configured.parse({"--config", file}) == "");
  CHECK(configured.rate == 0.5);
  CHECK(configured.table.idle().empty());
  Program both;
  REQUIRE(both.parse({"--config", file, "--rate", "0.25"}) == "");
  CHECK(
      both.table.idle() ==
      "given, but of no effect on what this run trains and finds: --rate 0.25 (counts with --steps "
      "above 0)");
}

TEST_CASE(
    "option_table: several values are tried one by one, and held to the same type and range") {
  const auto parse = [](Program& p, CLI::App& app, const std::vector<std::string>& words) {
    constexpr std::string_view several[] = {"kind", "thresholds"};
    p.table.add_to(app, cli::Part::inference, "as it was", several);
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    try {
      app.parse(reversed);
    } catch (const CLI::ParseError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  Program p;
  CLI::App app("p");
  CHECK(parse(p, app,
              {"--kind", "sum,mean", "sum", "--thresholds", "0.3", "0.45+0.6", "--thresholds",
               "0.30"}) == "");
  const auto& kinds = p.table.find("kind")->alternatives();
  CHECK(kinds == std::vector<Json>{"sum", "mean"});
  CHECK(Json(p.table.find("thresholds")->alternatives()).dump() == "[[0.3],[0.45,0.6]]");
  CHECK(p.kind == "mean");  // the variables stay as they are
  CHECK(p.thresholds == std::vector<double>{0.45});
  CHECK(p.table.given("kind"));
  CHECK(p.table.find("no-min-max")->alternatives().empty());
  CHECK(app.help().find("+ joins what acts together") != std::string::npos);

  const auto wrong_of = [&](const std::vector<std::string>& words) {
    Program other;
    CLI::App fresh("p");
    return parse(other, fresh, words);
  };
  CHECK(wrong_of({"--kind", "mean,smu"}) ==
        "--kind: 'smu' is none of mean|sum; did you mean \"sum\"?");
  CHECK(wrong_of({"--thresholds", "0.3", "0.4+1.5"}) ==
        "--thresholds: must be from 0 to 1, it is 1.5");
  CHECK(wrong_of({"--thresholds", "0.3+"}) == "--thresholds: expected a number, got ''");
  // Without a list, as ever.
  Program one;
  CHECK(one.parse({"--thresholds", "0.3", "0.45"}) == "");
  CHECK(one.thresholds == std::vector<double>{0.3, 0.45});
  CLI::App few("p");
  Program named;
  named.table.add_to(few, {"seed", "data"});
  CHECK(few.get_options().size() == 3);  // and --help
  CHECK_THROWS_WITH_AS(named.table.add_to(few, {"sead"}),
                       "[option table] there is no option --sead", tandem::Error);
}

TEST_CASE("option_table: values travel typed") {
  Program p;
  CHECK(p.parse({"--quiet", "--no-min-max", "--steps", "7", "--seed=18446744073709551615", "--rate",
                 "1e-3", "--kind", "sum", "--thresholds", "0.3,0.45", "0.6", "--name", "",
                 "--fresh"}) == "");
  CHECK(p.table.json().dump() ==
        R"({"version":")" TANDEM_VERSION_STRING
        R"(","quiet":true,"steps":7,"seed":18446744073709551615,"rate":0.001,)"
        R"("no-min-max":true,"kind":"sum","thresholds":[0.3,0.45,0.6],"name":"","data":""})");
  CHECK_FALSE(p.normalize);
  CHECK(p.table.given("no-min-max"));
  CHECK_FALSE(p.table.given("data"));
  // Only what decides a result goes into a checkpoint.
  CHECK_FALSE(p.table.json(true).contains("data"));
  CHECK(p.table.json(true).contains("rate"));

  Program defaults;
  CHECK(defaults.parse({}) == "");
  CHECK(defaults.table.json()["no-min-max"] == false);
  CHECK(defaults.table.json()["thresholds"] == Json::parse("[0.45]"));
  CHECK(Program().parse({"--no-min-max=false"}) == "");
}

TEST_CASE("option_table: options → file → --config → the same options") {
  std::mt19937 random(5);
  tandem_test::TempDir dir;
  const std::string path = dir.path("options.json");
  const auto real = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  for (int i = 0; i < 300; ++i) {
    Program p;
    const auto chosen = [&] { return random() % 2 == 0; };
    if (chosen()) p.quiet = true;
    if (chosen()) p.normalize = false;
    if (chosen()) p.steps = 1 + static_cast<std::int64_t>(random() % 1000000000);
    if (chosen()) p.seed = std::uniform_int_distribution<std::uint64_t>()(random);
    if (chosen()) p.rate = std::pow(10, real(-300, 6));
    if (chosen()) p.kind = chosen() ? "sum" : "";
    if (chosen()) p.name = "Größe \"x\" [1,2]";
    if (chosen()) p.data = "/a b/c";
    if (chosen()) p.thresholds.assign(1 + random() % 4, real(0, 1));
    const Json before = p.table.json();
    tandem::io::save_json(path, before);
    Program q;
    REQUIRE(q.parse({"--config", path}) == "");
    CHECK(q.table.json() == before);
    CHECK(q.normalize == p.normalize);
    // And as the text that a checkpoint holds.
    Program r;
    const auto document = JsonDocument::parse(tandem::io::json_text(before), "checkpoint");
    r.table.read(document.root());
    CHECK(r.table.json() == before);
  }
}

TEST_CASE("option_table: what is refused, in one short sentence") {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"--rate", "nan"}, "--rate: expected a finite number that fits a double, got 'nan'"},
      {{"--rate", "inf"}, "--rate: expected a finite number that fits a double, got 'inf'"},
      {{"--rate", "1e999"}, "--rate: expected a finite number that fits a double, got '1e999'"},
      {{"--rate", "1e-999"}, "--rate: expected a finite number that fits a double, got '1e-999'"},
      {{"--rate", "-1"}, "--rate: must be from 0 to 1e+06, it is -1"},
      {{"--rate", "0.1x"}, "--rate: expected a number, got '0.1x'"},
      {{"--rate", ""}, "--rate: expected a number, got ''"},
      {{"--seed", "18446744073709551616"},
       "--seed: expected an integer from 0 to 18446744073709551615, got '18446744073709551616'"},
      {{"--seed", "-1"}, "--seed: expected an integer from 0 to 18446744073709551615, got '-1'"},
      {{"--steps", "9223372036854775808"},
       "--steps: expected an integer from -9223372036854775808 to 9223372036854775807, got "
       "'9223372036854775808'"},
      {{"--steps", "0"}, "--steps: must be from 1 to 1000000000, it is 0"},
      {{"--steps", "1.5"}, "--steps: expected an integer, got '1.5'"},
      {{"--thresholds", "0.3,nan"},
       "--thresholds: expected a finite number that fits a double, got 'nan'"},
      {{"--thresholds", "0.3", "2"}, "--thresholds: must be from 0 to 1, it is 2"},
      {{"--kind", "men"}, "--kind: 'men' is none of mean|sum; did you mean \"mean\"?"},
  };
  for (const auto& [words, message] : cases) CHECK(wrong(words) == message);
  Program p;
  CHECK(p.parse({"--steps", "010", "--seed", "0x10"}) == "");  // CLI11 alone reads 010 as eight
  CHECK(p.steps == 10);
  CHECK(p.seed == 16);
}

TEST_CASE("option_table: the config file has the types of the options") {
  tandem_test::TempDir dir;
  const std::string path = dir.path("c.json");
  const auto with = [&](const char* text) {
    tandem::io::write_text(path, text);
    std::string said = wrong({"--config", path});
    if (const std::size_t at = said.find(path); at != said.npos)
      said.erase(0, at + path.size() + 2);
    return said;
  };
  CHECK(
      with(
          R"({"quiet": false, "no-min-max": false, "seed": 18446744073709551615, "version": "0"})") ==
      "");
  CHECK(with(R"({"quiet": "", "steps": 3})") ==
        "quiet: expected true or false, found a string \"\"");
  CHECK(with(R"({"quiet": 1})") == "quiet: expected true or false, found an integer");
  CHECK(with(R"({"steps": "3", "rate": 1})") == "steps: expected an integer, found a string \"3\"");
  CHECK(with(R"({"steps": 3.0})") == "steps: expected an integer, found a number");
  CHECK(with(R"({"steps": true})") == "steps: expected an integer, found a boolean");
  CHECK(with(R"({"steps": [3]})") == "steps: expected an integer, found an array");
  CHECK(with(R"({"seed": -1})") == "seed: expected an integer that is not negative, found -1");
  CHECK(with(R"({"seed": 18446744073709551616})") == "seed: expected an integer, found a number");
  CHECK(with(R"({"thresholds": []})") ==
        "thresholds: expected at least one value, found an empty list");
  CHECK(with(R"({"name": 3})") == "name: expected a string, found an integer");
  CHECK(with(R"({"stesp": 3})") == "unknown key \"stesp\"; did you mean \"steps\"?");
  CHECK(with(R"({"rate": -1})") == "--rate: must be from 0 to 1e+06, it is -1");

  tandem::io::write_text(path, R"({"quiet": false, "no-min-max": false, "thresholds": 0.3})");
  Program p;
  CHECK(p.parse({"--config", path}) == "");
  CHECK_FALSE(p.quiet);
  CHECK(p.normalize);
  CHECK(p.thresholds == std::vector<double>{0.3});
}

TEST_CASE("option_table: what older programs recorded as text is read as it was meant") {
  tandem_test::TempDir dir;
  const std::string path = dir.path("options.json");
  // Unset flags were "", and the flag that says "no" was inverted.
  tandem::io::write_text(
      path, R"({"quiet": "", "no-min-max": "", "steps": "20", "seed": "", "rate": "1e-3",
                                   "thresholds": "[0.3,0.45]", "kind": "", "name": ""})");
  Program p;
  CHECK(p.parse({"--config", path}) == "");
  CHECK_FALSE(p.quiet);
  CHECK(p.normalize);
  CHECK(p.steps == 20);
  CHECK(p.rate == 0.001);
  CHECK(p.thresholds == std::vector<double>{0.3, 0.45});
  CHECK(p.kind.empty());

  tandem::io::write_text(
      path, R"({"quiet": "true", "no-min-max": "false", "thresholds": "0.3 0.45", "seed": "",
                                   "kind": "", "name": ""})");
  Program q;
  CHECK(q.parse({"--config", path}) == "");
  CHECK(q.quiet);
  CHECK_FALSE(q.normalize);
  CHECK(q.thresholds == std::vector<double>{0.3, 0.45});

  tandem::io::write_text(
      path, R"({"quiet": "true", "rate": "quick", "seed": "", "kind": "", "name": ""})");
  CHECK(wrong({"--config", path}).ends_with("rate: expected a number, got 'quick'"));
  tandem::io::write_text(path,
                         R"({"quiet": "yes", "rate": "1", "seed": "", "kind": "", "name": ""})");
  CHECK(wrong({"--config", path}).find("quiet: expected \"\", \"true\" or \"false\"") !=
        std::string::npos);

  // Theirs had every option: a few texts are somebody's own, and no flag.
  tandem::io::write_text(path, R"({"no-min-max": "false"})");
  CHECK(wrong({"--config", path}).find("no-min-max: expected true or false") != std::string::npos);
}

TEST_CASE("option_table: help says type, range and default; two options have two names") {
  Program p;
  const std::string help = p.app.help();
  CHECK(help.find("Steps [from 1 to 1000000000]") != std::string::npos);
  CHECK(help.find("0.45") != std::string::npos);
  CHECK(help.find("Inference") != std::string::npos);
  bool again = false;
  CHECK_THROWS_WITH_AS(p.table.add("quiet", again, "x"), "[option table] --quiet is declared twice",
                       tandem::Error);
}

TEST_CASE("option_table: programs that declare options with CLI11 have the same strictness") {
  const auto wrong_with = [](std::vector<std::string> words) {
    CLI::App app("x", "program");
    double rate = 0;
    std::uint64_t seed = 0;
    std::int64_t width = 8;
    app.add_option("--rate", rate, "")->check(cli::positive());
    app.add_option("--seed", seed, "");
    app.add_option("--width", width, "")->check(cli::range(1, 64));
    std::vector<const char*> argv{"program"};
    for (const std::string& word : words) argv.push_back(word.c_str());
    try {
      cli::make_strict(app);
      app.parse(static_cast<int>(argv.size()), argv.data());
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
    return "ok " + cli::number_text(width);
  };
  CHECK(wrong_with({"--rate", "nan"}) ==
        "--rate: expected a finite number that fits a double, got 'nan'");
  CHECK(wrong_with({"--rate", "1e308"}) == "ok 8");
  CHECK(wrong_with({"--rate", "-1e308"}) == "--rate: must be positive, it is -1e+308");
  CHECK(wrong_with({"--seed", "18446744073709551616"}).find("18446744073709551615") !=
        std::string::npos);
  CHECK(wrong_with({"--seed", "-1"}).find("from 0 to") != std::string::npos);
  CHECK(wrong_with({"--width", "65"}) == "--width: must be from 1 to 64, it is 65");
  CHECK(wrong_with({"--width", "010"}) == "ok 10");
  CHECK(wrong_with({"--width", "0x10"}) == "ok 16");
}

TEST_CASE("option_values: a part of parts") {
  std::size_t part = 0, parts = 0;
  CHECK(cli::read_part("3/8", part, parts) == "");
  CHECK(part == 3);
  CHECK(parts == 8);
  for (const char* text :
       {"4294967297/4294968298", "0/8", "9/8", "-1/8", "1", "/", "1/", "1/8x", " 1/8", "", "1/0"}) {
    CHECK(cli::read_part(text, part, parts).starts_with("expected a part"));
  }
}
