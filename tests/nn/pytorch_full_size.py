"""torchvision's ResNet-18 and ViT-B/16 in full size: their state dicts, saved by PyTorch's safetensors, load strictly by name,
give PyTorch's outputs and gradients, and are saved again to the same tensors.

usage: pytorch_full_size.py COMPILER. Exit status 77: PyTorch, torchvision or safetensors is not installed.

The weights are random, nothing is downloaded; batch norms have statistics of random pictures. Everything is compared with
PyTorch in float64 from the same float32 weights: outputs of our float models, whose gradients a single ReLU that is on in
one precision and off in the other changes by per cents, in PyTorch's float as well; and outputs and gradients of the same
models in double, which is their source with that word instead of float.
"""
import pathlib
import subprocess
import sys
import tempfile

try:
    import safetensors.torch
    import torch
    import torchvision
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
# Of the largest element of a tensor. Float: what is promised; measured, see docs/for_pytorch_users.md. Double: 2⁻⁵³ and a
# hundred products after each other, each of thousands of terms.
LIMITS = {"float": 1e-5, "double": 1e-10}


def error_of(ours, theirs):
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return ((ours.double() - theirs).abs().max() / theirs.abs().max()).item()


def passes(model, x, cot):
    """The output, and the gradients of Σ y·cot."""
    leaf = x.clone().requires_grad_()
    model.zero_grad()
    y = model(leaf)
    y.backward(cot)
    return y.detach(), {"dx": leaf.grad, **{f"grad.{name}": p.grad.clone() for name, p in model.named_parameters()}}


def initialized(name):
    model = getattr(torchvision.models, name)(weights=None)
    if name == "resnet18":
        with torch.no_grad():
            for _ in range(3):
                model.train()(torch.randn(4, 3, 224, 224))
    else:  # the head starts as zeros, which would agree with anything
        torch.nn.init.trunc_normal_(model.heads.head.weight, std=0.02)
        torch.nn.init.trunc_normal_(model.heads.head.bias, std=0.02)
    return model.eval()


def build(folder, real):
    """The program with models of float or double."""
    folder.mkdir()
    for part in ("pytorch_models.hpp", "pytorch_full_size.cpp"):
        (folder / part).write_text((HERE / part).read_text().replace("float", real))
    program = folder / "pytorch_full_size"
    subprocess.run([sys.argv[1], "-std=c++20", "-O2", "-I", HERE.parents[1] / "include", folder / "pytorch_full_size.cpp",
                    "-o", program, "-pthread", "-lz"], check=True)
    return program


torch.manual_seed(20261130)
wrong = []
with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    programs = {real: build(scratch / real, real) for real in LIMITS}
    for name in ("resnet18", "vit_b_16"):
        model = initialized(name)
        state = {key: value.clone() for key, value in model.state_dict().items()}
        x, cot = torch.randn(2, 3, 224, 224), torch.randn(2, 1000)
        files = [scratch / f"{part}.safetensors" for part in ("state", "input", "output", "saved")]
        safetensors.torch.save_file(state, files[0])
        safetensors.torch.save_file({"x": x, "cot": cot}, files[1])
        y32, gradients32 = passes(model, x, cot)
        y, gradients = passes(model.double(), x.double(), cot.double())
        print(f"{name}, PyTorch's float: output {error_of(y32, y):.1e},"
              f" gradients {max(error_of(gradients32[k], g) for k, g in gradients.items()):.1e}", flush=True)
        del model, y32, gradients32
        for real, limit in LIMITS.items():
            said = subprocess.run([programs[real], name, *files], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
            saved = safetensors.torch.load_file(files[3])
            kept = {k: v.double() if real == "double" and v.is_floating_point() else v for k, v in state.items()}
            if saved.keys() != kept.keys() or any(
                    saved[k].dtype != v.dtype or saved[k].shape != v.shape or not torch.equal(saved[k], v) for k, v in kept.items()):
                wrong.append(f"{name}, {real}: what was saved is not what was loaded")
            ours = safetensors.torch.load_file(files[2])
            if ours.keys() != {"y", *gradients}:
                wrong.append(f"{name}, {real}: other gradients than PyTorch's")
                continue
            output = error_of(ours["y"], y)
            gradient, worst = max((error_of(ours[k], g), k) for k, g in gradients.items())
            print(f"{name}, {real}: {said}; output {output:.1e}, {len(gradients)} gradients {gradient:.1e} ({worst})", flush=True)
            if not output < limit:
                wrong.append(f"{name}, {real}: the output is {output:.1e} from PyTorch's, at most {limit:.0e} is allowed")
            if (real == "double" or name == "vit_b_16") and not gradient < limit:
                wrong.append(f"{name}, {real}: the gradient {worst} is {gradient:.1e} from PyTorch's, at most {limit:.0e} is allowed")
print("\n".join(wrong) or f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}")
sys.exit(1 if wrong else 0)
