"""Object arrays as the field's files were written: Python 2.7, NumPy 1.16, protocol 2.

    python2.7 tests/golden/generate_io_python2.py
"""
from __future__ import print_function

import os

import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "io")


def objects(items):
    out = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        out[i] = item
    return out


def save(name, array):
    path = os.path.join(OUT, name)
    np.save(path, array)
    print(name, os.path.getsize(path))


# Features: row t, column d of array i holds 100 i + 10 t + d.
features = [(100 * i + 10 * np.arange(t)[:, None] + np.arange(4)).astype(np.float32)
            for i, t in enumerate([2, 3, 1])]
save("python2_features.npy", objects(features + [features[0].astype(np.float64)]))
save("python2_lists.npy", objects([[[0.5, 1.25], [3, -4]], [], ["Diving", u"caf\xe9", "raw\xff\x00"],
                                   [True, None, (1, 2), 2 ** 40, -2 ** 40]]))
