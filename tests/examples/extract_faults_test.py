"""What extract_features and clip_features do with sources and outputs that are not as they should be.

usage: extract_faults_test.py FOLDER_WITH_THE_PROGRAMS
Its videos and pictures are written here, without any encoder; extract_features is left out where it was not built."""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

programs = pathlib.Path(sys.argv[1])
golden = pathlib.Path(__file__).resolve().parent.parent / "golden"
scratch = tempfile.TemporaryDirectory(prefix="tandem-faults-")
work = pathlib.Path(scratch.name)
CLIP = ["--clip-weights", golden / "clip/converted.safetensors"]


def write_video(path, seed=0, frames=40):
    """Uncompressed pictures (YUV4MPEG2), which are recognised whatever the name says."""
    with open(path, "wb") as f:
        f.write(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n")
        for t in range(frames):
            f.write(b"FRAME\n" + bytes((x * (seed + 1) + 3 * y + 5 * t) % 200 + 20 for y in range(48) for x in range(64)))
            f.write(bytes((x + seed * 9) % 60 + 90 for x in range(2 * 24 * 32)))


def write_png(path, seed):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes((x * seed + y * 7 + c * 40) % 256 for x in range(40) for c in range(3)) for y in range(40))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 40, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def run(program, *words, status=0):
    done = subprocess.run([os.fsencode(str(w)) if not isinstance(w, bytes) else w for w in (programs / program, *words)],
                          capture_output=True, env={**os.environ, "TANDEM_NUM_THREADS": "2"})
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == status or (status is None and done.returncode in (1, 3)), f"{words}: status {done.returncode}, expected {status}\n{said}"
    assert "\x1b" not in said, repr(said)
    return said


def times(folder):
    return {p.relative_to(folder): p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}


def changed(before, after):
    return sorted(str(f) for f in after if before.get(f) != after[f])


def replace_unnoticed(path, data):
    """Other bytes, as many, and the old time of modification."""
    was = path.stat()
    assert len(data) == was.st_size
    path.write_bytes(data)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def failures(said, *names):
    """The last lines list exactly these."""
    lines = said.rstrip("\n").split("\n")[-len(names) - 1:]
    assert f"{len(names)} of " in lines[0] and lines[0].endswith("failed:"), said
    for name, line in zip(sorted(names), sorted(lines[1:])):
        assert name in line.split(": ")[0], (name, said)
    return lines[1:]


