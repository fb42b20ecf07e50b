"""Golden values of the layers for sequences and images from PyTorch in float64 → layers.npz.

Cases as in generate_ops.py.
"""
import torch
import torch.nn.functional as F

from golden_common import Golden

g = Golden("layers", 20261130)


def conv(name, shape, out, kernel, groups=1, bias=True, **options):
    axes = len(shape) - 2
    run = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[axes]
    inputs = dict(x=g.randn(*shape), weight=g.randn(out, shape[1] // groups, *kernel))
    if bias:
        inputs["bias"] = g.randn(out)
    g.case(f"conv{axes}d.{name}", lambda x, weight, bias=None: run(x, weight, bias, groups=groups, **options), **inputs)


conv("plain", (2, 3, 9), 4, (3,))
conv("same_even", (2, 3, 9), 4, (4,), padding="same")
conv("dilated", (2, 4, 17), 3, (3,), stride=2, padding=4, dilation=3)
conv("same_dilated", (2, 4, 11), 3, (3,), padding="same", dilation=4)
conv("grouped", (2, 6, 8), 4, (3,), groups=2, padding=1, bias=False)
conv("depthwise", (2, 5, 9), 10, (4,), groups=5, padding="same", dilation=2)
conv("plain", (2, 3, 6, 7), 4, (3, 3), padding=1)
conv("strided", (2, 3, 9, 8), 4, (5, 2), stride=(2, 3), padding=(2, 1))
conv("same", (1, 2, 5, 6), 3, (3, 4), padding="same", dilation=(1, 2))
conv("dilated", (1, 4, 9, 11), 3, (3, 2), stride=(1, 2), padding=(2, 0), dilation=(2, 3), bias=False)
conv("grouped", (2, 6, 5, 4), 9, (3, 3), groups=3, padding=1)
conv("depthwise", (1, 4, 7, 6), 4, (3, 3), groups=4, padding=2, dilation=2)
conv("pointwise_grouped", (2, 4, 3, 5), 6, (1, 1), groups=2)
conv("dilated", (1, 2, 5, 7, 6), 3, (2, 3, 2), stride=(2, 1, 1), padding=(1, 2, 0), dilation=(3, 2, 1))
conv("grouped", (2, 4, 3, 4, 5), 6, (1, 3, 3), groups=2, padding=(0, 1, 1))

# No ties in the inputs of max pools.
line, image = g.randn(2, 3, 11), g.randn(2, 2, 7, 9)
g.case("max_pool1d.padded", lambda x: F.max_pool1d(x, 3, 2, 1), x=line)
g.case("avg_pool1d.padded", lambda x: F.avg_pool1d(x, 4, 3, 2), x=line)
g.case("max_pool2d.plain", lambda x: F.max_pool2d(x, 2), x=image)
g.case("max_pool2d.padded", lambda x: F.max_pool2d(x, (3, 2), (1, 2), (1, 0)), x=image)
g.case("avg_pool2d.padded", lambda x: F.avg_pool2d(x, 3, 2, 1), x=image)
g.case("avg_pool2d.inside", lambda x: F.avg_pool2d(x, 3, (1, 2), 1, count_include_pad=False), x=image)

for name, shape, groups in [("image", (2, 6, 3, 4), 3), ("rows", (5, 4), 2), ("instance", (2, 3, 7), 3)]:
    g.case(f"group_norm.{name}", lambda x, weight, bias: F.group_norm(x, groups, weight, bias, 1e-3),
           x=g.randn(*shape) * 2 + 1, weight=g.randn(shape[1]), bias=g.randn(shape[1]))
g.case("rms_norm.default", lambda x, weight: F.rms_norm(x, (5,), weight), x=g.randn(2, 3, 5), weight=g.randn(5))
g.case("rms_norm.bare", lambda x: F.rms_norm(x, (5,), eps=1e-2), x=g.randn(4, 5))

for mode, more in [("nearest", {}), ("linear", dict(align_corners=False)), ("linear", dict(align_corners=True))]:
    name = mode + ("_aligned" if more.get("align_corners") else "")
    for size in (7, 3, 1, 13):
        g.case(f"interpolate.{name}_{size}", lambda x: F.interpolate(x, size, mode=mode, **more), x=g.randn(2, 2, 5))
    two = {"linear": "bilinear"}.get(mode, mode)
    for size in ((7, 3), (4, 9)):
        g.case(f"interpolate.{name}_{size[0]}_{size[1]}", lambda x: F.interpolate(x, size, mode=two, **more),
               x=g.randn(1, 2, 4, 5))
g.case("interpolate.trilinear", lambda x: F.interpolate(x, (3, 5, 2), mode="trilinear"), x=g.randn(1, 1, 2, 3, 4))

for reduction in ("mean", "sum", "none"):
    g.case(f"l1_loss.{reduction}", lambda x, target: F.l1_loss(x, target, reduction=reduction),
           x=g.randn(3, 5), target=g.randn(3, 5))
    g.case(f"huber_loss.{reduction}", lambda x, target: F.huber_loss(x, target, reduction=reduction, delta=0.7),
           x=g.randn(3, 5), target=g.randn(3, 5))
    g.case(f"smooth_l1_loss.{reduction}", lambda x, target: F.smooth_l1_loss(x, target, reduction=reduction, beta=0.3),
           x=g.randn(3, 5), target=g.randn(3, 5))
    g.case(f"kl_div.{reduction}", lambda x, target: F.kl_div(x, target, reduction=reduction),
           x=g.randn(3, 5).log_softmax(-1), target=g.randn(3, 5).softmax(-1))
    g.case(f"kl_div.log_{reduction}", lambda x, target: F.kl_div(x, target, reduction=reduction, log_target=True),
           x=g.randn(3, 5).log_softmax(-1), target=g.randn(3, 5).log_softmax(-1))
    ids, weight = torch.tensor([4, 0, 2, 2, 1, 4]), g.rand(5) + 0.1
    for name, more in [("plain", {}), ("weighted", dict(weight=weight)),
                       ("ignored", dict(weight=weight, ignore_index=2)), ("bare_ignored", dict(ignore_index=4))]:
        key = f"nll_loss.{name}_{reduction}"
        g.case(key, lambda x: F.nll_loss(x, ids, reduction=reduction, **more), x=g.randn(6, 5).log_softmax(-1))
        for smoothing in (0.0, 0.2):
            if smoothing or more.get("weight") is not None:
                g.case(f"cross_entropy.{name}_{int(10 * smoothing)}_{reduction}",
                       lambda x: F.cross_entropy(x, ids, reduction=reduction, label_smoothing=smoothing, **more),
                       x=g.randn(6, 5))
    g.put(f"class_weight.{reduction}", weight)
g.put("class_ids", ids)
g.case("cosine_similarity.rows", lambda x, z: F.cosine_similarity(x, z), x=g.randn(4, 5), z=g.randn(4, 5))
g.case("cosine_similarity.broadcast", lambda x, z: F.cosine_similarity(x, z, dim=-1, eps=1e-3),
       x=g.randn(4, 1, 3), z=g.randn(1, 5, 3))

def positions(x, base, first, interleaved):
    """Rotary positions as a product of complex numbers."""
    rows, half = x.shape[-2], x.shape[-1] // 2
    angles = torch.outer(torch.arange(first, first + rows), base ** (-torch.arange(half) / half))
    if not interleaved:
        x = x.unflatten(-1, (2, half)).transpose(-1, -2)
    else:
        x = x.unflatten(-1, (half, 2))
    y = torch.view_as_real(torch.view_as_complex(x.contiguous()) * torch.polar(torch.ones_like(angles), angles))
    return (y if interleaved else y.transpose(-1, -2)).flatten(-2)


g.case("rotary.halves", lambda x: positions(x, 10000.0, 0, False), x=g.randn(2, 3, 5, 8))
g.case("rotary.neighbours", lambda x: positions(x, 100.0, 7, True), x=g.randn(4, 6))

attention = F.scaled_dot_product_attention
g.case("biased_attention.bias", lambda q, k, v, bias: attention(q, k, v, attn_mask=bias),
       q=g.randn(2, 3, 4, 6), k=g.randn(2, 3, 5, 6), v=g.randn(2, 3, 5, 6), bias=g.randn(3, 4, 5))
g.case("biased_attention.causal", lambda q, k, v: attention(q, k, v, is_causal=True, scale=0.3),
       q=g.randn(2, 5, 4), k=g.randn(2, 5, 4), v=g.randn(2, 5, 4))

torch.manual_seed(5)
mha = torch.nn.MultiheadAttention(8, 2, batch_first=True)
with torch.no_grad():
    for p in mha.parameters():
        p += 0.1 * g.randn(*p.shape)
seen = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
bias = g.randn(4, 5)
g.put("cross.key_mask", seen)
# Padding as an additive mask, so that both masks are of one type.
padding = torch.zeros(2, 5).masked_fill(seen == 0, float("-inf"))
g.case("cross", lambda q, k, v, bias: mha(q, k, v, key_padding_mask=padding, attn_mask=bias,
                                                    need_weights=False)[0],
       q=g.randn(2, 4, 8), k=g.randn(2, 5, 8), v=g.randn(2, 5, 8), bias=bias)
for key, p in mha.named_parameters():
    g.put(f"cross.state.{key}", p)
    g.put(f"cross.grad.{key}", p.grad)
g.write()
