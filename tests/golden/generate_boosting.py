"""Boosting-WTAL in float64 → boosting_tsm.npz and boosting_vlc.npz: a PyTorch form written from the description of the method
(docs/method.md), with the same keys as the golden files that its public code made (test data, rivals/boosting_*.npz).

Small: 2048 → 16, 1024 → 8, 512 → 5 and 4, 8192 → 12, 300 → 6, V 11, C 3, n_p 2, n 5, B 6, T 9. All dropout and stochastic
depth off. Frames of a video end early in the two passes of VLC, not in the six iterations.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F

from golden_common import Golden

SEED = 2305
NOTES = {"MHA.key.bias": "its gradient is 0 in exact arithmetic", "vlc.iter": "6 iterations, warm-up 3"}
tsm_file, vlc_file = Golden("boosting_tsm", SEED, NOTES), Golden("boosting_vlc", SEED, NOTES)
tsm_file.provenance["generator"] = vlc_file.provenance["generator"] = "tests/golden/generate_boosting.py"
g = tsm_file
B, T, S, H, E, MLP, W, V, C, NP, N, D, HEADS, FFN = 6, 9, 8, 5, 4, 12, 6, 11, 3, 2, 5, 8, 4, 16


def single(x):
    """Rounded to float32, which the files store for states and inputs."""
    return x.float().double()


x = single(g.randn(B, T, 2 * S))
label = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 1]], dtype=torch.float64)
glove = single(g.randn(C, 2, W))
lengths = [3, 5, 4, 2, 5, 3]
words, ids, weights = torch.zeros(B, N + 1, W), torch.zeros(B, N, dtype=torch.long), torch.zeros(B, N)
for b, length in enumerate(lengths):
    words[b, 1:length + 1] = single(g.randn(length, W))
    ids[b, :length] = 1 + g.randint(V - 1, length)
    weights[b, :length] = 1
frames = [9, 9, 6, 9, 4, 9]


def tensors(shapes, biased):
    out = {}
    for name, shape in shapes.items():
        if name in biased:
            out[name + ".weight"] = single(0.4 * g.randn(*shape))
            out[name + ".bias"] = single(0.3 * g.randn(shape[0]))
        else:
            out[name] = single(0.4 * g.randn(*shape))
    return out


modules = {}
for m in ("vAttn", "fAttn"):
    modules |= {f"{m}.AE_e.0": (E, S, 3), f"{m}.AE_d.0": (S, E, 3), f"{m}.bit_wise_attn.0": (S, E, 3),
                f"{m}.channel_conv.0": (S, S, 3), f"{m}.attention.0": (H, S, 3), f"{m}.attention.3": (H, H, 3),
                f"{m}.attention.5": (1, H, 1)}
layers = modules | {"fusion.0": (2 * S, 2 * S, 3), "fusion2.0": (2 * S, 2 * S, 3), "txt_emb.0": (2 * S, W, 1), "mlp.0": (MLP, 2 * S, 1),
                    "mlp.3": (2 * S, MLP, 1)} | {f"MHA.{n}": (2 * S, 2 * S, 1) for n in ("key", "query", "value", "proj")}
tsm_state = tensors(layers | {"weight": (C + 1, W, NP), "b_enc": (1, 2, W), "add_weight": (C + 1, 2 * S, NP + 2),
                              "drop_path_attn.scale": (1, 2 * S, 1), "drop_path_mlp.scale": (1, 2 * S, 1)}, layers)
layers = modules | {"frame_fc": (D, 2 * S), "word_fc": (D, W), "fc_rec": (V, D)}
plain = {"mask_vec": (W,), "start_vec": (W,)}
for decoder in (1, 2):
    for i in range(3):
        at = f"trans.decoder{decoder}.decoder_layers.{i}."
        for part in ("self_attn", "encoder_attn"):
            plain |= {f"{at}{part}.in_proj_weight": (3 * D, D), f"{at}{part}.in_proj_bias": (3 * D,)}
            layers |= {f"{at}{part}.out_proj": (D, D), f"{at}{part}_layer_norm": (D,)}
        layers |= {f"{at}fc1": (FFN, D), f"{at}fc2": (D, FFN), f"{at}final_layer_norm": (D,)}
vlc_state = tensors(layers | plain, layers)


def module(p, m, main, aux):
    """A; everything (B, channel, T)."""
    def conv(name, z):
        w = p[f"{m}.{name}.weight"]
        return F.conv1d(z, w, p[f"{m}.{name}.bias"], padding=w.shape[2] // 2)

    def lrelu(z):
        return F.leaky_relu(z, 0.2)
    e = lrelu(conv("AE_e.0", aux))
    d = lrelu(conv("AE_d.0", e))
    glob = lrelu(conv("channel_conv.0", main.mean(2, keepdim=True)))
    local = lrelu(conv("bit_wise_attn.0", e))
    cosine = (local * glob).sum(1, keepdim=True) / (local.norm(dim=1, keepdim=True) * glob.norm(dim=1, keepdim=True))
    r = torch.sigmoid(local * cosine) * main
    a = torch.sigmoid(conv("attention.5", lrelu(conv("attention.3", lrelu(conv("attention.0", r))))))
    return a, r, d


def both(p):
    z = x.transpose(1, 2)
    rgb, flow = z[:, :S], z[:, S:]
    a_v, r_v, d_v = module(p, "vAttn", rgb, flow)
    a_f, r_f, d_f = module(p, "fAttn", flow, rgb)
    return a_v, a_f, torch.cat([r_v, r_f], 1), d_v.transpose(1, 2), d_f.transpose(1, 2)


def autoencoder(d_v, d_f):
    return F.mse_loss(d_v, x[..., :S]) + F.mse_loss(d_f, x[..., S:])


def positions(rows, width):
    half = width // 2
    omega = torch.exp(-torch.arange(half, dtype=torch.float64) * (math.log(10000) / (half - 1)))
    angle = torch.arange(rows, dtype=torch.float64).unsqueeze(1) * omega
    out = torch.cat([angle.sin(), angle.cos()], 1)
    out[0] = 0
    return out


def tsm(p):
    def conv(name, z):
        w = p[name + ".weight"]
        return F.conv1d(z, w, p[name + ".bias"], padding=w.shape[2] // 2)
    a_v, a_f, r, d_v, d_f = both(p)
    h0 = F.leaky_relu(conv("fusion.0", r), 0.2)
    h1 = F.leaky_relu(conv("fusion2.0", h0), 0.2)
    names = torch.cat([glove, p["b_enc"]]).transpose(1, 2)
    pos = positions(NP + 2, 2 * S)
    tokens0 = F.leaky_relu(conv("txt_emb.0", torch.cat([p["weight"], names], 2)), 0.2) + p["add_weight"] + pos.T

    def heads(z):
        return z.view(C + 1, 8, 2 * S // 8, NP + 2)
    q, k, v = (heads(conv(f"MHA.{n}", tokens0)) for n in ("query", "key", "value"))
    weight = (torch.einsum("bhdi,bhdj->bhij", q, k) / math.sqrt(2 * S // 8)).softmax(-1)
    mixed = torch.einsum("bhij,bhdj->bhdi", weight, v).reshape(C + 1, 2 * S, NP + 2)
    tokens1 = tokens0 + p["drop_path_attn.scale"] * conv("MHA.proj", mixed)
    after = tokens1 + p["drop_path_mlp.scale"] * conv("mlp.3", F.gelu(conv("mlp.0", tokens1)))
    text = after[:, :, 0]
    a = (a_v + a_f) / 2
    return {"feat": h0.transpose(1, 2), "feat_final": h1.transpose(1, 2), "cas": h1.transpose(1, 2) @ text.T,
            "attn": a.transpose(1, 2), "v_atn": a_v.transpose(1, 2), "f_atn": a_f.transpose(1, 2), "n_rfeat": d_v, "o_rfeat": x[..., :S],
            "n_ffeat": d_f, "o_ffeat": x[..., S:], "pos": pos, "tokens0": tokens0, "tokens1": tokens1, "text": text}


def tsm_losses(out, g_vlc):
    cas, attn = out["cas"], out["attn"]
    mu = cas.min(2, keepdim=True).values
    supp = attn * (cas - mu) + mu

    def mil(s, background):
        y = torch.cat([label, torch.full((B, 1), float(background))], 1)
        y = y / (y.sum(1, keepdim=True) + 1e-4)
        return -(y * s.sort(dim=1, descending=True).values[:, :max(1, T // 7)].mean(1).log_softmax(1)).sum(1)
    total, count = 0, 0
    for u in (0, 2, 4):
        high, low = [], []
        for b in (u, u + 1):
            a = supp[b].softmax(0)
            high.append(out["feat"][b].T @ a)
            low.append(out["feat"][b].T @ (1 - a) / (T - 1))

        def d(p, q):
            return 1 - (p * q).sum(0) / (p.norm(dim=0) * q.norm(dim=0))
        y = torch.cat([label[u] * label[u + 1], torch.zeros(1)])
        d1, d2, d3 = d(high[0], high[1]), d(high[0], low[1]), d(high[1], low[0])
        total = total + 0.5 * (y * (F.relu(d1 - d2 + 0.5) + F.relu(d1 - d3 + 0.5))).sum()
        count += y.sum()
    loss = {"mil_orig_per_video": mil(cas, 1), "mil_supp_per_video": mil(supp, 0), "contrastive": total / count,
            "ae": autoencoder(out["n_rfeat"], out["n_ffeat"]), "mutual": 1.5 * F.mse_loss(attn[..., 0], g_vlc.detach())}
    background = cas.softmax(2)[..., -1:]
    rest = sum(out[k].mean() + (1 - out[k] - background).abs().mean() for k in ("attn", "v_atn", "f_atn"))
    loss["criterion"] = loss["mil_orig_per_video"].mean() + loss["mil_supp_per_video"].mean() + loss["contrastive"] + 0.8 * rest / 3
    loss["total"] = loss["criterion"] + 1.5 * loss["ae"] + loss["mutual"]
    return supp, loss


def attention(p, name, q, source, keep, causal, weight):
    """keep (B, T_k) 1 where a key may be seen; weight (B, T_k) or None. Also the mean weights of the heads."""
    w, b = p[name + ".in_proj_weight"], p[name + ".in_proj_bias"]

    def part(z, i):
        return F.linear(z, w[i * D:(i + 1) * D], b[i * D:(i + 1) * D]).view(B, z.shape[1], HEADS, D // HEADS).transpose(1, 2)
    scores = part(q, 0) * (D // HEADS)**-0.5 @ part(source, 1).transpose(2, 3)
    scores = scores.masked_fill(keep.view(B, 1, 1, -1) == 0, -1e30)
    if causal:
        scores = scores.masked_fill(torch.ones(q.shape[1], q.shape[1]).triu(1) == 1, float("-inf"))
    a = scores.softmax(-1)
    if weight is not None:
        a = a * (weight.view(B, 1, 1, -1) + 1e-10)
        a = a / a.sum(-1, keepdim=True)
    mixed = (a @ part(source, 2)).transpose(1, 2).reshape(B, q.shape[1], D)
    return F.linear(mixed, p[name + ".out_proj.weight"], p[name + ".out_proj.bias"]), a.mean(1)


def vlc(p, valid):
    a_v, a_f, r, d_v, d_f = both(p)
    weight = ((a_v + a_f) / 2)[:, 0]
    v = F.linear(r.transpose(1, 2), p["frame_fc.weight"], p["frame_fc.bias"])
    sentence = torch.cat([p["start_vec"].expand(B, 1, W), words[:, 1:]], 1)
    w = F.linear(sentence, p["word_fc.weight"], p["word_fc.bias"])[:, :N]
    counted = torch.tensor([[j < min(length + 1, N) for j in range(N)] for length in lengths]).double()

    def norm(name, z):
        return F.layer_norm(z, (D,), p[name + ".weight"], p[name + ".bias"])

    def run(by):
        h, s, seen = v, w, None
        for decoder in (1, 2):
            for i in range(3):
                at = f"trans.decoder{decoder}.decoder_layers.{i}."
                if decoder == 1:
                    h = norm(at + "self_attn_layer_norm", h + attention(p, at + "self_attn", h, h, valid, True, by)[0])
                    h = norm(at + "final_layer_norm", h + F.linear(F.relu(F.linear(h, p[at + "fc1.weight"], p[at + "fc1.bias"])),
                                                                  p[at + "fc2.weight"], p[at + "fc2.bias"]))
                    continue
                s = norm(at + "self_attn_layer_norm", s + attention(p, at + "self_attn", s, s, counted, True, None)[0])
                asked, seen = attention(p, at + "encoder_attn", s, h, valid, False, by)
                s = norm(at + "encoder_attn_layer_norm", s + asked)
                s = norm(at + "final_layer_norm", s + F.linear(F.relu(F.linear(s, p[at + "fc1.weight"], p[at + "fc1.bias"])),
                                                              p[at + "fc2.weight"], p[at + "fc2.bias"]))
        return F.linear(s, p["fc_rec.weight"], p["fc_rec.bias"]), seen

    positive, seen = run(weight)
    return {"words_logit": positive, "easy_neg_words_logit": run(1 - weight)[0], "hard_neg_words_logit": run(None)[0],
            "gauss_weight": weight, "words_mask": counted, "n_rfeat": d_v, "n_ffeat": d_f, "attn_weight": seen}


def nll(logits, counted):
    lp = logits.log_softmax(-1)
    told = -0.9 * lp.gather(2, ids.unsqueeze(2))[..., 0] - 0.1 / V * lp.sum(-1)
    return (told * counted).sum(1) / counted.sum(1)


def language_loss(out):
    pos, hard = nll(out["words_logit"], out["words_mask"]), nll(out["hard_neg_words_logit"], out["words_mask"])
    return {"rec": pos.mean() + hard.mean(), "nll_pos": pos.mean(), "nll_hardneg": hard.mean()}


def attention_loss(out, a):
    pos, hard, easy = (nll(out[k + "words_logit"], out["words_mask"]) for k in ("", "hard_neg_", "easy_neg_"))
    loss = {"hard": F.relu(pos - hard + 0.1).mean(), "easy": F.relu(pos - easy + 0.15).mean()}
    loss["ivc"] = loss["hard"] + loss["easy"]
    loss["ae"] = autoencoder(out["n_rfeat"], out["n_ffeat"])
    loss["mutual"] = 1.5 * F.mse_loss(out["gauss_weight"], a.detach())
    loss["total"] = loss["ivc"] + 1.5 * loss["ae"] + loss["mutual"]
    return loss


def leaves(state):
    return {k: v.clone().requires_grad_() for k, v in state.items()}


def gradients(p):
    return {k: v.grad.clone() for k, v in p.items() if v.grad is not None}


for file in (tsm_file, vlc_file):
    for name, value in (("x", x.float()), ("label", label), ("glove", glove), ("words_feat", words), ("words_id", ids),
                        ("words_weights", weights), ("words_len", np.array(lengths, np.int32)), ("frames_len", np.array(frames, np.int32)),
                        ("n_pro", np.int64(NP)), ("n_pro2", np.int64(NP + 2))):
        file.put("in." + name, value)
all_valid = torch.ones(B, T)
valid = torch.tensor([[t < n for t in range(T)] for n in frames]).double()

p = leaves(tsm_state)
out = tsm(p)
g_vlc = vlc(vlc_state, all_valid)["gauss_weight"]
supp, loss = tsm_losses(out, g_vlc)
for name, value in tsm_state.items():
    tsm_file.put("tsm.state." + name, value.float())
for name, value in (out | {"cas_supp": supp}).items():
    tsm_file.put("tsm.out." + name, value)
tsm_file.put("vlc.out.gauss_weight", g_vlc)
for name, value in loss.items():
    tsm_file.put("tsm.loss." + name, value)
loss["total"].backward()
for name, value in gradients(p).items():
    tsm_file.put("tsm.grad." + name, value)

for name, value in vlc_state.items():
    vlc_file.put("vlc.state." + name, value.float())
language = [n for n in vlc_state if "Attn" not in n]


def frozen(p, names):
    return {k: v.detach() if k in names else v for k, v in p.items()}


p = leaves(vlc_state)
out = vlc(frozen(p, set(vlc_state) - set(language)), valid)
for name, value in out.items():
    vlc_file.put("vlc.out." + name, value)
loss = language_loss(out)
loss["rec"].backward()
for name, value in loss.items():
    vlc_file.put("vlc.step1.loss." + name, value)
for name, value in gradients(p).items():
    vlc_file.put("vlc.step1.grad." + name, value)
vlc_file.put("vlc.step1.grad_norm_before_clip10", torch.sqrt(sum((v**2).sum() for v in gradients(p).values())))
p = leaves(vlc_state)
a = tsm(tsm_state)["attn"]
vlc_file.put("tsm.out.attn", a)
loss = attention_loss(vlc(frozen(p, language), valid), a[..., 0])
loss["total"].backward()
for name, value in loss.items():
    vlc_file.put("vlc.step2.loss." + name, value)
for name, value in gradients(p).items():
    vlc_file.put("vlc.step2.grad." + name, value)


def rate(i, warmup):
    return 1e-7 + i * (4e-4 - 1e-7) / warmup if i < warmup else 4e-4 * math.sqrt(warmup / i)


updates = [0, 1, 200, 399, 400, 401, 1600, 7000]
vlc_file.put("vlc.lr_schedule.updates", np.array(updates))
vlc_file.put("vlc.lr_schedule.lr", np.array([rate(i, 400) for i in updates]))


class PlainAdam:
    """ε is added to √v before the bias correction."""

    def __init__(self, tensors):
        self.tensors, self.m, self.v, self.t = tensors, {}, {}, {}

    def step(self, lr):
        for k, p in self.tensors.items():
            if p.grad is None:
                continue
            t = self.t[k] = self.t.get(k, 0) + 1
            self.m[k] = 0.9 * self.m.get(k, 0) + 0.1 * p.grad
            self.v[k] = 0.999 * self.v.get(k, 0) + 0.001 * p.grad**2
            with torch.no_grad():
                p -= lr * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * self.m[k] / (self.v[k].sqrt() + 1e-8)


q = torch.tensor([1.0, -2.0, 0.5])
grads = torch.tensor([[1e-9, 0.3, -2.0], [2e-9, -0.1, 1.0], [-1e-9, 0.2, 0.5]])
vlc_file.put("vlc.adam.p0", q.clone())
adam, after = PlainAdam({"q": q}), []
for row in grads:
    q.grad = row.clone()
    adam.step(0.01)
    after.append(q.clone())
vlc_file.put("vlc.adam.grads", grads)
vlc_file.put("vlc.adam.lr", np.float64(0.01))
vlc_file.put("vlc.adam.p", torch.stack(after))

p_tsm, p_vlc = leaves(tsm_state), leaves(vlc_state)
tsm_adam = torch.optim.Adam(list(p_tsm.values()), lr=5e-5, weight_decay=1e-3)
attention_names = [n for n in vlc_state if n not in language]
halves = [PlainAdam({k: p_vlc[k] for k in names}) for names in (language, attention_names)]
totals, norms, lr = [], [], 1e-7
for i in range(6):
    out = tsm(p_tsm)
    seen = None
    pair = []
    for half, names, others in ((0, language, attention_names), (1, attention_names, language)):
        for k in names:
            p_vlc[k].grad = None
        of_vlc = vlc(frozen(p_vlc, others), all_valid)
        seen = of_vlc["gauss_weight"].detach() if half == 0 else seen
        (language_loss(of_vlc)["rec"] if half == 0 else attention_loss(of_vlc, out["attn"][..., 0])["total"]).backward()
        norm = torch.sqrt(sum((v**2).sum() for v in gradients(p_vlc).values())).item()
        pair.append(norm)
        factor = min(1.0, 10 / (norm + 1e-6))
        for v in p_vlc.values():
            if v.grad is not None:
                v.grad *= factor
        halves[half].step(lr)
    norms.append(pair)
    total = tsm_losses(out, seen)[1]["total"]
    totals.append(total.item())
    tsm_adam.zero_grad()
    total.backward()
    tsm_adam.step()
    lr = rate(i, 3)
vlc_file.put("vlc.iter.warmup_updates", np.int64(3))
vlc_file.put("vlc.iter.tsm_total", np.array(totals))
vlc_file.put("vlc.iter.clip_norms", np.array(norms))
for name in ("fc_rec.bias", "start_vec", "vAttn.AE_e.0.bias", "fAttn.attention.5.weight", "trans.decoder2.decoder_layers.2.fc2.bias"):
    vlc_file.put("vlc.iter.final." + name, p_vlc[name])
for name in ("b_enc", "fusion.0.bias", "vAttn.attention.5.weight"):
    vlc_file.put("vlc.iter.tsm_final." + name, p_tsm[name])
tsm_file.write()
vlc_file.write()
