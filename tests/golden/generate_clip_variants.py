"""The mini open_clip model of clip/open_clip under other configurations → clip_variants.npz.

    python tests/golden/generate_clip_variants.py      # needs open_clip_torch, torch, safetensors

The weights are those of the file; only what the configuration says differs: epsilons of the layer norms, and a
text side without causal mask, whose texts are padded with token 0 as open_clip pads them. Images and texts are
those of clip.npz; features in float64.
"""
import json

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file

from golden_common import HERE, Golden

FOLDER = HERE / "clip" / "open_clip"
config = json.loads((FOLDER / "open_clip_config.json").read_text())["model_cfg"]
inputs = np.load(HERE / "clip.npz")
images = torch.from_numpy(inputs["images"]).double()
ids = torch.from_numpy(inputs["ids"]).clone()
for row, length in zip(ids, inputs["lengths"]):
    row[int(length):] = 0
g = Golden("clip_variants", 0, {"open_clip": open_clip.__version__, "weights": "clip/open_clip"})
for name, vision, text in [("eps", {"norm_kwargs": {"eps": 1e-2}}, {"norm_kwargs": {"eps": 3e-2}}),
                           ("all_see_all", {}, {"no_causal_mask": True})]:
    model = CLIP(config["embed_dim"], CLIPVisionCfg(**config["vision_cfg"], **vision),
                 CLIPTextCfg(**config["text_cfg"], **text))
    model.load_state_dict(load_file(FOLDER / "open_clip_model.safetensors"))
    model = model.double().eval()
    with torch.no_grad():
        g.put(f"{name}.image", model.encode_image(images))
        g.put(f"{name}.text", model.encode_text(ids))
g.write()
