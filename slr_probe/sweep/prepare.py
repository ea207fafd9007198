"""Deciding how a sweep is run: weights loaded or streamed, blocks replayed or not, and in which chunks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import torch

from slr_probe.errors import SweepError
from slr_probe.forward.budget import parse_bytes
from slr_probe.forward.capture import NotReproducible
from slr_probe.recipe import Recipe
from slr_probe.sweep.plan import Needs, Schedule, make_schedule, needs_of
from slr_probe.sweep.prefixes.trie import BlockPath, build_trie
from slr_probe.sweep.reads.rows import Row
from slr_probe.sweep.settings import Request
from slr_probe.sweep.sources import stored_dtype
from slr_probe.sweep.walk.check import choose_runner
from slr_probe.sweep.walk.execute import BlockRunner
from slr_probe.sweep.weights import TunedShares, Weights, resident, streamed

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_CHECK_BATCH = 1024
_KEPT_CPU, _KEPT_GPU = 5e11, 5e14
"""Products of weights and tokens in a piece that is kept by itself, at least: some seconds (ours)."""


@dataclass(frozen=True)
class Prepared:
    """A sweep that is ready to run.

    Attributes:
        runner: How blocks are replayed; None where they cannot be, and hybrids are run one by one.
        schedule: The chunks; None in the same case, or where nothing is left to do.
        reference: Those of the recipe that replies are compared with; None where no reply is left to do.
        evaluations: Block evaluations a prompt.
        streamed: Whether weights are streamed.
        rows: Rows to run at once when hybrids are run one by one.
        dtype: Dtype that blocks are run in.
        notes: What a reader of the result should know.
    """

    runner: BlockRunner | None
    schedule: Schedule | None
    reference: Schedule | None
    evaluations: int
    streamed: bool
    rows: int
    dtype: torch.dtype
    notes: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """`"wavefront"` or `"swap"`."""
        return "swap" if self.runner is None else "wavefront"


@dataclass(frozen=True)
class Engine:
    """A pair that is open for a sweep: its weights at hand, and how its blocks are replayed.

    Attributes:
        request: The sweep.
        limit: Bytes that may be used.
        to_load: Bytes of them that models take which had to be loaded for it.
        weights: Weights of both sides.
        paths: What every recipe asks for, and last the reference.
        streamed: Whether weights are streamed.
        runner: How blocks are replayed; None where they cannot be.
        reason: Why they cannot be.
    """

    request: Request
    limit: int
    to_load: int
    weights: Weights
    paths: list[BlockPath]
    streamed: bool
    runner: BlockRunner | None
    reason: NotReproducible | None

    @classmethod
    def open(cls, request: Request, limit: int, stream: bool | None, to_load: int | None = None) -> Engine:
        """Open a pair.

        Args:
            request: The sweep.
            limit: Bytes that may be used.
            stream: Whether to read weights block by block; None decides by the limit.
            to_load: Bytes of models that count as loaded for the sweep; default: of those that are not in memory yet.

        Raises:
            SweepError: It does not fit into memory.
        """
        pair = request.pair
        to_load = bytes_to_load(pair) if to_load is None else to_load
        stream = _streams(pair, stream, to_load, limit)
        weights = weights_of(pair, request.dtype, stream)
        paths = weights.paths([*request.recipes, request.reference])
        runner, reason = None, None
        try:
            runner = _choose_runner(pair, weights, request.asked.rows, stream)
        except NotReproducible as found:
            reason = found
        return cls(request, limit, to_load, weights, paths, stream, runner, reason)

    @cached_property
    def evaluations(self) -> int:
        """Block evaluations a prompt."""
        if self.runner is None:
            return len(self.request.recipes) * self.request.pair.depth
        return build_trie(self.paths[:-1]).evaluations

    def cut(self, recipes: list[int], rows: list[int], *, pieces: int) -> Prepared:
        """Cut some of it into what fits into memory.

        Args:
            recipes: Recipes that are left to do, as indices.
            rows: Rows of `request.asked` that are left to do, as indices.
            pieces: Cut into about as many chunks at least, where weights are loaded and each is some seconds' work.

        Raises:
            SweepError: It does not fit into memory, or it was to be streamed and cannot be.
        """
        if self.runner is None:
            assert self.reason is not None
            return _one_by_one(self, self.reason, rows)
        runner, asked, stream = self.runner, self.request.asked, self.streamed
        dtype = self.weights.dtype or self.weights.model.dtype
        slow = f"tokens that prompts share are not run apart, which is slower: {runner.unsplit}"
        notes = () if runner.split else (slow,)
        if not recipes:
            return Prepared(runner, None, None, self.evaluations, stream, 1, dtype, notes)
        compared = asked.compared(rows)
        needs = self._needs(compared)
        cut = partial(self._schedule, rows=asked.rows, limit=self.limit)
        pieces = 1 if stream or pieces == 1 else min(pieces, self._worth_keeping(rows, needs))
        whole = partial(cut, recipes=recipes, kinds=asked.kinds(rows), pieces=pieces)
        schedule, needs = _ahead_if_it_fits(whole, needs)
        reference = cut(recipes=[len(self.request.recipes)], kinds=[compared], needs=needs) if compared else None
        runner = replace(runner, batch=schedule.batch, ahead=needs.ahead > 0)
        return Prepared(runner, schedule, reference, self.evaluations, stream, 1, dtype, notes)

    def _worth_keeping(self, rows: Sequence[int], needs: Needs) -> int:
        """Pieces of some seconds that the work has: smaller ones batch fewer prompts, which is slower."""
        tokens = sum(len(self.request.asked.rows[i].token_ids) for i in rows)
        products = float(self.evaluations) * tokens * needs.block
        return max(1, int(products / (_KEPT_CPU if self.weights.device.type == "cpu" else _KEPT_GPU)))

    def _schedule(self, **options: Any) -> Schedule:
        assert self.runner is not None
        return make_schedule(self.paths, split=self.runner.split, device=self.weights.device, **options)

    def _needs(self, compared: list[int]) -> Needs:
        pair = self.request.pair
        needs = needs_of(self.weights, self.paths, streamed=self.streamed, vocab=_vocab(pair), compared=bool(compared))
        return replace(needs, fixed=needs.fixed + (0 if self.streamed else self.to_load))


def prepare(
    request: Request, recipes: list[int], rows: list[int], limit: int, stream: bool | None, *, pieces: int
) -> Prepared:
    """Open a pair for a sweep, and cut what is left to do.

    Args:
        request: The sweep.
        recipes: Recipes that are left to do, as indices.
        rows: Rows of `request.asked` that are left to do, as indices.
        limit: Bytes that may be used.
        stream: Whether to read weights block by block; None decides by the limit.
        pieces: Cut into about as many chunks at least, where weights are loaded.

    Raises:
        SweepError: It does not fit into memory, or it was to be streamed and cannot be.
    """
    return Engine.open(request, limit, stream).cut(recipes, rows, pieces=pieces)


def weights_of(pair: ModelPair, dtype: torch.dtype | None, stream: bool) -> Weights:
    """Both sides of a pair, streamed or loaded."""
    return (streamed if stream else resident)(pair, dtype)


def _ahead_if_it_fits(cut: Callable[..., Schedule], needs: Needs) -> tuple[Schedule, Needs]:
    """The schedule, and what it needs: the next block is held as well where that costs no further walk."""
    plain = replace(needs, ahead=0)
    schedule = cut(needs=plain)
    if not needs.ahead:
        return schedule, plain
    both = replace(needs, fixed=needs.fixed + needs.ahead)
    try:
        wider = cut(needs=both)
    except SweepError:  # it does not fit at all
        return schedule, plain
    return (wider, both) if len(wider.chunks) == len(schedule.chunks) else (schedule, plain)


def streams(pair: ModelPair, stream: bool | None, memory: str | int) -> bool:
    """Whether a sweep of the pair streams its weights.

    Args:
        pair: The pair.
        stream: What the sweep is told.
        memory: What it may use.

    Raises:
        SweepError: Both models are to be loaded and do not fit.
    """
    return _streams(pair, stream, bytes_to_load(pair), parse_bytes(memory))


def _streams(pair: ModelPair, stream: bool | None, to_load: int, limit: int) -> bool:
    """Whether weights are streamed; by default where loading both models would take three quarters of the limit."""
    if stream is None:
        on_disk = None not in (pair.base_side.checkpoint, pair.tuned_side.checkpoint)
        stream = on_disk and 4 * to_load > 3 * limit
    if not stream and to_load > limit:
        raise SweepError(
            f"memory={limit:,} bytes is too little to load both models, which take {to_load:,}; give more, or use "
            "stream=True to read the checkpoints block by block"
        )
    return stream


def _choose_runner(pair: ModelPair, weights: Weights, rows: Sequence[Row], stream: bool) -> BlockRunner:
    """The runner that reproduces both models."""
    tuned: list[TunedShares] = [()] * pair.depth
    base = cast("Sequence[TunedShares]", weights.paths([Recipe.base(pair.depth)])[0].blocks)
    depth = _depth_to_check(pair) if stream else pair.depth
    return choose_runner(weights, rows, {"tuned": tuned, "base": base}, _CHECK_BATCH, depth)


def _one_by_one(engine: Engine, reason: NotReproducible, left: list[int]) -> Prepared:
    """Every hybrid as a whole model."""
    request = engine.request
    pair, dtype = request.pair, request.dtype
    if engine.streamed:
        raise SweepError(
            f"this model cannot be streamed block by block: {reason}; use stream=False, with memory= large enough for "
            "both models"
        ) from reason
    if dtype is not None and dtype != pair.tuned.dtype:
        raise SweepError(
            f"this model is swept hybrid by hybrid ({reason}), which computes in the dtype that the pair is loaded in; "
            f"load it with dtype={str(dtype).removeprefix('torch.')!r}"
        ) from reason
    row = _vocab(pair) * pair.tuned.dtype.itemsize
    room = (
        engine.limit
        - engine.to_load
        - row * sum(len(request.asked.rows[i].reads) for i in request.asked.compared(left))
    )
    if room < 0:
        raise SweepError(
            f"memory is {-room:,} bytes too little to keep what the reference says at every position of replies, as "
            f"this model is swept hybrid by hybrid ({reason}); give more, or read fewer positions"
        ) from reason
    note = f"hybrids are run one by one, which is slower: {reason}"
    warnings.warn(note, stacklevel=5)
    rows = max(1, min(64, room // (_vocab(pair) * 16)))
    return Prepared(None, None, None, engine.evaluations, False, rows, pair.tuned.dtype, (note,))


def _vocab(pair: ModelPair) -> int:
    return int(pair.config.get_text_config(decoder=True).vocab_size)


def bytes_to_load(pair: ModelPair, *, ever: bool = False) -> int:
    """Bytes of the models that are not loaded yet; nothing where both are.

    Args:
        pair: The pair.
        ever: Count those as well that are loaded by now, but were given as checkpoints.
    """
    if pair.loaded and not ever:
        return 0
    sides = {"base": pair.base_side, "tuned": pair.tuned_side}
    missing = [side for role, side in sides.items() if side.model is None and (ever or role not in vars(pair))]
    weights = sum(math.prod(shape) for side in missing for shape in side.shapes.values())
    return weights * stored_dtype(pair).itemsize if missing else 0


def _depth_to_check(pair: ModelPair) -> int:
    """Blocks from the first until every kind of block has been seen: checking all would read the files once more."""
    types = getattr(pair.config.get_text_config(decoder=True), "layer_types", None) or ["one"] * pair.depth
    parts: list[set[str]] = [set() for _ in range(pair.depth)]  # the first blocks of a model of experts may have none
    for address in pair.tuned_side.addresses.values():
        if address.block is not None:
            parts[address.block].add(address.suffix)
    kinds = [(types[block], frozenset(parts[block])) for block in range(pair.depth)]
    return 1 + max(kinds.index(kind) for kind in set(kinds))
