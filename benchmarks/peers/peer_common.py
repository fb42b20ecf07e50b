"""What the peers share: options, timing, peak memory, and the one JSON line they print."""
from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time

import numpy as np
import torch


def options(description: str, works: list[str],
            modes: tuple[str, ...] = ("eager", "compile")) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", choices=works, required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--mode", choices=modes, default="eager")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    return parser


def start(args) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)


def maybe_compile(fn, args):
    return torch.compile(fn) if args.mode == "compile" else fn


def status_mb(field: str) -> float:
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    raise KeyError(field)


def reset_peak() -> None:
    """Sets VmHWM back to the present resident size (Linux, proc(5): clear_refs)."""
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")


class Measurement:
    """Made before the workload's tensors are built, so that peaks are above that point."""

    def __init__(self):
        reset_peak()
        self.base = status_mb("VmRSS")

    def run(self, step, args, warmup: int = 2):
        """Times `step` `repeat` times after `warmup` calls. In compile mode the first peak includes
        the compiler; the steady one is taken after the warm-up in both modes."""
        for _ in range(warmup):
            step()
        peak = status_mb("VmHWM") - self.base
        reset_peak()
        wall, cpu = [], []
        for _ in range(args.repeat):
            w, c = time.perf_counter(), time.process_time()
            step()
            wall.append(time.perf_counter() - w)
            cpu.append(time.process_time() - c)
        steady = status_mb("VmHWM") - self.base
        return {"seconds_min": min(wall), "seconds_median": statistics.median(wall),
                "cpu_seconds_min": min(cpu), "peak_rss_mb": round(max(peak, steady), 1),
                "peak_rss_steady_mb": round(steady, 1)}


def report(args, result: dict, versions: dict | None = None, **extra) -> None:
    line = {"work": args.work, "mode": args.mode, "threads": args.threads, **extra, **result,
            "versions": {"torch": torch.__version__, "numpy": np.__version__,
                         "python": platform.python_version(), "blas": "mkl" if
                         torch.backends.mkl.is_available() else "other",
                         "isa": torch.backends.cpu.get_cpu_capability(), **(versions or {})}}
    print(json.dumps(line), flush=True)
