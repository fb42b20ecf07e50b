#!/usr/bin/env python3
"""What including each public header costs in compile time, beyond an empty file.

User time and peak memory of the compiler (-O2, nothing but the include), the fastest of --repeat rounds, for
other work on the machine only ever adds to it; a round compiles the empty file and then every header once, so
that all see the same machine."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def cost(command):
    """(user seconds, MiB at most) and None, or None and what the compiler said."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = child.stderr.read().strip()
    _, status, used = os.wait4(child.pid, 0)
    if status != 0:
        return None, errors.splitlines()[0] if errors else "failed"
    return (used.ru_utime, used.ru_maxrss / 1024), None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", default=os.environ.get("CXX", "g++"))
    parser.add_argument("--include", type=pathlib.Path, default=ROOT / "include")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="", help="headers whose path contains this")
    parser.add_argument("--umbrellas", action="store_true", help="only the headers of include/tandem itself")
    parser.add_argument("--compiled", action="store_true", help="as a program that links tandem::compiled")
    parser.add_argument("--json", type=pathlib.Path, help="also write the numbers here")
    parser.add_argument("--check", action="store_true",
                        help="fail when tandem/tensor.hpp costs 0.5 s or tandem/tandem.hpp 1.5 s")
    args = parser.parse_args()

    names = sorted(h.relative_to(args.include).as_posix()
                   for h in args.include.glob("tandem/*.hpp" if args.umbrellas else "tandem/**/*.hpp")
                   if args.only in h.relative_to(args.include).as_posix()
                   and h.name != "launch.hpp")  # for CUDA sources only
    if not names:
        sys.exit(f"no header under {args.include}/tandem has '{args.only}' in its path")
    samples, problems = {name: [] for name in ["", *names]}, {}
    with tempfile.TemporaryDirectory() as folder:
        unit, out = pathlib.Path(folder, "unit.cpp"), pathlib.Path(folder, "unit.o")
        command = [args.compiler, "-std=c++20", "-O2", "-pthread", f"-I{args.include}", "-c",
                   str(unit), "-o", str(out)]
        if args.compiled:
            command.insert(1, "-DTANDEM_COMPILED=1")
        for _ in range(args.repeat):
            for name, times in samples.items():
                unit.write_text(f'#include "{name}"\n' if name else "")
                measured, problem = cost(command)
                if problem:
                    problems[name] = problem
                else:
                    times.append(measured)

    empty = min(samples.pop(""))[0]
    seconds = {name: min(times)[0] - empty for name, times in samples.items() if times}
    memory = {name: round(max(megabytes for _, megabytes in times)) for name, times in samples.items() if times}
    width = max(len(name) for name in names)
    print(f"{args.compiler}, empty file {empty:.3f} s, the fastest of {args.repeat}")
    for name in sorted(seconds, key=seconds.get, reverse=True):
        print(f"{name:<{width}}  {seconds[name]:6.3f} s  {memory[name]:5d} MiB")
    for name, problem in problems.items():
        print(f"{name:<{width}}  does not compile: {problem}")
    if args.json:
        args.json.write_text(json.dumps({"compiler": args.compiler, "empty_seconds": empty,
                                         "repeat": args.repeat, "seconds": seconds, "mebibytes": memory}, indent=1) + "\n")
    too_slow = [f"{name} costs {seconds[name]:.2f} s, more than {limit} s"
                for name, limit in (("tandem/tensor.hpp", 0.5), ("tandem/tandem.hpp", 1.5))
                if args.check and seconds.get(name, 0) > limit]
    for line in too_slow:
        print(line, file=sys.stderr)
    return 1 if problems or too_slow else 0


if __name__ == "__main__":
    sys.exit(main())
