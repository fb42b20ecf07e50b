#!/usr/bin/env bash
# Everything that only a GPU can show, on a machine that has one and little else: builds the kernels and their tests, runs
# them, looks at them with compute-sanitizer, and measures. All output goes into one folder; a part that fails or takes too
# long does not stop the others. Takes less than 8 minutes: each part has a limit (tests/docs/gpu_check_test.py adds them
# up).
#
# usage: scripts/gpu_check.sh [--out FOLDER] [--build FOLDER] [--jobs N] [--prefix FOLDER]
#   --out     where the output goes (default: gpu_check)
#   --build   where it is built (default: build/gpu)
#   --jobs    compilations at a time (default: the machine's processors)
#   --prefix  a folder for CMake to look for doctest, nlohmann-json, stb, libjpeg and zlib in
# Exit status: 0 when all that could be run passed, 1 when something failed, 77 when there is no GPU or no nvcc: what is
# left out is said, and nothing of it counts as passed. NVCC in the environment is the compiler to use; GPU_CHECK_MOST the
# most seconds of a part.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

out=gpu_check build=build/gpu jobs=$(nproc 2>/dev/null || echo 2) prefix=
while [ $# -gt 0 ]; do
  case $1 in
    --out | --build | --jobs | --prefix)
      [ $# -ge 2 ] || { echo "gpu_check.sh: $1 needs a value" >&2; exit 2; }
      declare "${1#--}=$2"
      shift 2
      ;;
    *)
      echo "gpu_check.sh: unknown option '$1' (known: --out, --build, --jobs, --prefix)" >&2
      exit 2
      ;;
  esac
done
mkdir -p "$out" "$build" || exit 1
out=$(cd "$out" && pwd) build=$(cd "$build" && pwd)
summary=$out/summary.txt
: > "$summary"
failed=0 skipped=0 begin=$SECONDS

say() { printf '%s\n' "$*" | tee -a "$summary"; }
skip() { # skip PART WHY
  skipped=$((skipped + 1))
  say "skipped  $1: $2"
}
# part NAME SECONDS COMMAND…: its output in NAME.txt, a line in the summary; gives the command's success.
part() {
  local name=$1 limit=$2 start=$SECONDS status
  shift 2
  if [ "${GPU_CHECK_MOST:-$limit}" -lt "$limit" ]; then limit=$GPU_CHECK_MOST; fi
  timeout --kill-after=2 "$limit" "$@" > "$out/$name.txt" 2>&1
  status=$?
  case $status in
    0) say "passed   $name: $((SECONDS - start)) s" ;;
    77) skip "$name" "$(tail -n 1 "$out/$name.txt")" ;;
    124 | 137) failed=1 && say "too long $name: stopped after $limit s; $name.txt has what there was" ;;
    *) failed=1 && say "FAILED   $name: status $status after $((SECONDS - start)) s; see $name.txt" ;;
  esac
  return $status
}

nvcc=${NVCC-$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)}
gpus=$(timeout 10 nvidia-smi --query-gpu=name,compute_cap,driver_version --format=csv,noheader 2>/dev/null)
{
  date -u '+%Y-%m-%d %H:%M UTC'
  git log -1 --format='%h %s' 2>/dev/null
  echo "GPUs: ${gpus:-none}"
  [ -n "$nvcc" ] && "$nvcc" --version | tail -n 2
  "${CXX:-c++}" --version 2>/dev/null | head -n 1
  echo "$jobs compilations at a time"
} > "$out/machine.txt" 2>&1
say "$(sed -n '1,3p' "$out/machine.txt")"

finish() {
  say "$((SECONDS - begin)) s, $skipped skipped; all output in $out"
  if [ $failed = 1 ]; then exit 1; fi
  if [ $skipped -gt 0 ]; then exit 77; fi
  exit 0
}

if [ -z "$nvcc" ]; then
  skip build "there is no nvcc; nothing can be built for a GPU"
  for name in tests memcheck racecheck programs methods videos bench; do skip "$name" "nothing was built"; done
  finish
fi

