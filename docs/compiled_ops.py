"""The lists of ops in include/tandem/compiled.hpp, for make_math_index.py: an op that is in none of them is added to that of
its family, and one that is no longer there is taken out. What is listed is every overload that is a template over the element
type alone, so that it can be instantiated for float and double.
"""

import pathlib
import re

import op_parts

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE = ROOT / "include" / "tandem" / "compiled.hpp"
# Family of ops (op_parts.family) → the list for what is added.
LISTS = {"elementwise": "ELEMENTWISE", "indexing": "SELECTIONS", "losses": "ROWS", "products": "PRODUCTS",
         "reductions": "REDUCTIONS"}
WIDTH = 100
# Ops that could be listed and are not.
LEFT_OUT = {
    "fold_batch_norm": "called once when a model is loaded",
    "one_hot": "the caller names its type; it has no loops",
}


def split(text):
    """At the commas outside of brackets."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "<({[") - (c in ">)}]")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts if part.strip()]


def parameter_type(text):
    """Of one parameter, without its name and default."""
    text = re.sub(r"\s+", " ", re.split(r"(?<![<>=!])=", text)[0]).strip()
    return re.sub(r"(?<=[&*> ])\s*\w+$", "", text).strip() if re.search(r"[&*> ]\w+$", text) else text


def declarations(header, name):
    """The overloads of an op over its element type alone: "Tensor<T> exp(const Tensor<T>&)"."""
    found = []
    lines = header.text.splitlines()
    for start, body in ((line, body) for _, line, body in header.named(name)):
        before, above = "\n".join(lines[:start]), lines[start - 2]
        if before.count("namespace detail {") > before.count("}  // namespace detail"):
            continue
        parameters = re.fullmatch(r"template <(\w+) T>", above)
        begin = re.search(rf"([\w:]+(?:<[^;{{}}()]*>)?) {name}\(", body)
        if not parameters or not begin:
            continue
        inside, depth = "", 1
        for c in body[begin.end():]:
            depth += (c == "(") - (c == ")")
            if depth == 0:
                break
            inside += c
        found.append((begin[1], name, [parameter_type(p) for p in split(inside)]))
    return found


def written(word, declaration):
    """Its lines, as clang-format breaks them."""
    result, name, types = declaration
    head = f"  TANDEM_{word} {result} {name}("
    indent, lines, line = " " * len(head), [], head
    for i, type_ in enumerate(types):
        piece = type_ + ("," if i + 1 < len(types) else ");")
        if line.strip() and line != head and len(line) + 1 + len(piece) > WIDTH - 2:
            lines.append(line)
            line = indent + piece
        else:
            line += ("" if line == head else " ") + piece
    return [*lines, line if types else head + ");"]


def updated(ops):
    """The text of compiled.hpp with every op in a list."""
    lines = FILE.read_text().split("\n")
    listed = set(re.findall(r"(\w+)\([\s\\]*(?:const |Tensor)", FILE.read_text()))
    for header in dict.fromkeys(ops.public.values()):
        names = [name for found, _ in header.entries for name in found]
        new = [d for name in names if name not in listed and name not in LEFT_OUT for d in declarations(header, name)]
        if new:
            word = LISTS[op_parts.family(header)]
            begin = next(i for i, line in enumerate(lines) if line.startswith(f"#define TANDEM_{word}_TEMPLATES(T)"))
            end = begin
            while lines[end].endswith("\\"):
                end += 1
            block = [line.removesuffix("\\").rstrip() for line in lines[begin:end + 1]]
            block += [line for declaration in new for line in written(word, declaration)]
            width = max(len(line) for line in block[:-1])
            lines[begin:end + 1] = [f"{line:<{width}} \\" for line in block[:-1]] + block[-1:]
    return without(lines, ops)


def without(lines, ops):
    """Without the ops that are no longer there."""
    kept, i = [], 0
    words = "|".join([*LISTS.values(), "ATTENTION", "VOLUMES"])
    while i < len(lines):
        match = re.match(rf"  TANDEM_(?:{words}) [\w:]+(?:<.*>)? (\w+)\(", lines[i])
        end = i
        while match and ";" not in lines[end]:
            end += 1
        if match and match[1] not in ops.public and not match[1].endswith("_on_cpu"):
            if not lines[end].endswith("\\"):  # the last of its list
                kept[-1] = kept[-1].removesuffix("\\").rstrip()
        else:
            kept += lines[i:end + 1]
        i = end + 1
    return "\n".join(kept)
