"""A convolution of I3D with bias and ReLU in PyTorch (oneDNN, in both memory layouts) and in OpenVINO.

    conv3d_peer.py --work conv3d --layer 64,192,3,1,8,56 --engine openvino --dtype bfloat16 --threads 2

--layer: channels, output channels, kernel, stride, frames, height = width. Padding as in I3D ("same").
"""
import torch
import torch.nn.functional as F

from peer_common import Measurement, maybe_compile, options, report, start

DTYPES = {"float": torch.float32, "bfloat16": torch.bfloat16}


class Layer(torch.nn.Module):
    def __init__(self, channels, out_channels, kernel, stride):
        super().__init__()
        self.conv = torch.nn.Conv3d(channels, out_channels, kernel, stride)
        total = kernel - stride
        self.pad = (total // 2, total - total // 2) * 3

    def forward(self, x):
        return F.relu(self.conv(F.pad(x, self.pad) if any(self.pad) else x))


def openvino_call(layer, x, args):
    import openvino as ov

    model = ov.convert_model(layer, example_input=x)
    compiled = ov.Core().compile_model(model, "CPU", {
        "INFERENCE_NUM_THREADS": args.threads, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32" if args.dtype == "float" else "bf16"})
    request = compiled.create_infer_request()
    request.set_input_tensor(ov.Tensor(x.numpy().copy()))
    return request.infer


def main():
    parser = options(__doc__.splitlines()[0], ["conv3d"])
    parser.add_argument("--layer", required=True)
    parser.add_argument("--dtype", choices=DTYPES, default="float")
    parser.add_argument("--engine", choices=["torch", "torch_channels_last", "openvino"], default="torch")
    args = parser.parse_args()
    start(args)
    measurement = Measurement()
    channels, out_channels, kernel, stride, frames, size = map(int, args.layer.split(","))
    layer = Layer(channels, out_channels, kernel, stride).eval()
    x = torch.randn(1, channels, frames, size, size)
    if args.engine == "openvino":
        call = openvino_call(layer, x, args)
    else:
        layer, x = layer.to(DTYPES[args.dtype]), x.to(DTYPES[args.dtype])
        if args.engine == "torch_channels_last":
            layer = layer.to(memory_format=torch.channels_last_3d)
            x = x.contiguous(memory_format=torch.channels_last_3d)
        module = maybe_compile(layer, args)
        call = lambda: module(x)  # noqa: E731
    with torch.inference_mode():
        result = measurement.run(call, args, warmup=3)
    report(args, result, layer=args.layer, dtype=args.dtype, engine=args.engine)


if __name__ == "__main__":
    main()
