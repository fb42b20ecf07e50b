"""CO2-Net in float64 → co2.npz: a PyTorch form written from the description of the method (docs/method.md), with the
same keys as the golden file that its public code made (test data, rivals/co2.npz).

Small: 2048 → 12, 1024 → 6, 512 → 5, C 3, B 7, T 16 (k = 2).
"""
import numpy as np
import torch
import torch.nn.functional as F

from golden_common import Golden
from rivals_proposals import contrast, runs, soft, suppressed

SEED = 2107
g = Golden("co2", SEED, {"layout of drop.keep": "(B, channel, T)", "det": "class, score, start, end in rows",
                         "traj": "loss before each of 8 steps of Adam with L2 decay, lr 5e-5, wd 1e-3"})
B, T, S, H, C, PAIRS = 7, 16, 6, 5, 3, 3


def single(x):
    """Rounded to float32, which the file stores for states and inputs."""
    return x.float().double()


x = single(g.randn(B, T, 2 * S))
label = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 1], [1, 0, 0]], dtype=torch.float64)
shapes = {}
for m in ("vAttn", "fAttn"):
    shapes |= {f"{m}.bit_wise_attn.0": (S, S, 3), f"{m}.channel_conv.0": (S, S, 3), f"{m}.attention.0": (H, S, 3),
               f"{m}.attention.3": (H, H, 3), f"{m}.attention.5": (1, H, 1)}
shapes |= {"feat_encoder.0": (2 * S, 2 * S, 3), "fusion.0": (2 * S, 2 * S, 1), "classifier.1": (2 * S, 2 * S, 3),
           "classifier.4": (C + 1, 2 * S, 1)}
state = {}
for name, shape in shapes.items():
    state[name + ".weight"] = single(0.4 * g.randn(*shape))
    state[name + ".bias"] = single(0.4 * g.randn(shape[0]))
masks = {}
for m in ("vAttn", "fAttn"):
    masks |= {f"{m}.channel_conv.2": (B, S, 1), f"{m}.bit_wise_attn.2": (B, S, T), f"{m}.attention.2": (B, H, T),
              f"{m}.attention.6": (B, 1, T)}
masks |= {"fusion.2": (B, 2 * S, T), "classifier.0": (B, 2 * S, T), "classifier.3": (B, 2 * S, T)}
masks = {name: (g.rand(*shape) < (0.5 if "ttn" in name else 0.3)).double() for name, shape in masks.items()}


