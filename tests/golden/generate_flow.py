"""What other programs make of small flows and images: flow.npz.

    python tests/golden/generate_flow.py     # needs numpy, opencv-contrib-python-headless and flow_vis

- gray.*     cv2.cvtColor(RGB2GRAY)
- median.*   cv2.medianBlur of float images, 3×3 and 5×5
- resize.*   cv2.resize(INTER_LINEAR) of float images, by a factor and to a size
- warp.*     cubic convolution by its definition, point by point, in float64
- tvl1.*     the algorithm of Sánchez et al. (IPOL 2013) in float64 and NumPy, without any of the library's
             rearrangements, with the conventions of docs/flow.md
- color.*    flow_vis (a port of the Middlebury code)
- flo        a .flo file written by cv2.writeOpticalFlow
"""
import importlib.metadata
import json
import pathlib
import platform
import tempfile

import cv2
import flow_vis
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
SEED = 7
A = -0.75  # of cubic convolution


def keys(d):
    """The cubic convolution kernel, Keys 1981, eq. 4."""
    d = np.abs(d)
    return np.where(d <= 1, (A + 2) * d**3 - (A + 3) * d**2 + 1,
                    np.where(d < 2, A * d**3 - 5 * A * d**2 + 8 * A * d - 4 * A, 0.0))


def sample(image, x, y):
    """Cubic convolution at points inside of the image; beyond the border the nearest pixel."""
    height, width = image.shape
    out = np.zeros(x.shape)
    for dy in range(-1, 3):
        for dx in range(-1, 3):
            column, row = np.floor(x) + dx, np.floor(y) + dy
            value = image[np.clip(row, 0, height - 1).astype(int), np.clip(column, 0, width - 1).astype(int)]
            out += keys(x - column) * keys(y - row) * value
    return out


