#include "tandem/clip/unicode.hpp"

#include <doctest/doctest.h>

#include "tandem/clip/html.hpp"
#include "tandem/clip/normalization.hpp"

using namespace tandem;
using namespace tandem::clip;

namespace {

std::string unescaped(std::string_view text) {
  return encode_text(unescape_html(decode_text(text)));
}
std::string lowered(std::string_view text) { return encode_text(lower(decode_text(text))); }

}  // namespace

TEST_CASE("unicode: kinds of characters") {
  CHECK(character_kind(U'a') == CharacterKind::letter);
  CHECK(character_kind(U'7') == CharacterKind::number);
  CHECK(character_kind(U'.') == CharacterKind::other);
  CHECK(character_kind(U'\u3000') == CharacterKind::space);
  CHECK(character_kind(U'\u0085') == CharacterKind::space);
  CHECK(character_kind(U'\u001C') == CharacterKind::other);  // \s of the module regex
  CHECK(character_kind(U'日') == CharacterKind::letter);
  CHECK(character_kind(U'½') == CharacterKind::number);
  CHECK(character_kind(U'\u0345') == CharacterKind::none);
  CHECK(character_kind(U'\U0001F600') == CharacterKind::other);
  CHECK(character_kind(U'\0') == CharacterKind::other);
  CHECK(character_kind(char32_t{0x10FFFF}) == CharacterKind::other);
  std::size_t letters = 0;
  for (char32_t c = 0; c < 0x110000; ++c) letters += character_kind(c) == CharacterKind::letter;
  CHECK(letters > 130000);
}

TEST_CASE("unicode: lower case") {
  CHECK(lowered("STRASSE Straße ÀÉÎ ǅ Ω ПРИВЕТ") == "strasse straße àéî ǆ ω привет");
  CHECK(lowered("İ") == "i\u0307");
  CHECK(lowered("ΟΔΟΣ ΣΑΣ") == "οδος σας");
  CHECK(lowered("Σ") == "σ");
  CHECK(lowered("ΑΣ' Α'Σ ΑΣ'Α") == "ας' α'ς ασ'α");  // an apostrophe is looked through
  CHECK(lowered("\U00010400") == "\U00010428");
  CHECK(lower(U"").empty());
}

TEST_CASE("unicode: what is not UTF-8 is replaced as Python does it") {
  const auto decoded = [](std::string_view bytes) { return decode_text(bytes); };
  CHECK(decoded("\xFF") == U"\uFFFD");
  CHECK(decoded("\xC0\xAF") == U"\uFFFD\uFFFD");
  CHECK(decoded("\xE2\x82x") == U"\uFFFDx");
  CHECK(decoded("\xF0\x9F\x98") == U"\uFFFD");
  CHECK(decoded("\xED\xA0\x80") == U"\uFFFD\uFFFD\uFFFD");
  CHECK(decoded("\xF4\x90\x80\x80") == U"\uFFFD\uFFFD\uFFFD\uFFFD");
  CHECK(decoded("\xF1\x80\x80\xF1\x80\xF1") == U"\uFFFD\uFFFD\uFFFD");
  CHECK(decoded("a\xC3") == U"a\uFFFD");
}

TEST_CASE("html: names, numbers, and what is neither") {
  CHECK(unescaped("&lt;b&gt; &amp;amp; &eacute;&Eacute;") == "<b> &amp; éÉ");
  CHECK(unescaped("&notit; &not; &notin; &ampx &copy2") == "¬it; ¬ ∉ &x ©2");
  CHECK(unescaped("&acE; &ThickSpace; &CounterClockwiseContourIntegral;") == "∾̳ \u205F\u200A ∳");
  CHECK(unescaped("&alpha &alpha;") == "&alpha α");
  CHECK(unescaped("&#65;&#x42;&#X43;&#68E") == "ABCDE");
  CHECK(unescaped("&#128; &#x80 &#0; &#xD800; &#1114112; &#99999999999999999999;") ==
        "€ € \uFFFD \uFFFD \uFFFD \uFFFD");
  CHECK(unescaped("a&#11;b&#xFFFE;c&#13;d&#9;") == "abc\rd\t");
  CHECK(unescaped("& && &; &# &#; &#x; &#xg &é; &\t &unknown; &a") ==
        "& && &; &# &#; &#x; &#xg &é; &\t &unknown; &a");
  CHECK(unescaped("&zwnj;&AElig;&zwj;") == "\u200CÆ\u200D");  // first and last of the table
  CHECK(unescaped("&") == "&");
}

TEST_CASE("normalization: composed as unicodedata.normalize does it") {
  const auto nfc = [](std::u32string_view text) { return compose_characters(text); };
  CHECK(nfc(U"").empty());
  CHECK(nfc(U"cafe\u0301") == U"café");
  CHECK(nfc(U"e\u0302\u0301") == U"\u1EBF");  // twice
  CHECK(nfc(U"e\u0323\u0302") == U"\u1EC7");
  CHECK(nfc(U"e\u0302\u0323") == U"\u1EC7");                                  // put in order first
  CHECK(nfc(U"a\u0315\u0300\u05AE\u0300b") == U"\u00E0\u05AE\u0300\u0315b");  // blocked by its like
  CHECK(nfc(U"a\u0327\u0301") == U"\u00E1\u0327");  // not blocked by a lower class
  CHECK(nfc(U"\u0301a") == U"\u0301a");
  CHECK(nfc(U"\u1100\u1161\u11A8 \uAC00\u11A8 \u1100\uAC00") == U"\uAC01 \uAC01 \u1100\uAC00");
  CHECK(nfc(U"\uAC01\uD7A3") == U"\uAC01\uD7A3");
  CHECK(nfc(U"\uAC01\u11A8") == U"\uAC01\u11A8");
  CHECK(nfc(U"\u212B \u2126 \u037E") == U"Å Ω ;");  // singletons
  // Excluded from composing
  CHECK(nfc(U"\u0958 \uFB1D \u2ADC") == U"\u0915\u093C \u05D9\u05B4 \u2ADD\u0338");
  CHECK(nfc(U"\u0344") == U"\u0308\u0301");
  CHECK(nfc(U"\U0001D15E\U00011099\U000110BA") == U"\U0001D157\U0001D165\U0001109A");
  CHECK(nfc(U"\u09C7\u09BE\u0334\u09BE") == U"\u09CB\u0334\u09BE");
}
