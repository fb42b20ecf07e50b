#!/usr/bin/env python3
"""Arrows between the rooms of include/tandem point one way: a header includes only headers of its own room and of
those that stand before it in docs/architecture.md. usage: check_rooms.py"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2] / "include" / "tandem"
CORE = ["tensor", "formula", "cuda", "cpu"]
OPS = [*CORE, "autograd", "ops", "ops/parts"]
ALLOWED = {
    "tensor": [],
    "formula": ["tensor"],
    "cuda": ["tensor"],
    "cpu": CORE,
    "autograd": CORE,
    "ops/parts": [*CORE, "autograd"],
    "ops": OPS,
    "nn": OPS,
    "optim": [*OPS, "nn"],
    "io": [*CORE, "nn"],
    "image": [*CORE, "io"],
    "flow": [*CORE, "io", "image"],
    "clip": [*OPS, "nn", "io", "image"],
    "i3d": [*OPS, "nn", "io", "image"],
    "features": [*OPS, "io", "image", "flow", "clip", "i3d"],
    "wtal/data": [*OPS, "io", "clip", "features"],
    "wtal/rivals": [*OPS, "nn", "wtal/data"],
    "wtal/model": [*OPS, "nn", "clip", "wtal/data", "wtal/rivals"],
    "wtal/train": [*OPS, "nn", "optim", "wtal/data", "wtal/rivals", "wtal/model"],
    "wtal/detect": [*OPS, "wtal/data", "wtal/model", "wtal/train"],
}

# The layers in the order of the table of docs/architecture.md.
TABLE = re.findall(r"^\| ((?:`\w+/`(?:, )?)+) \| ", (ROOT.parents[1] / "docs" / "architecture.md").read_text(), re.MULTILINE)
LAYERS = [name for row in TABLE for name in re.findall(r"`(\w+)/`", row)]


def room(path):
    """The room of a header, "" for the umbrellas beside the rooms."""
    folder = pathlib.PurePosixPath(path).parent.as_posix()
    return "" if folder == "." else folder


wrong, seen = [], set()
LAYERS = LAYERS[:LAYERS.index("wtal") + 1] if "wtal" in LAYERS else LAYERS  # other tables follow
for name, others in ALLOWED.items():
    for other in others:
        here, there = (one.split("/")[0] for one in (name, other))
        if here not in LAYERS or there not in LAYERS or LAYERS.index(there) > LAYERS.index(here):
            order = f"docs/architecture.md does not have {there}/ before {here}/, which knows it"
            wrong += [order] if order not in wrong else []
for header in sorted(ROOT.rglob("*.hpp")):
    name = header.relative_to(ROOT).as_posix()
    here = room(name)
    if not here:
        continue
    seen.add(here)
    if here not in ALLOWED:
        wrong.append(f"{name}: no such room is planned")
        continue
    for included in re.findall(r'^#include "tandem/([^"]+)"', header.read_text(), re.MULTILINE):
        there = room(included)
        if there != here and there not in ALLOWED[here]:
            wrong.append(f"{name} includes {included}: {here}/ does not know {there or 'the umbrella headers'}/")
wrong += [f"{name}/ is empty" for name in ALLOWED if name not in seen]
if wrong:
    sys.exit("\n".join(wrong))
print(f"{len(seen)} rooms, all arrows point one way")
