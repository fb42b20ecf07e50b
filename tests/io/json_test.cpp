#include "tandem/io/json.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include "tandem/io/json_reader.hpp"

using tandem::Error;
using tandem::io::Json;
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
      " {\"a\": [1, -2, 3.5, 1e3, true, false, null], \"b\": {\"c\": \"x\\n\\u00e9\\ud83d\\ude00\"},"
      " \"e\": [], \"f\": {}} ");
  REQUIRE(j.is_object());
  const Json& a = j.at("a");
  CHECK(a.size() == 7);
  CHECK(a.at(0).as_integer() == 1);
  CHECK(a.at(1).as_integer() == -2);
  CHECK(a.at(2).as_number() == 3.5);
  CHECK(a.at(3).as_number() == 1000.0);
  CHECK_FALSE(a.at(3).is_integer());
  CHECK(a.at(4).as_boolean());
  CHECK_FALSE(a.at(5).as_boolean());
  CHECK(a.at(6).is_null());
  CHECK(j.at("b").at("c").as_string() == "x\n\xC3\xA9\xF0\x9F\x98\x80");
  CHECK(j.at("e").size() == 0);
  CHECK(j.find("zzz") == nullptr);
}

TEST_CASE("json: the order of keys is the order of the file") {
  const Json j = parse_json("{\"z\":1,\"a\":2,\"m\":3}");
  CHECK(j.dump() == "{\"z\":1,\"a\":2,\"m\":3}");
  CHECK(j.at("a").as_integer() == 2);
  CHECK(j == parse_json("{\"a\":2,\"m\":3,\"z\":1.0}"));
  CHECK_FALSE(j == parse_json("{\"a\":2,\"m\":3,\"y\":1}"));
}

TEST_CASE("json: numbers survive a round trip bit for bit") {
  for (const double value : {0.1, 1.0 / 3.0, 5e-324, 1.7976931348623157e308, -0.0, 1e21, 123456789.0}) {
    const Json back = parse_json(Json(value).dump());
    CHECK(back.as_number() == value);
    CHECK(std::signbit(back.as_number()) == std::signbit(value));
    CHECK_FALSE(back.is_integer());
  }
  CHECK(parse_json("9223372036854775807").as_integer() == 9223372036854775807LL);
  CHECK(parse_json("-9223372036854775808").as_integer() == std::numeric_limits<std::int64_t>::min());
  CHECK(parse_json("9223372036854775808").as_number() == 9223372036854775808.0);
  CHECK(parse_json("1e-400").as_number() == 0.0);
  CHECK(error_of("1e400").find("too large") != std::string::npos);
  CHECK_THROWS_AS(Json(std::nan("")).dump(), Error);
  CHECK_THROWS_AS(Json(std::uint64_t(1) << 63), Error);
}

TEST_CASE("json: building, copying and printing") {
  Json j;
  j["version"] = "1.0";
  j["results"]["v1"].push_back(Json::object());
  j["list"] = std::vector<double>{1.5, 2.0};
  j["control"] = std::string("\x01\"\\");
  const Json copy = j;
  j["version"] = 2;
  CHECK(copy.at("version").as_string() == "1.0");
  CHECK(copy.dump() ==
        "{\"version\":\"1.0\",\"results\":{\"v1\":[{}]},\"list\":[1.5,2.0],"
        "\"control\":\"\\u0001\\\"\\\\\"}");
  CHECK(parse_json(copy.dump(2)) == copy);
  CHECK(parse_json("{\"s\":[1,2],\"t\":[{\"u\":1}]}").dump(2) ==
        "{\n  \"s\": [1, 2],\n  \"t\": [\n    {\n      \"u\": 1\n    }\n  ]\n}");
  CHECK_THROWS_AS(j["version"]["x"], Error);
  CHECK_THROWS_AS(j.at("missing"), Error);
  CHECK_THROWS_AS(j.at("list").at(2), Error);
}

TEST_CASE("json: refuses what is not JSON and says where") {
  CHECK(error_of("{\"a\": 1,\n \"b\": }") == "[json] x.json:2:7: expected a value (NaN, Infinity, "
                                              "comments and single quotes are not JSON)");
  CHECK(error_of("{\"a\": 1, \"b\": 2,\n  \"a\": 3}") ==
        "[json] x.json:2:3: the key \"a\" appears twice");
  for (const char* bad :
       {"", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{a:1}",
        "'a'", "\"", "\"\\", "\"\\u12", "\"\\u12g4\"", "\"\\q\"", "\"\\ud800\"", "\"\\ud800\\u0041\"",
        "\"\\udc00\"", "\"\n\"", "01", "1.", "-", "1e", "+1", ".5", "tru", "nul", "NaN", "Infinity",
        "1 2", "[1] x", "// c\n1", "\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf5\x80\x80\x80\"",
        "\"\xe2\x82\"", "\"\xc3", "\\u00"}) {
    CAPTURE(bad);
    CHECK(error_of(bad).starts_with("[json] x.json:1:"));
  }
  CHECK(parse_json("\xEF\xBB\xBF[1]").size() == 1);
}

TEST_CASE("json: depth and size are limited") {
  std::string deep(100000, '[');
  CHECK(error_of(deep).find("nested deeper than 64 levels") != std::string::npos);
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  CHECK(error_of(objects).find("nested deeper than 64 levels") != std::string::npos);
  CHECK(error_of(std::string(64, '[') + std::string(64, ']')) == "no error");
  CHECK(error_of("[1,2,3]", {.max_bytes = 6}).find("at most 6") != std::string::npos);
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
      "{\"database\": {\"v7\": {\"annotations\": [{\"segment\": [\"18.6\", 24], \"label\": null}]}},"
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
  CHECK(message([&] { annotation["segment"].at(2); }) ==
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
  CHECK(message([&] { root.only_keys({"database", "epoch", "rate", "name", "on", "none"}); }) ==
        "[json] gt.json: unknown key \"epochs\"; did you mean \"epoch\"?");
}

TEST_CASE("json reader: suggestions") {
  using tandem::io::closest_word;
  const std::vector<std::string> words = {"learning_rate", "epochs", "seed", "batch_size"};
  CHECK(closest_word("learnign_rate", words) == "learning_rate");
  CHECK(closest_word("epoch", words) == "epochs");
  CHECK(closest_word("batch", words) == "batch_size");
  CHECK(closest_word("zzzzzz", words).empty());
  CHECK(tandem::io::edit_distance("abcd", "abdc") == 1);
  CHECK(tandem::io::edit_distance("", "abc") == 3);
  CHECK(tandem::io::edit_distance("kitten", "sitting") == 3);
}
