"""Figures that show themselves in Jupyter.

Figures here are made without pyplot, which would keep them alive and choose a backend for the whole process. IPython
shows a figure as an image only after pyplot or `%matplotlib inline` has set that up, so it is set up here.
"""

from __future__ import annotations

import sys
from io import BytesIO

from matplotlib.figure import Figure

_DPI = 100


def show_figures() -> None:
    """Let IPython, where it runs, show figures as images; settings of the user's own stay as they are."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    formatters = getattr(getattr(shell, "display_formatter", None), "formatters", {})
    if "image/png" in formatters and Figure not in formatters["image/png"]:
        formatters["image/png"].for_type(Figure, png)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    data = BytesIO()
    figure.savefig(data, format="png", dpi=_DPI, metadata={"Software": None})
    return data.getvalue()
