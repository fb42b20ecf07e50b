"""Golden values of single ops from PyTorch in float64 → ops.npz.

Every case <op>.<variant> has its inputs by name, `out`, a random cotangent `cot` and the gradients
`d_<input>` of sum(out · cot). Masks and indices are uint8 and int64. Scalars are 0-d arrays.
"""
import torch
import torch.nn.functional as F

from golden_common import Golden

g = Golden("ops", 20230613, {
    "mask": "uint8, 1 = take part", "gelu": "exact, erf", "quick_gelu": "x * sigmoid(1.702 x)",
    "layer_norm": "eps 1e-5, biased variance", "sdpa": "scale 1/sqrt(head width)",
    "max_min": "no ties in the input", "topk": "sorted descending, along dim 1"})

# Arithmetic with broadcasting.
for name, fn in [("add", torch.add), ("sub", torch.sub), ("mul", torch.mul), ("div", torch.div)]:
    b = g.randn(3, 1)
    b = b.sign() * (b.abs() + 0.5) if name == "div" else b
    g.case(f"{name}.broadcast", lambda a, b, fn=fn: fn(a, b), a=g.randn(2, 1, 5), b=b)
g.case("div.same", lambda a, b: a / b, a=g.randn(7), b=g.rand(7) + 0.5)

# Elementwise. The inputs reach into the tails.
wide = torch.linspace(-9, 9, 19) + 0.013
for name, fn, x in [
        ("exp", torch.exp, wide), ("log", torch.log, g.rand(19) * 9 + 0.01),
        ("sqrt", torch.sqrt, g.rand(19) * 9 + 0.01), ("tanh", torch.tanh, wide),
        ("sigmoid", torch.sigmoid, wide * 4), ("relu", torch.relu, wide),
        ("gelu", F.gelu, wide), ("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x), wide),
        ("neg", torch.neg, wide), ("abs", torch.abs, wide)]:
    g.case(f"{name}.tails", lambda x, fn=fn: fn(x), x=x)
g.case("clamp.both", lambda x: x.clamp(-0.5, 0.7), x=g.randn(3, 7))
g.case("where.broadcast", lambda mask, a, b: torch.where(mask.bool(), a, b),
       mask=g.randint(2, 3, 5).to(torch.uint8), a=g.randn(3, 5), b=g.randn(5))

# Reductions.
x = g.randn(2, 3, 5)
g.case("sum.all", lambda x: x.sum(), x=x)
g.case("sum.dim1", lambda x: x.sum(1), x=x)
g.case("sum.dims02_keepdim", lambda x: x.sum((0, 2), keepdim=True), x=x)
g.case("mean.all", lambda x: x.mean(), x=x)
g.case("mean.dim2_keepdim", lambda x: x.mean(2, keepdim=True), x=x)
for name in ("max", "min"):
    g.case(f"{name}.dim1", lambda x, name=name: getattr(x, name)(1).values, x=x)
    g.put(f"{name}.dim1.indices", getattr(x, name)(1).indices)
g.case("logsumexp.dim1", lambda x: x.logsumexp(1), x=x)
g.case("logsumexp.dim2_large", lambda x: x.logsumexp(2), x=x * 300)
g.case("cumsum.dim1", lambda x: x.cumsum(1), x=x)

# Matrix products.
g.case("matmul.2d", lambda a, b: a @ b, a=g.randn(3, 7), b=g.randn(7, 5))
g.case("matmul.batched", lambda a, b: a @ b, a=g.randn(2, 3, 4), b=g.randn(2, 4, 5))
g.case("matmul.broadcast", lambda a, b: a @ b, a=g.randn(2, 1, 3, 4), b=g.randn(3, 4, 5))
g.case("matmul.batched_by_2d", lambda a, b: a @ b, a=g.randn(2, 3, 4), b=g.randn(4, 5))

# Softmax with a mask: masked entries are 0 in softmax; in log_softmax `out` keeps the unmasked
# entries and has 0 at the masked ones (true value −inf), where the cotangent plays no part.
mask = torch.tensor([[1, 1, 0, 1, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]], dtype=torch.uint8)
for name, fn in [("softmax", torch.softmax), ("log_softmax", torch.log_softmax)]:
    g.case(f"{name}.last", lambda x, fn=fn: fn(x, -1), x=g.randn(3, 5))
    g.case(f"{name}.dim1", lambda x, fn=fn: fn(x, 1), x=g.randn(2, 3, 4))
    g.case(f"{name}.large", lambda x, fn=fn: fn(x, -1), x=g.randn(2, 5) * 200)
    g.case(f"{name}.masked", lambda x, mask, fn=fn: fn(
        x.masked_fill(mask == 0, -1e300), -1).masked_fill(mask == 0, 0), x=g.randn(3, 5), mask=mask)

g.case("layer_norm.affine", lambda x, weight, bias: F.layer_norm(x, (7,), weight, bias, 1e-5),
       x=g.randn(2, 3, 7) * 2 + 1, weight=g.randn(7), bias=g.randn(7))
g.case("layer_norm.plain", lambda x: F.layer_norm(x, (7,), eps=1e-5), x=g.randn(4, 7))

# Attention: (B, heads, T, head width). The masks are over keys, (B, T_k).
def sdpa(q, k, v, mask=None, causal=False):
    mask = None if mask is None else mask.bool()[:, None, None, :]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)

keys = torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1] * 7], dtype=torch.uint8)
def qkv(tq=7, tk=7):
    return dict(q=g.randn(2, 2, tq, 3), k=g.randn(2, 2, tk, 3), v=g.randn(2, 2, tk, 3))

