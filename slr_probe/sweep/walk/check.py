"""Is a block the same function when it is replayed? Measured on the model itself before anything relies on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from slr_probe.forward.capture import Capture, NotReproducible
from slr_probe.forward.surgery import installed
from slr_probe.sweep.prefixes.groups import Group, group_rows
from slr_probe.sweep.reads.rows import Row
from slr_probe.sweep.walk.execute import BlockRunner
from slr_probe.sweep.walk.trace import Trace, not_finite, trace

if TYPE_CHECKING:
    from slr_probe.sweep.weights import TunedShares, Weights


def choose_runner(
    weights: Weights, rows: Sequence[Row], sides: Mapping[str, Sequence[TunedShares]], batch: int, depth: int
) -> BlockRunner:
    """The fastest way of running blocks that reproduces the model's own forward.

    The model runs a few rows by itself, one at a time and unpadded. Every block is then replayed as the sweep
    would run it (padded, batched, shared tokens apart, positions that are read alone in the last block), in reverse
    order so that nothing an earlier block left behind can help, and must give what it gave.

    Args:
        weights: Weights of the pair.
        rows: All rows of the sweep.
        sides: For every side to check, by its name, the shares of each block.
        batch: Tokens to run at once.
        depth: Number of blocks to check, from the first.

    Raises:
        NotReproducible: Neither way reproduces it.
        SweepError: The output of a block is NaN or infinite.
    """
    tokens = torch.tensor([token for row in rows for token in row.token_ids], device=weights.device)
    if len(tokens) < 2 or len(set(tokens.tolist())) < 2:
        tokens = torch.tensor([0, 1], device=weights.device)
    few = _few(rows)
    embedding = weights.open_outside(("embedding",)).tensors(())
    with installed(weights.model, embedding):
        runner = BlockRunner(Capture(weights.model, weights.decoder, tokens), weights, batch)
        traces = [[trace(weights, shares, row.token_ids, depth) for row in few] for shares in sides.values()]
        _require_finite(sides, traces)
        reason: Exception | None = None
        for split in (True, False):
            runner = BlockRunner(runner.capture, weights, batch, split)
            groups = group_rows(few, share=split)
            try:
                for shares, side in zip(sides.values(), traces, strict=True):
                    _compare(runner, groups, shares, side, depth)
                return runner if reason is None else replace(runner, unsplit=str(reason))
            except Exception as error:  # a cache of another kind fails in its own way: the plain way may still work
                reason = error
    raise NotReproducible(str(reason)) from reason


def _require_finite(sides: Mapping[str, Any], traces: Sequence[Sequence[Trace]]) -> None:
    for name, some in zip(sides, traces, strict=True):
        bad = [block for one in some if (block := one.first_not_finite) is not None]
        if bad:
            raise not_finite(name, f"the output of block {bad[0]}")


def _few(rows: Sequence[Row]) -> list[Row]:
    """The shortest and the longest row, and the one that shares most tokens with the longest."""
    tokens = [row.token_ids for row in rows]
    order = sorted(range(len(rows)), key=lambda i: len(tokens[i]))
    longest = tokens[order[-1]]

    def alike(i: int) -> int:
        return next((n for n, (a, b) in enumerate(zip(tokens[i], longest, strict=False)) if a != b), len(tokens[i]))

    chosen = dict.fromkeys([order[0], order[-1], max(order[:-1] or order, key=alike)])
    return [rows[i] for i in chosen]


def _compare(
    runner: BlockRunner, groups: Sequence[Group], shares: Sequence[TunedShares], traces: list[Trace], depth: int
) -> None:
    for block in reversed(range(depth)):
        tensors = runner.weights.open_block(block).tensors(shares[block])
        with installed(runner.capture.decoder.blocks[block], tensors):
            for group in groups:
                _compare_group(runner, block, group, [traces[i] for i in group.rows])


def _compare_group(runner: BlockRunner, block: int, group: Group, traces: list[Trace]) -> None:
    """Replay a block for every row of a group, each behind the shared tokens as they were in its own forward.

    In low precision the same tokens are not the same numbers in forwards of other shapes, and the difference grows
    with depth (0.19 of a block's change after 31 blocks of a random 8B model in bfloat16), so that one row's shared
    tokens say nothing about another's result.
    """
    entering = [trace.entering[block] for trace in traces]
    leaving = [trace.leaving[block] for trace in traces]
    rest = _padded(group, entering)
    # Two states at once, the first of no meaning, so that rows that leak into each other are seen.
    both = torch.stack([-rest, rest])
    for row, (start, end) in enumerate(zip(entering, leaving, strict=True)):
        prefix, before = start[: group.shared], None
        if group.shared:
            left, before = runner.prefix(block, torch.stack([-prefix, prefix]))
            assert left is not None
            prefix = left[1]
        own = runner.advance(block, group, both, before)[1, row, : len(end) - group.shared]
        _same(block, torch.cat([prefix, own]), start, end)
        last = runner.last(block, group, both, before)[1]
        for read, (of, position) in zip(last, group.places.T.tolist(), strict=True):
            if of == row:
                _same(block, read, start[position], end[position])


def _padded(group: Group, hidden: list[torch.Tensor]) -> torch.Tensor:
    rows = []
    for sequence in hidden:
        own = sequence[group.shared :]
        rows.append(torch.cat([own, own[-1:].expand(group.padded - len(own), -1)]))
    return torch.stack(rows)


def _same(block: int, got: torch.Tensor, entering: torch.Tensor, leaving: torch.Tensor) -> None:
    """Compare with the model's own result, to rounding: of the block's own change, and of the sum it goes into."""
    step = torch.finfo(leaving.dtype).eps
    error = (got.double() - leaving.double()).norm()
    change, size = (leaving.double() - entering.double()).norm(), leaving.double().norm()
    if not error <= 8 * step * change + 2 * step * size + 1e-4 * change:
        raise NotReproducible(
            f"block {block}, replayed on its own input, differs from the model's own forward by "
            f"{float(error / change):.2g} of its change"
        )
