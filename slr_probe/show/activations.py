"""Figures of recorded activations and of how two models differ in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from slr_probe.probes.activations.result import ActivationComparison, Recording

COLOURS = {  # Okabe and Ito: safe for colour-blind readers
    "resid_pre": "#56b4e9", "resid_mid": "#009e73", "resid_post": "#000000",
    "attn_out": "#0072b2", "mlp_out": "#d55e00",
}  # fmt: skip
LABELS = {
    "resid_pre": "block input", "resid_mid": "after attention", "resid_post": "block output",
    "attn_out": "attention output", "mlp_out": "MLP output",
}  # fmt: skip
_MODELS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def plot_comparison(comparison: ActivationComparison) -> Figure:
    """Cosine, relative distance and CKA by block; for one or two points, bands hold the middle 80% of rows."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    figure.suptitle(
        f"Activations of {comparison.one} and {comparison.other} at the same {len(comparison.prompt)} tokens"
    )
    cosine, distance, cka = figure.subplots(1, 3)
    for i, point in enumerate(comparison.points):
        style: dict[str, Any] = {"color": COLOURS[point], "marker": "o", "markersize": 3.5, "label": LABELS[point]}
        for axes, rows in ((cosine, comparison.cosine[i]), (distance, comparison.distance[i])):
            if len(comparison.points) <= 2:  # more bands than that hide each other
                low, high = np.nanquantile(rows, (0.1, 0.9), axis=1)
                axes.fill_between(comparison.block, low, high, color=COLOURS[point], alpha=0.15, linewidth=0)
            axes.plot(comparison.block, rows.mean(1), **style)
        cka.plot(comparison.block, comparison.cka[i], **style)
    cosine.set(ylabel="cosine (mean over tokens)", ylim=(None, 1.005))
    distance.set(ylabel="distance / norm (mean over tokens)", ylim=(0, None))
    cka.set(ylabel="linear CKA", ylim=(None, 1.005))
    for axes in (cosine, distance, cka):
        _by_block(axes)
    cosine.legend(frameon=False)
    return figure


def plot_recording(recording: Recording) -> Figure:
    """Mean norm by block: one panel a point, one line a model."""
    table = recording.to_dataframe()
    figure = Figure(figsize=(1 + 3.3 * len(recording.points), 3.4), layout="constrained")
    figure.suptitle(f"Activation norms, mean over {len(recording.prompt)} tokens")
    for axes, point in zip(np.atleast_1d(figure.subplots(1, len(recording.points))), recording.points, strict=True):
        for i, model in enumerate(recording.models):
            rows = table[(table["model"] == model) & (table["point"] == point)]
            axes.plot(
                rows["block"], rows["norm"], marker="o", markersize=3.5, label=model, color=_MODELS[i % len(_MODELS)]
            )
        axes.set(title=LABELS[point], ylabel="norm", ylim=(0, None))
        _by_block(axes)
    figure.axes[0].legend(frameon=False)
    return figure


def _by_block(axes: Any) -> None:
    axes.set_xlabel("decoder block")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
