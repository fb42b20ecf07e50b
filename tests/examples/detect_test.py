"""detect writes what train_dcl wrote for the same options, byte for byte, on one thread and on two; what localize finds for
the same values; and for a grid of values what each gives alone, with the numbers that evaluate gives for the file. Folders
of features and data sets without annotations, with classes in another order, or with rows of one kind do as well.

usage: detect_test.py FOLDER_WITH_THE_PROGRAMS
"""
import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

programs = pathlib.Path(sys.argv[1]).resolve()
scratch = tempfile.TemporaryDirectory(prefix="tandem-detect-")
work = pathlib.Path(scratch.name)


def run(program, *words, threads=1):
    return subprocess.run([programs / program, *map(str, words)], capture_output=True, text=True, cwd=work,
                          env={**os.environ, "TANDEM_NUM_THREADS": str(threads)})


def good(program, *words, **how):
    result = run(program, *words, **how)
    assert result.returncode == 0, f"{program} {' '.join(map(str, words))}:\n{result.stdout}{result.stderr}"
    return result.stdout


def refused(*words, status=1):
    result = run("detect", *words)
    assert result.returncode == status, f"{words}: exit status {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stderr.splitlines()[0]


def files(out):
    return sorted(p.name for p in (work / out).iterdir())


def detections(path):
    return json.loads((work / path).read_text())["results"]


good("simulate_features", "--out", "sim", "--classes", 3, "--train-videos", 6, "--test-videos", 4, "--i3d-width", 16,
     "--clip-width", 16, "--prompt-vectors", 2, "--rows-low", 30, "--rows-high", 50)
SMALL = ["--prompt-vectors", 2, "--width", 16, "--heads", 2, "--temporal-heads", 2, "--crop", 30, "--batch", 3, "--warm-up-steps",
         12, "--b-steps", 4, "--f-steps", 4, "--rounds", 1, "--learning-rate", 0.003]
TRUTH = json.loads((work / "sim/gt.json").read_text())["database"]
TEST = [id for id, video in TRUTH.items() if video["subset"] == "test"]

# ---------------------------------------------------------------- the options of the checkpoint: what train_dcl wrote
RUNS = {
    "plain": ([], "cbp_loc0.45_cls0.85_sigma0.3"),
    "weighted": (["--fusion", "weighted", "--cbp-weight", 0.7, "--theta-loc", 0.3, 0.6, "--theta-cls", 0.1, "--nms-sigma", 0.1,
                  "--no-min-max", "--topk-divisor", 4], "weighted0.7_loc0.3+0.6_cls0.1_sigma0.1_no-min-max"),
    "concat": (["--concat-clip", "--theta-cls", 0, "--fusion", "geometric-mean", "--vlp-reading", "softmax"],
               "geometric-mean_loc0.45_cls0_sigma0.3"),
    "vanilla": (["--variant", "vanilla-vlp", "--theta-cls", 0], "vlp_loc0.45_cls0_sigma0.3"),
    "warm": (["--variant", "warm-up", "--protocol", "activitynet"], "cbp_loc0.45_cls0.85_sigma0.3"),
}
for name, (words, combination) in RUNS.items():
    trained = good("train_dcl", "--data", "sim", "--out", name, *SMALL, *words)
    expected = (work / name / "detections.json").read_bytes()
    assert sum(map(len, json.loads(expected)["results"].values())) > 0, f"{name}: nothing to compare"
    checkpoint = work / name / "checkpoint.safetensors"
    for threads, more in ((1, []), (2, ["--data", "sim", *(["--protocol", "activitynet"] if name == "warm" else [])])):
        out = f"d_{name}{threads}"  # without --data: as options.json beside the checkpoint says
        said = good("detect", "--checkpoint", checkpoint, "--out", out, *more, threads=threads)
        assert files(out) == sorted([combination + ".json", "evaluation.csv", "evaluation.json"]), files(out)
        assert (work / out / (combination + ".json")).read_bytes() == expected, f"{name}: other detections on {threads} threads"
    final = json.loads((work / name / "metrics.jsonl").read_text().splitlines()[-1])
    found = json.loads((work / out / "evaluation.json").read_text())
    assert "4 videos (test)\nrows of 0.64 s, as in training\n" in said, said
    assert found["protocol"] == final["protocol"] and found["subset"] == "test" and found["videos"] == len(TEST), found
    assert found["combinations"][0]["map"] == list(final["map"].values()), (found, final)
    assert found["combinations"][0]["averages"] == final["average_map"]

