"""Schedules, parameter groups and moving averages from PyTorch in float64 → schedules.npz.

`<schedule>` holds the learning rates used at step 0, 1, … with a base rate of 0.1. `groups.*`: two groups
under OneCycleLR-like changes of the rate; `ema.*`: parameters after each step and their averages.
"""
import warnings

import torch
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import (CosineAnnealingWarmRestarts, ExponentialLR, OneCycleLR, ReduceLROnPlateau,
                                      StepLR)
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from golden_common import Golden

warnings.simplefilter("ignore")
STEPS = 40
g = Golden("schedules", 12, {"rates": "lr 0.1; cosine restarts end at 0.01"})


def rates(name, make, steps=STEPS, measures=None):
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule, used = make(optimizer), []
    for i in range(steps):
        if measures is None:
            used.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        else:  # after the measure
            schedule.step(measures[i])
            used.append(optimizer.param_groups[0]["lr"])
    g.put(name, torch.tensor(used))


rates("step", lambda o: StepLR(o, 7, 0.3))
rates("exponential", lambda o: ExponentialLR(o, 0.9))
rates("restarts", lambda o: CosineAnnealingWarmRestarts(o, 8, eta_min=0.01))
rates("restarts_growing", lambda o: CosineAnnealingWarmRestarts(o, 3, T_mult=2, eta_min=0.01))
rates("one_cycle", lambda o: OneCycleLR(o, 0.1, total_steps=STEPS))
rates("one_cycle_other", lambda o: OneCycleLR(o, 0.1, total_steps=STEPS, pct_start=0.45, div_factor=10, final_div_factor=100))
measures = torch.cat([torch.linspace(2, 1, 8), torch.ones(14) * 0.99995, torch.linspace(0.9, 0.8, 6), torch.ones(12)])
g.put("measures", measures)
rates("plateau", lambda o: ReduceLROnPlateau(o, factor=0.5, patience=3), measures=measures.tolist())
rates("plateau_cooldown", lambda o: ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=2, min_lr=0.02, threshold=1e-2),
      measures=measures.tolist())
rates("plateau_max", lambda o: ReduceLROnPlateau(o, mode="max", factor=0.2, patience=4), measures=measures.tolist())

# Two groups: the second at a tenth of the rate and without decay; the rate halves after step 5.
start, grads = g.randn(7), g.randn(10, 7)
g.put("groups.start", start)
g.put("groups.grads", grads)
for name, kind in (("adamw", lambda p: AdamW(p, lr=0.02, weight_decay=0.3)),
                   ("sgd", lambda p: SGD(p, lr=0.02, weight_decay=0.3, momentum=0.9))):
    a, b = torch.nn.Parameter(start[:4].clone()), torch.nn.Parameter(start[4:].clone())
    optimizer, rows = kind([{"params": [a]}, {"params": [b], "lr": 0.002, "weight_decay": 0}]), []
    for i, grad in enumerate(grads):
        if i == 5:
            for group in optimizer.param_groups:
                group["lr"] /= 2
        a.grad, b.grad = grad[:4].clone(), grad[4:].clone()
        optimizer.step()
        rows.append(torch.cat([a.detach(), b.detach()]))
    g.put(f"groups.{name}", torch.stack(rows))

# AveragedModel's first update copies; those after it average.
model = torch.nn.Linear(3, 2)
average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
values, averages = [], []
for _ in range(6):
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(g.randn(*p.shape))
    average.update_parameters(model)
    values.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    averages.append(torch.cat([p.detach().flatten() for p in average.module.parameters()]))
g.put("ema.values", torch.stack(values))
g.put("ema.averages", torch.stack(averages))
g.write()
