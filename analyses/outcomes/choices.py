"""The choices of both rules: their scores as a table, and what they write beside tuned at two temperatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from slr_probe.rank.compare import evidence
from slr_probe.show.charts.style import COLOURS, new_figure, open_frame
from slr_probe.stats.compare import adjusted_tests, difference_state
from slr_probe.stats.interval import interval_where_defined

from .association import smallest_difference
from .written import OUTCOMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from slr_probe.rank import RangeRanking
    from slr_probe.validation.result import ValidationReport

FIRST = ("answers: ended", "answers: distinct and accepted", "answers: correct", "stories: embedding distance")
"""Outcomes that the choices are judged by; fixed before anything was written."""


def rule_table(rankings: Mapping[str, RangeRanking]) -> pd.DataFrame:
    """What each rule chooses: held-out gain and validity, replies, and tuned at the temperature of equal validity."""
    return pd.DataFrame([_rule(rule, ranking) for rule, ranking in rankings.items()])


def _rule(rule: str, ranking: RangeRanking) -> dict[str, Any]:
    choice = ranking.choice
    row: dict[str, Any] = {"rule": rule, "layers": "", "why": choice.why, "temperature": np.nan}
    if ranking.judge.asked:
        floor = int(ranking.keeps_floor[: len(ranking.ranges)].sum())
        row |= {"keep_floor": floor, "allowed": int(ranking.feasible[: len(ranking.ranges)].sum())}
    if choice.layers is None:
        warm = ranking.warmest
        return row | {"temperature": np.nan if warm is None else warm.temperature}
    at = ranking.index(choice.layers)
    found, gaps = evidence(ranking, at), {gap.kind: gap for gap in ranking.gaps(choice.layers)}
    row |= {"layers": str(choice.layers), "p_best": ranking.p_best[at], "kept": found.kept.value}
    row |= {"kept_low": found.kept.low, "kept_high": found.kept.high}
    for kind, gap in gaps.items():
        name = {"tuned": "gain", "warmer": "beside_warmer"}.get(kind, f"beside_{kind}")
        row |= {name: gap.difference.value, f"{name}_low": gap.difference.low, f"{name}_high": gap.difference.high}
        row |= {f"{name}_p": gap.p}
    if "warmer" in gaps:
        row["temperature"] = gaps["warmer"].temperature
    table = ranking.to_dataframe()
    replies = table[(table["kind"] == "range") & (table["rank"] == 1)].iloc[0]
    names = [f"{name}{end}" for name in ("ending", "surprise", "drift") for end in ("", "_low", "_high")]
    return row | {name: replies[name] for name in names if name in table}


def compare_text(report: ValidationReport, tasks: Mapping[str, str], pairs: Mapping[str, str]) -> pd.DataFrame:
    """Every choice beside tuned and beside tuned at its temperature, and tuned at these temperatures beside tuned.

    P-values are adjusted by Holm's method in two families: the choices on the outcomes of `FIRST`, and all else.

    Args:
        report: Scores of all of them.
        tasks: Name of the task of each family of `OUTCOMES`.
        pairs: Tuned at the temperature of equal validity, for each choice.
    """
    warm = [model for model in report.models if model.startswith("tuned T=")]
    compared = [(model, "tuned") for model in (*report.hybrids, *warm)] + list(pairs.items())
    rows, moved = [], []
    for (family, metric), outcome in OUTCOMES.items():
        for model, reference in compared:
            both = np.stack([report.scores(tasks[family], name, metric) for name in (reference, model)])
            if not np.isfinite(both).all(axis=0).any():
                continue
            first = model in report.hybrids and outcome in FIRST
            names = {"outcome": outcome, "model": model, "reference": reference}
            rows.append({**names, **_numbers(report, tasks[family], both), "family": "choices" if first else "other"})
            moved.append(both[1] - both[0])
    table = pd.DataFrame(rows)
    for name in ("choices", "other"):
        mine = np.flatnonzero(table["family"] == name)
        table.loc[mine, "p_adjusted"] = adjusted_tests([moved[i] for i in mine], seed=report.seed)
    states = [difference_state(row.low, row.high, row.p_adjusted, report.level) for row in table.itertuples()]
    return table.assign(state=states)


def _numbers(report: ValidationReport, task: str, both: Float[ndarray, "2 prompt"]) -> dict[str, float]:
    known = np.isfinite(both).all(axis=0)
    kinds = report.categories[report.task(task)]
    options = {"level": report.level, "resamples": report.resamples, "seed": report.seed}
    found = interval_where_defined((both[1] - both[0])[None], kinds, **options)
    return {
        "reference_mean": float(both[0, known].mean()),
        "mean": float(both[1, known].mean()),
        "difference": float(found.estimate[0]),
        "low": float(found.low[0]),
        "high": float(found.high[0]),
        "prompts": int(known.sum()),
        "smallest_difference": smallest_difference(both, level=report.level),
    }


def plot_choices(table: pd.DataFrame) -> Figure:
    """Differences to tuned at temperature 1 with their intervals, a panel an outcome: choices, and tuned warmer."""
    beside = table[table["reference"] == "tuned"]
    outcomes, models = list(dict.fromkeys(beside["outcome"])), list(dict.fromkeys(beside["model"]))
    figure = new_figure(7.0, 4.6)
    columns = 4
    axes = figure.subplots(-(-len(outcomes) // columns), columns, squeeze=False, sharey=True).flat
    for axis, outcome in zip(axes, outcomes, strict=False):
        axis.axvline(0, color="0.6", linewidth=0.8)
        for row in beside[beside["outcome"] == outcome].itertuples():
            colour = COLOURS["tuned" if row.model.startswith("tuned") else "best"]
            at = models.index(row.model)
            axis.plot([row.low, row.high], [at, at], color=colour, linewidth=1.2)
            filled = colour if row.state in ("more", "less") else "white"
            axis.plot(row.difference, at, "o", color=colour, markerfacecolor=filled, markersize=4)
        axis.set_title(outcome.replace(": ", ":\n"), fontsize="small", loc="left")
        axis.set_yticks(range(len(models)), models)
        axis.set_ylim(len(models) - 0.5, -0.5)
        axis.locator_params(axis="x", nbins=4)
        open_frame(axis)
    for axis in list(axes):
        axis.set_visible(False)
    figure.supxlabel("difference to tuned at temperature 1 (filled: confirmed)", fontsize="medium")
    return figure
