"""What was not measured, so that silence is not taken for an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking
    from slr_probe.validation.result import ValidationReport

_BASELINES = {
    "soup": "soups",
    "temperature": "warmer sampling",
    "prompt": "a prompt that asks for diversity",
    "random": "random ranges of equal width",
}
"""Kinds of baselines in generated text, and what they are called."""


def of_ranking(ranking: RangeRanking) -> Iterator[str]:
    """What a ranking may hold and this one does not."""
    if not ranking.prompts(held_out=True):
        yield "prompts held out from the choice"
    if ranking.best_soup is None:
        yield "soups on the random-choice prompts"
    if not ranking.measured[: len(ranking.ranges)].all():
        yield f"{int((~ranking.measured[: len(ranking.ranges)]).sum())} of the {len(ranking.ranges)} ranges"


def of_text(report: ValidationReport) -> Iterator[str]:
    """Baselines that a validation may hold and this one does not."""
    yield from (name for kind, name in _BASELINES.items() if kind not in report.kinds)


def not_measured(names: Iterable[str]) -> tuple[str, ...]:
    """A line that names them; none where there are none.

    Examples:
        >>> not_measured(["soups", "warmer sampling"])
        ('Not measured: soups, warmer sampling.',)
    """
    said = ", ".join(names)
    return (f"Not measured: {said}.",) if said else ()
