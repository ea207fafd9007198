"""The exhaustive sweep against running the hybrids one by one, and what it costs as depth, prompts and memory change.

    python benchmarks/sweep.py [--base BASE --tuned TUNED] [--parts speed,depth,prompts,memory,stream] [--json FILE]

The pair is that of SLR_PROBE_PAIR (a folder with base/ and tuned/), or the embedded one.

speed    Interleaved in one process, medians over rounds, wall and processor time: `sweep` of every contiguous range and
         the tuned model over the built-in selection prompts; module swap + transformers forward with logits_to_keep=1,
         all prompts in one left-padded batch, in the same dtype and in float32 (on a subsample of the ranges, scaled);
         sampling 32 answers a prompt with `generate` (on fewer ranges, scaled). Then the arithmetic bound: the
         multiplications of all weight matrices at the rate that one such product reaches here.
depth    Random pairs of 8, 16 and 32 blocks of one width: time against block evaluations.
prompts  Time against the number of prompts.
memory   Peak memory of fresh processes under several limits, beyond a process that has everything imported.
stream   A random pair whose checkpoints are more than four times the limit, streamed under it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from slr_probe import LayerRange, ModelPair, restored
from slr_probe.sweep import SweepResult, sweep
from slr_probe.sweep.prefixes.trie import contiguous_evaluations
from slr_probe.tasks import CRCTask
from slr_probe.tasks.answers import Query

CHILD = """
import gc, re, sys
from pathlib import Path
import torch
torch.set_num_threads(int(sys.argv[6]))
from slr_probe import ModelPair
from slr_probe.sweep import sweep
from slr_probe.tasks import CRCTask
from slr_probe.tasks.answers import Query
base, tuned, limit, prompts, stream = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
few = [Query((1, 2, 3), ((4,), (5,)))]
sweep(ModelPair.load("organism:base", "organism:dpo"), "1:2", few, stream=True)  # imports everything
read = lambda name: 1024 * int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
pair = ModelPair.load(base, tuned)
if prompts:
    task = [Query(tuple(range(i + 5, i + 5 + 10)), ((4,), (5,))) for i in range(prompts)]
else:
    task = CRCTask.default().selection.queries(pair)
