"""An `ActivationComparison` as text, table and figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import BLACK, BLUE, GREEN, SKY, VERMILION, by_block, open_frame
from slr_probe.show.recording import LABELS
from slr_probe.show.words.format import html_table, html_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.probes.activations.result import ActivationComparison

COLOURS = {"resid_pre": SKY, "resid_mid": GREEN, "resid_post": BLACK, "attn_out": BLUE, "mlp_out": VERMILION}
_MOST_BANDS = 2
"""More bands than that hide each other."""


def text(comparison: ActivationComparison) -> str:
    """What was compared, in one line."""
    sizes = f"{len(comparison.points)} points, {len(comparison.block)} blocks, {len(comparison.prompt)} rows"
    return f"<ActivationComparison of {comparison.one} and {comparison.other}: {sizes}>"


def html(comparison: ActivationComparison) -> str:
    """The text and the first rows of the table, for Jupyter."""
    return html_text(text(comparison)) + html_table(comparison.to_dataframe())


def figure(comparison: ActivationComparison, **look: Any) -> Figure:
    """Cosine, relative distance and CKA by block; for one or two points, bands hold the middle 80% of rows.

    Args:
        comparison: What was compared.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    canvas = open_canvas(3, 3, (11, 3.6), **look)
    cosine, distance, cka = canvas.axes
    _rows(cosine, comparison, comparison.cosine)
    _rows(distance, comparison, comparison.distance)
    for point, values in zip(comparison.points, comparison.cka, strict=True):
        cka.plot(comparison.block, values, **_line(point))
    cosine.set(ylabel="cosine (mean over tokens)", ylim=(None, 1.005))
    distance.set(ylabel="distance / norm (mean over tokens)", ylim=(0, None))
    cka.set(ylabel="linear CKA", ylim=(None, 1.005))
    for axis in (cosine, distance, cka):
        by_block(axis)
        open_frame(axis)
    cosine.legend(frameon=False)
    models = f"{comparison.one} and {comparison.other}"
    return canvas.close(f"Activations of {models} at the same {len(comparison.prompt)} tokens")


def _rows(axis: Axes, comparison: ActivationComparison, values: Any) -> None:
    """Means over tokens, and bands where they can be told apart."""
    for point, rows in zip(comparison.points, values, strict=True):
        if len(comparison.points) <= _MOST_BANDS:
            low, high = np.nanquantile(rows, (0.1, 0.9), axis=1)
            axis.fill_between(comparison.block, low, high, color=COLOURS[point], alpha=0.15, linewidth=0)
        axis.plot(comparison.block, rows.mean(1), **_line(point))


def _line(point: str) -> dict[str, Any]:
    return {"color": COLOURS[point], "marker": "o", "markersize": 3.5, "label": LABELS[point]}
