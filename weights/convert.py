#!/usr/bin/env python3
"""Converts published weights into the safetensors files that tandem maps.

    python3 weights/convert.py clip ViT-B-16.pt ViT-B-16.safetensors
    python3 weights/convert.py i3d rgb_imagenet.pt i3d_rgb.safetensors

`clip` reads OpenAI's TorchScript archive, an open_clip checkpoint (.pt, .bin or .safetensors state dict)
or a Hugging Face CLIPModel (its folder, its weight file or the index of several), and writes one layout: the tensor names of
OpenAI's release, with the source, the SHA-256 of the original, activation, heads, sizes and preprocessing
in the header. `i3d` reads a state dict of the PyTorch ports or a TensorFlow checkpoint of the release
(without TensorFlow) and writes the port's names. Needs torch and safetensors. Nothing in a file is executed:
state dicts are read with weights_only, TorchScript archives are loaded without being run.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import re
import sys
import zipfile

try:
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    import i3d
    from config_rules import facts_of, read_json
except ImportError as missing:
    needs = (f"convert.py needs the Python packages torch and safetensors ({missing}): "
             "python3 -m pip install torch safetensors")
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__.strip(), needs, sep="\n\n")
        sys.exit(0)
    sys.exit(needs)

# SHA-256 of OpenAI's archives, as in their addresses.
OPENAI = {
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af": "ViT-B/32",
    "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f": "ViT-B/16",
    "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836": "ViT-L/14",
    "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02": "ViT-L/14@336px",
}
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
# Not weights: numbers and masks that older archives and checkpoints carry along.
IGNORED = re.compile(r"(input_resolution|context_length|vocab_size|attn_mask|.*\.position_ids)$")


class Refused(Exception):
    """A sentence for the user."""


def sha256(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


#: What training scripts keep their weights under.
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "ema_state_dict")


def is_state(value) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(v, torch.Tensor) for v in value.values())


def unwrap(state, path: pathlib.Path) -> dict:
    """The state dict inside {"model": …}, {"model_state_dict": …}, {"state_dict": …}, which may be nested."""
    for _ in range(4):
        if is_state(state):
            return state
        if not isinstance(state, dict):
            raise Refused(f"{path}: expected a state dict of tensors, found {type(state).__name__}")
        inner = [key for key in WRAPPERS if isinstance(state.get(key), dict) and state[key]]
        if len(inner) > 1:
            raise Refused(f"{path}: there are several sets of weights, {', '.join(inner)}; save the one that is meant "
                          "alone: torch.save(checkpoint[KEY], FILE)")
        if not inner:
            break
        state = state[inner[0]]
    keys = [str(key) for key in state][:6]
    raise Refused(f"{path}: expected a state dict of tensors, found a dict with the keys {', '.join(keys) or '(none)'}")


def read_safetensors(path: pathlib.Path) -> dict:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except Exception as error:
        raise Refused(f"{path}: this is no readable safetensors file: {error}") from None


def read_index(path: pathlib.Path) -> dict:
    """The tensors of all files of an index: {"weight_map": {tensor: file beside the index}}."""
    index = read_json(path, Refused)
    files = index.get("weight_map")
    if not isinstance(files, dict) or not files:
        raise Refused(f'{path}: the index has no "weight_map"')
    state = {}
    for file in sorted(set(map(str, files.values()))):
        if pathlib.PurePath(file).name != file or file in ("", ".", ".."):
            raise Refused(f'{path}: expected the name of a file beside the index, found "{file}"')
        if not (path.parent / file).is_file():
            raise Refused(f"{path.parent / file}: the file that {path.name} names is missing")
        part, _ = read_state(path.parent / file)
        for name, tensor in part.items():
            if files.get(name) != file:
                raise Refused(f'{path}: {file} holds the tensor "{name}", which the index does not have there')
            state[name] = tensor
    missing = [name for name in files if name not in state]
    if missing:
        raise Refused(f'{path}: tensor "{missing[0]}" is not in {files[missing[0]]}, where the index has it')
    return state


def read_state(path: pathlib.Path):
    """The tensors of a file and how it stores them: torchscript, pickle or safetensors."""
    if path.name.endswith(".index.json"):
        return read_index(path), "safetensors"
    if path.suffix == ".safetensors":
        return read_safetensors(path), "safetensors"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            script = any("/code/" in name or name.endswith("constants.pkl") for name in archive.namelist())
        if script:
            try:
                return torch.jit.load(path, map_location="cpu").state_dict(), "torchscript"
            except Exception as error:
                raise Refused(f"{path}: this is no readable TorchScript archive: "
                              f"{str(error).strip().splitlines()[0]}") from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        text = str(error)
        found = re.search(r"GLOBAL ([\w.]+)", text)
        if found:
            raise Refused(f"{path}: this is a pickled object that needs the code of its class ({found[1]}), and pickled "
                          "code is not run; save its state dict instead: torch.save(model.state_dict(), FILE)") from None
        raise Refused(f"{path}: neither a TorchScript archive nor a state dict: "
                      f"{(text.strip().splitlines() or [type(error).__name__])[0]}") from None
    return unwrap(state, path), "pickle"


def save(tensors: dict, target: pathlib.Path, metadata: dict) -> None:
    """Writes a safetensors file under another name and then gives it its own, with the permissions of any new file."""
    if not target.parent.is_dir():
        raise Refused(f"{target}: the folder {target.parent} does not exist")
    if target.is_dir():
        raise Refused(f"{target}: this is a folder, expected the name of a file to write")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        save_file(tensors, part, metadata)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(part, 0o666 & ~mask)  # save_file may write through a file that only its owner can read
        os.replace(part, target)
    except Exception as error:
        raise Refused(f"{target}: cannot write the file: {error}") from None
    finally:
        part.unlink(missing_ok=True)


def find_file(path: pathlib.Path) -> pathlib.Path:
    if path.is_file():
        return path
    for name in ("model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors",
                 "open_clip_pytorch_model.bin", "model.safetensors.index.json", "pytorch_model.bin.index.json",
                 "open_clip_model.safetensors.index.json"):
        if (path / name).is_file():
            return path / name
    raise Refused(f"{path}: there is no such file, nor a folder that holds a CLIP model's weights")


def from_hugging_face(state: dict) -> dict:
    """OpenAI's names for those of a CLIPModel."""
    plain = {
        "vision_model.embeddings.class_embedding": "visual.class_embedding",
        "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
        "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
        "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
        "logit_scale": "logit_scale"}
    norms = {"vision_model.pre_layrnorm": "visual.ln_pre", "vision_model.post_layernorm": "visual.ln_post",
             "text_model.final_layer_norm": "ln_final"}
    parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj",
             "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    out, joint = {}, {}
    for name, tensor in state.items():
        stem, _, kind = name.rpartition(".")
        layer = re.fullmatch(r"(vision|text)_model\.encoder\.layers\.(\d+)\.(.*)", stem)
        if name in plain:
            out[plain[name]] = tensor
        elif name in ("visual_projection.weight", "text_projection.weight"):
            out["visual.proj" if name.startswith("visual") else "text_projection"] = tensor.T
        elif stem in norms:
            out[f"{norms[stem]}.{kind}"] = tensor
        elif layer:
            block = ("visual." if layer[1] == "vision" else "") + f"transformer.resblocks.{layer[2]}."
            third = re.fullmatch(r"self_attn\.([qkv])_proj", layer[3])
            if third:
                joint.setdefault(f"{block}attn.in_proj_{kind}", {})[third[1]] = tensor
            elif layer[3] in parts:
                out[f"{block}{parts[layer[3]]}.{kind}"] = tensor
            else:
                raise Refused(f'tensor "{name}" belongs to no CLIP model')
        else:
            raise Refused(f'tensor "{name}" belongs to no CLIP model')
    for name, thirds in joint.items():
        if set(thirds) != set("qkv"):
            raise Refused(f'"{name}" needs the projections q, k and v, found {", ".join(sorted(thirds))}')
        out[name] = torch.cat([thirds[which] for which in "qkv"])
    return out


