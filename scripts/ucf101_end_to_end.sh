#!/usr/bin/env bash
# From real pixels to localized actions: UCF101 clips are joined to untrimmed videos with known segments,
# then features are extracted, DCL is trained, evaluated, and one video becomes a page.
#
# usage: scripts/ucf101_end_to_end.sh CLIPS OUT [--train N] [--test N] [--programs DIR] [-- extract options]
#   CLIPS         folder <Class>/v_<Class>_gXX_cYY.mp4 with trainlist01.txt and testlist01.txt
#   OUT           folder to write; run again, it goes on where it was
#   --train N     videos to train on, default 10
#   --test N      videos to test on, default 6
#   --programs D  where extract_features, train_dcl … are, default build/release/examples
#   -- …          options of extract_features in place of random weights, as --i3d-rgb FILE --i3d-flow FILE
#                 --clip-weights FILE
#
# Without weights the encoders are RANDOM and narrow and flow is computed on small frames, so that all of it
# takes minutes: this shows that the programs work together on real videos. Its numbers say nothing about DCL.
set -euo pipefail

usage() { sed -n 's/^# \{0,1\}//p' "$0" | sed -n '4,16p'; }
[ $# -ge 2 ] || { usage >&2; exit 2; }
clips=$1 out=$2
shift 2
train=10 test=6 programs=build/release/examples
extract=(--random-weights 0 --random-narrow 8 --flow-size 64 --flow-scales 3 --flow-warps 2 --flow-outer-iterations 2)
while [ $# -gt 0 ]; do
  case $1 in
    --train) train=$2; shift 2 ;;
    --test) test=$2; shift 2 ;;
    --programs) programs=$2; shift 2 ;;
    --) shift; extract=("$@"); break ;;
    *) echo "ucf101_end_to_end.sh: unknown option '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
for program in ffmpeg ffprobe; do
  command -v $program >/dev/null || { echo "ucf101_end_to_end.sh: $program is missing (Debian, Ubuntu: ffmpeg)" >&2; exit 1; }
done
for program in extract_features train_dcl evaluate localize; do
  [ -x "$programs/$program" ] || { echo "ucf101_end_to_end.sh: there is no $programs/$program; make build makes it" >&2; exit 1; }
done
for file in trainlist01.txt testlist01.txt; do
  [ -f "$clips/$file" ] || { echo "ucf101_end_to_end.sh: there is no $clips/$file" >&2; exit 1; }
done
mkdir -p "$out/videos"

# The clips of one class in one official list, in the order of the list.
clips_of() { # clips_of trainlist01 BaseballPitch
  local name
  sed -n "s|^$2/\\(.*\\)\\.avi.*|\\1|p" "$clips/$1.txt" | while read -r name; do
    if [ -f "$clips/$2/$name.mp4" ]; then echo "$clips/$2/$name.mp4"; fi
  done
}

# Background, action, background, action, background: N videos of one subset. Every clip is brought to 25
# frames a second and to a whole number of them, so the segments are exact to the frame.
rate=25
actions=(BaseballPitch BasketballDunk)
others=(ApplyEyeMakeup ApplyLipstick Archery BabyCrawling BalanceBeam BandMarching)
entries=""
make_videos() { # make_videos train|test COUNT trainlist01|testlist01
  local subset=$1 count=$2 list=$3 v i
  local -A pool_of=() next=()
  for class in "${actions[@]}" "${others[@]}"; do
    pool_of[$class]=$(clips_of "$list" "$class")
    next[$class]=1
  done
  take() { # the next clip of a class into $taken, from the first again after the last
    local all total
    all=${pool_of[$1]}
    total=$(grep -c . <<<"$all")
    taken=$(sed -n "$(((next[$1] - 1) % total + 1))p" <<<"$all")
    # A step that shares no divisor with the usual numbers of clips of a group mixes the groups.
    next[$1]=$((next[$1] + 11))
  }
  for ((v = 0; v < count; ++v)); do
    local id action inputs=() filter="" labels="" at=0 segments="" frames seconds
    id=$(printf '%s_%03d' "$subset" "$v")
    action=${actions[v % 2]}
    for i in 0 1 2 3 4; do
      if ((i % 2 == 1)); then take "$action"; else take "${others[(3 * v + i) % ${#others[@]}]}"; fi
      seconds=$(ffprobe -v error -select_streams v:0 -show_entries stream=duration -of csv=p=0 "$taken")
      frames=$(awk -v s="$seconds" -v r=$rate 'BEGIN { print int(s * r + 0.001) }')
      inputs+=(-i "$taken")
      filter+="[$i:v]fps=$rate,trim=end_frame=$frames,setpts=PTS-STARTPTS,scale=160:120,setsar=1[v$i];"
      labels+="[v$i]"
      if ((i % 2 == 1)); then
        segments+="${segments:+, }$(awk -v a=$at -v n="$frames" -v r=$rate -v label="$action" \
          'BEGIN { printf "{\"segment\": [%.2f, %.2f], \"label\": \"%s\"}", a / r, (a + n) / r, label }')"
      fi
      at=$((at + frames))
    done
    if [ ! -f "$out/videos/$id.mp4" ]; then
      ffmpeg -v error -y "${inputs[@]}" -filter_complex "$filter${labels}concat=n=5[v]" -map '[v]' -an \
        -c:v libx264 -preset veryfast -crf 20 -pix_fmt yuv420p -g $rate -movflags +faststart "$out/videos/$id.part.mp4" </dev/null
      mv "$out/videos/$id.part.mp4" "$out/videos/$id.mp4"
    fi
    entries+="${entries:+,$'\n'}  \"$id\": {\"subset\": \"$subset\", \"duration\": $(awk -v a=$at -v r=$rate 'BEGIN { printf "%.2f", a / r }'), \"annotations\": [$segments]}"
  done
}
make_videos train "$train" trainlist01
make_videos test "$test" testlist01
printf '{"database": {\n%s\n}}\n' "$entries" >"$out/gt.json"
echo "$((train + test)) videos in $out/videos, their segments in $out/gt.json"

"$programs/extract_features" "$out/videos" --out "$out" --profile "${extract[@]}"
"$programs/train_dcl" --data "$out" --out "$out/run" --fresh --random-text-encoder --prompt-vectors 2 --width 64 \
  --batch 5 --crop 64 --warm-up-steps 150 --rounds 1 --b-steps 20 --f-steps 20 --learning-rate 1e-3 --protocol thumos-seconds
"$programs/evaluate" --ground-truth "$out/gt.json" --detections "$out/run/detections.json" \
  --protocol thumos-seconds --subset test
"$programs/localize" "$out/videos/test_000.mp4" --checkpoint "$out/run/checkpoint.safetensors" --features "$out" \
  --annotations "$out/gt.json" --out "$out/test_000.json" --page "$out/test_000.html"
if grep -q '"random_weights": true' "$out/provenance/test_000.json"; then
  echo "The encoders had RANDOM weights: this shows that the programs work together; the numbers say nothing about DCL."
fi
echo "Look at $out/test_000.html in a browser."
