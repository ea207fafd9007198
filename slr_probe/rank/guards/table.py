"""`ReplyTable`: what every row of a ranking says at the places of replies that are read, prompt by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntFlag
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.stats.ending import log_rest, with_bias


class Place(IntFlag):
    """What a read is for; one read may serve several ends.

    Attributes:
        END: Tuned ended its reply here.
        INSIDE: One of the random places before the end of a reply of tuned.
        OPENING: One of the first tokens of a reply, of tuned or of base, to an open prompt.
    """

    END = 1
    INSIDE = 2
    OPENING = 4


SCORES = ("given", "end", "drift", "entropy")
"""Log-probability of the given token, log of the probability of all end tokens, KL(row || tuned), and entropy after
min-p as text is generated with; all in nats."""


@dataclass(frozen=True)
class ReplyTable:
    """Scores at all reads.

    Means go over the prompts, and within a prompt over its reads, so that prompts are what is resampled. A prompt
    without a read of the sort counts for nothing.

    Attributes:
        prompt: Number of the prompt of each read.
        place: What each read is for (`Place`).
        scores: `SCORES` of each row and read; NaN for rows that were not measured.
    """

    prompt: Int[ndarray, " read"]
    place: Int[ndarray, " read"]
    scores: Float[ndarray, "row read score"]

    @property
    def ends(self) -> int:
        """Replies that ended."""
        return int(self.at(Place.END).sum())

    def at(self, place: Place) -> Bool[ndarray, " read"]:
        """Reads that are for this."""
        return np.asarray(self.place & place) > 0

    def score(self, name: str) -> Float[ndarray, "row read"]:
        """One score of every row and read, in nats."""
        return np.asarray(self.scores[:, :, SCORES.index(name)], dtype=np.float64)

    @cached_property
    def ending(self) -> Float[ndarray, "row prompt"]:
        """Probability of ending the turn where tuned ended it."""
        return np.asarray(np.exp(self.score("end"))[:, self.at(Place.END)] @ self._shares(Place.END))

    @cached_property
    def early(self) -> Float[ndarray, "row prompt"]:
        """Probability of ending the turn where tuned went on."""
        return np.asarray(np.exp(self.score("end"))[:, self.at(Place.INSIDE)] @ self._shares(Place.INSIDE))

    @cached_property
    def surprise(self) -> Float[ndarray, "row prompt"]:
        """Mean negative log-likelihood of tuned's tokens before the end, in nats a token."""
        return -self.at_places("given", Place.INSIDE)

    @cached_property
    def drift(self) -> Float[ndarray, "row prompt"]:
        """KL(row || tuned) before the end, in nats a token."""
        return self.at_places("drift", Place.INSIDE)

    @cached_property
    def spread(self) -> Float[ndarray, "row prompt"]:
        """Entropy after min-p over the first tokens of replies to open prompts, in nats a token."""
        return self.at_places("entropy", Place.OPENING)

    def at_places(self, name: str, place: Place) -> Float[ndarray, "row prompt"]:
        """Mean of a score over each prompt's reads of one sort."""
        return np.asarray(self.score(name)[:, self.at(place)] @ self._shares(place))

    def biased(self, bias: float, rows: Sequence[int]) -> ReplyTable:
        """The same reads of some rows once `bias` is added to the logit of each end token.

        Divergence and entropy do not follow from what was read; they are NaN.
        """
        scores = np.asarray(self.scores[list(rows)], dtype=np.float64).copy()
        rest = log_rest(scores[:, :, SCORES.index("end")], bias)
        scores[:, :, SCORES.index("given")] += bias * self.at(Place.END) - rest
        with np.errstate(divide="ignore"):
            scores[:, :, SCORES.index("end")] = np.log(with_bias(scores[:, :, SCORES.index("end")], bias))
        scores[:, :, [SCORES.index("drift"), SCORES.index("entropy")]] = np.nan
        return replace(self, scores=scores)

    def weights(self, place: Place) -> Float[ndarray, " read"]:
        """Share of each read of one sort in the mean over prompts."""
        shares = self._shares(place)
        return np.asarray(shares.sum(axis=1) / shares.shape[1])

    def _shares(self, place: Place) -> Float[ndarray, "read prompt"]:
        """Share of each read of one sort in the mean of its prompt; prompts without one are left out."""
        names, group = np.unique(self.prompt[self.at(place)], return_inverse=True)
        shares = np.zeros((len(group), len(names)))
        shares[np.arange(len(group)), group] = 1 / np.bincount(group, minlength=len(names))[group]
        return shares
