#!/usr/bin/env bash
# Fuzzes every reader of files, under AddressSanitizer and UBSan: coverage-guided by libFuzzer, one target after the other.
#
# usage: scripts/fuzz.sh [--seconds N] [--runs N] [--keep] [--mutations] [TARGET…]
#   --seconds N   a target for so long (default 60; with --runs: no longer than an hour)
#   --runs N      a target for so many executions (those that take milliseconds: a hundredth)
#   --keep        then put the smallest inputs that reach all that was reached into tests/fuzz/corpus
#   --mutations   blind mutation of all targets together, with a limit on memory per byte of input, for --seconds
#   TARGET…       only these (default all; tests/fuzz/targets.hpp explains them)
# Needs Clang 16 or later with its run-time library (scripts/install-deps.sh --fuzz). CXX chooses the compiler, JOBS how
# many are compiled at once. Corpora grow in build/fuzz/corpus from run to run; findings are in build/fuzz/findings, and
#   TANDEM_FUZZ_TARGET=TARGET build/fuzz/fuzz_coverage FILE      repeats one.
# The exit status is 1 if there was a finding.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=60 runs=-1 keep=no mutations=no wanted=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift ;;
    --runs) runs=$2 seconds=3600; shift ;;
    --keep) keep=yes ;;
    --mutations) mutations=yes ;;
    -*) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    *) wanted+=("$1") ;;
  esac
  shift
done

if [ -z "${CXX:-}" ]; then
  for name in clang++-19 clang++-18 clang++-17 clang++-16 clang++; do
    if command -v "$name" >/dev/null; then CXX=$name && break; fi
  done
fi
build=build/fuzz
mkdir -p "$build"
if ! echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
  "${CXX:-clang++}" -x c++ -fsanitize=fuzzer,address,undefined - -o "$build/probe" 2>"$build/probe.log"; then
  echo "fuzz.sh: ${CXX:-clang++} cannot build for libFuzzer (scripts/install-deps.sh --fuzz installs what can); see $build/probe.log" >&2
  exit 2
fi

# The checks of UBSan that are left out cost most to compile, and AddressSanitizer sees what they would.
flags=(-std=c++20 -O1 -g1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
  -fno-sanitize=pointer-overflow,object-size,null,vptr -fno-omit-frame-pointer -Iinclude -DTANDEM_SOURCE_DIR="\"$PWD\"")
sources=(src/image_jpeg.cpp src/image_stb.cpp tests/fuzz/targets_*.cpp tests/fuzz/fuzz_coverage.cpp tests/fuzz/fuzz_mutations.cpp)
libraries=(-pthread -ljpeg -lz)
ffmpeg="libavformat libavcodec libswscale libavutil"
# shellcheck disable=SC2086,SC2207  # names and flags are words
if pkg-config --exists $ffmpeg; then
  flags+=(-DTANDEM_VIDEO $(pkg-config --cflags $ffmpeg)) libraries+=($(pkg-config --libs $ffmpeg))
  sources+=(src/video_*.cpp)
fi
compile() { # compile SOURCE: unless its object is newer than all that it includes
  local source=$1 object=$build/$(basename "$1").o extra=()
  # stb's arithmetic on damaged files overflows, which is harmless there.
  [ "$source" = src/image_stb.cpp ] && extra=(-fno-sanitize=signed-integer-overflow,shift)
  if [ -e "$object" ] && [ -e "$object.d" ] &&
    [ -z "$(sed -e 's/^[^:]*://' -e 's/\\$//' "$object.d" | xargs -n 50 sh -c 'find "$@" -newer '"$object"' 2>&1' sh | head -n 1)" ]; then
    return
  fi
  "$CXX" "${flags[@]}" "${extra[@]}" -MMD -MF "$object.d" -c "$source" -o "$object.new"
  mv "$object.new" "$object"
}
running=0
for source in "${sources[@]}"; do
  compile "$source" &
  running=$((running + 1))
  if [ "$running" -ge "${JOBS:-$(nproc)}" ]; then
    wait -n
    running=$((running - 1))
  fi
done
wait
objects=()
for source in "${sources[@]}"; do
  [ -e "$build/$(basename "$source").o" ] || { echo "fuzz.sh: $source does not compile" >&2; exit 2; }
  case $source in */fuzz_*) ;; *) objects+=("$build/$(basename "$source").o") ;; esac
