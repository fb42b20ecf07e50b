"""What Pillow makes of frames and flow on their way into I3D → i3d_preprocess.npz.

    python tests/golden/generate_i3d_preprocess.py          # needs numpy and pillow < 13

Pillow 13.0.0 resizes columns first for some sizes, which gives other bytes; the script refuses to run with it.
Results are CRC-32 of the bytes; the first cases are there in full.
    sizes        per case height, width, size, crop
    rgb          resize(BILINEAR) to a short side of `size`, then to the centre
    flow         each component as an image of floats, resized the same way, times the change in size
"""
import json
import pathlib
import platform
import zlib

import numpy as np
import PIL
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
SEED, CASES, FULL = 23, 80, 4


def picture(height, width, channels, seed):
    """As in generate_clip_preprocess.py."""
    x = (np.arange(height * width * channels, dtype=np.uint64) * 2654435761 + seed * 40503) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 2246822519) & 0xFFFFFFFF
    x ^= x >> 13
    level = (x >> 8 & 255).astype(np.uint8)
    if seed % 3 == 0:
        level = np.where(level < 128, 0, 255).astype(np.uint8)
    return level.reshape(height, width, channels)


def resized(height, width, size):
    """(rows, columns): the short side becomes size, the long one ⌊size · long / short⌋."""
    return (size, int(size * width / height)) if height <= width else (int(size * height / width), size)


def centre(image, crop):
    top, left = (int(round((n - crop) / 2)) for n in image.shape[:2])
    return image[top:top + crop, left:left + crop]


def main():
    if int(PIL.__version__.split(".")[0]) >= 13:
        raise SystemExit(f"Pillow {PIL.__version__} resizes columns first for some sizes; use one below 13")
    rng = np.random.default_rng(SEED)
    sizes = [(21, 17, 16, 15), (9, 13, 12, 8), (16, 20, 16, 16), (40, 31, 12, 9), (240, 320, 256, 224),
             (256, 340, 256, 224), (1, 5, 3, 2), (7, 1, 2, 1)]
    while len(sizes) < CASES:
        h, w, size = rng.integers(1, 120, 3)
        if max(h, w) * size / min(h, w) < 3000:
            sizes.append((h, w, size, rng.integers(1, size + 1)))
    arrays, rgb, flow = {"sizes": np.array(sizes, np.int64)}, [], []
    for i, (h, w, size, crop) in enumerate(arrays["sizes"].tolist()):
        rows, columns = resized(h, w, size)
        frame = np.asarray(Image.fromarray(picture(h, w, 3, i)).resize((columns, rows), Image.BILINEAR))
        frame = np.ascontiguousarray(centre(frame, crop))
        # Vectors up to 32 pixels, in quarters: some leave the range of ±20.
        vectors = (picture(h, w, 2, i + 1).astype(np.float32) - 127) / 4
        parts = []
        for c, factor in enumerate((np.float32(columns / w), np.float32(rows / h))):
            part = np.asarray(Image.fromarray(vectors[:, :, c]).resize((columns, rows), Image.BILINEAR))
            parts.append(np.clip(centre(part, crop) * factor, np.float32(-20), np.float32(20)) / np.float32(20))
        motion = np.ascontiguousarray(np.stack(parts))
        assert motion.dtype == np.float32
        rgb.append(zlib.crc32(frame.tobytes()))
        flow.append(zlib.crc32((motion + np.float32(0)).tobytes()))  # -0 becomes 0
        if i < FULL:
            arrays[f"{i}.rgb"], arrays[f"{i}.flow"] = frame, motion
    arrays["rgb"], arrays["flow"] = np.array(rgb, np.int64), np.array(flow, np.int64)
    provenance = {"generator": "tests/golden/generate_i3d_preprocess.py", "seed": SEED, "pillow": PIL.__version__,
                  "numpy": np.__version__, "python": platform.python_version()}
    target = HERE / "i3d_preprocess.npz"
    np.savez(target, provenance=np.frombuffer(json.dumps(provenance, indent=1).encode(), np.uint8), **arrays)
    print(f"{target.name}: {len(arrays)} arrays, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
