#!/usr/bin/env python3
"""What compiling a first program costs: user time and peak memory of the compiler at -O2, header-only and with tandem::compiled.

The programs are those of examples/ and the recipes of docs/for_pytorch_users.md. User seconds, the median of --repeat, for
other work on the machine hardly changes them; linking is not in them."""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ("mlp", "custom_op", "digits_cnn", "char_transformer")


def clang():
    """The newest Clang here that is new enough, 16, or none."""
    names = ["clang++", *(f"clang++-{n}" for n in range(22, 15, -1))]
    for name in filter(shutil.which, names):
        version = subprocess.run([name, "-dumpversion"], capture_output=True, text=True).stdout
        if int(version.split(".")[0]) >= 16:
            return [name]
    return []


def sources(folder):
    """Name → file, the recipes written into `folder`."""
    found = {name: ROOT / "examples" / f"{name}.cpp" for name in EXAMPLES}
    text = (ROOT / "docs" / "for_pytorch_users.md").read_text()
    for part in re.split(r"^## (?=Recipe)", text, flags=re.M)[1:]:
        number = re.match(r"Recipe (\d)", part)[1]
        path = folder / f"recipe{number}.cpp"
        path.write_text(re.search(r"^```cpp\n(.*?)^```", part, re.M | re.S)[1])
        found[f"recipe {number}"] = path
    return found


def cost(command):
    """(user seconds, MiB at most) of the compiler itself."""
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    errors = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))}:\n{errors}")
    return used.ru_utime, used.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compilers", nargs="+", default=["g++", *clang()])
    parser.add_argument("--only", nargs="+", help="programs (default: all)")
    parser.add_argument("--modes", nargs="+", default=["compiled", "header-only"], choices=["compiled", "header-only"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path, help="adds the numbers to this file after each one; what is there is not measured again")
    args = parser.parse_args()
    done = json.loads(args.json.read_text()) if args.json and args.json.is_file() else {}
    with tempfile.TemporaryDirectory() as name:
        files = sources(pathlib.Path(name))
        for mode in args.modes:
            for program in args.only or files:
                for compiler in args.compilers:
                    key = f"{program}, {mode}, {compiler}"
                    if key in done:
                        continue
                    command = [compiler, "-std=c++20", "-O2", "-pthread", "-I", ROOT / "include", "-I", ROOT / "examples", "-c",
                               files[program], "-o", pathlib.Path(name) / "program.o"]
                    if mode == "compiled":  # what CMake's tandem::compiled defines
                        command.insert(1, "-DTANDEM_COMPILED=1")
                    runs = [cost(command) for _ in range(args.repeat)]
                    done[key] = {"user_seconds": round(statistics.median(r[0] for r in runs), 2), "mebibytes": round(max(r[1] for r in runs)),
                                 "runs": args.repeat}
                    print(key, done[key], flush=True)
                    if args.json:
                        args.json.write_text(json.dumps(done, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
