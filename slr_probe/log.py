"""`log=`: numbers of a result handed to an experiment tracker, through one small callable and without a dependency."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from slr_probe.errors import SlrProbeError

Log = Callable[[Mapping[str, float], int], object]
"""Called with numbers by name and a step, as `run.log` of W&B and `trackio.log` are; what it returns is ignored."""


def check_log(log: object) -> None:
    """Check, before any work, that what the user gave can be called.

    Raises:
        SlrProbeError: It cannot.
    """
    if log is not None and not callable(log):
        raise SlrProbeError(f"log must be a callable of (numbers by name, step), such as run.log; got {log!r}")


def tell(log: Log | None, points: Iterable[Mapping[str, float]], first: int = 0) -> None:
    """Hand over points, one call a point; numbers that are undefined are left out, and so is a point without any.

    Args:
        log: The user's callable; nothing happens without one.
        points: Numbers by name, a mapping a step.
        first: Step of the first point.
    """
    for step, point in enumerate(points if log is not None else (), first):
        numbers = {name: float(value) for name, value in point.items() if math.isfinite(value)}
        if numbers and log is not None:
            log(numbers, step)
