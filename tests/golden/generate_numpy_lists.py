#!/usr/bin/env python3
"""The same annotations and features as different programs hand them to numpy.save, for tests/wtal/wtalc_numpy_test.cpp.

    python3 tests/golden/generate_numpy_lists.py > tests/golden/numpy_lists.json

Written with NumPy 2: scalars are pickled as numpy._core.multiarray.scalar, arrays as numpy._core.multiarray.
_reconstruct (protocol 4) or _frombuffer (protocol 5). Every case is {file name: bytes in hexadecimal}; what a case
leaves out is as usual.

Annotations: videos a, b (subset test, 100 s); a: Run [0, 10], Jump [20, 30.5]; b: Run [5, 15], Jump [40, 41].
Features: x[v, t, d] = 100 v + 10 t + d, two videos of three rows and four columns.
"""
import io
import json
import pickle

import numpy as np

SEGMENTS = [[[0.0, 10.0], [20.0, 30.5]], [[5.0, 15.0], [40.0, 41.0]]]
LABELS = [["Run", "Jump"], ["Run", "Jump"]]
NAMES = ["a", "b"]


def objects(items):
    """A one-dimensional object array, whatever the items are."""
    out = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        out[i] = item
    return out


def deep(f, x):
    return [deep(f, y) for y in x] if isinstance(x, (list, tuple)) else f(x)


def npy(array, protocol=4):
    array = np.asarray(array)
    file = io.BytesIO()
    if array.dtype == object:  # as numpy.save, with the protocol that was asked for
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(array, file, protocol=protocol)
    else:
        np.save(file, array)
    return file.getvalue().hex()


def case(segments, labels, protocol=4, **more):
    files = {"segments": segments, "labels": labels, "labels_all": labels, **more}
    return {name + ".npy": npy(value, protocol) for name, value in files.items()}


plain = case(objects(SEGMENTS), objects(LABELS))
annotations = {
    "plain lists": plain,
    "np.float64 and np.str_": case(objects(deep(np.float64, SEGMENTS)), objects(deep(np.str_, LABELS))),
    "np.float32 and np.bytes_": case(objects(deep(np.float32, SEGMENTS)),
                                     objects(deep(lambda s: np.bytes_(s.encode()), LABELS))),
    "big-endian scalars": case(objects(deep(lambda x: np.array(x, ">f8")[()], SEGMENTS)),
                               objects(deep(lambda s: np.array(s, ">U4")[()], LABELS))),
    "scalars, protocol 2": case(objects(deep(np.float64, SEGMENTS)), objects(deep(np.str_, LABELS)), protocol=2),
    "tuples": case(objects([tuple(map(tuple, v)) for v in SEGMENTS]), objects([tuple(v) for v in LABELS])),
    "an array per video": case(objects([np.array(v) for v in SEGMENTS]), objects([np.array(v) for v in LABELS])),
    "an array per video, protocol 5": case(objects([np.array(v) for v in SEGMENTS]),
                                           objects([np.array(v) for v in LABELS]), protocol=5),
    "an array in Fortran order": case(objects([np.asfortranarray(np.array(v)) for v in SEGMENTS]), objects(LABELS)),
    "an array per segment": case(objects([[np.array(s, np.float32) for s in v] for v in SEGMENTS]), objects(LABELS)),
    "an object array per video": case(objects([np.array(v, object) for v in SEGMENTS]),
                                      objects([np.array(v, object) for v in LABELS])),
    "objects (n, k, 2)": case(np.array(SEGMENTS, object), np.array(LABELS, object)),
    "numbers (n, k, 2)": case(np.array(SEGMENTS), np.array(LABELS)),
    "numbers (n, k, 2), Fortran order": case(np.asfortranarray(np.array(SEGMENTS)),
                                             np.asfortranarray(np.array(LABELS))),
    "names as str and objects": case(objects(SEGMENTS), objects(LABELS), classlist=np.array(["Run", "Jump"]),
                                     videoname=np.array(NAMES, object), subset=np.array([["test"], ["test"]]),
                                     duration=np.array([100, np.float64(100)], object)),
}

x = np.array([[[100 * v + 10 * t + d for d in range(4)] for t in range(3)] for v in range(2)])
features = {
    "an array per video": npy(objects([v.astype(np.float32) for v in x])),
    "float32 (n, T, D)": npy(x.astype(np.float32)),
    "float64 (n, T, D)": npy(x.astype(np.float64)),
    "integers (n, T, D)": npy(x),
    "objects (n, T, D)": npy(np.array(x.astype(float).tolist(), object)),
    "lists": npy(objects(x.astype(float).tolist())),
    "lists of arrays": npy(objects([[row.astype(np.float32) for row in v] for v in x])),
    "object arrays": npy(objects([np.array(v.astype(float).tolist(), object) for v in x])),
}


class Code:
    def __reduce__(self):
        return (print, ("executed",))


refused = {
    "code in a scalar's place": npy(objects([[[0.0, Code()]], [[5.0, 15.0]]])),
    "a scalar of objects": npy(objects([[[0.0, np.datetime64("2024-01-01")]], [[5.0, 15.0]]])),
}
print(json.dumps({"annotations": annotations, "features": features, "refused": refused}, indent=1))
