#!/usr/bin/env bash
# What `make bench` does: build the benchmarks, install the peers in .venv-bench, run everything.
# Arguments go to benchmarks/run.py (see its --help).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/install-deps.sh --bench

mkdir -p build
cmake --preset release -B build/bench -DTANDEM_BENCHMARKS=ON -DTANDEM_TESTS=OFF \
  -DTANDEM_EXAMPLES=OFF -DTANDEM_CUDA=OFF >build/bench.log || { cat build/bench.log; exit 1; }
cmake --build build/bench --parallel "$(nproc)"

venv=.venv-bench
peers=(torch torchvision torchcodec pillow numpy threadpoolctl safetensors onnx onnxruntime openvino av
  opencv-contrib-python-headless)
ready="$venv/ready-$(printf '%s\n' "${peers[@]}" | cksum | cut -d' ' -f1)"
if ! [ -e "$ready" ]; then
  echo "Installing the peers in $venv (several gigabytes, once): ${peers[*]}"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "${peers[@]}"
  touch "$ready"
fi
exec "$venv/bin/python" benchmarks/run.py --build build/bench/benchmarks "$@"
