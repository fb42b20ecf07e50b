#!/usr/bin/env python3
"""reproduce on tiny simulated rows: killed at random and started again, and with other numbers of threads, it writes the
same tables byte for byte; its numbers are train_dcl's; what is only judged in another way is not trained again.
usage: reproduce_test.py PROGRAMS"""

import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

programs = pathlib.Path(sys.argv[1]).resolve()
folder = tempfile.TemporaryDirectory()
work = pathlib.Path(folder.name)
SIZES = ["--classes", 3, "--train-videos", 6, "--test-videos", 4, "--rows-low", 10, "--rows-high", 14, "--i3d-width", 16,
         "--clip-width", 8]
STEPS = {"--warm-up-steps": 6, "--b-steps": 3, "--f-steps": 2, "--rounds": 2}
MODEL = ["--width", 8, "--layers", 1, "--heads", 2, "--temporal-layers", 1, "--temporal-heads", 2, "--prompt-vectors", 2,
         "--batch", 3]
ALL = [*SIZES, *MODEL, *[word for pair in STEPS.items() for word in pair]]
TABLES = "main,losses,vanilla,rounds,labels,overlaps,theta-cls,prompts"


def command(*words):
    return [str(w) for w in words]


def reproduce(out, *more, tables=TABLES, good=True, each=2):
    done = subprocess.run(command(programs / "reproduce", "--simulate", "--worlds", each, "--seeds", each, "--tables", tables, "--out",
                                  work / out, *ALL, *more), capture_output=True, text=True)
    assert (done.returncode == 0) == good, f"reproduce {more}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def tables(out):
    files = {p.name: p.read_bytes() for p in (work / out / "tables").iterdir()}
    files["report.md"] = (work / out / "report.md").read_bytes()
    return files


def cells(out):
    return {p.name: json.loads(p.read_text()) for p in (work / out / "cells").glob("*.json")}


first = reproduce("whole", "--jobs", 2, "--threads", 2).stdout
whole = tables("whole")
assert {"main.json", "main.md", "main.csv", "main-differences.json", "published.json"} <= set(whole), sorted(whole)

# ---- the tables are what they should be
main = json.loads(whole["main.json"])
assert set(main) == {"title", "header", "rows", "notes"} and all(len(r) == len(main["header"]) for r in main["rows"])
names = [row[0] for row in main["rows"]]
assert names[:3] == ["warm-up", "warm-up of all 16 steps", "warm-up, I3D and CLIP side by side"], names
assert len(names) == len(set(names)) == 20, names
assert all("±" in row[1] for row in main["rows"]), main["rows"]  # four pairs: every CBP has an interval
alone = [row for row in main["rows"] if row[0].startswith("self-training")]
assert len(alone) == 4 and all(set(row[2:]) == {"–"} for row in alone), alone  # without VLP nothing is fused
assert any("simulated" in note for note in main["notes"]), main["notes"]
labels = json.loads(whole["labels.json"])
assert [row[1] for row in labels["rows"][:3]] == ["warm-up", "round 1", "round 2"], labels["rows"][:3]
published = json.loads(whole["published.json"])
assert any("of other data" in note for note in published["notes"]) and "40.8" in json.dumps(published)

# ---- a second call does nothing, and says the same
before = {p: p.stat().st_mtime_ns for p in (work / "whole/cells").iterdir()}
again = reproduce("whole").stdout
assert {p: p.stat().st_mtime_ns for p in (work / "whole/cells").iterdir()} == before
assert tables("whole") == whole and " 0 trainings to do" in again and " 0 trainings to do" not in first

# ---- other numbers of threads and of trainings at a time
for name, more in {"one": ["--threads", 1], "two": ["--jobs", 1, "--threads", 2]}.items():
    reproduce(name, *more)
    assert tables(name) == whole, [n for n in whole if tables(name).get(n) != whole[n]]

# ---- killed at random, again and again: after some files more, and a moment


def files(out):
    return sum(1 for p in (work / out).rglob("*") if p.is_file() and not p.name.startswith("."))