done
link() { # link PROGRAM SANITIZERS
  "$CXX" -fsanitize="$2" "${objects[@]}" "$build/$1.cpp.o" -o "$build/$1" "${libraries[@]}"
}
link fuzz_coverage fuzzer,address,undefined
link fuzz_mutations address,undefined

# Files that targets write are read again at once: memory holds them where it can.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi
export UBSAN_OPTIONS=print_stacktrace=1
if [ "$mutations" = yes ]; then
  # A single allocation above 1 GiB or 2 GiB in all can only come from an unchecked size.
  ASAN_OPTIONS=max_allocation_size_mb=1024:hard_rss_limit_mb=2048 exec "$build/fuzz_mutations" --seconds "$seconds" --seed "$(date +%s)"
fi
# What is left out while inputs are sought is most of the time, and looked for afterwards in what was found: stacks of
# allocations, and use after return, whose fake stack is swept after every exception. Likewise libFuzzer's entropic schedule.
asan=malloc_context_size=2:quarantine_size_mb=16

rm -rf "$build/seeds"
TANDEM_FUZZ_SEEDS=$build/seeds "$build/fuzz_coverage" >"$build/targets"
mkdir -p "$build/findings" "$build/log"
for name in "${wanted[@]}"; do
  grep -q "^$name " "$build/targets" || { echo "fuzz.sh: there is no target $name; there are $(cut -d' ' -f1 "$build/targets" | xargs)" >&2; exit 2; }
done

failed=0
printf '%-22s %12s %8s %8s %8s  %s\n' target executions per_s edges new findings
while read -r name slow; do
  if [ ${#wanted[@]} -gt 0 ] && ! printf '%s\n' "${wanted[@]}" | grep -qx "$name"; then continue; fi
  corpus=$build/corpus/$name log=$build/log/$name kept=()
  mkdir -p "$corpus"
  [ -d "tests/fuzz/corpus/$name" ] && kept=("tests/fuzz/corpus/$name")
  count=$runs
  [ "$slow" = 1 ] && [ "$runs" -gt 0 ] && count=$((runs / 100))
  found=none
  watched=(-timeout=25 -rss_limit_mb=2048 -malloc_limit_mb=512 -artifact_prefix="$build/findings/$name-")
  if ! { ASAN_OPTIONS=$asan:detect_stack_use_after_return=0 TANDEM_FUZZ_TARGET=$name "$build/fuzz_coverage" \
    -max_total_time="$seconds" -runs="$count" -use_value_profile=1 -entropic=0 -print_final_stats=1 "${watched[@]}" \
    "$corpus" "${kept[@]}" "$build/seeds/$name" >"$log" 2>&1 &&
    ASAN_OPTIONS=detect_stack_use_after_return=1 TANDEM_FUZZ_TARGET=$name "$build/fuzz_coverage" -runs=0 "${watched[@]}" \
      "$corpus" "${kept[@]}" "$build/seeds/$name" >>"$log" 2>&1; }; then
    found=$(grep -oE "findings/$name-[a-z]+-[0-9a-f]+" "$log" | head -n 1 || true)
    found=$build/${found:-log/$name} failed=1
  fi
  value() { sed -n "s/^stat::$1: *//p" "$log"; }
  edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2 || true)
  printf '%-22s %12s %8s %8s %8s  %s\n' "$name" "$(value number_of_executed_units)" "$(value average_exec_per_sec)" \
    "${edges:--}" "$(value new_units_added)" "$found"
  if [ "$keep" = yes ] && [ "$found" = none ]; then
    # The hand-written ones stay; of the others as few as reach the same, and of these 24 from the smallest up to 2 KiB.
    merged=$build/merged/$name
    rm -rf "$merged"
    mkdir -p "$merged" "tests/fuzz/corpus/$name"
    TANDEM_FUZZ_TARGET=$name ASAN_OPTIONS=$asan "$build/fuzz_coverage" -merge=1 -timeout=25 "$merged" "$corpus" "${kept[@]}" >>"$log" 2>&1 || true
    find "tests/fuzz/corpus/$name" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
    find "$merged" -type f -size -2049c -printf '%s %p\n' | sort -n |
      awk '{ path[NR] = $2 } END { n = NR < 24 ? NR : 24; for (i = 0; i < n; ++i) print path[int((i + 0.5) * NR / n) + 1] }' |
      xargs -r cp -t "tests/fuzz/corpus/$name"
  fi
done <"$build/targets"
exit "$failed"
