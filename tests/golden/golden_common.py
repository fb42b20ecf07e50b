"""What the golden generators share: the recorder of cases and the provenance entry."""
from __future__ import annotations

import json
import pathlib
import platform

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


class Golden:
    """Collects arrays under dotted keys and writes them as an uncompressed npz.

    The entry `provenance` is a uint8 array that holds JSON: generator, seed, versions, conventions.
    """

    def __init__(self, name: str, seed: int, conventions: dict | None = None):
        self.name, self.arrays = name, {}
        self.generator = torch.Generator().manual_seed(seed)
        self.provenance = {
            "generator": f"tests/golden/generate_{name}.py", "seed": seed, "torch": torch.__version__,
            "numpy": np.__version__, "python": platform.python_version(), "dtype": "float64",
            "conventions": conventions or {}}

    def randn(self, *shape):
        return torch.randn(shape, generator=self.generator)

    def rand(self, *shape):
        return torch.rand(shape, generator=self.generator)

    def randint(self, high, *shape):
        return torch.randint(high, shape, generator=self.generator)

    def put(self, key: str, value):
        if isinstance(value, torch.Tensor):
            value = value.detach().numpy()
        value = np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value)
        if value.dtype == np.bool_:
            value = value.astype(np.uint8)
        assert key not in self.arrays, key
        assert value.dtype.kind != "f" or np.isfinite(value).all(), key
        self.arrays[key] = value

    def case(self, key: str, fn, _constants=None, **inputs):
        """Records <key>.<input>, <key>.out, <key>.cot (a random cotangent) and <key>.d_<input>."""
        leaves = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in inputs.items()}
        out = fn(**leaves, **(_constants or {}))
        cot = self.randn(*out.shape)
        out.backward(cot)
        for k, v in inputs.items():
            self.put(f"{key}.{k}", v)
        for k, v in (_constants or {}).items():
            self.put(f"{key}.{k}", v)
        self.put(f"{key}.out", out)
        self.put(f"{key}.cot", cot)
        for k, v in leaves.items():
            if v.grad is not None:
                self.put(f"{key}.d_{k}", v.grad)

    def write(self):
        text = json.dumps(self.provenance, indent=1).encode()
        path = HERE / f"{self.name}.npz"
        np.savez(path, provenance=np.frombuffer(text, np.uint8), **self.arrays)
        print(f"{path.name}: {len(self.arrays)} arrays, {path.stat().st_size} bytes")