# ---------------------------------------------------------------- a grid: each as it is alone
CHECKPOINT = ["--checkpoint", work / "plain/checkpoint.safetensors"]
GRID = {"fusion": ["cbp", "vlp", "mean", "weighted", "geometric-mean", "normalized-mean"], "cbp-weight": ["0.2", "0.8"],
        "theta-loc": ["0.45", "0.3+0.6"], "theta-cls": ["0.2", "0.85"], "nms-sigma": ["0.1", "0.3"]}
said = good("detect", *CHECKPOINT, "--data", "sim", "--out", "grid",
            *[word for name, values in GRID.items() for word in ("--" + name, ",".join(values))])
evaluation = json.loads((work / "grid/evaluation.json").read_text())
combinations = evaluation["combinations"]
assert len(combinations) == 7 * 8 and len({c["name"] for c in combinations}) == 56, len(combinations)  # weighted counts twice
assert [c["fusion"] for c in combinations[::8]] == ["cbp", "vlp", "mean", "weighted", "weighted", "geometric-mean", "normalized-mean"]
assert files("grid") == sorted([c["file"] for c in combinations] + ["evaluation.csv", "evaluation.json"])
texts = {(work / "grid" / c["file"]).read_bytes() for c in combinations}
assert len(texts) > 30, "combinations differ in nothing"
with open(work / "grid/evaluation.csv", newline="") as file:
    rows = list(csv.DictReader(file))
for row, c in zip(rows, combinations):
    assert row["name"] == c["name"] and row["fusion"] == c["fusion"] and int(row["detections"]) == c["detections"]
    assert [float(row[f"map.{t:.2f}"]) for t in evaluation["combinations"][0]["tiou"]] == c["map"]
    assert {k[len("average_map."):]: float(v) for k, v in row.items() if k.startswith("average_map.")} == c["averages"]
    assert c["detections"] == sum(map(len, detections("grid/" + c["file"]).values()))
assert len(rows) == 56 and sum(line.split()[:1] == ["weighted"] for line in said.splitlines()) == 16, said
# Some of them one by one; and localize, which does the same for one video.
for c in combinations[3::11]:
    words = ["--fusion", c["fusion"], "--theta-cls", c["theta-cls"], "--nms-sigma", c["nms-sigma"],
             *(["--cbp-weight", c["cbp-weight"]] if "cbp-weight" in c else [])]
    good("detect", *CHECKPOINT, "--data", "sim", "--out", "alone_" + c["name"], *words, "--theta-loc",
         "+".join(map(str, c["theta-loc"])))
    assert (work / ("alone_" + c["name"]) / c["file"]).read_bytes() == (work / "grid" / c["file"]).read_bytes(), c["name"]
    good("localize", *CHECKPOINT, "--features", "sim", "--data", "sim", "--id", TEST[1], "--out", "one.json", *words, "--theta-loc",
         *c["theta-loc"])
    assert detections("one.json")[TEST[1]] == detections("grid/" + c["file"])[TEST[1]], c["name"]
if (programs / "evaluate").exists():
    for c in combinations[::25]:
        good("evaluate", "--ground-truth", "sim/gt.json", "--detections", "grid/" + c["file"], "--protocol", evaluation["protocol"],
             "--subset", "test", "--json", "e.json")
        judged = json.loads((work / "e.json").read_text())
        for key in ("tiou", "map", "averages", "classes"):
            assert judged[key] == c[key], (key, judged[key], c[key])

