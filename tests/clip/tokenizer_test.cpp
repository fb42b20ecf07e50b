#include "tandem/clip/tokenizer.hpp"

#include <doctest/doctest.h>

#include <chrono>

#include "../io/temp_dir.hpp"
#include "../io/util.hpp"
#include "../wtal/test_data.hpp"
#include "tandem/io/json_reader.hpp"

using namespace tandem;
using namespace tandem_test;
using clip::Tokenizer;
using Ids = std::vector<std::int64_t>;

namespace {

Ids ids_of(const io::JsonRef& list) {
  Ids ids;
  for (std::size_t i = 0; i < list.size(); ++i) ids.push_back(list[i].integer());
  return ids;
}

const io::JsonDocument& golden_cases() {
  static const auto document = io::JsonDocument::load(TANDEM_GOLDEN_DIR "/clip_tokenizer.json");
  return document;
}

/// The text of a golden case: itself, or bytes that are not UTF-8.
std::string text_of(const io::JsonRef& entry) {
  if (const auto text = entry.find("text")) return text->string();
  std::string bytes;
  const std::string& hex = entry["hex"].string();
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

/// a b → ab; ab c</w> → abc</w>; l o → lo.  Ids: 512 ab, 513 abc</w>, 514 lo, 515 start, 516 end.
Tokenizer tiny() { return Tokenizer::parse("#version: 0.2\na b\nab c</w>\nl o\n", "tiny"); }

/// The id of a byte, printable ASCII only, inside a word or at its end.
std::int64_t byte_id(char c, bool last = false) { return c - '!' + (last ? 256 : 0); }

std::string parse_error(const std::string& text) {
  return error_of([&] { Tokenizer::parse(text, "v.txt"); });
}

}  // namespace

TEST_CASE("tokenizer: merges by rank, word ends, pieces, special tokens") {
  const Tokenizer t = tiny();
  CHECK(t.vocabulary() == 517);
  CHECK(t.start_token() == 515);
  CHECK(t.end_token() == 516);
  CHECK(t.encode("abc") == Ids{513});
  CHECK(t.encode("ABC abc") == Ids{513, 513});
  CHECK(t.encode("abcc") == Ids{512, byte_id('c'), byte_id('c', true)});
  CHECK(t.encode("ab") == Ids{byte_id('a'), byte_id('b', true)});  // b</w> is not b
  CHECK(t.encode("loa") == Ids{514, byte_id('a', true)});
  CHECK(t.encode("abc's") == Ids{513, byte_id('\''), byte_id('s', true)});
  CHECK(t.encode("12") == Ids{byte_id('1', true), byte_id('2', true)});
  CHECK(t.encode("<|startoftext|>abc<|EndOfText|>") == Ids{515, 513, 516});
  CHECK(t.encode("").empty());
  CHECK(t.encode(" \n\t ").empty());
  CHECK(t.decode({515, 513, 514, byte_id('a', true), 516}) ==
        "<|startoftext|>abc loa <|endoftext|>");
}

TEST_CASE("tokenizer: a merge happens everywhere before any pair that it makes") {
  // The second "a b" makes the rank 3. Both places are merged before "ab c", of rank 2, can be, and
  // then "c ab" comes first.
  const Tokenizer t = Tokenizer::parse("#version:\na b\nc ab\nab c\na b\nx x\n", "t");
  CHECK(t.encode("abcabz") == Ids{515, 513, byte_id('z', true)});
  CHECK(t.encode("xxxz") == Ids{516, byte_id('x'), byte_id('z', true)});
  // Of two equal merges the later one counts.
  const Tokenizer twice = Tokenizer::parse("#version:\na b\nb c\na b\n", "t");
  CHECK(twice.encode("abcz") == Ids{byte_id('a'), 513, byte_id('z', true)});
  CHECK(twice.encode("abz") == Ids{514, byte_id('z', true)});
}

TEST_CASE("tokenizer: rows of the context") {
  const Tokenizer t = tiny();
  const auto rows = t.tokenize({"abc", "", "abc abc abc abc"}, {.context = 5});
  CHECK(rows.shape() == Shape{3, 5});
  CHECK(rows.to_vector() == Ids{515, 513, 516, 0, 0, 515, 516, 0, 0, 0, 515, 513, 513, 513, 516});
  CHECK(t.tokenize({"abc"}).shape() == Shape{1, 77});
  CHECK(t.tokenize({}).shape() == Shape{0, 77});
  CHECK(t.tokenize({"abc abc abc"}, {.context = 5, .truncate = false}).at({0, 4}) == 516);
  CHECK(error_of([&] {
          t.tokenize({"a", "abc abc abc abc"}, {.context = 5, .truncate = false});
        }) == "[tokenize] text 1 has 6 tokens, the context holds 5");
  CHECK(contains(error_of([&] { t.tokenize({"a"}, {.context = 1}); }), "at least 2, it is 1"));
  CHECK(error_of([&] {
          t.decode({1, 517});
        }) == "[decode] the token id 517 lies outside the vocabulary of 517");
  CHECK(contains(error_of([&] { t.decode({-1}); }), "-1"));
}

TEST_CASE("tokenizer: clean form, ids and text of the release's code, with its first 1200 merges") {
  const auto root = golden_cases().root();
  const Tokenizer t = Tokenizer::parse(root["merges"].string(), "merges");
  CHECK(t.vocabulary() == 512 + 1200 + 2);
  const auto cases = root["cases"];
  REQUIRE(cases.size() > 200);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string text = text_of(cases[i]);
    CAPTURE(text);
    CHECK(clip::clean_text(text) == cases[i]["clean"].string());
    const Ids ids = ids_of(cases[i]["ids"]);
    CHECK(t.encode(text) == ids);
    CHECK(t.decode(ids) == cases[i]["decoded"].string());
  }
}

