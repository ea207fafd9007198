"""What a study did not measure, so that silence is not taken for an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from slr_probe.show.words.unmeasured import of_ranking, of_text

if TYPE_CHECKING:
    from slr_probe.study.folder import Findings
    from slr_probe.validation.result import ValidationReport


def unmeasured(found: Findings) -> list[str]:
    """Names of what was not measured, the most important first."""
    probes = {
        "the change of weights": found.delta,
        "entropy over depth": found.lens,
        "activation patching": found.patching,
    }
    return [
        *(["the ranges"] if found.ranking is None else of_ranking(found.ranking)),
        *(["generated text"] if found.validation is None else _in_text(found.validation)),
        *(name for name, result in probes.items() if result is None),
    ]


def _in_text(report: ValidationReport) -> Iterator[str]:
    absent = list(of_text(report))
    if absent:
        yield f"in generated text {', '.join(absent)}"
