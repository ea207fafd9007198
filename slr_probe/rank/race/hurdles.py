"""What a range must clear to be chosen: each hurdle is a claim about means over all prompts, tested on those seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.rank.guards.bounds import Guard
from slr_probe.stats.part import p_not_below

Reason = Guard | Literal["diversity"]
Columns = Mapping[Reason, Float[ndarray, "row prompt"]]
"""Validity and diversity on questions, and what guards look at on prompts of replies."""


@dataclass(frozen=True)
class Hurdle:
    """The mean of a column must be at least, or at most, that of a reference.

    Attributes:
        name: The column.
        sign: 1 for at least, -1 for at most.
        reference: What the column is compared with, prompt by prompt in the order of the race.
        margin: How much more than the reference is asked.
    """

    name: Reason
    sign: int
    reference: Float[ndarray, " prompt"]
    margin: float = 0.0

    def p(self, values: Float[ndarray, "row seen"]) -> Float[ndarray, " row"]:
        """P-value of the claim that ranges clear it, from what they gave on the first prompts."""
        return p_not_below(self._above(values), len(self.reference))

    def cleared(self, values: Float[ndarray, "row seen"]) -> Float[ndarray, " row"]:
        """By how much they clear it so far; negative where they do not."""
        return np.asarray(self._above(values).mean(axis=1))

    def _above(self, values: Float[ndarray, "row seen"]) -> Float[ndarray, "row seen"]:
        return np.asarray(self.sign * (values - self.reference[: values.shape[1]]) - self.margin)


def hurdles_of_questions(tuned: Columns, floor: float) -> list[Hurdle]:
    """The floor on validity."""
    return [Hurdle("validity", 1, floor * tuned["validity"][0])]


def hurdles_of_replies(tuned: Columns, bounds: Mapping[Guard, tuple[float, float]]) -> list[Hurdle]:
    """The bounds of the guards.

    Args:
        tuned: What tuned says.
        bounds: The least and the most that each guard lets pass: shares of tuned's, or nats for drift.
    """
    found = []
    for guard, limits in bounds.items():
        unit = np.ones_like(tuned[guard][0]) if guard == "drift" else tuned[guard][0]
        pairs = zip((1, -1), limits, strict=True)
        found += [Hurdle(guard, sign, limit * unit) for sign, limit in pairs if np.isfinite(limit)]
    return found
