"""One training step of another method in PyTorch, at its published sizes: forward with dropout, loss, backward, Adam with L2
decay; of Boosting-WTAL a whole iteration, which is two steps of VLC and one of TSM.

    rival_peer.py --work basnet|co2|um|wtalc|boosting --threads 2 --mode eager|compile --repeat 5
    rival_peer.py --check tests/golden                  # the losses are those of the golden files

Rows are noise; labels are one class of 20 a video, in pairs where the method wants pairs.
"""
import sys

import torch

import rivals_torch as rivals
from peer_common import Measurement, maybe_compile, options, report, start

CLASSES = 20
SIZES = {"basnet": (16, 750), "co2": (10, 500), "um": (16, 750), "wtalc": (10, 750), "boosting": (10, 320)}
RATES = {"basnet": (1e-4, 5e-4), "co2": (5e-5, 1e-3), "um": (1e-4, 5e-4), "wtalc": (1e-4, 5e-4)}


def parameters(layers, plain=(), biased=True):
    out = {}
    for name, shape in layers.items():
        bound = (shape[1:].numel() if isinstance(shape, torch.Size) else torch.Size(shape[1:]).numel() or 1)**-0.5
        norm = "norm" in name
        out[name + ".weight"] = torch.ones(shape) if norm else torch.empty(shape).uniform_(-bound, bound)
        if biased and name not in ("cas_module.conv_3.0", "cas_module.classifier.0"):
            out[name + ".bias"] = torch.zeros(shape[0])
    for name in plain:
        out[name] = 0.02 * torch.randn(plain[name])
    return {k: v.requires_grad_() for k, v in out.items()}


