"""The table of a `PatchingResult`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from slr_probe.probes.patching_result import PatchingResult
    from slr_probe.stats.bootstrap import Interval


def table(result: PatchingResult) -> pd.DataFrame:
    """A row for each metric, direction, component and window; see `PatchingResult.to_dataframe`."""
    import pandas as pd

    parts = [
        _rows(result, metric, direction, component)
        for metric in result.metrics
        for direction in result.directions
        for component in result.components
    ]
    return pd.concat(parts, ignore_index=True)


def _rows(result: PatchingResult, metric: str, direction: str, component: str) -> pd.DataFrame:
    import pandas as pd

    donor, recipient = (float(np.nanmean(result.model(metric, name))) for name in direction.split("->"))
    columns: dict[str, Any] = {
        "metric": metric,
        "direction": direction,
        "component": component,
        "blocks": list(result.windows),
        "start": [int(window.split(":")[0]) for window in result.windows],
        "stop": [int(window.split(":")[1]) for window in result.windows],
        "recipient": recipient,
        "donor": donor,
    }
    columns |= _limits("effect", result.effect(metric, direction, component))
    columns |= _limits("recovered", result.recovered(metric, direction, component))
    if result.random is not None:
        columns |= _limits("random_effect", result.effect(metric, direction, component, "random"))
        columns |= _limits("random_recovered", result.recovered(metric, direction, component, "random"))
    return pd.DataFrame(columns)


def _limits(name: str, found: Interval) -> dict[str, Any]:
    return {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}