# ---------------------------------------------------------------- other places, other data
# A folder of features: every video in it, those of the test subset as before.
name = "cbp_loc0.45_cls0.85_sigma0.3"
said = good("detect", *CHECKPOINT, "--features", "sim", "--out", "folder", "--fusion", "cbp,mean")
found = detections(f"folder/{name}.json")
assert sorted(found) == sorted(TRUTH), sorted(found)
assert {id: found[id] for id in TEST} == detections("plain/detections.json")
assert "map" not in json.loads((work / "folder/evaluation.json").read_text())["combinations"][0]
# Some of its videos are annotated: they are judged.
good("detect", *CHECKPOINT, "--features", "sim", "--out", "judged", "--annotations", "sim/gt.json", "--subset", "test")
judged = json.loads((work / "judged/evaluation.json").read_text())["combinations"][0]
plain = json.loads((work / "d_plain1/evaluation.json").read_text())["combinations"][0]
for key in ("map", "averages", "classes"):
    assert judged[key] == plain[key], f"the videos without an annotation count: {judged}, {plain}"
# One video is unreadable: the others are done, and the exit status says so.
shutil.copytree(work / "sim", work / "broken")
(work / f"broken/i3d/{TEST[0]}.npy").write_bytes(b"no array")
result = run("detect", *CHECKPOINT, "--features", "broken", "--out", "broken_out")
assert result.returncode == 3 and TEST[0] in result.stderr and "1 of 10 videos failed" in result.stderr, result.stderr
left = detections(f"broken_out/{name}.json")
assert TEST[0] not in left and all(left[id] == found[id] for id in left) and len(left) == 9
# A subset alone, without rows of the others; the training subset.
shutil.copytree(work / "sim", work / "half", ignore=lambda _, names: [n for n in names if n[:-4] in TRUTH and n[:-4] not in TEST])
good("detect", *CHECKPOINT, "--data", "half", "--out", "half_out")
assert (work / f"half_out/{name}.json").read_bytes() == (work / "plain/detections.json").read_bytes()
good("detect", *CHECKPOINT, "--data", "sim", "--subset", "train", "--out", "train_out")
assert sorted(detections(f"train_out/{name}.json")) == sorted(set(TRUTH) - set(TEST))
# Another precision than that of training: the texts are those of the run all the same.
good("detect", *CHECKPOINT, "--data", "sim", "--fusion", "mean", "--precision", "bf16", "--out", "bf16_out")
good("detect", *CHECKPOINT, "--data", "sim", "--fusion", "mean", "--out", "fp32_out")
low, full = (detections(f"{out}/mean_loc0.45_cls0.85_sigma0.3.json") for out in ("bf16_out", "fp32_out"))
assert low != full and sorted(low) == sorted(full)
# Training videos alone are not taken for what is tested on.
trained = {"database": {id: video for id, video in TRUTH.items() if id not in TEST}}
(work / "trained.json").write_text(json.dumps(trained))
said = refused(*CHECKPOINT, "--data", "sim", "--annotations", "trained.json", "--out", "trained_out")
assert "all videos are of the subset train, which is trained on: --subset train" in said, said
# Annotations that name the classes in another order, or no segment at all.
reordered = {"database": {id: TRUTH[id] for id in reversed(list(TRUTH)) if id in TEST}}
(work / "reordered.json").write_text(json.dumps(reordered))
good("detect", *CHECKPOINT, "--data", "sim", "--annotations", "reordered.json", "--out", "reordered_out")
assert detections(f"reordered_out/{name}.json") == detections("plain/detections.json")
other = json.loads((work / "reordered_out/evaluation.json").read_text())["combinations"][0]
assert {c["name"]: c["ap"] for c in other["classes"]} == {c["name"]: c["ap"] for c in plain["classes"]}
blank = {"database": {id: {**TRUTH[id], "annotations": []} for id in TEST}}
(work / "blank.json").write_text(json.dumps(blank))
said = good("detect", *CHECKPOINT, "--data", "sim", "--annotations", "blank.json", "--out", "blank_out", "--fusion", "cbp,vlp")
assert "so no mAP can be computed" in said and "mAP 0" not in said, said
assert json.loads((work / "blank_out/evaluation.json").read_text())["no_map"] == "no test video has an annotated segment"
# Rows of one kind are enough for the scores that read them.
shutil.copytree(work / "sim", work / "no_i3d", ignore=lambda _, names: [n for n in names if n == "i3d"])
good("detect", *CHECKPOINT, "--data", "no_i3d", "--fusion", "vlp", "--out", "no_i3d_out")
assert detections("no_i3d_out/vlp_loc0.45_cls0.85_sigma0.3.json") == detections(
    "grid/vlp_loc0.45_cls0.85_sigma0.3.json"), "VLP alone"