def check(folder):
    """Prints the greatest relative difference to each golden loss, and fails above 1e-12."""
    import numpy as np
    worst = 0

    def load(name):
        with np.load(f"{folder}/{name}.npz") as file:
            data = {k: torch.from_numpy(file[k]) for k in file.files if file[k].dtype.kind in "fiu"}

        def state(prefix):
            return {k.removeprefix(prefix): v.double() for k, v in data.items() if k.startswith(prefix)}
        return data, state

    def compare(name, ours, golden):
        nonlocal worst
        difference = abs(ours.item() - golden.item()) / abs(golden.item())
        worst = max(worst, difference)
        print(f"{name:24} {ours.item():.12f} {difference:.1e}")
    for name, key, method in (("basnet", "loss.total", rivals.basnet), ("um", "loss.total", rivals.um),
                              ("co2", "loss.total", rivals.co2)):
        data, state = load(name)
        more = {"pairs": len(data["in.x"]) // 2} if name == "co2" else {}
        compare(name, method(state("state."), data["in.x"].double().transpose(1, 2), data["in.label"].double(), **more), data[key])
    data, state = load("wtalc")
    # The peer times whole videos; each of the file's, padded, is cut to the same length, and so are its losses.
    p, x, y, n = state("state."), data["in.x"].double(), data["in.label"].double(), int(data["in.seq_len"].min())
    with_padding = sum(wtalc_of(p, x, y, data["in.seq_len"].tolist(), int(data["in.n_similar"])))
    compare("wtalc", with_padding, data["loss.total"])
    alone = sum(wtalc_of(p, x[:, :n], y, [n] * len(x), int(data["in.n_similar"])))
    compare("wtalc, cut", rivals.wtalc(p, x[:, :n], y, pairs=int(data["in.n_similar"])), alone)
    data, state = load("boosting_tsm")
    x, y = data["in.x"].double().transpose(1, 2), data["in.label"].double()
    glove = data["in.glove"].double()
    out = rivals.tsm(state("tsm.state."), glove, x)
    compare("boosting TSM", rivals.tsm_loss(out, x, y, data["vlc.out.gauss_weight"]), data["tsm.loss.total"])
    data, state = load("boosting_vlc")
    frames = data["in.frames_len"].tolist()
    ids, words = data["in.words_id"].long(), data["in.words_feat"].double()
    counted = torch.tensor([[j < min(n + 1, ids.shape[1]) for j in range(ids.shape[1])] for n in data["in.words_len"].tolist()]).double()
    if min(frames) < x.shape[2]:
        keep = [b for b, n in enumerate(frames) if n == x.shape[2]]  # the peer knows no padding
        out = rivals.vlc(state("vlc.state."), x[keep], words[keep])
        golden = {k: data["vlc.out." + k][keep] for k in ("words_logit", "easy_neg_words_logit", "hard_neg_words_logit")}
        rows = counted[keep]
        for name, by in (("words", out["attention"]), ("easy_neg_words", 1 - out["attention"]), ("hard_neg_words", None)):
            ours = rivals.nll(out["run"](by), ids[keep], rows).mean()
            compare("boosting VLC, " + name, ours, rivals.nll(golden[name + "_logit"], ids[keep], rows).mean())
    print(f"worst {worst:.1e}")
    return 0 if worst < 1e-12 else 1


def wtalc_of(p, x, y, lengths, pairs):
    """Half of each of W-TALC's losses, of videos that are padded: what the peer does, video by video."""
    f = torch.relu(x @ p["fc.weight"].T + p["fc.bias"])
    s = f @ p["classifier.weight"].T + p["classifier.bias"]
    videos = torch.stack([s[b, :n].topk(-(-n // 8), 0).values.mean(0) for b, n in enumerate(lengths)])
    mil = -(y / y.sum(1, keepdim=True) * videos.log_softmax(1)).sum(1).mean()
    above = below = 0
    for u in range(0, 2 * pairs, 2):
        both = (y[u] * y[u + 1]).sum()
        if both == 0:
            continue
        high, low = [], []
        for b in (u, u + 1):
            n = lengths[b]
            a = s[b, :n].softmax(0)
            high.append(f[b, :n].T @ a)
            low.append(f[b, :n].T @ (1 - a) / max(n - 1, 1))

        def distance(a, b):
            return 1 - (a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0))
        d1, d2, d3 = distance(high[0], high[1]), distance(high[0], low[1]), distance(high[1], low[0])
        above = above + 0.5 * (y[u] * y[u + 1] * (torch.relu(d1 - d2 + 0.5) + torch.relu(d1 - d3 + 0.5))).sum()
        below = below + both
    return 0.5 * mil, 0.5 * above / below


class PlainAdam:
    """VLC's: ε is added to √v before the bias correction."""

    def __init__(self, tensors):
        self.tensors, self.t = tensors, 0
        self.m = [torch.zeros_like(p) for p in tensors]
        self.v = [torch.zeros_like(p) for p in tensors]

    @torch.no_grad()
    def step(self, lr):
        self.t += 1
        used = [i for i, p in enumerate(self.tensors) if p.grad is not None]
        p, g = [self.tensors[i] for i in used], [self.tensors[i].grad for i in used]
        m, v = [self.m[i] for i in used], [self.v[i] for i in used]
        torch._foreach_lerp_(m, g, 0.1)
        torch._foreach_mul_(v, 0.999)
        torch._foreach_addcmul_(v, g, g, 0.001)
        root = torch._foreach_sqrt(v)
        torch._foreach_add_(root, 1e-8)
        torch._foreach_addcdiv_(p, m, root, -lr * (1 - 0.999**self.t)**0.5 / (1 - 0.9**self.t))


def boosting_step(x, y, args):
    (layers, plain), (layers_vlc, plain_vlc) = rivals.boosting_shapes(CLASSES)
    p, q = parameters(layers, plain), parameters(layers_vlc, plain_vlc)
    glove, longest = torch.randn(CLASSES, 2, 300), 14
    words = torch.randn(len(x), longest + 1, 300)
    ids = torch.randint(1, 8001, (len(x), longest))
    counted = torch.ones(len(x), longest)
    drop = rivals.Drop(True)
    adam = torch.optim.Adam(list(p.values()), lr=5e-5, weight_decay=1e-3, fused=True)
    attention = [k for k in q if "Attn" in k]
    halves = [[k for k in q if k not in attention], attention]
    optimizers = [PlainAdam([q[k] for k in half]) for half in halves]
    tsm, vlc = maybe_compile(rivals.tsm, args), rivals.vlc

    def step():
        out = tsm(p, glove, x, drop)
        of_tsm, seen = out["attentions"][0][:, 0].detach(), None
        for half in (0, 1):
            for k in halves[half]:
                q[k].grad = None
            for k in halves[1 - half]:
                q[k].requires_grad_(False)
            of_vlc = vlc(q, x, words, drop)
            seen = of_vlc["attention"].detach() if half == 0 else seen
            loss = (rivals.language_loss(of_vlc, ids, counted) if half == 0 else
                    rivals.attention_loss(of_vlc, x, ids, counted, of_tsm))
            loss.backward()
            for k in halves[1 - half]:
                q[k].requires_grad_(True)
            torch.nn.utils.clip_grad_norm_(list(q.values()), 10.0)
            optimizers[half].step(1e-4)
        loss = rivals.tsm_loss(out, x, y, seen)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return step, list(p.values()) + list(q.values())


def main():
    if sys.argv[1:2] == ["--check"]:
        return check(sys.argv[2])
    args = options(__doc__.splitlines()[0], list(SIZES)).parse_args()
    start(args)
    measurement = Measurement()
    videos, frames = SIZES[args.work]
    x = torch.randn(videos, frames, 2048).clamp_(min=0)
    y = torch.zeros(videos, CLASSES)
    for v in range(videos):
        y[v, v // 2 % CLASSES] = 1
    if args.work != "wtalc":
        x = x.transpose(1, 2).contiguous()
    if args.work == "boosting":
        step, learned = boosting_step(x, y, args)
    else:
        p = parameters(getattr(rivals, args.work + "_shapes")(CLASSES))
        learned = list(p.values())
        rate, decay = RATES[args.work]
        adam = torch.optim.Adam(learned, lr=rate, weight_decay=decay, fused=True)
        method, drop = maybe_compile(getattr(rivals, args.work), args), rivals.Drop(True)

        def step():
            loss = method(p, x, y, drop)
            adam.zero_grad()
            loss.backward()
            adam.step()
    result = measurement.run(step, args)
    report(args, result, batch=videos, frames=frames, parameters=sum(v.numel() for v in learned))
    return 0


if __name__ == "__main__":
    sys.exit(main())
