"""A `Lineage` as tables, text and JSON."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.scoring.metrics import metric as describe

if TYPE_CHECKING:
    import pandas as pd

    from slr_probe.lineage.result import Lineage
    from slr_probe.stats.interval import Interval

MEAN = "mean over tasks"


def table(lineage: Lineage) -> pd.DataFrame:
    """One row for each metric, task and stage after base; the mean over tasks is a task of its own."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for name in lineage.metrics:
        found = lineage.change(name)
        for t, task in enumerate(lineage.tasks):
            if not found.prompts[t]:
                continue
            levels = lineage.diversity(task, name)
            for s in range(len(lineage.later)):
                rows.append(
                    _row(lineage, name, task, s)
                    | {"prompts": int(found.prompts[t]), "base": levels.estimate[0], "value": levels.estimate[s + 1]}
                    | _limits("stage_loss", found.loss, (t, s))
                    | _limits("retained", found.retained, (t, s))
                )
        if len(lineage.tasks) > 1 and found.defined.any():
            for s in range(len(lineage.later)):
                rows.append(
                    _row(lineage, name, MEAN, s)
                    | {"prompts": int(found.prompts[found.defined].sum())}
                    | _limits("stage_loss", found.mean_loss, s)
                    | _limits("retained", found.mean_retained, s)
                )
    return pd.DataFrame(rows)  # fmt: skip


def depth_table(lineage: Lineage) -> pd.DataFrame:
    """One row for each stage after base and block; empty where nothing is known of the layers."""
    import pandas as pd

    rows = []
    for s, stage in enumerate(lineage.stages):
        if not s or not lineage.has_depth:
            continue
        against_base, added = lineage.collapse(stage), lineage.collapse(stage, previous=True)
        for block in range(lineage.weight_base.shape[1]):
            rows.append({
                "stage": stage, "previous": lineage.stages[lineage.parents[s]], "block": block,
                "weight_change_base": lineage.weight_base[s, block],
                "weight_change_previous": lineage.weight_previous[s, block],
                "collapse": against_base.estimate[block], "collapse_low": against_base.low[block],
                "collapse_high": against_base.high[block], "collapse_added": added.estimate[block],
                "collapse_added_low": added.low[block], "collapse_added_high": added.high[block],
            })  # fmt: skip
    return pd.DataFrame(rows)


def text(lineage: Lineage) -> str:
    """Stage losses and retained percents by the main metric, then the mean over tasks by every metric."""
    found = lineage.change()
    label = describe(lineage.metric).label
    several = len(lineage.tasks) > 1
    lines = [
        f"Lineage: {' > '.join(lineage.stages)}" if _chain(lineage) else f"Lineage: {', '.join(lineage.stages)}",
        f"\n{label}: stage loss in percent of base, and what is retained",
    ]
    rows = [["task", *(part for stage in lineage.later for part in (stage, "retained"))]]
    for t, task in enumerate(lineage.tasks):
        cells = [(_limits_text(found.loss, (t, s)), _number(found.retained.estimate[t, s], "%"))
                 for s in range(len(lineage.later))]  # fmt: skip
        rows.append([task, *(part for cell in cells for part in cell)])
    if several:
        cells = [(_limits_text(found.mean_loss, s), _number(found.mean_retained.estimate[s], "%"))
                 for s in range(len(lineage.later))]  # fmt: skip
        rows.append(["mean", *(part for cell in cells for part in cell)])
    lines.append(_aligned(rows))
    others = [name for name in lineage.metrics if name != lineage.metric and describe(name).role == "diversity"]
    if others:
        rows = [["metric", *lineage.later]]
        for name in others:
            change = lineage.change(name)
            rows.append([describe(name).label, *(_limits_text(change.mean_loss, s) for s in range(len(lineage.later)))])
        lines += [f"\nother metrics: stage loss{', mean over tasks' if several else ''}", _aligned(rows)]
    if lineage.has_depth:
        lines += ["", *_where(lineage)]
    return "\n".join([*lines, *(f"note: {note}" for note in lineage.notes)])


def html(lineage: Lineage) -> str:
    """For Jupyter: the main metric, and notes."""
    rows = table(lineage)
    shown = rows[rows["metric"] == lineage.metric].drop(columns="metric")
    notes = "".join(f"<li>{escape(note)}</li>" for note in lineage.notes)
    head = f"<b>Lineage</b>: {escape(', '.join(lineage.stages))}; {escape(describe(lineage.metric).label)}"
    return f"{head}{shown.to_html(index=False, float_format=lambda v: f'{v:.1f}', na_rep='')}<ul>{notes}</ul>"


def plain(lineage: Lineage) -> dict[str, Any]:
    """Plain data for JSON; undefined numbers are None."""
    return {
        "stages": list(lineage.stages),
        "previous": [None if p < 0 else lineage.stages[p] for p in lineage.parents],
        "metric": lineage.metric,
        "table": [_record(row) for row in table(lineage).to_dict(orient="records")],
        "depth": [_record(row) for row in depth_table(lineage).to_dict(orient="records")],
        "settings": dict(lineage.settings),
        "notes": list(lineage.notes),
    }


def _where(lineage: Lineage) -> list[str]:
    lines = []
    for s, stage in enumerate(lineage.stages):
        if not s:
            continue
        weights, added = lineage.weight_previous[s], lineage.collapse(stage, previous=True)
        part = f"{stage}: "
        if np.isfinite(weights).any():
            block = int(np.nanargmax(weights))
            part += f"weights changed most in block {block} ({weights[block]:.2%}); "
        if np.isfinite(added.estimate).any():
            block = int(np.nanargmax(added.estimate))
            part += (f"largest added entropy collapse {added.estimate[block]:+.3f} nats "
                     f"[{added.low[block]:.3f}, {added.high[block]:.3f}] at block {block}")  # fmt: skip
        lines.append(part)
    return lines


def _row(lineage: Lineage, name: str, task: str, later: int) -> dict[str, Any]:
    stage = lineage.later[later]
    return {"metric": name, "task": task, "stage": stage, "previous": lineage.stages[lineage.parents[later + 1]]}


def _limits(name: str, found: Interval, at: Any) -> dict[str, Any]:
    return {name: found.estimate[at], f"{name}_low": found.low[at], f"{name}_high": found.high[at]}


def _limits_text(found: Interval, at: Any) -> str:
    if not math.isfinite(found.estimate[at]):
        return "undefined"
    if not math.isfinite(found.low[at]):
        return f"{found.estimate[at]:+.1f}"
    return f"{found.estimate[at]:+.1f} [{found.low[at]:.1f}, {found.high[at]:.1f}]"


def _number(value: float, unit: str = "") -> str:
    return f"{value:.1f}{unit}" if math.isfinite(value) else ""


def _record(row: dict[Any, Any]) -> dict[str, Any]:
    """A row without NumPy's types; undefined numbers are None."""
    found = {str(key): value.item() if hasattr(value, "item") else value for key, value in row.items()}
    return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in found.items()}


def _chain(lineage: Lineage) -> bool:
    return list(lineage.parents) == list(range(-1, len(lineage.stages) - 1))


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}"
                  for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    )  # fmt: skip
