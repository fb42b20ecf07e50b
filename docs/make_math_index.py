#!/usr/bin/env python3
"""Writes what lists all ops: docs/math_index.md, every public op with its formula, its gradient, the lines of its
forward and of its backward, its CUDA kernel, its test and its source; and include/tandem/ops.hpp, which includes them.
`--check` fails when one of the two differs from the sources, line numbers included, or a cell is empty.
"""

import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OPS = ROOT / "include" / "tandem" / "ops"
TESTS = ROOT / "tests" / "ops"
KERNELS = ROOT / "kernels"
FORMULAS = ROOT / "include" / "tandem" / "formula"
# Op → the kernel file of another stem, of the ops that it is made of.
KERNEL_OF = {"all": "max", "allclose": "compare", "any": "max", "argmax": "max", "argmin": "max", "argsort": "topk",
             "avg_pool1d": "avg_pool3d", "avg_pool2d": "avg_pool3d", "biased_attention": "softmax", "cat": "copy",
             "conv1d": "conv3d", "conv2d": "conv3d", "cosine_similarity": "normalize", "embedding": "index_select",
             "flip": "index_select", "group_norm": "layer_norm", "huber_loss": "clamp", "interpolate": "index_select",
             "isfinite": "compare", "isinf": "compare", "isnan": "compare", "kl_div": "where", "l1_loss": "abs",
             "masked_fill": "where", "max_pool1d": "max_pool3d", "max_pool2d": "max_pool3d", "mean": "sum", "min": "max",
             "nll_loss": "gather", "norm": "normalize", "one_hot": "compare", "pad": "copy", "repeat": "copy",
             "rms_norm": "square", "roll": "copy", "rotary": "arithmetic", "scatter_add": "gather", "smooth_l1_loss":
             "clamp", "sort": "topk", "stack": "copy", "stddev": "sum", "tril": "where", "triu": "where", "var": "sum"}
# Ops whose gradient is that of the members of Tensor that they call, and which of them only make views.
VIEWS = {"chunk": True, "repeat": False, "split": True}
# Ops of which no gradient is asked, and why.
REFUSED = "an input that needs a gradient is refused"
NO_GRADIENT = {"all": "bits have none", "allclose": "the result is no tensor", "any": "bits have none", "argsort": REFUSED,
               "multinomial": REFUSED, "one_hot": "ids have none"}
CITATION = re.compile(r"\[([A-Z][^\[\]]*\d{4}[^\[\]]*)\]")


def doc_lines(text):
    """The lines of the header's doc comment, up to the first empty one."""
    lines = []
    for line in text.splitlines():
        if line.startswith("///"):
            if not line[3:].strip():
                break
            lines.append(line[3:].strip())
        elif lines:
            break
    return lines


def entries(lines):
    """What the header's comment describes: ([names], lines) for each "add, sub, mul — …" and the lines under it;
    nothing for a shared piece."""
    found = []
    for line in lines:
        match = re.match(r"((?:[a-z]\w*, )*[a-z]\w+)(?: — |\s{2,}y)", line)
        if match and (found or line is lines[0]):
            found.append((match[1].split(", "), [line]))
        elif found:
            found[-1][1].append(line)
    return found


def functions(text):
    """(name, first line, body) of every function that a line begins, or a macro of this file defines."""
    for match in re.finditer(r"^[A-Z_]+\((\w+), .*\)$", text, re.MULTILINE):
        macro = text.find(f"#define {match[0].split('(')[0]}(")
        end = re.search(r"[^\\]\n", text[macro:])
        if macro >= 0:
            yield match[1], text[: match.start()].count("\n") + 1, text[macro: macro + end.start()]
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
        parts = text.split(", ")
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


def backward_of(headers, header, name, depth=0, seen=()):
    """Where the gradient of a function is: the lambda it records, or that of the function it calls."""
    for _, start, body in header.named(name):
        if gradient := re.search(r"saving_(?:input|output)<formula::(\w+)>|, formula::(\w+Gradient)<", body):
            return header, gradient[1] or gradient[2]
        recorded = re.search(r"record(?:_list)?\(|RecordedOp", body)
        if recorded:
            entry = re.search(r"\]\s*\(const (?:Tensor|std::vector)", body[recorded.start():])
            offset = recorded.start() + (entry.start() if entry else 0)
            return header, start + body[:offset].count("\n")
    if depth > 4:
        return None
    for _, _, body in header.named(name):
        for callee in re.findall(r"(?<!Limits::)\b(\w+)(?:<[-\w, ]+>)?\(", body):  # std::numeric_limits' max is no op
            if callee in (name, "to") or callee in seen:
                continue
            for other in [header] + [h for h in headers if h is not header]:
                if other.named(callee) and (found := backward_of(headers, other, callee, depth + 1, (*seen, name))):
                    return found
    return None


def refuses(headers, header, name):
    """Whether a function, or one that it calls, throws when an input needs a gradient."""
    bodies = [body for _, _, body in header.named(name)]
    for callee in {c for body in bodies for c in re.findall(r"\bdetail::(\w+)(?:<[^;()]*>)?\(", body)}:
        bodies += [body for h in headers for _, _, body in h.named(callee)]
    return any("refuse_grad" in body for body in bodies)


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


def kernel_of(name, stem):
    if VIEWS.get(name):
        return "none needed: views"
    path = KERNELS / f"{KERNEL_OF.get(name, name if (KERNELS / f'{name}.cu').exists() else stem)}.cu"
    if not path.exists():
        return "CPU only"
    lines = path.read_text().splitlines()
    line = next((i for i, text in enumerate(lines, 1)
                 if re.match(r"__global__|void |\[\[maybe_unused\]\] const bool registered", text)), 1)
    return f"[{path.name}:{line}](../kernels/{path.name}#L{line})"


def formula_link(struct):
    """Where formula/ has this struct."""
    for path in sorted(FORMULAS.glob("*.hpp")):
        for i, line in enumerate(path.read_text().splitlines(), 1):
            if line == f"struct {struct} {{":
                return f"[{path.name}:{i}](../{path.relative_to(ROOT)}#L{i})"
    return ""


def rows():
    ops = [Header(path) for path in sorted(OPS.glob("*.hpp"))]
    headers = ops + [Header(path) for path in sorted((OPS / "parts").glob("*.hpp"))]
    for header, names, lines in ((h, *entry) for h in ops for entry in h.entries):
        for name in names:
            defined = header.named(name)
            # The overload that does the work is the longest.
            forward = max(defined, key=lambda f: len(f[2]))[1] if defined else None
            found = backward_of(headers, header, name)
            if found and isinstance(found[1], str):
                backward = formula_link(found[1])
            elif name in NO_GRADIENT:
                backward = f"none: {NO_GRADIENT[name]}"
                found = None
            elif found:
                backward = found[0].link(found[1])
            elif name in VIEWS:
                backward = "that of its views" if VIEWS[name] else "that of its views and copies"
            else:
                backward = f"none: {REFUSED}" if refuses(headers, header, name) else ""
            yield {
                "op": f"`{name}`",
                "formula": formula(names, lines, name),
                "gradient": "–" if name in NO_GRADIENT else gradient(lines, name) or ("" if found else "–"),
                "forward": header.link(forward) if forward else "",
                "backward": backward,
                "kernel": kernel_of(name, header.path.stem),
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
    for name, content in (("docs/math_index.md", text), ("include/tandem/ops.hpp", umbrella())):
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