TEST_CASE("tokenizer: the whole vocabulary and the published vectors") {
  const std::string path = test_data("clip/bpe_simple_vocab_16e6.txt.gz");
  if (path.empty()) return;
  const Tokenizer t = Tokenizer::load(path);
  CHECK(t.vocabulary() == 49408);
  CHECK(t.encode("it’s a person’s cafe\u0301") == Ids{585, 568, 320, 2533, 568, 15304});
  CHECK(t.start_token() == 49406);
  const auto cases = golden_cases().root()["cases"];
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(text_of(cases[i]));
    CHECK(t.encode(text_of(cases[i])) == ids_of(cases[i]["release_ids"]));
  }
  for (const char* file :
       {"tokenizer_vectors_published.json", "tokenizer_golden_openai_sample.json"}) {
    const auto document = io::JsonDocument::load(test_data(std::string("clip/") + file));
    std::size_t compared = 0;
    for (std::size_t i = 0; i < document.root().size(); ++i) {
      const io::JsonRef entry = document.root()[i];
      if (!entry.get("openai_reference_agrees", true)) continue;
      const Ids want = ids_of(entry["ids"]);
      CAPTURE(entry["text"].string());
      // One of the published vectors was cut to a context of 6.
      const bool cut = contains(entry.get("note", std::string()), "truncated to context_length");
      Ids got = t.encode(entry["text"].string());
      if (cut) got = t.tokenize({entry["text"].string()}, {.context = 6}).to_vector();
      if (!cut) {
        got.insert(got.begin(), t.start_token());
        got.push_back(t.end_token());
      }
      CHECK(got == want);
      ++compared;
    }
    CHECK(compared == (std::string(file).find("sample") == std::string::npos ? 38 : 1200));
  }
  // The same vocabulary as plain text and as the merges.txt of converted models.
  const TempDir dir;
  const auto file = io::MappedFile::open(path);
  const std::string plain = io::gunzip(file->text(), 1 << 24, path);
  io::write_text(dir.path("bpe.txt"), plain);
  CHECK(Tokenizer::load(dir.path("bpe.txt")).encode("a photo of a cat") ==
        Ids{320, 1125, 539, 320, 2368});
  std::size_t end = 0;
  for (int line = 0; line < 48895; ++line) end = plain.find('\n', end) + 1;
  io::write_text(
      dir.path("merges.txt"),
      "#version: 0.2\n" + plain.substr(plain.find('\n') + 1, end - plain.find('\n') - 1));
  const Tokenizer converted = Tokenizer::load(dir.path("merges.txt"));
  CHECK(converted.vocabulary() == 49408);
  CHECK(converted.encode("throw discus") == t.encode("throw discus"));
}

