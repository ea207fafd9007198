"""The frontier: what tuned reaches when it is only sampled warmer, beside which a hybrid has to be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.rank.guards.table import SCORES, Place, ReplyTable
from slr_probe.rank.order import EQUAL

if TYPE_CHECKING:
    from slr_probe.rank.measure import Scorer
    from slr_probe.rank.rows import RankedRows
    from slr_probe.recipe import Recipe
    from slr_probe.sweep import SweepResult

TEMPERATURES = (0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0)
"""Temperatures of the curves; between two of them scores are interpolated, prompt by prompt."""


@dataclass(frozen=True)
class Curve:
    """Scores of one model over temperature.

    Attributes:
        temperatures: Rising.
        validity: Of each temperature and prompt.
        diversity: Likewise.
    """

    temperatures: Float[ndarray, " temperature"]
    validity: Float[ndarray, "temperature prompt"]
    diversity: Float[ndarray, "temperature prompt"]

    def at_validity(self, wanted: float) -> float:
        """The warmest temperature at which mean validity is still `wanted`; NaN where the curve does not reach it.

        Means are interpolated linearly between temperatures.
        """
        means = self.validity.mean(axis=1) - wanted
        for at in range(len(means) - 2, -1, -1):
            one, other = float(means[at]), float(means[at + 1])
            if one >= -EQUAL and other <= EQUAL and one > other:
                share = min(max(one / (one - other), 0.0), 1.0)
                return float(self.temperatures[at] + share * (self.temperatures[at + 1] - self.temperatures[at]))
        return float("nan")

    def at(self, temperature: float) -> Mapping[str, Float[ndarray, " prompt"]]:
        """Validity and diversity of every prompt, interpolated between the two nearest temperatures."""
        place = float(np.interp(temperature, self.temperatures, np.arange(len(self.temperatures))))
        left = min(int(place), len(self.temperatures) - 2)
        share = place - left
        return {
            name: (1 - share) * values[left] + share * values[left + 1]
            for name, values in (("validity", self.validity), ("diversity", self.diversity))
        }


@dataclass(frozen=True)
class Warmer:
    """Tuned at the temperature at which it is as valid as a row.

    Attributes:
        temperature: That temperature; found on the selection prompts.
        validity: Of tuned there, prompt by prompt.
        diversity: Likewise.
    """

    temperature: float
    validity: Float[ndarray, " prompt"]
    diversity: Float[ndarray, " prompt"]


def tuned_curve(scores: RankedRows, *, held_out: bool = False) -> Curve | None:
    """Tuned over temperature; None where it was not read out on these prompts."""
    validity, diversity = scores.curve_validity, scores.curve_diversity
    if held_out:
        validity, diversity = scores.held_curve_validity, scores.held_curve_diversity
    return Curve(np.array(TEMPERATURES), validity[0], diversity[0]) if validity.size else None


def warmer(scores: RankedRows, row: int, *, held_out: bool) -> Warmer | None:
    """Tuned at equal validity; None where no temperature of the curve gives that.

    Args:
        scores: What was measured.
        row: The row that tuned is to be as valid as.
        held_out: Give scores on the held-out prompts; the temperature is found on the selection prompts all the same.
    """
    chosen, read = tuned_curve(scores), tuned_curve(scores, held_out=held_out)
    if chosen is None or read is None:
        return None
    temperature = chosen.at_validity(float(scores.validity[row].mean()))
    return Warmer(temperature, **read.at(temperature)) if np.isfinite(temperature) else None


def at_floor(scores: RankedRows) -> Warmer | None:
    """Tuned so warm that it just keeps the floor on validity, on the selection prompts; None where that is unknown."""
    curve = tuned_curve(scores)
    if curve is None:
        return None
    temperature = curve.at_validity(float(scores.floor * scores.validity[scores.tuned].mean()))
    return Warmer(temperature, **curve.at(temperature)) if np.isfinite(temperature) else None


@dataclass(frozen=True)
class Curves:
    """Scores of some models at every temperature of `TEMPERATURES`.

    Attributes:
        validity: Of each model, temperature and prompt.
        diversity: Likewise.
        entropy: Mean entropy in nats at the places inside replies, of each model, temperature and prompt of replies.
        drift: KL(model || tuned at temperature 1) there, likewise.
        order: How each model ranks answers above other tokens, see `slr_probe.forward.calibration`.
    """

    validity: Float[ndarray, "model temperature prompt"]
    diversity: Float[ndarray, "model temperature prompt"]
    entropy: Float[ndarray, "model temperature reply_prompt"]
    drift: Float[ndarray, "model temperature reply_prompt"]
    order: Float[ndarray, "model prompt 2"]


def measure_curves(scorer: Scorer, recipes: Sequence[Recipe]) -> Curves:
    """Score some recipes at every temperature, by one forward of each."""
    wanted = [scorer.canonical(recipe) for recipe in recipes]
    distinct = list(dict.fromkeys(wanted))
    min_p = float(scorer.sampling.get("min_p", 0.0))
    result = scorer.sweep(distinct, grid=[(temperature, min_p) for temperature in TEMPERATURES], order=True)
    rows = [distinct.index(recipe) for recipe in wanted]
    found = [result.at(temperature, min_p) for temperature in TEMPERATURES]
    entropy, drift = zip(*(_inside(scorer, one) for one in found), strict=True)
    diversity = [np.nan_to_num(one.diversity, nan=0.0) for one in found]
    stacks = ([one.validity for one in found], diversity, entropy, drift)
    validity, spread, inside, from_tuned = (np.stack(parts, axis=1)[rows] for parts in stacks)
    return Curves(validity, spread, inside, from_tuned, result.order_scores[rows].astype(np.float64))


def _inside(
    scorer: Scorer, result: SweepResult
) -> tuple[Float[ndarray, "recipe prompt"], Float[ndarray, "recipe prompt"]]:
    """Entropy and divergence from tuned inside the replies, prompt by prompt."""
    if scorer.replies is None or result.replies is None:
        empty = np.zeros((len(result.recipes), 0))
        return empty, empty
    reply, position = result.reply_reads.T
    scores = np.zeros((len(result.recipes), len(reply), len(SCORES)))
    scores[:, :, SCORES.index("entropy")] = result.replies.entropy[:, reply, position]
    scores[:, :, SCORES.index("drift")] = result.replies.kl_to[:, reply, position]
    table = ReplyTable(scorer.replies.prompt, scorer.replies.place, scores)
    return table.at_places("entropy", Place.INSIDE), table.drift
