#!/usr/bin/env python3
"""Times tandem's benchmark programs and their peers in one run and prints one table.

Every (work, threads) pair is timed in rounds: our program, then each peer, then the next round, so
that a slow minute of the machine hits all alike. The contract of the programs is in README.md."""

import argparse
import datetime
import json
import math
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

from rivals import rivals

HERE = pathlib.Path(__file__).resolve().parent


# --- running -----------------------------------------------------------------------------------

def environment(threads):
    env = dict(os.environ)
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # they would hold the peer back
        env.pop(name, None)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        env[name] = str(threads)
    return env


def json_lines(command, threads, timeout):
    """The JSON objects that a command prints, or the reason why there are none."""
    try:
        run = subprocess.run([str(c) for c in command], env=environment(threads), timeout=timeout,
                             capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        return [], f"no result within {timeout} s"
    lines = []
    for line in run.stdout.splitlines():
        if line.startswith("{"):
            lines.append(json.loads(line))
    if run.returncode != 0 or not lines:
        last = (run.stderr.strip().splitlines() or ["no output"])[-1]
        return [], f"exit {run.returncode}: {last}"
    return lines, None


class Timing:
    """The results of one program for one work and thread count, over the rounds."""

    def __init__(self):
        self.lines, self.problem = [], None

    def add(self, line, forward=False):
        if forward:
            line = {**line, "seconds_min": line["forward_seconds_min"],
                    "seconds_median": line["forward_seconds_median"]}
        self.lines.append(line)

    @property
    def best(self):
        return min((line["seconds_min"] for line in self.lines), default=math.nan)

    def summary(self):
        if not self.lines:
            return {"problem": self.problem}
        return {"seconds_min": self.best,
                "seconds_median": statistics.median(l["seconds_median"] for l in self.lines),
                "peak_rss_mb": max(l["peak_rss_mb"] for l in self.lines),
                "versions": self.lines[-1].get("versions", {})}


def machine_limits(program, threads, repeat, timeout):
    """{"f32": flop/s, "f64": …, "bf16": …, "copy": bytes/s, "isa": {unit: name}}"""
    lines, problem = json_lines([program, "--threads", threads, "--repeat", repeat], threads, timeout)
    if problem:
        sys.exit(f"{program}: {problem}")
    limits = {"isa": {}}
    for line in lines:
        kind, name = line["work"].split("/", 1)
        if kind == "copy":
            limits["copy"] = line["bytes"] / line["seconds_min"]
            continue
        unit, rate = kind.removeprefix("peak_"), line["flops"] / line["seconds_min"]
        if rate > limits.get(unit, 0):
            limits[unit], limits["isa"][unit] = rate, name
    return limits


def limit_seconds(cost, unit, limits):
    """The least time the machine needs for the work, and what bounds it."""
    flops = cost["flops"] / limits.get(unit, math.inf)
    copies = cost["bytes"] / limits["copy"]
    return (flops, "fma") if flops >= copies else (copies, "copy")


def describe_machine():
    fields = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if ":" in line:
            key, value = (part.strip() for part in line.split(":", 1))
            fields.setdefault(key, value)
    return {"cpu": fields.get("model name", platform.machine()),
            "family_model_stepping": "/".join(fields.get(k, "?")
                                              for k in ("cpu family", "model", "stepping")),
            "cpus": os.cpu_count(),
            "isa": [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
                    if flag in fields.get("flags", "").split()],
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "system": platform.platform(),
            "load_at_start": round(os.getloadavg()[0], 2)}


# --- the table ---------------------------------------------------------------------------------

def time_text(seconds):
    if math.isnan(seconds):
        return "–"
    for scale, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table(rows):
    head = ["work", "threads", "tandem", "limit", "share", "fastest peer", "ratio", "all peers",
            "memory, MB (peer)"]
    body = []
    for row in rows:
        ours, peers = row["tandem"], row["peers"]
        timed = {name: p for name, p in peers.items() if "seconds_min" in p}
        best = min(timed, key=lambda name: timed[name]["seconds_min"], default=None)
        memory = f"{ours['peak_rss_mb']:.0f}"
        if timed:
            memory += f" ({min(p['peak_rss_mb'] for p in timed.values()):.0f})"
        body.append([
            row["work"], str(row["threads"]), time_text(ours["seconds_min"]),
            row["bound"] if row["share"] else "–",
            f"{100 * row['share']:.0f} %" if row["share"] else "–",
            best or "–", f"{row['ratio']:.2f}" if row["ratio"] else "–",
            ", ".join(f"{name} {time_text(p['seconds_min'])}" if name in timed
                      else f"{name} failed" for name, p in peers.items()) or "–",
            memory])
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    form = lambda line: "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |"
    return "\n".join([form(head), "|" + "|".join("-" * (w + 2) for w in widths) + "|",
                      *map(form, body)])


def limits_text(limits):
    lines = []
    for threads, limit in limits.items():
        parts = [f"{unit} {limit[unit] / 1e9:.0f} GFLOP/s ({limit['isa'][unit]})"
                 for unit in ("f32", "f64", "bf16") if unit in limit]
        lines.append(f"{threads} thread{'s' if threads != 1 else ''}: {', '.join(parts)}; "
                     f"copy {limit['copy'] / 1e9:.1f} GB/s")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build/bench/benchmarks",
                        help="folder of the built *_bench programs")
    parser.add_argument("--peers-python", default=sys.executable,
                        help="Python that has PyTorch, NumPy and threadpoolctl")
    parser.add_argument("--only", default="", help="works whose name matches this regular expression")
    parser.add_argument("--append", action="store_true",
                        help="keep the other rows of today's results, measured before on this machine")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=10, help="samples a round, at most")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one round of 3 samples, nothing written")
    parser.add_argument("--timeout", type=int, default=900, help="seconds for one program")
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.repeat = 1, 3

    programs = sorted(args.build.glob("*_bench"))
    machine = args.build / "machine_bench"
    if machine not in programs:
        sys.exit(f"no programs in {args.build}: build them with `make bench` or "
                 "-DTANDEM_BENCHMARKS=ON")
    works = []
    for program in programs:
        if program == machine:
            continue
        names = subprocess.run([program, "--list"], capture_output=True, text=True,
                               check=True).stdout.split()
        works += [(name, program) for name in names if re.search(args.only, name)]
    if not works:
        print(f"no work matches {args.only}; only the machine's limits are measured")

    about = describe_machine()
    if about["load_at_start"] > 0.5:
        print(f"warning: other programs are running (load {about['load_at_start']}); "
              "times will be too long", file=sys.stderr)
    limits = {n: machine_limits(machine, n, args.repeat, args.timeout) for n in args.threads}
    for line in limits_text(limits):
        print(line, flush=True)

    rows = []
    for name, program in works:
        for threads in args.threads:
            ours, peers = Timing(), {}
            for _ in range(args.rounds):
                lines, problem = json_lines([program, "--work", name, "--threads", threads,
                                             "--repeat", args.repeat], threads, args.timeout)
                if problem:
                    sys.exit(f"{program} --work {name}: {problem}")
                ours.add(lines[0])
                for mode, script, options, forward in [] if args.no_peers else rivals(name):
                    timing = peers.setdefault(mode, Timing())
                    if timing.problem:
                        continue  # it failed in the first round already
                    lines, timing.problem = json_lines(
                        [args.peers_python, HERE / "peers" / script, *options, "--threads", threads,
                         "--repeat", args.repeat], threads, args.timeout)
                    if lines:
                        timing.add(lines[-1], forward)
            best_peer = min((t.best for t in peers.values() if t.lines), default=None)
            rows.append({"work": name, "threads": threads, "tandem": ours.summary(),
                         "peers": {mode: t.summary() for mode, t in peers.items()},
                         "cost": {key: ours.lines[0].get(key, 0) for key in ("flops", "bytes")},
                         "unit": ours.lines[0].get("unit", "f32"),
                         "ratio": best_peer / ours.best if best_peer else None})
            print(f"{name}, {threads} thread(s): {time_text(ours.best)}", file=sys.stderr, flush=True)

    # Measured again, in case something else was running the first time.
    for threads, first in limits.items():
        again = machine_limits(machine, threads, args.repeat, args.timeout)
        limits[threads] = {key: value if key == "isa" else max(value, again[key])
                           for key, value in first.items()}
    for row in rows:
        row["limit_seconds"], row["bound"] = limit_seconds(row["cost"], row["unit"],
                                                           limits[row["threads"]])
        row["share"] = row["limit_seconds"] / row["tandem"]["seconds_min"]

    date = datetime.date.today().isoformat()
    cpu = re.sub(r"[^a-z0-9]+", "-", about["cpu"].lower()).strip("-")
    target = args.results / f"{date}-{cpu}"
    if args.append and target.with_suffix(".json").exists():
        before = json.loads(target.with_suffix(".json").read_text())
        new = {(row["work"], row["threads"]) for row in rows}
        rows = [row for row in before["rows"] if (row["work"], row["threads"]) not in new] + rows
        limits = {**{int(n): limit for n, limit in before["limits"].items()}, **limits}

    text = table(rows) if rows else ""
    print("\n" + text)
    failed = [f"{row['work']}, {row['threads']} thread(s), {mode}: {peer['problem']}"
              for row in rows for mode, peer in row["peers"].items() if "problem" in peer]
    for line in failed:
        print(f"peer failed: {line}", file=sys.stderr)
    if args.quick:
        return 0

    args.results.mkdir(parents=True, exist_ok=True)
    target.with_suffix(".json").write_text(json.dumps(
        {"date": date, "machine": about, "limits": limits, "rounds": args.rounds,
         "repeat": args.repeat, "rows": rows}, indent=1) + "\n")
    versions = {}
    for row in rows:
        for result in (row["tandem"], *row["peers"].values()):
            for key, value in result.get("versions", {}).items():
                versions.setdefault(key, str(value) if not isinstance(value, list)
                                    else ", ".join(value))
    target.with_suffix(".md").write_text("\n".join([
        f"{date}, {about['cpu']} (family/model/stepping {about['family_model_stepping']}), "
        f"{about['cpus']} CPUs, {about['memory_gib']} GiB, load before the run "
        f"{about['load_at_start']}.", "",
        *[f"- {line}" for line in limits_text(limits)],
        "- " + ", ".join(f"{key} {value}" for key, value in sorted(versions.items())), "",
        text, "",
        "Times are the least of all samples. limit: what bounds the work, multiply-adds (fma) or "
        "memory (copy); share: the least time the machine needs ÷ ours; ratio: fastest peer ÷ ours; "
        "memory: peak above that of the idle program.", ""]))
    print(f"\nwritten: {target.with_suffix('.json')}, {target.with_suffix('.md')}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
