"""scripts/gpu_check.sh with stand-ins for nvcc, nvidia-smi, cmake, compute-sanitizer and what is built: it goes on after
what fails or hangs, says what it left out, and its limits are below 8 minutes. No GPU is needed, and nothing is built.

usage: gpu_check_test.py
"""
import os
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "gpu_check.sh"
scratch = tempfile.TemporaryDirectory(prefix="tandem-gpu-check-")
work = pathlib.Path(scratch.name)

# ---- the limits: each part, two seconds until one that does not end is killed, and nvidia-smi
limits = [int(n) for n in re.findall(r"\bpart [a-z]+ (\d+) ", SCRIPT.read_text())]
assert len(limits) == 10 and sum(limits) + 2 * len(limits) + 10 < 480, limits


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


def check(name, tools, built, nvcc=True, most=60):
    """Runs the script where `tools` are found first, and where building makes `built`."""
    folder = work / name
    for tool, text in tools.items():
        program(folder / "bin" / tool, text)
    for path, text in built.items():
        program(folder / "made" / path, text)
    # cmake: builds by copying what there is to be
    program(folder / "bin" / "cmake", f'case "$1" in --build) cp -R "{folder}/made/." "$2"; echo built "$@";; *) echo configured "$@";; esac\n'
            if "cmake" not in tools else tools["cmake"])
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "GPU_CHECK_MOST": str(most),
                   "NVCC": str(folder / "bin" / "nvcc") if nvcc else ""}
    done = subprocess.run([SCRIPT, "--out", folder / "out", "--build", folder / "build", "--jobs", "2"], capture_output=True,
                          text=True, env=environment, timeout=120)
    said = (folder / "out" / "summary.txt").read_text()
    assert said == done.stdout, (said, done)
    return done.returncode, said, folder / "out"


GPU = {"nvcc": "echo 'release 13.0, V13.0.88'\n", "nvidia-smi": "echo 'NVIDIA Stand-in, 9.0, 580.1'\n",
       "compute-sanitizer": 'shift 4; echo checked by "$@"; exit 0\n'}
BUILT = {"tests/cuda/tandem_test_cuda": 'echo ran "$@"\n', "benchmarks/gpu_bench": "echo fast\n",
         "examples/simulate_features": "mkdir -p sim\n",
         "examples/extract_features": 'while [ "$1" != --out ]; do shift; done; mkdir -p $2/rgb; [ -s video.y4m ] && '
                                      'head -c 168 /dev/zero > $2/rgb/video.npy\n',
         "examples/train_dcl": "mkdir -p $4; printf '{\"loss\":1.5}\\n{\"loss\":0.25}\\n' > $4/metrics.jsonl\n"}
PARTS = ["configure", "build", "tests", "memcheck", "racecheck", "programs", "methods", "videos", "bench"]

# ---- all is well
status, said, out = check("well", GPU, BUILT)
assert status == 0 and [p for p in PARTS if f"passed   {p}: " in said] == PARTS and "0 skipped" in said, said
assert "NVIDIA Stand-in" in said and "CUDA_ARCHITECTURES=90" in (out / "configure.txt").read_text(), said
assert "softmax_test.cpp" in (out / "memcheck.txt").read_text() and (out / "bench.txt").read_text() == "fast\n"
assert "ran" in (out / "tests.txt").read_text()
built = (out / "build.txt").read_text().split("built ")[1:]
assert ["--target tandem_cuda_kernels " in built[0], "--target tandem_test_cuda " in built[1], "extract_features" in built[3]] == [True] * 3, built
assert (out / "methods.txt").read_text().count("loss:1.5") == 6 and "video.npy 10 numbers" in (out / "videos.txt").read_text()
# Video programs are left out, with the reason, where CMake says that they are not built.
status, said, out = check("no_ffmpeg", {**GPU, "cmake": 'case "$1" in --build) cp -R "$(dirname $0)/../made/." "$2"; echo built "$@";; '
                                        '*) echo "-- extract_features is not built: it needs FFmpeg"; esac\n'},
                          {k: v for k, v in BUILT.items() if "extract" not in k})
assert status == 77 and "skipped  videos: extract_features needs FFmpeg" in said and "1 skipped" in said, said
assert "--target extract_features" not in (out / "build.txt").read_text()
# Where the time did not reach for the tests, those that are compiled are linked alone.
status, said, out = check("fewer", {**GPU, "cmake": 'case "$*" in *DEVICE_TESTS=*) echo "$@" > "$(dirname $0)/asked";; '
                                    '*--build*tandem_test_cuda*) [ -e "$(dirname $0)/asked" ] && cp -R "$(dirname $0)/../made/." "$2";; '
                                    '--build*) o="$2/tests/cuda/CMakeFiles/tandem_device_tests.dir"; mkdir -p "$o"; '
                                    'touch "$o/sum_test.cpp.o" "$o/log_odds_test.cpp.o";; esac\n'}, BUILT)
asked = (work / "fewer/bin/asked").read_text()
assert "passed   fewer" in said and "passed   tests" in said and "sum" in asked and "log_odds" in asked and ";" in asked, (said, asked)

# ---- one fails, one hangs, one is not built: the others go on
status, said, out = check("mixed", GPU, {**BUILT, "tests/cuda/tandem_test_cuda": "echo one is wrong; exit 3\n",
                                         "benchmarks/gpu_bench": "echo begun; exec sleep 600\n",
                                         "examples/simulate_features": "exit 0\n"}, most=3)
assert status == 1 and "FAILED   tests: status 3" in said and "too long bench: stopped after 3 s" in said, said
assert "passed   memcheck" in said and "passed   racecheck" in said and "FAILED   programs" not in said, said
assert "passed   methods" in said and "passed   videos" in said, said
assert (out / "bench.txt").read_text() == "begun\n" and "one is wrong" in (out / "tests.txt").read_text()

# ---- losses that are not the CPU's
status, said, out = check("far", GPU, {**BUILT, "examples/train_dcl":
                                       "mkdir -p $4; case $4 in cpu) l=1.5;; *) l=1.9;; esac; echo \"{\\\"loss\\\":$l}\" > $4/metrics.jsonl\n"})
assert status == 1 and "FAILED   programs" in said and "FAILED   methods" not in said, said
status, said, out = check("rows", GPU, {**BUILT, "examples/extract_features":
                                        'while [ "$1" != --out ]; do shift; done; mkdir -p $2; (head -c 164 /dev/zero; printf "$2") > $2/video.npy\n'})
assert status == 1 and "FAILED   videos" in said, said

# ---- nothing but the build; not even that; no nvcc
status, said, out = check("no_gpu", {"nvcc": GPU["nvcc"], "nvidia-smi": "exit 9\n"}, BUILT)
assert status == 77 and "GPUs: none" in said and "passed   build" in said, said
assert all(f"skipped  {p}: there is no GPU" in said for p in PARTS[2:]) and "7 skipped" in said, said
status, said, out = check("broken", {**GPU, "cmake": "echo no compiler; exit 1\n"}, BUILT)
assert status == 1 and "FAILED   configure" in said and "skipped  bench: configuring failed" in said, said
status, said, out = check("no_nvcc", {"nvidia-smi": "exit 9\n"}, BUILT, nvcc=False)
assert status == 77 and "skipped  build: there is no nvcc" in said and "8 skipped" in said and "passed" not in said, said

done = subprocess.run([SCRIPT, "--fast"], capture_output=True, text=True)
assert done.returncode == 2 and "unknown option '--fast'" in done.stderr, done
print("ok")
