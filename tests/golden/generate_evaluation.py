#!/usr/bin/env python3
"""Golden values for tests/wtal/evaluation_test.cpp, from the description of the protocols.

    python3 tests/golden/generate_evaluation.py > tests/golden/evaluation.txt

Independent of the C++ code: matching with NumPy on dense IoU matrices; index units with sets of rows
and exact fractions. Random cases with equal scores, equal overlaps, duplicated instances, classes
without detections, classes without instances and unknown videos.

File format, by lines of space-separated fields:
    case NAME PROTOCOL
    class NAME                      (ground-truth classes, in order)
    video ID                        (ground-truth videos)
    instance VIDEO CLASS START END
    ambiguous VIDEO START END
    detection VIDEO CLASS START END SCORE
    map TIOU VALUE
    ap TIOU CLASS VALUE
    end
"""
import sys
from fractions import Fraction

import numpy as np

SEED = 20240607
ACTIVITYNET = ["0.5", "0.55", "0.6", "0.65", "0.7", "0.75", "0.8", "0.85", "0.9", "0.95"]
THUMOS = ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]


def voc2011(tp, npos):
    """All-point interpolated average precision, written with sentinels."""
    tp = np.asarray(tp, dtype=float)
    recall = np.concatenate([[0.0], np.cumsum(tp) / npos, [1.0]])
    precision = np.concatenate([[0.0], np.cumsum(tp) / np.arange(1, len(tp) + 1), [0.0]])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return float(np.sum((recall[steps + 1] - recall[steps]) * precision[steps + 1]))


def iou_seconds(a, b):
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return inter / ((b[1] - b[0]) + (a[1] - a[0]) - inter) if inter > 0 else 0.0


def rows_of(truth):
    """Python's round is half to even."""
    return range(round(truth[0] * 25 / 16), round(truth[1] * 25 / 16))


def iou_rows(a, b):
    a, b = set(a), set(b)
    return Fraction(len(a & b), len(a | b)) if a | b else Fraction(0)


def average_precision(instances, detections, iou, threshold):
    """instances: (video, key); detections: (video, key, score); official ActivityNet matching."""
    if not detections:
        return 0.0
    # As the official code: sorted upwards, read backwards, so the last of equals comes first.
    order = np.argsort([d[2] for d in detections], kind="stable")[::-1]
    taken = [False] * len(instances)
    tp = []
    for d in order:
        video, key, _ = detections[d]
        mine = [g for g, inst in enumerate(instances) if inst[0] == video]
        overlaps = [iou(key, instances[g][1]) for g in mine]
        hit = 0
        for j in sorted(range(len(mine)), key=lambda j: overlaps[j])[::-1]:  # stable, so as above
            if overlaps[j] < threshold:
                break
            if taken[mine[j]]:
                continue
            taken[mine[j]] = True
            hit = 1
            break
        tp.append(hit)
    return voc2011(tp, len(instances))


def emit(name, protocol, classes, videos, instances, ambiguous, detections):
    out = [f"case {name} {protocol}"]
    out += [f"class {c}" for c in classes]
    out += [f"video {v}" for v in videos]
    out += [f"instance {v} {c} {s!r} {e!r}" for v, c, s, e in instances]
    out += [f"ambiguous {v} {s!r} {e!r}" for v, s, e in ambiguous]
    out += [f"detection {v} {c} {s!r} {e!r} {p!r}" for v, c, s, e, p in detections]
    index = protocol == "thumos-index"
    kept = detections
    if index:
        kept = []
        for v, c, s, e, p in detections:
            rows = range(round(s / 0.64), round(e / 0.64))  # detections here are made on rows
            if any(av == v and iou_rows(rows, rows_of((a, b))) > 0 for av, a, b in ambiguous):
                continue
            kept.append((v, c, rows, p))
    else:
        kept = [(v, c, (s, e), p) for v, c, s, e, p in detections]
    present = [c for c in classes if any(i[1] == c for i in instances)]
    for t in ACTIVITYNET if protocol == "activitynet" else THUMOS:
        aps = []
        for c in present:
            gts = [(v, rows_of((s, e)) if index else (s, e)) for v, k, s, e in instances if k == c]
            dets = [(v, key, p) for v, k, key, p in kept if k == c]
            aps.append(average_precision(gts, dets, iou_rows if index else iou_seconds,
                                         Fraction(t) if index else float(t)))
            out.append(f"ap {t} {c} {aps[-1]!r}")
        out.append(f"map {t} {float(np.mean(aps))!r}")
    out.append("end")
    print("\n".join(out))


def random_case(rng, name, protocol):
    classes = [f"c{i}" for i in range(int(rng.integers(2, 6)))]
    videos = [f"v{i}" for i in range(int(rng.integers(2, 7)))]
    index = protocol == "thumos-index"
    instances, detections, ambiguous = [], [], []
    for v in videos:
        for _ in range(int(rng.integers(0, 6))):
            c = classes[int(rng.integers(len(classes) - 1))]  # the last class never occurs
            start = round(float(rng.uniform(0, 60)), 1)
            length = round(float(rng.choice([0.2, 0.4, 1.0, 3.0, 8.0, 20.0])), 1)
            inst = (v, c, start, round(start + length, 1))
            instances.append(inst)
            if rng.random() < 0.2:
                instances.append(inst)  # a duplicate in the same class
            if rng.random() < 0.2:
                instances.append((v, classes[0], inst[2], inst[3]))  # and under another class
        if rng.random() < 0.5:
            start = round(float(rng.uniform(0, 60)), 1)
            ambiguous.append((v, start, round(start + float(rng.choice([0.1, 0.5, 4.0])), 1)))
    undetected = classes[int(rng.integers(len(classes)))] if rng.random() < 0.5 else None
    pool = [(v, c, s, e) for v, c, s, e in instances for _ in range(int(rng.integers(0, 4)))]
    pool += [(videos[int(rng.integers(len(videos)))], classes[int(rng.integers(len(classes)))],
              float(s), float(s) + 5.0) for s in rng.uniform(0, 60, int(rng.integers(0, 12)))]
    pool += [("unknown", classes[0], 1.0, 9.0)]
    for k in rng.permutation(len(pool)):
        v, c, s, e = pool[int(k)]
        if c == undetected:
            continue
        jitter = float(rng.choice([0.0, 0.1, 0.3])) * (e - s)
        s, e = s + float(rng.uniform(-jitter, jitter)), e + float(rng.uniform(-jitter, jitter))
        if index:  # as the W-TALC family makes them: whole rows of 0.64 s
            first = max(0, int(s / 0.64))
            s, e = 0.64 * first, 0.64 * max(first + int(rng.integers(0, 2)), int(e / 0.64))
        score = round(float(rng.random()), 1) if rng.random() < 0.6 else float(rng.random())
        detections.append((v, c, s, e, score))
        if rng.random() < 0.15:
            detections.append((v, c, s, e, score))
    order = list(dict.fromkeys(d[0] for d in detections))  # files hold detections by video
    detections.sort(key=lambda d: order.index(d[0]))
    if not instances:
        instances.append((videos[0], classes[0], 1.0, 4.0))
    emit(name, protocol, classes, videos, instances, ambiguous, detections)


def main():
    print(f"# generate_evaluation.py, numpy {np.__version__}, python {sys.version.split()[0]}, "
          f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for protocol, count in (("activitynet", 12), ("thumos-seconds", 8), ("thumos-index", 20)):
        for i in range(count):
            random_case(rng, f"{protocol}-{i}", protocol)


if __name__ == "__main__":
    main()
