#!/usr/bin/env python3
"""Writes UNARY_OP(name, argument, elementwise) for each op of include/tandem/ops that can be called with one tensor alone,
so that the tests which go through all of these need no list. usage: list_unary_ops.py FILE"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
sys.dont_write_bytecode = True
from make_math_index import OPS, Header  # noqa: E402


def parameters(text):
    """The parameters of a function whose text this is, or begins."""
    depth, parts = 0, [""]
    for c in text[text.index("(") + 1:]:
        depth += (c in "([{<") - (c in ")]}>")
        if depth < 0:
            return [" ".join(part.split()) for part in parts]
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return []


def unary_ops():
    for header in (Header(path) for path in sorted(OPS.glob("*.hpp"))):
        public = {name for names, _ in header.entries for name in names}
        for name, _, body in header.functions:
            if name not in public or f"{name}(" not in body:  # a part of an op; made by a macro
                continue
            first, *others = parameters(body[body.index(f"{name}("):])
            one = re.fullmatch(r"const Tensor<T>& (\w+)", first)
            if one and all("=" in other for other in others):
                yield name, one[1], bool(re.search(r"detail::saving_(?:input|output)<", body))


def main():
    found = sorted(set(unary_ops()))
    if not found:
        sys.exit(f"no op of one tensor found in {OPS}")
    pathlib.Path(sys.argv[1]).write_text("".join(
        f"UNARY_OP({name}, {argument}, {'true' if elementwise else 'false'})\n" for name, argument, elementwise in found))


if __name__ == "__main__":
    main()
