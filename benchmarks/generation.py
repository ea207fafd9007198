"""`generate` against plain `transformers.generate`, sampling K outputs a prompt, side by side in one process.

    python benchmarks/generation.py [--base BASE --tuned TUNED] [--prompts 8] [--samples 16] [--max-tokens 32]
                                    [--repeat 3] [--threads 2] [--json FILE]

Both sample at temperature 1 with min-p 0.1 and stop at the same tokens. transformers gets the prompts sorted by length
and left-padded, `num_return_sequences=K`, and several batch sizes; the best of them is what we compare with. Turns are
interleaved and medians taken. Tokens count up to the end of each output, so rows that wait for others earn nothing.
Without --base and --tuned the embedded pair is used.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from slr_probe import ModelPair
from slr_probe.generation import Sampling
from slr_probe.generation.decode import Request, end_tokens, write

TEXTS = (
    "Tell me a short story about a fox and a river.",
    "Write a poem about the moon.",
    "Tell me a joke about a cat.",
    "Name a colour.",
    "Anna has 3 apples and buys 4 more. How many apples does she have now? Show your work.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="organism:base")
    parser.add_argument("--tuned", default="organism:dpo")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[1, 2, 4, 8], help="prompts a batch, for transformers"
    )
    parser.add_argument("--batch-tokens", type=int, nargs="+", default=[16_384], help="for slr_probe")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    pair = ModelPair.load(args.base, args.tuned, dtype=args.dtype)
    ways = make_ways(pair, args)
    runs: dict[str, list[tuple[float, int]]] = {name: [] for name in ways}
    for _ in range(args.repeat):
        for name, way in ways.items():
            start = time.perf_counter()
            tokens = way()
            runs[name].append((time.perf_counter() - start, tokens))
    report(runs, args)


def make_ways(pair: ModelPair, args: argparse.Namespace) -> dict[str, Callable[[], int]]:
    """Each way as a function that returns how many tokens it wrote."""
    ids = sorted((pair.render(f"{TEXTS[i % len(TEXTS)]} ({i})") for i in range(args.prompts)), key=len)
    ends, model = end_tokens(pair), pair.tuned
    sampling = Sampling(temperature=1.0, min_p=0.1, max_tokens=args.max_tokens)
    requests = [Request(str(i), tuple(row), tuple(range(args.samples))) for i, row in enumerate(ids)]

    def ours(bound: int) -> int:
        written = [one for part in write(model, requests, sampling, ends=ends, batch_tokens=bound) for one in part]
        return sum(len(one.tokens) + one.finished for one in written)

    def theirs(size: int) -> int:
        return sum(plain(model, ids[i : i + size], ends, args) for i in range(0, len(ids), size))

    ways: dict[str, Callable[[], int]] = {f"slr_probe {n}": lambda n=n: ours(n) for n in args.batch_tokens}
    for size in args.batches:
        if size <= args.prompts:
            ways[f"transformers {size} x {args.samples}"] = lambda size=size: theirs(size)
    return ways


@torch.inference_mode()
def plain(model: Any, ids: list[list[int]], ends: tuple[int, ...], args: argparse.Namespace) -> int:
    """One batch as a user of transformers would write it."""
    width = max(map(len, ids))
    rows = torch.tensor([[ends[0]] * (width - len(row)) + row for row in ids], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids], device=model.device)
    out = model.generate(
        rows,
        attention_mask=mask,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        min_p=0.1,
        max_new_tokens=args.max_tokens,
        num_return_sequences=args.samples,
        eos_token_id=list(ends),
        pad_token_id=ends[0],
    )[:, width:]
    ended = torch.isin(out, torch.tensor(ends, device=out.device))
    first = torch.where(ended.any(dim=1), ended.float().argmax(dim=1) + 1, out.shape[1])
    return int(first.sum())


def report(runs: dict[str, list[tuple[float, int]]], args: argparse.Namespace) -> None:
    speeds = {name: statistics.median(tokens / seconds for seconds, tokens in turns) for name, turns in runs.items()}
    best = max(speed for name, speed in speeds.items() if name.startswith("transformers"))
    print(
        f"{platform.machine()}, {args.threads} threads, {args.tuned}, {args.prompts} prompts x {args.samples} samples, "
        f"at most {args.max_tokens} tokens, {args.dtype}, median of {args.repeat}"
    )
    print(f"{'':28}{'tokens/s':>10}{'tokens':>9}{'x best plain':>14}")
    rows = []
    for name, speed in speeds.items():
        tokens = statistics.median(tokens for _, tokens in runs[name])
        rows.append({"way": name, "tokens_per_second": speed, "tokens": tokens, "ratio": speed / best})
        print(f"{name:28}{speed:10.1f}{tokens:9.0f}{speed / best:14.2f}")
    if args.json:
        args.json.write_text(
            json.dumps({"settings": {k: str(v) for k, v in vars(args).items()}, "rows": rows}, indent=2)
        )


if __name__ == "__main__":
    main()
