"""The options of train_dcl mean the same everywhere. For random legal combinations: options.json, given to --config,
makes the same run and the same options.json; localize on the checkpoint gives the detections that train_dcl wrote.
--resume goes on with what the run had, says what differs, and refuses by name; what is wrong is said before the first
step and leaves no run behind.

usage: train_dcl_options_test.py FOLDER_WITH_THE_PROGRAMS [COMBINATIONS]
"""
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile

from run_files import content

programs = pathlib.Path(sys.argv[1]).resolve()
combinations = int(sys.argv[2]) if len(sys.argv) > 2 else 8
scratch = tempfile.TemporaryDirectory(prefix="tandem-options-")
work = pathlib.Path(scratch.name)
FILES = ["checkpoint.safetensors", "metrics.jsonl", "detections.json", "options.json"]
environment = {**os.environ, "TANDEM_NUM_THREADS": "1"}


def run(program, *words, folder=None):
    return subprocess.run([programs / program, *map(str, words)], capture_output=True, text=True, env=environment,
                          cwd=folder or work)


def good(program, *words, folder=None):
    result = run(program, *words, folder=folder)
    assert result.returncode == 0, f"{program} {' '.join(map(str, words))}:\n{result.stderr}"
    return result.stdout


def refused(*words):
    """What train_dcl says when it refuses; in one line, without a number of hundreds of digits."""
    result = run("train_dcl", *words)
    lines = [line for line in result.stderr.splitlines() if not line.endswith("--help explains the options.")]
    assert result.returncode in (1, 2) and len(lines) == 1 and len(lines[0]) < 600, f"{words}: {result.stderr}"
    return lines[0]


def options_of(out):
    return json.loads((work / out / "options.json").read_text())


def checkpoint_header(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + size]), data[8 + size:]


def same(a, b, files=FILES):
    return [name for name in files if content(work / a / name) != content(work / b / name)]


good("simulate_features", "--out", "sim", "--classes", 3, "--train-videos", 6, "--test-videos", 3, "--i3d-width", 16,
     "--clip-width", 16, "--prompt-vectors", 2, "--rows-low", 20, "--rows-high", 40)
SMALL = {"--data": "sim", "--prompt-vectors": 2, "--width": 16, "--heads": 2, "--temporal-heads": 2, "--crop": 30,
         "--batch": 2, "--warm-up-steps": 3, "--b-steps": 2, "--f-steps": 2, "--rounds": 1, "--layers": 1,
         "--temporal-layers": 1}


def small(*words):
    """SMALL with some words replaced or added."""
    rest = [word for name, value in SMALL.items() if name not in words for word in (name, value)]
    return [*rest, *words]



