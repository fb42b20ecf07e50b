#!/usr/bin/env python3
"""Writes docs/kernels.md: every CUDA kernel with what it reads and writes, how it is started, its registers and what bounds
it. All of it comes from the sources of kernels/ (signatures, comments, launches) and from docs/ptxas.md.

usage: make_kernels.py [--check]   --check: fails where the page is not what it would be, or a file of kernels does not
say what bounds them
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "kernels.md"
REPOSITORY = "../kernels/"


def split(text, separator=","):
    """At the separators outside of <>, () and {}."""
    parts, depth, part = [], 0, ""
    for c in text:
        depth += (c in "<({") - (c in ">)}")
        if c == separator and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += c
    return [p for p in [*parts, part.strip()] if p]


def comment_above(lines, at):
    """The /// lines directly above line `at`, as one text."""
    found = []
    while at > 0 and (lines[at - 1].startswith("template") or lines[at - 1].startswith("requires")):
        at -= 1
    while at > 0 and lines[at - 1].startswith("///"):
        at -= 1
        found.insert(0, lines[at][3:].strip())
    return " ".join(found)


def head_of(text):
    """The /// lines that open a file."""
    lines = [line for line in text.splitlines() if line != "#pragma once"]
    found = []
    for line in lines:
        if not line.startswith("///"):
            break
        found.append(line[3:].strip())
    return " ".join(found)


def bound_of(head):
    """The sentences of a head that say what bounds the kernels."""
    sentences = re.split(r"(?<=[.;])\s+(?=[A-Z0-9])|(?<=\.)\s{2,}", head)
    return " ".join(s.strip() for s in sentences if re.search(r"\b[Bb]ound (?:outside|by)\b|: bound\b", s))


def arguments_of(text, start):
    """The text between the parenthesis at `start` and its own end."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return text[start + 1:i]
    raise ValueError("a parenthesis does not end")


def operands(arguments):
    """What is read, what is written, and the structures that hold more of either."""
    reads, writes, structures = [], [], []
    for parameter in split(re.sub(r"\s+", " ", arguments)):
        name = re.search(r"(\w+)(?:\[\w*\])?$", parameter)[1]
        pointer_type, const = "*" in parameter, parameter.startswith("const ")
        if pointer_type:
            (reads if const else writes).append(name)
        elif re.match(r"(?:const )?HeadView<", parameter):  # a pointer and its strides
            (reads if "<const " in parameter else writes).append(name)
        elif re.match(r"(?:const )?[A-Z]", parameter) and " " in parameter:
            structures.append(name)
    return reads, writes, structures


def registers():
    """By kernel: (types, registers, threads) of the rows of docs/ptxas.md."""
    found = {}
    for line in (ROOT / "docs" / "ptxas.md").read_text().splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) == 11 and cells[0].endswith("_kernel"):
            found.setdefault(cells[0], []).append((cells[1], cells[5], cells[6]))
    return found


def page():
    sources = {p.name: p.read_text() for p in sorted((ROOT / "kernels").glob("*.cu*"))}
    everything = "\n".join(sources.values())
    compiled, wrong, sections, count = registers(), [], [], 0
    launches = {}
    # Elementwise launches have the formula in their name.
    for m in re.finditer(r'launch\(\s*"([^"]*)",([^;]*);', everything.replace("launch(map_name<F>(),", 'launch("map FORMULA",')):
        for name in re.findall(r"\b(\w+_kernel)<", m[2]):
            if m[1] not in launches.setdefault(name, []):
                launches[name].append(m[1])
    for file, text in sources.items():
        rows = []
        lines = text.splitlines()
        for m in re.finditer(r"__global__\s+void\s+(?:__launch_bounds__\((?:[^()]|\([^()]*\))*\)\s+)?(\w+)\s*\(", text):
            name = m[1]
            reads, writes, structures = operands(arguments_of(text, m.end() - 1))
            at = text[:m.start()].count("\n")
            facts = compiled.get(name, [("", "not compiled here", "—")])  # until make ptxas, which needs nvcc
            if name not in launches:
                wrong.append(f"{file}: {name} has no launch")
                continue
            shown = ", ".join(f"{r} ({types})" if types and len(facts) > 1 else r for types, r, _ in facts)
            threads = ", ".join(dict.fromkeys(t for _, _, t in facts))
            cells = [f"`{name}`", ", ".join(f"`{n}`" for n in launches[name]), ", ".join(reads) or "—",
                     ", ".join(writes) or "—", ", ".join(structures) or "—", threads, shown, "not measured",
                     comment_above(lines, at).replace("|", "\\|")]
            rows.append("| " + " | ".join(cells) + " |")
            count += 1
        if not rows:
            continue
        head = head_of(text)
        bound = bound_of(head)
        if not bound:
            wrong.append(f"kernels/{file}: its first comment does not say what bounds its kernels (\"bound by …\")")
        title = re.split(r"(?<=[.;:])\s", head)[0].replace("|", "\\|")
        sections.append(f"## [{file}]({REPOSITORY}{file})\n\n{title}\n\n**What bounds it**: {bound}\n\n"
                        "| kernel | started as | reads | writes | and what these hold | threads | registers | share of the bound | |\n"
                        "|---|---|---|---|---|---:|---:|---|---|\n" + "\n".join(rows) + "\n")
    if wrong:
        sys.exit("\n".join(wrong))
    return (f"# The {count} kernels\n\nWritten by `python3 docs/make_kernels.py` from the sources of `kernels/` and from "
            "`docs/ptxas.md`; a test holds it against them. *Started as*: the name of the launch, as profilers and errors "
            "have it. *Reads* are the arrays that a kernel is given as const, *writes* the others; some it reads, too, where "
            "it adds to them. Structures (tables of an optimizer's tensors, layouts, formulas with their operands) hold "
            "numbers or more arrays. Threads and registers are those of sm_90, from the least to the most of what is compiled; "
            "*not compiled here* stands where `docs/ptxas.md` does not have the kernel yet, which `make ptxas` writes with nvcc. "
            "*Share of the bound* is what a GPU reached of its memory's or arithmetic's speed: no kernel has been run on one "
            "yet.\n\nMatrix products are cuBLASLt's (`kernels/matmul.cu`) and not listed.\n\n" + "\n".join(sections))


def main():
    text = page()
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.exit("docs/kernels.md is stale: run python3 docs/make_kernels.py")
        print("docs/kernels.md is what the sources say")
    else:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
