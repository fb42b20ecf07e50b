"""A run of train_dcl belongs to one process, one data set and one state: a second process is refused, damage and other
data are named, signals save, and what is lost under a run is an error. localize is held to the same data.

usage: run_state_test.py FOLDER_WITH_THE_PROGRAMS
"""
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from run_files import content

programs = pathlib.Path(sys.argv[1])
scratch = tempfile.TemporaryDirectory(prefix="tandem-run-")
work = pathlib.Path(scratch.name)
FILES = ["checkpoint.safetensors", "metrics.jsonl", "detections.json"]
ENVIRONMENT = {**os.environ, "TANDEM_NUM_THREADS": "1"}


def simulate(out, *more):
    return subprocess.run([programs / "simulate_features", "--out", work / out, "--classes", "4", "--train-videos", "10",
                           "--test-videos", "4", "--i3d-width", "32", "--clip-width", "16", "--prompt-vectors", "4", *more],
                          capture_output=True, text=True)


assert simulate("sim").returncode == 0
OPTIONS = ["--prompt-vectors", "4", "--width", "16", "--heads", "2", "--temporal-heads", "2", "--dropout", "0.1", "--crop",
           "60", "--batch", "3", "--warm-up-steps", "12", "--b-steps", "6", "--f-steps", "6", "--rounds", "2",
           "--checkpoint-every", "7", "--evaluate-every", "1"]
LONG = ["--warm-up-steps", "1000000"]  # until it is stopped


def command(out, *more, data="sim"):
    own = [word for i, word in enumerate(OPTIONS) if not {OPTIONS[i - i % 2]} & set(more)]  # what is given twice counts once
    return [str(word) for word in (programs / "train_dcl", "--data", work / data, *own, "--out", work / out, *more)]


def train(out, *more, data="sim", **how):
    return subprocess.run(command(out, *more, data=data), capture_output=True, text=True, env=ENVIRONMENT, **how)


def start(out, *more, data="sim", **how):
    return subprocess.Popen(command(out, *more, data=data), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env=ENVIRONMENT, **how)


def wait_for(condition, what, process):
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, f"ended before {what}: {process.stderr.read()}"
        time.sleep(0.01)
    raise AssertionError(f"waited a minute for {what}")


def lines(out):
    path = work / out / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def contents(out):
    return {name: content(work / out / name) for name in FILES}


def sentence(result, *parts, status=1):
    """One line on stderr that says all this, and the exit status."""
    said = result.stderr.strip()
    assert result.returncode == status, f"exit status {result.returncode}, expected {status}: {said}"
    last = said.splitlines()[-1] if said else ""
    for part in parts:
        assert str(part) in last, f"'{part}' is not in: {last}"
    return last


whole = train("whole")
assert whole.returncode == 0, whole.stderr
expected = contents("whole")
assert not (work / "whole/.lock").exists(), "the lock file stays behind"

# ---------------------------------------------------------------- one process
first = start("locked", *LONG)
wait_for(lambda: lines("locked") > 0, "the first step", first)
kept = (work / "locked/options.json").read_bytes()
sentence(train("locked", "--seed", "9"), work / "locked", f"process {first.pid} ", "is in use by train_dcl")
sentence(train("locked", "--fresh", "--seed", "9"), f"process {first.pid} ")
assert (work / "locked/options.json").read_bytes() == kept, "the refused process changed the folder"
first.kill()
first.communicate()
assert (work / "locked/.lock").exists()  # left behind by the kill, in nobody's way
after = train("locked", "--fresh")
assert after.returncode == 0, after.stderr
assert contents("locked") == expected
# Several at once: one runs, the others are refused, and the files are those of the one.
several = [start("race", "--seed", str(seed)) for seed in range(5)]
for process in several:
    process.said = process.communicate()[1]
