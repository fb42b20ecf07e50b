#!/usr/bin/env python3
"""Fails when a kernel of kernels/*.cu, for any element type it is built for, is never launched by the tests
of tests/cuda/ on the executor. usage: check_kernels.py TEST_PROGRAM"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNSIGNED = {"8": "unsigned char", "16": "unsigned short", "32": "unsigned int", "64": "unsigned long"}


def declared():
    """name<type> of every instantiation that the sources launch."""
    out, seen = set(), 0
    for path in sorted((ROOT / "kernels").glob("*.cu")):
        text = path.read_text()
        for name in re.findall(r"__global__\s+void\s+(\w+)\s*\(", text):
            seen += 1
            uses = re.findall(rf"launch\(\s*{name}<([^>]*)>", text)
            if not uses:
                out.add(f"{name}: no launch found in {path.name}")
            for use in uses:
                bits = re.search(r"uint(\d+)_t", use)
                types = [UNSIGNED[bits.group(1)]] if bits else ["float", "double"]
                out.update(f"{name}<{t}>" for t in types)
        if "<<<" in text:
            out.add(f"{path.name}: a launch that does not go through launch()")
    return out, seen


def main():
    wanted, seen = declared()
    if seen == 0:
        sys.exit("no kernel found in kernels/*.cu")
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "kernels.txt"
        run = subprocess.run([sys.argv[1]], env={**os.environ, "TANDEM_KERNELS_FILE": str(report)},
                             cwd=ROOT, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(run.stdout + run.stderr)
        launched = set(report.read_text().splitlines())
    missing = sorted(wanted - launched)
    if missing:
        sys.exit("not launched by any test on the executor:\n  " + "\n  ".join(missing))
    print(f"{seen} kernels, all {len(wanted)} instantiations ran on the executor")


if __name__ == "__main__":
    main()
