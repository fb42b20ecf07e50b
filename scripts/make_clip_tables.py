#!/usr/bin/env python3
"""Writes the generated headers of the CLIP tokenizer:

    include/tandem/clip/unicode_tables.hpp   what `regex` and `str.lower` say of each character
    include/tandem/clip/html_entities.hpp    the names of Python's html.entities.html5
    include/tandem/clip/text_tables.hpp      what ftfy.fix_text replaces and removes
    include/tandem/clip/normalization_tables.hpp     what normalization (NFC) must know of each character

    python3 scripts/make_clip_tables.py      # needs regex and ftfy (PyPI)
    make format

Every character is asked, one by one, through the very expressions and functions that the tokenizer of
the CLIP release uses; nothing is taken from a property file. The versions are written into the headers.
"""
import html.entities
import importlib.metadata
import pathlib
import platform
import re
import unicodedata

import ftfy.chardata
import ftfy.fixes
import regex

OUT = pathlib.Path(__file__).resolve().parents[1] / "include/tandem/clip"
CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
VERSIONS = (f"Python {platform.python_version()} (unicodedata {unicodedata.unidata_version}), "
            f"regex {importlib.metadata.version('regex')}, ftfy {importlib.metadata.version('ftfy')}")


def properties():
    """code → kind (0 … 4) | cased << 3 | ignorable << 4, as unicode_tables.hpp explains."""
    space, letter, number, other = (regex.compile(p, regex.IGNORECASE) for p in (
        r"\s", r"[\p{L}]+", r"[\p{N}]", r"[^\s\p{L}\p{N}]+"))
    table = {}
    for code in CHARACTERS:
        c = chr(code)
        kinds = [kind for kind, p in enumerate((space, letter, number, other), 1) if p.fullmatch(c)]
        assert len(kinds) <= 1, hex(code)
        assert kinds == [1] or c.strip() == c or 0x1C <= code <= 0x1F, hex(code)
        # str.lower() makes a capital sigma final where the nearest character before it that is not
        # case-ignorable is cased, and the nearest one after it is not.
        cased = (c + "\u03a3").lower().endswith("\u03c2")
        ignorable = not cased and ("A" + c + "\u03a3").lower().endswith("\u03c2")
        table[code] = (kinds[0] if kinds else 0) | cased << 3 | ignorable << 4
    return table


def runs(table):
    """[code of the first character << 8 | properties] wherever the properties change."""
    out, last = [], None
    for code in CHARACTERS:
        if table[code] != last:
            out.append(code << 8 | table[code])
            last = table[code]
    return out


def lower_runs():
    """[(first, last, step, delta)]: first, first + step, … last become themselves + delta."""
    mapped = {c: ord(low) - c for c in CHARACTERS
              if len(low := chr(c).lower()) == 1 and ord(low) != c}
    longer = {c: chr(c).lower() for c in CHARACTERS if len(chr(c).lower()) > 1}
    assert longer == {0x130: "i\u0307"}, longer
    out, left = [], dict(mapped)
    while left:
        first = min(left)
        delta = left[first]

        def reach(step):
            last = first
            while left.get(last + step) == delta:
                last += step
            return last
        step = 1 if reach(1) > first or reach(2) == first else 2
        last = reach(step)
        for c in range(first, last + 1, step):
            del left[c]
        out.append((first, last, step, delta))
    check = {c: c + d for f, l, s, d in out for c in range(f, l + 1, s)}
    assert check == {c: c + d for c, d in mapped.items()}
    # The run of a character is the last one that does not begin after it.
    assert all(a[1] < b[0] for a, b in zip(out, out[1:]))
    return out


def lines(items, width=98):
    out, line = [], ""
    for item in items:
        if len(line) + len(item) + 1 > width:
            out.append(line.rstrip())
            line = ""
        line += item + " "
    return "\n".join("    " + text for text in [*out, line.rstrip()])


def write(name, text):
    path = OUT / name
    path.write_text(text)
    print(f"{path}: {len(text)} bytes, {text.count(chr(10))} lines")


