"""gpu_bench on the executor, small: every work runs, PyTorch's side has the same works, and the table shows all of them.

usage: gpu_bench_test.py GPU_BENCH_ON_THE_EXECUTOR
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
program = sys.argv[1]
environment = {**os.environ, "TANDEM_BENCH_SMALL": "1"}


def run(*words):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done
    return done.stdout


names = run(program, "--list").split()
measured = run(program, "--repeat", 1, "--budget", 1)
rows = [json.loads(line) for line in measured.splitlines()]
assert [row["work"] for row in rows] == names and len(set(names)) == len(names) > 35, names
assert all(row["seconds_min"] > 0 and row["calls"] == 2 and row["unit"] in ("f32", "tf32", "bf16") for row in rows), rows
assert names[0] == "gpu_limit_copy" and names[4].startswith("gpu_step"), "what matters most comes first"
# Counted is what bounds a work; CLIP's operations are those of the usual size alone, TV-L1's depend on the pictures.
assert all(row["flops"] > 0 or row["bytes"] > 0 or "clip" in row["work"] or "tvl1" in row["work"] for row in rows), rows

peers = {line.split()[0] for line in run(sys.executable, ROOT / "benchmarks/peers/gpu_peer.py", "--list").splitlines()}
assert set(names) - peers == {"gpu_tvl1_16x256x340"} and not peers - set(names), set(names) ^ peers

with tempfile.TemporaryDirectory(prefix="tandem-gpu-bench-") as folder:
    path = pathlib.Path(folder) / "bench.txt"
    path.write_text(measured)
    table = run(sys.executable, ROOT / "benchmarks/gpu_table.py", "--tandem", path)
    assert all(f"| `{name.removeprefix('gpu_')}` |" in table for name in names), table

late = subprocess.run([program, "--repeat", "1", "--work", names[0], "--most", "0"], capture_output=True, text=True, env=environment)
assert late.returncode == 2 and "--most takes a whole number" in late.stderr, late
print("ok")
