"""weights/convert.py clip on every kind of source, and what it refuses; exit 77 (skipped) without torch."""
import json
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
    done = subprocess.run([*command, str(GOLDEN / "open_clip"), str(target)], capture_output=True, text=True)
    assert done.returncode == 0 and "activation gelu" in done.stdout, done.stderr
    assert json.loads(metadata(target)["mean"]) == convert.MEAN
finally:
    shutil.rmtree(folder)
print("converter: all checks passed")
