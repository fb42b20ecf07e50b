"""CLIP ViT-B/16 with random weights in PyTorch, ONNX Runtime and OpenVINO.

    clip_peer.py --work image --batch 8 --mode eager|compile|onnxruntime|openvino [--dtype bfloat16]
    clip_peer.py --work text --positions 77|38 --mode eager|compile [--dtype bfloat16]
    clip_peer.py --work load --layout openai|hugging_face [--dtype bfloat16]

image: preprocessed images to features, no gradients. compile: torch.compile with inductor's freezing,
which folds constants and packs the weights. bfloat16: PyTorch's model converted to bfloat16; OpenVINO's
INFERENCE_PRECISION_HINT. ONNX Runtime computes in float only.
text: the features of 20 prompts and the gradient of their sum of squares by the 32 learned vectors; the
encoder is frozen. bfloat16: under autocast.
load: a safetensors file to a model that can compute (safetensors, load_state_dict with assign=True).
"""
import os
import tempfile
from collections import OrderedDict

import torch
from torch import nn

import dcl_torch as dcl
from peer_common import Measurement, options, report, start


class ImageEncoder(nn.Module):
    """CLIP's vision transformer, with the state-dict names of OpenAI's release."""

    def __init__(self, resolution=224, patch=16, width=768, layers=12, heads=12, out=512):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(width ** -0.5 * torch.randn(width))
        rows = (resolution // patch) ** 2 + 1
        self.positional_embedding = nn.Parameter(width ** -0.5 * torch.randn(rows, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(
            [dcl.ResidualAttentionBlock(width, heads) for _ in range(layers)])
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(width ** -0.5 * torch.randn(width, out))

    def forward(self, images):
        x = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(x.shape[0], 1, -1)
        x = self.ln_pre(torch.cat([first, x], 1) + self.positional_embedding)
        for block in self.transformer.resblocks:
            x = block(x)
        return self.ln_post(x[:, 0]) @ self.proj


def image_step(args):
    """The call that is timed, and the versions of what it uses."""
    model = ImageEncoder().eval().requires_grad_(False)
    x = torch.randn(args.batch, 3, 224, 224)
    if args.mode == "onnxruntime":
        import onnxruntime
        path = os.path.join(tempfile.mkdtemp(), "clip.onnx")
        torch.onnx.export(model, (x,), path, dynamo=False, opset_version=17)
        del model
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = args.threads
        settings.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        name, value = session.get_inputs()[0].name, x.numpy()
        return lambda: session.run(None, {name: value}), {"onnxruntime": onnxruntime.__version__}
    if args.mode == "openvino":
        import openvino
        core = openvino.Core()
        converted = openvino.convert_model(model, example_input=x, input=[tuple(x.shape)])
        del model
        compiled = core.compile_model(converted, "CPU", {
            "INFERENCE_NUM_THREADS": args.threads, "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if args.dtype == "bfloat16" else "f32"})
        request, value = compiled.create_infer_request(), x.numpy()
        return lambda: request.infer([value]), {"openvino": openvino.__version__}
    dtype = getattr(torch, args.dtype)
    model, x = model.to(dtype), x.to(dtype)
    if args.mode == "compile":
        import torch._inductor.config as inductor
        inductor.freezing = True
        model = torch.compile(model)

    def step():
        with torch.no_grad():
            return model(x)
    return step, {}


def text_step(args):
    encoder = dcl.TextTransformer().requires_grad_(False)
    names = [list(range(100 + 10 * k, 101 + 10 * k + k % 4)) for k in range(20)]
    prompts = dcl.PromptLearner(names, 49406, 49407, length=args.positions)
    forward = torch.compile(encoder) if args.mode == "compile" else encoder

    def step():
        prompts.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.dtype == "bfloat16"):
            features = forward(*prompts(encoder.token_embedding))
        features.float().square().sum().backward()
    return step, {}


def load_step(args):
    import safetensors
    import safetensors.torch
    image, text = ImageEncoder(), dcl.TextTransformer()
    state = {f"visual.{k}": v for k, v in image.state_dict().items()} | text.state_dict()
    if args.layout == "hugging_face":
        state = OrderedDict((name.replace("in_proj_", f"{part}_proj."), rows)
                            for name, x in state.items()
                            for part, rows in (zip("qkv", x.chunk(3)) if "in_proj_" in name
                                               else [("", x)]))
    path = os.path.join(tempfile.mkdtemp(), "clip.safetensors")
    safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, path)
    with torch.device("meta"):
        image, text = ImageEncoder(), dcl.TextTransformer()
    dtype = getattr(torch, args.dtype)

    def step():
        found = safetensors.torch.load_file(path)
        if args.layout == "hugging_face":
            for name in [n for n in found if "q_proj." in n]:
                joint = name.replace("q_proj.", "in_proj_")
                found[joint] = torch.cat([found.pop(name.replace("q_proj.", f"{p}_proj."))
                                          for p in "qkv"])
        if dtype != torch.float32:
            found = {k: v.to(dtype) for k, v in found.items()}
        image.load_state_dict({k[7:]: v for k, v in found.items() if k.startswith("visual.")},
                              assign=True)
        text.load_state_dict({k: v for k, v in found.items() if not k.startswith("visual.")},
                             assign=True)
    return step, {"safetensors": safetensors.__version__}


def main():
    parser = options(__doc__.splitlines()[0], ["image", "text", "load"],
                     ("eager", "compile", "onnxruntime", "openvino"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--positions", type=int, default=77)
    parser.add_argument("--layout", choices=["openai", "hugging_face"], default="openai")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    start(args)
    measurement = Measurement()
    step, versions = {"image": image_step, "text": text_step, "load": load_step}[args.work](args)
    report(args, measurement.run(step, args), versions, dtype=args.dtype)


if __name__ == "__main__":
    main()
