"""render_world: the videos are there, complete and the same again; a killed run goes on; other options are refused."""
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

program = pathlib.Path(sys.argv[1]) / "render_world"
small = ["--train", "12", "--test", "12", "--rows", "32"]


def run(out, *more, code=0):
    done = subprocess.run([program, "--out", out, *small, *more], capture_output=True, text=True)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


with tempfile.TemporaryDirectory() as work:
    work = pathlib.Path(work)
    # Killed in the middle: no video is half there, and a second run makes the rest.
    process = subprocess.Popen([program, "--out", work / "a", *small], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    while not list((work / "a").glob("videos/*.mp4")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run(work / "a")
    run(work / "b")
    videos = sorted(p.name for p in (work / "a/videos").iterdir())
    assert videos == [f"{s}_{i:04}.mp4" for s in ("test", "train") for i in range(1, 13)], videos
    for name in ["gt.json", "world.json", "contact_sheet.png", "glove.txt", *(f"videos/{v}" for v in videos)]:
        assert (work / "a" / name).read_bytes() == (work / "b" / name).read_bytes(), name
    truth = json.loads((work / "a/gt.json").read_text())["database"]
    assert len(truth) == 24 and all(v["duration"] == 20.48 for v in truth.values())
    assert {v["subset"] for v in truth.values()} == {"train", "test"}
    assert "24 videos were there already" in run(work / "a")
    # A video that is damaged, or gone, is rendered again.
    good = (work / "b/videos/test_0004.mp4").read_bytes()
    (work / "a/videos/test_0004.mp4").write_bytes(b"garbage")
    (work / "a/videos/test_0005.mp4").unlink()
    assert "22 videos were there already" in run(work / "a")
    assert (work / "a/videos/test_0004.mp4").read_bytes() == good
    # Somebody else's files stay.
    (work / "mine/videos").mkdir(parents=True)
    (work / "mine/gt.json").write_text("{}")
    assert "was not rendered here" in run(work / "mine", code=1)
    assert (work / "mine/gt.json").read_text() == "{}"
    (work / "mine/gt.json").unlink()
    (work / "mine/videos/train_0001.mp4").write_text("mine")
    assert "was not rendered here" in run(work / "mine", code=1)
    assert "--out is empty" in run("", code=1)
    assert "other options" in run(work / "a", "--seed", "1", code=1)
print("render_world: ok")
