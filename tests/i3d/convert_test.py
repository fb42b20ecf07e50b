"""weights/convert.py i3d on both kinds of source, and what it refuses; exit 77 (skipped) without torch."""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "i3d"
sys.path.insert(0, str(ROOT / "weights"))
try:
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
import convert  # noqa: E402
import i3d  # noqa: E402
import tensor_bundle  # noqa: E402

CHECKPOINT = GOLDEN / "tensorflow" / "model.ckpt"
folder = pathlib.Path(tempfile.mkdtemp())
target = folder / "out.safetensors"


def refusal(source, **options):
    target.unlink(missing_ok=True)
    try:
        convert.convert_i3d(pathlib.Path(source), target, **options)
    except convert.Refused as error:
        assert not target.exists()
        return str(error)
    return ""


def metadata(path):
    with safe_open(path, "pt") as file:
        return file.metadata()


def check_names():
    assert tensor_bundle.masked_crc32c(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    names = i3d.tensorflow_names()
    assert len(names) == len(set(names.values())) == 230
    assert names["Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w"] == "Mixed_5b.b2b.conv3d.weight"


def check_published(data):
    """The 230 tensors of each published checkpoint are our tensors, one to one; only scales of 1 are added."""
    for path in sorted(data.glob("*.json")):
        entries = json.loads(path.read_text())
        arrays = {e["name"]: torch.zeros(1).expand(e["shape"]).numpy() for e in entries}
        assert all(e["dtype"] == 1 and e["bytes"] == 4 * torch.Size(e["shape"]).numel() for e in entries)
        state = i3d.from_tensorflow(arrays, convert.Refused)
        shapes, sizes = i3d.expected_shapes(state, convert.Refused)
        convert.check_state(state, shapes, "an I3D network")
        scales = {name for name in state if name.endswith("bn.weight")}
        assert len(scales) == 57 and len(state) == 230 + 57
        kept = [e for e in entries if not e["name"].endswith("/Momentum")]
        assert len(kept) == 230
        count = sum(state[name].numel() for name in state if name not in scales)
        assert count == sum(e["bytes"] // 4 for e in kept)
        assert sizes["features"] == 1024 and sizes["channels"] == (2 if "flow" in path.name else 3)
        assert sizes["classes"] == (600 if "600" in path.name else 400)
        if "600" not in path.name:
            assert count == (12_682_592 if "flow" in path.name else 12_704_544)
        for name, theirs in ((n, arrays[a]) for a, n in
                             ((e["name"], i3d.tensorflow_names()[e["name"].split("inception_i3d/")[-1]]) for e in kept)):
            shape = theirs.shape
            want = (shape[4], shape[3], *shape[:3]) if name.endswith("conv3d.weight") else shape[-1:]
            assert tuple(state[name].shape) == want, name
    return True


def check_tensorflow():
    facts = convert.convert_i3d(CHECKPOINT, target, window=(2, 2, 2))
    assert facts == metadata(target)
    assert (facts["stream"], facts["classes"], facts["source_kind"]) == ("flow", "7", "TensorFlow checkpoint")
    data = CHECKPOINT.with_name("model.ckpt.data-00000-of-00001")
    assert facts["source_sha256"] == convert.sha256(data)
    ours = load_file(target)
    assert len(ours) == 230 + 57
    # A kernel (d, h, w, in, out) by hand: it lies in the data file at the offset of the index.
    _, entries = tensor_bundle.read_index(CHECKPOINT.with_name("model.ckpt.index"))
    entry = next(e for e in entries if e["name"].endswith("Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w"))
    d, h, w, inputs, outputs = entry["shape"]
    values = struct.unpack_from(f"<{d * h * w * inputs * outputs}f", data.read_bytes(), entry["offset"])
    kernel = ours["Mixed_5b.b2b.conv3d.weight"]
    for at in ((0, 0, 0, 0, 0), (2, 1, 0, 0, 3), (1, 2, 2, 0, 1)):
        i, j, k, c, o = at
        assert kernel[o, c, i, j, k] == torch.tensor(values[(((i * h + j) * w + k) * inputs + c) * outputs + o])
    for same in (CHECKPOINT.with_name("model.ckpt.index"), CHECKPOINT.parent):
        convert.convert_i3d(same, target)
        assert all(torch.equal(ours[name], tensor) for name, tensor in load_file(target).items())


def check_damage():
    """Every bit of the checkpoint is covered by a checksum or a check."""
    names = ["model.ckpt.index", "model.ckpt.data-00000-of-00001"]
    whole = [CHECKPOINT.with_name(name).read_bytes() for name in names]

    def damaged(index, data):
        for name, content in zip(names, (index, data)):
            (folder / name).write_bytes(content)
        return refusal(folder / "model.ckpt")

    assert damaged(*whole) == ""
    flipped = bytearray(whole[1])
    flipped[len(flipped) // 2] ^= 1
    assert "the checksum of tensor" in damaged(whole[0], bytes(flipped))
    assert "does not lie in the data file" in damaged(whole[0], whole[1][:-8])
    for at in range(0, len(whole[0]), 97):
        changed = bytearray(whole[0])
        changed[at] ^= 1 << at % 8
        # Between the handles and the magic number the footer is padded: nothing there is read.
        assert damaged(bytes(changed), whole[1]) != "" or at >= len(whole[0]) - 48, at
    for length in (0, 47, 48, 500, len(whole[0]) - 1):
        assert "no index of a TensorFlow checkpoint" in damaged(whole[0][:length], whole[1])
    (folder / names[0]).write_bytes(whole[0])
    (folder / names[1]).unlink()
    assert refusal(folder / "model.ckpt").endswith("the data file of model.ckpt.index is missing")
    (folder / names[0]).unlink()


def check_state_dict():
    facts = convert.convert_i3d(GOLDEN / "rgb.pt", target, window=(2, 2, 2))
    assert (facts["stream"], facts["classes"], facts["features"], facts["window"]) == ("rgb", "11", "64", "[2, 2, 2]")
    assert facts["source_sha256"] == convert.sha256(GOLDEN / "rgb.pt")
    original = {k: v for k, v in torch.load(GOLDEN / "rgb.pt").items() if not k.endswith("num_batches_tracked")}
    assert set(original) == set(load_file(target))
    assert all(torch.equal(original[name], tensor) for name, tensor in load_file(target).items())
    torch.save({"epoch": 1, "state_dict": {f"module.{k}": v for k, v in original.items()}}, folder / "epoch.pt")
    convert.convert_i3d(folder / "epoch.pt", target, "bfloat16")
    assert all(torch.equal(original[name].bfloat16(), tensor) for name, tensor in load_file(target).items())

    # The layout of hassony2 and v-iashin is the same but for names.
    short = {"b0": "branch_0", "b1a": "branch_1.0", "b1b": "branch_1.1", "b2a": "branch_2.0", "b2b": "branch_2.1",
             "b3b": "branch_3.1"}
    theirs = {}
    for name, tensor in original.items():
        unit, part, kind = name.rsplit(".", 2)
        block, _, branch = unit.partition(".")
        place = "conv3d_0c_1x1" if unit == "logits" else block.replace("Conv3d", "conv3d").replace("Mixed", "mixed")
        theirs[f"{place}{'.' + short[branch] if branch else ''}.{'batch3d' if part == 'bn' else part}.{kind}"] = tensor
    assert "mixed_5c.branch_1.1.batch3d.running_var" in theirs and "conv3d_0c_1x1.conv3d.bias" in theirs
    assert len(theirs) == len(original)
    theirs["conv3d_1a_7x7.batch3d.num_batches_tracked"] = torch.tensor(0)
    for wrapper in (None, "model", "model_state_dict"):
        torch.save(theirs if wrapper is None else {wrapper: theirs}, folder / "theirs.pt")
        facts = convert.convert_i3d(folder / "theirs.pt", target)
        assert facts["batch_norm_epsilon"] == "0.001" and "hassony2" in facts["source_kind"]
        assert all(torch.equal(original[name], tensor) for name, tensor in load_file(target).items())
    assert convert.convert_i3d(folder / "theirs.pt", target, batch_norm_epsilon=1e-5)["batch_norm_epsilon"] == "1e-05"
    assert "between 0 and 1" in refusal(folder / "theirs.pt", batch_norm_epsilon=0)
    theirs["mixed_3b.branch_4.conv3d.weight"] = torch.zeros(1)
    torch.save(theirs, folder / "theirs.pt")
    assert 'tensor "mixed_3b.branch_4.conv3d.weight" belongs to no I3D network of hassony2' in refusal(folder / "theirs.pt")

    # Other networks are named.
    for names, what in ((("backbone.conv1.conv.weight", "cls_head.fc_cls.weight"), "an mmaction2 recognizer"),
                        (("blocks.0.conv.weight", "blocks.5.proj.weight"), "a pytorchvideo model"),
                        (("stem.0.weight", "layer1.0.conv1.0.weight", "fc.weight"), "a torchvision video model"),
                        (("conv_proj.weight", "pos_encoding.class_pos", "blocks.0.norm1.weight"), "a torchvision transformer"),
                        (("features.0.0.0.weight", "classifier.1.weight"), "a torchvision model"),
                        (("module.conv1.weight", "module.bn1.weight", "module.layer1.0.conv1.weight"), "a 3-D ResNet"),
                        (("visual.proj", "logit_scale"), "a CLIP model")):
        torch.save({name: torch.zeros(1) for name in names}, folder / "other.pt")
        assert f"these are the tensors of {what}" in refusal(folder / "other.pt"), what
    torch.save({"meta": {"epoch": 1}, "state_dict": {"backbone.a": torch.zeros(1), "cls_head.b": torch.zeros(1)}},
               folder / "other.pt")
    assert "an mmaction2 recognizer" in refusal(folder / "other.pt")
    torch.save(torch.nn.Linear(2, 2), folder / "other.pt")
    assert "pickled object that needs the code of its class" in refusal(folder / "other.pt")

    def pickled(change):
        state = {name: tensor.clone() for name, tensor in original.items()}
        change(state)
        torch.save(state, folder / "state.pt")
        return refusal(folder / "state.pt")

    assert pickled(lambda s: None) == ""
    assert pickled(lambda s: s.pop("logits.conv3d.bias")) == \
        "the tensors are not those of an I3D network: 1 missing (logits.conv3d.bias)"
    assert pickled(lambda s: s.update(extra=torch.zeros(1))) == \
        "the tensors are not those of an I3D network: 1 unknown (extra)"
    assert pickled(lambda s: s.pop("Mixed_4b.b1a.conv3d.weight")) == 'tensor "Mixed_4b.b1a.conv3d.weight" is missing'
    assert pickled(lambda s: s.update({"Mixed_3b.b0.conv3d.weight": torch.zeros(4, 11, 1, 1, 1)})) == \
        'tensor "Mixed_3b.b0.conv3d.weight" has shape (4, 11, 1, 1, 1), expected (4, 12, 1, 1, 1)'
    assert pickled(lambda s: s["Mixed_3b.b0.bn.bias"].fill_(float("inf"))) == \
        'tensor "Mixed_3b.b0.bn.bias" holds numbers that are not finite'
    assert pickled(lambda s: s["Mixed_3b.b0.bn.running_var"].fill_(-1)) == \
        'tensor "Mixed_3b.b0.bn.running_var" holds a negative variance'
    assert "takes 4 channels, expected 3 (RGB) or 2 (flow)" in \
        pickled(lambda s: s.update({"Conv3d_1a_7x7.conv3d.weight": torch.zeros(4, 4, 7, 7, 7)}))
    assert "there is no such file, nor a TensorFlow checkpoint of that name" in refusal(folder / "nothing")
    command = [sys.executable, str(ROOT / "weights" / "convert.py"), "i3d"]
    done = subprocess.run([*command, str(folder / "nothing.pt"), str(target)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("convert.py: "), done.stderr
    done = subprocess.run([*command, str(GOLDEN / "rgb.pt"), str(target)], capture_output=True, text=True)
    assert done.returncode == 0 and "stream rgb" in done.stdout, done.stderr


try:
    check_names()
    check_tensorflow()
    check_damage()
    check_state_dict()
    published = pathlib.Path(os.environ.get("TANDEM_TEST_DATA") or "../shared/data") / "i3d" / "checkpoint_tensors"
    if published.is_dir():
        check_published(published)
    else:
        print(f"skipped: there is no {published} (set TANDEM_TEST_DATA to the folder of test data)")
finally:
    shutil.rmtree(folder)
print("converter: all checks passed")
