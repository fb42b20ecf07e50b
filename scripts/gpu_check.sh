#!/usr/bin/env bash
# Everything that only a GPU can show, on a machine that has one and little else: builds the kernels and their tests, runs
# them, measures them beside PyTorch, looks at them with compute-sanitizer, and runs programs here and on the CPU. All
# output goes into one folder; a part that fails or takes too long does not stop the others. Takes less than 8 minutes:
# each part has a limit, and together they are the time that is left (tests/docs/gpu_check_test.py).
#
# usage: scripts/gpu_check.sh [--out FOLDER] [--build FOLDER] [--jobs N] [--prefix FOLDER] [--parts LIST] [--seconds N]
#        scripts/gpu_check.sh --pack FOLDER
#   --out      where the output goes (default: gpu_check): summary.txt, table.md, <part>.txt, and all of it in all.txt
#   --build    where it is built (default: build/gpu)
#   --jobs     compilations at a time (default: the machine's processors)
#   --prefix   a folder that --pack made: doctest, zlib, CLI11, nlohmann-json, stb and libjpeg
#   --parts    of build,tests,bench,sanitize,programs (default: all of them); without build, what an earlier run built
#   --seconds  for all of them together (default: 470)
#   --pack     on a machine where scripts/install-deps.sh has run: copies these libraries into FOLDER (5 MB), to be
#              carried to the machine with the GPU
# The kernels, their tests and the benchmark need nvcc, CMake 3.25, g++ 12, python3, and of the libraries doctest (and zlib,
# for three of the tests) alone; the programs need the others; the comparison needs PyTorch. What is missing is said at once.
# Exit status: 0 when all that was asked for passed, 1 when something failed, 77 when something was left out (no GPU, no
# nvcc, a library, not enough time): it is said, and nothing of it counts as passed. NVCC, CXX and PYTHON in the environment
# name the programs to use; GPU_CHECK_MOST is the most seconds of a part.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

out=gpu_check build=build/gpu jobs=$(nproc 2>/dev/null || echo 2) prefix='' parts=build,tests,bench,sanitize,programs seconds=470 pack=''
while [ $# -gt 0 ]; do
  case $1 in
    --out | --build | --jobs | --prefix | --parts | --seconds | --pack)
      [ $# -ge 2 ] || { echo "gpu_check.sh: $1 needs a value" >&2; exit 2; }
      declare "${1#--}=$2"
      shift 2
      ;;
    *)
      echo "gpu_check.sh: unknown option '$1' (known: --out, --build, --jobs, --prefix, --parts, --seconds, --pack)" >&2
      exit 2
      ;;
  esac
done
cxx=${CXX:-c++} python=${PYTHON:-python3}

