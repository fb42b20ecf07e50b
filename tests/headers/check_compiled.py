#!/usr/bin/env python3
"""Every op is among the templates of tandem::compiled (include/tandem/compiled.hpp), or none over the element type alone, or
left out with a reason (docs/compiled_ops.py); so is every module and optimizer. usage: check_compiled.py"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
sys.dont_write_bytecode = True
from compiled_ops import LEFT_OUT, declarations  # noqa: E402
from make_math_index import OPS, Header  # noqa: E402

CLASSES = {
    "EmaScope": "a scope of a few lines",
    "Evaluating": "a scope of a few lines",
    "Function": "its type is the function that it calls",
    "Matrix": "a handle; Weight is listed",
    "AttendOptions": "a plain struct",
    "Named": "a plain struct",
    "Slot": "a plain struct",
}
text = (ROOT / "include" / "tandem" / "compiled.hpp").read_text()
listed = set(re.findall(r"(\w+)\([\s\\]*const ", text))
classes = set(re.findall(r"class (\w+)<T", text))

wrong, count, left_out = [], 0, 0
for header in (Header(path) for path in sorted(OPS.glob("*.hpp"))):
    for names, _ in header.entries:
        for name in names:
            count, left_out = count + 1, left_out + (name not in listed)
            if name in listed and name in LEFT_OUT:
                wrong.append(f"{name} is left out by docs/compiled_ops.py, but compiled.hpp has it")
            elif name not in listed and name not in LEFT_OUT and declarations(header, name):
                wrong.append(f"{name} is not in compiled.hpp: run make index")
for room in ("nn", "optim"):
    for path in sorted((ROOT / "include" / "tandem" / room).glob("*.hpp")):
        for name in re.findall(r"^template <FloatingElement T[^>]*>\nclass (\w+)[^;]*\{", path.read_text(), re.MULTILINE):
            count, left_out = count + 1, left_out + (name in CLASSES)
            if name not in classes and name not in CLASSES:
                wrong.append(f"{room}::{name} is not in compiled.hpp")
if wrong:
    sys.exit("\n".join(wrong))
print(f"{count - left_out} ops, modules and optimizers are compiled, {left_out} left out for a reason")
