"""extract_features as a user runs it, on real clips with narrow random networks.

usage: extract_features_test.py FOLDER_WITH_THE_PROGRAMS
Exit status 77 (skipped) where the test data are missing."""
import array
import ast
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

programs = pathlib.Path(sys.argv[1])
data = pathlib.Path(os.environ.get("TANDEM_TEST_DATA") or "../shared/data")
clips = [data / "video/ucf101_160x120" / c for c in
         ("BasketballDunk/v_BasketballDunk_g01_c01.mp4", "BaseballPitch/v_BaseballPitch_g01_c01.mp4",
          "BaseballPitch/v_BaseballPitch_g02_c01.mp4")]
whole = data / "video/labelled/v_GGSY1Qvo990.mp4"
published = data / "i3d/features_v_GGSY1Qvo990"
for needed in (*clips, whole, published):
    if not needed.exists():
        print(f"skipped: there is no {needed} (set TANDEM_TEST_DATA to the folder of test data)")
        sys.exit(77)
scratch = tempfile.TemporaryDirectory(prefix="tandem-extract-")
work = pathlib.Path(scratch.name)
QUICK = ["--random-weights", "7", "--random-narrow", "64", "--flow-size", "32", "--flow-scales", "1", "--flow-warps", "1",
         "--flow-outer-iterations", "1"]


def npy(path):
    """(shape, values) of a little-endian npy file of floats."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[8:10], "little")
    head = ast.literal_eval(raw[10:10 + size].decode())
    values = array.array({"<f4": "f", "<f8": "d"}[head["descr"]])
    values.frombytes(raw[10 + size:])
    return head["shape"], values


def run(*words, status=0, quick=QUICK, threads="2"):
    done = subprocess.run([str(w) for w in (programs / "extract_features", *words, *quick)], capture_output=True, text=True,
                          env={**os.environ, "TANDEM_NUM_THREADS": threads})
    assert done.returncode == status, f"{words}: status {done.returncode}, expected {status}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.npy"))}


def times(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}


def check_rows(out, name, stack=16, step=16, fps=25, dropped=0):
    """Row counts and time stamps follow from the frames. The provenance's own rows are not trusted."""
    about = json.loads((out / f"provenance/{name}.json").read_text())
    frames = about["frames"]
    rows = (frames - stack - dropped) // step + 1
    shape, stamps = npy(out / f"timestamps/{name}_timestamps_ms.npy")
    assert shape == (rows,), (name, shape, frames)
    for r, stamp in enumerate(stamps):
        assert abs(stamp - 1000 * (r * step + stack) / fps) < 1e-6, (name, r, stamp)
    for file, columns in ((f"features/{name}.npy", 2 * about["streams"]["rgb"]["columns"]),
                          (f"clip/{name}.npy", about["streams"]["clip"]["columns"])):
        shape, values = npy(out / file)
        assert shape == (rows, columns), (file, shape, rows)
        assert all(v - v == 0 for v in values), f"{file} holds values that are not finite"
        assert len(set(values)) > rows, f"{file} is constant"
    return rows


videos = work / "videos"
(videos / "below").mkdir(parents=True)
for clip in clips:
    shutil.copyfile(clip, videos / clip.name)
names = sorted(c.stem for c in clips)
(videos / "notes.txt").write_text("no video")

# Everything is there, with the right number of rows; running again touches nothing.
said = run(videos, "--out", work / "a")
assert said.count("RANDOM WEIGHTS") == 2 and "3 extracted, 0 finished before, 0 failed" in said, said
for name in names:
    check_rows(work / "a", name)
    about = json.loads((work / f"a/provenance/{name}.json").read_text())
    assert about["random_weights"] and about["streams"]["flow"]["settings"]["flow"]["warps"] == 1
    assert about["streams"]["rgb"]["settings"]["weights"] == {"random_seed": 7, "narrow": 64}
before, first = times(work / "a"), files(work / "a")
assert len(first) == 9 and not list((work / "a").rglob("*.tmp*"))
said = run(videos, "--out", work / "a")
assert "0 extracted, 3 finished before" in said, said
assert times(work / "a") == before, "a second run touched something"

# What is missing or cut short is made again, to the same bits; the rest stays.
(work / f"a/clip/{names[0]}.npy").unlink()
cut = work / f"a/features/{names[1]}.npy"
cut.write_bytes((work / f"a/features/{names[2]}.npy").read_bytes() if npy(cut)[0] != npy(work / f"a/features/{names[2]}.npy")[0]
                else b"")
if cut.stat().st_size == 0:
    cut.unlink()
said = run(videos, "--out", work / "a")
assert "2 extracted, 1 finished before" in said, said
assert files(work / "a") == first, "what was made again differs"
after = times(work / "a")
assert all(after[f] == before[f] for f in after if names[2] in f), "a finished video was touched"

# Other options are refused by name, and taken with --overwrite.
said = run(videos, "--out", work / "a", "--stack", "24", status=1)
assert "has stack 16, not 24" in said and "--overwrite" in said, said
said = run(videos, "--out", work / "a", "--flow-lambda", "0.2", status=1)
assert '"lambda":0.2' in said, said
assert files(work / "a") == first
run(videos, "--out", work / "a", "--stack", "24", "--step", "12", "--overwrite")
for name in names:
    check_rows(work / "a", name, 24, 12)

