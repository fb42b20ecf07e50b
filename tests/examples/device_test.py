"""--device of the programs. Those that have no kernels, or find no GPU, refuse it in one sentence. On the executor of
tests/simt, which is a GPU to them, train_dcl goes the way of the CPU, a run moves from one to the other through its
checkpoint, and detections, CLIP rows, I3D rows and flow are the CPU's within roundings. Memory that is not enough is told of
with what takes less.

usage: device_test.py FOLDER_WITH_THE_PROGRAMS FOLDER_WITH_THOSE_ON_THE_EXECUTOR
"""
import array
import json
import math
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

programs, executor = (pathlib.Path(folder).resolve() for folder in sys.argv[1:3])
golden = pathlib.Path(__file__).resolve().parent.parent / "golden"
scratch = tempfile.TemporaryDirectory(prefix="tandem-device-")
work = pathlib.Path(scratch.name)


def run(folder, program, *words, status=0, **environment):
    done = subprocess.run([folder / program, *map(str, words)], capture_output=True, text=True, cwd=work,
                          env={**os.environ, "TANDEM_NUM_THREADS": "2", **environment})
    assert done.returncode == status, (program, words, done)
    return done.stdout + done.stderr


def refused(folder, program, *words):
    lines = [line for line in run(folder, program, *words, status=1).splitlines() if "error:" in line]
    assert len(lines) == 1 and len(lines[0]) < 250, lines
    return lines[0]


def near(a, b, bound):
    return abs(a - b) <= bound * max(1, abs(a), abs(b))


# ---- data
run(programs, "simulate_features", "--out", "sim", "--classes", 3, "--train-videos", 6, "--test-videos", 3, "--i3d-width", 16,
    "--clip-width", 16, "--prompt-vectors", 2, "--rows-low", 20, "--rows-high", 40)
TRAIN = ["--data", "sim", "--prompt-vectors", 2, "--width", 16, "--heads", 2, "--temporal-heads", 2, "--crop", 30,
         "--batch", 2, "--warm-up-steps", 3, "--b-steps", 2, "--f-steps", 2, "--layers", 1, "--temporal-layers", 1,
         "--learning-rate", 0.001]
CLIP = golden / "clip/converted.safetensors"


