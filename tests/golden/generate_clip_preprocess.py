"""What Pillow and torchvision make of 240 images of all sizes, and small image files.

    python tests/golden/generate_clip_preprocess.py     # needs numpy, pillow < 13, torch, torchvision

Pillow resizes rows first and columns second up to version 12; Pillow 13.0.0 turns that around for some
sizes, which gives other bytes. The script refuses to run with it.

Writes clip_preprocess.npz (images follow from a formula, results are CRC-32 of their bytes; the first
cases are there in full) and the files of image/: PNG of every kind with the pixels that
Image.open(…).convert("RGB") finds, and one JPEG.
"""
import importlib.metadata
import io
import json
import pathlib
import platform
import struct
import sys
import warnings
import zlib

import numpy as np
import PIL
import torchvision.transforms as T
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
SEED = 11
CASES = 240
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def picture(height, width, channels, seed):
    """Noise; every third image has only the levels 0 and 255, so that sums leave the range."""
    x = (np.arange(height * width * channels, dtype=np.uint64) * 2654435761 + seed * 40503) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 2246822519) & 0xFFFFFFFF
    x ^= x >> 13
    level = (x >> 8 & 255).astype(np.uint8)
    if seed % 3 == 0:
        level = np.where(level < 128, 0, 255).astype(np.uint8)
    return level.reshape(height, width, channels)


def release_transform(size, crop):
    """Of the CLIP release: the image is made RGB after resizing and cropping."""
    return T.Compose([T.Resize(size, interpolation=T.InterpolationMode.BICUBIC), T.CenterCrop(crop),
                      lambda image: image.convert("RGB")])


