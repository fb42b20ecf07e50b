"""I3D in PyTorch, written from the paper: what tandem is held against, and a peer of the benchmarks.

Inception-v1 inflated [Carreira & Zisserman 2017, figure 3; the release's i3d.py for what the figure leaves
open]. Every convolution and max pool is padded as TensorFlow's "SAME": out = ⌈in / stride⌉, the padding
max((out − 1)·stride + size − in, 0) split in two with the odd one behind. Max pools are padded with zeros,
which is the same as with nothing because they follow a ReLU. Tensor names are those of the common PyTorch
port (piergiaj/pytorch-i3d).
"""
from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

#            b0   b1a  b1b  b2a b2b  b3b
MIXED = {
    "3b": (64, 96, 128, 16, 32, 32), "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64), "4c": (160, 112, 224, 24, 64, 64), "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64), "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128), "5c": (384, 192, 384, 48, 128, 128)}
STEM = (64, 64, 192)
POOLS = {"MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)), "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
         "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)), "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2))}
ENDPOINTS = ["Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3",
             "Mixed_3b", "Mixed_3c", "MaxPool3d_4a_3x3", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e",
             "Mixed_4f", "MaxPool3d_5a_2x2", "Mixed_5b", "Mixed_5c", "Logits", "Predictions"]


def same(x, size, stride):
    """x (N, C, D, H, W) with TensorFlow's padding around it; nothing is copied where there is none."""
    pads = []
    for n, k, s in zip(x.shape[:1:-1], size[::-1], stride[::-1]):
        total = max((math.ceil(n / s) - 1) * s + k - n, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads) if any(pads) else x


def max_pool(x, size, stride):
    return F.max_pool3d(same(x, size, stride), size, stride)


class Unit(nn.Module):
    """Convolution, batch norm, ReLU; or, for the logits, a convolution with a bias alone."""

    def __init__(self, inputs, outputs, size=1, stride=1, plain=False):
        super().__init__()
        self.size, self.stride = (size,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(inputs, outputs, size, stride, bias=plain)
        if not plain:
            self.bn = nn.BatchNorm3d(outputs, eps=1e-3, momentum=0.01)

    def forward(self, x):
        x = self.conv3d(same(x, self.size, self.stride))
        return F.relu(self.bn(x)) if hasattr(self, "bn") else x


class Mixed(nn.Module):
    def __init__(self, inputs, widths):
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = widths
        self.b0 = Unit(inputs, b0)
        self.b1a, self.b1b = Unit(inputs, b1a), Unit(b1a, b1b, 3)
        self.b2a, self.b2b = Unit(inputs, b2a), Unit(b2a, b2b, 3)
        self.b3b = Unit(inputs, b3b)
        self.outputs = b0 + b1b + b2b + b3b

    def forward(self, x):
        pooled = max_pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], 1)


class I3D(nn.Module):
    """clips (N, channels, T, H, W); `narrow` divides every width, `window` is that of the last average pool."""

    def __init__(self, channels=3, classes=400, narrow=1, window=(2, 7, 7)):
        super().__init__()
        def width(c):
            return max(1, c // narrow)
        a, b, c = map(width, STEM)
        self.window = window
        self.Conv3d_1a_7x7 = Unit(channels, a, 7, 2)
        self.Conv3d_2b_1x1 = Unit(a, b)
        self.Conv3d_2c_3x3 = Unit(b, c, 3)
        for name, widths in MIXED.items():
            mixed = Mixed(c, tuple(map(width, widths)))
            self.add_module(f"Mixed_{name}", mixed)
            c = mixed.outputs
        self.features_width = c
        self.logits = Unit(c, classes, plain=True)

    def forward(self, x):
        """Every endpoint by name, and "features" (N, features_width)."""
        out = {}
        for name in ENDPOINTS[:-2]:
            x = max_pool(x, *POOLS[name]) if name in POOLS else getattr(self, name)(x)
            out[name] = x
        pooled = F.avg_pool3d(x, self.window, 1)
        out["features"] = pooled.mean((2, 3, 4))
        out["Logits"] = self.logits(pooled).mean((2, 3, 4))
        out["Predictions"] = out["Logits"].softmax(-1)
        return out


def randomize(model, generator):
    """Weights that keep the scale of the activations, and statistics and shifts far from the initial ones."""
    def randn(p):
        return torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv3d):
                module.weight.copy_(randn(module.weight) * (2 / module.weight[0].numel()) ** 0.5)
                if module.bias is not None:
                    module.bias.copy_(0.3 * randn(module.bias))
            elif isinstance(module, nn.BatchNorm3d):
                module.weight.copy_(1 + 0.2 * randn(module.weight))
                module.bias.copy_(0.2 * randn(module.bias))
                module.running_mean.copy_(0.2 * randn(module.running_mean))
                module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
    return model