def write_png(path, width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes((x * 3 + y * 7 + c * 40) % 256 for x in range(width) for c in range(3)) for y in range(height))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_video(path, shift=0):
    """Uncompressed pictures (YUV4MPEG2), which are recognised whatever the name says."""
    with open(path, "wb") as f:
        f.write(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n")
        for t in range(20):
            f.write(b"FRAME\n" + bytes((x + 3 * y + 5 * t + shift) % 200 + 20 for y in range(48) for x in range(64)))
            f.write(bytes(x % 60 + 90 for x in range(2 * 24 * 32)))


def floats(path):
    """The numbers of an array of floats, .npy."""
    data = path.read_bytes()
    start = 10 + struct.unpack("<H", data[8:10])[0]
    assert b"'<f4'" in data[:start], data[:start]
    return array.array("f", data[start:])


def close_arrays(a, b, bound):
    x, y = floats(a), floats(b)
    assert len(x) == len(y) and len(x) > 0
    size = math.sqrt(sum(v * v for v in y))
    assert math.sqrt(sum((u - v) ** 2 for u, v in zip(x, y))) <= bound * size, (a, b)


def with_vocabulary(path, tokens):
    """The small CLIP with as many tokens as a vocabulary of merges.txt has at least."""
    data = CLIP.read_bytes()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header, written = json.loads(data[8:end]), {}
    header["__metadata__"]["vocabulary"] = str(tokens)
    body = b""
    for name, entry in header.items():
        written[name] = dict(entry)
        if name == "__metadata__":
            continue
        values = data[end + entry["data_offsets"][0]:end + entry["data_offsets"][1]]
        if name == "token_embedding.weight":
            rows, columns = entry["shape"]
            values = (values * (tokens // rows + 1))[:len(values) // rows * tokens]
            written[name]["shape"] = [tokens, columns]
        written[name]["data_offsets"] = [len(body), len(body) + len(values)]
        body += values
    text = json.dumps(written).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


pictures = work / "pictures"
pictures.mkdir()
for number, (width, height) in enumerate([(40, 40), (61, 37), (33, 90), (32, 32), (7, 5)]):
    write_png(pictures / f"{number}.png", width, height)
write_video(work / "video.y4m")
write_video(work / "more.y4m", 70)
(work / "merges.txt").write_text("#version: 0.2\na b</w>\n")
with_vocabulary(work / "clip515.safetensors", 515)
ZERO_SHOT = [pictures, "--weights", "clip515.safetensors", "--vocabulary", "merges.txt", "--classes", "ab,cab,a b", "--pattern", "{}"]

# ---- what cannot be
with_gpu = False
commands = {"train_dcl": [*TRAIN, "--out", "none"], "reproduce": ["--simulate", "--list", "--out", "none"],
            "clip_features": ["--weights", CLIP, "--out", "none.npy", pictures],
            "zero_shot": [pictures, "--weights", CLIP, "--vocabulary", "none", "--classes", "a"],
            "extract_features": ["video.y4m", "--out", "none", "--streams", "clip", "--clip-weights", CLIP]}
for program, words in commands.items():
    if not (programs / program).exists():  # where the video library is missing, extract_features is not built
        print("not here:", program)
        continue
    said = refused(programs, program, *words, "--device", "gpu")
    assert "--device is cpu, cuda or cuda:i, not 'gpu'" in said, said
    done = subprocess.run([programs / program, *map(str, words), "--device", "cuda"], capture_output=True, text=True, cwd=work)
    if done.returncode == 0:
        with_gpu = True  # then there is nothing to refuse
        continue
    said = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(said) == 1 and ("was built without the CUDA kernels; where nvcc is, configure with -DTANDEM_CUDA=ON" in said[0] or
                               "no GPU was found here" in said[0]), done
    said = refused(executor, program, *words, "--device", "cuda:7")
    assert "--device cuda:7: there are 2 GPUs here, counted from cuda:0" in said, said
for program, words in commands.items():
    if (programs / program).exists():
        said = refused(programs, program, *words, "--precision", "tf32")
        assert "--precision tf32 is of GPUs: with --device cpu products are fp32 or bf16" in said, said
said = refused(programs, "clip_features", *commands["clip_features"], "--precision", "fp32", "--bfloat16")
assert "--bfloat16 is --precision bf16 and cannot go with --precision fp32" in said, said
said = refused(executor, "reproduce", "--simulate", "--list", "--out", "none", "--device", "cuda", "--jobs", 2)
assert "one at a time: --jobs 2 goes with --device cpu" in said, said
# What is too little memory for the first tensors names the options that take less.
small = {"SIMT_DEVICE_MIB": "1"}
for program, words in commands.items():
    if not (executor / program).exists():
        continue
    words = ZERO_SHOT if program == "zero_shot" else [word for word in words if word != "--list"]
    if program == "reproduce":
        words += ["--tables", "losses", "--worlds", 1, "--seeds", 1, "--i3d-width", 16, "--clip-width", 8, "--width", 8,
                  "--layers", 1, "--heads", 2, "--temporal-layers", 1, "--temporal-heads", 2, "--classes", 3,
                  "--train-videos", 4, "--test-videos", 2]
    done = subprocess.run([executor / program, *map(str, words), "--device", "cuda"], capture_output=True, text=True, cwd=work,
                          env={**os.environ, **small})
    said = done.stdout + done.stderr
    assert done.returncode in (1, 3), (program, done)
    assert "out of memory on cuda:0: " in said and "the device has" in said and "less" in said.split("MiB left; ")[1], (program, said)
if with_gpu:
    print("a GPU is here: the refusals of programs without one were not seen")

# ---- training
def steps(out):
    lines = [json.loads(line) for line in (work / out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def same_way(a, b, bound):
    """Float's roundings, 6e-8, through a few hundred terms of a step and eleven steps of Adam, which counts the error of a
    gradient that is nearly zero a thousandfold."""
    a, b = steps(a), steps(b)
    assert len(a) == len(b) == 11, (len(a), len(b))
    for x, y in zip(a, b):
        assert (x["step"], x["phase"]) == (y["step"], y["phase"])
        for key in ("loss", "grad_norm"):
            assert near(x[key], y[key], bound), (key, x, y)


run(programs, "train_dcl", *TRAIN, "--rounds", 2, "--out", "cpu")
said = run(executor, "train_dcl", *TRAIN, "--rounds", 2, "--out", "gpu", "--device", "cuda:1")
assert "thread(s), cuda:1" in said and json.loads((work / "gpu/options.json").read_text())["device"] == "cuda:1", said
same_way("gpu", "cpu", 1e-4)
# Rows that would take more than half of the memory stay where they are: the same steps, whose rows are uploaded.
run(programs, "simulate_features", "--out", "wide", "--classes", 3, "--train-videos", 40, "--test-videos", 2, "--i3d-width", 2048,
    "--clip-width", 16, "--prompt-vectors", 2, "--rows-low", 20, "--rows-high", 40)
for name, mib in (("kept", "200"), ("uploaded", "16")):
    said = run(executor, "train_dcl", "--data", "wide", *TRAIN[2:], "--rounds", 2, "--out", name, "--device", "cuda",
               SIMT_DEVICE_MIB=mib)
    assert ("note: the rows of the training videos, 9 MiB, would take more than half of the " in said) == (name == "uploaded"), said
assert [line["loss"] for line in steps("kept")] == [line["loss"] for line in steps("uploaded")]
# A run moves between devices: one round here, the other there; what is not said stays.
for name, first, then in (("from_gpu", (executor, "cuda"), (programs, "cpu")), ("from_cpu", (programs, "cpu"), (executor, "cuda"))):
    run(first[0], "train_dcl", *TRAIN, "--rounds", 1, "--out", name, "--device", first[1])
    said = run(then[0], "train_dcl", "--out", name, "--resume", "--rounds", 2, "--device", then[1])
    assert ("thread(s), cuda" in said) == (then[1] == "cuda"), said
    same_way(name, "cpu", 1e-4)
run(executor, "train_dcl", *TRAIN, "--rounds", 2, "--out", "low", "--device", "cuda", "--precision", "bf16")
same_way("low", "cpu", 0.2)  # 2⁻⁸ of every product's operands
run(executor, "train_dcl", *TRAIN, "--rounds", 2, "--out", "tf32", "--device", "cuda", "--precision", "tf32")
same_way("tf32", "cpu", 0.03)  # 2⁻¹¹
assert steps("tf32")[3]["loss"] != steps("gpu")[3]["loss"] != steps("low")[3]["loss"]
# A method in CBP's place, with its own warm-up. 3e-3: its steps are larger, and Adam's first ones go by the signs of gradients.
for name, folder, device in (("method_cpu", programs, "cpu"), ("method_gpu", executor, "cuda")):
    run(folder, "train_dcl", *TRAIN, "--cbp", "basnet", "--method-width", 12, "--rounds", 2, "--out", name, "--device", device)
same_way("method_gpu", "method_cpu", 3e-3)


# ---- what was trained, asked here and there
def segments(path):
    results = json.loads(path.read_text())["results"]
    return {video: sorted(((d["label"], *d["segment"], d["score"]) for d in found)) for video, found in results.items()}


def same_segments(a, b):
    a, b = segments(a), segments(b)
    assert a.keys() == b.keys() and any(a.values())
    for video in a:
        assert len(a[video]) == len(b[video]), video
        for x, y in zip(a[video], b[video]):
            assert x[0] == y[0] and all(near(u, v, 1e-4) for u, v in zip(x[1:], y[1:])), (x, y)


for folder, name, device in ((programs, "found_cpu", "cpu"), (executor, "found_gpu", "cuda")):
    run(folder, "detect", "--checkpoint", "cpu/checkpoint.safetensors", "--data", "sim", "--fusion", "cbp,mean",
        "--out", name, "--device", device)
for path in sorted((work / "found_cpu").glob("*.json")):
    if path.name != "evaluation.json":
        same_segments(path, work / "found_gpu" / path.name)
video = sorted(segments(work / "cpu/detections.json"))[0]
run(executor, "localize", "--checkpoint", "cpu/checkpoint.safetensors", "--features", "sim", "--out", "one_low.json",
    "--device", "cuda", "--precision", "bf16")
assert segments(work / "one_low.json")
for folder, name, device in ((programs, "one_cpu.json", "cpu"), (executor, "one_gpu.json", "cuda")):
    run(folder, "localize", "--checkpoint", "cpu/checkpoint.safetensors", "--features", "sim", "--out", name,
        "--device", device)
same_segments(work / "one_cpu.json", work / "one_gpu.json")

# What holds the model need not hold the scores of long videos: that is told of, too, in both ways of asking and by localize.
run(programs, "simulate_features", "--out", "long", "--classes", 3, "--train-videos", 1, "--test-videos", 1, "--i3d-width", 16,
    "--clip-width", 16, "--prompt-vectors", 2, "--rows-low", 6000, "--rows-high", 6000)
for program, words in (("detect", ["--data", "long", "--out", "none"]), ("detect", ["--features", "long", "--out", "none"]),
                       ("localize", ["--features", "long"])):
    done = subprocess.run([executor / program, "--checkpoint", "cpu/checkpoint.safetensors", *words, "--device", "cuda"],
                          capture_output=True, text=True, cwd=work, env={**os.environ, **small, "TANDEM_CUDA_POOL": "0"})
    said = done.stdout + done.stderr
    assert done.returncode in (1, 3), (program, done)
    assert "out of memory on cuda:0: " in said and "; --device cpu does without it" in said, (program, said)

# ---- many trainings, one at a time
for folder, name, device in ((programs, "study_cpu", "cpu"), (executor, "study_gpu", "cuda")):
    run(folder, "reproduce", "--simulate", "--worlds", 1, "--seeds", 1, "--tables", "losses", "--classes", 3, "--train-videos", 6,
        "--test-videos", 4, "--rows-low", 10, "--rows-high", 14, "--i3d-width", 16, "--clip-width", 8, "--warm-up-steps", 2,
        "--b-steps", 1, "--f-steps", 1, "--rounds", 1, "--width", 8, "--layers", 1, "--heads", 2, "--temporal-layers", 1,
        "--temporal-heads", 2, "--prompt-vectors", 2, "--batch", 3, "--out", name, "--device", device)
cells = [sorted(p.name for p in (work / name / "cells").iterdir()) for name in ("study_cpu", "study_gpu")]
assert cells[0] == cells[1] and len(cells[0]) == 10, cells

# ---- CLIP rows of pictures: five in batches of two, which are two sizes; and of a video, with I3D's
for name, words, bound in (("full", ["--precision", "fp32"], 1e-5), ("low", ["--precision", "bf16"], 8e-3)):
    for folder, device in ((programs, "cpu"), (executor, "cuda")):
        run(folder, "clip_features", "--weights", CLIP, "--out", f"{name}_{device}.npy", "--batch", 2, pictures,
            "--device", device, *words)
    close_arrays(work / f"{name}_cuda.npy", work / f"{name}_cpu.npy", bound)
run(executor, "clip_features", "--weights", CLIP, "--out", "tf32_cuda.npy", "--batch", 2, pictures, "--device", "cuda",
    "--precision", "tf32")
close_arrays(work / "tf32_cuda.npy", work / "full_cpu.npy", 2e-3)  # 2⁻¹¹ of every factor
assert floats(work / "tf32_cuda.npy") != floats(work / "full_cuda.npy")
# Which class fits a picture: the same numbers, to the digit that is shown or the next.
for words, bound in (([], 0.011), (["--precision", "bf16"], 3)):
    told = [run(folder, "zero_shot", *ZERO_SHOT, "--device", device, *words).splitlines() for folder, device in
            ((programs, "cpu"), (executor, "cuda"))]
    shares = [[float(line.split()[-1]) for line in lines if line[-1:].isdigit()] for lines in told]
    assert len(shares[0]) == len(shares[1]) == 15, told
    assert all(abs(a - b) <= bound for a, b in zip(*shares)), told
if (executor / "extract_features").exists():
    # The CPU's flow with the instruction set whose bits a GPU has. Both round the same factors to bfloat16; what is kept is
    # rounded once more on the CPU, by 2⁻⁹, and a sum between two such numbers goes now here, now there.
    # The second video's rows are replays of the graph that the first one's captured.
    for name, precision, bound in (("rows", "fp32", 1e-5), ("low", "bf16", 0.01)):
        for folder, device in ((programs, "cpu"), (executor, "cuda")):
            run(folder, "extract_features", "video.y4m", "more.y4m", "--out", f"{name}_{device}", "--clip-weights", CLIP, "--separate",
                "--streams", "clip,rgb,flow" if name == "rows" else "clip,rgb", "--i3d-rgb", golden / "i3d/rgb.safetensors",
                *(["--i3d-flow", golden / "i3d/flow.safetensors"] if name == "rows" else []), "--resize", 36, "--crop", 34,
                "--flow-scales", 2, "--flow-warps", 1, "--flow-outer-iterations", 1, "--flow-inner-iterations", 5,
                "--device", device, "--precision", precision, "--tail", "repeat", TANDEM_ISA="portable")
        arrays = sorted(p.relative_to(work / f"{name}_cpu") for video in ("video", "more")
                        for p in (work / f"{name}_cpu").rglob(f"{video}.npy"))
        assert len(arrays) == (6 if name == "rows" else 4), arrays
        for path in arrays:
            close_arrays(work / f"{name}_cuda" / path, work / f"{name}_cpu" / path, bound)
print("ok")
