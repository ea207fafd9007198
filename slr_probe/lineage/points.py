"""The numbers of a lineage for `log=`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from slr_probe.lineage.result import Lineage


def points(lineage: Lineage) -> tuple[dict[str, float], ...]:
    """A point for each stage, base first: every metric's mean on every task, and after base what is left of base's."""
    found: list[dict[str, float]] = [{} for _ in lineage.stages]
    for task in lineage.tasks:
        for metric in lineage.metrics:
            for stage, mean in enumerate(lineage.diversity(task, metric).estimate):
                found[stage][f"lineage/{task}/{metric}"] = float(mean)
    change = lineage.change()
    for stage, point in enumerate(found[1:]):
        for name, percents in (("retained", change.mean_retained), ("stage_loss", change.mean_loss)):
            point[f"lineage/{name} (%)"] = float(np.asarray(percents.estimate)[stage])
    return tuple(found)
