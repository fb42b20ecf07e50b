"""Boosting-WTAL's TSM with the numbers of its code for ActivityNet-1.3, in float64 → boosting_activitynet.npz: a PyTorch form
written from the description of the method (docs/method.md). There is no recorded run of the public code for it.

Small: 2048 → 12, 1024 → 6, 512 → 5, 8192 → 14, 300 → 5, C 3, n_p 2, 3 words a class, B 6, T 11, window 5. Dropout off.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F

from golden_common import Golden

SEED = 1303
g = Golden("boosting_activitynet", SEED, {"MHA.key.bias": "its gradient is 0 in exact arithmetic"})
B, T, S, H, MLP, W, C, NP, WORDS, HEADS, WINDOW = 6, 11, 6, 5, 14, 5, 3, 2, 3, 2, 5


def single(x):
    """Rounded to float32, which the file stores for states and inputs."""
    return x.float().double()


x = single(g.randn(B, T, 2 * S))
label = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 1]], dtype=torch.float64)
words = single(g.randn(C, WORDS, W))
words[0, 1:] = 0  # a name of one word
vlc = single(g.rand(B, T))
layers = {}
for m in ("vAttn", "fAttn"):
    layers |= {f"{m}.AE_e.0": (S, S, 3), f"{m}.AE_d.0": (S, S, 3), f"{m}.bit_wise_attn.0": (S, S, 3), f"{m}.channel_conv.0": (S, S, 3),
               f"{m}.attention.0": (H, S, 3), f"{m}.attention.3": (H, H, 3), f"{m}.attention.5": (1, H, 1)}
layers |= {"fusion.0": (2 * S, 2 * S, 1), "fusion2.0": (2 * S, 2 * S, 3), "txt_emb.0": (2 * S, W, 1), "mlp.0": (MLP, 2 * S, 1),
           "mlp.3": (2 * S, MLP, 1)} | {f"MHA.{n}": (2 * S, 2 * S, 1) for n in ("key", "query", "value", "proj")}
state = {}
for name, shape in layers.items():
    state[name + ".weight"] = single(0.4 * g.randn(*shape))
    state[name + ".bias"] = single(0.3 * g.randn(shape[0]))
for name, shape in {"weight": (C + 1, W, NP), "b_enc": (1, WORDS, W), "add_weight": (C + 1, 2 * S, NP + WORDS),
                    "drop_path_attn.scale": (1, 2 * S, 1), "drop_path_mlp.scale": (1, 2 * S, 1)}.items():
    state[name] = single(0.4 * g.randn(*shape))
p = {k: v.clone().requires_grad_() for k, v in state.items()}


def conv(name, z):
    w = p[name + ".weight"]
    return F.conv1d(z, w, p[name + ".bias"], padding=w.shape[2] // 2)


def lrelu(z):
    return F.leaky_relu(z, 0.2)


def module(m, main, aux):
    """a, r, what was decoded, and the gated stream that it was to be."""
    e = lrelu(conv(m + ".AE_e.0", aux))
    d = lrelu(conv(m + ".AE_d.0", e))
    glob = lrelu(conv(m + ".channel_conv.0", main.mean(2, keepdim=True)))
    gated = torch.sigmoid(glob) * main
    local = lrelu(conv(m + ".bit_wise_attn.0", e))
    cosine = ((glob / glob.norm(dim=1, keepdim=True)) * (local / local.norm(dim=1, keepdim=True))).sum(1, keepdim=True)
    r = torch.sigmoid(local * cosine) * gated
    h = lrelu(conv(m + ".attention.3", lrelu(conv(m + ".attention.0", r))))
    return torch.sigmoid(conv(m + ".attention.5", h)), r, d, gated


def pool(z):
    return F.avg_pool1d(z, WINDOW, 1, WINDOW // 2, count_include_pad=True)


z = x.transpose(1, 2)
a_v, r_v, d_v, m_v = module("vAttn", z[:, :S], z[:, S:])
a_f, r_f, d_f, m_f = module("fAttn", z[:, S:], z[:, :S])
h0 = lrelu(conv("fusion.0", torch.cat([r_v, r_f], 1)))
h1 = lrelu(conv("fusion2.0", h0))
half = S
omega = torch.exp(-torch.arange(half, dtype=torch.float64) * (math.log(10000) / (half - 1)))
angle = torch.arange(NP + WORDS, dtype=torch.float64).unsqueeze(1) * omega
pos = torch.cat([angle.sin(), angle.cos()], 1)
pos[0] = 0
names = torch.cat([words, p["b_enc"]]).transpose(1, 2)
tokens = lrelu(conv("txt_emb.0", torch.cat([p["weight"], names], 2))) + p["add_weight"] + pos.T / math.sqrt(2 * S)


def heads(name):
    return conv("MHA." + name, tokens).view(C + 1, HEADS, 2 * S // HEADS, NP + WORDS).transpose(2, 3)


mixed = F.scaled_dot_product_attention(heads("query"), heads("key"), heads("value")).transpose(2, 3).reshape(tokens.shape)
tokens = tokens + p["drop_path_attn.scale"] * conv("MHA.proj", mixed)
tokens = tokens + p["drop_path_mlp.scale"] * conv("mlp.3", F.gelu(conv("mlp.0", tokens)))
cas = pool(torch.einsum("bdt,cd->bct", h1, tokens[:, :, 0])).transpose(1, 2)
attention = {"attn": pool((a_v + a_f) / 2), "v_atn": pool(a_v), "f_atn": pool(a_f)}
attention = {k: v.transpose(1, 2) for k, v in attention.items()}
feat = h0.transpose(1, 2)
mu = cas.min(2, keepdim=True).values
supp = attention["attn"] * (cas - mu) + mu


def mil(s, background):
    y = torch.cat([label, torch.full((B, 1), float(background))], 1)
    y = y / (y.sum(1, keepdim=True) + 1e-4)
    return -(y * s.sort(dim=1, descending=True).values[:, :max(1, T // 5)].mean(1).log_softmax(1)).sum(1)


total, count = 0, 0
for u in (0, 2, 4):
    high, low = [], []
    for b in (u, u + 1):
        a = supp[b].softmax(0)
        high.append(feat[b].T @ a)
        low.append(feat[b].T @ (1 - a) / (T - 1))

    def d(q, r):
        return 1 - (q * r).sum(0) / (q.norm(dim=0) * r.norm(dim=0))
    y = torch.cat([label[u] * label[u + 1], torch.zeros(1)])
    d1, d2, d3 = d(high[0], high[1]), d(high[0], low[1]), d(high[1], low[0])
    total = total + 0.5 * (y * (F.relu(d1 - d2 + 0.5) + F.relu(d1 - d3 + 0.5))).sum()
    count += y.sum()
background = cas.softmax(2)[..., -1:]
rest = sum(a.mean() + (1 - a - background).abs().mean() for a in attention.values())
loss = {"contrastive": total / count, "ae": F.mse_loss(d_v, m_v) + F.mse_loss(d_f, m_f),
        "mutual": 0.25 * F.mse_loss(attention["attn"][..., 0], vlc)}
loss["criterion"] = mil(cas, 1).mean() + mil(supp, 0).mean() + loss["contrastive"] + 0.8 * rest / 3
loss["total"] = loss["criterion"] + 0.15 * loss["ae"] + loss["mutual"]
loss["total"].backward()

for name, value in (("x", x.float()), ("label", label), ("words", words), ("vlc", vlc), ("n_pro", np.int64(NP)), ("heads", np.int64(HEADS)),
                    ("window", np.int64(WINDOW))):
    g.put("in." + name, value)
for name, value in state.items():
    g.put("state." + name, value.float())
for name, value in (attention | {"feat": feat, "cas": cas, "n_rfeat": d_v.transpose(1, 2), "n_ffeat": d_f.transpose(1, 2),
                                 "o_rfeat": m_v.transpose(1, 2), "o_ffeat": m_f.transpose(1, 2)}).items():
    g.put("out." + name, value)
for name, value in loss.items():
    g.put("loss." + name, value)
for name, value in p.items():
    if name != "MHA.key.bias":
        g.put("grad." + name, value.grad)
g.write()
