"""I3D to its features by PyTorch (eager, channels_last_3d, compile) and OpenVINO, float and bfloat16.

The network is tests/golden/i3d_reference.py with random weights; batch norms are folded into the convolutions for
every peer, as each of them can do it by itself."""
from __future__ import annotations

import pathlib
import sys

import torch
from torch import nn

from peer_common import Measurement, options, report, start

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden"))
from i3d_reference import I3D, Unit, randomize  # noqa: E402

MODES = ("eager", "channels_last", "compile", "openvino")


class Features(nn.Module):
    """The reference without what the features do not need."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)["features"]


def folded(model):
    """Batch norms into convolutions."""
    for unit in model.modules():
        if isinstance(unit, Unit) and hasattr(unit, "bn"):
            unit.conv3d = nn.utils.fuse_conv_bn_eval(unit.conv3d, unit.bn)
            unit.bn = nn.Identity()
    return model


def openvino_step(model, clips, args):
    import openvino as ov
    core = ov.Core()
    converted = ov.convert_model(model, example_input=clips, input=[tuple(clips.shape)])
    compiled = core.compile_model(converted, "CPU", {
        "INFERENCE_NUM_THREADS": args.threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "bf16" if args.dtype == "bfloat16" else "f32"})
    request = compiled.create_infer_request()
    request.set_input_tensor(ov.Tensor(clips.numpy()))
    return request.infer, {"openvino": ov.__version__}


def main():
    parser = options(__doc__, ["i3d"], MODES)
    parser.add_argument("--shape", required=True, help="N,C,T,H,W")
    parser.add_argument("--dtype", choices=["float", "bfloat16"], default="float")
    args = parser.parse_args()
    start(args)
    torch.set_default_dtype(torch.float32)  # the golden generators' default is double
    shape = tuple(map(int, args.shape.split(",")))
    measurement = Measurement()
    generator = torch.Generator().manual_seed(args.seed)
    model = Features(folded(randomize(I3D(shape[1]), generator).eval())).eval()
    clips = torch.randn(shape, generator=generator)
    versions = {}
    with torch.inference_mode():
        if args.mode == "openvino":
            step, versions = openvino_step(model, clips, args)
        else:
            dtype = getattr(torch, args.dtype) if args.dtype == "bfloat16" else torch.float32
            model, clips = model.to(dtype), clips.to(dtype)
            if args.mode != "eager":
                model = model.to(memory_format=torch.channels_last_3d)
                clips = clips.to(memory_format=torch.channels_last_3d)
            run = torch.compile(model) if args.mode == "compile" else model

            def step():
                return run(clips)
        result = measurement.run(step, args)
    report(args, result, versions, shape=args.shape)


if __name__ == "__main__":
    main()