codes = [process.returncode for process in several]
assert codes.count(0) == 1 and codes.count(1) == 4, (codes, [p.said for p in several])
assert all("in use by" in p.said or "holds a run already" in p.said for p in several if p.returncode == 1), [p.said for p in several]
assert "seed" in (work / "race/options.json").read_text()
header = (work / "race/checkpoint.safetensors").read_bytes()
header = json.loads(header[8:8 + struct.unpack("<Q", header[:8])[0]])
winner = str(codes.index(0))
for text in (header["__metadata__"]["options"], (work / "race/options.json").read_text()):
    assert re.search(r'"seed": "?%s"?[,\s}]' % winner, text), f"seed {winner} won, but the options are {text}"

# ---------------------------------------------------------------- one state: every flipped bit is named
checkpoint = work / "whole" / FILES[0]
good = expected[FILES[0]]
length = struct.unpack("<Q", good[:8])[0]
header = json.loads(good[8:8 + length])
random.seed(4)
for trial in range(16):
    at = random.randrange(8 + length, len(good)) if trial < 12 else random.randrange(8 + length)
    damaged = bytearray(good)
    damaged[at] ^= 1 << random.randrange(8)
    checkpoint.write_bytes(damaged)
    last = sentence(train("whole", "--resume"), FILES[0])
    inside = [name for name, e in header.items() if name != "__metadata__" and
              e["data_offsets"][0] <= at - 8 - length < e["data_offsets"][1]]
    assert not inside or f'"{inside[0]}"' in last, f"byte {at} lies in {inside}, but: {last}"
features = work / "sim/i3d" / sorted(os.listdir(work / "sim/i3d"))[0]
if (programs / "localize").exists():
    localize = [programs / "localize", "--checkpoint", checkpoint, "--features", features]
    damaged = bytearray(good)
    damaged[-1] ^= 1  # of the last tensor
    checkpoint.write_bytes(damaged)
    sentence(subprocess.run(localize, capture_output=True, text=True), FILES[0], "is damaged")


def with_metadata(change):
    """The good checkpoint with other metadata, and without checksums, as an old program or a script would write it."""
    changed = json.loads(good[8:8 + length])
    metadata = changed["__metadata__"]
    metadata["format"] = "tandem checkpoint 1"
    del metadata["checksum"], metadata["checksums"]
    change(metadata)
    text = json.dumps(changed).encode()
    text += b" " * (-len(text) % 8)
    checkpoint.write_bytes(struct.pack("<Q", len(text)) + text + good[8 + length:])
    return train("whole", "--resume")


def set_counters(text):
    def change(metadata):
        metadata["counters"] = text
    return change


for counters in (f"[{2**62},0,0]", f"[{2**62},{2**61},{2**61}]", "[-1,0,0]", "[12,13,-1]", "[12,5,6]", "[36,36,36]"):
    sentence(with_metadata(set_counters(counters)), "[trainer] the checkpoint is after step")
old = with_metadata(lambda metadata: (metadata.pop("data_fingerprint"), metadata.pop("text_fingerprint")))
assert old.returncode == 0 and "before checkpoints had checksums" in old.stdout, old.stdout + old.stderr
assert contents("whole")["detections.json"] == expected["detections.json"]
checkpoint.write_bytes(good)
(work / "whole/metrics.jsonl").write_bytes(expected["metrics.jsonl"])

# ---------------------------------------------------------------- one data set
truth = json.loads((work / "sim/gt.json").read_text())
ids = list(truth["database"])


def npy_reversed(path):
    raw = path.read_bytes()
    size = 10 + int.from_bytes(raw[8:10], "little")
    rows = int(re.search(rb"\((\d+),", raw[:size]).group(1))
    width = (len(raw) - size) // rows
    path.write_bytes(raw[:size] + b"".join(raw[size + width * r:size + width * (r + 1)] for r in range(rows - 1, -1, -1)))


def npy_cut(path):
    raw = path.read_bytes()
    size = 10 + int.from_bytes(raw[8:10], "little")
    rows = int(re.search(rb"\((\d+),", raw[:size]).group(1))
    width = (len(raw) - size) // rows
    head = raw[:size].replace(b"(%d," % rows, b"(%d," % (rows - 1))
    path.write_bytes(head + b" " * (size - len(head)) + raw[size:-width] if len(head) == size else
                     head[:-1] + b" " * (size - len(head)) + b"\n" + raw[size:-width])


