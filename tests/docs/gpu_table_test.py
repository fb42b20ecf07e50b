"""benchmarks/gpu_table.py on rows that are made up: shares of the limits, ratios, goals, and what is not there. No GPU is
needed, and nothing is built.

usage: gpu_table_test.py
"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
WRITER = ROOT / "benchmarks" / "gpu_table.py"
scratch = tempfile.TemporaryDirectory(prefix="tandem-gpu-table-")
work = pathlib.Path(scratch.name)


def write(name, rows, *others):
    path = work / name
    path.write_text("\n".join([*others, *map(json.dumps, rows)]) + "\n")
    return path


def table(*words, status=0):
    done = subprocess.run([sys.executable, WRITER, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == status, done
    return done.stdout


def row(name, seconds, **more):
    return {"work": name, "mode": "tandem", "seconds_min": seconds, "seconds_median": 2 * seconds, "calls": 1, "flops": 0, "bytes": 0,
            "unit": "f32", "items": 0, "item": "", **more}


def cells(text, name):
    lines = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
    assert len(lines) == 1, (name, text)
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


tandem = [
    row("gpu_limit_copy", 1e-3, bytes=4e9, calls=2),  # 4 TB/s
    row("gpu_limit_bf16", 1e-2, flops=5e12, unit="bf16"),  # 500 TFLOP/s: PyTorch's is faster
    row("gpu_step_b_bf16", 0.01, flops=2e12, unit="bf16", calls=5, items=1, item="steps"),
    row("gpu_step_b_tf32", 0.01, flops=2e12, unit="tf32"),
    row("gpu_softmax", 1e-3, bytes=3.6e9),
    row("gpu_gelu", 1e-3, bytes=3e9),
    row("gpu_linear_bf16", 1e-3, bytes=2e9, flops=1e11, unit="bf16"),  # memory bounds it
    row("gpu_tvl1_16x256x340", 0.04, items=16, item="pairs"),
    row("gpu_broken", 0),
]


def peer(name, mode, seconds, **more):
    return {"work": name, "mode": mode, "seconds_min": seconds, "calls": 1, "versions": {"torch": "2.11"}, **more}


peers = [peer("gpu_limit_bf16", "eager", 1e-2, flops=8e12),  # 800 TFLOP/s
         peer("gpu_step_b_bf16", "eager", 0.006, calls=2), peer("gpu_step_b_bf16", "compile", 0.001),
         peer("gpu_attention_197_bf16", "sdpa", 0.0005)]
bench = write("bench.txt", tandem, "gpu_bench: a line that is no row", "{half of a row")
side = write("peers.txt", peers, "a warning")
machine = work / "machine.txt"
machine.write_text("GPUs: a card\n")
text = table("--tandem", bench, "--peers", side, "--machine", machine, "--out", work / "table.md")
assert (work / "table.md").read_text() == text and "GPUs: a card" in text and "torch 2.11" in text, text
assert "copy 4 TB/s, bf16 800 TFLOP/s, tf32 not measured, f32 not measured" in text, text
# work, tandem, a second, share, eager, compile, sdpa, goal
assert cells(text, "step_b_bf16") == ["`step_b_bf16`", "2 ms", "500 steps", "25% of bf16", "3 ms (1.50)", "1 ms (0.50)", "", ""], text
assert cells(text, "step_b_tf32")[3] == "not measured", text
assert cells(text, "limit_copy")[1:4] == ["500 µs", "", "100% of copy"], text
assert cells(text, "softmax")[3] == "90% of copy" and cells(text, "softmax")[-1] == "≥ 85% of copy: met", text
assert cells(text, "gelu")[3] == "75% of copy" and cells(text, "gelu")[-1].endswith("missed"), text
assert cells(text, "linear_bf16")[3] == "50% of copy", text
assert cells(text, "tvl1_16x256x340")[2:4] == ["400 pairs", ""] and cells(text, "tvl1_16x256x340")[-1] == "≥ 300 pairs/s: met", text
assert cells(text, "attention_197_bf16")[1:] == ["not measured", "", "", "", "", "500 µs", ""], text
assert "broken" not in text, text

# ---- without peers, and without anything
alone = table("--tandem", bench, "--peers", work / "absent.txt")
assert "eager" not in alone and cells(alone, "gelu")[3] == "75% of copy" and "bf16 500 TFLOP/s" in alone, alone
empty = write("empty.txt", [])
assert "nothing was measured" in table("--tandem", empty, status=77)

# ---- every work of the peer is one that the table knows how to show, and its list needs no PyTorch
listed = subprocess.run([sys.executable, ROOT / "benchmarks/peers/gpu_peer.py", "--list"], capture_output=True, text=True, check=True)
modes = {line.split()[1] for line in listed.stdout.splitlines()}
assert modes == {"eager", "compile", "sdpa", "cudnn", "channels_last"}, modes
print("ok")