# ---- every option, and what it may be
draw = random.Random(11)
DOMAIN = {  # flags need no line: they are drawn from true and false
    "data": lambda: str(work / "sim"), "checkpoint-every": lambda: draw.choice([1, 3, 100]),
    "evaluate-every": lambda: draw.choice([0, 1]), "best-of-test": lambda: draw.choice([0, 2]),
    "protocol": lambda: draw.choice(["", "activitynet", "thumos-seconds"]),
    "record-videos": lambda: draw.choice([0, 1, 60]),
    "threads": lambda: draw.choice([0, 1, 2]), "device": lambda: "cpu", "clip-activation": lambda: draw.choice(["", "quick_gelu"]),
    "cbp": lambda: draw.choice(["transformer", "basnet", "co2", "um", "wtalc"]), "method-width": lambda: draw.choice([0, 8]),
    "method-warm-up": lambda: draw.choice(["own", "dcl"]), "method-batch": lambda: draw.choice([6, 7]),
    "method-rows": lambda: draw.choice([12, 25]), "method-learning-rate": lambda: draw.choice([0, 0.001]),
    "method-weight-decay": lambda: draw.choice([-1, 0.01]), "method-inference": lambda: draw.choice(["dcl", "own"]),
    "width": lambda: draw.choice([8, 16]), "layers": lambda: draw.choice([0, 1, 2]),
    "heads": lambda: draw.choice([1, 2, 4]), "mlp-ratio": lambda: draw.choice([1, 2]),
    "dropout": lambda: draw.choice([0, 0.1, 0.5]), "precision": lambda: draw.choice(["float", "bf16"]),
    "positions": lambda: draw.choice(["none", "sinusoid", "learned"]), "temporal-layers": lambda: draw.choice([0, 1]),
    "temporal-heads": lambda: draw.choice([1, 2, 4]), "prompt-vectors": lambda: 2,
    "vlp-temperature": lambda: draw.choice([0.07, 0.1, 1]), "variant": lambda: draw.choice(
        ["both", "both", "only-b", "only-f", "warm-up", "vanilla-vlp", "self-training"]),
    "batch": lambda: draw.choice([1, 2, 3]), "crop": lambda: draw.choice([10, 30]),
    "warm-up-steps": lambda: draw.choice([0, 3]), "rounds": lambda: draw.choice([0, 1, 2]),
    "b-steps": lambda: draw.choice([0, 2]), "first-b-steps": lambda: draw.choice([0, 1]), "f-steps": lambda: draw.choice([0, 1, 2]),
    "learning-rate": lambda: draw.choice([1e-4, 0.003, 1e-3]), "schedule": lambda: draw.choice(["constant", "cosine"]),
    "schedule-warm-up": lambda: draw.choice([0, 1]), "weight-decay": lambda: draw.choice([0, 1e-3]),
    "max-grad-norm": lambda: draw.choice([0, 1, 0.25]), "lambda": lambda: draw.choice([0, 0.05, 1e-6]),
    "high": lambda: draw.uniform(0.3, 0.6), "low": lambda: draw.uniform(0, 0.3),
    "vlp-learning-rate": lambda: draw.choice([0, 0.002]), "cbp-scale": lambda: draw.choice([1, 0.5]),
    "vlp-scale": lambda: draw.choice([1, 2.4]),
    "pseudo-labels": lambda: draw.choice(["thresholds", "calibrated", "ranked", "min-max", "oracle"]),
    "ranked-foreground": lambda: draw.uniform(0, 0.4), "ranked-background": lambda: draw.uniform(0.1, 0.6),
    "min-max-high": lambda: draw.uniform(0.5, 1), "min-max-low": lambda: draw.uniform(0, 0.5),
    "contrast-temperature": lambda: draw.choice([0.07, 0.5]), "topk-divisor": lambda: draw.choice([1, 8]),
    "cbp-reading": lambda: draw.choice(["sigmoid", "softmax"]),
    "vlp-reading": lambda: draw.choice(["sigmoid", "softmax"]),
    "seed": lambda: draw.choice([0, 7, 2**63, 2**64 - 1]),
    "fusion": lambda: draw.choice(["cbp", "vlp", "mean", "weighted", "geometric-mean", "normalized-mean"]), "cbp-weight": lambda: draw.uniform(0, 1),
    "theta-loc": lambda: [draw.uniform(0.1, 0.9) for _ in range(draw.choice([1, 3]))],
    "theta-cls": lambda: draw.uniform(0, 1),
    "seconds-per-row": lambda: draw.choice([0, 0.64]), "nms-sigma": lambda: draw.choice([0.3, 0.1]),
}
# Names of files, and what does without them: drawn on purpose below.
LEFT_OUT = {"version", "annotations", "i3d", "clip", "clip-weights", "vocabulary", "tokens", "random-text-encoder",
            "train-subset", "test-subset", "clip-bfloat16"}
good("train_dcl", *small("--out", "plain"))
complete = options_of("plain")
unknown = [name for name, value in complete.items()
           if name not in DOMAIN and name not in LEFT_OUT and not isinstance(value, bool)]
assert not unknown, f"add to DOMAIN what these options may be: {unknown}"
assert complete["learning-rate"] == 1e-4 and complete["theta-loc"] == [0.45] and complete["no-min-max"] is False
assert complete["version"] and all(isinstance(v, (bool, int, float, str, list)) for v in complete.values())


METHOD = {"method-width": 0, "method-batch": 0, "method-rows": 0, "method-learning-rate": 0, "method-weight-decay": -1,
          "method-inference": "dcl", "basnet-base-frames": False, "co2-suppressed-frames": False, "co2-activitynet": False,
          "um-relative-magnitudes": False, "no-background-labels": False, "teach-attention": False,
          "keep-regularisers": False}
OF = {"method-width": "basnet co2 um", "basnet-base-frames": "basnet", "co2-suppressed-frames": "co2", "co2-activitynet": "co2",
      "um-relative-magnitudes": "um", "no-background-labels": "basnet co2 um", "teach-attention": "basnet co2 um",
      "keep-regularisers": "basnet co2"}


