#!/usr/bin/env python3
"""Golden values for tests/wtal/localization_test.cpp, from the description of the method.

    python3 tests/golden/generate_localization.py > tests/golden/localization.txt

Independent of the C++ code: NumPy, grouping by np.split, margins as lists of rows with Python's int()
truncation as in the public code bases of the field, soft-NMS on arrays.

File format, by lines of space-separated fields:
    case NAME ROWS CLASSES NORMALIZE KIND(soft|hard) THRESHOLD…
    video_scores VALUE…
    row VALUE…                      (ROWS times, CLASSES values)
    detection CLASS START END SCORE (by falling score)
    end
"""
import sys

import numpy as np

SEED = 4711


def iou(a, b):
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return inter / ((a[1] - a[0]) + (b[1] - b[0]) - inter) if inter > 0 else 0.0


def proposals(curve, video_score, cls, thresholds, normalize):
    curve = curve.astype(np.float64)
    if normalize and curve.max() > curve.min():
        curve = (curve - curve.min()) / (curve.max() - curve.min())
    out = []
    for threshold in thresholds:
        above = np.flatnonzero(curve > threshold)
        if above.size == 0:
            continue
        for group in np.split(above, np.flatnonzero(np.diff(above) != 1) + 1):
            length = len(group)
            first = max(0, int(group[0] - 0.25 * length))
            last = min(len(curve) - 1, int(group[-1] + 0.25 * length))
            outer = list(range(first, group[0])) + list(range(group[-1] + 1, last + 1))
            contrast = curve[group].mean() - (curve[outer].mean() if outer else 0.0)
            out.append([cls, 0.64 * group[0], 0.64 * (group[-1] + 1), contrast + 0.2 * video_score])
    return out


def suppress(dets, kind):
    dets = [list(d) for d in dets]
    kept = []
    while dets:
        top = dets.pop(int(np.argmax([d[3] for d in dets])))
        kept.append(top)
        if kind == "hard":
            dets = [d for d in dets if iou(top[1:3], d[1:3]) <= 0.5]
        else:
            for d in dets:
                d[3] *= np.exp(-iou(top[1:3], d[1:3]) ** 2 / 0.3)
    return kept


def main():
    print(f"# generate_localization.py, numpy {np.__version__}, python {sys.version.split()[0]}, "
          f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for case in range(24):
        rows, classes = int(rng.choice([1, 2, 7, 31, 60])), int(rng.integers(1, 4))
        smooth = np.cumsum(rng.normal(size=(rows, classes)), axis=0)
        scores = (1 / (1 + np.exp(-smooth))).astype(np.float32)
        video = rng.uniform(0.5, 1.0, classes).astype(np.float32)
        if case % 5 == 0:
            scores[:, 0] = np.float32(0.75)  # a constant curve
        normalize = bool(case % 3)
        kind = "hard" if case % 4 == 3 else "soft"
        thresholds = [0.45] if case % 2 else [0.2, 0.45, 0.7]
        chosen = [c for c in range(classes) if float(video[c]) > 0.85] or [int(np.argmax(video))]
        found = []
        for c in chosen:
            own = proposals(scores[:, c], float(video[c]), c, thresholds, normalize)
            found += suppress(own, kind)
        found.sort(key=lambda d: -d[3])
        print(f"case {case} {rows} {classes} {int(normalize)} {kind}", *thresholds)
        print("video_scores", *(repr(float(v)) for v in video))
        for row in scores:
            print("row", *(repr(float(v)) for v in row))
        for cls, start, end, score in found:
            print("detection", cls, repr(float(start)), repr(float(end)), repr(float(score)))
        print("end")


if __name__ == "__main__":
    main()
