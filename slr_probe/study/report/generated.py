"""What was generated: sentences, differences to tuned as a figure, and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slr_probe.show.format import listed, short
from slr_probe.study.report.figures import forest
from slr_probe.study.report.tables import Table, TableRow

if TYPE_CHECKING:
    from slr_probe.validation.result import ValidationReport


def section(report: ValidationReport) -> dict[str, Any]:
    """All that the page says of a validation."""
    pairs = "; ".join(
        f"{short(task)}: {_metric(one).label} and {_metric(other).label}"
        for task, (one, other) in zip(report.tasks, report.primary, strict=True)
    )
    return {
        "verdicts": [_capital(line) for line in (*report.verdicts, *report.endings, *report.carry_over)],
        "forest": forest(report),
        "caption": f"Difference to tuned of the hybrid (first) and of baselines, with {report.level:.0%} bootstrap "
        f"intervals over prompts. The measures were fixed beforehand: {pairs}. Green is better, orange worse, grey "
        "not shown to differ: the interval holds zero or, for the hybrid, the difference does not survive the "
        "adjustment for many comparisons.",
        "tables": tables(report),
    }


def sentence(report: ValidationReport) -> str:
    """One sentence for the verdict: on which tasks diversity and quality differ from tuned."""
    if not report.hybrids:
        return ""
    model, parts, unclear_on = report.hybrids[0], [], []
    for at, words in ((0, ("more diverse than tuned", "less diverse than tuned", "diversity")),
                      (1, ("of higher quality", "of lower quality", "quality"))):  # fmt: skip
        by: dict[str, list[str]] = {}
        for task, pair in zip(report.tasks, report.primary, strict=True):
            by.setdefault(report.compared(task, model, pair[at]), []).append(short(task))
        differs = [f"{words[0]} on {listed(by['better'])}"] if "better" in by else []
        differs += [f"{words[1]} on {listed(by['worse'])}"] if "worse" in by else []
        unclear = [*by.get("unclear", []), *by.get("undefined", [])]
        differs += [f"not shown to differ in {words[2]} on {listed(unclear)}"] if unclear else []
        parts.append(", ".join(differs))
        unclear_on.append(unclear)
    sizes = sorted({len(ids) for ids in report.prompt_ids})
    where = f"In generated text ({' to '.join(map(str, sizes[:: max(len(sizes) - 1, 1)]))} prompts a task)"
    if all(len(tasks) == len(report.tasks) for tasks in unclear_on):
        pairs = zip(report.tasks, report.primary, strict=True)
        states = [report.state(task, model, name) for task, pair in pairs for name in pair]
        doubtful = "more?" in states or "less?" in states
        word = "confirmed" if doubtful else "shown"
        said = f"{where} no difference to tuned in diversity or quality is {word} on {listed(unclear_on[0])}."
    else:
        said = f"{where} it is {parts[0]}; it is {parts[1]}."
    unstopped = [short(task) for task, name in report.endless if name == model]
    if unstopped:
        said += (
            f" On {listed(unstopped)} it stops by itself less often than tuned, so answers are longer and cost more."
        )
    return said


def tables(report: ValidationReport) -> list[Table]:
    """A table a task: the two primary measures with intervals and differences, and more of diversity."""
    from slr_probe.show.validation import lines

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


def _metric(name: str) -> Any:
    from slr_probe.scoring.metrics import metric

    return metric(name)


def _capital(line: str) -> str:
    return line[:1].upper() + line[1:]
