"""How soon something is there: import, `--help` and the first error of a bad command line, against Python and torch.

    python benchmarks/startup.py [--rounds 7] [--json FILE]

Fresh processes, interleaved, medians over rounds, after one round that fills the caches. Wall and processor seconds,
and ratios to `python -c pass` and to `import torch`. The error is that of a folder which does not exist.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CLI = "import sys; from slr_probe.cli import main; sys.argv = ['slr-probe', {}]; main()"
WAYS = {
    "python -c pass": "pass",
    "import slr_probe": "import slr_probe",
    "slr-probe --help": CLI.format("'--help'"),
    "slr-probe rank --help": CLI.format("'rank', '--help'"),
    "first error": CLI.format("'rank', './none', './none-either'"),
    "import torch": "import torch",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(f"{platform.machine()}, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for turn in range(args.rounds + 1):
        for name, code in WAYS.items():
            took = timed(code, fails=name == "first error")
            if turn:
                runs[name].append(took)
    medians = {name: [statistics.median(run[i] for run in took) for i in range(2)] for name, took in runs.items()}
    nothing, torch = medians["python -c pass"][1], medians["import torch"][1]
    print(f"{'':24}{'seconds':>9}{'CPU s':>9}{'x pass':>9}{'x torch':>9}   (ratios of processor time)")
    for name, (wall, busy) in medians.items():
        print(f"{name:24}{wall:9.2f}{busy:9.2f}{busy / nothing:9.1f}{busy / torch:9.2f}")
    if args.json:
        found: dict[str, Any] = {"medians": medians, "runs": runs, "load": os.getloadavg()[0]}
        args.json.write_text(json.dumps(found, indent=1))


def timed(code: str, *, fails: bool) -> tuple[float, float]:
    """Wall and processor seconds of a fresh process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode != 2 * fails:
        raise SystemExit(run.stderr[-3000:])
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
