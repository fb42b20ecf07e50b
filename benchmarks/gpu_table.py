"""The table of a GPU: gpu_bench's rows beside PyTorch's (peers/gpu_peer.py), with the share of the card's limits.

    gpu_table.py --tandem bench.txt --peers peers.txt [--machine machine.txt] [--out table.md]

The files hold a JSON line for each row; other lines are left out. The limits are what the same run measured, whoever
was faster: bytes a second of a copy on the device, operations a second of a large product of each precision. A work's
share is the time that its bytes or its operations need at that rate, whichever is longer, by the time that it took.
Ratios are the peer's time by tandem's: above 1 tandem is faster. What is not there is "not measured".

Exit status: 0; 77 where neither file has a row.
"""
import argparse
import json
import pathlib
import sys

MODES = ("eager", "compile", "sdpa", "cudnn", "channels_last")
LIMITS = {"copy": "gpu_limit_copy", "bf16": "gpu_limit_bf16", "tf32": "gpu_limit_tf32", "f32": "gpu_limit_f32"}
MEMORY_BOUND = ("gpu_softmax", "gpu_layer_norm", "gpu_gelu", "gpu_add", "gpu_column_sums", "gpu_to_bf16", "gpu_adam")
GOAL_OF_COPY, GOAL_OF_PAIRS = 0.85, 300


def rows(path):
    """Of a file that may hold other lines, and need not exist."""
    found = []
    if path and pathlib.Path(path).exists():
        for line in pathlib.Path(path).read_text(errors="replace").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and "work" in row and row.get("seconds_min", 0) > 0:
                found.append(row)
    return found


def limits_of(all_rows):
    """{"copy": bytes/s, "bf16": flop/s, …}: the fastest of each."""
    best = {}
    for name, work in LIMITS.items():
        counted = "bytes" if name == "copy" else "flops"
        rates = [row[counted] / row["seconds_min"] for row in all_rows if row["work"] == work and row.get(counted)]
        if rates:
            best[name] = max(rates)
    return best


def share(row, limits):
    """(share, which limit), or None where nothing is counted or the limit was not measured."""
    needs = []
    for counted, name in (("flops", row.get("unit", "f32")), ("bytes", "copy")):
        if row.get(counted):
            if name not in limits:
                return None
            needs.append((row[counted] / limits[name], name))
    if not needs:
        return None
    seconds, name = max(needs)
    return seconds / row["seconds_min"], name


def work_seconds(row):
    return row["seconds_min"] / row.get("calls", 1)


def shown(seconds):
    for scale, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * scale >= 1 or unit == "µs":
            return f"{seconds * scale:.3g} {unit}"
    return ""


def goal(row, part):
    """What the row should reach, and whether it does; empty without a goal."""
    if row["work"] in MEMORY_BOUND:
        if part is None:
            return f"≥ {GOAL_OF_COPY:.0%} of copy: not measured"
        return f"≥ {GOAL_OF_COPY:.0%} of copy: {'met' if part[0] >= GOAL_OF_COPY else 'missed'}"
    if row.get("item") == "pairs":
        rate = row["items"] / work_seconds(row)
        return f"≥ {GOAL_OF_PAIRS} pairs/s: {'met' if rate >= GOAL_OF_PAIRS else 'missed'}"
    return ""


def table(tandem, peers, machine=""):
    limits = limits_of(tandem + peers)
    ours = {row["work"]: row for row in tandem}
    theirs = {}
    for row in peers:
        theirs.setdefault(row["work"], {})[row["mode"]] = row
    modes = [mode for mode in MODES if any(mode in found for found in theirs.values())]
    out = ["# On a GPU, beside PyTorch", ""]
    if machine:
        out += ["```", machine.strip(), "```", ""]
    versions = {f"{key} {value}" for row in peers for key, value in row.get("versions", {}).items() if value}
    if versions:
        out += ["PyTorch's side: " + ", ".join(sorted(versions)) + ".", ""]
    out += ["Limits of the card as measured here: " + (", ".join(
        f"{name} {limits[name] / 1e12:.3g} {'TB/s' if name == 'copy' else 'TFLOP/s'}" if name in limits else f"{name} not measured"
        for name in LIMITS)) + ".", "",
        "A ratio is PyTorch's time by tandem's: above 1 tandem is faster.", "",
        "| work | tandem | a second | share of the limit | " + "".join(f"{mode} | " for mode in modes) + "goal |",
        "|---|---|---|---|" + "---|" * len(modes) + "---|"]
    for work in dict.fromkeys([*ours, *theirs]):
        row, cells = ours.get(work), []
        if row is None:
            cells = ["not measured", "", ""]
        else:
            part = share(row, limits)
            seconds = work_seconds(row)
            cells = [shown(seconds), f"{row['items'] / seconds:.4g} {row['item']}" if row.get("items") else "",
                     f"{part[0]:.0%} of {part[1]}" if part else "not measured" if row.get("flops") or row.get("bytes") else ""]
        for mode in modes:
            peer = theirs.get(work, {}).get(mode)
            if peer is None:
                cells.append("")
            elif row is None:
                cells.append(shown(work_seconds(peer)))
            else:
                cells.append(f"{shown(work_seconds(peer))} ({work_seconds(peer) / work_seconds(row):.2f})")
        cells.append(goal(row, share(row, limits)) if row else "")
        out.append(f"| `{work.removeprefix('gpu_')}` | " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tandem", required=True)
    parser.add_argument("--peers")
    parser.add_argument("--machine")
    parser.add_argument("--out")
    args = parser.parse_args()
    tandem, peers = rows(args.tandem), rows(args.peers)
    if not tandem and not peers:
        print("gpu_table.py: skipped: nothing was measured")
        return 77
    machine = pathlib.Path(args.machine).read_text() if args.machine and pathlib.Path(args.machine).exists() else ""
    text = table(tandem, peers, machine)
    if args.out:
        pathlib.Path(args.out).write_text(text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
