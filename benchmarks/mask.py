"""A step of `learn_layer_mask` against an ordinary fine-tuning step on the same model and batch, side by side.

    python benchmarks/mask.py [--base BASE --tuned TUNED] [--rows 8] [--length 64] [--repeat 5] [--threads 2]
                              [--no-memory] [--json FILE]

Fine-tuning is forward, backward and an SGD update of all weights of the blocks, without optimiser state, on the same
loss (the head runs at the assistant's positions only, which favours it). Rounds are interleaved; medians of wall and
processor time, and ratios to fine-tuning. Memory: each way in a process of its own, peak above what the loaded model
takes; `activations` is fine-tuning that drops each gradient at once, so what a way has beyond it is what it holds of
weights and gradients. Without --base a model of 12 blocks and 40 M parameters is made up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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

from slr_probe import ModelPair
from slr_probe.checkpoint.names import find_decoder
from slr_probe.probes.mask.examples import Example
from slr_probe.probes.mask.model import MaskedModel, autograd_gradient, mean_loss
from slr_probe.probes.mask.weights import read_weights

WAYS = ("fine-tuning", "mask", "mask, checkpointing", "mask, autograd")
MADE = {
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 4096,
}


def make_pair(folder: Path) -> tuple[str, str]:
    """Two random checkpoints."""
    from transformers import LlamaConfig, LlamaForCausalLM

    for seed, side in enumerate(("base", "tuned")):
        torch.manual_seed(seed)
        LlamaForCausalLM(LlamaConfig(**MADE)).save_pretrained(folder / side)
    return str(folder / "base"), str(folder / "tuned")


def make_batch(pair: ModelPair, rows: int, length: int) -> list[Example]:
    """Random conversations whose second half the assistant wrote."""
    rng = np.random.default_rng(0)
    high = min(4000, pair.config.get_text_config(decoder=True).vocab_size)
    replies = tuple(i >= length // 2 for i in range(length))
    return [Example(tuple(rng.integers(10, high, length).tolist()), replies) for _ in range(rows)]


def fine_tuning(pair: ModelPair, batch: list[Example]) -> Callable[[], Any]:
    inside = [p for block in find_decoder(pair.tuned).blocks for p in block.parameters()]

    def step() -> None:
        asked = [p.requires_grad for p in pair.tuned.parameters()]
        pair.tuned.requires_grad_(False)
        for p in inside:
            p.requires_grad_(True)
        mean_loss(pair.tuned, batch).backward()
        with torch.no_grad():
            for p in inside:
                p.add_(p.grad, alpha=-1e-12)
                p.grad = None
        for p, before in zip(pair.tuned.parameters(), asked, strict=True):
            p.requires_grad_(before)

    return step


def activations(pair: ModelPair, batch: list[Example]) -> Callable[[], Any]:
    inside = [p for block in find_decoder(pair.tuned).blocks for p in block.parameters()]

    def drop(parameter: torch.Tensor) -> None:
        parameter.grad = None

    def step() -> None:
        pair.tuned.requires_grad_(False)
        for p in inside:
            p.requires_grad_(True)
            p.register_post_accumulate_grad_hook(drop)
        mean_loss(pair.tuned, batch).backward()

    return step


def way_of(name: str, pair: ModelPair, batch: list[Example], stream: bool) -> Callable[[], Any]:
    if name == "fine-tuning":
        return fine_tuning(pair, batch)
    if name == "activations":
        return activations(pair, batch)
    weights = read_weights(pair, "matrix", stream)
    gamma = np.full(len(weights.units), 0.5)
    if name == "mask, autograd":
        return lambda: autograd_gradient(pair, weights, gamma, batch)
    model = MaskedModel(pair, weights, checkpointing="checkpointing" in name)

    def step() -> None:
        with model.installed(gradients=True):
            model.gradient(gamma, batch)

    return step


def peak() -> int:
    """Most memory so far, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10
    return 0


def measure_memory(args: argparse.Namespace) -> dict[str, float]:
    """Peak above the loaded model of each way, in MiB; base is streamed."""
    found = {}
    for name in ("activations", *WAYS):
        command = [sys.executable, __file__, "--one", name, "--base", args.base, "--tuned", args.tuned]
        command += ["--rows", str(args.rows), "--length", str(args.length), "--dtype", args.dtype]
        environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found[name] = float(done.stdout.split()[-1])
    return found


def one(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    pair = ModelPair.load(args.base, args.tuned, dtype=args.dtype, device="cpu")
    batch = make_batch(pair, args.rows, args.length)
    torch.ones(8, 8) @ torch.ones(8, 8)
    step = None if args.one != "activations" else activations(pair, batch)
    _ = pair.tuned
    before = peak()
    (step or way_of(args.one, pair, batch, True))()
    print((peak() - before) / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base")
    parser.add_argument("--tuned")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args)
        return
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        if args.base is None:
            args.base, args.tuned = make_pair(Path(folder))
        report(args)


def report(args: argparse.Namespace) -> None:
    pair = ModelPair.load(args.base, args.tuned, dtype=args.dtype, device="cpu")
    batch = make_batch(pair, args.rows, args.length)
    ways = {name: way_of(name, pair, batch, True) for name in WAYS}
    ways["mask, base held"] = way_of("mask", pair, batch, False)
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(args.repeat + 1):  # the first round warms up
        for name, way in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            way()
            if turn:
                runs[name].append((time.perf_counter() - start, time.process_time() - busy))
    memory = measure_memory(args) if args.memory else {}
    blocks = find_decoder(pair.tuned).blocks
    block = sum(p.nbytes for p in blocks[0].parameters()) / 2**20
    print(
        f"{platform.machine()}, {args.threads} threads, {args.dtype}; {len(blocks)} blocks of {block:.1f} MiB, "
        f"{args.rows} rows of {args.length} tokens, medians of {args.repeat}"
    )
    print(f"{'':24}{'seconds':>9}{'x tuning':>10}{'CPU s':>8}{'x tuning':>10}{'peak MiB':>10}{'blocks above act.':>19}")
    rows = []
    reference = [statistics.median(run[i] for run in runs["fine-tuning"]) for i in range(2)]
    for name in [*ways, *(["activations"] if memory else [])]:
        row: dict[str, Any] = {"way": name}
        line = f"{name:24}"
        if name in runs:
            found = [statistics.median(run[i] for run in runs[name]) for i in range(2)]
            ratios = [a / b for a, b in zip(found, reference, strict=True)]
            row |= {"seconds": found[0], "x_seconds": ratios[0], "cpu_seconds": found[1], "x_cpu": ratios[1]}
            line += f"{found[0]:9.3f}{ratios[0]:10.2f}{found[1]:8.3f}{ratios[1]:10.2f}"
        else:
            line += " " * 37
        if name in memory:
            above = (memory[name] - memory["activations"]) / block
            row |= {"peak_mib": memory[name], "blocks_above_activations": above}
            line += f"{memory[name]:10.1f}{above:19.2f}"
        print(line)
        rows.append(row)
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "block_mib": block}, indent=2))


if __name__ == "__main__":
    main()
