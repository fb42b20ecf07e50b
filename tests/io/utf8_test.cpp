#include "tandem/io/utf8.hpp"

#include <doctest/doctest.h>

#include <string>

using tandem::io::printable;

TEST_CASE("utf8: what a terminal would obey is written out, everything else stays") {
  CHECK(printable("a\x1b[2J\x1b]0;title\x07z") == "a\\x1b[2J\\x1b]0;title\\x07z");
  CHECK(printable("two\nlines\tand\r\x7f") == "two\\nlines\\tand\\r\\x7f");
  CHECK(printable(std::string_view("\0x", 2)) == "\\x00x");
  CHECK(printable("\xc2\x9b"
                  "31m") == "\\x9b31m");  // CSI as one C1 character
  CHECK(printable("caf\xe9 \xff\xc0\x80") == "caf\\xe9 \\xff\\xc0\\x80");  // no UTF-8
  CHECK(printable("\xe2\x80\xaegpj.exe") == "\\u202egpj.exe");  // written from right to left
  CHECK(printable("\xe2\x80\xa8\xe2\x81\xa6") == "\\u2028\\u2066");
  const std::string plain = "v_Straße 東京 \xf0\x9f\x8f\x80 e\xcc\x81 C:\\x [mAP %] \xc2\xa0";
  CHECK(printable(plain) == plain);
  CHECK(printable("").empty());
  CHECK(printable("one\ntwo\x1b\n", true) == "one\ntwo\\x1b\n");
  for (unsigned code = 0; code < 0x110000; code += code < 0x3000 ? 1 : 997) {
    std::string text;
    tandem::io::append_utf8(text, code);
    const std::string shown = printable(text);
    for (const char c : shown) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
        FAIL("a control character is left of ", code);
    }
    CHECK_MESSAGE(printable(shown) == shown, code);
  }
}
