"""The works of gpu_bench in PyTorch on the same card, at equal precision.

    gpu_peer.py                                    # every work in every mode, what compiles last
    gpu_peer.py --work gpu_step_b_bf16 --modes eager,compile
    gpu_peer.py --device cpu --tiny                # small, to see that it runs without a GPU
    gpu_peer.py --list                             # the works and their modes; needs no PyTorch

Exit status: 0, 75 where rows are missing (no time, or a mode that this PyTorch lacks), 77 without a GPU.

One JSON line for each work and mode; gpu_table.py puts them beside gpu_bench's. Times are of CUDA events around
`calls` works in the queue, as gpu_bench has them; on the CPU of the clock.

Modes: eager; compile (torch.compile); sdpa (scaled_dot_product_attention as PyTorch chooses it) and cudnn (cuDNN's
attention) beside attention written as products and a softmax, which is their eager; channels_last (convolutions,
cuDNN's in eager too).

Precision: f32 is float with allow_tf32 off for products and convolutions, tf32 is float with it on, bf16 is autocast
where tandem rounds the factors of products and keeps the rest as float (steps, gpu_linear_bf16), and tensors of
bfloat16 elsewhere: PyTorch then moves half of the bytes that tandem does between products. Sums of bfloat16 products
are float in both (allow_bf16_reduced_precision_reduction is off). TV-L1 has no peer in PyTorch.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import platform
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
STEPS, KINDS = ("b", "f", "warmup"), ("bf16", "tf32", "f32")


def works():
    """{name: modes}, in gpu_bench's order."""
    out = {"gpu_limit_copy": ["eager"]}
    out |= {f"gpu_limit_{kind}": ["eager"] for kind in KINDS}
    out |= {f"gpu_step_{step}_{kind}": ["eager", "compile"] for kind in KINDS for step in STEPS}
    out |= {f"gpu_clip_64_{kind}": ["eager", "compile"] for kind in KINDS}
    out |= {f"gpu_i3d_8_{kind}": ["eager", "channels_last", "compile"] for kind in ("bf16", "f32")}
    for tokens, training in ((197, False), (1000, False), (1000, True)):
        for kind in ("bf16", "f32"):
            out[f"gpu_attention_{tokens}_{'training_' if training else ''}{kind}"] = \
                ["eager", "sdpa"] + (["cudnn"] if kind == "bf16" else [])
    out |= {f"gpu_{op}": ["eager", "compile"] for op in ("softmax", "layer_norm", "gelu", "add", "column_sums", "to_bf16")}
    out["gpu_adam"] = ["eager"]
    out |= {f"gpu_linear_{kind}": ["eager", "compile"] for kind in ("bf16_kept", *KINDS)}
    out |= {f"gpu_conv3d_{kind}": ["eager", "channels_last"] for kind in ("bf16", "f32")}
    out["gpu_preprocess"] = ["eager"]
    return out


def kind_of(work):
    """bf16, tf32 or f32: the last word of a name, or the one before "kept"; f32 where none is named."""
    return next((word for word in reversed(work.split("_")) if word in KINDS), "f32")


