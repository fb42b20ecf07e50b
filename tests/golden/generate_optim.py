"""Optimizer trajectories and schedules from PyTorch in float64 → optim.npz.

`grads` (20, n) are given gradients, `start` (n) the first parameters. `<optimizer>.params` (20, n)
holds the parameters after each step, `<optimizer>.options` the numbers that `columns` in the
provenance names.
"""
import math

import torch
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from golden_common import Golden

STEPS, SIZE = 20, 11
g = Golden("optim", 11, {
    "columns.sgd": ["lr", "momentum", "nesterov", "weight_decay"],
    "columns.adam": ["lr", "beta1", "beta2", "eps", "weight_decay"],
    "schedule.cosine": "lr * (1 + cos(pi * step / total)) / 2, lr 0.1, minimum 0.01",
    "schedule.warmup_cosine": "linear lr * (step + 1) / warmup for step < 5, then cosine to 0 over "
                              "the other 15 steps, lr 0.1",
    "clip_grad_norm": "torch: scale = max_norm / (norm + 1e-6) when below 1"})
grads, start = g.randn(STEPS, SIZE), g.randn(SIZE)
g.put("grads", grads)
g.put("start", start)


def trajectory(name, make, options):
    p = torch.nn.Parameter(start.clone())
    optimizer, rows = make([p]), []
    for grad in grads:
        p.grad = grad.clone()
        optimizer.step()
        rows.append(p.detach().clone())
    g.put(f"{name}.params", torch.stack(rows))
    g.put(f"{name}.options", torch.tensor(options))


for name, lr, momentum, nesterov, wd in [
        ("sgd.plain", 0.05, 0, False, 0), ("sgd.momentum", 0.05, 0.9, False, 0),
        ("sgd.nesterov", 0.05, 0.9, True, 0), ("sgd.nesterov_decay", 0.05, 0.9, True, 0.01)]:
    trajectory(name, lambda p: SGD(p, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=wd),
               [lr, momentum, float(nesterov), wd])
for name, kind, lr, b1, b2, eps, wd in [
        ("adam.default", Adam, 0.01, 0.9, 0.999, 1e-8, 0),
        ("adam.decay", Adam, 0.01, 0.8, 0.99, 1e-6, 0.1),
        ("adamw.decay", AdamW, 0.01, 0.9, 0.999, 1e-8, 0.1)]:
    trajectory(name, lambda p: kind(p, lr=lr, betas=(b1, b2), eps=eps, weight_decay=wd),
               [lr, b1, b2, eps, wd])

# Learning rates used at step 0, 1, …
optimizer = SGD([torch.nn.Parameter(start.clone())], lr=0.1)
schedule, rates = CosineAnnealingLR(optimizer, STEPS, eta_min=0.01), []
for _ in range(STEPS):
    rates.append(optimizer.param_groups[0]["lr"])
    optimizer.step()
    schedule.step()
closed = [0.01 + 0.09 * (1 + math.cos(math.pi * s / STEPS)) / 2 for s in range(STEPS)]
assert max(abs(a - b) for a, b in zip(rates, closed)) < 1e-12
g.put("schedule.cosine", torch.tensor(closed))
g.put("schedule.warmup_cosine", torch.tensor(
    [0.1 * (s + 1) / 5 if s < 5 else 0.1 * (1 + math.cos(math.pi * (s - 5) / 15)) / 2
     for s in range(STEPS)]))

# Gradient clipping over two tensors.
a, b = g.randn(3, 4), g.randn(5)
for name, limit in [("clip.active", 1.5), ("clip.idle", 100.0)]:
    params = [torch.nn.Parameter(torch.zeros_like(t)) for t in (a, b)]
    for p, t in zip(params, (a, b)):
        p.grad = t.clone()
    norm = torch.nn.utils.clip_grad_norm_(params, limit)
    g.put(f"{name}.a", a)
    g.put(f"{name}.b", b)
    g.put(f"{name}.max_norm", torch.tensor(limit))
    g.put(f"{name}.norm", norm)
    g.put(f"{name}.out_a", params[0].grad)
    g.put(f"{name}.out_b", params[1].grad)
g.write()
