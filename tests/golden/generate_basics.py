"""Writes basics.npz: elementwise ops, reductions and shapes of PyTorch in float64, with gradients.

    python3 tests/golden/generate_basics.py
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from golden_common import Golden

g = Golden("basics", 20261130, {
    "case": "<key>.<input>, <key>.out, <key>.cot (the cotangent), <key>.d_<input>",
    "tails": "19 points over [-6, 6], or above 0"})

# Elementwise. Ties share the gradient.
wide = torch.linspace(-6, 6, 19)
for name, fn in [("sin", lambda x: x.sin()), ("cos", lambda x: x.cos()), ("silu", lambda x: F.silu(x)),
                 ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh")),
                 ("leaky_relu", lambda x: F.leaky_relu(x, 0.2))]:
    g.case(f"{name}.tails", fn, x=wide)
g.case("log1p.tails", lambda x: x.log1p(), x=torch.linspace(-0.9, 6, 19))
g.case("rsqrt.tails", lambda x: x.rsqrt(), x=torch.linspace(0.1, 6, 19))
a, b = g.randint(4, 3, 7).double(), g.randint(4, 7).double()
assert (a == b).any()
g.case("maximum.ties", lambda a, b: torch.maximum(a, b), a=a, b=b)
g.case("minimum.ties", lambda a, b: torch.minimum(a, b), a=a, b=b)
a, b = g.randn(3, 7) * 5, g.randn(3, 1) * 2
g.case("remainder.tensors", lambda a, b: torch.remainder(a, b), a=a, b=b)
g.case("remainder.minus_1_5", lambda a: torch.remainder(a, -1.5), a=a)
g.put("remainder.integers", torch.remainder(torch.arange(-7, 8)[:, None], torch.tensor([-3, 2, 5])))
mask = g.randint(2, 5).to(torch.uint8)
g.case("masked_fill.row", lambda x, mask: x.masked_fill(mask.bool(), 2.5), {"mask": mask},
       x=g.randn(3, 5))

# Reductions.
x = g.randn(2, 3, 5)
g.case("var.dim1", lambda x: x.var(1), x=x)
g.case("var.biased", lambda x: x.var((0, 2), correction=0, keepdim=True), x=x)
g.case("stddev.all", lambda x: x.std(), x=x)
constant = torch.cat([x[:1], torch.full((1, 3, 5), 0.5)])
g.case("stddev.of_constants", lambda x: x.std(-1), x=constant)
holes = torch.cat([x[:1], torch.zeros(1, 3, 5)])
for p in (1, 2, float("inf")):
    g.case(f"norm.p{p}", lambda x, p=p: torch.linalg.vector_norm(x, p, (0, 2)), x=x)
g.case("norm.of_zeros", lambda x: torch.linalg.vector_norm(x, 2, -1), x=holes)
zeros = x.clone()
zeros[0, 0, 1] = zeros[1, 2, 0] = zeros[1, 2, 3] = 0  # one zero in a row, and two
g.case("prod.dim2", lambda x: x.prod(2), x=zeros)
g.case("prod.dim0", lambda x: x.prod(0, keepdim=True), x=zeros)
g.case("prod.all", lambda x: x.prod(), x=zeros[0, :, 1:])

# Shapes.
x = g.randn(4, 5)
g.case("repeat.rows", lambda x: x.repeat(2, 1, 3), x=x)
g.case("flip.both", lambda x: x.flip(0, 1), x=x)
g.case("roll.two", lambda x: x.roll((1, -2), (0, 1)), x=x)
g.case("tril.minus_1", lambda x: x.tril(-1), x=x)
g.case("triu.plus_1", lambda x: x.triu(1), x=x)
ties = g.randint(3, 4, 5).double()
g.case("sort.rising", lambda x: x.sort(dim=1, stable=True).values, x=ties)
g.put("sort.rising.indices", ties.sort(dim=1, stable=True).indices)
g.case("sort.falling", lambda x: x.sort(dim=0, descending=True, stable=True).values, x=ties)
g.put("sort.falling.indices", ties.sort(dim=0, descending=True, stable=True).indices)
g.put("nonzero.indices", ties.nonzero())

g.write()