def unicode_header():
    table = runs(properties())
    lower = lower_runs()
    write("unicode_tables.hpp", f"""\
#pragma once
/// What the tokenizer must know of each Unicode character. Written by scripts/make_clip_tables.py
/// with {VERSIONS}; do not edit.

#include <cstdint>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {{
namespace detail {{

/// Runs of characters that are alike: code of the first << 8 | properties. The properties are
///   bits 0–2  1: \\s, 2: [\\p{{L}}], 3: [\\p{{N}}], 4: [^\\s\\p{{L}}\\p{{N}}], 0: none of them, as the module
///             `regex` finds with IGNORECASE (U+0345, whose upper case is a letter, matches nothing)
///   bit 3     cased and not case-ignorable, bit 4: case-ignorable, for the final sigma of str.lower
inline constexpr std::uint32_t character_runs[] = {{
{lines([f"0x{r:X}," for r in table], 94)}
}};

/// str.lower(): first, first + step, … last become themselves + delta. U+0130 and sigma are the
/// code's affair (unicode.hpp).
struct LowerRun {{
  std::uint32_t first, last;
  std::int32_t step, delta;
}};
inline constexpr LowerRun lower_runs[] = {{
{lines([f"{{0x{f:X}, 0x{l:X}, {s}, {d}}}," for f, l, s, d in lower], 94)}
}};

}}  // namespace detail
}}  // namespace clip
TANDEM_NAMESPACE_END
""")


def codes(text):
    return "+".join(f"{ord(c):X}" for c in text)


def capital_entities():
    """What ftfy's table of entities has besides html5's: all of them names in capitals."""
    ours = {f"&{name}": value for name, value in html.entities.html5.items() if name.endswith(";")}
    more = {name[1:-1]: value for name, value in ftfy.chardata.HTML_ENTITIES.items() if name not in ours}
    assert all(ftfy.chardata.HTML_ENTITIES[name] == value for name, value in ours.items())
    assert all(name == name.upper() for name in more)
    return sorted(more.items())


def html_header():
    names = html.entities.html5
    bare = {name: value for name, value in names.items() if not name.endswith(";")}
    assert all(names[name + ";"] == value for name, value in bare.items())

    entries = [f"{name}{'*' if name in bare else '='}{codes(names[name + ';'])}"
               for name in sorted(n[:-1] for n in names if n.endswith(";"))]
    longest = max(map(len, bare))
    write("html_entities.hpp", f"""\
#pragma once
/// The names of HTML5's characters. Written by scripts/make_clip_tables.py from html.entities of
/// {VERSIONS}; do not edit.

#include <cstddef>
#include <string_view>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {{
namespace detail {{

/// Sorted entries "name=codes " or, where the name also counts without a semicolon, "name*codes ";
/// codes are hexadecimal and joined by "+".
inline constexpr std::string_view html_entities = R"(
{lines(entries, 96).replace("    ", "")}
)";
/// Letters of the longest name that needs no semicolon.
inline constexpr std::size_t longest_bare_entity = {longest};

}}  // namespace detail
}}  // namespace clip
TANDEM_NAMESPACE_END
""")


def replacements():
    """code → what ftfy makes of the character alone: Windows-1252 for C1, ligatures, widths, quotes, line breaks."""
    out = {}
    for code in CHARACTERS:
        c = text = chr(code)
        for fix in (ftfy.fixes.fix_c1_controls, ftfy.fixes.fix_latin_ligatures, ftfy.fixes.fix_character_width,
                    ftfy.fixes.uncurl_quotes, ftfy.fixes.fix_line_breaks):
            text = fix(text)
        if text != c:
            out[code] = text
    return out


def removed():
    """The characters that ftfy removes, as runs (first, last)."""
    codes = [code for code in CHARACTERS if ftfy.fixes.remove_control_chars(chr(code)) == ""]
    assert all(len(ftfy.fixes.remove_control_chars(chr(code))) <= 1 for code in CHARACTERS)
    out = []
    for code in codes:
        if out and out[-1][1] == code - 1:
            out[-1][1] = code
        else:
            out.append([code, code])
    return out


