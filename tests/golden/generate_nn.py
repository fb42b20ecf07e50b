"""Modules from PyTorch in float64 → nn.npz.

`mha.*`: torch.nn.MultiheadAttention itself (self-attention, batch first). `block_gelu.*`,
`block_quick_gelu.*`: a pre-LN transformer block of ratio 4. `text.*`: a tiny CLIP text encoder.
Parameters are under <case>.state.<PyTorch name>, their gradients under <case>.grad.<name>.
"""
import sys

import torch

from golden_common import HERE, Golden

sys.path.insert(0, str(HERE.parent.parent / "benchmarks" / "peers"))
from dcl_torch import ResidualAttentionBlock, TextTransformer  # noqa: E402

SEED = 31
torch.manual_seed(SEED)
g = Golden("nn", SEED, {
    "mask": "uint8 over keys, (B, T), 1 = real frame; the cotangent is 0 on padded rows",
    "block": "x += attn(ln_1(x)); x += mlp.c_proj(act(mlp.c_fc(ln_2(x)))); eps 1e-5",
    "text": "state in float32, the rest float64; OpenAI CLIP names; width 32, 2 layers, 4 heads, vocabulary 50, context 12, output 24; "
            "row c = [SOS, before, name, after, EOT, zeros], feature at eot after ln_final, times "
            "text_projection; not normalised"})
valid = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0]], dtype=torch.uint8)


def shake(module):
    """Random values in every parameter, also where the initialisation has zeros or ones."""
    with torch.no_grad():
        for p in module.parameters():
            p += 0.1 * g.randn(*p.shape)


def record(name, module, run, x, mask=None):
    shake(module)
    x = x.requires_grad_()
    out = run(x)
    cot = g.randn(*out.shape)
    if mask is not None:
        cot = cot * mask[:, :, None]
        out = out * mask[:, :, None]
    out.backward(cot)
    for key, p in module.state_dict().items():
        g.put(f"{name}.state.{key}", p)
    for key, p in module.named_parameters():
        g.put(f"{name}.grad.{key}", p.grad)
    for key, value in [("x", x), ("out", out), ("cot", cot), ("d_x", x.grad)]:
        g.put(f"{name}.{key}", value)


g.put("mask", valid)
mha = torch.nn.MultiheadAttention(8, 2, batch_first=True)
record("mha", mha, lambda x: mha(x, x, x, key_padding_mask=valid == 0, need_weights=False)[0],
       g.randn(2, 7, 8), valid)
for activation in ("gelu", "quick_gelu"):
    block = ResidualAttentionBlock(8, 2, activation)
    record(f"block_{activation}", block, lambda x: block(x, valid.bool()), g.randn(2, 7, 8), valid)

# The text encoder: 3 classes with names of 1, 2 and 3 tokens, 2 + 2 prompt vectors.
text = TextTransformer(vocabulary=50, context=12, width=32, layers=2, heads=4, out=24)
shake(text)
text.float().double().requires_grad_(False)  # rounded, so that a float32 state dict is exact
before = (0.3 * g.randn(2, 32)).requires_grad_()
after = (0.3 * g.randn(2, 32)).requires_grad_()
names, sos, eot = [[5], [17, 8], [40, 3, 22]], 48, 49


def features(length):
    rows, ends = [], []
    for name in names:
        e = text.token_embedding(torch.tensor([sos, *name, eot]))
        row = torch.cat([e[:1], before, e[1:-1], after, e[-1:]])
        ends.append(row.shape[0] - 1)
        rows.append(torch.nn.functional.pad(row, (0, 0, 0, length - row.shape[0])))
    return text(torch.stack(rows), torch.tensor(ends)), ends


full, ends = features(12)
out, _ = features(max(ends) + 1)
assert torch.allclose(full, out, rtol=0, atol=1e-13)  # what follows EOT changes nothing
cot = g.randn(*out.shape)
out.backward(cot)
for key, p in text.state_dict().items():
    g.put(f"text.state.{key}", p.float())
for c, name in enumerate(names):
    g.put(f"text.name{c}", torch.tensor(name))
for key, value in [("sos", torch.tensor(sos)), ("eot", torch.tensor(eot)),
                   ("eot_index", torch.tensor(ends)), ("before", before), ("after", after),
                   ("out", out), ("cot", cot), ("d_before", before.grad), ("d_after", after.grad)]:
    g.put(f"text.{key}", value)

# Plain token ids, as CLIP itself uses the encoder.
ids = torch.tensor([[48, 7, 49, 0, 0, 0], [48, 30, 2, 11, 49, 0]])
g.put("text.plain.ids", ids)
g.put("text.plain.out", text(text.token_embedding(ids), ids.argmax(-1)))
g.write()
