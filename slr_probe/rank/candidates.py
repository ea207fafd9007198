"""What is ranked, and what it is compared with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slr_probe.block_weight import TUNED, BlockWeight
from slr_probe.defaults import SOUPS
from slr_probe.errors import RecipeError
from slr_probe.layers import LayerRange
from slr_probe.recipe import Recipe

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

RANDOM_CONTROLS = 8
WIDER = ("attention", "mlp", "half")
"""Families beyond whole ranges: the attention or the MLP of a range alone, or a whole range at a share of 0.5."""
FAMILIES = ("ranges", *WIDER)


@dataclass(frozen=True)
class Row:
    """One line of a ranking.

    Attributes:
        kind: `"range"`, `"tuned"`, `"base"`, `"full"`, `"soup"`, `"early"`, `"late"`, `"random"`, or one of `WIDER`.
        recipe: The hybrid.
    """

    kind: str
    recipe: Recipe


def ranges(depth: int) -> list[Row]:
    """Every non-empty contiguous range, by start and then stop."""
    return [Row("range", Recipe.restore(layers, depth)) for layers in LayerRange.all(depth)]


def wider_rows(depth: int, families: Collection[str]) -> list[Row]:
    """Every contiguous range, restored in part, for each of some families."""
    return [
        Row(family, _partly(layers, depth, family))
        for family in WIDER
        if family in families
        for layers in LayerRange.all(depth)
    ]


def _partly(layers: LayerRange, depth: int, family: str) -> Recipe:
    if family != "half":
        return Recipe.restore(layers, depth, only=family)
    return Recipe(tuple(BlockWeight(0.5) if block in layers else TUNED for block in range(depth)))


def alphas(count: int) -> tuple[float, ...]:
    """Shares of the tuned weights in uniform soups, from base to tuned ("proxy soup": best of 21, arXiv 2602.06665).

    Examples:
        >>> alphas(5), alphas(1), alphas(0)
        ((0.0, 0.25, 0.5, 0.75, 1.0), (0.5,), ())
    """
    return (0.5,) if count == 1 else tuple(round(i / (count - 1), 4) for i in range(count))


def references(pair: ModelPair, soups: int = SOUPS) -> tuple[list[Row], tuple[str, ...]]:
    """Tuned, base, all blocks restored and so many soups; with a note on what the pair does not allow."""
    from slr_probe.restoration.plan import plan_hybrid

    depth, notes = pair.depth, []
    rows = [Row("tuned", Recipe.tuned(depth)), Row("full", Recipe.base(depth))]
    base = Recipe.base(depth, blocks_only=False)
    whole = True
    try:
        plan_hybrid(pair.base_side, pair.tuned_side, base)
    except RecipeError as error:  # the parts outside the blocks differ in shape
        whole = False
        notes.append(f"base and soups keep embedding, final norm and head of tuned: {error}")
    if whole:
        rows.insert(1, Row("base", base))
    shares = alphas(soups)
    return [*rows, *(Row("soup", Recipe.soup(alpha, depth, blocks_only=not whole)) for alpha in shares)], tuple(notes)


def controls(best: LayerRange, depth: int, seed: int) -> list[Row]:
    """Restorations of equal width: the first blocks, the last blocks, and random sets of blocks.

    Random sets are drawn without regard to order, so they are rarely contiguous. Equal ones are dropped, and so are
    those that are the best range, the first or the last blocks again: a wide range leaves few others.
    """
    rng = np.random.default_rng(seed)
    sets = {tuple(sorted(rng.choice(depth, best.width, replace=False).tolist())) for _ in range(RANDOM_CONTROLS)}
    sets -= {tuple(best), tuple(range(best.width)), tuple(range(depth - best.width, depth))}
    return [
        Row("early", Recipe.early(best.width, depth)),
        Row("late", Recipe.late(best.width, depth)),
        *(Row("random", Recipe.restore(blocks, depth)) for blocks in sorted(sets)),
    ]