def other_data(name, change, *parts):
    folder = work / f"data_{name}"
    shutil.copytree(work / "sim", folder)
    database = json.loads(json.dumps(truth))
    change(folder, database["database"])
    (folder / "gt.json").write_text(json.dumps(database))
    last = sentence(train("whole", "--resume", data=f"data_{name}"), *parts)
    assert contents("whole") == expected, f"{name}: the refused run changed its folder"
    return last


labels = sorted({a["label"] for v in truth["database"].values() for a in v["annotations"]})
training = [i for i in ids if truth["database"][i]["subset"] == truth["database"][ids[0]]["subset"]]


def relabel(video, label):
    def change(folder, database):
        for annotation in database[video]["annotations"]:
            annotation["label"] = label
    return change


def rename_class(folder, database):
    for video in database.values():
        for annotation in video["annotations"]:
            annotation["label"] = {labels[0]: labels[1], labels[1]: labels[0]}.get(annotation["label"], annotation["label"])
    tokens = json.loads((folder / "class_tokens.json").read_text())
    (folder / "class_tokens.json").write_text(json.dumps(tokens))


def rename_video(folder, database):
    entries = list(database.items())
    database.clear()
    for video, entry in entries:
        database["renamed" if video == ids[1] else video] = entry
    for kind in ("i3d", "clip"):
        (folder / kind / f"{ids[1]}.npy").rename(folder / kind / "renamed.npy")


def swap_videos(folder, database):
    entries = list(database.items())
    entries[0], entries[1] = entries[1], entries[0]
    database.clear()
    database.update(entries)


def change_text(folder, database):
    path = folder / "text_encoder.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)


other_data("reversed", lambda folder, _: [npy_reversed(p) for p in (folder / "i3d").iterdir()], "the I3D rows of 14 of 14 videos")
other_data("clip", lambda folder, _: npy_reversed(folder / f"clip/{ids[2]}.npy"), "the CLIP rows of 1 of 14 videos", ids[2])
other_data("cut", lambda folder, _: [npy_cut(folder / kind / f"{ids[0]}.npy") for kind in ("i3d", "clip")], ids[0], "rows and has")
one = truth["database"][training[3]]["annotations"][0]["label"]
other_data("labels", relabel(training[3], next(c for c in labels if c != one)), "belongs to other data")
other_data("classes", rename_class, "belongs to other data")
other_data("ids", rename_video, f"the video '{ids[1]}' is not among them")
other_data("order", swap_videos, "order changed")
other_data("text", change_text, "another text encoder")
assert train("whole", "--resume").returncode == 0 and contents("whole") == expected  # the right data still do