gc.collect()
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
before = read("VmRSS")
result = sweep(pair, None, task, memory=limit, stream={"None": None, "True": True, "False": False}[stream])
s = result.settings
print(read("VmHWM") - before, s["chunks"], int(s["streamed"]), s["seconds"])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pair = os.environ.get("SLR_PROBE_PAIR", "")
    parser.add_argument("--base", default=f"{pair}/base" if pair else "organism:base")
    parser.add_argument("--tuned", default=f"{pair}/tuned" if pair else "organism:dpo")
    parser.add_argument("--parts", default="speed,depth,prompts,memory,stream")
    parser.add_argument("--dtype", default="bfloat16", help="dtype of the sweep and of the naive search beside it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--naive-ranges", type=int, default=9, help="ranges that the naive searches are timed on")
    parser.add_argument("--sampled-ranges", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{platform.machine()}, {args.threads} threads, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    found: dict[str, Any] = {"threads": args.threads, "torch": torch.__version__, "load": os.getloadavg()[0]}
    for part in args.parts.split(","):
        found[part] = PARTS[part](args)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and processor seconds, and what the work gives."""
    start, busy = time.perf_counter(), time.process_time()
    out = work()
    return time.perf_counter() - start, time.process_time() - busy, out


# -- speed -------------------------------------------------------------------------------------------------------


def speed(args: argparse.Namespace) -> dict[str, Any]:
    pairs = {dtype: ModelPair.load(args.base, args.tuned, dtype=dtype) for dtype in (args.dtype, "float32")}
    pair = pairs[args.dtype]
    queries = CRCTask.default().selection.queries(pair)
    ranges = LayerRange.all(pair.depth)
    some = ranges[:: max(1, len(ranges) // args.naive_ranges)]
    count = len(ranges) + 1
    ways: dict[str, tuple[Callable[[], Any], float]] = {
        f"sweep {args.dtype}": (lambda: sweep(pair, None, queries, progress=False), 1.0),
        f"naive {args.dtype}": (lambda: naive(pair, some, queries), count / len(some)),
        "naive float32": (lambda: naive(pairs["float32"], some[::2], queries), count / len(some[::2])),
        "sample 32": (lambda: sample(pair, some[: args.sampled_ranges], queries), count / args.sampled_ranges),
    }
    for loaded in pairs.values():
        naive(loaded, some[:1], queries)  # loads and warms up
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    results: list[SweepResult] = []
    for turn in range(args.rounds):
        for name, (work, scale) in ways.items():
            if name == "sample 32" and turn:
                continue
            wall, busy, out = timed(work)
            runs[name].append((wall * scale, busy * scale))
            if isinstance(out, SweepResult):
                results.append(out)
    wide = sweep(pairs["float32"], None, queries, progress=False)
    runs["sweep float32"] = [(wide.settings["seconds"], float("nan"))]
    medians = {name: [statistics.median(run[i] for run in values) for i in range(2)] for name, values in runs.items()}
    ours = medians[f"sweep {args.dtype}"]
    settings = results[-1].settings
    bound = arithmetic(pair, queries, settings["block_evaluations"], count)
    closed = contiguous_evaluations(pair.depth)
    print(
        f"\nspeed: {count} recipes, {len(queries)} prompts; {settings['block_evaluations']} block evaluations, "
        f"closed form {closed}, one by one {settings['naive_block_evaluations']}"
    )
    print(f"{'':18}{'seconds':>10}{'CPU s':>10}{'x sweep':>9}{'x CPU':>8}")
    for name, (wall, busy) in medians.items():
        print(f"{name:18}{wall:10.1f}{busy:10.1f}{wall / ours[0]:9.2f}{busy / ours[1]:8.2f}")
    print(
        f"arithmetic bound   {bound['seconds']:.1f} s ({bound['flop'] / 1e12:.1f} TFLOP at {bound['rate'] / 1e9:.0f} "
        f"GFLOP/s): the sweep takes {ours[0] / bound['seconds']:.2f} times that"
    )
    effect = compare(results[-1], wide)
    print(f"{args.dtype} against float32: {effect}")
    return {
        "medians": medians,
        "runs": runs,
        "closed_form": closed,
        "settings": settings,
        "bound": bound,
        "effect": effect,
    }


@torch.no_grad()
def naive(pair: ModelPair, ranges: list[LayerRange], queries: list[Query]) -> list[torch.Tensor]:
    """Swap modules, run the model; all prompts in one batch."""
    ids, mask = left_padded(queries)
    out = []
    for layers in ranges:
        with restored(pair, layers) as hybrid:
            logits = hybrid(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1).logits[:, -1]
            out.append(logits.float().log_softmax(-1)[:, 0])
    return out


@torch.no_grad()
def sample(pair: ModelPair, ranges: list[LayerRange], queries: list[Query]) -> None:
    """32 sampled answers a prompt, by `generate`."""
    for layers in ranges:
        with restored(pair, layers) as hybrid:
            for start in range(0, len(queries), 8):
                ids, mask = left_padded(queries[start : start + 8])
                hybrid.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    do_sample=True,
                    temperature=1.0,
                    top_k=0,
                    top_p=1.0,
                    num_return_sequences=32,
                    max_new_tokens=1,
                    pad_token_id=0,
                )


def left_padded(queries: list[Query]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(query.token_ids) for query in queries)
    rows = [[0] * (longest - len(q.token_ids)) + list(q.token_ids) for q in queries]
    kept = [[0] * (longest - len(q.token_ids)) + [1] * len(q.token_ids) for q in queries]
    return torch.tensor(rows), torch.tensor(kept)


def arithmetic(pair: ModelPair, queries: list[Query], evaluations: int, recipes: int) -> dict[str, float]:
    """Seconds that the matrix products alone would take at the best rate measured for one of them.

    The last block counts for the answer position and for keys and values of the other tokens.
    """
    plan = sweep(pair, None, queries, dry_run=True)
    block = {n: p for n, p in pair.decoder.blocks[0].named_parameters() if p.ndim == 2}
    weights = sum(p.numel() for p in block.values())
    keys = sum(p.numel() for n, p in block.items() if "k_proj" in n or "v_proj" in n)
    last = recipes * (len(queries) * weights + plan.tokens * keys)
    head = recipes * len(queries) * pair.decoder.head.weight.numel()  # type: ignore[union-attr, operator]
    flop = 2.0 * ((evaluations - recipes) * plan.tokens * weights + last + head)
    wide = max(block.values(), key=lambda p: p.numel()).detach()
    x = torch.randn(1024, wide.shape[1]).to(wide.dtype)
    best = min(timed(lambda: x @ wide.T)[0] for _ in range(50))
    rate = 2.0 * x.numel() * wide.shape[0] / best
    return {
        "flop": flop,
        "rate": rate,
        "seconds": flop / rate,
        "tokens": plan.tokens,
        "naive_tokens": plan.naive_tokens,
    }


def compare(low: SweepResult, wide: SweepResult) -> dict[str, Any]:
    """What the lower precision does to the scores and to the choice of a range."""
    from scipy.stats import spearmanr

    def best(result: SweepResult) -> list[str]:
        valid, diverse = result.validity.mean(1), result.diversity.mean(1)
        score = np.where(valid >= 0.9 * valid[0], diverse, -1)
        return [str(result.recipes[i].layers) for i in np.argsort(-score, kind="stable")[:10]]

    one, other = best(low), best(wide)
    return {
        "spearman_diversity": float(spearmanr(low.diversity.mean(1), wide.diversity.mean(1)).statistic),
        "max_diversity_difference": float(np.abs(low.diversity.mean(1) - wide.diversity.mean(1)).max()),
        "max_validity_difference": float(np.abs(low.validity.mean(1) - wide.validity.mean(1)).max()),
        "best_ten_equal_in_order": one == other,
        "best": [one[0], other[0]],
        "best_ten_common": len(set(one) & set(other)),
    }


# -- cost laws ---------------------------------------------------------------------------------------------------


def random_pair(folder: Path, **fields: Any) -> tuple[Path, Path]:
    from transformers import AutoConfig, AutoModelForCausalLM

    for side, seed in (("base", 0), ("tuned", 1)):
        torch.manual_seed(seed)
        config = AutoConfig.for_model("llama", vocab_size=1000, num_attention_heads=8, num_key_value_heads=2, **fields)
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder / side)
    return folder / "base", folder / "tuned"


def some_queries(count: int, seed: int = 0) -> list[Query]:
    rng = random.Random(seed)
    return [Query((1, *rng.choices(range(10, 999), k=20)), ((2,), (3,), (4,))) for _ in range(count)]


def depth(args: argparse.Namespace) -> list[dict[str, float]]:
    print(f"\n{'blocks':>8}{'recipes':>9}{'evaluations':>13}{'one by one':>12}{'seconds':>9}{'ms an evaluation':>18}")
    rows = []
    for blocks in (8, 16, 32):
        with tempfile.TemporaryDirectory() as folder:
            fields = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": blocks}
            pair = ModelPair.load(*random_pair(Path(folder), **fields))
            pair.base, pair.tuned  # noqa: B018
            walls = [timed(lambda p=pair: sweep(p, None, some_queries(8), progress=False)) for _ in range(args.rounds)]
        settings = walls[0][2].settings
        wall, evaluations = statistics.median(w[0] for w in walls), settings["block_evaluations"]
        rows.append(
            {
                "blocks": blocks,
                "evaluations": evaluations,
                "closed_form": contiguous_evaluations(blocks),
                "naive": settings["naive_block_evaluations"],
                "seconds": wall,
                "cpu_seconds": statistics.median(w[1] for w in walls),
            }
        )
        print(
            f"{blocks:8}{len(walls[0][2].recipes):9}{evaluations:13}{rows[-1]['naive']:12}{wall:9.2f}"
            f"{1000 * wall / evaluations:18.2f}"
        )
    return rows


def prompts(args: argparse.Namespace) -> list[dict[str, float]]:
    print(f"\n{'prompts':>8}{'seconds':>9}{'CPU s':>8}{'s a prompt':>12}")
    pair = ModelPair.load(args.base, args.tuned)
    pair.base, pair.tuned  # noqa: B018
    queries = list(CRCTask.default().queries(pair))
    random.Random(0).shuffle(queries)
    ranges = LayerRange.all(pair.depth, width=max(1, pair.depth // 4))
    rows = []
    for count in (5, 10, 20, 40):
        wall, busy, _ = timed(lambda n=count: sweep(pair, ranges, queries[:n], progress=False))
        rows.append({"prompts": count, "seconds": wall, "cpu_seconds": busy})
        print(f"{count:8}{wall:9.2f}{busy:8.2f}{wall / count:12.3f}")
    return rows


def child(base: Any, tuned: Any, limit: int, prompts: int, stream: Any, threads: int) -> list[float]:
    command = [sys.executable, "-c", CHILD, str(base), str(tuned), str(limit), str(prompts), str(stream), str(threads)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(run.stderr[-3000:])
    return [float(value) for value in run.stdout.split()]


def memory(args: argparse.Namespace) -> list[dict[str, float]]:
    print(f"\n{'limit MB':>9}{'peak MB':>9}{'chunks':>8}{'streamed':>10}{'seconds':>9}")
    rows = []
    for limit in (4000, 2000, 1500, 1000, 700):
        peak, chunks, streamed, seconds = child(args.base, args.tuned, limit * 10**6, 0, None, args.threads)
        rows.append({"limit": limit * 10**6, "peak": peak, "chunks": chunks, "streamed": streamed, "seconds": seconds})
        print(f"{limit:9}{peak / 1e6:9.0f}{chunks:8.0f}{streamed:10.0f}{seconds:9.1f}")
    return rows


def stream(args: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        fields = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 20}
        base, tuned = random_pair(Path(folder), **fields)
        size = sum(file.stat().st_size for side in (base, tuned) for file in side.glob("*.safetensors"))
        limit = size // 45 * 10
        peak, chunks, _, seconds = child(base, tuned, limit, 8, True, args.threads)
    print(
        f"\nstreamed: checkpoints of {size / 1e6:.0f} MB under {limit / 1e6:.0f} MB (x{size / limit:.1f}): peak "
        f"{peak / 1e6:.0f} MB, {chunks:.0f} chunk(s), {seconds:.1f} s"
    )
    return {"size": size, "limit": limit, "peak": peak, "chunks": chunks, "seconds": seconds}


PARTS = {"speed": speed, "depth": depth, "prompts": prompts, "memory": memory, "stream": stream}

if __name__ == "__main__":
    main()
