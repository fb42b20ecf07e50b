#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "../../examples/report/page.hpp"
#include "../../examples/report/run_page.hpp"
#include "../../examples/report/tables.hpp"
#include "../../examples/report/video_index.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/json_reader.hpp"

using namespace tandem;
using namespace report;

namespace {

/// page.html as it stands in the sources.
const std::string& page_html() {
  static const std::string text =
      io::read_text(std::string(TANDEM_SOURCE_DIR) + "/examples/report/page.html");
  return text;
}

std::string written(const Page& page) { return localization_page(page, page_html()); }

/// What stands in the element of the data.
io::Json data_of(const std::string& html) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const std::size_t from = html.find(begin) + begin.size();
  return io::Json::parse(html.substr(from, html.find("</script>", from) - from));
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t n = 0;
  for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("report_page: texts and URLs are escaped") {
  CHECK(json_text("a<b> & \"c\" 'd'\\") ==
        R"("a\u003Cb\u003E \u0026 \u0022c\u0022 \u0027d\u0027\u005C")");
  CHECK(json_text(std::string("x\0y\x1bz\t\n\x7f", 8)) ==
        "\"x\xEF\xBF\xBDy\xEF\xBF\xBDz\\t\\n\xEF\xBF\xBD\"");
  CHECK(json_text("Übung ↔") == "\"Übung ↔\"");
  // JavaScript before 2019 took these for ends of lines.
  // What turns the direction of the text behind it is written out.
  CHECK(json_text("a\xE2\x80\xAE"
                  "b\xE2\x81\xA6\xD8\x9C") == R"("a\u005Cu202eb\u005Cu2066\u005Cu061c")");
  CHECK(json_text("a\xE2\x80\xA8ü\xE2\x80\xA9\xE2\x80") == "\"a\\u2028ü\\u2029\xE2\x80\"");
  CHECK(page_url("../clips/a video #1?.mp4") == "./../clips/a%20video%20%231%3F.mp4");
  CHECK(page_url("javascript:alert(1)") == "./javascript%3Aalert%281%29");
  CHECK(page_url("/data/ü.mp4") == "/data/%C3%BC.mp4");

  const std::string nasty = "</script><script>alert(1)</script><!--\\\",\xE2\x80\xA8";
  Page page{.title = nasty, .video = page_url(nasty), .video_name = nasty, .duration = 2};
  page.facts = {{nasty, nasty}};
  page.warnings = {nasty};
  page.tracks.push_back(
      {.name = nasty, .scores = {0.5F, 1}, .predicted = {{{0, 1}, 0, 0.5}}, .truth = {{0, 2}}});
  const std::string html = written(page);
  CHECK(count(html, "alert(1)</script>") == 0);
  CHECK(count(html, "</script>") == count(page_html(), "</script>"));
  CHECK(count(html, "<script") == count(page_html(), "<script"));
  CHECK(count(html, "<!--") == 0);
  CHECK(count(html, "\xE2\x80\xA8") == 0);
  const io::Json data = data_of(html);
  CHECK(data.at("title") == nasty);
  CHECK(data.at("video") == page.video);
  CHECK(data.at("videoName") == nasty);
  CHECK(data.at("facts").at(0).at(0) == nasty);
  CHECK(data.at("facts").at(0).at(1) == nasty);
  CHECK(data.at("warnings").at(0) == nasty);
  CHECK(data.at("tracks").at(0).at("name") == nasty);
}

TEST_CASE("report_page: the data is put in the example's place, everything else stays") {
  Page page{.title = "v", .duration = 20, .seconds_per_row = 10};
  page.tracks.push_back({.name = "Dive",
                         .video_score = 0.25,
                         .scores = {0, 1},
                         .threshold = 0.5,
                         .predicted = {{{5, 10}, 0, 0.25}, {{18, 30.125}, 0, 0.75}}});
  page.tracks.push_back({.name = "Jump", .truth = {{0.1, 1.0 / 3}}});
  const std::string html = written(page);
  CHECK(html.find(R"("duration":20,"secondsPerRow":10,"facts":[],"warnings":[],"tracks":[)"
                  R"({"name":"Dive","videoScore":0.25,"threshold":0.5,"scores":[0.0000,1.0000],)"
                  R"("predicted":[{"start":5,"end":10,"score":0.25},)"
                  R"({"start":18,"end":30.125,"score":0.75}],"truth":[]},)") != html.npos);
  const io::Json data = data_of(html), jump = data.at("tracks").at(1);
  CHECK(jump.at("videoScore").is_null());
  CHECK(jump.at("threshold").is_null());
  CHECK(jump.at("truth").at(0).at("start") == 0.1);
  CHECK(jump.at("truth").at(0).at("end") == 1.0 / 3);  // all digits
  CHECK(count(html, "http") == 0);                     // nothing is loaded

  const std::string text = page_data(page);
  const std::size_t at = html.find(text);
  REQUIRE(at != html.npos);
  CHECK(page_html().starts_with(html.substr(0, at)));
  CHECK(page_html().ends_with(html.substr(at + text.size())));
}

TEST_CASE("report_page: the example in page.html has the keys that are written") {
  Page page{.title = "v", .duration = 20};
  page.tracks.push_back(
      {.name = "Dive", .scores = {1}, .predicted = {{{5, 10}, 0, 0.25}}, .truth = {{1, 2}}});
  const io::Json data = io::Json::parse(page_data(page)), example = data_of(page_html());
  const auto keys = [](const io::Json& object) {
    std::string out;
    for (const auto& [key, value] : object.items()) out += key + " ";
    return out;
  };
  const auto first = [](const io::Json& all, const char* list) { return all.at(list).at(0); };
  const io::Json track = first(data, "tracks"), shown = first(example, "tracks");
  CHECK(keys(data) == keys(example));
  CHECK(keys(track) == keys(shown));
  for (const char* list : {"predicted", "truth"})
    CHECK(keys(first(track, list)) == keys(first(shown, list)));
}

TEST_CASE("report_page: errors") {
  Page page{.title = "v", .duration = 0};
  CHECK_THROWS_WITH_AS(
      written(page),
      "[localization_page] expected a duration and seconds per row above 0, got 0 and 0.64", Error);
  page.duration = 10;
  CHECK(data_of(written(page)).at("tracks").empty());
  page.tracks.push_back({.name = "Dive", .scores = {1.5F}});
  CHECK_THROWS_WITH_AS(
      written(page), "[localization_page] the frame scores of Dive must lie in [0, 1], one is 1.5",
      Error);
  page.tracks[0] = {.name = "Dive", .truth = {{3, 2}}};
  CHECK_THROWS_WITH_AS(written(page), "[localization_page] a segment of Dive runs from 3 to 2",
                       Error);
  page.tracks[0] = {.name = "Dive",
                    .predicted = {{{1, 2}, 0, std::numeric_limits<double>::infinity()}}};
  CHECK_THROWS_WITH_AS(written(page), "[localization_page] a score of Dive is not finite", Error);
  page.tracks.clear();
  CHECK_THROWS_WITH_AS(localization_page(page, "<p>no data</p>"),
                       "[localization_page] the page has no element "
                       "<script type=\"application/json\" id=\"data\">",
                       Error);
}

TEST_CASE("report_page: base64") {
  const auto coded = [](std::string_view text) {
    return base64(std::span(reinterpret_cast<const unsigned char*>(text.data()), text.size()));
  };
  CHECK(coded("") == "");  // RFC 4648, section 10
  CHECK(coded("f") == "Zg==");
  CHECK(coded("fo") == "Zm8=");
  CHECK(coded("foo") == "Zm9v");
  CHECK(coded("foobar") == "Zm9vYmFy");
  CHECK(coded("\xfb\xff") == "+/8=");
  CHECK(base64(std::vector<float>{1, -2}) == "AACAPwAAAMA=");  // 00 00 80 3f, 00 00 00 c0
}

TEST_CASE("run_page: data and videos that a page carries") {
  const std::string html =
      "<p></p><script type=\"application/json\" id=\"data\">{}</script><script>1</script>";
  const std::string nasty = "</script><b>&\xE2\x80\xA8\xE2\x80\xAE\"\\";
  io::Json data = io::Json::object();
  data["title"] = nasty;
  const std::string page = run_page(data, {{"video-0", "data:video/mp4;base64,AAAA"}}, html);
  CHECK(page ==
        "<p></p><script type=\"text/plain\" id=\"video-0\">data:video/mp4;base64,AAAA</script>\n"
        "<script type=\"application/json\" id=\"data\">"
        "{\"title\":\"\\u003C/script\\u003E\\u003Cb\\u003E\\u0026\\u2028\\\\u202e\\\"\\\\\"}"
        "</script><script>1</script>");
  CHECK(data_of(page).at("title") == "</script><b>&\xE2\x80\xA8\\u202e\"\\");
  CHECK_THROWS_WITH_AS(run_page(data, {}, "<p>"),
                       "[run_page] the page has no element "
                       "<script type=\"application/json\" id=\"data\">",
                       Error);
}

TEST_CASE("report_tables: Markdown and JSON") {
  const std::vector<Table> tables = report::detail::markdown_tables(
      "# One\n\ntext | with a bar\n\n| a | b |\r\n|:--|--:|\r\n| `x\\|y` | **1** |\n| z |\n"
      "\n## Two\nc | d\n--- | ---\n1 | 2\nno table\n");
  REQUIRE(tables.size() == 2);
  CHECK(tables[0].title == "One");
  CHECK(tables[0].header == std::vector<std::string>{"a", "b"});
  CHECK(tables[0].rows == std::vector<std::vector<std::string>>{{"x|y", "1"}, {"z"}});
  CHECK(tables[1].title == "Two");
  CHECK(tables[1].rows == std::vector<std::vector<std::string>>{{"1", "2"}});
  CHECK(report::detail::markdown_tables("a | b\nc | d\n").empty());

  const auto read = [](const char* text) {
    const io::JsonDocument document = io::JsonDocument::parse(text, "t.json");
    return report::detail::json_table(document.root());
  };
  const Table table =
      read(R"({"title": "t", "header": ["a", 2], "rows": [["x", 1.25], [null, -3]]})");
  CHECK(table.header == std::vector<std::string>{"a", "2"});
  CHECK(table.rows == std::vector<std::vector<std::string>>{{"x", "1.25"}, {"", "-3"}});
  CHECK_THROWS_AS(read(R"({"title": "t", "header": [[]], "rows": []})"), Error);
  CHECK_THROWS_AS(read(R"({"header": ["a"], "rows": []})"), Error);
}

TEST_CASE("video_index: has the keys of its example, and texts are escaped") {
  const std::string html =
      io::read_text(std::string(TANDEM_SOURCE_DIR) + "/examples/report/video_index.html");
  const std::string nasty = "</script><script>alert(1)</script>";
  VideoIndex index{.title = nasty};
  index.videos.push_back({.id = nasty,
                          .page = page_url("videos/" + nasty + ".html"),
                          .seconds = 20,
                          .found = {{.name = nasty, .start = 1, .end = 2.5, .score = 0.5}},
                          .warnings = {nasty}});
  index.failed = {{nasty, nasty}};
  index.facts = {{nasty, nasty}};
  index.warnings = {nasty};
  const std::string page = video_index_page(index, html);
  CHECK(count(page, "alert(1)</script>") == 0);
  CHECK(count(page, "<script") == count(html, "<script"));
  const io::Json data = data_of(page), example = data_of(html);
  const auto keys = [](const io::Json& object) {
    std::vector<std::string> out;
    for (const auto& [key, value] : object.items()) out.push_back(key);
    return out;
  };
  CHECK(keys(data) == keys(example));
  CHECK(keys(data.at("videos").at(0)) == keys(example.at("videos").at(0)));
  CHECK(keys(data.at("videos").at(0).at("found").at(0)) ==
        keys(example.at("videos").at(0).at("found").at(0)));
  CHECK(data.at("title") == nasty);
  CHECK(data.at("videos").at(0).at("found").at(0).at("end") == 2.5);
  index.videos[0].found[0].score = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH_AS(video_index_page(index, html),
                       ("[video_index] a detection in " + nasty + " is not finite").c_str(), Error);
}
