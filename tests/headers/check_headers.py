#!/usr/bin/env python3
"""Compile every public header alone, twice included, with warnings as errors; and check that
programs need nothing but the standard library and POSIX for them, save those that say otherwise."""

import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile

# What strict projects switch on, and no run-time type information.
FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion",
         "-Wdouble-promotion", "-Wshadow", "-Wold-style-cast", "-Wcast-qual", "-Wnon-virtual-dtor",
         "-Woverloaded-virtual", "-Wundef", "-Wextra-semi", "-Werror", "-fno-rtti", "-pthread"]
# Installed libraries that a header could reach without anybody noticing on this machine.
FOREIGN = ("/nlohmann/", "/zlib.h", "/stb/", "/jpeglib.h", "/CLI/", "/doctest/", "/benchmark/", "/boost/", "/Eigen/", "/fmt/",
           "/gtest/", "/absl/", "/cblas.h", "/openblas/", "/omp.h", "/tbb/")
# The headers of tandem::io, and what they may reach.
JSON, ZLIB = "/nlohmann/", "/zlib.h"
ALLOWED = {
    "tandem/io.hpp": (JSON, ZLIB),
    "tandem/wtal.hpp": (JSON, ZLIB),  # text_files.hpp
    "tandem/clip/load.hpp": (JSON,),  # safetensors headers, config.json
    "tandem/clip/tokenizer.hpp": (ZLIB,),  # the vocabulary as it is published, compressed
    "tandem/clip/config_rules.hpp": (JSON,),
    "tandem/clip/hugging_face_names.hpp": (JSON,),  # io/filler.hpp
    "tandem/clip/weights.hpp": (JSON,),
    "tandem/io/checkpoint.hpp": (JSON,),
    "tandem/io/file_record.hpp": (JSON,),
    "tandem/io/filler.hpp": (JSON,),  # safetensors headers
    "tandem/io/gzip.hpp": (ZLIB,),
    "tandem/io/inflate.hpp": (ZLIB,),
    "tandem/io/json.hpp": (JSON,),
    "tandem/io/json_reader.hpp": (JSON,),
    "tandem/io/npz.hpp": (ZLIB,),
    "tandem/io/safetensors.hpp": (JSON,),
    "tandem/wtal/data/annotations.hpp": (JSON,),
    "tandem/wtal/data/datasets.hpp": (JSON,),
    "tandem/wtal/data/detections_json.hpp": (JSON,),
    "tandem/wtal/data/ground_truth_json.hpp": (JSON,),
    "tandem/wtal/data/fingerprint.hpp": (JSON,),
    "tandem/features/feature_folder.hpp": (JSON,),
    "tandem/features/provenance.hpp": (JSON,),
    "tandem/wtal/data/row_lengths.hpp": (JSON,),  # provenance.hpp
    "tandem/i3d/load.hpp": (JSON,),  # safetensors headers
    "tandem/wtal/data/text_files.hpp": (JSON, ZLIB),  # class names through clip/tokenizer.hpp
    "tandem/wtal/data/wtalc.hpp": (JSON,),
}
# The standard library's are compiled under the options of the program, such as -fno-honor-nans.
FLAG_DEPENDENT = re.compile(r"std::(isnan|isfinite|isinf|isnormal|fpclassify)|__builtin_(isnan|isfinite|isinf)")
# Kernel launches are not C++: this one is compiled by nvcc with every file of kernels/.
CUDA_ONLY = {"tandem/cuda/launch.hpp"}


def compiled_first(include, headers):
    """Header → one that includes it before all else, and may reach no more: where that compiles alone, it does so itself. Both say
    #pragma once, so that including one twice is nothing to try anew."""
    names = {h.relative_to(include).as_posix(): h.read_text() for h in headers}
    found = {}
    for name, text in names.items():
        first = re.search(r'^#include [<"]([^>"]*)', text, re.M)
        lead = re.sub(r"//.*", "", text[: first.start()]).split() if first else []
        if first and first[1] in names and lead == ["#pragma", "once"] and set(ALLOWED.get(name, ())) <= set(ALLOWED.get(first[1], ())) \
                and re.match(r"#pragma once\n", names[first[1]]) and first[1] not in found:
            found[first[1]] = name
    for name in list(found):  # the last of a chain is compiled; of a ring each one
        chain = [name]
        while chain[-1] in found and found[chain[-1]] not in chain:
            chain.append(found[chain[-1]])
        if chain[-1] in found:
            del found[name]
    return found


def depends_on_options(header):
    for number, line in enumerate(header.read_text().splitlines(), 1):
        found = FLAG_DEPENDENT.search(line.split("//")[0])
        if found:
            return f"line {number}: {found.group()} depends on the program's options: use tensor/finite.hpp"
    return None


def check(compiler, include, header, folder):
    name = header.relative_to(include).as_posix()
    if problem := depends_on_options(header):
        return name, problem
    unit = folder / (name.replace("/", "_") + ".cpp")
    deps = unit.with_suffix(".d")
    unit.write_text(f'#include "{name}"\n#include "{name}"\n')
    run = subprocess.run([compiler, *FLAGS, f"-I{include}", "-MD", "-MF", str(deps), str(unit)],
                         capture_output=True, text=True)
    if run.returncode != 0:
        return name, run.stderr.strip() or f"exit status {run.returncode}"
    used = deps.read_text().replace("\\\n", " ").split()
    parts = [part for part in FOREIGN if part not in ALLOWED.get(name, ())]
    foreign = sorted(path for path in used if any(part in path for part in parts))
    if foreign:
        return name, "needs more than it may: " + ", ".join(foreign)
    return name, None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--include", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2] / "include")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="headers whose path contains this")
    parser.add_argument("--together", action="store_true",
                        help="all of them in one file: what a second compiler warns of, in seconds")
    args = parser.parse_args()

    headers = sorted(h for h in args.include.glob("tandem/**/*.hpp")
                     if args.only in h.relative_to(args.include).as_posix()
                     and h.relative_to(args.include).as_posix() not in CUDA_ONLY)
    if not headers:
        sys.exit(f"no header found under {args.include}/tandem")
    if args.together:
        with tempfile.TemporaryDirectory() as folder:
            unit = pathlib.Path(folder) / "together.cpp"
            unit.write_text("".join(f'#include "{h.relative_to(args.include).as_posix()}"\n' for h in headers))
            done = subprocess.run([args.compiler, *FLAGS, f"-I{args.include}", str(unit)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"FAILED all headers together\n{done.stderr.strip()}")
        print(f"{args.compiler}: {len(headers)} headers compile together")
        return 0
    with_others = compiled_first(args.include, headers)
    failures = 0
    for header in headers:
        name = header.relative_to(args.include).as_posix()
        if name in with_others and (problem := depends_on_options(header)):
            failures += 1
            print(f"FAILED {name}\n{problem}\n")
    alone = [h for h in headers if h.relative_to(args.include).as_posix() not in with_others]
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for name, problem in pool.map(
                lambda h: check(args.compiler, args.include, h, pathlib.Path(folder)), alone):
            if problem:
                failures += 1
                print(f"FAILED {name}\n{problem}\n")
    print(f"{args.compiler}: {len(headers) - failures} of {len(headers)} headers compile alone, "
          f"{len(with_others)} of them as the first of another")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
