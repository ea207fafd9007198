"""`record` of all block outputs at the answer position against plain transformers forwards, in one process.

    python benchmarks/record.py --base BASE --tuned TUNED [--prompts 40] [--batch-size 8] [--repeat 7] [--json FILE]

The same prompts in the same batches, of the tuned model: a plain forward (all logits, as `model(**inputs)` gives), one
that asks for the last position's logits only, one that returns all hidden states, and `record`. Interleaved, medians of
wall and processor time, ratios to the plain forwards. Also `TransformerBridge.run_with_cache` where it is asked for
(`--bridge`), which computes in its own copy of the model.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from slr_probe import ModelPair
from slr_probe.probes.activations.record import record

TEXTS = (
    "Pick a random letter of the alphabet. Answer with the letter only.",
    "Name one colour, in a single word.",
    "Choose a digit between 0 and 9 at random and write nothing else.",
    "Heads or tails?",
    "Think of a day of the week. Which one is it? Reply with one word.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pair_folder = os.environ.get("SLR_PROBE_PAIR", "")
    parser.add_argument("--base", default=f"{pair_folder}/base" if pair_folder else None, required=not pair_folder)
    parser.add_argument("--tuned", default=f"{pair_folder}/tuned" if pair_folder else None, required=not pair_folder)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--bridge", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    pair = ModelPair.load(args.base, args.tuned, dtype=args.dtype)
    prompts = [f"{TEXTS[i % len(TEXTS)]} ({i})" for i in range(args.prompts)]
    ways = make_ways(pair, prompts, args.batch_size, bridge=args.bridge)
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(args.repeat + 1):  # the first turn warms up
        for name, way in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            way()
            if turn:
                runs[name].append((time.perf_counter() - start, time.process_time() - busy))
    report(runs, args)


@torch.inference_mode()
def forward(model: Any, batches: list[Any], **options: Any) -> None:
    for batch in batches:
        model(**batch, use_cache=False, **options)


def make_ways(pair: ModelPair, prompts: list[str], size: int, *, bridge: bool) -> dict[str, Callable[[], Any]]:
    """Each way as a function without arguments."""
    model, tokenizer = pair.tuned, copy.deepcopy(pair.tokenizer)
    tokenizer.padding_side = "left"
    ids = sorted((pair.render(prompt) for prompt in prompts), key=len)
    batches = [
        tokenizer.pad({"input_ids": ids[i : i + size]}, return_tensors="pt").to(model.device)
        for i in range(0, len(ids), size)
    ]
    ways: dict[str, Callable[[], Any]] = {
        "plain forward": lambda: forward(model, batches),
        "last logits only": lambda: forward(model, batches, logits_to_keep=1),
        "output_hidden_states": lambda: forward(model, batches, logits_to_keep=1, output_hidden_states=True),
        "record": lambda: record(pair, prompts, models=["tuned"], batch_size=size, progress=False),
    }
    if bridge:
        from transformer_lens.model_bridge import TransformerBridge

        own = TransformerBridge.boot_transformers("tuned", hf_model=copy.deepcopy(model), tokenizer=tokenizer)

        def cached() -> None:
            with torch.inference_mode():
                for batch in batches:
                    own.run_with_cache(batch["input_ids"], names_filter=lambda name: name.endswith("hook_resid_post"))

        ways["bridge run_with_cache"] = cached
    return ways


def report(runs: dict[str, list[tuple[float, float]]], args: argparse.Namespace) -> None:
    wall, busy = (
        {name: statistics.median(run[i] for run in values) for name, values in runs.items()} for i in range(2)
    )
    print(
        f"{platform.machine()}, {args.threads} threads, {args.prompts} prompts in batches of {args.batch_size}, "
        f"{args.dtype}, median of {args.repeat}"
    )
    print(f"{'':24}{'seconds':>9}{'x plain':>9}{'x last only':>13}{'CPU seconds':>13}")
    rows = []
    for name in runs:
        row = {
            "way": name,
            "seconds": wall[name],
            "cpu_seconds": busy[name],
            "x_plain": wall[name] / wall["plain forward"],
            "x_last": wall[name] / wall["last logits only"],
        }
        rows.append(row)
        print(f"{name:24}{wall[name]:9.2f}{row['x_plain']:9.2f}{row['x_last']:13.2f}{busy[name]:13.2f}")
    if args.json:
        args.json.write_text(json.dumps({"prompts": args.prompts, "repeat": args.repeat, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
