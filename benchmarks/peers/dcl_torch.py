"""Distillation-collaboration (DCL, CVPR 2023) written plainly in PyTorch.

An implementation that shares no code with tandem. It has three uses: the golden files of tests/golden
are computed from it in float64, step_peer.py times its training steps, and it cross-checks the
orderings of the training variants. Names follow PyTorch and OpenAI's CLIP (ln_1, attn.in_proj_weight,
attn.out_proj, ln_2, mlp.c_fc, mlp.c_proj), so a state dict maps one to one.

Shapes: B videos, T frames (padded), C classes, W width. `valid` is (B, T) bool, False on padding.
"""
from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


# ---------------------------------------------------------------- modules

class QuickGELU(nn.Module):
    """x · sigmoid(1.702 x)"""

    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class MultiheadAttention(nn.Module):
    """Self-attention with nn.MultiheadAttention's parameter names, through fused SDPA."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x, valid=None, causal=False):
        b, t, w = x.shape
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        mask = None if valid is None else valid[:, None, None, :]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.out_proj(y.transpose(1, 2).reshape(b, t, w))


class ResidualAttentionBlock(nn.Module):
    """Pre-LN: x += attn(ln_1(x)); x += mlp(ln_2(x)). The MLP has ratio 4."""

    def __init__(self, width: int, heads: int, activation: str = "quick_gelu"):
        super().__init__()
        act = QuickGELU() if activation == "quick_gelu" else nn.GELU()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = MultiheadAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(OrderedDict([
            ("c_fc", nn.Linear(width, 4 * width)), ("gelu", act),
            ("c_proj", nn.Linear(4 * width, width))]))

    def forward(self, x, valid=None, causal=False):
        x = x + self.attn(self.ln_1(x), valid, causal)
        return x + self.mlp(self.ln_2(x))


def init_clip(blocks, width: int, layers: int) -> None:
    """The initialisation of CLIP's text transformer (Radford et al. 2021, released code)."""
    attn_std, fc_std = width ** -0.5, (2 * width) ** -0.5
    proj_std = width ** -0.5 * (2 * layers) ** -0.5
    for block in blocks:
        nn.init.normal_(block.attn.in_proj_weight, std=attn_std)
        nn.init.normal_(block.attn.out_proj.weight, std=proj_std)
        nn.init.normal_(block.mlp.c_fc.weight, std=fc_std)
        nn.init.normal_(block.mlp.c_proj.weight, std=proj_std)


def positions(table, t: int):
    """The first t rows, or, for a longer video, the table interpolated linearly (ends aligned)."""
    if t <= table.shape[0]:
        return table[:t]
    return F.interpolate(table.T[None], size=t, mode="linear", align_corners=True)[0].T


class CBPBranch(nn.Module):
    """(B, T, D_i3d) → frame features f^cb (B, T, W) and logits S^cb (B, T, C)."""

    def __init__(self, classes, d_in=2048, width=512, layers=2, heads=8, max_len=1000,
                 learned_positions=False):
        super().__init__()
        self.embed = nn.Linear(d_in, width)
        self.position = nn.Parameter(0.01 * torch.randn(max_len, width)) if learned_positions else None
        self.blocks = nn.ModuleList(
            [ResidualAttentionBlock(width, heads, "gelu") for _ in range(layers)])
        self.head = nn.Linear(width, classes)

    def forward(self, x, valid=None):
        f = self.embed(x)
        if self.position is not None:
            f = f + positions(self.position, f.shape[1])
        for block in self.blocks:
            f = block(f, valid)
        return f, self.head(f)


class TemporalTransformer(nn.Module):
    """Φ_temp: learned positions N(0, 0.01), pre-LN blocks with QuickGELU, no final LN."""

    def __init__(self, width=512, layers=2, heads=8, max_len=1000):
        super().__init__()
        self.position = nn.Parameter(0.01 * torch.randn(max_len, width))
        self.blocks = nn.ModuleList([ResidualAttentionBlock(width, heads) for _ in range(layers)])
        init_clip(self.blocks, width, layers)

    def forward(self, x, valid=None):
        x = x + positions(self.position, x.shape[1])
        for block in self.blocks:
            x = block(x, valid)
        return x


