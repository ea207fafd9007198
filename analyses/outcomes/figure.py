"""Heat map: how each proxy orders recipes as each outcome does."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from slr_probe.show.charts.style import new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def plot_proxies(table: pd.DataFrame, reliable: pd.Series) -> Figure:
    """Spearman's correlation of every proxy (rows) with every outcome (columns).

    Bold where the interval leaves out 0. Under each outcome stands its reliability, which bounds what any proxy could
    reach. Outcomes that are the same for every recipe have no order and are left out.

    Args:
        table: Columns `label`, `outcome`, `spearman`, `low`, `high`, one row a proxy and outcome.
        reliable: Reliability by outcome.
    """
    table = table[table.groupby("outcome")["spearman"].transform(lambda found: found.notna().any())]
    rows, columns = list(dict.fromkeys(table["label"])), list(dict.fromkeys(table["outcome"]))
    grid = table.pivot(index="label", columns="outcome", values="spearman").loc[rows, columns].to_numpy()
    figure = new_figure(9.0, 4.4)
    axis = figure.subplots()
    image = axis.imshow(np.ma.masked_invalid(grid), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for found in table.itertuples():
        if np.isfinite(found.spearman):
            sure = found.low > 0 or found.high < 0
            place = columns.index(found.outcome), rows.index(found.label)
            tint = "white" if abs(found.spearman) > 0.65 else "black"
            weight = "bold" if sure else "normal"
            axis.text(*place, f"{found.spearman:+.2f}", ha="center", va="center", fontsize=7, color=tint, weight=weight)
    names = ["\n".join([*wrap(name, 14), f"({reliable[name]:.2f})"]) for name in columns]
    axis.set_xticks(range(len(columns)), names, fontsize=7 if len(columns) < 6 else 6)
    axis.set_xlabel("outcome in text (its reliability)")
    axis.set_yticks(range(len(rows)), rows, fontsize=7.5)
    axis.tick_params(length=0)
    figure.colorbar(image, ax=axis, label="Spearman over recipes", shrink=0.8)
    return figure