def expected_shapes(state: dict) -> tuple[dict, dict]:
    """Every tensor that the encoders need, with its shape, and the sizes; from a few shapes."""
    def shape(name, rank):
        if name not in state:
            raise Refused(f'tensor "{name}" is missing')
        if state[name].dim() != rank:
            raise Refused(f'tensor "{name}" has shape {tuple(state[name].shape)}, expected {rank} dimensions')
        return tuple(state[name].shape)

    def depth(prefix):
        count = 0
        while f"{prefix}{count}.ln_1.weight" in state:
            count += 1
        if count == 0:
            raise Refused(f'tensor "{prefix}0.ln_1.weight" is missing')
        return count

    def hidden(prefix):
        return shape(f"{prefix}transformer.resblocks.0.mlp.c_fc.weight", 2)[0]

    width, channels, patch, _ = shape("visual.conv1.weight", 4)
    positions = shape("visual.positional_embedding", 2)[0]
    side = round((positions - 1) ** 0.5)
    if side * side != positions - 1:
        raise Refused(f'tensor "visual.positional_embedding" has {positions} rows, expected one more than a '
                      "square number of patches")
    vocabulary, text_width = shape("token_embedding.weight", 2)
    context, output = shape("positional_embedding", 2)[0], shape("text_projection", 2)[1]
    sizes = {"image_size": side * patch, "patch": patch, "image_width": width,
             "image_layers": depth("visual.transformer.resblocks."), "output": output,
             "vocabulary": vocabulary, "context": context, "text_width": text_width,
             "text_layers": depth("transformer.resblocks."), "image_hidden": hidden("visual."), "text_hidden": hidden("")}
    shapes = {"visual.conv1.weight": (width, 3, patch, patch), "visual.class_embedding": (width,),
              "visual.positional_embedding": (positions, width), "visual.proj": (width, output),
              "token_embedding.weight": (vocabulary, text_width), "positional_embedding": (context, text_width),
              "text_projection": (text_width, output), "logit_scale": ()}
    for norm, w in (("visual.ln_pre", width), ("visual.ln_post", width), ("ln_final", text_width)):
        shapes |= {f"{norm}.weight": (w,), f"{norm}.bias": (w,)}
    for prefix, layers, w, inner in (("visual.", sizes["image_layers"], width, sizes["image_hidden"]),
                                     ("", sizes["text_layers"], text_width, sizes["text_hidden"])):
        for i in range(layers):
            block = f"{prefix}transformer.resblocks.{i}."
            for part, (rows, columns) in {"attn.out_proj": (w, w), "mlp.c_fc": (inner, w),
                                          "mlp.c_proj": (w, inner)}.items():
                shapes |= {f"{block}{part}.weight": (rows, columns), f"{block}{part}.bias": (rows,)}
            shapes |= {f"{block}attn.in_proj_weight": (3 * w, w), f"{block}attn.in_proj_bias": (3 * w,)}
            for norm in ("ln_1", "ln_2"):
                shapes |= {f"{block}{norm}.weight": (w,), f"{block}{norm}.bias": (w,)}
    return shapes, sizes


