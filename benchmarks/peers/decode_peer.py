"""Videos to RGB frames by PyAV, OpenCV and torchcodec: opening a file and reading every frame of it, without
keeping any. OpenCV hands out BGR, which is taken as it is."""
from __future__ import annotations

import argparse
import json
import os
import platform
import sys

from peer_common import Measurement


def pyav(path, threads):
    import av

    def step():
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = threads
            return sum(frame.to_ndarray(format="rgb24").shape[0] > 0 for frame in container.decode(stream))
    return step, {"pyav": av.__version__, "libavcodec": ".".join(map(str, av.library_versions["libavcodec"]))}


def opencv(path, threads):
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"threads;{threads}"
    import cv2
    cv2.setNumThreads(threads)

    def step():
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
        count, image = 0, None
        while True:
            found, image = capture.read(image)
            if not found:
                return count
            count += 1
    return step, {"opencv": cv2.__version__}


def torchcodec(path, threads):
    import torch
    import torchcodec as package
    from torchcodec.decoders import VideoDecoder
    torch.set_num_threads(threads)

    def step():
        # "approximate" reads no packets ahead, which would only cost time here.
        decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=threads, seek_mode="approximate")
        return sum(frame.shape[0] > 0 for frame in decoder)
    return step, {"torchcodec": package.__version__, "torch": torch.__version__}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", choices=["decode"], required=True)
    parser.add_argument("--mode", choices=["pyav", "opencv", "torchcodec"], required=True)
    parser.add_argument("--clip", required=True, help="below video/ of the data folder")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    path = os.path.join(os.environ.get("TANDEM_TEST_DATA") or "../shared/data", "video", args.clip)
    step, versions = {"pyav": pyav, "opencv": opencv, "torchcodec": torchcodec}[args.mode](path, args.threads)
    measurement = Measurement()
    frames = step()
    if frames == 0:
        sys.exit(f"{args.mode} reads no frame of {path}")
    result = measurement.run(step, args)
    print(json.dumps({"work": args.work, "mode": args.mode, "threads": args.threads, "frames": frames, **result,
                      "versions": {**versions, "python": platform.python_version()}}), flush=True)


if __name__ == "__main__":
    main()
