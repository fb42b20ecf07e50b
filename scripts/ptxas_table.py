#!/usr/bin/env python3
"""What the compiler made of the kernels: registers, spills, shared memory, vector loads, arithmetic in double.

Reads what a build of tandem_cuda_kernels left in <build>/ptxas/ (cmake/keep_ptxas_report.sh) and fails when
  - registers are spilled to memory,
  - a kernel without `double` among its types computes in double (unless it stands in DOUBLE, with a reason),
  - registers times threads of a block are more than an SM has (65 536).
Both architectures are checked and have their registers in the table, whose other numbers are of sm_90.
usage: ptxas_table.py [FOLDER] [--write FILE]
Exit status 77: there is nothing to read (no nvcc, or not built).
"""

import argparse
import collections
import datetime
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
REGISTERS = 65536
ARCHITECTURES = ("80", "90")

# Kernels of other types that are to compute in double (an expression that their full name matches), and why.
DOUBLE = {
    "^scale_gradients_kernel<float>": "one thread of a block computes the factor as the CPU does (kernels/clip_grad.cu)",
    "^gradient_squares_kernel<float>": "a number for 16384 elements is handed on in double (kernels/clip_grad.cu)",
    "^(pseudo|ranked)_labels_kernel<float": "thresholds are compared in double as on the CPU: its labels (kernels/pseudo_labels.cu)",
    "formula::(Sin|Cos)": "CUDA's sinf and cosf reduce large arguments in double (formula/sin.hpp)",
    "formula::Power,": "powers that are not whole are the C library's in double, as on the CPU (formula/pow.hpp)",
}

Kernel = collections.namedtuple("Kernel", "file name full types threads registers stores loads shared vectors doubles")


def demangled(names):
    names = list(names)
    done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return dict(zip(names, done.stdout.splitlines()))


def of_ptx(text):
    """By mangled name: threads by launch bounds or None, loads of 16 bytes, instructions in double."""
    found = {}
    for m in re.finditer(r"^\.visible \.entry (\w+)\((.*?)^\}", text, re.S | re.M):
        bounds = re.search(r"\.maxntid (\d+)(?:, (\d+), (\d+))?", m.group(2))
        threads = None
        if bounds:
            threads = 1
            for size in bounds.groups():
                threads *= int(size or 1)
        vectors = len(re.findall(r"\bld\.global(?:\.\w+)*\.(?:v4\.[bfsu]32|v2\.[bfsu]64)", m.group(2)))
        doubles = len(re.findall(r"^\s*(?:@%?!?%?p\d+\s+)?(?!mov|ld|st|selp|cvt\.rn\.f32\.f64)[a-z]+\.[a-z0-9.]*\bf64\b",
                                 m.group(2), re.M))
        found[m.group(1)] = threads, vectors, doubles
    return found


def launched_threads():
    """By kernel: the threads of a block in the launches of kernels/, where the source has them as numbers."""
    text = "\n".join(p.read_text() for p in ROOT.glob("kernels/*.cu*"))
    found = {}
    for m in re.finditer(r'launch\(\s*(?:"[^"]*"|map_name<F>\(\)),(.*?);', text, re.S):
        shapes = re.findall(r"dim3\((\d+)(?:, (\d+))?\)", m.group(1))
        grid = re.search(r"\bgrid, block\b", m.group(1))
        if grid:  # written just before
            shapes = re.findall(r"block\((\d+)(?:, (\d+))?\)", text[:m.start()])[-1:]
        for name in re.findall(r"\b(\w+_kernel)<", m.group(1)):
            for x, y in shapes[-1:]:
                found[name] = max(found.get(name, 0), int(x) * int(y or 1))
    return found


def element_types(signature):
    """The types of the template arguments that are numbers."""
    arguments = signature[:signature.index("(")] if "(" in signature else signature
    known = re.findall(r"\b(float|double|bfloat16|long|int|unsigned (?:char|short|int|long)|bool)\b(?!\))", arguments)
    # constants of templates (false, 4) are not types; "unsigned short" stands in for copies of two bytes
    return list(dict.fromkeys(known))