def warp(image, u, steps):
    """Image and gradient at x + u, and where that is inside."""
    height, width = image.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x, y = x + u[..., 0], y + u[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    if steps:
        x, y = np.rint(x * steps) / steps, np.rint(y * steps) / steps
    padded = np.pad(image, 1, mode="edge")
    gx = 0.5 * (padded[1:-1, 2:] - padded[1:-1, :-2])
    gy = 0.5 * (padded[2:, 1:-1] - padded[:-2, 1:-1])
    return sample(image, x, y), sample(gx, x, y), sample(gy, x, y), inside


def forward(a):
    gx, gy = np.zeros_like(a), np.zeros_like(a)
    gx[:, :-1] = a[:, 1:] - a[:, :-1]
    gy[:-1] = a[1:] - a[:-1]
    return gx, gy


def divergence(px, py):
    out = px + py
    out[:, 1:] -= px[:, :-1]
    out[1:] -= py[:-1]
    return out


def median(a, side):
    r = side // 2
    padded = np.pad(a, r, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    return np.median(windows.reshape(*a.shape, -1), axis=-1)


def resize(a, height, width, scale_y, scale_x):
    def axis(n, m, scale):
        x = np.clip((np.arange(m) + 0.5) * scale - 0.5, 0, n - 1)
        low = np.floor(x).astype(int)
        return low, np.minimum(low + 1, n - 1), x - low
    y0, y1, ty = axis(a.shape[0], height, scale_y)
    x0, x1, tx = axis(a.shape[1], width, scale_x)
    rows = a[y0] * (1 - ty)[:, None] + a[y1] * ty[:, None]
    return rows[:, x0] * (1 - tx) + rows[:, x1] * tx


def tvl1(first, second, o, initial=None):
    """Returns the flow and the iterations of every scale and warp, coarsest first."""
    levels = [(first.astype(np.float64), second.astype(np.float64), initial)]
    while len(levels) < o["scales"]:
        i0, i1, u = levels[-1]
        height, width = (int(np.rint(n * o["scale_step"])) for n in i0.shape)
        if height < 16 or width < 16:
            break
        s = 1 / o["scale_step"]
        smaller = [resize(i, height, width, s, s) for i in (i0, i1)]
        if u is not None:
            u = np.stack([resize(u[..., k], height, width, s, s) for k in (0, 1)], -1) * o["scale_step"]
        levels.append((*smaller, u))
    u, counts = None, []
    for i0, i1, start in reversed(levels):
        shape = i0.shape
        if u is None:
            u = np.zeros((*shape, 2)) if start is None else start.copy()
        else:
            sy, sx = u.shape[0] / shape[0], u.shape[1] / shape[1]
            u = np.stack([resize(u[..., k], *shape, sy, sx) for k in (0, 1)], -1) / o["scale_step"]
        p = np.zeros((2, 2, *shape))
        for _ in range(o["warps"]):
            w, gx, gy, inside = warp(i1, u, o["sampling_steps"])
            gx, gy = gx * inside, gy * inside
            constant = np.where(inside, w - gx * u[..., 0] - gy * u[..., 1] - i0, 0)
            square = gx**2 + gy**2
            done, error = 0, np.inf
            for _ in range(o["outer_iterations"]):
                if error <= o["epsilon"]**2 * i0.size:
                    break
                if o["median"] > 1:
                    u = np.stack([median(u[..., k], o["median"]) for k in (0, 1)], -1)
                for _ in range(o["inner_iterations"]):
                    rho = constant + gx * u[..., 0] + gy * u[..., 1]
                    bound = o["lambda"] * o["theta"]
                    factor = np.where(rho < -bound * square, bound,
                                      np.where(rho > bound * square, -bound,
                                               -rho / np.where(square > 0, square, 1) * (square > 0)))
                    v = u + factor[..., None] * np.stack([gx, gy], -1)
                    new = v + o["theta"] * np.stack([divergence(*p[0]), divergence(*p[1])], -1)
                    error = ((new - u)**2).sum()
                    u = new
                    done += 1
                    for k in (0, 1):
                        ux, uy = forward(u[..., k])
                        step = o["tau"] / o["theta"]
                        length = 1 + step * np.hypot(ux, uy)
                        p[k] = (p[k] + step * np.stack([ux, uy])) / length
                    if error <= o["epsilon"]**2 * i0.size:
                        break
            counts.append(done)
    return u, counts


def texture(rng, height, width, blur):
    """Smooth noise in [0, 255]."""
    noise = cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), blur)
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    return (255 * noise).astype(np.float32)


