"""train_dcl and localize on data sets that have less than everything, and on rows of another length.

Labels of whole videos train; without test videos, or without segments there, the detections are written and no mAP is
given; what a variant does not read need not exist. Rows of 0.32 s, said by the provenance or by --seconds-per-row,
give the detections of 0.64 s at half the time; unsaid, they are refused.

usage: weak_labels_test.py FOLDER_WITH_THE_PROGRAMS
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from run_files import content

programs = pathlib.Path(sys.argv[1])
scratch = tempfile.TemporaryDirectory(prefix="tandem-weak-")
work = pathlib.Path(scratch.name)
environment = {**os.environ, "TANDEM_NUM_THREADS": "1"}


def run(program, *words):
    return subprocess.run([programs / program, *map(str, words)], capture_output=True, text=True, env=environment, cwd=work)


def good(program, *words):
    result = run(program, *words)
    assert result.returncode == 0, f"{program} {' '.join(map(str, words))}:\n{result.stdout}{result.stderr}"
    return result.stdout


def refused(program, *words):
    result = run(program, *words)
    assert result.returncode == 1, f"{program} {' '.join(map(str, words))}: exit {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stderr


good("simulate_features", "--out", "sim", "--classes", 2, "--train-videos", 4, "--test-videos", 2, "--i3d-width", 16,
     "--clip-width", 16, "--prompt-vectors", 2, "--rows-low", 30, "--rows-high", 50)
TRUTH = json.loads((work / "sim/gt.json").read_text())["database"]
SMALL = ["--prompt-vectors", 2, "--width", 16, "--heads", 2, "--temporal-heads", 2, "--crop", 40, "--batch", 2,
         "--warm-up-steps", 3, "--b-steps", 2, "--f-steps", 2, "--rounds", 1]
TRAIN = [id for id, video in TRUTH.items() if video["subset"] == "train"]
TEST = [id for id, video in TRUTH.items() if video["subset"] == "test"]


def data_set(name, truth, leave_out=()):
    """A copy of the simulated set with other annotations and without some files."""
    folder = work / name
    shutil.copytree(work / "sim", folder, ignore=lambda _, names: [n for n in names if n in leave_out])
    (folder / "gt.json").write_text(json.dumps({"database": truth}))
    return folder


def changed(change):
    truth = json.loads(json.dumps(TRUTH))
    for id, video in truth.items():
        change(id, video)
    return truth


def train(data, out, *words):
    return good("train_dcl", "--data", data, "--out", out, *SMALL, *words)


def contents(out):
    return [content(work / out / name) for name in ("metrics.jsonl", "detections.json")]


def results(out):
    return json.loads((work / out / "detections.json").read_text())["results"]


# ------------------------------------------------------------------------------------------ labels
said = train("sim", "full", "--theta-cls", 0)
assert "rows of 0.64 s, the field's convention" in said and "mAP %" in said, said


def names(video):
    return sorted({a["label"] for a in video["annotations"]})


def without_segments(_, video):
    if video["subset"] == "train":
        video["annotations"] = [{"label": label} for label in names(video)]


def with_labels_key(_, video):
    if video["subset"] == "train":
        video["labels"], video["annotations"] = names(video), []


def losses(out):
    lines = [json.loads(line) for line in (work / out / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


for name, change in {"labels": without_segments, "key": with_labels_key}.items():
    said = train(data_set(name, changed(change)), name + "_run", "--theta-cls", 0)
    assert "mAP %" in said and "labels that differ" not in said, said
    assert losses(name + "_run") == losses("full"), f"{name}: other steps than with segments"
    assert results(name + "_run") == results("full"), f"{name}: other detections than with segments"

blank = changed(lambda _, video: video.update(annotations=[]) if video["subset"] == "test" else None)
said = train(data_set("blank", blank), "blank_run", "--evaluate-every", 1, "--theta-cls", 0)
assert "no test video has an annotated segment, so there is no mAP" in said and "mAP %" not in said, said
assert results("blank_run") == results("full"), "detections of unannotated test videos"
said = good("train_dcl", "--data", "blank", "--out", "blank_run", *SMALL, "--evaluate-every", 1, "--theta-cls", 0, "--resume")
assert "so there is no mAP" in said

only = {id: video for id, video in TRUTH.items() if video["subset"] == "train"}
said = train(data_set("only", only), "only_run")
assert "there are no test videos, so there is no mAP" in said, said
assert results("only_run") == {}
bare = {id: {"labels": names(video)} for id, video in only.items()}
assert "there are no test videos" in train(data_set("bare", bare, leave_out=["SIMULATED.txt"]), "bare_run")
nothing = changed(lambda _, video: video.update(annotations=[]) if video["subset"] == "train" else None)
assert "none of the 4 training videos has a label" in refused("train_dcl", "--data", data_set("nothing", nothing), "--out", "x", *SMALL)

other = changed(lambda id, video: None)
first = other[TEST[0]]["annotations"][0]
first["label"] = first["label"].replace("Class", " class ")
message = refused("train_dcl", "--data", data_set("spelling", other), "--out", "x", *SMALL)
assert "differ only in case, spaces or punctuation" in message and TEST[0] in message, message
# Other characters for the same name: composed, wide, invisible; and no name at all.
for one, same in {"Caf\u00e9": "Cafe\u0301", "Abc": "\uff21bc", "SimulatedClass0": "Simulated\u200bClass0"}.items():
    other = changed(lambda id, video: None)
    other[TEST[0]]["annotations"][0]["label"], other[TEST[1]]["annotations"][0]["label"] = one, same
    message = refused("train_dcl", "--data", data_set("twins" + str(len(one)), other), "--out", "x", *SMALL)
    assert "differ only in case, spaces or punctuation" in message, message
other = changed(lambda id, video: None)
other[TEST[0]]["annotations"][0]["label"] = ""
assert "label is empty" in refused("train_dcl", "--data", data_set("nameless", other), "--out", "x", *SMALL)

# Subsets: names that look alike are refused, other ones are counted.
for id, name in {TRAIN[0]: "training", TRAIN[1]: "Train", TEST[0]: "TEST", TEST[1]: "test "}.items():
    other = changed(lambda id, video: None)
    other[id]["subset"] = name
    folder = data_set("subset_" + name.strip() + str(len(name)), other)
    message = refused("train_dcl", "--data", folder, "--out", "x", *SMALL)
    assert "look like one" in message and f"'{name}'" in message, message
other = changed(lambda id, video: None)
other[TRAIN[0]]["subset"] = "spare"
assert "note: 1 of 6 videos is of other subsets ('spare') and left out" in train(data_set("spare", other), "spare_run")

odd = changed(lambda id, video: None)
odd[TEST[0]]["annotations"][0]["segment"].reverse()
assert "note: 1 segment ends before it starts" in train(data_set("odd", odd), "odd_run")



def without_note(said):
    """What train_dcl says, but for the options that it names as having no effect."""
    return "\n".join(line for line in said.splitlines() if "of no effect" not in line)


# ------------------------------------------------------------------------------------------ what is not read
text = ["text_encoder.safetensors", "class_tokens.json"]
train("sim", "warm", "--variant", "warm-up")
data_set("no_clip", TRUTH, leave_out=["clip", *text])
said = without_note(train("no_clip", "warm_alone", "--variant", "warm-up"))
assert "CLIP" not in said and "VLP" not in said, said
assert contents("warm_alone") == contents("warm"), "the absence of CLIP rows changes a warm-up"
message = refused("train_dcl", "--data", "no_clip", "--out", "x", *SMALL)
assert "holds no CLIP features" in message and "extract_features" in message, message
data_set("no_i3d", TRUTH, leave_out=["i3d"])
train("sim", "vanilla", "--variant", "vanilla-vlp")
said = without_note(train("no_i3d", "vanilla_alone", "--variant", "vanilla-vlp"))
assert "I3D" not in said and "CBP" not in said, said
assert contents("vanilla_alone") == contents("vanilla")
assert "holds no I3D features" in refused("train_dcl", "--data", "no_i3d", "--out", "x", *SMALL)
unused = dict(TRUTH, later={"subset": "testing"})
train(data_set("unused", unused), "unused_run", "--train-subset", "train", "--test-subset", "test")


def localize(checkpoint, features, *words):
    out = work / "one.json"
    said = good("localize", "--checkpoint", work / checkpoint / "checkpoint.safetensors", "--features", features, "--id",
                TEST[0], "--out", out, *words)
    return json.loads(out.read_text())["results"][TEST[0]], said


assert localize("warm_alone", "no_clip")[0] == results("warm")[TEST[0]]
assert localize("vanilla_alone", "no_i3d", "--data", "sim")[0] == results("vanilla")[TEST[0]]
message = refused("localize", "--checkpoint", work / "warm_alone/checkpoint.safetensors", "--features", "sim", "--id", TEST[0],
                  "--fusion", "vlp", "--data", "sim")
assert "has no VLP, since --variant warm-up does not train it" in message, message
with_vlp, _ = localize("full", "sim", "--fusion", "vlp", "--data", "sim")
assert localize("full", "no_i3d", "--fusion", "vlp", "--data", "sim")[0] == with_vlp, "localize --fusion vlp without I3D rows"

# ------------------------------------------------------------------------------------------ seconds
def half(_, video):
    video["duration"] /= 2
    for annotation in video["annotations"]:
        annotation["segment"] = [t / 2 for t in annotation["segment"]]


def halved(detections):
    return {id: [dict(d, segment=[t / 2 for t in d["segment"]]) for d in list] for id, list in detections.items()}


data_set("half", changed(half))
message = refused("train_dcl", "--data", "half", "--out", "x", *SMALL)
assert "times as long as their annotation says" in message and "--seconds-per-row" in message, message
assert not (work / "x/checkpoint.safetensors").exists()
said = train("half", "half_option", "--theta-cls", 0, "--seconds-per-row", 0.32)
assert "rows of 0.32 s, as --seconds-per-row says" in said, said
assert results("half_option") == halved(results("full")), "detections lie elsewhere"
maps = [json.loads((work / out / "metrics.jsonl").read_text().splitlines()[-1])["map"] for out in ("half_option", "full")]
assert maps[0] == maps[1], f"another mAP: {maps}"
quality = [[line for line in content(work / out / "metrics.jsonl").decode().splitlines() if "pseudo_labels" in line]
           for out in ("half_option", "full")]
assert quality[0] == quality[1] and quality[0], "another pseudo-label quality"

(work / "half/provenance").mkdir()
for id in TRUTH:
    (work / f"half/provenance/{id}.json").write_text(json.dumps({"seconds_per_row": 0.32}))
said = train("half", "half_provenance", "--theta-cls", 0)
assert "rows of 0.32 s, as extract_features wrote" in said, said
assert contents("half_provenance") == contents("half_option")
message = refused("train_dcl", "--data", "half", "--out", "x", *SMALL, "--seconds-per-row", 0.64)
assert "says that a row lasts 0.32 s, --seconds-per-row says 0.64 s" in message, message

expected = results("half_provenance")[TEST[0]]
found, said = localize("half_provenance", "half")
assert found == expected and "0.320 s" in said and "provenance" in said, said
found, said = localize("half_provenance", "sim")  # no provenance there: as in training
assert found == expected and "as in training" in said, said
found, said = localize("half_provenance", "sim", "--seconds-per-row", 0.64)
assert found == results("full")[TEST[0]] and "as --seconds-per-row says" in said and "was trained on rows of 0.32 s" in said, said
message = refused("localize", "--checkpoint", work / "full/checkpoint.safetensors", "--features", "half", "--id", TEST[0],
                  "--seconds-per-row", 0.64)
assert "a row lasts 0.32 s" in message and "--seconds-per-row says 0.64 s" in message, message
found, said = localize("full", "half")
assert found == expected and "was trained on rows of 0.64 s, these last 0.32 s" in said, said

_, said = localize("full", "sim", "--annotations", work / "odd/gt.json", "--page", "page.html")
assert "ends before it starts and is left out" in said and (work / "page.html").exists(), said

print("labels without segments, missing halves, missing rows and rows of 0.32 s: all as they should be")
