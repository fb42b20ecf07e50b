"""Single ops in PyTorch, forward and backward.

    ops_peer.py --work attention|attention_causal|layer_norm|softmax [--shape 10,8,1000,64] --threads 2
    ops_peer.py --work attention --dtype bfloat16      # of floats under autocast

Attention takes (batch, heads, positions, head width), the others (rows, columns).
"""
import torch
import torch.nn.functional as F

from peer_common import Measurement, maybe_compile, options, report, start

SHAPES = {"attention": "10,8,1000,64", "attention_causal": "20,8,77,64", "layer_norm": "10000,512",
          "softmax": "10000,512"}


def main():
    parser = options(__doc__.splitlines()[0], list(SHAPES))
    parser.add_argument("--shape", default=None)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    start(args)
    measurement = Measurement()
    shape = [int(s) for s in (args.shape or SHAPES[args.work]).split(",")]
    leaf = lambda *s: torch.randn(*s).requires_grad_()
    if args.work.startswith("attention"):
        inputs = [leaf(*shape) for _ in range(3)]
        causal = args.work.endswith("causal")
        op = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    elif args.work == "layer_norm":
        inputs = [leaf(*shape), leaf(shape[-1]), leaf(shape[-1])]
        op = lambda x, weight, bias: F.layer_norm(x, (shape[-1],), weight, bias)
    else:
        inputs = [leaf(*shape)]
        op = lambda x: torch.softmax(x, dim=-1)
    op = maybe_compile(op, args)
    cotangent = torch.randn(*shape)
    low = args.dtype == "bfloat16"

    def result_of(*given):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            return op(*given).float()

    def both():
        torch.autograd.grad(result_of(*inputs), inputs, cotangent)

    def forward():
        with torch.no_grad():
            result_of(*inputs)

    fwd = measurement.run(forward, args, warmup=3)
    result = measurement.run(both, args, warmup=3)
    report(args, result, shape=shape, forward_seconds_min=fwd["seconds_min"],
           forward_seconds_median=fwd["seconds_median"])


if __name__ == "__main__":
    main()
