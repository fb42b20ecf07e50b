#!/usr/bin/env python3
"""Writes the generated headers of the CLIP tokenizer:

    include/tandem/clip/unicode_tables.hpp   what `regex` and `str.lower` say of each character
    include/tandem/clip/html_entities.hpp    the names of Python's html.entities.html5

    python3 scripts/make_clip_tables.py      # needs regex (PyPI)

Every character is asked, one by one, through the very expressions that the tokenizer of the CLIP
release uses; nothing is taken from a property file. The versions are written into the headers.
"""
import html.entities
import importlib.metadata
import pathlib
import platform
import unicodedata

import regex

OUT = pathlib.Path(__file__).resolve().parents[1] / "include/tandem/clip"
CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
VERSIONS = (f"Python {platform.python_version()} (unicodedata {unicodedata.unidata_version}), "
            f"regex {importlib.metadata.version('regex')}")


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


def html_header():
    names = html.entities.html5
    bare = {name: value for name, value in names.items() if not name.endswith(";")}
    assert all(names[name + ";"] == value for name, value in bare.items())
    entries = []
    for name in sorted(n[:-1] for n in names if n.endswith(";")):
        codes = "+".join(f"{ord(c):X}" for c in names[name + ";"])
        entries.append(f"{name}{'*' if name in bare else '='}{codes}")
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


if __name__ == "__main__":
    unicode_header()
    html_header()
