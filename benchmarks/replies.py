"""Replies scored in the sweep against swap-and-forward, and what they cost beside the one-token questions.

    python benchmarks/replies.py [--base BASE --tuned TUNED] [--ranges 24] [--rounds 2] [--json FILE]

The pair is that of SLR_PROBE_PAIR (a folder with base/ and tuned/), or the embedded one. Interleaved in one process,
medians over rounds, wall and processor time, every way on the same ranges:

one token     `sweep` over the built-in selection prompts.
guards        `sweep` over 24 replies of 48 tokens, read at the last and, of 16 of them, at the first four.
default       `sweep` over the replies that `rank_layers` samples and reads for its choice.
all           `sweep` over the same replies, read at every token.
grid          The one-token sweep, read out at eight more pairs of temperature and min-p.
ended         The one-token sweep that also asks whether the reply ends after the answer, on every eighth prompt.
naive         Module swap and transformers' forward over prompt and reply, all in one batch, for the log-probability of
              every given token and the entropies (few ranges, scaled).
naive forward The same forward, scores at the places of `guards` only.
naive places  The same with the head at these places only.
naive default, naive default places
              Both over the replies of `default`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from slr_probe import LayerRange, ModelPair, restored
from slr_probe.generation.decode import end_tokens
from slr_probe.rank import Guards
from slr_probe.rank.guards.replies import sample_replies
from slr_probe.sweep import sweep
from slr_probe.tasks import CRCTask, Replies, Reply

WAYS = "one token,guards,all,grid,ended,naive,naive forward,naive places"
GRID = [(t, m) for t in (0.7, 1.0, 1.3, 1.5) for m in (0.0, 0.05, 0.1) if (t, m) != (1.0, 0.0)][:8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pair = os.environ.get("SLR_PROBE_PAIR", "")
    parser.add_argument("--base", default=f"{pair}/base" if pair else "organism:base")
    parser.add_argument("--tuned", default=f"{pair}/tuned" if pair else "organism:dpo")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--ranges", type=int, default=24, help="about as many ranges, evenly among all")
    parser.add_argument("--replies", type=int, default=24, help="how many of the replies of 48 tokens")
    parser.add_argument("--naive-ranges", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ways", default=WAYS, help=f"some of {WAYS},default,naive default,naive default places")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{platform.machine()}, {args.threads} threads, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    found = measure(ModelPair.load(args.base, args.tuned, dtype=args.dtype), args)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def measure(pair: ModelPair, args: argparse.Namespace) -> dict[str, Any]:
    every = LayerRange.all(pair.depth)
    ranges = every[:: max(1, len(every) // args.ranges)]
    few = ranges[:: max(1, len(ranges) // args.naive_ranges)]
    task, ends = CRCTask.default().selection, end_tokens(pair)
    queries = task.queries(pair)
    asking = CRCTask(task.items[::8]).render(pair, ends=ends)
    guards, whole = (make_replies(pair, ends, args.replies, few_places=few_places) for few_places in (True, False))
    ways: dict[str, tuple[Callable[[], Any], float]] = {
        "one token": (lambda: sweep(pair, ranges, queries, progress=False), 1.0),
        "guards": (lambda: sweep(pair, ranges, replies=guards, progress=False), 1.0),
        "all": (lambda: sweep(pair, ranges, replies=whole, progress=False), 1.0),
        "grid": (lambda: sweep(pair, ranges, queries, grid=GRID, progress=False), 1.0),
        "ended": (lambda: sweep(pair, ranges, asking, progress=False), 1.0),
        "naive": (lambda: naive(pair, few, whole, same_places=False), len(ranges) / len(few)),
        "naive forward": (lambda: naive(pair, few, guards, same_places=False), len(ranges) / len(few)),
        "naive places": (lambda: naive(pair, few, guards, same_places=True), len(ranges) / len(few)),
    }
    if "default" in args.ways:
        own, scale = sample_replies(pair, Guards(), None)["selection"].replies, len(ranges) / len(few)
        ways["default"] = (lambda: sweep(pair, ranges, replies=own, progress=False), 1.0)
        ways["naive default"] = (lambda: naive(pair, few, own, same_places=False), scale)
        ways["naive default places"] = (lambda: naive(pair, few, own, same_places=True), scale)
        tokens, reads = (sum(map(len, of)) for of in zip(*((r.token_ids, r.read) for r in own.replies), strict=True))
        print(f"default: {len(own.replies)} replies, {tokens} tokens with prompts, read at {reads} places")
    ways = {name: ways[name] for name in args.ways.split(",")}
    sweep(pair, few[:1], queries[:2], progress=False)  # loads and warms up
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, (work, scale) in ways.items():
            wall, busy = timed(work)
            runs[name].append((wall * scale, busy * scale))
    medians = {name: [statistics.median(run[i] for run in values) for i in range(2)] for name, values in runs.items()}
    base = medians.get("one token", next(iter(medians.values())))
    print(f"{len(ranges)} ranges, {len(queries)} prompts, {len(guards.replies)} replies of 48 tokens")
    print(f"{'':20}{'seconds':>10}{'CPU s':>10}{'x the first':>13}{'x CPU':>8}")
    for name, (wall, busy) in medians.items():
        print(f"{name:20}{wall:10.1f}{busy:10.1f}{wall / base[0]:13.2f}{busy / base[1]:8.2f}")
    return {"medians": medians, "runs": runs, "ranges": len(ranges), "load": os.getloadavg()[0]}


def make_replies(pair: ModelPair, ends: tuple[int, ...], count: int, *, few_places: bool) -> Replies:
    """Replies of 48 tokens to the first prompts of the task; what the tokens are makes no difference to the time."""
    rng, vocab = random.Random(0), int(pair.config.get_text_config(decoder=True).vocab_size)
    prompts = [query.token_ids for query in CRCTask.default().selection.queries(pair)[:12]]
    replies = []
    for number in range(count):
        tokens = (*(rng.randrange(10, vocab) for _ in range(47)), ends[0])
        read = (0, 1, 2, 3, 47) if 3 * number < 2 * count else (47,)
        replies.append(Reply(prompts[number // 2], tokens, read if few_places else ()))
    return Replies(tuple(replies), ends)


@torch.no_grad()
def naive(pair: ModelPair, ranges: list[LayerRange], replies: Replies, *, same_places: bool) -> list[Any]:
    """What one would write: swap modules, run prompt and reply, all in one right-padded batch."""
    rows = [reply.prompt + reply.tokens[:-1] for reply in replies.replies]
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    places = [(i, len(r.prompt) - 1 + k) for i, r in enumerate(replies.replies) for k in r.read]
    at = torch.tensor(places).T
    given = torch.tensor([token for reply in replies.replies for token in reply.given])  # every read has one
    out = []
    for layers in ranges:
        with restored(pair, layers) as hybrid:
            if same_places:
                hidden = hybrid.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
                logits = hybrid.lm_head(hidden[at[0], at[1]])
            else:
                logits = hybrid(input_ids=ids, attention_mask=mask, use_cache=False).logits[at[0], at[1]]
            for some, tokens in zip(logits.split(64), given.split(64), strict=True):
                logs = some.float().log_softmax(-1)
                out.append((logs.gather(1, tokens[:, None]), -(logs.exp() * logs).sum(-1)))
    return out


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds."""
    start, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - busy


if __name__ == "__main__":
    main()