# Options from a file, typed.
(work / "c.json").write_text(json.dumps({"fusion": ["cbp", "mean"], "theta-cls": [0.2, 0.85], "theta-loc": ["0.3+0.6"]}))
good("detect", *CHECKPOINT, "--data", "sim", "--out", "config", "--config", "c.json")
same_in_numbers = [["0.3+0.6"], [[0.3, 0.6]], "0.3+0.6"]
assert len(files("config")) == 4 + 2 and "cbp_loc0.3+0.6_cls0.2_sigma0.3.json" in files("config"), files("config")
for n, theta in enumerate(same_in_numbers):
    (work / "d.json").write_text(json.dumps({"fusion": "cbp", "theta-loc": theta}))
    good("detect", *CHECKPOINT, "--data", "sim", "--out", f"config{n}", "--config", "d.json")
    assert "cbp_loc0.3+0.6_cls0.85_sigma0.3.json" in files(f"config{n}"), (theta, files(f"config{n}"))
(work / "d.json").write_text(json.dumps({"fusion": "cbp", "theta-loc": [0.3, 0.6]}))  # two of one each
good("detect", *CHECKPOINT, "--data", "sim", "--out", "config_two", "--config", "d.json")
assert {"cbp_loc0.3_cls0.85_sigma0.3.json", "cbp_loc0.6_cls0.85_sigma0.3.json"} <= set(files("config_two"))

# ---------------------------------------------------------------- localize: a folder, with an index
said = good("localize", *CHECKPOINT, "--features", "sim", "--out", "all.json", "--pages", "pages")
assert detections("all.json") == found, "localize finds something else in a folder than detect"
assert files("pages") == ["index.html", "videos"] and files("pages/videos") == sorted(id + ".html" for id in TRUTH)
index = json.loads(re.search(r'id="data">(.*?)</script>', (work / "pages/index.html").read_text(), re.S).group(1))
assert [v["id"] for v in index["videos"]] == sorted(TRUTH) and index["failed"] == []
for video in index["videos"]:
    assert (work / "pages" / video["page"]).is_file(), video["page"]
    assert [d["segment"] for d in found[video["id"]]] == [[f["start"], f["end"]] for f in video["found"]], video
    page = json.loads(re.search(r'id="data">(.*?)</script>', (work / "pages" / video["page"]).read_text(), re.S).group(1))
    assert page["title"] == video["id"] and page["duration"] == video["seconds"]
