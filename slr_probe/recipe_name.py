"""What a recipe is called in tables and figures, from its content."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from slr_probe.block_weight import BASE, TUNED
from slr_probe.layers import LayerRange

if TYPE_CHECKING:
    from slr_probe.recipe import Recipe


def describe(recipe: Recipe) -> str:
    """A short name, such as `restore 8:14 of 32`."""
    depth = recipe.depth
    if recipe.is_tuned:
        return f"tuned ({depth} blocks)"
    outside = {recipe.embedding, recipe.final_norm, recipe.head}
    suffix = "" if outside == {1.0} else ", outside base" if outside == {0.0} else _outside(recipe)
    kinds = set(recipe.blocks)
    if len(kinds) == 1 and not recipe.blocks[0].overrides:
        share = recipe.blocks[0].default
        if outside == {share}:
            return f"base ({depth} blocks)" if share == 0.0 else f"soup {share:g} of {depth}"
        return ("all blocks base" if share == 0.0 else f"blocks {share:g} tuned") + f" of {depth}{suffix}"
    changed = kinds - {TUNED}
    where = _where(recipe)
    if changed == {BASE}:
        return f"restore {where} of {depth}{suffix}"
    if len(changed) == 1:
        (kind,) = changed
        if kind.default == 1.0 and {share for _, share in kind.overrides} == {0.0}:
            return f"restore {'+'.join(name for name, _ in kind.overrides)} in {where} of {depth}{suffix}"
        return f"{where} at {kind}, rest tuned, of {depth}{suffix}"
    if _is_ramp(recipe):
        return f"ramp {recipe.blocks[0].default:g} to {recipe.blocks[-1].default:g} of {depth}{suffix}"
    return f"mixed recipe of {depth}{suffix}"


def _is_ramp(recipe: Recipe) -> bool:
    shares = [block.default for block in recipe.blocks]
    slope = (shares[-1] - shares[0]) / max(len(shares) - 1, 1)
    even = all(math.isclose(b - a, slope, abs_tol=1e-9) for a, b in pairwise(shares))
    return even and not any(block.overrides for block in recipe.blocks)


def _outside(recipe: Recipe) -> str:
    return f", embedding {recipe.embedding:g}, final norm {recipe.final_norm:g}, head {recipe.head:g} tuned"


def _where(recipe: Recipe) -> str:
    chosen = recipe.restored_blocks
    if chosen and chosen[-1] - chosen[0] + 1 == len(chosen):
        return str(LayerRange(chosen[0], chosen[-1] + 1))
    return "{" + ", ".join(map(str, chosen)) + "}"
