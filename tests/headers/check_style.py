#!/usr/bin/env python3
"""What no compiler holds: every header says first what it is, standard names have their std::, and the files of ops and
kernels are named as docs/architecture.md says. usage: check_style.py"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADERS = ROOT / "include" / "tandem"
MANY_TIMES = {"cpu/gemm_micro_body.hpp"}  # included once for each instruction set, empty on its own
FAMILIES = {  # headers of several ops that share all but one expression or one layout
    "arithmetic": ["add", "sub", "mul", "div", "neg"],
    "attention": ["scaled_dot_product_attention"],
    "compare": ["eq", "ne", "lt", "le", "gt", "ge"],
}
KERNELS_OF = {  # kernels/*.cu that are no op's: where they are called from
    "adam": "optim/adam.hpp",
    "clamped_bce": "wtal/rivals/losses.hpp",
    "clip_grad": "optim/clip_grad.hpp",
    "column_sums": "cpu/column_sums.hpp",
    "copy": "tensor/device_copy.hpp",
    "flow_planes": "i3d/preprocess.hpp",
    "graph": "cuda/graph.hpp",
    "gray": "image/gray.hpp",
    "label_memory": "wtal/train/label_memory.hpp",
    "gather_crops": "wtal/data/device_rows.hpp",
    "levels": "image/levels.hpp",
    "log_odds": "wtal/rivals/log_odds.hpp",
    "loss_fb": "wtal/train/contrast.hpp",
    "loss_kd": "wtal/train/losses.hpp",
    "memory": "tensor/device.hpp",
    "runtime": "tensor/device.hpp",
    "pseudo_labels": "wtal/train/pseudo_labels.hpp",
    "resize": "image/resize.hpp",
    "saved_gradient": "wtal/train/saved_gradient.hpp",
    "sgd": "optim/sgd.hpp",
    "topk_mean": "wtal/train/losses.hpp",
    "tvl1": "flow/tvl1.hpp",
}
SOURCES = ("include", "kernels", "src", "examples", "tests", "benchmarks")
BARE = re.compile(r"(?<![\w:.>])(?:u?int(?:8|16|32|64)_t|size_t|ptrdiff_t|u?intptr_t|(?:move|exchange)(?=\())\b")

wrong = []
for header in sorted(HEADERS.rglob("*.hpp")):
    name = header.relative_to(HEADERS).as_posix()
    first, second = header.read_text().split("\n", 2)[:2]
    if name not in MANY_TIMES and (first != "#pragma once" or not re.match(r"/// \S", second)):
        wrong.append(f"include/tandem/{name}: expected #pragma once and a line /// that says what the header is")

for top in SOURCES:
    for source in sorted((ROOT / top).rglob("*")):
        if source.suffix not in (".hpp", ".cpp", ".cu", ".cuh"):
            continue
        for number, line in enumerate(source.read_text().split("\n"), 1):
            code = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
            for bare in BARE.findall(code):
                wrong.append(f"{source.relative_to(ROOT)}:{number}: {bare} without std::")

for header in sorted((HEADERS / "ops").glob("*.hpp")):
    names = re.match(r"/// ([\w, ]+?)(?: — |  )", header.read_text().split("\n", 2)[1])
    names = names[1].split(", ") if names else []
    expected = FAMILIES.get(header.stem, names[:1] if names[:1] == [header.stem] else [header.stem])
    if names[:len(expected)] != expected:
        wrong.append(f"ops/{header.name}: expected to open with /// {', '.join(expected)} —")

for kernel in sorted((ROOT / "kernels").glob("*.cu")):
    stem = kernel.stem.removesuffix("_mma")  # tensor cores' kernels of the same op
    caller = KERNELS_OF.get(stem, f"ops/{stem}.hpp")
    if not (HEADERS / caller).is_file():
        wrong.append(f"kernels/{kernel.name}: there is no include/tandem/{caller}")

if wrong:
    sys.exit("\n".join(wrong))
print("headers open with what they are, standard names have std::, ops and kernels their stems")
