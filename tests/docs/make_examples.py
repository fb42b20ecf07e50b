#!/usr/bin/env python3
"""Writes a program of the examples in the `///` comments of all headers: each is a test case, compiled as it stands there.

usage: make_examples.py FOLDER [--no-video]   writes FOLDER/examples_PART.cpp, each of some rooms, where they changed
       make_examples.py --fill PROGRAM        writes what PROGRAM says instead of each `// → ?` (then read it)

What stands behind `// → `, or alone on the next line, is what the expression of that statement, or what it declares, is:
compared with what it prints, white space aside; in round brackets: the shape of a tensor. A remark may follow after two blanks. What an example takes as given
stands in given.txt, under its header's name.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import make_api  # noqa: E402

HEADERS = make_api.HEADERS
GIVEN = pathlib.Path(__file__).with_name("given.txt")
# Program part → its rooms; all else is of the first.
PARTS = {"core": [], "ops": ["ops"], "files": ["io", "image", "clip", "i3d", "flow", "features", "cuda"], "wtal": ["wtal"]}
# Rooms whose comments speak of their own namespace without naming it.
INSIDE = {"cpu": "cpu", "wtal": "wtal", "features": "wtal", "cuda": "tandem", "formula": "tandem"}
RESULT = re.compile(r"\s*// → (.*?)(?:\s{2,}.*)?$")


def all_examples():
    for path in sorted(HEADERS.rglob("*.hpp")):
        name = path.relative_to(HEADERS).as_posix()
        for line, block in make_api.code_blocks(path):
            yield name, line, block


def givens():
    """Header → (note, code at namespace scope, in the function before the example, behind it)."""
    found, name = {}, None
    for number, line in enumerate(GIVEN.read_text().split("\n"), 1):
        if match := re.match(r"// --- (\S+\.hpp)(?: \((.*)\))?$", line):
            name = match[1]
            found[name] = (match[2] or "", [], [], [])
        elif name and line.strip() and not line.startswith("// --- "):
            behind = line.startswith("  after: ")
            found[name][3 if behind else 2 if line.startswith("  ") else 1].extend(
                [f'#line {number} "tests/docs/given.txt"', line.removeprefix("  after: ")])
    return found


def code_only(line):
    """Without a remark at the end, and strings emptied, for what is counted."""
    return re.sub(r"//.*", "", re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)).rstrip()


def declared(statement):
    """The names that a statement declares, or [] when it is an expression."""
    if match := re.match(r"(?:const )?auto&? \[([^\]]*)\] = ", statement):
        return [n.strip() for n in match[1].split(",")]
    match = re.match(r"(?:const )?(?:auto|[\w:]+(?:<[^;={}()]*>)?)[&*]? (\w+)(?: = |\(|\{|;)", statement)
    return [match[1]] if match and match[1] not in ("return",) else []


def statements(name, line, block):
    """C++ of the block: what is declared at namespace scope, what is in the function."""
    outer, inner, pending, depth, where = [], [], [], 0, None
    for offset, text in enumerate(block):
        code = code_only(text)
        top = depth == 0 and not pending
        if top:
            where = outer if re.match(r"\s*(?:template <|struct \w+ |class \w+ |#include)", code) else inner
            where.append(f'#line {line + offset} "include/tandem/{name}"')
        pending.append(text)
        depth += sum(code.count(c) for c in "({[") - sum(code.count(c) for c in ")}]")
        result, at = RESULT.search(text), line + offset
        if not code and result:  # of the statement above, which looked ahead
            pending = []
            continue
        if not result and offset + 1 < len(block) and not code_only(block[offset + 1]):
            result, at = RESULT.match(block[offset + 1]), at + 1
        if not code:
            where.append(text)
            pending = []
            continue
        if result or (depth == 0 and code.endswith((";", "}"))):
            statement = " ".join(code.strip() if not code.strip().startswith("//") else "" for code in
                                 (re.sub(r"\s*// .*", "", p) for p in pending)).strip()
            if not result:
                where += pending
            else:
                expected = result[1].replace("\\", "\\\\").replace('"', '\\"')
                place = f'"{name}:{at}", "{expected}"'
                if names := declared(statement):
                    where += pending
                    where.append(f"::examples::check({place}, {', '.join(names)});")
                else:
                    where.append(f"::examples::check({place}, {statement.rstrip(';')});")
            pending = []
    if pending:
        where += [p for p in pending[:-1]] + [re.sub(r"(\s*//.*)?$", ";", pending[-1], count=1)]
    return outer, inner


def source(part, examples, given, without):
    """The file of a part; `without`: notes of givens whose examples are left out."""
    examples = [e for e in examples if not given.get(e[0], ("",))[0].startswith(without)]
    headers = sorted({name for name, _, _ in examples})
    out = ['#include "examples.hpp"', "#include <fstream>", "#include <iostream>", "#include <numeric>", "#include <thread>", "#include <zlib.h>", '#include "tandem/tandem.hpp"',
           *(f'#include "tandem/{name}"' for name in headers), "",
           "const examples::Scratch scratch;" if part == "files" else ""]
    for name, line, block in examples:
        note, before, inside, behind = given.get(name, ("", [], [], []))
        outer, inner = statements(name, line, block)
        room = name.split("/")[0] if "/" in name else ""
        space = f"example_{re.sub(r'[^a-z0-9]', '_', name)}_{line}"
        inside_of = INSIDE.get(room)
        namespace = f"namespace tandem::{space}" if inside_of == "tandem" else \
            f"namespace tandem::{inside_of}::{space}" if inside_of else f"namespace {space}"
        out += [f"{namespace} {{", "using namespace tandem;" if not inside_of else "", *before, *outer]
        body = ["[[maybe_unused]] Generator random(0);", *inside, "{", *inner, "}", *behind]
        if note.startswith("compiled only"):
            out += ["inline void compiled() {", *body, "}"]
        else:
            out += [f'TEST_CASE("{name}:{line}") {{', *body, "}"]
        out += ["}  // namespace", ""]
    return "\n".join(out) + "\n"


def fill(program):
    text = subprocess.run([program], capture_output=True, text=True).stdout
    for name, line, value in re.findall(r"^FOUND (\S+):(\d+) (.*)$", text, re.M):
        path = HEADERS / name
        lines = path.read_text().split("\n")
        if "// → ?" in lines[int(line) - 1]:
            lines[int(line) - 1] = lines[int(line) - 1].replace("// → ?", f"// → {value}")
            path.write_text("\n".join(lines))
            print(f"{name}:{line}: {lines[int(line) - 1]}")


def main():
    if sys.argv[1] == "--fill":
        fill(sys.argv[2])
        return
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    given = givens()
    by_part = {part: [] for part in PARTS}
    for example in all_examples():
        room = example[0].split("/")[0]
        by_part[next((p for p, rooms in PARTS.items() if room in rooms), "core")].append(example)
    without = ("not compiled", *(["video"] if "--no-video" in sys.argv else []))
    for part, examples in by_part.items():
        path = folder / f"examples_{part}.cpp"
        text = source(part, examples, given, without)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
    print({part: len(examples) for part, examples in by_part.items()})


if __name__ == "__main__":
    main()