TEST_CASE("tokenizer: what ftfy does to single characters, quotes, widths, controls and entities") {
  const auto clean = [](std::string_view text) { return clip::clean_text(text); };
  CHECK(clean("it’s a person’s cafe\u0301") == "it's a person's café");
  CHECK(clean("\u201cquote\u201d \u2018x\u2019 \u02bc \u201b \u201f") == "\"quote\" 'x' ' ' \"");
  CHECK(clean("ﬁne ﬂuﬃer ﬆ Ĳ ŉ Ǆ") == "fine fluffier st ij 'n dž");
  CHECK(clean("ＬＯＵＤ　ＮＯＩＳＥＳ ﾀｰﾝ ﾊﾟ ￦") == "loud noises ターン パ ₩");
  CHECK(clean("a\u0085b\u0080\u009f") == "a…b€ÿ");  // C1: Windows-1252
  CHECK(clean(std::string_view("a\0b\x07\x1c\x7f\ufeffc\ufff9\u206a\ufffcd", 20)) == "abcd");
  CHECK(clean("a\r\nb\rc\u2028d\u2029e\x0b") == "a b c d e");
  CHECK(clean("\x1b[36;44mblue\x1b[0m \x1b[\u0663mx \x1b[1") == "blue x [1");
  CHECK(clean("\x1b[３１mfull") == "full");
  CHECK(clean("&NTILDE; &SZLIG; &nTILDE; &hellip;") == "ñ ss &ntilde; …");
  CHECK(clean("&amp;amp;amp;amp;amp;lt;") == "<");  // again and again
  // Twice: a line with "<" is HTML
  CHECK(clean("< &amp;amp;amp;amp;amp;lt;") == "< &amp;amp;amp;lt;");
  CHECK(clean("<\n&amp;amp;amp;lt;") == "< &amp;lt;");  // and so is what follows it
  CHECK(clean("&amp;amp;amp;lt;\n<") == "< <");
  CHECK(clean("＆ａｍｐ；ｌｔ；") == "<");
  CHECK(clean("&#59; &#12x; &#x41; &AMP; &this&not that") == "; x; a & &this¬ that");
  // A pair of surrogates, three bytes each
  CHECK(clean("\xED\xA0\xBD\xED\xB8\x80") == "\xF0\x9F\x98\x80");
  CHECK(clean("\xED\xA0\xBDx\xED\xB8\x80") == "\uFFFD\uFFFD\uFFFDx\uFFFD\uFFFD\uFFFD");
  CHECK(clean("") == "");
  CHECK(clean("\xEF\xBB\xBF") == "");
}

TEST_CASE("tokenizer: what looks like a wrong encoding is kept, and said") {
  CHECK(clip::clean_text("cafÃ©") == "cafã©");
  CHECK(clip::mojibake_note("cafÃ©") ==
        "\"Ã©\" looks like UTF-8 read in a wrong encoding and is taken as it is; "
        "OpenAI's tokenizer may repair it first");
  CHECK(contains(clip::mojibake_note("itâ€™s"), "\"â€™\""));
  CHECK(contains(clip::mojibake_note("Ã\u0083"), "\"Ã<131>\""));
  CHECK(contains(clip::mojibake_note("caf&Atilde;&copy;"), "\"Ã©\""));
  CHECK(contains(clip::mojibake_note("ï¬�ne"), "\"ï¬�\""));  // a byte was lost
  CHECK(clip::mojibake_note("é� à��") == "");
  for (const char* fine : {"", "plain", "café", "naïve “quotes” – ’tis", "Ångström ÀÉÎ", "привет",
                           "日本語 ½ ²", "100 °C"}) {
    CAPTURE(fine);
    CHECK(clip::mojibake_note(fine) == "");
  }
}

