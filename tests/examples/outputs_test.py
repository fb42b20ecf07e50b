"""No program writes over what it reads: files that are named, those of folders that are named, and those of a run beside its
checkpoint. What is refused leaves every byte as it was; what a program wrote itself may be written again.

usage: outputs_test.py FOLDER_WITH_THE_PROGRAMS
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

programs = pathlib.Path(sys.argv[1]).resolve()
scratch = tempfile.TemporaryDirectory(prefix="tandem-outputs-")
work = pathlib.Path(scratch.name)


def run(program, *words):
    return subprocess.run([programs / program, *map(str, words)], capture_output=True, text=True, cwd=work,
                          env={**os.environ, "TANDEM_NUM_THREADS": "1"})


def good(program, *words):
    done = run(program, *words)
    assert done.returncode == 0, f"{program} {' '.join(map(str, words))}:\n{done.stderr}"


def tree():
    return {path: path.read_bytes() for path in work.rglob("*") if path.is_file() and "lock" not in path.name}


good("simulate_features", "--out", "sim", "--classes", 3, "--train-videos", 6, "--test-videos", 3, "--i3d-width", 16,
     "--clip-width", 16, "--prompt-vectors", 2, "--rows-low", 20, "--rows-high", 40)
good("train_dcl", "--data", "sim", "--out", "run", "--variant", "warm-up", "--warm-up-steps", 2, "--width", 16, "--heads", 2,
     "--layers", 1, "--theta-cls", 0)
# A run on data of its own, with a part of them elsewhere, and one whose options.json names every kind of path.
good("simulate_features", "--out", "sim2", "--classes", 3, "--train-videos", 6, "--test-videos", 3, "--i3d-width", 16,
     "--clip-width", 16, "--prompt-vectors", 2, "--rows-low", 20, "--rows-high", 40)
(work / "sim2/i3d").rename(work / "rows2")
good("train_dcl", "--data", "sim2", "--i3d", "rows2", "--out", "run2", "--variant", "warm-up", "--warm-up-steps", 2, "--width", 16,
     "--heads", 2, "--layers", 1)
(work / "run3").mkdir()
(work / "weights").mkdir()
for name in ("config.json", "model.safetensors.index.json", "merges.txt", "words.txt", "ids.json"):
    (work / "weights" / name).write_text("{}")
(work / "run3/checkpoint.safetensors").write_bytes((work / "run/checkpoint.safetensors").read_bytes())
(work / "run3/options.json").write_text(json.dumps(
    {"data": str(work / "sim"), "clip-weights": str(work / "weights"), "vocabulary": str(work / "weights/merges.txt"),
     "glove": str(work / "weights/words.txt"), "tokens": str(work / "weights/ids.json"), "annotations": str(work / "real"),
     "clip": str(work / "sim2/clip")}))
video = sorted(json.loads((work / "run/detections.json").read_text())["results"])[0]
rows = f"sim/i3d/{video}.npy"
(work / "link").symlink_to("run")
(work / "table.json").write_text('{"title": "t", "header": ["a"], "rows": [["1"]]}')
(work / "out").mkdir()
(work / "out/evaluation.json").write_bytes((work / "sim/gt.json").read_bytes())
(work / "real").mkdir()
(work / "real/gt.json").write_bytes((work / "sim/gt.json").read_bytes())
CHECKPOINT = ["--checkpoint", "run/checkpoint.safetensors"]
LOCALIZE = ["localize", *CHECKPOINT, "--features", "sim", "--id", video]
EVALUATE = ["evaluate", "--ground-truth", "sim", "--detections", "run/detections.json", "--protocol", "thumos-seconds",
            "--subset", "test"]
CASES = [
    *([*LOCALIZE, option, file] for option in ("--out", "--page") for file in (
        "run/checkpoint.safetensors", "run/options.json", "run/detections.json", "run/metrics.jsonl", "run/metrics.csv",
        "link/options.json", "sim/gt.json", rows, f"./sim/../{rows}", "sim/text_encoder.safetensors")),
    ["localize", *CHECKPOINT, "--features", rows, "--out", rows],
    [*LOCALIZE, "--annotations", "real/gt.json", "--out", "real/gt.json"],
    [*LOCALIZE, "--classes", "real", "--out", "real/gt.json"],
    [*EVALUATE, "--json", "run/detections.json"], [*EVALUATE, "--json", "run/checkpoint.safetensors"],
    [*EVALUATE, "--json", "sim/gt.json"], [*EVALUATE, "--json", "sim/class_tokens.json"],
    *(["report", "--run", "run", "--page", file] for file in (
        "run/detections.json", "run/options.json", "link/metrics.csv", "run/checkpoint.safetensors")),
    ["report", "--run", "run", "--data", "sim", "--page", rows],
    # The data are those that the options of the run name, and of the run beside it, also where they lie elsewhere now.
    *(["report", "--run", "run", "--page", file] for file in (
        "sim/gt.json", rows, f"sim/clip/{video}.npy", "sim/glove.txt", "sim/class_tokens.json", "sim/text_encoder.safetensors")),
    ["report", "--run", "run", "--data", "sim2", "--page", "sim/gt.json"],
    *(["report", "--run", a, "--beside", b, "--page", file] for a, b in (("run", "run2"), ("run2", "run")) for file in (
        "sim/gt.json", "sim2/gt.json", f"rows2/{video}.npy", rows)),
    *(["report", "--run", "run3", "--page", file] for file in (
        "weights/config.json", "weights/model.safetensors.index.json", "weights/merges.txt", "weights/words.txt",
        "weights/ids.json", "real/gt.json", "sim/gt.json", f"sim2/clip/{video}.npy")),
    ["report", "--run", "run", "--table", "table.json", "--page", "table.json"],
    ["detect", *CHECKPOINT, "--features", "sim", "--annotations", "out/evaluation.json", "--out", "out"],
    ["simulate_features", "--annotations", "real", "--out", "real"],
    ["simulate_features", "--annotations", "real/gt.json", "--out", "real"],
]
if (programs / "optical_flow").exists():
    def png(path, shade):
        chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        raw = b"".join(b"\0" + bytes((shade * x * y) % 256 for x in range(3 * 32)) for y in range(32))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0))
                         + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))

    png(work / "a.png", 3)
    png(work / "b.png", 5)
    (work / "rows.npy").write_bytes((work / "a.png").read_bytes())  # an image, whatever its name says
    CASES += [["optical_flow", "a.png", "b.png", "--out", "a.png"], ["optical_flow", "a.png", "b.png", "--color", "b.png"]]
    if (programs / "clip_features").exists():
        weights = "sim/text_encoder.safetensors"
        CASES += [["clip_features", "--weights", weights, "rows.npy", "--out", "rows.npy"],
                  ["clip_features", "--weights", weights, "a.png", "--out", weights]]
before = tree()
for words in CASES:
    if not (programs / words[0]).exists():
        continue
    done = run(*words)
    assert done.returncode in (1, 2) and "would be overwritten" in done.stderr, (words, done.stdout, done.stderr)
    now = tree()
    assert now == before, (words, [str(path) for path in now.keys() ^ before.keys()])
# Twice the same command is no such case.
for words in ([*LOCALIZE, "--out", "sim/found.json", "--page", "sim/page.html"], [*EVALUATE, "--json", "run/evaluation.json"],
              ["detect", *CHECKPOINT, "--data", "sim", "--out", "run"], ["report", "--run", "run", "--page", "run/page.html"]):
    for _ in range(2):
        good(*words)
print(f"{len(CASES)} commands")
