"""TV-L1 flow by OpenCV's DualTVL1 with its defaults, which are ours; with --fixed, ε = 0 and two outer iterations."""
from __future__ import annotations

import json
import platform

import cv2
import numpy as np

from peer_common import Measurement, options, start


def frame(height, width, shift):
    """The picture of tvl1_bench.cpp."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    cy, cx = y - height / 2, x - width / 2
    a, b = cx - shift * (2 + 0.01 * cy), cy + shift * (1 + 0.012 * cx)
    value = np.full((height, width), 128.0)
    for k in range(1, 13):
        value += 60.0 / k * np.sin(a * 0.05 * k * np.cos(2.4 * k) + b * 0.05 * k * np.sin(2.4 * k) + k)
    return np.clip(np.floor(value), 0, 255).astype(np.uint8)


def main():
    parser = options(__doc__, ["tvl1"])
    parser.add_argument("--shape", required=True, help="H,W or N,H,W")
    parser.add_argument("--fixed", action="store_true")
    args = parser.parse_args()
    start(args)
    cv2.setNumThreads(args.threads)
    *count, height, width = map(int, args.shape.split(","))
    measurement = Measurement()
    first, second = frame(height, width, 0), frame(height, width, 1)
    flow = cv2.optflow.DualTVL1OpticalFlow_create(**({"epsilon": 0, "outerIterations": 2} if args.fixed else {}))

    def step():
        for _ in range(count[0] if count else 1):
            flow.calc(first, second, None)

    result = measurement.run(step, args, warmup=1)
    print(json.dumps({"work": args.work, "mode": args.mode, "threads": args.threads, "shape": args.shape,
                      **result, "versions": {"opencv": cv2.__version__, "numpy": np.__version__,
                                             "python": platform.python_version()}}), flush=True)


if __name__ == "__main__":
    main()