def hangul(code):
    return 0xAC00 <= code < 0xAC00 + 11172


def decompositions():
    """(code, composes, parts): canonical decompositions of one step, and whether the parts become the code again."""
    out = []
    for code in CHARACTERS:
        parts = unicodedata.decomposition(chr(code)).split()
        if not parts or parts[0].startswith("<") or hangul(code):
            continue
        assert len(parts) <= 2
        text = "".join(chr(int(part, 16)) for part in parts)
        composes = len(parts) == 2 and unicodedata.normalize("NFC", text) == chr(code)
        out.append((code, composes, [int(part, 16) for part in parts]))
    assert all(code >= 0x300 or composes for code, composes, _ in out)
    return out


def class_runs():
    """[code of the first character << 8 | combining class] wherever the class changes."""
    out, last = [], None
    for code in CHARACTERS:
        now = unicodedata.combining(chr(code))
        if now != last:
            out.append(code << 8 | now)
            last = now
    return out


def decimal_zeros():
    """The zeros of the decimal digits, which are what \\d finds; each is followed by its nine others."""
    zeros = [code for code in CHARACTERS if unicodedata.decimal(chr(code), None) == 0]
    digits = {code for code in CHARACTERS if re.fullmatch(r"\d", chr(code))}
    assert digits == {zero + i for zero in zeros for i in range(10)}
    return zeros


def text_header():
    parts = [f"{code:X}{'*' if composes else '='}{'+'.join(f'{part:X}' for part in parts)}"
             for code, composes, parts in decompositions()]
    replaced = [f"{code:X}={codes(text)}" for code, text in replacements().items()]
    capitals = [f"{name}={codes(value)}" for name, value in capital_entities()]
    write("normalization_tables.hpp", f"""\
#pragma once
/// What normalization (NFC) must know of each character. Written by scripts/make_clip_tables.py
/// with {VERSIONS}; do not edit.

#include <cstdint>
#include <string_view>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {{
namespace detail {{

/// Canonical decompositions of one step, without Hangul: "code*first+second " where NFC composes the two
/// again, "code=first " or "code=first+second " where it does not. Hexadecimal, sorted.
inline constexpr std::string_view decompositions = R"(
{lines(parts, 96).replace("    ", "")}
)";
/// Runs of characters of one combining class: code of the first << 8 | class.
inline constexpr std::uint32_t combining_runs[] = {{
{lines([f"0x{r:X}," for r in class_runs()], 94)}
}};

}}  // namespace detail
}}  // namespace clip
TANDEM_NAMESPACE_END
""")

    write("text_tables.hpp", f"""\
#pragma once
/// What the cleaning of texts must know of each character. Written by scripts/make_clip_tables.py
/// with {VERSIONS}; do not edit.

#include <cstdint>
#include <string_view>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace clip {{
namespace detail {{

/// What ftfy.fix_text makes of single characters, "code=codes ": C1 controls are Windows-1252, ligatures and
/// other widths become plain, quotes straight, line breaks U+000A.
inline constexpr std::string_view replaced_characters = R"(
{lines(replaced, 96).replace("    ", "")}
)";
/// Characters that it removes: first and last of each run.
inline constexpr std::uint32_t removed_characters[][2] = {{
{lines([f"{{0x{a:X}, 0x{b:X}}}," for a, b in removed()], 94)}
}};
/// Entities in capitals that it reads besides those of HTML5, "&NTILDE;", as in html_entities.hpp.
inline constexpr std::string_view html_entities_in_capitals = R"(
{lines(capitals, 96).replace("    ", "")}
)";
/// The zeros of all decimal digits; nine more digits follow each.
inline constexpr std::uint32_t decimal_zeros[] = {{
{lines([f"0x{z:X}," for z in decimal_zeros()], 94)}
}};

}}  // namespace detail
}}  // namespace clip
TANDEM_NAMESPACE_END
""")


if __name__ == "__main__":
    unicode_header()
    html_header()
    text_header()
