"""State dicts of PyTorch and torchvision with what the models make of an input → states.safetensors, written by PyTorch's safetensors.

    python tests/golden/generate_states.py          # needs torch, torchvision, safetensors

For each of mlp, conv_net, encoder, encoder_post, resnet, vit: <model>.state.<name> as state_dict() has it (float32, counts
int64), <model>.x (float32), <model>.y = forward in eval mode, a random cotangent <model>.cot, and the gradients <model>.dx
and <model>.grad.<name> of Σ y·cot; computed in float64 from the float32 weights, gradients rounded to float32.
conv_net.after.<name>: its running statistics after one forward pass in training mode.
"""
import json
import pathlib

import safetensors.torch
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.models.vision_transformer import VisionTransformer

SEED = 20261130
OUT = pathlib.Path(__file__).resolve().parent / "states.safetensors"
torch.set_num_threads(1)
random = torch.Generator().manual_seed(SEED)
tensors = {}


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, (3, 2), stride=(1, 2), groups=2, bias=False), nn.BatchNorm2d(8, eps=1e-3), nn.LeakyReLU(0.1),
            nn.AvgPool2d(2))
        self.classifier = nn.Linear(8, 4)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def small_resnet(widths, classes):
    """torchvision's ResNet-18 with other widths: its names, its blocks."""
    model = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=classes)
    model.inplanes = widths[0]
    model.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
    model.bn1 = nn.BatchNorm2d(widths[0])
    for i, width in enumerate(widths, 1):
        setattr(model, f"layer{i}", model._make_layer(BasicBlock, width, 2, stride=1 if i == 1 else 2))
    model.fc = nn.Linear(widths[-1], classes)
    return model


def encoder(norm_first, activation, norm):
    layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=12, dropout=0.1, activation=activation, batch_first=True,
                                       norm_first=norm_first)
    return nn.TransformerEncoder(layer, 2, norm=norm, enable_nested_tensor=False)


def record(name, model, x, **options):
    with torch.no_grad():
        for p in model.parameters():  # no zeros and ones as first values have them
            p.copy_(p + 0.1 * torch.randn(p.shape, generator=random))
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.running_mean.copy_(0.2 * torch.randn(norm.running_mean.shape, generator=random))
            norm.running_var.copy_(0.5 + torch.rand(norm.running_var.shape, generator=random))
            norm.num_batches_tracked.fill_(1000)
    for key, value in model.state_dict().items():
        tensors[f"{name}.state.{key}"] = value.clone()
    tensors[f"{name}.x"] = x.clone()
    model = model.double().eval()
    leaf = x.double().requires_grad_()
    y = model(leaf, **options)
    cot = torch.randn(y.shape, generator=random, dtype=torch.float64)
    y.backward(cot)
    tensors.update({f"{name}.y": y.detach(), f"{name}.cot": cot, f"{name}.dx": leaf.grad.float()})
    for key, p in model.named_parameters():
        tensors[f"{name}.grad.{key}"] = p.grad.float()
    return model


def randn(*shape):
    return torch.randn(shape, generator=random)


torch.manual_seed(SEED)
record("mlp", nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.GELU(), nn.Linear(6, 3)), randn(4, 5))
net = record("conv_net", ConvNet(), randn(3, 3, 8, 9))
net.train()(tensors["conv_net.x"].double())
for key, value in net.state_dict().items():
    if "running" in key or "num_batches" in key:
        tensors[f"conv_net.after.{key}"] = value.clone()
padding = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])  # True: not to be seen
record("encoder", encoder(True, "gelu", nn.LayerNorm(8)), randn(2, 7, 8), src_key_padding_mask=padding)
record("encoder_post", encoder(False, "relu", None), randn(2, 7, 8), src_key_padding_mask=padding)
record("resnet", small_resnet([3, 3, 4, 6], 5), randn(1, 3, 40, 33))
record("vit", VisionTransformer(image_size=8, patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=12, num_classes=5,
                                dropout=0.1), randn(2, 3, 8, 8))
safetensors.torch.save_file(tensors, OUT, metadata={"provenance": json.dumps({
    "generator": "tests/golden/generate_states.py", "seed": SEED, "torch": torch.__version__,
    "torchvision": torchvision.__version__, "safetensors": safetensors.__version__})})
print(f"{OUT.name}: {len(tensors)} tensors, {OUT.stat().st_size} bytes")
