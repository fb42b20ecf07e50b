/// Text: CLIP's vocabulary, texts to be tokenized, class names, tokens of class names, and the HTML
/// page, into which titles, paths, class names and notes come from files.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../../examples/report/page.hpp"
#include "tandem/clip/class_names.hpp"
#include "tandem/clip/tokenizer.hpp"
#include "tandem/io/file.hpp"
#include "tandem/io/utf8.hpp"
#include "tandem/wtal/data/glove.hpp"
#include "targets.hpp"

namespace fuzz {
namespace {

const char* const merges =
    "\"bpe_simple_vocab_16e6.txt#version: 0.2\ni n\nt h\na n\nth e</w>\nin g</w>\nd o\nan d</w>\nc "
    "a\nca t</w>\ndo g</w>\n";

/// Hands out values made of the input's bytes, zeros at its end.
class Feed {
 public:
  explicit Feed(const std::string& bytes) : bytes_(bytes) {}
  unsigned byte() { return at_ < bytes_.size() ? static_cast<unsigned char>(bytes_[at_++]) : 0; }
  double number() {
    if (byte() % 4 != 0) return byte() / 16.0;
    double out = 0;
    char raw[8] = {};
    for (char& c : raw) c = static_cast<char>(byte());
    std::memcpy(&out, raw, 8);
    return out;
  }
  std::string text() {
    // First: compilers differ in which argument they evaluate first
    const std::size_t wanted = byte();
    const std::size_t length = std::min(wanted, bytes_.size() - at_);
    return bytes_.substr((at_ += length) - length, length);
  }

 private:
  const std::string& bytes_;
  std::size_t at_ = 0;
};

std::size_t count(const std::string& text, char c) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), c));
}

void write_page(const std::string& html, const std::string& bytes) {
  Feed feed(bytes);
  report::Page page;
  page.title = feed.text();
  page.video = report::page_url(feed.text());
  page.video_name = feed.text();
  page.duration = feed.number();
  page.seconds_per_row = feed.number();
  for (unsigned n = feed.byte() % 3; n > 0; --n) {
    const std::string name = feed.text();
    page.facts.emplace_back(name, feed.text());
  }
  for (unsigned n = feed.byte() % 3; n > 0; --n) page.warnings.push_back(feed.text());
  for (unsigned n = feed.byte() % 4; n > 0; --n) {
    report::Track track;
    track.name = feed.text();
    track.video_score = feed.number();
    track.threshold = feed.number();
    for (unsigned k = feed.byte() % 8; k > 0; --k)
      track.scores.push_back(static_cast<float>(feed.byte()) / 255);
    for (unsigned k = feed.byte() % 4; k > 0; --k) {
      const double start = feed.number(), end = feed.number(), score = feed.number();
      track.predicted.push_back({{start, end}, 0, score});
    }
    for (unsigned k = feed.byte() % 4; k > 0; --k) {
      const double start = feed.number();
      track.truth.push_back({start, feed.number()});
    }
    page.tracks.push_back(std::move(track));
  }
  const std::string written = report::localization_page(page, html);
  // The same page with harmless words: as many tags, quotes and braces, whatever the texts were.
  const auto plain = [](std::string& text) { text = text.empty() ? "" : "x"; };
  plain(page.title), plain(page.video_name);
  page.video = report::page_url(page.video.empty() ? "" : "x");
  for (auto& [name, value] : page.facts) plain(name), plain(value);
  for (std::string& warning : page.warnings) plain(warning);
  for (report::Track& track : page.tracks) plain(track.name);
  const std::string harmless = report::localization_page(page, html);
  for (const char c : {'<', '>', '"', '\''}) {
    promise(count(written, c) == count(harmless, c),
            "no text of a file becomes a tag or ends an attribute");
  }
  for (const char c : written) {
    promise(static_cast<unsigned char>(c) >= 32 || c == '\n' || c == '\t',
            "the page has no control characters");
  }
}

}  // namespace

void add_text_targets(Targets& targets, const Places& places) {
  const std::string vectors = places.scratch + "/glove.txt";
  targets.push_back(
      {"glove", {"the 1 2\n. 3 -4e-1\ncliff 5 6\ndiving 7 8\n"}, [=](const std::string& s) {
         put(vectors, s);
         const auto glove = wtal::GloveVectors::load(vectors, {"cliff", "diving"}, 2);
         if (glove.has("cliff") && glove.has("diving"))
           wtal::class_word_vectors<float>(glove, {"CliffDiving"});
         attempt([&] { wtal::make_sentences<float>(glove, {"Diving"}, {{0}}); });
       }});
  targets.push_back({"tokenizer_vocabulary",
                     {merges, "#version: 0.2\na b\nab c</w>\n"},
                     [](const std::string& s) {
                       const auto tokenizer = clip::Tokenizer::parse(s, "fuzz");
                       tokenizer.decode(tokenizer.encode("the cat and a dog"));
                     },
                     2048});
  const auto tokenizer = clip::Tokenizer::parse(merges, "merges");
  targets.push_back(
      {"tokenizer_text",
       {"A cat &amp;amp; the dog's 12 \xE2\x80\x99s caf\xC3\xA9", "<|startoftext|> x <|endoftext|>",
        "&lt;&#x27;&#39;&notin;&#0;&#1114112; e\xCC\x81 \xEF\xBC\xA1 \xEF\xAC\x81 "
        "\xF0\x9F\x98\x80"},
       [tokenizer](const std::string& s) {
         const auto ids = tokenizer.encode(s);
         for (const std::int64_t id : ids) {
           promise(id >= 0 && id < tokenizer.vocabulary(), "ids lie in the vocabulary");
         }
         tokenizer.decode(ids);
         tokenizer.tokenize({s, ""});
         const std::string clean = clip::clean_text(s);
         for (std::size_t at = 0, length = 0; at < clean.size(); at += length) {
           std::uint32_t code = 0;
           length = io::decode_utf8(std::string_view(clean).substr(at), code);
           promise(length > 0, "clean text is UTF-8");
         }
       },
       1024});
  targets.push_back({"printable",
                     {"a\x1b[2Jb\xff\r\n\xC2\x9B\xE2\x80\xAE caf\xC3\xA9"},
                     [](const std::string& s) {
                       const std::string out = io::printable(s);
                       for (const char c : out) {
                         promise(static_cast<unsigned char>(c) >= 32 && c != 127,
                                 "a terminal has nothing to obey");
                       }
                       promise(io::printable(out) == out, "what is printable stays as it is");
                     }});
  targets.push_back({"class_name",
                     {"BaseballPitch", "Throwing darts", "HTML5Video_2x"},
                     [](const std::string& s) { clip::readable_class_name(s); }});
  std::string page("\4name\3a b\5a.mp4\1\x40\1\x0a", 20);
  page += std::string(
      "\1\4fact\5value\1\4note\1\4Jump\1\x10\1\x08\3\x10\x80\xff\1\1\x01\1\x20\1\x0c\1\1\x02\1\x30",
      41);
  const std::string html = io::read_text(places.tests + "/../examples/report/page.html");
  targets.push_back(
      {"html_page", {page}, [html](const std::string& s) { write_page(html, s); }, 4096});
}

}  // namespace fuzz