# One architecture, that of the first GPU; without a GPU Hopper's, so that the build is seen.
capability=$(printf '%s\n' "$gpus" | head -n 1 | cut -d, -f2 | tr -dc '0-9')
configure=(cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CUDA_COMPILER="$nvcc"
  -DCMAKE_CUDA_ARCHITECTURES="${capability:-90}" -DCMAKE_CUDA_FLAGS=--threads=1 -DTANDEM_CUDA=ON -DTANDEM_COMPILED=OFF
  -DTANDEM_UNITY_TESTS=OFF -DTANDEM_TESTS=ON -DTANDEM_BENCHMARKS=ON
  "-DTANDEM_EXAMPLES=train_dcl;simulate_features;extract_features"
  -DCMAKE_CXX_FLAGS_RELEASE=-O1 -DTANDEM_INSTALL=OFF)
command -v ninja > /dev/null && configure+=(-GNinja)
[ -n "$prefix" ] && configure+=(-DCMAKE_PREFIX_PATH="$prefix" -DDOCTEST_INCLUDE_DIR="$prefix/include")
if ! part configure 20 "${configure[@]}"; then
  for name in build tests memcheck racecheck programs methods videos bench; do skip "$name" "configuring failed"; done
  finish
fi
# The kernels, their tests, then the rest: what is not done in time is left out, and what was is used.
build() { # build FOLDER JOBS
  local targets status=0
  for targets in tandem_cuda_kernels tandem_test_cuda "train_dcl simulate_features gpu_bench" extract_features; do
    if [ $targets = extract_features ] && ! has_videos; then continue; fi
    # shellcheck disable=SC2086
    cmake --build "$1" --parallel "$2" --target $targets -- -k $([ -e "$1/build.ninja" ] && echo 0) || status=1
  done
  return $status
}
has_videos() { ! grep -q 'extract_features is not built' "$out/configure.txt"; } # without FFmpeg's development files
export -f build has_videos
export out
part build 200 bash -c "build '$build' '$jobs'"

tests=$build/tests/cuda/tandem_test_cuda
if [ -z "$gpus" ]; then
  for name in tests memcheck racecheck programs methods videos bench; do skip "$name" "there is no GPU"; done
  finish
fi
# Where the time did not reach for all tests: those that are compiled, so that kernels are looked at on any machine.
fewer() { # fewer FOLDER JOBS
  local stems
  stems=$(cd "$1/tests/cuda/CMakeFiles/tandem_device_tests.dir" && find . -name '*_test.cpp.o' | sed 's|.*/||; s|_test.cpp.o||' | paste -sd ';')
  echo "tests of ${stems:-nothing}"
  [ -n "$stems" ] && cmake -S . -B "$1" "-DTANDEM_DEVICE_TESTS=$stems" &&
    cmake --build "$1" --parallel "$2" --target tandem_test_cuda
}
if [ ! -x "$tests" ]; then
  export -f fewer
  part fewer 20 bash -c "fewer '$build' '$jobs'"
fi
if [ -x "$tests" ]; then
  part tests 65 "$tests"
  sanitizer=$(command -v compute-sanitizer || ls "$(dirname "$nvcc")/compute-sanitizer" 2>/dev/null)
  if [ -n "$sanitizer" ]; then
    # Each kernel's memory by itself, so that what is read beside it is seen.
    TANDEM_CUDA_POOL=0 part memcheck 35 "$sanitizer" --tool memcheck --error-exitcode 1 "$tests" \
      '--source-file=*/softmax_test.cpp,*/sum_test.cpp,*/linear_bf16_test.cpp,*/resize_test.cpp,*/image_encoder_test.cpp,*/log_odds_test.cpp,*/conv3d_mma_test.cpp'
    part racecheck 20 "$sanitizer" --tool racecheck --error-exitcode 1 "$tests" \
      '--source-file=*/softmax_test.cpp,*/sum_test.cpp,*/layer_norm_test.cpp,*/log_odds_test.cpp,*/conv3d_mma_test.cpp'
  else
    skip memcheck "there is no compute-sanitizer"
    skip racecheck "there is no compute-sanitizer"
  fi
else
  for name in tests memcheck racecheck; do skip "$name" "tandem_test_cuda was not built"; done
fi

