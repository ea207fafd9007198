"""What a validation measured of one hybrid, in Markdown for its model card."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slr_probe.errors import ValidationError
from slr_probe.recipe import Recipe
from slr_probe.scoring.metrics import metric
from slr_probe.show.comparison import difference
from slr_probe.show.words.format import estimate, short
from slr_probe.show.words.validation import carry_over, decimals, endings, verdicts, warmer

if TYPE_CHECKING:
    from slr_probe.validation.result import ValidationReport


def measured(report: ValidationReport, recipe: Recipe) -> str:
    """A table of the hybrid beside tuned on the first measures of each task, and what the numbers support.

    That includes what speaks against it: a tuned model that is sampled warmer and does as well, turns that do not end.

    Args:
        report: A validation.
        recipe: The recipe of the hybrid that the card is of.

    Raises:
        ValidationError: It is not among those that were validated.
    """
    model = _name(report, recipe)
    rows = [f"| task | measure | {report.reference} | this model | difference |", "| --- | --- | --- | --- | --- |"]
    for task, primary in zip(report.tasks, report.primary, strict=True):
        for name in primary:
            at, spec = report.at(task, model, name), decimals(report, task, name)
            means = [estimate(report.comparisons.mean, (at[0], m, at[2]), spec) for m in (0, at[1])]
            rows.append(
                "| " + " | ".join([short(task), metric(name).label, *means, difference(report, at, task)]) + " |"
            )
    sizes = zip(report.tasks, report.prompt_ids, report.samples, strict=True)
    size = ", ".join(f"{short(task)} {len(ids)} prompts x {samples} samples" for task, ids, samples in sizes)
    lines = (*verdicts(report), *warmer(report), *carry_over(report), *endings(report))
    said = [line for line in lines if re.search(rf": {re.escape(model)}[: ]", line)]
    return "\n".join(
        [
            f"By slr_probe, with {report.level:.0%} intervals over prompts ({size}).",
            "",
            *rows,
            "",
            *(f"- {line}" for line in said),
        ]
    )


def _name(report: ValidationReport, recipe: Recipe) -> str:
    """What the report calls the hybrid."""
    validated = {
        str(method["name"]): Recipe.from_dict(method["recipe"])
        for method in report.settings.get("methods", ())
        if method["kind"] == "hybrid"
    }
    for name, other in validated.items():
        if other == recipe:
            return name
    raise ValidationError(f"the validation is of {', '.join(validated) or 'no hybrid'}, and not of '{recipe}'")