class TextTransformer(nn.Module):
    """CLIP's text encoder, with the state-dict names of OpenAI's release."""

    def __init__(self, vocabulary=49408, context=77, width=512, layers=12, heads=8, out=512):
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positional_embedding = nn.Parameter(0.01 * torch.randn(context, width))
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(
            [ResidualAttentionBlock(width, heads) for _ in range(layers)])
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(width ** -0.5 * torch.randn(width, out))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        init_clip(self.transformer.resblocks, width, layers)

    def forward(self, embedded, eot):
        """embedded (C, L, W) token embeddings, eot (C,) index of EOT → (C, out)."""
        x = embedded + self.positional_embedding[:embedded.shape[1]]
        for block in self.transformer.resblocks:
            x = block(x, None, causal=True)
        x = x[torch.arange(x.shape[0]), eot]
        return self.ln_final(x) @ self.text_projection


class PromptLearner(nn.Module):
    """[SOS, n learned, name, n learned, EOT, 0 …]; the learned vectors are shared by all classes."""

    def __init__(self, names, sos, eot, width=512, n=16, length=None):
        super().__init__()
        self.before = nn.Parameter(0.01 * torch.randn(n, width))
        self.after = nn.Parameter(0.01 * torch.randn(n, width))
        self.names, self.sos, self.eot, self.n = names, sos, eot, n
        longest = max(len(name) for name in names) + 2 * n + 2
        self.length = longest if length is None else length
        assert self.length >= longest
        self.eot_index = torch.tensor([len(name) + 2 * n + 1 for name in names])

    def forward(self, token_embedding):
        rows = []
        for name in self.names:
            ids = torch.tensor([self.sos, *name, self.eot])
            e = token_embedding(ids)
            row = torch.cat([e[:1], self.before, e[1:-1], self.after, e[-1:]])
            rows.append(F.pad(row, (0, 0, 0, self.length - row.shape[0])))
        return torch.stack(rows), self.eot_index


class VLPBranch(nn.Module):
    """(B, T, W) CLIP rows → normalised F_vid (B, T, W) and S^vl = cos(F_vid, F_txt) / τ (B, T, C)."""

    def __init__(self, text: TextTransformer, prompts: PromptLearner, temporal: TemporalTransformer,
                 tau=0.07):
        super().__init__()
        self.text, self.prompts, self.temporal, self.tau = text, prompts, temporal, tau
        self.text.requires_grad_(False)

    def text_features(self):
        return F.normalize(self.text(*self.prompts(self.text.token_embedding)), dim=-1)

    def forward(self, x, valid=None, f_txt=None):
        f_txt = self.text_features() if f_txt is None else f_txt
        f_vid = F.normalize(self.temporal(x, valid), dim=-1)
        return f_vid, f_vid @ f_txt.T / self.tau

    def learned(self):
        return [p for p in self.parameters() if p.requires_grad]


# ---------------------------------------------------------------- pseudo-labels and losses

def frame_probabilities(logits, reading="sigmoid"):
    return torch.sigmoid(logits) if reading == "sigmoid" else torch.softmax(logits, dim=-1)


def pseudo_labels(p, y, valid, high=0.3, low=0.1):
    """H (B, T, C) in {1, 0, −1}: 1 where p > high in a class of the label, 0 where p < low or the class
    is not in the label, −1 otherwise and on padded frames."""
    labelled = y[:, None, :] > 0
    h = torch.full_like(p, -1.0)
    h = torch.where((p > high) & labelled, torch.ones_like(h), h)
    h = torch.where((p < low) | ~labelled, torch.zeros_like(h), h)
    return torch.where(valid[:, :, None], h, torch.full_like(h, -1.0))


