"""A `SweepResult` as text, table and figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.words.format import html_table, html_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from slr_probe.sweep.result import SweepResult


def text(result: SweepResult) -> str:
    """How much was measured, and between what diversities lie."""
    recipes, prompts, _ = result.answer_logprobs.shape
    told = [f"SweepResult: {recipes} recipes, {prompts} prompts"]
    if prompts:
        means = np.nan_to_num(result.diversity).mean(1)  # no mass on any answer counts as no diversity
        told += [
            f"mean validity {result.validity.mean():.3f}",
            f"diversity {means.min():.3f} to {means.max():.3f} of log |V|",
        ]
    if result.ended_validity is not None:
        told.append(f"given and ended {result.ended_validity.mean():.3f}")
    if result.replies is not None:
        replies = result.replies.given.shape[1]
        told.append(f"{replies} replies read at {len(result.reply_reads)} positions")
    if "matmul_share" in result.settings:
        told.append(f"run at {result.settings['matmul_share']:.2f} of this device's matrix rate")
    return ", ".join(told)


def html(result: SweepResult) -> str:
    """The text and the first rows of the table, for Jupyter."""
    return html_text(text(result)) + html_table(result.to_dataframe())


def figure(result: SweepResult, **look: Any) -> Figure:
    """Heat maps of mean validity and diversity over start and stop of the restored range.

    Args:
        result: What was measured.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    from slr_probe.show.charts.maps import draw_map
    from slr_probe.show.charts.tradeoff import DIVERSITY, VALIDITY

    rows = {recipe.layers: row for row, recipe in enumerate(result.recipes) if recipe.layers is not None}
    maps = {VALIDITY: result.validity, DIVERSITY: result.diversity}
    canvas = open_canvas(2, 2, (9, 4.1), **look)
    for axis, (label, values) in zip(canvas.axes, maps.items(), strict=True):
        means = values.mean(axis=1)[list(rows.values())]
        draw_map(axis, tuple(rows), means, result.recipes[0].depth, label)
    return canvas.close()
