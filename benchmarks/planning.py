"""What planning a sweep costs in processor time, against the number of prompts.

Prompts share an opening, as those of one chat template do, and have unequal lengths. Grouping them is timed by itself,
and as part of a whole dry run on the embedded pair, which also measures a piece of the sweep.

Usage: python benchmarks/planning.py --prompts 40 400 10000
"""

from __future__ import annotations

import argparse
import platform
import random
import resource
import time

import torch

from slr_probe import ModelPair
from slr_probe.sweep import sweep
from slr_probe.sweep.prefixes.groups import group_rows
from slr_probe.sweep.reads.rows import Row
from slr_probe.tasks.answers import Query

_BATCH = 1024  # tokens that a group may hold on a CPU


def make_prompts(count: int, vocab: int, seed: int) -> list[tuple[int, ...]]:
    """Prompts with an opening in common and between 5 and 40 tokens of their own."""
    rng = random.Random(seed)
    opening = tuple(rng.choices(range(10, vocab), k=12))
    return [(*opening, *rng.choices(range(10, vocab), k=rng.randint(5, 40))) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="+", default=[40, 100, 400, 1000, 4000, 10000])
    parser.add_argument("--pair", nargs=2, default=["organism:base", "organism:dpo"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pair = ModelPair.load(*args.pair, device="cpu")
    vocab = int(pair.config.get_text_config(decoder=True).vocab_size)
    print(f"{platform.machine()}, {args.threads} threads, {' and '.join(args.pair)}")
    print(f"{'prompts':>8} {'groups':>7} {'group (s)':>10} {'dry run (s)':>12} {'the sweep (s)':>14} {'peak (MB)':>10}")
    for count in args.prompts:
        prompts = make_prompts(count, vocab, args.seed)
        start = time.process_time()
        groups = group_rows([Row.last(prompt) for prompt in prompts], limit=_BATCH)
        grouping = time.process_time() - start
        queries = [Query(prompt, ((1,), (2,))) for prompt in prompts]
        start = time.process_time()
        plan = sweep(pair, None, queries, dry_run=True)
        planning = time.process_time() - start
        seconds, peak = plan.seconds or 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        row = f"{count:>8} {len(groups):>7} {grouping:>10.2f} {planning:>12.2f} {seconds:>14.0f} {peak:>10.0f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
