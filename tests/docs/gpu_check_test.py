"""scripts/gpu_check.sh with stand-ins for nvcc, nvidia-smi, cmake, compute-sanitizer, PyTorch and what is built: it goes on
after what fails or hangs, says what it left out and what is missing, keeps to its time, and packs what it needs. No GPU is
needed, and nothing is built.

usage: gpu_check_test.py
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "gpu_check.sh"
scratch = tempfile.TemporaryDirectory(prefix="tandem-gpu-check-")
work = pathlib.Path(scratch.name)

# ---- the limits: each part's, and the seconds of all, which what ends late is killed after, two at most
text = SCRIPT.read_text()
limits = {name: int(n) for name, n in re.findall(r"\[([a-z]+)\]=(\d+)", text)}
total = int(re.search(r"seconds=(\d+)", text)[1])
PARTS = ["configure", "build", "tests", "bench", "peers", "table", "memcheck", "racecheck", "synccheck", "initcheck", "programs",
         "methods", "videos"]
assert set(limits) == {*PARTS, "fewer"} and sum(limits.values()) <= total and total + 10 <= 480, limits


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


def cmake(configure="", build=""):
    """A cmake that says its version; `build` after what there is to be has been copied."""
    return (f'here=$(dirname "$0")/../made; case "$1" in --version) echo cmake version 3.25.1;; '
            f'--build) {build or "cp -R $here/. $2"}; echo built "$@";; *) echo configured "$@"; {configure or ":"};; esac\n')


def check(name, tools, built, *words, nvcc=True, most=60, **more):
    """Runs the script where `tools` are found first, and where building makes `built`."""
    folder = work / name
    for tool, text in {"cmake": cmake(), "python": PYTHON, **tools}.items():
        program(folder / "bin" / tool, text)
    for path, text in built.items():
        program(folder / "made" / path, text)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "GPU_CHECK_MOST": str(most),
                   "NVCC": str(folder / "bin" / "nvcc") if nvcc else "", "PYTHON": str(folder / "bin" / "python"), **more}
    words = ["--out", folder / "out", "--build", folder / "build", "--jobs", "8", *words]
    done = subprocess.run([SCRIPT, *map(str, words)], capture_output=True, text=True, env=environment, timeout=120)
    said = (folder / "out" / "summary.txt").read_text()
    assert said == done.stdout, (said, done)
    return done.returncode, said, folder / "out"


ROW = '{"work": "gpu_gelu", "mode": "%s", "seconds_min": %s, "bytes": 8, "calls": 1}\n'
# PyTorch is there; the peer prints a row, all else is Python's
PYTHON = ('case "$*" in *find_spec*) exit 0;; *gpu_peer.py*) echo "asked for $*"; printf \'' + ROW.replace("\n", "\\n") % ("eager", 2) +
          f"';; *) exec {sys.executable} \"$@\";; esac\n")
GPU = {"nvcc": "echo 'release 13.0, V13.0.88'\n", "nvidia-smi": "echo 'NVIDIA Stand-in, 9.0, 580.1'\n",
       "compute-sanitizer": 'echo checked by "$@"; exit 0\n'}
BUILT = {"tests/cuda/tandem_test_cuda": 'echo ran "$@"\n',
         "benchmarks/gpu_bench": 'echo asked "$@"; printf \'' + ROW.replace("\n", "\\n") % ("tandem", 4) + "'\n",
         "examples/simulate_features": "mkdir -p sim\n",
         "examples/extract_features": 'while [ "$1" != --out ]; do shift; done; mkdir -p $2/rgb; [ -s video.y4m ] && '
                                      'head -c 168 /dev/zero > $2/rgb/video.npy\n',
         "examples/train_dcl": "mkdir -p $4; printf '{\"loss\":1.5}\\n{\"loss\":0.25}\\n' > $4/metrics.jsonl\n"}


def passed(said):
    return [p for p in PARTS if f"passed   {p}: " in said]


# ---- all is well
status, said, out = check("well", GPU, BUILT)
assert status == 0 and passed(said) == PARTS and "0 skipped" in said and "missing" not in said, said
configured = (out / "configure.txt").read_text()
assert "NVIDIA Stand-in" in said and "CUDA_ARCHITECTURES=90" in configured and "-DTANDEM_TESTS=cuda" in configured, configured
looked = (out / "memcheck.txt").read_text()
assert "cuda/attention_mma_test.cpp,*/cuda/attention_test.cpp" in looked and "4 of 4 groups" in looked and "--tool memcheck" in looked, looked
assert [(out / f"{tool}.txt").read_text().count("checked by") for tool in ("racecheck", "synccheck", "initcheck")] == [3, 3, 3]
assert "--budget 1 --most 52" in (out / "bench.txt").read_text() and "gpu_peer.py --budget 0.3 --most 45" in (out / "peers.txt").read_text()
table = (out / "table.md").read_text()
assert "| `gelu` | 4 s |" in table and "2 s (0.50)" in table and "NVIDIA Stand-in" in table, table
built = [line for line in (out / "build.txt").read_text().splitlines() if line.startswith("built")]
assert len(built) == 1 and "--target tandem_cuda_kernels gpu_bench tandem_test_cuda train_dcl simulate_features extract_features" in built[0], built
assert (out / "methods.txt").read_text().count("loss:1.5") == 6 and "video.npy 10 numbers" in (out / "videos.txt").read_text()
everything = (out / "all.txt").read_text()
assert everything.startswith("==== summary.txt") and all(f"==== {p}.txt" in everything for p in PARTS if p != "table"), everything
# With few processors the programs are built last.
status, said, out = check("few", GPU, BUILT, "--jobs", "2")
built = [line for line in (out / "build.txt").read_text().splitlines() if line.startswith("built")]
assert status == 0 and len(built) == 2 and "train_dcl" not in built[0] and "extract_features" in built[1], built

# ---- some parts, with what the run before built
status, said, out = check("well", GPU, BUILT, "--parts", "tests,sanitize")
assert status == 0 and passed(said) == ["tests", "memcheck", "racecheck", "synccheck", "initcheck"] and " bench:" not in said, said
status, said, out = check("nothing_built", GPU, BUILT, "--parts", "sanitize,tests,bench,programs")
assert status == 77 and "skipped  tests: tandem_test_cuda was not built" in said and "skipped  bench: gpu_bench was not built" in said, said
assert "skipped  videos: extract_features was not built" in said and "configure" not in said, said

# ---- video programs are left out, with the reason, where CMake says that they are not built
status, said, out = check("no_ffmpeg", {**GPU, "cmake": cmake('echo "-- extract_features is not built: it needs FFmpeg"')},
                          {k: v for k, v in BUILT.items() if "extract" not in k})
assert status == 77 and "skipped  videos: extract_features needs FFmpeg" in said and "1 skipped" in said, said
assert "simulate_features extract_features" not in (out / "build.txt").read_text()
# Where the time did not reach for the tests, those that are compiled are linked alone.
status, said, out = check("fewer", {**GPU, "cmake": cmake('case "$*" in *DEVICE_TESTS=*) echo "$@" > "$(dirname $0)/asked";; esac',
                                                          'if [ -e "$(dirname $0)/asked" ]; then cp -R $here/. $2; else '
                                                          'o="$2/tests/cuda/CMakeFiles/tandem_device_tests.dir"; mkdir -p "$o"; '
                                                          'touch "$o/sum_test.cpp.o" "$o/log_odds_test.cpp.o"; fi')}, BUILT)
asked = (work / "fewer/bin/asked").read_text()
assert "passed   fewer" in said and "passed   tests" in said and "sum" in asked and "log_odds" in asked and ";" in asked, (said, asked)

# ---- one fails, one hangs, one is not built: the others go on
status, said, out = check("mixed", GPU, {**BUILT, "tests/cuda/tandem_test_cuda": "echo one is wrong; exit 3\n",
                                         "benchmarks/gpu_bench": "echo begun; exec sleep 600\n",
                                         "examples/simulate_features": "exit 0\n"}, most=4)
assert status == 1 and "FAILED   tests: status 3" in said and "too long bench: stopped after 4 s" in said, said
assert "passed   peers" in said and "FAILED   programs" not in said and "passed   methods" in said and "passed   videos" in said, said
assert (out / "bench.txt").read_text() == "begun\n" and "one is wrong" in (out / "tests.txt").read_text()
# A group of tests in which the sanitizer sees something fails; one that does not end, or a row without a time, is a part.
status, said, out = check("sanitizer", {**GPU, "compute-sanitizer": 'case "$*" in *racecheck*softmax*) echo a race; exit 9;; '
                                        '*memcheck*topk*) exec sleep 600;; esac\n',
                                        "python": PYTHON.replace("exit 0;; *gpu_peer", "exit 0;; *gpu_peer.py*) echo stopped; exit 75;; *gpu_peer")},
                          BUILT, most=8)
assert status == 1 and "FAILED   racecheck: status 1" in said and "a race" in (out / "racecheck.txt").read_text(), said
assert "partly   memcheck: 1 of 4 groups" in said and "partly   peers: stopped" in said and "passed   synccheck" in said, said

# ---- nothing ends: the time of all is kept
begin = time.monotonic()
status, said, out = check("late", {**GPU, "cmake": cmake("exec sleep 600", "exec sleep 600")}, BUILT, "--seconds", "5", "--parts", "build")
assert status == 1 and "too long configure" in said and time.monotonic() - begin < 10, said
hangs = {name: "exec sleep 600\n" for name in BUILT}
begin = time.monotonic()
status, said, out = check("hangs", GPU, hangs, "--seconds", "20", "--parts", "build,tests,bench,programs")
assert status == 1 and said.count("too long") == 5 and time.monotonic() - begin < 26, (said, time.monotonic() - begin)

# ---- losses that are not the CPU's
status, said, out = check("far", GPU, {**BUILT, "examples/train_dcl":
                                       "mkdir -p $4; case $4 in cpu) l=1.5;; *) l=1.9;; esac; echo \"{\\\"loss\\\":$l}\" > $4/metrics.jsonl\n"})
assert status == 1 and "FAILED   programs" in said and "FAILED   methods" not in said, said
status, said, out = check("rows", GPU, {**BUILT, "examples/extract_features":
                                        'while [ "$1" != --out ]; do shift; done; mkdir -p $2; (head -c 164 /dev/zero; printf "$2") > $2/video.npy\n'})
assert status == 1 and "FAILED   videos" in said, said

# ---- nothing but the build; not even that; no nvcc; an old CMake; no PyTorch
status, said, out = check("no_gpu", {"nvcc": GPU["nvcc"], "nvidia-smi": "exit 9\n"}, BUILT)
assert status == 77 and "GPUs: none" in said and "passed   build" in said, said
assert all(f"skipped  {p}: there is no GPU" in said for p in PARTS[2:]) and "11 skipped" in said, said
status, said, out = check("broken", {**GPU, "cmake": 'case "$1" in --version) echo 4.1.0;; *) echo no compiler; exit 1;; esac\n'}, BUILT)
assert status == 1 and "FAILED   configure" in said and "skipped  bench: configuring failed" in said, said
status, said, out = check("no_nvcc", {"nvidia-smi": "exit 9\n"}, BUILT, nvcc=False)
assert status == 77 and "skipped  build: there is no nvcc" in said and "13 skipped" in said and "passed" not in said, said
status, said, out = check("old", {**GPU, "cmake": "echo cmake version 3.22.1\n"}, BUILT)
assert status == 77 and "missing  CMake 3.25 or later (3.22.1 found" in said and "13 skipped" in said, said
status, said, out = check("no_torch", {**GPU, "python": PYTHON.replace("exit 0", "exit 1", 1)}, BUILT)
assert status == 77 and "missing  PyTorch" in said and "skipped  peers: there is no PyTorch" in said and "passed   table" in said, said

# ---- a compiler that finds no libraries: all are named at once; the kernels and their benchmark are built
real = shutil.which(os.environ.get("CXX", "c++"))
bare = ('case "$*" in *-fsyntax-only*) grep -qE "doctest|zlib|CLI|nlohmann|stb|jpeglib" && exit 1; exit 0;; '
        f'*) exec {real} "$@";; esac\n')
status, said, out = check("bare", {**GPU, "bare_cxx": bare}, {k: v for k, v in BUILT.items() if "gpu_bench" in k},
                          CXX=str(work / "bare/bin/bare_cxx"))
assert "missing  doctest, zlib:" in said and "missing  CLI11, nlohmann-json 3.11, stb, libjpeg:" in said and "remedy   scripts/gpu_check.sh --pack" in said, said
configured = (out / "configure.txt").read_text()
assert "-DTANDEM_TESTS=OFF" in configured and "-DTANDEM_EXAMPLES=OFF" in configured, configured
assert status == 77 and "passed   bench" in said and "skipped  tests: tandem_test_cuda was not built" in said, said

# ---- packing, where the libraries are: CMake finds them there and nowhere else
done = subprocess.run([SCRIPT, "--pack", work / "pack"], capture_output=True, text=True)
if done.returncode == 0 and shutil.which("cmake"):
    found = subprocess.run(["cmake", "-S", ROOT, "-B", work / "packed", "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={work / 'pack'}",
                            "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF", "-DTANDEM_CUDA=OFF", "-DTANDEM_COMPILED=OFF", "-DTANDEM_TESTS=cuda",
                            "-DTANDEM_BENCHMARKS=gpu_bench", "-DTANDEM_EXAMPLES=train_dcl", "-DTANDEM_INSTALL=OFF"],
                           capture_output=True, text=True)
    cache = (work / "packed/CMakeCache.txt").read_text()
    assert found.returncode == 0 and "need zlib" not in found.stdout, found
    assert all(f"{name}={work / 'pack'}" in cache for name in
               ("CLI11_INCLUDE_DIR:PATH", "DOCTEST_INCLUDE_DIR:PATH", "STB_INCLUDE_DIR:PATH", "JPEG_LIBRARY_RELEASE:FILEPATH",
                "ZLIB_LIBRARY_RELEASE:FILEPATH", "nlohmann_json_DIR:PATH")), cache
else:
    assert "nothing was packed" in done.stderr or "is not here" in done.stderr, done
# Without any library the kernels, the tests that need none and gpu_bench are configured.
if shutil.which("cmake"):
    found = subprocess.run(["cmake", "-S", ROOT, "-B", work / "alone", "-DCMAKE_BUILD_TYPE=Release", "-DTANDEM_CUDA=OFF", "-DTANDEM_COMPILED=OFF",
                            *(f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("nlohmann_json", "ZLIB", "JPEG", "PkgConfig")),
                            "-DSTB_INCLUDE_DIR=OFF", "-DCLI11_INCLUDE_DIR=OFF", "-DTANDEM_TESTS=cuda", "-DTANDEM_BENCHMARKS=gpu_bench",
                            "-DTANDEM_EXAMPLES=OFF", "-DTANDEM_INSTALL=OFF"], capture_output=True, text=True)
    assert found.returncode == 0 and "need zlib" in found.stdout, found

for words, problem in ((["--fast"], "unknown option '--fast'"), (["--parts", "build,fun"], "unknown part 'fun'")):
    done = subprocess.run([SCRIPT, *words], capture_output=True, text=True)
    assert done.returncode == 2 and problem in done.stderr, done
print("ok")
