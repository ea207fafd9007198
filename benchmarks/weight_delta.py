"""`weight_delta` on two folders against reading their bytes and taking one float64 norm each, in one run.

    python benchmarks/weight_delta.py --base BASE --tuned TUNED [--repeat 5] [--threads 2] [--json FILE]

Each way runs in a fresh process, interleaved with the others; medians of wall time inside the process (imports left
out), of processor time, and of peak resident memory above an interpreter that has imported torch, and ratios to both
reference ways: the one that anybody would write (`tensor.double().norm()`), and one in pieces that stay in the
processor's cache.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HEAD = """
import json, resource, sys, time, torch
base, tuned, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
bare = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
from slr_probe.checkpoint import Checkpoint
from slr_probe.checkpoint.shard import read_chunks
from slr_probe.probes.weights.measure import weight_delta
sides = [Checkpoint.open(folder) for folder in (base, tuned)]
start, busy = time.perf_counter(), time.process_time()
"""
TAIL = """
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.perf_counter() - start, time.process_time() - busy, (peak - bare) / 1024]))
"""
WHOLE = """
for side in sides:
    for name in side.tensors:
        side.read(name).double().norm()
"""
PIECES = """
for side in sides:
    for info in side.tensors.values():
        total = 0.0
        for chunk in read_chunks(info, 2 << 20):
            for piece in chunk.split(1 << 15):
                wide = piece.double()
                total += float(torch.dot(wide, wide))
"""
OURS = """
weight_delta(base, tuned, spectral="{spectral}", progress=False)
"""
WAYS = {
    "bytes and float64 norms": (WHOLE, None),
    "same, in pieces, 1 thread": (PIECES, 1),
    "weight_delta, no spectral": (OURS.format(spectral="none"), None),
    "weight_delta": (OURS.format(spectral="auto"), None),
    "weight_delta, all spectral": (OURS.format(spectral="all"), None),
}


def measure(code: str, base: str, tuned: str, threads: int) -> tuple[float, float, float]:
    """Seconds, processor seconds and MiB that a fresh process reports."""
    command = [sys.executable, "-c", HEAD + code + TAIL, base, tuned, str(threads)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"failed:\n{found.stderr[-2000:]}")
    seconds, busy, peak = json.loads(found.stdout.splitlines()[-1])
    return seconds, busy, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pair = os.environ.get("SLR_PROBE_PAIR", "")
    parser.add_argument("--base", default=f"{pair}/base" if pair else None, required=not pair)
    parser.add_argument("--tuned", default=f"{pair}/tuned" if pair else None, required=not pair)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WAYS}
    for _ in range(args.repeat):
        for name, (code, threads) in WAYS.items():
            runs[name].append(measure(code, args.base, args.tuned, threads or args.threads))
    wall, busy, peak = (
        {name: statistics.median(run[i] for run in values) for name, values in runs.items()} for i in range(3)
    )
    whole, pieces = list(WAYS)[:2]
    print(f"{platform.machine()}, {os.cpu_count()} cores, {args.threads} threads, median of {args.repeat}")
    print(f"{'':28}{'seconds':>9}{'x norms':>9}{'x in pieces':>13}{'CPU seconds':>13}{'MiB above torch':>17}")
    rows = []
    for name in WAYS:
        row = {
            "way": name,
            "seconds": wall[name],
            "x_norms": wall[name] / wall[whole],
            "x_pieces": wall[name] / wall[pieces],
            "cpu_seconds": busy[name],
            "mib_above_torch": peak[name],
        }
        rows.append(row)
        print(
            f"{name:28}{wall[name]:9.2f}{row['x_norms']:9.2f}{row['x_pieces']:13.2f}{busy[name]:13.2f}{peak[name]:17.0f}"
        )
    if args.json:
        args.json.write_text(json.dumps({"threads": args.threads, "repeat": args.repeat, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
