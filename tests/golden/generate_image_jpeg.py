"""JPEG files of every chroma sampling and what Pillow reads from them: image/jpeg_*.jpg, image_jpeg.npz.

    python tests/golden/generate_image_jpeg.py     # needs numpy and Pillow

Sampling of the chroma: 444 (none), 422 (halved in width), 420 (in both), 440 (in height: a 422 file with
the factors of its luma exchanged). Sizes that are and are not multiples of a block; restart
markers; progressive; CMYK.
"""
import io
import json
import pathlib
import platform

import numpy as np
import PIL
from PIL import Image, features

HERE = pathlib.Path(__file__).resolve().parent
SEED = 11


def picture(rng, height, width, channels):
    """Hard colour edges: where interpolation of the chroma shows most."""
    coarse = rng.integers(0, 256, ((height + 2) // 3, (width + 1) // 2, channels))
    return np.repeat(np.repeat(coarse, 3, 0), 2, 1)[:height, :width].astype(np.uint8)


def main():
    rng = np.random.default_rng(SEED)
    arrays = {}
    files = {
        "444": (17, 19, 3, {"subsampling": 0}), "422": (16, 16, 3, {"subsampling": 1}),
        "422_odd": (13, 21, 3, {"subsampling": 1}), "422_narrow": (5, 3, 3, {"subsampling": 1}),
        "420": (16, 32, 3, {"subsampling": 2}), "420_odd": (15, 33, 3, {"subsampling": 2}),
        "420_restart": (40, 24, 3, {"subsampling": 2, "restart_marker_blocks": 2}),
        "422_progressive": (30, 26, 3, {"subsampling": 1, "progressive": True}),
        "440": (16, 16, 3, {"subsampling": 1}), "cmyk": (10, 12, 4, {}),
    }
    for name, (height, width, channels, options) in files.items():
        image = Image.fromarray(picture(rng, height, width, channels), "CMYK" if channels == 4 else "RGB")
        data = io.BytesIO()
        image.save(data, "JPEG", quality=85, **options)
        data = bytearray(data.getvalue())
        if name == "440":
            frame = data.index(b"\xff\xc0")
            assert data[frame + 11] == 0x21
            data[frame + 11] = 0x12
        (HERE / "image" / f"jpeg_{name}.jpg").write_bytes(data)
        arrays[name] = np.array(Image.open(io.BytesIO(bytes(data))).convert("RGB"))
    provenance = {"generator": "tests/golden/generate_image_jpeg.py", "seed": SEED, "pillow": PIL.__version__,
                  "libjpeg_turbo": features.version("libjpeg_turbo"), "numpy": np.__version__,
                  "python": platform.python_version()}
    arrays["provenance"] = np.frombuffer(json.dumps(provenance).encode(), np.uint8)
    np.savez(HERE / "image_jpeg.npz", **arrays)
    print(provenance)


if __name__ == "__main__":
    main()