def network(p, keep=None):
    def conv(name, z):
        return F.conv1d(z, p[name + ".weight"], p[name + ".bias"], padding=p[name + ".weight"].shape[2] // 2)

    def drop(name, z):
        return z if keep is None else z * keep[name] / (0.5 if "ttn" in name else 0.3)

    def lrelu(z):
        return F.leaky_relu(z, 0.2)

    def module(m, main, aux):
        glob = drop(f"{m}.channel_conv.2", lrelu(conv(f"{m}.channel_conv.0", main.mean(2, keepdim=True))))
        local = drop(f"{m}.bit_wise_attn.2", lrelu(conv(f"{m}.bit_wise_attn.0", aux)))
        r = torch.sigmoid(local * glob) * main
        h = drop(f"{m}.attention.2", lrelu(conv(f"{m}.attention.0", r)))
        h = lrelu(conv(f"{m}.attention.3", h))
        return torch.sigmoid(drop(f"{m}.attention.6", conv(f"{m}.attention.5", h))), r

    z = x.transpose(1, 2)
    a_v, r_v = module("vAttn", z[:, :S], z[:, S:])
    a_f, r_f = module("fAttn", z[:, S:], z[:, :S])
    feat = drop("fusion.2", lrelu(conv("fusion.0", torch.cat([r_v, r_f], 1))))
    h = drop("classifier.3", lrelu(conv("classifier.1", drop("classifier.0", feat))))
    out = {"feat": feat, "cas": conv("classifier.4", h), "attn": (a_v + a_f) / 2, "v_atn": a_v, "f_atn": a_f,
           "vAttn.filter_feat": r_v, "vAttn.attn_raw": a_v, "fAttn.filter_feat": r_f, "fAttn.attn_raw": a_f}
    return {k: v.transpose(1, 2) for k, v in out.items()}


def pooled(out, window):
    """The mean over a window of frames, zeros beyond the ends counted."""
    def pool(z):
        return F.avg_pool1d(z.transpose(1, 2), window, 1, window // 2, count_include_pad=True).transpose(1, 2)
    return out | {k: pool(out[k]) for k in ("cas", "attn", "v_atn", "f_atn")}


def losses(out, divisor):
    cas, attn = out["cas"], out["attn"]
    mu = cas.min(2, keepdim=True).values
    supp = attn * (cas - mu) + mu

    def mil(s, background):
        y = torch.cat([label, torch.full((B, 1), float(background), dtype=torch.float64)], 1)
        y = y / (y.sum(1, keepdim=True) + 1e-4)
        top = s.sort(dim=1, descending=True).values[:, :max(1, T // divisor)].mean(1)
        return -(y * top.log_softmax(1)).sum(1)

    total, count = 0, 0
    for pair in range(PAIRS):
        u, v = 2 * pair, 2 * pair + 1
        high, low = [], []
        for b in (u, v):
            a = supp[b].softmax(0)
            high.append(out["feat"][b].T @ a)
            low.append(out["feat"][b].T @ (1 - a) / (T - 1))

        def d(p, q):
            return 1 - (p * q).sum(0) / (p.norm(dim=0) * q.norm(dim=0))
        both = torch.cat([label[u] * label[v], torch.zeros(1, dtype=torch.float64)])
        d1, d2, d3 = d(high[0], high[1]), d(high[0], low[1]), d(high[1], low[0])
        total = total + 0.5 * (both * (F.relu(d1 - d2 + 0.5) + F.relu(d1 - d3 + 0.5))).sum()
        count += both.sum()
    result = {"mil_orig_per_video": mil(cas, 1), "mil_supp_per_video": mil(supp, 0), "contrastive": total / count,
              "mutual": 0.5 * F.mse_loss(out["v_atn"], out["f_atn"].detach()) +
              0.5 * F.mse_loss(out["f_atn"], out["v_atn"].detach())}
    background = cas.softmax(2)[..., -1:]
    for prefix, key in (("", "attn"), ("v_", "v_atn"), ("f_", "f_atn")):
        result[prefix + "norm"] = out[key].mean()
        result[prefix + "guide"] = (1 - out[key] - background).abs().mean()
    result["total"] = (result["mil_orig_per_video"].mean() + result["mil_supp_per_video"].mean() + result["contrastive"] +
                       result["mutual"] + 0.8 * (result["norm"] + result["v_norm"] + result["f_norm"]) / 3 +
                       0.8 * (result["guide"] + result["v_guide"] + result["f_guide"]) / 3)
    return supp, result


def leaves():
    return {k: v.clone().requires_grad_() for k, v in state.items()}


g.put("in.x", x.float())
g.put("in.label", label)
for name, value in state.items():
    g.put("state." + name, value.float())
for prefix, divisor, window in (("", 7, 0), ("ant.", 5, 5)):
    for i, weight in enumerate((0.8, 0.8, 1, 1)):
        g.put(f"{prefix}in.alpha{i + 1}", np.float64(weight))
    g.put(prefix + "in.k", np.int64(divisor))
    if window:
        g.put(prefix + "in.pool_kernel", np.int64(window))

    def run(p, keep=None):
        out = network(p, keep)
        return pooled(out, window) if window else out

    p = leaves()
    out = run(p)
    supp, loss = losses(out, divisor)
    for name, value in out.items():
        g.put(f"{prefix}out.{name}", value)
    g.put(prefix + "out.cas_supp", supp)
    for name, value in loss.items():
        g.put(f"{prefix}loss.{name}", value)
    loss["total"].backward()
    for name, value in p.items():
        if value.grad is not None:
            g.put(f"{prefix}grad.{name}", value.grad)
    p = leaves()
    adam = torch.optim.Adam(list(p.values()), lr=5e-5, weight_decay=1e-3)
    trajectory = []
    for _ in range(8):
        adam.zero_grad()
        total = losses(run(p), divisor)[1]["total"]
        trajectory.append(total.item())
        total.backward()
        adam.step()
    g.put(prefix + "traj.total", np.array(trajectory))

p = leaves()
out = network(p, masks)
total = losses(out, 7)[1]["total"]
total.backward()
for name, value in masks.items():
    g.put(f"drop.keep.{name}.0", value.byte())
g.put("drop.loss.total", total)
for name in ("cas", "attn", "feat"):
    g.put("drop.out." + name, out[name])
for name in ("fusion.0.weight", "vAttn.attention.5.weight", "fAttn.channel_conv.0.weight"):
    g.put("drop.grad." + name, p[name].grad)

thresholds = np.linspace(0.1, 0.9, 10)
g.put("infer.act_thresh", thresholds)
for i, (length, scale) in enumerate(((33, 2.0), (12, 0.1), (7, 1.0))):
    cas, attn = scale * g.randn(length, C + 1).numpy(), g.rand(length).numpy()
    z = cas * attn[:, None]
    top = -np.sort(-z, 0)[:max(1, length // 10)].mean(0)
    q = (np.exp(top - top.max()) / np.exp(top - top.max()).sum())[:C]
    chosen = [c for c in range(C) if q[c] >= 0.2] or [int(q.argmax())]
    det = []
    for c in chosen:
        proposals = [[c, contrast(z[:, c], a, b, q[c]), a, b + 1] for theta in thresholds for a, b in runs(attn > theta)]
        det += suppressed(proposals, soft(0.3))
    assert len(det) > 5
    g.put(f"infer.{i}.cas", cas)
    g.put(f"infer.{i}.attn", attn)
    g.put(f"infer.{i}.video_score", q)
    g.put(f"infer.{i}.det", np.array(det))
g.write()
