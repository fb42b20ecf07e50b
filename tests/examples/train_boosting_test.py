"""train_boosting as a user runs it: a run that is killed and resumed has the bytes of one that went through, on one thread
and on two; its detections are those of its data; what is missing or cannot change is named.

usage: train_boosting_test.py FOLDER_WITH_THE_PROGRAMS
"""
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
subprocess.run([programs / "simulate_features", "--out", work / "sim", "--classes", "3", "--train-videos", "9",
                "--test-videos", "3", "--i3d-width", "16", "--clip-width", "8", "--prompt-vectors", "2"],
               check=True, capture_output=True)
truth = json.loads((work / "sim/gt.json").read_text())["database"]
classes = sorted({annotation["label"] for video in truth.values() for annotation in video["annotations"]})


def words(name):
    """The words of a class name as the program reads it: split before capitals, in lower case."""
    return "".join(" " + c if c.isupper() else c for c in name).replace("_", " ").lower().split()


random.seed(3)
vocabulary = ["the", ".", "of", "one", "video", "and"] + sorted({word for name in classes for word in words(name)})
(work / "glove.txt").write_text(
    "".join(word + "".join(" %.4f" % random.gauss(0, 1) for _ in range(6)) + "\n" for word in vocabulary))
OPTIONS = ["--data", work / "sim", "--glove", work / "glove.txt", "--frequent-words", str(len(vocabulary)), "--steps", "8",
           "--rows", "24", "--batch", "5", "--pairs", "2", "--width", "8", "--decoder-hidden", "8", "--prompt-vectors", "2",
           "--mlp-hidden", "16", "--vlc-warm-up", "3", "--checkpoint-every", "1"]
FILES = ["checkpoint.safetensors", "metrics.jsonl", "detections.json"]


def command(out, *more):
    """With `more` in the place of the options of the same name."""
    kept = [word for i in range(0, len(OPTIONS), 2) if OPTIONS[i] not in more for word in OPTIONS[i:i + 2]]
    return [str(word) for word in [programs / "train_boosting", *kept, "--out", work / out, *more]]


def train(out, *more, threads=1):
    return subprocess.run(command(out, *more), capture_output=True, text=True,
                          env={**os.environ, "TANDEM_NUM_THREADS": str(threads)})


def contents(out):
    return {name: content(work / out / name) for name in FILES}


started = time.monotonic()
first = train("one")
elapsed = time.monotonic() - started
assert first.returncode == 0, first.stderr
expected = contents("one")
lines = [json.loads(line) for line in (work / "one/metrics.jsonl").read_text().splitlines()]
steps = [line for line in lines if "loss" in line]
assert [line["step"] for line in steps] == list(range(1, 9)), steps
assert all(line["grad_norm_language"] > 0 and line["grad_norm_attention"] > 0 for line in steps)
assert lines[-1]["evaluation"] == "final" and 0 <= min(lines[-1]["average_map"].values()), lines[-1]
found = json.loads((work / "one/detections.json").read_text())["results"]
tests = {name for name, video in truth.items() if video["subset"] == "test"}
assert set(found) <= tests and any(found.values()), found.keys()

two = train("two", threads=2)
assert two.returncode == 0 and contents("two") == expected, two.stderr

kills = 0
for attempt in range(30):
    more = ["--resume"] if (work / "killed" / FILES[0]).exists() else ["--fresh"]
    process = subprocess.Popen(command("killed", *more), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "TANDEM_NUM_THREADS": "1"})
    if attempt < 5:
        time.sleep(random.uniform(0.2, 0.8) * elapsed)
        process.send_signal(signal.SIGKILL)
    message = process.communicate()[1]
    if process.returncode == 0:
        break
    assert process.returncode == -signal.SIGKILL, message
    kills += 1
assert kills > 0 and contents("killed") == expected, f"{kills} kills change the run"

# More steps are the same run; what decides the others cannot change.
whole = train("long", "--steps", "10")
longer = subprocess.run([str(programs / "train_boosting"), "--out", str(work / "one"), "--resume", "--steps", "10"],
                        capture_output=True, text=True)
