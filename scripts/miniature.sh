#!/usr/bin/env bash
# The whole experiment in miniature, nothing simulated above the pixel: renders a world of videos, extracts I3D and CLIP rows
# with the weights of weights/mini (TV-L1 flow live), trains DCL, and writes the page of the run.
#
# usage: scripts/miniature.sh [--out FOLDER] [--seed N] [--train N] [--test N] [--programs FOLDER] [--world-only]
#                             [TRAIN_DCL OPTIONS…]
#   --out FOLDER       for everything (default build/miniature); what is there already is used again
#   --seed N           the world: other people, places, times and noise (default 0)
#   --train N --test N how many videos it has (default 120 and 48)
#   --programs FOLDER  the built programs (default build/release/examples)
#   --world-only       stop when the features are there: a data folder for train_dcl and reproduce
#   anything else goes to train_dcl (--variant warm-up, --pseudo-labels thresholds …)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=build/miniature seed=0 videos=120 tests=48 programs=build/release/examples world_only=no
train=()
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2; shift ;;
    --seed) seed=$2; shift ;;
    --train) videos=$2; shift ;;
    --test) tests=$2; shift ;;
    --programs) programs=$2; shift ;;
    --world-only) world_only=yes ;;
    --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) train+=("$1") ;;
  esac
  shift
done
weights=weights/mini
world=$out/world

if [ ! -e "$world/world.json" ]; then
  echo "1. A world of videos, and its annotations"
  "$programs/render_world" --out "$world" --seed "$seed" --train "$videos" --test "$tests"
else
  echo "1. The world in $world is used again"
fi
[ -e "$weights/clip.safetensors" ] || { echo "miniature.sh: there is no $weights/clip.safetensors" >&2; exit 1; }
echo "2. I3D rows of RGB and TV-L1 flow, and CLIP rows"
"$programs/extract_features" "$world/videos" --out "$world" --config "$weights/extract.json" --i3d-rgb "$weights/i3d_rgb.safetensors" \
  --i3d-flow "$weights/i3d_flow.safetensors" --clip-weights "$weights/clip.safetensors"
cp "$weights/clip.safetensors" "$weights/merges.txt" "$world"  # the texts' side: now $world is all that train_dcl --data needs
[ $world_only = no ] || exit 0
echo "3. DCL: warm-up, then B and F in turn; labels of the training videos say what happens, not when"
"$programs/train_dcl" --data "$world" \
  --config "$weights/train.json" --out "$out/run" --fresh "${train[@]}"
echo "4. The page: videos, scores of both branches, pseudo-labels of every round, detections, curves"
"$programs/report" --run "$out/run" --data "$world" --videos "$world/videos" --page "$out/report.html"
