"""W-TALC in float64 → wtalc.npz: a PyTorch form written from the description of the method (docs/method.md), with the
same keys as the golden file that its public code made (test data, rivals/wtalc.npz).

Small: F 8, C 3, B 5 (2 pairs and one video), T 11, videos of 4 to 11 rows. Detections and mAP are plain loops.
"""
import numpy as np
import torch
import torch.nn.functional as F

from golden_common import Golden

SEED = 1807
g = Golden("wtalc", SEED, {"layout of drop.keep": "(B, T, channel)", "infer.class*": "video, start, end (rows), score",
                           "infer.gt": "video, class, start s, end s", "infer.map_01_09": "percent, W-TALC's evaluator",
                           "traj": "loss before each of 8 steps of Adam with L2 decay, lr 1e-4, wd 5e-4"})
B, T, FEATURES, C, PAIRS, LAMBDA = 5, 11, 8, 3, 2, 0.5
lengths = [11, 7, 9, 4, 11]


def single(x):
    return x.float().double()


x = single(g.randn(B, T, FEATURES))
for b, n in enumerate(lengths):
    x[b, n:] = 0
label = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0]], dtype=torch.float64)
shapes = {"fc.weight": (FEATURES, FEATURES), "fc.bias": (FEATURES,), "fc1.weight": (FEATURES, FEATURES), "fc1.bias": (FEATURES,),
          "classifier.weight": (C, FEATURES), "classifier.bias": (C,)}
state = {name: single(0.4 * g.randn(*shape)) for name, shape in shapes.items()}
keep = (g.rand(B, T, FEATURES) > 0.7).double()


def network(p, mask=None):
    f = F.relu(x @ p["fc.weight"].T + p["fc.bias"])
    f = f if mask is None else f * mask / 0.3
    return f, f @ p["classifier.weight"].T + p["classifier.bias"]


def losses(f, s):
    videos = torch.stack([s[b, :n].sort(0, descending=True).values[:-(-n // 8)].mean(0) for b, n in enumerate(lengths)])
    mil = -(label / label.sum(1, keepdim=True) * videos.log_softmax(1)).sum(1).mean()
    above, below = 0, 0
    for u, v in [(2 * i, 2 * i + 1) for i in range(PAIRS)]:
        high, low = [], []
        for b in (u, v):
            n = lengths[b]
            a = s[b, :n].softmax(0)
            high.append(f[b, :n].T @ a)
            low.append(f[b, :n].T @ (1 - a) / max(n - 1, 1))

        def distance(a, b):
            return 1 - (a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0))
        d1, d2, d3 = distance(high[0], high[1]), distance(high[0], low[1]), distance(high[1], low[0])
        both = label[u] * label[v]
        above = above + (0.5 * both * ((d1 - d2 + 0.5).clamp(min=0) + (d1 - d3 + 0.5).clamp(min=0))).sum()
        below = below + both.sum()
    pair = above / below
    return {"mill": mil, "casl": pair, "total": LAMBDA * mil + (1 - LAMBDA) * pair}


def leaves():
    return {k: v.clone().requires_grad_() for k, v in state.items()}


g.put("in.x", x.float())
g.put("in.label", label)
g.put("in.seq_len", np.array(lengths))
g.put("in.Lambda", np.float64(LAMBDA))
g.put("in.n_similar", np.int64(PAIRS))
for name, value in state.items():
    g.put("state." + name, value.float())
p = leaves()
f, s = network(p)
g.put("out.feat", f)
g.put("out.logits", s)
loss = losses(f, s)
for name, value in loss.items():
    g.put("loss." + name, value)
loss["total"].backward()
for name, value in p.items():
    if value.grad is not None:
        g.put("grad." + name, value.grad)
p = leaves()
f, s = network(p, keep)
total = losses(f, s)["total"]
total.backward()
g.put("drop.keep.dropout.0", keep.byte())
g.put("drop.loss.total", total)
g.put("drop.out.feat", f)
g.put("drop.out.logits", s)
g.put("drop.grad.fc.weight", p["fc.weight"].grad)
p = leaves()
adam = torch.optim.Adam(list(p.values()), lr=1e-4, weight_decay=5e-4)
trajectory = []
for _ in range(8):
    adam.zero_grad()
    total = losses(*network(p))["total"]
    trajectory.append(total.item())
    total.backward()
    adam.step()
g.put("traj.total", np.array(trajectory))

UNIT = 16 / 25
found = []
for video, n in enumerate((33, 19, 6)):
    steps = g.randn(n, C)
    logits = (steps + 0.8 * torch.roll(steps, 1, 0) + torch.tensor([0.4, 0.6, -1.6])).numpy()
    if video == 2:
        logits[:, 1] = -np.abs(logits[:, 1])  # below 0: nothing is found
    g.put(f"infer.{video}.logits", logits)
    for c in range(C):
        score = np.sort(logits[:, c])[::-1][:max(1, int(n / 8))].mean()
        curve = logits[:, c] if score > 0 else np.zeros(n)
        above = curve > (curve.max() + curve.min()) / 2
        t = 0
        while t < n:
            begin = t
            while t < n and above[t]:
                t += 1
            if t - begin >= 2:
                found.append((c, video, begin, t, curve[begin:t].max() + 0.7 * score))
            t += t == begin
truth = [(0, 0, 1.6, 7.0), (0, 1, 3.2, 4.9), (0, 2, 8.0, 15.0), (1, 1, 0.0, 5.1), (2, 0, 0.7, 2.6)]
first = next(d for d in found if d[0] == 0 and d[1] == 0)
ambiguous = [(0, first[2] * UNIT, (first[2] + 1) * UNIT)]
g.put("infer.gt", np.array(truth))
g.put("infer.ambiguous", np.array(ambiguous))


def touches(d):
    rows = set(range(d[2], d[3]))
    return any(v == d[1] and rows & set(range(round(a / UNIT), round(b / UNIT))) for v, a, b in ambiguous)


kept = [d for d in found if not touches(d)]
assert 0 < len(kept) < len(found)
for c in range(C):
    for name, list_ in (("before_filter", found), ("after_filter", kept)):
        rows = [d[1:] for d in list_ if d[0] == c]
        g.put(f"infer.class{c}.{name}", np.array(rows, np.float64).reshape(-1, 4))


def mean_average_precision(threshold):
    precisions = []
    for c in range(C):
        ranked = sorted((d for d in kept if d[0] == c), key=lambda d: -d[4])
        instances = [(v, set(range(round(a / UNIT), round(b / UNIT)))) for v, k, a, b in truth if k == c]
        positives, hits, total = len(instances), 0, 0
        if not ranked:
            return 0.0
        for i, d in enumerate(ranked):
            rows = set(range(d[2], d[3]))
            for one in instances:
                if one[0] == d[1] and len(rows & one[1]) / len(rows | one[1]) >= threshold:
                    instances.remove(one)
                    hits += 1
                    total += hits / (i + 1)
                    break
        precisions.append(total / positives)
    return 100 * float(np.mean(precisions))


map_ = [mean_average_precision(0.1 * t) for t in range(1, 10)]
assert map_[0] > map_[-1] >= 0 and map_[0] > 0, map_
g.put("infer.map_01_09", np.array(map_))
g.write()