def legal(o):
    if o["cbp"] == "transformer":
        o.update(METHOD)
    else:
        o["cbp-reading"], o["cbp-scale"] = "sigmoid", 1
        o.update({name: METHOD[name] for name, methods in OF.items() if o["cbp"] not in methods.split()})
        if o["cbp"] == "co2":
            o["concat-clip"] = False
        o["method-rows"] = o["method-rows"] or 12  # 750 take their time
        o["method-batch"] = o["method-batch"] or 6
        if o["cbp"] in OF["method-width"]:
            o["method-width"] = 8
    if o["method-inference"] == "own":
        o["fusion"] = "cbp"
        if o["variant"] == "vanilla-vlp":
            o["method-inference"] = "dcl"
    o["low"], o["high"] = min(o["low"], o["high"]), max(o["low"], o["high"])
    if o["variant"] == "vanilla-vlp":
        o["fusion"] = "vlp"
    rounds = {"both": o["b-steps"] + o["f-steps"], "only-b": o["b-steps"], "only-f": o["f-steps"],
              "self-training": o["f-steps"]}
    steps = o["warm-up-steps"] + o["rounds"] * rounds.get(o["variant"], 0)
    if o["variant"] in ("both", "only-b") and o["rounds"] > 0 and o["first-b-steps"] > 0:
        steps += o["first-b-steps"] - o["b-steps"]
    if 0 < steps <= o["schedule-warm-up"]:
        o["schedule"] = "constant"
    return o


def words_of(o):
    words = []
    for name, value in o.items():
        if isinstance(value, bool):
            words += ["--" + name] if value else []
        elif isinstance(value, list):
            words += ["--" + name, *map(repr, value)]
        elif value != "":
            words += ["--" + name, value if isinstance(value, str) else repr(value)]
    return words


def localize_gives_the_same(out, options):
    expected = json.loads((work / out / "detections.json").read_text())["results"]
    for video, wanted in expected.items():
        words = ["--checkpoint", work / out / "checkpoint.safetensors", "--features", "sim", "--data", "sim", "--id", video,
                 "--out", "one.json"]
        good("localize", *words)
        found = json.loads((work / "one.json").read_text())["results"].get(video, [])
        assert found == wanted, f"localize gives for {video} with {options}:\n{found}\nnot\n{wanted}"
    return sum(map(len, expected.values()))


detections = 0
for i in range(combinations):
    given = {name: values() for name, values in DOMAIN.items() if name == "data" or draw.random() < 0.5}
    chosen = {**{k: v for k, v in options_of("plain").items() if k != "version"}, **given}
    chosen.update({name: draw.random() < 0.3 for name, value in complete.items()
                   if isinstance(value, bool) and name not in LEFT_OUT})
    chosen = legal(chosen)
    good("train_dcl", *words_of(chosen), "--out", f"a{i}")
    written = options_of(f"a{i}")
    wrong = {name: (value, written[name]) for name, value in chosen.items() if written[name] != value}
    assert not wrong, f"given and recorded differ: {wrong}"
    good("train_dcl", "--config", work / f"a{i}" / "options.json", "--out", f"b{i}")
    assert not same(f"a{i}", f"b{i}"), f"--config options.json changes {same(f'a{i}', f'b{i}')} with {chosen}"
    # What decides the result is in the checkpoint, typed as well.
    header = json.loads(checkpoint_header(work / f"a{i}" / FILES[0])[0]["__metadata__"]["options"])
    assert header.items() <= written.items() and "lambda" in header and "threads" not in header and "data" not in header
    detections += localize_gives_the_same(f"a{i}", chosen)
assert detections > 0, "no combination found anything"

