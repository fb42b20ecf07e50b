"""compose_videos and pretraining on trimmed clips. The clips are videos that render_world wrote. Composing: the same seed
gives the same bytes, killed or not; lists are kept to; what is wrong is named. Pretraining with --clips: one thread and
two, killed and resumed, write the same bytes. A small world of real clips, where these are (TANDEM_TEST_DATA).

usage: compose_videos_test.py FOLDER_WITH_THE_PROGRAMS"""
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

programs = pathlib.Path(sys.argv[1])
data = pathlib.Path(os.environ.get("TANDEM_TEST_DATA") or "../shared/data") / "video" / "ucf101_160x120"


def run(program, *words, code=0, threads="2"):
    done = subprocess.run([programs / program, *map(str, words)], capture_output=True, text=True,
                          env={**os.environ, "TANDEM_NUM_THREADS": threads})
    assert done.returncode == code, (program, words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def start(program, *words):
    return subprocess.Popen([programs / program, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def content(folder, *patterns):
    return {str(p.relative_to(folder)): p.read_bytes() for pattern in patterns for p in sorted(folder.glob(pattern))}


def check_world(world, lists, classes, fps, instances):
    """gt.json says what world.json says, parts follow each other, and clips are of the list of the subset."""
    truth = json.loads((world / "gt.json").read_text())["database"]
    made = json.loads((world / "world.json").read_text())
    assert sorted(truth) == sorted(made["videos"]) == sorted(p.stem for p in (world / "videos").glob("*.mp4"))
    for name, parts in made["videos"].items():
        at, segments, labels = 0, [], set()
        for part in parts:
            cls = part["clip"].split("/")[0]
            assert part["clip"] in lists[truth[name]["subset"]], (name, part)
            assert part["labelled"] == (cls in classes), (name, part)
            assert part["frames"][0] == at and part["frames"][1] >= at + 8, (name, part)
            at = part["frames"][1]
            if part["labelled"]:
                segments.append([f / fps for f in part["frames"]])
                labels.add(cls)
        entry = truth[name]
        assert [a["segment"] for a in entry["annotations"]] == segments, name
        assert {a["label"] for a in entry["annotations"]} == labels and len(labels) == 1, name
        assert 1 <= len(segments) <= instances and entry["duration"] == at / fps, name
    return truth


def read_lists(folder):
    lists = {}
    for subset in ("train", "test"):
        lines = (folder / f"{subset}list01.txt").read_text().split("\n")
        lists[subset] = {line.split(".avi")[0] for line in lines if line}
    return lists


def header(path):
    raw = path.read_bytes()
    return json.loads(json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])["__metadata__"]["training"])


with tempfile.TemporaryDirectory() as work:
    work = pathlib.Path(work)
    # Clips: six classes of four rendered videos of 20 s each, two for training and two for testing.
    run("render_world", "--out", work / "rendered", "--train", "12", "--test", "12", "--rows", "32")
    clips = work / "clips"
    names = ["Shaking", "LiftingABox", "Circling", "Swinging", "Bouncing", "Pushing"]
    lists = {"train": [], "test": []}
    for i in range(12):
        for subset in lists:
            cls, group = names[i % 6], 1 + i // 6 + (2 if subset == "test" else 0)
            (clips / cls).mkdir(parents=True, exist_ok=True)
            clip = f"v_{cls}_g{group:02}_c01"
            shutil.copy(work / f"rendered/videos/{subset}_{i + 1:04}.mp4", clips / cls / f"{clip}.mp4")
            lists[subset].append(f"{cls}/{clip}.avi")
    for subset, lines in lists.items():
        (clips / f"{subset}list01.txt").write_text("\n".join(lines) + "\n")
    lists = read_lists(clips)
    small = ["--clips", clips, "--classes", "Shaking,LiftingABox", "--train", "3", "--test", "2", "--instances", "2",
             "--gap", "3", "--size", "32"]
    # Killed in the middle, no video is half there, and a second run makes the rest.
    process = start("compose_videos", "--out", work / "a", *small)
    while not list((work / "a").glob("videos/*.mp4")) and process.poll() is None:
        time.sleep(0.01)
    kill(process)
    run("compose_videos", "--out", work / "a", *small)
    said = run("compose_videos", "--out", work / "b", *small, threads="1")
    assert re.search(r"5 videos of .* instances of 2 classes", said), said
    every = ["gt.json", "world.json", "videos/*"]
    assert content(work / "a", *every) == content(work / "b", *every)
    assert len(content(work / "a", *every)) == 7
    assert "5 videos were there already" in run("compose_videos", "--out", work / "a", *small)
    truth = check_world(work / "a", lists, {"Shaking", "LiftingABox"}, 12.5, 2)
    assert [truth[f"train_000{k}"]["annotations"][0]["label"] for k in (1, 2, 3)] == ["Shaking", "LiftingABox", "Shaking"]
    run("compose_videos", "--out", work / "c", *small, "--seed", "1")
    assert (work / "c/gt.json").read_bytes() != (work / "b/gt.json").read_bytes()
    assert "other options" in run("compose_videos", "--out", work / "c", *small, code=1)
    run("compose_videos", "--out", work / "d", *small, "--background", "Pushing")
    made = json.loads((work / "d/world.json").read_text())["videos"]
    assert {p["clip"].split("/")[0] for v in made.values() for p in v if not p["labelled"]} == {"Pushing"}

    # What is wrong is named.
    def refused(*words):
        return run("compose_videos", "--out", work / "no", *words, code=1)

    few = ["--train", "2", "--test", "2"]
    assert "there is no folder" in refused("--clips", work / "nowhere", "--classes", "Shaking")
    assert 'did you mean "Shaking"' in refused("--clips", clips, "--classes", "Shakin")
    assert "nothing is left for the background" in refused("--clips", clips, "--classes", ",".join(names))
    assert "Shaking is named twice" in refused("--clips", clips, "--classes", "Shaking", "--background", "Shaking", *few)
    assert "trainlist02.txt" in refused("--clips", clips, "--classes", "Shaking", "--split", "02")
    assert "--size must be even" in refused("--clips", clips, "--classes", "Shaking", "--size", "33")
    assert "of each of the 2 classes" in refused("--clips", clips, "--classes", "Shaking,Circling", "--train", "1")
    (work / "mine").mkdir()
    (work / "mine/gt.json").write_text("{}")
    assert "was not composed here" in run("compose_videos", "--out", work / "mine", *small, code=1)
    good = (clips / "testlist01.txt").read_text()
    (clips / "testlist01.txt").write_text(good + "Shaking/v_Shaking_g01_c01.avi\n")
    assert "of the same group is for training" in refused(*small)
    assert "of the same group is for training" in run("pretrain_i3d", "--out", work / "no", "--clips", clips, code=1)
    (clips / "testlist01.txt").write_text(good)
    bad = clips / "Pushing/v_Pushing_g01_c01.mp4"
    whole = bad.read_bytes()
    bad.write_bytes(b"no video")
    assert str(bad) in refused(*small, "--background", "Pushing")
    assert str(bad) in run("pretrain_clip", "--out", work / "no", "--clips", clips, code=1)
    bad.write_bytes(whole)

    # Pretraining.
    for program, more in (("pretrain_clip", ["--steps", "60", "--batch", "4", "--test", "16"]),
                          ("pretrain_i3d", ["--steps", "2", "--batch", "4", "--test", "8"])):
        words = ["--clips", clips, "--classes", "Shaking,LiftingABox,Circling", "--seed", "3", *more]
        kept = ["*.safetensors", "*.txt"]
        folder = work / program
        said = run(program, "--out", folder / "two", *words)
        expected = content(folder / "two", *kept)
        assert "33.3" in said, said  # chance
        run(program, "--out", folder / "one", *words, threads="1")
        assert content(folder / "one", *kept) == expected, f"{program}: one thread and two threads differ"
        process = start(program, "--out", folder / "killed", *words)
        while not list((folder / "killed").glob("*.training.safetensors")) and process.poll() is None:
            time.sleep(0.005)
        kill(process)
        if list((folder / "killed").glob("*.training.safetensors")):
            other = [w if w != "Shaking,LiftingABox,Circling" else "Shaking,LiftingABox,Bouncing" for w in words]
            assert "this one has" in run(program, "--out", folder / "killed", *other, "--resume", code=1)
        run(program, "--out", folder / "killed", *words, "--resume")
        assert content(folder / "killed", *kept) == expected, f"{program}: the resumed run differs"
        # What is measured again is what was written.
        again = run(program, "--out", folder / "two", *words, "--check")
        assert again.split("; weights")[0] == said.split("; weights")[0], (said, again)
        assert "--classes are those of --clips" in run(program, "--out", folder / "x", "--classes", "Shaking,Circling", code=1)
    training = header(work / "pretrain_i3d/two/i3d_rgb.safetensors")
    assert training["data"]["classes"] == ["Shaking", "LiftingABox", "Circling"], training
    assert training["data"]["training_clips"] == 6 and training["data"]["training_frames"] == 6 * 256, training
    assert set(training["alone"]["by_class"]) == {"Shaking", "LiftingABox", "Circling"}, training
    merges = (work / "pretrain_clip/two/merges.txt").read_text()
    assert "lifting</w>" in merges.replace(" ", "") and "circling</w>" in merges.replace(" ", ""), merges

    # Real clips.
    if (data / "trainlist01.txt").exists():
        classes = ["Archery", "BalanceBeam", "BaseballPitch"]
        run("compose_videos", "--out", work / "real", "--clips", data, "--classes", ",".join(classes), "--train", "3", "--test", "3")
        truth = check_world(work / "real", read_lists(data), set(classes), 12.5, 3)
        assert len(truth) == 6 and all(v["duration"] > 8 for v in truth.values()), truth
    else:
        print(f"the part on real clips was skipped: there is no {data} (set TANDEM_TEST_DATA to the folder of test data)")
print("compose_videos: ok")