TEST_CASE("tokenizer: long texts take no more than proportional time") {
  const Tokenizer t = Tokenizer::parse(golden_cases().root()["merges"].string(), "merges");
  const std::size_t size = 1 << 20;
  std::string cycle, html, digits(size, '7');
  while (cycle.size() < size) cycle += "thereinandon";
  while (html.size() < size) html += "&CounterClockwiseContourIntegra";
  std::string nested = "&", marks = "a", escapes;
  while (nested.size() < size) nested += "amp;";
  while (marks.size() < size) marks += "\u0301\u0323";
  while (escapes.size() < size) escapes += "\x1b[1;2";
  const std::string texts[] = {std::string(size, 'a'),
                               cycle,
                               html,
                               digits,
                               nested,
                               marks,
                               escapes,
                               std::string(size, ' '),
                               std::string(size, '&'),
                               std::string(size, '\xFF'),
                               std::string(size, '\''),
                               "\xCE\xA3" + std::string(size, '.')};
  const auto start = std::chrono::steady_clock::now();
  std::size_t tokens = 0;
  for (const std::string& text : texts) tokens += t.encode(text).size();
  std::string sigmas;
  while (sigmas.size() < size) sigmas += "a.\xCE\xA3";
  tokens += t.encode(sigmas).size();
  CHECK(tokens > size);
  // A quadratic step would take hours; sanitizers and busy machines only take a while.
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::minutes(5));
  CHECK(t.decode(t.encode(cycle)) == cycle + " ");
}

TEST_CASE("tokenizer: vocabularies that are none") {
  CHECK(parse_error("") == "[tokenizer] v.txt: there are no merges in the file");
  CHECK(parse_error("#version: 0.2\n") == "[tokenizer] v.txt: there are no merges in the file");
  CHECK(parse_error("a b\n") ==
        "[tokenizer] v.txt:1: expected a line with \"#version:\", as a file of merges begins");
  CHECK(parse_error("#version:\na b\nab\n") ==
        "[tokenizer] v.txt:3: expected two parts with a space between them");
  CHECK(contains(parse_error("#version:\n\na b\n"), "v.txt:2: expected two parts"));
  CHECK(contains(parse_error("#version:\na \n"), "v.txt:2: expected two parts"));
  CHECK(
      contains(parse_error("#version:\na b c\n"), "v.txt:2: a character that stands for no byte"));
  CHECK(
      contains(parse_error("#version:\na b\r\n"), "v.txt:2: a character that stands for no byte"));
  CHECK(
      contains(parse_error("#version:\na \xFF\n"), "v.txt:2: a character that stands for no byte"));
  CHECK(parse_error("#version:\nab c\n") ==
        "[tokenizer] v.txt:2: merges a part that no earlier line makes");
  std::string doubling = "#version:\na a\n", part = "aa";
  for (int i = 0; i < 12; ++i, part += part) doubling += part + ' ' + part + '\n';
  CHECK(parse_error(doubling) ==
        "[tokenizer] v.txt:12: makes a token of 2048 bytes, at most 1024 are expected");
  CHECK(contains(error_of([] { Tokenizer::load("/no/such/file"); }), "cannot open the file"));
  const TempDir dir;
  io::write_text(dir.path("cut.gz"), std::string("\x1F\x8B\x08\0\0", 5));
  CHECK(contains(error_of([&] { Tokenizer::load(dir.path("cut.gz")); }), "ends too early"));
}
