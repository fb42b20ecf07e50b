#!/usr/bin/env python3
"""The functions of tandem::compiled have the same symbols with two compilers, so that a library which one has built links
into the other's program: points at each function that compiled.hpp lists, and compares what the objects have undefined.
usage: check_symbols.py COMPILER COMPILER"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
text = re.sub(r"//.*", "", (ROOT / "include" / "tandem" / "compiled.hpp").read_text()).replace("\\\n", " ")
text = text[text.index("TANDEM_NAMESPACE_BEGIN"):]
FUNCTION = re.compile(r"TANDEM_[A-Z]+\s+([\w:<>,\s]+?)\s(\w+)\(([^()]*)\);")
count, source = 0, ['#include "tandem/compiled.hpp"', "TANDEM_NAMESPACE_BEGIN"]


def point_at(declarations, element):
    """A pointer to each function, for one element type."""
    global count
    for result, name, arguments in FUNCTION.findall(re.sub(r"\bT\b", element, declarations)):
        if not result.startswith("class"):
            count += 1
            source.append(f"{result} (*pointer{count})({arguments}) = &{name};")


macro = ""
for line in text.splitlines() + ["}"]:
    if line.startswith("#define"):
        macro = line.split(")", 1)[1]
    elif call := re.fullmatch(r"TANDEM_\w+_TEMPLATES\(([\w:]+)\)", line):
        point_at(macro, call[1])
    elif line.startswith(("namespace ", "}")):
        source.append(line)
        plain = ""
    elif not line.startswith("#"):
        plain = plain + " " + line if "plain" in globals() else line
        if plain.endswith(";"):
            point_at(plain, "float")
            plain = ""
source[-1] = "TANDEM_NAMESPACE_END"

undefined = []
with tempfile.TemporaryDirectory() as scratch:
    file, made = pathlib.Path(scratch) / "pointers.cpp", pathlib.Path(scratch) / "pointers.o"
    file.write_text("\n".join(source) + "\n")
    for compiler in sys.argv[1:3]:
        subprocess.run([compiler, "-std=c++20", "-O0", "-I", ROOT / "include", "-c", file, "-o", made], check=True)
        listed = subprocess.run(["nm", "-u", made], check=True, capture_output=True, text=True).stdout
        undefined.append({symbol for symbol in listed.split() if "tandem" in symbol})
wrong = [f"only {compiler} has {symbol}" for compiler, mine, other in zip(sys.argv[1:3], undefined, reversed(undefined))
         for symbol in sorted(mine - other)]
if count < 100 or len(undefined[0]) < count:
    wrong.append(f"{count} functions are listed, {len(undefined[0])} symbols are undefined")
print("\n".join(wrong) or f"{count} functions have the same symbols")
sys.exit(1 if wrong else 0)
