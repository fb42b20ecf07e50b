"""Matrix product in NumPy's OpenBLAS: C (m, n) = A (m, k) · B (k, n), float or double.

    openblas_peer.py --work gemm --m 1576 --n 2304 --k 768 --dtype float --transpose nn --threads 2

With --transpose the stored layouts change: `nt` stores B as (n, k), `tn` stores A as (k, m). It
imports no PyTorch, so no second BLAS or thread pool is in the process.
"""
import argparse
import json
import platform
import resource
import statistics
import time

import numpy as np
import threadpoolctl

DTYPES = {"float": np.float32, "double": np.float64}


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", choices=["gemm"], required=True)
    for name in "mnk":
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--dtype", choices=DTYPES, default="float")
    parser.add_argument("--transpose", choices=["nn", "nt", "tn", "tt"], default="nn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=20)
    args = parser.parse_args()

    base = peak_mb()
    generator = np.random.default_rng(1)
    m, n, k, dtype = args.m, args.n, args.k, DTYPES[args.dtype]
    stored = lambda rows, cols, kept: (
        generator.standard_normal((rows, cols) if kept else (cols, rows)).astype(dtype))
    a = stored(m, k, args.transpose[0] == "n")
    b = stored(k, n, args.transpose[1] == "n")
    a = a if args.transpose[0] == "n" else a.T
    b = b if args.transpose[1] == "n" else b.T
    out = np.empty((m, n), dtype)
    with threadpoolctl.threadpool_limits(args.threads, "blas"):
        blas = [lib for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]
        for _ in range(3):
            np.matmul(a, b, out=out)
        samples = []
        for _ in range(args.repeat):
            start = time.perf_counter()
            np.matmul(a, b, out=out)
            samples.append(time.perf_counter() - start)
    print(json.dumps({
        "work": "gemm", "mode": "openblas", "threads": args.threads, "m": m, "n": n, "k": k,
        "dtype": args.dtype, "transpose": args.transpose, "seconds_min": min(samples),
        "seconds_median": statistics.median(samples), "peak_rss_mb": round(peak_mb() - base, 1),
        "versions": {"numpy": np.__version__, "python": platform.python_version(),
                     "blas": [f"{lib['internal_api']} {lib['version']} {lib.get('architecture')}"
                              for lib in blas]}}))


if __name__ == "__main__":
    main()
