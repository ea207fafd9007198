"""The table of a `PatchingResult`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.show.lens_table import with_limits

if TYPE_CHECKING:
    import pandas as pd

    from slr_probe.probes.patching.result import PatchingResult
    from slr_probe.stats.interval import Interval


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


def lines(result: PatchingResult) -> tuple[list[str], list[list[str]]]:
    """A table for the terminal: what each patch does to the main metric, and to validity where there is one."""
    metric = result.main_metric
    title = {"conditional_entropy": "diversity"}.get(metric, metric)
    columns = ["direction", "part", "blocks", f"change in {title}", "recovered"]
    columns += ["random"] if result.random is not None else []
    columns += ["validity"] if "validity" in result.metrics else []
    rows = []
    for direction in result.directions:
        for component in result.components:
            effect, shares = (f(metric, direction, component) for f in (result.effect, result.recovered))
            cells = [with_limits(effect), [f"{share:.2f}" for share in shares.estimate]]
            if result.random is not None:
                cells.append(_signed(result.effect(metric, direction, component, "random")))
            if "validity" in result.metrics:
                cells.append(_signed(result.effect("validity", direction, component)))
            rows += [[direction, component, *row] for row in zip(result.windows, *cells, strict=True)]
    return columns, rows


def _signed(found: Interval) -> list[str]:
    return [f"{value:+.2f}" for value in found.estimate]


def _rows(result: PatchingResult, metric: str, direction: str, component: str) -> pd.DataFrame:
    import pandas as pd

    donor, recipient = (float(np.nanmean(result.model(metric, name))) for name in direction.split("->"))
    columns: dict[str, Any] = {
        "metric": metric,
        "direction": direction,
        "component": component,
        "blocks": list(result.windows),
        "block": [int(window.split(":")[0]) for window in result.windows],
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
