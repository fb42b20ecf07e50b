#!/bin/sh
# Fuzzes every file reader for five minutes under AddressSanitizer and UBSan.
#   scripts/fuzz.sh [seconds] [seed]
# The seed defaults to the time, so that every run tries other inputs; a failure prints how to repeat it.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-300}
seed=${2:-$(date +%s)}
build=build/fuzz
mkdir -p "$build"
${CXX:-g++} -std=c++20 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
  -fno-omit-frame-pointer -Iinclude -DTANDEM_SOURCE_DIR="\"$PWD\"" -pthread \
  tests/fuzz/fuzz_io.cpp -o "$build/fuzz_io" -lz
# A single allocation above 1 GiB or 2 GiB in all can only come from an unchecked size.
ASAN_OPTIONS=max_allocation_size_mb=1024:hard_rss_limit_mb=2048 \
  exec "$build/fuzz_io" --seconds "$seconds" --seed "$seed"
