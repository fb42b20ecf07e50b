"""Golden values of the 3-d convolution, the pools and batch norm from PyTorch in float64 → conv.npz.

Cases as in generate_ops.py. TensorFlow's "SAME" padding is explicit: F.pad before an unpadded op.
"""
import torch
import torch.nn.functional as F

from golden_common import Golden

g = Golden("conv", 20251125, {
    "same": "total = max((ceil(n/s) - 1) s + k - n, 0), total // 2 in front",
    "max_pool": "no ties in the input", "batch_norm": "eps 1e-3, momentum 0.1, unbiased running variance"})


def same(x, kernel, stride):
    margins = []
    for n, k, s in reversed(list(zip(x.shape[2:], kernel, stride))):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        margins += [total // 2, total - total // 2]
    return F.pad(x, margins)


def conv(name, shape, out, kernel, stride, padding=None, relu=False, bias=True):
    def run(x, weight, bias=None):
        x = same(x, kernel, stride) if padding is None else F.pad(x, padding)
        y = F.conv3d(x, weight, bias, stride)
        return y.relu() if relu else y

    inputs = dict(x=g.randn(*shape), weight=g.randn(out, shape[1], *kernel))
    if bias:
        inputs["bias"] = g.randn(out)
    g.case(f"conv3d.{name}", run, **inputs)


conv("pointwise", (2, 3, 2, 3, 5), 5, (1, 1, 1), (1, 1, 1), (0,) * 6)
conv("same333", (2, 3, 3, 4, 5), 3, (3, 3, 3), (1, 1, 1))
conv("same333_relu", (1, 2, 3, 4, 5), 3, (3, 3, 3), (1, 1, 1), relu=True)
conv("same777s2", (1, 2, 5, 6, 9), 2, (7, 7, 7), (2, 2, 2), bias=False)
conv("uneven", (1, 2, 5, 6, 7), 3, (2, 3, 4), (1, 2, 3), (2, 1, 0, 2, 1, 0))
conv("larger_than_input", (1, 2, 2, 2, 2), 2, (5, 4, 3), (2, 1, 1), (2, 1, 2, 2, 2, 1))

x = g.randn(2, 2, 3, 5, 6)
g.case("max_pool3d.valid", lambda x: F.max_pool3d(x, 2), x=x)
g.case("max_pool3d.infinite", lambda x: F.max_pool3d(x, 3, (1, 2, 1), 1), x=x)
g.case("max_pool3d.same_zero", lambda x: F.max_pool3d(same(x, (3,) * 3, (2, 2, 1)), 3, (2, 2, 1)), x=x)
g.case("max_pool3d.same_133", lambda x: F.max_pool3d(same(x, (1, 3, 3), (1, 2, 2)), (1, 3, 3), (1, 2, 2)), x=x)
g.case("avg_pool3d.valid", lambda x: F.avg_pool3d(x, (2, 4, 3), 1), x=x)
g.case("avg_pool3d.counted", lambda x: F.avg_pool3d(x, 3, (1, 2, 3), 1), x=x)
g.case("avg_pool3d.inside", lambda x: F.avg_pool3d(x, 3, 2, 1, count_include_pad=False), x=x)

for name, shape in [("volume", (2, 3, 2, 3, 5)), ("rows", (7, 4))]:
    channels = shape[1]
    mean, var = g.randn(channels), g.rand(channels) + 0.5
    for training in (True, False):
        key = f"batch_norm.{name}_{'train' if training else 'eval'}"
        new_mean, new_var = mean.clone(), var.clone()
        g.case(key, lambda x, weight, bias: F.batch_norm(x, new_mean, new_var, weight, bias, training, 0.1, 1e-3),
               x=g.randn(*shape) * 2 + 1, weight=g.randn(channels), bias=g.randn(channels))
        for k, v in [("mean", mean), ("var", var), ("new_mean", new_mean), ("new_var", new_var)]:
            g.put(f"{key}.{k}", v)
g.write()