# One thread, and parts on several machines, give the same bits; the parts are disjoint and complete.
seen = {}
for part in ("1/2", "2/2"):
    out = work / part.replace("/", "of")
    run(videos, "--out", out, "--shard", part, threads="1")
    for file, bytes_ in files(out).items():
        assert file not in seen, f"{file} belongs to both parts"
        seen[file] = bytes_
assert seen == first, "the parts differ from the whole"

# One stream after the other gives the same; the second run leaves the first one's files alone.
run(videos, "--out", work / "b", "--streams", "clip")
only = times(work / "b/clip")
run(videos, "--out", work / "b", "--streams", "rgb,flow,clip")
assert files(work / "b") == first and times(work / "b/clip") == only
run(videos, "--out", work / "c", "--separate", "--streams", "rgb,flow")
for name in names:
    rows, joint = npy(work / f"b/features/{name}.npy")
    half = rows[1] // 2
    for offset, stream in ((0, "rgb"), (half, "flow")):
        shape, values = npy(work / f"c/features/{stream}/{name}.npy")
        assert shape == (rows[0], half)
        assert values[:half] == joint[offset:offset + half]

# A bad video stops nothing, is listed at the end, and the exit status says so.
(videos / "broken.mp4").write_bytes(whole.read_bytes()[:3000])
(videos / "empty.avi").write_bytes(b"")
(videos / "text.mkv").write_text("this is no video")
short = videos / "below/v_short.mp4"
shutil.copyfile(clips[0], short)
said = run(videos, "--out", work / "d", "--streams", "clip", status=3)
assert "3 extracted" in said and "3 failed" in said and "3 of 6 videos failed:" in said, said
for bad in ("broken.mp4", "empty.avi", "text.mkv"):
    assert said.rindex(bad) > said.index("videos failed:"), f"{bad} is not listed at the end:\n{said}"
said = run(videos, "--out", work / "d", "--streams", "clip", "--recursive", status=3)
assert "1 extracted, 3 finished before, 3 failed" in said, said
for bad in ("broken.mp4", "empty.avi", "text.mkv"):
    (videos / bad).unlink()

# A video shorter than a row: an error that says how long it is, or one row that repeats the last frame.
said = run(short, "--out", work / "e", "--stack", "200", "--step", "200", status=3)
assert "frames at 25 per second, a row takes 200" in said, said
run(short, "--out", work / "e", "--stack", "200", "--step", "200", "--tail", "repeat")
assert npy(work / "e/features/v_short.npy")[0][0] == 1

# A kill at any moment leaves nothing that a second run would take for finished.
for delay in (0.15, 0.4, 0.7):
    out = work / f"killed{delay}"
    process = subprocess.Popen([str(w) for w in (programs / "extract_features", videos, "--out", out, *QUICK)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run(videos, "--out", out)
    assert files(out) == first, f"after a kill at {delay} s the files differ"

# The published features of a video: as many rows, the same time stamps.
for stack, step, fps, count in ((24, 24, 25, 18), (24, 12, 15, 21)):
    for last, dropped in (("drop", 1), ("repeat", 0)):
        out = work / f"published_{step}_{last}"
        run(whole, "--out", out, "--stack", stack, "--step", step, "--fps", fps, "--last-flow", last)
        assert check_rows(out, whole.stem, stack, step, fps, dropped) == count
        theirs = npy(published / f"{whole.stem}_None_raft_{stack}_{step}_{fps}_timestamps_ms.npy")
        ours = npy(out / f"timestamps/{whole.stem}_timestamps_ms.npy")
        assert ours == theirs, (ours, theirs)

# --fps 0 takes every frame once, at the video's own rate.
out = work / "as_is"
run(whole, "--out", out, "--fps", 0)
about = json.loads((out / f"provenance/{whole.stem}.json").read_text())
assert about["frames"] == 355 and abs(about["fps"] - 19.62) < 1e-9, about
assert check_rows(out, whole.stem, fps=about["fps"]) == 22

# Weights from files: the converted miniature of the converter's own test, whose widths follow from its shapes.
mini = pathlib.Path(__file__).parent.parent / "golden/i3d/rgb.safetensors"
run(clips[0], "--out", work / "f", "--streams", "rgb", "--i3d-rgb", mini, quick=[])
about = json.loads((work / f"f/provenance/{clips[0].stem}.json").read_text())
assert about["random_weights"] is False
assert about["streams"]["rgb"]["settings"]["weights"] == {"sha256": hashlib.sha256(mini.read_bytes()).hexdigest()}

# A wrong command line teaches.
for words, expected in (((videos, "--out", work / "g", "--steps", "8"), "did you mean --step?"),
                        ((videos, "--out", work / "g", "--streams", "rbg"), 'did you mean "rgb"?'),
                        ((videos, "--out", work / "g", "--resize-filter", "bilinaer"), 'did you mean "bilinear"?'),
                        ((videos, "--out", work / "g", "--shard", "3/2"), "expected a part"),
                        ((work / "nowhere", "--out", work / "g"), "does not exist")):
    assert expected in run(*words, status=2), run(*words, status=2)
for words, expected in (((videos, "--out", work / "g", "--stack", "8"), "I3D needs at least 9 frames, --stack is 8"),
                        ((videos, clips[0], "--out", work / "g"), "would both become"),
                        ((work / "a", "--out", work / "g"), "holds no video; --recursive")):
    assert expected in run(*words, status=1), run(*words, status=1)
assert "the rgb rows need weights: --i3d-rgb FILE" in run(videos, "--out", work / "g", quick=[], status=1)
print(f"{len(first)} arrays, {sum(map(len, first.values()))} bytes")
