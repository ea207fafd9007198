"""What was generated: sentences, differences to tuned as a figure, and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from slr_probe.show.format import listed, short
from slr_probe.show.validation_sentences import endless, state_of
from slr_probe.study.report.svg import Scale, around, el, figure, label, path, text, tip
from slr_probe.study.report.tables import Row, Table

if TYPE_CHECKING:
    from slr_probe.validation.result import ValidationReport

_WIDTH, _NAMES, _COLUMN, _GAP, _ROW = 640.0, 182.0, 216.0, 20.0, 22.0


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
            by.setdefault(state(report, task, model, pair[at]), []).append(short(task))
        differs = [f"{words[0]} on {listed(by['better'])}"] if "better" in by else []
        differs += [f"{words[1]} on {listed(by['worse'])}"] if "worse" in by else []
        unclear = [*by.get("unclear", []), *by.get("undefined", [])]
        differs += [f"not shown to differ in {words[2]} on {listed(unclear)}"] if unclear else []
        parts.append(", ".join(differs))
        unclear_on.append(unclear)
    sizes = sorted({len(ids) for ids in report.prompt_ids})
    where = f"In generated text ({' to '.join(map(str, sizes[:: max(len(sizes) - 1, 1)]))} prompts a task)"
    if all(len(tasks) == len(report.tasks) for tasks in unclear_on):
        doubtful = any(state_of(report, task, model, name).endswith("?")
                       for task, pair in zip(report.tasks, report.primary, strict=True) for name in pair)  # fmt: skip
        word = "confirmed" if doubtful else "shown"
        said = f"{where} no difference to tuned in diversity or quality is {word} on {listed(unclear_on[0])}."
    else:
        said = f"{where} it is {parts[0]}; it is {parts[1]}."
    unstopped = [short(task) for task, name in endless(report) if name == model]
    if unstopped:
        said += (
            f" On {listed(unstopped)} it stops by itself less often than tuned, so answers are longer and cost more."
        )
    return said


def state(report: ValidationReport, task: str, model: str, name: str) -> str:
    """How a model compares with tuned: `"better"`, `"worse"`, `"unclear"` or `"undefined"`.

    Better or worse needs an interval that leaves out 0 and, on the measures that were fixed beforehand, an adjusted
    p-value of at most 1 - level.
    """
    found = report.comparisons
    at = (report.task(task), report.model(model), report.metrics.index(name))
    low, high = float(found.difference.low[at]), float(found.difference.high[at])
    if not np.isfinite([low, high]).all():
        return "undefined"
    if low <= 0 <= high or (report.is_primary[at] and found.adjusted[at] > 1 - report.level + 1e-12):
        return "unclear"
    return "better" if (low > 0) == (_metric(name).sign > 0) else "worse"


def forest(report: ValidationReport) -> Markup:
    """Difference to tuned of every model, on the diversity and the quality measure of each task."""
    models = _order(report)
    parts, y = [], 6.0
    for task, pair in zip(report.tasks, report.primary, strict=True):
        parts.append(text(short(task), 0, y + 12, cls="title"))
        y += 20
        for column, name in enumerate(pair):
            left = _NAMES + column * (_COLUMN + _GAP)
            parts.append(text(f"{_metric(name).label}: difference", left, y + 12, cls="tick"))
            parts.append(_panel(report, task, name, models, left, y + 20))
        for i, model in enumerate(models):
            chosen = " chosen" if model in report.hybrids else ""
            parts.append(text(model, 0, y + 20 + (i + 0.5) * _ROW + 4, cls=f"name{chosen}"))
        y += 20 + len(models) * _ROW + 44
    return figure(_WIDTH, y - 8, "Differences to tuned with intervals, by task", *parts, cls="forest")


def _panel(report: ValidationReport, task: str, name: str, models: Sequence[str], left: float, top: float) -> str:
    found, bottom = report.comparisons, top + len(models) * _ROW
    places = [(report.task(task), report.model(model), report.metrics.index(name)) for model in models]
    spans = [(float(found.difference.low[p]), float(found.difference.estimate[p]), float(found.difference.high[p]))
             for p in places]  # fmt: skip
    across = Scale(*around([v for span in spans for v in span], zero=True), left, left + _COLUMN)
    parts = []
    for tick in across.ticks(4):
        at = across(tick)
        parts.append(el("path", d=path([(at, top), (at, bottom)]), cls="grid" if tick else "zero"))
        parts.append(text(label(tick), at, bottom + 15, cls="tick mid"))
    for i, (model, place, (low, value, high)) in enumerate(zip(models, places, spans, strict=True)):
        y = top + (i + 0.5) * _ROW
        if not np.isfinite(value):
            parts.append(text("undefined", across(0) + 6, y + 4, cls="tick note"))
            continue
        cls = state(report, task, model, name)
        mean, tuned = found.mean.estimate[place], found.mean.estimate[place[0], report.model("tuned"), place[2]]
        words = {"better": "better than tuned", "worse": "worse than tuned"}.get(cls, "not shown to differ")
        said = f"{model}, {task}\n{_metric(name).label} {mean:.3g}, tuned {tuned:.3g}\ndifference {value:+.3g} "
        said += f"[{low:.3g}, {high:.3g}]\n{words}"
        size = 4.2 if model in report.hybrids else 3.2
        inner = [el("path", d=path([(across(low), y), (across(high), y)]), cls=f"whisker {cls}"),
                 el("circle", cx=across(value), cy=y, r=size, cls=f"pt {cls}")]  # fmt: skip
        hit = el("rect", x=left, y=y - _ROW / 2, width=_COLUMN, height=_ROW, cls="hit")
        parts.append(el("g", tip(said), hit, *inner, cls="mark"))
    return "".join(parts)


def tables(report: ValidationReport) -> list[Table]:
    """A table a task: the two primary measures with intervals and differences, and more of diversity."""
    from slr_probe.show.validation_text import lines

    made = []
    for task, ids, samples in zip(report.tasks, report.prompt_ids, report.samples, strict=True):
        columns, rows = lines(report, task)
        caption = (
            f"{task}: {len(ids)} prompts, {samples} samples each. Means, and differences to tuned with "
            f"{report.level:.0%} intervals; * marks an adjusted p of at most {1 - report.level:.2g}. All "
            "measures are in validate/table.csv."
        )
        body = [Row(tuple(row[1:6]), "chosen" if row[0] else "") for row in rows]
        made.append(Table(caption, ("", *columns[2:6]), body))
    return made


def _order(report: ValidationReport) -> list[str]:
    """Hybrids first, then baselines as they come; tuned is the zero line."""
    rest = [model for model in report.models if model != "tuned" and model not in report.hybrids]
    return [*report.hybrids, *rest]


def _metric(name: str) -> Any:
    from slr_probe.scoring.metrics import metric

    return metric(name)


def _capital(line: str) -> str:
    return line[:1].upper() + line[1:]
