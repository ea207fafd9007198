"""The one progress bar."""

from __future__ import annotations

import sys
from typing import Any


def bar(total: int, what: str, *, unit: str = "it", show: bool | None = None, bytes: bool = False) -> Any:
    """A tqdm bar on standard error.

    Args:
        total: Number of steps, or bytes.
        what: What is being done.
        unit: Name of a step.
        show: True or False; None shows it on a terminal and in Jupyter only, so logs and tests stay quiet.
        bytes: Scale the numbers as bytes.
    """
    from tqdm.auto import tqdm

    visible = show if show is not None else sys.stderr.isatty() or "ipykernel" in sys.modules
    options: dict[str, Any] = {"unit_scale": True, "unit_divisor": 1024} if bytes else {}
    return tqdm(total=total, desc=what, unit="B" if bytes else unit, disable=not visible, leave=False, **options)