draw = random.Random(7)
for kills in range(13):
    process = subprocess.Popen(command(programs / "reproduce", "--simulate", "--worlds", 2, "--seeds", 2, "--tables", TABLES, "--out",
                                       work / "killed", *ALL, "--jobs", 2), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True)
    enough = files("killed") + draw.randint(1, 12)
    while kills < 12 and process.poll() is None and files("killed") < enough:
        time.sleep(0.002)
    if kills < 12:
        time.sleep(draw.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
    errors = process.communicate()[1]
    assert process.returncode == (-signal.SIGKILL if kills < 12 else 0), (kills, process.returncode, errors)
assert tables("killed") == whole, [n for n in whole if tables("killed").get(n) != whole[n]]

# ---- what is only judged in another way is not trained again: without warm-ups nothing could be
reproduce("steps", tables="main")
for state in (work / "steps/warm-ups").iterdir():
    state.unlink()
trained = cells("steps")
reproduce("steps", tables="main,theta-cls")
assert not list((work / "steps/warm-ups").iterdir()), "a sweep of theta-cls trained again"
assert {n: c for n, c in cells("steps").items() if n in trained} == trained and len(cells("steps")) > len(trained)
assert tables("steps")["theta-cls.json"] == whole["theta-cls.json"]

# ---- the numbers are train_dcl's
for variant, rule, warm_up in (("both", "ranked", 6), ("self-training", "thresholds", 6), ("warm-up", "thresholds", 6),
                               ("warm-up", "thresholds", 16)):
    wanted = {"variant": variant, "pseudo-labels": rule, "seed": 1, "warm-up-steps": warm_up, "lambda": 0.05,
              "concat-clip": False, "no-kd-foreground": False, "no-kd-background": False, "prompt-vectors": 2}
    found = [c for c in cells("whole").values()
             if all(c["key"]["training"][k] == v for k, v in wanted.items()) and c["key"]["judged"]["theta-cls"] == 0.85]
    theirs = []
    for world in (work / "whole/worlds").iterdir():
        out = work / f"{variant}-{rule}-{warm_up}-{world.name}"
        steps = [word for pair in {**STEPS, "--warm-up-steps": warm_up}.items() for word in pair]
        subprocess.run(command(programs / "train_dcl", "--data", world, "--out", out, "--variant", variant, "--pseudo-labels", rule,
                               "--seed", 1, "--learning-rate", 1e-3, "--crop", 14, *MODEL, *steps),
                       check=True, capture_output=True)
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        theirs.append([line for line in lines if "average_map" in line][-1]["average_map"]["0.3:0.7"])
    ours = [c["rounds"][-1]["map"]["cbp"]["averages"]["0.3:0.7"] for c in found]
    assert len(ours) == 2 and sorted(ours) == sorted(theirs), (variant, rule, ours, theirs)

# ---- a training that diverges has no number, and the others have theirs
said = reproduce("diverges", "--learning-rate", 1e6, "--dropout", 0, tables="main,vanilla,rounds,overlaps").stdout
wild = tables("diverges")
assert "diverged on" in said and ("is not finite" in said or "are not finite" in said), said
rows = json.loads(wild["main.json"])["rows"]
assert all(set(row[1:]) <= {"–"} for row in rows), rows  # without any number, without a column
assert all("±" in row[-1] for row in json.loads(wild["vanilla.json"])["rows"]), wild["vanilla.json"]
reproduce("diverges", "--learning-rate", 1e6, "--dropout", 0, tables="main,vanilla,rounds,overlaps", good=True)
assert tables("diverges") == wild

# ---- what cannot be is refused in a sentence, and nothing is lost
for words, expected in ((["--tables", "mian"], "did you mean \"main\""), (["--baseline", "warmup"], "no row of these tables"),
                        (["--world", work], "give one of")):
    done = subprocess.run(command(programs / "reproduce", "--simulate", "--out", work / "whole", "--worlds", 2, "--seeds", 2,
                                  *ALL, *words), capture_output=True, text=True)
    assert done.returncode != 0 and expected in done.stderr, (words, done.stderr)
same = subprocess.run(command(programs / "reproduce", "--world", *[sorted((work / "whole/worlds").iterdir())[0]] * 2, "--out",
                              work / "same", *MODEL), capture_output=True, text=True)
assert same.returncode == 1 and "same data" in same.stderr, same.stderr
victim, other = sorted((work / "whole/cells").iterdir())[:2]
good_text = victim.read_text()
victim.write_text(other.read_text())
MAY_GO = "remove it, and the same command makes it again"
for damage, why in ((other.read_text(), "another run"), ("{", ""), (good_text.replace('"rounds"', '"runds"'), "its checksum"),
                    (good_text[:-9], ""), ("", ""), (good_text.replace('"average', '"Average'), "its checksum"),
                    (re.sub(r'("0.3:0.7": \d\.)', r"\g<1>9", good_text, count=1), "its checksum"),
                    (re.sub(r'"checksum": ".*"', '"checksum": ""', good_text), "its checksum"),
                    (re.sub(r',\s*"checksum": ".*"', "", good_text), "checksum")):
    assert damage != good_text
    victim.write_text(damage)
    said = reproduce("whole", good=False).stderr
    assert f"cells/{victim.name} cannot be used" in said and why in said and MAY_GO in said and said.count("\n") == 1, said
    assert "1 training" not in said and MAY_GO in reproduce("whole", "--list", good=False).stderr  # before anything else is trained
victim.unlink()
# a world that was made here and changed since
row_file = sorted((work / "whole/worlds").glob("*/i3d/*.npy"))[0]
good_row = row_file.read_bytes()
for damaged in (good_row[:-1] + bytes([good_row[-1] ^ 1]), None):
    row_file.unlink() if damaged is None else row_file.write_bytes(damaged)
    said = reproduce("whole", good=False).stderr
    assert f"i3d/{row_file.name}" in said and "is not as it was made" in said and MAY_GO in said and said.count("\n") == 1, said
row_file.write_bytes(good_row)
# one without its checksums, of an older program, is made again, the same
sums = row_file.parent.parent / "checksums.json"
good_sums = sums.read_bytes()
sums.unlink()
row_file.write_bytes(good_row[:-1])
reproduce("whole", "--list")
assert not sums.exists() and row_file.read_bytes() == good_row[:-1]  # a list writes nothing
# the state after a warm-up, or the branches, which the cells that are missing go on from, likewise
states = {path: path.read_bytes() for path in (work / "whole").glob("*/*.safetensors")}
for path in states:
    path.write_bytes(states[path][:100])
said = reproduce("whole", good=False).stderr
assert states and ".safetensors cannot be used" in said and MAY_GO in said, said
for path, good_state in states.items():
    path.write_bytes(good_state)
reproduce("whole")
assert sums.read_bytes() == good_sums and row_file.read_bytes() == good_row
assert tables("whole") == whole and json.loads(victim.read_text())["rounds"] == json.loads(good_text)["rounds"]
# ---- other methods in CBP's place: a table of their own, or every table of one of them
SMALL = ["--method-width", 8, "--method-rows", 12, "--method-learning-rate", 0.001]
reproduce("methods", *SMALL, tables="methods", each=1)
rows = {row[0]: row[1:] for row in json.loads(tables("methods")["methods.json"])["rows"]}
assert len(rows) == 32, sorted(rows)
for name in ("BaS-Net", "CO2-Net", "UM", "W-TALC"):
    assert all(cell == "–" for cell in rows[f"{name} alone"][1:]), rows  # without VLP nothing is fused
    assert all(cell != "–" for cell in rows[f"{name} as CBP in DCL, ranked"]), rows
    assert rows[f"{name}, I3D and CLIP side by side"][0] != "–" != rows[f"{name} alone, chance"][0], rows
compared = [row[0] for row in json.loads(tables("methods")["methods-differences.json"])["rows"]]
assert "CO2-Net alone − CO2-Net alone, chance" in compared and "UM as CBP in DCL, ranked − UM alone" in compared, compared
few = reproduce("methods", *SMALL, "--rows", "UM alone,ranked", tables="methods", each=1).stdout
wanted = [[name, *cells] for name, cells in rows.items() if "UM alone" in name or "ranked" in name]
assert " 0 trainings to do" in few and len(wanted) == 8 and json.loads(tables("methods")["methods.json"])["rows"] == wanted
assert "has no row" in reproduce("methods", *SMALL, "--rows", "UN alone", tables="methods", each=1, good=False).stderr
again = reproduce("methods", *SMALL, tables="methods", each=1).stdout
assert " 0 trainings to do" in again, again

# Boosting-WTAL: what train_boosting finds on the same world with the same options.
assert rows["Boosting-WTAL alone"][0] != "–" != rows["Boosting-WTAL alone, chance"][0], rows
assert "Boosting-WTAL alone − Boosting-WTAL alone, chance" in compared
assert rows["Boosting-WTAL, I3D and CLIP side by side"][0] != "–", rows
assert "Boosting-WTAL, I3D and CLIP side by side − Boosting-WTAL alone" in compared
[world] = (work / "methods/worlds").iterdir()
for clip in (False, True):
    [boosting] = [c for c in cells("methods").values() if c["key"]["training"].get("method") == "Boosting-WTAL" and
                  c["key"]["training"]["concat-clip"] == clip and "chance_draws" not in c["key"]["judged"]]
    options = {name: boosting["key"]["training"][name] for name in ("rows", "width", "decoder-hidden", "learning-rate", "steps", "seed")}
    assert options["steps"] == 6 and options["rows"] == 64, options
    subprocess.run(command(programs / "train_boosting", "--data", world, "--out", work / f"boosting{clip}", *["--concat-clip"] * clip,
                           *[word for name, value in options.items() for word in ("--" + name, value)]), check=True, capture_output=True)
    final = json.loads((work / f"boosting{clip}/metrics.jsonl").read_text().splitlines()[-1])
    assert boosting["rounds"][-1]["map"]["cbp"]["averages"] == final["average_map"], (boosting, final)
reproduce("methods", *SMALL, "--rows", "Boosting", "--best-of-test", 4, tables="methods", each=1)
best = json.loads(tables("methods")["methods-best-of-test.json"])["rows"]
assert [row[0] for row in best] == ["Boosting-WTAL alone", "Boosting-WTAL, I3D and CLIP side by side"] and float(best[0][3].split()[0]) >= float(best[0][2].split()[0]), best

# ---- the best of a run by the test videos: a table of its own that says so, never in place of the last step's numbers
plain = {row[0]: row for row in json.loads(tables("steps")["main.json"])["rows"]}
said = reproduce("steps", "--best-of-test", 3, tables="main").stdout
assert "CHOSEN BY THE TEST VIDEOS" in said, said
chosen = json.loads(tables("steps")["main-best-of-test.json"])
assert {row[0]: row for row in json.loads(tables("steps")["main.json"])["rows"]} == plain
assert "CHOSEN BY THE TEST VIDEOS" in chosen["title"] and "It is no result" in chosen["notes"][0], chosen
assert "CHOSEN BY THE TEST VIDEOS" in (work / "steps/report.md").read_text()
for row in chosen["rows"]:
    assert row[1] != "CBP" or row[2] == plain[row[0]][1], (row, plain[row[0]])  # beside the same number as ever
    assert float(row[3].split()[0]) >= float(row[2].split()[0]) and row[4].startswith("+"), row
for cell in cells("steps").values():
    if "best_of_test_every" not in cell["key"]["judged"]:
        continue
    end = [c for c in cells("steps").values() if c["key"]["training"] == cell["key"]["training"] and c is not cell
           and c["key"]["judged"] == {k: v for k, v in cell["key"]["judged"].items() if k != "best_of_test_every"}]
    assert len(end) == 1
    for way, score in cell["rounds"][-1]["map"].items():
        total = cell["key"]["training"]["warm-up-steps"] if cell["key"]["training"]["variant"] == "warm-up" else 16
        assert score["step"] % 3 == 0 or score["step"] == total, score
        last = end[0]["rounds"][-1]["map"][way]["averages"]["0.3:0.7"]
        assert score["averages"]["0.3:0.7"] >= last and (score["step"] < total or score["averages"]["0.3:0.7"] == last), (score, last)
again = reproduce("steps", "--best-of-test", 3, tables="main").stdout
assert " 0 trainings to do" in again and json.loads(tables("steps")["main-best-of-test.json"]) == chosen
listed = reproduce("methods", *SMALL[2:], "--cbp", "wtalc", "--list", tables="main").stdout
assert "both, ranked" in listed and "methods" not in listed, listed

listed = reproduce("whole", "--list").stdout
assert "chosen" in listed and "theta-loc" in listed and "--pseudo-labels ranked" in listed, listed
for words in (["--world", work / "nowhere"], [], ["--world", work / "nowhere", "--simulate"]):
    done = subprocess.run(command(programs / "reproduce", "--out", work / "refused", *words), capture_output=True, text=True)
    assert done.returncode == 1 and not (work / "refused").exists(), (words, done.stderr)
listed = reproduce("methods", *SMALL, "--list", tables="methods", each=1).stdout
row = next(line for line in listed.splitlines() if "UM as CBP in DCL, ranked" in line)
assert row.count("--method-width") == 1 and "--method-width 8" in row, row
row = next(line for line in listed.splitlines() if "Boosting-WTAL, I3D and CLIP side by side" in line)
assert "train_boosting " in row and "--concat-clip" in row, row

# ---- a list writes nothing: no folder, no worlds; what it makes for itself goes when it ends, by a signal too
(work / "tmp").mkdir()
listing = command(programs / "reproduce", "--simulate", "--worlds", 2, "--seeds", 2, "--tables", "methods", "--list", "--out",
                  work / "listed", *ALL)
environment = {**os.environ, "TMPDIR": str(work / "tmp")}
done = subprocess.run(listing, capture_output=True, text=True, env=environment)
assert done.returncode == 0 and "trainings to do" in done.stdout, done.stderr
assert not (work / "listed").exists() and not list((work / "tmp").iterdir()), list(work.iterdir())
listing[listing.index("--train-videos") + 1] = "400"
process = subprocess.Popen(listing, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
while process.poll() is None and not list((work / "tmp").iterdir()):
    time.sleep(0.002)
process.send_signal(signal.SIGINT)
process.communicate()
assert process.returncode == 128 + signal.SIGINT, process.returncode
assert not (work / "listed").exists() and not list((work / "tmp").iterdir())
# ---- what the command sets beside the preset is said in every table; other options are other tables
reproduce("beside", "--rows", "warm-up", tables="main", each=1)
preset = tables("beside")
said = reproduce("beside", "--rows", "warm-up", "--cbp", "um", *SMALL, tables="main", each=1).stdout
um = tables("beside")
first_line = said.splitlines()[0]
assert "1 world, 1 seed, preset simulated" in first_line and "1 worlds" not in said and "1 seeds" not in said, first_line
for name in (name for name in um if name.endswith((".md", ".json"))):
    assert b"Every row, beside the preset: " in preset[name] and b"--cbp" not in preset[name], name
    assert b"--cbp um" in um[name] and b"--method-width 8" in um[name] and b"--warm-up-steps 6" in um[name], name
    assert b"; seed 0; preset simulated" in um[name] and b"--i3d-width 16" in um[name], name
assert b"Rows of other methods, beside the preset: --method-width 8" in tables("methods")["methods.md"]

# ---- what cannot run is refused before worlds are made, by the row and the option
for words, table, expected in ((["--cbp", "wtalc", "--method-width", 8], "main", "--method-width is none of --cbp wtalc"),
                               (["--method-width", 8], "main", "--method-width is of other methods"),
                               (["--list"], "nothing", "no table is called 'nothing'")):
    said = reproduce("early", *words, tables=table, good=False).stderr
    assert expected in said and not (work / "early").exists(), said
for words, table, row in ((["--cbp", "co2"], "main", "warm-up"), ([], "methods", "CO2-Net alone")):
    said = reproduce("pairs", "--method-batch", 4, *words, tables=table, each=1, good=False).stderr
    assert f"the row '{row}' cannot be made" in said and "--method-batch 4 is too small for --cbp co2" in said, said
    assert not (work / "pairs/cells").exists()
(work / "bad.txt").write_text("the 1 x\n")
before_bad = len(cells("methods"))
said = reproduce("methods", *SMALL, "--glove", work / "bad.txt", tables="methods", each=1, good=False).stderr
assert "[glove]" in said and "bad.txt" in said and len(cells("methods")) == before_bad, said
print(f"{len(before)} cells, {kills} kills, {len(whole)} files of tables: the same")
