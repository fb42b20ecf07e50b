"""Pseudo-labels, losses and a training step of a tiny DCL in float64 → dcl.npz.

B = 3 videos of 17, 11 and 6 real frames (T = 17), C = 5 classes, D = 12. The PyTorch form is
benchmarks/peers/dcl_torch.py; L_kd and L_fb are also computed here by plain loops, straight from the
equations, and both must agree before anything is written.
"""
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

from golden_common import HERE, Golden

sys.path.insert(0, str(HERE.parent.parent / "benchmarks" / "peers"))
import dcl_torch as dcl  # noqa: E402

SEED = 2212
torch.manual_seed(SEED)
g = Golden("dcl", SEED, {
    "mask": "uint8 (B, T), 1 = real frame", "h": "int64, 1, 0, -1; padded frames are -1",
    "cls": "k = max(1, floor(T_valid / 8)); mean over videos",
    "kd.frames": "confident frames, all classes with h != -1, O = confident frames",
    "kd.entries": "every entry with h != -1, O = frames with at least one such entry",
    "kd.no_background": "as frames, but only the entries h = 1; O unchanged",
    "fb": "tau 0.07; features are L2-normalised inside; same_video restricts positives only",
    "all": "kd.frames (sigmoid) + 0.05 * fb.batch", "thresholds": "high 0.3, low 0.1, strict"})

B, T, C, D = 3, 17, 5, 12
lengths = [17, 11, 6]
valid = torch.arange(T)[None] < torch.tensor(lengths)[:, None]
y = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 1, 0]], dtype=torch.float64)

# Teacher probabilities: a third of the entries below 0.1, a third between, a third above 0.3.
p = g.rand(B, T, C)
kind = g.randint(3, B, T, C)
p = torch.where(kind == 0, 0.1 * p, torch.where(kind == 1, 0.1 + 0.2 * p, 0.3 + 0.7 * p))
h = dcl.pseudo_labels(p, y, valid)
fg, bg, conf = dcl.confident(h, y, valid)
assert fg.any(1).all() and bg.sum() > 4 and (conf & ~fg & bg).any() and (valid & ~conf).any()
for key, value in [("p", p), ("y", y), ("mask", valid), ("h", h.long()), ("foreground", fg),
                   ("background", bg), ("confident", conf)]:
    g.put(key, value)

logits = 2 * g.randn(B, T, C)
f = g.randn(B, T, D)
g.put("logits", logits)
g.put("f", f)


def value_and_gradient(key, fn, x, grad_name):
    x = x.clone().requires_grad_()
    value = fn(x)
    value.backward()
    assert (x.grad[~valid] == 0).all() and (x.grad != 0).any()
    g.put(f"{key}.value", value)
    g.put(f"{key}.{grad_name}", x.grad)
    return value.item()


# Warm-up.
g.put("topk_mean", dcl.topk_mean(logits, valid))
for reading in ("sigmoid", "softmax"):
    value_and_gradient(f"cls.{reading}", lambda x: dcl.loss_cls(x, y, valid, reading), logits,
                       "d_logits")


# Knowledge distillation, and the same by loops.
def kd_loops(prob, every_entry, background):
    total, frames = 0.0, 0
    for b in range(B):
        for t in range(lengths[b]):
            row, label = h[b, t].tolist(), y[b].tolist()
            some = 1 in row
            decided = all(v != -1 for v, l in zip(row, label) if l)
            if not (any(v != -1 for v in row) if every_entry else (some or decided)):
                continue
            frames += 1
            for c in range(C):
                q = prob[b, t, c].item()
                if row[c] == 1:
                    total += -math.log(q)
                elif row[c] == 0 and background:
                    total += -math.log(1 - q)
    return total / frames


for reading in ("sigmoid", "softmax"):
    prob = dcl.frame_probabilities(logits, reading)
    for name, every, back in [("frames", 0, 1), ("entries", 1, 1), ("no_background", 0, 0)]:
        v = value_and_gradient(f"kd.{reading}.{name}", lambda x: dcl.loss_kd(
            h, dcl.frame_probabilities(x, reading), y, valid, bool(every), bool(back)), logits,
            "d_logits")
        assert abs(v - kd_loops(prob, every, back)) < 1e-12


# Foreground-background contrast, and the same by loops.
def fb_loops(x, same_video):
    x = (x / x.norm(dim=-1, keepdim=True)).numpy()
    frames = [(b, t) for b in range(B) for t in range(lengths[b])]
    def positive(i, j):
        shared = any(h[i][c] == 1 and h[j][c] == 1 for c in range(C))
        return i != j and shared and (not same_video or i[0] == j[0])
    terms = []
    for i in frames:
        if not fg[i]:
            continue
        e = lambda j: math.exp(float(np.dot(x[i], x[j])) / 0.07)
        up = sum(e(j) for j in frames if positive(i, j))
        down = sum(e(j) for j in frames if bg[j])
        if up:
            terms.append(-math.log(up / (up + down)))
    return sum(terms) / len(terms), len(terms)


for name, same in [("batch", False), ("same_video", True)]:
    v = value_and_gradient(f"fb.{name}", lambda x: dcl.loss_fb(
        F.normalize(x, dim=-1), h, y, valid, same_video=same), f, "d_f")
    loops, anchors = fb_loops(f, same)
    assert abs(v - loops) < 1e-12
    g.put(f"fb.{name}.anchors", np.int64(anchors))

x, z = logits.clone().requires_grad_(), f.clone().requires_grad_()
total, kd, fb = dcl.loss_all(h, x, F.normalize(z, dim=-1), y, valid)
total.backward()
for key, value in [("value", total), ("d_logits", x.grad), ("d_f", z.grad)]:
    g.put(f"all.{key}", value)


# One F and one B step through tiny branches (no positions in CBP; f_txt given in VLP).
def branch(name, module, x, run):
    with torch.no_grad():
        for q in module.parameters():
            q += 0.1 * g.randn(*q.shape)
    g.put(f"{name}.x", x)
    for key, q in module.state_dict().items():
        g.put(f"{name}.state.{key}", q)
    features, s = run(x)
    g.put(f"{name}.features", features * valid[:, :, None])
    g.put(f"{name}.logits", s * valid[:, :, None])
    loss = dcl.loss_all(h, s, F.normalize(features, dim=-1), y, valid)[0]
    g.put(f"{name}.loss", loss)
    loss.backward()
    for key, q in module.named_parameters():
        assert (q.grad != 0).any(), key
        g.put(f"{name}.grad.{key}", q.grad)


cbp = dcl.CBPBranch(C, d_in=6, width=8, layers=1, heads=2)
branch("cbp", cbp, g.randn(B, T, 6) * valid[:, :, None], lambda x: cbp(x, valid))
temporal = dcl.TemporalTransformer(width=8, layers=1, heads=2, max_len=T)
f_txt = F.normalize(g.randn(C, 8), dim=-1)
g.put("vlp.f_txt", f_txt)


def vlp(x):
    features = F.normalize(temporal(x, valid), dim=-1)
    return features, features @ f_txt.T / 0.07


branch("vlp", temporal, g.randn(B, T, 8) * valid[:, :, None], vlp)
g.write()
