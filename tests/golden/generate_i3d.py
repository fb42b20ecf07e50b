"""A mini I3D (RGB) in PyTorch (i3d_reference.py) → i3d/rgb.pt, i3d/rgb.safetensors and i3d.npz.

    i3d/rgb.pt            its state dict, float32, as torch.save writes it
    i3d/rgb.safetensors   weights/convert.py i3d of it
    i3d.npz               clips of bytes (N, T, H, W, 3) and what the model in float64 makes of byte · 2 / 255 − 1:
        t16, t17, t24         features and logits; for 24 frames every endpoint (float32)
        t16.eval, t16.train   gradients of ⟨features, cot⟩ + ⟨logits, cot_logits⟩, with the running statistics
                              and with the batch's; after the latter the running statistics
        full                  9 frames of 224 × 224 of a formula, with the last average pool of the paper

Widths are those of the paper divided by 16; the last average pool is 2×2×2 except in `full`.
"""
import pathlib
import sys

import numpy as np
import torch

from golden_common import HERE, Golden
from i3d_reference import ENDPOINTS, I3D, randomize

sys.path.insert(0, str(HERE.parent.parent / "weights"))
import convert  # noqa: E402

SEED, NARROW, CLASSES, WINDOW = 60, 16, 11, (2, 2, 2)
GRADIENTS = ["Conv3d_1a_7x7.conv3d.weight", "Conv3d_1a_7x7.bn.weight", "Conv3d_2c_3x3.conv3d.weight",
             "Mixed_3b.b1b.conv3d.weight", "Mixed_3c.b3b.conv3d.weight", "Mixed_4d.b2b.bn.bias",
             "Mixed_4f.b2a.bn.weight", "Mixed_5b.b2b.conv3d.weight", "Mixed_5c.b0.conv3d.weight",
             "logits.conv3d.weight", "logits.conv3d.bias"]
STATISTICS = ["Conv3d_1a_7x7.bn.running_mean", "Mixed_4d.b2b.bn.running_var", "Mixed_5c.b3b.bn.running_mean"]

g = Golden("i3d", SEED, {"narrow": NARROW, "window": WINDOW, "classes": CLASSES, "clip": "(N, T, H, W, 3) uint8"})
model = randomize(I3D(3, CLASSES, NARROW, WINDOW).float(), g.generator)
folder = HERE / "i3d"
folder.mkdir(exist_ok=True)
torch.save(model.state_dict(), folder / "rgb.pt")
convert.convert_i3d(folder / "rgb.pt", folder / "rgb.safetensors", window=WINDOW)
state = {name: tensor.clone() for name, tensor in model.state_dict().items()}


def fresh(window=WINDOW):
    out = I3D(3, CLASSES, NARROW, window)
    out.load_state_dict(state)
    return out.double().eval()


def network_input(clip):
    return (clip.double() * 2 / 255 - 1).permute(0, 4, 1, 2, 3).contiguous()


def noise(shape):
    """The n-th byte is the high byte of x ⊕ x≫15 with x = 2654435761·n mod 2³²."""
    x = np.arange(np.prod(shape), dtype=np.uint64) * 2654435761 & 0xFFFFFFFF
    x ^= x >> 15
    return torch.from_numpy((x >> 24 & 255).astype(np.uint8).reshape(shape))


clips = {"t16": (2, 16, 33, 34, 3), "t17": (1, 17, 65, 34, 3), "t24": (1, 24, 33, 34, 3)}
for name, shape in clips.items():
    clips[name] = torch.randint(256, shape, generator=g.generator, dtype=torch.uint8)
    g.put(f"{name}.clip", clips[name])
    with torch.no_grad():
        out = fresh()(network_input(clips[name]))
    for endpoint in ["features", "Logits"] + (ENDPOINTS[:-2] + ["Predictions"] if name == "t24" else []):
        value = out[endpoint]
        g.put(f"{name}.{endpoint}", value if value.dim() == 2 else value.float())

for mode in ("eval", "train"):
    model = fresh()
    model.train(mode == "train")
    x = network_input(clips["t16"]).requires_grad_()
    out = model(x)
    cot, cot_logits = g.randn(*out["features"].shape), g.randn(*out["Logits"].shape)
    ((out["features"] * cot).sum() + (out["Logits"] * cot_logits).sum()).backward()
    key = f"t16.{mode}"
    for name, value in {"features": out["features"], "Logits": out["Logits"], "cot": cot,
                        "cot_logits": cot_logits, "d_clip": x.grad.float()}.items():
        g.put(f"{key}.{name}", value)
    parameters = dict(model.named_parameters())
    # In so narrow a network every value of a unit can be cut off; another seed then.
    assert all(p.grad.abs().max() > 0 for p in parameters.values())
    for name in GRADIENTS:
        g.put(f"{key}.d.{name}", parameters[name].grad)
    if mode == "train":
        for name in STATISTICS:
            g.put(f"{key}.{name}", model.state_dict()[name])

with torch.no_grad():
    out = fresh((2, 7, 7))(network_input(noise((1, 9, 224, 224, 3))))
g.put("full.features", out["features"])
g.put("full.Logits", out["Logits"])
g.write()