# ---- what there is
has_header() { # has_header NAME: the compiler finds it, or the prefix has it
  printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$1" | "$cxx" -std=c++20 ${prefix:+-I"$prefix/include"} -fsyntax-only -x c++ - 2>/dev/null
}
has_library() { # has_library NAME
  echo 'int main() {}' | "$cxx" -x c++ - ${prefix:+-L"$prefix/lib"} "-l$1" -o /dev/null 2>/dev/null
}
version_at_least() { # version_at_least LEAST FOUND
  [ -n "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}
lacking_libraries() { # lacking_libraries tests|programs: names, a line each
  if [ "$1" = tests ]; then
    has_header doctest/doctest.h || echo doctest
    has_header zlib.h && has_library z || echo zlib
  else
    has_header CLI/CLI.hpp || echo CLI11
    has_header nlohmann/json.hpp || echo "nlohmann-json 3.11"
    has_header stb/stb_image.h || echo stb
    has_header jpeglib.h && has_library jpeg || echo libjpeg
  fi
}
joined() { paste -sd, | sed 's/,/, /g'; }

if [ -n "$pack" ]; then
  missing=$({ lacking_libraries tests; lacking_libraries programs; } | joined)
  config=$(ls -d /usr/local/share/cmake/nlohmann_json /usr/share/cmake/nlohmann_json /usr/lib/*/cmake/nlohmann_json 2>/dev/null | head -n 1)
  [ -n "$config" ] || missing=${missing:-"CMake's package of nlohmann-json"}
  if [ -n "$missing" ]; then
    echo "gpu_check.sh: nothing was packed, this machine lacks $missing; scripts/install-deps.sh installs what is needed" >&2
    exit 1
  fi
  mkdir -p "$pack/include" "$pack/lib" "$pack/share/cmake" || exit 1
  # Where the compiler finds a header.
  where() { printf '#include <cstdio>\n#include <%s>\n' "$1" | "$cxx" -std=c++20 -M -x c++ - | tr ' \\' '\n\n' | grep -m 1 "/$1\$"; }
  for folder in doctest CLI nlohmann stb; do
    case $folder in doctest) header=doctest.h ;; CLI) header=CLI.hpp ;; nlohmann) header=json.hpp ;; stb) header=stb_image.h ;; esac
    cp -RL "$(dirname "$(where "$folder/$header")")" "$pack/include/" || exit 1
  done
  for header in zlib.h zconf.h jpeglib.h jconfig.h jmorecfg.h jerror.h; do
    path=$(printf '#include <cstdio>\n#include <zlib.h>\n#include <jpeglib.h>\n#include <jerror.h>\n' | "$cxx" -M -x c++ - |
      tr ' \\' '\n\n' | grep -m 1 "/$header\$") && cp -L "$path" "$pack/include/" || exit 1
  done
  for library in libz.a libjpeg.a; do
    path=$("$cxx" -print-file-name=$library)
    [ -f "$path" ] || { echo "gpu_check.sh: $library is not here; scripts/install-deps.sh installs it" >&2; exit 1; }
    cp -L "$path" "$pack/lib/" || exit 1
  done
  cp -RL "$config" "$pack/share/cmake/" || exit 1
  echo "packed into $pack: doctest, CLI11, nlohmann-json, stb, zlib, libjpeg, $(du -sh "$pack" | cut -f1); there: scripts/gpu_check.sh --prefix FOLDER"
  exit 0
fi

# ---- the parts, the most seconds of each; what one leaves is the others'
declare -A limits=([configure]=45 [build]=140 [fewer]=15 [tests]=45 [bench]=60 [peers]=45 [table]=3 [memcheck]=35
  [racecheck]=20 [synccheck]=12 [initcheck]=12 [programs]=16 [methods]=10 [videos]=10)
declare -A groups=([build]="configure build fewer" [tests]="tests" [bench]="bench peers table"
  [sanitize]="memcheck racecheck synccheck initcheck" [programs]="programs methods videos")
plan=''
for group in build tests bench sanitize programs; do # in this order, whatever that of the list
  case ,$parts, in *,$group,*) plan+=" ${groups[$group]}" ;; esac
done
for group in ${parts//,/ }; do
  [ -n "${groups[$group]:-}" ] || { echo "gpu_check.sh: unknown part '$group' (known: build, tests, bench, sanitize, programs)" >&2; exit 2; }
done
asked() { case ",$parts," in *,"$1",*) return 0 ;; *) return 1 ;; esac; } # asked GROUP

mkdir -p "$out" "$build" || exit 1
out=$(cd "$out" && pwd) build=$(cd "$build" && pwd)
[ -z "$prefix" ] || prefix=$(cd "$prefix" && pwd) || exit 1
summary=$out/summary.txt
: > "$summary"
failed=0 skipped=0 begin=$SECONDS

say() { printf '%s\n' "$*" | tee -a "$summary"; }
skip() { # skip PART WHY
  skipped=$((skipped + 1))
  say "skipped  $1: $2"
}
skip_all() { # skip_all WHY PART…: those of them that were asked for
  local why=$1 name
  shift
  for name in "$@"; do
    case " $plan " in *" $name "*) [ "$name" = fewer ] || skip "$name" "$why" ;; esac
  done
}
limit_of() { # limit_of PART: its share of the time that is left, by its limit and those of the parts that come after it
  local rest=0 name seen=0
  for name in $plan; do
    [ "$name" = "$1" ] && seen=1
    [ $seen = 0 ] || rest=$((rest + limits[$name]))
  done
  local left=$((seconds - SECONDS + begin)) most
  most=$((left > 0 && rest > 0 ? limits[$1] * left / rest : 1))
  if [ "${GPU_CHECK_MOST:-$most}" -lt "$most" ]; then most=$GPU_CHECK_MOST; fi
  echo $((most > 0 ? most : 1))
}
# part NAME COMMAND…: its output in NAME.txt, a line in the summary; gives the command's success.
part() {
  local name=$1 start=$SECONDS status limit
  limit=$(limit_of "$1")
  shift
  GPU_CHECK_LIMIT=$limit timeout --kill-after=2 "$limit" "$@" > "$out/$name.txt" 2>&1
  status=$?
  case $status in
    0) say "passed   $name: $((SECONDS - start)) s" ;;
    77) skip "$name" "$(tail -n 1 "$out/$name.txt")" ;;
    75) skipped=$((skipped + 1)) && say "partly   $name: $(tail -n 1 "$out/$name.txt"); $name.txt has what there was" ;;
    124 | 137) failed=1 && say "too long $name: stopped after $limit s; $name.txt has what there was" ;;
    *) failed=1 && say "FAILED   $name: status $status after $((SECONDS - start)) s; see $name.txt" ;;
  esac
  return $status
}

nvcc=${NVCC-$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)}
gpus=$(timeout 10 nvidia-smi --query-gpu=name,compute_cap,driver_version --format=csv,noheader 2>/dev/null)
{
  date -u '+%Y-%m-%d %H:%M UTC'
  git log -1 --format='%h %s' 2>/dev/null || echo "no repository"
  echo "GPUs: ${gpus:-none}"
  [ -n "$nvcc" ] && "$nvcc" --version | tail -n 2
  "$cxx" --version 2>/dev/null | head -n 1
  echo "$jobs compilations at a time"
} > "$out/machine.txt" 2>&1
say "$(sed -n '1,3p' "$out/machine.txt")"

finish() {
  say "$((SECONDS - begin)) s, $skipped skipped; all output in $out"
  { # in one file: what is read first, then the end of each part's output
    for file in summary.txt table.md machine.txt $(for name in preflight $plan; do echo "$name.txt"; done); do
      [ "$file" = table.txt ] || [ ! -s "$out/$file" ] || { echo "==== $file"; tail -n 400 "$out/$file"; }
    done
  } > "$out/all.txt"
  if [ $failed = 1 ]; then exit 1; fi
  if [ $skipped -gt 0 ]; then exit 77; fi
  exit 0
}

# ---- what is missing, all of it at once
lacks=() for_tests='' for_programs='' torch=yes
if asked build; then
  [ -n "$nvcc" ] || lacks+=("nvcc (CUDA's toolkit; NVCC names one that is not on the PATH)")
  found=$(cmake --version 2>/dev/null | grep -oE -m 1 '[0-9]+\.[0-9]+(\.[0-9]+)?')
  version_at_least 3.25 "$found" || lacks+=("CMake 3.25 or later (${found:-none} found; pip has it)")
  found=$("$cxx" -dumpfullversion -dumpversion 2>/dev/null)
  if "$cxx" --version 2>/dev/null | grep -q clang; then
    version_at_least 16 "$found" || lacks+=("Clang 16 or later ($found found)")
  else
    version_at_least 12 "$found" || lacks+=("g++ 12 or later (${found:-none} found; CXX names another)")
  fi
  "$python" -c 0 2>/dev/null || lacks+=("python3")
  for_tests=$(lacking_libraries tests | joined)
  for_programs=$(lacking_libraries programs | joined)
fi
if asked bench && ! "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' 2>/dev/null; then torch=''; fi
{
  for what in "${lacks[@]}"; do echo "missing  $what: nothing can be built"; done
  [ -z "$for_tests" ] || echo "missing  $for_tests: tests that need them are not built"
  [ -z "$for_programs$for_tests" ] || echo "missing  ${for_programs:-$for_tests}: the programs are not built"
  [ -n "$torch" ] || echo "missing  PyTorch for $python: nothing is compared with it (PYTHON names another python3)"
  [ -z "$for_tests$for_programs" ] || echo "remedy   scripts/gpu_check.sh --pack FOLDER where these libraries are, FOLDER carried here, --prefix FOLDER; or scripts/install-deps.sh"
} > "$out/preflight.txt"
[ ! -s "$out/preflight.txt" ] || say "$(cat "$out/preflight.txt")"
everything='configure build tests bench peers table memcheck racecheck synccheck initcheck programs methods videos'
if [ ${#lacks[@]} -gt 0 ]; then
  # shellcheck disable=SC2086
  skip_all "there is no ${lacks[0]%% (*}" $everything
  finish
fi

# ---- build: one architecture, that of the first GPU; without a GPU Hopper's, so that the build is seen
if asked build; then
  capability=$(printf '%s\n' "$gpus" | head -n 1 | cut -d, -f2 | tr -dc '0-9')
  tests_option=cuda examples_option='train_dcl;simulate_features;extract_features'
  case $for_tests in *doctest*) tests_option=OFF ;; esac
  [ -z "$for_tests$for_programs" ] || examples_option=OFF
  configure=(cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CUDA_COMPILER="$nvcc" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_CUDA_HOST_COMPILER="$cxx"
    -DCMAKE_CUDA_ARCHITECTURES="${capability:-90}" -DCMAKE_CUDA_FLAGS=--threads=1 -DTANDEM_CUDA=ON -DTANDEM_COMPILED=OFF
    -DTANDEM_UNITY_TESTS=OFF "-DTANDEM_TESTS=$tests_option" -DTANDEM_BENCHMARKS=gpu_bench "-DTANDEM_EXAMPLES=$examples_option"
    -DCMAKE_CXX_FLAGS_RELEASE=-O1 -DTANDEM_INSTALL=OFF)
  command -v ninja > /dev/null && configure+=(-GNinja)
  [ -z "$prefix" ] || configure+=(-DCMAKE_PREFIX_PATH="$prefix")
  if ! part configure "${configure[@]}"; then
    # shellcheck disable=SC2086
    skip_all "configuring failed" ${everything#configure }
    finish
  fi
  cp "$out/configure.txt" "$build/configure.txt"
  # What is not done in time is left out, and what was is used. All at once where there are processors enough: kernels, the
  # few long files of the programs, benchmark, tests; with few the programs come last.
  build() { # build FOLDER JOBS
    local targets='tandem_cuda_kernels gpu_bench' programs='' status=0 keep=-k
    [ ! -e "$1/build.ninja" ] || keep='-k 0'
    [ "$TESTS_OPTION" = OFF ] || targets+=' tandem_test_cuda'
    if [ "$EXAMPLES_OPTION" != OFF ]; then
      programs='train_dcl simulate_features'
      ! has_videos || programs+=' extract_features'
    fi
    if [ "$2" -ge 8 ]; then targets+=" $programs" programs=''; fi
    # shellcheck disable=SC2086
    cmake --build "$1" --parallel "$2" --target $targets -- $keep || status=1
    # shellcheck disable=SC2086
    [ -z "$programs" ] || cmake --build "$1" --parallel "$2" --target $programs -- $keep || status=1
    return $status
  }
  export TESTS_OPTION=$tests_option EXAMPLES_OPTION=$examples_option
fi
has_videos() { ! grep -q 'extract_features is not built' "$CONFIGURED" 2>/dev/null; } # without FFmpeg's development files
export CONFIGURED=$build/configure.txt
if asked build; then
  export -f build has_videos
  part build bash -c "build '$build' '$jobs'"
fi

tests=$build/tests/cuda/tandem_test_cuda
if [ -z "$gpus" ]; then
  # shellcheck disable=SC2086
  skip_all "there is no GPU" ${everything#configure build }
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
if asked build && [ ! -x "$tests" ] && [ "$tests_option" = cuda ]; then
  export -f fewer
  part fewer bash -c "fewer '$build' '$jobs'"
fi

# ---- tests
if [ -x "$tests" ]; then
  if asked tests; then part tests "$tests" --duration=true; fi
else
  skip_all "tandem_test_cuda was not built" tests memcheck racecheck synccheck initcheck
fi

# ---- measurements, before what keeps the processors busy
if asked bench; then
  bench=$build/benchmarks/gpu_bench
  if [ -x "$bench" ]; then
    part bench bash -c '"$0" --repeat 10 --budget 1 --most $((GPU_CHECK_LIMIT > 8 ? GPU_CHECK_LIMIT - 8 : 1))' "$bench"
  else
    skip bench "gpu_bench was not built"
  fi
  if [ -n "$torch" ]; then
    part peers bash -c '"$0" benchmarks/peers/gpu_peer.py --budget 0.3 --most $((GPU_CHECK_LIMIT > 15 ? GPU_CHECK_LIMIT - 15 : 1))' "$python"
  else
    skip peers "there is no PyTorch"
  fi
  part table "$python" benchmarks/gpu_table.py --tandem "$out/bench.txt" --peers "$out/peers.txt" --machine "$out/machine.txt" --out "$out/table.md"
fi

# ---- compute-sanitizer: small cases, a few files at a time, as many as the time allows
# sanitize TOOL GROUP…: a group is files|cases, stems and doctest's patterns
sanitize() {
  local tool=$1 group files cases left done=0 all=$(($# - 1)) deadline=$((SECONDS + GPU_CHECK_LIMIT - 3)) status
  shift
  for group in "$@"; do
    files=${group%%|*} cases=${group#*|} left=$((deadline - SECONDS))
    if [ $left -lt 3 ]; then break; fi
    echo "---- $files: $cases"
    timeout --kill-after=2 $left "$SANITIZER" --tool "$tool" --error-exitcode 9 --print-limit 20 "$TESTS" --duration=true \
      "--source-file=*/cuda/${files//,/_test.cpp,*/cuda/}_test.cpp" "--test-case=$cases"
    status=$?
    case $status in
      0) done=$((done + 1)) ;;
      124 | 137) break ;;
      *) echo "$tool: status $status in $files" && return 1 ;;
    esac
  done
  echo "$done of $all groups of tests were looked at, without a fault"
  [ $done = $all ] || return 75
}
tiles='attention_mma,attention,conv3d_mma,conv3d,loss_fb|*the same bits*,*what takes no part*,*its three parts*,conv3d in bfloat16*,conv1d*,*no anchors*'
places='topk,index_select,gather,graph,tvl1|topk: *,index_select: *,gather*,*graph*,*replays*,*captured*,tvl1: bytes*,tvl1: in a graph*,tvl1: NaN*'
rows='softmax,sum,layer_norm,linear_bf16,log_odds,resize,cumsum,batch_norm,max_pool3d|*the same bits*,*rows in a warp*,*keeps its digits*,linear_bf16*,*saturated*,resize*,preprocess*'
whole='image_encoder,matmul,adam,pseudo_labels,dropout|*its features are*,matmul: float*,*small network*,pseudo_labels: videos*,dropout: slices*'
if asked sanitize && [ -x "$tests" ]; then
  home=$(dirname "${nvcc:-/usr/local/cuda/bin/nvcc}")
  sanitizer=$(command -v compute-sanitizer || ls "$home/compute-sanitizer" "$home/../compute-sanitizer/compute-sanitizer" 2>/dev/null | head -n 1)
  if [ -n "$sanitizer" ]; then
    export -f sanitize
    export SANITIZER=$sanitizer TESTS=$tests
    # Each tensor's memory by itself, so that what is read beside it, or before it is written, is seen.
    TANDEM_CUDA_POOL=0 part memcheck bash -c 'sanitize memcheck "$@"' sanitize "$tiles" "$places" "$rows" "$whole"
    part racecheck bash -c 'sanitize racecheck "$@"' sanitize "$tiles" "$rows" "$places"
    part synccheck bash -c 'sanitize synccheck "$@"' sanitize "$tiles" "$places" "$rows"
    TANDEM_CUDA_POOL=0 part initcheck bash -c 'sanitize initcheck "$@"' sanitize "$places" "$rows" "$tiles"
  else
    skip_all "there is no compute-sanitizer" memcheck racecheck synccheck initcheck
  fi
fi

# ---- programs, here and on the CPU
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
if asked programs; then
  if [ -x "$build/examples/train_dcl" ] && [ -x "$build/examples/simulate_features" ]; then
    part programs bash -c "programs '$build/examples' '$out/programs'"
    part methods bash -c "methods '$build/examples' '$out/methods'"
  else
    skip_all "train_dcl was not built" programs methods
  fi
  if [ -x "$build/examples/extract_features" ]; then
    part videos bash -c "videos '$build/examples' '$PWD/tests/golden' '$out/videos'"
  elif has_videos; then
    skip videos "extract_features was not built"
  else
    skip videos "extract_features needs FFmpeg's development files"
  fi
fi
finish
