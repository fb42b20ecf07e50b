"""BaS-Net in float64 → basnet.npz: a PyTorch form written from the description of the method (docs/method.md), with
the same keys as the golden file that its public code made (test data, rivals/basnet.npz).

Small: F 6, 2048 → 8, 512 → 5, C 3, B 3, T 17 (k = 2). Interpolation, runs, contrast and suppression are plain loops.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F

from golden_common import Golden

SEED = 1911
g = Golden("basnet", SEED, {"layout of drop.keep": "(B, channel, T)", "det": "class, score, start s, end s",
                            "traj": "loss before each of 8 steps of Adam with L2 decay, lr 1e-4, wd 5e-4"})
B, T, FEATURES, WIDTH, FILTER, C, ALPHA = 3, 17, 6, 8, 5, 3, 1e-4


def single(x):
    """Rounded to float32, which the file stores for states and inputs."""
    return x.float().double()


x = single(g.randn(B, T, FEATURES))
label = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 1]], dtype=torch.float64)
shapes = {"filter_module.conv_1.0.weight": (FILTER, FEATURES, 1), "filter_module.conv_1.0.bias": (FILTER,),
          "filter_module.conv_2.0.weight": (1, FILTER, 1), "filter_module.conv_2.0.bias": (1,),
          "cas_module.conv_1.0.weight": (WIDTH, FEATURES, 3), "cas_module.conv_1.0.bias": (WIDTH,),
          "cas_module.conv_2.0.weight": (WIDTH, WIDTH, 3), "cas_module.conv_2.0.bias": (WIDTH,),
          "cas_module.conv_3.0.weight": (C + 1, WIDTH, 1)}
state = {name: single(0.4 * g.randn(*shape)) for name, shape in shapes.items()}
keep = [(g.rand(B, WIDTH, T) > 0.7).double() for _ in range(2)]


def network(p, masks=None):
    def conv(name, z):
        return F.conv1d(z, p[name + ".weight"], p.get(name + ".bias"), padding=p[name + ".weight"].shape[2] // 2)

    def cas(z, mask):
        h = F.leaky_relu(conv("cas_module.conv_1.0", z))
        h = F.leaky_relu(conv("cas_module.conv_2.0", h))
        return conv("cas_module.conv_3.0", h if mask is None else h * mask / 0.3)

    z = x.transpose(1, 2)
    w = torch.sigmoid(conv("filter_module.conv_2.0", F.leaky_relu(conv("filter_module.conv_1.0", z))))
    base, supp = cas(z, masks and masks[0]), cas(w * z, masks and masks[1])
    k = T // 8
    scores = [s.sort(dim=2, descending=True).values[:, :, :k].mean(2).softmax(1) for s in (base, supp)]
    return {"fore_weights": w.transpose(1, 2), "cas_base": base.transpose(1, 2), "cas_supp": supp.transpose(1, 2),
            "score_base": scores[0], "score_supp": scores[1]}


def losses(out, alpha):
    def target(b):
        y = torch.cat([label, torch.full((B, 1), float(b), dtype=torch.float64)], 1)
        return y / y.sum(1, keepdim=True)

    base, supp = F.binary_cross_entropy(out["score_base"], target(1)), F.binary_cross_entropy(out["score_supp"], target(0))
    norm = out["fore_weights"].sum((1, 2)).mean()
    return {"base": base, "supp": supp, "norm": norm, "total": base + supp + alpha * norm}


def leaves():
    return {k: v.clone().requires_grad_() for k, v in state.items()}


g.put("in.x", x.float())
g.put("in.label", label)
g.put("in.num_segments", np.int64(T))
g.put("in.alpha", np.float64(ALPHA))
for name, value in state.items():
    g.put("state." + name, value.float())
p = leaves()
out = network(p)
for name, value in out.items():
    g.put("out." + name, value)
loss = losses(out, ALPHA)
for name, value in loss.items():
    g.put("loss." + name, value)
loss["total"].backward()
for name, value in p.items():
    g.put("grad." + name, value.grad)
p = leaves()
total = losses(network(p), 1.0)["total"]
total.backward()
g.put("loss_alpha1.total", total)
g.put("grad_alpha1.filter_module.conv_2.0.weight", p["filter_module.conv_2.0.weight"].grad)
p = leaves()
out = network(p, keep)
total = losses(out, ALPHA)["total"]
total.backward()
for i in range(2):
    g.put(f"drop.keep.cas_module.drop_out.{i}", keep[i].byte())
g.put("drop.loss.total", total)
for name in ("cas_base", "cas_supp"):
    g.put("drop.out." + name, out[name])
for name in ("cas_module.conv_3.0.weight", "filter_module.conv_1.0.bias"):
    g.put("drop.grad." + name, p[name].grad)
p = leaves()
adam = torch.optim.Adam(list(p.values()), lr=1e-4, weight_decay=5e-4)
trajectory = []
for _ in range(8):
    adam.zero_grad()
    total = losses(network(p), ALPHA)["total"]
    trajectory.append(total.item())
    total.backward()
    adam.step()
g.put("traj.total", np.array(trajectory))

# The clamped cross-entropy, where a softmax saturates; the gradient has its 1e-12 as a float32.
probability = np.array([0.0, 1e-50, 1e-13, 0.3, 1.0, 1.0, 0.5])
target = np.array([0.5, 0.0, 0.25, 1.0, 1.0, 0.25, 0.5])
with np.errstate(divide="ignore"):
    value = -(target * np.maximum(np.log(probability), -100) + (1 - target) * np.maximum(np.log1p(-probability), -100)).mean()
q = torch.tensor(probability, requires_grad=True)
F.binary_cross_entropy(q, torch.tensor(target)).backward()
clamp = float(np.float32(1e-12))
gradient = (probability - target) / np.maximum(probability * (1 - probability), clamp) / len(target)
assert np.allclose(gradient, q.grad.numpy(), rtol=1e-7)
for name, array in (("p", probability), ("y", target), ("loss", np.float64(value)), ("grad", gradient)):
    g.put("bce." + name, array)

for wanted, n in ((17, 17), (17, 5), (17, 60), (100, 333)):
    starts = [math.floor(i * n / wanted) for i in range(wanted)]
    ends = [a if n == wanted else max(a, b) for a, b in zip(starts, starts[1:] + [n - 1])]
    g.put(f"sample.random_lo.{wanted}_{n}", np.array(starts, np.int16))
    g.put(f"sample.random_hi.{wanted}_{n}", np.array(ends, np.int16))
    g.put(f"sample.uniform.{wanted}_{n}", np.array(starts, np.int16))


def detections(cas, score, n, thresholds):
    length = len(cas)
    chosen = [c for c in range(C) if score[c] >= 0.25]
    if not any(chosen):
        return np.zeros((0, 4))
    found = []
    unit = 16 * n / (24 * length * 25)
    for c in chosen:
        s = cas[:, c]
        high, low = max(0.0, s.max()), max(0.0, s.min())
        s = (s - low) / (high - low if high > low else 1.0)
        curve = []
        for j in range(24 * length):
            at = min(j // 24, length - 2)
            curve.append(s[at] + (s[at + 1] - s[at]) * (j / 24 - at))
        curve = np.array(curve)
        proposals = []
        for theta in thresholds:
            m = np.where(curve < theta, 0, curve)
            selected = list(np.flatnonzero(m > 0))
            if selected == [0] or not selected:
                continue
            runs = [[selected[0], selected[0]]]
            for index in selected[1:]:
                if index == runs[-1][1] + 1:
                    runs[-1][1] = index
                else:
                    runs.append([index, index])
            for a, b in runs:
                size = b - a + 1
                left = max(0, int(a - 0.25 * size))
                right = min(len(m) - 1, int(b + 0.25 * size))
                outer = np.concatenate([m[left:a], m[b + 1:right + 1]])
                score_ = m[a:b + 1].mean() - (outer.mean() if len(outer) else 0) + 0.2
                proposals.append([c, score_, a * unit, (b + 1) * unit])
        proposals.sort(key=lambda d: -d[1])
        while proposals:
            best = proposals.pop(0)
            found.append(best)

            def overlap(d):
                inter = max(0, min(d[3], best[3]) - max(d[2], best[2]) + 1)
                return inter / ((d[3] - d[2] + 1) + (best[3] - best[2] + 1) - inter)
            proposals = [d for d in proposals if overlap(d) < 0.7]
    return np.array(found)


thresholds = np.arange(10) * 0.025
g.put("infer.act_thresh", thresholds)
for i, (score, n) in enumerate((([0.02, 0.4, 0.3, 0.28], 61), ([0.6, 0.1, 0.1, 0.2], 40), ([0.26, 0.1, 0.25, 0.39], 17))):
    cas = single(g.randn(T, C + 1)).numpy()
    det = detections(cas, np.array(score), n, thresholds)
    assert len(det) == 0 if i == 1 else len(det) > 3
    g.put(f"infer.{i}.cas_supp", cas.astype(np.float32))
    g.put(f"infer.{i}.score_supp", np.array(score))
    g.put(f"infer.{i}.v_len", np.int64(n))
    g.put(f"infer.{i}.det", det)
g.write()
