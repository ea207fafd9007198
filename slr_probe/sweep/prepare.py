"""Deciding how a sweep is run: weights loaded or streamed, blocks replayed or not, and in which chunks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from slr_probe.errors import SweepError
from slr_probe.forward.capture import NotReproducible
from slr_probe.recipe import Recipe
from slr_probe.sweep.check import find_walk
from slr_probe.sweep.execute import Walk
from slr_probe.sweep.plan import Schedule, make_schedule, needs_of
from slr_probe.sweep.sources import resident, stored_dtype, streamed
from slr_probe.sweep.trie import build_trie

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair
    from slr_probe.tasks.answers import Query

_CHECK_BATCH = 1024


@dataclass(frozen=True)
class Prepared:
    """A sweep that is ready to run.

    Attributes:
        walk: How blocks are replayed; None where they cannot be, and hybrids are run one by one.
        schedule: The chunks; None in the same case.
        evaluations: Block evaluations a prompt.
        streamed: Whether weights are streamed.
        rows: Prompts to run at once when hybrids are run one by one.
        dtype: Dtype that blocks are run in.
        notes: What a reader of the result should know.
    """

    walk: Walk | None
    schedule: Schedule | None
    evaluations: int
    streamed: bool
    rows: int
    dtype: torch.dtype
    notes: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """`"wavefront"` or `"swap"`."""
        return "swap" if self.walk is None else "wavefront"


def prepare(
    pair: ModelPair,
    recipes: Sequence[Recipe],
    queries: Sequence[Query],
    todo: tuple[list[int], list[int]],
    limit: int,
    stream: bool | None,
    dtype: torch.dtype | None,
    *,
    pieces: int,
) -> Prepared:
    """Decide how to run a sweep.

    Raises:
        SweepError: It does not fit into memory, or it was to be streamed and cannot be.
    """
    loaded = "base" in vars(pair) and "tuned" in vars(pair)
    models = 0 if loaded else sum(_model_bytes(pair, role) for role in ("base", "tuned"))
    if stream is None:
        stream = 4 * models > 3 * limit and None not in (pair.base_side.checkpoint, pair.tuned_side.checkpoint)
    if not stream and models > limit:
        raise SweepError(
            f"memory={limit:,} bytes is too little to load both models, which take {models:,}; give more, or use "
            "stream=True to read the checkpoints block by block"
        )
    weights = streamed(pair, dtype) if stream else resident(pair, dtype)
    paths = weights.paths(recipes)
    base = weights.paths([Recipe.base(pair.depth)])[0].blocks
    prompts = [query.token_ids for query in queries]
    vocab = int(pair.config.get_text_config(decoder=True).vocab_size)
    evaluations = build_trie(paths).evaluations
    depth = _depth_to_check(pair) if stream else pair.depth
    try:
        walk = find_walk(weights, prompts, [[()] * pair.depth, base], _CHECK_BATCH, depth)  # type: ignore[list-item]
    except NotReproducible as reason:
        return _plain(pair, reason, stream, dtype, limit - models, len(recipes), vocab)
    notes = () if walk.split else ("tokens that prompts share are not run apart: the blocks take no key-value cache",)
    kind = weights.dtype or weights.model.dtype
    if not todo[0]:
        return Prepared(walk, None, evaluations, stream, 1, kind, notes)
    needs = needs_of(weights, paths, streamed=stream, vocab=vocab)
    needs = replace(needs, fixed=needs.fixed + (0 if stream else models))
    schedule = make_schedule(
        paths, todo[0], prompts, todo[1], needs, limit,
        split=walk.split, device=weights.device, pieces=1 if stream else pieces,
    )  # fmt: skip
    walk = Walk(walk.capture, weights, schedule.batch, walk.split)
    return Prepared(walk, schedule, evaluations, stream, 1, kind, notes)


def _plain(
    pair: ModelPair,
    reason: NotReproducible,
    stream: bool,
    dtype: torch.dtype | None,
    room: int,
    recipes: int,
    vocab: int,
) -> Prepared:
    if stream:
        raise SweepError(
            f"this model cannot be streamed block by block: {reason}; use stream=False, with memory= large enough for "
            "both models"
        ) from reason
    if dtype is not None and dtype != pair.tuned.dtype:
        raise SweepError(
            f"this model is swept hybrid by hybrid ({reason}), which computes in the dtype that the pair is loaded in; "
            f"load it with dtype={str(dtype).removeprefix('torch.')!r}"
        ) from reason
    note = f"hybrids are run one by one, which is slower: {reason}"
    warnings.warn(note, stacklevel=4)
    rows = max(1, min(64, room // (vocab * 16)))
    return Prepared(None, None, recipes * pair.depth, False, rows, pair.tuned.dtype, (note,))


def _model_bytes(pair: ModelPair, role: str) -> int:
    side = pair.base_side if role == "base" else pair.tuned_side
    if side.model is not None or role in vars(pair):
        return 0
    return sum(math.prod(shape) for shape in side.shapes.values()) * stored_dtype(pair).itemsize


def _depth_to_check(pair: ModelPair) -> int:
    """Blocks from the first until every kind of block has been seen: checking all would read the files once more."""
    kinds = getattr(pair.config.get_text_config(decoder=True), "layer_types", None) or ["one"] * pair.depth
    return 1 + max(kinds.index(kind) for kind in set(kinds))
