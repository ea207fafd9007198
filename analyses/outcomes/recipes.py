"""Which recipes are compared: ranges all over the depth, and some that are no whole ranges."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

from slr_probe.block_weight import TUNED, BlockWeight
from slr_probe.layers import LayerRange
from slr_probe.recipe import Recipe

SOUPS = (0.5, 0.7, 0.85)
"""Shares of tuned."""
_GOLDEN = (sqrt(5) - 1) / 2  # its multiples, modulo 1, are spread evenly however many are taken
_PARTS = 3  # of each sort that restores a range in part


def some_recipes(depth: int, count: int, first: Iterable[LayerRange] = ()) -> list[Recipe]:
    """Tuned, the ranges that are asked for, soups, partly restored ranges, and whole ranges up to `count`.

    Ranges are up to a third of the depth wide, or as wide as one that is asked for; their widths are taken in turn and
    their places spread evenly. Wider ones write what base does, and would make any proxy look good (ours).

    Args:
        depth: Number of decoder blocks.
        count: How many recipes, where there are so many.
        first: Ranges that must be among them.
    """
    wanted = list(first)
    widest = max(1, depth // 3, *(layers.width for layers in wanted))
    places = [_place(i, widest, depth) for i in range(20 * count)]
    found = [Recipe.tuned(depth), *(Recipe.restore(layers, depth) for layers in wanted)]
    found += [Recipe.soup(share, depth, blocks_only=True) for share in SOUPS]
    wide = [layers for layers in places if layers.width == max(2, depth // 6)][:_PARTS]
    for layers in dict.fromkeys(wide):
        found += [_half(layers, depth), *(Recipe.restore(layers, depth, only=part) for part in ("attention", "mlp"))]
    found += [Recipe.restore(layers, depth) for layers in places]
    return list(dict.fromkeys(found))[:count]


def _place(number: int, widest: int, depth: int) -> LayerRange:
    width = 1 + number % widest
    start = int((number * _GOLDEN) % 1 * (depth - width + 1))
    return LayerRange(start, start + width)


def _half(layers: LayerRange, depth: int) -> Recipe:
    """A range whose weights are half base's and half tuned's."""
    return Recipe(tuple(BlockWeight(0.5) if block in layers else TUNED for block in range(depth)))
