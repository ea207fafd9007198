"""How far two masks agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy import ndarray


@dataclass(frozen=True)
class Overlap:
    """Agreement of the most important units of two masks.

    Chance is what random permutations of the units that changed would give; the number of common units is then
    hypergeometric, so no permutation is drawn.

    Attributes:
        rate: Share of the units that each mask has.
        count: Units of each of them (that changed).
        common: Units in both.
        jaccard: Common units over units in either.
        share: Common units over `count`.
        chance: Mean of `share` by chance.
        chance_jaccard: Mean of `jaccard` by chance.
        chance_high: `share` that chance exceeds in (1 - level) / 2 of all permutations.
        p_value: Probability of at least as many common units by chance.
        units: Units that changed, from which both are taken.
    """

    rate: float
    count: int
    common: int
    jaccard: float
    share: float
    chance: float
    chance_jaccard: float
    chance_high: float
    p_value: float
    units: int


def overlap(
    one: Bool[ndarray, " unit"],
    other: Bool[ndarray, " unit"],
    changed: Bool[ndarray, " unit"],
    rate: float,
    level: float,
) -> Overlap:
    """Compare two sets of units; see `LayerMask.overlap`.

    Args:
        one: Units of the first set.
        other: Units of the second.
        changed: Units that either set can hold.
        rate: Share of the units that each has.
        level: Nominal coverage of what chance gives.
    """
    from scipy.stats import hypergeom

    one, other = one & changed, other & changed
    units, count, drawn = int(changed.sum()), int(one.sum()), int(other.sum())
    common = int((one & other).sum())
    chance = hypergeom(units, count, drawn)
    possible = np.arange(max(0, count + drawn - units), min(count, drawn) + 1)
    probability = chance.pmf(possible)
    size = max(min(count, drawn), 1)
    return Overlap(
        rate=rate,
        count=count,
        common=common,
        jaccard=common / max(count + drawn - common, 1),
        share=common / size,
        chance=float(probability @ possible) / size,
        chance_jaccard=float(probability @ (possible / np.maximum(count + drawn - possible, 1))),
        chance_high=float(chance.ppf((1 + level) / 2)) / size,
        p_value=float(chance.sf(common - 1)),
        units=units,
    )