def test_extract_features():
    videos, out = work / "videos", work / "out"
    videos.mkdir()
    for i, name in enumerate("abc"):
        write_video(videos / f"{name}.mp4", i)

    def extract(*words, status=0, streams="clip", weights=CLIP, to=out, inputs=(videos,)):
        return run("extract_features", *inputs, "--out", to, "--streams", streams, *weights, *words, status=status)

    # What cannot be a video stops nothing; hidden files are none; a name that is no UTF-8 has its features once.
    (videos / "._a.mp4").write_bytes(b"\0\5\26\7 Mac OS X")
    (videos / ".hidden.mp4").write_bytes(b"x")
    os.symlink("loop.mp4", videos / "loop.mp4")
    os.symlink("nowhere.mp4", videos / "dangling.mp4")
    (videos / "folder.mp4").mkdir()
    write_video(os.fsencode(videos) + b"/caf\xe9.mp4", 3)
    evil = os.fsencode(videos) + b"/\x1b[2Jx.mp4"
    with open(evil, "wb") as f:
        f.write(b"no video")
    write_video(videos / ("n" * 240 + ".mp4"), 1)
    said = extract(status=3)
    assert "2 hidden file(s) left out" in said and "4 extracted, 0 finished before, 4 failed" in said, said
    lines = failures(said, "dangling.mp4", "loop.mp4", "\\x1b[2Jx.mp4", "n" * 240)
    assert any("Too many levels of symbolic links" in line for line in lines), said
    assert any("File name too long" in line for line in lines), said
    assert (out / "clip/caf%E9.npy").exists()
    before = times(out)
    assert len(before) == 12, before
    assert "0 extracted, 4 finished before, 4 failed" in extract(status=3)
    assert times(out) == before, "a second run touched something"
    inputs = [videos / "a.mp4", videos / "b.mp4", videos / "c.mp4", videos / "loop.mp4"]
    failures(extract(status=3, inputs=inputs), "loop.mp4")  # as a shell's *.mp4 names them
    os.remove(evil)
    for name in ("loop.mp4", "dangling.mp4", "n" * 240 + ".mp4"):
        os.remove(videos / name)
    # Twice the same file, a folder that leads into itself: once each.
    os.symlink(".", videos / "again")
    assert "4 videos, 4 finished" in extract("--recursive", inputs=(videos, videos / "a.mp4"))
    os.remove(videos / "again")
    (work / "empty").mkdir()
    failures(extract(status=3, inputs=(videos, work / "empty")), "empty")

    # Two at once into one folder: each keeps what the other has written, and other options are an error.
    together = work / "together"
    narrow = ["--random-narrow", "16", "--flow-size", "64", "--flow-scales", "2", "--flow-warps", "1", "--threads", "1"]

    def start(streams, seed):
        words = ["extract_features", videos, "--out", together, "--streams", streams, "--random-weights", seed, *narrow]
        return subprocess.Popen([str(programs / words[0]), *map(str, words[1:])], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    for both in (start("clip", 0), start("rgb,flow", 0)), :
        said = [one.communicate(timeout=300)[0].decode() for one in both]
        assert [one.returncode for one in both] == [0, 0], said
    for record in (together / "provenance").glob("*.json"):
        assert sorted(json.loads(record.read_text())["streams"]) == ["clip", "flow", "rgb"], record
    shutil.rmtree(together)
    both = start("clip", 0), start("clip", 5)
    said = [one.communicate(timeout=300)[0].decode() for one in both]
    seeds = {json.loads(p.read_text())["streams"]["clip"]["settings"]["weights"]["random_seed"]
             for p in (together / "provenance").glob("*.json")}
    assert len(seeds) == 1 or any(one.returncode != 0 for one in both), (seeds, said)
    shutil.rmtree(together)

    # Outputs that are missing or not what was written are made again, and nothing else.
    def remade(damage, *files, note=""):
        damage()
        was = times(out)
        said = extract()
        now = changed(was, times(out))
        assert now == sorted(files), (now, files, said)
        assert note in said, said
        assert "0 extracted" in extract(), "not finished after that"
    a_files = ("clip/a.npy", "provenance/a.json", "timestamps/a_timestamps_ms.npy")
    whole = (out / "clip/a.npy").read_bytes()
    remade(lambda: os.truncate(out / "clip/a.npy", 100), *a_files, note="clip/a.npy is missing or damaged")
    remade(lambda: os.truncate(out / "clip/a.npy", 0), *a_files)
    remade(lambda: replace_unnoticed(out / "clip/a.npy", whole[:-1] + bytes([whole[-1] ^ 1])), *a_files)
    assert (out / "clip/a.npy").read_bytes() == whole
    for text in (b"", b"{", b"[]", b"{}", b"\xff\xfe", (out / "provenance/a.json").read_bytes()[:200]):
        remade(lambda: (out / "provenance/a.json").write_bytes(text), *a_files, note="provenance")
    stamps = (out / "timestamps/a_timestamps_ms.npy").read_bytes()
    for damage in (lambda: os.remove(out / "timestamps/a_timestamps_ms.npy"),
                   lambda: os.truncate(out / "timestamps/a_timestamps_ms.npy", 90)):
        remade(damage, *a_files[1:], note="timestamps/a_timestamps_ms.npy is missing or damaged")
        assert (out / "timestamps/a_timestamps_ms.npy").read_bytes() == stamps

    # Rows that an earlier version saved although they are not finite.
    def as_before():
        about = json.loads((out / "provenance/a.json").read_text())
        for record in (about["streams"]["clip"], about):
            record.pop("written", None), record.pop("timestamps_written", None)
        for key in ("stamp", "checksum"):
            del about["video"][key]
        (out / "provenance/a.json").write_text(json.dumps(about))
    as_before()
    assert "4 finished before" in extract(), "features of an earlier version are taken"
    remade(lambda: (out / "clip/a.npy").write_bytes(whole[:-4] + struct.pack("<f", float("nan"))), *a_files)

    # The video: another one of equal size and time is noticed; one that was only touched is not computed again.
    first = (videos / "a.mp4").read_bytes()
    write_video(work / "other.mp4", 8)
    other = (work / "other.mp4").read_bytes()
    remade(lambda: replace_unnoticed(videos / "a.mp4", other), *a_files, note="the file has changed")
    assert (out / "clip/a.npy").read_bytes() != whole
    remade(lambda: (videos / "a.mp4").write_bytes(first + first[first.index(b"\n") + 1:]), *a_files)
    remade(lambda: (videos / "a.mp4").write_bytes(first), *a_files)
    assert (out / "clip/a.npy").read_bytes() == whole
    os.utime(videos / "a.mp4")
    remade(lambda: None, "provenance/a.json")
    shutil.copytree(out, work / "copy")  # every time is another one
    assert "0 extracted, 4 finished before" in extract(to=work / "copy")

    # Streams of two versions of a video are never mixed.
    rgb = ["--i3d-rgb", golden / "i3d/rgb.safetensors"]
    extract(streams="rgb", weights=rgb)
    (videos / "a.mp4").write_bytes(other)
    was = times(out)
    line, = failures(extract(status=3), "a.mp4")
    assert "since its rgb rows were made: name rgb in --streams as well" in line, line
    assert times(out) == was
    extract(streams="rgb,clip", weights=rgb + CLIP)
    (videos / "a.mp4").write_bytes(first)
    extract(streams="rgb,clip", weights=rgb + CLIP)
    assert (out / "clip/a.npy").read_bytes() == whole
    was = times(out)
    extract("--overwrite")  # of one stream: the other one stays, and stays finished
    assert "0 extracted, 4 finished" in extract(streams="rgb,clip", weights=rgb + CLIP)
    said = extract("--overwrite", "--step", "8", status=1)
    assert "rgb has step 16, not 8 (name rgb in --streams as well" in said, said

    # A place that cannot be written is noticed before anything is computed: the whole folder, or one file of it.
    (work / "file").write_text("")
    for to in (work / "file/out", pathlib.Path("/sys/tandem_out")):
        said = extract(to=to, status=1)
        assert "cannot create" in said and "extracted" not in said and "No such file" not in said, said
    (work / "half/clip/b.npy").mkdir(parents=True)
    line, = failures(extract(to=work / "half", status=3), "b.mp4")
    assert "this is a directory" in line and len(list((work / "half/provenance").glob("*.json"))) == 3, line

    # One weight that is no number: nothing is saved, whether it shows in the weights or only in the rows.
    raw = bytearray((golden / "i3d/rgb.safetensors").read_bytes())
    size = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + size])
    name = next(n for n in head if n.endswith("conv3d.weight"))
    at = 8 + size + head[name]["data_offsets"][0]
    raw[at:at + 4] = struct.pack("<f", float("nan"))
    (work / "nan.safetensors").write_bytes(raw)
    said = run("extract_features", videos, "--out", work / "nan", "--streams", "rgb", "--i3d-rgb", work / "nan.safetensors",
               status=None)
    assert "expected finite numbers" in said and "nan.safetensors" in said and not list((work / "nan").rglob("*.npy")), said


