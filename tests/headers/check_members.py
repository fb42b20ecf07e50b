#!/usr/bin/env python3
"""Members of Tensor that another header defines: without it, a call does not compile, and the message names the
header. The linker's complaint would name neither the line nor the header."""

import argparse
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TO, AUTOGRAD = "tandem/ops/to.hpp", "tandem/autograd.hpp"
CALLS = [
    ("tandem/ops/exp.hpp", TO, "exp(x).to(Device::cpu())"),
    ("tandem/ops/exp.hpp", TO, "exp(x).to<double>()"),
    ("tandem/tensor.hpp", AUTOGRAD, "x.requires_grad_()"),
    ("tandem/tensor.hpp", AUTOGRAD, "x.grad()"),
    ("tandem/tensor.hpp", AUTOGRAD, "x.set_grad(x)"),
    ("tandem/tensor.hpp", AUTOGRAD, "x.zero_grad()"),
    ("tandem/tensor.hpp", AUTOGRAD, "x.replace_(x)"),
    ("tandem/tensor.hpp", AUTOGRAD, "x.backward()"),
    ("tandem/tensor.hpp", AUTOGRAD, "x.backward(x)"),
]


def errors(compiler, include, headers, call):
    program = "".join(f'#include "{header}"\n' for header in headers)
    program += f"using namespace tandem;\nvoid f(Tensor<float> x) {{ (void){call}; }}\n"
    command = [compiler, "-std=c++20", "-fsyntax-only", f"-I{include}", "-x", "c++", "-"]
    return [line for line in subprocess.run(command, input=program, capture_output=True, text=True).stderr.splitlines()
            if "error:" in line]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--include", type=pathlib.Path, default=HERE.parents[1] / "include")
    args = parser.parse_args()
    failures = 0
    for has, needs, call in CALLS:
        name = "include_" + needs.replace("/", "_").replace(".", "_")
        without = errors(args.compiler, args.include, [has], call)
        together = errors(args.compiler, args.include, [has, needs], call)
        if len(without) == 1 and name in without[0] and not together:
            continue
        failures += 1
        print(f"FAILED {call} with {has}: {without or 'compiles'}; with {needs} too: {together or 'compiles'}")
    print(f"{args.compiler}: {len(CALLS)} calls, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
