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
if ! [ -e "$venv/ready-3" ]; then
  echo "Installing PyTorch, torchvision, OpenVINO, ONNX Runtime, Pillow and NumPy in $venv (several gigabytes, once)"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check torch torchvision pillow numpy threadpoolctl \
    safetensors onnx onnxruntime openvino
  touch "$venv/ready-3"
fi
exec "$venv/bin/python" benchmarks/run.py --build build/bench/benchmarks "$@"
