#!/usr/bin/env python3
"""Compiler options that change what arithmetic means: each is refused with a sentence, or the numbers are the
ones of a build without it. None passes silently. Neither does an older C++, whose first message is a sentence, and
whose last."""

import argparse
import math
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BOTH_REFUSED = [
    "-ffast-math",
    "-Ofast",
    "-funsafe-math-optimizations",
    "-fassociative-math -fno-signed-zeros -fno-trapping-math",
    "-freciprocal-math",
    "-ffinite-math-only",
    "-fno-signed-zeros",
    "-ffast-math -fno-finite-math-only",
    "-ffast-math -fno-associative-math",
    "-fno-exceptions",
]
REFUSED = {
    "gcc": BOTH_REFUSED + ["-fsingle-precision-constant", "-mfpmath=387"],
    "clang": BOTH_REFUSED + ["-fapprox-func", "-ffp-model=fast", "-ffp-eval-method=double",
                             "-fno-honor-nans -fno-honor-infinities",
                             "pragma clang fp reassociate(on)", "pragma float_control(precise, off)"],
}
BOTH_RIGHT = [
    "",
    "-fassociative-math",  # alone it does nothing, in both
    "-fno-trapping-math",
    "-fno-math-errno",
    "-frounding-math",
    "-ffp-contract=off",
    "-ffp-contract=fast",
    "-fno-rtti",
]
RIGHT = {
    "gcc": BOTH_RIGHT + ["-O3", "-mrecip", "-fcx-limited-range", "-fexcess-precision=fast", "-fsignaling-nans"],
    "clang": BOTH_RIGHT + ["-O3", "-fno-honor-nans", "-fno-honor-infinities", "-fdenormal-fp-math=positive-zero",
                           "-ffp-model=strict", "-ffast-math -fno-fast-math"],
}
X86_ONLY = ("-mfpmath=387", "-mrecip")
OLDER = ["-std=c++11", "-std=c++14", "-std=c++17"]
NEEDS = "tandem needs C++20: compile with -std=c++20"
SENTENCES = ("tandem relies on IEEE arithmetic", "tandem needs IEEE arithmetic", "tandem reports errors by exceptions")


def run(command):
    return subprocess.run(command, capture_output=True, text=True)


def split(option):
    """The arguments, and the line before the first #include."""
    return ([], f"#{option}\n") if option.startswith("pragma") else (option.split(), "")


def refused(compiler, include, option, folder):
    flags, before = split(option)
    unit = folder / "refused.cpp"
    unit.write_text(before + '#include "tandem/tensor/config.hpp"\n')
    result = run([compiler, "-std=c++20", "-O2", *flags, "-fsyntax-only", f"-I{include}", str(unit)])
    if result.returncode == 0:
        return "is accepted"
    if not any(sentence in result.stderr for sentence in SENTENCES):
        return "is refused without a sentence:\n" + result.stderr
    return None


def older(compiler, include, standard, folder):
    unit = folder / "older.cpp"
    unit.write_text('#include "tandem/tandem.hpp"\n')
    result = run([compiler, standard, "-fsyntax-only", f"-I{include}", str(unit)])
    errors = [line for line in result.stderr.splitlines() if "error:" in line]
    if result.returncode == 0:
        return "is accepted"
    if NEEDS not in errors[0] or len(errors) > 2:
        return f"gives {len(errors)} errors, the first of them: {errors[0]}"
    return None


def numbers(compiler, include, option, folder):
    flags, _ = split(option)
    program = folder / "program"
    result = run([compiler, "-std=c++20", "-O2", *flags, f"-I{include}", str(HERE / "flags.cpp"), "-o", str(program)])
    if result.returncode != 0:
        return None, "does not compile:\n" + result.stderr
    result = run([str(program)])
    if result.returncode != 0:
        return None, f"the program ends with {result.returncode}"
    return [word for line in result.stdout.splitlines() for word in line.split()], None


def same(a, b):
    try:
        x, y = float(a), float(b)
    except ValueError:
        return a == b
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    # A product and a sum may be rounded together or one by one; all else is exact.
    return x == y and math.copysign(1, x) == math.copysign(1, y) or abs(x - y) <= 4e-7 * abs(y)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--include", type=pathlib.Path, default=HERE.parents[1] / "include")
    args = parser.parse_args()
    version = run([args.compiler, "--version"]).stdout
    kind = "clang" if "clang" in version else "gcc"
    x86 = "x86_64" in run([args.compiler, "-dumpmachine"]).stdout
    options = [o for o in REFUSED[kind] if x86 or o not in X86_ONLY]
    failures = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for option in options:
            problem = refused(args.compiler, args.include, option, folder)
            if problem:
                failures.append(f"{option} {problem}")
        for standard in OLDER:
            problem = older(args.compiler, args.include, standard, folder)
            if problem:
                failures.append(f"{standard} {problem}")
        expected, problem = numbers(args.compiler, args.include, "", folder)
        if problem:
            sys.exit(f"without options it {problem}")
        known = expected[expected.index("exp") + 1]
        if not same(known, str(math.e)):
            failures.append(f"without options exp(1) is {known}")
        right = [o for o in RIGHT[kind] if o and (x86 or o not in X86_ONLY)]
        for option in right:
            got, problem = numbers(args.compiler, args.include, option, folder)
            if not problem and (len(got) != len(expected) or not all(map(same, got, expected))):
                wrong = next((f"{g} instead of {e}" for g, e in zip(got, expected) if not same(g, e)), "fewer numbers")
                problem = "changes the numbers: " + wrong
            if problem:
                failures.append(f"{option} {problem}")
    for failure in failures:
        print("FAILED", failure)
    print(f"{args.compiler}: {len(OLDER)} older standards and {len(options)} options refused, {len(right)} harmless, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