if (programs / "localize").exists():
    for fusion in ("cbp", "mean"):  # the right ones are accepted
        done = subprocess.run([*localize, "--classes", work / "sim/gt.json", "--annotations", work / "sim/gt.json", "--id", ids[0],
                               "--data", work / "sim", "--fusion", fusion, "--clip-features", work / f"sim/clip/{features.name}"],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "does not know" not in done.stdout, done.stdout
    other = work / "other_classes.json"
    other.write_text(json.dumps(truth).replace(f'"{labels[0]}"', '"Another"'))
    sentence(subprocess.run([*localize, "--classes", other], capture_output=True, text=True), FILES[0], "class")
    sentence(subprocess.run([*localize, "--data", work / "data_text", "--fusion", "vlp", "--clip-features",
                             work / f"sim/clip/{features.name}"], capture_output=True, text=True), "another text encoder")
    strange = json.loads(json.dumps(truth))
    strange["database"][ids[0]]["annotations"][0]["label"] = "Unheard of"
    (work / "strange.json").write_text(json.dumps(strange))
    done = subprocess.run([*localize, "--annotations", work / "strange.json", "--id", ids[0]], capture_output=True, text=True)
    assert done.returncode == 0 and "'Unheard of'" in done.stdout, done.stdout + done.stderr

# ---------------------------------------------------------------- signals
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    out, stops = f"stopped_{number.name}", 0
    for attempt in range(60):
        before = lines(out)
        more = ["--resume"] if (work / out / FILES[0]).exists() else ["--fresh"]
        process = start(out, *more)
        wanted = min(before, len(expected["metrics.jsonl"].splitlines()) - 4) + 3 if attempt < 12 else 10**9
        while process.poll() is None and lines(out) < wanted:
            time.sleep(0.002)
        process.send_signal(number) if process.poll() is None and attempt < 12 else None
        said = process.communicate()[1]
        if process.returncode == 0:
            break
        if process.returncode == -number:
            continue  # it had not begun: there is nothing to save
        assert process.returncode == 128 + number, f"{number.name}: exit status {process.returncode}: {said}"
        assert f"train_dcl: stopped by {number.name}: " in said and "--resume" in said, said
        assert (work / out / FILES[0]).exists(), "no checkpoint was saved"
        stops += 1
    assert stops >= 3, f"{number.name}: only {stops} stops"
    assert contents(out) == expected, f"{number.name}: {[n for n in FILES if contents(out)[n] != expected[n]]} differ after {stops} stops"

# The second signal leaves at once, whatever the program is doing: here it cannot notice the first, being stopped.
process = start("twice", *LONG)
wait_for(lambda: lines("twice") > 0, "the first step", process)
process.send_signal(signal.SIGSTOP)
process.send_signal(signal.SIGTERM)
process.send_signal(signal.SIGINT)
process.send_signal(signal.SIGCONT)
process.communicate()
assert process.returncode in (128 + signal.SIGTERM, 128 + signal.SIGINT), process.returncode

# ---------------------------------------------------------------- what is lost under a run
shutil.copytree(work / "sim", work / "shrinking")
process = start("shrunk", *LONG, data="shrinking")
wait_for(lambda: lines("shrunk") > 0, "the first step", process)
shrunk = sorted((work / "shrinking/i3d").iterdir())
for path in shrunk:
    os.truncate(path, 200)
said = process.communicate(timeout=120)[1]
assert process.returncode == 1, f"exit status {process.returncode}: {said}"
assert any(str(path) in said for path in shrunk) and "shortened by another program" in said.replace("another program shortened", "shortened by another program"), said


def lost(name, act, *parts, more=(), **how):
    process = start(name, *LONG, *more, **how)
    wait_for(lambda: lines(name) > 0, "the first step", process)
    act(work / name)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 1, f"{name}: exit status {process.returncode}: {said}"
    assert all(part in said for part in parts), f"{name}: {said}"


lost("metrics_removed", lambda out: (out / "metrics.jsonl").unlink(), "metrics.jsonl", "removed or replaced")
lost("metrics_replaced", lambda out: (shutil.copy(out / "metrics.jsonl", out / "m"), (out / "m").replace(out / "metrics.jsonl")),
     "metrics.jsonl", "removed or replaced")
# What cannot be replaced in the end is noticed before the first step.
(work / "blocked" / "detections.json").mkdir(parents=True)
process = start("blocked", *LONG)
said = process.communicate(timeout=120)[1]
assert process.returncode == 1 and "detections.json" in said and "directory" in said and lines("blocked") == 0, said

lost("metrics_truncated", lambda out: os.truncate(out / "metrics.jsonl", 0), "metrics.jsonl", "was changed while the run")
lost("folder_removed", lambda out: out.rename(work / "elsewhere"), "folder_removed")
lost("lock_removed", lambda out: (out / ".lock").unlink(), "lock_removed", "removed or replaced")


def small_files(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


lost("disk_full", lambda out: None, "metrics.jsonl", "File too large", preexec_fn=small_files(20_000), more=["--checkpoint-every", "1000000"])
full = train("no_room", preexec_fn=small_files(20_000))
sentence(full, "File too large", "nothing was replaced")
assert simulate("sim_no_room").returncode == 0
limited = subprocess.run([programs / "simulate_features", "--out", work / "sim_full"], capture_output=True, text=True,
                         preexec_fn=small_files(3000))
sentence(limited, "sim_full", "File too large")

print(f"lock, damage, other data, signals and losses: as they should be; the checkpoint has {len(good)} bytes, "
      f"{length} of them header")
