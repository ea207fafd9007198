"""`RangeScores`: what was measured of every range, and the order that follows from the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.layers import LayerRange
from slr_probe.rank.order import EQUAL, best_allowed, front, order_by
from slr_probe.recipe import Recipe
from slr_probe.result import Result
from slr_probe.stats import Interval, difference_interval, mean_interval, ratio_interval, winner_share

VERIFIED = ("sweep", "guided")
"""Methods whose order is by measured validity and diversity; the others order by the sum of block scores."""

What = Literal["validity", "diversity", "gain", "kept"]
MEASURES: tuple[What, ...] = ("validity", "diversity", "gain", "kept")
"""What a row is measured by. `"gain"`: diversity above tuned. `"kept"`: share of tuned's validity."""


@dataclass(frozen=True, eq=False, repr=False)
class RangeScores(Result):
    """Every contiguous range with its scores, and what ranges are compared with.

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
    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    # -- rows ----------------------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """Number of decoder blocks."""
        return len(self.changed)

    @cached_property
    def ranges(self) -> tuple[LayerRange, ...]:
        """All ranges: the first rows."""
        return tuple(LayerRange.all(self.depth))

    @cached_property
    def recipes(self) -> tuple[Recipe, ...]:
        """Recipe of each row."""
        return tuple(Recipe.from_dict(data) for data in self.recipe_data)

    @cached_property
    def tuned(self) -> int:
        """Row of tuned."""
        return int(self.rows("tuned")[0])

    def rows(self, kind: str) -> Int[ndarray, " found"]:
        """Indices of the rows of one kind."""
        return np.flatnonzero(self.kinds == kind)

    @cached_property
    def measured(self) -> Bool[ndarray, " row"]:
        """Rows with measured scores."""
        return np.asarray(np.isfinite(self.validity).all(axis=1))

    # -- the order -----------------------------------------------------------------------------------------------

    @cached_property
    def mean_validity(self) -> Float[ndarray, " row"]:
        """Mean validity over the selection prompts."""
        return np.asarray(self.validity.mean(axis=1))

    @cached_property
    def mean_diversity(self) -> Float[ndarray, " row"]:
        """Mean diversity over the selection prompts."""
        return np.asarray(self.diversity.mean(axis=1))

    @property
    def required_validity(self) -> float:
        """The least mean validity that is allowed: `floor` times that of tuned."""
        return float(self.floor * self.mean_validity[self.tuned])

    @cached_property
    def feasible(self) -> Bool[ndarray, " row"]:
        """Rows that meet the floor; none where tuned has no validity of which to keep a share."""
        enough = self.mean_validity >= self.required_validity - EQUAL
        return np.asarray(self.measured & (self.required_validity > 0) & enough)

    @cached_property
    def key(self) -> Float[ndarray, " range"]:
        """One number for each range whose falling order is the ranking (ties aside).

        Ranges that meet the floor lead, by diversity; then those that do not, by validity; then what was only scored.
        """
        n = len(self.ranges)
        score = self.score[:n]
        if self.method not in VERIFIED:
            unchanged = np.array([not self.changed[r.start : r.stop].any() for r in self.ranges])
            return np.where(unchanged, np.min(score) - 1, score)  # what restores nothing comes last
        measured = np.where(self.feasible, 2 + self.mean_diversity, self.mean_validity)[:n]
        span = np.nanmax(np.abs(score), initial=1.0)
        return np.where(self.measured[:n], measured, -2 + np.nan_to_num(score) / span)

    @cached_property
    def order(self) -> Int[ndarray, " range"]:
        """Rows of all ranges from best to worst; ties go to the narrowest range, then to the one that starts first."""
        return order_by(self.key, self._widths, self._starts)

    @cached_property
    def front(self) -> Int[ndarray, " member"]:
        """Rows of the Pareto front, by falling validity; of equal ranges the narrowest alone."""
        rows = np.array([i for i in self.order if self.measured[i]], dtype=int)
        return np.asarray(rows[front(self.mean_validity[rows], self.mean_diversity[rows])])

    @cached_property
    def best_soup(self) -> int | None:
        """Row of the soup that the same rule chooses: most diverse under the floor, else nearest to it."""
        soups = np.array([i for i in self.rows("soup") if self.measured[i]], dtype=int)
        if not len(soups):
            return None
        return int(soups[best_allowed(self.mean_diversity[soups], self.mean_validity[soups], self.required_validity)])

    @property
    def _widths(self) -> Int[ndarray, " range"]:
        return np.array([r.width for r in self.ranges])

    @property
    def _starts(self) -> Int[ndarray, " range"]:
        return np.array([r.start for r in self.ranges])

    # -- how sure it is ------------------------------------------------------------------------------------------

    @cached_property
    def _winners(self) -> tuple[Float[ndarray, " range"], float]:
        share = np.full(len(self.ranges), np.nan)
        rows = np.flatnonzero(self.measured[: len(self.ranges)])
        if self.method not in VERIFIED or self.validity.shape[1] < 2:
            return share, float("nan")
        priority = self._widths * (self.depth + 1) + self._starts  # as in `order`
        share[rows], none = winner_share(
            self.diversity[rows],
            self.validity[rows],
            self.validity[self.tuned],
            self.floor,
            priority=priority[rows].astype(float),
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

    def prompts(self, *, held_out: bool) -> int:
        """Number of prompts of one kind."""
        return int((self.held_validity if held_out else self.validity).shape[1])

    def means(self, what: What, *, held_out: bool = False) -> Float[ndarray, " row"]:
        """Mean over prompts for every row; NaN for rows that were not measured, and without prompts."""
        values = self._values(what, held_out)
        if not values.shape[1]:
            return np.full(len(values), np.nan)
        means = values.mean(axis=1)
        if what == "gain":
            return np.asarray(means - means[self.tuned])
        if what == "kept":
            return means / means[self.tuned] if means[self.tuned] > 0 else np.full(len(values), np.nan)
        return np.asarray(means)

    def interval(self, what: What, *, held_out: bool = False, rows: Sequence[int] | None = None) -> Interval:
        """Paired bootstrap interval over prompts; NaN for rows that were not measured, and below 2 prompts.

        Args:
            what: `"validity"`, `"diversity"`, `"gain"` (diversity above tuned) or `"kept"` (share of tuned's
                validity; NaN where it has none).
            held_out: On the held-out prompts.
            rows: Of these rows; default: of every row.
        """
        everything = self._values(what, held_out)
        values = everything if rows is None else everything[list(rows)]
        limits = np.full((3, len(values)), np.nan)
        defined = np.flatnonzero(np.isfinite(values).all(axis=1))
        if len(defined) and values.shape[1] > 1:
            found = self._interval(what, values[defined], everything[self.tuned], self.bootstrap(held_out=held_out))
            if found is not None:
                limits[:, defined] = found.estimate, found.low, found.high
        return Interval(limits[0], limits[1], limits[2], self.level)

    def bootstrap(self, *, held_out: bool) -> dict[str, Any]:
        """Options of the bootstrap over one kind of prompts."""
        strata = (self.held_categories if held_out else self.categories) or None
        return {"level": self.level, "resamples": self.resamples, "seed": self.seed, "strata": strata}

    def _values(self, what: What, held_out: bool) -> Float[ndarray, "row prompt"]:
        if what in ("diversity", "gain"):
            return self.held_diversity if held_out else self.diversity
        return self.held_validity if held_out else self.validity

    @staticmethod
    def _interval(
        what: What, values: Float[ndarray, "row prompt"], tuned: Float[ndarray, " prompt"], options: dict[str, Any]
    ) -> Interval | None:
        if what == "gain":
            return difference_interval(values, tuned, **options)
        if what == "kept":
            return ratio_interval(values, tuned, **options) if tuned.any() else None
        return mean_interval(values, **options)
