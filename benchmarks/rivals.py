"""Which peer does which work: the one place where the names of works become the peers' options."""

import re

DTYPES = {"f32": "float", "f64": "double", "bf16": "bfloat16"}
PEER_DTYPES = {"f32": "float32", "bf16": "bfloat16"}


def rivals(work):
    """[(mode as shown, script, arguments, forward only)] of the peers that know `work`."""
    if found := re.fullmatch(r"gemm_(f32|f64|bf16)(?:_(nn|nt|tn|tt))?/(\d+)x(\d+)x(\d+)", work):
        dtype, transpose, m, n, k = found.groups()
        args = ["--work", "gemm", "--m", m, "--n", n, "--k", k, "--dtype", DTYPES[dtype],
                "--transpose", transpose or "nn"]
        peers = [("torch", "gemm_peer.py", args, False)]
        if dtype != "bf16":
            peers.append(("openblas", "openblas_peer.py", args, False))
        return peers
    if found := re.fullmatch(
            r"(attention|attention_causal|layer_norm|softmax)_(f32|bf16)(_forward)?/(\d+(?:x\d+)*)", work):
        name, dtype, forward, shape = found.groups()
        args = ["--work", name, "--shape", shape.replace("x", ","), "--dtype", PEER_DTYPES[dtype]]
        return [(f"torch {mode}", "ops_peer.py", args + ["--mode", mode], bool(forward))
                for mode in ("eager", "compile")]
    if found := re.fullmatch(r"(conv3d_train|max_pool3d|batch_norm)_f32(_forward)?/(\d+(?:x\d+)+)", work):
        name, forward, shape = found.groups()
        args = ["--work", name.removesuffix("_train"), "--shape", shape.replace("x", ",")]
        peers = [(f"torch {mode}", "volume_peer.py", args + ["--mode", mode], bool(forward))
                 for mode in ("eager", "compile")]
        return peers + [("torch channels last", "volume_peer.py", args + ["--channels-last"], bool(forward))]
    if found := re.fullmatch(r"(resize_bicubic|preprocess)_u8/(\d+(?:x\d+)+)", work):
        name, shape = found.groups()
        args = ["--work", name, "--shape", shape.replace("x", ",")]
        return [("pillow" if name == "resize_bicubic" else "torchvision", "preprocess_peer.py", args, False)]
    if found := re.fullmatch(r"decode/(.+)", work):
        return [(mode, "decode_peer.py", ["--work", "decode", "--mode", mode, "--clip", found.group(1)], False)
                for mode in ("pyav", "opencv", "torchcodec")]
    if found := re.fullmatch(r"clip_image_(f32|bf16)/(\d+)", work):
        dtype, batch = found.groups()
        args = ["--work", "image", "--batch", batch]
        modes = ["eager", "compile", "openvino"] + (["onnxruntime"] if dtype == "f32" else [])
        return [(mode if mode in ("openvino", "onnxruntime") else f"torch {mode}", "clip_peer.py",
                 args + ["--mode", mode, "--dtype", PEER_DTYPES[dtype]], False) for mode in modes]
    # With 77 positions as the original computes them, and with as many as the longest prompt needs.
    if found := re.fullmatch(r"clip_text_(f32|bf16)/20x(\d+)", work):
        dtype, length = found.groups()
        return [(f"torch {mode}, {positions} positions", "clip_peer.py",
                 ["--work", "text", "--positions", positions, "--mode", mode,
                  "--dtype", PEER_DTYPES[dtype]], False)
                for positions in ("77", length) for mode in ("eager", "compile")]
    if found := re.fullmatch(r"clip_load/(openai|hugging_face)_(?:to_)?(f32|bf16)", work):
        layout, dtype = found.groups()
        return [("safetensors", "clip_peer.py",
                 ["--work", "load", "--layout", layout, "--dtype", PEER_DTYPES[dtype]],
                 False)]
    if found := re.fullmatch(r"tvl1_f32(_fixed)?/(\d+(?:x\d+)+)", work):
        fixed, shape = found.groups()
        args = ["--work", "tvl1", "--shape", shape.replace("x", ",")] + (["--fixed"] if fixed else [])
        return [("opencv", "tvl1_peer.py", args, False)]
    if found := re.fullmatch(r"i3d_(rgb|flow)_(f32|bf16)/(\d+)x(\d+x\d+x\d+)", work):
        stream, dtype, count, sizes = found.groups()
        shape = ",".join([count, "3" if stream == "rgb" else "2", *sizes.split("x")])
        args = ["--work", "i3d", "--shape", shape, "--dtype", DTYPES[dtype]]
        # PyTorch has no bfloat16 average pooling in three dimensions on the CPU.
        torch = [("torch eager", "eager"), ("torch channels last", "channels_last"),
                 ("torch compile", "compile")] if dtype == "f32" else []
        return [(name, "i3d_peer.py", args + ["--mode", mode], False)
                for name, mode in [*torch, ("openvino", "openvino")]]
    if found := re.fullmatch(r"conv3d_(f32|bf16)/(\d+)-(\d+)-k(\d+)s(\d+)-(\d+)x(\d+)", work):
        dtype, *layer = found.groups()
        args = ["--work", "conv3d", "--layer", ",".join(layer), "--dtype", DTYPES[dtype]]
        return [(engine, "conv3d_peer.py", args + ["--engine", engine], False)
                for engine in ("torch", "torch_channels_last")]
    if found := re.fullmatch(r"rival_step/(basnet|co2|um|wtalc|boosting)", work):
        # A whole iteration of Boosting-WTAL holds half of VLC in turn, which the compiler takes for new functions.
        modes = ("eager",) if found.group(1) == "boosting" else ("eager", "compile")
        return [(f"torch {mode}", "rival_peer.py", ["--work", found.group(1), "--mode", mode], False) for mode in modes]
    # The peer asks the teacher in every step, as the published code of the field does.
    if found := re.fullmatch(r"step(_bf16)?/(warmup|b|f)(?:_known)?", work):
        args = ["--work", found.group(2), "--dtype", "bfloat16" if found.group(1) else "float32"]
        peers = [(f"torch {mode}", "step_peer.py", args + ["--mode", mode], False)
                 for mode in ("eager", "compile")]
        if found.group(2) == "b":
            # The same step with the text cut at its longest prompt, which the original does not do.
            peers += [(f"torch {mode}, 38 positions", "step_peer.py",
                       args + ["--mode", mode, "--positions", "38"], False)
                      for mode in ("eager", "compile")]
        return peers
    return []
