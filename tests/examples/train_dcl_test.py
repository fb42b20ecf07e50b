"""train_dcl as a user runs it: the bits do not depend on the threads or on kills, also kills while a checkpoint is
being written; resuming a finished run changes nothing; a damaged checkpoint is refused by name. The times of
metrics.jsonl are what a run took, metrics.csv is its table, and the end says what each class came to.

usage: train_dcl_test.py FOLDER_WITH_THE_PROGRAMS
"""
import csv
import datetime
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

from run_files import content

programs = pathlib.Path(sys.argv[1])
scratch = tempfile.TemporaryDirectory()
work = pathlib.Path(scratch.name)

subprocess.run([programs / "simulate_features", "--out", work / "sim", "--classes", "4", "--train-videos", "10",
                "--test-videos", "4", "--i3d-width", "32", "--clip-width", "16", "--prompt-vectors", "4"],
               check=True, capture_output=True)
# A checkpoint after every step, so that many of the kills below fall into the writing of one.
OPTIONS = ["--data", work / "sim", "--prompt-vectors", "4", "--width", "16", "--heads", "2", "--temporal-heads", "2",
           "--dropout", "0.1", "--crop", "60", "--batch", "3", "--warm-up-steps", "12", "--b-steps", "6",
           "--f-steps", "6", "--rounds", "2", "--checkpoint-every", "1", "--learning-rate", "0.001",
           "--vlp-learning-rate", "0.004", "--schedule-warm-up", "2"]
FILES = ["checkpoint.safetensors", "metrics.jsonl", "detections.json", *("rounds/%02d.safetensors" % i for i in range(3))]


def command(out, *more):
    return [programs / "train_dcl", *OPTIONS, "--out", work / out, *more]


def train(out, *more, threads=1):
    return subprocess.run(command(out, *more), capture_output=True, text=True,
                          env={**os.environ, "TANDEM_NUM_THREADS": str(threads)})


def contents(out):
    return {name: content(work / out / name) for name in FILES}


def differs(a, b):
    return [name for name in FILES if a[name] != b[name]]


def check_metrics(out, begin, longest):
    """Times that grow, and a table that says what the lines say."""
    lines = [json.loads(line) for line in (work / out / "metrics.jsonl").read_text().splitlines()]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds) and 0 <= seconds[0] and 0 < seconds[-1] <= longest, (seconds, longest)
    times = [datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")) for line in lines]
    assert times == sorted(times) and begin <= times[0] and times[-1] <= datetime.datetime.now(datetime.timezone.utc), times
    steps = [line for line in lines if "loss" in line]
    assert all(line["frames_per_second"] > 0 for line in steps)
    rates = [line["learning_rate"] for line in steps]  # half of the schedule's warm-up, then as given
    assert rates[:3] == [0.0005, 0.001, 0.001] and {line["learning_rate"] for line in steps if line["phase"] == "B"} == {0.004}, rates
    with open(work / out / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(lines) and list(rows[0])[:5] == ["step", "phase", "round", "loss", "loss_cls"], list(rows[0])
    for line, row in zip(lines, rows):
        flat, rest = {}, [("", line)]
        while rest:
            prefix, value = rest.pop()
            for key, inner in value.items():
                rest.append((prefix + key + ".", inner)) if isinstance(inner, dict) else flat.update({prefix + key: inner})
        cells = {key: cell for key, cell in row.items() if cell != ""}
        assert cells.keys() == flat.keys(), (cells, flat)
        assert all(float(cells[k]) == v if isinstance(v, (int, float)) else cells[k] == v for k, v in flat.items()), (cells, flat)
    assert any("cbp.called_foreground" in row and row["cbp.called_foreground"] for row in rows)


begin = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
started = time.monotonic()
first = train("one")
assert first.returncode == 0, first.stderr
elapsed = time.monotonic() - started
expected = contents("one")
check_metrics("one", begin, elapsed)
# Which rule makes the pseudo-labels is said; without an option it is not the paper's.
assert "pseudo-labels: ranked, the first 12.5 % of a video's frames" in first.stdout, first.stdout
assert json.loads((work / "one/options.json").read_text())["pseudo-labels"] == "ranked"
for rule, sentence in (("thresholds", "the paper's thresholds, foreground above 0.3, background below 0.1"),
                       ("calibrated", "calibrated, foreground above 0.3"), ("min-max", "min-max, foreground above 0.6")):
    said = train("rule", "--pseudo-labels", rule, "--fresh").stdout
    assert f"pseudo-labels: {sentence}" in said, said
assert "pseudo-labels:" not in train("rule", "--variant", "warm-up", "--fresh").stdout
# The summary: instances as the annotations count them, and the AP of each class, whose mean is the mAP.
truth = json.loads((work / "sim/gt.json").read_text())["database"]
counts = {}
for video in truth.values():
    for annotation in video["annotations"] if video["subset"] == "test" else []:
        counts[annotation["label"]] = counts.get(annotation["label"], 0) + 1
said = first.stdout.splitlines()
table = [line.split() for line in said[next(i for i, line in enumerate(said) if line.startswith("AP % by class")) + 2:]]
table = {words[0]: words[1:] for words in table if words and words[0] in counts}
assert {name: int(words[0]) for name, words in table.items()} == counts, (table, counts)
final = json.loads((work / "one/metrics.jsonl").read_text().splitlines()[-1])
for column, value in enumerate(final["map"].values()):
    mean = sum(float(words[2 + column]) for words in table.values()) / len(table)
    assert abs(mean - 100 * value) < 0.006, (table, final)

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
check_metrics("killed", begin, time.monotonic() - started)  # seconds that a kill interrupted go on
left = sorted(p.name for p in (work / "killed").iterdir())

data = expected[FILES[0]]
for name, damaged in {"cut": data[: len(data) // 2], "empty": b"", "header": b"\xff" * 8 + data[8:]}.items():
    (work / "one" / FILES[0]).write_bytes(damaged)
    result = train("one", "--resume")
    assert result.returncode > 0, f"{name}: exit status {result.returncode}"
    assert FILES[0] in result.stderr and len(result.stderr.strip().splitlines()) == 1, f"{name}: {result.stderr}"

print(f"same bytes after {kills} kills, on 1 and 2 threads, and when resumed at the end; one run {elapsed:.2f} s; "
      f"files: {', '.join(left)}")
