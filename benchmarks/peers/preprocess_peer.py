"""Images for CLIP by Pillow and torchvision: resize_bicubic (Pillow alone) and preprocess (Resize, CenterCrop,
ToTensor, Normalize as the release composes them). Pillow uses one thread; a batch goes image by image."""
from __future__ import annotations

import json
import platform

import numpy as np
import PIL
import torch
import torchvision
import torchvision.transforms as T
from PIL import Image

from peer_common import Measurement, options, start


def main():
    parser = options(__doc__, ["resize_bicubic", "preprocess"])
    parser.add_argument("--shape", required=True, help="H,W or N,H,W")
    args = parser.parse_args()
    start(args)
    *count, height, width = map(int, args.shape.split(","))
    rng = np.random.default_rng(args.seed)
    measurement = Measurement()
    images = [Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
              for _ in range(count[0] if count else 1)]
    if args.work == "resize_bicubic":
        short = min(height, width)
        size = (int(224 * width / short), int(224 * height / short))

        def step():
            return [image.resize(size, Image.BICUBIC) for image in images]
    else:
        transform = T.Compose([
            T.Resize(224, interpolation=T.InterpolationMode.BICUBIC), T.CenterCrop(224),
            lambda image: image.convert("RGB"), T.ToTensor(),
            T.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))])

        def step():
            return torch.stack([transform(image) for image in images])
    result = measurement.run(step, args)
    print(json.dumps({"work": args.work, "mode": args.mode, "threads": args.threads, "shape": args.shape,
                      **result, "versions": {"pillow": PIL.__version__, "torch": torch.__version__,
                                             "torchvision": torchvision.__version__,
                                             "python": platform.python_version()}}), flush=True)


if __name__ == "__main__":
    main()
