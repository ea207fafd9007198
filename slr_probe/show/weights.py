"""A `WeightDelta` as text, table and figure."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import BLUE, GREEN, MAP, VERMILION, by_block, in_order, open_frame, percent
from slr_probe.show.words.format import html_table, html_text, number, numbers

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.probes.weights.result import WeightDelta

COLOURS = {"attention": BLUE, "mlp": VERMILION, "other": GREEN}
LABELS = {"attention": "attention", "mlp": "MLP", "other": "other matrices"}
RATIO = "norm of delta / norm of base"


def text(delta: WeightDelta) -> str:
    """What was compared, and where the matrices changed most."""
    blocks = delta.to_dataframe("block")
    ratios = blocks["relative"].fillna(-1.0).to_numpy()
    change, base = (float(np.sqrt((blocks[key] ** 2).sum())) for key in ("delta_norm", "base_norm"))
    relative = number(change / base if base else None, ".2%", blank="undefined")
    where = ""
    if len(ratios) and (most := int(ratios.argmax())) >= 0:
        where = f", most in block {blocks['block'][most]} ({ratios[most]:.2%})"
    names = f"{delta.base} -> {delta.tuned}, {len(delta.name)} tensors"
    return f"<WeightDelta: {names}; relative change of matrices in blocks {relative}{where}>"


def html(delta: WeightDelta) -> str:
    """The text and the first rows of the table, for Jupyter."""
    return html_text(text(delta)) + html_table(delta.to_dataframe())


def lines(delta: WeightDelta) -> tuple[list[str], list[list[str]]]:
    """A table for the terminal: a row a block, with the relative change of its groups."""
    table = delta.to_dataframe(by="block").rename(columns={"spectral_norm": "spectral"})
    groups = delta.to_dataframe(by="group")
    for group in ("attention", "mlp"):
        ratios = groups[groups["group"] == group].set_index("block")["relative"]
        table[group] = table["block"].map(ratios)
    columns = ["delta_norm", "base_norm", "relative", "attention", "mlp", "spectral", "changed"]
    cells = [numbers(row, ".4g") for row in table[columns].to_numpy()]
    return ["block", *columns], [[str(block), *row] for block, row in zip(table["block"], cells, strict=True)]


def figure(delta: WeightDelta, **look: Any) -> Figure:
    """Relative change of the matrices over depth: by group on the left, by component and block on the right.

    Args:
        delta: What was measured.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    canvas = open_canvas(2, 2, (10, 3.6), ratios=(1, 1.25), **look)
    left, right = canvas.axes
    matrices = np.array([len(shape) > 1 for shape in delta.shape])
    table = delta.to_dataframe()[matrices & (delta.block >= 0)]
    _groups(left, table)
    image = _components(right, table, delta.depth)
    bar = canvas.figure.colorbar(image, ax=right, label=RATIO)
    percent(bar.ax.yaxis)
    return canvas.close(f"Weight change, {_name(delta.base)} to {_name(delta.tuned)}")


def _groups(axis: Axes, table: pd.DataFrame) -> None:
    for group, colour in COLOURS.items():
        rows = table[table["group"] == group]
        if rows.empty:
            continue
        squares = rows[["delta_norm", "base_norm"]] ** 2
        sums = squares.groupby(rows["block"]).sum()
        ratio = np.sqrt(sums["delta_norm"] / sums["base_norm"])
        axis.plot(sums.index, ratio, marker="o", markersize=3.5, color=colour, label=LABELS[group])
    by_block(axis)
    axis.set(ylabel=RATIO, ylim=(0, None))
    percent(axis.yaxis)
    open_frame(axis)
    axis.legend(frameon=False)


def _components(axis: Axes, table: pd.DataFrame, depth: int) -> Any:
    components = in_order(table["component"])
    cells = np.full((len(components), depth), np.nan)
    for block, component, ratio in zip(table["block"], table["component"], table["relative"], strict=True):
        cells[components.index(component), block] = ratio
    image = axis.imshow(cells, aspect="auto", cmap=MAP, vmin=0, interpolation="nearest")
    axis.set(yticks=range(len(components)), yticklabels=components)
    by_block(axis)
    return image


def _name(label: str) -> str:
    return PurePath(label).name or label