alone = good("localize", *CHECKPOINT, "--features", "sim", "--id", TEST[0], "--page", "one.html", "--out", "one.json")
assert (work / "one.html").read_bytes() == (work / f"pages/videos/{TEST[0]}.html").read_bytes()
assert detections("one.json") == {TEST[0]: found[TEST[0]]}
result = run("localize", *CHECKPOINT, "--features", "broken", "--pages", "pages3", "--out", "rest.json")
assert result.returncode == 3 and detections("rest.json") == left, result.stderr
index = json.loads(re.search(r'id="data">(.*?)</script>', (work / "pages3/index.html").read_text(), re.S).group(1))
assert [name for name, why in index["failed"]] == [TEST[0]] and TEST[0] not in [v["id"] for v in index["videos"]], index["failed"]
for words, part in ((["--page", "x.html"], "--pages"), (["--truth", "a:1-2"], "--annotations"), (["--duration", 3], "for one video")):
    result = run("localize", *CHECKPOINT, "--features", "sim", *words)
    assert result.returncode == 1 and words[0] in result.stderr and part in result.stderr, result.stderr
(work / "empty").mkdir()
result = run("localize", *CHECKPOINT, "--features", "empty")
assert result.returncode == 1 and "holds no features" in result.stderr, result.stderr

# ---------------------------------------------------------------- what is wrong is said, and nothing is written
for words, part, status in (
        ([*CHECKPOINT, "--theta-cls", "0.5,1.5"], "--theta-cls: must be from 0 to 1, it is 1.5", 2),
        ([*CHECKPOINT, "--theta-loc", "0.3++0.4"], "--theta-loc: expected a number", 2),
        ([*CHECKPOINT, "--fusion", "cbp,avg"], "'avg' is none of cbp|vlp|mean|weighted|geometric-mean|normalized-mean", 2),
        ([*CHECKPOINT, "--subset", "a", "--subset", "b"], "--subset was given 2 times, with the values 'a' and 'b'", 2),
        ([*CHECKPOINT, "--data", "sim", "--subset", "tset"], "'tset' has no videos; did you mean \"test\"?", 1),
        (["--checkpoint", work / "warm/checkpoint.safetensors", "--fusion", "cbp,mean"], "has no VLP", 1),
        (["--checkpoint", work / "vanilla/checkpoint.safetensors", "--fusion", "cbp"], "vanilla-vlp", 1),
        ([*CHECKPOINT, "--data", "nowhere"], "nowhere", 1),
        ([*CHECKPOINT, "--features", "sim/gt.json"], "--features", 2),
        ([*CHECKPOINT, "--data", "sim", "--seconds-per-row", "0.1"], "--seconds-per-row", 1),
        ([*CHECKPOINT, "--data", "sim", "--theta-cls", ",".join(f"{i / 1000}" for i in range(101)), "--theta-loc",
          ",".join(f"{i / 1000}" for i in range(101))], "more than 10000 combinations", 1)):
    said = refused(*words, "--out", "nothing", status=status)
    assert part in said and len(said) < 600, said
    assert "train_dcl" not in said.replace("train_dcl.", ""), said  # the user runs detect
    assert not (work / "nothing").exists(), "a run that was refused left its folder"
# Annotations that share no class with the model cannot judge it.
shutil.copytree(work / "sim", work / "alien")
alien = (work / "sim/gt.json").read_text()
for i, label in enumerate(sorted({a["label"] for video in TRUTH.values() for a in video["annotations"]})):
    alien = alien.replace(json.dumps(label), json.dumps(f"other {i}"))
(work / "alien/gt.json").write_text(alien)
for words in (["--data", "alien"], ["--features", "sim", "--annotations", "alien/gt.json"]):
    said = refused(*CHECKPOINT, *words, "--out", "nothing")
    assert "the model knows none of the 3 annotated classes ('other 0' …)" in said and not (work / "nothing").exists(), said
shutil.copy(work / "plain/checkpoint.safetensors", work / "lonely.safetensors")
assert "name what to look into" in refused("--checkpoint", "lonely.safetensors", "--out", "nothing")
(work / "blocked" / f"{name}.json").mkdir(parents=True)
assert f"{name}.json" in refused(*CHECKPOINT, "--data", "sim", "--out", "blocked")

print(f"{len(RUNS)} runs as train_dcl wrote them, {len(combinations)} combinations as each is alone")
