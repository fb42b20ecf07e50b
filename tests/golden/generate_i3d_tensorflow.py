"""A mini I3D (flow) in TensorFlow, saved as the release saves it → i3d/tensorflow/ and i3d_tensorflow.npz.

    python tests/golden/generate_i3d_tensorflow.py          # needs tensorflow and nothing of ours

    i3d/tensorflow/model.ckpt.{index,data-00000-of-00001}   Saver's second format, the release's variable names
    i3d_tensorflow.npz   a clip of 17 flow fields of 41 × 36, and every endpoint that TensorFlow computes of it in
                         float64, by its own convolutions and pools with padding="SAME"

Widths are those of the paper divided by 32, the last average pool is 2×2×2 (the fields are small). TensorFlow has
no pools of three dimensions in float64; a max pool over rows and columns, then one over frames, is the same.
"""
import json
import os
import pathlib
import platform

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SEED, NARROW, CLASSES, WINDOW = 53, 32, 7, (2, 2, 2)
MIXED = {"3b": [64, 96, 128, 16, 32, 32], "3c": [128, 128, 192, 32, 96, 64], "4b": [192, 96, 208, 16, 48, 64],
         "4c": [160, 112, 224, 24, 64, 64], "4d": [128, 128, 256, 24, 64, 64], "4e": [112, 144, 288, 32, 64, 64],
         "4f": [256, 160, 320, 32, 128, 128], "5b": [256, 160, 320, 32, 128, 128],
         "5c": [384, 192, 384, 48, 128, 128]}
rng = np.random.default_rng(SEED)
variables, endpoints = {}, {}


def variable(name, value):
    """A variable of float32 as in the release; its value in float64."""
    variables[f"Flow/inception_i3d/{name}"] = np.asarray(value, np.float32)
    return tf.constant(variables[f"Flow/inception_i3d/{name}"].astype(np.float64))


def unit(x, name, outputs, size, stride=1):
    inputs = x.shape[-1]
    w = rng.standard_normal((size, size, size, inputs, outputs)) * (2 / (size ** 3 * inputs)) ** 0.5
    y = tf.nn.conv3d(x, variable(f"{name}/conv_3d/w", w), [1, stride, stride, stride, 1], "SAME")
    mean = variable(f"{name}/batch_norm/moving_mean", 0.2 * rng.standard_normal(outputs))
    variance = variable(f"{name}/batch_norm/moving_variance", rng.random(outputs) + 0.5)
    beta = variable(f"{name}/batch_norm/beta", 0.2 * rng.standard_normal(outputs))
    return tf.nn.relu(tf.nn.batch_normalization(y, mean, variance, beta, None, 1e-3))


def max_pool(x, size, stride):
    n, d, h, w, c = x.shape
    y = tf.nn.max_pool2d(tf.reshape(x, (n * d, h, w, c)), size[1:], stride[1:], "SAME")
    h, w = y.shape[1:3]
    y = tf.nn.max_pool2d(tf.reshape(y, (n, d, h * w, c)), (size[0], 1), (stride[0], 1), "SAME")
    return tf.reshape(y, (n, y.shape[1], h, w, c))


def mixed(x, name):
    b0, b1a, b1b, b2a, b2b, b3b = (max(1, c // NARROW) for c in MIXED[name])
    at = f"Mixed_{name}/Branch_"
    second = unit(unit(x, f"{at}1/Conv3d_0a_1x1", b1a, 1), f"{at}1/Conv3d_0b_3x3", b1b, 3)
    third = unit(unit(x, f"{at}2/Conv3d_0a_1x1", b2a, 1),
                 f"{at}2/Conv3d_0{'a' if name == '5b' else 'b'}_3x3", b2b, 3)
    fourth = unit(max_pool(x, (3, 3, 3), (1, 1, 1)), f"{at}3/Conv3d_0b_1x1", b3b, 1)
    return tf.concat([unit(x, f"{at}0/Conv3d_0a_1x1", b0, 1), second, third, fourth], -1)


def network(x):
    def put(name, y):
        endpoints[name] = y.numpy()
        return y
    x = put("Conv3d_1a_7x7", unit(x, "Conv3d_1a_7x7", 64 // NARROW, 7, 2))
    x = put("MaxPool3d_2a_3x3", max_pool(x, (1, 3, 3), (1, 2, 2)))
    x = put("Conv3d_2b_1x1", unit(x, "Conv3d_2b_1x1", 64 // NARROW, 1))
    x = put("Conv3d_2c_3x3", unit(x, "Conv3d_2c_3x3", 192 // NARROW, 3))
    x = put("MaxPool3d_3a_3x3", max_pool(x, (1, 3, 3), (1, 2, 2)))
    for name in MIXED:
        if name == "4b":
            x = put("MaxPool3d_4a_3x3", max_pool(x, (3, 3, 3), (2, 2, 2)))
        if name == "5b":
            x = put("MaxPool3d_5a_2x2", max_pool(x, (2, 2, 2), (2, 2, 2)))
        x = put(f"Mixed_{name}", mixed(x, name))
    a, b, c = (n - k + 1 for n, k in zip(x.shape[1:4], WINDOW))
    pooled = sum(x[:, i:i + a, j:j + b, k:k + c] for i, j, k in np.ndindex(WINDOW)) / np.prod(WINDOW)
    endpoints["features"] = tf.reduce_mean(pooled, (1, 2, 3)).numpy()
    w = variable("Logits/Conv3d_0c_1x1/conv_3d/w", rng.standard_normal((1, 1, 1, x.shape[-1], CLASSES)) * 0.3)
    b = variable("Logits/Conv3d_0c_1x1/conv_3d/b", rng.standard_normal(CLASSES))
    logits = put("Logits", tf.reduce_mean(tf.nn.conv3d(pooled, w, [1] * 5, "VALID") + b, (1, 2, 3)))
    put("Predictions", tf.nn.softmax(logits))


clip = (rng.random((1, 17, 41, 36, 2)) * 2 - 1).astype(np.float32)
network(tf.constant(clip.astype(np.float64)))

folder = HERE / "i3d" / "tensorflow"
folder.mkdir(parents=True, exist_ok=True)
with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    stored = [tf.compat.v1.get_variable(name, initializer=value) for name, value in variables.items()]
    session.run(tf.compat.v1.global_variables_initializer())
    tf.compat.v1.train.Saver(stored).save(session, str(folder / "model.ckpt"), write_meta_graph=False,
                                          write_state=False)

# Ours is (N, C, T, H, W).
arrays = {name: np.ascontiguousarray(np.moveaxis(y, -1, 1)) if y.ndim == 5 else y for name, y in endpoints.items()}
provenance = {"generator": "tests/golden/generate_i3d_tensorflow.py", "seed": SEED, "tensorflow": tf.__version__,
              "numpy": np.__version__, "python": platform.python_version(), "dtype": "float64",
              "conventions": {"narrow": NARROW, "window": WINDOW, "classes": CLASSES}}
target = HERE / "i3d_tensorflow.npz"
np.savez(target, provenance=np.frombuffer(json.dumps(provenance, indent=1).encode(), np.uint8),
         clip=np.ascontiguousarray(np.moveaxis(clip, -1, 1)), **arrays)
print(f"{target.name}: {len(arrays)} endpoints, {target.stat().st_size} bytes")
