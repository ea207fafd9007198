"""A `Recording` as text, table and figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import by_block, colour, open_frame
from slr_probe.show.words.format import html_table, html_text

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


def figure(recording: Recording, **look: Any) -> Figure:
    """Mean norm by block: one panel a point, one line a model.

    Args:
        recording: What was recorded.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    table, count = recording.to_dataframe(), len(recording.points)
    canvas = open_canvas(count, count, (1 + 3.3 * count, 3.4), **look)
    for axis, point in zip(canvas.axes, recording.points, strict=True):
        for i, model in enumerate(recording.models):
            rows = table[(table["model"] == model) & (table["point"] == point)]
            axis.plot(rows["block"], rows["norm"], marker="o", markersize=3.5, label=model, color=colour(i))
        axis.set(title=LABELS[point], ylabel="norm", ylim=(0, None))
        by_block(axis)
        open_frame(axis)
    canvas.axes[0].legend(frameon=False)
    return canvas.close(f"Activation norms, mean over {len(recording.prompt)} tokens")
