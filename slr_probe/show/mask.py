"""A `LayerMask` as text, table and figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import COLOURS, MAP, by_block, in_order, open_frame
from slr_probe.show.words.format import html_table, html_text, number

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

    from slr_probe.probes.mask.result import LayerMask

EQUAL = "0.88"
"""Grey of units that are equal in base and tuned."""
_LEADERS = 5
_LAST_STEPS = 10


def text(mask: LayerMask) -> str:
    """Losses, the units that matter most, and how far seeds agree."""
    leaders = ", ".join(f"{mask.names[i]} {mask.gamma[i]:.2f}" for i in mask.order[:_LEADERS])
    last, gamma = mask.loss[:, -_LAST_STEPS:].mean(), mask.gamma[mask.changed].mean()
    lines = [
        f"LayerMask: {len(mask.block)} units ({mask.granularity}) of {mask.depth} blocks, seeds {len(mask.seeds)}",
        f"  loss    base blocks {mask.base_loss:.3f}, tuned {mask.tuned_loss:.3f}, "
        f"last steps {last:.3f} at mean gamma {gamma:.2f}",
        f"  most    {leaders}",
    ]
    if len(mask.seeds) > 1:
        lines.append(f"  seeds   top 75 % agree to Jaccard {mask.stability().min():.2f} at least")
    return "\n".join([*lines, *(f"  note    {note}" for note in mask.notes)])


def html(mask: LayerMask) -> str:
    """The text and the first rows of the table, for Jupyter."""
    return html_text(text(mask)) + html_table(mask.to_dataframe())


def lines(mask: LayerMask) -> tuple[list[str], list[list[str]]]:
    """A table for the terminal: a row a block, a column a component."""
    components = list(dict.fromkeys(mask.component))
    gamma = dict(zip(zip(mask.block.tolist(), mask.component, strict=True), mask.gamma.tolist(), strict=True))
    rows = []
    for block, mean in enumerate(mask.blocks()):
        cells = [number(gamma.get((block, component)), ".2f") for component in components]
        rows.append([str(block), number(mean, ".2f"), *cells])
    return ["block", "gamma", *components], rows


def figure(mask: LayerMask, **look: Any) -> Figure:
    """Gamma by block and matrix, and the loss while it was learned.

    Args:
        mask: What was learned.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    canvas = open_canvas(2, 2, (9.5, 3.6), ratios=(1.7, 1), **look)
    left, right = canvas.axes
    image = draw_heat_map(left, mask)
    canvas.figure.colorbar(image, ax=left, label="gamma (share of the change)", fraction=0.05, pad=0.02)
    _losses(right, mask)
    return canvas.close()


def draw_heat_map(axis: Axes, mask: LayerMask) -> Any:
    """Gamma by block (across) and component (down), 0 to 1; units that are equal in base and tuned are grey."""
    components, cells = heat_map(mask, np.where(mask.changed, mask.gamma, np.nan))
    axis.set_facecolor(EQUAL)
    image = axis.imshow(cells, aspect="auto", cmap=MAP, vmin=0, vmax=1, interpolation="nearest")
    axis.set(yticks=range(len(components)), yticklabels=components)
    by_block(axis)
    return image


def heat_map(mask: LayerMask, values: Float[ndarray, " unit"]) -> tuple[list[str], Float[ndarray, "component block"]]:
    """Any values of the units as rows of components and columns of blocks; NaN where a block has no such unit."""
    components = in_order(mask.component)
    cells = np.full((len(components), mask.depth), np.nan)
    for block, component, value in zip(mask.block, mask.component, values, strict=True):
        cells[components.index(component), block] = value
    return components, cells


def _losses(axis: Axes, mask: LayerMask) -> None:
    count = mask.loss.shape[1]
    steps, width = np.arange(1, count + 1), max(1, min(10, count // 5))
    for losses in mask.loss:
        axis.plot(steps, losses, color=COLOURS["best"], linewidth=0.7, alpha=0.35)
    smooth = np.convolve(mask.loss.mean(axis=0), np.ones(width) / width, mode="valid")
    axis.plot(steps[width - 1 :], smooth, color=COLOURS["best"], label=f"mask, mean of {width} steps")
    references = (("base", mask.base_loss, "base's blocks (gamma 0)"), ("tuned", mask.tuned_loss, "tuned (gamma 1)"))
    for name, loss, label in references:
        axis.axhline(loss, color=COLOURS[name], linestyle="--", linewidth=1.2, label=label)
    axis.set(xlabel="step", ylabel="loss (nats a token)", xlim=(1, max(2, count)))
    open_frame(axis)
    axis.legend(frameon=False, fontsize="small")
