#!/usr/bin/env python3
"""Whoever includes the umbrella of a room, tandem/<room>.hpp, has every header of the room, itself or through others,
save those that are listed here with a reason. usage: check_umbrellas.py"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2] / "include" / "tandem"
EXCEPTIONS = {
    "tensor/dlpack.hpp": "for exchange with other libraries, which few programs do",
    "tensor/suggest.hpp": "for messages about names; the headers that have such include it",
    "io/filler.hpp": "a part of the loaders of clip/ and i3d/, which include it",
}
NO_UMBRELLA = {
    "clip": "an encoder: one includes its load.hpp, or the one part that is needed",
    "cpu": "what ops are made of",
    "cuda": "seldom needed together; tandem.hpp includes no CUDA",
    "features": "the programs of extraction include what they need",
    "formula": "what ops are made of",
    "i3d": "an encoder: one includes its load.hpp, or the one part that is needed",
    "image": "its headers need different libraries",
}


def reached(umbrella):
    seen, todo = set(), [umbrella]
    while todo:
        for name in re.findall(r'^#include "tandem/([^"]+)"', (ROOT / todo.pop()).read_text(), re.MULTILINE):
            if name not in seen:
                seen.add(name)
                todo.append(name)
    return seen


wrong, count = [], 0
absent = set()
for room in sorted(path.name for path in ROOT.iterdir() if path.is_dir()):
    if not (ROOT / f"{room}.hpp").exists():
        absent.add(room)
        continue
    known = reached(f"{room}.hpp")
    for path in sorted((ROOT / room).rglob("*.hpp")):
        name = path.relative_to(ROOT).as_posix()
        count += 1
        if name in known and name in EXCEPTIONS:
            wrong.append(f"{name} is listed as an exception, but {room}.hpp reaches it")
        elif name not in known and name not in EXCEPTIONS:
            wrong.append(f"{name} is not reached from {room}.hpp")
wrong += [f"{name} is listed as an exception, but does not exist" for name in EXCEPTIONS if not (ROOT / name).exists()]
wrong += [f"{room}/ has no umbrella {room}.hpp, and no reason for that" for room in sorted(absent - NO_UMBRELLA.keys())]
wrong += [f"{room}/ is listed as a room without umbrella" for room in sorted(NO_UMBRELLA.keys() - absent)]
if wrong:
    sys.exit("\n".join(wrong))
print(f"{count} headers are in their umbrellas, {len(EXCEPTIONS)} by exception not")
