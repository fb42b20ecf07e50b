"""What the configurations beside CLIP's weights say, with every key held against the rules that tandem's loader has
(include/tandem/clip/config_rules.hpp): done, known to be without effect, or refused by name. Used by convert.py."""
from __future__ import annotations

import json
import pathlib

HEADER = pathlib.Path(__file__).resolve().parent.parent / "include" / "tandem" / "clip" / "config_rules.hpp"


def rules(refused) -> dict:
    if not HEADER.is_file():
        raise refused(f"{HEADER}: the rules of configurations are missing; run convert.py where it lies in tandem")
    return json.loads(HEADER.read_text().partition('R"json(')[2].partition(')json"')[0])


def read_json(path: pathlib.Path, refused) -> dict | None:
    """The object in a file; None where there is no file."""
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise refused(f"{path}: this is no readable JSON: {error}") from None
    if not isinstance(value, dict):
        raise refused(f"{path}: expected an object, found {type(value).__name__}")
    return value


def same(a, b) -> bool:
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def check(path: pathlib.Path, config: dict, refused) -> None:
    """Refuses every key that the rules do not list, or whose value they do not."""
    table = rules(refused)
    for where, section in table[path.name].items():
        at = config
        for step in where.split(".") if where else []:
            at = at.get(step) if isinstance(at, dict) else None
        if not isinstance(at, dict):
            continue
        known = {}
        while section is not None:
            known = section | known
            section = table["common"].get(section.get("+"))
        for key, value in at.items():
            name = f"{where}.{key}" if where else key
            shown = json.dumps(value)[:80]
            if key not in known or key == "+":
                raise refused(f"{path}: {name}: is {shown}, but this key is not known here, and may change the features")
            allowed = known[key]
            if isinstance(allowed, list) and value is not None and not any(same(value, one) for one in allowed):
                expected = f"expected {', '.join(map(json.dumps, allowed))}" if allowed else "the key must be absent"
                raise refused(f"{path}: {name}: is {shown}, which is not implemented; {expected}")


class Config:
    """One configuration with its rules checked; `get` gives numbers, strings and sections with their types checked."""

    def __init__(self, path: pathlib.Path, refused):
        self.path, self.refused = path, refused
        self.root = read_json(path, refused)
        if self.root is not None:
            check(path, self.root, refused)

    def __bool__(self):
        return self.root is not None

    def find(self, where: str):
        at = self.root
        for step in where.split("."):
            if at is not None and not isinstance(at, dict):
                raise self.refused(f"{self.path}: {where}: expected an object on the way to it")
            at = at.get(step) if at is not None else None
        return at

    def get(self, where: str, kind, otherwise):
        value = self.find(where)
        if value is None:
            return otherwise
        kinds = (int, float) if kind is float else kind
        if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
            raise self.refused(f"{self.path}: {where}: expected {kind.__name__}, found {json.dumps(value)[:80]}")
        return value

    def triple(self, where: str):
        value = self.find(where)
        if value is None:
            return None
        if not (isinstance(value, list) and len(value) == 3 and
                all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)):
            raise self.refused(f"{self.path}: {where}: expected three numbers, found {json.dumps(value)[:80]}")
        return value

    def square(self, where: str):
        """A number, [rows, columns] or {"height": …, "width": …}, both equal; None where it is missing."""
        value = self.find(where)
        if value is None:
            return None
        sides = [value, value] if not isinstance(value, (list, dict)) else value if isinstance(value, list) else \
            [value.get("height"), value.get("width")]
        if len(sides) != 2 or sides[0] != sides[1] or not isinstance(sides[0], int) or isinstance(sides[0], bool):
            raise self.refused(f"{self.path}: {where}: is {json.dumps(value)[:80]}, expected the side of a square")
        return sides[0]

    def expect(self, where: str, actual: int) -> None:
        said = self.square(where)
        if said is not None and said != actual:
            raise self.refused(f"{self.path}: {where}: is {said}, the tensors are those of {actual}")


def open_clip_facts(folder: pathlib.Path, sizes: dict, refused) -> dict:
    config = Config(folder / "open_clip_config.json", refused)
    if not config:
        return {}
    image, text, facts = "model_cfg.vision_cfg", "model_cfg.text_cfg", {}
    if config.find("model_cfg") is not None:
        head_width = config.get(f"{image}.head_width", int, 64)
        if head_width < 1:
            raise refused(f"{config.path}: {image}.head_width: expected a number from 1, found {head_width}")
        facts = {"activation": "quick_gelu" if config.get("model_cfg.quick_gelu", bool, False) else "gelu",
                 "image_heads": config.get(f"{image}.width", int, 768) // head_width,
                 "text_heads": config.get(f"{text}.heads", int, 8),
                 "image_layer_norm_eps": config.get(f"{image}.norm_kwargs.eps", float, 1e-5),
                 "text_layer_norm_eps": config.get(f"{text}.norm_kwargs.eps", float, 1e-5),
                 "causal": not config.get(f"{text}.no_causal_mask", bool, False)}
        for where, size in ((f"{image}.layers", "image_layers"), (f"{image}.width", "image_width"),
                            (f"{image}.patch_size", "patch"), (f"{image}.image_size", "image_size"),
                            (f"{text}.layers", "text_layers"), (f"{text}.width", "text_width"),
                            (f"{text}.context_length", "context"), (f"{text}.vocab_size", "vocabulary"),
                            ("model_cfg.embed_dim", "output")):
            config.expect(where, sizes[size])
    size = config.square("preprocess_cfg.size")
    if size is not None and size != sizes["image_size"]:
        raise refused(f"{config.path}: preprocess_cfg.size: is {size}, the encoder takes images of {sizes['image_size']}")
    squash = config.get("preprocess_cfg.resize_mode", str, "shortest") == "squash"
    return facts | {"mean": config.triple("preprocess_cfg.mean"), "std": config.triple("preprocess_cfg.std"),
                    "interpolation": config.get("preprocess_cfg.interpolation", str, "bicubic"),
                    "resize": "squash" if squash else None}


