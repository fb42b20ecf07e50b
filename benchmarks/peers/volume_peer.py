"""3-d convolution, max pool and batch norm in PyTorch, batch 1, forward and backward.

    volume_peer.py --work conv3d --shape 64,8,56,56,192,3,1 [--channels-last] --threads 2

conv3d takes (in, depth, height, width, out, kernel, stride), max_pool3d (channels, depth, height, width, three
kernel sizes, three strides), both with TensorFlow's SAME padding (zeros) as in I3D; batch_norm (channels, depth,
height, width). As in tandem's program, the input of a convolution of 3 channels, the clip, has no gradient.
"""
import torch
import torch.nn.functional as F

from peer_common import Measurement, maybe_compile, options, report, start


def same(sizes, kernel, stride):
    """(F.pad's margins, the same for the op's own symmetric padding or None)."""
    margins = []
    for n, k, s in reversed(list(zip(sizes, kernel, stride))):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        margins += [total // 2, total - total // 2]
    symmetric = all(margins[i] == margins[i + 1] for i in (0, 2, 4))
    return margins, margins[::2][::-1] if symmetric else None


def main():
    parser = options(__doc__.splitlines()[0], ["conv3d", "max_pool3d", "batch_norm"])
    parser.add_argument("--shape", required=True)
    parser.add_argument("--channels-last", action="store_true", help="activations and weights as channels_last_3d")
    args = parser.parse_args()
    start(args)
    measurement = Measurement()
    shape = [int(s) for s in args.shape.split(",")]
    x = torch.randn(1, *shape[:4])
    if args.work == "conv3d":
        out, kernel, stride = shape[4], (shape[5],) * 3, (shape[6],) * 3
        parameters = [torch.randn(out, shape[0], *kernel), torch.randn(out)]
        margins, symmetric = same(shape[1:4], kernel, stride)

        def op(x, weight, bias):
            if symmetric is not None:
                return F.conv3d(x, weight, bias, stride, symmetric)
            return F.conv3d(F.pad(x, margins), weight, bias, stride)
    elif args.work == "max_pool3d":
        kernel, stride = shape[4:7], shape[7:10]
        parameters = []
        margins, _ = same(shape[1:4], kernel, stride)
        op = lambda x: F.max_pool3d(F.pad(x, margins), kernel, stride)
    else:
        parameters = [torch.randn(shape[0]), torch.randn(shape[0])]
        op = lambda x, weight, bias: F.batch_norm(x, None, None, weight, bias, True)
    if args.channels_last:
        x = x.to(memory_format=torch.channels_last_3d)
        parameters = [p.to(memory_format=torch.channels_last_3d) if p.dim() == 5 else p for p in parameters]
    inputs = [x, *parameters]
    leaves = parameters if args.work == "conv3d" and shape[0] == 3 else inputs
    for leaf in leaves:
        leaf.requires_grad_()
    op = maybe_compile(op, args)
    with torch.no_grad():
        cotangent = torch.randn_like(op(*inputs))

    def both():
        torch.autograd.grad(op(*inputs), leaves, cotangent)

    def forward():
        with torch.no_grad():
            op(*inputs)

    fwd = measurement.run(forward, args, warmup=3)
    result = measurement.run(both, args, warmup=3)
    report(args, result, shape=shape, forward_seconds_min=fwd["seconds_min"],
           forward_seconds_median=fwd["seconds_median"])


if __name__ == "__main__":
    main()
