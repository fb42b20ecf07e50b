"""UM in float64 → um.npz: a PyTorch form written from the description of the method (docs/method.md), with the same
keys as the golden file that its public code made (test data, rivals/um.npz).

Small: F 6, 2048 → 9, C 3, B 3, T 20 (2 action and 5 background frames).
"""
import numpy as np
import torch
import torch.nn.functional as F

from golden_common import Golden
from rivals_proposals import contrast, hard, min_max_zero, runs, stretch, suppressed

SEED = 2006
g = Golden("um", SEED, {"layout of drop.keep": "(B, channel, T)", "det": "class, score, start s, end s",
                        "traj": "loss before each of 8 steps of Adam with L2 decay, lr 1e-4, wd 5e-4"})
B, T, FEATURES, WIDTH, C = 3, 20, 6, 9, 3
ALPHA, BETA, MARGIN, K_ACT, K_BKG = 5e-4, 1.0, 100.0, T // 9, T // 4


def single(x):
    """Rounded to float32, which the file stores for states and inputs."""
    return x.float().double()


x = single(g.randn(B, T, FEATURES) * torch.tensor([60.0, 1.0, 5.0]).view(3, 1, 1))
label = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 1]], dtype=torch.float64)
state = {"cas_module.conv.0.weight": single(0.4 * g.randn(WIDTH, FEATURES, 3)),
         "cas_module.conv.0.bias": single(0.4 * g.randn(WIDTH)),
         "cas_module.classifier.0.weight": single(0.004 * g.randn(C, WIDTH, 1))}
keep = (g.rand(B, WIDTH, T) < 0.3).double()
select = (g.rand(B, T) < 0.6).double()  # enough frames with a key, so that no tie at 0 is chosen
select_drop = (g.rand(B, T) < 0.6).double()


def network(p, keep=None, s=None):
    f = F.relu(F.conv1d(x.transpose(1, 2), p["cas_module.conv.0.weight"], p["cas_module.conv.0.bias"], padding=1))
    cas = F.conv1d(f if keep is None else f * keep / 0.3, p["cas_module.classifier.0.weight"]).transpose(1, 2)
    f = f.transpose(1, 2)
    n = f.detach().norm(dim=2)
    s = torch.ones_like(n) if s is None else s / 0.3
    keys = (s * n, s * (n.max(1, keepdim=True).values - n))
    act, bkg = keys[0].topk(K_ACT, 1).indices, keys[1].topk(K_BKG, 1).indices
    for key, k in zip(keys, (K_ACT, K_BKG)):
        assert (key.topk(k, 1).values > 0).all()

    def rows(z, index):
        return torch.gather(z, 1, index.unsqueeze(2).expand(-1, -1, z.shape[2]))
    return {"score_act": cas.topk(K_ACT, 1).values.mean(1).softmax(1), "score_bkg": rows(cas, bkg).mean(1).softmax(1),
            "feat_act": rows(f, act), "feat_bkg": rows(f, bkg), "features": f, "cas_softmax": cas.softmax(2)}


def losses(out):
    cls = F.binary_cross_entropy(out["score_act"], label / label.sum(1, keepdim=True))
    be = F.binary_cross_entropy(out["score_bkg"], torch.full((B, C), 1 / C, dtype=torch.float64))
    um = ((F.relu(MARGIN - out["feat_act"].mean(1).norm(dim=1)) + out["feat_bkg"].mean(1).norm(dim=1))**2).mean()
    return {"cls": cls, "be": be, "um": um, "total": cls + BETA * be + ALPHA * um}


def leaves():
    return {k: v.clone().requires_grad_() for k, v in state.items()}


g.put("in.x", x.float())
g.put("in.label", label)
for name, value in (("alpha", ALPHA), ("beta", BETA), ("margin", MARGIN)):
    g.put("in." + name, np.float64(value))
g.put("in.r_act", np.int64(9))
g.put("in.r_bkg", np.int64(4))
for name, value in state.items():
    g.put("state." + name, value.float())
g.put("sel.in.select_mask", select / 0.3)
for prefix, s in (("", None), ("sel.", select)):
    p = leaves()
    out = network(p, None, s)
    loss = losses(out)
    for name, value in out.items():
        g.put(f"{prefix}out.{name}", value)
    for name, value in loss.items():
        g.put(f"{prefix}loss.{name}", value)
    loss["total"].backward()
    for name, value in p.items():
        g.put(f"{prefix}grad.{name}", value.grad)
assert out["feat_act"].mean(1).norm(dim=1)[0] > MARGIN  # the first video is above it
p = leaves()
out = network(p, keep, select_drop)
total = losses(out)["total"]
total.backward()
g.put("drop.keep.cas_module.drop_out.0", keep.byte())
g.put("drop.keep.drop_out.0", select_drop.byte())
g.put("drop.loss.total", total)
for name in ("cas_softmax", "feat_act", "feat_bkg"):
    g.put("drop.out." + name, out[name])
g.put("drop.grad.cas_module.conv.0.weight", p["cas_module.conv.0.weight"].grad)
p = leaves()
adam = torch.optim.Adam(list(p.values()), lr=1e-4, weight_decay=5e-4)
trajectory = []
for _ in range(8):
    adam.zero_grad()
    total = losses(network(p))["total"]
    trajectory.append(total.item())
    total.backward()
    adam.step()
g.put("traj.total", np.array(trajectory))

on_scores, on_magnitudes = np.arange(10) * 0.025, 0.4 + np.arange(9) * 0.025
g.put("infer.act_thresh_cas", on_scores)
g.put("infer.act_thresh_magnitudes", on_magnitudes)
for i, (length, n, score) in enumerate(((14, 37, [0.5, 0.3, 0.2]), (9, 9, [0.1, 0.15, 0.75]), (12, 60, [0.1, 0.1, 0.15]))):
    f = np.abs(g.randn(length, 4).numpy()) * np.linspace(0.2, 2, length)[:, None]
    cas = g.randn(length, C).softmax(1).numpy()
    norm = np.linalg.norm(f, axis=1)
    act, bkg = f[np.argsort(-norm)[:2]], f[np.argsort(norm)[:3]]
    hi, lo = np.linalg.norm(act, axis=1).mean(), np.linalg.norm(bkg, axis=1).mean()
    m = np.clip((norm - lo) / (hi - lo if hi > lo else 1), 0, 1)
    wide = stretch(m)
    det, unit = [], 16 * n / (24 * length * 25)
    for c in [c for c in range(C) if score[c] >= 0.2] or [int(np.argmax(score))]:
        a = stretch(np.clip(min_max_zero(cas[:, c] * m), 0, 1))
        proposals = []
        for theta in on_scores:
            zeroed = np.where(a < theta, 0, a)
            proposals += [[c, contrast(zeroed, s, e, score[c]), s * unit, (e + 1) * unit] for s, e in runs(zeroed > 0) if e > s]
        for theta in on_magnitudes:
            selected = (wide >= theta) & (wide > 0)
            proposals += [[c, contrast(a, s, e, score[c]), s * unit, (e + 1) * unit] for s, e in runs(selected) if e > s]
        det += suppressed(proposals, hard(0.6))
    assert len(det) > 2
    for name, value in (("score_act", np.array(score)), ("feat_act", act), ("feat_bkg", bkg), ("features", f),
                        ("cas_softmax", cas), ("v_len", np.int64(n)), ("det", np.array(det))):
        g.put(f"infer.{i}.{name}", value)
g.write()
