"""train_boosting as a user runs it: a run that is killed and resumed has the bytes of one that went through, on one thread
and on two; its detections are those of its data; what is missing or cannot change is named. Its checkpoint in detect, localize
and report gives what the training found; in train_dcl it is refused by name.

usage: train_boosting_test.py FOLDER_WITH_THE_PROGRAMS
"""
import json
import os
import pathlib
import random
import shutil
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
(work / "part").mkdir()
(work / "part" / "metrics.jsonl").write_text("kept")
assert "part holds a run already, of which metrics.jsonl is there and no checkpoint: --fresh" in refused(out="part")
assert "no checkpoint in" in refused("--resume", out="part") and (work / "part" / "metrics.jsonl").read_text() == "kept"
assert "cannot go on with other options: --steps 10 → 8" in refused("--resume")
assert "cannot go on with other options: --rows 24 → 30" in refused("--resume", "--rows", "30", "--steps", "10")
assert "cannot go on with other options: --concat-clip false → true" in refused("--resume", "--concat-clip", "--steps", "10")
assert "no checkpoint" in refused("--resume", out="nowhere")
# An input that the run would write over.
said = refused("--glove", work / "one" / "metrics.jsonl", "--fresh")
assert "--glove names" in said and "which the run in" in said and "writes over: name another folder with --out" in said, said
assert (work / "one" / "metrics.jsonl").stat().st_size > 0
(work / "bare").mkdir()
shutil.copy(work / "one" / "checkpoint.safetensors", work / "bare")
bare = subprocess.run([str(programs / "train_boosting"), "--out", str(work / "bare"), "--resume"], capture_output=True, text=True)
assert bare.returncode != 0 and "bare has a checkpoint and no options.json, which says where the data" in bare.stderr, bare.stderr
# Other data are named as such, whatever else is wrong with them.
subprocess.run([programs / "simulate_features", "--out", work / "other", "--classes", "4", "--train-videos", "9", "--test-videos", "3",
                "--i3d-width", "16", "--clip-width", "8", "--prompt-vectors", "2"], check=True, capture_output=True)
said = refused("--resume", "--data", work / "other", "--steps", "10", out="one")
assert "checkpoint.safetensors belongs to other data" in said, said
finished = subprocess.run([str(programs / "train_boosting"), "--out", str(work / "one"), "--resume"], capture_output=True, text=True)
assert finished.returncode == 0 and "starting" not in finished.stderr, finished.stderr
assert contents("one")["detections.json"] == contents("long")["detections.json"]
assert "no videos" in refused("--train-subset", "trian", out="nothing") and not (work / "nothing").exists()
# Other word vectors too: of a class, or of a word of the sentences.
text = (work / "glove.txt").read_text().splitlines()
for line in (0, len(vocabulary) - 1):
    (work / "changed.txt").write_text("\n".join(t if i != line else t[:-1] + str((int(t[-1]) + 1) % 10) for i, t in enumerate(text)) + "\n")
    said = refused("--resume", "--glove", work / "changed.txt", "--steps", "10")
    assert "was trained with other word vectors" in said, said
