"""`EndBias`: repairs the ending of a range with one number, where that can be done (ours).

A late range is often diverse and forgets to end its turn. Adding one number to the logits of the end tokens brings the
mean probability of ending at the ends of tuned's replies back to tuned's. It costs early ends, so it is offered only
where the range itself tells true ends from other places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from slr_probe.rank.guards.table import Place, ReplyTable
from slr_probe.stats.ending import bias_to_reach, separation

LEAST_SEPARATION = 0.995
"""Least area under the curve between true ends and other places (ours)."""
MOST_EARLY = 2.0
"""Most that early ends may become, as a share of tuned's (ours)."""
FEW_EARLY = 1e-3
"""Early ends below this probability a token are none, whatever tuned's are (ours)."""

Repair = Literal["offered", "it never ends", "ends are not told apart", "it would end too early"]


@dataclass(frozen=True)
class EndBias:
    """The bias of one row, and what it does to replies that it was not found on where there are any.

    Attributes:
        bias: What is added to the logit of every end token, in nats; NaN where no number does it.
        separation: Area under the curve between the row's probability of ending at true ends and elsewhere.
        ending: Probability of ending at true ends, as a share of tuned's: without the bias, and with it.
        early: Mean probability of ending where tuned went on: of tuned, of the row without the bias, and with it.
        surprise: Surprise at tuned's tokens before the end with the bias, as a share of tuned's.
        held_out: Whether the last three are from replies that the bias was not found on.
        state: `"offered"`, or why it is not.
        tokens: Ids of the end tokens.
    """

    bias: float
    separation: float
    ending: tuple[float, float]
    early: tuple[float, float, float]
    surprise: float
    held_out: bool
    state: Repair
    tokens: tuple[int, ...] = ()

    @property
    def per_token(self) -> dict[int, float]:
        """The bias of each end token, as `restore` takes it."""
        return dict.fromkeys(self.tokens, self.bias)

    @property
    def offered(self) -> bool:
        """Whether the ending can be repaired."""
        return self.state == "offered"


def repair(table: ReplyTable, held_out: ReplyTable | None, row: int, tuned: int, tokens: Sequence[int] = ()) -> EndBias:
    """Find the bias of a row on one set of replies and score it on another.

    Args:
        table: Replies that the bias is found on.
        held_out: Replies that it is scored on; None for the same.
        row: The row.
        tuned: Row of tuned.
        tokens: Ids of the end tokens.
    """
    logs, ends = table.score("end"), table.at(Place.END)
    told = separation(logs[row, ends], logs[row, table.at(Place.INSIDE)])
    bias = bias_to_reach(logs[row, ends], float(table.ending[tuned].mean()), table.weights(Place.END))
    scored = held_out is not None and held_out.ends > 0 and bool(np.isfinite(held_out.score("given")[row]).any())
    tested = held_out if held_out is not None and scored else table
    after = tested.biased(bias if np.isfinite(bias) else 0.0, [row])
    own, ours, theirs = (float(part.early[at].mean()) for part, at in ((tested, tuned), (tested, row), (after, 0)))
    reference = float(tested.ending[tuned].mean())
    return EndBias(
        bias=bias,
        separation=told,
        ending=(float(tested.ending[row].mean()) / reference, float(after.ending[0].mean()) / reference),
        early=(own, ours, theirs),
        surprise=float(after.surprise[0].mean()) / float(tested.surprise[tuned].mean()),
        held_out=scored,
        state=_state(bias, told, _early(table, bias, row, tuned)),
        tokens=tuple(tokens),
    )


def _early(table: ReplyTable, bias: float, row: int, tuned: int) -> tuple[float, float]:
    """Early ends with the bias, and of tuned, where the bias was found: the offer is no choice on held-out replies."""
    with_it = float(table.biased(bias, [row]).early[0].mean()) if np.isfinite(bias) else float("nan")
    return with_it, float(table.early[tuned].mean())


def _state(bias: float, told: float, early: tuple[float, float]) -> Repair:
    if not np.isfinite(bias):
        return "it never ends"
    if not told >= LEAST_SEPARATION:
        return "ends are not told apart"
    with_it, tuned = early
    return "offered" if with_it <= max(MOST_EARLY * tuned, FEW_EARLY) else "it would end too early"