def test_clip_features():
    frames, out = work / "frames", work / "clips"
    for i, name in enumerate("abcd"):
        (frames / name).mkdir(parents=True)
        for k in range(3):
            write_png(frames / name / f"{k}.png", 5 * i + k + 1)
    (frames / "a/._0.png").write_bytes(b"\0\5\26\7")
    (frames / "b/1.png").write_bytes(b"BM" + bytes(200))
    (frames / "c/3.bmp").write_bytes(b"BM" + bytes(200))
    (frames / "nothing").mkdir()
    folders = [frames / f for f in ("a", "b", "c", "d", "nothing")]

    def clip(*words, status=0, inputs=folders, to=out):
        return run("clip_features", "--weights", golden / "clip/converted.safetensors", "--out", to, *inputs, *words,
                   status=status)
    said = clip(status=3)
    assert "2 made, 0 finished before, 3 failed" in said, said
    lines = failures(said, "b", "c", "nothing")
    assert "1.png: is neither PNG nor JPEG, whatever its name says" in lines[0] + lines[1] + lines[2], said
    was = times(out)
    assert [str(f) for f in was] == ["a.npy", "d.npy", "sources/a.json", "sources/d.json"], was
    write_png(frames / "b/1.png", 77)
    os.remove(frames / "c/3.bmp")
    folders.pop()
    assert "2 made, 2 finished before, 0 failed" in clip()
    assert changed(was, times(out)) == ["b.npy", "c.npy", "sources/b.json", "sources/c.json"]
    was = times(out)
    assert "0 made, 4 finished" in clip() and times(out) == was

    def remade(damage):
        damage()
        was = times(out)
        clip()
        assert changed(was, times(out)) == ["a.npy", "sources/a.json"], changed(was, times(out))
        assert "0 made, 4 finished" in clip()
    whole = (out / "a.npy").read_bytes()
    remade(lambda: os.truncate(out / "a.npy", 100))
    remade(lambda: os.remove(out / "a.npy"))
    remade(lambda: (out / "sources/a.json").write_text(""))
    assert (out / "a.npy").read_bytes() == whole
    image = frames / "a/1.png"
    remade(lambda: os.rename(image, frames / "a/9.png"))
    os.rename(frames / "a/9.png", image)
    write_png(frames / "a/7.png", 3)
    remade(lambda: os.remove(frames / "a/7.png"))
    assert (out / "a.npy").read_bytes() == whole
    said = clip("--normalize", status=1)
    assert "normalize false, not true" in said and "--overwrite" in said, said
    clip("--normalize", "--overwrite")
    assert "0 made, 4 finished" in clip("--normalize")
    (work / "elsewhere/a").mkdir(parents=True)
    write_png(work / "elsewhere/a/0.png", 2)
    failures(clip("--normalize", inputs=[*folders, work / "elsewhere/a"], status=3), "elsewhere/a")
    said = clip(to=work / "file2" / "x.npy", inputs=[frames / "a/0.png", frames / "a/1.png"])
    assert "(2, 20)" in said, said
    said = clip(to=work / "file2" / "x.npy", inputs=[frames / "a/0.png", frames / "a/1.png"])
    assert "0 made, 1 finished" in said, said


if (programs / "extract_features").exists():
    test_extract_features()
else:
    print("extract_features is not built: only clip_features is tested")
test_clip_features()
print("all as it should be")
