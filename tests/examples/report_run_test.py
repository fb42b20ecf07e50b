"""The page of report over a small run: its numbers are those of evaluate, train_dcl and localize; kinds of false
positives as counted here anew; rounds as recorded; what is missing is said. In a browser, where there is one.

usage: report_run_test.py FOLDER_WITH_THE_PROGRAMS [FOLDER_FOR_SCREENSHOTS]"""
import base64
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from browser import Browser, find_chromium

programs = pathlib.Path(sys.argv[1]).resolve()
NASTY = "Long\u202e & <b>\"jump\"</script><img src=x onerror=console.error(1)>"
CLASSES = ["Dive", NASTY, "Row"]


def run(*words, status=0):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    assert done.returncode == status, "%s: %s%s" % (" ".join(str(w) for w in words), done.stdout, done.stderr)
    return done.stdout + done.stderr


def annotations():
    """Eight training and five test videos; the last has two classes."""
    database = {}
    for i in range(13):
        labels = [CLASSES[i % 3]] if i < 12 else CLASSES[:2]
        segments = [{"segment": [4 + 7 * k + i % 4, 8.5 + 7 * k + i % 5], "label": label}
                    for k in range(3) for label in labels]
        database["video %d" % i] = {"subset": "train" if i < 8 else "test", "duration": 32, "annotations": segments}
    return {"database": database}


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.S).group(1))


def near(a, b):
    """The same up to what two programs may round otherwise."""
    if isinstance(a, list):
        return len(a) == len(b) and all(near(x, y) for x, y in zip(a, b))
    return abs(a - b) <= 1e-5


def check_results(work, data):
    """mAP, AP by class and detections of every fusion: what evaluate says of what train_dcl writes."""
    assert data["fusions"] == ["cbp", "vlp", "mean", "weighted", "geometric-mean", "normalized-mean"], data["fusions"]
    assert data["trained"] == "mean" and set(data["results"]) == set(data["fusions"])
    for fusion in data["fusions"]:
        out = work / ("run_" + fusion)
        shutil.copytree(work / "run", out)
        run(programs / "train_dcl", "--resume", "--out", out, "--fusion", fusion)
        run(programs / "evaluate", "--ground-truth", work / "truth.json", "--detections", out / "detections.json",
            "--protocol", "thumos-seconds", "--subset", "test", "--json", work / "evaluation.json")
        wanted, found = json.loads((work / "evaluation.json").read_text()), data["results"][fusion]
        assert data["tiou"] == wanted["tiou"] and data["protocol"] == wanted["protocol"]
        assert near([found["map"], list(found["averages"].values())], [wanted["map"], list(wanted["averages"].values())]), fusion
        assert list(found["averages"]) == list(wanted["averages"])
        for a, b in zip(found["classes"], wanted["classes"], strict=True):
            assert a["name"] == b["name"].replace("\u202e", "\\u202e") and near(a["ap"], b["ap"]), (a, b)
            assert (a["instances"], a["detections"]) == (b["instances"], b["detections"]), (a, b)
        detected = json.loads((out / "detections.json").read_text())["results"]
        truth = json.loads((work / "truth.json").read_text())["database"]
        counts = [0] * 6
        for video in data["videos"]:
            if video["kind"] != "test":
                continue
            there = sorted([CLASSES.index(d["label"]), *d["segment"], d["score"]] for d in detected[video["id"]])
            here = sorted(d[:4] for d in video["detections"][fusion])
            assert near(here, there) and video["more"][fusion] == 0, (fusion, video["id"])
            for k, one in zip(kinds(detected[video["id"]], truth[video["id"]]["annotations"]),
                              sorted(video["detections"][fusion], key=lambda d: -d[3])):
                assert k == one[4], (fusion, video["id"], one, k)
                counts[k] += 1
        assert counts == found["errors"]["counts"], (fusion, counts, found["errors"])
        assert found["errors"]["map"] == found["map"][data["tiou"].index(0.5)]
        assert [sum(group[k] for group in found["errors"]["byRank"]) <= counts[k] for k in range(6)] == [True] * 6


