"""Every program, with a standard output that cannot be written: exit status 1, and a sentence that says so. A program
that is added to examples/ without an entry here fails the test.

usage: standard_output_test.py FOLDER_WITH_THE_PROGRAMS [ONLY THESE …]
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

programs = pathlib.Path(sys.argv[1])
source = pathlib.Path(__file__).resolve().parents[2]
golden = source / "tests/golden"
scratch = tempfile.TemporaryDirectory(prefix="tandem-stdout-")
work = pathlib.Path(scratch.name)

if not os.path.exists("/dev/full"):
    print("skipped: this system has no /dev/full")
    sys.exit(77)

frames, side = 24, 32
(work / "gray.y4m").write_bytes(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420jpeg\n" % (side, side) + b"".join(
    b"FRAME\n" + bytes((x * 5 + y * 3 + 7 * n) % 256 for y in range(side) for x in range(side)) + b"\x80" * (side * side // 2)
    for n in range(frames)))
clips = work / "clips"
for cls, subset in ((c, s) for c in ("Gray", "Other") for s in ("train", "test")):
    (clips / cls).mkdir(parents=True, exist_ok=True)
    (clips / cls / f"{cls}_{subset}.y4m").write_bytes((work / "gray.y4m").read_bytes())
for subset in ("train", "test"):
    (clips / f"{subset}list01.txt").write_text(f"Gray/Gray_{subset}.y4m\nOther/Other_{subset}.y4m\n")
(work / "merges.txt").write_text("#version: 0.2\na b\nab c</w>\n")
(work / "run").mkdir()
small_data = ["--classes", 2, "--train-videos", 4, "--test-videos", 2, "--i3d-width", 16, "--clip-width", 16, "--prompt-vectors", 2]
small_run = ["--data", work / "sim", "--prompt-vectors", 2, "--width", 8, "--heads", 1, "--temporal-heads", 1, "--crop", 30, "--batch",
             2, "--warm-up-steps", 2, "--b-steps", 1, "--f-steps", 1, "--rounds", 1]
picture = golden / "image/pillow.png"



def boosting():
    """Two steps of train_boosting, on word vectors of the names of the simulated classes."""
    truth = json.loads((work / "sim/gt.json").read_text())["database"]
    labels = {annotation["label"] for video in truth.values() for annotation in video["annotations"]}
    words = {word.lower() for label in labels for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", label)}
    words |= {"the", ".", "of", "one", "video", "and"}
    (work / "glove.txt").write_text("".join(f"{word} 0.{i + 1} 0.5 -0.2 0.1 0.3 -0.4\n" for i, word in enumerate(sorted(words))))
    return ["--data", work / "sim", "--out", work / "boosting", "--glove", work / "glove.txt", "--frequent-words", len(words), "--steps", 2,
            "--rows", 24, "--batch", 4, "--pairs", 1, "--width", 8, "--decoder-hidden", 8, "--prompt-vectors", 2, "--mlp-hidden", 16]


# What each program needs to print something. None: only --help, whose output is what is tested.
PROGRAMS = {
    "simulate_features": lambda: ["--out", work / "other", *small_data],
    "train_dcl": lambda: [*small_run, "--out", work / "run2"],
    "detect": lambda: ["--checkpoint", work / "run/checkpoint.safetensors", "--data", work / "sim", "--out", work / "detected"],
    "localize": lambda: ["--checkpoint", work / "run/checkpoint.safetensors", "--features", sorted((work / "sim/i3d").iterdir())[0]],
    "evaluate": lambda: ["--ground-truth", work / "sim/gt.json", "--detections", work / "run/detections.json", "--protocol",
                         "thumos-seconds", "--subset", "all"],
    "dcl_demo": lambda: ["--seeds", 1, "--no-softmax", "--rounds", 1, "--warm-up-steps", 1, "--b-steps", 1, "--f-steps", 1, "--width", 8,
                         "--layers", 0, *small_data[:-2]],
    "train_boosting": boosting,
    "reproduce": lambda: ["--simulate", "--seeds", 1, "--tables", "vanilla", "--out", work / "study", "--width", 8, "--heads", 1,
                          "--temporal-heads", 1, *small_data],
    "extract_features": lambda: [work / "gray.y4m", "--out", work / "features", "--random-weights", 0, "--random-narrow", 64,
                                 "--flow-size", 32, "--streams", "rgb"],
    "tokenize": lambda: ["--vocabulary", work / "merges.txt"],
    "optical_flow": lambda: [picture, picture, "--scales", 1, "--warps", 1],
    "clip_features": lambda: ["--weights", golden / "clip/converted.safetensors", "--out", work / "clip.npy", picture],
    "clip_inspect": lambda: ["--weights", golden / "clip/converted.safetensors"],
    "i3d_inspect": lambda: ["--weights", golden / "i3d/rgb.safetensors"],
    "zero_shot": None,  # needs a vocabulary that fits the weights
    "mlp": lambda: [],
    "custom_op": lambda: [],
    "digits_cnn": lambda: ["--steps", 2, "--out", work / "digits.safetensors"],
    "char_transformer": lambda: ["--steps", 2, "--out", work / "char.safetensors"],
    "report": lambda: ["--run", work / "run", "--data", work / "sim", "--page", work / "report.html"],
    "pretrain_i3d": lambda: ["--out", work / "mini", "--steps", 1, "--batch", 2, "--test", 2],
    "pretrain_clip": lambda: ["--out", work / "mini", "--steps", 1, "--batch", 2, "--test", 2],
    "render_world": lambda: ["--out", work / "world", "--train", 12, "--test", 12, "--rows", 32],
    "compose_videos": lambda: ["--clips", clips, "--classes", "Gray", "--out", work / "composed", "--train", 1, "--test", 1,
                               "--instances", 1, "--gap", 1, "--size", 32],
}
here = {path.stem for path in (source / "examples").glob("*.cpp")}
assert here == set(PROGRAMS), f"programs without an entry in this test, or without a source: {here ^ set(PROGRAMS)}"
optional = {"extract_features", "render_world", "compose_videos"}  # are not built without FFmpeg
chosen = set(sys.argv[2:]) or {name for name in PROGRAMS if name not in optional or (programs / name).exists()}


def run(name, words, to):
    with open(to, "w") as out:
        return subprocess.run([str(word) for word in (programs / name, *words)], stdout=out, stderr=subprocess.PIPE, text=True,
                              input="abc\n" * 3, env={**os.environ, "TANDEM_NUM_THREADS": "1"})


def prepare(name, words):
    done = run(name, words, work / "said")
    assert done.returncode == 0, f"{name}: {done.stderr}"


if chosen & {"train_dcl", "train_boosting", "detect", "localize", "evaluate"}:
    prepare("simulate_features", ["--out", work / "sim", *small_data])
    prepare("train_dcl", [*small_run, "--out", work / "run"])

for name in sorted(chosen):
    tries = {"--help": ["--help"]}
    if PROGRAMS[name] is not None:
        tries["a run"] = PROGRAMS[name]()
    for what, words in tries.items():
        full = run(name, words, "/dev/full")
        assert full.returncode == 1, f"{name}, {what}: exit status {full.returncode} with stdout on a full disk\n{full.stderr}"
        assert "cannot write to the standard output" in full.stderr, f"{name}, {what}: {full.stderr}"
    # The same words are right where the output can be written: what failed was the output.
    if PROGRAMS[name] is not None:
        words = [str(word).replace(str(work / "other"), str(work / "other2")).replace(
            str(work / "boosting"), str(work / "boosting2")) for word in PROGRAMS[name]()]
        if name == "train_dcl":
            words = [*words, "--fresh"]
        good = run(name, words, work / "said")
        assert good.returncode == 0, f"{name}: {good.stderr}"
        assert (work / "said").stat().st_size > 0, f"{name} printed nothing"

# It is found out before the hours of training, not after them.
if "train_dcl" in chosen:
    early = run("train_dcl", [*small_run, "--out", work / "early"], "/dev/full")
    assert early.returncode == 1 and not (work / "early/checkpoint.safetensors").exists(), "train_dcl trained all the same"
print(f"{len(chosen)} programs: an output that cannot be written is an error")
