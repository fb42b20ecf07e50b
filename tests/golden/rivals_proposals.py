"""From scores to detections as the other methods' public codes do it, in plain loops: for generate_co2.py and
generate_um.py."""
import numpy as np


def runs(selected):
    """Runs of consecutive indices; nothing where index 0 alone is selected."""
    selected = list(np.flatnonzero(selected))
    if selected == [0] or not selected:
        return []
    out = [[selected[0], selected[0]]]
    for index in selected[1:]:
        if index == out[-1][1] + 1:
            out[-1][1] = index
        else:
            out.append([index, index])
    return out


def contrast(m, a, b, class_score):
    size = b - a + 1
    left, right = max(0, int(a - 0.25 * size)), min(len(m) - 1, int(b + 0.25 * size))
    outer = np.concatenate([m[left:a], m[b + 1:right + 1]])
    return m[a:b + 1].mean() - (outer.mean() if len(outer) else 0) + 0.2 * class_score


def stretch(s):
    at = [min(j // 24, len(s) - 2) for j in range(24 * len(s))]
    return np.array([s[i] + (s[i + 1] - s[i]) * (j / 24 - i) for j, i in enumerate(at)])


def min_max_zero(s):
    high, low = max(0.0, s.max()), min(0.0, s.min())
    return (s - low) / (high - low if high > low else 1.0)


def overlap(a, b):
    inter = max(0, min(a[3], b[3]) - max(a[2], b[2]) + 1)
    return inter / ((a[3] - a[2] + 1) + (b[3] - b[2] + 1) - inter)


def suppressed(proposals, change):
    """Of one class: takes the highest, lets change(best, rest) give what remains, and so on."""
    found = []
    rest = [list(p) for p in proposals]
    while rest:
        best = max(rest, key=lambda d: d[1])
        rest.remove(best)
        found.append(best)
        rest = change(best, rest)
    return found


def hard(threshold):
    return lambda best, rest: [d for d in rest if overlap(best, d) < threshold]


def soft(sigma):
    return lambda best, rest: [[d[0], d[1] * np.exp(-overlap(best, d)**2 / sigma), d[2], d[3]] for d in rest]
