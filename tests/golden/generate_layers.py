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
g.write()
