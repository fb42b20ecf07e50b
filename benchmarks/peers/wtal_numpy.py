"""Localization and evaluation of the DCL system in plain numpy, sharing no code with tandem."""
from __future__ import annotations

import numpy as np


def runs(mask):
    """[(start, end)) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return list(zip(edges[::2], edges[1::2]))


def segment_iou(a, b):
    """IoU of one segment a with rows of b."""
    inter = np.clip(np.minimum(a[1], b[:, 1]) - np.maximum(a[0], b[:, 0]), 0, None)
    return inter / np.maximum((a[1] - a[0]) + (b[:, 1] - b[:, 0]) - inter, 1e-12)


def soft_nms(segments, scores, sigma=0.3, floor=1e-3):
    """Gaussian soft-NMS: score ← score · exp(−IoU² / σ), in the order of falling score."""
    segments, scores, out = segments.copy(), scores.copy(), []
    while len(scores):
        i = int(np.argmax(scores))
        if scores[i] < floor:
            break
        out.append((segments[i, 0], segments[i, 1], scores[i]))
        keep = np.arange(len(scores)) != i
        iou = segment_iou(segments[i], segments[keep])
        segments, scores = segments[keep], scores[keep] * np.exp(-iou * iou / sigma)
    return out


def localize(p, video_score, theta_loc=(0.45,), theta_cls=0.85, seconds=0.64):
    """p (T, C) frame probabilities, video_score (C,) → list of (start, end, class, score), seconds."""
    classes = np.flatnonzero(video_score > theta_cls)
    if not len(classes):
        classes = [int(np.argmax(video_score))]
    out = []
    for c in classes:
        s = p[:, c]
        s = (s - s.min()) / max(s.max() - s.min(), 1e-12)
        segments, scores = [], []
        for theta in theta_loc:
            for a, b in runs(s > theta):
                m = max(1, int(round(0.25 * (b - a))))
                outer = np.concatenate([s[max(0, a - m):a], s[b:b + m]])
                score = s[a:b].mean() - (outer.mean() if len(outer) else 0) + 0.2 * video_score[c]
                segments.append((a * seconds, b * seconds))
                scores.append(score)
        if segments:
            out += [(a, b, int(c), s) for a, b, s in soft_nms(np.array(segments), np.array(scores))]
    return out


def average_precision(gt, det, thresholds):
    """gt [(video, start, end)], det [(video, start, end, score)] of one class → AP per threshold, as
    in the ActivityNet evaluator."""
    order = np.argsort([-d[3] for d in det], kind="stable")
    by_video = {}
    for i, g in enumerate(gt):
        by_video.setdefault(g[0], []).append(i)
    tp = np.zeros((len(thresholds), len(det)))
    taken = np.zeros((len(thresholds), len(gt)), bool)
    for rank, d in enumerate(order):
        video, start, end, _ = det[d]
        own = by_video.get(video)
        if own is None:
            continue
        iou = segment_iou((start, end), np.array([gt[i][1:] for i in own], float))
        for t, threshold in enumerate(thresholds):
            for j in np.argsort(-iou, kind="stable"):
                if iou[j] < threshold:
                    break
                if not taken[t, own[j]]:
                    taken[t, own[j]], tp[t, rank] = True, 1
                    break
    out = []
    for row in tp:
        hit = np.cumsum(row)
        recall, precision = hit / len(gt), hit / np.arange(1, len(det) + 1)
        recall, precision = np.r_[0, recall, 1], np.r_[0, precision, 0]
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        step = np.flatnonzero(np.diff(recall)) + 1
        out.append(((recall[step] - recall[step - 1]) * precision[step]).sum())
    return np.array(out)


def mean_average_precision(gt, det, thresholds):
    """gt [(video, start, end, class)], det [(video, start, end, class, score)] → mAP per threshold."""
    aps = []
    for c in sorted({g[3] for g in gt}):
        own = [(d[0], d[1], d[2], d[4]) for d in det if d[3] == c]
        aps.append(average_precision([g[:3] for g in gt if g[3] == c], own, thresholds)
                   if own else np.zeros(len(thresholds)))
    return np.mean(aps, axis=0)
