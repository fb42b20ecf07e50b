#!/usr/bin/env python3
"""Holds tandem's I3D against PyTorch at full size, with random weights and batch norm statistics.

    python3 weights/compare_i3d.py --program build/release/examples/i3d_inspect

A PyTorch I3D written from the paper (tests/golden/i3d_reference.py) computes features, logits and every endpoint of
clips of 16, 17, 24 and 64 frames of 224 × 224 in float32, for RGB and for flow. tandem loads what convert.py makes
of its state dict, in float and in bfloat16. Prints the largest ‖ours − theirs‖/‖theirs‖ and fails above 1e-4 in
float and 5e-2 in bfloat16. Needs torch and safetensors, about 4 GB of memory and a few minutes.
"""
from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

import convert

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "golden"))
from i3d_reference import ENDPOINTS, I3D, randomize  # noqa: E402

LIMITS = {"float": 1e-4, "bfloat16": 5e-2}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, required=True, help="tandem's i3d_inspect")
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 17, 24, 64])
    parser.add_argument("--streams", choices=["rgb", "flow"], nargs="+", default=["rgb", "flow"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        for stream in options.streams:
            channels = 3 if stream == "rgb" else 2
            generator = torch.Generator().manual_seed(options.seed)
            model = randomize(I3D(channels), generator).eval().requires_grad_(False)
            torch.save(model.state_dict(), folder / "model.pt")
            convert.convert_i3d(folder / "model.pt", folder / "model.safetensors")
            for frames in options.frames:
                clips = torch.rand(1, channels, frames, 224, 224, generator=generator) * 2 - 1
                save_file({"clips": clips}, folder / "inputs.safetensors")
                expected = model(clips)
                for precision, limit in LIMITS.items():
                    command = [options.program, "--weights", folder / "model.safetensors", "--inputs",
                               folder / "inputs.safetensors", "--out", folder / "result.safetensors",
                               *(["--bfloat16"] if precision == "bfloat16" else [])]
                    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
                    ours = load_file(folder / "result.safetensors")
                    assert set(ours) == {"features", *ENDPOINTS}, sorted(ours)
                    errors = {}
                    for name, value in ours.items():
                        assert value.shape == expected[name].shape, name
                        errors[name] = float((value - expected[name]).norm() / expected[name].norm())
                    worst = max(errors, key=errors.get)
                    failed |= any(not error < limit for error in errors.values())
                    print(f"{stream}, {frames} frames, {precision}: features {errors['features']:.1e}, logits "
                          f"{errors['Logits']:.1e}, worst of {len(errors)}: {worst} {errors[worst]:.1e}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