losses_agree() { # losses_agree ONE OTHER: of two runs, within a hundredth
  paste <(grep -o '"loss":[0-9.e-]*' "$1/metrics.jsonl") <(grep -o '"loss":[0-9.e-]*' "$2/metrics.jsonl") | tr -d '"' |
    awk -F'[:\t]' '{ print; d = $2 - $4; if (d < 0) d = -d; if (!(d <= 0.01 * ($2 < 1 ? 1 : $2))) far = 1 } END { exit far || NR == 0 }'
}
programs() { # a training here and on the CPU: the losses beside each other
  local examples=$1 work=$2 device
  rm -rf "$work" && mkdir -p "$work" && cd "$work" || return 1
  "$examples/simulate_features" --out sim --classes 5 --train-videos 20 --test-videos 5 --prompt-vectors 2 || return 1
  for device in cpu cuda; do
    "$examples/train_dcl" --data sim --out $device --device $device --prompt-vectors 2 --crop 100 --batch 4 \
      --warm-up-steps 20 --b-steps 10 --f-steps 10 --rounds 2 || return 1
  done
  losses_agree cpu cuda
}
methods() { # the same, small, of other methods in CBP's place, which have kernels of their own
  local examples=$1 work=$2 device method
  rm -rf "$work" && mkdir -p "$work" && cd "$work" || return 1
  "$examples/simulate_features" --out sim --classes 3 --train-videos 6 --test-videos 3 --i3d-width 16 --clip-width 16 \
    --prompt-vectors 2 --rows-low 20 --rows-high 40 || return 1
  for method in basnet co2 um; do
    for device in cpu cuda; do
      "$examples/train_dcl" --data sim --out $method-$device --device $device --cbp $method --method-width 12 --prompt-vectors 2 \
        --heads 2 --temporal-heads 2 --temporal-layers 1 --crop 30 --batch 2 --warm-up-steps 3 --b-steps 2 --f-steps 2 \
        --rounds 2 --learning-rate 0.001 || return 1
    done
    losses_agree $method-cpu $method-cuda || return 1
  done
}
videos() { # rows of a video, CLIP's, I3D's and those of its flow, here and on the CPU, with the encoders of the tests
  local examples=$1 golden=$2 work=$3 device file frame
  rm -rf "$work" && mkdir -p "$work" && cd "$work" || return 1
  { # uncompressed pictures, 64 × 48
    printf 'YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n'
    for frame in $(seq 20); do
      printf 'FRAME\n'
      awk -v t="$frame" 'BEGIN { for (i = 0; i < 3072; ++i) printf "%c", 32 + (i % 64 + 3 * int(i / 64) + 5 * t) % 95
        for (i = 0; i < 1536; ++i) printf "%c", 90 + i % 32 }'
    done
  } > video.y4m
  for device in cpu cuda; do # the CPU's flow with the instruction set whose bits a GPU has
    TANDEM_ISA=portable "$examples/extract_features" video.y4m --out $device --device $device --separate --streams clip,rgb,flow \
      --clip-weights "$golden/clip/converted.safetensors" --i3d-rgb "$golden/i3d/rgb.safetensors" \
      --i3d-flow "$golden/i3d/flow.safetensors" --resize 36 --crop 34 --flow-scales 2 --flow-warps 1 \
      --flow-outer-iterations 1 --flow-inner-iterations 5 --tail repeat || return 1
  done
  for file in $(cd cpu && find . -name video.npy); do # 128 bytes, then floats
    paste <(od -An -v -tf4 -w4 -j128 "cpu/$file") <(od -An -v -tf4 -w4 -j128 "cuda/$file") |
      awk -v file="$file" '{ d = $1 - $2; apart += d * d; all += $1 * $1 }
        END { print file, NR, "numbers, apart by", apart / all, "of their squares"; exit !(NR > 0 && apart <= 1e-8 * all) }' || return 1
  done
}
export -f losses_agree programs methods videos
if [ -x "$build/examples/train_dcl" ] && [ -x "$build/examples/simulate_features" ]; then
  part programs 25 bash -c "programs '$build/examples' '$out/programs'"
  part methods 15 bash -c "methods '$build/examples' '$out/methods'"
else
  skip programs "train_dcl was not built"
  skip methods "train_dcl was not built"
fi
if [ -x "$build/examples/extract_features" ]; then
  part videos 15 bash -c "videos '$build/examples' '$PWD/tests/golden' '$out/videos'"
elif has_videos; then
  skip videos "extract_features was not built"
else
  skip videos "extract_features needs FFmpeg's development files"
fi
if [ -x "$build/benchmarks/gpu_bench" ]; then
  part bench 30 "$build/benchmarks/gpu_bench" --budget 1
else
  skip bench "gpu_bench was not built"
fi
finish