def hugging_face_facts(folder: pathlib.Path, sizes: dict, refused) -> dict:
    config, facts = Config(folder / "config.json", refused), {}
    if config:
        sides = {}
        for side, heads in (("vision_config", 12), ("text_config", 8)):
            # transformers takes "…_dict", with defaults for what it lacks, where there is one: the two must agree.
            doubled = config.find(f"{side}_dict") is not None
            from_ = f"{side}_dict" if doubled else side
            for key, otherwise in (("hidden_act", "quick_gelu"), ("layer_norm_eps", 1e-5), ("num_attention_heads", heads)):
                one, two = config.find(f"{side}.{key}"), config.find(f"{from_}.{key}")
                two = otherwise if two is None else two
                if one is not None and one != two:
                    raise refused(f"{config.path}: {side}.{key}: is {json.dumps(one)}, by {from_} it is {json.dumps(two)}")
            sides[side] = (config.get(f"{from_}.hidden_act", str, "quick_gelu"),
                           config.get(f"{from_}.num_attention_heads", int, heads),
                           config.get(f"{from_}.layer_norm_eps", float, 1e-5))
            image = side == "vision_config"
            for name in {side, from_}:
                part = "image" if image else "text"
                keys = {"num_hidden_layers": f"{part}_layers", "hidden_size": f"{part}_width",
                        "intermediate_size": f"{part}_hidden"}
                keys |= {"patch_size": "patch", "image_size": "image_size"} if image else \
                    {"max_position_embeddings": "context", "vocab_size": "vocabulary"}
                for key, size in keys.items():
                    config.expect(f"{name}.{key}", sizes[size])
        config.expect("projection_dim", sizes["output"])
        names = {side[0] for side in sides.values()}
        if len(names) > 1:
            raise refused(f"the two encoders have different activations: {', '.join(sorted(names))}")
        (act, image_heads, image_eps), (_, text_heads, text_eps) = sides.values()
        facts = {"activation": act, "image_heads": image_heads, "text_heads": text_heads,
                 "image_layer_norm_eps": image_eps, "text_layer_norm_eps": text_eps}
    images = Config(folder / "preprocessor_config.json", refused)
    if not images:
        return facts

    def refuse(key, why):
        raise refused(f"{images.path}: {key}: is {json.dumps(images.find(key))[:80]}, {why}")
    crop, size, crops = images.square("crop_size"), images.find("size"), images.get("do_center_crop", bool, True)
    takes = f"the encoder takes images of {sizes['image_size']}"
    if crops and crop is not None and crop != sizes["image_size"]:
        refuse("crop_size", takes)
    if isinstance(size, dict) and "height" in size:
        if "shortest_edge" in size:
            refuse("size", "expected either shortest_edge or height and width")
        facts["resize"] = "squash"
        if images.square("size") != sizes["image_size"]:
            refuse("size", takes)
    elif not crops:
        refuse("do_center_crop", "which is not implemented where only the short side is resized")
    elif size is not None:
        short = size.get("shortest_edge") if isinstance(size, dict) else size
        if not isinstance(short, int) or short < sizes["image_size"]:
            refuse("size", f"expected a short side of at least the crop of {sizes['image_size']}")
        if short != sizes["image_size"]:
            facts["short_side"] = short
    if abs(images.get("rescale_factor", float, 1 / 255) * 255 - 1) > 1e-6:
        refuse("rescale_factor", "which is not implemented; expected 1/255")
    normal = images.get("do_normalize", bool, True)
    return facts | {"interpolation": "bilinear" if images.find("resample") == 2 else "bicubic",
                    "mean": images.triple("image_mean") if normal else [0, 0, 0],
                    "std": images.triple("image_std") if normal else [1, 1, 1]}


def facts_of(folder: pathlib.Path, hugging_face: bool, sizes: dict, refused) -> dict:
    """What the files beside the weights say: activation, heads, epsilons, preprocessing."""
    facts = (hugging_face_facts if hugging_face else open_clip_facts)(folder, sizes, refused)
    return {key: value for key, value in facts.items() if value is not None}