# Only part of the options, the others have their defaults; the command line wins; a flag that is false is off.
(work / "part.json").write_text(json.dumps({"no-min-max": False, "lambda": 0.1, "kd-every-entry": False}))
good("train_dcl", *small("--config", "part.json", "--lambda", "0.05", "--out", "part"))
assert not same("plain", "part")
(work / "part.json").write_text(json.dumps({"lamda": 0.1}))
assert 'did you mean "lambda"?' in refused("--config", "part.json", "--data", "sim", "--out", "none")
(work / "part.json").write_text(json.dumps({"no-min-max": "", "lambda": 0.05}))
assert "no-min-max: expected true or false" in refused("--config", "part.json", "--data", "sim", "--out", "none")
# A text in place of a flag or a number is no older program's record: it is refused, whatever it says.
for given in ({"no-min-max": "false"}, {"no-min-max": "true"}, {"concat-clip": "yes"}, {"concat-clip": "1"}, {"lambda": "0.5"},
              {"learned-scale": "on", "variant": "warm-up"}):
    (work / "part.json").write_text(json.dumps(given))
    assert next(iter(given)) in refused("--config", "part.json", "--data", "sim", "--out", "none"), given
# options.json of an older program: everything was text, unset flags "" and --no-min-max inverted.
old = {name: "" if value is False else value if isinstance(value, str) else json.dumps(value)
       for name, value in complete.items() if name != "version"}
(work / "old.json").write_text(json.dumps(old))
(work / "odd.json").write_text(json.dumps({**old, "concat-clip": "yes"}))
assert "concat-clip" in refused("--config", "odd.json", "--out", "none")
good("train_dcl", "--config", "old.json", "--out", "old")
assert not same("plain", "old"), same("plain", "old")

# ---- --resume
good("train_dcl", *small("--out", "one", "--no-min-max", "--theta-loc", "0.3", "0.45", "--learning-rate", "0.001"))
shutil.copytree(work / "one", work / "before")
(work / "elsewhere").mkdir()
good("train_dcl", "--resume", "--out", work / "one", folder=work / "elsewhere")  # needs nothing else
assert not same("one", "before"), f"a bare --resume changes {same('one', 'before')}"
good("train_dcl", "--resume", "--out", "one", "--learning-rate", "1e-3", "--theta-loc", "0.30,0.450")
assert not same("one", "before"), "equal numbers, written otherwise, are taken for others"

said = refused("--resume", "--out", "one", "--seed", 3, "--lambda", "0.5", "--width", 16)
assert "--seed 0 → 3" in said and "--lambda 0.05 → 0.5" in said and "width" not in said and "rounds" not in said, said
for words in (["--warm-up-steps", 4], ["--warm-up-steps", 2], ["--rounds", 0], ["--b-steps", 1], ["--variant", "warm-up"]):
    assert words[0] in refused("--resume", "--out", "one", *words)
assert not same("one", "before"), "a refusal changes the run"

# Longer runs are the runs that they would have been, and say so.
said = good("train_dcl", "--resume", "--out", "one", "--rounds", 2, "--theta-cls", 0.5)
assert "--rounds 1 → 2" in said and "--theta-cls 0.85 → 0.5" in said, said
good("train_dcl", *small("--out", "whole", "--no-min-max", "--theta-loc", "0.3", "0.45", "--learning-rate", "0.001",
                         "--rounds", 2, "--theta-cls", 0.5))
assert not same("one", "whole", [FILES[0], FILES[2], FILES[3]]), same("one", "whole")
lines = content(work / "one" / "metrics.jsonl").decode().splitlines()
changed = [line for line in lines if "changed_options" in line]
assert [line for line in lines if line not in changed] == content(work / "whole" / "metrics.jsonl").decode().splitlines()
assert json.loads(changed[0])["changed_options"]["rounds"] == {"before": 1, "after": 2} and len(changed) == 1
# Options of inference alone: other detections, and the checkpoint has them too.
good("train_dcl", "--resume", "--out", "one", "--fusion", "mean", "--no-min-max=false")
assert options_of("one")["no-min-max"] is False and options_of("one")["fusion"] == "mean"
localize_gives_the_same("one", "resumed")
good("train_dcl", *small("--out", "warm", "--variant", "warm-up"))
assert "has no VLP" in refused("--resume", "--out", "warm", "--fusion", "mean")
good("train_dcl", *small("--out", "cosine", "--schedule", "cosine"))
assert "cosine" in refused("--resume", "--out", "cosine", "--rounds", 2)
assert "no checkpoint in nothing" in refused("--resume", "--out", "nothing")
# A folder that holds any file of a run is a run, also where its checkpoint is gone; nothing of it is written over.
for there in (["metrics.jsonl"], ["detections.json"], ["options.json", "metrics.csv"], FILES[1:]):
    shutil.rmtree(work / "part", ignore_errors=True)
    (work / "part").mkdir()
    for name in there:
        (work / "part" / name).write_text("kept")
    said = refused(*small("--out", "part"))
    assert "part holds a run already" in said and "--fresh" in said and all(name in said for name in there), said
    said = refused("--resume", "--out", "part")
    assert "no checkpoint in part" in said and "checkpoint.safetensors" in said and all(name in said for name in there), said
    assert all((work / "part" / name).read_text() == "kept" for name in there)
    assert sorted(path.name for path in (work / "part").iterdir() if not path.name.startswith(".")) == sorted(there)
