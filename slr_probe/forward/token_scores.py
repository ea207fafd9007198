"""What is kept of a next-token distribution where the next token is known: five numbers instead of a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from slr_probe.forward.distributions import distribution, entropy, kl
from slr_probe.forward.readout import warped

SCORES = ("given", "end", "entropy", "kl_to", "kl_from")
"""Log-probability of the given token and of all end tokens together, entropy, and divergences to and from another
distribution; all in nats."""
_LEAST = -1e30  # stands in for the log of 0, so that 0 times it is 0


@dataclass(frozen=True)
class Reference:
    """The distributions that others are compared with, as their model writes at temperature 1.

    Attributes:
        p: Probabilities.
        log_p: Their logs.
    """

    p: Float[Tensor, "read vocab"]
    log_p: Float[Tensor, "read vocab"]

    @classmethod
    def of(cls, logits: Float[Tensor, "read vocab"]) -> Reference:
        """The distributions of some logits, in float32."""
        p, log_p = distribution(logits)
        return cls(p, log_p.clamp_min_(_LEAST))

    def rows(self, reads: slice) -> Reference:
        """Some of them."""
        return Reference(self.p[reads], self.log_p[reads])


def score_tokens(
    logits: Float[Tensor, "state read vocab"],
    given: Int[Tensor, " read"],
    ends: Int[Tensor, " end"],
    reference: Reference,
    *,
    temperature: float = 1.0,
    min_p: float = 0.0,
) -> Float[Tensor, "state read score"]:
    """Reduce logits to `SCORES`, in float32.

    Temperature and min-p act on the logits and not on the reference. Where min-p drops a token, `kl_from` is infinite.

    Args:
        logits: Next-token logits, any floating dtype.
        given: The token that was given at each position; -1 for none, whose log-probability is NaN.
        ends: The end tokens, each once.
        reference: What to compare with, at the same positions.
        temperature: Above 0.
        min_p: From 0 (off) to 1.
    """
    p, log_p = distribution(warped(logits, temperature, min_p))
    places = given.clamp_min(0).expand(log_p.shape[:-1])[..., None]
    of_given = log_p.gather(-1, places)[..., 0].masked_fill(given < 0, torch.nan)
    of_ends = log_p[..., ends].logsumexp(-1)
    dropped = log_p.isneginf().any(-1) if min_p > 0 else None
    log_p.clamp_min_(_LEAST)
    away = kl(reference.p, reference.log_p, log_p)
    if dropped is not None:
        away = away.masked_fill(dropped, torch.inf)
    return torch.stack([of_given, of_ends, entropy(p, log_p), kl(p, log_p, reference.log_p), away], -1)
