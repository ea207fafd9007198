"""The short form of the benchmarks, one after another, and one table of their ratios beside those that are kept.

    python benchmarks/table.py [--only sweep lens] [--threads 2] [--out benchmarks/results]

Each script is run with few rounds on the embedded pair (on the pair of SLR_PROBE_PAIR where that is set) and compares
its ways in one run, as always. What is printed and written, `table.json` and `table.md` with a description of the
machine, is each way's median and how many times that of slr_probe it takes; the ratio of the table that was there
before stands beside it. Machines differ: compare ratios, and only where the load was low.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from slr_probe import organism

HERE = Path(__file__).parent


def _rows(found: dict[str, Any]) -> dict[str, float]:
    return {row["way"]: row["seconds"] for row in found["rows"] if "seconds" in row}


@dataclass(frozen=True)
class Bench:
    """One script: what it is called with, whose time the others are divided by, and where its JSON has seconds."""

    options: str
    ours: str
    seconds: Callable[[dict[str, Any]], dict[str, float]] = _rows


BENCHES = {
    "startup": Bench("--rounds 5", "import slr_probe", lambda found: {k: v[1] for k, v in found["medians"].items()}),
    "sweep": Bench(
        "--parts speed --rounds 3 --threads {threads} --base {base} --tuned {tuned}",
        "sweep bfloat16",
        lambda found: {name: wall for name, (wall, _) in found["speed"]["medians"].items()},
    ),
    "record": Bench("--repeat 5 --threads {threads} --base {base} --tuned {tuned}", "record"),
    "weight_delta": Bench("--repeat 3 --threads {threads} --base {base} --tuned {tuned}", "weight_delta"),
    "lens": Bench("--repeat 3 --threads {threads}", "slr_probe"),
    "patching": Bench("--threads {threads} --base {base} --tuned {tuned}", "patch_activations"),
    "mask": Bench("--repeat 3 --no-memory --threads {threads}", "mask"),
    "restore": Bench("--repeat 3 --layers 4:8 --base {base} --tuned {tuned}", "slr-probe restore"),
    "generation": Bench(
        "--repeat 3 --threads {threads} --base {base} --tuned {tuned}",
        "slr_probe 16384",
        lambda found: {row["way"]: 1000 / row["tokens_per_second"] for row in found["rows"]},  # of 1,000 tokens
    ),
    "diversity": Bench(
        "--prompts 20", "all", lambda found: {**found["seconds"], "all": sum(found["seconds"].values())}
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=list(BENCHES), metavar="NAME")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    kept = args.out / "table.json"
    table = json.loads(kept.read_text()) if kept.exists() else {"benchmarks": {}}
    before = table["benchmarks"]
    found = {name: run(name, args.threads) for name in args.only}
    text = markdown(machine(args.threads), found, before)
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({"machine": machine(args.threads), "benchmarks": {**before, **found}}, indent=1) + "\n")
    (args.out / "table.md").write_text(markdown(machine(args.threads), {**before, **found}, {}))


def machine(threads: int) -> dict[str, Any]:
    """What decides times, without any name of the machine."""
    cpu = platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": threads, **versions}


def run(name: str, threads: int) -> dict[str, Any]:
    """Medians and ratios of one script."""
    bench, pair = BENCHES[name], os.environ.get("SLR_PROBE_PAIR")
    sides = (f"{pair}/base", f"{pair}/tuned") if pair else (organism.path("base"), organism.path("dpo"))
    options = bench.options.format(threads=threads, base=sides[0], tuned=sides[1]).split()
    load, start = os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, str(HERE / f"{name}.py"), *options, "--json", str(out)]
        done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"benchmarks/{name}.py failed; what it said stands above")
        seconds = bench.seconds(json.loads(out.read_text()))
    print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    ratios = {way: round(value / seconds[bench.ours], 3) for way, value in seconds.items()}
    shown = bench.options.format(threads=threads, base="BASE", tuned="TUNED")
    rounded = {way: float(f"{value:.4g}") for way, value in seconds.items()}
    return {
        "command": f"python benchmarks/{name}.py {shown}",
        "pair": "of SLR_PROBE_PAIR" if pair else "embedded",
        "load": round(load, 1),
        "ours": bench.ours,
        "seconds": rounded,
        "ratios": ratios,
    }


def markdown(machine: dict[str, Any], found: dict[str, Any], before: dict[str, Any]) -> str:
    """The table, as Markdown."""
    lines = ["# Ratios of one run each", "", ", ".join(f"{name} {value}" for name, value in machine.items()), ""]
    lines += [
        "`x ours` is the time of a way over that of slr_probe in the same run: above 1 is slower than slr_probe. On a",
        "tiny pair fixed costs weigh most; docs/speed.md has a real one.",
        "",
    ]
    head = ["benchmark", "way", "median s", "x ours", *(["x ours before"] if before else [])]
    lines += ["| " + " | ".join(head) + " |", "| --- | --- " + "| ---: " * (len(head) - 2) + "|"]
    for name, one in found.items():
        for way, seconds in one["seconds"].items():
            mark = f"**{way}**" if way == one["ours"] else way
            cells = [name, mark, f"{seconds:.4g}", f"{one['ratios'][way]:.2f}"]
            if before:
                old = before.get(name, {}).get("ratios", {}).get(way)
                cells.append("" if old is None else f"{old:.2f}")
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Commands, each with the load of the machine when it began:", ""]
    lines += [f"- `{one['command']}` ({one['pair']} pair, load {one['load']})" for one in found.values()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
