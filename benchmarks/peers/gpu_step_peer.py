"""A training step of DCL for gpu_peer.py: dcl_torch's networks and losses on a device, with the sizes of gpu_bench.

What dcl_torch does video by video or with indices of the host is done at once here, so that nothing is copied to the
GPU inside a step. Every video has full length, so no mask is passed: PyTorch's fastest attention.
"""
import torch
import torch.nn.functional as F

import dcl_torch as dcl


class Text(dcl.TextTransformer):
    def forward(self, embedded, eot):
        x = embedded + self.positional_embedding[:embedded.shape[1]]
        for block in self.transformer.resblocks:
            x = block(x, None, causal=True)
        x = x[torch.arange(x.shape[0], device=x.device), eot]
        return self.ln_final(x) @ self.text_projection


class Prompts(dcl.PromptLearner):
    """The same rows, by one lookup of all names and one choice between learned vectors and names."""

    def __init__(self, names, sos, eot, width, n):
        super().__init__(names, sos, eot, width, n)
        ids = torch.zeros(len(names), self.length, dtype=torch.long)
        learned = torch.full((len(names), self.length), -1)
        padding = torch.ones(len(names), self.length, dtype=torch.bool)
        for c, name in enumerate(names):
            end = 2 * n + len(name) + 1
            ids[c, 0], ids[c, n + 1:n + 1 + len(name)], ids[c, end] = sos, torch.tensor(name), eot
            learned[c, 1:n + 1] = torch.arange(n)
            learned[c, n + 1 + len(name):end] = torch.arange(n, 2 * n)
            padding[c, :end + 1] = False
        for key, value in (("ids", ids), ("learned", learned), ("padding", padding), ("ends", self.eot_index)):
            self.register_buffer(key, value)

    def forward(self, token_embedding):
        vectors = torch.cat([self.before, self.after])[self.learned.clamp(min=0)]
        rows = torch.where((self.learned >= 0)[..., None], vectors, token_embedding(self.ids))
        return rows.masked_fill(self.padding[..., None], 0), self.ends


def labels(videos, frames, classes):
    """y and H of gpu_bench: in runs of ten frames, 10 % foreground, 50 % background, the rest undecided."""
    y, h = torch.zeros(videos, classes), torch.zeros(videos, frames, classes)
    for v in range(videos):
        own = [v % classes] + ([(v + 7) % classes] if v % 2 else [])
        y[v, own] = 1
        for t in range(frames):
            run = t // 10
            kind = (run * 7 + v * 3) % 10
            if kind == 0:
                h[v, t, own[run % len(own)]] = 1
            if kind > 5:
                h[v, t, own] = -1
    return y, h


def loss_cls(logits, y):
    scores = logits.topk(max(1, logits.shape[1] // 8), dim=1).values.mean(1)
    return F.binary_cross_entropy_with_logits(scores, y, reduction="none").sum(-1).mean()


def step(peer, work, mode, kind):
    """The call of a step: work is warmup, b or f."""
    sized, device = peer.sized, peer.device
    b, t, c = sized(10, 2), sized(1000, 40), sized(20, 3)
    rows, w, heads = sized(2048, 24), sized(512, 16), sized(8, 2)
    y, h = (x.to(device) for x in labels(b, t, c))
    valid = torch.ones(b, t, dtype=torch.bool, device=device)
    i3d = peer.numbers(b, t, rows).clamp_(min=0)
    with torch.device(device):  # a GPU draws the weights faster
        cbp = dcl.CBPBranch(c, rows, w, heads=heads, max_len=t)

    def branch(module):
        f = peer.compiled(module, mode)

        def forward(*inputs):
            with torch.autocast(device, torch.bfloat16, enabled=kind == "bf16"):
                features, logits = f(*inputs)
            return features.float(), logits.float()
        return forward
    cbp_forward, kd = branch(cbp), peer.compiled(dcl.loss_kd, mode)

    def learn(optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def total(logits, features):
        return kd(h, torch.sigmoid(logits), y, valid) + 0.05 * dcl.loss_fb(F.normalize(features, dim=-1), h, y, valid)

    if work == "warmup":
        optimizer = torch.optim.Adam(cbp.parameters(), lr=1e-4, fused=True)
        return lambda: learn(optimizer, loss_cls(cbp_forward(i3d)[1], y))
    names = [list(range(100 + 10 * k, 101 + 10 * k + k % 4)) for k in range(c)]
    prompts = Prompts(names, 510, 511, w, sized(16, 2)).to(device)
    with torch.device(device):
        text = Text(512, 77, w, sized(12, 2), heads, w)
        vlp = dcl.VLPBranch(text, prompts, dcl.TemporalTransformer(w, heads=heads, max_len=t))
    clip = peer.numbers(b, t, w)
    vlp_forward = branch(vlp)
    optimizer = torch.optim.Adam(vlp.learned() if work == "b" else list(cbp.parameters()), lr=1e-4, fused=True)
    with torch.no_grad():
        known = vlp.text_features()

    def step_b():
        with torch.no_grad():
            dcl.pseudo_labels(torch.sigmoid(cbp_forward(i3d)[1]), y, valid)
        features, logits = vlp_forward(clip)
        learn(optimizer, total(logits, features))

    def step_f():
        with torch.no_grad():
            dcl.pseudo_labels(torch.sigmoid(vlp_forward(clip, None, known)[1]), y, valid)
        features, logits = cbp_forward(i3d)
        learn(optimizer, total(logits, features))
    return step_b if work == "b" else step_f
