"""A `ValidationReport` as table, text, JSON and HTML."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

from slr_probe.scoring.metrics import metric

if TYPE_CHECKING:
    import pandas as pd

    from slr_probe.validation.result import ValidationReport

METHOD = (
    "Intervals: BCa bootstrap over prompts, paired. p: sign-flip test of the difference to tuned; adjusted by Holm "
    "within two families: the chosen hybrids on the primary metrics, and all other comparisons. effect: Cohen's d of "
    "the paired differences."
)


def table(report: ValidationReport) -> pd.DataFrame:
    """One row for each task, model and metric that is defined somewhere."""
    import pandas as pd

    found, primary = report.comparisons, report.is_primary
    rows = []
    for t, task in enumerate(report.tasks):
        for m, model in enumerate(report.models):
            for i, name in enumerate(report.metrics):
                at = (t, m, i)
                if not found.count[at]:
                    continue
                rows.append({
                    "task": task, "model": model, "kind": report.kinds[m], "metric": name, "role": metric(name).role,
                    "mean": found.mean.estimate[at], "low": found.mean.low[at], "high": found.mean.high[at],
                    "prompts": found.count[at], "difference": found.difference.estimate[at],
                    "difference_low": found.difference.low[at], "difference_high": found.difference.high[at],
                    "pairs": found.pairs[at], "effect": found.effect[at], "p": found.p[at],
                    "p_adjusted": found.adjusted[at], "family": "primary" if primary[at] else "other",
                })  # fmt: skip
    return pd.DataFrame(rows)


def lines(report: ValidationReport, task: str) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table that is printed for one task: the two primary metrics, and more of diversity."""
    found, t = report.comparisons, report.task(task)
    both = report.primary[t]
    shown = [*both, *(n for n in ("ead", "bleu_distance", "answer_entropy", "embedding_distance", "nll", "pass_at_k",
                              "ended")
                      if n in report.metrics and n not in both)]  # fmt: skip
    shown = [name for name in shown if found.count[t, :, report.metrics.index(name)].any()]
    columns = ["", "model"]
    for name in shown:
        columns += [metric(name).label, "against tuned"] if name in both else [metric(name).label]
    rows = []
    for m, model in enumerate(report.models):
        row = ["*" if report.kinds[m] == "hybrid" else "", model]
        for name in shown:
            at = (t, m, report.metrics.index(name))
            row.append(_number(found.mean.estimate[at]))
            if name in both:
                row.append(_difference(report, at))
        rows.append(row)
    return columns, rows


def text(report: ValidationReport) -> str:
    """A compact table a task, and the verdicts."""
    parts = [
        f"ValidationReport: {len(report.models)} models, "
        + ", ".join(f"{t} ({len(ids)} prompts x {k})"
                    for t, ids, k in zip(report.tasks, report.prompt_ids, report.samples, strict=True))
    ]  # fmt: skip
    for task in report.tasks:
        columns, rows = lines(report, task)
        parts.append(f"\n{task}\n" + _aligned([columns, *rows]))
    parts.append("\n" + "\n".join(sentences(report)))
    return "\n".join(parts)


def sentences(report: ValidationReport) -> tuple[str, ...]:
    """All that is said about the chosen hybrids."""
    return (*report.verdicts, *report.endings, *report.carry_over, *report.correct_only)


def html(report: ValidationReport) -> str:
    """For Jupyter: verdicts, then a table a task."""
    said = "".join(f"<li>{escape(line)}</li>" for line in sentences(report))
    parts = [f"<b>ValidationReport</b><ul>{said}</ul>"]
    for task in report.tasks:
        columns, rows = lines(report, task)
        head = "".join(f"<th>{escape(column)}</th>" for column in columns)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        parts.append(f"<b>{escape(task)}</b><table><tr>{head}</tr>{body}</table>")
    return "".join([*parts, f"<small>{escape(METHOD)}</small>"])


def plain(report: ValidationReport) -> dict[str, Any]:
    """Plain data for JSON; undefined numbers are None."""
    rows = [{str(key): _plain(value) for key, value in row.items()} for row in table(report).to_dict(orient="records")]
    return {
        "verdicts": list(report.verdicts),
        "endings": list(report.endings),
        "carry_over": list(report.carry_over),
        "correct_only": list(report.correct_only),
        "method": METHOD,
        "tasks": [
            {"task": task, "prompts": len(ids), "samples": samples, "diversity": pair[0], "quality": pair[1]}
            for task, ids, samples, pair in zip(
                report.tasks, report.prompt_ids, report.samples, report.primary, strict=True
            )
        ],
        "table": rows,
        "settings": dict(report.settings),
        "notes": list(report.notes),
    }


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _difference(report: ValidationReport, at: tuple[int, int, int]) -> str:
    found = report.comparisons
    if not math.isfinite(found.difference.low[at]):
        return ""
    star = "*" if found.adjusted[at] <= 1 - report.level else ""
    ends = (found.difference.estimate[at], found.difference.low[at], found.difference.high[at])
    values = [0.0 if abs(value) < 1e-12 else value for value in ends]  # rounding of a mean is no difference
    return f"{values[0]:+.3g} [{values[1]:.2g}, {values[2]:.2g}]{star}"


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else ""


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:<{width}}" if i == 1 else f"{cell:>{width}}"
                               for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
                     for row in rows)  # fmt: skip
