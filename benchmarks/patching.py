"""`patch_activations` over all blocks and three components against the same cells one by one, in one run.

    python benchmarks/patching.py --base BASE --tuned TUNED [--prompts 4] [--length 32] [--blocks 18] [--repeat 3]
                                  [--threads 2] [--json FILE]

One direction (base into tuned), all positions, no controls. One by one means TransformerLens' `run_with_hooks` on a
`TransformerBridge`, all prompts of a cell in one batch; and, harder to beat, plain PyTorch hooks on the transformers
model with the head run at the answer position only. Rounds are interleaved; medians of wall and processor time.
`largest gap` is that of a logit from the plain hooks' one. The last row is the answer position alone, which is other
cells: it shows what leaving out the other positions saves.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformer_lens.model_bridge import TransformerBridge

from slr_probe.forward.hooks import recording, replacing
from slr_probe.forward.points import select_points
from slr_probe.pair import ModelPair
from slr_probe.probes.patching.cells import POINTS
from slr_probe.probes.patching.patch import patch_activations
from slr_probe.tasks.answers import Query

WATCHED = 7  # token whose logit every way reports


def bridge_way(args: Any, tokens: torch.Tensor, blocks: range) -> Callable[[], torch.Tensor]:
    donor, recipient = (_bridge(folder) for folder in (args.base, args.tuned))
    hooks = {
        part: {"resid": "hook_resid_post", "attn": "hook_attn_out", "mlp": "hook_mlp_out"}[part] for part in POINTS
    }
    names = {(part, block): f"blocks.{block}.{hook}" for part, hook in hooks.items() for block in blocks}

    @torch.no_grad()
    def run() -> torch.Tensor:
        wanted = set(names.values())
        cache = donor.run_with_cache(tokens, names_filter=lambda name: name in wanted)[1]
        found = []
        for name in names.values():
            logits = recipient.run_with_hooks(tokens, fwd_hooks=[(name, lambda value, hook, name=name: cache[name])])
            found.append(logits[:, -1, WATCHED])
        return torch.stack(found)

    return run


def _bridge(folder: str) -> Any:
    pair = ModelPair.load(folder, folder, dtype="float32", device="cpu")
    return TransformerBridge.boot_transformers(folder, hf_model=pair.tuned, tokenizer=pair.tokenizer, device="cpu")


def plain_way(pair: ModelPair, tokens: torch.Tensor, blocks: range) -> Callable[[], torch.Tensor]:
    cells = [(part, block) for part in POINTS for block in blocks]
    read, write = (
        {cell: select_points(model, [POINTS[cell[0]]], [cell[1]])[0] for cell in cells}
        for model in (pair.base, pair.tuned)
    )

    @torch.no_grad()
    def run() -> torch.Tensor:
        with recording(read.values()) as kept:
            pair.base.base_model(input_ids=tokens, use_cache=False)
        found = []
        for cell in cells:
            with replacing({write[cell]: lambda _, cell=cell: kept[read[cell].key]}):
                logits = pair.tuned(input_ids=tokens, use_cache=False, logits_to_keep=1).logits
            found.append(logits[:, -1, WATCHED])
        return torch.stack(found)

    return run


def our_way(pair: ModelPair, tokens: torch.Tensor, blocks: range, positions: Any) -> Callable[[], torch.Tensor]:
    queries = [Query(tuple(row), ()) for row in tokens.tolist()]

    def run() -> torch.Tensor:
        result = patch_activations(
            pair,
            queries,
            direction="base->tuned",
            blocks=list(blocks),
            positions=positions,
            controls=False,
            metric=lambda logits: logits[WATCHED],
            batch_size=len(queries),
            progress=False,
        )
        return torch.from_numpy(result.patched[result.metrics.index("metric"), 0].reshape(-1, len(queries)))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pair_folder = os.environ.get("SLR_PROBE_PAIR", "")
    parser.add_argument("--base", default=f"{pair_folder}/base" if pair_folder else None, required=not pair_folder)
    parser.add_argument("--tuned", default=f"{pair_folder}/tuned" if pair_folder else None, required=not pair_folder)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--blocks", type=int, help="how many, evenly spread; default all")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    pair = ModelPair.load(args.base, args.tuned, dtype="float32", device="cpu")
    tokens = torch.tensor(
        [[2, *((37 * i + 101 * j) % 400 + 10 for j in range(args.length - 1))] for i in range(args.prompts)]
    )
    blocks = range(0, pair.depth, max(1, pair.depth // (args.blocks or pair.depth)))
    ways = {
        "patch_activations": our_way(pair, tokens, blocks, "all"),
        "run_with_hooks, one by one": bridge_way(args, tokens, blocks),
        "plain hooks, one by one": plain_way(pair, tokens, blocks),
        "answer position only": our_way(pair, tokens, blocks, "answer"),
    }
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    logits: dict[str, torch.Tensor] = {}
    for turn in range(args.repeat + 1):  # the first round warms up
        for name, run in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            logits[name] = run().double()
            if turn:
                runs[name].append((time.perf_counter() - start, time.process_time() - busy))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {args.threads} threads; {pair.depth} blocks, "
        f"{3 * len(blocks)} cells, {args.prompts} prompts of {args.length} tokens, "
        f"medians of {args.repeat}"
    )
    print(f"{'':28}{'seconds':>9}{'x ours':>8}{'CPU s':>9}{'x ours':>8}{'largest gap':>13}")
    rows = []
    for name in ways:
        mine, found = (
            [statistics.median(run[i] for run in runs[n]) for i in range(2)] for n in (next(iter(ways)), name)
        )
        gap = float((logits[name] - logits["plain hooks, one by one"]).abs().max())
        rows.append({"way": name, "seconds": found[0], "cpu_seconds": found[1], "largest_gap": gap})
        shown = "other cells" if name == "answer position only" else f"{gap:.1e}"
        print(f"{name:28}{found[0]:9.2f}{found[0] / mine[0]:8.2f}{found[1]:9.2f}{found[1] / mine[1]:8.2f}{shown:>13}")
    if args.json:
        args.json.write_text(json.dumps({"arguments": {**vars(args), "json": str(args.json)}, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
