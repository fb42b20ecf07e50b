"""I3D: the tensors of the two published kinds of weights under one set of names; used by convert.py."""
from __future__ import annotations

import json
import pathlib
import re
import sys

import torch

from tensor_bundle import BadBundle, read_bundle

STEM = {"Conv3d_1a_7x7": 7, "Conv3d_2b_1x1": 1, "Conv3d_2c_3x3": 3}
MIXED = [f"Mixed_{name}" for name in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")]
BRANCHES = {"b0": 1, "b1a": 1, "b1b": 3, "b2a": 1, "b2b": 3, "b3b": 1}
#: Of one unit: TensorFlow's tensors and ours. Its batch norm has no scale.
PARTS = {"conv_3d/w": "conv3d.weight", "conv_3d/b": "conv3d.bias", "batch_norm/beta": "bn.bias",
         "batch_norm/moving_mean": "bn.running_mean", "batch_norm/moving_variance": "bn.running_var"}
NORM = ("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")


def tensorflow_unit(unit: str) -> str:
    """The scope of one of our units in the release: Mixed_3b.b1a → Mixed_3b/Branch_1/Conv3d_0a_1x1."""
    if unit == "logits":
        return "Logits/Conv3d_0c_1x1"
    mixed, _, branch = unit.partition(".")
    if not branch:
        return unit
    layer = {"b0": "0a_1x1", "b1a": "0a_1x1", "b1b": "0b_3x3", "b2a": "0a_1x1", "b2b": "0b_3x3", "b3b": "0b_1x1"}
    # The release spells one of them in its own way.
    name = "0a_3x3" if unit == "Mixed_5b.b2b" else layer[branch]
    return f"{mixed}/Branch_{branch[1]}/Conv3d_{name}"


def units() -> dict[str, int]:
    """Every unit with a batch norm, in order, and its kernel size."""
    return STEM | {f"{mixed}.{branch}": size for mixed in MIXED for branch, size in BRANCHES.items()}


def tensorflow_names() -> dict[str, str]:
    """The release's name, below RGB/inception_i3d/ or Flow/inception_i3d/ → ours."""
    out = {}
    for unit in [*units(), "logits"]:
        for theirs, ours in PARTS.items():
            if ours.startswith("bn.") == (unit == "logits") and ours != "conv3d.weight":
                continue  # the logits have a bias and no batch norm, all others the reverse
            out[f"{tensorflow_unit(unit)}/{theirs}"] = f"{unit}.{ours}"
    return out


def from_tensorflow(tensors: dict, refused) -> dict[str, torch.Tensor]:
    """Our tensors: renamed, (d, h, w, in, out) → (out, in, d, h, w), the scale of batch norms 1."""
    names, out = tensorflow_names(), {}
    for name, array in tensors.items():
        plain = re.sub(r"^(RGB|Flow)/inception_i3d/", "", name)
        if plain.endswith("/Momentum") or plain in ("global_step", "learning_rate"):
            continue  # of the optimizer
        if plain not in names:
            raise refused(f'tensor "{name}" belongs to no I3D network')
        tensor = torch.from_numpy(array.copy())
        if plain.endswith("conv_3d/w"):
            if tensor.dim() != 5:
                raise refused(f'tensor "{name}" has shape {tuple(tensor.shape)}, expected 5 dimensions')
            tensor = tensor.permute(4, 3, 0, 1, 2).contiguous()
        elif tensor.dim() == 5 and tensor.shape[:4] == (1, 1, 1, 1):
            tensor = tensor.reshape(-1)  # the batch norms of some checkpoints
        out[names[plain]] = tensor
    for unit in units():
        if f"{unit}.bn.bias" in out:
            out[f"{unit}.bn.weight"] = torch.ones_like(out[f"{unit}.bn.bias"])
    return out


def from_hassony2(state: dict, refused) -> dict[str, torch.Tensor]:
    """Our names for those of hassony2/kinetics_i3d_pytorch and v-iashin/video_features: only names differ."""
    branches = {"b0": "branch_0", "b1a": "branch_1.0", "b1b": "branch_1.1", "b2a": "branch_2.0",
                "b2b": "branch_2.1", "b3b": "branch_3.1"}
    names = {}
    for unit in [*units(), "logits"]:
        block, _, branch = unit.partition(".")
        theirs = "conv3d_0c_1x1" if unit == "logits" else block[0].lower() + block[1:]
        theirs += f".{branches[branch]}" if branch else ""
        for part in ("weight", "bias", "running_mean", "running_var"):
            names[f"{theirs}.batch3d.{part}"] = f"{unit}.bn.{part}"
        for part in ("weight", "bias"):
            names[f"{theirs}.conv3d.{part}"] = f"{unit}.conv3d.{part}"
    unknown = [name for name in state if name not in names]
    if unknown:
        raise refused(f'tensor "{unknown[0]}" belongs to no I3D network of hassony2\'s layout')
    return {names[name]: tensor for name, tensor in state.items()}


#: Networks that are called I3D or are trained on the same videos, and how to tell them: the start of a tensor's name.
OTHERS = (
    (("conv_proj.", "pos_encoding."), "a torchvision transformer (MViT)"),
    (("patch_embed.", "blocks."), "a vision transformer (timm, VideoMAE and others)"),
    (("backbone.", "cls_head."), "an mmaction2 recognizer (its I3D is a 3-D ResNet)"),
    (("blocks.",), "a pytorchvideo model (its I3D is a 3-D ResNet)"),
    (("stem.", "layer1.", "fc."), "a torchvision video model (r3d, mc3 or r2plus1d, a 3-D ResNet)"),
    (("conv1.", "bn1.", "layer1."), "a 3-D ResNet"),
    (("features.",), "a torchvision model (S3D, Swin or VGG)"),
    (("base.",), "an S3D network"),
    (("visual.",), "a CLIP model: convert.py clip reads it"))


def name_other(state: dict, refused) -> None:
    """Says what a file of another network is."""
    for starts, what in OTHERS:
        if all(any(name.startswith(start) for name in state) for start in starts):
            raise refused(f'these are the tensors of {what}, not of Inception-v1 I3D: the first is "{next(iter(state))}"')


def expected_shapes(state: dict, refused) -> tuple[dict, dict]:
    """Every tensor with its shape, and the sizes, from the widths of the convolutions."""
    def outputs(unit):
        name = f"{unit}.conv3d.weight"
        if name not in state:
            raise refused(f'tensor "{name}" is missing')
        if state[name].dim() != 5:
            raise refused(f'tensor "{name}" has shape {tuple(state[name].shape)}, expected 5 dimensions')
        return state[name].shape[0]

    shapes = {}

    def unit(name, inputs, size):
        width = outputs(name)
        shapes[f"{name}.conv3d.weight"] = (width, inputs, size, size, size)
        for part in ("conv3d.bias",) if name == "logits" else NORM:
            shapes[f"{name}.{part}"] = (width,)
        return width

    outputs("Conv3d_1a_7x7")
    channels = width = state["Conv3d_1a_7x7.conv3d.weight"].shape[1]
    if channels not in (2, 3):
        raise refused(f'tensor "Conv3d_1a_7x7.conv3d.weight" takes {channels} channels, expected 3 (RGB) or 2 (flow)')
    for name, size in STEM.items():
        width = unit(name, width, size)
    for mixed in MIXED:
        inner = {branch: unit(f"{mixed}.{branch}",
                              outputs(f"{mixed}.{branch[:2]}a") if branch in ("b1b", "b2b") else width, size)
                 for branch, size in BRANCHES.items()}
        width = inner["b0"] + inner["b1b"] + inner["b2b"] + inner["b3b"]
    classes = unit("logits", width, 1)
    return shapes, {"channels": channels, "classes": classes, "features": width}


def find_checkpoint(path: pathlib.Path) -> pathlib.Path | None:
    """The index of a TensorFlow checkpoint that `path` is, is the prefix of, or is the folder of."""
    if path.name.endswith(".index") and path.is_file():
        return path
    if path.with_name(f"{path.name}.index").is_file():
        return path.with_name(f"{path.name}.index")
    found = sorted(path.glob("*.index")) if path.is_dir() else []
    return found[0] if len(found) == 1 else None


def convert(source: pathlib.Path, target: pathlib.Path, dtype: str, window, tools, epsilon=None) -> dict:
    """Writes `target` and returns its metadata; `tools` is the module convert, which imports this one."""
    if not pathlib.Path(target).parent.is_dir():
        raise tools.Refused(f"{target}: the folder {pathlib.Path(target).parent} does not exist")
    if epsilon is not None and not 0 < epsilon < 1:
        raise tools.Refused(f"the epsilon of batch norms must lie between 0 and 1, it is {epsilon}")
    index = find_checkpoint(source)
    if index is not None:
        try:
            arrays, data = read_bundle(index)
        except BadBundle as error:
            raise tools.Refused(str(error)) from None
        if not arrays:
            raise tools.Refused(f"{index}: the checkpoint holds no tensors")
        state, kind = from_tensorflow(arrays, tools.Refused), "TensorFlow checkpoint"
        hashes = {"source": data[0].name, "source_sha256": tools.sha256(data[0]),
                  "source_index_sha256": tools.sha256(index)}
    else:
        if not source.is_file():
            raise tools.Refused(f"{source}: there is no such file, nor a TensorFlow checkpoint of that name")
        state, _ = tools.read_state(source)
        kind = "PyTorch state dict"
        for prefix in ("module.", "model."):
            if state and all(name.startswith(prefix) for name in state):
                state = {name[len(prefix):]: tensor for name, tensor in state.items()}
        state = {name: tensor for name, tensor in state.items() if not name.endswith(".num_batches_tracked")}
        if "conv3d_1a_7x7.conv3d.weight" in state:
            state, kind = from_hassony2(state, tools.Refused), "PyTorch state dict, layout of hassony2 and v-iashin"
            if epsilon is None:
                print("convert.py: this layout is hassony2's and v-iashin's: the batch norms get hassony2's epsilon, 1e-3, "
                      "with which the weights were trained; --batch-norm-epsilon 1e-5 makes video_features' network",
                      file=sys.stderr)
        elif "Conv3d_1a_7x7.conv3d.weight" not in state:
            name_other(state, tools.Refused)
        hashes = {"source": source.name, "source_sha256": tools.sha256(source)}
    shapes, sizes = expected_shapes(state, tools.Refused)
    tools.check_state(state, shapes, "an I3D network")
    for name, tensor in state.items():
        if name.endswith("running_var") and not (tensor >= 0).all():
            raise tools.Refused(f'tensor "{name}" holds a negative variance')
    stream = "rgb" if sizes["channels"] == 3 else "flow"
    scale = {"scale": "byte * 2 / 255 - 1"} if stream == "rgb" else \
        {"scale": "clip(pixels, -20, 20) / 20", "flow_bound": 20}
    metadata = {"format": "tandem i3d 1", "stream": stream, **hashes, "source_kind": kind, "dtype": dtype, **sizes,
                "window": list(window), "batch_norm_epsilon": 1e-3 if epsilon is None else epsilon, "resize": "short side, then centre crop",
                "short_side": 256, "crop": 224, "interpolation": "bilinear", **scale}
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    tools.save({name: state[name].to(tools.DTYPES[dtype]).contiguous() for name in shapes}, target, metadata)
    return metadata
