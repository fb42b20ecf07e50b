#include "tandem/wtal/html_page.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>

using namespace tandem;
using namespace tandem::wtal;

namespace {

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t n = 0;
  for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("html_page: texts and URLs are escaped") {
  CHECK(html_text("a<b> & \"c\" 'd'") == "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
  CHECK(html_text(std::string("x\0y\x1bz\n", 6)) == "x\xEF\xBF\xBDy\xEF\xBF\xBDz\n");
  CHECK(html_text("Übung ↔") == "Übung ↔");
  CHECK(page_url("../clips/a video #1?.mp4") == "./../clips/a%20video%20%231%3F.mp4");
  CHECK(page_url("javascript:alert(1)") == "./javascript%3Aalert%281%29");
  CHECK(page_url("/data/ü.mp4") == "/data/%C3%BC.mp4");

  const std::string nasty = "</script><script>alert(1)</script><!--";
  LocalizationPage page{
      .title = nasty, .video = page_url(nasty), .video_name = nasty, .duration = 2};
  page.facts = {{nasty, nasty}};
  page.warnings = {nasty};
  page.tracks.push_back(
      {.name = nasty, .scores = {0.5F, 1}, .predicted = {{{0, 1}, 0, 0.5}}, .truth = {{0, 2}}});
  const std::string html = localization_page(page);
  CHECK(count(html, "alert(1)</script>") == 0);
  CHECK(count(html, "</script>") == 2);  // the page's own two
  CHECK(count(html, "<script") == 2);
  CHECK(count(html, "<!--") == 0);
}

TEST_CASE("html_page: what overlaps lies in different lanes") {
  using Places = std::vector<std::size_t>;
  CHECK(wtal::detail::page_lanes({{0, 2}, {1, 3}, {2, 4}, {1.5, 1.6}}) == Places{0, 1, 0, 2});
  CHECK(wtal::detail::page_lanes({}).empty());
}

TEST_CASE("html_page: segments stand at their place, cut at the ends of the timeline") {
  LocalizationPage page{.title = "v", .duration = 20, .seconds_per_row = 10};
  page.tracks.push_back({.name = "Dive",
                         .video_score = 0.25,
                         .scores = {0, 1},
                         .threshold = 0.5,
                         .predicted = {{{5, 10}, 0, 0.25}, {{18, 30}, 0, 0.75}}});
  const std::string html = localization_page(page);
  CHECK(html.find("left:25.000%;width:25.000%;--strength:0.35\" aria-label=\"Dive, predicted, "
                  "0:05.0 to 0:10.0, score 0.25\"") != html.npos);
  CHECK(html.find("left:90.000%;width:10.000%;--strength:1.00") != html.npos);
  CHECK(html.find("M0.000 1.0000H10.000L10.000 0.0000H20.000") != html.npos);
  CHECK(html.find("{\"duration\":20.000,\"secondsPerRow\":10.000000,\"scores\":[[0.000,1.000]]}") !=
        html.npos);
  CHECK(html.find("<video") == html.npos);
  CHECK(count(html, "http") == 0);  // nothing is loaded
}

TEST_CASE("html_page: errors") {
  LocalizationPage page{.title = "v", .duration = 0};
  CHECK_THROWS_WITH_AS(
      localization_page(page),
      "[localization_page] expected a duration and seconds per row above 0, got 0 and 0.64", Error);
  page.duration = 10;
  CHECK(localization_page(page).find("There is no class to show.") != std::string::npos);
  page.tracks.push_back({.name = "Dive", .scores = {1.5F}});
  CHECK_THROWS_WITH_AS(
      localization_page(page),
      "[localization_page] the frame scores of Dive must lie in [0, 1], one is 1.5", Error);
  page.tracks[0] = {.name = "Dive", .truth = {{3, 2}}};
  CHECK_THROWS_WITH_AS(localization_page(page),
                       "[localization_page] a segment of Dive runs from 3 to 2", Error);
  page.tracks[0] = {.name = "Dive",
                    .predicted = {{{1, 2}, 0, std::numeric_limits<double>::infinity()}}};
  CHECK_THROWS_WITH_AS(localization_page(page), "[localization_page] a score of Dive is not finite",
                       Error);
}