class Peer:
    """Makes the calls that are timed."""

    def __init__(self, device, tiny):
        import torch
        self.torch, self.device, self.tiny = torch, device, tiny
        self.generator = torch.Generator(device).manual_seed(1)

    def sized(self, usual, less):
        return less if self.tiny else usual

    def numbers(self, *shape, dtype=None):
        x = self.torch.randn(*shape, generator=self.generator, device=self.device)
        return x if dtype is None else x.to(dtype)

    def set_precision(self, kind):
        backends, on = self.torch.backends, kind == "tf32"
        backends.cuda.matmul.allow_tf32 = on
        backends.cudnn.allow_tf32 = on
        backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        backends.cudnn.benchmark = True
        return {"matmul.allow_tf32": on, "cudnn.allow_tf32": on, "autocast_or_bf16": kind == "bf16"}

    def cost(self, work, calls):
        """Operations and bytes of `calls` works, of the limits alone: gpu_bench counts the others'."""
        if not work.startswith("gpu_limit"):
            return {}
        copied = 8 * self.sized(1 << 28, 1 << 12) if work == "gpu_limit_copy" else 0
        return {"bytes": calls * copied, "flops": 0 if copied else calls * 2 * self.sized(8192, 32) ** 3}

    def call(self, work, mode):
        """What is timed."""
        kind = kind_of(work)
        for name in ("limit", "step", "clip", "i3d", "attention", "linear", "conv3d", "preprocess"):
            if work.startswith(f"gpu_{name}_") or work == f"gpu_{name}":
                return getattr(self, name)(work, mode, kind)
        return self.op(work.removeprefix("gpu_"), mode)

    def compiled(self, f, mode):
        return self.torch.compile(f) if mode == "compile" else f

    def limit(self, work, mode, kind):
        torch = self.torch
        if work == "gpu_limit_copy":
            x = self.numbers(self.sized(1 << 28, 1 << 12))
            y = torch.empty_like(x)
            return lambda: y.copy_(x)
        n, dtype = self.sized(8192, 32), torch.bfloat16 if kind == "bf16" else torch.float32
        a, b = self.numbers(n, n, dtype=dtype), self.numbers(n, n, dtype=dtype)
        c = torch.empty(n, n, device=self.device, dtype=dtype)
        return lambda: torch.matmul(a, b.T, out=c)

    def op(self, name, mode):
        torch, F = self.torch, self.torch.nn.functional
        rows, width = self.sized(65536, 64), self.sized(768, 96)
        x = self.numbers(rows, width)
        if name == "adam":
            p = torch.nn.Parameter(x)
            p.grad = self.numbers(rows, width)
            adam = torch.optim.Adam([p], lr=1e-3, fused=True)
            return adam.step
        g, b, y = self.numbers(width), self.numbers(width), self.numbers(rows, width)
        f = {"softmax": lambda: torch.softmax(x, -1), "layer_norm": lambda: F.layer_norm(x, (width,), g, b),
             "gelu": lambda: F.gelu(x), "add": lambda: x + y, "column_sums": lambda: x.sum(0),
             "to_bf16": lambda: x.to(torch.bfloat16)}[name]
        return self.compiled(f, mode)

    def linear(self, work, mode, kind):
        torch, F = self.torch, self.torch.nn.functional
        m, width = self.sized(8192, 128), self.sized(768, 96)
        x, w, b = self.numbers(m, width), self.numbers(4 * width, width), self.numbers(4 * width)
        if work.endswith("kept"):
            x, w, b = (t.to(torch.bfloat16) for t in (x, w, b))

        def f():
            z = F.linear(x, w, b)
            return z * torch.sigmoid(1.702 * z)
        f = self.compiled(f, mode)

        def under_autocast():
            with torch.autocast(self.device, torch.bfloat16):
                return f()
        return under_autocast if work == "gpu_linear_bf16" else f

    def conv3d(self, work, mode, kind):
        torch = self.torch
        side, inputs, outputs = self.sized(56, 6), self.sized(64, 4), self.sized(192, 8)
        dtype = torch.bfloat16 if kind == "bf16" else torch.float32
        x, w = self.numbers(1, inputs, 8, side, side, dtype=dtype), self.numbers(outputs, inputs, 3, 3, 3, dtype=dtype)
        if mode == "channels_last":
            x, w = (t.to(memory_format=torch.channels_last_3d) for t in (x, w))
        return lambda: torch.nn.functional.conv3d(x, w, padding=1)

    def preprocess(self, work, mode, kind):
        torch, F = self.torch, self.torch.nn.functional
        height, width, size = self.sized(720, 45), self.sized(1280, 80), self.sized(224, 14)
        pictures = torch.full((self.sized(16, 2), height, width, 3), 99, dtype=torch.uint8, device=self.device)
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073], device=self.device)[:, None, None]
        deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711], device=self.device)[:, None, None]
        scaled = (size, round(size * width / height))
        left = (scaled[1] - size) // 2

        def step():
            x = pictures.permute(0, 3, 1, 2).float()
            x = F.interpolate(x, scaled, mode="bicubic", antialias=True)[..., left:left + size]
            return (x.round().clamp(0, 255) / 255 - mean) / deviation
        return step

    def attention(self, work, mode, kind):
        torch, F = self.torch, self.torch.nn.functional
        short = "_197_" in work
        batch, tokens, heads = ((self.sized(64, 2), self.sized(197, 19), self.sized(12, 2)) if short else
                                (self.sized(10, 2), self.sized(1000, 50), self.sized(8, 2)))
        dtype = torch.bfloat16 if kind == "bf16" else torch.float32
        qkv = self.numbers(batch, tokens, 3, heads, 64, dtype=dtype)
        dy = self.numbers(batch, tokens, heads * 64, dtype=dtype)
        training = "_training_" in work
        qkv.requires_grad_(training)

        def forward():
            q, k, v = qkv.permute(2, 0, 3, 1, 4)
            if mode == "eager":
                y = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(64), -1) @ v
            elif mode == "cudnn":
                with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.CUDNN_ATTENTION):
                    y = F.scaled_dot_product_attention(q, k, v)
            else:
                y = F.scaled_dot_product_attention(q, k, v)
            return y.transpose(1, 2).reshape(batch, tokens, heads * 64)

        def train():
            forward().backward(dy)
            qkv.grad = None
        return train if training else forward

    def clip(self, work, mode, kind):
        torch = self.torch
        from clip_peer import ImageEncoder
        sizes = dict(resolution=32, width=48, layers=2, heads=3) if self.tiny else {}
        with torch.device(self.device):  # a GPU draws the weights faster
            model = ImageEncoder(**sizes).eval().requires_grad_(False)
        side = sizes.get("resolution", 224)
        x = self.numbers(self.sized(64, 2), 3, side, side)
        if kind == "bf16":
            model, x = model.to(torch.bfloat16), x.to(torch.bfloat16)
        f = self.compiled(model, mode)
        return lambda: f(x)

    def i3d(self, work, mode, kind):
        torch = self.torch
        from i3d_peer import Features, folded
        from i3d_reference import I3D, randomize
        torch.set_default_dtype(torch.float32)  # the golden generators' default is double
        with torch.device(self.device):
            made = I3D(3, **(dict(narrow=16, window=(2, 2, 2)) if self.tiny else {}))
            model = Features(folded(randomize(made, self.generator).eval())).eval()
        side = self.sized(224, 33)
        x = self.numbers(self.sized(8, 1), 3, 16, side, side)
        if kind == "bf16":
            model, x = model.to(torch.bfloat16), x.to(torch.bfloat16)
        if mode != "eager":
            model, x = (t.to(memory_format=torch.channels_last_3d) for t in (model, x))
        f = self.compiled(model, mode)
        return lambda: f(x)

    def step(self, work, mode, kind):
        from gpu_step_peer import step
        return step(self, work.split("_")[2], mode, kind)


