"""Matrix product in PyTorch (MKL, oneDNN): C (m, n) = A (m, k) · B (k, n).

    gemm_peer.py --work gemm --m 1576 --n 2304 --k 768 --dtype float --transpose nn --threads 2

With --transpose the stored layouts change: `nt` stores B as (n, k), `tn` stores A as (k, m).
"""
import torch

from peer_common import Measurement, maybe_compile, options, report, start

DTYPES = {"float": torch.float32, "double": torch.float64, "bfloat16": torch.bfloat16}


def main():
    parser = options(__doc__.splitlines()[0], ["gemm"])
    for name in "mnk":
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--dtype", choices=DTYPES, default="float")
    parser.add_argument("--transpose", choices=["nn", "nt", "tn", "tt"], default="nn")
    args = parser.parse_args()
    start(args)
    measurement = Measurement()
    m, n, k, dtype = args.m, args.n, args.k, DTYPES[args.dtype]
    a = torch.randn(m, k).to(dtype) if args.transpose[0] == "n" else torch.randn(k, m).to(dtype).T
    b = torch.randn(k, n).to(dtype) if args.transpose[1] == "n" else torch.randn(n, k).to(dtype).T
    out = torch.empty(m, n, dtype=dtype)
    product = maybe_compile(lambda: torch.mm(a, b, out=out), args)
    result = measurement.run(product, args, warmup=3)
    report(args, result, m=m, n=n, k=k, dtype=args.dtype, transpose=args.transpose,
           gflops=round(2e-9 * m * n * k / result["seconds_min"], 1))


if __name__ == "__main__":
    main()
