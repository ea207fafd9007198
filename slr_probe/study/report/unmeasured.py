"""What a study did not measure, so that silence is not taken for an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking
    from slr_probe.study.folder import Findings
    from slr_probe.validation.result import ValidationReport

_BASELINES = {
    "soup": "soups",
    "temperature": "warmer sampling",
    "prompt": "a prompt that asks for diversity",
    "random": "random ranges of equal width",
}
"""Kinds of baselines in generated text, and what they are called."""


def unmeasured(found: Findings) -> list[str]:
    """Names of what was not measured, the most important first."""
    probes = {
        "the change of weights": found.delta,
        "entropy over depth": found.lens,
        "activation patching": found.patching,
    }
    return [
        *(["the ranges"] if found.ranking is None else _of_ranking(found.ranking)),
        *(["generated text"] if found.validation is None else _of_text(found.validation)),
        *(name for name, result in probes.items() if result is None),
    ]


def _of_ranking(ranking: RangeRanking) -> Iterator[str]:
    if not ranking.prompts(held_out=True):
        yield "prompts held out from the choice"
    if ranking.best_soup is None:
        yield "soups on the random-choice prompts"
    if not ranking.measured[: len(ranking.ranges)].all():
        yield f"{int((~ranking.measured[: len(ranking.ranges)]).sum())} of the {len(ranking.ranges)} ranges"


def _of_text(report: ValidationReport) -> Iterator[str]:
    absent = [name for kind, name in _BASELINES.items() if kind not in report.kinds]
    if absent:
        yield f"in generated text {', '.join(absent)}"
