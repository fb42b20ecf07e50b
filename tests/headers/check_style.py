#!/usr/bin/env python3
"""What no compiler holds: every header says first what it is, standard names have their std::, lines have 100 columns, and
the files of ops and kernels are named as docs/architecture.md says. usage: check_style.py"""

import pathlib
import re
import sys
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
sys.dont_write_bytecode = True
import cpp_comments  # noqa: E402
from make_math_index import Header  # noqa: E402
from op_parts import KERNELS_OF  # noqa: E402

HEADERS = ROOT / "include" / "tandem"
MANY_TIMES = {"cpu/gemm_micro_body.hpp"}  # included once for each instruction set, empty on its own
FAMILIES = {  # headers of several ops that share all but one expression or one layout
    "arithmetic": ["add", "sub", "mul", "div", "neg"],
    "attention": ["scaled_dot_product_attention", "self_attention"],
    "compare": ["eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_not"],
}
SOURCES = ("include", "kernels", "src", "examples", "tests", "benchmarks")
COLUMNS = 100  # characters, not bytes; a mark over a letter (x̂) takes no column
LONGER = {  # files with longer lines
    "include/tandem/clip/config_rules.hpp": "a table, as JSON",
    "include/tandem/tensor/config.hpp": "sentences of a static_assert",
    "tests/examples/evaluate_test.cpp": "JSON",
    "tests/examples/option_table_test.cpp": "JSON",
    "tests/fuzz/targets_annotations.cpp": "JSON",
    "tests/fuzz/targets_io.cpp": "JSON",
    "tests/fuzz/targets_weights.cpp": "JSON",
    "tests/wtal/datasets_test.cpp": "JSON",
    "tests/wtal/weak_labels_test.cpp": "JSON",
}
# Comments of these are still longer.
UNWRAPPED = {"include/tandem/cuda/host_copy.hpp", "include/tandem/cuda/kernel.hpp", "include/tandem/wtal/train/trainer.hpp"}
BARE = re.compile(r"(?<![\w:.>])(?:u?int(?:8|16|32|64)_t|size_t|ptrdiff_t|u?intptr_t|(?:move|exchange)(?=\())\b")

wrong = []
for header in sorted(HEADERS.rglob("*.hpp")):
    name = header.relative_to(HEADERS).as_posix()
    first, second = header.read_text().split("\n", 2)[:2]
    if name not in MANY_TIMES and (first != "#pragma once" or not re.match(r"/// \S", second)):
        wrong.append(f"include/tandem/{name}: expected #pragma once and a line /// that says what the header is")

long_files = set()
for top in SOURCES:
    for source in sorted((ROOT / top).rglob("*")):
        if source.suffix not in (".hpp", ".cpp", ".cu", ".cuh", ".h"):
            continue
        name = source.relative_to(ROOT).as_posix()
        for number, line in enumerate(source.read_text().split("\n"), 1):
            if sum(not unicodedata.combining(c) for c in line) > COLUMNS:
                long_files.add(name)
                if name not in LONGER and name not in UNWRAPPED:
                    wrong.append(f"{name}:{number}: longer than {COLUMNS} columns")
            code = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
            for bare in BARE.findall(code) if source.suffix != ".h" else ():
                wrong.append(f"{source.relative_to(ROOT)}:{number}: {bare} without std::")

# Every op is one that its header's first lines describe, so that docs/math_index.md has a row for it.
wrong += [f"{name} is listed with longer lines, but has none" for name in sorted(LONGER.keys() - long_files)]

for header in (Header(path) for path in sorted((HEADERS / "ops").glob("*.hpp"))):
    described = [name for names, _ in header.entries for name in names]
    expected = FAMILIES.get(header.path.stem, [header.path.stem])
    if described[:len(expected)] != expected:
        wrong.append(f"ops/{header.path.name}: expected to open with /// {', '.join(expected)} —")
    public = {d.name for d in cpp_comments.header_of(header.path, header.path.name).found if d.kind == "function"}
    wrong += [f"ops/{header.path.name}: {name} is not among the names that its first lines describe"
              for name in sorted(public - set(described)) if not name.startswith("operator")]

for kernel in sorted((ROOT / "kernels").glob("*.cu")):
    stem = kernel.stem.removesuffix("_mma")  # tensor cores' kernels of the same op
    caller = KERNELS_OF.get(stem, f"ops/{stem}.hpp")
    if not (HEADERS / caller).is_file():
        wrong.append(f"kernels/{kernel.name}: there is no include/tandem/{caller}")

# The table of the other kernels in docs/architecture.md.
table = re.findall(r"^\| `([\w/]+)/` \| ((?:`\w+`(?:, )?)+) \|$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
told = {name: folder for folder, names in table for name in re.findall(r"\w+", names)}
for name in sorted(KERNELS_OF.keys() | told.keys()):
    folder = KERNELS_OF.get(name, "").rpartition("/")[0]
    if told.get(name, "") != folder:
        wrong.append(f"docs/architecture.md: kernels/{name}.cu is called from {folder or 'no'}/, the table says {told.get(name, 'nothing')}")

if wrong:
    sys.exit("\n".join(wrong))
print("headers open with what they are, standard names have std::, ops and kernels their stems")
