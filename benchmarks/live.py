"""Twenty hybrids in one live engine of vLLM against an engine for each: what the change from one to the next costs.

    python benchmarks/live.py BASE TUNED [--hybrids 20] [--restarts 3] [--dtype float32] [--engine KEY=VALUE ...]

Needs vLLM (`make test-vllm` shows how a CPU build is installed). A change is what is left of the time when writing the
texts is taken away: every model writes the same few tokens, and writing them again without a change is timed as well.
Restarts are timed for some and scaled.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from slr_probe import LayerRange, ModelPair
from slr_probe.generation import Sampling, generate

PROMPTS = [("letter", "Pick a letter."), ("colour", "Name a colour.")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("tuned")
    parser.add_argument("--hybrids", type=int, default=20)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--engine", action="append", default=["enforce_eager=true"])
    args = parser.parse_args()
    pair = ModelPair.load(args.base, args.tuned, dtype=args.dtype)
    every = LayerRange.all(pair.depth)
    ranges = [str(layers) for layers in every[:: max(1, len(every) // args.hybrids)]][: args.hybrids]

    def write(models: list[str], backend: str) -> tuple[float, int]:
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            generate(
                pair,
                PROMPTS,
                models,
                samples=1,
                sampling=Sampling(max_tokens=8, seed=0),
                backend=backend,
                engine=args.engine,
                out=out,
                progress=False,
            )
            size = sum(file.stat().st_size for file in Path(out).rglob("*.safetensors"))
            return time.perf_counter() - start, size

    one, _ = write(ranges[:1], "vllm")
    many, written = write(ranges, "vllm")
    change = (many - one) / (len(ranges) - 1)
    restarts = [write([layers], "vllm-folders") for layers in ranges[: args.restarts]]
    restart = statistics.median(seconds for seconds, _ in restarts)
    print(
        f"{len(ranges)} hybrids live {many:.1f} s (the engine and the first {one:.1f} s, each change and its texts "
        f"{change:.2f} s, {written} bytes of checkpoints); an engine each {restart:.1f} s (median of {len(restarts)}), "
        f"{restarts[0][1] / 1e6:.0f} MB written: {restart / change:.0f} times as long a hybrid"
    )


if __name__ == "__main__":
    main()