def kinds(detections, truth, alpha=0.5, beta=0.1):
    """Of one video's detections by falling score, after DETAD's definition. No score here occurs twice."""
    def iou(a, b):
        inter = min(a[1], b[1]) - max(a[0], b[0])
        return 0 if inter <= 0 else inter / (a[1] - a[0] + b[1] - b[0] - inter)
    taken, out = set(), []
    for d in sorted(detections, key=lambda d: -d["score"]):
        near = sorted(((iou(d["segment"], t["segment"]), t["label"] == d["label"], i) for i, t in enumerate(truth)), reverse=True)
        free = [i for overlap, own, i in near if own and overlap >= alpha and i not in taken]
        if free:
            taken.add(free[0])
            out.append(0)
        elif near[0][0] < beta:
            out.append(5)
        else:
            out.append((1 if near[0][1] else 2) if near[0][0] >= alpha else (3 if near[0][1] else 4))
    return out


def check_training(work, data):
    """Curves are those of metrics.jsonl; labels follow from the scores by the rule of the run."""
    lines = [json.loads(line) for line in (work / "run/metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    training = data["training"]
    assert training["steps"] == len(steps) and training["bucket"] == 1
    for curve in training["losses"]:
        assert curve["points"] == [[l["step"], l[curve["name"]]] for l in steps if curve["name"] in l], curve["name"]
    assert [p["name"] for p in training["phases"]] == ["warm-up", "B1", "F1", "B2", "F2"], training["phases"]
    judged = [line for line in lines if "pseudo_labels_after_round" in line]
    assert [(l["round"], l["cbp"], l["vlp"]) for l in training["labels"]] == \
        [(l["pseudo_labels_after_round"], l["cbp"], l["vlp"]) for l in judged]
    assert [(e["round"], e["averages"]) for e in training["evaluations"]] == \
        [(k, l["average_map"]) for k, l in enumerate(l for l in lines if "evaluation" in l)]
    recorded = [v for v in data["videos"] if v["kind"] == "training"]
    assert [v["id"] for v in recorded] == ["video %d" % i for i in (0, 2, 4, 6)], [v["id"] for v in recorded]
    seen = set()
    for video in recorded:
        assert [r["round"] for r in video["rounds"]] == [0, 1, 2]
        for one in video["rounds"]:
            labels = base64.b64decode(one["labels"])
            assert len(labels) == video["rows"]
            for branch, shift in (("cbp", 0), ("vlp", 2)):
                for q, code in zip(base64.b64decode(one[branch]), labels):
                    label = code >> shift & 3
                    seen.add((branch, label))
                    if abs(q / 255 - 0.3) > 0.002 and abs(q / 255 - 0.1) > 0.002:
                        assert label == (1 if q / 255 > 0.3 else 0 if q / 255 < 0.1 else 2), (q, label)
    assert len(seen) >= 4, seen


def check_bounds(work):
    """train_dcl removes what rounds an earlier run left, and writes none where it is told so."""
    out = work / "bounds"
    short = ["--data", work / "sim", "--out", out, *OPTIONS]
    run(programs / "train_dcl", *short, "--rounds", 2)
    assert sorted(p.name for p in (out / "rounds").iterdir()) == ["%02d.safetensors" % i for i in range(3)]
    run(programs / "train_dcl", *short, "--rounds", 1, "--fresh")
    assert sorted(p.name for p in (out / "rounds").iterdir()) == ["00.safetensors", "01.safetensors"]
    run(programs / "train_dcl", *short, "--rounds", 1, "--fresh", "--record-videos", 0)
    assert list((out / "rounds").iterdir()) == []
    assert "--record-videos 0" in run(programs / "report", "--run", out, "--page", work / "bounds.html")
    damaged = work / "damaged"
    shutil.copytree(work / "run", damaged)
    (damaged / "rounds/01.safetensors").write_bytes(b"\xff" * 100)
    assert "01.safetensors" in run(programs / "report", "--run", damaged, "--page", work / "no.html", status=1)
    assert not (work / "no.html").exists()


def check_videos(work, browser):
    """A small video lies inside the page, one that is larger than asked for beside it; one that cannot be played is told."""
    folder = work / "some videos"
    folder.mkdir()
    (folder / "video 8.mp4").write_bytes(b"no video at all")
    for below, wanted in ((1, "#video-0"), (0, "./some%20videos/video%208.mp4")):
        page = work / "videos.html"
        said = run(programs / "report", "--run", work / "run", "--videos", folder, "--embed-below", below, "--page", page)
        assert "9 videos, 1 with a player" in said, said
        found = {v["id"]: v["video"] for v in data_of(page)["videos"]}
        assert found.pop("video 8") == wanted and set(found.values()) == {""}, found
        embedded = re.findall(r'<script type="text/plain" id="video-0">data:video/mp4;base64,(.*?)</script>', page.read_text())
        assert [base64.b64decode(e) for e in embedded] == ([b"no video at all"] if below else []), embedded
        if browser:
            browser.open(page.as_uri())
            assert browser.wait_for("!document.querySelector('#unplayable').hidden"), "a broken video is not told"
            browser.value("Run.choose(Run.data.videos[1])")
            assert browser.value("document.querySelector('#stage').hidden && document.querySelector('#unplayable').hidden")
            browser.errors.clear()
    (work / "none").mkdir()
    assert "holds no video" in run(programs / "report", "--run", work / "run", "--videos", work / "none", "--page",
                                   work / "no.html", status=1)


def check_missing(work, browser):
    """Without features there are the run's own detections and their mAP; without anything its training."""
    bare = work / "bare"
    bare.mkdir()
    shutil.copy(work / "truth.json", bare / "gt.json")
    said = run(programs / "report", "--run", work / "run", "--data", bare, "--page", work / "bare.html")
    assert "features" in said and "Frame scores of test videos are missing" in said, said
    whole, data = data_of(work / "page.html"), data_of(work / "bare.html")
    assert data["fusions"] == ["mean"] and data["results"]["mean"]["map"] == whole["results"]["mean"]["map"]
    assert data["results"]["mean"]["errors"] == whole["results"]["mean"]["errors"]
    assert all("cbp" not in v for v in data["videos"] if v["kind"] == "test")
    empty = work / "empty"
    empty.mkdir()
    run(programs / "report", "--run", work / "run", "--data", empty, "--page", work / "empty.html")
    data = data_of(work / "empty.html")
    assert data["results"] == {} and any("There is no mAP" in w for w in data["warnings"])
    assert data["training"] == whole["training"]
    for page in ("bare.html", "empty.html"):
        if browser:
            browser.open((work / page).as_uri())
            assert browser.errors == [] and browser.value("document.querySelectorAll('.entry').length") == 9, (page, browser.errors)


def check_other_data(work):
    """Data that are not those of the run are refused, with their features and without."""
    truth = json.loads((work / "truth.json").read_text())
    features = work / "sim"
    others = {"moved": ("segments or durations of 1 of 13 videos", lambda t: t["database"]["video 9"]["annotations"][0]["segment"].__setitem__(0, 4.25)),
              "renamed": ("class 3 of 3 was 'Row' and is 'Swim'", None),
              "fewer": ("the video 'video 10' is not among them", lambda t: t["database"].pop("video 10"))}
    for name, (part, change) in others.items():
        text = json.dumps(truth)
        changed = json.loads(text.replace('"Row"', '"Swim"')) if change is None else json.loads(text)
        if change:
            change(changed)
        for kind in ("bare", "whole"):
            folder = work / ("other_%s_%s" % (name, kind))
            if kind == "whole":
                shutil.copytree(features, folder)
            else:
                folder.mkdir()
            (folder / "gt.json").write_text(json.dumps(changed))
            said = run(programs / "report", "--run", work / "run", "--data", folder, "--page", work / "no.html", status=1)
            assert "the data are not those of the run" in said and part in said and "detect --data" in said, said
            assert not (work / "no.html").exists()
    rows = work / "other_rows"
    shutil.copytree(features, rows)
    file = next(p for p in (rows / "i3d").rglob("*.npy") if p.stem == "video 11")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    said = run(programs / "report", "--run", work / "run", "--data", rows, "--page", work / "no.html", status=1)
    assert "the I3D rows of 'video 11' are not what they were" in said, said
    # Videos that came in do not keep the run from being shown.
    truth["database"]["new"] = {"subset": "test", "duration": 32, "annotations": []}
    more = work / "other_more"
    more.mkdir()
    (more / "gt.json").write_text(json.dumps(truth))
    run(programs / "report", "--run", work / "run", "--data", more, "--page", work / "more.html")


def check_page(work, b, data):
    """What the browser shows."""
    b.open((work / "page.html").as_uri())
    assert b.errors == [], b.errors
    value = lambda text: b.value("(() => { %s })()" % text)
    texts = lambda selector: b.value("[...document.querySelectorAll(%s)].map(e => e.textContent)" % json.dumps(selector))
    trained = data["results"]["mean"]
    assert "%.1f %% mAP" % (100 * trained["averages"]["0.3:0.7"]) in texts("#summary")[0], texts("#summary")
    assert value("return document.querySelectorAll('img').length") == 0
    shown = NASTY.replace("\u202e", "\\u202e")
    assert shown in texts("option") and not any("\u202e" in t for t in texts("body")), "a name turns the text"
    assert texts("#tables h2") == ["From JSON", "From Markdown"]
    assert [texts("#tables td")[i] for i in (0, 1, 3, 4)] == ["only-B", "55.2", "a|b", "1.5"], texts("#tables td")

    # The fusions that the page makes of the branches' scores are wtal's.
    video = next(v for v in data["videos"] if v["kind"] == "test")
    for fusion in data["fusions"]:
        run(programs / "localize", "--id", video["id"], "--checkpoint", work / "run/checkpoint.safetensors", "--features",
            work / "sim", "--data", work / "sim", "--fusion", fusion, "--theta-cls", 0, "--page", work / "one.html")
        tracks = {t["name"]: t for t in data_of(work / "one.html")["tracks"]}
        made = b.value("Run.fused(Run.data.videos[0], %s).map((s) => [[...s.frames], s.video])" % json.dumps(fusion))
        for cls, (frames, score) in zip(video["shown"], made):
            track = tracks[data["classes"][cls]]
            assert max(abs(p - q) for p, q in zip(frames, track["scores"])) <= 0.5001e-4, fusion
            assert len(frames) == len(track["scores"]) and abs(score - track["videoScore"]) < 1e-6, (fusion, score, track["videoScore"])

    # The switch shows another's detections, everything else follows.
    for fusion in ("vlp", "mean"):
        b.click("input[value=%s]" % fusion)
        drawn = b.value("[...document.querySelectorAll('.segment.found')].map((e) => +e.dataset.score)")
        assert sorted(drawn) == sorted(d[3] for d in video["detections"][fusion]), fusion
        row = texts("tr.marked td")
        assert row[1:10] == ["%.1f" % (100 * m) for m in data["results"][fusion]["map"]], row
    wrong = value("""const end = Run.data.videos[0].duration;
      return [...document.querySelectorAll('.segment')].filter((e) => {
        const box = e.getBoundingClientRect(), lane = e.parentElement.getBoundingClientRect();
        return Math.abs((box.left - lane.left) / lane.width - e.dataset.start / end) > 0.004; }).map((e) => e.outerHTML)""")
    assert wrong == [], wrong

    # The index: keys, search, classes; the page remembers where it is.
    assert value("return document.querySelectorAll('.entry').length") == 9
    value("document.querySelector('.entry').focus()")
    b.key("ArrowDown", code=40)
    b.key("Enter", text="\r", code=13)
    assert texts("#video-title") == ["video 9"], texts("#video-title")
    assert value("return location.hash") == "#video=video%209"
    value("const s = document.querySelector('#search'); s.value = 'ROW'; s.dispatchEvent(new Event('input'))")
    assert texts(".entry-name") == [v["id"] for v in data["videos"] if 2 in v["labels"]], texts(".entry-name")
    value("const s = document.querySelector('#search'); s.value = ''; s.dispatchEvent(new Event('input'))")
    value("const s = document.querySelector('#class'); s.value = '1'; s.dispatchEvent(new Event('change'))")
    assert set(texts("#tracks .name").pop()[:4] for _ in [0]) == {"Long"} and len(texts("#tracks .name")) == 1
    value("const s = document.querySelector('#class'); s.value = ''; s.dispatchEvent(new Event('change'))")

    # A training video shows the labels of each round.
    b.value("Run.choose(Run.data.videos.find((v) => v.kind === 'training'))")
    assert texts(".round-tag") == ["warm-up", "1", "2"] and value("return document.querySelectorAll('.strip').length") == 6
    assert not value("return document.querySelector('#round-pick').hidden")

    for width in (1280, 390, 360):
        b.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        assert b.wait_for("document.querySelectorAll('.plot svg').length >= 3"), width
        b.value("new Promise((done) => setTimeout(done, 200))")
        assert b.value("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways at %d" % width
        if len(sys.argv) > 2:
            b.screenshot(str(pathlib.Path(sys.argv[2]) / ("report_%d.png" % width)))
    assert b.errors == [], b.errors


def check_beside(work, browser):
    """Two runs side by side: what either page says, once; runs of other data are refused by a sentence."""
    run(programs / "train_dcl", "--data", work / "sim", "--out", work / "run2", *ALONE, "--seed", 1)
    run(programs / "report", "--run", work / "run2", "--page", work / "page2.html")
    said = run(programs / "report", "--run", work / "run", "--beside", work / "run2", "--page", work / "pair.html")
    assert said.count("mAP %") == 2 and "page: " in said, said
    text, data = (work / "pair.html").read_text(), data_of(work / "pair.html")
    assert not re.search(r"(src|href)=\"?(http|//)", text) and "<img" not in text and "\u202e" not in text
    pages = [data_of(work / "page.html"), data_of(work / "page2.html")]
    assert data["title"] == "run beside run2" and [r["name"] for r in data["runs"]] == ["run", "run2"]
    assert [r["fusions"] for r in data["runs"]] == [p["fusions"] for p in pages] and pages[1]["fusions"] == ["cbp"]
    changed = {name: (a, b) for name, a, b in data["differences"]}
    assert changed["variant"] == ("both", "warm-up") and changed["seed"] == ("0", "1") and "width" not in changed, changed
    for r, page in zip(data["runs"], pages):
        for key in ("results", "training", "trained", "facts", "cbpWeight"):
            assert r[key] == page[key], key
    for k, video in enumerate(data["videos"]):
        for of, page in zip(video["runs"], pages):
            one = [v for v in page["videos"] if v["kind"] == "test"][k]
            for key in ("id", "truth", "labels", "subset"):
                assert video[key] == one[key], key
            for key in ("rows", "shown", "cbp", "detections", "videoScores", "more", "secondsPerRow"):
                assert of[key] == one[key], key
    assert len(data["videos"]) == 5
    if browser:
        check_pair_page(work, browser, data)

    # other classes, other videos, other segments
    other = annotations()
    other["database"]["video 9"]["annotations"][0]["segment"][1] += 1
    (work / "other.json").write_text(json.dumps(other))
    fewer = annotations()
    del fewer["database"]["video 12"]
    (work / "fewer.json").write_text(json.dumps(fewer))
    for name, expected in (("other", "segments or durations"), ("fewer", "'video 12' is not among them")):
        run(programs / "simulate_features", "--annotations", work / (name + ".json"), "--out", work / name,
            "--prompt-vectors", 1, "--i3d-width", 32, "--clip-width", 16)
        run(programs / "train_dcl", "--data", work / name, "--out", work / ("run_" + name), *ALONE)
        said = run(programs / "report", "--run", work / "run", "--beside", work / ("run_" + name), "--page", work / "no.html", status=1)
        assert "of different data sets and cannot stand side by side" in said and expected in said, said
        assert not (work / "no.html").exists()
    # other rows of the same videos may be compared
    run(programs / "simulate_features", "--annotations", work / "truth.json", "--out", work / "rows", "--prompt-vectors", 1,
        "--i3d-width", 24, "--clip-width", 16)
    run(programs / "train_dcl", "--data", work / "rows", "--out", work / "run_rows", *ALONE)
    run(programs / "report", "--run", work / "run2", "--beside", work / "run_rows", "--page", work / "rows.html")
    assert [v["runs"][1]["rows"] > 0 for v in data_of(work / "rows.html")["videos"]] == [True] * 5
    run(programs / "train_dcl", "--data", work / "sim", "--out", work / "run_index", *ALONE, "--protocol",
        "activitynet")
    said = run(programs / "report", "--run", work / "run", "--beside", work / "run_index", "--page", work / "no.html", status=1)
    assert "judged by different protocols: thumos-seconds and activitynet" in said, said
    # The protocol that the data have anyway, named: the same.
    shutil.copytree(work / "run2", work / "run_named")
    run(programs / "train_dcl", "--resume", "--out", work / "run_named", "--protocol", "thumos-seconds")
    run(programs / "report", "--run", work / "run", "--beside", work / "run_named", "--page", work / "named.html")
    kept = (work / "run2/options.json").read_bytes()
    said = run(programs / "report", "--run", work / "run2", "--page", work / "run2/options.json", status=2)
    assert "a file of what --run reads" in said and (work / "run2/options.json").read_bytes() == kept, said
    said = run(programs / "report", "--run", work / "run", "--beside", work / "run2", "--page", work / "no.html", "--table",
               work / "table.md", status=1)
    assert "--table is of the page of one run" in said, said


def check_pair_page(work, b, data):
    b.open((work / "pair.html").as_uri())
    assert b.wait_for("document.querySelectorAll('.plot svg').length >= 3"), b.errors
    assert b.errors == [], b.errors
    value = lambda text: b.value("(() => { %s })()" % text)
    texts = lambda selector: b.value("[...document.querySelectorAll(%s)].map(e => e.textContent)" % json.dumps(selector))
    per = lambda x: "%.1f" % (100 * x)
    trained = [r["results"][r["trained"]] for r in data["runs"]]
    rows = [[c for c in row.split("\n")] for row in b.value(
        "[...document.querySelectorAll('#plots table')[0].querySelectorAll('tbody tr')].map(r => [...r.children].map(c => c.textContent).join('\\n'))")]
    assert rows[0][0] == "run: mean" and rows[1][0] == "run2: CBP" and rows[2][0] == "difference", rows
    for k, row in enumerate(rows[:2]):
        assert row[1:1 + len(data["tiou"])] == [per(m) for m in trained[k]["map"]], row
    for i, cell in enumerate(rows[2][1:1 + len(data["tiou"])]):
        change = trained[1]["map"][i] - trained[0]["map"][i]
        assert cell == ("+" if change >= 0 else "−") + per(abs(change)), (cell, change)
    assert len(rows) == 3 + 5 + 0 and texts(".entry-name") == [v["id"] for v in data["videos"]]
    assert "+" in texts("#summary")[0] or "−" in texts("#summary")[0]

    # Both runs' detections and scores under one annotation, at the right places
    for at, video in enumerate(data["videos"]):
        b.value("Pair.choose(Pair.data.videos[%d])" % at)
        for r, of in enumerate(video["runs"]):
            drawn = b.value("[...document.querySelectorAll('.segment.found[data-run=\"%d\"]')].map((e) => [+e.dataset.score, "
                            "e.classList.contains('false')])" % r)
            wanted = of["detections"][data["runs"][r]["trained"]]
            hidden = sum(int(t.split()[0]) for t in texts(".of-run.run-%s .none" % "ab"[r]) if t != "nothing found")
            assert len(drawn) + hidden == len(wanted), (video["id"], r, len(drawn), hidden, len(wanted))
            assert all([d[3], d[4] != 0] in drawn for d in wanted) or hidden > 0, (video["id"], drawn, wanted)
        shown = set(video["labels"]) | {d[0] for r, of in enumerate(video["runs"]) for d in of["detections"][data["runs"][r]["trained"]]}
        assert len(texts("#tracks .row")) == len(shown), (texts("#tracks .name"), shown)
        assert value("return document.querySelectorAll('.segment.truth').length") == len(video["truth"])
    wrong = value("""const end = Pair.state.video.duration;
      return [...document.querySelectorAll('.segment')].filter((e) => {
        const box = e.getBoundingClientRect(), lane = e.parentElement.getBoundingClientRect(),
          axis = document.querySelector('.axis').getBoundingClientRect();
        return Math.abs((box.left - lane.left) / lane.width - e.dataset.start / end) > 0.004 || Math.abs(lane.left - axis.left) > 0.5;
      }).map((e) => e.outerHTML)""")
    assert wrong == [], wrong
    made = b.value("Pair.scoresOf(Pair.data.videos[0], 0).map((s) => s.video)")
    of = data["videos"][0]["runs"][0]["videoScores"]
    assert max(abs(m - (c + v) / 2) for m, c, v in zip(made, of["cbp"], of["vlp"])) < 1e-6, (made, of)

    # A switch changes the run's scores, everywhere
    value("const s = document.querySelector('#fusion-a'); s.value = 'vlp'; s.dispatchEvent(new Event('change'))")
    row = b.value("[...document.querySelector('#plots tbody tr').children].map(c => c.textContent)")
    assert row[0] == "run: VLP" and row[1] == per(data["runs"][0]["results"]["vlp"]["map"][0]), row
    value("const s = document.querySelector('#order'); s.value = 'b'; s.dispatchEvent(new Event('change'))")
    assert sorted(texts(".entry-name")) == sorted(v["id"] for v in data["videos"])
    value("const s = document.querySelector('#search'); s.value = 'video 9'; s.dispatchEvent(new Event('input'))")
    assert texts(".entry-name") == ["video 9"]
    value("const s = document.querySelector('#search'); s.value = ''; s.dispatchEvent(new Event('input'))")
    shown = NASTY.replace("\u202e", "\\u202e")
    assert shown in texts("option") and value("return document.querySelectorAll('img').length") == 0
    for width in (1280, 390, 360):
        b.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        b.value("new Promise((done) => setTimeout(done, 200))")
        assert b.value("document.documentElement.scrollWidth <= innerWidth"), "the pair's page scrolls sideways at %d" % width
        if len(sys.argv) > 2:
            b.screenshot(str(pathlib.Path(sys.argv[2]) / ("pair_%d.png" % width)))
    b.call("Emulation.setDeviceMetricsOverride", width=1180, height=1000, deviceScaleFactor=1, mobile=False)
    assert b.errors == [], b.errors


def check_methods(work, browser):
    """Where no DCL is in a run its scores bear the name of the method, on the page and in the terminal; nothing is drawn of
    what it has not: another branch, fusions, phases, thresholds of an inference that is not its own."""
    run(programs / "train_boosting", "--data", work / "sim", "--out", work / "boosting", "--steps", 4, "--rows", 24, "--batch", 5,
        "--pairs", 2, "--width", 8, "--decoder-hidden", 8, "--prompt-vectors", 2, "--mlp-hidden", 16)
    for name, cbp in (("basnet", "basnet"), ("basnet_dcl", "basnet"), ("um", "um")):
        run(programs / "train_dcl", "--data", work / "sim", "--out", work / name, *ALONE, "--cbp", cbp, "--method-width", 16,
            *([] if name == "basnet_dcl" else ["--method-inference", "own"]))
    for name, called, own in (("boosting", "Boosting-WTAL", True), ("basnet", "BaS-Net", True), ("basnet_dcl", "BaS-Net", False),
                              ("um", "UM", True)):
        said = run(programs / "report", "--run", work / name, "--page", work / (name + ".html"))
        assert called in said and not re.search(r"\bcbp\b", said), said
        data = data_of(work / (name + ".html"))
        assert data["method"] == called and data["names"] == {"cbp": called} and data["fusions"] == ["cbp"], data["names"]
        assert data["own"] == (["cbp"] if own else []) and ("thetaCls" not in data) == own, (name, data["own"])
        if not browser:
            continue
        browser.open((work / (name + ".html")).as_uri())
        assert browser.wait_for("document.querySelectorAll('.plot svg').length >= 2") and browser.errors == [], browser.errors
        texts = lambda selector: browser.value("[...document.querySelectorAll(%s)].map(e => e.textContent)" % json.dumps(selector))
        assert texts(".bar .legend span") == ["annotated", called], texts(".bar .legend span")
        shown = browser.value("""document.title + document.querySelector('main').innerText +
          [...document.querySelectorAll('main [title], main [aria-label]')].map((e) => e.title + e.ariaLabel).join()""")
        for word in ("CBP", "VLP", "fused", "phases", ", as trained", "(as trained", *(["θ"] if own else [])):
            assert word not in shown, (name, word)
        assert "a run of " + called in shown and (len(texts(".chart .theta")) == 0) == own
        assert len(texts(".gauge .dot")) > 0 and (len(texts(".gauge .mark")) == 0) == own
    run(programs / "report", "--run", work / "basnet", "--beside", work / "boosting", "--page", work / "two.html")
    if browser:
        browser.open((work / "two.html").as_uri())
        assert browser.wait_for("document.querySelectorAll('.plot svg').length >= 3") and browser.errors == [], browser.errors
        table = browser.value("[...document.querySelectorAll('#plots tbody tr td:first-child')].map(e => e.textContent)")
        assert table[:2] == ["basnet: BaS-Net", "boosting: Boosting-WTAL"], table
        assert "two runs of BaS-Net and Boosting-WTAL" in browser.value("document.title")


def check_mixed(work):
    """A checkpoint and an options.json of two programs or of two runs are no run."""
    for name, of, options, expected in (
            ("mixed_a", "boosting", "basnet", "is of train_boosting and"), ("mixed_b", "basnet", "boosting", "is of train_dcl and"),
            ("mixed_c", "um", "basnet", 'disagree, so one of them is not of this run: --cbp "um" → "basnet"'),
            ("mixed_d", "run", "run2", '--variant "both" → "warm-up"')):
        (work / name).mkdir()
        shutil.copy(work / of / "checkpoint.safetensors", work / name)
        shutil.copy(work / options / "options.json", work / name)
        said = run(programs / "report", "--run", work / name, "--page", work / "no.html", status=1)
        assert expected in said and "not of this run" in said and "options.json" in said, said
        assert not (work / "no.html").exists()
    # What --resume may change may differ: a run that was stopped before its first new checkpoint.
    later = work / "later"
    shutil.copytree(work / "run2", later)
    options = json.loads((later / "options.json").read_text())
    (later / "options.json").write_text(json.dumps({**options, "warm-up-steps": options["warm-up-steps"] + 1, "theta-cls": 0.3}))
    run(programs / "report", "--run", later, "--page", work / "later.html")


def check_no_options(work):
    """Without options.json it is said that --data is needed; with it the page is whole."""
    for name in ("run", "run2", "boosting"):
        bare = work / ("no_options_" + name)
        shutil.copytree(work / name, bare)
        (bare / "options.json").unlink()
        said = run(programs / "report", "--run", bare, "--page", work / "bare.html")
        wanted = "options.json, which says where the data of the run are, is missing: give --data"
        assert said.count(wanted) == 1 and "names no" not in said and data_of(work / "bare.html")["results"] == {}, said
        said = run(programs / "report", "--run", bare, "--data", work / "sim", "--page", work / "bare.html")
        assert "options.json" not in said and data_of(work / "bare.html")["results"], said


OPTIONS = ["--prompt-vectors", 1, "--width", 32, "--heads", 4, "--temporal-heads", 2, "--crop", 60, "--batch", 4,
           "--warm-up-steps", 40, "--b-steps", 6, "--f-steps", 4, "--learning-rate", 0.003, "--fusion", "mean",
           "--theta-cls", 0.4, "--theta-loc", 0.3, 0.6, "--cbp-weight", 0.3, "--pseudo-labels", "thresholds"]
ALONE = [word for k, word in enumerate(OPTIONS) if word != "--fusion" and OPTIONS[k - 1] != "--fusion"] + [
    "--variant", "warm-up", "--fusion", "cbp"]


def main():
    with tempfile.TemporaryDirectory(prefix="tandem-report-") as name:
        work = pathlib.Path(name)
        (work / "truth.json").write_text(json.dumps(annotations()))
        run(programs / "simulate_features", "--annotations", work / "truth.json", "--out", work / "sim",
            "--prompt-vectors", 1, "--i3d-width", 32, "--clip-width", 16)
        run(programs / "train_dcl", "--data", work / "sim", "--out", work / "run", *OPTIONS, "--rounds", 2,
            "--evaluate-every", 1, "--record-videos", 4)
        (work / "table.json").write_text(json.dumps({"title": "From JSON", "header": ["strategy", "mAP", "±"],
                                                     "rows": [["only-B", 55.2, None]]}))
        (work / "table.md").write_text("# From Markdown\n\n| a | b |\n|---|--:|\n| `a\\|b` | **1.5** |\n")
        said = run(programs / "report", "--run", work / "run", "--page", work / "page.html", "--table",
                   work / "table.json", "--table", work / "table.md")
        assert "other detections" not in said, said
        text, data = (work / "page.html").read_text(), data_of(work / "page.html")
        assert not re.search(r"(src|href)=\"?(http|//)", text) and "<img" not in text and "\u202e" not in text
        assert len(text) < 400_000, len(text)
        check_results(work, data)
        check_training(work, data)
        check_bounds(work)
        chromium = find_chromium()
        if not chromium:
            check_videos(work, None)
            check_missing(work, None)
            check_other_data(work)
            check_beside(work, None)
            check_methods(work, None)
            check_mixed(work)
            check_no_options(work)
            print("the page's numbers are right; without Chromium it was not looked at")
            return
        with Browser(chromium) as b:
            check_page(work, b, data)
            check_videos(work, b)
            check_missing(work, b)
            check_other_data(work)
            check_beside(work, b)
            check_methods(work, b)
            check_mixed(work)
            check_no_options(work)
    print("the page's numbers are right, and a browser shows them")


if __name__ == "__main__":
    main()