g.case("sdpa.plain", sdpa, **qkv())
g.case("sdpa.causal", lambda q, k, v: sdpa(q, k, v, causal=True), **qkv())
g.case("sdpa.padding", sdpa, {"mask": keys}, **qkv())
g.case("sdpa.cross", sdpa, **qkv(tq=4))

# Indexing.
g.case("embedding.rows", lambda ids, weight: F.embedding(ids, weight),
       ids=torch.tensor([[3, 0, 3], [5, 1, 3]]), weight=g.randn(6, 4))
index = torch.tensor([[0, 2, 2, 1], [1, 1, 0, 3]])
g.case("gather.dim1", lambda x, index: x.gather(1, index), x=g.randn(2, 4), index=index)
g.case("gather.dim0", lambda x, index: x.gather(0, index), x=g.randn(4, 3),
       index=torch.tensor([[3, 0, 1], [3, 2, 1]]))
g.case("scatter_add.dim1", lambda x, index, src: x.scatter_add(1, index, src), x=g.randn(2, 5),
       index=index, src=g.randn(2, 4))
x = g.randn(2, 9, 3)
g.case("topk.k4", lambda x: x.topk(4, dim=1).values, x=x)
g.put("topk.k4.indices", x.topk(4, dim=1).indices)
g.case("l2_normalize.last", lambda x: F.normalize(x, dim=-1, eps=1e-12), x=g.randn(3, 5))

# Losses (mean reduction).
g.case("cross_entropy.mean", F.cross_entropy, input=g.randn(4, 5),
       target=torch.tensor([1, 0, 4, 2]))
g.case("bce_with_logits.mean", lambda input, target: F.binary_cross_entropy_with_logits(
    input, target.detach()), input=g.randn(4, 5) * 20, target=g.rand(4, 5))
g.case("mse.mean", lambda input, target: F.mse_loss(input, target), input=g.randn(4, 5),
       target=g.randn(4, 5))

# Shapes.
g.case("cat.dim1", lambda a, b: torch.cat([a, b], 1), a=g.randn(2, 3), b=g.randn(2, 4))
g.case("stack.dim1", lambda a, b: torch.stack([a, b], 1), a=g.randn(2, 3), b=g.randn(2, 3))
g.case("pad.constant", lambda x: F.pad(x, (1, 2, 0, 1), value=0.25), x=g.randn(2, 3))

# Later cases come last: those above keep their random numbers.
g.case("square.tails", lambda x: torch.square(x), x=wide)
g.case("softplus.tails", lambda x: F.softplus(x, threshold=1e9), x=wide * 4)
g.case("pow.p2_5", lambda x: x ** 2.5, x=g.rand(19) * 9 + 0.01)
g.case("pow.minus_3", lambda x: x ** -3.0, x=g.rand(19) * 9 + 0.5)
g.case("clamp_min.half", lambda x: x.clamp(min=-0.5), x=g.randn(3, 7))
g.case("clamp_max.half", lambda x: x.clamp(max=0.5), x=g.randn(3, 7))
g.case("where.scalar", lambda mask, a: torch.where(mask.bool(), a, 2.5),
       mask=g.randint(2, 3, 5).to(torch.uint8), a=g.randn(3, 5))
x = g.randn(2, 3, 5)
g.case("argmin.dim1", lambda x: x.min(1).values, x=x)
g.put("argmin.dim1.indices", x.argmin(1))
g.case("cumsum.dim0", lambda x: x.cumsum(0), x=g.randn(4, 3))
g.case("index_select.dim1", lambda index, x: x.index_select(1, index),
       index=torch.tensor([3, 0, 3, 2]), x=g.randn(2, 4, 3))
g.case("scatter_add.dim0", lambda x, index, src: x.scatter_add(0, index, src), x=g.randn(4, 3),
       index=torch.tensor([[3, 0, 1], [3, 2, 1]]), src=g.randn(2, 3))
g.case("topk.smallest3", lambda x: x.topk(3, dim=0, largest=False).values, x=g.randn(7, 3))
g.case("l2_normalize.dim0", lambda x: F.normalize(x, dim=0, eps=1e-12), x=g.randn(3, 5))
g.case("cat.three", lambda a, b, c: torch.cat([a, b, c], 0), a=g.randn(2, 3), b=g.randn(1, 3),
       c=g.randn(4, 3))
g.case("stack.last", lambda a, b: torch.stack([a, b], -1), a=g.randn(2, 3), b=g.randn(2, 3))
for name, fn in [("none", lambda z: z), ("relu", torch.relu), ("gelu", F.gelu),
                 ("quick_gelu", lambda z: z * torch.sigmoid(1.702 * z))]:
    g.case(f"linear.{name}", lambda x, weight, bias, residual, fn=fn: fn(
        F.linear(x, weight, bias)) + residual, x=g.randn(2, 3, 7), weight=g.randn(5, 7),
        bias=g.randn(5), residual=g.randn(2, 3, 5))
g.case("cross_entropy.ignore_sum", lambda input, target: F.cross_entropy(
    input, target, ignore_index=1, reduction="sum"), input=g.randn(4, 5),
    target=torch.tensor([1, 0, 4, 1]))
g.case("cross_entropy.probabilities", lambda input, target: F.cross_entropy(
    input, target.detach(), reduction="none"), input=g.randn(4, 5), target=g.rand(4, 5).softmax(-1))
g.case("bce_with_logits.weight_none", lambda input, target, weight:
       F.binary_cross_entropy_with_logits(input, target.detach(), weight.detach(),
                                          reduction="none"),
       input=g.randn(4, 5) * 3, target=g.rand(4, 5), weight=g.rand(4, 5))
g.case("mse.sum", lambda input, target: F.mse_loss(input, target, reduction="sum"),
       input=g.randn(3, 7), target=g.randn(3, 7))

g.write()