good("train_dcl", *small("--out", "part", "--fresh"))
# Without options.json it is not known where the data are: what is missing is named, and what to do.
(work / "part" / FILES[3]).unlink()
said = refused("--resume", "--out", "part")
assert "part has a checkpoint and no options.json" in said and "give --data" in said, said
good("train_dcl", "--resume", "--out", "part", "--data", "sim")

# A checkpoint of an older program, whose options are text, goes on, and localize reads it.
header, data = checkpoint_header(work / "before" / FILES[0])
meta = header["__metadata__"]
typed = json.loads(meta["options"])
typed.pop("version")
text = {name: "" if value is False else value if isinstance(value, str) else json.dumps(value)
        for name, value in typed.items()}
text["no-min-max"] = "false"  # it was given
text["theta-loc"] = "0.3 0.45"
meta["options"] = json.dumps(text, indent=2)
meta["format"] = "tandem checkpoint 1"
for name in ("checksum", "checksums"):
    meta.pop(name, None)
packed = json.dumps(header).encode()
shutil.copytree(work / "before", work / "text")
(work / "text" / FILES[0]).write_bytes(struct.pack("<Q", len(packed)) + packed + data)
(work / "text" / FILES[3]).unlink()
localize_gives_the_same("text", "an older program")
good("train_dcl", "--resume", "--out", "text", "--data", "sim")
assert not same("text", "before", FILES[1:3]), same("text", "before")

# ---- a line of metrics.jsonl that is none is named by its number
good("train_dcl", *small("--out", "garbled"))
metrics = work / "garbled" / "metrics.jsonl"
whole = metrics.read_bytes().splitlines(keepends=True)
for garbage, part in ((b"{garbage}\n", "metrics.jsonl:3:2 (byte %d)" % (len(whole[0] + whole[1]) + 1)),
                      (b'{"loss": 1}\n', "metrics.jsonl:3: ")):
    metrics.write_bytes(b"".join([*whole[:2], garbage, *whole[3:]]))
    said = refused("--resume", "--out", "garbled")
    assert part in said, said

# ---- options.json and checkpoint of two runs: which of them is wrong is not for the program to guess
shutil.copytree(work / "before", work / "mixed")
(work / "mixed" / FILES[3]).write_text(json.dumps({**options_of("mixed"), "lambda": 0.5}))
said = refused("--resume", "--out", "mixed")
assert "disagree" in said and "--lambda 0.05 → 0.5" in said and "checkpoint.safetensors" in said and "options.json" in said, said
(work / "mixed" / FILES[3]).unlink()  # as the message says
good("train_dcl", "--resume", "--out", "mixed", "--data", "sim")

# ---- what is given and has no effect is told, whatever it is; what a config file holds for other runs is not
for words, part in {
    ("--variant", "warm-up", "--rounds", 3, "--lambda", 0.5): "--rounds 3, --lambda 0.5 (counts with a variant that has rounds)",
    ("--variant", "warm-up", "--vlp-temperature", 0.5): "--prompt-vectors 2, --vlp-temperature 0.5 (counts with a variant or --fusion that asks VLP)",
    ("--variant", "vanilla-vlp", "--cbp", "wtalc"): "--cbp wtalc, --warm-up-steps 3 (counts with a variant that trains CBP)",
    ("--variant", "warm-up", "--cbp", "wtalc", "--method-batch", 6, "--layers", 3): "--width 16, --layers 3 (counts with --cbp transformer, where CBP is trained)",
    ("--variant", "only-f", "--b-steps", 7): "--b-steps 7 (counts with --variant both or only-b, in rounds without --first-b-steps)",
    ("--pseudo-labels", "thresholds", "--ranked-foreground", 0.2): "--ranked-foreground 0.2 (counts with --pseudo-labels ranked)",
    ("--pseudo-labels", "ranked", "--high", 0.4): "--high 0.4 (counts with --pseudo-labels thresholds or calibrated)",
    ("--lambda", 0, "--contrast-temperature", 0.5): "--contrast-temperature 0.5 (counts with rounds and --lambda above 0)",
}.items():
    said = good("train_dcl", *small("--out", "idle", "--fresh", *words))
    assert "note: given, but of no effect on what this run trains and finds: " in said and part in said, (words, said)
