#!/usr/bin/env python3
"""Writes what lists all ops: docs/math_index.md, every public op with its formula, its gradient, the lines of its
forward and of its backward, its CUDA kernels, its test and its source; the tables of docs/cuda.md, which ops a GPU has for
which element types; include/tandem/ops.hpp, which includes them; and the lists of include/tandem/compiled.hpp. `--check`
fails when one of them differs from the sources, line numbers included, or a cell is empty.
"""

import argparse
import pathlib
import re
import sys

import compiled_ops
import op_parts

ROOT = pathlib.Path(__file__).resolve().parent.parent
OPS = ROOT / "include" / "tandem" / "ops"
TESTS = ROOT / "tests" / "ops"
FORMULAS = ROOT / "include" / "tandem" / "formula"
# Ops whose gradient is that of the members of Tensor that they call, and which of them only make views.
VIEWS = {"chunk": True, "repeat": False, "split": True}
# Ops of which no gradient is asked, and why.
REFUSED = "an input that needs a gradient is refused"
NO_GRADIENT = {"all": "bits have none", "allclose": "the result is no tensor", "any": "bits have none", "argsort": REFUSED,
               "logical_and": "bits have none", "logical_not": "bits have none", "logical_or": "bits have none",
               "multinomial": REFUSED, "one_hot": "ids have none"}
CITATION = re.compile(r"\[([A-Z][^\[\]]*\d{4}[^\[\]]*)\]")


NAMES = re.compile(r"((?:[a-z]\w*, )*[a-z]\w+)(?: — |\s{2,}y)")


def doc_lines(text):
    """The lines of the header's doc comment, up to the first empty one behind which no other op is described."""
    comment = []
    for line in text.splitlines():
        if line.startswith("///"):
            comment.append(line[3:].strip())
        elif comment:
            break
    lines = []
    for line, following in zip(comment, [*comment[1:], ""]):
        if line:
            lines.append(line)
        elif not NAMES.match(following):
            break
    return lines


def entries(lines):
    """What the header's comment describes: ([names], lines) for each "add, sub, mul — …" and the lines under it;
    nothing for a shared piece."""
    found = []
    for line in lines:
        match = NAMES.match(line)
        if match and (found or line is lines[0]):
            found.append((match[1].split(", "), [line]))
        elif found:
            found[-1][1].append(line)
    return found


def functions(text):
    """(name, first line, body) of every function that a line begins, or a macro of this file defines."""
    for match in re.finditer(r"^[A-Z_]+\((\w+), .*\)$", text, re.MULTILINE):
        macro = re.search(rf"#define {match[0].split('(')[0]}\((.*?)\)((?:.*\\\n)*.*)", text)
        if macro:
            body, values = macro[2], match[0][match[0].index("(") + 1:-1].split(", ")
            for parameter, value in zip(macro[1].split(", "), values):
                body = re.sub(rf"\b{parameter}\b", value, body)
            yield match[1], text[: match.start()].count("\n") + 1, body
    for match in re.finditer(r"^(?:requires\(.*\) )?(?:inline )?[\w:]+(?:<[^;{}()]*>)? (?:Tensor<T>::)?(\w+)\(", text, re.MULTILINE):
        end = text.find("\n}", match.start())
        body = text[match.start(): end if end >= 0 else len(text)]
        if "{" in body.split(";")[0]:
            yield match[1], text[: match.start()].count("\n") + 1, body


def tidy(formula):
    return re.sub(r"\s{2,}", "  ", CITATION.sub("", formula)).strip(" .;")


class Header:
    def __init__(self, path):
        self.path, self.text = path, path.read_text()
        self.doc = doc_lines(self.text)
        self.entries = entries(self.doc)
        self.functions = list(functions(self.text))

    def link(self, line):
        return f"[{self.path.name}:{line}](../{self.path.relative_to(ROOT)}#L{line})"

    def named(self, name):
        return [f for f in self.functions if f[0] == name]

    def source(self):
        match = CITATION.search(" ".join(self.doc))
        return match[1] if match else "definition"


