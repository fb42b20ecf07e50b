"""Mini CLIP models of open_clip and transformers, saved in their own formats → clip/ and clip.npz.

    clip/open_clip/      open_clip_model.safetensors and open_clip_config.json, exact GELU
    clip/hugging_face/   model.safetensors and config.json as CLIPModel.save_pretrained writes them, QuickGELU
    clip/converted.safetensors
                         weights/convert.py clip on a TorchScript archive in half precision, as OpenAI's are
    clip.npz             images, token ids, prompt vectors; features, and gradients of the prompt vectors,
                         computed by each of the two packages in float64 from the float32 weights

The prompt vectors stand at positions 1 and 2 of every text, through a hook on the package's own token
embedding; the cotangent of the features is random.
"""
import json
import pathlib
import sys
import tempfile

import open_clip
import torch
import transformers
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import save_file

from golden_common import HERE, Golden

sys.path.insert(0, str(HERE.parent.parent / "weights"))
import convert  # noqa: E402

SEED = 47
SIZES = dict(image_size=32, patch=8, image_width=24, image_heads=3, text_width=16, text_heads=2, layers=3,
             vocabulary=60, context=12, output=20)
s = SIZES
torch.manual_seed(SEED)
g = Golden("clip", SEED, SIZES | {"open_clip": open_clip.__version__, "transformers": transformers.__version__,
                                  "state": "float32, 2 + ids.shape[1] positions; EOT is the largest id"})
START, END = s["vocabulary"] - 2, s["vocabulary"] - 1


def shake(model):
    """Values far from the initial ones in every parameter: attention that chooses, scales and shifts."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("logit_scale"):
                p.fill_(torch.log(torch.tensor(50.0)))
            elif p.dim() == 1 and "class_embedding" not in name:
                p += 0.2 * g.randn(*p.shape)
            else:
                p.copy_(g.randn(*p.shape) * (1.0 / p[0].numel() ** 0.5 if p.dim() > 1 else 1.0))
    return model.float().eval()


def open_clip_model(quick_gelu):
    return CLIP(s["output"],
                CLIPVisionCfg(layers=s["layers"], width=s["image_width"], patch_size=s["patch"],
                              head_width=s["image_width"] // s["image_heads"], image_size=s["image_size"]),
                CLIPTextCfg(context_length=s["context"], vocab_size=s["vocabulary"], width=s["text_width"],
                            heads=s["text_heads"], layers=s["layers"]), quick_gelu=quick_gelu)


def features(model, name, images, ids, prompts, encode_image, encode_text, embedding):
    """Records what `model` in float64 says of the images and of the texts with prompt vectors."""
    model = model.double().requires_grad_(False)
    prompts = prompts.clone().requires_grad_()

    def put(_module, _inputs, embedded):
        return torch.cat([embedded[:, :1], prompts.expand(len(embedded), -1, -1), embedded[:, 3:]], 1)

    hook = embedding.register_forward_hook(put)
    text = encode_text(ids)
    cotangent = g.randn(*text.shape)
    text.backward(cotangent)
    hook.remove()
    for key, value in [("image", encode_image(images)), ("plain", encode_text(ids)), ("text", text),
                       ("cot", cotangent), ("d_prompts", prompts.grad)]:
        g.put(f"{name}.{key}", value)


images = g.randn(3, 3, s["image_size"], s["image_size"]).float().double()
prompts = g.randn(2, s["text_width"]).float().double()
rows = [[START, 1, 2, 7, END], [START, 3, 4, 30, 11, 9, 8, 21, 40, END], [START, 5, 6, 17, 23, 2, END]]
g.put("images", images.float())
g.put("prompts", prompts.float())
g.put("lengths", torch.tensor([len(row) for row in rows]))
ids = torch.full((len(rows), s["context"]), END)  # transformers reads at the first EOT, open_clip at the largest id
for n, row in enumerate(rows):
    ids[n, :len(row)] = torch.tensor(row)
g.put("ids", ids)

ours = HERE / "clip"
(ours / "open_clip").mkdir(parents=True, exist_ok=True)
model = shake(open_clip_model(quick_gelu=False))
save_file({k: v.contiguous() for k, v in model.state_dict().items()}, ours / "open_clip" / "open_clip_model.safetensors",
          {"format": "pt"})
(ours / "open_clip" / "open_clip_config.json").write_text(json.dumps({
    "model_cfg": {"embed_dim": s["output"],
                  "vision_cfg": {"image_size": s["image_size"], "layers": s["layers"], "width": s["image_width"],
                                 "head_width": s["image_width"] // s["image_heads"], "patch_size": s["patch"]},
                  "text_cfg": {"context_length": s["context"], "vocab_size": s["vocabulary"],
                               "width": s["text_width"], "heads": s["text_heads"], "layers": s["layers"]}},
    "preprocess_cfg": {"mean": convert.MEAN, "std": convert.STD}}, indent=2) + "\n")
features(model, "open_clip", images, ids, prompts, model.encode_image, model.encode_text, model.token_embedding)

common = dict(num_hidden_layers=s["layers"], projection_dim=s["output"], hidden_act="quick_gelu")
model = shake(transformers.CLIPModel(transformers.CLIPConfig(
    text_config=dict(common, hidden_size=s["text_width"], intermediate_size=4 * s["text_width"],
                     num_attention_heads=s["text_heads"], vocab_size=s["vocabulary"],
                     max_position_embeddings=s["context"], bos_token_id=START, eos_token_id=END, pad_token_id=END),
    vision_config=dict(common, hidden_size=s["image_width"], intermediate_size=4 * s["image_width"],
                       num_attention_heads=s["image_heads"], image_size=s["image_size"], patch_size=s["patch"]),
    projection_dim=s["output"])))
model.save_pretrained(ours / "hugging_face")


def pooled(output):
    return output if isinstance(output, torch.Tensor) else output.pooler_output


features(model, "hugging_face", images, ids, prompts,
         lambda x: pooled(model.get_image_features(pixel_values=x)),
         lambda x: pooled(model.get_text_features(input_ids=x)), model.text_model.embeddings.token_embedding)


class Both(torch.nn.Module):
    """What the TorchScript archive runs; its state dict has the model's own names, as OpenAI's does."""

    def __init__(self, clip):
        super().__init__()
        for name, child in clip.named_children():
            self.add_module(name, child)
        for name in ("positional_embedding", "text_projection", "logit_scale"):
            self.register_parameter(name, getattr(clip, name))
        self.register_buffer("input_resolution", torch.tensor(s["image_size"]))

    def forward(self, image):
        return self.visual(image)


model = shake(open_clip_model(quick_gelu=True))
with torch.no_grad():
    for p in model.parameters():
        p.copy_(p.half().float())
with tempfile.TemporaryDirectory() as folder:
    archive = pathlib.Path(folder) / "mini.pt"
    traced = torch.jit.trace(Both(model), images[:1].float(), check_trace=False)
    traced.half().save(str(archive))
    convert.convert_clip(archive, ours / "converted.safetensors", "float16",
                         image_heads=s["image_heads"], text_heads=s["text_heads"])
features(model, "converted", images, ids, prompts, model.encode_image, model.encode_text, model.token_embedding)
g.write()
