#!/usr/bin/env bash
# Stops train_dcl at random moments, with SIGKILL and with SIGTERM in turn, resumes it until it ends, and compares the
# final checkpoint and metrics with those of an uninterrupted run, byte for byte (but for the times in metrics.jsonl). While a run goes on, a second
# process that is started on its folder must be refused; a SIGTERM must leave with status 143 and lose no step; a
# checkpoint with one flipped bit must be refused by name, and its undamaged copy resumed.
#
# usage: scripts/kill_resume.sh [TIMES] [FOLDER WITH THE PROGRAMS]     (default: 20 build/release/examples)
set -euo pipefail
times=${1:-20}
programs=${2:-build/release/examples}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$programs/simulate_features" --out "$work/sim" --classes 5 --train-videos 16 --test-videos 6 \
  --i3d-width 64 --clip-width 32 --prompt-vectors 4 >/dev/null 2>&1
# Long enough that a stop finds it running on any machine: twice the steps until a run takes three seconds.
scale=1
while :; do
  options=(--data "$work/sim" --prompt-vectors 4 --width 32 --heads 4 --temporal-heads 4 --dropout 0.1
    --crop 100 --batch 4 --warm-up-steps $((60 * scale)) --b-steps $((30 * scale)) --f-steps $((30 * scale)) --rounds 2
    --checkpoint-every 5)
  started=$(date +%s%N)
  "$programs/train_dcl" "${options[@]}" --out "$work/whole" --fresh >/dev/null 2>&1
  elapsed_ms=$((($(date +%s%N) - started) / 1000000))
  if ((elapsed_ms >= 3000 || scale >= 64)); then break; fi
  scale=$((2 * scale))
done
expected=$(sha256sum <"$work/whole/checkpoint.safetensors")
metrics_of() { sed -E 's/,"(frames_per_second|seconds|time)":("[^"]*"|[^,}]*)//g' "$1/metrics.jsonl" | sha256sum; }
metrics=$(metrics_of "$work/whole")

fail() {
  echo "run $i: $1"
  [ -f "$work/said" ] && sed 's/^/  /' "$work/said"
  exit 1
}
steps_in() { if [ -f "$1/metrics.jsonl" ]; then grep -c '"loss"' "$1/metrics.jsonl" || true; else echo 0; fi; }

same=0 killed=0 terminated=0 refused=0 damaged=0
for ((i = 1; i <= times; i++)); do
  out=$work/run$i stops=0 resume=()
  while :; do
    "$programs/train_dcl" "${options[@]}" --out "$out" "${resume[@]}" >"$work/said" 2>&1 &
    pid=$! signal=
    # Four stops at moments spread over the whole run, then let it finish.
    if ((stops < 4)); then
      sleep "$(awk -v r=$RANDOM -v ms="$elapsed_ms" 'BEGIN { printf "%.3f", r / 32768 * ms / 1000 }')"
      # Before the stop, a second process on the folder. It is refused unless the first one has just ended.
      if kill -0 "$pid" 2>/dev/null && [ -s "$out/.lock" ]; then
        status=0
        "$programs/train_dcl" "${options[@]}" --out "$out" --fresh --seed 9 --threads 1 >"$work/second" 2>&1 || status=$?
        if [ "$status" -eq 1 ] && grep -q "is in use by train_dcl, process $pid " "$work/second"; then
          refused=$((refused + 1))
        elif kill -0 "$pid" 2>/dev/null; then
          cp "$work/second" "$work/said"
          fail "a second process was not refused (status $status)"
        else
          wait "$pid" 2>/dev/null || true
          rm -rf "$out" && resume=() && continue # the second one came after the end: begin again
        fi
      fi
      if ((stops % 2 == 0)); then signal=KILL; else signal=TERM; fi
      kill "-$signal" "$pid" 2>/dev/null || signal=
      stops=$((stops + 1))
    fi
    status=0
    wait "$pid" 2>/dev/null || status=$?
    if [ "$status" -eq 0 ]; then break; fi
    case $signal-$status in
      KILL-137) killed=$((killed + 1)) ;;
      TERM-143)
        # A signal that comes before the first step ends the program as it always did.
        if grep -q "stopped by SIGTERM" "$work/said"; then
          terminated=$((terminated + 1))
          grep -Eq "step $(steps_in "$out") of|training is finished" "$work/said" || fail "SIGTERM lost steps"
        fi
        ;;
      *) fail "exit status $status after the signal '$signal'" ;;
    esac
    if [ -f "$out/checkpoint.safetensors" ]; then
      resume=(--resume)
      # One flipped bit, somewhere: refused with a sentence that names the file.
      size=$(stat -c %s "$out/checkpoint.safetensors")
      cp "$out/checkpoint.safetensors" "$work/good"
      python3 -c "
import random
path = '$out/checkpoint.safetensors'
data = bytearray(open(path, 'rb').read())
data[random.randrange($size)] ^= 1 << random.randrange(8)
open(path, 'wb').write(data)"
      if "$programs/train_dcl" "${options[@]}" --out "$out" --resume >"$work/said" 2>&1; then
        fail "a damaged checkpoint was resumed"
      fi
      grep -q "checkpoint.safetensors" "$work/said" || fail "the damaged checkpoint is not named"
      damaged=$((damaged + 1))
      cp "$work/good" "$out/checkpoint.safetensors"
    else
      resume=(--fresh)
    fi
  done
  if [ "$(sha256sum <"$out/checkpoint.safetensors")" = "$expected" ] &&
    [ "$(metrics_of "$out")" = "$metrics" ]; then
    same=$((same + 1))
  else
    echo "run $i: differs after $stops stops"
  fi
done
echo "$killed SIGKILL, $terminated SIGTERM; $refused second processes and $damaged damaged checkpoints refused"
echo "$same of $times stopped and resumed runs ended with the same bytes"
[ "$same" -eq "$times" ] && ((times < 3 || (killed > 0 && terminated > 0 && refused > 0 && damaged > 0)))
