"""What was generated: sentences, differences to tuned as a figure, and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slr_probe.scoring.metrics import metric
from slr_probe.show.comparison import lines
from slr_probe.show.words.format import short
from slr_probe.study.report.figures import forest
from slr_probe.study.report.tables import Table, TableRow

if TYPE_CHECKING:
    from slr_probe.validation.result import ValidationReport


def section(report: ValidationReport) -> dict[str, Any]:
    """All that the page says of a validation."""
    pairs = "; ".join(
        f"{short(task)}: {metric(one).label} and {metric(other).label}"
        for task, (one, other) in zip(report.tasks, report.primary, strict=True)
    )
    return {
        "verdicts": [
            _capital(line) for line in (*report.verdicts, *report.warmer, *report.endings, *report.carry_over)
        ],
        "forest": forest(report),
        "caption": f"Difference to tuned of the hybrid (first) and of baselines, with {report.level:.0%} bootstrap "
        f"intervals over prompts. The measures were fixed beforehand: {pairs}. Green is better, orange worse, grey "
        "not shown to differ: the interval holds zero or, for the hybrid, the difference does not survive the "
        "adjustment for many comparisons.",
        "tables": tables(report),
    }


def tables(report: ValidationReport) -> list[Table]:
    """A table a task: the two primary measures with intervals and differences, and more of diversity."""
    made = []
    for task, ids, samples in zip(report.tasks, report.prompt_ids, report.samples, strict=True):
        columns, rows = lines(report, task)
        caption = (
            f"{task}: {len(ids)} prompts, {samples} samples each. Means, and differences to tuned with "
            f"{report.level:.0%} intervals; * marks an adjusted p of at most {1 - report.level:.2g}. All "
            "measures are in validate/table.csv."
        )
        body = [TableRow(tuple(row[1:6]), "chosen" if row[0] else "") for row in rows]
        made.append(Table(caption, ("", *columns[2:6]), body))
    return made


def _capital(line: str) -> str:
    return line[:1].upper() + line[1:]
