"""What entropy costs: how far a hybrid writes from tuned, beside tuned at the temperature of equal entropy (ours)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.layers import LayerRange
from slr_probe.rank.frontier import TEMPERATURES
from slr_probe.rank.rows import RankedRows
from slr_probe.result import plain_value
from slr_probe.stats import difference_interval
from slr_probe.stats.compare import FEWEST_PROMPTS, State, difference_state, paired_test


@dataclass(frozen=True)
class EntropyCost:
    """A row at temperature 1 beside tuned so warm that both have one entropy inside replies.

    Attributes:
        row: The row.
        entropy: Their mean entropy, in nats a token.
        temperature: Of tuned.
        hybrid: KL(row || tuned at temperature 1), the mean over prompts of replies, in nats a token.
        tuned: KL(tuned at that temperature || tuned at temperature 1), likewise.
        limits: Interval of the difference of both, paired over prompts; NaN where there is none.
        p: P-value of `paired_test`. It is the only comparison of its kind, so there is nothing to adjust it for.
        state: What interval and test together say: `"more"` where the row costs more.
        prompts: How many prompts of replies the means are over.
    """

    row: int
    entropy: float
    temperature: float
    hybrid: float
    tuned: float
    limits: tuple[float, float]
    p: float
    state: State
    prompts: int

    @property
    def difference(self) -> float:
        """How much farther from tuned the row writes, in nats a token."""
        return self.hybrid - self.tuned

    @property
    def exploratory(self) -> bool:
        """Whether there are too few prompts for more than a hint."""
        return self.prompts < FEWEST_PROMPTS

    def to_dict(self, ranges: Sequence[LayerRange]) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "layers": str(ranges[self.row]),
            "entropy": plain_value(self.entropy),
            "temperature_of_tuned": plain_value(self.temperature),
            "drift": plain_value(self.hybrid),
            "drift_of_tuned": plain_value(self.tuned),
            "difference_interval": [plain_value(limit) for limit in self.limits],
            "p": plain_value(self.p),
            "state": self.state,
            "prompts": self.prompts,
        }


def cost_at_equal_entropy(scores: RankedRows) -> EntropyCost | None:
    """The cost of the best range; None where it was not read out, or tuned does not reach its entropy at any T."""
    if len(scores.curve_rows) < 2 or not scores.curve_entropy.shape[-1]:
        return None
    wanted = float(scores.curve_entropy[1, TEMPERATURES.index(1.0)].mean())
    place = _place(scores.curve_entropy[0].mean(axis=1), wanted)
    if not np.isfinite(place):
        return None
    hybrid = scores.curve_drift[1, TEMPERATURES.index(1.0)]
    tuned = _between(scores.curve_drift[0], place)
    temperature = float(np.interp(place, np.arange(len(TEMPERATURES)), TEMPERATURES))
    row, means = int(scores.curve_rows[1]), (float(hybrid.mean()), float(tuned.mean()))
    limits, p = _compared(scores, hybrid, tuned)
    state = difference_state(*limits, p, scores.level)
    return EntropyCost(row, wanted, temperature, *means, limits, p, state, len(hybrid))


def _compared(
    scores: RankedRows, hybrid: Float[ndarray, " prompt"], tuned: Float[ndarray, " prompt"]
) -> tuple[tuple[float, float], float]:
    """Interval and p-value of the difference."""
    low = high = float("nan")
    if len(hybrid) > 1:
        options = {"level": scores.level, "resamples": scores.resamples, "seed": scores.seed}
        found = difference_interval(hybrid[None], tuned, **options)
        low, high = float(found.low[0]), float(found.high[0])
    return (low, high), float(paired_test(hybrid - tuned, seed=scores.seed))


def _place(means: Float[ndarray, " temperature"], wanted: float) -> float:
    """Where rising means reach a value, counted in places of the grid; NaN where they do not."""
    if not means[0] <= wanted <= means[-1]:
        return float("nan")
    return float(np.interp(wanted, means, np.arange(len(means))))


def _between(drift: Float[ndarray, "temperature prompt"], place: float) -> Float[ndarray, " prompt"]:
    """Divergence of every prompt between two temperatures.

    Roots are interpolated: near temperature 1 a divergence grows with the square of the step.
    """
    left = min(int(place), len(drift) - 2)
    share, roots = place - left, np.sqrt(np.maximum(drift[left : left + 2], 0.0))
    return np.asarray(((1 - share) * roots[0] + share * roots[1]) ** 2)
