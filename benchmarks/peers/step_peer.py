"""One training step of DCL in PyTorch at THUMOS14 size: warm-up, B step or F step.

    step_peer.py --work warmup|b|f --threads 2 --mode eager|compile --repeat 5 [--positions 38]
                 [--dtype bfloat16]                      # the branches under autocast, the losses not

Both the features and the pseudo-labels are synthetic and follow from --seed: about 10 % of the
frames are confident foreground and 50 % confident background. The teacher's forward and its own
pseudo-labels are computed as in training; the given H is what the student learns, so that every
program that is compared does the same work.
"""
import torch

import dcl_torch as dcl
from peer_common import Measurement, maybe_compile, options, report, start


def synthetic_h(y, t, generator):
    """H (B, T, C) in runs of frames, like real pseudo-labels: 10 % foreground of a class of the label,
    50 % background, the rest undecided in the label's classes."""
    b, c = y.shape
    h = torch.zeros(b, t, c)
    run = 10
    for v in range(b):
        own = torch.nonzero(y[v])[:, 0]
        kinds = torch.rand(t // run + 1, generator=generator)
        for i, kind in enumerate(kinds.tolist()):
            rows = slice(i * run, min((i + 1) * run, t))
            if kind < 0.1:
                h[v, rows, own[i % len(own)]] = 1
            elif kind > 0.6:
                h[v, rows, own] = -1
    return h


def main():
    parser = options(__doc__.splitlines()[0], ["warmup", "b", "f"])
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--text-layers", type=int, default=12)
    parser.add_argument("--vocabulary", type=int, default=49408)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--positions", type=int, default=77,
                        help="text positions computed: 77, or 38 = up to the longest EOT here")
    args = parser.parse_args()
    start(args)
    measurement = Measurement()
    b, t, c, w = args.batch, args.frames, args.classes, args.width
    generator = torch.Generator().manual_seed(args.seed)

    # Every video has full length, so no mask is passed: PyTorch's fastest attention path.
    y = torch.zeros(b, c)
    for v in range(b):
        y[v, torch.randperm(c, generator=generator)[:1 + v % 2]] = 1
    valid = torch.ones(b, t, dtype=torch.bool)
    h = synthetic_h(y, t, generator)
    fg, bg, _ = dcl.confident(h, y, valid)
    i3d = torch.randn(b, t, 2048, generator=generator).clamp_(min=0)
    cbp = dcl.CBPBranch(c, 2048, w, max_len=t)

    def under_autocast(branch):
        """The branch as it is called: in bfloat16 where autocast wants that, with float results."""
        compiled = maybe_compile(branch, args)
        if args.dtype == "float32":
            return compiled

        def forward(*inputs):
            with torch.autocast("cpu", torch.bfloat16):
                f, s = compiled(*inputs)
            return f.float(), s.float()
        return forward

    cbp_forward = under_autocast(cbp)
    kd = maybe_compile(dcl.loss_kd, args)

    def total(s, f):
        return kd(h, torch.sigmoid(s), y, valid) + 0.05 * dcl.loss_fb(f, h, y, valid)

    if args.work == "warmup":
        optimizer = torch.optim.Adam(cbp.parameters(), lr=1e-4, fused=True)
        students = [cbp]

        def step():
            loss = dcl.loss_cls(cbp_forward(i3d)[1], y, valid)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    else:
        text = dcl.TextTransformer(args.vocabulary, 77, w, args.text_layers, 8, w)
        names = [list(range(100 + 10 * k, 101 + 10 * k + k % 4)) for k in range(c)]
        prompts = dcl.PromptLearner(names, args.vocabulary - 2, args.vocabulary - 1, w,
                                    length=args.positions)
        vlp = dcl.VLPBranch(text, prompts, dcl.TemporalTransformer(w, max_len=t))
        clip = torch.randn(b, t, w, generator=generator)
        vlp_forward = under_autocast(vlp)
        students = [vlp] if args.work == "b" else [cbp]
        learned = vlp.learned() if args.work == "b" else list(cbp.parameters())
        optimizer = torch.optim.Adam(learned, lr=1e-4, fused=True)
        with torch.no_grad():
            cached = vlp.text_features()

        def step_b():
            with torch.no_grad():
                dcl.pseudo_labels(torch.sigmoid(cbp_forward(i3d)[1]), y, valid)
            f, s = vlp_forward(clip)
            loss = total(s, f)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        def step_f():
            with torch.no_grad():
                dcl.pseudo_labels(torch.sigmoid(vlp_forward(clip, None, cached)[1]), y, valid)
            f, s = cbp_forward(i3d)
            loss = total(s, torch.nn.functional.normalize(f, dim=-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        step = step_b if args.work == "b" else step_f

    result = measurement.run(step, args)
    report(args, result, dtype=args.dtype, batch=b, frames=t, classes=c, width=w,
           positions=args.positions if args.work == "b" else None,
           foreground=round(fg.float().mean().item(), 3),
           background=round(bg.float().mean().item(), 3),
           parameters=sum(p.numel() for m in students for p in m.parameters() if p.requires_grad))


if __name__ == "__main__":
    main()
