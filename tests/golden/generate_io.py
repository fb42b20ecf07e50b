"""Small files written by NumPy and safetensors, that tandem::io must read, or write byte for byte.

    python tests/golden/generate_io.py          # needs numpy, safetensors
    python2.7 tests/golden/generate_io_python2.py   # the two Python 2 files, separately

Versions are recorded in tests/golden/io/provenance.json.
"""
import io
import json
import pathlib
import pickle
import platform

import numpy as np
import safetensors
import safetensors.numpy

OUT = pathlib.Path(__file__).resolve().parent / "io"


def objects(items):
    out = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        out[i] = item
    return out


def npy(array, version):
    data = io.BytesIO()
    np.lib.format.write_array(data, array, version=version)
    return data.getvalue()


def main():
    OUT.mkdir(exist_ok=True)
    grid = np.arange(6).reshape(2, 3)

    # Every protocol: lists, strings, integers and arrays of several types and layouts.
    content = objects([
        [0.5, -2, True, None, "caf\xe9 \U0001f600 \\u n\n", b"raw\xff\x00", (1, (2,)), 2**40, -2**40, [],
         300, 70000],
        grid.astype("<f4"), grid.astype(">f8"), np.asfortranarray(grid.astype("<i4")),
        np.array(["a", "b\xe9"]), np.array([b"x", b"yz"]), np.array([[True, False]]),
        objects([[1.0], grid.astype("u1")])])
    header = npy(objects([None] * len(content)), (1, 0))[:128]
    assert header.endswith(b"\n")
    for protocol in range(6):
        (OUT / f"protocol{protocol}.npy").write_bytes(header + pickle.dumps(content, protocol))

    arrays = {
        "f4": grid.astype("<f4") / 2, "f8": grid.astype("<f8") / 2, "f2": grid.astype("<f2") / 2,
        "i1": grid.astype("i1") - 3, "u1": grid.astype("u1"), "i2": grid.astype("<i2") - 3,
        "u2": grid.astype("<u2"), "i4": grid.astype("<i4") - 3, "u4": grid.astype("<u4"),
        "i8": grid.astype("<i8") - 3, "u8": grid.astype("<u8"), "b1": grid % 2 == 1,
        "big": (grid / 2).astype(">f4"), "fortran": np.asfortranarray(grid.astype("<f8") / 2),
        "bytes": np.array([b"Diving", b"", b"CliffDiving"]), "text": np.array(["caf\xe9", "", "\U0001f600"]),
        "scalar": np.array(1.5), "none": np.zeros((0, 3)),
        "half": np.array([0, 6e-8, -6.1e-5, 65504, np.inf, -np.inf, np.nan, 1 / 3], "<f2"),
        "half_as_f4": np.array([0, 6e-8, -6.1e-5, 65504, np.inf, -np.inf, np.nan, 1 / 3],
                               "<f2").astype("<f4"),
        "cube": np.asfortranarray(np.arange(24, dtype="<f4").reshape(2, 3, 4)),
        "long": np.sin(np.arange(3000)).astype("<f4") * (np.arange(3000) % 7 == 0)}
    np.savez(OUT / "stored.npz", **arrays)
    np.savez_compressed(OUT / "deflated.npz", **arrays)
    for name in ("f4", "i8", "b1", "scalar", "bytes"):
        np.save(OUT / f"{name}.npy", arrays[name])
    (OUT / "version2.npy").write_bytes(npy(arrays["f4"], (2, 0)))
    (OUT / "version3.npy").write_bytes(npy(arrays["f4"], (3, 0)))

    safetensors.numpy.save_file(
        {"weight": arrays["f4"], "bias": arrays["f8"], "steps": arrays["i8"], "ids": arrays["i4"],
         "mask": arrays["b1"], "image": arrays["u1"], "empty": np.zeros((0, 2), "<f4"),
         "scalar": np.array(1.5, "<f4")},
        OUT / "numpy.safetensors", metadata={"made by": "safetensors \xe9\""})

    (OUT / "provenance.json").write_text(json.dumps(
        {"generators": ["generate_io.py", "generate_io_python2.py (Python 2.7.18, NumPy 1.16.6)"],
         "python": platform.python_version(), "numpy": np.__version__,
         "safetensors": safetensors.__version__}, indent=2) + "\n")


if __name__ == "__main__":
    main()
