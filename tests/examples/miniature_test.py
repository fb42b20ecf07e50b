"""The miniature: pretraining is repeatable and survives a kill, the shipped weights are as good as their headers say, and
the way from pixels to detections works with them.

usage: miniature_test.py FOLDER_WITH_THE_PROGRAMS FOLDER_OF_WEIGHTS"""
import json
import math
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

programs, weights = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


def run(program, *words, code=0, threads="2"):
    done = subprocess.run([programs / program, *map(str, words)], capture_output=True, text=True,
                          env={**os.environ, "TANDEM_NUM_THREADS": threads})
    assert done.returncode == code, (program, words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def header(path):
    raw = path.read_bytes()
    return json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])["__metadata__"]


def files(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix in (".safetensors", ".txt")}


def repeatable(work, program, *small):
    """Two threads, one thread, and a run that is killed and resumed write the same bytes."""
    run(program, "--out", work / "two", *small)
    whole = files(work / "two")
    run(program, "--out", work / "one", *small, threads="1")
    assert files(work / "one") == whole, f"{program}: one thread and two threads differ"
    process = subprocess.Popen([programs / program, "--out", work / "killed", *small], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    while not list((work / "killed").glob("*.training.safetensors")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    other = [*small[:-2], "--seed", "9"]
    if list((work / "killed").glob("*.training.safetensors")):
        assert "this one has" in run(program, "--out", work / "killed", *other, "--resume", code=1)
    run(program, "--out", work / "killed", *small, "--resume")
    assert files(work / "killed") == whole, f"{program}: the resumed run differs"


def close(said, claimed, count, what):
    """Both are shares; `said` is of `count` samples: 4.5 standard deviations, and the claim's own."""
    width = 4.5 * math.sqrt(max(claimed * (1 - claimed), 0.01) * (1 / count + 1 / 1000))
    assert abs(said - claimed) < width, f"{what}: measured {said:.3f}, the header says {claimed:.3f} ± {width:.3f}"


def numbers(text, name):
    line = re.search(rf"^{re.escape(name)} +([\d. ]+)$", text, re.M)
    assert line, (name, text)
    return [float(x) / 100 for x in line[1].split()]


with tempfile.TemporaryDirectory() as work:
    work = pathlib.Path(work)
    repeatable(work / "clip", "pretrain_clip", "--steps", "4", "--batch", "8", "--test", "16", "--seed", "3")
    repeatable(work / "i3d", "pretrain_i3d", "--steps", "2", "--batch", "4", "--test", "8", "--seed", "3")

    # Chance: 1/10 for objects, 1/30 for actions.
    said = json.loads(header(weights / "clip.safetensors")["training"])
    assert said["object_of_10"]["core"] > 0.9, said
    text = run("pretrain_clip", "--out", weights, "--check", "--test", "600", "--seed", "77")
    for name, key in (("object, of 10", "object_of_10"), ("action, of 30", "action_of_30")):
        for value, stage in zip(numbers(text, name), ("core", "approach_and_recovery", "idle")):
            close(value, said[key][stage], 80, f"{name}, {stage}")
    said = {s: json.loads(header(weights / f"i3d_{s}.safetensors")["training"]) for s in ("rgb", "flow")}
    assert said["rgb"]["both_streams"]["core"] > 0.7, said
    text = run("pretrain_i3d", "--out", weights, "--check", "--test", "200", "--seed", "77")
    for name, claim in (("RGB", said["rgb"]["alone"]), ("flow", said["flow"]["alone"]),
                        ("both", said["rgb"]["both_streams"])):
        for value, stage, count in zip(numbers(text, name), ("top_1", "core", "approach_and_recovery"), (200, 60, 100)):
            close(value, claim[stage], count, f"{name}, {stage}")

    # From pixels to detections, on a world of short videos: what the rows are, and that they say where actions are.
    world = work / "world"
    run("render_world", "--out", world, "--train", "24", "--test", "12", "--rows", "32", "--seed", "5")
    run("extract_features", world / "videos", "--out", world, "--config", weights / "extract.json",
        "--i3d-rgb", weights / "i3d_rgb.safetensors", "--i3d-flow", weights / "i3d_flow.safetensors",
        "--clip-weights", weights / "clip.safetensors")
    short = ["--data", world, "--clip-weights", weights / "clip.safetensors", "--vocabulary", weights / "merges.txt", "--config",
             weights / "train.json", "--warm-up-steps", "120", "--rounds", "1"]
    said = run("train_dcl", *short, "--out", work / "run")
    assert re.search(r"24 .*12 ", said) and "0.64" in said, said
    # All of it a second time, on one thread: the same videos, rows, detections, to the byte.
    run("render_world", "--out", work / "again", "--train", "24", "--test", "12", "--rows", "32", "--seed", "5", threads="1")
    run("extract_features", work / "again/videos", "--out", work / "again", "--config", weights / "extract.json",
        "--i3d-rgb", weights / "i3d_rgb.safetensors", "--i3d-flow", weights / "i3d_flow.safetensors",
        "--clip-weights", weights / "clip.safetensors", threads="1")
    for pattern, count in (("videos/*.mp4", 36), ("features/*.npy", 36), ("clip/*.npy", 36), ("gt.json", 1)):
        made = sorted(p.relative_to(world) for p in world.glob(pattern))
        assert len(made) == count, (pattern, made)
        for name in made:
            assert (work / "again" / name).read_bytes() == (world / name).read_bytes(), f"{name}: one thread and two threads differ"
    run("train_dcl", *short, "--data", work / "again", "--out", work / "run_again", threads="1")
    for name in ("detections.json", *(f"rounds/{n:02}.safetensors" for n in range(2))):
        assert (work / "run_again" / name).read_bytes() == (work / "run" / name).read_bytes(), name
    evaluation = [json.loads(line) for line in (work / "run/metrics.jsonl").read_text().splitlines()]
    final = [e for e in evaluation if e.get("evaluation") == "final"][-1]
    # An untrained localizer is near 0; a short training must be far above it.
    at = final["map"]["0.30"]
    assert at > 0.15, f"mAP@0.3 {at:.3f} of the miniature's rows: expected far above chance"
    print(f"mAP@0.3 after a short training on 24 short videos: {at:.3f}")
print("ok")
