#!/usr/bin/env bash
# Kills train_dcl with SIGKILL at random moments, resumes it until it ends, and compares the final
# checkpoint with that of an uninterrupted run, byte for byte.
#
# usage: scripts/kill_resume.sh [TIMES] [FOLDER WITH THE PROGRAMS]     (default: 20 build/release/examples)
set -euo pipefail
times=${1:-20}
programs=${2:-build/release/examples}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$programs/simulate_features" --out "$work/sim" --classes 5 --train-videos 16 --test-videos 6 \
  --i3d-width 64 --clip-width 32 --prompt-vectors 4 >/dev/null 2>&1
options=(--data "$work/sim" --prompt-vectors 4 --width 32 --heads 4 --temporal-heads 4 --dropout 0.1
  --crop 100 --batch 4 --warm-up-steps 60 --b-steps 30 --f-steps 30 --rounds 2 --checkpoint-every 5)
started=$(date +%s%N)
"$programs/train_dcl" "${options[@]}" --out "$work/whole" >/dev/null 2>&1
elapsed_ms=$((($(date +%s%N) - started) / 1000000))
expected=$(sha256sum <"$work/whole/checkpoint.safetensors")
metrics=$(sha256sum <"$work/whole/metrics.jsonl")

same=0
for ((i = 1; i <= times; i++)); do
  out=$work/run$i kills=0 resume=()
  while :; do
    "$programs/train_dcl" "${options[@]}" --out "$out" "${resume[@]}" >/dev/null 2>&1 &
    pid=$!
    # Three kills at moments spread over the whole run, then let it finish.
    if ((kills < 3)); then
      sleep "$(awk -v r=$RANDOM -v ms="$elapsed_ms" 'BEGIN { printf "%.3f", r / 32768 * ms / 1000 }')"
      kill -KILL "$pid" 2>/dev/null || true
      kills=$((kills + 1))
    fi
    wait "$pid" 2>/dev/null && break
    if [ -f "$out/checkpoint.safetensors" ]; then resume=(--resume); else resume=(--fresh); fi
  done
  if [ "$(sha256sum <"$out/checkpoint.safetensors")" = "$expected" ] &&
    [ "$(sha256sum <"$out/metrics.jsonl")" = "$metrics" ]; then
    same=$((same + 1))
  else
    echo "run $i: differs after $kills kills"
  fi
done
echo "$same of $times killed and resumed runs ended with the same bytes"
[ "$same" -eq "$times" ]
