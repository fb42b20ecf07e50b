"""weights/convert.py clip on every kind of source, and what it refuses; exit 77 (skipped) without torch."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "clip"
sys.path.insert(0, str(ROOT / "weights"))
try:
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
import config_rules  # noqa: E402
import convert  # noqa: E402

folder = pathlib.Path(tempfile.mkdtemp())
target = folder / "out.safetensors"


def refusal(source, **options):
    target.unlink(missing_ok=True)
    try:
        convert.convert_clip(source, target, **options)
    except convert.Refused as error:
        assert not target.exists()
        return str(error)
    return ""


def metadata(path):
    with safe_open(path, "pt") as file:
        return file.metadata()


try:
    # open_clip, its own folder: the same tensors, and the facts from the config.
    original = load_file(GOLDEN / "open_clip" / "open_clip_model.safetensors")
    facts = convert.convert_clip(GOLDEN / "open_clip", target)
    assert all(torch.equal(original[name], tensor) for name, tensor in load_file(target).items())
    assert set(load_file(target)) == set(original)
    assert facts == metadata(target)
    assert (facts["activation"], facts["image_heads"], facts["text_heads"]) == ("gelu", "3", "2")
    assert facts["source_sha256"] == convert.sha256(GOLDEN / "open_clip" / "open_clip_model.safetensors")

    # A training checkpoint, as another type.
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in original.items()}}, folder / "epoch_3.pt")
    given = dict(image_heads=3, text_heads=2, activation="gelu")
    convert.convert_clip(folder / "epoch_3.pt", target, "bfloat16", **given)
    assert all(torch.equal(original[name].bfloat16(), tensor) for name, tensor in load_file(target).items())

    # Hugging Face: thirds joined, projections turned.
    theirs = load_file(GOLDEN / "hugging_face" / "model.safetensors")
    facts = convert.convert_clip(GOLDEN / "hugging_face", target)
    ours = load_file(target)
    assert facts["activation"] == "quick_gelu" and facts["source_kind"] == "Hugging Face CLIPModel"
    assert torch.equal(ours["text_projection"], theirs["text_projection.weight"].T)
    layer = "text_model.encoder.layers.1.self_attn."
    assert torch.equal(ours["transformer.resblocks.1.attn.in_proj_weight"],
                       torch.cat([theirs[f"{layer}{which}_proj.weight"] for which in "qkv"]))
    assert sum(t.numel() for t in ours.values()) == sum(t.numel() for t in theirs.values())

    # What training scripts wrap weights in; several files with an index; perceptrons of another width.
    for key in ("model", "model_state_dict", "state_dict"):
        torch.save({"epoch": 3, "optimizer": {"state": {}}, key: original}, folder / "wrapped.pt")
        convert.convert_clip(folder / "wrapped.pt", target, **given)
        assert all(torch.equal(original[name], tensor) for name, tensor in load_file(target).items()), key
    torch.save({"model": {"state_dict": original}}, folder / "wrapped.pt")
    convert.convert_clip(folder / "wrapped.pt", target, **given)
    torch.save({"model": original, "state_dict": original}, folder / "wrapped.pt")
    assert "several sets of weights, state_dict, model" in refusal(folder / "wrapped.pt", **given)
    torch.save({"epoch": 3, "weights": original}, folder / "wrapped.pt")
    assert "found a dict with the keys epoch, weights" in refusal(folder / "wrapped.pt", **given)
    torch.save([1, 2], folder / "wrapped.pt")
    assert "expected a state dict of tensors, found list" in refusal(folder / "wrapped.pt", **given)
    torch.save(torch.nn.Linear(2, 2), folder / "wrapped.pt")
    assert "pickled object that needs the code of its class (torch.nn.modules.linear.Linear)" in \
        refusal(folder / "wrapped.pt", **given)

    split = folder / "split"
    split.mkdir()
    names = sorted(original)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, inside in parts.items():
        save_file({name: original[name] for name in inside}, split / file)
    index = {"weight_map": {name: file for file, inside in parts.items() for name in inside}}
    (split / "model.safetensors.index.json").write_text(json.dumps(index))
    convert.convert_clip(split, target, **given)
    assert all(torch.equal(original[name], tensor) for name, tensor in load_file(target).items())
    (split / "b.safetensors").unlink()
    assert refusal(split, **given).endswith("b.safetensors: the file that model.safetensors.index.json names is missing")
    for wrong in ("../a.safetensors", "/etc/passwd", ".."):
        (split / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {names[0]: wrong}}))
        assert "expected the name of a file beside the index" in refusal(split, **given)

    narrow = dict(original)
    for name in original:
        if "mlp.c_fc" in name and name.startswith("visual."):
            narrow[name] = original[name][:40].clone()
        elif "mlp.c_proj.weight" in name and name.startswith("visual."):
            narrow[name] = original[name][:, :40].clone()
    torch.save(narrow, folder / "narrow.pt")
    facts = convert.convert_clip(folder / "narrow.pt", target, **given)
    assert (facts["image_hidden"], facts["text_hidden"]) == ("40", "64")
    assert load_file(target)["visual.transformer.resblocks.2.mlp.c_proj.weight"].shape == (24, 40)

    # The permissions of any new file, and nothing left behind.
    for mask in (0o022, 0o077, 0o002):
        before = os.umask(mask)
        target.unlink(missing_ok=True)
        convert.convert_clip(folder / "narrow.pt", target, **given)
        os.umask(before)
        assert target.stat().st_mode & 0o777 == 0o666 & ~mask, oct(target.stat().st_mode)
    assert not list(folder.glob(".*.part"))
    for place, why in ((folder / "none" / "x.safetensors", "none does not exist"), (split, "this is a folder")):
        try:
            convert.convert_clip(folder / "narrow.pt", place, **given)
            raise AssertionError(place)
        except convert.Refused as error:
            assert why in str(error), error

    # Configurations: each key is done, known to be without effect, or refused; as in the loader, from one table.
    def configured(source, where, value, file):
        copy = folder / "configured"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(GOLDEN / source, copy)
        config = json.loads((copy / file).read_text()) if (copy / file).is_file() else {}
        at = config
        *path, last = where.split(".")
        for step in path:
            at = at.setdefault(step, {})
        at[last] = value
        (copy / file).write_text(json.dumps(config))
        return refusal(copy)

    for source, file, where, value, why in [
            ("open_clip", "open_clip_config.json", "model_cfg.vision_cfg.pool_type", "avg", 'is "avg", which is not'),
            ("open_clip", "open_clip_config.json", "model_cfg.text_cfg.act_kwargs", {"approximate": "tanh"}, "expected {}"),
            ("open_clip", "open_clip_config.json", "model_cfg.text_cfg.norm_kwargs.bias", False, "not known here"),
            ("open_clip", "open_clip_config.json", "model_cfg.novelty", 1, "not known here"),
            ("open_clip", "open_clip_config.json", "preprocess_cfg.resize_mode", "longest", 'expected "shortest", "squash"'),
            ("open_clip", "open_clip_config.json", "preprocess_cfg.size", 64, "the encoder takes images of 32"),
            ("open_clip", "open_clip_config.json", "model_cfg.vision_cfg.image_size", 64, "the tensors are those of 32"),
            ("open_clip", "open_clip_config.json", "model_cfg.vision_cfg", 3, "expected an object"),
            ("open_clip", "open_clip_config.json", "preprocess_cfg.mean", [1], "expected three numbers"),
            ("hugging_face", "config.json", "vision_config.num_channels", 4, "is 4, which is not implemented; expected 3"),
            ("hugging_face", "config.json", "text_config.hidden_act", "gelu", "different activations"),
            ("hugging_face", "config.json", "text_config_dict.hidden_act", "gelu", 'by text_config_dict it is "gelu"'),
            ("hugging_face", "config.json", "text_config_dict", {"hidden_size": 16}, "by text_config_dict it is 8"),
            ("hugging_face", "config.json", "quantization_config", {}, "the key must be absent"),
            ("hugging_face", "config.json", "vision_config.patch_size", 16, "the tensors are those of 8"),
            ("hugging_face", "preprocessor_config.json", "resample", 0, "is 0, which is not implemented; expected 2, 3"),
            ("hugging_face", "preprocessor_config.json", "do_center_crop", False, "only the short side is resized"),
            ("hugging_face", "preprocessor_config.json", "crop_size", 224, "the encoder takes images of 32"),
            ("hugging_face", "preprocessor_config.json", "do_flip", True, "not known here")]:
        assert why in configured(source, where, value, file), (where, value, configured(source, where, value, file))
    (folder / "configured" / "config.json").write_text("{")
    assert "config.json: this is no readable JSON" in refusal(folder / "configured")
    for source, file, where, value, key, want in [
            ("open_clip", "open_clip_config.json", "model_cfg.text_cfg.norm_kwargs.eps", 1e-6, "text_layer_norm_eps", "1e-06"),
            ("open_clip", "open_clip_config.json", "model_cfg.text_cfg.no_causal_mask", True, "causal", "false"),
            ("open_clip", "open_clip_config.json", "preprocess_cfg.resize_mode", "squash", "resize", "squash"),
            ("open_clip", "open_clip_config.json", "preprocess_cfg.interpolation", "bilinear", "interpolation", "bilinear"),
            ("hugging_face", "config.json", "vision_config.layer_norm_eps", 1e-6, "image_layer_norm_eps", "1e-06"),
            ("hugging_face", "config.json", "text_config_dict", {"num_attention_heads": 2}, "text_heads", "2"),
            ("hugging_face", "preprocessor_config.json", "size", {"height": 32, "width": 32}, "resize", "squash"),
            ("hugging_face", "preprocessor_config.json", "size", {"shortest_edge": 36}, "short_side", "36"),
            ("hugging_face", "preprocessor_config.json", "resample", 2, "interpolation", "bilinear"),
            ("hugging_face", "preprocessor_config.json", "do_normalize", False, "std", "[1, 1, 1]")]:
        assert configured(source, where, value, file) == "", where
        assert metadata(target)[key] == want, (where, metadata(target).get(key))
        # And the loader knows every key that is written.
        assert set(metadata(target)) <= set(config_rules.rules(convert.Refused)["header of the file"][""]), where

    # What is refused, and with which words.
    def pickled(change):
        state = {name: tensor.clone() for name, tensor in original.items()}
        change(state)
        torch.save(state, folder / "state.pt")
        return refusal(folder / "state.pt", **given)

    assert pickled(lambda s: s.pop("ln_final.bias")) == \
        "the tensors are not those of a CLIP model: 1 missing (ln_final.bias)"
    assert pickled(lambda s: s.update({"extra": torch.zeros(1)})) == \
        "the tensors are not those of a CLIP model: 1 unknown (extra)"
    assert pickled(lambda s: s.update({"ln_final.bias": torch.zeros(3)})) == \
        'tensor "ln_final.bias" has shape (3,), expected (16,)'
    assert pickled(lambda s: s.update({"ln_final.bias": torch.zeros(16, dtype=torch.int64)})) == \
        'tensor "ln_final.bias" holds torch.int64 elements, expected floating point'
    assert pickled(lambda s: s["ln_final.bias"].fill_(float("nan"))) == \
        'tensor "ln_final.bias" holds numbers that are not finite'
    assert "another kind of image encoder" in pickled(lambda s: s.update({"visual.layer1.0.conv1.weight": torch.zeros(1)}))
    torch.save(original, folder / "state.pt")
    assert refusal(folder / "state.pt", image_heads=3, text_heads=2) == \
        "the files do not say the model's activation: give --activation"
    assert "there is no such file" in refusal(folder / "nothing.pt")
    (folder / "text.pt").write_text("not a checkpoint")
    assert "neither a TorchScript archive nor a state dict" in refusal(folder / "text.pt")
    (folder / "cut.safetensors").write_bytes((GOLDEN / "converted.safetensors").read_bytes()[:5000])
    assert "no readable safetensors file" in refusal(folder / "cut.safetensors")

    # The command itself.
    command = [sys.executable, str(ROOT / "weights" / "convert.py"), "clip"]
    done = subprocess.run([*command, str(folder / "nothing.pt"), str(target)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("convert.py: "), done.stderr
    torch.save(torch.nn.Linear(2, 2), folder / "wrapped.pt")
    for words in ([str(folder / "wrapped.pt"), str(target)], [str(GOLDEN / "open_clip"), str(folder / "none" / "x")]):
        done = subprocess.run([*command, *words], capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith("convert.py: "), done.stderr
    done = subprocess.run([*command, str(GOLDEN / "open_clip"), str(target)], capture_output=True, text=True)
    assert done.returncode == 0 and "activation gelu" in done.stdout, done.stderr
    assert json.loads(metadata(target)["mean"]) == convert.MEAN
finally:
    shutil.rmtree(folder)
print("converter: all checks passed")