def confident(h, y, valid):
    """(foreground, background, any) as (B, T) bool. A frame is foreground when a class has h = 1,
    background when every class of the label has h = 0, confident when a class has h = 1 or no class of
    the label is undecided."""
    labelled = y[:, None, :] > 0
    fg = (h == 1).any(-1) & valid
    bg = ((h == 0) | ~labelled).all(-1) & valid
    decided = ~((h == -1) & labelled).any(-1) & valid
    return fg, bg, fg | decided


def topk_mean(logits, valid, fraction=8):
    """(B, C): the mean of the k = max(1, T_valid / fraction) largest logits along time."""
    rows = []
    for s, v in zip(logits, valid):
        s = s[v]
        rows.append(s.topk(max(1, s.shape[0] // fraction), dim=0).values.mean(0))
    return torch.stack(rows)


def loss_cls(logits, y, valid, reading="sigmoid"):
    """Warm-up: sigmoid → BCE summed over classes; softmax → −Σ_c ȳ_c log ŷ_c. Mean over videos."""
    s = topk_mean(logits, valid)
    if reading == "sigmoid":
        return F.binary_cross_entropy_with_logits(s, y, reduction="none").sum(-1).mean()
    return -(y / y.sum(-1, keepdim=True) * F.log_softmax(s, dim=-1)).sum(-1).mean()


def loss_kd(h, p, y, valid, every_entry=False, background=True, eps=1e-6):
    """L_kd = (1/O) Σ KL(Bernoulli(h) ‖ Bernoulli(p)). Default: over the confident frames, the classes
    with h ≠ −1, O = confident frames. every_entry: over all entries with h ≠ −1 of valid frames, O =
    frames with at least one such entry. background=False: only h = 1 teaches."""
    p = p.clamp(eps, 1 - eps)
    use = (h != -1) & valid[:, :, None]
    frames = use.any(-1)
    if not every_entry:
        frames = confident(h, y, valid)[2]
        use = use & frames[:, :, None]
    if not background:
        use = use & (h == 1)
    kl = torch.where(h == 1, -torch.log(p), -torch.log1p(-p))
    return torch.where(use, kl, torch.zeros_like(kl)).sum() / frames.sum().clamp(min=1)


def loss_fb(f, h, y, valid, tau=0.07, same_video=False):
    """L_fb: InfoNCE over the batch, log-sum-exp form. f (B, T, W) L2-normalised."""
    fg, bg, _ = confident(h, y, valid)
    a, n = f[fg], f[bg]
    if a.shape[0] < 2:
        return f.sum() * 0
    classes = (h[fg] == 1).to(f.dtype)
    positive = classes @ classes.T > 0
    positive.fill_diagonal_(False)
    if same_video:
        video = torch.arange(f.shape[0])[:, None].expand(fg.shape)[fg]
        positive &= video[:, None] == video[None, :]
    has = positive.any(-1)
    s_pos = (a @ a.T / tau).masked_fill(~positive, -math.inf)
    s_neg = a @ n.T / tau
    numerator = torch.logsumexp(s_pos[has], dim=-1)
    denominator = torch.logaddexp(numerator, torch.logsumexp(s_neg[has], dim=-1)) \
        if n.shape[0] else numerator
    return (denominator - numerator).mean() if has.any() else f.sum() * 0


@dataclass
class LossOptions:
    reading: str = "sigmoid"
    every_entry: bool = False
    background: bool = True
    same_video: bool = False
    weight_fb: float = 0.05
    tau: float = 0.07


def loss_all(h, logits, f, y, valid, o: LossOptions = LossOptions()):
    """L_all = L_kd + λ L_fb"""
    p = frame_probabilities(logits, o.reading)
    kd = loss_kd(h, p, y, valid, o.every_entry, o.background)
    fb = loss_fb(f, h, y, valid, o.tau, o.same_video) if o.weight_fb else torch.zeros(())
    return kd + o.weight_fb * fb, kd, fb
