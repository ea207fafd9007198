"""The one progress bar."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any


def progress_bar(total: int, what: str, *, unit: str = "it", show: bool | None = None, bytes: bool = False) -> Any:
    """A tqdm bar on standard error, or a widget in Jupyter where ipywidgets is installed.

    Args:
        total: Number of steps, or bytes.
        what: What is being done.
        unit: Name of a step.
        show: True or False; None shows it on a terminal and in Jupyter only, so logs and tests stay quiet, and nowhere
            where `TQDM_DISABLE` is set.
        bytes: Scale the numbers as bytes.
    """
    if find_spec("ipywidgets") is None:  # tqdm.auto would warn in every notebook
        from tqdm import tqdm
    else:
        from tqdm.auto import tqdm

    if show is None:
        show = not os.environ.get("TQDM_DISABLE") and (sys.stderr.isatty() or _in_notebook())
    options: dict[str, Any] = {"unit_scale": True, "unit_divisor": 1024} if bytes else {}
    return tqdm(total=total, desc=what, unit="B" if bytes else unit, disable=not show, leave=False, **options)


def _in_notebook() -> bool:
    """Whether this process is a Jupyter kernel; that its packages were imported says nothing."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
