"""`RangeScores`: the order of the ranges that follows from what was measured, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.rank.guards.bounds import Guard
from slr_probe.rank.guards.judge import other_draws
from slr_probe.rank.order import EQUAL, front, order_by
from slr_probe.rank.rows import RankedRows
from slr_probe.stats import Interval, difference_interval, mean_interval, ratio_interval, winner_share
from slr_probe.stats.bootstrap import resample_counts, resampled_means
from slr_probe.stats.interval import FEWEST

VERIFIED = ("sweep", "race", "guided")
"""Methods whose order is by measured validity and diversity; the others order by the sum of block scores."""

What = Literal["validity", "diversity", "gain", "kept"]
MEASURES: tuple[What, ...] = ("validity", "diversity", "gain", "kept")
"""What a row is measured by. `"gain"`: diversity above tuned. `"kept"`: share of tuned's validity."""


@dataclass(frozen=True, eq=False, repr=False)
class RangeScores(RankedRows):
    """Every contiguous range with its scores, the guards that it passes, and its place in the order."""

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
    def keeps_floor(self) -> Bool[ndarray, " row"]:
        """Rows that meet the floor; none where tuned has no validity of which to keep a share."""
        enough = self.mean_validity >= self.required_validity - EQUAL
        return np.asarray(self.measured & (self.required_validity > 0) & enough)

    @cached_property
    def feasible(self) -> Bool[ndarray, " row"]:
        """Rows that meet the floor and pass every guard."""
        passed = self.keeps_floor.copy()
        for guard in self.judge.asked:
            passed &= self.judge.passes(guard)
        return passed

    def excluded_by(self, row: int) -> tuple[Guard, ...]:
        """Guards that exclude a row, the floor on validity first; none for a row that was not measured."""
        if not self.measured[row]:
            return ()
        failed: list[Guard] = [] if self.keeps_floor[row] else ["validity"]
        return (*failed, *(guard for guard in self.judge.asked if not self.judge.passes(guard)[row]))

    @cached_property
    def mean_spread(self) -> Float[ndarray, " row"]:
        """Mean entropy of the first tokens of replies to open prompts, in nats; NaN where none were read."""
        spread = self.judge.table.spread
        return np.asarray(spread.mean(axis=1)) if spread.shape[1] else np.full(len(self.kinds), np.nan)

    @cached_property
    def value(self) -> Float[ndarray, " row"]:
        """What is maximised: diversity, spread, or the sum of both gains over tuned (ours).

        For the sum each gain is a share of the largest among the ranges that are allowed, so the best of them lies on
        the Pareto front of both.
        """
        if self.objective != "both":
            return self.mean_diversity if self.objective == "crc" else self.mean_spread
        scale = self._scales
        return np.asarray(self._gain(self.mean_diversity) / scale[0] + self._gain(self.mean_spread) / scale[1])

    @cached_property
    def standing(self) -> Float[ndarray, " row"]:
        """One number for each measured row: those that are allowed lead, by `value`; then whatever comes nearest.

        Without guards the nearest to the floor has the most validity. With guards it is the one whose shares miss their
        bounds by the least in all (ours).
        """
        nearest = 1 / (1 + self._missed) if self.judge.asked else self.mean_validity
        return np.where(self.feasible, 2 + self.value - np.nanmin(self.value, initial=0.0), nearest)

    @cached_property
    def key(self) -> Float[ndarray, " range"]:
        """One number for each range whose falling order is the ranking (ties aside).

        Measured ranges lead, by their standing; then what was only scored.
        """
        n = len(self.ranges)
        score = self.score[:n]
        if self.method not in VERIFIED:
            unchanged = np.array([not self.changed[r.start : r.stop].any() for r in self.ranges])
            return np.where(unchanged, np.min(score) - 1, score)  # what restores nothing comes last
        span = np.nanmax(np.abs(score), initial=1.0)
        return np.where(self.measured[:n], self.standing[:n], -2 + np.nan_to_num(score) / span)

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
    def spread_front(self) -> Int[ndarray, " member"]:
        """Rows of allowed ranges that no other beats in diversity and in spread, by falling diversity."""
        rows = np.array([i for i in self.order if self.feasible[i]], dtype=int)
        if not self.has_replies or not len(rows):
            return np.zeros(0, dtype=int)
        return np.asarray(rows[front(self.mean_diversity[rows], self.mean_spread[rows])])

    @cached_property
    def best_soup(self) -> int | None:
        """Row of the soup that the same rule chooses; the first of equal ones."""
        soups = np.array([i for i in self.rows("soup") if self.measured[i]], dtype=int)
        if not len(soups):
            return None
        return int(soups[self.standing[soups].argmax()])

    @property
    def _widths(self) -> Int[ndarray, " range"]:
        return np.array([r.width for r in self.ranges])

    @property
    def _starts(self) -> Int[ndarray, " range"]:
        return np.array([r.start for r in self.ranges])

    def _gain(self, means: Float[ndarray, " row"]) -> Float[ndarray, " row"]:
        return np.asarray(means - means[self.tuned])

    @cached_property
    def _scales(self) -> tuple[float, float]:
        """The largest gains in diversity and in spread among the ranges that are allowed; 1 where there is none."""
        allowed = self.feasible[: len(self.ranges)]
        gains = (self._gain(means)[: len(allowed)][allowed] for means in (self.mean_diversity, self.mean_spread))
        largest = [float(np.nanmax(gain, initial=0.0)) for gain in gains]
        return largest[0] or 1.0, largest[1] or 1.0

    @cached_property
    def _missed(self) -> Float[ndarray, " row"]:
        """By how much the shares of tuned's miss their bounds, all guards together."""
        missed = np.maximum(self.floor - self.means("kept"), 0.0)
        for guard in self.judge.asked:
            share, (low, high) = self.judge.share(guard), self.judge.bounds(guard)
            missed = missed + np.maximum(np.maximum(low - share, share - high), 0.0)
        return np.asarray(missed)

    # -- how sure it is ------------------------------------------------------------------------------------------

    @cached_property
    def _winners(self) -> tuple[Float[ndarray, " range"], float]:
        share = np.full(len(self.ranges), np.nan)
        rows = np.flatnonzero(self.measured[: len(self.ranges)])
        if self.method not in VERIFIED or self.validity.shape[1] < FEWEST:
            return share, float("nan")
        priority = self._widths * (self.depth + 1) + self._starts  # as in `order`
        share[rows], none = winner_share(
            self.diversity[rows],
            self.validity[rows],
            self.validity[self.tuned],
            self.floor,
            priority=priority[rows].astype(float),
            gains=self._drawn_values(rows),
            allowed=self.judge.drawn(rows.tolist(), self.resamples, self.seed) if self.judge.asked else None,
            resamples=self.resamples,
            seed=self.seed,
            strata=self.categories or None,
        )
        return share, none

    def _drawn_values(self, rows: Int[ndarray, " found"]) -> Float[ndarray, "found resample"] | None:
        """What is maximised in each resample; None where that is diversity alone."""
        if self.objective == "crc":
            return None
        spread = self.judge.table.spread
        counts = resample_counts(spread.shape[1], self.resamples, other_draws(self.seed))
        spreads = resampled_means(spread[[*rows, self.tuned]], counts)
        if self.objective == "spread":
            return spreads[:-1]
        counts = resample_counts(self.validity.shape[1], self.resamples, self.seed, self.categories or None)
        diversity = resampled_means(self.diversity[[*rows, self.tuned]], counts)
        gains = diversity[:-1] - diversity[-1], spreads[:-1] - spreads[-1]
        return np.asarray(gains[0] / self._scales[0] + gains[1] / self._scales[1])

    @property
    def p_best(self) -> Float[ndarray, " range"]:
        """Share of bootstrap resamples in which each measured range is the best one under the floor.

        NaN below 5 prompts, where draws of the same few prompts say nothing of others.
        """
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
        """Paired bootstrap interval over prompts; NaN for rows that were not measured, and below 5 prompts.

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

    def guard_interval(self, guard: Guard, rows: Sequence[int]) -> Interval:
        """What rows say to replies, as a guard sees it: a share of tuned's, or nats for drift."""
        return self.judge.interval(guard, rows, {**self.bootstrap(held_out=False), "strata": None})

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
