#include "tandem/io/json.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <clocale>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>

#include "tandem/io/json_reader.hpp"

using tandem::Error;
using tandem::io::Json;
using tandem::io::json_text;
using tandem::io::JsonDocument;
using tandem::io::parse_json;

namespace {

std::string error_of(std::string_view text, const tandem::io::JsonLimits& limits = {}) {
  try {
    parse_json(text, "x.json", limits);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("json: values of every kind") {
  const Json j = parse_json(
      " {\"a\": [1, -2, 3.5, 1e3, true, false, null], \"b\": {\"c\": "
      "\"x\\n\\u00e9\\ud83d\\ude00\"},"
      " \"e\": [], \"f\": {}} ");
  REQUIRE(j.is_object());
  const Json& a = j.at("a");
  CHECK(a.size() == 7);
  CHECK(a.at(0) == 1);
  CHECK(a.at(0).is_number_integer());
  CHECK(a.at(1) == -2);
  CHECK(a.at(2) == 3.5);
  CHECK(a.at(3) == 1000.0);
  CHECK_FALSE(a.at(3).is_number_integer());
  CHECK(a.at(4) == true);
  CHECK(a.at(5) == false);
  CHECK(a.at(6).is_null());
  CHECK(j.at("b").at("c") == "x\n\xC3\xA9\xF0\x9F\x98\x80");
  CHECK(j.at("e") == Json::array());
  CHECK(j.at("f") == Json::object());
  CHECK_FALSE(j.contains("zzz"));
}

TEST_CASE("json: the order of keys is the order of the file") {
  const Json j = parse_json("{\"z\":1,\"a\":2,\"m\":3}");
  CHECK(json_text(j) == "{\"z\":1,\"a\":2,\"m\":3}");
  CHECK(j.at("a") == 2);
  CHECK(j == parse_json("{\"z\":1.0,\"a\":2,\"m\":3}"));
  CHECK_FALSE(j == parse_json("{\"z\":1,\"a\":2,\"y\":3}"));
}

TEST_CASE("json: numbers survive a round trip bit for bit") {
  for (const double value :
       {0.1, 1.0 / 3.0, 5e-324, 1.7976931348623157e308, -0.0, 1e21, 123456789.0}) {
    const Json back = parse_json(json_text(value));
    CHECK(back.get<double>() == value);
    CHECK(std::signbit(back.get<double>()) == std::signbit(value));
    CHECK(back.is_number_float());
  }
  // Every bit pattern that is a number, at random.
  std::uint64_t bits = 1;
  for (int i = 0; i < 20000; ++i) {
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    const double value = std::bit_cast<double>(bits ^ bits >> 29);
    if (!std::isfinite(value)) continue;
    CHECK(std::bit_cast<std::uint64_t>(parse_json(json_text(value)).get<double>()) ==
          std::bit_cast<std::uint64_t>(value));
  }
  const auto integer = [](const char* text) {
    return JsonDocument::parse(text, "n").root().integer();
  };
  CHECK(integer("9223372036854775807") == 9223372036854775807LL);
  CHECK(integer("-9223372036854775808") == std::numeric_limits<std::int64_t>::min());
  CHECK(integer("9007199254740993") == 9007199254740993LL);  // 2^53 + 1 is no double
  CHECK(json_text(parse_json("[9007199254740993,-9007199254740993]")) ==
        "[9007199254740993,-9007199254740993]");
  CHECK(message([&] { integer("18446744073709551615"); }) ==
        "[json] n: expected an integer from -9223372036854775808 to 9223372036854775807, found "
        "18446744073709551615");
  CHECK(message([&] { integer("18446744073709551616"); }) ==
        "[json] n: expected an integer, found a number");
  CHECK(parse_json("9223372036854775808").get<double>() == 9223372036854775808.0);
  CHECK(parse_json("1e-400").get<double>() == 0.0);
  CHECK(error_of("[1, 1e400]") ==
        "[json] x.json:1:9 (byte 8): the number 1e400 is too large for a double");
  CHECK(error_of("-1e400").find("too large") != std::string::npos);
  for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    CHECK(message([&] {
            json_text(Json::array({1, value}));
          }) == "[json] NaN and infinity cannot be written as JSON");
  }
}

TEST_CASE("json: the locale's decimal comma changes nothing") {
  const char* name = std::setlocale(LC_NUMERIC, "de_DE.UTF-8");
  if (name == nullptr) name = std::setlocale(LC_NUMERIC, "de_DE.utf8");
  if (name == nullptr) MESSAGE("only the C locale was tested: de_DE is not installed");
  CHECK(parse_json("[0.5]").at(0) == 0.5);
  CHECK(json_text(Json::array({1234567.5})) == "[1234567.5]");
  std::setlocale(LC_NUMERIC, "C");
}

TEST_CASE("json: building, copying and printing") {
  Json j;
  j["version"] = "1.0";
  j["results"]["v1"].push_back(Json::object());
  j["list"] = std::vector<double>{1.5, 2.0};
  j["control"] = std::string("\x01\"\\");
  const Json copy = j;
  j["version"] = 2;
  CHECK(copy.at("version") == "1.0");
  CHECK(json_text(copy) ==
        "{\"version\":\"1.0\",\"results\":{\"v1\":[{}]},\"list\":[1.5,2.0],"
        "\"control\":\"\\u0001\\\"\\\\\"}");
  CHECK(parse_json(json_text(copy, 2)) == copy);
  CHECK(json_text(parse_json("{\"s\":[1],\"t\":[{\"u\":1}]}"), 2) ==
        "{\n  \"s\": [\n    1\n  ],\n  \"t\": [\n    {\n      \"u\": 1\n    }\n  ]\n}");
  CHECK(message([] { json_text("caf\xE9"); }) ==
        "[json] the value cannot be written: incomplete UTF-8 string; last byte: 0xE9");
  Json deep;
  for (int i = 0; i < 1'000'000; ++i) deep = Json::array({std::move(deep)});
  CHECK(message([&] { json_text(deep); }) ==
        "[json] a value nested deeper than 1000 levels cannot be written");
}

TEST_CASE("json: refuses what is not JSON and says where") {
  CHECK(error_of("{\"a\": 1,\n \"b\": }") ==
        "[json] x.json:2:7 (byte 15): syntax error while parsing value - unexpected '}'; expected "
        "'[', "
        "'{', or a literal");
  CHECK(error_of("{\"a\": 1, \"b\": 2,\n  \"a\": 3}") ==
        "[json] x.json:2:3 (byte 19): the key \"a\" appears twice in one object");
  CHECK(error_of("{\"\\\\\\\"\":1,\"\\\\\\\"\":1}") ==
        "[json] x.json:1:11 (byte 10): the key \"\\\"\" appears twice in one object");
  CHECK(error_of("{\"u\":{\"a\":1,\"\\u0061\":1}}") ==
        "[json] x.json:1:13 (byte 12): the key \"a\" appears twice in one object");
  CHECK(error_of("[{\"a\":1},{\"a\":1}]") == "no error");
  CHECK(error_of(std::string("[1]\0[2", 6)) ==
        "[json] x.json:1:4 (byte 3): expected JSON, found a zero byte");
  CHECK(error_of("[\"" + std::string(1000, 'x')).size() < 200);  // a message quotes no whole file
  for (const char* bad : {"",
                          " ",
                          "{",
                          "[",
                          "[1",
                          "[1,",
                          "[1,]",
                          "{\"a\"",
                          "{\"a\":",
                          "{\"a\":1",
                          "{\"a\":1,}",
                          "{a:1}",
                          "'a'",
                          "\"",
                          "\"\\",
                          "\"\\u12",
                          "\"\\u12g4\"",
                          "\"\\q\"",
                          "\"\\ud800\"",
                          "\"\\ud800\\u0041\"",
                          "\"\\udc00\"",
                          "\"\n\"",
                          "01",
                          "1.",
                          "-",
                          "1e",
                          "+1",
                          ".5",
                          "tru",
                          "nul",
                          "NaN",
                          "Infinity",
                          "1 2",
                          "[1] x",
                          "// c\n1",
                          "\"\xff\"",
                          "\"\xc0\xaf\"",
                          "\"\xed\xa0\x80\"",
                          "\"\xf5\x80\x80\x80\"",
                          "\"\xe2\x82\"",
                          "\"\xc3",
                          "\\u00"}) {
    CAPTURE(bad);
    CHECK(error_of(bad).starts_with("[json] x.json:1:"));
  }
  CHECK(parse_json("\xEF\xBB\xBF[1]").size() == 1);
}

TEST_CASE("json: a line of a file of lines is named by its place in the file") {
  const tandem::io::JsonStart start{.lines = 41, .bytes = 2000};
  const std::string later = message([&] { parse_json(R"({"step": x})", "m.jsonl", {}, start); });
  CHECK(later.starts_with("[json] m.jsonl:42:10 (byte 2009): syntax error"));
  const std::string twice =
      message([&] { parse_json(R"({"a": 1, "a": 2})", "m.jsonl", {}, start); });
  CHECK(twice == "[json] m.jsonl:42:10 (byte 2009): the key \"a\" appears twice in one object");
}

TEST_CASE("json: depth and size are limited") {
  const std::string deep(1'000'000, '[');
  CHECK(error_of(deep) == "[json] x.json:1:65 (byte 64): nested deeper than 64 levels");
  CHECK(error_of(deep + std::string(1'000'000, ']')).find("deeper than 64") != std::string::npos);
  // The parser itself keeps no stack frames, and destroying what it gives takes none either.
  CHECK(error_of(deep + std::string(1'000'000, ']'), {.max_depth = 1'000'000}) == "no error");
  CHECK(error_of(deep, {.max_depth = 1'000'000}).find("byte 1000000") != std::string::npos);
  std::string objects;
  for (int i = 0; i < 1'000'000; ++i) objects += "{\"a\":";
  CHECK(error_of(objects).find("nested deeper than 64 levels") != std::string::npos);
  CHECK(error_of(std::string(64, '[') + std::string(64, ']')) == "no error");
  CHECK(error_of("[1,2,3]", {.max_bytes = 6}).find("at most 6") != std::string::npos);
}

TEST_CASE("json: many keys take time in proportion to them") {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i)
    text += (i > 0 ? ",\"key" : "\"key") + std::to_string(i) + "\":[]";
  const Json j = parse_json(text + "}");  // minutes, were each key looked for among all before it
  CHECK(j.size() == 200'000);
  CHECK(std::prev(j.end()).key() == "key199999");
  CHECK(error_of(text + ",\"key7\":1}").find("the key \"key7\" appears twice") !=
        std::string::npos);
}

TEST_CASE("json: every truncation of a document is an error") {
  const std::string text = "{\"k\": [1.5e3, \"a\\u00e9\\n\", {\"x\": [true, null]}], \"é\": -0.25}";
  CHECK(error_of(text) == "no error");
  for (std::size_t n = 0; n < text.size(); ++n) {
    CAPTURE(n);
    CHECK(error_of(std::string_view(text).substr(0, n)) != "no error");
  }
}

TEST_CASE("json reader: errors name the file and the path") {
  const auto doc = JsonDocument::parse(
      "{\"database\": {\"v7\": {\"annotations\": [{\"segment\": [\"18.6\", 24], \"label\": "
      "null}]}},"
      " \"epochs\": 3, \"rate\": 0.5, \"name\": \"x\", \"on\": true, \"none\": null}",
      "gt.json");
  const auto root = doc.root();
  const auto annotation = root["database"]["v7"]["annotations"][0];
  CHECK(annotation["segment"][0].number_or_text() == 18.6);
  CHECK(annotation["segment"][1].number_or_text() == 24.0);
  CHECK(message([&] { annotation["label"].string(); }) ==
        "[json] gt.json: database.v7.annotations[0].label: expected a string, found null");
  CHECK(message([&] { annotation["segment"][0].number(); }) ==
        "[json] gt.json: database.v7.annotations[0].segment[0]: expected a number, found a string "
        "\"18.6\"");
  CHECK(message([&] { annotation.at("lable"); }) ==
        "[json] gt.json: database.v7.annotations[0]: the key \"lable\" is missing; did you mean "
        "\"label\"?");
  CHECK(
      message([&] { annotation["segment"].at(2); }) ==
      "[json] gt.json: database.v7.annotations[0].segment: expected at least 3 elements, found 2");
  CHECK(root.get("epochs", 1) == 3);
  CHECK(root.get("rate", 0.1f) == 0.5f);
  CHECK(root.get("epochs", 0.0) == 3.0);
  CHECK(root.get("name", "y") == "x");
  CHECK(root.get("on", false));
  CHECK(root.get("none", 7) == 7);
  CHECK(root.get("missing", 7) == 7);
  CHECK(message([&] { root.get("rate", 1); }) ==
        "[json] gt.json: rate: expected an integer, found a number");
  CHECK(message([&] { root["epochs"].integer(5, 9); }) ==
        "[json] gt.json: epochs: expected an integer from 5 to 9, found 3");
  CHECK(message([&] {
          root.only_keys({"database", "epoch", "rate", "name", "on", "none"});
        }) == "[json] gt.json: unknown key \"epochs\"; did you mean \"epoch\"?");
}

TEST_CASE("json reader: suggestions") {
  using tandem::closest_word;
  const std::vector<std::string> words = {"learning_rate", "epochs", "seed", "batch_size"};
  CHECK(closest_word("learnign_rate", words) == "learning_rate");
  CHECK(closest_word("epoch", words) == "epochs");
  CHECK(closest_word("batch", words) == "batch_size");
  CHECK(closest_word("zzzzzz", words).empty());
  CHECK(tandem::edit_distance("abcd", "abdc") == 1);
  CHECK(tandem::edit_distance("", "abc") == 3);
  CHECK(tandem::edit_distance("kitten", "sitting") == 3);
}
