"""The other methods in PyTorch, as their descriptions have them (docs/method.md, 10 and 11): functions of a dictionary of
parameters in the names of the public checkpoints, rows (B, channel, T) inside, as PyTorch's convolutions want them.

Sizes follow from the parameters. `Drop(False)` drops nothing. rival_peer.py times them and, with --check, compares them
with the golden files of the tests.
"""
import math

import torch
import torch.nn.functional as F


class Drop:
    """Dropout, on or off as a whole."""

    def __init__(self, on):
        self.on = on

    def __call__(self, z, p):
        return F.dropout(z, p) if self.on else z


def conv(p, name, z):
    w = p[name + ".weight"]
    return F.conv1d(z, w, p.get(name + ".bias"), padding=w.shape[2] // 2)


def lrelu(z, slope=0.2):
    return F.leaky_relu(z, slope)


def top_mean(s, k):
    """Per video and class, over time: s (B, C, T) → (B, C)."""
    return s.topk(k, 2).values.mean(2)


def pair_loss(x, s, y, pairs=3):
    """x (B, D, T), s (B, K, T), y (B, K): rows (0, 1), (2, 3), … share a class."""
    n = x.shape[2]
    x, a, y = x[:2 * pairs], s[:2 * pairs].softmax(2), y[:2 * pairs]
    high = x @ a.transpose(1, 2)
    low = x @ (1 - a).transpose(1, 2) / max(n - 1, 1)

    def distance(u, v):
        return 1 - (u * v).sum(1) / (u.norm(dim=1) * v.norm(dim=1))
    d1 = distance(high[0::2], high[1::2])
    d2 = distance(high[0::2], low[1::2])
    d3 = distance(high[1::2], low[0::2])
    both = y[0::2] * y[1::2]
    return 0.5 * (both * (F.relu(d1 - d2 + 0.5) + F.relu(d1 - d3 + 0.5))).sum() / both.sum()


# ---------------------------------------------------------------- BaS-Net

def basnet(p, x, y, drop=Drop(False), alpha=1e-4):
    """The loss on rows x (B, F, T)."""
    w = torch.sigmoid(conv(p, "filter_module.conv_2.0", lrelu(conv(p, "filter_module.conv_1.0", x), 0.01)))

    def video(z):
        h = lrelu(conv(p, "cas_module.conv_2.0", lrelu(conv(p, "cas_module.conv_1.0", z), 0.01)), 0.01)
        return top_mean(conv(p, "cas_module.conv_3.0", drop(h, 0.7)), x.shape[2] // 8).softmax(1)

    def target(background):
        t = torch.cat([y, y.new_full((len(y), 1), background)], 1)
        return t / t.sum(1, keepdim=True)
    base, supp = video(x), video(w * x)
    return F.binary_cross_entropy(base, target(1)) + F.binary_cross_entropy(supp, target(0)) + alpha * w.sum((1, 2)).mean()


def basnet_shapes(c=20, f=2048, width=2048, inner=512):
    return {"filter_module.conv_1.0": (inner, f, 1), "filter_module.conv_2.0": (1, inner, 1),
            "cas_module.conv_1.0": (width, f, 3), "cas_module.conv_2.0": (width, width, 3),
            "cas_module.conv_3.0": (c + 1, width, 1)}


# ---------------------------------------------------------------- CO2-Net

def module(p, m, main, aux, drop):
    """M, and with an auto-encoder among the parameters A; attention, rows, what was decoded."""
    glob = drop(lrelu(conv(p, m + ".channel_conv.0", main.mean(2, keepdim=True))), 0.5)
    decoded = None
    if m + ".AE_e.0.weight" in p:
        e = drop(lrelu(conv(p, m + ".AE_e.0", aux)), 0.5)
        decoded = drop(lrelu(conv(p, m + ".AE_d.0", e)), 0.5)
        local = drop(lrelu(conv(p, m + ".bit_wise_attn.0", e)), 0.5)
        # dropout may leave a frame nothing: no 0/0 then
        norms = local.norm(dim=1, keepdim=True) * glob.norm(dim=1, keepdim=True)
        gate = local * ((local * glob).sum(1, keepdim=True) / norms.clamp_min(1e-30))
    else:
        gate = drop(lrelu(conv(p, m + ".bit_wise_attn.0", aux)), 0.5) * glob
    r = torch.sigmoid(gate) * main
    h = lrelu(conv(p, m + ".attention.3", drop(lrelu(conv(p, m + ".attention.0", r)), 0.5)))
    return torch.sigmoid(drop(conv(p, m + ".attention.5", h), 0.5)), r, decoded


def both_modules(p, x, drop):
    half = x.shape[1] // 2
    rgb, flow = x[:, :half], x[:, half:]
    a_v, r_v, d_v = module(p, "vAttn", rgb, flow, drop)
    a_f, r_f, d_f = module(p, "fAttn", flow, rgb, drop)
    return a_v, a_f, torch.cat([r_v, r_f], 1), d_v, d_f


def co2_losses(feat, cas, attentions, y, pairs, divisor=7):
    """What CO2-Net and TSM share: attentions a, a_v, a_f (B, 1, T); cas (B, C + 1, T)."""
    k = max(1, cas.shape[2] // divisor)
    mu = cas.min(1, keepdim=True).values
    supp = attentions[0] * (cas - mu) + mu

    def labels(background):
        return torch.cat([y, y.new_full((len(y), 1), background)], 1)

    def mil(s, background):
        t = labels(background)
        t = t / (t.sum(1, keepdim=True) + 1e-4)
        return -(t * top_mean(s, k).log_softmax(1)).sum(1).mean()
    background = cas.softmax(1)[:, -1:]
    rest = sum(a.mean() + (1 - a - background).abs().mean() for a in attentions)
    return mil(cas, 1) + mil(supp, 0) + pair_loss(feat, supp, labels(0), pairs) + 0.8 * rest / 3


def co2(p, x, y, drop=Drop(False), pairs=3):
    a_v, a_f, r, _, _ = both_modules(p, x, drop)
    feat = drop(lrelu(conv(p, "fusion.0", r)), 0.7)
    cas = conv(p, "classifier.4", drop(lrelu(conv(p, "classifier.1", drop(feat, 0.7))), 0.7))
    mutual = 0.5 * F.mse_loss(a_v, a_f.detach()) + 0.5 * F.mse_loss(a_f, a_v.detach())
    return co2_losses(feat, cas, ((a_v + a_f) / 2, a_v, a_f), y, pairs) + mutual


def modules_shapes(s=1024, hidden=512, encoded=0):
    out = {}
    for m in ("vAttn", "fAttn"):
        if encoded:
            out |= {m + ".AE_e.0": (encoded, s, 3), m + ".AE_d.0": (s, encoded, 3)}
        out |= {m + ".bit_wise_attn.0": (s, encoded or s, 3), m + ".channel_conv.0": (s, s, 3), m + ".attention.0": (hidden, s, 3),
                m + ".attention.3": (hidden, hidden, 3), m + ".attention.5": (1, hidden, 1)}
    return out


def co2_shapes(c=20, s=1024):
    return modules_shapes(s) | {"fusion.0": (2 * s, 2 * s, 1), "classifier.1": (2 * s, 2 * s, 3), "classifier.4": (c + 1, 2 * s, 1)}


# ---------------------------------------------------------------- UM

def um(p, x, y, drop=Drop(False), margin=100.0, alpha=5e-4, beta=1.0):
    f = F.relu(conv(p, "cas_module.conv.0", x))
    cas = conv(p, "cas_module.classifier.0", drop(f, 0.7))
    k_act, k_bkg = x.shape[2] // 9, x.shape[2] // 4
    with torch.no_grad():
        n = f.norm(dim=1)
        s = drop(torch.ones_like(n), 0.7)
        act = (s * n).topk(k_act, 1).indices
        bkg = (s * (n.max(1, keepdim=True).values - n)).topk(k_bkg, 1).indices

    def columns(z, index):
        return z.gather(2, index.unsqueeze(1).expand(-1, z.shape[1], -1))
    p_act = top_mean(cas, k_act).softmax(1)
    p_bkg = columns(cas, bkg).mean(2).softmax(1)
    short = F.relu(margin - columns(f, act).mean(2).norm(dim=1)) + columns(f, bkg).mean(2).norm(dim=1)
    return (F.binary_cross_entropy(p_act, y / y.sum(1, keepdim=True)) +
            beta * F.binary_cross_entropy(p_bkg, torch.full_like(y, 1 / y.shape[1])) + alpha * (short**2).mean())


def um_shapes(c=20, f=2048, width=2048):
    return {"cas_module.conv.0": (width, f, 3), "cas_module.classifier.0": (c, width, 1)}


# ---------------------------------------------------------------- W-TALC

def wtalc(p, x, y, drop=Drop(False), pairs=3, share=0.5):
    """Videos without padding; frames x (B, T, F)."""
    f = drop(F.relu(F.linear(x, p["fc.weight"], p["fc.bias"])), 0.7)
    s = F.linear(f, p["classifier.weight"], p["classifier.bias"]).transpose(1, 2)
    videos = top_mean(s, -(-x.shape[1] // 8))
    mil = -(y / y.sum(1, keepdim=True) * videos.log_softmax(1)).sum(1).mean()
    return share * mil + (1 - share) * pair_loss(f.transpose(1, 2), s, y, pairs)


def wtalc_shapes(c=20, f=2048):
    return {"fc": (f, f), "classifier": (c, f)}


# ---------------------------------------------------------------- Boosting-WTAL

def positions(rows, width, like):
    half = width // 2
    omega = torch.exp(-torch.arange(half, dtype=like.dtype) * (math.log(10000) / (half - 1)))
    angle = torch.arange(rows, dtype=like.dtype).unsqueeze(1) * omega
    out = torch.cat([angle.sin(), angle.cos()], 1)
    out[0] = 0
    return out


def tsm(p, glove, x, drop=Drop(False), heads=8):
    """{feat, cas, attentions a, a_v, a_f, decoded d_v, d_f}, (B, channel, T) each."""
    a_v, a_f, r, d_v, d_f = both_modules(p, x, drop)
    h0 = drop(lrelu(conv(p, "fusion.0", r)), 0.7)
    h1 = drop(lrelu(conv(p, "fusion2.0", h0)), 0.7)
    names = torch.cat([glove, p["b_enc"]]).transpose(1, 2)
    tokens = torch.cat([p["weight"], names], 2)
    classes, _, n = tokens.shape
    width = x.shape[1]
    z = drop(lrelu(conv(p, "txt_emb.0", tokens)), 0.5) + p["add_weight"] + positions(n, width, x).T

    def in_heads(name):
        return conv(p, "MHA." + name, z).view(classes, heads, width // heads, n).transpose(2, 3)

    def path(branch, scale):
        if drop.on:
            branch = branch * torch.rand(classes, 1, 1).ge(0.1).to(branch) / 0.9
        return scale * branch
    mixed = F.scaled_dot_product_attention(in_heads("query"), in_heads("key"), in_heads("value"))
    mixed = mixed.transpose(2, 3).reshape(classes, width, n)
    z = z + path(conv(p, "MHA.proj", mixed), p["drop_path_attn.scale"])
    z = z + path(drop(conv(p, "mlp.3", drop(F.gelu(conv(p, "mlp.0", z)), 0.1)), 0.1), p["drop_path_mlp.scale"])
    return {"feat": h0, "cas": torch.einsum("cd,bdt->bct", z[:, :, 0], h1), "attentions": ((a_v + a_f) / 2, a_v, a_f),
            "decoded": (d_v, d_f)}


def autoencoder(decoded, x):
    half = x.shape[1] // 2
    return F.mse_loss(decoded[0], x[:, :half]) + F.mse_loss(decoded[1], x[:, half:])


def tsm_loss(out, x, y, of_vlc, pairs=3):
    return (co2_losses(out["feat"], out["cas"], out["attentions"], y, pairs) + 1.5 * autoencoder(out["decoded"], x) +
            1.5 * F.mse_loss(out["attentions"][0][:, 0], of_vlc))


def attention(p, name, q, source, weight, causal, heads):
    """Frame weights go in as a bias ln(g + 1e-10) of the keys, which is the same as multiplying and renormalising."""
    d = q.shape[2]
    w, b = p[name + ".in_proj_weight"], p[name + ".in_proj_bias"]

    def part(z, i):
        return F.linear(z, w[i * d:(i + 1) * d], b[i * d:(i + 1) * d]).view(len(z), -1, heads, d // heads).transpose(1, 2)
    bias = None
    if weight is not None:
        bias = torch.log(weight + 1e-10).view(len(q), 1, 1, -1)
        if causal:
            n = q.shape[1]
            bias = bias.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), float("-inf"))
    mixed = F.scaled_dot_product_attention(part(q, 0), part(source, 1), part(source, 2), attn_mask=bias,
                                           is_causal=causal and bias is None)
    mixed = mixed.transpose(1, 2).reshape(len(q), -1, d)
    return F.linear(mixed, p[name + ".out_proj.weight"], p[name + ".out_proj.bias"])


def vlc(p, x, words, drop=Drop(False), heads=4):
    """All frames and words real. words (B, n + 1, W), the first row replaced by the learned start."""
    a_v, a_f, r, d_v, d_f = both_modules(p, x, drop)
    g = ((a_v + a_f) / 2)[:, 0]
    v = F.linear(drop(r.transpose(1, 2), 0.1), p["frame_fc.weight"], p["frame_fc.bias"])
    sentence = torch.cat([p["start_vec"].expand(len(words), 1, -1), words[:, 1:]], 1)
    w = F.linear(drop(sentence, 0.1), p["word_fc.weight"], p["word_fc.bias"])[:, :-1]

    def norm(name, z):
        return F.layer_norm(z, z.shape[2:], p[name + ".weight"], p[name + ".bias"])

    def think(at, z):
        hidden = F.relu(F.linear(z, p[at + "fc1.weight"], p[at + "fc1.bias"]))
        return norm(at + "final_layer_norm", z + F.linear(hidden, p[at + "fc2.weight"], p[at + "fc2.bias"]))

    def run(by):
        h, s = v, w
        for i in range(3):
            at = f"trans.decoder1.decoder_layers.{i}."
            h = think(at, norm(at + "self_attn_layer_norm", h + attention(p, at + "self_attn", h, h, by, True, heads)))
        for i in range(3):
            at = f"trans.decoder2.decoder_layers.{i}."
            s = norm(at + "self_attn_layer_norm", s + attention(p, at + "self_attn", s, s, None, True, heads))
            s = norm(at + "encoder_attn_layer_norm", s + attention(p, at + "encoder_attn", s, h, by, False, heads))
            s = think(at, s)
        return F.linear(s, p["fc_rec.weight"], p["fc_rec.bias"])
    return {"attention": g, "decoded": (d_v, d_f), "run": run}


def nll(logits, ids, counted):
    lp = logits.log_softmax(-1)
    told = -0.9 * lp.gather(2, ids.unsqueeze(2))[..., 0] - 0.1 / logits.shape[2] * lp.sum(-1)
    return (told * counted).sum(1) / counted.sum(1)


def language_loss(out, ids, counted):
    return nll(out["run"](out["attention"]), ids, counted).mean() + nll(out["run"](None), ids, counted).mean()


def attention_loss(out, x, ids, counted, of_tsm):
    g = out["attention"]
    pos, hard, easy = (nll(out["run"](by), ids, counted) for by in (g, None, 1 - g))
    ivc = F.relu(pos - hard + 0.1).mean() + F.relu(pos - easy + 0.15).mean()
    return ivc + 1.5 * autoencoder(out["decoded"], x) + 1.5 * F.mse_loss(g, of_tsm)


def boosting_shapes(c=20, s=1024, words=300, prompts=9, vocabulary=8001, d=512, ffn=1024, hidden=8192):
    """Of both networks: layers (weight and bias), and what has no bias."""
    modules = modules_shapes(s, 512, 512)
    layers = modules | {"fusion.0": (2 * s, 2 * s, 3), "fusion2.0": (2 * s, 2 * s, 3), "txt_emb.0": (2 * s, words, 1),
                        "mlp.0": (hidden, 2 * s, 1), "mlp.3": (2 * s, hidden, 1)}
    layers |= {f"MHA.{n}": (2 * s, 2 * s, 1) for n in ("key", "query", "value", "proj")}
    plain = {"weight": (c + 1, words, prompts), "b_enc": (1, 2, words), "add_weight": (c + 1, 2 * s, prompts + 2),
             "drop_path_attn.scale": (1, 2 * s, 1), "drop_path_mlp.scale": (1, 2 * s, 1)}
    of_vlc = modules | {"frame_fc": (d, 2 * s), "word_fc": (d, words), "fc_rec": (vocabulary, d)}
    plain_vlc = {"mask_vec": (words,), "start_vec": (words,)}
    for decoder in (1, 2):
        for i in range(3):
            at = f"trans.decoder{decoder}.decoder_layers.{i}."
            for part in ("self_attn", "encoder_attn"):
                plain_vlc |= {f"{at}{part}.in_proj_weight": (3 * d, d), f"{at}{part}.in_proj_bias": (3 * d,)}
                of_vlc |= {f"{at}{part}.out_proj": (d, d), f"{at}{part}_layer_norm": (d,)}
            of_vlc |= {f"{at}fc1": (ffn, d), f"{at}fc2": (d, ffn), f"{at}final_layer_norm": (d,)}
    return (layers, plain), (of_vlc, plain_vlc)
