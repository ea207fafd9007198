"""`ReplyScores`: what every hybrid of a sweep says to replies that were given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from slr_probe.forward.token_scores import SCORES

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class ReplyScores:
    """Exact scores of replies, position by position, in nats; NaN where nothing was read.

    Attributes:
        given: Log-probability of the token that was given; NaN after the last token too.
        end: Log of the probability of all end tokens together.
        entropy: Entropy of the distribution.
        kl_to: Its Kullback-Leibler divergence KL(recipe || reference). The reference writes at temperature 1, without
            min-p.
        kl_from: KL(reference || recipe); infinite where min-p dropped a token.
    """

    given: Float[ndarray, "recipe reply position"]
    end: Float[ndarray, "recipe reply position"]
    entropy: Float[ndarray, "recipe reply position"]
    kl_to: Float[ndarray, "recipe reply position"]
    kl_from: Float[ndarray, "recipe reply position"]

    @classmethod
    def of(cls, scores: Float[ndarray, "recipe read score"], places: Int[ndarray, "read 2"]) -> ReplyScores:
        """From the scores of each read, given its reply and position."""
        replies, positions = places.max(axis=0) + 1
        whole = np.full((len(SCORES), len(scores), replies, positions), np.nan, dtype=np.float32)
        whole[:, :, places[:, 0], places[:, 1]] = np.moveaxis(scores, -1, 0)
        return cls(*whole)

    @property
    def surprise(self) -> Float[ndarray, "recipe reply"]:
        """Mean negative log-probability of the given tokens of each reply, where they are read; NaN where none is."""
        known = np.isfinite(self.given) | np.isneginf(self.given)
        total = -np.where(known, self.given, 0.0).sum(axis=-1, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            return np.asarray(total / known.sum(axis=-1))

    @property
    def logprob(self) -> Float[ndarray, "recipe reply"]:
        """Log-probability of all given tokens of each reply that are read: of the whole reply, where all are."""
        return np.asarray(np.nansum(self.given, axis=-1, dtype=np.float64))
