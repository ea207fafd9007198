"""What cutting a sweep for an executor costs, against the same sweep uncut in this process.

    python benchmarks/executor.py [BASE TUNED] [--prompts 40] [--every 1] [--rounds 5] [--executors local ray]

All sides sweep the same ranges over the same prompts, one after the other in each round; given are medians, and the
largest difference of any log-probability from the uncut sweep. Before, each side sweeps one range alone, so that models
are loaded; this start is timed apart. Ray gets one worker with as many threads as this process. Processor time, which
does not mind a busy machine, is that of this process: of Ray's worker it says nothing.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from statistics import median
from typing import Any

import numpy as np

from slr_probe import CRCTask, LayerRange, ModelPair
from slr_probe.executor import LocalExecutor, RayExecutor
from slr_probe.sweep import SweepResult, sweep


def main() -> None:
    """Print one line a side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="?", default="organism:base")
    parser.add_argument("tuned", nargs="?", default="organism:dpo")
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--every", type=int, default=1, help="sweep every so many-th range only")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--executors", nargs="+", default=["local"], choices=["local", "ray"])
    args = parser.parse_args()
    pair = ModelPair.load(args.base, args.tuned, dtype=args.dtype)
    queries = CRCTask.default().selection.render(pair).queries(pair)[: args.prompts]
    sides: dict[str, Any] = {"uncut": None}
    sides |= {name: LocalExecutor() if name == "local" else RayExecutor(workers=1) for name in args.executors}

    every = [str(layers) for layers in LayerRange.all(pair.depth)[:: args.every]]

    def timed(executor: Any, recipes: list[str]) -> tuple[float, float, SweepResult]:
        start = time.perf_counter(), time.process_time()
        found = sweep(pair, recipes, queries, executor=executor, progress=False)
        return time.perf_counter() - start[0], time.process_time() - start[1], found

    with ExitStack() as stack:
        for executor in sides.values():
            stack.callback(getattr(executor, "close", lambda: None))
        start = {name: timed(executor, every[:1])[0] for name, executor in sides.items()}
        rounds = [{name: timed(executor, every) for name, executor in sides.items()} for _ in range(args.rounds)]
    uncut = rounds[0]["uncut"][2].answer_logprobs
    finite = np.isfinite(uncut)
    for name in sides:
        seconds = median(one[name][0] for one in rounds)
        wall, processor = (median(one[name][i] / one["uncut"][i] for one in rounds) - 1 for i in (0, 1))
        apart = float(np.abs(rounds[0][name][2].answer_logprobs[finite] - uncut[finite]).max())
        print(
            f"{name:6} {seconds:7.2f} s, {wall:+.1%} ({processor:+.1%} of processor time; {args.rounds} rounds),",
            end=" ",
        )
        print(f"start {start[name]:.2f} s, log-probabilities within {apart:.1g} of uncut", flush=True)


if __name__ == "__main__":
    main()