# A fresh run that is killed before its first checkpoint leaves itself to resume, not the run that was there.
(work / "two/detections.json").stat()
process = subprocess.Popen(command("two", "--fresh", "--steps", "100000", "--seed", "3", "--checkpoint-every", "100000"),
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while process.poll() is None and not ((work / "two/metrics.jsonl").exists() and (work / "two/metrics.jsonl").stat().st_size > 0 and
                                      not (work / "two/detections.json").exists()):
    time.sleep(0.01)
process.kill()
process.wait()
assert not (work / "two/detections.json").exists()
assert "other options: --seed 3 → 0" in refused("--resume", "--seed", "0", "--steps", "100000", out="two")
(work / "short.txt").write_text("the 1 2\n")
assert 'the word vectors have no "' in refused("--glove", work / "short.txt", out="words")
# The best by the test videos stands beside the last, and the run is the same without it.
every = train("every", "--best-of-test", "2", "--steps", "10")
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
assert "--activitynet false → true" in refused("--resume", "--activitynet", "--steps", "10", "--rows", "24")
# A checkpoint of another program is refused by name.
subprocess.run([str(word) for word in [programs / "train_dcl", "--data", work / "sim", "--out", work / "dcl", "--variant", "warm-up",
                                       "--warm-up-steps", 2, "--cbp", "wtalc", "--method-batch", 6]], check=True, capture_output=True)
assert "is not of Boosting-WTAL, so it cannot go on here: train_dcl --resume" in refused("--resume", out="dcl")
other = subprocess.run([str(programs / "train_dcl"), "--out", str(work / "one"), "--resume"], capture_output=True, text=True)
assert other.returncode == 1 and "is of Boosting-WTAL, so it cannot go on here: train_boosting --resume" in other.stderr, other.stderr

# ---------------------------------------------------------------- its checkpoint in the other programs: TSM speaks there


def run(program, *words, fails=False):
    result = subprocess.run([str(word) for word in [programs / program, *words]], capture_output=True, text=True, cwd=work)
    assert result.returncode == (1 if fails else 0), f"{program} {words}:\n{result.stdout}{result.stderr}"
    return result.stderr if fails else result.stdout


def results(path):
    return json.loads((work / path).read_text())["results"]


# CLIP rows beside the I3D rows: read in training and by the other programs, part of what the data are.
clip = train("clip", "--concat-clip")
assert clip.returncode == 0 and "CLIP 8 columns" in clip.stdout, clip.stderr + clip.stdout
assert contents("clip")["detections.json"] != expected["detections.json"]
half = train("clip_half", "--concat-clip", "--steps", "4")
resumed = subprocess.run([str(programs / "train_boosting"), "--out", str(work / "clip_half"), "--resume", "--steps", "8"],
                         capture_output=True, text=True)
assert half.returncode == 0 and resumed.returncode == 0, resumed.stderr
assert contents("clip_half")["checkpoint.safetensors"] == contents("clip")["checkpoint.safetensors"]
# The checkpoint has no path in it: other places of the same data give the same bytes, and a run goes on there.
shutil.copytree(work / "sim", work / "elsewhere/sim")
moved = train("clip_moved", "--concat-clip", "--data", work / "elsewhere/sim", "--checkpoint-every", 3)
assert moved.returncode == 0 and contents("clip_moved")["checkpoint.safetensors"] == contents("clip")["checkpoint.safetensors"], moved.stderr
assert str(work).encode() not in (work / "clip/checkpoint.safetensors").read_bytes()
(work / "elsewhere/run").mkdir()
shutil.copy(work / "clip_moved/checkpoint.safetensors", work / "elsewhere/run")
alone = train("elsewhere/run", "--resume", "--data", "../sim", "--steps", 8)
assert alone.returncode != 0 and "there is no such folder" in alone.stderr, alone.stderr
alone = train("elsewhere/run", "--resume", "--concat-clip", "--data", work / "elsewhere/sim")  # without options.json
assert alone.returncode == 0 and contents("elsewhere/run")["detections.json"] == contents("clip")["detections.json"], alone.stderr
shutil.rmtree(work / "elsewhere/sim/clip")
said = refused("--concat-clip", "--data", work / "elsewhere/sim", out="noclip")
assert said.count("\n") == 1 and "holds no CLIP features" in said and not (work / "noclip").exists(), said
shutil.copytree(work / "sim/clip", work / "elsewhere/clips")
[first_clip] = sorted((work / "elsewhere/clips").glob("*.npy"))[:1]
alone = train("named", "--concat-clip", "--data", work / "elsewhere/sim", "--clip", work / "elsewhere/clips")
assert alone.returncode == 0 and contents("named")["checkpoint.safetensors"] == contents("clip")["checkpoint.safetensors"], alone.stderr
changed = bytearray(first_clip.read_bytes())
changed[-2] ^= 1
first_clip.write_bytes(changed)
said = refused("--resume", "--concat-clip", "--data", work / "elsewhere/sim", "--clip", work / "elsewhere/clips", out="named")
assert "belongs to other data: the CLIP rows of 1 of 12 videos are not what they were" in said, said
anet_clip = subprocess.run([str(word) for word in [programs / "train_boosting", *anet, "--out", work / "anet_clip", "--activitynet",
                                                   "--concat-clip", "--steps", "3"]], capture_output=True, text=True)
assert anet_clip.returncode == 0, anet_clip.stderr

for out in ("long", "anet", "clip", "anet_clip"):
    checkpoint = work / out / "checkpoint.safetensors"
    trained = results(f"{out}/detections.json")
    assert sum(map(len, trained.values())) > 0, f"{out} finds nothing"
    run("detect", "--checkpoint", checkpoint, "--out", out + "_d")
    assert results(f"{out}_d/own.json") == trained, "detect finds other things than the training did"
    combination = json.loads((work / f"{out}_d/evaluation.json").read_text())["combinations"][0]
    final = json.loads((work / out / "metrics.jsonl").read_text().splitlines()[-1])
    assert combination["map"] == list(final["map"].values()), (combination, final)
    run("detect", "--checkpoint", checkpoint, "--out", out + "_by_dcl", "--method-inference", "dcl", "--theta-cls", "0")
    [by_dcl] = [path for path in (work / f"{out}_by_dcl").glob("cbp_*.json")]
    assert sum(map(len, results(by_dcl).values())) > 0 and results(by_dcl) != trained
    for video, wanted in trained.items():
        words = ["--checkpoint", checkpoint, "--features", "sim", "--id", video, "--out", "one.json"]
        said = run("localize", *words, "--page", "one.html")
        assert results("one.json").get(video, []) == wanted, "localize finds other things than the training did"
        assert "simulated data" in said, said
        run("localize", *words, "--method-inference", "dcl", "--theta-cls", "0")
        assert results("one.json").get(video, []) == results(by_dcl).get(video, [])
    assert "Boosting-WTAL" in run("localize", "--checkpoint", checkpoint, "--features", "sim", "--method-inference", "dcl",
                                  "--fusion", "vlp", fails=True)
    said = run("report", "--run", out, "--page", "page.html")
    assert "holds other detections" not in said and "missing" not in said, said
    assert "Boosting-WTAL" in (work / "page.html").read_text()
run("report", "--run", "long", "--beside", "dcl", "--page", "both.html")
for words in (["detect", "--out", "noclip_d", "--data", "elsewhere/sim"], ["localize", "--features", "elsewhere/sim", "--id", min(trained)]):
    said = run(*words, "--checkpoint", work / "clip/checkpoint.safetensors", fails=True)
    assert said.count("\n") == 1 and "CLIP" in said, said
run("simulate_features", "--out", "wide", "--classes", 3, "--train-videos", 6, "--test-videos", 2, "--i3d-width", 20,
    "--clip-width", 8, "--prompt-vectors", 2)
assert "the rows have 20 columns, the model reads 16" in run("detect", "--checkpoint", work / "long/checkpoint.safetensors", "--data", "wide",
                                                             "--out", "wide_d", fails=True)
# What this machine has not is refused at once, with what to make smaller, and leaves nothing.
for words, smaller in ((["--rows", 1000000, "--batch", 100000], "reduce --batch or --rows"), (["--width", 65536], "--width or --decoder-hidden"),
                       (["--decoder-hidden", 1000000, "--width", 4096], "--width or --decoder-hidden"),
                       (["--frequent-words", 10000000, "--width", 4096], "--frequent-words or --width"),
                       (["--hidden", 65536], "--hidden or --encoded")):
    if os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") > 500e9:
        break
    said = refused(*words, out="refused")
    assert "needs at least" in said and smaller in said and said.count("\n") == 1 and not (work / "refused").exists(), said
assert train("masked", "--real-masking", "--blank-joined-names", "--steps", "2").returncode == 0
print(f"same bytes after {kills} kills and on 1 and 2 threads; one run {elapsed:.2f} s")