(work / "part.json").write_text(json.dumps({"rounds": 3, "layers": 3}))
said = good("train_dcl", "--config", "part.json", "--data", "sim", "--out", "idle", "--fresh", "--variant", "warm-up", "--warm-up-steps", 2,
            "--cbp", "wtalc", "--method-batch", 6)
assert "no effect" not in said and "no effect" not in good("train_dcl", *small("--out", "idle", "--fresh")), said

# ---- what is wrong is said before the first step, and nothing is left behind
for words, part in {
    ("--lambda", "nan"): "--lambda", ("--lambda", "inf"): "--lambda", ("--lambda", "-1"): "from 0 to",
    ("--theta-cls", "nan"): "--theta-cls", ("--theta-loc", "0.3", "inf"): "--theta-loc", ("--cbp-weight", "nan"): "--cbp-weight",
    ("--max-grad-norm", "nan"): "--max-grad-norm", ("--learning-rate", "1e400"): "--learning-rate",
    ("--seed", "18446744073709551616"): "18446744073709551615", ("--seed", "-1"): "--seed",
    ("--high", "0.1", "--low", "0.3"): "--low must not exceed --high", ("--width", "15", "--heads", "2"): "--heads",
    ("--resume", "--fresh"): "exclude", ("--variant", "vanilla-vlp", "--fusion", "cbp"): "vanilla-vlp",
    ("--schedule", "cosine", "--schedule-warm-up", "1000"): "--schedule-warm-up", ("--protocol", "thumos"): "thumos-index",
    ("--vocabulary", "a", "--tokens", "b"): "exclude", ("--rounds", "9999999999999999999"): "--rounds",
    ("--nms-sigma", "0"): "--nms-sigma", ("--train-subset", "trian"): "trian",
    ("--temporal-heads", "3"): "the CLIP rows have 16 columns, which --temporal-heads 3 does not divide",
    ("--prompt-vectors", "500"): "with --prompt-vectors 500 the prompt of class 0",
    ("--batch", "1000000", "--layers", "1000", "--mlp-ratio", "64"): "GB: reduce --batch or --crop",
    ("--width", "65536", "--layers", "1000"): "GB: reduce --width or --layers",
}.items():
    said = refused(*small("--out", "none", *words))
    assert part in said, f"{words}: {said}"
    assert not (work / "none").exists(), f"{words}: a run that was refused left its folder"
(work / "there").mkdir()
refused(*small("--out", "there/a/b", "--train-subset", "trian"))
assert list((work / "there").iterdir()) == [], "the parents that a refused run made are left"
assert "/dev/null" in refused(*small("--out", "/dev/null/run"))
shutil.copytree(work / "sim", work / "bad")
video = next((work / "bad" / "clip").rglob("*.npy"))
rows = bytearray(video.read_bytes())
rows[-4:] = struct.pack("<f", float("nan"))
video.write_bytes(rows)
said = refused(*small("--data", "bad", "--out", "none"))
assert video.name in said and "not a finite number" in said, said
video.unlink()
said = refused(*small("--data", "bad", "--out", "none"))
assert video.stem in said, said
shutil.copytree(work / "sim", work / "bad_text")
text = work / "bad_text" / "text_encoder.safetensors"
header, data = checkpoint_header(text)
begin = header["text_projection"]["data_offsets"][0]
broken = data[:begin + 8] + struct.pack("<f", float("inf")) + data[begin + 12:]
text.write_bytes(text.read_bytes()[:-len(data)] + broken)
said = refused(*small("--data", "bad_text", "--out", "none"))
assert "text_encoder.safetensors" in said and '"text_projection" is inf at element 2' in said, said
assert not (work / "none" / FILES[0]).exists() and not (work / "none" / "metrics.jsonl").exists()

print(f"{combinations} combinations, {detections} detections that localize finds too")
