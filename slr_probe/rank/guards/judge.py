"""`Judge`: which guards a row of a ranking passes, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from slr_probe.rank.guards.bounds import REPLY_GUARDS, Guard, Guards
from slr_probe.rank.guards.table import ReplyTable
from slr_probe.rank.order import EQUAL
from slr_probe.stats import Interval, mean_interval, ratio_interval
from slr_probe.stats.bootstrap import resample_counts, resampled_means

FEWEST_REPLIES = 8
"""Fewer finished replies than this say nothing of how a range ends its turns, and nothing is asked of it (ours)."""
LITTLE_SURPRISE = 0.05
"""So many nats a token above tuned's surprise are no fault, however little tuned's own is (ours)."""


@dataclass(frozen=True)
class Judge:
    """Guards on replies, applied to every row.

    Ending and surprise are shares of tuned's: ratios of means over prompts. Drift is a mean, as tuned's own is 0.

    Attributes:
        table: What the rows say to the replies.
        guards: The bounds; None where nothing is asked.
        tuned: Row of tuned.
    """

    table: ReplyTable
    guards: Guards | None
    tuned: int

    @property
    def asked(self) -> tuple[Guard, ...]:
        """Guards that exclude anything here."""
        if self.guards is None or self.table.ends < FEWEST_REPLIES:
            return ()
        return tuple(guard for guard in REPLY_GUARDS if np.isfinite(self.guards.bounds(guard)).any())

    def bounds(self, guard: Guard) -> tuple[float, float]:
        """The least and the most that a guard lets pass; infinite where there is no bound.

        Where tuned knows its own replies by heart, a share of its surprise is next to nothing: `LITTLE_SURPRISE` above
        it always passes.
        """
        if self.guards is None:
            return -np.inf, np.inf
        low, high = self.guards.bounds(guard)
        if guard == "surprise":
            own = float(self.values(guard)[self.tuned].mean())
            high = max(high, 1 + LITTLE_SURPRISE / own) if own > 0 else np.inf
        return low, high

    def values(self, guard: Guard) -> Float[ndarray, "row prompt"]:
        """What a guard looks at, for each row and prompt: a probability for ending, else nats a token."""
        return np.asarray({"ending": self.table.ending, "surprise": self.table.surprise}.get(guard, self.table.drift))

    def share(self, guard: Guard) -> Float[ndarray, " row"]:
        """What is compared with the bounds; NaN for rows that were not measured."""
        values = self.values(guard)
        if not values.shape[1]:
            return np.full(len(values), np.nan)
        means = values.mean(axis=1)
        if guard == "drift":
            return np.asarray(means)
        return means / means[self.tuned] if means[self.tuned] > 0 else np.full(len(values), np.nan)

    def passes(self, guard: Guard) -> Bool[ndarray, " row"]:
        """Rows within the bounds of a guard: by the estimate, as with the floor on validity."""
        low, high = self.bounds(guard)
        share = self.share(guard)
        return (share >= low - EQUAL) & (share <= high + EQUAL)

    def interval(self, guard: Guard, rows: Sequence[int], options: dict[str, Any]) -> Interval:
        """Interval over prompts of what is compared with the bounds; NaN where there is none.

        Args:
            guard: The guard.
            rows: Of which rows.
            options: `level`, `resamples` and `seed` of the bootstrap.
        """
        values, share = self.values(guard)[list(rows)], self.share(guard)[list(rows)]
        tuned = self.values(guard)[self.tuned]
        low, high = np.full((2, len(rows)), np.nan)
        defined = np.flatnonzero(np.isfinite(values).all(axis=1))
        if len(defined) and values.shape[1] > 1 and (guard == "drift" or tuned.sum() > 0):
            drawn = values[defined]
            found = mean_interval(drawn, **options) if guard == "drift" else ratio_interval(drawn, tuned, **options)
            low[defined], high[defined] = found.low, found.high
        return Interval(share, low, high, float(options["level"]))

    def drawn(self, rows: Sequence[int], resamples: int, seed: int) -> Bool[ndarray, "row resample"]:
        """Which rows pass all guards when the prompts of the replies are drawn anew."""
        passed = np.ones((len(rows), resamples), dtype=bool)
        for guard in self.asked:
            values = self.values(guard)
            if values.shape[1] < 2:
                passed &= self.passes(guard)[list(rows), None]
                continue
            counts = resample_counts(values.shape[1], resamples, other_draws(seed))
            means = resampled_means(values[[*rows, self.tuned]], counts)
            with np.errstate(divide="ignore", invalid="ignore"):
                share = means[:-1] if guard == "drift" else means[:-1] / means[-1]
            low, high = self.bounds(guard)
            passed &= (share >= low - EQUAL) & (share <= high + EQUAL)
        return passed


def other_draws(seed: int) -> int:
    """The seed of draws that have nothing to do with those of `seed`: prompts of replies are not those of CRC."""
    return int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])
