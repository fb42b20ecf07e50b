#!/usr/bin/env python3
"""Holds tandem's CLIP encoders against open_clip and transformers at full size, with random weights.

    python3 weights/compare.py --program build/release/examples/clip_inspect

Both packages make a ViT-B/16 (or --model ViT-B-32, ViT-L-14), save it in their own format and compute image
features, text features with prompt vectors in place of tokens, and the gradients of those vectors, in
float32. tandem loads each file (and what convert.py makes of open_clip's state dict and of a TorchScript
archive in half precision), in float and in bfloat16. Prints ‖ours − theirs‖/‖theirs‖ and fails above 1e-4
in float and 2e-2 in bfloat16. Needs torch, open_clip_torch, transformers, safetensors, and about 3 GB of
disk in --folder.
"""
from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import tempfile

import open_clip
import torch
import transformers
from safetensors.torch import load_file, save_file

import convert

SIZES = {"ViT-B-16": (16, 768, 12, 512, 8, 512), "ViT-B-32": (32, 768, 12, 512, 8, 512),
         "ViT-L-14": (14, 1024, 24, 768, 12, 768)}
START, END, PROMPTS = 49406, 49407, 8
LIMITS = {"float": 1e-4, "bfloat16": 2e-2}


def inputs(text_width: int, output: int, generator: torch.Generator) -> dict:
    rows = [[START] + [1000] * PROMPTS + list(range(500 + 31 * n, 503 + 32 * n)) + [END] for n in range(4)]
    ids = torch.full((len(rows), 77), END)
    for n, row in enumerate(rows):
        ids[n, :len(row)] = torch.tensor(row)
    return {"images": torch.randn(2, 3, 224, 224, generator=generator), "ids": ids,
            "end": torch.tensor([len(row) - 1 for row in rows]),
            "prompts": 0.02 * torch.randn(PROMPTS, text_width, generator=generator),
            "cot": torch.randn(len(rows), output, generator=generator)}


def outputs(given: dict, encode_image, encode_text, embedding) -> dict:
    prompts = given["prompts"].clone().requires_grad_()

    def put(_module, _inputs, embedded):
        return torch.cat([embedded[:, :1], prompts.expand(len(embedded), -1, -1), embedded[:, 1 + PROMPTS:]], 1)

    with torch.no_grad():
        image = encode_image(given["images"])
    hook = embedding.register_forward_hook(put)
    text = encode_text(given["ids"])
    text.backward(given["cot"])
    hook.remove()
    return {"image": image, "text": text.detach(), "d_prompts": prompts.grad}


def pooled(output):
    return output if isinstance(output, torch.Tensor) else output.pooler_output


class Archive(torch.nn.Module):
    """What a TorchScript archive runs; its state dict has the model's own names."""

    def __init__(self, clip):
        super().__init__()
        for name, child in clip.named_children():
            self.add_module(name, child)
        for name in ("positional_embedding", "text_projection", "logit_scale"):
            self.register_parameter(name, getattr(clip, name))

    def forward(self, image):
        return self.visual(image)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, required=True, help="tandem's clip_inspect")
    parser.add_argument("--model", choices=SIZES, default="ViT-B-16")
    parser.add_argument("--folder", type=pathlib.Path, help="keep the checkpoints here")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    patch, width, layers, text_width, text_heads, output = SIZES[options.model]
    scratch = tempfile.TemporaryDirectory() if options.folder is None else None
    folder = pathlib.Path(scratch.name) if scratch else options.folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    given = inputs(text_width, output, torch.Generator().manual_seed(options.seed))
    save_file(given, folder / "inputs.safetensors")
    failed = False

    def check(name, path, expected, extra=()):
        nonlocal failed
        for precision, limit in LIMITS.items():
            result = folder / "result.safetensors"
            command = [options.program, "--weights", path, "--inputs", folder / "inputs.safetensors", "--out", result,
                       *extra, *(["--bfloat16"] if precision == "bfloat16" else [])]
            text = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
            ours = load_file(result)
            errors = {key: float((ours[key] - value).norm() / value.norm()) for key, value in expected.items()}
            failed |= any(not error < limit for error in errors.values())
            print(f"{name}, {precision}: " + ", ".join(f"{key} {error:.1e}" for key, error in errors.items()))
            print("".join(f"    {line}\n" for line in text.splitlines() if " ms " in line or "tensors used" in line),
                  end="", flush=True)

    # Hugging Face.
    common = dict(projection_dim=output, hidden_act="quick_gelu")
    model = transformers.CLIPModel(transformers.CLIPConfig(
        text_config=dict(common, hidden_size=text_width, intermediate_size=4 * text_width, num_hidden_layers=12,
                         num_attention_heads=text_heads, bos_token_id=START, eos_token_id=END),
        vision_config=dict(common, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
                           num_attention_heads=width // 64, patch_size=patch), projection_dim=output)).eval()
    model.requires_grad_(False)
    model.save_pretrained(folder / "hugging_face")
    expected = outputs(given, lambda x: pooled(model.get_image_features(pixel_values=x)),
                       lambda x: pooled(model.get_text_features(input_ids=x)),
                       model.text_model.embeddings.token_embedding)
    check("Hugging Face, its own file", folder / "hugging_face", expected)

    # open_clip: exact GELU, as its own file and converted from a pickle.
    model = open_clip.create_model(options.model, pretrained=None).eval().requires_grad_(False)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip.safetensors")
    expected = outputs(given, model.encode_image, model.encode_text, model.token_embedding)
    check("open_clip, its own file", folder / "open_clip.safetensors", expected, ["--activation", "gelu"])
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, folder / "epoch_1.pt")
    convert.convert_clip(folder / "epoch_1.pt", folder / "converted.safetensors", activation="gelu")
    check("open_clip, training checkpoint converted", folder / "converted.safetensors", expected)

    # As OpenAI's: QuickGELU, half precision, TorchScript.
    model = open_clip.create_model(f"{options.model}-quickgelu", pretrained=None).eval().requires_grad_(False)
    for p in model.parameters():
        p.copy_(p.half().float())
    expected = outputs(given, model.encode_image, model.encode_text, model.token_embedding)
    traced = torch.jit.trace(Archive(model), given["images"][:1], check_trace=False)
    traced.half().save(str(folder / "archive.pt"))
    convert.convert_clip(folder / "archive.pt", folder / "archive.safetensors")
    check("TorchScript archive in half precision converted", folder / "archive.safetensors", expected)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
