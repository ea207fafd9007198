"""Figure of a `WeightDelta`."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

if TYPE_CHECKING:
    from slr_probe.probes.weights.result import WeightDelta

COLOURS = {"attention": "#0072b2", "mlp": "#d55e00", "other": "#009e73"}  # Okabe and Ito: safe for colour-blind readers
LABELS = {"attention": "attention", "mlp": "MLP", "other": "other matrices"}
ORDER = ("q", "k", "v", "qkv", "o", "router", "gate", "up", "gate_up", "down")


def plot_weight_delta(delta: WeightDelta) -> Figure:
    """Relative change of the matrices over depth (left: by group; right: by component and block)."""
    table = delta.to_dataframe()
    matrices = np.array([len(shape) > 1 for shape in delta.shape])
    table = table[matrices & (delta.block >= 0)]
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    figure.suptitle(f"Weight change, {_short(delta.base)} to {_short(delta.tuned)}")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))

    for group in [group for group in COLOURS if (table["group"] == group).any()]:
        rows = table[table["group"] == group].assign(d=lambda t: t["delta_norm"] ** 2, b=lambda t: t["base_norm"] ** 2)
        sums = rows.groupby("block")[["d", "b"]].sum()
        ratio = np.sqrt(sums["d"] / sums["b"])
        left.plot(sums.index, ratio, marker="o", markersize=3.5, color=COLOURS[group], label=LABELS[group])
    left.set(xlabel="decoder block", ylabel="norm of delta / norm of base", ylim=(0, None))
    left.yaxis.set_major_formatter(PercentFormatter(1.0))
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False)

    found = list(dict.fromkeys(table["component"]))
    components = [name for name in ORDER if name in found] + [name for name in found if name not in ORDER]
    cells = np.full((len(components), delta.depth), np.nan)
    for block, component, ratio in zip(table["block"], table["component"], table["relative"], strict=True):
        cells[components.index(component), block] = ratio
    image = right.imshow(cells, aspect="auto", cmap="viridis", vmin=0, interpolation="nearest")
    right.set(xlabel="decoder block", yticks=range(len(components)), yticklabels=components)
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=right, label="norm of delta / norm of base", format=PercentFormatter(1.0))
    return figure


def _short(label: str) -> str:
    return PurePath(label).name or label