def main():
    rng = np.random.default_rng(SEED)
    arrays = {}
    # Grey.
    rgb = rng.integers(0, 256, (17, 23, 3), dtype=np.uint8)
    arrays["gray.rgb"], arrays["gray.out"] = rgb, cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    # Median.
    for side in (3, 5):
        for height, width in ((1, 1), (1, 9), (6, 2), (13, 37)):
            a = rng.integers(0, 9, (height, width)).astype(np.float32)  # with many ties
            if width == 37:
                a = rng.standard_normal((height, width)).astype(np.float32)
            arrays[f"median.{side}.{height}x{width}.in"] = a
            arrays[f"median.{side}.{height}x{width}.out"] = cv2.medianBlur(a, side)
            assert (median(a, side) == cv2.medianBlur(a, side)).all()
    # Resizing.
    a = rng.standard_normal((29, 41)).astype(np.float32)
    arrays["resize.in"] = a
    arrays["resize.down"] = cv2.resize(a, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_LINEAR)
    arrays["resize.up"] = cv2.resize(a, (52, 37), interpolation=cv2.INTER_LINEAR)
    # Warping, with points outside, at the border and NaN-free everywhere.
    image = texture(rng, 19, 35, 1.2)
    u = (4 * rng.standard_normal((19, 35, 2))).astype(np.float32)
    u[::3] = 0
    u[5, 7] = (-7, -5)  # exactly the first pixel
    u[2, 3] = (31, 16)  # the last
    u[11:14, 8:20] = (1.25, -2.5)  # neighbours that move alike
    arrays["warp.image"], arrays["warp.flow"] = image, u
    arrays["warp.first"] = texture(np.random.default_rng(SEED + 1), 19, 35, 1.5)
    for steps in (0, 32):
        w, gx, gy, inside = warp(image.astype(np.float64), u.astype(np.float64), steps)
        arrays[f"warp.{steps}.out"] = np.stack([w, gx, gy], -1).astype(np.float32)
        arrays[f"warp.{steps}.inside"] = inside.astype(np.uint8)
    # The whole method.
    base = texture(rng, 70, 90, 2.0)
    first = np.ascontiguousarray(base[10:57, 10:71])
    y, x = np.mgrid[:47, :61].astype(np.float64)
    moved = sample(base.astype(np.float64), 10 + x - 1.3 - 0.02 * (y - 20), 10 + y + 0.7 + 0.015 * (x - 30))
    second = np.clip(moved, 0, 255).astype(np.float32)
    arrays["tvl1.first"], arrays["tvl1.second"] = first, second
    arrays["tvl1.initial"] = np.full((47, 61, 2), 0.5, np.float32)
    defaults = {"tau": 0.25, "lambda": 0.15, "theta": 0.3, "scales": 5, "scale_step": 0.8, "warps": 5,
                "epsilon": 0.01, "inner_iterations": 30, "outer_iterations": 10, "median": 5,
                "sampling_steps": 32}
    cases = {"defaults": {}, "exact": {"sampling_steps": 0},
             "fixed": {"epsilon": 0.0, "inner_iterations": 7, "outer_iterations": 2, "warps": 3, "sampling_steps": 0},
             "other": {"tau": 0.2, "lambda": 0.05, "theta": 0.4, "scales": 3, "scale_step": 0.5, "warps": 2,
                       "epsilon": 0.003, "inner_iterations": 12, "outer_iterations": 3, "median": 3,
                       "sampling_steps": 0},
             "plain": {"median": 1, "scales": 2, "epsilon": 0.02, "sampling_steps": 0},
             "initial": {"scales": 2, "sampling_steps": 0}}
    for name, changes in cases.items():
        start = arrays["tvl1.initial"].astype(np.float64) if name == "initial" else None
        out, counts = tvl1(first, second, {**defaults, **changes}, start)
        arrays[f"tvl1.{name}.out"] = out.astype(np.float32)
        arrays[f"tvl1.{name}.iterations"] = np.array(counts, np.int64)
    # Colours: every direction, lengths up to and beyond the largest.
    angle = np.linspace(0, 2 * np.pi, 97)
    length = np.linspace(0, 1, 7)
    flow = np.stack([np.cos(angle)[None] * length[:, None], np.sin(angle)[None] * length[:, None]], -1)
    arrays["color.flow"] = (3.7 * flow).astype(np.float32)
    arrays["color.out"] = flow_vis.flow_to_color(arrays["color.flow"].astype(np.float64))
    wheel = flow_vis.make_colorwheel()
    arrays["color.wheel"] = wheel.astype(np.float32)
    # A .flo file.
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.flo"
        cv2.writeOpticalFlow(str(path), u)
        arrays["flo"] = np.frombuffer(path.read_bytes(), np.uint8)
    provenance = {"generator": "tests/golden/generate_flow.py", "seed": SEED, "numpy": np.__version__,
                  "opencv": cv2.__version__, "flow_vis": importlib.metadata.version("flow_vis"),
                  "python": platform.python_version()}
    text = json.dumps(provenance, indent=1).encode()
    path = HERE / "flow.npz"
    np.savez_compressed(path, provenance=np.frombuffer(text, np.uint8), **arrays)
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes")
    for name in cases:
        print(name, arrays[f"tvl1.{name}.iterations"].tolist())


if __name__ == "__main__":
    main()
