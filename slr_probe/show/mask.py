"""Figure of a `LayerMask`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from slr_probe.show.style import COLOURS, MAP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slr_probe.probes.mask.result import LayerMask

ORDER = ("q", "k", "v", "qkv", "o", "router", "gate", "up", "gate_up", "down")
EQUAL = "0.88"
"""Grey of units that are equal in base and tuned."""


def plot_mask(mask: LayerMask) -> Figure:
    """Gamma by block and matrix, and the loss while it was learned."""
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    image = draw_heat_map(left, mask)
    figure.colorbar(image, ax=left, label="gamma (share of the change)", fraction=0.05, pad=0.02)
    _losses(right, mask)
    return figure


def draw_heat_map(axis: Axes, mask: LayerMask) -> Any:
    """Gamma by block (across) and component (down), 0 to 1; units that are equal in base and tuned are grey."""
    components, cells = heat_map(mask, np.where(mask.changed, mask.gamma, np.nan))
    axis.set_facecolor(EQUAL)
    image = axis.imshow(cells, aspect="auto", cmap=MAP, vmin=0, vmax=1, interpolation="nearest")
    axis.set(xlabel="decoder block", yticks=range(len(components)), yticklabels=components)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return image


def heat_map(mask: LayerMask, values: Float[ndarray, " unit"]) -> tuple[list[str], Float[ndarray, "component block"]]:
    """Any values of the units as rows of components and columns of blocks; NaN where a block has no such unit."""
    found = list(dict.fromkeys(mask.component))
    components = [name for name in ORDER if name in found] + [name for name in found if name not in ORDER]
    cells = np.full((len(components), mask.depth), np.nan)
    for block, component, value in zip(mask.block, mask.component, values, strict=True):
        cells[components.index(component), block] = value
    return components, cells


def _losses(axis: Axes, mask: LayerMask) -> None:
    steps = np.arange(1, mask.loss.shape[1] + 1)
    for losses in mask.loss:
        axis.plot(steps, losses, color=COLOURS["best"], linewidth=0.7, alpha=0.35)
    mean, width = mask.loss.mean(axis=0), max(1, min(10, mask.loss.shape[1] // 5))
    smooth = np.convolve(mean, np.ones(width) / width, mode="valid")
    axis.plot(steps[width - 1 :], smooth, color=COLOURS["best"], label=f"mask, mean of {width} steps")
    for name, loss in (("base", mask.base_loss), ("tuned", mask.tuned_loss)):
        label = "base's blocks (gamma 0)" if name == "base" else "tuned (gamma 1)"
        axis.axhline(loss, color=COLOURS[name], linestyle="--", linewidth=1.2, label=label)
    axis.set(xlabel="step", ylabel="loss (nats a token)", xlim=(1, max(2, len(steps))))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize="small")
