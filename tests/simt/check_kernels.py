#!/usr/bin/env python3
"""Fails when a kernel of kernels/ is never launched by the tests of tests/cuda/ on the executor, or when one that is
registered, for any element type, is never asked for.

usage: check_kernels.py FOLDER STEM…    FOLDER/STEM.txt is what the run of tests/cuda/STEM_test.cpp left
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def declared():
    """The names of the kernels in the sources, and what is wrong with how they are launched."""
    names, wrong = set(), []
    sources = {p: p.read_text() for p in sorted(ROOT.glob("kernels/*.cu*"))}
    everything = "\n".join(sources.values())
    for path, text in sources.items():
        for name in re.findall(r"__global__\s+void\s+(?:__launch_bounds__\((?:[^()]|\([^()]*\))*\)\s+)?(\w+)\s*\(", text):
            names.add(name)
            if not re.search(rf"launch\(\s*(?:\"[^\"]*\"|map_name<F>\(\)),[^;]*\b{name}<", everything):
                wrong.append(f"{name}: no launch found")
        if "<<<" in text:
            wrong.append(f"{path.name}: a launch that does not go through launch()")
    return names, wrong


def main():
    names, wrong = declared()
    if not names:
        sys.exit("no kernel found in kernels/")
    launched, unused = set(), None
    for stem in sys.argv[2:]:
        report = pathlib.Path(sys.argv[1]) / f"{stem}.txt"
        if not report.exists():
            sys.exit(f"{report} is not there: the tests of {stem} did not run to their end")
        lines = report.read_text().splitlines()
        launched |= {re.sub(r"<.*", "", line) for line in lines if not line.startswith("unused ")}
        here = {tuple(line.split()[1:]) for line in lines if line.startswith("unused ")}
        unused = here if unused is None else unused & here  # asked for in no run
    unused = sorted(unused or ())
    mangled = "".join(f"{(*u, '')[1]}\n" for u in unused)
    symbols = subprocess.run(["c++filt"], input=mangled, capture_output=True, text=True).stdout
    wrong += [f"{name}: launched by no test on the executor" for name in sorted(names - launched)]
    wrong += [f"registered as {slot[0]}, called by no test: {symbol}"
              for slot, symbol in zip(unused, symbols.splitlines())]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(names)} kernels, all ran on the executor")


if __name__ == "__main__":
    main()
