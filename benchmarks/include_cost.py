#!/usr/bin/env python3
"""What including each public header costs in compile time, beyond an empty file.

CPU time of the compiler (-O2, nothing but the include), the fastest of --repeat rounds, for other work
on the machine only ever adds to it; a round compiles the empty file and then every header once, so
that all see the same machine."""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def cpu_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(command, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode != 0:
        return None, run.stderr.strip().splitlines()[0] if run.stderr else "failed"
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", default=os.environ.get("CXX", "g++"))
    parser.add_argument("--include", type=pathlib.Path, default=ROOT / "include")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="", help="headers whose path contains this")
    parser.add_argument("--json", type=pathlib.Path, help="also write the numbers here")
    parser.add_argument("--check", action="store_true",
                        help="fail when tandem/tensor.hpp costs 0.5 s or tandem/tandem.hpp 1.5 s")
    args = parser.parse_args()

    names = sorted(h.relative_to(args.include).as_posix()
                   for h in args.include.glob("tandem/**/*.hpp")
                   if args.only in h.relative_to(args.include).as_posix()
                   and h.name != "launch.hpp")  # for CUDA sources only
    if not names:
        sys.exit(f"no header under {args.include}/tandem has '{args.only}' in its path")
    samples, problems = {name: [] for name in ["", *names]}, {}
    with tempfile.TemporaryDirectory() as folder:
        unit, out = pathlib.Path(folder, "unit.cpp"), pathlib.Path(folder, "unit.o")
        command = [args.compiler, "-std=c++20", "-O2", "-pthread", f"-I{args.include}", "-c",
                   str(unit), "-o", str(out)]
        for _ in range(args.repeat):
            for name, times in samples.items():
                unit.write_text(f'#include "{name}"\n' if name else "")
                seconds, problem = cpu_seconds(command)
                if problem:
                    problems[name] = problem
                else:
                    times.append(seconds)

    empty = min(samples.pop(""))
    cost = {name: min(times) - empty for name, times in samples.items() if times}
    width = max(len(name) for name in names)
    print(f"{args.compiler}, empty file {empty:.3f} s, the fastest of {args.repeat}")
    for name in sorted(cost, key=cost.get, reverse=True):
        print(f"{name:<{width}}  {cost[name]:6.3f} s")
    for name, problem in problems.items():
        print(f"{name:<{width}}  does not compile: {problem}")
    if args.json:
        args.json.write_text(json.dumps({"compiler": args.compiler, "empty_seconds": empty,
                                         "repeat": args.repeat, "seconds": cost}, indent=1) + "\n")
    too_slow = [f"{name} costs {cost[name]:.2f} s, more than {limit} s"
                for name, limit in (("tandem/tensor.hpp", 0.5), ("tandem/tandem.hpp", 1.5))
                if args.check and cost.get(name, 0) > limit]
    for line in too_slow:
        print(line, file=sys.stderr)
    return 1 if problems or too_slow else 0


if __name__ == "__main__":
    sys.exit(main())