def read(folder, architecture):
    kernels = []
    blocks = launched_threads()
    for report in sorted(folder.glob("*.cu.txt")):
        source = report.name[:-4]
        ptx = folder / f"{source[:-3]}.compute_{architecture}.ptx"
        text = report.read_text()
        entries = re.findall(rf"Compiling entry function '([^\n]*)' for 'sm_{architecture}'\n"
                             r"[^\n]*Function properties[^\n]*\n"
                             r"\s*\d+ bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n"
                             r"[^\n]*Used (\d+) registers([^\n]*)", text)
        if not entries:
            continue
        if not ptx.exists():
            sys.exit(f"{ptx} is missing: build tandem_cuda_kernels again")
        details = of_ptx(ptx.read_text())
        names = demangled(details)
        by_name = {re.sub(r"\s+", " ", names[m]): d for m, d in details.items()}
        for signature, stores, loads, registers, rest in entries:
            key = re.sub(r"\s+", " ", signature)
            threads, vectors, doubles = by_name[key]
            full = re.sub(r"^void ", "", re.sub(r"\b(?:tandem_kernels|tensor_cores|tandem)::", "", key))
            name = re.match(r"\w+", full).group()
            shared = re.search(r"(\d+) bytes smem", rest)
            kernels.append(Kernel(source, name, full, element_types(key), threads or blocks.get(name, 1024), int(registers),
                                  int(stores), int(loads), int(shared.group(1)) if shared else 0, vectors, doubles))
    return kernels


def problems(kernels, architecture):
    wrong = []
    for k in kernels:
        where = f"{k.file}: {k.name}<{', '.join(k.types)}> on sm_{architecture}"
        if k.stores or k.loads:
            wrong.append(f"{where} spills {k.stores} bytes and loads {k.loads}")
        if k.doubles and "double" not in k.types and not any(re.search(d, k.full) for d in DOUBLE):
            wrong.append(f"{where} has {k.doubles} instructions in double")
        if k.registers * k.threads > REGISTERS:
            wrong.append(f"{where}: {k.registers} registers for each of {k.threads} threads")
    if not kernels:
        return []
    used = [k.full for k in kernels if k.doubles and "double" not in k.types]
    wrong += [f"DOUBLE has {d}, and no such kernel computes in double" for d in DOUBLE
              if not any(re.search(d, full) for full in used)]
    return wrong


def span(numbers):
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"


def table(kernels, others, nvcc):
    """`kernels` of sm_90, of `others`, the same of sm_80, the registers alone."""
    rows, older = collections.OrderedDict(), {}
    for k in others:
        older.setdefault((k.name, ", ".join(k.types)), []).append(k.registers)
    for k in sorted(kernels, key=lambda k: (k.file, k.name, k.types)):
        # What a header has made in every file that includes it is one row.
        rows.setdefault((k.name, ", ".join(k.types)), []).append(k)
    out = ["# What ptxas says of the kernels", "",
           f"Written by `make ptxas` (scripts/ptxas_table.py) on {datetime.date.today()}, {nvcc}, of sm_90, registers of sm_80, too. A row"
           " is a kernel for the element types of its template arguments; where it is compiled several times (formulas,"
           " widths of packs), from the least to the most. Vector loads are those of 16 bytes, as they stand in the PTX"
           " (loops count once); shared memory is what is declared, a launch may ask for more. The script fails on"
           " spills, on arithmetic in double where no type is double, and when registers times threads exceed 65 536.", "",
           "| kernel | types | files | compiled | registers, sm_80 | registers | threads | spilled bytes | shared bytes | vector loads |"
           " in double |", "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for (name, types), group in sorted(rows.items()):
        files = list(dict.fromkeys(k.file for k in group))
        out.append(f"| {name} | {types} | {files[0] if len(files) == 1 else f'{len(files)} files'} | {len(group)} |"
                   f" {span(older[name, types]) if older else '–'} | {span([k.registers for k in group])} | {span([k.threads for k in group])} |"
                   f" {span([k.stores + k.loads for k in group])} | {span([k.shared for k in group])} |"
                   f" {span([k.vectors for k in group])} | {span([k.doubles for k in group])} |")
    if DOUBLE:
        out += ["", "In double by design: " + "; ".join(DOUBLE.values()) + "."]
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", default=str(ROOT / "build" / "release" / "ptxas"))
    parser.add_argument("--write", help="write the table to this file")
    options = parser.parse_args()
    folder = pathlib.Path(options.folder)
    if not any(folder.glob("*.cu.txt")):
        print("skipped: the kernels have not been built with nvcc")
        sys.exit(77)
    wrong, found = [], {}
    for architecture in ARCHITECTURES:
        found[architecture] = read(folder, architecture)
        wrong += problems(found[architecture], architecture)
    count = sum(map(len, found.values()))
    if options.write:
        version = subprocess.run(["nvcc", "--version"], capture_output=True, text=True).stdout
        nvcc = re.search(r"release [\d.]+, V([\d.]+)", version)
        pathlib.Path(options.write).write_text(table(found["90"], found["80"], f"nvcc {nvcc.group(1) if nvcc else '?'}"))
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{count} kernels: no spills, no double where none was meant, registers for every block")


if __name__ == "__main__":
    main()