def check_state(state: dict, shapes: dict, what: str) -> None:
    """Refuses tensors that are missing, unknown, mis-shaped, not floating or not finite."""
    missing = [name for name in shapes if name not in state]
    unknown = [name for name in state if name not in shapes]
    if missing or unknown:
        wrong = [f"{len(names)} {word} ({', '.join(names[:4])}{' …' if len(names) > 4 else ''})"
                 for word, names in (("missing", missing), ("unknown", unknown)) if names]
        raise Refused(f"the tensors are not those of {what}: " + "; ".join(wrong))
    for name, shape in shapes.items():
        if tuple(state[name].shape) not in (shape, (1,) if shape == () else shape):
            raise Refused(f'tensor "{name}" has shape {tuple(state[name].shape)}, expected {shape}')
        if not state[name].is_floating_point():
            raise Refused(f'tensor "{name}" holds {state[name].dtype} elements, expected floating point')
        if not torch.isfinite(state[name]).all():
            raise Refused(f'tensor "{name}" holds numbers that are not finite')


def convert_clip(source: pathlib.Path, target: pathlib.Path, dtype: str = "float32",
                 activation: str | None = None, image_heads: int | None = None,
                 text_heads: int | None = None) -> dict:
    """Writes `target` and returns its metadata."""
    source = find_file(source)
    if not pathlib.Path(target).parent.is_dir():
        raise Refused(f"{target}: the folder {pathlib.Path(target).parent} does not exist")
    state, storage = read_state(source)
    # What training scripts and wrappers put before the names.
    for prefix in ("module.", "model."):
        if state and all(name.startswith(prefix) for name in state):
            state = {name[len(prefix):]: tensor for name, tensor in state.items()}
    state = {name: tensor for name, tensor in state.items() if not IGNORED.match(name)}
    if "text.token_embedding.weight" in state:  # open_clip's CustomTextCLIP
        state = {re.sub(r"^text\.", "", name): tensor for name, tensor in state.items()}
    for name in state:
        if name.startswith(("visual.layer1.", "visual.trunk.", "vision_model.head.")):
            raise Refused(f'tensor "{name}" belongs to another kind of image encoder; only CLIP\'s own '
                          "vision transformers (ViT) are supported")
    hugging_face = "vision_model.embeddings.patch_embedding.weight" in state
    kind = "Hugging Face CLIPModel" if hugging_face else \
        "OpenAI TorchScript archive" if storage == "torchscript" else "open_clip state dict"
    if hugging_face:
        state = from_hugging_face(state)
    shapes, sizes = expected_shapes(state)
    check_state(state, shapes, "a CLIP model")

    digest = sha256(source)
    facts = facts_of(source.parent, hugging_face, sizes, Refused)
    if storage == "torchscript" or digest in OPENAI:
        facts.setdefault("activation", "quick_gelu")
    for side, width in (("image", sizes["image_width"]), ("text", sizes["text_width"])):
        if width % 64 == 0 and width <= 1024:  # true of every model up to L/14
            facts.setdefault(f"{side}_heads", width // 64)
    given = {"activation": activation, "image_heads": image_heads, "text_heads": text_heads}
    facts |= {key: value for key, value in given.items() if value is not None}
    for key in given:
        if key not in facts:
            raise Refused(f"the files do not say the model's {key.replace('_', ' ')}: give --{key.replace('_', '-')}")
    if facts["activation"] not in ("quick_gelu", "gelu"):
        raise Refused(f"the activation {facts['activation']} is neither quick_gelu nor gelu")
    facts = {"interpolation": "bicubic", "mean": MEAN, "std": STD} | facts
    metadata = {"format": "tandem clip 1", "source": source.name, "source_kind": kind,
                "source_sha256": digest, "model": OPENAI.get(digest, ""), "dtype": dtype,
                "resize": "short side, then centre crop"} | sizes | facts
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    tensors = {name: state[name].reshape(shapes[name]).to(DTYPES[dtype]).contiguous() for name in shapes}
    save(tensors, target, metadata)
    return metadata


def convert_i3d(source: pathlib.Path, target: pathlib.Path, dtype: str = "float32", window=(2, 7, 7),
                batch_norm_epsilon: float | None = None) -> dict:
    """Writes `target` and returns its metadata."""
    return i3d.convert(source, target, dtype, window, sys.modules[__name__], batch_norm_epsilon)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    clip = commands.add_parser("clip", help="CLIP's encoders (ViT)")
    clip.add_argument("source", type=pathlib.Path, help="archive, checkpoint, weight file or model folder")
    clip.add_argument("target", type=pathlib.Path, help="the safetensors file to write")
    clip.add_argument("--dtype", choices=DTYPES, default="float32",
                      help="of the written tensors; tandem maps float32, and bfloat16 when it computes in it")
    clip.add_argument("--activation", choices=["quick_gelu", "gelu"],
                      help="where the files do not say: OpenAI's models use quick_gelu, most of open_clip's gelu")
    clip.add_argument("--image-heads", type=int, help="where the files do not say")
    clip.add_argument("--text-heads", type=int, help="where the files do not say")
    video = commands.add_parser("i3d", help="I3D, the RGB or the flow stream")
    video.add_argument("source", type=pathlib.Path,
                       help="state dict, or a TensorFlow checkpoint: its index, its prefix (model.ckpt) or its folder")
    video.add_argument("target", type=pathlib.Path, help="the safetensors file to write")
    video.add_argument("--dtype", choices=DTYPES, default="float32", help="of the written tensors")
    video.add_argument("--batch-norm-epsilon", type=float,
                       help="of the network that the weights are for: 1e-3 (DeepMind, piergiaj, hassony2; the default) or "
                            "1e-5 (v-iashin/video_features, whose files look like hassony2's)")
    options = vars(parser.parse_args())
    convert = {"clip": convert_clip, "i3d": convert_i3d}[options.pop("command")]
    try:
        metadata = convert(**options)
    except Refused as error:
        sys.exit(f"convert.py: {error}")
    print(f"{options['target']}: " + ", ".join(f"{key} {value}" for key, value in metadata.items() if value))


if __name__ == "__main__":
    main()
