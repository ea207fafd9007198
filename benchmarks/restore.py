"""Building a hybrid on disk: slr-probe against `cp`, mergekit and loading two models, side by side in one run.

    python benchmarks/restore.py --base BASE --tuned TUNED --layers 14:18 [--repeat 5] [--json FILE]

Each way runs in a fresh process, interleaved with the others; medians of wall time and peak resident memory (above an
interpreter that has imported torch) are printed, and ratios to slr-probe. mergekit is measured where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = "import torch"
OURS = """
import sys
from slr_probe import restore
restore(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], progress=False)
"""
MERGEKIT = """
import sys, yaml
from slr_probe import Recipe
from slr_probe.pair.open import open_sides
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge
base, tuned, layers, out = sys.argv[1:]
text = Recipe.restore(layers, open_sides(base, tuned)[1].depth).to_mergekit(base, tuned)
run_merge(MergeConfiguration.model_validate(yaml.safe_load(text)), out,
          options=MergeOptions(quiet=True, copy_tokenizer=True), config_source=text)
"""
NAIVE = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
base, tuned, layers, out = sys.argv[1:]
one = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
other = AutoModelForCausalLM.from_pretrained(tuned, dtype="auto")
start, stop = map(int, layers.split(":"))
blocks, sources = other.get_decoder(), one.get_decoder()
for i in range(start, stop):
    blocks.layers[i].load_state_dict(sources.layers[i].state_dict())
other.save_pretrained(out)
AutoTokenizer.from_pretrained(tuned).save_pretrained(out)
"""


def measure(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident MiB of a process."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
    start = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"{command[0]} failed:\n{errors[-2000:]}")
    return wall, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pair = os.environ.get("SLR_PROBE_PAIR", "")
    parser.add_argument("--base", default=f"{pair}/base" if pair else None, required=not pair)
    parser.add_argument("--tuned", default=f"{pair}/tuned" if pair else None, required=not pair)
    parser.add_argument("--layers", default="14:18")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    python = [sys.executable, "-c"]
    ways = {
        "interpreter with torch": [*python, BARE],
        "cp -r of tuned": ["cp", "-r", args.tuned],
        "slr-probe restore": [*python, OURS, args.base, args.tuned, args.layers],
        "load both, swap, save": [*python, NAIVE, args.base, args.tuned, args.layers],
    }
    if subprocess.run([*python, "import mergekit"], capture_output=True, check=False).returncode == 0:
        ways["mergekit"] = [*python, MERGEKIT, args.base, args.tuned, args.layers]
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(args.repeat):
        for name, command in ways.items():
            with tempfile.TemporaryDirectory(dir=Path(args.tuned).parent) as folder:
                out = [str(Path(folder) / "out")] if name != "interpreter with torch" else []
                runs[name].append(measure(command + out))
                shutil.rmtree(folder, ignore_errors=True)
                os.makedirs(folder, exist_ok=True)
    report(runs, args)


def report(runs: dict[str, list[tuple[float, float]]], args: argparse.Namespace) -> None:
    wall = {name: statistics.median(w for w, _ in values) for name, values in runs.items()}
    peak = {name: statistics.median(m for _, m in values) for name, values in runs.items()}
    bare, ours = "interpreter with torch", "slr-probe restore"
    print(f"{platform.machine()}, {os.cpu_count()} cores, median of {args.repeat}, layers {args.layers}")
    print(f"{'':26}{'seconds':>9}{'x slr-probe':>13}{'MiB above torch':>17}")
    rows = []
    for name in runs:
        row = {
            "way": name,
            "seconds": wall[name],
            "ratio": wall[name] / wall[ours],
            "mib_above_torch": peak[name] - peak[bare],
        }
        rows.append(row)
        print(f"{name:26}{row['seconds']:9.2f}{row['ratio']:13.2f}{row['mib_above_torch']:17.0f}")
    if args.json:
        args.json.write_text(json.dumps({"layers": args.layers, "repeat": args.repeat, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
