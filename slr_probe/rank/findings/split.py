"""A change in the proxy task split into order and shape, after arXiv 2605.11128."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slr_probe.layers import LayerRange
from slr_probe.rank.compare import Estimate
from slr_probe.rank.scores import RangeScores
from slr_probe.result import plain_value
from slr_probe.stats import difference_interval

PARTS = ("order", "cut-off", "shape")
"""Area under the ROC curve of answers above invalid tokens; valid share of the mass at an oracle cut-off; evenness of
the mass on valid answers, which is diversity."""


@dataclass(frozen=True)
class Part:
    """One part of the change from tuned to the best range.

    Attributes:
        name: One of `PARTS`.
        tuned: Its mean for tuned.
        hybrid: Its mean for the range.
        change: Hybrid minus tuned, paired over prompts.
    """

    name: str
    tuned: float
    hybrid: float
    change: Estimate


@dataclass(frozen=True)
class Split:
    """The change from tuned to the best range.

    Attributes:
        row: Row of the range.
        held_out: Whether it is from prompts that no choice was made on.
        prompts: How many, those whose answers are single tokens.
        parts: One for each of `PARTS`.
    """

    row: int
    held_out: bool
    prompts: int
    parts: tuple[Part, ...]

    def to_dict(self, ranges: Sequence[LayerRange]) -> dict[str, Any]:
        """Plain data for JSON."""
        parts = {
            part.name: {
                "tuned": plain_value(part.tuned),
                "range": plain_value(part.hybrid),
                "change_interval": [plain_value(part.change.low), plain_value(part.change.high)],
            }
            for part in self.parts
        }
        return {"layers": str(ranges[self.row]), "held_out": self.held_out, "prompts": self.prompts, **parts}


def split_change(scores: RangeScores) -> Split | None:
    """Split the change of the best range; None where it was not read out, or on fewer than two prompts."""
    if len(scores.curve_rows) < 2:
        return None
    held_out = bool(scores.held_curve_order.shape[1])
    order = scores.held_curve_order if held_out else scores.curve_order
    rows = scores.curve_rows
    diversity = (scores.held_diversity if held_out else scores.diversity)[rows]
    known = np.isfinite(order).all(axis=(0, 2)) if order.size else np.zeros(0, dtype=bool)
    known &= np.isfinite(diversity).all(axis=0) if known.size else known
    if known.sum() < 2:
        return None
    values = (order[:, known, 0], order[:, known, 1], diversity[:, known])
    categories = np.array(scores.held_categories if held_out else scores.categories)
    options = {**scores.bootstrap(held_out=held_out), "strata": categories[known].tolist() if categories.size else None}
    parts = tuple(_part(name, both, options) for name, both in zip(PARTS, values, strict=True))
    return Split(int(rows[1]), held_out, int(known.sum()), parts)


def _part(name: str, both: np.ndarray, options: dict[str, object]) -> Part:
    tuned, hybrid = (float(mean) for mean in both.mean(axis=1))
    found = difference_interval(both[1][None], both[0], **options)
    change = Estimate(float(found.estimate[0]), float(found.low[0]), float(found.high[0]))
    return Part(name, tuned, hybrid, change)