def sizes(rng):
    special = [(1, 1, 3, 7, 5, 8, 8), (1, 300, 3, 20, 10, 2, 9), (300, 1, 3, 10, 20, 2, 9),
               (5, 5, 3, 5, 5, 5, 5), (5, 7, 4, 5, 7, 5, 4), (8, 6, 3, 8, 3, 6, 5), (8, 6, 3, 4, 6, 9, 12),
               (2, 3, 4, 64, 65, 40, 33), (240, 320, 3, 224, 298, 224, 224), (120, 160, 3, 224, 298, 224, 224),
               (700, 13, 3, 3, 40, 5, 5), (13, 700, 4, 40, 3, 5, 6), (64, 48, 3, 30, 31, 20, 30)]
    out = list(special)
    while len(out) < CASES:
        top = rng.choice([12, 60, 400], p=[0.3, 0.5, 0.2])
        h, w, oh, ow, size, crop = rng.integers(1, top, 6)
        # A long thin image resized by its short side can become huge.
        if max(h, w) * size / min(h, w) > 4000:
            continue
        out.append((h, w, 4 if rng.random() < 0.25 else 3, oh, ow, size, crop))
    return np.array(out, np.int64)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, rows, extra=b""):
    raw = b"".join(b"\0" + row for row in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
            + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def image_files():
    """name → bytes of files that Pillow itself cannot all write."""
    def be16(*values):
        return struct.pack(f">{len(values)}H", *values)
    palette = chunk(b"PLTE", bytes(range(30, 42)))
    files = {
        "gray1.png": png(8, 1, 1, 0, [b"\xa5"]),
        "gray2.png": png(4, 1, 2, 0, [b"\x1b"]),
        "gray4.png": png(4, 2, 4, 0, [b"\x1b\xf0", b"\x52\x9c"]),
        "gray8.png": png(3, 2, 8, 0, [b"\0\x80\xff", b"\1\2\3"]),
        "gray8_transparent.png": png(3, 1, 8, 0, [b"\0\x80\xff"], chunk(b"tRNS", b"\0\x80")),
        "gray16.png": png(7, 1, 16, 0, [be16(0, 1, 255, 256, 0x1234, 0xFF7F, 0xFFFF)]),
        "gray16_transparent.png": png(3, 1, 16, 0, [be16(0, 255, 256)], chunk(b"tRNS", b"\0\xff")),
        "gray8_alpha.png": png(3, 1, 8, 4, [b"\0\x80\x80\xff\xff\0"]),
        "gray16_alpha.png": png(2, 1, 16, 4, [be16(0x12FF, 0xFFFF, 0x8080, 0)]),
        "rgb8.png": png(2, 2, 8, 2, [b"\1\2\3\4\5\6", b"\xff\xfe\xfd\0\0\0"]),
        "rgb8_transparent.png": png(2, 1, 8, 2, [b"\1\2\3\4\5\6"], chunk(b"tRNS", be16(1, 2, 3))),
        "rgb16.png": png(2, 1, 16, 2, [be16(0x12FF, 0xFFFF, 0x8080, 1, 0x100, 0xFF00)]),
        "rgba8.png": png(2, 1, 8, 6, [b"\1\2\3\4\5\6\7\0"]),
        "rgba16.png": png(2, 1, 16, 6, [be16(0x12FF, 0xFFFF, 0x8080, 0x4000, 1, 2, 0x300, 0)]),
        "palette2.png": png(4, 1, 2, 3, [b"\x1b"], palette),
        "palette2_transparent.png": png(4, 1, 2, 3, [b"\x1b"], palette + chunk(b"tRNS", b"\0\x80")),
        "palette2_short.png": png(4, 1, 2, 3, [b"\x1b"], chunk(b"PLTE", bytes(range(50, 56)))),
        "palette8.png": png(3, 1, 8, 3, [b"\0\2\1"], palette),
    }
    # Pillow's own PNG, with filters and several rows.
    gradient = np.add.outer(np.arange(23) * 9, np.arange(31) * 5)
    colours = np.stack([gradient % 256, gradient * 3 % 256, 255 - gradient % 256], -1).astype(np.uint8)
    for name, options in (("pillow.png", {"optimize": True}), ("pillow.jpg", {"quality": 92}),
                          ("progressive.jpg", {"quality": 80, "progressive": True}),
                          ("gray.jpg", {"quality": 90})):
        image = Image.fromarray(colours)
        if name == "gray.jpg":
            image = image.convert("L")
        if name == "pillow.jpg":  # turned by EXIF, which must change nothing
            exif = Image.Exif()
            exif[0x0112] = 6
            options["exif"] = exif
        data = io.BytesIO()
        image.save(data, "PNG" if name.endswith("png") else "JPEG", **options)
        files[name] = data.getvalue()
    return files


def check_order():
    """Rows first: a size for which Pillow 13.0.0 does columns first."""
    image = Image.fromarray(picture(219, 29, 3, 14))
    rows_first = image.resize((52, 219), Image.BICUBIC).resize((52, 217), Image.BICUBIC)
    if image.resize((52, 217), Image.BICUBIC).tobytes() != rows_first.tobytes():
        raise SystemExit(f"Pillow {PIL.__version__} resizes columns first; use one below 13")


def main():
    check_order()
    rng = np.random.default_rng(SEED)
    table = sizes(rng)
    arrays, crc = {"sizes": table}, []
    for i, (h, w, channels, oh, ow, size, crop) in enumerate(table.tolist()):
        image = Image.fromarray(picture(h, w, channels, i), "RGBA" if channels == 4 else "RGB")
        resized = np.asarray(image.resize((ow, oh), Image.BICUBIC))
        cropped = release_transform(size, crop)(image)
        crc.append((zlib.crc32(resized.tobytes()), zlib.crc32(np.asarray(cropped).tobytes())))
        if i < 8:
            arrays[f"{i}.resized"], arrays[f"{i}.cropped"] = resized, np.asarray(cropped)
        if i == 7:
            normal = T.Compose([T.ToTensor(), T.Normalize(MEAN, STD)])
            arrays[f"{i}.tensor"] = normal(cropped).numpy()
    arrays["crc"] = np.array(crc, np.int64)

    folder = HERE / "image"
    folder.mkdir(exist_ok=True)
    for name, data in image_files().items():
        (folder / name).write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            arrays[f"image/{name}"] = np.asarray(Image.open(folder / name).convert("RGB"))
    provenance = {"generator": "tests/golden/generate_clip_preprocess.py", "seed": SEED,
                  "python": platform.python_version(),
                  "pillow": PIL.__version__,
                  **{p: importlib.metadata.version(p) for p in ("numpy", "torch", "torchvision")}}
    text = json.dumps(provenance, indent=1).encode()
    path = HERE / "clip_preprocess.npz"
    np.savez_compressed(path, provenance=np.frombuffer(text, np.uint8), **arrays)
    print(f"{path}: {len(arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
