"""What is kept of a next-token distribution where the next token is known: five numbers instead of a vocabulary."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from slr_probe.forward.distributions import distribution, entropy

SCORES = ("given", "end", "entropy", "kl_to", "kl_from")
"""Log-probability of the given token and of all end tokens together, entropy, and divergences to and from another
distribution; all in nats."""
_LEAST = -1e4
"""Stands in for the log of 0, so that 0 times it is 0."""
_FAST = -87.0
"""Below it e^x is no normal float32 number, and takes a processor many times as long."""
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Reference:
    """The distributions that others are compared with, as their model writes at temperature 1.

    Attributes:
        p: Probabilities.
        log_p: Their logs.
        entropy: Their entropies in nats.
    """

    p: Float[Tensor, "read vocab"]
    log_p: Float[Tensor, "read vocab"]
    entropy: Float[Tensor, " read"]

    @classmethod
    def of(cls, logits: Float[Tensor, "read vocab"]) -> Reference:
        """The distributions of some logits, in float32."""
        p, log_p = distribution(logits)
        log_p.clamp_min_(_LEAST)
        return cls(p, log_p, entropy(p, log_p))

    def rows(self, reads: slice) -> Reference:
        """Some of them."""
        return Reference(self.p[reads], self.log_p[reads], self.entropy[reads])


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

    With x the logits below their largest, e = exp x and Z = sum e, all five follow from Z and three dot products: the
    entropy is log Z - e x / Z, and the divergences use the reference's log q beside e and its q beside x. This passes
    over the vocabulary half as often as probabilities and their logs would, to the same precision (1e-6 nats where the
    distributions are alike).

    Temperature and min-p act on the logits and not on the reference. Where min-p drops a token, `kl_from` is infinite.

    Args:
        logits: Next-token logits, any floating dtype.
        given: The token that was given at each position; -1 for none, whose log-probability is NaN.
        ends: The end tokens, each once.
        reference: What to compare with, at the same positions.
        temperature: Above 0.
        min_p: From 0 (off) to 1.
    """
    x = logits.to(torch.float32, copy=True)
    x.sub_(x.amax(-1, keepdim=True))
    if temperature != 1.0:
        x.div_(temperature)
    x.clamp_min_(_LEAST)
    e = x.clamp_min(_FAST).exp_()
    least = (1 - _ROUNDING) * min_p
    whole = e.amin(-1) > least
    if min_p > 0:
        torch.threshold_(e, least, 0.0)
    total = e.sum(-1)
    log_total = total.log()
    product = e * x  # one array for all three products: making arrays of this size takes longer than filling them
    mean = product.sum(-1) / total
    cross = torch.mul(e, reference.log_p, out=product).sum(-1) / total
    away = log_total - torch.mul(reference.p, x, out=product).sum(-1) - reference.entropy
    divergences = (mean - log_total - cross).clamp_min(0), away.clamp_min(0).masked_fill(~whole, torch.inf)
    logs = _logs(x, given, ends, math.log(least) if min_p > 0 else 0.9 * _LEAST) - log_total[..., None]
    return torch.cat([logs, torch.stack([log_total - mean, *divergences], -1)], -1)


def _logs(
    x: Float[Tensor, "state read vocab"], given: Int[Tensor, " read"], ends: Int[Tensor, " end"], least: float
) -> Float[Tensor, "state read 2"]:
    """Unnormalised log-probabilities of the given token, NaN where none was given, and of all end tokens."""
    token = x.gather(-1, given.clamp_min(0).expand(x.shape[:-1])[..., None])
    known = torch.cat([token, x[..., ends]], -1)
    known = known.masked_fill(known <= least, -torch.inf)
    return torch.stack([known[..., 0].masked_fill(given < 0, torch.nan), known[..., 1:].logsumexp(-1)], -1)