GRADIENT = re.compile(r"d\w*[^ ,]*(?: |\[|,).*[=:]|dx is|z = .*dz = ")


def sentence(lines):
    """The first line and those that go on with it."""
    text = lines[0]
    for line in lines[1:]:
        if re.search(r"[.;:\]]$", text) or GRADIENT.match(line) or re.search(r" → |Saves|^\w+: |^[a-zA-Z]\w* \(", line):
            break
        text += " " + line
    return text


def formula(names, lines, name):
    """The first line without the names; of a list with one formula for each name, the name's own."""
    text = tidy(re.sub(r"^(?:\w+, )*\w+(?: — |\s{2,})", "", sentence(lines)))
    if len(names) > 1:
        parts = re.split(r", (?![^()]*\))", text)
        if len(parts) >= len(names):
            return parts[names.index(name)]
    return text


def gradient(lines, name):
    text = "\n".join(lines[1:])
    if own := re.search(rf"\b{name}: (d\w+ = .*?)(?=\s{{2,}}\w+:|$)", text, re.MULTILINE):
        return tidy(own[1])
    for i, line in enumerate(lines[1:], 1):
        if GRADIENT.match(line):
            return tidy(sentence(lines[i:]))
    return ""


def test_of(header, name):
    path = TESTS / f"{header.path.stem}_test.cpp"
    if not path.exists():
        include = f'ops/{header.path.name}"'
        path = next((t for t in sorted(TESTS.glob("*_test.cpp")) if include in t.read_text()), None)
    if path is None:
        return ""
    lines = path.read_text().splitlines()
    cases = [i for i, line in enumerate(lines, 1) if line.startswith("TEST_CASE")]
    line = next((i for i in cases if re.search(rf"\b{name}\b", lines[i - 1])), cases[0] if cases else None)
    return f"[{path.name}:{line}](../tests/ops/{path.name}#L{line})" if line else ""


def kernel_of(op):
    """Links to the kernels of an op, or of those that it is composed of."""
    if op.name in op_parts.VIEWS:
        return "none needed: views"
    return ", ".join(f"[{path.name}:{line}](../kernels/{path.name}#L{line})" for path, line in (
        (path, first_kernel(path)) for path in op.kernel_files())) or "CPU only"


def first_kernel(path):
    return next((i for i, text in enumerate(path.read_text().splitlines(), 1)
                 if re.match(r"__global__|void |\[\[maybe_unused\]\] const bool registered", text)), 1)


def formula_link(struct):
    """Where formula/ has this struct."""
    for path in sorted(FORMULAS.glob("*.hpp")):
        for i, line in enumerate(path.read_text().splitlines(), 1):
            if line == f"struct {struct} {{":
                return f"[{path.name}:{i}](../{path.relative_to(ROOT)}#L{i})"
    return ""


def all_ops():
    described = [Header(path) for path in sorted(OPS.glob("*.hpp"))]
    return op_parts.Ops([*described, *(Header(path) for path in sorted((OPS / "parts").glob("*.hpp")))], described)


def backward(ops, name):
    """Where the gradient of an op is, what it is composed of, or why there is none."""
    op = ops[name]
    if name in NO_GRADIENT:
        return f"none: {NO_GRADIENT[name]}"
    if isinstance(op.own, str):
        return formula_link(op.own)
    if op.own:
        return op.own[0].link(op.own[1])
    if name in VIEWS:
        return "that of its views" if VIEWS[name] else "that of its views and copies"
    if parts := [part for part in op.composed() if has_gradient(ops, part)]:
        return "composed of " + op_parts.list_of([f"`{part}`" for part in parts])
    return f"none: {REFUSED}" if op.refuses else ""


def has_gradient(ops, name):
    return name not in NO_GRADIENT and not backward(ops, name).startswith("none")