def measure(peer, call, calls, samples, budget):
    """(seconds of a sample of `calls` works): events on a GPU, the clock on the CPU."""
    torch, out = peer.torch, []

    def sample():
        if peer.device == "cpu":
            start = time.perf_counter()
            for _ in range(calls):
                call()
            return time.perf_counter() - start
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        first.record()
        for _ in range(calls):
            call()
        last.record()
        last.synchronize()
        return first.elapsed_time(last) / 1000
    for _ in range(3):
        call()
    if peer.device != "cpu":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    while len(out) < samples and (len(out) < 3 or time.perf_counter() - begin < budget):
        out.append(sample())
    return out


def calls_of(work):
    """As many as gpu_bench puts into the queue."""
    if work.startswith(("gpu_step", "gpu_clip")):
        return 5
    return 3 if work.startswith("gpu_i3d") else 10 if "attention" in work or work[10:] in KINDS else 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = works()
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--work", choices=list(known), action="append", help="this one (again for more); all if not given")
    parser.add_argument("--modes", help="these only, e.g. eager,sdpa")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--budget", type=float, default=0.5, help="seconds of samples of a work, at least three")
    parser.add_argument("--most", type=float, default=math.inf, help="seconds after which no further work is begun")
    parser.add_argument("--list", action="store_true", help="print the works and their modes")
    args = parser.parse_args()
    modes = args.modes.split(",") if args.modes else ["eager", "sdpa", "cudnn", "channels_last", "compile"]
    rows = [(work, mode) for work in (args.work or known) for mode in known[work] if mode in modes]
    rows.sort(key=lambda row: row[1] == "compile")  # which takes long, comes last
    if args.list:
        print("\n".join(" ".join(row) for row in rows))
        return 0
    begin = time.monotonic()
    sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests" / "golden")]
    import torch
    if args.device == "cuda" and not torch.cuda.is_available():
        print("gpu_peer.py: skipped: PyTorch sees no GPU")
        return 77
    versions = {"torch": torch.__version__, "python": platform.python_version(), "cuda": torch.version.cuda,
                "cudnn": torch.backends.cudnn.version()}
    card = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    failed = 0
    for number, (work, mode) in enumerate(rows):
        if time.monotonic() - begin > args.most:
            print(f"gpu_peer.py: stopped after {args.most:g} s: {len(rows) - number} of {len(rows)} rows were not measured",
                  file=sys.stderr)
            return 75
        if args.device == "cpu" and (mode == "cudnn" or work == "gpu_i3d_8_bf16"):  # no pool of bfloat16 there
            continue
        try:
            peer = Peer(args.device, args.tiny)
            flags = peer.set_precision(kind_of(work))
            torch.manual_seed(1)
            calls = 2 if args.tiny else calls_of(work)
            learns = "training" in work or work.startswith("gpu_step") or work == "gpu_adam"
            with torch.set_grad_enabled(learns):
                call = peer.call(work, mode)
                seconds = measure(peer, call, calls, args.samples, args.budget)
        except Exception as error:  # a mode that PyTorch lacks here does not stop the others
            failed += 1
            print(f"gpu_peer.py: {work} {mode}: {type(error).__name__}: {str(error).splitlines()[0][:200]}", file=sys.stderr)
            continue
        print(json.dumps({"work": work, "mode": mode, "seconds_min": min(seconds), "seconds_median": statistics.median(seconds),
                          "samples": len(seconds), "calls": calls, **peer.cost(work, calls), "precision": kind_of(work), "flags": flags, "card": card,
                          "versions": versions}), flush=True)
        call = peer = None
        if mode == "compile":
            torch.compiler.reset()
    if failed:
        print(f"gpu_peer.py: {failed} of {len(rows)} rows failed, for the reasons above", file=sys.stderr)
    return 75 if failed else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # compile's workers would be waited for
