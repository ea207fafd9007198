"""How a sweep is cut to fit a memory limit, and what it will cost."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch

from slr_probe.checkpoint import AdapterCheckpoint
from slr_probe.errors import SweepError
from slr_probe.sweep.prefixes.groups import Group, group_rows
from slr_probe.sweep.prefixes.trie import BlockPath, Trie, build_trie
from slr_probe.sweep.reads.rows import REDUCE, Row

if TYPE_CHECKING:
    from slr_probe.sweep.weights import TensorPair, TunedShares, Weights

_BATCH_CPU, _BATCH_GPU = 1024, 32768
"""Tokens to run at once: more does not make matrix products faster, and activations leave the processor's cache."""
_GROUP_COST_CPU, _GROUP_COST_GPU = 4, 64
"""What one more group costs beside its tokens, in tokens, at least."""
_CALL_COST, _MOST_GROUP_COST = 25_000_000, 64
"""What calling a block costs on a processor, in weights times tokens; and the most padding to save a call."""
_HEAD_ROWS = 512
_SPARE_SHARE, _MOST_SPARE = 8, 256 << 20
"""One part in so many of the limit is left to allocators and to compiled code of matrix libraries, up to 256 MiB."""


@dataclass(frozen=True)
class Chunk:
    """Some recipes on some rows: the unit that is run through all blocks at once and saved when it is done.

    Attributes:
        recipes: Indices of the recipes.
        trie: Their prefixes.
        groups: The rows.
    """

    recipes: tuple[int, ...]
    trie: Trie
    groups: tuple[Group, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        """Indices of the rows, group by group."""
        return tuple(i for group in self.groups for i in group.rows)

    @property
    def steps(self) -> int:
        """Block evaluations, counted once for every state and group, and reads of the head."""
        return (self.trie.evaluations + len(self.trie.reads)) * len(self.groups)


@dataclass(frozen=True)
class Needs:
    """What a sweep needs memory for, in bytes.

    Attributes:
        fixed: Weights that the sweep itself holds at its peak: blocks that are mixed, converted or streamed.
        token: Hidden states of one token of one state.
        work: What a block computes with, for one token of a batch.
        vocab: Number of logits in a row.
        itemsize: Bytes of a logit.
        compared: Whether logits are compared with those of a reference.
        ahead: What reading the next block while one runs takes besides; 0 where nothing is streamed.
        block: Number of weights of the largest block.
    """

    fixed: int
    token: int
    work: int
    vocab: int
    itemsize: int
    compared: bool = False
    ahead: int = 0
    block: int = 0

    @property
    def _score(self) -> int:
        """Bytes for each score that is reduced in float32, with the reference's beside it."""
        return 28 if self.compared else 12

    @property
    def _logit(self) -> int:
        """Bytes for each logit: a capped head holds three copies; of the reference there is one row for four."""
        return 3 * self.itemsize + (4 if self.compared else 0)

    def logits(self, rows: int) -> int:
        """Bytes for some rows of logits, and for reducing some of them at once."""
        scores = min(rows * self.vocab, max(REDUCE, self.vocab))
        return rows * self.vocab * self._logit + self._score * scores

    def rows(self, room: int) -> int:
        """Rows of logits that fit."""
        scores = self._score * max(REDUCE, self.vocab)
        if self.logits(1) * (REDUCE // self.vocab) > room:
            return max(1, room // self.logits(1))
        return max(1, (room - scores) // (self.vocab * self._logit))

    def of(self, held: int, batch: int, rows: int) -> int:
        """Bytes for so many tokens of states, in batches of `batch` tokens and `rows` rows of logits."""
        return self.fixed + held * self.token + max(batch * self.work, self.logits(rows))


@dataclass(frozen=True)
class Schedule:
    """A sweep cut to fit.

    Attributes:
        chunks: What is run one after the other.
        batch: Tokens to run at once.
        rows: Rows of logits to compute at once.
        needed: Bytes at the peak, by this estimate.
    """

    chunks: tuple[Chunk, ...]
    batch: int
    rows: int
    needed: int


def needs_of(
    weights: Weights, paths: Sequence[BlockPath], *, streamed: bool, vocab: int, compared: bool = False
) -> Needs:
    """Estimate what the sweep needs memory for."""
    text = weights.model.config.get_text_config(decoder=True)
    dtype = weights.dtype or weights.model.dtype
    hidden = int(text.hidden_size)
    inner = max(_widths(weights) | {hidden})
    block = max(_bytes(weights, parts, dtype) for parts in weights.blocks)
    sizes = {role: _bytes(weights, parts, dtype) for role, parts in weights.outside.items()}
    outside = max(sizes["embedding"], sizes["final_norm"] + sizes["head"])
    blocks_have_blends = _has_blends(shares for path in paths for shares in path.blocks)
    outside_has_blends = _has_blends(path.leaf for path in paths)
    converted = streamed or weights.dtype is not None
    held = (2 * block if converted else 0) + (block if blocks_have_blends else 0)
    heads = 2 if compared and len({path.leaf for path in paths}) > 1 else 1  # a recipe's and the reference's
    outside = heads * ((outside if converted else 0) + (outside if outside_has_blends else 0))
    ahead = 0
    if streamed:
        ahead = 2 * block + max(_in_passing(weights, parts, dtype, False) for parts in weights.blocks)
        tables = [part for parts in weights.outside.values() for part in parts]
        held += max(_in_passing(weights, parts, dtype, blocks_have_blends) for parts in weights.blocks)
        outside += _in_passing(weights, tables, dtype, outside_has_blends)
    fixed = max(held, outside)
    work = 4 * inner * dtype.itemsize + 8 * hidden * dtype.itemsize + 4 * 4 * hidden
    return Needs(fixed, hidden * dtype.itemsize, work, vocab, dtype.itemsize, compared, ahead, block // dtype.itemsize)


def make_schedule(
    paths: Sequence[BlockPath],
    recipes: Sequence[int],
    rows: Sequence[Row],
    kinds: Sequence[Sequence[int]],
    needs: Needs,
    limit: int,
    *,
    split: bool,
    device: torch.device,
    pieces: int = 1,
) -> Schedule:
    """Cut a sweep so that it fits.

    Args:
        paths: What every recipe of the sweep asks for.
        recipes: The recipes to run, as indices of `paths`.
        rows: All rows.
        kinds: The rows to run, as indices of `rows`; those of one kind are grouped together.
        needs: What memory is needed for.
        limit: Bytes that may be used.
        split: Whether shared tokens are run once.
        device: Where it runs.
        pieces: Cut into about as many chunks at least, so that results are saved in between.

    Raises:
        SweepError: One state of one row does not fit.
    """
    longest = max(len(rows[i].token_ids) + len(rows[i].reads) - 1 for kind in kinds for i in kind)
    _check_fits(needs, longest, limit)
    limit -= min(limit // _SPARE_SHARE, _MOST_SPARE)
    room = limit - needs.fixed
    cpu = device.type == "cpu"
    batch = max(longest, min(_BATCH_CPU if cpu else _BATCH_GPU, room // 4 // needs.work))
    most_logits = min(_HEAD_ROWS, needs.rows(room // 4))
    room_for_states = limit - needs.of(0, batch, most_logits)
    every = sum(len(rows[i].token_ids) for kind in kinds for i in kind)
    grouped: dict[int, list[Group]] = {}
    chunks: list[Chunk] = []
    for members, trie in _split_recipes(paths, _alike(paths, recipes), longest, room_for_states, needs):
        fit = room_for_states // (trie.peak_states() * needs.token)
        most = min(fit, batch)
        if pieces > 1:  # no group is a piece by itself that holds more than its part of the rows
            most = min(most, max(longest, math.ceil(every / pieces)))
        if most not in grouped:
            cost = _cost_of_a_group(needs) if cpu else _GROUP_COST_GPU
            grouped[most] = [g for kind in kinds for g in _grouped(rows, kind, most, share=split, overhead=cost)]
        tokens = sum(group.held for group in grouped[most])
        target = min(fit, math.ceil(tokens / pieces)) if pieces > 1 else fit
        chunks += [Chunk(tuple(members), trie, tuple(groups)) for groups in _pack(grouped[most], target)]
    peak = max(c.trie.peak_states() * sum(g.held for g in c.groups) for c in chunks)
    return Schedule(tuple(chunks), batch, most_logits, _with_spare(needs.of(peak, batch, most_logits)))


def _cost_of_a_group(needs: Needs) -> int:
    """What one more call of a block costs on a processor, in tokens of that block."""
    return min(_MOST_GROUP_COST, max(_GROUP_COST_CPU, _CALL_COST // max(needs.block, 1)))


def _grouped(rows: Sequence[Row], kind: Sequence[int], limit: int, *, share: bool, overhead: int) -> Iterator[Group]:
    """Groups of some rows; where rows are read at many positions, what is held of these may double a group."""
    some = [rows[i] for i in kind]
    limit = limit // 2 if any(len(row.reads) > 1 for row in some) else limit
    for group in group_rows(some, share=share, limit=limit, overhead=overhead):
        yield replace(group, rows=tuple(kind[i] for i in group.rows))


def _check_fits(needs: Needs, longest: int, limit: int) -> None:
    smallest = _with_spare(needs.of(2 * longest, longest, 1))
    if smallest > limit:
        raise SweepError(
            f"memory={limit:,} bytes is too little: one state of the longest prompt ({longest} tokens) needs "
            f"{smallest:,} bytes, {needs.fixed:,} of them for weights; give at least that"
        )


def _with_spare(needed: int) -> int:
    """The smallest limit of which `needed` bytes are left once the spare part is taken off."""
    return needed + min(-(-needed // (_SPARE_SHARE - 1)), _MOST_SPARE)


def _alike(paths: Sequence[BlockPath], recipes: Sequence[int]) -> list[int]:
    """The recipes in an order in which those that begin alike stand together."""
    numbers: dict[Hashable, int] = {}

    def key(i: int) -> list[int]:
        return [numbers.setdefault(part, len(numbers)) for part in (paths[i].root, *paths[i].blocks)]

    return sorted(recipes, key=key)


def _split_recipes(
    paths: Sequence[BlockPath], recipes: Sequence[int], longest: int, room: int, needs: Needs
) -> list[tuple[list[int], Trie]]:
    """Halve the recipes until all states of the longest prompt fit."""
    trie = build_trie([paths[i] for i in recipes])
    if len(recipes) == 1 or trie.peak_states() * longest * needs.token <= room:
        return [(list(recipes), trie)]
    half = len(recipes) // 2
    return [
        piece
        for part in (recipes[:half], recipes[half:])
        for piece in _split_recipes(paths, part, longest, room, needs)
    ]


def _pack(groups: Sequence[Group], limit: int) -> list[list[Group]]:
    """Runs of groups that hold at most `limit` tokens, or one group."""
    packed: list[list[Group]] = []
    held = 0
    for group in groups:
        if not packed or held + group.held > limit:
            packed.append([])
            held = 0
        packed[-1].append(group)
        held += group.held
    return packed


def _has_blends(shares: Iterable[Hashable]) -> bool:
    """Whether any tensor is neither base's nor tuned's."""
    return any(share not in (0.0, 1.0) for some in shares for _, share in cast("TunedShares", some))


def _bytes(weights: Weights, parts: Sequence[TensorPair], dtype: torch.dtype) -> int:
    return sum(math.prod(weights.tuned.shapes[part.tuned]) * dtype.itemsize for part in parts)


def _in_passing(weights: Weights, parts: Sequence[TensorPair], dtype: torch.dtype, has_blends: bool) -> int:
    """Most bytes beside the result while one tensor is read from disk, merged, converted and mixed."""
    folders = weights.source.folders
    stored = {info.torch_dtype for folder in folders for info in folder.tensors.values()}
    kinds = {kind for kind in stored if kind.is_floating_point} | {weights.model.dtype, dtype}
    merged = 3 * torch.float32.itemsize if any(isinstance(folder, AdapterCheckpoint) for folder in folders) else 0
    element = (len(kinds) - 1 + (2 if has_blends else 0)) * max(kind.itemsize for kind in kinds) + merged
    if any(part.tuned in weights.source.made_of for part in parts):
        element += 2 * max(kind.itemsize for kind in kinds)  # its parts, and what stands between them and the whole
    return element * max(math.prod(weights.tuned.shapes[part.tuned]) for part in parts)


def _widths(weights: Weights) -> set[int]:
    """Widths that activations take inside a block."""
    shapes = [weights.tuned.shapes[part.tuned] for part in weights.blocks[0]]
    return {max(shape[-2:]) for shape in shapes if len(shape) > 1}
