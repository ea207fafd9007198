"""Twenty hybrids in one live engine of vLLM against an engine for each: what the change from one to the next costs.

    python benchmarks/live.py BASE TUNED [--hybrids 20] [--restarts 3] [--dtype float32] [--engine KEY=VALUE ...]

Needs vLLM (`make test-vllm` shows how a CPU build is installed). Every model writes the same few tokens; the time
in which engines write is taken away, and what is left is overhead. Of the live engine that is its start, once, and for
each hybrid a change: its share of the reference sweep of the proof, with the loading of both models, then the swap, the
questions, and all else. Of an engine each it is writing the checkpoint, the start and all else; some are timed, and the
median is scaled.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from slr_probe import CRCTask, LayerRange, ModelPair
from slr_probe.generation import Sampling, generate
from slr_probe.generation.vllm.engine import Engine, load_vllm
from slr_probe.generation.vllm.proof import Proof
from slr_probe.sweep import sweep

PROMPTS = [("letter", "Pick a letter."), ("colour", "Name a colour.")]
PARTS: dict[str, tuple[type, str]] = {
    "start": (Engine, "__post_init__"),
    "reference": (Proof, "including"),
    "swap": (Engine, "take"),
    "questions": (Proof, "ask"),
}
spent: Counter[str] = Counter()  # seconds by part


def time_calls(part: str, owner: type, name: str) -> None:
    """Let a method add its time to a part."""
    method: Callable[..., Any] = getattr(owner, name)

    def timed(*args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return method(*args, **options)
        finally:
            spent[part] += time.perf_counter() - start

    setattr(owner, name, timed)


def time_texts() -> None:
    """Likewise for the samples that an engine writes, one batch after another."""
    write = Engine.write

    def timed(*args: Any) -> Iterator[Any]:
        batches = write(*args)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            spent["texts"] += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    Engine.write = timed  # type: ignore[method-assign]


def write(args: argparse.Namespace, models: list[str], backend: str) -> tuple[Counter[str], int]:
    """Seconds by part and as a whole, and bytes of checkpoints; the pair is opened anew, so nothing is loaded yet."""
    spent.clear()
    with tempfile.TemporaryDirectory() as out:
        pair = ModelPair.load(args.base, args.tuned, dtype=args.dtype)
        start = time.perf_counter()
        sampling = Sampling(max_tokens=8, seed=0)
        how: dict[str, Any] = {"backend": backend, "engine": args.engine, "out": out, "progress": False}
        generate(pair, PROMPTS, models, samples=1, sampling=sampling, **how)
        whole = time.perf_counter() - start
        size = sum(file.stat().st_size for file in Path(out).rglob("*.safetensors"))
    return Counter({**spent, "overhead": whole - spent["texts"]}), size


def warm_up(args: argparse.Namespace) -> None:
    """Import and read once what either way needs, so that the one which is timed first does not pay for both."""
    load_vllm({})
    pair = ModelPair.load(args.base, args.tuned, dtype=args.dtype)
    sweep(pair, ["0:1"], CRCTask.default().render(pair).one_token().rendered[:1], stream=True, progress=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("tuned")
    parser.add_argument("--hybrids", type=int, default=20)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--engine", action="append", default=["enforce_eager=true"])
    args = parser.parse_args()
    every = LayerRange.all(ModelPair.load(args.base, args.tuned).depth)
    ranges = [str(layers) for layers in every[:: max(1, len(every) // args.hybrids)]][: args.hybrids]
    warm_up(args)
    time_texts()
    for part, (owner, name) in PARTS.items():
        time_calls(part, owner, name)

    live, written = write(args, ranges, "vllm")
    number = len(ranges)
    change = (live["overhead"] - live["start"]) / number
    each = [write(args, [layers], "vllm-folders") for layers in ranges[: args.restarts]]
    restart = statistics.median(seconds["overhead"] for seconds, _ in each)
    parts = ", ".join(f"{part} {live[part] / number:.2f} s" for part in ("reference", "swap", "questions"))
    print(f"machine: {os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}; {args.dtype}")
    print(
        f"live: {number} hybrids, start {live['start']:.1f} s, a change {change:.2f} s ({parts}), "
        f"texts {live['texts'] / number:.2f} s a hybrid, {written} bytes of checkpoints"
    )
    print(
        f"an engine each: {restart:.1f} s (median of {len(each)}, start {each[0][0]['start']:.1f} s), "
        f"{each[0][1] / 1e6:.0f} MB of checkpoint"
    )
    print(
        f"overhead of a hybrid: {restart / change:.0f} times less live; of all {number}, with the one start: "
        f"{restart * number / live['overhead']:.1f} times less"
    )


if __name__ == "__main__":
    main()