assert whole.returncode == 0 and longer.returncode == 0, longer.stderr
assert contents("one")["metrics.jsonl"].splitlines()[-1] == contents("long")["metrics.jsonl"].splitlines()[-1]
assert contents("one")["detections.json"] == contents("long")["detections.json"]


def refused(*more, out="one"):
    result = train(out, *more)
    assert result.returncode != 0, more
    return result.stderr


assert "holds a run already" in refused()
assert "the run cannot go on with another --steps: it had 10" in refused("--resume")
assert "the run cannot go on with another --rows: it had 24" in refused("--resume", "--rows", "30", "--steps", "10")
assert "no checkpoint" in refused("--resume", out="nowhere")
(work / "short.txt").write_text("the 1 2\n")
assert 'the word vectors have no "' in refused("--glove", work / "short.txt", out="words")
# The best by the test videos stands beside the last, and the run is the same without it.
every = train("every", "--evaluate-every", "2", "--steps", "10")
assert every.returncode == 0 and contents("every")["detections.json"] == contents("long")["detections.json"], every.stderr
assert contents("every")["checkpoint.safetensors"] != b""
evaluations = [json.loads(line) for line in (work / "every/metrics.jsonl").read_text().splitlines() if "evaluation" in line]
assert [(e["step"], e["evaluation"]) for e in evaluations] == [(2, "step 2"), (4, "step 4"), (6, "step 6"), (8, "step 8"), (10, "final")]
best = max(e["average_map"]["0.3:0.7"] for e in evaluations)
assert "CHOSEN BY THE TEST VIDEOS" in every.stdout and "mAP@0.3:0.7 %.2f %%" % (100 * best) in every.stdout, every.stdout
assert "CHOSEN BY THE TEST VIDEOS" not in whole.stdout

# The code for ActivityNet, with its numbers where no others are given; resumed it has them still.
anet = [word for i in range(0, len(OPTIONS), 2) if OPTIONS[i] not in ("--rows", "--prompt-vectors", "--steps") for word in OPTIONS[i:i + 2]]
done = subprocess.run([str(word) for word in [programs / "train_boosting", *anet, "--out", work / "anet", "--activitynet", "--steps", "3"]],
                      capture_output=True, text=True)
assert done.returncode == 0, done.stderr
options = json.loads((work / "anet/options.json").read_text())
assert (options["activitynet"], options["rows"], options["prompt-vectors"], options["sentence-words"], options["learning-rate"],
        options["weight-decay"], options["steps"]) == (True, 60, 3, 10, 3e-5, 5e-4, 3), options
more = subprocess.run([str(programs / "train_boosting"), "--out", str(work / "anet"), "--resume", "--steps", "4"], capture_output=True, text=True)
assert more.returncode == 0 and json.loads((work / "anet/options.json").read_text()) == {**options, "steps": 4}, more.stderr
assert "another --activitynet" in refused("--resume", "--activitynet", "--steps", "10", "--rows", "24")
# A checkpoint of another method is refused by name, and so is this one by the programs that do not know it.
subprocess.run([str(word) for word in [programs / "train_dcl", "--data", work / "sim", "--out", work / "dcl", "--variant", "warm-up",
                                       "--warm-up-steps", 2, "--cbp", "wtalc", "--method-batch", 6]], check=True, capture_output=True)
assert "is not of Boosting-WTAL" in refused("--resume", out="dcl")
for words in (["detect", "--checkpoint", work / "one/checkpoint.safetensors", "--data", work / "sim", "--out", work / "d"],
              ["report", "--run", work / "one", "--page", work / "page.html"],
              ["localize", "--checkpoint", work / "one/checkpoint.safetensors", "--features", work / "sim", "--id", sorted(tests)[0],
               "--out", work / "one.json"]):
    if not (programs / words[0]).exists():
        continue
    result = subprocess.run([str(word) for word in [programs / words[0], *words[1:]]], capture_output=True, text=True)
    assert result.returncode == 1 and "is of Boosting-WTAL, which this program does not know" in result.stderr, result.stderr
assert train("masked", "--real-masking", "--blank-joined-names", "--steps", "2").returncode == 0
print(f"same bytes after {kills} kills and on 1 and 2 threads; one run {elapsed:.2f} s")