def rows():
    ops = all_ops()
    for header, names, lines in ((h, *entry) for h in dict.fromkeys(ops.public.values()) for entry in h.entries):
        for name in names:
            defined = header.named(name)
            # The overload that does the work is the longest.
            forward = max(defined, key=lambda f: len(f[2]))[1] if defined else None
            cell = backward(ops, name)
            yield {
                "op": f"`{name}`",
                "formula": formula(names, lines, name),
                "gradient": "–" if cell.startswith("none") else gradient(lines, name),
                "forward": header.link(forward) if forward else "",
                "backward": cell,
                "kernel": kernel_of(ops[name]),
                "test": test_of(header, name),
                "source": header.source(),
            }


def page():
    out = ["# Math index", "",
           "Generated by `make index` (`docs/make_math_index.py`); the test suite fails while it is stale.", ""]
    empty, count = [], 0
    for row in rows():
        if count == 0:
            out += ["| " + " | ".join(row) + " |", "|" + "---|" * len(row)]
        count += 1
        out.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row.values()) + " |")
        empty += [f"{row['op']}: no {name}" for name, cell in row.items() if not cell]
    return "\n".join(out) + "\n", empty


def cuda_page():
    """docs/cuda.md with its tables of ops written anew, between two headings."""
    ops = all_ops()
    there, missing = {}, {}
    for name in ops.public:
        types, all_types = ops[name].gpu_types(), ops[name].cpu_types()
        if types:
            there.setdefault(types, []).append(name)
        if lacking := tuple(t for t in all_types if t not in types):
            missing.setdefault(() if lacking == all_types else lacking, []).append(name)

    def types_text(types):
        lacking = [t for t in op_parts.TYPES if t not in types]
        return "every one" if not lacking else "every one but " + lacking[0] if len(lacking) == 1 else op_parts.list_of(types)

    def listed(names):
        return ", ".join(f"`{name}`" for name in sorted(names))

    def files(path):
        return sorted({type_ for file, types in op_parts.registered().values() if file.stem == path for type_ in types},
                      key=op_parts.TYPES.index)

    lines = ["Written by `make index` from the headers of the ops and from what `kernels/` registers.", "",
             "| element types | ops on a GPU |", "|---|---|"]
    for types in sorted(there, key=lambda types: (-len(types), [op_parts.TYPES.index(t) for t in types])):
        lines.append(f"| {types_text(types)} | {listed(there[types])} |")
    lines += ["", "What the CPU computes and a GPU does not; there an op says so in a sentence:", "",
              "| element types | ops on the CPU only |", "|---|---|"]
    for types in sorted(missing, key=lambda types: (bool(types), -len(types), types)):
        lines.append(f"| {op_parts.list_of(types) or 'all'} | {listed(missing[types])} |")
    lines += ["", "Kernels that are no op's:", "", "| kernels | called from | element types |", "|---|---|---|"]
    for stem, caller in sorted(op_parts.KERNELS_OF.items()):
        if types := files(stem):
            lines.append(f"| `{stem}` | `{caller}` | {op_parts.list_of(types)} |")
    text = (ROOT / "docs" / "cuda.md").read_text()
    begin, end = text.index("\n### Ops\n\n"), text.index("\n### Beside the ops\n")
    return text[:begin] + "\n### Ops\n\n" + "\n".join(lines) + "\n" + text[end:]


def umbrella():
    return "#pragma once\n/// Every op. Generated by docs/make_math_index.py.\n\n" + "".join(
        f'#include "tandem/ops/{path.name}"\n' for path in sorted(OPS.glob("*.hpp")))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 when stale")
    check = parser.parse_args().check
    text, empty = page()
    if empty:
        print("docs/math_index.md has empty cells: " + "; ".join(empty), file=sys.stderr)
    failed = bool(empty)
    for name, content in (("docs/math_index.md", text), ("docs/cuda.md", cuda_page()),
                          ("include/tandem/ops.hpp", umbrella()),
                          ("include/tandem/compiled.hpp", compiled_ops.updated(all_ops()))):
        target = ROOT / name
        if target.exists() and target.read_text() == content:
            continue
        if check:
            print(f"{name} is stale: run make index", file=sys.stderr)
            failed = True
        else:
            target.write_text(content)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
