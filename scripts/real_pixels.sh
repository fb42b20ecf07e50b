#!/usr/bin/env bash
# The experiment in miniature on real pixels: encoders pretrained on trimmed clips, untrimmed videos composed of such
# clips, I3D and CLIP rows of them (TV-L1 flow live), and the strategies of DCL compared by reproduce. Pretraining and
# training see training clips only, what is measured is made of test clips. What is there already is used again,
# so that a run that was stopped goes on.
#
# usage: scripts/real_pixels.sh [--clips FOLDER] [--out FOLDER] [--worlds N] [--seeds N] [--steps N] [--clip-steps N]
#                               [--train N] [--test N] [--programs FOLDER] [--features-only] [REPRODUCE OPTIONS…]
#   --clips FOLDER     <Class>/<clip>.mp4, trainlist01.txt, testlist01.txt
#                      (default: video/ucf101_160x120 in $TANDEM_TEST_DATA, or in ../shared/data)
#   --classes A,B      of the instances (default Archery,BabyCrawling,BalanceBeam,BaseballPitch,BasketballDunk);
#                      all other classes are background
#   --pretrain A,B     classes that the encoders learn (default: those with several training clips in that folder, all
#                      but BandMarching)
#   --out FOLDER       for everything (default build/real_pixels); weights made of the clips stay there
#   --worlds N --seeds N   worlds composed with seeds 0 … N − 1, and runs of each (default 1 and 3)
#   --steps N --clip-steps N   of pretraining, 32 clips of each stream and 64 pictures a step (default 400 and 400)
#   --train N --test N     videos of a world (default 60 and 30)
#   --programs FOLDER  the built programs (default build/release/examples)
#   --features-only    stop when the features are there
#   anything else goes to reproduce (--tables main,rounds …)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

clips=${TANDEM_TEST_DATA:-../shared/data}/video/ucf101_160x120
out=build/real_pixels worlds=1 seeds=3 steps=400 clip_steps=400 videos=60 tests=30 programs=build/release/examples
classes=Archery,BabyCrawling,BalanceBeam,BaseballPitch,BasketballDunk
pretrain=ApplyEyeMakeup,ApplyLipstick,Archery,BabyCrawling,BalanceBeam,BaseballPitch,Basketball,BasketballDunk
features_only=no
more=()
while [ $# -gt 0 ]; do
  case $1 in
    --clips) clips=$2; shift ;;
    --classes) classes=$2; shift ;;
    --pretrain) pretrain=$2; shift ;;
    --out) out=$2; shift ;;
    --worlds) worlds=$2; shift ;;
    --seeds) seeds=$2; shift ;;
    --steps) steps=$2; shift ;;
    --clip-steps) clip_steps=$2; shift ;;
    --train) videos=$2; shift ;;
    --test) tests=$2; shift ;;
    --programs) programs=$2; shift ;;
    --features-only) features_only=yes ;;
    --help) sed -n '2,25s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) more+=("$1") ;;
  esac
  shift
done
[ -f "$clips/trainlist01.txt" ] || {
  echo "real_pixels.sh: there is no $clips/trainlist01.txt; name a folder of clips with --clips, or set TANDEM_TEST_DATA" >&2
  exit 1
}
weights=$out/weights

echo "1. I3D, RGB and flow, on windows of the training clips"
[ -e "$weights/i3d_flow.safetensors" ] ||
  "$programs/pretrain_i3d" --out "$weights" --clips "$clips" --classes "$pretrain" --steps "$steps" --test 2000 --resume
echo "2. CLIP on their frames, with captions of the classes' names"
[ -e "$weights/clip.safetensors" ] ||
  "$programs/pretrain_clip" --out "$weights" --clips "$clips" --classes "$pretrain" --steps "$clip_steps" --batch 64 \
    --test 2000 --resume
list=""
for ((seed = 0; seed < worlds; ++seed)); do
  world=$out/world$seed
  echo "3. World $seed: untrimmed videos of clips, and their rows"
  "$programs/compose_videos" --clips "$clips" --classes "$classes" --train "$videos" --test "$tests" --seed "$seed" --out "$world"
  "$programs/extract_features" "$world/videos" --out "$world" --config weights/mini/extract.json \
    --i3d-rgb "$weights/i3d_rgb.safetensors" --i3d-flow "$weights/i3d_flow.safetensors" --clip-weights "$weights/clip.safetensors"
  cp "$weights/clip.safetensors" "$weights/merges.txt" "$world"
  list+="${list:+,}$world"
done
[ $features_only = no ] || exit 0
echo "4. The strategies, compared"
# These videos are longer than the rendered ones: whole, as a crop may be without the action that its label says. The rows
# of this CLIP have a norm of their own.
[[ " ${more[*]} " == *" --crop "* ]] || more=(--crop 1000 "${more[@]}")
[[ " ${more[*]} " == *" --clip-norm "* || " ${more[*]} " == *" --vlp-scale "* ]] || more=(--clip-norm 2.4 "${more[@]}")
"$programs/reproduce" --world "$list" --seeds "$seeds" --out "$out/study" "${more[@]}"
