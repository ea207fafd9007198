"""`RangeRanking`: which range to restore, how good it is, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.errors import LayerRangeError
from slr_probe.layers import LayerRange
from slr_probe.rank.agreement import Agreement, agreement
from slr_probe.rank.order import front, order_by
from slr_probe.recipe import Recipe
from slr_probe.result import Result
from slr_probe.show import ranking_text as summary
from slr_probe.stats import Interval, difference_interval, mean_interval, ratio_interval, winner_share

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

VERIFIED = ("sweep", "guided")
"""Methods whose order is by measured validity and diversity; the others order by the sum of block scores."""


@dataclass(frozen=True, eq=False, repr=False)
class RangeRanking(Result):
    """Every contiguous range with its scores, beside controls and references.

    A row is a range (`kinds == "range"`) or what ranges are compared with: `"tuned"`, `"base"`, `"full"` (all blocks
    restored), `"soup"` (21 uniform interpolations), and restorations of as many blocks as the best range has:
    `"early"`, `"late"` and `"random"` sets. Rows that a method did not measure hold NaN.

    Attributes:
        kinds: What each row is.
        validity: Probability mass on the valid answers, on the selection prompts.
        diversity: Entropy over the valid answers as a fraction of log |V|, on the selection prompts.
        held_validity: The same on the held-out prompts, which no choice was made on.
        held_diversity: The same on the held-out prompts.
        score: What the method's block scores add up to; NaN for `"sweep"`.
        block_gain: The method's score of each block; NaN for `"sweep"`.
        changed: Blocks that differ between base and tuned; ranges that differ elsewhere only are equal.
        recipe_data: The recipe of each row as plain data; read `recipes`.
        method: How ranges were proposed.
        floor: Share of tuned's validity that must be kept.
        categories: Category of each selection prompt, within which the bootstrap draws; empty for none.
        held_categories: Category of each held-out prompt.
        level: Nominal coverage of the intervals.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap and of the random controls.
        settings: Task, prompt format and engine settings.
        notes: What a reader should know, such as dropped prompts.
    """

    kind: ClassVar[str] = "slr_probe.ranking/1"

    kinds: ndarray
    validity: Float[ndarray, "row prompt"]
    diversity: Float[ndarray, "row prompt"]
    held_validity: Float[ndarray, "row held"]
    held_diversity: Float[ndarray, "row held"]
    score: Float[ndarray, " row"]
    block_gain: Float[ndarray, " block"]
    changed: Bool[ndarray, " block"]
    recipe_data: tuple[Mapping[str, Any], ...]
    method: str
    floor: float
    categories: tuple[str, ...] = ()
    held_categories: tuple[str, ...] = ()
    level: float = 0.95
    resamples: int = 2000
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    # -- what was proposed ---------------------------------------------------------------------------------------

    @property
    def best(self) -> LayerRange:
        """The range to restore. Where `meets_floor` is false, the one that comes nearest to the floor."""
        return self.ranges[int(self.order[0])]

    @property
    def meets_floor(self) -> bool:
        """Whether the best range keeps `floor` times the validity of tuned."""
        return bool(self.feasible[self.order[0]])

    def top(self, k: int = 10) -> tuple[LayerRange, ...]:
        """The first `k` ranges of the ranking."""
        return tuple(self.ranges[i] for i in self.order[:k])

    def pareto(self) -> tuple[LayerRange, ...]:
        """Measured ranges that no other beats in validity and in diversity, by falling validity."""
        return tuple(self.ranges[i] for i in self.front)

    @cached_property
    def best_soup(self) -> int | None:
        """Row of the soup that the same rule chooses: most diverse under the floor, else nearest to it."""
        soups = [int(i) for i in self.rows("soup") if self.measured[i]]
        allowed = [i for i in soups if self.feasible[i]]
        key = self.mean_diversity if allowed else self.mean_validity
        return max(allowed or soups, key=lambda i: float(key[i]), default=None)

    def agreement(self, other: RangeRanking, k: int = 10) -> Agreement:
        """How far two methods agree on the order of all ranges and on the first `k`.

        Raises:
            RankingError: The other ranking is of a model of another depth.
        """
        return agreement(self.key, other.key, self.top(k), other.top(k))

    def index(self, layers: LayerRange | str) -> int:
        """Row of a range.

        Raises:
            LayerRangeError: It is malformed, empty or out of bounds.
        """
        wanted = LayerRange(layers).within(self.depth, allow_empty=False)
        found = [i for i, layers in enumerate(self.ranges) if layers == wanted]
        if not found:
            raise LayerRangeError(f"layer range {wanted} is not in this ranking")
        return found[0]

    def rows(self, kind: str) -> Int[ndarray, " found"]:
        """Indices of the rows of one kind."""
        return np.flatnonzero(self.kinds == kind)

    # -- how it follows from the numbers -------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """Number of decoder blocks."""
        return len(self.changed)

    @cached_property
    def recipes(self) -> tuple[Recipe, ...]:
        """Recipe of each row."""
        return tuple(Recipe.from_dict(data) for data in self.recipe_data)

    @cached_property
    def ranges(self) -> tuple[LayerRange, ...]:
        """All ranges: the first rows."""
        return tuple(LayerRange.all(self.depth))

    @cached_property
    def measured(self) -> Bool[ndarray, " row"]:
        """Rows with measured scores."""
        return np.asarray(np.isfinite(self.validity).all(axis=1))

    @cached_property
    def mean_validity(self) -> Float[ndarray, " row"]:
        """Mean validity over the selection prompts."""
        return np.asarray(self.validity.mean(axis=1))

    @cached_property
    def mean_diversity(self) -> Float[ndarray, " row"]:
        """Mean diversity over the selection prompts."""
        return np.asarray(self.diversity.mean(axis=1))

    @property
    def bar(self) -> float:
        """The least mean validity that is allowed."""
        return float(self.floor * self.mean_validity[self._tuned])

    @cached_property
    def feasible(self) -> Bool[ndarray, " row"]:
        """Rows that meet the floor; none where tuned has no validity of which to keep a share."""
        return np.asarray(self.measured & (self.bar > 0) & (self.mean_validity >= self.bar - 1e-9))

    @cached_property
    def key(self) -> Float[ndarray, " range"]:
        """One number for each range whose falling order is the ranking (ties aside).

        Ranges that meet the floor lead, by diversity; then those that do not, by validity; then what was only scored.
        """
        n = len(self.ranges)
        idle = np.array([not self.changed[r.start : r.stop].any() for r in self.ranges])  # these restore nothing
        if self.method not in VERIFIED:
            return np.where(idle, np.min(self.score[:n]) - 1, self.score[:n])
        measured = np.where(self.feasible, 2 + self.mean_diversity, self.mean_validity)[:n]
        span = np.nanmax(np.abs(self.score[:n]), initial=1.0)
        return np.where(self.measured[:n], measured, -2 + np.nan_to_num(self.score[:n]) / span)

    @cached_property
    def order(self) -> Int[ndarray, " range"]:
        """Rows of all ranges from best to worst; of equals the narrowest is first, then the one that starts first."""
        return order_by(self.key, self._width, np.array([r.start for r in self.ranges]))

    @cached_property
    def front(self) -> Int[ndarray, " member"]:
        """Rows of the Pareto front, by falling validity; of equal ranges the narrowest alone."""
        rows = np.array([i for i in self.order if self.measured[i]], dtype=int)
        return np.asarray(rows[front(self.mean_validity[rows], self.mean_diversity[rows])])

    @cached_property
    def _winners(self) -> tuple[Float[ndarray, " range"], float]:
        n = len(self.ranges)
        share = np.full(n, np.nan)
        rows = np.flatnonzero(self.measured[:n])
        if self.method not in VERIFIED or self.validity.shape[1] < 2:
            return share, float("nan")
        start = np.array([r.start for r in self.ranges])
        share[rows], none = winner_share(
            self.diversity[rows],
            self.validity[rows],
            self.validity[self._tuned],
            self.floor,
            priority=(self._width * (self.depth + 1) + start)[rows].astype(float),
            resamples=self.resamples,
            seed=self.seed,
            strata=self.categories or None,
        )
        return share, none

    @property
    def p_best(self) -> Float[ndarray, " range"]:
        """Share of bootstrap resamples in which each measured range is the best one under the floor."""
        return self._winners[0]

    @property
    def p_none(self) -> float:
        """Share of bootstrap resamples in which no measured range meets the floor."""
        return self._winners[1]

    def interval(self, what: str, *, held_out: bool = False) -> Interval:
        """Paired bootstrap interval over prompts for every row; NaN for rows that were not measured.

        Args:
            what: `"validity"`, `"diversity"`, `"gain"` (diversity above tuned) or `"kept"` (share of tuned's
                validity; NaN where it has none).
            held_out: On the held-out prompts.
        """
        validity, diversity = (self.held_validity, self.held_diversity) if held_out else (self.validity, self.diversity)
        strata = (self.held_categories if held_out else self.categories) or None
        values = diversity if what in ("diversity", "gain") else validity
        limits = np.full((3, len(values)), np.nan)
        rows = np.flatnonzero(np.isfinite(values).all(axis=1)) if values.shape[1] > 1 else np.array([], dtype=int)
        options: dict[str, Any] = {
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "strata": strata,
        }
        if len(rows):
            tuned = values[self._tuned]
            if what == "gain":
                found = difference_interval(values[rows], tuned, **options)
            elif what == "kept" and not tuned.any():
                return Interval(limits[0], limits[1], limits[2], self.level)
            elif what == "kept":
                found = ratio_interval(values[rows], tuned, **options)
            else:
                found = mean_interval(values[rows], **options)
            limits[:, rows] = found.estimate, found.low, found.high
        return Interval(limits[0], limits[1], limits[2], self.level)

    @property
    def _tuned(self) -> int:
        return int(self.rows("tuned")[0])

    @property
    def _width(self) -> Int[ndarray, " range"]:
        return np.array([r.width for r in self.ranges])

    # -- showing it ----------------------------------------------------------------------------------------------

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each range in ranked order, then references and controls; intervals as `_low` and `_high`."""
        return summary.table(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: `tuned`, `base`, `best`, `candidates` and the rest."""
        return summary.plain(self)

    def plot(self, **options: Any) -> Figure:
        """Heat maps of validity and diversity over start and stop, and the trade-off with its front."""
        from slr_probe.show.ranking import plot_ranking

        return plot_ranking(self)

    def __repr__(self) -> str:
        return summary.text(self)

    def _repr_html_(self) -> str:
        return summary.html(self)
