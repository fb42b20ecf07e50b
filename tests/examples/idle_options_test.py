"""What is given to train_dcl and detect without effect is told, whatever the option; what has an effect is not. Of every
option and several runs: the run with the option beside the run without it. Where the checkpoint's tensors and the
detections are the same, the option is in the note; where they differ, it is not. Files that are not read may be missing.

usage: idle_options_test.py FOLDER_WITH_THE_PROGRAMS [all]

The quick form tries half of the pairs, other ones for each option; "all" tries each.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

programs = pathlib.Path(sys.argv[1]).resolve()
everything = sys.argv[2:] == ["all"]
scratch = tempfile.TemporaryDirectory(prefix="tandem-idle-")
work = pathlib.Path(scratch.name)
environment = {**os.environ, "TANDEM_NUM_THREADS": "1"}


def run(program, *words):
    return subprocess.run([programs / program, *map(str, words)], capture_output=True, text=True, env=environment, cwd=work)


def good(program, *words):
    done = run(program, *words)
    assert done.returncode == 0, f"{program} {' '.join(map(str, words))}:\n{done.stderr}"
    return done.stdout


def noted(said):
    """The options of the note of a program."""
    lines = [line for line in said.splitlines() if line.startswith("note: given, but of no effect on ")]
    assert len(lines) < 2, lines
    text = lines[0].split(": ", 2)[2] if lines else ""
    return set(re.findall(r"--([a-z0-9-]+)", re.sub(r"\(counts with [^()]*(\([^()]*\))?[^()]*\)", "", text)))


def result(out):
    """The tensors of a checkpoint, and the detections."""
    data = (work / out / "checkpoint.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    tensors = {name: data[8 + size:][slice(*one["data_offsets"])] for name, one in header.items() if name != "__metadata__"}
    return tensors, json.loads((work / out / "detections.json").read_text())["results"]


def same(a, b):
    """A tensor that only one of them has (--learned-scale before it learns) decides nothing that the detections do not say,
    but numbers the moments of the optimizer otherwise."""
    return a[1] == b[1] and all(a[0][name] == b[0][name] for name in a[0].keys() & b[0].keys() if not name.startswith("optimizer."))


good("simulate_features", "--out", "sim", "--classes", 3, "--train-videos", 6, "--test-videos", 3, "--i3d-width", 16,
     "--clip-width", 16, "--prompt-vectors", 2, "--rows-low", 20, "--rows-high", 40)
BASE = {"data": "sim", "prompt-vectors": 2, "width": 16, "heads": 2, "temporal-heads": 2, "crop": 15, "batch": 3,
        "warm-up-steps": 2, "b-steps": 2, "f-steps": 2, "rounds": 1, "layers": 1, "temporal-layers": 1, "learning-rate": 0.01,
        "theta-cls": 0.2, "theta-loc": "0.3,0.5", "random-temporal-start": True, "prompts-per-class": False}
OWN = {"method-rows": 12, "method-batch": 6, "method-learning-rate": 0.01}
RUNS = {  # what a run is beside BASE
    "both": {},
    "only-b": {"variant": "only-b"},
    "only-f": {"variant": "only-f", "pseudo-labels": "thresholds", "fusion": "mean"},
    "only-f, from the identity": {"variant": "only-f", "random-temporal-start": False, "fusion": "mean"},
    "self-training": {"variant": "self-training", "cbp": "basnet", "method-width": 8, **OWN},
    "warm-up": {"variant": "warm-up"},
    "warm-up of both": {"variant": "warm-up", "fusion": "weighted"},
    "vanilla": {"variant": "vanilla-vlp"},
    "vanilla, random text": {"variant": "vanilla-vlp", "random-text-encoder": True},
    "own": {"variant": "warm-up", "cbp": "um", "method-width": 8, "method-inference": "own", **OWN},
    "own co2": {"variant": "warm-up", "cbp": "co2", "method-width": 8, "method-inference": "own", **OWN},
    "own warm-up, detected by dcl": {"variant": "warm-up", "cbp": "wtalc", **OWN},
    "method by dcl": {"cbp": "basnet", "method-width": 8, "method-warm-up": "dcl", "method-inference": "own"},
    "no step": {"rounds": 0, "warm-up-steps": 0, "fusion": "mean"},
    "a first phase": {"first-b-steps": 1, "lambda": 0, "fusion": "mean"},
    "oracle": {"variant": "self-training", "pseudo-labels": "oracle", "no-kd-foreground": True, "no-kd-background": True},
}
VALUES = {  # another value of each option, which changes what reads it
    "clip-activation": "gelu", "clip-bfloat16": True, "random-text-encoder": True, "cbp": "wtalc", "method-width": 16,
    "method-warm-up": "dcl", "method-batch": 7, "method-rows": 9, "method-learning-rate": 0.003, "method-weight-decay": 0.5,
    "method-inference": "own", "basnet-base-frames": True, "co2-suppressed-frames": True, "co2-activitynet": True,
    "um-relative-magnitudes": True, "no-background-labels": True, "teach-attention": True, "keep-regularisers": True,
    "width": 8, "layers": 3, "heads": 4, "cbp-scale": 0.5, "vlp-scale": 3, "mlp-ratio": 2, "dropout": 0.5, "precision": "bf16",
    "positions": "learned", "temporal-layers": 3, "temporal-heads": 4, "prompt-vectors": 3, "prompts-per-class": True,
    "vlp-temperature": 0.5, "learned-scale": True, "variant": "only-b", "batch": 2, "crop": 10, "warm-up-steps": 1,
    "rounds": 3, "b-steps": 1, "first-b-steps": 1, "f-steps": 1, "learning-rate": 0.003, "schedule": "cosine",
    "schedule-warm-up": 3, "weight-decay": 0.5, "max-grad-norm": 1e-4, "lambda": 3, "no-kd-foreground": True,
    "no-kd-background": True, "kd-every-entry": True, "vlp-learning-rate": 0.003, "pseudo-labels": "min-max", "high": 0.55,
    "low": 0.02, "ranked-foreground": 0.4, "ranked-background": 0.2, "min-max-high": 0.9, "min-max-low": 0.05,
    "contrast-temperature": 3, "contrast-same-video": True, "topk-divisor": 1, "cbp-reading": "softmax",
    "vlp-reading": "softmax", "concat-clip": True, "seed": 3, "fusion": "mean", "cbp-weight": 0.9, "theta-loc": 0.4,
    "theta-cls": 0.99, "no-min-max": True, "nms-sigma": 0.01, "seconds-per-row": 0.32,
}
FILES = ["i3d", "clip", "clip-weights", "vocabulary", "tokens"]  # read, or they may be missing
# What is measured or saved on the way, and what only some data have.
ASIDE = {"checkpoint-every": 7, "evaluate-every": 1, "best-of-test": 1, "record-videos": 3}
NOT_IN_RUNS = {"data", "annotations", "train-subset", "test-subset", "protocol", "threads", "device", "version",
               "random-temporal-start"}


def words(options):
    out = []
    for name, value in options.items():
        out += ([f"--{name}"] if value else []) if isinstance(value, bool) else [f"--{name}", value]
    return out


def train(out, options):
    return run("train_dcl", *words({**BASE, **options}), "--out", out)


with concurrent.futures.ThreadPoolExecutor(2) as pool:
    # ---- train_dcl
    plain = dict(zip(RUNS, pool.map(lambda name: train(f"plain {name}", RUNS[name]), RUNS)))
    for name, done in plain.items():
        assert done.returncode == 0, (name, done.stderr)
    expected = {name: result(f"plain {name}") for name in RUNS}
    assert all(any(found.values()) for _, found in expected.values()), "a run that finds nothing tells nothing"
    options = set(json.loads((work / "plain both" / "options.json").read_text()))
    missing = options - set(VALUES) - set(FILES) - set(ASIDE) - NOT_IN_RUNS
    assert not missing, f"say what another value of these options is: {missing}"

    def compare(pair):
        name, option = pair
        is_file = option in FILES
        given = {**RUNS[name], option: "missing" if is_file else VALUES.get(option, ASIDE.get(option))}
        out = f"{name}, {option}"
        done = train(out, given)
        if is_file:
            read = done.returncode != 0
        elif done.returncode != 0:
            return None  # does not go together, which is told as well
        elif option in ASIDE:
            steps = name not in ("vanilla", "vanilla, random text", "no step")
            rounds = RUNS[name].get("variant", "both") not in ("warm-up", "vanilla-vlp") and steps
            read = rounds if option == "evaluate-every" else steps
        else:
            read = not same(expected[name], result(out))
        told = option in noted(done.stdout)
        if read == told:
            return f"{name}: --{option} is {'read' if read else 'not read'} and {'told' if told else 'not told'}"
        return ""

    pairs = [(name, option) for o, option in enumerate([*VALUES, *FILES, *ASIDE]) for n, name in enumerate(RUNS)
             if option not in RUNS[name] and (everything or (o + n) % 2 == 0)]
    outcomes = list(pool.map(compare, pairs))
wrong = [text for text in outcomes if text]
compared = sum(text is not None for text in outcomes)
assert not wrong, f"{len(wrong)} of {compared}:\n" + "\n".join(wrong)

# ---- detect and localize: every option of inference and of what is read, by checkpoints that read different things
good("train_boosting", "--data", "sim", "--out", "boosting", "--steps", 1, "--batch", 4, "--pairs", 1, "--rows", 10, "--hidden", 8,
     "--encoded", 8, "--mlp-hidden", 8, "--width", 8, "--decoder-hidden", 8)
CHECKPOINTS = {"both": "plain both", "warm-up": "plain warm-up", "vanilla": "plain vanilla", "own": "plain own",
               "boosting": "boosting"}
DATA, FOLDER = ["--data", "sim"], ["--features", "sim/i3d"]
NONE = set()
for name, given, told in [
    # checkpoint, command line, what is told of it
    ("both", [*DATA, "--theta-cls", 0.3, "--theta-loc", 0.3, "--nms-sigma", 0.4, "--no-min-max"], NONE),
    ("both", [*DATA, "--cbp-weight", 0.3], {"cbp-weight"}),
    ("both", [*DATA, "--cbp-weight", "0.3,0.4", "--fusion", "cbp,mean"], {"cbp-weight"}),
    ("both", [*DATA, "--cbp-weight", "0.3,0.4", "--fusion", "cbp,weighted"], NONE),
    ("both", [*DATA, "--vocabulary", "missing", "--clip-weights", "sim/text_encoder.safetensors"], {"vocabulary", "clip-weights"}),
    ("both", [*DATA, "--tokens", "missing"], {"tokens"}),
    ("both", [*DATA, "--tokens", "sim/class_tokens.json", "--clip-weights", "sim/text_encoder.safetensors", "--fusion", "mean"], NONE),
    ("both", [*DATA, "--i3d", "sim/i3d", "--clip", "sim/clip"], NONE),
    ("both", [*FOLDER, "--data", "sim"], {"data"}),
    ("both", [*FOLDER, "--i3d", "missing", "--clip", "missing"], {"i3d", "clip"}),
    ("both", [*FOLDER, "--protocol", "activitynet", "--subset", "missing"], {"protocol", "subset"}),
    ("both", [*FOLDER, "--protocol", "activitynet", "--subset", "test", "--annotations", "sim/gt.json"], NONE),
    ("both", [*DATA, "--recursive"], {"recursive"}),
    ("warm-up", [*DATA, "--clip", "missing"], {"clip"}),
    ("vanilla", [*DATA, "--i3d", "missing"], {"i3d"}),
    ("vanilla", [*DATA, "--clip", "sim/clip", "--tokens", "sim/class_tokens.json"], NONE),
    ("own", [*DATA, "--theta-cls", 0.3, "--theta-loc", "0.3,0.45", "--nms-sigma", 0.4, "--no-min-max"],
     {"theta-cls", "theta-loc", "nms-sigma", "no-min-max"}),
    ("own", [*DATA, "--theta-cls", 0.3, "--method-inference", "own,dcl"], NONE),
    ("boosting", [*DATA, "--theta-cls", "0.3,0.4", "--theta-loc", 0.3, "--nms-sigma", 0.4, "--no-min-max"],
     {"theta-cls", "theta-loc", "nms-sigma", "no-min-max"}),
    ("boosting", [*DATA, "--theta-cls", 0.3, "--method-inference", "dcl"], NONE),
    ("boosting", [*DATA, "--tokens", "missing", "--vocabulary", "missing", "--clip", "missing"], {"tokens", "vocabulary", "clip"}),
]:
    said = good("detect", "--checkpoint", f"{CHECKPOINTS[name]}/checkpoint.safetensors", "--out", "found", *given)
    assert noted(said) == told, (name, given, said)
if "--i3d-rgb" in run("detect", "--help").stdout:
    given = ["--flow-tau", 0.2, "--stack", 9, "--clip-frames", 3, "--random-weights", 0, "--resize", 200]
    said = good("detect", "--checkpoint", "plain both/checkpoint.safetensors", "--out", "found", *DATA, *given)
    assert noted(said) == {"flow-tau", "stack", "clip-frames", "random-weights", "resize"}, said
# What a config file holds may be for other runs.
(work / "given.json").write_text(json.dumps({"theta-cls": 0.3, "data": "sim", "vocabulary": "missing"}))
for words, told in (([], NONE), (["--nms-sigma", 0.4], {"nms-sigma"})):
    said = good("detect", "--checkpoint", "boosting/checkpoint.safetensors", "--out", "found", "--config", "given.json", *words)
    assert noted(said) == told, (words, said)
one = ["localize", "--features", "sim", "--id", sorted(expected["both"][1])[0], "--checkpoint"]
for name, given, told in [
    ("both", ["--theta-cls", 0.3, "--show-classes", 3, "--cbp-weight", 0.3], {"show-classes", "cbp-weight"}),
    ("both", ["--theta-cls", 0.3, "--show-classes", 3, "--page", "page.html"], NONE),
    ("boosting", ["--theta-loc", 0.3, "--tokens", "missing"], {"theta-loc", "tokens"}),
]:
    said = good(*one, f"{CHECKPOINTS[name]}/checkpoint.safetensors", *given)
    assert noted(said) == told, (name, given, said)
print(f"{compared} pairs of an option and a run")
