"""A `Recording` as text, table and figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slr_probe.show.format import html_table, html_text
from slr_probe.show.style import by_block, colour, new_figure, open_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from slr_probe.probes.activations.result import Recording

LABELS = {
    "resid_pre": "block input",
    "resid_mid": "after attention",
    "resid_post": "block output",
    "attn_out": "attention output",
    "mlp_out": "MLP output",
}


def text(recording: Recording) -> str:
    """What was recorded, in one line."""
    sizes = f"{len(recording.blocks)} blocks, {len(recording.labels)} prompts, {len(recording.prompt)} rows"
    return f"<Recording of {', '.join(recording.models)}: {', '.join(recording.points)}; {sizes}>"


def html(recording: Recording) -> str:
    """The text and the first rows of the table, for Jupyter."""
    return html_text(text(recording)) + html_table(recording.to_dataframe(), max_rows=40)


def figure(recording: Recording) -> Figure:
    """Mean norm by block: one panel a point, one line a model."""
    table = recording.to_dataframe()
    count = len(recording.points)
    canvas = new_figure(1 + 3.3 * count, 3.4)
    canvas.suptitle(f"Activation norms, mean over {len(recording.prompt)} tokens")
    axes = np.atleast_1d(canvas.subplots(1, count))
    for axis, point in zip(axes, recording.points, strict=True):
        for i, model in enumerate(recording.models):
            rows = table[(table["model"] == model) & (table["point"] == point)]
            axis.plot(rows["block"], rows["norm"], marker="o", markersize=3.5, label=model, color=colour(i))
        axis.set(title=LABELS[point], ylabel="norm", ylim=(0, None))
        by_block(axis)
        open_frame(axis)
    axes[0].legend(frameon=False)
    return canvas
