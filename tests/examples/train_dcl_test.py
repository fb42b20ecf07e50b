"""train_dcl as a user runs it: the bits do not depend on the threads or on kills, also kills while a checkpoint is
being written; resuming a finished run changes nothing; a damaged checkpoint is refused by name.

usage: train_dcl_test.py FOLDER_WITH_THE_PROGRAMS
"""
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

programs = pathlib.Path(sys.argv[1])
scratch = tempfile.TemporaryDirectory()
work = pathlib.Path(scratch.name)

subprocess.run([programs / "simulate_features", "--out", work / "sim", "--classes", "4", "--train-videos", "10",
                "--test-videos", "4", "--i3d-width", "32", "--clip-width", "16", "--prompt-vectors", "4"],
               check=True, capture_output=True)
# A checkpoint after every step, so that many of the kills below fall into the writing of one.
OPTIONS = ["--data", work / "sim", "--prompt-vectors", "4", "--width", "16", "--heads", "2", "--temporal-heads", "2",
           "--dropout", "0.1", "--crop", "60", "--batch", "3", "--warm-up-steps", "12", "--b-steps", "6",
           "--f-steps", "6", "--rounds", "2", "--checkpoint-every", "1"]
FILES = ["checkpoint.safetensors", "metrics.jsonl", "detections.json", *("rounds/%02d.safetensors" % i for i in range(3))]


def command(out, *more):
    return [programs / "train_dcl", *OPTIONS, "--out", work / out, *more]


def train(out, *more, threads=1):
    return subprocess.run(command(out, *more), capture_output=True, text=True,
                          env={**os.environ, "TANDEM_NUM_THREADS": str(threads)})


def contents(out):
    return {name: (work / out / name).read_bytes() for name in FILES}


def differs(a, b):
    return [name for name in FILES if a[name] != b[name]]


started = time.monotonic()
first = train("one")
assert first.returncode == 0, first.stderr
elapsed = time.monotonic() - started
expected = contents("one")

second = train("two", threads=2)
assert second.returncode == 0, second.stderr
assert not differs(contents("two"), expected), f"two threads change {differs(contents('two'), expected)}"

again = train("one", "--resume")
assert again.returncode == 0, again.stderr
assert not differs(contents("one"), expected), f"resuming a finished run changes {differs(contents('one'), expected)}"

refused = train("one")
assert refused.returncode != 0 and "--resume" in refused.stderr, refused.stderr

random.seed(1)
kills = 0
for attempt in range(40):
    out = work / "killed"
    more = ["--resume"] if (out / FILES[0]).exists() else ["--fresh"]
    process = subprocess.Popen(command("killed", *more), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "TANDEM_NUM_THREADS": "1"})
    if attempt < 12:
        time.sleep(random.uniform(0.02, 0.3 * elapsed))
        process.send_signal(signal.SIGKILL)
    message = process.communicate()[1]
    if process.returncode == 0:
        break
    assert process.returncode == -signal.SIGKILL, message
    kills += 1
assert kills > 0, "no kill came before the end"
assert not differs(contents("killed"), expected), f"{kills} kills change {differs(contents('killed'), expected)}"
left = sorted(p.name for p in (work / "killed").iterdir())

data = expected[FILES[0]]
for name, damaged in {"cut": data[: len(data) // 2], "empty": b"", "header": b"\xff" * 8 + data[8:]}.items():
    (work / "one" / FILES[0]).write_bytes(damaged)
    result = train("one", "--resume")
    assert result.returncode > 0, f"{name}: exit status {result.returncode}"
    assert FILES[0] in result.stderr and len(result.stderr.strip().splitlines()) == 1, f"{name}: {result.stderr}"

print(f"same bytes after {kills} kills, on 1 and 2 threads, and when resumed at the end; one run {elapsed:.2f} s; "
      f"files: {', '.join(left)}")
